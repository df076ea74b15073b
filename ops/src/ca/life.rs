//! What an authority does with certificates: issue, renew, revoke, release, list, hand over. What others must approve
//! first comes in through [`super::propose`].

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use schema::id::hex;
use schema::time::Millis;
use sha2::{Digest as _, Sha256};

use super::authority::{LISTS, MINUTES};
use super::book::{Act, Reason, Record, SerialNo, Status};
use super::build::{self, Kind};
use super::minutes::HandOver;
use super::request::Request;
use super::subject::Subject;
use super::{Authority, LeafTerms, Refusal, files};
use crate::calendar;

/// How long a root's list counts unless told otherwise: somebody must fetch the root from its safe for the next one.
pub const ROOT_LIST_DAYS: u64 = 180;
/// How long a delegated authority's list counts unless told otherwise: an office may be off line for 30 days.
pub const LIST_DAYS: u64 = 35;

impl Authority {
    /// Issues a certificate to an office or a person.
    ///
    /// # Errors
    /// When the subject is out of province or has one in use, the key is somebody else's, or stations would not accept
    /// the certificate.
    pub fn issue(&mut self, terms: LeafTerms, now: Millis) -> Result<SerialNo> {
        self.start(now)?;
        self.issuing_place("issue")?;
        self.refuse_alone(if terms.kind == Kind::Officer { "request-officer" } else { "request-office" })?;
        self.issue_leaf(terms, None, None, now)
    }

    /// Looks at what is to be issued; its words.
    pub(super) fn leaf_words(
        &self,
        terms: &LeafTerms,
        renews: Option<SerialNo>,
        now: Millis,
    ) -> Result<build::Words> {
        self.refuse_shared_key(&terms.spki, &terms.subject)?;
        if renews.is_none() {
            self.refuse_second(terms, now)?;
        }
        let LeafTerms { kind, subject, spki, days, .. } = terms.clone();
        let words = self.words(kind, subject, spki, days, now)?;
        build::look_at(&words, &self.book().subject, self.book().place.as_ref())?;
        Ok(words)
    }

    pub(super) fn issue_leaf(
        &mut self,
        terms: LeafTerms,
        renews: Option<SerialNo>,
        proposal: Option<String>,
        now: Millis,
    ) -> Result<SerialNo> {
        let words = self.leaf_words(&terms, renews, now)?;
        self.sign_and_record(words, renews, proposal, terms.device, now)
    }

    /// Refuses what one person must not do where others approve.
    fn refuse_alone(&self, instead: &'static str) -> Result<()> {
        if self.book().demands_approval() { Err(Refusal::NeedsApproval { instead }.into()) } else { Ok(()) }
    }

    /// One key, one subject; and no key that was compromised.
    pub(super) fn refuse_shared_key(&self, spki: &[u8], subject: &Subject) -> Result<()> {
        for record in self.book().certificates.values().filter(|record| record.words.spki == spki) {
            let serial = record.words.serial;
            if record.revoked.is_some_and(|entry| entry.reason.is_compromise()) {
                return Err(Refusal::CompromisedKey { serial }.into());
            }
            if record.words.subject != *subject {
                let subject = record.words.subject.to_string();
                return Err(Refusal::KeyOfAnother { subject, serial }.into());
            }
        }
        Ok(())
    }

    fn refuse_second(&self, terms: &LeafTerms, now: Millis) -> Result<()> {
        let same = |record: &&Record| match (&record.words.kind, &terms.kind) {
            (Kind::Office(one), Kind::Office(other)) => one == other,
            (Kind::Officer, Kind::Officer) => record.words.subject == terms.subject,
            _ => false,
        };
        let held = self.book().issued().filter(same);
        let mut held = held.filter(|record| matches!(record.status(now), Status::InUse | Status::OnHold));
        match held.next() {
            None => Ok(()),
            Some(record) => {
                let (subject, serial) = (terms.subject.to_string(), record.words.serial);
                Err(Refusal::HasCertificate { subject, serial }.into())
            }
        }
    }

    /// The certificate with that number, for somebody else.
    pub(super) fn issued(&self, serial: SerialNo) -> Result<&Record> {
        let record = self.book().certificates.get(&serial).filter(|record| record.words.kind != Kind::Root);
        Ok(record.ok_or(Refusal::UnknownSerial { serial })?)
    }

