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
use futures_util::stream;
use schema::blob::BlobRef;
use schema::courier::{CourierError, CourierReader, Record};
use schema::id::OfficeId;
use schema::pack::Message;
use schema::time::Day;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::problem::Problem;
use super::stream::{Cut, PIECES_MAX, PieceReader, PieceWriter, feed};
use super::{PATIENCE, SharedApi, body_of, day_in_vietnam, parsed, resolve};
use crate::content::{ContentError, Contents};
use crate::runtime::{Inputs, Keeper, now};
use crate::step::{Answer, ImportSummary, Input};
use crate::store::Reader;
use crate::words::with_causes;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    to: Option<String>,
    /// What an archive is to read, in place of what is open.
    #[serde(default)]
    archive: bool,
    /// Of that, what was sent on this day or later.
    since: Option<Day>,
}

/// Writes everything that has no receipt, for one office or for all. Changes nothing: the receipts will come
/// back by whatever way.
pub(super) async fn export(
    State(api): State<SharedApi>,
    query: Result<Query<ExportQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(ExportQuery { to, archive, since }) = parsed(query)?;
    let to: Option<OfficeId> = match to {
        Some(text) => Some(resolve(&api.directory(), &text, day_in_vietnam(now()))?),
        None => None,
    };
    let permit = Arc::clone(&api.transfers).try_acquire_owned().map_err(|_| Problem::busy())?;
    let reader = api.take_reader()?;
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let (handle, contents) = (Handle::current(), Arc::clone(&api.contents));
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let mut writer = PieceWriter::new(handle, sender);
        let exported = match archive {
            true => reader.export_archived(since, &contents, &mut writer),
            false => reader.export(to.as_ref(), &contents, &mut writer),
        };
        match exported {
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
    let store = api.take_reader()?;
    let taker = Taker {
        store,
        contents: Arc::clone(&api.contents),
        keeper: api.keeper.clone(),
        inputs: api.inputs.clone(),
        handle: handle.clone(),
        taken: Taken::default(),
    };
    let taking = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        taker.take(PieceReader::new(handle, pieces))
    });
    let broken = match feed(body_of(request), sender, u64::MAX).await {
        Ok(()) => None,
        Err(Cut::Broken(found)) => Some(found),
        Err(Cut::Stalled) => Some("no bytes came for a minute".to_owned()),
    };
    let (taken, store, stopped) =
        taking.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store"))?;
    api.give_reader_back(store);
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

impl From<Problem> for Stopped {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// Takes what a courier brings.
struct Taker {
    store: Reader,
    contents: Arc<Contents>,
    keeper: Keeper,
    inputs: Inputs,
    handle: Handle,
    taken: Taken,
}

/// An attachment whose chunks come now; they follow each other.
#[derive(Clone, Copy)]
struct Current {
    blob: BlobRef,
    /// Some event that is held here waits for it; others are passed over.
    awaited: bool,
}

impl Taker {
    fn take(mut self, file: PieceReader) -> (Taken, Reader, Option<Stopped>) {
        let stopped = self.take_records(file).err();
        (self.taken, self.store, stopped)
    }

    fn take_records(&mut self, file: PieceReader) -> Result<(), Stopped> {
        let mut current = None;
        let mut damaged = Ok(());
        for record in CourierReader::new(file).map_err(Stopped::Damaged)? {
            match record {
                Ok(Record::Pack(items)) => self.take_pack(&Message::Pack(items).encode())?,
                Ok(Record::Chunk { blob, index, bytes }) => {
                    self.take_chunk(&mut current, blob, index, &bytes)?;
                }
                Ok(Record::End { .. }) => {}
                Err(error) => {
                    damaged = Err(Stopped::Damaged(error));
                    break;
                }
            }
        }
        self.finish(current)?;
        damaged
    }

    fn take_chunk(
        &mut self,
        current: &mut Option<Current>,
        blob: BlobRef,
        index: u32,
        bytes: &[u8],
    ) -> Result<(), Problem> {
        if current.is_none_or(|current| current.blob != blob) {
            let awaited = self.store.is_awaited(&blob)?;
            // The last one taken is asked about when the next begins.
            self.finish(current.replace(Current { blob, awaited }))?;
        }
        self.taken.chunks += 1;
        if !current.is_some_and(|current| current.awaited) {
            return Ok(());
        }
        match self.contents.keep_chunk(&blob, index, bytes) {
            Ok(()) => Ok(()),
            // One that does not fit is not taken; the attachment will be asked for.
            Err(error @ ContentError::Shape { .. }) => {
                tracing::warn!(%error, "a chunk of a courier was refused");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks whether an attachment is whole; the answer also says that everything before it was recorded.
    fn finish(&mut self, current: Option<Current>) -> Result<(), Problem> {
        let Some(Current { blob, awaited }) = current else { return Ok(()) };
        self.taken.attachments += 1;
        if !awaited {
            return Ok(());
        }
        let asked = self.inputs.ask(PATIENCE, |ticket| Input::Brought { ticket, blob });
        match self.handle.block_on(asked)? {
            Answer::Kept => Ok(()),
            Answer::Incomplete => {
                self.taken.awaited += 1;
                Ok(())
            }
            Answer::DiskFull => Err(Problem::disk_full()),
            Answer::Refused(refusal) => Err(refusal.into()),
            Answer::Dispatched { .. }
            | Answer::Done(_)
            | Answer::Discarded(_)
            | Answer::Imported(_)
            | Answer::SealingKey { .. } => {
                unreachable!("the core says whether an attachment is whole")
            }
        }
    }

    fn take_pack(&mut self, message: &[u8]) -> Result<(), Problem> {
        let courier =
            |detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "courier").detail(detail);
        let opened = self.keeper.open(message).map_err(|error| courier(error.to_string()))?;
        let asked = self.inputs.ask(PATIENCE, |ticket| Input::Imported { ticket, opened });
        match self.handle.block_on(asked)? {
            Answer::Imported(summary) => {
                let taken = &mut self.taken;
                taken.packs += 1;
                taken.summary.new += summary.new;
                taken.summary.repeated += summary.repeated;
                taken.summary.not_for_us += summary.not_for_us;
                taken.summary.refused += summary.refused;
                Ok(())
            }
            Answer::DiskFull => Err(Problem::disk_full()),
            Answer::Refused(refusal) => Err(refusal.into()),
            Answer::Dispatched { .. }
            | Answer::Done(_)
            | Answer::Kept
            | Answer::Discarded(_)
            | Answer::Incomplete
            | Answer::SealingKey { .. } => {
                unreachable!("the core answers an import with what became of the import")
            }
        }
    }
}
