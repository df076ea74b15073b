//! New incarnations: of this station and of its correspondents.

use super::*;

#[test]
fn new_incarnation_supersedes_what_is_open_and_tells_every_correspondent() {
    let given = [sends(1), Own(draft(&[B], &Body::Dispatch(dispatch(ME, 2))))];
    let station = check(
        given,
        Raised(0, RestoreReason::Correspondent),
        &["superseded before 1", "alarm: restored to 1", "sent A 1/1", "sent B 1/1"],
    );
    let superseded = station.records.sent_rows().filter(|row| row.superseded && !row.open);
    assert_eq!(superseded.count(), 2);
    assert_eq!(station.exchange.seq(), Seq(2));
    assert_eq!(station.exchange.raised_at(), [Millis(1_000)]);
}

#[test]
fn new_incarnation_is_above_the_one_a_correspondent_knows() {
    let station = check(
        [sends(1)],
        Raised(4, RestoreReason::Tool),
        &["superseded before 5", "alarm: restored to 5", "sent A 5/1"],
    );
    assert_eq!(station.exchange.raised_at(), [], "a person's decision is not counted");
}

#[test]
fn delayed_head_does_not_tell_of_going_back() {
    let given = [sends(1), sends(2)];
    let (first, second) = (sent_place(&given, 0, 1), sent_place(&given, 0, 2));
    check(given.clone(), From(head(0, 5, &[first])), &["held 0/5"]);
    // Also not when the station is in a new incarnation by now, and even if it never sent that.
    let given: Vec<Fact> = given.into_iter().chain([Raised(0, RestoreReason::Correspondent)]).collect();
    check(given.clone(), From(head(0, 6, &[second])), &["held 0/6"]);
    check(given, From(head(0, 6, &[invented(0, 3)])), &["held 0/6", "alarm: lost here 0/3"]);
}

#[test]
fn head_that_knows_more_tells_of_going_back() {
    check([sends(1)], From(head(0, 1, &[invented(0, 2)])), &["held 0/1", "told of 0"]);
    check([sends(1)], From(head(0, 1, &[invented(3, 1)])), &["held 0/1", "told of 3"]);
}

#[test]
fn what_is_held_without_its_attachments_tells_of_going_back_too() {
    let place = invented(0, 2);
    let says = |heads| From(from_a(0, 1, &Body::Head(heads)));
    let incomplete = Heads { incomplete: vec![place], ..Heads::default() };
    check([sends(1)], says(incomplete), &["held 0/1", "told of 0"]);
    let stray = Heads { strays: vec![place], ..Heads::default() };
    check([sends(1)], says(stray), &["held 0/1", "told of 0"]);
}

#[test]
fn head_that_says_another_event_was_sent_than_is_held_is_contradicted() {
    let held = doc(0, 1);
    let station = check([From(held.clone())], From(doc(0, 2)), &["held 0/2 document"]);
    let says = |sent| {
        let body = Body::Head(Heads { sent, ..Heads::default() });
        sure(station.exchange.contradicted(&station.records, &A, &body))
    };
    assert_eq!(says(Some(invented(0, 1))), Some(place_of(&held, ME)));
    assert_eq!(says(Some(place_of(&held, ME))), None);
    assert_eq!(says(Some(invented(0, 3))), None);
    assert_eq!(says(None), None);
}

#[test]
fn invented_incarnations_are_not_followed_to_the_end_of_the_numbers() {
    check([sends(1)], From(head(0, 1, &[invented(u32::MAX, 1)])), &["held 0/1"]);
    check([sends(1)], From(head(0, 1, &[invented(INCARNATIONS_LOST_MAX, 1)])), &["held 0/1", "told of 1024"]);
}

#[test]
fn station_starts_incarnations_by_itself_a_few_times_a_day_only() {
    let mut station = Station::new(ME);
    happen(&mut station, &sends(1), Millis(0));
    for n in (0..).take(RAISES_MAX) {
        let at = Millis(u64::from(n));
        assert!(station.exchange.may_raise(at));
        happen(&mut station, &Raised(n, RestoreReason::Correspondent), at);
    }
    assert!(!station.exchange.may_raise(Millis(RAISE_WINDOW_MS - 1)));
    assert!(station.exchange.may_raise(Millis(RAISE_WINDOW_MS)));
    happen(&mut station, &Raised(9, RestoreReason::Correspondent), Millis(RAISE_WINDOW_MS));
    assert_eq!(station.exchange.raised_at().len(), RAISES_MAX, "the list is bounded");
}

