//! What follows from the acts of an authority. Pure: no files, no clock, no keys.

use std::collections::BTreeMap;

use schema::time::Millis;
use serde::Serialize;

pub use super::act::{Act, Reason, SerialNo};
use super::approval::{APPROVALS_OF_A_DELEGATED, APPROVALS_OF_A_ROOT, Approver, Signed};
use super::build::{Entry, Kind, Words};
use super::proposal::{Proposal, Terms};
use super::subject::{Place, Subject};

/// A certificate in the book.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// What it says.
    pub words: Words,
    /// SHA-256 of it; none while it is only intended.
    pub hash: Option<String>,
    /// When it was issued.
    pub issued_at: Millis,
    /// Which one it renews.
    pub renews: Option<SerialNo>,
    /// Which proposal it carries out.
    pub proposal: Option<String>,
    /// What its key lies in.
    pub device: Option<String>,
    /// Whether it is revoked, and how.
    pub revoked: Option<Entry>,
    /// Hand-over minutes about it.
    pub minutes: Vec<String>,
}

impl Record {
    /// Whether its time is over.
    pub const fn is_expired(&self, now: Millis) -> bool {
        now.0 / Millis::SECOND > self.words.not_after_s
    }

    /// What to say about it.
    pub const fn status(&self, now: Millis) -> Status {
        match (&self.hash, &self.revoked) {
            (None, _) => Status::Unfinished,
            (_, Some(entry)) if matches!(entry.reason, Reason::CertificateHold) => Status::OnHold,
            (_, Some(_)) => Status::Revoked,
            _ if self.is_expired(now) => Status::Expired,
            _ => Status::InUse,
        }
    }
}

/// What a certificate is worth now. On hold counts as revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A crash came between; the next changing command finishes it.
    Unfinished,
    /// It counts (*đang sử dụng*).
    InUse,
    /// Its time is over (*hết hạn*).
    Expired,
    /// Suspended (*tạm dừng*).
    OnHold,
    /// Revoked (*đã thu hồi*).
    Revoked,
}

impl Status {
    /// For people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::InUse => "in use",
            Self::Expired => "expired",
            Self::OnHold => "on hold",
            Self::Revoked => "revoked",
        }
    }
}

/// A list in the book.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRecord {
    /// Its number.
    pub number: u64,
    /// Since 1970.
    pub this_update_s: u64,
    /// Since 1970.
    pub next_update_s: u64,
    /// SHA-256 of it; none while it is only intended.
    pub hash: Option<String>,
    /// What it says to be revoked; kept of the newest lists only, because every list repeats the one before it.
    pub entries: Option<Vec<Entry>>,
}

/// A proposal in the book.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposalRecord {
    /// What is proposed.
    pub proposal: Proposal,
    /// Who agreed.
    pub approvals: Vec<Signed>,
    /// Whether it was carried out.
    pub done: bool,
}

/// Its own certificate, of a delegated authority.
#[derive(Clone, Debug, PartialEq)]
pub struct Own {
    /// SHA-256 of it.
    pub certificate: String,
    /// SHA-256 of the root above it.
    pub root: String,
    /// Its last second, since 1970.
    pub not_after_s: u64,
}

/// Everything an authority knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Book {
    /// Its name.
    pub subject: Subject,
    /// What it may certify; none for a root.
    pub place: Option<Place>,
    /// Its key.
    pub spki: Vec<u8>,
    /// Who approves.
    pub approvers: Vec<Approver>,
    /// Its own certificate, of a delegated authority.
    pub own: Option<Own>,
    /// What it issued, by serial number.
    pub certificates: BTreeMap<SerialNo, Record>,
    /// What it was asked for.
    pub proposals: BTreeMap<String, ProposalRecord>,
    /// Its lists, oldest first.
    pub lists: Vec<ListRecord>,
    /// When its last act was.
    pub last_at: Millis,
}

impl Book {
    /// The book after the first act.
    ///
    /// # Errors
    /// When that is not its founding.
    pub fn begin(act: &Act, at: Millis) -> Result<Self, String> {
        let Act::Founded { subject, place, spki, approvers } = act else {
            return Err("the first act is not the founding".to_owned());
        };
        Ok(Self {
            subject: subject.clone(),
            place: place.clone(),
            spki: spki.clone(),
            approvers: approvers.clone(),
            own: None,
            certificates: BTreeMap::new(),
            proposals: BTreeMap::new(),
            lists: Vec::new(),
            last_at: at,
        })
    }

