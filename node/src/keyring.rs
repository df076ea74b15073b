//! The key cabinet: the signing key, the relay login, and the files that hold them.
//!
//! Two keys, because they live differently: the login is rotated, the signing key is archived with what it
//! signed. Files are readable by their owner only; a key file that others can read is refused, not repaired,
//! because nobody knows who has read it. The signing key is stored unencrypted in this version: whoever can
//! read the disk of the station can sign as the office. Encryption at rest comes with certificates.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use nkeys::{KeyPair, KeyPairType};

/// Largest key file that is read, in bytes; a PKCS#8 Ed25519 key in PEM has 119.
pub const KEY_FILE_BYTES_MAX: u64 = 4096;

/// Why a key cannot be used or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file cannot be read.
    #[error("failed to read key file `{}`", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("failed to write key file `{}`", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key is there already.
    #[error("key file `{}` exists already; a key is never overwritten: move it away first", path.display())]
    Exists {
        /// Which file.
        path: PathBuf,
    },
    /// Others than the owner can read or write it.
    #[error("key file `{}` has mode {mode:03o}, expected 600: \
        consider the key known to others, or run `chmod 600`",
        path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a signing key.
    #[error("file `{}` does not hold an Ed25519 private key in PKCS#8 PEM: {found}", path.display())]
    SigningKey {
        /// Which file.
        path: PathBuf,
        /// What the reader said.
        found: String,
    },
    /// Not a login.
    #[error("file `{}` does not hold the seed of a NATS user (`SU…`): {found}", path.display())]
    Login {
        /// Which file.
        path: PathBuf,
        /// What the reader said.
        found: String,
    },
    /// The system gave no randomness.
    #[error("the operating system gave no random bytes for a new key")]
    Randomness,
}

/// The login of this station at its relays: an nkey of a NATS user. `Debug` shows the public half only.
#[derive(Clone)]
pub struct Login {
    seed: String,
    public: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Login {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, KeyringError> {
        let pair = KeyPair::new_from_raw(KeyPairType::User, random_bytes()?)
            .map_err(|_| KeyringError::Randomness)?;
        Self::from_pair(&pair).map_err(|_| KeyringError::Randomness)
    }

    /// The login with this seed.
    ///
    /// # Errors
    /// Says what is wrong with the text, without repeating it.
    pub fn from_seed(seed: &str) -> Result<Self, String> {
        let pair = KeyPair::from_seed(seed.trim()).map_err(|error| error.to_string())?;
        if !matches!(pair.key_pair_type(), KeyPairType::User) {
            return Err("it is an nkey, but not that of a user".to_owned());
        }
        Self::from_pair(&pair)
    }

    fn from_pair(pair: &KeyPair) -> Result<Self, String> {
        let seed = pair.seed().map_err(|error| error.to_string())?;
        Ok(Self { seed, public: pair.public_key() })
    }

    /// The public half, `U…`, as the directory lists it.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The secret half.
    pub(crate) fn seed(&self) -> &str {
        &self.seed
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// When the file cannot be read, is exposed, or holds something else.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let text = read_private(path)?;
        Self::from_seed(&text).map_err(|found| KeyringError::Login { path: path.to_owned(), found })
    }

    /// Keeps it in a new file.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), KeyringError> {
        write_new(path, format!("{}\n", self.seed).as_bytes())
    }
}

/// A new signing key.
///
/// # Errors
/// When the system gives no randomness.
pub fn generate_signing_key() -> Result<SigningKey, KeyringError> {
    Ok(SigningKey::from_bytes(&random_bytes()?))
}

/// Reads the signing key: PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it too.
///
/// # Errors
/// When the file cannot be read, is exposed, or holds something else.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, KeyringError> {
    let text = read_private(path)?;
    SigningKey::from_pkcs8_pem(&text)
        .map_err(|error| KeyringError::SigningKey { path: path.to_owned(), found: error.to_string() })
}

