//! An officer who is asked on the telephone: the provider is late, repeats itself, mixes up, lies, fails, or is gone,
//! and the station dies in between.

mod office;
mod officers;
mod provider;
#[path = "../../schema/tests/signed_document/mod.rs"]
mod signed_document;
mod station;
#[path = "../../schema/tests/trust_country/mod.rs"]
mod trust_country;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use data_encoding::BASE64;
use node::config::{SignerConfig, SignerKind};
use node::signing::{
    ANSWERS_REFUSED_MAX, Ask, Desk, GRACE_MS, POLL_MS, POLL_MS_MAX, REQUEST_MS, RequestView,
};
use node::store::RequestState;
use office::Office;
use officers::{CITIZEN, CONTENT, KINDS, Kind, Workshop, is_here, require_masked};
use provider::{Mood, Provider};
use schema::id::RequestId;
use schema::time::Millis;
use station::SENDER;
use trust_country::day;

const RSA: &Kind = &KINDS[3];
const P256: &Kind = &KINDS[1];
const ED25519: &Kind = &KINDS[0];

/// An officer at a provider, a desk, and a clock.
struct Scene {
    workshop: Workshop,
    provider: Provider,
    config: SignerConfig,
    desk: Desk,
    now: Millis,
}

impl Scene {
    /// `None` where openssl is missing and need not be there.
    fn set(kind: &Kind) -> Option<Self> {
        is_here("openssl", "version").then(|| Self::with(kind, None))
    }

    fn with(kind: &Kind, token_file: Option<PathBuf>) -> Self {
        let provider = Provider::start();
        let url = provider.url();
        Self::at(kind, provider, url, token_file, None)
    }

    fn at(
        kind: &Kind,
        provider: Provider,
        url: String,
        token_file: Option<PathBuf>,
        roots: Option<PathBuf>,
    ) -> Self {
        let workshop = Workshop::new();
        let der = workshop.officer("lan", kind);
        provider.keeps("lan-1", &der, &workshop.path("lan.plain"));
        let credential = "lan-1".to_owned();
        let config = SignerConfig {
            name: "lan".to_owned(),
            certificate: workshop.path("lan.pem"),
            chain: vec![workshop.path("here.pem")],
            kind: SignerKind::Remote { url, credential, token_file, roots },
        };
        let now = day(50);
        let desk = Desk::open(&workshop.database(), std::slice::from_ref(&config), now).expect("a desk");
        Self { workshop, provider, config, desk, now }
    }

    fn ask(&self, content: &[u8]) -> RequestView {
        let (signer, description) = ("lan".to_owned(), "CV 12/UBND".to_owned());
        let ask = Ask { signer, content: content.to_vec(), description, asked_by: None, secret: None };
        self.desk.ask(&ask, self.now).expect("taken")
    }

    /// The station dies and comes back.
    fn restart(&mut self) {
        let database = self.workshop.path("tram.db");
        self.desk = Desk::open(&database, std::slice::from_ref(&self.config), self.now).expect("a desk");
    }

    /// Long enough after whatever was before, the provider is asked in that mood.
    fn poll(&mut self, mood: Mood) {
        self.provider.mood(mood);
        self.now = self.now.plus(POLL_MS_MAX);
        self.desk.poll(self.now).expect("polled");
    }

    fn view(&self, id: &RequestId) -> RequestView {
        self.desk.request(id).expect("read").expect("there")
    }

    fn outcome(&self, id: &RequestId) -> (RequestState, Option<String>) {
        let view = self.view(id);
        assert_eq!(view.signature.is_some(), view.state == RequestState::Signed);
        (view.state, view.reason)
    }

    fn require_signed(&self, id: &RequestId, content: &[u8]) {
        assert_eq!(self.outcome(id), (RequestState::Signed, None));
        let signature = self.view(id).signature.expect("a signature");
        assert!(self.workshop.takes(&signature, content, day(50)), "openssl does not take it");
    }
}

fn waits(reason: Option<&str>) -> (RequestState, Option<String>) {
    (RequestState::Asked, reason.map(str::to_owned))
}

fn ended(state: RequestState, reason: &str) -> (RequestState, Option<String>) {
    (state, Some(reason.to_owned()))
}

