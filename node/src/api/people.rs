//! The people of the office, as the chain says.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use schema::document::Manifest;
use schema::exchange::beyond_authority;
use schema::handling::{PersonRow, Role};
use schema::id::OfficeId;
use serde_json::{Value, json};

use super::guard::Caller;
use super::problem::Problem;
use super::{Api, PATIENCE, SharedApi};
use crate::people::{People, Person};
use crate::step::{Answer, Input};
use crate::words::with_causes;

/// The list of people, as the file says by now.
pub(super) fn read(api: &Api) -> Result<People, Problem> {
    People::read(&api.folder).map_err(|error| {
        tracing::error!(error = with_causes(&error), "the list of people cannot be read");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "people").detail(with_causes(&error))
    })
}

/// Records what the list says and the chain does not yet; says how much that was. One at a time, and a list that was looked at
/// costs nothing. The list is read by whoever records it: one that was read earlier may have changed since.
pub(super) async fn record(api: &SharedApi) -> Result<(People, usize), Problem> {
    let mut known = api.people.lock().await;
    let people = read(api)?;
    if known.as_ref() == Some(people.sha256()) {
        return Ok((people, 0));
    }
    let recorded = api.read(|reader| reader.people()).await?;
    let unrecorded = people.unrecorded(&recorded);
    let changes = unrecorded.len();
    for command in unrecorded {
        match api.inputs.ask(PATIENCE, |ticket| Input::Command { ticket, command }).await? {
            Answer::Done(_) => {}
            Answer::Refused(refusal) => return Err(refusal.into()),
            Answer::DiskFull => return Err(Problem::disk_full()),
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
    *known = Some(*people.sha256());
    Ok((people, changes))
}

/// Whether the chain knows somebody as the list says.
pub(super) async fn is_recorded(api: &SharedApi, person: &Person) -> Result<bool, Problem> {
    let row = person.row();
    Ok(api.read(|reader| reader.people()).await?.contains(&row))
}

/// Refuses what this caller is not entitled to send, or to have signed; a program is entitled to what the office is.
pub(super) async fn require_entitled(
    api: &SharedApi,
    caller: &Caller,
    wanted: &[Role],
    manifest: &Manifest,
    to: &[OfficeId],
) -> Result<(), Problem> {
    let Caller::Person(person) = caller else { return Ok(()) };
    let people = api.read(|reader| reader.people()).await?;
    match beyond_authority(&people, &person.name, wanted, manifest.document_type, to) {
        Some(refusal) => Err(Problem::from(&refusal)),
        None => Ok(()),
    }
}

/// Everybody who works here.
pub(super) async fn list(State(api): State<SharedApi>, headers: HeaderMap) -> Result<Response, Problem> {
    let people = api.read(|reader| reader.people()).await?;
    let rows = people.iter().filter(|person| !person.roles.is_empty()).map(row);
    Ok(api.presented(&headers, &json!({ "rows": rows.collect::<Vec<Value>>() })))
}

fn row(person: &PersonRow) -> Value {
    let types = person.types.iter().map(|one| json!({ "document_type": one }));
    let recipients = person.recipients.iter().map(|office| json!({ "office": office }));
    json!({
        "name": person.name,
        "roles": person.roles,
        "types": types.collect::<Vec<Value>>(),
        "recipients": recipients.collect::<Vec<Value>>(),
    })
}

/// Records what the list of people says by now: the command line has changed it.
pub(super) async fn record_list(
    State(api): State<SharedApi>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (_, recorded) = record(&api).await?;
    Ok(api.presented(&headers, &json!({ "recorded": recorded })))
}
