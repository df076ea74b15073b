//! The clerk's door over real sockets, with a real station behind it.

#[path = "../../schema/tests/secret/mod.rs"]
mod secret;
mod station;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use node::api::{CONNECTIONS_MAX, HEADER_SECONDS_MAX, JSON_BYTES_MAX};
use node::runtime::now;
use schema::blob::FILE_BYTES_MAX;
use schema::body::{Body, Dispatch};
use schema::courier::{CourierWriter, Record};
use schema::document::{DocumentType, Manifest, Signer};
use schema::event::{Addressee, Event, Kind, seal};
use schema::id::{Counter, DocumentId, EventId, Incarnation, Seq, hex};
use schema::pack::PackItem;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use station::{NOT_ENROLLED, RECIPIENT, SENDER, Station, TOKEN, key, office_id, pdf};

#[test]
fn document_is_saved_and_shown_as_queued_with_what_is_proven() {
    let station = Station::of(SENDER);
    let document = station.dispatch("V/v báo cáo tình hình", &pdf());

    let list = station.get("/outgoing").json();
    assert_eq!(list["rows"][0]["document"], json!(document));
    assert_eq!(list["rows"][0]["status_text"], "chờ gửi");

    let view = station.get(&format!("/documents/{document}")).json();
    assert_eq!(view["from_name"], "Ủy ban nhân dân xã số 1");
    assert_eq!(view["recipients"][0]["status"], "queued");
    assert_eq!(view["recipients"][0]["steps"][0]["kind"], "queued");
    let text = view.to_string();
    assert!(!text.contains("đã gửi") && !text.contains("đã đến"), "more is said than is proven: {text}");

    let why = station.get(&format!("/documents/{document}/why")).json();
    assert_eq!(why["recipients"][0]["cause"], "waiting-for-line");
    assert_eq!(why["recipients"][0]["office_name"], "Ủy ban nhân dân xã số 2");
    assert!(
        why["recipients"][0]["who_text"].as_str().is_some_and(|text| text.contains("đơn vị này")),
        "{why}"
    );

    let attachment = station.get(&format!("/documents/{document}/attachments/1"));
    assert_eq!(attachment.body, pdf());
    assert!(attachment.head.contains("filename*=UTF-8''C%C3%B4ng%20v%C4%83n.pdf"), "{}", attachment.head);
    assert_eq!(
        station.get(&format!("/documents/{document}/attachments/2")).refusal(),
        (404, "no-attachment".into())
    );
    assert_eq!(station.get("/status").json()["queued"], 1);
}

/// Asking twice for a new sealing key is asking once, as long as the first one is not announced: nothing of this station is, which seals
/// nothing.
#[test]
fn sealing_key_that_waits_to_be_announced_is_not_followed_by_another() {
    let station = Station::of(SENDER);
    let first = station.get("/status").json()["sealing"].clone();
    assert_eq!(first["sealing_key"], "unannounced", "{first}");
    for _ in 0..2 {
        let answer = station.post("/sealing-key", &json!({})).json();
        assert_eq!((&answer["made"], &answer["announced"]), (&json!(false), &json!(false)), "{answer}");
        assert_eq!((&answer["keys"], &answer["recipient"]), (&json!(1), &first["recipient"]), "{answer}");
        let words = answer["sealing_key_text"].as_str().expect("words");
        assert!(words.contains("chưa công bố"), "{words}");
    }
}

