//! Attachments on the disk, sealed, each in a file that is named by its hash.
//!
//! ```text
//! content/whole/<hash>   complete: hashed, synced, renamed; what the store says is here
//! content/part/<hash>-<length>  on its way, sparse; beside it `.map`, one byte for each chunk that is safely there
//! content/new/<n>        a person's file that is being sealed
//! ```
//!
//! Nothing is here in the clear, and nothing is in `whole` that is not all there: a file is hashed, synced and renamed, its folder synced, and
//! only then does a transaction of the store say that it is here. What lies in `whole` and the store does not know is of no use to
//! anybody, and goes after a while ([`Contents::leftovers`]).

mod leftovers;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use schema::blob::{BlobRef, CHUNK_BYTES, Enclosure, FileRef};
use schema::id::BlobHash;

use crate::sealing::{SealFileError, hash_of, holds_file, seal_file};
use crate::step::{Found, Opening};

pub use leftovers::{FOUND_MAX, Leftover, LeftoversError, Swept, UNCLAIMED_FOR};

/// Chunks that are written before the disk is asked whether it has them; what a power cut takes at most.
const UNSYNCED_MAX: usize = 64;
/// On slow lines it is asked after this time.
const UNSYNCED_FOR: Duration = Duration::from_secs(5);
/// Bytes that attachments leave free on the disk: the store must still be able to record documents, receipts and the office's own work.
const RESERVED_BYTES: u64 = 8 * 1024 * 1024;
/// Attachments on their way whose missing chunks are kept in memory.
const PARTS_MAX: usize = 64;

/// Why something was not done with an attachment.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The disk does not do it.
    #[error("cannot {attempted} `{}` among the attachments", path.display())]
    Disk {
        /// What was attempted.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Lengths that cannot be.
    #[error("attachment `{blob}` of {length} bytes has no chunk {index} of {found} bytes")]
    Shape {
        /// The attachment.
        blob: BlobHash,
        /// Its length in bytes.
        length: u64,
        /// The chunk.
        index: u32,
        /// Its length in bytes, as found.
        found: usize,
    },
    /// A person's file is not sealed.
    #[error("the file could not be sealed")]
    Seal(#[from] SealFileError),
    /// Another file came than the one that was announced.
    #[error(
        "the file that came has {} bytes and hashes to `{}`, expected {} bytes and `{}`",
        found.length, found.hash, expected.length, expected.hash
    )]
    OtherFile {
        /// What came.
        found: FileRef,
        /// What was announced.
        expected: FileRef,
    },
    /// It is not here, or other bytes are here in its place.
    #[error("attachment `{blob}` is damaged: {found}")]
    Damaged {
        /// The attachment.
        blob: BlobHash,
        /// What was found.
        found: String,
    },
}

impl ContentError {
    /// Whether there is no room, or no more may be used.
    pub fn is_disk_full(&self) -> bool {
        let source = match self {
            Self::Disk { source, .. } | Self::Seal(SealFileError::File(source)) => source,
            _ => return false,
        };
        matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

/// The attachments of a station. Its calls block.
pub struct Contents {
    root: PathBuf,
    /// How many bytes its disk has for attachments.
    free: fn(&Path) -> io::Result<u64>,
    parts: Mutex<BTreeMap<BlobRef, Arc<Mutex<Part>>>>,
    sealing: AtomicU64,
    swept: Mutex<Swept>,
}

/// An attachment on its way.
struct Part {
    blob: BlobRef,
    missing: BTreeSet<u32>,
    /// Written, and not on the disk for sure.
    unsynced: Vec<u32>,
    synced_at: Instant,
}

impl Contents {
    /// Opens the folder, or makes it. What was being sealed when the station stopped is removed: nobody waits for it any more.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn open(root: &Path) -> Result<Self, ContentError> {
        for folder in ["whole", "part", "new"] {
            make_folder(&root.join(folder))?;
        }
        let new = root.join("new");
        for left in fs::read_dir(&new).map_err(disk("list", &new))? {
            let path = left.map_err(disk("list", &new))?.path();
            fs::remove_file(&path).map_err(disk("remove", &path))?;
        }
        let (free, parts) = (free_for_attachments as fn(&Path) -> _, Mutex::default());
        Ok(Self { root: root.to_owned(), free, parts, sealing: AtomicU64::new(0), swept: Mutex::default() })
    }

    /// How many bytes more attachments may use of the disk.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn room(&self) -> Result<u64, ContentError> {
        (self.free)(&self.root).map_err(disk("ask for the room below", &self.root))
    }

