//! Keeps the registry of a running station: takes in what comes from files, relays and the core, and gives everybody the
//! newest one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use schema::event::{UnverifiedEvent, Verifier, VerifyMemory};
use schema::id::{OfficeId, RegionId};
use schema::inbound::{self, Opened};
use schema::pack::MessageError;
use schema::registry::{Item, ItemId, ItemKind, Outcomes, Registry, Taken, encode_items};
use schema::time::Millis;
use schema::words::Bilingual;
use tokio::sync::{Mutex as Turn, watch};
use tokio::time::timeout;

use super::{Inputs, now};
use crate::keyring::replace_private;
use crate::link::Asker;
use crate::sealing::{Sealing, open_contents};
use crate::step::Input;
use crate::words::with_causes;

/// How long relays may take to learn of the next key before the station signs with it all the same.
const ANNOUNCE_WAIT: Duration = Duration::from_secs(5);

/// How often relays are asked at once for news because of an event that may only lack them: whoever sends what nobody
/// has certified does not make this station talk all day.
const NEWS_EVERY: Duration = Duration::from_secs(10);

/// For how long after the announcement of a key every relay is told of it at once when a connection is made.
const ANNOUNCED_ANEW_MS: u64 = 30 * Millis::DAY;

/// What was done with items from outside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TakenIn {
    /// Items that said something new.
    pub new: usize,
    /// Items that were held.
    pub known: usize,
    /// Directories and lists that are older than what is held: they change nothing.
    pub older: usize,
    /// Why others were not taken in, and what to do.
    pub refused: Vec<Bilingual>,
}

/// The registry of a running station. Cheap to clone.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    office: OfficeId,
    file: PathBuf,
    memory: Arc<VerifyMemory>,
    verifier: watch::Sender<Arc<Verifier>>,
    /// Taken while something is taken in: each sees what the one before made.
    turn: Turn<()>,
    core: OnceLock<Inputs>,
    sealing: OnceLock<Arc<dyn Sealing>>,
    doors: Mutex<BTreeMap<RegionId, Asker>>,
    /// When a relay was last asked out of turn. Held while it is: whoever waits for the same news asks once.
    asked_at: Turn<Option<Instant>>,
}

impl Keeper {
    /// Keeps this registry, and newer ones in `file`.
    pub fn new(office: OfficeId, file: PathBuf, registry: Arc<Registry>) -> Self {
        let memory = Arc::new(VerifyMemory::default());
        let verifier = Verifier::new(registry).with_memory(Arc::clone(&memory));
        Self(Arc::new(Inner {
            office,
            file,
            memory,
            verifier: watch::Sender::new(Arc::new(verifier)),
            turn: Turn::new(()),
            core: OnceLock::new(),
            sealing: OnceLock::new(),
            doors: Mutex::default(),
            asked_at: Turn::new(None),
        }))
    }

    /// Tells the core of every newer registry from now on.
    pub fn tell(&self, core: Inputs) {
        // A second core would be a second station.
        let _ = self.0.core.set(core);
    }

