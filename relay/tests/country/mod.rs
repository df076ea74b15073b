//! A small country of real relays with real servers on loopback, for tests.
#![allow(dead_code, reason = "each test binary uses a part of it")]

#[path = "../../../schema/tests/certified/mod.rs"]
pub(crate) mod certified;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, ConnectOptions, Event as NatsEvent};
use certified::Registrar;
use ed25519_dalek::SigningKey;
use futures_util::StreamExt as _;
use nkeys::{KeyPair, KeyPairType};
use relay::config::Config;
use relay::status::Status;
use relay::{RunError, admin};
use schema::blob::{BlobRef, BlobReply, BlobRequest, encode_blob_message, parse_blob_message};
use schema::directory::{Directory, DirectoryBuilder, Name, Office, Region, Validity};
use schema::event::{Addressee, Event, Kind, RecordedEvent, Urgency, VerifiedEvent, seal};
use schema::id::{Counter, EventId, Incarnation, OfficeId, RegionId, Seq, hex};
use schema::pack::{Message, Notice, PackItem};
use schema::registry::talk::{RegistryAnswer, RegistryReply, RegistryRequest, encode_talk, parse_talk};
use schema::registry::{Item, encode_items};
use schema::time::Millis;
use schema::wire;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Longest wait for anything; a machine under load gets its time, a hang does not.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn region(name: &str) -> RegionId {
    name.parse().expect("a region")
}

pub(crate) fn office(n: u8) -> OfficeId {
    OfficeId::new([n; 16])
}

pub(crate) fn signing_key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn login(n: u8) -> KeyPair {
    KeyPair::new_from_raw(KeyPairType::User, [n; 32]).expect("32 bytes")
}

/// The key with which the relay of a region stamps.
fn stamp_key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&[name.as_bytes()[0]; 32])
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port()
}

/// Asks until the answer is yes.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> F) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < PATIENCE, "still not so after {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An event of office `from`, the `seq`-th to each of `to`.
pub(crate) fn event(from: u8, seq: u64, to: &[u8], body: &[u8]) -> VerifiedEvent {
    event_with(from, seq, to, body, Vec::new())
}

pub(crate) fn event_with(from: u8, seq: u64, to: &[u8], body: &[u8], blobs: Vec<BlobRef>) -> VerifiedEvent {
    // Odd positions only, as if every other event were local: nobody here knows the predecessor.
    let prev = if seq == 1 { EventId::NONE } else { EventId::new([from; 32]) };
    let event = Event {
        office: office(from),
        incarnation: Incarnation::FIRST,
        seq: Seq(seq * 2 - 1),
        prev,
        claimed_at: Millis(1_700_000_000_000),
        kind: Kind::Dispatch,
        urgency: Urgency::Normal,
        to: to.iter().map(|to| Addressee { office: office(*to), counter: Counter(seq) }).collect(),
        seen: Vec::new(),
        blobs,
        body: body.to_vec(),
        sealed: None,
        archive: None,
        content: None,
    };
    seal(event, &signing_key(from)).expect("a sound event")
}

pub(crate) fn pack(events: &[&VerifiedEvent]) -> Message {
    Message::Pack(events.iter().map(|event| PackItem::new(0, event.bytes())).collect())
}

