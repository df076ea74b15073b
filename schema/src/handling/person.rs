//! Somebody of an office, as its chain knows them: what they may do, and what they may send. Never a token.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};

use super::Role;
use crate::document::DocumentType;
use crate::id::OfficeId;

/// Most recipients that somebody is limited to.
pub const PERSON_RECIPIENTS_MAX: usize = 1_024;

/// Somebody of an office. Who was removed stays, without a role.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct PersonRow {
    /// The full name, as acts bear it; two people of an office have two names.
    #[n(1)]
    pub name: String,
    /// What this person does.
    #[n(2)]
    pub roles: BTreeSet<Role>,
    /// The types of documents that this person sends on their way (*thẩm quyền*); all when there are none.
    #[n(3)]
    pub types: BTreeSet<DocumentType>,
    /// The offices that they may go to; all when there are none.
    #[n(4)]
    pub recipients: BTreeSet<OfficeId>,
}

/// In what a document is beyond somebody's authority.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Beyond {
    /// Its type.
    Type(DocumentType),
    /// A recipient.
    Recipient(OfficeId),
}

impl PersonRow {
    /// Nobody any more.
    pub const fn removed(name: String) -> Self {
        Self { name, roles: BTreeSet::new(), types: BTreeSet::new(), recipients: BTreeSet::new() }
    }

    /// Whether not every document is this person's to send.
    pub fn is_limited(&self) -> bool {
        !self.types.is_empty() || !self.recipients.is_empty()
    }

    /// In what a document of this type to these offices is beyond this person's authority.
    pub fn beyond(&self, document_type: DocumentType, to: &[OfficeId]) -> Option<Beyond> {
        if !self.types.is_empty() && !self.types.contains(&document_type) {
            return Some(Beyond::Type(document_type));
        }
        let other = |office: &&OfficeId| !self.recipients.is_empty() && !self.recipients.contains(office);
        to.iter().find(other).copied().map(Beyond::Recipient)
    }
}
