//! What a certificate may be used for in Trạm: four roles, each with its closed set of rules.
//!
//! | role | issued by | key | marked by |
//! |---|---|---|---|
//! | root | itself | any allowed | self-issued authority, no constraints |
//! | delegated CA | a root | any allowed | critical name constraint to one jurisdiction, path length 0 |
//! | office | a delegated CA | Ed25519 | purpose [`PURPOSE_OFFICE`], office id in `UID` |
//! | officer | a delegated CA | any allowed | purpose [`PURPOSE_OFFICER`], `emailProtection` beside it or not |
//!
//! The purposes are object identifiers below 2.25.105527266746109096723920805252010667892, an arc made from a
//! random UUID (ITU-T X.667), which needs no registration. rcgen takes components of 64 bits only, so an
//! issuer writes the extension from [`purpose_extension`].

use std::fmt;

use super::certificate::Certificate;
use super::der;
use super::extension::KeyUsage;
use super::name::{self, Name};
use crate::id::OfficeId;

/// Arc of Trạm's purposes, as DER without tag and length.
const ARC: [u8; 20] = *b"\x69\x81\x9e\xe3\xe7\xfc\xd7\xbb\xea\x94\xd9\x8c\x9e\xd4\xc9\xad\xce\xd3\xde\x74";
/// The key of an office's node: signs events, never documents.
pub const PURPOSE_OFFICE: [u8; 21] = below_arc(1);
/// The key of an officer: signs documents, never events.
pub const PURPOSE_OFFICER: [u8; 21] = below_arc(2);
/// RFC 5280 section 4.2.1.12: `emailProtection`, which `openssl cms -verify` asks of a signer.
const PURPOSE_MAIL: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x04";
/// What stands before the office id in the `UID` of an office's certificate.
pub const OFFICE_UID_PREFIX: &str = "TRAM:";

const fn below_arc(leaf: u8) -> [u8; 21] {
    let mut oid = [0; 21];
    let mut n = 0;
    while n < ARC.len() {
        oid[n] = ARC[n];
        n += 1;
    }
    oid[20] = leaf;
    oid
}

/// The value of an extendedKeyUsage extension with these purposes, for whoever issues certificates.
///
/// At most five of them, each as DER without tag and length.
pub fn purpose_extension(purposes: &[[u8; 21]]) -> Vec<u8> {
    let purposes: Vec<&[u8]> = purposes.iter().take(5).map(<[u8; 21]>::as_slice).collect();
    extension_of(&purposes)
}

/// The value of an officer's extendedKeyUsage extension: with `emailProtection`, without which `openssl cms
/// -verify` and others that know nothing of Trạm refuse the certificate for what it signs.
pub fn officer_extension() -> Vec<u8> {
    extension_of(&[&PURPOSE_OFFICER, PURPOSE_MAIL])
}

fn extension_of(purposes: &[&[u8]]) -> Vec<u8> {
    let purposes: Vec<Vec<u8>> = purposes.iter().map(|purpose| der::write(der::OID, &[purpose])).collect();
    der::write(der::SEQUENCE, &[&purposes.concat()])
}

/// What a certificate is looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// The signature of an office's node over an event.
    Event,
    /// The signature of an officer over a document.
    Document,
}

/// The part of the country an authority may certify: the name below which all of its certificates lie.
///
/// Two parts: `C=VN`, then `ST=<province>` or, for the centre, `O=<name>`. Byte for byte, so issuers write it
/// in one way: `C` as PrintableString, all else as UTF8String in NFC.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Jurisdiction(Name);

impl Jurisdiction {
    /// The name everything certified below it begins with.
    pub const fn base(&self) -> &Name {
        &self.0
    }

    fn of(base: &Name) -> Option<Self> {
        let attributes: Vec<_> = base.attributes().collect();
        let [country, part] = attributes.as_slice() else { return None };
        let is_country =
            country.oid == name::COUNTRY && country.string == der::PRINTABLE_STRING && country.value == b"VN";
        let is_part = matches!(part.oid, name::PROVINCE | name::ORGANISATION)
            && part.string == der::UTF8_STRING
            && std::str::from_utf8(part.value).is_ok_and(is_proper_text);
        (base.parts().count() == 2 && is_country && is_part).then(|| Self(base.clone()))
    }
}

