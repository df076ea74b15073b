//! Files among the attachments that the store does not know: uploads that no document ever named, what a restore, a crash or an erasure
//! left behind. Found here; whether one may go is decided in a step ([`crate::step::Input::Leftovers`]).

use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use schema::blob::BlobRef;
use schema::id::BlobHash;
use schema::time::Millis;
use serde::Serialize;

use super::{ContentError, Contents, disk, lock};
use crate::store::{Claim, Reader, StoreError};

/// How long a file that no document names is left alone: somebody may be writing the document.
pub const UNCLAIMED_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Most files that are found at a time; the others are found the next time.
pub const FOUND_MAX: usize = 16 * 1024;
/// How the name of a copy ends that was broken off ([`super::bring`]).
const HALF: &str = ".part";
/// The unit of [`MetadataExt::blocks`], whatever the disk uses.
const BLOCK_BYTES: u64 = 512;

/// What was removed since the station started.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Swept {
    /// When somebody looked last; none before the first time.
    pub at: Option<Millis>,
    /// Files.
    pub files: u64,
    /// What they took on the disk, in bytes.
    pub bytes: u64,
}

/// A file that nobody seems to need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Leftover {
    /// The attachment that it is, or a part of.
    pub blob: BlobRef,
    /// What it takes on the disk, in bytes.
    pub bytes: u64,
}

/// Why nobody could look.
#[derive(Debug, thiserror::Error)]
pub enum LeftoversError {
    /// The disk does not do it.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The store does not say what is needed.
    #[error("what the attachments are kept for is not known")]
    Store(#[from] StoreError),
}

impl Contents {
    /// Looks for files that nobody seems to need. Old halves of copies that were broken off are removed at
    /// once: they are no attachments.
    ///
    /// # Errors
    /// When the disk or the store cannot be read.
    pub fn leftovers(&self, store: &Reader, now: SystemTime) -> Result<Vec<Leftover>, LeftoversError> {
        let mut found = Vec::new();
        let whole = self.whole_folder();
        each_file(&whole, |entry, metadata| {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { return Ok(()) };
            if name.starts_with('.') && name.ends_with(HALF) {
                if is_old(metadata, now) {
                    fs::remove_file(entry.path()).map_err(disk("remove", &entry.path()))?;
                    self.count(None, [bytes_of(metadata)]);
                }
                return Ok(());
            }
            let Ok(hash) = name.parse::<BlobHash>() else { return Ok(()) };
            let blob = BlobRef { hash, length: metadata.len() };
            let lengths = store.lengths_of_blob(&hash)?;
            // One that was cut is damage: the daily check tells it, and nothing is done about it.
            if lengths.is_empty() || lengths.contains(&blob.length) {
                note(&mut found, store, blob, metadata, now)?;
            }
            Ok(())
        })?;
        each_file(&self.root.join("part"), |entry, metadata| {
            let name = entry.file_name();
            let parts = name.to_str().and_then(|name| name.split_once('-'));
            let parsed = parts.and_then(|(hash, length)| Some((hash.parse().ok()?, length.parse().ok()?)));
            // Beside each of them lies a map of it, which goes with it.
            let Some((hash, length)) = parsed else { return Ok(()) };
            note(&mut found, store, BlobRef { hash, length }, metadata, now)
        })?;
        Ok(found)
    }

    /// A file that was brought a second time is as good as new: nothing removes it before its document can be sent.
    ///
    /// # Errors
    /// When it is not here, or the disk fails.
    pub fn touch(&self, blob: &BlobRef, now: SystemTime) -> Result<(), ContentError> {
        let path = self.whole_folder().join(blob.hash.to_string());
        self.whole(blob)?.set_modified(now).map_err(disk("touch", &path))
    }

    /// Removes an attachment, whole or in part. Only for what a committed transaction says is needed no more.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn discard(&self, blob: &BlobRef) -> Result<(), ContentError> {
        lock(&self.parts).remove(blob);
        self.remove_part(blob)?;
        if self.has_whole(blob)? {
            let path = self.whole_folder().join(blob.hash.to_string());
            // A power cut may bring it back: the next start finds it.
            fs::remove_file(&path).map_err(disk("remove", &path))?;
        }
        Ok(())
    }

    /// Counts what was removed, and when somebody looked.
    pub fn count(&self, at: Option<Millis>, removed: impl IntoIterator<Item = u64>) {
        let mut swept = lock(&self.swept);
        swept.at = at.or(swept.at);
        for bytes in removed {
            swept.files += 1;
            swept.bytes += bytes;
        }
    }

    /// What was removed since the station started.
    pub fn swept(&self) -> Swept {
        *lock(&self.swept)
    }
}

