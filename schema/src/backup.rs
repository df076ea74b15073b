//! The seal of a backup: what a copy of a station's store is, signed by the office's own key.
//!
//! A copy that lay in a drawer for a year says nothing about itself. The seal says whose it is, where its
//! chain ends, when it was taken, and what the bytes beside it hash to, so that nothing else is ever put back
//! in its place. It has a content type of its own: a seal never passes for an event, nor an event for a seal.

use ed25519_dalek::{Signature, Signer, SigningKey};
use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::cose::{self, Frame, FrameError, infallible};
use crate::event::key_id;
use crate::id::{EventId, Incarnation, KeyId, OfficeId, Position, Seq};
use crate::registry::Registry;
use crate::time::Millis;

const CONTENT_TYPE: &str = "tram/backup/v1";

/// Largest seal, in bytes; one has about 400.
pub const SEAL_BYTES_MAX: usize = 4 * 1024;

/// A file as the seal names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize)]
pub struct FileDigest {
    /// Its length, in bytes.
    #[n(0)]
    pub length: u64,
    /// SHA-256 of its bytes.
    #[cbor(n(1), with = "minicbor::bytes")]
    #[serde(skip)]
    pub sha256: [u8; 32],
}

/// What a backup is.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize)]
#[cbor(map)]
pub struct BackupSeal {
    /// Whose store it is.
    #[n(1)]
    pub office: OfficeId,
    /// The incarnation of the last event of its chain.
    #[n(2)]
    pub incarnation: Incarnation,
    /// The position of that event; 0 when nothing was recorded yet.
    #[n(3)]
    pub seq: Seq,
    /// That event; [`EventId::NONE`] when nothing was recorded yet.
    #[n(4)]
    pub head: EventId,
    /// The last position of the journal, received events included; 0 when it is empty.
    #[n(5)]
    pub position: Position,
    /// When it was taken, by the station's clock. Shown, and used to tell the newest; nothing is proven by
    /// it.
    #[n(6)]
    pub sealed_at: Millis,
    /// The copy of the store.
    #[n(7)]
    pub store: FileDigest,
    /// The station's settings.
    #[n(8)]
    pub config: FileDigest,
    /// The registry.
    #[n(9)]
    pub registry: FileDigest,
    /// The keys under which others seal for the office, sealed themselves for its signing key; none when it has none.
    #[n(10)]
    pub sealing: Option<FileDigest>,
}

/// Why bytes are not the seal of a backup.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Too large; not parsed.
    #[error("the seal has {found} bytes, at most {SEAL_BYTES_MAX} are accepted")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// The frame is broken.
    #[error("the seal is not a signed frame")]
    Frame(#[from] FrameError),
    /// Something else was signed.
    #[error("the content type is `{found}`, expected `{CONTENT_TYPE}`")]
    ContentType {
        /// What the frame says.
        found: String,
    },
    /// The payload is not a seal.
    #[error("the seal cannot be read: {0}")]
    Payload(String),
    /// No certificate of such a key is held.
    #[error("no certificate of key `{key}` of office `{office}` is held")]
    UnknownKey {
        /// Whose backup it says it is.
        office: OfficeId,
        /// The key it names.
        key: KeyId,
    },
    /// The signature does not hold: the seal was changed, or somebody else made it.
    #[error("the signature of the seal does not verify under key `{key}` of office `{office}`")]
    Signature {
        /// Whose backup it says it is.
        office: OfficeId,
        /// The key it names.
        key: KeyId,
    },
}

/// Signs what a backup is.
pub fn seal_backup(seal: &BackupSeal, key: &SigningKey) -> Vec<u8> {
    let payload = encode(seal);
    let protected = cose::protected_header(CONTENT_TYPE, key_id(key.verifying_key().as_bytes()));
    let signed = cose::sig_structure(CONTENT_TYPE, &protected, &payload);
    cose::frame(&protected, &payload, &key.sign(&signed).to_bytes())
}

