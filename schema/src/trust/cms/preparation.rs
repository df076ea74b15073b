//! What an officer is asked to sign, and the signature that is made of the answer.
//!
//! The answer may come from a token in a second, or from a telephone minutes later, when this process has
//! died in between: a preparation is written down before anybody is asked, and read again afterwards. Whoever
//! answers is not believed: only a signature that holds under the certificate becomes a document's.

use minicbor::{Decoder, Encoder};

use super::attribute::SignedAttributes;
use super::detached::{CERTIFICATES, DetachedSignature, EXPLICIT_CONTENT, SIGNED_ATTRIBUTES, VERSION};
use super::refusal::CmsError;
use super::{ID_DATA, ID_SIGNED_DATA, SIGNATURE_BYTES_MAX};
use crate::cose::infallible;
use crate::time::Millis;
use crate::trust::algorithm::{RSA_BITS_MAX, SignatureAlgorithm};
use crate::trust::certificate::{Certificate, CertificateError};
use crate::trust::der;
use crate::trust::profile::{Purpose, RoleError, role_of};
use crate::trust::reason::{self, Language};

/// Largest preparation, in bytes, as it is written down.
pub const PREPARATION_BYTES_MAX: usize = SIGNATURE_BYTES_MAX;
/// Longest signature value that a key of this profile makes, in bytes.
pub const SIGNATURE_VALUE_BYTES_MAX: usize = RSA_BITS_MAX / 8;
/// The form in which a preparation is written down.
const FORM: u8 = 1;

/// Why nothing is prepared for signing, or what was written down cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreparationError {
    /// A certificate that nobody would accept.
    #[error("the certificate to sign with is not acceptable")]
    Certificate(#[source] CertificateError),
    /// A certificate without a role.
    #[error("the certificate to sign with has no role")]
    Role(#[source] RoleError),
    /// An office's, or an authority's.
    #[error("the certificate of `{subject}` is not that of an officer; only an officer signs documents")]
    NotAnOfficer {
        /// Whose, masked.
        subject: String,
    },
    /// A clock that is far off.
    #[error("the time {} ms cannot be written as a signing time (2000 to 9999); set the clock", at.0)]
    SigningTime {
        /// What it says.
        at: Millis,
    },
    /// Every verifier would refuse it.
    #[error(
        "the certificate counts from {} to {} ms, not at the signing time {} ms; renew it or set the clock",
        not_before.0, not_after.0, at.0
    )]
    OutsidePeriod {
        /// When it would be signed.
        at: Millis,
        /// First second of the certificate.
        not_before: Millis,
        /// Last second of the certificate.
        not_after: Millis,
    },
    /// A certificate so large that no signature with it would be accepted.
    #[error(
        "a signature with this certificate may have {found} bytes, at most {SIGNATURE_BYTES_MAX} are accepted"
    )]
    TooLarge {
        /// What it may come to, in bytes.
        found: usize,
    },
    /// What was written down is no preparation.
    #[error("the bytes are not a preparation of form {FORM}: {0}")]
    Malformed(String),
    /// What was written down would not be accepted when it is signed.
    #[error("what was written down to be signed is not acceptable")]
    Attributes(#[source] CmsError),
}

/// Why a signature does not become a document's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FinishError {
    /// Another key, other bytes, another form, or a lie.
    #[error("the signature that came back was not made by the certificate's key over what was to be signed")]
    NotMade,
    /// A certificate of the chain that nobody would accept.
    #[error("a certificate of the chain is not acceptable")]
    Chain(#[source] CertificateError),
    /// A certificate that certified nobody here.
    #[error("`{subject}` certified neither the signer nor another certificate of the chain")]
    NotInChain {
        /// Whose, masked.
        subject: String,
    },
    /// Too many certificates, or too large ones.
    #[error("the signature would not be accepted")]
    Refused(#[source] CmsError),
}

/// What is to be signed, frozen: the same document, certificate and time give the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preparation {
    certificate: Certificate,
    algorithm: SignatureAlgorithm,
    attributes: SignedAttributes,
}

