//! Talks to the running station over loopback.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::{Response, StatusCode};

use crate::config::DataFolder;
use crate::runtime::ApiAddress;
use crate::words::{Lang, with_causes};

/// Largest JSON answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Longest answer to a request without a file.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// Nobody listens.
    #[error("no station runs on `{}`: {found}; \
        start it with `tram-node --data {} run`", folder.display(), folder.display())]
    NotRunning {
        /// The data folder.
        folder: PathBuf,
        /// What was found.
        found: String,
    },
    /// The station said no.
    #[error("{message} [{code}]{}", detail.as_ref().map(|detail| format!("\n  {detail}")).unwrap_or_default())]
    Refused {
        /// For programs.
        code: String,
        /// For people.
        message: String,
        /// What was found.
        detail: Option<String>,
    },
    /// The exchange with the station failed.
    #[error("the station did not answer as expected while trying to {attempted}: {found}")]
    Exchange {
        /// What was attempted.
        attempted: String,
        /// What was found.
        found: String,
    },
    /// A file of this machine.
    #[error("failed to {attempted} `{}`", path.display())]
    File {
        /// What was attempted.
        attempted: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Something else, said in words.
    #[error("{0}")]
    Words(String),
}

/// A client of the station that runs on a folder.
pub(super) struct Client {
    agent: Agent,
    known: ApiAddress,
    pub(super) lang: Lang,
    folder: PathBuf,
}

type Answered = Response<ureq::Body>;

impl Client {
    /// A client that acts as whoever holds this token file, or as the machine.
    pub(super) fn of(folder: &DataFolder, lang: Lang, person: Option<&Path>) -> Result<Self, CliError> {
        let path = folder.api();
        let not_running = |found: String| CliError::NotRunning { folder: folder.path().to_owned(), found };
        let bytes =
            crate::config::read_bounded(&path, 4096).map_err(|error| not_running(with_causes(&error)))?;
        let mut known: ApiAddress = serde_json::from_slice(&bytes)
            .map_err(|error| not_running(format!("`{}` cannot be read: {error}", path.display())))?;
        if let Some(file) = person {
            let token = crate::config::read_bounded(file, 4096)
                .map_err(|error| CliError::Words(with_causes(&error)))?;
            let token = String::from_utf8_lossy(&token);
            token.trim().clone_into(&mut known.token);
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .proxy(None)
            .max_redirects(0)
            .build();
        Ok(Self { agent: config.new_agent(), known, lang, folder: folder.path().to_owned() })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.known.address)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.known.token)
    }

    fn failed(&self, attempted: &str, error: &ureq::Error) -> CliError {
        match error {
            ureq::Error::Io(io) if io.kind() == io::ErrorKind::ConnectionRefused => CliError::NotRunning {
                folder: self.folder.clone(),
                found: format!("nobody listens on `{}`", self.known.address),
            },
            error => CliError::Exchange { attempted: attempted.to_owned(), found: error.to_string() },
        }
    }

    /// The JSON at a path.
    pub(super) fn get(&self, path: &str) -> Result<Value, CliError> {
        self.get_in(self.lang, path)
    }

    /// The JSON at a path, in one language whatever was asked for.
    pub(super) fn get_in(&self, lang: Lang, path: &str) -> Result<Value, CliError> {
        let request = self.agent.get(self.url(path));
        let request = request.header("authorization", self.bearer()).header("accept-language", lang.tag());
        let attempted = format!("read `{path}`");
        json(&attempted, request.call().map_err(|error| self.failed(&attempted, &error))?)
    }

    /// Sends JSON, or nothing.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let request = self.agent.post(self.url(path));
        let request =
            request.header("authorization", self.bearer()).header("accept-language", self.lang.tag());
        let attempted = format!("post to `{path}`");
        json(&attempted, request.send_json(body).map_err(|error| self.failed(&attempted, &error))?)
    }

    /// Sends a file.
    pub(super) fn send_file(&self, put: bool, path: &str, file: &Path) -> Result<Value, CliError> {
        let opened = File::open(file).map_err(|source| CliError::File {
            attempted: "open",
            path: file.to_owned(),
            source,
        })?;
        let url = self.url(path);
        let request = if put { self.agent.put(url) } else { self.agent.post(url) };
        let request =
            request.header("authorization", self.bearer()).header("accept-language", self.lang.tag());
        let attempted = format!("send `{}`", file.display());
        json(&attempted, request.send(opened).map_err(|error| self.failed(&attempted, &error))?)
    }

    /// Writes what is at a path to `to`; returns how many bytes.
    pub(super) fn receive(&self, post: bool, path: &str, to: &mut impl Write) -> Result<u64, CliError> {
        let attempted = format!("read `{path}`");
        let (bearer, lang) = (self.bearer(), self.lang.tag());
        let answer = if post {
            let request = self.agent.post(self.url(path));
            request.header("authorization", bearer).header("accept-language", lang).send_empty()
        } else {
            let request = self.agent.get(self.url(path));
            request.header("authorization", bearer).header("accept-language", lang).call()
        };
        let mut answer = answer.map_err(|error| self.failed(&attempted, &error))?;
        if answer.status() != StatusCode::OK {
            return Err(match json(&attempted, answer) {
                Err(error) => error,
                Ok(found) => CliError::Exchange { attempted, found: found.to_string() },
            });
        }
        let broken =
            |error: io::Error| CliError::Exchange { attempted: attempted.clone(), found: error.to_string() };
        io::copy(&mut answer.body_mut().as_reader(), to).map_err(broken)
    }
}

fn json(attempted: &str, mut answer: Answered) -> Result<Value, CliError> {
    let failed = |found: String| CliError::Exchange { attempted: attempted.to_owned(), found };
    let mut text = String::new();
    let mut body = answer.body_mut().as_reader().take(ANSWER_BYTES_MAX);
    body.read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|_| {
        failed(format!("status {} with {} bytes that are not JSON", answer.status(), text.len()))
    })?;
    if answer.status().is_success() {
        return Ok(value);
    }
    let field = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    Err(CliError::Refused {
        code: field("error").unwrap_or_else(|| answer.status().to_string()),
        message: field("message").unwrap_or_default(),
        detail: field("detail"),
    })
}
