//! Which relays keep which attachments for this station, and which of them they need not keep any more.

use rusqlite::{Row, params};
use schema::blob::{BlobRef, fingerprint};
use schema::id::{Position, RegionId};

use super::{Attempted, Store, StoreError, blobs};

/// Attachments named together; the others come with a later receipt or connection.
const IN_VAIN_MAX: i64 = 1_000;

/// Nothing that was sent with it is open. The condition of `sent_waiting`, the index that answers it: what was given back to this station is
/// open although there may be a receipt for it.
const IN_VAIN: &str = "NOT EXISTS (
    SELECT 1 FROM kept AS other JOIN sent ON sent.position = other.position
    WHERE other.relay = kept.relay AND other.blob = kept.blob
      AND sent.open = 1 AND sent.kind NOT IN (6, 7))";

/// The rows of one attachment at one relay.
const OF_BLOB: &str = "SELECT 1 FROM kept
    WHERE relay = ?1 AND blob = (SELECT no FROM blob WHERE hash = ?2 AND length = ?3)";

/// Which of the attachments that relays keep are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeptFor<'a> {
    /// Those of what was sent at this place of the journal.
    Sent(Position),
    /// Those at this relay.
    At(&'a RegionId),
}

impl Store {
    /// Notes that a relay keeps an attachment, or soon will, for what was sent at this place of the journal.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn note_kept(&self, relay: &RegionId, blob: &BlobRef, position: Position) -> Result<(), StoreError> {
        let sql = "INSERT INTO kept (relay, blob, position)
                   SELECT ?1, no, ?4 FROM blob WHERE hash = ?2 AND length = ?3 ON CONFLICT DO NOTHING";
        let (length, position) = (blob.length as i64, position.0 as i64);
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.execute(params![relay.as_str(), blob.hash.as_bytes(), length, position]))
            .attempted("note what a relay keeps")?;
        Ok(())
    }

    /// Whether any relay keeps anything for this station.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn is_anything_kept(&self) -> Result<bool, StoreError> {
        self.db
            .prepare_cached("SELECT 1 FROM kept LIMIT 1")
            .and_then(|mut s| s.exists([]))
            .attempted("look up what relays keep")
    }

    /// What relays keep although everything that was sent with it has its receipt.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn kept_in_vain(&self, of: KeptFor<'_>) -> Result<Vec<(RegionId, BlobRef)>, StoreError> {
        let named = |row: &Row<'_>| {
            let relay: String = row.get(2)?;
            Ok(relay.parse().ok().zip(Some(blobs::blob_of(row)?)))
        };
        let (which, at, position) = match of {
            KeptFor::Sent(position) => ("kept.position = ?2 AND ?1 IS NULL", None, Some(position.0 as i64)),
            KeptFor::At(relay) => ("kept.relay = ?1 AND ?2 IS NULL", Some(relay.as_str()), None),
        };
        let sql = format!(
            "SELECT DISTINCT blob.hash, blob.length, kept.relay FROM kept JOIN blob ON blob.no = kept.blob
             WHERE {which} AND {IN_VAIN} LIMIT ?3"
        );
        let found: Vec<_> = self
            .db
            .prepare_cached(&sql)
            .and_then(|mut s| s.query_map(params![at, position, IN_VAIN_MAX], named)?.collect())
            .attempted("look up what relays keep in vain")?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Whether a relay keeps this attachment although everything that was sent with it has its receipt.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn is_kept_in_vain(&self, relay: &RegionId, blob: &BlobRef) -> Result<bool, StoreError> {
        let sql = format!("{OF_BLOB} AND {IN_VAIN}");
        self.exists(&sql, relay, blob)
    }

    /// Whether a relay keeps this attachment, as far as this station knows.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn is_kept(&self, relay: &RegionId, blob: &BlobRef) -> Result<bool, StoreError> {
        self.exists(OF_BLOB, relay, blob)
    }

    fn exists(&self, sql: &str, relay: &RegionId, blob: &BlobRef) -> Result<bool, StoreError> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.exists(params![relay.as_str(), blob.hash.as_bytes(), blob.length as i64]))
            .attempted("look up what a relay keeps")
    }

    /// Of everything that this relay keeps as far as this station knows: the [`fingerprint`]s, combined by exclusive or.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn kept_fingerprint(&self, relay: &RegionId) -> Result<u64, StoreError> {
        let sql = "SELECT DISTINCT blob.hash, blob.length FROM kept JOIN blob ON blob.no = kept.blob
                   WHERE kept.relay = ?1";
        let mut all = 0;
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let mut rows = statement.query([relay.as_str()])?;
                while let Some(row) = rows.next()? {
                    all ^= fingerprint(&blobs::blob_of(row)?);
                }
                Ok(())
            })
            .attempted("sum up what a relay keeps")?;
        Ok(all)
    }

    /// A relay keeps this no more; not said of what waits for a receipt again.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn forget_kept(&self, relay: &RegionId, blob: &BlobRef) -> Result<(), StoreError> {
        let sql = format!(
            "DELETE FROM kept WHERE relay = ?1
             AND blob = (SELECT no FROM blob WHERE hash = ?2 AND length = ?3) AND {IN_VAIN}"
        );
        self.db
            .prepare_cached(&sql)
            .and_then(|mut s| s.execute(params![relay.as_str(), blob.hash.as_bytes(), blob.length as i64]))
            .attempted("forget what a relay kept")?;
        Ok(())
    }
}
