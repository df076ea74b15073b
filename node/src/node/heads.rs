//! Heads: what correspondents are told of both ends of the exchange, and asked for.

use std::collections::BTreeMap;

use schema::body::{ASKS_MAX, Ask};
use schema::exchange::{Channel, Peer};
use schema::id::OfficeId;
use schema::mutant::{self, Mutant};
use schema::time::Millis;

use super::{Node, StepError, Work};

/// Correspondents that are told both heads after a start or a long time off line.
pub const GREETINGS_MAX: usize = 32;
/// Time off line after which correspondents are greeted, in milliseconds.
pub const GREETING_AFTER_MS: u64 = 6 * Millis::HOUR;

/// A gap is reported when it has lasted this long, in milliseconds; the wait grows tenfold up to a day.
pub(super) const GAP_WAIT_MS: u64 = Millis::MINUTE;
/// A correspondent is asked once in this time for the same of what was lost, in milliseconds.
const ASK_AGAIN_MS: u64 = Millis::DAY;
/// Most questions of the last day that are remembered; what finds no room is asked on another day.
const ASKED_MAX: usize = 4_096;

/// Who is told what is held, and when. Not recorded: every correspondent is told once a day anyway.
#[derive(Default)]
pub(super) struct Greetings {
    due: BTreeMap<OfficeId, HeadDue>,
    /// What the next head to a correspondent asks it for: lost here, held there.
    asks: BTreeMap<OfficeId, Vec<Ask>>,
    /// When it was asked for what.
    asked: BTreeMap<(OfficeId, Ask), Millis>,
    daily_at: Millis,
}

#[derive(Clone, Copy)]
pub(super) struct HeadDue {
    at: Millis,
    wait_ms: u64,
}

impl Greetings {
    /// When the next head is due, the daily ones apart.
    pub(super) fn wakeup(&self) -> Option<Millis> {
        self.due.values().map(|due| due.at).min()
    }

    /// When every correspondent is told again.
    pub(super) fn daily_at(&self) -> Millis {
        self.daily_at
    }

    /// Times in the future were set by a clock that was wrong.
    pub(super) fn clock_went_back(&mut self, now: Millis) {
        for due in self.due.values_mut() {
            due.at = due.at.min(now.plus(due.wait_ms));
        }
        self.daily_at = now;
    }

    /// A step failed: what it told was not told, and what it asked for was not asked.
    pub(super) fn undo(&mut self, told: Vec<(OfficeId, HeadDue)>) {
        self.asks.clear();
        self.asked.clear();
        self.due.extend(told);
    }
}

/// Whether an event is missing in front of others of this correspondent.
fn has_gap(peer: &Peer) -> bool {
    peer.channels.values().any(Channel::has_gap)
}

impl Node {
    /// Gaps are reported again after a start.
    pub(super) fn heads_due_for_gaps(&mut self, now: Millis) {
        let gaps = self.exchange.peers().iter().filter(|(_, peer)| has_gap(peer));
        for office in gaps.map(|(office, _)| *office).collect::<Vec<_>>() {
            self.head_due(office, now.plus(GAP_WAIT_MS), GAP_WAIT_MS);
        }
    }

    /// Whoever was heard of last is told first, after a start or a long time off line.
    pub(super) fn greet(&mut self, now: Millis) {
        let mut recent: Vec<_> =
            self.exchange.peers().iter().map(|(office, peer)| (peer.heard, *office)).collect();
        recent.sort_unstable_by(|a, b| b.cmp(a));
        for (_, office) in recent.into_iter().take(GREETINGS_MAX) {
            self.head_due(office, now, GAP_WAIT_MS);
        }
    }

    pub(super) fn head_due(&mut self, office: OfficeId, at: Millis, wait_ms: u64) {
        let due = self.greetings.due.entry(office).or_insert(HeadDue { at, wait_ms });
        due.at = due.at.min(at);
    }

    pub(super) fn send_heads(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        if !self.sending.is_linked() || mutant::is(Mutant::NoHeads) {
            return Ok(());
        }
        if now >= self.greetings.daily_at {
            let mut next = now.plus(Millis::DAY);
            let peers: Vec<_> = self.exchange.peers().iter().map(|(o, peer)| (*o, peer.told_at)).collect();
            for (office, told_at) in peers {
                let at = told_at.filter(|told| *told <= now).map_or(now, |told| told.plus(Millis::DAY));
                if at <= now {
                    self.head_due(office, now, GAP_WAIT_MS);
                } else {
                    next = next.min(at);
                }
            }
            self.greetings.daily_at = next;
        }
        let due: Vec<OfficeId> =
            self.greetings.due.iter().filter(|(_, due)| due.at <= now).map(|(office, _)| *office).collect();
        for office in due.into_iter().take(GREETINGS_MAX) {
            let Some(due) = self.greetings.due.remove(&office) else {
                continue;
            };
            let told_at = self.exchange.peer(&office).and_then(|peer| peer.told_at);
            // Two stations that contradict each other must not do so at the speed of the line.
            if let Some(told) = told_at.filter(|told| now.0.abs_diff(told.0) < GAP_WAIT_MS) {
                self.head_due(office, told.plus(GAP_WAIT_MS), due.wait_ms);
                continue;
            }
            let asks = self.greetings.asks.remove(&office).unwrap_or_default();
            let draft = self.exchange.head_draft(&self.store, office, asks)?;
            self.record(&draft, now, work)?;
            work.told_heads.push((office, due));
            if self.exchange.peer(&office).is_some_and(has_gap) {
                let wait_ms = (due.wait_ms * 10).min(Millis::DAY);
                self.head_due(office, now.plus(wait_ms), wait_ms);
            }
        }
        Ok(())
    }

    /// Asks a correspondent for what it holds of this station's earlier lives and the station has lost.
    pub(super) fn ask_back(&mut self, from: OfficeId, asks: Vec<Ask>, now: Millis) {
        let recent = |at: &Millis| now.0.abs_diff(at.0) < ASK_AGAIN_MS;
        self.greetings.asked.retain(|_, at| recent(at));
        let waiting = self.greetings.asks.entry(from).or_default();
        for ask in asks {
            // A question may get lost, and the answer may be that nothing is there: once a day is enough.
            let new = !waiting.contains(&ask) && !self.greetings.asked.contains_key(&(from, ask));
            let room = waiting.len() < ASKS_MAX && self.greetings.asked.len() < ASKED_MAX;
            if new && room && !mutant::is(Mutant::NoAskingBack) {
                self.greetings.asked.insert((from, ask), now);
                waiting.push(ask);
            }
        }
        if !waiting.is_empty() {
            self.head_due(from, now, GAP_WAIT_MS);
        }
    }
}
