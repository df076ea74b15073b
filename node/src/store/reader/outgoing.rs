//! The list of outgoing documents.

use rusqlite::params;
use schema::event::Urgency;
use schema::id::DocumentId;
use schema::invariant::OVERDUE_MS;
use schema::time::Millis;
use serde::Serialize;

use super::{PAGE_ROWS_MAX, Page, Reader, count_at, dispatch_of, millis, recorded};
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
        let sql = "SELECT outgoing.position, journal.bytes, journal.recorded_at, outgoing.document
                   FROM outgoing JOIN journal USING (position)
                   WHERE outgoing.position < ?1 ORDER BY outgoing.position DESC LIMIT ?2";
        let read = "list outgoing documents";
        let mut list = Vec::new();
        let mut statement = self.db.prepare_cached(sql).attempted(read)?;
        let before = before.map_or(i64::MAX, |before| before as i64);
        let mut found = statement.query(params![before, limit]).attempted(read)?;
        while let Some(row) = found.next().attempted(read)? {
            let position: i64 = row.get(0).attempted(read)?;
            let bytes: Vec<u8> = row.get(1).attempted(read)?;
            let event = recorded(position, &bytes)?;
            let Some(dispatch) = dispatch_of(&event) else {
                continue;
            };
            let queued_at = millis(row.get(2).attempted(read)?);
            let [recipients, left, arrived] = self.settled(&dispatch.manifest.document)?;
            let late = now.since(queued_at) > OVERDUE_MS;
            list.push(OutgoingView {
                position: position.unsigned_abs(),
                document: dispatch.manifest.document,
                number: dispatch.number(),
                subject: dispatch.manifest.subject,
                urgency: event.event.urgency,
                queued_at,
                recipients,
                left,
                arrived,
                overdue: if late { recipients - arrived } else { 0 },
            });
        }
        let next = list.last().map(|last| last.position).filter(|_| list.len() == limit as usize);
        Ok(Page { rows: list, next })
    }

    /// Recipients of a document, to how many it has left, and how many have answered.
    fn settled(&self, document: &DocumentId) -> Result<[u64; 3], StoreError> {
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
