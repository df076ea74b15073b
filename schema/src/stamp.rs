//! A relay's word on when an event was there (*dấu thời gian của trạm chuyển tiếp*).
//!
//! What a sender claims about the time proves nothing once its key may be stolen. So the relay that admits an event
//! signs that it was there by now; whoever judges the sender's certificate later does so as of that moment. A relay
//! signs up to [`STAMP_EVENTS_MAX`] events at once: the signature is over a Merkle root, and each event carries its path.
//!
//! A stamp says *not later than*. A relay whose clock is ahead makes an event look younger than it is, which can only
//! turn a verdict into *undetermined*; one that lies about the past must have the sender's key as well to gain anything
//! by it. Several relays may stamp one event; the earliest stamp counts.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use minicbor::{Decode, Encode};

use crate::cose;
use crate::event::key_id;
use crate::id::{EventId, RegionId};
use crate::merkle::{self, Hash};
use crate::time::Millis;

/// Most events under one signature: a path has at most four hashes.
pub const STAMP_EVENTS_MAX: usize = 16;
/// Longest path.
const PATH_MAX: usize = 4;
/// Most stamps of one event that are carried: one for each relay on its way.
pub const STAMPS_MAX: usize = crate::pack::PATH_MAX;

const CONTENT_TYPE: &str = "tram/stamp/v1";

/// One event's part of a signed stamp.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Encode, Decode)]
pub struct Stamp {
    /// Whose relay stamped it.
    #[n(0)]
    pub region: RegionId,
    /// By when it was there, by that relay's clock.
    #[n(1)]
    pub at: Millis,
    /// Which of the events under the signature it is.
    #[n(2)]
    pub index: u8,
    /// How many there are.
    #[n(3)]
    pub size: u8,
    /// The hashes beside the way to the root.
    #[n(4)]
    pub path: Vec<PathHash>,
    /// Over region, time, count and root.
    #[cbor(n(5), with = "minicbor::bytes")]
    pub signature: [u8; 64],
}

/// A hash in a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct PathHash(#[cbor(n(0), with = "minicbor::bytes")] pub Hash);

/// What the relay signs.
#[derive(Encode)]
#[cbor(map)]
struct Statement<'a> {
    #[n(1)]
    region: &'a RegionId,
    #[n(2)]
    at: Millis,
    #[n(3)]
    size: u8,
    #[cbor(n(4), with = "minicbor::bytes")]
    root: Hash,
}

fn to_be_signed(statement: &Statement<'_>, key: &[u8; 32]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(96);
    cose::infallible(minicbor::encode(statement, &mut payload));
    cose::sig_structure(CONTENT_TYPE, &cose::protected_header(CONTENT_TYPE, key_id(key)), &payload)
}

/// Stamps these events, in order; one signature for every [`STAMP_EVENTS_MAX`].
pub fn stamp(region: &RegionId, at: Millis, events: &[EventId], key: &SigningKey) -> Vec<Stamp> {
    let mut stamps = Vec::with_capacity(events.len());
    for group in events.chunks(STAMP_EVENTS_MAX) {
        let leaves: Vec<Hash> = group.iter().map(|id| merkle::leaf(id.as_bytes())).collect();
        let size = u8::try_from(group.len()).expect("at most 16");
        let statement = Statement { region, at, size, root: merkle::root(&leaves) };
        let signature = key.sign(&to_be_signed(&statement, key.verifying_key().as_bytes())).to_bytes();
        stamps.extend((0..size).map(|index| Stamp {
            region: region.clone(),
            at,
            index,
            size,
            path: merkle::path(&leaves, index.into()).into_iter().map(PathHash).collect(),
            signature,
        }));
    }
    stamps
}

impl Stamp {
    /// What the relay must have signed for this stamp to hold for that event; `None` when the path leads nowhere.
    pub(crate) fn signed_for(&self, event: &EventId, key: &VerifyingKey) -> Option<Vec<u8>> {
        if usize::from(self.size) > STAMP_EVENTS_MAX || self.path.len() > PATH_MAX {
            return None;
        }
        let path: Vec<Hash> = self.path.iter().map(|hash| hash.0).collect();
        let leaf = merkle::leaf(event.as_bytes());
        let root = merkle::root_of(&leaf, self.index.into(), self.size.into(), &path)?;
        let statement = Statement { region: &self.region, at: self.at, size: self.size, root };
        Some(to_be_signed(&statement, key.as_bytes()))
    }

    /// Whether that relay's key stamped that event at that time (RFC 8032, strict).
    pub fn holds(&self, event: &EventId, key: &VerifyingKey) -> bool {
        let signature = Signature::from_bytes(&self.signature);
        self.signed_for(event, key).is_some_and(|signed| key.verify_strict(&signed, &signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn region(name: &str) -> RegionId {
        name.parse().expect("a region")
    }

    fn ids(count: usize) -> Vec<EventId> {
        (0..count).map(|n| EventId::new(merkle::leaf(&n.to_be_bytes()))).collect()
    }

    proptest! {
        #[test]
        fn every_event_of_a_batch_is_stamped_and_no_other(count in 1..40_usize, other: [u8; 32]) {
            let ids = ids(count);
            let stamps = stamp(&region("p01"), Millis(5), &ids, &key());
            prop_assert_eq!(stamps.len(), count);
            for (id, stamp) in ids.iter().zip(&stamps) {
                prop_assert!(stamp.holds(id, &key().verifying_key()));
                prop_assert!(!stamp.holds(&EventId::new(other), &key().verifying_key()));
                prop_assert!(stamp.path.len() <= PATH_MAX);
            }
            for (n, id) in ids.iter().enumerate() {
                let strangers = stamps.iter().enumerate().filter(|(m, _)| *m != n);
                for (_, stamp) in strangers {
                    prop_assert!(!stamp.holds(id, &key().verifying_key()));
                }
            }
        }
    }

    #[test]
    fn whatever_is_changed_in_a_stamp_unmakes_it() {
        let ids = ids(3);
        let stamps = stamp(&region("p01"), Millis(5), &ids, &key());
        let sound = stamps[1].clone();
        let mut flipped = sound.path.clone();
        flipped[0].0[3] ^= 1;
        let mut signature = sound.signature;
        signature[9] ^= 1;
        let changed = [
            Stamp { at: Millis(4), ..sound.clone() },
            Stamp { region: region("p02"), ..sound.clone() },
            Stamp { index: 0, ..sound.clone() },
            Stamp { size: 4, ..sound.clone() },
            Stamp { size: 255, ..sound.clone() },
            Stamp { path: flipped, ..sound.clone() },
            Stamp { path: Vec::new(), ..sound.clone() },
            Stamp { path: vec![PathHash([0; 32]); 9], ..sound.clone() },
            Stamp { signature, ..sound.clone() },
        ];
        assert!(sound.holds(&ids[1], &key().verifying_key()));
        for stamp in changed {
            assert!(!stamp.holds(&ids[1], &key().verifying_key()), "{stamp:?}");
        }
        let other = SigningKey::from_bytes(&[8; 32]).verifying_key();
        assert!(!sound.holds(&ids[1], &other));
    }
}
