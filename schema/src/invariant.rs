//! The promises as functions: used by the tests, by the simulation after every step, and by `tram verify`.
//!
//! Each takes plain values, finds the first violation and says where it is. P11 to P13 are about bytes on disk and are checked where those are written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::event::RecordedEvent;
use crate::exchange::{Alarm, HeldRow, SentRow};
use crate::handling::Entry;
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

/// P9: numbers of a register are consecutive from 1 in each year. `used` are all that an office ever used, cancelled ones
/// too, sorted.
///
/// # Errors
/// Names the first gap.
pub fn numbers_have_no_gaps<'a>(
    used: impl IntoIterator<Item = &'a (OfficeId, Entry)>,
) -> Result<(), Violation> {
    let mut last: Option<&(OfficeId, Entry)> = None;
    for line in used {
        let (office, entry) = line;
        let same = |last: &&(OfficeId, Entry)| {
            (last.0, &last.1.book, last.1.year) == (*office, &entry.book, entry.year)
        };
        let expected = last.filter(same).map_or(1, |last| last.1.number + 1);
        if entry.number != expected {
            let found =
                format!("{office}: number {expected} of `{}` in {} was never used", entry.book, entry.year);
            return broken("P9", found);
        }
        last = Some(line);
    }
    Ok(())
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

/// P6: whoever has a receipt for a document, its recipient holds the event that carries it; unless both have found out
/// that the recipient was restored, and the document went out again in a new event. Heads, receipts and the like carry
/// nothing that could be missed ([`SentRow::is_said_again`]).
///
/// # Errors
/// Names the first receipt without an event behind it.
pub fn receipt_means_held<'a>(
    sender: OfficeId,
    sent: impl IntoIterator<Item = &'a SentRow>,
    held_by: impl Fn(&OfficeId, Incarnation, Counter) -> Option<EventId>,
) -> Result<(), Violation> {
    for row in sent.into_iter().filter(|row| row.receipt.is_some() && !row.superseded && row.is_said_again())
    {
        let held = held_by(&row.to, row.place.incarnation, row.place.counter);
        if held != Some(row.place.id) {
            let (place, to) = (row.place, row.to);
            let (incarnation, counter) = (place.incarnation, place.counter);
            let found = format!(
                "{sender} has a receipt of {to} for its {incarnation}.{counter} ({}), which is not held there",
                place.id
            );
            return broken("P6", found);
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
        Self { office, incarnation: Incarnation::FIRST, seq: Seq(0), head: EventId::NONE }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::Place;
    use crate::event::{Event, Kind, Urgency};
    use crate::id::{KeyId, Position};

    const SENDER: OfficeId = OfficeId::new([1; 16]);
    const RECIPIENT: OfficeId = OfficeId::new([2; 16]);

    fn event_id(n: u8) -> EventId {
        EventId::new([n; 32])
    }

    fn document(n: u8) -> DocumentId {
        DocumentId::new([n; 16])
    }

    fn held(counter: u8, ordinal: Option<u64>) -> HeldRow {
        HeldRow {
            from: SENDER,
            place: Place {
                incarnation: Incarnation::FIRST,
                counter: Counter(u64::from(counter)),
                id: event_id(counter),
            },
            position: Position(u64::from(counter)),
            kind: Kind::Dispatch,
            document: Some(document(counter)),
            receipt: None,
            receipt_incarnation: None,
            ordinal,
            in_order: true,
            judged: None,
            code_key: None,
            forgone: false,
            unreadable: false,
        }
    }

    fn sent(counter: u8, receipt: Option<Position>) -> SentRow {
        SentRow {
            to: RECIPIENT,
            place: held(counter, None).place,
            position: Position(u64::from(counter)),
            kind: Kind::Dispatch,
            urgency: Urgency::Normal,
            document: Some(document(counter)),
            open: receipt.is_none(),
            left: None,
            receipt,
            superseded: false,
            regained: false,
            code_key: None,
        }
    }

    #[track_caller]
    fn fires(promise: &str, found: Result<(), Violation>) {
        let violation = found.expect_err("the violation was not seen");
        assert_eq!(violation.promise, promise, "{violation}");
    }

    #[test]
    fn lost_document_is_seen() {
        let saved = [(RECIPIENT, document(1)), (RECIPIENT, document(2))];
        assert_eq!(nothing_saved_is_lost(&saved, &BTreeSet::from(saved)), Ok(()));
        fires("P1", nothing_saved_is_lost(&saved, &BTreeSet::from([saved[0]])));
        let elsewhere = BTreeSet::from([saved[0], (SENDER, document(2))]);
        fires("P1", nothing_saved_is_lost(&saved, &elsewhere));
    }

    #[test]
    fn document_presented_twice_is_seen() {
        let (first, second) = (held(1, Some(1)), held(2, Some(2)));
        assert_eq!(each_document_once([&first, &second]), Ok(()));
        let again = HeldRow { document: first.document, ..second };
        fires("P2", each_document_once([&first, &again]));
        let unseen = HeldRow { ordinal: None, ..again };
        assert_eq!(each_document_once([&first, &unseen]), Ok(()), "held twice, presented once");
        let other_office = HeldRow { from: RECIPIENT, ..again };
        assert_eq!(each_document_once([&first, &other_office]), Ok(()), "ids are an office's own");
    }

    #[test]
    fn document_out_of_order_is_seen_unless_it_is_marked() {
        let (first, second) = (held(1, Some(1)), held(2, Some(2)));
        assert_eq!(order_is_kept([&second, &first]), Ok(()));
        let (late, early) = (held(1, Some(2)), held(2, Some(1)));
        fires("P3", order_is_kept([&late, &early]));
        let marked = HeldRow { in_order: false, ..early };
        assert_eq!(order_is_kept([&late, &marked]), Ok(()));
        let mut later = early;
        later.place.incarnation = Incarnation::new(1, 0);
        assert_eq!(order_is_kept([&late, &later]), Ok(()), "order is promised within an incarnation");
    }

    #[test]
    fn event_nobody_made_is_seen() {
        let row = held(1, None);
        assert_eq!(only_authentic_is_held([&row], &BTreeSet::from([event_id(1)])), Ok(()));
        fires("P4", only_authentic_is_held([&row], &BTreeSet::from([event_id(2)])));
    }

    #[test]
    fn send_that_is_neither_settled_nor_listed_is_seen() {
        let open = sent(1, None);
        let (then, late) = (Millis(5), Millis(6 + OVERDUE_MS));
        let none = BTreeSet::new();
        assert_eq!(settled_or_visible([(&open, then)], &none, Millis(5 + OVERDUE_MS)), Ok(()), "young");
        fires("P5", settled_or_visible([(&open, then)], &none, late));
        let listed = BTreeSet::from([(RECIPIENT, Incarnation::FIRST, Counter(1))]);
        assert_eq!(settled_or_visible([(&open, then)], &listed, late), Ok(()));
        let other = BTreeSet::from([(RECIPIENT, Incarnation::new(1, 0), Counter(1))]);
        fires("P5", settled_or_visible([(&open, then)], &other, late));
        assert_eq!(settled_or_visible([(&sent(1, Some(Position(9))), then)], &none, late), Ok(()));
        let superseded = SentRow { superseded: true, ..open };
        assert_eq!(settled_or_visible([(&superseded, then)], &none, late), Ok(()));
        let head = SentRow { kind: Kind::Head, ..open };
        assert_eq!(settled_or_visible([(&head, then)], &none, late), Ok(()));
    }

    #[test]
    fn receipt_without_the_event_behind_it_is_seen() {
        let receipted = sent(1, Some(Position(9)));
        let holds = |id| move |_: &OfficeId, _, _| id;
        assert_eq!(receipt_means_held(SENDER, [&receipted], holds(Some(event_id(1)))), Ok(()));
        fires("P6", receipt_means_held(SENDER, [&receipted], holds(None)));
        fires("P6", receipt_means_held(SENDER, [&receipted], holds(Some(event_id(2)))));
        assert_eq!(receipt_means_held(SENDER, [&sent(1, None)], holds(None)), Ok(()));
    }

    #[test]
    fn replay_that_differs_is_seen() {
        let (one, two) = (StateHash::new([1; 32]), StateHash::new([2; 32]));
        assert_eq!(replay_gives_live_state(one, one), Ok(()));
        fires("P7", replay_gives_live_state(one, two));
    }

    #[test]
    fn fork_without_an_alarm_is_seen() {
        let alarm = Alarm::Fork {
            office: SENDER,
            incarnation: Incarnation::FIRST,
            counter: Counter(1),
            held: event_id(1),
            other: event_id(2),
        };
        assert_eq!(forks_are_alarmed(&[event_id(2)], std::slice::from_ref(&alarm)), Ok(()));
        fires("P8", forks_are_alarmed(&[event_id(2)], &[]));
        fires("P8", forks_are_alarmed(&[event_id(3)], &[alarm]));
    }

    fn own(incarnation: u32, seq: u64, prev: EventId, id: u8) -> RecordedEvent {
        let event = Event {
            office: SENDER,
            incarnation: Incarnation::new(incarnation, 0),
            seq: Seq(seq),
            prev,
            claimed_at: Millis(0),
            kind: Kind::Head,
            urgency: Urgency::Normal,
            to: Vec::new(),
            seen: Vec::new(),
            blobs: Vec::new(),
            body: Vec::new(),
            sealed: None,
            archive: None,
            content: None,
        };
        RecordedEvent { id: event_id(id), version: 1, key: KeyId::new([0; 16]), event }
    }

    #[test]
    fn chain_follows_event_by_event_and_across_incarnations() {
        let mut chain = ChainCheck::new(SENDER);
        for recorded in [
            own(0, 1, EventId::NONE, 1),
            own(0, 2, event_id(1), 2),
            own(3, 1, event_id(2), 3),
            own(3, 2, event_id(3), 4),
        ] {
            assert_eq!(chain.next(&recorded), Ok(()));
        }
        assert_eq!(chain.head(), (Incarnation::new(3, 0), Seq(2), event_id(4)));
    }

    #[test]
    fn break_in_the_chain_is_seen() {
        let mut begun = ChainCheck::new(SENDER);
        begun.next(&own(1, 1, EventId::NONE, 1)).expect("the first");
        for (what, broken) in [
            ("a gap", own(1, 3, event_id(1), 2)),
            ("a repeat", own(1, 1, event_id(1), 2)),
            ("another predecessor", own(1, 2, event_id(9), 2)),
            ("a forgotten predecessor", own(2, 1, EventId::NONE, 2)),
            ("an incarnation that starts in the middle", own(2, 2, event_id(1), 2)),
            ("an earlier incarnation", own(0, 1, event_id(1), 2)),
        ] {
            let mut chain = begun.clone();
            assert!(chain.next(&broken).is_err_and(|violation| violation.promise == "P3"), "{what}");
            assert_eq!(chain.head(), begun.head(), "{what}");
        }
        let mut foreign = own(1, 2, event_id(1), 2);
        foreign.event.office = RECIPIENT;
        fires("P3", begun.next(&foreign));
    }
}
