//! The key under which others seal for this office: how old it is, and another one in its place.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schema::exchange::{Command, HANDING_OVER_ROLES, Refusal};
use schema::id::OfficeId;
use schema::registry::Registry;
use schema::time::Millis;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::documents::parsed_body;
use super::guard::Caller;
use super::problem::{Problem, Told};
use super::{PATIENCE, SharedApi, day_in_vietnam, json_body, resolve};
use crate::runtime::now;
use crate::sealing::{SEALING_KEY_DAYS_MAX, Sealing, SealingKeys, SealingKeysError};
use crate::step::{Answer, Input};
use crate::words::with_causes;

/// How long the registry of this station may take to show what its chain says already: it offers the key to the relays before.
const SHOWN_WAIT: Duration = Duration::from_secs(10);

/// Makes a new key, which is announced at once. One that waits for that, because the disk was full or no signing key counted, is announced
/// instead: whoever had no answer asks again.
pub(super) async fn renew(State(api): State<SharedApi>, headers: HeaderMap) -> Result<Response, Problem> {
    let said_at = |key| api.keeper.registry().sealing_key_said_at(&api.office, key);
    let makes = said_at(api.sealing.key()).is_some();
    if makes {
        let kept = Arc::clone(&api.sealing);
        let renewing = tokio::task::spawn_blocking(move || kept.renew()).await;
        renewing.map_err(|_| unusable("renewing the sealing keys panicked".to_owned()))??;
        tracing::info!(key = api.sealing.held().recipient(), "the office has a new sealing key");
    }
    let announced = match api.inputs.ask(PATIENCE, |ticket| Input::SealingKeyRenewed { ticket }).await? {
        Answer::SealingKey { announced } => announced,
        Answer::DiskFull => return Err(Problem::disk_full().told(waits())),
        Answer::Refused(refusal) => return Err(refusal.into()),
        Answer::Dispatched { .. }
        | Answer::Done(_)
        | Answer::Kept
        | Answer::Discarded(_)
        | Answer::Incomplete
        | Answer::Imported(_) => unreachable!("the core says whether the sealing key is announced"),
    };
    if announced {
        let (me, key) = (api.office, api.sealing.key());
        let mut newer = api.keeper.subscribe();
        let shown = newer.wait_for(|newest| newest.registry().sealing_key_said_at(&me, key).is_some());
        // It is in the chain; that it is not shown yet is told as it is.
        let _ = timeout(SHOWN_WAIT, shown).await;
    }
    let mut answer = view(&api.sealing.held(), &api.keeper.registry(), &api.office, now());
    answer["made"] = makes.into();
    answer["announced"] = announced.into();
    Ok(api.presented(&headers, &answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandOver {
    /// The successor: id or code.
    to: String,
}

/// Hands all keys over to the office that the directory names as the successor: they leave sealed for it.
pub(super) async fn hand_over(
    State(api): State<SharedApi>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let headers = request.headers().clone();
    let HandOver { to } = parsed_body(&json_body(request).await?)?;
    let registry = api.keeper.registry();
    let office = resolve(registry.directory(), &to, day_in_vietnam(now()))?;
    let successor = registry.sealing_key(&office).ok_or(Refusal::NoSealingKey { office })?;
    let keys = api.sealing.held();
    let keyring = keys.handed_to(successor).map_err(SealingKeysError::from)?;
    let by = caller.person(&HANDING_OVER_ROLES);
    let command = Command::HandOver { by, to: office, newest: keys.key(), keyring };
    match api.inputs.ask(PATIENCE, |ticket| Input::Command { ticket, command }).await? {
        Answer::Done(_) => {
            tracing::info!(successor = %office, "the sealing keys are handed over");
            let saved = json!({ "office": office, "keys": keys.count(), "status": "queued" });
            Ok((StatusCode::CREATED, api.presented(&headers, &saved)).into_response())
        }
        Answer::DiskFull => Err(Problem::disk_full()),
        Answer::Refused(refusal) => Err(refusal.into()),
        Answer::Dispatched { .. }
        | Answer::SealingKey { .. }
        | Answer::Kept
        | Answer::Incomplete
        | Answer::Discarded(_)
        | Answer::Imported(_) => unreachable!("the core says whether the keys are handed over"),
    }
}

/// What the status says about it.
pub(super) fn view(keys: &SealingKeys, registry: &Registry, office: &OfficeId, now: Millis) -> Value {
    let since = registry.sealing_key_said_at(office, keys.key());
    let days = since.map(|at| now.since(at) / Millis::DAY);
    let state = match days {
        _ if registry.sealing_key(office) != Some(keys.key()) => "unannounced",
        Some(days) if days > SEALING_KEY_DAYS_MAX => "old",
        _ => "in-use",
    };
    let taken_over: Vec<Value> =
        keys.taken_over().iter().map(|(office, count)| json!({ "office": office, "keys": count })).collect();
    json!({
        "recipient": keys.recipient(),
        "since": since,
        "days": days,
        "keys": keys.count(),
        "taken_over": taken_over,
        "sealing_key": state,
    })
}

/// The file took the key, and the chain did not.
fn waits() -> Told {
    Told {
        vi: "Khóa mới đã nằm trong tệp và chờ công bố; khi có chỗ trống hãy chạy lại lệnh, không tạo thêm khóa.".to_owned(),
        en: "The new key lies in its file and waits to be announced; ask again when there is room, no further one is made."
            .to_owned(),
    }
}

fn unusable(detail: String) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "sealing-keys").detail(detail)
}

impl From<SealingKeysError> for Problem {
    fn from(error: SealingKeysError) -> Self {
        match error {
            SealingKeysError::Full => {
                Self::new(StatusCode::CONFLICT, "sealing-keys-full").detail(error.to_string())
            }
            error => {
                tracing::error!(error = with_causes(&error), "the sealing key was not renewed");
                unusable(with_causes(&error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certified::{BEGAN, Registrar};
    use crate::sealing::founding_announcement;
    use ed25519_dalek::SigningKey;
    use schema::directory::{DirectoryBuilder, Name, Office, Validity};

    /// A person is told that a key is due for renewal after 400 days, and not before; and that nobody knows a newer one yet.
    #[test]
    fn age_of_a_sealing_key_counts_from_its_announcement() {
        let (me, key) = (OfficeId::new([1; 16]), SigningKey::from_bytes(&[1; 32]));
        let mut office = Office::new(me);
        office.names.push(Name { text: "Ủy ban nhân dân xã".to_owned(), validity: Validity::ALWAYS });
        let mut builder = DirectoryBuilder::new();
        builder.office(office);
        let directory = builder.build(1, Millis(0)).expect("a directory");
        let registry = Registrar::new().registry(&directory, &[(me, key.verifying_key().to_bytes())]);
        let keys = SealingKeys::generate().expect("a key");
        let shown = |keys: &SealingKeys, registry: &Registry, days: u64| {
            view(keys, registry, &me, BEGAN.plus(days * Millis::DAY))["sealing_key"].clone()
        };
        assert_eq!(shown(&keys, &registry, 0), "unannounced");
        let said = founding_announcement(&key, me, keys.key(), BEGAN).expect("announced");
        let (registry, outcomes) = registry.with(vec![said]);
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
        assert_eq!(shown(&keys, &registry, 0), "in-use");
        assert_eq!(shown(&keys, &registry, SEALING_KEY_DAYS_MAX), "in-use");
        assert_eq!(shown(&keys, &registry, SEALING_KEY_DAYS_MAX + 1), "old");
        let now = BEGAN.plus(5 * Millis::DAY);
        let seen = view(&keys, &registry, &me, now);
        assert_eq!((&seen["since"], &seen["days"], &seen["keys"]), (&json!(BEGAN), &json!(5), &json!(1)));
        assert_eq!(shown(&keys.renewed().expect("room"), &registry, 0), "unannounced");
        // A clock that went back makes no key old.
        assert_eq!(view(&keys, &registry, &me, Millis(0))["sealing_key"], "in-use");
    }
}
