//! One connection at work: jobs out, messages in, until the line is lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::{Request, RequestErrorKind};
use async_nats::jetstream::context::{Context, ContextBuilder, PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::{Client, Event, Message, ServerError, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use minicbor::bytes::ByteVec;
use schema::blob::{BlobLimits, BlobRef, BlobReply, BlobRequest, encode_blob_message, parse_blob_message};
use schema::event::Urgency;
use schema::id::RegionId;
use schema::inbound::{Opened, Refused};
use schema::wire;
use schema::words::Bilingual;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep, sleep_until};

use super::lanes::Lanes;
use super::line::jittered;
use super::mailbox::{Arrived, Mailbox, Next};
use super::pace::{Pace, patience};
use super::{Connection, Ended, Job, LinkSetting};
use crate::content::{ContentError, Contents};
use crate::runtime::{Inputs, Keeper};
use crate::step::{Came, Delivery, Input, Offered, Publication, PublishOutcome};
use crate::words::with_causes;

/// A message that is being opened.
type Opening = JoinHandle<Result<(Delivery, Opened), JoinError>>;

/// Most jobs that wait inside a connection; more stay in the channel before it.
const WAITING_MAX: usize = 512;
/// Most publishes on their way at once.
const PUBLISHES_MAX: usize = 16;
/// Most chunks on their way at once, in each direction.
const CHUNKS_MAX: usize = 16;
/// How long the line is kept free after the last chunk of an express document: its event or its receipt is about to follow.
const EXPRESS_LINGERS: Duration = Duration::from_secs(1);
/// How often the relay is asked what it takes and keeps, beside at the beginning of each connection.
const LIMITS_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// A message that the core has not acknowledged after this time is forgotten here; the relay delivers it
/// again.
const UNACKED_FORGOTTEN: Duration = Duration::from_secs(600);
/// Pause before a request that nobody served is made again.
const UNSERVED_PAUSE: Duration = Duration::from_millis(500);
/// Largest message whose items are looked into for the quarantine; a larger one is cut.
const QUARANTINED_BYTES_MAX: usize = 64 * 1024;
/// What acknowledges a message to JetStream.
const ACK: &[u8] = b"+ACK";

/// Names deliveries for all links of this process: a delivery of an earlier connection never has the name of
/// a later one.
static DELIVERIES: AtomicU64 = AtomicU64::new(1);

struct Unacked {
    reply: Subject,
    bytes: usize,
    at: Instant,
}

/// What became of a job that was on its way.
enum Done {
    Publish { job: Job, bytes: usize, took: Duration, outcome: PublishOutcome },
    Offer { blob: BlobRef, offered: Offered },
    Release { blobs: Vec<BlobRef>, released: bool },
    Limits { limits: Option<BlobLimits> },
    Kept { blobs: Option<Vec<BlobRef>> },
    Store { blob: BlobRef, urgency: Urgency, bytes: usize, took: Duration, stored: bool },
    Fetch { job: Job, took: Duration, answered: bool, came: Came },
}

struct Carrier<'a> {
    setting: &'a LinkSetting,
    client: Client,
    jetstream: Context,
    publishes: VecDeque<Job>,
    stores: Lanes,
    fetches: Lanes,
    under_way: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Jobs under way, so that each can be answered when the line is lost.
    promised: Promised,
    upload_bytes: usize,
    publish_pace: Pace,
    store_pace: Pace,
    fetch_pace: Pace,
    /// Chunks of express documents on their way, in either direction: on a slow line no other is started beside them.
    express: usize,
    /// What follows them, the receipt above all, is waited for until then.
    express_until: Instant,
    /// When the relay is asked what it takes.
    limits_at: Instant,
    unacked: BTreeMap<Delivery, Unacked>,
    unacked_bytes: usize,
    /// The server's last "permissions violation" for a publish: it explains publishes that are never
    /// answered.
    not_permitted: Option<String>,
}

/// Counts of what is under way, and what the core still waits for.
#[derive(Default)]
struct Promised {
    publishes: usize,
    publications: BTreeSet<Publication>,
    offers: BTreeSet<BlobRef>,
    /// Chunks of a run that are waiting or under way.
    stores: BTreeMap<BlobRef, Run>,
    storing: usize,
    fetches: BTreeMap<(BlobRef, u32), Job>,
}

