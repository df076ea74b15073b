//! Looking into a store without changing a byte of it: checks, outlines, and the copy for a backup.
//!
//! A connection that may write would move the write-ahead log into the file when it closes; what is damaged
//! must stay as it is, so whatever judges a store opens it here first.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use schema::blob::BlobRef;
use schema::body::{Act, Body};
use schema::event::{RecordedEvent, UnverifiedEvent, Verifier};
use schema::handling::ErasedRow;
use schema::id::{EventId, Incarnation, OfficeId, Position, Seq};

use super::blobs::blob_of;
use super::erased::all_erased;
use super::outbox::check_open_sends;
use super::{APPLICATION_ID, Attempted, JournalEntry, QUICK_CHECK_BYTES_MAX, SCHEMA_VERSION, StoreError};

/// Pages copied between two looks at the progress: 1 MiB.
const COPY_PAGES: i32 = 256;
/// How often a copy waits for a lock before it gives up, and how long each time.
const COPY_WAITS_MAX: u32 = 100;
const COPY_WAIT: Duration = Duration::from_millis(50);

/// What a store is, in a few numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outline {
    /// Whose it is; `None` before its first start.
    pub office: Option<OfficeId>,
    /// The incarnation of the last event of its chain.
    pub incarnation: Incarnation,
    /// That event's position; 0 when nothing was recorded.
    pub seq: Seq,
    /// That event; [`EventId::NONE`] when nothing was recorded.
    pub head: EventId,
    /// The last position of the journal; 0 when it is empty.
    pub position: Position,
    /// Documents that were presented here.
    pub incoming: u64,
    /// Documents that were sent from here.
    pub outgoing: u64,
}

/// A store opened for looking only.
pub struct Inspection {
    db: Connection,
}

