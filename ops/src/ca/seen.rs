//! Whether a folder is an older copy. A whole copy that was put back is sound in itself: only what others hold shows
//! that the authority has gone on since. A list with a number that is not in the journal, or a certificate that is not,
//! settles it.
//!
//! What stays open: acts after which nobody was given anything. A certificate that was issued since, and that nobody
//! shows, is unknown here; it goes on counting until it ends. So what is shown should be the newest list that a relay
//! holds, and the newest certificate that anybody was given.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use schema::id::hex;
use schema::trust::crl::{LIST_BYTES_MAX, ListNumber};
use schema::trust::{Certificate, CertificateHash, RevocationList};
use sha2::{Digest as _, Sha256};

use super::authority::{CERTIFICATES, LISTS};
use super::{Opening, Refusal, build, files};

impl Opening {
    /// Compares with lists and certificates of this authority that others hold (PEM or DER).
    ///
    /// # Errors
    /// [`Refusal::OlderThanSeen`] or [`Refusal::TwoHistories`] when this must not go on; [`Refusal::SeenOfAnother`]
    /// when a file shows nothing about this authority.
    pub fn compare_with_seen(&self, seen: &[PathBuf]) -> Result<()> {
        seen.iter().try_for_each(|path| self.compare_with(path))
    }

    fn compare_with(&self, path: &Path) -> Result<()> {
        let bytes = files::read(path, 2 * LIST_BYTES_MAX as u64)?;
        let of_another = |why: String| Refusal::SeenOfAnother { path: path.to_owned(), why };
        let list = files::der_of(&bytes, files::LIST)
            .ok()
            .and_then(|der| RevocationList::parse(&der).ok().zip(Some(der)));
        if let Some((list, der)) = list {
            build::signed_list(&der, &self.book().spki).map_err(|error| of_another(format!("{error:#}")))?;
            return self.compare_with_list(path, &list, &der);
        }
        let certificate =
            files::der_of(&bytes, files::CERTIFICATE).map_err(|error| of_another(error.to_string()))?;
        let parsed = Certificate::parse(&certificate).map_err(|error| of_another(error.to_string()))?;
        if !parsed.is_signed_by(&build::certified_key(&self.book().spki)?) {
            return Err(of_another("it is the certificate of another authority".to_owned()).into());
        }
        self.compare_with_certificate(path, &parsed)
    }

    fn compare_with_list(&self, path: &Path, seen: &RevocationList, der: &[u8]) -> Result<()> {
        let what = |rest: String| format!("`{}` is list {}, {rest}", path.display(), seen.number());
        let book = self.book();
        let Some(held) = book.lists.iter().find(|list| ListNumber::from(list.number) == seen.number()) else {
            let newest = book.lists.last().map_or(0, |list| list.number);
            return Err(
                Refusal::OlderThanSeen { what: what(format!("the newest one here is {newest}")) }.into()
            );
        };
        let hash = match &held.hash {
            Some(hash) => hash.clone(),
            None => self.left_on_disk(LISTS, &held.number.to_string())?,
        };
        if hash == hex(&Sha256::digest(der)) {
            Ok(())
        } else {
            Err(Refusal::TwoHistories {
                what: what("and the one with that number here is another".to_owned()),
            }
            .into())
        }
    }

    fn compare_with_certificate(&self, path: &Path, seen: &Certificate) -> Result<()> {
        let what = |rest: &str| format!("`{}` is certificate {}, {rest}", path.display(), seen.serial());
        let mut records = self.book().certificates.values();
        match records.find(|record| record.words.serial.as_bytes() == seen.serial().as_bytes()) {
            None => Err(Refusal::OlderThanSeen { what: what("which is not in the journal here") }.into()),
            Some(record) => {
                let held = match &record.hash {
                    Some(hash) => hash.clone(),
                    None => self.left_on_disk(CERTIFICATES, &record.words.serial.to_string())?,
                };
                if held == CertificateHash::of(seen.as_der()).to_string() {
                    Ok(())
                } else {
                    Err(Refusal::TwoHistories { what: what("and the one with that number here is another") }
                        .into())
                }
            }
        }
    }

    /// Hash of what was signed and handed on, says the file that others hold; the journal was cut off before it could
    /// say so.
    fn left_on_disk(&self, folder: &str, stem: &str) -> Result<String> {
        let path = self.folder().join(folder).join(format!("{stem}.der"));
        let left = files::read(&path, LIST_BYTES_MAX as u64)
            .with_context(|| format!("`{folder}/{stem}` was handed on, and is not on the disk"))?;
        Ok(hex(&Sha256::digest(&left)))
    }
}
