//! The relay's door: one task per home relay, which carries bytes and holds no opinions.
//!
//! ```text
//! line up? ─► log in ─► ask for the mailbox ─► Connected ─► carry ─► line lost ─► Disconnected ─┐
//!    ▲                                                                                          │
//!    └──────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! What the core may rely on: after [`Input::Connected`], every [`Effect::Publish`], [`Effect::OfferBlob`]
//! and [`Effect::FetchChunk`] (not [`Effect::Release`] and [`Effect::AskKept`]) is answered exactly once, and every run of [`Effect::StoreChunk`] by one
//! [`Input::Offered`], either with what the relay said or, when the line was lost, with "unknown" before
//! [`Input::Disconnected`]. So the core needs no timer of its own for an answer of the link.
//!
//! All of async-nats is behind this door. Each connection is a client of its own on a runtime of its own, and
//! ends with it: the library would reconnect behind our back, let commands of the old connection leave on the
//! new one, and keep what it holds for answers that never came.

mod carry;
mod clock;
mod lanes;
mod line;
mod mailbox;
mod pace;
mod registry;

pub use clock::{CLOCK_MS_MAX, ClockReading, ClockView};
pub(crate) use registry::Asker;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use bytes::Bytes;
use schema::blob::{BlobLimits, BlobRef};
use schema::event::Urgency;
use schema::id::{OfficeId, RegionId};
use schema::time::Millis;
use schema::wire;
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use crate::content::Contents;
use crate::keyring::Login;
use crate::runtime::{Inputs, Keeper};
use crate::step::{Came, Delivery, Effect, Input, Offered, Publication, PublishOutcome};

/// Effects that wait for one link. The core's own windows are far below; when it is full all the same, the
/// core answers for the link ([`Job::failed`]) instead of waiting for it.
pub const JOBS_MAX: usize = 1024;

/// How long silence is looked at before a ping. The library gives a connection up after three unanswered
/// pings, and a full pack takes 34 seconds on a 64 kbit/s line, during which a ping waits behind it: with ten
/// seconds such a pack would never get through.
const PING_INTERVAL: Duration = Duration::from_secs(15);
/// How long the handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an attempt without a probe may take in all.
const UNPROBED_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the first request may take.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Commands that wait inside the library; each of ours waits for its own answer anyway.
const CLIENT_CAPACITY: usize = 128;
/// Messages that wait inside the library; a pull asks for fewer.
const SUBSCRIPTION_CAPACITY: usize = 1024;
/// Events of the library that wait for us.
const EVENTS_MAX: usize = 64;

/// What a link is asked to do: the effects that go through a relay.
#[derive(Clone, Debug)]
pub enum Job {
    /// [`Effect::Publish`].
    Publish {
        /// Names it.
        publication: Publication,
        /// For the `Nats-Msg-Id` header.
        message_id: String,
        /// The encoded message.
        message: Bytes,
    },
    /// [`Effect::Ack`].
    Ack(Delivery),
    /// [`Effect::OfferBlob`].
    Offer {
        /// The attachment.
        blob: BlobRef,
        /// How urgent it is.
        urgency: Urgency,
    },
    /// [`Effect::Release`].
    Release(Vec<BlobRef>),
    /// [`Effect::AskKept`].
    AskKept(Option<BlobRef>),
    /// [`Effect::StoreChunk`].
    Store {
        /// The attachment.
        blob: BlobRef,
        /// Which chunk.
        index: u32,
        /// How urgent it is.
        urgency: Urgency,
    },
    /// [`Effect::FetchChunk`].
    Fetch {
        /// The attachment.
        blob: BlobRef,
        /// Which chunk.
        index: u32,
        /// Who sent the event that names it.
        sender: OfficeId,
        /// How urgent it is.
        urgency: Urgency,
    },
}

impl Job {
    /// The relay and the job of an effect; `None` for one that is not for a relay.
    pub fn of(effect: Effect) -> Option<(RegionId, Self)> {
        Some(match effect {
            Effect::Publish { relay, publication, message_id, message } => {
                (relay, Self::Publish { publication, message_id, message })
            }
            Effect::Ack { relay, delivery } => (relay, Self::Ack(delivery)),
            Effect::OfferBlob { relay, blob, urgency } => (relay, Self::Offer { blob, urgency }),
            Effect::Release { relay, blobs } => (relay, Self::Release(blobs)),
            Effect::AskKept { relay, after } => (relay, Self::AskKept(after)),
            Effect::StoreChunk { relay, blob, index, urgency } => {
                (relay, Self::Store { blob, index, urgency })
            }
            Effect::FetchChunk { relay, blob, index, sender, urgency } => {
                (relay, Self::Fetch { blob, index, sender, urgency })
            }
            Effect::Answer { .. }
            | Effect::Rest { .. }
            | Effect::Examine { .. }
            | Effect::Discard { .. }
            | Effect::Announce { .. }
            | Effect::KeyChanged { .. } => return None,
        })
    }

