//! What facts about documents and acts of people change.

use super::change::{Alarm, Change, Entry};
use super::{Exchange, Records};
use crate::body::{Act, Deed, DocumentFact};
use crate::handling::{self, CaseRow, Direction, Fact, STEPS_MAX, Side};
use crate::id::{DocumentId, OfficeId};

impl Exchange {
    /// Takes a fact into what is known of a document, on this side of it.
    pub(super) fn learn<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        (with, side): (OfficeId, Side),
        told: &DocumentFact,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let document = told.document;
        let known = records.case(&with, &document, side)?;
        let mut case = known.clone().unwrap_or_else(|| CaseRow::new(with, document, side));
        if !case.progress.take(&told.fact) {
            changes.push(Change::Alarm(Alarm::TooMuchSaid { office: with, document }));
        }
        if known.is_none_or(|known| known.progress != case.progress) {
            note_step(&mut case, entry);
            changes.push(Change::Case(case));
        }
        match (&told.fact, side) {
            (Fact::Registered { entry: line, .. }, Side::Recipient) => {
                self.use_line(records, entry, Direction::Incoming, line, changes)
            }
            _ => Ok(()),
        }
    }

    /// A number of a register is used.
    fn use_line<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        direction: Direction,
        line: &handling::Entry,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        self.books.note(direction, line);
        let (line, again) = (line.clone(), entry.position);
        match records.line(direction, &line)? {
            Some(first) => {
                changes.push(Change::Alarm(Alarm::NumberTwice { direction, line, first, again }));
            }
            None => changes.push(Change::Line { direction, line, position: again }),
        }
        Ok(())
    }

    /// Somebody in this office did something.
    pub(super) fn acted<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        act: &Act,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        match &act.deed {
            Deed::AcceptedUndetermined { from, document, .. } | Deed::Assigned { from, document, .. } => {
                Self::note_act(records, entry, (*from, *document), changes)
            }
            Deed::PaperRegistered { entry: line, .. } => {
                self.use_line(records, entry, Direction::Incoming, line, changes)
            }
            Deed::NumberCancelled { direction, entry: line, .. } => {
                self.use_line(records, entry, *direction, line, changes)
            }
            Deed::HighestStated { direction, entry: line } => {
                self.books.state(*direction, line, entry.event.incarnation);
                Ok(())
            }
        }
    }

    fn note_act<R: Records>(
        records: &R,
        entry: Entry<'_>,
        (from, document): (OfficeId, DocumentId),
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let known = records.case(&from, &document, Side::Recipient)?;
        let mut case = known.unwrap_or_else(|| CaseRow::new(from, document, Side::Recipient));
        note_step(&mut case, entry);
        changes.push(Change::Case(case));
        Ok(())
    }
}

fn note_step(case: &mut CaseRow, entry: Entry<'_>) {
    if case.steps.len() < STEPS_MAX {
        case.steps.push(entry.position);
    }
}
