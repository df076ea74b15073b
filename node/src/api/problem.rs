//! Answers that say no: a code for programs, words for people.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schema::directory::ResolveError;
use schema::exchange::{Refusal, WorkRefusal};
use schema::trust::Language;
use serde_json::{Value, json};

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
    Words { vi: String, en: String },
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str) -> Self {
        Self { status, code, detail: None, retry_after_s: None }
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(Detail::Program(detail.into()));
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
            | (Detail::Words { vi: text, .. }, Lang::Vi)
            | (Detail::Words { en: text, .. }, Lang::En) => text,
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

impl From<ExportError> for Problem {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => error.into(),
            ExportError::Courier(error) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store").detail(error.to_string())
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        let (status, code) = match &refusal {
            Refusal::NoRecipients => (UNPROCESSABLE, "no-recipients"),
            Refusal::TooManyRecipients { .. } => (UNPROCESSABLE, "too-many-recipients"),
            Refusal::ToItself => (UNPROCESSABLE, "to-itself"),
            Refusal::UnknownRecipient { .. } => (UNPROCESSABLE, "unknown-recipient"),
            Refusal::NotEnrolled { .. } => (UNPROCESSABLE, "not-enrolled"),
            Refusal::AlreadyDispatched { .. } => (StatusCode::CONFLICT, "already-dispatched"),
            Refusal::Unsigned => (UNPROCESSABLE, "unsigned"),
            Refusal::SameNumber { .. } => (StatusCode::CONFLICT, "number-sent"),
            Refusal::RecipientNotAllowed { .. } => (StatusCode::FORBIDDEN, "recipient-not-allowed"),
            Refusal::Document(_) => (UNPROCESSABLE, "document"),
            Refusal::AttachmentMissing { .. } => (StatusCode::CONFLICT, "attachment-missing"),
            Refusal::SignatureInvalid { .. } => (UNPROCESSABLE, "signature-invalid"),
            Refusal::TooLarge => (UNPROCESSABLE, "text-too-large"),
            Refusal::Work(refusal) => return refusal.into(),
        };
        let problem = Self::new(status, code);
        match &refusal {
            Refusal::SignatureInvalid { number, why } => {
                let [vi, en] = [Language::Vietnamese, Language::English].map(|language| why.told(language));
                let detail = Detail::Words {
                    vi: format!("Chữ ký thứ {number}: {vi}"),
                    en: format!("Signature {number}: {en}"),
                };
                Self { detail: Some(detail), ..problem }
            }
            refusal => problem.detail(with_causes(refusal)),
        }
    }
}

