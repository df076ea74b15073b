//! What facts about documents and acts of people change.

use super::change::{Alarm, Change, Entry};
use super::{Exchange, LineUse, Records};
use crate::body::{Act, Deed, Dispatch, DocumentFact, Issue, cancelling_key};
use crate::document::Amends;
use crate::handling::{
    self, CaseRow, Direction, DraftStage, DraftedRow, ErasedRow, Fact, PersonRow, STEPS_MAX, Side,
};
use crate::id::{BusinessId, DocumentId, OfficeId, Position};

/// What a document that amends an earlier one says about that.
pub(super) fn amended(amends: &Amends, by: DocumentId) -> DocumentFact {
    let (business, kind) = (BusinessId::new(*by.as_bytes()), amends.business_kind());
    let fact = Fact::Asked { business, kind, reason: amends.reason.clone() };
    DocumentFact { document: amends.document, fact, by: None }
}

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
        if matches!((&told.fact, side), (Fact::Registered { .. }, Side::Recipient)) {
            let held = records.incoming(&with, &document)?;
            case.code_key = case.code_key.or(held.and_then(|held| held.code_key));
        }
        if known
            .is_none_or(|known| (known.progress, known.code_key) != (case.progress.clone(), case.code_key))
        {
            // Whoever set aside what was known has not seen this.
            case.set_aside = None;
            note_step(&mut case.steps, entry);
            case.note_questions(entry.position);
            changes.push(Change::Case(case));
        }
        match (&told.fact, side) {
            (Fact::Registered { entry: line, .. }, Side::Recipient) => {
                let used = LineUse::by_document(entry.position, with, document);
                self.use_line(records, Direction::Incoming, line, used, changes)
            }
            _ => Ok(()),
        }
    }

    /// A number of a register is used. That a document has it is often said twice: again after a restore, or by what a
    /// correspondent gives back.
    fn use_line<R: Records>(
        &mut self,
        records: &R,
        direction: Direction,
        line: &handling::Entry,
        used: LineUse,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        self.books.note(direction, line);
        let line = line.clone();
        match records.line(direction, &line)? {
            Some(known) if known.of.is_some() && known.of == used.of => {}
            Some(LineUse { position: first, .. }) => {
                let again = used.position;
                changes.push(Change::Alarm(Alarm::NumberTwice { direction, line, first, again }));
            }
            None => changes.push(Change::Line { direction, line, used }),
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
        let position = entry.position;
        match &act.deed {
            Deed::AcceptedUndetermined { from, document, .. }
            | Deed::Assigned { from, document, .. }
            | Deed::Opined { from, document, .. } => {
                let known = records.case(from, document, Side::Recipient)?;
                let mut case = known.unwrap_or_else(|| CaseRow::new(*from, *document, Side::Recipient));
                if let Deed::Assigned { assignment, .. } = &act.deed {
                    // Whoever hands a document on and names no date does not take the deadline away.
                    case.due = assignment.due.or(case.due);
                    case.assigned = Some(position);
                }
                note_step(&mut case.steps, entry);
                changes.push(Change::Case(case));
            }
            Deed::SetAside { with, document, side, .. } => {
                let known = records.case(with, document, *side)?;
                let mut case = known.unwrap_or_else(|| CaseRow::new(*with, *document, *side));
                case.set_aside = Some(position);
                note_step(&mut case.steps, entry);
                changes.push(Change::Case(case));
            }
            Deed::PersonSet { person } => changes.push(Change::Person(person.clone())),
            Deed::PersonRemoved { name } => changes.push(Change::Person(PersonRow::removed(name.clone()))),
            Deed::PaperRegistered { entry: line, paper, work, .. } => {
                let used = LineUse::by_work(position, *work, paper.key());
                self.use_line(records, Direction::Incoming, line, used, changes)?;
            }
            Deed::PaperIssued { issue, paper, work } => {
                if let Some(line) = &issue.line {
                    let used = LineUse::by_work(position, *work, paper.key());
                    self.use_line(records, Direction::Outgoing, line, used, changes)?;
                }
            }
            Deed::NumberCancelled { direction, entry: line, reason, work } => {
                let used = LineUse::by_work(position, *work, cancelling_key(*direction, reason));
                self.use_line(records, *direction, line, used, changes)?;
            }
            Deed::HighestStated { direction, entry: line } => {
                self.books.state(*direction, line, entry.event.incarnation);
            }
            Deed::Drafted { manifest, to } => {
                let document = manifest.document;
                let steps = records.drafted(&document)?.map(|known| known.steps).unwrap_or_default();
                let mut row = DraftedRow {
                    document,
                    stage: DraftStage::Drafted,
                    manifest: Some((**manifest).clone()),
                    to: to.clone(),
                    signatures: Vec::new(),
                    issued: None,
                    steps,
                    signed: None,
                };
                note_step(&mut row.steps, entry);
                changes.push(Change::Drafted(Box::new(row)));
            }
            Deed::Approved { document } => {
                change_draft(records, entry, document, changes, |row| row.stage = DraftStage::Approved)?;
            }
            Deed::Signed { document, signature } => {
                change_draft(records, entry, document, changes, |row| {
                    row.stage = DraftStage::Signed;
                    row.signatures.push(signature.clone());
                    row.signed = row.signed.or(Some(position));
                })?;
            }
            Deed::Issued { document, issue } => {
                if let Some(line) = &issue.line {
                    let used = LineUse::by_document(position, self.me, *document);
                    self.use_line(records, Direction::Outgoing, line, used, changes)?;
                }
                change_draft(records, entry, document, changes, |row| {
                    row.stage = DraftStage::Issued;
                    row.issued = Some(issue.clone());
                })?;
            }
            Deed::Erased { issuer, document, .. } => {
                if records.erased(issuer, document)?.is_none() {
                    let (issuer, document) = (*issuer, *document);
                    changes.push(Change::Erased(ErasedRow { issuer, document, position }));
                }
            }
            // The events beside it say that it was sent, to whom, and in which order; this one says who did it.
            Deed::Sealed { .. } | Deed::KeysHandedOver { .. } => {}
            Deed::Discarded { document, .. } => {
                change_draft(records, entry, document, changes, |row| row.stage = DraftStage::Discarded)?;
            }
        }
        Ok(())
    }

    /// What a document of this office says about answers: by when it wants one of its recipients, and which of theirs it
    /// answers.
    fn speaks_of_answers<R: Records>(
        records: &R,
        entry: Entry<'_>,
        dispatch: &Dispatch,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let manifest = &dispatch.manifest;
        for to in &entry.event.to {
            if let Some(wanted) = manifest.due {
                let key = (to.office, manifest.document, Side::Sender);
                change_case(records, key, changes, |case| case.wanted = Some(wanted))?;
            }
            for reference in manifest.responds_to.iter().filter(|reference| reference.issuer == to.office) {
                let issue = Issue::given(reference.number.clone(), reference.issued_on);
                let documents = match reference.document {
                    Some(document) => vec![document],
                    None => records.registered_with_code(&to.office, issue.key())?,
                };
                for document in documents {
                    let key = (to.office, document, Side::Recipient);
                    if newest_case(records, key, changes)?.is_some() {
                        change_case(records, key, changes, |case| {
                            case.replied.get_or_insert(entry.position);
                        })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// A document that came in says by when it wants an answer, and which documents of this office it answers. It may be here
    /// before the document that it answers, where that was lost: so the row is made for it, if its id is known.
    pub(super) fn hear_of_answers<R: Records>(
        &self,
        records: &R,
        entry: Entry<'_>,
        dispatch: &Dispatch,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let (from, manifest) = (entry.event.office, &dispatch.manifest);
        if let Some(wanted) = manifest.due {
            let key = (from, manifest.document, Side::Recipient);
            change_case(records, key, changes, |case| case.wanted = Some(wanted))?;
        }
        for reference in manifest.responds_to.iter().filter(|reference| reference.issuer == self.me) {
            let documents = match reference.document {
                Some(document) => vec![document],
                None => {
                    let issue = Issue::given(reference.number.clone(), reference.issued_on);
                    records.went_with_code(&from, issue.key())?
                }
            };
            for document in documents {
                change_case(records, (from, document, Side::Sender), changes, |case| {
                    case.replied.get_or_insert(entry.position);
                })?;
            }
        }
        Ok(())
    }

    /// A document of this office was sent, or is known again to have been.
    pub(super) fn left_the_desk<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        dispatch: &Dispatch,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let document = dispatch.manifest.document;
        if let Some(amends) = &dispatch.manifest.amends {
            let told = amended(amends, document);
            // Also of whoever never got the earlier one: it cannot know that, and both ends know the same.
            for to in &entry.event.to {
                self.learn(records, entry, (to.office, Side::Sender), &told, changes)?;
            }
        }
        Self::speaks_of_answers(records, entry, dispatch, changes)?;
        if let Some(Issue { line: Some(line), .. }) = &dispatch.issued {
            let used = LineUse::by_document(entry.position, self.me, document);
            self.use_line(records, Direction::Outgoing, line, used, changes)?;
        }
        // A wide document is sent in several events: what comes after the first changes nothing.
        let Some(mut row) = records
            .drafted(&document)?
            .filter(|row| row.stage != DraftStage::Sent || row.issued != dispatch.issued)
        else {
            return Ok(());
        };
        if row.stage >= DraftStage::Sent || row.issued.is_some() && row.issued != dispatch.issued {
            // A lost life sent it under another number than this one, or this one had given it up.
            changes.push(Change::Alarm(Alarm::TwoNumbers { document, position: entry.position }));
        }
        row.stage = DraftStage::Sent;
        row.issued = row.issued.take().or_else(|| dispatch.issued.clone());
        // The event says it from here on.
        row.manifest = None;
        row.signatures.clear();
        note_step(&mut row.steps, entry);
        changes.push(Change::Drafted(Box::new(row)));
        Ok(())
    }
}

/// A document between two offices, as it is after what this entry has changed already.
fn newest_case<R: Records>(
    records: &R,
    (with, document, side): (OfficeId, DocumentId, Side),
    changes: &[Change],
) -> Result<Option<CaseRow>, R::Error> {
    let changed = changes.iter().rev().find_map(|change| match change {
        Change::Case(case) if (case.with, case.document, case.side) == (with, document, side) => {
            Some(case.clone())
        }
        _ => None,
    });
    changed.map_or_else(|| records.case(&with, &document, side), |case| Ok(Some(case)))
}

/// Changes a row in place; what is as it was is not written again.
fn change_case<R: Records>(
    records: &R,
    (with, document, side): (OfficeId, DocumentId, Side),
    changes: &mut Vec<Change>,
    change: impl FnOnce(&mut CaseRow),
) -> Result<(), R::Error> {
    let known = newest_case(records, (with, document, side), changes)?;
    let mut case = known.clone().unwrap_or_else(|| CaseRow::new(with, document, side));
    change(&mut case);
    if known.as_ref() != Some(&case) {
        changes.push(Change::Case(case));
    }
    Ok(())
}

fn change_draft<R: Records>(
    records: &R,
    entry: Entry<'_>,
    document: &DocumentId,
    changes: &mut Vec<Change>,
    change: impl FnOnce(&mut DraftedRow),
) -> Result<(), R::Error> {
    if let Some(mut row) = records.drafted(document)?.filter(|row| row.stage < DraftStage::Sent) {
        change(&mut row);
        note_step(&mut row.steps, entry);
        changes.push(Change::Drafted(Box::new(row)));
    }
    Ok(())
}

/// The first half of the room keeps the beginning of a story, the other one its end.
fn note_step(steps: &mut Vec<Position>, entry: Entry<'_>) {
    if steps.len() >= STEPS_MAX {
        steps.remove(STEPS_MAX / 2);
    }
    steps.push(entry.position);
}
