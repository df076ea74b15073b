//! A document between this office and one other, as a row of the records.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::{BusinessKind, Progress, Stage, Standing};
use crate::id::{BusinessId, DocumentId, OfficeId, Position};
use crate::time::Day;

/// Most entries of the journal that a row remembers for its timeline.
pub const STEPS_MAX: usize = 32;

/// On which side of a document this office is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum Side {
    /// It came in from the other office.
    #[n(0)]
    Recipient,
    /// It went out to the other office.
    #[n(1)]
    Sender,
}

/// What became of a document after it arrived. There is no row before the first fact.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct CaseRow {
    /// The other office.
    #[n(1)]
    pub with: OfficeId,
    /// The document.
    #[n(2)]
    pub document: DocumentId,
    /// On which side this office is.
    #[n(3)]
    pub side: Side,
    /// How far it is.
    #[n(4)]
    pub progress: Progress,
    /// The entries of the journal that say so, oldest first; the first and the last of them when there are more than
    /// [`STEPS_MAX`].
    #[n(5)]
    pub steps: Vec<Position>,
    /// Number and symbol of the document in its year, once it is registered here ([`crate::body::Issue::key`]).
    #[n(6)]
    pub code_key: Option<u64>,
    /// By when its leader wants it finished (*hạn giải quyết*): the last date that one named.
    #[n(7)]
    pub due: Option<Day>,
    /// What nobody has answered yet, and the entries of the journal that asked it.
    #[n(8)]
    pub asked_at: BTreeMap<BusinessId, Position>,
    /// The entry in which somebody set aside what was said about a document that is not here; none again as soon as more is
    /// said.
    #[n(9)]
    pub set_aside: Option<Position>,
    /// The document with which the recipient answered (edXML `ResponseFor`).
    #[n(10)]
    pub replied: Option<Position>,
    /// By when the document itself wants an answer (*hạn trả lời*; edXML `DueDate`).
    #[n(11)]
    pub wanted: Option<Day>,
    /// Who works on it, as its leader said last: the entry of the journal.
    #[n(12)]
    pub assigned: Option<Position>,
}

impl CaseRow {
    /// Nothing is known yet.
    pub fn new(with: OfficeId, document: DocumentId, side: Side) -> Self {
        Self {
            with,
            document,
            side,
            progress: Progress::default(),
            steps: Vec::new(),
            code_key: None,
            due: None,
            asked_at: BTreeMap::new(),
            set_aside: None,
            replied: None,
            wanted: None,
            assigned: None,
        }
    }

    /// By when something is to happen with it: here it is to be finished, or answered as long as it is not; there it is to be
    /// answered. None once it is.
    pub fn open_due(&self) -> Option<Day> {
        let (stage, standing) = (self.progress.stage(), self.progress.standing());
        let wanted = self.wanted.filter(|_| self.replied.is_none());
        match self.side {
            Side::Recipient => self.due.or(wanted),
            Side::Sender => wanted.filter(|_| {
                !matches!(stage, Stage::Refused | Stage::Finished)
                    && matches!(standing, Standing::Current | Standing::AskedBack)
            }),
        }
    }

    /// Notes when questions were asked, as long as somebody waits for an answer.
    pub(crate) fn note_questions(&mut self, position: Position) {
        let awaited: Vec<BusinessId> = self.progress.awaited(self.side).map(|(id, _)| id).collect();
        self.asked_at.retain(|id, _| awaited.contains(id));
        for id in awaited {
            self.asked_at.entry(id).or_insert(position);
        }
    }

    /// What waits longest for an answer, and the entry of the journal that asked it.
    pub fn waits_since(&self) -> Option<(BusinessKind, Position)> {
        let awaited = self.progress.awaited(self.side);
        let asked = awaited.filter_map(|(id, kind)| Some((kind, *self.asked_at.get(&id)?)));
        asked.min_by_key(|(_, position)| *position)
    }
}
