//! The key cabinet: the signing key, the relay login, and the files that hold them.
//!
//! Two keys, because they live differently: the login is rotated, the signing key is archived with what it
//! signed. Files are readable by their owner only; a key file that others can read is refused, not repaired,
//! because nobody knows who has read it.
//!
//! The signing key lies in PKCS#8, encrypted with a passphrase ([`sealed`]) or, when nobody gave one, unencrypted:
//! then whoever can read the disk of the station can sign as the office, and the station says so. The passphrase
//! comes from a file, from systemd or from a person ([`passphrase`]), is used once and wiped. The login is not
//! encrypted: it opens a mailbox at a relay and signs nothing.

pub mod change;
mod files;
mod login;
pub mod passphrase;
pub mod rotation;
pub mod sealed;
mod station;
mod terminal;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use schema::id::hex;
use zeroize::Zeroizing;

use files::{read_private, write_new};
use sealed::{KeyFile, ProtectedKey, plain_pem, sealed_pem};

pub(crate) use files::read_private_of;
pub use files::replace_private;
pub use login::Login;
pub use passphrase::{CREDENTIAL, Passphrase, PassphraseDefect, Source, Unlock};
pub use pkcs8::SecretDocument;
pub use sealed::Protection;

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
    /// It is larger than any key.
    #[error("key file `{}` has more than {max} bytes: it holds something else", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How large it may be, in bytes.
        max: u64,
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
    /// A file that asks for more than is given, or for what protects nothing.
    #[error("signing key `{}` is encrypted with {found}; it was not opened", path.display())]
    Derivation {
        /// Which file.
        path: PathBuf,
        /// What it asks for, and what is accepted.
        found: String,
    },
    /// It lies unencrypted, and the settings do not allow that.
    #[error(
        "signing key `{}` lies unencrypted, and `allow_unencrypted` under `[unlock]` is not set; `tram-node key protect` \
        encrypts it",
        path.display()
    )]
    Unencrypted {
        /// Which file.
        path: PathBuf,
    },
    /// It is protected, and no passphrase was given.
    #[error(
        "signing key `{}` is protected by a passphrase, and none was given: no file was named, systemd handed over \
        no credential `{CREDENTIAL}`, and there is no terminal to ask at",
        path.display()
    )]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// The passphrase does not open it.
    #[error(
        "the passphrase from {from} does not open signing key `{}` (or the file is damaged); it was tried once",
        path.display()
    )]
    WrongPassphrase {
        /// Which key file.
        path: PathBuf,
        /// Where the passphrase came from.
        from: Source,
    },
    /// It is a sound key, and not the one that belongs here.
    #[error(
        "signing key `{}` has the public half {found}, expected {expected}: it is another office's key, the file was \
        changed, or it is new and no certificate of it is here yet; put the right file there, or take the registry in \
        that certifies it (`tram-node registry import`)",
        path.display()
    )]
    OtherKey {
        /// Which file.
        path: PathBuf,
        /// The public key found, in hexadecimal digits.
        found: String,
        /// The public keys of which it should be one.
        expected: String,
    },
    /// The passphrase file cannot be read.
    #[error("failed to read the passphrase from `{}`", path.display())]
    PassphraseRead {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than the owner can read or write the passphrase.
    #[error(
        "passphrase file `{}` has mode {mode:03o}, expected 600: change the passphrase if others may have read it, \
        then run `chmod 600`",
        path.display()
    )]
    PassphraseExposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a passphrase.
    #[error("the passphrase from {from} cannot be used")]
    Passphrase {
        /// Where it came from.
        from: Source,
        /// What is wrong with it.
        #[source]
        defect: PassphraseDefect,
    },
    /// Typed twice, and not the same.
    #[error("the two passphrases typed are not the same; nothing was changed")]
    PassphrasesDiffer,
    /// The person gave up.
    #[error("no passphrase was typed; nothing was done")]
    Cancelled,
    /// The terminal does not work.
    #[error("failed to ask for the passphrase at the terminal")]
    Terminal {
        /// Why.
        source: io::Error,
    },
    /// Nothing to protect.
    #[error("signing key `{}` is protected by a passphrase already; `change-passphrase` puts it under another",
        path.display())]
    AlreadyProtected {
        /// Which file.
        path: PathBuf,
    },
    /// Nothing to open.
    #[error("signing key `{}` is not protected by a passphrase; `protect` puts it under one", path.display())]
    NotProtected {
        /// Which file.
        path: PathBuf,
    },
    /// Somebody else changes it.
    #[error("another command is changing key file `{}`; nothing was done, try again", path.display())]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// What was written is not what was meant.
    #[error("the new key file `{}` could not be read back; the old one is still in place, check the disk",
        path.display())]
    NotReadBack {
        /// Which file.
        path: PathBuf,
    },
    /// No request for a certificate.
    #[error("the request for the next key's certificate cannot be built: {found}")]
    Request {
        /// What the builder said.
        found: String,
    },
    /// The system gave no randomness.
    #[error("the operating system gave no random bytes for a new key")]
    Randomness,
}

