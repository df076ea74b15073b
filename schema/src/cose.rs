//! The signed frame: COSE_Sign1 (RFC 9052 section 4.2) in the one form Trạm accepts.
//!
//! ```text
//! 18([ << {1: -8, 3: content type, 4: key id} >>, {}, payload, signature ])
//! ```
//!
//! EdDSA (-8), definite lengths, minimal heads, an empty unprotected map. `external_aad` is the content type, so
//! a signature made for one kind of object never fits another. The payload is never re-encoded: the bytes as
//! received are hashed, verified, stored and forwarded.

use minicbor::data::{Tag, Type};
use minicbor::encode::Write;
use minicbor::{Decoder, Encode, Encoder};
use sha2::{Digest, Sha256};

use crate::id::KeyId;

/// RFC 9052 table 1: the CBOR tag of COSE_Sign1.
const TAG_COSE_SIGN1: u64 = 18;
/// RFC 9053 section 2.2: EdDSA.
const ALGORITHM_EDDSA: i8 = -8;

const LABEL_ALGORITHM: u8 = 1;
const LABEL_CONTENT_TYPE: u8 = 3;
const LABEL_KEY_ID: u8 = 4;

/// The longest content type that is looked at, in bytes.
const CONTENT_TYPE_BYTES_MAX: usize = 32;

/// Why bytes are not a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// CBOR could not be read as a frame.
    #[error("not a COSE_Sign1 frame with EdDSA, content type and key id: {0}")]
    Malformed(String),
    /// Well-formed, but not in the only accepted encoding.
    #[error(
        "the frame is not in deterministic encoding (RFC 8949 section 4.2), or carries unprotected headers"
    )]
    NotDeterministic,
}

/// A frame taken apart; nothing about it is proven yet.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) protected: &'a [u8],
    pub(crate) content_type: &'a str,
    pub(crate) key: KeyId,
    pub(crate) payload: &'a [u8],
    pub(crate) signature: &'a [u8; 64],
}

/// What is signed and hashed: `["Signature1", protected, external_aad, payload]`.
pub(crate) fn sig_structure(content_type: &str, protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + protected.len() + 64);
    let mut e = Encoder::new(&mut bytes);
    infallible(e.array(4).and_then(|e| e.str("Signature1")));
    infallible(e.bytes(protected));
    infallible(e.bytes(content_type.as_bytes()));
    infallible(e.bytes(payload));
    bytes
}

/// SHA-256 of what [`sig_structure`] would give, without building it: a replay hashes every event of a journal.
pub(crate) fn sig_hash(frame: &Frame<'_>) -> [u8; 32] {
    /// Heads, the word `Signature1`, the protected header and the content type.
    const PREFIX_BYTES_MAX: usize = 160;
    let mut prefix = [0; PREFIX_BYTES_MAX];
    let length = {
        let mut rest = &mut prefix[..];
        let mut e = Encoder::new(&mut rest);
        let written = e
            .array(4)
            .and_then(|e| e.str("Signature1"))
            .and_then(|e| e.bytes(frame.protected))
            .and_then(|e| e.bytes(frame.content_type.as_bytes()))
            .and_then(|e| e.bytes_len(frame.payload.len() as u64))
            .is_ok();
        if !written {
            // A parsed frame is bounded far below; a longer one is hashed the long way.
            return sha256(&sig_structure(frame.content_type, frame.protected, frame.payload));
        }
        PREFIX_BYTES_MAX - rest.len()
    };
    let mut hash = Sha256::new();
    hash.update(&prefix[..length]);
    hash.update(frame.payload);
    hash.finalize().into()
}

/// Whether `value` encodes to exactly `bytes`; compares while encoding and keeps nothing.
pub(crate) fn encodes_to<T: Encode<()>>(value: &T, bytes: &[u8]) -> bool {
    let mut rest = Expected(bytes);
    minicbor::encode(value, &mut rest).is_ok() && rest.0.is_empty()
}

/// The bytes that are still to be written. Anything else that is written is an error.
struct Expected<'a>(&'a [u8]);

/// Other bytes than expected.
struct Differs;

impl Write for Expected<'_> {
    type Error = Differs;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Differs> {
        self.0 = self.0.strip_prefix(bytes).ok_or(Differs)?;
        Ok(())
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub(crate) fn protected_header(content_type: &str, key: KeyId) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(48);
    let mut e = Encoder::new(&mut bytes);
    infallible(e.map(3));
    infallible(e.u8(LABEL_ALGORITHM).and_then(|e| e.i8(ALGORITHM_EDDSA)));
    infallible(e.u8(LABEL_CONTENT_TYPE).and_then(|e| e.str(content_type)));
    infallible(e.u8(LABEL_KEY_ID).and_then(|e| e.bytes(key.as_bytes())));
    bytes
}

pub(crate) fn frame(protected: &[u8], payload: &[u8], signature: &[u8; 64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + protected.len() + 80);
    let mut e = Encoder::new(&mut bytes);
    infallible(e.tag(Tag::new(TAG_COSE_SIGN1)).and_then(|e| e.array(4)));
    infallible(e.bytes(protected).and_then(|e| e.map(0)));
    infallible(e.bytes(payload));
    infallible(e.bytes(signature));
    bytes
}

const KEY_ID_BYTES: usize = 16;
const SIGNATURE_BYTES: usize = 64;

/// How long the minimal head of a text or byte string of `length` bytes is (RFC 8949 section 3).
const fn head_bytes(length: usize) -> usize {
    match length {
        0..24 => 1,
        24..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => 9,
    }
}

const fn text_bytes(text: &str) -> usize {
    head_bytes(text.len()) + text.len()
}

