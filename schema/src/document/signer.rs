//! Who signs a document, and in what capacity (*người ký, chức vụ, quyền hạn*).

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Longest name or title of a signer, in characters.
pub const SIGNER_CHARS_MAX: usize = 255;

/// In what capacity somebody signs (*quyền hạn của người ký*; Decree 30/2020 article 13 and appendix I); edXML
/// `SignerInfo/Competence`.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum Capacity {
    /// The head, in his or her own right.
    #[n(0)]
    #[default]
    Own,
    /// *TM.* (thay mặt): on behalf of a body that decides together.
    #[n(1)]
    OnBehalf,
    /// *Q.* (quyền): acting head.
    #[n(2)]
    Acting,
    /// *KT.* (ký thay): a deputy for the head.
    #[n(3)]
    ForHead,
    /// *TL.* (thừa lệnh): by order of the head.
    #[n(4)]
    ByOrder,
    /// *TUQ.* (thừa ủy quyền): by delegation.
    #[n(5)]
    ByDelegation,
}

impl Capacity {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Own, Self::OnBehalf, Self::Acting, Self::ForHead, Self::ByOrder, Self::ByDelegation];

    /// What stands before the title; empty for the head.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Own => "",
            Self::OnBehalf => "TM.",
            Self::Acting => "Q.",
            Self::ForHead => "KT.",
            Self::ByOrder => "TL.",
            Self::ByDelegation => "TUQ.",
        }
    }
}

/// Who signs (*người ký*); edXML `SignerInfo`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// In what capacity (*quyền hạn*); edXML `Competence`.
    #[n(1)]
    #[serde(default)]
    pub capacity: Capacity,
    /// The title (*chức vụ*), such as `Chủ tịch`; edXML `Position`.
    #[n(2)]
    pub position: String,
    /// The full name (*họ và tên*); edXML `FullName`.
    #[n(3)]
    pub name: String,
}

impl Signer {
    /// The head of the office, who signs in his or her own right.
    pub fn head(position: impl Into<String>, name: impl Into<String>) -> Self {
        Self { capacity: Capacity::Own, position: position.into(), name: name.into() }
    }
}
