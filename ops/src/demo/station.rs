//! A station as its clerk reaches it: through its HTTP door.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use node::config::DataFolder;
use schema::id::{DocumentId, EventId, OfficeId, hex};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use ureq::http::StatusCode;

use super::papers::{Attachment, Paper};

/// Longest wait for one answer.
const ANSWER_WAIT: Duration = Duration::from_secs(15);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One station.
pub(super) struct Station {
    pub(super) office: OfficeId,
    pub(super) name: String,
    pub(super) data: PathBuf,
    agent: ureq::Agent,
    door: Option<(String, String)>,
}

/// What a station says about itself.
#[derive(Clone, Debug)]
pub(super) struct Glance {
    pub(super) open: u64,
    pub(super) queued: u64,
    pub(super) awaited: u64,
    pub(super) incoming: u64,
    pub(super) connected: Vec<String>,
}

impl Station {
    pub(super) fn new(office: OfficeId, name: String, data: PathBuf) -> Self {
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_WAIT))
            .http_status_as_error(false)
            .build()
            .into();
        Self { office, name, data, agent, door: None }
    }

    /// Its name among the processes.
    pub(super) fn process(&self) -> String {
        format!("station {}", self.name)
    }

    /// Finds the door of a station that was just started; `None` until it is open.
    pub(super) fn find_door(&mut self) -> Result<Option<()>> {
        let Ok(text) = fs::read_to_string(DataFolder::new(&self.data).api()) else { return Ok(None) };
        let api: Value = serde_json::from_str(&text).context("api.json is not JSON")?;
        let field = |name: &str| api[name].as_str().map(str::to_owned);
        self.door = field("address").zip(field("token"));
        // A file of an earlier run names a door that nobody opens.
        Ok(self.get("/status").ok().map(|_| ()))
    }

    /// Forgets the door of a station that is about to stop.
    pub(super) fn close(&mut self) {
        self.door = None;
    }

    fn url(&self, path: &str) -> Result<(String, String)> {
        let (address, token) = self.door.as_ref().with_context(|| format!("{} does not run", self.name))?;
        Ok((format!("http://{address}/api/v1{path}"), format!("Bearer {token}")))
    }

    fn read(&self, path: &str, mut answer: ureq::http::Response<ureq::Body>) -> Result<Vec<u8>> {
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        if !status.is_success() {
            bail!(
                "{} refused `{path}` with {}: {}",
                self.name,
                status.as_u16(),
                String::from_utf8_lossy(&body)
            );
        }
        Ok(body)
    }

    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let (url, token) = self.url(path)?;
        let answer =
            self.agent.get(url).header("Authorization", token).header("Accept-Language", "en").call();
        let answer = answer.with_context(|| format!("{} does not answer `{path}`", self.name))?;
        Ok(serde_json::from_slice(&self.read(path, answer)?)?)
    }

    /// The event that carries a document to this recipient.
    pub(super) fn event_to(&self, office: &OfficeId, document: &DocumentId) -> Result<EventId> {
        let view = self.get(&format!("/documents/{document}"))?;
        let mut recipients = view["recipients"].as_array().into_iter().flatten();
        let it = recipients.find(|recipient| recipient["office"] == office.to_string());
        let it = it.with_context(|| format!("{} has not sent `{document}` to `{office}`", self.name))?;
        Ok(serde_json::from_value(it["place"]["id"].clone())?)
    }

    fn post(&self, path: &str, kind: &str, body: &[u8]) -> Result<Vec<u8>> {
        let (url, token) = self.url(path)?;
        let request = self.agent.post(url).header("Authorization", token).header("Content-Type", kind);
        let answer = request.send(body).with_context(|| format!("{} does not answer `{path}`", self.name))?;
        self.read(path, answer)
    }

    /// Sends a document as its clerk does: attachments first, then the document. Saved when this returns.
    pub(super) fn send(&self, to: &[OfficeId], paper: &Paper) -> Result<DocumentId> {
        let request = json!({
            "to": to,
            "reference_only": true,
            "number": paper.number,
            "issued_on": paper.issued_on,
            "content": self.content(paper)?,
        });
        let answer = self.post("/documents", "application/json", request.to_string().as_bytes())?;
        let answer: Value = serde_json::from_slice(&answer)?;
        let document = answer["document"].as_str().context("the answer names no document")?;
        Ok(document.parse()?)
    }

    /// What a document says, its attachments being brought to the station.
    pub(super) fn content(&self, paper: &Paper) -> Result<Value> {
        let mut attachments = Vec::new();
        for attachment in &paper.attachments {
            attachments.push(self.keep(attachment)?);
        }
        Ok(json!({
            "secrecy": "normal",
            "pages": paper.pages,
            "urgency": paper.urgency,
            "subject": paper.subject,
            "document_type": paper.document_type,
            "signer": paper.signer,
            "attachments": attachments,
        }))
    }

    /// Does what a person asks for, who carries this token.
    pub(super) fn work(&self, token: &str, work: &Value) -> Result<Value> {
        match self.try_work(token, work)? {
            Ok(done) => Ok(done),
            Err(code) => bail!("{} refused `{}` with `{code}`", self.name, work["work"]),
        }
    }

    /// As [`Station::work`]; a refusal's code is an answer.
    pub(super) fn try_work(&self, token: &str, work: &Value) -> Result<Result<Value, String>> {
        let (url, _) = self.url("/work")?;
        let request = self.agent.post(url).header("Authorization", format!("Bearer {token}"));
        let request = request.header("Content-Type", "application/json").header("Accept-Language", "en");
        let answer = request.send(work.to_string().as_bytes());
        let mut answer = answer.with_context(|| format!("{} does not answer `/work`", self.name))?;
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        let body: Value = serde_json::from_slice(&body)?;
        if answer.status().is_success() {
            return Ok(Ok(body));
        }
        Ok(Err(body["error"].as_str().unwrap_or_default().to_owned()))
    }

    fn keep(&self, attachment: &Attachment) -> Result<Value> {
        let hash = hex(&Sha256::digest(&attachment.bytes));
        let length = attachment.bytes.len();
        let path = format!("/files/{hash}?length={length}&secrecy=normal");
        let (url, token) = self.url(&path)?;
        let request = self.agent.put(url).header("Authorization", token);
        let answer = request.send(attachment.bytes.as_slice()).context("an attachment was not taken")?;
        if answer.status() != StatusCode::CREATED {
            self.read(&path, answer)?;
        }
        Ok(
            json!({"sha256": hash, "length": length, "name": attachment.name, "media_type": attachment.media_type}),
        )
    }

    /// The station at a glance.
    pub(super) fn glance(&self) -> Result<Glance> {
        let status = self.get("/status")?;
        let count = |name: &str| {
            status[name].as_u64().with_context(|| format!("the status of {} has no `{name}`", self.name))
        };
        let up = status["links"].as_array().into_iter().flatten().filter(|link| link["state"] == "connected");
        Ok(Glance {
            open: count("open")?,
            queued: count("queued")?,
            awaited: count("awaited_attachments")?,
            incoming: count("incoming")?,
            connected: up.filter_map(|link| link["relay"].as_str().map(str::to_owned)).collect(),
        })
    }

    /// For every document sent: to how many it has left, and how many receipts there are.
    pub(super) fn outgoing(&self) -> Result<Vec<(DocumentId, u64, u64)>> {
        let mut all = Vec::new();
        let mut path = "/outgoing?limit=200".to_owned();
        loop {
            let page = self.get(&path)?;
            for row in page["rows"].as_array().into_iter().flatten() {
                let document = row["document"].as_str().unwrap_or_default().parse()?;
                all.push((document, row["left"].as_u64().unwrap_or(0), row["arrived"].as_u64().unwrap_or(0)));
            }
            match page["next"].as_u64() {
                Some(next) => path = format!("/outgoing?limit=200&before={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Writes what has no receipt into a courier file.
    pub(super) fn courier_export(&self) -> Result<Vec<u8>> {
        self.post("/courier/export", "application/octet-stream", &[])
    }

    /// Takes a courier file in; says how many events were new.
    pub(super) fn courier_import(&self, file: &[u8]) -> Result<u64> {
        let answer = self.post("/courier/import", "application/octet-stream", file)?;
        let answer: Value = serde_json::from_slice(&answer)?;
        if answer["complete"] != Value::Bool(true) || answer["refused"] != json!(0) {
            bail!("{} did not take the courier file whole: {answer}", self.name);
        }
        answer["new"].as_u64().context("the answer does not say how many events were new")
    }
}
