//! One file of the model: what is cached, what is durable, and what a power cut makes of the difference.

use std::collections::BTreeSet;
use std::ops::Range;

use rand_chacha::rand_core::Rng;
use rusqlite::ffi;

use super::SECTOR_BYTES;
use super::disk::RestartReport;
use super::state::Code;

/// Of 1,000 surviving sectors, how many hold garbage.
const GARBAGE_PER_MILLE: u64 = 20;

/// Unsynced bytes of one file above which the cache writes everything back on its own, as an operating system
/// does under memory pressure (and a lying drive when its own cache is full). Bounds the memory of a run that
/// never syncs.
const UNSYNCED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// One file. `cached` is what reads see, `durable` what is on the platter for certain, `unsynced` the
/// difference.
#[derive(Debug, Default)]
pub(super) struct Inode {
    pub(super) cached: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<Change>,
    /// The bytes of all unsynced writes, one after the other; empty after every sync, its memory is used
    /// again.
    pub(super) images: Vec<u8>,
    pub(super) locks: Vec<(u64, Code)>,
    pub(super) handles: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) what: What,
    /// A sync of this change failed: the cache thinks it is clean, so no later sync writes it.
    pub(super) abandoned: bool,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    /// `written` bytes of the file, kept with the rest of their sectors as `image`, which begins at byte
    /// `start`.
    Write {
        start: usize,
        written: Range<usize>,
        image: Range<usize>,
    },
    Truncate {
        length: usize,
    },
}

/// Room that a file is given for its growth, in bytes: files that grow page by page would be moved again and again.
const GROWTH_BYTES: usize = 512 * 1024;

impl Inode {
    /// A file whose bytes are all on the platter.
    pub(super) fn durable(bytes: &[u8]) -> Self {
        let with_room = || {
            let mut copy = Vec::with_capacity(bytes.len() + GROWTH_BYTES);
            copy.extend_from_slice(bytes);
            copy
        };
        Self { cached: with_room(), durable: with_room(), ..Self::default() }
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        put(&mut self.cached, offset, bytes);
        let start = offset - offset % SECTOR_BYTES;
        let stop = end.next_multiple_of(SECTOR_BYTES).min(self.cached.len());
        let image = self.images.len()..self.images.len() + (stop - start);
        self.images.extend_from_slice(&self.cached[start..stop]);
        self.unsynced
            .push(Change { what: What::Write { start, written: offset..end, image }, abandoned: false });
        if self.images.len() > UNSYNCED_BYTES_MAX {
            self.write_back();
        }
    }

    /// Makes every unsynced change durable, except those that an earlier failed sync has abandoned.
    pub(super) fn write_back(&mut self) {
        for Change { what, .. } in self.unsynced.iter().filter(|change| !change.abandoned) {
            match what {
                What::Write { start, image, .. } => {
                    put(&mut self.durable, *start, &self.images[image.clone()]);
                }
                What::Truncate { length } => self.durable.resize(*length, 0),
            }
        }
        // The length travels with the metadata, also where abandoned writes leave a hole.
        self.durable.resize(self.cached.len(), 0);
        if self.unsynced.iter().any(|change| change.abandoned) {
            self.keep_abandoned_only();
        } else {
            self.unsynced.clear();
            self.images.clear();
        }
    }

    /// Of the changes, keeps the abandoned ones that nothing written back since has replaced.
    pub(super) fn keep_abandoned_only(&mut self) {
        let mut replaced = BTreeSet::new();
        for Change { what, .. } in self.unsynced.iter().filter(|change| !change.abandoned) {
            if let What::Write { start, image, .. } = what {
                replaced.extend((*start..start + image.len()).step_by(SECTOR_BYTES));
            }
        }
        let shortened_to =
            self.unsynced.iter().filter(|change| !change.abandoned).map(|change| match change.what {
                What::Truncate { length } => length,
                What::Write { .. } => usize::MAX,
            });
        let shortened_to = shortened_to.min().unwrap_or(usize::MAX);
        self.unsynced.retain(|change| match &change.what {
            What::Write { start, image, .. } => {
                change.abandoned && start + image.len() <= shortened_to && !replaced.contains(start)
            }
            // The length was just written back.
            What::Truncate { .. } => false,
        });
        let mut images = Vec::new();
        for Change { what, .. } in &mut self.unsynced {
            if let What::Write { image, .. } = what {
                let kept = images.len();
                images.extend_from_slice(&self.images[image.clone()]);
                *image = kept..images.len();
            }
        }
        self.images = images;
    }

