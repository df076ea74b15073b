//! What an authority has issued (*danh mục chứng thư*): counts that reconcile, and every file against the journal.
//!
//! The counts come from two places: issued, revoked and expired from the journal; in use from the certificates and the
//! newest list as they lie on the disk, which is what stations see. *issued − revoked − expired = in use*, or something
//! is missing, left over, or not published.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use schema::id::hex;
use schema::time::Millis;
use schema::trust::crl::{LIST_BYTES_MAX, ListNumber, RevocationReason};
use schema::trust::{Certificate, RevocationList};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::authority::{CERTIFICATES, KEY_FILE, LISTS, MINUTES, stems};
use super::book::{Act, ListRecord, SerialNo, Status};
use super::{Opening, build, files, oversight};

/// What is counted. Certificates for others only, not the authority's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Ever issued, by the journal.
    pub issued: usize,
    /// Of these, revoked or on hold, by the journal.
    pub revoked: usize,
    /// Of these, expired without having been revoked, by the journal and the clock.
    pub expired: usize,
    /// In use, by the files: certificates that count now and are not on the newest list.
    pub in_use: usize,
    /// Whether *issued − revoked − expired = in use*.
    pub reconcile: bool,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub what: String,
    /// How many of them.
    pub looked_at: usize,
    /// What is wrong, one line each.
    pub broken: Vec<String>,
}

impl Opening {
    /// The counts.
    ///
    /// # Errors
    /// When the folder cannot be read. What is wrong *in* it makes the counts differ instead.
    pub fn counts(&self, now: Millis) -> Result<Counts> {
        let (mut issued, mut revoked, mut expired) = (0, 0, 0);
        for record in self.book().issued() {
            issued += 1;
            match record.status(now) {
                Status::Revoked | Status::OnHold => revoked += 1,
                Status::Expired => expired += 1,
                Status::InUse | Status::Unfinished => {}
            }
        }
        let in_use = self.in_use_on_disk(now)?;
        Ok(Counts { issued, revoked, expired, in_use, reconcile: issued == revoked + expired + in_use })
    }

    fn in_use_on_disk(&self, now: Millis) -> Result<usize> {
        let folder = self.folder().join(CERTIFICATES);
        let newest = self.folder().join(LISTS).join("list.der");
        let list = if newest.exists() {
            let bytes = files::read(&newest, LIST_BYTES_MAX as u64)?;
            Some(
                RevocationList::parse(&bytes)
                    .with_context(|| format!("`{}` is damaged", newest.display()))?,
            )
        } else {
            None
        };
        let root = self.book().root_record().map(|record| record.words.serial.to_string());
        let mut in_use = 0;
        for stem in stems(&folder)? {
            if Some(&stem) == root.as_ref() {
                continue;
            }
            let bytes = files::read(&folder.join(format!("{stem}.der")), files::SMALL_FILE_BYTES_MAX)?;
            // A damaged one is not in use: then the counts differ, which is what they are for.
            let Ok(certificate) = Certificate::parse(&bytes) else { continue };
            let is_listed =
                list.as_ref().is_some_and(|list| list.entries().contains_key(certificate.serial()));
            in_use += usize::from(!is_listed && !certificate.validity().is_over(now));
        }
        Ok(in_use)
    }

