//! `tram demo`: a small country of real processes, and the checked statement at its end.
//!
//! One ministry, two provinces, two districts and seven communes, each a `tram-node` of its own; three relays, each with
//! its own `nats-server`. Everything runs on loopback; the clocks are real. At the end the stations are stopped and their
//! stores are audited with [`ops::audit`]: the statement is computed from what is on disk, not from what was seen on the way.

mod acts;
mod cast;
mod life;
mod papers;
mod process;
mod relay;
mod stage;
mod station;
mod verdict;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail, ensure};

use papers::Typist;
use process::Household;
use stage::Stage;
use world::{INTERRUPTED, Programs, World};

/// Stands in a folder that a demo made, so that only such a folder is ever replaced.
const MARKER: &str = "made-by-tram-demo";

#[derive(clap::Args)]
pub(super) struct Options {
    /// Where to leave the data; must not exist yet. Otherwise a folder that the next demo replaces.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Varies letters and their order; printed at the start.
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let programs = programs()?;
    let folder = make_folder(options.keep.as_deref())?;
    let seed = match options.seed {
        Some(seed) => seed,
        None => u64::from_be_bytes(node::keyring::random_bytes()?) >> 32,
    };
    watch_for_interruption()?;
    let mut world = World {
        household: Household::default(),
        stage: Stage::open(),
        folder,
        programs,
        relays: Vec::new(),
        stations: Vec::new(),
        ledger: Vec::new(),
        typist: Typist::new(seed),
        running: BTreeSet::new(),
    };
    world.stage.text(&format!(
        "Trạm demo, seed {seed}. Clocks are real; offices are looked up as of {}, when the country had four tiers.",
        cast::DAY
    ));
    let played = acts::play(&mut world);
    let outcome = played.and_then(|()| verdict::check(&mut world));
    match outcome {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => {
            let folder = world.folder.display().to_string();
            world.stage.text(&format!("\nA PROMISE IS BROKEN. Everything is kept in {folder}"));
            Ok(ExitCode::FAILURE)
        }
        Err(error) => {
            let folder = world.folder.display().to_string();
            world.stage.text(&format!("\nTHE DEMO FAILED: {error:#}\n\nEverything is kept in {folder}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// The programs of the country lie beside this one.
fn programs() -> Result<Programs> {
    let me = std::env::current_exe().context("failed to find the running program")?;
    let folder = me.parent().context("the running program lies in no folder")?;
    let find = |name: &str| {
        let path = folder.join(name);
        if path.is_file() {
            Ok(path)
        } else {
            bail!(
                "`{}` is missing beside this program; build the whole workspace with one profile",
                path.display()
            )
        }
    };
    Ok(Programs { node: find("tram-node")?, relay: find("tram-relay")? })
}

/// The NATS server that `ops/install.sh` has put beside the sources, wherever the demo is started from. `None` leaves the
/// search to the relay.
fn nats_server() -> Option<PathBuf> {
    let me = std::env::current_exe().ok()?;
    me.ancestors().map(|folder| folder.join(".tram/bin/nats-server")).find(|path| path.is_file())
}

fn make_folder(keep: Option<&Path>) -> Result<PathBuf> {
    let folder = match keep {
        Some(folder) => {
            ensure!(!folder.exists(), "`{}` exists already; name a new folder", folder.display());
            folder.to_owned()
        }
        None => {
            let base = PathBuf::from(".tram");
            let folder =
                if base.is_dir() { base.join("demo") } else { std::env::temp_dir().join("tram-demo") };
            if folder.exists() {
                let shown = folder.display();
                ensure!(folder.join(MARKER).exists(), "`{shown}` was not made by a demo; use --keep DIR");
                fs::remove_dir_all(&folder).with_context(|| format!("failed to replace `{shown}`"))?;
            }
            folder
        }
    };
    let attempted = || format!("failed to make `{}`", folder.display());
    fs::create_dir_all(folder.join("logs")).with_context(attempted)?;
    let folder = folder.canonicalize().with_context(attempted)?;
    fs::write(folder.join(MARKER), "The next demo replaces this folder.\n").with_context(attempted)?;
    Ok(folder)
}

/// Ctrl-C and SIGTERM end the demo in order: everybody is stopped on the way out.
fn watch_for_interruption() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("failed to start a thread that listens for signals")?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        let listening =
            signal(SignalKind::interrupt()).and_then(|i| Ok((i, signal(SignalKind::terminate())?)));
        listening.context("failed to listen for Ctrl-C")?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        INTERRUPTED.store(true, Ordering::Relaxed);
    });
    Ok(())
}
