//! What an audit finds: in a sound store, and in one that was changed behind its program's back.

use super::*;
use crate::ca::build::ed25519_spki;
use crate::ca::rehearsal::{self, Rehearsal};
use crate::ca::{Cost, Passphrase};
use crate::calendar;
use crate::deployment::{Deployment, NewRegion, office_key};
use ed25519_dalek::SigningKey;
use node::Node;
use node::config::Bundle;
use node::keyring::Unlock;
use node::step::{Answer, Effect, Input, Ticket};
use node::store::Store;
use schema::document::{DocumentType, Manifest, Signer};
use schema::event::{Addressee, Event, Urgency, key_id, seal};
use schema::exchange::Command;
use schema::id::Counter;
use schema::registry::encode_items;
use std::net::SocketAddr;

const SUBJECT: &str = "V/v kiểm tra hồ chứa nước trước mùa mưa bão";

/// A station's folder in which one letter was sent, and who certified its key.
fn station(root: &Path) -> (PathBuf, Rehearsal) {
    let now = calendar::now();
    let passphrase = Passphrase::new("một hai ba bốn năm").expect("a passphrase");
    let folder = root.join("authorities");
    let mut authorities = Rehearsal::found(&folder, passphrase, Cost::FOR_TESTS, now).expect("founded");
    let certificate = authorities.root_certificate().expect("a root");
    let folder = root.join("deployment");
    let mut deployment =
        Deployment::open_or_create(&folder, &Unlock::default(), &[certificate]).expect("made");
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let region = NewRegion {
        id: "p01".parse().expect("a region"),
        name: "Tỉnh Lào Cai".to_owned(),
        url: "nats://127.0.0.1:4222".to_owned(),
        listen: at(4222),
        monitor_port: 8222,
        status: at(8322),
    };
    deployment.add_region(&region).expect("added");
    let country = crate::lookup::load(None).expect("tables");
    let mut bundles = Vec::new();
    for code in ["02875", "02866"] {
        let day = jiff::civil::date(2025, 6, 27);
        let office = country.resolve(code, day).expect("a commune").id;
        let name = newest_name(&country, &office);
        let bundle = deployment.enrol(&office, &name, std::slice::from_ref(&region.id)).expect("enrolled");
        let key = office_key(deployment.folder(), &office, &name).expect("a key");
        authorities.certify(&country, &office, day, &key, now).expect("certified");
        bundles.push((office, bundle));
    }
    deployment.publish(now).expect("signed");
    deployment.add(authorities.papers().expect("papers")).expect("handed out");
    let [(me, folder), (other, _)] = bundles.try_into().expect("two");

    let data = DataFolder::new(&folder);
    let config = Config::usual(&data, &Bundle::read(&folder).expect("a bundle"));
    fs::write(data.config(), config.render(&data)).expect("written");
    let key = node::keyring::read_signing_key(&config.signing_key).expect("a key");
    let registry = config.load_registry().expect("signed");
    let store = Store::open(&data.database()).expect("a store");
    let mut node = Node::open(store, key, registry, me, [7; 32], now).expect("opened");
    let (document, signer) = (DocumentId::new([1; 16]), Signer::head("Chủ tịch", "Vàng A Sáng"));
    let manifest = Manifest::new(document, me, DocumentType::OfficialLetter, SUBJECT, signer);
    let dispatch = Dispatch::unsigned(manifest);
    let command =
        Command::Dispatch { by: None, to: vec![other], dispatch: Box::new(dispatch), reference_only: true };
    let effects = node.step(vec![Input::Command { ticket: Ticket(1), command }], now).expect("a step");
    let sent = |effect: &Effect| matches!(effect, Effect::Answer { answer: Answer::Dispatched { .. }, .. });
    assert!(effects.iter().any(sent), "{effects:?}");
    (folder, authorities)
}

