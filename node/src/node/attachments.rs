//! Attachments on their way: offered to relays before the event that names them, fetched from relays after it. Their bytes never pass
//! through here: whoever carries them puts them on the disk ([`crate::content`]) and says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schema::blob::{BLOB_BYTES_MAX, BLOBS_MAX, BlobRef, KEPT_MAX};
use schema::body::{Place, SentPlace};
use schema::event::{Event, Urgency};
use schema::exchange::Records as _;
use schema::id::{Counter, Incarnation, OfficeId, Position, RegionId};
use schema::mutant::{self, Mutant};
use schema::time::Millis;

use super::receive::owe;
use super::{Node, StepError, Work};
use crate::step::{Answer, Came, Effect, Found, Offered, Opening, Ticket};
use crate::store::{AwaitedBlob, Claim, DueRow, KeptFor, StoreError, openings};

/// Large attachments being uploaded to one relay at a time; an express document may start one more.
pub const UPLOADS_MAX: usize = 2;
/// Small attachments being uploaded to one relay at a time, beside the large ones: they do not wait for those.
pub const SMALL_UPLOADS_MAX: usize = 4;
/// Up to this length an attachment is a small one, in bytes.
pub const SMALL_BYTES_MAX: u64 = 1024 * 1024;
/// Chunks uploaded between two offers.
pub const CHUNKS_PER_RUN: usize = 64;
/// Large attachments being fetched at a time, and as many small ones.
pub const DOWNLOADS_MAX: usize = 8;
/// Chunks of one attachment asked for at a time.
pub const FETCHES_MAX: usize = 16;

/// An event whose attachments wait for their turn is looked at again after this, in milliseconds.
pub(super) const QUEUE_WAIT_MS: u64 = 5 * Millis::SECOND;
/// Rows without room among the uploads that are remembered; others come back by themselves, later.
const CROWDED_OUT_MAX: usize = 4_096;
/// First wait before an attachment that no relay had is asked for again, in milliseconds; doubles.
const FETCH_WAIT_MS: u64 = Millis::SECOND;
/// Longest wait before an attachment is asked for again, in milliseconds.
const FETCH_WAIT_MAX_MS: u64 = 10 * Millis::MINUTE;
/// A disk that did not take a chunk, or could not be read, is tried again after this, in milliseconds.
const DISK_WAIT_MS: u64 = Millis::MINUTE;

/// What is being uploaded and fetched. Not recorded: after a start it begins anew where the chunks end.
#[derive(Default)]
pub(super) struct Transfers {
    uploads: BTreeMap<(RegionId, BlobRef), Upload>,
    /// Rows whose attachments found no room among the uploads: they are looked at again when one ends, or has had its turn.
    crowded_out: Crowd,
    downloads: BTreeMap<BlobRef, Download>,
    /// Somebody looks at what is on the disk of these.
    examining: BTreeMap<BlobRef, Look>,
    /// There is room for what else is awaited.
    refill: bool,
    /// Relays keep these for this office, and every recipient has given a receipt.
    to_release: BTreeSet<(RegionId, BlobRef)>,
    /// Whether any relay keeps any; learnt when it is first asked.
    kept_anywhere: Option<bool>,
}

/// Who waits for what is found.
#[derive(Default)]
struct Look {
    waiting: Vec<Ticket>,
    /// These have brought something since the look began: it may not have seen that.
    again: Vec<Ticket>,
}

struct Upload {
    blob: BlobRef,
    urgency: Urgency,
    complete_at: Option<Millis>,
    waiting: BTreeMap<SentPlace, u32>,
}

struct Download {
    awaited: AwaitedBlob,
    /// What is neither here nor asked for; nobody knows before somebody has looked.
    missing: Option<BTreeSet<u32>>,
    in_flight: BTreeSet<u32>,
    not_before: Millis,
    tries: u32,
}

impl Download {
    fn new(awaited: AwaitedBlob, now: Millis) -> Self {
        Self { awaited, missing: None, in_flight: BTreeSet::new(), not_before: now, tries: 0 }
    }

