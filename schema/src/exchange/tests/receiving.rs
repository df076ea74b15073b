//! What comes from outside: taken once, shown in order, kept when it contradicts.

use super::*;
use crate::body::{FindingCode, Judgement, Layer, Verdicts};
use crate::trust::Outcome;

#[test]
fn repeat_changes_nothing() {
    check([From(doc(0, 1))], From(doc(0, 1)), &["Repeat"]);
    check([From(doc(0, 1)), From(doc(0, 2)), From(doc(0, 4))], From(doc(0, 1)), &["Repeat"]);
    check([From(doc(0, 4))], From(doc(0, 4)), &["Repeat"]);
}

#[test]
fn document_is_shown_when_it_is_answered() {
    let first = doc(0, 1);
    check([], From(first.clone()), &["held 0/1 document"]);
    check([From(first.clone())], answers(&[&first]), &["sent A 0/1", "answered 0/1", "presented 0/1 as 1"]);
}

#[test]
fn later_document_waits_for_the_missing_one() {
    let (first, second) = (doc(0, 1), doc(0, 2));
    let given = [From(second.clone()), answers(&[&second]), From(first.clone())];
    let station = check(
        given,
        answers(&[&first]),
        &["sent A 0/2", "answered 0/1", "presented 0/1 as 1", "presented 0/2 as 2"],
    );
    assert!(!station.exchange.channel(&A, Incarnation::FIRST).expect("a channel").has_gap());
}

#[test]
fn gap_is_known_and_named() {
    let station = check([From(doc(0, 1))], From(doc(0, 5)), &["held 0/5 document"]);
    let channel = station.exchange.channel(&A, Incarnation::FIRST).expect("a channel");
    assert!(channel.has_gap());
    assert_eq!(channel.first_gap(), Some((Counter(2), Counter(4))));
}

#[test]
fn answering_a_batch_shows_all_of_it_whatever_the_order_of_the_entries() {
    let (first, second, third) = (doc(0, 1), doc(0, 2), doc(0, 3));
    let given = [From(third.clone()), From(second.clone()), From(first.clone())];
    check(
        given,
        answers(&[&third, &first, &second, &second]),
        &[
            "sent A 0/1",
            "answered 0/1",
            "presented 0/1 as 1",
            "answered 0/2",
            "presented 0/2 as 2",
            "answered 0/3",
            "presented 0/3 as 3",
        ],
    );
}

#[test]
fn express_document_overtakes_and_is_not_shown_again() {
    let (first, second) = (doc(0, 1), express(0, 2));
    check(
        [From(second.clone())],
        answers(&[&second]),
        &["sent A 0/1", "answered 0/2", "presented 0/2 as 1 out of order"],
    );
    check(
        [From(second.clone()), answers(&[&second]), From(first.clone())],
        answers(&[&first]),
        &["sent A 0/2", "answered 0/1", "presented 0/1 as 2"],
    );
}

#[test]
fn second_answer_shows_nothing_again() {
    let first = doc(0, 1);
    check([From(first.clone()), answers(&[&first])], answers(&[&first]), &["sent A 0/2", "answered 0/1"]);
}

#[test]
fn another_event_at_a_held_place_is_evidence_and_alarmed() {
    let other = from_a(0, 1, &Body::Dispatch(dispatch(A, 77)));
    let station = check([From(doc(0, 1))], From(other.clone()), &["alarm: fork at 1"]);
    let alarm = Alarm::Fork {
        office: A,
        incarnation: Incarnation::FIRST,
        counter: Counter(1),
        held: doc(0, 1).id(),
        other: other.id(),
    };
    assert_eq!(station.alarms, [alarm]);
    assert_eq!(station.records.held_rows().count(), 1, "the held one stays");
}

#[test]
fn event_for_another_office_is_not_for_us() {
    let mut fields = doc(0, 1).event().clone();
    fields.to[0].office = B;
    check([], From(sealed(fields)), &["NotForUs"]);
}

