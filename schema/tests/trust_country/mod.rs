//! A small country of certificates: a root, authorities of two provinces, an office and an officer. Issued
//! with rcgen, except where a rule must be broken that rcgen keeps: then the bytes are taken apart, changed
//! and signed anew.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

pub mod raw;

use std::process::Command;
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey as Ed25519Key};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    DnType, DnValue, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints,
    PublicKeyData, RevokedCertParams, SerialNumber, SignatureAlgorithm, SigningKey,
};
use schema::time::Millis;
use schema::trust::profile::{PURPOSE_OFFICE, PURPOSE_OFFICER, purpose_extension};
use schema::trust::{Anchors, Purpose, SigningTime, TrustStore, Verdict};

pub use rcgen::{KeyUsagePurpose as Use, RevocationReason as Why};

/// 2026-01-01T00:00:00Z.
pub const NEW_YEAR: u64 = 1_767_225_600_000;
pub const OFFICE_UID: &str = "TRAM:0102030405060708090a0b0c0d0e0f10";

/// That many days after new year 2026.
pub fn day(days: u64) -> Millis {
    Millis(NEW_YEAR + days * Millis::DAY)
}

// A macro, because the type of dates belongs to a crate that only rcgen needs.
macro_rules! date {
    ($at:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis($at.0)
    };
}

/// Keys of every kind, the same in every run where that is possible.
pub enum Key {
    Ed25519(Ed25519Key, [u8; 32]),
    Other(KeyPair),
    /// A public key only; what it signs is nonsense.
    Fake(&'static SignatureAlgorithm, Vec<u8>),
}

impl Key {
    pub fn ed25519(seed: u8) -> Self {
        let key = Ed25519Key::from_bytes(&[seed; 32]);
        let public = key.verifying_key().to_bytes();
        Self::Ed25519(key, public)
    }

    pub fn p256() -> Self {
        Self::Other(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key"))
    }

    pub fn p384() -> Self {
        Self::Other(KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key"))
    }

    pub fn rsa_2048(algorithm: &'static SignatureAlgorithm) -> Self {
        let der = unhex(include_str!("rsa-2048-for-tests-only.hex"));
        let der = rcgen_der(der);
        Self::Other(KeyPair::from_pkcs8_der_and_sign_algo(&der, algorithm).expect("a key"))
    }

    pub fn rsa_1024() -> Self {
        Self::Fake(&rcgen::PKCS_RSA_SHA256, unhex(include_str!("rsa-1024-public.hex")))
    }
}

fn rcgen_der<T: From<Vec<u8>>>(der: Vec<u8>) -> T {
    der.into()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair =
        |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("digits"), 16).expect("digits");
    digits.chunks(2).map(pair).collect()
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        match self {
            Self::Ed25519(_, public) => public,
            Self::Other(pair) => pair.der_bytes(),
            Self::Fake(_, public) => public,
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self {
            Self::Ed25519(..) => &rcgen::PKCS_ED25519,
            Self::Other(pair) => PublicKeyData::algorithm(pair),
            Self::Fake(algorithm, _) => algorithm,
        }
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match self {
            Self::Ed25519(key, _) => Ok(key.sign(message).to_bytes().to_vec()),
            Self::Other(pair) => pair.sign(message),
            Self::Fake(..) => Ok(vec![0; 128]),
        }
    }
}

/// `C` as PrintableString, everything else as UTF8String.
pub fn dn(parts: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, text) in parts {
        let value = match kind {
            DnType::CountryName => DnValue::PrintableString((*text).try_into().expect("printable")),
            _ => DnValue::Utf8String((*text).to_owned()),
        };
        name.push(kind.clone(), value);
    }
    name
}

pub fn uid() -> DnType {
    DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1])
}

pub const COUNTRY: DnType = DnType::CountryName;
pub const PROVINCE: DnType = DnType::StateOrProvinceName;
pub const COMMON: DnType = DnType::CommonName;

