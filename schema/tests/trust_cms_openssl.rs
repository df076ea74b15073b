//! Documents' signatures against `openssl cms`, both ways, and before GnuTLS: it takes what we write and refuses what was changed, and we
//! take what it writes, or refuse it by a rule that has a name.

mod signed_document;
mod trust_country;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use rcgen::KeyPair;
use schema::trust::DetachedSignature;
use schema::trust::{Item, Language, Outcome, SigningTime, Verdict};
use signed_document::{CONTENT, Officer, Parts, SIGNED_ON, at, plan, read};
use trust_country::{Authority, Country, HERE, Key, Plan, day};

fn is_here(tool: &str, version: &str) -> bool {
    if Command::new(tool).arg(version).output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{tool} must be installed in CI");
    eprintln!("{tool} is not installed: nothing was compared");
    false
}

/// A folder in which openssl works.
struct Desk {
    folder: tempfile::TempDir,
    country: Country,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a folder"), country: Country::new() };
        desk.write("M", CONTENT);
        desk.write("root.der", &desk.country.root.der);
        desk.write("here.der", &desk.country.here.der);
        for name in ["root", "here"] {
            desk.must(&[
                "x509",
                "-inform",
                "DER",
                "-in",
                &format!("{name}.der"),
                "-out",
                &format!("{name}.pem"),
            ]);
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("openssl");
        command.current_dir(self.folder.path()).args(arguments).output().expect("openssl runs")
    }

    fn must(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// An officer whose key openssl made and has in `NAME.key`, with the certificate in `NAME.pem`.
    fn officer(&self, kind: &Kind, serial: u64) -> Officer {
        let key_file = format!("{}.key", kind.name);
        let mut arguments = vec!["genpkey", "-out", &key_file];
        arguments.extend(kind.generate);
        self.must(&arguments);
        let key = match kind.algorithm {
            Some(algorithm) => {
                let der = self.must(&["pkcs8", "-topk8", "-nocrypt", "-in", &key_file, "-outform", "DER"]);
                let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), algorithm);
                Key::Other(pair.expect("a key of openssl"))
            }
            // Too small for ring: only its public half is certified.
            None => {
                let public = ["rsa", "-in", &key_file, "-RSAPublicKey_out", "-outform", "DER"];
                Key::Fake(&rcgen::PKCS_RSA_SHA256, self.must(&public))
            }
        };
        let officer = Officer::with(&self.country, &Plan { serial, ..plan() }, key);
        self.write("officer.der", &officer.der);
        let pem = format!("{}.pem", kind.name);
        self.must(&["x509", "-inform", "DER", "-in", "officer.der", "-out", &pem]);
        officer
    }

    /// Whether openssl takes a signature over the content, below our root, on the day it was signed.
    fn takes(&self, signature: &[u8], content: &[u8]) -> Result<(), String> {
        self.write("S", signature);
        self.write("C", content);
        let at = (day(SIGNED_ON).0 / 1000).to_string();
        let output = self.run(&[
            "cms",
            "-verify",
            "-cades",
            "-binary",
            "-content",
            "C",
            "-inform",
            "DER",
            "-in",
            "S",
            "-CAfile",
            "root.pem",
            "-x509_strict",
            "-auth_level",
            "2",
            "-attime",
            &at,
            "-out",
            "out",
        ]);
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        assert_eq!(fs::read(self.path("out")).expect("what was verified"), content);
        Ok(())
    }

    /// What openssl makes with that officer's key.
    fn signs(&self, name: &str, options: &[&str]) -> Vec<u8> {
        let (pem, key) = (format!("{name}.pem"), format!("{name}.key"));
        let mut arguments = vec!["cms", "-sign", "-binary", "-in", "M", "-signer", &pem, "-inkey", &key];
        arguments.extend(["-outform", "DER", "-out", "made"]);
        arguments.extend(options);
        self.must(&arguments);
        fs::read(self.path("made")).expect("a signature")
    }

    fn verdict(&self, signature: &[u8]) -> Verdict {
        let time = SigningTime::proven(day(SIGNED_ON));
        self.country.store(&[]).judge_signature(CONTENT, &read(signature), &time, day(110))
    }
}

