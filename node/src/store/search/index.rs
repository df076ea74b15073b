//! The file of the index, and how it keeps up with the store.

use std::fs;
use std::io;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use schema::handling::{BookId, Direction, Entry};
use sha2::{Digest, Sha256};

use super::{List, Names, row};
use crate::store::handled::{direction_number, line};
use crate::store::reader::{Concern, Reader};
use crate::store::{Attempted, StoreError};

/// The form of the index: words, marks and tables. Another one is made anew.
const FORM: i64 = 1;
/// "TRAS" in ASCII: tells a foreign file from ours.
const APPLICATION_ID: i64 = 0x5452_4153;
/// Rows or journal entries of one portion: some ten milliseconds.
const PORTION: u32 = 256;
/// Outgoing documents of one portion: one may have thousands of recipients.
const OUTGOING_PORTION: u32 = 32;
/// The numbers of a register in a row number: [`line_number`].
pub(super) const NUMBER_MASK: u32 = (1 << 24) - 1;

/// Nothing of a document is kept but its words, folded; those that were replaced leave the file as its parts are merged.
const TABLES: &str = "
    CREATE VIRTUAL TABLE incoming USING fts5(
        words, content='', contentless_delete=1, tokenize=\"ascii tokenchars '='\");
    CREATE VIRTUAL TABLE outgoing USING fts5(
        words, content='', contentless_delete=1, tokenize=\"ascii tokenchars '='\");
    CREATE VIRTUAL TABLE lines USING fts5(
        words, content='', contentless_delete=1, tokenize=\"ascii tokenchars '='\");
    -- What each row was made of: the same is not written again.
    CREATE TABLE made (
        list   INTEGER NOT NULL,
        no     INTEGER NOT NULL,
        digest INTEGER NOT NULL,
        PRIMARY KEY (list, no)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE book (
        no        INTEGER PRIMARY KEY,
        direction INTEGER NOT NULL,
        book      TEXT    NOT NULL,
        UNIQUE (direction, book)
    ) STRICT;
    -- How far the store was read.
    CREATE TABLE reading (
        one        INTEGER PRIMARY KEY CHECK (one = 1),
        journal    INTEGER NOT NULL,                       -- position of the newest entry that was read
        entry_hash BLOB,                                   -- SHA-256 of that entry; none when it is 0
        incoming   INTEGER NOT NULL,                       -- ordinal
        outgoing   INTEGER NOT NULL,                       -- position
        lines      INTEGER NOT NULL CHECK (lines IN (0, 1)), -- whether all lines of that journal were read
        direction  INTEGER NOT NULL DEFAULT -1,            -- the last line that was read
        book       TEXT    NOT NULL DEFAULT '',
        year       INTEGER NOT NULL DEFAULT 0,
        number     INTEGER NOT NULL DEFAULT 0
    ) STRICT;";

/// The settings of every connection to it.
pub(super) fn configure(db: &Connection) -> Result<(), StoreError> {
    db.set_prepared_statement_cache_capacity(16);
    db.busy_timeout(std::time::Duration::from_secs(5)).attempted("set the busy time-out")?;
    db.execute_batch("PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY;")
        .attempted("bound the page cache")
}

/// The number of a row of the lines: register, year (14 bits) and number (24 bits), so that lines stand in their order.
pub(super) fn line_number(book: i64, entry: &Entry) -> i64 {
    book << 38 | i64::from(entry.year) << 24 | i64::from(entry.number & NUMBER_MASK)
}

/// The number in a register of a row of the lines.
pub(super) fn number_of(line: i64) -> u32 {
    u32::try_from(line & i64::from(NUMBER_MASK)).unwrap_or(NUMBER_MASK)
}

/// The number of a register here; none when no line of it was read.
pub(super) fn book_number(
    db: &Connection,
    direction: Direction,
    book: &BookId,
) -> Result<Option<i64>, StoreError> {
    db.prepare_cached("SELECT no FROM book WHERE direction = ?1 AND book = ?2")
        .and_then(|mut s| {
            s.query_row(params![direction_number(direction), book.to_string()], |row| row.get(0)).optional()
        })
        .attempted("look up a register in the search index")
}

/// A hash of what all rows were made of. Registers are told by their names: they are numbered as they are met.
pub(super) fn fingerprint(db: &Connection) -> Result<[u8; 32], StoreError> {
    let sql = "SELECT made.list, coalesce(book.direction, 0), coalesce(book.book, ''),
                      CASE made.list WHEN 2 THEN made.no & ((1 << 38) - 1) ELSE made.no END, made.digest
               FROM made LEFT JOIN book ON made.list = 2 AND book.no = made.no >> 38
               ORDER BY 1, 2, 3, 4";
    let mut hash = Sha256::new();
    super::super::records::each_row(db, sql, |row| {
        for column in [0, 1, 3, 4] {
            hash.update(row.get::<_, i64>(column)?.to_be_bytes());
        }
        let book: String = row.get(2)?;
        hash.update(book.len().to_be_bytes());
        hash.update(book);
        Ok(())
    })?;
    Ok(hash.finalize().into())
}

/// How far the store was read.
#[derive(Clone, Debug)]
struct Reading {
    journal: u64,
    entry_hash: Option<[u8; 32]>,
    incoming: u64,
    outgoing: u64,
    /// Whether all lines were read that were there when the index was made; later ones are found in the journal.
    lines: bool,
    last_line: Option<(Direction, Entry)>,
}

/// One row to write.
struct Made {
    list: List,
    no: i64,
    words: String,
}

/// The writer's side of the index.
pub(super) struct Index {
    db: Connection,
    reading: Reading,
}

impl Index {
    /// Opens it, or makes it anew when there is none that fits the store.
    pub(super) fn open(file: &Path, reader: &Reader) -> Result<Self, StoreError> {
        match Self::open_existing(file, reader) {
            Ok(Some(index)) => return Ok(index),
            Ok(None) => {}
            Err(error) if error.is_damage() => {
                tracing::warn!(%error, "the search index is damaged; it is made anew");
            }
            Err(error) => return Err(error),
        }
        Self::make(file, reader)
    }

    fn connect(file: &Path) -> Result<Connection, StoreError> {
        let db = Connection::open(file).attempted("open the search index")?;
        configure(&db)?;
        // A power cut may take back the newest portions; they are read again.
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216;",
        )
        .attempted("configure the search index")?;
        Ok(db)
    }

    /// `None` when the file is not there, of another form, or of another history than the store.
    fn open_existing(file: &Path, reader: &Reader) -> Result<Option<Self>, StoreError> {
        if !file.exists() {
            return Ok(None);
        }
        let db = Self::connect(file)?;
        let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (application_id, form) = (
            pragma("application_id").attempted("read the application id")?,
            pragma("user_version").attempted("read the form of the search index")?,
        );
        if (application_id, form) != (APPLICATION_ID, FORM) {
            return Ok(None);
        }
        let reading = read_reading(&db)?;
        let known = match reading.journal {
            0 => true,
            position => reading.entry_hash.is_some() && reader.entry_hash(position)? == reading.entry_hash,
        };
        Ok(known.then_some(Self { db, reading }))
    }

    /// Makes it anew.
    pub(super) fn make(file: &Path, reader: &Reader) -> Result<Self, StoreError> {
        for end in ["", "-wal", "-shm"] {
            let mut name = file.as_os_str().to_owned();
            name.push(end);
            match fs::remove_file(&name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, "the old search index cannot be removed");
                }
                _ => {}
            }
        }
        let db = Self::connect(file)?;
        // All that is there now is read from the tables; the journal is followed from here on.
        let (journal, entry_hash) = reader.at_one_moment(|reader| {
            let journal = reader.extent()?.journal;
            Ok((journal, reader.entry_hash(journal)?))
        })?;
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORM};"
        ))
        .and_then(|()| {
            let sql = "INSERT INTO reading (one, journal, entry_hash, incoming, outgoing, lines)
                       VALUES (1, ?1, ?2, 0, 0, 0)";
            db.execute(sql, params![journal as i64, entry_hash])
        })
        .and_then(|_| db.execute_batch("COMMIT"))
        .attempted("make the search index")?;
        tracing::info!("search index is made anew");
        let reading =
            Reading { journal, entry_hash, incoming: 0, outgoing: 0, lines: false, last_line: None };
        Ok(Self { db, reading })
    }

    /// Whether its own file is whole.
    pub(super) fn is_sound(&self) -> bool {
        let found = self.db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        found.is_ok_and(|found| found == "ok")
    }

    /// Reads one portion; `true` when there is more.
    pub(super) fn advance(&mut self, reader: &Reader, names: Names<'_>) -> Result<bool, StoreError> {
        let mut reading = self.reading.clone();
        let (made, more) = reader.at_one_moment(|reader| self.portion(reader, names, &mut reading))?;
        if reading.journal == self.reading.journal
            && made.is_empty()
            && !more
            && reading.lines == self.reading.lines
        {
            return Ok(false);
        }
        let moment = self.db.unchecked_transaction().attempted("begin to write the search index")?;
        for one in &made {
            self.write(one)?;
        }
        self.keep(&reading)?;
        moment.commit().attempted("write the search index")?;
        self.reading = reading;
        Ok(more)
    }

    /// What one portion changes. Rows are made of the store as it is now, which may be newer than the journal entry that
    /// told of them.
    fn portion(
        &self,
        reader: &Reader,
        names: Names<'_>,
        reading: &mut Reading,
    ) -> Result<(Vec<Made>, bool), StoreError> {
        let extent = reader.extent()?;
        let mut made = Vec::new();
        if reading.journal < extent.journal {
            let (concerns, last) = reader.concerns_after(reading.journal, PORTION)?;
            for concern in concerns {
                self.concern(reader, names, reading, concern, &mut made)?;
            }
            if let Some(last) = last {
                (reading.journal, reading.entry_hash) = (last, reader.entry_hash(last)?);
            }
        }
        let arrived = reader.arrived_after(reading.incoming, PORTION)?;
        if arrived.is_empty() {
            // What no version here reads as a document stands in no list.
            reading.incoming = extent.incoming;
        }
        for arrived in arrived {
            reading.incoming = arrived.ordinal;
            let words = row::incoming(reader, &arrived, names)?;
            made.push(Made { list: List::Incoming, no: arrived.ordinal as i64, words });
        }
        let departed = reader.departed_after(reading.outgoing, OUTGOING_PORTION)?;
        if departed.is_empty() {
            reading.outgoing = extent.outgoing;
        }
        for departed in departed {
            reading.outgoing = departed.position;
            let words = row::outgoing(reader, &departed, names)?;
            made.push(Made { list: List::Outgoing, no: departed.position as i64, words });
        }
        if !reading.lines {
            let lines = reader.lines_after(reading.last_line.as_ref(), PORTION)?;
            reading.lines = lines.len() < PORTION as usize;
            for (direction, entry) in lines {
                self.line(reader, names, direction, &entry, &mut made)?;
                reading.last_line = Some((direction, entry));
            }
        }
        let behind = reading.journal < extent.journal
            || reading.incoming < extent.incoming
            || reading.outgoing < extent.outgoing;
        Ok((made, behind || !reading.lines))
    }

    fn concern(
        &self,
        reader: &Reader,
        names: Names<'_>,
        reading: &Reading,
        concern: Concern,
        made: &mut Vec<Made>,
    ) -> Result<(), StoreError> {
        match concern {
            Concern::Incoming(from, document) => {
                // What was not read yet will be, as it is then.
                let ordinal =
                    reader.ordinal_of(&from, &document)?.filter(|ordinal| *ordinal <= reading.incoming);
                if let Some(arrived) =
                    ordinal.map(|ordinal| reader.arrived_at(ordinal)).transpose()?.flatten()
                {
                    let words = row::incoming(reader, &arrived, names)?;
                    made.push(Made { list: List::Incoming, no: arrived.ordinal as i64, words });
                }
                for entry in reader.lines_of_incoming(&from, &document)? {
                    self.line(reader, names, Direction::Incoming, &entry, made)?;
                }
            }
            Concern::Outgoing(document) => {
                let position =
                    reader.outgoing_position(&document)?.filter(|position| *position <= reading.outgoing);
                if let Some(departed) =
                    position.map(|position| reader.departed_at(position)).transpose()?.flatten()
                {
                    let words = row::outgoing(reader, &departed, names)?;
                    made.push(Made { list: List::Outgoing, no: departed.position as i64, words });
                }
                if let Some(entry) = reader.line_of_outgoing(&document)? {
                    self.line(reader, names, Direction::Outgoing, &entry, made)?;
                }
            }
            Concern::Line(direction, entry) => self.line(reader, names, direction, &entry, made)?,
        }
        Ok(())
    }

    fn line(
        &self,
        reader: &Reader,
        names: Names<'_>,
        direction: Direction,
        entry: &Entry,
        made: &mut Vec<Made>,
    ) -> Result<(), StoreError> {
        let Some(row) = reader.register_line(direction, &entry.book, entry.year, entry.number)? else {
            return Ok(());
        };
        let no = match book_number(&self.db, direction, &entry.book)? {
            Some(no) => no,
            None => self.new_book(direction, &entry.book)?,
        };
        made.push(Made { list: List::Lines, no: line_number(no, entry), words: row::line(&row, names) });
        Ok(())
    }

    /// Numbers a register. By itself a transaction: a number that no row uses does no harm.
    fn new_book(&self, direction: Direction, book: &BookId) -> Result<i64, StoreError> {
        self.db
            .prepare_cached("INSERT INTO book (direction, book) VALUES (?1, ?2)")
            .and_then(|mut s| s.insert(params![direction_number(direction), book.to_string()]))
            .attempted("number a register in the search index")
    }

    fn write(&self, Made { list, no, words }: &Made) -> Result<(), StoreError> {
        let written = "write a row of the search index";
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = Sha256::digest(words).into();
        let digest = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let known: Option<i64> = self
            .db
            .prepare_cached("SELECT digest FROM made WHERE list = ?1 AND no = ?2")
            .and_then(|mut s| s.query_row(params![*list as i64, no], |row| row.get(0)).optional())
            .attempted(written)?;
        if known == Some(digest) {
            return Ok(());
        }
        let table = list.table();
        // A row that is there is deleted first, which costs something even when it is not.
        let insert = if known.is_some() { "INSERT OR REPLACE" } else { "INSERT" };
        self.db
            .prepare_cached(&format!("{insert} INTO {table} (rowid, words) VALUES (?1, ?2)"))
            .and_then(|mut s| s.execute(params![no, words]))
            .attempted(written)?;
        self.db
            .prepare_cached("INSERT INTO made VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET digest = ?3")
            .and_then(|mut s| s.execute(params![*list as i64, no, digest]))
            .attempted(written)?;
        Ok(())
    }

    fn keep(&self, reading: &Reading) -> Result<(), StoreError> {
        let (direction, book, year, number) = match &reading.last_line {
            Some((direction, entry)) => {
                (direction_number(*direction), entry.book.to_string(), entry.year, entry.number)
            }
            None => (-1, String::new(), 0, 0),
        };
        let sql =
            "UPDATE reading SET journal = ?1, entry_hash = ?2, incoming = ?3, outgoing = ?4, lines = ?5,
                       direction = ?6, book = ?7, year = ?8, number = ?9";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.execute(params![
                    reading.journal as i64,
                    reading.entry_hash,
                    reading.incoming as i64,
                    reading.outgoing as i64,
                    reading.lines,
                    direction,
                    book,
                    year,
                    number
                ])
            })
            .attempted("note how far the search index is")?;
        Ok(())
    }
}

fn read_reading(db: &Connection) -> Result<Reading, StoreError> {
    let sql =
        "SELECT journal, entry_hash, incoming, outgoing, lines, direction, book, year, number FROM reading";
    db.query_row(sql, [], |row| {
        let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        let last_line = match row.get::<_, i64>(5)? {
            0 => Some((Direction::Incoming, line(row, 6)?)),
            1 => Some((Direction::Outgoing, line(row, 6)?)),
            _ => None,
        };
        Ok(Reading {
            journal: count(0)?,
            entry_hash: row.get(1)?,
            incoming: count(2)?,
            outgoing: count(3)?,
            lines: row.get(4)?,
            last_line,
        })
    })
    .attempted("read how far the search index is")
}
