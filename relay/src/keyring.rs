//! The relay's key cabinet: its NATS login, the key with which it stamps, and the token of its loopback door.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use nkeys::KeyPair;

/// Why a key is not available.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file cannot be read or written.
    #[error("the key file `{path}` cannot be {attempted}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What was attempted.
        attempted: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("`{path}` does not hold the seed of a NATS user (`SU…`): {found}; restore it from the backup")]
    Seed {
        /// Which file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// The file holds something else than a key for stamps. What it holds is not told: it may be most of a key.
    #[error(
        "`{path}` does not hold the stamp key of a relay (64 lower-case hexadecimal digits); restore it from the \
         backup, or remove it and have the registrar enter the new one into the directory"
    )]
    StampKey {
        /// Which file.
        path: PathBuf,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers for a new key")]
    Random(#[from] getrandom::Error),
}

/// Most bytes of a key file that are read.
const KEY_BYTES_MAX: u64 = 256;

/// The relay's NATS login from its file; made and written on first start, readable by its owner only.
///
/// # Errors
/// When the file cannot be read or written, or holds something else.
pub fn login(path: &Path) -> Result<KeyPair, KeyringError> {
    let seed = text_or_new(path, || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        let key = KeyPair::new_from_raw(nkeys::KeyPairType::User, bytes)
            .map_err(|error| seed_error(path, &error))?;
        key.seed().map_err(|error| seed_error(path, &error))
    })?;
    let key = KeyPair::from_seed(&seed).map_err(|error| seed_error(path, &error))?;
    if !key.public_key().starts_with('U') {
        return Err(KeyringError::Seed { path: path.to_owned(), found: "a key of another sort".to_owned() });
    }
    Ok(key)
}

/// The token of the loopback door from its file; made and written on first start, readable by its owner only.
///
/// # Errors
/// When the file cannot be read or written.
pub fn token(path: &Path) -> Result<String, KeyringError> {
    text_or_new(path, || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(schema::id::BlobHash::new(bytes).to_string())
    })
}

/// The key with which the relay says when events were there (64 hexadecimal digits); made and written on first start,
/// readable by its owner only. Another one than the login's, which signs whatever a server asks it to.
///
/// # Errors
/// When the file cannot be read or written, or holds something else.
pub fn stamp_key(path: &Path) -> Result<SigningKey, KeyringError> {
    let text = text_or_new(path, || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(schema::id::BlobHash::new(bytes).to_string())
    })?;
    let seed: Result<schema::id::BlobHash, _> = text.parse();
    let seed = seed.map_err(|_| KeyringError::StampKey { path: path.to_owned() })?;
    Ok(SigningKey::from_bytes(seed.as_bytes()))
}

fn seed_error(path: &Path, error: &nkeys::error::Error) -> KeyringError {
    KeyringError::Seed { path: path.to_owned(), found: error.to_string() }
}

fn text_or_new(
    path: &Path,
    make: impl FnOnce() -> Result<String, KeyringError>,
) -> Result<String, KeyringError> {
    let failed = |attempted| move |source| KeyringError::File { path: path.to_owned(), attempted, source };
    match File::open(path) {
        Ok(file) => {
            let mut text = String::new();
            file.take(KEY_BYTES_MAX).read_to_string(&mut text).map_err(failed("read"))?;
            Ok(text.trim().to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let text = make()?;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(failed("written"))?;
            }
            // Under another name first: a power cut must not leave half a key that looks like one.
            let draft = path.with_extension("new");
            let _ = fs::remove_file(&draft);
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&draft).map_err(failed("written"))?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed("written"))?;
            fs::rename(&draft, path).map_err(failed("written"))?;
            Ok(text)
        }
        Err(error) => Err(failed("read")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_is_made_once_and_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("relay.nk");
        let first = login(&path).expect("a new login").public_key();
        assert_eq!(login(&path).expect("the same login").public_key(), first);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).expect("the file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn stamp_key_is_made_once_and_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys/stamp.key");
        let first = stamp_key(&path).expect("a new key");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).expect("the file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(stamp_key(&path).expect("the same key").to_bytes(), first.to_bytes());
        let text = fs::read_to_string(&path).expect("the file");
        assert_eq!(text, schema::id::hex(&first.to_bytes()));
        fs::write(&path, format!("{text}\n")).expect("as an editor leaves it");
        assert_eq!(stamp_key(&path).expect("the same key").to_bytes(), first.to_bytes());
        let other = stamp_key(&folder.path().join("stamp.key")).expect("another relay's");
        assert_ne!(other.to_bytes(), first.to_bytes());
    }

    #[test]
    fn garbage_is_no_stamp_key_and_stays_as_it_is_and_untold() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("stamp.key");
        let digits = "5a".repeat(32);
        for text in [String::new(), digits[1..].to_owned(), format!("{digits}5"), digits.to_uppercase()] {
            fs::write(&path, &text).expect("written");
            let error = stamp_key(&path).expect_err("not a key");
            assert!(matches!(error, KeyringError::StampKey { .. }), "{error:?}");
            assert!(!error.to_string().to_lowercase().contains("5a5a"), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("the file"), text);
        }
    }

    #[test]
    fn key_of_another_sort_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("relay.nk");
        fs::write(&path, KeyPair::new_account().seed().expect("a seed")).expect("written");
        assert!(matches!(login(&path), Err(KeyringError::Seed { .. })));
    }
}