/// What a certificate is to say.
#[derive(Clone)]
pub struct Plan {
    pub subject: DistinguishedName,
    pub serial: u64,
    pub from: Millis,
    pub until: Millis,
    pub ca: Option<Option<u8>>,
    pub usages: Vec<KeyUsagePurpose>,
    pub purposes: Vec<[u8; 21]>,
    pub jurisdiction: Option<DistinguishedName>,
    pub extra: Vec<CustomExtension>,
    pub names_its_issuer: bool,
}

impl Plan {
    pub fn root(common: &str) -> Self {
        Self {
            subject: dn(&[(COUNTRY, "VN"), (COMMON, common)]),
            serial: 1,
            from: day(0),
            until: day(20 * 365),
            ca: Some(None),
            usages: vec![Use::KeyCertSign, Use::CrlSign],
            purposes: Vec::new(),
            jurisdiction: None,
            extra: Vec::new(),
            names_its_issuer: true,
        }
    }

    pub fn province(province: &str) -> Self {
        Self {
            subject: dn(&[(COUNTRY, "VN"), (PROVINCE, province), (COMMON, "CA của tỉnh")]),
            serial: 100,
            until: day(10 * 365),
            ca: Some(Some(0)),
            jurisdiction: Some(dn(&[(COUNTRY, "VN"), (PROVINCE, province)])),
            ..Self::root("")
        }
    }

    pub fn office(province: &str, serial: u64) -> Self {
        let subject = [(COUNTRY, "VN"), (PROVINCE, province), (COMMON, "UBND xã"), (uid(), OFFICE_UID)];
        Self {
            subject: dn(&subject),
            serial,
            from: day(10),
            until: day(2 * 365),
            ca: None,
            usages: vec![Use::DigitalSignature],
            purposes: vec![PURPOSE_OFFICE],
            ..Self::root("")
        }
    }

    pub fn officer(province: &str, serial: u64) -> Self {
        let subject =
            [(COUNTRY, "VN"), (PROVINCE, province), (COMMON, "Nguyễn Văn A"), (uid(), "CCCD:001099012345")];
        Self {
            subject: dn(&subject),
            usages: vec![Use::DigitalSignature, Use::ContentCommitment],
            purposes: vec![PURPOSE_OFFICER],
            ..Self::office(province, serial)
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = self.subject.clone();
        params.serial_number = Some(SerialNumber::from_slice(&serial_bytes(self.serial)));
        params.not_before = date!(self.from);
        params.not_after = date!(self.until);
        params.is_ca = match self.ca {
            Some(Some(length)) => IsCa::Ca(BasicConstraints::Constrained(length)),
            Some(None) => IsCa::Ca(BasicConstraints::Unconstrained),
            None => IsCa::ExplicitNoCa,
        };
        params.key_usages.clone_from(&self.usages);
        params.use_authority_key_identifier_extension = self.names_its_issuer;
        if !self.purposes.is_empty() {
            let value = purpose_extension(&self.purposes);
            params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 37], value));
        }
        params.custom_extensions.extend(self.extra.iter().cloned());
        params.name_constraints = self.jurisdiction.clone().map(|base| NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DirectoryName(base)],
            excluded_subtrees: Vec::new(),
        });
        params
    }
}

pub fn serial_bytes(serial: u64) -> Vec<u8> {
    // Sixteen bytes, as an issuer draws them; the first one keeps the number positive.
    let mut bytes = vec![0x35, 0xa9, 0x44, 0x02, 0x81, 0x6e, 0xc3, 0x10];
    bytes.extend(serial.to_be_bytes());
    bytes
}

/// An authority with its key.
pub struct Authority {
    pub plan: Plan,
    pub key: Key,
    pub der: Vec<u8>,
}

impl Authority {
    pub fn root(plan: Plan, key: Key) -> Self {
        let der = plan.params().self_signed(&key).expect("a root").der().to_vec();
        Self { plan, key, der }
    }

    pub fn below(&self, plan: Plan, key: Key) -> Self {
        let der = self.issue(&plan, &key);
        Self { plan, key, der }
    }

