//! What receipts and heads say about what was sent: settled, or to be sent again.

use super::*;
use crate::handling::{CaseRow, Direction, DraftedRow, Entry as Line, ErasedRow, PersonRow, Side};
use crate::id::WorkId;

#[test]
fn only_the_receipt_closes_a_document() {
    let given = [sends(1)];
    let place = sent_place(&given, 0, 1);
    let station = check([sends(1)], left(1), &["left 0/1"]);
    assert!(station.records.sent_rows().all(|row| row.open && row.left.is_some()));
    let station =
        check([sends(1), left(1)], From(receipt(0, 1, &[place], &[])), &["held 0/1", "receipted 0/1"]);
    assert!(station.records.sent_rows().all(|row| !row.open && row.receipt.is_some()));
}

#[test]
fn what_wants_no_receipt_is_closed_by_leaving() {
    check([greets()], left(1), &["left 0/1, closed"]);
}

#[test]
fn receipt_of_an_id_never_sent_settles_nothing_and_tells_of_going_back() {
    let wrong = receipt(0, 1, &[invented(0, 1)], &[]);
    let station = check([sends(1)], From(wrong), &["held 0/1", "early receipt for 0/1", "told of 0"]);
    assert!(station.records.sent_rows().all(|row| row.open && row.receipt.is_none()));
    let beyond = receipt(0, 1, &[invented(0, 7)], &[]);
    check([sends(1)], From(beyond), &["held 0/1", "early receipt for 0/7", "told of 0"]);
}

#[test]
fn head_confirms_what_wants_no_receipt_behind_documents_and_closed_rows() {
    let given = [greets(), left(1), sends(1), greets(), sends(2)];
    let top = sent_place(&given, 0, 4);
    check(given, From(head(0, 1, &[top])), &["held 0/1", "confirmed 0/3"]);
    let given = [greets(), sends(1), greets(), sends(2)];
    let top = sent_place(&given, 0, 4);
    check(
        given,
        From(receipt(0, 1, &[top], &[top])),
        &["held 0/1", "receipted 0/4", "confirmed 0/1", "confirmed 0/3"],
    );
}

#[test]
fn head_that_names_an_event_never_sent_confirms_nothing() {
    let given = [greets(), greets()];
    check(given.clone(), From(head(0, 1, &[invented(0, 2)])), &["held 0/1", "told of 0"]);
    check(
        given,
        From(receipt(0, 1, &[invented(0, 2)], &[invented(0, 2)])),
        &["held 0/1", "early receipt for 0/2", "told of 0"],
    );
}

#[test]
fn head_reopens_exactly_the_settled_run_after_what_is_held() {
    // 1 held; 2 and 3 left and lost on the way; 4 open; 5 settled.
    let given = [sends(1), greets(), left(2), greets(), left(3), sends(2), greets(), left(5)];
    let first = sent_place(&given, 0, 1);
    check(given, From(head(0, 1, &[first])), &["held 0/1", "reopened 0/2", "reopened 0/3"]);
}

/// Two greetings cross: each was written before the other arrived.
#[test]
fn crossing_heads_do_not_have_each_other_sent_again() {
    check([sends(1), greets(), left(2)], From(head(0, 1, &[])), &["held 0/1"]);
}

#[test]
fn reopened_row_leaves_again() {
    let given = [sends(1), greets(), left(2), sends(2)];
    let first = sent_place(&given, 0, 1);
    let given = given.into_iter().chain([From(head(0, 1, &[first]))]);
    let station = check(given, left(2), &["left 0/2, closed"]);
    let row = sure(station.records.sent(&A, Incarnation::FIRST, Counter(2))).expect("it was sent");
    assert!(!row.open && row.left == Some(Position(6)));
}

#[test]
fn receipt_never_reopens() {
    let given = [sends(1), greets(), left(2)];
    let first = sent_place(&given, 0, 1);
    check(given, From(receipt(0, 1, &[first], &[first])), &["held 0/1", "receipted 0/1"]);
}

/// A head that was overtaken by receipts would have what they settled sent again; the answer to that is the same
/// receipt, which is here already: the row would stay open for ever.
#[test]
fn delayed_head_reopens_nothing_that_was_receipted_since() {
    let given = [sends(1), sends(2)];
    let (first, second) = (sent_place(&given, 0, 1), sent_place(&given, 0, 2));
    let given = given.into_iter().chain([From(receipt(0, 2, &[first, second], &[second]))]);
    check(given.clone(), From(head(0, 1, &[])), &["held 0/1"]);
    check(given, From(head(0, 3, &[first])), &["held 0/3"]);
}

