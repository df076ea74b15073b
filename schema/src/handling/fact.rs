//! What happened to a document, as both ends are told.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{BusinessKind, Entry, RefusalReason};
use crate::id::BusinessId;
use crate::text::{self, TextError};
use crate::time::Day;

/// Longest words beside a fact, in characters (Decree 30/2020 appendix VI: notes).
pub const WORDS_CHARS_MAX: usize = 500;

/// One thing that happened to a document at one recipient. The numbers in front are those of the national exchange.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "fact")]
pub enum Fact {
    /// 02 *từ chối tiếp nhận, trả lại*: refused.
    #[n(2)]
    Refused {
        /// Why.
        #[n(0)]
        reason: RefusalReason,
        /// What the reason leaves open.
        #[n(1)]
        words: Option<String>,
    },
    /// 03 *đã tiếp nhận*: accepted, which is the same as registered.
    #[n(3)]
    Registered {
        /// Its line in the register of incoming documents.
        #[n(0)]
        entry: Entry,
        /// The day it was registered.
        #[n(1)]
        on: Day,
    },
    /// 04 *phân công*: somebody was told to work on it.
    #[n(4)]
    Assigned,
    /// 05 *đang xử lý*: the first work on it was done.
    #[n(5)]
    Started,
    /// 06 *hoàn thành*.
    #[n(6)]
    Finished,
    /// 13 *lấy lại*, or a recall (*thu hồi*): its sender asks.
    #[n(13)]
    Asked {
        /// Names what is asked.
        #[n(0)]
        business: BusinessId,
        /// What is asked.
        #[n(1)]
        kind: BusinessKind,
        /// Why.
        #[n(2)]
        reason: String,
    },
    /// 15 *đồng ý* or 16 *từ chối*: the recipient answers. A recall is always agreed to, by its station.
    #[n(15)]
    Answered {
        /// Names what was asked.
        #[n(0)]
        business: BusinessId,
        /// What was asked.
        #[n(1)]
        kind: BusinessKind,
        /// The answer.
        #[n(2)]
        agreed: bool,
        /// Its words.
        #[n(3)]
        words: Option<String>,
    },
}

impl Fact {
    /// Its code in the national exchange; none for a recall, an update or a replacement, which are messages of their own there.
    pub const fn code(&self) -> Option<u8> {
        Some(match self {
            Self::Refused { .. } => 2,
            Self::Registered { .. } => 3,
            Self::Assigned => 4,
            Self::Started => 5,
            Self::Finished => 6,
            Self::Asked { kind: BusinessKind::TakeBack, .. } => 13,
            Self::Answered { agreed: true, .. } => 15,
            Self::Answered { agreed: false, .. } => 16,
            Self::Asked { .. } => return None,
        })
    }

    /// Whether it is the sender of the document who says this, and not its recipient.
    pub const fn is_of_sender(&self) -> bool {
        matches!(self, Self::Asked { .. })
    }

    /// Checks its texts and numbers.
    pub(crate) fn check(&self) -> Result<Result<(), TextError>, &'static str> {
        let words = match self {
            Self::Refused { reason, words } if reason.needs_words() && words.is_none() => {
                return Err("a refusal for another reason says which");
            }
            Self::Refused { words, .. } | Self::Answered { words, .. } => words.as_ref(),
            Self::Asked { reason, .. } => Some(reason),
            Self::Registered { entry, .. } if !entry.is_bounded() => {
                return Err("a line of a register has a number from 1 to 9,999,999");
            }
            Self::Registered { .. } | Self::Assigned | Self::Started | Self::Finished => None,
        };
        match words {
            Some(words) if words.trim().is_empty() => Err("words say something"),
            Some(words) => Ok(text::require_plain(words, WORDS_CHARS_MAX)),
            None => Ok(Ok(())),
        }
    }
}
