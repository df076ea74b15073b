//! Starts the parts of a relay and stops them together.

use std::fs;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use schema::id::hex;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::content::{Content, ContentError};
use crate::door::{self, Door};
use crate::keyring::{self, KeyringError};
use crate::link::{ANSWER_WAIT, Login, connect};
use crate::monitor;
use crate::pusher::{self, Peers, Pushing};
use crate::registry::{self, Keeper, LoadError};
use crate::server::{self, ServerError};
use crate::serving::{self, Serving};
use crate::status::Book;
use crate::step::Relay;
use crate::worker::Worker;

/// How often the server is asked whether it syncs.
const SYNC_LOOK: Duration = Duration::from_secs(60);
/// Packs of courier files that wait for the core.
const COURIER_PACKS_MAX: usize = 4;
/// Messages buffered for one subscription of the relay at its own server.
const BUFFERED_MAX: usize = 1_024;
/// Requests about attachments buffered, each with up to a chunk.
const BUFFERED_CHUNKS_MAX: usize = 128;
/// How long the parts may take to stop.
const STOP_WAIT: Duration = Duration::from_secs(30);

/// Why a relay does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No usable registry.
    #[error(transparent)]
    Registry(#[from] LoadError),
    /// The configured region is not in it.
    #[error("region `{region}` is not in the directory, version {version}")]
    Region {
        /// The configured region.
        region: String,
        /// The directory's version.
        version: u64,
    },
    /// No login.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// No server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// No content store.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The data folder cannot be made.
    #[error("the data folder `{path}` cannot be made")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The loopback door cannot be opened.
    #[error("cannot listen at `{address}` for status requests; is another relay running?")]
    Door {
        /// The configured address.
        address: std::net::SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address of the server is not usable.
    #[error("cannot use `{url}` as the address of the NATS server")]
    Url {
        /// The address.
        url: String,
        /// Why.
        source: async_nats::ConnectError,
    },
    /// A part ended that never should.
    #[error("a part of the relay ended unexpectedly: {found}")]
    Part {
        /// Which, and how.
        found: String,
    },
}

/// Runs a relay until `shutdown` is ready.
///
/// # Errors
/// When it cannot start, or a part of it fails for good. A server that is down or a peer that is away is no
/// such reason: the relay waits for them.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    let config = Arc::new(config);
    fs::create_dir_all(&config.data_dir)
        .map_err(|source| RunError::Folder { path: config.data_dir.clone(), source })?;
    let book = Arc::new(Book::new(config.region.to_string()));
    let key = keyring::login(&config.key_path())?;
    let seed = key
        .seed()
        .map_err(|error| KeyringError::Seed { path: config.key_path(), found: error.to_string() })?;
    let stamp_key = keyring::stamp_key(&config.stamp_key_path())?;
    let registry = registry::load(&config)?;
    check_region(&config, registry.directory(), &key.public_key(), &stamp_key)?;
    let reload = watch::Sender::new(0_u64);
    let reloads = reload.subscribe();
    let keeper =
        Arc::new(Keeper::new(Arc::clone(&config), registry, reload, key.public_key(), Arc::clone(&book)));
    let content = Arc::new(Content::open(&config.data_dir.join("content"), config.limits.content())?);
    book.content(content.size());
    let listener = tokio::net::TcpListener::bind(config.status)
        .await
        .map_err(|source| RunError::Door { address: config.status, source })?;
    let token = keyring::token(&config.token_path())?;

    let (stop, stop_server) = (watch::Sender::new(false), watch::Sender::new(false));
    let mut parts = JoinSet::new();
    let mut supervisor = JoinSet::new();

    if config.server_url.is_none() {
        let program = server::find_program(config.nats_server.as_deref())?;
        let version = server::check_version(&program).await?;
        tracing::info!(program = %program.display(), %version, "supervising the NATS server");
        let text = server::configuration(&config, keeper.registry().directory(), &key.public_key());
        server::write_configuration(&config, &text)?;
        let supervised = server::supervise(
            Arc::clone(&config),
            program,
            reloads,
            stop_server.subscribe(),
            Arc::clone(&book),
        );
        supervisor.spawn(named("server", supervised));
    }

    let trouble = |book: &Arc<Book>| -> Arc<dyn Fn(String) + Send + Sync> {
        let book = Arc::clone(book);
        Arc::new(move |text| book.trouble(text))
    };
    let url = config.own_url();
    let login = |name, inbox_prefix, buffered_max| Login {
        url: &url,
        seed: &seed,
        name,
        inbox_prefix,
        buffered_max,
        answer_wait: ANSWER_WAIT,
    };
    let failed = |source| RunError::Url { url: url.clone(), source };
    let link = connect(login("relay", "_INBOX_relay", BUFFERED_MAX), trouble(&book)).await.map_err(failed)?;
    // A flood of attachments must not stand in the way of events.
    let content_link = connect(login("relay content", "_INBOX_content", BUFFERED_CHUNKS_MAX), trouble(&book))
        .await
        .map_err(failed)?;
    let push_link =
        connect(login("relay push", "_INBOX_push", BUFFERED_MAX), trouble(&book)).await.map_err(failed)?;

    let peers = Arc::new(Peers::new(Arc::clone(&book)));
    let pushing = Arc::new(Pushing {
        config: Arc::clone(&config),
        seed: seed.clone(),
        home: push_link.context.clone(),
        peers: Arc::clone(&peers),
        book: Arc::clone(&book),
    });
    parts.spawn(named("pusher", pusher::run(pushing, keeper.subscribe(), stop.subscribe())));

    let serving = Arc::new(Serving {
        me: config.region.clone(),
        content: Arc::clone(&content),
        peers: Arc::clone(&peers),
        keeper: Arc::clone(&keeper),
        book: Arc::clone(&book),
    });
    parts.spawn(named(
        "content",
        stoppable(stop.subscribe(), async move {
            if let Err(error) = serving::serve(serving, content_link.client).await {
                tracing::error!(%error, "requests about attachments are not answered");
            }
        }),
    ));

    let mut entropy = [0; 32];
    getrandom::fill(&mut entropy).map_err(KeyringError::Random)?;
    let (courier, courier_packs) = mpsc::channel(COURIER_PACKS_MAX);
    let worker = Worker {
        core: Relay::new(config.region.clone(), keeper.registry(), config.limits.core(), stamp_key, entropy),
        config: Arc::clone(&config),
        link,
        known: keeper.subscribe(),
        links: peers.links(),
        courier: courier_packs,
        stop: stop.subscribe(),
        book: Arc::clone(&book),
    };
    parts.spawn(named("admission", worker.run()));

    let door = Arc::new(Door { book: Arc::clone(&book), content, courier, token });
    parts.spawn(named(
        "door",
        stoppable(stop.subscribe(), async move {
            if let Err(error) = door::serve(door, listener).await {
                tracing::error!(%error, "status requests are not answered");
            }
        }),
    ));
    parts.spawn(named(
        "sync",
        stoppable(stop.subscribe(), watch_sync(Arc::clone(&config), Arc::clone(&book))),
    ));
    parts.spawn(named("registry", stoppable(stop.subscribe(), registry::watch_file(Arc::clone(&keeper)))));
    let with_peers = registry::keep_up_with_peers(keeper, peers);
    parts.spawn(named("registry of peers", stoppable(stop.subscribe(), with_peers)));

    let outcome = tokio::select! {
        () = shutdown => Ok(()),
        ended = parts.join_next() => Err(RunError::Part { found: ended_as(ended) }),
        Some(ended) = supervisor.join_next() => Err(RunError::Part { found: ended_as(Some(ended)) }),
    };
    tracing::info!("stopping");
    // The server last: the others still have to say good-bye to it.
    for (stop, parts) in [(&stop, &mut parts), (&stop_server, &mut supervisor)] {
        stop.send_replace(true);
        let all = async { while parts.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WAIT, all).await.is_err() {
            tracing::warn!("some parts did not stop in time");
        }
    }
    outcome
}

