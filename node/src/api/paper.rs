//! What is printed around a document: the stamp *ĐẾN* and the slip for handling it (Decree 30/2020 appendix IV), and the
//! signatures as they are shown on it (appendix I). Pages are made of these answers; nothing is drawn into a PDF here.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schema::handling::BookId;
use schema::registry::Registry;
use schema::stamp::Stamp;
use schema::time::{Day, Millis};
use schema::trust::{Outcome, SigningTime};
use serde::Deserialize;
use serde_json::{Value, json};

use super::kinds;
use super::present::{Presenter, signing_time, signing_time_iso};
use super::problem::Problem;
use super::work::arrival;
use super::{SharedApi, document_id, lang_of, no_document, now, parsed, registry};
use crate::store::AttachmentState;
use crate::store::{DocumentView, JudgementView, SlipView};
use crate::words::{CHECKED, COPY_FORM, Lang, PLACEMENT, TIME_WORD, word};

/// Which sender is meant.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SlipQuery {
    /// Id or code; needed only where two offices have chosen one id.
    from: Option<String>,
}

/// Stamp and slip of a document that came in.
pub(super) async fn slip(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<SlipQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let id = document_id(path)?;
    let Query(SlipQuery { from }) = parsed(query)?;
    let arrival = arrival(&api, id, from).await?;
    let found = api.read(move |reader| reader.slip(&arrival.from, &arrival.document)).await?;
    let Some(view) = found else {
        return Err(Problem::new(StatusCode::CONFLICT, "not-registered").detail(format!("document `{id}`")));
    };
    Ok(printed_slip(&api, &headers, &view))
}

/// The same by a line of a register: what came on paper has no other name.
pub(super) async fn slip_of_line(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    path: Result<Path<(String, i16, u32)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((book, year, number)) = parsed(path)?;
    let book: BookId = parsed(book.parse())?;
    let line = format!("number {number} of `{book}` in {year}");
    let found = api.read(move |reader| reader.slip_of_line(&book, year, number)).await?;
    let Some(view) = found.filter(|view| view.row.cancelled.is_none()) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "no-line").detail(line));
    };
    Ok(printed_slip(&api, &headers, &view))
}

/// The slip with the names of the day of arrival: printed again, it says the same.
fn printed_slip(api: &SharedApi, headers: &HeaderMap, view: &SlipView) -> Response {
    let directory = api.directory();
    let day = view.row.day().0;
    let presenter = Presenter { directory: &directory, today: day, lang: lang_of(headers) };
    let office_name = directory.office(&api.office).map(|office| presenter.name(office));
    let superior_name = directory.parent_at(&api.office, day).map(|office| presenter.name(office));
    let stamp = json!({
        "office_name": office_name,
        "number": view.row.written,
        "arrived_on": view.row.arrived_on,
        "handed_to": view.row.lead,
        // Files of work are not kept here: the clerk writes it.
        "file_code": null,
    });
    let answer =
        json!({ "office": api.office, "superior_name": superior_name, "stamp": stamp, "slip": view });
    Json(presenter.present(&answer)).into_response()
}

/// What is known about the signatures of a document.
struct Known<'a> {
    registry: &'a Registry,
    view: &'a DocumentView,
    judgement: Option<&'a JudgementView>,
    office_name: String,
    /// What the attachments are by their own bytes.
    kinds: Vec<Value>,
    now: Millis,
    lang: Lang,
}

/// The signatures on a document as they are shown: who, in what capacity, when by whose word, where, and what each is worth.
pub(super) async fn appearance(
    State(api): State<SharedApi>,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = document_id(path)?;
    let at = now();
    let found = api
        .read(move |reader| {
            Ok((reader.document(&id, at)?, reader.judgement(&id)?, reader.stamps_of_sent(&id)?))
        })
        .await?;
    let (Some(view), judgement, sent) = found else { return Err(no_document(&id)) };
    let (verifier, lang) = (api.keeper.verifier(), lang_of(&headers));
    let judgement = judgement.or_else(|| registry::judged_as_sent(&verifier, sent));
    let registry = api.keeper.registry();
    let directory = registry.directory();
    let day = view.issued_on.unwrap_or_else(|| Day::in_vietnam(view.claimed_at)).0;
    let presenter = Presenter { directory, today: day, lang };
    let office_name = directory.office(&view.from).map(|office| presenter.name(office));
    let known = Known {
        registry: &registry,
        view: &view,
        judgement: judgement.as_ref(),
        office_name: office_name.unwrap_or_else(|| view.from.to_string()),
        kinds: kinds::of_attachments(&api, &view.attachments, lang).await,
        now: at,
        lang,
    };
    Ok(Json(presenter.present(&known.answer())).into_response())
}