    /// A sync failed: cuts the changes into sectors, so that each can be replaced alone, and abandons them.
    pub(super) fn abandon(&mut self) {
        let changes = std::mem::take(&mut self.unsynced);
        for Change { what, .. } in changes {
            match what {
                What::Write { start, written, image } => {
                    let sectors = sectors(start, &written, &image);
                    let what = sectors.map(|(start, written, image)| What::Write { start, written, image });
                    self.unsynced.extend(what.map(|what| Change { what, abandoned: true }));
                }
                What::Truncate { .. } => self.unsynced.push(Change { what, abandoned: true }),
            }
        }
    }

    /// The power is back: decides which unsynced changes reached the platter, and reads it.
    pub(super) fn settle(&mut self, survival_per_mille: u64, rng: &mut impl Rng, report: &mut RestartReport) {
        for Change { what, .. } in self.unsynced.drain(..) {
            match what {
                What::Truncate { length } => {
                    if chance(rng, survival_per_mille) {
                        self.durable.resize(length, 0);
                    }
                }
                What::Write { start, written, image } => {
                    for (start, written, image) in sectors(start, &written, &image) {
                        if !chance(rng, survival_per_mille) {
                            report.sectors_lost += 1;
                            continue;
                        }
                        put(&mut self.durable, start, &self.images[image]);
                        if chance(rng, GARBAGE_PER_MILLE) {
                            rng.fill_bytes(&mut self.durable[written]);
                            report.sectors_garbled += 1;
                        } else {
                            report.sectors_kept += 1;
                        }
                    }
                }
            }
        }
        self.images.clear();
        self.cached.clone_from(&self.durable);
        self.locks.clear();
        self.handles = 0;
    }

    /// The advisory locks of SQLite: many readers, one who reserves, one who writes alone.
    pub(super) fn lock(&mut self, handle: u64, level: Code) -> Result<(), Code> {
        let mine = self.locks.iter().find(|(holder, _)| *holder == handle).map_or(0, |(_, level)| *level);
        if mine >= level {
            return Ok(());
        }
        let others = self.locks.iter().filter(|(holder, _)| *holder != handle).map(|(_, level)| *level);
        let strongest = others.max().unwrap_or(ffi::SQLITE_LOCK_NONE);
        let (granted, result) = match level {
            ffi::SQLITE_LOCK_SHARED if strongest < ffi::SQLITE_LOCK_PENDING => (level, Ok(())),
            ffi::SQLITE_LOCK_RESERVED if strongest < ffi::SQLITE_LOCK_RESERVED => (level, Ok(())),
            ffi::SQLITE_LOCK_EXCLUSIVE if strongest == ffi::SQLITE_LOCK_NONE => (level, Ok(())),
            // Readers are still there: keep new ones out meanwhile.
            ffi::SQLITE_LOCK_EXCLUSIVE if strongest == ffi::SQLITE_LOCK_SHARED => {
                (ffi::SQLITE_LOCK_PENDING, Err(ffi::SQLITE_BUSY))
            }
            _ => (mine, Err(ffi::SQLITE_BUSY)),
        };
        self.unlock(handle, granted);
        result
    }

    /// Sets the lock of `handle` to `level`.
    pub(super) fn unlock(&mut self, handle: u64, level: Code) {
        self.locks.retain(|(holder, _)| *holder != handle);
        if level > ffi::SQLITE_LOCK_NONE {
            self.locks.push((handle, level));
        }
    }
}

/// Cuts one write into sectors: where each starts, the bytes of it that were written, and its image.
pub(super) fn sectors(
    start: usize,
    written: &Range<usize>,
    image: &Range<usize>,
) -> impl Iterator<Item = (usize, Range<usize>, Range<usize>)> {
    let (written, image) = (written.clone(), image.clone());
    (start..start + image.len()).step_by(SECTOR_BYTES).map(move |sector| {
        let stop = (sector + SECTOR_BYTES).min(start + image.len());
        let of_image = image.start + sector - start..image.start + stop - start;
        (sector, written.start.max(sector)..written.end.min(stop), of_image)
    })
}

/// Overwrites `file` from `start`, making it longer if needed.
pub(super) fn put(file: &mut Vec<u8>, start: usize, bytes: &[u8]) {
    // What is added at the end is not zeroed first.
    if start == file.len() {
        file.extend_from_slice(bytes);
        return;
    }
    let end = start + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[start..end].copy_from_slice(bytes);
}

/// Draws once; no draw is saved for certain outcomes, so that the sequence depends on nothing but the number
/// of calls.
pub(super) fn chance(rng: &mut impl Rng, per_mille: u64) -> bool {
    rng.next_u64() % 1_000 < per_mille
}
