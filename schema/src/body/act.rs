//! What somebody in the office did that leaves nobody else anything to know; never leaves the station.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{BodyError, Issue};
use crate::cose::infallible;
use crate::document::{
    ABSTRACT_CHARS_MAX, DocumentType, Manifest, NAME_CHARS_MAX, RECIPIENT_LINES_MAX, require_code,
};
use crate::event::{Event, Kind};
use crate::handling::{
    ACTOR_CHARS_MAX, Actor, Direction, Entry, Erasure, LISTED_MAX, PERSON_RECIPIENTS_MAX, PersonRow,
    Recipients, Side, WORDS_CHARS_MAX,
};
use crate::id::{DocumentId, OfficeId, WorkId};
use crate::text;
use crate::time::Day;
use crate::trust::cms::SIGNATURE_BYTES_MAX;

/// Most people or units that help with one document.
pub const CO_ORDINATORS_MAX: usize = 16;
/// Longest instruction or opinion, in characters (Decree 30/2020 appendix VI: *bút tích*).
pub const INSTRUCTION_CHARS_MAX: usize = 2_000;

/// Somebody did something (*nhật ký công việc*).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Act {
    /// Who.
    #[n(1)]
    pub by: Actor,
    /// What.
    #[n(2)]
    pub deed: Deed,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Deed {
    /// A document whose signatures nobody can judge yet was accepted all the same.
    #[n(0)]
    AcceptedUndetermined {
        /// Its sender.
        #[n(0)]
        from: OfficeId,
        /// The document.
        #[n(1)]
        document: DocumentId,
        /// Why.
        #[n(2)]
        reason: String,
    },
    /// A leader said who works on a document (*bút phê, phân công*; Decree 30/2020 article 23).
    #[n(1)]
    Assigned {
        /// Its sender.
        #[n(0)]
        from: OfficeId,
        /// The document.
        #[n(1)]
        document: DocumentId,
        /// The assignment.
        #[n(2)]
        assignment: Assignment,
    },
    /// A paper document was registered: paper and electronic ones share a series.
    #[n(2)]
    PaperRegistered {
        /// Its line.
        #[n(0)]
        entry: Entry,
        /// The day it arrived.
        #[n(1)]
        on: Day,
        /// What it is.
        #[n(2)]
        paper: PaperDocument,
        /// Names the work: whoever asks again gets the same line.
        #[n(3)]
        work: WorkId,
    },
    /// A number was given to nothing: the line says why.
    #[n(3)]
    NumberCancelled {
        /// Of which registers.
        #[n(0)]
        direction: Direction,
        /// The line.
        #[n(1)]
        entry: Entry,
        /// Why.
        #[n(2)]
        reason: String,
        /// Names the work: whoever asks again gets the same line.
        #[n(3)]
        work: WorkId,
    },
    /// After a restore: the highest number of a register, as its printed pages say. 0 when none was given.
    #[n(4)]
    HighestStated {
        /// Of which registers.
        #[n(0)]
        direction: Direction,
        /// The line.
        #[n(1)]
        entry: Entry,
    },
    /// A document was drafted, or its draft changed.
    #[n(5)]
    Drafted {
        /// What it says.
        #[n(0)]
        manifest: Box<Manifest>,
        /// To whom it is to go.
        #[n(1)]
        to: Recipients,
    },
    /// A draft was approved.
    #[n(6)]
    Approved {
        /// The document.
        #[n(0)]
        document: DocumentId,
    },
    /// A person signed a document.
    #[n(7)]
    Signed {
        /// The document.
        #[n(0)]
        document: DocumentId,
        /// Detached CMS over its frozen bytes.
        #[n(1)]
        signature: ByteVec,
    },
    /// A signed document got number and date, and its line in the register.
    #[n(8)]
    Issued {
        /// The document.
        #[n(0)]
        document: DocumentId,
        /// Number, symbol and date.
        #[n(1)]
        issue: Issue,
    },
    /// A document was given up before it was sent.
    #[n(9)]
    Discarded {
        /// The document.
        #[n(0)]
        document: DocumentId,
        /// Why.
        #[n(1)]
        reason: String,
    },
    /// What was said about a document that is not here was looked at, and nothing is to be done about it.
    #[n(10)]
    SetAside {
        /// The other office.
        #[n(0)]
        with: OfficeId,
        /// The document.
        #[n(1)]
        document: DocumentId,
        /// On which side of it this office is.
        #[n(2)]
        side: Side,
        /// Why.
        #[n(3)]
        reason: String,
    },
    /// Somebody works here from now on, or may do and send something else than before.
    #[n(11)]
    PersonSet {
        /// Who, and what.
        #[n(0)]
        person: PersonRow,
    },
    /// Somebody works here no more.
    #[n(12)]
    PersonRemoved {
        /// The full name.
        #[n(0)]
        name: String,
    },
    /// Somebody gave an opinion on a document that is worked on (*cho ý kiến*); the slip for handling it shows it.
    #[n(13)]
    Opined {
        /// Its sender.
        #[n(0)]
        from: OfficeId,
        /// The document.
        #[n(1)]
        document: DocumentId,
        /// As whom.
        #[n(2)]
        part: SlipPart,
        /// The opinion.
        #[n(3)]
        opinion: String,
    },
    /// Somebody put the office's seal to a document and sent it. Stands right after the first event that sends it. A program that
    /// sends in nobody's name leaves none.
    #[n(14)]
    Sealed {
        /// The document.
        #[n(0)]
        document: DocumentId,
    },
    /// A document that this office issues on paper got number and date: paper and electronic ones share a series.
    #[n(15)]
    PaperIssued {
        /// Number, symbol and date, and its line in the register of outgoing documents.
        #[n(0)]
        issue: Issue,
        /// What it is.
        #[n(1)]
        paper: IssuedPaper,
        /// Names the work: whoever asks again gets the same number.
        #[n(2)]
        work: WorkId,
    },
    /// The attachments of a document are kept here no more; what its events say, and what proves them, stays.
    #[n(16)]
    Erased {
        /// Whose document it is: this office's own, or one that came in.
        #[n(0)]
        issuer: OfficeId,
        /// The document.
        #[n(1)]
        document: DocumentId,
        /// On what ground.
        #[n(2)]
        erasure: Erasure,
    },
    /// Somebody had the office's sealing keys go to the office that takes over its tasks. Stands right behind the event that takes them
    /// there.
    #[n(17)]
    KeysHandedOver {
        /// The successor.
        #[n(0)]
        to: OfficeId,
    },
}

