//! A person signs what the station froze, with `openssl`; whoever receives the document sees whose signature it is and what
//! it is worth.

mod office;
mod station;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use office::{LETTER, Office, openssl, sign};
use serde_json::Value;
use station::certified::{BEGAN, ENDS, Registrar};
use station::{RECIPIENT, SENDER};

#[test]
fn person_signs_what_was_frozen_and_the_recipient_sees_whose_signature_it_is() {
    let (mut sender, mut recipient) = (Office::enrolled(SENDER), Office::enrolled(RECIPIENT));
    sender.start_with(&[("TRAM_LOG", "trace")]);
    recipient.start_with(&[("TRAM_LOG", "trace")]);
    let paper = sender.path("Báo cáo.pdf");
    fs::write(&paper, "%PDF-1.7 nội dung").expect("written");
    let manifest = sender.path("bao-cao.manifest");
    let frozen = sender.text(&[
        "freeze",
        "--subject",
        "V/v báo cáo quý",
        "--type",
        "BC",
        "--signer",
        "Nguyễn Văn An",
        "--position",
        "Chủ tịch",
        "--secrecy",
        "normal",
        "--pages",
        "4",
        "--place",
        "Na Hối",
        "--due",
        "2025-07-01",
        "--recipient-line",
        "Như trên",
        "--responds-to",
        "H02.18,9/UBND-VP,2025-06-05",
        "--capacity",
        "on-behalf",
        "--paper",
        "on-the-list",
        "--out",
        &manifest,
        &paper,
    ]);
    assert!(frozen.contains("Chưa gửi gì") && frozen.contains("V/v báo cáo quý"), "{frozen}");
    assert!(
        sender.json(&["outgoing"])["rows"].as_array().is_some_and(Vec::is_empty),
        "freezing sends nothing"
    );
    let again =
        sender.ask(&[&["freeze", "--subject", "V/v khác"][..], LETTER, &["--out", &manifest]].concat());
    assert_eq!(again.status.code(), Some(1), "what somebody may be signing is not written over");

    let signature = sign(&sender, &manifest);
    let sent = sender.json(&[
        "send",
        "--to",
        "H02.18",
        "--manifest",
        &manifest,
        "--number",
        "12/BC-UBND",
        "--issued-on",
        "2025-06-10",
        "--signature",
        &signature,
    ]);
    let document = sent["document"].as_str().expect("an id");
    let file = sender.path("there.courier");
    sender.text(&["courier", "export", "--out", &file]);
    recipient.text(&["courier", "import", &file]);

    let shown = recipient.text(&["show", document]);
    let law = [
        "loại: Báo cáo",
        "số, ký hiệu: 12/BC-UBND  10/06/2025",
        "người ký: Nguyễn Văn An, Chủ tịch (TM. (thay mặt))",
        "số trang: 4",
        "địa danh: Na Hối",
        "hạn trả lời: 01/07/2025",
        "trả lời văn bản: 9/UBND-VP (05/06/2025), ",
        "nơi nhận: Như trên",
        "kèm bản giấy: thuộc danh mục",
    ];
    for words in law.into_iter().chain(["chữ ký của cá nhân: chưa xác định", "Tỉnh Phú Thọ"])
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let json = recipient.json(&["show", document]);
    let signature = &json["signatures"][0];
    assert_eq!(
        (&signature["identified"], &signature["outcome"]),
        (&Value::Bool(true), &"undetermined".into())
    );
    let undetermined: Vec<&str> = signature["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["outcome"] != "valid")
        .map(|finding| finding["item"].as_str().expect("an item"))
        .collect();
    assert!(undetermined.contains(&"proven-time"), "by courier no relay saw it: {undetermined:?}");
    for log in [sender.log(), recipient.log()] {
        assert!(log.contains("DEBUG"), "not everything is in the log: {log}");
        assert!(!log.contains("001099012345"), "the citizen number is in the log");
    }
    for text in [shown, json.to_string(), sender.text(&["show", document])] {
        assert!(!text.contains("001099012345"), "the citizen number is shown: {text}");
    }
}

#[test]
fn officer_signs_at_the_desk_what_the_station_then_sends() {
    let (mut sender, mut recipient) = (Office::enrolled(SENDER), Office::enrolled(RECIPIENT));
    let [plain, key, certificate, words] =
        ["an.plain", "an.key", "an.pem", "an.words"].map(|name| sender.path(name));
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    fs::write(&plain, pair.serialize_der()).expect("written");
    private(&words, "cầu Long Biên 1902");
    let protect = ["pkcs8", "-topk8", "-scrypt", "-inform", "DER", "-in", &plain, "-out", &key, "-passout"];
    openssl(&[&protect[..], &[&format!("file:{words}")]].concat());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("owned");
    let der = Registrar::new().officer_with(&pair, 51, (BEGAN, ENDS));
    fs::write(&certificate, der).expect("written");
    let mut settings = fs::OpenOptions::new();
    let mut settings = settings.append(true).open(sender.data().join("config.toml")).expect("there");
    writeln!(settings, "\n[[signers]]\nname = \"an\"\nkind = \"file\"").expect("written");
    writeln!(settings, "certificate = \"{certificate}\"\nkey = \"{key}\"").expect("written");
    sender.start();
    recipient.start();

    let manifest = sender.path("to-trinh.manifest");
    sender.text(&[
        "freeze",
        "--subject",
        "Tờ trình về cầu",
        "--type",
        "TTr",
        "--secrecy",
        "normal",
        "--pages",
        "1",
        "--signer",
        "Vàng A Sáng",
        "--position",
        "Chủ tịch",
        "--out",
        &manifest,
    ]);
    sender.text(&["sign", &manifest, "--signer", "an", "--passphrase-file", &words]);
    let signature = format!("{manifest}.p7s");
    let send = [
        "send",
        "--to",
        "H02.18",
        "--manifest",
        &manifest,
        "--number",
        "7/TTr-UBND",
        "--issued-on",
        "2025-06-10",
    ];
    let sent = sender.json(&[&send[..], &["--signature", &signature]].concat());
    let file = sender.path("there.courier");
    sender.text(&["courier", "export", "--out", &file]);
    recipient.text(&["courier", "import", &file]);
    let shown = recipient.json(&["show", sent["document"].as_str().expect("an id")]);
    let finding = |item: &str| {
        let findings = shown["signatures"][0]["findings"].as_array().expect("findings");
        findings.iter().find(|finding| finding["item"] == item).map(|finding| finding["outcome"].clone())
    };
    for item in ["content", "signature"] {
        assert_eq!(finding(item), Some("valid".into()), "{item}: {shown}");
    }
}

/// Writes a file that only its owner can read.
fn private(path: &str, words: &str) {
    fs::write(path, words).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("owned");
}

#[test]
fn signature_on_other_bytes_is_refused_in_words_and_nothing_is_sent() {
    let mut sender = Office::enrolled(SENDER);
    sender.start();
    let [manifest, other] = ["a.manifest", "b.manifest"].map(|name| sender.path(name));
    sender.text(&[&["freeze", "--subject", "V/v một"][..], LETTER, &["--out", &manifest]].concat());
    sender.text(&[&["freeze", "--subject", "V/v hai"][..], LETTER, &["--out", &other]].concat());
    let signature = sign(&sender, &other);
    let send = ["send", "--to", "H02.18", "--manifest", &manifest, "--signature", &signature];
    let refused = sender.ask(&send);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("không hợp lệ") && said.contains("Chữ ký thứ 1"), "{said}");
    let json = sender.ask(&[&["--json", "--lang", "en"][..], &send].concat());
    let json: Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["error"], "signature-invalid", "{json}");

    // A manifest that is cut, and one beside fields of its own.
    let bytes = fs::read(&manifest).expect("there");
    fs::write(sender.path("c.manifest"), &bytes[..bytes.len() - 1]).expect("written");
    let touched = sender.ask(&["send", "--to", "H02.18", "--manifest", &sender.path("c.manifest")]);
    assert_eq!(touched.status.code(), Some(1));
    let beside = sender.ask(&["send", "--to", "H02.18", "--manifest", &manifest, "--subject", "V/v ba"]);
    assert_eq!(beside.status.code(), Some(2), "two abstracts");
    assert!(sender.json(&["outgoing"])["rows"].as_array().is_some_and(Vec::is_empty));
}
