//! The clerk's door: HTTP and JSON on this machine.
//!
//! | | |
//! |---|---|
//! | `PUT /api/v1/files/{sha256}?length=&secrecy=normal` | keep a file, sealed, to be attached; its hash is checked |
//! | `POST /api/v1/manifests` | freeze a document: the bytes that persons sign; nothing is recorded |
//! | `POST /api/v1/documents` | send a document, with signatures or without: saved when answered, queued for its recipients |
//! | `GET /api/v1/incoming`, `/outgoing` (`?before=&limit=`) | lists, newest first; incoming with `all=true` also what was recalled or taken back; narrowed by `text`, `type`, `urgency`, `office`, `stage`, `standing`, `outcome`, `since`, `until`, `issued_since`, `issued_until`, `unreceipted` |
//! | `GET /api/v1/documents/{id}` | the timeline: who, when, what is proven |
//! | `GET /api/v1/documents/{id}/why` | why it has not arrived: hop, cause, next attempt, who must act |
//! | `GET /api/v1/documents/{id}/appearance` | which signatures are shown on it: who, when, where, and what each is worth |
//! | `GET /api/v1/documents/{id}/slip` (`?from=`), `/registers/incoming/{book}/{year}/{number}/slip` | the stamp *ĐẾN* and the slip of a registered document |
//! | `GET /api/v1/documents/{id}/attachments/{n}` | an attachment (from 1), its hash checked |
//! | `GET /api/v1/documents/{id}/attachments/{n}/sealed` | the same as relays carry it: an age file |
//! | `GET /api/v1/documents/{id}/attachments/{n}/identity` | what opens that: an age identity |
//! | `GET /api/v1/documents/{id}/attachments/{n}/signatures` | what the signatures inside it are worth, if it is a PDF: a verdict beside ours |
//! | `POST /api/v1/work` | accept, refuse, assign, finish, take back, recall …: what people do with documents. Whoever has had no answer repeats it: `document`, `business` and, for paper and cancelled numbers, `id` are chosen by whoever asks, so that asking twice is asking once |
//! | `GET /api/v1/drafts`, `/drafts/{id}` | documents on their way out: drafted, approved, signed, numbered |
//! | `GET /api/v1/waiting` (`?limit=&asked_after=&without_document_after=`) | what waits for a person; with `all=true` also what was set aside |
//! | `GET /api/v1/due` | what is due and what is late, by the corrected clock |
//! | `GET /api/v1/registers`, `/registers/{incoming\|outgoing}/{book}/{year}` (`?after=&limit=&volume=`) | the registers, and their lines; narrowed as the lists |
//! | `GET /api/v1/people`, `POST` | the people of the office as the chain says; record what their list says by now |
//! | `GET /api/v1/status`, `/alarms`, `/quarantine` | the station |
//! | `GET /api/v1/offices?search=` or `?enrolled=true` | the directory |
//! | `GET /api/v1/registry`, `POST` | who is certified, how old revocation lists are; take a registry file in |
//! | `GET /api/v1/signers` | which officers can sign here, and with what |
//! | `POST /api/v1/sealing-key/hand-over` | send all sealing keys, sealed, to the office that takes over this one's tasks |
//! | `POST /api/v1/sealing-key` | make a new key under which others seal for this office, and announce it; earlier ones stay for reading |
//! | `POST /api/v1/signatures`, `GET`, `GET …/{id}` | ask an officer to sign frozen bytes; what became of it |
//! | `POST /api/v1/courier/export?to=`, `/courier/import` | the same bytes by USB stick |
//!
//! Every request carries the token of `api.json`, which is the machine's, or that of a person ([`crate::people`]): whoever
//! works on documents does so under a name; foreign `Host` and `Origin` are refused. A refusal is
//! `{"error": code, "message": words, "detail": what was found}`: Vietnamese, or English with
//! `Accept-Language: en`.

