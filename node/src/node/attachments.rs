//! Attachments on their way: offered to relays before the event that names them, fetched from relays after it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use schema::blob::{BLOB_BYTES_MAX, BlobRef};
use schema::body::{Place, SentPlace};
use schema::event::Urgency;
use schema::id::{BlobHash, OfficeId, RegionId};
use schema::mutant::{self, Mutant};
use schema::time::Millis;

use super::receive::owe;
use super::{Node, StepError, Work};
use crate::step::Effect;
use crate::store::{BlobProgress, DueRow, StoreError};

/// Attachments being uploaded to one relay at a time; an express document may start one more.
pub const UPLOADS_MAX: usize = 2;
/// Chunks uploaded between two offers.
pub const CHUNKS_PER_RUN: usize = 8;
/// Attachments being fetched at a time.
pub const DOWNLOADS_MAX: usize = 8;
/// Chunks of one attachment asked for at a time.
pub const FETCHES_MAX: usize = 8;

/// An event whose attachments wait for their turn is looked at again after this, in milliseconds.
pub(super) const QUEUE_WAIT_MS: u64 = 5 * Millis::SECOND;
/// Rows without room among the uploads that are remembered; others come back by themselves, later.
const CROWDED_OUT_MAX: usize = 4_096;
/// First wait before an attachment that no relay had is asked for again, in milliseconds; doubles.
const FETCH_WAIT_MS: u64 = Millis::SECOND;
/// Longest wait before an attachment is asked for again, in milliseconds.
const FETCH_WAIT_MAX_MS: u64 = 10 * Millis::MINUTE;

/// What is being uploaded and fetched. Not recorded: after a start it begins anew where the chunks end.
#[derive(Default)]
pub(super) struct Transfers {
    uploads: BTreeMap<(RegionId, BlobHash), Upload>,
    /// Rows whose attachments found no room among the uploads: they are looked at again when one ends.
    crowded_out: BTreeMap<SentPlace, u32>,
    downloads: BTreeMap<BlobHash, Download>,
}

struct Upload {
    blob: BlobRef,
    complete_at: Option<Millis>,
    waiting: Vec<(SentPlace, u32)>,
}

struct Download {
    blob: BlobRef,
    sender: OfficeId,
    in_flight: BTreeSet<u32>,
    not_before: Millis,
    tries: u32,
}

/// Where the attachments of an event are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BlobsAt {
    /// All at the relay: the event may go.
    Relay,
    /// On their way to it, whose end calls; or not here, when the event was given back before them.
    UnderWay,
    /// Waiting until another upload has ended.
    Queue,
}

impl Transfers {
    /// When the next attachment may be asked for.
    pub(super) fn wakeup(&self) -> Option<Millis> {
        self.downloads.values().filter(|d| d.in_flight.is_empty()).map(|d| d.not_before).min()
    }

    /// Nothing is asked for before this moment.
    pub(super) fn not_before(&mut self, at: Millis) {
        for download in self.downloads.values_mut() {
            download.not_before = at;
        }
    }

    /// There is news of this one: it is asked for at once.
    pub(super) fn hasten(&mut self, blob: &BlobHash, now: Millis) {
        if let Some(download) = self.downloads.get_mut(blob) {
            download.not_before = download.not_before.min(now);
        }
    }

    /// Backing off was for a line that was down; it is up.
    pub(super) fn line_is_up(&mut self, now: Millis) {
        self.not_before(now);
        for download in self.downloads.values_mut() {
            download.tries = 0;
        }
    }

    /// What was asked for over this or another line will not come any more.
    pub(super) fn line_is_down(&mut self) {
        for download in self.downloads.values_mut() {
            download.in_flight.clear();
        }
    }
}

