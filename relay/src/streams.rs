//! Streams and consumers as code: made when missing, compared with each other, trimmed of what is done.
//!
//! Everything here may be repeated at any time, so a server that comes back with an empty disk is whole again
//! after one call of [`ensure`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::jetstream::consumer::{self, AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::{self, DiscardPolicy, RetentionPolicy, StorageType};
use futures_util::{StreamExt as _, TryStreamExt as _};
use schema::directory::Directory;
use schema::id::RegionId;
use schema::pack::MESSAGE_BYTES_MAX;
use schema::wire;
use serde::{Deserialize, Serialize};

use crate::config::LimitSettings;
use crate::guard::{Sequences, Verdict, judge};

/// The relay's own consumer of UP and PX.
pub(crate) const ADMISSION_CONSUMER: &str = "relay";
/// Messages handed out and not yet acknowledged, per consumer of the relay. Each may hold a full pack.
const UNACKNOWLEDGED_MAX: i64 = 256;
/// The same for a mailbox.
const MAILBOX_UNACKNOWLEDGED_MAX: i64 = 64;
/// When an unacknowledged message is handed out again.
const ACK_WAIT: Duration = Duration::from_secs(60);
/// How long a server drops a message with an id it has seen: saves bandwidth after a lost answer, nothing
/// more.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);
/// Room for headers beside a message.
const HEADER_BYTES: usize = 4 * 1024;
/// Most bytes of a refused message that are kept.
pub(crate) const QUARANTINE_MESSAGE_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
/// Requests to the server at once while making mailboxes.
const REQUESTS_AT_ONCE: usize = 16;

/// Why the streams are not as they should be.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted} at the NATS server")]
pub(crate) struct StreamsError {
    attempted: String,
    source: Box<dyn std::error::Error + Send + Sync>,
}

fn failed<E: std::error::Error + Send + Sync + 'static>(
    attempted: impl Into<String>,
) -> impl FnOnce(E) -> StreamsError {
    let attempted = attempted.into();
    |source| StreamsError { attempted, source: Box::new(source) }
}

/// The regions that events are pushed to.
pub(crate) fn peer_regions(me: &RegionId, directory: &Directory) -> BTreeSet<RegionId> {
    directory.regions().map(|region| region.id.clone()).filter(|region| region != me).collect()
}

fn definition(name: String, subject: String, bytes_max: u64) -> stream::Config {
    stream::Config {
        name,
        subjects: vec![subject],
        // Not work queue: that one forgets its message ids with the messages (reference: nats.md, X13).
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        // Full means refused, with words, and never the silent loss of the oldest.
        discard: DiscardPolicy::New,
        max_bytes: i64::try_from(bytes_max).unwrap_or(i64::MAX),
        max_message_size: i32::try_from(MESSAGE_BYTES_MAX + HEADER_BYTES).unwrap_or(i32::MAX),
        duplicate_window: DUPLICATE_WINDOW,
        max_consumers: 16,
        num_replicas: 1,
        ..stream::Config::default()
    }
}

fn definitions(me: &RegionId, limits: &LimitSettings, directory: &Directory) -> Vec<stream::Config> {
    let mut streams = vec![
        definition(wire::STREAM_UP.to_owned(), "t.up.*.ev".to_owned(), limits.up_bytes_max),
        definition(wire::STREAM_PEERS.to_owned(), "t.px.*.ev".to_owned(), limits.peers_bytes_max),
        stream::Config {
            max_messages_per_subject: i64::from(limits.mailbox_messages_max),
            discard_new_per_subject: true,
            max_consumers: i32::try_from(limits.mailboxes_max).unwrap_or(i32::MAX),
            ..definition(
                wire::STREAM_MAILBOXES.to_owned(),
                "t.dn.*.ev".to_owned(),
                limits.mailboxes_bytes_max,
            )
        },
        stream::Config {
            discard: DiscardPolicy::Old,
            deny_delete: true,
            deny_purge: true,
            ..definition(wire::STREAM_QUARANTINE.to_owned(), "t.qr.>".to_owned(), limits.quarantine_bytes_max)
        },
    ];
    streams.extend(
        peer_regions(me, directory)
            .iter()
            .map(|peer| definition(wire::stream_out(peer), wire::out(peer), limits.out_bytes_max)),
    );
    streams
}

/// Whether a consumer carries mail; others only look, for an operator, and hold nothing back.
fn is_ours(stream: &str, consumer: &str) -> bool {
    match stream {
        wire::STREAM_UP | wire::STREAM_PEERS => consumer == ADMISSION_CONSUMER,
        wire::STREAM_MAILBOXES => consumer.starts_with("u-"),
        other => other.starts_with("OUT_") && consumer.starts_with("px-"),
    }
}

pub(crate) fn out_consumer(peer: &RegionId) -> String {
    format!("px-{peer}")
}

