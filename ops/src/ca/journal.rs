//! What an authority ever did (*nhật ký*): one line of JSON for each act, chained by hash and signed by its key.
//!
//! ```text
//! {"seq":3,"previous":"<SHA-256 of the line before>","at":1767225600000,"act":"issued",…,"signature":"<hex>"}
//! ```
//!
//! Lines are checked as the bytes they are. The signature covers `tram/ca-journal/v1`, a line break, and the line
//! without its signature. A last line without line break is an act that never happened: a crash came before it was
//! synced, so nothing was done because of it, and it is cut off.

use std::fs::{self, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use data_encoding::HEXLOWER;
use rcgen::SigningKey as _;
use schema::id::hex;
use schema::time::Millis;
use schema::trust::Certificate;
use schema::trust::algorithm::SignatureAlgorithm;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::book::{Act, Book};
use super::secret::Key;
use super::{Refusal, build, files};

/// Name of the file.
pub const FILE: &str = "journal.jsonl";
/// Largest journal, in bytes: half a million certificates.
pub const JOURNAL_BYTES_MAX: u64 = 1 << 30;
/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 256 * 1024;

const DOMAIN: &[u8] = b"tram/ca-journal/v1\n";
const SIGNATURE: &str = ",\"signature\":\"";

/// One line, without its signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Counted from 1.
    pub seq: u64,
    /// SHA-256 of the line before, without line break; of nothing for the first.
    pub previous: String,
    /// When.
    pub at: Millis,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// A journal that was read and checked.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    book: Book,
    lines: Vec<(Millis, Act)>,
    head: String,
    /// Length of the whole lines, in bytes.
    length: u64,
    /// Whether something follows them.
    torn: bool,
    broken: bool,
}

fn hash_of(line: &[u8]) -> String {
    hex(&Sha256::digest(line))
}

fn message(unsigned: &[u8]) -> Vec<u8> {
    [DOMAIN, unsigned].concat()
}

impl Journal {
    /// Starts one with the founding.
    ///
    /// # Errors
    /// When there is one already, or it cannot be written.
    pub fn begin(folder: &Path, act: &Act, key: &Key, at: Millis) -> Result<Self> {
        let path = folder.join(FILE);
        let line = Line { seq: 1, previous: hash_of(b""), at, act: act.clone() };
        let text = signed(&line, key)?;
        files::create(&path, format!("{text}\n").as_bytes())?;
        let book = Book::begin(act, at).map_err(|why| Refusal::Journal { line: 1, why })?;
        let head = hash_of(text.as_bytes());
        let length = text.len() as u64 + 1;
        Ok(Self { path, book, lines: vec![(at, act.clone())], head, length, torn: false, broken: false })
    }

    /// Reads and checks one.
    ///
    /// # Errors
    /// [`Refusal::Journal`] names the first line that is not as it was written.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let bytes = files::read(&path, JOURNAL_BYTES_MAX).with_context(|| {
            format!(
                "`{}` is not the folder of an authority; `tram ca init-root` and `tram ca init-delegated` make one",
                folder.display()
            )
        })?;
        let length = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let torn = length != bytes.len();
        let whole = &bytes[..length];
        let mut reading = Reading { head: hash_of(b""), key: None, book: None, lines: Vec::new() };
        for (n, line) in whole.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let number = n as u64 + 1;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            reading.take(number, line).map_err(|why| Refusal::Journal { line: number, why })?;
        }
        let Some(book) = reading.book else {
            return Err(Refusal::Journal { line: 1, why: "it is empty".to_owned() }.into());
        };
        let length = length as u64;
        Ok(Self { path, book, lines: reading.lines, head: reading.head, length, torn, broken: false })
    }

    /// What follows from it.
    pub const fn book(&self) -> &Book {
        &self.book
    }

    /// The acts with their times.
    pub fn lines(&self) -> &[(Millis, Act)] {
        &self.lines
    }

    /// Whether an act that never happened stands at its end.
    pub const fn is_torn(&self) -> bool {
        self.torn
    }

    /// Adds an act, synced to the disk before this returns.
    ///
    /// # Errors
    /// When the act cannot follow, or cannot be written; after the latter nothing more is added until it is opened
    /// anew.
    pub fn append(&mut self, act: &Act, key: &Key, at: Millis) -> Result<()> {
        if self.broken {
            bail!("`{}` could not be written before: run the command again", self.path.display());
        }
        let seq = self.lines.len() as u64 + 1;
        // Whatever goes wrong from here on, what is in memory is ahead of the disk: it is not used again.
        self.broken = true;
        self.book.apply(act, at).map_err(|why| anyhow!("act {seq} cannot follow: {why}"))?;
        let text = signed(&Line { seq, previous: self.head.clone(), at, act: act.clone() }, key)?;
        if text.len() > LINE_BYTES_MAX {
            bail!("act {seq} has {} bytes, at most {LINE_BYTES_MAX} are kept", text.len());
        }
        let written = self.write(&text);
        written.with_context(|| format!("failed to write `{}`", self.path.display()))?;
        self.broken = false;
        self.head = hash_of(text.as_bytes());
        self.length += text.len() as u64 + 1;
        self.lines.push((at, act.clone()));
        Ok(())
    }

    fn write(&mut self, text: &str) -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).mode(0o600).open(&self.path)?;
        if self.torn {
            file.set_len(self.length)?;
            self.torn = false;
        }
        file.seek(SeekFrom::Start(self.length))?;
        file.write_all(format!("{text}\n").as_bytes())?;
        file.sync_all()
    }

    /// Whether the file still ends where this left it: nobody else wrote.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn is_untouched(&self) -> Result<bool> {
        let found = fs::metadata(&self.path)
            .with_context(|| format!("failed to look at `{}`", self.path.display()))?;
        Ok(!self.torn && found.len() == self.length)
    }
}