impl Inspection {
    /// Opens a store. Neither makes a file nor changes one.
    ///
    /// # Errors
    /// When there is none, when it is another program's or a newer version's, or when it cannot be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).attempted("open the file for reading")?;
        db.busy_timeout(Duration::from_secs(5)).attempted("set the busy time-out")?;
        db.pragma_update(None, "cache_size", -4096).attempted("bound the page cache")?;
        let pragma = |name| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let application_id = pragma("application_id").attempted("read the application id")?;
        let version = pragma("user_version").attempted("read the schema version")?;
        let hint = match version {
            0 => "it was never a station's store, or is cut off",
            _ if application_id != APPLICATION_ID => "it is another program's database",
            _ if version > SCHEMA_VERSION => "it was written by a newer version: install that one",
            _ => return Ok(Self { db }),
        };
        Err(StoreError::Foreign { path: path.display().to_string(), application_id, version, hint })
    }

    /// What it is.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn outline(&self) -> Result<Outline, StoreError> {
        let read = "read what the store is";
        let office = self.db.query_row("SELECT office FROM station", [], |row| row.get(0)).optional();
        let head = newest_own(&self.db, read)?;
        let count = |sql: &str| {
            self.db.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs).attempted(read)
        };
        Ok(Outline {
            office: office.attempted(read)?.map(OfficeId::new),
            incarnation: head.as_ref().map_or(Incarnation::FIRST, |head| head.event.incarnation),
            seq: head.as_ref().map_or(Seq(0), |head| head.event.seq),
            head: head.map_or(EventId::NONE, |head| head.id),
            position: Position(count("SELECT coalesce(max(position), 0) FROM journal")?),
            incoming: count("SELECT coalesce(max(presented), 0) FROM station")?,
            outgoing: count("SELECT count(*) FROM outgoing")?,
        })
    }

    /// The check of every start; see [`super::Store::self_check`]. With a verifier, signatures too.
    ///
    /// # Errors
    /// Names what is damaged.
    pub fn self_check(&self, events: u32, verifier: &Verifier) -> Result<(), StoreError> {
        self_check(&self.db, events, Some(verifier))
    }

    /// Checks every page of the file, whatever its size.
    ///
    /// # Errors
    /// Says what is damaged.
    pub fn check_structure(&self) -> Result<(), StoreError> {
        check_structure(&self.db)
    }

    /// Counts the open sends row by row: the status adds up counts that were kept beside them.
    ///
    /// # Errors
    /// Says that they differ.
    pub fn check_open_sends(&self) -> Result<(), StoreError> {
        check_open_sends(&self.db)
    }

    /// Journal entries from `from` on, in order, at most `limit`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn journal(&self, from: Position, limit: u32) -> Result<Vec<JournalEntry>, StoreError> {
        super::records::journal(&self.db, from, limit)
    }

    /// Complete attachments after number `after`, at most `limit`: their numbers and what they must hash to.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn attachments(&self, after: i64, limit: u32) -> Result<Vec<(i64, BlobRef)>, StoreError> {
        let sql = "SELECT hash, length, no FROM blob WHERE complete = 1 AND no > ?1 ORDER BY no LIMIT ?2";
        let mut found = Vec::new();
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let mut rows = statement.query(params![after, limit])?;
                while let Some(row) = rows.next()? {
                    found.push((row.get(2)?, blob_of(row)?));
                }
                Ok(())
            })
            .attempted("list attachments")?;
        Ok(found)
    }

    /// Documents whose content is erased here, and what was done to them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn erasures(&self) -> Result<Vec<(ErasedRow, Act)>, StoreError> {
        let mut erasures = Vec::new();
        for row in all_erased(&self.db)? {
            for entry in self.journal(row.position, 1)? {
                let position = entry.position.0 as i64;
                let recorded = entry.recorded().map_err(|source| StoreError::Damaged { position, source })?;
                if let Ok(Body::Act(act)) = Body::read(recorded.version, &recorded.event) {
                    erasures.push((row, act));
                }
            }
        }
        Ok(erasures)
    }

    /// Copies the store as it is at this moment into a new file, while its writer goes on, and says what the
    /// copy is. `copied` is told how many bytes of how many are there.
    ///
    /// The online backup of SQLite inside a read transaction: the pages of one moment, in bounded memory,
    /// with progress. `VACUUM INTO` would rebuild every index instead, and tells no progress. The price is
    /// that the log beside the store grows by what is written meanwhile.
    ///
    /// The copy is one file without a log, so that it can be read where nothing can be written. It is not
    /// synced.
    ///
    /// # Errors
    /// When the store cannot be read or the file not be written ([`StoreError::is_disk_full`]).
    pub fn copy_to(&self, path: &Path, copied: &mut dyn FnMut(u64, u64)) -> Result<Outline, StoreError> {
        let attempted = "copy the store";
        let mut copy = new_file(path)?;
        // Synced as a whole by the caller; a copy that was not finished is never used.
        copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;").attempted(attempted)?;
        self.db.execute_batch("BEGIN").attempted(attempted)?;
        let done = self.outline().and_then(|outline| {
            let backup = Backup::new(&self.db, &mut copy).attempted(attempted)?;
            let page_bytes: u64 = self
                .db
                .pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0))
                .attempted(attempted)?
                .unsigned_abs();
            let mut waits = 0;
            loop {
                match backup.step(COPY_PAGES).attempted(attempted)? {
                    StepResult::Done => return Ok(outline),
                    StepResult::More => {
                        let progress = backup.progress();
                        let total = u64::from(progress.pagecount.unsigned_abs());
                        let left = u64::from(progress.remaining.unsigned_abs());
                        copied(total.saturating_sub(left) * page_bytes, total * page_bytes);
                    }
                    // Nothing locks a file that nobody else knows, nor a reader of a store with a log; but
                    // SQLite allows itself both answers.
                    _ if waits < COPY_WAITS_MAX => {
                        waits += 1;
                        thread::sleep(COPY_WAIT);
                    }
                    _ => {
                        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
                        return Err(rusqlite::Error::SqliteFailure(busy, None)).attempted(attempted);
                    }
                }
            }
        });
        // The end of a read transaction has nothing to lose.
        let _ = self.db.execute_batch("ROLLBACK");
        let outline = done?;
        drop(copy);
        let copy = new_file(path)?;
        let mode: String = copy
            .query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))
            .attempted("finish the copy of the store")?;
        if mode != "delete" {
            return Err(StoreError::Value { what: "the journal mode of the copy" });
        }
        copy.close().map_err(|(_, error)| error).attempted("close the copy of the store")?;
        Ok(outline)
    }
}