    pub fn issue(&self, plan: &Plan, key: &Key) -> Vec<u8> {
        let params = self.plan.params();
        let issuer = Issuer::from_params(&params, &self.key);
        plan.params().signed_by(key, &issuer).expect("a certificate").der().to_vec()
    }

    pub fn list(&self, number: u64, from: Millis, until: Millis, revoked: &[Revoked]) -> Vec<u8> {
        let params = self.plan.params();
        let issuer = Issuer::from_params(&params, &self.key);
        let entry = |revoked: &Revoked| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&serial_bytes(revoked.serial)),
            revocation_time: date!(revoked.at),
            reason_code: revoked.why,
            invalidity_date: revoked.invalid_from.map(|from| date!(from)),
        };
        let list = CertificateRevocationListParams {
            this_update: date!(from),
            next_update: date!(until),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&issuer).expect("a list").der().to_vec()
    }
}

#[derive(Clone, Copy)]
pub struct Revoked {
    pub serial: u64,
    pub at: Millis,
    pub why: Option<Why>,
    pub invalid_from: Option<Millis>,
}

impl Revoked {
    pub fn new(serial: u64, at: Millis, why: Why) -> Self {
        Self { serial, at, why: Some(why), invalid_from: None }
    }
}

pub const HERE: &str = "Tỉnh Phú Thọ";
pub const THERE: &str = "Tỉnh Lào Cai";
pub const OFFICE_SERIAL: u64 = 7;
pub const OFFICER_SERIAL: u64 = 8;

/// The country.
pub struct Country {
    pub root: Authority,
    pub here: Authority,
    pub there: Authority,
    pub office: Vec<u8>,
    pub officer: Vec<u8>,
}

impl Country {
    pub fn new() -> Self {
        let root = Authority::root(Plan::root("Trạm gốc"), Key::ed25519(1));
        let here = root.below(Plan::province(HERE), Key::ed25519(2));
        let there = root.below(Plan { serial: 101, ..Plan::province(THERE) }, Key::ed25519(3));
        let office = here.issue(&Plan::office(HERE, OFFICE_SERIAL), &Key::ed25519(4));
        let officer = here.issue(&Plan::officer(HERE, OFFICER_SERIAL), &Key::p256());
        Self { root, here, there, office, officer }
    }

    /// Trusts the root and knows both provinces, but no list.
    pub fn store_without_lists(&self) -> TrustStore {
        let mut store = TrustStore::new(Anchors::new([self.root.der.as_slice()]).expect("a root"));
        for authority in [&self.here, &self.there] {
            assert_eq!(store.add_authority(&authority.der), Ok(true));
        }
        store
    }

    /// With lists of day 100 that count until day 130 and say what is given.
    pub fn store(&self, revoked: &[Revoked]) -> TrustStore {
        let mut store = self.store_without_lists();
        for authority in [&self.root, &self.there] {
            store.add_list(&authority.list(1, day(100), day(130), &[])).expect("a list");
        }
        store.add_list(&self.here.list(1, day(100), day(130), revoked)).expect("a list");
        store
    }
}

/// Judged as an event of the office, proven then, with a present long after.
pub fn judge(store: &TrustStore, certificate: &[u8], proven_at: Millis) -> Verdict {
    store.judge(certificate, Purpose::Event, &SigningTime::proven(proven_at), day(110))
}

/// DER taken apart, so that a test can change what rcgen would never write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    Leaf(u8, Vec<u8>),
    Branch(u8, Vec<Node>),
}

impl Node {
    pub fn parse(bytes: &[u8]) -> Self {
        let (node, rest) = Self::next(bytes);
        assert!(rest.is_empty(), "bytes follow");
        node
    }

