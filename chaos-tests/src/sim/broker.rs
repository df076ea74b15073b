//! A relay's NATS server, as seen by its clients, and deliberately worse than the real one: streams that forget what
//! they acknowledged, consumers that stay ahead of a stream that went back.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use relay::guard::{Sequences, Verdict, judge};
use schema::blob::BlobRef;
use schema::id::OfficeId;
use schema::time::Millis;

/// How long a consumer waits for an acknowledgement before it delivers again, in milliseconds.
pub(super) const ACK_WAIT_MS: u64 = Millis::MINUTE;
/// How long a server remembers message ids, in milliseconds.
const DEDUPE_WINDOW_MS: u64 = 2 * Millis::MINUTE;

/// A stream with its one durable consumer.
#[derive(Clone, Default, Debug)]
pub(super) struct Stream {
    messages: BTreeMap<u64, (String, Bytes)>,
    last: u64,
    synced: u64,
    /// The consumer's state: everything up to here was handed out.
    delivered: u64,
    /// Handed out, not acknowledged; when to hand out again.
    pending: BTreeMap<u64, Millis>,
    ids: BTreeMap<String, Millis>,
    /// What the guard saw last.
    highest_seen: u64,
}

impl Stream {
    /// Stores a message unless its id came within the window. Says whether it is new.
    pub(super) fn publish(&mut self, source: &str, id: &str, message: Bytes, now: Millis) -> bool {
        self.ids.retain(|_, at| now.since(*at) < DEDUPE_WINDOW_MS);
        if self.ids.insert(id.to_owned(), now).is_some() {
            return false;
        }
        self.last += 1;
        self.messages.insert(self.last, (source.to_owned(), message));
        true
    }

    /// The next messages for the consumer, at most `limit`.
    pub(super) fn fetch(&mut self, now: Millis, limit: usize) -> Vec<(u64, String, Bytes)> {
        let again = self.pending.iter().filter(|(_, at)| **at <= now).map(|(sequence, _)| *sequence);
        let new = self.messages.range(self.delivered + 1..).map(|(sequence, _)| *sequence);
        let chosen: Vec<u64> = again.chain(new).take(limit).collect();
        let mut fetched = Vec::new();
        for sequence in chosen {
            self.delivered = self.delivered.max(sequence);
            match self.messages.get(&sequence) {
                Some((source, message)) => {
                    self.pending.insert(sequence, now.plus(ACK_WAIT_MS));
                    fetched.push((sequence, source.clone(), message.clone()));
                }
                None => {
                    self.pending.remove(&sequence);
                }
            }
        }
        fetched
    }

    /// The consumer is done with a message.
    pub(super) fn ack(&mut self, sequence: u64) {
        if self.pending.remove(&sequence).is_some() {
            // Kept by a real server until limits evict it; nothing reads it again except after a reset.
            let keep_from = self.last.saturating_sub(64);
            self.messages.retain(|sequence, _| *sequence >= keep_from);
        }
    }

    /// When the consumer has something to do: now, later, or not at all.
    pub(super) fn next_delivery(&self, now: Millis) -> Option<Millis> {
        if self.messages.range(self.delivered + 1..).next().is_some() {
            return Some(now);
        }
        self.pending.values().min().copied()
    }

    /// Everything so far is on disk.
    pub(super) fn sync(&mut self) {
        self.synced = self.last;
    }

    /// The machine loses power: what was not synced is gone, and the consumer's state is synced or not as luck has it.
    pub(super) fn lose_power(&mut self) {
        self.roll_back_to(self.synced);
    }

    /// The stream goes back to `sequence`; the consumer does not, and the message ids are forgotten.
    pub(super) fn roll_back_to(&mut self, sequence: u64) {
        if sequence < self.last {
            self.messages.split_off(&(sequence + 1));
            self.last = sequence;
            self.synced = self.synced.min(sequence);
            self.ids.clear();
        }
    }

    /// The last sequence.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Messages that wait for the consumer.
    pub(super) fn messages(&self) -> impl Iterator<Item = &Bytes> {
        self.messages.values().map(|(_, message)| message)
    }

    /// The relay's sequence guard, as its edge runs it at every connect.
    pub(super) fn guard(&mut self) {
        let first = self.messages.keys().next().copied().unwrap_or(0);
        let sequences =
            Sequences { first, last: self.last, delivered: self.delivered, highest_seen: self.highest_seen };
        if let Verdict::Reset { from } = judge(sequences) {
            self.delivered = from.saturating_sub(1);
            self.pending.clear();
        }
        self.highest_seen = self.last;
    }

    /// What the guard remembers is in the relay's memory.
    pub(super) fn forget_guard(&mut self) {
        self.highest_seen = 0;
    }
}

/// Attachments at a relay: a cache.
#[derive(Clone, Default, Debug)]
pub(super) struct Content {
    /// Chunks by attachment.
    pub(super) chunks: BTreeMap<schema::id::BlobHash, BTreeMap<u32, Bytes>>,
    /// For which offices each attachment is kept.
    pub(super) held: BTreeMap<BlobRef, BTreeSet<OfficeId>>,
}

impl Content {
    pub(super) fn held_for(&self, office: &OfficeId) -> Vec<BlobRef> {
        self.held.iter().filter(|(_, offices)| offices.contains(office)).map(|(blob, _)| *blob).collect()
    }

    /// An office needs it no more. This relay has never any room to spare: what nobody needs is gone at once.
    pub(super) fn release(&mut self, office: &OfficeId, blob: &BlobRef) {
        if let Some(holders) = self.held.get_mut(blob) {
            holders.remove(office);
            if holders.is_empty() {
                self.held.remove(blob);
                self.chunks.remove(&blob.hash);
            }
        }
    }
}
