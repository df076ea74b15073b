//! A real station on a temporary folder, and a client that speaks HTTP by hand.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of this module")]

#[path = "../../../schema/tests/certified/mod.rs"]
pub mod certified;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use certified::Registrar;
use ed25519_dalek::SigningKey;
use node::Node;
use node::api::{ApiSetting, router, serve};
use node::config::{ApiConfig, DataFolder, Volumes};
use node::content::Contents;
use node::keyring::Login;
use node::pdf::Checker;
use node::runtime::{Core, Keeper, Links, now, start_core};
use node::sealing::KeptKeys;
use node::signing::Desk;
use node::store::{Search, Store};
use schema::directory::{
    Code, CodeSystem, Directory, DirectoryBuilder, Name, Office, Region, Successor, Validity,
};
use schema::handling::Calendar;
use schema::id::{OfficeId, hex};
use schema::registry::Registry;
use schema::time::Millis;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;

pub const TOKEN: &str = "a-token-of-this-test";
pub const SENDER: u8 = 1;
pub const RECIPIENT: u8 = 2;
pub const NOT_ENROLLED: u8 = 3;
/// It has a relay; no test starts it.
pub const OTHER: u8 = 4;

pub fn office_id(n: u8) -> OfficeId {
    OfficeId::new([n; 16])
}

pub fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub fn directory(url: &str) -> Arc<Directory> {
    directory_with(url, &[])
}

/// A later one, with these successions.
pub fn directory_with(url: &str, successors: &[Successor]) -> Arc<Directory> {
    let mut builder = DirectoryBuilder::new();
    for successor in successors {
        builder.successor(*successor);
    }
    let (id, url) = ("p01".parse().expect("a region"), url.to_owned());
    let stamp_key = Some(stamp_key().verifying_key().to_bytes());
    builder.region(Region { id, name: "Khu vực một".to_owned(), url, login: None, stamp_key });
    for n in [SENDER, RECIPIENT, NOT_ENROLLED, OTHER] {
        let mut office = Office::new(office_id(n));
        office
            .names
            .push(Name { text: format!("Ủy ban nhân dân xã số {n}"), validity: Validity::ALWAYS });
        let (system, text) = (CodeSystem::Qd20, format!("H0{n}.18"));
        office.codes.push(Code { system, text, validity: Validity::ALWAYS });
        if n != NOT_ENROLLED {
            office.relays.push("p01".parse().expect("a region"));
        }
        builder.office(office);
    }
    let version = 1 + successors.len() as u64;
    Arc::new(builder.build(version, Millis(0)).expect("a sound directory"))
}

/// The key with which the relay of these tests stamps.
pub fn stamp_key() -> SigningKey {
    SigningKey::from_bytes(&[77; 32])
}

/// The keys that are certified.
pub fn keys() -> [(OfficeId, [u8; 32]); 2] {
    [SENDER, RECIPIENT].map(|n| (office_id(n), key(n).verifying_key().to_bytes()))
}

pub fn registry(url: &str) -> Arc<Registry> {
    Registrar::new().registry(&directory(url), &keys())
}

/// A station without a network, and its door.
pub struct Station {
    pub address: SocketAddr,
    _links: Links,
    _runtime: Runtime,
    _stop: watch::Sender<bool>,
    folder: tempfile::TempDir,
}

impl Station {
    /// Without a network.
    pub fn of(n: u8) -> Self {
        Self::with_relay(n, "nats://127.0.0.1:1", None)
    }

