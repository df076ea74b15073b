//! What is due and what is late, at a station whose calendar and clock the test holds.

mod station;

use std::path::Path;
use std::sync::Arc;

use node::Node;
use node::step::{Effect, Input, Ticket};
use node::store::{Reader, Store};
use schema::body::Dispatch;
use schema::document::{DocumentType, Manifest, Signer};
use schema::event::Verifier;
use schema::exchange::Command;
use schema::handling::Calendar;
use schema::id::{DocumentId, RegionId};
use schema::inbound;
use schema::invariant::OVERDUE_MS;
use schema::time::{Day, Millis};
use station::{RECIPIENT, SENDER, key, office_id, registry};

/// 2025-06-10, a Tuesday, seven in the morning in Vietnam.
const MORNING: Millis = Millis(1_749_513_600_000);

fn opened(folder: &Path, n: u8) -> Node {
    let store = Store::open(&folder.join("tram.db")).expect("a store");
    let registry = registry("nats://127.0.0.1:1");
    Node::open(store, key(n), registry, office_id(n), [n; 32], MORNING).expect("a node")
}

/// Task and timeliness of everything that presses.
fn pressing(folder: &Path, calendar: &Calendar, now: Millis) -> Vec<(String, String)> {
    let reader = Reader::open(&folder.join("tram.db")).expect("a reader");
    let due = serde_json::to_value(reader.due(calendar, now).expect("readable")).expect("JSON");
    let word = |row: &serde_json::Value, key: &str| row[key].as_str().expect("a word").to_owned();
    let rows = due["rows"].as_array().into_iter().flatten();
    rows.map(|row| (word(row, "task"), word(row, "timeliness"))).collect()
}

fn one(task: &str, timeliness: &str) -> Vec<(String, String)> {
    vec![(task.to_owned(), timeliness.to_owned())]
}

/// F2: a document is to be accepted the day it comes, at the latest on the next working day; its sender is told when no
/// receipt comes.
#[test]
fn f2_document_is_due_in_the_evening_and_late_after_the_next_working_day() {
    let (there, here) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (mut sender, mut recipient) = (opened(there.path(), SENDER), opened(here.path(), RECIPIENT));
    let relay: RegionId = "p01".parse().expect("a region");
    let (document, signer) = (DocumentId::new([7; 16]), Signer::head("Chủ tịch", "Vàng A Sáng"));
    let letter = DocumentType::OfficialLetter;
    let manifest = Manifest::new(document, office_id(SENDER), letter, "V/v kiểm tra hồ chứa nước", signer);
    let command = Command::Dispatch {
        to: vec![office_id(RECIPIENT)],
        dispatch: Box::new(Dispatch::unsigned(manifest)),
        reference_only: true,
    };
    let inputs = vec![Input::Connected(relay), Input::Command { ticket: Ticket(1), command }];
    let effects = sender.step(inputs, MORNING).expect("a step");
    let published = effects.iter().find_map(|effect| match effect {
        Effect::Publish { message, .. } => Some(message),
        _ => None,
    });
    let verifier = Verifier::new(Arc::clone(recipient.registry()));
    let opened = inbound::open(&verifier, published.expect("a pack")).expect("a pack");
    let imported = Input::Imported { ticket: Ticket(1), opened };
    recipient.step(vec![imported], MORNING).expect("a step");
    while recipient.wakeup().is_some_and(|at| at <= MORNING) {
        recipient.step(vec![Input::Tick], MORNING).expect("a step");
    }

    let usual = Calendar::default();
    let at = |hours: u64| MORNING.plus(hours * Millis::HOUR);
    assert!(pressing(here.path(), &usual, at(9)).is_empty());
    assert_eq!(pressing(here.path(), &usual, at(10)), one("to-accept", "due"));
    assert_eq!(pressing(here.path(), &usual, at(34)), one("to-accept", "due"));
    assert_eq!(pressing(here.path(), &usual, at(35)), one("to-accept", "late"));
    let mut with_holiday = Calendar::default();
    with_holiday.holidays.insert("2025-06-11".parse::<Day>().expect("a day"));
    assert_eq!(pressing(here.path(), &with_holiday, at(35)), one("to-accept", "due"));

    assert!(pressing(there.path(), &usual, MORNING.plus(OVERDUE_MS)).is_empty());
    assert_eq!(pressing(there.path(), &usual, MORNING.plus(OVERDUE_MS + 1)), one("to-arrive", "late"));
}
