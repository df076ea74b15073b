//! Stands in for age, which draws randomness of its own: one seed must make the same bytes. What the rules rest on is kept: only who is
//! named opens it, what was changed is not opened, and the bytes say nothing.

use node::sealing::{SealError, Sealing};
use schema::id::OfficeId;
use schema::sealing::SealingKey;
use sha2::{Digest, Sha256};

const HASH_BYTES: usize = 32;

/// The sealing of one simulated office; it never loses its key.
pub(super) struct SimSealing(OfficeId);

impl SimSealing {
    pub(super) const fn of(office: OfficeId) -> Self {
        Self(office)
    }
}

/// No secret: hides the content from whoever looks for its words.
fn masked(content: &[u8]) -> impl Iterator<Item = u8> {
    content.iter().map(|byte| byte ^ 0xa5)
}

impl Sealing for SimSealing {
    fn key(&self) -> SealingKey {
        SealingKey(Sha256::digest(self.0.as_bytes()).into())
    }

    fn seal(&self, content: &[u8], keys: &[SealingKey]) -> Result<Vec<u8>, SealError> {
        let count = u8::try_from(keys.len()).map_err(|_| SealError::Key)?;
        let mut sealed = vec![count];
        keys.iter().for_each(|key| sealed.extend(key.0));
        sealed.extend(masked(content));
        let hash = Sha256::digest(&sealed);
        sealed.extend(hash);
        Ok(sealed)
    }

    fn open(&self, sealed: &[u8], readers: usize) -> Result<Vec<u8>, SealError> {
        let refused = |found: &str| SealError::Decrypt(found.to_owned());
        let (body, hash) =
            sealed.split_at_checked(sealed.len().saturating_sub(HASH_BYTES)).ok_or(refused("cut"))?;
        if Sha256::digest(body)[..] != *hash {
            return Err(refused("changed"));
        }
        let (count, rest) = body.split_first().ok_or(refused("empty"))?;
        let (keys, content) =
            rest.split_at_checked(usize::from(*count) * HASH_BYTES).ok_or(refused("cut"))?;
        if usize::from(*count) != readers {
            return Err(SealError::Readers { found: usize::from(*count), named: readers });
        }
        let mine = self.key();
        match keys.chunks(HASH_BYTES).any(|key| *key == mine.0) {
            true => Ok(masked(content).collect()),
            false => Err(refused("for others")),
        }
    }
}
