//! One CMS signature of any program, taken apart (RFC 5652, ETSI EN 319 122-1).

use std::fmt;

use ring::signature::{self as ring_signature, UnparsedPublicKey, VerificationAlgorithm};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::{BerError, EMBEDDED_MAX, ber};
use crate::time::Millis;
use crate::trust::algorithm::{self, KeyBytes, SignatureAlgorithm};
use crate::trust::certificate::{Certificate, CertificateError, Fields, Serial, read_time};
use crate::trust::cms::DigestAlgorithm;
use crate::trust::der::{self, DerError, Tlv};
use crate::trust::extension::KeyUsage;
use crate::trust::name::{self, Name};
use crate::trust::reason::Language;

// RFC 5652 sections 4, 5.1 and 11; RFC 5035 sections 3 and 5; RFC 3161 appendix A.
const ID_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
const ID_SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
const CONTENT_TYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
const MESSAGE_DIGEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
const SIGNING_TIME: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05";
const SIGNING_CERTIFICATE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x0c";
const SIGNING_CERTIFICATE_V2: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x2f";
const TIME_STAMP: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x0e";
// FIPS 180-4 digests (RFC 5754 section 2); RFC 8017 appendix A.2; RFC 5758 section 3.2; RFC 8410 section 3.
const SHA: [(&[u8], DigestAlgorithm); 3] = [
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x01", DigestAlgorithm::Sha256),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x02", DigestAlgorithm::Sha384),
    (b"\x60\x86\x48\x01\x65\x03\x04\x02\x03", DigestAlgorithm::Sha512),
];
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01";
const RSA_WITH: [(&[u8], DigestAlgorithm); 3] = [
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b", DigestAlgorithm::Sha256),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c", DigestAlgorithm::Sha384),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d", DigestAlgorithm::Sha512),
];
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
const MGF1: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08";
const ECDSA_WITH: [(&[u8], DigestAlgorithm); 2] = [
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", DigestAlgorithm::Sha256),
    (b"\x2a\x86\x48\xce\x3d\x04\x03\x03", DigestAlgorithm::Sha384),
];
const ED25519: &[u8] = b"\x2b\x65\x70";
/// SHA-1 and MD5, alone and with RSA and ECDSA.
const BROKEN: [&[u8]; 5] = [
    b"\x2b\x0e\x03\x02\x1a",
    b"\x2a\x86\x48\x86\xf7\x0d\x02\x05",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04",
    b"\x2a\x86\x48\xce\x3d\x04\x01",
];

const EXPLICIT: u8 = 0xa0;
const CERTIFICATES: u8 = 0xa0;
const REVOCATION_LISTS: u8 = 0xa1;
const SIGNED_ATTRIBUTES: u8 = 0xa0;
const UNSIGNED_ATTRIBUTES: u8 = 0xa1;
const KEY_IDENTIFIER: u8 = 0x80;

/// Most attributes, signed or not.
const ATTRIBUTES_MAX: usize = 64;

