//! A station from start to stop.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::indexing::Indexing;
use super::nightly::Nightly;
use super::sweeping::Sweeping;
use super::{Core, Inputs, Keeper, Links, Station, now, start_core};
use crate::api::{self, ApiSetting};
use crate::backup::restore::{Settled, settle};
use crate::config::{Config, DataFolder, read_bounded};
use crate::content::Contents;
use crate::keyring::{self, KeyringError, Login, OpenedKey, Passphrase, Unlock, change, rotation};
use crate::node::{Node, StepError};
use crate::pdf::{Checker, child};
use crate::people::People;
use crate::sealing::{KeptKeys, Sealing};
use crate::signing::{Desk, keep_polling};
use crate::step::{Effect, Input, Ticket};
use crate::store::{Inspection, Search, Store, StoreError};
use crate::words::with_causes;
use schema::event::{EVENT_BYTES_MAX, Verifier, key_id};
use schema::exchange::{Command, Records as _};
use schema::id::hex;
use schema::registry::{Item, ItemId, ItemKind, Registry};
use schema::time::Millis;

/// Newest events whose chain and signatures are checked at every start.
pub const SELF_CHECK_EVENTS: u32 = 1_000;
/// How long a link may take to end.
const LINK_FAREWELL: Duration = Duration::from_secs(3);
/// How long the core may take to finish its last transaction.
const CORE_FAREWELL: Duration = Duration::from_secs(30);

impl Station for Node {
    type Error = StepError;

    fn step(&mut self, inputs: Vec<Input>, now: Millis) -> Result<Vec<Effect>, StepError> {
        Node::step(self, inputs, now)
    }

    fn wakeup(&self) -> Option<Millis> {
        Node::wakeup(self)
    }
}

/// How the command line reaches the running station: the contents of `api.json`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiAddress {
    /// Where the API listens.
    pub address: std::net::SocketAddr,
    /// What requests must carry. New at every start.
    pub token: String,
    /// The process.
    pub pid: u32,
}

