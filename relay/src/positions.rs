//! What the relay remembers of the offices' chains: which event it saw at which position.
//!
//! A memory, not a record: it is bounded and forgets the oldest. It finds two events at one position while
//! both are fresh; the recipients, who keep everything, find the rest by their counters.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use schema::event::Event;
use schema::id::{EventId, Incarnation, OfficeId, Seq};

/// Most positions remembered of one office.
pub const POSITIONS_PER_OFFICE_MAX: usize = 2_048;
/// Most positions remembered in all, about 40 MB.
pub const POSITIONS_MAX: usize = 262_144;
/// Most different events remembered at one position; a further one is reported each time it comes.
const EVENTS_PER_POSITION_MAX: usize = 4;

/// What an event's place in its chain says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// First time here. Positions around it may be missing: express overtakes, and other relays take some.
    New,
    /// The same event was here before.
    Repeated,
    /// Another event stands at this position, or the neighbour names another predecessor: the key signed two
    /// histories. Evidence, never resolved here.
    Forked {
        /// The event that contradicts it.
        known: EventId,
    },
}

type Place = (Incarnation, Seq);

#[derive(Clone, Copy, Debug)]
struct Seen {
    id: EventId,
    prev: EventId,
}

#[derive(Debug, Default)]
struct Chain {
    seen: BTreeMap<Place, Vec<Seen>>,
    order: VecDeque<Place>,
}

impl Chain {
    fn forget_oldest(&mut self) {
        if let Some(place) = self.order.pop_front() {
            self.seen.remove(&place);
        }
    }
}

/// The bounded memory.
#[derive(Debug)]
pub struct Positions {
    chains: BTreeMap<OfficeId, Chain>,
    /// (remembered positions, office): who gives way when the whole is full. The longest memory shrinks
    /// first, so that one busy office does not make the relay forget the quiet ones.
    lengths: BTreeSet<(usize, OfficeId)>,
    held: usize,
    per_office_max: usize,
    total_max: usize,
}

impl Default for Positions {
    fn default() -> Self {
        Self::bounded(POSITIONS_PER_OFFICE_MAX, POSITIONS_MAX)
    }
}

impl Positions {
    /// An empty memory with these bounds, both at least 1.
    pub fn bounded(per_office_max: usize, total_max: usize) -> Self {
        Self {
            chains: BTreeMap::new(),
            lengths: BTreeSet::new(),
            held: 0,
            per_office_max: per_office_max.max(1),
            total_max: total_max.max(1),
        }
    }

    /// How many positions are remembered.
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// How many positions between the lowest and the highest remembered one of this office were not seen.
    /// Local events never come, so this is seldom 0; it is shown, nothing follows from it.
    pub fn unseen(&self, office: &OfficeId) -> u64 {
        let Some(chain) = self.chains.get(office) else {
            return 0;
        };
        let mut unseen = 0;
        let mut before: Option<Place> = None;
        for place in chain.seen.keys() {
            if let Some((incarnation, seq)) = before
                && incarnation == place.0
            {
                unseen += place.1.0 - seq.0 - 1;
            }
            before = Some(*place);
        }
        unseen
    }

    /// Notes a verified event and says how it stands to what was seen before.
    pub fn note(&mut self, id: EventId, event: &Event) -> Standing {
        let place = (event.incarnation, event.seq);
        let chain = self.chains.entry(event.office).or_default();
        let length = chain.order.len();
        if let Some(seen) = chain.seen.get(&place)
            && seen.iter().any(|seen| seen.id == id)
        {
            return Standing::Repeated;
        }
        let standing = contradiction(chain, place, id, event.prev)
            .map_or(Standing::New, |known| Standing::Forked { known });
        let here = chain.seen.entry(place).or_default();
        if here.is_empty() {
            chain.order.push_back(place);
            self.held += 1;
        }
        if here.len() < EVENTS_PER_POSITION_MAX {
            here.push(Seen { id, prev: event.prev });
        }
        if chain.order.len() > self.per_office_max {
            chain.forget_oldest();
            self.held -= 1;
        }
        let now = chain.order.len();
        if now != length {
            self.lengths.remove(&(length, event.office));
            self.lengths.insert((now, event.office));
        }
        while self.held > self.total_max {
            self.shrink_longest();
        }
        standing
    }

    fn shrink_longest(&mut self) {
        let Some((length, office)) = self.lengths.pop_last() else {
            return;
        };
        self.held -= 1;
        if length > 1 {
            if let Some(chain) = self.chains.get_mut(&office) {
                chain.forget_oldest();
            }
            self.lengths.insert((length - 1, office));
        } else {
            self.chains.remove(&office);
        }
    }
}

