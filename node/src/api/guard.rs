//! Who may ask: programs on this machine that can read the station's token. Checked before a body is read.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::{Api, SharedApi};
use crate::words::Lang;

/// Checks the request, lets it through, and gives a refusal its words.
pub(super) async fn guard(State(api): State<SharedApi>, request: Request, next: Next) -> Response {
    let lang = Lang::of_header(text(request.headers(), &header::ACCEPT_LANGUAGE));
    let mut response = match check(&api, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem.render(lang),
        None => {
            let headers = response.headers_mut();
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
            headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
            response
        }
    }
}

fn check(api: &Api, headers: &HeaderMap) -> Result<(), Problem> {
    let host = text(headers, &header::HOST).unwrap_or_default();
    // A page of another site may carry a name that leads to this machine: it is the name that gives it away.
    if headers.get_all(header::HOST).iter().count() != 1 || !api.answers_to(host) {
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "host"));
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = text(headers, &header::ORIGIN).unwrap_or_default();
        if !origin.strip_prefix("http://").is_some_and(|host| api.answers_to(host)) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "origin"));
        }
    }
    let token = text(headers, &header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    // Hashes are compared, so the time it takes says nothing about the token.
    if token.is_some_and(|token| token_hash(token) == api.token_hash) {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::UNAUTHORIZED, "token"))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