fn is_proper_text(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(char::is_control) && unicode_normalization::is_nfc(text)
}

impl fmt::Display for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Jurisdiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jurisdiction({self})")
    }
}

/// What a certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A trust anchor (*gốc tin cậy*), kept off line.
    Root,
    /// The authority of a province or of the centre.
    DelegatedCa {
        /// What it may certify.
        jurisdiction: Jurisdiction,
    },
    /// The key of an office's node.
    Office {
        /// Whose.
        office: OfficeId,
    },
    /// The key of a person.
    Officer,
}

impl Role {
    /// Whether this role's key may be used for that.
    pub const fn serves(&self, purpose: Purpose) -> bool {
        match (self, purpose) {
            (Self::Office { .. }, Purpose::Event) | (Self::Officer, Purpose::Document) => true,
            (Self::Office { .. } | Self::Officer | Self::Root | Self::DelegatedCa { .. }, _) => false,
        }
    }
}

/// Why a certificate has none of the four roles.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Key usage missing, not critical, or not exactly that of the role.
    #[error("the key usage is not the one of {role}: it must be critical and allow exactly {expected}")]
    KeyUsage {
        /// Which role it would have.
        role: &'static str,
        /// What it should allow.
        expected: &'static str,
    },
    /// Purposes missing, of no role, of two roles, or more than the role has.
    #[error(
        "the extended key usage is not the one of an office, of an officer or of an authority above them"
    )]
    Purpose,
    /// An authority whose constraint is not one jurisdiction.
    #[error("the authority is not constrained to one jurisdiction `C=VN, ST=…` or `C=VN, O=…`")]
    Jurisdiction,
    /// An authority that does not lie in its own jurisdiction.
    #[error("the authority is named `{subject}`, outside its own jurisdiction `{jurisdiction}`")]
    NamedOutside {
        /// Its name, masked.
        subject: String,
        /// What it may certify.
        jurisdiction: String,
    },
    /// An authority that may make further authorities.
    #[error("the path length of a delegated authority must be 0")]
    PathLength,
    /// Alternative names where the role has none, or of other kinds.
    #[error("the subject has alternative names that its role does not have")]
    AlternativeName,
    /// No office id, two, or one that cannot be read.
    #[error(
        "the subject of an office has not exactly one UID `{OFFICE_UID_PREFIX}` with 32 hexadecimal digits"
    )]
    OfficeId,
    /// A node key of another kind.
    #[error("the key of an office is {found}, Ed25519 is required")]
    OfficeKey {
        /// Its kind.
        found: String,
    },
    /// A name with text that looks like another one.
    #[error("the subject has text that is not UTF-8 in NFC, or a country that is not `VN`")]
    SubjectText,
}

impl RoleError {
    /// Whether it is about what the key may be used for, rather than about the certificate itself.
    pub const fn is_about_usage(&self) -> bool {
        matches!(self, Self::KeyUsage { .. } | Self::Purpose)
    }
}

/// Which role a certificate has.
///
/// # Errors
/// When it has none: every rule of the role it would have must hold.
pub fn role_of(certificate: &Certificate) -> Result<Role, RoleError> {
    subject_text(certificate.subject())?;
    if certificate.is_authority() { authority(certificate) } else { leaf(certificate) }
}

