//! Statuses: what became of events on their way, and of documents at their recipients.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{BodyError, ENTRIES_MAX, Place};
use crate::document::ABSTRACT_CHARS_MAX;
use crate::event::{Event, Kind};
use crate::handling::{Actor, BusinessKind, Fact};
use crate::id::{Counter, DocumentId, Incarnation, OfficeId, RegionId};
use crate::text;

/// What became of something.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Of events on their way; never leaves the station.
    #[n(0)]
    Transport(#[n(0)] Transport),
    /// Of a document at its recipient, who tells its sender (*trạng thái xử lý*; Decision 28/2018 article 6).
    #[n(1)]
    Document(#[n(0)] DocumentFact),
    /// Of documents whose sender has erased the content since, and whose recipient lacks it, because it has lost what it had.
    #[n(2)]
    Erased(#[n(0)] ErasedContent),
}

/// The sender of these events keeps the attachments of their documents no more: nobody need wait for them. Proves nothing about the
/// recipient, and is answered with nothing.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct ErasedContent {
    /// The events, all to the one recipient.
    #[n(1)]
    pub entries: Vec<Place>,
}

/// A fact about a document, and who made it one. From the recipient to the sender as a status, from the sender to the
/// recipients as a business request.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct DocumentFact {
    /// The document.
    #[n(1)]
    pub document: DocumentId,
    /// What happened.
    #[n(2)]
    pub fact: Fact,
    /// Who did it; none when the station did it by itself, as the law has it.
    #[n(3)]
    pub by: Option<Actor>,
}

impl Status {
    pub(super) fn check(&self, event: &Event) -> Result<(), BodyError> {
        let rule = |rule| Err(BodyError::Rule { kind: Kind::Status, rule });
        match self {
            Self::Transport(_) if !event.to.is_empty() => rule("what became of events is told to nobody"),
            Self::Transport(transport) if transport.entries.len() > ENTRIES_MAX => {
                rule("at most 512 entries")
            }
            Self::Transport(transport) => {
                if let Some(reason) = &transport.reason {
                    text::require_plain(reason, ABSTRACT_CHARS_MAX)?;
                }
                Ok(())
            }
            Self::Document(told) if told.fact.is_of_sender() => {
                rule("a recipient does not ask for a document back")
            }
            Self::Document(_) if event.to.len() != 1 => rule("one recipient: who sent the document"),
            Self::Document(told) => told.check(Kind::Status),
            Self::Erased(_) if event.to.len() != 1 => rule("one recipient: who lacks what was erased"),
            Self::Erased(erased) if !(1..=ENTRIES_MAX).contains(&erased.entries.len()) => {
                rule("1 to 512 entries")
            }
            Self::Erased(_) => Ok(()),
        }
    }
}

impl DocumentFact {
    pub(super) fn check(&self, kind: Kind) -> Result<(), BodyError> {
        self.fact.check().map_err(|rule| BodyError::Rule { kind, rule })??;
        if let Some(by) = &self.by {
            by.check()?;
        }
        Ok(())
    }

    /// Checks it as what a sender asks of its recipients.
    pub(super) fn check_business(&self, event: &Event) -> Result<(), BodyError> {
        let rule = |rule| Err(BodyError::Rule { kind: Kind::BusinessRequest, rule });
        let asks =
            matches!(&self.fact, Fact::Asked { kind: BusinessKind::TakeBack | BusinessKind::Recall, .. });
        // An update or a replacement is a document of its own.
        if !asks || event.to.is_empty() {
            return rule("a sender asks its recipients for a document back, or recalls it");
        }
        self.check(Kind::BusinessRequest)
    }
}

/// What became of events on their way. Numbers from 100: those below are the national exchange's, for documents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransportCode {
    /// 100, local: a relay stored these events (*đã rời đơn vị*). Not proof of delivery.
    Left,
    /// 101, local: a relay refused these events, with a reason.
    RefusedByRelay,
    /// 102, local: the recipient lost these events, or holds others at their places; their documents are sent again
    /// in new events.
    SentAnew,
    /// A code this version does not interpret.
    Other(u16),
}

impl TransportCode {
    /// Its number.
    pub const fn number(self) -> u16 {
        match self {
            Self::Left => 100,
            Self::RefusedByRelay => 101,
            Self::SentAnew => 102,
            Self::Other(number) => number,
        }
    }

    /// The code with this number.
    pub const fn from_number(number: u16) -> Self {
        match number {
            100 => Self::Left,
            101 => Self::RefusedByRelay,
            102 => Self::SentAnew,
            other => Self::Other(other),
        }
    }
}

impl<C> Encode<C> for TransportCode {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u16(self.number())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for TransportCode {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.u16().map(Self::from_number)
    }
}

/// What became of events this station sent; never leaves it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Transport {
    /// What happened.
    #[n(1)]
    pub code: TransportCode,
    /// To which events.
    #[n(2)]
    pub entries: Vec<SentPlace>,
    /// At which relay; none for a courier file.
    #[n(3)]
    pub region: Option<RegionId>,
    /// The reason, for a refusal.
    #[n(4)]
    pub reason: Option<String>,
}

/// One sent event, by recipient and place in that recipient's channel.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
pub struct SentPlace {
    /// The recipient.
    #[n(0)]
    pub to: OfficeId,
    /// This station's incarnation at the time.
    #[n(1)]
    pub incarnation: Incarnation,
    /// The number among the events to that recipient.
    #[n(2)]
    pub counter: Counter,
}