    /// The newest registry.
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(self.0.verifier.borrow().registry())
    }

    /// Has what is sealed for this office opened.
    #[must_use]
    pub fn with_sealing(self, sealing: Arc<dyn Sealing>) -> Self {
        // A station has one keyring.
        let _ = self.0.sealing.set(sealing);
        self
    }

    /// Opens a message by the newest registry, and what is sealed in it for this office.
    ///
    /// # Errors
    /// When the message itself cannot be read.
    pub fn open(&self, message: &[u8]) -> Result<Opened, MessageError> {
        let mut opened = inbound::open(&self.verifier(), message)?;
        if let Some(sealing) = self.0.sealing.get() {
            open_contents(&**sealing, &mut opened);
        }
        Ok(opened)
    }

    /// Judges by the newest registry.
    pub fn verifier(&self) -> Arc<Verifier> {
        Arc::clone(&self.0.verifier.borrow())
    }

    /// Sees every newer one.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Verifier>> {
        self.0.verifier.subscribe()
    }

    /// Resolves when a newer registry came.
    pub(crate) async fn changed(&self) {
        // The sender lives as long as the keeper.
        let _ = self.0.verifier.subscribe().changed().await;
    }

    /// What this office said about its own keys, as long as a relay may not have heard of it.
    pub(crate) fn own_announcements(&self) -> Vec<Item> {
        let registry = self.registry();
        let announcements = registry.items().filter(|item| item.kind() == ItemKind::Announcement);
        let own = announcements.filter(|item| {
            UnverifiedEvent::parse(item.bytes()).is_ok_and(|event| {
                let claims = event.claims();
                claims.office == self.0.office && now().since(claims.claimed_at) < ANNOUNCED_ANEW_MS
            })
        });
        own.cloned().collect()
    }

    /// Asks a relay out of turn whether it holds anything newer; `true` when something came that may change what was just
    /// refused.
    pub(crate) async fn ask_for_news(&self, relay: &RegionId) -> bool {
        let before = self.registry().fingerprint();
        let mut asked_at = self.0.asked_at.lock().await;
        if asked_at.is_none_or(|at| at.elapsed() >= NEWS_EVERY) {
            *asked_at = Some(Instant::now());
            let door = self.0.doors.lock().unwrap_or_else(PoisonError::into_inner).get(relay).cloned();
            if let Some(door) = door
                && let Err(found) = door.catch_up(self).await
            {
                tracing::debug!(%relay, found, "the relay was not asked for news");
            }
        }
        self.registry().fingerprint() != before
    }

    pub(crate) fn door_opened(&self, asker: Asker) {
        let mut doors = self.0.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.insert(asker.relay().clone(), asker);
    }

    pub(crate) fn door_closed(&self, relay: &RegionId) {
        self.0.doors.lock().unwrap_or_else(PoisonError::into_inner).remove(relay);
    }

    /// Takes in items from outside. What does not prove itself is left out and named; `source` says where they came from.
    pub async fn take_in(&self, items: Vec<Item>, source: &str) -> TakenIn {
        let _turn = self.0.turn.lock().await;
        let Some((next, new, taken)) = self.merge(items, source).await else {
            return TakenIn { refused: vec![stopping()], ..TakenIn::default() };
        };
        if !new.is_empty() {
            tracing::info!(
                source,
                items = new.len(),
                directory = next.directory().version(),
                "newer registry in use"
            );
            self.use_registry(next, new).await;
        }
        taken
    }

    /// Takes in what this office says about another key of its own, and shows it to every relay that is in reach before the
    /// core hears of it: when it is the next key, the station signs with it then.
    pub(crate) async fn announce(&self, item: Item) {
        let _turn = self.0.turn.lock().await;
        let Some((next, new, taken)) = self.merge(vec![item], "this station").await else { return };
        for refused in &taken.refused {
            let reason = &refused.english;
            tracing::error!(reason, "what this station says about its own keys is not accepted");
        }
        let doors: Vec<Asker> =
            self.0.doors.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let brought = doors.iter().map(|door| door.bring(&new));
        if timeout(ANNOUNCE_WAIT, futures_util::future::join_all(brought)).await.is_err() {
            tracing::warn!(
                "not every relay has heard what this station says about its keys; what it refuses is sent again"
            );
        }
        if !new.is_empty() {
            self.use_registry(next, new).await;
        }
    }

    /// Checks items on another thread, and keeps the registry file up to date with what is new.
    async fn merge(&self, items: Vec<Item>, source: &str) -> Option<(Arc<Registry>, Vec<Item>, TakenIn)> {
        let (present, file) = (self.registry(), self.0.file.clone());
        let merging = tokio::task::spawn_blocking(move || {
            let (next, outcomes) = present.with(items.clone());
            let (mut new, taken) = sorted(items, outcomes);
            // The store keeps them in the order in which they were taken in: the key that was seen first stays the first.
            let order: BTreeMap<ItemId, usize> = next.items().map(Item::id).zip(0..).collect();
            new.sort_by_key(|item| order.get(&item.id()).copied());
            if !new.is_empty()
                && let Err(error) = replace_private(&file, &encode_items(next.all_items()))
            {
                // The core keeps the items in its store as well.
                tracing::error!(error = with_causes(&error), "the registry file could not be written");
            }
            (Arc::new(next), new, taken)
        });
        let (next, new, taken) = merging.await.ok()?;
        for refused in &taken.refused {
            let reason = &refused.english;
            tracing::warn!(source, reason, "an item of the registry is not accepted; it was left out");
        }
        Some((next, new, taken))
    }

    async fn use_registry(&self, registry: Arc<Registry>, items: Vec<Item>) {
        let verifier = Verifier::new(Arc::clone(&registry)).with_memory(Arc::clone(&self.0.memory));
        self.0.verifier.send_replace(Arc::new(verifier));
        if let Some(core) = self.0.core.get() {
            // A core that has ended needs no registry.
            let _ = core.put(Input::Registry { registry, items }).await;
        }
    }
}

fn stopping() -> Bilingual {
    Bilingual {
        vietnamese: "Trạm đang dừng. Chưa nhận gì; nhập lại khi trạm chạy.".to_owned(),
        english: "The station is stopping. Nothing was taken in; do it again when it runs.".to_owned(),
    }
}

/// What is new, and what became of everything.
fn sorted(items: Vec<Item>, outcomes: Outcomes) -> (Vec<Item>, TakenIn) {
    let mut taken = TakenIn::default();
    let mut new = Vec::new();
    for (item, (id, outcome)) in items.into_iter().zip(outcomes) {
        match outcome {
            Ok(Taken::New) => {
                taken.new += 1;
                new.push(item);
            }
            Ok(Taken::Known) => taken.known += 1,
            Ok(Taken::Older) => taken.older += 1,
            // Pinned by hand, and part of every registry file.
            Err(_) if item.kind() == ItemKind::Anchor => taken.known += 1,
            Err(error) => {
                let kind = item.kind().word();
                taken
                    .refused
                    .push(Bilingual::new(|language| format!("{kind} {id}: {}", error.text(language))));
            }
        }
    }
    (new, taken)
}
