//! One certificate (*chứng thư số*) that keeps the rules which hold for every role.
//!
//! Two parsers must agree: x509-parser takes it apart, and the strict reader in `der` sees to what that one
//! leaves open: second encodings, bytes that follow, an outer algorithm that differs from the signed one,
//! fields that are skipped. What a role may be used for is judged in [`super::profile`].

use std::fmt;
use std::ops::Range;

use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::algorithm::{AlgorithmError, PublicKey, SignatureAlgorithm};
use super::der::{self, DerError, Reader};
use super::extension::{EXTENSIONS_MAX, ExtensionId, Extensions, KeyUsage, NameConstraints, RawExtensions};
use super::name::Name;
use crate::id::write_hex;
use crate::time::Millis;

/// Largest certificate, in bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Longest serial number, in bytes (RFC 5280 section 4.1.2.2).
pub const SERIAL_BYTES_MAX: usize = 20;

/// Why bytes are not a certificate that any role may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Too large; not parsed.
    #[error("the certificate has {found} bytes, at most {CERTIFICATE_BYTES_MAX} are accepted")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// A second encoding, or not a certificate.
    #[error("the certificate is not in the one encoding that is accepted: {0}")]
    Encoding(#[from] DerError),
    /// x509-parser cannot read it.
    #[error("the bytes are not an X.509 certificate: {0}")]
    Malformed(String),
    /// An old version.
    #[error("the certificate is not of version 3")]
    Version,
    /// Serial number zero, negative or too long.
    #[error("the serial number is not a positive number of at most {SERIAL_BYTES_MAX} bytes")]
    Serial,
    /// What was signed names another algorithm than the signature.
    #[error("the algorithm inside the signed part differs from the one of the signature")]
    AlgorithmMismatch,
    /// Its signature was made in a way that is not accepted.
    #[error("the signature of the certificate is not acceptable: {0}")]
    Signature(AlgorithmError),
    /// Its key is not accepted.
    #[error("the key in the certificate is not acceptable: {0}")]
    Key(AlgorithmError),
    /// A time in a form that RFC 5280 section 4.1.2.5 does not allow, or before 1970.
    #[error("the validity of the certificate cannot be read, or lies before 1970")]
    Time,
    /// It ends before it begins.
    #[error("the validity of the certificate ends before it begins")]
    ValidityReversed,
    /// An issuer or a subject without a name.
    #[error("the issuer or the subject has no name")]
    EmptyName,
    /// Obsolete fields (RFC 5280 section 4.1.2.8).
    #[error("the certificate carries unique identifiers, which are obsolete")]
    UniqueIdentifier,
    /// More extensions than are looked at.
    #[error("the certificate has more than {EXTENSIONS_MAX} extensions, or an empty list of them")]
    ExtensionCount,
    /// The same extension twice: readers differ about which one counts.
    #[error("the extension {extension} occurs twice")]
    DuplicateExtension {
        /// Which one.
        extension: ExtensionId,
    },
    /// Critical, and nobody here knows what it demands.
    #[error("the critical extension {extension} is not known")]
    UnknownCritical {
        /// Which one.
        extension: ExtensionId,
    },
    /// An extension that cannot be read, or says nothing.
    #[error("the extension {extension} is malformed: {what}")]
    MalformedExtension {
        /// Which one.
        extension: ExtensionId,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An extension that this profile does not allow anywhere, because it is not processed.
    #[error("the extension {extension} is not allowed here")]
    ForbiddenExtension {
        /// Which one.
        extension: ExtensionId,
    },
    /// Critical where the standard forbids it, or not where it demands it.
    #[error("the extension {extension} is critical where it must not be, or not where it must be")]
    Criticality {
        /// Which one.
        extension: ExtensionId,
    },
    /// A CA without a subject key identifier, or a certificate without its issuer's.
    #[error("the certificate does not say which key it has or which key signed it (SKI, AKI)")]
    KeyIdentifierMissing,
    /// CA and key usage contradict each other.
    #[error("basic constraints and key usage contradict each other about being an authority")]
    AuthorityMismatch,
    /// Name constraints where they mean nothing, or of a kind that is not compared.
    #[error("the name constraints are not acceptable: {what}")]
    NameConstraints {
        /// What is wrong with them.
        what: &'static str,
    },
}

/// SHA-256 over the whole certificate: what caches and references go by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateHash(pub [u8; 32]);

impl CertificateHash {
    /// The hash of these bytes, whatever they are.
    pub fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for CertificateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for CertificateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A serial number (*số sê-ri*): positive, at most 20 bytes, without a leading zero.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(Vec<u8>);

impl Serial {
    /// Reads the value of an INTEGER that has passed the strict DER check; `None` when it is out of bounds.
    pub(super) fn from_integer(value: &[u8]) -> Option<Self> {
        // Twenty bytes as encoded, the sign's zero included (RFC 5280 section 4.1.2.2).
        if value.len() > SERIAL_BYTES_MAX || value.first().is_none_or(|first| first & 0x80 != 0) {
            return None;
        }
        let digits = value.strip_prefix(&[0]).unwrap_or(value);
        if digits.is_empty() { None } else { Some(Self(digits.to_vec())) }
    }

    /// Its bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As an INTEGER.
    pub(super) fn to_der(&self) -> Vec<u8> {
        // A zero in front keeps a number positive whose first bit is set.
        let sign: &[u8] = if self.0.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
        der::write(der::INTEGER, &[sign, &self.0])
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// From when until when a certificate counts, both seconds included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateValidity {
    /// Its first second.
    pub not_before: Millis,
    /// Its last second.
    pub not_after: Millis,
}

impl CertificateValidity {
    /// Whether it has not begun at that time.
    pub const fn begins_after(&self, at: Millis) -> bool {
        at.0 < self.not_before.0
    }

    /// Whether it is over at that time. Certificates count in whole seconds, so its last one counts to its
    /// end.
    pub const fn is_over(&self, at: Millis) -> bool {
        at.0 / Millis::SECOND > self.not_after.0 / Millis::SECOND
    }

    /// Whether it covers that time.
    pub const fn covers(&self, at: Millis) -> bool {
        !self.begins_after(at) && !self.is_over(at)
    }
}

/// A certificate that keeps the rules for every role. There is no other way to one than
/// [`Certificate::parse`].
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    hash: CertificateHash,
    signed: Range<usize>,
    signature: Range<usize>,
    algorithm: SignatureAlgorithm,
    serial: Serial,
    issuer: Name,
    subject: Name,
    validity: CertificateValidity,
    key: PublicKey,
    key_hash: [u8; 32],
    pub(super) extensions: Extensions,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({}, {})", self.subject, self.serial)
    }
}

impl Certificate {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// When it is too large, not in strict DER, or breaks a rule that holds for every role.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::TooLarge { found: der.len() });
        }
        der::check(der)?;
        let (rest, parsed) = X509Certificate::from_der(der).map_err(malformed)?;
        if !rest.is_empty() {
            return Err(DerError { what: "bytes follow the certificate" }.into());
        }
        let fields = Fields::read(der)?;

        let algorithm =
            SignatureAlgorithm::from_der(fields.outer_algorithm).map_err(CertificateError::Signature)?;
        let issuer = Name::from_der(fields.issuer)?;
        let subject = Name::from_der(fields.subject)?;
        if issuer.is_empty() || subject.is_empty() {
            return Err(CertificateError::EmptyName);
        }
        let validity = read_validity(fields.validity)?;
        let key = PublicKey::from_der(fields.key).map_err(CertificateError::Key)?;
        let extensions = Extensions::read(fields.extensions, parsed.extensions())?;
        extensions.agree(issuer == subject)?;

        Ok(Self {
            hash: CertificateHash::of(der),
            signed: range_in(der, fields.signed),
            signature: range_in(der, fields.signature),
            algorithm,
            serial: fields.serial,
            issuer,
            subject,
            validity,
            key,
            key_hash: Sha256::digest(fields.key).into(),
            extensions,
            der: der.to_vec(),
        })
    }

    /// The bytes as received.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// What it is known by.
    pub const fn hash(&self) -> CertificateHash {
        self.hash
    }

    /// Its number, unique within its issuer.
    pub const fn serial(&self) -> &Serial {
        &self.serial
    }

    /// Who says so.
    pub const fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// Whom it is about. Printing it masks citizen numbers.
    pub const fn subject(&self) -> &Name {
        &self.subject
    }

    /// From when until when.
    pub const fn validity(&self) -> &CertificateValidity {
        &self.validity
    }

    /// The key it certifies.
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// SHA-256 over the SubjectPublicKeyInfo.
    pub const fn key_hash(&self) -> &[u8; 32] {
        &self.key_hash
    }

    /// Whether issuer and subject are one name.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether it may certify others.
    pub const fn is_authority(&self) -> bool {
        self.extensions.authority
    }

    /// What its key may be used for.
    pub const fn key_usage(&self) -> Option<KeyUsage> {
        self.extensions.key_usage
    }

    /// Which names it may certify.
    pub const fn name_constraints(&self) -> Option<&NameConstraints> {
        self.extensions.constraints.as_ref()
    }

    /// The identifier of its key.
    pub fn subject_key(&self) -> Option<&[u8]> {
        self.extensions.subject_key.as_deref()
    }

    /// The identifier of the key that signed it.
    pub fn authority_key(&self) -> Option<&[u8]> {
        self.extensions.authority_key.as_deref()
    }

    /// Whether `issuer`'s key signed exactly this certificate.
    pub fn is_signed_by(&self, issuer: &Self) -> bool {
        issuer.key.verifies(self.algorithm, &self.der[self.signed.clone()], &self.der[self.signature.clone()])
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn malformed(error: x509_parser::nom::Err<x509_parser::error::X509Error>) -> CertificateError {
    CertificateError::Malformed(error.to_string().chars().take(120).collect())
}

/// Where `part`, a piece of `whole`, lies in it.
pub(super) fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// The fields of a certificate as bytes (RFC 5280 section 4.1).
pub(super) struct Fields<'a> {
    signed: &'a [u8],
    outer_algorithm: &'a [u8],
    signature: &'a [u8],
    pub(super) serial: Serial,
    pub(super) issuer: &'a [u8],
    pub(super) validity: &'a [u8],
    pub(super) subject: &'a [u8],
    key: &'a [u8],
    extensions: RawExtensions<'a>,
}

