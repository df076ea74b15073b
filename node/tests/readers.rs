//! Who can open what an office sends: its recipients, and an archive that everybody sees named. Nobody else.

mod sealed;
mod station;

use std::fs;
use std::process::Command;

use node::sealing::{Sealing, open_contents};
use node::step::Answer;
use node::store::Reader;
use schema::body::Body;
use schema::event::{Addressee, Event, Verifier, seal};
use schema::exchange::{Alarm, Class, Records as _, Refusal};
use schema::handling::Rules;
use schema::id::{Counter, DocumentId, Incarnation, OfficeId, Position};
use schema::inbound;
use schema::pack::{Message, PackItem};
use schema::sealing::Content;
use sealed::{DAY, Office, SUBJECT, bodies, introduce, settle};
use station::{OTHER, RECIPIENT, SENDER, key, office_id};

const DOCUMENT: DocumentId = DocumentId::new([7; 16]);

fn archiving(n: u8, required: bool) -> Office {
    Office::with_rules(n, required, Rules { archive: Some(office_id(OTHER)), ..Rules::default() })
}

/// Whom a document names as its archive, at whoever shows it.
fn shown(office: &Office) -> Option<OfficeId> {
    let reader = Reader::open(&office.folder.path().join("tram.db")).expect("a store");
    reader.document(&DOCUMENT, DAY).expect("readable").expect("it is there").archive
}

#[test]
fn archive_opens_what_is_sent_from_its_bytes_and_is_named_at_both_ends() {
    let (mut sender, mut recipient) = (archiving(SENDER, true), Office::open(RECIPIENT, true));
    let mut archive = Office::open(OTHER, true);
    introduce(&mut [&mut sender, &mut recipient, &mut archive]);
    let answer = sender.sends(DOCUMENT, &[RECIPIENT]);
    assert!(matches!(answer, Answer::Dispatched { recipients: 1, .. }), "{answer:?}");
    let wire = settle(&mut sender, &mut recipient);
    assert_eq!(shown(&sender), Some(office_id(OTHER)));
    assert_eq!(shown(&recipient), Some(office_id(OTHER)));
    let sent = sender.node.store().sent(&office_id(RECIPIENT), Incarnation::FIRST, Counter(1));
    assert!(sent.expect("readable").expect("sent").receipt.is_some(), "it has arrived");

    // Given the bytes as they went over the wire, the archive opens and checks them; its station takes nothing in.
    let verifier = Verifier::new(archive.registry.clone());
    let mut opened = inbound::open(&verifier, &wire[0]).expect("a message");
    open_contents(&*archive.keys, &mut opened);
    let [arrival] = opened.events.as_slice() else { panic!("one event: {opened:?}") };
    let Ok(Body::Dispatch(dispatch)) = Body::read(arrival.event.version(), arrival.event.event()) else {
        panic!("the archive cannot read it: {arrival:?}");
    };
    assert_eq!(dispatch.manifest.subject, SUBJECT);
    archive.takes(&wire[0]);
    assert!(archive.node.store().incoming(&office_id(SENDER), &DOCUMENT).expect("readable").is_none());
    assert!(archive.leaving.is_empty(), "it is no recipient, and answers nothing");

    // What the recipient says is between the two.
    let told = bodies(&wire[1]).into_iter().chain(bodies(&wire[0]).into_iter().skip(1));
    assert!(told.into_iter().all(|body| archive.keys.open(&body, 2).is_err()));
    sender.replays();
    recipient.replays();

    // The same with the `age` of the system.
    let file = archive.folder.path().join("body.age");
    fs::write(&file, &bodies(&wire[0])[0]).expect("written");
    let keys = archive.folder.path().join("sealing.keys");
    let age = Command::new("age").arg("-d").arg("-i").arg(&keys).arg(&file).output();
    let age = age.expect("age is installed wherever the tests run");
    let content = Content::of(arrival.event.event(), age.stdout).expect("what the event commits to");
    assert_eq!(content.body(), arrival.event.event().clear_body().expect("opened"));
}

