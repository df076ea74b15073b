//! That the content of a document is erased (*tiêu hủy nội dung*) once nobody has to keep it any more.
//!
//! How long a document is kept (*thời hạn bảo quản*) depends on the work file that it belongs to, which the exchange does not know.
//! So whoever erases states it, and the decision that allows it; both stay in the chain for ever.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::WORDS_CHARS_MAX;
use crate::body::BodyError;
use crate::event::Kind;
use crate::id::{DocumentId, OfficeId, Position};
use crate::text;
use crate::time::Day;

/// Why the content of a document need not be kept any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ErasureGround {
    /// The time for which it had to be kept has ended.
    #[n(0)]
    RetentionEnded {
        /// The last day of it.
        #[n(0)]
        kept_until: Day,
    },
    /// Whoever may do so has ordered it before that.
    #[n(1)]
    Ordered,
}

/// On what ground the content of a document is erased.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// Why it need not be kept.
    #[n(1)]
    pub ground: ErasureGround,
    /// The decision that says so: its number, its date, and whose it is.
    #[n(2)]
    pub decision: String,
    /// What else is to be known of it.
    #[n(3)]
    pub reason: String,
}

impl Erasure {
    pub(crate) fn check(&self) -> Result<(), BodyError> {
        for text in [&self.decision, &self.reason] {
            text::require_plain(text, WORDS_CHARS_MAX)?;
            if text.trim().is_empty() {
                let rule = "whoever erases content names the decision and the reason";
                return Err(BodyError::Rule { kind: Kind::Act, rule });
            }
        }
        Ok(())
    }
}

/// A document whose content is erased here, as a row of the records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(map)]
pub struct ErasedRow {
    /// Whose document it is.
    #[n(1)]
    pub issuer: OfficeId,
    /// The document.
    #[n(2)]
    pub document: DocumentId,
    /// The entry of the journal that says so first.
    #[n(3)]
    pub position: Position,
}
