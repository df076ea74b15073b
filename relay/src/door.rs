//! The loopback door: status for operators, and courier files into the running relay.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use schema::courier::Record;
use schema::pack::{MESSAGE_BYTES_MAX, Message};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::content::{Content, Source};
use crate::status::{Book, Status};
use crate::worker::{CourierAnswer, CourierPack};

/// Largest record of a courier file, in bytes.
const RECORD_BYTES_MAX: usize = MESSAGE_BYTES_MAX + 64 * 1024;

/// What the door needs.
pub(crate) struct Door {
    pub(crate) book: Arc<Book>,
    pub(crate) content: Arc<Content>,
    pub(crate) courier: mpsc::Sender<CourierPack>,
    pub(crate) token: String,
}

/// Serves on a bound loopback socket for ever.
pub(crate) async fn serve(door: Arc<Door>, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/status", get(status))
        .route("/courier", post(courier))
        .layer(DefaultBodyLimit::max(RECORD_BYTES_MAX))
        .layer(middleware::from_fn(only_loopback_names))
        .with_state(door);
    axum::serve(listener, router).await
}

/// A page in somebody's browser can reach loopback under a name of its own; it must not read or send anything
/// here.
async fn only_loopback_names(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let known = host.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
        || host.split(':').next() == Some("localhost");
    if known && !request.headers().contains_key(header::ORIGIN) {
        next.run(request).await
    } else {
        refuse(StatusCode::FORBIDDEN, "ask under 127.0.0.1 or localhost, and not from a web page")
    }
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

async fn healthz(State(door): State<Arc<Door>>) -> Response {
    if door.book.read().ready {
        Json(json!({ "status": "ok" })).into_response()
    } else {
        refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "the relay is not connected to its server, or makes its streams",
        )
    }
}

async fn status(State(door): State<Arc<Door>>) -> Json<Status> {
    Json(door.book.read())
}

async fn courier(State(door): State<Arc<Door>>, headers: HeaderMap, body: Bytes) -> Response {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !same(given.as_bytes(), format!("Bearer {}", door.token).as_bytes()) {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "the token of `status.token` in the relay's data folder is needed",
        );
    }
    let record: Record = match minicbor::decode(&body) {
        Ok(record) => record,
        Err(error) => {
            return refuse(StatusCode::BAD_REQUEST, &format!("not a record of a courier file: {error}"));
        }
    };
    match record {
        Record::Pack(items) => {
            let (answer, answered) = oneshot::channel();
            let message = Message::Pack(items).encode().into();
            if door.courier.send(CourierPack { message, answer }).await.is_err() {
                return refuse(StatusCode::SERVICE_UNAVAILABLE, "the relay is stopping");
            }
            match answered.await {
                Ok(answer @ (CourierAnswer::Taken { .. } | CourierAnswer::Kept)) => {
                    Json(answer).into_response()
                }
                Ok(answer @ CourierAnswer::Failed { .. }) => {
                    (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
                }
                Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the relay is stopping"),
            }
        }
        Record::Chunk { blob, index, bytes } => {
            let content = Arc::clone(&door.content);
            let stored =
                tokio::task::spawn_blocking(move || content.store(Source::Courier, &blob, index, &bytes))
                    .await;
            match stored {
                Ok(Ok(())) => Json(CourierAnswer::Kept).into_response(),
                Ok(Err(error)) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
                Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
            }
        }
        Record::End { .. } => {
            refuse(StatusCode::BAD_REQUEST, "the end mark of a courier file carries nothing")
        }
    }
}

/// Compares without telling by its duration how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}
