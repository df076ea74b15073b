//! A key in an encrypted file: PKCS#8 under a passphrase (PBES2), as `openssl pkcs8 -topk8 -scrypt` writes it.

use std::path::PathBuf;

use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer as _, SigningKey};
use ring::rand::SystemRandom;
use ring::rsa::KeyPair as RsaKeyPair;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RSA_PKCS1_SHA256,
};
use schema::trust::Preparation;
use schema::trust::algorithm::SignatureAlgorithm;

use super::{Begun, Handle, Progress, Signer, SignerError, SigningRequest};
use crate::keyring::{Source, open_officer_key};

/// Signs with the key in a file. Opened for each request: between two of them, no key lies in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileSigner {
    key: PathBuf,
}

impl FileSigner {
    /// Signs with the key in this file: encrypted, and readable by its owner only.
    pub fn new(key: impl Into<PathBuf>) -> Self {
        Self { key: key.into() }
    }

    fn sign(&self, pkcs8: &[u8], preparation: &Preparation) -> Result<Vec<u8>, SignerError> {
        let unusable = |found: String| SignerError::KeyUnusable { path: self.key.clone(), found };
        let message = preparation.to_be_signed();
        match preparation.algorithm() {
            SignatureAlgorithm::Ed25519 => {
                let key = SigningKey::from_pkcs8_der(pkcs8).map_err(|error| unusable(error.to_string()))?;
                Ok(key.sign(message).to_bytes().to_vec())
            }
            SignatureAlgorithm::RsaSha256 => {
                let key = RsaKeyPair::from_pkcs8(pkcs8).map_err(|error| unusable(error.to_string()))?;
                let mut signature = vec![0; key.public().modulus_len()];
                let signed = key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature);
                signed.map_err(|_| unusable("RSA failed".to_owned()))?;
                Ok(signature)
            }
            SignatureAlgorithm::EcdsaSha256 => {
                ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, pkcs8, message).map_err(unusable)
            }
            SignatureAlgorithm::EcdsaSha384 => {
                ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8, message).map_err(unusable)
            }
            algorithm @ (SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::RsaSha512) => {
                Err(SignerError::Algorithm { algorithm })
            }
        }
    }
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, pkcs8: &[u8], message: &[u8]) -> Result<Vec<u8>, String> {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &random).map_err(|error| error.to_string())?;
    let signature = key.sign(&random, message).map_err(|_| "ECDSA failed".to_owned())?;
    Ok(signature.as_ref().to_vec())
}

impl Signer for FileSigner {
    fn begin(&mut self, request: &SigningRequest<'_>) -> Result<Begun, SignerError> {
        let passphrase = request.secret.ok_or(SignerError::SecretMissing)?;
        let pkcs8 =
            open_officer_key(&self.key, passphrase, &Source::Request).map_err(SignerError::Keyring)?;
        let signature = self.sign(pkcs8.as_bytes(), request.preparation)?;
        drop(pkcs8);
        let preparation = request.preparation;
        let key = preparation.certificate().key();
        // Said apart from other failures: a file that was exchanged, or the certificate of another person.
        if key.verifies(preparation.algorithm(), preparation.to_be_signed(), &signature) {
            Ok(Begun::Signed(signature))
        } else {
            Err(SignerError::OtherKey)
        }
    }

    fn poll(&mut self, _handle: &Handle) -> Result<Progress, SignerError> {
        Err(SignerError::NoRequests)
    }
}
