//! What a stolen key signed: which of it is safe, which must be confirmed again, for an office's key and for a person's.

#[path = "../../schema/tests/certified/mod.rs"]
mod certified;

use std::path::Path;
use std::sync::Arc;

use certified::{BEGAN, ENDS, Registrar, Revoked, Why};
use ed25519_dalek::{Signer as _, SigningKey};
use node::Node;
use node::step::{Effect, Input, Ticket};
use node::store::{Reader, Store};
use ops::exposed::{Exposure, Held, Standing, Stolen};
use schema::body::{Dispatch, Issue};
use schema::directory::{Directory, DirectoryBuilder, Name, Office, Region, Validity};
use schema::document::{DocumentType, Manifest, Signer};
use schema::event::{Kind, RecordedEvent, Verifier, key_id};
use schema::exchange::{Class, Command};
use schema::id::{DocumentId, OfficeId, Position, RegionId};
use schema::inbound;
use schema::pack::{Message, PackItem};
use schema::registry::Registry;
use schema::stamp::stamp;
use schema::time::Millis;
use schema::trust::{Certificate, Preparation};

const SENDER: OfficeId = OfficeId::new([1; 16]);
const RECIPIENT: OfficeId = OfficeId::new([2; 16]);
/// 2025-06-10T00:00:00Z.
const DAY: Millis = Millis(1_749_513_600_000);

