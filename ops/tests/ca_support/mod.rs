//! A small country of authorities for tests, and its two judges: `schema::trust` and openssl.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ops::ca::approval::{Approver, Signed};
use ops::ca::book::SerialNo;
use ops::ca::build::{self, Kind};
use ops::ca::request::Request;
use ops::ca::secret::Key;
use ops::ca::{Authority, Cost, KeyKind, LeafTerms, Opening, Passphrase, Place, Refusal, Subject};
use schema::id::OfficeId;
use schema::time::Millis;
use schema::trust::{Anchors, Outcome, Purpose, SigningTime, TrustStore};

/// 2026-01-01T00:00:00Z.
pub const NEW_YEAR: Millis = Millis(1_767_225_600_000);
pub const PROVINCE: &str = "Tỉnh Phú Thọ";

/// That many days after new year 2026.
pub fn day(days: u64) -> Millis {
    NEW_YEAR.plus(days * Millis::DAY)
}

pub fn here() -> Place {
    Place::Province(PROVINCE.to_owned())
}

pub fn words() -> Passphrase {
    Passphrase::new("một hai ba bốn năm").expect("a passphrase")
}

/// A person who approves.
pub struct Person {
    pub key: Key,
    pub approver: Approver,
}

pub fn person(name: &str) -> Person {
    let key = Key::generate(KeyKind::Ed25519).expect("a key");
    let approver = Approver::new(name, &key).expect("an approver");
    Person { key, approver }
}

/// A root, two approvers and a stranger, and a province that is certified.
pub struct Country {
    pub folder: tempfile::TempDir,
    pub root: Authority,
    pub an: Person,
    pub binh: Person,
    pub province: Authority,
}

/// Everybody who approves signs who approves.
pub fn sign_founding(authority: &mut Authority, persons: &[&Person], at: Millis) {
    let founding = authority.book().founding().expect("a founding").proposal.clone();
    let sign = |person: &&Person| Signed::sign(&founding, &person.key, at).expect("signed");
    let approvals: Vec<Signed> = persons.iter().map(sign).collect();
    authority.carry_out(&founding.id, &approvals, at).expect("all of them signed");
}

pub fn key_options(words: &Passphrase, kind: KeyKind) -> (KeyKind, &Passphrase, Cost) {
    (kind, words, Cost::FOR_TESTS)
}

impl Country {
    pub fn new(kind: KeyKind) -> Self {
        Self::of(&here(), kind)
    }

    /// With an authority of that place instead of the province.
    pub fn of(place: &Place, kind: KeyKind) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (an, binh) = (person("Nguyễn Văn An"), person("Trần Thị Bình"));
        let approvers = [an.approver.clone(), binh.approver.clone()];
        let words = words();
        let root = folder.path().join("root");
        let options = key_options(&words, kind);
        let mut root =
            Authority::init_root(&root, "Trạm gốc", &approvers, 20, options, day(0)).expect("a root");
        sign_founding(&mut root, &[&an, &binh], day(0));
        let province = folder.path().join("phu-tho");
        let province = Authority::init_delegated(&province, place, "CA của địa phương", &[], options, day(0));
        let mut country = Self { folder, root, an, binh, province: province.expect("an authority") };
        country.certify(place, day(1));
        country
    }

    /// The root certifies the authority; takes three days from then on.
    pub fn certify(&mut self, place: &Place, from: Millis) {
        let request = Request::read(&self.province.folder().join("request.csr.pem")).expect("a request");
        let (proposal, _) = self
            .root
            .propose_authority(place, "CA của địa phương", &request, 3650, from)
            .expect("a proposal");
        let approvals: Vec<Signed> = [&self.an, &self.binh]
            .map(|person| Signed::sign(&proposal, &person.key, from.plus(Millis::DAY)).expect("an approval"))
            .to_vec();
        let serial = self
            .root
            .carry_out(&proposal.id, &approvals, from.plus(2 * Millis::DAY))
            .expect("issued")
            .certificate()
            .expect("a certificate");
        let certificate = fs::read(certificate(&self.root, serial)).expect("a file");
        let root = fs::read(self.root.folder().join("ca.pem")).expect("a file");
        self.province.install(&certificate, &root, from.plus(3 * Millis::DAY)).expect("installed");
    }

    /// Everything a station would hold.
    pub fn store(&self) -> TrustStore {
        let der =
            |authority: &Authority, name: &str| fs::read(authority.folder().join(name)).expect("a file");
        let root = der(&self.root, "ca.der");
        let mut store = TrustStore::new(Anchors::new([root.as_slice()]).expect("a root"));
        store.add_authority(&der(&self.province, "ca.der")).expect("an authority");
        store.add_list(&der(&self.root, "lists/list.der")).expect("the root's list");
        store.add_list(&der(&self.province, "lists/list.der")).expect("the province's list");
        store
    }

    /// What `schema::trust` says about a certificate as of then.
    pub fn judged(&self, serial: SerialNo, purpose: Purpose, at: Millis) -> Outcome {
        let der = fs::read(certificate(&self.province, serial).with_extension("der")).expect("a file");
        let verdict = self.store().judge(&der, purpose, &SigningTime::proven(at), at);
        verdict.outcome()
    }

    /// What openssl says about it as of then; checks all lists.
    pub fn openssl(&self, serial: SerialNo, at: Millis) -> (bool, String) {
        let lists = self.folder.path().join("lists.pem");
        let text = [&self.root, &self.province]
            .map(|authority| fs::read_to_string(authority.folder().join("lists/list.pem")).expect("a list"));
        fs::write(&lists, text.concat()).expect("a file");
        let output = Command::new("openssl")
            .args(["verify", "-x509_strict", "-crl_check_all", "-attime", &(at.0 / 1000).to_string()])
            .arg("-CAfile")
            .arg(self.root.folder().join("ca.pem"))
            .arg("-untrusted")
            .arg(self.province.folder().join("ca.pem"))
            .arg("-CRLfile")
            .arg(&lists)
            .arg(certificate(&self.province, serial))
            .output()
            .expect("openssl is installed wherever the tests run");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Both judges take it.
    pub fn assert_valid(&self, serial: SerialNo, purpose: Purpose, at: Millis) {
        assert_eq!(self.judged(serial, purpose, at), Outcome::Valid, "schema::trust refuses {serial}");
        let (taken, told) = self.openssl(serial, at);
        assert!(taken, "openssl refuses {serial}: {told}");
    }
}

