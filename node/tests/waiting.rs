//! What waits for a person: nothing that was said is dropped, and none of it is hidden behind the first page.

mod station;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use node::Node;
use node::step::{Answer, Effect, Input, Ticket};
use node::store::{Reader, Store, WaitingPages, WaitingViews};
use schema::body::Dispatch;
use schema::document::{DocumentType, Manifest, Signer};
use schema::event::{Kind, RecordedEvent, Verifier};
use schema::exchange::{Command, Work};
use schema::handling::{Actor, BusinessKind, Role};
use schema::id::{BusinessId, DocumentId, Position};
use schema::inbound;
use schema::pack::{Message, PackItem, packs};
use schema::time::Millis;
use station::{RECIPIENT, SENDER, key, office_id, registry};

/// 2025-06-10, seven in the morning in Vietnam.
const MORNING: Millis = Millis(1_749_513_600_000);
/// More than two of the largest pages.
const DOCUMENTS: u64 = 450;

fn opened(folder: &Path, n: u8) -> Node {
    let store = Store::open(&folder.join("tram.db")).expect("a store");
    let registry = registry("nats://127.0.0.1:1");
    Node::open(store, key(n), registry, office_id(n), [n; 32], MORNING).expect("a node")
}

fn id(n: u64) -> [u8; 16] {
    let mut id = [9; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    id
}

fn document(n: u64) -> DocumentId {
    DocumentId::new(id(n))
}

fn by() -> Actor {
    Actor { name: "Lò Thị Mai".to_owned(), role: Role::Clerk }
}

fn work(n: u64, work: Work) -> Input {
    Input::Command { ticket: Ticket(n), command: Command::Work { by: by(), work } }
}

fn sent(n: u64) -> Input {
    let (signer, letter) = (Signer::head("Chủ tịch", "Vàng A Sáng"), DocumentType::OfficialLetter);
    let manifest = Manifest::new(document(n), office_id(SENDER), letter, format!("V/v số {n}"), signer);
    let dispatch = Box::new(Dispatch::unsigned(manifest));
    let command =
        Command::Dispatch { by: None, to: vec![office_id(RECIPIENT)], dispatch, reference_only: true };
    Input::Command { ticket: Ticket(n), command }
}

fn asked_back(n: u64) -> Input {
    let (business, reason) = (BusinessId::new(id(n)), "Thiếu phụ lục".to_owned());
    work(
        n,
        Work::Ask { document: document(n), of: Vec::new(), kind: BusinessKind::TakeBack, business, reason },
    )
}

fn set_aside(n: u64) -> Input {
    let reason = "Đã gọi điện: bên gửi gửi nhầm.".to_owned();
    work(n, Work::SetAside { with: office_id(SENDER), document: document(n), reason })
}

/// Takes in what the sender has recorded of one kind, in its order.
fn takes(node: &mut Node, sender: &Node, kind: Kind) {
    let entries = sender.store().journal(Position(1), 10_000).expect("readable");
    let of_kind =
        entries.iter().filter(|entry| RecordedEvent::read(&entry.bytes).expect("sound").event.kind == kind);
    let verifier = Verifier::new(Arc::clone(node.registry()));
    let inputs = packs(of_kind.map(|entry| PackItem::new(0, &entry.bytes))).into_iter().map(|pack| {
        let opened = inbound::open(&verifier, &Message::Pack(pack).encode()).expect("a pack");
        Input::Imported { ticket: Ticket(1), opened }
    });
    for input in inputs.collect::<Vec<_>>() {
        node.step(vec![input], MORNING).expect("a step");
    }
    while node.wakeup().is_some_and(|at| at <= MORNING) {
        node.step(vec![Input::Tick], MORNING).expect("a step");
    }
}

fn does(node: &mut Node, inputs: Vec<Input>) {
    let expected = inputs.len();
    let effects = node.step(inputs, MORNING).expect("a step");
    let done = effects.iter().filter(|effect| match effect {
        Effect::Answer { answer, .. } => matches!(answer, Answer::Done(_) | Answer::Dispatched { .. }),
        _ => false,
    });
    assert_eq!(done.count(), expected, "{effects:?}");
}

/// All pages of both lists, one after the other.
fn all_pages(reader: &Reader, rows: u32, all: bool) -> WaitingViews {
    let mut pages = WaitingPages { rows, all, ..WaitingPages::default() };
    let mut together = reader.waiting(&pages).expect("readable");
    while let Some(after) = together.asked_next.take() {
        pages.asked_after = Some(after.to_string().parse().expect("a place"));
        let page = reader.waiting(&pages).expect("readable");
        assert!(!page.asked.is_empty(), "no page is empty but the first");
        together.asked.extend(page.asked);
        together.asked_next = page.asked_next;
    }
    while let Some(after) = together.without_document_next.take() {
        pages.without_document_after = Some(after.to_string().parse().expect("a place"));
        let page = reader.waiting(&pages).expect("readable");
        assert!(!page.without_document.is_empty(), "no page is empty but the first");
        together.without_document.extend(page.without_document);
        together.without_document_next = page.without_document_next;
    }
    together
}

fn documents(views: &[node::store::WaitingView]) -> BTreeSet<DocumentId> {
    let documents: BTreeSet<DocumentId> = views.iter().map(|view| view.document).collect();
    assert_eq!(documents.len(), views.len(), "each once");
    documents
}

/// G5: 450 senders' questions about documents that are not here are all listed; one that a clerk has set aside is found with
/// `all`, who did it and why; a document that comes is worked on as usual.
#[test]
fn g5_nothing_that_was_said_is_hidden_behind_a_page() {
    let (there, here) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (mut sender, mut recipient) = (opened(there.path(), SENDER), opened(here.path(), RECIPIENT));
    does(&mut sender, (0..DOCUMENTS).map(sent).collect());
    does(&mut sender, (0..DOCUMENTS).map(asked_back).collect());
    takes(&mut recipient, &sender, Kind::BusinessRequest);
    let reader = Reader::open(&here.path().join("tram.db")).expect("a reader");
    let every: BTreeSet<DocumentId> = (0..DOCUMENTS).map(document).collect();
    for rows in [200, 150, 7] {
        let waiting = all_pages(&reader, rows, false);
        assert_eq!(documents(&waiting.without_document), every);
        assert!(waiting.asked.is_empty() && waiting.to_register == 0);
    }

    does(&mut recipient, vec![set_aside(3), set_aside(DOCUMENTS - 1)]);
    let waiting = all_pages(&reader, 200, false);
    assert_eq!(waiting.without_document.len() as u64, DOCUMENTS - 2);
    assert!(waiting.without_document.iter().all(|view| view.set_aside.is_none()));
    let with_all = all_pages(&reader, 200, true);
    assert_eq!(documents(&with_all.without_document), every);
    let found = with_all.without_document.iter().find(|view| view.document == document(3));
    let step = found.and_then(|view| view.set_aside.clone()).expect("who set it aside");
    assert_eq!(
        (step.by.as_deref(), step.note.as_deref(), step.at),
        (Some("Lò Thị Mai"), Some("Đã gọi điện: bên gửi gửi nhầm."), MORNING)
    );

    takes(&mut recipient, &sender, Kind::Dispatch);
    let waiting = all_pages(&reader, 200, true);
    assert!(waiting.without_document.is_empty(), "every document has come");
    assert_eq!((documents(&waiting.asked), waiting.to_register), (every, DOCUMENTS));
    let asked: Vec<DocumentId> = waiting.asked.iter().map(|view| view.document).collect();
    assert_eq!(
        asked,
        (0..DOCUMENTS).map(document).collect::<Vec<_>>(),
        "whoever has waited longest comes first"
    );
    let replayed = recipient.store().replay(office_id(RECIPIENT)).expect("readable");
    assert_eq!(replayed.hash(), recipient.state_hash().expect("readable"));
}

#[test]
fn place_in_the_list_is_read_back_or_refused() {
    for text in ["", "1", "1.2.3", "x.00000000000000000000000000000000.0", "1.00.0"] {
        assert!(text.parse::<node::store::WaitingCursor>().is_err(), "{text}");
    }
    let text = format!("7.{}.1", document(4));
    assert_eq!(text.parse::<node::store::WaitingCursor>().map(|place| place.to_string()), Ok(text));
}
