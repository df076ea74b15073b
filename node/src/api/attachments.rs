//! Attachments in and out: sealed on the way to the disk, opened on the way from it; and what the signatures inside them are worth.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schema::blob::{BlobRef, Enclosure, FILE_BYTES_MAX, FileRef};
use schema::document::{Attachment, Secrecy};
use schema::handling::Standing;
use schema::id::{DocumentId, FileHash};
use schema::time::Millis;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::documents::require_allowed;
use super::guard::Caller;
use super::kinds;
use super::problem::Problem;
use super::registry::judged_as_sent;
use super::stream::{Cut, PIECES_MAX, PieceReader, PieceWriter, STALLED, feed};
use super::{PATIENCE, SharedApi, body_of, check_length, document_id, lang_of, no_document, parsed};
use crate::content::{ContentError, Contents};
use crate::pdf::{PdfError, PdfReport, Remark};
use crate::runtime::now;
use crate::sealing::{PIECE_BYTES, identity_text, open_file};
use crate::step::{Answer, Input, Opening};
use crate::store::{AttachmentState, AttachmentView, Reader};
use crate::words::{Lang, PDF_OUTCOME, PDF_UNJUDGED, word};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeepQuery {
    length: u64,
    /// What the file is called, for what is told of it.
    name: Option<String>,
    /// Of the document that it belongs to: bytes that must not be here are refused before one of them is read.
    secrecy: Secrecy,
}

/// Seals a person's file and keeps it; what is here under its hash already is not sealed again.
pub(super) async fn keep(
    State(api): State<SharedApi>,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<KeepQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Path(hash) = parsed(path)?;
    let hash: FileHash = parsed(hash.parse())?;
    let Query(KeepQuery { length, name, secrecy }) = parsed(query)?;
    require_allowed(secrecy)?;
    if length == 0 {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "empty-file"));
    }
    if length > FILE_BYTES_MAX {
        return Err(Problem::too_large(FILE_BYTES_MAX));
    }
    if check_length(request.headers(), FILE_BYTES_MAX)?.is_some_and(|announced| announced != length) {
        return Err(Problem::parameter("the content length is not the length in the address"));
    }
    let file = FileRef { hash, length };
    let lang = lang_of(request.headers());
    let kept = async |enclosure: Enclosure| {
        let found = kinds::of_file(&api, (enclosure, file), name.clone(), lang).await;
        let mut told = json!(file);
        told["found"] = found;
        (StatusCode::CREATED, Json(told)).into_response()
    };
    if let Some(enclosure) = api.read(move |reader| reader.enclosure(&hash)).await?
        && is_here(&api, enclosure.blob).await
    {
        pass_over(length, body_of(request)).await?;
        return Ok(kept(enclosure).await);
    }
    let enclosure = seal(&api, file, body_of(request)).await?;
    let opening = Opening { enclosure, file };
    match api.inputs.ask(PATIENCE, |ticket| Input::Enclosed { ticket, opening }).await? {
        Answer::Kept => Ok(kept(enclosure).await),
        Answer::DiskFull => Err(Problem::disk_full()),
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::Dispatched { .. }
        | Answer::Done(_)
        | Answer::Imported(_)
        | Answer::Incomplete
        | Answer::Discarded(_)
        | Answer::SealingKey { .. } => {
            unreachable!("the core keeps what was sealed, or says why not")
        }
    }
}

/// Whether what the store says is here is on the disk; from now on it counts as brought just now.
async fn is_here(api: &SharedApi, blob: BlobRef) -> bool {
    let contents = Arc::clone(&api.contents);
    let touched = tokio::task::spawn_blocking(move || contents.touch(&blob, SystemTime::now()));
    matches!(touched.await, Ok(Ok(())))
}

/// Takes the file as it comes, and seals it on the way to the disk.
async fn seal(api: &SharedApi, file: FileRef, body: Body) -> Result<Enclosure, Problem> {
    let permit = Arc::clone(&api.transfers).try_acquire_owned().map_err(|_| Problem::busy())?;
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let (handle, contents) = (Handle::current(), Arc::clone(&api.contents));
    let sealing = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        contents.seal(&mut PieceReader::new(handle, pieces), &file)
    });
    let broken = match feed(body, sender, file.length).await {
        Ok(()) => None,
        Err(Cut::Broken(found)) => Some(found),
        Err(Cut::Stalled) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow")),
    };
    let sealed = sealing.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store"))?;
    sealed.map_err(|error| match error {
        ContentError::OtherFile { found, .. } if found.length < file.length => {
            let came = format!("{} of {} bytes came", found.length, file.length);
            Problem::new(StatusCode::BAD_REQUEST, "cut").detail(broken.unwrap_or(came))
        }
        ContentError::OtherFile { found, .. } if found.length > file.length => {
            Problem::parameter("more bytes came than the length in the address")
        }
        ContentError::OtherFile { .. } => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "file-mismatch"),
        error => error.into(),
    })
}

