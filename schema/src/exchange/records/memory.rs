//! Rows in maps: the state of an audit, of a replay and of tests.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::convert::Infallible;
use std::ops::Bound;

use super::{HeldRow, LineUse, Records, SAME_CODE_MAX, SentRow, StateDigest};
use crate::body::Place;
use crate::exchange::{Alarm, Change, Exchange};
use crate::handling::{self, CaseRow, Direction, DraftedRow, ErasedRow, PersonRow, Side};
use crate::id::{Counter, DocumentId, EventId, Incarnation, OfficeId, Position, StateHash, WorkId};

/// The rows of one channel. Counters have no gaps as a rule: their rows stand side by side, found without searching.
#[derive(Clone, Debug)]
struct Rows<T> {
    /// Counters 1, 2, 3 … as far as there is no gap.
    dense: Vec<T>,
    /// All others: what came before the gap was filled.
    sparse: BTreeMap<Counter, T>,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { dense: Vec::new(), sparse: BTreeMap::new() }
    }
}

impl<T> Rows<T> {
    /// The place among the dense ones; a counter is a number from outside and may be anything.
    fn index(counter: Counter) -> Option<usize> {
        usize::try_from(counter.0.checked_sub(1)?).ok()
    }

    /// The first row after this counter.
    fn after(&self, counter: Counter) -> Option<&T> {
        let dense = usize::try_from(counter.0).ok().and_then(|next| self.dense.get(next));
        dense.or_else(|| {
            self.sparse.range((Bound::Excluded(counter), Bound::Unbounded)).map(|(_, row)| row).next()
        })
    }

    fn row(&self, counter: Counter) -> Option<&T> {
        let dense = Self::index(counter).and_then(|index| self.dense.get(index));
        dense.or_else(|| if self.sparse.is_empty() { None } else { self.sparse.get(&counter) })
    }

    fn row_mut(&mut self, counter: Counter) -> Option<&mut T> {
        match Self::index(counter).and_then(|index| self.dense.get_mut(index)) {
            None => self.sparse.get_mut(&counter),
            dense => dense,
        }
    }

    fn insert(&mut self, counter: Counter, row: T) {
        if let Some(known) = self.row_mut(counter) {
            *known = row;
            return;
        }
        if Self::index(counter) != Some(self.dense.len()) {
            self.sparse.insert(counter, row);
            return;
        }
        self.dense.push(row);
        while !self.sparse.is_empty()
            && let Some(row) = self.sparse.remove(&Counter(self.dense.len() as u64 + 1))
        {
            self.dense.push(row);
        }
    }

    /// By counter.
    fn iter(&self) -> impl Iterator<Item = &T> {
        let before = self.sparse.range(..Counter(1));
        let after = self.sparse.range(Counter(1)..);
        before.map(|(_, row)| row).chain(&self.dense).chain(after.map(|(_, row)| row))
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.dense.iter_mut().chain(self.sparse.values_mut())
    }
}

/// Rows by office and incarnation.
type Channels<T> = BTreeMap<(OfficeId, Incarnation), Rows<T>>;

/// Changes the row at this place, if there is one.
fn change_row<T>(
    channels: &mut Channels<T>,
    office: &OfficeId,
    incarnation: Incarnation,
    counter: Counter,
    change: impl FnOnce(&mut T),
) {
    let rows = channels.get_mut(&(*office, incarnation));
    if let Some(row) = rows.and_then(|rows| rows.row_mut(counter)) {
        change(row);
    }
}

/// Records in maps: for audits, tests and replay from zero.
#[derive(Clone, Default, Debug)]
pub struct MemoryRecords {
    sent: Channels<SentRow>,
    held: Channels<HeldRow>,
    /// By position, each once.
    received: Vec<(Position, Incarnation)>,
    incoming: HashMap<(OfficeId, DocumentId), (Incarnation, Counter)>,
    outgoing: HashMap<DocumentId, Position>,
    early: BTreeMap<(OfficeId, Place), Position>,
    contested: BTreeMap<OfficeId, BTreeSet<(Incarnation, Counter)>>,
    cases: BTreeMap<(OfficeId, DocumentId, Side), CaseRow>,
    lines: BTreeMap<(Direction, handling::Entry), LineUse>,
    worked: HashMap<WorkId, (Direction, handling::Entry)>,
    /// Documents sent, by recipient, and number, symbol and year.
    sent_codes: BTreeMap<(OfficeId, u64), BTreeSet<DocumentId>>,
    /// Documents registered, by sender, and number, symbol and year.
    registered_codes: BTreeMap<(OfficeId, u64), BTreeSet<DocumentId>>,
    drafted: BTreeMap<DocumentId, DraftedRow>,
    people: BTreeMap<String, PersonRow>,
    erased: BTreeMap<(OfficeId, DocumentId), ErasedRow>,
}

