//! The bytes of certificates, requests and lists. rcgen builds them; `schema::trust` looks at each certificate first
//! under the signature of a key that is thrown away, so that the authority's key never signs what nobody would accept.

use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use pkcs8::der::asn1::{AnyRef, BitStringRef};
use pkcs8::der::{Decode as _, Reader as _, SliceReader};
use pkcs8::spki::SubjectPublicKeyInfoRef;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DistinguishedName,
    GeneralSubtree, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData,
    RevokedCertParams, SerialNumber, SignatureAlgorithm,
};
use schema::id::OfficeId;
use schema::time::Millis;
use schema::trust::profile::{PURPOSE_OFFICE, officer_extension, purpose_extension, role_of};
use schema::trust::{Certificate, Role};
use serde::{Deserialize, Serialize};

use super::book::{Reason, SerialNo};
use super::secret::{Key, KeyKind};
use super::subject::{Place, Subject};
use super::{Refusal, journal};

/// When certificates begin that nobody keeps: 2026-01-01, in a century that the judge takes.
const THROWN_AWAY_S: u64 = 1_767_225_600;

// A macro, because the type of dates belongs to a crate that only rcgen needs.
macro_rules! date {
    ($seconds:expr) => {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs($seconds)
    };
}

/// What a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// A root's own.
    Root,
    /// That of a delegated authority, for this place.
    Delegated(Place),
    /// The key of an office's node.
    Office(OfficeId),
    /// The key of a person.
    Officer,
}

impl Kind {
    /// For people, with its Vietnamese name.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Delegated(_) => "authority",
            Self::Office(_) => "office",
            Self::Officer => "officer",
        }
    }
}

/// Everything that a certificate says, fixed before its serial number is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// Its number.
    pub serial: SerialNo,
    /// What it is for.
    pub kind: Kind,
    /// Whose.
    pub subject: Subject,
    /// The key (SubjectPublicKeyInfo, DER).
    #[serde(with = "super::act::hexadecimal")]
    pub spki: Vec<u8>,
    /// Its first second, since 1970.
    pub not_before_s: u64,
    /// Its last second, since 1970.
    pub not_after_s: u64,
}

/// A public key as rcgen wants it.
struct PublicKey {
    algorithm: &'static SignatureAlgorithm,
    bits: Vec<u8>,
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl PublicKey {
    fn from_spki(spki: &[u8]) -> Result<Self, Refusal> {
        let refused = |why: String| Refusal::NotAcceptable { why };
        let info = SubjectPublicKeyInfoRef::from_der(spki)
            .map_err(|error| refused(format!("its key cannot be read: {error}")))?;
        let algorithm = match info.algorithm.oid.to_string().as_str() {
            "1.3.101.112" => &rcgen::PKCS_ED25519,
            "1.2.840.113549.1.1.1" => &rcgen::PKCS_RSA_SHA256,
            "1.2.840.10045.2.1" => {
                let curve = info.algorithm.parameters_oid().map(|oid| oid.to_string());
                match curve.as_deref() {
                    Ok("1.2.840.10045.3.1.7") => &rcgen::PKCS_ECDSA_P256_SHA256,
                    Ok("1.3.132.0.34") => &rcgen::PKCS_ECDSA_P384_SHA384,
                    _ => return Err(refused("its curve is neither P-256 nor P-384".to_owned())),
                }
            }
            other => return Err(refused(format!("its key is of kind {other}, not Ed25519, ECDSA or RSA"))),
        };
        let bits = info.subject_public_key.as_bytes();
        let bits = bits.ok_or_else(|| refused("its key does not end at a whole byte".to_owned()))?;
        let key = Self { algorithm, bits: bits.to_vec() };
        // A second spelling of one key would be a second key to whoever compares.
        if key.subject_public_key_info() != spki {
            return Err(refused("its key is not in the one encoding that is accepted".to_owned()));
        }
        Ok(key)
    }
}

/// The SubjectPublicKeyInfo of an Ed25519 key.
///
/// # Errors
/// [`Refusal::NotAcceptable`] when the bytes are no sound key.
pub fn ed25519_spki(key: &[u8; 32]) -> Result<Vec<u8>> {
    let public = PublicKey { algorithm: &rcgen::PKCS_ED25519, bits: key.to_vec() };
    let spki = public.subject_public_key_info();
    certified_key(&spki)?;
    Ok(spki)
}

fn params(words: &Words) -> Result<CertificateParams, Refusal> {
    let mut params = CertificateParams::default();
    params.distinguished_name = words.subject.distinguished()?;
    params.serial_number = Some(SerialNumber::from_slice(words.serial.as_bytes()));
    params.not_before = date!(words.not_before_s);
    params.not_after = date!(words.not_after_s);
    params.use_authority_key_identifier_extension = true;
    let mut purposes = None;
    let signing = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    match &words.kind {
        Kind::Root => {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = signing;
        }
        Kind::Delegated(place) => {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = signing;
            params.name_constraints = Some(NameConstraints {
                permitted_subtrees: vec![GeneralSubtree::DirectoryName(place.base()?)],
                excluded_subtrees: Vec::new(),
            });
        }
        Kind::Office(_) => {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            purposes = Some(purpose_extension(&[PURPOSE_OFFICE]));
        }
        Kind::Officer => {
            params.is_ca = IsCa::ExplicitNoCa;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::ContentCommitment];
            purposes = Some(officer_extension());
        }
    }
    if let Some(value) = purposes {
        params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 37], value));
    }
    Ok(params)
}

