//! A document as it travels: what was frozen and signed by persons, and what its office adds when it sends it.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{BodyError, Reading};
use crate::blob::{self, BlobRef};
use crate::cose::infallible;
use crate::event::{Event, Kind};
use crate::id::{DocumentId, OfficeId};
use crate::text;
use crate::trust::cms::SIGNATURE_BYTES_MAX;

/// Longest abstract (*trích yếu*), in characters. Decree 30/2020 appendix VI says 500, products in use allow 2,000.
pub const ABSTRACT_CHARS_MAX: usize = 2_000;
/// Longest number and symbol (*số, ký hiệu*), in characters: 11 + 30 in appendix VI and a separator.
pub const NUMBER_CHARS_MAX: usize = 42;
/// Longest attachment name and media type, in characters.
pub const NAME_CHARS_MAX: usize = 255;
/// Largest manifest, in bytes: what an event has room for beside signatures.
pub const MANIFEST_BYTES_MAX: usize = 48 * 1024;
/// Most signatures of persons on one document.
pub const SIGNATURES_MAX: usize = 8;

/// The frozen content of a document (*nội dung văn bản đã chốt*): what persons sign, so nothing of it changes after the
/// first signature. Number and date come later and are the office's.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Manifest {
    /// The document; the same in every event that carries it.
    #[n(1)]
    pub document: DocumentId,
    /// The issuing authority (*cơ quan ban hành*): a signature made for one office is of no use to another; edXML
    /// `From`.
    #[n(2)]
    pub issuer: OfficeId,
    /// The abstract (*trích yếu*); edXML `Subject`.
    #[n(3)]
    pub subject: String,
    /// Abbreviation of one of the 29 types of Decree 30/2020 article 7 (*tên loại*); edXML `DocumentType`.
    #[n(4)]
    pub document_type: Option<String>,
    /// Attachments, in the order of the event's `blobs`; edXML `Attachment`.
    #[n(5)]
    pub attachments: Vec<Attachment>,
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
    pub blob: BlobRef,
}

/// A document as it is sent: its frozen content, the signatures of persons on it, and what the office adds.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Dispatch {
    /// What was frozen.
    #[n(1)]
    pub manifest: Manifest,
    /// Number and symbol (*số, ký hiệu*), such as `7816/VPCP-TTĐT`; edXML `Code`.
    #[n(2)]
    pub number: Option<String>,
    /// Signatures of persons (*chữ ký số của người có thẩm quyền*) on [`Manifest::encode`], in the order they were made:
    /// detached CMS, see [`crate::trust::cms`].
    #[n(3)]
    pub signatures: Vec<ByteVec>,
}

impl Manifest {
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

    /// The attachments as an event names them.
    pub fn blobs(&self) -> Vec<BlobRef> {
        self.attachments.iter().map(|attachment| attachment.blob).collect()
    }

    /// Every rule that needs nothing else: texts in NFC, without control characters, within their length; names that
    /// are no paths; attachments within their limits.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn check(&self) -> Result<(), BodyError> {
        text::require_plain(&self.subject, ABSTRACT_CHARS_MAX)?;
        if self.subject.trim().is_empty() {
            return Err(rule("an abstract is required"));
        }
        if let Some(document_type) = &self.document_type {
            text::require_plain(document_type, NUMBER_CHARS_MAX)?;
        }
        for attachment in &self.attachments {
            text::require_plain(&attachment.name, NAME_CHARS_MAX)?;
            text::require_plain(&attachment.media_type, NAME_CHARS_MAX)?;
            // A name becomes a file on the recipient's disk.
            if attachment.name.contains(['/', '\\', ':'])
                || matches!(attachment.name.as_str(), "" | "." | "..")
            {
                return Err(rule("a file name without a path"));
            }
        }
        blob::check_list(&self.blobs()).map_err(rule)
    }
}

impl Dispatch {
    /// A document without signatures of persons and without a number.
    pub const fn unsigned(manifest: Manifest) -> Self {
        Self { manifest, number: None, signatures: Vec::new() }
    }

    /// Checks it, for an office that is about to send it.
    ///
    /// # Errors
    /// Names the first rule that is broken.
    pub fn check_by(&self, sender: &OfficeId) -> Result<(), BodyError> {
        self.manifest.check()?;
        if self.manifest.issuer != *sender {
            return Err(rule("the issuing authority is the office that sends"));
        }
        if let Some(number) = &self.number {
            text::require_plain(number, NUMBER_CHARS_MAX)?;
        }
        if self.signatures.len() > SIGNATURES_MAX {
            return Err(rule("at most 8 signatures"));
        }
        if self.signatures.iter().any(|signature| !(1..=SIGNATURE_BYTES_MAX).contains(&signature.len())) {
            return Err(rule("a signature has 1 byte to 16 KiB"));
        }
        Ok(())
    }

    /// Checks it as the body of this event.
    pub(super) fn check(&self, event: &Event) -> Result<(), BodyError> {
        self.check_by(&event.office)?;
        if self.manifest.blobs() != event.blobs {
            return Err(rule("the manifest names the attachments of the event"));
        }
        Ok(())
    }
}

const fn rule(rule: &'static str) -> BodyError {
    BodyError::Rule { kind: Kind::Dispatch, rule }
}