/// Runs a station until it is told to stop (SIGTERM, SIGINT) or its store fails. SIGHUP reads the registry
/// file again. `unlock` gives the passphrase of the signing key.
///
/// # Errors
/// When it cannot start, or when the store failed: whatever was promised before is in the store, nothing is
/// promised after.
pub async fn run(folder: &DataFolder, config: &Config, unlock: &Unlock) -> anyhow::Result<()> {
    let _lock = folder.lock()?;
    match settle(folder)? {
        None => {}
        Some(Settled::Undone) => {
            tracing::warn!("a restore was broken off: the store that was there before is in place again");
        }
        Some(Settled::Finished) => tracing::warn!("a restore was broken off after its last step: it is done"),
    }
    let login = Login::read(&config.login)?;
    let registry = config.load_registry()?;
    let OpenedKey { mut key, protection, passphrase } = config.open_key(Some(&registry), unlock)?;
    if !protection.is_protected() && !config.allow_unencrypted {
        return Err(KeyringError::Unencrypted { path: config.signing_key.clone() }.into());
    }
    let mut next_key = open_next_key(config, passphrase.as_ref());
    if change::sweep(&config.signing_key)? {
        tracing::warn!(
            "a change of the signing key's file was broken off: what it left behind was destroyed"
        );
    }
    // Wiped now: nothing opens a key again.
    drop(passphrase);
    check_store(folder, &Verifier::new(Arc::clone(&registry)))
        .context("the self-check at start failed; nothing was changed")?;
    let store = Store::open(&folder.database())?;
    if let Some(next) = next_key.take_if(|next| signed_newest(&store, next)) {
        tracing::warn!("the change to the next signing key was broken off: it is finished now");
        rotation::put_in_place(&config.signing_key)?;
        key = next;
    }
    config.check_keys(&registry, key.verifying_key().as_bytes(), &login)?;
    let key_file = config.signing_key.display();
    if protection.is_protected() {
        tracing::info!(key = %key_file, %protection, "signing key opened");
    } else {
        tracing::warn!(key = %key_file, "the signing key lies unencrypted; `tram-node key protect` encrypts it");
    }
    let kept_keys = Arc::new(KeptKeys::open_or_make(&config.sealing_keys())?);
    let sealing: Arc<dyn Sealing> = Arc::clone(&kept_keys) as _;
    let (recorded, registry, unrecorded) = with_kept(config, &registry, &store)?;
    let changed_people = changed_people(folder, &store)?;
    let keeper = Keeper::new(config.office, config.registry.clone(), Arc::clone(&registry))
        .with_sealing(Arc::clone(&sealing));
    let contents = Arc::new(Contents::open(&folder.content())?);
    let mut links = Links::new(config.office, login, keeper.clone(), Arc::clone(&contents));
    let (office, seed) = (config.office, keyring::random_bytes()?);
    let node = Node::open(store, key, recorded, office, seed, now())?;
    let node = node.with_next_key(next_key).with_sealing(sealing, config.sealing_required);
    let node = node.with_largest_attachment(config.largest_attachment);
    let mut node = node.with_rules(config.rules.clone());
    if folder.founding().exists() {
        let founding = read_bounded(&folder.founding(), EVENT_BYTES_MAX as u64)?;
        if node.found(&founding, now())? {
            tracing::info!("the journal begins with the key under which others seal for this office");
        }
    }
    let (incarnation, seq) = (node.exchange().incarnation(), node.exchange().seq());
    let version = registry.directory().version();
    tracing::info!(%office, %incarnation, %seq, directory = version, "station opened");

    let desk =
        Desk::open(&folder.database(), &config.signers, now()).context("failed to open the signing desk")?;
    let desk = Arc::new(desk);
    let _polling = keep_polling(&desk).context("failed to start the thread of the signing desk")?;

    // Before the door opens: whoever sees it open may already ask the station to stop.
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("failed to listen for SIGHUP")?;

    let chores = links.take_chores();
    let Core { inputs, mut ended } = start_core(node, &links).context("failed to start the core thread")?;
    keeper.tell(inputs.clone());
    // Also without anything new: the next signing key may be certified by now.
    inputs.put(Input::Registry { registry: Arc::clone(&registry), items: unrecorded }).await?;
    for command in changed_people {
        // What is refused now, or does not fit on the disk, is tried again when a person asks.
        inputs.put(Input::Command { ticket: Ticket(0), command }).await?;
    }
    if let Some(chores) = chores {
        tokio::spawn(do_chores(chores, keeper.clone(), config.signing_key.clone()));
    }
    let (stop, stopping) = watch::channel(false);
    let search = Arc::new(Search::new(folder.search()));
    let door = open_door(
        folder,
        config,
        &inputs,
        &links,
        &keeper,
        (&desk, &search, &contents, &kept_keys),
        stopping,
    )
    .await;
    let door = match door {
        Ok(door) => door,
        Err(error) => {
            inputs.stop().await;
            let _ = ended.await;
            return Err(error);
        }
    };
    links.serve(config.home_relays(registry.directory()), &inputs);
    let mut renewed = keeper.subscribe();
    let nightly = Nightly {
        office: config.office,
        database: folder.database(),
        contents: contents.whole_folder(),
        record: folder.full_check(),
        verifier: keeper.subscribe(),
    };
    let _checking = nightly.start().context("failed to start the thread of the daily check")?;
    let database = folder.database();
    let sweeping = Sweeping { contents: Arc::clone(&contents), database, inputs: inputs.downgrade() };
    let sweeping = tokio::spawn(sweeping.run());
    let indexing = Indexing { database: folder.database(), search, verifier: keeper.subscribe() };
    let _indexing = indexing.start().context("failed to start the thread of the search index")?;

    let failed = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            _ = hangup.recv() => reload(config, &keeper).await,
            _ = renewed.changed() => {
                let verifier = Arc::clone(&renewed.borrow_and_update());
                links.serve(config.home_relays(verifier.directory()), &inputs);
            }
            result = &mut ended => break Some(result),
        }
    };
    tracing::info!(failed = failed.is_some(), "station stops");
    stop.send_replace(true);
    sweeping.abort();
    let _ = door.await;
    links.end(LINK_FAREWELL).await;
    let result = match failed {
        Some(result) => result,
        None => {
            inputs.stop().await;
            timeout(CORE_FAREWELL, ended).await.context("the last transaction did not end in time")?
        }
    };
    // The next start writes a new one; a crash leaves it behind, and the command line then says that nobody
    // listens.
    let _ = std::fs::remove_file(folder.api());
    result.context("the core thread panicked")?.context("the station stopped because a step failed")
}

/// What the list of people says and the chain does not: it was changed while the station stood still. A list that cannot be read
/// is told, and shut to people, not to programs.
fn changed_people(folder: &DataFolder, store: &Store) -> Result<Vec<Command>, StoreError> {
    match People::read(folder) {
        Ok(people) => Ok(people.unrecorded(&store.people()?)),
        Err(error) => {
            tracing::error!(error = with_causes(&error), "the list of people cannot be read");
            Ok(Vec::new())
        }
    }
}

/// Looks at the store before anything is opened for writing: what is damaged stays as it is.
fn check_store(folder: &DataFolder, verifier: &Verifier) -> Result<(), StoreError> {
    let path = folder.database();
    if !path.exists() {
        return Ok(());
    }
    match Inspection::open(&path) {
        // A first start that was broken off before it made the tables.
        Err(StoreError::Foreign { version: 0, .. }) => Ok(()),
        opened => opened?.self_check(SELF_CHECK_EVENTS, verifier),
    }
}

