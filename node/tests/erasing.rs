//! The content of a document is erased: what goes, what stays, and that it does not come back. The step alone, with correspondents,
//! relays and the disk played by the test.

mod letters;
mod station;

use letters::{DAY, opening, relay};
use node::Node;
use node::step::{Answer, Delivery, Effect, Found, Input, LEFTOVERS_MAX, Offered, Opening, Ticket};
use node::store::{AttachmentState, Claim, Reader, Store};
use schema::blob::BlobRef;
use schema::body::{
    Ask, Body, Dispatch, ErasedContent, Heads, Place, Receipt, RestoreReason, Restored, Status,
};
use schema::document::{Attachment, DocumentType, Manifest, Signer};
use schema::event::{Addressee, Event, Kind, RecordedEvent, Urgency, Verifier, seal};
use schema::exchange::{Arrival, Command, Work, WorkRefusal};
use schema::handling::{Actor, Direction, Erasure, ErasureGround, Recipients, RefusalReason, Role};
use schema::id::{BlobHash, Counter, DocumentId, EventId, Incarnation, Seq};
use schema::inbound;
use schema::pack::{Message, PackItem};
use schema::time::Millis;
use station::{RECIPIENT, SENDER, key, office_id, registry};

fn document(n: u8) -> DocumentId {
    DocumentId::new([n; 16])
}

fn letter(issuer: u8, n: u8, opening: Opening) -> Dispatch {
    let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
    let file = opening.file;
    let attachment = Attachment { name: "a.pdf".to_owned(), media_type: "application/pdf".to_owned(), file };
    let kind = DocumentType::OfficialLetter;
    let manifest = Manifest::new(document(n), office_id(issuer), kind, "V/v thử", signer);
    let manifest = Manifest { attachments: vec![attachment], ..manifest };
    Dispatch { enclosures: vec![opening.enclosure], ..Dispatch::unsigned(manifest) }
}

/// A station, and events of one correspondent that reach it in order.
struct Desk {
    node: Node,
    me: u8,
    peer: u8,
    life: Incarnation,
    seq: u64,
    head: EventId,
    now: Millis,
    folder: tempfile::TempDir,
}

