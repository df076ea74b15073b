//! The keys of one office's node: what certifies them, and how one follows another.
//!
//! A certificate alone does not make a second key: an authority that was broken into could issue one for any of its
//! offices. A key counts when it is the first one seen, when a key that counts announced it, or when every key that
//! began before it is over: all of its certificates are revoked, or expired before the new one began, or it announced a key
//! that counts. Then the last one was lost, and the authority's list says so. Any other key is *contested*: nothing is
//! accepted under it, and everybody who sees it tells.
//!
//! What counts goes on counting, whatever beginning a later certificate claims: somebody who has the authority's key could
//! date one back. So a key that is heard of after its successor counts only when a key that counts confirms it: every station
//! says with its present key which ones signed its events before. Without that word it stays contested, unless it is revoked for
//! good: then it is part of a history that others saw in another order, and only what was provably there before the
//! successor began enters under it. What an uncounted key says about itself or others is no evidence of anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ed25519_dalek::VerifyingKey;

use crate::body::KeyPurpose;
use crate::event::key_id;
use crate::id::{Incarnation, KeyId, Seq};
use crate::sealing::SealingKey;
use crate::time::Millis;
use crate::trust::crl::RevocationReason;
use crate::trust::{Certificate, TrustStore};

/// Most certificates of one office over its whole life.
pub const CERTIFICATES_MAX: usize = 128;
/// Most statements about its keys: each key is announced once, and confirmed anew whenever the last one that confirmed it
/// is revoked.
pub const STATEMENTS_MAX: usize = 512;

/// How a key came to count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyStanding {
    /// The first one that was seen of its office.
    First,
    /// The key before it announced it.
    Announced {
        /// Which key.
        by: KeyId,
    },
    /// A key that came after it confirms it.
    Confirmed {
        /// Which key.
        by: KeyId,
    },
    /// The keys before it are over: revoked, expired or succeeded.
    Recovered,
    /// It is revoked for good, and came after its successor: it counts for what was provably there before that one.
    Late {
        /// When the successor began.
        until: Millis,
    },
    /// None of that: it does not count, and somebody must find out where it comes from.
    Contested,
}

impl KeyStanding {
    /// Whether events under it are accepted.
    pub const fn counts(self) -> bool {
        !matches!(self, Self::Contested)
    }

    /// Whether nothing that may still come changes it.
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Contested | Self::Late { .. })
    }
}

/// One certified key.
#[derive(Clone, Debug)]
pub struct NodeKey {
    id: KeyId,
    key: VerifyingKey,
    certificates: Vec<Arc<Certificate>>,
    standing: KeyStanding,
}

impl NodeKey {
    /// How frames name it.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The key.
    pub const fn key(&self) -> &VerifyingKey {
        &self.key
    }

    /// What certifies it, in the order it was taken in; a renewal adds one.
    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// How it came to count.
    pub const fn standing(&self) -> KeyStanding {
        self.standing
    }

    /// When the newest of its certificates ends.
    pub fn not_after(&self) -> Millis {
        let ends = self.certificates.iter().map(|certificate| certificate.validity().not_after);
        ends.max().unwrap_or_default()
    }

    pub(super) fn not_before(&self) -> Millis {
        let begins = self.certificates.iter().map(|certificate| certificate.validity().not_before);
        begins.min().unwrap_or_default()
    }

    fn is_over(&self, trust: &TrustStore, at: Millis) -> bool {
        self.certificates
            .iter()
            .all(|certificate| certificate.validity().is_over(at) || is_revoked_for_good(trust, certificate))
    }

    /// Whether every certificate of it was revoked for good.
    pub(super) fn is_revoked(&self, trust: &TrustStore) -> bool {
        self.certificates.iter().all(|certificate| is_revoked_for_good(trust, certificate))
    }
}

fn is_revoked_for_good(trust: &TrustStore, certificate: &Certificate) -> bool {
    let revoked = trust.revocation_of(certificate);
    revoked.is_some_and(|entry| entry.reason != RevocationReason::CertificateHold)
}

/// The keys of one office.
#[derive(Clone, Debug, Default)]
pub(super) struct OfficeKeys {
    keys: Vec<NodeKey>,
    /// A key, and one that announced it: a key that counted then.
    announced: BTreeSet<(KeyId, KeyId)>,
    /// A key, and one that said it had signed before: a key that counted then.
    confirmed: BTreeSet<(KeyId, KeyId)>,
    /// Keys under which others seal for it: where its chain says so, which key, and which key said so: one that counted then. Two that
    /// stand at one place, because a life was lost or a key is in two hands, are told apart, so that all come to the same. And when
    /// its station first said so, by its own clock.
    sealing: BTreeMap<((Incarnation, Seq), SealingKey, KeyId), Terms>,
    /// How many times anything was said.
    statements: usize,
}

impl OfficeKeys {
    pub(super) fn keys(&self) -> &[NodeKey] {
        &self.keys
    }

    pub(super) fn key(&self, id: KeyId) -> Option<&NodeKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    pub(super) fn certificates(&self) -> usize {
        self.keys.iter().map(|key| key.certificates.len()).sum()
    }

    /// Adds a certificate; false when it is there already. The caller settles afterwards.
    pub(super) fn add(&mut self, certificate: Arc<Certificate>, public: &[u8; 32]) -> bool {
        let id = key_id(public);
        if let Some(known) = self.keys.iter_mut().find(|key| key.id == id) {
            if known.certificates.iter().any(|held| held.hash() == certificate.hash()) {
                return false;
            }
            known.certificates.push(certificate);
            return true;
        }
        // The certificate was read: its key is a sound point.
        let Ok(key) = VerifyingKey::from_bytes(public) else { return false };
        let (certificates, standing) = (vec![certificate], KeyStanding::Contested);
        self.keys.push(NodeKey { id, key, certificates, standing });
        true
    }

