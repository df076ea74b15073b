//! What is open, written into a courier file.

use std::io::Write;

use rusqlite::{Row, ToSql, params};
use schema::courier::{CourierError, CourierWriter, Record};
use schema::event::Event;
use schema::id::OfficeId;
use schema::pack::{PackItem, packs};
use schema::time::Day;

use super::{Reader, millis, recorded};
use crate::content::{ContentError, Contents, read_chunk};
use crate::store::{Attempted, StoreError};

/// Why a courier file was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An attachment cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The file cannot be written.
    #[error(transparent)]
    Courier(#[from] CourierError),
}

/// An event of the journal, and whether it is wanted.
struct Found {
    position: i64,
    bytes: Vec<u8>,
    wanted: bool,
}

impl Reader {
    /// Writes everything without a receipt into a courier file: events, then the attachments they name. Returns how
    /// many events it holds.
    ///
    /// # Errors
    /// When the store cannot be read or the file cannot be written.
    pub fn export<W: Write>(
        &self,
        to: Option<&OfficeId>,
        contents: &Contents,
        file: W,
    ) -> Result<(u64, W), ExportError> {
        let sql = "SELECT DISTINCT sent.position, journal.bytes FROM sent JOIN journal USING (position)
                   JOIN peer ON peer.no = sent.peer
                   WHERE sent.open = 1 AND sent.position > ?1 AND (?2 IS NULL OR peer.office = ?2)
                   ORDER BY sent.position LIMIT ?3";
        let to = to.map(|office| *office.as_bytes());
        self.export_batches(
            contents,
            file,
            |_| true,
            |after, limit| self.batch(sql, params![after, to, limit], |_| Ok(true)),
        )
    }

    /// Writes every document that was sent on this day or later, as this station recorded it, and names an archive that can read it:
    /// receipted or not, because the archive gives no receipts.
    ///
    /// # Errors
    /// As [`Reader::export`].
    pub fn export_archived<W: Write>(
        &self,
        since: Option<Day>,
        contents: &Contents,
        file: W,
    ) -> Result<(u64, W), ExportError> {
        let sql = "SELECT position, bytes, recorded_at FROM journal WHERE class = 0 AND position > ?1
                   ORDER BY position LIMIT ?2";
        let late = |at: i64| since.is_none_or(|since| Day::in_vietnam(millis(at)) >= since);
        self.export_batches(
            contents,
            file,
            |event| event.archive.is_some(),
            |after, limit| self.batch(sql, params![after, limit], |row| Ok(late(row.get(2)?))),
        )
    }

    fn batch(
        &self,
        sql: &str,
        of: &[&dyn ToSql],
        wanted: impl Fn(&Row<'_>) -> rusqlite::Result<bool>,
    ) -> Result<Vec<Found>, StoreError> {
        let read =
            |row: &Row<'_>| Ok(Found { position: row.get(0)?, bytes: row.get(1)?, wanted: wanted(row)? });
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(of, read)?.collect())
            .attempted("list what is to be carried")
    }

    /// Events in the order in which they were recorded, then the attachments they name; batch by batch.
    fn export_batches<W: Write>(
        &self,
        contents: &Contents,
        file: W,
        takes: impl Fn(&Event) -> bool,
        next: impl Fn(i64, i64) -> Result<Vec<Found>, StoreError>,
    ) -> Result<(u64, W), ExportError> {
        const BATCH: i64 = 256;
        let mut writer = CourierWriter::new(file)?;
        let (mut events, mut after) = (0, 0);
        loop {
            let batch = next(after, BATCH)?;
            let Some(last) = batch.last() else { break };
            after = last.position;
            let (mut blobs, mut taken) = (Vec::new(), Vec::new());
            for Found { position, bytes, .. } in batch.iter().filter(|found| found.wanted) {
                let event = recorded(*position, bytes)?.event;
                if takes(&event) {
                    blobs.extend(event.blobs);
                    taken.push(bytes);
                }
            }
            events += taken.len() as u64;
            for pack in packs(taken.into_iter().map(|bytes| PackItem::new(0, bytes))) {
                writer.add(&Record::Pack(pack))?;
            }
            blobs.sort_unstable();
            blobs.dedup();
            for blob in blobs {
                if !self.has_blob(&blob)? {
                    continue;
                }
                let sealed = contents.whole(&blob)?;
                for index in 0..blob.chunks() {
                    let bytes = read_chunk(&sealed, &blob, index)?;
                    writer.add(&Record::Chunk { blob, index, bytes: bytes.into() })?;
                }
            }
        }
        Ok((events, writer.finish()?))
    }
}