/// Why a signature is not read. None of them says that it is false: only that it is not judged here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PadesError {
    /// Not BER.
    #[error("the signature cannot be read: {0}")]
    Ber(#[from] BerError),
    /// Not built as CMS wants it.
    #[error("the signature is not built as CMS: {0}")]
    Encoding(#[from] DerError),
    /// Something follows the signature that is not zero.
    #[error("something lies behind the signature in its own place in the file")]
    Behind,
    /// Another kind of CMS message.
    #[error("the bytes are CMS, but not SignedData over plain data")]
    NotSignedData,
    /// The signature brings a document of its own.
    #[error("the signature carries content of its own")]
    ContentInside,
    /// None or several.
    #[error("the signature has {found} signers, expected one")]
    SignerCount {
        /// How many.
        found: usize,
    },
    /// The certificate of the signer is not there.
    #[error("the certificate of the signer is not among those in the signature, or two fit")]
    SignerCertificate,
    /// More than are looked at.
    #[error("the signature carries more than {EMBEDDED_MAX} certificates or {ATTRIBUTES_MAX} attributes")]
    TooMany,
    /// Without them, a document could be made that another signature fits.
    #[error("the signature has no signed attributes")]
    NoSignedAttributes,
    /// An attribute that must be there once.
    #[error("the signed attribute {name} is missing, occurs twice or is malformed")]
    Attribute {
        /// Which one.
        name: &'static str,
    },
    /// SHA-1, MD5.
    #[error("the signature rests on SHA-1 or MD5, which can be forged; SHA-256 or stronger is required")]
    BrokenDigest,
    /// An algorithm that is not verified here.
    #[error("the algorithm `{oid}` is not verified here, or not with these parameters")]
    Algorithm {
        /// Its object identifier, hexadecimal.
        oid: String,
    },
}

impl PadesError {
    /// The words for it, without a full stop.
    pub fn text(&self, language: Language) -> String {
        match language {
            Language::English => self.to_string(),
            Language::Vietnamese => self.vietnamese(),
        }
    }

    fn vietnamese(&self) -> String {
        let fixed = match self {
            Self::SignerCount { found } => return format!("chữ ký có {found} người ký, phải là một"),
            Self::Attribute { name } => {
                return format!("thuộc tính được ký {name} bị thiếu, bị lặp hoặc bị hỏng");
            }
            Self::Algorithm { oid } => return format!("thuật toán {oid} chưa được hỗ trợ"),
            Self::Ber(_) | Self::Encoding(_) => "không đọc được cấu trúc chữ ký CMS",
            Self::Behind => "có dữ liệu lạ nằm sau chữ ký, trong chỗ dành cho chữ ký",
            Self::NotSignedData => "không phải chữ ký CMS trên dữ liệu thường",
            Self::ContentInside => "chữ ký mang theo nội dung riêng",
            Self::SignerCertificate => "trong chữ ký không có đúng một chứng thư số của người ký",
            Self::TooMany => "chữ ký kèm quá nhiều chứng thư số hoặc thuộc tính",
            Self::NoSignedAttributes => "chữ ký không có thuộc tính được ký",
            Self::BrokenDigest => "chữ ký dùng SHA-1 hoặc MD5, có thể bị giả mạo; cần SHA-256 trở lên",
        };
        fixed.to_owned()
    }
}

/// How a signature was made. The key decides the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RSA PKCS#1 v1.5.
    Rsa(DigestAlgorithm),
    /// RSA-PSS with MGF1 over the same digest and a salt of its length.
    RsaPss(DigestAlgorithm),
    /// ECDSA.
    Ecdsa(DigestAlgorithm),
    /// RFC 8032.
    Ed25519,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(digest) => write!(f, "RSA {digest}"),
            Self::RsaPss(digest) => write!(f, "RSA-PSS {digest}"),
            Self::Ecdsa(digest) => write!(f, "ECDSA {digest}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// Whether the certificate of the signer was signed along, so that nobody can put another one of the same key in its place
/// (RFC 5035).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It was, with SHA-2.
    Bound,
    /// Another one was: it was exchanged.
    Other,
    /// It was, with SHA-1 only, which is not compared; or in a form that is not read.
    NotCompared,
    /// Not at all.
    Missing,
}

/// Whether a key made a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It did.
    Yes,
    /// It did not.
    No,
    /// Such signatures of such keys are not verified here.
    Unfit,
}

/// A signature of any program over bytes that lie elsewhere. What it says of itself is proven by nobody until
/// [`OpenSignature::is_made_by`] and a path to a root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenSignature {
    /// A SET OF, as it was signed.
    attributes: Vec<u8>,
    digest_algorithm: DigestAlgorithm,
    digest: Vec<u8>,
    claimed_at: Option<Millis>,
    scheme: Scheme,
    signature: Vec<u8>,
    signer: Vec<u8>,
    subject: Name,
    issuer: Name,
    others: Vec<Vec<u8>>,
    binding: Binding,
    time_stamped: bool,
}

