//! A row of a list as words and marks: what it is found by.

use std::collections::BTreeSet;

use schema::document::Manifest;
use schema::handling::{Stage, Standing};
use schema::text;
use schema::time::Day;

use super::Names;
use super::mark::Mark;
use super::sought::Span;
use crate::store::StoreError;
use crate::store::reader::{Arrived, Departed, Reader, RegisterRow, StepKind};

/// Most recipients of one document whose names are among its words; all of them can be asked for by their codes.
const NAMED_RECIPIENTS_MAX: usize = 64;

/// Words and marks, parted by blanks.
#[derive(Default)]
struct Found(String);

impl Found {
    /// The words of a text. A lone `=` after them keeps a phrase from reaching into the next text.
    fn text(&mut self, text: &str) {
        for word in text::words(text) {
            self.0.push_str(&word);
            self.0.push(' ');
        }
        self.0.push_str("= ");
    }

    fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) {
        texts.into_iter().for_each(|text| self.text(text));
    }

    fn mark(&mut self, mark: Mark) {
        self.0.push_str(&format!("{mark} "));
    }

    fn marks(&mut self, marks: impl IntoIterator<Item = Mark>) {
        marks.into_iter().for_each(|mark| self.mark(mark));
    }

    /// How far a document is, and what it is worth for work.
    fn progress(&mut self, stages: &BTreeSet<Stage>, standings: &[Standing]) {
        self.marks(stages.iter().copied().map(Mark::Stage));
        self.marks(standings.iter().copied().map(Mark::Standing));
    }

    fn manifest(&mut self, manifest: &Manifest) {
        self.text(&manifest.subject);
        self.texts([manifest.signer.name.as_str(), manifest.signer.position.as_str()]);
        self.texts(manifest.recipient_lines.iter().map(String::as_str));
        self.texts(manifest.attachments.iter().map(|attachment| attachment.name.as_str()));
        for reference in &manifest.responds_to {
            self.text(&reference.number.to_string());
        }
        self.mark(Mark::Type(manifest.document_type));
    }
}

const fn is_hidden(standing: Standing) -> bool {
    matches!(standing, Standing::Recalled | Standing::TakenBack)
}

/// An incoming document.
pub(super) fn incoming(reader: &Reader, arrived: &Arrived, names: Names<'_>) -> Result<String, StoreError> {
    let mut found = Found::default();
    let (from, dispatch) = (arrived.event.event.office, &arrived.dispatch);
    let day = Day::in_vietnam(arrived.arrived_at);
    if let Some(issued) = &dispatch.issued {
        found.text(&issued.code.to_string());
        found.marks(Span::around(issued.on).map(Mark::Issued));
    }
    found.manifest(&dispatch.manifest);
    found.texts(names(&from, day).as_deref());
    found.mark(Mark::Office(from));
    found.mark(Mark::Urgency(arrived.event.event.urgency));
    found.marks(Span::around(day).map(Mark::Listed));
    found.marks(arrived.outcome.map(Mark::Outcome));
    let (mut stage, mut standing) = (Stage::Arrived, Standing::Current);
    if let Some(case) = &arrived.case {
        (stage, standing) = (case.progress.stage(), case.progress.standing());
        if let Some(entry) = case.progress.entry() {
            found.text(&entry.to_string());
        }
        if stage >= Stage::Assigned {
            // Who works on it, and what a leader said.
            let steps = reader.steps_at(&case.steps)?;
            let assigned = steps.iter().filter(|step| step.kind == StepKind::Instruction);
            found.texts(assigned.filter_map(|step| step.note.as_deref()));
        }
    }
    found.progress(&BTreeSet::from([stage]), &[standing]);
    found.marks(is_hidden(standing).then_some(Mark::Hidden));
    Ok(found.0)
}

/// An outgoing document.
pub(super) fn outgoing(reader: &Reader, departed: &Departed, names: Names<'_>) -> Result<String, StoreError> {
    let mut found = Found::default();
    let (dispatch, day) = (&departed.dispatch, Day::in_vietnam(departed.queued_at));
    if let Some(issued) = &dispatch.issued {
        found.text(&issued.code.to_string());
        found.marks(Span::around(issued.on).map(Mark::Issued));
    }
    found.manifest(&dispatch.manifest);
    found.mark(Mark::Urgency(departed.event.event.urgency));
    found.marks(Span::around(day).map(Mark::Listed));
    let recipients = reader.recipients_of(&dispatch.manifest.document)?;
    let (mut stages, mut standings) = (BTreeSet::new(), Vec::new());
    for (number, (office, case)) in recipients.iter().enumerate() {
        found.mark(Mark::Office(*office));
        if number < NAMED_RECIPIENTS_MAX {
            found.texts(names(office, day).as_deref());
        }
        if let Some(case) = case {
            stages.insert(case.progress.stage());
            standings.push(case.progress.standing());
        }
    }
    standings.sort_unstable_by_key(|standing| Mark::Standing(*standing).to_string());
    standings.dedup();
    found.progress(&stages, &standings);
    let [all, _, receipted] = reader.settled(&dispatch.manifest.document)?;
    found.marks((receipted < all).then_some(Mark::Unreceipted));
    Ok(found.0)
}

/// A line of a register.
pub(super) fn line(row: &RegisterRow, names: Names<'_>) -> String {
    let mut found = Found::default();
    let registered = row.arrived_on.unwrap_or_else(|| Day::in_vietnam(row.recorded_at));
    found.text(&row.written);
    let texts = [&row.code, &row.author, &row.subject, &row.lead, &row.signer, &row.cancelled];
    found.texts(texts.into_iter().flatten().map(String::as_str));
    found.texts(row.recipient_lines.iter().map(String::as_str));
    if let Some(from) = row.from {
        found.texts(names(&from, registered).as_deref());
        found.mark(Mark::Office(from));
    }
    found.marks(row.document_type.map(Mark::Type));
    found.marks(Span::around(row.arrived_on.or(row.issued_on).unwrap_or(registered)).map(Mark::Listed));
    found.marks(row.issued_on.into_iter().flat_map(|day| Span::around(day).map(Mark::Issued)));
    found.marks(row.standing.map(Mark::Standing));
    found.0
}
