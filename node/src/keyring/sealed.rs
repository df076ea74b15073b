//! How the signing key lies in its file: PKCS#8 version 1 in PEM, plain or encrypted with a passphrase.
//!
//! Encrypted means PBES2 (RFC 8018): scrypt (RFC 7914) and AES-256-CBC when written here; AES-CBC with scrypt or
//! with PBKDF2 over SHA-2 when read. **AES-CBC proves nothing about what it decrypts**: one bit flipped in the file
//! gives another key that is as well formed as the right one. So whoever opens a key compares its public half with
//! the one that is expected (see [`super::open_signing_key`]).
//!
//! What a file asks of this machine is looked at before any of it is done.

use std::fmt;
use std::path::Path;

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use pkcs8::der::SecretDocument;
use pkcs8::der::pem::{LineEnding, PemLabel};
use pkcs8::pkcs5::pbes2::{self, Kdf, Pbkdf2Prf, ScryptParams};
use pkcs8::pkcs5::{self, EncryptionScheme};
use pkcs8::{EncryptedPrivateKeyInfoRef, PrivateKeyInfoRef};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{KeyringError, Passphrase, Source, random_bytes};

/// Cost of the scrypt that is written here: 16 MiB of memory, five times over. It is as dear to an attacker as
/// N = 2^17, p = 1 (OWASP's Password Storage Cheat Sheet lists both as equal); N = 2^15 with r = 8 already exceeds
/// the 32 MiB that OpenSSL grants scrypt, and `openssl pkey` could not open the file.
pub const SCRYPT_N: u64 = 1 << 14;
/// Block size of the scrypt that is written here.
pub const SCRYPT_R: u16 = 8;
/// Repetitions of the scrypt that is written here.
pub const SCRYPT_P: u16 = 5;
/// Most memory that scrypt may take when a file asks for it, in bytes: N = 2^17, r = 8, and the little beside.
pub const SCRYPT_BYTES_MAX: u64 = 129 * 1024 * 1024;
/// Most work (N·r·p) that a file may ask for: four times N = 2^17, r = 8, p = 1; one to two seconds.
pub const SCRYPT_WORK_MAX: u64 = 1 << 22;
/// Most rounds of PBKDF2 that a file may ask for; a few seconds.
pub const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;
/// Work (N·r·p) from which scrypt counts as strong: what is written here.
const SCRYPT_WORK_STRONG: u64 = SCRYPT_N * SCRYPT_R as u64 * SCRYPT_P as u64;
/// Rounds from which PBKDF2 with SHA-256 counts as strong (OWASP, 2023).
const PBKDF2_SHA256_STRONG: u32 = 600_000;
/// Rounds from which PBKDF2 with SHA-512 counts as strong (OWASP, 2023).
const PBKDF2_SHA512_STRONG: u32 = 210_000;
/// Longest part of a foreign PEM label that is repeated, in characters.
const LABEL_CHARS_MAX: usize = 40;

/// How a signing key is protected in its file. Nothing about it is secret.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Protection {
    /// Not at all: whoever reads the file can sign as the office.
    None,
    /// By a passphrase.
    Passphrase {
        /// What encrypts it.
        cipher: &'static str,
        /// How the passphrase becomes the cipher's key.
        #[serde(flatten)]
        derivation: Derivation,
    },
}

/// How a passphrase becomes a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "derivation")]
pub enum Derivation {
    /// scrypt (RFC 7914).
    Scrypt {
        /// Cost in memory and work; a power of two.
        n: u64,
        /// Block size.
        r: u16,
        /// Repetitions.
        p: u16,
    },
    /// PBKDF2 (RFC 8018).
    Pbkdf2 {
        /// The hash inside its HMAC.
        hash: &'static str,
        /// Rounds.
        rounds: u32,
    },
}

impl Protection {
    /// How the key in this file is protected. The key itself is not kept.
    ///
    /// # Errors
    /// When the file cannot be read, is exposed, or holds something else.
    pub fn of_file(path: &Path) -> Result<Self, KeyringError> {
        Ok(KeyFile::parse(path, &super::files::read_private(path)?)?.protection())
    }

    /// Whether a passphrase protects it.
    pub const fn is_protected(&self) -> bool {
        matches!(self, Self::Passphrase { .. })
    }

