//! What could not be opened is tried again; what nobody can open any more is sealed anew.

mod sealed;
mod station;

use std::sync::Arc;

use node::sealing::{KeptKeys, Sealing};
use node::step::Input;
use schema::event::{Kind, key_id};
use schema::exchange::{Class, HeldRow, Records as _, SentRow};
use schema::id::{Counter, DocumentId, Incarnation, Position};
use schema::sealing::SealingKey;
use sealed::{DAY, Office, entries, introduce, pair, settle};
use station::{RECIPIENT, SENDER, office_id};

const DOCUMENT: DocumentId = DocumentId::new([7; 16]);
const SECOND: DocumentId = DocumentId::new([8; 16]);

fn other_keys(office: &Office, name: &str) -> Arc<KeptKeys> {
    Arc::new(KeptKeys::open_or_make(&office.folder.path().join(name)).expect("made"))
}

fn arrived(office: &Office, document: &DocumentId) -> Option<HeldRow> {
    office.node.store().incoming(&office_id(SENDER), document).expect("readable")
}

fn sent(office: &Office, counter: u64) -> SentRow {
    let row = office.node.store().sent(&office_id(RECIPIENT), Incarnation::FIRST, Counter(counter));
    row.expect("readable").expect("it was sent")
}

/// How often this document was put into an event for the recipient.
fn dispatches(office: &Office) -> usize {
    let entries = office.node.store().journal(Position(1), 1_000).expect("readable").into_iter();
    let own = entries.filter(|entry| entry.class == Class::Own);
    own.filter(|entry| entry.recorded().expect("sound").event.kind == Kind::Dispatch).count()
}

/// The threads that open had not heard of the key yet, or it was brought back by hand since.
#[test]
fn document_that_could_not_be_opened_is_taken_when_it_comes_again() {
    let (mut sender, mut recipient) = pair();
    let keys = Arc::clone(&recipient.keys);
    recipient.keys = other_keys(&recipient, "other.keys");
    sender.sends(DOCUMENT, &[RECIPIENT]);
    let message = sender.leaving.front().expect("it leaves").clone();
    settle(&mut sender, &mut recipient);
    assert!(arrived(&recipient, &DOCUMENT).is_none() && sent(&sender, 1).receipt.is_none());
    recipient.takes(&message);
    assert_eq!(entries(&recipient, Class::Opened), 0, "it is still closed");

    recipient.keys = keys;
    recipient.takes(&message);
    settle(&mut sender, &mut recipient);
    let held = arrived(&recipient, &DOCUMENT).expect("it is known");
    assert!(held.ordinal.is_some() && held.receipt.is_some() && held.judged.is_some(), "{held:?}");
    let sent = sent(&sender, 1);
    assert!(sent.receipt.is_some() && !sent.open, "{sent:?}");
    // Once: a further repeat gets the same receipt again.
    recipient.takes(&message);
    assert_eq!((entries(&recipient, Class::Unreadable), entries(&recipient, Class::Opened)), (1, 1));
    assert_eq!(dispatches(&sender), 1);
    recipient.replays();
    sender.replays();
}

/// An administrator brings the keys of a backup to a station that has received for days without them.
#[test]
fn what_could_not_be_opened_is_opened_at_the_next_start_with_the_right_keys() {
    let (mut sender, recipient) = pair();
    let keys = Arc::clone(&recipient.keys);
    let wrong = other_keys(&recipient, "other.keys");
    let mut recipient = recipient.restarted_with(wrong);
    let documents: Vec<DocumentId> = (0..20).map(|n| DocumentId::new([n + 1; 16])).collect();
    for document in &documents {
        sender.sends(*document, &[RECIPIENT]);
    }
    settle(&mut sender, &mut recipient);
    assert_eq!(entries(&recipient, Class::Unreadable), documents.len());
    // A start without them changes nothing, and comes to an end.
    let wrong = Arc::clone(&recipient.keys);
    let mut recipient = recipient.restarted_with(wrong);
    (0..4).for_each(|_| drop(recipient.step(vec![Input::Tick])));
    assert_eq!(entries(&recipient, Class::Opened), 0);
    assert!(recipient.node.wakeup() > Some(DAY), "it goes on trying");

    let mut recipient = recipient.restarted_with(keys);
    while recipient.node.wakeup().is_some_and(|at| at <= DAY) {
        recipient.step(vec![Input::Tick]);
    }
    settle(&mut sender, &mut recipient);
    for document in &documents {
        assert!(arrived(&recipient, document).is_some_and(|held| held.ordinal.is_some()), "{document}");
    }
    for counter in 1..=documents.len() as u64 {
        assert!(sent(&sender, counter).receipt.is_some(), "{counter}");
    }
    recipient.replays();
    sender.replays();
}

/// The disk and all backups of the recipient are gone. Its new station announces a new key; what was on its way under the lost one comes
/// sealed anew, and keeps nothing else from being shown.
#[test]
fn what_was_sealed_under_a_lost_key_is_sealed_anew() {
    let (mut sender, recipient) = pair();
    sender.sends(DOCUMENT, &[RECIPIENT]);
    let under_lost = sender.leaving.pop_front().expect("it leaves");
    drop(recipient);
    let mut recipient = Office::open(RECIPIENT, true);
    recipient.node.restored_by_tool(DAY).expect("a new life");
    recipient.takes(&under_lost);
    settle(&mut sender, &mut recipient);
    assert!(arrived(&recipient, &DOCUMENT).is_none());
    assert_eq!(dispatches(&sender), 1, "nobody has a newer key yet: sealing anew is of no use");

    introduce(&mut [&mut sender, &mut recipient]);
    assert_eq!(sender.registry.sealing_key(&office_id(RECIPIENT)), Some(recipient.keys.key()));
    sender.sends(SECOND, &[RECIPIENT]);
    settle(&mut sender, &mut recipient);
    // A minute later at the latest both have told each other what they hold.
    (sender.now, recipient.now) = (DAY.plus(61_000), DAY.plus(61_000));
    recipient.step(vec![Input::Tick]);
    settle(&mut sender, &mut recipient);
    let held = arrived(&recipient, &DOCUMENT).expect("it came, sealed anew");
    assert!(held.ordinal.is_some() && held.receipt.is_some(), "{held:?}");
    assert!(arrived(&recipient, &SECOND).is_some_and(|held| held.ordinal.is_some()), "it waits for nothing");
    assert_eq!(dispatches(&sender), 3, "each document once, and the first one once more");
    let lost = sent(&sender, 1);
    assert!(!lost.open && lost.superseded, "{lost:?}");
    sender.replays();
    recipient.replays();
}

/// A correspondent that cannot open what was sealed under its newest key is told nothing new, however often it says so.
#[test]
fn nothing_is_sealed_anew_under_the_same_key() {
    let (mut sender, mut recipient) = pair();
    let announced: SealingKey = recipient.keys.key();
    recipient.keys = other_keys(&recipient, "other.keys");
    sender.sends(DOCUMENT, &[RECIPIENT]);
    let message = sender.leaving.front().expect("it leaves").clone();
    for _ in 0..3 {
        recipient.takes(&message);
        settle(&mut sender, &mut recipient);
    }
    assert_eq!(sender.registry.sealing_key(&office_id(RECIPIENT)), Some(announced));
    let recorded = sender.node.store().recorded_at(sent(&sender, 1).position).expect("readable");
    assert_eq!(recorded.event.sealed_under(&office_id(RECIPIENT)), Some(key_id(&announced.0)));
    assert_eq!(dispatches(&sender), 1);
    assert!(sent(&sender, 1).open, "it is without a receipt, and shown so");
}
