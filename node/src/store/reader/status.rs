//! The station at a glance.

use schema::id::{EventId, Incarnation, OfficeId, Seq};
use schema::invariant::OVERDUE_MS;
use schema::time::Millis;
use serde::Serialize;

use super::{Reader, count_at, millis};
use crate::store::inspect::newest_own;
use crate::store::{Attempted, StoreError};

/// The station at a glance.
#[derive(Clone, Debug, Serialize)]
pub struct StatusView {
    /// This office.
    pub office: OfficeId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The last position of its chain.
    pub seq: Seq,
    /// The event there.
    pub head: Option<EventId>,
    /// Journal entries.
    pub journal: u64,
    /// Correspondents.
    pub correspondents: u64,
    /// Documents presented.
    pub incoming: u64,
    /// Documents sent.
    pub outgoing: u64,
    /// Sends without a receipt.
    pub open: u64,
    /// Of those, how many no relay has stored yet.
    pub queued: u64,
    /// When the oldest of them was saved.
    pub oldest_open_at: Option<Millis>,
    /// Sends that are late.
    pub overdue: u64,
    /// Attachments that are awaited.
    pub awaited_attachments: u64,
    /// Refused items kept.
    pub quarantined: u64,
    /// Alarms.
    pub alarms: u64,
    /// Size of the store, in bytes.
    pub store_bytes: u64,
}

impl Reader {
    /// The station at a glance.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn status(&self, now: Millis) -> Result<StatusView, StoreError> {
        let read = "read the status";
        let office: [u8; 16] =
            self.db.query_row("SELECT office FROM station", [], |row| row.get(0)).attempted(read)?;
        let head = newest_own(&self.db, read)?;
        let open = "FROM sent JOIN journal USING (position) WHERE sent.open = 1 AND sent.receipt IS NULL
                    AND sent.kind NOT IN (6, 7)";
        let (open, queued, oldest, overdue) = self
            .db
            .query_row(
                &format!(
                    "SELECT count(*), sum(left_by IS NULL), min(recorded_at), sum(recorded_at < ?1) {open}"
                ),
                [now.0.saturating_sub(OVERDUE_MS) as i64],
                |row| {
                    let count = |column| count_at(row, column);
                    Ok((count(0)?, count(1)?, row.get::<_, Option<i64>>(2)?.map(millis), count(3)?))
                },
            )
            .attempted(read)?;
        Ok(StatusView {
            office: OfficeId::new(office),
            incarnation: head.as_ref().map_or(Incarnation::FIRST, |head| head.event.incarnation),
            seq: head.as_ref().map_or(Seq(0), |head| head.event.seq),
            head: head.map(|head| head.id),
            journal: self.count("SELECT coalesce(max(position), 0) FROM journal")?,
            correspondents: self.count("SELECT count(*) FROM peer")?,
            incoming: self.count("SELECT presented FROM station")?,
            outgoing: self.count("SELECT count(*) FROM outgoing")?,
            open,
            queued,
            oldest_open_at: oldest,
            overdue,
            awaited_attachments: self.count("SELECT count(DISTINCT blob) FROM awaited")?,
            quarantined: self.count("SELECT count(*) FROM quarantine")?,
            alarms: self.count("SELECT count(*) FROM alarm")?,
            store_bytes: self
                .count("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?,
        })
    }
}
