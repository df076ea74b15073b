//! Answers that say no: a code for programs, words for people.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schema::directory::{CodeHolder, ResolveError};
use serde_json::{Value, json};

use crate::content::ContentError;
use crate::runtime::AskError;
use crate::store::{ExportError, StoreError};
use crate::words::{self, Lang, with_causes};

/// A refusal or a failure on its way to whoever asked. The words are chosen when the language is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Option<Detail>,
    retry_after_s: Option<u32>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Detail {
    /// In the program's words (English).
    Program(String),
    /// In a person's words.
    Words(Told),
}

/// Words for a person, in both languages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Told {
    pub(super) vi: String,
    pub(super) en: String,
}

impl Told {
    /// The same words, said in each language.
    pub(super) fn by(say: impl Fn(Lang) -> String) -> Self {
        Self { vi: say(Lang::Vi), en: say(Lang::En) }
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str) -> Self {
        Self { status, code, detail: None, retry_after_s: None }
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(Detail::Program(detail.into()));
        self
    }

    /// What was found, in a person's words.
    pub(super) fn told(mut self, detail: Told) -> Self {
        self.detail = Some(Detail::Words(detail));
        self
    }

    pub(super) fn parameter(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "parameter").detail(detail)
    }

    pub(super) fn too_large(most: u64) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large")
            .detail(format!("at most {most} bytes are accepted"))
    }

    pub(super) fn disk_full() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk-full")
    }

    pub(super) fn busy() -> Self {
        Self { retry_after_s: Some(5), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy") }
    }

    fn json(&self, lang: Lang) -> Value {
        let detail = self.detail.as_ref().map(|detail| match (detail, lang) {
            (Detail::Program(text), _)
            | (Detail::Words(Told { vi: text, .. }), Lang::Vi)
            | (Detail::Words(Told { en: text, .. }), Lang::En) => text,
        });
        json!({
            "error": self.code,
            "message": words::problem(self.code, lang),
            "detail": detail,
        })
    }

    /// The answer in one language.
    pub(super) fn render(&self, lang: Lang) -> Response {
        let mut response = (self.status, Json(self.json(lang))).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LANGUAGE, header::HeaderValue::from_static(lang.tag()));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from(seconds));
        }
        // What was not read of the request would be taken for the next one.
        if matches!(self.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            headers.insert(header::CONNECTION, header::HeaderValue::from_static("close"));
        }
        response
    }
}

/// Carried as an extension until the language is known.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Busy => Self::busy(),
            AskError::Stopped => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopped"),
            AskError::Unknown => Self::new(StatusCode::GATEWAY_TIMEOUT, "unknown"),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = with_causes(&error), "store could not be read for the API");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store").detail(error.to_string())
    }
}

impl From<ContentError> for Problem {
    fn from(error: ContentError) -> Self {
        if error.is_disk_full() {
            return Self::disk_full();
        }
        tracing::error!(error = with_causes(&error), "an attachment could not be handled for the API");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store").detail(error.to_string())
    }
}

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => error.into(),
            ExportError::Content(error) => error.into(),
            ExportError::Courier(error) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store").detail(error.to_string())
            }
        }
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        let code = match &error {
            ResolveError::Unknown { .. } => "unknown-code",
            ResolveError::NotAt { .. } => "code-not-valid-today",
            ResolveError::Ambiguous { .. } => "code-ambiguous",
        };
        let vi = match &error {
            ResolveError::Unknown { code } => format!("Mã: {code}"),
            ResolveError::NotAt { code, at, holders } => {
                format!("Mã {code} ngày {at}. Đã hoặc sẽ thuộc về: {}", held_by(holders))
            }
            ResolveError::Ambiguous { code, at, holders } => {
                format!("Mã {code} ngày {at} thuộc về nhiều đơn vị: {}", held_by(holders))
            }
        };
        let en = error.to_string();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code).told(Told { vi, en })
    }
}

/// Who holds or held a code.
fn held_by(holders: &[CodeHolder]) -> String {
    let one = |holder: &CodeHolder| format!("{} ({})", holder.office, holder.system);
    holders.iter().map(one).collect::<Vec<_>>().join(", ")
}
