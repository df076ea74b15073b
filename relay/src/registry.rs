//! The registry of a running relay: read from the registrar's file, from peers and from offices; checked, kept, and given
//! to whoever asks.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_nats::Client;
use async_nats::client::Request;
use bytes::Bytes;
use schema::event::{Verifier, VerifyMemory};
use schema::id::{OfficeId, RegionId};
use schema::registry::talk::{
    Bringing, Catching, RegistryAnswer, RegistryReply, RegistryRequest, encode_talk, parse_talk,
};
use schema::registry::{
    Item, ItemFormatError, ItemKind, REGISTRY_BYTES_MAX, Registry, RegistryError, Taken, decode_items,
    encode_items,
};
use schema::wire;
use tokio::sync::{Mutex as Turn, watch};

use crate::config::Config;
use crate::pusher::Peers;
use crate::server;
use crate::status::Book;

/// How often the registrar's file is looked at.
const FILE_LOOK: Duration = Duration::from_secs(2);
/// How often each peer is asked whether it holds anything newer.
const PEER_ASK: Duration = Duration::from_secs(20);
/// How long a peer may take to answer.
const PEER_ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Most questions of one round.
const QUESTIONS_MAX: usize = 100_000;
/// Items that one office may bring in a minute; more than any honest one has.
const BROUGHT_PER_MINUTE_MAX: u32 = 512;

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("the registry file `{path}` cannot be read; copy the registrar's `registry.cbor` there")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is none.
    #[error("the file `{path}` is not accepted as a registry")]
    Format {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ItemFormatError,
    },
    /// It lacks what everything rests on.
    #[error(
        "the registry file `{path}` does not hold what the configuration pins (`root_key`, `trust_anchors`)"
    )]
    Registry {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        source: Box<RegistryError>,
    },
}

/// A registry and the judge that goes by it.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) registry: Arc<Registry>,
    pub(crate) verifier: Arc<Verifier>,
}

impl Known {
    fn new(registry: Arc<Registry>, memory: &Arc<VerifyMemory>) -> Self {
        let verifier = Verifier::new(Arc::clone(&registry)).with_memory(Arc::clone(memory));
        Self { registry, verifier: Arc::new(verifier) }
    }
}

/// Reads a registry file; bounds it first. Nothing is proven about its items yet.
///
/// # Errors
/// When it cannot be read, or is none.
pub fn read_items(path: &Path) -> Result<Vec<Item>, LoadError> {
    let read = |source| LoadError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than the largest file, so that a larger one is refused for its size and not for its missing end.
    let most = REGISTRY_BYTES_MAX as u64 + 1;
    File::open(path).map_err(read)?.take(most).read_to_end(&mut bytes).map_err(read)?;
    decode_items(&bytes).map_err(|source| LoadError::Format { path: path.to_owned(), source })
}

/// Reads the registrar's file, and what was kept of other origin, and checks everything in it.
///
/// # Errors
/// When the registrar's file cannot be read, or lacks a pinned root or the directory.
pub fn load(config: &Config) -> Result<Registry, LoadError> {
    let path = config.registry_path();
    let brought = read_items(&path)?;
    let mut items = Vec::new();
    match read_items(&config.held_registry_path()) {
        // First, for what was seen first stays the first.
        Ok(held) => items = held,
        Err(LoadError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
        // A relay is a cache: what it lost, others bring again.
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "what was kept of the registry is lost");
        }
    }
    items.extend(brought);
    let (registry, outcomes) = Registry::open(config.roots(), items)
        .map_err(|source| LoadError::Registry { path, source: Box::new(source) })?;
    for (item, outcome) in outcomes {
        if let Err(error) = outcome {
            tracing::warn!(%item, error = &error as &dyn std::error::Error, "an item of the registry is left out");
        }
    }
    Ok(registry)
}

/// Keeps the registry of a running relay.
pub(crate) struct Keeper {
    config: Arc<Config>,
    known: watch::Sender<Known>,
    memory: Arc<VerifyMemory>,
    /// Counts up when the server's configuration was written anew.
    reload: watch::Sender<u64>,
    login: String,
    book: Arc<Book>,
    /// Taken while something is taken in: each sees what the one before made.
    turn: Turn<()>,
    brought: Mutex<BTreeMap<OfficeId, (u64, u32)>>,
}