impl Preparation {
    /// Prepares the signature of an officer over `content`, the frozen bytes of a manifest. `claimed_at` is
    /// what the signature will say about its time, to the second.
    ///
    /// # Errors
    /// When the certificate (DER) is not an acceptable one of an officer, or does not count at that time.
    pub fn new(
        content: &[u8],
        signer_certificate: &[u8],
        claimed_at: Millis,
    ) -> Result<Self, PreparationError> {
        let certificate = officers(signer_certificate)?;
        let digest = certificate.key().document_algorithm().digest().of(content);
        let attributes = SignedAttributes::write(&digest, claimed_at, &certificate)
            .ok_or(PreparationError::SigningTime { at: claimed_at })?;
        Self::of(certificate, attributes)
    }

    /// Every rule, whether it is new or was written down long ago.
    fn of(certificate: Certificate, attributes: Vec<u8>) -> Result<Self, PreparationError> {
        let algorithm = certificate.key().document_algorithm();
        let attributes = SignedAttributes::read(attributes).map_err(PreparationError::Attributes)?;
        if !attributes.names(certificate.as_der(), certificate.issuer().as_der(), certificate.serial()) {
            return Err(PreparationError::Attributes(CmsError::OtherCertificate));
        }
        if attributes.digest.len() != algorithm.digest().length() {
            return Err(PreparationError::Attributes(CmsError::DigestAlgorithms));
        }
        let at = attributes.claimed_at;
        let validity = *certificate.validity();
        if !validity.covers(at) {
            let (not_before, not_after) = (validity.not_before, validity.not_after);
            return Err(PreparationError::OutsidePeriod { at, not_before, not_after });
        }
        let preparation = Self { certificate, algorithm, attributes };
        let found = preparation.assemble(&[0; SIGNATURE_VALUE_BYTES_MAX], &[]).len();
        if found > SIGNATURE_BYTES_MAX { Err(PreparationError::TooLarge { found }) } else { Ok(preparation) }
    }

    /// How the signer is to sign.
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The certificate to sign with.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// What the signature will say about its time.
    pub const fn claimed_at(&self) -> Millis {
        self.attributes.claimed_at
    }

