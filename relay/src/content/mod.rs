//! The content store: attachments by their hash, on disk, as a cache.
//!
//! Nothing here is synced and nothing here is the only copy: the sender's node keeps its attachments. A chunk
//! becomes part of an attachment only for its uploader; an attachment is given out only after all of its
//! bytes had the hash that names it. What is kept, and what gives way, is decided in `room`.
//!
//! ```text
//! content/whole/<hash>                     complete, checked
//! content/held/<office>/<hash>-<length>    empty: this office's recipients have not all given a receipt for it
//! content/part/<source>/<hash>-<length>    incomplete, sparse; beside it `.map`, one byte for each chunk
//! content/check/<n>                        complete, being checked
//! ```

mod room;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use schema::blob::{BLOB_BYTES_MAX, BlobLimits, BlobRef, CHUNK_BYTES, KEPT_MAX, MISSING_MAX};
use schema::event::Urgency;
use schema::id::{BlobHash, OfficeId};
use sha2::{Digest as _, Sha256};

pub use self::room::{ContentLimits, ContentSize, NoRoom, Source};
use crate::disk::free_for_attachments;

use self::room::{GivesWay, Part, Room};

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
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
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

/// What an office that offers an attachment is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offered {
    /// Chunks that it must still bring, at most [`MISSING_MAX`]; none when the attachment is here, whoever brought it.
    pub missing: Vec<u32>,
    /// Room was made for it just now.
    pub began: bool,
}

/// The store. Its calls block; chunks are small, and the check of a whole attachment holds no lock.
pub struct Content {
    root: PathBuf,
    limits: ContentLimits,
    /// How many bytes its disk has for attachments.
    free: fn(&Path) -> io::Result<u64>,
    room: Mutex<Room>,
    /// Names files that are being checked.
    checks: std::sync::atomic::AtomicU64,
}

impl Content {
    /// Opens the store and looks at what is there.
    ///
    /// # Errors
    /// When its folders cannot be made or read.
    pub fn open(root: &Path, limits: ContentLimits) -> Result<Self, ContentError> {
        for folder in ["whole", "held", "part", "check"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(disk("make", &path))?;
        }
        let store = Self::open_to_read(root, limits)?;
        // Unfinished checks: the chunks come again.
        for entry in list(&root.join("check"))? {
            let _ = fs::remove_file(entry);
        }
        store.find_held()?;
        store.find_parts()?;
        Ok(store)
    }

