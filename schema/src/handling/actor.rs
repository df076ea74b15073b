//! Who acts in an office, and in what role.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::text::{self, TextError};

/// Longest name of somebody who acts, in characters.
pub const ACTOR_CHARS_MAX: usize = 255;

/// What somebody may do in an office (*vai trò*).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// *Văn thư*: registers, numbers, sends, receives.
    #[n(0)]
    Clerk,
    /// *Lãnh đạo*: approves, signs, assigns.
    #[n(1)]
    Leader,
    /// *Chuyên viên*: drafts and works on what was assigned.
    #[n(2)]
    Officer,
    /// *Quản trị đơn vị*: people, books, settings; no content.
    #[n(3)]
    Administrator,
    /// *Kiểm tra*: reads everything, changes nothing.
    #[n(4)]
    Auditor,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Clerk, Self::Leader, Self::Officer, Self::Administrator, Self::Auditor];

    /// How programs name it.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Clerk => "clerk",
            Self::Leader => "leader",
            Self::Officer => "officer",
            Self::Administrator => "administrator",
            Self::Auditor => "auditor",
        }
    }

    /// Whether somebody in this role sees what documents say.
    pub const fn reads_content(self) -> bool {
        !matches!(self, Self::Administrator)
    }
}

/// Somebody who acts (*người thực hiện*): every act of an office names one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize)]
pub struct Actor {
    /// The full name, as the office knows it.
    #[n(0)]
    pub name: String,
    /// The role in which this was done.
    #[n(1)]
    pub role: Role,
}

impl Actor {
    pub(crate) fn check(&self) -> Result<(), TextError> {
        text::require_plain(&self.name, ACTOR_CHARS_MAX)
    }
}