fn consumer_definition(name: String, filter_subject: String, unacknowledged_max: i64) -> pull::Config {
    pull::Config {
        durable_name: Some(name),
        filter_subject,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        // After a bound a message would be skipped silently; a poisonous one is quarantined instead.
        max_deliver: -1,
        max_ack_pending: unacknowledged_max,
        ..pull::Config::default()
    }
}

fn consumers(me: &RegionId, directory: &Directory) -> BTreeMap<String, Vec<pull::Config>> {
    let relay = || consumer_definition(ADMISSION_CONSUMER.to_owned(), String::new(), UNACKNOWLEDGED_MAX);
    let mut consumers = BTreeMap::from([
        (wire::STREAM_UP.to_owned(), vec![relay()]),
        (wire::STREAM_PEERS.to_owned(), vec![relay()]),
    ]);
    for peer in peer_regions(me, directory) {
        let consumer = consumer_definition(out_consumer(&peer), String::new(), UNACKNOWLEDGED_MAX);
        consumers.insert(wire::stream_out(&peer), vec![consumer]);
    }
    let mailboxes = directory.offices_in(me).map(|office| {
        let (name, subject) = (wire::mailbox_consumer(&office.id), wire::mailbox(&office.id));
        consumer_definition(name, subject, MAILBOX_UNACKNOWLEDGED_MAX)
    });
    consumers.insert(wire::STREAM_MAILBOXES.to_owned(), mailboxes.collect());
    consumers
}

/// Makes every stream and consumer that is missing and brings settings up to date.
pub(crate) async fn ensure(
    context: &Context,
    me: &RegionId,
    limits: &LimitSettings,
    directory: &Directory,
) -> Result<(), StreamsError> {
    for config in definitions(me, limits, directory) {
        let attempted = format!("make stream `{}`", config.name);
        context.create_or_update_stream(config).await.map_err(failed(attempted))?;
    }
    for (stream, wanted) in consumers(me, directory) {
        let attempted = || format!("list the consumers of stream `{stream}`");
        let names = context.get_stream_no_info(&stream).await.map_err(failed(attempted()))?.consumer_names();
        let present: BTreeSet<String> = names.try_collect().await.map_err(failed(attempted()))?;
        let missing = wanted
            .into_iter()
            .filter(|config| !config.durable_name.as_ref().is_some_and(|name| present.contains(name)));
        futures_util::stream::iter(missing.map(Ok))
            .try_for_each_concurrent(REQUESTS_AT_ONCE, |config| {
                let stream = &stream;
                async move {
                    let attempted = format!(
                        "make consumer `{}` of stream `{stream}`",
                        config.durable_name.as_deref().unwrap_or("?")
                    );
                    let made = context.create_consumer_on_stream(config, stream.as_str()).await;
                    made.map(|_| ()).map_err(failed(attempted))
                }
            })
            .await?;
    }
    Ok(())
}

/// The highest sequence of each stream that was ever seen; kept in a file beside the store, so that a store
/// put back from yesterday is noticed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct HighestSeen(pub(crate) BTreeMap<String, u64>);

/// A consumer that was set back, because its stream had gone backwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reset {
    pub(crate) stream: String,
    pub(crate) consumer: String,
    pub(crate) delivered: u64,
    pub(crate) last: u64,
    pub(crate) from: u64,
}

/// One stream as it stands, for the status page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamStatus {
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Most bytes it takes.
    pub bytes_max: u64,
    /// Messages that its consumers have not acknowledged, all together.
    pub waiting: u64,
    /// When the oldest message in it was stored, in seconds since 1970, if something waits.
    pub oldest_waiting_at: Option<i64>,
}

/// What the relay remembers between two looks at its streams.
#[derive(Debug, Default)]
pub(crate) struct Watchman {
    pub(crate) seen: HighestSeen,
    /// Up to where each mailbox was emptied: a purge costs a search, and most mailboxes are quiet.
    emptied: BTreeMap<String, u64>,
}

impl Watchman {
    pub(crate) fn new(seen: HighestSeen) -> Self {
        Self { seen, emptied: BTreeMap::new() }
    }

    /// Compares every consumer with its stream (the sequence guard), and sets back those that would skip
    /// messages.
    pub(crate) async fn guard(&mut self, context: &Context) -> Result<Vec<Reset>, StreamsError> {
        let mut resets = Vec::new();
        for Surveyed { stream, info, consumers } in survey(context).await? {
            let (name, state) = (info.config.name, info.state);
            let highest_seen = self.seen.0.get(&name).copied().unwrap_or(0);
            for consumer in consumers {
                let delivered = consumer.delivered.stream_sequence;
                let (first, last) = (state.first_sequence, state.last_sequence);
                if let Verdict::Reset { from } = judge(Sequences { first, last, delivered, highest_seen }) {
                    set_back(context, &stream, &name, &consumer, from).await?;
                    self.emptied.remove(&consumer.name);
                    resets.push(Reset {
                        stream: name.clone(),
                        consumer: consumer.name,
                        delivered,
                        last,
                        from,
                    });
                }
            }
            self.seen.0.insert(name, state.last_sequence);
        }
        Ok(resets)
    }