mod attachments;
mod courier;
mod documents;
mod guard;
mod kinds;
mod lists;
mod paper;
mod people;
mod present;
mod problem;
mod refusal;
mod registry;
mod sealing;
mod serve;
mod signing;
mod stream;
mod work;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use schema::directory::{CodeSystem, Directory, Office, ResolveError, Tier};
use schema::handling::{Calendar, Role};
use schema::id::{DocumentId, OfficeId};
use schema::time::Millis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use present::{day_in_vietnam, signing_time, signing_time_iso, time_in_vietnam};
pub use registry::described as registry_described;
pub use serve::{CONNECTIONS_MAX, HEADER_SECONDS_MAX, serve};

use crate::config::{DataFolder, Volumes};
use crate::content::Contents;
use crate::keyring::{self, Protection};
use crate::link::{ClockView, LinkBoard};
use crate::pdf::Checker;
use crate::runtime::{Inputs, Keeper, now};
use crate::sealing::KeptKeys;
use crate::signing::Desk;
use crate::store::{AlarmView, Reader, Search, StoreError};
use crate::verify::FullCheck;
use crate::words::{Lang, VietnameseOrder, with_causes};
use guard::Caller;
use present::Presenter;
use problem::Problem;

/// Largest JSON body, in bytes: 16,384 recipients as ids are 0.6 MB.
pub const JSON_BYTES_MAX: u64 = 1024 * 1024;
/// How long a JSON body may take.
const JSON_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a request waits for room in the core's queue before it is told that the station is busy.
const PATIENCE: Duration = Duration::from_secs(5);
/// Readers of the store that are kept open.
const READERS_KEPT: usize = 3;
/// Reads at the same time.
const READS_MAX: usize = 8;
/// Long transfers (downloads, courier files) at the same time; each holds a thread.
const TRANSFERS_MAX: usize = 6;
/// PDF files that are judged at the same time; each may take 768 MiB.
const PDF_CHECKS_MAX: usize = 1;
/// Officers who are asked for a signature at the same time; each holds a thread.
const ASKS_MAX: usize = 4;
/// Rows of a page unless told otherwise.
const PAGE_ROWS: u32 = 50;

/// What the API works with.
pub struct Api {
    office: OfficeId,
    folder: DataFolder,
    signing_key: PathBuf,
    calendar: Arc<Calendar>,
    volumes: Arc<Volumes>,
    inputs: Inputs,
    keeper: Keeper,
    board: LinkBoard,
    hosts: Vec<String>,
    machine_roles: BTreeSet<Role>,
    token_hash: [u8; 32],
    readers: Mutex<Vec<Reader>>,
    reads: Arc<Semaphore>,
    desk: Arc<Desk>,
    search: Arc<Search>,
    contents: Arc<Contents>,
    sealing: Arc<KeptKeys>,
    asks: Arc<Semaphore>,
    transfers: Arc<Semaphore>,
    pdf: Arc<Checker>,
    pdf_checks: Arc<Semaphore>,
    kinds: kinds::Kinds,
    /// Which list of people the chain knows; none before the first look.
    people: tokio::sync::Mutex<Option<[u8; 32]>>,
}

/// Settings of an [`Api`].
pub struct ApiSetting {
    /// Whose station this is.
    pub office: OfficeId,
    /// Its data folder: the store, for reading, and the people of the office.
    pub folder: DataFolder,
    /// The signing key's file: the status tells how it is protected. The key itself is not kept here.
    pub signing_key: PathBuf,
    /// The working days and hours of the office.
    pub calendar: Calendar,
    /// How the registers of the office are bound.
    pub volumes: Volumes,
    /// The way into the core.
    pub inputs: Inputs,
    /// Judges what a courier brings; knows the registry.
    pub keeper: Keeper,
    /// How the links stand.
    pub board: LinkBoard,
    /// Accepted `Host` headers, with their ports.
    pub hosts: Vec<String>,
    /// In which roles whoever carries the machine's token may ask.
    pub machine_roles: BTreeSet<Role>,
    /// The machine's token.
    pub token: String,
    /// Officers, and the requests for their signatures.
    pub desk: Arc<Desk>,
    /// Finds documents and lines of registers.
    pub search: Arc<Search>,
    /// Keeps the attachments.
    pub contents: Arc<Contents>,
    /// The keys under which others seal for the office.
    pub sealing: Arc<KeptKeys>,
    /// Judges signatures inside PDF files.
    pub pdf: Checker,
}

