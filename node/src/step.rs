//! One input → one transaction → effects. Start reading here.
//!
//! [`crate::Node::step`] takes what happened since the last call, decides, records everything in one SQLite transaction
//! and returns what may leave now. It is synchronous and deterministic; threads, sockets and timers live in
//! [`crate::runtime`] and [`crate::link`]. The simulation drives the very same function.

use std::sync::Arc;

use bytes::Bytes;
use schema::blob::{BlobLimits, BlobRef, Enclosure, FileRef};
use schema::document::Code;
use schema::event::Urgency;
use schema::exchange::{Command, Refusal};
use schema::handling::Entry;
use schema::id::{DocumentId, OfficeId, RegionId};
use schema::inbound::Opened;
use schema::registry::{Item, Registry};

/// Most files that the core is asked about at a time.
pub const LEFTOVERS_MAX: usize = 256;

/// Names one publish between its effect and its outcome.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Publication(pub u64);

/// Names one delivered message between its input and its acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Delivery(pub u64);

/// Names one request of a person between its input and its answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// Over a network there are three outcomes, not two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishOutcome {
    /// The relay's server stored it. Not delivery.
    Stored,
    /// The server refused it: full, or not permitted.
    Refused(String),
    /// No answer: it may have been stored, or may be stored later.
    Unknown,
}

/// What reaches the station.
#[derive(Clone, Debug)]
pub enum Input {
    /// A person asks for something; answered by [`Effect::Answer`].
    Command {
        /// Names the request.
        ticket: Ticket,
        /// What is asked.
        command: Command,
    },
    /// A person asks what would become of a command; answered by [`Effect::Answer`], and nothing is recorded.
    Rehearse {
        /// Names the request.
        ticket: Ticket,
        /// What would be asked.
        command: Box<Command>,
    },
    /// The link to a relay is up: one request was answered.
    Connected(RegionId),
    /// The link to a relay is down.
    Disconnected(RegionId),
    /// What became of an [`Effect::Publish`].
    Published {
        /// Which one.
        publication: Publication,
        /// What became of it.
        outcome: PublishOutcome,
    },
    /// A message from the mailbox, opened by [`schema::inbound::open`].
    Delivered {
        /// Through which relay.
        relay: RegionId,
        /// Names the message; acknowledged by [`Effect::Ack`] after the commit.
        delivery: Delivery,
        /// What it held.
        opened: Opened,
    },
    /// A pack from a courier file, opened by [`schema::inbound::open`].
    Imported {
        /// Names the import; answered by [`Effect::Answer`].
        ticket: Ticket,
        /// What it held.
        opened: Opened,
    },
    /// What became of an [`Effect::FetchChunk`].
    Chunk {
        /// The attachment.
        blob: BlobRef,
        /// Which chunk.
        index: u32,
        /// What became of it.
        came: Came,
    },
    /// Chunks of an attachment have come in another way, from a courier; answered by [`Effect::Answer`] once somebody has looked
    /// whether it is complete.
    Brought {
        /// Names the request.
        ticket: Ticket,
        /// The attachment.
        blob: BlobRef,
    },
    /// A person's file was sealed and is on the disk; answered by [`Effect::Answer`].
    Enclosed {
        /// Names the request.
        ticket: Ticket,
        /// The file, and what opens it.
        opening: Opening,
    },
    /// Files among the attachments that nobody seems to need; answered by [`Effect::Answer`].
    Leftovers {
        /// Names the request.
        ticket: Ticket,
        /// Which attachments they are, at most [`LEFTOVERS_MAX`].
        blobs: Vec<BlobRef>,
    },
    /// What an [`Effect::Examine`] has found.
    Examined {
        /// The attachment.
        blob: BlobRef,
        /// What is here of it.
        found: Found,
    },
    /// Answer to [`Effect::OfferBlob`] and to the last [`Effect::StoreChunk`] of a run.
    Offered {
        /// The relay that answered.
        relay: RegionId,
        /// The attachment.
        blob: BlobRef,
        /// What it said.
        offered: Offered,
    },
    /// What a relay takes of this office's attachments.
    Takes {
        /// The relay.
        relay: RegionId,
        /// In its own words; it may be configured otherwise later.
        limits: BlobLimits,
    },
    /// What a relay keeps for this office: answer to [`Effect::AskKept`].
    Keeps {
        /// The relay.
        relay: RegionId,
        /// In order; [`schema::blob::KEPT_MAX`] of them when there may be more.
        blobs: Vec<BlobRef>,
    },
    /// A relay has done an [`Effect::Release`]. Without an answer the next connection asks again.
    Released {
        /// The relay.
        relay: RegionId,
        /// The attachments that it keeps for this office no more.
        blobs: Vec<BlobRef>,
    },
    /// The office has a new key under which others are to seal for it; answered by [`Effect::Answer`].
    SealingKeyRenewed {
        /// Names the request.
        ticket: Ticket,
    },
    /// Something newer about everybody was accepted.
    Registry {
        /// All of it.
        registry: Arc<Registry>,
        /// What is new in it.
        items: Vec<Item>,
    },
    /// Time has passed.
    Tick,
}

/// What a relay said about an attachment that it was offered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Offered {
    /// It lacks these chunks; none when it has the whole.
    Lacks(Vec<u32>),
    /// It does not take it: in its words.
    Refused(String),
    /// It did not answer.
    Unknown,
}