#[test]
fn bad_input_gets_a_refusal_with_a_name() {
    let station = Station::of(SENDER);
    let recipient = office_id(RECIPIENT).to_string();
    let document = station.dispatch("V/v báo cáo", b"abc");
    let post = |body: Value| station.post("/documents", &body).refusal();
    let body = || {
        let signer = json!({ "position": "Chủ tịch", "name": "Vàng A Sáng" });
        let content = json!({ "secrecy": "normal", "subject": "V/v thử", "document_type": "BC", "pages": 1, "signer": signer });
        json!({ "to": [recipient], "content": content, "reference_only": true })
    };
    let with = |field: &str, value: Value| {
        let mut body = body();
        body[field] = value;
        post(body)
    };
    let says = |field: &str, value: Value| {
        let mut body = body();
        body["content"][field] = value;
        post(body)
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let attachment =
        json!([{ "sha256": "00".repeat(32), "length": 1, "name": "a", "media_type": "text/plain" }]);

    assert_eq!(station.with_body("POST", "/documents", b"{").refusal(), refused(400, "body"));
    assert_eq!(station.with_body("POST", "/documents", b"\xff\xfe").refusal(), refused(400, "body"));
    assert_eq!(with("sujbect", json!("x")), refused(400, "body"));
    assert_eq!(with("content", Value::Null), refused(400, "body"));
    assert_eq!(with("number", json!("47")), refused(400, "body"));
    assert_eq!(with("issued_on", json!("2025-02-30")), refused(400, "body"));
    assert_eq!(with("issued_on", json!("2025-02-28")), refused(400, "body"), "the date of nothing");
    assert_eq!(with("number", json!("47/UBND-VP")), refused(400, "body"), "nobody invents its date");
    let long = "ạ".repeat(255);
    assert_eq!(
        says("recipient_lines", json!(vec![long; 64])),
        refused(422, "document"),
        "too large to be sent"
    );
    assert_eq!(says("sujbect", json!("x")), refused(400, "body"));
    // B3: an official letter has no abbreviation.
    assert_eq!(says("document_type", json!("CV")), refused(400, "body"));
    assert_eq!(says("signer", json!({ "position": "", "name": "Vàng A Sáng" })), refused(422, "document"));
    assert_eq!(says("pages", json!(0)), refused(422, "document"));
    let answers = json!([{ "issuer": "H09.99", "number": "9/UBND-VP", "issued_on": "2025-06-05" }]);
    assert_eq!(says("responds_to", answers), refused(422, "unknown-code"));
    assert_eq!(says("paper", json!("we like paper")), refused(400, "body"));
    assert_eq!(with("reference_only", json!(false)), refused(422, "unsigned"));
    assert_eq!(with("to", json!([])), refused(422, "no-recipients"));
    assert_eq!(with("to", json!(["H09.99"])), refused(422, "unknown-code"));
    assert_eq!(with("to", json!([office_id(SENDER)])), refused(422, "to-itself"));
    assert_eq!(with("to", json!([office_id(NOT_ENROLLED)])), refused(422, "not-enrolled"));
    assert_eq!(with("to", json!([office_id(9)])), refused(422, "unknown-recipient"));
    assert_eq!(says("subject", json!("")), refused(422, "document"));
    assert_eq!(says("subject", json!("Quye\u{302}\u{301}t")), refused(422, "document"));
    assert_eq!(says("subject", json!("x".repeat(5_000))), refused(422, "document"));
    assert_eq!(says("secrecy", json!("top-secret")), refused(422, "secrecy"));
    assert_eq!(says("attachments", attachment), refused(409, "attachment-missing"));
    assert_eq!(says("document", json!(document)), refused(409, "already-dispatched"));

    let wrong =
        station.with_body("PUT", &format!("/files/{}?length=3&secrecy=normal", "ab".repeat(32)), b"abc");
    assert_eq!(wrong.refusal(), refused(422, "file-mismatch"));
    let hash = "ab".repeat(32);
    assert_eq!(
        station.with_body("PUT", &format!("/files/{hash}?length=4&secrecy=normal"), b"abc").refusal(),
        refused(400, "parameter")
    );
    assert_eq!(
        station.with_body("PUT", &format!("/files/{hash}?length=0&secrecy=normal"), b"").refusal(),
        refused(422, "empty-file")
    );
    assert_eq!(
        station.with_body("PUT", "/files/xyz?length=3&secrecy=normal", b"abc").refusal(),
        refused(400, "parameter")
    );
    assert_eq!(station.get("/documents/xyz").refusal(), refused(400, "parameter"));
    assert_eq!(station.get(&format!("/documents/{}", "0".repeat(32))).refusal(), refused(404, "no-document"));
    assert_eq!(station.get("/incoming?limit=many").refusal(), refused(400, "parameter"));
    assert_eq!(station.get("/nowhere").refusal(), refused(404, "not-found"));
    assert_eq!(station.post("/incoming", &json!({})).refusal(), refused(405, "method"));
    assert_eq!(
        station.with_body("POST", "/courier/import", b"not a courier file").refusal(),
        refused(422, "courier")
    );

    assert_eq!(
        station.get("/outgoing").json()["rows"].as_array().map(Vec::len),
        Some(1),
        "something was recorded"
    );
}

/// A connection outlives an upload of what is here already: the next request on it is answered.
#[test]
fn known_attachment_is_read_to_its_end() {
    let station = Station::of(SENDER);
    let bytes = pdf();
    let (hash, first) = station.upload(&bytes);
    assert_eq!(first.status, 201);
    let mut stream = TcpStream::connect(station.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
    let path = format!("/files/{hash}?length={}&secrecy=normal", bytes.len());
    let kept = station.head("PUT", &path, &format!("Content-Length: {}\r\n", bytes.len()));
    let kept = kept.replace("Connection: close\r\n", "");
    stream.write_all(&[kept.as_bytes(), &bytes].concat()).expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        head.push(byte[0]);
    }
    assert!(head.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(&head));
    stream.write_all(station.head("GET", "/status", "").as_bytes()).expect("still open");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an answer to the next request");
    assert!(String::from_utf8_lossy(&rest).contains("HTTP/1.1 200"), "{}", String::from_utf8_lossy(&rest));
}

/// I1, I2: nothing of what is refused is on the disk afterwards, whichever door it came to.
#[test]
fn i2_state_secrets_leave_no_byte_on_the_disk() {
    const CANARY: &[u8] = b"toa do tran dia phao so 7, vi du";
    let station = Station::of(SENDER);
    station.dispatch("V/v văn bản thường", b"published");
    let hash = hex(&Sha256::digest(CANARY));
    let signer = json!({ "position": "Chủ tịch", "name": "Vàng A Sáng" });
    for secrecy in ["confidential", "secret", "top-secret"] {
        let path = format!("/files/{hash}?length={}&secrecy={secrecy}", CANARY.len());
        assert_eq!(station.with_body("PUT", &path, CANARY).refusal(), (422, "secrecy".into()));
        let content = json!({
            "secrecy": secrecy, "subject": String::from_utf8_lossy(CANARY), "document_type": "QĐ", "pages": 1, "signer": signer,
        });
        let sent = station.post("/documents", &json!({ "to": [office_id(RECIPIENT)], "content": content }));
        assert_eq!(sent.refusal(), (422, "secrecy".into()));
        assert_eq!(station.post("/manifests", &content).refusal(), (422, "secrecy".into()));
        let message = sent.json()["message"].as_str().expect("words").to_owned();
        assert!(message.contains("không nối mạng"), "where it belongs is not said: {message}");
    }
    let undeclared = station.with_body("PUT", &format!("/files/{hash}?length={}", CANARY.len()), CANARY);
    assert_eq!(undeclared.refusal(), (400, "parameter".into()), "nobody may leave it open");
    let wrong = format!("/files/{hash}?length={}&secrecy=mat", CANARY.len());
    assert_eq!(station.with_body("PUT", &wrong, CANARY).refusal(), (400, "parameter".into()));

    // By courier file: an event that another program has written and marked.
    let mut event = sealed_letter(CANARY);
    let letter = sealed_letter(b"V/v van ban thuong");
    event = secret::marked_secret(&event);
    let mut writer = CourierWriter::new(Vec::new()).expect("a file");
    let pack = vec![PackItem::new(0, &event), PackItem::new(0, &letter)];
    writer.add(&Record::Pack(pack)).expect("written");
    let file = writer.finish().expect("a whole file");
    assert!(file.windows(CANARY.len()).any(|part| part == CANARY), "the file does not hold it");
    let imported = station.with_body("POST", "/courier/import", &file).json();
    assert_eq!((&imported["new"], &imported["refused"]), (&1.into(), &1.into()), "{imported}");
    let refused = station.get("/quarantine").json();
    let reason = refused["rows"][0]["reason_vi"].as_str().expect("words").to_owned();
    assert!(reason.contains("độ mật") && reason.contains("văn bản mật"), "{reason}");
    assert_eq!(refused["rows"][0]["bytes"], 0);

    let found = files_with(station.folder(), CANARY);
    assert!(found.is_empty(), "on the disk: {found:?}");
    assert!(!files_with(station.folder(), b"van ban thuong").is_empty(), "what came with it is lost");
    assert!(files_with(station.folder(), b"published").is_empty(), "an attachment lies open");
}

/// A letter of the other office to this one, as it travels.
fn sealed_letter(subject: &[u8]) -> Vec<u8> {
    let (subject, signer) = (String::from_utf8_lossy(subject), Signer::head("Chủ tịch", "Vàng A Sáng"));
    let (issuer, letter) = (office_id(RECIPIENT), DocumentType::OfficialLetter);
    let manifest = Manifest::new(DocumentId::new([7; 16]), issuer, letter, subject, signer);
    let event = Event {
        office: issuer,
        incarnation: Incarnation::FIRST,
        seq: Seq(1),
        prev: EventId::NONE,
        claimed_at: now(),
        kind: Kind::Dispatch,
        urgency: manifest.urgency,
        to: vec![Addressee { office: office_id(SENDER), counter: Counter(1) }],
        seen: Vec::new(),
        blobs: Vec::new(),
        body: Body::Dispatch(Dispatch::unsigned(manifest)).encode().expect("a body"),
        sealed: None,
        archive: None,
        content: None,
    };
    seal(event, &key(RECIPIENT)).expect("a sound event").bytes().to_vec()
}

/// The files below a folder that hold these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("readable").path()) {
        if entry.is_dir() {
            found.extend(files_with(&entry, bytes));
        } else if fs::read(&entry).expect("readable").windows(bytes.len()).any(|part| part == bytes) {
            found.push(entry);
        }
    }
    found
}

