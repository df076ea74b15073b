//! The registry, and what signatures are worth: shown to people, and taken in from a file.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schema::body::{Dispatch, Place};
use schema::directory::Directory;
use schema::event::Verifier;
use schema::id::{EventId, KeyId, OfficeId};
use schema::registry::{KeyStanding, NodeKey, PersonSignature, REGISTRY_BYTES_MAX, Registry, decode_items};
use schema::stamp::Stamp;
use schema::time::Millis;
use schema::trust::{Language, SignerView, SigningTime, Verdict};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::present::Presenter;
use super::problem::Problem;
use super::{SharedApi, check_length, day_in_vietnam, lang_of};
use crate::runtime::now;
use crate::store::{JudgementView, SentStamp};
use crate::words::{KEY_STANDING, Lang, word};

/// Days before the end of this station's certificate from which on the status warns: the first of 60, 30 and 7.
const WARN_DAYS: u64 = 60;
/// How long a registry file may take to come.
const UPLOAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

/// What a station holds about everybody, and how old it is.
pub(super) async fn show(State(api): State<SharedApi>, headers: HeaderMap) -> Response {
    let (registry, lang) = (api.keeper.registry(), lang_of(&headers));
    Json(described(&registry, api.office, now(), lang)).into_response()
}

/// Takes in a registry file. Every item proves itself; the rest is named and left out.
pub(super) async fn import(State(api): State<SharedApi>, request: Request) -> Result<Response, Problem> {
    check_length(request.headers(), REGISTRY_BYTES_MAX as u64)?;
    let lang = lang_of(request.headers());
    let reading = axum::body::to_bytes(request.into_body(), REGISTRY_BYTES_MAX);
    let bytes = match timeout(UPLOAD_TIMEOUT, reading).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(Problem::new(StatusCode::BAD_REQUEST, "cut").detail(error.to_string())),
        Err(_) => return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow")),
    };
    let items = decode_items(&bytes)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "registry").detail(error.to_string()))?;
    let taken = api.keeper.take_in(items, "file").await;
    let refused: Vec<&str> = taken.refused.iter().map(|refused| refused.of(lang.into())).collect();
    let answer = json!({ "new": taken.new, "known": taken.known, "older": taken.older, "refused": refused });
    Ok(Json(answer).into_response())
}

/// The registry in words and figures.
pub fn described(registry: &Registry, me: OfficeId, now: Millis, lang: Lang) -> Value {
    let directory = registry.directory();
    let lists = registry.list_ages().into_iter().map(|age| {
        json!({
            "authority": age.authority.to_string(),
            "number": age.newest.map(|(number, _)| number.to_string()),
            "made_at": age.newest.map(|(_, window)| window.this_update),
            "next_at": age.newest.map(|(_, window)| window.next_update),
            "age_ms": age.age_ms(now),
            "stale": age.is_stale(now),
            "revoked": age.revoked,
        })
    });
    let contested = registry.contested().map(|(office, key)| {
        json!({ "office": office, "office_name": name_of(directory, &office, now, lang), "key": key })
    });
    json!({
        "directory": {
            "version": directory.version(),
            "issued_at": directory.issued_at(),
            "offices": directory.office_count(),
        },
        "authorities": registry.trust().authorities().map(|ca| json!({
            "subject": ca.subject().to_string(),
            "serial": ca.serial().to_string(),
            "not_after": ca.validity().not_after,
        })).collect::<Vec<_>>(),
        "lists": lists.collect::<Vec<_>>(),
        "contested": contested.collect::<Vec<_>>(),
        "keys": registry.keys(&me).iter().map(|key| key_view(registry, key, lang)).collect::<Vec<_>>(),
    })
}

fn key_view(registry: &Registry, key: &NodeKey, lang: Lang) -> Value {
    let standing = match key.standing() {
        KeyStanding::First => "first",
        KeyStanding::Announced { .. } => "announced",
        KeyStanding::Confirmed { .. } => "confirmed",
        KeyStanding::Recovered => "recovered",
        KeyStanding::Late { .. } => "late",
        KeyStanding::Contested => "contested",
    };
    let certificates = key.certificates().iter().map(|certificate| {
        let revoked = registry.trust().revocation_of(certificate);
        json!({
            "serial": certificate.serial().to_string(),
            "issuer": certificate.issuer().to_string(),
            "not_before": certificate.validity().not_before,
            "not_after": certificate.validity().not_after,
            "revoked_from": revoked.map(|entry| entry.effective_at()),
        })
    });
    json!({
        "key": key.id(),
        "standing": standing,
        "standing_text": word(KEY_STANDING, standing, lang),
        "not_after": key.not_after(),
        "certificates": certificates.collect::<Vec<_>>(),
    })
}

fn name_of(directory: &Directory, office: &OfficeId, now: Millis, lang: Lang) -> Option<String> {
    let presenter = Presenter { directory, today: day_in_vietnam(now), lang };
    directory.office(office).map(|office| presenter.name(office))
}