impl Node {
    /// Whether all attachments are here; otherwise the event waits for those that are not.
    pub(super) fn await_blobs(
        &mut self,
        from: &OfficeId,
        place: &Place,
        blobs: &[BlobRef],
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut complete = true;
        if mutant::is(Mutant::ReceiptBeforeAttachments) {
            return Ok(complete);
        }
        for blob in blobs {
            if !self.store.has_blob(&blob.hash)? {
                self.store.await_blob(blob, from, place)?;
                self.start_download(*blob, *from, now);
                complete = false;
            }
        }
        Ok(complete)
    }

    /// Where the attachments are; starts the upload of those the relay may lack.
    pub(super) fn blobs_at(
        &mut self,
        relay: &RegionId,
        blobs: &[BlobRef],
        rows: &[DueRow],
        urgency: Urgency,
        now: Millis,
        work: &mut Work,
    ) -> Result<BlobsAt, StoreError> {
        /// A relay that had an attachment this long ago is asked again before the event is sent again.
        const FRESH_MS: u64 = 30 * Millis::SECOND;
        let mut found = BlobsAt::Relay;
        for blob in blobs {
            if !self.store.has_blob(&blob.hash)? {
                return Ok(BlobsAt::UnderWay);
            }
        }
        for blob in blobs {
            let key = (relay.clone(), blob.hash);
            let running = self
                .transfers
                .uploads
                .iter()
                .filter(|((r, _), u)| r == relay && u.complete_at.is_none())
                .count();
            let room = running < UPLOADS_MAX + usize::from(urgency.overtakes());
            let waiting = rows.iter().map(|row| (row.key(), row.attempts));
            match self.transfers.uploads.get_mut(&key) {
                Some(upload) if upload.complete_at.is_some_and(|at| now.since(at) < FRESH_MS) => continue,
                Some(upload) if upload.complete_at.is_none() => {
                    upload.waiting.extend(waiting);
                    found = found.max(BlobsAt::UnderWay);
                }
                _ if room => {
                    let waiting = waiting.collect();
                    self.transfers.uploads.insert(key, Upload { blob: *blob, complete_at: None, waiting });
                    work.effects.push(Effect::OfferBlob { relay: relay.clone(), blob: *blob });
                    found = found.max(BlobsAt::UnderWay);
                }
                _ => {
                    if self.transfers.crowded_out.len() < CROWDED_OUT_MAX {
                        self.transfers.crowded_out.extend(waiting);
                    }
                    found = BlobsAt::Queue;
                }
            }
        }
        Ok(found)
    }

    pub(super) fn upload(
        &mut self,
        relay: &RegionId,
        blob: BlobRef,
        chunks: Option<Vec<u32>>,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let key = (relay.clone(), blob.hash);
        let Some(upload) = self.transfers.uploads.get_mut(&key) else {
            return Ok(());
        };
        match chunks {
            Some(chunks) if chunks.is_empty() => {
                upload.complete_at = Some(now);
                for (row, attempts) in std::mem::take(&mut upload.waiting) {
                    self.store.schedule(&row, now, attempts)?;
                }
                self.readmit(now)?;
                // Finished ones are remembered only as long as they are fresh.
                let cutoff = Millis::MINUTE;
                self.transfers
                    .uploads
                    .retain(|_, upload| upload.complete_at.is_none_or(|at| now.since(at) < cutoff));
            }
            Some(chunks) => {
                let blob = upload.blob;
                for index in chunks.into_iter().take(CHUNKS_PER_RUN) {
                    let Some(bytes) = self.store.chunk(&blob.hash, index)? else {
                        continue;
                    };
                    let (relay, bytes) = (relay.clone(), Bytes::from(bytes));
                    work.effects.push(Effect::StoreChunk { relay, blob, index, bytes });
                }
            }
            None => self.abandon_uploads(relay, Some(&blob.hash), now)?,
        }
        Ok(())
    }

    /// An upload has ended: what found no room may try again.
    pub(super) fn readmit(&mut self, now: Millis) -> Result<(), StepError> {
        for (row, attempts) in std::mem::take(&mut self.transfers.crowded_out) {
            self.store.schedule(&row, now, attempts)?;
        }
        self.sending.next_due = Some(now);
        Ok(())
    }

