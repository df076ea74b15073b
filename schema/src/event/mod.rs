//! The event: the only thing that leaves a node, and what everything a node knows is rebuilt from.
//!
//! Bytes go through three types, and there is no other way between them:
//!
//! | type | says |
//! |---|---|
//! | [`UnverifiedEvent`] | these bytes are one event in the accepted encoding; nothing is proven |
//! | [`VerifiedEvent`] | its office's key signed exactly these bytes; made only by [`Verifier::verify`] and [`seal`] |
//! | [`Event`] | the fields, for reading; carries no proof |
//!
//! A signature is checked once, before the event is stored; presence in a store is the proof afterwards.

mod verify;

use std::fmt;
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use minicbor::data::Type;
use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Serialize};

pub use verify::{Proof, Verifier, VerifyError, VerifyMemory, check_signature};

use crate::blob::{self, BLOBS_MAX, BlobRef};
use crate::body::{Body, BodyError};
use crate::cose::{self, Frame, FrameError, infallible, sha256};
use crate::id::{Counter, EventId, Incarnation, KeyId, OfficeId, Seq};
use crate::sealing::{Commitment, Content, ContentError};
use crate::time::Millis;

/// Largest event, in bytes, signature and frame included.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;
/// Most recipients of one event; a wider broadcast is several events that share their blobs.
pub const RECIPIENTS_MAX: usize = 64;
/// Most relay checkpoints in `seen`.
pub const SEEN_MAX: usize = 8;
/// Largest seq and counter: what every store and every JSON reader holds exactly.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
/// Latest claimed time, 9998-12-31T23:59:59.999Z: what every calendar can show.
pub const CLAIMED_AT_MAX: Millis = Millis(253_370_764_799_999);
/// The version this code writes and interprets.
pub const VERSION: u8 = 1;

/// Most fields of an event of a later version.
const FIELDS_MAX: u64 = 256;

/// The label of the degree of secrecy (*độ mật*), in events of every version: 0, or nothing, is *Thường*. It stands outside
/// of the body, which relays cannot read. No accepted event has another one: [`EventError::Secret`].
const SECRECY_LABEL: u32 = 12;

const CONTENT_TYPE_PREFIX: &str = "tram/event/v";
const CONTENT_TYPE: &str = "tram/event/v1";

/// What an event is about; edXML has no counterpart. Numbers are stable for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// New in the registry: a directory, certificates, revocation lists, announcements of keys.
    RegistryChange,
    /// An office announces a key.
    KeyAnnouncement,
    /// A document is sent (*gửi văn bản*).
    Dispatch,
    /// What became of a document at its recipient; local ones record that a relay took or refused an event.
    Status,
    /// The sender asks for a document back, or recalls it.
    BusinessRequest,
    /// The recipient holds these events durably (*biên nhận*).
    Receipt,
    /// The newest event of each direction between two offices.
    Head,
    /// A change of a shared work file.
    DossierChange,
    /// A report to a supervising office.
    Report,
    /// The station was restored or rebuilt, and starts a new incarnation.
    Restored,
    /// A correspondent gives back events that the author of them has lost with its disk.
    Returned,
    /// What the signatures on documents are worth, as of now.
    Verdict,
    /// What somebody in the office did; never leaves.
    Act,
    /// Written by a newer version: kept, forwarded and shown as unsupported; never applied, never dropped.
    Unknown(u16),
}

impl Kind {
    /// Its number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::RegistryChange => 1,
            Self::KeyAnnouncement => 2,
            Self::Dispatch => 3,
            Self::Status => 4,
            Self::BusinessRequest => 5,
            Self::Receipt => 6,
            Self::Head => 7,
            Self::DossierChange => 8,
            Self::Report => 9,
            Self::Restored => 10,
            Self::Returned => 11,
            Self::Verdict => 12,
            Self::Act => 13,
            Self::Unknown(number) => number,
        }
    }

    /// The kind with this number.
    pub const fn from_number(number: u16) -> Self {
        match number {
            1 => Self::RegistryChange,
            2 => Self::KeyAnnouncement,
            3 => Self::Dispatch,
            4 => Self::Status,
            5 => Self::BusinessRequest,
            6 => Self::Receipt,
            7 => Self::Head,
            8 => Self::DossierChange,
            9 => Self::Report,
            10 => Self::Restored,
            11 => Self::Returned,
            12 => Self::Verdict,
            13 => Self::Act,
            other => Self::Unknown(other),
        }
    }

    /// Whether its body is sealed on its way to others: what documents say, and who did what with them. Receipts, heads and what
    /// the network itself must read stay in the clear.
    pub const fn is_sealed(self) -> bool {
        matches!(
            self,
            Self::Dispatch
                | Self::Status
                | Self::BusinessRequest
                | Self::Verdict
                | Self::DossierChange
                | Self::Report
        )
    }

    /// Whether a recipient gives it back to an author that has lost it: what was said to this recipient only, and nobody
    /// would say again.
    pub const fn is_given_back(self) -> bool {
        matches!(self, Self::Dispatch | Self::Status | Self::BusinessRequest)
    }

    /// Whether the recipient answers with a receipt. Receipts and heads are answered by the next receipt or head,
    /// or two idle stations would answer each other for ever.
    pub const fn wants_receipt(self) -> bool {
        !matches!(self, Self::Receipt | Self::Head)
    }
}