impl<'a> Fields<'a> {
    pub(super) fn read(der: &'a [u8]) -> Result<Self, CertificateError> {
        const VERSION: u8 = 0xa0;
        const ISSUER_UNIQUE: u8 = 0x81;
        const SUBJECT_UNIQUE: u8 = 0x82;
        const EXTENSIONS: u8 = 0xa3;

        let mut outer = der::single(der, der::SEQUENCE, "a certificate that is not a sequence")?.reader();
        let signed = outer.expect(der::SEQUENCE, "a certificate without a signed part")?;
        let outer_algorithm = outer.expect(der::SEQUENCE, "a certificate without an algorithm")?.full;
        let signature = whole_bytes(outer.expect(der::BIT_STRING, "a certificate without a signature")?)?;
        outer.end()?;

        let mut fields = signed.reader();
        let version = fields.optional(VERSION)?.ok_or(CertificateError::Version)?;
        if der::single(version.value, der::INTEGER, "a version that is not a number")?.value != [2] {
            return Err(CertificateError::Version);
        }
        let serial = fields.expect(der::INTEGER, "a certificate without a serial number")?.value;
        let serial = Serial::from_integer(serial).ok_or(CertificateError::Serial)?;
        let inner_algorithm = fields.expect(der::SEQUENCE, "a certificate without an inner algorithm")?;
        if inner_algorithm.full != outer_algorithm {
            return Err(CertificateError::AlgorithmMismatch);
        }
        let issuer = fields.expect(der::SEQUENCE, "a certificate without an issuer")?.full;
        let validity = fields.expect(der::SEQUENCE, "a certificate without a validity")?.value;
        let subject = fields.expect(der::SEQUENCE, "a certificate without a subject")?.full;
        let key = fields.expect(der::SEQUENCE, "a certificate without a key")?.full;
        if fields.optional(ISSUER_UNIQUE)?.is_some() || fields.optional(SUBJECT_UNIQUE)?.is_some() {
            return Err(CertificateError::UniqueIdentifier);
        }
        let extensions = match fields.optional(EXTENSIONS)? {
            Some(explicit) => RawExtensions::read(explicit.value)?,
            None => RawExtensions::default(),
        };
        fields.end()?;
        Ok(Self {
            signed: signed.full,
            outer_algorithm,
            signature,
            serial,
            issuer,
            validity,
            subject,
            key,
            extensions,
        })
    }
}