    /// What the core is told when the job cannot be done. A lost acknowledgement needs no word, because the relay
    /// delivers again; nor does a lost release or
    /// question, because the next connection brings it again.
    pub fn failed(&self, relay: &RegionId) -> Option<Input> {
        Some(match self {
            Self::Publish { publication, .. } => {
                Input::Published { publication: *publication, outcome: PublishOutcome::Unknown }
            }
            Self::Ack(_) | Self::Release(_) | Self::AskKept(_) => return None,
            Self::Offer { blob, .. } | Self::Store { blob, .. } => {
                Input::Offered { relay: relay.clone(), blob: *blob, offered: Offered::Unknown }
            }
            Self::Fetch { blob, index, .. } => {
                Input::Chunk { blob: *blob, index: *index, came: Came::Absent }
            }
        })
    }
}

/// How a link stands, for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum LinkState {
    /// Waiting for the line.
    Offline,
    /// The line is up; logging in.
    Connecting,
    /// One request was answered.
    Connected,
    /// The relay does not accept this station's login.
    LoginRefused,
    /// The relay answers, but has no mailbox for this office (new, wiped, or not its relay).
    NoMailbox,
}

/// One link, for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LinkReport {
    /// The relay.
    pub relay: RegionId,
    /// Its address.
    pub url: String,
    /// How it stands.
    #[serde(flatten)]
    pub state: LinkState,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// What was last refused or failed, in the server's words.
    pub last_error: Option<String>,
    /// How far the relay's clock was from this machine's when it was last asked.
    pub clock: Option<ClockReading>,
    /// What it takes of this office's attachments, as of the last connection.
    pub takes: Option<BlobLimits>,
}

/// How all links stand.
#[derive(Clone, Default)]
pub struct LinkBoard(Arc<Mutex<BTreeMap<RegionId, LinkReport>>>);

impl LinkBoard {
    /// All links, by relay.
    pub fn reports(&self) -> Vec<LinkReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// How far the clocks of the relays are from this machine's, by what they answered in the last minutes.
    pub fn clock(&self, now: Millis) -> Option<ClockView> {
        ClockView::of(self.reports().into_iter().filter_map(|report| report.clock), now)
    }

    fn change(&self, relay: &RegionId, change: impl FnOnce(&mut LinkReport)) {
        if let Some(report) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(relay) {
            change(report);
        }
    }
}

/// What a link needs to do its work.
#[derive(Clone)]
pub struct LinkSetting {
    /// Whose station this is.
    pub office: OfficeId,
    /// The relay.
    pub relay: RegionId,
    /// Its address.
    pub url: String,
    /// The login there.
    pub login: Login,
    /// Keeps the registry, and judges by it what comes in.
    pub keeper: Keeper,
    /// Keeps the attachments.
    pub contents: Arc<Contents>,
    /// The core takes no deliveries before this: [`Effect::Rest`].
    pub rests_until: watch::Receiver<Instant>,
    /// Where it is shown how the link stands.
    pub board: LinkBoard,
}

/// Why the connection ended.
enum Ended {
    /// The line was lost.
    LineLost(String),
    /// The relay has no mailbox for this office.
    NoMailbox(String),
    /// Nobody wants the link any more.
    Closed,
}

/// Runs a link until its jobs end.
pub async fn run(setting: LinkSetting, inputs: Inputs, mut jobs: mpsc::Receiver<Job>) {
    let LinkSetting { relay, url, board, .. } = &setting;
    let report = LinkReport {
        relay: relay.clone(),
        url: url.clone(),
        state: LinkState::Offline,
        since: crate::runtime::now().0,
        last_error: None,
        clock: None,
        takes: None,
    };
    board.0.lock().unwrap_or_else(PoisonError::into_inner).insert(relay.clone(), report);
    match url.parse::<ServerAddr>() {
        Ok(address) => Box::pin(keep_up(&setting, &address, &inputs, &mut jobs)).await,
        Err(error) => {
            tracing::error!(%relay, url, %error, "address of the relay cannot be used");
            board.change(relay, |report| report.last_error = Some(error.to_string()));
            while let Some(job) = jobs.recv().await {
                fail(&job, relay, &inputs).await;
            }
        }
    }
    board.0.lock().unwrap_or_else(PoisonError::into_inner).remove(relay);
}

