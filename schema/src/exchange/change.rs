//! A journal entry, and what it changes.

use minicbor::{Decode, Encode};

use super::{HeldRow, Judged, LineUse, SentRow};
use crate::body::{Body, Place};
use crate::event::Event;
use crate::handling::{self, CaseRow, Direction, DraftedRow, ErasedRow, PersonRow};
use crate::id::{Counter, DocumentId, EventId, Incarnation, KeyId, OfficeId, Position};
use crate::registry::ItemId;
use crate::trust::Outcome;

/// What a journal entry is to the station that keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// An event of its own chain.
    Own,
    /// An event it received.
    Received,
    /// An event it received and whose body was refused then: held, shown with the reason, not applied.
    Unreadable,
    /// An event that is unreadable in an earlier entry, and could be read later: with a key that was found again, or when what it brings
    /// could be taken. From here on as if it had just come.
    Opened,
    /// A received event that contradicts one it holds: kept, never applied.
    Evidence,
    /// An event of its own that it had lost and was given back.
    Regained,
}

impl Class {
    /// What an event that has just come in will be in the journal, and what it says.
    pub fn of_arrival(version: u8, event: &Event) -> (Self, Body) {
        match Body::read(version, event) {
            Ok(body) => (Self::Received, body),
            Err(_) => (Self::Unreadable, Body::Unsupported),
        }
    }
}

/// One entry of a journal.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its place in the journal.
    pub position: Position,
    /// What it is to this station.
    pub class: Class,
    /// The event's id.
    pub id: EventId,
    /// The version it was written in.
    pub version: u8,
    /// The event.
    pub event: &'a Event,
}

/// What an entry changes in the records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// An event goes to a recipient.
    Sent(SentRow),
    /// A relay stored it; `closes` when it wants no receipt.
    Left {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
        /// The entry that says so.
        position: Position,
        /// Whether that is all that was awaited.
        closes: bool,
    },
    /// The recipient's receipt came.
    Receipted {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
        /// The entry that holds the receipt.
        position: Position,
    },
    /// The recipient's head shows that it holds an event that wants no receipt.
    Confirmed {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
    },
    /// The recipient's head shows that it does not hold what was settled before: it went backwards, or a relay lost
    /// an event that wants no receipt. Send it again.
    Reopened {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
    },
    /// A new incarnation: what is still open of earlier ones is sent again in new events.
    Superseded {
        /// The new incarnation.
        before: Incarnation,
    },
    /// The document of this event is sent again in a new one.
    SentAnew {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation at the time.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
    },
    /// A receipt for an event that this station does not know: it may have lost it, and another may stand at its
    /// place. Settles it when it is given back.
    EarlyReceipt {
        /// The recipient.
        from: OfficeId,
        /// What the receipt is for.
        place: Place,
        /// The entry that holds the receipt.
        position: Position,
    },
    /// An event that this station had lost is known again; receipts for it are early no more.
    Regained {
        /// The document it carries.
        document: Option<DocumentId>,
        /// The event that carries it.
        id: EventId,
        /// The entry that brought its event back.
        position: Position,
    },
    /// An event from a correspondent is held.
    Held(HeldRow),
    /// This station gave a receipt for a held event.
    Answered {
        /// The sender.
        from: OfficeId,
        /// The sender's incarnation.
        incarnation: Incarnation,
        /// The number among its events to this station.
        counter: Counter,
        /// The entry that holds the receipt.
        position: Position,
        /// This station's incarnation.
        mine: Incarnation,
    },
    /// The attachments that a held event lacks will not come: its sender has erased them.
    Forgone {
        /// The sender.
        from: OfficeId,
        /// The sender's incarnation.
        incarnation: Incarnation,
        /// The number among its events to this station.
        counter: Counter,
    },
    /// A document is shown to the clerk.
    Presented {
        /// The sender.
        from: OfficeId,
        /// The sender's incarnation.
        incarnation: Incarnation,
        /// The number among its events to this station.
        counter: Counter,
        /// The how-manieth document this is.
        ordinal: u64,
        /// In the sender's order.
        in_order: bool,
    },
    /// It was found out what the signatures on a held document are worth.
    Judged {
        /// The sender.
        from: OfficeId,
        /// The sender's incarnation.
        incarnation: Incarnation,
        /// The number among its events to this station.
        counter: Counter,
        /// What came out.
        judged: Judged,
    },
    /// What is known of a document after it arrived.
    Case(CaseRow),
    /// A number of a register was used.
    Line {
        /// Of which registers.
        direction: Direction,
        /// The line.
        line: handling::Entry,
        /// By what.
        used: LineUse,
    },
    /// A document on its way out.
    Drafted(Box<DraftedRow>),
    /// Somebody of this office.
    Person(PersonRow),
    /// The content of a document is erased.
    Erased(ErasedRow),
    /// Someone must look at this.
    Alarm(Alarm),
}