/// The issuer as rcgen wants it: its name, and that it may sign both certificates and lists.
fn issuer_params(subject: &Subject) -> Result<CertificateParams, Refusal> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject.distinguished()?;
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn sign(words: &Words, issuer: &Subject, key: &KeyPair) -> Result<Vec<u8>> {
    let (params, above) = (params(words)?, issuer_params(issuer)?);
    let public = PublicKey::from_spki(&words.spki)?;
    let certificate = params.signed_by(&public, &Issuer::from_params(&above, key));
    let certificate =
        certificate.map_err(|error| anyhow!("failed to sign certificate {}: {error}", words.serial))?;
    Ok(certificate.der().to_vec())
}

/// Looks at a certificate as every station will, before the authority's key is used.
///
/// # Errors
/// [`Refusal::NotAcceptable`], [`Refusal::OutsideJurisdiction`], or a text that cannot be in a name.
pub fn look_at(words: &Words, issuer: &Subject, jurisdiction: Option<&Place>) -> Result<()> {
    let thrown_away = Key::generate(KeyKind::Ed25519)?;
    let der = sign(words, issuer, thrown_away.pair())?;
    check_role(&der, words, jurisdiction).map(|_| ())
}

fn check_role(der: &[u8], words: &Words, jurisdiction: Option<&Place>) -> Result<Certificate> {
    let refused = |why: String| Refusal::NotAcceptable { why };
    let certificate = Certificate::parse(der).map_err(|error| refused(error.to_string()))?;
    let role = role_of(&certificate).map_err(|error| refused(error.to_string()))?;
    let fits = match (&role, &words.kind) {
        (Role::Root, Kind::Root) | (Role::Officer, Kind::Officer) => true,
        (Role::Office { office: found }, Kind::Office(office)) => found == office,
        (Role::DelegatedCa { jurisdiction }, Kind::Delegated(place)) => {
            jurisdiction.base().as_der() == name_der(&place.base()?)?
        }
        _ => false,
    };
    if !fits {
        return Err(refused(format!("it would be taken for {role:?}, not for {}", words.kind.label())).into());
    }
    if let Some(place) = jurisdiction {
        let below = words.subject.get(place.attribute()) == Some(place.text());
        let other = match place {
            Place::Province(_) => words.subject.get(super::subject::Attribute::Organisation),
            Place::Centre(_) => words.subject.get(super::subject::Attribute::Province),
        };
        if !below || other.is_some() {
            let stated = words.subject.to_string();
            return Err(Refusal::OutsideJurisdiction { stated, own: place.to_string() }.into());
        }
    }
    Ok(certificate)
}

/// A name in DER, as rcgen writes it: read back from a certificate that nobody keeps.
pub(super) fn name_der(name: &DistinguishedName) -> Result<Vec<u8>> {
    let key = Key::generate(KeyKind::Ed25519)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name.clone();
    params.not_before = date!(THROWN_AWAY_S);
    params.not_after = date!(THROWN_AWAY_S + 1);
    params.serial_number = Some(SerialNumber::from_slice(&[1]));
    params.use_authority_key_identifier_extension = true;
    let der = params.self_signed(key.pair()).map_err(|error| anyhow!("failed to write a name: {error}"))?;
    let certificate =
        Certificate::parse(der.der()).map_err(|error| anyhow!("failed to read a name: {error}"))?;
    Ok(certificate.subject().as_der().to_vec())
}

/// Signs a certificate; looked at again afterwards.
///
/// # Errors
/// As [`look_at`].
pub fn certificate(
    words: &Words,
    issuer: &Subject,
    jurisdiction: Option<&Place>,
    key: &Key,
) -> Result<Vec<u8>> {
    let der = sign(words, issuer, key.pair())?;
    let certificate = check_role(&der, words, jurisdiction)?;
    let own = certified_key(key.spki())?;
    if !certificate.is_signed_by(&own) {
        return Err(Refusal::NotAcceptable { why: "its signature does not verify".to_owned() }.into());
    }
    Ok(der)
}

