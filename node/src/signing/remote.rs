//! A provider in the shape of the country's cloud and SIM services (*ký số từ xa, SIM PKI*): it gets the SHA-256 of
//! what is to be signed, asks the officer on the telephone, and is asked again until it answers.
//!
//! ```text
//! POST {url}/credentials/list      {}                                → {credentials: [{credential, certificate}]}
//! POST {url}/signatures/sign-hash  {request, credential,
//!                                   hash_algorithm: "SHA-256", hash, description}
//!                                                                     → {request, transaction}
//! POST {url}/signatures/status     {request, transaction}            → {request, transaction, status, signature?}
//! status: pending | completed | declined | failed | expired | unknown
//! ```
//!
//! Bytes are base64, `request` is 32 hexadecimal digits and ours: the same again is the same request. Public services
//! say the same in other words; whoever speaks to one of them puts a translation in between. The document never
//! leaves the station, and a call from the provider is never needed. The whole answer of a status counts for nothing
//! unless it names both our request and its transaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use schema::id::RequestId;
use schema::trust::Certificate;
use schema::trust::algorithm::SignatureAlgorithm;
use schema::trust::cms::SIGNATURE_VALUE_BYTES_MAX;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use super::desk::check_of;
use super::{Begun, Handle, Progress, SeatError, Signer, SignerError, SigningRequest};
use crate::config::read_bounded;
use crate::keyring::Passphrase;

/// Largest answer of a provider, in bytes: a list of certificates fits.
pub const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// How long a provider may take for one answer.
pub const ANSWER_SECONDS_MAX: u64 = 10;
/// Longest name of a transaction, in characters.
pub const TRANSACTION_CHARS_MAX: usize = 128;
/// Largest file with the certificates of those who certify a provider's server, in bytes.
const ROOTS_BYTES_MAX: u64 = 256 * 1024;

/// Where a provider is and what it knows the officer by.
#[derive(Clone, Copy, Debug)]
pub struct Provider<'a> {
    /// Where it answers; see [`crate::config::SignerKind::Remote`].
    pub url: &'a str,
    /// What it calls the certificate.
    pub credential: &'a str,
    /// A file with what it knows this station by.
    pub token_file: Option<&'a Path>,
    /// Certificates (PEM) of those who certify its server.
    pub roots: Option<&'a Path>,
}

/// Has the officer asked on the telephone.
pub struct RemoteSigner {
    agent: Agent,
    url: String,
    credential: String,
    token_file: Option<PathBuf>,
    /// The provider has named the credential with this certificate.
    confirmed: bool,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Deserialize)]
struct Credentials {
    credentials: Vec<Credential>,
}

#[derive(Deserialize)]
struct Credential {
    credential: String,
    certificate: String,
}

#[derive(Serialize)]
struct SignHash<'a> {
    request: RequestId,
    credential: &'a str,
    hash_algorithm: &'static str,
    hash: String,
    description: String,
}

#[derive(Deserialize)]
struct Taken {
    request: RequestId,
    transaction: String,
}

#[derive(Serialize)]
struct StatusQuestion<'a> {
    request: RequestId,
    transaction: &'a str,
}

#[derive(Deserialize)]
struct StatusAnswer {
    request: RequestId,
    transaction: String,
    status: Status,
    signature: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pending,
    Completed,
    Declined,
    Failed,
    Expired,
    Unknown,
}

impl RemoteSigner {
    /// Prepares to speak to a provider; nothing is sent yet.
    ///
    /// # Errors
    /// When the certificates of those who certify its server cannot be read.
    pub fn new(provider: Provider<'_>) -> Result<Self, SeatError> {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(ANSWER_SECONDS_MAX)))
            .timeout_connect(Some(Duration::from_secs(5)))
            // What is asked must not follow a sign that somebody else puts up.
            .proxy(None)
            .max_redirects(0)
            .https_only(provider.url.starts_with("https://"));
        if let Some(path) = provider.roots {
            let tls = TlsConfig::builder().provider(TlsProvider::Rustls).root_certs(read_roots(path)?);
            config = config.tls_config(tls.build());
        }
        Ok(Self {
            agent: config.build().new_agent(),
            url: provider.url.trim_end_matches('/').to_owned(),
            credential: provider.credential.to_owned(),
            token_file: provider.token_file.map(Path::to_owned),
            confirmed: false,
        })
    }