impl OpenSignature {
    /// Reads what stands in `/Contents`: BER or DER, filled up with zeros.
    ///
    /// # Errors
    /// [`PadesError`] names what is not read here.
    pub fn parse(contents: &[u8]) -> Result<Self, PadesError> {
        let (message, behind) = ber::to_der(contents)?;
        if behind.iter().any(|byte| *byte != 0) {
            return Err(PadesError::Behind);
        }
        let data = SignedData::read(&message)?;
        let signer = SignerInfo::read(data.signer)?;
        let mut embedded = Embedded::read_all(data.certificates)?;
        let fits = |found: &Embedded<'_>| signer.identifier.names(found);
        let Some(n) = embedded.iter().position(fits) else { return Err(PadesError::SignerCertificate) };
        let certificate = embedded.remove(n);
        if embedded.iter().any(fits) {
            return Err(PadesError::SignerCertificate);
        }
        let attributes = SignedAttributes::read(signer.attributes)?;
        let digest_algorithm = signer.digest;
        if attributes.digest.len() != digest_algorithm.length() {
            return Err(PadesError::Attribute { name: "messageDigest" });
        }
        Ok(Self {
            // RFC 5652 section 5.4: signed is the SET OF, whatever tag it has here.
            attributes: der::write(der::SET, &[signer.attributes.value]),
            digest_algorithm,
            digest: attributes.digest.to_vec(),
            claimed_at: attributes.claimed_at,
            scheme: signer.scheme,
            signature: signer.signature.to_vec(),
            binding: attributes.binding(certificate.whole),
            subject: Name::from_der(certificate.fields.subject)?,
            issuer: Name::from_der(certificate.fields.issuer)?,
            signer: certificate.whole.to_vec(),
            others: embedded.iter().map(|other| other.whole.to_vec()).collect(),
            time_stamped: signer.time_stamped,
        })
    }

    /// By which digest the document is named.
    pub const fn digest_algorithm(&self) -> DigestAlgorithm {
        self.digest_algorithm
    }

    /// How it was made.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// When the signer says that it was signed. Signatures in PDF files often say so beside the signature only.
    pub const fn claimed_at(&self) -> Option<Millis> {
        self.claimed_at
    }

    /// Whether its certificate was signed along.
    pub const fn binding(&self) -> Binding {
        self.binding
    }

    /// Whether a time stamp came with it; nobody here judges it.
    pub const fn is_time_stamped(&self) -> bool {
        self.time_stamped
    }

    /// Whether it names these bytes, one piece behind the other.
    pub fn covers(&self, pieces: &[&[u8]]) -> bool {
        let found = match self.digest_algorithm {
            DigestAlgorithm::Sha256 => digest_of::<Sha256>(pieces),
            DigestAlgorithm::Sha384 => digest_of::<Sha384>(pieces),
            DigestAlgorithm::Sha512 => digest_of::<Sha512>(pieces),
        };
        found == self.digest
    }

    /// Whether the key of this certificate made it.
    pub fn is_made_by(&self, certificate: &Certificate) -> Made {
        use DigestAlgorithm as D;
        use Scheme as S;
        let (verifier, key): (&dyn VerificationAlgorithm, &[u8]) =
            match (certificate.key().bytes(), self.scheme) {
                (KeyBytes::Rsa(key), S::Rsa(D::Sha256)) => (&ring_signature::RSA_PKCS1_2048_8192_SHA256, key),
                (KeyBytes::Rsa(key), S::Rsa(D::Sha384)) => (&ring_signature::RSA_PKCS1_2048_8192_SHA384, key),
                (KeyBytes::Rsa(key), S::Rsa(D::Sha512)) => (&ring_signature::RSA_PKCS1_2048_8192_SHA512, key),
                (KeyBytes::Rsa(key), S::RsaPss(D::Sha256)) => {
                    (&ring_signature::RSA_PSS_2048_8192_SHA256, key)
                }
                (KeyBytes::Rsa(key), S::RsaPss(D::Sha384)) => {
                    (&ring_signature::RSA_PSS_2048_8192_SHA384, key)
                }
                (KeyBytes::Rsa(key), S::RsaPss(D::Sha512)) => {
                    (&ring_signature::RSA_PSS_2048_8192_SHA512, key)
                }
                (KeyBytes::P256(key), S::Ecdsa(D::Sha256)) => (&ring_signature::ECDSA_P256_SHA256_ASN1, key),
                (KeyBytes::P256(key), S::Ecdsa(D::Sha384)) => (&ring_signature::ECDSA_P256_SHA384_ASN1, key),
                (KeyBytes::P384(key), S::Ecdsa(D::Sha256)) => (&ring_signature::ECDSA_P384_SHA256_ASN1, key),
                (KeyBytes::P384(key), S::Ecdsa(D::Sha384)) => (&ring_signature::ECDSA_P384_SHA384_ASN1, key),
                (KeyBytes::Ed25519, S::Ed25519) => {
                    let algorithm = SignatureAlgorithm::Ed25519;
                    let holds = certificate.key().verifies(algorithm, &self.attributes, &self.signature);
                    return if holds { Made::Yes } else { Made::No };
                }
                _ => return Made::Unfit,
            };
        match UnparsedPublicKey::new(verifier, key).verify(&self.attributes, &self.signature) {
            Ok(()) => Made::Yes,
            Err(_) => Made::No,
        }
    }

