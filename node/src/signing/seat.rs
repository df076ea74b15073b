//! An officer's place at the desk: a certificate, those above it, and whatever signs.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use pkcs8::der::pem::PemLabel;
use pkcs8::{Document, der};
use schema::trust::certificate::CERTIFICATE_BYTES_MAX;
use schema::trust::profile::{RoleError, role_of};
use schema::trust::{Certificate, CertificateError, Purpose};

use super::{FileSigner, Provider, RemoteSigner, Signer, TokenSigner};
use crate::config::{ConfigError, SignerConfig, SignerKind, read_bounded};

/// Why nobody can sign at a place.
#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    /// A file cannot be read.
    #[error("a file of the signer cannot be read")]
    File(#[source] ConfigError),
    /// It holds no certificate.
    #[error("`{}` does not hold one certificate in PEM or DER: {found}", path.display())]
    NoCertificate {
        /// Which file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// Nobody would accept it.
    #[error("the certificate in `{}` is not acceptable", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: CertificateError,
    },
    /// It has no role.
    #[error("the certificate in `{}` has no role", path.display())]
    Role {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: RoleError,
    },
    /// An office's, or an authority's.
    #[error("the certificate of `{subject}` is not that of an officer")]
    NotAnOfficer {
        /// Whose, masked.
        subject: String,
    },
    /// It certified nobody here.
    #[error("`{subject}` certified neither the signer nor another certificate of the chain")]
    NotInChain {
        /// Whose, masked.
        subject: String,
    },
}

/// An officer's place at the desk.
pub struct Seat {
    pub(super) name: String,
    pub(super) kind: SignerKind,
    pub(super) certificate: Certificate,
    pub(super) chain: Vec<Vec<u8>>,
    pub(super) signer: Mutex<Box<dyn Signer>>,
}

impl Seat {
    /// Takes a place. `certificate` and `chain` are in DER; `name` is that of the settings.
    ///
    /// # Errors
    /// When the certificate is not an officer's, or the chain does not belong to it.
    pub fn new(
        name: &str,
        kind: SignerKind,
        certificate: &[u8],
        chain: &[Vec<u8>],
        signer: Box<dyn Signer>,
    ) -> Result<Self, SeatError> {
        Self::of(name, kind, (Path::new("certificate"), certificate), &named(chain), signer)
    }

    /// Takes the place that the settings describe. Nobody is asked for anything yet.
    ///
    /// # Errors
    /// As [`Seat::new`], or when a file cannot be read.
    pub fn open(config: &SignerConfig) -> Result<Self, SeatError> {
        let certificate = read_certificate(&config.certificate)?;
        let chain: Result<Vec<(PathBuf, Vec<u8>)>, _> =
            config.chain.iter().map(|path| Ok((path.clone(), read_certificate(path)?))).collect();
        let signer: Box<dyn Signer> = match &config.kind {
            SignerKind::File { key } => Box::new(FileSigner::new(key)),
            SignerKind::Token { module, serial, key_id } => {
                Box::new(TokenSigner::new(module, serial, key_id))
            }
            SignerKind::Remote { url, credential, token_file, roots } => {
                let (token_file, roots) = (token_file.as_deref(), roots.as_deref());
                Box::new(RemoteSigner::new(Provider { url, credential, token_file, roots })?)
            }
        };
        Self::of(&config.name, config.kind.clone(), (&config.certificate, &certificate), &chain?, signer)
    }

    fn of(
        name: &str,
        kind: SignerKind,
        (path, der): (&Path, &[u8]),
        chain: &[(PathBuf, Vec<u8>)],
        signer: Box<dyn Signer>,
    ) -> Result<Self, SeatError> {
        let certificate = parse(path, der)?;
        let role = role_of(&certificate);
        let role = role.map_err(|source| SeatError::Role { path: path.to_owned(), source })?;
        if !role.serves(Purpose::Document) {
            return Err(SeatError::NotAnOfficer { subject: certificate.subject().to_string() });
        }
        let above: Result<Vec<Certificate>, _> = chain.iter().map(|(path, der)| parse(path, der)).collect();
        let above = above?;
        for issuer in &above {
            let others = above.iter().filter(|other| *other != issuer).chain([&certificate]);
            let mut certified = others.filter(|other| other.issuer() == issuer.subject());
            if !issuer.is_authority() || !certified.any(|other| other.is_signed_by(issuer)) {
                return Err(SeatError::NotInChain { subject: issuer.subject().to_string() });
            }
        }
        let chain = chain.iter().map(|(_, der)| der.clone()).collect();
        Ok(Self { name: name.to_owned(), kind, certificate, chain, signer: Mutex::new(signer) })
    }

    /// Its name in the settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What signs there.
    pub const fn kind(&self) -> &SignerKind {
        &self.kind
    }

    /// The officer's certificate. Shown, its subject masks citizen numbers.
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

fn named(chain: &[Vec<u8>]) -> Vec<(PathBuf, Vec<u8>)> {
    chain.iter().map(|der| (PathBuf::from("chain"), der.clone())).collect()
}

fn parse(path: &Path, der: &[u8]) -> Result<Certificate, SeatError> {
    Certificate::parse(der).map_err(|source| SeatError::Certificate { path: path.to_owned(), source })
}

/// The label of a certificate in PEM.
struct CertificatePem;

impl PemLabel for CertificatePem {
    const PEM_LABEL: &'static str = "CERTIFICATE";
}

/// The DER bytes in a file that holds one certificate in PEM or DER.
pub(crate) fn read_certificate(path: &Path) -> Result<Vec<u8>, SeatError> {
    let bytes = read_bounded(path, 2 * CERTIFICATE_BYTES_MAX as u64).map_err(SeatError::File)?;
    if bytes.first() == Some(&0x30) {
        return Ok(bytes);
    }
    let none = |found: String| SeatError::NoCertificate { path: path.to_owned(), found };
    let text = std::str::from_utf8(&bytes).map_err(|error| none(error.to_string()))?;
    let (label, document) = Document::from_pem(text).map_err(|error: der::Error| none(error.to_string()))?;
    CertificatePem::validate_pem_label(label).map_err(|error| none(error.to_string()))?;
    Ok(document.as_bytes().to_vec())
}