impl<C> Encode<C> for Kind {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.u16(self.number())?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Kind {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.u16().map(Self::from_number)
    }
}

/// How urgent a document is (*độ khẩn*); edXML `Priority`. Decree 30/2020 knows three levels above normal;
/// the exchange adds the fourth.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// *Thường*.
    #[n(0)]
    #[default]
    Normal,
    /// *Khẩn*.
    #[n(1)]
    Urgent,
    /// *Thượng khẩn*.
    #[n(2)]
    VeryUrgent,
    /// *Hỏa tốc*: overtakes whatever waits.
    #[n(3)]
    Express,
    /// *Hỏa tốc hẹn giờ*: express, due at a given hour.
    #[n(4)]
    ExpressTimed,
}

impl Urgency {
    /// All levels, most urgent first.
    pub const MOST_URGENT_FIRST: [Self; 5] =
        [Self::ExpressTimed, Self::Express, Self::VeryUrgent, Self::Urgent, Self::Normal];

    /// Its number on the wire and in edXML.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether the recipient shows it at once, although earlier events of the same sender are still missing.
    pub const fn overtakes(self) -> bool {
        matches!(self, Self::Express | Self::ExpressTimed)
    }
}

/// One recipient and the number of this event among those sent to it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
pub struct Addressee {
    /// The recipient (*nơi nhận*).
    #[n(0)]
    pub office: OfficeId,
    /// Gapless per (sender incarnation, recipient); starts at 1.
    #[n(1)]
    pub counter: Counter,
}

/// The newest checkpoint of a relay's custody log that the sender had seen (C2SP tlog-checkpoint).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize)]
pub struct SeenCheckpoint {
    /// The log's origin line.
    #[n(0)]
    pub origin: String,
    /// Its tree size.
    #[n(1)]
    pub size: u64,
    /// Its root hash.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub root: [u8; 32],
}

/// The fields of an event, as signed. Carries no proof: see [`VerifiedEvent`].
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Event {
    /// Who recorded it.
    #[n(1)]
    pub office: OfficeId,
    /// In which of its incarnations.
    #[n(2)]
    pub incarnation: Incarnation,
    /// Position in that incarnation's chain; starts at 1.
    #[n(3)]
    pub seq: Seq,
    /// The event before it in the chain; [`EventId::NONE`] for the very first.
    #[n(4)]
    pub prev: EventId,
    /// When the sender says it was recorded. Shown, never trusted for order.
    #[n(5)]
    pub claimed_at: Millis,
    /// What it is about.
    #[n(6)]
    pub kind: Kind,
    /// How urgent it is.
    #[n(7)]
    pub urgency: Urgency,
    /// Recipients; empty for an event that never leaves its office.
    #[n(8)]
    pub to: Vec<Addressee>,
    /// Relay checkpoints that bound its time from below.
    #[n(9)]
    pub seen: Vec<SeenCheckpoint>,
    /// Attachments.
    #[n(10)]
    pub blobs: Vec<BlobRef>,
    /// The body, in the encoding of its kind ([`crate::body`]); of a sealed one, the file that was encrypted.
    #[cbor(n(11), with = "minicbor::bytes")]
    pub body: Vec<u8>,
    /// What a sealed body commits to ([`crate::sealing`]); none for one in the clear.
    #[n(13)]
    pub sealed: Option<Commitment>,
    /// An office that can read the sealed body besides its author and the recipients (*lưu trữ lịch sử*): named here and in the
    /// content, so that nobody reads unseen. It is no recipient, and gets nothing by itself.
    #[n(14)]
    pub archive: Option<OfficeId>,
    /// The content of a sealed body, for whoever has opened it. No part of what is signed: it stands beside the event.
    #[cbor(skip)]
    pub content: Option<Content>,
}

