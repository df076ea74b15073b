//! The large part of a station's state: one row per event sent to or held from a correspondent.

use std::collections::BTreeMap;
use std::convert::Infallible;

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};

use super::{Change, Entry, Exchange};
use crate::body::Place;
use crate::cose::infallible;
use crate::event::{Kind, Urgency};
use crate::id::{Counter, DocumentId, Incarnation, OfficeId, Position, StateHash};

/// One event sent to one recipient.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct SentRow {
    /// The recipient.
    #[n(1)]
    pub to: OfficeId,
    /// Its place in the channel to that recipient.
    #[n(2)]
    pub place: Place,
    /// Where the journal has it.
    #[n(3)]
    pub position: Position,
    /// What it is.
    #[n(4)]
    pub kind: Kind,
    /// How urgent.
    #[n(5)]
    pub urgency: Urgency,
    /// The document it carries.
    #[n(6)]
    pub document: Option<DocumentId>,
    /// Whether it is to be sent again.
    #[n(7)]
    pub open: bool,
    /// The journal entry that recorded that a relay stored it, since it was last opened.
    #[n(8)]
    pub left: Option<Position>,
    /// The recipient's newest receipt. A row that is open again keeps it: what was proven then stays proven.
    #[n(9)]
    pub receipt: Option<Position>,
    /// A later incarnation sends it again in another event.
    #[n(10)]
    pub superseded: bool,
}

impl SentRow {
    /// The row of an event that goes to this recipient.
    pub(super) fn open(to: OfficeId, place: Place, entry: &Entry<'_>, document: Option<DocumentId>) -> Self {
        Self {
            to,
            place,
            position: entry.position,
            kind: entry.event.kind,
            urgency: entry.event.urgency,
            document,
            open: true,
            left: None,
            receipt: None,
            superseded: false,
        }
    }

    /// Whether its content is worth a new event when a correspondent has lost this one. Heads, receipts and what is
    /// given back are made anew when they are needed, and that an earlier incarnation began is history.
    pub fn is_said_again(&self) -> bool {
        self.kind.wants_receipt() && !matches!(self.kind, Kind::Restored | Kind::Returned)
    }
}

/// One event held from a correspondent.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct HeldRow {
    /// The sender.
    #[n(1)]
    pub from: OfficeId,
    /// Its place in the channel from that sender.
    #[n(2)]
    pub place: Place,
    /// Where the journal has it.
    #[n(3)]
    pub position: Position,
    /// What it is.
    #[n(4)]
    pub kind: Kind,
    /// The document it carries.
    #[n(5)]
    pub document: Option<DocumentId>,
    /// The newest receipt this station gave for it.
    #[n(6)]
    pub receipt: Option<Position>,
    /// In which of its own incarnations it gave that receipt.
    #[n(7)]
    pub receipt_incarnation: Option<Incarnation>,
    /// As the how-manieth document it was presented to the clerk; none for repeats and other kinds.
    #[n(8)]
    pub ordinal: Option<u64>,
    /// Presented in the sender's order; `false` for an express document or one that came after its incarnation ended.
    #[n(9)]
    pub in_order: bool,
}

/// Looks rows up by key. Implemented by the node's store and by [`MemoryRecords`].
pub trait Records {
    /// What a look-up can fail with.
    type Error;

