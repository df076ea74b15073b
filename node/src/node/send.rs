//! Sending: which events leave through which relay, and when again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use schema::blob::BlobLimits;
use schema::body::{SentPlace, TransportCode};
use schema::event::{RecordedEvent, Urgency};
use schema::exchange::Records as _;
use schema::id::{EventId, OfficeId, Position, RegionId};
use schema::pack::{self, Message, PACK_EVENTS_MAX, PackItem};
use schema::time::Millis;

use super::attachments::{BlobsAt, QUEUE_WAIT_MS};
use super::heads::GREETING_AFTER_MS;
use super::{Node, StepError, Work};
use crate::step::{Effect, Publication, PublishOutcome};
use crate::store::{DueRow, StoreError};

/// Publishes per relay that wait for their outcome.
pub const PUBLICATIONS_MAX: usize = 16;
/// Published events whose refusal by a relay can still be matched to a row.
const RECENT_MAX: usize = 4_096;

/// A publish without an outcome is tried again after this, in milliseconds.
const OUTCOME_WAIT_MS: u64 = 5 * Millis::MINUTE;
/// First wait for a receipt, in milliseconds; doubles with every attempt.
const RECEIPT_WAIT_MS: u64 = Millis::MINUTE;
/// Longest wait for a receipt, in milliseconds.
const RECEIPT_WAIT_MAX_MS: u64 = Millis::DAY;
/// First wait after a publish that failed, in milliseconds; doubles with every attempt.
const RETRY_WAIT_MS: u64 = 2 * Millis::SECOND;
/// Longest wait after a publish that failed, in milliseconds.
const RETRY_WAIT_MAX_MS: u64 = 5 * Millis::MINUTE;

/// The lines, what is in flight on them, and when the outbox is due. Not recorded: after a start everything open is
/// due again at its time.
#[derive(Default)]
pub(super) struct Sending {
    links: BTreeMap<RegionId, Link>,
    publications: BTreeMap<Publication, InFlight>,
    last_publication: u64,
    recent: VecDeque<(EventId, Vec<SentPlace>)>,
    /// Receipts to be sent once more because their event came again.
    repeats: BTreeSet<(Position, OfficeId)>,
    /// When the outbox is due next; as of the last look at it.
    pub(super) next_due: Option<Millis>,
    /// Rows changed in the store as of that look.
    seen_changes: u64,
}

#[derive(Default)]
struct Link {
    up: bool,
    /// What the relay takes of this office's attachments, as it said last.
    takes: Option<BlobLimits>,
    /// When it went down; `None` before the first connection.
    down_at: Option<Millis>,
}

struct InFlight {
    relay: RegionId,
    rows: Vec<DueRow>,
}

impl Sending {
    /// Whether any relay can be reached.
    pub(super) fn is_linked(&self) -> bool {
        self.links.values().any(|link| link.up)
    }

    /// When the outbox wants to go on; `None` while too much is in flight already.
    pub(super) fn wakeup(&self) -> Option<Millis> {
        self.next_due.filter(|_| self.publications.len() < PUBLICATIONS_MAX)
    }

    /// A step failed: what it published has not left, and no outcome counts any more.
    pub(super) fn undo(&mut self) {
        self.publications.clear();
        self.repeats.clear();
    }
}

impl Node {
    /// A receipt leaves once more, at the end of this step.
    pub(super) fn repeat(&mut self, receipt: Position, to: OfficeId) {
        self.sending.repeats.insert((receipt, to));
    }

    pub(super) fn connected(&mut self, relay: &RegionId, now: Millis) -> Result<(), StepError> {
        let link = self.sending.links.entry(relay.clone()).or_default();
        let long_away = link.down_at.is_none_or(|at| now.since(at) >= GREETING_AFTER_MS);
        link.up = true;
        // Backing off was for a line that was down; it is up.
        self.store.hasten(None, now)?;
        self.transfers.line_is_up(now);
        self.release_again(relay)?;
        if long_away {
            self.greet(now);
        }
        Ok(())
    }

    pub(super) fn disconnected(&mut self, relay: &RegionId, now: Millis) -> Result<(), StepError> {
        let link = self.sending.links.entry(relay.clone()).or_default();
        if link.up {
            link.down_at = Some(now);
        }
        link.up = false;
        let lost: Vec<Publication> =
            self.sending.publications.iter().filter(|(_, f)| f.relay == *relay).map(|(p, _)| *p).collect();
        for publication in lost {
            // Unknown: they may have been stored. The next connection sends them again.
            if let Some(in_flight) = self.sending.publications.remove(&publication) {
                for row in &in_flight.rows {
                    let wait = backoff(row, RETRY_WAIT_MS, RETRY_WAIT_MAX_MS);
                    self.store.schedule(&row.key(), now.plus(wait), row.attempts + 1)?;
                }
            }
        }
        self.abandon_uploads(relay, None, now)?;
        self.transfers.line_is_down();
        Ok(())
    }

