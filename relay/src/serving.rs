//! Answers requests: about attachments, where offices bring and fetch chunks and peers fetch them, and about the registry.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_nats::Client;
use bytes::Bytes;
use futures_util::StreamExt as _;
use schema::blob::{BlobRef, BlobReply, BlobRequest, encode_blob_message, parse_blob_message};
use schema::id::{OfficeId, RegionId};
use schema::registry::talk::{RegistryAnswer, encode_talk};
use schema::time::Millis;
use schema::wire;
use tokio::sync::Semaphore;

use crate::content::{Content, ContentError, Offered, Source};
use crate::pusher::Peers;
use crate::registry::{Asker, Keeper};
use crate::status::{Book, now_ms};

/// Requests answered at once; more wait in the client, and beyond its buffer they are dropped and asked
/// again.
const ANSWERS_AT_ONCE: usize = 32;
/// How long a peer may take to give a chunk.
const PEER_CHUNK_WAIT: Duration = Duration::from_secs(8);
/// Most peers asked for one chunk.
const PEERS_ASKED_MAX: usize = 4;

/// Everything an answer needs.
pub(crate) struct Serving {
    pub(crate) me: RegionId,
    pub(crate) content: Arc<Content>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) book: Arc<Book>,
}

/// Answers until the connection is closed for good.
pub(crate) async fn serve(serving: Arc<Serving>, client: Client) -> Result<(), async_nats::SubscribeError> {
    let mut subscriptions = Vec::new();
    for subject in ["t.rq.*.blob", "t.pr.*.blob", "t.rq.*.reg", "t.pr.*.reg"] {
        subscriptions.push(client.subscribe(subject).await?);
    }
    let mut requests = futures_util::stream::select_all(subscriptions);
    let gate = Arc::new(Semaphore::new(ANSWERS_AT_ONCE));
    let mut known = serving.keeper.subscribe();
    loop {
        let request = tokio::select! {
            request = requests.next() => request,
            Ok(()) = known.changed() => {
                serving.release_others().await;
                continue;
            }
        };
        let Some(request) = request else { return Ok(()) };
        let Some(reply) = request.reply else { continue };
        let Ok(permit) = Arc::clone(&gate).acquire_owned().await else { return Ok(()) };
        let (serving, client) = (Arc::clone(&serving), client.clone());
        tokio::spawn(async move {
            let answer = match asker(&request.subject) {
                Some((asker, About::Attachments)) => {
                    encode_blob_message(&serving.answer(&asker, &request.payload).await)
                }
                Some((asker, About::Registry)) => {
                    let reply = serving.keeper.answer(&asker, &request.payload).await;
                    encode_talk(&RegistryAnswer { reply, at: Millis(now_ms()) })
                }
                // The server lets nobody ask elsewhere.
                None => return,
            };
            if let Err(error) = client.publish(reply, answer.into()).await {
                tracing::debug!(%error, "answer not sent");
            }
            drop(permit);
        });
    }
}

/// What is asked about.
enum About {
    Attachments,
    Registry,
}

fn asker(subject: &str) -> Option<(Asker, About)> {
    let (who, about) = match subject.strip_suffix(".blob") {
        Some(who) => (who, About::Attachments),
        None => (subject.strip_suffix(".reg")?, About::Registry),
    };
    let asker = match who.strip_prefix("t.rq.") {
        Some(office) => Asker::Office(office.parse().ok()?),
        None => Asker::Peer(who.strip_prefix("t.pr.")?.parse().ok()?),
    };
    Some((asker, about))
}

impl Serving {
    async fn answer(self: &Arc<Self>, asker: &Asker, request: &[u8]) -> BlobReply {
        let request = match parse_blob_message(request) {
            Ok(request) => request,
            Err(error) => {
                return BlobReply::Refused { reason: format!("the request cannot be read: {error}") };
            }
        };
        match (request, asker) {
            (BlobRequest::Offer { blob, urgency }, Asker::Office(office)) => {
                let office = *office;
                let offered = self.blocking(move |content| content.offer(office, &blob, urgency)).await;
                match offered {
                    Ok(Offered { missing, began }) => {
                        if began && !urgency.overtakes() {
                            self.book.content_has_room(&office);
                        }
                        BlobReply::Missing { chunks: missing }
                    }
                    Err(refused) => refused,
                }
            }
            (BlobRequest::Store { blob, index, bytes }, Asker::Office(office)) => {
                let source = Source::Office(*office);
                let stored = self.blocking(move |content| content.store(source, &blob, index, &bytes)).await;
                self.book.content(self.content.size());
                stored.map_or_else(|refused| refused, |()| BlobReply::Stored)
            }
            (BlobRequest::Release { blobs }, Asker::Office(office)) => {
                let office = *office;
                let release = move |content: &Content| {
                    for blob in &blobs {
                        content.release(office, blob);
                    }
                    Ok(())
                };
                let released = self.blocking(release).await;
                self.book.content(self.content.size());
                released.map_or_else(|refused| refused, |()| BlobReply::Released)
            }
            (BlobRequest::Limits, Asker::Office(office)) => {
                BlobReply::Limits { limits: self.content.limits_for(office) }
            }
            (BlobRequest::Fetch { blob, index, sender }, asker) => {
                match self.blocking(move |content| content.chunk(&blob, index)).await {
                    Ok(Some(bytes)) => BlobReply::Chunk { bytes: bytes.into() },
                    Ok(None) => self.ask_peers(asker, blob, index, sender).await,
                    Err(refused) => refused,
                }
            }
            (BlobRequest::Kept { after }, Asker::Office(office)) => {
                BlobReply::Kept { blobs: self.content.kept_for(*office, after) }
            }
            // Also how a peer tests the line.
            (
                BlobRequest::Offer { .. }
                | BlobRequest::Store { .. }
                | BlobRequest::Release { .. }
                | BlobRequest::Limits
                | BlobRequest::Kept { .. },
                Asker::Peer(_),
            ) => BlobReply::Refused { reason: "peers fetch attachments; they do not bring them".to_owned() },
        }
    }