impl From<&WorkRefusal> for Problem {
    fn from(refusal: &WorkRefusal) -> Self {
        let code = match refusal {
            WorkRefusal::Role { .. } => "role",
            WorkRefusal::NotInRole { .. } => "not-in-role",
            WorkRefusal::TypeNotYours { .. } => "type-not-yours",
            WorkRefusal::RecipientNotYours { .. } => "recipient-not-yours",
            WorkRefusal::NotHere { .. } => "not-here",
            WorkRefusal::NotSentTo { .. } => "not-sent-to",
            WorkRefusal::NotSent { .. } => "not-sent-here",
            WorkRefusal::AlreadyRegistered { .. } => "already-registered",
            WorkRefusal::DoneBefore { .. } => "done-before",
            WorkRefusal::OtherWork { .. } => "other-work",
            WorkRefusal::AlreadyRefused => "already-refused",
            WorkRefusal::NotRegistered => "not-registered",
            WorkRefusal::AlreadyFinished => "already-finished",
            WorkRefusal::AlreadyStarted => "already-started",
            WorkRefusal::AskedBack => "asked-back",
            WorkRefusal::CountsNoMore { .. } => "counts-no-more",
            WorkRefusal::NothingAsked => "nothing-asked",
            WorkRefusal::AlreadyAsked { .. } => "already-asked",
            WorkRefusal::AskedTooOften { .. } => "asked-too-often",
            WorkRefusal::NobodyLeft => "nobody-left",
            WorkRefusal::NothingSaid { .. } => "nothing-said",
            WorkRefusal::IsDrafted { .. } => "is-drafted",
            WorkRefusal::AlreadySetAside => "already-set-aside",
            WorkRefusal::SignatureInvalid => "signature-not-valid",
            WorkRefusal::Undetermined => "undetermined",
            WorkRefusal::SameNumber { .. } => "same-number",
            WorkRefusal::UnknownBook => "unknown-book",
            WorkRefusal::BookDoubtful { .. } => "book-doubtful",
            WorkRefusal::BookInUse { .. } => "book-in-use",
            WorkRefusal::BelowKnown { .. } => "below-known",
            WorkRefusal::BookFull { .. } => "book-full",
            WorkRefusal::NoDraft { .. } => "no-draft",
            WorkRefusal::OtherIssuer => "other-issuer",
            WorkRefusal::TypeNotAllowed { .. } => "type-not-allowed",
            WorkRefusal::ContentFixed => "content-fixed",
            WorkRefusal::NotApproved => "not-approved",
            WorkRefusal::AlreadyApproved => "already-approved",
            WorkRefusal::NotSigned => "not-signed",
            WorkRefusal::AlreadySigned => "already-signed",
            WorkRefusal::TooManySignatures => "too-many-signatures",
            WorkRefusal::NotIssued => "not-issued",
            WorkRefusal::AlreadyIssued => "already-issued",
            WorkRefusal::AlreadySent => "already-sent",
            WorkRefusal::AlreadyDiscarded => "already-discarded",
            WorkRefusal::NoMainFile => "no-main-file",
            WorkRefusal::NoSymbol { .. } => "no-symbol",
            WorkRefusal::Text(_) => "work-text",
        };
        let status = match refusal {
            WorkRefusal::Role { .. }
            | WorkRefusal::NotInRole { .. }
            | WorkRefusal::TypeNotYours { .. }
            | WorkRefusal::RecipientNotYours { .. }
            | WorkRefusal::TypeNotAllowed { .. } => StatusCode::FORBIDDEN,
            WorkRefusal::NoDraft { .. }
            | WorkRefusal::NotHere { .. }
            | WorkRefusal::NotSent { .. }
            | WorkRefusal::NothingSaid { .. }
            | WorkRefusal::NotSentTo { .. } => StatusCode::NOT_FOUND,
            WorkRefusal::Undetermined | WorkRefusal::UnknownBook | WorkRefusal::Text(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            _ => StatusCode::CONFLICT,
        };
        Self { detail: Some(detail_of(refusal)), ..Self::new(status, code) }
    }
}

/// Who may, by name.
fn may(who: &[String], lang: Lang) -> String {
    match (who.is_empty(), lang) {
        (true, Lang::Vi) => "Chưa ai trong đơn vị được giao việc này.".to_owned(),
        (true, Lang::En) => "Nobody of this office is entrusted with that.".to_owned(),
        (false, Lang::Vi) => format!("Người được giao: {}.", who.join(", ")),
        (false, Lang::En) => format!("Entrusted with that: {}.", who.join(", ")),
    }
}

/// The particulars of a refusal, for people.
fn detail_of(refusal: &WorkRefusal) -> Detail {
    let words = |vi: String, en: String| Detail::Words { vi, en };
    match refusal {
        WorkRefusal::Role { wanted, .. } => {
            let roles = |lang| {
                let roles = wanted.iter().map(|role| words::word(words::ROLE, role.slug(), lang));
                roles.collect::<Vec<_>>().join(", ")
            };
            words(roles(Lang::Vi), roles(Lang::En))
        }
        WorkRefusal::TypeNotYours { document_type, who } => {
            let name = |language| document_type.name(language);
            words(
                format!("Loại văn bản: {}. {}", name(Language::Vietnamese), may(who, Lang::Vi)),
                format!("Type: {}. {}", name(Language::English), may(who, Lang::En)),
            )
        }
        WorkRefusal::RecipientNotYours { office, who } => words(
            format!("Nơi nhận: {office}. {}", may(who, Lang::Vi)),
            format!("Recipient: {office}. {}", may(who, Lang::En)),
        ),
        WorkRefusal::AlreadyRegistered { entry } => words(
            format!("Số đến {entry} năm {}", entry.year),
            format!("Arrival number {entry} of {}", entry.year),
        ),
        WorkRefusal::DoneBefore { line, .. } | WorkRefusal::OtherWork { line } => words(
            format!("Số {line} năm {}, sổ `{}`", line.year, line.book),
            format!("Number {line} of {}, register `{}`", line.year, line.book),
        ),
        WorkRefusal::CountsNoMore { standing } => {
            let key = serde_json::to_value(standing).unwrap_or_default();
            let told = |lang| words::word(words::STANDING, key.as_str().unwrap_or_default(), lang).to_owned();
            words(told(Lang::Vi), told(Lang::En))
        }
        WorkRefusal::SameNumber { other } => {
            words(format!("Văn bản kia: {other}"), format!("The other document: {other}"))
        }
        WorkRefusal::BookDoubtful { book, highest }
        | WorkRefusal::BookInUse { book, highest }
        | WorkRefusal::BelowKnown { book, highest } => words(
            format!("Sổ `{book}`: số lớn nhất trạm biết là {highest}"),
            format!("Register `{book}`: the highest number known here is {highest}"),
        ),
        refusal => Detail::Program(with_causes(refusal)),
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        let code = match &error {
            ResolveError::Unknown { .. } => "unknown-code",
            ResolveError::NotAt { .. } => "code-not-valid-today",
            ResolveError::Ambiguous { .. } => "code-ambiguous",
        };
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code).detail(error.to_string())
    }
}
