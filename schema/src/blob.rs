//! Attachments on their way: sealed, content-addressed, cut into chunks that travel and resume one by one.
//!
//! A file (*tệp*) is what people have; a document names it by the hash of its bytes. A blob is the same file encrypted under a key of
//! its own: what stations and relays keep and carry. The key of a blob, its [`BlobIdentity`], is in the sealed body of the event that names it,
//! so whoever may read the document can open it, and sealing the body for somebody else never touches the blob.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Decoder, Encode};
use serde::{Deserialize, Serialize};

use crate::cose::infallible;
use crate::event::Urgency;
use crate::id::{BlobHash, FileHash, OfficeId};

/// Size of a chunk, in bytes. On a 64 kbit/s line one chunk takes eight seconds, which bounds how long an express
/// document waits behind an attachment already on its way.
pub const CHUNK_BYTES: u32 = 64 * 1024;

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Largest blob, in bytes: the largest file, 16 bytes for each 64 KiB of it, and room for age's header.
pub const BLOB_BYTES_MAX: u64 = FILE_BYTES_MAX + FILE_BYTES_MAX / (64 * 1024) * 16 + 16 * 1024;

/// Most attachments of one event.
pub const BLOBS_MAX: usize = 50;

/// A file as a document names it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
pub struct FileRef {
    /// SHA-256 of its bytes.
    #[n(0)]
    #[serde(rename = "sha256")]
    pub hash: FileHash,
    /// Its length in bytes; 1 to [`FILE_BYTES_MAX`].
    #[n(1)]
    pub length: u64,
}

/// A sealed file as an event names it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
pub struct BlobRef {
    /// SHA-256 of its bytes.
    #[n(0)]
    pub hash: BlobHash,
    /// Its length in bytes; 1 to [`BLOB_BYTES_MAX`].
    #[n(1)]
    pub length: u64,
}

impl BlobRef {
    /// How many chunks it is cut into.
    pub fn chunks(&self) -> u32 {
        let chunks = self.length.min(BLOB_BYTES_MAX).div_ceil(u64::from(CHUNK_BYTES));
        u32::try_from(chunks).expect("2 GiB in chunks of 64 KiB are some 32,000")
    }

    /// How long chunk `index` is, in bytes; `None` when there is no such chunk.
    pub fn chunk_length(&self, index: u32) -> Option<usize> {
        let start = u64::from(index) * u64::from(CHUNK_BYTES);
        let length = self.length.checked_sub(start).filter(|rest| *rest > 0)?.min(u64::from(CHUNK_BYTES));
        usize::try_from(length).ok()
    }
}

/// The age identity (X25519 secret key) that opens one blob, and no other.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct BlobIdentity(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// Nothing of it.
impl fmt::Debug for BlobIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an identity")
    }
}

/// A file, sealed: which blob it is, and what opens it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Enclosure {
    /// The sealed bytes.
    #[n(0)]
    pub blob: BlobRef,
    /// Opens them.
    #[n(1)]
    pub identity: BlobIdentity,
}

/// The files that a station has sealed, by their hash: what it can send.
pub type Enclosures = BTreeMap<FileHash, Enclosure>;

/// Checks the files that one document names.
///
/// # Errors
/// The rule that is broken.
pub(crate) fn check_files<'a>(files: impl ExactSizeIterator<Item = &'a FileRef>) -> Result<(), &'static str> {
    if files.len() > BLOBS_MAX {
        return Err("at most 50 attachments");
    }
    let mut named = BTreeSet::new();
    for file in files {
        if !(1..=FILE_BYTES_MAX).contains(&file.length) {
            return Err("attachments have 1 byte to 2 GiB");
        }
        if !named.insert(file.hash) {
            return Err("each attachment is named once");
        }
    }
    Ok(())
}

/// Checks the attachments of one event.
///
/// # Errors
/// The rule that is broken.
pub(crate) fn check_list(blobs: &[BlobRef]) -> Result<(), &'static str> {
    if blobs.len() > BLOBS_MAX {
        return Err("at most 50 attachments");
    }
    if blobs.iter().any(|blob| !(1..=BLOB_BYTES_MAX).contains(&blob.length)) {
        return Err("sealed attachments have 1 byte to 2 GiB and what sealing adds");
    }
    let repeats = |(i, blob): (usize, &BlobRef)| blobs[..i].iter().any(|b| b.hash == blob.hash);
    if blobs.iter().enumerate().any(repeats) {
        return Err("each attachment is named once");
    }
    Ok(())
}

/// Most chunk numbers in one reply.
pub const MISSING_MAX: usize = 256;

