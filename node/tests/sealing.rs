//! What an office says to another one is sealed on its way, and opened by that one only.

mod sealed;
mod station;

use std::sync::Arc;

use node::sealing::{KeptKeys, Sealing};
use node::step::Answer;
use schema::body::Body;
use schema::event::{Addressee, Event, Kind, seal};
use schema::exchange::{Alarm, Arrival, Class, Records as _, Refusal, Work};
use schema::handling::{RefusalReason, Side, Stage};
use schema::id::{Counter, DocumentId, Incarnation, Position};
use schema::pack::{Message, PackItem};
use sealed::{Office, SUBJECT, WORDS, bodies, holds, kinds, pair, settle};
use station::{NOT_ENROLLED, OTHER, RECIPIENT, SENDER, key, office_id};

#[test]
fn document_and_what_is_said_about_it_are_sealed_on_their_way() {
    let (mut sender, mut recipient) = pair();
    let document = DocumentId::new([7; 16]);
    let answer = sender.sends(document, &[RECIPIENT]);
    assert!(matches!(answer, Answer::Dispatched { .. }), "{answer:?}");
    let mut wire = settle(&mut sender, &mut recipient);
    let from = office_id(SENDER);
    let held = recipient.node.store().incoming(&from, &document).expect("readable").expect("it came");
    assert!(held.ordinal.is_some(), "it is shown");
    let refused = Work::Refuse {
        arrival: Arrival { from, document },
        reason: RefusalReason::WrongAddressee,
        words: Some(WORDS.to_owned()),
    };
    let answer = recipient.works(refused);
    assert!(matches!(answer, Answer::Done(_)), "{answer:?}");
    wire.extend(settle(&mut recipient, &mut sender));
    for message in &wire {
        for text in [SUBJECT, WORDS, "Lò Thị Mai", "Vàng A Sáng"] {
            assert!(!holds(message, text), "`{text}` is readable on the wire");
        }
        for (kind, sealed) in kinds(message) {
            assert_eq!(sealed, kind.is_sealed(), "{kind:?}");
        }
    }
    let case = sender.node.store().case(&office_id(RECIPIENT), &document, Side::Sender).expect("readable");
    assert_eq!(case.expect("it is known").progress.stage(), Stage::Refused);
    for office in [&sender, &recipient] {
        office.replays();
        let mut contents = 0;
        for entry in office.node.store().journal(Position(1), 1_000).expect("readable") {
            let recorded = entry.recorded().expect("sound");
            assert!(!recorded.event.is_unopened(), "{recorded:?}");
            contents += usize::from(entry.content.is_some());
            assert!(Body::read(recorded.version, &recorded.event).is_ok());
        }
        assert!(contents >= 2, "document and refusal: {contents}");
    }
}

/// A content in the store that was changed by hand is found by whoever reads the journal.
#[test]
fn content_beside_the_journal_is_bound_to_its_event() {
    let (mut sender, _recipient) = pair();
    sender.sends(DocumentId::new([7; 16]), &[RECIPIENT]);
    let entries = sender.node.store().journal(Position(1), 1_000).expect("readable");
    let mut entry = entries.into_iter().find(|entry| entry.content.is_some()).expect("a sealed one");
    assert!(entry.recorded().is_ok());
    let content = entry.content.as_mut().expect("a content");
    let at = content.len() - 1;
    content[at] ^= 1;
    assert!(entry.recorded().is_err());
}

/// P11: nothing goes out in the clear because a relay has withheld an announcement.
#[test]
fn document_for_an_office_without_a_known_key_is_refused() {
    let (mut sender, _recipient) = pair();
    let before = sender.node.exchange().seq();
    let answer = sender.sends(DocumentId::new([7; 16]), &[RECIPIENT, OTHER]);
    let office = office_id(OTHER);
    assert!(
        matches!(&answer, Answer::Refused(Refusal::NoSealingKey { office: named }) if *named == office),
        "{answer:?}"
    );
    assert_eq!(sender.node.exchange().seq(), before, "nothing was recorded");
    assert!(sender.leaving.is_empty());
    // Where the settings allow it, it goes in the clear, to all of them alike.
    let mut open = Office::open(SENDER, false);
    let answer = open.sends(DocumentId::new([7; 16]), &[RECIPIENT, OTHER]);
    assert!(matches!(answer, Answer::Dispatched { .. }), "{answer:?}");
    assert!(open.leaving.iter().any(|message| holds(message, SUBJECT)));
}

