//! One certificate (*chứng thư số*) that keeps the rules which hold for every role.
//!
//! Two parsers must agree: x509-parser takes it apart, and the strict reader in `der` sees to what that one
//! leaves open: second encodings, bytes that follow, an outer algorithm that differs from the signed one,
//! fields that are skipped. What a role may be used for is judged in [`super::profile`].

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate, X509Extension};

use super::algorithm::{AlgorithmError, PublicKey, SignatureAlgorithm};
use super::der::{self, DerError, Reader};
use super::name::Name;
use crate::id::write_hex;
use crate::time::Millis;

/// Largest certificate, in bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 16 * 1024;
/// Longest serial number, in bytes (RFC 5280 section 4.1.2.2).
pub const SERIAL_BYTES_MAX: usize = 20;
/// Most extensions of one certificate or list.
pub const EXTENSIONS_MAX: usize = 32;
/// Most name constraints of one certificate.
pub const CONSTRAINTS_MAX: usize = 64;
/// Longest key identifier, in bytes.
pub const KEY_IDENTIFIER_BYTES_MAX: usize = 64;

pub(super) const BASIC_CONSTRAINTS: &[u8] = b"\x55\x1d\x13";
pub(super) const KEY_USAGE: &[u8] = b"\x55\x1d\x0f";
pub(super) const EXTENDED_KEY_USAGE: &[u8] = b"\x55\x1d\x25";
pub(super) const NAME_CONSTRAINTS: &[u8] = b"\x55\x1d\x1e";
pub(super) const AUTHORITY_KEY_IDENTIFIER: &[u8] = b"\x55\x1d\x23";
pub(super) const SUBJECT_KEY_IDENTIFIER: &[u8] = b"\x55\x1d\x0e";
pub(super) const SUBJECT_ALTERNATIVE_NAME: &[u8] = b"\x55\x1d\x11";
const POLICY_MAPPINGS: &[u8] = b"\x55\x1d\x21";
const POLICY_CONSTRAINTS: &[u8] = b"\x55\x1d\x24";
const INHIBIT_ANY_POLICY: &[u8] = b"\x55\x1d\x36";
const FRESHEST_CRL: &[u8] = b"\x55\x1d\x2e";

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

/// An extension by its object identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExtensionId(pub(super) Vec<u8>);

impl fmt::Display for ExtensionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.as_slice() {
            BASIC_CONSTRAINTS => "basicConstraints",
            KEY_USAGE => "keyUsage",
            EXTENDED_KEY_USAGE => "extendedKeyUsage",
            NAME_CONSTRAINTS => "nameConstraints",
            AUTHORITY_KEY_IDENTIFIER => "authorityKeyIdentifier",
            SUBJECT_KEY_IDENTIFIER => "subjectKeyIdentifier",
            SUBJECT_ALTERNATIVE_NAME => "subjectAltName",
            POLICY_MAPPINGS => "policyMappings",
            POLICY_CONSTRAINTS => "policyConstraints",
            INHIBIT_ANY_POLICY => "inhibitAnyPolicy",
            FRESHEST_CRL => "freshestCRL",
            b"\x55\x1d\x14" => "cRLNumber",
            b"\x55\x1d\x15" => "reasonCode",
            b"\x55\x1d\x18" => "invalidityDate",
            b"\x55\x1d\x1b" => "deltaCRLIndicator",
            b"\x55\x1d\x1c" => "issuingDistributionPoint",
            b"\x55\x1d\x1d" => "certificateIssuer",
            other => return write_hex(&other[..other.len().min(24)], f),
        })
    }
}

impl fmt::Debug for ExtensionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
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

/// What a key may be used for (RFC 5280 section 4.2.1.3), bit n of the standard as bit n here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage(pub(super) u16);

impl KeyUsage {
    /// `digitalSignature`.
    pub const DIGITAL_SIGNATURE: u16 = 1;
    /// `nonRepudiation`, also called `contentCommitment`.
    pub const NON_REPUDIATION: u16 = 1 << 1;
    /// `keyCertSign`.
    pub const CERTIFICATE_SIGN: u16 = 1 << 5;
    /// `cRLSign`.
    pub const CRL_SIGN: u16 = 1 << 6;

    /// Whether all of these bits are set.
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits == bits
    }

    /// Whether nothing but these bits is set.
    pub const fn only(self, bits: u16) -> bool {
        self.0 & !bits == 0
    }
}

/// Which names an authority may certify: directory names only, any other kind is refused when read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameConstraints {
    pub(super) permitted: Vec<Name>,
    pub(super) excluded: Vec<Name>,
}

