//! A disk in memory that can lose its power: a SQLite VFS which forgets what was never synced.
//!
//! Every simulated station gets its own [`Disk`]. SQLite reaches it under the VFS name [`VFS_NAME`] through
//! the path that [`Disk::path`] gives, so the real store of a station runs unchanged over it. A disk can be
//! told to cut the power at any write, truncation, sync or deletion ([`Disk::cut_power_at`]);
//! [`Disk::restart`] then decides, from the caller's seeded randomness, what the platter still holds.
//!
//! What the model says about a power cut:
//!
//! - What a sync confirmed is there. Of everything later, each 512-byte sector of each write on its own
//!   survives, vanishes, or (2 in 100 of the survivors) becomes garbage. One survival rate out of 0, 50, 90
//!   and 100 % is drawn per restart, so that "nothing was written back" and "nearly everything was" both
//!   occur often.
//! - A surviving sector holds what the page cache held after that write. Garbage stays within the bytes being
//!   written, because the disk claims `SQLITE_IOCAP_POWERSAFE_OVERWRITE`, as SQLite's own Unix VFS does.
//! - A truncation survives as a whole or not at all, independently of the writes around it.
//! - Syncing a file makes its own directory entry durable. A file that was never synced may be missing
//!   afterwards.
//! - A deletion is durable at the next successful sync of *any* file, because ext4 commits one journal for
//!   all of them; until then the file may come back. (A disk on which an old rollback journal can come back
//!   later still would destroy any database; SQLite does not defend against that, nor do we claim it.)
//! - An operation that reported an error may still have happened: the operation at which the power fails
//!   counts as unsynced, not as undone. After a *failed* sync, later syncs do not write the affected sectors
//!   again unless somebody writes them again, as on Linux, where a failed fsync marks the pages clean.
//!
//! What it does not model: time (waiting makes nothing durable), other processes, shared memory (so WAL needs
//! `PRAGMA locking_mode = EXCLUSIVE`, which [`Disk::open`] sets), memory mapping, and damage to synced
//! sectors other than by [`Disk::flip_bit`].
//!
//! Same seed and same calls give the same decisions. The *bytes* of a write-ahead log differ between runs,
//! since SQLite draws its salts from the operating system; compare contents and outcomes, not raw files.
//!
//! [`torture`] is the loop "work, cut, restart, inspect" over anything that implements [`Workload`].
#![expect(unsafe_code, reason = "a SQLite VFS is a table of C functions; the unsafe part is `mod vfs` alone")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rusqlite::{Connection, OpenFlags, ffi};

/// The name under which SQLite knows this VFS; it is registered by the first [`Disk`] of the process.
pub const VFS_NAME: &str = "tram-power-cut";

/// The unit that survives or vanishes, in bytes: the sector of a disk that SQLite assumes for a power-safe
/// device.
pub const SECTOR_BYTES: usize = 512;

/// Of 1,000 surviving sectors, how many hold garbage.
const GARBAGE_PER_MILLE: u64 = 20;

/// The survival rates a restart draws from, per 1,000 sectors.
const SURVIVAL_PER_MILLE: [u64; 4] = [0, 500, 900, 1_000];

/// Unsynced bytes of one file above which the cache writes everything back on its own, as an operating system
/// does under memory pressure (and a lying drive when its own cache is full). Bounds the memory of a run that
/// never syncs.
const UNSYNCED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The longest file on a disk, in bytes; a write beyond it is answered as "disk full".
const FILE_BYTES_MAX: usize = 1 << 30;

// -------------------------------------------------------------------------------------------------
// The disk as the tests see it

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

const OPERATION_KINDS: usize = 4;

/// One simulated disk. Dropping it makes its paths invalid; connections still open keep working on the
/// orphan.
#[derive(Debug)]
pub struct Disk {
    id: u64,
    state: Arc<Mutex<DiskState>>,
}

/// The contents of a disk at one moment: the source of "an old backup restored" and of "a cloned machine".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    files: BTreeMap<String, Vec<u8>>,
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
            state
                .inodes
                .insert(inode, Inode { cached: bytes.clone(), durable: bytes.clone(), ..Inode::default() });
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
        let file =
            |(name, id): (&String, &InodeId)| Some((name.clone(), state.inodes.get(id)?.cached.clone()));
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
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Splits "<disk id>/<file>" and finds the disk.
fn find(path: &str) -> Option<(Arc<Mutex<DiskState>>, &str)> {
    let (id, file) = path.split_once('/')?;
    let id = u64::from_str_radix(id, 16).ok()?;
    Some((locked(&DISKS).get(&id)?.upgrade()?, file))
}

// -------------------------------------------------------------------------------------------------
// The model: no SQLite in here

type InodeId = u64;

/// A result code of SQLite.
type Code = std::ffi::c_int;

#[derive(Debug, Default)]
struct DiskState {
    /// Names as programs see them.
    directory: BTreeMap<String, InodeId>,
    /// Names as the platter has them.
    durable_directory: BTreeMap<String, InodeId>,
    inodes: BTreeMap<InodeId, Inode>,
    inodes_made: u64,
    handles_made: u64,
    /// Rises at every restart; a handle of an earlier life is void.
    life: u64,
    operations: u64,
    counts: [u64; OPERATION_KINDS],
    cut_at: Option<u64>,
    fail_at: [Option<u64>; OPERATION_KINDS],
    /// The sum of file lengths that still fits.
    room_bytes: Option<u64>,
    lying: bool,
    dead: bool,
}

/// One file. `cached` is what reads see, `durable` what is on the platter for certain, `unsynced` the
/// difference.
#[derive(Debug, Default)]
struct Inode {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
    /// The bytes of all unsynced writes, one after the other; empty after every sync, its memory is used
    /// again.
    images: Vec<u8>,
    locks: Vec<(u64, Code)>,
    handles: u64,
}

#[derive(Debug, Clone)]
struct Change {
    what: What,
    /// A sync of this change failed: the cache thinks it is clean, so no later sync writes it.
    abandoned: bool,
}

#[derive(Debug, Clone)]
enum What {
    /// `written` bytes of the file, kept with the rest of their sectors as `image`, which begins at byte
    /// `start`.
    Write {
        start: usize,
        written: Range<usize>,
        image: Range<usize>,
    },
    Truncate {
        length: usize,
    },
}

/// How an operation begins.
enum Begin {
    Go,
    /// The power fails during it: it counts as unsynced, and as failed.
    Cut,
    /// It fails once.
    Fail,
    /// There is no power.
    Dead,
}

impl DiskState {
    fn begin(&mut self, operation: Operation) -> Begin {
        if self.dead {
            return Begin::Dead;
        }
        let kind = operation as usize;
        self.operations += 1;
        self.counts[kind] += 1;
        if self.cut_at == Some(self.operations) {
            self.dead = true;
            return Begin::Cut;
        }
        if self.fail_at[kind] == Some(self.counts[kind]) {
            self.fail_at[kind] = None;
            return Begin::Fail;
        }
        Begin::Go
    }

