//! The content store: attachments by their hash, on disk, as a cache.
//!
//! Nothing here is synced and nothing here is the only copy: the sender's node keeps its attachments. A chunk
//! becomes part of an attachment only for its uploader; an attachment is given out only after all of its
//! bytes had the hash that names it.
//!
//! ```text
//! content/whole/<hash>                     complete, checked
//! content/part/<uploader>/<hash>-<length>  incomplete, sparse; beside it `.map`, one byte for each chunk
//! content/check/<n>                        complete, being checked
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use schema::blob::{BLOB_BYTES_MAX, BlobRef, CHUNK_BYTES, MISSING_MAX};
use schema::id::BlobHash;
use sha2::{Digest as _, Sha256};

use crate::disk::free_for_attachments;

/// Whose chunks came from peer relays, on request of an addressee here.
pub(crate) const FROM_PEERS: &str = "peers";

/// Why a chunk or an attachment is not kept.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// Lengths that cannot be.
    #[error("attachment `{blob}` of {length} bytes has no chunk {index} of {found} bytes")]
    Shape {
        /// The attachment.
        blob: BlobHash,
        /// Its length in bytes, as claimed.
        length: u64,
        /// The chunk.
        index: u32,
        /// Its length in bytes, as found.
        found: usize,
    },
    /// All chunks are here, and they are something else.
    #[error("the chunks of attachment `{blob}` do not have that hash; upload it again from the start")]
    Hash {
        /// The attachment.
        blob: BlobHash,
    },
    /// There is no room.
    #[error("attachment `{blob}` of {length} bytes is larger than the {max} bytes set aside here")]
    NoRoom {
        /// The attachment.
        blob: BlobHash,
        /// Its length in bytes.
        length: u64,
        /// The bound in bytes.
        max: u64,
    },
    /// The disk is nearly full.
    #[error(
        "attachment `{blob}` of {length} bytes needs {needed} more, and the relay's disk has {free} bytes left for attachments; \
        its operator must make room"
    )]
    DiskFull {
        /// The attachment.
        blob: BlobHash,
        /// Its length in bytes.
        length: u64,
        /// What it needs beside what is here, in bytes.
        needed: u64,
        /// What may be used, in bytes.
        free: u64,
    },
    /// The disk fails.
    #[error("cannot {attempted} `{path}` in the content store")]
    Disk {
        /// What was attempted.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The store. Its calls block; chunks are small, and the check of a whole attachment holds no lock.
pub struct Content {
    root: PathBuf,
    whole_bytes_max: u64,
    partial_bytes_max: u64,
    /// How many bytes its disk has for attachments.
    free: fn(&Path) -> io::Result<u64>,
    index: Mutex<Index>,
}

type PartialKey = (String, BlobHash, u64);

#[derive(Default)]
struct Index {
    /// Rises with each entry, so that the oldest is the smallest.
    clock: u64,
    whole: BTreeMap<BlobHash, Whole>,
    whole_by_age: BTreeMap<u64, BlobHash>,
    whole_bytes: u64,
    partial: BTreeMap<PartialKey, Partial>,
    partial_by_age: BTreeMap<u64, PartialKey>,
    /// Complete and being checked. A chunk that comes once more meanwhile must not begin the attachment anew.
    checking: BTreeSet<PartialKey>,
}

struct Whole {
    length: u64,
    age: u64,
}

struct Partial {
    have: Vec<bool>,
    missing: usize,
    age: u64,
}

impl Content {
    /// Opens the store and looks at what is there.
    ///
    /// # Errors
    /// When its folders cannot be made or read.
    pub fn open(root: &Path, whole_bytes_max: u64, partial_bytes_max: u64) -> Result<Self, ContentError> {
        for folder in ["whole", "part", "check"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(disk("make", &path))?;
        }
        let store = Self::open_to_read(root, whole_bytes_max, partial_bytes_max)?;
        // Unfinished checks: the chunks come again.
        for entry in list(&root.join("check"))? {
            let _ = fs::remove_file(entry);
        }
        store.find_partial()?;
        Ok(store)
    }

    /// Opens the complete attachments only, beside a relay that is running; changes nothing.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open_to_read(
        root: &Path,
        whole_bytes_max: u64,
        partial_bytes_max: u64,
    ) -> Result<Self, ContentError> {
        let index = Mutex::new(Index::default());
        let free = free_for_attachments;
        let store = Self { root: root.to_owned(), whole_bytes_max, partial_bytes_max, free, index };
        store.find_whole()?;
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_whole(&self) -> Result<(), ContentError> {
        let mut found = Vec::new();
        for path in list(&self.root.join("whole"))? {
            // Gone since it was listed: it gave way to a newer one.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if let Some(hash) =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok())
            {
                found.push((metadata.modified().ok(), hash, metadata.len()));
            }
        }
        found.sort();
        let mut index = self.lock();
        for (_, hash, length) in found {
            index.keep(hash, length);
        }
        Ok(())
    }

    fn find_partial(&self) -> Result<(), ContentError> {
        for folder in list(&self.root.join("part"))? {
            let Some(uploader) = folder.file_name().and_then(|name| name.to_str()).map(str::to_owned) else {
                continue;
            };
            for path in list(&folder)? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let Some((hash, length)) = name.strip_suffix(".map").and_then(|name| name.split_once('-'))
                else {
                    continue;
                };
                let (Ok(hash), Ok(length)) = (hash.parse(), length.parse()) else { continue };
                let blob = BlobRef { hash, length };
                let map = fs::read(&path).map_err(disk("read", &path))?;
                if fits(&blob) && map.len() == blob.chunks() as usize {
                    let have: Vec<bool> = map.iter().map(|byte| *byte == 1).collect();
                    self.lock().begin((uploader.clone(), hash, length), have);
                } else {
                    let _ = fs::remove_file(&path);
                    let _ = fs::remove_file(path.with_extension(""));
                }
            }
        }
        Ok(())
    }

    /// How many complete attachments there are, and their bytes.
    pub fn size(&self) -> (u64, u64) {
        let index = self.lock();
        (index.whole.len() as u64, index.whole_bytes)
    }

    /// Which chunks this uploader must still bring, at most [`MISSING_MAX`]; none when the attachment is
    /// here, whoever brought it.
    ///
    /// # Errors
    /// When it can never be kept here, or not now.
    pub fn missing(&self, uploader: &str, blob: &BlobRef) -> Result<Vec<u32>, ContentError> {
        self.check_room(blob)?;
        let index = self.lock();
        if index.holds(blob) {
            return Ok(Vec::new());
        }
        let key = (uploader.to_owned(), blob.hash, blob.length);
        let here = index.partial.get(&key).map_or(0, |partial| partial.have.len() - partial.missing);
        let here = (here as u64 * u64::from(CHUNK_BYTES)).min(blob.length);
        let (needed, free) = (blob.length - here, self.free()?);
        // Nothing gives way to a mere offer.
        if needed > free + index.whole_bytes {
            return Err(ContentError::DiskFull { blob: blob.hash, length: blob.length, needed, free });
        }
        let partial = index.partial.get(&key);
        let lacks = |chunk: &u32| partial.is_none_or(|partial| !partial.have[*chunk as usize]);
        Ok((0..blob.chunks()).filter(lacks).take(MISSING_MAX).collect())
    }

    /// Keeps a chunk; when it was the last one, checks the whole.
    ///
    /// # Errors
    /// When the chunk does not fit, the whole has another hash, or the disk fails.
    pub fn store(
        &self,
        uploader: &str,
        blob: &BlobRef,
        index: u32,
        bytes: &[u8],
    ) -> Result<(), ContentError> {
        self.check_room(blob)?;
        if blob.chunk_length(index) != Some(bytes.len()) {
            let BlobRef { hash, length } = *blob;
            return Err(ContentError::Shape { blob: hash, length, index, found: bytes.len() });
        }
        let key = (uploader.to_owned(), blob.hash, blob.length);
        let part = self.part_path(&key);
        let checked = {
            let mut held = self.lock();
            if held.holds(blob) || held.checking.contains(&key) {
                return Ok(());
            }
            self.make_disk_room(&mut held, blob, bytes.len() as u64)?;
            if !held.partial.contains_key(&key) {
                self.make_partial_room(&mut held, uploader, blob.length);
                if let Some(folder) = part.parent() {
                    fs::create_dir_all(folder).map_err(disk("make", folder))?;
                }
                let have = vec![false; blob.chunks() as usize];
                let map = map_path(&part);
                fs::write(&map, vec![0; have.len()]).map_err(disk("write", &map))?;
                let file = File::create(&part).map_err(disk("make", &part))?;
                file.set_len(blob.length).map_err(disk("make", &part))?;
                held.begin(key.clone(), have);
            }
            let written = write_at(&part, u64::from(index) * u64::from(CHUNK_BYTES), bytes)
                .and_then(|()| write_at(&map_path(&part), u64::from(index), &[1]));
            if let Err(error) = written {
                // Somebody cleared the folder: the next chunk begins anew instead of failing for ever. Of a full disk nothing is thrown
                // away, or all of it would come over the line again and again.
                if matches!(&error, ContentError::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound)
                {
                    held.end(&key);
                    self.remove_part(&key);
                }
                return Err(error);
            }
            if !held.arrived(&key, index) {
                return Ok(());
            }
            // Out of the way of other uploads before anybody else may look.
            let checked = self.root.join("check").join(held.clock.to_string());
            held.clock += 1;
            fs::rename(&part, &checked).map_err(disk("move", &part))?;
            self.remove_part(&key);
            held.checking.insert(key.clone());
            checked
        };
        let promoted = self.promote(&checked, blob);
        self.lock().checking.remove(&key);
        promoted
    }

    /// A chunk of a complete attachment, or one that came from a peer. The reader checks the whole.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn chunk(&self, blob: &BlobRef, index: u32) -> Result<Option<Vec<u8>>, ContentError> {
        let Some(length) = blob.chunk_length(index) else { return Ok(None) };
        let key = (FROM_PEERS.to_owned(), blob.hash, blob.length);
        let path = {
            let held = self.lock();
            if held.holds(blob) {
                self.whole_path(&blob.hash)
            } else if held.partial.get(&key).is_some_and(|partial| partial.have[index as usize]) {
                self.part_path(&key)
            } else {
                return Ok(None);
            }
        };
        let mut bytes = vec![0; length];
        let read = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(u64::from(index) * u64::from(CHUNK_BYTES)))?;
            file.read_exact(&mut bytes)
        });
        match read {
            Ok(()) => Ok(Some(bytes)),
            // Gave way to a newer one a moment ago, or somebody cleared the folder.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
                self.forget(&blob.hash);
                Ok(None)
            }
            Err(error) => Err(disk("read", &path)(error)),
        }
    }

    fn check_room(&self, blob: &BlobRef) -> Result<(), ContentError> {
        let BlobRef { hash, length } = *blob;
        let max = self.whole_bytes_max.min(self.partial_bytes_max).min(BLOB_BYTES_MAX);
        if length == 0 || length > max {
            return Err(ContentError::NoRoom { blob: hash, length, max });
        }
        Ok(())
    }

    fn free(&self) -> Result<u64, ContentError> {
        (self.free)(&self.root).map_err(disk("ask for the room below", &self.root))
    }

    /// The oldest complete attachments give way to one that needs so many bytes more than are left on the disk for attachments.
    fn make_disk_room(&self, held: &mut Index, blob: &BlobRef, needed: u64) -> Result<(), ContentError> {
        loop {
            let free = self.free()?;
            if needed <= free {
                return Ok(());
            }
            let Some((_, oldest)) = held.whole_by_age.first_key_value() else {
                return Err(ContentError::DiskFull { blob: blob.hash, length: blob.length, needed, free });
            };
            let oldest = *oldest;
            held.drop_whole(&oldest);
            let _ = fs::remove_file(self.whole_path(&oldest));
        }
    }

    /// The oldest incomplete uploads give way: first the uploader's own, then anybody's.
    fn make_partial_room(&self, held: &mut Index, uploader: &str, length: u64) {
        let bytes = |held: &Index, of: Option<&str>| -> u64 {
            held.partial
                .keys()
                .filter(|(by, ..)| of.is_none_or(|of| of == by))
                .map(|(.., length)| *length)
                .sum()
        };
        for (of, max) in [(Some(uploader), self.partial_bytes_max), (None, self.whole_bytes_max)] {
            while bytes(held, of) + length > max {
                let oldest = held.partial_by_age.iter().find(|(_, (by, ..))| of.is_none_or(|of| of == by));
                let Some(key) = oldest.map(|(_, key)| key.clone()) else { break };
                held.end(&key);
                self.remove_part(&key);
            }
        }
    }

    fn promote(&self, checked: &Path, blob: &BlobRef) -> Result<(), ContentError> {
        if hash_of(checked)? != blob.hash {
            let _ = fs::remove_file(checked);
            return Err(ContentError::Hash { blob: blob.hash });
        }
        let whole = self.whole_path(&blob.hash);
        let mut held = self.lock();
        while held.whole_bytes + blob.length > self.whole_bytes_max {
            let Some((_, oldest)) = held.whole_by_age.first_key_value() else { break };
            let oldest = *oldest;
            held.drop_whole(&oldest);
            let _ = fs::remove_file(self.whole_path(&oldest));
        }
        fs::rename(checked, &whole).map_err(disk("move", checked))?;
        held.keep(blob.hash, blob.length);
        Ok(())
    }

    fn forget(&self, hash: &BlobHash) {
        self.lock().drop_whole(hash);
    }

    fn remove_part(&self, key: &PartialKey) {
        let part = self.part_path(key);
        let _ = fs::remove_file(map_path(&part));
        let _ = fs::remove_file(part);
    }

    fn whole_path(&self, hash: &BlobHash) -> PathBuf {
        self.root.join("whole").join(hash.to_string())
    }

    fn part_path(&self, (uploader, hash, length): &PartialKey) -> PathBuf {
        self.root.join("part").join(uploader).join(format!("{hash}-{length}"))
    }
}

