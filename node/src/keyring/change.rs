//! Putting a key under a passphrase, under another one, or under none.
//!
//! The new file is made ready beside the old one, synced, read back and opened; only then it takes the old one's
//! name, in one step. A crash leaves the old file or the new one. The old file's bytes are overwritten afterwards,
//! **as well as this machine can**: a flash disk, a file system that copies on write or keeps a journal, a snapshot
//! or a backup may keep them all the same. Whoever fears that somebody has them has the key replaced.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use ed25519_dalek::SigningKey;
use serde::Serialize;

use super::files::{create_anew, read_private, read_private_from, sync_folder, temporary_name};
use super::sealed::{KeyFile, plain_pem, sealed_pem};
use super::{KeyringError, Passphrase, Protection, Source, require_expected};

/// What was done; told after each thing that a crash could come after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangeStep {
    /// The new file is beside the old one, on the disk.
    Written,
    /// It was read back and holds the same key.
    Verified,
    /// It has the old one's name.
    Replaced,
    /// The old one's bytes were overwritten, or could not be.
    Overwritten,
}

/// What became of the old file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OldBytes {
    /// Overwritten in place; see the module's text for what that is worth.
    Overwritten,
    /// Left alone: the file has another name too, which somebody made.
    StillLinked,
    /// The disk refused; they are where they were, without a name.
    Left,
}

/// A key whose protection was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Changed {
    /// Its public half.
    pub public: [u8; 32],
    /// How it is protected now.
    pub protection: Protection,
    /// What became of the old file's bytes.
    pub old_bytes: OldBytes,
}

/// Puts an unencrypted key under a passphrase. `expected` are the public keys of which it must be one; none: any.
///
/// # Errors
/// When the key is protected already, is another one, or cannot be written. The old file is in place then.
pub fn protect(
    path: &Path,
    passphrase: &Passphrase,
    expected: &[[u8; 32]],
    step: &mut dyn FnMut(ChangeStep),
) -> Result<Changed, KeyringError> {
    let (old, file) = take(path)?;
    let KeyFile::Plain(key) = file else {
        return Err(KeyringError::AlreadyProtected { path: path.to_owned() });
    };
    exchange(path, old, &key, Some(passphrase), expected, step)
}

/// Puts a protected key under another passphrase.
///
/// # Errors
/// When the old passphrase does not open it, it is another key, or it cannot be written. The old file is in place
/// then.
pub fn change_passphrase(
    path: &Path,
    opened_by: (&Passphrase, &Source),
    passphrase: &Passphrase,
    expected: &[[u8; 32]],
    step: &mut dyn FnMut(ChangeStep),
) -> Result<Changed, KeyringError> {
    let (old, key) = take_protected(path, opened_by)?;
    exchange(path, old, &key, Some(passphrase), expected, step)
}

/// Takes the passphrase off a key: whoever reads the file can then sign as the office.
///
/// # Errors
/// When the passphrase does not open it, it is another key, or it cannot be written. The old file is in place then.
pub fn unprotect(
    path: &Path,
    opened_by: (&Passphrase, &Source),
    expected: &[[u8; 32]],
    step: &mut dyn FnMut(ChangeStep),
) -> Result<Changed, KeyringError> {
    let (old, key) = take_protected(path, opened_by)?;
    exchange(path, old, &key, None, expected, step)
}

/// Gives the file `next` the name of the key file `path`, in one step, and overwrites the bytes of the one that had it.
///
/// # Errors
/// When another command is changing the key, or the name cannot be given. The old file is in place then.
pub(super) fn succeed(path: &Path, next: &Path) -> Result<OldBytes, KeyringError> {
    let wrap = |source| KeyringError::Write { path: path.to_owned(), source };
    let (mut old, _) = take(path)?;
    fs::rename(next, path).map_err(wrap)?;
    sync_folder(path).map_err(wrap)?;
    Ok(overwrite(&mut old).unwrap_or(OldBytes::Left))
}

/// Destroys what a change that was broken off has left beside a key file: `unprotect` leaves the key itself there,
/// unencrypted. Says whether there was anything. While another command is changing the key, nothing is touched.
///
/// # Errors
/// When it cannot be removed.
pub fn sweep(path: &Path) -> Result<bool, KeyringError> {
    let left = temporary_name(path);
    if !left.exists() {
        return Ok(false);
    }
    let wrap = |source| KeyringError::Write { path: left.clone(), source };
    let held = File::open(path).map_err(wrap)?;
    match held.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(source)) => return Err(wrap(source)),
    }
    let mut file = File::options().write(true).open(&left).map_err(wrap)?;
    fs::remove_file(&left).map_err(wrap)?;
    // Best effort, as everywhere.
    let _ = overwrite(&mut file);
    sync_folder(path).map_err(wrap)?;
    Ok(true)
}

