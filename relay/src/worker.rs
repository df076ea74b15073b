//! The admission loop: pulls messages from UP and PX, has them opened, lets the core decide, stores,
//! acknowledges.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::message::{AckKind, PublishMessage};
use async_nats::jetstream::stream::{DeleteMessageError, DeleteMessageErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use schema::event::Verifier;
use schema::id::RegionId;
use schema::inbound::{Opened, open};
use schema::pack::MessageError;
use schema::time::Millis;
use schema::wire;
use tokio::sync::{mpsc, oneshot, watch};

use crate::config::Config;
use crate::link::{Link, LinkState, Outcome, publish};
use crate::registry::Known;
use crate::runtime::stopped;
use crate::status::{Book, now_ms};
use crate::step::{Effect, Input, Relay, Token};
use crate::streams::{
    self, ADMISSION_CONSUMER, HighestSeen, QUARANTINE_MESSAGE_BYTES_MAX, StreamsError, Watchman,
};

/// Most messages decided about at once; each may hold a pack of 64 events.
const BATCH_MESSAGES_MAX: usize = 64;
/// Most bytes decided about at once.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Publishes on their way at once.
const PUBLISHES_AT_ONCE: usize = 256;
/// How long a message of a failed batch is left alone.
const RETRY: Duration = Duration::from_millis(500);
/// How often done messages are removed and the streams are looked at.
const TRIM: Duration = Duration::from_secs(20);
/// How long that may take when the relay stops.
const LAST_LOOK: Duration = Duration::from_secs(3);
/// How often the sequence guard runs while the connection holds.
const GUARD: Duration = Duration::from_secs(3_600);
/// How long a pull waits at the server, and how often the server says that it still does.
const PULL_WAIT: Duration = Duration::from_secs(30);
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);
/// Header fields of a message in quarantine. Written by the relay; the bytes are as received.
pub(crate) const HEADER_REASON: &str = "Tram-Reason";
pub(crate) const HEADER_DETAIL: &str = "Tram-Detail";
pub(crate) const HEADER_UPLOADER: &str = "Tram-Uploader";
/// Longest words kept in a header, in characters.
const DETAIL_CHARS_MAX: usize = 500;

/// A pack from a courier file and who waits for it.
pub(crate) struct CourierPack {
    pub(crate) message: Bytes,
    pub(crate) answer: oneshot::Sender<CourierAnswer>,
}

/// What became of a pack from a courier file.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum CourierAnswer {
    /// Taken over; refused items are in quarantine.
    Taken {
        /// Events whose signature holds.
        events: usize,
        /// Items that are none.
        refused: usize,
    },
    /// A chunk of an attachment is kept.
    Kept,
    /// Not now: hand it over again.
    Failed {
        /// Why.
        why: String,
    },
}

pub(crate) struct Worker {
    pub(crate) config: Arc<Config>,
    pub(crate) core: Relay,
    pub(crate) link: Link,
    pub(crate) known: watch::Receiver<Known>,
    pub(crate) links: watch::Receiver<BTreeSet<RegionId>>,
    pub(crate) courier: mpsc::Receiver<CourierPack>,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) book: Arc<Book>,
}