    /// Removes what every consumer has acknowledged, so that a stream that refuses when full does not fill up
    /// with what is done, and notes the sequences for the guard. Gives the state of all streams.
    pub(crate) async fn trim(&mut self, context: &Context) -> Result<Vec<StreamStatus>, StreamsError> {
        let mut status = Vec::new();
        for Surveyed { stream, info, consumers } in survey(context).await? {
            let (name, state) = (info.config.name, info.state);
            let highest = self.seen.0.entry(name.clone()).or_default();
            *highest = state.last_sequence.max(*highest);
            if name == wire::STREAM_MAILBOXES {
                for consumer in consumers.iter().filter(|consumer| is_ours(&name, &consumer.name)) {
                    let done = consumer.ack_floor.stream_sequence;
                    let emptied = self.emptied.entry(consumer.name.clone()).or_default();
                    if done > *emptied && done >= state.first_sequence && state.messages > 0 {
                        let purge =
                            stream.purge().filter(consumer.config.filter_subject.clone()).sequence(done + 1);
                        purge.await.map_err(failed(format!("empty mailbox `{}`", consumer.name)))?;
                        *emptied = done;
                    }
                }
            } else if let Some(done) = consumers
                .iter()
                .filter(|consumer| is_ours(&name, &consumer.name))
                .map(|consumer| consumer.ack_floor.stream_sequence)
                .min()
                && done >= state.first_sequence
                && state.messages > 0
            {
                stream.purge().sequence(done + 1).await.map_err(failed(format!("trim stream `{name}`")))?;
            }
            let unacknowledged =
                |consumer: &consumer::Info| consumer.num_pending + consumer.num_ack_pending as u64;
            let waiting =
                consumers.iter().filter(|consumer| is_ours(&name, &consumer.name)).map(unacknowledged).sum();
            status.push(StreamStatus {
                bytes_max: u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX),
                messages: state.messages,
                bytes: state.bytes,
                // An emptied stream says year 1.
                oldest_waiting_at: Some(state.first_timestamp.unix_timestamp())
                    .filter(|at| waiting > 0 && *at > 0),
                waiting,
                name,
            });
        }
        Ok(status)
    }
}

async fn set_back(
    context: &Context,
    stream: &stream::Stream<()>,
    stream_name: &str,
    info: &consumer::Info,
    from: u64,
) -> Result<(), StreamsError> {
    let name = info.name.as_str();
    let Err(error) = stream.reset_consumer(name, Some(from)).await else { return Ok(()) };
    // Servers before 2.14, given by an operator, have no reset: make it anew at the right place.
    tracing::warn!(consumer = name, %error, "cannot reset the consumer, making it anew");
    let attempted = || format!("set back consumer `{name}` of stream `{stream_name}`");
    stream.delete_consumer(name).await.map_err(failed(attempted()))?;
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
        ..consumer_definition(
            name.to_owned(),
            info.config.filter_subject.clone(),
            info.config.max_ack_pending,
        )
    };
    context.create_consumer_on_stream(config, stream_name).await.map_err(failed(attempted()))?;
    Ok(())
}

struct Surveyed {
    stream: stream::Stream<()>,
    info: stream::Info,
    consumers: Vec<consumer::Info>,
}

/// Every stream with its consumers. The consumers are asked first: a stream only grows meanwhile, so a
/// consumer that is ahead of it really is.
async fn survey(context: &Context) -> Result<Vec<Surveyed>, StreamsError> {
    let names: Vec<String> =
        context.stream_names().try_collect().await.map_err(failed("list the streams"))?;
    let mut found = Vec::new();
    for name in names {
        let attempted = || format!("look at stream `{name}`");
        let stream = context.get_stream_no_info(&name).await.map_err(failed(attempted()))?;
        let mut listed = stream.consumers();
        let mut consumers = Vec::new();
        while let Some(info) = listed.next().await {
            consumers.push(info.map_err(failed(attempted()))?);
        }
        let info = stream.get_info().await.map_err(failed(attempted()))?;
        found.push(Surveyed { stream, info, consumers });
    }
    Ok(found)
}

/// Refused messages by reason, from the server: survives restarts of the relay.
pub(crate) async fn quarantine_counts(context: &Context) -> Result<BTreeMap<String, u64>, StreamsError> {
    let attempted = || "count the quarantine";
    let stream = context.get_stream_no_info(wire::STREAM_QUARANTINE).await.map_err(failed(attempted()))?;
    let mut subjects = stream.info_with_subjects("t.qr.>").await.map_err(failed(attempted()))?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    while let Some(subject) = subjects.next().await {
        let (subject, count) = subject.map_err(failed(attempted()))?;
        let reason = subject.rsplit('.').next().unwrap_or_default().to_owned();
        *counts.entry(reason).or_default() += count as u64;
    }
    Ok(counts)
}
