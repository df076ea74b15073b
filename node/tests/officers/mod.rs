//! Officers whose keys other programs made, certified like everybody's, and what `openssl cms` says about their
//! signatures. Whoever takes this module also takes `trust_country` and `signed_document` at its root.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of this module")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use node::store::Store;
use schema::time::Millis;
use schema::trust::DetachedSignature;
use schema::trust::algorithm::SignatureAlgorithm;

use crate::signed_document::plan;
use crate::trust_country::{Country, Key, Node, Plan, day, pem};

pub const CONTENT: &[u8] = "bản kê của công văn số 12/UBND-VP".as_bytes();
pub const PASSPHRASE: &str = "một hai ba bốn năm";
/// The number in the certificates of these officers; never shown.
pub const CITIZEN: &str = "001099012345";

/// Whether a program is there. Where everything must be tested, its absence is a failure.
pub fn is_here(tool: &str, version: &str) -> bool {
    if Command::new(tool).arg(version).output().is_ok() {
        return true;
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{tool} must be installed in CI");
    eprintln!("{tool} is not installed: nothing was tested");
    false
}

/// A kind of key, and how openssl makes one.
pub struct Kind {
    pub name: &'static str,
    pub generate: &'static [&'static str],
    pub algorithm: &'static rcgen::SignatureAlgorithm,
}

pub const KINDS: [Kind; 5] = [
    Kind { name: "ed25519", generate: &["-algorithm", "ed25519"], algorithm: &rcgen::PKCS_ED25519 },
    Kind {
        name: "p256",
        generate: &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
    },
    Kind {
        name: "p384",
        generate: &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        algorithm: &rcgen::PKCS_ECDSA_P384_SHA384,
    },
    Kind {
        name: "rsa2048",
        generate: &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        algorithm: &rcgen::PKCS_RSA_SHA256,
    },
    Kind {
        name: "rsa3072",
        generate: &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
        algorithm: &rcgen::PKCS_RSA_SHA256,
    },
];

/// A folder with a country's certificates, a store, and openssl.
pub struct Workshop {
    pub folder: tempfile::TempDir,
    pub country: Country,
}

impl Workshop {
    pub fn new() -> Self {
        let workshop =
            Self { folder: tempfile::tempdir().expect("a temporary folder"), country: Country::new() };
        workshop.write("root.pem", pem("CERTIFICATE", &workshop.country.root.der).as_bytes());
        workshop.write("here.pem", pem("CERTIFICATE", &workshop.country.here.der).as_bytes());
        workshop.secret("words", PASSPHRASE);
        workshop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("written");
    }

    /// A file with a passphrase or PIN.
    pub fn secret(&self, name: &str, text: &str) -> String {
        self.write(name, format!("{text}\n").as_bytes());
        self.mode(name, 0o600);
        self.shown(name)
    }

    pub fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).expect("set");
    }

    /// A store as a station has it, for a desk.
    pub fn database(&self) -> PathBuf {
        let path = self.path("tram.db");
        drop(Store::open(&path).expect("a store"));
        path
    }

    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program).current_dir(self.folder.path()).args(arguments).output().expect("it runs")
    }

    pub fn must(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A key of openssl in `NAME.key`, under the passphrase, with the certificate in `NAME.pem`.
    pub fn officer(&self, name: &str, kind: &Kind) -> Vec<u8> {
        let mut arguments = vec!["genpkey", "-out", "plain"];
        arguments.extend(kind.generate);
        self.must("openssl", &arguments);
        fs::copy(self.path("plain"), self.path(&format!("{name}.plain"))).expect("copied");
        let key = format!("{name}.key");
        self.must(
            "openssl",
            &["pkcs8", "-topk8", "-scrypt", "-in", "plain", "-passout", "file:words", "-out", &key],
        );
        self.mode(&key, 0o600);
        let public = self.must("openssl", &["pkey", "-in", "plain", "-pubout", "-outform", "DER"]);
        self.certify(name, kind.algorithm, &public)
    }

    /// Certifies a public key (SubjectPublicKeyInfo, DER) as an officer's, into `NAME.pem`.
    pub fn certify(&self, name: &str, algorithm: &'static rcgen::SignatureAlgorithm, spki: &[u8]) -> Vec<u8> {
        let mut spki = Node::parse(spki);
        let bits = spki.members()[1].value().clone();
        let key = Key::Fake(algorithm, bits[1..].to_vec());
        let plan = Plan { until: day(3_600), ..plan() };
        let der = self.country.here.issue(&plan, &key);
        self.write(&format!("{name}.pem"), pem("CERTIFICATE", &der).as_bytes());
        der
    }

    /// Whether openssl takes a signature over the content, at that time, below our root; the authority in between comes
    /// with the signature. OpenSSL 3.0 cannot verify Ed25519 in CMS: then it verifies what was signed, by hand.
    pub fn takes(&self, signature: &[u8], content: &[u8], at: Millis) -> bool {
        let parsed = DetachedSignature::parse(signature).expect("a signature that keeps every rule");
        if parsed.algorithm() == SignatureAlgorithm::Ed25519 {
            self.write("signer.der", parsed.signer_certificate());
            self.write("signed", parsed.signed_bytes());
            self.write("raw", parsed.signature());
            let public =
                self.must("openssl", &["x509", "-inform", "DER", "-in", "signer.der", "-pubkey", "-noout"]);
            self.write("public.pem", &public);
            let verify = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", "public.pem", "-in", "signed"];
            let verified = self.run("openssl", &[verify.as_slice(), &["-sigfile", "raw"]].concat());
            return verified.status.success() && parsed.covers(content);
        }
        self.write("S", signature);
        self.write("C", content);
        let at = (at.0 / 1000).to_string();
        let output = self.run(
            "openssl",
            &[
                "cms",
                "-verify",
                "-cades",
                "-binary",
                "-inform",
                "DER",
                "-in",
                "S",
                "-content",
                "C",
                "-CAfile",
                "root.pem",
                "-purpose",
                "any",
                "-x509_strict",
                "-attime",
                &at,
                "-out",
                "out",
            ],
        );
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        output.status.success()
    }
}

/// No output repeats the number of a citizen.
pub fn require_masked(text: &str) {
    assert!(!text.contains(CITIZEN), "a citizen number is shown: {text}");
}

pub fn name_of(path: &Path) -> String {
    path.display().to_string()
}