type SharedApi = Arc<Api>;

/// The time, and whose word it is.
#[derive(Clone, Copy, Serialize)]
struct CorrectedClock {
    /// The time here, moved by what the relays said.
    now: Millis,
    /// What they said; none when none was asked in the last minutes, and `now` is this machine's word alone.
    clock: Option<ClockView>,
}

impl CorrectedClock {
    fn of(here: Millis, clock: Option<ClockView>) -> Self {
        let ahead_ms = clock.map_or(0, |clock| clock.ahead_ms);
        Self { now: Millis(here.0.saturating_add_signed(ahead_ms)), clock }
    }
}

/// The routes.
pub fn router(setting: ApiSetting) -> Router {
    let ApiSetting {
        office,
        folder,
        signing_key,
        calendar,
        volumes,
        inputs,
        keeper,
        board,
        hosts,
        machine_roles,
        token,
        desk,
        search,
        contents,
        sealing,
        pdf,
    } = setting;
    let api = Arc::new(Api {
        office,
        folder,
        signing_key,
        calendar: Arc::new(calendar),
        volumes: Arc::new(volumes),
        inputs,
        keeper,
        board,
        hosts,
        machine_roles,
        token_hash: guard::token_hash(&token),
        readers: Mutex::new(Vec::new()),
        reads: Arc::new(Semaphore::new(READS_MAX)),
        desk,
        search,
        contents,
        sealing,
        asks: Arc::new(Semaphore::new(ASKS_MAX)),
        transfers: Arc::new(Semaphore::new(TRANSFERS_MAX)),
        pdf: Arc::new(pdf),
        pdf_checks: Arc::new(Semaphore::new(PDF_CHECKS_MAX)),
        kinds: kinds::Kinds::default(),
        people: tokio::sync::Mutex::new(None),
    });
    let v1 = Router::new()
        .route("/files/{hash}", put(attachments::keep))
        .route("/manifests", post(documents::freeze))
        .route("/documents", post(documents::send))
        .route("/documents/{id}", get(documents::show))
        .route("/documents/{id}/why", get(why))
        .route("/documents/{id}/appearance", get(paper::appearance))
        .route("/documents/{id}/slip", get(paper::slip))
        .route("/documents/{id}/attachments/{n}", get(attachments::give))
        .route("/documents/{id}/attachments/{n}/signatures", get(attachments::signatures))
        .route("/documents/{id}/attachments/{n}/sealed", get(attachments::give_sealed))
        .route("/documents/{id}/attachments/{n}/identity", get(attachments::identity))
        .route("/incoming", get(lists::incoming))
        .route("/outgoing", get(lists::outgoing))
        .route("/status", get(status))
        .route("/alarms", get(alarms))
        .route("/quarantine", get(quarantine))
        .route("/offices", get(offices))
        .route("/registry", get(registry::show).post(registry::import))
        .route("/work", post(work::work))
        .route("/erasable", get(work::erasable))
        .route("/drafts", get(work::drafts))
        .route("/drafts/{id}", get(work::draft))
        .route("/waiting", get(work::waiting))
        .route("/due", get(work::due))
        .route("/people", get(people::list).post(people::record_list))
        .route("/registers", get(lists::books))
        .route("/registers/{direction}/{book}/{year}", get(lists::register))
        .route("/registers/incoming/{book}/{year}/{number}/slip", get(paper::slip_of_line))
        .route("/sealing-key", post(sealing::renew))
        .route("/sealing-key/hand-over", post(sealing::hand_over))
        .route("/signers", get(signing::signers))
        .route("/signatures", get(signing::list).post(signing::ask))
        .route("/signatures/{id}", get(signing::show))
        .route("/courier/export", post(courier::export))
        .route("/courier/import", post(courier::import));
    Router::new()
        .nest("/api/v1", v1)
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not-found"))
        .method_not_allowed_fallback(async || Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method"))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&api), guard::guard))
        .with_state(api)
}

impl Api {
    fn answers_to(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    /// The time by which deadlines are judged.
    fn corrected_clock(&self) -> CorrectedClock {
        let here = now();
        CorrectedClock::of(here, self.board.clock(here))
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(self.keeper.registry().directory())
    }

    /// Reads the store on another thread; few at a time.
    async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = timeout(PATIENCE, Arc::clone(&self.reads).acquire_owned()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Problem::busy()) };
        let api = Arc::clone(self);
        let reading = tokio::task::spawn_blocking(move || {
            let reader = api.take_reader()?;
            let found = read(&reader)?;
            api.give_reader_back(reader);
            Ok::<T, StoreError>(found)
        });
        match reading.await {
            Ok(found) => Ok(found?),
            Err(error) => {
                tracing::error!(%error, "reading the store for the API panicked");
                Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store"))
            }
        }
    }

    fn take_reader(&self) -> Result<Reader, StoreError> {
        let kept = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.map_or_else(|| Reader::open(&self.folder.database()), Ok)
    }

    fn give_reader_back(&self, reader: Reader) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS_KEPT {
            readers.push(reader);
        }
    }

    fn presented<T: serde::Serialize>(&self, headers: &HeaderMap, answer: &T) -> Response {
        let directory = self.directory();
        let presenter =
            Presenter { directory: &directory, today: day_in_vietnam(now()), lang: lang_of(headers) };
        Json(presenter.present(answer)).into_response()
    }
}