/// Whether these bytes are a certificate that says exactly this, signed by that key.
///
/// # Errors
/// With the first difference.
pub fn is_of(der: &[u8], words: &Words, issuer_spki: &[u8]) -> Result<Certificate> {
    let certificate = check_role(der, words, None)?;
    let validity = certificate.validity();
    let said = (validity.not_before.0 / Millis::SECOND, validity.not_after.0 / Millis::SECOND);
    let key = certified_key(&words.spki)?;
    ensure!(certificate.serial().as_bytes() == words.serial.as_bytes(), "it has another serial number");
    ensure!(certificate.key_hash() == key.key_hash(), "it is for another key");
    ensure!(said == (words.not_before_s, words.not_after_s), "it counts for another time");
    ensure!(
        certificate.subject().as_der() == name_der(&words.subject.distinguished()?)?,
        "it is for `{}`, expected `{}`",
        certificate.subject(),
        words.subject
    );
    ensure!(certificate.is_signed_by(&certified_key(issuer_spki)?), "it was not signed by this authority");
    Ok(certificate)
}

/// A key as the judge sees it: a certificate that holds nothing but this key, and that nobody keeps. The judge's rules
/// about keys (sizes, points, weak ones) hold from here on.
///
/// # Errors
/// [`Refusal::NotAcceptable`] when the key is none that may be certified.
pub fn certified_key(spki: &[u8]) -> Result<Certificate> {
    let public = PublicKey::from_spki(spki)?;
    let key = Key::generate(KeyKind::Ed25519)?;
    let mut params = issuer_params(&Subject::root("-"))?;
    params.key_usages = Vec::new();
    params.not_before = date!(THROWN_AWAY_S);
    params.not_after = date!(THROWN_AWAY_S + 1);
    params.serial_number = Some(SerialNumber::from_slice(&[1]));
    params.use_authority_key_identifier_extension = true;
    let above = issuer_params(&Subject::root("-"))?;
    let der = params.signed_by(&public, &Issuer::from_params(&above, key.pair()));
    let der = der.map_err(|error| anyhow!("failed to look at a key: {error}"))?;
    let certificate = Certificate::parse(der.der());
    Ok(certificate.map_err(|error| Refusal::NotAcceptable { why: error.to_string() })?)
}

/// A request for a certificate, signed by the key itself (DER).
///
/// # Errors
/// When the name is not acceptable.
pub fn request(subject: &Subject, key: &Key) -> Result<Vec<u8>> {
    let mut params = CertificateParams::default();
    params.distinguished_name = subject.distinguished()?;
    let request = params.serialize_request(key.pair());
    Ok(request.map_err(|error| anyhow!("failed to sign a request: {error}"))?.der().to_vec())
}

/// One line of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which certificate.
    pub serial: SerialNo,
    /// When it was revoked.
    pub revoked_at: Millis,
    /// Why.
    pub reason: Reason,
    /// From when on the key must not be believed.
    pub invalid_from: Option<Millis>,
}

/// Signs a revocation list (DER).
///
/// # Errors
/// When it cannot be built.
pub fn list(
    issuer: &Subject,
    key: &Key,
    number: u64,
    this_update_s: u64,
    next_update_s: u64,
    entries: &[Entry],
) -> Result<Vec<u8>> {
    let revoked = |entry: &Entry| RevokedCertParams {
        serial_number: SerialNumber::from_slice(entry.serial.as_bytes()),
        revocation_time: date!(entry.revoked_at.0 / Millis::SECOND),
        reason_code: Some(entry.reason.for_list()),
        invalidity_date: entry.invalid_from.map(|at| date!(at.0 / Millis::SECOND)),
    };
    let list = CertificateRevocationListParams {
        this_update: date!(this_update_s),
        next_update: date!(next_update_s),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: entries.iter().map(revoked).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let above = issuer_params(issuer)?;
    let list = list.signed_by(&Issuer::from_params(&above, key.pair()));
    Ok(list.map_err(|error| anyhow!("failed to sign revocation list {number}: {error}"))?.der().to_vec())
}

/// Whether that key signed a list. The list itself was read by `schema::trust` before.
///
/// # Errors
/// When it did not.
pub fn signed_list(der: &[u8], spki: &[u8]) -> Result<()> {
    let broken = |error: pkcs8::der::Error| anyhow!("it cannot be read: {error}");
    let outer = AnyRef::from_der(der).map_err(broken)?;
    let mut outer = SliceReader::new(outer.value()).map_err(broken)?;
    let signed = outer.tlv_bytes().map_err(broken)?;
    outer.tlv_bytes().map_err(broken)?;
    let signature = BitStringRef::decode(&mut outer).map_err(broken)?;
    let signature = signature.as_bytes().unwrap_or_default();
    ensure!(
        journal::verifies(&certified_key(spki)?, signed, signature),
        "it was not signed by this authority"
    );
    Ok(())
}
