//! Signing as a clerk does it: the program, a running station, openssl on the result.

mod office;
mod officers;
#[path = "../../schema/tests/signed_document/mod.rs"]
mod signed_document;
mod station;
#[path = "../../schema/tests/trust_country/mod.rs"]
mod trust_country;

use std::fs::{self, OpenOptions};
use std::io::Write;

use node::runtime::now;
use office::Office;
use officers::{CONTENT, KINDS, Workshop, is_here, require_masked};
use serde_json::{Value, json};
use station::SENDER;

#[test]
fn clerk_has_a_document_signed_with_a_key_file() {
    if !is_here("openssl", "version") {
        return;
    }
    let workshop = Workshop::new();
    workshop.officer("lan", &KINDS[1]);
    let mut office = Office::enrolled(SENDER);
    let mut settings =
        OpenOptions::new().append(true).open(office.data().join("config.toml")).expect("there");
    let file = |name: &str| workshop.shown(name);
    write!(
        settings,
        "\n[[signers]]\nname = \"lan\"\nkind = \"file\"\ncertificate = \"{}\"\nchain = [\"{}\"]\nkey = \"{}\"\n\
         [[signers]]\nname = \"gone\"\nkind = \"file\"\ncertificate = \"gone.pem\"\nkey = \"gone.key\"\n",
        file("lan.pem"),
        file("here.pem"),
        file("lan.key"),
    )
    .expect("written");
    office.start();

    let list = office.json(&["signer", "list"]);
    assert_eq!(list["rows"][1]["name"], "lan", "{list}");
    assert_eq!(
        (&list["rows"][1]["usable"], &list["rows"][0]["usable"]),
        (&json!(true), &json!(false)),
        "{list}"
    );
    let shown = office.text(&["signer", "list"]);
    require_masked(&shown);
    assert!(shown.contains("KHÔNG dùng được") && shown.contains("P-256"), "{shown}");

    workshop.write("manifest", CONTENT);
    let (manifest, words, out) = (file("manifest"), file("words"), file("manifest.p7s"));
    let wrong = workshop.secret("wrong", "không phải cụm mật khẩu");
    let refused = office.ask(&["--json", "sign", &manifest, "--signer", "lan", "--passphrase-file", &wrong]);
    assert_eq!(refused.status.code(), Some(1));
    let said: Value = serde_json::from_slice(&refused.stdout).expect("JSON");
    assert_eq!(said["error"], "wrong-passphrase");
    assert!(!workshop.path("manifest.p7s").exists());

    let signed = office.text(&["sign", &manifest, "--signer", "lan", "--passphrase-file", &words]);
    require_masked(&signed);
    assert!(signed.contains("đã ký") && signed.contains(&out), "{signed}");
    assert!(workshop.takes(&fs::read(&out).expect("there"), CONTENT, now()));

    let again = office.ask(&["sign", &manifest, "--signer", "lan", "--passphrase-file", &words]);
    assert_eq!(again.status.code(), Some(1), "a signature was overwritten");
    let rows = office.json(&["sign", "--list"]);
    let states: Vec<&Value> =
        rows["rows"].as_array().expect("rows").iter().map(|row| &row["state"]).collect();
    assert_eq!(states, [&json!("signed"), &json!("failed")], "{rows}");
    let request = rows["rows"][0]["request"].as_str().expect("an id").to_owned();

    // Kept by the station: a lost file is taken again, after a restart too.
    office.stop("-KILL");
    office.start();
    let copy = file("copy.p7s");
    office.text(&["sign", "--resume", &request, "--out", &copy]);
    assert_eq!(fs::read(&copy).expect("there"), fs::read(&out).expect("there"));
    assert_eq!(office.ask(&["sign", &manifest]).status.code(), Some(2), "nobody signs");
    let unknown = office.ask(&["--json", "sign", &manifest, "--signer", "nobody", "--out", &file("x")]);
    let said: Value = serde_json::from_slice(&unknown.stdout).expect("JSON");
    assert_eq!(said["error"], "unknown-signer");
}
