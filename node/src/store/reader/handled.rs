//! What became of a document after it arrived: for the lists, and step by step.

use rusqlite::{OptionalExtension, params};
use schema::body::{Act, Body, Deed, Dispatch, DocumentFact, Status};
use schema::document::{AmendKind, Manifest};
use schema::event::RecordedEvent;
use schema::handling::{
    Actor, BusinessKind, CaseRow, Entry, Fact, Progress, RefusalReason, Side, Stage, Standing,
};
use schema::id::{BusinessId, DocumentId, OfficeId, Position};
use serde::Serialize;

use super::timeline::{Step, StepKind};
use super::{PAGE_ROWS_MAX, Reader};
use crate::store::handled::{case_row, side_number};
use crate::store::{Attempted, StoreError};

/// How far a document is at one recipient.
#[derive(Clone, Debug, Serialize)]
pub struct ProgressView {
    /// How far.
    pub stage: Stage,
    /// What it is worth for work.
    pub standing: Standing,
    /// Its line in the register of incoming documents.
    pub line: Option<LineView>,
    /// Why it was refused.
    pub refused_for: Option<RefusalReason>,
    /// The words of the refusal.
    pub refusal_words: Option<String>,
    /// What its sender asked for, and the answers.
    pub asked: Vec<AskedView>,
}

/// A line of a register.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LineView {
    /// The register.
    #[serde(flatten)]
    pub entry: Entry,
    /// The number as it is written.
    pub written: String,
}

/// A take-back or recall.
#[derive(Clone, Debug, Serialize)]
pub struct AskedView {
    /// Names it.
    pub business: BusinessId,
    /// What is asked.
    pub what: BusinessKind,
    /// Why.
    pub why: Option<String>,
    /// The answer.
    pub agreed: Option<bool>,
}

impl From<&Entry> for LineView {
    fn from(entry: &Entry) -> Self {
        Self { written: entry.to_string(), entry: entry.clone() }
    }
}

impl From<&Progress> for ProgressView {
    fn from(progress: &Progress) -> Self {
        let refusal = progress.refusal();
        let asked = progress.asked().iter().map(|(business, asked)| AskedView {
            business: *business,
            what: asked.kind,
            why: asked.reason.clone(),
            agreed: asked.agreed,
        });
        Self {
            stage: progress.stage(),
            standing: progress.standing(),
            line: progress.entry().map(LineView::from),
            refused_for: refusal.map(|(reason, _)| *reason),
            refusal_words: refusal.and_then(|(_, words)| words.clone()),
            asked: asked.collect(),
        }
    }
}

/// Something that waits for a person.
#[derive(Clone, Debug, Serialize)]
pub struct WaitingView {
    /// The other office.
    pub office: OfficeId,
    /// The document.
    pub document: DocumentId,
    /// How far it is.
    #[serde(flatten)]
    pub progress: ProgressView,
}

/// What waits for a person: nothing that was said is ever dropped.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WaitingViews {
    /// Documents that nobody has accepted or refused yet.
    pub to_register: u64,
    /// Documents whose senders wait for an answer: they ask for them back, or for an update to be taken.
    pub asked: Vec<WaitingView>,
    /// What was said about documents that are not here.
    pub without_document: Vec<WaitingView>,
}

impl Reader {
    pub(super) fn case(
        &self,
        with: &OfficeId,
        document: &DocumentId,
        side: Side,
    ) -> Result<Option<CaseRow>, StoreError> {
        let sql = "SELECT handled.bytes FROM handled JOIN peer ON peer.no = handled.peer
                   WHERE peer.office = ?1 AND handled.document = ?2 AND handled.side = ?3";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let key = params![with.as_bytes(), document.as_bytes(), side_number(side)];
                s.query_row(key, |row| case_row(row, 0)).optional()
            })
            .attempted("look up what became of a document")
    }

    /// What these entries of the journal say about a document, in their order.
    pub(in crate::store) fn steps_at(&self, positions: &[Position]) -> Result<Vec<Step>, StoreError> {
        let mut steps = Vec::new();
        for position in positions {
            let (event, at) = self.event_at(position.0 as i64)?;
            let Some((kind, by, note)) = told(&event) else { continue };
            steps.push(Step {
                kind,
                at,
                who: event.event.office,
                by: by.map(|by| by.name),
                event: Some(event.id),
                claimed_at: Some(event.event.claimed_at),
                note,
            });
        }
        Ok(steps)
    }

    /// From whom a document came in: two offices could choose one id.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn senders_of(&self, document: &DocumentId) -> Result<Vec<OfficeId>, StoreError> {
        let sql = "SELECT DISTINCT peer.office FROM held JOIN peer ON peer.no = held.peer
                   WHERE held.document = ?1 ORDER BY peer.office LIMIT 16";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_map([document.as_bytes()], |row| row.get(0).map(OfficeId::new))?.collect()
            })
            .attempted("look up who sent a document")
    }

    /// What waits for a person.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn waiting(&self) -> Result<WaitingViews, StoreError> {
        let asked = "SELECT peer.office, handled.bytes FROM handled JOIN peer ON peer.no = handled.peer
                          WHERE handled.question = 1 AND handled.side = 0
                            AND EXISTS (SELECT 1 FROM held WHERE held.document = handled.document
                                        AND held.peer = handled.peer AND held.ordinal IS NOT NULL)
                          ORDER BY peer.office, handled.document LIMIT ?1";
        let without = "SELECT peer.office, handled.bytes
                       FROM unmatched JOIN handled USING (peer, document, side) JOIN peer ON peer.no = handled.peer
                       WHERE CASE unmatched.side
                           WHEN 0 THEN NOT EXISTS (SELECT 1 FROM held WHERE held.document = unmatched.document
                                                   AND held.peer = unmatched.peer)
                           ELSE NOT EXISTS (SELECT 1 FROM sent WHERE sent.document = unmatched.document
                                            AND sent.peer = unmatched.peer) END
                       ORDER BY peer.office, handled.document LIMIT ?1";
        let list = |sql: &str| -> Result<Vec<WaitingView>, StoreError> {
            let rows = self.db.prepare_cached(sql).and_then(|mut s| {
                let rows =
                    s.query_map([PAGE_ROWS_MAX], |row| Ok((OfficeId::new(row.get(0)?), case_row(row, 1)?)))?;
                rows.collect::<rusqlite::Result<Vec<(OfficeId, CaseRow)>>>()
            });
            let view = |(office, case): (OfficeId, CaseRow)| WaitingView {
                office,
                document: case.document,
                progress: (&case.progress).into(),
            };
            Ok(rows.attempted("list what waits")?.into_iter().map(view).collect())
        };
        Ok(WaitingViews {
            to_register: self.count("SELECT count(*) FROM held WHERE unsettled = 1")?,
            asked: list(asked)?,
            without_document: list(without)?,
        })
    }
}