    fn check_room(&self, bytes: u64) -> Result<(), ContentError> {
        match bytes <= self.room()? {
            true => Ok(()),
            false => {
                Err(disk("find room for an attachment below", &self.root)(io::ErrorKind::StorageFull.into()))
            }
        }
    }

    /// The folder of what is complete.
    pub fn whole_folder(&self) -> PathBuf {
        whole_folder(&self.root)
    }

    /// Seals a person's file. When this returns, it is on the disk; the store does not know of it yet.
    ///
    /// # Errors
    /// When the file cannot be read to its end or is not the expected one, or the disk fails; nothing is left behind then.
    pub fn seal(&self, file: &mut dyn Read, expected: &FileRef) -> Result<Enclosure, ContentError> {
        let name = self.sealing.fetch_add(1, Ordering::Relaxed).to_string();
        let path = self.root.join("new").join(name);
        let sealed = self.seal_into(&path, file, expected);
        if sealed.is_err() {
            // Best effort: the next start removes it.
            let _ = fs::remove_file(&path);
        }
        sealed
    }

    fn seal_into(
        &self,
        path: &Path,
        file: &mut dyn Read,
        expected: &FileRef,
    ) -> Result<Enclosure, ContentError> {
        self.check_room(expected.length)?;
        let sealed = create(path)?;
        // One byte more, to see that there is more.
        let (found, enclosure) = seal_file(&mut file.take(expected.length + 1), &sealed)?;
        if found != *expected {
            return Err(ContentError::OtherFile { found, expected: *expected });
        }
        sealed.sync_all().map_err(disk("sync", path))?;
        self.place(path, &enclosure.blob.hash)?;
        Ok(enclosure)
    }

    fn place(&self, from: &Path, hash: &BlobHash) -> Result<(), ContentError> {
        let whole = self.whole_folder();
        let path = whole.join(hash.to_string());
        fs::rename(from, &path).map_err(disk("put in place", from))?;
        sync_folder(&whole).map_err(disk("sync", &whole))
    }

    /// A complete attachment, to be read; what it holds is checked by whoever opens it.
    ///
    /// # Errors
    /// When it is not here, or the disk fails.
    pub fn whole(&self, blob: &BlobRef) -> Result<File, ContentError> {
        open_whole(&self.whole_folder(), blob)
    }

    /// A chunk of a complete attachment.
    ///
    /// # Errors
    /// When it is not here, or the disk fails.
    pub fn chunk(&self, blob: &BlobRef, index: u32) -> Result<Vec<u8>, ContentError> {
        read_chunk(&self.whole(blob)?, blob, index)
    }

    /// Keeps a chunk of an attachment on its way.
    ///
    /// # Errors
    /// When there is no such chunk, or the disk fails.
    pub fn keep_chunk(&self, blob: &BlobRef, index: u32, bytes: &[u8]) -> Result<(), ContentError> {
        if blob.chunk_length(index) != Some(bytes.len()) {
            let BlobRef { hash: blob, length } = *blob;
            return Err(ContentError::Shape { blob, length, index, found: bytes.len() });
        }
        let part = self.part(blob)?;
        let mut part = lock(&part);
        if !part.missing.contains(&index) {
            return Ok(());
        }
        if self.has_whole(blob)? {
            self.forget(blob);
            return Ok(());
        }
        self.check_room(bytes.len() as u64)?;
        let path = self.part_path(blob);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(disk("open", &path))?;
        file.write_all_at(bytes, offset(index)).map_err(disk("write", &path))?;
        part.missing.remove(&index);
        part.unsynced.push(index);
        if part.unsynced.len() >= UNSYNCED_MAX || part.synced_at.elapsed() >= UNSYNCED_FOR {
            self.sync_part(&mut part, &file)?;
        }
        Ok(())
    }