impl Desk {
    fn of(me: u8, peer: u8) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(&folder.path().join("tram.db")).expect("a store");
        let node = Node::open(store, key(me), registry("nats://127.0.0.1:1"), office_id(me), [1; 32], DAY);
        let mut node = node.expect("a node");
        node.step(vec![Input::Connected(relay())], DAY).expect("a step");
        let (life, head) = (Incarnation::FIRST, EventId::NONE);
        Self { node, me, peer, life, seq: 0, head, now: DAY, folder }
    }

    /// A recipient.
    fn new() -> Self {
        Self::of(RECIPIENT, SENDER)
    }

    fn step(&mut self, input: Input) -> Vec<Effect> {
        self.now = self.now.plus(1);
        self.node.step(vec![input], self.now).expect("a step")
    }

    fn comes(&mut self, kind: Kind, blobs: Vec<BlobRef>, body: &Body) -> Vec<Effect> {
        self.seq += 1;
        let event = Event {
            office: office_id(self.peer),
            incarnation: self.life,
            seq: Seq(self.seq),
            prev: self.head,
            claimed_at: DAY,
            kind,
            urgency: Urgency::Normal,
            to: vec![Addressee { office: office_id(self.me), counter: Counter(self.seq) }],
            seen: Vec::new(),
            blobs,
            body: body.encode().expect("a body"),
            archive: None,
            sealed: None,
            content: None,
        };
        let event = seal(event, &key(self.peer)).expect("a sound event");
        self.head = event.id();
        let verifier = Verifier::new(registry("nats://127.0.0.1:1"));
        let pack = Message::Pack(vec![PackItem::new(0, event.bytes())]).encode();
        let opened = inbound::open(&verifier, &pack).expect("a pack");
        self.step(Input::Delivered { relay: relay(), delivery: Delivery(self.seq), opened })
    }

    fn letter_comes(&mut self, n: u8, opening: Opening) -> Vec<Effect> {
        let body = Body::Dispatch(letter(self.peer, n, opening));
        self.comes(Kind::Dispatch, vec![opening.enclosure.blob], &body)
    }

    /// A letter comes, its attachment is fetched, and it is refused: nobody works with it any more.
    fn settled(&mut self, n: u8, opening: Opening) {
        let came = self.letter_comes(n, opening);
        if !is_receipted(&came) {
            let (blob, found) = (opening.enclosure.blob, Found::Whole(vec![(opening, true)]));
            assert!(is_receipted(&self.step(Input::Examined { blob, found })));
        }
        let arrival = Arrival { from: office_id(self.peer), document: document(n) };
        let reason = RefusalReason::WrongAddressee;
        self.works(Role::Clerk, Work::Refuse { arrival, reason, words: None });
    }

    /// What the clerk's station answers, and what may leave.
    fn works(&mut self, role: Role, work: Work) -> Vec<Effect> {
        let by = Actor { name: "Lò Thị Mai".to_owned(), role };
        let effects = self.step(Input::Command { ticket: Ticket(9), command: Command::Work { by, work } });
        let refused = effects.iter().find(|effect| {
            !matches!(effect, Effect::Answer { answer: Answer::Done(_), .. })
                && matches!(effect, Effect::Answer { .. })
        });
        assert_eq!(refused, None);
        effects
    }

    fn erase(&mut self, issuer: u8, n: u8) -> Vec<Effect> {
        self.works(Role::Leader, erasure(issuer, n))
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.folder.path().join("tram.db")).expect("a reader")
    }

    /// Asks about files that somebody has found; those that go.
    fn asks_about(&mut self, blobs: &[BlobRef]) -> Vec<BlobRef> {
        let effects = self.step(Input::Leftovers { ticket: Ticket(8), blobs: blobs.to_vec() });
        let answered = effects.iter().find_map(|effect| match effect {
            Effect::Answer { answer: Answer::Discarded(gone), .. } => Some(gone.clone()),
            _ => None,
        });
        let gone = answered.expect("an answer");
        assert_eq!(discarded(&effects), gone, "what is told is what is done");
        gone
    }

    fn state_is_replayed(&self) {
        let store = Store::open(&self.folder.path().join("tram.db")).expect("a second connection");
        let replayed = store.replay(office_id(self.me)).expect("a replay");
        let live = store.state_hash(self.node.exchange()).expect("hashed");
        schema::invariant::replay_gives_live_state(live, replayed.hash()).expect("P7");
    }
}

fn erasure(issuer: u8, n: u8) -> Work {
    let (decision, reason) = ("15/QĐ-UBND ngày 02/01/2025".to_owned(), "Hết giá trị".to_owned());
    let erasure = Erasure { ground: ErasureGround::Ordered, decision, reason };
    Work::Erase { issuer: office_id(issuer), document: document(n), erasure }
}

fn discarded(effects: &[Effect]) -> Vec<BlobRef> {
    let discarded = effects.iter().filter_map(|effect| match effect {
        Effect::Discard { blobs } => Some(blobs.clone()),
        _ => None,
    });
    discarded.flatten().collect()
}

fn published(effects: &[Effect]) -> Vec<RecordedEvent> {
    let packs = effects.iter().filter_map(|effect| match effect {
        Effect::Publish { message, .. } => match Message::parse(message) {
            Ok(Message::Pack(items)) => Some(items),
            _ => None,
        },
        _ => None,
    });
    packs.flatten().map(|item| RecordedEvent::read(&item.event).expect("an event")).collect()
}

/// The first event of this kind that leaves, and its place in the channel.
fn of_kind(effects: &[Effect], kind: Kind) -> Option<(RecordedEvent, Place)> {
    let event = published(effects).into_iter().find(|recorded| recorded.event.kind == kind)?;
    let (incarnation, counter) = (event.event.incarnation, event.event.to[0].counter);
    let place = Place { incarnation, counter, id: event.id };
    Some((event, place))
}

fn is_receipted(effects: &[Effect]) -> bool {
    of_kind(effects, Kind::Receipt).is_some()
}

fn is_looked_for(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::Examine { .. } | Effect::FetchChunk { .. }))
}

