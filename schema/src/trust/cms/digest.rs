//! Which digests a signature may use, and which goes with which kind of signature.

use std::fmt;

use sha2::{Digest, Sha256, Sha384, Sha512};

use super::refusal::CmsError;
use crate::trust::algorithm::{self, AlgorithmError, SignatureAlgorithm};

// Whole AlgorithmIdentifiers, without parameters: RFC 5754 section 2 wants them written like that.
const SHA256: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA384: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02";
const SHA512: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03";

/// Object identifiers of digests that can be forged, so that the refusal can say so.
const BROKEN: [(&[u8], &str); 3] = [
    (b"\x2b\x0e\x03\x02\x1a", "SHA-1"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x02\x05", "MD5"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x02\x02", "MD2"),
];

/// A digest (*hàm băm*).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl DigestAlgorithm {
    /// The digest with this whole AlgorithmIdentifier.
    pub(super) fn from_der(identifier: &[u8]) -> Result<Self, CmsError> {
        match identifier {
            SHA256 => Ok(Self::Sha256),
            SHA384 => Ok(Self::Sha384),
            SHA512 => Ok(Self::Sha512),
            other => {
                let oid = algorithm::object_identifier(other)?;
                match BROKEN.iter().find(|(broken, _)| *broken == oid) {
                    Some((_, name)) => {
                        Err(CmsError::SignatureAlgorithm(AlgorithmError::BrokenDigest { name }))
                    }
                    None => Err(CmsError::Digest { oid: algorithm::shown(oid) }),
                }
            }
        }
    }

    /// Its whole AlgorithmIdentifier.
    pub(super) const fn identifier(self) -> &'static [u8] {
        match self {
            Self::Sha256 => SHA256,
            Self::Sha384 => SHA384,
            Self::Sha512 => SHA512,
        }
    }

    /// The digest of these bytes.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// How long it is, in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for DigestAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

impl SignatureAlgorithm {
    /// The digest that a document is hashed with for it. Ed25519 hashes what it signs by itself; RFC 8419
    /// section 3.1 wants SHA-512 for the rest.
    pub const fn digest(self) -> DigestAlgorithm {
        match self {
            Self::RsaSha256 | Self::EcdsaSha256 => DigestAlgorithm::Sha256,
            Self::RsaSha384 | Self::EcdsaSha384 => DigestAlgorithm::Sha384,
            Self::RsaSha512 | Self::Ed25519 => DigestAlgorithm::Sha512,
        }
    }

    /// Its AlgorithmIdentifier in a SignerInfo. RSA is written without its digest there, the one form that
    /// every implementation reads (RFC 3370 section 3.2).
    pub(super) const fn identifier_in_cms(self) -> &'static [u8] {
        match self {
            Self::RsaSha256 | Self::RsaSha384 | Self::RsaSha512 => algorithm::KEY_RSA,
            Self::EcdsaSha256 => algorithm::ECDSA_SHA256,
            Self::EcdsaSha384 => algorithm::ECDSA_SHA384,
            Self::Ed25519 => algorithm::ED25519,
        }
    }

    /// The algorithm that a SignerInfo names by these two.
    pub(super) fn in_cms(identifier: &[u8], digest: DigestAlgorithm) -> Result<Self, CmsError> {
        let algorithm = match (identifier, digest) {
            (algorithm::KEY_RSA, DigestAlgorithm::Sha256) => Self::RsaSha256,
            (algorithm::KEY_RSA, DigestAlgorithm::Sha384) => Self::RsaSha384,
            (algorithm::KEY_RSA, DigestAlgorithm::Sha512) => Self::RsaSha512,
            (other, _) => Self::from_der(other).map_err(CmsError::SignatureAlgorithm)?,
        };
        if algorithm.identifier_in_cms() != identifier || algorithm.digest() != digest {
            return Err(CmsError::AlgorithmMismatch { signature: algorithm, digest });
        }
        Ok(algorithm)
    }
}