/// Why the loop starts over with its streams.
#[derive(Debug, thiserror::Error)]
enum Interrupted {
    #[error("the relay is to stop")]
    Stop,
    #[error("the connection was made anew")]
    Reconnected,
    #[error(transparent)]
    Streams(#[from] StreamsError),
    #[error("messages cannot be pulled from `{stream}`: {found}")]
    Pull { stream: &'static str, found: String },
    #[error("a batch could not be stored: {0}")]
    NotStored(String),
}

/// What the loop does next.
enum Next {
    Registry,
    Links,
    Trim,
    Guard,
    Message(Box<(Source, Bytes)>),
    Nothing,
}

impl Next {
    fn message(message: Option<jetstream::Message>, of: fn(jetstream::Message) -> (Source, Bytes)) -> Self {
        message.map_or(Self::Nothing, |message| Self::Message(Box::new(of(message))))
    }
}

async fn connected(state: &mut watch::Receiver<LinkState>) -> Result<u64, Interrupted> {
    state.wait_for(|state| state.connected).await.map(|state| state.connects).map_err(|_| Interrupted::Stop)
}

async fn reconnected(state: &mut watch::Receiver<LinkState>, connects: u64) -> Interrupted {
    match state.wait_for(|state| state.connects != connects).await {
        Ok(_) => Interrupted::Reconnected,
        Err(_) => Interrupted::Stop,
    }
}

/// One message and who answers for it.
enum Source {
    Office(jetstream::Message),
    Peer(jetstream::Message),
    Courier(oneshot::Sender<CourierAnswer>),
}

impl Worker {
    pub(crate) async fn run(mut self) {
        let mut watchman = Watchman::new(self.read_seen());
        loop {
            match self.session(&mut watchman).await {
                Interrupted::Stop => {
                    // For the guard of the next start: what it does not know it cannot miss.
                    let _ = tokio::time::timeout(LAST_LOOK, self.trim(&mut watchman)).await;
                    return;
                }
                Interrupted::Reconnected => tracing::info!("connected again, looking at the streams"),
                error => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "starting over");
                }
            }
            self.book.change(|status| status.ready = false);
            tokio::select! {
                () = tokio::time::sleep(RETRY) => {}
                () = stopped(&mut self.stop) => return,
            }
        }
    }

    async fn session(&mut self, watchman: &mut Watchman) -> Interrupted {
        match self.try_session(watchman).await {
            Ok(never) => match never {},
            Err(interrupted) => interrupted,
        }
    }

    async fn try_session(
        &mut self,
        watchman: &mut Watchman,
    ) -> Result<std::convert::Infallible, Interrupted> {
        let (mut stop, mut state) = (self.stop.clone(), self.link.state.clone());
        let (mut known, mut links) = (self.known.clone(), self.links.clone());
        let connects = tokio::select! {
            connects = connected(&mut state) => connects?,
            () = stopped(&mut stop) => return Err(Interrupted::Stop),
        };
        // What is known now is looked at below; only what comes later is a change.
        known.mark_unchanged();
        links.mark_changed();
        self.prepare(watchman).await?;
        let mut up = self.pull(wire::STREAM_UP).await?;
        let mut peers = self.pull(wire::STREAM_PEERS).await?;
        self.book.change(|status| status.ready = true);
        tracing::info!(region = %self.config.region, "ready");
        let mut trim = tokio::time::interval(TRIM);
        let mut guard = tokio::time::interval_at(tokio::time::Instant::now() + GUARD, GUARD);
        loop {
            let mut batch = Vec::new();
            let next = tokio::select! {
                biased;
                () = stopped(&mut stop) => return Err(Interrupted::Stop),
                interrupted = reconnected(&mut state, connects) => return Err(interrupted),
                changed = known.changed() => {
                    changed.map(|()| Next::Registry).map_err(|_| Interrupted::Stop)?
                }
                changed = links.changed() => changed.map(|()| Next::Links).map_err(|_| Interrupted::Stop)?,
                _ = trim.tick() => Next::Trim,
                _ = guard.tick() => Next::Guard,
                Some(pack) = self.courier.recv() => Next::Message(Box::new(courier(pack))),
                message = up.next() => Next::message(pulled(wire::STREAM_UP, message)?, from_office),
                message = peers.next() => Next::message(pulled(wire::STREAM_PEERS, message)?, from_peer),
            };
            match next {
                Next::Registry => self.prepare(watchman).await?,
                Next::Links => {
                    let links = links.borrow().clone();
                    self.core.step(vec![Input::Links(links)], Millis(now_ms()));
                }
                Next::Trim => self.trim(watchman).await?,
                Next::Guard => self.guard(watchman).await?,
                Next::Message(message) => batch.push(*message),
                Next::Nothing => {}
            }
            if batch.is_empty() {
                continue;
            }
            // What is here already comes along: stored together it costs one sync per mailbox, not one each.
            let mut bytes: usize = batch.iter().map(|(_, message)| message.len()).sum();
            while batch.len() < BATCH_MESSAGES_MAX && bytes < BATCH_BYTES_MAX {
                let before = batch.len();
                if let Some(message) = up.next().now_or_never() {
                    batch.extend(pulled(wire::STREAM_UP, message)?.map(from_office));
                }
                if let Some(message) = peers.next().now_or_never() {
                    batch.extend(pulled(wire::STREAM_PEERS, message)?.map(from_peer));
                }
                if let Ok(pack) = self.courier.try_recv() {
                    batch.push(courier(pack));
                }
                if batch.len() == before {
                    break;
                }
                bytes += batch[before..].iter().map(|(_, message)| message.len()).sum::<usize>();
            }
            self.take(batch).await?;
        }
    }