impl Event {
    /// The counter this event has for `office`, if `office` is a recipient.
    pub fn counter_for(&self, office: &OfficeId) -> Option<Counter> {
        self.to.iter().find(|to| to.office == *office).map(|to| to.counter)
    }

    /// This event with a sealed body in place of the one in the clear.
    #[must_use]
    pub fn with_sealed_body(self, content: Content, body: Vec<u8>) -> Self {
        Self { body, sealed: Some(content.commitment()), content: Some(content), ..self }
    }

    /// How many offices can open its sealed body: the recipients, its author, and the archive that it names.
    pub fn readers(&self) -> usize {
        self.to.len() + 1 + usize::from(self.archive.is_some())
    }

    /// Under which key of this recipient its body was sealed, as far as it could be read here.
    pub fn sealed_under(&self, recipient: &OfficeId) -> Option<KeyId> {
        let place = self.to.iter().position(|to| to.office == *recipient)?;
        self.content.as_ref()?.sealed_under(place)
    }

    /// Whether its body is sealed, and nobody has opened it here.
    pub const fn is_unopened(&self) -> bool {
        self.sealed.is_some() && self.content.is_none()
    }

    /// The encoded body, as far as it can be read here.
    pub fn clear_body(&self) -> Option<&[u8]> {
        match (&self.sealed, &self.content) {
            (None, _) => Some(&self.body),
            (Some(_), content) => content.as_ref().map(Content::body),
        }
    }

    /// Puts the content of its sealed body beside it.
    ///
    /// # Errors
    /// When it is not the content that it commits to.
    pub fn open(&mut self, content: Vec<u8>) -> Result<(), ContentError> {
        self.content = Some(Content::of(self, content)?);
        Ok(())
    }

    fn check(&self) -> Result<(), EventError> {
        let rule = |rule| Err(EventError::Rule { rule });
        if self.sealed.is_some() && self.to.is_empty() {
            return rule("what never leaves is not sealed");
        }
        if let Some(archive) = self.archive {
            if self.sealed.is_none() || self.kind != Kind::Dispatch {
                return rule("only a sealed document names an archive");
            }
            if archive == self.office || self.counter_for(&archive).is_some() {
                return rule("the archive is neither the sender nor a recipient");
            }
        }
        if self.seq.0 == 0 {
            return rule("seq starts at 1");
        }
        if self.prev == EventId::NONE && self.seq.0 > 1 {
            return rule("only the first event of an incarnation may have no predecessor");
        }
        if self.prev != EventId::NONE && self.seq.0 == 1 && self.incarnation == Incarnation::FIRST {
            return rule("the first event of incarnation 0 has no predecessor");
        }
        if self.to.len() > RECIPIENTS_MAX {
            return rule("at most 64 recipients");
        }
        if self.to.iter().any(|to| to.counter.0 == 0) {
            return rule("counters start at 1");
        }
        let counters = self.to.iter().map(|to| to.counter.0);
        if counters.chain([self.seq.0]).any(|number| number > NUMBER_MAX) {
            return rule("seq and counters are below 2^53");
        }
        if self.claimed_at > CLAIMED_AT_MAX {
            return rule("the claimed time is before the year 9999");
        }
        if self.to.iter().any(|to| to.office == self.office) {
            return rule("an office does not send to itself");
        }
        if !self.to.is_sorted_by(|a, b| a.office < b.office) {
            return rule("recipients are sorted and distinct");
        }
        if self.seen.len() > SEEN_MAX || self.seen.iter().any(|seen| seen.origin.len() > 128) {
            return rule("at most 8 seen checkpoints with origins of at most 128 bytes");
        }
        blob::check_list(&self.blobs).or_else(rule)?;
        Ok(())
    }
}

