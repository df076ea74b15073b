//! A person signs what the station froze, with `openssl`; whoever receives the document sees whose signature it is and what
//! it is worth.

mod office;
mod station;

use std::fs;
use std::process::Command;

use office::Office;
use serde_json::Value;
use station::certified::{BEGAN, ENDS, Registrar};
use station::{RECIPIENT, SENDER};

/// Signs a frozen file with a P-256 key and the certificate of an officer, as the help of `freeze` says.
fn sign(office: &Office, manifest: &str) -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let certificate = Registrar::new().officer_with(&key, 50, (BEGAN, ENDS));
    let (key_file, certificate_file) = (office.path("person.key"), office.path("person.der"));
    fs::write(&key_file, key.serialize_der()).expect("written");
    fs::write(&certificate_file, certificate).expect("written");
    let pem = office.path("person.pem");
    let signature = format!("{manifest}.p7s");
    openssl(&["x509", "-inform", "DER", "-in", &certificate_file, "-out", &pem]);
    openssl(&[
        "cms",
        "-sign",
        "-binary",
        "-cades",
        "-nosmimecap",
        "-md",
        "sha256",
        "-in",
        manifest,
        "-signer",
        &pem,
        "-inkey",
        &key_file,
        "-keyform",
        "DER",
        "-outform",
        "DER",
        "-out",
        &signature,
    ]);
    signature
}

fn openssl(arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).output().expect("openssl is there");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn person_signs_what_was_frozen_and_the_recipient_sees_whose_signature_it_is() {
    let (mut sender, mut recipient) = (Office::enrolled(SENDER), Office::enrolled(RECIPIENT));
    sender.start();
    recipient.start();
    let paper = sender.path("Báo cáo.pdf");
    fs::write(&paper, "%PDF-1.7 nội dung").expect("written");
    let manifest = sender.path("bao-cao.manifest");
    let frozen =
        sender.text(&["freeze", "--subject", "V/v báo cáo quý", "--type", "BC", "--out", &manifest, &paper]);
    assert!(frozen.contains("Chưa gửi gì") && frozen.contains("V/v báo cáo quý"), "{frozen}");
    assert!(
        sender.json(&["outgoing"])["rows"].as_array().is_some_and(Vec::is_empty),
        "freezing sends nothing"
    );
    let again = sender.ask(&["freeze", "--subject", "V/v khác", "--out", &manifest]);
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
        "--signature",
        &signature,
    ]);
    let document = sent["document"].as_str().expect("an id");
    let file = sender.path("there.courier");
    sender.text(&["courier", "export", "--out", &file]);
    recipient.text(&["courier", "import", &file]);

    let shown = recipient.text(&["show", document]);
    for words in ["chữ ký của cá nhân: chưa xác định", "Nguyễn Văn An", "Tỉnh Phú Thọ", "12/BC-UBND"]
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
    for text in [shown, json.to_string(), sender.text(&["show", document])] {
        assert!(!text.contains("001099012345"), "the citizen number is shown: {text}");
    }
}

#[test]
fn signature_on_other_bytes_is_refused_in_words_and_nothing_is_sent() {
    let mut sender = Office::enrolled(SENDER);
    sender.start();
    let [manifest, other] = ["a.manifest", "b.manifest"].map(|name| sender.path(name));
    sender.text(&["freeze", "--subject", "V/v một", "--out", &manifest]);
    sender.text(&["freeze", "--subject", "V/v hai", "--out", &other]);
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
