//! Rows of sent and held events: the large part of the state, and its replay.

use rusqlite::{Connection, OptionalExtension, Row, params};
use schema::body::Place;
use schema::event::{Kind, RecordedEvent, Urgency};
use schema::exchange::{
    Alarm, Change, Class, Entry, Exchange, HeldRow, Judged, LineUse, MemoryRecords, Records, SAME_CODE_MAX,
    SentRow, StateDigest,
};
use schema::handling::{self, CaseRow, Direction, DraftedRow, ErasedRow, PersonRow, Side};
use schema::id::{Counter, DocumentId, EventId, Incarnation, OfficeId, Position, StateHash, WorkId};
use schema::invariant::{ChainCheck, Violation};
use schema::time::Millis;
use schema::trust::Outcome;

use super::erased::{all_erased, erased};
use super::handled::{people, person_row};
use super::outbox::check_open_sends;
use super::{Attempted, JournalEntry, Store, StoreError};

const SENT_COLUMNS: &str = "sent.incarnation, sent.counter, sent.id, sent.position, sent.kind, sent.urgency, \
                            sent.document, sent.open, sent.left_by, sent.receipt, sent.superseded, sent.regained, \
                            sent.code_key";
const HELD_COLUMNS: &str = "held.incarnation, held.counter, held.id, held.position, held.kind, held.document, \
                            held.receipt, held.receipt_incarnation, held.ordinal, held.in_order, held.judged, \
                            held.outcome, held.judged_open, held.code_key, held.forgone, held.unreadable";

fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

/// An incarnation in a column.
pub(super) fn incarnation(row: &Row<'_>, column: usize) -> rusqlite::Result<Incarnation> {
    let number: i64 = row.get(column)?;
    let read = u64::try_from(number).ok().and_then(|number| Incarnation::try_from(number).ok());
    read.ok_or(rusqlite::Error::IntegralValueOutOfRange(column, number))
}

fn position(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Position>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|value| Position(value.unsigned_abs())))
}

fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place {
        incarnation: incarnation(row, 0)?,
        counter: Counter(unsigned(row, 1)?),
        id: EventId::new(row.get(2)?),
    })
}

fn sent_row(to: OfficeId, row: &Row<'_>) -> rusqlite::Result<SentRow> {
    Ok(SentRow {
        to,
        place: place(row)?,
        position: Position(unsigned(row, 3)?),
        kind: Kind::from_number(row.get(4)?),
        urgency: urgency(row.get(5)?),
        document: row.get::<_, Option<[u8; 16]>>(6)?.map(DocumentId::new),
        open: row.get(7)?,
        left: position(row, 8)?,
        receipt: position(row, 9)?,
        superseded: row.get(10)?,
        regained: row.get(11)?,
        code_key: row.get::<_, Option<i64>>(12)?.map(i64::unsigned_abs),
    })
}

fn held_row(from: OfficeId, row: &Row<'_>) -> rusqlite::Result<HeldRow> {
    Ok(HeldRow {
        from,
        place: place(row)?,
        position: Position(unsigned(row, 3)?),
        kind: Kind::from_number(row.get(4)?),
        document: row.get::<_, Option<[u8; 16]>>(5)?.map(DocumentId::new),
        receipt: position(row, 6)?,
        receipt_incarnation: row.get::<_, Option<i64>>(7)?.map(|_| incarnation(row, 7)).transpose()?,
        ordinal: row.get::<_, Option<i64>>(8)?.map(i64::unsigned_abs),
        in_order: row.get(9)?,
        judged: judged(row, 10)?,
        code_key: row.get::<_, Option<i64>>(13)?.map(i64::unsigned_abs),
        forgone: row.get(14)?,
        unreadable: row.get(15)?,
    })
}

