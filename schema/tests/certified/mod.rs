//! For tests of every room: a registrar, a root and one delegated authority with fixed keys, which certify whatever keys a
//! test makes. Bytes are real X.509 from rcgen; nothing of the judge is bypassed.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::{Signer, SigningKey as NodeKey};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    DnType, DnValue, GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, NameConstraints,
    PublicKeyData, RevokedCertParams, SerialNumber, SignatureAlgorithm, SigningKey,
};
use schema::directory::{Directory, sign_directory};
use schema::event::Verifier;
use schema::id::OfficeId;
use schema::registry::{Item, ItemKind, Registry, Roots};
use schema::time::Millis;
use schema::trust::CertificateHash;
use schema::trust::profile::{PURPOSE_OFFICE, PURPOSE_OFFICER, purpose_extension};

pub use rcgen::RevocationReason as Why;

/// 2001-01-01T00:00:00Z: before every time that a test uses and after every one it uses as nonsense.
pub const BEGAN: Millis = Millis(978_307_200_000);
/// 2060-01-01T00:00:00Z.
pub const ENDS: Millis = Millis(2_840_140_800_000);
const PROVINCE: &str = "Tỉnh Phú Thọ";

// A macro, because the type of dates belongs to a crate that only rcgen needs.
macro_rules! date {
    ($at:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_millis($at.0)
    };
}

/// An Ed25519 key for rcgen.
struct Key {
    key: Option<NodeKey>,
    public: [u8; 32],
}

impl Key {
    fn fixed(seed: u8) -> Self {
        let key = NodeKey::from_bytes(&[seed; 32]);
        Self { public: key.verifying_key().to_bytes(), key: Some(key) }
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let key = self.key.as_ref().ok_or(rcgen::Error::RemoteKeyError)?;
        Ok(key.sign(message).to_bytes().to_vec())
    }
}