    fn create(&mut self, name: &str) -> InodeId {
        self.inodes_made += 1;
        self.inodes.insert(self.inodes_made, Inode::default());
        self.directory.insert(name.to_owned(), self.inodes_made);
        self.inodes_made
    }

    fn length(&self, inode: InodeId) -> u64 {
        self.inodes.get(&inode).map_or(0, |inode| inode.cached.len() as u64)
    }

    fn used_bytes(&self) -> u64 {
        self.directory.values().map(|inode| self.length(*inode)).sum()
    }

    fn inode(&mut self, inode: InodeId, otherwise: Code) -> Result<&mut Inode, Code> {
        self.inodes.get_mut(&inode).ok_or(otherwise)
    }

    /// Returns the inode and a number for the new handle.
    fn open(&mut self, name: &str, create: bool, must_be_new: bool) -> Result<(InodeId, u64), Code> {
        if self.dead {
            return Err(ffi::SQLITE_CANTOPEN);
        }
        let id = match self.directory.get(name) {
            Some(_) if must_be_new => return Err(ffi::SQLITE_CANTOPEN),
            Some(inode) => *inode,
            None if create => self.create(name),
            None => return Err(ffi::SQLITE_CANTOPEN),
        };
        self.inode(id, ffi::SQLITE_CANTOPEN)?.handles += 1;
        self.handles_made += 1;
        Ok((id, self.handles_made))
    }

    fn close(&mut self, id: InodeId, handle: u64) {
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.handles = inode.handles.saturating_sub(1);
            inode.locks.retain(|(holder, _)| *holder != handle);
            if inode.handles == 0 && !self.directory.values().any(|named| *named == id) {
                self.sweep();
            }
        }
    }

    /// Fills `buffer`, zeroes behind the end of the file; says whether the file was long enough.
    fn read(&mut self, inode: InodeId, offset: usize, buffer: &mut [u8]) -> Result<bool, Code> {
        if self.dead {
            return Err(ffi::SQLITE_IOERR_READ);
        }
        let cached = &self.inode(inode, ffi::SQLITE_IOERR_READ)?.cached;
        let available = cached.get(offset..).unwrap_or_default();
        let length = available.len().min(buffer.len());
        let (filled, rest) = buffer.split_at_mut(length);
        filled.copy_from_slice(&available[..length]);
        rest.fill(0);
        Ok(rest.is_empty())
    }

    fn write(&mut self, inode: InodeId, offset: usize, bytes: &[u8]) -> Result<(), Code> {
        let begin = self.begin(Operation::Write);
        if matches!(begin, Begin::Dead | Begin::Fail) {
            return Err(ffi::SQLITE_IOERR_WRITE);
        }
        let end =
            offset.checked_add(bytes.len()).filter(|end| *end <= FILE_BYTES_MAX).ok_or(ffi::SQLITE_FULL)?;
        if let Some(room) = self.room_bytes {
            let growth = (end as u64).saturating_sub(self.length(inode));
            if growth > 0 && self.used_bytes() + growth > room {
                return Err(ffi::SQLITE_FULL);
            }
        }
        self.inode(inode, ffi::SQLITE_IOERR_WRITE)?.write(offset, bytes);
        if matches!(begin, Begin::Cut) { Err(ffi::SQLITE_IOERR_WRITE) } else { Ok(()) }
    }

    fn truncate(&mut self, inode: InodeId, length: usize) -> Result<(), Code> {
        let begin = self.begin(Operation::Truncate);
        if matches!(begin, Begin::Dead | Begin::Fail) || length > FILE_BYTES_MAX {
            return Err(ffi::SQLITE_IOERR_TRUNCATE);
        }
        let inode = self.inode(inode, ffi::SQLITE_IOERR_TRUNCATE)?;
        inode.cached.resize(length, 0);
        inode.unsynced.push(Change { what: What::Truncate { length }, abandoned: false });
        if matches!(begin, Begin::Cut) { Err(ffi::SQLITE_IOERR_TRUNCATE) } else { Ok(()) }
    }

    fn sync(&mut self, id: InodeId) -> Result<(), Code> {
        match self.begin(Operation::Sync) {
            Begin::Dead | Begin::Cut => return Err(ffi::SQLITE_IOERR_FSYNC),
            Begin::Fail => {
                self.inode(id, ffi::SQLITE_IOERR_FSYNC)?.abandon();
                return Err(ffi::SQLITE_IOERR_FSYNC);
            }
            Begin::Go if self.lying => return Ok(()),
            Begin::Go => {}
        }
        self.inode(id, ffi::SQLITE_IOERR_FSYNC)?.write_back();
        // The file's own name, and everybody's deletions: see the head of this module.
        let directory = &self.directory;
        let names_before = self.durable_directory.len();
        self.durable_directory.retain(|name, inode| directory.get(name) == Some(inode));
        let deletions_settled = self.durable_directory.len() < names_before;
        if !self.durable_directory.values().any(|inode| *inode == id)
            && let Some((name, inode)) = directory.iter().find(|(_, inode)| **inode == id)
        {
            self.durable_directory.insert(name.clone(), *inode);
        }
        if deletions_settled {
            self.sweep();
        }
        Ok(())
    }

    fn delete(&mut self, name: &str, durably: bool) -> Result<(), Code> {
        let begin = self.begin(Operation::Delete);
        if matches!(begin, Begin::Dead | Begin::Fail) {
            return Err(ffi::SQLITE_IOERR_DELETE);
        }
        if self.directory.remove(name).is_none() {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        }
        if matches!(begin, Begin::Cut) {
            return Err(ffi::SQLITE_IOERR_DELETE);
        }
        if durably && !self.lying {
            self.durable_directory.remove(name);
        }
        self.sweep();
        Ok(())
    }

    /// Whether `name` exists; an empty file does not count for `nonempty`, as in SQLite's own Unix VFS.
    fn exists(&self, name: &str, nonempty: bool) -> Result<bool, Code> {
        if self.dead {
            return Err(ffi::SQLITE_IOERR_ACCESS);
        }
        Ok(self.directory.get(name).is_some_and(|inode| !nonempty || self.length(*inode) > 0))
    }

    /// Forgets files that no name and no handle leads to.
    fn sweep(&mut self) {
        let (directory, durable) = (&self.directory, &self.durable_directory);
        self.inodes.retain(|id, inode| {
            inode.handles > 0 || directory.values().chain(durable.values()).any(|named| named == id)
        });
    }

    fn flip_bit(&mut self, file: &str, offset_bytes: u64) -> Option<()> {
        let inode = self.inodes.get_mut(self.directory.get(file)?)?;
        let offset = usize::try_from(offset_bytes).ok()?;
        *inode.cached.get_mut(offset)? ^= 1;
        // What waits for write-back comes from the cache, so it carries the flipped bit too.
        for Change { what, .. } in &inode.unsynced {
            if let What::Write { start, image, .. } = what
                && (*start..start + image.len()).contains(&offset)
            {
                inode.images[image.start + offset - start] ^= 1;
            }
        }
        if let Some(byte) = inode.durable.get_mut(offset) {
            *byte ^= 1;
        }
        Some(())
    }

    fn restart(&mut self, rng: &mut impl Rng) -> RestartReport {
        let survival = SURVIVAL_PER_MILLE[rng.next_u32() as usize % SURVIVAL_PER_MILLE.len()];
        let mut report = RestartReport { survival_per_mille: survival, ..RestartReport::default() };
        for inode in self.inodes.values_mut() {
            inode.settle(survival, rng, &mut report);
        }
        let mut settled = BTreeMap::new();
        let names = self.directory.keys().chain(self.durable_directory.keys());
        let names: BTreeSet<_> = names.cloned().collect();
        for name in names {
            let (seen, durable) = (self.directory.get(&name), self.durable_directory.get(&name));
            let after = match (seen, durable) {
                _ if seen == durable => seen,
                // Deleted without a later sync, perhaps made anew: first the deletion counts, then the new
                // file.
                (_, Some(_)) if !chance(rng, survival) => durable,
                (Some(_), _) if chance(rng, survival) => seen,
                _ => None,
            };
            report.files_vanished += u64::from(seen.is_some() && after != seen);
            report.files_returned += u64::from(after.is_some() && after != seen);
            settled.extend(after.map(|inode| (name, *inode)));
        }
        self.directory.clone_from(&settled);
        self.durable_directory = settled;
        self.sweep();
        self.life += 1;
        self.cut_at = None;
        self.fail_at = [None; OPERATION_KINDS];
        self.dead = false;
        report
    }
}

