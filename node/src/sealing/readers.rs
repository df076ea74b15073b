//! Who can open an age file: it has one stanza for each reader, and says of none who that is.
//!
//! So the names cannot be compared with the stanzas, but their number can: whoever is named gets one, and one more would be a reader whom
//! nobody is told of. A sender can still hand a content on by other ways; it cannot do so in what it has signed.

use std::cell::Cell;

use age::{DecryptError, Identity as AgeIdentity};
use age_core::format::{FileKey, Stanza};

use super::Identity;

/// The tag of a stanza for an X25519 key (C2SP age v1).
const X25519: &str = "X25519";
/// The end of the tag of a stanza that is for nobody: age puts one into every file, so that readers go on passing over what they do not
/// know.
const GREASE: &str = "-grease";

/// The identities of an office, for a file that has as many readers as it should.
pub(super) struct Counted<'a> {
    identities: Vec<&'a Identity>,
    named: usize,
    /// How many there were, when there were others.
    pub(super) found: Cell<Option<usize>>,
}

impl<'a> Counted<'a> {
    pub(super) const fn new(identities: Vec<&'a Identity>, named: usize) -> Self {
        Self { identities, named, found: Cell::new(None) }
    }
}

impl AgeIdentity for Counted<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.identities.iter().find_map(|identity| identity.unwrap_stanza(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let readers = stanzas.iter().filter(|stanza| stanza.tag == X25519).count();
        let (greased, others): (Vec<&Stanza>, _) = stanzas
            .iter()
            .filter(|stanza| stanza.tag != X25519)
            .partition(|stanza| stanza.tag.ends_with(GREASE));
        // A second one of those that are for nobody, or one of another sort, may be for somebody.
        let found = readers + others.len() + greased.len().saturating_sub(1);
        if found != self.named {
            self.found.set(Some(found));
            return Some(Err(DecryptError::InvalidHeader));
        }
        self.identities.iter().find_map(|identity| identity.unwrap_stanzas(stanzas))
    }
}