    /// Whether it is a root's.
    pub const fn is_root(&self) -> bool {
        self.place.is_none()
    }

    /// How many different persons must agree to what others approve.
    pub const fn approvals_needed(&self) -> usize {
        if self.is_root() { APPROVALS_OF_A_ROOT } else { APPROVALS_OF_A_DELEGATED }
    }

    /// What everybody who approves signs on the first day. None of authorities without approvers, of those that
    /// got them later, and of roots that were founded before there was such a thing.
    pub fn founding(&self) -> Option<&ProposalRecord> {
        self.proposals.values().find(|record| record.proposal.founders().is_some())
    }

    /// Whether such a founding is still to be proposed: a crash came between, or the authority is older.
    pub fn lacks_founding(&self) -> bool {
        let untouched = self.issued().next().is_none() && self.proposals.values().all(|record| !record.done);
        !self.approvers.is_empty() && self.founding().is_none() && untouched
    }

    /// Whether one person is not enough: to issue to offices and persons, to renew, to release, and to revoke except
    /// for a lost key.
    pub fn demands_approval(&self) -> bool {
        !self.approvers.is_empty() && (!self.is_root() || self.founding().is_some())
    }

    /// The root's own certificate.
    pub fn root_record(&self) -> Option<&Record> {
        self.certificates.values().find(|record| record.words.kind == Kind::Root)
    }

    /// The last second of its own certificate, since 1970.
    pub fn own_not_after_s(&self) -> Option<u64> {
        match &self.own {
            Some(own) => Some(own.not_after_s),
            None => self.root_record().map(|record| record.words.not_after_s),
        }
    }

    /// The certificates for others, by serial number: what the counts are about.
    pub fn issued(&self) -> impl Iterator<Item = &Record> {
        self.certificates.values().filter(|record| record.words.kind != Kind::Root && record.hash.is_some())
    }

    /// The certificate that a crash left unfinished.
    pub fn unfinished(&self) -> Option<&Record> {
        self.certificates.values().find(|record| record.hash.is_none())
    }

    /// The list that a crash left unfinished.
    pub fn unfinished_list(&self) -> Option<&ListRecord> {
        self.lists.last().filter(|list| list.hash.is_none())
    }

    /// The newest list that is on the disk.
    pub fn newest_list(&self) -> Option<&ListRecord> {
        self.lists.iter().rev().find(|list| list.hash.is_some())
    }

    /// Everything revoked, by serial number.
    pub fn revoked(&self) -> Vec<Entry> {
        self.certificates.values().filter_map(|record| record.revoked).collect()
    }

    /// Certificates that count and have the same key as this one.
    pub fn others_of_the_key(&self, serial: SerialNo, now: Millis) -> Vec<SerialNo> {
        let Some(lost) = self.certificates.get(&serial) else { return Vec::new() };
        // An expired one may have been suspended, and counts no more all the same.
        let counts = |record: &&Record| {
            matches!(record.status(now), Status::InUse | Status::OnHold) && !record.is_expired(now)
        };
        let same = self.issued().filter(|record| record.words.spki == lost.words.spki);
        same.filter(counts).map(|record| record.words.serial).filter(|other| *other != serial).collect()
    }

    /// Whether the newest list says what the book says.
    pub fn list_is_current(&self) -> bool {
        self.newest_list().is_some_and(|list| list.entries.as_ref() == Some(&self.revoked()))
    }

