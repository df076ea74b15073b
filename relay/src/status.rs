//! What the relay knows about itself, and its loopback door.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use schema::id::OfficeId;
use serde::{Deserialize, Serialize};

use crate::content::{ContentSize, NoRoom};
use crate::step::{Alarm, Tally};
use crate::streams::StreamStatus;

/// Most alarms that are remembered; older ones are in the log.
const ALARMS_MAX: usize = 100;

/// An alarm and when it was raised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmEntry {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// `fork`, `contested-key`, `contradicting-list`, `no-room`, `attachments-full`, `attachment-quota`, `guard-reset`, `server` or `trouble`.
    pub sort: String,
    /// In words.
    pub text: String,
}

/// The link to a peer region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Whether its server answered the last request.
    pub up: bool,
    /// Since when it is so, in milliseconds since 1970.
    pub since_ms: u64,
    /// The last relay that what waits for this region was handed to, if not itself.
    pub via: Option<String>,
}

/// Everything `/status` shows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The region.
    pub region: String,
    /// The version of this program.
    pub version: String,
    /// Whether messages are taken: connected, streams in place.
    pub ready: bool,
    /// The directory's version.
    pub directory_version: u64,
    /// Whether the server provably syncs before it acknowledges; `null` when it cannot be told.
    pub sync_always: Option<bool>,
    /// Links to peer regions.
    pub links: BTreeMap<String, LinkStatus>,
    /// The streams at the last look.
    pub streams: Vec<StreamStatus>,
    /// Events admitted since the start, repetitions included.
    pub admitted: u64,
    /// Of them, those seen here before.
    pub repeated: u64,
    /// Copies put into mailboxes.
    pub delivered: u64,
    /// Copies put on the way to other regions.
    pub forwarded: u64,
    /// Events sent back because the uploader's hour was used up.
    pub over_quota: u64,
    /// Recipients without a relay.
    pub unreachable: u64,
    /// What is in quarantine, by reason.
    pub quarantined: BTreeMap<String, u64>,
    /// Consumers set back because their stream had gone backwards, since the start.
    pub guard_resets: u64,
    /// How often the server was started again, since the start.
    pub server_restarts: u64,
    /// Bytes of complete attachments in the store.
    pub content_bytes: u64,
    /// How many they are.
    pub content_blobs: u64,
    /// Of these bytes, those that are kept until their recipients have given receipts. The others give way.
    pub content_held_bytes: u64,
    /// Bytes set aside for attachments that are not complete yet.
    pub content_partial_bytes: u64,
    /// Since when attachments that are not express are refused because everything here is waited for, or the disk is
    /// nearly full; in milliseconds since 1970.
    pub content_full_since_ms: Option<u64>,
    /// Offices whose attachments are refused because they have used their share.
    pub content_offices_full: BTreeSet<String>,
    /// Alarms since the start.
    pub alarms_total: u64,
    /// The newest ones.
    pub alarms: VecDeque<AlarmEntry>,
}

/// The status as all tasks write it.
#[derive(Debug, Default)]
pub(crate) struct Book {
    status: Mutex<Status>,
}

impl Book {
    pub(crate) fn new(region: String) -> Self {
        let status = Status { region, version: env!("CARGO_PKG_VERSION").to_owned(), ..Status::default() };
        Self { status: Mutex::new(status) }
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        // Every change is one assignment: after a panic elsewhere it is still readable.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn read(&self) -> Status {
        self.lock().clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    fn alarm(&self, sort: &'static str, text: String) {
        let mut status = self.lock();
        status.alarms_total += 1;
        status.alarms.push_back(AlarmEntry { at_ms: now_ms(), sort: sort.to_owned(), text });
        if status.alarms.len() > ALARMS_MAX {
            status.alarms.pop_front();
        }
    }

    pub(crate) fn raised(&self, alarm: &Alarm) {
        let sort = match alarm {
            Alarm::Fork { .. } => "fork",
            Alarm::NoRoom { .. } => "no-room",
            Alarm::ContestedKey { .. } => "contested-key",
            Alarm::ContradictingList { .. } => "contradicting-list",
        };
        tracing::error!(sort, %alarm, "alarm");
        self.alarm(sort, alarm.to_string());
    }

    pub(crate) fn guard_reset(&self, text: String) {
        tracing::error!(%text, "sequence guard");
        self.lock().guard_resets += 1;
        self.alarm("guard-reset", text);
    }

    pub(crate) fn server_restarted(&self, text: &str) {
        tracing::error!(text, "NATS server");
        self.lock().server_restarts += 1;
        self.alarm("server", text.to_owned());
    }

    pub(crate) fn trouble(&self, text: String) {
        tracing::warn!(%text, "trouble with a NATS server");
        self.alarm("trouble", text);
    }

    pub(crate) fn content(&self, size: ContentSize) {
        let mut status = self.lock();
        status.content_blobs = size.blobs;
        status.content_bytes = size.bytes;
        status.content_held_bytes = size.held_bytes;
        status.content_partial_bytes = size.partial_bytes;
    }

    /// An attachment was refused: an alarm once, until one is taken again.
    pub(crate) fn content_is_full(&self, why: &NoRoom) {
        let sort = {
            let mut status = self.lock();
            match why {
                NoRoom::Quota { office, .. } => {
                    status.content_offices_full.insert(office.to_string()).then_some("attachment-quota")
                }
                NoRoom::Full { .. } | NoRoom::Disk { .. } if status.content_full_since_ms.is_none() => {
                    status.content_full_since_ms = Some(now_ms());
                    Some("attachments-full")
                }
                NoRoom::Full { .. } | NoRoom::Disk { .. } | NoRoom::TooLarge { .. } => None,
            }
        };
        if let Some(sort) = sort {
            tracing::error!(%why, "attachments are refused");
            self.alarm(sort, why.to_string());
        }
    }

    /// An attachment that is not express was taken from this office.
    pub(crate) fn content_has_room(&self, office: &OfficeId) {
        let mut status = self.lock();
        status.content_full_since_ms = None;
        status.content_offices_full.remove(&office.to_string());
    }

    pub(crate) fn tally(&self, tally: &Tally) {
        let mut status = self.lock();
        status.admitted = tally.admitted;
        status.repeated = tally.repeated;
        status.delivered = tally.delivered;
        status.forwarded = tally.forwarded;
        status.over_quota = tally.over_quota;
        status.unreachable = tally.unreachable;
    }

    pub(crate) fn link(&self, region: &str, up: bool) {
        let mut status = self.lock();
        let now = now_ms();
        let link =
            status.links.entry(region.to_owned()).or_insert(LinkStatus { up: !up, since_ms: now, via: None });
        if link.up != up {
            *link = LinkStatus { up, since_ms: now, via: link.via.take() };
        }
    }

    pub(crate) fn pushed(&self, to: &str, hop: &str) {
        if let Some(link) = self.lock().links.get_mut(to) {
            link.via = (to != hop).then(|| hop.to_owned());
        }
    }
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
