//! Removes files among the attachments that nobody needs: when the station has started, and once a day.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::inputs::WeakInputs;
use super::now;
use crate::content::{Contents, Leftover, LeftoversError};
use crate::step::{Answer, Input, LEFTOVERS_MAX};
use crate::store::Reader;
use crate::words::with_causes;

/// How often somebody looks.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the sweep waits for room in the core's queue: it is in no hurry.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is swept, and who decides.
pub(super) struct Sweeping {
    pub(super) contents: Arc<Contents>,
    pub(super) database: PathBuf,
    pub(super) inputs: WeakInputs,
}

impl Sweeping {
    /// Goes on until the core has ended.
    pub(super) async fn run(self) {
        let mut turn = tokio::time::interval(SWEEP_EVERY);
        loop {
            turn.tick().await;
            if self.inputs.upgrade().is_none() {
                return;
            }
            self.sweep(SystemTime::now()).await;
        }
    }

    async fn sweep(&self, as_of: SystemTime) {
        let (contents, database) = (Arc::clone(&self.contents), self.database.clone());
        let looked = tokio::task::spawn_blocking(move || -> Result<Vec<Leftover>, LeftoversError> {
            contents.leftovers(&Reader::open(&database)?, as_of)
        });
        let leftovers = match looked.await {
            Ok(Ok(leftovers)) => leftovers,
            Ok(Err(error)) => {
                tracing::warn!(error = with_causes(&error), "the attachments were not swept; again tomorrow");
                return;
            }
            Err(error) => {
                tracing::error!(%error, "looking for leftover attachments panicked");
                return;
            }
        };
        let before = self.contents.swept();
        for leftovers in leftovers.chunks(LEFTOVERS_MAX) {
            let Some(inputs) = self.inputs.upgrade() else { return };
            let blobs = leftovers.iter().map(|leftover| leftover.blob).collect();
            match inputs.ask(PATIENCE, |ticket| Input::Leftovers { ticket, blobs }).await {
                Ok(Answer::Discarded(discarded)) => {
                    let gone = leftovers.iter().filter(|leftover| discarded.contains(&leftover.blob));
                    self.contents.count(None, gone.map(|leftover| leftover.bytes));
                }
                Ok(_) => {
                    tracing::warn!(
                        "the attachments are swept when the disk has room for the station's store"
                    );
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the attachments were not swept to the end; again tomorrow");
                    return;
                }
            }
        }
        self.contents.count(Some(now()), []);
        let after = self.contents.swept();
        if after.files > before.files {
            let (files, bytes) = (after.files - before.files, after.bytes - before.bytes);
            tracing::info!(files, bytes, "files that no document needs were removed");
        }
    }
}