impl Records for MemoryRecords {
    type Error = Infallible;

    fn sent(&self, to: &OfficeId, inc: Incarnation, counter: Counter) -> Result<Option<SentRow>, Infallible> {
        Ok(self.sent.get(&(*to, inc)).and_then(|rows| rows.row(counter)).cloned())
    }

    fn next_sent(
        &self,
        to: &OfficeId,
        incarnation: Incarnation,
        after: Counter,
    ) -> Result<Option<SentRow>, Infallible> {
        Ok(self.sent.get(&(*to, incarnation)).and_then(|rows| rows.after(after)).cloned())
    }

    fn held(
        &self,
        from: &OfficeId,
        inc: Incarnation,
        counter: Counter,
    ) -> Result<Option<HeldRow>, Infallible> {
        Ok(self.held.get(&(*from, inc)).and_then(|rows| rows.row(counter)).cloned())
    }

    fn knows_incoming(&self, from: &OfficeId, document: &DocumentId) -> Result<bool, Infallible> {
        Ok(self.incoming.contains_key(&(*from, *document)))
    }

    fn incomplete(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Infallible> {
        let first = (*from, Incarnation::FIRST);
        let channels = self.held.range(first..).take_while(|(key, _)| key.0 == *from);
        let rows = channels.flat_map(|(_, rows)| rows.iter());
        let waiting = rows.filter(|row| !row.is_settled());
        Ok(waiting.map(|row| row.place).take(limit).collect())
    }

    fn unopened(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Infallible> {
        let first = (*from, Incarnation::FIRST);
        let channels = self.held.range(first..).take_while(|(key, _)| key.0 == *from);
        let unreadable =
            channels.flat_map(|(_, rows)| rows.iter()).filter(|row| row.unreadable && row.receipt.is_none());
        Ok(unreadable.map(|row| row.place).take(limit).collect())
    }

    fn incarnation_at(&self, position: Position) -> Result<Option<Incarnation>, Infallible> {
        let found = self.received.binary_search_by_key(&position, |(position, _)| *position);
        Ok(found.ok().map(|index| self.received[index].1))
    }

    fn early_receipts(
        &self,
        from: &OfficeId,
        incarnation: Incarnation,
        counter: Counter,
    ) -> Result<Vec<(Place, Position)>, Infallible> {
        let at = |id| (*from, Place { incarnation, counter, id });
        let early = self.early.range(at(EventId::new([0; 32]))..=at(EventId::new([0xff; 32])));
        Ok(early.map(|((_, place), position)| (*place, *position)).collect())
    }

    fn unmatched_receipts(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Infallible> {
        let early = self.early.keys().filter(|(office, _)| office == from).map(|(_, place)| *place);
        let known = |place: &Place| {
            let rows = self.sent.get(&(*from, place.incarnation));
            rows.and_then(|rows| rows.row(place.counter)).is_some_and(|row| row.place.id == place.id)
        };
        Ok(early.filter(|place| !known(place)).take(limit).collect())
    }

    fn contested(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Infallible> {
        let places = self.contested.get(from).into_iter().flatten().rev();
        let held = places.filter_map(|(incarnation, counter)| {
            Some(self.held.get(&(*from, *incarnation))?.row(*counter)?.place)
        });
        Ok(held.take(limit).collect())
    }

    fn knows_outgoing(&self, document: &DocumentId) -> Result<bool, Infallible> {
        Ok(self.outgoing.contains_key(document))
    }

    fn incoming(&self, from: &OfficeId, document: &DocumentId) -> Result<Option<HeldRow>, Infallible> {
        let Some((incarnation, counter)) = self.incoming.get(&(*from, *document)) else { return Ok(None) };
        self.held(from, *incarnation, *counter)
    }

    fn recipients(&self, document: &DocumentId) -> Result<Vec<OfficeId>, Infallible> {
        let to = self.sent_rows().filter(|row| row.document == Some(*document)).map(|row| row.to);
        Ok(to.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn case(
        &self,
        with: &OfficeId,
        document: &DocumentId,
        side: Side,
    ) -> Result<Option<CaseRow>, Infallible> {
        Ok(self.cases.get(&(*with, *document, side)).cloned())
    }

    fn line(&self, direction: Direction, line: &handling::Entry) -> Result<Option<LineUse>, Infallible> {
        Ok(self.lines.get(&(direction, line.clone())).copied())
    }

    fn line_of_work(
        &self,
        work: &WorkId,
    ) -> Result<Option<(Direction, handling::Entry, LineUse)>, Infallible> {
        let Some(key) = self.worked.get(work) else { return Ok(None) };
        Ok(self.lines.get(key).map(|used| (key.0, key.1.clone(), *used)))
    }

    fn drafted(&self, document: &DocumentId) -> Result<Option<DraftedRow>, Infallible> {
        Ok(self.drafted.get(document).cloned())
    }

    fn person(&self, name: &str) -> Result<Option<PersonRow>, Infallible> {
        Ok(self.people.get(name).cloned())
    }

    fn people(&self) -> Result<Vec<PersonRow>, Infallible> {
        Ok(self.people.values().cloned().collect())
    }

    fn erased(&self, issuer: &OfficeId, document: &DocumentId) -> Result<Option<ErasedRow>, Infallible> {
        Ok(self.erased.get(&(*issuer, *document)).copied())
    }

    fn is_on_its_way(&self, document: &DocumentId) -> Result<bool, Infallible> {
        Ok(self.sent_rows().any(|row| row.open && row.document == Some(*document)))
    }

    fn registered_with_code(&self, from: &OfficeId, code_key: u64) -> Result<Vec<DocumentId>, Infallible> {
        Ok(first_documents(self.registered_codes.get(&(*from, code_key))))
    }

    fn went_with_code(&self, to: &OfficeId, code_key: u64) -> Result<Vec<DocumentId>, Infallible> {
        Ok(first_documents(self.sent_codes.get(&(*to, code_key))))
    }
}

/// The first of them, by id.
fn first_documents(documents: Option<&BTreeSet<DocumentId>>) -> Vec<DocumentId> {
    documents.into_iter().flatten().copied().take(SAME_CODE_MAX).collect()
}

impl MemoryRecords {
    /// Applies one change.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Sent(row) => {
                if let Some(document) = row.document {
                    self.outgoing.entry(document).or_insert(row.position);
                    if let Some(code_key) = row.code_key {
                        self.sent_codes.entry((row.to, code_key)).or_default().insert(document);
                    }
                }
                let rows = self.sent.entry((row.to, row.place.incarnation)).or_default();
                rows.insert(row.place.counter, row.clone());
            }
            Change::Left { to, incarnation, counter, position, closes } => {
                change_row(&mut self.sent, to, *incarnation, *counter, |row| {
                    row.left.get_or_insert(*position);
                    row.open &= !closes;
                });
            }
            Change::Receipted { to, incarnation, counter, position } => {
                change_row(&mut self.sent, to, *incarnation, *counter, |row| {
                    row.receipt = Some(*position);
                    row.open = false;
                });
            }
            Change::Confirmed { to, incarnation, counter } => {
                change_row(&mut self.sent, to, *incarnation, *counter, |row| row.open = false);
            }
            Change::Reopened { to, incarnation, counter } => {
                change_row(&mut self.sent, to, *incarnation, *counter, |row| {
                    row.open = true;
                    row.left = None;
                });
            }
            Change::Superseded { before } => {
                let earlier = self.sent.iter_mut().filter(|((_, incarnation), _)| incarnation < before);
                for row in earlier.flat_map(|(_, rows)| rows.iter_mut()).filter(|row| row.open) {
                    row.open = false;
                    row.superseded = true;
                }
            }
            Change::SentAnew { to, incarnation, counter } => {
                change_row(&mut self.sent, to, *incarnation, *counter, |row| {
                    row.open = false;
                    row.superseded = true;
                });
            }
            Change::EarlyReceipt { from, place, position } => {
                self.early.insert((*from, *place), *position);
            }
            Change::Regained { document, id, position } => {
                self.early.retain(|(_, place), _| place.id != *id);
                if let Some(document) = document {
                    self.outgoing.entry(*document).or_insert(*position);
                }
            }
            Change::Case(case) => {
                if let Some(code_key) = case.code_key {
                    self.registered_codes.entry((case.with, code_key)).or_default().insert(case.document);
                }
                self.cases.insert((case.with, case.document, case.side), case.clone());
            }
            Change::Line { direction, line, used } => {
                if let Some((work, _)) = used.work {
                    self.worked.entry(work).or_insert_with(|| (*direction, line.clone()));
                }
                self.lines.insert((*direction, line.clone()), *used);
            }
            Change::Drafted(row) => {
                self.drafted.insert(row.document, (**row).clone());
            }
            Change::Person(row) => {
                self.people.insert(row.name.clone(), row.clone());
            }
            Change::Erased(row) => {
                self.erased.insert((row.issuer, row.document), *row);
            }
            Change::Held(row) => {
                if let Some(document) = row.document {
                    let place = (row.place.incarnation, row.place.counter);
                    self.incoming.entry((row.from, document)).or_insert(place);
                }
                self.note_received(row.position, row.place.incarnation);
                let rows = self.held.entry((row.from, row.place.incarnation)).or_default();
                rows.insert(row.place.counter, row.clone());
            }
            Change::Answered { from, incarnation, counter, position, mine } => {
                change_row(&mut self.held, from, *incarnation, *counter, |row| {
                    row.receipt = Some(*position);
                    row.receipt_incarnation = Some(*mine);
                });
            }
            Change::Forgone { from, incarnation, counter } => {
                change_row(&mut self.held, from, *incarnation, *counter, |row| row.forgone = true);
            }
            Change::Presented { from, incarnation, counter, ordinal, in_order } => {
                change_row(&mut self.held, from, *incarnation, *counter, |row| {
                    row.ordinal = Some(*ordinal);
                    row.in_order = *in_order;
                });
            }
            Change::Judged { from, incarnation, counter, judged } => {
                change_row(&mut self.held, from, *incarnation, *counter, |row| row.judged = Some(*judged));
            }
            Change::Alarm(Alarm::Fork { office, incarnation, counter, .. }) => {
                self.contested.entry(*office).or_default().insert((*incarnation, *counter));
            }
            Change::Alarm(_) => {}
        }
    }

    /// A journal is applied in its order, so this is at the end; anything else finds its place.
    fn note_received(&mut self, position: Position, incarnation: Incarnation) {
        let index = match self.received.last() {
            Some((last, _)) if position <= *last => {
                self.received.partition_point(|(earlier, _)| *earlier < position)
            }
            Some(_) | None => self.received.len(),
        };
        match self.received.get_mut(index).filter(|(known, _)| *known == position) {
            Some(known) => known.1 = incarnation,
            None => self.received.insert(index, (position, incarnation)),
        }
    }

    /// Sent rows, by recipient and place.
    pub fn sent_rows(&self) -> impl Iterator<Item = &SentRow> {
        self.sent.values().flat_map(Rows::iter)
    }

    /// What is known of documents after they arrived.
    pub fn cases(&self) -> impl Iterator<Item = &CaseRow> {
        self.cases.values()
    }

    /// Every number of a register that was used, and the journal entry that used it.
    pub fn lines(&self) -> impl Iterator<Item = (Direction, &handling::Entry, LineUse)> {
        self.lines.iter().map(|((direction, line), used)| (*direction, line, *used))
    }

    /// Held rows, by sender and place.
    pub fn held_rows(&self) -> impl Iterator<Item = &HeldRow> {
        self.held.values().flat_map(Rows::iter)
    }

    /// The hash of this state (P7).
    pub fn state_hash(&self, exchange: &Exchange) -> StateHash {
        let mut digest = StateDigest::new(exchange);
        self.sent_rows().for_each(|row| digest.sent(row));
        self.held_rows().for_each(|row| digest.held(row));
        self.cases.values().for_each(|case| digest.case(case));
        for ((direction, line), used) in &self.lines {
            digest.line(*direction, line, *used);
        }
        self.drafted.values().for_each(|row| digest.drafted(row));
        self.people.values().for_each(|row| digest.person(row));
        self.erased.values().for_each(|row| digest.erased(row));
        digest.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_of_a_channel_are_a_map_by_counter(
            counters in prop::collection::vec(prop_oneof![0_u64..12, Just(u64::MAX)], 0..40),
        ) {
            let (mut rows, mut map) = (Rows::default(), BTreeMap::new());
            for (n, counter) in counters.into_iter().map(Counter).enumerate() {
                rows.insert(counter, n);
                map.insert(counter, n);
                prop_assert_eq!(rows.iter().collect::<Vec<_>>(), map.values().collect::<Vec<_>>());
                for counter in (0..14).chain([u64::MAX]).map(Counter) {
                    prop_assert_eq!(rows.row(counter), map.get(&counter));
                    let after = (Bound::Excluded(counter), Bound::Unbounded);
                    prop_assert_eq!(rows.after(counter), map.range(after).map(|(_, n)| n).next());
                    prop_assert_eq!(rows.row_mut(counter), map.get_mut(&counter));
                }
            }
            let (mut changed, mut all): (Vec<usize>, Vec<usize>) =
                (rows.iter_mut().map(|row| *row).collect(), map.into_values().collect());
            changed.sort_unstable();
            all.sort_unstable();
            prop_assert_eq!(changed, all);
        }

        #[test]
        fn received_events_are_found_by_position_in_whatever_order_they_are_noted(
            noted in prop::collection::vec((0_u64..20, 0_u32..4), 0..30),
        ) {
            let (mut records, mut map) = (MemoryRecords::default(), BTreeMap::new());
            for (position, ordinal) in noted {
                records.note_received(Position(position), Incarnation::new(ordinal, 0));
                map.insert(Position(position), Incarnation::new(ordinal, 0));
            }
            for position in (0..21).map(Position) {
                let Ok(found) = records.incarnation_at(position);
                prop_assert_eq!(found, map.get(&position).copied());
            }
        }
    }
}