    pub(super) fn takes(
        &mut self,
        relay: RegionId,
        limits: BlobLimits,
        work: &mut Work,
    ) -> Result<(), StoreError> {
        self.release_again(&relay)?;
        if self.store.kept_fingerprint(&relay)? != limits.office_fingerprint {
            work.effects.push(Effect::AskKept { relay: relay.clone(), after: None });
        }
        self.sending.links.entry(relay).or_default().takes = Some(limits);
        Ok(())
    }

    /// The largest attachment that any home relay takes, sealed, in bytes; `None` while one of them has not said.
    pub(super) fn blob_bytes_max(&self) -> Option<u64> {
        let home = self.registry.directory().home_regions(&self.exchange.me());
        let taken = |region| self.sending.links.get(region)?.takes.map(|limits| limits.blob_bytes_max);
        let taken: Option<Vec<u64>> = home.iter().map(taken).collect();
        taken?.into_iter().max()
    }

    /// Home relays whose link is up, in the directory's order of preference.
    pub(super) fn relays_up(&self) -> Vec<RegionId> {
        let home = self.registry.directory().home_regions(&self.exchange.me());
        home.iter()
            .filter(|region| self.sending.links.get(region).is_some_and(|link| link.up))
            .cloned()
            .collect()
    }

    /// Nothing is scheduled later than the longest wait, unless by a clock that was wrong.
    pub(super) fn mend_schedule(&self, now: Millis) -> Result<(), StoreError> {
        match self.store.hasten_after(now.plus(2 * RECEIPT_WAIT_MAX_MS), now) {
            // It will be mended when there is room again.
            Err(error) if error.is_disk_full() => Ok(()),
            result => result,
        }
    }

    /// Learns when the outbox is due next, if it may have changed since the last look.
    pub(super) fn look_at_outbox(&mut self, now: Millis) -> Result<(), StepError> {
        let changes = self.store.changes();
        if self.sending.seen_changes != changes || self.sending.next_due.is_some_and(|due| due <= now) {
            self.sending.next_due = self.store.next_due()?;
            self.sending.seen_changes = changes;
        }
        Ok(())
    }