impl KeyringError {
    /// The key of what a person is told about it in [`crate::words::UNLOCK`]; `None` for what only operators can
    /// mend.
    pub const fn word(&self) -> Option<&'static str> {
        match self {
            Self::Locked { .. } => Some("key-locked"),
            Self::Unencrypted { .. } => Some("key-unencrypted"),
            Self::WrongPassphrase { .. } => Some("wrong-passphrase"),
            Self::OtherKey { .. } => Some("other-key"),
            Self::Exposed { .. } => Some("key-exposed"),
            Self::PassphraseExposed { .. } => Some("passphrase-exposed"),
            Self::PassphraseRead { .. } => Some("passphrase-file"),
            Self::Passphrase { .. } => Some("passphrase-unusable"),
            Self::PassphrasesDiffer => Some("passphrases-differ"),
            Self::Cancelled => Some("cancelled"),
            Self::AlreadyProtected { .. } => Some("already-protected"),
            Self::NotProtected { .. } => Some("not-protected"),
            Self::Derivation { .. } => Some("key-demands"),
            Self::SigningKey { .. } | Self::TooLarge { .. } => Some("key-garbled"),
            Self::Read { .. }
            | Self::Write { .. }
            | Self::Exists { .. }
            | Self::Login { .. }
            | Self::Terminal { .. }
            | Self::InUse { .. }
            | Self::NotReadBack { .. }
            | Self::Request { .. }
            | Self::Randomness => None,
        }
    }
}

/// A signing key that was opened.
pub struct OpenedKey {
    /// The key.
    pub key: SigningKey,
    /// How it is protected in its file.
    pub protection: Protection,
    /// What opened it, so that a copy can be put under the same.
    pub passphrase: Option<Passphrase>,
}

impl OpenedKey {
    /// Its public half.
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }
}

/// Shows the public half only.
impl std::fmt::Debug for OpenedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let public = hex(&self.public());
        f.debug_struct("OpenedKey").field("public", &public).finish_non_exhaustive()
    }
}

/// A new signing key.
///
/// # Errors
/// When the system gives no randomness.
pub fn generate_signing_key() -> Result<SigningKey, KeyringError> {
    Ok(SigningKey::from_bytes(&Zeroizing::new(random_bytes()?)))
}

/// Opens the signing key in a file, with a passphrase from `unlock` if it needs one. `expected` are the public keys
/// of which it must be one, because decryption alone proves nothing; with none, any key is taken.
///
/// # Errors
/// When the file cannot be read, is exposed or holds something else, when no passphrase is there or a wrong one,
/// and when it is another key.
pub fn open_signing_key(
    path: &Path,
    expected: &[[u8; 32]],
    unlock: &Unlock,
) -> Result<OpenedKey, KeyringError> {
    let file = KeyFile::parse(path, &read_private(path)?)?;
    let protection = file.protection();
    let (key, passphrase) = match file {
        KeyFile::Plain(key) => (key, None),
        KeyFile::Protected(protected) => {
            let (passphrase, from) = unlock.passphrase(path)?;
            (protected.open(path, &passphrase, &from)?, Some(passphrase))
        }
    };
    require_expected(path, &key, expected)?;
    Ok(OpenedKey { key, protection, passphrase })
}

/// Opens the signing key in a file with this passphrase, which came from `from`.
///
/// # Errors
/// As [`open_signing_key`].
fn open_given(
    path: &Path,
    passphrase: Option<&Passphrase>,
    from: &Source,
) -> Result<SigningKey, KeyringError> {
    match (KeyFile::parse(path, &read_private(path)?)?, passphrase) {
        (KeyFile::Plain(key), _) => Ok(key),
        (KeyFile::Protected(protected), Some(passphrase)) => protected.open(path, passphrase, from),
        (KeyFile::Protected(_), None) => Err(KeyringError::Locked { path: path.to_owned() }),
    }
}

/// Reads an unencrypted signing key: PKCS#8 PEM, as `openssl genpkey -algorithm ed25519` writes it too.
///
/// # Errors
/// When the file cannot be read, is exposed, is protected by a passphrase, or holds something else.
pub fn read_signing_key(path: &Path) -> Result<SigningKey, KeyringError> {
    Ok(open_signing_key(path, &[], &Unlock::default())?.key)
}

/// Keeps the signing key in a new file, unencrypted.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn write_signing_key(path: &Path, key: &SigningKey) -> Result<(), KeyringError> {
    let pem = plain_pem(key)
        .map_err(|error| KeyringError::SigningKey { path: path.to_owned(), found: error.to_string() })?;
    write_new(path, pem.as_bytes())
}

/// Keeps the signing key in a new file, under a passphrase: 0.1 to 0.3 seconds.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn write_protected_key(
    path: &Path,
    key: &SigningKey,
    passphrase: &Passphrase,
) -> Result<(), KeyringError> {
    write_new(path, sealed_pem(path, key, passphrase)?.as_bytes())
}

/// Largest file with an officer's key that is read, in bytes: RSA with 8,192 bits takes about 6,500.
pub const OFFICER_KEY_BYTES_MAX: u64 = 16 * 1024;

/// Opens the key of an officer, of any kind, in an encrypted key file that only its owner can read. A wrong passphrase
/// may pass and give noise: whoever uses the document checks that its public half is the certificate's.
///
/// # Errors
/// When the file cannot be read, is exposed or unencrypted, asks for too much, or the passphrase does not open it.
pub fn open_officer_key(
    path: &Path,
    passphrase: &Passphrase,
    source: &Source,
) -> Result<SecretDocument, KeyringError> {
    let bytes = read_private_of(path, OFFICER_KEY_BYTES_MAX)?;
    ProtectedKey::parse(path, &bytes)?.decrypt(path, passphrase, source)
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

fn require_expected(path: &Path, key: &SigningKey, expected: &[[u8; 32]]) -> Result<(), KeyringError> {
    let found = key.verifying_key().to_bytes();
    if expected.is_empty() || expected.contains(&found) {
        return Ok(());
    }
    let expected: Vec<String> = expected.iter().map(|key| hex(key)).collect();
    let (path, found, expected) = (path.to_owned(), hex(&found), expected.join(" or "));
    Err(KeyringError::OtherKey { path, found, expected })
}