    /// Compares every file with the journal. The journal itself was checked when it was opened.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn check(&self, now: Millis) -> Result<Vec<Check>> {
        let book = self.book();
        let mut checks = vec![Check {
            what: "journal: chain, signatures, order".to_owned(),
            looked_at: self.journal().lines().len(),
            broken: self
                .journal()
                .is_torn()
                .then(|| "a crash cut off its last line; `tram ca recover` removes it".to_owned())
                .into_iter()
                .collect(),
        }];
        let mut check = |what: &str, looked_at, broken| {
            checks.push(Check { what: what.to_owned(), looked_at, broken });
        };
        let (looked_at, broken) = oversight::check(self.journal().lines());
        check("approvals: who agreed to what", looked_at, broken);
        check("files that only the owner reads", 1, self.exposed());
        check("own certificate", 1, self.check_own());
        let (looked_at, broken) = self.check_certificates()?;
        check("certificates: bytes, words, signature", looked_at, broken);
        let (looked_at, broken) = self.check_lists()?;
        check("revocation lists: bytes, entries, signature", looked_at, broken);
        let (looked_at, broken) = self.check_minutes();
        check("hand-over minutes", looked_at, broken);
        let mut open = Vec::new();
        open.extend(
            book.unfinished().map(|record| format!("certificate {} is unfinished", record.words.serial)),
        );
        open.extend(
            book.unfinished_list().map(|list| format!("revocation list {} is unfinished", list.number)),
        );
        let certified = book.is_root() || book.own.is_some();
        if certified && !book.list_is_current() {
            open.push("what was revoked last is on no list yet".to_owned());
        }
        open.iter_mut().for_each(|line| line.push_str(": run `tram ca recover`"));
        check("nothing unfinished", 1, open);
        check("no certificate in use for a lost key", 1, self.in_use_for_a_lost_key(now));
        let counts = self.counts(now);
        let differ = match counts {
            Ok(counts) if counts.reconcile => Vec::new(),
            Ok(counts) => vec![counts.to_string()],
            Err(error) => vec![format!("{error:#}")],
        };
        check("issued − revoked − expired = in use", 1, differ);
        Ok(checks)
    }

    /// Renewals have the key of what they renew: revoked for a lost key, all of them must go.
    fn in_use_for_a_lost_key(&self, now: Millis) -> Vec<String> {
        let book = self.book();
        let lost =
            book.issued().filter(|record| record.revoked.is_some_and(|entry| entry.reason.is_compromise()));
        let others = lost.flat_map(|record| {
            let lost = record.words.serial;
            let others = book.others_of_the_key(lost, now).into_iter();
            others.map(move |other| format!("{other} has the key that {lost} was revoked for: revoke it too"))
        });
        others.collect()
    }

    fn exposed(&self) -> Vec<String> {
        let mut broken = Vec::new();
        for name in [KEY_FILE, super::journal::FILE] {
            match fs::metadata(self.folder().join(name)) {
                Ok(found) if found.permissions().mode() & 0o077 == 0 => {}
                Ok(found) => {
                    broken.push(format!(
                        "`{name}` has mode {:03o}, expected 600",
                        found.permissions().mode() & 0o777
                    ));
                }
                Err(error) => broken.push(format!("`{name}`: {error}")),
            }
        }
        broken
    }

    fn check_own(&self) -> Vec<String> {
        let book = self.book();
        let mut broken = Vec::new();
        let mut wanted = Vec::new();
        if let Some(own) = &book.own {
            wanted.push(("ca", own.certificate.clone()));
            wanted.push(("root", own.root.clone()));
        }
        wanted.extend(book.root_record().and_then(|record| record.hash.clone()).map(|hash| ("ca", hash)));
        for (stem, hash) in wanted {
            broken.extend(self.check_pair("", stem, files::CERTIFICATE, &hash, 1 << 16).err());
        }
        broken
    }

    /// The bytes of a file, when both forms are what the journal says.
    fn check_pair(
        &self,
        folder: &str,
        stem: &str,
        label: &str,
        hash: &str,
        max: u64,
    ) -> Result<Vec<u8>, String> {
        let path = self.folder().join(folder);
        let told =
            |error: &dyn std::fmt::Display| format!("`{}`: {error}", Path::new(folder).join(stem).display());
        let der = files::read(&path.join(format!("{stem}.der")), max).map_err(|e| told(&format!("{e:#}")))?;
        if hex(&Sha256::digest(&der)) != hash {
            return Err(told(&"the DER file is not the one that was issued"));
        }
        let pem =
            files::read(&path.join(format!("{stem}.pem")), 2 * max).map_err(|e| told(&format!("{e:#}")))?;
        match files::der_of(&pem, label) {
            Ok(same) if same == der => Ok(der),
            _ => Err(told(&"the PEM file does not say the same as the DER file")),
        }
    }

    fn check_certificates(&self) -> Result<(usize, Vec<String>)> {
        let book = self.book();
        let mut broken = Vec::new();
        let mut looked_at = 0;
        for record in book.certificates.values() {
            let (serial, Some(hash)) = (record.words.serial, &record.hash) else { continue };
            looked_at += 1;
            let checked = self
                .check_pair(
                    CERTIFICATES,
                    &serial.to_string(),
                    files::CERTIFICATE,
                    hash,
                    files::SMALL_FILE_BYTES_MAX,
                )
                .and_then(|der| {
                    let of = build::is_of(&der, &record.words, &book.spki);
                    of.map_err(|error| format!("`{CERTIFICATES}/{serial}`: {error:#}"))
                });
            broken.extend(checked.err());
        }
        for stem in stems(&self.folder().join(CERTIFICATES))? {
            let known = |serial: &SerialNo| book.certificates.contains_key(serial);
            if !stem.parse().is_ok_and(|serial| known(&serial)) {
                broken.push(format!("`{CERTIFICATES}/{stem}` is not in the journal"));
            }
        }
        Ok((looked_at, broken))
    }

    fn check_lists(&self) -> Result<(usize, Vec<String>)> {
        let book = self.book();
        let mut broken = Vec::new();
        let max = LIST_BYTES_MAX as u64;
        for list in &book.lists {
            let Some(hash) = &list.hash else { continue };
            let mut checked = self.check_pair(LISTS, &list.number.to_string(), files::LIST, hash, max);
            if book.newest_list().is_some_and(|newest| newest.number == list.number) {
                checked = checked.and_then(|_| self.check_pair(LISTS, "list", files::LIST, hash, max));
            }
            let checked = checked.and_then(|der| {
                check_list(&der, list, &book.spki).map_err(|e| format!("`{LISTS}/{}`: {e:#}", list.number))
            });
            broken.extend(checked.err());
        }
        for stem in stems(&self.folder().join(LISTS))? {
            if !stem.parse().is_ok_and(|number: u64| book.lists.iter().any(|list| list.number == number)) {
                broken.push(format!("`{LISTS}/{stem}` is not in the journal"));
            }
        }
        Ok((book.lists.len(), broken))
    }

    fn check_minutes(&self) -> (usize, Vec<String>) {
        let mut broken = Vec::new();
        let mut looked_at = 0;
        for (_, act) in self.journal().lines() {
            let Act::HandedOver { minutes, hash, .. } = act else { continue };
            looked_at += 1;
            let path = self.folder().join(MINUTES).join(minutes);
            match files::read(&path, files::SMALL_FILE_BYTES_MAX) {
                Ok(text) if hex(&Sha256::digest(&text)) == *hash => {}
                Ok(_) => broken.push(format!("`{MINUTES}/{minutes}` was changed")),
                Err(error) => broken.push(format!("{error:#}")),
            }
        }
        (looked_at, broken)
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { issued, revoked, expired, in_use, reconcile } = self;
        let sign = if *reconcile { "=" } else { "≠" };
        write!(f, "{issued} issued − {revoked} revoked − {expired} expired {sign} {in_use} in use")
    }
}

