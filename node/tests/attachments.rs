//! How a station awaits attachments, and what it does when a relay takes none: the step alone, with whatever carries and looks played
//! by the test.

mod station;

use node::Node;
use node::step::{Answer, Came, Delivery, Effect, Found, Input, Offered, Opening, Ticket};
use node::store::Store;
use schema::blob::{BlobIdentity, BlobRef, Enclosure, FileRef};
use schema::body::{Body, Dispatch};
use schema::document::{Attachment, DocumentType, Manifest, Signer};
use schema::event::{Addressee, Event, Kind, Urgency, Verifier, seal};
use schema::exchange::Command;
use schema::id::{BlobHash, Counter, DocumentId, EventId, FileHash, Incarnation, RegionId, Seq};
use schema::inbound;
use schema::pack::{Message, PackItem};
use schema::time::Millis;
use station::{RECIPIENT, SENDER, key, office_id, registry};

/// 2025-06-10T00:00:00Z.
const DAY: Millis = Millis(1_749_513_600_000);

fn relay() -> RegionId {
    "p01".parse().expect("a region")
}

fn opening(n: u8) -> Opening {
    let blob = BlobRef { hash: BlobHash::new([n; 32]), length: 70_000 };
    let file = FileRef { hash: FileHash::new([n ^ 0xff; 32]), length: 69_000 };
    Opening { enclosure: Enclosure { blob, identity: BlobIdentity([n; 32]) }, file }
}

fn manifest(issuer: u8, n: u8, urgency: Urgency, file: FileRef) -> Manifest {
    let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
    let letter = DocumentType::OfficialLetter;
    let attachment = Attachment { name: "a.pdf".to_owned(), media_type: "application/pdf".to_owned(), file };
    let manifest = Manifest::new(DocumentId::new([n; 16]), office_id(issuer), letter, "V/v thử", signer);
    Manifest { urgency, attachments: vec![attachment], ..manifest }
}

/// The recipient's station, and letters of the sender that reach it in order.
struct Inbox {
    node: Node,
    seq: u64,
    head: EventId,
    now: Millis,
    _folder: tempfile::TempDir,
}

impl Inbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(&folder.path().join("tram.db")).expect("a store");
        let (registry, me) = (registry("nats://127.0.0.1:1"), office_id(RECIPIENT));
        let mut node = Node::open(store, key(RECIPIENT), registry, me, [1; 32], DAY).expect("a node");
        node.step(vec![Input::Connected(relay())], DAY).expect("a step");
        Self { node, seq: 0, head: EventId::NONE, now: DAY, _folder: folder }
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        self.now = self.now.plus(1);
        self.node.step(vec![input], self.now).expect("a step")
    }

    /// A letter comes that names this attachment so.
    fn comes(&mut self, n: u8, urgency: Urgency, opening: Opening) -> Vec<Effect> {
        self.seq += 1;
        let enclosures = vec![opening.enclosure];
        let dispatch =
            Dispatch { enclosures, ..Dispatch::unsigned(manifest(SENDER, n, urgency, opening.file)) };
        let event = Event {
            office: office_id(SENDER),
            incarnation: Incarnation::FIRST,
            seq: Seq(self.seq),
            prev: self.head,
            claimed_at: DAY,
            kind: Kind::Dispatch,
            urgency,
            to: vec![Addressee { office: office_id(RECIPIENT), counter: Counter(self.seq) }],
            seen: Vec::new(),
            blobs: vec![opening.enclosure.blob],
            body: Body::Dispatch(dispatch).encode().expect("a body"),
            sealed: None,
            archive: None,
            content: None,
        };
        let event = seal(event, &key(SENDER)).expect("a sound event");
        self.head = event.id();
        let verifier = Verifier::new(registry("nats://127.0.0.1:1"));
        let pack = Message::Pack(vec![PackItem::new(0, event.bytes())]).encode();
        let opened = inbound::open(&verifier, &pack).expect("a pack");
        self.step(Input::Delivered { relay: relay(), delivery: Delivery(self.seq), opened })
    }

    fn examined(&mut self, opening: Opening, found: Found) -> Vec<Effect> {
        self.step(Input::Examined { blob: opening.enclosure.blob, found })
    }
}

fn looked_at(effects: &[Effect]) -> Vec<BlobHash> {
    let looks = effects.iter().filter_map(|effect| match effect {
        Effect::Examine { blob, .. } => Some(blob.hash),
        _ => None,
    });
    looks.collect()
}

fn asked_for(effects: &[Effect]) -> Vec<(BlobHash, u32)> {
    let asked = effects.iter().filter_map(|effect| match effect {
        Effect::FetchChunk { blob, index, .. } => Some((blob.hash, *index)),
        _ => None,
    });
    asked.collect()
}

fn is_receipted(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::Publish { message, .. } => match Message::parse(message) {
            Ok(Message::Pack(items)) => items.iter().any(|item| {
                let event = schema::event::RecordedEvent::read(&item.event).expect("an event");
                event.event.kind == Kind::Receipt
            }),
            _ => false,
        },
        _ => false,
    })
}

