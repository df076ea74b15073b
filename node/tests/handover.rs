//! A merged office hands its sealing keys over to its successor: signed, dated, sealed, and only where the directory says so.

mod sealed;
mod station;

use std::fs;
use std::sync::Arc;

use node::sealing::{KeptKeys, Sealing, open_contents};
use node::step::Answer;
use node::store::{HandedOver, Reader, StatusView};
use schema::body::{Body, KeyAnnouncement};
use schema::event::{Addressee, Event, Kind, Verifier, seal};
use schema::exchange::{Alarm, Class, Command, Records as _, Refusal};
use schema::handling::{Actor, Role, Rules};
use schema::id::{Counter, DocumentId, Incarnation, Position};
use schema::inbound;
use schema::pack::{Message, PackItem};
use schema::registry::Item;
use sealed::{DAY, Office, SUBJECT, entries, holds, introduce, known_with, settle, succession};
use station::certified::Registrar;
use station::{OTHER, RECIPIENT, SENDER, directory_with, key, office_id};

const DOCUMENT: DocumentId = DocumentId::new([7; 16]);

fn administrator() -> Option<Actor> {
    Some(Actor { name: "Hạng A Dơ".to_owned(), role: Role::Administrator })
}

fn hands_over(from: &mut Office, to: &Office, by: Option<Actor>) -> Answer {
    let keys = from.keys.held();
    let keyring = keys.handed_to(to.keys.key()).expect("sealed");
    from.asks(Command::HandOver { by, to: office_id(to.n), newest: keys.key(), keyring })
}

fn status(office: &Office) -> StatusView {
    let reader = Reader::open(&office.folder.path().join("tram.db")).expect("a store");
    reader.status(DAY).expect("readable")
}

fn secrets(office: &Office) -> Vec<String> {
    let file = fs::read_to_string(office.folder.path().join("sealing.keys")).expect("read");
    file.lines().filter(|line| line.starts_with("AGE-SECRET-KEY-")).map(str::to_owned).collect()
}

/// A message as a station of that office would have sent it, whatever its rules say.
fn forged(from: &Office, to: &Office, counter: u64) -> Vec<u8> {
    let keys = from.keys.held();
    let said = KeyAnnouncement::handing_over(keys.key(), keys.handed_to(to.keys.key()).expect("sealed"));
    let event = Event {
        office: office_id(from.n),
        incarnation: Incarnation::FIRST,
        seq: from.node.exchange().seq().next(),
        prev: from.node.exchange().head(),
        claimed_at: DAY,
        kind: Kind::KeyAnnouncement,
        urgency: schema::event::Urgency::Normal,
        to: vec![Addressee { office: office_id(to.n), counter: Counter(counter) }],
        seen: Vec::new(),
        blobs: Vec::new(),
        body: Body::KeyAnnouncement(said).encode().expect("a body"),
        sealed: None,
        archive: None,
        content: None,
    };
    let event = seal(event, &key(from.n)).expect("signed");
    Message::Pack(vec![PackItem::new(0, event.bytes())]).encode()
}

#[test]
fn keys_go_to_the_successor_sealed_and_open_there_what_was_sealed_for_the_merged_office() {
    let mut sender = Office::open(SENDER, true);
    let (mut old, mut new) = (Office::open(RECIPIENT, true), Office::open(OTHER, true));
    introduce(&mut [&mut sender, &mut old, &mut new]);
    sender.sends(DOCUMENT, &[RECIPIENT]);
    let letter = sender.leaving.front().expect("a letter").clone();
    settle(&mut sender, &mut old);
    // Renewed since: every key goes over, not the newest only.
    let (items, _) = old.renews();
    old.hears(&items);
    let given = secrets(&old);
    assert_eq!(given.len(), 2);

    let answer = hands_over(&mut old, &new, administrator());
    assert!(matches!(&answer, Answer::Done(done) if done.recipients == 1), "{answer:?}");
    assert!(matches!(status(&old).keys_handed_over.as_slice(), [HandedOver { kept: false, .. }]));
    let wire = settle(&mut old, &mut new);
    for secret in &given {
        assert!(!wire.iter().any(|message| holds(message, secret)), "a key is readable on the wire");
        for office in [&old, &new] {
            for entry in office.node.store().journal(Position(1), 1_000).expect("readable") {
                let readable = entry.content.as_deref().is_some_and(|content| holds(content, secret));
                assert!(!readable && !holds(&entry.bytes, secret), "a key is in a journal");
            }
        }
    }

    // Both ends show it, and the old office still reads what it got.
    let kept = new.keys.held().taken_over();
    assert_eq!(kept.get(&office_id(RECIPIENT)), Some(&2));
    assert_eq!(secrets(&new)[1..], given, "in the file, behind its own");
    let [shown] = &status(&old).keys_handed_over[..] else { panic!("one is shown") };
    assert_eq!((shown.office, shown.kept), (office_id(OTHER), true), "the receipt has come");
    let [shown] = &status(&new).keys_offered[..] else { panic!("one is shown") };
    assert_eq!((shown.office, shown.kept), (office_id(RECIPIENT), true));
    let done = old.node.store().journal(Position(1), 1_000).expect("readable").into_iter().any(|entry| {
        let recorded = entry.recorded().expect("sound");
        matches!(Body::read(recorded.version, &recorded.event), Ok(Body::Act(act)) if act.by.role == Role::Administrator)
    });
    assert!(done, "who did it is not in the journal");

    // A new start reads the file: a letter to the merged office is open to its successor.
    let again = Arc::new(KeptKeys::open_or_make(&new.folder.path().join("sealing.keys")).expect("read"));
    let mut opened = inbound::open(&Verifier::new(new.registry.clone()), &letter).expect("a message");
    open_contents(&*again, &mut opened);
    let event = &opened.events[0].event;
    let Ok(Body::Dispatch(dispatch)) = Body::read(event.version(), event.event()) else {
        panic!("it cannot be read: {event:?}");
    };
    assert_eq!(dispatch.manifest.subject, SUBJECT);
    // Its own key goes on being the one that others use.
    assert_eq!(again.key(), new.registry.sealing_key(&office_id(OTHER)).expect("announced"));

    // Handing over once more, as after a lost answer, changes nothing.
    let before = fs::read(new.folder.path().join("sealing.keys")).expect("read");
    hands_over(&mut old, &new, None);
    settle(&mut old, &mut new);
    assert_eq!(fs::read(new.folder.path().join("sealing.keys")).expect("read"), before);
    old.replays();
    new.replays();
}