    /// The row of an event sent to `to`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn sent(
        &self,
        to: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
    ) -> Result<Option<SentRow>, Self::Error>;

    /// The row of the first event sent to `to` in this incarnation after this counter. What was regained has holes.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn next_sent(
        &self,
        to: &OfficeId,
        incarnation: Incarnation,
        after: Counter,
    ) -> Result<Option<SentRow>, Self::Error>;

    /// The row of an event held from `from`.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn held(
        &self,
        from: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
    ) -> Result<Option<HeldRow>, Self::Error>;

    /// Whether this document of this office was presented to the clerk, or waits to be.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn knows_incoming(&self, from: &OfficeId, document: &DocumentId) -> Result<bool, Self::Error>;

    /// Events held from `from` that want a receipt and have none, because attachments are missing: the first `limit`
    /// by incarnation and counter.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn incomplete(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error>;

    /// In which of its author's incarnations the received event at this place of the journal was recorded; `None`
    /// when no received event is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn incarnation_at(&self, position: Position) -> Result<Option<Incarnation>, Self::Error>;

    /// Where a receipt of `from` stands that came for an event which was not known then.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn early_receipt(&self, from: &OfficeId, place: &Place) -> Result<Option<Position>, Self::Error>;

    /// Whether this station has sent this document.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn knows_outgoing(&self, document: &DocumentId) -> Result<bool, Self::Error>;
}

/// Records in maps: for audits, tests and replay from zero.
#[derive(Clone, Default, Debug)]
pub struct MemoryRecords {
    sent: BTreeMap<(OfficeId, Incarnation, Counter), SentRow>,
    held: BTreeMap<(OfficeId, Incarnation, Counter), HeldRow>,
    received: BTreeMap<Position, Incarnation>,
    incoming: BTreeMap<(OfficeId, DocumentId), Position>,
    outgoing: BTreeMap<DocumentId, Position>,
    early: BTreeMap<(OfficeId, Place), Position>,
}

impl Records for MemoryRecords {
    type Error = Infallible;

    fn sent(&self, to: &OfficeId, inc: Incarnation, counter: Counter) -> Result<Option<SentRow>, Infallible> {
        Ok(self.sent.get(&(*to, inc, counter)).cloned())
    }

    fn next_sent(
        &self,
        to: &OfficeId,
        incarnation: Incarnation,
        after: Counter,
    ) -> Result<Option<SentRow>, Infallible> {
        let run = (*to, incarnation, after.next())..=(*to, incarnation, Counter(u64::MAX));
        // A counter at the very end has none after it.
        let row = if after.next() > after { self.sent.range(run).next() } else { None };
        Ok(row.map(|(_, row)| row.clone()))
    }

    fn held(
        &self,
        from: &OfficeId,
        inc: Incarnation,
        counter: Counter,
    ) -> Result<Option<HeldRow>, Infallible> {
        Ok(self.held.get(&(*from, inc, counter)).cloned())
    }

    fn knows_incoming(&self, from: &OfficeId, document: &DocumentId) -> Result<bool, Infallible> {
        Ok(self.incoming.contains_key(&(*from, *document)))
    }

