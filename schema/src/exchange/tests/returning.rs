//! What was lost with the disk, and comes back.

use super::*;

/// A correspondent that holds these events of station `author`, complete.
fn holder(author: OfficeId, events: &[VerifiedEvent]) -> Station {
    let mut holder = Station::new(author);
    let places: Vec<Place> = events.iter().map(|event| place_of(event, author)).collect();
    for event in events {
        holder.take(Class::Received, event);
    }
    holder.record(
        &draft(
            &[A],
            &Body::Receipt(Receipt { entries: places, heads: Heads::default(), stamps: Vec::new() }),
        ),
        Millis(5),
    );
    holder
}

fn gives_back(holder: &Station, ask: &Ask) -> Vec<Returned> {
    let read = |position| {
        let event = holder.at(position);
        Ok((event.bytes().to_vec(), event.event().blobs.clone()))
    };
    let drafts = sure(holder.exchange.give_back(&holder.records, A, ask, read));
    let body = |draft: &Draft| {
        let event = holder.exchange.next_event(draft, Millis(9));
        match Body::read(1, &event) {
            Ok(Body::Returned(returned)) => returned,
            other => unreachable!("a draft that gives back holds {other:?}"),
        }
    };
    drafts.iter().map(body).collect()
}

#[test]
fn what_a_correspondent_holds_and_the_author_lost_is_asked_for_and_given_back() {
    let lost: Vec<VerifiedEvent> = (1..=3).map(|counter| doc(0, counter)).collect();
    let holder = holder(ME, &lost);
    // The author was restored to its very beginning, and lives on in a new incarnation.
    let mut author = Station::new(A);
    let raised = sure(author.exchange.raise(&author.records, Incarnation::FIRST, 0, RestoreReason::Tool));
    author.record(&raised[0], Millis(1));
    let heads = sure(holder.exchange.heads(&holder.records, &A));
    let asks = sure(author.exchange.lost(&author.records, &ME, &heads));
    let (from, to) = (Counter(1), Counter(3));
    assert_eq!(asks, [Ask { incarnation: Incarnation::FIRST, from, to, whole: true }]);

    let given = gives_back(&holder, &asks[0]);
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].through, Counter(3));
    let back: Vec<&[u8]> = given[0].events.iter().map(|event| event.as_slice()).collect();
    assert_eq!(back, lost.iter().map(VerifiedEvent::bytes).collect::<Vec<_>>());

    for event in &lost {
        author.take(Class::Regained, event);
    }
    assert_eq!(author.records.sent_rows().filter(|row| row.open && row.regained).count(), 3);
    assert!((1..=3).all(|n| sure(author.records.knows_outgoing(&document(n)))));
    assert_eq!(author.replayed().hash(), author.hash(), "P7");
}

#[test]
fn answer_to_a_question_of_an_earlier_life_hides_nothing_that_is_lost_now() {
    let lost: Vec<VerifiedEvent> = (1..=3).map(|counter| doc(0, counter)).collect();
    let holder = holder(ME, &lost);
    let heads = sure(holder.exchange.heads(&holder.records, &A));
    let mut author = Station::new(A);
    let raised = sure(author.exchange.raise(&author.records, Incarnation::FIRST, 0, RestoreReason::Tool));
    author.record(&raised[0], Millis(1));
    // An earlier life knew the first two and asked for the third.
    let asked = Ask { incarnation: Incarnation::FIRST, from: Counter(3), to: Counter(3), whole: true };
    for (counter, ask) in [(1, asked), (2, Ask { from: Counter(1), ..asked })] {
        let expected = Ask { from: Counter(1), ..asked };
        assert_eq!(sure(author.exchange.lost(&author.records, &ME, &heads)), [expected]);
        let answer = Returned { ask, through: Counter(3), events: Vec::new() };
        let body = Body::Returned(answer).encode().expect("a known kind");
        author.take(Class::Received, &sealed(event(ME, A, 0, counter, Kind::Returned, body)));
    }
    assert_eq!(sure(author.exchange.lost(&author.records, &ME, &heads)), [], "now it has answered for all");
}