    /// The certificate that it was signed with.
    ///
    /// # Errors
    /// When it does not keep the rules that hold for every certificate here.
    pub fn signer_certificate(&self) -> Result<Certificate, CertificateError> {
        Certificate::parse(&self.signer)
    }

    /// The other certificates that came with it and can be read; and how many cannot.
    pub fn others(&self) -> (Vec<Certificate>, usize) {
        let read: Vec<Certificate> =
            self.others.iter().filter_map(|other| Certificate::parse(other).ok()).collect();
        let unread = self.others.len() - read.len();
        (read, unread)
    }

    /// The name of the signer (*người ký*), as its certificate has it; citizen numbers are masked.
    pub fn signer(&self) -> String {
        shown(&self.subject, &[name::COMMON_NAME])
    }

    /// Where the signer works, the nearest unit first, where the certificate says it.
    pub fn unit(&self) -> Option<String> {
        let texts = self.subject.texts(&[name::UNIT, name::ORGANISATION]);
        if texts.is_empty() { None } else { Some(texts.join(", ")) }
    }

    /// Who issued the certificate, as it says.
    pub fn issuer(&self) -> String {
        shown(&self.issuer, &[name::COMMON_NAME, name::ORGANISATION])
    }
}

/// Whether a certificate may be meant for signing documents: a key for signatures, and not one that is only for servers,
/// programs, time stamps or answers about revocation (RFC 5280 section 4.2.1.12).
pub fn signs_documents(certificate: &Certificate) -> bool {
    const OTHERS: [&[u8]; 4] = [
        b"\x2b\x06\x01\x05\x05\x07\x03\x01",
        b"\x2b\x06\x01\x05\x05\x07\x03\x03",
        b"\x2b\x06\x01\x05\x05\x07\x03\x08",
        b"\x2b\x06\x01\x05\x05\x07\x03\x09",
    ];
    let signs = certificate
        .key_usage()
        .is_none_or(|usage| usage.has(KeyUsage::DIGITAL_SIGNATURE) || usage.has(KeyUsage::NON_REPUDIATION));
    let purposes = certificate.extensions.purposes.as_deref();
    let other = purposes.is_some_and(|list| list.iter().all(|purpose| OTHERS.contains(&purpose.as_slice())));
    signs && !other && !certificate.is_authority()
}

fn shown(name: &Name, oids: &[&[u8]]) -> String {
    let texts = name.texts(oids);
    if texts.is_empty() { name.to_string() } else { texts.join(", ") }
}

fn digest_of<D: Digest>(pieces: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize().to_vec()
}

/// A SignedData (RFC 5652 section 5.1); revocation lists are passed over.
struct SignedData<'a> {
    certificates: Tlv<'a>,
    signer: Tlv<'a>,
}

