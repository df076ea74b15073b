//! What an authority does with certificates: propose, issue, renew, revoke, release, list, hand over.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use data_encoding::HEXLOWER;
use node::keyring::random_bytes;
use schema::id::hex;
use schema::time::Millis;
use sha2::{Digest as _, Sha256};

use super::approval::{self, Approver, Proposal, ProposalFile, Signed, Terms};
use super::authority::{LISTS, MINUTES, REQUESTS};
use super::book::{Act, Reason, Record, SerialNo, Status};
use super::build::{self, Kind};
use super::minutes::HandOver;
use super::request::Request;
use super::subject::{Place, Subject};
use super::{Authority, LeafTerms, Refusal, files};
use crate::calendar;

/// How long a root's list counts unless told otherwise: somebody must fetch the root from its safe for the next one.
pub const ROOT_LIST_DAYS: u64 = 180;
/// How long a delegated authority's list counts unless told otherwise: an office may be off line for 30 days.
pub const LIST_DAYS: u64 = 35;

impl Authority {
    /// Proposes to certify a delegated authority; writes the file that approvers sign.
    ///
    /// # Errors
    /// When this is no root, or the request is for another name.
    pub fn propose_authority(
        &mut self,
        place: &Place,
        name: &str,
        request: &Request,
        days: u64,
        now: Millis,
    ) -> Result<(Proposal, PathBuf)> {
        self.start(now)?;
        self.must_be_root("request")?;
        let subject = Subject::authority(place, name);
        let spki = Self::key_of(request, &subject)?;
        // What would be refused at the end is refused before two people have been bothered.
        let words = self.words(Kind::Delegated(place.clone()), subject.clone(), spki.clone(), days, now)?;
        build::look_at(&words, &self.book().subject, None)?;
        self.refuse_shared_key(&spki, &subject)?;
        let terms = Terms::Authority {
            subject,
            place: place.clone(),
            spki: hex(&spki),
            request: hex(&request.hash()),
            days,
        };
        self.propose(terms, Some(files::pem_of(files::REQUEST, request.as_der())?), now)
    }

    /// Proposes who approves from now on.
    ///
    /// # Errors
    /// When this is no root, or they are not two different persons.
    pub fn propose_approvers(&mut self, approvers: &[Approver], now: Millis) -> Result<(Proposal, PathBuf)> {
        self.start(now)?;
        self.must_be_root("request-approvers")?;
        approval::check_approvers(approvers)?;
        self.propose(Terms::Approvers { approvers: approvers.to_vec() }, None, now)
    }

    fn propose(&mut self, terms: Terms, request: Option<String>, now: Millis) -> Result<(Proposal, PathBuf)> {
        let id = hex(&random_bytes::<16>()?);
        let proposal = Proposal { id, root: self.key_hash()?, proposed_at: now, terms };
        self.journal.append(&Act::Proposed { proposal: proposal.clone() }, &self.key, now)?;
        let path = self.folder.join(REQUESTS).join(format!("{}.json", proposal.id));
        let file = ProposalFile { proposal: proposal.clone(), request };
        let text = serde_json::to_string_pretty(&file).context("failed to write the proposal")?;
        files::create(&path, format!("{text}\n").as_bytes())?;
        Ok((proposal, path))
    }

    fn must_be_root(&self, what: &'static str) -> Result<()> {
        if self.book().is_root() { Ok(()) } else { Err(self.wrong_kind(what, "a root")) }
    }