#[test]
fn attachments_go_and_what_the_event_says_stays() {
    let mut desk = Desk::new();
    let one = opening(1);
    desk.settled(1, one);
    let before = desk.reader().document(&document(1), DAY).expect("readable").expect("it is here");
    let gone = desk.erase(SENDER, 1);
    assert_eq!(discarded(&gone), [one.enclosure.blob]);
    let after = desk.reader().document(&document(1), DAY).expect("readable").expect("it is still here");
    assert_eq!(after.attachments[0].state, AttachmentState::Erased);
    let erased = after.erased.expect("it says so");
    assert_eq!((erased.by.as_str(), erased.kept_until), ("Lò Thị Mai", None));
    assert_eq!((before.event, &before.subject), (after.event, &after.subject));
    assert_eq!(before.attachments[0].attachment.file, after.attachments[0].attachment.file);
    desk.state_is_replayed();
}

#[test]
fn attachment_goes_with_the_last_document_that_needs_it() {
    let mut desk = Desk::new();
    let shared = opening(1);
    desk.settled(1, shared);
    desk.settled(2, shared);
    assert!(discarded(&desk.erase(SENDER, 1)).is_empty(), "another document needs it");
    let view = desk.reader().document(&document(1), DAY).expect("readable").expect("here");
    assert_eq!(view.attachments[0].state, AttachmentState::Erased, "it is erased all the same");
    assert_eq!(desk.reader().claim_on(&shared.enclosure.blob).expect("readable"), Claim::Needed);
    assert_eq!(discarded(&desk.erase(SENDER, 2)), [shared.enclosure.blob]);
    assert_eq!(desk.reader().claim_on(&shared.enclosure.blob).expect("readable"), Claim::Released);
    desk.state_is_replayed();
}

/// Its sender was restored, and sends again what it does not know to have arrived.
#[test]
fn erased_document_that_comes_again_is_receipted_and_nothing_is_fetched() {
    let mut desk = Desk::new();
    let one = opening(1);
    desk.settled(1, one);
    desk.erase(SENDER, 1);
    let again = desk.letter_comes(1, one);
    assert!(is_receipted(&again) && !is_looked_for(&again), "{again:?}");
    // A restart looks at what is awaited: nothing is.
    assert_eq!(desk.reader().status(desk.now).expect("a status").awaited_attachments, 0);
    let view = desk.reader().document(&document(1), DAY).expect("readable").expect("here");
    assert_eq!(view.attachments[0].state, AttachmentState::Erased);
    // Another document that names the same bytes is another matter: somebody keeps it.
    assert!(is_looked_for(&desk.letter_comes(2, one)));
    desk.state_is_replayed();
}

/// A correspondent that has lost everything asks for its documents back: the event comes, with no attachments to wait for.
#[test]
fn what_was_erased_is_given_back_without_its_attachments() {
    let mut desk = Desk::new();
    desk.settled(1, opening(1));
    desk.settled(2, opening(2));
    desk.erase(SENDER, 1);
    let lost = Ask { incarnation: Incarnation::FIRST, from: Counter(1), to: Counter(2), whole: true };
    (desk.life, desk.seq, desk.head) = (Incarnation::new(1, 7), 0, EventId::NONE);
    let heads = Heads { asks: vec![lost], ..Heads::default() };
    let mut effects = desk.comes(Kind::Head, Vec::new(), &Body::Head(heads));
    // The attachment that is here goes before the event that names it.
    let kept = opening(2).enclosure.blob;
    let is_offered = |effect: &Effect| matches!(effect, Effect::OfferBlob { blob, .. } if *blob == kept);
    if effects.iter().any(is_offered) {
        let offered = Offered::Lacks(Vec::new());
        effects.extend(desk.step(Input::Offered { relay: relay(), blob: kept, offered }));
    }
    let returned = published(&effects).into_iter().filter(|recorded| recorded.event.kind == Kind::Returned);
    let named: Vec<BlobRef> = returned.flat_map(|recorded| recorded.event.blobs).collect();
    assert_eq!(named, [kept], "{effects:?}");
}