    fn next(bytes: &[u8]) -> (Self, &[u8]) {
        let (tag, first) = (bytes[0], usize::from(bytes[1]));
        let (start, length) = if first < 0x80 {
            (2, first)
        } else {
            let count = first & 0x7f;
            (2 + count, bytes[2..2 + count].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        };
        let (mut inside, rest) = bytes[start..].split_at(length);
        if tag & 0x20 == 0 {
            return (Self::Leaf(tag, inside.to_vec()), rest);
        }
        let mut members = Vec::new();
        while !inside.is_empty() {
            let (member, next) = Self::next(inside);
            members.push(member);
            inside = next;
        }
        (Self::Branch(tag, members), rest)
    }

    pub fn encode(&self) -> Vec<u8> {
        let (tag, value) = match self {
            Self::Leaf(tag, value) => (*tag, value.clone()),
            Self::Branch(tag, members) => (*tag, members.iter().flat_map(Self::encode).collect()),
        };
        let mut bytes = vec![tag];
        match u8::try_from(value.len()) {
            Ok(length) if length < 0x80 => bytes.push(length),
            _ => {
                let digits: Vec<u8> = value.len().to_be_bytes().into_iter().skip_while(|d| *d == 0).collect();
                bytes.push(0x80 | u8::try_from(digits.len()).expect("short"));
                bytes.extend(digits);
            }
        }
        bytes.extend(value);
        bytes
    }

    pub fn members(&mut self) -> &mut Vec<Self> {
        match self {
            Self::Branch(_, members) => members,
            Self::Leaf(tag, _) => panic!("{tag:02x} has no members"),
        }
    }

    pub fn value(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Leaf(_, value) => value,
            Self::Branch(tag, _) => panic!("{tag:02x} has members"),
        }
    }
}

/// Where things are in the signed part of a certificate.
pub mod field {
    pub const VERSION: usize = 0;
    pub const SERIAL: usize = 1;
    pub const ALGORITHM: usize = 2;
    pub const ISSUER: usize = 3;
    pub const VALIDITY: usize = 4;
    pub const SUBJECT: usize = 5;
    pub const KEY: usize = 6;
    pub const EXTENSIONS: usize = 7;
}

/// Changes the whole of a certificate or list as a tree and signs the first member anew.
pub fn forge(der: &[u8], signer: &Key, change: impl FnOnce(&mut Vec<Node>)) -> Vec<u8> {
    let mut whole = Node::parse(der);
    let members = whole.members();
    change(members);
    let signature = signer.sign(&members[0].encode()).expect("a signature");
    let mut bits = vec![0];
    bits.extend(signature);
    members[2] = Node::Leaf(0x03, bits);
    whole.encode()
}

/// Changes the extensions of a certificate and signs it anew.
pub fn with_extensions(der: &[u8], signer: &Key, change: impl FnOnce(&mut Vec<Node>)) -> Vec<u8> {
    forge(der, signer, |members| {
        change(members[0].members()[field::EXTENSIONS].members()[0].members());
    })
}

/// An Extension.
pub fn extension(oid: &[u8], critical: bool, value: Vec<u8>) -> Node {
    let mut members = vec![Node::Leaf(0x06, oid.to_vec())];
    if critical {
        members.push(Node::Leaf(0x01, vec![0xff]));
    }
    members.push(Node::Leaf(0x04, value));
    Node::Branch(0x30, members)
}

/// The extension with that identifier.
pub fn find<'a>(extensions: &'a mut [Node], oid: &[u8]) -> &'a mut Node {
    let is = |node: &&mut Node| matches!(node, Node::Branch(_, m) if m[0] == Node::Leaf(0x06, oid.to_vec()));
    extensions.iter_mut().find(is).expect("an extension")
}

/// Whether openssl can be asked; it must be there in CI.
pub fn openssl_is_here() -> bool {
    if Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success()) {
        return true;
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "openssl must be installed in CI");
    eprintln!("openssl is not installed: nothing was compared");
    false
}

/// As PEM, which is all that `openssl verify` reads.
pub fn pem(label: &str, der: &[u8]) -> String {
    use std::fmt::Write as _;
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in der.chunks(3) {
        let bits =
            chunk.iter().chain(&[0; 3]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        for n in 0..4 {
            let digit = char::from(DIGITS[bits >> (18 - 6 * n) & 63]);
            text.push(if n > chunk.len() { '=' } else { digit });
        }
    }
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        writeln!(out, "{}", std::str::from_utf8(line).expect("ASCII")).expect("memory");
    }
    out + &format!("-----END {label}-----\n")
}
