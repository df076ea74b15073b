//! Links to the peer regions' servers, and what pushes the waiting events over them.
//!
//! Each region pushes with a login that may only publish there; nobody pulls from a peer. While a direct link
//! is down, what waits goes over a third relay, and directly again as soon as the link is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::Client;
use async_nats::client::RequestErrorKind;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::context::Context;
use async_nats::jetstream::message::{AckKind, PublishMessage};
use async_nats::jetstream::{self};
use futures_util::{FutureExt as _, StreamExt as _};
use schema::blob::{BlobRef, BlobRequest, encode_blob_message};
use schema::event::Urgency;
use schema::id::{BlobHash, RegionId};
use schema::pack::Message;
use schema::wire;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::link::{Link, Login, Outcome, Publication, connect, publish};
use crate::registry::Known;
use crate::route::next_hop;
use crate::runtime::stopped;
use crate::server::peer_inbox_prefix;
use crate::status::Book;
use crate::streams::out_consumer;

/// Longest wait for a peer's answer; the third relay is tried after it.
const PEER_ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How often a link that is down is tested, and one that is up and idle.
const PROBE_DOWN: Duration = Duration::from_secs(1);
const PROBE_UP: Duration = Duration::from_secs(10);
/// Most messages pushed at once to one region.
const PUSHES_AT_ONCE: usize = 32;
/// How long a message rests that a full peer refused.
const REFUSED_REST: Duration = Duration::from_secs(5);
/// How long to wait before the own server is asked again for what waits.
const RETRY: Duration = Duration::from_millis(500);
const PULL_WAIT: Duration = Duration::from_secs(30);
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);

/// The connections to peers, shared with whoever asks them for attachments.
pub(crate) struct Peers {
    open: Mutex<BTreeMap<RegionId, Peer>>,
    up: watch::Sender<BTreeSet<RegionId>>,
    book: Arc<Book>,
}

#[derive(Clone)]
struct Peer {
    url: String,
    client: Client,
    context: Context,
    suspect: Arc<Notify>,
}

impl Peers {
    pub(crate) fn new(book: Arc<Book>) -> Self {
        Self { open: Mutex::default(), up: watch::channel(BTreeSet::new()).0, book }
    }

    /// The regions whose servers answer.
    pub(crate) fn links(&self) -> watch::Receiver<BTreeSet<RegionId>> {
        self.up.subscribe()
    }

    pub(crate) fn client(&self, region: &RegionId) -> Option<Client> {
        self.peer(region).map(|peer| peer.client)
    }

    fn peer(&self, region: &RegionId) -> Option<Peer> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).get(region).cloned()
    }

    fn set(&self, region: &RegionId, up: bool) {
        self.up
            .send_if_modified(|links| if up { links.insert(region.clone()) } else { links.remove(region) });
        self.book.link(region.as_str(), up);
    }

    /// A push was not answered: down until a test is.
    fn suspect(&self, region: &RegionId) {
        self.set(region, false);
        if let Some(peer) = self.peer(region) {
            peer.suspect.notify_one();
        }
    }
}

/// Everything the pushing tasks share.
pub(crate) struct Pushing {
    pub(crate) config: Arc<Config>,
    pub(crate) seed: String,
    pub(crate) home: Context,
    pub(crate) peers: Arc<Peers>,
    pub(crate) book: Arc<Book>,
}

/// Keeps one link and one pusher for each peer region of the directory.
pub(crate) async fn run(
    pushing: Arc<Pushing>,
    mut known: watch::Receiver<Known>,
    mut stop: watch::Receiver<bool>,
) {
    let mut tasks: BTreeMap<RegionId, JoinSet<()>> = BTreeMap::new();
    loop {
        let directory = Arc::clone(known.borrow_and_update().registry.directory());
        let mut wanted = BTreeMap::new();
        for region in directory.regions().filter(|region| region.id != pushing.config.region) {
            let url = pushing.config.peer_urls.get(&region.id).unwrap_or(&region.url);
            wanted.insert(region.id.clone(), url.clone());
        }
        tasks.retain(|region, _| {
            let stays = pushing.peers.peer(region).is_some_and(|peer| wanted.get(region) == Some(&peer.url));
            if !stays {
                pushing.peers.open.lock().unwrap_or_else(PoisonError::into_inner).remove(region);
                pushing.peers.set(region, false);
            }
            stays
        });
        for (region, url) in wanted {
            if tasks.contains_key(&region) {
                continue;
            }
            match open(&pushing, &region, &url).await {
                Ok(state) => {
                    let mut set = JoinSet::new();
                    set.spawn(keep_link(Arc::clone(&pushing), region.clone(), state));
                    set.spawn(push(Arc::clone(&pushing), region.clone()));
                    tasks.insert(region, set);
                }
                Err(error) => tracing::error!(%region, %url, %error, "cannot prepare the link to a peer"),
            }
        }
        tokio::select! {
            changed = known.changed() => if changed.is_err() { return },
            () = stopped(&mut stop) => return,
        }
    }
}

async fn open(
    pushing: &Pushing,
    region: &RegionId,
    url: &str,
) -> Result<watch::Receiver<crate::link::LinkState>, async_nats::ConnectError> {
    let me = &pushing.config.region;
    let book = Arc::clone(&pushing.book);
    let login = Login {
        url,
        seed: &pushing.seed,
        name: &format!("{me} at {region}"),
        inbox_prefix: &peer_inbox_prefix(me),
        buffered_max: 1024,
        answer_wait: PEER_ANSWER_WAIT,
    };
    let Link { client, context, state } = connect(login, Arc::new(move |text| book.trouble(text))).await?;
    let peer = Peer { url: url.to_owned(), client, context, suspect: Arc::new(Notify::new()) };
    pushing.peers.open.lock().unwrap_or_else(PoisonError::into_inner).insert(region.clone(), peer);
    pushing.peers.set(region, false);
    Ok(state)
}