    fn post<A: DeserializeOwned>(&self, path: &str, question: &impl Serialize) -> Result<A, SignerError> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(path) = &self.token_file {
            let token = Passphrase::read(path).map_err(SignerError::Account)?;
            request = request.header("authorization", format!("Bearer {}", token.as_str()));
        }
        let unreachable = |found: String| SignerError::Unreachable { found };
        let mut answer = request.send_json(question).map_err(|error| unreachable(error.to_string()))?;
        let status = answer.status();
        if status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        {
            return Err(unreachable(format!("status {status}")));
        }
        if status.is_client_error() {
            return Err(SignerError::ProviderRefused { status: status.as_u16() });
        }
        let garbled = |found: String| SignerError::Garbled { found };
        if !status.is_success() {
            return Err(garbled(format!("status {status}")));
        }
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        let body = body.map_err(|error| match error {
            ureq::Error::BodyExceedsLimit(most) => garbled(format!("more than {most} bytes")),
            error => unreachable(error.to_string()),
        })?;
        // The words of the parser may repeat what came; only the place is kept.
        serde_json::from_slice(&body).map_err(|error| {
            garbled(format!("{} bytes, not as expected at column {}", body.len(), error.column()))
        })
    }

    /// The certificates that the provider keeps keys for, in DER, with its names for them.
    ///
    /// # Errors
    /// When it does not answer as expected.
    pub fn certificates(&self) -> Result<Vec<(String, Vec<u8>)>, SignerError> {
        let list: Credentials = self.post("/credentials/list", &Nothing {})?;
        let decoded = list.credentials.into_iter().map(|listed| {
            let der = BASE64.decode(listed.certificate.as_bytes());
            let der = der
                .map_err(|_| SignerError::Garbled { found: "a certificate that is not base64".to_owned() })?;
            Ok((listed.credential, der))
        });
        decoded.collect()
    }

    /// An officer is not bothered for a signature that nobody could use.
    fn confirm(&mut self, certificate: &Certificate) -> Result<(), SignerError> {
        if self.confirmed {
            return Ok(());
        }
        let listed = self.certificates()?;
        let found = listed.iter().find(|(credential, _)| *credential == self.credential);
        if found.is_none_or(|(_, der)| der != certificate.as_der()) {
            return Err(SignerError::OtherCertificate { credential: self.credential.clone() });
        }
        self.confirmed = true;
        Ok(())
    }
}

fn read_roots(path: &Path) -> Result<RootCerts, SeatError> {
    let pem = read_bounded(path, ROOTS_BYTES_MAX).map_err(SeatError::File)?;
    let none = |found: String| SeatError::NoCertificate { path: path.to_owned(), found };
    let mut roots = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(root) = item.map_err(|error| none(error.to_string()))? {
            roots.push(root);
        }
    }
    if roots.is_empty() {
        return Err(none("no certificate".to_owned()));
    }
    Ok(RootCerts::Specific(Arc::new(roots)))
}

impl Signer for RemoteSigner {
    fn begin(&mut self, request: &SigningRequest<'_>) -> Result<Begun, SignerError> {
        let preparation = request.preparation;
        let algorithm = preparation.algorithm();
        let hash = match algorithm {
            SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::EcdsaSha256 => preparation.digest(),
            _ => None,
        };
        let hash = hash.ok_or(SignerError::Algorithm { algorithm })?;
        self.confirm(preparation.certificate())?;
        let question = SignHash {
            request: request.id,
            credential: &self.credential,
            hash_algorithm: "SHA-256",
            hash: BASE64.encode(&hash),
            // The officer compares the digits with those on the screen.
            description: format!("{} [{}]", request.description, check_of(preparation)),
        };
        let taken: Taken = self.post("/signatures/sign-hash", &question)?;
        let named = !taken.transaction.is_empty()
            && taken.transaction.len() <= TRANSACTION_CHARS_MAX
            && taken.transaction.bytes().all(|c| c.is_ascii_graphic());
        if taken.request != request.id || !named {
            return Err(SignerError::Garbled {
                found: "another request, or a transaction without a name".to_owned(),
            });
        }
        Ok(Begun::Asked(Handle { request: request.id, transaction: taken.transaction }))
    }

    fn poll(&mut self, handle: &Handle) -> Result<Progress, SignerError> {
        let question = StatusQuestion { request: handle.request, transaction: &handle.transaction };
        let answer: StatusAnswer = match self.post("/signatures/status", &question) {
            Err(SignerError::ProviderRefused { status: 404 }) => return Ok(Progress::Lost),
            // Whatever it does not like about us: the officer was asked, and the request waits.
            Err(SignerError::ProviderRefused { status }) => {
                return Err(SignerError::Unreachable { found: format!("status {status}") });
            }
            answer => answer?,
        };
        if answer.request != handle.request || answer.transaction != handle.transaction {
            return Err(SignerError::Garbled { found: "an answer about another request".to_owned() });
        }
        Ok(match answer.status {
            Status::Pending => Progress::Pending,
            Status::Declined => Progress::Declined,
            Status::Failed => Progress::Failed,
            Status::Expired => Progress::Expired,
            Status::Unknown => Progress::Lost,
            Status::Completed => {
                let text = answer.signature.unwrap_or_default();
                let signature = BASE64.decode(text.as_bytes()).ok();
                let signature =
                    signature.filter(|bytes| (1..=SIGNATURE_VALUE_BYTES_MAX).contains(&bytes.len()));
                Progress::Signed(signature.ok_or(SignerError::Garbled {
                    found: "completed, without a signature that could be one".to_owned(),
                })?)
            }
        })
    }
}
