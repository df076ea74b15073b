//! Signatures as other programs put them into PDF files (PAdES; CMS, RFC 5652).
//!
//! What an officer signs for Trạm keeps a closed profile ([`super::cms`]). What lies in an attachment was made by any program and
//! is only looked at: read widely, believed narrowly. Nothing in here makes one.
//!
//! | module | answers |
//! |---|---|
//! | [`ber`] | what are these bytes in DER, when somebody wrote them with indefinite lengths? |
//! | [`signature`] | who is said to have signed what, when, how; does the key fit? |
//! | [`roots`] | whom does this office believe about documents of others? |
//!
//! What stays stricter than the standards, so that one reading exists: exactly one signer, no content inside, signed attributes
//! with `contentType` and `messageDigest` once each, SHA-2 only, certificates of [`super::certificate`].

pub mod ber;
pub mod roots;
pub mod signature;

pub use ber::BerError;
pub use roots::DocumentRoots;
pub use signature::{Binding, OpenSignature, PadesError, Scheme};

/// Largest signature, in bytes: with the certificates, revocation lists and time stamps that some programs embed.
pub const CONTENTS_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most certificates that are looked at in one signature.
pub const EMBEDDED_MAX: usize = 16;
/// Most roots.
pub const ROOTS_MAX: usize = 64;
