//! What people do with documents: accepted, refused, assigned, finished, taken back, recalled; and the registers.

use std::sync::Arc;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use data_encoding::BASE64;
use schema::body::{Assignment, IssuedPaper, PaperDocument, SlipPart};
use schema::exchange::{Arrival, Command, Work};
use schema::handling::{BookId, BusinessKind, Direction, Erasure, ErasureGround, Recipients, RefusalReason};
use schema::id::{BusinessId, DocumentId, OfficeId, WorkId, hex};
use schema::time::Day;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::documents::{Content, FileBytes, frozen, parsed_body};
use super::guard::Caller;
use super::problem::Problem;
use super::{
    PAGE_ROWS, PATIENCE, PageQuery, SharedApi, day_in_vietnam, document_id, json_body, no_document, now,
    parsed, random_bytes, resolve,
};
use crate::step::{Answer, Done, Input};
use crate::store::{LineView, RETENTION_YEARS_MAX, WaitingPages};

/// What somebody asks for. `from` is the sender of a document that came in, id or code; it is needed only where two offices
/// have chosen one id.
#[derive(Deserialize)]
#[serde(tag = "work", rename_all = "kebab-case", deny_unknown_fields)]
enum WorkRequest {
    Register {
        document: DocumentId,
        from: Option<String>,
        book: Option<BookId>,
        undetermined_because: Option<String>,
    },
    Refuse {
        document: DocumentId,
        from: Option<String>,
        reason: RefusalReason,
        words: Option<String>,
    },
    Assign {
        document: DocumentId,
        from: Option<String>,
        assignment: Assignment,
    },
    Start {
        document: DocumentId,
        from: Option<String>,
    },
    Finish {
        document: DocumentId,
        from: Option<String>,
    },
    Opine {
        document: DocumentId,
        from: Option<String>,
        part: SlipPart,
        opinion: String,
    },
    TakeBack(AskRequest),
    Recall(AskRequest),
    Answer {
        document: DocumentId,
        from: Option<String>,
        agreed: bool,
        words: Option<String>,
    },
    /// Exactly one of `manifest` and `content`; to `to`, or to all.
    Draft {
        #[serde(default)]
        to: Vec<String>,
        #[serde(default)]
        to_all: bool,
        manifest: Option<FileBytes>,
        content: Option<Content>,
    },
    Approve {
        document: DocumentId,
    },
    Sign {
        document: DocumentId,
        signature: FileBytes,
    },
    Issue {
        document: DocumentId,
        book: Option<BookId>,
        unit: Option<String>,
    },
    Send {
        document: DocumentId,
    },
    Discard {
        document: DocumentId,
        reason: String,
    },
    /// About a document that is not here; `with` is the other office, id or code.
    SetAside {
        document: DocumentId,
        with: String,
        reason: String,
    },
    /// `id` is chosen by whoever asks, so that a repeated request is the same one and gets the same number; fresh when left out.
    RegisterPaper {
        id: Option<WorkId>,
        book: Option<BookId>,
        paper: PaperDocument,
    },
    /// `id` as above.
    IssuePaper {
        id: Option<WorkId>,
        book: Option<BookId>,
        paper: IssuedPaper,
    },
    /// `id` as above.
    CancelNumber {
        id: Option<WorkId>,
        direction: Direction,
        book: Option<BookId>,
        reason: String,
    },
    StateHighest {
        direction: Direction,
        book: Option<BookId>,
        number: u32,
    },
    /// Of a document that was sent from here, or came in. Kept until a day that is over, or ordered: one of the two.
    Erase {
        document: DocumentId,
        from: Option<String>,
        kept_until: Option<Day>,
        #[serde(default)]
        ordered: bool,
        decision: String,
        reason: String,
        /// Only say whether it may be done.
        #[serde(default)]
        dry_run: bool,
    },
}

/// A take-back or recall: of these recipients, or of everybody it went to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskRequest {
    document: DocumentId,
    /// Ids or codes.
    #[serde(default)]
    of: Vec<String>,
    #[serde(default)]
    of_all: bool,
    reason: String,
    /// Chosen by whoever asks, so that a repeated request is the same one; fresh when left out.
    business: Option<BusinessId>,
}

impl AskRequest {
    fn work(self, api: &SharedApi, kind: BusinessKind) -> Result<Work, Problem> {
        if self.of.is_empty() != self.of_all {
            return Err(Problem::new(StatusCode::BAD_REQUEST, "asked-of-whom"));
        }
        let of = offices(api, &self.of)?;
        let business = match self.business {
            Some(business) => business,
            None => BusinessId::new(random_bytes()?),
        };
        Ok(Work::Ask { document: self.document, of, kind, business, reason: self.reason })
    }
}

