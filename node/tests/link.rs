//! The relay's door against a real nats-server. What a relay does is played by a few lines here, so that a
//! fault is this room's.

mod station;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt;
use nkeys::KeyPair;
use node::keyring::Login;
use schema::blob::{BlobReply, BlobRequest, encode_blob_message, parse_blob_message};
use schema::event::RecordedEvent;
use schema::pack::Message;
use schema::registry::talk::{RegistryAnswer, RegistryReply, encode_talk};
use schema::time::Millis;
use schema::wire;
use serde_json::{Value, json};
use station::{RECIPIENT, SENDER, Station, office_id, pdf};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio::sync::watch;

const DEADLINE: Duration = Duration::from_secs(20);

/// The server's program; `None` skips the test, except where nothing may be skipped.
fn server_program() -> Option<PathBuf> {
    let installed = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.tram/bin/nats-server");
    let found = std::env::var_os("TRAM_NATS_SERVER")
        .map(PathBuf::from)
        .or(Some(installed))
        .filter(|path| path.exists());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "no nats-server: run ops/install.sh");
    if found.is_none() {
        eprintln!("skipped: no nats-server; run ops/install.sh");
    }
    found
}

struct Server {
    program: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl Server {
    fn start(program: PathBuf, relay: &KeyPair, logins: &[(u8, &Login)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let users: String = logins
            .iter()
            .map(|(n, login)| {
                let (office, login) = (office_id(*n), login.public());
                format!(
                    r#"{{ nkey: {login}, permissions: {{ publish: ["t.up.{office}.>", "t.rq.{office}.>",
                    "RB.API.CONSUMER.MSG.NEXT.DN.u-{office}", "RB.API.CONSUMER.INFO.DN.u-{office}",
                    "$JS.ACK.DN.u-{office}.>", "$JS.ACK.*.*.DN.u-{office}.>"], subscribe: ["_INBOX_{office}.>"] }} }}
                    "#
                )
            })
            .collect();
        let config = format!(
            r#"listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}/js", sync_interval: always }}
accounts {{
  SYS {{}}
  CORE {{
    jetstream: enabled
    users: [ {{ nkey: {relay} }} ]
    exports: [
      {{ service: "t.up.*.>", accounts: [UNITS] }}
      {{ service: "t.rq.*.>", accounts: [UNITS] }}
      {{ service: "$JS.API.CONSUMER.MSG.NEXT.DN.*", response_type: stream, accounts: [UNITS] }}
      {{ service: "$JS.API.CONSUMER.INFO.DN.*", accounts: [UNITS] }}
      {{ service: "$JS.ACK.DN.>", accounts: [UNITS] }}
      {{ service: "$JS.ACK.*.*.DN.>", accounts: [UNITS] }}
    ]
  }}
  UNITS {{
    users: [ {users} ]
    imports: [
      {{ service: {{ account: CORE, subject: "t.up.*.>" }} }}
      {{ service: {{ account: CORE, subject: "t.rq.*.>" }} }}
      {{ service: {{ account: CORE, subject: "$JS.API.CONSUMER.MSG.NEXT.DN.*" }}, to: "RB.API.CONSUMER.MSG.NEXT.DN.*" }}
      {{ service: {{ account: CORE, subject: "$JS.API.CONSUMER.INFO.DN.*" }}, to: "RB.API.CONSUMER.INFO.DN.*" }}
      {{ service: {{ account: CORE, subject: "$JS.ACK.DN.>" }} }}
      {{ service: {{ account: CORE, subject: "$JS.ACK.*.*.DN.>" }} }}
    ]
  }}
}}
system_account: SYS
"#,
            folder = folder.path().display(),
            relay = relay.public_key(),
        );
        std::fs::write(folder.path().join("server.conf"), config).expect("written");
        let child = Self::child(&program, &folder);
        Self { program, folder, port, child }
    }

    fn child(program: &PathBuf, folder: &tempfile::TempDir) -> Child {
        let log = folder.path().join("log");
        Command::new(program)
            .arg("-c")
            .arg(folder.path().join("server.conf"))
            .arg("-l")
            .arg(log)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts")
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    fn restart(&mut self) {
        self.child = Self::child(&self.program, &self.folder);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays the relay: streams, mailboxes, and everything from UP into the mailboxes of its recipients, without
/// any check.
async fn relay(url: String, seed: String) -> Result<(), async_nats::Error> {
    let client = ConnectOptions::with_nkey(seed).retry_on_initial_connect().connect(url).await?;
    let jetstream = jetstream::new(client.clone());
    for (name, subject) in [(wire::STREAM_UP, "t.up.>"), (wire::STREAM_MAILBOXES, "t.dn.>")] {
        let config = stream::Config {
            name: name.to_owned(),
            subjects: vec![subject.to_owned()],
            ..Default::default()
        };
        // The server may still be starting.
        while let Err(error) = jetstream.get_or_create_stream(config.clone()).await {
            eprintln!("stream {name}: {error}");
        }
    }
    for n in [SENDER, RECIPIENT] {
        let config = pull::Config {
            durable_name: Some(wire::mailbox_consumer(&office_id(n))),
            filter_subject: wire::mailbox(&office_id(n)),
            ack_policy: AckPolicy::Explicit,
            ..Default::default()
        };
        jetstream.create_consumer_on_stream(config, wire::STREAM_MAILBOXES).await?;
    }
    tokio::spawn(serve_blobs(client));
    let config = pull::Config {
        durable_name: Some("relay".to_owned()),
        ack_policy: AckPolicy::Explicit,
        ..Default::default()
    };
    let up: PullConsumer = jetstream.create_consumer_on_stream(config, wire::STREAM_UP).await?;
    let mut messages = up.messages().await?;
    while let Some(message) = messages.next().await {
        let Ok(message) = message else { continue };
        let Ok(Message::Pack(items)) = Message::parse(&message.payload) else { continue };
        for item in items {
            let event = RecordedEvent::read(&item.event)?.event;
            for to in event.to {
                let pack = Message::Pack(vec![item.clone()]).encode();
                jetstream.publish(wire::mailbox(&to.office), pack.into()).await?.await?;
            }
        }
        message.ack().await?;
    }
    Ok(())
}

async fn serve_blobs(client: async_nats::Client) -> Result<(), async_nats::Error> {
    let mut chunks = BTreeMap::new();
    let mut requests = client.subscribe("t.rq.*.blob").await?;
    while let Some(message) = requests.next().await {
        let reply = match parse_blob_message(&message.payload)? {
            BlobRequest::Offer { blob, .. } => {
                let missing = |index: &u32| !chunks.contains_key(&(blob.hash, *index));
                BlobReply::Missing { chunks: (0..blob.chunks()).filter(missing).collect() }
            }
            BlobRequest::Store { blob, index, bytes } => {
                chunks.insert((blob.hash, index), bytes);
                BlobReply::Stored
            }
            BlobRequest::Fetch { blob, index, .. } => match chunks.get(&(blob.hash, index)) {
                Some(bytes) => BlobReply::Chunk { bytes: bytes.clone() },
                None => BlobReply::Absent,
            },
            BlobRequest::Release { .. } => BlobReply::Released,
            // A relay that knows nothing of that.
            BlobRequest::Limits | BlobRequest::Kept { .. } => {
                BlobReply::Refused { reason: "the request cannot be read".to_owned() }
            }
        };
        if let Some(to) = message.reply {
            client.publish(to, encode_blob_message(&reply).into()).await?;
        }
    }
    Ok(())
}

/// Plays a relay that holds the same registry as everybody, and whose clock differs from this machine's.
async fn serve_registry(url: String, seed: String, ahead_ms: i64) -> Result<(), async_nats::Error> {
    let client = ConnectOptions::with_nkey(seed).retry_on_initial_connect().connect(url).await?;
    let mut requests = client.subscribe("t.rq.*.reg").await?;
    while let Some(message) = requests.next().await {
        let at = Millis(node::runtime::now().0.saturating_add_signed(ahead_ms));
        let answer = RegistryAnswer { reply: RegistryReply::Same, at };
        if let Some(to) = message.reply {
            client.publish(to, encode_talk(&answer).into()).await?;
        }
    }
    Ok(())
}

/// Asks until the answer is as expected; fails with the last answer.
fn until(what: &str, mut ask: impl FnMut() -> Value, expected: impl Fn(&Value) -> bool) -> Duration {
    let began = Instant::now();
    loop {
        let answer = ask();
        if expected(&answer) {
            return began.elapsed();
        }
        assert!(began.elapsed() < DEADLINE, "{what}: {answer:#}");
        std::thread::yield_now();
    }
}

fn link_state(station: &Station) -> Value {
    station.get("/status").json()["links"][0]["state"].clone()
}

fn arrived(station: &Station, document: &str) -> Value {
    station.get(&format!("/documents/{document}")).json()["recipients"][0]["status"].clone()
}

#[test]
fn document_travels_and_the_link_is_back_within_a_second_after_the_line() {
    let Some(program) = server_program() else { return };
    let core = KeyPair::new_user();
    let (sender_login, recipient_login) =
        (Login::generate().expect("a key"), Login::generate().expect("a key"));
    let mut server = Server::start(program, &core, &[(SENDER, &sender_login), (RECIPIENT, &recipient_login)]);
    let runtime = Runtime::new().expect("a runtime");
    runtime.spawn(relay(server.url(), core.seed().expect("a seed")));

    let sender = Station::with_relay(SENDER, &server.url(), Some(sender_login));
    // Saved before any line is there.
    let first = sender.dispatch("V/v thứ nhất", &pdf());
    let recipient = Station::with_relay(RECIPIENT, &server.url(), Some(recipient_login));
    until("the first document arrives", || arrived(&sender, &first), |status| *status == json!("arrived"));
    assert_eq!(recipient.get(&format!("/documents/{first}/attachments/1")).body, pdf());

    server.kill();
    until("the link notices", || link_state(&sender), |state| *state == json!("offline"));
    let second = sender.dispatch("V/v thứ hai", b"second attachment");
    assert_eq!(arrived(&sender, &second), json!("queued"));
    server.restart();
    until(
        "the server is back",
        || json!(std::net::TcpStream::connect(("127.0.0.1", server.port)).is_ok()),
        |up| *up == json!(true),
    );
    let back = until("the link is back", || link_state(&sender), |state| *state == json!("connected"));
    assert!(back < Duration::from_millis(1_500), "back after {back:?}");
    until("the second document arrives", || arrived(&sender, &second), |status| *status == json!("arrived"));

    let list = recipient.get("/incoming").json();
    let subjects: Vec<&Value> =
        list["rows"].as_array().expect("rows").iter().map(|row| &row["subject"]).collect();
    assert_eq!(subjects, ["V/v thứ hai", "V/v thứ nhất"], "once each, newest first");
}

#[test]
fn login_that_the_relay_does_not_know_is_shown_as_such() {
    let Some(program) = server_program() else { return };
    let (core, known) = (KeyPair::new_user(), Login::generate().expect("a key"));
    let server = Server::start(program, &core, &[(SENDER, &known)]);
    let stranger = Login::generate().expect("a key");
    let station = Station::with_relay(SENDER, &server.url(), Some(stranger));
    until("the refusal is shown", || link_state(&station), |state| *state == json!("login-refused"));
}

#[test]
fn relay_without_a_mailbox_is_not_taken_for_connected() {
    let Some(program) = server_program() else { return };
    let (core, known) = (KeyPair::new_user(), Login::generate().expect("a key"));
    let server = Server::start(program, &core, &[(SENDER, &known)]);
    let station = Station::with_relay(SENDER, &server.url(), Some(known));
    until("the missing mailbox is shown", || link_state(&station), |state| *state == json!("no-mailbox"));
}

#[test]
fn clock_that_is_off_is_shown_and_stops_nothing() {
    const HOURS: i64 = 3 * 3_600_000;
    let Some(program) = server_program() else { return };
    for (ahead_ms, wrong) in [(HOURS, true), (-HOURS, true), (5_000, false)] {
        let core = KeyPair::new_user();
        let logins = [Login::generate().expect("a key"), Login::generate().expect("a key")];
        let server = Server::start(program.clone(), &core, &[(SENDER, &logins[0]), (RECIPIENT, &logins[1])]);
        let runtime = Runtime::new().expect("a runtime");
        let seed = core.seed().expect("a seed");
        runtime.spawn(relay(server.url(), seed.clone()));
        runtime.spawn(serve_registry(server.url(), seed, ahead_ms));
        let [login, _] = logins;
        let station = Station::with_relay(SENDER, &server.url(), Some(login));
        let clock = || station.get("/status").json()["clock"].clone();
        until("the relay is asked", clock, |clock| !clock.is_null());
        let found = clock();
        let off = found["ahead_ms"].as_i64().expect("a number").abs_diff(ahead_ms);
        assert!(off < 20_000 && found["wrong"] == json!(wrong), "{found}");
        let document = station.dispatch("V/v đồng hồ sai", &pdf());
        until("it leaves all the same", || arrived(&station, &document), |status| *status == json!("left"));
    }
}

/// A line that counts its bytes and can be cut.
struct Line {
    url: String,
    bytes: Arc<AtomicU64>,
    /// What passed, both ways mixed: shown beside a failure.
    passed: Arc<Mutex<Vec<u8>>>,
    cut: watch::Sender<u32>,
}

impl Line {
    fn to(runtime: &Runtime, port: u16) -> Self {
        let (bytes, cut) = (Arc::new(AtomicU64::new(0)), watch::Sender::new(0));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let url = format!("nats://{}", listener.local_addr().expect("an address"));
        let passed = Arc::<Mutex<Vec<u8>>>::default();
        let (counted, cuts, kept) = (Arc::clone(&bytes), cut.clone(), Arc::clone(&passed));
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                for (mut from, mut to) in [(near_in, far_out), (far_in, near_out)] {
                    let (counted, mut cuts, kept) =
                        (Arc::clone(&counted), cuts.subscribe(), Arc::clone(&kept));
                    tokio::spawn(async move {
                        let mut buffer = [0; 4096];
                        loop {
                            let read = tokio::select! {
                                read = from.read(&mut buffer) => read.unwrap_or(0),
                                _ = cuts.changed() => 0,
                            };
                            if read == 0 || to.write_all(&buffer[..read]).await.is_err() {
                                break;
                            }
                            kept.lock().expect("no panic").extend_from_slice(&buffer[..read]);
                            counted.fetch_add(read as u64, Ordering::SeqCst);
                        }
                    });
                }
            }
        });
        Self { url, bytes, passed, cut }
    }
}

