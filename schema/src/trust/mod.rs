//! Which certificates are believed, for what, and as of when (*kiểm tra chứng thư số và chữ ký số*).
//!
//! A closed profile: what is not expected is refused, in one encoding, with a handful of algorithms. The
//! reasons are in the modules, bottom up:
//!
//! | module | answers |
//! |---|---|
//! | [`algorithm`] | may this key verify this kind of signature, and does it? |
//! | [`name`] | are these names the same, byte for byte; does one lie below the other? |
//! | [`certificate`] | are these bytes one certificate that keeps the rules for every role? |
//! | [`extension`] | what do its extensions say, with nothing overlooked? |
//! | [`profile`] | which role does it have: root, delegated CA, office, officer? |
//! | [`crl`] | what has this authority revoked, since when, why? |
//! | [`path`] | does a chain lead to a pinned root, within everybody's limits? |
//! | [`verdict`] | valid, invalid or undetermined *at the moment the signature provably existed*? |
//! | [`cms`] | an officer's signature on a document: what to sign, what was signed, what it is worth |
//! | [`pades`] | a signature that another program put into a PDF file: who is said to have signed what, and does the key fit? |
//! | [`reason`] | what to tell a clerk, in Vietnamese and in English |
//! | [`store`] | all of that for what a station holds: start with [`TrustStore::judge`], for documents with [`TrustStore::judge_signature`] |
//!
//! No clock in here: the moment of proof, the claimed time and the present are arguments, and the present
//! decides nothing. A station whose clock is years off comes to the same verdicts.

pub mod algorithm;
pub mod certificate;
pub mod cms;
pub mod crl;
mod der;
pub mod extension;
pub mod name;
pub mod pades;
pub mod path;
pub mod profile;
pub mod reason;
pub mod store;
pub mod verdict;

pub use certificate::{Certificate, CertificateError, CertificateHash};
pub use cms::{CmsError, DetachedSignature, Preparation, SignerView};
pub use crl::{RevocationList, RevocationReason, Revocations};
pub use der::DerError;
pub use profile::{Jurisdiction, Purpose, Role};
pub use reason::{Language, Reason};
pub use store::{Anchors, TrustStore};
pub use verdict::{Finding, Item, Outcome, SigningTime, Verdict};
