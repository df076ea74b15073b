//! Which attachments are here, how they are opened, and who waits for them. Their bytes are in files ([`crate::content`]): what is
//! said to be complete here was on the disk before.

use rusqlite::{Connection, OptionalExtension, Row, params};
use schema::blob::{BlobIdentity, BlobRef, Enclosure};
use schema::body::{Body, Place};
use schema::event::{Event, Urgency};
use schema::id::{BlobHash, Counter, EventId, FileHash, OfficeId, Position};

use super::{Attempted, Store, StoreError, records};
use crate::node::SMALL_BYTES_MAX;
use crate::step::Opening;

/// Most events looked at together that wait for one attachment; the others are when these are settled.
const AWAITING_MAX: i64 = 256;

/// A held event that waits for an attachment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Awaiting {
    /// Its author.
    pub from: OfficeId,
    /// Its place in the channel.
    pub place: Place,
    /// Where it is in the journal.
    pub position: Position,
}

/// An attachment that held events wait for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AwaitedBlob {
    /// The attachment.
    pub blob: BlobRef,
    /// Who sent one of the events.
    pub sender: OfficeId,
    /// How urgent the most urgent of them is.
    pub urgency: Urgency,
}

impl Store {
    /// Whether an attachment is here completely, its hash checked.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn has_blob(&self, blob: &BlobRef) -> Result<bool, StoreError> {
        has_blob(&self.db, blob)
    }

    /// Whether a held event waits for an attachment.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn is_awaited(&self, blob: &BlobRef) -> Result<bool, StoreError> {
        is_awaited(&self.db, blob, false)
    }

    /// Whether an attachment is here completely, and holds its file when it is opened so.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn opens(&self, opening: &Opening) -> Result<bool, StoreError> {
        opens(&self.db, opening)
    }

    /// A file that was sealed here, to be sent; the one sealed last.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn enclosure(&self, file: &FileHash) -> Result<Option<Enclosure>, StoreError> {
        enclosure(&self.db, file)
    }

    pub(super) fn blob_number(&self, blob: &BlobRef) -> Result<i64, StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO blob (hash, length, complete) VALUES (?1, ?2, 0)
                 ON CONFLICT (hash, length) DO UPDATE SET complete = complete RETURNING no",
            )
            .and_then(|mut s| {
                s.query_row(params![blob.hash.as_bytes(), blob.length as i64], |row| row.get(0))
            })
            .attempted("number an attachment")
    }

    /// Notes that an attachment is complete and on the disk.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn complete_blob(&self, blob: &BlobRef) -> Result<(), StoreError> {
        let no = self.blob_number(blob)?;
        self.db
            .prepare_cached("UPDATE blob SET complete = 1 WHERE no = ?1")
            .and_then(|mut s| s.execute([no]))
            .attempted("note a complete attachment")?;
        Ok(())
    }

    /// Notes that a complete attachment, opened so, is the file; `own` when it was sealed here.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn keep_opening(&self, opening: &Opening, own: bool) -> Result<(), StoreError> {
        let Opening { enclosure: Enclosure { blob, identity }, file } = opening;
        let no = self.blob_number(blob)?;
        let sql = "INSERT INTO opening (file, blob, length, identity, own) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT DO UPDATE SET own = max(own, excluded.own)";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.execute(params![file.hash.as_bytes(), no, file.length as i64, identity.0, own])
            })
            .attempted("note what an attachment holds")?;
        Ok(())
    }

    /// Notes that a held event waits for an attachment.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn await_blob(
        &self,
        blob: &BlobRef,
        from: &OfficeId,
        place: &Place,
        urgency: Urgency,
    ) -> Result<(), StoreError> {
        let (blob, peer) = (self.blob_number(blob)?, self.number_of(from)?);
        let sql = "INSERT INTO awaited (blob, peer, incarnation, counter, urgency, unreadable)
                   VALUES (?1, ?2, ?3, ?4, ?5, 0) ON CONFLICT DO NOTHING";
        let (incarnation, counter) = (place.incarnation.number() as i64, place.counter.0 as i64);
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(params![blob, peer, incarnation, counter, urgency.number()]))
            .attempted("wait for an attachment")?;
        Ok(())
    }

    /// Held events that wait for this attachment, in the order in which they came.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn awaiting(&self, blob: &BlobRef) -> Result<Vec<Awaiting>, StoreError> {
        let sql = "SELECT peer.office, held.incarnation, held.counter, held.id, held.position FROM awaited
                   JOIN held USING (peer, incarnation, counter) JOIN peer ON peer.no = awaited.peer
                   WHERE awaited.blob = ?1 AND awaited.unreadable = 0
                   ORDER BY held.position LIMIT ?2";
        let no = self.blob_number(blob)?;
        let mut awaiting = Vec::new();
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let mut rows = statement.query(params![no, AWAITING_MAX])?;
                while let Some(row) = rows.next()? {
                    awaiting.push(awaiting_of(row)?);
                }
                Ok(())
            })
            .attempted("list what waits for an attachment")?;
        Ok(awaiting)
    }

    /// A held event waits for this attachment no more. Says whether it waits for none.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn stop_awaiting(&self, blob: &BlobRef, awaiting: &Awaiting) -> Result<bool, StoreError> {
        let no = self.blob_number(blob)?;
        let Awaiting { from, place, .. } = awaiting;
        let (peer, incarnation, counter) =
            (self.number_of(from)?, place.incarnation.number() as i64, place.counter.0 as i64);
        let attempted = "settle what waited for an attachment";
        let sql = "DELETE FROM awaited WHERE blob = ?1
                   AND peer = ?2 AND incarnation = ?3 AND counter = ?4";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(params![no, peer, incarnation, counter]))
            .attempted(attempted)?;
        let sql = "SELECT 1 FROM awaited WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3";
        let waits = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| s.exists([peer, incarnation, counter]))
            .attempted(attempted)?;
        Ok(!waits)
    }

    /// An attachment is here, and is not what this held event says.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn is_unreadable(&self, blob: &BlobRef, awaiting: &Awaiting) -> Result<(), StoreError> {
        let no = self.blob_number(blob)?;
        let Awaiting { from, place, .. } = awaiting;
        let (peer, incarnation, counter) =
            (self.number_of(from)?, place.incarnation.number() as i64, place.counter.0 as i64);
        let sql = "UPDATE awaited SET unreadable = 1 WHERE blob = ?1
                   AND peer = ?2 AND incarnation = ?3 AND counter = ?4";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(params![no, peer, incarnation, counter]))
            .attempted("note an attachment that is not what its document says")?;
        Ok(())
    }

    /// Attachments that held events wait for, those of the most urgent ones first; at most `limit`. Small ones
    /// ([`crate::node::SMALL_BYTES_MAX`]), or the others.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn awaited_blobs(&self, small: bool, limit: usize) -> Result<Vec<AwaitedBlob>, StoreError> {
        // Grouped by what is awaited, not by what there is: few wait, and all attachments ever kept may be many.
        let sql =
            "SELECT blob.hash, blob.length, min(peer.office), max(awaited.urgency) AS urgency FROM awaited
                   JOIN blob ON blob.no = awaited.blob JOIN peer ON peer.no = awaited.peer
                   WHERE awaited.unreadable = 0 AND (blob.length <= ?2) = ?3
                   GROUP BY awaited.blob ORDER BY urgency DESC, awaited.blob LIMIT ?1";
        let mut awaited = Vec::new();
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let mut rows = statement.query(params![limit as i64, SMALL_BYTES_MAX as i64, small])?;
                while let Some(row) = rows.next()? {
                    let urgency = records::urgency(row.get(3)?);
                    let sender = OfficeId::new(row.get(2)?);
                    awaited.push(AwaitedBlob { blob: blob_of(row)?, sender, urgency });
                }
                Ok(())
            })
            .attempted("list the attachments that are awaited")?;
        Ok(awaited)
    }
}

