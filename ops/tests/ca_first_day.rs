//! The first day exactly as `tram ca --help` tells it: every line that is to be typed is taken from the text and typed, by
//! whoever the text says, on a machine (a folder) of their own; files change hands only where the text says so. Then
//! openssl reads every file.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ops::ca::command::FIRST_DAY;
use serde_json::Value;

const CITIZEN: &str = "001099012345";

/// Splits as a shell does, as far as the text needs it.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// The lines that are to be typed, by the number of their step.
fn typed() -> BTreeMap<u32, Vec<Vec<String>>> {
    let (mut steps, mut step) = (BTreeMap::<u32, Vec<Vec<String>>>::new(), 0);
    for line in FIRST_DAY.lines() {
        if let Some(number) = line.get(..3).and_then(|number| number.trim().parse().ok()) {
            step = number;
        }
        if let Some(line) = line.trim().strip_prefix("$ ") {
            steps.entry(step).or_default().push(words(line));
        }
    }
    steps
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn machine(&self, who: &str) -> PathBuf {
        let machine = self.folder.path().join(who);
        if !machine.exists() {
            fs::create_dir(&machine).expect("a machine");
            let words = machine.join("passphrase");
            fs::write(&words, format!("mật khẩu dài của {who}\n")).expect("a file");
            fs::set_permissions(&words, fs::Permissions::from_mode(0o600)).expect("chmod");
        }
        machine
    }

    /// Types a line at somebody's machine; `yes` is answered where it is asked.
    fn types(&self, who: &str, line: &[String]) -> Value {
        assert_eq!(line[0], "tram", "another program: {line:?}");
        let options: &[&str] = match line[1].as_str() {
            "ca" => &["--json", "--passphrase-file", "passphrase"],
            "registry" => &["--json", "--root-passphrase-file", "passphrase"],
            _ => &["--root-passphrase-file", "passphrase"],
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_tram"))
            .current_dir(self.machine(who))
            .args(&line[1..])
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tram runs");
        // Most commands ask nothing and are gone already.
        let _ = child.stdin.take().expect("piped").write_all(b"yes\n");
        let output = child.wait_with_output().expect("ended");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{who}: {line:?}: {told}");
        let shown = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(!format!("{shown}{told}").contains(CITIZEN), "{line:?} shows a citizen number");
        if line[1] == "ca" || line[1] == "registry" {
            return serde_json::from_str(&shown).expect("JSON");
        }
        Value::String(shown)
    }

    /// Carries a file to another machine, under its own name.
    fn carry(&self, from: &str, file: &Path, to: &str) {
        let name = file.file_name().expect("a name");
        fs::copy(self.machine(from).join(file), self.machine(to).join(name)).expect("carried");
    }

    fn openssl(&self, who: &str, arguments: &[&str]) -> String {
        let output = Command::new("openssl")
            .current_dir(self.machine(who))
            .args(arguments)
            .output()
            .expect("openssl is installed wherever the tests run");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn tram(&self, who: &str, arguments: &[&str]) {
        let output = Command::new(env!("CARGO_BIN_EXE_tram"))
            .current_dir(self.machine(who))
            .args(arguments)
            .output()
            .expect("tram runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

fn instead(line: &[String], pairs: &[(&str, &str)]) -> Vec<String> {
    let changed = |word: &String| pairs.iter().fold(word.clone(), |word, (from, to)| word.replace(from, to));
    line.iter().map(changed).collect()
}

fn text(value: &Value, name: &str) -> PathBuf {
    PathBuf::from(value[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {value}")))
}

const AS_BINH: [(&str, &str); 3] =
    [("an.key", "binh.key"), ("Nguyễn Văn An", "Trần Thị Bình"), ("-an.", "-binh.")];

#[test]
fn the_help_text_leads_from_nothing_to_certified_offices() {
    let world = World { folder: tempfile::tempdir().expect("a folder") };
    let steps = typed();
    let counts: Vec<(u32, usize)> = steps.iter().map(|(step, lines)| (*step, lines.len())).collect();
    assert_eq!(
        counts,
        [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (6, 2), (7, 1), (8, 1), (9, 3), (10, 2), (11, 1)],
        "a line was added to the text: type it here too"
    );
    let line = |step: u32, n: usize| steps[&step][n].clone();
    let of = |who: &str, line: Vec<String>| if who == "binh" { instead(&line, &AS_BINH) } else { line };

    for who in ["an", "binh"] {
        let made = world.types(who, &of(who, line(1, 0)));
        world.carry(who, &text(&made, "public"), "root");
    }
    let root = world.types("root", &line(2, 0));
    for who in ["an", "binh"] {
        world.carry("root", &text(&root, "founding"), who);
        let signed = world.types(who, &of(who, line(3, 0)));
        world.carry(who, &text(&signed, "approval"), "root");
    }
    world.types("root", &line(4, 0));
    let made = world.types("province", &line(5, 0));
    world.carry("province", &text(&made, "request"), "root");

    let made = world.types("root", &line(6, 0));
    let id = made["id"].as_str().expect("an id");
    for who in ["an", "binh"] {
        world.carry("root", &text(&made, "file"), who);
        let signed = world.types(who, &instead(&of(who, line(6, 1)), &[("ID", id)]));
        world.carry(who, &text(&signed, "approval"), "root");
    }
    let issued = world.types("root", &instead(&line(7, 0), &[("ID", id)]));
    for file in [text(&issued, "file"), "root/ca.pem".into(), "root/lists/list.pem".into()] {
        world.carry("root", &file, "province");
    }
    let serial = issued["serial"].as_str().expect("a number");
    let installed = world.types("province", &instead(&line(8, 0), &[("SERIAL", serial)]));
    assert_eq!(installed["root_sha256"], root["certificate_sha256"], "the number that R told");

    for n in 0..3 {
        world.types("province", &line(9, n));
    }
    let office = world.types("province", &line(10, 0));
    // The request as the text has it made; a passphrase would be asked for.
    let subject = "/C=VN/CN=Trần Thị B";
    assert!(FIRST_DAY.contains(subject), "the text makes the request otherwise");
    let made = ["req", "-new", "-utf8", "-newkey", "ed25519", "-keyout", "officer.key", "-out"];
    world.openssl("province", &[&made[..], &["officer.csr.pem", "-subj", subject, "-nodes"]].concat());
    fs::write(world.machine("province").join("citizen.txt"), format!("{CITIZEN}\n")).expect("a file");
    let officer = world.types("province", &line(10, 1));
    let added = world.types("province", &line(11, 0));
    assert_eq!(added["new"], 5, "the authority, two lists, the office and its sealing key: {added}");
    a_station_takes_what_it_is_handed(&world);

    openssl_reads_everything(&world, &[&office, &officer]);
    for (who, folder) in [("root", "root"), ("province", "ca")] {
        let check = ["ca", "check", folder];
        world.tram(who, &check);
    }
}

/// The folder of the office and that of the relay are all that their programs need.
fn a_station_takes_what_it_is_handed(world: &World) {
    let deployment = world.machine("province").join("deployment");
    let offices =
        fs::read_dir(deployment.join("offices")).expect("offices").map(|entry| entry.expect("one").path());
    let bundles: Vec<PathBuf> = offices.collect();
    let [bundle] = bundles.as_slice() else { panic!("{bundles:?}") };
    let data = node::config::DataFolder::new(bundle);
    let config = node::config::Config::usual(&data, &node::config::Bundle::read(bundle).expect("a bundle"));
    let registry = config.load_registry().expect("its registry");
    let key = node::keyring::read_signing_key(&bundle.join("node.key")).expect("its key").verifying_key();
    let login = node::keyring::Login::read(&bundle.join("login.nk")).expect("its login");
    config.check_keys(&registry, key.as_bytes(), &login).expect("both are certified and listed");
    let relay = relay::config::Config::load(&deployment.join("relays/pt/relay.toml")).expect("its settings");
    assert_eq!(relay::registry::load(&relay).expect("its registry").fingerprint(), registry.fingerprint());
}

/// Keys, requests, certificates and lists, each by the program that an inspector would use.
fn openssl_reads_everything(world: &World, issued: &[&Value]) {
    for (who, key) in
        [("an", "an.key"), ("binh", "binh.key"), ("root", "root/ca.key"), ("province", "ca/ca.key")]
    {
        world.openssl(who, &["pkey", "-noout", "-in", key, "-passin", "file:passphrase"]);
    }
    world.openssl("province", &["req", "-verify", "-noout", "-in", "ca/request.csr.pem"]);
    for (who, folder) in [("root", "root"), ("province", "ca")] {
        for form in ["PEM", "DER"] {
            let ending = form.to_lowercase();
            let file = |name: &str| format!("{folder}/{name}.{ending}");
            world.openssl(who, &["x509", "-noout", "-inform", form, "-in", &file("ca")]);
            for list in ["lists/list", "lists/1"] {
                world.openssl(who, &["crl", "-noout", "-inform", form, "-in", &file(list)]);
            }
        }
    }
    // What a station is given, and nothing else.
    world.carry("root", Path::new("root/lists/list.pem"), "station");
    fs::rename(world.machine("station").join("list.pem"), world.machine("station").join("root-list.pem"))
        .expect("renamed");
    world.carry("province", Path::new("ca/lists/list.pem"), "station");
    world.carry("root", Path::new("root/ca.pem"), "station");
    fs::rename(world.machine("station").join("ca.pem"), world.machine("station").join("root.pem"))
        .expect("renamed");
    world.carry("province", Path::new("ca/ca.pem"), "station");
    let station = world.machine("station");
    let lists =
        ["root-list.pem", "list.pem"].map(|name| fs::read_to_string(station.join(name)).expect("a list"));
    fs::write(station.join("lists.pem"), lists.concat()).expect("a file");
    for certificate in issued {
        let file = text(certificate, "file");
        world.carry("province", &file, "station");
        let name = file.file_name().expect("a name").to_str().expect("UTF-8");
        let verify =
            ["verify", "-x509_strict", "-crl_check_all", "-CAfile", "root.pem", "-untrusted", "ca.pem"];
        world.openssl("station", &[&verify[..], &["-CRLfile", "lists.pem", name]].concat());
    }
    let der = |name: &str| {
        world.openssl("station", &["x509", "-in", name, "-outform", "DER", "-out", "tmp.der"]);
        fs::read(station.join("tmp.der")).expect("a certificate")
    };
    let root = der("root.pem");
    let anchors = schema::trust::Anchors::new([root.as_slice()]).expect("a root");
    let mut store = schema::trust::TrustStore::new(anchors);
    store.add_authority(&der("ca.pem")).expect("an authority");
}

#[test]
fn help_fits_a_terminal_of_120_columns() {
    for line in FIRST_DAY.lines() {
        assert!(line.chars().count() <= 120, "{} columns: {line}", line.chars().count());
    }
}