    /// Renews a certificate: a new serial number, the same subject; the same key, or the one in `request`. The earlier
    /// certificate goes on counting until it ends.
    ///
    /// # Errors
    /// When it is revoked, the certificate of an authority (that needs a new proposal), or the request is another's.
    pub fn renew(
        &mut self,
        serial: SerialNo,
        request: Option<&Request>,
        days: u64,
        device: Option<String>,
        now: Millis,
    ) -> Result<SerialNo> {
        let record = self.renewable_alone(serial, now)?;
        let spki = match request {
            Some(request) => Self::key_of(request, &record.words.subject)?,
            None => record.words.spki.clone(),
        };
        self.issue_leaf(renewal(&record, spki, days, device), Some(serial), None, now)
    }

    /// As [`Authority::renew`], with a key that was proven otherwise (a signed directory names it).
    ///
    /// # Errors
    /// As [`Authority::renew`].
    pub fn renew_for_key(
        &mut self,
        serial: SerialNo,
        spki: Vec<u8>,
        days: u64,
        device: Option<String>,
        now: Millis,
    ) -> Result<SerialNo> {
        let record = self.renewable_alone(serial, now)?;
        self.issue_leaf(renewal(&record, spki, days, device), Some(serial), None, now)
    }

    fn renewable_alone(&mut self, serial: SerialNo, now: Millis) -> Result<Record> {
        self.start(now)?;
        self.issuing_place("renew")?;
        self.refuse_alone("request-renew")?;
        self.renewable(serial)
    }

    /// What was certified under this number, if it may be renewed.
    pub(super) fn renewable(&self, serial: SerialNo) -> Result<Record> {
        let record = self.issued(serial)?.clone();
        match record.revoked {
            Some(entry) => {
                Err(Refusal::AlreadyRevoked { serial, reason: entry.reason.as_str().to_owned() }.into())
            }
            None => Ok(record),
        }
    }

    /// Revokes or suspends a certificate, and issues the list that says so. When its key may be in strange hands, every
    /// other certificate of that key that counts is revoked with it.
    ///
    /// # Errors
    /// When it is revoked already, the reason does not fit, the key is said to be lost in the future, or others must
    /// approve it first: one person alone revokes only for a lost key.
    pub fn revoke(
        &mut self,
        serial: SerialNo,
        reason: Reason,
        invalid_from: Option<Millis>,
        now: Millis,
    ) -> Result<u64> {
        self.start(now)?;
        if !reason.is_urgent() {
            self.refuse_alone("request-revoke")?;
        }
        self.may_revoke(serial, reason, invalid_from, now)?;
        self.record_revocation(serial, reason, invalid_from, None, now)
    }

    pub(super) fn may_revoke(
        &self,
        serial: SerialNo,
        reason: Reason,
        invalid_from: Option<Millis>,
        now: Millis,
    ) -> Result<()> {
        let record = self.issued(serial)?;
        if let Some(entry) = record.revoked
            && (entry.reason != Reason::CertificateHold || reason == Reason::CertificateHold)
        {
            return Err(Refusal::AlreadyRevoked { serial, reason: entry.reason.as_str().to_owned() }.into());
        }
        let refused = |why| Refusal::Reason { reason: reason.as_str().to_owned(), serial, why };
        let is_authority = matches!(record.words.kind, Kind::Delegated(_));
        if reason == Reason::CaCompromise && !is_authority {
            return Err(refused("it is not the certificate of an authority: say key-compromise").into());
        }
        if let Some(from) = invalid_from
            && from > now
        {
            return Err(Refusal::InvalidityDate { given: calendar::shown(from) }.into());
        }
        Ok(())
    }

    pub(super) fn record_revocation(
        &mut self,
        serial: SerialNo,
        reason: Reason,
        invalid_from: Option<Millis>,
        proposal: Option<&str>,
        now: Millis,
    ) -> Result<u64> {
        // The one that was named comes last: after a crash the same command goes on where it stopped.
        let mut serials = Vec::new();
        if reason.is_compromise() {
            serials = self.book().others_of_the_key(serial, now);
        }
        serials.push(serial);
        for serial in serials {
            let proposal = proposal.map(str::to_owned);
            self.journal.append(&Act::Revoked { serial, reason, invalid_from, proposal }, &self.key, now)?;
        }
        self.issue_list(now, None)
    }