#[test]
fn sender_restored_ends_its_channel_and_shows_what_waited() {
    let (first, third) = (doc(0, 1), doc(0, 3));
    let given = [From(first.clone()), From(third.clone()), answers(&[&first, &third])];
    let lost_two = restored(1, 0, Some(place_of(&first, ME)), vec![]);
    let station = check(
        given,
        From(lost_two),
        &["held 1/1", "presented 0/3 as 2", "alarm: office restored to 1, lost 1"],
    );
    let channel = station.exchange.channel(&A, Incarnation::FIRST).expect("a channel");
    assert!(channel.ended && !channel.has_gap());
}

/// P3: what comes after the end of its incarnation is marked, because later ones were shown already.
#[test]
fn late_document_of_an_ended_incarnation_is_shown_and_marked() {
    let (first, second, third) = (doc(0, 1), doc(0, 2), doc(0, 3));
    let given = [
        From(first.clone()),
        From(third.clone()),
        answers(&[&first, &third]),
        From(restored(1, 0, None, vec![])),
        From(second.clone()),
    ];
    let station =
        check(given, answers(&[&second]), &["sent A 0/2", "answered 0/2", "presented 0/2 as 3 out of order"]);
    assert_eq!(crate::invariant::order_is_kept(station.records.held_rows()), Ok(()));
}

/// A copy that a courier brings after the sender's new incarnation has begun: nothing before it will ever come,
/// and the event that carries the document anew is known as a repeat. It must not wait.
#[test]
fn first_document_of_an_incarnation_that_is_over_does_not_wait_for_a_turn() {
    let second = doc(0, 2);
    let given = [From(restored(1, 0, None, vec![])), From(second.clone())];
    check(given, answers(&[&second]), &["sent A 0/1", "answered 0/2", "presented 0/2 as 1 out of order"]);
}

#[test]
fn sender_that_forgot_this_station_is_flagged_by_its_new_incarnation() {
    let (first, third) = (doc(0, 1), doc(0, 3));
    let given = [From(first.clone()), From(third.clone()), answers(&[&first, &third])];
    check(
        given,
        From(doc(1, 1)),
        &["held 1/1 document", "presented 0/3 as 2", "alarm: office restored to 1, lost 2"],
    );
}

#[test]
fn incarnations_lost_in_between_count_as_lost_there() {
    let given = [From(doc(0, 1)), From(restored(1, 0, None, vec![])), From(doc(1, 2))];
    let last = place_of(&doc(0, 1), ME);
    check(
        given,
        From(restored(2, 0, Some(last), vec![])),
        &["held 2/1", "alarm: office restored to 2, lost 2"],
    );
}

/// One hostile counter must not cost a walk over all the numbers below it.
#[test]
fn channel_with_an_absurd_counter_ends_at_once() {
    let far = doc(0, crate::event::NUMBER_MAX);
    check(
        [From(far.clone()), answers(&[&far])],
        From(restored(1, 0, None, vec![])),
        &[
            "held 1/1",
            &format!("presented 0/{} as 1", crate::event::NUMBER_MAX),
            "alarm: office restored to 1, lost 1",
        ],
    );
}

#[test]
fn only_the_newest_incarnations_stay_in_the_hot_state_and_nothing_waits_in_the_others() {
    let mut given = vec![From(doc(0, 2)), answers(&[&doc(0, 2)])];
    // Their beginnings are missing, so nothing ends the first one but its age.
    let newest = u32::try_from(CHANNELS_MAX).expect("a few");
    given.extend((1..newest).map(|incarnation| From(doc(incarnation, 2))));
    let station = check(
        given.clone(),
        From(doc(newest, 2)),
        &[&format!("held {newest}/2 document"), "presented 0/2 as 1"],
    );
    assert_eq!(station.exchange.peer(&A).expect("a peer").channels.len(), CHANNELS_MAX);
    given.push(From(doc(newest, 2)));
    check(given.clone(), From(doc(0, 2)), &["Repeat"]);
    // A straggler of an incarnation that left the hot state.
    let late = doc(0, 1);
    given.push(From(late.clone()));
    let station =
        check(given, answers(&[&late]), &["sent A 0/2", "answered 0/1", "presented 0/1 as 2 out of order"]);
    assert_eq!(station.exchange.peer(&A).expect("a peer").channels.len(), CHANNELS_MAX);
    let heads = sure(station.exchange.heads(&station.records, &A));
    assert!(heads.held.len() <= crate::body::HELD_MAX);
}