impl NameConstraints {
    /// Whether an authority with these constraints may certify that name.
    pub fn allow(&self, name: &Name) -> bool {
        let permitted = self.permitted.is_empty() || self.permitted.iter().any(|base| name.is_within(base));
        permitted && !self.excluded.iter().any(|base| name.is_within(base))
    }
}

/// What else a certificate names its subject; only what this profile looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AlternativeNames {
    /// Directory names, to which constraints apply as to the subject.
    pub(super) directory: Vec<Name>,
    /// Whether all of the others are mail addresses.
    pub(super) only_mail: bool,
    pub(super) present: bool,
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

/// What the extensions say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    pub(super) authority: bool,
    pub(super) path_length: Option<u32>,
    pub(super) key_usage: Option<KeyUsage>,
    pub(super) key_usage_critical: bool,
    /// Object identifiers, in order.
    pub(super) purposes: Option<Vec<Vec<u8>>>,
    pub(super) subject_key: Option<Vec<u8>>,
    pub(super) authority_key: Option<Vec<u8>>,
    pub(super) constraints: Option<NameConstraints>,
    pub(super) alternative: AlternativeNames,
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
struct Fields<'a> {
    signed: &'a [u8],
    outer_algorithm: &'a [u8],
    signature: &'a [u8],
    serial: Serial,
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
    key: &'a [u8],
    extensions: RawExtensions<'a>,
}

impl<'a> Fields<'a> {
    fn read(der: &'a [u8]) -> Result<Self, CertificateError> {
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

fn read_validity(bytes: &[u8]) -> Result<CertificateValidity, CertificateError> {
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

/// The extensions as bytes, each once.
#[derive(Default)]
pub(super) struct RawExtensions<'a> {
    pub(super) list: Vec<RawExtension<'a>>,
}

pub(super) struct RawExtension<'a> {
    pub(super) oid: &'a [u8],
    pub(super) critical: bool,
    pub(super) value: &'a [u8],
}

impl RawExtension<'_> {
    pub(super) fn id(&self) -> ExtensionId {
        ExtensionId(self.oid.to_vec())
    }
}

impl<'a> RawExtensions<'a> {
    /// Reads a SEQUENCE OF Extension and everything inside, strictly.
    pub(super) fn read(sequence: &'a [u8]) -> Result<Self, CertificateError> {
        let mut items = der::single(sequence, der::SEQUENCE, "extensions that are not a sequence")?.reader();
        let mut list = Vec::new();
        let mut seen = BTreeSet::new();
        while !items.is_empty() {
            if list.len() == EXTENSIONS_MAX {
                return Err(CertificateError::ExtensionCount);
            }
            let mut item = items.expect(der::SEQUENCE, "an extension that is not a sequence")?.reader();
            let oid = item.expect(der::OID, "an extension without an identifier")?.value;
            let critical = match item.optional(der::BOOLEAN)? {
                // X.690 section 11.5: a default is left out.
                Some(truth) if truth.value == [0] => {
                    return Err(DerError { what: "a default that is written out" }.into());
                }
                truth => truth.is_some(),
            };
            let value = item.expect(der::OCTET_STRING, "an extension without a value")?.value;
            item.end()?;
            let extension = RawExtension { oid, critical, value };
            if !seen.insert(oid) {
                return Err(CertificateError::DuplicateExtension { extension: extension.id() });
            }
            // Extensions that are not known here may hold anything; those that are must be strict too.
            if is_known(oid) {
                der::check(value).map_err(|error| CertificateError::MalformedExtension {
                    extension: extension.id(),
                    what: error.what,
                })?;
            }
            list.push(extension);
        }
        if list.is_empty() { Err(CertificateError::ExtensionCount) } else { Ok(Self { list }) }
    }
}

/// All of the arc 2.5.29, where the standard's own extensions live.
fn is_known(oid: &[u8]) -> bool {
    oid.starts_with(b"\x55\x1d")
}

