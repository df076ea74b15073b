//! Attachments in and out, chunk by chunk.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schema::blob::{BLOB_BYTES_MAX, BlobRef, CHUNK_BYTES};
use schema::document::{Attachment, Secrecy};
use schema::handling::Standing;
use schema::id::BlobHash;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::documents::require_allowed;
use super::guard::Caller;
use super::problem::Problem;
use super::stream::{PIECES_MAX, PieceWriter, STALLED};
use super::{PATIENCE, SharedApi, body_of, check_length, document_id, no_document, parsed};
use crate::runtime::now;
use crate::step::{Answer, Input};

/// How long a chunk waits for room in the core's queue: uploads may outrun a slow disk for a while.
const CHUNK_PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeepQuery {
    length: u64,
    /// Of the document that it belongs to: bytes that must not be here are refused before one of them is read.
    secrecy: Secrecy,
}

/// Keeps an upload under its hash.
pub(super) async fn keep(
    State(api): State<SharedApi>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<KeepQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(hash) = parsed(path)?;
    let hash: BlobHash = parsed(hash.parse())?;
    let Query(KeepQuery { length, secrecy }) = parsed(query)?;
    require_allowed(secrecy)?;
    if length == 0 {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "empty-file"));
    }
    if length > BLOB_BYTES_MAX {
        return Err(Problem::too_large(BLOB_BYTES_MAX));
    }
    if check_length(request.headers(), BLOB_BYTES_MAX)?.is_some_and(|announced| announced != length) {
        return Err(Problem::parameter("the content length is not the length in the address"));
    }
    let blob = BlobRef { hash, length };
    match api.read(move |reader| reader.has_blob(&hash)).await? {
        false => take(&api, blob, body_of(request)).await?,
        true => pass_over(blob, body_of(request)).await?,
    }
    match api.inputs.ask(PATIENCE, |ticket| Input::BlobComplete { ticket, blob }).await? {
        Answer::BlobKept(blob) => Ok((StatusCode::CREATED, Json(json!({ "blob": blob }))).into_response()),
        Answer::BlobMismatch(_) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "blob-mismatch")),
        Answer::DiskFull => Err(Problem::disk_full()),
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::Dispatched { .. } | Answer::Done(_) | Answer::Imported(_) => {
            unreachable!("the core answers an upload with what became of the upload")
        }
    }
}

async fn take(api: &SharedApi, blob: BlobRef, body: Body) -> Result<(), Problem> {
    let cut = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "cut").detail(detail);
    let mut pieces = body.into_data_stream();
    let mut buffer = BytesMut::new();
    for index in 0..blob.chunks() {
        let length = blob.chunk_length(index).expect("the index is below the number of chunks");
        while buffer.len() < length {
            match timeout(STALLED, pieces.next()).await {
                Ok(Some(Ok(piece))) => buffer.extend_from_slice(&piece),
                Ok(Some(Err(error))) => return Err(cut(error.to_string())),
                Ok(None) => {
                    let found = u64::from(index) * u64::from(CHUNK_BYTES) + buffer.len() as u64;
                    return Err(cut(format!("{found} of {} bytes came", blob.length)));
                }
                Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow")),
            }
        }
        let bytes = Some(buffer.split_to(length).freeze());
        api.inputs.put_within(CHUNK_PATIENCE, Input::Chunk { blob, index, bytes, relay: None }).await?;
    }
    let rest = match buffer.is_empty() {
        true => timeout(STALLED, pieces.next()).await.ok().flatten().and_then(Result::ok).unwrap_or_default(),
        false => buffer.freeze(),
    };
    if rest.is_empty() {
        Ok(())
    } else {
        Err(Problem::parameter("more bytes came than the length in the address"))
    }
}

/// Reads what is here already to its end: a connection that is closed in the middle of it would break the next request,
/// or cut the client off before it sees the answer.
async fn pass_over(blob: BlobRef, body: Body) -> Result<(), Problem> {
    let mut pieces = body.into_data_stream();
    let mut passed = 0;
    while passed <= blob.length {
        match timeout(STALLED, pieces.next()).await {
            Ok(Some(Ok(piece))) => passed += piece.len() as u64,
            Ok(Some(Err(_)) | None) => break,
            Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow")),
        }
    }
    Ok(())
}

/// Gives an attachment. The last chunk leaves only when the hash of all is right, so a damaged store gives a
/// file that is visibly cut, never one that looks whole.
pub(super) async fn give(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((id, n)) = parsed(path)?;
    let id = document_id(Ok(Path(id)))?;
    let n: usize = parsed(n.parse())?;
    let view = api.read(move |reader| reader.document(&id, now())).await?.ok_or_else(|| no_document(&id))?;
    let standing = view.progress.as_ref().map(|progress| progress.standing);
    if matches!(standing, Some(Standing::Recalled | Standing::TakenBack)) && !caller.is_auditor() {
        return Err(Problem::new(StatusCode::FORBIDDEN, "content-blocked"));
    }
    let attachment = n.checked_sub(1).and_then(|index| view.attachments.into_iter().nth(index));
    let Some(attachment) = attachment else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no-attachment"));
    };
    if !attachment.complete {
        return Err(Problem::new(StatusCode::CONFLICT, "attachment-awaited"));
    }
    let Attachment { name, blob, .. } = attachment.attachment;
    let permit = Arc::clone(&api.transfers).try_acquire_owned().map_err(|_| Problem::busy())?;
    let reader = api.take_reader()?;
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let writer = PieceWriter::new(handle, sender);
        let mut hash = Sha256::new();
        let give = || -> io::Result<()> {
            for index in 0..blob.chunks() {
                let chunk = reader.chunk(&blob.hash, index).map_err(io::Error::other)?;
                let chunk = chunk.ok_or_else(|| io::Error::other(format!("chunk {index} is missing")))?;
                hash.update(&chunk);
                if index + 1 == blob.chunks() && hash.clone().finalize()[..] != blob.hash.as_bytes()[..] {
                    return Err(io::Error::other("the stored bytes do not have their hash"));
                }
                writer.piece(Bytes::from(chunk))?;
            }
            Ok(())
        };
        match { give }() {
            Ok(()) => api.give_reader_back(reader),
            Err(error) => {
                tracing::error!(blob = %blob.hash, %error, "attachment could not be given whole");
                writer.broken(error);
            }
        }
    });
    let body = Body::from_stream(stream::unfold(pieces, async |mut pieces| {
        pieces.recv().await.map(|piece| (piece, pieces))
    }));
    let text = |value: String| HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        // Never the sender's media type: a browser must not be told to run what came from outside.
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(blob.length)),
        (header::CONTENT_DISPOSITION, text(format!("attachment; filename*=UTF-8''{}", percent(&name)))),
        (header::ETAG, text(format!("\"{}\"", blob.hash))),
    ];
    Ok((headers, body).into_response())
}

/// RFC 5987 `ext-value`: everything but letters, digits, `-`, `.` and `_` as percent and two digits.
fn percent(name: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
    utf8_percent_encode(name, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_cannot_leave_its_header() {
        assert_eq!(percent("Công văn.pdf"), "C%C3%B4ng%20v%C4%83n.pdf");
        assert_eq!(percent("a\"\r\nX: y"), "a%22%0D%0AX%3A%20y");
    }
}
