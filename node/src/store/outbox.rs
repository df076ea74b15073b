//! When to send again: the clockwork of the outbox. Nothing here is part of the replayed state.

use rusqlite::{OptionalExtension, params};
use schema::body::{Place, SentPlace};
use schema::event::{Kind, Urgency};
use schema::id::{Counter, EventId, OfficeId, Position};
use schema::time::Millis;

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

    /// A store in whose outbox one row of each urgency is due at `due_at`.
    fn store(due_at: Millis) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("tram.db")).expect("a store");
        for (n, urgency) in (1_i64..).zip(Urgency::MOST_URGENT_FIRST) {
            let bytes = "INSERT INTO journal VALUES (?1, 0, 0, ?1, 0, x'00')";
            store.db.execute(bytes, [n]).expect("a journal entry");
            let n = n.unsigned_abs();
            let row = SentRow {
                to: RECIPIENT,
                place: Place {
                    incarnation: Incarnation::FIRST,
                    counter: Counter(n),
                    id: EventId::new([7; 32]),
                },
                position: Position(n),
                kind: Kind::Dispatch,
                urgency,
                document: Some(DocumentId::new([urgency.number(); 16])),
                open: true,
                left: None,
                receipt: None,
                superseded: false,
                regained: false,
                code_key: None,
            };
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
}