impl Extensions {
    fn read(raw: RawExtensions<'_>, parsed: &[X509Extension<'_>]) -> Result<Self, CertificateError> {
        let mut read = Self::default();
        if raw.list.len() != parsed.len() {
            return Err(CertificateError::ExtensionCount);
        }
        for (raw, parsed) in raw.list.into_iter().zip(parsed) {
            read.take(&raw, parsed)?;
        }
        Ok(read)
    }

    fn take(&mut self, raw: &RawExtension<'_>, parsed: &X509Extension<'_>) -> Result<(), CertificateError> {
        let malformed = |what| CertificateError::MalformedExtension { extension: raw.id(), what };
        let demand = |critical: bool| {
            if raw.critical == critical {
                Ok(())
            } else {
                Err(CertificateError::Criticality { extension: raw.id() })
            }
        };
        if parsed.oid.as_bytes() != raw.oid || parsed.critical != raw.critical || parsed.value != raw.value {
            return Err(malformed("the two readers differ"));
        }
        match parsed.parsed_extension() {
            // Errors and unknown kinds come as values: whoever only asks for the good ones overlooks them.
            ParsedExtension::ParseError { .. } => Err(malformed("it cannot be read")),
            ParsedExtension::BasicConstraints(basic) => {
                if basic.ca {
                    demand(true)?;
                }
                if basic.path_len_constraint.is_some() && !basic.ca {
                    return Err(malformed("a path length without an authority"));
                }
                basic_constraints_are_whole(raw.value).map_err(|error| malformed(error.what))?;
                (self.authority, self.path_length) = (basic.ca, basic.path_len_constraint);
                Ok(())
            }
            ParsedExtension::KeyUsage(usage) => {
                let bits = named_bits(raw.value).map_err(|error| malformed(error.what))?;
                if bits != usage.flags || bits == 0 {
                    return Err(malformed("no usage, or more bits than the standard names"));
                }
                (self.key_usage, self.key_usage_critical) = (Some(KeyUsage(bits)), raw.critical);
                Ok(())
            }
            ParsedExtension::ExtendedKeyUsage(_) => {
                self.purposes = Some(purposes(raw.value).map_err(|error| malformed(error.what))?);
                Ok(())
            }
            ParsedExtension::SubjectKeyIdentifier(key) => {
                demand(false)?;
                self.subject_key = Some(key_identifier(key.0).ok_or_else(|| malformed("no key identifier"))?);
                Ok(())
            }
            ParsedExtension::AuthorityKeyIdentifier(authority) => {
                demand(false)?;
                if authority.authority_cert_issuer.is_some() || authority.authority_cert_serial.is_some() {
                    return Err(malformed("it names a certificate instead of a key"));
                }
                let key = authority_key(raw.value).map_err(|error| malformed(error.what))?;
                self.authority_key = Some(key_identifier(key).ok_or_else(|| malformed("no key identifier"))?);
                Ok(())
            }
            ParsedExtension::NameConstraints(_) => {
                demand(true)?;
                self.constraints = Some(read_constraints(raw.value)?);
                Ok(())
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                self.alternative = read_alternative(&names.general_names)
                    .ok_or_else(|| malformed("no name, or a broken one"))?;
                Ok(())
            }
            _ if matches!(
                raw.oid,
                POLICY_MAPPINGS | POLICY_CONSTRAINTS | INHIBIT_ANY_POLICY | FRESHEST_CRL
            ) =>
            {
                Err(CertificateError::ForbiddenExtension { extension: raw.id() })
            }
            _ if raw.critical => Err(CertificateError::UnknownCritical { extension: raw.id() }),
            _ => Ok(()),
        }
    }

    /// Whether what the extensions say fits together.
    fn agree(&self, self_issued: bool) -> Result<(), CertificateError> {
        if self.authority && self.subject_key.is_none() {
            return Err(CertificateError::KeyIdentifierMissing);
        }
        // A root may leave out who signed it; a self-issued certificate of a new key may not, and is caught
        // when a path is built, because its signature is not its own.
        if self.authority_key.is_none() && !self_issued {
            return Err(CertificateError::KeyIdentifierMissing);
        }
        let signs = self.key_usage.map(|usage| usage.has(KeyUsage::CERTIFICATE_SIGN));
        let signs_lists = self.key_usage.is_some_and(|usage| usage.has(KeyUsage::CRL_SIGN));
        if !self.authority && (signs == Some(true) || signs_lists) {
            return Err(CertificateError::AuthorityMismatch);
        }
        if self.authority && signs.is_none() {
            return Err(CertificateError::AuthorityMismatch);
        }
        if self.constraints.is_some() && !self.authority {
            return Err(CertificateError::NameConstraints { what: "only an authority has them" });
        }
        Ok(())
    }
}

fn key_identifier(bytes: &[u8]) -> Option<Vec<u8>> {
    (1..=KEY_IDENTIFIER_BYTES_MAX).contains(&bytes.len()).then(|| bytes.to_vec())
}

/// x509-parser skips what follows, and takes a default that is written out.
fn basic_constraints_are_whole(value: &[u8]) -> Result<(), DerError> {
    let mut inside = der::single(value, der::SEQUENCE, "not a sequence")?.reader();
    if inside.optional(der::BOOLEAN)?.is_some_and(|truth| truth.value == [0]) {
        return Err(DerError { what: "a default that is written out" });
    }
    inside.optional(der::INTEGER)?;
    inside.end()
}

