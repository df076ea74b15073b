//! The lists: what came in, what went out, the lines of registers; whole, or narrowed to what somebody looks for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schema::document::DocumentType;
use schema::event::Urgency;
use schema::handling::{BookId, Direction, Stage, Standing};
use schema::time::Day;
use schema::trust::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::present::Presenter;
use super::problem::Problem;
use super::{PAGE_ROWS, SharedApi, day_in_vietnam, lang_of, now, parsed, resolve};
use crate::store::{
    BookView, Days, FoundPage, Page, Reader, RegisterRow, Search, Sought, SoughtRefused, SoughtText,
    StoreError,
};

/// How long a search waits for the index to take in what was recorded last.
const INDEX_PATIENCE: Duration = Duration::from_millis(300);

/// A page of a list, and to what it is narrowed. Everything that is named must be so.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    before: Option<u64>,
    limit: Option<u32>,
    /// Also what was recalled or taken back.
    #[serde(default)]
    all: bool,
    /// Words; marks and tones do not matter, `"…"` are words in a row, `*` leaves the end of a word open.
    text: Option<String>,
    #[serde(rename = "type")]
    document_type: Option<DocumentType>,
    urgency: Option<Urgency>,
    /// Id or code of the sender, or of a recipient.
    office: Option<String>,
    stage: Option<Stage>,
    standing: Option<Standing>,
    /// What its signatures are worth.
    outcome: Option<Outcome>,
    /// The first and the last day on which it came here, went out, or was registered.
    since: Option<Day>,
    until: Option<Day>,
    /// The first and the last date that it bears.
    issued_since: Option<Day>,
    issued_until: Option<Day>,
    /// Only what lacks a receipt.
    #[serde(default)]
    unreceipted: bool,
    /// The number after which a page of a register starts.
    after: Option<u32>,
    /// Only this volume of a register (*quyển số*).
    volume: Option<u32>,
}

impl ListQuery {
    fn sought(&self, api: &SharedApi) -> Result<Sought, Problem> {
        let text = self.text.as_deref().filter(|text| !text.trim().is_empty());
        let office = self.office.as_deref();
        let office = office.map(|text| resolve(&api.directory(), text, day_in_vietnam(now()))).transpose()?;
        Ok(Sought {
            text: text.map(str::parse::<SoughtText>).transpose().map_err(|refused| no_words(&refused))?,
            document_type: self.document_type,
            urgency: self.urgency,
            office,
            stage: self.stage,
            standing: self.standing,
            outcome: self.outcome,
            days: Days { since: self.since, until: self.until },
            issued: Days { since: self.issued_since, until: self.issued_until },
            unreceipted: self.unreceipted,
        })
    }

    /// Refuses what does not narrow this list: whoever asks for it would take an empty page for an answer.
    fn refuse(&self, does_not_apply: &[&str]) -> Result<(), Problem> {
        let given = [
            ("before", self.before.is_some()),
            ("after", self.after.is_some()),
            ("volume", self.volume.is_some()),
            ("all", self.all),
            ("urgency", self.urgency.is_some()),
            ("stage", self.stage.is_some()),
            ("outcome", self.outcome.is_some()),
            ("unreceipted", self.unreceipted),
        ];
        match given.into_iter().find(|(name, given)| *given && does_not_apply.contains(name)) {
            Some((name, _)) => Err(Problem::parameter(format!("`{name}` does not narrow this list"))),
            None => Ok(()),
        }
    }

    fn rows(&self) -> u32 {
        self.limit.unwrap_or(PAGE_ROWS)
    }
}

/// Why nothing can be looked for, as a clerk reads it.
fn no_words(refused: &SoughtRefused) -> Problem {
    let code = match refused {
        SoughtRefused::TooLong => "search-too-long",
        SoughtRefused::NoWord => "search-no-word",
        SoughtRefused::ShortBeginning { .. } => "search-short-beginning",
    };
    Problem::new(StatusCode::BAD_REQUEST, code)
}