/// Whether these bytes are that list, signed by that key.
pub(super) fn check_list(der: &[u8], list: &ListRecord, spki: &[u8]) -> Result<()> {
    let parsed = RevocationList::parse(der)?;
    ensure!(parsed.number() == ListNumber::from(list.number), "it has number {}", parsed.number());
    let window = parsed.window();
    ensure!(
        (window.this_update.0 / Millis::SECOND, window.next_update.0 / Millis::SECOND)
            == (list.this_update_s, list.next_update_s),
        "it counts for another time"
    );
    let said: BTreeMap<&[u8], _> =
        parsed.entries().iter().map(|(serial, entry)| (serial.as_bytes(), entry)).collect();
    let expected = list.entries.as_deref();
    if let Some(expected) = expected {
        ensure!(
            said.len() == expected.len(),
            "it names {} certificates, expected {}",
            said.len(),
            expected.len()
        );
    }
    for entry in expected.unwrap_or_default() {
        let found = said.get(entry.serial.as_bytes().as_slice());
        let found = found.ok_or_else(|| anyhow!("it does not name {}", entry.serial))?;
        let seconds = |at: Option<Millis>| at.map(|at| at.0 / Millis::SECOND);
        ensure!(
            found.revoked_at.0 / Millis::SECOND == entry.revoked_at.0 / Millis::SECOND
                && seconds(found.invalid_from) == seconds(entry.invalid_from)
                && found.reason == judged(entry.reason),
            "it says something else about {}",
            entry.serial
        );
    }
    build::signed_list(der, spki)
}

const fn judged(reason: super::book::Reason) -> RevocationReason {
    use super::book::Reason as R;
    match reason {
        R::KeyCompromise => RevocationReason::KeyCompromise,
        R::CaCompromise => RevocationReason::CaCompromise,
        R::AffiliationChanged => RevocationReason::AffiliationChanged,
        R::Superseded => RevocationReason::Superseded,
        R::CessationOfOperation => RevocationReason::CessationOfOperation,
        R::CertificateHold => RevocationReason::CertificateHold,
        R::PrivilegeWithdrawn => RevocationReason::PrivilegeWithdrawn,
    }
}