/// A named bit list: trailing zero bits are left out (X.690 section 11.2.2), nine bits are named.
fn named_bits(value: &[u8]) -> Result<u16, DerError> {
    let bits = der::single(value, der::BIT_STRING, "not a bit string")?.value;
    let Some((&unused, bytes)) = bits.split_first() else { return Err(DerError { what: "no bits" }) };
    let flags = bytes.iter().take(2).enumerate();
    let flags = flags.fold(0, |flags, (n, byte)| flags | u16::from(byte.reverse_bits()) << (8 * n));
    let minimal = bytes.last().is_some_and(|last| last.trailing_zeros() == u32::from(unused));
    if bytes.len() > 2 || flags >> 9 != 0 || !minimal {
        return Err(DerError { what: "bits that are not named, or zero bits at the end" });
    }
    Ok(flags)
}

fn purposes(value: &[u8]) -> Result<Vec<Vec<u8>>, DerError> {
    let mut inside = der::single(value, der::SEQUENCE, "not a sequence")?.reader();
    let mut purposes: Vec<Vec<u8>> = Vec::new();
    while !inside.is_empty() {
        let oid = inside.expect(der::OID, "a purpose that is not an identifier")?.value;
        if purposes.iter().any(|purpose| purpose == oid) || purposes.len() == EXTENSIONS_MAX {
            return Err(DerError { what: "a purpose twice, or too many" });
        }
        purposes.push(oid.to_vec());
    }
    if purposes.is_empty() { Err(DerError { what: "no purpose" }) } else { Ok(purposes) }
}

fn authority_key(value: &[u8]) -> Result<&[u8], DerError> {
    const KEY_IDENTIFIER: u8 = 0x80;
    let mut inside = der::single(value, der::SEQUENCE, "not a sequence")?.reader();
    let key = inside.expect(KEY_IDENTIFIER, "no key identifier")?;
    inside.end()?;
    Ok(key.value)
}

/// Reads the key identifier of an AKI extension for lists, where x509-parser's reading is not at hand.
pub(super) fn authority_key_of(extension: &RawExtension<'_>) -> Result<Vec<u8>, CertificateError> {
    let malformed = |what| CertificateError::MalformedExtension { extension: extension.id(), what };
    let key = authority_key(extension.value).map_err(|error| malformed(error.what))?;
    key_identifier(key).ok_or_else(|| malformed("no key identifier"))
}

/// Reads the constraints from the bytes: x509-parser passes over `minimum` and `maximum`, and over what
/// follows.
fn read_constraints(value: &[u8]) -> Result<NameConstraints, CertificateError> {
    const PERMITTED: u8 = 0xa0;
    const EXCLUDED: u8 = 0xa1;
    const DIRECTORY_NAME: u8 = 0xa4;
    let refused = |what| CertificateError::NameConstraints { what };

    let mut inside = der::single(value, der::SEQUENCE, "constraints that are not a sequence")?.reader();
    let permitted = inside.optional(PERMITTED)?;
    let excluded = inside.optional(EXCLUDED)?;
    inside.end()?;

    let mut count = 0;
    let mut names = |list: Option<der::Tlv<'_>>| -> Result<Vec<Name>, CertificateError> {
        let Some(list) = list else { return Ok(Vec::new()) };
        let mut subtrees = list.reader();
        let mut names = Vec::new();
        if subtrees.is_empty() {
            return Err(refused("an empty list"));
        }
        while !subtrees.is_empty() {
            count += 1;
            if count > CONSTRAINTS_MAX {
                return Err(refused("more than 64 of them"));
            }
            let mut subtree = subtrees.expect(der::SEQUENCE, "a constraint that is not a sequence")?.reader();
            let base = subtree.any()?;
            if base.tag != DIRECTORY_NAME {
                return Err(refused("only directory names are compared"));
            }
            if !subtree.is_empty() {
                return Err(refused("a minimum or a maximum"));
            }
            let name = Name::from_der(base.value)?;
            if name.is_empty() {
                return Err(refused("a name that says nothing"));
            }
            names.push(name);
        }
        Ok(names)
    };
    let constraints = NameConstraints { permitted: names(permitted)?, excluded: names(excluded)? };
    if constraints.permitted.is_empty() && constraints.excluded.is_empty() {
        return Err(refused("an empty list"));
    }
    Ok(constraints)
}

fn read_alternative(names: &[GeneralName<'_>]) -> Option<AlternativeNames> {
    let mut read = AlternativeNames { only_mail: true, present: true, ..AlternativeNames::default() };
    if names.is_empty() {
        return None;
    }
    for name in names {
        match name {
            GeneralName::Invalid(..) => return None,
            GeneralName::DirectoryName(name) => {
                read.only_mail = false;
                read.directory.push(Name::from_der(name.as_raw()).ok()?);
            }
            GeneralName::RFC822Name(_) => {}
            _ => read.only_mail = false,
        }
    }
    Some(read)
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