    fn is_all_here(&self) -> bool {
        self.in_flight.is_empty() && self.missing.as_ref().is_some_and(BTreeSet::is_empty)
    }
}

/// Who waits for room, in the order in which they came.
#[derive(Default)]
struct Crowd {
    rows: VecDeque<(SentPlace, u32, Urgency)>,
    known: BTreeSet<SentPlace>,
}

impl Crowd {
    fn push(&mut self, row: SentPlace, attempts: u32, urgency: Urgency) {
        if self.rows.len() < CROWDED_OUT_MAX && self.known.insert(row) {
            self.rows.push_back((row, attempts, urgency));
        }
    }

    /// Whether somebody waits who is at least as urgent.
    fn is_waiting(&self, urgency: Urgency) -> bool {
        self.rows.iter().any(|(.., waiting)| *waiting >= urgency)
    }
}

fn is_small(blob: &BlobRef) -> bool {
    blob.length <= SMALL_BYTES_MAX
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
        let idle =
            |(blob, d): &(&BlobRef, &Download)| d.in_flight.is_empty() && !self.examining.contains_key(blob);
        self.downloads.iter().filter(idle).map(|(_, d)| d.not_before).min()
    }

    /// Forgets everything, because the tables say something else; whoever waits is to be told.
    pub(super) fn start_anew(&mut self) -> Vec<Ticket> {
        let looks = std::mem::take(self).examining.into_values();
        looks.flat_map(|look| look.waiting.into_iter().chain(look.again)).collect()
    }

    /// What else is awaited is looked for at the end of this step.
    pub(super) fn refill(&mut self) {
        self.refill = true;
    }

    /// Nothing is asked for before this moment.
    pub(super) fn not_before(&mut self, at: Millis) {
        for download in self.downloads.values_mut() {
            download.not_before = at;
        }
    }

    /// There is news of this one: it is asked for at once.
    pub(super) fn hasten(&mut self, blob: &BlobRef, now: Millis) {
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
            let asked = std::mem::take(&mut download.in_flight);
            download.missing.get_or_insert_default().extend(asked);
        }
    }
}