    /// Opens the complete attachments only, beside a relay that is running; changes nothing.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open_to_read(root: &Path, limits: ContentLimits) -> Result<Self, ContentError> {
        let (room, checks) = (Mutex::new(Room::new(limits)), std::sync::atomic::AtomicU64::new(0));
        let free = free_for_attachments;
        let store = Self { root: root.to_owned(), limits, free, room, checks };
        store.find_whole()?;
        Ok(store)
    }

    fn lock(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_whole(&self) -> Result<(), ContentError> {
        let mut found = Vec::new();
        for path in list(&self.root.join("whole"))? {
            // Gone since it was listed: it gave way to a newer one.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if let Some(hash) =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok())
            {
                found.push((metadata.modified().ok(), BlobRef { hash, length: metadata.len() }));
            }
        }
        found.sort();
        let mut room = self.lock();
        for (_, blob) in found {
            room.keep(&blob);
        }
        Ok(())
    }

    fn find_held(&self) -> Result<(), ContentError> {
        for (source, folder) in self.folders("held")? {
            for path in list(&folder)? {
                let held = match (source, blob_named(&path)) {
                    (Source::Office(office), Some(blob)) => self.lock().hold(office, &blob),
                    _ => false,
                };
                if !held {
                    let _ = fs::remove_file(&path);
                }
            }
        }
        Ok(())
    }

    fn find_parts(&self) -> Result<(), ContentError> {
        let now = Instant::now();
        for (source, folder) in self.folders("part")? {
            for path in list(&folder)? {
                if path.extension().is_none_or(|extension| extension != "map") {
                    continue;
                }
                let Some(blob) = blob_named(&path.with_extension("")) else { continue };
                let map = fs::read(&path).map_err(disk("read", &path))?;
                let fits = (1..=BLOB_BYTES_MAX).contains(&blob.length);
                if fits && map.len() == blob.chunks() as usize {
                    let have: Vec<bool> = map.iter().map(|byte| *byte == 1).collect();
                    self.lock().put((source, blob), have, now);
                } else {
                    let _ = fs::remove_file(&path);
                    let _ = fs::remove_file(path.with_extension(""));
                }
            }
        }
        Ok(())
    }

    /// The folders below this one that are named by where things come from.
    fn folders(&self, name: &str) -> Result<Vec<(Source, PathBuf)>, ContentError> {
        let named = |path: PathBuf| Some((path.file_name()?.to_str()?.parse().ok()?, path));
        Ok(list(&self.root.join(name))?.into_iter().filter_map(named).collect())
    }

    /// How much there is.
    pub fn size(&self) -> ContentSize {
        self.lock().size()
    }

    /// What an office may bring here, and how much of it is used.
    pub fn limits_for(&self, office: &OfficeId) -> BlobLimits {
        let used = self.lock().used_by(office);
        BlobLimits {
            blob_bytes_max: self.limits.blob_bytes_max(),
            office_bytes_max: self.limits.office_bytes_max,
            office_bytes_used: used.bytes,
            office_fingerprint: used.fingerprint,
        }
    }

    /// What is kept for an office, in order, after this one; at most [`KEPT_MAX`].
    pub fn kept_for(&self, office: OfficeId, after: Option<BlobRef>) -> Vec<BlobRef> {
        let mut kept = self.lock().of_office(office);
        kept.retain(|blob| after.is_none_or(|after| *blob > after));
        kept.sort_unstable();
        kept.truncate(KEPT_MAX);
        kept
    }

    /// An office wants to bring what it sends. It is held for the office until [`Content::release`].
    ///
    /// # Errors
    /// When there is no room for it, or the disk fails.
    pub fn offer(&self, office: OfficeId, blob: &BlobRef, urgency: Urgency) -> Result<Offered, ContentError> {
        let part = (Source::Office(office), *blob);
        let mut room = self.lock();
        if room.holds(blob) {
            if room.hold(office, blob) {
                self.mark(office, blob)?;
            }
            room.use_copy(&blob.hash);
            return Ok(Offered { missing: Vec::new(), began: false });
        }
        let began = !room.has_part(&part) && !room.is_checking(&part);
        if began {
            self.begin(&mut room, part, urgency)?;
        }
        if room.is_checking(&part) {
            // It is not here before it is what it should be: one chunk keeps whoever asks waiting until then.
            return Ok(Offered { missing: vec![blob.chunks() - 1], began });
        }
        let lacks = |chunk: &u32| !room.has_chunk(&part, *chunk);
        let missing = (0..blob.chunks()).filter(lacks).take(MISSING_MAX).collect();
        Ok(Offered { missing, began })
    }

    /// An office needs this no more: every recipient has given a receipt.
    pub fn release(&self, office: OfficeId, blob: &BlobRef) {
        let mut room = self.lock();
        room.release(office, blob);
        // What cannot be removed is held again after a restart, until the station finds that it is.
        self.remove_part(&(Source::Office(office), *blob));
        let _ = fs::remove_file(self.mark_path(office, blob));
    }

    /// Lets go of what is held for offices that are served here no more: their stations cannot say that they need it no more.
    pub fn release_others(&self, served: impl Fn(&OfficeId) -> bool) {
        let gone: Vec<_> = self.lock().offices().into_iter().filter(|office| !served(office)).collect();
        for office in gone {
            let held = self.lock().of_office(office);
            for blob in held {
                self.release(office, &blob);
            }
        }
    }

    /// Keeps a chunk; when it was the last one, checks the whole.
    ///
    /// # Errors
    /// When the chunk does not fit, the whole has another hash, there is no room, or the disk fails.
    pub fn store(
        &self,
        source: Source,
        blob: &BlobRef,
        index: u32,
        bytes: &[u8],
    ) -> Result<(), ContentError> {
        if blob.chunk_length(index) != Some(bytes.len()) {
            let BlobRef { hash, length } = *blob;
            return Err(ContentError::Shape { blob: hash, length, index, found: bytes.len() });
        }
        let part = (source, *blob);
        let path = self.part_path(&part);
        let checked = {
            let mut room = self.lock();
            if room.holds(blob) || room.is_checking(&part) {
                return Ok(());
            }
            if !room.has_part(&part) {
                self.begin(&mut room, part, Urgency::Normal)?;
            }
            self.make_disk_room(&mut room, blob, bytes.len() as u64)?;
            let written = write_at(&path, u64::from(index) * u64::from(CHUNK_BYTES), bytes)
                .and_then(|()| write_at(&map_path(&path), u64::from(index), &[1]));
            if let Err(error) = written {
                // Somebody cleared the folder: the next chunk begins anew instead of failing for ever. Of a full disk nothing is thrown
                // away, or all of it would come over the line again and again.
                if matches!(&error, ContentError::Disk { source, .. } if source.kind() == io::ErrorKind::NotFound)
                {
                    room.end(&part);
                    self.remove_part(&part);
                }
                return Err(error);
            }
            if !room.arrived(&part, index, Instant::now()) {
                return Ok(());
            }
            // Out of the way of other uploads before anybody else may look.
            let number = self.checks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let checked = self.root.join("check").join(number.to_string());
            if let Err(error) = fs::rename(&path, &checked) {
                room.checked(&part);
                self.remove_part(&part);
                return Err(disk("move", &path)(error));
            }
            self.remove_part(&part);
            checked
        };
        let hash = hash_of(&checked);
        let mut room = self.lock();
        room.checked(&part);
        match hash {
            Ok(hash) if hash == blob.hash => self.promote(&mut room, &checked, &part),
            other => {
                let _ = fs::remove_file(&checked);
                Err(other.err().unwrap_or(ContentError::Hash { blob: blob.hash }))
            }
        }
    }

    /// A chunk of a complete attachment, or one that came from a peer. The reader checks the whole.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn chunk(&self, blob: &BlobRef, index: u32) -> Result<Option<Vec<u8>>, ContentError> {
        let Some(length) = blob.chunk_length(index) else { return Ok(None) };
        let part = (Source::Peers, *blob);
        let path = {
            let mut room = self.lock();
            if room.holds(blob) {
                room.use_copy(&blob.hash);
                self.whole_path(&blob.hash)
            } else if room.has_chunk(&part, index) {
                self.part_path(&part)
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
                self.lock().drop_whole(&blob.hash);
                Ok(None)
            }
            Err(error) => Err(disk("read", &path)(error)),
        }
    }

    fn free(&self) -> Result<u64, ContentError> {
        (self.free)(&self.root).map_err(disk("ask for the room below", &self.root))
    }

    /// Mail has filled the disk meanwhile: copies give way to a chunk.
    fn make_disk_room(&self, room: &mut Room, blob: &BlobRef, needed: u64) -> Result<(), ContentError> {
        loop {
            let free = self.free()?;
            if needed <= free {
                return Ok(());
            }
            let Some(oldest) = room.oldest_copy() else {
                let BlobRef { hash, length } = *blob;
                return Err(NoRoom::Disk { blob: hash, length, free }.into());
            };
            room.drop_whole(&oldest);
            let path = self.whole_path(&oldest);
            fs::remove_file(&path).map_err(disk("remove", &path))?;
        }
    }

    /// Begins to collect an attachment, at the cost of what gives way.
    fn begin(&self, room: &mut Room, part: Part, urgency: Urgency) -> Result<(), ContentError> {
        for gone in room.begin(part, urgency, self.free()?, Instant::now())? {
            match gone {
                GivesWay::Whole(hash) => {
                    let _ = fs::remove_file(self.whole_path(&hash));
                }
                GivesWay::Part(part) => self.remove_part(&part),
            }
        }
        let path = self.part_path(&part);
        let made = (|| {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(disk("make", folder))?;
            }
            let map = map_path(&path);
            fs::write(&map, vec![0; part.1.chunks() as usize]).map_err(disk("write", &map))?;
            let file = File::create(&path).map_err(disk("make", &path))?;
            file.set_len(part.1.length).map_err(disk("make", &path))
        })();
        if made.is_err() {
            room.end(&part);
            self.remove_part(&part);
        }
        made
    }

    fn promote(&self, room: &mut Room, checked: &Path, (source, blob): &Part) -> Result<(), ContentError> {
        let whole = self.whole_path(&blob.hash);
        fs::rename(checked, &whole).map_err(disk("move", checked))?;
        room.keep(blob);
        if let Source::Office(office) = source
            && room.hold(*office, blob)
        {
            self.mark(*office, blob)?;
        }
        Ok(())
    }

    /// Remembers beyond a restart for whom it is held.
    fn mark(&self, office: OfficeId, blob: &BlobRef) -> Result<(), ContentError> {
        let path = self.mark_path(office, blob);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(disk("make", folder))?;
        }
        File::create(&path).map_err(disk("make", &path))?;
        Ok(())
    }

    fn remove_part(&self, part: &Part) {
        let path = self.part_path(part);
        let _ = fs::remove_file(map_path(&path));
        let _ = fs::remove_file(path);
    }

    fn whole_path(&self, hash: &BlobHash) -> PathBuf {
        self.root.join("whole").join(hash.to_string())
    }

    fn part_path(&self, (source, BlobRef { hash, length }): &Part) -> PathBuf {
        self.root.join("part").join(source.to_string()).join(format!("{hash}-{length}"))
    }

    fn mark_path(&self, office: OfficeId, BlobRef { hash, length }: &BlobRef) -> PathBuf {
        self.root.join("held").join(office.to_string()).join(format!("{hash}-{length}"))
    }
}