    /// Everything that must be true before messages are taken.
    async fn prepare(&mut self, watchman: &mut Watchman) -> Result<(), Interrupted> {
        let registry = Arc::clone(&self.known.borrow().registry);
        let directory = Arc::clone(registry.directory());
        for effect in self.core.step(vec![Input::Registry(registry)], Millis(now_ms())) {
            if let Effect::Alarm(alarm) = effect {
                self.book.raised(&alarm);
            }
        }
        let Config { region, limits, .. } = &*self.config;
        streams::ensure(&self.link.context, region, limits, &directory).await?;
        self.guard(watchman).await?;
        self.trim(watchman).await?;
        self.book.change(|status| status.directory_version = directory.version());
        Ok(())
    }

    async fn guard(&self, watchman: &mut Watchman) -> Result<(), Interrupted> {
        for reset in watchman.guard(&self.link.context).await? {
            let streams::Reset { stream, consumer, delivered, last, from } = reset;
            self.book.guard_reset(format!(
                "stream `{stream}` ends at {last}, but it had been longer (its consumer `{consumer}` is at \
                 {delivered}): the store went backwards; handing out again from {from}"
            ));
        }
        self.write_seen(&watchman.seen);
        Ok(())
    }

    async fn trim(&self, watchman: &mut Watchman) -> Result<(), Interrupted> {
        let streams = watchman.trim(&self.link.context).await?;
        let quarantined = streams::quarantine_counts(&self.link.context).await?;
        self.book.change(|status| {
            status.streams = streams;
            status.quarantined = quarantined;
        });
        self.write_seen(&watchman.seen);
        Ok(())
    }

    async fn pull(&self, stream: &'static str) -> Result<pull::Stream, Interrupted> {
        let failed = |found: String| Interrupted::Pull { stream, found };
        let consumer: PullConsumer = self
            .link
            .context
            .get_consumer_from_stream(ADMISSION_CONSUMER, stream)
            .await
            .map_err(|error| failed(error.to_string()))?;
        consumer
            .stream()
            .max_messages_per_batch(BATCH_MESSAGES_MAX)
            .expires(PULL_WAIT)
            .heartbeat(PULL_HEARTBEAT)
            .messages()
            .await
            .map_err(|error| failed(error.to_string()))
    }

    /// Takes a batch over, or hands it back.
    async fn take(&mut self, batch: Vec<(Source, Bytes)>) -> Result<(), Interrupted> {
        let (sources, messages): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let verifier = Arc::clone(&self.known.borrow().verifier);
        let opened = open_all(verifier, messages.clone()).await.map_err(Interrupted::NotStored)?;
        let counts: Vec<_> = opened.iter().map(count).collect();
        let mut inputs = Vec::new();
        for (n, (opened, bytes)) in opened.into_iter().zip(messages).enumerate() {
            let token = Token(n as u64);
            inputs.push(match &sources[n] {
                Source::Courier(_) => Input::FromCourier { token, opened, bytes },
                Source::Office(message) => match wire::office_of_up(&message.subject) {
                    Some(office) => Input::FromOffice { office, token, opened, bytes },
                    // The server lets nobody publish there: whoever did holds the relay's own key.
                    None => Input::FromCourier { token, opened, bytes },
                },
                Source::Peer(message) => match wire::region_of_peer(&message.subject) {
                    Some(region) => Input::FromPeer { region, token, opened, bytes },
                    None => Input::FromCourier { token, opened, bytes },
                },
            });
        }
        let effects = self.core.step(inputs, Millis(now_ms()));
        let mut executed = self.execute(&effects).await;
        // Only what is taken over is overwritten: a batch that was not stored is handed out again, whole.
        if executed.is_ok()
            && let Err(why) = self.erase(&effects, &sources).await
        {
            executed = Err(why);
        }
        match executed {
            Ok(done) => {
                self.book.tally(self.core.tally());
                for (n, source) in sources.into_iter().enumerate() {
                    if done.contains(&Token(n as u64)) {
                        acknowledge(source, counts[n]).await;
                    }
                }
                Ok(())
            }
            Err(why) => {
                for source in sources {
                    hand_back(source, &why).await;
                }
                Err(Interrupted::NotStored(why))
            }
        }
    }