struct Kind {
    name: &'static str,
    generate: [&'static str; 4],
    algorithm: Option<&'static rcgen::SignatureAlgorithm>,
}

fn kinds() -> [Kind; 4] {
    let rsa = |name, bits, algorithm| Kind {
        name,
        generate: ["-algorithm", "RSA", "-pkeyopt", bits],
        algorithm: Some(algorithm),
    };
    let ec = |name, curve, algorithm| Kind {
        name,
        generate: ["-algorithm", "EC", "-pkeyopt", curve],
        algorithm: Some(algorithm),
    };
    [
        rsa("rsa-2048", "rsa_keygen_bits:2048", &rcgen::PKCS_RSA_SHA256),
        rsa("rsa-3072", "rsa_keygen_bits:3072", &rcgen::PKCS_RSA_SHA256),
        ec("p-256", "ec_paramgen_curve:P-256", &rcgen::PKCS_ECDSA_P256_SHA256),
        ec("p-384", "ec_paramgen_curve:P-384", &rcgen::PKCS_ECDSA_P384_SHA384),
    ]
}

fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] ^= 1 << (at % 8);
    changed
}

fn position(whole: &[u8], part: &[u8]) -> usize {
    whole.windows(part.len()).position(|window| window == part).expect("a part of the whole")
}

#[test]
fn openssl_takes_what_we_write_and_nothing_that_was_changed() {
    if !is_here("openssl", "version") {
        return;
    }
    let desk = Desk::new();
    let chain = [desk.country.here.der.as_slice(), &desk.country.root.der];
    for kind in kinds() {
        let officer = desk.officer(&kind, 40);
        let signature = officer.sign_with_chain(CONTENT, day(SIGNED_ON), &chain);
        assert_eq!(desk.takes(&signature, CONTENT), Ok(()), "{}", kind.name);
        assert_eq!(desk.verdict(&signature).outcome(), Outcome::Valid);

        for at in 0..CONTENT.len() {
            assert!(desk.takes(&signature, &flipped(CONTENT, at)).is_err(), "{}: byte {at}", kind.name);
        }
        // What is signed stands in one piece but for its tag; the signature behind it. The tool is slow: one
        // byte of five, and all of them before our own judge in `trust_cms_bytes`.
        let parsed = read(&signature);
        for part in [&parsed.signed_bytes()[1..], parsed.signature()] {
            let start = position(&signature, part);
            for at in (start..start + part.len()).step_by(5) {
                let told = desk.takes(&flipped(&signature, at), CONTENT);
                assert!(told.is_err(), "{}: byte {at}", kind.name);
            }
        }
    }
}

#[test]
fn openssl_needs_the_chain_that_comes_with_a_signature() {
    if !is_here("openssl", "version") {
        return;
    }
    let desk = Desk::new();
    let officer = desk.officer(&kinds()[2], 40);
    let told = desk.takes(&officer.sign(CONTENT), CONTENT).expect_err("nobody names the authority");
    assert!(told.contains("unable to get local issuer certificate"), "{told}");
    let chain = [desk.country.here.der.as_slice()];
    let signature = officer.sign_with_chain(CONTENT, day(SIGNED_ON), &chain);
    assert_eq!(desk.takes(&signature, CONTENT), Ok(()));
}

#[test]
fn openssl_refuses_a_certificate_that_was_exchanged() {
    if !is_here("openssl", "version") {
        return;
    }
    let desk = Desk::new();
    let officer = desk.officer(&kinds()[2], 40);
    let renewed = desk.country.here.issue(&Plan { serial: 41, ..plan() }, &officer.key);
    let mut parts = Parts::of(&officer.sign(CONTENT));
    let attributes = parts.attributes().clone();
    let mut parts = parts.with_certificate(&renewed);
    *parts.attributes() = attributes;
    let here = trust_country::Node::parse(&desk.country.here.der);
    parts.data[at::CERTIFICATES].members().push(here);
    let told = desk.takes(&parts.encode(), CONTENT).expect_err("another certificate");
    assert!(told.contains("ess signing certificate") || told.contains("ESS"), "{told}");
}