    /// Its key in [`crate::words::KEY`].
    pub fn word(&self) -> &'static str {
        match self {
            Self::None => "unprotected",
            Self::Passphrase { .. } if self.is_weak() => "weak",
            Self::Passphrase { .. } => "protected",
        }
    }

    /// Whether it is protected, but at less cost to an attacker than is recommended today.
    pub fn is_weak(&self) -> bool {
        match *self {
            Self::None => false,
            Self::Passphrase { derivation: Derivation::Scrypt { n, r, p }, .. } => {
                n.saturating_mul(r.into()).saturating_mul(p.into()) < SCRYPT_WORK_STRONG
            }
            Self::Passphrase { derivation: Derivation::Pbkdf2 { hash, rounds }, .. } => {
                let strong = if hash == "SHA-512" { PBKDF2_SHA512_STRONG } else { PBKDF2_SHA256_STRONG };
                rounds < strong
            }
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("unencrypted"),
            Self::Passphrase { cipher, derivation: Derivation::Scrypt { n, r, p } } => {
                write!(f, "{cipher}, scrypt N={n} r={r} p={p}")
            }
            Self::Passphrase { cipher, derivation: Derivation::Pbkdf2 { hash, rounds } } => {
                write!(f, "{cipher}, PBKDF2-{hash}, {rounds} rounds")
            }
        }
    }
}

/// What a key file holds.
pub(super) enum KeyFile {
    /// The key itself.
    Plain(SigningKey),
    /// The key under a passphrase.
    Protected(ProtectedKey),
}

/// An encrypted key whose demands were found bearable.
pub(super) struct ProtectedKey {
    document: SecretDocument,
    protection: Protection,
}

impl KeyFile {
    /// Takes a file's bytes apart. Nothing is derived or decrypted yet.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, KeyringError> {
        let wrong = |found: String| KeyringError::SigningKey { path: path.to_owned(), found };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not text".to_owned()))?;
        let (label, document) = SecretDocument::from_pem(text).map_err(|error| wrong(error.to_string()))?;
        if label == PrivateKeyInfoRef::PEM_LABEL {
            let key = SigningKey::from_pkcs8_der(document.as_bytes());
            return key.map(Self::Plain).map_err(|error| wrong(error.to_string()));
        }
        if label != EncryptedPrivateKeyInfoRef::PEM_LABEL {
            let label: String = label.chars().take(LABEL_CHARS_MAX).collect();
            return Err(wrong(format!("it is labelled `{}`", label.escape_debug())));
        }
        Ok(Self::Protected(ProtectedKey::of(path, document)?))
    }

    /// How it is protected.
    pub(super) fn protection(&self) -> Protection {
        match self {
            Self::Plain(_) => Protection::None,
            Self::Protected(protected) => protected.protection,
        }
    }
}

impl ProtectedKey {
    fn of(path: &Path, document: SecretDocument) -> Result<Self, KeyringError> {
        let wrong = |found: String| KeyringError::SigningKey { path: path.to_owned(), found };
        let scheme = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
            .map_err(|error| wrong(error.to_string()))?
            .encryption_algorithm;
        let protection =
            demands_of(&scheme).map_err(|found| KeyringError::Derivation { path: path.to_owned(), found })?;
        Ok(Self { document, protection })
    }

    /// Takes the bytes of a file apart that must hold an encrypted key of any kind; nothing is derived yet.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, KeyringError> {
        let wrong = |found: String| KeyringError::SigningKey { path: path.to_owned(), found };
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not text".to_owned()))?;
        let (label, document) = SecretDocument::from_pem(text).map_err(|error| wrong(error.to_string()))?;
        if label == PrivateKeyInfoRef::PEM_LABEL {
            return Err(KeyringError::NotProtected { path: path.to_owned() });
        }
        if label != EncryptedPrivateKeyInfoRef::PEM_LABEL {
            let label: String = label.chars().take(LABEL_CHARS_MAX).collect();
            return Err(wrong(format!("it is labelled `{}`", label.escape_debug())));
        }
        Self::of(path, document)
    }

    /// Decrypts it: 0.1 to 0.3 seconds, and 16 MiB with what is written here.
    pub(super) fn open(
        &self,
        path: &Path,
        passphrase: &Passphrase,
        source: &Source,
    ) -> Result<SigningKey, KeyringError> {
        let wrong = |found: String| KeyringError::SigningKey { path: path.to_owned(), found };
        let plain = self.decrypt(path, passphrase, source)?;
        SigningKey::from_pkcs8_der(plain.as_bytes()).map_err(|error| wrong(error.to_string()))
    }

    /// The PKCS#8 document inside, of whatever kind of key. A wrong passphrase may give noise instead: what comes out
    /// is only believed once its public half is the expected one.
    pub(super) fn decrypt(
        &self,
        path: &Path,
        passphrase: &Passphrase,
        source: &Source,
    ) -> Result<SecretDocument, KeyringError> {
        let wrong = |found: String| KeyringError::SigningKey { path: path.to_owned(), found };
        let info = EncryptedPrivateKeyInfoRef::try_from(self.document.as_bytes())
            .map_err(|error| wrong(error.to_string()))?;
        info.decrypt(passphrase.as_bytes()).map_err(|error| match error {
            // Wrong padding, or right by chance and then not even a sequence.
            pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed | pkcs5::Error::EncryptFailed)
            | pkcs8::Error::Asn1(_) => {
                KeyringError::WrongPassphrase { path: path.to_owned(), from: source.clone() }
            }
            error => wrong(error.to_string()),
        })
    }
}

