//! Reading a signature: closed, strict, bounded; each rule with a refusal of its own.

use std::fmt;
use std::ops::Range;

use super::attribute::SignedAttributes;
use super::digest::DigestAlgorithm;
use super::refusal::CmsError;
use super::{CERTIFICATES_MAX, DEPTH_MAX, ID_DATA, ID_SIGNED_DATA, SIGNATURE_BYTES_MAX};
use crate::time::Millis;
use crate::trust::algorithm::{PublicKey, SignatureAlgorithm};
use crate::trust::certificate::{CertificateValidity, Fields, Serial, range_in, read_validity};
use crate::trust::der::{self, Tlv};
use crate::trust::name::Name;

/// The version of a SignedData and a SignerInfo that have none of the newer fields (RFC 5652 section 5.1).
pub(super) const VERSION: &[u8] = &[1];
pub(super) const EXPLICIT_CONTENT: u8 = 0xa0;
pub(super) const CERTIFICATES: u8 = 0xa0;
pub(super) const SIGNED_ATTRIBUTES: u8 = 0xa0;
const REVOCATION_LISTS: u8 = 0xa1;
const UNSIGNED_ATTRIBUTES: u8 = 0xa1;

/// An officer's signature, taken apart. It keeps the rules of the profile and names the certificate that came
/// with it; what it is *worth* only a [`TrustStore`](crate::trust::TrustStore) says.
#[derive(Clone, PartialEq, Eq)]
pub struct DetachedSignature {
    der: Vec<u8>,
    attributes: SignedAttributes,
    algorithm: SignatureAlgorithm,
    signature: Range<usize>,
    signer: Embedded,
    others: Vec<Range<usize>>,
}

impl fmt::Debug for DetachedSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { algorithm, signer, .. } = self;
        write!(f, "DetachedSignature({algorithm}, {}, {})", signer.subject, signer.serial)
    }
}

impl DetachedSignature {
    /// Reads one signature in DER.
    ///
    /// # Errors
    /// [`CmsError`] names the rule that it breaks.
    pub fn parse(der: &[u8]) -> Result<Self, CmsError> {
        if der.len() > SIGNATURE_BYTES_MAX {
            return Err(CmsError::TooLarge { found: der.len() });
        }
        der::check_to(der, DEPTH_MAX)?;
        let data = SignedData::read(der)?;
        let signer = SignerInfo::read(data.signer)?;
        if data.digests != signer.digest.identifier() {
            return Err(CmsError::DigestAlgorithms);
        }
        let mut embedded = Embedded::read_all(der, data.certificates)?;
        let is_signers =
            |found: &Embedded| found.issuer.as_der() == signer.issuer && found.serial == signer.serial;
        let Some(n) = embedded.iter().position(is_signers) else { return Err(CmsError::SignerCertificate) };
        let certificate = embedded.remove(n);
        if embedded.iter().any(is_signers) {
            return Err(CmsError::SignerCertificate);
        }
        let attributes = SignedAttributes::read(signer.attributes)?;
        if !attributes.names(&der[certificate.whole.clone()], signer.issuer, &signer.serial) {
            return Err(CmsError::OtherCertificate);
        }
        let others = embedded.iter().map(|other| other.whole.clone()).collect();
        if !are_above(&certificate, embedded) {
            return Err(CmsError::StrayCertificate);
        }
        Ok(Self {
            attributes,
            algorithm: signer.algorithm,
            signature: range_in(der, signer.signature),
            signer: certificate,
            others,
            der: der.to_vec(),
        })
    }

    /// The bytes as received.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate that it was signed with, as it came; whether anybody believes it is another question.
    pub fn signer_certificate(&self) -> &[u8] {
        &self.der[self.signer.whole.clone()]
    }

    /// The other certificates that came with it: by their names, a chain above the signer's. Nothing is
    /// proven about them; a station that lacks an authority may offer them to
    /// [`TrustStore::add_authority`](crate::trust::TrustStore::add_authority), which judges them.
    pub fn authorities(&self) -> impl Iterator<Item = &[u8]> {
        self.others.iter().map(|range| &self.der[range.clone()])
    }