    /// With a login at the relay at `url`, if one is given.
    pub fn with_relay(n: u8, url: &str, login: Option<Login>) -> Self {
        // What the station logs is shown beside a failure. Only the first call of a process can set it up.
        let log =
            tracing_subscriber::fmt().with_env_filter("debug,async_nats=off,hyper=off").with_test_writer();
        let _ = log.with_ansi(false).try_init();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let database = folder.path().join("tram.db");
        let runtime = Runtime::new().expect("a runtime");
        let (stop, stopping) = watch::channel(false);
        let (address, links) = runtime.block_on(async {
            let store = Store::open(&database).expect("a new store");
            let registry = registry(url);
            let node = Node::open(store, key(n), Arc::clone(&registry), office_id(n), [n; 32], now())
                .expect("a node");
            let keeper = Keeper::new(office_id(n), folder.path().join("registry.cbor"), registry);
            let linked = login.is_some();
            let login = login.unwrap_or_else(|| Login::generate().expect("randomness"));
            let contents = Arc::new(Contents::open(&folder.path().join("content")).expect("a folder"));
            let mut links = Links::new(office_id(n), login, keeper.clone(), Arc::clone(&contents));
            let Core { inputs, ended: _ } = start_core(node, &links).expect("a thread");
            keeper.tell(inputs.clone());
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            if linked {
                links.serve(vec![("p01".parse().expect("a region"), url.to_owned())], &inputs);
            }
            let desk = Arc::new(Desk::open(&database, &[], now()).expect("a desk"));
            let sealing = KeptKeys::open_or_make(&folder.path().join("sealing.keys")).expect("made");
            let setting = ApiSetting {
                office: office_id(n),
                folder: DataFolder::new(folder.path()),
                signing_key: folder.path().join("node.key"),
                calendar: Calendar::default(),
                volumes: Volumes::default(),
                inputs,
                keeper,
                board: links.board(),
                hosts: vec![address.to_string()],
                machine_roles: ApiConfig::usual_machine_roles(),
                token: TOKEN.to_owned(),
                desk,
                search: Arc::new(Search::new(folder.path().join("search.db"))),
                contents,
                sealing: Arc::new(sealing),
                pdf: Checker::new(env!("CARGO_BIN_EXE_tram-node").into(), Some(pdf_roots())),
            };
            tokio::spawn(serve(listener, router(setting), stopping));
            (address, links)
        });
        Self { address, _links: links, _runtime: runtime, _stop: stop, folder }
    }

    pub fn send(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out");
        stream.write_all(request).expect("sent");
        Answer::read(stream)
    }

    pub fn head(&self, method: &str, path: &str, more: &str) -> String {
        let host = self.address;
        format!(
            "{method} /api/v1{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n{more}\r\n"
        )
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(self.head("GET", path, "").as_bytes())
    }

    pub fn with_body(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let mut request =
            self.head(method, path, &format!("Content-Length: {}\r\n", body.len())).into_bytes();
        request.extend_from_slice(body);
        self.send(&request)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.with_body("POST", path, body.to_string().as_bytes())
    }

    /// Where everything of it lies.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub fn upload(&self, bytes: &[u8]) -> (String, Answer) {
        let hash = hex(&Sha256::digest(bytes));
        let answer =
            self.with_body("PUT", &format!("/files/{hash}?length={}&secrecy=normal", bytes.len()), bytes);
        (hash, answer)
    }

    /// Sends a document to the recipient and returns its id.
    pub fn dispatch(&self, subject: &str, attachment: &[u8]) -> String {
        let (hash, uploaded) = self.upload(attachment);
        assert_eq!(uploaded.status, 201, "{uploaded:?}");
        let sent = self.post(
            "/documents",
            &json!({
                "to": [format!("H0{RECIPIENT}.18")],
                "reference_only": true,
                "content": {
                    "secrecy": "normal",
                    "subject": subject,
                    "document_type": "cong-van",
                    "signer": { "position": "Chủ tịch", "name": "Vàng A Sáng" },
                    "urgency": "express",
                    "pages": 1,
                    "attachments": [{
                        "sha256": hash, "length": attachment.len(), "name": "Công văn.pdf",
                        "media_type": "application/pdf",
                    }],
                },
            }),
        );
        assert_eq!(sent.status, 201, "{sent:?}");
        assert_eq!(sent.json()["status"], "queued");
        sent.json()["document"].as_str().expect("an id").to_owned()
    }
}

/// The roots that the samples of signed PDF files hang from.
pub fn pdf_roots() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pdf/trust")
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn read(mut stream: TcpStream) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an answer");
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).expect("ASCII");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(&bytes[end + 4..]) } else { bytes[end + 4..].to_vec() };
        Self { status, head, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["error"].as_str().unwrap_or_default().to_owned())
    }
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        let length = std::str::from_utf8(&rest[..end]).expect("ASCII");
        let length = usize::from_str_radix(length, 16).expect("a length");
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = &rest[end + 4 + length..];
    }
    body
}

pub fn pdf() -> Vec<u8> {
    (0..200_000u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect()
}
