//! The station's store: the only SQL. One file, one writer; readers open their own connection ([`Reader`]), and so do
//! the requests for officers' signatures, which are a table by themselves ([`SigningStore`]).
//!
//! WAL with `synchronous = FULL`: a commit that returned survives a power cut. Received bytes are kept for ever;
//! everything else follows from the journal.

mod blobs;
mod erased;
mod handled;
mod inspect;
mod judgements;
mod kept;
mod outbox;
mod reader;
mod records;
mod search;
mod signing;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use schema::body::Place;
use schema::event::{EventError, RecordedEvent, VerifiedEvent, VerifyError};
use schema::exchange::{CHANNELS_MAX, Chain, Channel, Class, EARLIER_MAX, Exchange, Peer};
use schema::id::{Counter, EventId, Incarnation, OfficeId, Position};
use schema::mutant::{self, Mutant};
use schema::sealing::Content;
use schema::time::Millis;
use schema::words::Bilingual;

pub use blobs::{AwaitedBlob, Awaiting, openings};
pub use erased::Claim;
pub use inspect::{Inspection, Outline};
pub use kept::KeptFor;
pub use outbox::{DueRow, OpenDispatch};
pub use reader::{
    AlarmView, AmendsView, AskedView, AttachmentState, AttachmentView, BookView, DifferenceView,
    DocumentView, DraftView, DueView, DueViews, ErasableView, ErasedView, ExportError, HandedOver,
    IncomingView, JudgementView, LineView, NamedDocument, OutgoingView, PAGE_ROWS_MAX, Page, ProgressView,
    QuarantineView, RETENTION_YEARS_MAX, Reader, RecipientView, RegisterRow, Said, SentStamp, SlipNote,
    SlipPartView, SlipView, StatusView, Step, StepKind, Task, WaitingCursor, WaitingPages, WaitingView,
    WaitingViews, WhyView,
};
pub use records::ReplayedState;
pub use search::{
    BEGINNING_CHARS_MIN, Days, FoundPage, Names, SOUGHT_CHARS_MAX, SOUGHT_WORDS_MAX, Search, Sought,
    SoughtRefused, SoughtText,
};
pub use signing::{
    ENDED_REQUESTS_MAX, Ending, LISTED_REQUESTS_MAX, NewRequest, OPEN_REQUESTS_MAX, OpenRequest, Recorded,
    RequestRow, RequestState, SigningStore,
};

/// The newest schema this version writes, kept in `PRAGMA user_version`.
const SCHEMA_VERSION: i64 = 2;
const MIGRATIONS: [&str; 2] = [
    include_str!("../../migrations/0001_station.sql"),
    include_str!("../../migrations/0002_signing_request.sql"),
];

/// "TRAM" in ASCII: tells a foreign database from ours.
const APPLICATION_ID: i64 = 0x5452_414d;

/// Largest file whose structure is checked at every start, in bytes: about a tenth of a second.
const QUICK_CHECK_BYTES_MAX: i64 = 64 * 1024 * 1024;

/// Most refused items that are kept; the oldest make room.
pub const QUARANTINE_ROWS_MAX: i64 = 10_000;

