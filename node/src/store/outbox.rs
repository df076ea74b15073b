//! When to send again: the clockwork of the outbox. Nothing here is part of the replayed state.

use std::ops::Range;

use rusqlite::{Connection, OptionalExtension, Row, params};
use schema::body::{Place, SentPlace};
use schema::event::{Kind, RecordedEvent, Urgency};
use schema::id::{Counter, EventId, OfficeId, Position};
use schema::time::Millis;

use super::inspect::{entry_columns, recorded_with};
use super::{Attempted, Store, StoreError, records};

/// Every level of urgency by its number: with it, a time leads straight to its rows in the index of the open ones,
/// which may be a million.
const EVERY_URGENCY: &str = "urgency IN (0, 1, 2, 3, 4)";

const _: () = {
    let levels = Urgency::MOST_URGENT_FIRST;
    assert!(levels.len() == 5 && levels[0].number() == 4 && levels[4].number() == 0);
};

/// One row of the outbox that is to be sent now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DueRow {
    /// The recipient.
    pub to: OfficeId,
    /// Its place in the channel to that recipient.
    pub place: Place,
    /// Where the journal has the event.
    pub position: Position,
    /// How often it was sent before.
    pub attempts: u32,
    /// Whether a relay has stored it before.
    pub left: bool,
}

impl DueRow {
    /// The row's key.
    pub fn key(&self) -> SentPlace {
        SentPlace { to: self.to, incarnation: self.place.incarnation, counter: self.place.counter }
    }
}

/// A document that has no receipt yet, when a new incarnation begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenDispatch {
    /// Where the journal has the event.
    pub position: Position,
    /// The recipients that have not answered.
    pub to: Vec<OfficeId>,
}

/// Entries of the journal that are counted together.
const STRETCH_ENTRIES: i64 = 256;

/// Sends that wait for a receipt, of one stretch of the journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::store) struct Stretch {
    number: i64,
    /// How many.
    pub(in crate::store) waiting: u64,
    /// Of those, how many no relay has stored yet.
    pub(in crate::store) queued: u64,
    /// None of them was saved before that.
    pub(in crate::store) saved_from: i64,
    /// Nor after that.
    pub(in crate::store) saved_until: i64,
}

impl Stretch {
    /// All that have any, by when their oldest was saved.
    pub(in crate::store) fn all(db: &Connection) -> Result<Vec<Self>, StoreError> {
        let sql = "SELECT stretch, waiting, queued, saved_from, saved_until FROM waiting_sends
                   WHERE waiting > 0 OR queued > 0 ORDER BY saved_from, stretch";
        Self::list(db, sql)
    }

    /// As [`Stretch::all`], but counted anew, row by row.
    fn counted(db: &Connection) -> Result<Vec<Self>, StoreError> {
        let sql = format!(
            "SELECT position / {STRETCH_ENTRIES} AS stretch, count(*), sum(left_by IS NULL), min(recorded_at),
                    max(recorded_at)
             FROM sent INDEXED BY sent_waiting JOIN journal USING (position)
             WHERE open = 1 AND receipt IS NULL AND kind NOT IN (6, 7) GROUP BY stretch ORDER BY stretch"
        );
        Self::list(db, &sql)
    }

    fn list(db: &Connection, sql: &str) -> Result<Vec<Self>, StoreError> {
        let row = |row: &Row<'_>| {
            Ok(Self {
                number: row.get(0)?,
                waiting: row.get::<_, i64>(1)?.unsigned_abs(),
                queued: row.get::<_, i64>(2)?.unsigned_abs(),
                saved_from: row.get(3)?,
                saved_until: row.get(4)?,
            })
        };
        db.prepare_cached(sql)
            .and_then(|mut s| s.query_map([], row)?.collect())
            .attempted("count the open sends")
    }

    /// Its entries of the journal.
    pub(in crate::store) const fn positions(&self) -> Range<i64> {
        self.number * STRETCH_ENTRIES..(self.number + 1) * STRETCH_ENTRIES
    }

    /// Whether what was counted row by row is what this says.
    fn holds(&self, counted: &Self) -> bool {
        let sums = |stretch: &Self| (stretch.number, stretch.waiting, stretch.queued);
        sums(self) == sums(counted)
            && self.saved_from <= counted.saved_from
            && counted.saved_until <= self.saved_until
    }
}