impl Inode {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        let start = offset - offset % SECTOR_BYTES;
        let stop = end.next_multiple_of(SECTOR_BYTES).min(self.cached.len());
        let image = self.images.len()..self.images.len() + (stop - start);
        self.images.extend_from_slice(&self.cached[start..stop]);
        self.unsynced
            .push(Change { what: What::Write { start, written: offset..end, image }, abandoned: false });
        if self.images.len() > UNSYNCED_BYTES_MAX {
            self.write_back();
        }
    }

    /// Makes every unsynced change durable, except those that an earlier failed sync has abandoned.
    fn write_back(&mut self) {
        for Change { what, .. } in self.unsynced.iter().filter(|change| !change.abandoned) {
            match what {
                What::Write { start, image, .. } => {
                    put(&mut self.durable, *start, &self.images[image.clone()]);
                }
                What::Truncate { length } => self.durable.resize(*length, 0),
            }
        }
        // The length travels with the metadata, also where abandoned writes leave a hole.
        self.durable.resize(self.cached.len(), 0);
        if self.unsynced.iter().any(|change| change.abandoned) {
            self.keep_abandoned_only();
        } else {
            self.unsynced.clear();
            self.images.clear();
        }
    }

    /// Of the changes, keeps the abandoned ones that nothing written back since has replaced.
    fn keep_abandoned_only(&mut self) {
        let mut replaced = BTreeSet::new();
        for Change { what, .. } in self.unsynced.iter().filter(|change| !change.abandoned) {
            if let What::Write { start, image, .. } = what {
                replaced.extend((*start..start + image.len()).step_by(SECTOR_BYTES));
            }
        }
        let shortened_to =
            self.unsynced.iter().filter(|change| !change.abandoned).map(|change| match change.what {
                What::Truncate { length } => length,
                What::Write { .. } => usize::MAX,
            });
        let shortened_to = shortened_to.min().unwrap_or(usize::MAX);
        self.unsynced.retain(|change| match &change.what {
            What::Write { start, image, .. } => {
                change.abandoned && start + image.len() <= shortened_to && !replaced.contains(start)
            }
            // The length was just written back.
            What::Truncate { .. } => false,
        });
        let mut images = Vec::new();
        for Change { what, .. } in &mut self.unsynced {
            if let What::Write { image, .. } = what {
                let kept = images.len();
                images.extend_from_slice(&self.images[image.clone()]);
                *image = kept..images.len();
            }
        }
        self.images = images;
    }

    /// A sync failed: cuts the changes into sectors, so that each can be replaced alone, and abandons them.
    fn abandon(&mut self) {
        let changes = std::mem::take(&mut self.unsynced);
        for Change { what, .. } in changes {
            match what {
                What::Write { start, written, image } => {
                    let sectors = sectors(start, &written, &image);
                    let what = sectors.map(|(start, written, image)| What::Write { start, written, image });
                    self.unsynced.extend(what.map(|what| Change { what, abandoned: true }));
                }
                What::Truncate { .. } => self.unsynced.push(Change { what, abandoned: true }),
            }
        }
    }

    /// The power is back: decides which unsynced changes reached the platter, and reads it.
    fn settle(&mut self, survival_per_mille: u64, rng: &mut impl Rng, report: &mut RestartReport) {
        for Change { what, .. } in self.unsynced.drain(..) {
            match what {
                What::Truncate { length } => {
                    if chance(rng, survival_per_mille) {
                        self.durable.resize(length, 0);
                    }
                }
                What::Write { start, written, image } => {
                    for (start, written, image) in sectors(start, &written, &image) {
                        if !chance(rng, survival_per_mille) {
                            report.sectors_lost += 1;
                            continue;
                        }
                        put(&mut self.durable, start, &self.images[image]);
                        if chance(rng, GARBAGE_PER_MILLE) {
                            rng.fill_bytes(&mut self.durable[written]);
                            report.sectors_garbled += 1;
                        } else {
                            report.sectors_kept += 1;
                        }
                    }
                }
            }
        }
        self.images.clear();
        self.cached.clone_from(&self.durable);
        self.locks.clear();
        self.handles = 0;
    }

    /// The advisory locks of SQLite: many readers, one who reserves, one who writes alone.
    fn lock(&mut self, handle: u64, level: Code) -> Result<(), Code> {
        let mine = self.locks.iter().find(|(holder, _)| *holder == handle).map_or(0, |(_, level)| *level);
        if mine >= level {
            return Ok(());
        }
        let others = self.locks.iter().filter(|(holder, _)| *holder != handle).map(|(_, level)| *level);
        let strongest = others.max().unwrap_or(ffi::SQLITE_LOCK_NONE);
        let (granted, result) = match level {
            ffi::SQLITE_LOCK_SHARED if strongest < ffi::SQLITE_LOCK_PENDING => (level, Ok(())),
            ffi::SQLITE_LOCK_RESERVED if strongest < ffi::SQLITE_LOCK_RESERVED => (level, Ok(())),
            ffi::SQLITE_LOCK_EXCLUSIVE if strongest == ffi::SQLITE_LOCK_NONE => (level, Ok(())),
            // Readers are still there: keep new ones out meanwhile.
            ffi::SQLITE_LOCK_EXCLUSIVE if strongest == ffi::SQLITE_LOCK_SHARED => {
                (ffi::SQLITE_LOCK_PENDING, Err(ffi::SQLITE_BUSY))
            }
            _ => (mine, Err(ffi::SQLITE_BUSY)),
        };
        self.unlock(handle, granted);
        result
    }

    /// Sets the lock of `handle` to `level`.
    fn unlock(&mut self, handle: u64, level: Code) {
        self.locks.retain(|(holder, _)| *holder != handle);
        if level > ffi::SQLITE_LOCK_NONE {
            self.locks.push((handle, level));
        }
    }
}

