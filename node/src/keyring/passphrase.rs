//! Passphrases, and where they come from: a file, a systemd credential, the terminal.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::files::{ALL_OTHERS, mode_of, read_secret};
use super::{KeyringError, terminal};
use crate::words::{Lang, PROMPT, word};

/// Longest passphrase, in bytes; OpenSSL reads no more than 1,023 from a file.
pub const PASSPHRASE_BYTES_MAX: usize = 512;
/// Shortest passphrase that a key is put under here, in characters. A shorter one still opens a key that was
/// protected elsewhere.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
/// The credential that systemd hands over: `LoadCredentialEncrypted=tram-node-passphrase:…`.
pub const CREDENTIAL: &str = "tram-node-passphrase";
/// The variable in which systemd names the folder of credentials.
const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// What is wrong with a text that should be a passphrase. Never repeats it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PassphraseDefect {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// Too long.
    #[error("it is longer than {PASSPHRASE_BYTES_MAX} bytes")]
    TooLong,
    /// Too short to protect a key with.
    #[error("it has fewer than {PASSPHRASE_CHARS_MIN} characters, too few to protect a key with")]
    TooShort,
    /// Not text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// More than one line: OpenSSL would take the first one only.
    #[error("it has more than one line; write the passphrase alone on the first line")]
    Lines,
    /// A control character.
    #[error("it holds a control character (perhaps a Windows line end); write it again without")]
    Control,
    /// Vietnamese letters in another composition: the same text typed elsewhere would be other bytes.
    #[error(
        "its letters are not in composed form (Unicode NFC); write it again with a keyboard in «Unicode dựng sẵn»"
    )]
    NotComposed,
}

/// The passphrase of a key: wiped when dropped, never shown.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<String>);

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// The passphrase that these bytes are; one line end at the end belongs to the file and not to it.
    ///
    /// # Errors
    /// Says what is wrong, without repeating it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PassphraseDefect> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if bytes.is_empty() {
            return Err(PassphraseDefect::Empty);
        }
        if bytes.len() > PASSPHRASE_BYTES_MAX {
            return Err(PassphraseDefect::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| PassphraseDefect::NotText)?;
        if text.contains('\n') {
            return Err(PassphraseDefect::Lines);
        }
        if text.chars().any(char::is_control) {
            return Err(PassphraseDefect::Control);
        }
        schema::text::require_nfc(text, PASSPHRASE_BYTES_MAX).map_err(|_| PassphraseDefect::NotComposed)?;
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// Reads it from a file that only its owner can read.
    ///
    /// # Errors
    /// When the file cannot be read, is exposed, or holds something else.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        Self::read_from(&Source::File(path.to_owned()), path, ALL_OTHERS)
    }

    fn read_from(source: &Source, path: &Path, others: u32) -> Result<Self, KeyringError> {
        let wrap = |source| KeyringError::PassphraseRead { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(wrap)?;
        let mode = mode_of(&file).map_err(wrap)?;
        if mode & others != 0 {
            return Err(KeyringError::PassphraseExposed { path: path.to_owned(), mode });
        }
        let refused = |defect| KeyringError::Passphrase { from: source.clone(), defect };
        let bytes = read_secret(&mut file, PASSPHRASE_BYTES_MAX as u64 + 1).map_err(wrap)?;
        Self::parse(&bytes.ok_or_else(|| refused(PassphraseDefect::TooLong))?).map_err(refused)
    }

    /// Whether a key may be put under it.
    ///
    /// # Errors
    /// When it is too short.
    pub fn require_long(&self) -> Result<(), PassphraseDefect> {
        match self.0.chars().count() {
            PASSPHRASE_CHARS_MIN.. => Ok(()),
            _ => Err(PassphraseDefect::TooShort),
        }
    }

    /// Asks a person at the terminal for the secret `what` (a key of [`PROMPT`]) of `whom`; `None` when nobody is
    /// there.
    ///
    /// # Errors
    /// When the person gave up, or typed what cannot be used.
    pub fn ask(what: &'static str, whom: &str, lang: Lang) -> Result<Option<Self>, KeyringError> {
        typed(&format!("{} ({whom}): ", word(PROMPT, what, lang)))
    }

    /// The secret itself, for whoever hands it to what it opens.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Where a passphrase came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    /// A file that was named on the command line or in the settings.
    File(PathBuf),
    /// A credential that systemd handed over.
    Credential(PathBuf),
    /// A person.
    Terminal,
    /// A request to the station's own door.
    Request,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file `{}`", path.display()),
            Self::Credential(path) => write!(f, "systemd credential `{}`", path.display()),
            Self::Terminal => f.write_str("the terminal"),
            Self::Request => f.write_str("the request"),
        }
    }
}