    /// Applies an act.
    ///
    /// # Errors
    /// When it cannot follow what was done before: the journal was changed, or there is a bug.
    pub fn apply(&mut self, act: &Act, at: Millis) -> Result<(), String> {
        if at < self.last_at {
            return Err(format!("an act at {} ms follows one at {} ms", at.0, self.last_at.0));
        }
        match act {
            Act::Founded { .. } => return Err("founded a second time".to_owned()),
            Act::Installed { certificate, root, not_after_s } => {
                if self.is_root() {
                    return Err("a root takes in no certificate".to_owned());
                }
                let (certificate, root) = (certificate.clone(), root.clone());
                self.own = Some(Own { certificate, root, not_after_s: *not_after_s });
            }
            Act::Proposed { proposal } => {
                let record =
                    ProposalRecord { proposal: proposal.clone(), approvals: Vec::new(), done: false };
                if self.proposals.insert(proposal.id.clone(), record).is_some() {
                    return Err(format!("proposal `{}` is there twice", proposal.id));
                }
            }
            Act::Approved { approval } => {
                self.open_proposal(&approval.proposal)?.approvals.push(approval.clone());
            }
            Act::Countersigned { proposal } => {
                let record = self.open_proposal(proposal)?;
                record.done = true;
                record.proposal.founders().ok_or("the proposal is not the founding")?;
            }
            Act::ApproversChanged { proposal } => {
                let record = self.open_proposal(proposal)?;
                record.done = true;
                let approvers =
                    record.proposal.new_approvers().ok_or("the proposal is not about approvers")?;
                self.approvers = approvers.to_vec();
            }
            Act::Intended { words, renews, proposal, device } => {
                if let Some(earlier) = self.unfinished() {
                    return Err(format!("{} is not finished yet", earlier.words.serial));
                }
                if let Some(id) = proposal {
                    self.open_proposal(id)?.done = true;
                }
                let record = Record {
                    words: words.clone(),
                    hash: None,
                    issued_at: at,
                    renews: *renews,
                    proposal: proposal.clone(),
                    device: device.clone(),
                    revoked: None,
                    minutes: Vec::new(),
                };
                if self.certificates.insert(words.serial, record).is_some() {
                    return Err(format!("serial number {} is used twice", words.serial));
                }
            }
            Act::Issued { serial, hash } => {
                let record = self.record(serial)?;
                if record.hash.replace(hash.clone()).is_some() {
                    return Err(format!("{serial} was issued twice"));
                }
            }
            Act::Revoked { serial, reason, invalid_from, proposal } => {
                if let Some(id) = proposal {
                    let record = self.open_proposal(id)?;
                    // Other certificates of a lost key go before the one that was named.
                    record.done = matches!(&record.proposal.terms,
                        Terms::Revocation { serial: named, .. } if named == serial);
                }
                let record = self.record(serial)?;
                if record.revoked.is_some_and(|entry| entry.reason != Reason::CertificateHold) {
                    return Err(format!("{serial} was revoked twice"));
                }
                // A hold that becomes final counts from the hold on: what was signed since was never believed.
                let revoked_at = record.revoked.map_or(at, |hold| hold.revoked_at);
                let (serial, reason, invalid_from) = (*serial, *reason, *invalid_from);
                record.revoked = Some(Entry { serial, revoked_at, reason, invalid_from });
            }
            Act::Released { serial, proposal } => {
                if let Some(id) = proposal {
                    self.open_proposal(id)?.done = true;
                }
                let record = self.record(serial)?;
                if record.revoked.take().is_none_or(|entry| entry.reason != Reason::CertificateHold) {
                    return Err(format!("{serial} was not on hold"));
                }
            }
            Act::ListIntended { number, this_update_s, next_update_s } => {
                let last = self.lists.last();
                if last.is_some_and(|list| list.hash.is_none()) {
                    return Err("a list follows one that is not finished".to_owned());
                }
                if *number != last.map_or(1, |list| list.number + 1) {
                    return Err(format!("list {number} is out of turn"));
                }
                let entries = Some(self.revoked());
                let (number, this_update_s, next_update_s) = (*number, *this_update_s, *next_update_s);
                self.lists.push(ListRecord { number, this_update_s, next_update_s, hash: None, entries });
            }
            Act::ListIssued { number, hash } => match self.lists.as_mut_slice() {
                [earlier @ .., list] if list.number == *number && list.hash.is_none() => {
                    list.hash = Some(hash.clone());
                    if let Some(before) = earlier.last_mut() {
                        before.entries = None;
                    }
                }
                _ => return Err(format!("list {number} was not intended")),
            },
            Act::HandedOver { serial, minutes, .. } => self.record(serial)?.minutes.push(minutes.clone()),
        }
        self.last_at = at;
        Ok(())
    }

    fn record(&mut self, serial: &SerialNo) -> Result<&mut Record, String> {
        self.certificates.get_mut(serial).ok_or_else(|| format!("{serial} was never intended"))
    }

    fn open_proposal(&mut self, id: &str) -> Result<&mut ProposalRecord, String> {
        match self.proposals.get_mut(id) {
            Some(record) if !record.done => Ok(record),
            Some(_) => Err(format!("proposal `{id}` was carried out already")),
            None => Err(format!("proposal `{id}` was never made")),
        }
    }
}