/// Counts the open sends row by row, and compares.
pub(in crate::store) fn check_open_sends(db: &Connection) -> Result<(), StoreError> {
    let mut kept = Stretch::all(db)?;
    kept.sort_unstable_by_key(|stretch| stretch.number);
    let counted = Stretch::counted(db)?;
    let same =
        kept.len() == counted.len() && kept.iter().zip(&counted).all(|(kept, counted)| kept.holds(counted));
    if same { Ok(()) } else { Err(StoreError::Value { what: "the count of open sends" }) }
}

fn hasten_after_sql() -> String {
    format!("UPDATE sent SET due_at = ?2 WHERE open = 1 AND {EVERY_URGENCY} AND due_at > ?1")
}

impl Store {
    /// The rows of one level of urgency that are due, the longest due first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn due(&self, urgency: Urgency, now: Millis, limit: usize) -> Result<Vec<DueRow>, StoreError> {
        let sql = "SELECT peer.office, sent.incarnation, sent.counter, sent.id, sent.position, sent.attempts,
                          sent.left_by IS NOT NULL
                   FROM sent JOIN peer ON peer.no = sent.peer
                   WHERE sent.open = 1 AND sent.urgency = ?1 AND sent.due_at <= ?2
                   ORDER BY sent.due_at, sent.position LIMIT ?3";
        let mut due = Vec::new();
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let mut rows = statement.query(params![urgency.number(), now.0 as i64, limit as i64])?;
                while let Some(row) = rows.next()? {
                    due.push(DueRow {
                        to: OfficeId::new(row.get(0)?),
                        place: Place {
                            incarnation: records::incarnation(row, 1)?,
                            counter: Counter(row.get::<_, i64>(2)?.unsigned_abs()),
                            id: EventId::new(row.get(3)?),
                        },
                        position: Position(row.get::<_, i64>(4)?.unsigned_abs()),
                        attempts: row.get(5)?,
                        left: row.get(6)?,
                    });
                }
                Ok(())
            })
            .attempted("read the outbox")?;
        Ok(due)
    }

    /// When the next open row is due; `None` when nothing is open.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn next_due(&self) -> Result<Option<Millis>, StoreError> {
        let sql = "SELECT min(due_at) FROM sent WHERE open = 1 AND urgency = ?1";
        let mut next: Option<Millis> = None;
        for urgency in Urgency::MOST_URGENT_FIRST {
            let due: Option<i64> = self
                .db
                .prepare_cached(sql)
                .and_then(|mut s| s.query_row([urgency.number()], |row| row.get(0)))
                .attempted("read the outbox")?;
            let due = due.map(|at| Millis(at.unsigned_abs()));
            next = [next, due].into_iter().flatten().min();
        }
        Ok(next)
    }

    /// Sets when a row is sent next, and counts the attempt.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn schedule(&self, row: &SentPlace, due_at: Millis, attempts: u32) -> Result<(), StoreError> {
        let Some(no) = self.known_number(&row.to)? else {
            return Ok(());
        };
        let sql = "UPDATE sent SET due_at = ?4, attempts = ?5 WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let counter = row.counter.0 as i64;
                s.execute(params![no, row.incarnation.number() as i64, counter, due_at.0 as i64, attempts])
            })
            .attempted("schedule a send")?;
        Ok(())
    }

    /// How often an open row was sent; `None` when it is not open.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn attempts(&self, row: &SentPlace) -> Result<Option<u32>, StoreError> {
        let Some(no) = self.known_number(&row.to)? else {
            return Ok(None);
        };
        let sql =
            "SELECT attempts FROM sent WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3 AND open = 1";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let key = params![no, row.incarnation.number() as i64, row.counter.0 as i64];
                s.query_row(key, |row| row.get(0)).optional()
            })
            .attempted("look at a send")
    }

    /// Makes due now what is scheduled after `limit`: a clock that was wrong has set that.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn hasten_after(&self, limit: Millis, now: Millis) -> Result<(), StoreError> {
        self.db
            .execute(&hasten_after_sql(), [limit.0 as i64, now.0 as i64])
            .attempted("hasten the outbox")?;
        Ok(())
    }

    /// Makes open rows due now: all that no relay has stored, or all to one office.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn hasten(&self, to: Option<&OfficeId>, now: Millis) -> Result<usize, StoreError> {
        let hastened = match to {
            None => {
                let sql = format!(
                    "UPDATE sent SET due_at = ?1 WHERE open = 1 AND left_by IS NULL AND {EVERY_URGENCY} AND due_at > ?1"
                );
                self.db.prepare_cached(&sql).and_then(|mut s| s.execute([now.0 as i64]))
            }
            Some(to) => {
                let Some(no) = self.known_number(to)? else {
                    return Ok(0);
                };
                let sql = "UPDATE sent SET due_at = ?2 WHERE open = 1 AND peer = ?1 AND due_at > ?2 AND attempts > 0";
                self.db.prepare_cached(sql).and_then(|mut s| s.execute(params![no, now.0 as i64]))
            }
        };
        hastened.attempted("hasten the outbox")
    }

    /// Documents without all receipts, with the recipients that are missing, in the order they were recorded.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn open_dispatches(&self) -> Result<Vec<OpenDispatch>, StoreError> {
        let sql = "SELECT sent.position, peer.office FROM sent JOIN peer ON peer.no = sent.peer
                   WHERE sent.open = 1 AND sent.kind NOT IN (?1, ?2, ?3, ?4)
                   ORDER BY sent.position, peer.office";
        let mut open: Vec<OpenDispatch> = Vec::new();
        self.db
            .prepare(sql)
            .and_then(|mut statement| {
                let kinds = [Kind::Receipt, Kind::Head, Kind::Restored, Kind::Returned].map(Kind::number);
                let mut rows = statement.query(kinds)?;
                while let Some(row) = rows.next()? {
                    let position = Position(row.get::<_, i64>(0)?.unsigned_abs());
                    let to = OfficeId::new(row.get(1)?);
                    match open.last_mut().filter(|open| open.position == position) {
                        Some(open) => open.to.push(to),
                        None => open.push(OpenDispatch { position, to: vec![to] }),
                    }
                }
                Ok(())
            })
            .attempted("list what is still open")?;
        Ok(open)
    }

    /// Where the journal has what is being given back to this recipient and has no receipt yet; at most `limit`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn being_given_back(&self, to: &OfficeId, limit: usize) -> Result<Vec<Position>, StoreError> {
        let no = self.number_of(to)?;
        let sql = "SELECT position FROM sent WHERE open = 1 AND kind = ?1 AND peer = ?2 LIMIT ?3";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_map(params![Kind::Returned.number(), no, limit as i64], |row| row.get::<_, i64>(0))?
                    .map(|position| position.map(|position| Position(position.unsigned_abs())))
                    .collect()
            })
            .attempted("look for what is being given back")
    }

    /// What a journal entry says, its content included.
    ///
    /// # Errors
    /// When SQLite fails, or there is no such entry.
    pub fn recorded_at(&self, position: Position) -> Result<RecordedEvent, StoreError> {
        let found = self
            .db
            .prepare_cached("SELECT bytes, content FROM journal WHERE position = ?1")
            .and_then(|mut s| s.query_row([position.0 as i64], |row| entry_columns(row, 0)))
            .attempted("read a journal entry")?;
        recorded_with(position.0 as i64, &found)
    }

    /// The bytes of a journal entry.
    ///
    /// # Errors
    /// When SQLite fails or there is no such entry.
    pub fn bytes_at(&self, position: Position) -> Result<Vec<u8>, StoreError> {
        self.db
            .prepare_cached("SELECT bytes FROM journal WHERE position = ?1")
            .and_then(|mut s| s.query_row([position.0 as i64], |row| row.get(0)))
            .attempted("read a journal entry")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::exchange::{Change, SentRow};
    use schema::id::{DocumentId, Incarnation};

    const RECIPIENT: OfficeId = OfficeId::new([2; 16]);

    /// The `n`-th send, which is recorded at the same position and open.
    fn open_row(n: u64, kind: Kind, urgency: Urgency, document: Option<DocumentId>) -> SentRow {
        SentRow {
            to: RECIPIENT,
            place: Place { incarnation: Incarnation::FIRST, counter: Counter(n), id: EventId::new([7; 32]) },
            position: Position(n),
            kind,
            urgency,
            document,
            open: true,
            left: None,
            receipt: None,
            superseded: false,
            regained: false,
            code_key: None,
        }
    }

    /// A store in whose outbox one row of each urgency is due at `due_at`.
    fn store(due_at: Millis) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("tram.db")).expect("a store");
        for (n, urgency) in (1_i64..).zip(Urgency::MOST_URGENT_FIRST) {
            let bytes = "INSERT INTO journal VALUES (?1, 0, 0, ?1, 0, x'00', NULL)";
            store.db.execute(bytes, [n]).expect("a journal entry");
            let n = n.unsigned_abs();
            let document = Some(DocumentId::new([urgency.number(); 16]));
            let row = open_row(n, Kind::Dispatch, urgency, document);
            store.apply(&Change::Sent(row), Position(n), due_at).expect("a row");
        }
        (folder, store)
    }

    fn due(store: &Store, now: Millis) -> usize {
        let due = |urgency| store.due(urgency, now, 10).expect("read").len();
        Urgency::MOST_URGENT_FIRST.into_iter().map(due).sum()
    }

    #[test]
    fn what_a_wrong_clock_has_set_is_due_again_whatever_its_urgency() {
        let (_folder, store) = store(Millis(9_000));
        store.hasten_after(Millis(9_000), Millis(5)).expect("hastened");
        assert_eq!(due(&store, Millis(5)), 0, "it is not later than that");
        store.hasten_after(Millis(8_999), Millis(5)).expect("hastened");
        assert_eq!(due(&store, Millis(5)), 5);
    }

    #[test]
    fn a_line_makes_due_what_no_relay_has_whatever_its_urgency() {
        let (_folder, store) = store(Millis(9_000));
        assert_eq!(store.hasten(None, Millis(5)).expect("hastened"), 5);
        assert_eq!(due(&store, Millis(5)), 5);
    }

    #[test]
    fn a_start_does_not_look_at_every_open_send() {
        let (_folder, store) = store(Millis(9_000));
        let plan: String = store
            .db
            .query_row(&format!("EXPLAIN QUERY PLAN {}", hasten_after_sql()), [1, 2], |row| row.get("detail"))
            .expect("a plan");
        assert!(plan.contains("sent_due (urgency=? AND due_at>?)"), "{plan}");
    }
    /// Sends of three stretches of the journal, recorded by a clock that goes back twice.
    const SENDS: u64 = 600;
    /// What the clock said at an entry of the journal.
    fn recorded_at(position: u64) -> i64 {
        let hour = match position {
            0..200 => 0,
            200..300 => 50,
            300..450 => 1,
            _ => 0,
        };
        (hour * 3_600_000 + position).cast_signed()
    }

    fn long_store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("tram.db")).expect("a store");
        store.begin().expect("a transaction");
        for n in 1..=SENDS {
            let entry = "INSERT INTO journal VALUES (?1, 1, 0, ?1, ?2, x'00', NULL)";
            store.db.execute(entry, params![n.cast_signed(), recorded_at(n)]).expect("a journal entry");
            let kind = match n % 7 {
                0 => Kind::Receipt,
                1 => Kind::Head,
                _ => Kind::Dispatch,
            };
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_le_bytes());
            let document = (kind == Kind::Dispatch).then(|| DocumentId::new(id));
            let row = open_row(n, kind, Urgency::Normal, document);
            store.apply(&Change::Sent(row), Position(n), Millis(1)).expect("a row");
        }
        store.claim(OfficeId::new([1; 16])).expect("claimed");
        store.commit().expect("committed");
        (folder, store)
    }

    /// Open, queued and late sends and when the oldest was saved, walking all of them.
    fn walked(store: &Store, late_before: i64) -> (u64, u64, u64, Option<u64>) {
        let sql = "SELECT count(*), coalesce(sum(left_by IS NULL), 0), coalesce(sum(recorded_at < ?1), 0),
                          min(recorded_at)
                   FROM sent JOIN journal USING (position)
                   WHERE sent.open = 1 AND sent.receipt IS NULL AND sent.kind NOT IN (6, 7)";
        let number = |row: &Row<'_>, column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        let row = |row: &Row<'_>| {
            let oldest = row.get::<_, Option<i64>>(3)?.map(i64::unsigned_abs);
            Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?, oldest))
        };
        store.db.query_row(sql, [late_before], row).expect("counted")
    }

    fn in_status(folder: &tempfile::TempDir, now: Millis) -> (u64, u64, u64, Option<u64>) {
        let reader = crate::store::Reader::open(&folder.path().join("tram.db")).expect("a reader");
        let status = reader.status(now).expect("a status");
        (status.open, status.queued, status.overdue, status.oldest_open_at.map(|at| at.0))
    }

    /// The status counts the open sends without walking them, and counts what a walk would.
    #[test]
    fn status_counts_open_sends_as_a_walk_does() {
        use schema::invariant::OVERDUE_MS;
        let (folder, store) = long_store();
        let (to, incarnation) = (RECIPIENT, Incarnation::FIRST);
        let mut seen = std::collections::BTreeSet::new();
        for round in 0..400_u64 {
            // Every number comes up, in no order.
            let n = (round * 7_919) % SENDS + 1;
            let (counter, position) = (Counter(n), Position(1));
            let change = match (round / 3) % 6 {
                0 | 1 => Change::Left { to, incarnation, counter, position, closes: round % 5 == 0 },
                2 | 3 => Change::Receipted { to, incarnation, counter, position },
                4 => Change::Confirmed { to, incarnation, counter },
                _ => Change::Reopened { to, incarnation, counter },
            };
            store.apply(&change, position, Millis(2)).expect("changed");
            check_open_sends(&store.db).expect("the counts hold");
            if round % 20 == 0 {
                for hours in [0, 1, 2, 51] {
                    let late_before = hours * 3_600_000 + 250;
                    let found = in_status(&folder, Millis(late_before + OVERDUE_MS));
                    assert_eq!(found, walked(&store, late_before.cast_signed()), "round {round}");
                    seen.insert(found);
                }
            }
        }
        assert!(seen.len() > 20, "the counts have changed on the way: {seen:?}");
        for n in 1..=SENDS {
            // Opened again after it had left, and again while it is open.
            for change in [
                Change::Reopened { to, incarnation, counter: Counter(n) },
                Change::Left { to, incarnation, counter: Counter(n), position: Position(1), closes: false },
                Change::Reopened { to, incarnation, counter: Counter(n) },
            ] {
                store.apply(&change, Position(1), Millis(2)).expect("changed");
            }
        }
        check_open_sends(&store.db).expect("the counts hold");
        let half = Change::SentAnew { to, incarnation, counter: Counter(3) };
        store.apply(&half, Position(1), Millis(2)).expect("changed");
        check_open_sends(&store.db).expect("the counts hold");
        let all = Change::Superseded { before: Incarnation::FIRST.following(0) };
        store.apply(&all, Position(1), Millis(2)).expect("changed");
        check_open_sends(&store.db).expect("the counts hold");
        assert_eq!(in_status(&folder, Millis(0)), (0, 0, 0, None));
    }

    /// A count that is not what is there is damage, and is found by whatever checks a store.
    #[test]
    fn wrong_count_of_open_sends_is_found() {
        let (folder, store) = long_store();
        for (wrong, back) in [
            ("waiting = waiting + 1", "waiting = waiting - 1"),
            ("queued = queued - 1", "queued = queued + 1"),
            ("saved_until = saved_until - 1", "saved_until = saved_until + 1"),
            ("saved_from = saved_from + 1", "saved_from = saved_from - 1"),
        ] {
            let set = |what: &str| format!("UPDATE waiting_sends SET {what} WHERE stretch = 1");
            store.db.execute(&set(wrong), []).expect("changed");
            assert!(matches!(check_open_sends(&store.db), Err(StoreError::Value { .. })), "{wrong}");
            let inspection = crate::store::Inspection::open(&folder.path().join("tram.db")).expect("opened");
            assert!(inspection.check_open_sends().is_err(), "{wrong}");
            store.db.execute(&set(back), []).expect("changed");
            check_open_sends(&store.db).expect("the counts hold again");
        }
        store.db.execute("DELETE FROM waiting_sends WHERE stretch = 1", []).expect("changed");
        assert!(check_open_sends(&store.db).is_err());
    }
}