/// A bit string of whole bytes.
pub(super) fn whole_bytes(bits: der::Tlv<'_>) -> Result<&[u8], DerError> {
    match bits.value.split_first() {
        Some((0, bytes)) => Ok(bytes),
        _ => Err(DerError { what: "a signature that does not end at a whole byte" }),
    }
}

pub(super) fn read_validity(bytes: &[u8]) -> Result<CertificateValidity, CertificateError> {
    let mut times = Reader::new(bytes);
    let not_before = read_time(times.any()?).ok_or(CertificateError::Time)?;
    let not_after = read_time(times.any()?).ok_or(CertificateError::Time)?;
    times.end()?;
    if not_after < not_before {
        return Err(CertificateError::ValidityReversed);
    }
    Ok(CertificateValidity { not_before, not_after })
}

/// A time in the only forms of RFC 5280 section 4.1.2.5: seconds, `Z`, two-digit years up to 2049 and
/// four-digit years afterwards.
pub(super) fn read_time(time: der::Tlv<'_>) -> Option<Millis> {
    match (time.tag, time.value) {
        (der::UTC_TIME, [year @ .., _, _, _, _, _, _, _, _, _, _, b'Z']) if year.len() == 2 => {
            let year = number(year)?;
            // Two digits from 50 on are the last century, whose certificates ended long ago.
            if year >= 50 { None } else { civil(2000 + year, &time.value[2..12]) }
        }
        (der::GENERALIZED_TIME, [year @ .., _, _, _, _, _, _, _, _, _, _, b'Z']) if year.len() == 4 => {
            let year = number(year)?;
            if year < 2050 { None } else { civil(year, &time.value[4..14]) }
        }
        _ => None,
    }
}