impl Index {
    fn holds(&self, blob: &BlobRef) -> bool {
        self.whole.get(&blob.hash).is_some_and(|whole| whole.length == blob.length)
    }

    fn keep(&mut self, hash: BlobHash, length: u64) {
        self.drop_whole(&hash);
        self.clock += 1;
        self.whole.insert(hash, Whole { length, age: self.clock });
        self.whole_by_age.insert(self.clock, hash);
        self.whole_bytes += length;
    }

    fn drop_whole(&mut self, hash: &BlobHash) {
        if let Some(whole) = self.whole.remove(hash) {
            self.whole_by_age.remove(&whole.age);
            self.whole_bytes -= whole.length;
        }
    }

    fn begin(&mut self, key: PartialKey, have: Vec<bool>) {
        self.clock += 1;
        let missing = have.iter().filter(|have| !**have).count();
        self.partial_by_age.insert(self.clock, key.clone());
        self.partial.insert(key, Partial { have, missing, age: self.clock });
    }

    fn end(&mut self, key: &PartialKey) {
        if let Some(partial) = self.partial.remove(key) {
            self.partial_by_age.remove(&partial.age);
        }
    }

    /// Notes a chunk; says whether the attachment is complete, and then it is no longer an incomplete one.
    fn arrived(&mut self, key: &PartialKey, index: u32) -> bool {
        let Some(partial) = self.partial.get_mut(key) else { return false };
        if !std::mem::replace(&mut partial.have[index as usize], true) {
            partial.missing -= 1;
        }
        let complete = partial.missing == 0;
        if complete {
            self.end(key);
        }
        complete
    }
}

