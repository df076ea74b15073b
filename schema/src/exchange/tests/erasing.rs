//! When the content of a document may be erased, and that the records say so.

use super::working::{CLERK, LEADER, Pair, works};
use super::*;
use crate::body::{ErasedContent, Place};
use crate::handling::{BusinessKind, Erasure, ErasureGround, RefusalReason, Role};
use crate::id::BusinessId;
use crate::invariant;
use crate::time::Day;

fn erasure(ground: ErasureGround) -> Erasure {
    let (decision, reason) = ("15/QĐ-UBND, 02/01/2026".to_owned(), "Hết giá trị".to_owned());
    Erasure { ground, decision, reason }
}

fn erase_of(issuer: OfficeId, ground: ErasureGround) -> Work {
    Work::Erase { issuer, document: document(1), erasure: erasure(ground) }
}

fn erase(issuer: OfficeId) -> Work {
    erase_of(issuer, ErasureGround::Ordered)
}

fn arrival() -> Arrival {
    Arrival { from: ME, document: document(1) }
}

fn refuse() -> Work {
    Work::Refuse { arrival: arrival(), reason: RefusalReason::WrongAddressee, words: None }
}

fn is_erased(station: &Station) -> bool {
    sure(station.records.erased(&ME, &document(1))).is_some()
}

#[test]
fn erased_is_what_nobody_works_with_any_more() {
    let mut pair = Pair::arrived();
    let still_at_work = Err(WorkRefusal::StillAtWork { document: document(1) });
    assert_eq!(pair.receive(LEADER, erase(ME)), still_at_work, "nobody has accepted it");
    pair.receive(CLERK, super::working::register()).expect("registered");
    pair.receive(LEADER, super::working::assign()).expect("assigned");
    assert_eq!(pair.receive(LEADER, erase(ME)), still_at_work, "somebody works on it");
    pair.receive(LEADER, Work::Finish { arrival: arrival() }).expect("finished");
    pair.receive(LEADER, erase(ME)).expect("nobody works on it");
    assert!(is_erased(&pair.recipient));
    let again = Err(WorkRefusal::AlreadyErased { document: document(1) });
    assert_eq!(pair.receive(Role::Administrator, erase(ME)), again);
    invariant::replay_gives_live_state(pair.recipient.hash(), pair.recipient.replayed().hash()).expect("P7");
}

#[test]
fn what_was_registered_to_be_known_and_what_counts_no_more_may_be_erased() {
    let mut known = Pair::arrived();
    known.receive(CLERK, super::working::register()).expect("registered");
    known.receive(LEADER, erase(ME)).expect("nobody was to work on it");

    let mut refused = Pair::arrived();
    refused.receive(CLERK, refuse()).expect("refused");
    refused.receive(LEADER, erase(ME)).expect("it was sent back");

    let mut recalled = Pair::arrived().caught_up();
    let (business, reason) = (BusinessId::new([7; 16]), "Sai số liệu".to_owned());
    let (of, kind) = (Vec::new(), BusinessKind::Recall);
    let recall = Work::Ask { document: document(1), of, kind, business, reason };
    recalled.send(CLERK, recall).expect("recalled");
    assert_eq!(
        works(&mut recalled.sender, LEADER, erase(ME)).map(drop),
        Err(WorkRefusal::StillAtWork { document: document(1) }),
        "its sender waits for the confirmation"
    );
    recalled.settle();
    recalled = recalled.caught_up();
    recalled.receive(LEADER, erase(ME)).expect("it counts no more");
    works(&mut recalled.sender, LEADER, erase(ME)).expect("it was confirmed");
}

#[test]
fn asked_back_is_answered_before_it_is_erased() {
    let mut pair = Pair::arrived();
    pair.receive(CLERK, refuse()).expect("refused");
    let (business, reason) = (BusinessId::new([7; 16]), "Sai số liệu".to_owned());
    let (of, kind) = (Vec::new(), BusinessKind::TakeBack);
    pair.send(CLERK, Work::Ask { document: document(1), of, kind, business, reason }).expect("asked");
    pair.settle();
    assert_eq!(pair.receive(LEADER, erase(ME)), Err(WorkRefusal::StillAtWork { document: document(1) }));
}

#[test]
fn own_document_is_kept_until_every_recipient_has_it() {
    let mut pair = Pair::new();
    let on_its_way = Err(WorkRefusal::StillOnItsWay { document: document(1) });
    assert_eq!(works(&mut pair.sender, LEADER, erase(ME)).map(drop), on_its_way);
    pair = Pair::arrived().caught_up();
    works(&mut pair.sender, LEADER, erase(ME)).expect("its receipt is here");
    assert!(is_erased(&pair.sender) && !is_erased(&pair.recipient), "each office decides about its copy");
}

