//! Bringing this station's registry and a relay's up to date with each other, for as long as a connection lasts.

use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::client::Request;
use bytes::Bytes;
use schema::registry::Item;
use schema::registry::talk::{
    Bringing, Catching, RegistryAnswer, RegistryReply, RegistryRequest, encode_talk, parse_talk,
};
use schema::wire;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::clock::ClockReading;
use super::line::jittered;
use super::pace::patience;
use super::{LinkBoard, LinkSetting};
use crate::runtime::{Keeper, now};

/// How often a relay is asked whether it holds anything newer, at most: a revocation list is with everybody who is on
/// line a few minutes after it was published, at 300 bytes a question.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// Pause after a round that failed.
const RETRY_AFTER: Duration = Duration::from_secs(15);
/// Most questions of one round.
const QUESTIONS_MAX: usize = 100_000;

/// One connection's share of the work; it ends with the connection.
pub(super) struct Door {
    keeper: Keeper,
    asker: Asker,
    task: JoinHandle<()>,
}

#[derive(Clone)]
pub(crate) struct Asker {
    client: Client,
    subject: String,
    relay: schema::id::RegionId,
    board: LinkBoard,
}

impl Door {
    /// Tells the relay of this office's own announcements, so that it takes events signed with the next key, then keeps
    /// both sides up to date in the background.
    pub(super) async fn open(setting: &LinkSetting, client: Client) -> Self {
        let subject = wire::registry_request(&setting.office);
        let (relay, board) = (setting.relay.clone(), setting.board.clone());
        let asker = Asker { client, subject, relay, board };
        let keeper = setting.keeper.clone();
        let own: Vec<Item> = keeper.own_announcements();
        if !own.is_empty() {
            asker.bring(&own).await;
        }
        keeper.door_opened(asker.clone());
        let task = tokio::spawn(keep_up_to_date(asker.clone(), keeper.clone()));
        Self { keeper, asker, task }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
        self.keeper.door_closed(&self.asker.relay);
    }
}

async fn keep_up_to_date(asker: Asker, keeper: Keeper) {
    loop {
        let pause = match asker.catch_up(&keeper).await {
            Ok(()) => ASK_EVERY,
            Err(found) => {
                tracing::debug!(relay = %asker.relay, found, "the registry was not compared with the relay's");
                RETRY_AFTER
            }
        };
        tokio::select! {
            () = sleep(jittered(pause)) => {}
            () = keeper.changed() => {}
        }
    }
}

impl Asker {
    /// The relay it asks.
    pub(crate) fn relay(&self) -> &schema::id::RegionId {
        &self.relay
    }

    /// Gives the relay these items. What it does not take is its matter: it may hold something newer.
    pub(crate) async fn bring(&self, items: &[Item]) {
        let mut bringing = Bringing::new(items.iter().cloned());
        while let Some(request) = bringing.next() {
            let reply = self.ask(&request).await;
            let heard = reply.and_then(|reply| bringing.heard(reply).map_err(|error| error.to_string()));
            if let Err(found) = heard {
                tracing::debug!(relay = %self.relay, found, "an item was not brought to the relay");
                return;
            }
        }
        for reason in bringing.refused() {
            tracing::info!(relay = %self.relay, reason, "the relay does not take an item of the registry");
        }
    }

    /// Fetches what this station lacks, then brings what the relay lacks.
    pub(crate) async fn catch_up(&self, keeper: &Keeper) -> Result<(), String> {
        let before = keeper.registry();
        let mut catching = Catching::new(&before);
        for _ in 0..QUESTIONS_MAX {
            let Some(question) = catching.next() else { break };
            let answer = self.ask(&question).await?;
            catching.heard(answer, &before).map_err(|error| error.to_string())?;
        }
        let (items, theirs) = catching.finish();
        if !items.is_empty() {
            keeper.take_in(items, self.relay.as_str()).await;
        }
        if let Some(theirs) = theirs {
            self.bring(&theirs.to_bring(&keeper.registry())).await;
        }
        Ok(())
    }

    async fn ask(&self, request: &RegistryRequest) -> Result<RegistryReply, String> {
        let payload = Bytes::from(encode_talk(request));
        let wait = patience(payload.len() + schema::registry::talk::TALK_BYTES_MAX);
        let request = Request::new().payload(payload).timeout(Some(wait));
        let (asked_at, start) = (now(), Instant::now());
        let answer = self.client.send_request(self.subject.clone(), request).await;
        let took = start.elapsed();
        let answer = answer.map_err(|error| error.to_string())?;
        let answer: RegistryAnswer = parse_talk(&answer.payload).map_err(|error| error.to_string())?;
        if let Some(reading) = ClockReading::new(asked_at, took, answer.at) {
            self.board.change(&self.relay, |report| report.clock = Some(reading));
        }
        Ok(answer.reply)
    }
}
