//! Whether an office's key signed an event, and whether that key counts.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ed25519_dalek::{Signature, VerifyingKey};

use super::{UnverifiedEvent, VerifiedEvent};
use crate::cose::sha256;
use crate::directory::Directory;
use crate::id::{EventId, KeyId, OfficeId, RegionId};
use crate::mutant::{self, Mutant};
use crate::registry::Registry;
use crate::stamp::{STAMPS_MAX, Stamp};
use crate::time::Millis;
use crate::trust::reason::Language;
use crate::trust::{SigningTime, Verdict};

/// Why an event is not accepted as its office's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The directory does not know the office.
    #[error("office `{office}` is not in directory version {directory}")]
    UnknownOffice {
        /// Who the event says it is from.
        office: OfficeId,
        /// The directory that was asked.
        directory: u64,
    },
    /// No certificate of such a key is held.
    #[error("no certificate is held for key `{key}` of office `{office}`; fetch the newest registry")]
    UnknownKey {
        /// Who the event says it is from.
        office: OfficeId,
        /// The key the frame names.
        key: KeyId,
    },
    /// A second key that nobody announced.
    #[error(
        "key `{key}` of office `{office}` is certified, but neither announced by the key before it nor is that one \
        revoked: nothing is accepted under it until somebody has found out where it comes from"
    )]
    ContestedKey {
        /// Who the event says it is from.
        office: OfficeId,
        /// The key the frame names.
        key: KeyId,
    },
    /// The certificate does not count.
    #[error("the certificate of key `{key}` of office `{office}` does not count: {}", reasons(.verdict.as_deref()))]
    Certificate {
        /// Who the event says it is from.
        office: OfficeId,
        /// The key the frame names.
        key: KeyId,
        /// What was found about the newest certificate of that key.
        verdict: Option<Box<Verdict>>,
    },
    /// The signature does not hold.
    #[error("the signature on event `{id}` does not verify under key `{key}` of office `{office}`")]
    Signature {
        /// The event.
        id: EventId,
        /// Who it says it is from.
        office: OfficeId,
        /// The key the frame names.
        key: KeyId,
    },
}

impl VerifyError {
    /// Whether a newer registry than the one that was asked may say otherwise.
    pub const fn may_be_lack_of_news(&self) -> bool {
        matches!(self, Self::UnknownOffice { .. } | Self::UnknownKey { .. } | Self::ContestedKey { .. })
    }
}

fn reasons(verdict: Option<&Verdict>) -> String {
    let troubles = verdict.into_iter().flat_map(Verdict::troubles);
    troubles.map(|finding| finding.reason.text(Language::English)).collect::<Vec<_>>().join("; ")
}

/// Relays' word on when an event was there, and which of it holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Proof {
    /// The stamps that hold, the earliest first; at most one for each relay.
    pub stamps: Vec<Stamp>,
}

impl Proof {
    /// By when it was there.
    pub fn at(&self) -> Option<Millis> {
        self.stamps.first().map(|stamp| stamp.at)
    }

    /// Which relay says so.
    pub fn by(&self) -> Option<&RegionId> {
        self.stamps.first().map(|stamp| &stamp.region)
    }
}

/// Judges signatures by one state of the registry.
///
/// A small memory of signatures that already held saves the curve operation when the same event comes again by
/// another path or another try, which is the normal case in a network that retransmits.
pub struct Verifier {
    registry: Arc<Registry>,
    memory: Option<Arc<VerifyMemory>>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifier({:?})", self.registry)
    }
}

/// The hashes that are remembered, and the same in the order they came.
type Held = (HashSet<[u8; 32]>, VecDeque<[u8; 32]>);

/// Signatures that were found to hold; bounded, oldest forgotten first.
#[derive(Default)]
pub struct VerifyMemory {
    held: Mutex<Held>,
}

impl VerifyMemory {
    /// How many are remembered.
    pub const SIGNATURES_MAX: usize = 65_536;

    /// Names one signature of one key over something of which `digest` is the SHA-256.
    fn name(key: &VerifyingKey, digest: &[u8; 32], signature: &[u8; 64]) -> [u8; 32] {
        let mut bytes = [0; 128];
        bytes[..32].copy_from_slice(key.as_bytes());
        bytes[32..64].copy_from_slice(digest);
        bytes[64..].copy_from_slice(signature);
        sha256(&bytes)
    }

    fn knows(&self, name: &[u8; 32]) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).0.contains(name)
    }

    fn remember(&self, name: [u8; 32]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.0.insert(name) {
            held.1.push_back(name);
        }
        if held.1.len() > Self::SIGNATURES_MAX
            && let Some(oldest) = held.1.pop_front()
        {
            held.0.remove(&oldest);
        }
    }
}

/// Checks that this key signed exactly these bytes (RFC 8032, strict: no malleable signature).
///
/// # Errors
/// When it did not.
pub fn check_signature(event: &UnverifiedEvent, key: &VerifyingKey) -> Result<(), VerifyError> {
    let holds = key.verify_strict(&event.signed, &Signature::from_bytes(&event.signature));
    let (id, office, key) = (event.id, event.event.office, event.key);
    holds.map_err(|_| VerifyError::Signature { id, office, key })
}