    /// Exactly the bytes that the signer signs.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.attributes.bytes
    }

    /// What a signer gets that signs hashes only: the digest of [`Self::to_be_signed`]. `None` for Ed25519,
    /// which needs the bytes themselves.
    pub fn digest(&self) -> Option<Vec<u8>> {
        match self.algorithm {
            SignatureAlgorithm::Ed25519 => None,
            other => Some(other.digest().of(self.to_be_signed())),
        }
    }

    /// Whether this is about exactly that document: to be asked after a restart, before the officer is.
    pub fn covers(&self, content: &[u8]) -> bool {
        self.algorithm.digest().of(content) == self.attributes.digest
    }

    /// The whole signature in DER, once the signer has answered: RSA and Ed25519 as they are, ECDSA as an
    /// ECDSA-Sig-Value (RFC 3279 section 2.2.3). `chain` are certificates above the signer's (DER, in any
    /// order), for readers that do not hold them; the signer's own may be among them.
    ///
    /// # Errors
    /// When the certificate's key did not make the signature, or the chain does not belong to the
    /// certificate. The preparation stays good: another answer may come.
    pub fn finish(&self, signature: &[u8], chain: &[&[u8]]) -> Result<Vec<u8>, FinishError> {
        if !self.certificate.key().verifies(self.algorithm, self.to_be_signed(), signature) {
            return Err(FinishError::NotMade);
        }
        let chain: Vec<&[u8]> =
            chain.iter().copied().filter(|der| *der != self.certificate.as_der()).collect();
        if chain.len() >= super::CERTIFICATES_MAX {
            return Err(FinishError::Refused(CmsError::CertificateCount));
        }
        self.check_chain(&chain)?;
        let whole = self.assemble(signature, &chain);
        // What is written is read by the rules of whoever receives it.
        DetachedSignature::parse(&whole).map_err(FinishError::Refused)?;
        Ok(whole)
    }

    fn check_chain(&self, chain: &[&[u8]]) -> Result<(), FinishError> {
        let chain: Result<Vec<Certificate>, _> = chain.iter().map(|der| Certificate::parse(der)).collect();
        let chain = chain.map_err(FinishError::Chain)?;
        for issuer in &chain {
            let others = chain.iter().filter(|other| *other != issuer).chain([&self.certificate]);
            let mut certified = others.filter(|other| other.issuer() == issuer.subject());
            if !issuer.is_authority() || !certified.any(|other| other.is_signed_by(issuer)) {
                return Err(FinishError::NotInChain { subject: issuer.subject().to_string() });
            }
        }
        Ok(())
    }

    /// A ContentInfo with a SignedData (RFC 5652 sections 3 and 5).
    fn assemble(&self, signature: &[u8], chain: &[&[u8]]) -> Vec<u8> {
        let version = der::write(der::INTEGER, &[VERSION]);
        let digest = self.algorithm.digest().identifier();
        let name = [self.certificate.issuer().as_der(), &self.certificate.serial().to_der()].concat();
        // The members of the set, under the tag that they have here.
        let attributes = der::Reader::new(&self.attributes.bytes).any().map_or(&[][..], |set| set.value);
        let signer = der::write(
            der::SEQUENCE,
            &[
                &version,
                &der::write(der::SEQUENCE, &[&name]),
                digest,
                &der::write(SIGNED_ATTRIBUTES, &[attributes]),
                self.algorithm.identifier_in_cms(),
                &der::write(der::OCTET_STRING, &[signature]),
            ],
        );
        let mut certificates: Vec<Vec<u8>> = chain.iter().map(|der| der.to_vec()).collect();
        certificates.push(self.certificate.as_der().to_vec());
        certificates.sort_unstable();
        certificates.dedup();
        let data = der::write(
            der::SEQUENCE,
            &[
                &version,
                &der::write(der::SET, &[digest]),
                &der::write(der::SEQUENCE, &[&der::write(der::OID, &[ID_DATA])]),
                &der::write_set(CERTIFICATES, certificates),
                &der::write(der::SET, &[&signer]),
            ],
        );
        let kind = der::write(der::OID, &[ID_SIGNED_DATA]);
        der::write(der::SEQUENCE, &[&kind, &der::write(EXPLICIT_CONTENT, &[&data])])
    }

    /// As it is written down: deterministic CBOR, `[form, certificate, to be signed]`. It holds no secret, but
    /// the certificate may hold a citizen number.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut e = Encoder::new(&mut bytes);
        infallible(e.array(3).and_then(|e| e.u8(FORM)));
        infallible(e.bytes(self.certificate.as_der()));
        infallible(e.bytes(self.to_be_signed()));
        bytes
    }

    /// Reads what was written down; every rule is checked again.
    ///
    /// # Errors
    /// When the bytes are too many, not a preparation, not in their one encoding, or break a rule.
    pub fn decode(bytes: &[u8]) -> Result<Self, PreparationError> {
        if bytes.len() > PREPARATION_BYTES_MAX {
            return Err(PreparationError::TooLarge { found: bytes.len() });
        }
        let (certificate, attributes) =
            read_fields(bytes).map_err(|error| PreparationError::Malformed(error.to_string()))?;
        let preparation = Self::of(officers(certificate)?, attributes.to_vec())?;
        if preparation.encode() != bytes {
            return Err(PreparationError::Malformed("not in deterministic encoding".to_owned()));
        }
        Ok(preparation)
    }
}

fn officers(certificate: &[u8]) -> Result<Certificate, PreparationError> {
    let certificate = Certificate::parse(certificate).map_err(PreparationError::Certificate)?;
    let role = role_of(&certificate).map_err(PreparationError::Role)?;
    if !role.serves(Purpose::Document) {
        return Err(PreparationError::NotAnOfficer { subject: certificate.subject().to_string() });
    }
    Ok(certificate)
}

