//! Passphrases, and keys that lie encrypted on the disk.
//!
//! PKCS#8 version 1 in PBES2 with scrypt and AES-256-CBC, as `openssl pkcs8 -scrypt` writes it. OpenSSL 3 gives
//! scrypt at most 32 MiB when it opens a key, so N stays at 2^14 with r = 8, and p = 5 makes up for it (the OWASP
//! table names that the equal of N = 2^17, p = 1). CBC carries no check value: after opening, the public half must be the
//! one that is expected.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::ValueEnum;
use ed25519_dalek::SigningKey as Ed25519Key;
use ed25519_dalek::pkcs8::{EncodePrivateKey as _, KeypairBytes};
use node::keyring::random_bytes;
use pkcs8::der::Decode as _;
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Parameters, Salt, ScryptParams};
use pkcs8::{EncryptedPrivateKeyInfoRef, ObjectIdentifier, PrivateKeyInfoRef, SecretDocument};
use rcgen::{KeyPair, PublicKeyData as _};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{Refusal, files};

/// Fewest characters of a new passphrase.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
/// Longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;
/// Largest key file, in bytes.
pub const KEY_FILE_BYTES_MAX: u64 = 8 * 1024;
/// Most memory that the parameters of a key file may ask for, in bytes.
const SCRYPT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most rounds that they may ask for.
const SCRYPT_PARALLEL_MAX: u16 = 16;
/// Most iterations of PBKDF2 that they may ask for.
const PBKDF2_ITERATIONS_MAX: u32 = 10_000_000;

const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// A passphrase (*mật khẩu khóa*); wiped from memory when it is dropped, and never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

impl Passphrase {
    /// Takes a text, without the line break at its end.
    ///
    /// # Errors
    /// When it is empty or too long.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        ensure!(!text.is_empty(), "the passphrase is empty");
        ensure!(
            text.len() <= PASSPHRASE_BYTES_MAX,
            "the passphrase has more than {PASSPHRASE_BYTES_MAX} bytes"
        );
        ensure!(!text.contains(['\n', '\0']), "the passphrase has more than one line");
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Reads it from the first line of a file that only its owner can read.
    ///
    /// # Errors
    /// When the file cannot be read, or others can read it.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = Zeroizing::new(files::read_private(path, PASSPHRASE_BYTES_MAX as u64 + 2)?);
        let text = std::str::from_utf8(&bytes).map_err(|_| anyhow!("it is not UTF-8"));
        text.and_then(Self::new).with_context(|| format!("`{}` does not hold a passphrase", path.display()))
    }

    /// From a file when one is named, else asked at the terminal without echo.
    ///
    /// # Errors
    /// When there is neither.
    pub fn obtain(file: Option<&Path>, what: &str) -> Result<Self> {
        match file {
            Some(path) => Self::read(path),
            None => ask(&format!("Passphrase of {what}: ")),
        }
    }

    /// As [`Passphrase::obtain`] for a key that is about to be made: long enough, and typed twice.
    ///
    /// # Errors
    /// Also when it is too short, or the two differ.
    pub fn obtain_new(file: Option<&Path>, what: &str) -> Result<Self> {
        let passphrase = match file {
            Some(path) => Self::read(path)?,
            None => {
                let first = ask(&format!("New passphrase of {what}: "))?;
                ensure!(
                    *first.0 == *ask("The same again: ")?.0,
                    "the two passphrases differ; nothing was made"
                );
                first
            }
        };
        let found = passphrase.0.chars().count();
        ensure!(
            found >= PASSPHRASE_CHARS_MIN,
            "the passphrase has {found} characters, at least {PASSPHRASE_CHARS_MIN} are needed: take several words"
        );
        Ok(passphrase)
    }
}

/// Ctrl-C.
const INTERRUPT: u8 = 3;

