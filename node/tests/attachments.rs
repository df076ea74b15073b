//! How a station awaits attachments, and what it does when a relay takes none: the step alone, with whatever carries and looks played
//! by the test.

mod letters;
mod station;

use letters::{DAY, opening, relay};
use node::Node;
use node::node::{SMALL_BYTES_MAX, SMALL_UPLOADS_MAX};
use node::step::{Answer, Came, Delivery, Effect, Found, Input, Offered, Opening, PublishOutcome, Ticket};
use node::store::Store;
use schema::blob::{BlobLimits, BlobRef, Enclosure, FileRef, KEPT_MAX, fingerprint};
use schema::body::{Body, Dispatch, Heads, Place, Receipt};
use schema::document::{Attachment, DocumentType, Manifest, Signer};
use schema::event::{Addressee, Event, Kind, RecordedEvent, Urgency, Verifier, seal};
use schema::exchange::{Command, Refusal};
use schema::id::{BlobHash, Counter, DocumentId, EventId, Incarnation, Seq};
use schema::inbound;
use schema::pack::{Message, PackItem};
use schema::time::Millis;
use station::{RECIPIENT, SENDER, key, office_id, registry};

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
                let event = RecordedEvent::read(&item.event).expect("an event");
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

/// A relay that lost its disk, or the way to it, has none of the chunks that were asked for together.
#[test]
fn chunks_that_fail_together_are_one_try() {
    let mut inbox = Inbox::new();
    let mut large = opening(1);
    large.enclosure.blob.length = 20 * 64 * 1024;
    let blob = large.enclosure.blob;
    inbox.comes(1, Urgency::Normal, large);
    let mut asked = asked_for(&inbox.examined(large, Found::Missing((0..20).collect())));
    for tries in 0..4 {
        assert_eq!(asked.len(), 16, "after {tries} tries");
        for (_, index) in asked {
            inbox.step(Input::Chunk { blob, index, came: Came::Absent });
        }
        let wait = inbox.node.wakeup().expect("asked again").since(inbox.now);
        assert!(wait <= Millis::SECOND << tries, "{wait} ms after try {tries}");
        inbox.now = inbox.now.plus(wait);
        asked = asked_for(&inbox.step(Input::Tick));
    }
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

/// The sender's station, which sends letters with attachments.
struct Outbox {
    node: Node,
    now: Millis,
    /// The recipient's chain, and its newest event.
    receipts: (u64, EventId),
    folder: tempfile::TempDir,
}

impl Outbox {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut outbox =
            Self { node: Self::open(&folder, DAY), now: DAY, receipts: (0, EventId::NONE), folder };
        outbox.step(Input::Connected(relay()));
        outbox
    }

    fn open(folder: &tempfile::TempDir, now: Millis) -> Node {
        let store = Store::open(&folder.path().join("tram.db")).expect("a store");
        let (registry, me) = (registry("nats://127.0.0.1:1"), office_id(SENDER));
        Node::open(store, key(SENDER), registry, me, [1; 32], now).expect("a node")
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        self.now = self.now.plus(1);
        self.node.step(vec![input], self.now).expect("a step")
    }

    /// The process is killed and started again, and the line is back.
    fn starts_again(&mut self) -> Vec<Effect> {
        self.node = Self::open(&self.folder, self.now);
        self.step(Input::Connected(relay()))
    }

    fn sends(&mut self, n: u8, urgency: Urgency, one: Opening) -> Vec<Effect> {
        let kept = self.step(Input::Enclosed { ticket: Ticket(1), opening: one });
        assert_eq!(kept, [Effect::Answer { ticket: Ticket(1), answer: Answer::Kept }]);
        let dispatch = Box::new(Dispatch::unsigned(manifest(SENDER, n, urgency, one.file)));
        let to = vec![office_id(RECIPIENT)];
        let command = Command::Dispatch { by: None, to, dispatch, reference_only: true };
        self.step(Input::Command { ticket: Ticket(2), command })
    }

    fn offered(&mut self, one: Opening, offered: Offered) -> Vec<Effect> {
        self.step(Input::Offered { relay: relay(), blob: one.enclosure.blob, offered })
    }

    /// A letter leaves: the relay has its attachment already.
    fn leaves(&mut self, n: u8, one: Opening) -> EventId {
        let effects = self.sends(n, Urgency::Normal, one);
        let left = match is_offered(&effects, one) {
            true => self.offered(one, Offered::Lacks(Vec::new())),
            // It was there a moment ago.
            false => effects,
        };
        let published = left.iter().find_map(|effect| match effect {
            Effect::Publish { publication, message, .. } => Some((*publication, message.clone())),
            _ => None,
        });
        let (publication, message) = published.expect("it leaves");
        self.step(Input::Published { publication, outcome: PublishOutcome::Stored });
        let Ok(Message::Pack(items)) = Message::parse(&message) else { panic!("a pack") };
        let event = RecordedEvent::read(&items.last().expect("an event").event).expect("an event");
        assert_eq!(event.event.kind, Kind::Dispatch);
        event.id
    }

    /// The recipient's receipt comes for the letter that left as the `counter`-th.
    fn is_receipted(&mut self, counter: u64, id: EventId) -> Vec<Effect> {
        let (seq, prev) = (self.receipts.0 + 1, self.receipts.1);
        let place = Place { incarnation: Incarnation::FIRST, counter: Counter(counter), id };
        let receipt = Receipt { entries: vec![place], heads: Heads::default(), stamps: Vec::new() };
        let event = Event {
            office: office_id(RECIPIENT),
            incarnation: Incarnation::FIRST,
            seq: Seq(seq),
            prev,
            claimed_at: DAY,
            kind: Kind::Receipt,
            urgency: Urgency::Normal,
            to: vec![Addressee { office: office_id(SENDER), counter: Counter(seq) }],
            seen: Vec::new(),
            blobs: Vec::new(),
            body: Body::Receipt(receipt).encode().expect("a body"),
            sealed: None,
            archive: None,
            content: None,
        };
        let event = seal(event, &key(RECIPIENT)).expect("a sound event");
        self.receipts = (seq, event.id());
        let verifier = Verifier::new(registry("nats://127.0.0.1:1"));
        let pack = Message::Pack(vec![PackItem::new(0, event.bytes())]).encode();
        let opened = inbound::open(&verifier, &pack).expect("a pack");
        self.step(Input::Delivered { relay: relay(), delivery: Delivery(seq), opened })
    }
}