    /// How it was made.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// When the signer says that it was signed, to the second. It proves nothing.
    pub const fn claimed_at(&self) -> Millis {
        self.attributes.claimed_at
    }

    /// The digest of the document, by [`SignatureAlgorithm::digest`] of its algorithm.
    pub fn content_digest(&self) -> &[u8] {
        &self.attributes.digest
    }

    /// What the signature is over: the signed attributes, as a SET OF in DER.
    pub fn signed_bytes(&self) -> &[u8] {
        &self.attributes.bytes
    }

    /// The signature itself: of RSA and Ed25519 as it is, of ECDSA an ECDSA-Sig-Value (RFC 3279).
    pub fn signature(&self) -> &[u8] {
        &self.der[self.signature.clone()]
    }

    /// Whether it names this document, byte for byte. It says nothing while nobody has checked that the
    /// signature holds.
    pub fn covers(&self, content: &[u8]) -> bool {
        self.algorithm.digest().of(content) == self.attributes.digest
    }

    /// Whether this key made it.
    pub fn is_made_by(&self, key: &PublicKey) -> bool {
        key.verifies(self.algorithm, &self.attributes.bytes, self.signature())
    }

    pub(super) const fn subject(&self) -> &Name {
        &self.signer.subject
    }

    pub(super) const fn issuer(&self) -> &Name {
        &self.signer.issuer
    }

    pub(super) const fn serial(&self) -> &Serial {
        &self.signer.serial
    }

    /// From when until when the signer's certificate counts; `None` when that cannot be read.
    pub const fn validity(&self) -> Option<CertificateValidity> {
        self.signer.validity
    }
}

/// A SignedData (RFC 5652 section 5.1) as far as it is allowed.
struct SignedData<'a> {
    /// The one digest of the list.
    digests: &'a [u8],
    certificates: Tlv<'a>,
    signer: Tlv<'a>,
}

impl<'a> SignedData<'a> {
    fn read(der: &'a [u8]) -> Result<Self, CmsError> {
        let mut info = der::single(der, der::SEQUENCE, "a message that is not a sequence")?.reader();
        if info.expect(der::OID, "a message without a type")?.value != ID_SIGNED_DATA {
            return Err(CmsError::NotSignedData);
        }
        let content = info.expect(EXPLICIT_CONTENT, "a message without content")?;
        info.end()?;
        let mut data = der::single(content.value, der::SEQUENCE, "no SignedData")?.reader();
        if data.expect(der::INTEGER, "a SignedData without a version")?.value != VERSION {
            return Err(CmsError::Version);
        }
        let mut digests = data.expect(der::SET, "a SignedData without digests")?.reader();
        let digest = digests.any().and_then(|digest| digests.end().map(|()| digest.full));
        let mut content = data.expect(der::SEQUENCE, "a SignedData without content")?.reader();
        if content.expect(der::OID, "content without a type")?.value != ID_DATA {
            return Err(CmsError::ContentType);
        }
        if !content.is_empty() {
            return Err(CmsError::ContentInside);
        }
        let certificates = data.optional(CERTIFICATES)?.ok_or(CmsError::CertificateCount)?;
        if data.optional(REVOCATION_LISTS)?.is_some() {
            return Err(CmsError::RevocationLists);
        }
        let signers = data.expect(der::SET, "a SignedData without signers")?;
        data.end()?;
        let signer = single_signer(signers)?;
        Ok(Self { digests: digest.map_err(|_| CmsError::DigestAlgorithms)?, certificates, signer })
    }
}

fn single_signer(signers: Tlv<'_>) -> Result<Tlv<'_>, CmsError> {
    let mut inside = signers.reader();
    let mut first = None;
    let mut found = 0;
    while !inside.is_empty() {
        let signer = inside.expect(der::SEQUENCE, "a signer that is not a sequence")?;
        first.get_or_insert(signer);
        found += 1;
    }
    match first {
        Some(signer) if found == 1 => Ok(signer),
        _ => Err(CmsError::SignerCount { found }),
    }
}

/// A SignerInfo (RFC 5652 section 5.3) as far as it is allowed.
struct SignerInfo<'a> {
    issuer: &'a [u8],
    serial: Serial,
    digest: DigestAlgorithm,
    /// With the tag of the set that was signed.
    attributes: Vec<u8>,
    algorithm: SignatureAlgorithm,
    signature: &'a [u8],
}

