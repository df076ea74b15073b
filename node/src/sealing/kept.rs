//! The sealing keys of a running station: whatever seals and opens goes on while a new key takes the place of the newest.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use schema::id::OfficeId;
use schema::sealing::SealingKey;

use super::{SealError, Sealing, SealingKeys, SealingKeysError};

/// The keys of a station, as they lie in their file.
#[derive(Debug)]
pub struct KeptKeys {
    path: PathBuf,
    held: RwLock<Arc<SealingKeys>>,
    /// Held while the file changes: of two new keys at once, one would be lost.
    renewing: Mutex<()>,
}

impl KeptKeys {
    /// Reads the keys in a file, or makes them when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, others can read it, or it holds something else.
    pub fn open_or_make(path: &Path) -> Result<Self, SealingKeysError> {
        let held = RwLock::new(Arc::new(SealingKeys::open_or_make(path)?));
        Ok(Self { path: path.to_owned(), held, renewing: Mutex::default() })
    }

    /// Makes a key that is the newest from now on. It lies safely in the file, and the earlier ones with it, before anybody can hear of
    /// it. What somebody has added to the file meanwhile, earlier keys from a backup, stays in it.
    ///
    /// # Errors
    /// When the file cannot be read or written, or is full: the keys are then as they were.
    pub fn renew(&self) -> Result<(), SealingKeysError> {
        let _renewing = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        self.keep(self.earlier()?.renewed()?)
    }

    /// What is in the file by now, and what is in use.
    fn earlier(&self) -> Result<SealingKeys, SealingKeysError> {
        let held = self.held();
        match self.path.try_exists().unwrap_or(true) {
            true => held.joined_with(&SealingKeys::open(&self.path)?),
            // Whoever has removed it has not removed what others have sealed.
            false => Ok((*held).clone()),
        }
    }

    /// Puts these keys into the file and uses them.
    fn keep(&self, keys: SealingKeys) -> Result<(), SealingKeysError> {
        keys.write(&self.path)?;
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }

    /// As they are now.
    pub fn held(&self) -> Arc<SealingKeys> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sealing for KeptKeys {
    fn key(&self) -> SealingKey {
        self.held().key()
    }

    fn seal(&self, content: &[u8], keys: &[SealingKey]) -> Result<Vec<u8>, SealError> {
        self.held().seal(content, keys)
    }

    fn open(&self, sealed: &[u8], readers: usize) -> Result<Vec<u8>, SealError> {
        self.held().open(sealed, readers)
    }

    fn take_over(&self, from: OfficeId, newest: SealingKey, keyring: &[u8]) -> Result<(), SealingKeysError> {
        let _renewing = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = self.earlier()?;
        let taken = earlier.with_those_of(from, newest, keyring)?;
        match taken.count() == self.held().count() {
            true => Ok(()),
            false => self.keep(taken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::KEYS_MAX;
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn kept() -> (tempfile::TempDir, PathBuf, KeptKeys) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sealing.keys");
        let kept = KeptKeys::open_or_make(&path).expect("made");
        (folder, path, kept)
    }

    #[test]
    fn new_key_comes_first_and_earlier_ones_still_open() {
        let (_folder, path, kept) = kept();
        let mut sealed = Vec::new();
        let mut lines = Vec::new();
        for _ in 0..4 {
            sealed.push(kept.seal(b"V/v", &[kept.key()]).expect("sealed"));
            lines.push(fs::read_to_string(&path).expect("read"));
            kept.renew().expect("room");
        }
        let file = fs::read_to_string(&path).expect("read");
        assert!(lines.iter().all(|earlier| file.ends_with(earlier.as_str())), "an earlier key is gone");
        assert_eq!(file.lines().count(), 5);
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = KeptKeys::open_or_make(&path).expect("read");
        assert_eq!(again.key(), kept.key(), "the newest is another one after a new start");
        for keys in [&kept, &again] {
            assert!(sealed.iter().all(|sealed| keys.open(sealed, 1).is_ok_and(|content| content == b"V/v")));
        }
        let newest = kept.seal(b"V/v", &[kept.key()]).expect("sealed");
        fs::write(&path, &lines[3]).expect("written");
        let before = SealingKeys::open(&path).expect("read");
        assert!(before.open(&newest, 1).is_err(), "it is sealed under an earlier key");
    }

    /// The old file or the new one, never less: what a crash leaves behind beside it does no harm.
    #[test]
    fn renewal_that_fails_or_was_broken_off_leaves_the_earlier_keys() {
        let (folder, path, kept) = kept();
        let (before, key) = (fs::read(&path).expect("read"), kept.key());
        // A crash before the rename.
        let beside = folder.path().join("sealing.keys.new");
        fs::write(&beside, "AGE-SECRET-KEY-1").expect("written");
        assert_eq!(KeptKeys::open_or_make(&path).expect("read").key(), key);
        kept.renew().expect("room");
        assert!(!beside.exists() && fs::read(&path).expect("read").ends_with(&before));
        // The new file cannot be made.
        let (before, key) = (fs::read(&path).expect("read"), kept.key());
        fs::create_dir(&beside).expect("made");
        assert!(matches!(kept.renew(), Err(SealingKeysError::File(_))));
        assert_eq!((fs::read(&path).expect("read"), kept.key()), (before, key));
        // The present one holds something else: it is not written over.
        fs::remove_dir(&beside).expect("removed");
        fs::write(&path, "no key").expect("written");
        assert!(matches!(kept.renew(), Err(SealingKeysError::Format { .. })));
        assert_eq!((fs::read(&path).expect("read"), kept.key()), (b"no key".to_vec(), key));
    }

    #[test]
    fn file_that_is_full_takes_no_further_key() {
        let (_folder, path, kept) = kept();
        let mut keys = SealingKeys::open(&path).expect("read");
        for _ in 1..KEYS_MAX {
            keys = keys.renewed().expect("room");
        }
        assert_eq!(keys.count(), KEYS_MAX);
        keys.write(&path).expect("written");
        let full = fs::read(&path).expect("read");
        let kept_full = KeptKeys::open_or_make(&path).expect("read");
        for kept in [&kept, &kept_full] {
            let refused = kept.renew().expect_err("it is full");
            assert!(matches!(refused, SealingKeysError::Full), "{refused}");
            assert!(refused.to_string().contains("128"), "{refused}");
            assert_eq!(fs::read(&path).expect("read"), full);
        }
    }

    /// An administrator adds the keys of an old backup by hand while the station runs.
    #[test]
    fn keys_that_were_added_to_the_file_stay_in_it() {
        let (_folder, path, kept) = kept();
        let added = SealingKeys::generate().expect("a key");
        let sealed = added.seal(b"V/v", &[added.key()]).expect("sealed");
        kept.held().joined_with(&added).expect("room").write(&path).expect("written");
        kept.renew().expect("room");
        assert_eq!(kept.open(&sealed, 1).expect("opened"), b"V/v");
        assert_eq!(SealingKeys::open(&path).expect("read").count(), 3);
        // Without a file the keys in use are written again.
        fs::remove_file(&path).expect("removed");
        kept.renew().expect("room");
        assert_eq!(SealingKeys::open(&path).expect("read").count(), 4);
    }

    /// Renewing at once from two threads loses neither key.
    #[test]
    fn two_renewals_at_once_both_keep_their_key() {
        let (_folder, path, kept) = kept();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| kept.renew().expect("room"));
            }
        });
        assert_eq!((SealingKeys::open(&path).expect("read").count(), kept.held().count()), (5, 5));
    }
}