    fn incomplete(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Infallible> {
        let first = (*from, Incarnation::FIRST, Counter(0));
        let rows = self.held.range(first..).take_while(|(key, _)| key.0 == *from).map(|(_, row)| row);
        let waiting = rows.filter(|row| row.receipt.is_none() && row.kind.wants_receipt());
        Ok(waiting.map(|row| row.place).take(limit).collect())
    }

    fn incarnation_at(&self, position: Position) -> Result<Option<Incarnation>, Infallible> {
        Ok(self.received.get(&position).copied())
    }

    fn early_receipt(&self, from: &OfficeId, place: &Place) -> Result<Option<Position>, Infallible> {
        Ok(self.early.get(&(*from, *place)).copied())
    }

    fn knows_outgoing(&self, document: &DocumentId) -> Result<bool, Infallible> {
        Ok(self.outgoing.contains_key(document))
    }
}

impl MemoryRecords {
    /// Applies one change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Sent(row) => {
                if let Some(document) = row.document {
                    self.outgoing.entry(document).or_insert(row.position);
                }
                self.sent.insert((row.to, row.place.incarnation, row.place.counter), row.clone());
            }
            Change::Left { to, incarnation, counter, position, closes } => {
                self.change_sent(to, *incarnation, *counter, |row| {
                    row.left.get_or_insert(*position);
                    row.open &= !closes;
                });
            }
            Change::Receipted { to, incarnation, counter, position } => {
                self.change_sent(to, *incarnation, *counter, |row| {
                    row.receipt = Some(*position);
                    row.open = false;
                });
            }
            Change::Confirmed { to, incarnation, counter } => {
                self.change_sent(to, *incarnation, *counter, |row| row.open = false);
            }
            Change::Reopened { to, incarnation, counter } => {
                self.change_sent(to, *incarnation, *counter, |row| {
                    row.open = true;
                    row.left = None;
                });
            }
            Change::Superseded { before } => {
                for row in self.sent.values_mut().filter(|row| row.open && row.place.incarnation < *before) {
                    row.open = false;
                    row.superseded = true;
                }
            }
            Change::SentAnew { to, incarnation, counter } => {
                self.change_sent(to, *incarnation, *counter, |row| {
                    row.open = false;
                    row.superseded = true;
                });
            }
            Change::EarlyReceipt { from, place, position } => {
                self.early.insert((*from, *place), *position);
            }
            Change::Regained { document, position } => {
                self.outgoing.entry(*document).or_insert(*position);
            }
            Change::Held(row) => {
                if let Some(document) = row.document {
                    self.incoming.entry((row.from, document)).or_insert(row.position);
                }
                self.received.insert(row.position, row.place.incarnation);
                self.held.insert((row.from, row.place.incarnation, row.place.counter), row.clone());
            }
            Change::Answered { from, incarnation, counter, position, mine } => {
                if let Some(row) = self.held.get_mut(&(*from, *incarnation, *counter)) {
                    row.receipt = Some(*position);
                    row.receipt_incarnation = Some(*mine);
                }
            }
            Change::Presented { from, incarnation, counter, ordinal, in_order } => {
                if let Some(row) = self.held.get_mut(&(*from, *incarnation, *counter)) {
                    row.ordinal = Some(*ordinal);
                    row.in_order = *in_order;
                }
            }
            Change::Alarm(_) => {}
        }
    }

    fn change_sent(
        &mut self,
        to: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
        change: impl FnOnce(&mut SentRow),
    ) {
        if let Some(row) = self.sent.get_mut(&(*to, incarnation, counter)) {
            change(row);
        }
    }

    /// Sent rows, by recipient and place.
    pub fn sent_rows(&self) -> impl Iterator<Item = &SentRow> {
        self.sent.values()
    }

    /// Held rows, by sender and place.
    pub fn held_rows(&self) -> impl Iterator<Item = &HeldRow> {
        self.held.values()
    }

    /// The hash of this state (P7).
    pub fn state_hash(&self, exchange: &Exchange) -> StateHash {
        let mut digest = StateDigest::new(exchange);
        self.sent.values().for_each(|row| digest.sent(row));
        self.held.values().for_each(|row| digest.held(row));
        digest.finish()
    }
}

/// Hashes a state row by row: first the sent rows, then the held rows, each by office, incarnation and counter.
pub struct StateDigest {
    hash: Sha256,
    buffer: Vec<u8>,
}

impl StateDigest {
    /// Starts with the hot state.
    pub fn new(exchange: &Exchange) -> Self {
        let mut digest = Self { hash: Sha256::new(), buffer: Vec::new() };
        digest.add(exchange);
        digest
    }

    fn add<T: Encode<()>>(&mut self, value: &T) {
        self.buffer.clear();
        infallible(minicbor::encode(value, &mut self.buffer));
        self.hash.update(&self.buffer);
    }

    /// Adds a sent row.
    pub fn sent(&mut self, row: &SentRow) {
        self.add(row);
    }

    /// Adds a held row.
    pub fn held(&mut self, row: &HeldRow) {
        self.add(row);
    }

    /// The hash.
    pub fn finish(self) -> StateHash {
        StateHash::new(self.hash.finalize().into())
    }
}