/// What a node or a peer relay asks a relay about an attachment.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum BlobRequest {
    /// Which chunks of it are missing?
    #[n(0)]
    Offer {
        /// The attachment.
        #[n(0)]
        blob: BlobRef,
        /// How urgent the document is that names it: a relay that is full still takes express.
        #[n(1)]
        urgency: Urgency,
    },
    /// Keep this chunk.
    #[n(1)]
    Store {
        /// The attachment.
        #[n(0)]
        blob: BlobRef,
        /// Which chunk; counts from 0.
        #[n(1)]
        index: u32,
        /// Its bytes.
        #[n(2)]
        bytes: ByteVec,
    },
    /// Give me this chunk.
    #[n(2)]
    Fetch {
        /// The attachment.
        #[n(0)]
        blob: BlobRef,
        /// Which chunk; counts from 0.
        #[n(1)]
        index: u32,
        /// Who sent the event that names it: its region is asked when this one has no copy.
        #[n(2)]
        sender: OfficeId,
    },
    /// Every recipient of what I sent with these has given a receipt: you need not keep them for me.
    #[n(3)]
    Release {
        /// The attachments; at most [`BLOBS_MAX`].
        #[cbor(n(0), decode_with = "few_blobs")]
        blobs: Vec<BlobRef>,
    },
    /// What do you take from me?
    #[n(4)]
    Limits,
    /// What do you keep for me? In order, those after this one; from the beginning when there is none.
    #[n(5)]
    Kept {
        /// The last one of the answer before.
        #[n(0)]
        after: Option<BlobRef>,
    },
}

/// Most attachments in one answer to [`BlobRequest::Kept`].
pub const KEPT_MAX: usize = 256;

/// What a relay takes of one office's attachments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
pub struct BlobLimits {
    /// The largest blob, in bytes.
    #[n(0)]
    pub blob_bytes_max: u64,
    /// Most bytes that are kept for the office until their recipients have given receipts; nine tenths of it for what is not express.
    #[n(1)]
    pub office_bytes_max: u64,
    /// How many of them are used.
    #[n(2)]
    pub office_bytes_used: u64,
    /// Of what is kept for the office: the [`fingerprint`]s of its attachments, combined by exclusive or.
    #[n(3)]
    pub office_fingerprint: u64,
}

/// Tells which attachments a relay keeps without naming them all; no defence against anybody.
pub fn fingerprint(blob: &BlobRef) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *blob.hash.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What the relay answers.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum BlobReply {
    /// The chunks that are missing, at most [`MISSING_MAX`]; none when the attachment is complete.
    #[n(0)]
    Missing {
        /// Their numbers.
        #[cbor(n(0), decode_with = "chunk_numbers")]
        chunks: Vec<u32>,
    },
    /// The chunk is kept.
    #[n(1)]
    Stored,
    /// The chunk.
    #[n(2)]
    Chunk {
        /// Its bytes.
        #[n(0)]
        bytes: ByteVec,
    },
    /// Not here; ask again later.
    #[n(3)]
    Absent,
    /// Not accepted.
    #[n(4)]
    Refused {
        /// Why, in words.
        #[n(0)]
        reason: String,
    },
    /// They are kept for this office no more.
    #[n(5)]
    Released,
    /// What it takes.
    #[n(6)]
    Limits {
        /// From this office.
        #[n(0)]
        limits: BlobLimits,
    },
    /// What is kept for this office, or set aside for what it is bringing.
    #[n(7)]
    Kept {
        /// At most [`KEPT_MAX`]; when it is as many, there may be more.
        #[cbor(n(0), decode_with = "kept_blobs")]
        blobs: Vec<BlobRef>,
    },
}

/// Largest request or reply, in bytes.
pub const BLOB_MESSAGE_BYTES_MAX: usize = CHUNK_BYTES as usize + 1024;

/// Reads a request or a reply from outside; bounds it first.
///
/// # Errors
/// When it is too large or malformed.
pub fn parse_blob_message<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, minicbor::decode::Error> {
    if bytes.len() > BLOB_MESSAGE_BYTES_MAX {
        return Err(minicbor::decode::Error::message("larger than a chunk and its envelope"));
    }
    let mut d = Decoder::new(bytes);
    let message = d.decode()?;
    if d.position() != bytes.len() {
        return Err(minicbor::decode::Error::message("bytes after the message").at(d.position()));
    }
    Ok(message)
}

fn few_blobs<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Vec<BlobRef>, minicbor::decode::Error> {
    let count = d.array()?.filter(|count| *count <= BLOBS_MAX as u64);
    let count = count.ok_or_else(|| minicbor::decode::Error::message("more than 50 attachments"))?;
    (0..count).map(|_| d.decode()).collect()
}

fn kept_blobs<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Vec<BlobRef>, minicbor::decode::Error> {
    let count = d.array()?.filter(|count| *count <= KEPT_MAX as u64);
    let count = count.ok_or_else(|| minicbor::decode::Error::message("more than 256 attachments"))?;
    (0..count).map(|_| d.decode()).collect()
}

fn chunk_numbers<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Vec<u32>, minicbor::decode::Error> {
    let count = d.array()?.filter(|count| *count <= MISSING_MAX as u64);
    let count = count.ok_or_else(|| minicbor::decode::Error::message("more than 256 chunk numbers"))?;
    (0..count).map(|_| d.u32()).collect()
}

/// The bytes of a request or a reply.
pub fn encode_blob_message<T: Encode<()>>(message: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    infallible(minicbor::encode(message, &mut bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn chunks_cover_the_blob_exactly(length in 1..=BLOB_BYTES_MAX) {
            let blob = BlobRef { hash: BlobHash::new([0; 32]), length };
            let last = blob.chunks() - 1;
            let covered = u64::from(last) * u64::from(CHUNK_BYTES) + blob.chunk_length(last).expect("there is one") as u64;
            prop_assert_eq!(covered, length);
            prop_assert_eq!(blob.chunk_length(blob.chunks()), None);
        }
    }
}