fn is_offered(effects: &[Effect], one: Opening) -> bool {
    let blob = one.enclosure.blob;
    effects.iter().any(|effect| matches!(effect, Effect::OfferBlob { blob: found, .. } if *found == blob))
}

fn released(effects: &[Effect]) -> Vec<BlobRef> {
    let released = effects.iter().filter_map(|effect| match effect {
        Effect::Release { blobs, .. } => Some(blobs.clone()),
        _ => None,
    });
    released.flatten().collect()
}

/// The relay says why, people can read it, and it is asked ever more seldom.
#[test]
fn attachment_that_a_relay_does_not_take_is_offered_ever_more_seldom_and_said() {
    let mut outbox = Outbox::new();
    let one = opening(1);
    let mut effects = outbox.sends(7, Urgency::Normal, one);
    let mut waits = Vec::new();
    for _ in 0..6 {
        assert!(is_offered(&effects, one), "{effects:?}");
        let after = outbox.offered(one, Offered::Refused("attachments-full: 5 bytes wait here".to_owned()));
        assert!(!is_offered(&after, one), "at once: {after:?}");
        let again = outbox.node.wakeup().expect("it is tried again");
        waits.push(again.since(outbox.now));
        outbox.now = again;
        effects = outbox.step(Input::Tick);
    }
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
    let reader = node::store::Reader::open(&outbox.folder.path().join("tram.db")).expect("a reader");
    let why = reader.why(&DocumentId::new([7; 16]), outbox.now).expect("readable").expect("it is there");
    assert_eq!((why[0].cause, why[0].who), ("refused-by-relay", "relay-operator"));
    let reason = why[0].reason.as_deref().unwrap_or_default();
    assert!(reason.starts_with("attachments-full: "), "{reason}");
}