fn work_id(chosen: Option<WorkId>) -> Result<WorkId, Problem> {
    chosen.map_or_else(|| Ok(WorkId::new(random_bytes()?)), Ok)
}

/// Offices by id or code.
fn offices(api: &SharedApi, texts: &[String]) -> Result<Vec<OfficeId>, Problem> {
    let (directory, today) = (api.directory(), day_in_vietnam(now()));
    texts.iter().map(|text| resolve(&directory, text, today)).collect()
}

/// A document that came in.
pub(super) async fn arrival(
    api: &SharedApi,
    document: DocumentId,
    from: Option<String>,
) -> Result<Arrival, Problem> {
    if let Some(from) = from {
        let from = resolve(&api.directory(), &from, day_in_vietnam(now()))?;
        return Ok(Arrival { from, document });
    }
    let senders = api.read(move |reader| reader.senders_of(&document)).await?;
    match senders[..] {
        [from] => Ok(Arrival { from, document }),
        [] => Err(no_document(&document)),
        _ => Err(Problem::new(StatusCode::CONFLICT, "two-senders")),
    }
}

/// Whose document this is: this office's own, or one that came in.
async fn issuer(api: &SharedApi, document: DocumentId, from: Option<String>) -> Result<OfficeId, Problem> {
    if from.is_none() && api.read(move |reader| reader.is_sent(&document)).await? {
        return Ok(api.office);
    }
    Ok(arrival(api, document, from).await?.from)
}

impl WorkRequest {
    async fn work(self, api: &SharedApi) -> Result<Work, Problem> {
        Ok(match self {
            Self::Register { document, from, book, undetermined_because } => Work::Register {
                arrival: arrival(api, document, from).await?,
                book,
                undetermined: undetermined_because,
            },
            Self::Refuse { document, from, reason, words } => {
                Work::Refuse { arrival: arrival(api, document, from).await?, reason, words }
            }
            Self::Assign { document, from, assignment } => {
                Work::Assign { arrival: arrival(api, document, from).await?, assignment }
            }
            Self::Start { document, from } => Work::Start { arrival: arrival(api, document, from).await? },
            Self::Finish { document, from } => Work::Finish { arrival: arrival(api, document, from).await? },
            Self::Opine { document, from, part, opinion } => {
                Work::Opine { arrival: arrival(api, document, from).await?, part, opinion }
            }
            Self::TakeBack(ask) => ask.work(api, BusinessKind::TakeBack)?,
            Self::Recall(ask) => ask.work(api, BusinessKind::Recall)?,
            Self::Answer { document, from, agreed, words } => {
                Work::Answer { arrival: arrival(api, document, from).await?, agreed, words }
            }
            Self::Draft { to, to_all, manifest, content } => {
                let manifest = Box::new(frozen(manifest, content, api)?);
                let to = match (to_all, to.is_empty()) {
                    (true, true) => Recipients::All,
                    (false, _) => Recipients::Listed(offices(api, &to)?),
                    (true, false) => {
                        return Err(Problem::parameter("`to` and `to_all` are not given together"));
                    }
                };
                Work::Draft { manifest, to }
            }
            Self::Approve { document } => Work::Approve { document },
            Self::Sign { document, signature } => Work::Sign { document, signature: signature.0.into() },
            Self::Issue { document, book, unit } => Work::Issue { document, book, unit },
            Self::Send { document } => Work::Send { document },
            Self::Discard { document, reason } => Work::Discard { document, reason },
            Self::SetAside { document, with, reason } => {
                let with = resolve(&api.directory(), &with, day_in_vietnam(now()))?;
                Work::SetAside { with, document, reason }
            }
            Self::RegisterPaper { id, book, paper } => Work::RegisterPaper { id: work_id(id)?, book, paper },
            Self::IssuePaper { id, book, paper } => {
                Work::IssuePaper { id: work_id(id)?, book, paper: Box::new(paper) }
            }
            Self::CancelNumber { id, direction, book, reason } => {
                Work::CancelNumber { id: work_id(id)?, direction, book, reason }
            }
            Self::StateHighest { direction, book, number } => Work::StateHighest { direction, book, number },
            Self::Erase { document, from, kept_until, ordered, decision, reason, dry_run: _ } => {
                let ground = match (kept_until, ordered) {
                    (Some(kept_until), false) => ErasureGround::RetentionEnded { kept_until },
                    (None, true) => ErasureGround::Ordered,
                    _ => {
                        return Err(Problem::parameter("exactly one of `kept_until` and `ordered` is given"));
                    }
                };
                let issuer = issuer(api, document, from).await?;
                Work::Erase { issuer, document, erasure: Erasure { ground, decision, reason } }
            }
        })
    }
}