/// The three columns of a judgement.
fn judged(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Judged>> {
    let Some(position) = position(row, column)? else { return Ok(None) };
    let number: u8 = row.get(column + 1)?;
    let outcome = Outcome::from_number(number);
    let outcome = outcome.ok_or(rusqlite::Error::IntegralValueOutOfRange(column + 1, number.into()))?;
    Ok(Some(Judged { position, outcome, open: row.get(column + 2)? }))
}

pub(super) fn urgency(number: u8) -> Urgency {
    let levels = Urgency::MOST_URGENT_FIRST.into_iter();
    levels.rev().find(|urgency| urgency.number() == number).unwrap_or_default()
}

pub(super) fn class(number: i64) -> Class {
    match number {
        0 => Class::Own,
        1 => Class::Received,
        3 => Class::Regained,
        4 => Class::Unreadable,
        5 => Class::Opened,
        _ => Class::Evidence,
    }
}

impl Records for Store {
    type Error = StoreError;

    fn sent(
        &self,
        to: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
    ) -> Result<Option<SentRow>, StoreError> {
        let sql =
            format!("SELECT {SENT_COLUMNS} FROM sent WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3");
        self.row_of_channel(&sql, (to, incarnation, counter), sent_row, "look up a sent event")
    }

    fn next_sent(
        &self,
        to: &OfficeId,
        incarnation: Incarnation,
        after: Counter,
    ) -> Result<Option<SentRow>, StoreError> {
        let sql = format!(
            "SELECT {SENT_COLUMNS} FROM sent WHERE peer = ?1 AND incarnation = ?2 AND counter > ?3
             ORDER BY counter LIMIT 1"
        );
        self.row_of_channel(&sql, (to, incarnation, after), sent_row, "look up the next sent event")
    }

    fn held(
        &self,
        from: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
    ) -> Result<Option<HeldRow>, StoreError> {
        let sql =
            format!("SELECT {HELD_COLUMNS} FROM held WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3");
        self.row_of_channel(&sql, (from, incarnation, counter), held_row, "look up a held event")
    }

    fn knows_incoming(&self, from: &OfficeId, document: &DocumentId) -> Result<bool, StoreError> {
        let Some(no) = self.known_number(from)? else {
            return Ok(false);
        };
        self.db
            .prepare_cached("SELECT 1 FROM held WHERE document = ?1 AND peer = ?2")
            .and_then(|mut s| s.exists(params![document.as_bytes(), no]))
            .attempted("look up an incoming document")
    }

    fn incomplete(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, StoreError> {
        let Some(no) = self.known_number(from)? else {
            return Ok(Vec::new());
        };
        // Whatever could be read, wants a receipt and has none waits for an attachment: there is no other reason.
        let sql = "SELECT held.incarnation, held.counter, held.id
                   FROM (SELECT DISTINCT peer, incarnation, counter FROM awaited WHERE peer = ?1 LIMIT ?2)
                   JOIN held USING (peer, incarnation, counter) ORDER BY 1, 2";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map(params![no, limit as i64], place)?.collect())
            .attempted("look up what waits for attachments")
    }

    fn unopened(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, StoreError> {
        let Some(no) = self.known_number(from)? else {
            return Ok(Vec::new());
        };
        let sql = "SELECT incarnation, counter, id FROM held
                   WHERE unreadable = 1 AND receipt IS NULL AND peer = ?1 ORDER BY 1, 2 LIMIT ?2";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map(params![no, limit as i64], place)?.collect())
            .attempted("look up what could not be read")
    }

    fn incarnation_at(&self, position: Position) -> Result<Option<Incarnation>, StoreError> {
        self.db
            .prepare_cached("SELECT incarnation FROM journal WHERE position = ?1 AND class IN (1, 4, 5)")
            .and_then(|mut s| s.query_row([position.0 as i64], |row| incarnation(row, 0)).optional())
            .attempted("look up whose receipt it was")
    }

    fn early_receipts(
        &self,
        from: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
    ) -> Result<Vec<(Place, Position)>, StoreError> {
        let Some(no) = self.known_number(from)? else {
            return Ok(Vec::new());
        };
        let sql = "SELECT incarnation, counter, id, position FROM early_receipt
                   WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3 ORDER BY id";
        let key = params![no, incarnation.number() as i64, counter.0 as i64];
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_map(key, |row| Ok((place(row)?, Position(unsigned(row, 3)?))))?.collect()
            })
            .attempted("look for early receipts")
    }

    fn unmatched_receipts(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, StoreError> {
        let Some(no) = self.known_number(from)? else {
            return Ok(Vec::new());
        };
        let sql = "SELECT early.incarnation, early.counter, early.id FROM early_receipt AS early
                   WHERE early.peer = ?1 AND NOT EXISTS (
                       SELECT 1 FROM sent WHERE sent.peer = early.peer AND sent.incarnation = early.incarnation
                         AND sent.counter = early.counter AND sent.id = early.id)
                   ORDER BY 1, 2, 3 LIMIT ?2";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map(params![no, limit as i64], place)?.collect())
            .attempted("look up receipts for what is not known")
    }

    fn contested(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, StoreError> {
        let Some(no) = self.known_number(from)? else {
            return Ok(Vec::new());
        };
        let sql = "SELECT contested.incarnation, contested.counter, held.id
                   FROM contested JOIN held USING (peer, incarnation, counter)
                   WHERE contested.peer = ?1 ORDER BY 1 DESC, 2 DESC LIMIT ?2";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map(params![no, limit as i64], place)?.collect())
            .attempted("look up contested places")
    }

    fn knows_outgoing(&self, document: &DocumentId) -> Result<bool, StoreError> {
        self.db
            .prepare_cached("SELECT 1 FROM outgoing WHERE document = ?1")
            .and_then(|mut s| s.exists([document.as_bytes()]))
            .attempted("look up an outgoing document")
    }

    fn incoming(&self, from: &OfficeId, document: &DocumentId) -> Result<Option<HeldRow>, StoreError> {
        let Some(no) = self.known_number(from)? else {
            return Ok(None);
        };
        let sql = format!("SELECT {HELD_COLUMNS} FROM held WHERE document = ?1 AND peer = ?2");
        self.db
            .prepare_cached(&sql)
            .and_then(|mut s| {
                s.query_row(params![document.as_bytes(), no], |row| held_row(*from, row)).optional()
            })
            .attempted("look up an incoming document")
    }

    fn recipients(&self, document: &DocumentId) -> Result<Vec<OfficeId>, StoreError> {
        let sql = "SELECT DISTINCT peer.office FROM sent JOIN peer ON peer.no = sent.peer
                   WHERE sent.document = ?1 ORDER BY peer.office";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_map([document.as_bytes()], |row| row.get(0).map(OfficeId::new))?.collect()
            })
            .attempted("look up the recipients of a document")
    }

    fn case(
        &self,
        with: &OfficeId,
        document: &DocumentId,
        side: Side,
    ) -> Result<Option<CaseRow>, StoreError> {
        self.handled(with, document, side)
    }

    fn line(&self, direction: Direction, line: &handling::Entry) -> Result<Option<LineUse>, StoreError> {
        self.line_use(direction, line)
    }

    fn line_of_work(
        &self,
        work: &WorkId,
    ) -> Result<Option<(Direction, handling::Entry, LineUse)>, StoreError> {
        Self::line_of_work(self, work)
    }

    fn drafted(&self, document: &DocumentId) -> Result<Option<DraftedRow>, StoreError> {
        self.draft(document)
    }

    fn person(&self, name: &str) -> Result<Option<PersonRow>, StoreError> {
        self.db
            .prepare_cached("SELECT bytes FROM person WHERE name = ?1")
            .and_then(|mut s| s.query_row([name], |row| person_row(row, 0)).optional())
            .attempted("look up somebody of the office")
    }

    fn people(&self) -> Result<Vec<PersonRow>, StoreError> {
        people(&self.db)
    }

    fn erased(&self, issuer: &OfficeId, document: &DocumentId) -> Result<Option<ErasedRow>, StoreError> {
        erased(&self.db, issuer, document)
    }

    fn is_on_its_way(&self, document: &DocumentId) -> Result<bool, StoreError> {
        self.db
            .prepare_cached("SELECT 1 FROM sent INDEXED BY sent_document WHERE document = ?1 AND open = 1")
            .and_then(|mut s| s.exists([document.as_bytes()]))
            .attempted("look up who a document has not reached")
    }

    fn registered_with_code(&self, from: &OfficeId, code_key: u64) -> Result<Vec<DocumentId>, StoreError> {
        let sql = "SELECT document FROM handled INDEXED BY handled_code
                   WHERE code_key = ?2 AND peer = ?1 ORDER BY document LIMIT ?3";
        self.documents_with_code(sql, from, code_key)
    }

    fn went_with_code(&self, to: &OfficeId, code_key: u64) -> Result<Vec<DocumentId>, StoreError> {
        let sql = "SELECT DISTINCT document FROM sent INDEXED BY sent_code
                   WHERE code_key = ?2 AND peer = ?1 AND document IS NOT NULL ORDER BY document LIMIT ?3";
        self.documents_with_code(sql, to, code_key)
    }
}

impl Store {
    fn documents_with_code(
        &self,
        sql: &str,
        office: &OfficeId,
        code_key: u64,
    ) -> Result<Vec<DocumentId>, StoreError> {
        let Some(no) = self.known_number(office)? else {
            return Ok(Vec::new());
        };
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let key = params![no, code_key as i64, SAME_CODE_MAX as i64];
                s.query_map(key, |row| row.get(0).map(DocumentId::new))?.collect()
            })
            .attempted("look for documents with one number")
    }

    /// The row that `sql` finds for this correspondent, incarnation and counter.
    fn row_of_channel<T>(
        &self,
        sql: &str,
        (peer, incarnation, counter): (&OfficeId, Incarnation, Counter),
        read: impl FnOnce(OfficeId, &Row<'_>) -> rusqlite::Result<T>,
        attempted: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let Some(no) = self.known_number(peer)? else {
            return Ok(None);
        };
        let place = params![no, incarnation.number() as i64, counter.0 as i64];
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(place, |row| read(*peer, row)).optional())
            .attempted(attempted)
    }

    /// Applies what a journal entry changed. `due_at` is when a new or reopened outbox row is to be sent.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn apply(&self, change: &Change, entry: Position, due_at: Millis) -> Result<(), StoreError> {
        match change {
            Change::Sent(row) => self.insert_sent(row, due_at),
            Change::Held(row) => self.insert_held(row),
            Change::Left {
                to,
                incarnation,
                counter,
                position,
                closes,
            } => self.change_row(
                "UPDATE sent SET left_by = coalesce(left_by, ?4), open = CASE WHEN ?5 THEN 0 ELSE open END
                 WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3",
                (to, *incarnation, *counter),
                &[&(position.0 as i64), closes],
            ),
            Change::Receipted {
                to,
                incarnation,
                counter,
                position,
            } => self.change_row(
                "UPDATE sent SET receipt = ?4, open = 0
                 WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3",
                (to, *incarnation, *counter),
                &[&(position.0 as i64)],
            ),
            Change::Confirmed {
                to,
                incarnation,
                counter,
            } => self.change_row(
                "UPDATE sent SET open = 0 WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3",
                (to, *incarnation, *counter),
                &[],
            ),
            Change::Reopened {
                to,
                incarnation,
                counter,
            } => self.change_row(
                "UPDATE sent SET open = 1, left_by = NULL, due_at = ?4 WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3",
                (to, *incarnation, *counter),
                &[&(due_at.0 as i64)],
            ),
            Change::Superseded { before } => {
                let sql = "UPDATE sent SET open = 0, superseded = 1 WHERE open = 1 AND incarnation < ?1";
                self.db
                    .execute(sql, [before.number() as i64])
                    .attempted("supersede an earlier incarnation")?;
                Ok(())
            }
            Change::SentAnew { to, incarnation, counter } => self.change_row(
                "UPDATE sent SET open = 0, superseded = 1 WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3",
                (to, *incarnation, *counter),
                &[],
            ),
            Change::EarlyReceipt { from, place, position } => {
                self.insert_early_receipt(from, place, *position)
            }
            Change::Regained { document, id, position } => {
                self.db
                    .prepare_cached("DELETE FROM early_receipt WHERE id = ?1")
                    .and_then(|mut s| s.execute([id.as_bytes()]))
                    .attempted("forget an early receipt")?;
                document.map_or(Ok(()), |document| self.insert_outgoing(&document, *position))
            }
            Change::Case(case) => self.save_handled(case),
            Change::Line { direction, line, used } => self.use_line(*direction, line, *used),
            Change::Drafted(row) => self.save_draft(row, entry),
            Change::Person(row) => self.save_person(row),
            Change::Erased(row) => self.save_erased(row),
            Change::Answered {
                from,
                incarnation,
                counter,
                position,
                mine,
            } => {
                let sql = "UPDATE held SET receipt = ?4, receipt_incarnation = ?5
                           WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3";
                self.change_row(
                    sql,
                    (from, *incarnation, *counter),
                    &[&(position.0 as i64), &(mine.number() as i64)],
                )
            }
            Change::Forgone { from, incarnation, counter } => {
                let key = (from, *incarnation, *counter);
                let sql = "UPDATE held SET forgone = 1 WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3";
                self.change_row(sql, key, &[])?;
                let sql = "DELETE FROM awaited WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3";
                self.change_row(sql, key, &[])
            }
            Change::Presented {
                from,
                incarnation,
                counter,
                ordinal,
                in_order,
            } => {
                let sql = "UPDATE held SET ordinal = ?4, in_order = ?5, unsettled = NOT EXISTS (
                               SELECT 1 FROM handled WHERE handled.peer = held.peer AND handled.document = held.document
                               AND handled.side = 0 AND (handled.stage > 1 OR handled.standing > 1))
                           WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3";
                self.change_row(
                    sql,
                    (from, *incarnation, *counter),
                    &[&(*ordinal as i64), in_order],
                )?;
                self.note_shown(from, *incarnation, *counter)
            }
            Change::Judged { from, incarnation, counter, judged } => {
                let sql = "UPDATE held SET judged = ?4, outcome = ?5, judged_open = ?6
                           WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3";
                let position = judged.position.0 as i64;
                self.change_row(
                    sql,
                    (from, *incarnation, *counter),
                    &[&position, &judged.outcome.number(), &judged.open],
                )
            }
            Change::Alarm(alarm) => {
                let bytes = minicbor::to_vec(alarm).unwrap_or_default();
                self.db
                    .prepare_cached("INSERT INTO alarm (position, bytes) VALUES (?1, ?2)")
                    .and_then(|mut s| s.execute(params![entry.0 as i64, bytes]))
                    .attempted("record an alarm")?;
                match alarm {
                    Alarm::Fork { office, incarnation, counter, .. } => self.change_row(
                        "INSERT INTO contested VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                        (office, *incarnation, *counter),
                        &[],
                    ),
                    _ => Ok(()),
                }
            }
        }
    }

    fn insert_sent(&self, row: &SentRow, due_at: Millis) -> Result<(), StoreError> {
        let no = self.number_of(&row.to)?;
        self.db
            .prepare_cached(
                "INSERT INTO sent (peer, incarnation, counter, id, position, kind, urgency, document, open, superseded,
                 regained, due_at, code_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, 0, ?9, ?10, ?11)",
            )
            .and_then(|mut s| {
                s.execute(params![
                    no,
                    row.place.incarnation.number() as i64,
                    row.place.counter.0 as i64,
                    row.place.id.as_bytes(),
                    row.position.0 as i64,
                    row.kind.number(),
                    row.urgency.number(),
                    row.document.map(|id| *id.as_bytes()),
                    row.regained,
                    due_at.0 as i64,
                    row.code_key.map(|key| key as i64),
                ])
            })
            .attempted("put an event into the outbox")?;
        row.document.map_or(Ok(()), |document| self.insert_outgoing(&document, row.position))
    }

    fn insert_early_receipt(
        &self,
        from: &OfficeId,
        place: &Place,
        position: Position,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO early_receipt VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT DO UPDATE SET position = ?5";
        let (incarnation, counter) = (place.incarnation.number() as i64, place.counter.0 as i64);
        let no = self.number_of(from)?;
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.execute(params![no, incarnation, counter, place.id.as_bytes(), position.0 as i64])
            })
            .attempted("keep an early receipt")?;
        Ok(())
    }

    fn insert_outgoing(&self, document: &DocumentId, position: Position) -> Result<(), StoreError> {
        let sql = "INSERT INTO outgoing (position, document) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(params![position.0 as i64, document.as_bytes()]))
            .attempted("list an outgoing document")?;
        Ok(())
    }

    fn insert_held(&self, row: &HeldRow) -> Result<(), StoreError> {
        let no = self.number_of(&row.from)?;
        self.db
            .prepare_cached(
                "INSERT INTO held (peer, incarnation, counter, id, position, kind, document, in_order, code_key, unreadable)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT DO UPDATE SET position = ?5, document = ?7, in_order = ?8, code_key = ?9, unreadable = ?10
                 WHERE unreadable = 1 AND id = ?4",
            )
            .and_then(|mut s| {
                s.execute(params![
                    no,
                    row.place.incarnation.number() as i64,
                    row.place.counter.0 as i64,
                    row.place.id.as_bytes(),
                    row.position.0 as i64,
                    row.kind.number(),
                    row.document.map(|id| *id.as_bytes()),
                    row.in_order,
                    row.code_key.map(|key| key as i64),
                    row.unreadable,
                ])
            })
            .attempted("put an event into the inbox")?;
        Ok(())
    }

    /// Runs `sql` on the row of a channel; `values` follow its three key columns.
    fn change_row(
        &self,
        sql: &str,
        (office, incarnation, counter): (&OfficeId, Incarnation, Counter),
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<(), StoreError> {
        let no = self.number_of(office)?;
        let (incarnation, counter) = (incarnation.number() as i64, counter.0 as i64);
        let mut all: Vec<&dyn rusqlite::ToSql> = vec![&no, &incarnation, &counter];
        all.extend(values);
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(all.as_slice()))
            .attempted("change a row of a channel")?;
        Ok(())
    }

    /// The hash of the live state, from the tables (P7). What is kept beside them for the status is counted anew.
    ///
    /// # Errors
    /// When SQLite fails, or a count is not what is there.
    pub fn state_hash(&self, exchange: &Exchange) -> Result<StateHash, StoreError> {
        check_open_sends(&self.db)?;
        let mut digest = StateDigest::new(exchange);
        self.each_sent(|row| digest.sent(&row))?;
        self.each_held(|row| digest.held(&row))?;
        self.each_handled(|case| digest.case(&case))?;
        self.each_line(|direction, line, used| digest.line(direction, &line, used))?;
        self.each_draft(|row| digest.drafted(&row))?;
        people(&self.db)?.iter().for_each(|row| digest.person(row));
        all_erased(&self.db)?.iter().for_each(|row| digest.erased(row));
        Ok(digest.finish())
    }

    /// The journal entries of events that could not be read and have no receipt, in order: the first `limit` behind this one.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn unreadable_after(&self, after: Position, limit: usize) -> Result<Vec<Position>, StoreError> {
        let sql = "SELECT position FROM held INDEXED BY held_unreadable
                   WHERE unreadable = 1 AND receipt IS NULL AND position > ?1 ORDER BY position LIMIT ?2";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let rows = s.query_map(params![after.0 as i64, limit as i64], |row| row.get::<_, i64>(0))?;
                rows.map(|row| row.map(|position| Position(position.unsigned_abs()))).collect()
            })
            .attempted("list what could not be read")
    }

    /// Every sent row, by recipient, incarnation and counter.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn each_sent(&self, mut each: impl FnMut(SentRow)) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT {SENT_COLUMNS}, peer.office FROM sent JOIN peer ON peer.no = sent.peer
             ORDER BY peer.office, sent.incarnation, sent.counter"
        );
        each_row(&self.db, &sql, |row| {
            each(sent_row(OfficeId::new(row.get(13)?), row)?);
            Ok(())
        })
    }

    /// Every held row, by sender, incarnation and counter.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn each_held(&self, mut each: impl FnMut(HeldRow)) -> Result<(), StoreError> {
        let sql = format!(
            "SELECT {HELD_COLUMNS}, peer.office FROM held JOIN peer ON peer.no = held.peer
             ORDER BY peer.office, held.incarnation, held.counter"
        );
        each_row(&self.db, &sql, |row| {
            each(held_row(OfficeId::new(row.get(16)?), row)?);
            Ok(())
        })
    }

    /// Every alarm, oldest first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn alarms(&self) -> Result<Vec<schema::exchange::Alarm>, StoreError> {
        let mut alarms = Vec::new();
        each_row(&self.db, "SELECT bytes FROM alarm ORDER BY no", |row| {
            let bytes: Vec<u8> = row.get(0)?;
            alarms.extend(minicbor::decode(&bytes));
            Ok(())
        })?;
        Ok(alarms)
    }

    /// Replays the journal from zero in memory and returns the state it gives.
    ///
    /// # Errors
    /// When an entry cannot be read. A break in the chain is in the result.
    pub fn replay(&self, me: OfficeId) -> Result<ReplayedState, StoreError> {
        let mut state = ReplayedState::new(me);
        each_journal_row(&self.db, Position(1), None, |entry| state.add_row(entry))?;
        Ok(state)
    }
}