    /// Lifts a hold, and issues the list that says so.
    ///
    /// # Errors
    /// When the certificate is not on hold, or others must approve it first.
    pub fn release(&mut self, serial: SerialNo, now: Millis) -> Result<u64> {
        self.start(now)?;
        self.refuse_alone("request-release")?;
        self.may_release(serial)?;
        self.record_release(serial, None, now)
    }

    pub(super) fn may_release(&self, serial: SerialNo) -> Result<()> {
        if self.issued(serial)?.revoked.is_none_or(|entry| entry.reason != Reason::CertificateHold) {
            return Err(Refusal::NotOnHold { serial }.into());
        }
        Ok(())
    }

    pub(super) fn record_release(
        &mut self,
        serial: SerialNo,
        proposal: Option<String>,
        now: Millis,
    ) -> Result<u64> {
        self.journal.append(&Act::Released { serial, proposal }, &self.key, now)?;
        self.issue_list(now, None)
    }

    /// Issues the next revocation list; its number.
    ///
    /// # Errors
    /// When this authority has no certificate yet, or the list cannot be written.
    pub fn list(&mut self, days: Option<u64>, now: Millis) -> Result<u64> {
        self.start(now)?;
        if !self.book().is_root() && self.book().own.is_none() {
            return Err(Refusal::NotInstalled.into());
        }
        self.issue_list(now, days)
    }

    pub(super) fn issue_list(&mut self, now: Millis, days: Option<u64>) -> Result<u64> {
        let usual = if self.book().is_root() { ROOT_LIST_DAYS } else { LIST_DAYS };
        let days = days.unwrap_or(usual);
        ensure!((1..=366).contains(&days), "a list counts for 1 to 366 days, not {days}");
        let number = self.book().lists.last().map_or(1, |list| list.number + 1);
        let this_update_s = now.0 / Millis::SECOND;
        let next_update_s = this_update_s + days * 86_400;
        self.journal.append(&Act::ListIntended { number, this_update_s, next_update_s }, &self.key, now)?;
        self.finish_list(now)?;
        Ok(number)
    }

    pub(super) fn finish_list(&mut self, now: Millis) -> Result<()> {
        let Some(list) = self.book().unfinished_list().cloned() else { return Ok(()) };
        let folder = self.folder.join(LISTS);
        let path = folder.join(format!("{}.der", list.number));
        // Two different lists under one number are evidence against an authority: the first one stays.
        let der = if path.exists() {
            files::read(&path, schema::trust::crl::LIST_BYTES_MAX as u64)?
        } else {
            let (subject, entries) = (&self.book().subject, list.entries.as_deref().unwrap_or_default());
            build::list(subject, &self.key, list.number, list.this_update_s, list.next_update_s, entries)?
        };
        super::inventory::check_list(&der, &list, self.key.spki())
            .with_context(|| format!("revocation list {} is not what was to be issued", list.number))?;
        files::write_both(&folder, &list.number.to_string(), files::LIST, &der)?;
        files::write_both(&folder, "list", files::LIST, &der)?;
        let act = Act::ListIssued { number: list.number, hash: hex(&Sha256::digest(&der)) };
        self.journal.append(&act, &self.key, now)
    }

    /// Writes the minutes (*biên bản bàn giao*) of handing over an agency's key, and records them.
    ///
    /// # Errors
    /// When there is no such certificate in use, or a text cannot be in the minutes.
    pub fn hand_over(&mut self, serial: SerialNo, what: &HandOver, now: Millis) -> Result<PathBuf> {
        self.start(now)?;
        let record = self.issued(serial)?.clone();
        ensure!(
            record.status(now) == Status::InUse,
            "certificate {serial} is {}: only a key that counts is handed over",
            record.status(now).label()
        );
        let text = what.text(&record, self.book(), now)?;
        let name = format!("{serial}-{}.txt", record.minutes.len() + 1);
        let path = self.folder.join(MINUTES).join(&name);
        files::replace(&path, text.as_bytes())?;
        let hash = hex(&Sha256::digest(&text));
        self.journal.append(&Act::HandedOver { serial, minutes: name, hash }, &self.key, now)?;
        Ok(path)
    }
}

/// The terms of a certificate's successor.
pub(super) fn renewal(record: &Record, spki: Vec<u8>, days: u64, device: Option<String>) -> LeafTerms {
    let device = device.or_else(|| record.device.clone());
    let (kind, subject) = (record.words.kind.clone(), record.words.subject.clone());
    LeafTerms { kind, subject, spki, days, device }
}
