//! The keys of one office's node: what certifies them, and how one follows another.
//!
//! A certificate alone does not make a second key: an authority that was broken into could issue one for any of its
//! offices. A key counts when it is the first one seen, when a key that counts announced it, or when every key that
//! began before it is over: all of its certificates are revoked, or expired before the new one began, or it announced a key
//! that counts. Then the last one was lost, and the authority's list says so. Any other key is *contested*: nothing is
//! accepted under it, and everybody who sees it tells.
//!
//! Keys are looked at in the order in which they began, not in which they came, so that everybody who holds the same
//! certificates, announcements and lists accepts the same keys. On the safe side, the key that was seen first stays the
//! first, whatever beginning a later certificate claims; and of a key that comes after its successor, which it must have
//! announced unless it is over, everybody is told: somebody who has the authority's key could make such a one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ed25519_dalek::VerifyingKey;

use crate::event::key_id;
use crate::id::KeyId;
use crate::time::Millis;
use crate::trust::crl::RevocationReason;
use crate::trust::{Certificate, TrustStore};

/// Most certificates of one office over its whole life, and most announcements.
pub const CERTIFICATES_MAX: usize = 128;

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
    /// The keys before it are over: revoked, expired or succeeded.
    Recovered,
    /// It came after its successor, which it had announced. It counts, and whoever knows its office should ask.
    Late,
    /// None of that: it does not count, and somebody must find out where it comes from.
    Contested,
}

impl KeyStanding {
    /// Whether events under it are accepted.
    pub const fn counts(self) -> bool {
        !matches!(self, Self::Contested)
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

    fn not_before(&self) -> Millis {
        let begins = self.certificates.iter().map(|certificate| certificate.validity().not_before);
        begins.min().unwrap_or_default()
    }

    fn is_over(&self, trust: &TrustStore, at: Millis) -> bool {
        self.certificates.iter().all(|certificate| {
            let revoked = trust.revocation_of(certificate);
            certificate.validity().is_over(at)
                || revoked.is_some_and(|entry| entry.reason != RevocationReason::CertificateHold)
        })
    }
}

/// The keys of one office.
#[derive(Clone, Debug, Default)]
pub(super) struct OfficeKeys {
    keys: Vec<NodeKey>,
    /// A key, and those that announced it: more than one only when somebody lies. Certified ones only, so they are few.
    announced: BTreeMap<KeyId, BTreeSet<KeyId>>,
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

    /// How many announcements are held.
    pub(super) fn announcements(&self) -> usize {
        self.announced.values().map(BTreeSet::len).sum()
    }

    /// Notes that one key announced another; false when that is known.
    pub(super) fn announce(&mut self, key: KeyId, by: KeyId) -> bool {
        self.announced.entry(key).or_default().insert(by)
    }

    /// The key that announced this one and counts.
    pub(super) fn announcer(&self, key: KeyId) -> Option<KeyId> {
        let counts = |by: &KeyId| self.key(*by).is_some_and(|by| by.standing.counts());
        self.announced.get(&key)?.iter().copied().find(counts)
    }

    /// Decides anew about the keys that do not count yet. One that counts goes on counting: whether its certificate
    /// does is asked for each event.
    pub(super) fn settle(&mut self, trust: &TrustStore) {
        while let Some((n, standing)) = self.next_that_counts(trust) {
            self.keys[n].standing = standing;
        }
    }

    fn next_that_counts(&self, trust: &TrustStore) -> Option<(usize, KeyStanding)> {
        let began = |key: &NodeKey| (key.not_before(), key.id);
        let counting: Vec<&NodeKey> = self.keys.iter().filter(|key| key.standing.counts()).collect();
        let succeeded = |key: &NodeKey| {
            counting.iter().any(|next| matches!(next.standing, KeyStanding::Announced { by } if by == key.id))
        };
        let mut waiting: Vec<_> =
            self.keys.iter().enumerate().filter(|(_, key)| !key.standing.counts()).collect();
        waiting.sort_by_key(|(_, key)| began(key));
        waiting.into_iter().find_map(|(n, key)| {
            let (earlier, later): (Vec<&NodeKey>, Vec<&NodeKey>) =
                counting.iter().partition(|other| began(other) < began(key));
            let announced = |other: &NodeKey| {
                self.announced.get(&other.id).is_some_and(|announcers| announcers.contains(&key.id))
            };
            let follows = !earlier.is_empty()
                && earlier.iter().all(|other| succeeded(other) || other.is_over(trust, key.not_before()));
            let standing = match self.announcer(key.id) {
                Some(by) => KeyStanding::Announced { by },
                None if counting.is_empty() => KeyStanding::First,
                None if !follows => return None,
                None if later.iter().all(|other| key.is_over(trust, other.not_before())) => {
                    KeyStanding::Recovered
                }
                None if later.iter().any(|other| announced(other)) => KeyStanding::Late,
                None => return None,
            };
            Some((n, standing))
        })
    }
}