/// What a file asks for, or why that is refused.
fn demands_of(scheme: &EncryptionScheme) -> Result<Protection, String> {
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        return Err("an encryption older than PBES2, which protects nothing today".to_owned());
    };
    let cipher = match parameters.encryption {
        pbes2::EncryptionScheme::Aes128Cbc { .. } => "AES-128-CBC",
        pbes2::EncryptionScheme::Aes192Cbc { .. } => "AES-192-CBC",
        pbes2::EncryptionScheme::Aes256Cbc { .. } => "AES-256-CBC",
        _ => return Err("a cipher other than AES in CBC mode".to_owned()),
    };
    let derivation = match &parameters.kdf {
        Kdf::Scrypt(scrypt) => scrypt_demands(scrypt)?,
        Kdf::Pbkdf2(pbkdf2) => {
            let hash = match pbkdf2.prf {
                Pbkdf2Prf::HmacWithSha256 => "SHA-256",
                Pbkdf2Prf::HmacWithSha384 => "SHA-384",
                Pbkdf2Prf::HmacWithSha512 => "SHA-512",
                _ => return Err("PBKDF2 with a hash other than SHA-256, SHA-384 or SHA-512".to_owned()),
            };
            let rounds = pbkdf2.iteration_count;
            if !(1..=PBKDF2_ROUNDS_MAX).contains(&rounds) {
                return Err(format!("{rounds} rounds of PBKDF2, 1 to {PBKDF2_ROUNDS_MAX} are accepted"));
            }
            Derivation::Pbkdf2 { hash, rounds }
        }
        _ => return Err("a derivation other than scrypt and PBKDF2".to_owned()),
    };
    Ok(Protection::Passphrase { cipher, derivation })
}

fn scrypt_demands(asked: &ScryptParams) -> Result<Derivation, String> {
    let ScryptParams { cost_parameter: n, block_size: r, parallelization: p, .. } = *asked;
    let words = format!("scrypt with N={n} r={r} p={p}");
    // The library counts the bits of N and panics when it is zero.
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
        return Err(format!("{words}; N must be a power of two from 2 on, r and p at least 1"));
    }
    let (r_wide, p_wide) = (u64::from(r), u64::from(p));
    let bytes = n.saturating_add(p_wide).saturating_mul(128 * r_wide);
    if bytes > SCRYPT_BYTES_MAX {
        return Err(format!(
            "{words}, which takes {bytes} bytes of memory; at most {SCRYPT_BYTES_MAX} are given"
        ));
    }
    let work = n.saturating_mul(r_wide).saturating_mul(p_wide);
    if work > SCRYPT_WORK_MAX {
        return Err(format!("{words}, a work N·r·p of {work}; at most {SCRYPT_WORK_MAX} is done"));
    }
    Ok(Derivation::Scrypt { n, r, p })
}

/// The PEM text of an unencrypted key. PKCS#8 version 1 (RFC 5958), because OpenSSL before 3.0 and several other
/// readers refuse version 2 with the public key inside.
pub(super) fn plain_pem(key: &SigningKey) -> Result<Zeroizing<String>, pkcs8::Error> {
    bare(key).to_pkcs8_pem(LineEnding::LF)
}

/// The PEM text of a key under a passphrase, with fresh salt and initial vector.
pub(super) fn sealed_pem(
    path: &Path,
    key: &SigningKey,
    passphrase: &Passphrase,
) -> Result<Zeroizing<String>, KeyringError> {
    let (salt, iv) = (random_bytes::<16>()?, random_bytes::<16>()?);
    let seal = || -> Result<Zeroizing<String>, pkcs8::Error> {
        let derivation = ScryptParams {
            salt: salt.as_slice().try_into()?,
            cost_parameter: SCRYPT_N,
            block_size: SCRYPT_R,
            parallelization: SCRYPT_P,
            key_length: None,
        };
        let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv };
        let parameters = pbes2::Parameters { kdf: derivation.into(), encryption };
        let plain = bare(key).to_pkcs8_der()?;
        let info: PrivateKeyInfoRef<'_> = plain.decode_msg()?;
        let sealed = info.encrypt_with_params(parameters, passphrase.as_bytes())?;
        Ok(sealed.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)?)
    };
    seal().map_err(|error| KeyringError::SigningKey { path: path.to_owned(), found: error.to_string() })
}

fn bare(key: &SigningKey) -> KeypairBytes {
    KeypairBytes { secret_key: key.to_bytes(), public_key: None }
}
