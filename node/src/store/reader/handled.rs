//! What became of a document after it arrived: for the lists, and step by step.

use std::fmt;
use std::str::FromStr;

use rusqlite::{OptionalExtension, Row, params};
use schema::body::{Act, Body, Deed, Dispatch, DocumentFact, Status};
use schema::document::{AmendKind, Manifest};
use schema::event::RecordedEvent;
use schema::handling::{
    Actor, BusinessKind, CaseRow, Entry, Fact, PersonRow, Progress, RefusalReason, Side, Stage, Standing,
};
use schema::id::{BusinessId, DocumentId, OfficeId, Position};
use serde::{Serialize, Serializer};

use super::timeline::{Step, StepKind};
use super::{PAGE_ROWS_MAX, Reader};
use crate::store::handled::{case_row, people, side_number};
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
        let asked = progress.asked().map(|asked| AskedView {
            business: asked.id,
            what: asked.kind,
            why: asked.reason.map(str::to_owned),
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
    /// Who set it aside, when and why; none when it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside: Option<Step>,
}

/// What waits for a person: nothing that was said is ever dropped.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WaitingViews {
    /// Documents that nobody has accepted or refused yet.
    pub to_register: u64,
    /// Documents whose senders wait for an answer: they ask for them back, or for an update to be taken.
    pub asked: Vec<WaitingView>,
    /// Where the next page of them starts.
    pub asked_next: Option<WaitingCursor>,
    /// What was said about documents that are not here.
    pub without_document: Vec<WaitingView>,
    /// Where the next page of them starts.
    pub without_document_next: Option<WaitingCursor>,
}

/// Which pages of what waits.
#[derive(Clone, Debug, Default)]
pub struct WaitingPages {
    /// Questions of senders after this one.
    pub asked_after: Option<WaitingCursor>,
    /// What has no document after this one.
    pub without_document_after: Option<WaitingCursor>,
    /// Most rows of each.
    pub rows: u32,
    /// Also what was set aside.
    pub all: bool,
}

/// A place in one of these lists; nobody reads anything out of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitingCursor {
    /// The question's entry of the journal, or the number of the correspondent.
    first: i64,
    document: DocumentId,
    side: i64,
}

/// The text is no place in such a list.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is no place in this list: take it from the page before")]
pub struct NoCursor {
    text: String,
}

impl WaitingCursor {
    /// Before the first row.
    const START: Self = Self { first: i64::MIN, document: DocumentId::new([0; 16]), side: 0 };
}

impl fmt::Display for WaitingCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.first, self.document, self.side)
    }
}

impl FromStr for WaitingCursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().unwrap_or_default();
        let parsed = (part().parse(), part().parse(), part().parse());
        match parsed {
            (Ok(first), Ok(document), Ok(side)) => Ok(Self { first, document, side }),
            _ => Err(NoCursor { text: text.chars().take(80).collect() }),
        }
    }
}

impl Serialize for WaitingCursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
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

    /// Everybody of the office by name, as the chain says; also who was removed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn people(&self) -> Result<Vec<PersonRow>, StoreError> {
        people(&self.db)
    }

    /// What waits for a person, page by page.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn waiting(&self, pages: &WaitingPages) -> Result<WaitingViews, StoreError> {
        // Whoever has waited longest comes first, which is the order of the index: nothing is sorted.
        let asked = "SELECT handled.question, handled.side, peer.office, handled.bytes
                     FROM handled INDEXED BY handled_question JOIN peer ON peer.no = handled.peer
                     WHERE handled.question IS NOT NULL AND handled.side = 0 AND handled.shown = 1
                       AND (handled.question, handled.document, handled.side) > (?2, ?3, ?4)
                     ORDER BY handled.question, handled.document LIMIT ?1";
        let (asked, asked_next) = self.waiting_rows(asked, pages.asked_after, pages.rows)?;
        let (from, which) = match pages.all {
            true => ("unmatched", "1"),
            false => ("unmatched INDEXED BY unmatched_open", "unmatched.set_aside IS NULL"),
        };
        let without_document = format!(
            "SELECT unmatched.peer, unmatched.side, peer.office, handled.bytes
             FROM {from} JOIN handled USING (peer, document, side) JOIN peer ON peer.no = handled.peer
             WHERE {which} AND (unmatched.peer, unmatched.document, unmatched.side) > (?2, ?3, ?4)
               AND CASE unmatched.side
                   WHEN 0 THEN NOT EXISTS (SELECT 1 FROM held WHERE held.document = unmatched.document
                                           AND held.peer = unmatched.peer)
                   ELSE NOT EXISTS (SELECT 1 FROM sent WHERE sent.document = unmatched.document
                                    AND sent.peer = unmatched.peer) END
             ORDER BY unmatched.peer, unmatched.document, unmatched.side LIMIT ?1"
        );
        let (without_document, without_document_next) =
            self.waiting_rows(&without_document, pages.without_document_after, pages.rows)?;
        Ok(WaitingViews {
            to_register: self.count("SELECT count(*) FROM held WHERE unsettled = 1")?,
            asked,
            asked_next,
            without_document,
            without_document_next,
        })
    }

    fn waiting_rows(
        &self,
        sql: &str,
        after: Option<WaitingCursor>,
        rows: u32,
    ) -> Result<(Vec<WaitingView>, Option<WaitingCursor>), StoreError> {
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let after = after.unwrap_or(WaitingCursor::START);
        let row = |row: &Row<'_>| -> rusqlite::Result<(i64, i64, OfficeId, CaseRow)> {
            Ok((row.get(0)?, row.get(1)?, OfficeId::new(row.get(2)?), case_row(row, 3)?))
        };
        let mut found: Vec<_> = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_map(params![limit + 1, after.first, after.document.as_bytes(), after.side], row)?
                    .collect::<rusqlite::Result<Vec<_>>>()
            })
            .attempted("list what waits")?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().map(|(first, side, _, case)| WaitingCursor {
            first: *first,
            document: case.document,
            side: *side,
        });
        let mut views = Vec::new();
        for (_, _, office, case) in found {
            let set_aside: Vec<Position> = case.set_aside.into_iter().collect();
            views.push(WaitingView {
                office,
                document: case.document,
                progress: (&case.progress).into(),
                set_aside: self.steps_at(&set_aside)?.pop(),
            });
        }
        Ok((views, next.filter(|_| more)))
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
        Body::Act(Act { by, deed: Deed::Sealed { .. } }) => return Some((StepKind::Sealed, Some(by), None)),
        Body::Act(Act { by, deed: Deed::Erased { erasure, .. } }) => {
            return Some((StepKind::Erased, Some(by), Some(erasure.decision)));
        }
        Body::Act(Act { by, deed: Deed::SetAside { reason, .. } }) => {
            return Some((StepKind::SetAside, Some(by), Some(reason)));
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