fn lang_of(headers: &HeaderMap) -> Lang {
    Lang::of_header(headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()))
}

/// Parameters of a path or query, or a named refusal.
fn parsed<T, E: std::fmt::Display>(parameters: Result<T, E>) -> Result<T, Problem> {
    parameters.map_err(|error| Problem::parameter(error.to_string()))
}

/// Refuses by the announced length before anything is read.
fn check_length(headers: &HeaderMap, most: u64) -> Result<Option<u64>, Problem> {
    let Some(length) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    match length {
        Some(length) if length <= most => Ok(Some(length)),
        Some(_) => Err(Problem::too_large(most)),
        None => Err(Problem::parameter("the content length is not a number")),
    }
}

async fn json_body(request: Request) -> Result<Bytes, Problem> {
    check_length(request.headers(), JSON_BYTES_MAX)?;
    let most = usize::try_from(JSON_BYTES_MAX).unwrap_or(usize::MAX);
    match timeout(JSON_TIMEOUT, to_bytes(request.into_body(), most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error))
            if std::error::Error::source(&error).is_some_and(|e| e.to_string().contains("limit")) =>
        {
            Err(Problem::too_large(JSON_BYTES_MAX))
        }
        Ok(Err(error)) => Err(Problem::new(StatusCode::BAD_REQUEST, "cut").detail(error.to_string())),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow")),
    }
}

/// The office that is meant by an id, by a code that is valid today, or by `tier:code`.
fn resolve(directory: &Directory, text: &str, today: jiff::civil::Date) -> Result<OfficeId, Problem> {
    Ok(resolve_office(directory, text, today)?)
}

/// As the API names offices: by id, by a code that is valid on a day, or by `tier:code`.
pub(crate) fn resolve_office(
    directory: &Directory,
    text: &str,
    today: jiff::civil::Date,
) -> Result<OfficeId, ResolveError> {
    if let Ok(id) = text.parse::<OfficeId>() {
        return Ok(id);
    }
    let tiers = [Tier::Central, Tier::Province, Tier::District, Tier::Commune];
    let prefixed = text.split_once(':').and_then(|(prefix, code)| {
        let tier = tiers.into_iter().find(|tier| tier.as_str() == prefix)?;
        Some((CodeSystem::StatisticsUnit(tier), code))
    });
    let found = match prefixed {
        Some((system, code)) => directory.resolve_in(system, code, today)?,
        None => directory.resolve(text, today)?,
    };
    Ok(found.id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    before: Option<u64>,
    limit: Option<u32>,
}

fn document_id(path: Result<Path<String>, PathRejection>) -> Result<DocumentId, Problem> {
    let Path(id) = parsed(path)?;
    parsed(id.parse())
}

/// Fresh bytes for an id.
fn random_bytes<const N: usize>() -> Result<[u8; N], Problem> {
    keyring::random_bytes()
        .map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopped").detail(error.to_string()))
}

fn no_document(id: &DocumentId) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no-document").detail(format!("document `{id}`"))
}