/// Why bytes are not an event. Nothing about them is stored, except in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Larger than [`EVENT_BYTES_MAX`]; not parsed.
    #[error("the event has {found} bytes, at most {EVENT_BYTES_MAX} are accepted")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// The frame is broken.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// Not an event by its content type.
    #[error("the content type is `{found}`, expected `{CONTENT_TYPE}`")]
    ContentType {
        /// What the frame says.
        found: String,
    },
    /// The payload is not the CBOR of an event.
    #[error("the payload is not an event: {0}")]
    Payload(String),
    /// Readable, but the same fields encode to other bytes (unknown field, duplicate key, sloppy number).
    #[error("the payload is not the deterministic encoding of its fields")]
    NotDeterministic,
    /// A rule about the fields is broken.
    #[error("the event breaks a rule: {rule}")]
    Rule {
        /// The rule.
        rule: &'static str,
    },
    /// What stands beside a sealed body is not its content.
    #[error("the content beside the event is not its own")]
    Content(#[from] ContentError),
    /// It says that what it carries is a state secret (Decree 63/2026). Its bytes are kept nowhere, also not in quarantine.
    #[error(
        "the event says that its content has a degree of secrecy; this system is for unclassified documents only"
    )]
    Secret,
}

/// One event in the accepted encoding, with nothing proven about who made it.
#[derive(Clone)]
pub struct UnverifiedEvent {
    bytes: Arc<[u8]>,
    version: u8,
    key: KeyId,
    id: EventId,
    event: Event,
    signed: Vec<u8>,
    signature: [u8; 64],
}

impl UnverifiedEvent {
    /// Takes bytes from outside apart. Bounds them first; never panics.
    ///
    /// Version 1 must be the exact deterministic encoding. A later version keeps the fields 1 to 13 and may add
    /// others: those are kept as bytes and not judged.
    pub fn parse(bytes: &[u8]) -> Result<Self, EventError> {
        if bytes.len() > EVENT_BYTES_MAX {
            return Err(EventError::TooLarge { found: bytes.len() });
        }
        let frame = Frame::parse(bytes)?;
        let version = version_of(frame.content_type)?;
        check_shape(frame.payload)?;
        let event: Event =
            minicbor::decode(frame.payload).map_err(|error| EventError::Payload(error.to_string()))?;
        if version == VERSION && !cose::encodes_to(&event, frame.payload) {
            return Err(EventError::NotDeterministic);
        }
        event.check()?;
        let signed = cose::sig_structure(frame.content_type, frame.protected, frame.payload);
        Ok(Self {
            bytes: bytes.into(),
            version,
            key: frame.key,
            id: EventId::new(sha256(&signed)),
            event,
            signed,
            signature: *frame.signature,
        })
    }

    /// The bytes as received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What its id would be if the signature holds.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// What it claims. For routing a refusal and for logs; decide nothing on it.
    pub fn claims(&self) -> &Event {
        &self.event
    }

    /// Which key it says signed it.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// What its body says, as far as this version interprets it.
    pub(crate) fn body(&self) -> Result<Body, BodyError> {
        Body::read(self.version, &self.event)
    }
}

/// What a stored event says. The store accepts [`VerifiedEvent`]s only, so what it gives back was proven then;
/// reading it again checks no signature.
#[derive(Clone, Debug)]
pub struct RecordedEvent {
    /// Its id, computed anew from the bytes.
    pub id: EventId,
    /// The version it was written in.
    pub version: u8,
    /// Which key signed it.
    pub key: KeyId,
    /// Its fields.
    pub event: Event,
}

impl RecordedEvent {
    /// Reads bytes that a store holds. The deterministic check was made when they came in.
    pub fn read(bytes: &[u8]) -> Result<Self, EventError> {
        let frame = Frame::parse(bytes)?;
        let version = version_of(frame.content_type)?;
        let event =
            minicbor::decode(frame.payload).map_err(|error| EventError::Payload(error.to_string()))?;
        Ok(Self { id: EventId::new(cose::sig_hash(&frame)), version, key: frame.key, event })
    }

    /// As [`RecordedEvent::read`], with the content that the store keeps beside the bytes.
    pub fn read_with(bytes: &[u8], content: Option<&[u8]>) -> Result<Self, EventError> {
        let mut recorded = Self::read(bytes)?;
        if let Some(content) = content {
            recorded.event.open(content.to_vec())?;
        }
        Ok(recorded)
    }
}

/// What was verified just now need not be read again.
impl From<VerifiedEvent> for RecordedEvent {
    fn from(VerifiedEvent { id, version, key, event, .. }: VerifiedEvent) -> Self {
        Self { id, version, key, event }
    }
}

/// An event whose office's key signed exactly these bytes. No public way makes one without the check.
#[derive(Clone)]
pub struct VerifiedEvent {
    bytes: Arc<[u8]>,
    version: u8,
    id: EventId,
    key: KeyId,
    event: Event,
}

impl VerifiedEvent {
    /// The bytes as received or sealed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The version it was written in; later ones than [`VERSION`] are kept and forwarded, never applied.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// SHA-256 over what was signed.
    pub fn id(&self) -> EventId {
        self.id
    }