#[test]
fn refusal_speaks_the_language_that_was_asked_for() {
    let station = Station::of(SENDER);
    let vietnamese = station.get("/nowhere").json();
    assert_eq!(vietnamese["message"], "Không có địa chỉ này.");
    let english = station.send(station.head("GET", "/nowhere", "Accept-Language: en\r\n").as_bytes());
    assert_eq!(english.json()["message"], "There is nothing at this address.");
}

#[test]
fn foreign_host_foreign_page_and_missing_token_are_refused() {
    let station = Station::of(SENDER);
    let ask = |host: &str, more: &str| {
        let request =
            format!("GET /api/v1/status HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n");
        station.send(request.as_bytes()).refusal()
    };
    let (mine, token) = (station.address.to_string(), format!("Authorization: Bearer {TOKEN}\r\n"));
    let port = station.address.port();
    assert_eq!(ask(&mine, ""), (401, "token".into()));
    assert_eq!(ask(&mine, "Authorization: Bearer wrong\r\n"), (401, "token".into()));
    assert_eq!(ask(&format!("evil.example:{port}"), &token), (421, "host".into()));
    assert_eq!(ask("127.0.0.1", &token), (421, "host".into()));
    assert_eq!(ask(&mine, &format!("{token}Origin: http://evil.example\r\n")), (403, "origin".into()));
    assert_eq!(ask(&mine, &format!("{token}Origin: null\r\n")), (403, "origin".into()));
    assert_eq!(ask(&mine, &format!("{token}Origin: http://{mine}\r\n")).0, 200);
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let station = Station::of(SENDER);
    // No byte of the bodies is ever sent: an answer proves that none was waited for.
    let json = format!("Content-Length: {}\r\n", JSON_BYTES_MAX + 1);
    let answer = station.send(station.head("POST", "/documents", &json).as_bytes());
    assert_eq!(answer.refusal(), (413, "too-large".into()));
    let path = format!("/files/{}?length={}&secrecy=normal", "ab".repeat(32), FILE_BYTES_MAX + 1);
    let blob = format!("Content-Length: {}\r\n", FILE_BYTES_MAX + 1);
    let answer = station.send(station.head("PUT", &path, &blob).as_bytes());
    assert_eq!(answer.refusal(), (413, "too-large".into()));
}

