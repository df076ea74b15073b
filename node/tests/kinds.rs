//! What attachments are by their own bytes, told at the door in both languages, and how they are given.

mod station;

use serde_json::json;
use station::{RECIPIENT, SENDER, Station};

fn codes(found: &serde_json::Value) -> Vec<&str> {
    let warnings = found["warnings"].as_array().into_iter().flatten();
    warnings.map(|warning| warning["code"].as_str().expect("a code")).collect()
}

/// A letter to the recipient with this attachment.
fn sent(station: &Station, name: &str, bytes: &[u8]) -> String {
    let (hash, kept) = station.upload(bytes);
    assert_eq!(kept.status, 201, "{kept:?}");
    let named =
        json!([{ "sha256": hash, "length": bytes.len(), "name": name, "media_type": "application/pdf" }]);
    let sent = station.post(
        "/documents",
        &json!({
            "to": [format!("H0{RECIPIENT}.18")],
            "reference_only": true,
            "content": {
                "secrecy": "normal", "subject": "V/v thử", "document_type": "cong-van", "pages": 1,
                "signer": { "position": "Chủ tịch", "name": "Vàng A Sáng" }, "attachments": named,
            },
        }),
    );
    assert_eq!(sent.status, 201, "{sent:?}");
    sent.json()["document"].as_str().expect("an id").to_owned()
}

#[test]
fn program_that_is_called_pdf_is_told_in_both_languages() {
    let station = Station::of(SENDER);
    let document = sent(&station, "vanban.pdf", b"MZ\x90\0\x03 not a letter");
    let found = &station.get(&format!("/documents/{document}")).json()["attachments"][0]["found"];
    assert_eq!(found["media_type"], "application/vnd.microsoft.portable-executable");
    assert_eq!(codes(found), ["runs", "other-than-named"]);
    assert!(found["warnings"][0]["text"].as_str().is_some_and(|text| text.contains("KHÔNG mở")), "{found}");
    let english = station.head("GET", &format!("/documents/{document}"), "Accept-Language: en\r\n");
    let found = &station.send(english.as_bytes()).json()["attachments"][0]["found"];
    assert!(
        found["warnings"][0]["text"].as_str().is_some_and(|text| text.contains("Do NOT open")),
        "{found}"
    );

    let honest = sent(&station, "vanban.pdf", b"%PDF-1.7\n1 0 obj");
    let found = &station.get(&format!("/documents/{honest}")).json()["attachments"][0]["found"];
    assert_eq!((found["media_type"].as_str(), codes(found)), (Some("application/pdf"), vec![]));
}

#[test]
fn whoever_brings_a_file_is_told_what_it_is() {
    let station = Station::of(SENDER);
    let bytes = b"#!/bin/sh\nrm -rf .\n";
    let (hash, _) = station.upload(bytes);
    let path = format!("/files/{hash}?length={}&secrecy=normal&name=van%20ban.txt", bytes.len());
    // A second time: it is here already, and is told the same.
    let told = station.with_body("PUT", &path, bytes).json();
    assert_eq!((&told["sha256"], codes(&told["found"])), (&json!(hash), vec!["script", "other-than-named"]));
}

/// Whatever it is, a browser is never told to show or run it.
#[test]
fn attachment_is_given_as_bytes_to_be_kept() {
    let station = Station::of(SENDER);
    let document = sent(&station, "trang.html", b"<html><script>alert(1)</script></html>");
    for form in ["", "/sealed"] {
        let given = station.get(&format!("/documents/{document}/attachments/1{form}"));
        let head = given.head.to_lowercase();
        assert_eq!(given.status, 200, "{head}");
        for expected in [
            "content-type: application/octet-stream",
            "content-disposition: attachment; filename*=",
            "x-content-type-options: nosniff",
        ] {
            assert!(head.contains(expected), "`{expected}` is not in\n{head}");
        }
    }
}