/// Something that is never silent (P8).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Alarm {
    /// Two different events of one office at one place. Both are kept.
    #[n(0)]
    Fork {
        /// The office that signed both.
        #[n(0)]
        office: OfficeId,
        /// Its incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// The number among its events to this station.
        #[n(2)]
        counter: Counter,
        /// The event that is held.
        #[n(3)]
        held: EventId,
        /// The other one.
        #[n(4)]
        other: EventId,
    },
    /// An office was restored (*đã khôi phục dữ liệu*): order is promised within its incarnations, not across.
    #[n(1)]
    OfficeRestored {
        /// The office.
        #[n(0)]
        office: OfficeId,
        /// Its new incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// How many of its events this station holds that the office itself has lost.
        #[n(2)]
        lost_there: u64,
    },
    /// This station went backwards and started a new incarnation.
    #[n(2)]
    Restored {
        /// Its new incarnation.
        #[n(0)]
        incarnation: Incarnation,
    },
    /// A correspondent holds events of an earlier incarnation that this station has lost.
    #[n(3)]
    LostHere {
        /// The correspondent.
        #[n(0)]
        office: OfficeId,
        /// The earlier incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// It holds everything up to this counter.
        #[n(2)]
        counter: Counter,
    },
    /// A correspondent gave back events that this station had lost.
    #[n(6)]
    GivenBack {
        /// The correspondent.
        #[n(0)]
        office: OfficeId,
        /// The incarnation they are of.
        #[n(1)]
        incarnation: Incarnation,
        /// How many.
        #[n(2)]
        events: u64,
    },
    /// A relay refused an event.
    #[n(4)]
    RefusedByRelay {
        /// The recipient.
        #[n(0)]
        to: OfficeId,
        /// This station's incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        #[n(2)]
        counter: Counter,
        /// The relay's words; unsigned.
        #[n(3)]
        reason: String,
    },
    /// An event is held whose body cannot be read.
    #[n(5)]
    BodyRefused {
        /// The sender.
        #[n(0)]
        from: OfficeId,
        /// The event.
        #[n(1)]
        id: EventId,
        /// Why.
        #[n(2)]
        reason: String,
    },
    /// A key is certified for an office, but neither did the key before it announce it nor is that one revoked.
    #[n(7)]
    ContestedKey {
        /// Whose.
        #[n(0)]
        office: OfficeId,
        /// Which key.
        #[n(1)]
        key: KeyId,
    },
    /// A number of a register was given twice, by two lives of this station.
    #[n(11)]
    NumberTwice {
        /// Of which registers.
        #[n(0)]
        direction: Direction,
        /// The line.
        #[n(1)]
        line: handling::Entry,
        /// The journal entry that used it first, as this station has them.
        #[n(2)]
        first: Position,
        /// The one that used it again.
        #[n(3)]
        again: Position,
    },
    /// A document of this office was sent under another number than this station knows, or although it was given up here:
    /// a lost life of the station did so.
    #[n(13)]
    TwoNumbers {
        /// The document.
        #[n(0)]
        document: DocumentId,
        /// The journal entry that sent it.
        #[n(1)]
        position: Position,
    },
    /// There is no room for what was said about a document: it was asked for too often, or registered by too many lives.
    #[n(12)]
    TooMuchSaid {
        /// The other office.
        #[n(0)]
        office: OfficeId,
        /// The document.
        #[n(1)]
        document: DocumentId,
    },
    /// An authority has issued a list that contradicts what it had issued before.
    #[n(10)]
    ContradictingList {
        /// Which authority.
        #[n(0)]
        authority: String,
        /// The list.
        #[n(1)]
        list: ItemId,
    },
    /// The signatures on a document that came in are worth less than they were thought to be.
    #[n(8)]
    JudgedWorse {
        /// The sender.
        #[n(0)]
        from: OfficeId,
        /// The sender's incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// The number among its events to this station.
        #[n(2)]
        counter: Counter,
        /// What was found before.
        #[n(3)]
        before: Outcome,
        /// What is found now.
        #[n(4)]
        outcome: Outcome,
    },
    /// A recipient has found that the signatures on a document of this office are worth less than it had thought.
    #[n(9)]
    JudgedElsewhere {
        /// The recipient.
        #[n(0)]
        by: OfficeId,
        /// This station's incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        #[n(2)]
        counter: Counter,
        /// What it found.
        #[n(3)]
        outcome: Outcome,
    },
}