#[test]
fn answer_that_comes_after_a_restart_is_the_signature_and_the_provider_saw_the_hash_only() {
    for kind in [RSA, P256] {
        let Some(mut scene) = Scene::set(kind) else { return };
        let asked = scene.ask(CONTENT);
        assert_eq!(scene.outcome(&asked.id), waits(None));
        scene.poll(Mood::Pending);
        assert_eq!(scene.outcome(&asked.id), waits(None));
        scene.restart();
        scene.poll(Mood::Pending);
        scene.restart();
        scene.poll(Mood::Honest);
        scene.require_signed(&asked.id, CONTENT);

        // Repeated answers change nothing: nobody even asks.
        let before = (scene.provider.asked("/status"), scene.view(&asked.id));
        scene.poll(Mood::Lie);
        scene.poll(Mood::Declined);
        assert_eq!((scene.provider.asked("/status"), scene.view(&asked.id)), before);

        let state = scene.provider.state();
        assert_eq!(state.taken.len(), 1, "the officer was asked twice");
        assert!(state.taken[0].description.contains(&format!("[{}]", asked.check)), "{:?}", state.taken);
        let content = BASE64.encode(CONTENT);
        for (path, body) in &state.questions {
            let shown = body.contains(&content[..content.len() - 4]) || body.contains("bản kê");
            assert!(!shown && !body.contains(CITIZEN), "{path} {body}");
        }
    }
}

#[test]
fn same_document_before_the_same_officer_is_one_request() {
    let Some(mut scene) = Scene::set(P256) else { return };
    let (first, again) = (scene.ask(CONTENT), scene.ask(CONTENT));
    assert_eq!(first.id, again.id);
    assert_eq!(scene.provider.state().taken.len(), 1);
    scene.poll(Mood::Honest);
    scene.require_signed(&first.id, CONTENT);
    assert_ne!(scene.ask(CONTENT).id, first.id, "a new request after the first has ended");
}

#[test]
fn answers_swapped_between_two_requests_never_become_signatures_and_right_ones_still_do() {
    let Some(mut scene) = Scene::set(RSA) else { return };
    let (one, two) = (scene.ask(CONTENT), scene.ask(b"another document"));
    scene.poll(Mood::Swapped);
    for id in [one.id, two.id] {
        assert_eq!(scene.outcome(&id), waits(Some("not-made")));
    }
    scene.poll(Mood::AboutAnother);
    for id in [one.id, two.id] {
        assert_eq!(scene.outcome(&id), waits(Some("garbled")));
    }
    scene.restart();
    scene.poll(Mood::Honest);
    scene.require_signed(&one.id, CONTENT);
    scene.require_signed(&two.id, b"another document");
}

#[test]
fn provider_that_keeps_lying_is_asked_no_more() {
    let Some(mut scene) = Scene::set(P256) else { return };
    let asked = scene.ask(CONTENT);
    for _ in 1..ANSWERS_REFUSED_MAX {
        scene.poll(Mood::Lie);
        assert_eq!(scene.outcome(&asked.id), waits(Some("not-made")));
        // Not forgotten by dying.
        scene.restart();
    }
    scene.poll(Mood::Lie);
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Failed, "not-made"));
    scene.poll(Mood::Honest);
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Failed, "not-made"));
}

#[test]
fn refusal_failure_and_forgetting_end_the_request_each_with_its_words() {
    let endings = [
        (Mood::Declined, RequestState::Declined, "declined"),
        (Mood::Failed, RequestState::Failed, "provider-failed"),
        (Mood::Expired, RequestState::Expired, "expired"),
        (Mood::Unknown, RequestState::Failed, "lost"),
        (Mood::Status(404), RequestState::Failed, "lost"),
    ];
    let Some(mut scene) = Scene::set(P256) else { return };
    for (mood, state, reason) in endings {
        scene.provider.mood(Mood::Pending);
        let asked = scene.ask(CONTENT);
        scene.poll(mood);
        assert_eq!(scene.outcome(&asked.id), ended(state, reason), "{mood:?}");
        let words = scene.view(&asked.id).reason_text(node::words::Lang::Vi).expect("words");
        assert_ne!(words, reason, "a clerk reads a code");
    }
}

#[test]
fn signature_that_was_taken_stands_whatever_the_provider_says_afterwards() {
    let Some(mut scene) = Scene::set(P256) else { return };
    let asked = scene.ask(CONTENT);
    scene.poll(Mood::Honest);
    scene.require_signed(&asked.id, CONTENT);
    let questions = scene.provider.state().questions.len();
    for mood in [Mood::Honest, Mood::Lie, Mood::Declined, Mood::Expired, Mood::Unknown] {
        scene.poll(mood);
        scene.require_signed(&asked.id, CONTENT);
    }
    scene.restart();
    scene.poll(Mood::Declined);
    scene.require_signed(&asked.id, CONTENT);
    assert_eq!(scene.provider.state().questions.len(), questions, "it was asked about what is settled");
}