    /// Has the disk keep what was written, then notes what it keeps. What it does not keep is missing again: the kernel says so only once.
    fn sync_part(&self, part: &mut Part, file: &File) -> Result<(), ContentError> {
        let path = self.part_path(&part.blob);
        if let Err(source) = file.sync_data() {
            part.missing.extend(part.unsynced.drain(..));
            return Err(disk("sync", &path)(source));
        }
        let path = map_path(&path);
        let map = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let map = map.map_err(disk("open", &path))?;
        for index in part.unsynced.drain(..) {
            map.write_all_at(&[1], u64::from(index)).map_err(disk("write", &path))?;
        }
        part.synced_at = Instant::now();
        Ok(())
    }

    /// Looks at what is here of an attachment. One whose chunks are all here is hashed, synced and put in place, and opened in each of
    /// these ways; one that has another hash is dropped.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn examine(&self, blob: &BlobRef, openings: &[Opening]) -> Result<Found, ContentError> {
        let path = self.part_path(blob);
        if self.has_whole(blob)? {
            // A crash may have come right after it got its name, which is not on the disk for sure then.
            let whole = self.whole_folder();
            sync_folder(&whole).map_err(disk("sync", &whole))?;
            self.remove_part(blob)?;
        } else {
            let part = self.part(blob)?;
            // Held to the end: a chunk that comes late must not be written into what was hashed already.
            let mut part = lock(&part);
            if !part.missing.is_empty() {
                return Ok(Found::Missing(part.missing.iter().copied().collect()));
            }
            let mut file =
                OpenOptions::new().read(true).write(true).open(&path).map_err(disk("open", &path))?;
            self.sync_part(&mut part, &file)?;
            let found = hash_of(&mut file).map_err(disk("read", &path))?;
            let is_it = found == (*blob.hash.as_bytes(), blob.length);
            if is_it {
                self.place(&path, &blob.hash)?;
            }
            self.remove_part(blob)?;
            self.forget(blob);
            if !is_it {
                return Ok(Found::Other);
            }
        }
        let mut opened = Vec::new();
        for opening in openings {
            let file = self.whole(blob)?;
            let holds = holds_file(&opening.enclosure.identity, file, &opening.file);
            opened.push((*opening, holds.map_err(disk("read", &self.whole_folder()))?));
        }
        Ok(Found::Whole(opened))
    }

    fn has_whole(&self, blob: &BlobRef) -> Result<bool, ContentError> {
        let path = self.whole_folder().join(blob.hash.to_string());
        match fs::metadata(&path) {
            Ok(found) => Ok(found.len() == blob.length),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(disk("look at", &path)(error)),
        }
    }

    fn part(&self, blob: &BlobRef) -> Result<Arc<Mutex<Part>>, ContentError> {
        let mut parts = lock(&self.parts);
        if let Some(part) = parts.get(blob) {
            return Ok(Arc::clone(part));
        }
        if parts.len() >= PARTS_MAX
            && let Some(idle) = parts.iter().find(|(_, part)| Arc::strong_count(part) == 1)
        {
            // What it had not synced is fetched again.
            let idle = *idle.0;
            parts.remove(&idle);
        }
        let path = self.part_path(blob);
        let map = map_path(&path);
        let kept = match fs::read(&map) {
            // A crash may leave it behind alone; then it says nothing.
            Ok(kept) if path.try_exists().map_err(disk("look at", &path))? => kept,
            Ok(_) => Vec::new(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(disk("read", &map)(error)),
        };
        let missing = |index: &u32| kept.get(*index as usize) != Some(&1);
        let missing = (0..blob.chunks()).filter(missing).collect();
        let part = Part { blob: *blob, missing, unsynced: Vec::new(), synced_at: Instant::now() };
        let part = Arc::new(Mutex::new(part));
        parts.insert(*blob, Arc::clone(&part));
        Ok(part)
    }

    fn forget(&self, blob: &BlobRef) {
        lock(&self.parts).remove(blob);
    }

    fn remove_part(&self, blob: &BlobRef) -> Result<(), ContentError> {
        let part = self.part_path(blob);
        for path in [map_path(&part), part] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(disk("remove", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn part_path(&self, blob: &BlobRef) -> PathBuf {
        self.root.join("part").join(format!("{}-{}", blob.hash, blob.length))
    }
}

/// Where the complete ones lie in the folder of a station's attachments.
pub fn whole_folder(root: &Path) -> PathBuf {
    root.join("whole")
}

/// Hashes a complete attachment anew.
///
/// # Errors
/// When it is not here, or is not what its name says.
pub fn check_whole(folder: &Path, blob: &BlobRef) -> Result<(), ContentError> {
    let mut file = open_whole(folder, blob)?;
    let (hash, length) = hash_of(&mut file).map_err(disk("read", &folder.join(blob.hash.to_string())))?;
    if (hash, length) == (*blob.hash.as_bytes(), blob.length) {
        return Ok(());
    }
    let found = format!("its bytes hash to `{}`", BlobHash::new(hash));
    Err(ContentError::Damaged { blob: blob.hash, found })
}

/// Brings a complete attachment from one folder into another, checked and synced; one that is there already stays. With `linked`, a
/// third folder on the same disk that may have it, nothing is copied.
///
/// # Errors
/// When it is not what its name says, or the disk fails.
pub fn bring(from: &Path, to: &Path, blob: &BlobRef, linked: Option<&Path>) -> Result<(), ContentError> {
    let name = blob.hash.to_string();
    let target = to.join(&name);
    let is_there = |path: &Path| fs::metadata(path).is_ok_and(|found| found.len() == blob.length);
    if is_there(&target) {
        return Ok(());
    }
    if let Some(linked) = linked.map(|folder| folder.join(&name)).filter(|path| is_there(path))
        && fs::hard_link(&linked, &target).is_ok()
    {
        return Ok(());
    }
    let mut source = open_whole(from, blob)?;
    let half = to.join(format!(".{name}.part"));
    let brought = (|| {
        let written = create(&half)?;
        io::copy(&mut source, &mut &written).map_err(disk("write", &half))?;
        written.sync_all().map_err(disk("sync", &half))?;
        let mut copy = File::open(&half).map_err(disk("open", &half))?;
        let (hash, length) = hash_of(&mut copy).map_err(disk("read", &half))?;
        if (hash, length) != (*blob.hash.as_bytes(), blob.length) {
            let found = format!("its bytes hash to `{}`", BlobHash::new(hash));
            return Err(ContentError::Damaged { blob: blob.hash, found });
        }
        fs::rename(&half, &target).map_err(disk("put in place", &half))
    })();
    if brought.is_err() {
        // Best effort: its name says that it is nothing.
        let _ = fs::remove_file(&half);
    }
    brought
}

/// Makes a folder that only its owner can look into, if there is none.
///
/// # Errors
/// When the disk fails.
pub fn make_folder(path: &Path) -> Result<(), ContentError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(disk("make", path))
}

/// A new name survives a power cut only once its folder is synced.
///
/// # Errors
/// When the disk fails. Some file systems of removable disks cannot sync a folder; they have nothing better to offer.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    match File::open(path)?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
            Ok(())
        }
        done => done,
    }
}

