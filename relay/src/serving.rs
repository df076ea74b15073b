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

use crate::content::{Content, ContentError, FROM_PEERS};
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
    while let Some(request) = requests.next().await {
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
    Ok(())
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
            (BlobRequest::Offer { blob }, Asker::Office(office)) => {
                let uploader = office.to_string();
                match self.blocking(move |content| content.missing(&uploader, &blob)).await {
                    Ok(chunks) => BlobReply::Missing { chunks },
                    Err(refused) => refused,
                }
            }
            (BlobRequest::Store { blob, index, bytes }, Asker::Office(office)) => {
                let uploader = office.to_string();
                let stored =
                    self.blocking(move |content| content.store(&uploader, &blob, index, &bytes)).await;
                let (blobs, bytes) = self.content.size();
                self.book.change(|status| (status.content_blobs, status.content_bytes) = (blobs, bytes));
                stored.map_or_else(|refused| refused, |()| BlobReply::Stored)
            }
            (BlobRequest::Fetch { blob, index, sender }, asker) => {
                match self.blocking(move |content| content.chunk(&blob, index)).await {
                    Ok(Some(bytes)) => BlobReply::Chunk { bytes: bytes.into() },
                    Ok(None) => self.ask_peers(asker, blob, index, sender).await,
                    Err(refused) => refused,
                }
            }
            // Also how a peer tests the line.
            (BlobRequest::Offer { .. } | BlobRequest::Store { .. }, Asker::Peer(_)) => {
                BlobReply::Refused { reason: "peers fetch attachments; they do not bring them".to_owned() }
            }
        }
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
                if matches!(error, ContentError::Disk { .. } | ContentError::DiskFull { .. }) {
                    tracing::error!(error = &error as &dyn std::error::Error, "content store");
                }
                Err(BlobReply::Refused { reason: error.to_string() })
            }
            Err(error) => Err(BlobReply::Refused { reason: error.to_string() }),
        }
    }

    /// Asks the sender's home regions, or over a third relay when none of them is in reach; keeps what they
    /// give.
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
            let stored = self.blocking(move |content| content.store(FROM_PEERS, &blob, index, &kept)).await;
            match stored {
                Ok(()) => return BlobReply::Chunk { bytes },
                Err(reason) => {
                    tracing::warn!(%region, blob = %blob.hash, index, ?reason, "a peer's chunk is not kept");
                }
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
