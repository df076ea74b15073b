//! The content of a document is erased on the command line, and a backup from before does not bring it back.

mod office;
mod station;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use office::pair::{CLERK, LEADER, OFFICER, Pair, refused};
use office::{LETTER, Office};

const DECISION: [&str; 4] = ["--decision", "15/QĐ-UBND ngày 02/01/2025", "--reason", "Hết giá trị"];

fn files(office: &Office) -> usize {
    fs::read_dir(office.data().join("content/whole")).expect("listed").count()
}

/// Until the sweep, which the start of a station begins, has come so far.
fn await_files(office: &Office, expected: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while files(office) != expected {
        assert!(Instant::now() < deadline, "{} files, expected {expected}", files(office));
        office.json(&["status"]);
    }
}

/// A document that came in, was accepted and finished.
fn finished(pair: &mut Pair, subject: &str) -> String {
    let document = pair.send(subject);
    pair.carry(true);
    let why = ["--undetermined-because", "Nhận qua USB.", "--as", CLERK];
    pair.recipient.text(&[&["accept", &document][..], &why[..]].concat());
    pair.recipient.text(&["assign", &document, "--lead", "Ông Páo", "--as", LEADER]);
    pair.recipient.text(&["start", &document, "--as", OFFICER]);
    pair.recipient.text(&["finish", &document, "--as", OFFICER]);
    document
}

/// A letter with a file of its own.
fn send_other(office: &Office) -> String {
    let paper = office.path("báo cáo.pdf");
    fs::write(&paper, "%PDF-1.7 báo cáo").expect("written");
    let named = ["send", "--reference-only", "--to", "H02.18", "--subject", "V/v chưa giải quyết"];
    let sent = office.json(&[&named[..], LETTER, &[&paper]].concat());
    sent["document"].as_str().expect("an id").to_owned()
}

fn erase(office: &Office, document: &str, more: &[&str]) -> String {
    office.text(&[&["erase", document, "--as", LEADER][..], &DECISION[..], more].concat())
}

#[test]
fn content_is_erased_and_hashes_line_and_signatures_stay() {
    let mut pair = Pair::open();
    let document = finished(&mut pair, "V/v tiêu hủy hồ sơ hết giá trị");
    let other = send_other(&pair.sender);
    pair.carry(true);
    pair.carry(false);
    let office = &pair.recipient;
    assert_eq!(files(office), 2);
    let refusal = |document: &str, more: &[&str]| {
        refused(office, &[&["erase", document][..], &DECISION[..], more].concat())
    };
    assert_eq!(refusal(&document, &["--kept-until", "2999-12-31", "--as", LEADER]), "still-kept");
    assert_eq!(refusal(&document, &["--ordered", "--as", CLERK]), "role");
    assert_eq!(refusal(&other, &["--ordered", "--as", LEADER]), "still-at-work");
    let rehearsed = erase(office, &document, &["--kept-until", "2025-01-31", "--dry-run"]);
    assert!(rehearsed.contains("chưa làm gì"), "{rehearsed}");
    assert_eq!(files(office), 2);

    let before = office.json(&["show", &document]);
    erase(office, &document, &["--kept-until", "2025-01-31"]);
    assert_eq!(files(office), 1);
    assert_eq!(refusal(&document, &["--ordered", "--as", LEADER]), "already-erased");
    let out = office.path("out");
    assert_eq!(refused(office, &["fetch", &document, "--out", &out]), "content-erased");
    assert_eq!(refused(office, &["signatures", &document]), "content-erased");
    let after = office.json(&["show", &document]);
    for kept in ["event", "subject", "number", "from", "verdict", "progress"] {
        assert_eq!(before[kept], after[kept], "{kept}");
    }
    let attachment = &after["attachments"][0];
    assert_eq!(
        (&attachment["state"], &attachment["sha256"]),
        (&"erased".into(), &before["attachments"][0]["sha256"])
    );
    assert_eq!(after["erased"]["kept_until"], "2025-01-31");
    let text = office.text(&["show", &document]);
    for words in ["ĐÃ TIÊU HỦY NỘI DUNG", "31/01/2025", "15/QĐ-UBND ngày 02/01/2025", "Vàng A Sáng"]
    {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
    let english = office.text(&["--lang", "en", "show", &document]);
    assert!(english.contains("CONTENT ERASED"), "{english}");
    let register = office.text(&["register", "show"]);
    assert!(register.contains("V/v tiêu hủy hồ sơ hết giá trị"), "{register}");
    assert_eq!(office.json(&["incoming", "tieu", "huy"])["rows"][0]["document"], document.as_str());
    assert_eq!(office.json(&["verify"])["broken"], serde_json::Value::Null);
    // Nothing is old enough; what was recorded this year is kept.
    let old = office.json(&[&["erase", "--kept-years", "5", "--as", LEADER][..], &DECISION[..]].concat());
    assert_eq!(old["documents"], serde_json::json!([]));
    // Its sender has its own copy, and decides by itself.
    pair.sender.text(&["fetch", &document, "--out", &pair.sender.path("own")]);
}

#[test]
fn backup_from_before_does_not_bring_back_what_was_erased() {
    let mut pair = Pair::open();
    let document = finished(&mut pair, "V/v tiêu hủy hồ sơ hết giá trị");
    let office = &mut pair.recipient;
    let made = office.json(&["backup", "--out", &office.path("backups")]);
    let backup = made["backup"].as_str().expect("a folder").to_owned();
    erase(office, &document, &["--ordered"]);
    assert_eq!(files(office), 0);
    assert_eq!(office.stop("-TERM"), Some(0));
    let restored = office.json(&["restore", "--from", &backup, "--replace"]);
    assert_eq!(restored["erased_again"], 1, "{restored}");
    office.start();
    let shown = office.json(&["show", &document]);
    assert_eq!(shown["attachments"][0]["state"], "erased");
    assert_eq!(shown["erased"]["by"], "Vàng A Sáng");
    await_files(office, 0);
    assert_eq!(office.json(&["status"])["awaited_attachments"], 0);
    assert_eq!(office.json(&["verify"])["broken"], serde_json::Value::Null);
    assert!(Path::new(&backup).join("content").exists(), "the backup itself is whoever keeps it's matter");
}