/// Reads what is here already to its end: a connection that is closed in the middle of it would break the next request,
/// or cut the client off before it sees the answer.
async fn pass_over(length: u64, body: Body) -> Result<(), Problem> {
    let mut pieces = body.into_data_stream();
    let mut passed = 0;
    while passed <= length {
        match timeout(STALLED, pieces.next()).await {
            Ok(Some(Ok(piece))) => passed += piece.len() as u64,
            Ok(Some(Err(_)) | None) => break,
            Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow")),
        }
    }
    Ok(())
}

/// Gives an attachment, opened. The last piece leaves only when the hash of all is right, so a damaged store gives a
/// file that is visibly cut, never one that looks whole.
pub(super) async fn give(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (_, attachment) = attachment_of(&api, &caller, path).await?;
    let AttachmentView { attachment: Attachment { name, file, .. }, opening, .. } = attachment;
    let enclosure = opening.enclosure;
    let headers = told_by(&format!("\"{}\"", file.hash), file.length, &name);
    let body = pieces_of(&api, move |contents, writer| give_pieces(contents, &enclosure, &file, writer))?;
    Ok((headers, body).into_response())
}

/// Gives an attachment as relays carry it; its hash is in the event, so whoever has that can check it.
pub(super) async fn give_sealed(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (_, attachment) = attachment_of(&api, &caller, path).await?;
    let blob = attachment.opening.enclosure.blob;
    let name = format!("{}.age", attachment.attachment.name);
    let headers = told_by(&format!("\"{}\"", blob.hash), blob.length, &name);
    let body = pieces_of(&api, move |contents, writer| {
        let mut sealed = contents.whole(&blob).map_err(io::Error::other)?;
        io::copy(&mut sealed, writer)?;
        writer.flush()
    })?;
    Ok((headers, body).into_response())
}

/// What opens an attachment as relays carry it, for `age -d -i`.
pub(super) async fn identity(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (_, attachment) = attachment_of(&api, &caller, path).await?;
    let text = identity_text(&attachment.opening.enclosure.identity);
    Ok(Json(json!({ "identity": text.as_str(), "blob": attachment.opening.enclosure.blob })).into_response())
}

/// Writes a body on a thread of its own; one that fails is visibly cut.
fn pieces_of(
    api: &SharedApi,
    write: impl FnOnce(&Contents, &mut PieceWriter) -> io::Result<()> + Send + 'static,
) -> Result<Body, Problem> {
    let permit = Arc::clone(&api.transfers).try_acquire_owned().map_err(|_| Problem::busy())?;
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let (handle, contents) = (Handle::current(), Arc::clone(&api.contents));
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut writer = PieceWriter::new(handle, sender);
        if let Err(error) = write(&contents, &mut writer) {
            tracing::error!(%error, "attachment could not be given whole");
            writer.broken(error);
        }
    });
    Ok(Body::from_stream(stream::unfold(pieces, async |mut pieces| {
        pieces.recv().await.map(|piece| (piece, pieces))
    })))
}

/// How a file is given: never with the sender's media type, because a browser must not be told to run what came from outside.
fn told_by(tag: &str, length: u64, name: &str) -> [(header::HeaderName, HeaderValue); 4] {
    let text = |value: String| HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"));
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::CONTENT_DISPOSITION, text(format!("attachment; filename*=UTF-8''{}", percent(name)))),
        (header::ETAG, text(tag.to_owned())),
    ]
}