async fn keep_up(
    setting: &LinkSetting,
    address: &ServerAddr,
    inputs: &Inputs,
    jobs: &mut mpsc::Receiver<Job>,
) {
    let relay = &setting.relay;
    let mut refusals = line::Refusals::default();
    // After a short break, and at the start, the line is up more often than not: a probe would cost a
    // greeting of the server for nothing.
    let mut probe = false;
    loop {
        setting.stands(LinkState::Offline, None);
        let attempt = async {
            if probe {
                line::wait_for_line(address.host(), address.port()).await;
                setting.stands(LinkState::Connecting, None);
                return Box::pin(connect(setting, address)).await;
            }
            setting.stands(LinkState::Connecting, None);
            timeout(UNPROBED_TIMEOUT, Box::pin(connect(setting, address))).await.unwrap_or_else(|_| {
                let words = "the relay did not answer at once".to_owned();
                Err(ConnectRefused { state: LinkState::Offline, words })
            })
        };
        let Some(connected) = while_offline(attempt, relay, inputs, jobs).await else { return };
        let pause = match connected {
            Err(refused) => {
                tracing::info!(%relay, found = refused.words, probe, "connection to the relay failed");
                setting.stands(refused.state.clone(), Some(refused.words));
                match refused.state {
                    // The probes pace themselves; a probed line that fails further on is not asked in a
                    // circle.
                    LinkState::Offline if !probe => {
                        probe = true;
                        Duration::ZERO
                    }
                    LinkState::Offline => line::jittered(line::PROBE_EVERY),
                    _ => refusals.next_pause(),
                }
            }
            Ok(connection) => {
                probe = false;
                setting.stands(LinkState::Connected, None);
                tracing::info!(%relay, waiting = connection.waiting, "connected to the relay");
                let door = registry::Door::open(setting, connection.client.clone()).await;
                if inputs.put(Input::Connected(relay.clone())).await.is_err() {
                    return;
                }
                let ended = Box::pin(carry::carry(setting, connection, inputs, jobs)).await;
                drop(door);
                if inputs.put(Input::Disconnected(relay.clone())).await.is_err() {
                    return;
                }
                match ended {
                    Ended::Closed => return,
                    Ended::LineLost(words) => {
                        tracing::info!(%relay, found = words, "connection to the relay lost");
                        setting.stands(LinkState::Offline, Some(words));
                        refusals.reset();
                        Duration::ZERO
                    }
                    Ended::NoMailbox(words) => {
                        tracing::warn!(%relay, found = words, "mailbox at the relay is gone");
                        setting.stands(LinkState::NoMailbox, Some(words));
                        refusals.next_pause()
                    }
                }
            }
        };
        if while_offline(sleep(pause), relay, inputs, jobs).await.is_none() {
            return;
        }
    }
}

/// Waits for something while answering for the link; `None` when the jobs ended.
async fn while_offline<T>(
    wait: impl Future<Output = T>,
    relay: &RegionId,
    inputs: &Inputs,
    jobs: &mut mpsc::Receiver<Job>,
) -> Option<T> {
    tokio::pin!(wait);
    loop {
        tokio::select! {
            done = &mut wait => return Some(done),
            job = jobs.recv() => fail(&job?, relay, inputs).await,
        }
    }
}

async fn fail(job: &Job, relay: &RegionId, inputs: &Inputs) {
    if let Some(input) = job.failed(relay) {
        // A core that has ended needs no answer.
        let _ = inputs.put(input).await;
    }
}

/// The runtime of one connection: ends at once, with everything on it, when it is dropped.
struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(2)
            .thread_name("tram-link")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        self.0.as_ref()?.spawn(work).await.ok()
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A connection that answered one request.
struct Connection {
    runtime: OwnRuntime,
    client: Client,
    mailbox: PullConsumer,
    /// Messages that waited when it was made.
    waiting: u64,
    events: mpsc::Receiver<Event>,
}

struct ConnectRefused {
    state: LinkState,
    words: String,
}