pub fn certificate(authority: &Authority, serial: SerialNo) -> PathBuf {
    authority.folder().join("certificates").join(format!("{serial}.pem"))
}

pub fn office(n: u8) -> OfficeId {
    OfficeId::new([n; 16])
}

/// An office's terms, with the node key of that seed.
pub fn office_terms(place: &Place, n: u8) -> LeafTerms {
    let key = ed25519_dalek::SigningKey::from_bytes(&[n; 32]);
    LeafTerms {
        kind: Kind::Office(office(n)),
        subject: Subject::office(place, &format!("UBND xã số {n}"), &office(n)),
        spki: build::ed25519_spki(key.verifying_key().as_bytes()).expect("a key"),
        days: 1000,
        device: None,
    }
}

pub fn officer(name: &str) -> Subject {
    Subject::officer(&here(), name, Some("001099012345"), Some("UBND xã Cẩm Khê"), Some("Chủ tịch"))
}

pub fn officer_terms(name: &str, request: &Request) -> LeafTerms {
    let subject = officer(name);
    let spki = Authority::key_of(request, &subject).expect("the same name");
    LeafTerms { kind: Kind::Officer, subject, spki, days: 1000, device: Some("token số 7".to_owned()) }
}

/// A request as openssl makes it; asks for things that nobody is to get.
pub fn openssl_request(folder: &Path, newkey: &[&str], subject: &str) -> Vec<u8> {
    let out = folder.join("request.csr");
    let output = Command::new("openssl")
        .args(["req", "-new", "-nodes", "-utf8", "-subj", subject])
        .args(["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign"])
        .args(newkey)
        .arg("-keyout")
        .arg(folder.join("request.key"))
        .arg("-out")
        .arg(&out)
        .output()
        .expect("openssl is installed wherever the tests run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read(out).expect("a request")
}

/// The refusal in an error, or the error as a failure.
pub fn refusal<T: std::fmt::Debug>(result: anyhow::Result<T>) -> Refusal {
    let error = result.expect_err("a refusal");
    error.downcast_ref::<Refusal>().unwrap_or_else(|| panic!("not a refusal: {error:#}")).clone()
}

/// Whether every check of a folder is fine.
pub fn complaints(folder: &Path, now: Millis) -> Vec<String> {
    match Opening::read(folder).and_then(|opening| opening.check(now)) {
        Ok(checks) => checks.into_iter().flat_map(|check| check.broken).collect(),
        Err(error) => vec![format!("{error:#}")],
    }
}
