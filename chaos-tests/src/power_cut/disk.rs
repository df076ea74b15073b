//! The disk as the tests see it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rand_chacha::rand_core::Rng;
use rusqlite::{Connection, OpenFlags};

use super::inode::Inode;
use super::state::{DiskState, InodeId};
use super::{VFS_NAME, vfs};

/// What a disk can be asked to do that changes it, for [`Disk::fail_at`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A write of any length.
    Write,
    /// A truncation.
    Truncate,
    /// A sync of one file.
    Sync,
    /// A deletion of one file.
    Delete,
}

/// Kinds of [`Operation`].
pub(super) const OPERATION_KINDS: usize = 4;

/// One simulated disk. Dropping it makes its paths invalid; connections still open keep working on the
/// orphan.
#[derive(Debug)]
pub struct Disk {
    id: u64,
    pub(super) state: Arc<Mutex<DiskState>>,
}

/// The contents of a disk at one moment: the source of "an old backup restored" and of "a cloned machine".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    files: BTreeMap<String, Arc<[u8]>>,
}

/// What a restart made of the unsynced part of a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RestartReport {
    /// The survival rate that was drawn, per 1,000 sectors.
    pub survival_per_mille: u64,
    /// Unsynced sectors that reached the platter as written.
    pub sectors_kept: u64,
    /// Unsynced sectors that are gone.
    pub sectors_lost: u64,
    /// Unsynced sectors that now hold garbage.
    pub sectors_garbled: u64,
    /// Files that existed before the cut and do not any more.
    pub files_vanished: u64,
    /// Files that were deleted before the cut and are back.
    pub files_returned: u64,
}

/// [`Disk::flip_bit`] was asked for a byte that the disk does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoSuchByte {
    file: String,
    offset_bytes: u64,
}

impl fmt::Display for NoSuchByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, offset_bytes } = self;
        write!(f, "failed to flip a bit at byte {offset_bytes} of `{file}`: no such byte on this disk")
    }
}

impl std::error::Error for NoSuchByte {}

impl Disk {
    /// An empty disk that works.
    ///
    /// # Panics
    /// If SQLite refuses to register the VFS, which it does only when it cannot initialise at all.
    pub fn new() -> Self {
        Self::with_state(DiskState::default())
    }

    /// A new disk holding the files of `snapshot`, all of them durable, with no fault set.
    pub fn from_snapshot(snapshot: &Snapshot) -> Self {
        let mut state = DiskState::default();
        for (name, bytes) in &snapshot.files {
            let inode = state.create(name);
            state.inodes.insert(inode, Inode::durable(bytes));
            state.durable_directory.insert(name.clone(), inode);
        }
        Self::with_state(state)
    }