/// A GeneralizedTime of any year, as `invalidityDate` has it (RFC 5280 section 5.3.2).
pub(super) fn read_generalized(time: der::Tlv<'_>) -> Option<Millis> {
    match (time.tag, time.value) {
        (der::GENERALIZED_TIME, [digits @ .., b'Z']) if digits.len() == 14 => {
            civil(number(&digits[..4])?, &digits[4..])
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i16> {
    digits.iter().try_fold(0_i16, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i16::from(digit - b'0')),
        _ => None,
    })
}

fn civil(year: i16, rest: &[u8]) -> Option<Millis> {
    let part = |n: usize| i8::try_from(number(rest.get(2 * n..2 * n + 2)?)?).ok();
    let time = jiff::civil::DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    let seconds = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    u64::try_from(seconds).ok().map(|seconds| Millis(seconds * Millis::SECOND))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(tag: u8, text: &str) -> Option<Millis> {
        let mut bytes = vec![tag, u8::try_from(text.len()).expect("short")];
        bytes.extend(text.as_bytes());
        read_time(Reader::new(&bytes).any().expect("a value"))
    }

    #[test]
    fn times_have_one_form() {
        assert_eq!(time(der::UTC_TIME, "260102030405Z"), Some(Millis(1_767_323_045_000)));
        assert_eq!(time(der::GENERALIZED_TIME, "20500101000000Z"), Some(Millis(2_524_608_000_000)));
        for (tag, text) in [
            (der::UTC_TIME, "990101000000Z"),
            (der::UTC_TIME, "2601020304Z"),
            (der::UTC_TIME, "260102030405+0700"),
            (der::UTC_TIME, "260230000000Z"),
            (der::UTC_TIME, "260102030460Z"),
            (der::UTC_TIME, "2601020304-5Z"),
            (der::GENERALIZED_TIME, "20260102030405Z"),
            (der::GENERALIZED_TIME, "20500101000000.5Z"),
            (der::GENERALIZED_TIME, "205001010000Z"),
            (der::OCTET_STRING, "260102030405Z"),
        ] {
            assert_eq!(time(tag, text), None, "`{text}` passed");
        }
    }

    #[test]
    fn the_last_second_of_a_certificate_counts_to_its_end() {
        let validity = CertificateValidity { not_before: Millis(5_000), not_after: Millis(9_000) };
        assert!(!validity.covers(Millis(4_999)) && validity.covers(Millis(5_000)));
        assert!(validity.covers(Millis(9_999)) && !validity.covers(Millis(10_000)));
    }
}