/// The attachment that a file is named after: `<hash>-<length>`.
fn blob_named(path: &Path) -> Option<BlobRef> {
    let (hash, length) = path.file_name()?.to_str()?.split_once('-')?;
    Some(BlobRef { hash: hash.parse().ok()?, length: length.parse().ok()? })
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

    const A: OfficeId = OfficeId::new([1; 16]);
    const B: OfficeId = OfficeId::new([2; 16]);
    const ROOMY: ContentLimits = ContentLimits { bytes_max: 1 << 30, office_bytes_max: 1 << 30 };

    fn blob_of(bytes: &[u8]) -> BlobRef {
        BlobRef { hash: BlobHash::new(Sha256::digest(bytes).into()), length: bytes.len() as u64 }
    }

    fn upload(content: &Content, source: Source, blob: &BlobRef, bytes: &[u8]) -> Result<(), ContentError> {
        for (index, chunk) in (0..).zip(bytes.chunks(CHUNK_BYTES as usize)) {
            content.store(source, blob, index, chunk)?;
        }
        Ok(())
    }

    fn missing(content: &Content, office: OfficeId, blob: &BlobRef) -> Vec<u32> {
        content.offer(office, blob, Urgency::Normal).expect("room").missing
    }

    fn large(fill: u8) -> Vec<u8> {
        vec![fill; CHUNK_BYTES as usize * 3 + 7]
    }

    #[test]
    fn attachment_is_given_out_only_when_complete_and_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        let (bytes, blob) = (large(1), blob_of(&large(1)));
        content
            .store(Source::Office(A), &blob, 2, &bytes[2 * CHUNK_BYTES as usize..3 * CHUNK_BYTES as usize])
            .expect("kept");
        assert_eq!(missing(&content, A, &blob), [0, 1, 3]);
        assert_eq!(missing(&content, B, &blob), [0, 1, 2, 3]);
        assert_eq!(content.chunk(&blob, 2).expect("readable"), None);
        upload(&content, Source::Office(A), &blob, &bytes).expect("kept");
        assert!(missing(&content, B, &blob).is_empty());
        assert_eq!(content.chunk(&blob, 3).expect("readable"), Some(vec![1; 7]));
    }

    #[test]
    fn upload_goes_on_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let (bytes, blob) = (large(1), blob_of(&large(1)));
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        content.store(Source::Office(A), &blob, 0, &bytes[..CHUNK_BYTES as usize]).expect("kept");
        drop(content);
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        assert_eq!(missing(&content, A, &blob), [1, 2, 3]);
        upload(&content, Source::Office(A), &blob, &bytes).expect("kept");
        drop(content);
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        assert_eq!(content.chunk(&blob, 3).expect("readable"), Some(vec![1; 7]));
        let whole = ContentSize { blobs: 1, bytes: blob.length, held_bytes: blob.length, partial_bytes: 0 };
        assert_eq!(content.size(), whole);
    }

    /// Several addressees fetch one attachment at once, and each answer of a peer is stored.
    #[test]
    fn chunks_that_come_several_times_at_once_make_one_attachment() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        for fill in 0..100 {
            let (bytes, blob) = (large(fill), blob_of(&large(fill)));
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| upload(&content, Source::Peers, &blob, &bytes).expect("kept"));
                }
            });
            // The last to come may have been told that another is checking; the check has ended with its thread.
            assert_eq!(content.chunk(&blob, 3).expect("readable"), Some(vec![fill; 7]));
        }
        assert!(list(&folder.path().join("part/peers")).expect("listed").is_empty());
    }

    #[test]
    fn incomplete_attachment_whose_file_was_cleared_away_begins_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        let (bytes, blob) = (large(1), blob_of(&large(1)));
        content.store(Source::Office(A), &blob, 0, &bytes[..CHUNK_BYTES as usize]).expect("kept");
        fs::remove_dir_all(folder.path().join("part").join(A.to_string())).expect("cleared");
        upload(&content, Source::Office(A), &blob, &bytes).expect_err("the file is gone");
        upload(&content, Source::Office(A), &blob, &bytes).expect("kept");
        assert_eq!(content.chunk(&blob, 3).expect("readable"), Some(vec![1; 7]));
    }

    #[test]
    fn false_chunk_spoils_only_its_uploaders_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        let (bytes, blob) = (large(1), blob_of(&large(1)));
        let spoiled = upload(&content, Source::Office(A), &blob, &large(2));
        assert!(matches!(spoiled, Err(ContentError::Hash { .. })));
        assert_eq!(missing(&content, A, &blob).len(), 4);
        upload(&content, Source::Office(B), &blob, &bytes).expect("kept");
        assert!(missing(&content, A, &blob).is_empty());
    }

    /// Its sender would let the document go, and nobody could fetch what it names.
    #[test]
    fn attachment_that_is_being_checked_is_not_called_complete() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        let blob = blob_of(&large(1));
        assert_eq!(missing(&content, A, &blob).len(), 4);
        let part = (Source::Office(A), blob);
        for index in 0..4 {
            content.lock().arrived(&part, index, Instant::now());
        }
        assert_eq!(missing(&content, A, &blob), [3]);
        content.lock().checked(&part);
        assert_eq!(missing(&content, A, &blob), [0, 1, 2, 3], "it was something else");
    }

    #[test]
    fn chunk_that_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        let blob = blob_of(&large(1));
        for (index, bytes) in [(0, vec![1; 5]), (4, vec![1; 7]), (u32::MAX, vec![])] {
            let refused = content.store(Source::Office(A), &blob, index, &bytes);
            assert!(matches!(refused, Err(ContentError::Shape { .. })));
        }
        let huge = BlobRef { length: u64::MAX, ..blob };
        let refused = content.offer(A, &huge, Urgency::Express);
        assert!(matches!(refused, Err(ContentError::NoRoom(NoRoom::TooLarge { .. }))), "{refused:?}");
    }

    /// What waits for receipts stays, through restarts too; what does not is gone from the disk when there is no other room.
    #[test]
    fn attachment_is_kept_until_its_office_has_its_receipts_through_restarts() {
        let folder = tempfile::tempdir().expect("a folder");
        let length = large(0).len() as u64;
        let limits = ContentLimits { bytes_max: 3 * length, office_bytes_max: 3 * length };
        let content = Content::open(folder.path(), limits).expect("opened");
        let [first, second, third] = [1, 2, 3].map(|fill| (large(fill), blob_of(&large(fill))));
        for (bytes, blob) in [&first, &second] {
            upload(&content, Source::Office(A), blob, bytes).expect("kept");
        }
        drop(content);
        let content = Content::open(folder.path(), limits).expect("opened");
        assert_eq!(content.size().held_bytes, 2 * length);
        assert_eq!(content.limits_for(&A).office_bytes_used, 2 * length);
        let refused = content.offer(B, &third.1, Urgency::Normal);
        assert!(matches!(refused, Err(ContentError::NoRoom(NoRoom::Full { .. }))), "{refused:?}");
        assert!(content.chunk(&first.1, 0).expect("readable").is_some());
        content.release(A, &first.1);
        drop(content);
        let content = Content::open(folder.path(), limits).expect("opened");
        assert_eq!(content.size().held_bytes, length);
        upload(&content, Source::Office(B), &third.1, &third.0).expect("the other one gives way");
        assert_eq!(content.chunk(&first.1, 0).expect("readable"), None);
        assert_eq!(list(&folder.path().join("whole")).expect("listed").len(), 2);
    }

    /// Of a full disk nothing is thrown away that came, or it would come over the line again and again.
    #[test]
    fn upload_that_meets_a_full_disk_goes_on_where_it_was_once_there_is_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        let (bytes, blob) = (large(9), blob_of(&large(9)));
        let chunk = &bytes[..CHUNK_BYTES as usize];
        let content = Content { free: |_| Ok(1 << 20), ..content };
        assert_eq!(missing(&content, A, &blob).len(), 4);
        content.store(Source::Office(A), &blob, 0, chunk).expect("there is room");
        let content = Content { free: |_| Ok(7), ..content };
        let refused = content.store(Source::Office(A), &blob, 1, chunk);
        assert!(matches!(refused, Err(ContentError::NoRoom(NoRoom::Disk { free: 7, .. }))), "{refused:?}");
        let refused = content.offer(B, &blob, Urgency::Express);
        assert!(matches!(refused, Err(ContentError::NoRoom(NoRoom::Disk { .. }))), "{refused:?}");
        let content = Content { free: |_| Ok(1 << 30), ..content };
        assert_eq!(missing(&content, A, &blob), [1, 2, 3]);
    }

    #[test]
    fn office_that_is_served_elsewhere_now_holds_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let content = Content::open(folder.path(), ROOMY).expect("opened");
        let (bytes, blob) = (large(1), blob_of(&large(1)));
        upload(&content, Source::Office(A), &blob, &bytes).expect("kept");
        missing(&content, B, &blob_of(&large(2)));
        content.release_others(|office| *office == B);
        assert_eq!(content.size().held_bytes, 0);
        assert_eq!(content.size().partial_bytes, blob.length);
        content.release_others(|_| false);
        assert_eq!(content.size().partial_bytes, 0);
        assert!(list(&folder.path().join("part").join(B.to_string())).expect("listed").is_empty());
    }
}
