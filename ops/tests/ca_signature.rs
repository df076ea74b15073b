//! What an authority certifies is good for what it is there for: an officer signs a document, and `openssl cms` takes it
//! as well as a station does.

mod ca_support;

use std::fs;
use std::path::Path;
use std::process::Command;

use ca_support::{Country, certificate, day, officer_terms, openssl_request};
use ops::ca::KeyKind;
use ops::ca::request::Request;
use schema::trust::{DetachedSignature, Outcome, Preparation, SignerView, SigningTime};

const MANIFEST: &[u8] = "Công văn số 12/UBND-VP".as_bytes();

fn openssl(folder: &Path, arguments: &[&str]) -> (bool, Vec<u8>, String) {
    let mut command = Command::new("openssl");
    let output = command.current_dir(folder).args(arguments).output();
    let output = output.expect("openssl is installed wherever the tests run");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), output.stdout, told)
}

#[test]
fn officers_of_an_authority_sign_documents_that_openssl_takes() {
    let mut country = Country::new(KeyKind::P256);
    for (name, newkey) in [
        ("Lê Văn Rồng", &["-newkey", "rsa:2048"][..]),
        ("Phạm Thị Phượng", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let request = openssl_request(folder.path(), newkey, &format!("/C=VN/CN={name}"));
        let request = Request::parse(&request).expect("a sound request");
        let serial = country.province.issue(officer_terms(name, &request), day(5)).expect("issued");
        let der = |file: &Path| fs::read(file.with_extension("der")).expect("a file");
        let officer = der(&certificate(&country.province, serial));
        let authority = der(&country.province.folder().join("ca"));

        let preparation = Preparation::new(MANIFEST, &officer, day(6)).expect("an officer's certificate");
        fs::write(folder.path().join("tbs"), preparation.to_be_signed()).expect("a file");
        let (signed, answer, told) =
            openssl(folder.path(), &["dgst", "-sha256", "-sign", "request.key", "tbs"]);
        assert!(signed, "{told}");
        let signature = preparation.finish(&answer, &[&authority]).expect("the officer's own answer");

        let parsed = DetachedSignature::parse(&signature).expect("a signature");
        let time = SigningTime::proven(day(6));
        let verdict = country.store().judge_signature(MANIFEST, &parsed, &time, day(6));
        assert_eq!(verdict.outcome(), Outcome::Valid, "{verdict:#?}");
        let view = SignerView::new(&parsed, &verdict, &time);
        assert_eq!(view.unit.as_deref(), Some("UBND xã Cẩm Khê, Tỉnh Phú Thọ"));
        assert_eq!(view.title.as_deref(), Some("Chủ tịch"));

        fs::write(folder.path().join("M"), MANIFEST).expect("a file");
        fs::write(folder.path().join("S"), &signature).expect("a file");
        fs::copy(country.root.folder().join("ca.pem"), folder.path().join("root.pem")).expect("a copy");
        let at = (day(6).0 / 1000).to_string();
        let verify = [
            "cms",
            "-verify",
            "-cades",
            "-binary",
            "-content",
            "M",
            "-inform",
            "DER",
            "-in",
            "S",
            "-CAfile",
            "root.pem",
            "-x509_strict",
            "-attime",
            &at,
        ];
        let (taken, content, told) = openssl(folder.path(), &verify);
        assert!(taken, "openssl: {told}");
        assert_eq!(content, MANIFEST);
    }
}
