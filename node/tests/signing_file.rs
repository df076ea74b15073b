//! Officers' keys in encrypted files, and what the desk keeps: keys of `openssl genpkey`, signatures before `openssl
//! cms`.

mod officers;
#[path = "../../schema/tests/signed_document/mod.rs"]
mod signed_document;
#[path = "../../schema/tests/trust_country/mod.rs"]
mod trust_country;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use node::config::{SignerConfig, SignerKind};
use node::keyring::Passphrase;
use node::signing::{
    Ask, Begun, CONTENT_BYTES_MAX, Desk, DeskError, Handle, Progress, RequestView, Seat, Signer, SignerError,
    SigningRequest,
};
use node::store::{RequestState, SigningStore};
use node::words::Lang;
use officers::{CONTENT, KINDS, PASSPHRASE, Workshop, is_here, require_masked};
use schema::time::Millis;
use trust_country::{OFFICE_SERIAL, Plan, day, pem};

const NOW: u64 = 50;

fn now() -> Millis {
    day(NOW)
}

fn config(workshop: &Workshop, name: &str) -> SignerConfig {
    SignerConfig {
        name: name.to_owned(),
        certificate: workshop.path(&format!("{name}.pem")),
        chain: vec![workshop.path("here.pem")],
        kind: SignerKind::File { key: workshop.path(&format!("{name}.key")) },
    }
}

fn ask(signer: &str, passphrase: Option<&str>) -> Ask {
    let secret = passphrase.map(|text| Passphrase::parse(text.as_bytes()).expect("a passphrase"));
    let (signer, description) = (signer.to_owned(), "CV 12".to_owned());
    let asked_by = Some("Lò Thị Mai".to_owned());
    Ask { signer, content: CONTENT.to_vec(), description, asked_by, secret }
}

fn outcome(view: &RequestView) -> (RequestState, Option<&str>) {
    (view.state, view.reason.as_deref())
}

#[test]
fn openssl_takes_what_every_kind_of_key_file_signs() {
    if !is_here("openssl", "version") {
        return;
    }
    let workshop = Workshop::new();
    let signers: Vec<SignerConfig> = KINDS
        .iter()
        .map(|kind| {
            workshop.officer(kind.name, kind);
            config(&workshop, kind.name)
        })
        .collect();
    let desk = Desk::open(&workshop.database(), &signers, now()).expect("a desk");
    for kind in &KINDS {
        let view = desk.ask(&ask(kind.name, Some(PASSPHRASE)), now()).expect(kind.name);
        assert_eq!(outcome(&view), (RequestState::Signed, None), "{}", kind.name);
        require_masked(&view.officer);
        let signature = view.signature.expect("a signature");
        assert!(workshop.takes(&signature, CONTENT, now()), "{}", kind.name);
        assert!(!workshop.takes(&signature, b"another text", now()), "{}", kind.name);
    }
}

#[test]
fn wrong_passphrase_is_tried_once_and_the_next_attempt_is_a_new_request() {
    if !is_here("openssl", "version") {
        return;
    }
    let workshop = Workshop::new();
    workshop.officer("lan", &KINDS[1]);
    let desk = Desk::open(&workshop.database(), &[config(&workshop, "lan")], now()).expect("a desk");
    let wrong = desk.ask(&ask("lan", Some("không phải cụm này")), now()).expect("taken");
    assert_eq!(outcome(&wrong), (RequestState::Failed, Some("wrong-passphrase")));
    assert!(wrong.reason_text(Lang::Vi).expect("words").contains("Chỉ thử một lần"));
    let missing = desk.ask(&ask("lan", None), now()).expect("taken");
    assert_eq!(outcome(&missing), (RequestState::Failed, Some("secret-missing")));
    let right = desk.ask(&ask("lan", Some(PASSPHRASE)), now()).expect("taken");
    assert_eq!(right.state, RequestState::Signed);
    assert_ne!(right.id, wrong.id);
    desk.poll(now().plus(Millis::DAY)).expect("polled");
    assert_eq!(desk.request(&wrong.id).expect("read"), Some(wrong), "what has ended changed");
}

#[test]
fn key_that_is_exposed_unencrypted_or_anothers_does_not_sign() {
    if !is_here("openssl", "version") {
        return;
    }
    let workshop = Workshop::new();
    workshop.officer("lan", &KINDS[1]);
    workshop.officer("minh", &KINDS[1]);
    let exchanged = SignerConfig { name: "exchanged".to_owned(), ..config(&workshop, "lan") };
    let exchanged = SignerConfig { kind: config(&workshop, "minh").kind, ..exchanged };
    let plain = SignerKind::File { key: workshop.path("plain") };
    workshop.mode("plain", 0o600);
    let plain = SignerConfig { name: "plain".to_owned(), kind: plain, ..config(&workshop, "minh") };
    let signers = [config(&workshop, "lan"), exchanged, plain];
    let desk = Desk::open(&workshop.database(), &signers, now()).expect("a desk");
    let reason = |signer: &str| desk.ask(&ask(signer, Some(PASSPHRASE)), now()).expect("taken").reason;
    assert_eq!(reason("exchanged").as_deref(), Some("other-key"));
    assert_eq!(reason("plain").as_deref(), Some("key-unencrypted"));
    workshop.mode("lan.key", 0o640);
    assert_eq!(reason("lan").as_deref(), Some("key-exposed"));
    workshop.write("lan.key", b"no key");
    workshop.mode("lan.key", 0o600);
    assert_eq!(reason("lan").as_deref(), Some("key-unusable"));
}

