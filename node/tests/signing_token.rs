//! Officers' keys on tokens: SoftHSM2 plays the token, `pkcs11-tool` makes the keys, `pkcs11-spy` counts the PINs
//! that were tried, and openssl judges the signatures. Every test has tokens of its own.

mod office;
mod officers;
#[path = "../../schema/tests/signed_document/mod.rs"]
mod signed_document;
mod station;
#[path = "../../schema/tests/trust_country/mod.rs"]
mod trust_country;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use node::runtime::now;
use office::Office;
use officers::{CONTENT, Workshop, is_here, require_masked};
use serde_json::Value;
use station::SENDER;

const PIN: &str = "246810";
/// Bits of CK_TOKEN_INFO.
const FINAL_TRY: u64 = 0x0002_0000;
const LOCKED: u64 = 0x0004_0000;

/// The first file of this name among those places, relative to the folders of libraries.
fn library(name: &str) -> Option<PathBuf> {
    let mut folders = vec![PathBuf::from("/usr/lib/softhsm")];
    let inside = fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
    for folder in inside.map(|entry| entry.path()) {
        folders.extend([folder.join("softhsm"), folder.clone(), folder.join("pkcs11")]);
    }
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.exists())
}

/// A token of SoftHSM2 with keys whose certificates are officers', and a station that knows them.
struct Scene {
    workshop: Workshop,
    office: Office,
    module: String,
    serial: String,
}

impl Scene {
    /// `None` where the tools are missing and need not be there.
    fn set() -> Option<Self> {
        let tools = [("openssl", "version"), ("softhsm2-util", "--version"), ("pkcs11-tool", "--help")];
        if !tools.into_iter().all(|(tool, version)| is_here(tool, version)) {
            return None;
        }
        let module = library("libsofthsm2.so").expect("the library of SoftHSM2 is beside its tool");
        let workshop = Workshop::new();
        fs::create_dir(workshop.path("tokens")).expect("made");
        let conf =
            format!("directories.tokendir = {}\nobjectstore.backend = file\n", workshop.shown("tokens"));
        workshop.write("softhsm2.conf", conf.as_bytes());
        let module = module.display().to_string();
        let mut scene = Self { workshop, office: Office::enrolled(SENDER), module, serial: String::new() };
        scene.tool(
            "softhsm2-util",
            &["--init-token", "--free", "--label", "lan", "--so-pin", "13579135", "--pin", PIN],
        );
        let listed = scene.pkcs11(&["--list-token-slots"]);
        let serial = listed.lines().find_map(|line| line.trim().strip_prefix("serial num"));
        serial.expect("a serial number").trim_matches([' ', ':']).clone_into(&mut scene.serial);
        scene.workshop.write("manifest", CONTENT);
        Some(scene)
    }

