//! Why a recipient refuses a document.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Why a document is refused or returned (*lý do từ chối, trả lại*), from a list; Decision 28/2018 article 9, Decree 30/2020
/// article 21. The recipient answers for it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalReason {
    /// *Gửi nhầm nơi nhận*.
    #[n(0)]
    WrongAddressee,
    /// *Không đầy đủ*: parts or attachments are missing.
    #[n(1)]
    Incomplete,
    /// *Không toàn vẹn*: it was changed.
    #[n(2)]
    NotIntact,
    /// *Không xác thực*: it is not shown who made it.
    #[n(3)]
    NotAuthentic,
    /// *Không có chữ ký số hợp lệ*.
    #[n(4)]
    NoValidSignature,
    /// *Không thuộc thẩm quyền* of the sender or of the recipient.
    #[n(5)]
    OutsideAuthority,
    /// *Trùng*: a document with this number and symbol is here already.
    #[n(6)]
    Duplicate,
    /// *Tệp hỏng*: an attachment cannot be opened.
    #[n(7)]
    DamagedFile,
    /// *Lý do khác*: the words say it.
    #[n(8)]
    Other,
}

impl RefusalReason {
    /// The whole list.
    pub const ALL: [Self; 9] = [
        Self::WrongAddressee,
        Self::Incomplete,
        Self::NotIntact,
        Self::NotAuthentic,
        Self::NoValidSignature,
        Self::OutsideAuthority,
        Self::Duplicate,
        Self::DamagedFile,
        Self::Other,
    ];

    /// Whether the reason says nothing without words.
    pub const fn needs_words(self) -> bool {
        matches!(self, Self::Other)
    }
}
