//! An archive that reads what it is brought, and sealing keys that go to a successor: real processes, files, words.

mod office;
mod station;

use std::fs;
use std::path::Path;

use node::sealing::SealingKeys;
use office::Office;
use office::pair::{CLERK, Pair, refused};
use serde_json::json;
use station::{OTHER, RECIPIENT, key, office_id};

/// Has an office name this archive in its settings.
fn settle_archive(office: &mut Office, archive: u8) {
    assert_eq!(office.stop("-TERM"), Some(0));
    let settings = office.data().join("config.toml");
    let text = fs::read_to_string(&settings).expect("read");
    let named = format!("\nrequired = true\narchive = \"{}\"\n", office_id(archive));
    let text = text.replacen("\nrequired = true\n", &named, 1);
    assert!(text.contains(&named), "{text}");
    fs::write(&settings, text).expect("written");
    office.start();
}

#[test]
fn archive_reads_what_it_is_brought_and_both_ends_say_that_it_can() {
    let mut pair = Pair::open();
    let archive = Office::enrolled(OTHER);
    let unarchived = pair.send("V/v trước khi có lưu trữ");
    settle_archive(&mut pair.sender, OTHER);
    let document = pair.send("V/v nộp lưu trữ");
    pair.carry(true);
    pair.carry(false);
    for office in [&pair.sender, &pair.recipient] {
        let shown = office.json(&["show", &document]);
        assert_eq!(shown["archive_name"], "Ủy ban nhân dân xã số 4", "{shown}");
        let text = office.text(&["show", &document]);
        assert!(text.contains("lưu trữ đọc được: Ủy ban nhân dân xã số 4"), "{text}");
        let text = office.text(&["--lang", "en", "show", &document]);
        assert!(text.contains("archive that can read it: Ủy ban nhân dân xã số 4"), "{text}");
        assert!(office.json(&["show", &unarchived])["archive"].is_null());
    }

    // Everything is receipted: what the archive is brought is asked for by name.
    let file = pair.sender.path("archive.courier");
    pair.sender.text(&["courier", "export", "--archive", "--out", &file]);
    let out = archive.path("out");
    let read = archive.json(&["courier", "read", &file, "--out", &out]);
    let [one] = read["documents"].as_array().expect("rows").as_slice() else { panic!("one: {read}") };
    assert_eq!((&one["subject"], &one["document"]), (&json!("V/v nộp lưu trữ"), &json!(document)));
    assert_eq!(one["archive"]["office_name"], "Ủy ban nhân dân xã số 4");
    assert_eq!((&read["closed"], &read["refused"], &read["complete"]), (&json!(0), &json!(0), &json!(true)));
    let attachment = &one["attachments"][0];
    assert_eq!(attachment["state"], "here", "{attachment}");
    let paper = fs::read_to_string(attachment["file"].as_str().expect("a path")).expect("read");
    assert_eq!(paper, "%PDF-1.7 nội dung");
    let folder = Path::new(one["folder"].as_str().expect("a path"));
    assert!(folder.join("event.cose").is_file() && folder.join("manifest.cbor").is_file());
    let left = fs::read_dir(&out).expect("a folder").filter(|entry| {
        let entry = entry.as_ref().expect("an entry").path();
        entry.extension().is_some_and(|extension| extension == "part")
    });
    assert_eq!(left.count(), 0, "something is left over");
    let text = archive.text(&["courier", "read", &file]);
    assert!(text.contains("V/v nộp lưu trữ") && text.contains("Không có gì được đưa vào kho"), "{text}");

    // The sender's day is before tomorrow; and whoever has no key reads nothing.
    let later = pair.sender.path("later.courier");
    pair.sender.text(&["courier", "export", "--archive", "--since", "2999-01-01", "--out", &later]);
    assert_eq!(archive.json(&["courier", "read", &later])["documents"], json!([]));
    fs::remove_file(archive.data().join("sealing.keys")).expect("removed");
    let stranger = SealingKeys::generate().expect("made");
    stranger.write(&archive.data().join("sealing.keys")).expect("written");
    let read = archive.json(&["courier", "read", &file]);
    assert_eq!((&read["documents"], &read["closed"]), (&json!([]), &json!(1)), "{read}");
}

#[test]
fn keys_are_handed_over_by_courier_and_both_ends_show_it() {
    let mut pair = Pair::open();
    assert_eq!(refused(&pair.recipient, &["key", "hand-over", "H01.18"]), "not-successor");
    assert_eq!(refused(&pair.sender, &["--as", CLERK, "key", "hand-over", "H02.18"]), "role");
    let before = SealingKeys::open(&pair.recipient.data().join("sealing.keys")).expect("read");
    let said = pair.sender.text(&["key", "hand-over", "H02.18"]);
    assert!(said.contains("bàn giao khóa niêm phong cho Ủy ban nhân dân xã số 2"), "{said}");
    let status = pair.sender.text(&["status"]);
    assert!(status.contains("chưa có biên nhận"), "{status}");

    pair.carry(true);
    let status = pair.recipient.text(&["status"]);
    assert!(status.contains("giữ khóa niêm phong nhận bàn giao của Ủy ban nhân dân xã số 1: 1"), "{status}");
    let taken = SealingKeys::open(&pair.recipient.data().join("sealing.keys")).expect("read");
    let theirs = SealingKeys::open(&pair.sender.data().join("sealing.keys")).expect("read");
    assert!(taken.hold_all_of(&before) && taken.hold_all_of(&theirs) && taken.count() == 2);
    pair.carry(false);
    let status = pair.sender.text(&["--lang", "en", "status"]);
    assert!(status.contains("handed the sealing keys over to") && status.contains(": received"), "{status}");

    // A backup of the successor has them, sealed like its own.
    let made = pair.recipient.json(&["backup", "--out", &pair.recipient.path("disk")]);
    let made = Path::new(made["backup"].as_str().expect("a path")).join("sealing.age");
    let carried = SealingKeys::unsealed(&fs::read(&made).expect("read"), &key(RECIPIENT), &made);
    let carried = carried.expect("opened");
    assert_eq!(carried.taken_over(), taken.taken_over());
    for office in [&pair.sender, &pair.recipient] {
        assert!(!office.log().contains("SECRET"), "a key is in the log");
    }
}
