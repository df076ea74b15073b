//! What became of documents after they arrived, and the numbers of the registers.

use rusqlite::{Connection, OptionalExtension, Row, params};
use schema::exchange::LineUse;
use schema::handling::{CaseRow, Direction, DraftStage, DraftedRow, Entry, PersonRow, Side, Stage, Standing};
use schema::id::{Counter, DocumentId, Incarnation, OfficeId, Position, WorkId};
use schema::time::Day;

use super::records::each_row;
use super::{Attempted, Store, StoreError};

/// Recalls that are looked up at a time.
const CONFIRMED_MAX: i64 = 64;

/// The number of a side in its column.
pub(in crate::store) const fn side_number(side: Side) -> i64 {
    match side {
        Side::Recipient => 0,
        Side::Sender => 1,
    }
}

/// The number of a direction in its column.
pub(in crate::store) const fn direction_number(direction: Direction) -> i64 {
    match direction {
        Direction::Incoming => 0,
        Direction::Outgoing => 1,
    }
}

/// The number of a stage in its column.
pub(in crate::store) const fn stage_number(stage: Stage) -> i64 {
    match stage {
        Stage::Arrived => 1,
        Stage::Refused => 2,
        Stage::Registered => 3,
        Stage::Assigned => 4,
        Stage::InProgress => 5,
        Stage::Finished => 6,
    }
}

/// The number of a standing in its column.
pub(in crate::store) const fn standing_number(standing: Standing) -> i64 {
    match standing {
        Standing::Current => 0,
        Standing::AskedBack => 1,
        Standing::TakenBack => 2,
        Standing::Recalled => 3,
        Standing::Replaced => 4,
    }
}

const fn draft_stage_number(stage: DraftStage) -> i64 {
    match stage {
        DraftStage::Drafted => 1,
        DraftStage::Approved => 2,
        DraftStage::Signed => 3,
        DraftStage::Issued => 4,
        DraftStage::Sent => 5,
        DraftStage::Discarded => 6,
    }
}

/// The row that a column holds.
pub(in crate::store) fn case_row(row: &Row<'_>, column: usize) -> rusqlite::Result<CaseRow> {
    let bytes = row.get_ref(column)?.as_blob()?;
    minicbor::decode(bytes).map_err(|error| {
        let kind = rusqlite::types::Type::Blob;
        rusqlite::Error::FromSqlConversionFailure(column, kind, error.to_string().into())
    })
}

/// The row that a column holds.
pub(in crate::store) fn drafted_row(row: &Row<'_>, column: usize) -> rusqlite::Result<DraftedRow> {
    let bytes = row.get_ref(column)?.as_blob()?;
    minicbor::decode(bytes).map_err(|error| {
        let kind = rusqlite::types::Type::Blob;
        rusqlite::Error::FromSqlConversionFailure(column, kind, error.to_string().into())
    })
}

/// The row that a column holds.
pub(in crate::store) fn person_row(row: &Row<'_>, column: usize) -> rusqlite::Result<PersonRow> {
    let bytes = row.get_ref(column)?.as_blob()?;
    minicbor::decode(bytes).map_err(|error| {
        let kind = rusqlite::types::Type::Blob;
        rusqlite::Error::FromSqlConversionFailure(column, kind, error.to_string().into())
    })
}

/// Everybody of the office by name; also who was removed.
pub(in crate::store) fn people(db: &Connection) -> Result<Vec<PersonRow>, StoreError> {
    let mut people = Vec::new();
    each_row(db, "SELECT bytes FROM person ORDER BY name", |row| {
        people.push(person_row(row, 0)?);
        Ok(())
    })?;
    Ok(people)
}

/// The five columns of what used a number.
fn used(row: &Row<'_>, column: usize) -> rusqlite::Result<LineUse> {
    let position = Position(row.get::<_, i64>(column)?.unsigned_abs());
    let office = row.get::<_, Option<[u8; 16]>>(column + 1)?.map(OfficeId::new);
    let document = row.get::<_, Option<[u8; 16]>>(column + 2)?.map(DocumentId::new);
    let work = row.get::<_, Option<[u8; 16]>>(column + 3)?.map(WorkId::new);
    let said = row.get::<_, Option<i64>>(column + 4)?.map(i64::unsigned_abs);
    Ok(LineUse { position, of: office.zip(document), work: work.zip(said) })
}

fn direction(row: &Row<'_>, column: usize) -> rusqlite::Result<Direction> {
    Ok(match row.get(column)? {
        0 => Direction::Incoming,
        _ => Direction::Outgoing,
    })
}

/// The line of a register in three columns.
pub(in crate::store) fn line(row: &Row<'_>, column: usize) -> rusqlite::Result<Entry> {
    let book: String = row.get(column)?;
    let refused = |error: schema::handling::BookRefused| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    };
    Ok(Entry {
        book: book.parse().map_err(refused)?,
        year: row.get(column + 1)?,
        number: row.get(column + 2)?,
    })
}