async fn open_door(
    folder: &DataFolder,
    config: &Config,
    inputs: &Inputs,
    links: &Links,
    keeper: &Keeper,
    (desk, search, contents, sealing): (&Arc<Desk>, &Arc<Search>, &Arc<Contents>, &Arc<KeptKeys>),
    stopping: watch::Receiver<bool>,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let listen = config.api.listen;
    let listener = TcpListener::bind(listen).await;
    let listener = listener.with_context(|| format!("failed to listen on `{listen}`; is the port taken?"))?;
    let address = listener.local_addr().context("failed to learn the API's own address")?;
    let token = hex(&keyring::random_bytes::<32>()?);
    let port = address.port();
    let mut hosts = vec![address.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}")];
    hosts.extend(config.api.host_names.iter().map(|name| format!("{name}:{port}")));
    let setting = ApiSetting {
        office: config.office,
        folder: folder.clone(),
        signing_key: config.signing_key.clone(),
        calendar: config.calendar.clone(),
        volumes: config.volumes.clone(),
        inputs: inputs.clone(),
        keeper: keeper.clone(),
        board: links.board(),
        hosts,
        machine_roles: config.api.machine_roles.clone(),
        token: token.clone(),
        desk: Arc::clone(desk),
        search: Arc::clone(search),
        contents: Arc::clone(contents),
        sealing: Arc::clone(sealing),
        pdf: Checker::new(child::THIS_PROGRAM.into(), config.pdf_trust.clone()),
    };
    let door = tokio::spawn(api::serve(listener, api::router(setting), stopping));
    let known = ApiAddress { address, token, pid: std::process::id() };
    let json = serde_json::to_vec_pretty(&known).context("failed to write the API's address as JSON")?;
    keyring::replace_private(&folder.api(), &json)?;
    tracing::info!(%address, "clerk's door open");
    Ok(door)
}

/// The key that waits for its certificate. One that cannot be opened is told and left waiting.
fn open_next_key(config: &Config, passphrase: Option<&Passphrase>) -> Option<SigningKey> {
    match rotation::open_next(&config.signing_key, passphrase) {
        Ok(next) => next,
        Err(error) => {
            let error = with_causes(&error);
            tracing::error!(
                error,
                "the next signing key cannot be opened; the station goes on with the present one"
            );
            None
        }
    }
}

/// Whether the newest event of the journal is signed with this key.
fn signed_newest(store: &Store, key: &SigningKey) -> bool {
    let newest = store.newest_own().ok().flatten();
    newest.is_some_and(|newest| newest.key == key_id(key.verifying_key().as_bytes()))
}

/// What the store had recorded, the registry of the file together with that, and what is new in it: the core takes that in
/// as if it came now, so that a crash in between leaves nothing unjudged. Of each authority the file holds the newest list
/// only, the store every one that came: what an earlier one revoked counts still.
fn with_kept(
    config: &Config,
    registry: &Arc<Registry>,
    store: &Store,
) -> anyhow::Result<(Arc<Registry>, Arc<Registry>, Vec<Item>)> {
    let kept = store.kept_items()?;
    let known: BTreeSet<ItemId> = kept.iter().map(Item::id).collect();
    let first = kept.is_empty();
    let together = config.open_registry(registry.all_items().cloned().chain(kept.clone()).collect())?;
    let recorded = |item: &&Item| match item.kind() {
        ItemKind::Directory => !first,
        _ => known.contains(&item.id()),
    };
    let unrecorded: Vec<Item> = together.items().filter(|item| !recorded(item)).cloned().collect();
    if unrecorded.is_empty() {
        return Ok((Arc::clone(&together), together, unrecorded));
    }
    let base = |item: &&Item| matches!(item.kind(), ItemKind::Anchor | ItemKind::Directory);
    let base: Vec<Item> = registry.all_items().filter(base).cloned().chain(kept).collect();
    Ok((config.open_registry(base)?, together, unrecorded))
}

/// What the core wants done about its next signing key.
async fn do_chores(mut chores: mpsc::Receiver<Effect>, keeper: Keeper, signing_key: PathBuf) {
    while let Some(chore) = chores.recv().await {
        match chore {
            Effect::Announce { item } => keeper.announce(item).await,
            Effect::KeyChanged { .. } => {
                let path = signing_key.clone();
                let placed = tokio::task::spawn_blocking(move || rotation::put_in_place(&path)).await;
                match placed {
                    Ok(Ok(_)) => tracing::info!("the next signing key has taken its place"),
                    Ok(Err(error)) => {
                        let error = with_causes(&error);
                        tracing::error!(error, "the key files were not exchanged; the next start does it");
                    }
                    Err(error) => tracing::error!(%error, "exchanging the key files panicked"),
                }
            }
            _ => {}
        }
    }
}

/// Items that are not accepted change nothing.
async fn reload(config: &Config, keeper: &Keeper) {
    match config.read_items() {
        Ok(items) => {
            let taken = keeper.take_in(items, "registry file").await;
            tracing::info!(
                new = taken.new,
                known = taken.known,
                refused = taken.refused.len(),
                "registry file read"
            );
        }
        Err(error) => {
            let error = with_causes(&error);
            tracing::error!(error, "the registry file cannot be read; the registry in use stays in use");
        }
    }
}