/// Chunks of one attachment that the core gave together.
struct Run {
    urgency: Urgency,
    left: usize,
    stored: usize,
}

/// Carries until the connection ends, then answers for everything that was not.
pub(super) async fn carry(
    setting: &LinkSetting,
    connection: Connection,
    inputs: &Inputs,
    jobs: &mut mpsc::Receiver<Job>,
) -> Ended {
    let Connection { runtime: _runtime, client, mailbox, events, .. } = connection;
    let jetstream = ContextBuilder::new()
        .api_prefix(wire::OFFICE_API_PREFIX)
        // Its own clock would give up a full pack on a slow line; ours knows how much is on its way.
        .timeout(patience(PUBLISHES_MAX * schema::pack::MESSAGE_BYTES_MAX))
        .build(client.clone());
    let mut carrier = Carrier {
        setting,
        client,
        jetstream,
        publishes: VecDeque::new(),
        stores: Lanes::default(),
        fetches: Lanes::default(),
        under_way: FuturesUnordered::new(),
        promised: Promised::default(),
        upload_bytes: 0,
        publish_pace: Pace::of_packs(4, PUBLISHES_MAX),
        store_pace: Pace::of_chunks(CHUNKS_MAX),
        fetch_pace: Pace::of_chunks(CHUNKS_MAX),
        express: 0,
        express_until: Instant::now(),
        limits_at: Instant::now(),
        unacked: BTreeMap::new(),
        unacked_bytes: 0,
        not_permitted: None,
    };
    let ended = carrier.work(&mailbox, events, inputs, jobs).await;
    for input in carrier.unanswered() {
        if inputs.put(input).await.is_err() {
            break;
        }
    }
    ended
}

