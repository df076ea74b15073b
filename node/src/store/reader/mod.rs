//! Reading for people: a connection of its own, so that a long list never holds up the writer.

mod alarms;
mod amended;
mod drafts;
mod due;
mod erasable;
mod export;
mod handled;
mod incoming;
mod outgoing;
mod register;
mod searched;
mod slip;
mod status;
mod timeline;

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use schema::blob::{BlobRef, Enclosure};
use schema::body::{Body, Dispatch};
use schema::event::RecordedEvent;
use schema::id::{BlobHash, FileHash, Position};
use schema::time::Millis;
use serde::Serialize;

use super::inspect::{entry_columns, recorded, recorded_with};
use super::{Attempted, Claim, StoreError, blobs, erased};
use crate::step::Opening;

pub use alarms::{AlarmView, NamedDocument, QuarantineView};
pub use amended::{AmendsView, DifferenceView};
pub use drafts::DraftView;
pub use due::{DueView, DueViews, Task};
pub use erasable::{ErasableView, RETENTION_YEARS_MAX};
pub use export::ExportError;
pub use handled::{
    AskedView, LineView, ProgressView, WaitingCursor, WaitingPages, WaitingView, WaitingViews,
};
pub(super) use incoming::Arrived;
pub use incoming::IncomingView;
pub(super) use outgoing::Departed;
pub use outgoing::OutgoingView;
pub use register::{BookView, RegisterRow};
pub(super) use searched::Concern;
pub use slip::{Said, SlipNote, SlipPartView, SlipView};
pub use status::{HandedOver, StatusView};
pub use timeline::{
    AttachmentState, AttachmentView, DocumentView, ErasedView, JudgementView, RecipientView, SentStamp, Step,
    StepKind, WhyView,
};

/// Most rows of one page.
pub const PAGE_ROWS_MAX: u32 = 200;

/// One page of a list; `next` is the cursor of the page after it.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    /// Rows, newest first.
    pub rows: Vec<T>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<u64>,
}

/// Reads a station's store beside its writer.
pub struct Reader {
    db: Connection,
}

fn millis(value: i64) -> Millis {
    Millis(value.unsigned_abs())
}

/// A sum over no rows is null.
fn count_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, Option<i64>>(column)?.unwrap_or(0).unsigned_abs())
}

fn dispatch_of(recorded: &RecordedEvent) -> Option<Dispatch> {
    match Body::read(recorded.version, &recorded.event) {
        Ok(Body::Dispatch(dispatch)) => Some(dispatch),
        _ => None,
    }
}

impl Reader {
    /// Opens a store for reading.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).attempted("open the file for reading")?;
        db.busy_timeout(std::time::Duration::from_secs(5)).attempted("set the busy time-out")?;
        db.set_prepared_statement_cache_capacity(32);
        db.pragma_update(None, "cache_size", -4096).attempted("bound the page cache")?;
        Ok(Self { db })
    }

    fn count(&self, sql: &str) -> Result<u64, StoreError> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row([], |row| row.get::<_, i64>(0)))
            .map(i64::unsigned_abs)
            .attempted("count rows")
    }

    fn event_at(&self, position: i64) -> Result<(RecordedEvent, Millis), StoreError> {
        let missing = || Err(rusqlite::Error::QueryReturnedNoRows);
        self.find_event_at(position)?.map_or_else(missing, Ok).attempted("read a journal entry")
    }

    fn find_event_at(&self, position: i64) -> Result<Option<(RecordedEvent, Millis)>, StoreError> {
        let found = self
            .db
            .prepare_cached("SELECT bytes, content, recorded_at FROM journal WHERE position = ?1")
            .and_then(|mut s| {
                let row = |row: &Row<'_>| Ok((entry_columns(row, 0)?, row.get(2)?));
                s.query_row([position], row).optional()
            })
            .attempted("read a journal entry")?;
        found.map(|(entry, at)| Ok((recorded_with(position, &entry)?, millis(at)))).transpose()
    }

    /// Whether an attachment is here completely.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_blob(&self, blob: &BlobRef) -> Result<bool, StoreError> {
        blobs::has_blob(&self.db, blob)
    }

    /// A file that was sealed here, to be sent.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn enclosure(&self, file: &FileHash) -> Result<Option<Enclosure>, StoreError> {
        blobs::enclosure(&self.db, file)
    }

    /// Whether an event that is held here waits for this attachment.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_awaited(&self, blob: &BlobRef) -> Result<bool, StoreError> {
        blobs::is_awaited(&self.db, blob, false)
    }

    /// For what an attachment is kept.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn claim_on(&self, blob: &BlobRef) -> Result<Claim, StoreError> {
        erased::claim_on(&self.db, blob)
    }

    /// With which lengths an attachment of this hash is known.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn lengths_of_blob(&self, hash: &BlobHash) -> Result<Vec<u64>, StoreError> {
        erased::lengths_of(&self.db, hash)
    }

    /// Where an attachment of a document is. What this office sent is judged when it is read: it was here before it left.
    fn state_of(&self, opening: &Opening, outgoing: bool) -> Result<AttachmentState, StoreError> {
        let blob = &opening.enclosure.blob;
        Ok(match outgoing {
            true if blobs::has_blob(&self.db, blob)? => AttachmentState::Here,
            false if blobs::opens(&self.db, opening)? => AttachmentState::Here,
            _ if blobs::is_awaited(&self.db, blob, true)? => AttachmentState::Unreadable,
            _ if blobs::is_awaited(&self.db, blob, false)? => AttachmentState::Arriving,
            _ => AttachmentState::Gone,
        })
    }

    /// Bytes of an event, for whoever wants to check it elsewhere.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn journal(&self, from: Position, limit: u32) -> Result<Vec<super::JournalEntry>, StoreError> {
        super::records::journal(&self.db, from, limit)
    }
}