/// Asks at the terminal of this process, wherever its input and output go.
fn ask(prompt: &str) -> Result<Passphrase> {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    let mut terminal = terminal.map_err(|_| {
        anyhow!("there is no terminal to ask for the passphrase at: name a file with --passphrase-file")
    })?;
    let before = tcgetattr(&terminal).context("failed to look at the terminal")?;
    let mut silent = before.clone();
    // Ctrl-C ends the line instead of the process: a killed process would leave the terminal without echo.
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    silent.local_modes.insert(LocalModes::ECHONL | LocalModes::ICANON);
    silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
    tcsetattr(&terminal, OptionalActions::Flush, &silent)
        .context("failed to turn off the terminal's echo")?;
    let mut bytes = Zeroizing::new(vec![0; PASSPHRASE_BYTES_MAX + 2]);
    // One read is one line.
    let asked = terminal.write_all(prompt.as_bytes()).and_then(|()| terminal.read(&mut bytes));
    tcsetattr(&terminal, OptionalActions::Flush, &before)
        .context("failed to turn on the terminal's echo again")?;
    let length = asked.context("failed to read the passphrase at the terminal")?;
    let bytes = bytes.get(..length).unwrap_or_default();
    ensure!(!bytes.contains(&INTERRUPT), "interrupted; nothing was done");
    let line = std::str::from_utf8(bytes).map_err(|_| anyhow!("what was typed is not UTF-8"))?;
    Passphrase::new(line)
}

/// What opening a key costs whoever guesses passphrases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// N of scrypt.
    n: u64,
    /// p of scrypt.
    p: u16,
}

impl Cost {
    /// About 0.3 s and 16 MiB for each guess.
    pub const STANDARD: Self = Self { n: 1 << 14, p: 5 };
    /// No protection worth the name; for keys that live as long as a test.
    pub const FOR_TESTS: Self = Self { n: 1 << 4, p: 1 };
}

/// What kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// Ed25519 (RFC 8032): small and fast.
    Ed25519,
    /// ECDSA on P-256, for readers that do not know Ed25519.
    P256,
}

