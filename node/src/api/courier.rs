//! The courier's door: the same bytes to and from a file.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use schema::blob::BlobRef;
use schema::courier::{CourierError, CourierReader, Record};
use schema::id::OfficeId;
use schema::pack::Message;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::problem::Problem;
use super::stream::{PIECES_MAX, PieceReader, PieceWriter, STALLED};
use super::{PATIENCE, SharedApi, body_of, day_in_vietnam, parsed, resolve};
use crate::runtime::{Inputs, Keeper, now};
use crate::step::{Answer, ImportSummary, Input};
use crate::words::with_causes;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    to: Option<String>,
}

/// Writes everything that has no receipt, for one office or for all. Changes nothing: the receipts will come
/// back by whatever way.
pub(super) async fn export(
    State(api): State<SharedApi>,
    query: Result<Query<ExportQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(ExportQuery { to }) = parsed(query)?;
    let to: Option<OfficeId> = match to {
        Some(text) => Some(resolve(&api.directory(), &text, day_in_vietnam(now()))?),
        None => None,
    };
    let permit = Arc::clone(&api.transfers).try_acquire_owned().map_err(|_| Problem::busy())?;
    let reader = api.take_reader()?;
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut writer = PieceWriter::new(handle, sender);
        match reader.export(to.as_ref(), &mut writer) {
            Ok((events, _)) => {
                tracing::info!(events, to = to.map(|to| to.to_string()), "courier file written");
                api.give_reader_back(reader);
            }
            Err(error) => {
                tracing::error!(error = with_causes(&error), "courier file could not be written whole");
                writer.broken(io::Error::other(error.to_string()));
            }
        }
    });
    let body = Body::from_stream(stream::unfold(pieces, async |mut pieces| {
        pieces.recv().await.map(|piece| (piece, pieces))
    }));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"tram.courier\"")),
    ];
    Ok((headers, body).into_response())
}

/// Takes a courier file, record by record, as it comes. What is intact is taken, even when the rest is
/// damaged.
pub(super) async fn import(State(api): State<SharedApi>, request: Request) -> Result<Response, Problem> {
    let permit = Arc::clone(&api.transfers).try_acquire_owned().map_err(|_| Problem::busy())?;
    let (sender, pieces) = mpsc::channel::<Bytes>(PIECES_MAX);
    let handle = Handle::current();
    let keeper = api.keeper.clone();
    let inputs = api.inputs.clone();
    let taking = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let reader = PieceReader::new(handle.clone(), pieces);
        take(reader, &keeper, &inputs, &handle)
    });
    let mut body = body_of(request).into_data_stream();
    let mut broken = None;
    loop {
        match timeout(STALLED, body.next()).await {
            Ok(Some(Ok(piece))) => {
                if sender.send(piece).await.is_err() {
                    // The reader has seen enough, and says why.
                    break;
                }
            }
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                broken = Some(error.to_string());
                break;
            }
            Err(_) => {
                broken = Some("no bytes came for a minute".to_owned());
                break;
            }
        }
    }
    drop(sender);
    let (taken, stopped) =
        taking.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store"))?;
    match stopped {
        None => Ok(Json(taken.json(None)).into_response()),
        Some(Stopped::Problem(problem)) => Err(problem),
        Some(Stopped::Damaged(error)) if taken.packs == 0 && taken.chunks == 0 => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "courier")
                .detail(broken.unwrap_or(with_causes(&error))))
        }
        Some(Stopped::Damaged(error)) => {
            Ok(Json(taken.json(Some(&broken.unwrap_or(with_causes(&error))))).into_response())
        }
    }
}

/// What an import brought so far.
#[derive(Default)]
struct Taken {
    packs: usize,
    chunks: usize,
    /// Attachments of which chunks came, and of those, how many are not whole yet.
    attachments: usize,
    awaited: usize,
    summary: ImportSummary,
}

