//! Which rule of the profile a signature breaks, for engineers and for clerks.

use super::attribute::Attribute;
use super::digest::DigestAlgorithm;
use super::{CERTIFICATES_MAX, SIGNATURE_BYTES_MAX};
use crate::trust::algorithm::{AlgorithmError, SignatureAlgorithm};
use crate::trust::certificate::CertificateError;
use crate::trust::der::DerError;
use crate::trust::reason::{self, Language};

/// Why bytes are not an officer's signature in the one form that is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    /// Too large; not parsed.
    #[error("the signature has {found} bytes, at most {SIGNATURE_BYTES_MAX} are accepted")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// A second encoding, or not CMS at all.
    #[error("the signature is not in the one encoding that is accepted: {0}")]
    Encoding(#[from] DerError),
    /// Another kind of CMS message.
    #[error("the bytes are CMS, but not SignedData")]
    NotSignedData,
    /// A version for fields that are not accepted.
    #[error("the SignedData or its SignerInfo is not of version 1")]
    Version,
    /// What was signed is said to be something else than bytes.
    #[error("the type of the content is not id-data")]
    ContentType,
    /// The signature brings a document of its own.
    #[error("the signature carries content; the document stands beside it")]
    ContentInside,
    /// The outer list of digests is not the signer's one.
    #[error("the list of digest algorithms is not exactly the one of the signer")]
    DigestAlgorithms,
    /// Not one of the allowed digests, or with parameters.
    #[error("the digest `{oid}` is not allowed, or has parameters; allowed are SHA-256, SHA-384 and SHA-512")]
    Digest {
        /// Its object identifier, hexadecimal.
        oid: String,
    },
    /// Not an allowed signature.
    #[error("the kind of signature is not acceptable: {0}")]
    SignatureAlgorithm(AlgorithmError),
    /// Two allowed algorithms that do not go together, or RSA written in another way.
    #[error("the signature names {signature} beside the digest {digest}; they do not go together in CMS")]
    AlgorithmMismatch {
        /// What is named as the signature's.
        signature: SignatureAlgorithm,
        /// What is named as the digest.
        digest: DigestAlgorithm,
    },
    /// None, or more than are looked at.
    #[error("the signature carries no certificate, or more than {CERTIFICATES_MAX}")]
    CertificateCount,
    /// An attribute certificate or another obsolete kind.
    #[error("the signature carries a certificate of a kind other than X.509")]
    CertificateKind,
    /// Out of order, or one twice.
    #[error("the embedded certificates are not sorted, or one occurs twice")]
    CertificateOrder,
    /// Not even the frame of a certificate.
    #[error("an embedded certificate cannot be read: {0}")]
    Certificate(CertificateError),
    /// Something that is carried along without reason.
    #[error("an embedded certificate does not belong to the signer's chain")]
    StrayCertificate,
    /// Lists come by themselves, not with signatures.
    #[error("the signature carries revocation lists")]
    RevocationLists,
    /// Nobody signed, or several did.
    #[error("the signature has {found} signers; each officer's signature stands by itself, with one")]
    SignerCount {
        /// How many.
        found: usize,
    },
    /// The signer is named by a key identifier.
    #[error("the signer is not named by issuer and serial number")]
    SignerIdentifier,
    /// The certificate of the signer is not there.
    #[error("the certificate of the signer is not among those embedded, or two have its issuer and number")]
    SignerCertificate,
    /// Without them, a document could be made that another signature fits.
    #[error("the signature has no signed attributes")]
    NoSignedAttributes,
    /// Nobody signed them.
    #[error("the signature has unsigned attributes")]
    UnsignedAttributes,
    /// Nobody here knows what it demands.
    #[error("the signed attribute `{oid}` is not known")]
    UnknownAttribute {
        /// Its object identifier, hexadecimal.
        oid: String,
    },
    /// Readers differ about which one counts.
    #[error("the signed attribute {attribute} occurs twice")]
    DuplicateAttribute {
        /// Which one.
        attribute: Attribute,
    },
    /// All four are needed.
    #[error("the signed attribute {attribute} is missing")]
    MissingAttribute {
        /// Which one.
        attribute: Attribute,
    },
    /// An attribute that cannot be read.
    #[error("the signed attribute {attribute} is malformed: {what}")]
    MalformedAttribute {
        /// Which one.
        attribute: Attribute,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The certificate was exchanged for another one.
    #[error(
        "the certificate beside the signature is not the one that was signed with (signingCertificateV2)"
    )]
    OtherCertificate,
}

impl CmsError {
    /// The words for it, without a full stop.
    pub fn text(&self, language: Language) -> String {
        match language {
            Language::English => self.to_string(),
            Language::Vietnamese => self.vietnamese(),
        }
    }

    fn vietnamese(&self) -> String {
        let fixed = match self {
            Self::TooLarge { found } => {
                return format!("quá lớn ({found} byte, tối đa {SIGNATURE_BYTES_MAX})");
            }
            Self::Digest { oid } => return format!("hàm băm {oid} không được phép"),
            Self::SignatureAlgorithm(error) => return reason::algorithm(error),
            Self::AlgorithmMismatch { signature, digest } => {
                return format!("thuật toán ký {signature} không đi cùng hàm băm {digest}");
            }
            Self::Certificate(error) => {
                return format!("chứng thư số kèm theo không đọc được: {}", reason::certificate(error));
            }
            Self::SignerCount { found } => {
                return format!("có {found} người ký trong một chữ ký, phải là một");
            }
            Self::UnknownAttribute { oid } => return format!("thuộc tính được ký {oid} không được hỗ trợ"),
            Self::DuplicateAttribute { attribute } => {
                return format!("thuộc tính được ký {attribute} bị lặp");
            }
            Self::MissingAttribute { attribute } => return format!("thiếu thuộc tính được ký {attribute}"),
            Self::MalformedAttribute { attribute, .. } => {
                return format!("thuộc tính được ký {attribute} bị hỏng");
            }
            Self::Encoding(_) => "không theo mã hoá DER chặt chẽ",
            Self::NotSignedData => "không phải chữ ký CMS (SignedData)",
            Self::Version => "không phải phiên bản 1",
            Self::ContentType => "loại nội dung được ký không phải dữ liệu thường (id-data)",
            Self::ContentInside => "mang theo nội dung riêng; chữ ký phải tách rời văn bản",
            Self::DigestAlgorithms => "danh sách hàm băm không khớp với người ký",
            Self::CertificateCount => "không kèm chứng thư số nào, hoặc kèm quá nhiều",
            Self::CertificateKind => "kèm chứng thư không thuộc loại X.509",
            Self::CertificateOrder => "các chứng thư số kèm theo sai thứ tự hoặc bị lặp",
            Self::StrayCertificate => "kèm chứng thư số không thuộc chuỗi của người ký",
            Self::RevocationLists => "kèm danh sách thu hồi không được phép",
            Self::SignerIdentifier => "người ký không được chỉ rõ bằng cơ quan cấp và số sê-ri",
            Self::SignerCertificate => "không có đúng một chứng thư số của người ký kèm theo",
            Self::NoSignedAttributes => "không có thuộc tính được ký",
            Self::UnsignedAttributes => "có thuộc tính không được ký",
            Self::OtherCertificate => "chứng thư số kèm theo không phải chứng thư đã dùng để ký",
        };
        fixed.to_owned()
    }
}