    /// Uploads that will not be answered any more: what waited for them is looked at again soon.
    pub(super) fn abandon_uploads(
        &mut self,
        relay: &RegionId,
        blob: Option<&BlobHash>,
        now: Millis,
    ) -> Result<(), StepError> {
        let abandoned = self
            .transfers
            .uploads
            .extract_if(.., |(region, hash), _| region == relay && blob.is_none_or(|blob| blob == hash))
            .flat_map(|(_, upload)| upload.waiting);
        for (row, attempts) in abandoned.collect::<Vec<_>>() {
            self.store.schedule(&row, now.plus(QUEUE_WAIT_MS), attempts)?;
        }
        self.readmit(now)
    }

    pub(super) fn start_download(&mut self, blob: BlobRef, sender: OfficeId, now: Millis) {
        if self.transfers.downloads.len() < DOWNLOADS_MAX && blob.length <= BLOB_BYTES_MAX {
            let fresh = Download { blob, sender, in_flight: BTreeSet::new(), not_before: now, tries: 0 };
            self.transfers.downloads.entry(blob.hash).or_insert(fresh);
        }
    }

    pub(super) fn fill_downloads(&mut self, now: Millis) -> Result<(), StoreError> {
        if self.transfers.downloads.len() < DOWNLOADS_MAX {
            for (blob, sender) in self.store.awaited_blobs(DOWNLOADS_MAX)? {
                self.start_download(blob, sender, now);
            }
        }
        Ok(())
    }

    pub(super) fn fetch(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let up = self.relays_up();
        if up.is_empty() {
            return Ok(());
        }
        for download in self.transfers.downloads.values_mut() {
            if download.not_before > now || download.in_flight.len() >= FETCHES_MAX {
                continue;
            }
            let relay = &up[download.tries as usize % up.len()];
            for index in self.store.missing_chunks(&download.blob, 2 * FETCHES_MAX)? {
                if download.in_flight.len() < FETCHES_MAX && download.in_flight.insert(index) {
                    let (relay, blob, sender) = (relay.clone(), download.blob, download.sender);
                    work.effects.push(Effect::FetchChunk { relay, blob, index, sender });
                }
            }
        }
        Ok(())
    }

    pub(super) fn chunk(
        &mut self,
        blob: BlobRef,
        index: u32,
        bytes: Option<Bytes>,
        relay: Option<&RegionId>,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        if let Some(download) = self.transfers.downloads.get_mut(&blob.hash) {
            download.in_flight.remove(&index);
            if bytes.is_none() {
                let wait = FETCH_WAIT_MS << download.tries.min(10);
                download.tries += 1;
                download.not_before = now.plus(wait.min(FETCH_WAIT_MAX_MS));
            }
        }
        let Some(bytes) = bytes else { return Ok(()) };
        if blob.chunk_length(index) != Some(bytes.len()) || blob.length > BLOB_BYTES_MAX {
            let source = relay.map_or("upload", RegionId::as_str);
            tracing::warn!(blob = %blob.hash, index, found = bytes.len(), source, "chunk of a wrong size refused");
            return Ok(());
        }
        match self.store.keep_chunk(&blob, index, &bytes)? {
            BlobProgress::Partial => {}
            BlobProgress::Complete => {
                self.transfers.downloads.remove(&blob.hash);
                for (from, place) in self.store.settle_awaited(&blob.hash)? {
                    owe(work, from, place);
                }
                self.fill_downloads(now)?;
            }
            BlobProgress::Mismatch => {
                tracing::warn!(blob = %blob.hash, "attachment does not have its hash: dropped, asked for again");
                if let Some(download) = self.transfers.downloads.get_mut(&blob.hash) {
                    download.tries += 1;
                    download.in_flight.clear();
                }
            }
        }
        Ok(())
    }
}