impl<'a> Frame<'a> {
    /// Takes a frame apart and checks that it is in the accepted encoding. The caller bounds `bytes` first.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let parsed = Self::read(bytes).map_err(|error| FrameError::Malformed(error.to_string()))?;
        // `read` has taken every item in its place, labels in order. No head can be shorter than the minimal one, so
        // the bytes are the deterministic ones exactly when they are as long: this catches sloppy heads and trailing
        // bytes without building the frame again.
        let protected = 3 + head_bytes(KEY_ID_BYTES) + KEY_ID_BYTES + 2 + text_bytes(parsed.content_type);
        let shortest = 2
            + head_bytes(parsed.protected.len())
            + parsed.protected.len()
            + 1
            + head_bytes(parsed.payload.len())
            + parsed.payload.len()
            + head_bytes(SIGNATURE_BYTES)
            + SIGNATURE_BYTES;
        if parsed.protected.len() != protected || bytes.len() != shortest {
            return Err(FrameError::NotDeterministic);
        }
        Ok(parsed)
    }

    fn read(bytes: &'a [u8]) -> Result<Self, minicbor::decode::Error> {
        use minicbor::decode::Error;
        let mut d = Decoder::new(bytes);
        if d.tag()? != Tag::new(TAG_COSE_SIGN1) {
            return Err(Error::message("the tag is not 18"));
        }
        if d.array()? != Some(4) {
            return Err(Error::message("not an array of four"));
        }
        let protected = d.bytes()?;
        if d.datatype()? != Type::Map || d.map()? != Some(0) {
            return Err(Error::message("the unprotected header is not empty"));
        }
        let payload = d.bytes()?;
        let signature = d.bytes()?.try_into().map_err(|_| Error::message("the signature is not 64 bytes"))?;

        let mut h = Decoder::new(protected);
        if h.map()? != Some(3) {
            return Err(Error::message("the protected header has not three entries"));
        }
        let algorithm = (h.u8()?, h.i8()?);
        if algorithm != (LABEL_ALGORITHM, ALGORITHM_EDDSA) {
            return Err(Error::message("the algorithm is not EdDSA"));
        }
        let (label, content_type) = (h.u8()?, h.str()?);
        if label != LABEL_CONTENT_TYPE || content_type.len() > CONTENT_TYPE_BYTES_MAX {
            return Err(Error::message("no content type of at most 32 bytes"));
        }
        let (label, key) = (h.u8()?, h.bytes()?);
        let key = KeyId::try_from(key).map_err(|_| Error::message("the key id is not 16 bytes"))?;
        if label != LABEL_KEY_ID {
            return Err(Error::message("no key id"));
        }
        Ok(Self { protected, content_type, key, payload, signature })
    }
}

/// Encoding into a `Vec` cannot fail; the type says so.
pub(crate) fn infallible<T>(result: Result<T, minicbor::encode::Error<std::convert::Infallible>>) {
    if let Err(error) = result {
        unreachable!("encoding into memory failed: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What [`Frame::parse`] must agree with: take apart, build again, compare.
    fn rebuilt_is_same(bytes: &[u8]) -> bool {
        Frame::read(bytes).is_ok_and(|parsed| {
            let protected = protected_header(parsed.content_type, parsed.key);
            protected == parsed.protected && frame(&protected, parsed.payload, parsed.signature) == bytes
        })
    }

    /// One head among many, written longer than it needs to be.
    fn sloppy(bytes: &[u8], at: usize) -> Vec<u8> {
        let mut sloppy = bytes.to_vec();
        let (major, length) = (sloppy[at] & 0xe0, sloppy[at] & 0x1f);
        sloppy.splice(at..=at, [major | 24, length]);
        sloppy
    }

    proptest! {
        #[test]
        fn only_what_would_be_built_again_is_a_frame(
            content_type in "[a-z/]{0,32}",
            key: [u8; 16],
            payload in prop::collection::vec(any::<u8>(), 0..300),
            signature: u8,
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            tail in prop::collection::vec(any::<u8>(), 0..2),
        ) {
            let protected = protected_header(&content_type, KeyId::new(key));
            let honest = frame(&protected, &payload, &[signature; 64]);
            let parsed = Frame::parse(&honest);
            prop_assert_eq!(parsed.as_ref().map(|parsed| parsed.payload), Ok(&payload[..]));
            if let Ok(parsed) = parsed {
                let signed = sig_structure(&content_type, &protected, &payload);
                prop_assert_eq!(sig_hash(&parsed), sha256(&signed));
            }
            let mut other = honest.clone();
            for (at, value) in flips {
                let at = at.index(other.len().min(64));
                other[at] = value;
            }
            other.extend(tail);
            prop_assert_eq!(Frame::parse(&other).is_ok(), rebuilt_is_same(&other));
            // The heads of the frame, and of everything in the protected header.
            for at in 0..other.len().min(8) {
                if other[at] & 0x1f < 24 {
                    let sloppy = sloppy(&other, at);
                    prop_assert_eq!(Frame::parse(&sloppy).is_ok(), rebuilt_is_same(&sloppy));
                }
            }
        }

        #[test]
        fn comparing_while_encoding_agrees_with_comparing_afterwards(
            value in prop::collection::vec(any::<u16>(), 0..20),
            flip in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            tail in prop::collection::vec(any::<u8>(), 0..2),
        ) {
            let encoded = minicbor::to_vec(&value).expect("numbers");
            let mut bytes = encoded.clone();
            if let Some((at, byte)) = flip {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.extend(tail);
            prop_assert_eq!(encodes_to(&value, &bytes), encoded == bytes);
            prop_assert!(!encodes_to(&value, &encoded[..encoded.len() - 1]));
        }
    }
}
