//! The frozen content of a document.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Code, CodeError, DocumentType, SIGNER_CHARS_MAX, Signer};
use crate::blob::{self, FileRef};
use crate::body::{BodyError, Reading};
use crate::cose::infallible;
use crate::event::{Kind, Urgency};
use crate::handling::{BusinessKind, WORDS_CHARS_MAX};
use crate::id::{DocumentId, OfficeId};
use crate::text;
use crate::time::Day;

/// Longest abstract (*trích yếu*), in characters. Decree 30/2020 appendix VI says 500, products in use allow 2,000.
pub const ABSTRACT_CHARS_MAX: usize = 2_000;
/// Longest attachment name, media type or place, in characters.
pub const NAME_CHARS_MAX: usize = 255;
/// Largest manifest, in bytes: what an event has room for beside signatures.
pub const MANIFEST_BYTES_MAX: usize = 48 * 1024;
/// Most pages (appendix VI: four digits).
pub const PAGES_MAX: u16 = 9_999;
/// Most lines under *Nơi nhận*.
pub const RECIPIENT_LINES_MAX: usize = 64;
/// Most documents that one answers or refers to.
pub const REFERENCES_MAX: usize = 32;

/// The frozen content of a document (*nội dung văn bản đã chốt*): what persons sign, so nothing of it changes after the
/// first signature. Number and date come later and are the office's.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Manifest {
    /// The document; the same in every event that carries it; edXML `DocumentId`.
    #[n(1)]
    pub document: DocumentId,
    /// The issuing authority (*cơ quan ban hành*): a signature made for one office is of no use to another; edXML
    /// `From`.
    #[n(2)]
    pub issuer: OfficeId,
    /// The abstract (*trích yếu*); edXML `Subject`.
    #[n(3)]
    pub subject: String,
    /// What it is (*tên loại*); edXML `DocumentType`.
    #[n(4)]
    pub document_type: DocumentType,
    /// Attachments (*tệp đính kèm*), in the order in which the event names them sealed, the main one first; edXML `Attachment`.
    #[n(5)]
    pub attachments: Vec<Attachment>,
    /// Who signs it (*người ký*); edXML `SignerInfo`.
    #[n(6)]
    pub signer: Signer,
    /// How urgent it is (*độ khẩn*); edXML `OtherInfo/Priority`.
    #[n(7)]
    pub urgency: Urgency,
    /// How many pages it has (*số trang*), 1 to [`PAGES_MAX`]; edXML `OtherInfo/PageAmount`.
    #[n(8)]
    pub pages: u16,
    /// Where it is issued (*địa danh*); edXML `PromulgationInfo/Place`.
    #[n(9)]
    pub place: Option<String>,
    /// The lines under *Nơi nhận*, as they are printed; edXML `ToPlaces`. To whom it is sent is in the event.
    #[n(10)]
    pub recipient_lines: Vec<String>,
    /// By when an answer is wanted (*hạn trả lời*); edXML `DueDate`.
    #[n(11)]
    pub due: Option<Day>,
    /// The documents that it answers (*phúc đáp văn bản*); edXML `ResponseFor`.
    #[n(12)]
    pub responds_to: Vec<Reference>,
    /// Why paper follows (*gửi kèm bản giấy*): by Decision 28/2018 article 5 it does not, unless there is a reason; edXML
    /// `Bussiness/Paper`.
    #[n(13)]
    pub paper: Option<PaperReason>,
    /// A copy that the office certifies by itself, which needs no person's signature (*bản sao*; Decree 30/2020 article 25).
    #[n(14)]
    pub copy: Option<CopyForm>,
    /// The earlier document that it updates or replaces (*cập nhật, thay thế*); edXML `BussinessDocType` 2 and 3.
    #[n(15)]
    pub amends: Option<Amends>,
}

/// What a certified copy is (*hình thức sao*; Decree 30/2020 article 25 and appendix III).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
pub enum CopyForm {
    /// *Sao y*: of the whole original.
    #[n(1)]
    #[serde(rename = "SY")]
    Full,
    /// *Sao lục*: of a copy.
    #[n(2)]
    #[serde(rename = "SL")]
    OfCopy,
    /// *Trích sao*: of a part.
    #[n(3)]
    #[serde(rename = "TrS")]
    Extract,
}

impl CopyForm {
    /// Its abbreviation in a symbol.
    pub const fn abbreviation(self) -> &'static str {
        match self {
            Self::Full => "SY",
            Self::OfCopy => "SL",
            Self::Extract => "TrS",
        }
    }
}

/// The earlier document of the same office that a document updates or replaces.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct Amends {
    /// The earlier one; edXML `ReplacementInfo/DocumentId`.
    #[n(1)]
    pub document: DocumentId,
    /// What becomes of it.
    #[n(2)]
    pub how: AmendKind,
    /// Why; edXML `BussinessDocReason`.
    #[n(3)]
    pub reason: String,
}

impl Amends {
    /// What its recipients are asked by it.
    pub const fn business_kind(&self) -> BusinessKind {
        match self.how {
            AmendKind::Update => BusinessKind::Update,
            AmendKind::Replace => BusinessKind::Replace,
        }
    }
}

