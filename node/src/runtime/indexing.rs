//! Keeps the search index up to date while nobody searches, so that whoever does waits for little.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use schema::event::Verifier;
use tokio::sync::watch;

use super::nightly::NICE;
use crate::store::{Reader, Search, StoreError};
use crate::words::with_causes;

/// How often the thread looks whether there is something new.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long it waits after a failure: a full disk is not emptied by trying.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);

/// What is indexed.
pub(super) struct Indexing {
    pub(super) database: PathBuf,
    pub(super) search: Arc<Search>,
    pub(super) verifier: watch::Receiver<Arc<Verifier>>,
}

impl Indexing {
    /// Starts the thread; it ends when what is returned is dropped.
    pub(super) fn start(self) -> std::io::Result<Sender<()>> {
        let (alive, stopped) = channel();
        thread::Builder::new().name("tram-search".to_owned()).spawn(move || self.run(&stopped))?;
        Ok(alive)
    }

    fn run(&self, stopped: &Receiver<()>) {
        // On Linux this is the priority of the thread, not of the station. Refused is no reason not to go on.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "the search index is kept with the station's priority");
        }
        let mut pause = LOOK_EVERY;
        while matches!(stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
            pause = match self.catch_up(stopped) {
                Ok(()) => LOOK_EVERY,
                Err(error) => {
                    tracing::warn!(
                        error = with_causes(&error),
                        "the search index is behind; it is tried again"
                    );
                    PAUSE_AFTER_FAILURE
                }
            };
        }
    }

    /// Reads portion by portion; between two it rests as long as one took, so that it has at most half of one core and
    /// somebody who searches comes in between.
    fn catch_up(&self, stopped: &Receiver<()>) -> Result<(), StoreError> {
        // A connection of its own each time: one that is kept would hold memory for nothing.
        let reader = Reader::open(&self.database)?;
        loop {
            let directory = Arc::clone(self.verifier.borrow().directory());
            let since = Instant::now();
            let more = self
                .search
                .advance(&reader, &|office, day| directory.name_at(office, day.0).map(str::to_owned))?;
            let stops = !matches!(stopped.recv_timeout(since.elapsed()), Err(RecvTimeoutError::Timeout));
            if !more || stops {
                return Ok(());
            }
        }
    }
}