/// Opens a seal: bounds, encoding, then the signature by a key that is certified for the office, now or once. A key
/// whose certificate is over still opens what it sealed: a backup is wanted most when much has gone wrong, and
/// everything in the copy carries signatures of its own.
///
/// # Errors
/// Says what does not hold; nothing of the seal may be believed then.
pub fn open_backup_seal(bytes: &[u8], registry: &Registry) -> Result<BackupSeal, SealError> {
    if bytes.len() > SEAL_BYTES_MAX {
        return Err(SealError::TooLarge { found: bytes.len() });
    }
    let frame = Frame::parse(bytes)?;
    if frame.content_type != CONTENT_TYPE {
        return Err(SealError::ContentType { found: frame.content_type.to_owned() });
    }
    let seal: BackupSeal =
        minicbor::decode(frame.payload).map_err(|error| SealError::Payload(error.to_string()))?;
    if encode(&seal) != frame.payload {
        return Err(SealError::Payload("it is not the deterministic encoding of its fields".to_owned()));
    }
    let (office, key) = (seal.office, frame.key);
    let known = registry.known_key(&office, key).map_err(|_| SealError::UnknownKey { office, key })?;
    let signed = cose::sig_structure(CONTENT_TYPE, frame.protected, frame.payload);
    if known.key().verify_strict(&signed, &Signature::from_bytes(frame.signature)).is_err() {
        return Err(SealError::Signature { office, key });
    }
    Ok(seal)
}

fn encode(seal: &BackupSeal) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    infallible(minicbor::encode(seal, &mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certified::Registrar;
    use crate::directory::{Directory, DirectorySnapshot, Name, Office, Validity};
    use proptest::prelude::*;
    use std::sync::{Arc, LazyLock};

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    static REGISTRY: LazyLock<Arc<Registry>> = LazyLock::new(|| {
        let mut office = Office::new(OfficeId::new([1; 16]));
        office.names.push(Name { text: "Ủy ban nhân dân xã".to_owned(), validity: Validity::ALWAYS });
        let snapshot = DirectorySnapshot {
            version: 1,
            issued_at: Millis(0),
            regions: Vec::new(),
            offices: vec![office],
            successors: Vec::new(),
        };
        let directory = Directory::new(snapshot).expect("sound");
        let public = key().verifying_key().to_bytes();
        Registrar::new().registry(&directory, &[(OfficeId::new([1; 16]), public)])
    });

    fn seal(office: u8, seq: u64, length: u64) -> BackupSeal {
        let file = |n| FileDigest { length, sha256: [n; 32] };
        BackupSeal {
            office: OfficeId::new([office; 16]),
            incarnation: Incarnation::new(1, 2),
            seq: Seq(seq),
            head: EventId::new([4; 32]),
            position: Position(seq + 5),
            sealed_at: Millis(6),
            store: file(7),
            config: file(8),
            registry: file(9),
            sealing: Some(file(10)),
        }
    }

    #[test]
    fn seal_is_for_backups_only_and_by_a_certified_key_only() {
        let made = seal_backup(&seal(1, 3, 4096), &key());
        assert_eq!(open_backup_seal(&made, &REGISTRY).expect("opens"), seal(1, 3, 4096));

        let stranger = seal_backup(&seal(1, 3, 4096), &SigningKey::from_bytes(&[8; 32]));
        assert!(matches!(open_backup_seal(&stranger, &REGISTRY), Err(SealError::UnknownKey { .. })));
        let elsewhere = seal_backup(&seal(2, 3, 4096), &key());
        assert!(matches!(open_backup_seal(&elsewhere, &REGISTRY), Err(SealError::UnknownKey { .. })));

        let payload = encode(&seal(1, 3, 4096));
        let protected = cose::protected_header("tram/event/v1", key_id(key().verifying_key().as_bytes()));
        let signed = cose::sig_structure("tram/event/v1", &protected, &payload);
        let event = cose::frame(&protected, &payload, &key().sign(&signed).to_bytes());
        assert!(matches!(open_backup_seal(&event, &REGISTRY), Err(SealError::ContentType { .. })));
    }

    proptest! {
        #[test]
        fn seal_is_read_back_and_no_flipped_bit_passes(
            seq in 0..1_u64 << 48, length: u64, at: prop::sample::Index, bit in 0..8_u8,
        ) {
            let mut made = seal_backup(&seal(1, seq, length), &key());
            prop_assert_eq!(open_backup_seal(&made, &REGISTRY).expect("opens"), seal(1, seq, length));
            let at = at.index(made.len());
            made[at] ^= 1 << bit;
            prop_assert!(open_backup_seal(&made, &REGISTRY).is_err(), "bit {bit} of byte {at}");
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            prop_assert!(open_backup_seal(&bytes, &REGISTRY).is_err());
        }
    }
}