#[test]
fn half_open_connections_do_not_stop_the_clerk() {
    let station = Station::of(SENDER);
    let half_open: Vec<TcpStream> = (0..CONNECTIONS_MAX + 20)
        .map(|n| {
            let mut stream = TcpStream::connect(station.address).expect("a connection");
            if n % 2 == 0 {
                stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: ").expect("sent");
            }
            stream
        })
        .collect();
    let asked = Instant::now();
    assert_eq!(station.get("/status").status, 200);
    let waited = asked.elapsed();
    assert!(waited < Duration::from_secs(2 * HEADER_SECONDS_MAX + 3), "waited {waited:?}");
    drop(half_open);
}

#[test]
fn courier_file_brings_the_document_and_the_receipt_back() {
    let (sender, recipient) = (Station::of(SENDER), Station::of(RECIPIENT));
    let document = sender.dispatch("V/v chuyển tay", &pdf());
    let there = sender.with_body("POST", &format!("/courier/export?to={}", office_id(RECIPIENT)), b"");
    assert_eq!(there.status, 200);

    // A stick that was pulled out too early gives what is whole, and says that it is not all.
    let cut = recipient.with_body("POST", "/courier/import", &there.body[..there.body.len() / 2]).json();
    assert_eq!(cut["complete"], false, "{cut}");
    let whole = recipient.with_body("POST", "/courier/import", &there.body).json();
    assert_eq!(whole["complete"], true, "{whole}");

    let incoming = recipient.get("/incoming").json();
    assert_eq!(incoming["rows"].as_array().map(Vec::len), Some(1), "{incoming}");
    assert_eq!(incoming["rows"][0]["document"], json!(document));
    assert_eq!(recipient.get(&format!("/documents/{document}/attachments/1")).body, pdf());

    let back = recipient.with_body("POST", "/courier/export", b"");
    let taken = sender.with_body("POST", "/courier/import", &back.body).json();
    assert_eq!(taken["complete"], true, "{taken}");
    let view = sender.get(&format!("/documents/{document}")).json();
    assert_eq!(view["recipients"][0]["status"], "arrived", "{view}");
    assert_eq!(view["recipients"][0]["status_text"], "đã đến (có biên nhận)");
}