#[test]
fn document_has_arrived_when_its_attachment_is_here_and_opens() {
    let mut inbox = Inbox::new();
    let one = opening(1);
    let hash = one.enclosure.blob.hash;
    let came = inbox.comes(1, Urgency::Normal, one);
    assert_eq!((looked_at(&came), is_receipted(&came)), (vec![hash], false));
    assert!(came.contains(&Effect::Examine { blob: one.enclosure.blob, openings: vec![one] }));
    let asks = inbox.examined(one, Found::Missing(vec![0, 1]));
    assert_eq!(asked_for(&asks), [(hash, 0), (hash, 1)]);
    let (blob, kept) = (one.enclosure.blob, Came::Kept);
    assert!(
        looked_at(&inbox.step(Input::Chunk { blob, index: 1, came: kept })).is_empty(),
        "not all is here"
    );
    let all = inbox.step(Input::Chunk { blob, index: 0, came: kept });
    assert_eq!((looked_at(&all), is_receipted(&all)), (vec![hash], false));
    assert!(is_receipted(&inbox.examined(one, Found::Whole(vec![(one, true)]))));
    // A second document with the same attachment has nothing to wait for.
    let again = inbox.comes(2, Urgency::Normal, one);
    assert!(looked_at(&again).is_empty() && is_receipted(&again));
}

/// P6: somebody seals one file and signs the hash of another.
#[test]
fn attachment_that_is_not_what_its_document_names_gets_no_receipt() {
    let mut inbox = Inbox::new();
    let one = opening(1);
    inbox.comes(1, Urgency::Normal, one);
    let found = inbox.examined(one, Found::Whole(vec![(one, false)]));
    assert!(!is_receipted(&found) && looked_at(&found).is_empty(), "{found:?}");
    for _ in 0..3 {
        let later = inbox.step(Input::Tick);
        assert!(!is_receipted(&later) && looked_at(&later).is_empty(), "{later:?}");
    }
    // The same blob, named as what it is, is another matter.
    let honest = Opening { file: FileRef { length: 68_000, ..one.file }, ..one };
    let came = inbox.comes(2, Urgency::Normal, honest);
    assert_eq!(looked_at(&came), [one.enclosure.blob.hash]);
    assert!(is_receipted(&inbox.examined(honest, Found::Whole(vec![(honest, true)]))));
}

/// It came while somebody looked for the sake of another document.
#[test]
fn document_that_comes_during_a_look_gets_a_look_of_its_own() {
    let mut inbox = Inbox::new();
    let one = opening(1);
    inbox.comes(1, Urgency::Normal, one);
    let other = Opening { file: FileRef { length: 5, ..one.file }, ..one };
    assert!(looked_at(&inbox.comes(2, Urgency::Normal, other)).is_empty(), "two looks at once");
    let first = inbox.examined(one, Found::Whole(vec![(one, true)]));
    assert!(is_receipted(&first));
    assert!(first.contains(&Effect::Examine { blob: one.enclosure.blob, openings: vec![other] }));
    let second = inbox.examined(other, Found::Whole(vec![(other, false)]));
    assert!(!is_receipted(&second), "{second:?}");
}

/// Somebody who knows the hash of a circular's attachment names it with another length, before the circular comes, or behind it.
#[test]
fn lie_about_a_length_neither_keeps_the_true_one_away_nor_gets_a_receipt() {
    let one = opening(1);
    let mut enclosure = one.enclosure;
    enclosure.blob.length += 1;
    let lie = Opening { enclosure, ..one };
    for (first, second) in [(lie, one), (one, lie)] {
        let mut inbox = Inbox::new();
        inbox.comes(1, Urgency::Normal, first);
        let came = inbox.comes(2, Urgency::Normal, second);
        assert!(came.contains(&Effect::Examine { blob: second.enclosure.blob, openings: vec![second] }));
        assert_eq!(asked_for(&inbox.examined(one, Found::Missing(vec![0, 1]))).len(), 2);
        assert!(is_receipted(&inbox.examined(one, Found::Whole(vec![(one, true)]))));
        // Of the other one there is nothing that has its hash.
        assert!(!is_receipted(&inbox.examined(lie, Found::Missing(vec![0, 1]))));
        assert!(!is_receipted(&inbox.examined(lie, Found::Other)));
    }
}

/// A courier brings the event and then its attachment, while somebody still looks for what the event made wanted.
#[test]
fn what_is_brought_during_a_look_is_looked_at_again() {
    let mut inbox = Inbox::new();
    let one = opening(1);
    let (blob, hash) = (one.enclosure.blob, one.enclosure.blob.hash);
    inbox.comes(1, Urgency::Normal, one);
    let answered = |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::Answer { .. }));
    assert!(!answered(&inbox.step(Input::Brought { ticket: Ticket(5), blob })), "before anybody has looked");
    let early = inbox.examined(one, Found::Missing(vec![0, 1]));
    assert!(!answered(&early), "of what was there before it was brought");
    assert_eq!(looked_at(&early), [hash]);
    let whole = inbox.examined(one, Found::Whole(vec![(one, true)]));
    assert!(whole.contains(&Effect::Answer { ticket: Ticket(5), answer: Answer::Kept }), "{whole:?}");
    assert!(is_receipted(&whole));
}