    pub(super) fn publish(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let up: Vec<RegionId> = self.relays_up();
        if up.is_empty() {
            return Ok(());
        }
        self.publish_repeats(&up, work)?;
        self.look_at_outbox(now)?;
        if self.sending.next_due.is_none_or(|due| due > now) {
            return Ok(());
        }
        for urgency in Urgency::MOST_URGENT_FIRST {
            loop {
                let free = (PUBLICATIONS_MAX * up.len()).saturating_sub(self.sending.publications.len());
                if free == 0 {
                    return Ok(());
                }
                let limit = free.min(4) * PACK_EVENTS_MAX;
                let due = self.store.due(urgency, now, limit)?;
                let more = due.len() == limit;
                self.publish_due(due, &up, urgency, now, work)?;
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }

    fn publish_repeats(&mut self, up: &[RegionId], work: &mut Work) -> Result<(), StepError> {
        let mut items = Vec::new();
        for (position, to) in std::mem::take(&mut self.sending.repeats) {
            let bytes = self.store.bytes_at(position)?;
            items.push(PackItem { only: vec![to], ..PackItem::new(1, &bytes) });
        }
        for pack in pack::packs(items) {
            self.emit(up[0].clone(), pack, Vec::new(), work);
        }
        Ok(())
    }

    fn publish_due(
        &mut self,
        due: Vec<DueRow>,
        up: &[RegionId],
        urgency: Urgency,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let mut events: Vec<(Position, Vec<DueRow>)> = Vec::new();
        for row in due {
            match events.last_mut().filter(|(position, _)| *position == row.position) {
                Some((_, rows)) => rows.push(row),
                None => events.push((row.position, vec![row])),
            }
        }
        let mut per_relay: BTreeMap<RegionId, Vec<(PackItem, Vec<DueRow>)>> = BTreeMap::new();
        for (position, rows) in events {
            let attempt = rows.iter().map(|row| row.attempts).max().unwrap_or(0);
            let relay = &up[attempt as usize % up.len()];
            let bytes = self.store.bytes_at(position)?;
            let RecordedEvent { key, event, .. } = RecordedEvent::read(&bytes)?;
            if self.is_lost(key) {
                for row in rows {
                    self.store.schedule(&row.key(), now.plus(OUTCOME_WAIT_MS), row.attempts)?;
                    work.anew.extend(self.store.sent(&row.to, row.place.incarnation, row.place.counter)?);
                }
                continue;
            }
            let wait_ms = match self.blobs_at(relay, &event.blobs, &rows, urgency, now, work)? {
                BlobsAt::Relay => 0,
                BlobsAt::UnderWay => OUTCOME_WAIT_MS,
                BlobsAt::Queue => QUEUE_WAIT_MS,
            };
            if wait_ms > 0 {
                for row in &rows {
                    // Not an attempt yet: the attachments go first.
                    self.store.schedule(&row.key(), now.plus(wait_ms), row.attempts)?;
                }
                continue;
            }
            let all = rows.len() == event.to.len();
            let only = if all { Vec::new() } else { rows.iter().map(|row| row.to).collect() };
            let item = PackItem { only, ..PackItem::new(attempt, &bytes) };
            per_relay.entry(relay.clone()).or_default().push((item, rows));
        }
        for (relay, items) in per_relay {
            let (items, rows): (Vec<_>, Vec<_>) = items.into_iter().unzip();
            let mut rows = rows.into_iter();
            for pack in pack::packs(items) {
                let pack_rows: Vec<Vec<DueRow>> = rows.by_ref().take(pack.len()).collect();
                for row in pack_rows.iter().flatten() {
                    self.store.schedule(&row.key(), now.plus(OUTCOME_WAIT_MS), row.attempts)?;
                }
                self.emit(relay.clone(), pack, pack_rows, work);
            }
        }
        Ok(())
    }

    fn emit(&mut self, relay: RegionId, pack: Vec<PackItem>, rows: Vec<Vec<DueRow>>, work: &mut Work) {
        self.sending.last_publication += 1;
        let publication = Publication(self.sending.last_publication);
        for rows in &rows {
            if let Some(first) = rows.first() {
                self.sending.recent.push_back((first.place.id, rows.iter().map(DueRow::key).collect()));
            }
        }
        while self.sending.recent.len() > RECENT_MAX {
            self.sending.recent.pop_front();
        }
        let message = Bytes::from(Message::Pack(pack).encode());
        let message_id = self.nonces.message_id();
        work.effects.push(Effect::Publish { relay: relay.clone(), publication, message_id, message });
        let rows: Vec<DueRow> = rows.into_iter().flatten().collect();
        if !rows.is_empty() {
            self.sending.publications.insert(publication, InFlight { relay, rows });
        }
    }

    pub(super) fn published(
        &mut self,
        publication: Publication,
        outcome: &PublishOutcome,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let Some(InFlight { relay, rows }) = self.sending.publications.remove(&publication) else {
            return Ok(());
        };
        if let PublishOutcome::Refused(reason) = outcome {
            tracing::warn!(%relay, reason, "the relay's server refused a publish");
        }
        let stored = *outcome == PublishOutcome::Stored;
        let (first_ms, longest_ms) =
            if stored { (RECEIPT_WAIT_MS, RECEIPT_WAIT_MAX_MS) } else { (RETRY_WAIT_MS, RETRY_WAIT_MAX_MS) };
        for row in &rows {
            let due_at = now.plus(backoff(row, first_ms, longest_ms));
            self.store.schedule(&row.key(), due_at, row.attempts + 1)?;
        }
        if stored {
            let left: Vec<SentPlace> = rows.iter().filter(|row| !row.left).map(DueRow::key).collect();
            for draft in self.exchange.status_drafts(TransportCode::Left, &left, Some(&relay), None) {
                self.record(&draft, now, work)?;
            }
        }
        Ok(())
    }

    pub(super) fn refused_by_relay(
        &mut self,
        relay: &RegionId,
        id: Option<EventId>,
        reason: &str,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        tracing::warn!(%relay, event = ?id, reason, "relay refused an event");
        let found = self.sending.recent.iter().position(|(recent, _)| Some(*recent) == id);
        let Some((_, rows)) = found.and_then(|index| self.sending.recent.remove(index)) else {
            return Ok(());
        };
        // It may lack news that are on their way to it, such as the certificate of a new key.
        self.refused_rows(relay, &rows, reason, now, work)
    }

    /// A relay does not take what these rows say: it is tried again, ever more seldom, and the reason is recorded for people.
    pub(super) fn refused_rows(
        &mut self,
        relay: &RegionId,
        rows: &[SentPlace],
        reason: &str,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        const REASON_CHARS_MAX: usize = 500;
        for row in rows {
            if let Some(attempts) = self.store.attempts(row)? {
                let wait = (RETRY_WAIT_MS << attempts.min(20)).min(RECEIPT_WAIT_MAX_MS);
                self.store.schedule(row, now.plus(wait), attempts)?;
            }
        }
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
        let code = TransportCode::RefusedByRelay;
        for draft in self.exchange.status_drafts(code, rows, Some(relay), Some(&reason)) {
            self.record(&draft, now, work)?;
        }
        Ok(())
    }
}

/// The wait before the next attempt: doubles, bounded, spread by the event's own id so that a whole province does
/// not come back in the same second.
fn backoff(row: &DueRow, first_ms: u64, longest_ms: u64) -> u64 {
    let wait = (first_ms << row.attempts.min(20)).min(longest_ms);
    let spread = u64::from(row.place.id.as_bytes()[row.attempts as usize % 32]);
    wait - wait / 4 + wait * spread / 512
}