/// A part of the slip for handling an incoming document (*phiếu giải quyết văn bản đến*; Decree 30/2020 appendix IV): whose
/// opinion stands in it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum SlipPart {
    /// *Ý kiến của lãnh đạo cơ quan, tổ chức*.
    #[n(1)]
    AgencyLeader,
    /// *Ý kiến của lãnh đạo đơn vị*.
    #[n(2)]
    UnitLeader,
    /// *Ý kiến đề xuất của người giải quyết*.
    #[n(3)]
    Handler,
}

/// Who works on a document, until when, and how.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct Assignment {
    /// The unit or person in charge (*chủ trì*).
    #[n(1)]
    pub lead: String,
    /// Those who help (*phối hợp*).
    #[n(2)]
    #[serde(default)]
    pub with: Vec<String>,
    /// The deadline (*thời hạn*).
    #[n(3)]
    pub due: Option<Day>,
    /// The leader's instruction (*ý kiến chỉ đạo*).
    #[n(4)]
    pub instruction: Option<String>,
}

/// A document on paper that came in, as its register needs it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct PaperDocument {
    /// Who issued it (*tác giả*).
    #[n(1)]
    pub author: String,
    /// Number and symbol, as printed.
    #[n(2)]
    pub code: String,
    /// The date that it bears.
    #[n(3)]
    pub issued_on: Day,
    /// Its type.
    #[n(4)]
    pub document_type: DocumentType,
    /// The abstract.
    #[n(5)]
    pub subject: String,
}

impl PaperDocument {
    /// What is registered, in short: the same work again, or another one under its id.
    pub(crate) fn key(&self) -> u64 {
        key_of(&("paper", self))
    }
}

/// A document that this office issues on paper, as its register needs it (Decree 30/2020 appendix IV, register of outgoing
/// documents). A person has signed it by hand.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(deny_unknown_fields)]
pub struct IssuedPaper {
    /// Its type: the symbol names it.
    #[n(1)]
    pub document_type: DocumentType,
    /// The abstract.
    #[n(2)]
    pub subject: String,
    /// Who signed it (*người ký*).
    #[n(3)]
    pub signer: String,
    /// Where it goes (*nơi nhận*), as it is printed.
    #[n(4)]
    #[serde(default)]
    pub recipient_lines: Vec<String>,
    /// How many copies are made (*số lượng bản*).
    #[n(5)]
    pub copies: u16,
    /// Who keeps the copy that stays (*đơn vị, người nhận bản lưu*).
    #[n(6)]
    #[serde(default)]
    pub kept_by: Option<String>,
    /// The drafting unit (*đơn vị soạn thảo*), for symbols that name it.
    #[n(7)]
    #[serde(default)]
    pub unit: Option<String>,
}

impl IssuedPaper {
    /// What is numbered, in short: the same work again, or another one under its id.
    pub(crate) fn key(&self) -> u64 {
        key_of(&("issued paper", self))
    }
}