/// What an event says about a document, who did it, and a note for people.
pub(super) fn told(event: &RecordedEvent) -> Option<(StepKind, Option<Actor>, Option<String>)> {
    let (fact, by) = match Body::read(event.version, &event.event).ok()? {
        Body::Dispatch(Dispatch { manifest: Manifest { amends: Some(amends), .. }, .. }) => {
            let kind = match amends.how {
                AmendKind::Update => StepKind::Update,
                AmendKind::Replace => StepKind::Replace,
            };
            return Some((kind, None, Some(amends.reason)));
        }
        Body::Act(Act { by, deed: Deed::Drafted { .. } }) => {
            return Some((StepKind::Drafted, Some(by), None));
        }
        Body::Act(Act { by, deed: Deed::Approved { .. } }) => {
            return Some((StepKind::Approved, Some(by), None));
        }
        Body::Act(Act { by, deed: Deed::Signed { .. } }) => return Some((StepKind::Signed, Some(by), None)),
        Body::Act(Act { by, deed: Deed::Issued { issue, .. } }) => {
            return Some((StepKind::Issued, Some(by), Some(issue.code.to_string())));
        }
        Body::Act(Act { by, deed: Deed::Discarded { reason, .. } }) => {
            return Some((StepKind::Discarded, Some(by), Some(reason)));
        }
        Body::Status(Status::Document(DocumentFact { fact, by, .. }))
        | Body::BusinessRequest(DocumentFact { fact, by, .. }) => (fact, by),
        Body::Act(Act { by, deed: Deed::AcceptedUndetermined { reason, .. } }) => {
            return Some((StepKind::AcceptedUndetermined, Some(by), Some(reason)));
        }
        Body::Act(Act { by, deed: Deed::Opined { opinion, .. } }) => {
            return Some((StepKind::Opinion, Some(by), Some(opinion)));
        }
        Body::Act(Act { by, deed: Deed::Assigned { assignment, .. } }) => {
            let mut note = assignment.lead;
            for name in assignment.with {
                note.push_str(", ");
                note.push_str(&name);
            }
            if let Some(due) = assignment.due {
                note.push_str(&format!("; {due}"));
            }
            if let Some(instruction) = assignment.instruction {
                note.push_str(&format!("; {instruction}"));
            }
            return Some((StepKind::Instruction, Some(by), Some(note)));
        }
        _ => return None,
    };
    let (kind, note) = match fact {
        Fact::Refused { words, .. } => (StepKind::Refused, words),
        Fact::Registered { entry, .. } => (StepKind::Registered, Some(format!("{entry}/{}", entry.year))),
        Fact::Assigned => (StepKind::Assigned, None),
        Fact::Started => (StepKind::Started, None),
        Fact::Finished => (StepKind::Finished, None),
        Fact::Asked { kind: BusinessKind::TakeBack, reason, .. } => (StepKind::AskedBack, Some(reason)),
        Fact::Asked { kind: BusinessKind::Recall, reason, .. } => (StepKind::Recall, Some(reason)),
        Fact::Asked { kind: BusinessKind::Update, reason, .. } => (StepKind::Update, Some(reason)),
        Fact::Asked { kind: BusinessKind::Replace, reason, .. } => (StepKind::Replace, Some(reason)),
        Fact::Answered { kind: BusinessKind::Recall, words, .. } => (StepKind::RecallConfirmed, words),
        Fact::Answered { agreed: true, words, .. } => (StepKind::Agreed, words),
        Fact::Answered { agreed: false, words, .. } => (StepKind::Declined, words),
    };
    Some((kind, by, note))
}