impl Keeper {
    pub(crate) fn new(
        config: Arc<Config>,
        registry: Registry,
        reload: watch::Sender<u64>,
        login: String,
        book: Arc<Book>,
    ) -> Self {
        let memory = Arc::new(VerifyMemory::default());
        let known = watch::Sender::new(Known::new(Arc::new(registry), &memory));
        let (turn, brought) = (Turn::new(()), Mutex::default());
        Self { config, known, memory, reload, login, book, turn, brought }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.known.borrow().registry)
    }

    /// Takes items in; the reason for each that is refused. First the server's logins, then everybody else.
    pub(crate) async fn take_in(&self, items: Vec<Item>, source: &str) -> Vec<String> {
        let _turn = self.turn.lock().await;
        let (present, path) = (self.registry(), self.config.held_registry_path());
        let merging = tokio::task::spawn_blocking(move || {
            let (next, outcomes) = present.with(items);
            let mut new = 0;
            let mut refused = Vec::new();
            for (id, outcome) in outcomes {
                match outcome {
                    Ok(Taken::New) => new += 1,
                    Ok(Taken::Known | Taken::Older) | Err(schema::registry::ItemError::Anchor) => {}
                    Err(error) => refused.push(format!("item {id}: {}", with_causes(&error))),
                }
            }
            let kept = if new > 0 { replace(&path, &encode_items(next.all_items())) } else { Ok(()) };
            (next, new, refused, kept)
        });
        let Ok((next, new, refused, kept)) = merging.await else {
            return vec!["the registry could not be looked at".to_owned()];
        };
        for reason in &refused {
            tracing::info!(source, reason, "an item of the registry is not accepted");
        }
        if let Err(error) = kept {
            self.book.trouble(format!("the registry cannot be kept: {error}; it is held in memory only"));
        }
        if new > 0 {
            self.use_registry(Arc::new(next), new, source);
        }
        refused
    }

    fn use_registry(&self, next: Arc<Registry>, new: usize, source: &str) {
        let changed = next.directory().version() != self.registry().directory().version();
        if changed && self.config.server_url.is_none() {
            let text = server::configuration(&self.config, next.directory(), &self.login);
            match server::write_configuration(&self.config, &text) {
                Ok(true) => self.reload.send_modify(|count| *count += 1),
                Ok(false) => {}
                Err(error) => self.book.trouble(error.to_string()),
            }
        }
        tracing::info!(source, items = new, directory = next.directory().version(), "newer registry in use");
        self.known.send_replace(Known::new(next, &self.memory));
    }

    /// Answers an office or a peer. Offices bring what is small; everything proves itself.
    pub(crate) async fn answer(&self, from: &Asker, request: &[u8]) -> RegistryReply {
        let request: RegistryRequest = match parse_talk(request) {
            Ok(request) => request,
            Err(error) => {
                return RegistryReply::Refused { reason: format!("the request cannot be read: {error}") };
            }
        };
        let registry = self.registry();
        let RegistryRequest::Bring { kind, bytes } = request else {
            let answer = registry.answer(&request);
            return answer.unwrap_or(RegistryReply::Refused { reason: "not a question".to_owned() });
        };
        if matches!(kind, ItemKind::Anchor | ItemKind::Directory) {
            return RegistryReply::Refused { reason: format!("a {} is not taken this way", kind.word()) };
        }
        let item = match Item::new(kind, Vec::from(bytes)) {
            Ok(item) => item,
            Err(error) => return RegistryReply::Refused { reason: error.to_string() },
        };
        if registry.item(&item.id()).is_some() {
            return RegistryReply::Taken;
        }
        if let Asker::Office(office) = from
            && !self.may_bring(office)
        {
            return RegistryReply::Refused {
                reason: "too many items in this minute; the rest next time".to_owned(),
            };
        }
        match self.take_in(vec![item], &from.to_string()).await.pop() {
            Some(reason) => RegistryReply::Refused { reason },
            None => RegistryReply::Taken,
        }
    }

    fn may_bring(&self, office: &OfficeId) -> bool {
        let minute =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60);
        let mut brought = self.brought.lock().unwrap_or_else(PoisonError::into_inner);
        // Offices have a login each, so the map has as many entries as the directory at most.
        let (at, count) = brought.entry(*office).or_insert((minute, 0));
        if *at != minute {
            (*at, *count) = (minute, 0);
        }
        *count += 1;
        *count <= BROUGHT_PER_MINUTE_MAX
    }
}