#[test]
fn ending_that_was_taken_stands_although_a_signature_comes_later() {
    let Some(mut scene) = Scene::set(P256) else { return };
    let asked = scene.ask(CONTENT);
    scene.poll(Mood::Declined);
    scene.poll(Mood::Honest);
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Declined, "declined"));
    let again = scene.ask(CONTENT);
    assert_ne!(again.id, asked.id, "the officer may be asked anew");
    scene.poll(Mood::Honest);
    scene.require_signed(&again.id, CONTENT);
}

#[test]
fn answers_without_meaning_leave_the_request_waiting() {
    let Some(mut scene) = Scene::set(P256) else { return };
    let asked = scene.ask(CONTENT);
    for (mood, reason) in [
        (Mood::Garbage, "garbled"),
        (Mood::Oversized, "garbled"),
        (Mood::Empty, "garbled"),
        (Mood::Status(302), "garbled"),
        (Mood::Silent, "unreachable"),
        (Mood::Status(500), "unreachable"),
        (Mood::Status(401), "unreachable"),
        (Mood::Status(429), "unreachable"),
    ] {
        scene.poll(mood);
        assert_eq!(scene.outcome(&asked.id), waits(Some(reason)), "{mood:?}");
    }
    scene.poll(Mood::Honest);
    scene.require_signed(&asked.id, CONTENT);
}

#[test]
fn request_whose_taking_was_not_confirmed_is_made_again_under_the_same_name() {
    let Some(mut scene) = Scene::set(P256) else { return };
    // The provider confirms the credential first, so that silence falls on the request itself.
    scene.ask(b"a document before");
    scene.provider.mood(Mood::Silent);
    let asked = scene.ask(CONTENT);
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Recorded, "unreachable"));
    assert_eq!(scene.provider.state().taken.len(), 2, "it had taken the request");
    scene.restart();
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Recorded, "unreachable"));
    scene.poll(Mood::Pending);
    assert_eq!(scene.outcome(&asked.id), waits(None));
    assert_eq!(scene.provider.state().taken.len(), 2, "the officer was asked twice");
    scene.poll(Mood::Honest);
    scene.require_signed(&asked.id, CONTENT);
}

#[test]
fn nobody_answers_and_the_request_expires() {
    let Some(mut scene) = Scene::set(P256) else { return };
    let asked = scene.ask(CONTENT);
    scene.now = asked.expires_at;
    scene.poll(Mood::Pending);
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Expired, "expired"));
    assert_eq!(asked.expires_at, asked.created_at.plus(REQUEST_MS));
}

#[test]
fn officer_who_signed_in_time_is_heard_although_the_line_was_down() {
    let Some(mut scene) = Scene::set(P256) else { return };
    let (heard, not_heard) = (scene.ask(CONTENT), scene.ask(b"another document"));
    scene.now = heard.expires_at;
    scene.poll(Mood::Status(503));
    scene.poll(Mood::Status(503));
    assert_eq!(scene.outcome(&heard.id), waits(Some("unreachable")));
    scene.provider.mood(Mood::Honest);
    scene.desk.poll(scene.now.plus(POLL_MS_MAX)).expect("polled");
    scene.require_signed(&heard.id, CONTENT);
    scene.require_signed(&not_heard.id, b"another document");

    let gone = scene.ask(b"a third document");
    scene.now = gone.expires_at.plus(GRACE_MS);
    scene.poll(Mood::Status(503));
    assert_eq!(scene.outcome(&gone.id), ended(RequestState::Expired, "expired"));
}

#[test]
fn provider_is_not_asked_more_often_than_agreed() {
    let Some(mut scene) = Scene::set(P256) else { return };
    scene.ask(CONTENT);
    let start = scene.now;
    for step in 1..=POLL_MS / 500 * 4 {
        scene.now = start.plus(step * 500);
        scene.desk.poll(scene.now).expect("polled");
    }
    assert_eq!(scene.provider.asked("/status"), 4);
    scene.provider.mood(Mood::Status(503));
    for step in 1..=600 {
        scene.desk.poll(scene.now.plus(step * 500)).expect("polled");
    }
    let asked = scene.provider.asked("/status") - 4;
    assert!((5..=9).contains(&asked), "asked {asked} times in five minutes of silence");
}

#[test]
fn one_transaction_for_two_requests_is_refused() {
    let Some(mut scene) = Scene::set(P256) else { return };
    scene.provider.state().one_transaction = true;
    let one = scene.ask(CONTENT);
    let two = scene.ask(b"another document");
    assert_eq!(scene.outcome(&two.id), ended(RequestState::Recorded, "mixed-up"));
    for _ in 1..ANSWERS_REFUSED_MAX {
        scene.poll(Mood::Pending);
    }
    assert_eq!(scene.outcome(&two.id), ended(RequestState::Failed, "mixed-up"));
    assert_eq!(scene.outcome(&one.id), waits(None));
}

