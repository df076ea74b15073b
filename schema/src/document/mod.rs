//! What a document is by law: its type, who signs it, number and symbol, and the frozen content that persons sign.
//!
//! Sources: Decree 30/2020/NĐ-CP (*công tác văn thư*), Decision 28/2018/QĐ-TTg (*gửi, nhận văn bản điện tử*), and the names of
//! QCVN 102:2016 (edXML) beside each field.

mod code;
mod manifest;
mod secrecy;
mod signer;
mod types;

pub(crate) use manifest::require_code;

pub use code::{Code, CodeError, NOTATION_CHARS_MAX, NUMBER_CHARS_MAX};
pub use manifest::{
    ABSTRACT_CHARS_MAX, AmendKind, Amends, Attachment, CopyForm, MANIFEST_BYTES_MAX, Manifest,
    NAME_CHARS_MAX, PAGES_MAX, PaperReason, RECIPIENT_LINES_MAX, REFERENCES_MAX, Reference,
};
pub use secrecy::Secrecy;
pub use signer::{Capacity, SIGNER_CHARS_MAX, Signer};
pub use types::{DocumentType, UnknownType};
