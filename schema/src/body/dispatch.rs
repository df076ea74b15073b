//! A document as it travels: what was frozen and signed by persons, and what its office adds when it sends it.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::BodyError;
use crate::blob::{BlobRef, Enclosure, Enclosures, FileRef};
use crate::cose::sha256;
use crate::document::{Code, Manifest, require_code};
use crate::event::{Event, Kind};
use crate::handling::Entry;
use crate::id::{FileHash, OfficeId};
use crate::text;
use crate::time::Day;
use crate::trust::cms::SIGNATURE_BYTES_MAX;

/// Most signatures of persons on one document.
pub const SIGNATURES_MAX: usize = 8;

/// What makes a signed document an issued one (*cấp số, ngày*; Decree 30/2020 articles 14 and 15).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Issue {
    /// Number and symbol (*số, ký hiệu*), such as `7816/VPCP-TTĐT`; edXML `Code`.
    #[n(1)]
    pub code: Code,
    /// The date that it bears (*ngày ban hành*); edXML `PromulgationInfo/PromulgationDate`.
    #[n(2)]
    pub on: Day,
    /// Its line in the sender's register of outgoing documents; none when another system keeps that. Tells a sender that has
    /// lost its disk which numbers it gave.
    #[n(3)]
    #[serde(default)]
    pub line: Option<Entry>,
}

impl Issue {
    /// Number, symbol and date from elsewhere.
    pub const fn given(code: Code, on: Day) -> Self {
        Self { code, on, line: None }
    }

    /// Tells numbers and symbols of one office and year apart, however they are typed: case, marks and spaces do not count.
    pub fn key(&self) -> u64 {
        // A replay asks for millions of them: what is plain is folded without a text in between.
        let mut folded = Vec::with_capacity(64);
        folded.extend_from_slice(&self.on.0.year().to_be_bytes());
        for part in [self.code.number(), "/", self.code.notation()] {
            let plain = |byte: u8| (!byte.is_ascii_whitespace()).then(|| byte.to_ascii_lowercase());
            if part.is_ascii() {
                folded.extend(part.bytes().filter_map(plain));
            } else {
                folded.extend(text::fold(part).bytes().filter_map(plain));
            }
        }
        let [a, b, c, d, e, f, g, h, ..] = sha256(&folded);
        // SQLite's numbers have 63 bits and a sign.
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1
    }
}

/// A document as it is sent: its frozen content, the signatures of persons on it, and what the office adds.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Dispatch {
    /// What was frozen.
    #[n(1)]
    pub manifest: Manifest,
    /// Number, symbol and date, which come after the person's signature.
    #[n(2)]
    pub issued: Option<Issue>,
    /// Signatures of persons (*chữ ký số của người có thẩm quyền*) on [`Manifest::encode`], in the order they were made:
    /// detached CMS, see [`crate::trust::cms`].
    #[n(3)]
    pub signatures: Vec<ByteVec>,
    /// The attachments as they travel, one for each that the manifest names, in its order. Said by the office, not by the persons who
    /// sign: how something travels is no part of the document.
    #[n(4)]
    pub enclosures: Vec<Enclosure>,
}

impl Dispatch {
    /// Number and symbol as people read them.
    pub fn number(&self) -> Option<String> {
        self.issued.as_ref().map(|issued| issued.code.to_string())
    }

    /// A document without signatures of persons and without a number; its attachments are not enclosed yet.
    pub const fn unsigned(manifest: Manifest) -> Self {
        Self { manifest, issued: None, signatures: Vec::new(), enclosures: Vec::new() }
    }

    /// Encloses the attachments as this station has sealed them.
    ///
    /// # Errors
    /// The first file that is not among them.
    pub fn enclose(&mut self, sealed: &Enclosures) -> Result<(), FileHash> {
        let files = self.manifest.attachments.iter().map(|attachment| attachment.file.hash);
        let found: Result<_, FileHash> = files.map(|file| sealed.get(&file).copied().ok_or(file)).collect();
        self.enclosures = found?;
        Ok(())
    }

    /// The attachments as an event names them.
    pub fn blobs(&self) -> Vec<BlobRef> {
        self.enclosures.iter().map(|enclosure| enclosure.blob).collect()
    }

    /// What each blob holds when its identity opens it.
    pub fn files(&self) -> impl Iterator<Item = (Enclosure, FileRef)> {
        let files = self.manifest.attachments.iter().map(|attachment| attachment.file);
        self.enclosures.iter().copied().zip(files)
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
        if let Some(issued) = &self.issued {
            require_code(&issued.code)?;
            if issued.line.as_ref().is_some_and(|line| !line.is_bounded()) {
                return Err(rule("a line of a register has a number from 1 to 9,999,999"));
            }
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
        if self.enclosures.len() != self.manifest.attachments.len() || self.blobs() != event.blobs {
            return Err(rule("every attachment is enclosed, and the event names what is enclosed"));
        }
        if self.manifest.urgency != event.urgency {
            return Err(rule("the event is as urgent as the document says"));
        }
        Ok(())
    }
}

const fn rule(rule: &'static str) -> BodyError {
    BodyError::Rule { kind: Kind::Dispatch, rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_a_number_does_not_depend_on_how_it_is_typed() {
        let key = |code: &str, on: &str| {
            Issue::given(code.parse().expect("a code"), on.parse().expect("a day")).key()
        };
        let first = key("15/QĐ-UBND", "2025-06-05");
        for same in ["15/qđ-ubnd", "15/QD-UBND", "15/QĐ - UBND"] {
            assert_eq!(key(same, "2025-12-31"), first, "{same}");
        }
        for (other, on) in
            [("15/QĐ-UBND", "2026-01-01"), ("16/QĐ-UBND", "2025-06-05"), ("15/BC-UBND", "2025-06-05")]
        {
            assert_ne!(key(other, on), first, "{other}");
        }
    }
}
