//! Documents on their way out, as a list, however many there are and however much happened to each.

mod station;

use std::collections::BTreeSet;
use std::path::Path;

use node::Node;
use node::step::{Answer, Effect, Input, Ticket};
use node::store::{Reader, Store};
use schema::document::{DocumentType, Manifest, Signer};
use schema::exchange::{Command, Work};
use schema::handling::{Actor, Recipients, Role};
use schema::id::DocumentId;
use schema::time::Millis;
use station::{RECIPIENT, SENDER, key, office_id, registry};

/// 2025-06-10, seven in the morning in Vietnam.
const MORNING: Millis = Millis(1_749_513_600_000);
/// Drafts, and how often each was changed.
const DRAFTS: u64 = 1_000;
const CHANGES: u64 = 20;

fn opened(folder: &Path) -> Node {
    let store = Store::open(&folder.join("tram.db")).expect("a store");
    let registry = registry("nats://127.0.0.1:1");
    Node::open(store, key(SENDER), registry, office_id(SENDER), [1; 32], MORNING).expect("a node")
}

fn document(n: u64) -> DocumentId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_le_bytes());
    DocumentId::new(id)
}

fn drafted(n: u64, change: u64) -> Input {
    let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
    let subject = format!("V/v kiểm tra hồ chứa nước số {n}, dự thảo lần {change}");
    let manifest =
        Manifest::new(document(n), office_id(SENDER), DocumentType::OfficialLetter, subject, signer);
    let to = Recipients::Listed(vec![office_id(RECIPIENT)]);
    let by = Actor { name: "Lò Thị Mai".to_owned(), role: Role::Officer };
    let command = Command::Work { by, work: Work::Draft { manifest: Box::new(manifest), to } };
    Input::Command { ticket: Ticket(n), command }
}

/// A page says what a row needs and leaves out what happened to each document; the pages together are the whole list.
#[test]
fn pages_of_drafts_are_short_and_together_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = opened(folder.path());
    for change in 1..=CHANGES {
        let all: Vec<Input> = (0..DRAFTS).map(|n| drafted(n, change)).collect();
        for together in all.chunks(100) {
            let effects = node.step(together.to_vec(), MORNING).expect("a step");
            let recorded = |effect: &Effect| matches!(effect, Effect::Answer { answer: Answer::Done(_), .. });
            assert_eq!(effects.iter().filter(|effect| recorded(effect)).count(), together.len());
        }
    }
    let reader = Reader::open(&folder.path().join("tram.db")).expect("a reader");
    let mut listed = Vec::new();
    let mut before = None;
    loop {
        let page = reader.drafts(before, 50).expect("readable");
        assert_eq!(
            page.rows.len(),
            50,
            "1,000 drafts fill twenty pages, and there is no empty one behind them"
        );
        assert!(page.rows.iter().all(|row| row.steps.is_none() && row.signed_at.is_none()));
        listed.extend(page.rows.iter().map(|row| row.document));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let newest_first: Vec<DocumentId> = (0..DRAFTS).rev().map(document).collect();
    assert_eq!(listed, newest_first);
    assert_eq!(listed.iter().collect::<BTreeSet<_>>().len() as u64, DRAFTS);
    let one = reader.draft(&document(7)).expect("readable").expect("it is there");
    assert_eq!(one.steps.map(|steps| steps.len() as u64), Some(CHANGES));
    let subject = one.subject.expect("a draft says what it is about");
    assert!(subject.ends_with("số 7, dự thảo lần 20"), "{subject}");
}
