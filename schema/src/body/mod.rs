//! Bodies of events, one type per kind, and the codes they use on the wire.
//!
//! Kinds whose rules are not written yet travel with an opaque body: kept, forwarded, shown as unsupported.

mod act;
mod dispatch;
mod status;
mod trust;

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

pub(crate) use act::cancelling_key;
pub use act::{
    Act, Assignment, CO_ORDINATORS_MAX, Deed, INSTRUCTION_CHARS_MAX, IssuedPaper, PaperDocument, SlipPart,
};
pub use dispatch::{Dispatch, Issue, SIGNATURES_MAX};
pub use status::{DocumentFact, ErasedContent, SentPlace, Status, Transport, TransportCode};
pub use trust::{
    CHANGED_ITEMS_MAX, CONTESTED_KEYS_MAX, CONTRADICTING_LISTS_MAX, ChangedItem, ContestedKey,
    ContradictingList, FindingCode, JUDGEMENTS_MAX, Judgement, KEYRING_BYTES_MAX, KeyAnnouncement,
    KeyPurpose, LAYERS_MAX, Layer, LegalValue, ListHash, RegistryChange, Verdicts,
};

use crate::cose::{encodes_to, infallible};
use crate::event::{EVENT_BYTES_MAX, Event, Kind, VERSION};
use crate::id::{Counter, EventId, Incarnation, Seq};
use crate::stamp::Stamp;
use crate::text;

/// Most stamps in one receipt: with the longest path they take a third of an event.
pub const RECEIPT_STAMPS_MAX: usize = 64;
/// Most entries of one receipt or status.
pub const ENTRIES_MAX: usize = 512;
/// Most places of one peer's channels that a head reports on.
pub const HELD_MAX: usize = 144;
/// Most runs that one head asks for.
pub const ASKS_MAX: usize = 8;
/// Most events that are given back in one event.
pub const RETURNED_EVENTS_MAX: usize = 64;
/// Most bytes of them together. A dispatch is kept smaller than this, so that it can be given back.
pub const RETURNED_BYTES_MAX: usize = EVENT_BYTES_MAX - 2_048;

/// Why a body is refused. The event that carries it stays stored, and is shown with this reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not the CBOR of its kind.
    #[error("the body is not a {kind:?}: {error}")]
    Malformed {
        /// What it should have been.
        kind: Kind,
        /// What the decoder said.
        error: String,
    },
    /// Encodes to other bytes than it came in.
    #[error("the body is not the deterministic encoding of a {kind:?}")]
    NotDeterministic {
        /// What it should have been.
        kind: Kind,
    },
    /// It is sealed, and could not be opened here.
    #[error("the {kind:?} is sealed, and no key here opens it, or others can read it than it names")]
    Sealed {
        /// What it is.
        kind: Kind,
    },
    /// A rule about its fields is broken.
    #[error("the {kind:?} breaks a rule: {rule}")]
    Rule {
        /// What it should have been.
        kind: Kind,
        /// The rule.
        rule: &'static str,
    },
    /// A text is not acceptable.
    #[error("a text of the body is refused: {0}")]
    Text(#[from] text::TextError),
}

/// One event of a channel: what a receipt or a local status is about.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
pub struct Place {
    /// The sender's incarnation.
    #[n(0)]
    pub incarnation: Incarnation,
    /// The number among its events to this recipient.
    #[n(1)]
    pub counter: Counter,
    /// The event at that place.
    #[n(2)]
    pub id: EventId,
}

