//! Searching the lists of incoming and outgoing documents and the lines of registers.
//!
//! The index follows from the store and lies in a file of its own. Nobody waits for it: it reads the journal after the
//! fact, as far as it has not yet, so recording costs nothing more. It is never migrated and never mended: what is of
//! another form, damaged, or of another history is made anew. A row is *words*, folded ([`schema::text::words`]), and
//! *marks* (type, sender, stage, days …); a search is an intersection of both, newest first, so its cost hardly grows
//! with the number of documents.

mod index;
mod mark;
mod row;
mod sought;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, params};
use schema::handling::{BookId, Direction, Entry};
use schema::id::OfficeId;
use schema::time::{Day, Millis};
use serde::Serialize;

use super::reader::{IncomingView, OutgoingView, PAGE_ROWS_MAX, Page, Reader, RegisterRow};
use super::{Attempted, StoreError};
use index::{Index, line_number};

pub use sought::{
    BEGINNING_CHARS_MIN, Days, SOUGHT_CHARS_MAX, SOUGHT_WORDS_MAX, Sought, SoughtRefused, SoughtText,
};

/// Connections for searching that are kept open.
const SEARCHERS_KEPT: usize = 2;
/// How long a search waits for a portion that is read by somebody else, before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What an office is called on a day; none when it is not known.
pub type Names<'a> = &'a dyn Fn(&OfficeId, Day) -> Option<String>;

/// The lists that can be searched.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum List {
    Incoming,
    Outgoing,
    Lines,
}

impl List {
    /// Its table.
    const fn table(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
            Self::Lines => "lines",
        }
    }
}

/// A page of what was found.
#[derive(Clone, Debug, Serialize)]
pub struct FoundPage<T> {
    /// The rows.
    #[serde(flatten)]
    pub page: Page<T>,
    /// `false` while the index is behind the store: there may be more.
    pub complete: bool,
}

/// The index of one store. Shared: searches run beside each other, and beside the thread that keeps it up to date.
pub struct Search {
    file: PathBuf,
    index: Mutex<Slot>,
    searchers: Mutex<Searchers>,
}

/// Connections for searching, of the file that is in place.
#[derive(Default)]
struct Searchers {
    /// Goes up with every file: what was opened on an earlier one is not kept.
    file: u64,
    kept: Vec<Connection>,
}

/// The writer's side.
enum Slot {
    /// Not opened yet, or closed after a failure.
    Closed,
    /// To be made anew.
    Damaged,
    Open(Box<Index>),
}