    /// How many times one key said something about another.
    pub(super) const fn statements(&self) -> usize {
        self.statements
    }

    /// Notes what one key said about another. It may say so twice, in two lives of its station: both are kept, so that all
    /// come to hold the same.
    pub(super) fn note(&mut self, statement: &Statement) {
        let Statement { key, by, purpose, place, public, said_at, takes } = *statement;
        self.statements += 1;
        match purpose {
            KeyPurpose::Signing => {
                self.announced.insert((key, by));
            }
            KeyPurpose::SignedBefore => {
                self.confirmed.insert((key, by));
            }
            KeyPurpose::Sealing => {
                let terms = Terms { said_at, takes };
                let first = self.sealing.entry((place, SealingKey(public), by)).or_insert(terms);
                *first = terms.min(*first);
            }
            // It says nothing to others, and is not among the statements.
            KeyPurpose::HandedOver => {}
        }
    }

    /// The key under which others seal for it: the newest in its chain that a key said which counts and is not revoked. Whoever
    /// steals a signing key could name one of his own until that is found out.
    pub(super) fn sealing_key(&self, trust: &TrustStore) -> Option<SealingKey> {
        self.sealing_terms(trust).map(|(key, _)| key)
    }

    /// That key, and the largest sealed attachment that the office takes, in bytes, where it has said one.
    pub(super) fn sealing_terms(&self, trust: &TrustStore) -> Option<(SealingKey, Option<u64>)> {
        let counts = |by: KeyId| self.key(by).is_some_and(|by| by.standing.counts() && !by.is_revoked(trust));
        let newest = self.sealing.iter().rev().find(|((_, _, by), _)| counts(*by));
        newest.map(|((_, key, _), terms)| (*key, terms.takes))
    }

    /// When its station first said that others are to seal under this key. It is said again when the signing key that said so is
    /// revoked, and is no younger for that.
    pub(super) fn sealing_key_said_at(&self, key: SealingKey) -> Option<Millis> {
        self.sealing.iter().filter(|((_, said, _), _)| *said == key).map(|(_, terms)| terms.said_at).min()
    }

    /// Keys that announced this one.
    pub(super) fn announcers(&self, key: KeyId) -> impl Iterator<Item = KeyId> {
        said_of(&self.announced, key)
    }

    /// Keys that said that this one had signed before them.
    pub(super) fn confirmers(&self, key: KeyId) -> impl Iterator<Item = KeyId> {
        said_of(&self.confirmed, key)
    }

    /// Decides anew about the keys that do not count yet, or not for all that they signed. One that counts goes on counting:
    /// whether its certificate does is asked for each event.
    pub(super) fn settle(&mut self, trust: &TrustStore) {
        while let Some((n, standing)) = self.next_that_counts(trust) {
            self.keys[n].standing = standing;
        }
    }

    /// In the order in which they came, so that a new start from what was kept comes to the same.
    fn next_that_counts(&self, trust: &TrustStore) -> Option<(usize, KeyStanding)> {
        let began = |key: &NodeKey| (key.not_before(), key.id);
        let counting: Vec<&NodeKey> = self.keys.iter().filter(|key| key.standing.counts()).collect();
        let counts = |id: KeyId| counting.iter().any(|key| key.id == id);
        let succeeded = |key: &NodeKey| {
            counting.iter().any(|next| {
                self.announced.contains(&(next.id, key.id)) || self.confirmed.contains(&(key.id, next.id))
            })
        };
        self.keys.iter().enumerate().filter(|(_, key)| !key.standing.is_settled()).find_map(|(n, key)| {
            let (earlier, later): (Vec<&NodeKey>, Vec<&NodeKey>) =
                counting.iter().partition(|other| began(other) < began(key));
            let is_done = |other: &&NodeKey| succeeded(other) || other.is_over(trust, key.not_before());
            if let Some(by) = self.announcers(key.id).find(|by| counts(*by)) {
                return Some((n, KeyStanding::Announced { by }));
            }
            if let Some(by) = self.confirmers(key.id).find(|by| counts(*by)) {
                return Some((n, KeyStanding::Confirmed { by }));
            }
            if key.standing.counts() {
                return None;
            }
            let standing = match later.iter().map(|other| other.not_before()).min() {
                _ if counting.is_empty() => KeyStanding::First,
                _ if earlier.is_empty() || !earlier.iter().all(is_done) => return None,
                None => KeyStanding::Recovered,
                Some(until) if key.is_revoked(trust) => KeyStanding::Late { until },
                Some(_) => return None,
            };
            Some((n, standing))
        })
    }
}

/// What was said with a sealing key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Terms {
    said_at: Millis,
    takes: Option<u64>,
}

/// What a key that counted said about another one of its office.
pub(super) struct Statement {
    /// About which.
    pub(super) key: KeyId,
    /// Which said it.
    pub(super) by: KeyId,
    /// What.
    pub(super) purpose: KeyPurpose,
    /// Where in its chain.
    pub(super) place: (Incarnation, Seq),
    /// The key itself.
    pub(super) public: [u8; 32],
    /// When, by the clock of its station.
    pub(super) said_at: Millis,
    /// With a sealing key: the largest sealed attachment that the office takes, in bytes.
    pub(super) takes: Option<u64>,
}

fn said_of(statements: &BTreeSet<(KeyId, KeyId)>, key: KeyId) -> impl Iterator<Item = KeyId> {
    statements.iter().filter(move |(about, _)| *about == key).map(|(_, by)| *by)
}
