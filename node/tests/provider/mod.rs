//! A provider of remote signatures that can be told to be late, to repeat itself, to mix up, to lie, and to fail.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of this module")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use data_encoding::BASE64;
use serde_json::{Value, json};

/// What the provider does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    /// Says that the officer has not answered.
    Pending,
    /// Signs what was asked.
    Honest,
    /// Gives the signature of the next transaction, under the names of this one.
    Swapped,
    /// Answers about the next transaction, under its own names.
    AboutAnother,
    /// Gives bytes that nobody signed.
    Lie,
    /// Completed, without a signature.
    Empty,
    Declined,
    Failed,
    Expired,
    Unknown,
    /// Text that is no JSON.
    Garbage,
    /// More than anybody reads.
    Oversized,
    /// A status of HTTP.
    Status(u16),
    /// Does what it was asked, and closes the line without an answer.
    Silent,
}

/// A request as the provider has it.
#[derive(Clone, Debug)]
pub struct Taken {
    pub request: String,
    pub transaction: String,
    pub hash: Vec<u8>,
    pub description: String,
}

pub struct State {
    pub mood: Mood,
    /// Credentials with their certificates and files of unencrypted keys.
    pub credentials: Vec<(String, Vec<u8>, PathBuf)>,
    /// What officers were asked for, each once.
    pub taken: Vec<Taken>,
    /// Every question: path and body.
    pub questions: Vec<(String, String)>,
    pub authorization: Option<String>,
    /// Gives every request the name of the first.
    pub one_transaction: bool,
}

pub struct Provider {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Provider {
    /// Without TLS.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// With TLS: this server's certificate and its key (PKCS#8), both in DER.
    pub fn start_tls(certificate: Vec<u8>, key: Vec<u8>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key).into();
        let config =
            config.expect("versions").with_no_client_auth().with_single_cert(vec![certificate.into()], key);
        Self::start_with(Some(Arc::new(config.expect("a certificate with its key"))))
    }

    fn start_with(tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let state = Arc::new(Mutex::new(State {
            mood: Mood::Pending,
            credentials: Vec::new(),
            taken: Vec::new(),
            questions: Vec::new(),
            authorization: None,
            one_transaction: false,
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (shared, tls) = (Arc::clone(&shared), tls.clone());
                // Whoever asks may have gone away.
                thread::spawn(move || {
                    let stream = stream.ok()?;
                    match tls {
                        None => serve(stream, &shared),
                        Some(tls) => {
                            let secured = rustls::ServerConnection::new(tls).ok()?;
                            serve(rustls::StreamOwned::new(secured, stream), &shared)
                        }
                    }
                });
            }
        });
        Self { address, state }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the provider died")
    }

    pub fn mood(&self, mood: Mood) {
        self.state().mood = mood;
    }

    pub fn keeps(&self, credential: &str, certificate: &[u8], key: &Path) {
        self.state().credentials.push((credential.to_owned(), certificate.to_vec(), key.to_owned()));
    }

    /// How often it was asked at a path.
    pub fn asked(&self, path: &str) -> usize {
        self.state().questions.iter().filter(|(asked, _)| asked.ends_with(path)).count()
    }
}

fn serve(stream: impl Read + Write, state: &Mutex<State>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let field = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let length = field("content-length")?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let mut state = state.lock().ok()?;
    state.authorization = field("authorization");
    state.questions.push((path.clone(), String::from_utf8(body.clone()).ok()?));
    let question: Value = serde_json::from_slice(&body).ok()?;
    let answer = if path.ends_with("/credentials/list") {
        state.list()
    } else if path.ends_with("/signatures/sign-hash") {
        state.take(&question)
    } else {
        state.status(&question)
    };
    let mood = state.mood;
    drop(state);
    let (status, body) = match mood {
        Mood::Silent => return None,
        Mood::Status(status) => (status, b"{}".to_vec()),
        Mood::Garbage => (200, b"<html>Service (request=deadbeef) is down".to_vec()),
        Mood::Oversized => (200, vec![b' '; 2 * 1024 * 1024]),
        _ => (200, answer.to_string().into_bytes()),
    };
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let stream = reader.get_mut();
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body).ok()?;
    stream.flush().ok()
}

impl State {
    fn list(&self) -> Value {
        let listed = self.credentials.iter().map(|(name, der, _)| {
            json!({ "credential": name, "certificate": BASE64.encode(der), "extra": "unknown fields do no harm" })
        });
        json!({ "credentials": listed.collect::<Vec<_>>() })
    }

    fn take(&mut self, question: &Value) -> Value {
        let text = |name: &str| question[name].as_str().expect("text").to_owned();
        assert_eq!(text("hash_algorithm"), "SHA-256");
        let request = text("request");
        let known = self.taken.iter().find(|taken| taken.request == request);
        let transaction = match known {
            Some(known) => known.transaction.clone(),
            None => {
                let number = if self.one_transaction { 0 } else { self.taken.len() };
                let taken = Taken {
                    request: request.clone(),
                    transaction: format!("T-{number}"),
                    hash: BASE64.decode(text("hash").as_bytes()).expect("base64"),
                    description: text("description"),
                };
                self.taken.push(taken.clone());
                taken.transaction
            }
        };
        json!({ "request": request, "transaction": transaction })
    }

    fn status(&self, question: &Value) -> Value {
        let index = self.taken.iter().position(|taken| json!(taken.transaction) == question["transaction"]);
        let index = index.expect("a transaction that was given");
        let (this, next) = (&self.taken[index], &self.taken[(index + 1) % self.taken.len()]);
        let names = if self.mood == Mood::AboutAnother { next } else { this };
        let of = if matches!(self.mood, Mood::Swapped | Mood::AboutAnother) { next } else { this };
        let status = match self.mood {
            Mood::Pending => "pending",
            Mood::Declined => "declined",
            Mood::Failed => "failed",
            Mood::Expired => "expired",
            Mood::Unknown => "unknown",
            _ => "completed",
        };
        let signature = match self.mood {
            Mood::Honest | Mood::Swapped | Mood::AboutAnother => Some(BASE64.encode(&self.sign(&of.hash))),
            Mood::Lie => Some(BASE64.encode(&[7; 256])),
            _ => None,
        };
        json!({
            "request": names.request, "transaction": names.transaction, "status": status, "signature": signature,
        })
    }

    /// As a provider does that has nothing but a hash.
    fn sign(&self, hash: &[u8]) -> Vec<u8> {
        assert_eq!(hash.len(), 32, "not a SHA-256 hash");
        let key = &self.credentials[0].2;
        let folder = tempfile::tempdir().expect("a folder");
        let (input, output) = (folder.path().join("hash"), folder.path().join("signature"));
        std::fs::write(&input, hash).expect("written");
        let mut openssl = Command::new("openssl");
        openssl.args(["pkeyutl", "-sign", "-pkeyopt", "digest:sha256", "-inkey"]).arg(key);
        let done = openssl.arg("-in").arg(&input).arg("-out").arg(&output).output().expect("openssl runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        std::fs::read(output).expect("a signature")
    }
}