/// What both directions between two offices look like from one end.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Heads {
    /// The newest event before this one that the author sent to the recipient, in its current incarnation.
    #[n(1)]
    pub sent: Option<Place>,
    /// For each incarnation of the recipient (newest last), up to which counter the author holds everything; for
    /// one that has ended, also a few earlier places, ever farther apart, so that the recipient finds where its own
    /// history and the author's part.
    #[n(2)]
    pub held: Vec<Place>,
    /// Events the author holds whose attachments it still lacks, the oldest first; in heads and restored events only,
    /// and not all when there are too many. Their sender offers the attachments again.
    #[n(3)]
    pub incomplete: Vec<Place>,
    /// Events the author holds beyond a gap of an incarnation that has ended: nothing else tells of them. In heads and
    /// restored events only; when there are too many, others with each head.
    #[n(5)]
    pub strays: Vec<Place>,
    /// Events the author holds and cannot read: no key of it opens them. Whatever of them was sealed under another key than the author's
    /// newest one is said again. In heads and restored events only; when there are too many, others with each head.
    #[n(6)]
    pub unopened: Vec<Place>,
    /// Events of the author's own earlier incarnations that it has lost and the recipient holds: to be given back. In
    /// heads only.
    #[n(4)]
    pub asks: Vec<Ask>,
}

impl Heads {
    fn fits(&self) -> bool {
        let places = [&self.held, &self.incomplete, &self.strays, &self.unopened];
        places.iter().all(|places| places.len() <= HELD_MAX) && self.asks.len() <= ASKS_MAX
    }
}

/// A run of events to one recipient that their author has lost.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
pub struct Ask {
    /// The author's incarnation.
    #[n(0)]
    pub incarnation: Incarnation,
    /// The first number among its events to the recipient.
    #[n(1)]
    pub from: Counter,
    /// The last one.
    #[n(2)]
    pub to: Counter,
    /// The author knows whatever the correspondent holds below this run; otherwise it asks for a single event that it
    /// has just heard of.
    #[n(3)]
    pub whole: bool,
}

/// A correspondent gives back what the author of these events has lost (*trả lại văn bản đã mất*). The author's own
/// signature on each proves them; the correspondent's word is not needed.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Returned {
    /// What was asked for.
    #[n(1)]
    pub ask: Ask,
    /// Every document of it up to this counter that is complete at the correspondent has been given back by now.
    #[n(2)]
    pub through: Counter,
    /// The events, as they were received; may be none. The attachments of all of them are those of the event that
    /// gives them back.
    #[n(3)]
    pub events: Vec<ByteVec>,
}

/// The recipient holds these events durably (*biên nhận*, status 01).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Receipt {
    /// The events, all of the one office the receipt is addressed to.
    #[n(1)]
    pub entries: Vec<Place>,
    /// Both directions at that moment.
    #[n(2)]
    pub heads: Heads,
    /// Relays' word on when the documents among them were there, which only their recipient was told: with it the sender
    /// can show what it had signed before its key was stolen. In the order of the entries, at most one for each.
    #[n(3)]
    pub stamps: Vec<EntryStamp>,
}

/// A relay's word on when a receipted event was there.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct EntryStamp {
    /// Which of the entries, from 0.
    #[n(0)]
    pub entry: u16,
    /// The relay's word.
    #[n(1)]
    pub stamp: Stamp,
}

impl Receipt {
    /// The events with a relay's word on when they were there. Nothing about them is checked.
    pub fn stamped(&self) -> impl Iterator<Item = (EventId, &Stamp)> {
        self.stamps.iter().filter_map(|EntryStamp { entry, stamp }| {
            let place = self.entries.get(usize::from(*entry))?;
            Some((place.id, stamp))
        })
    }
}

/// Why a station started a new incarnation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum RestoreReason {
    /// The restore tool was used.
    #[n(0)]
    Tool,
    /// A correspondent knew events that the station does not: its data went backwards.
    #[n(1)]
    Correspondent,
    /// Its signing key was lost and another one certified: what nobody has receipted is signed again.
    #[n(2)]
    KeyReplaced,
}