async fn why(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = document_id(path)?;
    let found = api
        .read(move |reader| {
            let known = reader.document(&id, now())?.is_some();
            Ok((known, reader.why(&id, now())?))
        })
        .await?;
    match found {
        (false, _) => Err(no_document(&id)),
        (true, None) => Err(Problem::new(StatusCode::CONFLICT, "not-sent-here")),
        (true, Some(recipients)) => {
            let answer = json!({ "document": id, "recipients": recipients, "links": api.board.reports() });
            Ok(api.presented(&headers, &answer))
        }
    }
}

async fn status(State(api): State<SharedApi>, headers: HeaderMap) -> Result<Response, Problem> {
    let (record, key) = (api.folder.full_check(), api.signing_key.clone());
    let (calendar, clock) = (Arc::clone(&api.calendar), api.corrected_clock());
    let contents = Arc::clone(&api.contents);
    let (view, due, full_check, protection, room) = api
        .read(move |reader| {
            let due = reader.due(&calendar, clock.now)?;
            let (full_check, protection) = (FullCheck::read(&record), Protection::of_file(&key));
            Ok((reader.status(now())?, due, full_check, protection, contents.room()))
        })
        .await?;
    let key_protection = protection.map_or_else(
        |error| {
            tracing::warn!(error = with_causes(&error), "how the signing key is protected cannot be shown");
            "unknown"
        },
        |protection| protection.word(),
    );
    let full_check = full_check.unwrap_or_else(|error| {
        tracing::warn!(error = with_causes(&error), "the last full check cannot be shown");
        None
    });
    let room = room.map_or_else(
        |error| {
            tracing::warn!(error = with_causes(&error), "how much room the disk has cannot be shown");
            None
        },
        Some,
    );
    let directory = api.directory();
    let mut answer = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": now(),
        "directory": { "version": directory.version(), "offices": directory.office_count() },
        "trust": registry::summary(&api.keeper.registry(), &api.office, now()),
        "links": api.board.reports(),
        "clock": clock.clock,
        "late": due.late,
        "due": due.due,
        "full_check": full_check,
        "swept": api.contents.swept(),
        "attachment_room_bytes": room,
        "key_protection": key_protection,
        "sealing": sealing::view(&api.sealing.held(), &api.keeper.registry(), &api.office, now()),
    });
    if let (Value::Object(answer), Ok(Value::Object(view))) = (&mut answer, serde_json::to_value(&view)) {
        answer.extend(view);
    }
    Ok(api.presented(&headers, &answer))
}

async fn alarms(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let alarms = api.read(Reader::alarms).await?;
    // What was contested once may have been settled since: the list, or the announcement, has come.
    let registry = api.keeper.registry();
    let rows = alarms.into_iter().map(|alarm| {
        let known =
            alarm.office.zip(alarm.key).and_then(|(office, key)| registry.known_key(&office, key).ok());
        let settled = known.is_some_and(|known| known.standing().is_settled());
        let mut row = match caller.reads_content() {
            true => serde_json::to_value(&alarm).unwrap_or_default(),
            false => without_content(&alarm),
        };
        row["settled"] = settled.into();
        row
    });
    Ok(api.presented(&headers, &json!({ "rows": rows.collect::<Vec<Value>>() })))
}

/// An alarm for whoever does not read what documents say: which one it is about, and nothing of that.
fn without_content(alarm: &AlarmView) -> Value {
    let mut row = serde_json::to_value(alarm).unwrap_or_default();
    if let Value::Object(row) = &mut row {
        row.remove("subject");
        row.remove("number");
    }
    row
}