    /// Overwrites what must not stay in the streams. What lies in a courier file is not on this machine.
    async fn erase(&self, effects: &[Effect], sources: &[Source]) -> Result<(), String> {
        for effect in effects {
            let Effect::Erase { token } = effect else { continue };
            let source = usize::try_from(token.0).ok().and_then(|n| sources.get(n));
            let Some(Source::Office(message) | Source::Peer(message)) = source else { continue };
            let info = message.info().map_err(|error| error.to_string())?;
            let stream = self.link.context.get_stream_no_info(info.stream).await;
            let erased =
                stream.map_err(|error| error.to_string())?.delete_message(info.stream_sequence).await;
            match erased {
                Ok(_) => tracing::warn!(sequence = info.stream_sequence, "a secret message was overwritten"),
                // Overwritten already: it was handed out a second time.
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(format!("a secret message could not be overwritten: {error}")),
            }
        }
        Ok(())
    }

    /// Does what the core decided. Everything is sent in order and awaited before the first acknowledgement.
    async fn execute(&mut self, effects: &[Effect]) -> Result<BTreeSet<Token>, String> {
        let mut done = BTreeSet::new();
        let mut refused: Vec<(usize, String)> = Vec::new();
        let mut waiting = FuturesUnordered::new();
        let note = |n: usize, outcome: Outcome, refused: &mut Vec<(usize, String)>| match outcome {
            Outcome::Stored => Ok(()),
            Outcome::Refused(why) => {
                refused.push((n, why));
                Ok(())
            }
            Outcome::Unknown(why) => Err(why),
        };
        for (n, effect) in effects.iter().enumerate() {
            match effect {
                Effect::Ack { token } => {
                    done.insert(*token);
                }
                Effect::Alarm(_) | Effect::Erase { .. } => {}
                stored => {
                    if let Some((subject, message)) = publication(stored) {
                        let sent = publish(&self.link.context, subject, message).await;
                        waiting.push(async move { (n, sent.outcome().await) });
                    }
                }
            }
            while waiting.len() >= PUBLISHES_AT_ONCE {
                if let Some((n, outcome)) = waiting.next().await {
                    note(n, outcome, &mut refused)?;
                }
            }
        }
        while let Some((n, outcome)) = waiting.next().await {
            note(n, outcome, &mut refused)?;
        }
        for effect in effects {
            if let Effect::Alarm(alarm) = effect {
                self.book.raised(alarm);
            }
        }
        for (n, why) in refused {
            for effect in self.core.refused(&effects[n], &why) {
                if let Effect::Alarm(alarm) = &effect {
                    self.book.raised(alarm);
                } else if let Some((subject, message)) = publication(&effect) {
                    // Told if there is room for it; the sender's own clock covers the rest.
                    let _ = publish(&self.link.context, subject, message).await.outcome().await;
                }
            }
        }
        Ok(done)
    }

    fn seen_path(&self) -> PathBuf {
        self.config.data_dir.join("sequences.json")
    }