fn fits(blob: &BlobRef) -> bool {
    (1..=BLOB_BYTES_MAX).contains(&blob.length)
}

fn map_path(part: &Path) -> PathBuf {
    part.with_extension("map")
}

fn disk<'p>(attempted: &'static str, path: &'p Path) -> impl Fn(io::Error) -> ContentError + use<'p> {
    move |source| ContentError::Disk { attempted, path: path.to_owned(), source }
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, ContentError> {
    let entries = fs::read_dir(folder).map_err(disk("list", folder))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

fn write_at(path: &Path, at: u64, bytes: &[u8]) -> Result<(), ContentError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    };
    write().map_err(disk("write", path))
}

fn hash_of(path: &Path) -> Result<BlobHash, ContentError> {
    let read = || {
        let (mut file, mut hash) = (File::open(path)?, Sha256::new());
        let mut bytes = vec![0; CHUNK_BYTES as usize];
        loop {
            let count = file.read(&mut bytes)?;
            if count == 0 {
                return Ok(BlobHash::new(hash.finalize().into()));
            }
            hash.update(&bytes[..count]);
        }
    };
    read().map_err(disk("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob_of(bytes: &[u8]) -> BlobRef {
        BlobRef { hash: BlobHash::new(Sha256::digest(bytes).into()), length: bytes.len() as u64 }
    }

    fn upload(content: &Content, uploader: &str, blob: &BlobRef, bytes: &[u8]) -> Result<(), ContentError> {
        for (index, chunk) in (0..).zip(bytes.chunks(CHUNK_BYTES as usize)) {
            content.store(uploader, blob, index, chunk)?;
        }
        Ok(())
    }

    fn large(fill: u8) -> Vec<u8> {
        vec![fill; CHUNK_BYTES as usize * 3 + 7]
    }

    #[test]
    fn attachment_is_given_out_only_when_complete_and_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), 1 << 20, 1 << 20).expect("opened");
        let (bytes, blob) = (large(1), blob_of(&large(1)));
        content
            .store("a", &blob, 2, &bytes[2 * CHUNK_BYTES as usize..3 * CHUNK_BYTES as usize])
            .expect("kept");
        assert_eq!(content.missing("a", &blob).expect("known"), [0, 1, 3]);
        assert_eq!(content.missing("b", &blob).expect("known"), [0, 1, 2, 3]);
        assert_eq!(content.chunk(&blob, 2).expect("readable"), None);
        upload(&content, "a", &blob, &bytes).expect("kept");
        assert!(content.missing("b", &blob).expect("known").is_empty());
        assert_eq!(content.chunk(&blob, 3).expect("readable"), Some(vec![1; 7]));
    }

    #[test]
    fn upload_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let (bytes, blob) = (large(1), blob_of(&large(1)));
        let content = Content::open(folder.path(), 1 << 20, 1 << 20).expect("opened");
        content.store("a", &blob, 0, &bytes[..CHUNK_BYTES as usize]).expect("kept");
        drop(content);
        let content = Content::open(folder.path(), 1 << 20, 1 << 20).expect("opened");
        assert_eq!(content.missing("a", &blob).expect("known"), [1, 2, 3]);
        upload(&content, "a", &blob, &bytes).expect("kept");
        drop(content);
        let content = Content::open(folder.path(), 1 << 20, 1 << 20).expect("opened");
        assert_eq!(content.chunk(&blob, 3).expect("readable"), Some(vec![1; 7]));
        assert_eq!(content.size(), (1, blob.length));
    }

    /// Several addressees fetch one attachment at once, and each answer of a peer is stored.
    #[test]
    fn chunks_that_come_several_times_at_once_make_one_attachment() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), 1 << 30, 1 << 30).expect("opened");
        for fill in 0..100 {
            let (bytes, blob) = (large(fill), blob_of(&large(fill)));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| upload(&content, FROM_PEERS, &blob, &bytes).expect("kept"));
                }
            });
            // The last to come may have been told that another is checking; the check has ended with its thread.
            assert_eq!(content.chunk(&blob, 3).expect("readable"), Some(vec![fill; 7]));
        }
        assert!(list(&folder.path().join("part").join(FROM_PEERS)).expect("listed").is_empty());
    }

    #[test]
    fn incomplete_attachment_whose_file_was_cleared_away_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), 1 << 20, 1 << 20).expect("opened");
        let (bytes, blob) = (large(1), blob_of(&large(1)));
        content.store("a", &blob, 0, &bytes[..CHUNK_BYTES as usize]).expect("kept");
        fs::remove_dir_all(folder.path().join("part/a")).expect("cleared");
        upload(&content, "a", &blob, &bytes).expect_err("the file is gone");
        upload(&content, "a", &blob, &bytes).expect("kept");
        assert_eq!(content.chunk(&blob, 3).expect("readable"), Some(vec![1; 7]));
    }

    #[test]
    fn false_chunk_spoils_only_its_uploaders_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), 1 << 20, 1 << 20).expect("opened");
        let (bytes, blob) = (large(1), blob_of(&large(1)));
        assert!(matches!(upload(&content, "a", &blob, &large(2)), Err(ContentError::Hash { .. })));
        assert_eq!(content.missing("a", &blob).expect("known").len(), 4);
        upload(&content, "b", &blob, &bytes).expect("kept");
        assert!(content.missing("a", &blob).expect("known").is_empty());
    }

    #[test]
    fn chunk_that_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), 1 << 20, 1 << 20).expect("opened");
        let blob = blob_of(&large(1));
        for (index, bytes) in [(0, vec![1; 5]), (4, vec![1; 7]), (u32::MAX, vec![])] {
            assert!(matches!(content.store("a", &blob, index, &bytes), Err(ContentError::Shape { .. })));
        }
        let huge = BlobRef { length: u64::MAX, ..blob };
        assert!(matches!(content.store("a", &huge, 0, &[]), Err(ContentError::NoRoom { .. })));
    }

    #[test]
    fn oldest_attachment_gives_way_when_the_store_is_full() {
        let folder = tempfile::tempdir().expect("a folder");
        let length = large(0).len() as u64;
        let content = Content::open(folder.path(), 2 * length, 2 * length).expect("opened");
        let blobs: Vec<_> = (1..=3).map(|fill| (large(fill), blob_of(&large(fill)))).collect();
        for (bytes, blob) in &blobs {
            upload(&content, "a", blob, bytes).expect("kept");
        }
        assert_eq!(content.size(), (2, 2 * length));
        assert_eq!(content.chunk(&blobs[0].1, 0).expect("readable"), None);
        assert!(content.chunk(&blobs[2].1, 0).expect("readable").is_some());
    }

    /// The test's disk has room for three chunks; each file on it takes from that what it is long.
    #[test]
    fn attachments_leave_the_disk_to_mail_and_old_ones_give_way_first() {
        fn free(root: &Path) -> io::Result<u64> {
            let used = list(&root.join("whole")).map_err(io::Error::other)?;
            let used: u64 =
                used.iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum();
            Ok((2 * large(0).len() as u64).saturating_sub(used))
        }
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), 1 << 20, 1 << 20).expect("opened");
        let content = Content { free, ..content };
        let blobs: Vec<_> = (1..=3).map(|fill| (large(fill), blob_of(&large(fill)))).collect();
        for (bytes, blob) in &blobs {
            assert_eq!(content.missing("a", blob).expect("taken").len(), 4);
            assert_eq!(content.size().0, u64::from(bytes[0] - 1).min(2), "something gave way to an offer");
            upload(&content, "a", blob, bytes).expect("kept");
        }
        assert_eq!(content.chunk(&blobs[0].1, 0).expect("readable"), None, "the oldest did not give way");
        assert!(content.chunk(&blobs[2].1, 0).expect("readable").is_some());
        // Where nothing can give way, what came already stays for later.
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), 1 << 20, 1 << 20).expect("opened");
        let none = Content { free: |_| Ok(u64::from(CHUNK_BYTES)), ..content };
        let (bytes, blob) = (large(9), blob_of(&large(9)));
        assert!(matches!(none.missing("a", &blob), Err(ContentError::DiskFull { .. })));
        none.store("a", &blob, 0, &bytes[..CHUNK_BYTES as usize]).expect("a chunk has room");
        let full = Content { free: |_| Ok(0), ..none };
        let refused = full.store("a", &blob, 1, &bytes[..CHUNK_BYTES as usize]);
        assert!(matches!(refused, Err(ContentError::DiskFull { .. })));
        let again = Content { free: |_| Ok(1 << 30), ..full };
        assert_eq!(again.missing("a", &blob).expect("taken"), [1, 2, 3]);
    }

    #[test]
    fn abandoned_uploads_give_way_to_new_ones() {
        let folder = tempfile::tempdir().expect("a folder");
        let length = large(0).len() as u64;
        let content = Content::open(folder.path(), 4 * length, 2 * length).expect("opened");
        let blobs: Vec<_> = (1..=3).map(|fill| (large(fill), blob_of(&large(fill)))).collect();
        for (bytes, blob) in &blobs {
            content.store("a", blob, 0, &bytes[..CHUNK_BYTES as usize]).expect("kept");
        }
        assert_eq!(content.missing("a", &blobs[0].1).expect("known").len(), 4);
        assert_eq!(content.missing("a", &blobs[2].1).expect("known").len(), 3);
        let files = list(&folder.path().join("part/a")).expect("listed");
        assert_eq!(files.len(), 4, "{files:?}");
    }
}
