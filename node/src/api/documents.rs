//! Documents through the clerk's door: frozen, sent, shown.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use schema::blob::{BLOBS_MAX, FileRef};
use schema::body::{Dispatch, Issue, SIGNATURES_MAX};
use schema::directory::Directory;
use schema::document::{
    Amends, Attachment, Code, CopyForm, DocumentType, Manifest, PaperReason, REFERENCES_MAX, Reference,
    Secrecy, Signer,
};
use schema::event::Urgency;
use schema::exchange::{Command, Refusal, SENDING_ROLES};
use schema::id::{DocumentId, FileHash, OfficeId, hex};
use schema::time::Day;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::guard::Caller;
use super::kinds;
use super::problem::Problem;
use super::{
    PATIENCE, SharedApi, day_in_vietnam, document_id, json_body, lang_of, no_document, now, random_bytes,
    registry, resolve,
};
use crate::step::{Answer, Input};
use crate::words::VietnameseOrder;

/// Bytes of a file inside JSON: base64 (RFC 4648 section 4).
pub(super) struct FileBytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for FileBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64
            .decode(text.as_bytes())
            .map(Self)
            .map_err(|error| D::Error::custom(format!("no base64: {error}")))
    }
}

/// What a document says, before it is frozen: a [`Manifest`] with codes for offices, and without what the station knows.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    /// Chosen by whoever asks, so that a repeated request is the same document; fresh when left out.
    document: Option<DocumentId>,
    /// Anything but `normal` (*Thường*) is refused.
    secrecy: Secrecy,
    subject: String,
    document_type: DocumentType,
    signer: Signer,
    #[serde(default)]
    urgency: Urgency,
    pages: u16,
    place: Option<String>,
    #[serde(default)]
    recipient_lines: Vec<String>,
    due: Option<Day>,
    #[serde(default)]
    responds_to: Vec<ReferenceRequest>,
    paper: Option<PaperReason>,
    copy: Option<CopyForm>,
    amends: Option<Amends>,
    #[serde(default)]
    attachments: Vec<AttachmentRequest>,
}

/// State secrets never touch this disk: asked for before anything else is looked at.
pub(super) fn require_allowed(secrecy: Secrecy) -> Result<(), Problem> {
    match secrecy.is_allowed() {
        true => Ok(()),
        false => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "secrecy")),
    }
}

/// A document that is answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferenceRequest {
    /// Office id or code, valid on the day of that document.
    issuer: String,
    number: Code,
    issued_on: Day,
    document: Option<DocumentId>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AttachmentRequest {
    sha256: FileHash,
    length: u64,
    name: String,
    media_type: String,
}

/// What a clerk sends: a frozen `manifest`, or the `content` that is to be frozen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SendRequest {
    /// Office ids, codes valid today, or `tier:code` for a code of the statistics office.
    #[serde(default)]
    to: Vec<String>,
    /// Every office that has a station, except this one.
    #[serde(default)]
    to_all: bool,
    number: Option<Code>,
    /// The date that the document bears; with a number only, and never without.
    issued_on: Option<Day>,
    /// What [`freeze`] answered, so that it is what persons have signed.
    manifest: Option<FileBytes>,
    content: Option<Content>,
    /// Signatures of persons on the manifest: detached CMS in DER.
    #[serde(default)]
    signatures: Vec<FileBytes>,
    /// It may leave although no person has signed it.
    #[serde(default)]
    reference_only: bool,
}

fn unexpected(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "body").detail(detail)
}

pub(super) fn parsed_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| unexpected(error.to_string()))
}

fn refused(refusal: impl Into<Refusal>) -> Problem {
    refusal.into().into()
}

impl Content {
    fn frozen(self, issuer: OfficeId, directory: &Directory) -> Result<Manifest, Problem> {
        require_allowed(self.secrecy)?;
        if self.attachments.len() > BLOBS_MAX {
            return Err(unexpected(format!("at most {BLOBS_MAX} attachments are possible")));
        }
        let document = match self.document {
            Some(document) => document,
            None => DocumentId::new(random_bytes()?),
        };
        let attachment = |AttachmentRequest { sha256: hash, length, name, media_type }| Attachment {
            name,
            media_type,
            file: FileRef { hash, length },
        };
        let reference = |ReferenceRequest { issuer, number, issued_on, document }| {
            let issuer = resolve(directory, &issuer, issued_on.0)?;
            Ok(Reference { issuer, number, issued_on, document })
        };
        if self.responds_to.len() > REFERENCES_MAX {
            return Err(unexpected(format!("at most {REFERENCES_MAX} documents can be answered")));
        }
        let responds_to: Result<Vec<Reference>, Problem> =
            self.responds_to.into_iter().map(reference).collect();
        let manifest = Manifest {
            attachments: self.attachments.into_iter().map(attachment).collect(),
            urgency: self.urgency,
            pages: self.pages,
            place: self.place,
            recipient_lines: self.recipient_lines,
            due: self.due,
            responds_to: responds_to?,
            paper: self.paper,
            copy: self.copy,
            amends: self.amends,
            ..Manifest::new(document, issuer, self.document_type, self.subject, self.signer)
        };
        // As the recipient will read it: what is too large is said before anybody has signed it.
        Manifest::decode(&manifest.encode()).map_err(refused)
    }
}