fn hours(n: u64) -> Millis {
    DAY.plus(n * Millis::HOUR)
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn p01() -> RegionId {
    "p01".parse().expect("a region")
}

fn directory() -> Arc<Directory> {
    let mut builder = DirectoryBuilder::new();
    let stamp_key = Some(key(77).verifying_key().to_bytes());
    let url = "nats://127.0.0.1:1".to_owned();
    builder.region(Region { id: p01(), name: "Khu vực một".to_owned(), url, login: None, stamp_key });
    for (id, text) in [(SENDER, "Xã Một"), (RECIPIENT, "Xã Hai")] {
        let mut office = Office::new(id);
        office.names.push(Name { text: text.to_owned(), validity: Validity::ALWAYS });
        office.relays.push(p01());
        builder.office(office);
    }
    Arc::new(builder.build(1, Millis(0)).expect("a sound directory"))
}

fn registry(revoked: &[Revoked]) -> Arc<Registry> {
    let keys = [(SENDER, 1), (RECIPIENT, 2)].map(|(office, n)| (office, key(n).verifying_key().to_bytes()));
    let registrar = Registrar::new();
    let registry = registrar.registry(&directory(), &keys);
    Arc::new(registry.with(vec![registrar.list(2, (hours(20), ENDS), revoked)]).0)
}

struct Station {
    node: Node,
    database: std::path::PathBuf,
}

impl Station {
    fn new(folder: &Path, office: OfficeId) -> Self {
        let n = office.as_bytes()[0];
        let database = folder.join(format!("{n}.db"));
        let store = Store::open(&database).expect("a store");
        let node = Node::open(store, key(n), registry(&[]), office, [n; 32], DAY).expect("a node");
        Self { node, database }
    }

    /// Sends a document; the bytes of its event.
    fn send(&mut self, n: u8, signatures: Vec<Vec<u8>>, now: Millis) -> RecordedEvent {
        let signatures = signatures.into_iter().map(Into::into).collect();
        let code = format!("{n}/UBND").parse().expect("a code");
        let issued = Some(Issue::given(code, "2025-06-05".parse().expect("a day")));
        let dispatch = Dispatch { issued, signatures, ..Dispatch::unsigned(manifest(n)) };
        let command = Command::Dispatch {
            by: None,
            to: vec![RECIPIENT],
            dispatch: Box::new(dispatch),
            reference_only: true,
        };
        let effects =
            self.node.step(vec![Input::Command { ticket: Ticket(1), command }], now).expect("a step");
        assert!(matches!(effects.last(), Some(Effect::Answer { .. })), "{effects:?}");
        self.node.store().newest_own().expect("readable").expect("an event")
    }

    fn bytes(&self, event: &RecordedEvent) -> Vec<u8> {
        let journal = self.node.store().journal(Position(1), 1_000).expect("a journal");
        let found = journal
            .into_iter()
            .find(|entry| RecordedEvent::read(&entry.bytes).is_ok_and(|recorded| recorded.id == event.id));
        found.expect("held").bytes
    }

    fn take(&mut self, bytes: &[u8], event: &RecordedEvent, seen_at: Option<Millis>, now: Millis) {
        let stamps = seen_at.map_or_else(Vec::new, |at| stamp(&p01(), at, &[event.id], &key(77)));
        let item = PackItem { stamps, ..PackItem::new(0, bytes) };
        let verifier = Verifier::new(Arc::clone(self.node.registry()));
        let opened = inbound::open(&verifier, &Message::Pack(vec![item]).encode()).expect("a pack");
        assert_eq!(opened.events.len(), 1, "{:?}", opened.refused);
        self.node.step(vec![Input::Imported { ticket: Ticket(1), opened }], now).expect("a step");
    }

    fn held(&self) -> Held {
        Held { office: self.node.me(), reader: Reader::open(&self.database).expect("a reader") }
    }
}

fn manifest(n: u8) -> Manifest {
    let (document, signer) = (DocumentId::new([n; 16]), Signer::head("Chủ tịch", "Vàng A Sáng"));
    Manifest::new(document, SENDER, DocumentType::OfficialLetter, format!("V/v số {n}"), signer)
}

/// Five letters; the key was stolen at the fifth hour. Of the first and the last no relay's word is known; of the others it
/// is from the second, third and ninth hour.
fn story(folder: &Path, sign: impl Fn(u8) -> Vec<Vec<u8>>) -> (Station, Station) {
    let (mut sender, mut recipient) = (Station::new(folder, SENDER), Station::new(folder, RECIPIENT));
    let seen = [None, Some(hours(2)), Some(hours(3)), Some(hours(9)), None];
    for (n, seen_at) in (1..).zip(seen) {
        let event = sender.send(n, sign(n), hours(1));
        let bytes = sender.bytes(&event);
        recipient.take(&bytes, &event, seen_at, hours(10));
    }
    (sender, recipient)
}

fn stolen_at_five(serial: u64) -> Arc<Registry> {
    registry(&[Revoked { serial, at: hours(5), why: Why::KeyCompromise }])
}

fn standings(exposure: &Exposure) -> Vec<Standing> {
    let documents = exposure.signed.iter().filter(|signed| signed.kind == Kind::Dispatch);
    documents.map(|signed| signed.standing).collect()
}

#[test]
fn documents_seen_before_the_theft_are_safe_and_so_is_the_chain_before_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sender, recipient) = story(folder.path(), |_| Vec::new());
    let stolen = Stolen::Office(key_id(&key(1).verifying_key().to_bytes()));
    let registry = stolen_at_five(10);
    let both = [sender.held(), recipient.held()];
    let exposure = Exposure::of(&stolen, None, None, &both, &registry).expect("found");
    assert_eq!(exposure.since, hours(5));
    assert_eq!(
        standings(&exposure),
        [
            Standing::ChainedBefore,
            Standing::SeenBefore,
            Standing::SeenBefore,
            Standing::SeenAfter,
            Standing::Unproven
        ]
    );
    assert!(
        exposure.signed.iter().all(|signed| signed.office == SENDER),
        "the recipient's key is another one"
    );
    assert_eq!(exposure.signed[1].held_by, [SENDER, RECIPIENT]);
    assert_eq!((exposure.owner.contains("Cơ quan"), exposure.certificates.len()), (true, 1));
    let report = exposure.report(&registry);
    assert!(report.contains("3 safe, 2 to be confirmed again"), "{report}");
    let (confirm, safe) =
        (report.find("CONFIRM").expect("a row"), report.find("safe: a relay").expect("a row"));
    assert!(confirm < safe, "what needs somebody comes first: {report}");
    assert!(
        report.contains("V/v số 4") && report.contains("4/UBND") && report.contains("Xã Hai"),
        "{report}"
    );

    // The sender's store alone shows less, and claims no more than it shows.
    let alone = Exposure::of(&stolen, None, None, &[sender.held()], &registry).expect("found");
    assert_eq!(standings(&alone), [Standing::Unproven; 5]);
}