impl<'a> SignedData<'a> {
    fn read(message: &'a [u8]) -> Result<Self, PadesError> {
        let mut info = der::single(message, der::SEQUENCE, "a message that is not a sequence")?.reader();
        if info.expect(der::OID, "a message without a type")?.value != ID_SIGNED_DATA {
            return Err(PadesError::NotSignedData);
        }
        let content = info.expect(EXPLICIT, "a message without content")?;
        info.end()?;
        let mut data = der::single(content.value, der::SEQUENCE, "no SignedData")?.reader();
        data.expect(der::INTEGER, "a SignedData without a version")?;
        data.expect(der::SET, "a SignedData without digests")?;
        let mut content = data.expect(der::SEQUENCE, "a SignedData without content")?.reader();
        if content.expect(der::OID, "content without a type")?.value != ID_DATA {
            return Err(PadesError::NotSignedData);
        }
        if !content.is_empty() {
            return Err(PadesError::ContentInside);
        }
        let certificates = data.optional(CERTIFICATES)?.ok_or(PadesError::SignerCertificate)?;
        data.optional(REVOCATION_LISTS)?;
        let mut signers = data.expect(der::SET, "a SignedData without signers")?.reader();
        data.end()?;
        let (mut first, mut found) = (None, 0);
        while !signers.is_empty() {
            first = first.or(Some(signers.expect(der::SEQUENCE, "a signer that is not a sequence")?));
            found += 1;
            if found > 1 {
                return Err(PadesError::SignerCount { found });
            }
        }
        let signer = first.ok_or(PadesError::SignerCount { found })?;
        Ok(Self { certificates, signer })
    }
}

/// How a SignerInfo names its certificate.
enum Identifier<'a> {
    IssuerAndSerial { issuer: &'a [u8], serial: Serial },
    Key(&'a [u8]),
}

impl Identifier<'_> {
    fn names(&self, certificate: &Embedded<'_>) -> bool {
        match self {
            Self::IssuerAndSerial { issuer, serial } => {
                certificate.fields.issuer == *issuer && certificate.fields.serial == *serial
            }
            Self::Key(key) => {
                Certificate::parse(certificate.whole).is_ok_and(|parsed| parsed.subject_key() == Some(key))
            }
        }
    }
}

/// A SignerInfo (RFC 5652 section 5.3).
struct SignerInfo<'a> {
    identifier: Identifier<'a>,
    digest: DigestAlgorithm,
    attributes: Tlv<'a>,
    scheme: Scheme,
    signature: &'a [u8],
    time_stamped: bool,
}

impl<'a> SignerInfo<'a> {
    fn read(signer: Tlv<'a>) -> Result<Self, PadesError> {
        let mut fields = signer.reader();
        fields.expect(der::INTEGER, "a signer without a version")?;
        let name = fields.any()?;
        let identifier = match name.tag {
            KEY_IDENTIFIER => Identifier::Key(name.value),
            der::SEQUENCE => {
                let mut name = name.reader();
                let issuer = name.expect(der::SEQUENCE, "a signer without an issuer")?.full;
                let serial = name.expect(der::INTEGER, "a signer without a serial number")?.value;
                name.end()?;
                let serial = Serial::from_integer(serial).ok_or(PadesError::SignerCertificate)?;
                Identifier::IssuerAndSerial { issuer, serial }
            }
            _ => return Err(PadesError::SignerCertificate),
        };
        let digest =
            Identified::read(fields.expect(der::SEQUENCE, "a signer without a digest")?)?.digest()?;
        let attributes = fields.optional(SIGNED_ATTRIBUTES)?.ok_or(PadesError::NoSignedAttributes)?;
        let scheme = fields.expect(der::SEQUENCE, "a signer without an algorithm")?;
        let scheme = Identified::read(scheme)?.scheme(digest)?;
        let signature = fields.expect(der::OCTET_STRING, "a signer without a signature")?.value;
        let unsigned = fields.optional(UNSIGNED_ATTRIBUTES)?;
        fields.end()?;
        let time_stamped = match unsigned {
            Some(unsigned) => attributes_of(unsigned)?.iter().any(|(oid, _)| *oid == TIME_STAMP),
            None => false,
        };
        Ok(Self { identifier, digest, attributes, scheme, signature, time_stamped })
    }
}

/// An AlgorithmIdentifier.
struct Identified<'a> {
    oid: &'a [u8],
    parameters: Option<Tlv<'a>>,
}

