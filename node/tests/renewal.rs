//! A new sealing key, as an administrator and two offices without a network meet it: real processes, files, words.

mod office;
mod station;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use node::config::Bundle;
use node::sealing::{Sealing, SealingKeys};
use node::store::Reader;
use office::pair::{CLERK, Pair, refused};
use office::{Office, PROGRAM};
use schema::event::{Kind, UnverifiedEvent};
use schema::exchange::Class;
use schema::id::Position;
use serde_json::{Value, json};
use station::{RECIPIENT, SENDER, key};

fn keys_file(office: &Office) -> PathBuf {
    office.data().join("sealing.keys")
}

fn subjects(office: &Office) -> BTreeSet<String> {
    let list = office.json(&["incoming", "--limit", "200"]);
    let rows = list["rows"].as_array().expect("rows");
    rows.iter().map(|row| row["subject"].as_str().expect("text").to_owned()).collect()
}

/// The sealed bodies of the documents that came, in the order in which they came.
fn sealed(office: &Office) -> Vec<Vec<u8>> {
    let reader = Reader::open(&office.data().join("tram.db")).expect("a store");
    let entries = reader.journal(Position(1), 1_000).expect("readable").into_iter();
    let received = entries.filter(|entry| entry.class == Class::Received);
    let events = received.map(|entry| UnverifiedEvent::parse(&entry.bytes).expect("an event"));
    let letters = events.filter(|event| event.claims().kind == Kind::Dispatch);
    letters.map(|event| event.claims().body.clone()).collect()
}

/// Whether the `age` of the system opens this with these keys.
fn age_opens(keys: &Path, sealed: &[u8]) -> bool {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sealed");
    fs::write(&file, sealed).expect("written");
    let opened = Command::new("age").arg("-d").arg("-i").arg(keys).arg(&file).output();
    let opened = opened.expect("age is installed wherever the tests run");
    assert_eq!(opened.status.success(), !opened.stdout.is_empty());
    opened.status.success()
}

fn export(office: &Office, name: &str) -> String {
    let file = office.path(name);
    office.text(&["courier", "export", "--out", &file]);
    file
}

#[test]
fn letters_sealed_before_and_after_a_renewal_are_read_and_a_backup_reads_both() {
    let mut pair = Pair::open();
    let old = pair.recipient.folder.path().join("old.keys");
    fs::copy(keys_file(&pair.recipient), &old).expect("copied");
    let status = pair.recipient.json(&["status"])["sealing"].clone();
    // The registrar of these tests made it in 2001.
    assert_eq!((&status["sealing_key"], &status["keys"]), (&json!("old"), &json!(1)), "{status}");
    let text = pair.recipient.text(&["status"]);
    assert!(text.contains("khóa niêm phong: từ") && text.contains("quá 400 ngày"), "{text}");
    let text = pair.recipient.text(&["--lang", "en", "status"]);
    assert!(text.contains("sealing key: since") && text.contains("more than 400 days"), "{text}");

    // Given letters that are on their way when the key is renewed.
    pair.send("V/v gửi trước");
    let before = export(&pair.sender, "before.courier");
    pair.send("V/v đến rất muộn");
    let very_late = export(&pair.sender, "very-late.courier");
    let renewed = pair.recipient.json(&["key", "renew-sealing"]);
    assert_eq!((&renewed["made"], &renewed["announced"]), (&json!(true), &json!(true)), "{renewed}");
    assert_eq!((&renewed["keys"], &renewed["sealing_key"]), (&json!(2), &json!("in-use")), "{renewed}");
    assert_eq!(renewed["days"], 0, "{renewed}");
    assert_ne!(renewed["recipient"], status["recipient"]);
    let file = fs::read_to_string(keys_file(&pair.recipient)).expect("read");
    assert!(file.ends_with(&fs::read_to_string(&old).expect("read")), "the earlier key is gone");

    // When they come after it, they are read; so is one whose sender has not heard of it yet.
    pair.recipient.text(&["courier", "import", &before]);
    pair.send("V/v chưa biết khóa mới");
    let unaware = export(&pair.sender, "unaware.courier");
    pair.tell("told.cbor");
    pair.send("V/v gửi sau");
    let after = export(&pair.sender, "after.courier");
    pair.recipient.text(&["courier", "import", &after]);
    let all =
        ["V/v gửi trước", "V/v đến rất muộn", "V/v chưa biết khóa mới", "V/v gửi sau"].map(str::to_owned);
    assert_eq!(subjects(&pair.recipient), BTreeSet::from(all.clone()));
    let letters = sealed(&pair.recipient);
    let by_old: Vec<bool> = letters.iter().map(|letter| age_opens(&old, letter)).collect();
    assert_eq!(by_old, [true, true, true, false], "under which key each was sealed");
    assert!(letters.iter().all(|letter| age_opens(&keys_file(&pair.recipient), letter)));
    pair.carry(false);
    let without = pair.sender.json(&["outgoing", "--unreceipted"]);
    assert_eq!(without["rows"], json!([]), "a letter has no receipt");

    // A new start changes nothing, and announces nothing again.
    let seq = pair.recipient.json(&["status"])["seq"].clone();
    assert_eq!(pair.recipient.stop("-TERM"), Some(0));
    pair.recipient.start();
    let status = pair.recipient.json(&["status"]);
    assert_eq!(status["sealing"]["recipient"], renewed["recipient"]);
    assert_eq!((&status["sealing"]["since"], &status["seq"]), (&renewed["since"], &seq));
    assert_eq!(status["sealing"]["sealing_key"], "in-use");

    // Given a backup from after the renewal, when the machine burns, then a new one reads both.
    let made = pair.recipient.json(&["backup", "--out", &pair.recipient.path("disk")]);
    let made = made["backup"].as_str().expect("a path").to_owned();
    let carried = fs::read(Path::new(&made).join("sealing.age")).expect("sealed");
    let keys = SealingKeys::unsealed(&carried, &key(RECIPIENT), &old).expect("opened");
    assert_eq!((keys.count(), keys.recipient().into()), (2, renewed["recipient"].clone()));
    let burnt = pair.recipient.folder.path().join("burnt");
    assert_eq!(pair.recipient.stop("-KILL"), None);
    fs::rename(pair.recipient.data(), &burnt).expect("moved");
    fs::create_dir(pair.recipient.data()).expect("made");
    for secret in ["node.key", "login.nk"] {
        fs::copy(burnt.join(secret), pair.recipient.data().join(secret)).expect("brought");
    }
    pair.recipient.text(&["restore", "--from", &made]);
    assert_eq!(fs::read_to_string(keys_file(&pair.recipient)).expect("read"), file);
    pair.recipient.start();
    assert_eq!(subjects(&pair.recipient), BTreeSet::from(all));
    // What the sender has on its stick is under both keys: nothing new in the first, one that never came under the newer.
    pair.send("V/v sau khi khôi phục");
    let last = export(&pair.sender, "last.courier");
    for stick in [&very_late, &unaware, &last] {
        pair.recipient.text(&["courier", "import", stick]);
    }
    assert!(subjects(&pair.recipient).contains("V/v sau khi khôi phục"));
    let letters = sealed(&pair.recipient);
    assert!(!age_opens(&old, letters.last().expect("letters")), "sealed under the earlier key");
    assert!(letters.iter().all(|letter| age_opens(&keys_file(&pair.recipient), letter)));
    let alarms = pair.recipient.text(&["alarms"]);
    assert!(!alarms.contains("nội dung sự kiện không hợp lệ"), "{alarms}");
}