impl Known<'_> {
    fn answer(&self) -> Value {
        let manifest = &self.view.dispatch.manifest;
        // What a certified copy is worth rests on the seal alone, and has no word in this table.
        let legal_value =
            self.judgement.filter(|_| manifest.copy.is_none()).map(|view| view.judgement.legal_value());
        json!({
            "document": self.view.document,
            "from": self.view.from,
            "outgoing": !self.view.recipients.is_empty(),
            "number": self.view.number,
            "issued_on": self.view.issued_on,
            "document_type": self.view.document_type,
            "subject": self.view.subject,
            "signer": self.view.signer,
            "pages": self.view.pages,
            "place": self.view.place,
            "urgency": self.view.urgency,
            "recipient_lines": self.view.recipient_lines,
            "attachments": self.view.attachments,
            "copy": manifest.copy,
            "progress": self.view.progress,
            "checked_at": self.now,
            "legal_value": legal_value,
            "blocks": self.blocks(),
        })
    }

    fn blocks(&self) -> Vec<Value> {
        let manifest = &self.view.dispatch.manifest;
        let mut blocks = self.persons();
        let seal = self.seal();
        let form = manifest.copy.map(|form| word(COPY_FORM, form.abbreviation(), self.lang));
        blocks.push(match form {
            Some(form) => self.block("copy", &seal, vec![form.to_owned(), self.office_name.clone()], &[]),
            None => self.block("agency", &seal, vec![self.office_name.clone()], &[]),
        });
        // The first attachment is the document itself.
        for (n, held) in (1..).zip(&self.view.attachments).skip(1) {
            let lines = vec![self.view.number.clone().unwrap_or_default()];
            let awaited = match held.state {
                AttachmentState::Here => None,
                AttachmentState::Erased => Some("file-erased"),
                AttachmentState::Gone => Some("file-gone"),
                AttachmentState::Arriving | AttachmentState::Unreadable => Some("file-awaited"),
            };
            let mut block = self.block("attachment", &seal, lines, awaited.as_slice());
            let found = self.kinds.get(n - 1).cloned().unwrap_or_default();
            block["attachment"] = json!({ "n": n, "name": held.attachment.name, "found": found });
            blocks.push(block);
        }
        blocks
    }

    /// One for each person who signed. Where nobody did although somebody is to, one that says so.
    fn persons(&self) -> Vec<Value> {
        let (manifest, stamps) = (&self.view.dispatch.manifest, self.stamps());
        let signed = registry::persons(self.registry, &self.view.dispatch, stamps, self.now, self.lang);
        if signed.is_empty() {
            let needed = manifest.copy.is_none();
            let why = if needed { "missing" } else { "copy-needs-none" };
            return vec![json!({
                "of": "person",
                "placement": word(PLACEMENT, "person", self.lang),
                "lines": [],
                "capacity": manifest.signer.capacity,
                "position": manifest.signer.position,
                "name": manifest.signer.name,
                "needed": needed,
                "outcome": null,
                "message": word(CHECKED, why, self.lang),
                "remarks": [],
                "findings": [],
            })];
        }
        signed.iter().map(|signature| self.person(signature)).collect()
    }

    fn person(&self, signature: &Value) -> Value {
        let named = &self.view.dispatch.manifest.signer;
        let signer = signature["signer"].as_str();
        let is_named = signer.is_some_and(|signer| same_name(signer, &named.name));
        let mut remarks = Vec::new();
        if signer.is_some() && !is_named {
            remarks.push("other-name");
        }
        if signer.is_some() && signature["identified"] != true {
            remarks.push("not-identified");
        }
        let lines = signer.map(str::to_owned).into_iter().collect();
        let mut block = self.block("person", signature, lines, &remarks);
        if is_named {
            block["capacity"] = json!(named.capacity);
            block["position"] = json!(named.position);
        } else {
            block["position"] = signature["title"].clone();
        }
        block["name"] = signature["signer"].clone();
        block
    }

    /// The office's signature, as of the event that carries the document.
    fn seal(&self) -> Value {
        let (key, claimed_at) =
            self.judgement.map_or((self.view.key, self.view.claimed_at), |view| (view.key, view.claimed_at));
        let proven_at = self.registry.sound_proof(&self.view.from, key, self.stamps());
        let time = SigningTime { claimed_at: Some(claimed_at), after: None, proven_at };
        let known = registry::seal(self.registry, &self.view.from, key, &time, self.now, self.lang);
        let mut seal = known.unwrap_or_else(|| json!({ "outcome": Outcome::Undetermined, "findings": [] }));
        seal["claimed_at"] = json!(claimed_at);
        seal["proven_at"] = json!(proven_at);
        seal
    }

    fn stamps(&self) -> &[Stamp] {
        self.judgement.map_or(&[][..], |view| &view.judgement.stamps)
    }

    /// What is shown of one signature: its lines, the last of them the time, and whose word that is.
    fn block(&self, of: &str, signature: &Value, mut lines: Vec<String>, remarks: &[&str]) -> Value {
        let at = |name: &str| signature[name].as_u64().map(Millis);
        let said_by = if of == "person" { "person" } else { "agency" };
        let time = at("claimed_at").map(|claimed| {
            lines.push(signing_time(claimed));
            let proven = at("proven_at");
            json!({
                "shown": signing_time(claimed),
                "iso": signing_time_iso(claimed),
                "word": word(TIME_WORD, said_by, self.lang),
                "proven": proven.map(signing_time),
                "proven_iso": proven.map(signing_time_iso),
                "proven_word": word(TIME_WORD, if proven.is_some() { "proven" } else { "unproven" }, self.lang),
            })
        });
        let outcome = match (&time, signature["outcome"].as_str()) {
            (Some(_), Some(outcome)) => outcome,
            _ => "unread",
        };
        json!({
            "of": of,
            "placement": word(PLACEMENT, of, self.lang),
            "lines": lines,
            "time": time,
            "signer": signature["signer"],
            "unit": signature["unit"],
            "issuer": signature["issuer"],
            "serial": signature["serial"],
            "outcome": signature["outcome"],
            "message": word(CHECKED, outcome, self.lang),
            "remarks": remarks.iter().map(|remark| word(CHECKED, remark, self.lang)).collect::<Vec<_>>(),
            "findings": signature["findings"],
        })
    }
}

/// Whether a certificate names the person whom the document names, whatever the case and the spaces.
fn same_name(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ");
    plain(one) == plain(other)
}
