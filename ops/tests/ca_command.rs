//! `tram ca …` as an operator runs it: real processes, passphrase files, a deployment's directory.

mod ca_support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ca_support::{Country, complaints, office, words};
use ops::ca::{KeyKind, Opening};
use schema::id::hex;
use serde_json::Value;

/// 12 digits that no output may show.
const CITIZEN: &str = "001099012345";

struct Desk<'a> {
    folder: &'a Path,
}

impl Desk<'_> {
    fn run(&self, words: &str, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_tram"))
            .current_dir(self.folder)
            .args(["ca", "--json", "--passphrase-file", &format!("{words}.words")])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("tram runs");
        let all = [output.stdout.as_slice(), &output.stderr].concat();
        assert!(!String::from_utf8_lossy(&all).contains(CITIZEN), "{arguments:?} shows a citizen number");
        output
    }

    fn well(&self, words: &str, arguments: &[&str]) -> Value {
        let output = self.run(words, arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn refused(&self, words: &str, arguments: &[&str]) -> String {
        let output = self.run(words, arguments);
        assert!(!output.status.success(), "{arguments:?} passed");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn tram(&self, arguments: &[&str]) {
        let output = Command::new(env!("CARGO_BIN_EXE_tram"))
            .current_dir(self.folder)
            .args(arguments)
            .output()
            .expect("tram runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}"))
}

#[test]
fn an_operator_comes_from_nothing_to_certified_offices_by_the_help_text_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk { folder: folder.path() };
    for who in ["an", "binh", "root", "pt"] {
        let path = folder.path().join(format!("{who}.words"));
        fs::write(&path, format!("mật khẩu dài của {who}\n")).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    }
    desk.well("an", &["approver-key", "an.key", "--name", "Nguyễn Văn An"]);
    desk.well("binh", &["approver-key", "binh.key", "--name", "Trần Thị Bình"]);
    let approvers = ["--approver", "an.key.pub", "--approver", "binh.key.pub"];
    desk.well("root", &[&["init-root", "root", "--name", "Trạm gốc"][..], &approvers].concat());
    desk.well("pt", &["approver-key", "stranger.key", "--name", "Nguyễn Văn An"]);
    let told = desk.refused("pt", &["approve", "root/founding.json", "--key", "stranger.key", "--yes"]);
    assert!(told.contains("not among the approvers"), "{told}");
    let mut signed = vec!["issue", "root", "founding"];
    for who in ["an", "binh"] {
        desk.well(who, &["approve", "root/founding.json", "--key", &format!("{who}.key"), "--yes"]);
    }
    signed.extend(["--approval", "founding-an.approval.json", "--approval", "founding-binh.approval.json"]);
    desk.well("root", &signed);
    let who = ["--province", "Thành phố Hà Nội", "--name", "CA Hà Nội"];
    let made = desk.well("pt", &[&["init-delegated", "ca"][..], &who].concat());
    let request = text(&made, "request").to_owned();
    let made = desk.well("root", &[&["request", "root", "--csr", &request][..], &who].concat());
    let (id, file) = (text(&made, "id").to_owned(), text(&made, "file").to_owned());
    let an = desk.well("an", &["approve", &file, "--key", "an.key", "--yes"]);
    let alone = ["issue-authority", "root", &id, "--approval", text(&an, "approval")];
    assert!(desk.refused("root", &alone).contains("1 of 2 different persons"));
    let binh = desk.well("binh", &["approve", &file, "--key", "binh.key", "--yes"]);
    let issued = desk.well("root", &[&alone[..], &["--approval", text(&binh, "approval")]].concat());
    let install = ["install", "ca", "--certificate", text(&issued, "file"), "--root", "root/ca.pem"];
    desk.well("pt", &install);

    // A deployment with a ward of Hà Nội and a commune of another province.
    desk.tram(&["country", "deployment", "--root-certificate", "root/ca.pem"]);
    desk.tram(&["region", "deployment", "hn", "--name", "Hà Nội", "--url", "nats://127.0.0.1:4222"]);
    desk.tram(&["enrol", "deployment", "00004", "02848", "--relay", "hn"]);
    let office = |code| ["issue-office", "ca", "--office", code, "--deployment", "deployment"];
    let told = desk.refused("pt", &office("02848"));
    assert!(told.contains("Thành phố Hà Nội") && told.contains("jurisdiction"), "{told}");
    let needs = desk.well("pt", &["needs", "ca", "--deployment", "deployment"]);
    assert_eq!(needs.as_array().map(Vec::len), Some(1), "{needs}");
    let issued = desk.well("pt", &office("00004"));
    assert_eq!(text(&issued, "kind"), "office");
    let needs = desk.well("pt", &["needs", "ca", "--deployment", "deployment"]);
    assert!(needs[0]["what"].as_str().is_some_and(|what| what.contains("tram registry add")), "{needs}");
    desk.tram(&["registry", "add", "deployment", "ca", "root"]);
    let needs = desk.well("pt", &["needs", "ca", "--deployment", "deployment"]);
    assert_eq!(needs.as_array().map(Vec::len), Some(0), "{needs}");

    // The same key goes on by itself; another one comes from the deployment.
    let renewed = desk.well("pt", &["renew", "ca", text(&issued, "serial"), "--deployment", "deployment"]);
    assert_eq!(renewed["renews"], issued["serial"]);
    let renewed = ["renew", "ca", text(&renewed, "serial"), "--csr", &request, "--days", "9"];
    assert!(desk.refused("pt", &renewed).contains("CA Hà Nội"), "the key of the authority itself");

    let request = Command::new("openssl")
        .current_dir(folder.path())
        .args(["req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", "o.key", "-out", "o.csr", "-utf8"])
        .args(["-subj", "/C=VN/CN=Lê Văn Rồng"])
        .output()
        .expect("openssl is installed wherever the tests run");
    assert!(request.status.success(), "{}", String::from_utf8_lossy(&request.stderr));
    fs::write(folder.path().join("citizen"), format!("{CITIZEN}\n")).expect("a file");
    let person = ["issue-officer", "ca", "--csr", "o.csr", "--citizen-id-file", "citizen"];
    let told = desk.refused("pt", &[&person[..], &["--name", "Lê Văn Phượng"]].concat());
    assert!(told.contains("Lê Văn Rồng"), "{told}");
    let officer = desk.well("pt", &[&person[..], &["--name", "Lê Văn Rồng"]].concat());
    let serial = text(&officer, "serial");
    assert!(text(&officer, "subject").ends_with("CCCD:*********345"), "{officer}");

    desk.well("pt", &["show", "ca", serial]);
    let now = ops::calendar::now();
    let yesterday =
        ops::calendar::date_of(schema::time::Millis(now.0 - schema::time::Millis::DAY)).to_string();
    desk.well("pt", &["revoke", "ca", serial, "--reason", "key-compromise", "--invalid-from", &yesterday]);
    let list = desk.well("pt", &["list", "ca"]);
    assert_eq!(list["counts"]["in_use"], 2);
    assert_eq!(list["counts"]["reconcile"], true);
    desk.well("pt", &["check", "ca"]);

    // The exit status tells when a certificate is gone.
    let path = folder.path().join(text(&issued, "file"));
    fs::remove_file(path.with_extension("der")).expect("removed");
    desk.refused("pt", &["list", "ca"]);
    desk.refused("pt", &["check", "ca"]);

    // A passphrase that others can read is not used, and nobody is asked where there is no terminal.
    let words = folder.path().join("pt.words");
    fs::set_permissions(&words, fs::Permissions::from_mode(0o644)).expect("chmod");
    assert!(desk.refused("pt", &["crl", "ca"]).contains("644"));
}

#[test]
fn two_steps_on_the_command_line_show_no_citizen_number_and_stop_whoever_is_alone() {
    let country = Country::new(KeyKind::Ed25519);
    let Country { folder, root, province, .. } = country;
    drop((root, province));
    let desk = Desk { folder: folder.path() };
    for (who, passphrase) in [("pt", "một hai ba bốn năm"), ("dung", "mật khẩu dài của Dung")] {
        let path = folder.path().join(format!("{who}.words"));
        ops::ca::files::create(&path, passphrase.as_bytes()).expect("a file");
    }
    let approved = |proposal: &Value| {
        let signed = desk.well("dung", &["approve", text(proposal, "file"), "--key", "dung.key", "--yes"]);
        text(&signed, "approval").to_owned()
    };
    let carried_out = |proposal: &Value| {
        let approval = approved(proposal);
        desk.well("pt", &["issue", "phu-tho", text(proposal, "id"), "--approval", &approval])
    };
    desk.well("dung", &["approver-key", "dung.key", "--name", "Phạm Thị Dung"]);
    let change = desk.well("pt", &["request-approvers", "phu-tho", "--approver", "dung.key.pub"]);
    carried_out(&change);

    let made = Command::new("openssl")
        .current_dir(folder.path())
        .args(["req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", "o.key", "-out", "o.csr", "-utf8"])
        .args(["-subj", "/C=VN/CN=Lê Văn Rồng"])
        .output()
        .expect("openssl is installed wherever the tests run");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let person = ["phu-tho", "--csr", "o.csr", "--name", "Lê Văn Rồng", "--citizen-id", CITIZEN];
    let told = desk.refused("pt", &[&["issue-officer"][..], &person].concat());
    assert!(told.contains("request-officer"), "{told}");
    let proposal = desk.well("pt", &[&["request-officer"][..], &person].concat());
    let waiting = desk.well("pt", &["list", "phu-tho"]);
    assert_eq!(waiting["waiting"][0]["id"], proposal["id"], "{waiting}");
    let issued = carried_out(&proposal);
    let serial = text(&issued, "serial");

    let renewed = carried_out(&desk.well("pt", &["request-renew", "phu-tho", serial, "--days", "900"]));
    assert_eq!(renewed["renews"], issued["serial"]);
    let superseded = ["phu-tho", serial, "--reason", "superseded"];
    let told = desk.refused("pt", &[&["revoke"][..], &superseded].concat());
    assert!(told.contains("request-revoke"), "{told}");
    carried_out(&desk.well("pt", &[&["request-revoke"][..], &superseded].concat()));
    let serial = text(&renewed, "serial");
    let hold = ["request-revoke", "phu-tho", serial, "--reason", "certificate-hold"];
    carried_out(&desk.well("pt", &hold));
    carried_out(&desk.well("pt", &["request-release", "phu-tho", serial]));
    desk.well("pt", &["revoke", "phu-tho", serial, "--reason", "key-compromise"]);
    desk.well("pt", &["check", "phu-tho"]);
    let list = desk.well("pt", &["list", "phu-tho"]);
    assert_eq!(
        (&list["counts"]["in_use"], &list["counts"]["reconcile"]),
        (&0.into(), &true.into()),
        "{list}"
    );
}

/// Whatever moment a process is killed at: nothing that lies on the disk is unknown, nothing known is missing, and the next
/// command goes on.
#[test]
fn a_process_that_is_killed_loses_no_certificate() {
    let country = Country::new(KeyKind::P256);
    let folder = country.province.folder().to_owned();
    let Country { folder: kept, root, province, .. } = country;
    drop((root, province));
    let passphrase = kept.path().join("words");
    ops::ca::files::create(&passphrase, "một hai ba bốn năm".as_bytes()).expect("a file");
    let mut killed = 0;
    for n in 1..=40_u8 {
        let key = ed25519_dalek::SigningKey::from_bytes(&[n; 32]);
        let mut child = Command::new(env!("CARGO_BIN_EXE_tram"))
            .args([
                "ca",
                "issue-office",
                "--office",
                &office(n).to_string(),
                "--name",
                "UBND xã",
                "--days",
                "900",
            ])
            .args(["--public-key", &hex(key.verifying_key().as_bytes())])
            .arg("--passphrase-file")
            .arg(&passphrase)
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("tram runs");
        std::thread::sleep(std::time::Duration::from_millis(u64::from(n)));
        killed += u8::from(child.try_wait().expect("a child").is_none());
        // Ended by itself: no failure.
        let _ = child.kill();
        child.wait().expect("ended");
    }
    assert!(killed > 0, "every process was faster than its killer");
    let mut province = Opening::read(&folder).and_then(|opening| opening.unlock(&words())).expect("opened");
    let now = ops::calendar::now();
    province.recover(now).expect("recovered");
    assert_eq!(complaints(&folder, now), Vec::<String>::new());
    let files = fs::read_dir(folder.join("certificates")).expect("a folder");
    let files = files
        .filter(|file| file.as_ref().is_ok_and(|file| file.path().extension().is_some_and(|e| e == "der")));
    assert_eq!(files.count(), province.book().issued().count());
    println!("{killed} killed, {} issued", province.book().issued().count());
}
