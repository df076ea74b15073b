//! What others must approve: proposed, written for the approvers, and carried out once enough of them signed it.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use data_encoding::HEXLOWER;
use node::keyring::random_bytes;
use schema::id::hex;
use schema::time::Millis;

use super::approval::{self, Approver, Signed};
use super::authority::{FOUNDING_FILE, REQUESTS};
use super::book::{Act, Reason, SerialNo};
use super::build::{self, Kind};
use super::proposal::{FOUNDING, Proposal, ProposalFile, Terms};
use super::request::Request;
use super::subject::{Place, Subject};
use super::{Authority, LeafTerms, Refusal, files, life};

/// What was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CarriedOut {
    /// Everybody has signed the founding.
    Founding,
    /// Others approve from now on.
    Approvers,
    /// A certificate was issued.
    Certificate(SerialNo),
    /// A certificate was revoked or suspended; the number of the list that says so.
    Revocation(SerialNo, u64),
    /// A suspension was lifted; the number of the list that says so.
    Release(SerialNo, u64),
}

impl CarriedOut {
    /// The certificate that was issued, if that is what it was.
    pub const fn certificate(&self) -> Option<SerialNo> {
        match self {
            Self::Certificate(serial) => Some(*serial),
            Self::Founding | Self::Approvers | Self::Revocation(..) | Self::Release(..) => None,
        }
    }
}

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
        self.propose(terms, Some(request), now)
    }

    /// Proposes who approves from now on. Where nobody does yet, those who are named approve it themselves.
    ///
    /// # Errors
    /// When they are too few, or two have one name or key.
    pub fn propose_approvers(&mut self, approvers: &[Approver], now: Millis) -> Result<(Proposal, PathBuf)> {
        self.start(now)?;
        approval::check_approvers(approvers, self.book().approvals_needed())?;
        self.propose(Terms::Approvers { approvers: approvers.to_vec() }, None, now)
    }

    /// Proposes to certify an office or a person, where others must approve that.
    ///
    /// # Errors
    /// As [`Authority::issue`], or when nobody approves here.
    pub fn propose_leaf(
        &mut self,
        terms: LeafTerms,
        request: Option<&Request>,
        now: Millis,
    ) -> Result<(Proposal, PathBuf)> {
        self.start(now)?;
        self.issuing_place("request")?;
        self.must_have_approvers("issue-office, issue-officer")?;
        self.propose_certificate(terms, request, None, now)
    }

    /// Proposes to renew a certificate, for the same key, one in a request, or one that was proven otherwise.
    ///
    /// # Errors
    /// As [`Authority::renew`], or when nobody approves here.
    pub fn propose_renewal(
        &mut self,
        serial: SerialNo,
        key: (Option<&Request>, Option<Vec<u8>>),
        days: u64,
        device: Option<String>,
        now: Millis,
    ) -> Result<(Proposal, PathBuf)> {
        self.start(now)?;
        self.issuing_place("request-renew")?;
        self.must_have_approvers("renew")?;
        let record = self.renewable(serial)?;
        let spki = match key {
            (Some(request), _) => Self::key_of(request, &record.words.subject)?,
            (None, Some(spki)) => spki,
            (None, None) => record.words.spki.clone(),
        };
        let terms = life::renewal(&record, spki, days, device);
        self.propose_certificate(terms, key.0, Some(serial), now)
    }

    fn propose_certificate(
        &mut self,
        terms: LeafTerms,
        request: Option<&Request>,
        renews: Option<SerialNo>,
        now: Millis,
    ) -> Result<(Proposal, PathBuf)> {
        self.leaf_words(&terms, renews, now)?;
        let LeafTerms { kind, subject, spki, days, device } = terms;
        let (spki, hash) = (hex(&spki), request.map(|request| hex(&request.hash())));
        self.propose(Terms::Leaf { kind, subject, spki, request: hash, days, device, renews }, request, now)
    }

    /// Proposes to revoke or suspend a certificate. For a lost key nobody has to ask: see [`Authority::revoke`].
    ///
    /// # Errors
    /// As [`Authority::revoke`], or when nobody approves here.
    pub fn propose_revocation(
        &mut self,
        serial: SerialNo,
        reason: Reason,
        invalid_from: Option<Millis>,
        now: Millis,
    ) -> Result<(Proposal, PathBuf)> {
        self.start(now)?;
        self.must_have_approvers("revoke")?;
        self.may_revoke(serial, reason, invalid_from, now)?;
        let subject = self.issued(serial)?.words.subject.clone();
        self.propose(Terms::Revocation { serial, subject, reason, invalid_from }, None, now)
    }

    /// Proposes to lift a suspension.
    ///
    /// # Errors
    /// As [`Authority::release`], or when nobody approves here.
    pub fn propose_release(&mut self, serial: SerialNo, now: Millis) -> Result<(Proposal, PathBuf)> {
        self.start(now)?;
        self.must_have_approvers("release")?;
        self.may_release(serial)?;
        let subject = self.issued(serial)?.words.subject.clone();
        self.propose(Terms::Release { serial, subject }, None, now)
    }

    /// Proposes the founding where it is missing, and writes its file again where that is missing.
    pub(super) fn have_the_founding_signed(&mut self, now: Millis) -> Result<()> {
        if self.book().lacks_founding() {
            let book = self.book();
            let terms = Terms::Founding {
                subject: book.subject.clone(),
                place: book.place.clone(),
                spki: hex(&book.spki),
                certificate: book.root_record().and_then(|record| record.hash.clone()),
                approvers: book.approvers.clone(),
            };
            let (id, root) = (FOUNDING.to_owned(), self.key_hash()?);
            let proposal = Proposal { id, root, proposed_at: now, terms };
            self.journal.append(&Act::Proposed { proposal }, &self.key, now)?;
        }
        let path = self.folder.join(FOUNDING_FILE);
        let open = self.book().founding().filter(|record| !record.done);
        if let Some(proposal) = open.map(|record| record.proposal.clone())
            && !path.exists()
        {
            write(&path, proposal, None)?;
        }
        Ok(())
    }

    fn propose(
        &mut self,
        terms: Terms,
        request: Option<&Request>,
        now: Millis,
    ) -> Result<(Proposal, PathBuf)> {
        let id = hex(&random_bytes::<16>()?);
        let proposal = Proposal { id, root: self.key_hash()?, proposed_at: now, terms };
        self.journal.append(&Act::Proposed { proposal: proposal.clone() }, &self.key, now)?;
        let path = self.folder.join(REQUESTS).join(format!("{}.json", proposal.id));
        write(&path, proposal.clone(), request)?;
        Ok((proposal, path))
    }

    fn must_be_root(&self, what: &'static str) -> Result<()> {
        if self.book().is_root() { Ok(()) } else { Err(self.wrong_kind(what, "a root")) }
    }

    fn must_have_approvers(&self, instead: &'static str) -> Result<()> {
        if self.book().demands_approval() { Ok(()) } else { Err(Refusal::NobodyApproves { instead }.into()) }
    }

    /// Who must have signed this proposal, and how many of them.
    fn approvers_of<'a>(&'a self, proposal: &'a Proposal) -> (&'a [Approver], usize) {
        let book = self.book();
        match (proposal.founders(), proposal.new_approvers()) {
            (Some(founders), _) => (founders, founders.len()),
            (None, Some(first)) if book.approvers.is_empty() => (first, first.len()),
            _ => (&book.approvers, book.approvals_needed()),
        }
    }

    /// Carries out a proposal that enough different persons approved.
    ///
    /// # Errors
    /// When too few agreed, the same one twice, to other terms, the signature is not theirs, the founding is not signed
    /// yet, or what was proposed is not possible any more.
    pub fn carry_out(&mut self, id: &str, approvals: &[Signed], now: Millis) -> Result<CarriedOut> {
        self.start(now)?;
        let record =
            self.book().proposals.get(id).ok_or_else(|| Refusal::UnknownRequest { id: id.to_owned() })?;
        if record.done {
            return Err(Refusal::RequestDone { id: id.to_owned() }.into());
        }
        let (proposal, recorded) = (record.proposal.clone(), record.approvals.clone());
        ensure!(proposal.root == self.key_hash()?, "proposal `{id}` is for another authority");
        if proposal.founders().is_none()
            && let Some(founding) = self.book().founding().filter(|founding| !founding.done)
        {
            let approvers = founding.proposal.founders().unwrap_or_default().len();
            return Err(
                Refusal::FoundingNotSigned { path: self.folder.join(FOUNDING_FILE), approvers }.into()
            );
        }
        let (approvers, needed) = self.approvers_of(&proposal);
        approval::check_approvals(&proposal, approvals, approvers, needed)?;
        let possible = self.look_at_terms(&proposal.terms, now)?;
        for approval in approvals.iter().filter(|approval| !recorded.contains(approval)) {
            self.journal.append(&Act::Approved { approval: approval.clone() }, &self.key, now)?;
        }
        self.act_on(proposal, possible, now)
    }

    /// Whether what was proposed is still possible, before anything is recorded; the words to sign, if it is about a
    /// certificate.
    fn look_at_terms(&self, terms: &Terms, now: Millis) -> Result<Option<build::Words>> {
        Ok(match terms {
            Terms::Authority { subject, place, spki, days, .. } => {
                let spki = key_in(spki)?;
                self.refuse_shared_key(&spki, subject)?;
                let words = self.words(Kind::Delegated(place.clone()), subject.clone(), spki, *days, now)?;
                build::look_at(&words, &self.book().subject, None)?;
                Some(words)
            }
            Terms::Leaf { kind, subject, spki, days, device, renews, .. } => {
                self.issuing_place("issue")?;
                if let Some(earlier) = renews {
                    self.renewable(*earlier)?;
                }
                let (kind, subject, spki) = (kind.clone(), subject.clone(), key_in(spki)?);
                let terms = LeafTerms { kind, subject, spki, days: *days, device: device.clone() };
                Some(self.leaf_words(&terms, *renews, now)?)
            }
            Terms::Revocation { serial, reason, invalid_from, .. } => {
                self.may_revoke(*serial, *reason, *invalid_from, now)?;
                None
            }
            Terms::Release { serial, .. } => {
                self.may_release(*serial)?;
                None
            }
            Terms::Approvers { .. } | Terms::Founding { .. } => None,
        })
    }

    fn act_on(&mut self, proposal: Proposal, words: Option<build::Words>, now: Millis) -> Result<CarriedOut> {
        let id = proposal.id;
        match proposal.terms {
            Terms::Founding { .. } => {
                self.journal.append(&Act::Countersigned { proposal: id }, &self.key, now)?;
                Ok(CarriedOut::Founding)
            }
            Terms::Approvers { .. } => {
                self.journal.append(&Act::ApproversChanged { proposal: id }, &self.key, now)?;
                Ok(CarriedOut::Approvers)
            }
            Terms::Revocation { serial, reason, invalid_from, .. } => {
                let list = self.record_revocation(serial, reason, invalid_from, Some(&id), now)?;
                Ok(CarriedOut::Revocation(serial, list))
            }
            Terms::Release { serial, .. } => {
                Ok(CarriedOut::Release(serial, self.record_release(serial, Some(id), now)?))
            }
            Terms::Authority { .. } | Terms::Leaf { .. } => {
                let (renews, device) = match proposal.terms {
                    Terms::Leaf { renews, device, .. } => (renews, device),
                    _ => (None, None),
                };
                let words = words.context("the words of the certificate are missing")?;
                self.sign_and_record(words, renews, Some(id), device, now).map(CarriedOut::Certificate)
            }
        }
    }
}

fn key_in(digits: &str) -> Result<Vec<u8>> {
    HEXLOWER.decode(digits.as_bytes()).context("the proposal's key cannot be read")
}

fn write(path: &std::path::Path, proposal: Proposal, request: Option<&Request>) -> Result<()> {
    let request = request.map(|request| files::pem_of(files::REQUEST, request.as_der())).transpose()?;
    let text = serde_json::to_string_pretty(&ProposalFile { proposal, request })
        .context("failed to write the proposal")?;
    files::create(path, format!("{text}\n").as_bytes())
}