fn awaiting_of(row: &Row<'_>) -> rusqlite::Result<Awaiting> {
    let place = Place {
        incarnation: records::incarnation(row, 1)?,
        counter: Counter(row.get::<_, i64>(2)?.unsigned_abs()),
        id: EventId::new(row.get(3)?),
    };
    let position = Position(row.get::<_, i64>(4)?.unsigned_abs());
    Ok(Awaiting { from: OfficeId::new(row.get(0)?), place, position })
}

/// Hash and length in the first two columns.
pub(super) fn blob_of(row: &Row<'_>) -> rusqlite::Result<BlobRef> {
    Ok(BlobRef { hash: BlobHash::new(row.get(0)?), length: row.get::<_, i64>(1)?.unsigned_abs() })
}

pub(super) fn has_blob(db: &Connection, blob: &BlobRef) -> Result<bool, StoreError> {
    db.prepare_cached("SELECT 1 FROM blob WHERE hash = ?1 AND length = ?2 AND complete = 1")
        .and_then(|mut s| s.exists(params![blob.hash.as_bytes(), blob.length as i64]))
        .attempted("look up an attachment")
}

/// Whether a held event waits for an attachment, or has waited in vain, because it is not what the event says.
pub(super) fn is_awaited(db: &Connection, blob: &BlobRef, unreadable: bool) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM awaited JOIN blob ON blob.no = awaited.blob
         WHERE blob.hash = ?1 AND blob.length = ?2 AND unreadable = ?3";
    db.prepare_cached(sql)
        .and_then(|mut s| s.exists(params![blob.hash.as_bytes(), blob.length as i64, unreadable]))
        .attempted("look up who waits for an attachment")
}

pub(super) fn opens(db: &Connection, opening: &Opening) -> Result<bool, StoreError> {
    let Opening { enclosure: Enclosure { blob, identity }, file } = opening;
    let sql = "SELECT 1 FROM opening JOIN blob ON blob.no = opening.blob
               WHERE opening.file = ?1 AND opening.length = ?2 AND opening.identity = ?3
                 AND blob.hash = ?4 AND blob.length = ?5 AND blob.complete = 1";
    let (length, sealed) = (file.length as i64, blob.length as i64);
    db.prepare_cached(sql)
        .and_then(|mut s| {
            s.exists(params![file.hash.as_bytes(), length, identity.0, blob.hash.as_bytes(), sealed])
        })
        .attempted("look up what an attachment holds")
}

pub(super) fn enclosure(db: &Connection, file: &FileHash) -> Result<Option<Enclosure>, StoreError> {
    let sql = "SELECT blob.hash, blob.length, opening.identity FROM opening
               JOIN blob ON blob.no = opening.blob
               WHERE opening.file = ?1 AND opening.own = 1 AND blob.complete = 1
               ORDER BY opening.blob DESC LIMIT 1";
    let found = |row: &Row<'_>| Ok(Enclosure { blob: blob_of(row)?, identity: BlobIdentity(row.get(2)?) });
    db.prepare_cached(sql)
        .and_then(|mut s| s.query_row([file.as_bytes()], found).optional())
        .attempted("look up a file that was sealed here")
}

/// How the attachments of a document are opened, in its order; none for what is no document, or was not opened.
pub fn openings(version: u8, event: &Event) -> Vec<Opening> {
    match Body::read(version, event) {
        Ok(Body::Dispatch(dispatch)) => {
            dispatch.files().map(|(enclosure, file)| Opening { enclosure, file }).collect()
        }
        _ => Vec::new(),
    }
}