/// Cuts one write into sectors: where each starts, the bytes of it that were written, and its image.
fn sectors(
    start: usize,
    written: &Range<usize>,
    image: &Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> {
    let (written, image) = (written.clone(), image.clone());
    (start..start + image.len()).step_by(SECTOR_BYTES).map(move |sector| {
        let stop = (sector + SECTOR_BYTES).min(start + image.len());
        let of_image = image.start + sector - start..image.start + stop - start;
        (sector, written.start.max(sector)..written.end.min(stop), of_image)
    })
}

/// Overwrites `file` from `start`, making it longer if needed.
fn put(file: &mut Vec<u8>, start: usize, bytes: &[u8]) {
    let end = start + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[start..end].copy_from_slice(bytes);
}

/// Draws once; no draw is saved for certain outcomes, so that the sequence depends on nothing but the number
/// of calls.
fn chance(rng: &mut impl Rng, per_mille: u64) -> bool {
    rng.next_u64() % 1_000 < per_mille
}

// -------------------------------------------------------------------------------------------------
// Work, cut, restart, inspect

/// Something that stores numbered pieces of work on a disk and says when each is safe.
pub trait Workload {
    /// An open store.
    type Session;
    /// Why the store refused; it is expected once the power is off.
    type Error: fmt::Display;

    /// Opens the store, creating it on an empty disk.
    ///
    /// # Errors
    /// Whatever the store reports.
    fn open(&self, disk: &Disk) -> Result<Self::Session, Self::Error>;

    /// Stores the piece of work with this number (1, 2, 3, …). `Ok` is the acknowledgement that a user would
    /// see.
    ///
    /// # Errors
    /// Whatever the store reports: the piece is then not acknowledged, but may still be there after a
    /// restart.
    fn acknowledge(
        &self,
        session: &mut Self::Session,
        number: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), Self::Error>;

    /// After a restart: opens the store anew, checks everything it promises, and says how many pieces are
    /// there.
    ///
    /// # Errors
    /// What is broken, in words.
    fn inspect(&self, disk: &Disk) -> Result<u64, String>;
}

/// When the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At an operation drawn evenly from the first so many after opening.
    RandomUpTo(u64),
    /// At this operation after opening, 1 being the first.
    Operation(u64),
}

/// How hard a store is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many times the power fails while work is done.
    pub cuts: u32,
    /// Pieces of work tried between two cuts. If the moment of the cut lies later, the power fails right
    /// after the last acknowledgement: the worst moment for a store that acknowledges too early.
    pub pieces_per_cut: u64,
    /// When it fails.
    pub moment: Moment,
    /// After how many of 1,000 restarts the power fails again while the store is being opened, recovered and
    /// closed.
    pub second_cut_per_mille: u64,
    /// Whether the disk lies about syncs.
    pub lying_disk: bool,
}

impl Default for Plan {
    /// Three cuts, each somewhere in the work on twelve pieces; every third recovery is cut as well.
    fn default() -> Self {
        Self {
            cuts: 3,
            pieces_per_cut: 12,
            moment: Moment::RandomUpTo(220),
            second_cut_per_mille: 333,
            lying_disk: false,
        }
    }
}

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Everything acknowledged is there, nothing is broken.
    Intact,
    /// Acknowledged work is gone.
    Lost {
        /// The number of the last piece that was acknowledged.
        acknowledged: u64,
        /// How many pieces are there.
        present: u64,
    },
    /// More is there than was ever tried.
    Phantom {
        /// The number of the last piece that was acknowledged.
        acknowledged: u64,
        /// How many pieces are there.
        present: u64,
    },
    /// The store is broken, or refused work although it had power.
    Damaged(String),
}

/// The account of one run, the same for the same seed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// What it showed; the run ends at the first finding.
    pub verdict: Verdict,
    /// Pieces acknowledged in all.
    pub acknowledged: u64,
    /// Writes, truncations, syncs and deletions in all.
    pub operations: u64,
    /// Unsynced sectors that the cuts destroyed or garbled.
    pub sectors_destroyed: u64,
}

/// Lets a store work on a disk of its own, cuts its power as planned, and inspects it after every restart.
pub fn torture<W: Workload>(workload: &W, plan: &Plan, seed: u64) -> Outcome {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let disk = Disk::new();
    disk.lie_about_sync(plan.lying_disk);
    let mut outcome =
        Outcome { verdict: Verdict::Intact, acknowledged: 0, operations: 0, sectors_destroyed: 0 };
    let mut present = 0;
    for _ in 0..plan.cuts {
        match live_and_die(workload, plan, &disk, present, &mut rng, &mut outcome) {
            Ok(now_present) => present = now_present,
            Err(finding) => {
                outcome.verdict = finding;
                break;
            }
        }
    }
    outcome.operations = disk.operations();
    outcome
}

/// One life of a store that begins with `present` pieces; returns with how many the next one begins.
fn live_and_die<W: Workload>(
    workload: &W,
    plan: &Plan,
    disk: &Disk,
    present: u64,
    rng: &mut ChaCha8Rng,
    outcome: &mut Outcome,
) -> Result<u64, Verdict> {
    disk.cut_power_at(match plan.moment {
        Moment::RandomUpTo(operations) => 1 + rng.next_u64() % operations.max(1),
        Moment::Operation(number) => number,
    });
    let mut acknowledged = present;
    let mut work = || -> Result<(), W::Error> {
        let mut session = workload.open(disk)?;
        for number in present + 1..=present + plan.pieces_per_cut {
            let result = workload.acknowledge(&mut session, number, rng);
            if result.is_err() && disk.is_dead() {
                break;
            }
            result?;
            acknowledged = number;
        }
        // The session is dropped without power, as in life.
        disk.cut_now();
        Ok(())
    };
    let result = work();
    outcome.acknowledged += acknowledged - present;
    if let Err(error) = result
        && !disk.is_dead()
    {
        return Err(Verdict::Damaged(format!(
            "refused work after piece {acknowledged} with the power on: {error}"
        )));
    }
    let mut restart = |rng: &mut ChaCha8Rng| {
        let report = disk.restart(rng);
        outcome.sectors_destroyed += report.sectors_lost + report.sectors_garbled;
    };
    restart(rng);
    if chance(rng, plan.second_cut_per_mille) {
        disk.cut_power_at(1 + rng.next_u64() % 24);
        if let Err(error) = workload.open(disk)
            && !disk.is_dead()
        {
            return Err(Verdict::Damaged(format!("cannot be opened with {acknowledged} pieces: {error}")));
        }
        restart(rng);
    }
    let present = workload.inspect(disk).map_err(Verdict::Damaged)?;
    // At most one piece was under way: it may be there without its acknowledgement.
    match present {
        _ if present < acknowledged => Err(Verdict::Lost { acknowledged, present }),
        _ if present > acknowledged + 1 => Err(Verdict::Phantom { acknowledged, present }),
        _ => Ok(present),
    }
}