#[test]
fn receipts_tell_the_sender_what_relays_saw_so_its_own_store_is_enough() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut sender, recipient) = story(folder.path(), |_| Vec::new());
    let journal = recipient.node.store().journal(Position(1), 1_000).expect("a journal");
    for entry in journal.into_iter().filter(|entry| entry.class == Class::Own) {
        let recorded = RecordedEvent::read(&entry.bytes).expect("an event");
        if recorded.event.kind == Kind::Receipt {
            sender.take(&entry.bytes, &recorded, None, hours(11));
        }
    }
    let stolen = Stolen::Office(key_id(&key(1).verifying_key().to_bytes()));
    let registry = stolen_at_five(10);
    let alone = Exposure::of(&stolen, None, None, &[sender.held()], &registry).expect("found");
    let both =
        Exposure::of(&stolen, None, None, &[sender.held(), recipient.held()], &registry).expect("found");
    assert_eq!(standings(&alone), standings(&both));
    assert_eq!(standings(&alone)[1], Standing::SeenBefore);

    let sent = sender.held().reader.stamps_of_sent(&DocumentId::new([2; 16])).expect("readable");
    assert_eq!(sent.iter().map(|sent| sent.stamp.at).collect::<Vec<_>>(), [hours(2)]);
    assert!(sender.held().reader.stamps_of_sent(&DocumentId::new([1; 16])).expect("readable").is_empty());
}

#[test]
fn moment_of_the_theft_can_be_said_by_hand_and_must_be_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sender, recipient) = story(folder.path(), |_| Vec::new());
    let stolen = Stolen::Office(key_id(&key(1).verifying_key().to_bytes()));
    let stores = [sender.held(), recipient.held()];
    let nobody = Exposure::of(&stolen, None, None, &stores, &registry(&[]));
    assert!(nobody.is_err_and(|error| error.to_string().contains("--since")));
    let early = Exposure::of(&stolen, None, Some(hours(3)), &stores, &stolen_at_five(10)).expect("found");
    assert_eq!(
        standings(&early)[..3],
        [Standing::ChainedBefore, Standing::SeenBefore, Standing::SeenAfter],
        "the same moment is not before"
    );
}

#[test]
fn persons_stolen_card_exposes_the_documents_that_it_signed_and_no_others() {
    const SERIAL: u64 = 50;
    let card = SigningKey::from_bytes(&[0x5a; 32]);
    let certificate = Registrar::new().officer(card.verifying_key().to_bytes(), SERIAL, (BEGAN, ENDS));
    let sign = |n: u8| {
        if n == 3 {
            return Vec::new();
        }
        let preparation =
            Preparation::new(&manifest(n).encode(), &certificate, hours(1)).expect("an officer");
        let signature = card.sign(preparation.to_be_signed()).to_bytes();
        vec![preparation.finish(&signature, &[]).expect("a signature")]
    };
    let folder = tempfile::tempdir().expect("a folder");
    let (sender, recipient) = story(folder.path(), sign);
    let parsed = Certificate::parse(&certificate).expect("a certificate");
    let stores = [sender.held(), recipient.held()];
    let stolen = Stolen::Person(*parsed.key_hash());
    let exposure =
        Exposure::of(&stolen, Some(&parsed), None, &stores, &stolen_at_five(SERIAL)).expect("found");
    assert_eq!(
        standings(&exposure),
        [Standing::ChainedBefore, Standing::SeenBefore, Standing::SeenAfter, Standing::Unproven]
    );
    assert!(!exposure.owner.contains("001099012345"), "the citizen number is masked: {}", exposure.owner);
    // The list is asked about the certificate in the signatures when none is given.
    let found = Exposure::of(&stolen, None, None, &stores, &stolen_at_five(SERIAL)).expect("found");
    assert_eq!(standings(&found), standings(&exposure));
}
