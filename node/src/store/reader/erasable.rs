//! Documents that nobody has worked with for years: whoever knows how long they are kept may erase their content.

use jiff::civil::date;
use rusqlite::{Row, params};
use schema::handling::Direction;
use schema::id::{DocumentId, OfficeId, Position};
use schema::time::{Day, Millis};
use serde::Serialize;

use super::{PAGE_ROWS_MAX, Page, Reader, erased};
use crate::store::handled::case_row;
use crate::store::{Attempted, StoreError};

/// Longest time for which somebody says that documents are kept, in years; longer is for ever (*vĩnh viễn*).
pub const RETENTION_YEARS_MAX: u8 = 100;

/// A document whose time is over, if it is kept for so many years.
#[derive(Clone, Debug, Serialize)]
pub struct ErasableView {
    /// The document.
    pub document: DocumentId,
    /// Whose it is.
    pub issuer: OfficeId,
    /// The day on which something was recorded about it last.
    pub ended_on: Day,
    /// The last day of the last year for which it is kept.
    pub kept_until: Day,
}

/// A document, and the newest entry of the journal about it.
struct Quiet {
    row: u64,
    document: DocumentId,
    issuer: OfficeId,
    newest: i64,
}

impl Reader {
    /// Documents about which nothing was recorded for more than `years` whole years, oldest first, and whose content is not erased.
    /// Years are counted from the end of the one in which the work ended, as the rules on keeping documents do. A page may be
    /// empty and not the last one: at most [`PAGE_ROWS_MAX`] documents are looked at for it.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn erasable(
        &self,
        direction: Direction,
        years: u8,
        after: u64,
        now: Millis,
    ) -> Result<Page<ErasableView>, StoreError> {
        let quiet = match direction {
            Direction::Incoming => self.came_after(after)?,
            Direction::Outgoing => self.went_after(after)?,
        };
        let next = (quiet.len() == PAGE_ROWS_MAX as usize).then(|| quiet.last().map(|quiet| quiet.row));
        let this_year = Day::in_vietnam(now).0.year();
        let mut rows = Vec::new();
        for Quiet { document, issuer, newest, .. } in quiet {
            let ended_on = Day::in_vietnam(self.recorded_at(Position(newest.unsigned_abs()))?);
            let last_year = ended_on.0.year().saturating_add(i16::from(years.min(RETENTION_YEARS_MAX)));
            if last_year < this_year && erased::erased(&self.db, &issuer, &document)?.is_none() {
                let kept_until = Day(date(last_year, 12, 31));
                rows.push(ErasableView { document, issuer, ended_on, kept_until });
            }
        }
        Ok(Page { rows, next: next.flatten() })
    }

    fn came_after(&self, ordinal: u64) -> Result<Vec<Quiet>, StoreError> {
        let sql = "SELECT held.ordinal, held.document, peer.office, max(held.position, coalesce(held.receipt, 0)), handled.bytes
                   FROM held JOIN peer ON peer.no = held.peer
                   LEFT JOIN handled ON handled.peer = held.peer AND handled.document = held.document AND handled.side = 0
                   WHERE held.ordinal > ?1 AND held.document IS NOT NULL ORDER BY held.ordinal LIMIT ?2";
        let quiet = |row: &Row<'_>| {
            let said = match row.get_ref(4)? {
                rusqlite::types::ValueRef::Null => None,
                _ => case_row(row, 4)?.steps.last().map(|step| step.0 as i64),
            };
            Ok(Quiet {
                row: row.get::<_, i64>(0)?.unsigned_abs(),
                document: DocumentId::new(row.get(1)?),
                issuer: OfficeId::new(row.get(2)?),
                newest: row.get::<_, i64>(3)?.max(said.unwrap_or_default()),
            })
        };
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map(params![ordinal as i64, PAGE_ROWS_MAX], quiet)?.collect())
            .attempted("list old incoming documents")
    }

    fn went_after(&self, position: u64) -> Result<Vec<Quiet>, StoreError> {
        let sql = "SELECT outgoing.position, outgoing.document, station.office,
                       (SELECT max(sent.position, coalesce(max(sent.receipt), 0)) FROM sent WHERE sent.document = outgoing.document)
                   FROM outgoing JOIN station ON station.one = 1 WHERE outgoing.position > ?1
                   ORDER BY outgoing.position LIMIT ?2";
        let quiet = |row: &Row<'_>| {
            let row_position: i64 = row.get(0)?;
            Ok(Quiet {
                row: row_position.unsigned_abs(),
                document: DocumentId::new(row.get(1)?),
                issuer: OfficeId::new(row.get(2)?),
                newest: row.get::<_, Option<i64>>(3)?.unwrap_or(row_position),
            })
        };
        let mut found: Vec<Quiet> = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map(params![position as i64, PAGE_ROWS_MAX], quiet)?.collect())
            .attempted("list old outgoing documents")?;
        let sql = "SELECT handled.bytes FROM sent JOIN handled ON handled.peer = sent.peer
                       AND handled.document = sent.document AND handled.side = 1 WHERE sent.document = ?1";
        for quiet in &mut found {
            let said: Vec<Option<i64>> = self
                .db
                .prepare_cached(sql)
                .and_then(|mut s| {
                    s.query_map([quiet.document.as_bytes()], |row| {
                        Ok(case_row(row, 0)?.steps.last().map(|step| step.0 as i64))
                    })?
                    .collect()
                })
                .attempted("read what recipients said last")?;
            quiet.newest = said.into_iter().flatten().fold(quiet.newest, i64::max);
        }
        Ok(found)
    }
}
