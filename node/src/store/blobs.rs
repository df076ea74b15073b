//! Attachments, chunk by chunk, in the same database as the events: one transaction covers both, one backup holds both.

use rusqlite::{OptionalExtension, params};
use schema::blob::{BlobRef, CHUNK_BYTES};
use schema::body::Place;
use schema::id::{BlobHash, OfficeId};
use schema::id::{Counter, EventId};
use sha2::{Digest, Sha256};

use super::{Attempted, Store, StoreError, records};

/// Chunks per attachment at most: 512 MiB in chunks of 64 KiB.
pub(super) const CHUNKS_MAX: i64 = 8_192;

const _: () = assert!(schema::blob::BLOB_BYTES_MAX / CHUNK_BYTES as u64 <= CHUNKS_MAX as u64);

/// What became of a chunk that was kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlobProgress {
    /// More chunks are missing.
    Partial,
    /// All chunks are here and the hash holds.
    Complete,
    /// All chunks were here and the hash does not hold: they were dropped.
    Mismatch,
}

impl Store {
    /// Whether an attachment is here completely, its hash checked.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn has_blob(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        self.db
            .prepare_cached("SELECT 1 FROM blob WHERE hash = ?1 AND complete = 1")
            .and_then(|mut s| s.exists([hash.as_bytes()]))
            .attempted("look up an attachment")
    }

    fn blob_number(&self, blob: &BlobRef) -> Result<i64, StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO blob (hash, length, complete) VALUES (?1, ?2, 0)
                 ON CONFLICT DO UPDATE SET length = length RETURNING no",
            )
            .and_then(|mut s| {
                s.query_row(params![blob.hash.as_bytes(), blob.length as i64], |row| row.get(0))
            })
            .attempted("number an attachment")
    }

    /// The chunks of an attachment that are missing, in order, at most `limit`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn missing_chunks(&self, blob: &BlobRef, limit: usize) -> Result<Vec<u32>, StoreError> {
        if self.has_blob(&blob.hash)? {
            return Ok(Vec::new());
        }
        let no = self.blob_number(blob)?;
        let mut here = Vec::new();
        self.db
            .prepare_cached("SELECT place FROM chunk WHERE place >= ?1 AND place < ?2 ORDER BY place")
            .and_then(|mut statement| {
                let mut rows = statement.query([no * CHUNKS_MAX, (no + 1) * CHUNKS_MAX])?;
                while let Some(row) = rows.next()? {
                    here.push(row.get::<_, i64>(0)? - no * CHUNKS_MAX);
                }
                Ok(())
            })
            .attempted("list the chunks of an attachment")?;
        let missing = (0..blob.chunks()).filter(|index| here.binary_search(&i64::from(*index)).is_err());
        Ok(missing.take(limit).collect())
    }

    /// Keeps a chunk; a repeat changes nothing. With the last one the whole is checked against its hash.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn keep_chunk(&self, blob: &BlobRef, index: u32, bytes: &[u8]) -> Result<BlobProgress, StoreError> {
        if self.has_blob(&blob.hash)? {
            return Ok(BlobProgress::Complete);
        }
        let no = self.blob_number(blob)?;
        self.db
            .prepare_cached("INSERT INTO chunk (place, bytes) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .and_then(|mut s| s.execute(params![no * CHUNKS_MAX + i64::from(index), bytes]))
            .attempted("keep a chunk of an attachment")?;
        let kept: i64 = self
            .db
            .prepare_cached("SELECT count(*) FROM chunk WHERE place >= ?1 AND place < ?2")
            .and_then(|mut s| s.query_row([no * CHUNKS_MAX, (no + 1) * CHUNKS_MAX], |row| row.get(0)))
            .attempted("count the chunks of an attachment")?;
        if kept < i64::from(blob.chunks()) {
            return Ok(BlobProgress::Partial);
        }
        self.check_blob(blob, no)
    }

    fn check_blob(&self, blob: &BlobRef, no: i64) -> Result<BlobProgress, StoreError> {
        let range = [no * CHUNKS_MAX, (no + 1) * CHUNKS_MAX];
        let mut hash = Sha256::new();
        let mut length = 0;
        self.db
            .prepare_cached("SELECT bytes FROM chunk WHERE place >= ?1 AND place < ?2 ORDER BY place")
            .and_then(|mut statement| {
                let mut rows = statement.query(range)?;
                while let Some(row) = rows.next()? {
                    let bytes: Vec<u8> = row.get(0)?;
                    length += bytes.len() as u64;
                    hash.update(bytes);
                }
                Ok(())
            })
            .attempted("check an attachment")?;
        let holds = length == blob.length && <[u8; 32]>::from(hash.finalize()) == *blob.hash.as_bytes();
        let sql = if holds {
            "UPDATE blob SET complete = 1 WHERE no = ?1 / 8192"
        } else {
            "DELETE FROM chunk WHERE place >= ?1 AND place < ?1 + 8192"
        };
        self.db.execute(sql, [range[0]]).attempted("record the check of an attachment")?;
        Ok(if holds { BlobProgress::Complete } else { BlobProgress::Mismatch })
    }

    /// One chunk of an attachment.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn chunk(&self, hash: &BlobHash, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        super::blobs::chunk(&self.db, hash, index)
    }

    /// Notes that a held event waits for an attachment.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn await_blob(&self, blob: &BlobRef, from: &OfficeId, place: &Place) -> Result<(), StoreError> {
        let (blob, peer) = (self.blob_number(blob)?, self.number_of(from)?);
        let sql = "INSERT INTO awaited VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.execute(params![blob, peer, place.incarnation.number() as i64, place.counter.0 as i64])
            })
            .attempted("wait for an attachment")?;
        Ok(())
    }

    /// The held events that wait for nothing any more now that this attachment is complete.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn settle_awaited(&self, hash: &BlobHash) -> Result<Vec<(OfficeId, Place)>, StoreError> {
        let settle = "settle what waited for an attachment";
        let no: Option<i64> = self
            .db
            .query_row("SELECT no FROM blob WHERE hash = ?1 AND complete = 1", [hash.as_bytes()], |row| {
                row.get(0)
            })
            .optional()
            .attempted(settle)?;
        let Some(no) = no else { return Ok(Vec::new()) };
        let sql = "SELECT peer.office, held.incarnation, held.counter, held.id FROM awaited
                   JOIN held USING (peer, incarnation, counter) JOIN peer ON peer.no = awaited.peer
                   WHERE awaited.blob = ?1 AND NOT EXISTS (
                       SELECT 1 FROM awaited AS other JOIN blob ON blob.no = other.blob
                       WHERE other.peer = awaited.peer AND other.incarnation = awaited.incarnation
                         AND other.counter = awaited.counter AND blob.complete = 0)
                   ORDER BY held.position";
        let mut settled = Vec::new();
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let mut rows = statement.query([no])?;
                while let Some(row) = rows.next()? {
                    let place = Place {
                        incarnation: records::incarnation(row, 1)?,
                        counter: Counter(row.get::<_, i64>(2)?.unsigned_abs()),
                        id: EventId::new(row.get(3)?),
                    };
                    settled.push((OfficeId::new(row.get(0)?), place));
                }
                Ok(())
            })
            .attempted(settle)?;
        self.db.execute("DELETE FROM awaited WHERE blob = ?1", [no]).attempted(settle)?;
        Ok(settled)
    }

    /// Attachments that held events wait for, with the sender of the first such event; at most `limit`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn awaited_blobs(&self, limit: usize) -> Result<Vec<(BlobRef, OfficeId)>, StoreError> {
        // Grouped by what is awaited, not by what there is: few wait, and all attachments ever kept may be many.
        let sql = "SELECT blob.hash, blob.length, min(peer.office) FROM awaited
                   JOIN blob ON blob.no = awaited.blob JOIN peer ON peer.no = awaited.peer
                   WHERE blob.complete = 0 GROUP BY awaited.blob ORDER BY awaited.blob LIMIT ?1";
        let mut awaited = Vec::new();
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let mut rows = statement.query([limit as i64])?;
                while let Some(row) = rows.next()? {
                    let length = row.get::<_, i64>(1)?.unsigned_abs();
                    let blob = BlobRef { hash: BlobHash::new(row.get(0)?), length };
                    awaited.push((blob, OfficeId::new(row.get(2)?)));
                }
                Ok(())
            })
            .attempted("list the attachments that are awaited")?;
        Ok(awaited)
    }
}

pub(super) fn chunk(
    db: &rusqlite::Connection,
    hash: &BlobHash,
    index: u32,
) -> Result<Option<Vec<u8>>, StoreError> {
    let sql = "SELECT bytes FROM chunk WHERE place = ?2 + 8192 * (SELECT no FROM blob WHERE hash = ?1 AND complete = 1)";
    db.prepare_cached(sql)
        .and_then(|mut s| s.query_row(params![hash.as_bytes(), index], |row| row.get(0)).optional())
        .attempted("read a chunk of an attachment")
}