fn signed(line: &Line, key: &Key) -> Result<String> {
    let unsigned = serde_json::to_string(line).context("failed to write an act")?;
    let signature = key.pair().sign(&message(unsigned.as_bytes()));
    let signature = signature.map_err(|error| anyhow!("failed to sign an act: {error}"))?;
    let open = unsigned.strip_suffix('}').unwrap_or(&unsigned);
    Ok(format!("{open}{SIGNATURE}{}\"}}", HEXLOWER.encode(&signature)))
}

/// The signature algorithms of the keys an authority may have, as AlgorithmIdentifiers.
const ALGORITHMS: [&[u8]; 2] =
    [b"\x30\x05\x06\x03\x2b\x65\x70", b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"];

/// Whether a key (a certificate that holds it) made a signature of an authority.
pub(super) fn verifies(key: &Certificate, message: &[u8], signature: &[u8]) -> bool {
    ALGORITHMS
        .iter()
        .filter_map(|identifier| SignatureAlgorithm::from_der(identifier).ok())
        .any(|algorithm| key.key().verifies(algorithm, message, signature))
}

struct Reading {
    head: String,
    key: Option<Certificate>,
    book: Option<Book>,
    lines: Vec<(Millis, Act)>,
}

impl Reading {
    fn take(&mut self, number: u64, bytes: &[u8]) -> Result<(), String> {
        if bytes.len() > LINE_BYTES_MAX {
            return Err(format!("it has more than {LINE_BYTES_MAX} bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let (open, end) = text.rsplit_once(SIGNATURE).ok_or("it is not signed")?;
        let digits = end.strip_suffix("\"}").ok_or("it does not end with its signature")?;
        let signature = HEXLOWER.decode(digits.as_bytes()).map_err(|_| "its signature cannot be read")?;
        let unsigned = format!("{open}}}");
        let line: Line =
            serde_json::from_str(&unsigned).map_err(|error| format!("it cannot be read: {error}"))?;
        if serde_json::to_string(&line).ok().as_deref() != Some(unsigned.as_str()) {
            return Err("it is not in the one spelling that is written".to_owned());
        }
        if line.seq != number {
            return Err(format!("it has number {}: lines were removed, added or moved", line.seq));
        }
        if line.previous != self.head {
            return Err("it does not follow the line before it".to_owned());
        }
        match (&mut self.book, &line.act) {
            (Some(book), act) => book.apply(act, line.at)?,
            (None, act) => {
                let book = Book::begin(act, line.at)?;
                self.key = Some(build::certified_key(&book.spki).map_err(|error| format!("{error:#}"))?);
                self.book = Some(book);
            }
        }
        if !self.key.as_ref().is_some_and(|key| verifies(key, &message(unsigned.as_bytes()), &signature)) {
            return Err("it was not signed by this authority's key, or was changed afterwards".to_owned());
        }
        self.head = hash_of(bytes);
        self.lines.push((line.at, line.act));
        Ok(())
    }
}