fn each_file(
    folder: &Path,
    mut each: impl FnMut(&DirEntry, &Metadata) -> Result<(), LeftoversError>,
) -> Result<(), LeftoversError> {
    for entry in fs::read_dir(folder).map_err(disk("list", folder))? {
        let entry = entry.map_err(disk("list", folder))?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => each(&entry, &metadata)?,
            Ok(_) => {}
            // Put in place, or removed, since the folder was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(disk("look at", &entry.path())(error).into()),
        }
    }
    Ok(())
}

fn note(
    found: &mut Vec<Leftover>,
    store: &Reader,
    blob: BlobRef,
    metadata: &Metadata,
    now: SystemTime,
) -> Result<(), LeftoversError> {
    let is_leftover = match store.claim_on(&blob)? {
        Claim::Needed => false,
        Claim::Released => true,
        Claim::Unclaimed => is_old(metadata, now),
    };
    if is_leftover && found.len() < FOUND_MAX {
        found.push(Leftover { blob, bytes: bytes_of(metadata) });
    }
    Ok(())
}

fn bytes_of(metadata: &Metadata) -> u64 {
    metadata.blocks() * BLOCK_BYTES
}

/// A clock that went back makes everything new: nothing is removed too early.
fn is_old(metadata: &Metadata, now: SystemTime) -> bool {
    let age = metadata.modified().ok().and_then(|modified| now.duration_since(modified).ok());
    age.is_some_and(|age| age > UNCLAIMED_FOR)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use schema::blob::FileRef;
    use schema::id::FileHash;
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::store::Store;

    /// What is found once this much time has passed since it was put there.
    fn found_after(contents: &Contents, database: &Path, age: Duration) -> Vec<u64> {
        let reader = Reader::open(database).expect("a reader");
        let found = contents.leftovers(&reader, SystemTime::now() + age).expect("looked");
        found.iter().map(|leftover| leftover.blob.length).collect()
    }

    #[test]
    fn what_the_store_does_not_know_is_found_once_it_is_old() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = folder.path().join("tram.db");
        let _store = Store::open(&database).expect("a store");
        let contents = Contents::open(&folder.path().join("content")).expect("a folder");
        let file = FileRef { hash: FileHash::new(Sha256::digest(b"Phu luc").into()), length: 7 };
        let sealed = contents.seal(&mut &b"Phu luc"[..], &file).expect("sealed").blob;
        let part = BlobRef { hash: BlobHash::new([3; 32]), length: 5 };
        contents.keep_chunk(&part, 0, b"12345").expect("kept");
        let half = contents.whole_folder().join(".0000.part");
        fs::write(&half, "half").expect("written");
        fs::write(contents.whole_folder().join("README"), "nobody's").expect("written");

        assert!(found_after(&contents, &database, Duration::ZERO).is_empty());
        assert!(half.exists() && contents.swept().files == 0, "a restore may be going on");
        let later = UNCLAIMED_FOR + Duration::from_secs(60);
        assert_eq!(found_after(&contents, &database, later), [sealed.length, 5]);
        assert!(!half.exists() && contents.swept().files == 1);
        // Brought a second time, it is as good as new.
        contents.touch(&sealed, SystemTime::now() + later).expect("touched");
        assert_eq!(found_after(&contents, &database, later), [5]);

        for blob in [sealed, part] {
            contents.discard(&blob).expect("removed");
            contents.discard(&blob).expect("nothing is left to remove");
        }
        assert!(found_after(&contents, &database, 2 * later).is_empty());
        assert_eq!(fs::read_dir(contents.root.join("part")).expect("listed").count(), 0, "its map is left");
        assert!(contents.whole_folder().join("README").exists());
    }

    #[test]
    fn what_a_document_names_stays_however_old_it_is_and_damage_is_not_swept_away() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = folder.path().join("tram.db");
        let store = Store::open(&database).expect("a store");
        let contents = Contents::open(&folder.path().join("content")).expect("a folder");
        let file = FileRef { hash: FileHash::new(Sha256::digest(b"Phu luc").into()), length: 7 };
        let blob = contents.seal(&mut &b"Phu luc"[..], &file).expect("sealed").blob;
        store.complete_blob(&blob).expect("noted");
        let old = 2 * UNCLAIMED_FOR;
        assert_eq!(found_after(&contents, &database, old), [blob.length], "no document names it");
        // A file that was cut is evidence of damage.
        let path = contents.whole_folder().join(blob.hash.to_string());
        File::options().write(true).open(&path).and_then(|file| file.set_len(3)).expect("cut");
        assert!(found_after(&contents, &database, old).is_empty());
    }
}