/// A panic while one of these was held left nothing half done: a transaction is undone when its connection is closed.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Search {
    /// The index in this file; it is made or opened when it is first needed.
    pub fn new(file: PathBuf) -> Self {
        Self { file, index: Mutex::new(Slot::Closed), searchers: Mutex::default() }
    }

    /// Reads one more portion of the store; `true` when there is more to read.
    ///
    /// # Errors
    /// When the store cannot be read or the index cannot be written.
    pub fn advance(&self, reader: &Reader, names: Names<'_>) -> Result<bool, StoreError> {
        self.advance_in(&mut locked(&self.index), reader, names)
    }

    fn advance_in(&self, slot: &mut Slot, reader: &Reader, names: Names<'_>) -> Result<bool, StoreError> {
        // Whatever happens in between, it is opened again afterwards.
        let opened = match std::mem::replace(slot, Slot::Closed) {
            Slot::Open(index) => Ok(index),
            unopened => {
                // Whoever searches must not hold on to a file that is made anew.
                let mut searchers = locked(&self.searchers);
                searchers.kept.clear();
                searchers.file += 1;
                drop(searchers);
                let opened = match unopened {
                    Slot::Damaged => Index::make(&self.file, reader),
                    Slot::Closed | Slot::Open(_) => Index::open(&self.file, reader),
                };
                opened.map(Box::new)
            }
        };
        let mut index = opened?;
        let advanced = index.advance(reader, names);
        *slot = match &advanced {
            Ok(_) => Slot::Open(index),
            // What is damaged may as well be the store: then a new index would fail at the same place, again and again.
            Err(error) if error.is_damage() && !index.is_sound() => Slot::Damaged,
            Err(_) => Slot::Closed,
        };
        advanced
    }

    /// Brings the index up to date, until `deadline`; `false` when there was too much to read.
    ///
    /// # Errors
    /// When the store cannot be read or the index cannot be written.
    pub fn refresh(&self, reader: &Reader, names: Names<'_>, deadline: Instant) -> Result<bool, StoreError> {
        loop {
            let more = match self.index.try_lock() {
                Ok(mut slot) => self.advance_in(&mut slot, reader, names)?,
                Err(TryLockError::Poisoned(poisoned)) => {
                    self.advance_in(&mut poisoned.into_inner(), reader, names)?
                }
                // Somebody else reads a portion.
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(LOOK_AGAIN);
                    true
                }
            };
            if !more {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
        }
    }

    /// Whether the index was found to be damaged, and will be made anew when it is advanced next.
    pub fn is_damaged(&self) -> bool {
        matches!(*locked(&self.index), Slot::Damaged)
    }

    /// Incoming documents as [`Reader::incoming`] lists them, narrowed.
    ///
    /// # Errors
    /// When the store or the index cannot be read.
    pub fn incoming(
        &self,
        reader: &Reader,
        sought: &Sought,
        before: Option<u64>,
        rows: u32,
        all: bool,
    ) -> Result<Page<IncomingView>, StoreError> {
        let Some(expression) = sought.expression(all) else { return reader.incoming(before, rows, all) };
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let found = self.newest(List::Incoming, &expression, before, limit)?;
        Ok(Page { next: next(&found, limit), rows: reader.incoming_at(&found)? })
    }

    /// Outgoing documents as [`Reader::outgoing`] lists them, narrowed.
    ///
    /// # Errors
    /// When the store or the index cannot be read.
    pub fn outgoing(
        &self,
        reader: &Reader,
        sought: &Sought,
        before: Option<u64>,
        rows: u32,
        now: Millis,
    ) -> Result<Page<OutgoingView>, StoreError> {
        let Some(expression) = sought.expression(true) else { return reader.outgoing(before, rows, now) };
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let found = self.newest(List::Outgoing, &expression, before, limit)?;
        Ok(Page { next: next(&found, limit), rows: reader.outgoing_at(&found, now)? })
    }

    /// Lines of a register as [`Reader::register`] lists them, narrowed.
    ///
    /// # Errors
    /// When the store or the index cannot be read.
    pub fn register(
        &self,
        reader: &Reader,
        sought: &Sought,
        (direction, book, year): (Direction, &BookId, i16),
        after: Option<u32>,
        rows: u32,
    ) -> Result<Page<RegisterRow>, StoreError> {
        let Some(expression) = sought.expression(true) else {
            return reader.register(direction, book, year, after, rows);
        };
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let read = "search a register";
        let numbers: Vec<u32> = self.with_searcher(|db| {
            let Some(no) = index::book_number(db, direction, book)? else { return Ok(Vec::new()) };
            let at = |number| line_number(no, &Entry { book: book.clone(), year, number });
            let sql = "SELECT rowid FROM lines WHERE lines MATCH ?1 AND rowid > ?2 AND rowid <= ?3
                       ORDER BY rowid LIMIT ?4";
            db.prepare_cached(sql)
                .and_then(|mut s| {
                    let key = params![expression, at(after.unwrap_or(0)), at(index::NUMBER_MASK), limit];
                    let rows = s.query_map(key, |row| row.get::<_, i64>(0))?;
                    rows.map(|no| no.map(index::number_of)).collect()
                })
                .attempted(read)
        })?;
        let mut list = Vec::with_capacity(numbers.len());
        for number in &numbers {
            list.extend(reader.register_line(direction, book, year, *number)?);
        }
        let next = numbers.last().map(|last| u64::from(*last)).filter(|_| numbers.len() == limit as usize);
        Ok(Page { rows: list, next })
    }

    /// The newest rows of a list that an expression finds, before one.
    fn newest(
        &self,
        list: List,
        expression: &str,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<u64>, StoreError> {
        let table = list.table();
        let sql = format!(
            "SELECT rowid FROM {table} WHERE {table} MATCH ?1 AND rowid < ?2 ORDER BY rowid DESC LIMIT ?3"
        );
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        self.with_searcher(|db| {
            db.prepare_cached(&sql)
                .and_then(|mut s| {
                    let number = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0).map(i64::unsigned_abs);
                    s.query_map(params![expression, before, limit], number)?.collect()
                })
                .attempted("search a list")
        })
    }

    fn with_searcher<T>(
        &self,
        search: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let (file, kept) = {
            let mut searchers = locked(&self.searchers);
            (searchers.file, searchers.kept.pop())
        };
        let db = match kept {
            Some(db) => db,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                let db = Connection::open_with_flags(&self.file, flags).attempted("open the search index")?;
                index::configure(&db)?;
                db
            }
        };
        let found = search(&db).inspect_err(|error| {
            if error.is_damage() {
                *locked(&self.index) = Slot::Damaged;
            }
        })?;
        let mut searchers = locked(&self.searchers);
        if searchers.file == file && searchers.kept.len() < SEARCHERS_KEPT {
            searchers.kept.push(db);
        }
        drop(searchers);
        Ok(found)
    }

    /// A hash of all rows: two indexes of one store that are up to date have the same, however each came to be.
    ///
    /// # Errors
    /// When the index cannot be read, or there is none yet.
    pub fn fingerprint(&self) -> Result<[u8; 32], StoreError> {
        self.with_searcher(index::fingerprint)
    }
}

fn next(found: &[u64], limit: u32) -> Option<u64> {
    found.last().copied().filter(|_| found.len() == limit as usize)
}