#[test]
fn retention_has_ended_or_somebody_has_ordered_it() {
    let mut pair = Pair::arrived();
    pair.receive(CLERK, refuse()).expect("refused");
    let today = Day::in_vietnam(context(&directory()).now);
    let kept = |kept_until| erase_of(ME, ErasureGround::RetentionEnded { kept_until });
    let refused = pair.receive(LEADER, kept(today));
    assert_eq!(refused, Err(WorkRefusal::StillKept { kept_until: today }), "its last day is not over");
    let yesterday = Day::from_days(today.days() - 1).expect("a day");
    pair.receive(LEADER, kept(yesterday)).expect("it is over");
}

#[test]
fn erasing_is_for_whoever_decides_it_and_names_its_ground() {
    let mut pair = Pair::arrived();
    pair.receive(CLERK, refuse()).expect("refused");
    for role in [CLERK, Role::Officer, Role::Auditor] {
        assert!(matches!(pair.receive(role, erase(ME)), Err(WorkRefusal::Role { .. })), "{role:?}");
    }
    let silent = Erasure { decision: " ".to_owned(), ..erasure(ErasureGround::Ordered) };
    let work = Work::Erase { issuer: ME, document: document(1), erasure: silent };
    assert!(matches!(pair.receive(LEADER, work), Err(WorkRefusal::Text(_))));
    let nowhere = Work::Erase { issuer: ME, document: document(9), erasure: erasure(ErasureGround::Ordered) };
    assert!(matches!(pair.receive(LEADER, nowhere), Err(WorkRefusal::NotHere { .. })));
    assert!(!is_erased(&pair.recipient));
}

/// What its sender has erased gets no receipt and is not shown; what waits behind it does not wait for the next event.
#[test]
fn what_waits_behind_erased_content_has_its_turn_at_once() {
    let (mut sender, mut recipient) = (Station::new(ME), Station::new(A));
    let sent =
        |sender: &mut Station, n| sender.record(&draft(&[A], &Body::Dispatch(dispatch(ME, n))), Millis(n)).0;
    let [first, second, third] = [1, 2, 3].map(|n| sent(&mut sender, n));
    for event in [&first, &second, &third] {
        recipient.take(Class::Received, event);
    }
    let [first, second, third] = [&first, &second, &third].map(|event| place_of(event, A));
    for receipt in sure(recipient.exchange.receipts(&recipient.records, ME, &[third], &BTreeMap::new())) {
        recipient.record(&receipt, Millis(4));
    }
    let says = |sender: &mut Station, entries: Vec<Place>| {
        let erased = Body::Status(Status::Erased(ErasedContent { entries }));
        sender.record(&draft(&[A], &erased), Millis(5)).0
    };
    let is_shown =
        |changes: &[Change]| changes.iter().any(|change| matches!(change, Change::Presented { .. }));
    // In whatever order they are named.
    let changes = recipient.take(Class::Received, &says(&mut sender, vec![second, first]));
    let shown = changes.iter().filter_map(|change| match change {
        Change::Presented { counter, in_order, .. } => Some((*counter, *in_order)),
        _ => None,
    });
    assert_eq!(shown.collect::<Vec<_>>(), [(third.counter, true)]);
    let again = recipient.take(Class::Received, &says(&mut sender, vec![first, third]));
    assert!(!is_shown(&again) && again.iter().all(|change| !matches!(change, Change::Forgone { .. })));
    invariant::replay_gives_live_state(recipient.hash(), recipient.replayed().hash()).expect("P7");
}

#[test]
fn erased_content_is_told_to_one_recipient_in_bounded_portions() {
    let station = Station::new(ME);
    let place = Place { incarnation: Incarnation::FIRST, counter: Counter(1), id: EventId::new([1; 32]) };
    let read = |to: &[OfficeId], entries: usize| {
        let erased = Body::Status(Status::Erased(ErasedContent { entries: vec![place; entries] }));
        Body::read(crate::event::VERSION, &station.exchange.next_event(&draft(to, &erased), Millis(1)))
    };
    assert!(read(&[A], 1).is_ok() && read(&[A], ENTRIES_MAX).is_ok());
    for (to, entries) in [(&[A][..], 0), (&[A], ENTRIES_MAX + 1), (&[A, B], 1), (&[], 1)] {
        assert!(read(to, entries).is_err(), "{} recipients, {entries} entries", to.len());
    }
}