    fn tool(&self, tool: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(tool);
        command.env("SOFTHSM2_CONF", self.workshop.path("softhsm2.conf")).args(arguments);
        let output = command.current_dir(self.workshop.folder.path()).output().expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn pkcs11(&self, arguments: &[&str]) -> String {
        self.tool("pkcs11-tool", &[&["--module", &self.module], arguments].concat())
    }

    fn flags(&self) -> String {
        let listed = self.pkcs11(&["--list-token-slots"]);
        listed.lines().find(|line| line.contains("token flags")).expect("flags").to_owned()
    }

    /// Makes a key on the token and certifies it.
    fn officer(&self, name: &str, kind: &str, id: &str) {
        let made = self.pkcs11(&["--login", "--pin", PIN, "--keypairgen", "--key-type", kind, "--id", id]);
        if kind == "EC:edwards25519" {
            // This version of the tool does not write the public half; it shows it as an OCTET STRING.
            let point = made.lines().find_map(|line| line.trim().strip_prefix("EC_POINT:")).expect("a point");
            let spki =
                format!("302a300506032b6570032100{}", point.trim().strip_prefix("0420").expect("32 bytes"));
            self.workshop.certify(name, &rcgen::PKCS_ED25519, &trust_country::unhex(&spki));
            return;
        }
        self.pkcs11(&["--read-object", "--type", "pubkey", "--id", id, "--output-file", "public.der"]);
        let algorithm =
            if kind.starts_with("rsa") { &rcgen::PKCS_RSA_SHA256 } else { &rcgen::PKCS_ECDSA_P256_SHA256 };
        self.workshop.certify(name, algorithm, &fs::read(self.workshop.path("public.der")).expect("there"));
    }

    fn setting(&self, name: &str, certificate: &str, module: &str, id: &str) {
        let settings = self.office.data().join("config.toml");
        let mut settings = OpenOptions::new().append(true).open(settings).expect("there");
        write!(
            settings,
            "\n[[signers]]\nname = \"{name}\"\nkind = \"token\"\ncertificate = \"{}\"\nchain = [\"{}\"]\n\
             module = \"{module}\"\nserial = \"{}\"\nkey_id = \"{id}\"\n",
            self.workshop.shown(&format!("{certificate}.pem")),
            self.workshop.shown("here.pem"),
            self.serial,
        )
        .expect("written");
    }

    fn start(&mut self) {
        let (conf, log) = (self.workshop.shown("softhsm2.conf"), self.workshop.shown("spy.log"));
        let (module, variable) = (self.module.clone(), "PKCS11SPY_OUTPUT");
        self.office.start_with(&[("SOFTHSM2_CONF", &conf), ("PKCS11SPY", &module), (variable, &log)]);
    }

    /// `Ok` with the signature, or the code of what went wrong.
    fn sign(&self, signer: &str, pin: &str) -> Result<Vec<u8>, String> {
        let pin = self.workshop.secret("pin", pin);
        let (manifest, out) = (self.workshop.shown("manifest"), self.workshop.path("out.p7s"));
        let _ = fs::remove_file(&out);
        let shown = out.display().to_string();
        let asked = self.office.ask(&[
            "--json",
            "sign",
            &manifest,
            "--signer",
            signer,
            "--pin-file",
            &pin,
            "--out",
            &shown,
        ]);
        let said = String::from_utf8(asked.stdout).expect("UTF-8");
        require_masked(&said);
        let said: Value = serde_json::from_str(&said).expect("JSON");
        if asked.status.success() {
            assert_eq!(said["state"], "signed", "{said}");
            Ok(fs::read(out).expect("there"))
        } else {
            assert!(!out.exists());
            Err(said["error"].as_str().unwrap_or_default().to_owned())
        }
    }

    fn require_signs(&self, signer: &str) {
        let signature = self.sign(signer, PIN).expect(signer);
        assert!(self.workshop.takes(&signature, CONTENT, now()), "openssl does not take it: {signer}");
    }

    /// The one folder of the token.
    fn token(&self) -> PathBuf {
        let mut folders = fs::read_dir(self.workshop.path("tokens")).expect("readable");
        folders.next().expect("a token").expect("readable").path()
    }

    /// Does to the token's flags what only wrong PINs do to real tokens: SoftHSM2 never locks.
    fn set_flag(&self, flag: u64, on: bool) {
        // The attribute CKA_OS_TOKENFLAGS, an unsigned number.
        const FLAGS: &[u8] = b"\0\0\0\0\x80\0SK\0\0\0\0\0\0\0\x02";
        let path = self.token().join("token.object");
        let mut bytes = fs::read(&path).expect("readable");
        let at = bytes.windows(FLAGS.len()).position(|window| window == FLAGS).expect("flags") + FLAGS.len();
        let value = u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        let value = if on { value | flag } else { value & !flag };
        bytes[at..at + 8].copy_from_slice(&value.to_be_bytes());
        fs::write(path, bytes).expect("written");
    }

    /// How many PINs were tried through the spy.
    fn pins_tried(&self) -> usize {
        let log = fs::read(self.workshop.path("spy.log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        log.lines().filter(|line| line.trim_end().ends_with(": C_Login")).count()
    }
}

#[test]
fn token_signs_with_rsa_p256_and_ed25519() {
    let Some(mut scene) = Scene::set() else { return };
    let kinds =
        [("rsa", "rsa:2048", "01"), ("p256", "EC:prime256v1", "0a"), ("ed25519", "EC:edwards25519", "ff01")];
    for (name, kind, id) in kinds {
        scene.officer(name, kind, id);
        scene.setting(name, name, &scene.module.clone(), id);
    }
    scene.start();
    for (name, ..) in kinds {
        scene.require_signs(name);
    }
    // Once more: nothing of the first time is in the way.
    scene.require_signs("rsa");
}

#[test]
fn wrong_pin_is_tried_once_and_forgotten() {
    let Some(mut scene) = Scene::set() else { return };
    let Some(spy) = library("pkcs11-spy.so") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "pkcs11-spy must be installed in CI");
        return;
    };
    scene.officer("lan", "EC:prime256v1", "01");
    scene.setting("lan", "lan", &spy.display().to_string(), "01");
    scene.start();
    assert!(!scene.flags().contains("count low"), "{}", scene.flags());
    assert_eq!(scene.sign("lan", "135790"), Err("wrong-pin".to_owned()));
    assert_eq!(scene.pins_tried(), 1, "a PIN was tried again");
    assert!(scene.flags().contains("user PIN count low"), "{}", scene.flags());
    // Nobody tries anything by itself.
    let list = scene.office.json(&["sign", "--list"]);
    assert_eq!(list["rows"][0]["state"], "failed", "{list}");
    assert_eq!(scene.pins_tried(), 1);
    scene.require_signs("lan");
    assert_eq!(scene.pins_tried(), 2);
    assert!(!scene.flags().contains("count low"), "{}", scene.flags());
}

#[test]
fn locked_token_is_not_tried_and_the_last_try_is_said() {
    let Some(mut scene) = Scene::set() else { return };
    let Some(spy) = library("pkcs11-spy.so") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "pkcs11-spy must be installed in CI");
        return;
    };
    scene.officer("lan", "EC:prime256v1", "01");
    scene.setting("lan", "lan", &spy.display().to_string(), "01");
    scene.start();
    scene.set_flag(LOCKED, true);
    assert_eq!(scene.sign("lan", PIN), Err("pin-locked".to_owned()));
    assert_eq!(scene.pins_tried(), 0, "a PIN was tried on a locked token");
    scene.set_flag(LOCKED, false);
    scene.set_flag(FINAL_TRY, true);
    assert_eq!(scene.sign("lan", "135790"), Err("wrong-pin-one-left".to_owned()));
    scene.set_flag(FINAL_TRY, false);
    scene.require_signs("lan");
}