impl Node {
    /// Whether all attachments of an event are here, and are what it says; otherwise it waits for those that are not.
    pub(super) fn await_blobs(
        &mut self,
        version: u8,
        event: &Event,
        place: &Place,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut complete = true;
        if mutant::is(Mutant::ReceiptBeforeAttachments) {
            return Ok(complete);
        }
        let openings = openings(version, event);
        for blob in &event.blobs {
            // What was erased is not fetched again, whoever sends or gives back its document.
            if self.store.claim_on(blob)? == Claim::Released {
                continue;
            }
            let opening = openings.iter().find(|opening| opening.enclosure.blob == *blob);
            let here = match opening {
                Some(opening) => self.store.opens(opening)?,
                None => self.store.has_blob(blob)?,
            };
            if !here {
                self.store.await_blob(blob, &event.office, place, event.urgency)?;
                let (sender, urgency) = (event.office, event.urgency);
                self.start_download(AwaitedBlob { blob: *blob, sender, urgency }, now);
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
        let mut offered = Vec::new();
        for blob in blobs {
            if self.store.has_blob(blob)? {
                offered.push(blob);
            } else if self.store.is_awaited(blob)? {
                return Ok(BlobsAt::UnderWay);
            }
            // Else it was erased, here or by whoever gave its event back: that goes alone.
        }
        let position = rows.first().map(|row| row.position);
        for blob in offered {
            // Before the first chunk is there: whatever becomes of the upload, the relay is told one day that it may let go.
            if let Some(position) = position {
                self.store.note_kept(relay, blob, position)?;
                self.transfers.kept_anywhere = Some(true);
            }
            let key = (relay.clone(), *blob);
            let running = self
                .transfers
                .uploads
                .iter()
                .filter(|((r, b), u)| r == relay && u.complete_at.is_none() && is_small(b) == is_small(blob))
                .count();
            let most = if is_small(blob) { SMALL_UPLOADS_MAX } else { UPLOADS_MAX };
            let room = running < most + usize::from(urgency.overtakes());
            let waiting = rows.iter().map(|row| (row.key(), row.attempts));
            match self.transfers.uploads.get_mut(&key) {
                Some(upload) if upload.complete_at.is_some_and(|at| now.since(at) < FRESH_MS) => continue,
                Some(upload) if upload.complete_at.is_none() => {
                    upload.waiting.extend(waiting);
                    found = found.max(BlobsAt::UnderWay);
                }
                _ if room => {
                    let waiting = waiting.collect();
                    let upload = Upload { blob: *blob, urgency, complete_at: None, waiting };
                    self.transfers.uploads.insert(key, upload);
                    work.effects.push(Effect::OfferBlob { relay: relay.clone(), blob: *blob, urgency });
                    found = found.max(BlobsAt::UnderWay);
                }
                _ => {
                    for (row, attempts) in waiting {
                        self.transfers.crowded_out.push(row, attempts, urgency);
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
        offered: Offered,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let key = (relay.clone(), blob);
        if !self.transfers.uploads.contains_key(&key) {
            return Ok(());
        }
        if self.store.is_kept_in_vain(relay, &blob)? {
            // Receipts have come meanwhile, another way.
            self.transfers.uploads.remove(&key);
            self.transfers.to_release.insert(key);
            return self.readmit(now);
        }
        let Some(upload) = self.transfers.uploads.get_mut(&key) else {
            return Ok(());
        };
        match offered {
            Offered::Lacks(chunks) if chunks.is_empty() => {
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
            // It had its turn, and goes on where it was when it has the next one.
            Offered::Lacks(_)
                if !is_small(&blob)
                    && !upload.urgency.overtakes()
                    && self.transfers.crowded_out.is_waiting(upload.urgency) =>
            {
                let waiting = std::mem::take(&mut upload.waiting);
                self.transfers.uploads.remove(&key);
                self.readmit(now)?;
                for (row, attempts) in waiting {
                    self.store.schedule(&row, now, attempts)?;
                }
            }
            Offered::Lacks(chunks) => {
                let Upload { blob, urgency, .. } = *upload;
                for index in chunks.into_iter().take(CHUNKS_PER_RUN) {
                    work.effects.push(Effect::StoreChunk { relay: relay.clone(), blob, index, urgency });
                }
            }
            Offered::Refused(reason) => {
                let upload = self.transfers.uploads.remove(&key);
                let waiting = upload.map(|upload| upload.waiting).unwrap_or_default();
                for (row, attempts) in &waiting {
                    // An attempt: the next one is with another relay, if there is one, and later.
                    self.store.schedule(row, now, attempts + 1)?;
                }
                let rows: Vec<SentPlace> = waiting.into_keys().collect();
                self.refused_rows(relay, &rows, &reason, now, work)?;
                self.readmit(now)?;
            }
            Offered::Unknown => self.abandon_uploads(relay, Some(&blob), now)?,
        }
        Ok(())
    }

    /// There is room among the uploads: what found none may try again, whoever has waited the longest first.
    pub(super) fn readmit(&mut self, now: Millis) -> Result<(), StepError> {
        let rows = std::mem::take(&mut self.transfers.crowded_out).rows;
        for (earlier_ms, (row, attempts, _)) in (1..).zip(rows.into_iter().rev()) {
            self.store.schedule(&row, Millis(now.0.saturating_sub(earlier_ms)), attempts)?;
        }
        self.sending.next_due = Some(now);
        Ok(())
    }

    /// Uploads that will not be answered any more: what waited for them is looked at again soon.
    pub(super) fn abandon_uploads(
        &mut self,
        relay: &RegionId,
        blob: Option<&BlobRef>,
        now: Millis,
    ) -> Result<(), StepError> {
        let abandoned = self
            .transfers
            .uploads
            .extract_if(.., |(region, offered), _| region == relay && blob.is_none_or(|blob| blob == offered))
            .flat_map(|(_, upload)| upload.waiting);
        for (row, attempts) in abandoned.collect::<Vec<_>>() {
            self.store.schedule(&row, now.plus(QUEUE_WAIT_MS), attempts)?;
        }
        self.readmit(now)
    }

    /// A send has its receipt: perhaps it was the last one that its attachments were kept at relays for.
    pub(super) fn receipted(
        &mut self,
        to: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
    ) -> Result<(), StoreError> {
        let kept = match self.transfers.kept_anywhere {
            Some(kept) => kept,
            None => self.store.is_anything_kept()?,
        };
        self.transfers.kept_anywhere = Some(kept);
        if kept && let Some(row) = self.store.sent(to, incarnation, counter)? {
            self.transfers.to_release.extend(self.store.kept_in_vain(KeptFor::Sent(row.position))?);
        }
        Ok(())
    }

    /// What a relay keeps and need not is told to it with every connection: a word that was lost comes again.
    pub(super) fn release_again(&mut self, relay: &RegionId) -> Result<(), StoreError> {
        let kept = self.store.kept_in_vain(KeptFor::At(relay))?;
        self.transfers.to_release.extend(kept);
        Ok(())
    }

    /// What a relay keeps for this office. A crash or a restore may have made this station forget some of it, and late chunks may have
    /// reached a relay after it had let go: nobody else would ever tell it.
    pub(super) fn keeps(
        &mut self,
        relay: &RegionId,
        blobs: &[BlobRef],
        work: &mut Work,
    ) -> Result<(), StoreError> {
        for blob in blobs {
            if !self.store.is_kept(relay, blob)? {
                self.transfers.to_release.insert((relay.clone(), *blob));
            }
        }
        if blobs.len() >= KEPT_MAX {
            let after = blobs.last().copied();
            work.effects.push(Effect::AskKept { relay: relay.clone(), after });
        }
        Ok(())
    }

    /// Tells relays what they need not keep any more. One that is out of reach is told when it is back.
    pub(super) fn release(&mut self, work: &mut Work) {
        if self.transfers.to_release.is_empty() {
            return;
        }
        let up = self.relays_up();
        let mut told: BTreeMap<RegionId, Vec<BlobRef>> = BTreeMap::new();
        for (relay, blob) in std::mem::take(&mut self.transfers.to_release) {
            let key = (relay, blob);
            // One that is on its way is stopped first: chunks that come later would have it kept again.
            let is_under_way = self.transfers.uploads.get(&key).is_some_and(|up| up.complete_at.is_none());
            if up.contains(&key.0) && !is_under_way {
                // It is offered anew before it is relied on again.
                self.transfers.uploads.remove(&key);
                told.entry(key.0).or_default().push(blob);
            }
        }
        for (relay, blobs) in told {
            for blobs in blobs.chunks(BLOBS_MAX) {
                work.effects.push(Effect::Release { relay: relay.clone(), blobs: blobs.to_vec() });
            }
        }
    }

    /// A relay keeps these no more; what was sent with them meanwhile is on its way there again.
    pub(super) fn released(&mut self, relay: &RegionId, blobs: &[BlobRef]) -> Result<(), StoreError> {
        for blob in blobs {
            self.store.forget_kept(relay, blob)?;
        }
        self.transfers.kept_anywhere = None;
        Ok(())
    }

    /// Begins to fetch an attachment when there is room; a more urgent one takes the place of the least urgent.
    pub(super) fn start_download(&mut self, awaited: AwaitedBlob, now: Millis) {
        let downloads = &mut self.transfers.downloads;
        if awaited.blob.length > BLOB_BYTES_MAX || downloads.contains_key(&awaited.blob) {
            return;
        }
        let of_its_size = || downloads.iter().filter(|(blob, _)| is_small(blob) == is_small(&awaited.blob));
        if of_its_size().count() >= DOWNLOADS_MAX {
            let least = of_its_size().min_by_key(|(_, download)| download.awaited.urgency);
            let gives_way = least.filter(|(_, download)| download.awaited.urgency < awaited.urgency);
            let Some(bulk) = gives_way.map(|(blob, _)| *blob) else { return };
            // It goes on where it was once there is room again.
            downloads.remove(&bulk);
        }
        downloads.insert(awaited.blob, Download::new(awaited, now));
    }

    /// Whether an attachment is being fetched, or looked at.
    pub(super) fn is_fetched(&self, blob: &BlobRef) -> bool {
        self.transfers.downloads.contains_key(blob) || self.transfers.examining.contains_key(blob)
    }

    /// What is awaited no more is fetched no more.
    pub(super) fn drop_downloads(&mut self) -> Result<(), StoreError> {
        let under_way: Vec<BlobRef> = self.transfers.downloads.keys().copied().collect();
        for blob in under_way {
            if !self.store.is_awaited(&blob)? {
                self.transfers.downloads.remove(&blob);
                self.transfers.refill = true;
            }
        }
        Ok(())
    }

    fn fill_downloads(&mut self, now: Millis) -> Result<(), StoreError> {
        for small in [false, true] {
            let running = self.transfers.downloads.keys().filter(|blob| is_small(blob) == small).count();
            if running < DOWNLOADS_MAX {
                for awaited in self.store.awaited_blobs(small, DOWNLOADS_MAX)? {
                    self.start_download(awaited, now);
                }
            }
        }
        Ok(())
    }

    /// Asks for what is missing, of the most urgent attachments first.
    pub(super) fn fetch(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        if std::mem::take(&mut self.transfers.refill) {
            self.fill_downloads(now)?;
        }
        let unknown = |d: &&Download| d.not_before <= now && (d.missing.is_none() || d.is_all_here());
        let unknown: Vec<BlobRef> =
            self.transfers.downloads.values().filter(unknown).map(|d| d.awaited.blob).collect();
        for blob in unknown {
            self.examine(blob, Vec::new(), work)?;
        }
        let up = self.relays_up();
        if up.is_empty() {
            return Ok(());
        }
        let mut downloads: Vec<&mut Download> = self.transfers.downloads.values_mut().collect();
        downloads.sort_by_key(|download| std::cmp::Reverse(download.awaited.urgency));
        for download in downloads {
            let Some(missing) = download.missing.as_mut().filter(|_| download.not_before <= now) else {
                continue;
            };
            let relay = &up[download.tries as usize % up.len()];
            let AwaitedBlob { blob, sender, urgency } = download.awaited;
            while download.in_flight.len() < FETCHES_MAX
                && let Some(index) = missing.pop_first()
            {
                download.in_flight.insert(index);
                let relay = relay.clone();
                work.effects.push(Effect::FetchChunk { relay, blob, index, sender, urgency });
            }
        }
        Ok(())
    }

    /// Has somebody look at what is on the disk of an attachment.
    pub(super) fn examine(
        &mut self,
        blob: BlobRef,
        waiting: Vec<Ticket>,
        work: &mut Work,
    ) -> Result<(), StepError> {
        if let Some(look) = self.transfers.examining.get_mut(&blob) {
            look.again.extend(waiting);
            return Ok(());
        }
        let mut openings: Vec<Opening> = Vec::new();
        for awaiting in self.store.awaiting(&blob)? {
            let opening = self.opening_at(awaiting.position, &blob)?;
            openings.extend(opening.filter(|opening| !openings.contains(opening)));
        }
        self.transfers.examining.insert(blob, Look { waiting, again: Vec::new() });
        work.effects.push(Effect::Examine { blob, openings });
        Ok(())
    }

    /// How an event of the journal opens one of its attachments; nothing when it does not say, or cannot be read.
    fn opening_at(&self, position: Position, blob: &BlobRef) -> Result<Option<Opening>, StepError> {
        let recorded = self.store.recorded_at(position)?;
        let openings = openings(recorded.version, &recorded.event);
        Ok(openings.into_iter().find(|opening| opening.enclosure.blob == *blob))
    }

    /// Somebody has looked.
    pub(super) fn examined(
        &mut self,
        blob: BlobRef,
        found: Found,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let Look { mut waiting, mut again } = self.transfers.examining.remove(&blob).unwrap_or_default();
        let is_whole = matches!(found, Found::Whole(_));
        if is_whole {
            waiting.append(&mut again);
        }
        let answer = if is_whole { Answer::Kept } else { Answer::Incomplete };
        let answers = waiting.into_iter().map(|ticket| Effect::Answer { ticket, answer: answer.clone() });
        work.effects.extend(answers);
        let download = self.transfers.downloads.get_mut(&blob);
        match (found, download) {
            (Found::Missing(chunks), Some(download)) => {
                download.missing = Some(&chunks.into_iter().collect() - &download.in_flight);
            }
            (Found::Other, download) => {
                tracing::warn!(blob = %blob.hash, "attachment does not have its hash: dropped, asked for again");
                if let Some(download) = download {
                    // Of another relay, if there is one.
                    download.tries += 1;
                    download.missing = None;
                }
            }
            (Found::Unknown, Some(download)) => {
                download.missing = None;
                download.not_before = now.plus(DISK_WAIT_MS);
            }
            (Found::Missing(_) | Found::Unknown, None) => {}
            (Found::Whole(opened), _) => self.is_whole(&blob, &opened, work)?,
        }
        if !again.is_empty() {
            self.examine(blob, again, work)?;
        }
        Ok(())
    }

    /// An attachment is here: what waited for it and can be read has arrived.
    fn is_whole(
        &mut self,
        blob: &BlobRef,
        opened: &[(Opening, bool)],
        work: &mut Work,
    ) -> Result<(), StepError> {
        self.transfers.downloads.remove(blob);
        self.transfers.refill = true;
        self.store.complete_blob(blob)?;
        for (opening, _) in opened.iter().filter(|(_, holds)| *holds) {
            self.store.keep_opening(opening, false)?;
        }
        for awaiting in self.store.awaiting(blob)? {
            let readable = match self.opening_at(awaiting.position, blob)? {
                None => true,
                Some(opening) => match opened.iter().find(|(tried, _)| *tried == opening) {
                    Some((_, holds)) => *holds,
                    // It came while somebody looked: the next look is for it.
                    None => continue,
                },
            };
            if !readable {
                tracing::error!(from = %awaiting.from, blob = %blob.hash, "an attachment is not the file that its document names");
                self.store.is_unreadable(blob, &awaiting)?;
            } else if self.store.stop_awaiting(blob, &awaiting)? {
                owe(work, awaiting.from, awaiting.place);
            }
        }
        Ok(())
    }

    /// A person's file was sealed here.
    pub(super) fn enclosed(&mut self, opening: &Opening) -> Result<Answer, StepError> {
        self.store.complete_blob(&opening.enclosure.blob)?;
        self.store.keep_opening(opening, true)?;
        Ok(Answer::Kept)
    }

    pub(super) fn chunk(&mut self, blob: BlobRef, index: u32, came: Came, now: Millis) {
        let Some(download) = self.transfers.downloads.get_mut(&blob) else { return };
        if !download.in_flight.remove(&index) || came == Came::Kept {
            return;
        }
        download.missing.get_or_insert_default().insert(index);
        let wait = match came {
            Came::NoRoom => DISK_WAIT_MS,
            // It was asked for together with another one that did not come: both are one try.
            _ if download.not_before > now => return,
            _ => {
                let wait = (FETCH_WAIT_MS << download.tries.min(10)).min(FETCH_WAIT_MAX_MS);
                download.tries += 1;
                wait
            }
        };
        download.not_before = now.plus(wait);
    }
}