/// OpenSSL 3.0 cannot verify Ed25519 in CMS. It can read the message, and verify by hand what CMS is made of.
#[test]
fn openssl_agrees_about_ed25519_piece_by_piece() {
    if !is_here("openssl", "version") {
        return;
    }
    let desk = Desk::new();
    let officer = Officer::new(&desk.country, Key::ed25519(9));
    let chain = [desk.country.here.der.as_slice(), &desk.country.root.der];
    let signature = officer.sign_with_chain(CONTENT, day(SIGNED_ON), &chain);
    match desk.takes(&signature, CONTENT) {
        // A later version: then it must notice changes too.
        Ok(()) => assert!(desk.takes(&signature, &flipped(CONTENT, 0)).is_err()),
        Err(told) => assert!(told.contains("invalid digest"), "{told}"),
    }

    desk.write("S", &signature);
    let printed = desk.must(&["cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", "S"]);
    let printed = String::from_utf8_lossy(&printed).into_owned();
    for words in [
        "contentType: pkcs7-signedData",
        "eContent: <ABSENT>",
        "algorithm: sha512 (2.16.840.1.101.3.4.2.3)",
        "algorithm: ED25519 (1.3.101.112)",
        "object: signingTime (1.2.840.113549.1.9.5)",
        "object: id-smime-aa-signingCertificateV2 (1.2.840.113549.1.9.16.2.47)",
        "Feb 20 00:00:00 2026 GMT",
    ] {
        assert!(printed.contains(words), "no `{words}` in {printed}");
    }
    let parsed = read(&signature);
    desk.write("signed", parsed.signed_bytes());
    desk.write("value", parsed.signature());
    desk.write("officer.der", &officer.der);
    let public = desk.must(&["x509", "-inform", "DER", "-in", "officer.der", "-noout", "-pubkey"]);
    desk.write("public.pem", &public);
    let verify =
        ["pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", "-in", "signed", "-sigfile"];
    desk.must(&[&verify[..], &["value"]].concat());
    desk.write("changed", &flipped(parsed.signature(), 7));
    assert!(!desk.run(&[&verify[..], &["changed"]].concat()).status.success());
    assert_eq!(desk.must(&["dgst", "-sha512", "-binary", "M"]), parsed.content_digest());
}

/// GnuTLS verifies every kind, Ed25519 in CMS (RFC 8419) included.
#[test]
fn gnutls_takes_what_we_write_and_nothing_that_was_changed() {
    if !is_here("certtool", "--version") || !is_here("openssl", "version") {
        return;
    }
    let mut desk = Desk::new();
    // It judges as of today, whenever that is: certificates for a century.
    let until = day(36_500);
    let root = Authority::root(Plan { until, ..Plan::root("Trạm gốc") }, Key::ed25519(1));
    desk.country.here = root.below(Plan { until, ..Plan::province(HERE) }, Key::ed25519(2));
    desk.write("root.der", &root.der);
    desk.must(&["x509", "-inform", "DER", "-in", "root.der", "-out", "root.pem"]);
    let chain = [desk.country.here.der.as_slice(), &root.der];
    let certtool = |signature: &[u8], content: &[u8]| {
        desk.write("S", signature);
        desk.write("C", content);
        let mut command = Command::new("certtool");
        command.current_dir(desk.folder.path()).args(["--p7-verify", "--inder", "--infile", "S"]);
        command.args(["--load-data", "C", "--load-ca-certificate", "root.pem"]);
        let output = command.output().expect("certtool runs");
        let told = [output.stdout, output.stderr].concat();
        let told = String::from_utf8_lossy(&told).into_owned();
        (output.status.success() && told.contains("Signature status: ok"), told)
    };
    for (kind, key) in signed_document::kinds() {
        let officer = Officer::with(&desk.country, &Plan { until, ..plan() }, key);
        let signature = officer.sign_with_chain(CONTENT, day(SIGNED_ON), &chain);
        let (taken, told) = certtool(&signature, CONTENT);
        assert!(taken, "{kind}: {told}");
        assert!(!certtool(&signature, &flipped(CONTENT, 3)).0, "{kind}: another document passed");
        let parsed = read(&signature);
        for part in [&parsed.signed_bytes()[1..], parsed.signature()] {
            let start = position(&signature, part);
            for at in (start..start + part.len()).step_by(29) {
                assert!(!certtool(&flipped(&signature, at), CONTENT).0, "{kind}: byte {at}");
            }
        }
    }
}

