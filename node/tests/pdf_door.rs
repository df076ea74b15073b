//! Signatures inside PDF attachments, as a clerk sees them: through the door and at the command line.

mod office;
mod station;

use std::fs;
use std::path::Path;

use office::{LETTER, Office};
use serde_json::json;
use station::{SENDER, Station};

fn sample(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pdf").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn attachment_has_a_verdict_of_its_own_in_both_languages() {
    let station = Station::of(SENDER);
    let judged = |name: &str| {
        let document = station.dispatch("V/v chữ ký trong tệp", &sample(name));
        let path = format!("/documents/{document}/attachments/1/signatures");
        let vietnamese = station.get(&path);
        assert_eq!(vietnamese.status, 200, "{name}: {vietnamese:?}");
        let english = station.send(station.head("GET", &path, "Accept-Language: en\r\n").as_bytes());
        (vietnamese.json(), english.json())
    };
    let (vietnamese, english) = judged("rsa-pades.pdf");
    assert_eq!(vietnamese["signatures"][0]["outcome"], "valid", "{vietnamese:#}");
    assert_eq!(vietnamese["signatures"][0]["outcome_text"], "hợp lệ");
    assert_eq!(vietnamese["signatures"][0]["signer"], "Nguyễn Văn An");
    assert_eq!(vietnamese["signatures"][0]["identified"], json!(true));
    let said = english["signatures"][0]["warnings"].to_string();
    assert!(said.contains("Revocation was not checked"), "{said}");

    let (vietnamese, _) = judged("shadow-hidden.pdf");
    assert_eq!(vietnamese["signatures"][0]["outcome"], "changed-after-signing");
    assert!(
        vietnamese["signatures"][0]["reasons"][0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("sau khi ký"))
    );

    let (vietnamese, english) = judged("README.md");
    assert_eq!(vietnamese["judged"], json!(false));
    assert_eq!(english["unjudged"]["code"], "not-pdf");

    let nothing = station.get(&format!("/documents/{}/attachments/1/signatures", "ab".repeat(16)));
    assert_eq!(nothing.status, 404, "{nothing:?}");
    let document = station.dispatch("V/v một tệp", &sample("plain.pdf"));
    let second = station.get(&format!("/documents/{document}/attachments/2/signatures"));
    assert_eq!(second.refusal(), (404, "no-attachment".into()));
}

#[test]
fn command_line_tells_who_signed_and_who_is_believed_is_a_setting() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    let file = office.path("Quyết định.pdf");
    fs::write(&file, sample("two.pdf")).expect("written");
    let send =
        [&["send", "--reference-only", "--to", "H02.18", "--subject", "V/v ký số"][..], LETTER, &[&file]];
    office.text(&send.concat());
    let list = office.json(&["outgoing"]);
    let document = list["rows"][0]["document"].as_str().expect("an id").to_owned();

    let told = office.text(&["signatures", &document]);
    assert!(told.contains("chưa xác định") && told.contains("chưa được xác thực"), "{told}");
    assert!(told.contains("[pdf] trust"), "{told}");
    assert_eq!(office.stop("-TERM"), Some(0));

    let settings = office.data().join("config.toml");
    let text = fs::read_to_string(&settings).expect("settings");
    let roots = station::pdf_roots();
    let with = text.replace("[pdf]\n", &format!("[pdf]\ntrust = \"{}\"\n", roots.display()));
    assert_ne!(text, with, "the settings have no room for it");
    fs::write(&settings, with).expect("written");
    office.start();
    let told = office.text(&["--lang", "en", "signatures", &document, "1"]);
    assert!(told.contains("signer: Nguyễn Văn An") && told.contains("signer: Trần Thị Bình"), "{told}");
    assert!(!told.contains("not proven") && told.contains("may lie over what was signed"), "{told}");
}