impl Verifier {
    /// Judges by this registry.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry, memory: None }
    }

    /// Also remembers what it verified, in a memory that several verifiers may share.
    #[must_use]
    pub fn with_memory(mut self, memory: Arc<VerifyMemory>) -> Self {
        self.memory = Some(memory);
        self
    }

    /// The registry it judges by.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The directory in it.
    pub fn directory(&self) -> &Arc<Directory> {
        self.registry.directory()
    }

    /// Checks that a key of the office that counts signed exactly these bytes, and that its certificate does not
    /// forbid it as of the proof.
    ///
    /// What cannot be told yet is no reason to refuse: no list, an old one, no proof. What was revoked without proof
    /// that it was signed before is refused; its office signs it again with the next key.
    ///
    /// # Errors
    /// When office, key, certificate or signature do not hold; the bytes then belong in quarantine.
    pub fn verify(&self, event: UnverifiedEvent, proof: &Proof) -> Result<VerifiedEvent, VerifyError> {
        let office = event.event.office;
        let time = SigningTime {
            claimed_at: Some(event.event.claimed_at),
            after: None,
            proven_at: self.registry.sound_proof(&office, event.key, &proof.stamps),
        };
        let key = *self.registry.usable_key(&office, event.key, &time)?.key();
        let named = self
            .memory
            .as_ref()
            .map(|m| (m, VerifyMemory::name(&key, event.id.as_bytes(), &event.signature)));
        let known = named.as_ref().is_some_and(|(memory, name)| memory.knows(name));
        if !known {
            if !mutant::is(Mutant::NoSignatureCheck) {
                check_signature(&event, &key)?;
            }
            if let Some((memory, name)) = named {
                memory.remember(name);
            }
        }
        let (bytes, version) = (event.bytes, event.version);
        Ok(VerifiedEvent { bytes, version, id: event.id, key: event.key, event: event.event })
    }

    /// Which of these stamps hold for that event: signed by the relay they name, one for each relay.
    pub fn proof(&self, event: &EventId, stamps: Vec<Stamp>) -> Proof {
        let mut stamps: Vec<Stamp> =
            stamps.into_iter().take(STAMPS_MAX).filter(|stamp| self.stamp_holds(event, stamp)).collect();
        stamps.sort_by(|a, b| (a.at, &a.region).cmp(&(b.at, &b.region)));
        let mut seen: Vec<RegionId> = Vec::new();
        stamps.retain(|stamp| {
            let new = !seen.contains(&stamp.region);
            seen.push(stamp.region.clone());
            new
        });
        Proof { stamps }
    }

    fn stamp_holds(&self, event: &EventId, stamp: &Stamp) -> bool {
        let Some(key) = self.registry.stamp_key(&stamp.region) else { return false };
        let Some(signed) = stamp.signed_for(event, key) else { return false };
        let named = self.memory.as_ref();
        let named = named.map(|memory| (memory, VerifyMemory::name(key, &sha256(&signed), &stamp.signature)));
        if named.as_ref().is_some_and(|(memory, name)| memory.knows(name)) {
            return true;
        }
        let holds = key.verify_strict(&signed, &Signature::from_bytes(&stamp.signature)).is_ok();
        if let (true, Some((memory, name))) = (holds, named) {
            memory.remember(name);
        }
        holds
    }

    /// Checks an event that a store has held for some time: a certified key of its office signed exactly these bytes.
    /// Whether the key counted then was judged when the event was recorded, and is not asked again.
    ///
    /// # Errors
    /// [`VerifyError::Signature`] when the bytes were changed since; else that the registry does not know who or
    /// what signed, so that nothing can be said.
    pub fn check_recorded(&self, event: &UnverifiedEvent) -> Result<(), VerifyError> {
        check_signature(event, self.registry.known_key(&event.event.office, event.key)?.key())
    }

    /// Takes an event that the store holds already, to read it with another key than before. Whether its signature counts was judged when
    /// it was recorded.
    ///
    /// # Errors
    /// As [`Verifier::check_recorded`].
    pub fn verify_held(&self, event: UnverifiedEvent) -> Result<VerifiedEvent, VerifyError> {
        self.check_recorded(&event)?;
        let (bytes, version) = (event.bytes, event.version);
        Ok(VerifiedEvent { bytes, version, id: event.id, key: event.key, event: event.event })
    }

    /// Takes an event of an office that is given back to it: a key of it that counts, or once did, signed it.
    ///
    /// # Errors
    /// As [`Verifier::check_recorded`], and for a contested key.
    pub fn verify_regained(&self, event: UnverifiedEvent) -> Result<VerifiedEvent, VerifyError> {
        self.registry.counting_key(&event.event.office, event.key)?;
        self.check_recorded(&event)?;
        let (bytes, version) = (event.bytes, event.version);
        Ok(VerifiedEvent { bytes, version, id: event.id, key: event.key, event: event.event })
    }
}