#[test]
fn what_openssl_writes_is_read_and_valid() {
    if !is_here("openssl", "version") {
        return;
    }
    let desk = Desk::new();
    let cades = ["-cades", "-nosmimecap", "-md"];
    for (kind, digests) in
        kinds().iter().zip([&["sha256", "sha384", "sha512"][..], &["sha256"], &["sha256"], &["sha384"]])
    {
        desk.officer(kind, 40);
        for digest in digests {
            let signature = desk.signs(kind.name, &[&cades[..], &[digest]].concat());
            let verdict = desk.verdict(&signature);
            assert_eq!(verdict.outcome(), Outcome::Valid, "{} {digest}: {verdict:#?}", kind.name);
            // With a chain, too.
            let chain = [&cades[..], &[digest, "-certfile", "here.pem"]].concat();
            let signature = desk.signs(kind.name, &chain);
            assert_eq!(
                read(&signature).authorities().collect::<Vec<_>>(),
                [desk.country.here.der.as_slice()]
            );
            assert_eq!(desk.verdict(&signature).outcome(), Outcome::Valid);
        }
        // And not for another document.
        let signature = read(&desk.signs(kind.name, &[&cades[..], &digests[..1]].concat()));
        let time = SigningTime::proven(day(SIGNED_ON));
        let verdict = desk.country.store(&[]).judge_signature(b"another", &signature, &time, day(110));
        assert_eq!(verdict.troubles().map(|finding| finding.item).collect::<Vec<_>>(), [Item::Content]);
    }
}

/// What else openssl can write, each with the rule that refuses it.
#[test]
fn other_forms_that_openssl_writes_are_refused_by_name() {
    if !is_here("openssl", "version") {
        return;
    }
    let desk = Desk::new();
    let [rsa, _, p256, p384] = kinds();
    desk.officer(&rsa, 40);
    desk.officer(&p256, 41);
    desk.officer(&p384, 42);
    let cases: [(&[&str], &str); 13] = [
        (&["-cades"], "signed attribute `2a864886f70d01090f` is not known"),
        (&["-nosmimecap"], "signed attribute signingCertificateV2 is missing"),
        (&["-noattr"], "no signed attributes"),
        (&["-cades", "-nosmimecap", "-nodetach"], "carries content"),
        (&["-cades", "-nosmimecap", "-nocerts"], "carries no certificate"),
        (&["-cades", "-nosmimecap", "-keyid"], "not of version 1"),
        (&["-cades", "-nosmimecap", "-md", "sha1"], "SHA-1, which can be forged"),
        (&["-cades", "-nosmimecap", "-md", "sha224"], "is not allowed"),
        (&["-cades", "-nosmimecap", "-keyopt", "rsa_padding_mode:pss"], "is not allowed"),
        (&["-cades", "-nosmimecap", "-stream"], "indefinite"),
        (&["-cades", "-nosmimecap", "-econtent_type", "1.2.3.4"], "not of version 1"),
        (&["-cades", "-nosmimecap", "-certfile", "root.pem"], "does not belong to the signer's chain"),
        (&["-cades", "-nosmimecap", "-signer", "p-256.pem", "-inkey", "p-256.key"], "has 2 signers"),
    ];
    for (options, words) in cases {
        let made = desk.signs(rsa.name, options);
        let error = DetachedSignature::parse(&made).expect_err(&format!("{options:?}"));
        assert!(error.to_string().contains(words), "{options:?}: {error}");
    }

    // P-384 with the digest that openssl takes by itself.
    let signature = desk.signs(p384.name, &["-cades", "-nosmimecap"]);
    let verdict = desk.verdict(&signature);
    let finding = verdict.of(Item::Signature).expect("a finding");
    assert_eq!(finding.outcome, Outcome::Invalid);
    let text = finding.reason.text(Language::English);
    assert!(text.contains("ECDSA SHA-256 does not belong to a key of kind P-384"), "{text}");
}

#[test]
fn rsa_of_1024_bits_in_earnest_is_invalid() {
    if !is_here("openssl", "version") {
        return;
    }
    let desk = Desk::new();
    let generate = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"];
    desk.officer(&Kind { name: "rsa-1024", generate, algorithm: None }, 40);
    let verdict = desk.verdict(&desk.signs("rsa-1024", &["-cades", "-nosmimecap"]));
    assert_eq!(verdict.outcome(), Outcome::Invalid);
    let finding = verdict.of(Item::Certificate).expect("a finding");
    assert_eq!(finding.outcome, Outcome::Invalid);
    assert!(finding.reason.text(Language::Vietnamese).contains("khoá RSA 1024 bit"), "{verdict:#?}");
}