impl<'a> SignerInfo<'a> {
    fn read(signer: Tlv<'a>) -> Result<Self, CmsError> {
        let mut fields = signer.reader();
        let version = fields.expect(der::INTEGER, "a signer without a version")?.value;
        let name = fields.any()?;
        if name.tag != der::SEQUENCE {
            return Err(CmsError::SignerIdentifier);
        }
        if version != VERSION {
            return Err(CmsError::Version);
        }
        let mut name = name.reader();
        let issuer = name.expect(der::SEQUENCE, "a signer without an issuer")?.full;
        let serial = name.expect(der::INTEGER, "a signer without a serial number")?.value;
        let serial = Serial::from_integer(serial).ok_or(CmsError::SignerIdentifier)?;
        name.end()?;
        let digest = fields.expect(der::SEQUENCE, "a signer without a digest")?.full;
        let digest = DigestAlgorithm::from_der(digest)?;
        let attributes = fields.optional(SIGNED_ATTRIBUTES)?.ok_or(CmsError::NoSignedAttributes)?;
        let algorithm = fields.expect(der::SEQUENCE, "a signer without an algorithm")?.full;
        let algorithm = SignatureAlgorithm::in_cms(algorithm, digest)?;
        let signature = fields.expect(der::OCTET_STRING, "a signer without a signature")?.value;
        if fields.optional(UNSIGNED_ATTRIBUTES)?.is_some() {
            return Err(CmsError::UnsignedAttributes);
        }
        fields.end()?;
        // RFC 5652 section 5.4: signed is the SET OF, whatever tag it has here.
        let attributes = der::write(der::SET, &[attributes.value]);
        Ok(Self { issuer, serial, digest, attributes, algorithm, signature })
    }
}

/// A certificate that came with a signature: where it is and what it is called, whoever believes it.
#[derive(Clone, PartialEq, Eq)]
struct Embedded {
    whole: Range<usize>,
    issuer: Name,
    serial: Serial,
    subject: Name,
    /// `None` when it cannot be read; judging the certificate says so.
    validity: Option<CertificateValidity>,
}

impl Embedded {
    fn read_all(der: &[u8], certificates: Tlv<'_>) -> Result<Vec<Self>, CmsError> {
        let mut inside = certificates.reader();
        let mut all = Vec::new();
        let mut before: &[u8] = &[];
        while !inside.is_empty() {
            if all.len() == CERTIFICATES_MAX {
                return Err(CmsError::CertificateCount);
            }
            let certificate = inside.any()?;
            if certificate.tag != der::SEQUENCE {
                return Err(CmsError::CertificateKind);
            }
            // The tag is not that of a set, so the strict check has not looked at the order.
            if certificate.full <= before {
                return Err(CmsError::CertificateOrder);
            }
            before = certificate.full;
            all.push(Self::read(der, certificate.full)?);
        }
        if all.is_empty() { Err(CmsError::CertificateCount) } else { Ok(all) }
    }

    fn read(der: &[u8], certificate: &[u8]) -> Result<Self, CmsError> {
        let fields = Fields::read(certificate).map_err(CmsError::Certificate)?;
        Ok(Self {
            whole: range_in(der, certificate),
            issuer: Name::from_der(fields.issuer)?,
            subject: Name::from_der(fields.subject)?,
            validity: read_validity(fields.validity).ok(),
            serial: fields.serial,
        })
    }
}

/// Whether each of these certifies the signer, or another one that does, as far as their names say.
fn are_above(signer: &Embedded, mut others: Vec<Embedded>) -> bool {
    let mut issuers = vec![signer.issuer.clone()];
    while !others.is_empty() {
        let Some(n) = others.iter().position(|other| issuers.contains(&other.subject)) else { return false };
        issuers.push(others.remove(n).issuer);
    }
    true
}