/// Freezes a document: checks it, and gives the bytes that persons sign. Records nothing; its attachments are here.
pub(super) async fn freeze(State(api): State<SharedApi>, request: Request) -> Result<Response, Problem> {
    let content: Content = parsed_body(&json_body(request).await?)?;
    let manifest = content.frozen(api.office, &api.directory())?;
    let files: Vec<FileHash> = manifest.attachments.iter().map(|attachment| attachment.file.hash).collect();
    let missing = api
        .read(move |reader| {
            for file in files {
                if reader.enclosure(&file)?.is_none() {
                    return Ok(Some(file));
                }
            }
            Ok(None)
        })
        .await?;
    if let Some(hash) = missing {
        return Err(refused(Refusal::AttachmentMissing { hash }));
    }
    let bytes = manifest.encode();
    let answer = json!({
        "document": manifest.document,
        "subject": manifest.subject,
        "manifest": BASE64.encode(&bytes),
        "sha256": hex(&Sha256::digest(&bytes)),
        "length": bytes.len(),
    });
    Ok(Json(answer).into_response())
}

/// What is to be sent: the frozen bytes that somebody gives, or the content that is frozen now.
pub(super) fn frozen(
    manifest: Option<FileBytes>,
    content: Option<Content>,
    api: &SharedApi,
) -> Result<Manifest, Problem> {
    frozen_of(manifest, content, api.office, &api.directory())
}

fn frozen_of(
    manifest: Option<FileBytes>,
    content: Option<Content>,
    issuer: OfficeId,
    directory: &Directory,
) -> Result<Manifest, Problem> {
    match (manifest, content) {
        (Some(FileBytes(bytes)), None) => Manifest::decode(&bytes).map_err(refused),
        (None, Some(content)) => content.frozen(issuer, directory),
        (Some(_), Some(_)) => {
            Err(unexpected("a frozen manifest says everything itself: leave `content` out"))
        }
        (None, None) => Err(unexpected("missing field `content`, or `manifest` in its place")),
    }
}

impl SendRequest {
    fn dispatch(self, issuer: OfficeId, directory: &Directory) -> Result<Dispatch, Problem> {
        if self.signatures.len() > SIGNATURES_MAX {
            return Err(unexpected(format!("at most {SIGNATURES_MAX} signatures are possible")));
        }
        let manifest = frozen_of(self.manifest, self.content, issuer, directory)?;
        let issued = match (self.number, self.issued_on) {
            (Some(code), Some(on)) => Some(Issue::given(code, on)),
            (None, None) => None,
            _ => return Err(unexpected("`number` and `issued_on` are given together")),
        };
        let signatures = self.signatures.into_iter().map(|signature| signature.0.into()).collect();
        let dispatch = Dispatch { issued, signatures, ..Dispatch::unsigned(manifest) };
        dispatch.check_by(&issuer).map_err(refused)?;
        Ok(dispatch)
    }
}

/// Sends a document: saved when this answers.
pub(super) async fn send(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let request: SendRequest = parsed_body(&json_body(request).await?)?;
    let to = recipients(&api, &request)?;
    let reference_only = request.reference_only;
    let dispatch = request.dispatch(api.office, &api.directory())?;
    let by = caller.person(&SENDING_ROLES);
    let command = Command::Dispatch { by, to, dispatch: Box::new(dispatch), reference_only };
    match api.inputs.ask(PATIENCE, |ticket| Input::Command { ticket, command }).await? {
        Answer::Dispatched { document, recipients } => {
            let saved = json!({ "document": document, "recipients": recipients, "status": "queued" });
            Ok((StatusCode::CREATED, api.presented(&headers, &saved)).into_response())
        }
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::DiskFull => Err(Problem::disk_full()),
        Answer::Done(_)
        | Answer::Kept
        | Answer::Discarded(_)
        | Answer::Incomplete
        | Answer::Imported(_)
        | Answer::SealingKey { .. } => {
            unreachable!("the core answers a dispatch with what became of the dispatch")
        }
    }
}

fn recipients(api: &SharedApi, request: &SendRequest) -> Result<Vec<OfficeId>, Problem> {
    let directory = api.directory();
    let today = day_in_vietnam(now());
    let mut to = Vec::with_capacity(request.to.len());
    for text in &request.to {
        to.push(resolve(&directory, text, today)?);
    }
    if request.to_all {
        let enrolled = directory.offices().filter(|office| office.is_enrolled());
        to.extend(enrolled.map(|office| office.id).filter(|id| *id != api.office));
    }
    Ok(to)
}

/// A document with everything that is proven about it, and what the signatures on it are worth.
pub(super) async fn show(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = document_id(path)?;
    let found = api
        .read(move |reader| {
            Ok((reader.document(&id, now())?, reader.judgement(&id)?, reader.stamps_of_sent(&id)?))
        })
        .await?;
    let (Some(mut view), judgement, sent) = found else { return Err(no_document(&id)) };
    let (directory, today, order) = (api.directory(), day_in_vietnam(now()), VietnameseOrder::new());
    let name = |office: &OfficeId| directory.name_at(office, today).unwrap_or_default();
    view.recipients.sort_by(|one, other| order.compare(name(&one.office), name(&other.office)));
    let (registry, lang) = (api.keeper.registry(), lang_of(&headers));
    let kinds = kinds::of_attachments(&api, &view.attachments, lang).await;
    let judgement = judgement.or_else(|| registry::judged_as_sent(&api.keeper.verifier(), sent));
    let mut answer = serde_json::to_value(&view).unwrap_or_default();
    for (attachment, kind) in answer["attachments"].as_array_mut().into_iter().flatten().zip(kinds) {
        attachment["found"] = kind;
    }
    if let Value::Object(answer) = &mut answer {
        let stamps = judgement.as_ref().map_or(&[][..], |view| &view.judgement.stamps);
        let persons = registry::persons(&registry, &view.dispatch, stamps, now(), lang);
        answer.insert("signatures".to_owned(), persons.into());
        if let Some(judgement) = &judgement {
            answer.insert("verdict".to_owned(), registry::verdict(&registry, judgement, now(), lang));
        }
    }
    Ok(api.presented(&headers, &answer))
}