/// A chunk of a complete attachment that was opened.
///
/// # Errors
/// When there is no such chunk, or the disk fails.
pub fn read_chunk(file: &File, blob: &BlobRef, index: u32) -> Result<Vec<u8>, ContentError> {
    let BlobRef { hash, length } = *blob;
    let Some(bytes) = blob.chunk_length(index) else {
        return Err(ContentError::Shape { blob: hash, length, index, found: 0 });
    };
    let mut chunk = vec![0; bytes];
    let read = file.read_exact_at(&mut chunk, offset(index));
    read.map_err(|source| ContentError::Damaged { blob: hash, found: source.to_string() })?;
    Ok(chunk)
}

/// Opens a complete attachment for reading.
///
/// # Errors
/// When it is not here in its length, or the disk fails.
pub fn open_whole(folder: &Path, blob: &BlobRef) -> Result<File, ContentError> {
    let path = folder.join(blob.hash.to_string());
    let damaged = |found: String| ContentError::Damaged { blob: blob.hash, found };
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(damaged(format!("there is no file `{}`", path.display())));
        }
        file => file.map_err(disk("open", &path))?,
    };
    let length = file.metadata().map_err(disk("look at", &path))?.len();
    match length == blob.length {
        true => Ok(file),
        false => Err(damaged(format!("it has {length} bytes, expected {}", blob.length))),
    }
}