#[test]
fn correspondent_that_was_restored_is_asked_again() {
    let mut author = Station::new(A);
    let raised = sure(author.exchange.raise(&author.records, Incarnation::FIRST, 0, RestoreReason::Tool));
    author.record(&raised[0], Millis(1));
    let ask = Ask { incarnation: Incarnation::FIRST, from: Counter(1), to: Counter(3), whole: true };
    // It was put back to before anything had come, and says so; then to after.
    let nothing = Returned { ask, through: Counter(3), events: Vec::new() };
    let body = Body::Returned(nothing).encode().expect("a known kind");
    author.take(Class::Received, &sealed(event(ME, A, 1, 1, Kind::Returned, body)));
    let held = Place { incarnation: Incarnation::FIRST, counter: Counter(3), id: EventId::new([3; 32]) };
    let heads = Heads { held: vec![held], ..Heads::default() };
    assert_eq!(sure(author.exchange.lost(&author.records, &ME, &heads)), []);
    let body = Body::Head(heads.clone()).encode().expect("a known kind");
    author.take(Class::Received, &sealed(event(ME, A, 2, 1, Kind::Head, body)));
    assert_eq!(sure(author.exchange.lost(&author.records, &ME, &heads)), [ask]);
}

#[test]
fn document_without_its_attachments_is_not_given_back() {
    let mut holder = holder(ME, &[doc(0, 1)]);
    holder.take(Class::Received, &doc(0, 2));
    let ask = Ask { incarnation: Incarnation::FIRST, from: Counter(1), to: Counter(2), whole: true };
    let given = gives_back(&holder, &ask);
    assert_eq!((given[0].events.len(), given[0].through), (1, Counter(2)));
}

#[test]
fn hostile_ask_costs_a_bounded_number_of_look_ups() {
    let holder = holder(ME, &[doc(0, 1)]);
    let ask = Ask { incarnation: Incarnation::FIRST, from: Counter(1), to: Counter(u64::MAX), whole: true };
    let given = gives_back(&holder, &ask);
    assert_eq!((given.len(), given[0].through), (1, Counter(4_097)), "the author asks on from there");
}

#[test]
fn receipt_that_came_before_its_event_was_known_again_settles_it() {
    let lost = from_me_to_a(7);
    let place = place_of(&lost, A);
    let given = [Raised(0, RestoreReason::Tool), From(receipt(0, 1, &[place], &[]))];
    let mut station =
        check([Raised(0, RestoreReason::Tool)], given[1].clone(), &["held 0/1", "early receipt for 0/7"]);
    let changes: Vec<String> = station.take(Class::Regained, &lost).iter().map(line).collect();
    assert_eq!(changes, ["regained 7", "sent A 0/7", "receipted 0/7"]);
    assert_eq!(station.replayed().hash(), station.hash(), "P7");
}

#[test]
fn place_that_was_taken_since_is_kept_and_the_document_listed_all_the_same() {
    let mut station = Station::new(ME);
    happen(&mut station, &sends(1), Millis(1));
    happen(&mut station, &Raised(0, RestoreReason::Correspondent), Millis(2));
    let other = from_me_to_a(1);
    let changes: Vec<String> = station.take(Class::Regained, &other).iter().map(line).collect();
    assert_eq!(changes, ["regained 1"], "what stands at its place stays");
}

#[test]
fn what_stands_beyond_a_gap_that_stays_is_told() {
    let mut station = Station::new(ME);
    station.take(Class::Received, &doc(0, 3));
    station.take(Class::Received, &restored(1, 0, None, vec![]));
    let heads = heads_told(&mut station, Millis(3));
    assert_eq!(heads.strays, [place_of(&doc(0, 3), ME)]);
    // Its author, which knows nothing of it, asks for just that one.
    let mut author = Station::new(A);
    let raised = sure(author.exchange.raise(&author.records, Incarnation::FIRST, 0, RestoreReason::Tool));
    author.record(&raised[0], Millis(1));
    let asks = sure(author.exchange.lost(&author.records, &ME, &heads));
    let single = Ask { incarnation: Incarnation::FIRST, from: Counter(3), to: Counter(3), whole: false };
    assert!(asks.contains(&single), "{asks:?}");
}