    fn with_state(state: DiskState) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        vfs::register().expect("SQLite initialises and takes a VFS with a name of its own");
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let state = Arc::new(Mutex::new(state));
        locked(&DISKS).insert(id, Arc::downgrade(&state));
        Self { id, state }
    }

    /// The path under which SQLite finds `file` on this disk. All paths have the same length for the same
    /// file name.
    pub fn path(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("{:016x}/{file}", self.id))
    }

    /// Opens (and creates, if missing) a database on this disk, with the exclusive locking that WAL needs
    /// here.
    ///
    /// # Errors
    /// As SQLite reports them; on a disk without power always.
    pub fn open(&self, file: &str) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags_and_vfs(self.path(file), flags, VFS_NAME)?;
        connection.execute_batch("PRAGMA locking_mode = EXCLUSIVE")?;
        Ok(connection)
    }

    /// Cuts the power at the `number`-th write, truncation, sync or deletion from now (1, or 0, is the next
    /// one): that and every later operation fails, until [`Disk::restart`].
    pub fn cut_power_at(&self, number: u64) {
        let mut state = locked(&self.state);
        state.cut_at = Some(state.operations.saturating_add(number.max(1)));
    }

    /// Cuts the power now, between two operations.
    pub fn cut_now(&self) {
        locked(&self.state).dead = true;
    }

    /// Whether the power is off.
    pub fn is_dead(&self) -> bool {
        locked(&self.state).dead
    }

    /// Writes, truncations, syncs and deletions since the disk was made, failed ones included.
    pub fn operations(&self) -> u64 {
        locked(&self.state).operations
    }

    /// Cuts the power if it is still on, decides what survived, and switches the disk on again.
    ///
    /// Connections from before can do nothing any more but fail. A planned cut and planned errors are
    /// forgotten; a limit of space and lying about syncs are properties of the disk and stay.
    pub fn restart(&self, rng: &mut impl Rng) -> RestartReport {
        locked(&self.state).restart(rng)
    }

    /// Makes syncs succeed without doing anything (a drive with a volatile cache that says otherwise), or
    /// ends that.
    pub fn lie_about_sync(&self, lying: bool) {
        locked(&self.state).lying = lying;
    }

    /// Lets the `number`-th operation of this kind from now (1, or 0, is the next) fail once with an I/O
    /// error.
    ///
    /// A failed write, truncation or deletion has no effect; for a failed sync see the head of this module.
    pub fn fail_at(&self, operation: Operation, number: u64) {
        let mut state = locked(&self.state);
        let kind = operation as usize;
        state.fail_at[kind] = Some(state.counts[kind].saturating_add(number.max(1)));
    }

    /// Leaves room for `after_bytes` more bytes of growth; a write beyond them gets `SQLITE_FULL`.
    /// Overwriting still works, deleting and truncating give room back.
    pub fn fill_up(&self, after_bytes: u64) {
        let mut state = locked(&self.state);
        state.room_bytes = Some(state.used_bytes().saturating_add(after_bytes));
    }

    /// Ends [`Disk::fill_up`]: there is space again.
    pub fn free_space(&self) {
        locked(&self.state).room_bytes = None;
    }

    /// The sum of the lengths of all files, in bytes.
    pub fn used_bytes(&self) -> u64 {
        locked(&self.state).used_bytes()
    }

    /// Names and lengths in bytes of the files, in the order of their names.
    pub fn files(&self) -> BTreeMap<String, u64> {
        let state = locked(&self.state);
        state.directory.iter().map(|(name, inode)| (name.clone(), state.length(*inode))).collect()
    }

    /// Flips the lowest bit of one byte of `file`, on the platter and in the cache: bit rot. A connection
    /// that has read the page already notices nothing until it reads it again.
    ///
    /// # Errors
    /// [`NoSuchByte`] if the file is missing or shorter than that.
    pub fn flip_bit(&self, file: &str, offset_bytes: u64) -> Result<(), NoSuchByte> {
        locked(&self.state)
            .flip_bit(file, offset_bytes)
            .ok_or_else(|| NoSuchByte { file: file.to_owned(), offset_bytes })
    }

    /// Copies what a reader would see now, all files at one instant: a file-system snapshot, not a clean
    /// shutdown.
    pub fn snapshot(&self) -> Snapshot {
        let state = locked(&self.state);
        let file = |(name, id): (&String, &InodeId)| {
            Some((name.clone(), Arc::from(&state.inodes.get(id)?.cached[..])))
        };
        Snapshot { files: state.directory.iter().filter_map(file).collect() }
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        locked(&DISKS).remove(&self.id);
    }
}

/// Where a path leads: the VFS is process-wide, the disks are not.
static DISKS: Mutex<BTreeMap<u64, Weak<Mutex<DiskState>>>> = Mutex::new(BTreeMap::new());

/// A panic in one test must not turn into a second one in C code: the data behind the lock are plain values.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Splits "<disk id>/<file>" and finds the disk.
pub(super) fn find(path: &str) -> Option<(Arc<Mutex<DiskState>>, &str)> {
    let (id, file) = path.split_once('/')?;
    let id = u64::from_str_radix(id, 16).ok()?;
    Some((locked(&DISKS).get(&id)?.upgrade()?, file))
}