#[test]
fn officer_is_not_bothered_for_what_nobody_could_use() {
    let Some(scene) = Scene::set(P256) else { return };
    let other = scene.workshop.country.officer.clone();
    scene.provider.state().credentials[0].1 = other;
    let asked = scene.ask(CONTENT);
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Failed, "other-certificate"));
    let Some(scene) = Scene::set(ED25519) else { return };
    let asked = scene.ask(CONTENT);
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Failed, "algorithm"));
    assert_eq!(scene.provider.state().questions.len(), 0);
    let Some(scene) = Scene::set(P256) else { return };
    scene.provider.mood(Mood::Status(403));
    let asked = scene.ask(CONTENT);
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Failed, "provider-refused"));
}

#[test]
fn station_shows_its_account_and_keeps_it_to_itself() {
    if !is_here("openssl", "version") {
        return;
    }
    let secrets = Workshop::new();
    secrets.secret("account", "account-of-this-station");
    let scene = Scene::with(P256, Some(secrets.path("account")));
    let asked = scene.ask(CONTENT);
    assert_eq!(scene.outcome(&asked.id), waits(None));
    assert_eq!(scene.provider.state().authorization.as_deref(), Some("Bearer account-of-this-station"));
    secrets.mode("account", 0o644);
    let asked = scene.ask(b"another document");
    assert_eq!(scene.outcome(&asked.id), ended(RequestState::Failed, "provider-account"));
}

#[test]
fn provider_is_believed_over_tls_only_with_the_roots_that_are_pinned() {
    if !is_here("openssl", "version") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let server = || rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let (right, other) = (server(), server());
    for (pinned, reason) in [(&right, None), (&other, Some("unreachable"))] {
        let roots = folder.path().join("roots.pem");
        fs::write(&roots, trust_country::pem("CERTIFICATE", pinned.cert.der())).expect("written");
        let provider = Provider::start_tls(right.cert.der().to_vec(), right.signing_key.serialize_der());
        let url = format!("https://localhost:{}/v1", provider.address.port());
        let mut scene = Scene::at(P256, provider, url, None, Some(roots));
        let asked = scene.ask(CONTENT);
        assert_eq!(scene.outcome(&asked.id).1.as_deref(), reason);
        assert_eq!(
            scene.provider.state().questions.is_empty(),
            reason.is_some(),
            "something was told to a stranger"
        );
        scene.poll(Mood::Honest);
        match reason {
            None => scene.require_signed(&asked.id, CONTENT),
            Some(reason) => assert_eq!(scene.outcome(&asked.id), ended(RequestState::Recorded, reason)),
        }
    }
}

#[test]
fn clerk_waits_for_the_telephone_goes_home_and_takes_the_signature_after_a_restart() {
    if !is_here("openssl", "version") {
        return;
    }
    let (workshop, provider) = (Workshop::new(), Provider::start());
    let der = workshop.officer("lan", RSA);
    provider.keeps("lan-1", &der, &workshop.path("lan.plain"));
    let mut office = Office::enrolled(SENDER);
    let mut settings =
        OpenOptions::new().append(true).open(office.data().join("config.toml")).expect("there");
    write!(
        settings,
        "\n[[signers]]\nname = \"lan\"\nkind = \"remote\"\ncertificate = \"{}\"\nchain = [\"{}\"]\nurl = \"{}\"\n\
         credential = \"lan-1\"\n",
        workshop.shown("lan.pem"),
        workshop.shown("here.pem"),
        provider.url(),
    )
    .expect("written");
    office.start();
    workshop.write("manifest", CONTENT);
    let (manifest, out) = (workshop.shown("manifest"), workshop.shown("manifest.p7s"));
    let waiting =
        office.json(&["sign", &manifest, "--signer", "lan", "--wait", "1", "--description", "CV 12"]);
    assert_eq!(waiting["state"], "asked", "{waiting}");
    let (id, check) =
        (waiting["request"].as_str().expect("an id"), waiting["check"].as_str().expect("digits"));
    assert_eq!(provider.state().taken[0].description, format!("CV 12 [{check}]"));
    let shown = office.text(&["sign", "--resume", id]);
    require_masked(&shown);
    assert!(shown.contains("đang chờ người ký xác nhận") && shown.contains(check), "{shown}");

    office.stop("-KILL");
    provider.mood(Mood::Honest);
    office.start();
    let signed = office.json(&["sign", "--resume", id, "--wait", "60", "--out", &out]);
    assert_eq!(signed["state"], "signed", "{signed}");
    require_masked(&signed.to_string());
    let signature = fs::read(&out).expect("there");
    assert!(workshop.takes(&signature, CONTENT, node::runtime::now()));
    assert_eq!(provider.state().taken.len(), 1, "the officer was asked twice");
}