/// Sends a letter and has the receipt for it.
fn sent(n: u8, opening: Opening) -> Desk {
    let mut desk = Desk::of(SENDER, RECIPIENT);
    desk.step(Input::Enclosed { ticket: Ticket(1), opening });
    let to = vec![office_id(RECIPIENT)];
    let dispatch = Box::new(Dispatch { enclosures: Vec::new(), ..letter(SENDER, n, opening) });
    let command = Command::Dispatch { by: None, to, dispatch, reference_only: true };
    desk.step(Input::Command { ticket: Ticket(2), command });
    let blob = opening.enclosure.blob;
    let offered = Offered::Lacks(Vec::new());
    let left = desk.step(Input::Offered { relay: relay(), blob, offered });
    let (_, place) = of_kind(&left, Kind::Dispatch).expect("it left");
    let body = Body::Receipt(Receipt { entries: vec![place], heads: Heads::default(), stamps: Vec::new() });
    desk.comes(Kind::Receipt, Vec::new(), &body);
    desk
}

#[test]
fn own_document_that_is_erased_is_sent_again_without_its_attachments() {
    let one = opening(1);
    let mut desk = sent(1, one);
    assert_eq!(discarded(&desk.erase(SENDER, 1)), [one.enclosure.blob]);
    // The recipient has lost everything, and begins anew.
    (desk.life, desk.seq, desk.head) = (Incarnation::new(1, 7), 0, EventId::NONE);
    let restored = Restored {
        previous: Incarnation::FIRST,
        last_seq: Seq(0),
        last_sent: None,
        reason: RestoreReason::Tool,
        heads: Heads::default(),
    };
    let again = desk.comes(Kind::Restored, Vec::new(), &Body::Restored(restored));
    let (_, place) = of_kind(&again, Kind::Dispatch).expect("it is sent again");
    assert!(!again.iter().any(|effect| matches!(effect, Effect::OfferBlob { .. })), "{again:?}");
    // The recipient says what it lacks, and is told that it does not come.
    let heads = Heads { incomplete: vec![place], ..Heads::default() };
    let told = desk.comes(Kind::Head, Vec::new(), &Body::Head(heads));
    let (told, _) = of_kind(&told, Kind::Status).expect("it is told");
    let erased = ErasedContent { entries: vec![place] };
    assert_eq!(Body::read(told.version, &told.event), Ok(Body::Status(Status::Erased(erased))));
    let why = desk.reader().why(&document(1), desk.now).expect("readable").expect("it was sent");
    assert!(why.iter().all(|why| why.cause == "content-erased"), "{why:?}");
    desk.state_is_replayed();
}

/// What its sender has erased is not waited for: later documents have their turn. It gets no receipt for that.
#[test]
fn document_whose_attachments_its_sender_has_erased_holds_up_no_other_one() {
    let mut desk = Desk::new();
    let (lost, later) = (opening(1), opening(2));
    desk.letter_comes(1, lost);
    let place = Place { incarnation: desk.life, counter: Counter(1), id: desk.head };
    desk.letter_comes(2, later);
    let (blob, found) = (later.enclosure.blob, Found::Whole(vec![(later, true)]));
    assert!(is_receipted(&desk.step(Input::Examined { blob, found })));
    let shown = |desk: &Desk| desk.reader().incoming(None, 10, true).expect("a list").rows.len();
    assert_eq!(shown(&desk), 0, "it waits for its turn");
    let says = |desk: &mut Desk, id| {
        let erased = ErasedContent { entries: vec![Place { id, ..place }] };
        desk.comes(Kind::Status, Vec::new(), &Body::Status(Status::Erased(erased)))
    };
    says(&mut desk, EventId::new([9; 32]));
    assert_eq!(shown(&desk), 0, "of another event");
    let told = says(&mut desk, place.id);
    assert_eq!(shown(&desk), 1);
    let receipts = published(&told).into_iter().filter(|recorded| recorded.event.kind == Kind::Receipt);
    for receipt in receipts {
        let Ok(Body::Receipt(receipt)) = Body::read(receipt.version, &receipt.event) else { unreachable!() };
        assert!(!receipt.entries.contains(&place), "a receipt for attachments that never came");
    }
    assert_eq!(desk.reader().status(desk.now).expect("a status").awaited_attachments, 0);
    let view = desk.reader().document(&document(1), DAY).expect("readable").expect("its event is here");
    assert_eq!(view.attachments[0].state, AttachmentState::Gone);
    desk.now = desk.now.plus(Millis::HOUR);
    assert!(!is_looked_for(&desk.step(Input::Tick)), "nobody has it");
    desk.state_is_replayed();
}