/// Does somebody's work: recorded when this answers.
pub(super) async fn work(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let request: WorkRequest = parsed_body(&json_body(request).await?)?;
    let dry_run = matches!(request, WorkRequest::Erase { dry_run: true, .. });
    let work = request.work(&api).await?;
    let document = match &work {
        Work::Draft { manifest, .. } => Some(manifest.document),
        _ => None,
    };
    let command = Command::Work { by: caller.acting_as(work.roles())?, work };
    let asked = api.inputs.ask(PATIENCE, |ticket| match dry_run {
        true => Input::Rehearse { ticket, command: Box::new(command) },
        false => Input::Command { ticket, command },
    });
    match asked.await? {
        Answer::Done(Done { line, code, recipients }) => {
            let line = line.as_ref().map(LineView::from);
            let done = json!({
                "recorded": !dry_run,
                "document": document,
                "line": line,
                "number": code,
                "told": recipients,
            });
            Ok(api.presented(&headers, &done))
        }
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::DiskFull => Err(Problem::disk_full()),
        Answer::Dispatched { .. }
        | Answer::Kept
        | Answer::Discarded(_)
        | Answer::Incomplete
        | Answer::Imported(_)
        | Answer::SealingKey { .. } => {
            unreachable!("the core answers work with what became of the work")
        }
    }
}

/// Which pages of what waits for a person.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitingQuery {
    asked_after: Option<String>,
    without_document_after: Option<String>,
    limit: Option<u32>,
    /// Also what was set aside.
    #[serde(default)]
    all: bool,
}

/// What waits for a person.
pub(super) async fn waiting(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    query: Result<Query<WaitingQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(WaitingQuery { asked_after, without_document_after, limit, all }) = parsed(query)?;
    let cursor = |text: Option<String>| text.map(|text| parsed(text.parse())).transpose();
    let pages = WaitingPages {
        asked_after: cursor(asked_after)?,
        without_document_after: cursor(without_document_after)?,
        rows: limit.unwrap_or(PAGE_ROWS),
        all,
    };
    let waiting = api.read(move |reader| reader.waiting(&pages)).await?;
    Ok(api.presented(&headers, &waiting))
}

/// What is due and what is late. People read the deadlines off the relays' clock where this machine's is off.
pub(super) async fn due(State(api): State<SharedApi>, headers: HeaderMap) -> Result<Response, Problem> {
    let clock = api.corrected_clock();
    let calendar = Arc::clone(&api.calendar);
    let due = api.read(move |reader| reader.due(&calendar, clock.now)).await?;
    let mut answer = serde_json::to_value(clock).unwrap_or_default();
    if let (Value::Object(answer), Ok(Value::Object(due))) = (&mut answer, serde_json::to_value(&due)) {
        answer.extend(due);
        answer.insert("tet_unknown".to_owned(), api.calendar.unknown_tet(clock.now).into());
    }
    Ok(api.presented(&headers, &answer))
}

/// Which documents may be old enough.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErasableQuery {
    direction: Direction,
    /// For how many years they are kept.
    years: u8,
    #[serde(default)]
    after: u64,
}

/// Documents that are kept no longer, if they are kept for so many years.
pub(super) async fn erasable(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    query: Result<Query<ErasableQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(ErasableQuery { direction, years, after }) = parsed(query)?;
    if years > RETENTION_YEARS_MAX {
        return Err(Problem::parameter("documents that are kept for more than 100 years are kept for ever"));
    }
    let now = api.corrected_clock().now;
    let page = api.read(move |reader| reader.erasable(direction, years, after, now)).await?;
    Ok(api.presented(&headers, &page))
}

/// Documents on their way out.
pub(super) async fn drafts(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    page: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(PageQuery { before, limit }) = parsed(page)?;
    let page = api.read(move |reader| reader.drafts(before, limit.unwrap_or(PAGE_ROWS))).await?;
    Ok(api.presented(&headers, &page))
}

/// One document on its way out; its frozen bytes are what persons sign.
pub(super) async fn draft(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = document_id(path)?;
    let found = api.read(move |reader| reader.draft(&id)).await?;
    let Some(view) = found else { return Err(no_document(&id)) };
    let mut answer = serde_json::to_value(&view).unwrap_or_default();
    if let (Value::Object(answer), Some(manifest)) = (&mut answer, &view.manifest) {
        let bytes = manifest.encode();
        answer.insert("manifest".to_owned(), BASE64.encode(&bytes).into());
        answer.insert("sha256".to_owned(), hex(&Sha256::digest(&bytes)).into());
        answer.insert("content".to_owned(), serde_json::to_value(manifest).unwrap_or_default());
    }
    Ok(api.presented(&headers, &answer))
}