#[test]
fn offices_are_found_without_diacritics() {
    let station = Station::of(SENDER);
    let found = station.get("/offices?search=uy%20ban%20so%202").json();
    assert_eq!(found["rows"][0]["office"], json!(office_id(RECIPIENT)), "{found}");
    let enrolled = station.get("/offices?enrolled=true").json();
    assert_eq!(enrolled["rows"].as_array().map(Vec::len), Some(3));
}

#[test]
fn signing_request_that_is_not_understood_is_refused_and_its_secret_not_repeated() {
    let station = Station::of(SENDER);
    let ask = |content: &str, secret: Value| json!({ "signer": "lan", "content": content, "description": "CV 12", "secret": secret });
    for body in [
        ask("!!", json!("hush-hush")),
        ask("YQ==", json!({ "hush-hush": 1 })),
        ask("YQ==", json!("hush-hush\n2")),
        json!({ "hush-hush": 1 }),
    ] {
        let answer = station.post("/signatures", &body);
        assert_eq!(answer.refusal(), (400, "body".into()), "{body}");
        assert!(!String::from_utf8_lossy(&answer.body).contains("hush"), "{:?}", answer.json());
    }
    let unknown = station.post("/signatures", &ask("YQ==", json!(null)));
    assert_eq!(unknown.refusal(), (404, "unknown-signer".into()));
    assert_eq!(station.get("/signatures/xyz").refusal(), (400, "parameter".into()));
    assert_eq!(station.get(&format!("/signatures/{}", "0".repeat(32))).refusal(), (404, "no-request".into()));
    assert_eq!(station.get("/signatures").json()["rows"], json!([]));
    assert_eq!(station.get("/signers").json()["rows"], json!([]));
}
