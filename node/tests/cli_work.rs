//! The life of a document in two offices without a network, as their people live it on the command line: everything goes by
//! courier file.

mod office;
mod station;

use node::store::Reader;
use office::pair::{CLERK, LEADER, OFFICER, Pair, opened, paper, refused};
use office::{LETTER, Office, sign};
use schema::body::{Act, Body, Deed};
use schema::courier::{CourierWriter, Record};
use schema::event::{Kind, RecordedEvent};
use schema::handling::Calendar;
use schema::id::Position;
use schema::pack::PackItem;
use serde_json::Value;
use station::SENDER;

fn kinds(steps: &Value) -> Vec<String> {
    let steps = steps.as_array().into_iter().flatten();
    steps.map(|step| step["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn document_is_accepted_assigned_and_finished_and_its_sender_sees_it() {
    let mut pair = Pair::open();
    let document = pair.send("V/v kiểm tra hồ chứa nước");
    pair.carry(true);
    let (document, recipient) = (document.as_str(), &pair.recipient);
    assert_eq!(recipient.json(&["waiting"])["to_register"], 1);
    // No relay has seen it: nobody can tell when it was signed.
    assert_eq!(refused(recipient, &["accept", document, "--as", CLERK]), "undetermined");
    assert_eq!(refused(recipient, &["accept", document]), "person-needed");
    assert_eq!(refused(recipient, &["accept", document, "--as", LEADER]), "role");
    assert_eq!(refused(recipient, &["accept", document, "--as", "nobody"]), "failed");
    assert_eq!(
        refused(recipient, &["assign", document, "--lead", "Ông Páo", "--as", LEADER]),
        "not-registered"
    );
    let why = "Nhận qua USB, đã gọi điện xác nhận.";
    let accepted = recipient.json(&["accept", document, "--undetermined-because", why, "--as", CLERK]);
    assert_eq!((&accepted["line"]["number"], &accepted["line"]["written"]), (&1.into(), &"01".into()));
    assert_eq!(recipient.json(&["waiting"])["to_register"], 0);
    assert_eq!(
        refused(recipient, &["accept", document, "--undetermined-because", why, "--as", CLERK]),
        "already-registered"
    );
    let assign =
        ["assign", document, "--lead", "Công chức địa chính", "--with", "Công an xã", "--due", "2025-12-31"];
    let instruction = ["--instruction", "Tham mưu trả lời trong tuần.", "--as", LEADER];
    recipient.text(&[&assign[..], &instruction[..]].concat());
    recipient.text(&["start", document, "--as", OFFICER]);
    // F2: a deadline that has passed is seen without opening anything.
    let due = recipient.json(&["due"]);
    assert_eq!(
        (&due["late"], &due["rows"][0]["task"], &due["rows"][0]["document"]),
        (&1.into(), &"to-finish".into(), &document.into())
    );
    assert_eq!(recipient.json(&["status"])["late"], 1);
    let text = recipient.text(&["due"]);
    for words in ["QUÁ HẠN", "V/v kiểm tra hồ chứa nước", "31/12/2025", "chưa đối chiếu"] {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
    recipient.text(&["finish", document, "--as", OFFICER]);
    assert_eq!(recipient.json(&["due"])["late"], 0);
    let shown = recipient.json(&["show", document]);
    assert_eq!(shown["progress"]["stage"], "finished");
    let expected = [
        "queued",
        "received",
        "accepted-undetermined",
        "registered",
        "instruction",
        "assigned",
        "started",
        "finished",
    ];
    assert_eq!(kinds(&shown["steps"]), expected);
    let text = recipient.text(&["show", document]);
    for words in ["số đến 01", "đã hoàn thành", "Lò Thị Mai", "Tham mưu trả lời trong tuần."]
    {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
    let text = recipient.text(&["register", "show"]);
    for words in ["01", "V/v kiểm tra hồ chứa nước", "Ủy ban nhân dân xã số 1", "Công chức địa chính"]
    {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
    pair.carry(false);
    let there = pair.at_sender(document);
    assert_eq!(
        (&there["progress"]["stage"], &there["progress"]["line"]["number"]),
        (&"finished".into(), &1.into())
    );
    // What was said inside the office stays there.
    let told = there.to_string();
    for inside in [why, "Tham mưu", "Công chức địa chính"] {
        assert!(!told.contains(inside), "`{inside}` was told to the sender: {told}");
    }
    assert_eq!(
        kinds(&there["steps"]),
        ["queued", "arrived", "registered", "assigned", "started", "finished"]
    );
    // The recipient gives the receipts for nothing again.
    pair.carry(true);
    assert_eq!(pair.recipient.json(&["status"])["open"], 0);
}

#[test]
fn wrong_document_is_returned_and_a_recall_crosses_an_acceptance() {
    let mut pair = Pair::open();
    let (wrong, recalled) = (pair.send("V/v gửi nhầm"), pair.send("V/v thu hồi"));
    pair.carry(true);
    let refuse = ["refuse", &wrong, "--reason", "wrong-addressee", "--as", CLERK];
    pair.recipient.text(&refuse);
    assert_eq!(
        refused(&pair.recipient, &["refuse", &wrong, "--reason", "other", "--as", CLERK]),
        "already-refused"
    );
    // Both act before either hears of the other.
    pair.sender.text(&["recall", &recalled, "--reason", "Sai thẩm quyền", "--as", LEADER]);
    let why = ["--undetermined-because", "Nhận qua USB.", "--as", CLERK];
    pair.recipient.text(&[&["accept", &recalled][..], &why[..]].concat());
    pair.carry(true);
    pair.carry(false);
    let (there, here) = (pair.at_sender(&recalled), pair.recipient.json(&["show", &recalled]));
    for progress in [&there["progress"], &here["progress"]] {
        assert_eq!(
            (&progress["stage"], &progress["standing"], &progress["asked"][0]["agreed"]),
            (&"registered".into(), &"recalled".into(), &true.into())
        );
    }
    assert_eq!(
        refused(&pair.recipient, &["assign", &recalled, "--lead", "Ông Páo", "--as", LEADER]),
        "counts-no-more"
    );
    let lines = pair.recipient.json(&["register", "show"]);
    assert_eq!((&lines["rows"][0]["number"], &lines["rows"][0]["standing"]), (&1.into(), &"recalled".into()));
    // It is hidden from work; who inspects finds it, and only an auditor opens what is attached.
    let listed = |arguments: &[&str]| {
        let list = pair.recipient.json(arguments);
        let rows = list["rows"].as_array().cloned().unwrap_or_default();
        rows.iter().any(|row| row["document"] == recalled.as_str())
    };
    assert!(!listed(&["incoming"]) && listed(&["incoming", "--all"]));
    let out = pair.recipient.path("out");
    assert_eq!(refused(&pair.recipient, &["fetch", &recalled, "--out", &out]), "content-blocked");
    pair.recipient.text(&["person", "add", "Kiểm tra", "--role", "auditor"]);
    pair.recipient.text(&["fetch", &recalled, "--out", &out, "--as", "kiem-tra"]);
    let there = pair.at_sender(&wrong)["progress"].clone();
    assert_eq!((&there["stage"], &there["refused_for"]), (&"refused".into(), &"wrong-addressee".into()));
}

#[test]
fn document_is_asked_back_and_the_clerk_answers() {
    let mut pair = Pair::open();
    let document = pair.send("V/v lấy lại");
    pair.carry(true);
    pair.sender.text(&["take-back", &document, "--reason", "Thiếu phụ lục", "--of", "H02.18", "--as", CLERK]);
    assert_eq!(
        refused(&pair.sender, &["take-back", &document, "--reason", "Thiếu phụ lục", "--as", CLERK]),
        "nobody-left"
    );
    pair.carry(true);
    let waiting = pair.recipient.json(&["waiting"]);
    assert_eq!(waiting["asked"][0]["asked"][0]["why"], "Thiếu phụ lục");
    assert!(pair.recipient.text(&["waiting"]).contains("Thiếu phụ lục"));
    let why = ["--undetermined-because", "Nhận qua USB.", "--as", CLERK];
    assert_eq!(refused(&pair.recipient, &[&["accept", &document][..], &why[..]].concat()), "asked-back");
    pair.recipient.text(&["answer", &document, "agree", "--as", CLERK]);
    assert_eq!(pair.recipient.json(&["waiting"])["to_register"], 0);
    pair.carry(false);
    let there = pair.at_sender(&document);
    assert_eq!(there["progress"]["standing"], "taken-back");
    assert_eq!(kinds(&there["steps"])[2..], ["asked-back", "agreed"]);
}

/// G4: the recipient of an update sees what is different, in the list, in full and in its own language, and answers it.
#[test]
fn g4_update_shows_what_is_different() {
    let mut pair = Pair::open();
    let earlier = pair.send("V/v báo cáo quý I");
    pair.carry(true);
    let paper = pair.sender.path("phụ lục mới.pdf");
    std::fs::write(&paper, "%PDF-1.7 phụ lục").expect("written");
    let mut update = vec!["send", "--reference-only", "--to", "H02.18", "--subject", "V/v báo cáo quý II"];
    update.extend(LETTER);
    update.extend(["--updates", &earlier, "--because", "Sai phụ lục", "--due", "2026-12-31", &paper]);
    let later = pair.sender.json(&update)["document"].as_str().expect("an id").to_owned();
    pair.carry(true);
    let shown = pair.recipient.json(&["show", &later]);
    let amends = &shown["amends"];
    assert_eq!(
        (&amends["document"], &amends["how"], &amends["why"]),
        (&earlier.as_str().into(), &"update".into(), &"Sai phụ lục".into())
    );
    let differences = amends["differences"].as_array().cloned().unwrap_or_default();
    let of = |field: &str| {
        differences.iter().find(|difference| difference["field"] == field).cloned().unwrap_or_default()
    };
    assert_eq!(differences.len(), 3, "{differences:?}");
    let subject = of("subject");
    assert_eq!(
        (&subject["before"][0]["subject"], &subject["after"][0]["subject"]),
        (&"V/v báo cáo quý I".into(), &"V/v báo cáo quý II".into())
    );
    let (removed, added) = (&of("attachments")["before"], &of("attachments")["after"]);
    assert_eq!(
        (&removed[0]["attachments"]["name"], &added[0]["attachments"]["name"]),
        (&"công văn.pdf".into(), &"phụ lục mới.pdf".into())
    );
    assert_eq!(of("due")["before"], serde_json::json!([]));
    let text = pair.recipient.text(&["show", &later]);
    for words in [
        "cập nhật văn bản trước",
        "- V/v báo cáo quý I",
        "+ V/v báo cáo quý II",
        "+ 31/12/2026",
        "tệp đính kèm:",
    ] {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
    let text = pair.recipient.text(&["--lang", "en", "incoming"]);
    for words in ["updates an earlier document", "different: attachments, answer by, abstract"] {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
    assert_eq!(pair.recipient.json(&["show", &earlier])["amends"], Value::Null);
    pair.recipient.text(&["answer", &earlier, "agree", "--as", CLERK]);
    pair.carry(false);
    assert_eq!(pair.at_sender(&earlier)["progress"]["standing"], "replaced");
}

/// G5: what was said about a document that is not here waits until somebody sets it aside, and says so with `--all`.
#[test]
fn g5_clerk_sets_aside_what_has_no_document() {
    let mut pair = Pair::open();
    let document = pair.send("V/v đến sau");
    pair.sender.text(&["take-back", &document, "--reason", "Thiếu phụ lục", "--as", CLERK]);
    // Only the question is carried: the document lies on another stick.
    let reader = Reader::open(&pair.sender.data().join("tram.db")).expect("a reader");
    let file = pair.sender.path("question.courier");
    let mut courier = CourierWriter::new(Vec::new()).expect("a file");
    for entry in reader.journal(Position(1), 100).expect("readable") {
        if RecordedEvent::read(&entry.bytes).expect("sound").event.kind == Kind::BusinessRequest {
            courier.add(&Record::Pack(vec![PackItem::new(0, &entry.bytes)])).expect("added");
        }
    }
    std::fs::write(&file, courier.finish().expect("finished")).expect("written");
    let office = &pair.recipient;
    office.text(&["courier", "import", &file]);
    let listed = |arguments: &[&str]| office.json(arguments)["without_document"].clone();
    assert_eq!(listed(&["waiting"])[0]["document"], document.as_str());
    let aside = ["set-aside", &document, "--with", "H01.18", "--reason", "Bên gửi gửi nhầm", "--as"];
    assert_eq!(refused(office, &[&aside[..], &[OFFICER]].concat()), "role");
    office.text(&[&aside[..], &[CLERK]].concat());
    assert_eq!(refused(office, &[&aside[..], &[CLERK]].concat()), "already-set-aside");
    assert!(listed(&["waiting"]).as_array().is_some_and(Vec::is_empty));
    assert_eq!(listed(&["waiting", "--all"])[0]["set_aside"]["by"], "Lò Thị Mai");
    let text = office.text(&["waiting", "--all"]);
    assert!(text.contains("đã bỏ qua: Lò Thị Mai") && text.contains("Bên gửi gửi nhầm"), "{text}");
    assert_eq!(refused(office, &["waiting", "--asked-after", "1"]), "parameter");
    pair.carry(true);
    let waiting = pair.recipient.json(&["waiting", "--all"]);
    assert_eq!(waiting["asked"][0]["document"], document.as_str());
    assert!(waiting["without_document"].as_array().is_some_and(Vec::is_empty));
    let shown = pair.recipient.text(&["show", &document]);
    assert!(shown.contains("Bên gửi gửi nhầm"), "what was done before it came is told: {shown}");
}

/// The days off of Tết are announced year by year: what stands in the settings is what the station counts by.
#[test]
fn calendar_of_the_settings_is_the_one_of_the_station() {
    let mut office = opened(SENDER);
    let built_in = Calendar::default().unknown_tet(node::runtime::now());
    assert_eq!(office.json(&["due"])["tet_unknown"], serde_json::json!(built_in));
    office.stop("-TERM");
    let config = office.data().join("config.toml");
    let text = std::fs::read_to_string(&config).expect("settings");
    let tet: Vec<String> = (2026..2060).map(|year| format!("\"{year}-02-08\"")).collect();
    let with = format!("\nholidays = [{}]", tet.join(", "));
    std::fs::write(&config, text.replace("\nholidays = []", &with)).expect("written");
    office.start();
    assert!(office.json(&["due"])["tet_unknown"].is_null());
}

/// L3: who looks after people and settings reads no content; who inspects changes nothing.
#[test]
fn roles_open_their_own_doors_only() {
    let mut pair = Pair::open();
    let document = pair.send("V/v phân quyền");
    let office = &mut pair.sender;
    office.text(&["person", "add", "Quản trị", "--role", "administrator"]);
    office.text(&["person", "add", "Kiểm tra", "--role", "auditor"]);
    for arguments in [&["show", &document][..], &["outgoing"], &["incoming"], &["register", "list"]] {
        let with = |who: &'static str| [arguments, &["--as", who]].concat();
        assert_eq!(refused(office, &with("quan-tri")), "content-role", "{arguments:?}");
        office.text(&with("kiem-tra"));
    }
    office.text(&["status", "--as", "quan-tri"]);
    assert_eq!(refused(office, &["waiting", "--as", "quan-tri"]), "content-role");
    office.text(&["alarms", "--as", "quan-tri"]);
    let mut letter =
        vec!["send", "--reference-only", "--to", "H02.18", "--subject", "V/v khác", "--as", "kiem-tra"];
    letter.extend(LETTER);
    assert_eq!(refused(office, &letter), "role");
    assert_eq!(refused(office, &["recall", &document, "--reason", "Sai", "--as", "kiem-tra"]), "role");
    office.text(&["person", "remove", "kiem-tra"]);
    assert_eq!(refused(office, &["outgoing", "--as", "kiem-tra"]), "failed");
    let people = office.json(&["person", "list"]);
    assert_eq!(people["people"].as_array().map(Vec::len), Some(4));
}

/// B8, L3: an administrator says who may send what; the refusal names who may; each change of rights is in the chain under the
/// name of whoever made it, also one that was made while the station stood still or by hand.
#[test]
fn b8_people_send_what_is_entrusted_to_them() {
    let mut pair = Pair::open();
    let office = &mut pair.sender;
    office.text(&["person", "add", "Quản trị", "--role", "administrator"]);
    let limit = ["person", "limit", LEADER, "--types", "báo cáo,QĐ", "--recipients", "H02.18", "--as"];
    assert_eq!(refused(office, &[&limit[..], &[CLERK]].concat()), "failed");
    let limited = office.json(&[&limit[..], &["quan-tri"]].concat());
    assert_eq!(
        (&limited["recorded"], &limited["types"]),
        (&true.into(), &serde_json::json!(["quyet-dinh", "bao-cao"]))
    );
    let paper = office.path("công văn.pdf");
    std::fs::write(&paper, "%PDF-1.7 nội dung").expect("written");
    let new = [&["draft", "new", "--to", "H02.18", "--subject", "V/v phân quyền"][..], LETTER].concat();
    let drafted = office.json(&[&new[..], &[paper.as_str(), "--as", OFFICER]].concat());
    let document = drafted["document"].as_str().expect("an id").to_owned();
    let approve = ["draft", "approve", &document, "--as", LEADER];
    assert_eq!(refused(office, &approve), "type-not-yours");
    let words = String::from_utf8(office.ask(&approve).stderr).expect("UTF-8");
    assert!(words.contains("Công văn") && words.contains("Chưa ai trong đơn vị được giao"), "{words}");
    office.text(&["person", "add", "Giàng Thị Chu", "--role", "leader", "--as", "quan-tri"]);
    let words = String::from_utf8(office.ask(&approve).stderr).expect("UTF-8");
    assert!(words.contains("Người được giao: Giàng Thị Chu."), "{words}");
    let list = office.text(&["person", "list"]);
    assert!(list.contains("chỉ loại văn bản: ") && list.contains("chỉ gửi đến: "), "{list}");
    office.text(&["person", "limit", LEADER, "--recipients", "H02.18", "--as", "quan-tri"]);
    office.text(&approve);

    // The other door asks the same.
    office.text(&["person", "limit", CLERK, "--types", "báo cáo"]);
    let letter = ["send", "--reference-only", "--to", "H02.18", "--subject", "V/v khác"];
    let letter = [&letter[..], LETTER, &[paper.as_str(), "--as", CLERK]].concat();
    assert_eq!(refused(office, &letter), "type-not-yours");
    office.text(&["person", "limit", CLERK, "--lift"]);
    office.text(&letter);
    // B1: no other door sends what is on its way out in the order of the law.
    let around = [&letter[..], &["--document", &document]].concat();
    assert_eq!(refused(office, &around), "is-drafted");

    // What is changed while the station stands still is recorded when it starts.
    office.stop("-TERM");
    let removed = office.json(&["person", "remove", OFFICER, "--as", "quan-tri"]);
    assert_eq!(removed["recorded"], false);
    office.start();
    let rights = |office: &Office| {
        let reader = Reader::open(&office.data().join("tram.db")).expect("a reader");
        let mut told = Vec::new();
        for entry in reader.journal(Position(1), 1_000).expect("readable") {
            let event = RecordedEvent::read(&entry.bytes).expect("sound");
            match Body::read(event.version, &event.event) {
                Ok(Body::Act(Act { by, deed: Deed::PersonSet { person } })) => {
                    told.push((by.name, person.name));
                }
                Ok(Body::Act(Act { by, deed: Deed::PersonRemoved { name } })) => told.push((by.name, name)),
                _ => {}
            }
        }
        told
    };
    // The door opens once what was found is on its way to the journal.
    office.text(&["status", "--as", "quan-tri"]);
    let told = rights(office);
    let administrator = |name: &str| ("Quản trị".to_owned(), name.to_owned());
    assert_eq!(told.last(), Some(&administrator("Giàng A Páo")));
    assert_eq!(told.iter().filter(|one| **one == administrator("Vàng A Sáng")).count(), 2);
    assert_eq!(told.iter().filter(|(by, _)| by.starts_with("tài khoản máy, uid ")).count(), 6);
    let people = office.json(&["person", "list"]);
    let token =
        std::fs::read_to_string(office.data().join("people").join("lo-thi-mai.token")).expect("a token");
    let journal = std::fs::read(office.data().join("tram.db")).expect("readable");
    assert!(!journal.windows(32).any(|bytes| bytes == &token.as_bytes()[..32]), "no token is in the store");
    assert_eq!(people["people"].as_array().map(Vec::len), Some(4));

    // And what a hand has changed in the file is too, before anybody acts by it.
    let file = office.data().join("people.json");
    let by_hand = std::fs::read_to_string(&file).expect("a list").replace("\"clerk\"", "\"leader\"");
    std::fs::write(&file, by_hand).expect("written");
    assert_eq!(refused(office, &letter), "role");
    let told = rights(office);
    assert_eq!((told.len(), told.last()), (11, Some(&("people.json".to_owned(), "Lò Thị Mai".to_owned()))));
}

/// L3: who looks after the machine has its token, and neither reads nor sends by it where the settings say so.
#[test]
fn l3_machine_reads_and_sends_only_what_the_settings_say() {
    let mut office = opened(SENDER);
    office.text(&["outgoing"]);
    office.stop("-TERM");
    let config = office.data().join("config.toml");
    let text = std::fs::read_to_string(&config).expect("settings");
    let usual = "machine_roles = [\"clerk\", \"administrator\"]";
    assert!(text.contains(usual), "{text}");
    std::fs::write(&config, text.replace(usual, "machine_roles = [\"administrator\"]")).expect("written");
    office.start();
    let paper = office.path("công văn.pdf");
    std::fs::write(&paper, "%PDF-1.7 nội dung").expect("written");
    let letter = ["send", "--reference-only", "--to", "H02.18", "--subject", "V/v khác"];
    let letter = [&letter[..], LETTER, &[paper.as_str()]].concat();
    for arguments in [&["outgoing"][..], &["incoming"], &["waiting"], &["due"], &["draft", "list"], &letter] {
        assert_eq!(refused(&office, arguments), "machine-role", "{arguments:?}");
        office.text(&[arguments, &["--as", CLERK]].concat());
    }
    // What says nothing of documents stays open, and so does the list of people.
    office.text(&["status"]);
    office.text(&["alarms"]);
    assert_eq!(office.json(&["person", "add", "Kiểm tra", "--role", "auditor"])["recorded"], true);
}

/// H1: paper and electronic documents share a series; a restored station gives no number before somebody stated the highest.
#[test]
fn numbers_are_one_series_and_survive_a_restore() {
    let mut office = opened(SENDER);
    let paper = paper("V/v cắt điện");
    // Whoever has had no answer repeats the command with the id, and gets the same number.
    let once = [&paper[..], &["--id", "000102030405060708090a0b0c0d0e0f"]].concat();
    let first = office.json(&once);
    assert_eq!(office.json(&once)["line"], first["line"]);
    let cancel = ["register", "cancel", "--reason", "Ghi nhầm", "--as", CLERK];
    assert_eq!(refused(&office, &[&cancel[..], &once[once.len() - 2..]].concat()), "other-work");
    let made = office.json(&["backup", "--out", &office.path("backups")]);
    let backup = made["backup"].as_str().expect("a path").to_owned();
    office.text(&paper);
    office.text(&cancel);
    let numbers = |office: &Office| {
        let lines = office.json(&["register", "show"]);
        lines["rows"].as_array().into_iter().flatten().map(|row| row["number"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(numbers(&office), [Some(1), Some(2), Some(3)]);
    office.stop("-TERM");
    office.text(&["restore", "--from", &backup, "--replace"]);
    office.start();
    assert_eq!(refused(&office, &paper), "book-doubtful");
    assert_eq!(refused(&office, &["register", "state", "0", "--as", CLERK]), "below-known");
    office.text(&["register", "state", "3", "--as", CLERK]);
    let given = office.json(&paper);
    assert_eq!(given["line"]["number"], 4);
    assert_eq!(numbers(&office), [Some(1), Some(4)]);
}

/// H1, H2: paper that goes out takes the next number of the outgoing series, and its register prints what the law wants of it.
#[test]
fn outgoing_paper_takes_a_number_of_the_series() {
    let office = opened(SENDER);
    let id = ["--id", "000102030405060708090a0b0c0d0e0f"];
    let paper = ["register", "issue-paper", "--type", "QĐ", "--subject", "V/v phê duyệt dự toán"];
    let rest = ["--signer", "Vàng A Sáng, Chủ tịch", "--recipient-line", "Như Điều 3", "--copies", "5"];
    let paper = [&paper[..], &rest, &["--kept-by", "Văn phòng", "--as", CLERK]].concat();
    let first = office.json(&[&paper[..], &id].concat());
    assert_eq!((&first["line"]["number"], &first["number"]), (&1.into(), &"01/QĐ-UBND".into()));
    let again = office.json(&[&paper[..], &id].concat());
    assert_eq!((&again["line"], &again["number"]), (&first["line"], &first["number"]));
    assert_eq!(office.json(&paper)["number"], "02/QĐ-UBND");
    let asked = [&paper[..paper.len() - 1], &[OFFICER]].concat();
    assert_eq!(refused(&office, &asked), "role");
    let shown = office.json(&["register", "show", "di", "du toan", "--direction", "outgoing"]);
    let row = &shown["rows"][0];
    assert_eq!((&row["copies"], &row["kept_by"]), (&5.into(), &"Văn phòng".into()), "{shown}");
    let file = office.path("so-di.csv");
    office.text(&["register", "export", "--direction", "outgoing", "--format", "csv", "--out", &file]);
    let printed = std::fs::read_to_string(&file).expect("a register");
    for text in ["01/QĐ-UBND", "Vàng A Sáng, Chủ tịch", "Như Điều 3", "Văn phòng", "05"] {
        assert!(printed.contains(text), "{text} is not in {printed}");
    }
}

/// L3: what a person sends is sent in that person's name, which stays in the office.
#[test]
fn l3_document_says_who_sealed_it() {
    let mut pair = Pair::open();
    let paper = pair.sender.path("công văn.pdf");
    std::fs::write(&paper, "%PDF-1.7 nội dung").expect("written");
    let letter = ["send", "--reference-only", "--to", "H02.18", "--subject", "V/v khác"];
    let letter = [&letter[..], LETTER, &[paper.as_str()]].concat();
    let sent = pair.sender.json(&[&letter[..], &["--as", CLERK]].concat());
    let document = sent["document"].as_str().expect("an id").to_owned();
    let steps = |office: &Office, document: &str| {
        let shown = office.json(&["show", document]);
        let steps = shown["steps"].as_array().cloned().unwrap_or_default();
        let sealed = steps.iter().filter(|step| step["kind"] == "sealed");
        sealed.map(|step| step["by"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(steps(&pair.sender, &document), ["Lò Thị Mai"]);
    let text = pair.sender.text(&["show", &document]);
    assert!(text.contains("đã đóng dấu cơ quan và cho gửi") && text.contains("Lò Thị Mai"), "{text}");
    pair.carry(true);
    assert!(!pair.recipient.json(&["show", &document]).to_string().contains("Lò Thị Mai"));
    let program = pair.send("V/v chương trình gửi");
    assert_eq!(steps(&pair.sender, &program), [""; 0]);
}

/// B1, B3: a document goes out in the order of the law, with a number of the register and a symbol of its type.
#[test]
fn document_goes_out_in_the_order_of_the_law() {
    let mut pair = Pair::open();
    let office = &pair.sender;
    let paper = office.path("báo cáo.pdf");
    std::fs::write(&paper, "%PDF-1.7 nội dung").expect("written");
    let new = [&["draft", "new", "--to", "H02.18", "--subject", "V/v báo cáo quý"][..], LETTER].concat();
    let new = [&new[..], &["--urgency", "express"]].concat();
    let closing = [paper.as_str(), "--as", OFFICER];
    let drafted = office.json(&[&new[..], &closing].concat());
    let document = drafted["document"].as_str().expect("an id").to_owned();
    let step = |arguments: &[&str], who: &'static str| {
        office.json(&[&["draft"], arguments, &[&document, "--as", who][..]].concat())
    };
    let refused_step = |arguments: &[&str], who: &'static str| {
        refused(office, &[&["draft"], arguments, &[&document, "--as", who][..]].concat())
    };
    assert_eq!(refused_step(&["number"], CLERK), "not-approved");
    assert_eq!(refused_step(&["approve"], CLERK), "role");
    step(&["approve"], LEADER);
    assert_eq!(refused_step(&["number"], CLERK), "not-signed");
    assert_eq!(refused_step(&["send"], CLERK), "not-signed");
    let manifest = office.path("bao-cao.manifest");
    step(&["show", "--out", &manifest], LEADER);
    let signature = sign(office, &manifest);
    assert_eq!(refused_step(&["sign", "--signature", &signature], CLERK), "role");
    assert_eq!(refused_step(&["sign", "--signature", &paper], LEADER), "signature-invalid");
    step(&["sign", "--signature", &signature], LEADER);
    let other = [&new[..], &["--document", &document], &closing].concat();
    assert_eq!(refused(office, &other), "content-fixed");
    // B6: what is signed and urgent is to be sent at once.
    let due = |office: &Office| {
        let rows = office.json(&["due"])["rows"].as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| [&row["task"], &row["timeliness"], &row["document"]].map(Value::to_string))
            .collect::<Vec<_>>()
    };
    let one = |task: &str| vec![[task, "due", &document].map(|text| format!("\"{text}\""))];
    assert_eq!(due(office), one("to-send"));
    let numbered = step(&["number", "--unit", "VP"], CLERK);
    assert_eq!((&numbered["number"], &numbered["line"]["number"]), (&"01/UBND-VP".into(), &1.into()));
    let list = office.text(&["draft", "list"]);
    assert!(list.contains("01/UBND-VP") && list.contains("đã cấp số, chưa gửi"), "{list}");
    step(&["send"], CLERK);
    assert_eq!(refused_step(&["send"], CLERK), "already-sent");
    assert!(due(office).is_empty());
    let shown = office.text(&["draft", "show", &document]);
    for words in
        ["soạn dự thảo", "lãnh đạo duyệt", "người có thẩm quyền ký", "cấp số, ngày; vào sổ", "Vàng A Sáng"]
    {
        assert!(shown.contains(words), "`{words}` is not in\n{shown}");
    }
    pair.carry(true);
    assert_eq!(due(&pair.recipient), one("to-accept"));
    let there = pair.recipient.json(&["show", &document]);
    assert_eq!(
        (&there["number"], &there["signatures"][0]["outcome"]),
        (&"01/UBND-VP".into(), &"undetermined".into())
    );
}

/// A date by which an answer is wanted is the recipient's own deadline, and at the sender's it is seen who has not answered.
#[test]
fn f2_answer_that_is_wanted_by_a_date_is_due_at_both_ends_until_it_comes() {
    let mut pair = Pair::open();
    let send = |office: &Office, to: &str, more: &[&str]| {
        let paper = office.path("công văn.pdf");
        std::fs::write(&paper, "%PDF-1.7 nội dung").expect("written");
        let mut arguments = vec!["send", "--reference-only", "--to", to, "--subject", "V/v báo cáo số liệu"];
        arguments.extend(LETTER);
        arguments.extend(more);
        arguments.push(&paper);
        office.json(&arguments)["document"].as_str().expect("an id").to_owned()
    };
    let has = |office: &Office, task: &str| {
        let due = office.json(&["due"]);
        let rows = due["rows"].as_array().into_iter().flatten();
        rows.filter(|row| row["task"] == task).map(|row| row["timeliness"].to_string()).collect::<Vec<_>>()
    };
    let asks = ["--number", "47/UBND-VP", "--issued-on", "2025-06-05", "--due", "2025-12-31"];
    let document = send(&pair.sender, "H02.18", &asks);
    assert_eq!(has(&pair.sender, "to-be-replied"), ["\"late\""]);
    let text = pair.sender.text(&["due"]);
    for words in ["đến hạn trả lời", "1 nơi nhận chưa trả lời: Ủy ban nhân dân xã số 2", "31/12/2025"]
    {
        assert!(text.contains(words), "`{words}` is not in\n{text}");
    }
    pair.carry(true);
    assert!(has(&pair.recipient, "to-finish").is_empty(), "nobody has accepted it");
    let why = "Nhận qua USB, đã gọi điện xác nhận.";
    pair.recipient.text(&["accept", &document, "--undetermined-because", why, "--as", CLERK]);
    assert_eq!(has(&pair.recipient, "to-finish"), ["\"late\""]);
    pair.carry(false);
    assert_eq!(has(&pair.sender, "to-be-replied"), ["\"late\""], "accepted is not answered");
    // The answer names it by number and date, as the law has it.
    send(&pair.recipient, "H01.18", &["--responds-to", "H01.18,47/UBND-VP,2025-06-05"]);
    assert!(
        has(&pair.recipient, "to-finish").is_empty(),
        "no leader named a date, and the answer is on its way"
    );
    pair.carry(false);
    assert!(has(&pair.sender, "to-be-replied").is_empty(), "it was answered");
    // Finished without an answer: that is no more waited for either.
    let other = send(&pair.sender, "H02.18", &["--due", "2025-12-31"]);
    assert_eq!(has(&pair.sender, "to-be-replied"), ["\"late\""]);
    pair.carry(true);
    pair.recipient.text(&["accept", &other, "--undetermined-because", why, "--as", CLERK]);
    pair.recipient.text(&["assign", &other, "--lead", "Ông Páo", "--as", LEADER]);
    pair.recipient.text(&["start", &other, "--as", OFFICER]);
    pair.recipient.text(&["finish", &other, "--as", OFFICER]);
    pair.carry(false);
    assert!(has(&pair.sender, "to-be-replied").is_empty(), "it is finished there");
}