impl<'a> Identified<'a> {
    fn read(identifier: Tlv<'a>) -> Result<Self, PadesError> {
        let mut inside = identifier.reader();
        let oid = inside.expect(der::OID, "an algorithm without an object identifier")?.value;
        let parameters = if inside.is_empty() { None } else { Some(inside.any()?) };
        inside.end()?;
        Ok(Self { oid, parameters })
    }

    fn unknown<T>(&self) -> Result<T, PadesError> {
        if BROKEN.contains(&self.oid) {
            return Err(PadesError::BrokenDigest);
        }
        Err(PadesError::Algorithm { oid: algorithm::shown(self.oid) })
    }

    /// RFC 5754 section 2: NULL and nothing are the same here.
    fn is_bare(&self) -> bool {
        self.parameters.is_none_or(|parameters| parameters.full == [5, 0])
    }

    fn digest(&self) -> Result<DigestAlgorithm, PadesError> {
        match SHA.iter().find(|(oid, _)| *oid == self.oid) {
            Some((_, digest)) if self.is_bare() => Ok(*digest),
            _ => self.unknown(),
        }
    }

    fn scheme(&self, digest: DigestAlgorithm) -> Result<Scheme, PadesError> {
        if self.oid == RSA_PSS {
            return if self.is_usual_pss(digest)? { Ok(Scheme::RsaPss(digest)) } else { self.unknown() };
        }
        let of = |table: &[(&[u8], DigestAlgorithm)]| table.contains(&(self.oid, digest));
        match () {
            () if !self.is_bare() => self.unknown(),
            () if self.oid == RSA || of(&RSA_WITH) => Ok(Scheme::Rsa(digest)),
            () if of(&ECDSA_WITH) => Ok(Scheme::Ecdsa(digest)),
            // RFC 8419 section 3.1.
            () if self.oid == ED25519 && digest == DigestAlgorithm::Sha512 => Ok(Scheme::Ed25519),
            () => self.unknown(),
        }
    }

    /// RFC 4055 section 3.1: one digest throughout, and a salt of its length; everybody writes it so, and ring verifies nothing
    /// else.
    fn is_usual_pss(&self, digest: DigestAlgorithm) -> Result<bool, PadesError> {
        let Some(parameters) = self.parameters.filter(|parameters| parameters.tag == der::SEQUENCE) else {
            return Ok(false);
        };
        let mut fields = parameters.reader();
        let (hash, mask, salt) = (fields.optional(0xa0)?, fields.optional(0xa1)?, fields.optional(0xa2)?);
        let trailer = fields.optional(0xa3)?;
        fields.end()?;
        let (Some(hash), Some(mask), Some(salt), None) = (hash, mask, salt, trailer) else {
            return Ok(false);
        };
        let explicit = |outer: Tlv<'a>, tag| der::single(outer.value, tag, "not what PSS takes here");
        let hash = Identified::read(explicit(hash, der::SEQUENCE)?)?.digest()?;
        let mask = Self::read(explicit(mask, der::SEQUENCE)?)?;
        let Some(mask_hash) = mask.parameters.filter(|inner| mask.oid == MGF1 && inner.tag == der::SEQUENCE)
        else {
            return Ok(false);
        };
        let mask_hash = Identified::read(mask_hash)?.digest()?;
        let salt = explicit(salt, der::INTEGER)?.value;
        let length = u8::try_from(digest.length()).unwrap_or_default();
        Ok(hash == digest && mask_hash == digest && salt == [length])
    }
}

type Attributes<'a> = Vec<(&'a [u8], Tlv<'a>)>;

/// Attributes with their sets of values.
fn attributes_of(set: Tlv<'_>) -> Result<Attributes<'_>, PadesError> {
    let mut inside = set.reader();
    let mut all = Vec::new();
    while !inside.is_empty() {
        if all.len() == ATTRIBUTES_MAX {
            return Err(PadesError::TooMany);
        }
        let mut pair = inside.expect(der::SEQUENCE, "an attribute that is not a sequence")?.reader();
        let oid = pair.expect(der::OID, "an attribute without a type")?.value;
        let values = pair.expect(der::SET, "an attribute without a set of values")?;
        pair.end()?;
        all.push((oid, values));
    }
    Ok(all)
}

/// What is understood of the signed attributes; others are passed over.
struct SignedAttributes<'a> {
    digest: &'a [u8],
    claimed_at: Option<Millis>,
    reference: Option<Tlv<'a>>,
    has_old_reference: bool,
}