#[test]
fn keys_are_handed_to_nobody_but_the_successor_and_by_an_administrator() {
    let (mut sender, mut old, mut new) =
        (Office::open(SENDER, true), Office::open(RECIPIENT, true), Office::open(OTHER, true));
    introduce(&mut [&mut sender, &mut old, &mut new]);
    let refused = |from: &mut Office, to: &Office| {
        let before = from.node.exchange().seq();
        let answer = hands_over(from, to, None);
        assert!(matches!(answer, Answer::Refused(Refusal::NotSuccessor { .. })), "{answer:?}");
        assert_eq!(from.node.exchange().seq(), before, "something was recorded");
    };
    refused(&mut sender, &new);
    refused(&mut new, &old);
    let clerk = Actor { name: "Lò Thị Mai".to_owned(), role: Role::Clerk };
    let answer = hands_over(&mut old, &new, Some(clerk));
    assert!(matches!(answer, Answer::Refused(Refusal::Work(_))), "{answer:?}");
    // Before the day on which it takes over.
    let later = schema::directory::Successor { date: jiff::civil::date(2025, 6, 11), ..succession() };
    let mut early = Office::knowing(RECIPIENT, true, Rules::default(), known_with(&[later]));
    let answer = hands_over(&mut early, &new, None);
    assert!(matches!(answer, Answer::Refused(Refusal::NotSuccessor { .. })), "{answer:?}");
    assert!(early.leaving.is_empty());
}

/// A stranger with a certificate of its own, and a program of its own: nothing of it gets into the file, and nobody is told that it has.
#[test]
fn stranger_puts_no_keys_into_the_file_of_an_office() {
    let (mut stranger, mut office) = (Office::open(SENDER, true), Office::open(OTHER, true));
    introduce(&mut [&mut stranger, &mut office]);
    let before = fs::read(office.folder.path().join("sealing.keys")).expect("read");
    office.takes(&forged(&stranger, &office, 1));
    assert_eq!(fs::read(office.folder.path().join("sealing.keys")).expect("read"), before);
    assert!(office.keys.held().taken_over().is_empty());
    let held = office.node.store().held(&office_id(SENDER), Incarnation::FIRST, Counter(1));
    let held = held.expect("readable").expect("kept as what it is");
    assert!(held.unreadable && held.receipt.is_none(), "it was receipted: {held:?}");
    let alarms = office.node.store().alarms().expect("readable");
    let told =
        |alarm: &Alarm| matches!(alarm, Alarm::BodyRefused { reason, .. } if reason.contains("not taken"));
    assert!(alarms.iter().any(told), "{alarms:?}");
    assert!(matches!(status(&office).keys_offered.as_slice(), [HandedOver { kept: false, .. }]));
    office.replays();
}

/// The successor hears of the merger after the keys have come: it takes them then, and only then says so.
#[test]
fn keys_that_came_before_the_directory_are_taken_when_it_says_so() {
    let unaware = known_with(&[]);
    let mut old = Office::open(RECIPIENT, true);
    let mut new = Office::knowing(OTHER, true, Rules::default(), unaware);
    introduce(&mut [&mut old, &mut new]);
    hands_over(&mut old, &new, None);
    settle(&mut old, &mut new);
    assert!(new.keys.held().taken_over().is_empty());
    assert!(matches!(status(&old).keys_handed_over.as_slice(), [HandedOver { kept: false, .. }]));
    let newer: Item = Registrar::new().directory(&directory_with("nats://127.0.0.1:1", &[succession()]));
    new.hears(&[newer]);
    settle(&mut old, &mut new);
    assert_eq!(new.keys.held().taken_over().len(), 1);
    assert!(matches!(status(&old).keys_handed_over.as_slice(), [HandedOver { kept: true, .. }]));
    assert_eq!((entries(&new, Class::Unreadable), entries(&new, Class::Opened)), (1, 1));
    new.replays();
    old.replays();
}

/// Keys that are not safely in the file have not arrived.
#[test]
fn keys_that_cannot_be_kept_get_no_receipt_until_they_are() {
    let (mut old, mut new) = (Office::open(RECIPIENT, true), Office::open(OTHER, true));
    introduce(&mut [&mut old, &mut new]);
    let beside = new.folder.path().join("sealing.keys.new");
    fs::create_dir(&beside).expect("made");
    hands_over(&mut old, &new, None);
    let message = old.leaving.front().expect("it leaves").clone();
    settle(&mut old, &mut new);
    assert!(new.keys.held().taken_over().is_empty());
    assert!(matches!(status(&old).keys_handed_over.as_slice(), [HandedOver { kept: false, .. }]));
    fs::remove_dir(&beside).expect("removed");
    new.takes(&message);
    settle(&mut old, &mut new);
    assert_eq!(secrets(&new).len(), 2, "they are in the file");
    assert!(matches!(status(&old).keys_handed_over.as_slice(), [HandedOver { kept: true, .. }]));
    new.replays();
}