impl Taken {
    fn json(&self, damage: Option<&str>) -> Value {
        let ImportSummary { new, repeated, not_for_us, refused } = self.summary;
        json!({
            "complete": damage.is_none(),
            "damage": damage,
            "packs": self.packs,
            "attachments": self.attachments,
            "attachments_awaited": self.awaited,
            "new": new,
            "repeated": repeated,
            "not_for_us": not_for_us,
            "refused": refused,
        })
    }
}

enum Stopped {
    /// The file is damaged from here on.
    Damaged(CourierError),
    /// The station cannot take more.
    Problem(Problem),
}

fn take(file: PieceReader, keeper: &Keeper, inputs: &Inputs, handle: &Handle) -> (Taken, Option<Stopped>) {
    let mut taken = Taken::default();
    let records = match CourierReader::new(file) {
        Ok(records) => records,
        Err(error) => return (taken, Some(Stopped::Damaged(error))),
    };
    // Chunks of one attachment follow each other; the last one taken is asked about when the next begins.
    let mut current: Option<BlobRef> = None;
    let mut damaged = None;
    for record in records {
        let done = match record {
            Ok(Record::Pack(items)) => {
                take_pack(&Message::Pack(items).encode(), keeper, inputs, handle, &mut taken)
            }
            Ok(Record::Chunk { blob, index, bytes }) => {
                let finished = current.replace(blob).filter(|current| *current != blob);
                finish_attachment(finished, inputs, handle, &mut taken).and_then(|()| {
                    taken.chunks += 1;
                    let bytes = Some(Bytes::from(Vec::from(bytes)));
                    let input = Input::Chunk { blob, index, bytes, relay: None };
                    handle.block_on(inputs.put_within(STALLED, input)).map_err(Problem::from)
                })
            }
            Ok(Record::End { .. }) => Ok(()),
            Err(error) => {
                damaged = Some(Stopped::Damaged(error));
                break;
            }
        };
        if let Err(problem) = done {
            return (taken, Some(Stopped::Problem(problem)));
        }
    }
    match finish_attachment(current, inputs, handle, &mut taken) {
        Ok(()) => (taken, damaged),
        Err(problem) => (taken, Some(Stopped::Problem(problem))),
    }
}

/// Asks whether an attachment is whole; the answer also says that everything before it was recorded.
fn finish_attachment(
    blob: Option<BlobRef>,
    inputs: &Inputs,
    handle: &Handle,
    taken: &mut Taken,
) -> Result<(), Problem> {
    let Some(blob) = blob else { return Ok(()) };
    let asked = inputs.ask(PATIENCE, |ticket| Input::BlobComplete { ticket, blob });
    taken.attachments += 1;
    match handle.block_on(asked)? {
        Answer::BlobKept(_) => Ok(()),
        Answer::BlobMismatch(_) => {
            taken.awaited += 1;
            Ok(())
        }
        Answer::DiskFull => Err(Problem::disk_full()),
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::Dispatched { .. } | Answer::Done(_) | Answer::Imported(_) => {
            unreachable!("the core answers an upload with what became of the upload")
        }
    }
}

fn take_pack(
    message: &[u8],
    keeper: &Keeper,
    inputs: &Inputs,
    handle: &Handle,
    taken: &mut Taken,
) -> Result<(), Problem> {
    let courier = |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "courier").detail(detail);
    let opened = keeper.open(message).map_err(|error| courier(error.to_string()))?;
    let asked = inputs.ask(PATIENCE, |ticket| Input::Imported { ticket, opened });
    match handle.block_on(asked)? {
        Answer::Imported(summary) => {
            taken.packs += 1;
            taken.summary.new += summary.new;
            taken.summary.repeated += summary.repeated;
            taken.summary.not_for_us += summary.not_for_us;
            taken.summary.refused += summary.refused;
            Ok(())
        }
        Answer::DiskFull => Err(Problem::disk_full()),
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::Dispatched { .. } | Answer::Done(_) | Answer::BlobKept(_) | Answer::BlobMismatch(_) => {
            unreachable!("the core answers an import with what became of the import")
        }
    }
}
