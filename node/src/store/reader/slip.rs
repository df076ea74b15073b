//! What is printed beside an incoming document that is registered: the stamp *ĐẾN* and the slip for handling it (*phiếu giải
//! quyết văn bản đến*; Decree 30/2020 appendix IV). All of it is said by events.

use schema::body::{Act, Assignment, Body, Deed, DocumentFact, SlipPart, Status};
use schema::event::{RecordedEvent, Urgency};
use schema::handling::{Actor, BookId, CaseRow, Direction, Fact, Role, STEPS_MAX, Side, Stage};
use schema::id::{DocumentId, EventId, OfficeId};
use schema::time::{Day, Millis};
use serde::Serialize;

use super::{Reader, RegisterRow};
use crate::store::StoreError;

/// What somebody did or said about a document while it was handled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SlipNote {
    /// When this station recorded it.
    pub at: Millis,
    /// The same day, as it is written on the slip.
    pub on: Day,
    /// Who.
    pub by: Option<Actor>,
    /// What.
    #[serde(flatten)]
    pub said: Said,
    /// The event that says so.
    pub event: EventId,
}

/// What was done or said.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "said")]
pub enum Said {
    /// It was handed to somebody, with deadline and instruction.
    Assignment(Assignment),
    /// An opinion.
    Opinion {
        /// The opinion.
        opinion: String,
    },
    /// Work has begun.
    Started,
    /// It is finished.
    Finished,
    /// It was accepted although nobody could judge its signatures.
    AcceptedUndetermined {
        /// Why.
        opinion: String,
    },
}

/// A part of the slip.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SlipPartView {
    /// Whose opinions.
    pub part: SlipPart,
    /// The opinions, oldest first.
    pub notes: Vec<SlipNote>,
}

/// Stamp and slip of a document.
#[derive(Clone, Debug, Serialize)]
pub struct SlipView {
    /// Its line in the register of incoming documents.
    #[serde(flatten)]
    pub row: RegisterRow,
    /// The register.
    pub book: BookId,
    /// The year.
    pub year: i16,
    /// How urgent it is; none for paper.
    pub urgency: Option<Urgency>,
    /// How far it is; none for paper, whose slip is filled in by hand.
    pub stage: Option<Stage>,
    /// By when its leader wants it finished: the last date that one named.
    pub due: Option<Day>,
    /// The three parts of the form, in its order.
    pub parts: Vec<SlipPartView>,
    /// What the form has no part for.
    pub remarks: Vec<SlipNote>,
    /// Whether something in the middle is left out: a document remembers so many steps only.
    pub left_out: bool,
}

impl SlipView {
    fn new(row: RegisterRow, book: BookId, year: i16) -> Self {
        let part = |part| SlipPartView { part, notes: Vec::new() };
        Self {
            row,
            book,
            year,
            urgency: None,
            stage: None,
            due: None,
            parts: vec![part(SlipPart::AgencyLeader), part(SlipPart::UnitLeader), part(SlipPart::Handler)],
            remarks: Vec::new(),
            left_out: false,
        }
    }

    fn add(&mut self, part: Option<SlipPart>, note: SlipNote) {
        match self.parts.iter_mut().find(|view| Some(view.part) == part) {
            Some(view) => view.notes.push(note),
            None => self.remarks.push(note),
        }
    }
}

impl Reader {
    /// Stamp and slip of a document that came in; `None` when it is not registered here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn slip(&self, from: &OfficeId, document: &DocumentId) -> Result<Option<SlipView>, StoreError> {
        let Some(case) = self.case(from, document, Side::Recipient)? else { return Ok(None) };
        let Some(entry) = case.progress.entry() else { return Ok(None) };
        let Some(row) = self.register_line(Direction::Incoming, &entry.book, entry.year, entry.number)?
        else {
            return Ok(None);
        };
        self.slip_of_case(&case, SlipView::new(row, entry.book.clone(), entry.year)).map(Some)
    }

    /// The same by its line in a register; `None` when there is no such line.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn slip_of_line(
        &self,
        book: &BookId,
        year: i16,
        number: u32,
    ) -> Result<Option<SlipView>, StoreError> {
        let Some(row) = self.register_line(Direction::Incoming, book, year, number)? else { return Ok(None) };
        let of = row.from.zip(row.document);
        let view = SlipView::new(row, book.clone(), year);
        let Some((from, document)) = of else { return Ok(Some(view)) };
        match self.case(&from, &document, Side::Recipient)? {
            Some(case) => self.slip_of_case(&case, view).map(Some),
            None => Ok(Some(view)),
        }
    }

    fn slip_of_case(&self, case: &CaseRow, mut view: SlipView) -> Result<SlipView, StoreError> {
        let dispatch = self.incoming_dispatch(&case.with, &case.document)?;
        view.urgency = dispatch.map(|dispatch| dispatch.manifest.urgency);
        view.stage = Some(case.progress.stage());
        view.due = case.due;
        view.left_out = case.steps.len() >= STEPS_MAX;
        for position in &case.steps {
            let (event, at) = self.event_at(position.0 as i64)?;
            let id = event.id;
            let Some((part, by, said)) = said(&event) else { continue };
            view.add(part, SlipNote { at, on: Day::in_vietnam(at), by, said, event: id });
        }
        Ok(view)
    }
}

/// What an event says on the slip, in which part of it, and who said it.
fn said(event: &RecordedEvent) -> Option<(Option<SlipPart>, Option<Actor>, Said)> {
    match Body::read(event.version, &event.event).ok()? {
        Body::Act(Act { by, deed }) => {
            let (part, said) = match deed {
                Deed::Assigned { assignment, .. } => {
                    (Some(SlipPart::AgencyLeader), Said::Assignment(assignment))
                }
                Deed::Opined { part, opinion, .. } => (Some(part), Said::Opinion { opinion }),
                Deed::AcceptedUndetermined { reason, .. } => {
                    (None, Said::AcceptedUndetermined { opinion: reason })
                }
                _ => return None,
            };
            Some((part, Some(by), said))
        }
        Body::Status(Status::Document(DocumentFact { fact, by, .. })) => {
            let said = match fact {
                Fact::Started => Said::Started,
                Fact::Finished => Said::Finished,
                _ => return None,
            };
            // A leader who closes a document has not proposed anything.
            let handler = by.as_ref().is_none_or(|by| by.role != Role::Leader);
            let part = if handler { SlipPart::Handler } else { SlipPart::AgencyLeader };
            Some((Some(part), by, said))
        }
        _ => None,
    }
}