/// Reads a page; the index takes in first what it lacks, unless nothing is sought.
async fn listed<T: Serialize + Send + 'static>(
    api: &SharedApi,
    sought: Sought,
    read: impl Fn(&Search, &Reader, &Sought) -> Result<Page<T>, StoreError> + Send + 'static,
) -> Result<FoundPage<T>, Problem> {
    let (search, directory) = (Arc::clone(&api.search), api.directory());
    api.read(move |reader| {
        let names = |office: &_, day: Day| directory.name_at(office, day.0).map(str::to_owned);
        let found = || {
            let complete =
                sought.is_everything() || search.refresh(reader, &names, Instant::now() + INDEX_PATIENCE)?;
            Ok(FoundPage { page: read(&search, reader, &sought)?, complete })
        };
        match found() {
            Err(_) if search.is_damaged() => found(),
            found => found,
        }
    })
    .await
}

pub(super) async fn incoming(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = parsed(query)?;
    query.refuse(&["after", "volume", "unreceipted"])?;
    let page = listed(&api, query.sought(&api)?, move |search, reader, sought| {
        search.incoming(reader, sought, query.before, query.rows(), query.all)
    });
    Ok(api.presented(&headers, &page.await?))
}

pub(super) async fn outgoing(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = parsed(query)?;
    query.refuse(&["after", "volume", "all", "outcome"])?;
    let page = listed(&api, query.sought(&api)?, move |search, reader, sought| {
        search.outgoing(reader, sought, query.before, query.rows(), now())
    });
    Ok(api.presented(&headers, &page.await?))
}

/// The registers in which numbers were used.
pub(super) async fn books(State(api): State<SharedApi>, headers: HeaderMap) -> Result<Response, Problem> {
    let books = api.read(|reader| reader.books()).await?;
    Ok(api.presented(&headers, &json!({ "rows": books })))
}

/// The lines of a register, or of one of its volumes. Names of offices are those of the day of each line, so that a register
/// that is printed again says the same.
pub(super) async fn register(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    path: Result<Path<(Direction, String, i16)>, PathRejection>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Path((direction, book, year)) = parsed(path)?;
    let book: BookId = parsed(book.parse())?;
    let Query(query) = parsed(query)?;
    query.refuse(&["before", "all", "urgency", "stage", "outcome", "unreceipted"])?;
    let books = api.read(|reader| reader.books()).await?;
    let of = |view: &&BookView| (view.direction, view.year) == (direction, year) && view.book == book;
    let highest = books.iter().find(of).map_or(0, |view| view.highest);
    let volumes = api.volumes.count(direction, &book, year, highest);
    let wanted = |volume| {
        let begun = format!("the register has {volumes} of them");
        let refused = || Problem::new(StatusCode::NOT_FOUND, "no-volume").detail(begun);
        api.volumes.volume(direction, &book, year, highest, volume).ok_or_else(refused)
    };
    let volume = query.volume.map(wanted).transpose()?;
    let after = query.after.max(volume.map(|volume| volume.first - 1));
    let mut found = listed(&api, query.sought(&api)?, move |search, reader, sought| {
        search.register(reader, sought, (direction, &book, year), after, query.rows())
    })
    .await?;
    let page = &mut found.page;
    if let Some(last) = volume.and_then(|volume| volume.last)
        && page.rows.last().is_some_and(|row| row.number >= last)
    {
        page.rows.retain(|row| row.number <= last);
        page.next = None;
    }
    let (directory, lang) = (api.directory(), lang_of(&headers));
    let on = |row: &RegisterRow| Presenter { directory: &directory, today: row.day().0, lang };
    let rows: Vec<Value> = page.rows.iter().map(|row| on(row).present(row)).collect();
    // The cover bears the name that the office had when the last line was written.
    let office_name = page.rows.last().and_then(|row| Some(on(row).name(directory.office(&api.office)?)));
    let answer = json!({
        "rows": rows,
        "next": page.next,
        "complete": found.complete,
        "office_name": office_name,
        "volumes": volumes,
        "volume": volume,
    });
    Ok(Json(answer).into_response())
}
