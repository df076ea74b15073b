//! The station at a glance.

use rusqlite::Row;
use schema::id::{EventId, Incarnation, OfficeId, Seq};
use schema::invariant::OVERDUE_MS;
use schema::time::Millis;
use serde::Serialize;

use super::{Reader, count_at, millis};
use crate::store::inspect::newest_own;
use crate::store::outbox::Stretch;
use crate::store::{Attempted, StoreError};

/// Most hand-overs of keys that are shown.
const HANDED_OVER_MAX: usize = 32;

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
    /// Attachments that are here and are not what their documents name; these have not arrived.
    pub unreadable_attachments: u64,
    /// Refused items kept.
    pub quarantined: u64,
    /// Alarms.
    pub alarms: u64,
    /// Sealing keys that went to successors of this office, the newest first.
    pub keys_handed_over: Vec<HandedOver>,
    /// Sealing keys that other offices have handed over to this one, the newest first.
    pub keys_offered: Vec<HandedOver>,
    /// Size of the store, in bytes.
    pub store_bytes: u64,
}

/// Sealing keys on their way from an office to its successor.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HandedOver {
    /// The other office.
    pub office: OfficeId,
    /// When this station recorded it.
    pub at: Millis,
    /// The event that takes them there.
    pub event: EventId,
    /// Whether the successor has them, and has said so.
    pub kept: bool,
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
        let open = self.open_sends(now.0.saturating_sub(OVERDUE_MS) as i64)?;
        Ok(StatusView {
            office: OfficeId::new(office),
            incarnation: head.as_ref().map_or(Incarnation::FIRST, |head| head.event.incarnation),
            seq: head.as_ref().map_or(Seq(0), |head| head.event.seq),
            head: head.map(|head| head.id),
            journal: self.count("SELECT coalesce(max(position), 0) FROM journal")?,
            correspondents: self.count("SELECT count(*) FROM peer")?,
            incoming: self.count("SELECT presented FROM station")?,
            outgoing: self.count("SELECT count(*) FROM outgoing")?,
            open: open.waiting,
            queued: open.queued,
            oldest_open_at: open.oldest_at.map(millis),
            overdue: open.late,
            awaited_attachments: self
                .count("SELECT count(DISTINCT blob) FROM awaited WHERE unreadable = 0")?,
            unreadable_attachments: self
                .count("SELECT count(DISTINCT blob) FROM awaited WHERE unreadable = 1")?,
            quarantined: self.count("SELECT count(*) FROM quarantine")?,
            alarms: self.count("SELECT count(*) FROM alarm")?,
            keys_handed_over: self.keys_handed_over("sent")?,
            keys_offered: self.keys_handed_over("held")?,
            store_bytes: self
                .count("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?,
        })
    }

    /// Keys that were handed over, from here or to here.
    fn keys_handed_over(&self, table: &'static str) -> Result<Vec<HandedOver>, StoreError> {
        let sql = format!(
            "SELECT peer.office, journal.recorded_at, {table}.id, {table}.receipt IS NOT NULL
             FROM {table} INDEXED BY {table}_keys JOIN journal USING (position) JOIN peer ON peer.no = {table}.peer
             WHERE {table}.kind = 2 ORDER BY {table}.position DESC LIMIT {HANDED_OVER_MAX}"
        );
        let read = |row: &Row<'_>| {
            Ok(HandedOver {
                office: OfficeId::new(row.get(0)?),
                at: millis(row.get(1)?),
                event: EventId::new(row.get(2)?),
                kept: row.get(3)?,
            })
        };
        self.db
            .prepare_cached(&sql)
            .and_then(|mut s| s.query_map([], read)?.collect())
            .attempted("read which keys were handed over")
    }

    /// Counts the sends that wait for a receipt, late ones being those that were saved before `late_before`. Exact, whatever
    /// clocks did: only a stretch of the journal that was recorded on both sides of a time is looked at row by row.
    fn open_sends(&self, late_before: i64) -> Result<OpenSends, StoreError> {
        // One moment for all of it; ends with the transaction's value.
        let _moment = self.db.unchecked_transaction().attempted("read the status")?;
        let stretches = Stretch::all(&self.db)?;
        let mut sends = OpenSends::default();
        for stretch in &stretches {
            sends.waiting += stretch.waiting;
            sends.queued += stretch.queued;
            sends.late += match stretch {
                stretch if stretch.saved_until < late_before => stretch.waiting,
                stretch if stretch.saved_from >= late_before => 0,
                stretch => self.look_into(stretch, late_before)?.1,
            };
        }
        for stretch in &stretches {
            // No later stretch has an older one.
            if sends.oldest_at.is_some_and(|oldest| oldest <= stretch.saved_from) {
                break;
            }
            let (oldest, _) = self.look_into(stretch, late_before)?;
            sends.oldest_at = [sends.oldest_at, oldest].into_iter().flatten().min();
        }
        Ok(sends)
    }

    /// When the oldest send of a stretch was saved, and how many were before `late_before`.
    fn look_into(&self, stretch: &Stretch, late_before: i64) -> Result<(Option<i64>, u64), StoreError> {
        self.db
            .prepare_cached(LOOK_INTO)
            .and_then(|mut s| {
                let positions = stretch.positions();
                s.query_row([positions.start, positions.end, late_before], |row| {
                    Ok((row.get(0)?, count_at(row, 1)?))
                })
            })
            .attempted("read the status")
    }
}

const LOOK_INTO: &str =
    "SELECT min(recorded_at), sum(recorded_at < ?3) FROM sent INDEXED BY sent_waiting JOIN journal USING (position)
     WHERE position >= ?1 AND position < ?2 AND open = 1 AND receipt IS NULL AND kind NOT IN (6, 7)";

#[derive(Default)]
struct OpenSends {
    waiting: u64,
    queued: u64,
    late: u64,
    oldest_at: Option<i64>,
}