/// The backup was made before letters came that were sealed under either key: they are read where it was put back.
#[test]
fn station_put_back_reads_what_comes_later_under_either_key() {
    let mut pair = Pair::open();
    pair.send("V/v khóa cũ");
    let under_old = export(&pair.sender, "old.courier");
    pair.recipient.text(&["key", "renew-sealing"]);
    let made = pair.recipient.json(&["backup", "--out", &pair.recipient.path("disk")]);
    let made = made["backup"].as_str().expect("a path").to_owned();
    pair.tell("told.cbor");
    pair.send("V/v khóa mới");
    let under_new = export(&pair.sender, "new.courier");

    // The new machine was set up from the bundle of the enrolment, which knows the first key only.
    assert_eq!(pair.recipient.stop("-TERM"), Some(0));
    let file = fs::read(keys_file(&pair.recipient)).expect("read");
    fs::rename(pair.recipient.data(), pair.recipient.folder.path().join("burnt")).expect("moved");
    let bundle = pair.recipient.path("bundle");
    let init = ["init", "--bundle", &bundle, "--listen", "127.0.0.1:0", "--allow-unencrypted"];
    pair.recipient.text(&init);
    assert_ne!(fs::read(keys_file(&pair.recipient)).expect("read"), file);
    pair.recipient.text(&["restore", "--from", &made]);
    assert_eq!(fs::read(keys_file(&pair.recipient)).expect("read"), file, "a key is missing");
    pair.recipient.start();
    for stick in [under_old, under_new] {
        pair.recipient.text(&["courier", "import", &stick]);
    }
    assert_eq!(subjects(&pair.recipient), BTreeSet::from(["V/v khóa cũ", "V/v khóa mới"].map(str::to_owned)));
    assert_eq!(pair.recipient.json(&["status"])["sealing"]["sealing_key"], "in-use");
}