    /// Offices that are served elsewhere now cannot say that they need their attachments no more.
    async fn release_others(&self) {
        let (registry, me) = (self.keeper.registry(), self.me.clone());
        let is_served = move |office: &OfficeId| registry.directory().home_regions(office).contains(&me);
        self.book.change(|status| {
            status
                .content_offices_full
                .retain(|office| office.parse().is_ok_and(|office| is_served(&office)));
        });
        let release = move |content: &Content| {
            content.release_others(is_served);
            Ok(())
        };
        // It fails at no disk: what cannot be removed is found again at the next start.
        let _ = self.blocking(release).await;
        self.book.content(self.content.size());
    }

    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Content) -> Result<T, ContentError> + Send + 'static,
    ) -> Result<T, BlobReply> {
        let content = Arc::clone(&self.content);
        let done = tokio::task::spawn_blocking(move || call(&content)).await;
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                match &error {
                    ContentError::NoRoom(why) => self.book.content_is_full(why),
                    ContentError::Disk { .. } => {
                        tracing::error!(error = &error as &dyn std::error::Error, "content store");
                    }
                    ContentError::Shape { .. } | ContentError::Hash { .. } => {}
                }
                Err(BlobReply::Refused { reason: error.to_string() })
            }
            Err(error) => Err(BlobReply::Refused { reason: error.to_string() }),
        }
    }

    /// Asks the sender's home regions, or over a third relay when none of them is in reach; keeps what they
    /// give, if there is room.
    async fn ask_peers(
        self: &Arc<Self>,
        asker: &Asker,
        blob: BlobRef,
        index: u32,
        sender: OfficeId,
    ) -> BlobReply {
        let homes = self.keeper.registry().directory().home_regions(&sender).to_vec();
        let up = self.peers.links().borrow().clone();
        for region in ways(&self.me, asker, &homes, &up) {
            let Some(client) = self.peers.client(&region) else { continue };
            let question = Bytes::from(encode_blob_message(&BlobRequest::Fetch { blob, index, sender }));
            let request = async_nats::Request::new().payload(question).timeout(Some(PEER_CHUNK_WAIT));
            let Ok(answer) = client.send_request(wire::peer_blob_request(&self.me), request).await else {
                continue;
            };
            let Ok(BlobReply::Chunk { bytes }) = parse_blob_message(&answer.payload) else { continue };
            let kept = bytes.clone();
            let content = Arc::clone(&self.content);
            let store = move || content.store(Source::Peers, &blob, index, &kept);
            match tokio::task::spawn_blocking(store).await {
                Ok(Ok(())) => return BlobReply::Chunk { bytes },
                // Without room, or a disk, to keep it: whoever asks gets it all the same, and looks at its hash.
                Ok(Err(ContentError::NoRoom(why))) => {
                    tracing::debug!(%region, %why, "a peer's chunk is handed on and not kept");
                    return BlobReply::Chunk { bytes };
                }
                Ok(Err(error @ ContentError::Disk { .. })) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "a peer's chunk is handed on and not kept"
                    );
                    return BlobReply::Chunk { bytes };
                }
                Ok(Err(error)) => {
                    tracing::warn!(%region, blob = %blob.hash, index, %error, "a peer's chunk is not taken");
                }
                Err(error) => tracing::error!(%error, "keeping a peer's chunk panicked"),
            }
        }
        BlobReply::Absent
    }
}

/// Whom to ask for an attachment that is not here. The question always moves towards the sender's home: a
/// home region that a peer asks answers for itself only, and any other relay asks home regions only, so no
/// question runs in circles.
fn ways(me: &RegionId, asker: &Asker, homes: &[RegionId], up: &BTreeSet<RegionId>) -> Vec<RegionId> {
    let from = match asker {
        Asker::Office(_) => None,
        Asker::Peer(region) => Some(region),
    };
    if from.is_some() && homes.contains(me) {
        return Vec::new();
    }
    let homes_up = homes.iter().filter(|home| up.contains(*home) && Some(*home) != from && *home != me);
    let mut ways: Vec<_> = homes_up.cloned().collect();
    if ways.is_empty() && from.is_none() && !homes.contains(me) {
        ways.extend(up.iter().cloned());
    }
    ways.truncate(PEERS_ASKED_MAX);
    ways
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(name: &str) -> RegionId {
        name.parse().expect("a region")
    }

    #[test]
    fn home_regions_are_asked_first_and_a_third_relay_when_none_is_in_reach() {
        let office = Asker::Office(OfficeId::new([1; 16]));
        let homes = [region("b")];
        let up = BTreeSet::from([region("b"), region("c")]);
        assert_eq!(ways(&region("a"), &office, &homes, &up), [region("b")]);
        let up = BTreeSet::from([region("c")]);
        assert_eq!(ways(&region("a"), &office, &homes, &up), [region("c")]);
    }

    #[test]
    fn questions_never_run_in_circles() {
        let homes = [region("b")];
        let up = BTreeSet::from([region("a"), region("b"), region("c")]);
        // The third relay asks the home region only, and the home region asks nobody.
        assert_eq!(ways(&region("c"), &Asker::Peer(region("a")), &homes, &up), [region("b")]);
        assert!(ways(&region("b"), &Asker::Peer(region("c")), &homes, &up).is_empty());
        let up = BTreeSet::from([region("a")]);
        assert!(ways(&region("c"), &Asker::Peer(region("a")), &homes, &up).is_empty());
    }
}
