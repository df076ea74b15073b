//! What is due and what is late, at a station whose calendar and clock the test holds.

mod station;

use std::path::Path;
use std::sync::Arc;

use node::Node;
use node::step::{Answer, Effect, Input, Ticket};
use node::store::{Reader, Store, Task};
use schema::body::Dispatch;
use schema::document::{AmendKind, Amends, DocumentType, Manifest, Signer};
use schema::event::Verifier;
use schema::exchange::{Arrival, Command, Work};
use schema::handling::{Actor, BusinessKind, Calendar, Role, Timeliness};
use schema::id::{BusinessId, DocumentId, RegionId};
use schema::inbound;
use schema::invariant::OVERDUE_MS;
use schema::time::{Day, Millis};
use serde_json::json;
use station::{OTHER, RECIPIENT, SENDER, key, office_id, registry};

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
        by: None,
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

/// Gives a step to a node and what it sends to another one; the relay in between only carries.
fn carried(from: &mut Node, to: &mut Node, command: Command, now: Millis) {
    let relay: RegionId = "p01".parse().expect("a region");
    let inputs = vec![Input::Connected(relay), Input::Command { ticket: Ticket(1), command }];
    let mut effects = from.step(inputs, now).expect("a step");
    while from.wakeup().is_some_and(|at| at <= now) {
        effects.extend(from.step(vec![Input::Tick], now).expect("a step"));
    }
    let refused = effects
        .iter()
        .any(|effect| matches!(effect, Effect::Answer { answer: Answer::Refused(_) | Answer::DiskFull, .. }));
    assert!(!refused, "{effects:?}");
    let verifier = Verifier::new(Arc::clone(to.registry()));
    for effect in &effects {
        let Effect::Publish { message, .. } = effect else { continue };
        let opened = inbound::open(&verifier, message).expect("a pack");
        to.step(vec![Input::Imported { ticket: Ticket(1), opened }], now).expect("a step");
    }
    while to.wakeup().is_some_and(|at| at <= now) {
        to.step(vec![Input::Tick], now).expect("a step");
    }
}

fn letter(n: u8, amends: Option<Amends>, to: &[u8]) -> Command {
    let (document, signer) = (DocumentId::new([n; 16]), Signer::head("Chủ tịch", "Vàng A Sáng"));
    let letter =
        Manifest::new(document, office_id(SENDER), DocumentType::OfficialLetter, "V/v hồ chứa", signer);
    let dispatch = Box::new(Dispatch::unsigned(Manifest { amends, ..letter }));
    Command::Dispatch {
        by: None,
        to: to.iter().map(|n| office_id(*n)).collect(),
        dispatch,
        reference_only: true,
    }
}

/// G1: until it is answered, a question is due in the evening and late after the next working day, at the office that has to answer
/// and at the one that has asked, recipient by recipient. The answer takes it off both lists.
#[test]
fn g1_question_without_an_answer_is_due_at_both_offices() {
    let question = |n: u8, kind| Work::Ask {
        document: DocumentId::new([n; 16]),
        of: Vec::new(),
        kind,
        business: BusinessId::new([n; 16]),
        reason: "Sai số liệu".to_owned(),
    };
    let update = Amends {
        document: DocumentId::new([1; 16]),
        how: AmendKind::Update,
        reason: "Sai phụ lục".to_owned(),
    };
    let by = |work: Work| Command::Work {
        by: Actor { name: "Lò Thị Mai".to_owned(), role: Role::Clerk },
        work,
    };
    for (ask, what) in [
        (by(question(1, BusinessKind::TakeBack)), "take-back"),
        (letter(2, Some(update), &[RECIPIENT]), "update"),
    ] {
        let (there, here) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (mut sender, mut recipient) = (opened(there.path(), SENDER), opened(here.path(), RECIPIENT));
        let calendar = Calendar::default();
        carried(&mut sender, &mut recipient, letter(1, None, &[RECIPIENT]), MORNING);
        carried(&mut sender, &mut recipient, ask, MORNING);
        let listed = |folder: &Path, task: &str, hours: u64| {
            let reader = Reader::open(&folder.join("tram.db")).expect("a reader");
            let due = reader.due(&calendar, MORNING.plus(hours * Millis::HOUR)).expect("readable");
            let due = serde_json::to_value(due).expect("JSON");
            let rows = due["rows"].as_array().cloned().unwrap_or_default();
            rows.into_iter().filter(|row| row["task"] == task).collect::<Vec<_>>()
        };
        let (asker, asked) = (json!(office_id(SENDER)), json!(office_id(RECIPIENT)));
        for (folder, task, office) in [
            (there.path(), "to-be-answered", ("office", &asked)),
            (here.path(), "to-answer", ("from", &asker)),
        ] {
            assert!(listed(folder, task, 9).is_empty());
            for (hours, timeliness) in [(10, "due"), (34, "due"), (35, "late")] {
                let rows = listed(folder, task, hours);
                let [row] = &rows[..] else { panic!("{task} after {hours} hours: {rows:?}") };
                assert_eq!((&row["timeliness"], &row["what"]), (&json!(timeliness), &json!(what)));
                assert_eq!((&row[office.0], &row["subject"]), (office.1, &json!("V/v hồ chứa")));
            }
        }
        let arrival = Arrival { from: office_id(SENDER), document: DocumentId::new([1; 16]) };
        let answer = by(Work::Answer { arrival, agreed: false, words: None });
        carried(&mut recipient, &mut sender, answer, MORNING.plus(36 * Millis::HOUR));
        assert!(listed(here.path(), "to-answer", 40).is_empty());
        assert!(listed(there.path(), "to-be-answered", 40).is_empty());
    }
}

/// G1, G2: a recall that no station has confirmed is late too; whoever was added by an update is not waited for.
#[test]
fn g1_recall_waits_for_the_recipient_and_an_added_one_is_not_waited_for() {
    let (there, here) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let (mut sender, mut added) = (opened(there.path(), SENDER), opened(here.path(), RECIPIENT));
    let update = Amends {
        document: DocumentId::new([1; 16]),
        how: AmendKind::Update,
        reason: "Sai phụ lục".to_owned(),
    };
    // The one that is left out never hears of it.
    carried(&mut sender, &mut added, letter(1, None, &[OTHER]), MORNING);
    carried(&mut sender, &mut added, letter(2, Some(update), &[RECIPIENT]), MORNING);
    let late = |folder: &Path| {
        let reader = Reader::open(&folder.join("tram.db")).expect("a reader");
        let due = reader.due(&Calendar::default(), MORNING.plus(36 * Millis::HOUR)).expect("readable");
        let rows = due.rows.into_iter().filter(|row| row.task != Task::ToArrive);
        rows.map(|row| (row.task, row.timeliness, row.what, row.office)).collect::<Vec<_>>()
    };
    let recall = (Task::ToBeAnswered, Timeliness::Late, Some(BusinessKind::Recall), Some(office_id(OTHER)));
    assert_eq!(late(there.path()), [recall]);
    // The new one is to be accepted; about one that is not here nobody is asked.
    assert_eq!(late(here.path()), [(Task::ToAccept, Timeliness::Late, None, None)]);
}