/// A station was restored or rebuilt (*đã khôi phục dữ liệu*). First event of each incarnation after the first, one
/// per correspondent.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
pub struct Restored {
    /// The incarnation that ended.
    #[n(1)]
    pub previous: Incarnation,
    /// The last position of it that the station knows.
    #[n(2)]
    pub last_seq: Seq,
    /// The last event in it to this recipient that the station knows; later ones were lost with the disk.
    #[n(3)]
    pub last_sent: Option<Place>,
    /// Why.
    #[n(4)]
    pub reason: RestoreReason,
    /// Both directions after the restore.
    #[n(5)]
    pub heads: Heads,
}

/// The body of an event, read by its kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// A document.
    Dispatch(Dispatch),
    /// What became of sent events, or of a document.
    Status(Status),
    /// A take-back or recall.
    BusinessRequest(DocumentFact),
    /// A receipt.
    Receipt(Receipt),
    /// Both directions between two offices.
    Head(Heads),
    /// A new incarnation.
    Restored(Restored),
    /// Events given back to their author.
    Returned(Returned),
    /// New items in the registry.
    RegistryChange(RegistryChange),
    /// The office's next key.
    KeyAnnouncement(KeyAnnouncement),
    /// What signatures on documents are worth.
    Verdict(Verdicts),
    /// What somebody in the office did.
    Act(Act),
    /// A kind or version this code does not interpret: kept and forwarded, never applied.
    Unsupported,
}

impl Body {
    /// Reads the body of an event of this version.
    ///
    /// # Errors
    /// When it is not the deterministic encoding of its kind, or breaks a rule.
    pub fn read(version: u8, event: &Event) -> Result<Self, BodyError> {
        let body = Self::decode(version, event, Reading::Checked)?;
        body.check(event)?;
        Ok(body)
    }

    /// Reads a body that this station made, or read before it recorded the event ([`Body::read`]): encoding and rules are
    /// not looked at again, because a replay has millions of them to read.
    pub(crate) fn read_known(version: u8, event: &Event) -> Self {
        Self::decode(version, event, Reading::Known).unwrap_or(Self::Unsupported)
    }

    fn decode(version: u8, event: &Event, reading: Reading) -> Result<Self, BodyError> {
        if version != VERSION {
            return Ok(Self::Unsupported);
        }
        let kind = event.kind;
        let bytes = event.clear_body().ok_or(BodyError::Sealed { kind })?;
        Ok(match kind {
            Kind::Dispatch => Self::Dispatch(reading.decode(kind, bytes)?),
            Kind::Status => Self::Status(reading.decode(kind, bytes)?),
            Kind::Receipt => Self::Receipt(reading.decode(kind, bytes)?),
            Kind::Head => Self::Head(reading.decode(kind, bytes)?),
            Kind::Restored => Self::Restored(reading.decode(kind, bytes)?),
            Kind::Returned => Self::Returned(reading.decode(kind, bytes)?),
            Kind::RegistryChange => Self::RegistryChange(reading.decode(kind, bytes)?),
            Kind::KeyAnnouncement => Self::KeyAnnouncement(reading.decode(kind, bytes)?),
            Kind::Verdict => Self::Verdict(reading.decode(kind, bytes)?),
            Kind::BusinessRequest => Self::BusinessRequest(reading.decode(kind, bytes)?),
            Kind::Act => Self::Act(reading.decode(kind, bytes)?),
            Kind::DossierChange | Kind::Report | Kind::Unknown(_) => Self::Unsupported,
        })
    }

