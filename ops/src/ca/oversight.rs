//! Whether everything was approved that had to be. The book believes its own acts; this believes signatures: it goes
//! through the whole journal and asks for every act who agreed to it, as of then.

use std::collections::BTreeMap;

use schema::id::hex;
use schema::time::Millis;

use super::approval::{self, APPROVALS_OF_A_DELEGATED, APPROVALS_OF_A_ROOT, Approver, Signed};
use super::book::{Act, Reason, SerialNo};
use super::build::{Kind, Words};
use super::proposal::{Proposal, Terms};

/// What was known when an act was done.
struct Then<'a> {
    is_root: bool,
    approvers: Vec<Approver>,
    /// Roots that were founded without one let one person revoke.
    has_founding: bool,
    proposals: BTreeMap<&'a str, (&'a Proposal, Vec<Signed>)>,
    certificates: BTreeMap<SerialNo, &'a Words>,
}

/// How many acts needed approvals, and what is wrong with those that lack them.
pub fn check(lines: &[(Millis, Act)]) -> (usize, Vec<String>) {
    let Some((_, Act::Founded { place, approvers, .. })) = lines.first() else { return (0, Vec::new()) };
    let mut then = Then {
        is_root: place.is_none(),
        approvers: approvers.clone(),
        has_founding: false,
        proposals: BTreeMap::new(),
        certificates: BTreeMap::new(),
    };
    let (mut looked_at, mut broken) = (0, Vec::new());
    for (n, (_, act)) in lines.iter().enumerate() {
        if let Some(found) = then.take(act) {
            looked_at += 1;
            broken.extend(found.err().map(|why| format!("act {}: {why}", n + 1)));
        }
    }
    (looked_at, broken)
}

impl<'a> Then<'a> {
    /// What is to be said about an act that needs approvals; none about others.
    fn take(&mut self, act: &'a Act) -> Option<Result<(), String>> {
        match act {
            Act::Proposed { proposal } => {
                self.has_founding |= proposal.founders().is_some();
                self.proposals.insert(&proposal.id, (proposal, Vec::new()));
                None
            }
            Act::Approved { approval } => {
                if let Some((_, approvals)) = self.proposals.get_mut(approval.proposal.as_str()) {
                    approvals.push(approval.clone());
                }
                None
            }
            Act::Countersigned { proposal } => Some(self.approved(Some(proposal), |_| true)),
            Act::ApproversChanged { proposal } => {
                let found = self.approved(Some(proposal), |terms| matches!(terms, Terms::Approvers { .. }));
                if let Some((proposal, _)) = self.proposals.get(proposal.as_str()) {
                    self.approvers = proposal.new_approvers().unwrap_or_default().to_vec();
                }
                Some(found)
            }
            Act::Intended { words, renews, proposal, .. } => {
                let needed = match words.kind {
                    Kind::Root => false,
                    Kind::Delegated(_) => true,
                    Kind::Office(_) | Kind::Officer => !self.approvers.is_empty(),
                };
                let found = needed
                    .then(|| self.approved(proposal.as_deref(), |terms| certifies(terms, words, *renews)));
                self.certificates.insert(words.serial, words);
                found
            }
            Act::Revoked { serial, reason, invalid_from, proposal } => {
                let needed = self.demands() && !reason.is_urgent();
                needed.then(|| {
                    self.approved(proposal.as_deref(), |terms| {
                        self.revokes(terms, *serial, *reason, *invalid_from)
                    })
                })
            }
            Act::Released { serial, proposal } => self.demands().then(|| {
                self.approved(
                    proposal.as_deref(),
                    |terms| matches!(terms, Terms::Release { serial: named, .. } if named == serial),
                )
            }),
            Act::Founded { .. }
            | Act::Installed { .. }
            | Act::Issued { .. }
            | Act::ListIntended { .. }
            | Act::ListIssued { .. }
            | Act::HandedOver { .. } => None,
        }
    }

    const fn demands(&self) -> bool {
        !self.approvers.is_empty() && (!self.is_root || self.has_founding)
    }

    fn approved(&self, id: Option<&str>, is_about: impl Fn(&Terms) -> bool) -> Result<(), String> {
        let id = id.ok_or("it was done by one person, and others had to approve it")?;
        let (proposal, approvals) = self.proposals.get(id).ok_or("what it carries out was never proposed")?;
        if !is_about(&proposal.terms) {
            return Err(format!("it is not what proposal `{id}` says"));
        }
        let needed = if self.is_root { APPROVALS_OF_A_ROOT } else { APPROVALS_OF_A_DELEGATED };
        let (approvers, needed) = match (proposal.founders(), proposal.new_approvers()) {
            (Some(founders), _) => (founders, founders.len()),
            (None, Some(first)) if self.approvers.is_empty() => (first, first.len()),
            _ => (self.approvers.as_slice(), needed),
        };
        approval::check_recorded(proposal, approvals, approvers, needed).map_err(|error| format!("{error:#}"))
    }

    /// Of a lost key every certificate goes, not only the one that was named.
    fn revokes(&self, terms: &Terms, serial: SerialNo, reason: Reason, from: Option<Millis>) -> bool {
        let key = |serial: &SerialNo| self.certificates.get(serial).map(|words| &words.spki);
        match terms {
            Terms::Revocation { serial: named, reason: why, invalid_from, .. } => {
                (*why, *invalid_from) == (reason, from)
                    && (*named == serial || reason.is_compromise() && key(named) == key(&serial))
            }
            _ => false,
        }
    }
}

fn certifies(terms: &Terms, words: &Words, renewed: Option<SerialNo>) -> bool {
    match terms {
        Terms::Authority { subject, place, spki, .. } => {
            words.kind == Kind::Delegated(place.clone())
                && words.subject == *subject
                && hex(&words.spki) == *spki
        }
        Terms::Leaf { kind, subject, spki, renews, .. } => {
            words.kind == *kind
                && words.subject == *subject
                && hex(&words.spki) == *spki
                && *renews == renewed
        }
        _ => false,
    }
}