/// The attachment that the address names, if it is here and whoever asks may have it.
async fn attachment_of(
    api: &SharedApi,
    caller: &Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<(DocumentId, AttachmentView), Problem> {
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
    match attachment.state {
        AttachmentState::Here => Ok((id, attachment)),
        AttachmentState::Arriving => Err(Problem::new(StatusCode::CONFLICT, "attachment-awaited")),
        AttachmentState::Gone => Err(Problem::new(StatusCode::GONE, "attachment-gone")),
        AttachmentState::Erased => Err(Problem::new(StatusCode::GONE, "content-erased")),
        AttachmentState::Unreadable => Err(Problem::new(StatusCode::CONFLICT, "attachment-unreadable")),
    }
}

/// By when the document, and so every file that it names, provably existed: a relay's stamp on the event that brought it.
async fn proven_at(api: &SharedApi, id: DocumentId) -> Result<Option<Millis>, Problem> {
    let at = now();
    let read = move |reader: &Reader| {
        Ok((reader.document(&id, at)?, reader.judgement(&id)?, reader.stamps_of_sent(&id)?))
    };
    let (view, judgement, sent) = api.read(read).await?;
    let judged = judgement.or_else(|| judged_as_sent(&api.keeper.verifier(), sent));
    let (Some(view), Some(judged)) = (view, judged) else { return Ok(None) };
    Ok(api.keeper.registry().sound_proof(&view.from, judged.key, &judged.judgement.stamps))
}

/// Judges the signatures inside an attachment, as of when the document provably existed, or else of now: the signers' own word
/// about the time proves nothing. A file that is not judged is no refusal: the answer says why.
pub(super) async fn signatures(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let (id, attachment) = attachment_of(&api, &caller, path).await?;
    let AttachmentView { attachment: Attachment { name, file, .. }, opening, .. } = attachment;
    let here = api.corrected_clock().now;
    let at = proven_at(&api, id).await?.map_or(here, |proven| proven.min(here));
    let permit = timeout(PATIENCE, Arc::clone(&api.pdf_checks).acquire_owned()).await;
    let Ok(Ok(permit)) = permit else { return Err(Problem::busy()) };
    let (contents, checker) = (Arc::clone(&api.contents), Arc::clone(&api.pdf));
    let checking = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let Enclosure { blob, identity, .. } = opening.enclosure;
        let sealed = contents.whole(&blob).map_err(io::Error::other)?;
        let opened = open_file(&identity, sealed).map_err(io::Error::other)?;
        checker.check(&mut opened.take(file.length), file.length, at)
    });
    let broken = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store");
    let judged = checking.await.map_err(|_| broken())?.map_err(|error| {
        tracing::error!(file = %file.hash, %error, "attachment could not be read for its signatures");
        broken()
    })?;
    let mut answer = told(&name, judged, lang_of(&headers));
    answer["judged_as_of"] = json!(at);
    Ok(Json(answer).into_response())
}

/// A report in the words of one language.
fn told(name: &str, judged: Result<PdfReport, PdfError>, lang: Lang) -> Value {
    let remarks = |remarks: &[Remark]| -> Vec<Value> {
        remarks.iter().map(|remark| json!({ "code": remark.code, "text": remark.of(lang) })).collect()
    };
    let report = match judged {
        Ok(report) => report,
        Err(error) => {
            let unjudged = json!({ "code": error.code(), "text": word(PDF_UNJUDGED, error.code(), lang) });
            return json!({ "name": name, "judged": false, "unjudged": unjudged, "signatures": [], "warnings": [] });
        }
    };
    let signatures = report.signatures.iter().map(|signature| {
        json!({
            "outcome": signature.outcome,
            "outcome_text": word(PDF_OUTCOME, signature.outcome.code(), lang),
            "signer": signature.signer,
            "unit": signature.unit,
            "issuer": signature.issuer,
            "identified": signature.identified,
            "claimed_at": signature.claimed_at,
            "covers_whole_file": signature.covers_whole_file,
            "signed_bytes": signature.signed_bytes,
            "reasons": remarks(&signature.reasons),
            "warnings": remarks(&signature.warnings),
        })
    });
    let signatures: Vec<Value> = signatures.collect();
    json!({
        "name": name,
        "judged": true,
        "unjudged": null,
        "signatures": signatures,
        "warnings": remarks(&report.warnings),
    })
}

fn give_pieces(
    contents: &Contents,
    enclosure: &Enclosure,
    file: &FileRef,
    writer: &mut PieceWriter,
) -> io::Result<()> {
    let sealed = contents.whole(&enclosure.blob).map_err(io::Error::other)?;
    let mut opened = open_file(&enclosure.identity, sealed).map_err(io::Error::other)?;
    let (mut hash, mut left) = (Sha256::new(), file.length);
    loop {
        let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES))];
        opened.read_exact(&mut piece)?;
        hash.update(&piece);
        left -= piece.len() as u64;
        if left > 0 {
            writer.piece(Bytes::from(piece))?;
            continue;
        }
        let nothing_more = opened.read(&mut [0; 1])? == 0;
        if nothing_more && hash.finalize()[..] == file.hash.as_bytes()[..] {
            return writer.piece(Bytes::from(piece));
        }
        return Err(io::Error::other("the stored bytes do not have their hash"));
    }
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
