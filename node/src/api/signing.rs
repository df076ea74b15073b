//! Officers' signatures: who can sign here, asking for a signature, and what became of it.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use schema::document::Manifest;
use schema::handling::Role;
use schema::id::{RequestId, hex};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::guard::Caller;
use super::people::require_entitled;
use super::problem::Problem;
use super::{PATIENCE, SharedApi, json_body, lang_of, parsed};
use crate::keyring::Passphrase;
use crate::runtime::now;
use crate::signing::{Ask, DeskError, RequestView};
use crate::store::StoreError;
use crate::words::{Lang, SIGNING_STATE, with_causes, word};

/// Who can sign here.
pub(super) async fn signers(State(api): State<SharedApi>) -> Response {
    let rows = api.desk.signers().map(|(name, seat)| match seat {
        Ok(seat) => {
            let certificate = seat.certificate();
            json!({
                "name": name,
                "kind": seat.kind().word(),
                "officer": certificate.subject().to_string(),
                "issuer": certificate.issuer().to_string(),
                "serial": certificate.serial().to_string(),
                "key": certificate.key().describe(),
                "not_before": certificate.validity().not_before,
                "not_after": certificate.validity().not_after,
                "usable": true,
            })
        }
        Err(found) => json!({ "name": name, "usable": false, "found": found }),
    });
    Json(json!({ "rows": rows.collect::<Vec<_>>() })).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignRequest {
    signer: String,
    /// The frozen bytes, base64.
    content: String,
    /// What the officer reads.
    description: String,
    /// Passphrase or PIN. The copy in the buffer of the connection is not wiped; it never leaves this machine.
    secret: Option<String>,
}

/// Asks for a signature. Answers when it is signed, has failed, or the provider has taken it.
pub(super) async fn ask(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let lang = lang_of(request.headers());
    let body = json_body(request).await?;
    let unexpected = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "body").detail(detail);
    // The words of the error may repeat a piece of the body, and with it the secret.
    let request: SignRequest = serde_json::from_slice(&body).map_err(|error| {
        unexpected(format!("line {}, column {} is not as expected", error.line(), error.column()))
    })?;
    drop(body);
    let secret = request.secret.map(Zeroizing::new);
    let content = BASE64
        .decode(request.content.as_bytes())
        .map_err(|error| unexpected(format!("`content` is not base64: {error}")))?;
    // B8; what is no document is refused by the desk, with its reason.
    if let Ok(manifest) = Manifest::decode(&content) {
        require_entitled(&api, &caller, &[Role::Leader], &manifest, &[]).await?;
    }
    let secret = secret.map(|secret| Passphrase::parse(secret.as_bytes())).transpose();
    let secret =
        secret.map_err(|defect| unexpected(format!("the passphrase or PIN cannot be used: {defect}")))?;
    let asked_by = caller.person(&[Role::Leader, Role::Clerk]).map(|by| by.name);
    let ask = Ask { signer: request.signer, content, description: request.description, asked_by, secret };
    let Ok(Ok(permit)) = timeout(PATIENCE, std::sync::Arc::clone(&api.asks).acquire_owned()).await else {
        return Err(Problem::busy());
    };
    let desk = std::sync::Arc::clone(&api.desk);
    let asking = tokio::task::spawn_blocking(move || {
        let asked = desk.ask(&ask, now());
        drop(permit);
        asked
    });
    let view = asking.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store"))?;
    let view = view.map_err(|error| refused(&error, lang))?;
    Ok((StatusCode::CREATED, Json(shown(&view, lang))).into_response())
}

fn refused(error: &DeskError, lang: Lang) -> Problem {
    let code = error.word();
    let status = match error {
        DeskError::Store(error) if error.is_disk_full() => return Problem::disk_full(),
        DeskError::Store(_) | DeskError::Randomness(_) => {
            tracing::error!(error = with_causes(error), "a signing request was not taken");
            return Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store").detail(error.to_string());
        }
        DeskError::Preparation(error) => {
            let detail = error.text(lang.into());
            return Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code).detail(detail);
        }
        DeskError::UnknownSigner { .. } => StatusCode::NOT_FOUND,
        DeskError::Unusable { .. } => StatusCode::CONFLICT,
        DeskError::TooMany => StatusCode::TOO_MANY_REQUESTS,
        DeskError::ContentLength { .. } | DeskError::Description => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, code).detail(error.to_string())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    limit: Option<u32>,
}

/// The newest requests, newest first, without their signatures.
pub(super) async fn list(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(ListQuery { limit }) = parsed(query)?;
    let lang = lang_of(&headers);
    let views = at_the_desk(&api, move |desk| desk.requests(limit.unwrap_or(50))).await?;
    let rows: Vec<Value> = views.iter().map(|view| shown(view, lang)).collect();
    Ok(Json(json!({ "rows": rows })).into_response())
}

/// One request, with its signature once there is one.
pub(super) async fn show(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let Path(id) = parsed(path)?;
    let id: RequestId = parsed(id.parse())?;
    let view = at_the_desk(&api, move |desk| desk.request(&id)).await?;
    let view = view.ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "no-request").detail(format!("signing request `{id}`"))
    })?;
    Ok(Json(shown(&view, lang_of(&headers))).into_response())
}

async fn at_the_desk<T: Send + 'static>(
    api: &SharedApi,
    look: impl FnOnce(&crate::signing::Desk) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let desk = std::sync::Arc::clone(&api.desk);
    let looking = tokio::task::spawn_blocking(move || look(&desk)).await;
    Ok(looking.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store"))??)
}

fn shown(view: &RequestView, lang: Lang) -> Value {
    json!({
        "request": view.id,
        "signer": view.signer,
        "officer": view.officer,
        "description": view.description,
        "asked_by": view.asked_by,
        "sha256": hex(&view.digest),
        "check": view.check,
        "state": view.state,
        "state_text": word(SIGNING_STATE, view.state.word(), lang),
        "reason": view.reason,
        "reason_text": view.reason_text(lang),
        "created_at": view.created_at,
        "expires_at": view.expires_at,
        "ended_at": view.ended_at,
        "signature": view.signature.as_deref().map(|der| BASE64.encode(der)),
    })
}