/// Regions `a`, `b`, `c`; offices 1 and 2 live in `a`, 3 and 4 in `b`, 5 in `c`.
pub(crate) struct Country {
    pub(crate) folder: TempDir,
    ports: [(u16, u16, u16); 3],
    pub(crate) homes: Vec<(u8, &'static str)>,
    pub(crate) version: Mutex<u64>,
}

impl Country {
    /// `None` when there is no `nats-server`, which under `CI=true` is a failure.
    pub(crate) fn new() -> Option<Self> {
        let in_project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tram/bin/nats-server");
        let found = relay::server::find_program(in_project.is_file().then_some(in_project.as_path()));
        if found.is_err() {
            let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
            assert!(!ci, "no nats-server: run ops/install.sh test");
            eprintln!("SKIPPED: no nats-server; run ops/install.sh test");
            return None;
        }
        let country = Self {
            folder: tempfile::tempdir().expect("a folder"),
            ports: [(); 3].map(|()| (free_port(), free_port(), free_port())),
            homes: vec![(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c")],
            version: Mutex::new(0),
        };
        country.write_directory();
        Some(country)
    }

    fn index(name: &str) -> usize {
        ["a", "b", "c"].iter().position(|region| *region == name).expect("a, b or c")
    }

    /// Signs a new version of the directory and puts it where all relays look.
    pub(crate) fn write_directory(&self) {
        let directory = self.directory();
        self.write_items(&Registrar::new().items(&directory, &self.keys()), &["a", "b", "c"]);
    }

    /// The keys that are certified, in the order of their serial numbers from 10 on.
    pub(crate) fn keys(&self) -> Vec<(OfficeId, [u8; 32])> {
        let public = |n| signing_key(n).verifying_key().to_bytes();
        self.homes.iter().map(|(n, _)| (office(*n), public(*n))).collect()
    }

    /// The directory in its next version.
    pub(crate) fn directory(&self) -> Directory {
        let mut builder = DirectoryBuilder::new();
        for (name, n) in [("a", 101), ("b", 102), ("c", 103)] {
            let url = format!("nats://127.0.0.1:{}", self.ports[Self::index(name)].0);
            let login = Some(login(n).public_key());
            let stamp_key = Some(stamp_key(name).verifying_key().to_bytes());
            builder.region(Region { id: region(name), name: name.to_owned(), url, login, stamp_key });
        }
        for (n, home) in &self.homes {
            let mut entry = Office::new(office(*n));
            entry.names.push(Name { text: format!("Xã {n}"), validity: Validity::ALWAYS });
            entry.login = Some(login(*n).public_key());
            entry.relays = vec![region(home)];
            builder.office(entry);
        }
        let mut version = self.version.lock().expect("one writer");
        *version += 1;
        builder.build(*version, Millis(0)).expect("a sound directory")
    }

    /// Puts a registry where these relays look.
    pub(crate) fn write_items(&self, items: &[Item], relays: &[&str]) {
        for name in relays {
            let draft = self.folder.path().join(format!("{name}.new"));
            std::fs::write(&draft, encode_items(items)).expect("written");
            std::fs::rename(draft, self.folder.path().join(format!("{name}.cbor"))).expect("renamed");
        }
    }

    pub(crate) fn data_dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn port(&self, name: &str) -> u16 {
        self.ports[Self::index(name)].0
    }

    /// Writes the configuration of a relay; `more` is added to it.
    pub(crate) fn config(&self, name: &str, more: &str) -> Config {
        let (listen, monitor, status) = self.ports[Self::index(name)];
        let roots = Registrar::new().roots();
        let (root_key, anchor) = (hex(&roots.directory_key), roots.anchors[0]);
        let in_project = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tram/bin/nats-server");
        let server = if in_project.is_file() {
            format!("nats_server = {:?}", in_project.canonicalize().expect("a program"))
        } else {
            String::new()
        };
        let text = format!(
            "region = '{name}'\ndata_dir = '{name}'\nregistry = '{name}.cbor'\n\
             root_key = '{root_key}'\ntrust_anchors = ['{anchor}']\nlisten = '127.0.0.1:{listen}'\nmonitor_port = {monitor}\nstatus = '127.0.0.1:{status}'\n\
             {server}\n{more}\n"
        );
        let path = self.folder.path().join(format!("{name}.toml"));
        std::fs::write(&path, &text).expect("written");
        let data = self.data_dir(name);
        std::fs::create_dir_all(&data).expect("made");
        let seed = login(101 + u8::try_from(Self::index(name)).expect("below 3")).seed().expect("a seed");
        std::fs::write(data.join("relay.nk"), seed).expect("written");
        std::fs::write(data.join("stamp.key"), hex(&stamp_key(name).to_bytes())).expect("written");
        Config::load(&path).expect("accepted")
    }

    pub(crate) async fn start(&self, name: &str) -> Running {
        self.start_with(name, "").await
    }

    /// Starts a relay and waits until it takes messages.
    pub(crate) async fn start_with(&self, name: &str, more: &str) -> Running {
        let config = self.config(name, more);
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(relay::run(config.clone(), async {
            let _ = stopped.await;
        }));
        let relay = Running { config, stop: Some(stop), running };
        eventually("the relay takes messages", || async {
            assert!(!relay.running.is_finished(), "the relay ended");
            relay.status().await.is_some_and(|status| status.ready)
        })
        .await;
        relay
    }

    /// The login of one region's relay at another's server.
    pub(crate) async fn peer(&self, name: &str, at: &str) -> Client {
        self.config(name, "");
        let seed = std::fs::read_to_string(self.data_dir(name).join("relay.nk")).expect("a seed");
        ConnectOptions::with_nkey(seed)
            .custom_inbox_prefix(format!("_INBOX_{name}"))
            .request_timeout(Some(Duration::from_secs(2)))
            .connect(format!("127.0.0.1:{}", self.port(at)))
            .await
            .expect("a login")
    }

    pub(crate) async fn office(&self, n: u8, at: &str) -> OfficeClient {
        OfficeClient::connect(n, self.port(at)).await
    }
}

/// A running relay.
pub(crate) struct Running {
    pub(crate) config: Config,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<Result<(), RunError>>,
}

impl Running {
    pub(crate) async fn status(&self) -> Option<Status> {
        let config = self.config.clone();
        tokio::task::spawn_blocking(move || admin::status(&config).ok()).await.expect("no panic")
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.running).await.expect("no panic").expect("stopped in order");
    }

    /// The process id of its server.
    pub(crate) fn server_pid(&self) -> Option<u32> {
        let wanted = std::path::absolute(self.config.data_dir.join("nats.conf")).expect("a path");
        let wanted = wanted.to_str().expect("text").to_owned();
        std::fs::read_dir("/proc").expect("Linux").flatten().find_map(|process| {
            let line = std::fs::read_to_string(process.path().join("cmdline")).ok()?;
            let runs_it = line.split('\0').nth(2) == Some(&wanted);
            runs_it.then(|| process.file_name().to_str()?.parse().ok()).flatten()
        })
    }
}

/// Kills one process by its number.
pub(crate) fn kill_9(pid: u32) {
    let status = Command::new("kill").args(["-9", &pid.to_string()]).status().expect("kill runs");
    assert!(status.success());
}

/// What a message from a mailbox held.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub(crate) events: Vec<RecordedEvent>,
    pub(crate) notices: Vec<Notice>,
}

/// An office's station as the server sees it.
pub(crate) struct OfficeClient {
    pub(crate) n: u8,
    pub(crate) client: Client,
    pub(crate) context: Context,
    pub(crate) errors: Arc<Mutex<Vec<String>>>,
}

impl OfficeClient {
    pub(crate) async fn connect(n: u8, port: u16) -> Self {
        let errors = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&errors);
        let client = ConnectOptions::with_nkey(login(n).seed().expect("a seed"))
            .custom_inbox_prefix(wire::inbox_prefix(&office(n)))
            .retry_on_initial_connect()
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .request_timeout(Some(Duration::from_secs(2)))
            .event_callback(move |event| {
                let heard = Arc::clone(&heard);
                async move {
                    if let NatsEvent::ServerError(error) = event {
                        heard.lock().expect("no panic").push(error.to_string());
                    }
                }
            })
            .connect(format!("127.0.0.1:{port}"))
            .await
            .expect("an address");
        let context = ContextBuilder::new()
            .api_prefix(wire::OFFICE_API_PREFIX)
            .timeout(Duration::from_secs(2))
            .build(client.clone());
        Self { n, client, context, errors }
    }

