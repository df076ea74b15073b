//! What an operator does beside the running relay: look at the quarantine, and carry mail by courier file.

use std::io::{Read, Write};
use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::{self};
use futures_util::StreamExt as _;
use schema::blob::{BlobRef, CHUNK_BYTES};
use schema::courier::{CourierError, CourierReader, CourierWriter, Record};
use schema::event::RecordedEvent;
use schema::id::{OfficeId, hex};
use schema::pack::Message;
use schema::wire;
use serde::Serialize;

use crate::config::Config;
use crate::content::{Content, ContentError};
use crate::keyring::{self, KeyringError};
use crate::link::{Link, Login, connect};
use crate::status::Status;
use crate::worker::{CourierAnswer, HEADER_DETAIL, HEADER_REASON, HEADER_UPLOADER};

/// Longest wait for the server or the running relay.
const WAIT: Duration = Duration::from_secs(10);
/// Messages read in one round.
const ROUND: usize = 64;
/// How long a reader's consumer outlives its reader.
const READER_IDLE: Duration = Duration::from_secs(30);
/// Tries to hand one pack over while the relay has no time or no server.
const TRIES_MAX: u32 = 10;

/// Why something an operator asked for was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No login.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The server is not in reach.
    #[error("the NATS server at `{url}` does not answer; is the relay running?")]
    Server {
        /// Its address.
        url: String,
    },
    /// The server did not do it.
    #[error("cannot {attempted}: {found}")]
    Nats {
        /// What was attempted.
        attempted: &'static str,
        /// What was found.
        found: String,
    },
    /// The running relay is not in reach.
    #[error("the relay at `{url}` does not answer: {found}; is it running?")]
    Relay {
        /// Its address.
        url: String,
        /// What was found.
        found: String,
    },
    /// The relay did not take a record.
    #[error("record {record} was not taken over: {found}; the rest before it was; import the file again")]
    NotTaken {
        /// Which, counted from 1.
        record: u64,
        /// What the relay said.
        found: String,
    },
    /// The courier file is damaged or the medium fails.
    #[error(transparent)]
    Courier(#[from] CourierError),
    /// The content store cannot be read.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// There is no such message.
    #[error("there is no message {sequence} in quarantine; `quarantine list` shows what there is")]
    NoSuchMessage {
        /// Its number.
        sequence: u64,
    },
    /// The office has no mailbox here.
    #[error("office `{office}` has no mailbox at this relay")]
    NoMailbox {
        /// Which.
        office: OfficeId,
    },
}

fn nats<E: std::fmt::Display>(attempted: &'static str) -> impl Fn(E) -> AdminError {
    move |error| AdminError::Nats { attempted, found: error.to_string() }
}

async fn connected(config: &Config) -> Result<Context, AdminError> {
    let key = keyring::login(&config.key_path())?;
    let seed = key.seed().map_err(nats("read the login"))?;
    let url = config.own_url();
    let login = Login {
        url: &url,
        seed: &seed,
        name: "operator",
        inbox_prefix: "_INBOX_operator",
        buffered_max: 1024,
        answer_wait: WAIT,
    };
    let silent = |_| AdminError::Server { url: url.clone() };
    let Link { context, mut state, .. } =
        connect(login, std::sync::Arc::new(|text| tracing::warn!(%text, "NATS server")))
            .await
            .map_err(silent)?;
    let up = tokio::time::timeout(WAIT, state.wait_for(|state| state.connected)).await;
    match up {
        Ok(Ok(_)) => Ok(context),
        Ok(Err(_)) | Err(_) => Err(AdminError::Server { url }),
    }
}

/// A refused message, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuarantineEntry {
    /// Its number, for `quarantine show`.
    pub sequence: u64,
    /// When it was refused, in seconds since 1970.
    pub at: i64,
    /// Who brought it: an office, a region, or `courier`.
    pub uploader: String,
    /// Why, as a token.
    pub reason: String,
    /// Why, in words.
    pub detail: String,
}

/// A refused message with its bytes and what they claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuarantinedMessage {
    /// What is known about it.
    #[serde(flatten)]
    pub entry: QuarantineEntry,
    /// How many bytes it has.
    pub bytes: usize,
    /// What it says about itself, if it can be read as an event; nothing of it is proven.
    pub claims: Option<String>,
    /// The bytes as received, in hexadecimal digits.
    pub hex: String,
}

