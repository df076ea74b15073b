//! Documents on their way out.

use rusqlite::{OptionalExtension, params};
use schema::document::Manifest;
use schema::handling::{DraftStage, DraftedRow, Recipients};
use schema::id::{DocumentId, OfficeId, Position};
use schema::time::{Day, Millis};
use serde::Serialize;

use super::timeline::Step;
use super::{PAGE_ROWS_MAX, Page, Reader, millis};
use crate::store::handled::drafted_row;
use crate::store::{Attempted, StoreError};

/// A document on its way out.
#[derive(Clone, Debug, Serialize)]
pub struct DraftView {
    /// Its place in the list; the cursor.
    pub changed: u64,
    /// The document.
    pub document: DocumentId,
    /// How far it is.
    pub draft_stage: DraftStage,
    /// What it says; none once it was sent.
    #[serde(skip)]
    pub manifest: Option<Manifest>,
    /// The abstract.
    pub subject: Option<String>,
    /// Number and symbol.
    pub number: Option<String>,
    /// The date that it bears.
    pub issued_on: Option<Day>,
    /// Whether it is to go to every office that has a station.
    pub to_all: bool,
    /// To whom it is to go.
    pub to: Vec<OfficeId>,
    /// Signatures of persons.
    pub signatures: usize,
    /// When a person signed it first: the law has it sent the same day.
    pub signed_at: Option<Millis>,
    /// What happened, oldest first; a list leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Step>>,
}

impl Reader {
    /// Documents on their way out that were neither sent nor given up, the last changed first, before `before`. What happened
    /// to each is left out: a page would read up to 32 entries of the journal for every row.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn drafts(&self, before: Option<u64>, rows: u32) -> Result<Page<DraftView>, StoreError> {
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let read = "list the drafts";
        let sql = "SELECT changed, bytes FROM drafted WHERE stage < 5 AND changed < ?1
                   ORDER BY changed DESC LIMIT ?2";
        let before = before.map_or(i64::MAX, |before| before as i64);
        let mut found: Vec<(i64, DraftedRow)> = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let one_more = limit + 1;
                s.query_map(params![before, one_more], |row| Ok((row.get(0)?, drafted_row(row, 1)?)))?
                    .collect()
            })
            .attempted(read)?;
        let is_last = found.len() <= limit as usize;
        found.truncate(limit as usize);
        let mut list = Vec::new();
        for (changed, row) in found {
            list.push(self.draft_view(changed, row, None)?);
        }
        let next = list.last().map(|last| last.changed).filter(|_| !is_last);
        Ok(Page { rows: list, next })
    }

    /// A document on its way out, or one that has left.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn draft(&self, document: &DocumentId) -> Result<Option<DraftView>, StoreError> {
        let Some((changed, row)) = self.drafted(document)? else { return Ok(None) };
        let mut steps = self.steps_at(&row.steps)?;
        if row.stage == DraftStage::Sent
            && let Some(position) = self.sent_first_at(document)?
        {
            steps.extend(self.sealing(document, position)?);
        }
        self.draft_view(changed, row, Some(steps)).map(Some)
    }

    /// As [`Reader::draft`], without what happened to it.
    pub(super) fn draft_in_short(&self, document: &DocumentId) -> Result<Option<DraftView>, StoreError> {
        let found = self.drafted(document)?;
        found.map(|(changed, row)| self.draft_view(changed, row, None)).transpose()
    }

    fn drafted(&self, document: &DocumentId) -> Result<Option<(i64, DraftedRow)>, StoreError> {
        self.db
            .prepare_cached("SELECT changed, bytes FROM drafted WHERE document = ?1")
            .and_then(|mut s| {
                s.query_row([document.as_bytes()], |row| Ok((row.get(0)?, drafted_row(row, 1)?))).optional()
            })
            .attempted("look up a draft")
    }

    fn draft_view(
        &self,
        changed: i64,
        row: DraftedRow,
        steps: Option<Vec<Step>>,
    ) -> Result<DraftView, StoreError> {
        let (to_all, to) = match row.to {
            Recipients::All => (true, Vec::new()),
            Recipients::Listed(to) => (false, to),
        };
        let signed_at = row.signed.map(|signed| self.recorded_at(signed)).transpose()?;
        Ok(DraftView {
            changed: changed.unsigned_abs(),
            document: row.document,
            draft_stage: row.stage,
            subject: row.manifest.as_ref().map(|manifest| manifest.subject.clone()),
            manifest: row.manifest,
            number: row.issued.as_ref().map(|issued| issued.code.to_string()),
            issued_on: row.issued.as_ref().map(|issued| issued.on),
            to_all,
            to,
            signatures: row.signatures.len(),
            signed_at,
            steps,
        })
    }

    /// When an entry of the journal was recorded.
    pub(super) fn recorded_at(&self, position: Position) -> Result<Millis, StoreError> {
        self.db
            .prepare_cached("SELECT recorded_at FROM journal WHERE position = ?1")
            .and_then(|mut s| s.query_row([position.0 as i64], |row| row.get(0).map(millis)))
            .attempted("read when an entry was recorded")
    }
}
