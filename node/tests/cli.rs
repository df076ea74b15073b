//! The program as a clerk and an administrator use it: real processes, exit statuses, words.

mod office;
mod station;

use std::fs;
use std::path::Path;

use office::{LETTER, Office};
use serde_json::Value;
use station::{RECIPIENT, SENDER};

fn sample(folder: &Path) -> String {
    let path = folder.join("Công văn số 7.pdf");
    fs::write(&path, "%PDF-1.7 nội dung").expect("written");
    path.display().to_string()
}

#[test]
fn clerk_sends_while_offline_and_nothing_is_lost_by_kill() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    let file = sample(office.folder.path());
    let saved = office.text(
        &[
            &["send", "--reference-only", "--to", "H02.18", "--subject", "V/v báo cáo quý"][..],
            LETTER,
            &["--urgency", "express", &file],
        ]
        .concat(),
    );
    assert!(saved.contains("Đã lưu văn bản") && saved.contains("chờ gửi"), "{saved}");
    assert!(!saved.contains("đã gửi"), "more is said than is proven: {saved}");

    assert_eq!(office.stop("-KILL"), None);
    let asked = office.ask(&["outgoing"]);
    assert_eq!(asked.status.code(), Some(1));
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(said.contains("no station runs on"), "{said}");

    office.start();
    let list = office.json(&["outgoing"]);
    assert_eq!(list["rows"][0]["subject"], "V/v báo cáo quý", "{list}");
    let document = list["rows"][0]["document"].as_str().expect("an id").to_owned();
    let shown = office.text(&["show", &document]);
    assert!(shown.contains("Hỏa tốc") && shown.contains("chưa chứng minh điều gì về nơi nhận"), "{shown}");
    let why = office.text(&["--lang", "en", "why", &document]);
    assert!(why.contains("waiting for the line") && why.contains("this office"), "{why}");

    let out = office.path("out");
    office.text(&["fetch", &document, "--out", &out]);
    assert_eq!(
        fs::read(Path::new(&out).join("Công văn số 7.pdf")).expect("there"),
        fs::read(&file).expect("there")
    );
    // As relays carry it, opened by the age of the system.
    let sealed = office.path("sealed");
    let fetched = office.json(&["fetch", &document, "--out", &sealed, "--sealed"]);
    let [blob, key] = ["file", "identity"].map(|name| fetched["files"][0][name].as_str().expect("a path"));
    let opened = std::process::Command::new("age").args(["-d", "-i", key, blob]).output();
    let opened = opened.expect("age is installed");
    assert_eq!(opened.stdout, fs::read(&file).expect("there"), "{}", String::from_utf8_lossy(&opened.stderr));
    assert!(!fs::read(blob).expect("there").windows(4).any(|four| four == b"%PDF"), "it is not sealed");
    assert_eq!(office.stop("-TERM"), Some(0));
    assert!(!office.data().join("api.json").exists(), "the address of a stopped station is left behind");
}

#[test]
fn refusal_and_wrong_usage_have_their_own_exit_status() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    let refused = office.ask(
        &[&["--json", "send", "--reference-only", "--to", "H09.99", "--subject", "V/v thử"][..], LETTER]
            .concat(),
    );
    assert_eq!(refused.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert_eq!(said["error"], "unknown-code");
    assert_eq!(office.ask(&["send", "--subject", "no recipient"]).status.code(), Some(2));
    assert_eq!(office.ask(&["show", "not-an-id"]).status.code(), Some(2));
    assert_eq!(office.ask(&["--help"]).status.code(), Some(0));
}

#[test]
fn second_station_on_the_same_folder_does_not_start() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    let second = office.ask(&["run"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("two stations with one key"));
    assert!(office.ask(&["status"]).status.success(), "the first one no longer answers");
}

#[test]
fn stick_carries_a_document_there_and_its_receipt_back() {
    let (mut sender, mut recipient) = (Office::enrolled(SENDER), Office::enrolled(RECIPIENT));
    sender.start();
    recipient.start();
    let file = sample(sender.folder.path());
    let saved = sender.json(
        &[
            &["send", "--reference-only", "--to", "H02.18", "--subject", "V/v chuyển tay"][..],
            LETTER,
            &[&file],
        ]
        .concat(),
    );
    let document = saved["document"].as_str().expect("an id");
    let (there, back) = (sender.path("there.courier"), sender.path("back.courier"));
    sender.text(&["courier", "export", "--to", "H02.18", "--out", &there]);
    recipient.text(&["courier", "import", &there]);
    recipient.text(&["courier", "export", "--out", &back]);
    sender.text(&["courier", "import", &back]);
    assert!(sender.text(&["show", document]).contains("đã đến (có biên nhận)"));
    assert!(recipient.text(&["incoming"]).contains("V/v chuyển tay"));

    let cut = sender.path("cut.courier");
    let whole = fs::read(&there).expect("there");
    fs::write(&cut, &whole[..whole.len() - 5]).expect("written");
    let damaged = recipient.ask(&["courier", "import", &cut]);
    assert_eq!(damaged.status.code(), Some(1), "a cut file passed for a whole one");
}

#[test]
fn made_folder_is_private_and_is_not_made_twice() {
    use std::os::unix::fs::PermissionsExt;
    let office = Office::enrolled(SENDER);
    for name in ["node.key", "login.nk", "config.toml", "registry.cbor"] {
        let mode = fs::metadata(office.data().join(name)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let again = office.ask(&["init", "--bundle", &office.path("bundle")]);
    assert_eq!(again.status.code(), Some(1));
}