    /// The bytes of this body; `None` for one that is not interpreted.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::Dispatch(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::Status(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::Receipt(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::Head(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::Restored(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::Returned(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::RegistryChange(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::KeyAnnouncement(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::Verdict(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::BusinessRequest(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::Act(body) => infallible(minicbor::encode(body, &mut bytes)),
            Self::Unsupported => return None,
        }
        Some(bytes)
    }

    /// The kind of event that carries this body; `None` for one that is not interpreted.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Dispatch(_) => Some(Kind::Dispatch),
            Self::Status(_) => Some(Kind::Status),
            Self::Receipt(_) => Some(Kind::Receipt),
            Self::Head(_) => Some(Kind::Head),
            Self::Restored(_) => Some(Kind::Restored),
            Self::Returned(_) => Some(Kind::Returned),
            Self::RegistryChange(_) => Some(Kind::RegistryChange),
            Self::KeyAnnouncement(_) => Some(Kind::KeyAnnouncement),
            Self::Verdict(_) => Some(Kind::Verdict),
            Self::BusinessRequest(_) => Some(Kind::BusinessRequest),
            Self::Act(_) => Some(Kind::Act),
            Self::Unsupported => None,
        }
    }

    fn check(&self, event: &Event) -> Result<(), BodyError> {
        let rule = |rule| Err(BodyError::Rule { kind: event.kind, rule });
        match self {
            Self::Dispatch(dispatch) => dispatch.check(event)?,
            Self::Status(status) => status.check(event)?,
            Self::BusinessRequest(asked) => asked.check_business(event)?,
            Self::Act(act) => act.check(event)?,
            Self::Receipt(receipt) => {
                if receipt.entries.len() > ENTRIES_MAX || receipt.entries.is_empty() {
                    return rule("1 to 512 entries");
                }
                let in_order = receipt.stamps.is_sorted_by(|a, b| a.entry < b.entry);
                let last = receipt.stamps.last().map_or(0, |last| usize::from(last.entry));
                if receipt.stamps.len() > RECEIPT_STAMPS_MAX || !in_order || last >= receipt.entries.len() {
                    return rule("at most 64 stamps, in the order of the entries");
                }
                if !receipt.heads.fits() || !receipt.heads.asks.is_empty() || event.to.len() != 1 {
                    return rule("one recipient, at most 128 places");
                }
            }
            Self::Head(heads) => {
                if !heads.fits() || event.to.len() != 1 {
                    return rule("one recipient, at most 128 places");
                }
            }
            Self::Restored(restored) => {
                if !restored.heads.fits() || !restored.heads.asks.is_empty() || event.to.len() > 1 {
                    return rule("at most one recipient, at most 128 places");
                }
                if restored.previous >= event.incarnation {
                    return rule("a new incarnation is higher than the one it follows");
                }
            }
            Self::Returned(returned) => {
                let bytes: usize = returned.events.iter().map(|event| event.len()).sum();
                if returned.events.len() > RETURNED_EVENTS_MAX || bytes > RETURNED_BYTES_MAX {
                    return rule("at most 64 events of 62 KiB together");
                }
                if event.to.len() != 1 {
                    return rule("one recipient");
                }
            }
            Self::RegistryChange(change) => {
                if !change.is_bounded() || !event.to.is_empty() {
                    return rule("no recipients, at most 512 items and 64 keys");
                }
            }
            Self::KeyAnnouncement(said) => said.check(event)?,
            Self::Verdict(verdicts) => {
                if !verdicts.is_bounded() || event.to.len() > 1 {
                    return rule("at most one recipient, 1 to 32 judgements within their limits");
                }
            }
            Self::Unsupported => {}
        }
        Ok(())
    }
}

/// How much of a body's encoding is still to be checked.
#[derive(Clone, Copy)]
pub(crate) enum Reading {
    /// It comes from outside: only the deterministic encoding (RFC 8949 section 4.2) is taken.
    Checked,
    /// This station encoded it, or has checked it before.
    Known,
}

impl Reading {
    pub(crate) fn decode<'b, T: Decode<'b, ()> + Encode<()>>(
        self,
        kind: Kind,
        bytes: &'b [u8],
    ) -> Result<T, BodyError> {
        let value = minicbor::decode(bytes).map_err(|error: minicbor::decode::Error| {
            BodyError::Malformed { kind, error: error.to_string() }
        })?;
        match self {
            Self::Checked if !encodes_to(&value, bytes) => Err(BodyError::NotDeterministic { kind }),
            Self::Checked | Self::Known => Ok(value),
        }
    }
}
