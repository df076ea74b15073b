//! Connections to NATS servers: the relay's own and its peers'. Translates the client's errors into the three
//! outcomes there are over a network.

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    Context, ContextBuilder, PublishAckFuture, PublishError, PublishErrorKind,
};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;

/// How often a silent line is tested; the client's default of a minute notices a black hole after three.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for a connection: two tries of the system, so that one lost packet does not cost the next
/// round.
const CONNECT_WAIT: Duration = Duration::from_secs(2);
/// Longest pause between two tries to connect, in milliseconds: a healed line is noticed within a second.
const RECONNECT_MS_MAX: u64 = 1_000;
/// Longest wait for an answer of the relay's own server, which syncs its disk first.
pub(crate) const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// What became of a publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The server stored it.
    Stored,
    /// The server answered that it will not: full, or too large.
    Refused(String),
    /// No usable answer. It may have been stored, or may be later.
    Unknown(String),
}

/// Who connects, and where to.
pub(crate) struct Login<'a> {
    pub(crate) url: &'a str,
    pub(crate) seed: &'a str,
    pub(crate) name: &'a str,
    pub(crate) inbox_prefix: &'a str,
    /// Messages buffered for one subscription; more are dropped by the client, and come again.
    pub(crate) buffered_max: usize,
    pub(crate) answer_wait: Duration,
}

/// A connection and how often it was made.
pub(crate) struct Link {
    pub(crate) client: Client,
    pub(crate) context: Context,
    pub(crate) state: watch::Receiver<LinkState>,
}

/// What the client says about its connection. Believed only after one answered request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct LinkState {
    pub(crate) connected: bool,
    pub(crate) connects: u64,
}

/// Starts connecting; goes on for ever in the background.
pub(crate) async fn connect(
    login: Login<'_>,
    on_trouble: Arc<dyn Fn(String) + Send + Sync>,
) -> Result<Link, async_nats::ConnectError> {
    let (changes, state) = watch::channel(LinkState::default());
    let changes = Arc::new(changes);
    let name = login.name.to_owned();
    let client = ConnectOptions::with_nkey(login.seed.to_owned())
        .name(login.name)
        .custom_inbox_prefix(login.inbox_prefix)
        .retry_on_initial_connect()
        .ping_interval(PING_INTERVAL)
        .connection_timeout(CONNECT_WAIT)
        .request_timeout(Some(login.answer_wait))
        .subscription_capacity(login.buffered_max)
        .ignore_discovered_servers()
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            let (changes, name, on_trouble) = (Arc::clone(&changes), name.clone(), Arc::clone(&on_trouble));
            async move {
                match event {
                    Event::Connected => changes.send_modify(|state| {
                        state.connected = true;
                        state.connects += 1;
                    }),
                    Event::Disconnected | Event::Closed => {
                        changes.send_modify(|state| state.connected = false);
                    }
                    // Permission violations are told here only; the call that caused one just times out.
                    Event::ServerError(error) => on_trouble(format!("{name}: {error}")),
                    Event::SlowConsumer(_) => {
                        on_trouble(format!("{name}: more requests than can be answered"));
                    }
                    Event::ClientError(error) => tracing::debug!(%name, %error, "NATS client"),
                    Event::LameDuckMode | Event::Draining => {}
                }
            }
        })
        .connect(login.url)
        .await?;
    let context = ContextBuilder::new().timeout(login.answer_wait).build(client.clone());
    Ok(Link { client, context, state })
}

/// Doubles from 50 ms to a second, less up to half at random: offices and relays must not come back all at
/// once.
fn reconnect_delay(attempts: usize) -> Duration {
    if attempts <= 1 {
        return Duration::ZERO;
    }
    let exponent = u32::try_from(attempts.min(10)).unwrap_or(10);
    let longest = (25 << exponent).min(RECONNECT_MS_MAX);
    let random = u64::from(getrandom::u32().unwrap_or(0));
    Duration::from_millis(longest - random % (longest / 2))
}

/// Hands a message to the client; the outcome comes later, so that many can be on their way in order.
pub(crate) async fn publish(context: &Context, subject: String, message: PublishMessage) -> Publication {
    match context.send_publish(subject, message).await {
        Ok(ack) => Publication::Sent(ack),
        Err(error) => Publication::Failed(outcome_of(&error)),
    }
}

/// A publish whose outcome is not known yet.
pub(crate) enum Publication {
    Sent(PublishAckFuture),
    Failed(Outcome),
}

impl Publication {
    pub(crate) async fn outcome(self) -> Outcome {
        match self {
            Self::Sent(ack) => match ack.into_future().await {
                Ok(_) => Outcome::Stored,
                Err(error) => outcome_of(&error),
            },
            Self::Failed(outcome) => outcome,
        }
    }
}

fn outcome_of(error: &PublishError) -> Outcome {
    if error.kind() == PublishErrorKind::MaxPayloadExceeded {
        return Outcome::Refused(error.to_string());
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(answer) = error.downcast_ref::<async_nats::jetstream::Error>() {
            let no_room = [
                ErrorCode::STREAM_STORE_FAILED,
                ErrorCode::INSUFFICIENT_RESOURCES,
                ErrorCode::STORAGE_RESOURCES_EXCEEDED,
                ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM,
            ];
            if no_room.contains(&answer.error_code()) {
                return Outcome::Refused(answer.to_string());
            }
        }
        cause = error.source();
    }
    Outcome::Unknown(error.to_string())
}
