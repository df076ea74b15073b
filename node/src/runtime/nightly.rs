//! The full check of a running station's store, once a day; see [`crate::verify`].

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use schema::event::Verifier;
use schema::id::OfficeId;
use schema::time::Millis;
use tokio::sync::watch;

use super::now;
use crate::store::Inspection;
use crate::verify::{Counted, FullCheck, full_check, is_due};

/// How often the thread looks whether a check is due.
const LOOK_EVERY: Duration = Duration::from_secs(5 * 60);
/// Longest pause between two pieces of work; a pause is as long as the work before it, so that the check
/// takes at most half of one core and of the disk.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// The lowest priority a thread can have.
pub(super) const NICE: i32 = 19;

/// What is checked, and where the outcome goes.
pub(super) struct Nightly {
    pub(super) office: OfficeId,
    pub(super) database: PathBuf,
    pub(super) contents: PathBuf,
    pub(super) record: PathBuf,
    pub(super) verifier: watch::Receiver<Arc<Verifier>>,
}

impl Nightly {
    /// Starts the thread; it ends when what is returned is dropped. Nobody waits for it: it only reads.
    pub(super) fn start(self) -> std::io::Result<Sender<()>> {
        let (alive, stopped) = channel();
        thread::Builder::new().name("tram-verify".to_owned()).spawn(move || self.run(&stopped))?;
        Ok(alive)
    }

    fn run(&self, stopped: &Receiver<()>) {
        // On Linux this is the priority of the thread, not of the station. Refused is no reason not to check.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "the full check runs with the station's priority");
        }
        let started = now();
        let mut last = match FullCheck::read(&self.record) {
            Ok(record) => record.map(|record| record.at),
            Err(error) => {
                tracing::warn!(error = %error, "the outcome of the last full check is not known");
                None
            }
        };
        while matches!(stopped.recv_timeout(LOOK_EVERY), Err(RecvTimeoutError::Timeout)) {
            // Somebody may have asked for one meanwhile.
            if let Ok(Some(record)) = FullCheck::read(&self.record) {
                last = last.max(Some(record.at));
            }
            if is_due(last, started, now()) {
                let Some(at) = self.check(stopped) else { return };
                last = Some(at);
            }
        }
    }

    /// One check; `None` when the station stopped meanwhile.
    fn check(&self, stopped: &Receiver<()>) -> Option<Millis> {
        tracing::info!("full check of the store starts");
        let started = Instant::now();
        let mut since = started;
        let mut pause = |_| {
            let wait = since.elapsed().min(PAUSE_MAX);
            let stopped = !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout));
            since = Instant::now();
            if stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let verifier = Arc::clone(&self.verifier.borrow());
        let found = Inspection::open(&self.database)
            .map(|store| full_check(&store, &self.contents, self.office, &verifier, &mut pause));
        let (counted, broken) = match found {
            Ok(found) => found?,
            Err(error) if error.is_damage() => (Counted::default(), Some(error.to_string())),
            Err(error) => {
                tracing::warn!(%error, "the full check could not begin; it is tried again tomorrow");
                return Some(now());
            }
        };
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (events, attachments) = (counted.events, counted.attachments);
        match &broken {
            None => tracing::info!(events, attachments, took_ms, "full check: the store is sound"),
            Some(broken) => tracing::error!(
                broken,
                "full check: the store is DAMAGED; stop the station, keep the file, restore from a backup"
            ),
        }
        let unjudged = counted.unjudged;
        let outcome = FullCheck { at: now(), took_ms, events, unjudged, attachments, broken };
        if let Err(error) = outcome.keep(&self.record) {
            tracing::warn!(%error, "the outcome of the full check could not be kept");
        }
        Some(outcome.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use schema::directory::DirectoryBuilder;

    fn nightly(folder: &std::path::Path) -> Nightly {
        let directory = DirectoryBuilder::new().build(1, Millis(0)).expect("an empty directory");
        Nightly {
            office: OfficeId::new([1; 16]),
            database: folder.join("tram.db"),
            contents: folder.join("content/whole"),
            record: folder.join("verify.json"),
            verifier: watch::Sender::new(Arc::new(crate::certified::verifier(&directory, &[]))).subscribe(),
        }
    }

    #[test]
    fn outcome_is_kept_also_of_a_store_that_cannot_be_opened() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nightly = nightly(folder.path());
        let (_alive, stopped) = channel();
        let store = Store::open(&nightly.database).expect("a new store");
        store.claim(nightly.office).expect("claimed");
        let at = nightly.check(&stopped).expect("not stopped");
        let kept = FullCheck::read(&nightly.record).expect("readable").expect("kept");
        assert_eq!((kept.at, kept.events, kept.broken), (at, 0, None));

        drop(store);
        std::fs::write(&nightly.database, [7; 8_192]).expect("written");
        nightly.check(&stopped).expect("not stopped");
        let kept = FullCheck::read(&nightly.record).expect("readable").expect("kept");
        assert!(kept.broken.is_some_and(|broken| broken.contains("the station's store")));
    }

    #[test]
    fn station_that_stops_waits_for_no_check() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nightly = nightly(folder.path());
        let _store = Store::open(&nightly.database).expect("a new store");
        let (alive, stopped) = channel();
        drop(alive);
        assert_eq!(nightly.check(&stopped), None);
        assert_eq!(FullCheck::read(&nightly.record).expect("readable"), None, "half a check has an outcome");
        nightly.run(&stopped);
    }
}