impl Store {
    pub(super) fn handled(
        &self,
        with: &OfficeId,
        document: &DocumentId,
        side: Side,
    ) -> Result<Option<CaseRow>, StoreError> {
        let Some(no) = self.known_number(with)? else { return Ok(None) };
        let sql = "SELECT bytes FROM handled WHERE peer = ?1 AND document = ?2 AND side = ?3";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let key = params![no, document.as_bytes(), side_number(side)];
                s.query_row(key, |row| case_row(row, 0)).optional()
            })
            .attempted("look up what became of a document")
    }

    pub(super) fn save_handled(&self, case: &CaseRow) -> Result<(), StoreError> {
        let no = self.number_of(&case.with)?;
        let bytes = minicbor::to_vec(case).unwrap_or_default();
        let recalls = case.progress.unconfirmed_recalls().count() as i64;
        let (stage, standing) =
            (stage_number(case.progress.stage()), standing_number(case.progress.standing()));
        self.db
            .prepare_cached(
                "INSERT INTO handled (peer, document, side, stage, standing, recalls, bytes, code_key, question, due, shown)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,
                     CASE WHEN ?3 = 0 OR EXISTS (SELECT 1 FROM sent WHERE document = ?2 AND peer = ?1) THEN ?9 END, ?10, EXISTS (
                     SELECT 1 FROM held WHERE document = ?2 AND peer = ?1 AND ordinal IS NOT NULL))
                 ON CONFLICT DO UPDATE SET stage = ?4, standing = ?5, recalls = ?6, bytes = ?7, code_key = ?8,
                     question = excluded.question, due = ?10",
            )
            .and_then(|mut s| {
                let side = side_number(case.side);
                let code_key = case.code_key.map(|key| key as i64);
                s.execute(params![
                    no,
                    case.document.as_bytes(),
                    side,
                    stage,
                    standing,
                    recalls,
                    bytes,
                    code_key,
                    case.waits_since().map(|(_, position)| position.0 as i64),
                    case.open_due().map(Day::days),
                ])
            })
            .attempted("record what became of a document")?;
        if case.side == Side::Recipient {
            let sql = "UPDATE held SET unsettled = ?3
                       WHERE document = ?1 AND peer = ?2 AND ordinal IS NOT NULL AND unsettled <> ?3";
            let unsettled = stage == 1 && standing <= 1;
            self.db
                .prepare_cached(sql)
                .and_then(|mut s| s.execute(params![case.document.as_bytes(), no, unsettled]))
                .attempted("note that a document is settled")?;
        }
        self.note_match(no, case)
    }

    /// A document was shown to the clerk: what its sender recalled before can be cancelled now.
    pub(super) fn note_shown(
        &self,
        from: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
    ) -> Result<(), StoreError> {
        let no = self.number_of(from)?;
        let sql = "UPDATE handled SET shown = 1 WHERE peer = ?1 AND side = 0 AND shown = 0 AND document = (
                       SELECT document FROM held WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3)";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(params![no, incarnation.number() as i64, counter.0 as i64]))
            .attempted("note that a document was shown")?;
        Ok(())
    }

    /// Remembers what was said about a document that is not known. That another one amends it is said by that one.
    fn note_match(&self, no: i64, case: &CaseRow) -> Result<(), StoreError> {
        if case.progress.is_only_amended() {
            return Ok(());
        }
        let known = match case.side {
            Side::Recipient => "SELECT 1 FROM held WHERE document = ?1 AND peer = ?2",
            Side::Sender => "SELECT 1 FROM sent WHERE document = ?1 AND peer = ?2",
        };
        let known = self.db.prepare_cached(known);
        let known = known.and_then(|mut s| s.exists(params![case.document.as_bytes(), no]));
        let (document, side) = (case.document.as_bytes(), side_number(case.side));
        let noted = match known.attempted("look up a document")? {
            true => {
                let sql = "DELETE FROM unmatched WHERE peer = ?1 AND document = ?2 AND side = ?3";
                self.db.prepare_cached(sql).and_then(|mut s| s.execute(params![no, document, side]))
            }
            false => {
                let sql =
                    "INSERT INTO unmatched VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET set_aside = ?4";
                let set_aside = case.set_aside.map(|entry| entry.0 as i64);
                self.db
                    .prepare_cached(sql)
                    .and_then(|mut s| s.execute(params![no, document, side, set_aside]))
            }
        };
        noted.attempted("note what has no document")?;
        Ok(())
    }

    /// Documents that are shown here, were recalled, and whose senders do not know yet that they are cancelled.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn recalls_to_confirm(&self) -> Result<Vec<(OfficeId, DocumentId)>, StoreError> {
        let sql = "SELECT peer.office, handled.document FROM handled INDEXED BY handled_recalls
                   JOIN peer ON peer.no = handled.peer
                   WHERE handled.recalls > 0 AND handled.side = 0 AND handled.shown = 1
                   ORDER BY handled.peer, handled.document LIMIT ?1";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let pair = |row: &Row<'_>| Ok((OfficeId::new(row.get(0)?), DocumentId::new(row.get(1)?)));
                s.query_map([CONFIRMED_MAX], pair)?.collect()
            })
            .attempted("look for recalled documents")
    }

    pub(super) fn line_use(&self, direction: Direction, line: &Entry) -> Result<Option<LineUse>, StoreError> {
        let sql = "SELECT position, office, document, work, said FROM line
                   WHERE direction = ?1 AND book = ?2 AND year = ?3 AND number = ?4";
        let key = params![direction_number(direction), line.book.to_string(), line.year, line.number];
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(key, |row| used(row, 0)).optional())
            .attempted("look up a number of a register")
    }

    pub(super) fn use_line(
        &self,
        direction: Direction,
        line: &Entry,
        used: LineUse,
    ) -> Result<(), StoreError> {
        self.db
            .prepare_cached("INSERT INTO line VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")
            .and_then(|mut s| {
                s.execute(params![
                    direction_number(direction),
                    line.book.to_string(),
                    line.year,
                    line.number,
                    used.position.0 as i64,
                    used.of.map(|(office, _)| *office.as_bytes()),
                    used.of.map(|(_, document)| *document.as_bytes()),
                    used.work.map(|(work, _)| *work.as_bytes()),
                    used.work.map(|(_, said)| said as i64),
                ])
            })
            .attempted("use a number of a register")?;
        Ok(())
    }

    pub(super) fn line_of_work(
        &self,
        work: &WorkId,
    ) -> Result<Option<(Direction, Entry, LineUse)>, StoreError> {
        let sql = "SELECT direction, book, year, number, position, office, document, work, said
                   FROM line INDEXED BY line_work WHERE work = ?1 ORDER BY position LIMIT 1";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let found = |row: &Row<'_>| Ok((direction(row, 0)?, line(row, 1)?, used(row, 4)?));
                s.query_row([work.as_bytes()], found).optional()
            })
            .attempted("look up what was done before")
    }

    pub(super) fn draft(&self, document: &DocumentId) -> Result<Option<DraftedRow>, StoreError> {
        // An office that drafts elsewhere sends thousands of documents without a look-up for each.
        if !self.has_drafts.get() {
            return Ok(None);
        }
        self.db
            .prepare_cached("SELECT bytes FROM drafted WHERE document = ?1")
            .and_then(|mut s| s.query_row([document.as_bytes()], |row| drafted_row(row, 0)).optional())
            .attempted("look up a draft")
    }

    pub(super) fn save_draft(&self, row: &DraftedRow, entry: Position) -> Result<(), StoreError> {
        self.has_drafts.set(true);
        let bytes = minicbor::to_vec(row).unwrap_or_default();
        self.db
            .prepare_cached(
                "INSERT INTO drafted (document, stage, changed, bytes) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO UPDATE SET stage = ?2, changed = ?3, bytes = ?4",
            )
            .and_then(|mut s| {
                let stage = draft_stage_number(row.stage);
                s.execute(params![row.document.as_bytes(), stage, entry.0 as i64, bytes])
            })
            .attempted("record a draft")?;
        Ok(())
    }

    pub(super) fn save_person(&self, person: &PersonRow) -> Result<(), StoreError> {
        let bytes = minicbor::to_vec(person).unwrap_or_default();
        self.db
            .prepare_cached("INSERT INTO person VALUES (?1, ?2) ON CONFLICT DO UPDATE SET bytes = ?2")
            .and_then(|mut s| s.execute(params![person.name, bytes]))
            .attempted("record somebody of the office")?;
        Ok(())
    }

    /// Every document on its way out, and those that have left, by id.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn each_draft(&self, mut each: impl FnMut(DraftedRow)) -> Result<(), StoreError> {
        each_row(&self.db, "SELECT bytes FROM drafted ORDER BY document", |row| {
            each(drafted_row(row, 0)?);
            Ok(())
        })
    }

    /// What became of every document, by office, document and side.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn each_handled(&self, mut each: impl FnMut(CaseRow)) -> Result<(), StoreError> {
        let sql = "SELECT handled.bytes FROM handled JOIN peer ON peer.no = handled.peer
                   ORDER BY peer.office, handled.document, handled.side";
        each_row(&self.db, sql, |row| {
            each(case_row(row, 0)?);
            Ok(())
        })
    }

    /// Every number of a register that was used, by direction, register, year and number.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn each_line(&self, mut each: impl FnMut(Direction, Entry, LineUse)) -> Result<(), StoreError> {
        let sql = "SELECT direction, book, year, number, position, office, document, work, said FROM line
                   ORDER BY direction, book, year, number";
        each_row(&self.db, sql, |row| {
            each(direction(row, 0)?, line(row, 1)?, used(row, 4)?);
            Ok(())
        })
    }
}
