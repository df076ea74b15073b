//! An officer's key is made on a token and never leaves it: the token signs the request, the authority certifies it.
//! SoftHSM2 plays the token, `pkcs11-tool` works it, openssl judges what comes out.

mod ca_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ca_support::{Country, certificate, day, officer_terms};
use ops::ca::KeyKind;
use ops::ca::request::Request;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256,
    PublicKeyData, SignatureAlgorithm,
};
use schema::trust::Purpose;

const PIN: &str = "246810";

/// Under `CI=true` a missing tool is a failure.
fn are_here(tools: &[(&str, &str)]) -> bool {
    let here = |(tool, version): &(&str, &str)| Command::new(tool).arg(version).output().is_ok();
    let all = tools.iter().all(here);
    assert!(all || std::env::var("CI").as_deref() != Ok("true"), "{tools:?} must be installed in CI");
    all
}

fn softhsm() -> PathBuf {
    let inside = fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
    let places = inside.map(|entry| entry.path().join("softhsm")).chain([PathBuf::from("/usr/lib/softhsm")]);
    let found = places.map(|place| place.join("libsofthsm2.so")).find(|path| path.exists());
    found.expect("the library of SoftHSM2 is beside its tool")
}

/// A key on a token, for rcgen to ask.
struct OnToken {
    folder: PathBuf,
    id: &'static str,
    public: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

fn run(folder: &Path, tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool)
        .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn pkcs11(folder: &Path, arguments: &[&str]) -> String {
    let module = softhsm().display().to_string();
    run(folder, "pkcs11-tool", &[&["--module", &module, "--login", "--pin", PIN], arguments].concat())
}

impl OnToken {
    fn make(folder: &Path, kind: &str, id: &'static str) -> Self {
        let made = pkcs11(folder, &["--keypairgen", "--key-type", kind, "--id", id]);
        let (public, algorithm) = if kind == "EC:edwards25519" {
            // This version of the tool does not write the public half; it shows it as an OCTET STRING.
            let point = made.lines().find_map(|line| line.trim().strip_prefix("EC_POINT:")).expect("a point");
            let digits = point.trim().strip_prefix("0420").expect("32 bytes");
            let public = data_encoding::HEXLOWER_PERMISSIVE.decode(digits.as_bytes()).expect("digits");
            (public, &PKCS_ED25519)
        } else {
            pkcs11(folder, &["--read-object", "--type", "pubkey", "--id", id, "--output-file", "public.der"]);
            let spki = fs::read(folder.join("public.der")).expect("there");
            let algorithm = if kind.starts_with("rsa") { &PKCS_RSA_SHA256 } else { &PKCS_ECDSA_P256_SHA256 };
            let public = if kind.starts_with("rsa") {
                let convert = ["rsa", "-pubin", "-inform", "DER", "-in", "public.der", "-RSAPublicKey_out"];
                run(folder, "openssl", &[&convert[..], &["-outform", "DER", "-out", "rsa.der"]].concat());
                fs::read(folder.join("rsa.der")).expect("there")
            } else {
                // The point, at the end of the structure, uncompressed.
                spki[spki.len() - 65..].to_vec()
            };
            (public, algorithm)
        };
        Self { folder: folder.to_owned(), id, public, algorithm }
    }
}

impl PublicKeyData for OnToken {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl rcgen::SigningKey for OnToken {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        fs::write(self.folder.join("message"), message).expect("written");
        let (mechanism, input) = if self.algorithm == &PKCS_RSA_SHA256 {
            (&["SHA256-RSA-PKCS"][..], "message")
        } else if self.algorithm == &PKCS_ED25519 {
            (&["EDDSA"][..], "message")
        } else {
            run(&self.folder, "openssl", &["dgst", "-sha256", "-binary", "-out", "digest", "message"]);
            (&["ECDSA", "--signature-format", "openssl"][..], "digest")
        };
        let files = ["--input-file", input, "--output-file", "signature"];
        let sign = ["--sign", "--id", self.id, "--mechanism"];
        pkcs11(&self.folder, &[&sign[..], mechanism, &files].concat());
        Ok(fs::read(self.folder.join("signature")).expect("a signature"))
    }
}

#[test]
fn officers_of_three_kinds_of_keys_on_a_token_are_certified_from_its_requests() {
    let tools = [("openssl", "version"), ("softhsm2-util", "--version"), ("pkcs11-tool", "--help")];
    if !are_here(&tools) {
        return;
    }
    let mut country = Country::new(KeyKind::Ed25519);
    let folder = country.folder.path().to_owned();
    fs::create_dir(folder.join("tokens")).expect("made");
    let conf =
        format!("directories.tokendir = {}\nobjectstore.backend = file\n", folder.join("tokens").display());
    fs::write(folder.join("softhsm2.conf"), conf).expect("written");
    let token = ["--init-token", "--free", "--label", "rong", "--so-pin", "13579135", "--pin", PIN];
    run(&folder, "softhsm2-util", &token);
    let officers = [
        ("rsa:2048", "01", "Lê Văn Rồng"),
        ("EC:prime256v1", "02", "Phạm Thị Phượng"),
        ("EC:edwards25519", "03", "Đỗ Văn Em"),
    ];
    for (kind, id, name) in officers {
        let key = OnToken::make(&folder, kind, id);
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CountryName, "VN");
        params.distinguished_name.push(DnType::CommonName, name);
        let csr = params.serialize_request(&key).expect("the token signs");
        fs::write(folder.join("officer.csr"), csr.der()).expect("written");
        run(&folder, "openssl", &["req", "-verify", "-noout", "-inform", "DER", "-in", "officer.csr"]);
        let request = Request::read(&folder.join("officer.csr")).expect("a request");
        let serial = country.province.issue(officer_terms(name, &request), day(5)).expect(kind);
        country.assert_valid(serial, Purpose::Document, day(6));
        let der = fs::read(certificate(&country.province, serial).with_extension("der")).expect("a file");
        let holds = der.windows(key.public.len()).any(|part| part == key.public);
        assert!(holds, "another key was certified: {kind}");
        // A request that another key of the token signed proves nothing.
        let mut forged = request.as_der().to_vec();
        let last = forged.last_mut().expect("bytes");
        *last ^= 1;
        assert!(Request::parse(&forged).is_err(), "{kind}: nobody checked who signed the request");
    }
}
