//! Certificates and revocation lists on their way into the registry: out of the folder of a certificate authority, or out
//! of files as authorities hand them on.

use std::path::Path;

use anyhow::{Context, Result, bail};
use schema::registry::{Item, ItemKind, decode_items};
use schema::trust::crl::LIST_BYTES_MAX;
use schema::trust::{Certificate, RevocationList};

use crate::ca::authority::{CERTIFICATES, LISTS};
use crate::ca::build::Kind;
use crate::ca::files::{self, SMALL_FILE_BYTES_MAX};
use crate::ca::{Authority, Opening};

/// The public papers in a file or in the folder of an authority.
///
/// # Errors
/// When it cannot be read, or is neither certificate nor list nor registry.
pub fn read(path: &Path) -> Result<Vec<Item>> {
    if path.is_dir() { of_authority(&Opening::read(path)?) } else { of_file(path) }
}

/// What everybody must hold of an authority that is open: see [`of_authority`].
///
/// # Errors
/// When a file of its folder cannot be read.
pub fn of_open_authority(authority: &Authority) -> Result<Vec<Item>> {
    of_authority(&Opening::read(authority.folder())?)
}

/// What everybody must hold of an authority: its own certificate, its newest list, and the certificates it issued to
/// authorities and offices, those that are over as well, because old signatures are judged by them. Those of persons
/// stay out: they travel with what the person signed.
///
/// # Errors
/// When a file of its folder cannot be read.
pub fn of_authority(opening: &Opening) -> Result<Vec<Item>> {
    let (folder, book) = (opening.folder(), opening.book());
    let mut items = Vec::new();
    let own = folder.join("ca.der");
    // A root's own is pinned by its hash; a delegated one has none before the root has certified it.
    if !book.is_root() && own.exists() {
        items.push(item(ItemKind::Certificate, files::read(&own, SMALL_FILE_BYTES_MAX)?)?);
    }
    if let Some(list) = book.newest_list() {
        let path = folder.join(LISTS).join(format!("{}.der", list.number));
        items.push(item(ItemKind::RevocationList, files::read(&path, LIST_BYTES_MAX as u64)?)?);
    }
    for record in book.issued() {
        if matches!(record.words.kind, Kind::Delegated(_) | Kind::Office(_)) {
            let path = folder.join(CERTIFICATES).join(format!("{}.der", record.words.serial));
            items.push(item(ItemKind::Certificate, files::read(&path, SMALL_FILE_BYTES_MAX)?)?);
        }
    }
    Ok(items)
}

/// A certificate or a list, PEM or DER, or all items of a registry file.
///
/// # Errors
/// When it is none of them.
pub fn of_file(path: &Path) -> Result<Vec<Item>> {
    let bytes = files::read(path, schema::registry::REGISTRY_BYTES_MAX as u64)?;
    if let Ok(items) = decode_items(&bytes) {
        return Ok(items);
    }
    let one = || {
        if let Ok(der) = files::der_of(&bytes, files::CERTIFICATE)
            && Certificate::parse(&der).is_ok()
        {
            return item(ItemKind::Certificate, der);
        }
        if let Ok(der) = files::der_of(&bytes, files::LIST)
            && RevocationList::parse(&der).is_ok()
        {
            return item(ItemKind::RevocationList, der);
        }
        bail!("it is neither a certificate nor a revocation list nor a registry that is accepted")
    };
    one().map(|item| vec![item]).with_context(|| format!("`{}` cannot be taken in", path.display()))
}

fn item(kind: ItemKind, bytes: Vec<u8>) -> Result<Item> {
    Item::new(kind, bytes).context("too large for the registry")
}
