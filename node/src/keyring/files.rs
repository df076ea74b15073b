//! Files that only their owner reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeyringError;

/// Permission bits of everybody but the owner.
pub(super) const ALL_OTHERS: u32 = 0o077;

/// Writes a file that only its owner can read, whole or not at all, in place of an earlier one.
///
/// # Errors
/// When it cannot be written.
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
    let wrap = |source| KeyringError::Write { path: path.to_owned(), source };
    let temporary = temporary_name(path);
    create_anew(&temporary, bytes).map_err(wrap)?;
    fs::rename(&temporary, path).map_err(wrap)?;
    sync_folder(path).map_err(wrap)
}

/// The name beside a file under which its successor is made ready.
pub(super) fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

/// Creates a file, in place of one that an earlier attempt has left behind, and syncs it.
pub(super) fn create_anew(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create(path, bytes)
}

/// Writes a file that is not there yet.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), KeyringError> {
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
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// The permission bits of an open file.
pub(super) fn mode_of(file: &File) -> io::Result<u32> {
    Ok(file.metadata()?.permissions().mode() & 0o777)
}

/// Reads a key file of at most [`super::KEY_FILE_BYTES_MAX`] bytes that nobody else can read.
pub(super) fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let wrap = |source| KeyringError::Read { path: path.to_owned(), source };
    read_private_from(&mut File::open(path).map_err(wrap)?, path)
}

/// As [`read_private`], for a file of at most `max` bytes.
pub(crate) fn read_private_of(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let wrap = |source| KeyringError::Read { path: path.to_owned(), source };
    read_private_up_to(&mut File::open(path).map_err(wrap)?, path, max)
}

/// Reads an open key file.
pub(super) fn read_private_from(file: &mut File, path: &Path) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    read_private_up_to(file, path, super::KEY_FILE_BYTES_MAX)
}

fn read_private_up_to(file: &mut File, path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, KeyringError> {
    let wrap = |source| KeyringError::Read { path: path.to_owned(), source };
    let mode = mode_of(file).map_err(wrap)?;
    if mode & ALL_OTHERS != 0 {
        return Err(KeyringError::Exposed { path: path.to_owned(), mode });
    }
    let bytes = read_secret(file, max).map_err(wrap)?;
    bytes.ok_or_else(|| KeyringError::TooLarge { path: path.to_owned(), max })
}

/// Reads to the end; `None` when there are more than `bytes_max`. What was read is wiped when it is dropped.
pub(super) fn read_secret(from: &mut impl Read, bytes_max: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let room = usize::try_from(bytes_max).map_err(io::Error::other)?;
    // One allocation: a vector that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(vec![0; room + 1]);
    let mut filled = 0;
    while filled < bytes.len() {
        match from.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok((filled <= room).then_some(bytes))
}
