//! The list of outgoing documents.

use rusqlite::{ToSql, params};
use schema::body::Dispatch;
use schema::event::{RecordedEvent, Urgency};
use schema::id::DocumentId;
use schema::invariant::OVERDUE_MS;
use schema::time::Millis;
use serde::Serialize;

use super::{PAGE_ROWS_MAX, Page, Reader, count_at, dispatch_of, entry_columns, millis, recorded_with};
use crate::store::{Attempted, StoreError};

/// An outgoing document as the list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct OutgoingView {
    /// Its place in this station's journal; the cursor.
    pub position: u64,
    /// The document.
    pub document: DocumentId,
    /// The abstract.
    pub subject: String,
    /// Number and symbol.
    pub number: Option<String>,
    /// How urgent.
    pub urgency: Urgency,
    /// When it was saved here.
    pub queued_at: Millis,
    /// Recipients.
    pub recipients: u64,
    /// To how many it has left: a relay has it. Not proof of delivery.
    pub left: u64,
    /// From how many there is a receipt.
    pub arrived: u64,
    /// From how many there is none although it is late.
    pub overdue: u64,
}

/// An outgoing document as it lies in the store.
pub(in crate::store) struct Departed {
    /// Its place in this station's journal.
    pub(in crate::store) position: u64,
    /// Its event.
    pub(in crate::store) event: RecordedEvent,
    /// What it says.
    pub(in crate::store) dispatch: Dispatch,
    /// When it was saved here.
    pub(in crate::store) queued_at: Millis,
}

const READ: &str = "list outgoing documents";
const DEPARTED: &str = "SELECT outgoing.position, journal.bytes, journal.content, journal.recorded_at
                        FROM outgoing JOIN journal USING (position)";

impl Reader {
    /// Outgoing documents, newest first, before journal position `before`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outgoing(
        &self,
        before: Option<u64>,
        rows: u32,
        now: Millis,
    ) -> Result<Page<OutgoingView>, StoreError> {
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let sql = format!("{DEPARTED} WHERE outgoing.position < ?1 ORDER BY outgoing.position DESC LIMIT ?2");
        let before = before.map_or(i64::MAX, |before| before as i64);
        let departed = self.departed(&sql, params![before, limit])?;
        let list: Vec<OutgoingView> =
            departed.into_iter().map(|one| self.outgoing_view(one, now)).collect::<Result<_, _>>()?;
        let next = list.last().map(|last| last.position).filter(|_| list.len() == limit as usize);
        Ok(Page { rows: list, next })
    }

    /// Those at these positions, in this order; what is not there is left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(in crate::store) fn outgoing_at(
        &self,
        positions: &[u64],
        now: Millis,
    ) -> Result<Vec<OutgoingView>, StoreError> {
        let mut list = Vec::with_capacity(positions.len());
        for position in positions {
            if let Some(departed) = self.departed_at(*position)? {
                list.push(self.outgoing_view(departed, now)?);
            }
        }
        Ok(list)
    }

    /// The one at this position.
    pub(in crate::store) fn departed_at(&self, position: u64) -> Result<Option<Departed>, StoreError> {
        let sql = format!("{DEPARTED} WHERE outgoing.position = ?1");
        Ok(self.departed(&sql, params![position as i64])?.pop())
    }

    /// At most `rows` after this position, oldest first.
    pub(in crate::store) fn departed_after(
        &self,
        after: u64,
        rows: u32,
    ) -> Result<Vec<Departed>, StoreError> {
        let sql = format!("{DEPARTED} WHERE outgoing.position > ?1 ORDER BY outgoing.position LIMIT ?2");
        self.departed(&sql, params![after as i64, rows])
    }

    fn departed(&self, sql: &str, with: &[&dyn ToSql]) -> Result<Vec<Departed>, StoreError> {
        let mut list = Vec::new();
        let mut statement = self.db.prepare_cached(sql).attempted(READ)?;
        let mut found = statement.query(with).attempted(READ)?;
        while let Some(row) = found.next().attempted(READ)? {
            let position: i64 = row.get(0).attempted(READ)?;
            let event = recorded_with(position, &entry_columns(row, 1).attempted(READ)?)?;
            let Some(dispatch) = dispatch_of(&event) else { continue };
            let queued_at = millis(row.get(3).attempted(READ)?);
            list.push(Departed { position: position.unsigned_abs(), event, dispatch, queued_at });
        }
        Ok(list)
    }

    fn outgoing_view(&self, departed: Departed, now: Millis) -> Result<OutgoingView, StoreError> {
        let Departed { position, event, dispatch, queued_at } = departed;
        let [recipients, left, arrived] = self.settled(&dispatch.manifest.document)?;
        let late = now.since(queued_at) > OVERDUE_MS;
        Ok(OutgoingView {
            position,
            document: dispatch.manifest.document,
            number: dispatch.number(),
            subject: dispatch.manifest.subject,
            urgency: event.event.urgency,
            queued_at,
            recipients,
            left,
            arrived,
            overdue: if late { recipients - arrived } else { 0 },
        })
    }

    /// Recipients of a document, to how many it has left, and how many have answered.
    pub(in crate::store) fn settled(&self, document: &DocumentId) -> Result<[u64; 3], StoreError> {
        // A recipient may have several rows: one per incarnation that sent the document again.
        let sql = "SELECT count(*), sum(l), sum(a) FROM (
                       SELECT max(left_by IS NOT NULL OR receipt IS NOT NULL) AS l, max(receipt IS NOT NULL) AS a
                       FROM sent WHERE document = ?1 GROUP BY peer)";
        let counts = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_row([document.as_bytes()], |row| {
                    let count = |column| count_at(row, column);
                    Ok([count(0)?, count(1)?, count(2)?])
                })
            })
            .attempted("count the receipts of a document")?;
        Ok(counts)
    }
}