fn authority(certificate: &Certificate) -> Result<Role, RoleError> {
    let extensions = &certificate.extensions;
    let signing = KeyUsage::CERTIFICATE_SIGN | KeyUsage::CRL_SIGN;
    exact_usage(certificate, signing, 0, "an authority", "keyCertSign and cRLSign")?;
    if extensions.alternative.present {
        return Err(RoleError::AlternativeName);
    }
    let ours = |purpose: &Vec<u8>| *purpose == PURPOSE_OFFICE || *purpose == PURPOSE_OFFICER;
    let allowed = |purpose: &Vec<u8>| ours(purpose) || purpose == PURPOSE_MAIL;
    if extensions.purposes.as_ref().is_some_and(|list| !list.iter().all(allowed) || !list.iter().any(ours)) {
        return Err(RoleError::Purpose);
    }
    let Some(constraints) = &extensions.constraints else {
        // Only a root is free to certify any name; it signs itself, which whoever pins it checks.
        return if certificate.is_self_issued() { Ok(Role::Root) } else { Err(RoleError::Jurisdiction) };
    };
    let [base] = constraints.permitted.as_slice() else { return Err(RoleError::Jurisdiction) };
    let jurisdiction = Jurisdiction::of(base).ok_or(RoleError::Jurisdiction)?;
    if certificate.is_self_issued() {
        return Err(RoleError::Jurisdiction);
    }
    if extensions.path_length != Some(0) {
        return Err(RoleError::PathLength);
    }
    if !certificate.subject().is_within(jurisdiction.base()) {
        return Err(RoleError::NamedOutside {
            subject: certificate.subject().to_string(),
            jurisdiction: jurisdiction.to_string(),
        });
    }
    Ok(Role::DelegatedCa { jurisdiction })
}

fn leaf(certificate: &Certificate) -> Result<Role, RoleError> {
    let extensions = &certificate.extensions;
    let purposes = extensions.purposes.as_deref().unwrap_or_default();
    let has = |purpose: &[u8]| purposes.iter().any(|found| found == purpose);
    match (has(&PURPOSE_OFFICE), has(&PURPOSE_OFFICER)) {
        (true, false) if purposes.len() == 1 => {
            exact_usage(certificate, KeyUsage::DIGITAL_SIGNATURE, 0, "an office", "digitalSignature")?;
            if extensions.alternative.present {
                return Err(RoleError::AlternativeName);
            }
            if certificate.key().ed25519().is_none() {
                return Err(RoleError::OfficeKey { found: certificate.key().describe() });
            }
            office_id(certificate.subject()).map(|office| Role::Office { office }).ok_or(RoleError::OfficeId)
        }
        (false, true) if purposes.iter().all(|p| *p == PURPOSE_OFFICER || p == PURPOSE_MAIL) => {
            let expected = "digitalSignature, with or without nonRepudiation";
            let signature = KeyUsage::DIGITAL_SIGNATURE;
            exact_usage(certificate, signature, KeyUsage::NON_REPUDIATION, "an officer", expected)?;
            if extensions.alternative.present && !extensions.alternative.only_mail {
                return Err(RoleError::AlternativeName);
            }
            Ok(Role::Officer)
        }
        _ => Err(RoleError::Purpose),
    }
}

fn exact_usage(
    certificate: &Certificate,
    needed: u16,
    optional: u16,
    role: &'static str,
    expected: &'static str,
) -> Result<(), RoleError> {
    let fits =
        certificate.key_usage().is_some_and(|usage| usage.has(needed) && usage.only(needed | optional));
    if fits && certificate.extensions.key_usage_critical {
        Ok(())
    } else {
        Err(RoleError::KeyUsage { role, expected })
    }
}

fn subject_text(subject: &Name) -> Result<(), RoleError> {
    let proper = |attribute: name::Attribute<'_>| match attribute.oid {
        name::COUNTRY => attribute.string == der::PRINTABLE_STRING && attribute.value == b"VN",
        _ => {
            attribute.string == der::UTF8_STRING
                && std::str::from_utf8(attribute.value).is_ok_and(is_proper_text)
        }
    };
    if subject.attributes().all(proper) { Ok(()) } else { Err(RoleError::SubjectText) }
}

fn office_id(subject: &Name) -> Option<OfficeId> {
    let mut uids = subject.attributes().filter(|attribute| attribute.oid == name::UID);
    let (Some(uid), None) = (uids.next(), uids.next()) else { return None };
    std::str::from_utf8(uid.value).ok()?.strip_prefix(OFFICE_UID_PREFIX)?.parse().ok()
}