/// The newest refused messages, oldest of them first.
///
/// # Errors
/// When the server does not answer.
pub async fn quarantine_list(config: &Config, newest: usize) -> Result<Vec<QuarantineEntry>, AdminError> {
    let attempted = "list the quarantine";
    let context = connected(config).await?;
    let stream = context.get_stream(wire::STREAM_QUARANTINE).await.map_err(nats(attempted))?;
    let state = &stream.cached_info().state;
    let from = state.first_sequence.max((state.last_sequence + 1).saturating_sub(newest as u64)).max(1);
    let mut entries = Vec::new();
    read(&context, wire::STREAM_QUARANTINE, "", from, true, attempted, &mut |message| {
        let info = message.info().map_err(nats(attempted))?;
        let headers = message.headers.as_ref();
        entries.push(entry(info.stream_sequence, info.published.unix_timestamp(), headers));
        Ok(())
    })
    .await?;
    Ok(entries)
}

/// One refused message.
///
/// # Errors
/// When there is none with that number, or the server does not answer.
pub async fn quarantine_show(config: &Config, sequence: u64) -> Result<QuarantinedMessage, AdminError> {
    let context = connected(config).await?;
    let stream = context
        .get_stream_no_info(wire::STREAM_QUARANTINE)
        .await
        .map_err(nats("look into the quarantine"))?;
    let message =
        stream.get_raw_message(sequence).await.map_err(|_| AdminError::NoSuchMessage { sequence })?;
    Ok(QuarantinedMessage {
        entry: entry(message.sequence, message.time.unix_timestamp(), Some(&message.headers)),
        bytes: message.payload.len(),
        claims: RecordedEvent::read(&message.payload).ok().map(|read| {
            let event = read.event;
            let recipients = event.to.len();
            format!(
                "event {} of office {}, incarnation {}, position {}, {:?}, {recipients} recipients",
                read.id, event.office, event.incarnation, event.seq, event.kind
            )
        }),
        hex: hex(&message.payload),
    })
}

fn entry(sequence: u64, at: i64, headers: Option<&async_nats::HeaderMap>) -> QuarantineEntry {
    let header = |name: &str| {
        headers
            .and_then(|headers| headers.get(name))
            .map_or_else(String::new, |value| value.as_str().to_owned())
    };
    QuarantineEntry {
        sequence,
        at,
        uploader: header(HEADER_UPLOADER),
        reason: header(HEADER_REASON),
        detail: header(HEADER_DETAIL),
    }
}

/// Reads what a stream holds from a sequence on, without consuming anything.
async fn read(
    context: &Context,
    stream: &str,
    filter_subject: &str,
    from: u64,
    headers_only: bool,
    attempted: &'static str,
    take: &mut dyn FnMut(jetstream::Message) -> Result<(), AdminError>,
) -> Result<(), AdminError> {
    let reader = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
        ack_policy: AckPolicy::None,
        filter_subject: filter_subject.to_owned(),
        headers_only,
        memory_storage: true,
        inactive_threshold: READER_IDLE,
        ..pull::Config::default()
    };
    let consumer: PullConsumer =
        context.create_consumer_on_stream(reader, stream).await.map_err(nats(attempted))?;
    let mut waiting = consumer.cached_info().num_pending;
    while waiting > 0 {
        let mut round =
            consumer.fetch().max_messages(ROUND).expires(WAIT).messages().await.map_err(nats(attempted))?;
        let before = waiting;
        while let Some(message) = round.next().await {
            let message = message.map_err(nats(attempted))?;
            waiting = message.info().map_err(nats(attempted))?.pending;
            take(message)?;
        }
        if waiting == before {
            break;
        }
    }
    let _ = context.delete_consumer_from_stream(&consumer.cached_info().name, stream).await;
    Ok(())
}

/// What was written to a courier file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Events.
    pub events: u64,
    /// Attachments that are in the store, complete.
    pub attachments: u64,
    /// Attachments that the events name and that are not here; the office asks for them when it is connected
    /// again.
    pub missing_attachments: u64,
}

