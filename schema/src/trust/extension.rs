//! What the extensions of a certificate (*phần mở rộng*) say, read strictly.
//!
//! Each occurs once, in the one encoding, and the two readers must agree about it; see [`super::certificate`]. What
//! nobody here processes is refused where it is critical, and a few are refused wherever they stand.

use std::collections::BTreeSet;
use std::fmt;

use x509_parser::prelude::{GeneralName, ParsedExtension, X509Extension};

use super::certificate::CertificateError;
use super::der::{self, DerError};
use super::name::Name;
use crate::id::write_hex;

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
///
/// Only what is permitted, never what is excluded: names are compared as bytes, so another spelling of a name
/// (case, blanks, string type) is another name. That can only take away from what is permitted, but it would
/// slip past what is excluded, where other readers fold spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameConstraints {
    /// Never empty.
    pub(super) permitted: Vec<Name>,
}

impl NameConstraints {
    /// Whether an authority with these constraints may certify that name.
    pub fn allow(&self, name: &Name) -> bool {
        self.permitted.iter().any(|base| name.is_within(base))
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
    pub(super) fn read(
        raw: RawExtensions<'_>,
        parsed: &[X509Extension<'_>],
    ) -> Result<Self, CertificateError> {
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
                // RFC 5280 section 4.2.1.6 wants it critical only where the subject is empty; none is here.
                demand(false)?;
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
    pub(super) fn agree(&self, self_issued: bool) -> Result<(), CertificateError> {
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
    if inside.optional(EXCLUDED)?.is_some() {
        return Err(refused("excluded names, which another spelling would slip past"));
    }
    inside.end()?;

    let mut subtrees = permitted.ok_or(refused("an empty list"))?.reader();
    let mut permitted = Vec::new();
    while !subtrees.is_empty() {
        if permitted.len() == CONSTRAINTS_MAX {
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
        permitted.push(name);
    }
    if permitted.is_empty() { Err(refused("an empty list")) } else { Ok(NameConstraints { permitted }) }
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
