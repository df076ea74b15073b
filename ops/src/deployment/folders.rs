//! Files of a deployment: keys that are made once and found again, and what a relay is configured with.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ed25519_dalek::SigningKey;
use node::config::read_bounded;
use node::keyring::{self, KeyringError, Login, Unlock, change};
use schema::id::hex;
use schema::registry::Roots;

use super::NewRegion;

/// Puts a relay's login and its stamp key where the relay looks for them, also after its disk was lost.
///
/// # Errors
/// When they cannot be copied.
pub fn install_relay_keys(relay_folder: &Path) -> Result<()> {
    let data = relay_folder.join("data");
    make_private_folder(&data)?;
    for name in ["relay.nk", "stamp.key"] {
        let key = read_bounded(&relay_folder.join(name), keyring::KEY_FILE_BYTES_MAX)?;
        keyring::replace_private(&data.join(name), &key)?;
    }
    Ok(())
}

/// The signing key in this file; a new one when there is none. With a passphrase file it is protected afterwards.
pub(super) fn key_at(
    path: &Path,
    expected: &[[u8; 32]],
    unlock: &Unlock,
) -> Result<SigningKey, KeyringError> {
    let protect_with = match unlock.passphrase_file {
        Some(_) => Some(unlock.new_passphrase(path)?.0),
        None => None,
    };
    if path.exists() {
        let opened = keyring::open_signing_key(path, expected, unlock)?;
        if let (Some(passphrase), false) = (&protect_with, opened.protection.is_protected()) {
            change::protect(path, passphrase, expected, &mut |_| {})?;
        }
        return Ok(opened.key);
    }
    let key = keyring::generate_signing_key()?;
    match &protect_with {
        Some(passphrase) => keyring::write_protected_key(path, &key, passphrase)?,
        None => keyring::write_signing_key(path, &key)?,
    }
    Ok(key)
}

/// Says what to do about a key that nobody gave a passphrase for.
pub(super) fn advised(flag: &str) -> impl FnOnce(KeyringError) -> anyhow::Error {
    move |error| match error {
        KeyringError::Locked { .. } => anyhow::Error::new(error)
            .context(format!("name the file with its passphrase (`{flag}`), or run this at a terminal")),
        error => error.into(),
    }
}

pub(super) fn login_at(path: &Path) -> Result<Login> {
    if path.exists() {
        return Ok(Login::read(path)?);
    }
    let login = Login::generate()?;
    login.write(path)?;
    Ok(login)
}

pub(super) fn relay_config(region: &NewRegion, roots: &Roots) -> String {
    let NewRegion { id, listen, monitor_port, status, .. } = region;
    let root_key = hex(&roots.directory_key);
    let anchors: Vec<String> = roots.anchors.iter().map(|anchor| format!("\"{anchor}\"")).collect();
    format!(
        "# Settings of the relay of region `{id}`. An unknown key is an error.\n\
         region = \"{id}\"\n\
         # Everything in here is a cache: it may be lost at any moment. The keys are put back from `relay.nk` and\n\
         # `stamp.key`.\n\
         data_dir = \"data\"\n\
         registry = \"registry.cbor\"\n\
         # Public key that signs the directory.\n\
         root_key = \"{root_key}\"\n\
         # SHA-256 of each root certificate that is believed.\n\
         trust_anchors = [{}]\n\
         # Where its NATS server listens for offices and peers; monitoring and status stay on this machine.\n\
         listen = \"{listen}\"\n\
         monitor_port = {monitor_port}\n\
         status = \"{status}\"\n",
        anchors.join(", ")
    )
}

pub(super) fn make_private_folder(folder: &Path) -> Result<()> {
    let attempted = || format!("failed to make the folder `{}`", folder.display());
    let is_new = !folder.exists();
    fs::create_dir_all(folder).with_context(attempted)?;
    if is_new {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).with_context(attempted)?;
    }
    Ok(())
}

pub(super) fn subfolders(folder: &Path) -> Result<Vec<PathBuf>> {
    let attempted = || format!("failed to list `{}`", folder.display());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(attempted),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(attempted)?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whole or not at all: a station that starts at this moment must not read half a file.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = path.with_extension("new");
    let written = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, path));
    written.with_context(|| format!("failed to write `{}`", path.display()))
}
