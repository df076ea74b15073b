//! The large part of a station's state: one row per event sent to or held from a correspondent.

mod digest;
mod memory;

pub use digest::StateDigest;
pub use memory::MemoryRecords;

use minicbor::{Decode, Encode};

use super::{Class, Entry};
use crate::body::{Body, Issue, Place};
use crate::event::{Kind, Urgency};
use crate::handling::{self, CaseRow, Direction, DraftedRow, ErasedRow, PersonRow, Side};
use crate::id::{Counter, DocumentId, Incarnation, OfficeId, Position, WorkId};
use crate::trust::Outcome;

/// What an event carries.
#[derive(Clone, Copy, Default)]
pub(super) struct Carried {
    pub(super) document: Option<DocumentId>,
    pub(super) code_key: Option<u64>,
}

impl Carried {
    pub(super) fn by(body: &Body) -> Self {
        let Body::Dispatch(dispatch) = body else { return Self::default() };
        Self {
            document: Some(dispatch.manifest.document),
            code_key: dispatch.issued.as_ref().map(Issue::key),
        }
    }
}

/// What used a number of a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct LineUse {
    /// The entry of the journal that says so first.
    #[n(0)]
    pub position: Position,
    /// The document, by its sender; none for one on paper, or when the number was cancelled.
    #[n(1)]
    pub of: Option<(OfficeId, DocumentId)>,
    /// For one on paper, or a cancelled number: the work that used it, and what that said, in short.
    #[n(2)]
    pub work: Option<(WorkId, u64)>,
}

impl LineUse {
    /// A document of this office has the number.
    pub(super) const fn by_document(position: Position, from: OfficeId, document: DocumentId) -> Self {
        Self { position, of: Some((from, document)), work: None }
    }

    /// Work about no document of the exchange has used it.
    pub(super) const fn by_work(position: Position, work: WorkId, said: u64) -> Self {
        Self { position, of: None, work: Some((work, said)) }
    }
}

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
    /// It was lost and given back: what stands before it in the channel may still be lost.
    #[n(11)]
    pub regained: bool,
    /// Number and symbol of its document in its year ([`crate::body::Issue::key`]).
    #[n(12)]
    pub code_key: Option<u64>,
}

impl SentRow {
    /// The row of an event that goes to this recipient.
    pub(super) fn open(to: OfficeId, place: Place, entry: &Entry<'_>, carried: Carried) -> Self {
        Self {
            to,
            place,
            position: entry.position,
            kind: entry.event.kind,
            urgency: entry.event.urgency,
            document: carried.document,
            open: true,
            left: None,
            receipt: None,
            superseded: false,
            regained: entry.class == Class::Regained,
            code_key: carried.code_key,
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
    /// What its signatures are worth; none for what is no document.
    #[n(10)]
    pub judged: Option<Judged>,
    /// Number and symbol of its document in its year ([`crate::body::Issue::key`]).
    #[n(11)]
    pub code_key: Option<u64>,
    /// Its sender has erased the attachments that are missing here: it gets no receipt, and nothing waits behind it.
    #[n(12)]
    pub forgone: bool,
    /// Nobody here could read it so far, and without a receipt its sender knows that.
    #[n(13)]
    pub unreadable: bool,
}

impl HeldRow {
    /// Whether what stands behind it in its channel has to wait for it.
    pub(super) fn is_settled(&self) -> bool {
        self.receipt.is_some() || !self.kind.wants_receipt() || self.forgone || self.unreadable
    }
}

/// What the signatures on a document are worth, as of the newest judgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Judged {
    /// The entry that says so.
    #[n(0)]
    pub position: Position,
    /// The worst of them.
    #[n(1)]
    pub outcome: Outcome,
    /// A fresher list, a certificate or a proof may still change it.
    #[n(2)]
    pub open: bool,
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

    /// Events held from `from` that could not be read and have no receipt: the first `limit` by incarnation and counter.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn unopened(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error>;

    /// In which of its author's incarnations the received event at this place of the journal was recorded; `None`
    /// when no received event is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn incarnation_at(&self, position: Position) -> Result<Option<Incarnation>, Self::Error>;

    /// What `from` gave receipts for at this place when nothing was known there, and where those stand.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn early_receipts(
        &self,
        from: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
    ) -> Result<Vec<(Place, Position)>, Self::Error>;

    /// What `from` gave receipts for and this station does not know: the first `limit` by incarnation and counter.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn unmatched_receipts(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error>;

    /// Places of events of `from` where more than one is known to stand: the newest `limit`, with what is held there.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn contested(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error>;

    /// Whether this station has sent this document.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn knows_outgoing(&self, document: &DocumentId) -> Result<bool, Self::Error>;

    /// The row of the event that first brought this document of this office.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn incoming(&self, from: &OfficeId, document: &DocumentId) -> Result<Option<HeldRow>, Self::Error>;

    /// To whom this document was sent, sorted.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn recipients(&self, document: &DocumentId) -> Result<Vec<OfficeId>, Self::Error>;

    /// What is known of a document after it arrived.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn case(
        &self,
        with: &OfficeId,
        document: &DocumentId,
        side: Side,
    ) -> Result<Option<CaseRow>, Self::Error>;

    /// What used this number of a register.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn line(&self, direction: Direction, line: &handling::Entry) -> Result<Option<LineUse>, Self::Error>;

    /// The line that this piece of work has used, and what stands there.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn line_of_work(
        &self,
        work: &WorkId,
    ) -> Result<Option<(Direction, handling::Entry, LineUse)>, Self::Error>;

    /// A document on its way out.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn drafted(&self, document: &DocumentId) -> Result<Option<DraftedRow>, Self::Error>;

    /// Somebody of this office by the full name; also who was removed.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn person(&self, name: &str) -> Result<Option<PersonRow>, Self::Error>;

    /// Everybody of this office by name; also who was removed.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn people(&self) -> Result<Vec<PersonRow>, Self::Error>;

    /// That the content of a document is erased here.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn erased(&self, issuer: &OfficeId, document: &DocumentId) -> Result<Option<ErasedRow>, Self::Error>;

    /// Whether an event with this document is still to be sent, or sent again, to somebody.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn is_on_its_way(&self, document: &DocumentId) -> Result<bool, Self::Error>;

    /// Documents of `from` with this number and symbol that were registered here: the first [`SAME_CODE_MAX`].
    ///
    /// # Errors
    /// When the store cannot be read.
    fn registered_with_code(&self, from: &OfficeId, code_key: u64) -> Result<Vec<DocumentId>, Self::Error>;

    /// Documents that went to `to` with this number and symbol: the first [`SAME_CODE_MAX`].
    ///
    /// # Errors
    /// When the store cannot be read.
    fn went_with_code(&self, to: &OfficeId, code_key: u64) -> Result<Vec<DocumentId>, Self::Error>;
}

/// Most documents with one number that are looked at.
pub const SAME_CODE_MAX: usize = 16;
