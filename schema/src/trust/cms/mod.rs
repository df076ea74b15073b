//! An officer's signature on a document (*chữ ký số của người có thẩm quyền*): a detached CMS SignedData
//! (RFC 5652) with the attributes of CAdES-BES (RFC 5126 section 4.3.1), over the bytes of a frozen manifest.
//!
//! | module | answers |
//! |---|---|
//! | [`preparation`] | what is an officer asked to sign, and what is written when the signature has come? |
//! | [`detached`] | are these bytes one signature of this closed profile? |
//! | [`attribute`] | what exactly was signed: content, time, and by which certificate? |
//! | [`digest`] | which digest goes with which signature? |
//! | [`refusal`] | which rule do these bytes break, in Vietnamese and in English? |
//! | [`judgement`] | what is the signature worth: [`TrustStore::judge_signature`](super::TrustStore::judge_signature) |
//! | [`view`] | what must a page show about it? |
//!
//! One signer, one way to write it: what is accepted is what [`Preparation`] writes and what
//! `openssl cms -sign -binary -cades -nosmimecap -outform DER` writes. What a verifier relies on is inside
//! of what was signed; outside are the names of the algorithms, which the key decides, the signature itself, and a
//! chain that nobody believes.
//!
//! The RustCrypto `cms` crate reads the same bytes in the tests and nowhere else: it sorts a SET that is out of order
//! and keeps no bytes as received, so a verifier on top of it checks a signature over what it has written itself, and
//! the strict reader would have to read every field a second time. The profile has eleven fields.

pub mod attribute;
pub mod detached;
pub mod digest;
pub mod judgement;
pub mod preparation;
pub mod refusal;
pub mod view;

pub use detached::DetachedSignature;
pub use digest::DigestAlgorithm;
pub use preparation::{FinishError, Preparation, PreparationError, SIGNATURE_VALUE_BYTES_MAX};
pub use refusal::CmsError;
pub use view::SignerView;

/// Largest signature, in bytes, certificates included; ours have one to six thousand.
pub const SIGNATURE_BYTES_MAX: usize = 16 * 1024;
/// Most embedded certificates: the signer's and a chain above it.
pub const CERTIFICATES_MAX: usize = super::path::CHAIN_MAX;
/// Deepest nesting: the issuer's name inside of signingCertificateV2 is 18 levels down.
const DEPTH_MAX: usize = 20;

/// RFC 5652 section 4: `id-data`.
const ID_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01";
/// RFC 5652 section 5.1: `id-signedData`.
const ID_SIGNED_DATA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02";