    /// Publishes until the server has stored it, with a new message id each time.
    pub(crate) async fn publish(&self, message: &Message) {
        static TRY: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        eventually("a message is stored", || async {
            let n = TRY.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let publication = PublishMessage::build().payload(message.encode().into()).message_id(format!(
                "{}-{n}-{}",
                self.n,
                std::process::id()
            ));
            match self.context.send_publish(wire::up(&office(self.n)), publication).await {
                Ok(ack) => ack.await.is_ok(),
                Err(_) => false,
            }
        })
        .await;
    }

    pub(crate) async fn mailbox(&self) -> Option<PullConsumer> {
        let name = wire::mailbox_consumer(&office(self.n));
        self.context.get_consumer_from_stream(name, wire::STREAM_MAILBOXES).await.ok()
    }

    /// Pulls and acknowledges what is there now.
    pub(crate) async fn pull(&self) -> Mail {
        let mut mail = Mail::default();
        let Some(mailbox) = self.mailbox().await else { return mail };
        let Ok(mut messages) =
            mailbox.fetch().max_messages(64).expires(Duration::from_secs(2)).messages().await
        else {
            return mail;
        };
        while let Some(Ok(message)) = messages.next().await {
            match Message::parse(&message.payload).expect("a relay's message") {
                Message::Pack(items) => {
                    mail.events
                        .extend(items.iter().map(|item| RecordedEvent::read(&item.event).expect("an event")));
                }
                Message::Notices(notices) => mail.notices.extend(notices),
                Message::Forward { .. } => panic!("a forward in a mailbox"),
            }
            let _ = message.ack().await;
        }
        mail
    }

