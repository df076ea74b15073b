//! Numbers of a register, however many clerks ask at once.

mod station;

use node::Node;
use node::step::{Answer, Effect, Input, Ticket};
use node::store::Store;
use schema::body::PaperDocument;
use schema::document::DocumentType;
use schema::exchange::{Command, Records as _, Refusal, Work, WorkRefusal};
use schema::handling::{Actor, BookId, Direction, Entry, Role};
use schema::id::WorkId;
use schema::time::{Day, Millis};
use station::{SENDER, key, office_id, registry};

/// 2025-12-31, an hour before midnight in Vietnam.
const LATE: Millis = Millis(1_767_196_800_000);

fn opened(folder: &std::path::Path) -> Node {
    let store = Store::open(&folder.join("tram.db")).expect("a store");
    let registry = registry("nats://127.0.0.1:1");
    Node::open(store, key(SENDER), registry, office_id(SENDER), [1; 32], LATE).expect("a node")
}

fn register(clerk: &str, n: u64) -> Input {
    let paper = PaperDocument {
        author: "Điện lực Bắc Hà".to_owned(),
        code: format!("{n}/ĐL"),
        issued_on: Day::from_days(20_440).expect("a day"),
        document_type: DocumentType::OfficialLetter,
        subject: "V/v cắt điện".to_owned(),
    };
    let by = Actor { name: clerk.to_owned(), role: Role::Clerk };
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    let work = Work::RegisterPaper { id: WorkId::new(id), book: None, paper };
    let command = Command::Work { by, work };
    Input::Command { ticket: Ticket(n), command }
}

fn given(effects: Vec<Effect>) -> Vec<(u64, Entry)> {
    let line = |effect| match effect {
        Effect::Answer { ticket, answer: Answer::Done(done) } => Some((ticket.0, done.line?)),
        _ => None,
    };
    effects.into_iter().filter_map(line).collect()
}

/// H1: two clerks, 10,000 registrations, some of them in one step, the station killed and started again in between: the
/// numbers 1 to 10,000, each once.
#[test]
fn h1_two_clerks_get_consecutive_numbers() {
    const ALL: u32 = 10_000;
    const AT_ONCE: usize = 16;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut node = opened(folder.path());
    let mut numbers = Vec::new();
    let clerks = ["Lò Thị Mai", "Hoàng Thị Ví Dụ"];
    let asked: Vec<Input> =
        (0..u64::from(ALL)).zip(clerks.iter().cycle()).map(|(n, clerk)| register(clerk, n)).collect();
    for (n, together) in asked.chunks(AT_ONCE).enumerate() {
        if n == 300 {
            // What was answered is on the disk: the process may end here as it likes.
            drop(node);
            node = opened(folder.path());
        }
        numbers.extend(given(node.step(together.to_vec(), LATE).expect("a step")));
    }
    assert!(numbers.iter().all(|(_, entry)| entry.year == 2025), "it is still the old year in Vietnam");
    let mut found: Vec<u32> = numbers.iter().map(|(_, entry)| entry.number).collect();
    found.sort_unstable();
    assert_eq!(found, (1..=ALL).collect::<Vec<u32>>());
    assert!(
        numbers.windows(2).all(|pair| pair[0].1.number < pair[1].1.number),
        "in the order of the answers"
    );
    let replayed = node.store().replay(office_id(SENDER)).expect("readable");
    assert_eq!(replayed.hash(), node.state_hash().expect("readable"));
}

/// H1: the series begins anew at midnight in Vietnam, without a network, and a number of the old year is not touched.
#[test]
fn h1_series_begins_anew_with_the_year() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut node = opened(folder.path());
    let before = given(node.step(vec![register("Lò Thị Mai", 1)], LATE).expect("a step"));
    let after = given(node.step(vec![register("Lò Thị Mai", 2)], LATE.plus(Millis::HOUR)).expect("a step"));
    let entry = |year, number| Entry { book: "den".parse().expect("a register"), year, number };
    assert_eq!((before[0].1.clone(), after[0].1.clone()), (entry(2025, 1), entry(2026, 1)));
    let book: BookId = "den".parse().expect("a register");
    assert_eq!(node.exchange().books().highest(Direction::Incoming, &book, 2025), 1);
    let used = node.store().line(Direction::Incoming, &entry(2025, 1)).expect("readable");
    assert!(used.is_some());
}

/// H1: a request that is repeated because its answer was lost gets the same number: in the same step, in the next one, after a
/// restart and after a year.
#[test]
fn h1_repeated_request_gets_the_same_number_across_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut node = opened(folder.path());
    let twice = vec![register("Lò Thị Mai", 7), register("Lò Thị Mai", 7)];
    let mut numbers = given(node.step(twice, LATE).expect("a step"));
    drop(node);
    let mut node = opened(folder.path());
    for later in [Millis::HOUR, 40 * Millis::DAY] {
        numbers.extend(given(
            node.step(vec![register("Hoàng Thị Ví Dụ", 7)], LATE.plus(later)).expect("a step"),
        ));
    }
    let first = Entry { book: "den".parse().expect("a register"), year: 2025, number: 1 };
    assert_eq!(numbers, vec![(7, first); 4]);
    let Input::Command {
        ticket,
        command: Command::Work { by, work: Work::RegisterPaper { id, book, paper } },
    } = register("Lò Thị Mai", 7)
    else {
        unreachable!("it registers paper")
    };
    let other = PaperDocument { subject: "V/v khác".to_owned(), ..paper };
    let work = Work::RegisterPaper { id, book, paper: other };
    let effects = node
        .step(vec![Input::Command { ticket, command: Command::Work { by, work } }], LATE)
        .expect("a step");
    let refused = effects.iter().any(|effect| {
        let Effect::Answer { answer: Answer::Refused(Refusal::Work(refusal)), .. } = effect else {
            return false;
        };
        matches!(refusal, WorkRefusal::OtherWork { line } if line.number == 1)
    });
    assert!(refused, "{effects:?}");
    let replayed = node.store().replay(office_id(SENDER)).expect("readable");
    assert_eq!(replayed.hash(), node.state_hash().expect("readable"));
    let mut lines = 0;
    node.store().each_line(|_, _, _| lines += 1).expect("readable");
    assert_eq!(lines, 1);
}