#[test]
fn reconnect_with_nothing_new_costs_less_than_four_kilobytes() {
    const BUDGET_BYTES: u64 = 4 * 1024;
    let Some(program) = server_program() else { return };
    let core = KeyPair::new_user();
    let (sender_login, recipient_login) =
        (Login::generate().expect("a key"), Login::generate().expect("a key"));
    let server = Server::start(program, &core, &[(SENDER, &sender_login), (RECIPIENT, &recipient_login)]);
    let runtime = Runtime::new().expect("a runtime");
    runtime.spawn(relay(server.url(), core.seed().expect("a seed")));
    let line = Line::to(&runtime, server.port);
    let sender = Station::with_relay(SENDER, &line.url, Some(sender_login));
    let recipient = Station::with_relay(RECIPIENT, &server.url(), Some(recipient_login));
    let document = sender.dispatch("V/v trước khi đứt", &pdf());
    until("the document arrives", || arrived(&sender, &document), |status| *status == json!("arrived"));
    // Quiet when no byte has passed for most of a second; what the machine's other work delays is over by then.
    let quiet = || {
        let (mut seen, mut since) = (line.bytes.load(Ordering::SeqCst), Instant::now());
        while since.elapsed() < Duration::from_millis(800) {
            assert_eq!(sender.get("/status").status, 200);
            let now = line.bytes.load(Ordering::SeqCst);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        seen
    };
    let before = quiet();
    assert!(before > BUDGET_BYTES, "the line does not count: {before}");
    let since = sender.get("/status").json()["links"][0]["since"].clone();
    line.cut.send_modify(|cuts| *cuts += 1);
    let link = || sender.get("/status").json()["links"][0].clone();
    until("the link is back", link, |link| link["state"] == json!("connected") && link["since"] != since);
    let spent = quiet() - before;
    println!("reconnect with nothing new: {spent} bytes");
    let passed = line.passed.lock().expect("no panic");
    let since_cut = String::from_utf8_lossy(&passed[passed.len() - usize::try_from(spent).expect("few")..]);
    assert!(spent <= BUDGET_BYTES, "{spent} bytes: {since_cut}");
    drop(recipient);
}