#[test]
fn delayed_head_reopens_nothing_that_was_confirmed_since() {
    let given = [greets(), left(1), sends(1), greets(), left(3)];
    let top = sent_place(&given, 0, 3);
    let given = given.into_iter().chain([From(head(0, 2, &[top]))]);
    check(given, From(head(0, 1, &[])), &["held 0/1"]);
}

/// Held beyond a gap and receipted: only the gap is filled.
#[test]
fn head_with_a_gap_reopens_the_gap_only() {
    let given = [greets(), left(1), sends(1)];
    let document = sent_place(&given, 0, 2);
    let given = given.into_iter().chain([From(receipt(0, 1, &[document], &[]))]);
    check(given, From(head(0, 2, &[])), &["held 0/2", "reopened 0/1"]);
}

#[test]
fn restored_correspondent_is_refilled_and_its_new_receipt_settles_again() {
    let given = [sends(1), sends(2)];
    let (first, second) = (sent_place(&given, 0, 1), sent_place(&given, 0, 2));
    let given: Vec<Fact> =
        given.into_iter().chain([From(receipt(0, 1, &[first, second], &[second]))]).collect();
    let back = From(restored(1, 0, None, vec![first]));
    let station = check(
        given.clone(),
        back.clone(),
        &["held 1/1", "alarm: office restored to 1, lost 1", "reopened 0/2"],
    );
    assert!(station.records.sent_rows().all(|row| row.receipt.is_some()), "what was proven stays proven");
    let given: Vec<Fact> = given.into_iter().chain([back]).collect();
    let new = receipt(1, 2, &[second], &[second]);
    check(given.clone(), From(new.clone()), &["held 1/2", "receipted 0/2"]);
    // From now on the document is proven to be there in this incarnation.
    let given = given.into_iter().chain([From(new)]);
    check(given, From(head(1, 3, &[first])), &["held 1/3"]);
}

/// It was restored to a moment between the event and its attachments; the relays may have lost them since.
#[test]
fn restored_correspondent_that_lacks_attachments_is_offered_them_again() {
    let given = [sends(1)];
    let first = sent_place(&given, 0, 1);
    let given = [sends(1), From(receipt(0, 1, &[first], &[first]))];
    let lacking = |incarnation, counter| {
        let heads = Heads { held: vec![first], incomplete: vec![first], ..Heads::default() };
        From(from_a(incarnation, counter, &Body::Head(heads)))
    };
    check(given.clone(), lacking(1, 1), &["held 1/1", "alarm: office restored to 1, lost 1", "reopened 0/1"]);
    // A head that left before the receipt did says nothing new.
    check(given, lacking(0, 2), &["held 0/2"]);
}

#[test]
fn head_names_what_is_held_without_its_attachments() {
    let mut station = Station::new(ME);
    let (first, second) = (doc(0, 1), doc(0, 2));
    station.take(Class::Received, &first);
    station.take(Class::Received, &second);
    happen(&mut station, &answers(&[&second]), Millis(1));
    let heads = heads_told(&mut station, Millis(2));
    assert_eq!(heads.incomplete, [place_of(&first, ME)]);
}

/// The receipt was on its way while its author's disk went back: it does not say what is held now.
#[test]
fn receipt_of_an_incarnation_that_is_over_settles_nothing() {
    let given = [sends(1), From(restored(1, 0, None, vec![]))];
    let first = sent_place(&given, 0, 1);
    let station = check(given, From(receipt(0, 1, &[first], &[first])), &["held 0/1"]);
    assert!(station.records.sent_rows().all(|row| row.open));
}