/// Both sides went back: the correspondent holds another event where this station has its own.
#[test]
fn documents_after_the_place_where_histories_part_are_sent_anew_once() {
    let given = [sends(1), sends(2), greets(), sends(3)];
    let places: Vec<Place> = (1..=4).map(|counter| sent_place(&given, 0, counter)).collect();
    let mut station = Station::new(ME);
    let settled = From(receipt(0, 1, &[places[0], places[1], places[3]], &[]));
    let back = Raised(0, RestoreReason::Tool);
    for (n, fact) in given.into_iter().chain([settled, back]).enumerate() {
        happen(&mut station, &fact, Millis(n as u64));
    }
    let to_send_to = |station: &Station, theirs: u32, held: &[Place]| -> Vec<u64> {
        let heads = Heads { held: held.to_vec(), ..Heads::default() };
        let theirs = Incarnation::new(theirs, 0);
        let rows = sure(station.exchange.to_send_anew(&station.records, &A, theirs, &heads));
        rows.iter().map(|row| row.place.counter.0).collect()
    };
    let to_send = |station: &Station, held: &[Place]| to_send_to(station, 0, held);
    assert_eq!(to_send(&station, &[places[3], invented(0, 2)]), [0; 0], "the newest place is known");
    assert_eq!(
        to_send_to(&station, 1, &[places[3], invented(0, 2)]),
        [2],
        "the receipt is of its earlier life"
    );
    assert_eq!(to_send(&station, &[]), [0; 0], "what is not held at all is refilled as it is");
    assert_eq!(to_send(&station, &[invented(0, 4), places[0]]), [2, 4]);
    assert_eq!(to_send(&station, &[invented(0, 4)]), [1, 2, 4], "no common place is named");
    let entries =
        [2, 4].map(|counter| SentPlace { to: A, incarnation: Incarnation::FIRST, counter: Counter(counter) });
    let drafts = station.exchange.status_drafts(TransportCode::SentAnew, &entries, None, None);
    let lines = happen(&mut station, &Own(drafts[0].clone()), Millis(1));
    assert_eq!(lines, ["sent anew 0/2", "sent anew 0/4"]);
    assert_eq!(to_send(&station, &[invented(0, 4), places[0]]), [0; 0], "once");
    assert_eq!(station.replayed().hash(), station.hash(), "P7");
}

#[test]
fn head_names_what_is_held_where_two_lives_of_its_author_contradict_each_other() {
    let mut station = Station::new(ME);
    for counter in 1..=9 {
        station.take(Class::Received, &doc(0, counter));
    }
    let held = place_of(&doc(0, 2), ME);
    assert!(!heads_told(&mut station, Millis(1)).held.contains(&held));
    station.take(Class::Evidence, &from_a(0, 2, &Body::Dispatch(dispatch(A, 77))));
    assert!(heads_told(&mut station, Millis(2)).held.contains(&held));
    // What stands beyond a gap is not held to the end.
    station.take(Class::Received, &doc(0, 11));
    station.take(Class::Evidence, &from_a(0, 11, &Body::Dispatch(dispatch(A, 78))));
    assert!(!heads_told(&mut station, Millis(3)).held.contains(&place_of(&doc(0, 11), ME)));
    assert_eq!(station.replayed().hash(), station.hash(), "P7");
}

#[test]
fn head_samples_an_ended_incarnation_ever_farther_back() {
    let mut station = Station::new(ME);
    for counter in 1..=100 {
        station.take(Class::Received, &doc(0, counter));
    }
    let counters = |station: &Station| -> Vec<(u64, u64)> {
        let heads = sure(station.exchange.heads(&station.records, &A));
        heads.held.iter().map(|place| (place.incarnation.ordinal(), place.counter.0)).collect()
    };
    assert_eq!(counters(&station), [(0, 100)]);
    station.take(Class::Received, &restored(1, 0, None, vec![]));
    assert_eq!(counters(&station), [(0, 100), (0, 99), (0, 96), (0, 84), (0, 36), (1, 1)]);
}

#[test]
fn refused_by_a_relay_is_an_alarm_with_its_words() {
    let mut station = Station::new(ME);
    happen(&mut station, &sends(1), Millis(0));
    let entries = [SentPlace { to: A, incarnation: Incarnation::FIRST, counter: Counter(1) }];
    let drafts = station.exchange.status_drafts(TransportCode::RefusedByRelay, &entries, None, Some("quota"));
    assert_eq!(happen(&mut station, &Own(drafts[0].clone()), Millis(1)), ["alarm: refused 1: quota"]);
    assert!(station.records.sent_rows().all(|row| row.open));
}

/// Two lives after the same backup: neither knows of the other, and no event of one stands for one of the other.
#[test]
fn station_restored_twice_from_one_backup_lives_two_incarnations() {
    let station = Station::new(ME);
    let lives: Vec<Incarnation> = [7, 8]
        .map(|branch| {
            let drafts =
                station.exchange.raise(&station.records, Incarnation::FIRST, branch, RestoreReason::Tool);
            sure(drafts)[0].incarnation
        })
        .to_vec();
    assert_ne!(lives[0], lives[1]);
    assert!(lives.iter().all(|life| life.ordinal() == 1));
}