    fn read_seen(&self) -> HighestSeen {
        let text = fs::read(self.seen_path()).unwrap_or_default();
        // Lost or damaged it is empty, and the guard judges by the consumers alone.
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn write_seen(&self, seen: &HighestSeen) {
        let (path, draft) = (self.seen_path(), self.seen_path().with_extension("new"));
        let text = serde_json::to_vec(seen).unwrap_or_default();
        if let Err(error) = fs::write(&draft, text).and_then(|()| fs::rename(&draft, &path)) {
            tracing::warn!(path = %path.display(), %error, "cannot note the streams' sequences");
        }
    }
}

fn is_gone(error: &DeleteMessageError) -> bool {
    matches!(error.kind(), DeleteMessageErrorKind::JetStream(said) if said.error_code() == ErrorCode::NO_MESSAGE_FOUND)
}

fn courier(pack: CourierPack) -> (Source, Bytes) {
    (Source::Courier(pack.answer), pack.message)
}

fn from_office(message: jetstream::Message) -> (Source, Bytes) {
    let bytes = message.payload.clone();
    (Source::Office(message), bytes)
}

fn from_peer(message: jetstream::Message) -> (Source, Bytes) {
    let bytes = message.payload.clone();
    (Source::Peer(message), bytes)
}

type Pulled = Option<Result<jetstream::Message, pull::MessagesError>>;

fn pulled(stream: &'static str, item: Pulled) -> Result<Option<jetstream::Message>, Interrupted> {
    match item {
        Some(Ok(message)) => Ok(Some(message)),
        Some(Err(error)) => Err(Interrupted::Pull { stream, found: error.to_string() }),
        None => Err(Interrupted::Pull { stream, found: "the pull ended".to_owned() }),
    }
}

fn count(opened: &Result<Opened, MessageError>) -> (usize, usize) {
    opened.as_ref().map_or((0, 1), |opened| (opened.events.len(), opened.refused.len()))
}

async fn acknowledge(source: Source, (events, refused): (usize, usize)) {
    match source {
        Source::Office(message) | Source::Peer(message) => {
            // A lost acknowledgement costs a repetition, which everybody absorbs.
            if let Err(error) = message.ack().await {
                tracing::debug!(%error, "acknowledgement not sent");
            }
        }
        Source::Courier(answer) => {
            let _ = answer.send(CourierAnswer::Taken { events, refused });
        }
    }
}

async fn hand_back(source: Source, why: &str) {
    match source {
        Source::Office(message) | Source::Peer(message) => {
            let _ = message.ack_with(AckKind::Nak(Some(RETRY))).await;
        }
        Source::Courier(answer) => {
            let _ = answer.send(CourierAnswer::Failed { why: why.to_owned() });
        }
    }
}

/// Where an effect is stored, and as what.
fn publication(effect: &Effect) -> Option<(String, PublishMessage)> {
    let message = |payload: &Bytes, id: &str| PublishMessage::build().payload(payload.clone()).message_id(id);
    match effect {
        Effect::Deliver { office, message: bytes, message_id }
        | Effect::Notify { office, message: bytes, message_id } => {
            Some((wire::mailbox(office), message(bytes, message_id)))
        }
        Effect::Forward { region, message: bytes, message_id } => {
            Some((wire::out(region), message(bytes, message_id)))
        }
        Effect::Quarantine { uploader, reason, detail, bytes } => {
            let uploader = uploader.to_string();
            let detail: String =
                detail.chars().map(|c| if c.is_control() { ' ' } else { c }).take(DETAIL_CHARS_MAX).collect();
            let kept = bytes.slice(..bytes.len().min(QUARANTINE_MESSAGE_BYTES_MAX));
            let message = PublishMessage::build()
                .payload(kept)
                .header(HEADER_REASON, reason.as_str())
                .header(HEADER_DETAIL, detail.as_str())
                .header(HEADER_UPLOADER, uploader.as_str());
            Some((format!("{}.{reason}", wire::quarantine(&uploader)), message))
        }
        Effect::Alarm(_) | Effect::Erase { .. } | Effect::Ack { .. } => None,
    }
}

/// Checks signatures on the threads for blocking work, one share for each core.
async fn open_all(
    verifier: Arc<Verifier>,
    messages: Vec<Bytes>,
) -> Result<Vec<Result<Opened, MessageError>>, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = messages.len().div_ceil(threads).max(1);
    let shares: Vec<_> = messages
        .chunks(share)
        .map(|share| {
            let (verifier, share) = (Arc::clone(&verifier), share.to_vec());
            tokio::task::spawn_blocking(move || -> Vec<_> {
                share.iter().map(|message| open(&verifier, message)).collect()
            })
        })
        .collect();
    let mut opened = Vec::with_capacity(messages.len());
    for share in shares {
        opened.extend(share.await.map_err(|error| error.to_string())?);
    }
    Ok(opened)
}
