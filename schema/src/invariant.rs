//! The promises as functions: used by the tests, by the simulation after every step, and by `tram verify`.
//!
//! Each takes plain values, finds the first violation and says where it is. P9 (official numbers) joins with the
//! registers; P11 to P13 are about bytes on disk and are checked where those are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::event::RecordedEvent;
use crate::exchange::{Alarm, HeldRow, SentRow};
use crate::id::{Counter, DocumentId, EventId, Incarnation, OfficeId, Seq, StateHash};
use crate::time::Millis;

/// A broken promise: which, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// `P1` to `P13`.
    pub promise: &'static str,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is broken: {}", self.promise, self.found)
    }
}

impl std::error::Error for Violation {}

fn broken<T>(promise: &'static str, found: String) -> Result<T, Violation> {
    Err(Violation { promise, found })
}

/// P1: what was saved as sent is in the sender's outbox, settled or not.
///
/// # Errors
/// Names the first document that is gone.
pub fn nothing_saved_is_lost<'a>(
    saved: impl IntoIterator<Item = &'a (OfficeId, DocumentId)>,
    sent: &BTreeSet<(OfficeId, DocumentId)>,
) -> Result<(), Violation> {
    match saved.into_iter().find(|saved| !sent.contains(*saved)) {
        None => Ok(()),
        Some((to, document)) => broken("P1", format!("document {document} to {to} was saved and is gone")),
    }
}

/// P2: a register takes a document of an office once.
///
/// # Errors
/// Names the first document that stands twice.
pub fn each_document_once<'a>(held: impl IntoIterator<Item = &'a HeldRow>) -> Result<(), Violation> {
    let mut seen = BTreeSet::new();
    for row in held {
        let (Some(document), Some(_)) = (row.document, row.ordinal) else {
            continue;
        };
        if !seen.insert((row.from, document)) {
            return broken("P2", format!("document {document} of {} was presented twice", row.from));
        }
    }
    Ok(())
}

/// P3: within an incarnation of a sender, documents were presented in the order they were sent; express ones and
/// those that came after the incarnation had ended are marked and may stand anywhere.
///
/// # Errors
/// Names the first pair out of order.
pub fn order_is_kept<'a>(held: impl IntoIterator<Item = &'a HeldRow>) -> Result<(), Violation> {
    let mut presented: BTreeMap<(OfficeId, Incarnation), Vec<(u64, Counter)>> = BTreeMap::new();
    for row in held.into_iter().filter(|row| row.in_order) {
        if let Some(ordinal) = row.ordinal {
            let channel = presented.entry((row.from, row.place.incarnation)).or_default();
            channel.push((ordinal, row.place.counter));
        }
    }
    for ((from, incarnation), mut channel) in presented {
        channel.sort_unstable();
        if let Some(pair) = channel.windows(2).find(|pair| pair[0].1 >= pair[1].1) {
            let (first, second) = (pair[0].1, pair[1].1);
            return broken("P3", format!("{from} ({incarnation}): {first} was presented before {second}"));
        }
    }
    Ok(())
}

/// P4: every event held was made by the office it names.
///
/// # Errors
/// Names the first event nobody made.
pub fn only_authentic_is_held<'a>(
    held: impl IntoIterator<Item = &'a HeldRow>,
    authentic: &BTreeSet<EventId>,
) -> Result<(), Violation> {
    match held.into_iter().find(|row| !authentic.contains(&row.place.id)) {
        None => Ok(()),
        Some(row) => {
            broken("P4", format!("event {} said to be of {} was never made", row.place.id, row.from))
        }
    }
}

/// How long after it was recorded an unsettled send counts as overdue, in milliseconds.
pub const OVERDUE_MS: u64 = 2 * Millis::HOUR;

/// P5: every send has its receipt, is young, or is listed as overdue.
///
/// # Errors
/// Names the first send in a third state.
pub fn settled_or_visible<'a>(
    sent: impl IntoIterator<Item = (&'a SentRow, Millis)>,
    overdue: &BTreeSet<(OfficeId, Incarnation, Counter)>,
    now: Millis,
) -> Result<(), Violation> {
    for (row, recorded_at) in sent {
        let settled = row.receipt.is_some() || row.superseded || !row.kind.wants_receipt();
        let key = (row.to, row.place.incarnation, row.place.counter);
        if !settled && now.since(recorded_at) > OVERDUE_MS && !overdue.contains(&key) {
            return broken("P5", format!("event {} to {} is unsettled and not listed", row.place.id, row.to));
        }
    }
    Ok(())
}

/// P6: whoever has a receipt for an event, its recipient holds that event.
///
/// # Errors
/// Names the first receipt without an event behind it.
pub fn receipt_means_held<'a>(
    sender: OfficeId,
    sent: impl IntoIterator<Item = &'a SentRow>,
    held_by: impl Fn(&OfficeId, Incarnation, Counter) -> Option<EventId>,
) -> Result<(), Violation> {
    for row in sent.into_iter().filter(|row| row.receipt.is_some()) {
        let held = held_by(&row.to, row.place.incarnation, row.place.counter);
        if held != Some(row.place.id) {
            let (id, to) = (row.place.id, row.to);
            return broken(
                "P6",
                format!("{sender} has a receipt of {to} for event {id}, which is not held there"),
            );
        }
    }
    Ok(())
}

/// P7: replay from zero gives the live state.
///
/// # Errors
/// Names both hashes.
pub fn replay_gives_live_state(live: StateHash, replayed: StateHash) -> Result<(), Violation> {
    if live == replayed { Ok(()) } else { broken("P7", format!("live state {live}, replayed {replayed}")) }
}

/// P8: every pair of events of one office at one place is in an alarm.
///
/// # Errors
/// Names the first fork nobody was told about.
pub fn forks_are_alarmed<'a>(
    evidence: impl IntoIterator<Item = &'a EventId>,
    alarms: &[Alarm],
) -> Result<(), Violation> {
    for id in evidence {
        let told = alarms.iter().any(|alarm| matches!(alarm, Alarm::Fork { other, .. } if other == id));
        if !told {
            return broken("P8", format!("event {id} contradicts a held one and no alarm says so"));
        }
    }
    Ok(())
}

/// Checks an office's own chain event by event: gapless, each naming the one before (P3, P7, P8).
#[derive(Clone, Debug)]
pub struct ChainCheck {
    office: OfficeId,
    incarnation: Incarnation,
    seq: Seq,
    head: EventId,
}

impl ChainCheck {
    /// Starts at the very beginning of an office's history.
    pub fn new(office: OfficeId) -> Self {
        Self { office, incarnation: Incarnation(0), seq: Seq(0), head: EventId::NONE }
    }

    /// Checks the next event of the chain.
    ///
    /// # Errors
    /// Names the event that does not follow.
    pub fn next(&mut self, recorded: &RecordedEvent) -> Result<(), Violation> {
        let event = &recorded.event;
        let follows = if event.incarnation == self.incarnation {
            event.seq == self.seq.next()
        } else {
            event.incarnation > self.incarnation && event.seq == Seq(1)
        };
        if event.office != self.office || !follows || event.prev != self.head {
            let (id, seq, expected) = (recorded.id, event.seq, self.seq.next());
            return broken("P3", format!("event {id} at seq {seq} does not follow: expected seq {expected}"));
        }
        (self.incarnation, self.seq, self.head) = (event.incarnation, event.seq, recorded.id);
        Ok(())
    }

    /// The newest event checked.
    pub fn head(&self) -> (Incarnation, Seq, EventId) {
        (self.incarnation, self.seq, self.head)
    }
}