impl Carrier<'_> {
    async fn work(
        &mut self,
        consumer: &async_nats::jetstream::consumer::PullConsumer,
        mut events: mpsc::Receiver<Event>,
        inputs: &Inputs,
        jobs: &mut mpsc::Receiver<Job>,
    ) -> Ended {
        let reply = Subject::from(self.client.new_inbox());
        let mut delivered = match self.client.subscribe(reply.clone()).await {
            Ok(subscriber) => subscriber,
            Err(error) => return Ended::LineLost(error.to_string()),
        };
        let mut mailbox = Mailbox::new(Instant::now());
        // Signatures are checked on other threads, and handed on in the order of arrival.
        let mut opening: FuturesOrdered<Opening> = FuturesOrdered::new();
        loop {
            self.start();
            let now = Instant::now();
            self.forget_unacked(now);
            if self.limits_at <= now {
                self.limits_at = now + LIMITS_EVERY;
                self.start_limits();
            }
            let rests_until = *self.setting.rests_until.borrow();
            let wake_at = match mailbox.next(self.unacked_bytes, rests_until, now) {
                Next::Lost(words) => return Ended::NoMailbox(words),
                // What was held back for an express document goes on then.
                Next::Wait(until) if self.waiting() > 0 && now < self.express_until => {
                    until.min(self.express_until)
                }
                Next::Wait(until) => until.min(self.limits_at),
                Next::Pull => {
                    if let Err(error) = consumer.request_batch(Mailbox::request(), reply.clone()).await {
                        return Ended::LineLost(error.to_string());
                    }
                    mailbox.pulled(now);
                    continue;
                }
            };
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => {
                        if let Some(ended) = self.event(event) {
                            return ended;
                        }
                    }
                    None => return Ended::LineLost("the client has ended".to_owned()),
                },
                Some(done) = self.under_way.next(), if !self.under_way.is_empty() => {
                    if let Some(input) = self.done(done)
                        && inputs.put(input).await.is_err()
                    {
                        return Ended::Closed;
                    }
                }
                Some(opened) = opening.next(), if !opening.is_empty() => match opened {
                    Ok(Ok((delivery, opened))) => {
                        let relay = self.setting.relay.clone();
                        if inputs.put(Input::Delivered { relay, delivery, opened }).await.is_err() {
                            return Ended::Closed;
                        }
                    }
                    Ok(Err(error)) | Err(error) => {
                        return Ended::LineLost(format!("a message could not be opened: {error}"));
                    }
                },
                message = delivered.next() => match message {
                    Some(message) => {
                        let bytes = message.length;
                        let arrived = Arrived::of(message.status, message.description.as_deref(), bytes);
                        mailbox.arrived(&arrived, Instant::now());
                        if matches!(arrived, Arrived::Message(_))
                            && let Some(task) = self.open(message)
                        {
                            opening.push_back(task);
                        }
                    }
                    None => return Ended::LineLost("the subscription has ended".to_owned()),
                },
                job = jobs.recv(), if self.waiting() < WAITING_MAX => match job {
                    Some(job) => {
                        if let Err(words) = self.take(job).await {
                            return Ended::LineLost(words);
                        }
                    }
                    None => {
                        // What was said last, acknowledgements above all, should still leave.
                        let _ = tokio::time::timeout(Duration::from_secs(2), self.client.flush()).await;
                        return Ended::Closed;
                    }
                },
                () = sleep_until(wake_at) => {}
            }
        }
    }

    fn waiting(&self) -> usize {
        self.publishes.len() + self.stores.len() + self.fetches.len()
    }

    fn event(&mut self, event: Event) -> Option<Ended> {
        let relay = &self.setting.relay;
        match event {
            Event::Disconnected | Event::Closed => {
                return Some(Ended::LineLost("the connection broke".to_owned()));
            }
            Event::ServerError(ServerError::AuthorizationViolation) => {
                return Some(Ended::LineLost("the relay ended the login".to_owned()));
            }
            Event::ServerError(error) => {
                let words = error.to_string();
                tracing::error!(%relay, found = words, "the relay refused an operation of this station");
                if words.contains("Permissions Violation for Publish") {
                    self.not_permitted = Some(words);
                }
            }
            Event::SlowConsumer(_) => {
                // Pulls are bounded far below the library's channel, so this is a bug somewhere; what was
                // dropped comes again.
                tracing::error!(%relay, "the client dropped messages of the mailbox");
            }
            Event::LameDuckMode => tracing::info!(%relay, "the relay's server is about to stop"),
            Event::ClientError(error) => tracing::debug!(%relay, %error, "the client reports"),
            Event::Connected | Event::Draining => {}
        }
        None
    }

    fn open(&mut self, message: Message) -> Option<Opening> {
        let Some(reply) = message.reply else {
            tracing::warn!(relay = %self.setting.relay, "message without a way to acknowledge it ignored");
            return None;
        };
        let delivery = Delivery(DELIVERIES.fetch_add(1, Ordering::Relaxed));
        let bytes = message.length;
        self.unacked.insert(delivery, Unacked { reply, bytes, at: Instant::now() });
        self.unacked_bytes += bytes;
        let (keeper, relay) = (self.setting.keeper.clone(), self.setting.relay.clone());
        let payload = message.payload;
        Some(tokio::spawn(async move {
            let opened = open_on_a_thread(&keeper, payload.clone()).await?;
            if opened.may_lack_news() && keeper.ask_for_news(&relay).await {
                return Ok((delivery, open_on_a_thread(&keeper, payload).await?));
            }
            Ok((delivery, opened))
        }))
    }

    fn forget_unacked(&mut self, now: Instant) {
        let mut forgotten = 0;
        self.unacked.retain(|_, unacked| {
            let keep = now.duration_since(unacked.at) < UNACKED_FORGOTTEN;
            forgotten += if keep { 0 } else { unacked.bytes };
            keep
        });
        self.unacked_bytes -= forgotten;
    }

    async fn take(&mut self, job: Job) -> Result<(), String> {
        match &job {
            Job::Ack(delivery) => {
                if let Some(unacked) = self.unacked.remove(delivery) {
                    self.unacked_bytes -= unacked.bytes;
                    let ack = Bytes::from_static(ACK);
                    return self.client.publish(unacked.reply, ack).await.map_err(|error| error.to_string());
                }
            }
            Job::Publish { publication, .. } => {
                self.promised.publications.insert(*publication);
                self.publishes.push_back(job);
            }
            Job::Offer { blob, urgency } => self.start_offer(*blob, *urgency),
            Job::Release(blobs) => self.start_release(blobs.clone()),
            Job::AskKept(after) => self.start_kept(*after),
            Job::Store { blob, urgency, .. } => {
                let run = Run { urgency: *urgency, left: 0, stored: 0 };
                self.promised.stores.entry(*blob).or_insert(run).left += 1;
                self.stores.push(*urgency, *blob, job);
            }
            Job::Fetch { blob, index, urgency, .. } => {
                self.promised.fetches.insert((*blob, *index), job.clone());
                self.fetches.push(*urgency, *blob, job);
            }
        }
        Ok(())
    }

    /// Sends what the windows allow. Events first: an express document waits behind what is on its way
    /// already, never behind what still waits here.
    fn start(&mut self) {
        while self.promised.publishes < self.publish_pace.window() {
            let Some(job) = self.publishes.pop_front() else { break };
            self.promised.publishes += 1;
            self.start_publish(job);
        }
        while self.promised.storing < self.store_pace.window() && self.publishes.is_empty() {
            let Some(job) = self.next_store() else { break };
            self.promised.storing += 1;
            self.start_store(&job);
        }
        let fetching = self.promised.fetches.len().saturating_sub(self.fetches.len());
        for _ in fetching..self.fetch_pace.window() {
            let Some(job) = self.next_fetch() else { break };
            self.start_fetch(&job);
        }
    }

    fn next_store(&mut self) -> Option<Job> {
        let may = self.stores.overtakes() || !self.is_express();
        if may { self.stores.pop() } else { None }
    }

    fn next_fetch(&mut self) -> Option<Job> {
        let may = self.fetches.overtakes() || !self.is_express();
        if may { self.fetches.pop() } else { None }
    }

    /// Whether the line is left to an express document. In both directions: what is asked for and what is answered share them.
    fn is_express(&self) -> bool {
        self.express > 0
            || self.stores.overtakes()
            || self.fetches.overtakes()
            || Instant::now() < self.express_until
    }

    /// A chunk of an express document is on its way no more.
    fn express_ended(&mut self, urgency: Urgency) {
        if urgency.overtakes() {
            self.express -= 1;
            self.express_until = Instant::now() + EXPRESS_LINGERS;
        }
    }

    fn start_publish(&mut self, job: Job) {
        let Job::Publish { message_id, message, .. } = &job else { return };
        let bytes = message.len();
        self.upload_bytes += bytes;
        let wait = patience(self.upload_bytes);
        let publish = PublishMessage::build().message_id(message_id).payload(message.clone());
        let (jetstream, subject) = (self.jetstream.clone(), wire::up(&self.setting.office));
        self.under_way.push(Box::pin(async move {
            let began = Instant::now();
            let publishing = async {
                match jetstream.send_publish(subject, publish).await {
                    Ok(ack) => ack.await,
                    Err(error) => Err(error),
                }
            };
            let outcome = match tokio::time::timeout(wait, publishing).await {
                Err(_) => PublishOutcome::Unknown,
                Ok(Ok(_)) => PublishOutcome::Stored,
                Ok(Err(error)) => outcome_of(&error),
            };
            Done::Publish { job, bytes, took: began.elapsed(), outcome }
        }));
    }

    fn start_offer(&mut self, blob: BlobRef, urgency: Urgency) {
        self.promised.offers.insert(blob);
        self.ask(BlobRequest::Offer { blob, urgency }, move |reply| {
            let offered = match reply {
                Some(BlobReply::Missing { chunks }) => Offered::Lacks(chunks),
                Some(BlobReply::Refused { reason }) => Offered::Refused(reason),
                _ => Offered::Unknown,
            };
            Done::Offer { blob, offered }
        });
    }

    fn start_release(&mut self, blobs: Vec<BlobRef>) {
        self.ask(BlobRequest::Release { blobs: blobs.clone() }, |reply| Done::Release {
            blobs,
            released: matches!(reply, Some(BlobReply::Released)),
        });
    }

    fn start_limits(&mut self) {
        self.ask(BlobRequest::Limits, |reply| match reply {
            Some(BlobReply::Limits { limits }) => Done::Limits { limits: Some(limits) },
            _ => Done::Limits { limits: None },
        });
    }

    fn start_kept(&mut self, after: Option<BlobRef>) {
        self.ask(BlobRequest::Kept { after }, |reply| match reply {
            Some(BlobReply::Kept { blobs }) => Done::Kept { blobs: Some(blobs) },
            _ => Done::Kept { blobs: None },
        });
    }

    /// Asks the relay what takes no room of the line worth counting.
    fn ask(&self, request: BlobRequest, done: impl FnOnce(Option<BlobReply>) -> Done + Send + 'static) {
        let asker = self.asker(patience(self.upload_bytes));
        self.under_way.push(Box::pin(async move { done(asker.ask(&request).await) }));
    }

    fn start_store(&mut self, job: &Job) {
        let Job::Store { blob, index, urgency } = *job else { return };
        self.express += usize::from(urgency.overtakes());
        let length = blob.chunk_length(index).unwrap_or_default();
        self.upload_bytes += length;
        let asker = self.asker(patience(self.upload_bytes));
        let contents = Arc::clone(&self.setting.contents);
        self.under_way.push(Box::pin(async move {
            let began = Instant::now();
            let read = tokio::task::spawn_blocking(move || contents.chunk(&blob, index)).await;
            let done = |stored| Done::Store { blob, urgency, bytes: length, took: began.elapsed(), stored };
            let bytes = match read {
                Ok(Ok(bytes)) => ByteVec::from(bytes),
                Ok(Err(error)) => {
                    tracing::error!(error = with_causes(&error), "an attachment cannot be sent");
                    return done(false);
                }
                Err(error) => {
                    tracing::error!(%error, "reading an attachment panicked");
                    return done(false);
                }
            };
            let stored = match asker.ask(&BlobRequest::Store { blob, index, bytes }).await {
                Some(BlobReply::Stored | BlobReply::Missing { .. }) => true,
                Some(BlobReply::Refused { reason }) => {
                    tracing::warn!(blob = %blob.hash, index, reason, "the relay refused a chunk");
                    false
                }
                Some(_) | None => false,
            };
            done(stored)
        }));
    }

    fn start_fetch(&mut self, job: &Job) {
        let Job::Fetch { blob, index, sender, urgency } = *job else { return };
        self.express += usize::from(urgency.overtakes());
        // The relay may have to ask another region first, and the chunks asked for before come down the same
        // line.
        let wait =
            patience(self.fetch_pace.window() * schema::blob::CHUNK_BYTES as usize) + Duration::from_secs(10);
        let (asker, job) = (self.asker(wait), job.clone());
        let contents = Arc::clone(&self.setting.contents);
        self.under_way.push(Box::pin(async move {
            let began = Instant::now();
            let reply = asker.ask(&BlobRequest::Fetch { blob, index, sender }).await;
            let (answered, took) = (reply.is_some(), began.elapsed());
            let came = match reply {
                Some(BlobReply::Chunk { bytes }) => keep(contents, blob, index, bytes.into()).await,
                Some(BlobReply::Refused { reason }) => {
                    tracing::warn!(blob = %blob.hash, index, reason, "the relay refused to give a chunk");
                    Came::Absent
                }
                _ => Came::Absent,
            };
            Done::Fetch { job, took, answered, came }
        }));
    }

    fn asker(&self, patience: Duration) -> BlobAsker {
        let subject = wire::blob_request(&self.setting.office);
        let (client, relay) = (self.client.clone(), self.setting.relay.clone());
        BlobAsker { client, relay, subject, patience }
    }

    /// Books what is done and says what the core is told.
    fn done(&mut self, done: Done) -> Option<Input> {
        let relay = self.setting.relay.clone();
        match done {
            Done::Publish { job, bytes, took, outcome } => {
                self.upload_bytes -= bytes;
                self.promised.publishes -= 1;
                let Job::Publish { publication, .. } = job else { return None };
                self.promised.publications.remove(&publication);
                match outcome {
                    PublishOutcome::Unknown => self.publish_pace.missed(),
                    _ => self.publish_pace.arrived(took),
                }
                // A publish that is not permitted is never answered; the reason came beside it.
                let outcome = match (outcome, self.not_permitted.take()) {
                    (PublishOutcome::Unknown, Some(words)) => PublishOutcome::Refused(words),
                    (outcome, _) => outcome,
                };
                Some(Input::Published { publication, outcome })
            }
            Done::Offer { blob, offered } => {
                self.promised.offers.remove(&blob);
                Some(Input::Offered { relay, blob, offered })
            }
            Done::Release { blobs, released } => released.then_some(Input::Released { relay, blobs }),
            Done::Kept { blobs } => Some(Input::Keeps { relay, blobs: blobs? }),
            Done::Limits { limits } => {
                let limits = limits?;
                self.setting.board.change(&relay, |report| report.takes = Some(limits));
                Some(Input::Takes { relay, limits })
            }
            Done::Store { blob, urgency, bytes, took, stored } => {
                self.express_ended(urgency);
                self.upload_bytes -= bytes;
                self.promised.storing -= 1;
                if stored {
                    self.store_pace.arrived(took);
                } else {
                    self.store_pace.missed();
                }
                let run = self.promised.stores.get_mut(&blob)?;
                run.left -= 1;
                run.stored += usize::from(stored);
                if run.left > 0 {
                    return None;
                }
                let (progressed, urgency) = (run.stored > 0, run.urgency);
                self.promised.stores.remove(&blob);
                if !progressed {
                    // A relay that takes nothing is not asked in a circle: the core comes back later.
                    return Some(Input::Offered { relay, blob, offered: Offered::Unknown });
                }
                // The run is over: the relay says what it still lacks.
                self.start_offer(blob, urgency);
                None
            }
            Done::Fetch { job, took, answered, came } => {
                if answered {
                    self.fetch_pace.arrived(took);
                } else {
                    self.fetch_pace.missed();
                }
                let Job::Fetch { blob, index, urgency, .. } = job else { return None };
                self.express_ended(urgency);
                self.promised.fetches.remove(&(blob, index));
                Some(Input::Chunk { blob, index, came })
            }
        }
    }

    /// What the core is told about everything it still waits for.
    fn unanswered(&mut self) -> Vec<Input> {
        let relay = &self.setting.relay;
        let promised = std::mem::take(&mut self.promised);
        let publishes = promised
            .publications
            .into_iter()
            .map(|publication| Input::Published { publication, outcome: PublishOutcome::Unknown });
        let mut blobs = promised.offers;
        blobs.extend(promised.stores.into_keys());
        let offers = blobs.into_iter().map(|blob| Input::Offered {
            relay: relay.clone(),
            blob,
            offered: Offered::Unknown,
        });
        let fetches = promised.fetches.into_values().filter_map(|job| job.failed(relay));
        publishes.chain(offers).chain(fetches).collect()
    }
}