/// Tests a link: up means that the peer's server answered a request.
async fn keep_link(
    pushing: Arc<Pushing>,
    region: RegionId,
    mut state: watch::Receiver<crate::link::LinkState>,
) {
    let Some(peer) = pushing.peers.peer(&region) else { return };
    let subject = wire::peer_blob_request(&pushing.config.region);
    let nothing = BlobRef { hash: BlobHash::new([0; 32]), length: 1 };
    let question = bytes::Bytes::from(encode_blob_message(&BlobRequest::Offer {
        blob: nothing,
        urgency: Urgency::Normal,
    }));
    loop {
        let connected = state.borrow_and_update().connected;
        let up = connected && {
            match peer.client.request(subject.clone(), question.clone()).await {
                Ok(_) => true,
                // The server itself says that its relay is not there; it stores what is pushed all the same.
                Err(error) => error.kind() == RequestErrorKind::NoResponders,
            }
        };
        pushing.peers.set(&region, up);
        let pause = if up { PROBE_UP } else { PROBE_DOWN };
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            () = peer.suspect.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        if !state.borrow().connected {
            pushing.peers.set(&region, false);
        }
    }
}

/// Pushes what waits for one region, as long as there is a way.
async fn push(pushing: Arc<Pushing>, to: RegionId) {
    let mut links = pushing.peers.links();
    let me = [pushing.config.region.clone()];
    loop {
        if links.wait_for(|up| next_hop(&to, &me, up).is_some()).await.is_err() {
            return;
        }
        if let Err(error) = push_while_possible(&pushing, &to, &mut links).await {
            tracing::debug!(%to, %error, "nothing to push now");
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn push_while_possible(
    pushing: &Pushing,
    to: &RegionId,
    links: &mut watch::Receiver<BTreeSet<RegionId>>,
) -> Result<(), async_nats::Error> {
    let me = [pushing.config.region.clone()];
    let consumer: PullConsumer =
        pushing.home.get_consumer_from_stream(out_consumer(to), wire::stream_out(to)).await?;
    let mut waiting = consumer
        .stream()
        .max_messages_per_batch(PUSHES_AT_ONCE)
        .expires(PULL_WAIT)
        .heartbeat(PULL_HEARTBEAT)
        .messages()
        .await?;
    loop {
        let first = tokio::select! {
            first = waiting.next() => first,
            // Without a way the messages rest in the stream and not in this client.
            none = links.wait_for(|up| next_hop(to, &me, up).is_none()) => { none?; return Ok(()) }
        };
        let Some(first) = first else { return Ok(()) };
        let mut batch = vec![first?];
        while batch.len() < PUSHES_AT_ONCE
            && let Some(Some(next)) = waiting.next().now_or_never()
        {
            batch.push(next?);
        }
        let up = links.borrow().clone();
        push_batch(pushing, to, batch, &up).await;
    }
}

async fn push_batch(
    pushing: &Pushing,
    to: &RegionId,
    batch: Vec<jetstream::Message>,
    up: &BTreeSet<RegionId>,
) {
    let mut sent = Vec::new();
    for message in batch {
        let path = match Message::parse(&message.payload) {
            Ok(Message::Forward { path, .. }) => path,
            // Written by this relay, so it is a flipped bit; the sender still has the events.
            Ok(_) | Err(_) => {
                pushing.book.trouble(format!("a message for `{to}` cannot be read any more and was dropped"));
                let _ = message.ack().await;
                continue;
            }
        };
        let hop = next_hop(to, &path, up).and_then(|hop| pushing.peers.peer(&hop).map(|peer| (hop, peer)));
        let Some((hop, peer)) = hop else {
            let _ = message.ack_with(AckKind::Nak(Some(RETRY))).await;
            continue;
        };
        let mut publication = PublishMessage::build().payload(message.payload.clone());
        if let Some(id) = message.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id")) {
            publication = publication.message_id(id.as_str());
        }
        let subject = wire::peer(&pushing.config.region);
        sent.push((message, hop, publish(&peer.context, subject, publication).await));
    }
    // All clocks start together: a silent peer costs one wait and not one for each message.
    let outcomes = futures_util::future::join_all(sent.into_iter().map(
        |(message, hop, publication): (_, _, Publication)| async {
            let outcome = publication.outcome().await;
            (message, hop, outcome)
        },
    ));
    for (message, hop, outcome) in outcomes.await {
        let answered = match outcome {
            Outcome::Stored => {
                pushing.book.pushed(to.as_str(), hop.as_str());
                message.ack().await
            }
            Outcome::Refused(why) => {
                pushing
                    .book
                    .trouble(format!("relay `{hop}` has no room for events to `{to}`: {why}; trying again"));
                message.ack_with(AckKind::Nak(Some(REFUSED_REST))).await
            }
            Outcome::Unknown(why) => {
                tracing::debug!(%to, %hop, %why, "push without answer");
                pushing.peers.suspect(&hop);
                message.ack_with(AckKind::Nak(None)).await
            }
        };
        if let Err(error) = answered {
            tracing::debug!(%error, "acknowledgement not sent");
        }
    }
}