fn name(parts: &[(DnType, &str)]) -> DistinguishedName {
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

fn params(subject: DistinguishedName, serial: u64, (from, until): (Millis, Millis)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.serial_number = Some(serial_number(serial));
    params.not_before = date!(from);
    params.not_after = date!(until);
    params.use_authority_key_identifier_extension = true;
    params
}

fn serial_number(serial: u64) -> SerialNumber {
    let mut bytes = vec![0x11; 8];
    bytes.extend(serial.to_be_bytes());
    SerialNumber::from_slice(&bytes)
}

/// Certifies whatever a test needs; the same in every run.
pub struct Registrar {
    directory_key: NodeKey,
    root: (CertificateParams, Key, Vec<u8>),
    province: (CertificateParams, Key, Vec<u8>),
}

/// A certificate on a list.
#[derive(Clone, Copy)]
pub struct Revoked {
    pub serial: u64,
    pub at: Millis,
    pub why: Why,
}

impl Registrar {
    pub fn new() -> Self {
        Self::with_keys(0xd1, 0xd2, 0xd3)
    }

    /// Somebody else who calls himself the same.
    pub fn impostor() -> Self {
        Self::with_keys(0xe1, 0xe2, 0xe3)
    }

    fn with_keys(directory: u8, root: u8, province: u8) -> Self {
        let (root_key, province_key) = (Key::fixed(root), Key::fixed(province));
        let mut root =
            params(name(&[(DnType::CountryName, "VN"), (DnType::CommonName, "Trạm gốc")]), 1, (BEGAN, ENDS));
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let base = [(DnType::CountryName, "VN"), (DnType::StateOrProvinceName, PROVINCE)];
        let subject =
            name(&[base[0].clone(), base[1].clone(), (DnType::CommonName, "Cơ quan cấp chứng thư")]);
        let mut province = params(subject, 2, (BEGAN, ENDS));
        province.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        province.key_usages = root.key_usages.clone();
        province.name_constraints = Some(NameConstraints {
            permitted_subtrees: vec![GeneralSubtree::DirectoryName(name(&base))],
            excluded_subtrees: Vec::new(),
        });
        let root_der = root.self_signed(&root_key).expect("a root").der().to_vec();
        let issuer = Issuer::from_params(&root, &root_key);
        let province_der = province.signed_by(&province_key, &issuer).expect("an authority").der().to_vec();
        Self {
            directory_key: NodeKey::from_bytes(&[directory; 32]),
            root: (root, root_key, root_der),
            province: (province, province_key, province_der),
        }
    }

    /// What a station or relay of this registrar pins.
    pub fn roots(&self) -> Roots {
        Roots {
            directory_key: self.directory_key.verifying_key().to_bytes(),
            anchors: vec![CertificateHash::of(&self.root.2)],
        }
    }

    pub fn anchor(&self) -> Item {
        item(ItemKind::Anchor, self.root.2.clone())
    }

    pub fn authority(&self) -> Item {
        item(ItemKind::Certificate, self.province.2.clone())
    }

    pub fn directory(&self, directory: &Directory) -> Item {
        let signed = sign_directory(&directory.snapshot(), &self.directory_key).expect("a sound directory");
        item(ItemKind::Directory, signed)
    }

    /// The certificate of an office's node; `serial` from 10 on.
    pub fn certificate(&self, office: OfficeId, public: [u8; 32], serial: u64) -> Item {
        self.certificate_for(office, public, serial, (BEGAN, ENDS))
    }

    pub fn certificate_for(
        &self,
        office: OfficeId,
        public: [u8; 32],
        serial: u64,
        validity: (Millis, Millis),
    ) -> Item {
        let uid = format!("TRAM:{office}");
        let subject = name(&[
            (DnType::CountryName, "VN"),
            (DnType::StateOrProvinceName, PROVINCE),
            (DnType::CommonName, "Cơ quan"),
            (DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]), &uid),
        ]);
        let mut leaf = params(subject, serial, validity);
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let purposes = purpose_extension(&[PURPOSE_OFFICE]);
        leaf.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 37], purposes));
        let (params, key, _) = &self.province;
        let issuer = Issuer::from_params(params, key);
        let leaf = leaf.signed_by(&Key { key: None, public }, &issuer).expect("a certificate");
        item(ItemKind::Certificate, leaf.der().to_vec())
    }

    /// The certificate (DER) of a person with an Ed25519 key; `serial` from 10 on.
    pub fn officer(&self, public: [u8; 32], serial: u64, validity: (Millis, Millis)) -> Vec<u8> {
        self.officer_with(&Key { key: None, public }, serial, validity)
    }

    /// As [`Registrar::officer`], with whatever key.
    pub fn officer_with(&self, key: &impl PublicKeyData, serial: u64, validity: (Millis, Millis)) -> Vec<u8> {
        let subject = name(&[
            (DnType::CountryName, "VN"),
            (DnType::StateOrProvinceName, PROVINCE),
            (DnType::CommonName, "Nguyễn Văn An"),
            (DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]), "CCCD:001099012345"),
        ]);
        let mut leaf = params(subject, serial, validity);
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
        let purposes = purpose_extension(&[PURPOSE_OFFICER]);
        leaf.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 37], purposes));
        let (params, authority_key, _) = &self.province;
        let issuer = Issuer::from_params(params, authority_key);
        leaf.signed_by(key, &issuer).expect("a certificate").der().to_vec()
    }

    /// The authority's list of this number.
    pub fn list(&self, number: u64, (from, until): (Millis, Millis), revoked: &[Revoked]) -> Item {
        list(&self.province.0, &self.province.1, number, (from, until), revoked)
    }

    /// The root's list of this number.
    pub fn root_list(&self, number: u64, (from, until): (Millis, Millis), revoked: &[Revoked]) -> Item {
        list(&self.root.0, &self.root.1, number, (from, until), revoked)
    }

    /// The serial number of the delegated authority.
    pub const AUTHORITY_SERIAL: u64 = 2;

    /// Everything a station needs: roots, directory, authority, lists that revoke nothing, and these keys.
    pub fn items(&self, directory: &Directory, keys: &[(OfficeId, [u8; 32])]) -> Vec<Item> {
        let mut items = vec![self.anchor(), self.directory(directory), self.authority()];
        items.push(self.root_list(1, (BEGAN, ENDS), &[]));
        items.push(self.list(1, (BEGAN, ENDS), &[]));
        let certificates =
            keys.iter().zip(10..).map(|((office, key), serial)| self.certificate(*office, *key, serial));
        items.extend(certificates);
        items
    }

    pub fn registry(&self, directory: &Directory, keys: &[(OfficeId, [u8; 32])]) -> Arc<Registry> {
        let (registry, outcomes) =
            Registry::open(self.roots(), self.items(directory, keys)).expect("a sound registry");
        for (id, outcome) in outcomes {
            assert!(outcome.is_ok(), "{id}: {outcome:?}");
        }
        Arc::new(registry)
    }
}

fn list(
    params: &CertificateParams,
    key: &Key,
    number: u64,
    (from, until): (Millis, Millis),
    revoked: &[Revoked],
) -> Item {
    let entry = |revoked: &Revoked| RevokedCertParams {
        serial_number: serial_number(revoked.serial),
        revocation_time: date!(revoked.at),
        reason_code: Some(revoked.why),
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: date!(from),
        next_update: date!(until),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&Issuer::from_params(params, key)).expect("a list");
    item(ItemKind::RevocationList, list.der().to_vec())
}

fn item(kind: ItemKind, bytes: Vec<u8>) -> Item {
    Item::new(kind, bytes).expect("small")
}

/// Judges by a directory and keys that were certified like everybody's.
pub fn verifier(directory: &Directory, keys: &[(OfficeId, [u8; 32])]) -> Verifier {
    Verifier::new(Registrar::new().registry(directory, keys))
}