/// A failure of the store, or of what it holds.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed.
    #[error("failed to {attempted} in the station's store")]
    Sql {
        /// What was attempted.
        attempted: &'static str,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// Another program's database, or a newer version's.
    #[error(
        "`{path}` is not a store this version can open: application id {application_id}, schema {version}; {hint}"
    )]
    Foreign {
        /// The file.
        path: String,
        /// What it says it is.
        application_id: i64,
        /// Which schema.
        version: i64,
        /// What to do.
        hint: &'static str,
    },
    /// The store belongs to another office.
    #[error("the store belongs to office `{found}`, the configuration says `{expected}`")]
    OtherOffice {
        /// Whose it is.
        found: OfficeId,
        /// Whose it should be.
        expected: OfficeId,
    },
    /// A stored event cannot be read: the file is damaged.
    #[error(
        "journal entry {position} cannot be read: the store is damaged; restore it from a backup with the tool"
    )]
    Damaged {
        /// Where.
        position: i64,
        /// Why.
        source: EventError,
    },
    /// A stored event of this station is not signed by its key: the file is damaged, or was tampered with.
    #[error(
        "the signature of journal entry {position} does not hold: the store is damaged; restore it from a backup \
        with the tool"
    )]
    Signature {
        /// Where.
        position: i64,
        /// What was found.
        source: VerifyError,
    },
    /// The pages of the file do not fit together.
    #[error("the structure of the store's file is damaged: {found}; restore it from a backup with the tool")]
    Structure {
        /// What SQLite found first.
        found: String,
    },
    /// A stored value is outside its range: the file is damaged.
    #[error("{what} in the store is damaged; restore it from a backup with the tool")]
    Value {
        /// Which value.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether the file itself is damaged: trying again does not help, a backup does.
    pub fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match self {
            Self::Sql { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
            }
            Self::Foreign { .. } | Self::OtherOffice { .. } => false,
            Self::Damaged { .. } | Self::Signature { .. } | Self::Structure { .. } | Self::Value { .. } => {
                true
            }
        }
    }

    /// Whether the disk, or the store's quota, is full: nothing was written, reading goes on.
    pub fn is_disk_full(&self) -> bool {
        matches!(
            self,
            Self::Sql { source: rusqlite::Error::SqliteFailure(error, _), .. }
                if error.code == rusqlite::ErrorCode::DiskFull
        )
    }
}

pub(crate) trait Attempted<T> {
    fn attempted(self, attempted: &'static str) -> Result<T, StoreError>;
}

impl<T> Attempted<T> for rusqlite::Result<T> {
    fn attempted(self, attempted: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Sql { attempted, source })
    }
}

/// One entry of the journal, as stored.
#[derive(Clone, Debug)]
pub struct JournalEntry {
    /// Its place.
    pub position: Position,
    /// What it is to this station.
    pub class: Class,
    /// When it was recorded, by this station's clock.
    pub recorded_at: Millis,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The content of a sealed body, if it could be opened.
    pub content: Option<Vec<u8>>,
}

impl JournalEntry {
    /// What it says, its content included.
    ///
    /// # Errors
    /// When the bytes are no event, or the content is not its own.
    pub fn recorded(&self) -> Result<RecordedEvent, EventError> {
        RecordedEvent::read_with(&self.bytes, self.content.as_deref())
    }
}

/// The writer's side of the store.
pub struct Store {
    db: Connection,
    numbers: RefCell<BTreeMap<OfficeId, i64>>,
    /// Whether anything was ever drafted here; true also when that was undone.
    has_drafts: Cell<bool>,
}

