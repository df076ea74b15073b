//! The list of incoming documents.

use rusqlite::params;
use rusqlite::types::ValueRef;
use schema::event::Urgency;
use schema::handling::Progress;
use schema::id::{DocumentId, EventId, OfficeId};
use schema::time::Millis;
use schema::trust::Outcome;
use serde::Serialize;

use super::{PAGE_ROWS_MAX, Page, ProgressView, Reader, dispatch_of, millis, recorded};
use crate::store::handled::case_row;
use crate::store::{Attempted, StoreError};

/// An incoming document as the list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct IncomingView {
    /// The how-manieth document presented to this office.
    pub ordinal: u64,
    /// The document.
    pub document: DocumentId,
    /// Its sender.
    pub from: OfficeId,
    /// The abstract.
    pub subject: String,
    /// Number and symbol.
    pub number: Option<String>,
    /// How urgent.
    pub urgency: Urgency,
    /// When the sender says it was sent.
    pub claimed_at: Millis,
    /// When this station recorded its receipt.
    pub arrived_at: Millis,
    /// Attachments.
    pub attachments: usize,
    /// `false` when it was shown before earlier ones of the same sender.
    pub in_order: bool,
    /// Its event.
    pub event: EventId,
    /// What its signatures are worth, as of the newest judgement.
    pub outcome: Option<Outcome>,
    /// How far it is here.
    #[serde(flatten)]
    pub progress: ProgressView,
}

impl Reader {
    /// Incoming documents, newest first, before the one with ordinal `before`. What was recalled or taken back is hidden
    /// from work, and listed with `all` only.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn incoming(
        &self,
        before: Option<u64>,
        rows: u32,
        all: bool,
    ) -> Result<Page<IncomingView>, StoreError> {
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let sql = "SELECT held.ordinal, held.in_order, held.position, journal.bytes, answer.recorded_at, held.outcome,
                          handled.bytes
                   FROM held JOIN journal USING (position) JOIN journal AS answer ON answer.position = held.receipt
                   LEFT JOIN handled
                       ON handled.peer = held.peer AND handled.document = held.document AND handled.side = 0
                   WHERE held.ordinal < ?1 AND (?3 OR handled.standing IS NULL OR handled.standing NOT IN (2, 3))
                   ORDER BY held.ordinal DESC LIMIT ?2";
        let mut list = Vec::new();
        let read = "list incoming documents";
        let mut statement = self.db.prepare_cached(sql).attempted(read)?;
        let before = before.map_or(i64::MAX, |before| before as i64);
        let mut found = statement.query(params![before, limit, all]).attempted(read)?;
        while let Some(row) = found.next().attempted(read)? {
            let (position, bytes): (i64, Vec<u8>) =
                (row.get(2).attempted(read)?, row.get(3).attempted(read)?);
            let event = recorded(position, &bytes)?;
            let Some(dispatch) = dispatch_of(&event) else {
                continue;
            };
            let attachments = dispatch.manifest.attachments.len();
            let handled = match row.get_ref(6).attempted(read)? {
                ValueRef::Null => Progress::default(),
                _ => case_row(row, 6).attempted(read)?.progress,
            };
            list.push(IncomingView {
                ordinal: row.get::<_, i64>(0).attempted(read)?.unsigned_abs(),
                document: dispatch.manifest.document,
                from: event.event.office,
                number: dispatch.number(),
                subject: dispatch.manifest.subject,
                urgency: event.event.urgency,
                claimed_at: event.event.claimed_at,
                arrived_at: millis(row.get(4).attempted(read)?),
                attachments,
                in_order: row.get(1).attempted(read)?,
                event: event.id,
                outcome: row.get::<_, Option<u8>>(5).attempted(read)?.and_then(Outcome::from_number),
                progress: (&handled).into(),
            });
        }
        let next = list.last().map(|last| last.ordinal).filter(|_| list.len() == limit as usize);
        Ok(Page { rows: list, next })
    }
}