// -------------------------------------------------------------------------------------------------
// The door to SQLite

/// The C side. Every function finds its disk, calls the model, and turns the answer into a code; a panic
/// becomes an I/O error, never an unwinding through C.
mod vfs {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::ptr::{null, null_mut};
    use std::sync::{Arc, Mutex, OnceLock};

    use rusqlite::ffi;

    use super::{Code, DiskState, InodeId, SECTOR_BYTES, VFS_NAME, find, locked};

    /// Longest path in bytes: 16 digits, a slash, a file name.
    const PATH_BYTES_MAX: c_int = 256;

    /// 1 January 2026 00:00 UTC as a Julian day: time stands still, for the sake of determinism.
    const JULIAN_DAY: f64 = 2_461_041.5;

    /// What SQLite keeps for an open file: its own header, and our box behind it.
    #[repr(C)]
    struct Handle {
        base: ffi::sqlite3_file,
        open: *mut OpenFile,
    }

    struct OpenFile {
        disk: Arc<Mutex<DiskState>>,
        inode: InodeId,
        handle: u64,
        life: u64,
    }

    impl OpenFile {
        /// Calls the model, unless this handle is from before a restart.
        fn with<T>(
            &self,
            stale: Code,
            call: impl FnOnce(&mut DiskState, InodeId) -> Result<T, Code>,
        ) -> Result<T, Code> {
            let mut state = locked(&self.disk);
            if state.life == self.life { call(&mut state, self.inode) } else { Err(stale) }
        }
    }