/// Writes everything that waits in an office's mailbox, with the attachments that are here. Consumes nothing:
/// what the office gets twice it absorbs.
///
/// # Errors
/// When the office has no mailbox here, the server does not answer, or the medium fails.
pub async fn courier_export<W: Write>(
    config: &Config,
    office: &OfficeId,
    to: W,
) -> Result<(W, Exported), AdminError> {
    let attempted = "read the mailbox";
    let context = connected(config).await?;
    let mailbox: PullConsumer = context
        .get_consumer_from_stream(wire::mailbox_consumer(office), wire::STREAM_MAILBOXES)
        .await
        .map_err(|_| AdminError::NoMailbox { office: *office })?;
    let from = mailbox.cached_info().ack_floor.stream_sequence + 1;
    let mut writer = CourierWriter::new(to)?;
    let mut exported = Exported::default();
    let mut blobs: Vec<BlobRef> = Vec::new();
    let subject = wire::mailbox(office);
    read(&context, wire::STREAM_MAILBOXES, &subject, from, false, attempted, &mut |message| {
        let Ok(Message::Pack(items)) = Message::parse(&message.payload) else { return Ok(()) };
        for item in &items {
            if let Ok(recorded) = RecordedEvent::read(&item.event) {
                let new = recorded.event.blobs.iter().filter(|blob| !blobs.contains(blob));
                let new: Vec<_> = new.copied().collect();
                blobs.extend(new);
            }
        }
        exported.events += items.len() as u64;
        writer.add(&Record::Pack(items))?;
        Ok(())
    })
    .await?;
    let content = Content::open_to_read(&config.data_dir.join("content"), config.limits.content())?;
    for blob in blobs {
        if content.chunk(&blob, 0)?.is_none() {
            exported.missing_attachments += 1;
            continue;
        }
        for index in 0..blob.chunks() {
            if let Some(bytes) = content.chunk(&blob, index)? {
                writer.add(&Record::Chunk { blob, index, bytes: bytes.into() })?;
            }
        }
        exported.attachments += 1;
    }
    Ok((writer.finish()?, exported))
}

/// What a courier file brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Events whose signature holds.
    pub events: u64,
    /// Items that are none; they are in quarantine.
    pub refused: u64,
    /// Chunks of attachments that were kept.
    pub chunks: u64,
    /// Chunks that were not kept.
    pub refused_chunks: u64,
}

/// Hands a courier file to the running relay, record by record. May be repeated. Blocks.
///
/// # Errors
/// When the relay does not answer or take a record, or the file is damaged; everything before that was taken
/// over.
pub fn courier_import<R: Read>(config: &Config, from: R) -> Result<Imported, AdminError> {
    let token = keyring::token(&config.token_path())?;
    let url = format!("http://{}/courier", config.status);
    let agent: ureq::Agent = agent();
    let mut imported = Imported::default();
    for (record, n) in CourierReader::new(from)?.zip(1_u64..) {
        let record = record?;
        let mut body = Vec::with_capacity(CHUNK_BYTES as usize);
        minicbor::encode(&record, &mut body).map_err(nats("write a record"))?;
        match hand_over(&agent, &url, &token, n, &body)? {
            Some(CourierAnswer::Taken { events, refused }) => {
                imported.events += events as u64;
                imported.refused += refused as u64;
            }
            Some(CourierAnswer::Failed { why }) => {
                return Err(AdminError::NotTaken { record: n, found: why });
            }
            Some(CourierAnswer::Kept) => imported.chunks += 1,
            None => imported.refused_chunks += 1,
        }
    }
    Ok(imported)
}

fn agent() -> ureq::Agent {
    let wait = Some(WAIT * 3);
    ureq::Agent::config_builder().timeout_global(wait).http_status_as_error(false).build().into()
}

/// One record; tried again while the relay is busy or its server restarts. `None` when a chunk was refused.
fn hand_over(
    agent: &ureq::Agent,
    url: &str,
    token: &str,
    record: u64,
    body: &[u8],
) -> Result<Option<CourierAnswer>, AdminError> {
    let silent = |error: ureq::Error| AdminError::Relay { url: url.to_owned(), found: error.to_string() };
    let mut tries = 0;
    loop {
        tries += 1;
        let mut response = agent
            .post(url)
            .header("Authorization", &format!("Bearer {token}"))
            .content_type("application/cbor")
            .send(body)
            .map_err(silent)?;
        let answer = response.body_mut().read_to_vec().map_err(silent)?;
        match response.status().as_u16() {
            200 => return serde_json::from_slice(&answer).map(Some).map_err(nats("read the relay's answer")),
            422 => return Ok(None),
            503 if tries < TRIES_MAX => std::thread::sleep(Duration::from_secs(1)),
            _ => {
                let found = String::from_utf8_lossy(&answer).chars().take(400).collect();
                return Err(AdminError::NotTaken { record, found });
            }
        }
    }
}

/// What the running relay says about itself. Blocks.
///
/// # Errors
/// When it does not answer.
pub fn status(config: &Config) -> Result<Status, AdminError> {
    let url = format!("http://{}/status", config.status);
    let silent = |found: String| AdminError::Relay { url: url.clone(), found };
    let mut response = agent().get(&url).call().map_err(|error| silent(error.to_string()))?;
    let body = response.body_mut().read_to_vec().map_err(|error| silent(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| silent(error.to_string()))
}
