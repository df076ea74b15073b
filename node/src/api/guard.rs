//! Who may ask: programs on this machine that can read the station's token. Checked before a body is read.

use std::collections::BTreeSet;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use schema::exchange::WorkRefusal;
use schema::handling::{Actor, Role};

use super::problem::Problem;
use super::{Api, SharedApi};
use crate::people::{People, Person};
use crate::words::Lang;

/// Checks the request, lets it through, and gives a refusal its words.
pub(super) async fn guard(State(api): State<SharedApi>, mut request: Request, next: Next) -> Response {
    let lang = Lang::of_header(text(request.headers(), &header::ACCEPT_LANGUAGE));
    let checked = match check(&api, request.headers()) {
        Ok(token) => {
            let caller = caller(&api, &token, request.method()).await;
            caller.and_then(|caller| caller.may(request.method(), request.uri().path()).map(|()| caller))
        }
        Err(problem) => Err(problem),
    };
    let mut response = match checked {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem.render(lang),
        None => {
            let headers = response.headers_mut();
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
            headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
            response
        }
    }
}

/// Who has this token. Nobody acts by rights that the chain does not know: a person as the list says after it was recorded.
/// Where it cannot be recorded, reading goes on for whoever is known to the chain as the list says.
async fn caller(api: &SharedApi, token: &[u8; 32], method: &Method) -> Result<Caller, Problem> {
    if *token == api.token_hash {
        return Ok(Caller::Machine(api.machine_roles.clone()));
    }
    let of = |people: &People| people.of_token(token).cloned();
    let nobody = || Problem::new(StatusCode::UNAUTHORIZED, "token");
    match super::people::record(api).await {
        Ok((people, _)) => of(&people).map(Caller::Person).ok_or_else(nobody),
        Err(problem) => {
            let person = of(&super::people::read(api)?).ok_or_else(nobody)?;
            if method != Method::GET || !super::people::is_recorded(api, &person).await? {
                return Err(problem);
            }
            tracing::warn!(?problem, "what the list of people says cannot be recorded");
            Ok(Caller::Person(person))
        }
    }
}

/// The hash of the token that a request from this machine carries.
fn check(api: &Api, headers: &HeaderMap) -> Result<[u8; 32], Problem> {
    let host = text(headers, &header::HOST).unwrap_or_default();
    // A page of another site may carry a name that leads to this machine: it is the name that gives it away.
    if headers.get_all(header::HOST).iter().count() != 1 || !api.answers_to(host) {
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "host"));
    }
    if headers.contains_key(header::ORIGIN) {
        let origin = text(headers, &header::ORIGIN).unwrap_or_default();
        if !origin.strip_prefix("http://").is_some_and(|host| api.answers_to(host)) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "origin"));
        }
    }
    let token = text(headers, &header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    // Hashes are compared, so the time it takes says nothing about the token.
    token.map(token_hash).ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "token"))
}

/// Who asks.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// A program on this machine that reads `api.json`, in these roles. It does nobody's work.
    Machine(BTreeSet<Role>),
    /// Somebody of the office.
    Person(Person),
}

/// Addresses that say nothing about what documents say.
const WITHOUT_CONTENT: [&str; 6] = ["/status", "/alarms", "/offices", "/registry", "/signers", "/people"];

impl Caller {
    /// Whether this caller may ask for this at all; who may do which work is decided by the rules.
    fn may(&self, method: &Method, path: &str) -> Result<(), Problem> {
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        if method == Method::GET || path == "/work" {
            let content = path != "/work" && !WITHOUT_CONTENT.contains(&path);
            return match self {
                _ if !content || self.reads_content() => Ok(()),
                Self::Person(_) => Err(Problem::new(StatusCode::FORBIDDEN, "content-role")),
                Self::Machine(_) => Err(Problem::new(StatusCode::FORBIDDEN, "machine-role")),
            };
        }
        // Everything else brings something in or sends it.
        let wanted: &'static [Role] = match path {
            "/registry" => &[Role::Clerk, Role::Administrator],
            "/people" | "/sealing-key" | "/sealing-key/hand-over" => &[Role::Administrator],
            "/signatures" => &[Role::Leader, Role::Clerk],
            path if path.starts_with("/files/") || path == "/manifests" => {
                &[Role::Clerk, Role::Officer, Role::Leader]
            }
            _ => &[Role::Clerk],
        };
        match self {
            Self::Machine(roles) if roles.iter().any(|role| wanted.contains(role)) => Ok(()),
            Self::Machine(_) => Err(Problem::new(StatusCode::FORBIDDEN, "machine-role")),
            Self::Person(person) if person.roles.iter().any(|role| wanted.contains(role)) => Ok(()),
            Self::Person(person) => {
                let role = person.roles.first().copied().unwrap_or(Role::Auditor);
                Err(Problem::from(&WorkRefusal::Role { role, wanted }))
            }
        }
    }

    /// Whether this caller sees what documents say.
    pub(super) fn reads_content(&self) -> bool {
        match self {
            Self::Machine(roles) => roles.iter().any(|role| role.reads_content()),
            Self::Person(person) => person.reads_content(),
        }
    }

    /// Whether this caller inspects.
    pub(super) fn is_auditor(&self) -> bool {
        matches!(self, Self::Person(person) if person.roles.contains(&Role::Auditor))
    }

    /// Who acts, in the role that fits.
    pub(super) fn acting_as(&self, wanted: &[Role]) -> Result<Actor, Problem> {
        self.person(wanted).ok_or_else(|| Problem::new(StatusCode::FORBIDDEN, "person-needed"))
    }

    /// The person who asks, in the role that fits; none for a program.
    pub(super) fn person(&self, wanted: &[Role]) -> Option<Actor> {
        match self {
            Self::Machine(_) => None,
            Self::Person(person) => Some(person.acting_as(wanted)),
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

pub(super) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