/// An archive that is a recipient reads as one; one that sends reads what it sends.
#[test]
fn archive_is_not_named_beside_itself() {
    let (mut sender, mut archive) = (archiving(SENDER, true), archiving(OTHER, true));
    introduce(&mut [&mut sender, &mut archive]);
    sender.sends(DOCUMENT, &[OTHER]);
    settle(&mut sender, &mut archive);
    assert_eq!((shown(&sender), shown(&archive)), (None, None));
    archive.sends(DocumentId::new([8; 16]), &[SENDER]);
    settle(&mut archive, &mut sender);
    let arrived = sender.node.store().incoming(&office_id(OTHER), &DocumentId::new([8; 16]));
    assert!(arrived.expect("readable").is_some());
}

/// Otherwise a policy would be followed only while nobody withholds an announcement.
#[test]
fn nothing_is_sealed_without_the_archive_that_the_office_has_settled() {
    for required in [true, false] {
        let (mut sender, mut recipient) = (archiving(SENDER, required), Office::open(RECIPIENT, true));
        introduce(&mut [&mut sender, &mut recipient]);
        let before = sender.node.exchange().seq();
        let answer = sender.sends(DOCUMENT, &[RECIPIENT]);
        let office = office_id(OTHER);
        assert!(
            matches!(&answer, Answer::Refused(Refusal::NoSealingKey { office: named }) if *named == office),
            "{answer:?}"
        );
        assert_eq!(sender.node.exchange().seq(), before, "something was recorded");
    }
}

/// A sender whose program seals for somebody else too, or names another archive outside than inside: not opened, not receipted, told.
#[test]
fn hidden_reader_makes_a_document_unreadable() {
    let (mut sender, mut recipient) = (Office::open(SENDER, true), Office::open(RECIPIENT, true));
    let mut third = Office::open(OTHER, true);
    introduce(&mut [&mut sender, &mut recipient, &mut third]);
    sender.sends(DOCUMENT, &[RECIPIENT]);
    let entries = sender.node.store().journal(Position(1), 1_000).expect("readable");
    let own = entries.into_iter().find(|entry| entry.content.is_some()).expect("a sealed one");
    let honest = own.recorded().expect("sound").event;
    let body = honest.clear_body().expect("opened").to_vec();
    let clear = Event { body, sealed: None, content: None, ..honest };
    let (mine, theirs, hidden) = (sender.keys.key(), recipient.keys.key(), third.keys.key());
    let sealed = |inside: Option<OfficeId>, outside: Option<OfficeId>| {
        let inner = Event { archive: inside, ..clear.clone() };
        let content = Content::new(&inner, [9; 32], &[theirs]);
        let body = sender.keys.seal(content.bytes(), &[theirs, hidden, mine]).expect("sealed");
        let event = Event { archive: outside, ..clear.clone() }.with_sealed_body(content, body);
        seal(event, &key(SENDER)).expect("signed")
    };
    let third = Some(office_id(OTHER));
    for (n, (inside, outside)) in [(None, None), (None, third), (third, None)].into_iter().enumerate() {
        let event = sealed(inside, outside);
        let event = Event {
            to: vec![Addressee { office: office_id(RECIPIENT), counter: Counter(10 + n as u64) }],
            ..event.event().clone()
        };
        let event = seal(event, &key(SENDER)).expect("signed");
        recipient.leaving.clear();
        recipient.takes(&Message::Pack(vec![PackItem::new(0, event.bytes())]).encode());
        let held = recipient.node.store().incoming(&office_id(SENDER), &DOCUMENT).expect("readable");
        assert!(held.is_none(), "{inside:?} {outside:?}: it was taken");
        let row = recipient.node.store().held(&office_id(SENDER), Incarnation::FIRST, Counter(10 + n as u64));
        assert_eq!(row.expect("readable").expect("kept").receipt, None);
    }
    let entries = recipient.node.store().journal(Position(1), 1_000).expect("readable");
    assert_eq!(entries.iter().filter(|entry| entry.class == Class::Unreadable).count(), 3);
    let alarms = recipient.node.store().alarms().expect("readable");
    let told = alarms.iter().filter(|alarm| matches!(alarm, Alarm::BodyRefused { .. })).count();
    assert_eq!(told, 3, "{alarms:?}");
    // The archive that both name is no hidden one.
    let event = sealed(third, third);
    recipient.takes(&Message::Pack(vec![PackItem::new(0, event.bytes())]).encode());
    let held = recipient.node.store().incoming(&office_id(SENDER), &DOCUMENT).expect("readable");
    assert!(held.is_some(), "an archive that is named is no reason to refuse");
    recipient.replays();
}