/// Who asks about the registry.
pub(crate) enum Asker {
    Office(OfficeId),
    Peer(RegionId),
}

impl std::fmt::Display for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Office(office) => write!(f, "office {office}"),
            Self::Peer(region) => write!(f, "relay {region}"),
        }
    }
}

/// Takes in the registrar's file whenever it changes.
pub(crate) async fn watch_file(keeper: Arc<Keeper>) {
    let path = keeper.config.registry_path();
    let mut read = changed_at(&path);
    loop {
        tokio::time::sleep(FILE_LOOK).await;
        let changed = changed_at(&path);
        if changed == read || changed.is_none() {
            continue;
        }
        read = changed;
        let path = path.clone();
        match tokio::task::spawn_blocking(move || read_items(&path)).await {
            Ok(Ok(items)) => {
                for refused in keeper.take_in(items, "the registrar's file").await {
                    keeper.book.trouble(format!("in the registrar's file: {refused}"));
                }
            }
            Ok(Err(error)) => {
                let error = with_causes(&error);
                keeper.book.trouble(format!("{error}; the former registry stays in force"));
            }
            Err(error) => keeper.book.trouble(error.to_string()),
        }
    }
}

/// Brings every peer that is in reach and this relay up to date with each other, again and again.
pub(crate) async fn keep_up_with_peers(keeper: Arc<Keeper>, peers: Arc<Peers>) {
    let mut links = peers.links();
    let mut known = keeper.subscribe();
    loop {
        let up = links.borrow_and_update().clone();
        known.mark_unchanged();
        for region in up {
            let Some(client) = peers.client(&region) else { continue };
            if let Err(found) = catch_up(&keeper, &client, &region).await {
                tracing::debug!(%region, found, "the registry was not compared with the peer's");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PEER_ASK) => {}
            changed = known.changed() => if changed.is_err() { return },
            changed = links.changed() => if changed.is_err() { return },
        }
    }
}

async fn catch_up(keeper: &Keeper, client: &Client, region: &RegionId) -> Result<(), String> {
    let before = keeper.registry();
    let subject = wire::peer_registry_request(&keeper.config.region);
    let ask = |request: RegistryRequest| {
        let subject = subject.clone();
        async move {
            let payload = Bytes::from(encode_talk(&request));
            let request = Request::new().payload(payload).timeout(Some(PEER_ANSWER_WAIT));
            let answer = client.send_request(subject, request).await.map_err(|error| error.to_string())?;
            let answer: RegistryAnswer = parse_talk(&answer.payload).map_err(|error| error.to_string())?;
            Ok::<_, String>(answer.reply)
        }
    };
    let mut catching = Catching::new(&before);
    let mut heard = Ok(());
    for _ in 0..QUESTIONS_MAX {
        let Some(question) = catching.next() else { break };
        let reply = ask(question).await;
        heard = reply.and_then(|reply| catching.heard(reply, &before).map_err(|error| error.to_string()));
        if heard.is_err() {
            break;
        }
    }
    // Also what came before the line broke: over a bad one a large registry would never be whole otherwise.
    let (items, theirs) = catching.finish();
    if !items.is_empty() {
        keeper.take_in(items, region.as_str()).await;
    }
    heard?;
    let mut bringing =
        Bringing::new(theirs.map(|theirs| theirs.to_bring(&keeper.registry())).unwrap_or_default());
    while let Some(request) = bringing.next() {
        bringing.heard(ask(request).await?).map_err(|error| error.to_string())?;
    }
    for reason in bringing.refused() {
        tracing::info!(%region, reason, "the peer does not take an item of the registry");
    }
    Ok(())
}

fn changed_at(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

/// Whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}
