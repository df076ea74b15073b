//! The program on a folder of its own, as a clerk and an administrator use it.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of this module")]

pub mod pair;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use node::config::Bundle;
use node::keyring::{Login, write_signing_key};
use node::sealing::{Sealing, SealingKeys, founding_announcement};
use schema::directory::Successor;
use schema::registry::{Item, encode_items};
use serde_json::Value;

use crate::station::certified::{BEGAN, ENDS, Registrar};
use crate::station::{OTHER, RECIPIENT, SENDER, directory_with, key, office_id};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tram-node");

/// What every letter of these tests says beside its abstract.
pub const LETTER: &[&str] = &[
    "--secrecy",
    "normal",
    "--pages",
    "1",
    "--type",
    "công văn",
    "--signer",
    "Vàng A Sáng",
    "--position",
    "Chủ tịch",
];

/// Who is certified.
const OFFICES: [u8; 3] = [SENDER, RECIPIENT, OTHER];

/// The sealing keys of the offices of these tests, and what announces them.
static SEALING: LazyLock<BTreeMap<u8, (Vec<u8>, Item)>> = LazyLock::new(|| {
    let made = OFFICES.map(|n| {
        let keys = SealingKeys::generate().expect("made");
        let announcement =
            founding_announcement(&key(n), office_id(n), keys.key(), BEGAN).expect("announced");
        (n, (keys.sealed_for(&key(n)).expect("sealed"), announcement))
    });
    made.into()
});

pub struct Office {
    pub folder: tempfile::TempDir,
    running: Option<Child>,
}

impl Office {
    /// Enrolled: the registrar's bundle is there.
    pub fn enrolled(n: u8) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bundle = folder.path().join("bundle");
        fs::create_dir(&bundle).expect("made");
        let registrar = Registrar::new();
        // The second office takes over from the first.
        let (old, new) = (office_id(SENDER), office_id(RECIPIENT));
        let successor = Successor { old, new, date: jiff::civil::date(2025, 7, 1) };
        let keys = OFFICES.map(|n| (office_id(n), key(n).verifying_key().to_bytes()));
        let mut items = registrar.items(&directory_with("nats://127.0.0.1:1", &[successor]), &keys);
        items.extend(SEALING.values().map(|(_, announcement)| announcement.clone()));
        let (sealing_keys, announcement) = &SEALING[&n];
        fs::write(bundle.join(Bundle::SEALING), sealing_keys).expect("written");
        fs::write(bundle.join(Bundle::ANNOUNCEMENT), announcement.bytes()).expect("written");
        fs::write(bundle.join("registry.cbor"), encode_items(&items)).expect("written");
        let roots = registrar.roots();
        let handed =
            Bundle { office: office_id(n), root_key: roots.directory_key, trust_anchors: roots.anchors };
        fs::write(bundle.join(Bundle::FILE), handed.render()).expect("written");
        write_signing_key(&bundle.join("node.key"), &key(n)).expect("written");
        Login::generate().expect("a key").write(&bundle.join("login.nk")).expect("written");
        let office = Self { folder, running: None };
        let bundle = office.path("bundle");
        let made =
            office.ask(&["init", "--bundle", &bundle, "--listen", "127.0.0.1:0", "--allow-unencrypted"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        office
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.env_remove("TRAM_DATA").env_remove("TRAM_LANG").arg("--data").arg(self.data());
        command.args(arguments).output().expect("the program starts")
    }

    pub fn text(&self, arguments: &[&str]) -> String {
        let output = self.ask(arguments);
        // Under `--json` a refusal is on the standard output.
        let [out, err] =
            [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(arguments);
        serde_json::from_str(&self.text(&all)).expect("JSON")
    }

    /// What the station has written to its log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("station.log")).expect("a log")
    }

    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// With these variables in the station's environment.
    pub fn start_with(&mut self, variables: &[(&str, &str)]) {
        let _ = fs::remove_file(self.data().join("api.json"));
        let mut command = Command::new(PROGRAM);
        command.envs(variables.iter().copied());
        let log = fs::File::options().create(true).append(true).open(self.path("station.log"));
        let log = log.expect("a log");
        let other = log.try_clone().expect("a second handle");
        command.arg("--data").arg(self.data()).arg("run").stdin(Stdio::null()).stdout(other).stderr(log);
        self.running = Some(command.spawn().expect("the station starts"));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.ask(&["status"]).status.success() {
            assert!(Instant::now() < deadline, "the station does not answer");
        }
    }

    pub fn stop(&mut self, signal: &str) -> Option<i32> {
        let mut running = self.running.take().expect("running");
        let sent =
            Command::new("kill").args([signal, &running.id().to_string()]).status().expect("kill is there");
        assert!(sent.success());
        running.wait().expect("reaped").code()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }
}

/// Signs a frozen file with a P-256 key and the certificate of an officer, as the help of `freeze` says.
pub fn sign(office: &Office, manifest: &str) -> String {
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

pub fn openssl(arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).output().expect("openssl is there");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}