    /// Pulls until this event has come.
    pub(crate) async fn expect(&self, id: EventId) {
        eventually("an event arrives", || async {
            self.pull().await.events.iter().any(|event| event.id == id)
        })
        .await;
    }

    pub(crate) async fn blob(&self, request: &BlobRequest) -> Option<BlobReply> {
        let payload = encode_blob_message(request).into();
        let answer = self.client.request(wire::blob_request(&office(self.n)), payload).await.ok()?;
        Some(parse_blob_message(&answer.payload).expect("a relay's answer"))
    }
}

/// Asks a relay about the registry, on that subject; `None` when nobody answers.
pub(crate) async fn ask(
    client: &Client,
    subject: String,
    request: &RegistryRequest,
) -> Option<RegistryReply> {
    let answer = client.request(subject, encode_talk(request).into()).await.ok()?;
    let answer: RegistryAnswer = parse_talk(&answer.payload).expect("a relay's answer");
    Some(answer.reply)
}

impl OfficeClient {
    pub(crate) async fn ask(&self, request: &RegistryRequest) -> Option<RegistryReply> {
        ask(&self.client, wire::registry_request(&office(self.n)), request).await
    }

    pub(crate) async fn bring(&self, item: &Item) -> Option<RegistryReply> {
        self.ask(&RegistryRequest::Bring { kind: item.kind(), bytes: item.bytes().to_vec().into() }).await
    }

    /// Whether the relay it is connected to holds this item.
    pub(crate) async fn sees(&self, item: &Item) -> bool {
        let request = RegistryRequest::Fetch { id: item.id(), from: 0 };
        matches!(self.ask(&request).await, Some(RegistryReply::Piece { .. }))
    }
}

/// A line that can be cut.
pub(crate) struct Line {
    pub(crate) port: u16,
    up: tokio::sync::watch::Sender<bool>,
}

impl Line {
    pub(crate) async fn to(port: u16, up: bool) -> Self {
        let up = tokio::sync::watch::Sender::new(up);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let local = listener.local_addr().expect("an address").port();
        let state = up.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = state.clone();
                if !*state.borrow() {
                    continue;
                }
                tokio::spawn(async move {
                    let far = SocketAddr::from(([127, 0, 0, 1], port));
                    let Ok(mut far) = tokio::net::TcpStream::connect(far).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.wait_for(|up| !up) => {}
                    }
                });
            }
        });
        Self { port: local, up }
    }

    pub(crate) fn set(&self, up: bool) {
        self.up.send_replace(up);
    }
}