#[test]
fn signer_that_cannot_be_used_is_named_and_the_station_starts() {
    let workshop = Workshop::new();
    let office = workshop
        .country
        .here
        .issue(&Plan::office(trust_country::HERE, OFFICE_SERIAL), &trust_country::Key::p256());
    workshop.write("office.pem", pem("CERTIFICATE", &office).as_bytes());
    let officer = workshop.country.officer.clone();
    workshop.write("lan.pem", pem("CERTIFICATE", &officer).as_bytes());
    workshop.write("there.pem", pem("CERTIFICATE", &workshop.country.there.der).as_bytes());
    let stray = SignerConfig {
        name: "stray".to_owned(),
        chain: vec![workshop.path("there.pem")],
        ..config(&workshop, "lan")
    };
    let absent = config(&workshop, "absent");
    let desk = Desk::open(&workshop.database(), &[config(&workshop, "office"), stray, absent], now());
    let desk = desk.expect("the station starts");
    for (name, seat) in desk.signers() {
        require_masked(seat.err().expect("unusable"));
        assert!(matches!(desk.ask(&ask(name, None), now()), Err(DeskError::Unusable { .. })), "{name}");
    }
    assert!(matches!(desk.ask(&ask("nobody", None), now()), Err(DeskError::UnknownSigner { .. })));
}

/// Looks into the store at the moment when it is asked; then does as it is told.
struct Watcher {
    database: PathBuf,
    dies: bool,
}

impl Signer for Watcher {
    fn begin(&mut self, request: &SigningRequest<'_>) -> Result<Begun, SignerError> {
        let store = SigningStore::open(&self.database).expect("the store");
        let open = store.open_requests().expect("read");
        assert!(
            open.iter().any(|row| row.id == request.id && row.content == CONTENT),
            "not written down before"
        );
        assert!(!self.dies, "the process dies here");
        Ok(Begun::Signed(vec![0; 64]))
    }

    fn poll(&mut self, _handle: &Handle) -> Result<Progress, SignerError> {
        Err(SignerError::NoRequests)
    }
}

fn watched(workshop: &Workshop, dies: bool) -> Desk {
    let database = workshop.database();
    let watcher = Watcher { database: database.clone(), dies };
    let kind = SignerKind::File { key: PathBuf::new() };
    let seat = Seat::new("lan", kind, &workshop.country.officer, &[], Box::new(watcher)).expect("a seat");
    Desk::with_seats(&database, BTreeMap::from([("lan".to_owned(), Ok(seat))]), now()).expect("a desk")
}

#[test]
fn request_is_written_down_before_anybody_is_asked_and_a_lie_never_becomes_a_signature() {
    let workshop = Workshop::new();
    let desk = watched(&workshop, false);
    let view = desk.ask(&ask("lan", None), now()).expect("taken");
    assert_eq!(outcome(&view), (RequestState::Failed, Some("not-made")));
    assert_eq!(view.signature, None);
}

#[test]
fn request_that_was_being_signed_when_the_process_died_has_failed_after_the_restart() {
    let workshop = Workshop::new();
    let desk = watched(&workshop, true);
    let died = catch_unwind(AssertUnwindSafe(|| desk.ask(&ask("lan", None), now())));
    assert!(died.is_err());
    let id = desk.requests(1).expect("read")[0].id;
    assert_eq!(desk.request(&id).expect("read").expect("there").state, RequestState::Recorded);
    drop(desk);
    let desk = watched(&workshop, false);
    let view = desk.request(&id).expect("read").expect("there");
    assert_eq!(outcome(&view), (RequestState::Failed, Some("interrupted")));
    assert!(view.reason_text(Lang::En).expect("words").contains("Sign again"));
}

#[test]
fn what_cannot_be_signed_is_refused_before_anything_is_written() {
    let workshop = Workshop::new();
    let desk = watched(&workshop, false);
    let empty = Ask { content: Vec::new(), ..ask("lan", None) };
    let large = Ask { content: vec![0; CONTENT_BYTES_MAX + 1], ..ask("lan", None) };
    for ask in [empty, large] {
        assert!(matches!(desk.ask(&ask, now()), Err(DeskError::ContentLength { .. })));
    }
    for description in ["", "một\ndòng", "Quye\u{302}\u{301}t", &"x".repeat(300)] {
        let ask = Ask { description: description.to_owned(), ..ask("lan", None) };
        assert!(matches!(desk.ask(&ask, now()), Err(DeskError::Description)), "{description:?}");
    }
    let expired = desk.ask(&ask("lan", None), day(5_000));
    assert!(matches!(expired, Err(DeskError::Preparation(_))), "{expired:?}");
    assert_eq!(desk.requests(10).expect("read"), Vec::new());
}