pub(super) fn each_row(
    db: &Connection,
    sql: &str,
    mut each: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    let read = "read the tables";
    let mut statement = db.prepare_cached(sql).attempted(read)?;
    let mut rows = statement.query([]).attempted(read)?;
    while let Some(row) = rows.next().attempted(read)? {
        each(row).attempted(read)?;
    }
    Ok(())
}

/// A row of the journal where SQLite holds it: nothing is copied.
#[derive(Clone, Copy)]
struct JournalRow<'a> {
    position: Position,
    class: Class,
    recorded_at: Millis,
    bytes: &'a [u8],
    content: Option<&'a [u8]>,
}

fn each_journal_row(
    db: &Connection,
    from: Position,
    limit: Option<u32>,
    mut each: impl FnMut(JournalRow<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let read = "read the journal";
    let sql = "SELECT position, class, recorded_at, bytes, content FROM journal
               WHERE position >= ?1 ORDER BY position LIMIT ?2";
    let mut statement = db.prepare_cached(sql).attempted(read)?;
    // To SQLite, a negative limit is none.
    let limit = limit.map_or(-1, i64::from);
    let mut rows = statement.query(params![from.0 as i64, limit]).attempted(read)?;
    while let Some(row) = rows.next().attempted(read)? {
        let [bytes, content] = [row.get_ref(3).attempted(read)?, row.get_ref(4).attempted(read)?];
        let foreign = |_| StoreError::Value { what: "the bytes of a journal entry" };
        each(JournalRow {
            position: Position(unsigned(row, 0).attempted(read)?),
            class: class(row.get(1).attempted(read)?),
            recorded_at: Millis(unsigned(row, 2).attempted(read)?),
            bytes: bytes.as_blob().map_err(foreign)?,
            content: content.as_blob_or_null().map_err(foreign)?,
        })?;
    }
    Ok(())
}

pub(super) fn journal(db: &Connection, from: Position, limit: u32) -> Result<Vec<JournalEntry>, StoreError> {
    let mut entries = Vec::new();
    each_journal_row(
        db,
        from,
        Some(limit),
        |JournalRow { position, class, recorded_at, bytes, content }| {
            let (bytes, content) = (bytes.to_vec(), content.map(<[u8]>::to_vec));
            entries.push(JournalEntry { position, class, recorded_at, bytes, content });
            Ok(())
        },
    )?;
    Ok(entries)
}

/// A state rebuilt from a journal.
pub struct ReplayedState {
    /// The hot state.
    pub exchange: Exchange,
    /// The rows.
    pub records: MemoryRecords,
    /// Journal entries replayed.
    pub entries: u64,
    /// The first break in the station's own chain, if any.
    pub broken: Option<Violation>,
    chain: ChainCheck,
}

impl ReplayedState {
    /// The state before the first entry.
    pub fn new(me: OfficeId) -> Self {
        Self {
            exchange: Exchange::new(me),
            records: MemoryRecords::default(),
            entries: 0,
            broken: None,
            chain: ChainCheck::new(me),
        }
    }

    /// Replays one entry.
    ///
    /// # Errors
    /// When its bytes cannot be read.
    pub fn add(&mut self, entry: &JournalEntry) -> Result<(), StoreError> {
        let JournalEntry { position, class, recorded_at, ref bytes, ref content } = *entry;
        self.add_row(JournalRow { position, class, recorded_at, bytes, content: content.as_deref() })
    }

    fn add_row(&mut self, row: JournalRow<'_>) -> Result<(), StoreError> {
        let damaged = |source| StoreError::Damaged { position: row.position.0 as i64, source };
        let recorded = RecordedEvent::read_with(row.bytes, row.content).map_err(damaged)?;
        self.add_recorded(row.position, row.class, &recorded);
        Ok(())
    }

    /// Replays one entry that was read already: an audit looks at it first.
    pub fn add_recorded(&mut self, position: Position, class: Class, recorded: &RecordedEvent) {
        if class == Class::Own && self.broken.is_none() {
            self.broken = self.chain.next(recorded).err();
        }
        let event =
            Entry { position, class, id: recorded.id, version: recorded.version, event: &recorded.event };
        let changes = match self.exchange.evolve(&self.records, event) {
            Ok(changes) => changes,
            Err(never) => match never {},
        };
        changes.iter().for_each(|change| self.records.apply(change));
        self.entries += 1;
    }

    /// The hash of the state (P7).
    pub fn hash(&self) -> StateHash {
        self.records.state_hash(&self.exchange)
    }
}
