//! The full check of a store: every page, every event's signature, the whole chain, every attachment.
//!
//! A start looks at the newest part only, because a clerk waits for it. What lies deeper is looked at once a
//! day by the running station, in a thread that yields to everything else and reads through a connection of
//! its own, and whenever somebody asks (`tram-node verify`). The outcome is kept in `verify.json`, so that
//! the status shows it.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use jiff::tz::Offset;
use schema::event::{UnverifiedEvent, Verifier, VerifyError};
use schema::exchange::Class;
use schema::id::{OfficeId, Position};
use schema::invariant::ChainCheck;
use schema::time::Millis;
use serde::{Deserialize, Serialize};

use crate::config::{ConfigError, read_bounded};
use crate::content::{ContentError, check_whole};
use crate::keyring::{KeyringError, replace_private};
use crate::store::{Inspection, JournalEntry, StoreError};
use crate::words::with_causes;

/// Events looked at between two pauses.
const BATCH_EVENTS: u32 = 256;
/// Attachments listed at a time.
const BATCH_ATTACHMENTS: u32 = 64;
/// Largest record of an outcome, in bytes.
const RECORD_BYTES_MAX: u64 = 16 * 1024;
/// Longest description of what is broken, in characters.
const BROKEN_CHARS_MAX: usize = 1_000;

/// A check is due at night when the last one is older than this.
const NIGHTLY_AFTER_MS: u64 = 20 * Millis::HOUR;
/// A check is due at any hour when the last one is older than this: many offices switch the machine off at
/// night.
const OVERDUE_AFTER_MS: u64 = 36 * Millis::HOUR;
/// A station that was just started is left alone for this long.
const CALM_AFTER_START_MS: u64 = 10 * Millis::MINUTE;
/// The quiet hours of an office, local time (UTC+7, no summer time): from 22:00 to before 05:00.
const QUIET_FROM_HOUR: i8 = 22;
const QUIET_TO_HOUR: i8 = 5;
const VIETNAM_HOURS: i8 = 7;

/// What a full check found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullCheck {
    /// When it ended.
    pub at: Millis,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Events looked at: own, received and evidence.
    pub events: u64,
    /// Of those, how many are signed by keys or offices that the directory does not know (any more): their
    /// chain or their receipt vouches for them, their signature could not be judged.
    pub unjudged: u64,
    /// Attachments hashed anew.
    pub attachments: u64,
    /// The first thing that is broken; `None` when everything is sound.
    pub broken: Option<String>,
}

/// How far a check is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// The pages of the file are being read.
    Structure,
    /// This many events of about this many were looked at.
    Events(u64, u64),
    /// This many attachments were hashed.
    Attachments(u64),
}

/// Why a check gave no outcome, or a recorded one cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum VerifyStoreError {
    /// The record cannot be read.
    #[error("failed to read the outcome of the last full check")]
    Read(#[from] ConfigError),
    /// The record is not one.
    #[error("`{path}` is not the outcome of a full check: {found}; `tram-node verify` makes a new one")]
    Record {
        /// The file.
        path: String,
        /// What the reader said.
        found: String,
    },
    /// The record cannot be kept.
    #[error("failed to keep the outcome of the full check")]
    Keep(#[from] KeyringError),
}

impl FullCheck {
    /// Reads the outcome of the last check; `None` when there was none.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(path: &Path) -> Result<Option<Self>, VerifyStoreError> {
        match read_bounded(path, RECORD_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| VerifyStoreError::Record {
                path: path.display().to_string(),
                found: error.to_string(),
            }),
            Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps it for the status.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&self, path: &Path) -> Result<(), VerifyStoreError> {
        let bytes = serde_json::to_vec_pretty(self).map_err(|error| VerifyStoreError::Record {
            path: path.display().to_string(),
            found: error.to_string(),
        })?;
        Ok(replace_private(path, &bytes)?)
    }

    /// Forgets the outcome for a store that was replaced: it says nothing about the new one.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn forget(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// What was counted on the way.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Counted {
    /// Events.
    pub events: u64,
    /// Events whose signature could not be judged.
    pub unjudged: u64,
    /// Attachments.
    pub attachments: u64,
}