/// Asks the relay about attachments.
struct BlobAsker {
    client: Client,
    relay: RegionId,
    subject: String,
    patience: Duration,
}

impl BlobAsker {
    /// What it answers; `None` when it does not answer as agreed.
    async fn ask(&self, request: &BlobRequest) -> Option<BlobReply> {
        let relay = &self.relay;
        let payload = Bytes::from(encode_blob_message(request));
        let until = Instant::now() + self.patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let request = Request::new().payload(payload.clone()).timeout(Some(left));
            match self.client.send_request(self.subject.clone(), request).await {
                Ok(reply) => match parse_blob_message(&reply.payload) {
                    Ok(reply) => return Some(reply),
                    Err(error) => {
                        tracing::warn!(%relay, %error, "the relay gave no answer about an attachment");
                        return None;
                    }
                },
                // The server is up before the relay behind it: that is a matter of seconds.
                Err(error) if error.kind() == RequestErrorKind::NoResponders && left > UNSERVED_PAUSE => {
                    sleep(jittered(UNSERVED_PAUSE)).await;
                }
                Err(error) => {
                    tracing::warn!(%relay, %error, "request about an attachment failed");
                    return None;
                }
            }
        }
    }
}

/// Puts a chunk on the disk, where it keeps nobody waiting.
async fn keep(contents: Arc<Contents>, blob: BlobRef, index: u32, bytes: Vec<u8>) -> Came {
    let kept = tokio::task::spawn_blocking(move || contents.keep_chunk(&blob, index, &bytes)).await;
    match kept {
        Ok(Ok(())) => Came::Kept,
        Ok(Err(error @ ContentError::Shape { .. })) => {
            tracing::warn!(%error, "chunk of a wrong size refused");
            Came::Absent
        }
        Ok(Err(error)) => {
            tracing::error!(error = with_causes(&error), "a chunk of an attachment is not kept");
            Came::NoRoom
        }
        Err(error) => {
            tracing::error!(%error, "keeping a chunk panicked");
            Came::NoRoom
        }
    }
}