/// P6: what nobody there can read has not arrived; it is kept as evidence that something came, and told.
#[test]
fn document_that_cannot_be_opened_gets_no_receipt() {
    let (mut sender, mut recipient) = pair();
    let other = KeptKeys::open_or_make(&recipient.folder.path().join("other.keys"));
    recipient.keys = Arc::new(other.expect("another key"));
    let document = DocumentId::new([7; 16]);
    sender.sends(document, &[RECIPIENT]);
    settle(&mut sender, &mut recipient);
    let from = office_id(SENDER);
    let held = recipient.node.store().incoming(&from, &document).expect("readable");
    assert!(held.is_none(), "nobody knows which document it is");
    let sent = sender.node.store().sent(&office_id(RECIPIENT), Incarnation::FIRST, Counter(1));
    let sent = sent.expect("readable").expect("it was sent");
    assert_eq!(sent.receipt, None, "it was receipted: {sent:?}");
    let alarms = recipient.node.store().alarms().expect("readable");
    assert!(alarms.iter().any(|alarm| matches!(alarm, Alarm::BodyRefused { .. })), "{alarms:?}");
    let entries = recipient.node.store().journal(Position(1), 1_000).expect("readable");
    assert!(entries.iter().any(|entry| entry.class == Class::Unreadable && entry.content.is_none()));
    recipient.replays();
}

/// Whoever opened something may encrypt it anew and commit to it in an event of its own: the content still says who said it, and to
/// whom. A status, because a document names its issuing office besides.
#[test]
fn recipient_cannot_pass_on_what_was_said_as_if_it_had_said_so() {
    let (mut sender, mut recipient) = pair();
    let (document, from) = (DocumentId::new([7; 16]), office_id(SENDER));
    sender.sends(document, &[RECIPIENT]);
    settle(&mut sender, &mut recipient);
    let reason = RefusalReason::WrongAddressee;
    let words = Some(WORDS.to_owned());
    recipient.works(Work::Refuse { arrival: Arrival { from, document }, reason, words });
    settle(&mut recipient, &mut sender);
    let mut entries = sender.node.store().journal(Position(1), 1_000).expect("readable").into_iter();
    let refusal = entries.find(|entry| entry.class == Class::Received && entry.content.is_some());
    let refusal = refusal.expect("the refusal").recorded().expect("sound").event;
    assert_eq!(refusal.kind, Kind::Status);
    let content = refusal.content.clone().expect("opened");
    let anew = sender.keys.seal(content.bytes(), &[recipient.keys.key()]).expect("sealed");
    let clear = Event {
        office: from,
        seq: sender.node.exchange().seq().next(),
        to: vec![Addressee { office: office_id(RECIPIENT), counter: Counter(50) }],
        ..refusal
    };
    let forged = seal(clear.with_sealed_body(content, anew), &key(SENDER)).expect("signed");
    recipient.takes(&Message::Pack(vec![PackItem::new(0, forged.bytes())]).encode());
    let said = recipient.node.store().case(&from, &document, Side::Sender).expect("readable");
    assert!(said.is_none(), "it was taken for a word of the one that passed it on");
    let alarms = recipient.node.store().alarms().expect("readable");
    assert!(
        alarms.iter().any(|alarm| matches!(alarm, Alarm::BodyRefused { .. })),
        "nobody was told: {alarms:?}"
    );
}