/// What was said about a number that was given to nothing, in short.
pub(crate) fn cancelling_key(direction: Direction, reason: &str) -> u64 {
    key_of(&("cancelled", direction, reason))
}

fn key_of<T: Encode<()>>(said: &T) -> u64 {
    let mut bytes = Vec::new();
    infallible(minicbor::encode(said, &mut bytes));
    let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(&bytes).into();
    // SQLite's numbers have 63 bits and a sign.
    u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1
}

impl Act {
    pub(super) fn check(&self, event: &Event) -> Result<(), BodyError> {
        let rule = |rule| Err(BodyError::Rule { kind: Kind::Act, rule });
        if !event.to.is_empty() {
            return rule("what the office does by itself is told to nobody");
        }
        self.by.check()?;
        let required = |text: &str, chars_max| {
            text::require_plain(text, chars_max)?;
            match text.trim().is_empty() {
                true => rule("a text that is required says something"),
                false => Ok(()),
            }
        };
        match &self.deed {
            Deed::AcceptedUndetermined { reason, .. } => required(reason, WORDS_CHARS_MAX),
            Deed::NumberCancelled { entry, reason, .. } if entry.is_bounded() => {
                required(reason, WORDS_CHARS_MAX)
            }
            Deed::Assigned { assignment, .. } => {
                if assignment.with.len() > CO_ORDINATORS_MAX {
                    return rule("at most 16 people or units help");
                }
                for name in [&assignment.lead].into_iter().chain(&assignment.with) {
                    required(name, ACTOR_CHARS_MAX)?;
                }
                assignment.instruction.as_ref().map_or(Ok(()), |text| required(text, INSTRUCTION_CHARS_MAX))
            }
            Deed::PaperRegistered { entry, paper, .. } if entry.is_bounded() => {
                required(&paper.author, ACTOR_CHARS_MAX)?;
                text::require_plain(&paper.code, ACTOR_CHARS_MAX)?;
                required(&paper.subject, ABSTRACT_CHARS_MAX)
            }
            Deed::HighestStated { entry, .. } if entry.number == 0 || entry.is_bounded() => Ok(()),
            Deed::Drafted { manifest, to } => {
                manifest.check()?;
                match to {
                    Recipients::Listed(offices) if offices.is_empty() || offices.len() > LISTED_MAX => {
                        rule("a draft lists 1 to 1,024 recipients")
                    }
                    Recipients::Listed(_) | Recipients::All => Ok(()),
                }
            }
            Deed::Approved { .. } | Deed::Sealed { .. } | Deed::KeysHandedOver { .. } => Ok(()),
            Deed::PaperIssued { issue, paper, .. } if issue.line.as_ref().is_some_and(Entry::is_bounded) => {
                require_code(&issue.code)?;
                if paper.copies == 0 {
                    return rule("a document on paper has at least one copy");
                }
                if paper.recipient_lines.len() > RECIPIENT_LINES_MAX {
                    return rule("at most 64 lines of recipients");
                }
                for line in &paper.recipient_lines {
                    required(line, NAME_CHARS_MAX)?;
                }
                for text in paper.kept_by.iter().chain(&paper.unit) {
                    required(text, ACTOR_CHARS_MAX)?;
                }
                required(&paper.signer, ACTOR_CHARS_MAX)?;
                required(&paper.subject, ABSTRACT_CHARS_MAX)
            }
            Deed::Signed { signature, .. } if !(1..=SIGNATURE_BYTES_MAX).contains(&signature.len()) => {
                rule("a signature has 1 byte to 16 KiB")
            }
            Deed::Signed { .. } => Ok(()),
            Deed::Issued { issue, .. } => require_code(&issue.code),
            Deed::PersonSet { person } if person.roles.is_empty() => rule("a person has at least one role"),
            Deed::PersonSet { person } if person.recipients.len() > PERSON_RECIPIENTS_MAX => {
                rule("a person is limited to at most 1,024 recipients")
            }
            Deed::PersonSet { person: PersonRow { name, .. } } | Deed::PersonRemoved { name } => {
                required(name, ACTOR_CHARS_MAX)
            }
            Deed::Discarded { reason, .. } | Deed::SetAside { reason, .. } => {
                required(reason, WORDS_CHARS_MAX)
            }
            Deed::Erased { erasure, .. } => erasure.check(),
            Deed::Opined { opinion, .. } => required(opinion, INSTRUCTION_CHARS_MAX),
            Deed::NumberCancelled { .. }
            | Deed::PaperRegistered { .. }
            | Deed::PaperIssued { .. }
            | Deed::HighestStated { .. } => rule("a line of a register has a number from 1 to 9,999,999"),
        }
    }
}