/// An event already seen that cannot be in one chain with the one at `place`.
fn contradiction(chain: &Chain, place: Place, id: EventId, prev: EventId) -> Option<EventId> {
    let (incarnation, seq) = place;
    let at = |seq: u64| chain.seen.get(&(incarnation, Seq(seq))).map_or(&[][..], Vec::as_slice);
    if let Some(other) = at(seq.0).first() {
        return Some(other.id);
    }
    let before = at(seq.0.saturating_sub(1));
    if let Some(other) = before.first()
        && before.iter().all(|seen| seen.id != prev)
    {
        return Some(other.id);
    }
    at(seq.0.saturating_add(1)).iter().find(|after| after.prev != id).map(|after| after.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schema::event::{Kind, Urgency};
    use schema::time::Millis;

    fn event(office: u8, seq: u64, prev: u8) -> Event {
        Event {
            office: OfficeId::new([office; 16]),
            incarnation: Incarnation::FIRST,
            seq: Seq(seq),
            prev: id(prev),
            claimed_at: Millis(0),
            kind: Kind::Dispatch,
            urgency: Urgency::Normal,
            to: Vec::new(),
            seen: Vec::new(),
            blobs: Vec::new(),
            body: Vec::new(),
            sealed: None,
            archive: None,
            content: None,
        }
    }

    fn id(n: u8) -> EventId {
        EventId::new([n; 32])
    }

    #[test]
    fn two_events_at_one_position_are_evidence_once_each() {
        let mut positions = Positions::default();
        assert_eq!(positions.note(id(5), &event(1, 5, 4)), Standing::New);
        assert_eq!(positions.note(id(6), &event(1, 5, 4)), Standing::Forked { known: id(5) });
        assert_eq!(positions.note(id(6), &event(1, 5, 4)), Standing::Repeated);
        assert_eq!(positions.note(id(5), &event(1, 5, 4)), Standing::Repeated);
    }

    #[test]
    fn neighbour_with_another_predecessor_is_evidence_in_either_order() {
        let mut forward = Positions::default();
        assert_eq!(forward.note(id(1), &event(1, 1, 0)), Standing::New);
        assert_eq!(forward.note(id(2), &event(1, 2, 9)), Standing::Forked { known: id(1) });
        let mut backward = Positions::default();
        assert_eq!(backward.note(id(2), &event(1, 2, 9)), Standing::New);
        assert_eq!(backward.note(id(1), &event(1, 1, 0)), Standing::Forked { known: id(2) });
    }

    #[test]
    fn gap_is_normal_and_counted_until_filled() {
        let mut positions = Positions::default();
        assert_eq!(positions.note(id(1), &event(1, 1, 0)), Standing::New);
        assert_eq!(positions.note(id(4), &event(1, 4, 3)), Standing::New);
        assert_eq!(positions.unseen(&OfficeId::new([1; 16])), 2);
        assert_eq!(positions.note(id(2), &event(1, 2, 1)), Standing::New);
        assert_eq!(positions.note(id(3), &event(1, 3, 2)), Standing::New);
        assert_eq!(positions.unseen(&OfficeId::new([1; 16])), 0);
    }

    #[test]
    fn busy_office_does_not_make_the_relay_forget_a_quiet_one() {
        let mut positions = Positions::bounded(1_000, 100);
        positions.note(id(1), &event(1, 7, 6));
        for seq in 1..=500_u64 {
            positions
                .note(EventId::new([u8::try_from(seq % 251).expect("below 251"); 32]), &event(2, seq * 2, 0));
        }
        assert_eq!(positions.note(id(2), &event(1, 7, 6)), Standing::Forked { known: id(1) });
    }

    proptest! {
        #[test]
        fn memory_stays_within_its_bounds(
            events in proptest::collection::vec((0_u8..8, 1_u64..50, any::<u8>()), 0..400),
            per_office in 1_usize..20,
            total in 1_usize..60,
        ) {
            let mut positions = Positions::bounded(per_office, total);
            for (office, seq, n) in events {
                positions.note(id(n), &event(office, seq, n.wrapping_sub(1)));
                let held: usize = positions.chains.values().map(|chain| chain.order.len()).sum();
                prop_assert_eq!(held, positions.len());
                prop_assert!(held <= total);
                prop_assert!(positions.chains.values().all(|chain| chain.order.len() <= per_office));
                prop_assert!(positions.chains.values().all(|chain| chain.order.len() == chain.seen.len()));
                prop_assert_eq!(positions.lengths.len(), positions.chains.len());
            }
        }
    }
}