/// What the signatures on a document are worth: what was recorded, and the reasons in words as of the present registry.
pub(super) fn verdict(registry: &Registry, view: &JudgementView, now: Millis, lang: Lang) -> Value {
    let JudgementView { judgement, key, claimed_at, recorded_at, event } = view;
    let proven_at = registry.sound_proof(&judgement.from, *key, &judgement.stamps);
    let time = SigningTime { claimed_at: Some(*claimed_at), after: None, proven_at };
    let seal = seal(registry, &judgement.from, *key, &time, now, lang);
    let outcome = judgement.outcome();
    json!({
        "outcome": outcome,
        "outcome_text": outcome.text(Language::from(lang)),
        "legal_value": judgement.legal_value(),
        "may_change": judgement.open,
        "recorded_at": recorded_at,
        "event": event,
        "proven_at": proven_at,
        "proven_by": judgement.stamps.iter().map(|stamp| json!({ "relay": stamp.region, "at": stamp.at })).collect::<Vec<_>>(),
        "seal": seal,
    })
}

/// What an office's signature with this key is worth as of that time; `None` when no certificate of the key is held.
pub(super) fn seal(
    registry: &Registry,
    office: &OfficeId,
    key: KeyId,
    time: &SigningTime,
    now: Millis,
    lang: Lang,
) -> Option<Value> {
    let (certificate, verdict) = registry.judge_key(office, key, time, now)?;
    Some(json!({
        "signer": certificate.subject().to_string(),
        "issuer": certificate.issuer().to_string(),
        "serial": certificate.serial().to_string(),
        "not_before": certificate.validity().not_before,
        "not_after": certificate.validity().not_after,
        "outcome": verdict.outcome(),
        "findings": findings(&verdict, lang),
    }))
}

/// What the signatures on a document of this office are worth, as of what its recipients have passed on about the time: of
/// the events that carry it, the one that was provably there first.
pub(super) fn judged_as_sent(verifier: &Verifier, sent: Vec<SentStamp>) -> Option<JudgementView> {
    let mut events: BTreeMap<EventId, (SentStamp, Vec<Stamp>)> = BTreeMap::new();
    for told in sent {
        let id = told.event.id;
        let held = verifier.proof(&id, vec![told.stamp.clone()]).stamps;
        events.entry(id).or_insert_with(|| (told, Vec::new())).1.extend(held);
    }
    let registry = verifier.registry();
    let proven = events.into_values().filter_map(|(told, mut stamps)| {
        stamps.sort_by_key(|stamp| stamp.at);
        let at = registry.sound_proof(&told.event.event.office, told.event.key, &stamps)?;
        Some((at, told, stamps))
    });
    let (_, SentStamp { event: recorded, receipt, received_at, .. }, stamps) =
        proven.min_by_key(|(at, ..)| *at)?;
    let to = recorded.event.to.first()?;
    let place = Place { incarnation: recorded.event.incarnation, counter: to.counter, id: recorded.id };
    let judgement = registry.judge_event(&recorded, place, stamps).judgement;
    let (key, claimed_at) = (recorded.key, recorded.event.claimed_at);
    Some(JudgementView { judgement, key, claimed_at, recorded_at: received_at, event: receipt })
}

/// The signatures of persons on a document, as of these stamps. Citizen numbers are masked.
pub(super) fn persons(
    registry: &Registry,
    dispatch: &Dispatch,
    stamps: &[Stamp],
    now: Millis,
    lang: Lang,
) -> Vec<Value> {
    let judged = registry.judge_persons(dispatch, stamps, now);
    let shown = judged.into_iter().map(|PersonSignature { signature, time, verdict }| {
        let mut shown = json!({ "outcome": verdict.outcome(), "findings": findings(&verdict, lang) });
        if let (Ok(signature), Value::Object(shown)) = (&signature, &mut shown) {
            let view = SignerView::new(signature, &verdict, &time);
            let who = json!({
                "identified": view.identified,
                "signer": view.signer,
                "title": view.title,
                "unit": view.unit,
                "issuer": view.issuer,
                "serial": view.serial,
                "claimed_at": view.claimed_at,
                "proven_at": view.proven_at,
                "not_before": view.period.map(|period| period.not_before),
                "not_after": view.period.map(|period| period.not_after),
            });
            shown.extend(who.as_object().cloned().unwrap_or_default());
        }
        shown
    });
    shown.collect()
}

fn findings(verdict: &Verdict, lang: Lang) -> Vec<Value> {
    let language = Language::from(lang);
    let shown = verdict.findings().iter().map(|finding| {
        json!({
            "item": finding.item,
            "item_text": finding.item.text(language),
            "outcome": finding.outcome,
            "outcome_text": finding.outcome.text(language),
            "reason": finding.reason.text(language),
        })
    });
    shown.collect()
}

/// What the status says about trust: what somebody should look at.
pub(super) fn summary(registry: &Registry, me: &OfficeId, now: Millis) -> Value {
    let ages = registry.list_ages();
    let counting = registry.keys(me).iter().filter(|key| key.standing().counts());
    let not_after = counting.map(NodeKey::not_after).max();
    let days_left = not_after.map(|end| end.since(now) / Millis::DAY);
    json!({
        "stale_lists": ages.iter().filter(|age| age.is_stale(now)).count(),
        "authorities": ages.len(),
        "contested_keys": registry.contested().count(),
        "certificate_not_after": not_after,
        "certificate_days_left": days_left,
        "certificate_warning": days_left.is_none_or(|days| days <= WARN_DAYS),
    })
}
