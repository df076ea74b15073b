//! What a recipient takes is known before anything is sent to it: real processes, settings, words.

mod office;
mod station;

use std::fs::{self, File};
use std::io::Write as _;

use office::pair::{Pair, refused};
use office::{LETTER, Office};
use serde_json::json;

const MIB: usize = 1024 * 1024;

fn sets(office: &mut Office, largest: usize) {
    assert_eq!(office.stop("-TERM"), Some(0));
    let path = office.data().join("config.toml");
    let settings = fs::read_to_string(&path).expect("there");
    let lines: Vec<&str> = settings.lines().filter(|line| !line.starts_with("largest = ")).collect();
    let bound = format!("[attachments]\nlargest = {largest}");
    fs::write(&path, lines.join("\n").replace("[attachments]", &bound)).expect("written");
    office.start();
}

#[test]
fn what_a_recipient_takes_is_known_before_sending_and_changes_with_its_settings() {
    let mut pair = Pair::open();
    let paper = pair.sender.path("ban-do.pdf");
    let mut file = File::create(&paper).expect("made");
    file.write_all(b"%PDF-1.7 ").and_then(|()| file.write_all(&vec![7; 2 * MIB])).expect("written");
    let mut send = vec!["send", "--reference-only", "--to", "H02.18", "--subject", "V/v bản đồ"];
    send.extend(LETTER);
    send.push(&paper);

    sets(&mut pair.recipient, MIB);
    pair.tell("told.cbor");
    let offices = pair.sender.json(&["offices"]);
    let mut rows = offices["rows"].as_array().expect("rows").iter();
    let found = rows.find(|row| row["codes"][0]["code"] == "H02.18").expect("it is known");
    assert_eq!(found["largest_attachment"], json!(MIB), "{found}");
    let found = pair.sender.text(&["offices"]);
    assert!(found.contains("nhận tệp tối đa 1 MiB"), "{found}");
    assert_eq!(refused(&pair.sender, &send), "attachment-too-large");
    let words = String::from_utf8(pair.sender.ask(&send).stderr).expect("text");
    assert!(
        words.contains("1048576") && words.contains("Nơi nhận"),
        "names the limit, and whose it is: {words}"
    );
    assert_eq!(pair.sender.json(&["outgoing"])["rows"], json!([]), "something was recorded");

    // The same letter goes once the recipient has made room, and says nothing anew when it only starts again.
    sets(&mut pair.recipient, 3 * MIB);
    pair.tell("told-again.cbor");
    let seq = pair.recipient.json(&["status"])["seq"].clone();
    assert_eq!(pair.recipient.stop("-TERM"), Some(0));
    pair.recipient.start();
    assert_eq!(pair.recipient.json(&["status"])["seq"], seq);
    let sent = pair.sender.json(&send);
    pair.carry(true);
    pair.carry(false);
    let arrived = pair.at_sender(sent["document"].as_str().expect("an id"));
    assert_eq!(arrived["status"], "arrived", "{arrived}");
}