#[test]
fn honest_store_passes_and_one_flipped_letter_is_noticed() {
    let root = tempfile::tempdir().expect("a folder");
    let (folder, _) = station(root.path());
    let honest = audit(&folder, true).expect("audited");
    assert!(honest.holds(), "{:?}", honest.checks);
    assert_eq!((honest.own, honest.signatures), (1, Some(1)));

    let database = DataFolder::new(&folder).database();
    let mut bytes = fs::read(&database).expect("read");
    let at = bytes.windows(SUBJECT.len()).position(|window| window == SUBJECT.as_bytes()).expect("stored");
    bytes[at] ^= 1;
    fs::write(&database, bytes).expect("written");
    let forged = audit(&folder, true).expect("audited");
    let broken: Vec<_> = forged.checks.iter().filter(|check| check.broken.is_some()).collect();
    assert!(broken.iter().any(|check| check.promise == "P4"), "{:?}", forged.checks);
}

#[test]
fn key_that_nobody_announced_is_told_to_the_auditor() {
    let root = tempfile::tempdir().expect("a folder");
    let (folder, mut authorities) = station(root.path());
    let honest = audit(&folder, true).expect("audited");
    assert!(honest.contested.is_empty(), "{:?}", honest.contested);

    let config = Config::read(&DataFolder::new(&folder)).expect("settings");
    let registry = config.load_registry().expect("signed");
    let day = jiff::civil::date(2025, 6, 27);
    let place = rehearsal::place_of(registry.directory(), &config.office, day).expect("a place");
    let authority = authorities.authority(&place, calendar::now()).expect("an authority");
    let known = &registry.keys(&config.office)[0].certificates()[0];
    let serial = known.serial().to_string().parse().expect("a serial number");
    let strange = SigningKey::from_bytes(&[0x58; 32]).verifying_key().to_bytes();
    let spki = ed25519_spki(&strange).expect("a key");
    authority.renew_for_key(serial, spki, 365, None, calendar::now()).expect("certified");
    let (after, _) = registry.with(authorities.papers().expect("papers"));
    fs::write(&config.registry, encode_items(after.all_items())).expect("written");

    let warned = audit(&folder, true).expect("audited");
    assert_eq!(warned.contested, [Contested { office: config.office, key: key_id(&strange) }]);
    assert!(report(&[warned], &[]).expect("text").contains("nobody announced it"));
}

#[test]
fn running_station_is_not_audited() {
    let root = tempfile::tempdir().expect("a folder");
    let (folder, _) = station(root.path());
    let _running = DataFolder::new(&folder).lock().expect("free");
    let refused = audit(&folder, true).expect_err("its tables would move");
    assert!(format!("{refused:#}").contains("stop the station first"), "{refused:#}");
}

const ME: OfficeId = OfficeId::new([1; 16]);
const SENDER: OfficeId = OfficeId::new([2; 16]);

#[test]
fn body_that_breaks_the_rules_and_was_applied_is_found() {
    for (class, misread) in [(Class::Received, true), (Class::Unreadable, false)] {
        let folder = tempfile::tempdir().expect("a folder");
        let database = folder.path().join("station.db");
        let store = Store::open(&database).expect("a store");
        let event = Event {
            office: SENDER,
            incarnation: Incarnation::FIRST,
            seq: Seq(1),
            prev: EventId::NONE,
            claimed_at: Millis(1),
            kind: Kind::Dispatch,
            urgency: Urgency::Normal,
            to: vec![Addressee { office: ME, counter: Counter(1) }],
            seen: Vec::new(),
            blobs: Vec::new(),
            body: vec![0xa0],
            sealed: None,
            archive: None,
            content: None,
        };
        let event = seal(event, &SigningKey::from_bytes(&[2; 32])).expect("an event");
        store.append(class, &event, Millis(1)).expect("recorded");
        let mut walk = Walk::new(ME, None);
        walk.journal(&Reader::open(&database).expect("a reader")).expect("a journal");
        assert_eq!(walk.misread, misread.then_some(event.id()), "{class:?}");
    }
}
