//! Signatures inside PDF attachments (*chữ ký số trong tệp PDF đính kèm*): a verdict of their own beside ours.
//!
//! What Trạm proves about a document is in its events. A PDF may carry signatures of its own, made by any program under
//! certificates of any authority (PAdES, ETSI EN 319 142-1; CMS). They prove nothing about delivery, and Trạm's events nothing about
//! them, so both are shown, each by itself; a document is never dropped because a signature inside it is bad.
//!
//! | module | answers |
//! |---|---|
//! | [`range`] | which bytes does a signature cover, exactly? |
//! | [`mod@file`] | what is in the file: its signatures, its objects (lopdf) |
//! | [`revision`] | what was added behind a signature: further signatures, or something that can change what is shown? |
//! | [`judge`] | valid, undetermined, changed after signing, invalid: each signature by itself, then all together |
//! | [`reason`] | why, in Vietnamese and in English |
//! | [`trust`] | whom this office believes: a folder of root certificates, apart from Trạm's own |
//! | [`child`] | all of that in a process of its own, with limits that hold whatever the file does |
//!
//! **Valid** means: the digest is that of the covered bytes, the key made the signature, the certificate leads to a root of the
//! folder and was within its period, and nothing was added that could change what is shown. Revocation is *not* looked up (a
//! station is off line for days, and the lists of other authorities do not come with the registry): a valid signature says so in a warning.
//! Time stamps (RFC 3161) are not judged either: they can only make an *undetermined* valid, never the other way round.
//!
//! **Shadow attacks** leave the cryptography intact and change what is shown by what they add. So *valid* takes one of two things:
//! the signature covers the whole file; or what follows is nothing but further signatures, as [`revision`] compares object by
//! object, and another *valid* signature covers the whole file. A warning then tells that this signer has not seen the rest.
//!
//! **Limits.** [`FILE_BYTES_MAX`] of file, [`SIGNATURES_MAX`] signatures, [`COMPARED_BYTES_MAX`] for comparing, [`INFLATED_BYTES_MAX`] for
//! each compressed stream. lopdf keeps all objects of a file in memory, and a file of many short objects takes 30 times its
//! size, which none of its options bounds. So a station reads PDF files in a [`child`] process only.

pub mod child;
pub mod file;
pub mod judge;
pub mod range;
pub mod reason;
pub mod revision;
pub mod trust;

use schema::time::Millis;
use serde::{Deserialize, Serialize};

pub use child::Checker;
pub use judge::verdicts;
pub use reason::{Reason, Remark};
pub use trust::{PdfTrust, TrustError};

/// Largest file that is looked at, in bytes. A larger one is undetermined.
pub const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most signatures of one file that are judged; a file with more is undetermined.
pub const SIGNATURES_MAX: usize = 32;
/// Most bytes of earlier revisions that are parsed to compare them with the file, all together.
pub const COMPARED_BYTES_MAX: usize = 4 * FILE_BYTES_MAX;
/// Largest that one compressed stream of objects may become, in bytes.
pub const INFLATED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most objects of a file that is compared with an earlier revision of it.
pub const OBJECTS_MAX: usize = 1_000_000;

/// What a signature came to, from good to bad: the worst reason decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PdfOutcome {
    /// *Hợp lệ.*
    Valid,
    /// *Chưa xác định*: something is missing here, or is not judged here; it may be good or bad.
    Undetermined,
    /// *Đã thay đổi sau khi ký*: what was signed is intact, but the file shows, or may show, something else.
    ChangedAfterSigning,
    /// *Không hợp lệ.*
    Invalid,
}

impl PdfOutcome {
    /// Its code for programs; stable. Also the key of its words.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Undetermined => "undetermined",
            Self::ChangedAfterSigning => "changed-after-signing",
            Self::Invalid => "invalid",
        }
    }
}

/// One signature in a file, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PdfSignature {
    /// What it came to.
    pub outcome: PdfOutcome,
    /// The common name in the signer's certificate (*người ký*); none when there is no certificate to read.
    pub signer: Option<String>,
    /// Where the signer works, as the certificate has it.
    pub unit: Option<String>,
    /// Who issued the certificate.
    pub issuer: Option<String>,
    /// Whether these names are proven: the certificate's key signed, and a trusted root stands above it. Otherwise they are what
    /// somebody wrote, and must be shown as such.
    pub identified: bool,
    /// When the signer says that it was signed, in milliseconds since 1970. It proves nothing.
    pub claimed_at: Option<Millis>,
    /// Whether it covers the file to its end.
    pub covers_whole_file: bool,
    /// Where the signed revision ends: the first so many bytes of the file are what the signer saw. 0 when that is not known.
    pub signed_bytes: u64,
    /// Why it came to that, the worst first.
    pub reasons: Vec<Remark>,
    /// What else whoever relies on it should know.
    pub warnings: Vec<Remark>,
}

/// What a file came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PdfReport {
    /// In the order in which they were made, as far as the file tells.
    pub signatures: Vec<PdfSignature>,
    /// About the file as a whole.
    pub warnings: Vec<Remark>,
}

/// Why a file is not judged. It is undetermined then, which is no word against it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum PdfError {
    /// Another kind of file.
    #[error("the file is not a PDF: it does not begin with `%PDF-`")]
    NotPdf,
    /// Too large.
    #[error("the file has more than {FILE_BYTES_MAX} bytes, which is the most that is looked at")]
    TooLarge,
    /// Nothing can be found in it.
    #[error("the structure of the PDF cannot be read")]
    Unreadable,
    /// Encrypted.
    #[error("the PDF is encrypted; its signatures cannot be judged")]
    Encrypted,
    /// More signatures than are judged.
    #[error("the PDF has more than {SIGNATURES_MAX} signatures")]
    TooManySignatures,
    /// It takes more time or memory than it is given, or breaks the reader.
    #[error("the PDF takes more time or memory than it is given; it may have been made to")]
    TooCostly,
    /// The process that reads PDF files cannot be started.
    #[error("the program that reads PDF files cannot be started, or was cut off")]
    NoReader,
}

impl PdfError {
    /// Its code for programs; stable. Also the key of its words.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotPdf => "not-pdf",
            Self::TooLarge => "too-large",
            Self::Unreadable => "unreadable",
            Self::Encrypted => "encrypted",
            Self::TooManySignatures => "too-many-signatures",
            Self::TooCostly => "too-costly",
            Self::NoReader => "no-reader",
        }
    }
}
