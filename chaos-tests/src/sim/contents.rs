//! The attachments of a simulated station: what [`node::content::Contents`] keeps in files, in memory. It seals with a stand-in for
//! age, because one seed must make the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use node::step::{Found, Opening};
use schema::blob::{BlobIdentity, BlobRef, CHUNK_BYTES, Enclosure, FileRef};
use schema::id::{BlobHash, FileHash};
use sha2::{Digest, Sha256};

const CHUNK: usize = CHUNK_BYTES as usize;
const HASH_BYTES: usize = 32;

/// What lies on its disk beside the store.
#[derive(Clone, Default)]
pub(super) struct SimContents {
    whole: BTreeMap<BlobHash, Bytes>,
    parts: BTreeMap<BlobHash, Part>,
}

#[derive(Clone, Default)]
struct Part {
    chunks: BTreeMap<u32, Bytes>,
    /// Gone with the power.
    unsynced: BTreeSet<u32>,
}

fn hash(bytes: &[u8]) -> [u8; HASH_BYTES] {
    Sha256::digest(bytes).into()
}

/// No secret: hides the content from whoever looks for its words.
fn masked(content: &[u8]) -> impl Iterator<Item = u8> {
    content.iter().map(|byte| byte ^ 0xa5)
}

impl SimContents {
    /// Seals a file; it is on the disk when this returns.
    pub(super) fn seal(&mut self, file: &[u8], identity: [u8; 32]) -> Opening {
        let mut sealed = hash(&identity).to_vec();
        sealed.extend(masked(file));
        let blob = BlobRef { hash: BlobHash::new(hash(&sealed)), length: sealed.len() as u64 };
        self.whole.insert(blob.hash, sealed.into());
        let file = FileRef { hash: FileHash::new(hash(file)), length: file.len() as u64 };
        Opening { enclosure: Enclosure { blob, identity: BlobIdentity(identity) }, file }
    }

    /// A chunk of a complete attachment.
    pub(super) fn chunk(&self, blob: &BlobHash, index: u32) -> Option<Bytes> {
        let whole = self.whole.get(blob)?;
        let start = index as usize * CHUNK;
        let end = whole.len().min(start + CHUNK);
        (start < end).then(|| whole.slice(start..end))
    }

    /// Keeps a chunk, on the disk for sure when the caller says so.
    pub(super) fn keep_chunk(&mut self, blob: &BlobRef, index: u32, bytes: Bytes, synced: bool) {
        if blob.chunk_length(index) != Some(bytes.len()) {
            return;
        }
        let part = self.parts.entry(blob.hash).or_default();
        if part.chunks.insert(index, bytes).is_none() {
            part.unsynced.insert(index);
        }
        if synced {
            part.unsynced.clear();
        }
    }

    /// Looks at what is here of an attachment.
    pub(super) fn examine(&mut self, blob: &BlobRef, openings: &[Opening]) -> Found {
        if !self.whole.contains_key(&blob.hash) {
            let part = self.parts.entry(blob.hash).or_default();
            let missing: Vec<u32> =
                (0..blob.chunks()).filter(|index| !part.chunks.contains_key(index)).collect();
            if !missing.is_empty() {
                return Found::Missing(missing);
            }
            let bytes: Vec<u8> = part.chunks.values().flatten().copied().collect();
            self.parts.remove(&blob.hash);
            if hash(&bytes) != *blob.hash.as_bytes() {
                return Found::Other;
            }
            self.whole.insert(blob.hash, bytes.into());
        }
        let holds = |opening: &Opening| (*opening, self.holds(opening));
        Found::Whole(openings.iter().map(holds).collect())
    }

    /// Whether an attachment is here, whole, and opened so holds its file.
    pub(super) fn holds(&self, Opening { enclosure: Enclosure { blob, identity }, file }: &Opening) -> bool {
        let Some((key, content)) = self.whole.get(&blob.hash).and_then(|w| w.split_at_checked(HASH_BYTES))
        else {
            return false;
        };
        let content: Vec<u8> = masked(content).collect();
        key == hash(&identity.0)
            && content.len() as u64 == file.length
            && hash(&content) == *file.hash.as_bytes()
    }

    /// What the power took.
    pub(super) fn power_cut(&mut self) {
        for part in self.parts.values_mut() {
            let unsynced = std::mem::take(&mut part.unsynced);
            part.chunks.retain(|index, _| !unsynced.contains(index));
        }
    }
}