/// Checks a store from end to end, and the attachments in the folder of complete ones. `pause` is called between small pieces of
/// work, and may end the check.
///
/// Returns what was counted and the first thing that is broken; `None` when `pause` ended it.
pub fn full_check(
    store: &Inspection,
    contents: &Path,
    office: OfficeId,
    verifier: &Verifier,
    pause: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Option<(Counted, Option<String>)> {
    let mut walk = Walk { verifier, contents, chain: ChainCheck::new(office), counted: Counted::default() };
    let broken = match walk.all(store, office, pause) {
        Ok(ControlFlow::Continue(())) => None,
        Ok(ControlFlow::Break(())) => return None,
        Err(Broken::Store(error)) => Some(with_causes(&error)),
        Err(Broken::Content(error)) => Some(with_causes(&error)),
        Err(Broken::Found(found)) => Some(found),
    };
    Some((walk.counted, broken.map(|found| found.chars().take(BROKEN_CHARS_MAX).collect())))
}

enum Broken {
    Store(StoreError),
    Content(ContentError),
    Found(String),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ContentError> for Broken {
    fn from(error: ContentError) -> Self {
        Self::Content(error)
    }
}

struct Walk<'a> {
    contents: &'a Path,
    verifier: &'a Verifier,
    chain: ChainCheck,
    counted: Counted,
}

impl Walk<'_> {
    fn all(
        &mut self,
        store: &Inspection,
        office: OfficeId,
        pause: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Broken> {
        macro_rules! pause {
            ($progress:expr) => {
                if pause($progress).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            };
        }
        pause!(Progress::Structure);
        store.check_structure()?;
        store.check_open_sends()?;
        let outline = store.outline()?;
        if let Some(found) = outline.office.filter(|found| *found != office) {
            return Err(StoreError::OtherOffice { found, expected: office }.into());
        }
        let mut from = Position(1);
        loop {
            pause!(Progress::Events(self.counted.events, outline.position.0));
            let entries = store.journal(from, BATCH_EVENTS)?;
            let Some(last) = entries.last() else { break };
            for (entry, expected) in entries.iter().zip(from.0..) {
                if entry.position.0 != expected {
                    return Err(Broken::Found(format!(
                        "journal entry {expected} is missing; the next one is {}",
                        entry.position
                    )));
                }
                self.entry(entry)?;
            }
            from = last.position.next();
        }
        let mut after = 0;
        loop {
            let attachments = store.attachments(after, BATCH_ATTACHMENTS)?;
            let Some((last, _)) = attachments.last() else { return Ok(ControlFlow::Continue(())) };
            after = *last;
            for (_, blob) in attachments {
                pause!(Progress::Attachments(self.counted.attachments));
                check_whole(self.contents, &blob)?;
                self.counted.attachments += 1;
            }
        }
    }

    fn entry(&mut self, entry: &JournalEntry) -> Result<(), Broken> {
        let position = entry.position.0 as i64;
        let damaged = |source| StoreError::Damaged { position, source };
        // Also that the content beside a sealed body is the one that its signature covers.
        let recorded = entry.recorded().map_err(damaged)?;
        if entry.class == Class::Own {
            let follows = self.chain.next(&recorded);
            follows.map_err(|violation| {
                Broken::Found(format!("journal entry {position}: {}", violation.found))
            })?;
        }
        let event = UnverifiedEvent::parse(&entry.bytes).map_err(damaged)?;
        match self.verifier.check_recorded(&event) {
            Ok(()) => {}
            Err(source @ VerifyError::Signature { .. }) => {
                return Err(StoreError::Signature { position, source }.into());
            }
            // Certificates are kept for ever.
            Err(source) if entry.class == Class::Own => {
                return Err(StoreError::Signature { position, source }.into());
            }
            Err(
                VerifyError::UnknownOffice { .. }
                | VerifyError::UnknownKey { .. }
                | VerifyError::ContestedKey { .. }
                | VerifyError::Certificate { .. },
            ) => {
                self.counted.unjudged += 1;
            }
        }
        self.counted.events += 1;
        Ok(())
    }
}

/// Whether a station that was started at `started` and checked last at `last` should check its store now.
pub fn is_due(last: Option<Millis>, started: Millis, now: Millis) -> bool {
    if now.since(started) < CALM_AFTER_START_MS {
        return false;
    }
    // A last check in the future was dated by a clock that was wrong, and says nothing.
    let age = last.filter(|last| *last <= now).map_or(u64::MAX, |last| now.since(last));
    age >= OVERDUE_AFTER_MS || (age >= NIGHTLY_AFTER_MS && is_quiet(now))
}

fn is_quiet(now: Millis) -> bool {
    let ms = i64::try_from(now.0).unwrap_or(i64::MAX);
    let timestamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    let hour = Offset::constant(VIETNAM_HOURS).to_datetime(timestamp).hour();
    !(QUIET_TO_HOUR..QUIET_FROM_HOUR).contains(&hour)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2025-06-30 at this hour in Vietnam.
    fn at(hour: u64) -> Millis {
        Millis(1_751_216_400_000).plus(hour * Millis::HOUR)
    }

    #[test]
    fn check_waits_for_the_night_unless_the_nights_are_missed() {
        let started = at(0);
        for (last, now, due) in [
            (Some(at(2)), at(21), false),
            (Some(at(2)), at(22), true),
            (Some(at(23)), at(26), false),
            (Some(at(23)), at(24 + 22), true),
            (Some(at(14)), at(24 + 14), false),
            (Some(at(14)), at(24 + 26), true),
            (Some(at(2)), at(38), true),
            (None, at(12), true),
            (Some(at(500)), at(12), true),
        ] {
            assert_eq!(is_due(last, started, now), due, "last {last:?}, now {now:?}");
        }
        assert!(!is_due(None, at(12), at(12).plus(CALM_AFTER_START_MS - 1)), "in the rush of a start");
        assert!(is_due(None, at(12), at(12).plus(CALM_AFTER_START_MS)));
    }

    #[test]
    fn record_is_read_back_and_garbage_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("verify.json");
        assert_eq!(FullCheck::read(&path).expect("none"), None);
        let check = FullCheck {
            at: Millis(5),
            took_ms: 6,
            events: 7,
            unjudged: 0,
            attachments: 8,
            broken: Some("journal entry 3".to_owned()),
        };
        check.keep(&path).expect("kept");
        assert_eq!(FullCheck::read(&path).expect("kept"), Some(check));
        replace_private(&path, b"{}").expect("written");
        assert!(matches!(FullCheck::read(&path), Err(VerifyStoreError::Record { .. })));
        FullCheck::forget(&path).expect("removed");
        FullCheck::forget(&path).expect("nothing to remove");
    }
}