    /// Which key signed it.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Its fields.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Puts the content of its sealed body beside it.
    ///
    /// # Errors
    /// When it is not the content that it commits to.
    pub fn open(&mut self, content: Vec<u8>) -> Result<(), ContentError> {
        self.event.open(content)
    }
}

impl fmt::Debug for VerifiedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Event { office, incarnation, seq, kind, .. } = &self.event;
        write!(f, "event {} ({office}, {incarnation}, {seq}, {kind:?})", self.id)
    }
}

impl fmt::Debug for UnverifiedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unverified event {} said to be of {}", self.id, self.event.office)
    }
}

/// The id of an Ed25519 public key, as frames name it.
pub fn key_id(key: &[u8; 32]) -> KeyId {
    let digest = sha256(key);
    KeyId::try_from(&digest[..16]).expect("16 of 32 bytes")
}

/// Signs an event with its office's key. The result is verified by construction.
///
/// # Errors
/// When the fields break a rule or the event is larger than [`EVENT_BYTES_MAX`].
pub fn seal(event: Event, key: &SigningKey) -> Result<VerifiedEvent, EventError> {
    event.check()?;
    let payload = encode(&event);
    let signer = key_id(key.verifying_key().as_bytes());
    let protected = cose::protected_header(CONTENT_TYPE, signer);
    let signed = cose::sig_structure(CONTENT_TYPE, &protected, &payload);
    let bytes = cose::frame(&protected, &payload, &key.sign(&signed).to_bytes());
    if bytes.len() > EVENT_BYTES_MAX {
        return Err(EventError::TooLarge { found: bytes.len() });
    }
    let id = EventId::new(sha256(&signed));
    Ok(VerifiedEvent { bytes: bytes.into(), version: VERSION, id, key: signer, event })
}

fn encode(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256 + event.body.len());
    infallible(minicbor::encode(event, &mut bytes));
    bytes
}

fn version_of(content_type: &str) -> Result<u8, EventError> {
    content_type
        .strip_prefix(CONTENT_TYPE_PREFIX)
        .filter(|digits| !digits.starts_with(['0', '+']))
        .and_then(|digits| digits.parse::<u8>().ok())
        .ok_or_else(|| EventError::ContentType { found: content_type.chars().take(40).collect() })
}

/// Whether a payload says that it is secret, however badly it is formed otherwise.
fn says_secret(payload: &[u8]) -> bool {
    let mut d = Decoder::new(payload);
    let mut look = || -> Result<bool, minicbor::decode::Error> {
        let fields = d.map()?;
        for _ in 0..fields.unwrap_or(FIELDS_MAX).min(FIELDS_MAX) {
            if d.u32()? == SECRECY_LABEL {
                // What cannot be read as a number says no less that it is secret.
                return Ok(!matches!(d.u32(), Ok(0)));
            }
            d.skip()?;
        }
        Ok(false)
    };
    look().unwrap_or(false)
}

/// Bounds the counts that the derived decoder would allocate for, before it runs.
fn check_shape(payload: &[u8]) -> Result<(), EventError> {
    if says_secret(payload) {
        return Err(EventError::Secret);
    }
    let check = || -> Result<bool, minicbor::decode::Error> {
        let mut d = Decoder::new(payload);
        let Some(fields) = d.map()? else { return Ok(false) };
        let mut last = None;
        for _ in 0..fields.min(FIELDS_MAX) {
            let label = Some(d.u32()?);
            // Also in a later version nobody may read two values of one field.
            if label <= last {
                return Ok(false);
            }
            last = label;
            if matches!(d.datatype()?, Type::Array | Type::ArrayIndef) {
                let mut probe = Decoder::new(&payload[d.position()..]);
                let most = match label {
                    Some(8) => RECIPIENTS_MAX,
                    Some(9) => SEEN_MAX,
                    Some(10) => BLOBS_MAX,
                    _ => EVENT_BYTES_MAX,
                };
                if probe.array()?.is_none_or(|count| count > most as u64) {
                    return Ok(false);
                }
            }
            d.skip()?;
        }
        Ok(fields <= FIELDS_MAX && d.position() == payload.len())
    };
    match check() {
        Ok(true) => Ok(()),
        Ok(false) => Err(EventError::Rule {
            rule: "one map of definite length with ascending labels, within the limits of each field",
        }),
        Err(error) => Err(EventError::Payload(error.to_string())),
    }
}