/// Keeps the signing key in a new file: PKCS#8 version 1 (RFC 5958), because OpenSSL before 3.0 and several
/// other readers refuse version 2 with the public key inside.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn write_signing_key(path: &Path, key: &SigningKey) -> Result<(), KeyringError> {
    let pair = KeypairBytes { secret_key: key.to_bytes(), public_key: None };
    let pem = pair
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|error| KeyringError::SigningKey { path: path.to_owned(), found: error.to_string() })?;
    write_new(path, pem.as_bytes())
}

/// Bytes from the operating system.
///
/// # Errors
/// When it gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], KeyringError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| KeyringError::Randomness)?;
    Ok(bytes)
}

/// Writes a file that only its owner can read, whole or not at all, in place of an earlier one.
///
/// # Errors
/// When it cannot be written.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    let wrap = |source| KeyringError::Write { path: path.to_owned(), source };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(wrap(error)),
        _ => {}
    }
    create(&temporary, bytes).map_err(wrap)?;
    fs::rename(&temporary, path).map_err(wrap)?;
    sync_folder(path).map_err(wrap)
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    create(path, bytes).and_then(|()| sync_folder(path)).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyringError::Exists { path: path.to_owned() },
        _ => KeyringError::Write { path: path.to_owned(), source },
    })
}

fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A new name survives a power cut only once its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn read_private(path: &Path) -> Result<String, KeyringError> {
    let wrap = |source| KeyringError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(wrap)?;
    let mode = file.metadata().map_err(wrap)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyringError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(wrap)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::id::hex;
    use std::process::Command;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn signing_key_is_read_back_and_openssl_reads_it_too() {
        let folder = folder();
        let path = folder.path().join("node.key");
        let key = SigningKey::from_bytes(&[7; 32]);
        write_signing_key(&path, &key).expect("written");
        assert_eq!(read_signing_key(&path).expect("read").to_bytes(), key.to_bytes());

        let shown = Command::new("openssl").args(["pkey", "-text", "-noout", "-in"]).arg(&path).output();
        let shown = shown.expect("openssl is installed wherever the tests run");
        assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
        // It breaks lines, and puts a colon between bytes.
        let text = String::from_utf8_lossy(&shown.stdout).replace([' ', '\n', ':'], "");
        assert!(text.contains(&hex(key.verifying_key().as_bytes())), "another key: {text}");
    }

    #[test]
    fn key_made_by_openssl_is_read() {
        let folder = folder();
        let path = folder.path().join("node.key");
        let made =
            Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&path).status();
        assert!(made.expect("openssl is installed wherever the tests run").success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        read_signing_key(&path).expect("read");
    }

    #[test]
    fn login_is_read_back() {
        let folder = folder();
        let path = folder.path().join("login.nk");
        let login = Login::generate().expect("randomness");
        login.write(&path).expect("written");
        assert_eq!(Login::read(&path).expect("read").public(), login.public());
        assert!(!format!("{login:?}").contains(login.seed()), "the seed is shown");
    }

    #[test]
    fn login_of_an_account_is_refused() {
        let account = KeyPair::new_from_raw(KeyPairType::Account, [1; 32]).expect("a pair");
        assert!(Login::from_seed(&account.seed().expect("a seed")).is_err());
    }

    #[test]
    fn key_is_never_overwritten_and_never_read_when_exposed() {
        let folder = folder();
        let path = folder.path().join("node.key");
        let key = SigningKey::from_bytes(&[7; 32]);
        write_signing_key(&path, &key).expect("written");
        let again = write_signing_key(&path, &SigningKey::from_bytes(&[8; 32]));
        assert!(matches!(again, Err(KeyringError::Exists { .. })), "{again:?}");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("chmod");
        let exposed = read_signing_key(&path);
        assert!(matches!(exposed, Err(KeyringError::Exposed { mode: 0o640, .. })), "{exposed:?}");
    }

    #[test]
    fn garbage_is_refused_by_name() {
        let folder = folder();
        let path = folder.path().join("node.key");
        replace_private(&path, b"not a key").expect("written");
        assert!(matches!(read_signing_key(&path), Err(KeyringError::SigningKey { .. })));
        assert!(matches!(Login::read(&path), Err(KeyringError::Login { .. })));
    }
}