/// A file that only this connection works on: no shared memory is needed, which some media do not have.
fn new_file(path: &Path) -> Result<Connection, StoreError> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).attempted("open the file of the copy")?;
    db.pragma_update(None, "locking_mode", "EXCLUSIVE").attempted("lock the file of the copy")?;
    Ok(db)
}

/// The event at this position; without the content of a sealed body.
pub(super) fn recorded(position: i64, bytes: &[u8]) -> Result<RecordedEvent, StoreError> {
    RecordedEvent::read(bytes).map_err(|source| StoreError::Damaged { position, source })
}

/// The event at this position, with its content.
pub(super) fn recorded_with(
    position: i64,
    (bytes, content): &(Vec<u8>, Option<Vec<u8>>),
) -> Result<RecordedEvent, StoreError> {
    let damaged = |source| StoreError::Damaged { position, source };
    RecordedEvent::read_with(bytes, content.as_deref()).map_err(damaged)
}

/// The columns `journal.bytes, journal.content` of a row, from `column` on.
pub(super) fn entry_columns(row: &Row<'_>, column: usize) -> rusqlite::Result<(Vec<u8>, Option<Vec<u8>>)> {
    Ok((row.get(column)?, row.get(column + 1)?))
}

/// The last event of the station's own chain; `None` when nothing was recorded yet.
pub(super) fn newest_own(
    db: &Connection,
    attempted: &'static str,
) -> Result<Option<RecordedEvent>, StoreError> {
    let newest =
        "SELECT position, bytes FROM journal WHERE class = 0 ORDER BY incarnation DESC, seq DESC LIMIT 1";
    db.prepare_cached(newest)
        .and_then(|mut s| {
            s.query_row([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))).optional()
        })
        .attempted(attempted)?
        .map(|(position, bytes)| recorded(position, &bytes))
        .transpose()
}

pub(super) fn check_structure(db: &Connection) -> Result<(), StoreError> {
    let verdict: String = db
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .attempted("check the structure of the file")?;
    if verdict == "ok" { Ok(()) } else { Err(StoreError::Structure { found: verdict }) }
}

pub(super) fn self_check(
    db: &Connection,
    events: u32,
    verifier: Option<&Verifier>,
) -> Result<(), StoreError> {
    let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
    let bytes: i64 = db.query_row(sql, [], |row| row.get(0)).attempted("measure the file")?;
    if bytes <= QUICK_CHECK_BYTES_MAX {
        check_structure(db)?;
    }
    let newest =
        "SELECT position, bytes FROM journal WHERE class = 0 ORDER BY incarnation DESC, seq DESC LIMIT ?1";
    let mut statement = db.prepare(newest).attempted("read the newest events")?;
    let rows = statement
        .query_map([events], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .attempted("read the newest events")?;
    let mut expected: Option<EventId> = None;
    for row in rows {
        let (position, bytes) = row.attempted("read the newest events")?;
        let found = recorded(position, &bytes)?;
        if expected.is_some_and(|expected| expected != found.id) {
            return Err(StoreError::Value { what: "the chain of this station's own events" });
        }
        expected = Some(found.event.prev);
        if let Some(verifier) = verifier {
            let event =
                UnverifiedEvent::parse(&bytes).map_err(|source| StoreError::Damaged { position, source })?;
            // Keys are closed, never removed: an own key that is not listed is a changed byte, or somebody
            // else's.
            verifier.check_recorded(&event).map_err(|source| StoreError::Signature { position, source })?;
        }
    }
    Ok(())
}