/// Takes a protected key file for change, and opens it.
fn take_protected(
    path: &Path,
    (passphrase, from): (&Passphrase, &Source),
) -> Result<(File, SigningKey), KeyringError> {
    let (old, file) = take(path)?;
    let KeyFile::Protected(protected) = file else {
        return Err(KeyringError::NotProtected { path: path.to_owned() });
    };
    Ok((old, protected.open(path, passphrase, from)?))
}

/// Opens a key file so that nobody else changes it at the same time.
fn take(path: &Path) -> Result<(File, KeyFile), KeyringError> {
    let wrap = |source| KeyringError::Write { path: path.to_owned(), source };
    let busy = || KeyringError::InUse { path: path.to_owned() };
    let mut file = File::options().read(true).write(true).open(path).map_err(wrap)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(busy()),
        Err(TryLockError::Error(source)) => return Err(wrap(source)),
    }
    // Another command may have finished between the two lines above: then this is a file without a name.
    let (held, named) = (file.metadata().map_err(wrap)?, fs::metadata(path).map_err(wrap)?);
    if (held.dev(), held.ino()) != (named.dev(), named.ino()) {
        return Err(busy());
    }
    let bytes = read_private_from(&mut file, path)?;
    let parsed = KeyFile::parse(path, &bytes)?;
    Ok((file, parsed))
}

fn exchange(
    path: &Path,
    mut old: File,
    key: &SigningKey,
    passphrase: Option<&Passphrase>,
    expected: &[[u8; 32]],
    step: &mut dyn FnMut(ChangeStep),
) -> Result<Changed, KeyringError> {
    require_expected(path, key, expected)?;
    let wrap = |source| KeyringError::Write { path: path.to_owned(), source };
    let pem = match passphrase {
        Some(passphrase) => sealed_pem(path, key, passphrase)?,
        None => plain_pem(key)
            .map_err(|error| KeyringError::SigningKey { path: path.to_owned(), found: error.to_string() })?,
    };
    let ready = temporary_name(path);
    let mut place = || {
        create_anew(&ready, pem.as_bytes()).map_err(wrap)?;
        step(ChangeStep::Written);
        let protection = verified(&ready, key, passphrase)?;
        step(ChangeStep::Verified);
        fs::rename(&ready, path).map_err(wrap)?;
        sync_folder(path).map_err(wrap)?;
        step(ChangeStep::Replaced);
        Ok(protection)
    };
    let protection = place().inspect_err(|_: &KeyringError| {
        // Best effort; the next attempt removes what is left.
        let _ = fs::remove_file(&ready);
    })?;
    let old_bytes = overwrite(&mut old).unwrap_or(OldBytes::Left);
    step(ChangeStep::Overwritten);
    Ok(Changed { public: key.verifying_key().to_bytes(), protection, old_bytes })
}

/// Reads a key file back that must hold this key under this passphrase.
fn verified(
    path: &Path,
    key: &SigningKey,
    passphrase: Option<&Passphrase>,
) -> Result<Protection, KeyringError> {
    let file = KeyFile::parse(path, &read_private(path)?)?;
    let protection = file.protection();
    let found = match (file, passphrase) {
        (KeyFile::Plain(found), None) => Some(found),
        (KeyFile::Protected(protected), Some(passphrase)) => {
            Some(protected.open(path, passphrase, &Source::File(path.to_owned()))?)
        }
        _ => None,
    };
    match found {
        Some(found) if found.to_bytes() == key.to_bytes() => Ok(protection),
        _ => Err(KeyringError::NotReadBack { path: path.to_owned() }),
    }
}

fn overwrite(old: &mut File) -> io::Result<OldBytes> {
    let found = old.metadata()?;
    if found.nlink() > 0 {
        return Ok(OldBytes::StillLinked);
    }
    let zeros = vec![0; usize::try_from(found.len()).unwrap_or_default()];
    old.seek(SeekFrom::Start(0))?;
    old.write_all(&zeros)?;
    old.sync_all()?;
    Ok(OldBytes::Overwritten)
}