#[test]
fn token_that_is_taken_out_is_missed_and_works_again_when_it_is_back() {
    let Some(mut scene) = Scene::set() else { return };
    scene.officer("lan", "rsa:2048", "01");
    scene.setting("lan", "lan", &scene.module.clone(), "01");
    scene.start();
    scene.require_signs("lan");
    let (inside, outside) = (scene.token(), scene.workshop.path("pocket"));
    fs::rename(&inside, &outside).expect("taken out");
    assert_eq!(scene.sign("lan", PIN), Err("token-absent".to_owned()));
    fs::rename(&outside, &inside).expect("put back");
    scene.require_signs("lan");
}

#[test]
fn settings_that_do_not_fit_the_token_are_said_apart() {
    let Some(mut scene) = Scene::set() else { return };
    scene.officer("lan", "EC:prime256v1", "01");
    scene.officer("minh", "EC:prime256v1", "02");
    let module = scene.module.clone();
    scene.setting("no-key", "lan", &module, "77");
    scene.setting("no-library", "lan", &scene.workshop.shown("absent.so"), "01");
    scene.setting("anothers", "lan", &module, "02");
    scene.start();
    assert_eq!(scene.sign("no-key", PIN), Err("token-key".to_owned()));
    assert_eq!(scene.sign("no-library", PIN), Err("token-module".to_owned()));
    assert_eq!(scene.sign("anothers", PIN), Err("other-key".to_owned()));
    let manifest = scene.workshop.shown("manifest");
    let unasked = scene.office.ask(&["--json", "sign", &manifest, "--signer", "anothers"]);
    let said: Value = serde_json::from_slice(&unasked.stdout).expect("JSON");
    assert_eq!(said["error"], "secret-missing");
}
