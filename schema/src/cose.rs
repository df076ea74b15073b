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
use minicbor::{Decoder, Encoder};
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

impl<'a> Frame<'a> {
    /// Takes a frame apart and checks that it is in the accepted encoding. The caller bounds `bytes` first.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let parsed = Self::read(bytes).map_err(|error| FrameError::Malformed(error.to_string()))?;
        // Rebuilding from the parts catches sloppy heads, unprotected headers, trailing bytes and reordered maps.
        let protected = protected_header(parsed.content_type, parsed.key);
        if protected != parsed.protected || frame(&protected, parsed.payload, parsed.signature) != bytes {
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