/// A sender that was off line, or a relay that was slow, seals under the key that was: nothing of that is lost.
#[test]
fn what_was_sealed_before_and_while_a_key_was_renewed_is_read_and_later_only_under_the_new_one() {
    let (mut sender, mut recipient) = pair();
    let old = recipient.keys.held();
    let documents = [7, 8, 9].map(|n| DocumentId::new([n; 16]));
    let mut wire = Vec::new();
    sender.sends(documents[0], &[RECIPIENT]);
    wire.extend(sender.leaving.drain(..));

    let (items, said) = recipient.renews();
    assert!(said && items.len() == 1, "it is announced in the same step: {items:?}");
    assert_ne!(recipient.keys.key(), old.key());
    assert_eq!(recipient.says_so(), (Vec::new(), true), "once is enough");
    sender.sends(documents[1], &[RECIPIENT]);
    wire.extend(sender.leaving.drain(..));
    recipient.hears(&items);
    sender.hears(&items);
    assert_eq!(sender.registry.sealing_key(&office_id(RECIPIENT)), Some(recipient.keys.key()));
    assert!(recipient.announces().is_empty(), "announced again");
    sender.sends(documents[2], &[RECIPIENT]);
    wire.extend(sender.leaving.drain(..));

    let mut sealed: Vec<Vec<u8>> = Vec::new();
    for body in wire.iter().flat_map(|message| bodies(message)) {
        // What had no receipt was offered again when the other key was heard of.
        if !sealed.contains(&body) {
            sealed.push(body);
        }
    }
    let opened: Vec<bool> = sealed.iter().map(|body| old.open(body, 2).is_ok()).collect();
    assert_eq!(opened, [true, true, false], "under which key each was sealed");
    assert!(sealed.iter().all(|body| recipient.keys.open(body, 2).is_ok()));
    // The newest comes first.
    wire.iter().rev().for_each(|message| recipient.takes(message));
    let from = office_id(SENDER);
    for document in &documents {
        let held = recipient.node.store().incoming(&from, document).expect("readable");
        assert!(held.is_some_and(|held| held.ordinal.is_some()), "{document} is not shown");
    }
    settle(&mut recipient, &mut sender);
    for counter in 1..=3 {
        let sent = sender.node.store().sent(&office_id(RECIPIENT), Incarnation::FIRST, Counter(counter));
        assert!(sent.expect("readable").expect("sent").receipt.is_some(), "document {counter}");
    }
    recipient.replays();
    sender.replays();
}

/// A crash between the file and the chain: the next start, or whoever asks again, says what the file holds.
#[test]
fn renewed_key_that_was_not_announced_is_announced_later_and_until_then_nobody_seals_under_it() {
    let (mut sender, mut recipient) = pair();
    let old = recipient.keys.key();
    recipient.keys.renew().expect("room");
    assert_eq!(recipient.registry.sealing_key(&office_id(RECIPIENT)), Some(old));
    sender.sends(DocumentId::new([7; 16]), &[RECIPIENT]);
    settle(&mut sender, &mut recipient);
    let items = recipient.announces();
    assert_eq!(items.len(), 1);
    sender.hears(&items);
    assert_eq!(sender.registry.sealing_key(&office_id(RECIPIENT)), Some(recipient.keys.key()));
    let from = office_id(SENDER);
    let held = recipient.node.store().incoming(&from, &DocumentId::new([7; 16])).expect("readable");
    assert!(held.is_some());
}

/// An office whose signing key does not count would not be believed.
#[test]
fn renewed_key_waits_for_a_signing_key_that_counts() {
    let mut uncertified = Office::open(NOT_ENROLLED, true);
    assert_eq!(uncertified.renews(), (Vec::new(), false));
    assert_eq!(uncertified.node.exchange().seq().0, 0, "something was recorded");
}

/// A station that was put back from a copy that knows an earlier key only has others seal under that one again: what it cannot open
/// is of no use to it.
#[test]
fn station_that_has_lost_its_newest_key_announces_the_one_that_it_has() {
    let (mut sender, mut recipient) = pair();
    let first = recipient.folder.path().join("first.keys");
    recipient.keys.held().write(&first).expect("written");
    let (items, _) = recipient.renews();
    recipient.hears(&items);
    sender.hears(&items);
    let copy = Arc::new(KeptKeys::open_or_make(&first).expect("read"));
    let Office { n, node, registry, leaving, deliveries, tickets, folder, now, .. } = recipient;
    let node = node.with_sealing(Arc::clone(&copy) as _, true);
    let mut recipient = Office { n, node, keys: copy, registry, leaving, deliveries, tickets, folder, now };
    let items = recipient.announces();
    assert_eq!(items.len(), 1);
    sender.hears(&items);
    assert_eq!(sender.registry.sealing_key(&office_id(RECIPIENT)), Some(recipient.keys.key()));
}
