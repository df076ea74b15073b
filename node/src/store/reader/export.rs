//! What is open, written into a courier file.

use std::io::Write;

use rusqlite::params;
use schema::courier::{CourierError, CourierWriter, Record};
use schema::id::OfficeId;
use schema::pack::{PackItem, packs};

use super::{Reader, recorded};
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
        const BATCH: i64 = 256;
        let sql = "SELECT DISTINCT sent.position, journal.bytes FROM sent JOIN journal USING (position)
                   JOIN peer ON peer.no = sent.peer
                   WHERE sent.open = 1 AND sent.position > ?1 AND (?2 IS NULL OR peer.office = ?2)
                   ORDER BY sent.position LIMIT ?3";
        let mut writer = CourierWriter::new(file)?;
        let (mut events, mut after) = (0, 0);
        loop {
            let mut batch: Vec<(i64, Vec<u8>)> = Vec::new();
            self.db
                .prepare_cached(sql)
                .and_then(|mut statement| {
                    let to = to.map(|office| *office.as_bytes());
                    let mut rows = statement.query(params![after, to, BATCH])?;
                    while let Some(row) = rows.next()? {
                        batch.push((row.get(0)?, row.get(1)?));
                    }
                    Ok(())
                })
                .attempted("list what is open")?;
            let Some((last, _)) = batch.last() else { break };
            after = *last;
            events += batch.len() as u64;
            let mut blobs = Vec::new();
            for (position, bytes) in &batch {
                blobs.extend(recorded(*position, bytes)?.event.blobs);
            }
            for pack in packs(batch.iter().map(|(_, bytes)| PackItem::new(0, bytes))) {
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