impl KeyKind {
    const fn algorithm(self) -> &'static rcgen::SignatureAlgorithm {
        match self {
            Self::Ed25519 => &rcgen::PKCS_ED25519,
            Self::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

/// A private key, opened. `Debug` shows its kind only.
pub struct Key {
    pair: KeyPair,
    secret: SecretDocument,
    spki: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.pair.algorithm())
    }
}

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(kind: KeyKind) -> Result<Self> {
        let secret = match kind {
            KeyKind::Ed25519 => {
                let seed = Zeroizing::new(random_bytes::<32>()?);
                // Version 1 of PKCS#8: without the public half, or openssl refuses it.
                let pair = KeypairBytes { secret_key: *seed, public_key: None };
                pair.to_pkcs8_der().map_err(|error| anyhow!("failed to write a new key: {error}"))?
            }
            KeyKind::P256 => {
                let pair = KeyPair::generate_for(kind.algorithm()).context("failed to make a key")?;
                let der = Zeroizing::new(pair.serialize_der());
                SecretDocument::try_from(der.as_slice())
                    .map_err(|error| anyhow!("failed to write a new key: {error}"))?
            }
        };
        Self::open(secret)
    }

    fn open(secret: SecretDocument) -> Result<Self> {
        let info = PrivateKeyInfoRef::from_der(secret.as_bytes());
        let kind = match info.map_err(|error| anyhow!("it is not a PKCS#8 key: {error}"))?.algorithm.oid {
            ED25519 => KeyKind::Ed25519,
            EC => KeyKind::P256,
            other => bail!("it is a key of kind {other}, expected Ed25519 or P-256"),
        };
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&secret.as_bytes().into(), kind.algorithm());
        let pair = pair.map_err(|error| anyhow!("the key cannot be used: {error}"))?;
        let spki = pair.subject_public_key_info();
        Ok(Self { pair, secret, spki })
    }

    /// Its public half (SubjectPublicKeyInfo, DER).
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// What signs.
    pub const fn pair(&self) -> &KeyPair {
        &self.pair
    }

    /// As a key of Ed25519; `None` when it is another one.
    pub fn ed25519(&self) -> Option<Ed25519Key> {
        use ed25519_dalek::pkcs8::DecodePrivateKey as _;
        Ed25519Key::from_pkcs8_der(self.secret.as_bytes()).ok()
    }

    /// Writes it encrypted into a new file of mode 0600.
    ///
    /// # Errors
    /// When there is a file, or it cannot be written.
    pub fn write(&self, path: &Path, passphrase: &Passphrase, cost: Cost) -> Result<()> {
        let failed =
            |error: &dyn fmt::Display| anyhow!("failed to encrypt the key for `{}`: {error}", path.display());
        let salt = Salt::new(random_bytes::<16>()?).map_err(|error| failed(&error))?;
        let kdf = Kdf::Scrypt(ScryptParams {
            salt,
            cost_parameter: cost.n,
            block_size: 8,
            parallelization: cost.p,
            key_length: None,
        });
        let parameters = Parameters { kdf, encryption: Cipher::Aes256Cbc { iv: random_bytes()? } };
        let info = PrivateKeyInfoRef::from_der(self.secret.as_bytes()).map_err(|error| failed(&error))?;
        let sealed = info.encrypt_with_params(parameters, passphrase.0.as_bytes()).map_err(|e| failed(&e))?;
        let pem = sealed.to_pem(ENCRYPTED, LineEnding::LF).map_err(|error| failed(&error))?;
        files::create(path, pem.as_bytes())
    }

    /// Opens a key file.
    ///
    /// # Errors
    /// When others can read the file, it holds something else, asks for too much work, or the passphrase is wrong.
    pub fn read(path: &Path, passphrase: &Passphrase) -> Result<Self> {
        let not = |why: &dyn fmt::Display| {
            anyhow!("`{}` does not hold an encrypted private key (PKCS#8, PEM): {why}", path.display())
        };
        let text = files::read_private(path, KEY_FILE_BYTES_MAX)?;
        let text = std::str::from_utf8(&text).map_err(|error| not(&error))?;
        let (label, sealed) = SecretDocument::from_pem(text).map_err(|error| not(&error))?;
        if label != ENCRYPTED {
            return Err(not(&format_args!("it holds a `{label}`")));
        }
        let sealed = EncryptedPrivateKeyInfoRef::from_der(sealed.as_bytes()).map_err(|error| not(&error))?;
        let EncryptionScheme::Pbes2(parameters) = &sealed.encryption_algorithm else {
            return Err(not(&"it is not encrypted with PBES2"));
        };
        match &parameters.kdf {
            Kdf::Scrypt(scrypt) => {
                // The library counts the bits of N and panics when it is zero.
                let sound = scrypt.cost_parameter.is_power_of_two() && scrypt.cost_parameter > 1;
                if !sound || scrypt.block_size == 0 || scrypt.parallelization == 0 {
                    return Err(not(
                        &"its scrypt parameters are none (N a power of two, r and p at least 1)",
                    ));
                }
                let bytes = scrypt.cost_parameter.saturating_mul(128 * u64::from(scrypt.block_size));
                if bytes > SCRYPT_BYTES_MAX || scrypt.parallelization > SCRYPT_PARALLEL_MAX {
                    return Err(not(&"opening it would take more memory or time than any key we know"));
                }
            }
            Kdf::Pbkdf2(pbkdf2) if pbkdf2.iteration_count > PBKDF2_ITERATIONS_MAX => {
                return Err(not(&"opening it would take more time than any key we know"));
            }
            Kdf::Pbkdf2(_) => {}
            _ => return Err(not(&"its key derivation is neither scrypt nor PBKDF2")),
        }
        let wrong = || Refusal::WrongPassphrase { path: path.to_owned() };
        // What a wrong passphrase makes of the bytes is noise: its padding or its structure breaks.
        let secret = sealed.decrypt(passphrase.0.as_bytes()).map_err(|_| wrong())?;
        if PrivateKeyInfoRef::from_der(secret.as_bytes()).is_err() {
            return Err(wrong().into());
        }
        Self::open(secret).with_context(|| format!("failed to use the key in `{}`", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text).expect("a passphrase")
    }

    #[test]
    fn openssl_opens_what_is_written_and_the_other_way_round() {
        let folder = tempfile::tempdir().expect("a folder");
        let words = folder.path().join("words");
        files::create(&words, "một hai ba bốn năm\n".as_bytes()).expect("words");
        let from_file = Passphrase::read(&words).expect("words");
        let pass = format!("file:{}", words.display());
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        for kind in [KeyKind::Ed25519, KeyKind::P256] {
            let path = folder.path().join(format!("{kind:?}.key"));
            let shown = path.display().to_string();
            let key = Key::generate(kind).expect("a key");
            key.write(&path, &from_file, Cost::STANDARD).expect("written");
            let public = openssl(&["pkey", "-in", &shown, "-passin", &pass, "-pubout", "-outform", "DER"]);
            assert_eq!(public, key.spki(), "openssl reads another key");
            assert_eq!(Key::read(&path, &from_file).expect("opened").spki(), key.spki());

            let wrong = Key::read(&path, &passphrase("không phải")).expect_err("a wrong passphrase");
            assert!(matches!(wrong.downcast_ref(), Some(Refusal::WrongPassphrase { .. })), "{wrong:#}");
        }
        for (name, arguments) in [
            ("s", ["-scrypt", "-scrypt_N", "16384"].as_slice()),
            ("p", ["-v2", "aes-256-cbc", "-iter", "600000"].as_slice()),
        ] {
            let (plain, path) = (folder.path().join(format!("{name}.plain")), folder.path().join(name));
            let (plain, shown) = (plain.display().to_string(), path.display().to_string());
            openssl(&["genpkey", "-algorithm", "ed25519", "-out", &plain]);
            let mut all = vec!["pkcs8", "-topk8", "-in", &plain, "-out", &shown, "-passout", &pass];
            all.extend(arguments);
            openssl(&all);
            Key::read(&path, &from_file).expect(name);
        }
    }

    #[test]
    fn a_key_file_cannot_ask_for_gigabytes_and_garbage_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let words = passphrase("một hai ba bốn năm");
        let salt = Salt::new([7; 16]).expect("a salt");
        // The first asks for 4 GiB with r = 8.
        for (cost_parameter, found) in [(1 << 22, "memory"), (0, "parameters"), (3, "parameters")] {
            let scrypt =
                ScryptParams { salt, cost_parameter, block_size: 8, parallelization: 1, key_length: None };
            let parameters =
                Parameters { kdf: Kdf::Scrypt(scrypt), encryption: Cipher::Aes256Cbc { iv: [7; 16] } };
            let data = pkcs8::der::asn1::OctetString::new([7; 64]).expect("bytes");
            let asking = pkcs8::EncryptedPrivateKeyInfoOwned {
                encryption_algorithm: parameters.into(),
                encrypted_data: data,
            };
            let asking = pkcs8::der::Encode::to_der(&asking).expect("DER");
            let path = folder.path().join("asking.key");
            let pem = files::pem_of(ENCRYPTED, &asking).expect("PEM");
            files::replace(&path, pem.as_bytes()).expect("written");
            let error = Key::read(&path, &words).expect_err("refused");
            assert!(format!("{error:#}").contains(found), "{error:#}");
        }

        for garbage in ["", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "một"] {
            let bad = folder.path().join("bad.key");
            files::replace(&bad, garbage.as_bytes()).expect("written");
            assert!(Key::read(&bad, &words).is_err());
        }
    }

    #[test]
    fn a_passphrase_is_one_line_and_long_enough_and_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("words");
        files::create(&path, b"short\n").expect("written");
        assert!(Passphrase::read(&path).is_ok());
        assert!(Passphrase::obtain_new(Some(&path), "a key").is_err());
        assert!(Passphrase::new("").is_err() && Passphrase::new("a\nb").is_err());
        assert!(!format!("{:?}", passphrase("bí mật lắm")).contains("bí mật"));
    }
}