/// Translates the library's error at the door: it happened, it did not, or we do not know.
fn outcome_of(error: &PublishError) -> PublishOutcome {
    let said_by_server = error.source().is_some_and(|source| source.is::<async_nats::jetstream::Error>());
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => PublishOutcome::Refused(words_of(error)),
        // The server answered with an error of the stream (full, above all); nothing was stored.
        PublishErrorKind::Other
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence
            if said_by_server =>
        {
            PublishOutcome::Refused(words_of(error))
        }
        // No stream listens just now (a wiped relay is being set up again), or no answer came.
        PublishErrorKind::Other
        | PublishErrorKind::WrongLastMessageId
        | PublishErrorKind::WrongLastSequence
        | PublishErrorKind::StreamNotFound
        | PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending => PublishOutcome::Unknown,
    }
}

/// Like [`crate::words::with_causes`], but says nothing twice: the client's errors repeat their cause.
fn words_of(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_words = cause.to_string();
        if !words.contains(&cause_words) {
            words = format!("{words}: {cause_words}");
        }
        source = cause.source();
    }
    words
}

/// Opens a message by the newest registry, where it does not keep other links waiting.
async fn open_on_a_thread(keeper: &Keeper, message: Bytes) -> Result<Opened, JoinError> {
    let keeper = keeper.clone();
    tokio::task::spawn_blocking(move || open_or_refuse(&keeper, &message)).await
}