#[test]
fn files_that_nobody_needs_go_and_those_that_somebody_needs_stay() {
    let mut desk = Desk::of(SENDER, RECIPIENT);
    let (drafted, uploaded, awaited) = (opening(1), opening(2), opening(3));
    for opening in [drafted, uploaded] {
        desk.step(Input::Enclosed { ticket: Ticket(1), opening });
    }
    let mut manifest = letter(SENDER, 1, drafted).manifest;
    manifest.attachments[0].media_type = "application/pdf".to_owned();
    let to = Recipients::Listed(vec![office_id(RECIPIENT)]);
    desk.works(Role::Officer, Work::Draft { manifest: Box::new(manifest), to });
    desk.letter_comes(7, awaited);
    let unknown = BlobRef { hash: BlobHash::new([0xee; 32]), length: 5 };
    let found = [drafted, uploaded, awaited].map(|opening| opening.enclosure.blob);
    let gone = desk.asks_about(&[&found[..], &[unknown]].concat());
    assert_eq!(gone, [uploaded.enclosure.blob, unknown]);
    assert!(desk.reader().enclosure(&uploaded.file.hash).expect("readable").is_none(), "it can be sent");
    assert!(desk.reader().enclosure(&drafted.file.hash).expect("readable").is_some());
    // Given up, the draft keeps it no more.
    desk.works(Role::Officer, Work::Discard { document: document(1), reason: "Không cần".to_owned() });
    assert_eq!(desk.asks_about(&found), [drafted.enclosure.blob, uploaded.enclosure.blob]);
    // What is asked about at a time is bounded.
    let many: Vec<BlobRef> =
        (0..LEFTOVERS_MAX as u64 + 9).map(|n| BlobRef { length: n + 1, ..unknown }).collect();
    assert_eq!(desk.asks_about(&many).len(), LEFTOVERS_MAX);
    desk.state_is_replayed();
}

#[test]
fn rehearsal_records_nothing() {
    let mut desk = Desk::new();
    desk.settled(1, opening(1));
    let by = Actor { name: "Vàng A Sáng".to_owned(), role: Role::Leader };
    let rehearse = |n| Input::Rehearse {
        ticket: Ticket(3),
        command: Box::new(Command::Work { by: by.clone(), work: erasure(SENDER, n) }),
    };
    let before = desk.node.exchange().seq();
    let done = desk.step(rehearse(1));
    assert!(matches!(&done[..], [Effect::Answer { answer: Answer::Done(_), .. }]), "{done:?}");
    let refused = desk.step(rehearse(2));
    let not_here = WorkRefusal::NotHere { from: office_id(SENDER), document: document(2) };
    assert_eq!(refused, [Effect::Answer { ticket: Ticket(3), answer: Answer::Refused(not_here.into()) }]);
    assert_eq!(desk.node.exchange().seq(), before);
    assert_eq!(desk.reader().claim_on(&opening(1).enclosure.blob).expect("readable"), Claim::Needed);
}

/// Kept for five years, counted from the end of the one in which the work ended.
#[test]
fn documents_whose_time_is_over_are_listed_in_both_directions() {
    /// 2031-01-01T00:00:00+07:00.
    const OVER: Millis = Millis(1_924_966_800_000);
    let mut came = Desk::new();
    came.settled(1, opening(1));
    let mut went = sent(1, opening(1));
    for (desk, direction, issuer) in
        [(&mut came, Direction::Incoming, SENDER), (&mut went, Direction::Outgoing, SENDER)]
    {
        let listed =
            |desk: &Desk, years, now| desk.reader().erasable(direction, years, 0, now).expect("a list");
        assert!(listed(desk, 5, Millis(OVER.0 - 1)).rows.is_empty(), "its last day is not over");
        let rows = listed(desk, 5, OVER).rows;
        assert_eq!((rows.len(), rows[0].document, rows[0].issuer), (1, document(1), office_id(issuer)));
        assert_eq!(
            (rows[0].ended_on.to_string(), rows[0].kept_until.to_string()),
            ("10/06/2025".to_owned(), "31/12/2030".to_owned())
        );
        assert!(listed(desk, 6, OVER).rows.is_empty());
        desk.erase(SENDER, 1);
        assert!(listed(desk, 5, OVER).rows.is_empty(), "it is erased already");
    }
}
