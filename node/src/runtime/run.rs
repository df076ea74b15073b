//! A station from start to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;

use super::nightly::Nightly;
use super::{Core, Inputs, Links, Station, now, start_core};
use crate::api::{self, ApiSetting};
use crate::backup::restore::{Settled, settle};
use crate::config::{Config, DataFolder};
use crate::keyring::{self, Login, OpenedKey, Unlock, change};
use crate::node::{Node, StepError};
use crate::step::{Effect, Input};
use crate::store::{Inspection, Store, StoreError};
use schema::event::Verifier;
use schema::id::hex;
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

/// Runs a station until it is told to stop (SIGTERM, SIGINT) or its store fails. SIGHUP reads the directory
/// again. `unlock` gives the passphrase of the signing key.
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
    let directory = config.load_directory()?;
    let OpenedKey { key, protection, passphrase } = config.open_key(Some(&directory), unlock)?;
    if change::sweep(&config.signing_key)? {
        tracing::warn!(
            "a change of the signing key's file was broken off: what it left behind was destroyed"
        );
    }
    // Wiped now: nothing opens the key again.
    drop(passphrase);
    config.check_keys(&directory, key.verifying_key().as_bytes(), &login)?;
    let key_file = config.signing_key.display();
    if protection.is_protected() {
        tracing::info!(key = %key_file, %protection, "signing key opened");
    } else {
        tracing::warn!(key = %key_file, "the signing key lies unencrypted; `tram-node key protect` encrypts it");
    }
    // One table of keys for the check and for the links: a country's takes a while to prepare.
    let mut links = Links::new(config.office, login, Arc::clone(&directory));
    check_store(folder, &links.verifier().borrow())
        .context("the self-check at start failed; nothing was changed")?;
    let store = Store::open(&folder.database())?;
    let node =
        Node::open(store, key, Arc::clone(&directory), config.office, keyring::random_bytes()?, now())?;
    let (incarnation, seq) = (node.exchange().incarnation(), node.exchange().seq());
    let version = directory.version();
    tracing::info!(office = %config.office, %incarnation, %seq, directory = version, "station opened");

    // Before the door opens: whoever sees it open may already ask the station to stop.
    let mut terminate = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("failed to listen for SIGHUP")?;

    let Core { inputs, mut ended } = start_core(node, &links).context("failed to start the core thread")?;
    let (stop, stopping) = watch::channel(false);
    let door = open_door(folder, config, &inputs, &links, stopping).await;
    let door = match door {
        Ok(door) => door,
        Err(error) => {
            inputs.stop().await;
            let _ = ended.await;
            return Err(error);
        }
    };
    links.serve(config.home_relays(&directory), &inputs);
    let nightly = Nightly {
        office: config.office,
        database: folder.database(),
        record: folder.full_check(),
        verifier: links.verifier(),
    };
    let _checking = nightly.start().context("failed to start the thread of the daily check")?;

    let failed = loop {
        tokio::select! {
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            _ = hangup.recv() => reload(config, &mut links, &inputs).await,
            result = &mut ended => break Some(result),
        }
    };
    tracing::info!(failed = failed.is_some(), "station stops");
    stop.send_replace(true);
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
        database: folder.database(),
        full_check: folder.full_check(),
        signing_key: config.signing_key.clone(),
        inputs: inputs.clone(),
        verifier: links.verifier(),
        board: links.board(),
        hosts,
        token: token.clone(),
    };
    let door = tokio::spawn(api::serve(listener, api::router(setting), stopping));
    let known = ApiAddress { address, token, pid: std::process::id() };
    let json = serde_json::to_vec_pretty(&known).context("failed to write the API's address as JSON")?;
    keyring::replace_private(&folder.api(), &json)?;
    tracing::info!(%address, "clerk's door open");
    Ok(door)
}

/// A directory that is not accepted changes nothing: the one in use stays in use.
async fn reload(config: &Config, links: &mut Links, inputs: &Inputs) {
    let current = links.verifier().borrow().directory().version();
    match config.load_directory() {
        Ok(directory) if directory.version() > current => {
            tracing::info!(version = directory.version(), "newer directory in use");
            links.use_directory(Arc::clone(&directory));
            let relays = config.home_relays(&directory);
            if inputs.put(Input::Directory(directory)).await.is_ok() {
                links.serve(relays, inputs);
            }
        }
        Ok(directory) => {
            tracing::info!(version = directory.version(), current, "directory is not newer; kept");
        }
        Err(error) => {
            let error = format!("{:#}", anyhow::Error::from(error));
            tracing::error!(error, "new directory not accepted; kept the old one");
        }
    }
}