/// Bytes that are free on the disk of a folder beyond what is reserved.
fn free_for_attachments(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize).saturating_sub(RESERVED_BYTES))
}

fn create(path: &Path) -> Result<File, ContentError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.map_err(disk("create", path))
}

fn offset(index: u32) -> u64 {
    u64::from(index) * u64::from(CHUNK_BYTES)
}

fn map_path(part: &Path) -> PathBuf {
    part.with_extension("map")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn disk<'p>(attempted: &'static str, path: &'p Path) -> impl Fn(io::Error) -> ContentError + use<'p> {
    move |source| ContentError::Disk { attempted, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::id::FileHash;
    use sha2::{Digest, Sha256};

    const CHUNK: usize = CHUNK_BYTES as usize;

    fn contents() -> (tempfile::TempDir, Contents) {
        let folder = tempfile::tempdir().expect("a folder");
        let contents = Contents::open(folder.path()).expect("opened");
        (folder, contents)
    }

    fn blob_of(bytes: &[u8]) -> BlobRef {
        BlobRef { hash: BlobHash::new(Sha256::digest(bytes).into()), length: bytes.len() as u64 }
    }

    fn file_of(bytes: &[u8]) -> FileRef {
        FileRef { hash: FileHash::new(Sha256::digest(bytes).into()), length: bytes.len() as u64 }
    }

    fn chunks(bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
        (0..).zip(bytes.chunks(CHUNK))
    }

    fn names(folder: &Path) -> Vec<String> {
        let listed = fs::read_dir(folder).expect("a folder");
        listed.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    /// What one station seals, another has after it was given the chunks, in any order, some twice, with a restart in between.
    #[test]
    fn sealed_file_arrives_chunk_by_chunk_and_is_opened() {
        let (_here, sender) = contents();
        let (there, recipient) = contents();
        let bytes: Vec<u8> = (0..=250).cycle().take(3 * CHUNK + 9).collect();
        let file = file_of(&bytes);
        let enclosure = sender.seal(&mut &bytes[..], &file).expect("sealed");
        let (blob, opening) = (enclosure.blob, Opening { enclosure, file });
        let all: Vec<u32> = (0..blob.chunks()).collect();
        assert_eq!(recipient.examine(&blob, &[opening]).expect("looked"), Found::Missing(all));
        let give = |to: &Contents, index| {
            to.keep_chunk(&blob, index, &sender.chunk(&blob, index).expect("a chunk")).expect("kept");
        };
        for index in [2, 0, 2] {
            give(&recipient, index);
        }
        assert_eq!(recipient.examine(&blob, &[opening]).expect("looked"), Found::Missing(vec![1, 3]));
        assert!(recipient.whole(&blob).is_err(), "a part is shown");
        // Nothing was synced yet, so after a crash all of it is fetched again; what was synced is not.
        drop(recipient);
        let recipient = Contents::open(there.path()).expect("opened");
        assert_eq!(recipient.examine(&blob, &[]).expect("looked"), Found::Missing(vec![0, 1, 2, 3]));
        (0..4).for_each(|index| give(&recipient, index));
        let found = recipient.examine(&blob, &[opening]).expect("looked");
        assert_eq!(found, Found::Whole(vec![(opening, true)]));
        assert!(names(&there.path().join("part")).is_empty());
        let other = Opening { file: FileRef { length: 1, ..file }, ..opening };
        let found = recipient.examine(&blob, &[other]).expect("looked");
        assert_eq!(found, Found::Whole(vec![(other, false)]), "the document names another file");
    }

    /// A relay that answers late, with something else.
    #[test]
    fn chunk_that_comes_late_changes_nothing_that_was_looked_at() {
        let (folder, contents) = contents();
        let bytes: Vec<u8> = (0..=250).cycle().take(40 * CHUNK).collect();
        for n in 0..20 {
            let bytes = [&[n][..], &bytes].concat();
            let blob = blob_of(&bytes);
            chunks(&bytes).for_each(|(index, chunk)| contents.keep_chunk(&blob, index, chunk).expect("kept"));
            std::thread::scope(|scope| {
                scope.spawn(|| contents.examine(&blob, &[]).expect("looked"));
                for index in 0..blob.chunks() - 1 {
                    contents.keep_chunk(&blob, index, &[7; CHUNK]).expect("passed over");
                }
            });
            assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Whole(vec![]));
            check_whole(&contents.whole_folder(), &blob).expect("sound");
        }
        assert!(names(&folder.path().join("part")).is_empty(), "a late chunk began it anew");
    }

    #[test]
    fn what_was_synced_is_not_fetched_again_after_a_crash() {
        let (folder, contents) = contents();
        let bytes = vec![7; (UNSYNCED_MAX + 3) * CHUNK];
        let blob = blob_of(&bytes);
        for (index, chunk) in chunks(&bytes).take(UNSYNCED_MAX + 1) {
            contents.keep_chunk(&blob, index, chunk).expect("kept");
        }
        drop(contents);
        let contents = Contents::open(folder.path()).expect("opened");
        let rest: Vec<u32> = (64..blob.chunks()).collect();
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Missing(rest));
    }

    /// Whatever a crash leaves beside a complete attachment or without one.
    #[test]
    fn note_of_chunks_that_outlived_them_says_nothing_and_is_removed() {
        let (folder, contents) = contents();
        let bytes = vec![7; UNSYNCED_MAX * CHUNK];
        let blob = blob_of(&bytes);
        let part = contents.part_path(&blob);
        let give = |contents: &Contents| {
            chunks(&bytes).for_each(|(index, chunk)| contents.keep_chunk(&blob, index, chunk).expect("kept"));
        };
        give(&contents);
        fs::remove_file(&part).expect("removed");
        assert_eq!(names(&folder.path().join("part")).len(), 1, "no note of what was synced");
        let contents = Contents::open(folder.path()).expect("opened");
        let all: Vec<u32> = (0..blob.chunks()).collect();
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Missing(all));
        give(&contents);
        fs::rename(&part, contents.whole_folder().join(blob.hash.to_string())).expect("put in place");
        let contents = Contents::open(folder.path()).expect("opened");
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Whole(vec![]));
        assert!(names(&folder.path().join("part")).is_empty(), "the note is left behind");
    }

    #[test]
    fn attachments_leave_room_for_the_store_and_go_on_once_there_is_more() {
        let (folder, contents) = contents();
        let bytes = vec![7; 3 * CHUNK];
        let (blob, file) = (blob_of(&bytes), file_of(&bytes));
        contents.keep_chunk(&blob, 0, &bytes[..CHUNK]).expect("kept");
        let contents = Contents { free: |_| Ok(CHUNK as u64), ..contents };
        contents.keep_chunk(&blob, 1, &bytes[..CHUNK]).expect("just enough");
        let contents = Contents { free: |_| Ok(CHUNK as u64 - 1), ..contents };
        assert!(contents.keep_chunk(&blob, 2, &bytes[..CHUNK]).expect_err("no room").is_disk_full());
        assert!(contents.seal(&mut &bytes[..], &file).expect_err("no room").is_disk_full());
        assert!(names(&folder.path().join("new")).is_empty());
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Missing(vec![2]));
        let contents = Contents { free: |_| Ok(1 << 30), ..contents };
        contents.keep_chunk(&blob, 2, &bytes[..CHUNK]).expect("kept");
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Whole(vec![]));
        contents.seal(&mut &bytes[..], &file).expect("sealed");
    }

    /// A device takes what is written to it, and says that it cannot keep it.
    #[test]
    fn what_the_disk_did_not_keep_is_missing_again() {
        let (_folder, contents) = contents();
        let bytes = vec![7; (UNSYNCED_MAX + 3) * CHUNK];
        let blob = blob_of(&bytes);
        let part = contents.part_path(&blob);
        std::os::unix::fs::symlink("/dev/null", &part).expect("linked");
        for (index, chunk) in chunks(&bytes).take(UNSYNCED_MAX - 1) {
            contents.keep_chunk(&blob, index, chunk).expect("kept");
        }
        let last = contents.keep_chunk(&blob, 63, &bytes[..CHUNK]);
        assert!(matches!(last, Err(ContentError::Disk { attempted: "sync", .. })), "{last:?}");
        fs::remove_file(&part).expect("removed");
        let all: Vec<u32> = (0..blob.chunks()).collect();
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Missing(all));
        chunks(&bytes).for_each(|(index, chunk)| contents.keep_chunk(&blob, index, chunk).expect("kept"));
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Whole(vec![]));
    }

    #[test]
    fn false_chunk_is_found_out_and_all_are_fetched_again() {
        let (folder, contents) = contents();
        let bytes = vec![1; 2 * CHUNK];
        let blob = blob_of(&bytes);
        contents.keep_chunk(&blob, 0, &bytes[..CHUNK]).expect("kept");
        contents.keep_chunk(&blob, 1, &[2; CHUNK]).expect("kept");
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Other);
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Missing(vec![0, 1]));
        assert!(names(&folder.path().join("part")).is_empty());
        for (index, wrong) in [(0, 5), (2, CHUNK), (u32::MAX, 0)] {
            let refused = contents.keep_chunk(&blob, index, &vec![1; wrong]);
            assert!(matches!(refused, Err(ContentError::Shape { .. })));
        }
        chunks(&bytes).for_each(|(index, chunk)| contents.keep_chunk(&blob, index, chunk).expect("kept"));
        assert_eq!(contents.examine(&blob, &[]).expect("looked"), Found::Whole(vec![]));
        check_whole(&contents.whole_folder(), &blob).expect("sound");
    }

    #[test]
    fn file_that_is_cut_while_it_is_sealed_leaves_nothing_behind() {
        struct Cut(usize);
        impl Read for Cut {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::ConnectionReset)?;
                Ok(into.len())
            }
        }
        let (folder, contents) = contents();
        let file = FileRef { hash: FileHash::new([1; 32]), length: 1 << 30 };
        assert!(matches!(contents.seal(&mut Cut(5), &file), Err(ContentError::Seal(_))));
        for length in [2, 3, 4] {
            let file = FileRef { length, ..file };
            let refused = contents.seal(&mut &b"abc"[..], &file);
            assert!(matches!(refused, Err(ContentError::OtherFile { found, .. }) if found.length == 3));
        }
        for place in ["new", "whole"] {
            assert!(names(&folder.path().join(place)).is_empty(), "something is left in {place}");
        }
        fs::write(folder.path().join("new/0"), "a crash").expect("written");
        Contents::open(folder.path()).expect("opened");
        assert!(names(&folder.path().join("new")).is_empty());
    }

    #[test]
    fn damage_is_named_and_is_not_brought_anywhere() {
        let (_from, from) = contents();
        let (_to, to) = contents();
        let file = file_of(b"Phu luc");
        let Enclosure { blob, .. } = from.seal(&mut &b"Phu luc"[..], &file).expect("sealed");
        let (from, to) = (from.whole_folder(), to.whole_folder());
        bring(&from, &to, &blob, None).expect("brought");
        check_whole(&to, &blob).expect("sound");
        let path = from.join(blob.hash.to_string());
        let mut bytes = fs::read(&path).expect("read");
        bytes[9] ^= 1;
        fs::write(&path, &bytes).expect("written");
        assert!(matches!(check_whole(&from, &blob), Err(ContentError::Damaged { .. })));
        bring(&from, &to, &blob, None).expect("there already");
        fs::remove_file(to.join(blob.hash.to_string())).expect("removed");
        assert!(matches!(bring(&from, &to, &blob, None), Err(ContentError::Damaged { .. })));
        assert!(names(&to).is_empty());
        fs::write(&path, "short").expect("written");
        assert!(matches!(check_whole(&from, &blob), Err(ContentError::Damaged { .. })));
        fs::remove_file(&path).expect("removed");
        assert!(matches!(check_whole(&from, &blob), Err(ContentError::Damaged { .. })));
    }
}