#[test]
fn unknown_kind_is_held_and_answered_and_never_shown() {
    let unknown = sealed(event(A, ME, 0, 1, Kind::Unknown(99), b"anything".to_vec()));
    check([], From(unknown.clone()), &["held 0/1"]);
    check([From(unknown.clone())], answers(&[&unknown]), &["sent A 0/1", "answered 0/1"]);
    let next = doc(0, 2);
    check(
        [From(unknown.clone()), From(next.clone())],
        answers(&[&unknown, &next]),
        &["sent A 0/1", "answered 0/1", "answered 0/2", "presented 0/2 as 1"],
    );
}

#[test]
fn body_that_cannot_be_read_is_held_and_alarmed_and_blocks_nothing() {
    let broken = sealed(event(A, ME, 0, 1, Kind::Dispatch, b"\xff".to_vec()));
    let mut station = Station::new(ME);
    let lines = happen(&mut station, &From(broken.clone()), Millis(0));
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("alarm: the body is not a Dispatch"), "{}", lines[0]);
    assert_eq!(lines[1], "held 0/1");
    let next = doc(0, 2);
    check(
        [From(broken.clone()), From(next.clone())],
        answers(&[&broken, &next]),
        &["sent A 0/1", "answered 0/1", "answered 0/2", "presented 0/2 as 1"],
    );
}

#[test]
fn document_that_comes_again_in_a_new_incarnation_is_held_and_not_shown_twice() {
    let first = doc(0, 1);
    let again = from_a(1, 2, &Body::Dispatch(dispatch(A, 1)));
    let given =
        [From(first.clone()), answers(&[&first]), From(restored(1, 0, Some(place_of(&first, ME)), vec![]))];
    check(given.clone(), From(again.clone()), &["held 1/2"]);
    let given = given.into_iter().chain([From(again.clone())]);
    check(given, answers(&[&again]), &["sent A 0/2", "answered 1/2"]);
}

/// Whoever sends far ahead cannot make the hot state grow, and the missing one is always taken.
#[test]
fn too_far_ahead_is_not_taken_but_the_next_one_always_is() {
    let mut station = Station::new(ME);
    for counter in 0..AHEAD_MAX as u64 {
        station.take(Class::Received, &doc(0, counter + 3));
    }
    assert_eq!(station.receive(&doc(0, 1_000_000)), Reception::TooFarAhead);
    assert_eq!(station.receive(&doc(0, 2)), Reception::TooFarAhead);
    assert_eq!(station.receive(&doc(0, 5)), Reception::Repeat);
    assert_eq!(station.receive(&doc(0, 1)), Reception::New);
    station.take(Class::Received, &doc(0, 1));
    assert_eq!(station.receive(&doc(0, 2)), Reception::New);
    station.take(Class::Received, &doc(0, 2));
    assert_eq!(station.receive(&doc(0, 1_000_000)), Reception::New);
    let held = station.exchange.channel(&A, Incarnation::FIRST).expect("a channel").held;
    assert_eq!(held, Counter(AHEAD_MAX as u64 + 2));
}

#[test]
fn bad_news_of_a_signature_is_an_alarm_and_the_end_of_it_is_none() {
    let place = sent_place(&[sends(1)], 0, 1);
    let finds = |outcome| {
        let findings = vec![FindingCode { item: 1, outcome, reason: 1 }];
        let layers = vec![Layer { certificate: [1; 32], findings, lists: Vec::new() }];
        let judgement = Judgement { from: ME, place, layers, stamps: Vec::new(), open: true };
        From(from_a(0, 1, &Body::Verdict(Verdicts { entries: vec![judgement] })))
    };
    check([sends(1)], finds(Outcome::Undetermined), &["held 0/1", "alarm: A finds 1 Undetermined"]);
    check([sends(1)], finds(Outcome::Valid), &["held 0/1"]);
}