impl<'a> SignedAttributes<'a> {
    fn read(set: Tlv<'a>) -> Result<Self, PadesError> {
        let all = attributes_of(set)?;
        let single = |oid: &[u8], name: &'static str| {
            let mut found = all.iter().filter(|(found, _)| *found == oid);
            match (found.next(), found.next()) {
                (None, _) => Ok(None),
                (Some((_, values)), None) => {
                    let mut values = values.reader();
                    let value = values.any().and_then(|value| values.end().map(|()| value));
                    value.map(Some).map_err(|_| PadesError::Attribute { name })
                }
                (Some(_), Some(_)) => Err(PadesError::Attribute { name }),
            }
        };
        let content_type = single(CONTENT_TYPE, "contentType")?;
        if content_type.is_none_or(|value| (value.tag, value.value) != (der::OID, ID_DATA)) {
            return Err(PadesError::Attribute { name: "contentType" });
        }
        let digest = single(MESSAGE_DIGEST, "messageDigest")?;
        let Some(digest) = digest.filter(|value| value.tag == der::OCTET_STRING) else {
            return Err(PadesError::Attribute { name: "messageDigest" });
        };
        Ok(Self {
            digest: digest.value,
            claimed_at: single(SIGNING_TIME, "signingTime")?.and_then(read_time),
            reference: single(SIGNING_CERTIFICATE_V2, "signingCertificateV2")?,
            has_old_reference: all.iter().any(|(oid, _)| *oid == SIGNING_CERTIFICATE),
        })
    }

    fn binding(&self, certificate: &[u8]) -> Binding {
        match self.reference.map(|reference| is_named(reference, certificate)) {
            Some(Ok(true)) => Binding::Bound,
            Some(Ok(false)) => Binding::Other,
            Some(Err(_)) => Binding::NotCompared,
            None if self.has_old_reference => Binding::NotCompared,
            None => Binding::Missing,
        }
    }
}

/// Whether the first ESSCertIDv2 (RFC 5035 section 4) is of this certificate: the first one is the signer's.
fn is_named(reference: Tlv<'_>, certificate: &[u8]) -> Result<bool, PadesError> {
    let list = der::single(reference.full, der::SEQUENCE, "a reference that is not a sequence")?;
    let mut list = list.reader().expect(der::SEQUENCE, "no list of certificates")?.reader();
    let mut first = list.expect(der::SEQUENCE, "no certificate")?.reader();
    let digest = match first.optional(der::SEQUENCE)? {
        None => DigestAlgorithm::Sha256,
        Some(identifier) => Identified::read(identifier)?.digest()?,
    };
    Ok(first.expect(der::OCTET_STRING, "no hash")?.value == digest.of(certificate))
}

/// A certificate that came with a signature.
struct Embedded<'a> {
    whole: &'a [u8],
    fields: Fields<'a>,
}

impl<'a> Embedded<'a> {
    /// Those of version 3 that can be read at all; attribute certificates and older ones are passed over.
    fn read_all(certificates: Tlv<'a>) -> Result<Vec<Self>, PadesError> {
        let mut inside = certificates.reader();
        let (mut all, mut looked_at) = (Vec::<Self>::new(), 0);
        while !inside.is_empty() {
            looked_at += 1;
            if looked_at > EMBEDDED_MAX {
                return Err(PadesError::TooMany);
            }
            let certificate = inside.any()?;
            let is_new = all.iter().all(|known| known.whole != certificate.full);
            if certificate.tag == der::SEQUENCE
                && is_new
                && let Ok(fields) = Fields::read(certificate.full)
            {
                all.push(Self { whole: certificate.full, fields });
            }
        }
        Ok(all)
    }
}