async fn named(name: &'static str, part: impl Future<Output = ()>) -> &'static str {
    part.await;
    name
}

async fn stoppable(mut stop: watch::Receiver<bool>, part: impl Future<Output = ()>) {
    tokio::select! {
        () = part => {}
        () = stopped(&mut stop) => {}
    }
}

/// Waits until the relay is to stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Nobody left who could say so means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn ended_as(ended: Option<Result<&'static str, tokio::task::JoinError>>) -> String {
    match ended {
        Some(Ok(name)) => name.to_owned(),
        Some(Err(error)) => error.to_string(),
        None => "all".to_owned(),
    }
}

fn check_region(
    config: &Config,
    directory: &schema::directory::Directory,
    login: &str,
    stamp_key: &SigningKey,
) -> Result<(), RunError> {
    let Some(region) = directory.region(&config.region) else {
        return Err(RunError::Region { region: config.region.to_string(), version: directory.version() });
    };
    if region.login.as_deref() != Some(login) {
        tracing::error!(
            login,
            listed = region.login.as_deref().unwrap_or("none"),
            "the directory lists another login for this region: peers will refuse what it pushes"
        );
    }
    if region.stamp_key != Some(stamp_key.verifying_key().to_bytes()) {
        tracing::error!(
            key = hex(stamp_key.verifying_key().as_bytes()),
            "the directory lists another stamp key for this region: what this relay says about time counts for nothing"
        );
    }
    Ok(())
}

async fn watch_sync(config: Arc<Config>, book: Arc<Book>) {
    let mut warned = false;
    loop {
        let found = match config.own_monitor_url() {
            Some(url) => monitor::syncs_always(&url).await,
            None => None,
        };
        book.change(|status| status.sync_always = found);
        let pause = match found {
            Some(true) => SYNC_LOOK,
            // The supervised server may not be up yet.
            None if config.server_url.is_none() => Duration::from_secs(2),
            _ => {
                if !warned {
                    book.trouble(
                        "the NATS server does not provably sync before it acknowledges: a power cut may lose \
                         what it took; set `sync_interval: always` there, and `monitor_url` here"
                            .to_owned(),
                    );
                    warned = true;
                }
                SYNC_LOOK
            }
        };
        tokio::time::sleep(pause).await;
    }
}