    static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
        iVersion: 1, // no shared memory, no memory mapping
        xClose: Some(close),
        xRead: Some(read),
        xWrite: Some(write),
        xTruncate: Some(truncate),
        xSync: Some(sync),
        xFileSize: Some(file_size),
        xLock: Some(lock),
        xUnlock: Some(unlock),
        xCheckReservedLock: Some(check_reserved_lock),
        xFileControl: Some(file_control),
        xSectorSize: Some(sector_size),
        xDeviceCharacteristics: Some(device_characteristics),
        xShmMap: None,
        xShmLock: None,
        xShmBarrier: None,
        xShmUnmap: None,
        xFetch: None,
        xUnfetch: None,
    };

    /// Registers the VFS, once per process; later calls return the first answer.
    pub(super) fn register() -> Result<(), Code> {
        static REGISTERED: OnceLock<Result<(), Code>> = OnceLock::new();
        *REGISTERED.get_or_init(|| {
            let Ok(handle_bytes) = c_int::try_from(size_of::<Handle>()) else {
                return Err(ffi::SQLITE_MISUSE);
            };
            let Ok(name) = std::ffi::CString::new(VFS_NAME) else {
                return Err(ffi::SQLITE_MISUSE);
            };
            let vfs = ffi::sqlite3_vfs {
                iVersion: 1,
                szOsFile: handle_bytes,
                mxPathname: PATH_BYTES_MAX,
                pNext: null_mut(),
                zName: name.into_raw(),
                pAppData: null_mut(),
                xOpen: Some(open),
                xDelete: Some(delete),
                xAccess: Some(access),
                xFullPathname: Some(full_pathname),
                // Extensions are loaded on explicit request only, which nothing here makes.
                xDlOpen: None,
                xDlError: None,
                xDlSym: None,
                xDlClose: None,
                xRandomness: Some(randomness),
                xSleep: Some(sleep),
                xCurrentTime: Some(current_time),
                xGetLastError: Some(last_error),
                xCurrentTimeInt64: None,
                xSetSystemCall: None,
                xGetSystemCall: None,
                xNextSystemCall: None,
            };
            // SAFETY: the table and its name are leaked, so they outlive every use by SQLite, which links its
            // list through `pNext`; all functions in it have the signatures that version 1 of the interface
            // demands.
            match unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(vfs)), 0) } {
                ffi::SQLITE_OK => Ok(()),
                code => Err(code),
            }
        })
    }

    /// Runs the body of one callback: the code for its result, or `on_panic`.
    fn answer(on_panic: Code, body: impl FnOnce() -> Result<(), Code>) -> Code {
        match catch_unwind(AssertUnwindSafe(body)) {
            Ok(Ok(())) => ffi::SQLITE_OK,
            Ok(Err(code)) => code,
            Err(_) => on_panic,
        }
    }

    /// The open file behind a handle.
    ///
    /// # Safety
    /// `file` was filled in by [`open`], and [`close`] has not been called; SQLite promises both to every
    /// method.
    unsafe fn open_file<'a>(file: *mut ffi::sqlite3_file) -> &'a OpenFile {
        // SAFETY: `szOsFile` made SQLite reserve a whole `Handle`, and `open` stored a live box in it.
        unsafe { &*(*file.cast::<Handle>()).open }
    }

    /// The text of a path.
    ///
    /// # Safety
    /// `path` points to a NUL-terminated string that lives during the call.
    unsafe fn text<'a>(path: *const c_char) -> Result<&'a str, Code> {
        // SAFETY: by the contract of this function.
        unsafe { CStr::from_ptr(path) }.to_str().map_err(|_| ffi::SQLITE_CANTOPEN)
    }

    unsafe extern "C" fn open(
        _: *mut ffi::sqlite3_vfs,
        path: ffi::sqlite3_filename,
        file: *mut ffi::sqlite3_file,
        flags: c_int,
        flags_out: *mut c_int,
    ) -> c_int {
        let handle = file.cast::<Handle>();
        // SAFETY: SQLite hands over `szOsFile` writable bytes. No methods means: do not call `close` after a
        // failure.
        unsafe { (*file).pMethods = null() };
        answer(ffi::SQLITE_CANTOPEN, || {
            let (disk, name) = if path.is_null() {
                // A temporary file: its own little disk, gone when it is closed.
                (Arc::new(Mutex::new(DiskState::default())), "temporary")
            } else {
                // SAFETY: SQLite passes a NUL-terminated path that lives at least until `close`.
                find(unsafe { text(path) }?).ok_or(ffi::SQLITE_CANTOPEN)?
            };
            let create = flags & ffi::SQLITE_OPEN_CREATE != 0;
            let must_be_new = create && flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0;
            let (opened, life) = {
                let mut state = locked(&disk);
                (state.open(name, create || path.is_null(), must_be_new)?, state.life)
            };
            let open = Box::new(OpenFile { disk, inode: opened.0, handle: opened.1, life });
            // SAFETY: as above; `flags_out` is either null or writable. The box is taken back in `close`.
            unsafe {
                (*handle).open = Box::into_raw(open);
                (*file).pMethods = &METHODS;
                if !flags_out.is_null() {
                    *flags_out = flags;
                }
            }
            Ok(())
        })
    }

    unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
        answer(ffi::SQLITE_IOERR_CLOSE, || {
            // SAFETY: `open` put the box there; SQLite closes a file exactly once and uses it no more.
            let open = unsafe { Box::from_raw((*file.cast::<Handle>()).open) };
            // A handle from before a restart was closed by the restart.
            let _ = open.with(ffi::SQLITE_OK, |disk, inode| {
                disk.close(inode, open.handle);
                Ok(())
            });
            Ok(())
        })
    }

    unsafe extern "C" fn read(
        file: *mut ffi::sqlite3_file,
        buffer: *mut c_void,
        bytes: c_int,
        offset: i64,
    ) -> c_int {
        answer(ffi::SQLITE_IOERR_READ, || {
            let bytes = usize::try_from(bytes).map_err(|_| ffi::SQLITE_IOERR_READ)?;
            let offset = usize::try_from(offset).map_err(|_| ffi::SQLITE_IOERR_READ)?;
            if bytes == 0 {
                return Ok(());
            }
            // SAFETY: SQLite gives `bytes` writable bytes that nobody else touches during the call. They are
            // zeroed first because they may be uninitialised, which a slice must not be.
            let buffer = unsafe {
                std::ptr::write_bytes(buffer.cast::<u8>(), 0, bytes);
                std::slice::from_raw_parts_mut(buffer.cast::<u8>(), bytes)
            };
            // SAFETY: called by SQLite on an open file.
            let open = unsafe { open_file(file) };
            let enough = open.with(ffi::SQLITE_IOERR_READ, |disk, inode| disk.read(inode, offset, buffer))?;
            if enough { Ok(()) } else { Err(ffi::SQLITE_IOERR_SHORT_READ) }
        })
    }

    unsafe extern "C" fn write(
        file: *mut ffi::sqlite3_file,
        data: *const c_void,
        bytes: c_int,
        offset: i64,
    ) -> c_int {
        answer(ffi::SQLITE_IOERR_WRITE, || {
            let bytes = usize::try_from(bytes).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
            let offset = usize::try_from(offset).map_err(|_| ffi::SQLITE_IOERR_WRITE)?;
            if bytes == 0 {
                return Ok(());
            }
            // SAFETY: SQLite gives `bytes` readable bytes that nobody changes during the call.
            let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), bytes) };
            // SAFETY: called by SQLite on an open file.
            let open = unsafe { open_file(file) };
            open.with(ffi::SQLITE_IOERR_WRITE, |disk, inode| disk.write(inode, offset, data))
        })
    }

    unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
        answer(ffi::SQLITE_IOERR_TRUNCATE, || {
            let length = usize::try_from(length).map_err(|_| ffi::SQLITE_IOERR_TRUNCATE)?;
            // SAFETY: called by SQLite on an open file.
            let open = unsafe { open_file(file) };
            open.with(ffi::SQLITE_IOERR_TRUNCATE, |disk, inode| disk.truncate(inode, length))
        })
    }

    unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
        answer(ffi::SQLITE_IOERR_FSYNC, || {
            // SAFETY: called by SQLite on an open file.
            let open = unsafe { open_file(file) };
            open.with(ffi::SQLITE_IOERR_FSYNC, DiskState::sync)
        })
    }

    unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
        answer(ffi::SQLITE_IOERR_FSTAT, || {
            // SAFETY: called by SQLite on an open file.
            let open = unsafe { open_file(file) };
            let length = open.with(ffi::SQLITE_IOERR_FSTAT, |disk, inode| Ok(disk.length(inode)))?;
            let length = i64::try_from(length).map_err(|_| ffi::SQLITE_IOERR_FSTAT)?;
            // SAFETY: SQLite gives a writable integer.
            unsafe { *size = length };
            Ok(())
        })
    }

    unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
        answer(ffi::SQLITE_IOERR_LOCK, || {
            // SAFETY: called by SQLite on an open file.
            let open = unsafe { open_file(file) };
            open.with(ffi::SQLITE_IOERR_LOCK, |disk, inode| {
                disk.inode(inode, ffi::SQLITE_IOERR_LOCK)?.lock(open.handle, level)
            })
        })
    }

    unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
        answer(ffi::SQLITE_IOERR_UNLOCK, || {
            // SAFETY: called by SQLite on an open file.
            let open = unsafe { open_file(file) };
            open.with(ffi::SQLITE_OK, |disk, inode| {
                disk.inode(inode, ffi::SQLITE_IOERR_UNLOCK)?.unlock(open.handle, level);
                Ok(())
            })
        })
    }

    unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, reserved: *mut c_int) -> c_int {
        answer(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, || {
            // SAFETY: called by SQLite on an open file.
            let open = unsafe { open_file(file) };
            let held = open.with(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK, |disk, inode| {
                let locks = &disk.inode(inode, ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)?.locks;
                Ok(locks.iter().any(|(_, level)| *level >= ffi::SQLITE_LOCK_RESERVED))
            })?;
            // SAFETY: SQLite gives a writable integer.
            unsafe { *reserved = c_int::from(held) };
            Ok(())
        })
    }

    unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
        ffi::SQLITE_NOTFOUND
    }

    unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
        c_int::try_from(SECTOR_BYTES).unwrap_or(c_int::MAX)
    }

    unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
        ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
    }

    unsafe extern "C" fn delete(
        _: *mut ffi::sqlite3_vfs,
        path: *const c_char,
        sync_directory: c_int,
    ) -> c_int {
        answer(ffi::SQLITE_IOERR_DELETE, || {
            // SAFETY: SQLite passes a NUL-terminated path.
            let (disk, name) = find(unsafe { text(path) }?).ok_or(ffi::SQLITE_IOERR_DELETE_NOENT)?;
            locked(&disk).delete(name, sync_directory != 0)
        })
    }

    unsafe extern "C" fn access(
        _: *mut ffi::sqlite3_vfs,
        path: *const c_char,
        question: c_int,
        result: *mut c_int,
    ) -> c_int {
        answer(ffi::SQLITE_IOERR_ACCESS, || {
            // SAFETY: SQLite passes a NUL-terminated path.
            let found = find(unsafe { text(path) }?);
            let exists = match found {
                Some((disk, name)) => locked(&disk).exists(name, question == ffi::SQLITE_ACCESS_EXISTS)?,
                None => false,
            };
            // SAFETY: SQLite gives a writable integer.
            unsafe { *result = c_int::from(exists) };
            Ok(())
        })
    }

    unsafe extern "C" fn full_pathname(
        _: *mut ffi::sqlite3_vfs,
        path: *const c_char,
        room_bytes: c_int,
        full: *mut c_char,
    ) -> c_int {
        answer(ffi::SQLITE_CANTOPEN, || {
            // SAFETY: SQLite passes a NUL-terminated path.
            let path = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
            if usize::try_from(room_bytes).is_ok_and(|room| path.len() <= room) {
                // SAFETY: `full` has room for `room_bytes` bytes, and is not part of `path`.
                unsafe { std::ptr::copy_nonoverlapping(path.as_ptr().cast::<c_char>(), full, path.len()) };
                Ok(())
            } else {
                Err(ffi::SQLITE_CANTOPEN)
            }
        })
    }

    /// SQLite asks only its default VFS for randomness, which this one never is.
    unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, bytes: c_int, out: *mut c_char) -> c_int {
        let Ok(count) = usize::try_from(bytes) else {
            return 0;
        };
        // SAFETY: SQLite gives `bytes` writable bytes.
        unsafe { std::ptr::write_bytes(out, 0x5a, count) };
        bytes
    }

    /// A busy time-out passes at once: nobody else runs meanwhile.
    unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, microseconds: c_int) -> c_int {
        microseconds
    }

    unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, julian_day: *mut f64) -> c_int {
        // SAFETY: SQLite gives a writable number.
        unsafe { *julian_day = JULIAN_DAY };
        ffi::SQLITE_OK
    }

    unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
        0
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::ErrorCode;

    use super::*;

    const FILE: &str = "tram.db";

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    /// A database with one table, in WAL with full syncs.
    fn database(disk: &Disk) -> Connection {
        let connection = disk.open(FILE).unwrap();
        let set_up = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
            CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;";
        connection.execute_batch(set_up).unwrap();
        connection
    }

    fn add(connection: &Connection, bytes: usize) -> rusqlite::Result<usize> {
        connection.execute("INSERT INTO note (body) VALUES (?1)", [vec![7_u8; bytes]])
    }

    fn count(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap()
    }

    fn code<T>(result: rusqlite::Result<T>) -> Option<ErrorCode> {
        result.err().and_then(|error| error.sqlite_error_code())
    }

    /// A file on a bare model, without SQLite.
    fn file(state: &mut DiskState, name: &str) -> InodeId {
        state.open(name, true, false).unwrap().0
    }

    fn contents(state: &mut DiskState, inode: InodeId, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        state.read(inode, 0, &mut bytes).unwrap();
        bytes
    }

    /// Restarts until the wanted survival rate is drawn.
    fn restart_with(state: &mut DiskState, survival_per_mille: u64) -> RestartReport {
        let wanted = |seed: &u64| {
            let drawn = rng(*seed).next_u32() as usize % SURVIVAL_PER_MILLE.len();
            SURVIVAL_PER_MILLE[drawn] == survival_per_mille
        };
        state.restart(&mut rng((0..).find(wanted).unwrap()))
    }

    #[test]
    fn write_ahead_logging_works_on_the_disk() {
        let disk = Disk::new();
        let connection = database(&disk);
        let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        add(&connection, 5_000).unwrap();
        assert_eq!(disk.files().keys().collect::<Vec<_>>(), [FILE, "tram.db-wal"]);
        drop(connection);
        assert_eq!(count(&database(&disk)), 1);
    }

    #[test]
    fn synced_bytes_survive_and_unsynced_ones_vanish_by_sector() {
        let mut state = DiskState::default();
        let inode = file(&mut state, "a");
        state.write(inode, 0, &[1; 2_048]).unwrap();
        state.sync(inode).unwrap();
        state.write(inode, 100, &[2; 1_000]).unwrap();
        let report = restart_with(&mut state, 0);
        assert_eq!((report.sectors_kept, report.sectors_lost), (0, 3));
        assert_eq!(contents(&mut state, inode, 2_048), vec![1; 2_048]);
    }

    #[test]
    fn a_partial_loss_is_a_mixture_of_whole_sectors() {
        let mut mixtures = 0;
        for seed in 0..200 {
            let mut state = DiskState::default();
            let inode = file(&mut state, "a");
            state.write(inode, 0, &[1; 8 * SECTOR_BYTES]).unwrap();
            state.sync(inode).unwrap();
            state.write(inode, 0, &[2; 8 * SECTOR_BYTES]).unwrap();
            let report = state.restart(&mut rng(seed));
            let bytes = contents(&mut state, inode, 8 * SECTOR_BYTES);
            let of = |value: u8| {
                bytes.chunks(SECTOR_BYTES).filter(|s| s.iter().all(|b| *b == value)).count() as u64
            };
            assert_eq!((of(1), of(2)), (report.sectors_lost, report.sectors_kept), "seed {seed}");
            assert_eq!(8 - of(1) - of(2), report.sectors_garbled, "seed {seed}");
            mixtures += u64::from(of(1) > 0 && of(2) > 0);
        }
        assert!(mixtures > 50, "only {mixtures} of 200 restarts mixed old and new sectors");
    }

    #[test]
    fn garbage_never_touches_synced_bytes_of_the_same_sector() {
        let mut garbled = 0;
        for seed in 0..2_000 {
            let mut state = DiskState::default();
            let inode = file(&mut state, "a");
            state.write(inode, 0, &[1; 300]).unwrap();
            state.sync(inode).unwrap();
            state.write(inode, 300, &[2; 100]).unwrap();
            garbled += state.restart(&mut rng(seed)).sectors_garbled;
            assert_eq!(contents(&mut state, inode, 300), vec![1; 300], "seed {seed}");
        }
        assert!(garbled > 5, "only {garbled} sectors were garbled");
    }

    #[test]
    fn the_operation_at_the_cut_fails_but_may_have_happened() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..40 {
            let disk = Disk::new();
            let mut state = locked(&disk.state);
            let inode = file(&mut state, "a");
            state.sync(inode).unwrap();
            state.cut_at = Some(2);
            assert_eq!(state.write(inode, 0, b"late"), Err(ffi::SQLITE_IOERR_WRITE));
            assert_eq!(state.sync(inode), Err(ffi::SQLITE_IOERR_FSYNC));
            assert_eq!(state.operations, 2, "an operation without power is none");
            state.restart(&mut rng(seed));
            outcomes.insert(state.length(inode));
        }
        assert_eq!(outcomes, [0, 4].into());
    }

    #[test]
    fn a_file_never_synced_may_be_missing_and_a_deletion_is_durable_after_any_sync() {
        let (mut missing, mut back) = (0, 0);
        for seed in 0..100 {
            let mut state = DiskState::default();
            let (old, other) = (file(&mut state, "old"), file(&mut state, "other"));
            state.sync(old).unwrap();
            state.sync(other).unwrap();
            state.delete("old", false).unwrap();
            file(&mut state, "new");
            let mut settled = state.inodes.keys().copied().collect::<Vec<_>>();
            settled.retain(|inode| *inode == old);
            assert_eq!(settled, [old], "an unsettled deletion keeps the file");
            if seed % 2 == 0 {
                state.sync(other).unwrap();
            }
            let report = state.restart(&mut rng(seed));
            let returned = state.directory.contains_key("old");
            assert!(!(returned && seed % 2 == 0), "seed {seed}: a deletion was undone after a sync");
            assert_eq!(report.files_returned, u64::from(returned));
            back += u64::from(returned);
            missing += u64::from(!state.directory.contains_key("new"));
            assert!(state.directory.contains_key("other"));
        }
        assert!(missing > 10 && back > 5, "{missing} missing, {back} came back");
    }

    #[test]
    fn after_a_failed_sync_later_syncs_save_only_what_is_written_again() {
        let mut state = DiskState::default();
        let inode = file(&mut state, "a");
        state.write(inode, 0, &[1; 1_024]).unwrap();
        state.sync(inode).unwrap();
        state.write(inode, 0, &[2; 1_024]).unwrap();
        state.fail_at[Operation::Sync as usize] = Some(2);
        assert_eq!(state.sync(inode), Err(ffi::SQLITE_IOERR_FSYNC));
        state.write(inode, 512, &[3; 512]).unwrap();
        state.sync(inode).unwrap();
        assert_eq!(contents(&mut state, inode, 1_024), [[2; 512], [3; 512]].concat(), "the cache has both");
        restart_with(&mut state, 0);
        assert_eq!(contents(&mut state, inode, 1_024), [[1; 512], [3; 512]].concat());
    }

    #[test]
    fn a_failed_sync_refuses_the_commit_and_the_store_recovers() {
        let disk = Disk::new();
        let connection = database(&disk);
        add(&connection, 100).unwrap();
        disk.fail_at(Operation::Sync, 1);
        assert_eq!(code(add(&connection, 100)), Some(ErrorCode::SystemIoFailure));
        disk.cut_now();
        drop(connection);
        disk.restart(&mut rng(5));
        let connection = database(&disk);
        assert!((1..=2).contains(&count(&connection)));
        add(&connection, 100).unwrap();
    }

    #[test]
    fn a_full_disk_refuses_and_recovers_when_space_is_freed() {
        let disk = Disk::new();
        let connection = database(&disk);
        add(&connection, 100).unwrap();
        disk.fill_up(20_000);
        let before = disk.used_bytes();
        let full = (0..100).map(|_| add(&connection, 1_000)).find(Result::is_err).unwrap();
        assert_eq!(code(full), Some(ErrorCode::DiskFull));
        assert!(disk.used_bytes() <= before + 20_000);
        let (stored, used) = (count(&connection), disk.used_bytes());
        assert!(stored > 1 && used > before);
        disk.free_space();
        add(&connection, 100_000).unwrap();
        assert_eq!(count(&connection), stored + 1);
    }

    #[test]
    fn a_flipped_bit_is_found_by_the_integrity_check_or_the_reader() {
        let disk = Disk::new();
        let connection = database(&disk);
        (0..50).for_each(|_| assert!(add(&connection, 500).is_ok()));
        drop(connection);
        // On the copy nothing is unsettled: a write-ahead log that came back would repair the page.
        let disk = Disk::from_snapshot(&disk.snapshot());
        // The cell count of the table's root page (the second page) tells how many children it has.
        disk.flip_bit(FILE, 4_096 + 4).unwrap();
        disk.restart(&mut rng(1));
        let connection = disk.open(FILE).unwrap();
        let verdict = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
        assert_ne!(verdict.ok().as_deref(), Some("ok"));
        let error = disk.flip_bit("missing.db", 3).unwrap_err();
        assert!(error.to_string().contains("`missing.db`"));
        assert!(disk.flip_bit(FILE, 1 << 40).is_err());
    }

    #[test]
    fn a_snapshot_is_an_old_backup_and_a_clone_goes_its_own_way() {
        let disk = Disk::new();
        let connection = database(&disk);
        add(&connection, 100).unwrap();
        let backup = disk.snapshot();
        add(&connection, 100).unwrap();
        let clone = Disk::from_snapshot(&backup);
        clone.cut_now();
        clone.restart(&mut rng(1));
        let other = database(&clone);
        assert_eq!((count(&connection), count(&other)), (2, 1));
        add(&other, 100).unwrap();
        add(&other, 100).unwrap();
        assert_eq!((count(&connection), count(&other)), (2, 3));
    }

    #[test]
    fn a_connection_from_before_the_restart_can_do_nothing() {
        let disk = Disk::new();
        let old = database(&disk);
        add(&old, 100).unwrap();
        disk.restart(&mut rng(3));
        let new = database(&disk);
        add(&new, 100).unwrap();
        assert!(add(&old, 100).is_err());
        let operations = disk.operations();
        drop(old);
        assert_eq!(disk.operations(), operations, "closing the old connection touched the new life's files");
        assert_eq!(count(&new), 2);
    }

    #[test]
    fn a_second_connection_is_kept_out_by_the_exclusive_lock() {
        let disk = Disk::new();
        let first = database(&disk);
        add(&first, 100).unwrap();
        let second = disk.open(FILE).unwrap();
        let result = second.query_row("SELECT count(*) FROM note", [], |row| row.get::<_, i64>(0));
        assert_eq!(code(result), Some(ErrorCode::DatabaseBusy));
        drop(first);
        assert_eq!(count(&second), 1);
    }

    #[test]
    fn a_dropped_disk_leaves_no_path_behind() {
        let disk = Disk::new();
        let path = disk.path(FILE);
        drop(database(&disk));
        drop(disk);
        let opened = Connection::open_with_flags_and_vfs(path, OpenFlags::SQLITE_OPEN_READ_WRITE, VFS_NAME);
        assert_eq!(code(opened), Some(ErrorCode::CannotOpen));
    }

    #[test]
    fn large_sorts_may_use_temporary_files() {
        let disk = Disk::new();
        let connection = database(&disk);
        let sorted: i64 = connection
            .query_row(
                "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
                SELECT count(*) FROM (
                    SELECT DISTINCT hex(i * 7919) || zeroblob(400) AS k FROM n ORDER BY k DESC)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(sorted, 20_000);
        assert_eq!(disk.files().keys().filter(|name| !name.starts_with(FILE)).count(), 0);
    }
}