/// Logs in and asks for the mailbox. The library reports a connection as made although the login was not yet
/// accepted, so only the answer counts.
async fn connect(setting: &LinkSetting, address: &ServerAddr) -> Result<Connection, ConnectRefused> {
    let (event_sender, mut events) = mpsc::channel(EVENTS_MAX);
    let options = ConnectOptions::with_nkey(setting.login.seed().to_owned())
        .name(format!("tram-node/{}", env!("CARGO_PKG_VERSION")))
        .custom_inbox_prefix(wire::inbox_prefix(&setting.office))
        .ping_interval(PING_INTERVAL)
        .connection_timeout(HANDSHAKE_TIMEOUT)
        .request_timeout(Some(FIRST_REQUEST_TIMEOUT))
        .client_capacity(CLIENT_CAPACITY)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        // A relay is not asked for other servers to go to: the directory says where relays are.
        .ignore_discovered_servers()
        .max_reconnects(1)
        .event_callback(move |event| {
            let event_sender = event_sender.clone();
            async move {
                // Nobody listens once the connection was given up.
                let _ = event_sender.send(event).await;
            }
        });
    let refused = |state, words: String| ConnectRefused { state, words };
    let runtime = OwnRuntime::new().map_err(|error| refused(LinkState::Offline, error.to_string()))?;
    let address = address.clone();
    let client = runtime.run(async move { options.connect(address).await }).await;
    let client =
        client.ok_or_else(|| refused(LinkState::Offline, "the connection's runtime ended".to_owned()))?;
    let client = client.map_err(|error| match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
            refused(LinkState::LoginRefused, error.to_string())
        }
        _ => refused(LinkState::Offline, error.to_string()),
    })?;
    let jetstream = ContextBuilder::new()
        .api_prefix(wire::OFFICE_API_PREFIX)
        .timeout(FIRST_REQUEST_TIMEOUT)
        .build(client.clone());
    let name = wire::mailbox_consumer(&setting.office);
    let request = jetstream.get_consumer_from_stream(&name, wire::STREAM_MAILBOXES);
    let answer = timeout(FIRST_REQUEST_TIMEOUT, request).await;
    match answer {
        Ok(Ok(mailbox)) => {
            let mailbox: PullConsumer = mailbox;
            let waiting = mailbox.cached_info().num_pending;
            Ok(Connection { runtime, client, mailbox, waiting, events })
        }
        Ok(Err(error)) => {
            // The reason of a refusal comes only as an event of the connection.
            let said = std::iter::from_fn(|| events.try_recv().ok()).find_map(|event| match event {
                Event::ServerError(error) => Some(error),
                _ => None,
            });
            let words = said.as_ref().map_or_else(|| error.to_string(), ToString::to_string);
            let state = match said {
                Some(async_nats::ServerError::AuthorizationViolation) => LinkState::LoginRefused,
                Some(async_nats::ServerError::Other(_)) => LinkState::NoMailbox,
                _ if words.contains("timed out") => LinkState::Offline,
                _ => LinkState::NoMailbox,
            };
            Err(refused(state, words))
        }
        Err(_) => Err(refused(LinkState::Offline, "the first request was not answered in time".to_owned())),
    }
}

impl LinkSetting {
    fn stands(&self, state: LinkState, words: Option<String>) {
        self.board.change(&self.relay, |report| {
            if report.state != state {
                report.since = crate::runtime::now().0;
                report.state = state;
            }
            if words.is_some() {
                report.last_error = words;
            } else if report.state == LinkState::Connected {
                report.last_error = None;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::id::BlobHash;

    fn relay() -> RegionId {
        "p01".parse().expect("a region")
    }

    #[test]
    fn every_job_that_is_awaited_is_answered_when_it_fails() {
        let blob = BlobRef { hash: BlobHash::new([1; 32]), length: 1 };
        let publish =
            Job::Publish { publication: Publication(7), message_id: String::new(), message: Bytes::new() };
        let failed = publish.failed(&relay());
        let unknown = matches!(
            failed,
            Some(Input::Published { publication: Publication(7), outcome: PublishOutcome::Unknown })
        );
        assert!(unknown, "{failed:?}");
        let urgency = Urgency::Normal;
        for job in [Job::Offer { blob, urgency }, Job::Store { blob, index: 0, urgency }] {
            assert!(matches!(job.failed(&relay()), Some(Input::Offered { offered: Offered::Unknown, .. })));
        }
        let fetch = Job::Fetch { blob, index: 3, sender: OfficeId::new([2; 16]), urgency };
        assert!(matches!(fetch.failed(&relay()), Some(Input::Chunk { index: 3, came: Came::Absent, .. })));
        assert!(Job::Ack(Delivery(1)).failed(&relay()).is_none());
        assert!(Job::Release(vec![blob]).failed(&relay()).is_none());
        assert!(Job::AskKept(None).failed(&relay()).is_none());
    }
}
