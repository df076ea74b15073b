//! What is in a PDF file: its objects, as lopdf reads them, and the signatures among them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lopdf::{Dictionary, Document, LoadOptions, Object, ObjectId};
use schema::time::Millis;

use super::{FILE_BYTES_MAX, INFLATED_BYTES_MAX, PdfError, SIGNATURES_MAX};

/// What stands at the very beginning.
const HEADER: &[u8] = b"%PDF-";
/// Longest text of the file that is repeated, in characters.
const TEXT_CHARS_MAX: usize = 64;

/// A PDF file, read.
pub struct PdfFile {
    pub(super) document: Document,
}

/// A signature's dictionary (ISO 32000-1 section 12.8.1).
#[derive(Clone, Debug, PartialEq)]
pub struct SignatureEntry {
    pub(super) id: ObjectId,
    /// `/ByteRange`; empty when there is none, or when it is no list of numbers.
    pub(super) byte_range: Vec<i64>,
    /// `/Contents`, decoded.
    pub(super) contents: Vec<u8>,
    /// `/SubFilter`: how it was made.
    pub(super) sub_filter: String,
    /// `/M`: when the signer says that it was signed.
    pub(super) claimed_at: Option<Millis>,
    /// Whether the signer allowed no change at all (DocMDP, `/P 1`).
    pub(super) forbids_changes: bool,
}

impl PdfFile {
    /// Reads a file, or the first revisions of one.
    ///
    /// # Errors
    /// When it is none, is larger than [`FILE_BYTES_MAX`], encrypted or beyond reading.
    pub fn read(bytes: &[u8]) -> Result<Self, PdfError> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(PdfError::TooLarge);
        }
        // Some readers let rubbish stand before it; then all offsets are another's.
        if !bytes.starts_with(HEADER) {
            return Err(PdfError::NotPdf);
        }
        let options = LoadOptions::with_max_decompressed_size(INFLATED_BYTES_MAX);
        // A fault of the parser is the file's fault here: nothing of ours is touched half-way.
        let loaded = catch_unwind(AssertUnwindSafe(|| Document::load_mem_with_options(bytes, options)));
        let Ok(Ok(document)) = loaded else { return Err(PdfError::Unreadable) };
        if document.encryption_state.is_some() || document.trailer.has(b"Encrypt") {
            return Err(PdfError::Encrypted);
        }
        Ok(Self { document })
    }

    /// Whether the table of its objects was damaged, so that it had to be guessed where they are. Another reader may guess
    /// otherwise.
    pub fn is_repaired(&self) -> bool {
        self.document.xref_recovery.is_some()
    }

    /// The signatures that the table of objects shows, by where the signed revision ends.
    ///
    /// # Errors
    /// When there are more than [`SIGNATURES_MAX`].
    pub fn signatures(&self) -> Result<Vec<SignatureEntry>, PdfError> {
        let mut found = Vec::new();
        for (id, object) in &self.document.objects {
            let Object::Dictionary(dictionary) = object else { continue };
            if !is_signature(dictionary) {
                continue;
            }
            if found.len() == SIGNATURES_MAX {
                return Err(PdfError::TooManySignatures);
            }
            found.push(self.entry(*id, dictionary));
        }
        found.sort_by_key(|entry| (end_of(&entry.byte_range), entry.id));
        Ok(found)
    }

    fn entry(&self, id: ObjectId, dictionary: &Dictionary) -> SignatureEntry {
        let get = |key: &[u8]| dictionary.get_deref(key, &self.document).ok();
        let numbers = get(b"ByteRange").and_then(|range| range.as_array().ok());
        let numbers = numbers.filter(|numbers| numbers.len() <= 16);
        let numbers = numbers.map(|numbers| numbers.iter().map(|number| number.as_i64().ok()).collect());
        let contents = get(b"Contents").and_then(|contents| contents.as_str().ok());
        let sub_filter = get(b"SubFilter").and_then(|name| name.as_name().ok()).unwrap_or_default();
        SignatureEntry {
            id,
            byte_range: numbers.unwrap_or(Some(Vec::new())).unwrap_or_default(),
            contents: contents.unwrap_or_default().to_vec(),
            sub_filter: shown(sub_filter),
            claimed_at: get(b"M").and_then(millis),
            forbids_changes: self.forbids_changes(dictionary),
        }
    }

    /// ISO 32000-1 section 12.8.2.2: a certifying signature says what may be changed; without a word, filling in forms may.
    fn forbids_changes(&self, dictionary: &Dictionary) -> bool {
        let array = |key: &[u8]| dictionary.get_deref(key, &self.document).ok()?.as_array().ok();
        array(b"Reference").into_iter().flatten().take(16).any(|reference| {
            let reference = self.document.dereference(reference).map(|(_, object)| object);
            let Ok(Ok(reference)) = reference.map(Object::as_dict) else { return false };
            let method = reference.get_deref(b"TransformMethod", &self.document).and_then(Object::as_name);
            let parameters =
                reference.get_deref(b"TransformParams", &self.document).and_then(Object::as_dict);
            method.is_ok_and(|method| method == b"DocMDP")
                && parameters.and_then(|of| of.get(b"P")).and_then(Object::as_i64).is_ok_and(|p| p == 1)
        })
    }
}

/// A dictionary with a byte range, whatever else it lacks: leaving something out must not hide it.
pub(super) fn is_signature(dictionary: &Dictionary) -> bool {
    dictionary.has(b"ByteRange") || dictionary.has_type(b"Sig") || dictionary.has_type(b"DocTimeStamp")
}

fn end_of(byte_range: &[i64]) -> i64 {
    match byte_range {
        [_, _, start, length] => start.saturating_add(*length),
        _ => i64::MAX,
    }
}

fn millis(date: &Object) -> Option<Millis> {
    let zoned = jiff::Zoned::try_from(date.as_datetime()?).ok()?;
    u64::try_from(zoned.timestamp().as_millisecond()).ok().map(Millis)
}

fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    text.chars().filter(|c| c.is_ascii_graphic()).take(TEXT_CHARS_MAX).collect()
}

/// How often the file speaks of byte ranges, counted on its bytes: more often than its table of objects shows signatures when one
/// was hidden or replaced.
pub fn byte_ranges_named(bytes: &[u8]) -> usize {
    const NAME: &[u8] = b"/ByteRange";
    bytes.windows(NAME.len()).filter(|window| *window == NAME).count()
}
