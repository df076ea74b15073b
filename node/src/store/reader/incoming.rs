//! The list of incoming documents.

use rusqlite::types::ValueRef;
use rusqlite::{Row, ToSql, params};
use schema::body::Dispatch;
use schema::event::{RecordedEvent, Urgency};
use schema::handling::CaseRow;
use schema::id::{DocumentId, EventId, OfficeId};
use schema::time::Millis;
use schema::trust::Outcome;
use serde::Serialize;

use super::{
    AmendsView, PAGE_ROWS_MAX, Page, ProgressView, Reader, dispatch_of, entry_columns, millis, recorded_with,
};
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
    /// The earlier document that it updates or replaces, and what is different.
    pub amends: Option<AmendsView>,
    /// How far it is here.
    #[serde(flatten)]
    pub progress: ProgressView,
}

/// An incoming document as it lies in the store.
pub(in crate::store) struct Arrived {
    /// The how-manieth document presented to this office.
    pub(in crate::store) ordinal: u64,
    /// Its event.
    pub(in crate::store) event: RecordedEvent,
    /// What it says.
    pub(in crate::store) dispatch: Dispatch,
    /// When this station recorded its receipt.
    pub(in crate::store) arrived_at: Millis,
    /// `false` when it was shown before earlier ones of the same sender.
    in_order: bool,
    /// The newest judgement.
    pub(in crate::store) outcome: Option<Outcome>,
    /// What became of it; none before the first fact.
    pub(in crate::store) case: Option<CaseRow>,
}

impl Arrived {
    /// The columns of [`ARRIVED`]; `None` when the event is no document.
    fn read(row: &Row<'_>) -> Result<Option<Self>, StoreError> {
        let event = recorded_with(row.get(2).attempted(READ)?, &entry_columns(row, 3).attempted(READ)?)?;
        let Some(dispatch) = dispatch_of(&event) else { return Ok(None) };
        let case = match row.get_ref(7).attempted(READ)? {
            ValueRef::Null => None,
            _ => Some(case_row(row, 7).attempted(READ)?),
        };
        Ok(Some(Self {
            ordinal: row.get::<_, i64>(0).attempted(READ)?.unsigned_abs(),
            dispatch,
            event,
            arrived_at: millis(row.get(5).attempted(READ)?),
            in_order: row.get(1).attempted(READ)?,
            outcome: row.get::<_, Option<u8>>(6).attempted(READ)?.and_then(Outcome::from_number),
            case,
        }))
    }
}

const READ: &str = "list incoming documents";
const ARRIVED: &str =
    "SELECT held.ordinal, held.in_order, held.position, journal.bytes, journal.content, answer.recorded_at,
           held.outcome, handled.bytes
    FROM held JOIN journal USING (position) JOIN journal AS answer ON answer.position = held.receipt
    LEFT JOIN handled ON handled.peer = held.peer AND handled.document = held.document AND handled.side = 0";

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
        let sql = format!(
            "{ARRIVED} WHERE held.ordinal < ?1 AND (?3 OR handled.standing IS NULL OR handled.standing NOT IN (2, 3))
             ORDER BY held.ordinal DESC LIMIT ?2"
        );
        let before = before.map_or(i64::MAX, |before| before as i64);
        let list = self.arrived(&sql, params![before, limit, all])?;
        let list: Result<Vec<IncomingView>, StoreError> =
            list.into_iter().map(|arrived| self.listed(arrived)).collect();
        let list = list?;
        let next = list.last().map(|last| last.ordinal).filter(|_| list.len() == limit as usize);
        Ok(Page { rows: list, next })
    }

    /// Those with these ordinals, in this order; what is not there is left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(in crate::store) fn incoming_at(&self, ordinals: &[u64]) -> Result<Vec<IncomingView>, StoreError> {
        let mut list = Vec::with_capacity(ordinals.len());
        for ordinal in ordinals {
            list.extend(self.arrived_at(*ordinal)?.map(|arrived| self.listed(arrived)).transpose()?);
        }
        Ok(list)
    }

    fn listed(&self, arrived: Arrived) -> Result<IncomingView, StoreError> {
        let Arrived { ordinal, event, dispatch, arrived_at, in_order, outcome, case } = arrived;
        let progress = case.map(|case| case.progress).unwrap_or_default();
        Ok(IncomingView {
            amends: self.amended(&event.event.office, &dispatch)?,
            ordinal,
            document: dispatch.manifest.document,
            from: event.event.office,
            number: dispatch.number(),
            attachments: dispatch.manifest.attachments.len(),
            subject: dispatch.manifest.subject,
            urgency: event.event.urgency,
            claimed_at: event.event.claimed_at,
            arrived_at,
            in_order,
            event: event.id,
            outcome,
            progress: (&progress).into(),
        })
    }

    /// The one with this ordinal.
    pub(in crate::store) fn arrived_at(&self, ordinal: u64) -> Result<Option<Arrived>, StoreError> {
        let sql = format!("{ARRIVED} WHERE held.ordinal = ?1");
        Ok(self.arrived(&sql, params![ordinal as i64])?.pop())
    }

    /// At most `rows` after the one with ordinal `after`, oldest first.
    pub(in crate::store) fn arrived_after(&self, after: u64, rows: u32) -> Result<Vec<Arrived>, StoreError> {
        let sql = format!("{ARRIVED} WHERE held.ordinal > ?1 ORDER BY held.ordinal LIMIT ?2");
        self.arrived(&sql, params![after as i64, rows])
    }

    fn arrived(&self, sql: &str, with: &[&dyn ToSql]) -> Result<Vec<Arrived>, StoreError> {
        let mut list = Vec::new();
        let mut statement = self.db.prepare_cached(sql).attempted(READ)?;
        let mut found = statement.query(with).attempted(READ)?;
        while let Some(row) = found.next().attempted(READ)? {
            list.extend(Arrived::read(row)?);
        }
        Ok(list)
    }
}