async fn quarantine(State(api): State<SharedApi>, headers: HeaderMap) -> Result<Response, Problem> {
    let items = api.read(Reader::quarantine).await?;
    Ok(api.presented(&headers, &json!({ "rows": items })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfficesQuery {
    search: Option<String>,
    #[serde(default)]
    enrolled: bool,
    limit: Option<usize>,
}

async fn offices(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    query: Result<Query<OfficesQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    const LISTED_MAX: usize = 20_000;
    let Query(query) = parsed(query)?;
    let (directory, registry) = (api.directory(), api.keeper.registry());
    let lang = lang_of(&headers);
    let today = day_in_vietnam(now());
    let searching = tokio::task::spawn_blocking(move || {
        let presenter = Presenter { directory: &directory, today, lang };
        let wanted = |office: &&Office| !query.enrolled || office.is_enrolled();
        let rows: Vec<Value> = match &query.search {
            Some(search) => {
                let hits = directory.search(search, Some(today), query.limit.unwrap_or(50));
                hits.iter()
                    .map(|hit| hit.office)
                    .filter(wanted)
                    .map(|office| office_row(&presenter, &registry, office))
                    .collect()
            }
            None => {
                let named = directory.offices().filter(wanted).map(|office| (office.name_at(today), office));
                let (mut named, order): (Vec<_>, _) = (named.collect(), VietnameseOrder::new());
                named.sort_by(|(one, _), (other, _)| {
                    order.compare(one.unwrap_or_default(), other.unwrap_or_default())
                });
                let listed = named.iter().take(query.limit.unwrap_or(1_000).min(LISTED_MAX));
                listed.map(|(_, office)| office_row(&presenter, &registry, office)).collect()
            }
        };
        json!({ "rows": rows, "directory": directory.version() })
    });
    let found = searching.await.map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store"))?;
    Ok(Json(found).into_response())
}

fn office_row(presenter: &Presenter<'_>, registry: &schema::registry::Registry, office: &Office) -> Value {
    let today = presenter.today;
    let codes = office.codes.iter().filter(|code| code.validity.contains(today));
    let codes: Vec<Value> =
        codes.map(|code| json!({ "code": code.text, "system": code.system.to_string() })).collect();
    let parent = presenter.directory.parent_at(&office.id, today);
    json!({
        "office": office.id,
        "office_name": presenter.name(office),
        "tier": office.place_at(today).map(|place| place.tier.as_str()),
        "parent_name": parent.map(|parent| presenter.name(parent)),
        "codes": codes,
        "enrolled": office.is_enrolled(),
        "relays": office.relays,
        "largest_attachment": registry.sealing_terms(&office.id).and_then(|(_, takes)| takes),
    })
}

/// A body that nothing is taken from.
fn body_of(request: Request) -> Body {
    request.into_body()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NamedDocument;

    /// L3: whoever does not read what documents say is told of an alarm, and which document it is about.
    #[test]
    fn alarm_without_content_names_the_document_by_its_id_only() {
        let document = DocumentId::new([7; 16]);
        let named =
            NamedDocument { document, subject: "V/v nội dung".to_owned(), number: Some("5/CV".to_owned()) };
        let alarm = |document| AlarmView {
            at: Millis(1),
            kind: "refused-by-relay",
            office: None,
            document,
            outcome: None,
            key: None,
            detail: "at the relay".to_owned(),
        };
        let shown = without_content(&alarm(Some(named)));
        assert_eq!(shown["document"], json!(document));
        assert!(!shown.to_string().contains("nội dung") && !shown.to_string().contains("5/CV"), "{shown}");
        assert_eq!(without_content(&alarm(None))["detail"], "at the relay");
    }

    /// Deadlines are read off the relays' clock where this machine's is off, and off this machine's where none is known.
    #[test]
    fn clock_is_corrected_by_what_relays_say() {
        let here = Millis(1_000_000_000_000);
        let said = |ahead_ms| Some(ClockView { ahead_ms, relays: 2, wrong: true });
        let hours = |n: i64| n * Millis::HOUR as i64;
        assert_eq!(CorrectedClock::of(here, said(hours(3))).now, here.plus(3 * Millis::HOUR));
        assert_eq!(CorrectedClock::of(here, said(hours(-3))).now.plus(3 * Millis::HOUR), here);
        assert_eq!(CorrectedClock::of(here, None).now, here);
    }
}
