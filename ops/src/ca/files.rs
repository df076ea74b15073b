//! Files that are whole or not there, readable by their owner only; the lock of a folder.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use pkcs8::der::pem;

use super::Refusal;

/// Largest certificate, request or approval that is read, in bytes.
pub const SMALL_FILE_BYTES_MAX: u64 = 64 * 1024;
/// Label of certificates in PEM (RFC 7468 section 5).
pub const CERTIFICATE: &str = "CERTIFICATE";
/// Label of revocation lists in PEM (RFC 7468 section 6).
pub const LIST: &str = "X509 CRL";
/// Label of requests in PEM (RFC 7468 section 7).
pub const REQUEST: &str = "CERTIFICATE REQUEST";

/// Reads a file of at most `bytes_max` bytes.
///
/// # Errors
/// When it cannot be read or is larger.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let attempted = || format!("failed to read `{}`", path.display());
    let file = File::open(path).with_context(attempted)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).with_context(attempted)?;
    if bytes.len() as u64 > bytes_max {
        bail!("`{}` has more than {bytes_max} bytes, which nothing of its kind has", path.display());
    }
    Ok(bytes)
}

/// As [`read`], of a file that nobody but its owner may read.
///
/// # Errors
/// Also when others can read it.
pub fn read_private(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let attempted = || format!("failed to read `{}`", path.display());
    let mode = fs::metadata(path).with_context(attempted)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Refusal::Exposed { path: path.to_owned(), mode }.into());
    }
    read(path, bytes_max)
}

/// Writes a file of mode 0600 in place of an earlier one: under a temporary name, synced, renamed, folder synced.
///
/// # Errors
/// When it cannot be written; the earlier one is still there then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    let write = || {
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        sync_folder(path)
    };
    write().with_context(|| format!("failed to write `{}`", path.display()))
}

/// As [`replace`], where no file may be.
///
/// # Errors
/// Also when there is one.
pub fn create(path: &Path, bytes: &[u8]) -> Result<()> {
    if path.try_exists().with_context(|| format!("failed to look for `{}`", path.display()))? {
        bail!(
            "`{}` exists already and is not overwritten: choose another name, or move it away",
            path.display()
        );
    }
    replace(path, bytes)
}

/// A new name survives a power cut only once its folder is synced.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Makes a folder that only its owner can enter.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("failed to make the folder `{}`", folder.display()))
}

/// Takes the only block out of a PEM text, or the bytes as they are when they are DER.
///
/// # Errors
/// When it is neither, or a block of another kind.
pub fn der_of(bytes: &[u8], label: &str) -> Result<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(bytes.to_vec());
    }
    // `openssl req -text` and friends write explanations before the block.
    let begin = b"-----BEGIN ";
    let at = bytes.windows(begin.len()).position(|window| window == begin).unwrap_or(0);
    match pem::decode_vec(&bytes[at..]) {
        Ok((found, der)) if found == label => Ok(der),
        Ok((found, _)) => bail!("it holds a `{found}`, expected a `{label}`"),
        Err(error) => bail!("it is neither DER nor PEM with one `{label}`: {error}"),
    }
}

/// As PEM.
///
/// # Errors
/// When the label cannot be one.
pub fn pem_of(label: &str, der: &[u8]) -> Result<String> {
    pem::encode_string(label, pem::LineEnding::LF, der)
        .map_err(|error| anyhow::anyhow!("failed to write PEM: {error}"))
}

/// Writes `stem.der` and `stem.pem`; the DER, which counts, first.
///
/// # Errors
/// When one cannot be written.
pub fn write_both(folder: &Path, stem: &str, label: &str, der: &[u8]) -> Result<PathBuf> {
    replace(&folder.join(format!("{stem}.der")), der)?;
    let pem = folder.join(format!("{stem}.pem"));
    replace(&pem, pem_of(label, der)?.as_bytes())?;
    Ok(pem)
}

/// Held while a command changes a folder; let go when it is dropped, also by a crash.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a folder without waiting.
    ///
    /// # Errors
    /// When somebody else holds it.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join("lock");
        let attempted = || format!("failed to lock `{}`", path.display());
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.with_context(attempted)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Refusal::Locked { folder: folder.to_owned() }.into()),
            Err(TryLockError::Error(error)) => Err(error).with_context(attempted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_commands_never_hold_one_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let held = Lock::take(folder.path()).expect("the lock");
        let second = Lock::take(folder.path()).expect_err("held");
        assert!(matches!(second.downcast_ref(), Some(Refusal::Locked { .. })), "{second:#}");
        drop(held);
        Lock::take(folder.path()).expect("free again");
    }

    #[test]
    fn a_file_is_replaced_whole_and_nobody_else_reads_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("list.der");
        fs::write(folder.path().join("list.der.new"), b"left by a crash").expect("a draft");
        replace(&path, b"one").expect("written");
        replace(&path, b"two").expect("written");
        assert_eq!(read_private(&path, 3).expect("read"), b"two");
        assert!(read(&path, 2).is_err(), "three bytes passed for two");
        assert!(create(&path, b"three").is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(read_private(&path, 3).is_err());
    }
}