fn read_fields(bytes: &[u8]) -> Result<(&[u8], &[u8]), minicbor::decode::Error> {
    let mut d = Decoder::new(bytes);
    let (length, form) = (d.array()?, d.u8()?);
    if (length, form) != (Some(3), FORM) {
        return Err(minicbor::decode::Error::message("another form or number of fields"));
    }
    Ok((d.bytes()?, d.bytes()?))
}

impl PreparationError {
    /// The words for it.
    pub fn text(&self, language: Language) -> String {
        if language == Language::English {
            return match self {
                Self::Certificate(error) => format!("Nothing can be signed: {self}: {error}."),
                Self::Role(error) => format!("Nothing can be signed: {self}: {error}."),
                Self::Attributes(error) => format!("Nothing can be signed: {self}: {error}."),
                Self::OutsidePeriod { at, not_before, not_after } => format!(
                    "Nothing can be signed: the certificate counts from {} to {}, not at the signing time {}; \
                     renew it or set the clock.",
                    reason::utc_time(*not_before),
                    reason::utc_time(*not_after),
                    reason::utc_time(*at)
                ),
                _ => format!("Nothing can be signed: {self}."),
            };
        }
        match self {
            Self::Certificate(error) => {
                format!("Chứng thư số dùng để ký không được chấp nhận: {}.", reason::certificate(error))
            }
            Self::Role(error) => {
                format!("Chứng thư số dùng để ký không đúng vai trò: {}.", reason::role(error))
            }
            Self::NotAnOfficer { subject } => format!(
                "Chứng thư số của {subject} không phải của cá nhân có thẩm quyền; chỉ cá nhân được ký văn bản."
            ),
            Self::SigningTime { .. } => {
                "Đồng hồ máy sai, không ghi được thời gian ký; hãy chỉnh lại đồng hồ.".to_owned()
            }
            Self::OutsidePeriod { at, not_before, not_after } => format!(
                "Chứng thư số có hiệu lực từ {} đến {}, không phải lúc ký {}; hãy gia hạn chứng thư số hoặc \
                 chỉnh lại đồng hồ.",
                reason::local_time(*not_before),
                reason::local_time(*not_after),
                reason::local_time(*at)
            ),
            Self::TooLarge { .. } => "Chứng thư số dùng để ký quá lớn.".to_owned(),
            Self::Malformed(_) => "Yêu cầu ký đã lưu không đọc được; hãy tạo lại yêu cầu ký.".to_owned(),
            Self::Attributes(error) => format!(
                "Yêu cầu ký đã lưu không còn hợp lệ ({}); hãy tạo lại yêu cầu ký.",
                error.text(language)
            ),
        }
    }
}

impl FinishError {
    /// The words for it.
    pub fn text(&self, language: Language) -> String {
        match (self, language) {
            (Self::Chain(error), Language::English) => format!("Not signed: {self}: {error}."),
            (Self::Refused(error), Language::English) => format!("Not signed: {self}: {error}."),
            (_, Language::English) => format!("Not signed: {self}."),
            (Self::NotMade, Language::Vietnamese) => {
                "Chữ ký trả về không phải do khoá của chứng thư số tạo ra trên nội dung cần ký; không dùng chữ \
                 ký này, hãy ký lại."
                    .to_owned()
            }
            (Self::Chain(error), Language::Vietnamese) => {
                format!("Chứng thư số trong chuỗi không được chấp nhận: {}.", reason::certificate(error))
            }
            (Self::NotInChain { subject }, Language::Vietnamese) => {
                format!("Chứng thư số của {subject} không thuộc chuỗi của người ký.")
            }
            (Self::Refused(error), Language::Vietnamese) => {
                format!("Chữ ký không dùng được: {}.", error.text(language))
            }
        }
    }
}