#[test]
fn walk_over_settled_rows_is_bounded() {
    let mut station = Station::new(ME);
    let mut places = Vec::new();
    for n in 0..AHEAD_MAX as u64 + 600 {
        let (event, _) = station.record(&draft(&[A], &Body::Dispatch(dispatch(ME, n))), Millis(n));
        places.push(place_of(&event, A));
    }
    for (n, entries) in places.chunks(ENTRIES_MAX).enumerate() {
        station.take(Class::Received, &receipt(0, n as u64 + 1, entries, &[]));
    }
    struct Counting<'a>(&'a MemoryRecords, std::cell::Cell<usize>);
    impl Records for Counting<'_> {
        type Error = std::convert::Infallible;
        fn sent(&self, to: &OfficeId, i: Incarnation, c: Counter) -> Result<Option<SentRow>, Self::Error> {
            self.1.set(self.1.get() + 1);
            self.0.sent(to, i, c)
        }
        fn next_sent(
            &self,
            to: &OfficeId,
            i: Incarnation,
            after: Counter,
        ) -> Result<Option<SentRow>, Self::Error> {
            self.1.set(self.1.get() + 1);
            self.0.next_sent(to, i, after)
        }
        fn held(&self, f: &OfficeId, i: Incarnation, c: Counter) -> Result<Option<HeldRow>, Self::Error> {
            self.0.held(f, i, c)
        }
        fn knows_incoming(&self, from: &OfficeId, d: &DocumentId) -> Result<bool, Self::Error> {
            self.0.knows_incoming(from, d)
        }
        fn incomplete(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error> {
            self.0.incomplete(from, limit)
        }

        fn unopened(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error> {
            self.0.unopened(from, limit)
        }
        fn unmatched_receipts(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error> {
            self.0.unmatched_receipts(from, limit)
        }
        fn early_receipts(
            &self,
            from: &OfficeId,
            incarnation: Incarnation,
            counter: Counter,
        ) -> Result<Vec<(Place, Position)>, Self::Error> {
            self.0.early_receipts(from, incarnation, counter)
        }
        fn incarnation_at(&self, position: Position) -> Result<Option<Incarnation>, Self::Error> {
            self.0.incarnation_at(position)
        }
        fn contested(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error> {
            self.0.contested(from, limit)
        }
        fn knows_outgoing(&self, d: &DocumentId) -> Result<bool, Self::Error> {
            self.0.knows_outgoing(d)
        }
        fn incoming(&self, from: &OfficeId, d: &DocumentId) -> Result<Option<HeldRow>, Self::Error> {
            self.0.incoming(from, d)
        }
        fn recipients(&self, d: &DocumentId) -> Result<Vec<OfficeId>, Self::Error> {
            self.0.recipients(d)
        }
        fn case(&self, with: &OfficeId, d: &DocumentId, side: Side) -> Result<Option<CaseRow>, Self::Error> {
            self.0.case(with, d, side)
        }
        fn line(&self, direction: Direction, line: &Line) -> Result<Option<LineUse>, Self::Error> {
            self.0.line(direction, line)
        }
        fn line_of_work(&self, work: &WorkId) -> Result<Option<(Direction, Line, LineUse)>, Self::Error> {
            self.0.line_of_work(work)
        }
        fn person(&self, name: &str) -> Result<Option<PersonRow>, Self::Error> {
            self.0.person(name)
        }
        fn people(&self) -> Result<Vec<PersonRow>, Self::Error> {
            self.0.people()
        }
        fn drafted(&self, d: &DocumentId) -> Result<Option<DraftedRow>, Self::Error> {
            self.0.drafted(d)
        }
        fn erased(&self, issuer: &OfficeId, d: &DocumentId) -> Result<Option<ErasedRow>, Self::Error> {
            self.0.erased(issuer, d)
        }
        fn is_on_its_way(&self, d: &DocumentId) -> Result<bool, Self::Error> {
            self.0.is_on_its_way(d)
        }
        fn registered_with_code(&self, from: &OfficeId, key: u64) -> Result<Vec<DocumentId>, Self::Error> {
            self.0.registered_with_code(from, key)
        }
        fn went_with_code(&self, to: &OfficeId, key: u64) -> Result<Vec<DocumentId>, Self::Error> {
            self.0.went_with_code(to, key)
        }
    }
    let records = Counting(&station.records, std::cell::Cell::new(0));
    let empty = head(0, 100, &[]);
    let entry = Entry {
        position: Position(1_000_000),
        class: Class::Received,
        id: empty.id(),
        version: 1,
        event: empty.event(),
    };
    sure(station.exchange.clone().evolve(&records, entry));
    assert!(records.1.get() <= AHEAD_MAX + 2, "{} look-ups for one head", records.1.get());
}