impl Store {
    /// Opens or creates the store in this file.
    ///
    /// # Errors
    /// When it is another program's, a newer version's, or SQLite fails.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let db = Connection::open(path).attempted("open the file")?;
        Self::with_connection(db)
    }

    /// Opens or creates the store through a named SQLite VFS: a simulated disk.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(path: &Path, vfs: &str) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags_and_vfs(path, flags, vfs).attempted("open the file")?;
        // Such a disk has no shared memory for the WAL index.
        db.pragma_update(None, "locking_mode", "EXCLUSIVE").attempted("lock the file")?;
        let store = Self::with_connection(db)?;
        // A simulated station writes little before it dies: the log must move into the file meanwhile, or no power cut
        // would ever hit that. It also keeps a country's disks small.
        store.db.pragma_update(None, "wal_autocheckpoint", 100).attempted("configure SQLite")?;
        Ok(store)
    }

    fn with_connection(db: Connection) -> Result<Self, StoreError> {
        db.set_prepared_statement_cache_capacity(128);
        db.busy_timeout(std::time::Duration::from_secs(5)).attempted("set the busy time-out")?;
        // Without this guarantee SQLite plans a statement with `LIMIT ?` anew at every run, because a plan may depend
        // on the bound value: that was half of the time of a step. No plan here does.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).attempted("keep the query plans")?;
        db.execute_batch(
            "PRAGMA page_size = 4096;
             PRAGMA auto_vacuum = INCREMENTAL;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -8192;
             PRAGMA wal_autocheckpoint = 4000;
             PRAGMA journal_size_limit = 67108864;",
        )
        .attempted("configure SQLite")?;
        if mutant::is(Mutant::AckBeforeSync) {
            db.pragma_update(None, "synchronous", "OFF").attempted("configure SQLite")?;
        }
        let store = Self { db, numbers: RefCell::default(), has_drafts: Cell::new(false) };
        store.migrate()?;
        let drafts = store.db.prepare("SELECT 1 FROM drafted").and_then(|mut s| s.exists([]));
        store.has_drafts.set(drafts.attempted("look for drafts")?);
        Ok(store)
    }

    fn migrate(&self) -> Result<(), StoreError> {
        let pragma = |name| self.db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let application_id = pragma("application_id").attempted("read the application id")?;
        let version = pragma("user_version").attempted("read the schema version")?;
        let foreign = |hint| {
            let path = self.db.path().unwrap_or_default().to_owned();
            Err(StoreError::Foreign { path, application_id, version, hint })
        };
        if version > SCHEMA_VERSION {
            return foreign("it was written by a newer version: install that one");
        }
        if version > 0 && application_id != APPLICATION_ID {
            return foreign("it is another program's database: choose another folder");
        }
        for (number, migration) in (1..).zip(MIGRATIONS).filter(|(number, _)| *number > version) {
            self.begin()?;
            let recorded = format!(
                "{migration}; PRAGMA user_version = {number}; PRAGMA application_id = {APPLICATION_ID};"
            );
            self.db.execute_batch(&recorded).attempted("create the tables")?;
            self.commit()?;
        }
        Ok(())
    }

    /// Starts the transaction of one step.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn begin(&self) -> Result<(), StoreError> {
        self.execute("BEGIN IMMEDIATE", "start a transaction")
    }

    /// Commits it; what it recorded survives a power cut once this returns.
    ///
    /// # Errors
    /// When SQLite fails. Whether it was committed is then unknown until the store is opened again.
    pub fn commit(&self) -> Result<(), StoreError> {
        self.execute("COMMIT", "commit a transaction")
    }

    /// Rows changed since the store was opened.
    pub fn changes(&self) -> u64 {
        self.db.total_changes()
    }

    /// Undoes it. Best effort: SQLite has already done so after some errors.
    pub fn rollback(&self) {
        self.numbers.borrow_mut().clear();
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            tracing::warn!(%error, "rollback failed; the transaction ends with the connection");
        }
    }

    fn execute(&self, sql: &str, attempted: &'static str) -> Result<(), StoreError> {
        self.db.prepare_cached(sql).and_then(|mut s| s.execute([])).attempted(attempted)?;
        Ok(())
    }

    /// Claims the store for an office; later opens must name the same one.
    ///
    /// # Errors
    /// When it belongs to another office, or SQLite fails.
    pub fn claim(&self, office: OfficeId) -> Result<(), StoreError> {
        let insert = "INSERT INTO station (one, office) VALUES (1, ?1) ON CONFLICT DO NOTHING";
        self.db.execute(insert, [office.as_bytes()]).attempted("claim the store")?;
        let found: [u8; 16] = self
            .db
            .query_row("SELECT office FROM station", [], |row| row.get(0))
            .attempted("read whose store this is")?;
        let found = OfficeId::new(found);
        if found == office { Ok(()) } else { Err(StoreError::OtherOffice { found, expected: office }) }
    }

    /// Checks every page of the file (`PRAGMA quick_check`).
    ///
    /// # Errors
    /// Says that it is damaged.
    pub fn check_structure(&self) -> Result<(), StoreError> {
        inspect::check_structure(&self.db)
    }

    /// The check of every start: the structure of a small file, and, event by event, the newest part of the
    /// station's own chain. A large file is checked whole once a day ([`crate::verify`]): reading it all would keep
    /// the clerk waiting. Signatures are checked by [`Inspection::self_check`].
    ///
    /// # Errors
    /// Names what is damaged.
    pub fn self_check(&self, events: u32) -> Result<(), StoreError> {
        inspect::self_check(&self.db, events, None)
    }

    /// Adds an event to the journal. Takes verified events only: presence in the journal is the proof afterwards.
    ///
    /// # Errors
    /// When SQLite fails, or the chain has an event at that place already.
    pub fn append(&self, class: Class, event: &VerifiedEvent, now: Millis) -> Result<Position, StoreError> {
        let insert = "INSERT INTO journal (class, incarnation, seq, recorded_at, bytes, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let number = match class {
            Class::Own => 0,
            Class::Received => 1,
            Class::Evidence => 2,
            Class::Regained => 3,
            Class::Unreadable => 4,
            Class::Opened => 5,
        };
        let fields = event.event();
        self.db
            .prepare_cached(insert)
            .and_then(|mut s| {
                s.insert(params![
                    number,
                    fields.incarnation.number() as i64,
                    fields.seq.0 as i64,
                    now.0 as i64,
                    event.bytes(),
                    fields.content.as_ref().map(Content::bytes),
                ])
            })
            .map(|position| Position(position.unsigned_abs()))
            .attempted("append to the journal")
            .and_then(|position| {
                self.note_named((class, position), event.version(), fields).map(|()| position)
            })
    }

    /// Journal entries from `from` on, in order, at most `limit`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn journal(&self, from: Position, limit: u32) -> Result<Vec<JournalEntry>, StoreError> {
        records::journal(&self.db, from, limit)
    }

    /// Keeps an event that contradicts a held one; `None` when it is kept already.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn append_evidence(
        &self,
        event: &VerifiedEvent,
        now: Millis,
    ) -> Result<Option<Position>, StoreError> {
        let known = "SELECT 1 FROM evidence WHERE id = ?1";
        let known = self.db.query_row(known, [event.id().as_bytes()], |_| Ok(())).optional();
        if known.attempted("look for evidence")?.is_some() {
            return Ok(None);
        }
        let position = self.append(Class::Evidence, event, now)?;
        self.db
            .execute(
                "INSERT INTO evidence VALUES (?1, ?2)",
                params![event.id().as_bytes(), position.0 as i64],
            )
            .attempted("keep evidence")?;
        Ok(Some(position))
    }

    /// Whether this very event, at this place of this station's chain, is in the journal: recorded or regained.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn knows_own(&self, event: &VerifiedEvent) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM journal WHERE class = 0 AND incarnation = ?1 AND seq = ?2 AND bytes = ?3
                   UNION ALL SELECT 1 FROM journal WHERE class = 3 AND incarnation = ?1 AND seq = ?2 AND bytes = ?3";
        let place = event.event();
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.exists(params![place.incarnation.number() as i64, place.seq.0 as i64, event.bytes()])
            })
            .attempted("look for an own event")
    }

    /// Keeps a refused item with its reason; the oldest make room.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn quarantine(
        &self,
        source: &str,
        reason: &Bilingual,
        bytes: &[u8],
        now: Millis,
    ) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO quarantine (at, source, reason, reason_vi, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            )
            .and_then(|mut s| {
                s.insert(params![now.0 as i64, source, reason.english, reason.vietnamese, bytes])
            })
            .and_then(|no| {
                let mut s = self.db.prepare_cached("DELETE FROM quarantine WHERE no <= ?1")?;
                s.execute([no - QUARANTINE_ROWS_MAX])
            })
            .attempted("keep a refused item")?;
        Ok(())
    }

    /// The hot state, as the tables have it.
    ///
    /// # Errors
    /// When SQLite fails or a row is damaged.
    pub fn load_exchange(&self, me: OfficeId) -> Result<Exchange, StoreError> {
        let read = "load the state";
        let mut chain = inspect::newest_own(&self.db, read)?.map_or(Chain::EMPTY, |head| Chain {
            incarnation: head.event.incarnation,
            seq: head.event.seq,
            head: head.id,
            earlier: Vec::new(),
        });
        chain.earlier = self.earlier_incarnations(chain.incarnation).attempted(read)?;
        let (presented, raised_at, books): (i64, Vec<u8>, Vec<u8>) = self
            .db
            .prepare_cached("SELECT presented, raised_at, books FROM station")
            .and_then(|mut s| s.query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))))
            .attempted(read)?;
        let raised_at =
            minicbor::decode(&raised_at).map_err(|_| StoreError::Value { what: "a list of times" })?;
        let books = minicbor::decode(&books).map_err(|_| StoreError::Value { what: "the registers" })?;
        let peers = self.load_peers()?;
        Ok(Exchange::from_parts(me, chain, peers, presented.unsigned_abs(), raised_at, books))
    }

    /// The newest own incarnations before this one, oldest first.
    fn earlier_incarnations(&self, before: Incarnation) -> rusqlite::Result<Vec<Incarnation>> {
        let sql = "SELECT max(newest) FROM (
                       SELECT max(incarnation) AS newest FROM journal WHERE class = 0 AND incarnation < ?1
                       UNION ALL SELECT max(incarnation) FROM journal WHERE class = 3 AND incarnation < ?1)";
        let mut statement = self.db.prepare_cached(sql)?;
        let mut earlier = vec![before];
        while earlier.len() <= EARLIER_MAX
            && let Some(before) = earlier.last()
        {
            let next = statement.query_row([before.number() as i64], |row| match row.get(0)? {
                None::<i64> => Ok(None),
                Some(_) => records::incarnation(row, 0).map(Some),
            });
            let Some(next) = next? else { break };
            earlier.push(next);
        }
        earlier.reverse();
        earlier.pop();
        Ok(earlier)
    }

    fn load_peers(&self) -> Result<BTreeMap<OfficeId, Peer>, StoreError> {
        let read = "load the correspondents";
        let mut peers = BTreeMap::new();
        let sql =
            "SELECT no, office, sent_incarnation, sent_counter, sent_id, told_at, heard, confirmed, returned
                   FROM peer ORDER BY no";
        let mut statement = self.db.prepare_cached(sql).attempted(read)?;
        let mut rows = statement.query([]).attempted(read)?;
        while let Some(row) = rows.next().attempted(read)? {
            let load = || -> rusqlite::Result<(i64, OfficeId, Peer)> {
                let no = row.get(0)?;
                let office = OfficeId::new(row.get(1)?);
                let sent = match row.get::<_, Option<i64>>(2)? {
                    Some(_) => Some(Place {
                        incarnation: records::incarnation(row, 2)?,
                        counter: Counter(row.get::<_, i64>(3)?.unsigned_abs()),
                        id: EventId::new(row.get(4)?),
                    }),
                    None => None,
                };
                let told_at = row.get::<_, Option<i64>>(5)?.map(|at| Millis(at.unsigned_abs()));
                let heard = row.get::<_, i64>(6)?.unsigned_abs();
                let confirmed = Counter(row.get::<_, i64>(7)?.unsigned_abs());
                let channels = self.load_channels(no)?;
                let returned = BTreeMap::new();
                Ok((no, office, Peer { sent, channels, told_at, heard, confirmed, returned }))
            };
            let (no, office, mut peer) = load().attempted(read)?;
            let returned: Vec<u8> = row.get(8).attempted(read)?;
            peer.returned =
                minicbor::decode(&returned).map_err(|_| StoreError::Value { what: "a map of counters" })?;
            self.numbers.borrow_mut().insert(office, no);
            peers.insert(office, peer);
        }
        Ok(peers)
    }

    fn load_channels(&self, peer: i64) -> rusqlite::Result<BTreeMap<Incarnation, Channel>> {
        let sql = "SELECT incarnation, held, held_id, presented, ended FROM channel WHERE peer = ?1
                   ORDER BY incarnation DESC LIMIT ?2";
        let mut channels = self.db.prepare_cached(sql)?;
        let ahead = "SELECT counter, id FROM held WHERE peer = ?1 AND incarnation = ?2 AND counter > ?3";
        let mut ahead = self.db.prepare_cached(ahead)?;
        let rows = channels.query_map(params![peer, CHANNELS_MAX as i64], |row| {
            let incarnation = records::incarnation(row, 0)?;
            let held = Counter(row.get::<_, i64>(1)?.unsigned_abs());
            let held_id = row.get::<_, Option<[u8; 32]>>(2)?.map(EventId::new);
            let presented = Counter(row.get::<_, i64>(3)?.unsigned_abs());
            let ended = row.get(4)?;
            Ok((incarnation, Channel { held, held_id, presented, ended, ahead: BTreeMap::new() }))
        })?;
        let mut loaded = BTreeMap::new();
        for row in rows {
            let (incarnation, mut channel) = row?;
            let held = ahead
                .query_map(params![peer, incarnation.number() as i64, channel.held.0 as i64], |row| {
                    Ok((Counter(row.get::<_, i64>(0)?.unsigned_abs()), EventId::new(row.get(1)?)))
                })?;
            channel.ahead = held.collect::<Result<_, _>>()?;
            loaded.insert(incarnation, channel);
        }
        Ok(loaded)
    }

    /// Writes the hot state of the correspondents a step has touched.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn save_exchange(&self, exchange: &Exchange, touched: &BTreeSet<OfficeId>) -> Result<(), StoreError> {
        let raised_at = minicbor::to_vec(exchange.raised_at()).unwrap_or_default();
        let books = minicbor::to_vec(exchange.books()).unwrap_or_default();
        // A step that changed nothing must not write, and so costs no sync.
        let sql = "UPDATE station SET presented = ?1, raised_at = ?2, books = ?3
                   WHERE presented <> ?1 OR raised_at <> ?2 OR books <> ?3";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(params![exchange.presented() as i64, raised_at, books]))
            .attempted("save the state")?;
        for office in touched {
            let Some(peer) = exchange.peer(office) else {
                continue;
            };
            self.save_peer(office, peer)?;
        }
        Ok(())
    }

    fn save_peer(&self, office: &OfficeId, peer: &Peer) -> Result<(), StoreError> {
        let no = self.number_of(office)?;
        let save = || -> rusqlite::Result<()> {
            let mut update = self.db.prepare_cached(
                "UPDATE peer SET sent_incarnation = ?2, sent_counter = ?3, sent_id = ?4, told_at = ?5, heard = ?6,
                 confirmed = ?7, returned = ?8 WHERE no = ?1",
            )?;
            update.execute(params![
                no,
                peer.sent.map(|sent| sent.incarnation.number() as i64),
                peer.sent.map(|sent| sent.counter.0 as i64),
                peer.sent.map(|sent| *sent.id.as_bytes()),
                peer.told_at.map(|at| at.0 as i64),
                peer.heard as i64,
                peer.confirmed.0 as i64,
                minicbor::to_vec(&peer.returned).unwrap_or_default(),
            ])?;
            let mut upsert = self.db.prepare_cached(
                "INSERT INTO channel (peer, incarnation, held, held_id, presented, ended) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT DO UPDATE SET held = ?3, held_id = ?4, presented = ?5, ended = ?6",
            )?;
            for (incarnation, channel) in &peer.channels {
                upsert.execute(params![
                    no,
                    incarnation.number() as i64,
                    channel.held.0 as i64,
                    channel.held_id.map(|id| *id.as_bytes()),
                    channel.presented.0 as i64,
                    channel.ended,
                ])?;
            }
            Ok(())
        };
        save().attempted("save the state")
    }

    /// The small local number of a correspondent; gives it one on first sight.
    fn number_of(&self, office: &OfficeId) -> Result<i64, StoreError> {
        if let Some(no) = self.numbers.borrow().get(office) {
            return Ok(*no);
        }
        let no = self
            .db
            .prepare_cached("INSERT INTO peer (office) VALUES (?1) ON CONFLICT DO UPDATE SET office = office RETURNING no")
            .and_then(|mut s| s.query_row([office.as_bytes()], |row| row.get(0)))
            .attempted("number a correspondent")?;
        self.numbers.borrow_mut().insert(*office, no);
        Ok(no)
    }

    fn known_number(&self, office: &OfficeId) -> Result<Option<i64>, StoreError> {
        if let Some(no) = self.numbers.borrow().get(office) {
            return Ok(Some(*no));
        }
        self.db
            .prepare_cached("SELECT no FROM peer WHERE office = ?1")
            .and_then(|mut s| s.query_row([office.as_bytes()], |row| row.get(0)).optional())
            .attempted("look up a correspondent")
    }
}