fn large(n: u8) -> Opening {
    let one = opening(n);
    let blob = BlobRef { length: 100 * SMALL_BYTES_MAX, ..one.enclosure.blob };
    Opening {
        enclosure: Enclosure { blob, ..one.enclosure },
        file: FileRef { length: 99 * SMALL_BYTES_MAX, ..one.file },
    }
}

fn offers(effects: &[Effect]) -> Vec<u8> {
    let offers = effects.iter().filter_map(|effect| match effect {
        Effect::OfferBlob { blob, .. } => Some(blob.hash.as_bytes()[0]),
        _ => None,
    });
    offers.collect()
}

/// A line that takes days for a film takes a letter beside it.
#[test]
fn small_attachment_does_not_wait_for_large_ones() {
    let mut outbox = Outbox::new();
    assert_eq!(offers(&outbox.sends(1, Urgency::Normal, large(1))), [1]);
    assert_eq!(offers(&outbox.sends(2, Urgency::Normal, large(2))), [2]);
    assert!(offers(&outbox.sends(3, Urgency::Normal, large(3))).is_empty(), "two at a time");
    for n in 4..4 + u8::try_from(SMALL_UPLOADS_MAX).expect("few") {
        assert_eq!(offers(&outbox.sends(n, Urgency::Normal, opening(n))), [n]);
    }
    assert!(offers(&outbox.sends(100, Urgency::Normal, opening(100))).is_empty());

    let mut inbox = Inbox::new();
    for n in 1..=8 {
        assert_eq!(looked_at(&inbox.comes(n, Urgency::Normal, large(n))).len(), 1);
    }
    assert!(looked_at(&inbox.comes(9, Urgency::Normal, large(9))).is_empty());
    assert_eq!(looked_at(&inbox.comes(10, Urgency::Normal, opening(10))), [BlobHash::new([10; 32])]);
}

#[test]
fn large_attachments_take_turns_and_those_that_are_less_urgent_do_not_interrupt() {
    let mut outbox = Outbox::new();
    for n in 1..=4 {
        outbox.sends(n, Urgency::Normal, large(n));
    }
    let lacks = || Offered::Lacks(vec![5, 6, 7]);
    let stores =
        |effects: &[Effect]| effects.iter().any(|effect| matches!(effect, Effect::StoreChunk { .. }));
    // Who was interrupted stands behind those that wait.
    for (ends, begins) in [(1, 3), (2, 4), (3, 1), (4, 2), (1, 3)] {
        let turn = outbox.offered(large(ends), lacks());
        assert_eq!((offers(&turn), stores(&turn)), (vec![begins], false), "{ends} had its turn: {turn:?}");
    }
    let mut urgent = Outbox::new();
    urgent.sends(1, Urgency::Urgent, large(1));
    urgent.sends(2, Urgency::Normal, large(2));
    urgent.sends(3, Urgency::Normal, large(3));
    let goes_on = urgent.offered(large(1), lacks());
    assert_eq!((offers(&goes_on), stores(&goes_on)), (vec![], true), "{goes_on:?}");
    assert_eq!(offers(&urgent.offered(large(2), lacks())), [3]);
}

#[test]
fn relay_may_let_go_of_an_attachment_once_every_document_with_it_has_its_receipt() {
    let mut outbox = Outbox::new();
    let (one, other) = (opening(1), opening(2));
    let (first, second, third) = (outbox.leaves(1, one), outbox.leaves(2, one), outbox.leaves(3, other));
    assert!(released(&outbox.is_receipted(1, first)).is_empty(), "another document waits with it");
    assert_eq!(released(&outbox.is_receipted(3, third)), [other.enclosure.blob]);
    assert_eq!(released(&outbox.is_receipted(2, second)), [one.enclosure.blob]);
}

/// The relay may never have heard of it, and this station may have been killed meanwhile.
#[test]
fn relay_is_told_with_every_connection_until_it_has_answered() {
    let mut outbox = Outbox::new();
    let one = opening(1);
    let blob = one.enclosure.blob;
    let first = outbox.leaves(1, one);
    outbox.step(Input::Disconnected(relay()));
    assert!(released(&outbox.is_receipted(1, first)).is_empty(), "nobody is there to be told");
    assert_eq!(released(&outbox.starts_again()), [blob]);
    assert_eq!(released(&outbox.starts_again()), [blob]);
    outbox.step(Input::Released { relay: relay(), blobs: vec![blob] });
    assert!(released(&outbox.starts_again()).is_empty());
}