/// What becomes of the earlier document.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum AmendKind {
    /// *Cập nhật* (2): its recipients agree (15) or decline (16).
    #[n(2)]
    Update,
    /// *Thay thế* (3): it counts no more.
    #[n(3)]
    Replace,
}

/// An attachment as the manifest names it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
pub struct Attachment {
    /// File name; edXML `AttachmentName`.
    #[n(0)]
    pub name: String,
    /// Media type (RFC 6838); edXML `ContentType`.
    #[n(1)]
    pub media_type: String,
    /// Hash and length of its bytes.
    #[n(2)]
    #[serde(flatten)]
    pub file: FileRef,
}

/// Another document, as this one names it; edXML `ResponseFor`.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// Who issued it; edXML `OrganId`.
    #[n(1)]
    pub issuer: OfficeId,
    /// Its number and symbol; edXML `Code`.
    #[n(2)]
    pub number: Code,
    /// Its date; edXML `PromulgationDate`.
    #[n(3)]
    pub issued_on: Day,
    /// Its id, when it came through this system; edXML `DocumentId`.
    #[n(4)]
    pub document: Option<DocumentId>,
}

/// Why paper follows a document that was sent electronically (Decision 28/2018 article 5).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum PaperReason {
    /// A recipient has no system yet (*bên nhận chưa đáp ứng hạ tầng*).
    #[n(1)]
    RecipientHasNoSystem,
    /// It goes to the Government or the Prime Minister (*gửi Chính phủ, Thủ tướng Chính phủ*).
    #[n(2)]
    ToTheGovernment,
    /// It is on the list that the head of the ministry or province has decided (*thuộc danh mục do người đứng đầu quyết định*).
    #[n(3)]
    OnTheList,
}

impl Manifest {
    /// A document with one page, for the fields that every one has; the others are set afterwards.
    pub fn new(
        document: DocumentId,
        issuer: OfficeId,
        document_type: DocumentType,
        subject: impl Into<String>,
        signer: Signer,
    ) -> Self {
        Self {
            document,
            issuer,
            subject: subject.into(),
            document_type,
            attachments: Vec::new(),
            signer,
            urgency: Urgency::Normal,
            pages: 1,
            place: None,
            recipient_lines: Vec::new(),
            due: None,
            responds_to: Vec::new(),
            paper: None,
            copy: None,
            amends: None,
        }
    }

    /// The frozen bytes: deterministic CBOR. These are what persons sign.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        infallible(minicbor::encode(self, &mut bytes));
        bytes
    }

    /// Reads frozen bytes.
    ///
    /// # Errors
    /// When they are too many, not the deterministic encoding of a manifest, or break a rule.
    pub fn decode(bytes: &[u8]) -> Result<Self, BodyError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(rule("a manifest has at most 48 KiB"));
        }
        let manifest: Self = Reading::Checked.decode(Kind::Dispatch, bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Every rule that needs nothing else: texts in NFC, without control characters, within their length; names that
    /// are no paths; numbers and lists within their limits.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn check(&self) -> Result<(), BodyError> {
        text::require_plain(&self.subject, ABSTRACT_CHARS_MAX)?;
        if self.subject.trim().is_empty() {
            return Err(rule("an abstract is required"));
        }
        for text in [&self.signer.position, &self.signer.name] {
            text::require_plain(text, SIGNER_CHARS_MAX)?;
            if text.trim().is_empty() {
                return Err(rule("a document names its signer and the signer's title"));
            }
        }
        if !(1..=PAGES_MAX).contains(&self.pages) {
            return Err(rule("a document has 1 to 9,999 pages"));
        }
        if self.recipient_lines.len() > RECIPIENT_LINES_MAX || self.responds_to.len() > REFERENCES_MAX {
            return Err(rule("at most 64 lines of recipients and 32 references"));
        }
        for line in self.place.iter().chain(&self.recipient_lines) {
            text::require_plain(line, NAME_CHARS_MAX)?;
            if line.trim().is_empty() {
                return Err(rule("a place or a line of recipients says something"));
            }
        }
        if let Some(amends) = &self.amends {
            text::require_plain(&amends.reason, WORDS_CHARS_MAX)?;
            if amends.reason.trim().is_empty() || amends.document == self.document {
                return Err(rule("an update or replacement is of another document, and says why"));
            }
        }
        for reference in &self.responds_to {
            require_code(&reference.number)?;
        }
        for attachment in &self.attachments {
            text::require_plain(&attachment.name, NAME_CHARS_MAX)?;
            text::require_plain(&attachment.media_type, NAME_CHARS_MAX)?;
            if !text::is_file_name(&attachment.name) {
                return Err(rule("a file name that every system takes, without a path"));
            }
        }
        blob::check_files(self.attachments.iter().map(|attachment| &attachment.file)).map_err(rule)
    }
}

/// Number and symbol as they must be.
pub(crate) fn require_code(code: &Code) -> Result<(), BodyError> {
    code.check().map_err(|error| match error {
        CodeError::Text(error) => error.into(),
        CodeError::Form { .. } => rule("a number, a slash and a symbol"),
    })
}

const fn rule(rule: &'static str) -> BodyError {
    BodyError::Rule { kind: Kind::Dispatch, rule }
}