#[test]
fn chunks_that_do_not_come_are_asked_for_again_and_what_is_false_begins_anew() {
    let mut inbox = Inbox::new();
    let one = opening(1);
    let (blob, hash) = (one.enclosure.blob, one.enclosure.blob.hash);
    inbox.comes(1, Urgency::Normal, one);
    inbox.examined(one, Found::Missing(vec![0, 1]));
    inbox.step(Input::Chunk { blob, index: 0, came: Came::Kept });
    assert!(
        asked_for(&inbox.step(Input::Chunk { blob, index: 1, came: Came::Absent })).is_empty(),
        "at once"
    );
    inbox.now = inbox.now.plus(2 * Millis::SECOND);
    assert_eq!(asked_for(&inbox.step(Input::Tick)), [(hash, 1)]);
    assert_eq!(looked_at(&inbox.step(Input::Chunk { blob, index: 1, came: Came::Kept })), [hash]);
    let anew = inbox.examined(one, Found::Other);
    assert_eq!(looked_at(&anew), [hash], "what was dropped is not asked for again");
    assert_eq!(asked_for(&inbox.examined(one, Found::Missing(vec![0, 1]))).len(), 2);
    // A full disk: nothing is asked for in a circle.
    inbox.step(Input::Chunk { blob, index: 0, came: Came::NoRoom });
    assert!(asked_for(&inbox.step(Input::Chunk { blob, index: 1, came: Came::Kept })).is_empty());
    inbox.now = inbox.now.plus(2 * Millis::MINUTE);
    assert_eq!(asked_for(&inbox.step(Input::Tick)), [(hash, 0)]);
}

#[test]
fn express_document_takes_the_place_of_bulk() {
    let mut inbox = Inbox::new();
    for n in 1..=8 {
        inbox.comes(n, Urgency::Normal, opening(n));
        inbox.examined(opening(n), Found::Missing(vec![0, 1]));
    }
    let waits = inbox.comes(100, Urgency::Normal, opening(100));
    assert!(looked_at(&waits).is_empty(), "no room, and no reason to make some");
    let express = inbox.comes(101, Urgency::Express, opening(101));
    assert_eq!(looked_at(&express), [BlobHash::new([101; 32])]);
    let asked = asked_for(&inbox.examined(opening(101), Found::Missing(vec![0, 1])));
    assert_eq!(asked, [(BlobHash::new([101; 32]), 0), (BlobHash::new([101; 32]), 1)]);
    // What gave way goes on when there is room.
    let room = inbox.examined(opening(101), Found::Whole(vec![(opening(101), true)]));
    assert!(is_receipted(&room) && looked_at(&room).len() == 1, "{room:?}");
}

/// The relay says why, people can read it, and it is asked ever more seldom.
#[test]
fn attachment_that_a_relay_does_not_take_is_offered_ever_more_seldom_and_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = folder.path().join("tram.db");
    let store = Store::open(&database).expect("a store");
    let (registry, me) = (registry("nats://127.0.0.1:1"), office_id(SENDER));
    let mut node = Node::open(store, key(SENDER), registry, me, [1; 32], DAY).expect("a node");
    let one = opening(1);
    let kept = node.step(vec![Input::Enclosed { ticket: Ticket(1), opening: one }], DAY).expect("a step");
    assert_eq!(kept, [Effect::Answer { ticket: Ticket(1), answer: Answer::Kept }]);
    let dispatch = Box::new(Dispatch::unsigned(manifest(SENDER, 7, Urgency::Normal, one.file)));
    let to = vec![office_id(RECIPIENT)];
    let command = Command::Dispatch { by: None, to, dispatch, reference_only: true };
    let mut effects = node
        .step(vec![Input::Connected(relay()), Input::Command { ticket: Ticket(2), command }], DAY)
        .expect("a step");
    let (blob, mut now, mut waits) = (one.enclosure.blob, DAY, Vec::new());
    for _ in 0..6 {
        assert!(effects.contains(&Effect::OfferBlob { relay: relay(), blob }), "{effects:?}");
        let offered = Offered::Refused("larger than the 5 bytes set aside here".to_owned());
        let after = node.step(vec![Input::Offered { relay: relay(), blob, offered }], now).expect("a step");
        assert!(!after.iter().any(|effect| matches!(effect, Effect::OfferBlob { .. })), "at once: {after:?}");
        let again = node.wakeup().expect("it is tried again");
        waits.push(again.since(now));
        now = again;
        effects = node.step(vec![Input::Tick], now).expect("a step");
    }
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
    let reader = node::store::Reader::open(&database).expect("a reader");
    let why = reader.why(&DocumentId::new([7; 16]), now).expect("readable").expect("it is there");
    assert_eq!((why[0].cause, why[0].who), ("refused-by-relay", "relay-operator"));
    let reason = why[0].reason.as_deref().unwrap_or_default();
    assert!(reason.contains("larger than the 5 bytes"), "{reason}");
}