/// What became of a chunk that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Came {
    /// It is on the disk.
    Kept,
    /// The relay that was asked has none, or did not answer.
    Absent,
    /// The disk did not take it.
    NoRoom,
}

/// A way to open an attachment: what its document says that it holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opening {
    /// The sealed bytes, and what opens them.
    pub enclosure: Enclosure,
    /// The file inside.
    pub file: FileRef,
}

/// What is on the disk of an attachment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// These chunks are missing, in order.
    Missing(Vec<u32>),
    /// All of it, safely there. Each way to open it that was asked about, and whether the file came out.
    Whole(Vec<(Opening, bool)>),
    /// All chunks were there and the hash does not hold: they were dropped.
    Other,
    /// The disk does not let itself be read or written just now.
    Unknown,
}

/// What may leave now, after the transaction that explains it has committed. Lost in a crash? The tables ask again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Answers a person.
    Answer {
        /// Names the request.
        ticket: Ticket,
        /// The answer.
        answer: Answer,
    },
    /// Publish on the office's own subject at this relay.
    Publish {
        /// The relay.
        relay: RegionId,
        /// Names it; comes back in [`Input::Published`].
        publication: Publication,
        /// For the `Nats-Msg-Id` header: new for each attempt.
        message_id: String,
        /// The encoded [`schema::pack::Message`].
        message: Bytes,
    },
    /// Acknowledge a delivered message.
    Ack {
        /// The relay it came through.
        relay: RegionId,
        /// Names it.
        delivery: Delivery,
    },
    /// Nothing can be recorded for now, because the disk is full: hand over no deliveries before this time. They stay
    /// with the relays.
    Rest {
        /// Until when.
        until: schema::time::Millis,
    },
    /// Ask which chunks of an attachment the relay lacks ([`schema::blob::BlobRequest::Offer`]).
    OfferBlob {
        /// The relay.
        relay: RegionId,
        /// The attachment.
        blob: BlobRef,
        /// How urgent the document is: a relay that is full still takes express.
        urgency: Urgency,
    },
    /// Every recipient of what was sent with these attachments has given a receipt: the relay need not keep them
    /// ([`schema::blob::BlobRequest::Release`]).
    Release {
        /// The relay.
        relay: RegionId,
        /// At most [`schema::blob::BLOBS_MAX`] attachments.
        blobs: Vec<BlobRef>,
    },
    /// Ask what the relay keeps for this office ([`schema::blob::BlobRequest::Kept`]): not what this station believes.
    AskKept {
        /// The relay.
        relay: RegionId,
        /// What follows this one.
        after: Option<BlobRef>,
    },
    /// Upload a chunk from the disk; after the last one of the run the edge offers the attachment again.
    StoreChunk {
        /// The relay.
        relay: RegionId,
        /// The attachment.
        blob: BlobRef,
        /// Which chunk.
        index: u32,
        /// How urgent it is.
        urgency: Urgency,
    },
    /// Look at what is on the disk of an attachment; comes back in [`Input::Examined`].
    Examine {
        /// The attachment.
        blob: BlobRef,
        /// In which ways it is to be opened.
        openings: Vec<Opening>,
    },
    /// Remove these attachments from the disk: nothing here needs them any more. What is not carried out, because the station stops,
    /// is found as a leftover at the next start.
    Discard {
        /// Which.
        blobs: Vec<BlobRef>,
    },
    /// Take what the station says about another key of its own into the registry, and offer it to the relays; the newer
    /// registry comes back in [`Input::Registry`].
    Announce {
        /// The announcement.
        item: Item,
    },
    /// The station signs with its next key from now on: its file takes the place of the one before.
    KeyChanged {
        /// The public half of the next key.
        public: [u8; 32],
    },
    /// Ask for a chunk and put it on the disk; comes back in [`Input::Chunk`].
    FetchChunk {
        /// The relay.
        relay: RegionId,
        /// The attachment.
        blob: BlobRef,
        /// Which chunk.
        index: u32,
        /// Who sent the event that names it.
        sender: OfficeId,
        /// How urgent it is.
        urgency: Urgency,
    },
}

/// What a person is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Saved: it will reach everybody it is for, or be shown as overdue.
    Dispatched {
        /// The document.
        document: DocumentId,
        /// How many recipients.
        recipients: usize,
    },
    /// Somebody's work is recorded.
    Done(Done),
    /// Not done, and nothing was recorded.
    Refused(Refusal),
    /// The disk is full: nothing was recorded, reading goes on.
    DiskFull,
    /// The attachment is here.
    Kept,
    /// The attachment is not here as a whole, or has other bytes, which were dropped.
    Incomplete,
    /// What an imported pack brought.
    Imported(ImportSummary),
    /// Which of the leftovers are discarded.
    Discarded(Vec<BlobRef>),
    /// Whether the newest sealing key of the office is announced: not while no signing key counts that could say so.
    SealingKey {
        /// It is in the chain.
        announced: bool,
    },
}

/// What came of somebody's work.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// The line of a register that was used.
    pub line: Option<Entry>,
    /// Number and symbol that were given.
    pub code: Option<Code>,
    /// How many offices are told.
    pub recipients: usize,
}

/// What an imported pack brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ImportSummary {
    /// Events that are new here.
    pub new: usize,
    /// Events that were held already.
    pub repeated: usize,
    /// Events for another office: a relay takes them.
    pub not_for_us: usize,
    /// Items refused, with the reason kept in quarantine.
    pub refused: usize,
}