/// Otherwise the word that came late would let go of what waits again.
#[test]
fn attachment_that_is_sent_again_is_offered_again_and_not_forgotten() {
    let mut outbox = Outbox::new();
    let one = opening(1);
    let blob = one.enclosure.blob;
    let first = outbox.leaves(1, one);
    assert_eq!(released(&outbox.is_receipted(1, first)), [blob]);
    assert!(is_offered(&outbox.sends(2, Urgency::Express, one), one), "the relay may have let go of it");
    outbox.step(Input::Released { relay: relay(), blobs: vec![blob] });
    let left = outbox.offered(one, Offered::Lacks(Vec::new()));
    assert!(left.iter().any(|effect| matches!(effect, Effect::Publish { .. })), "{left:?}");
    assert!(released(&outbox.starts_again()).is_empty(), "the second document waits with it");
}

fn limits(blob_bytes_max: u64, office_fingerprint: u64) -> BlobLimits {
    BlobLimits { blob_bytes_max, office_bytes_max: u64::MAX, office_bytes_used: 0, office_fingerprint }
}

/// A restore, or chunks that came late, made one of the two forget.
#[test]
fn relay_lets_go_of_what_the_station_does_not_know_that_it_keeps() {
    let mut outbox = Outbox::new();
    let (one, other) = (opening(1).enclosure.blob, opening(2).enclosure.blob);
    outbox.leaves(1, opening(1));
    let same = outbox.step(Input::Takes { relay: relay(), limits: limits(u64::MAX, fingerprint(&one)) });
    assert!(same.is_empty(), "{same:?}");
    let both = fingerprint(&one) ^ fingerprint(&other);
    let asked = outbox.step(Input::Takes { relay: relay(), limits: limits(u64::MAX, both) });
    assert_eq!(asked, [Effect::AskKept { relay: relay(), after: None }]);
    let told = outbox.step(Input::Keeps { relay: relay(), blobs: vec![one, other] });
    assert_eq!(told, [Effect::Release { relay: relay(), blobs: vec![other] }]);
    let many = vec![one; KEPT_MAX];
    let more = outbox.step(Input::Keeps { relay: relay(), blobs: many });
    assert_eq!(more, [Effect::AskKept { relay: relay(), after: Some(one) }]);
}

/// The event went over another relay, and its receipt came before the upload to this one had ended.
#[test]
fn upload_that_nobody_waits_for_any_more_is_stopped_before_the_relay_lets_go() {
    let mut outbox = Outbox::new();
    let one = opening(1);
    let first = outbox.leaves(1, one);
    outbox.step(Input::Disconnected(relay()));
    outbox.now = outbox.now.plus(Millis::HOUR);
    let mut offered = outbox.step(Input::Connected(relay()));
    offered.extend(outbox.step(Input::Tick));
    assert!(is_offered(&offered, one), "{offered:?}");
    assert!(released(&outbox.is_receipted(1, first)).is_empty(), "chunks are on their way");
    let stopped = outbox.offered(one, Offered::Lacks(vec![0, 1]));
    assert_eq!(released(&stopped), [one.enclosure.blob]);
    assert!(!stopped.iter().any(|effect| matches!(effect, Effect::StoreChunk { .. })), "{stopped:?}");
}

#[test]
fn attachment_that_no_relay_takes_is_refused_before_anything_is_recorded() {
    let mut outbox = Outbox::new();
    let one = opening(1);
    let found = one.enclosure.blob.length;
    let limits = |blob_bytes_max| limits(blob_bytes_max, 0);
    outbox.step(Input::Takes { relay: relay(), limits: limits(found - 1) });
    let refused = outbox.sends(1, Urgency::Express, one);
    let refusal = Refusal::AttachmentTooLarge { office: None, found, max: found - 1 };
    assert_eq!(refused, [Effect::Answer { ticket: Ticket(2), answer: Answer::Refused(refusal) }]);
    // The operator has set it higher since.
    outbox.step(Input::Takes { relay: relay(), limits: limits(found) });
    assert!(is_offered(&outbox.sends(1, Urgency::Express, one), one));
}