/// Where the passphrase of a key is looked for, in this order: the file, the credential, the terminal. What is
/// there must work: the next place is only asked when there is nothing in the one before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unlock {
    /// A file that was named.
    pub passphrase_file: Option<PathBuf>,
    /// The folder of credentials that systemd made for this process.
    pub credentials: Option<PathBuf>,
    /// In which language a person is asked; `None` asks nobody.
    pub terminal: Option<Lang>,
}

impl Unlock {
    /// The places that this process has.
    pub fn of_process(passphrase_file: Option<PathBuf>, lang: Lang) -> Self {
        let credentials = std::env::var_os(CREDENTIALS_VARIABLE).map(PathBuf::from);
        Self { passphrase_file, credentials, terminal: Some(lang) }
    }

    /// The same, with the file of the settings when no other was named.
    #[must_use]
    pub fn or_file(mut self, of_settings: Option<&Path>) -> Self {
        self.passphrase_file = self.passphrase_file.or_else(|| of_settings.map(Path::to_owned));
        self
    }

    /// The passphrase, if it was given without asking anybody.
    ///
    /// # Errors
    /// When the file or the credential cannot be used.
    pub fn given(&self) -> Result<Option<(Passphrase, Source)>, KeyringError> {
        if let Some(path) = &self.passphrase_file {
            return Ok(Some((Passphrase::read(path)?, Source::File(path.clone()))));
        }
        let Some(path) = self.credentials.as_ref().map(|folder| folder.join(CREDENTIAL)) else {
            return Ok(None);
        };
        match path.try_exists() {
            Ok(false) => return Ok(None),
            Ok(true) => {}
            Err(source) => return Err(KeyringError::PassphraseRead { path, source }),
        }
        let source = Source::Credential(path.clone());
        // systemd may let the service's user in by an access list; its mask then shows as the group's bits.
        Ok(Some((Passphrase::read_from(&source, &path, 0o007)?, source)))
    }

    /// The passphrase that opens the key in this file.
    ///
    /// # Errors
    /// When what was given cannot be used, or nothing was given and nobody can be asked.
    pub fn passphrase(&self, key: &Path) -> Result<(Passphrase, Source), KeyringError> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let asked = self.terminal.map(|lang| ask("open", key, lang)).transpose()?.flatten();
        asked.map(|passphrase| (passphrase, Source::Terminal)).ok_or_else(|| locked(key))
    }

    /// A passphrase to put the key in this file under: long enough, and typed twice when a person is asked.
    ///
    /// # Errors
    /// When what was given cannot be used, or nothing was given and nobody can be asked.
    pub fn new_passphrase(&self, key: &Path) -> Result<(Passphrase, Source), KeyringError> {
        let (passphrase, source) = match (self.given()?, self.terminal) {
            (Some(given), _) => given,
            (None, None) => return Err(locked(key)),
            (None, Some(lang)) => {
                let first = ask("new", key, lang)?.ok_or_else(|| locked(key))?;
                let second = ask("again", key, lang)?.ok_or_else(|| locked(key))?;
                if first.as_bytes() != second.as_bytes() {
                    return Err(KeyringError::PassphrasesDiffer);
                }
                (first, Source::Terminal)
            }
        };
        match passphrase.require_long() {
            Ok(()) => Ok((passphrase, source)),
            Err(defect) => Err(KeyringError::Passphrase { from: source, defect }),
        }
    }
}

fn locked(key: &Path) -> KeyringError {
    KeyringError::Locked { path: key.to_owned() }
}

/// Asks a person; `None` when nobody is there.
fn ask(what: &'static str, key: &Path, lang: Lang) -> Result<Option<Passphrase>, KeyringError> {
    typed(&format!("{} ({}): ", word(PROMPT, what, lang), key.display()))
}

fn typed(prompt: &str) -> Result<Option<Passphrase>, KeyringError> {
    match terminal::ask(prompt) {
        Ok(None) => Ok(None),
        Ok(Some(typed)) => Passphrase::parse(&typed)
            .map(Some)
            .map_err(|defect| KeyringError::Passphrase { from: Source::Terminal, defect }),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(KeyringError::Cancelled),
        Err(source) => Err(KeyringError::Terminal { source }),
    }
}