/// A message that cannot be read is refused as a whole, with its reason, like an item that cannot be: it must
/// not block the mailbox behind it.
fn open_or_refuse(keeper: &Keeper, message: &[u8]) -> Opened {
    keeper.open(message).unwrap_or_else(|error| {
        let bytes = message[..message.len().min(QUARANTINED_BYTES_MAX)].to_vec();
        let reason = Bilingual::new(|language| error.text(language));
        let refused = Refused { id: None, bytes, is_secret: false, reason, may_be_lack_of_news: false };
        Opened { refused: vec![refused], ..Opened::default() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::directory::DirectoryBuilder;
    use schema::id::OfficeId;
    use schema::time::Millis;

    #[test]
    fn unreadable_message_becomes_one_refused_item() {
        let directory = DirectoryBuilder::new().build(1, Millis(0)).expect("an empty directory");
        let registry = crate::certified::verifier(&directory, &[]).registry().clone();
        let keeper =
            Keeper::new(OfficeId::new([1; 16]), std::env::temp_dir().join("never-written.cbor"), registry);
        let opened = open_or_refuse(&keeper, &[0xff; 200_000]);
        assert_eq!(opened.refused.len(), 1);
        assert_eq!(opened.refused[0].bytes.len(), QUARANTINED_BYTES_MAX, "kept without a bound");
        assert!(opened.events.is_empty());
    }

    #[test]
    fn time_out_is_unknown_and_an_error_of_the_server_is_a_refusal() {
        for kind in [PublishErrorKind::TimedOut, PublishErrorKind::StreamNotFound, PublishErrorKind::Other] {
            assert_eq!(outcome_of(&PublishError::new(kind)), PublishOutcome::Unknown);
        }
        let full = r#"{"code":503,"err_code":10077,"description":"maximum bytes exceeded"}"#;
        let said: async_nats::jetstream::Error = serde_json::from_str(full).expect("as a server says it");
        let refused = outcome_of(&PublishError::with_source(PublishErrorKind::Other, said));
        assert!(
            matches!(&refused, PublishOutcome::Refused(words) if words.contains("maximum bytes")),
            "{refused:?}"
        );
    }
}