/// Keys that only this machine has stay its newest ones; those of the backup come beside them.
#[test]
fn restore_joins_the_keys_of_the_backup_with_those_of_the_machine() {
    let mut office = Office::enrolled(RECIPIENT);
    office.start();
    office.text(&["key", "renew-sealing"]);
    let made = office.json(&["backup", "--out", &office.path("disk")]);
    let backed_up = SealingKeys::open(&keys_file(&office)).expect("read");
    assert_eq!(office.stop("-TERM"), Some(0));
    fs::remove_file(keys_file(&office)).expect("lost");
    office.start();
    let fresh = SealingKeys::open(&keys_file(&office)).expect("made");
    assert_eq!(office.stop("-TERM"), Some(0));
    office.text(&["restore", "--from", made["backup"].as_str().expect("a path"), "--replace"]);
    let joined = SealingKeys::open(&keys_file(&office)).expect("read");
    assert_eq!((joined.key(), joined.count()), (fresh.key(), 3));
    assert!(joined.hold_all_of(&backed_up));
    // A backup that is older than what is here takes nothing away.
    let before = fs::read(keys_file(&office)).expect("read");
    office.text(&["restore", "--from", made["backup"].as_str().expect("a path"), "--replace"]);
    assert_eq!(fs::read(keys_file(&office)).expect("read"), before);
    office.start();
    assert_eq!(office.json(&["status"])["sealing"]["keys"], 3);
}

/// A bundle is made once, but may be made again from a folder that has renewed its key.
#[test]
fn bundle_carries_all_keys() {
    let office = Office::enrolled(SENDER);
    let keys = SealingKeys::open(&keys_file(&office)).expect("read").renewed().expect("room");
    let bundle = PathBuf::from(office.path("bundle"));
    fs::write(bundle.join(Bundle::SEALING), keys.sealed_for(&key(SENDER)).expect("sealed")).expect("written");
    let second = office.path("second");
    let mut command = Command::new(PROGRAM);
    command.env_remove("TRAM_LANG").args(["--data", &second, "init", "--allow-unencrypted", "--bundle"]);
    let made = command.arg(&bundle).output().expect("the program starts");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let brought = SealingKeys::open(&Path::new(&second).join("sealing.keys")).expect("read");
    assert_eq!((brought.key(), brought.count()), (keys.key(), 2));
    assert!(brought.hold_all_of(&keys));
}

#[test]
fn renewal_is_refused_with_words_and_changes_nothing() {
    let mut office = Office::enrolled(SENDER);
    let renew = ["key", "renew-sealing"];
    assert_eq!(refused(&office, &renew), "not-running");
    office.text(&["person", "add", "Lò Thị Mai", "--role", "clerk"]);
    office.text(&["person", "add", "Hạng A Dơ", "--role", "administrator"]);
    office.start();
    let file = keys_file(&office);
    let before = fs::read(&file).expect("read");
    assert_eq!(refused(&office, &["--as", CLERK, "key", "renew-sealing"]), "role");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("changed");
    assert_eq!(refused(&office, &renew), "sealing-keys");
    let words = office.ask(&["--lang", "en", "key", "renew-sealing"]);
    let words = String::from_utf8_lossy(&words.stderr).into_owned();
    assert!(words.contains("stays in use") && words.contains("chmod 600"), "{words}");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("changed");
    assert_eq!(fs::read(&file).expect("read"), before);

    let words = office.text(&["--as", "hang-a-do", "key", "renew-sealing"]);
    assert!(words.contains("Đã thay khóa niêm phong: age1") && words.contains("Hãy sao lưu lại"), "{words}");
    let words = office.text(&["--lang", "en", "key", "renew-sealing"]);
    assert!(
        words.contains("Renewed the sealing key: age1") && words.contains("Make a backup now"),
        "{words}"
    );
    assert!(!words.contains("SECRET"), "{words}");
    assert_eq!(fs::read_to_string(&file).expect("read").lines().count(), 3);
    assert!(!office.log().contains("SECRET"), "a key is in the log");

    let mut keys = SealingKeys::open(&file).expect("read");
    for _ in 3..128 {
        keys = keys.renewed().expect("room");
    }
    keys.write(&file).expect("written");
    assert_eq!(refused(&office, &renew), "sealing-keys-full");
    let words = office.ask(&renew);
    assert!(String::from_utf8_lossy(&words.stderr).contains("128"), "{words:?}");
    let status: Value = office.json(&["status"])["sealing"].clone();
    assert_eq!((&status["keys"], &status["sealing_key"]), (&json!(3), &json!("in-use")), "{status}");
}

/// The machine lost its power after the file was written and before the chain was: the start does the rest.
#[test]
fn key_that_waited_is_announced_at_the_next_start() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    assert_eq!(office.stop("-KILL"), None);
    let file = keys_file(&office);
    let waiting = SealingKeys::open(&file).expect("read").renewed().expect("room");
    waiting.write(&file).expect("written");
    office.start();
    let said = || office.json(&["status"])["sealing"].clone();
    let deadline = Instant::now() + Duration::from_secs(20);
    while said()["sealing_key"] != "in-use" {
        assert!(Instant::now() < deadline, "it is not announced: {}", said());
    }
    let status = said();
    assert_eq!((&status["recipient"], &status["keys"]), (&json!(waiting.recipient()), &json!(2)));
    let seq = office.json(&["status"])["seq"].clone();
    assert_eq!(office.stop("-TERM"), Some(0));
    office.start();
    assert_eq!(office.json(&["status"])["seq"], seq, "announced twice");
}
