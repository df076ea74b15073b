//! Asks the NATS server's monitoring port.

use std::time::Duration;

use serde_json::Value;

/// Longest wait for an answer.
const WAIT: Duration = Duration::from_secs(3);
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonitorError {
    /// It answered, and not with success.
    #[error("`{url}` answered with status {status}")]
    Status {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// No usable answer.
    #[error("`{url}` gave no answer: {found}")]
    Silent {
        /// What was asked.
        url: String,
        /// What was found.
        found: String,
    },
}

impl MonitorError {
    /// Whether somebody answered.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Status { .. })
    }
}

/// Fetches a JSON page.
///
/// # Errors
/// When nobody answers in time, or not with success and JSON.
pub(crate) async fn fetch(base: &str, path: &str) -> Result<Value, MonitorError> {
    let url = format!("{base}{path}");
    let asked = url.clone();
    let answer = tokio::task::spawn_blocking(move || fetch_blocking(&asked)).await;
    answer.unwrap_or_else(|error| Err(MonitorError::Silent { url, found: error.to_string() }))
}

fn fetch_blocking(url: &str) -> Result<Value, MonitorError> {
    let silent = |error: ureq::Error| match error {
        ureq::Error::StatusCode(status) => MonitorError::Status { url: url.to_owned(), status },
        error => MonitorError::Silent { url: url.to_owned(), found: error.to_string() },
    };
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(WAIT)).build().into();
    let mut response = agent.get(url).call().map_err(silent)?;
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(silent)?;
    serde_json::from_slice(&body)
        .map_err(|error| MonitorError::Silent { url: url.to_owned(), found: error.to_string() })
}

/// Whether the server provably syncs before it acknowledges; `None` when it cannot be told.
pub(crate) async fn syncs_always(base: &str) -> Option<bool> {
    let page = fetch(base, "/jsz").await.ok()?;
    let config = page.get("config")?;
    Some(config.get("sync_always").and_then(Value::as_bool).unwrap_or(false))
}