    /// Carries out a proposal that two different persons approved: the serial number of the authority's certificate, or
    /// nothing when it was about the approvers.
    ///
    /// # Errors
    /// When one person agreed, the same one twice, to other terms, or the signature is not theirs.
    pub fn carry_out(&mut self, id: &str, approvals: &[Signed], now: Millis) -> Result<Option<SerialNo>> {
        self.start(now)?;
        self.must_be_root("issue-authority")?;
        let record =
            self.book().proposals.get(id).ok_or_else(|| Refusal::UnknownRequest { id: id.to_owned() })?;
        if record.done {
            return Err(Refusal::RequestDone { id: id.to_owned() }.into());
        }
        let proposal = record.proposal.clone();
        ensure!(proposal.root == self.key_hash()?, "proposal `{id}` is for another root");
        approval::check_approvals(&proposal, approvals, &self.book().approvers)?;
        let words = match &proposal.terms {
            Terms::Authority { subject, place, spki, days, .. } => {
                let spki = HEXLOWER.decode(spki.as_bytes()).context("the proposal's key cannot be read")?;
                self.refuse_shared_key(&spki, subject)?;
                let words = self.words(Kind::Delegated(place.clone()), subject.clone(), spki, *days, now)?;
                build::look_at(&words, &self.book().subject, None)?;
                Some(words)
            }
            Terms::Approvers { .. } => None,
        };
        for approval in approvals {
            self.journal.append(&Act::Approved { approval: approval.clone() }, &self.key, now)?;
        }
        if let Some(words) = words {
            return self.sign_and_record(words, None, Some(id.to_owned()), None, now).map(Some);
        }
        self.journal.append(&Act::ApproversChanged { proposal: id.to_owned() }, &self.key, now)?;
        Ok(None)
    }

    /// Issues a certificate to an office or a person.
    ///
    /// # Errors
    /// When the subject is out of province or has one in use, the key is somebody else's, or stations would not accept
    /// the certificate.
    pub fn issue(&mut self, terms: LeafTerms, now: Millis) -> Result<SerialNo> {
        self.start(now)?;
        self.issuing_place("issue")?;
        self.refuse_shared_key(&terms.spki, &terms.subject)?;
        self.refuse_second(&terms, now)?;
        let words = self.words(terms.kind, terms.subject, terms.spki, terms.days, now)?;
        self.sign_and_record(words, None, None, terms.device, now)
    }

    /// One key, one subject; and no key that was compromised.
    fn refuse_shared_key(&self, spki: &[u8], subject: &Subject) -> Result<()> {
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
    fn issued(&self, serial: SerialNo) -> Result<&Record> {
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
        let record = self.renewable(serial, now)?;
        let spki = match request {
            Some(request) => Self::key_of(request, &record.words.subject)?,
            None => record.words.spki.clone(),
        };
        self.renew_with(&record, spki, days, device, now)
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
        let record = self.renewable(serial, now)?;
        self.renew_with(&record, spki, days, device, now)
    }

    /// What was certified under this number, if it may be renewed.
    fn renewable(&mut self, serial: SerialNo, now: Millis) -> Result<Record> {
        self.start(now)?;
        self.issuing_place("renew")?;
        let record = self.issued(serial)?.clone();
        match record.revoked {
            Some(entry) => {
                Err(Refusal::AlreadyRevoked { serial, reason: entry.reason.as_str().to_owned() }.into())
            }
            None => Ok(record),
        }
    }

    fn renew_with(
        &mut self,
        record: &Record,
        spki: Vec<u8>,
        days: u64,
        device: Option<String>,
        now: Millis,
    ) -> Result<SerialNo> {
        self.refuse_shared_key(&spki, &record.words.subject)?;
        let device = device.or_else(|| record.device.clone());
        let words = self.words(record.words.kind.clone(), record.words.subject.clone(), spki, days, now)?;
        self.sign_and_record(words, Some(record.words.serial), None, device, now)
    }

    /// Revokes or suspends a certificate, and issues the list that says so.
    ///
    /// # Errors
    /// When it is revoked already, the reason does not fit, or the key is said to be lost in the future.
    pub fn revoke(
        &mut self,
        serial: SerialNo,
        reason: Reason,
        invalid_from: Option<Millis>,
        now: Millis,
    ) -> Result<u64> {
        self.start(now)?;
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
        self.journal.append(&Act::Revoked { serial, reason, invalid_from }, &self.key, now)?;
        self.issue_list(now, None)
    }

    /// Lifts a hold, and issues the list that says so.
    ///
    /// # Errors
    /// When the certificate is not on hold.
    pub fn release(&mut self, serial: SerialNo, now: Millis) -> Result<u64> {
        self.start(now)?;
        if self.issued(serial)?.revoked.is_none_or(|entry| entry.reason != Reason::CertificateHold) {
            return Err(Refusal::NotOnHold { serial }.into());
        }
        self.journal.append(&Act::Released { serial }, &self.key, now)?;
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
