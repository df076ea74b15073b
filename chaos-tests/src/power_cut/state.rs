//! The model of a disk: names, files, planned faults. No SQLite in here but its result codes.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::rand_core::Rng;
use rusqlite::ffi;

use super::disk::{OPERATION_KINDS, Operation, RestartReport};
use super::inode::{Change, Inode, What, chance};

/// The survival rates a restart draws from, per 1,000 sectors.
pub(super) const SURVIVAL_PER_MILLE: [u64; 4] = [0, 500, 900, 1_000];

/// The longest file on a disk, in bytes; a write beyond it is answered as "disk full".
const FILE_BYTES_MAX: usize = 1 << 30;

/// Names a file, whatever it is called.
pub(super) type InodeId = u64;

/// A result code of SQLite.
pub(super) type Code = std::ffi::c_int;

#[derive(Debug, Default)]
pub(super) struct DiskState {
    /// Names as programs see them.
    pub(super) directory: BTreeMap<String, InodeId>,
    /// Names as the platter has them.
    pub(super) durable_directory: BTreeMap<String, InodeId>,
    pub(super) inodes: BTreeMap<InodeId, Inode>,
    pub(super) inodes_made: u64,
    pub(super) handles_made: u64,
    /// Rises at every restart; a handle of an earlier life is void.
    pub(super) life: u64,
    pub(super) operations: u64,
    pub(super) counts: [u64; OPERATION_KINDS],
    pub(super) cut_at: Option<u64>,
    pub(super) fail_at: [Option<u64>; OPERATION_KINDS],
    /// The sum of file lengths that still fits.
    pub(super) room_bytes: Option<u64>,
    pub(super) lying: bool,
    pub(super) dead: bool,
}

/// How an operation begins.
pub(super) enum Begin {
    Go,
    /// The power fails during it: it counts as unsynced, and as failed.
    Cut,
    /// It fails once.
    Fail,
    /// There is no power.
    Dead,
}

impl DiskState {
    pub(super) fn begin(&mut self, operation: Operation) -> Begin {
        if self.dead {
            return Begin::Dead;
        }
        let kind = operation as usize;
        self.operations += 1;
        self.counts[kind] += 1;
        if self.cut_at == Some(self.operations) {
            self.dead = true;
            return Begin::Cut;
        }
        if self.fail_at[kind] == Some(self.counts[kind]) {
            self.fail_at[kind] = None;
            return Begin::Fail;
        }
        Begin::Go
    }

    pub(super) fn create(&mut self, name: &str) -> InodeId {
        self.inodes_made += 1;
        self.inodes.insert(self.inodes_made, Inode::durable(&[]));
        self.directory.insert(name.to_owned(), self.inodes_made);
        self.inodes_made
    }

    pub(super) fn length(&self, inode: InodeId) -> u64 {
        self.inodes.get(&inode).map_or(0, |inode| inode.cached.len() as u64)
    }

    pub(super) fn used_bytes(&self) -> u64 {
        self.directory.values().map(|inode| self.length(*inode)).sum()
    }

    pub(super) fn inode(&mut self, inode: InodeId, otherwise: Code) -> Result<&mut Inode, Code> {
        self.inodes.get_mut(&inode).ok_or(otherwise)
    }

    /// Returns the inode and a number for the new handle.
    pub(super) fn open(
        &mut self,
        name: &str,
        create: bool,
        must_be_new: bool,
    ) -> Result<(InodeId, u64), Code> {
        if self.dead {
            return Err(ffi::SQLITE_CANTOPEN);
        }
        let id = match self.directory.get(name) {
            Some(_) if must_be_new => return Err(ffi::SQLITE_CANTOPEN),
            Some(inode) => *inode,
            None if create => self.create(name),
            None => return Err(ffi::SQLITE_CANTOPEN),
        };
        self.inode(id, ffi::SQLITE_CANTOPEN)?.handles += 1;
        self.handles_made += 1;
        Ok((id, self.handles_made))
    }

    pub(super) fn close(&mut self, id: InodeId, handle: u64) {
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.handles = inode.handles.saturating_sub(1);
            inode.locks.retain(|(holder, _)| *holder != handle);
            if inode.handles == 0 && !self.directory.values().any(|named| *named == id) {
                self.sweep();
            }
        }
    }

    /// Fills `buffer`, zeroes behind the end of the file; says whether the file was long enough.
    pub(super) fn read(&mut self, inode: InodeId, offset: usize, buffer: &mut [u8]) -> Result<bool, Code> {
        if self.dead {
            return Err(ffi::SQLITE_IOERR_READ);
        }
        let cached = &self.inode(inode, ffi::SQLITE_IOERR_READ)?.cached;
        let available = cached.get(offset..).unwrap_or_default();
        let length = available.len().min(buffer.len());
        let (filled, rest) = buffer.split_at_mut(length);
        filled.copy_from_slice(&available[..length]);
        rest.fill(0);
        Ok(rest.is_empty())
    }

    pub(super) fn write(&mut self, inode: InodeId, offset: usize, bytes: &[u8]) -> Result<(), Code> {
        let begin = self.begin(Operation::Write);
        if matches!(begin, Begin::Dead | Begin::Fail) {
            return Err(ffi::SQLITE_IOERR_WRITE);
        }
        let end =
            offset.checked_add(bytes.len()).filter(|end| *end <= FILE_BYTES_MAX).ok_or(ffi::SQLITE_FULL)?;
        if let Some(room) = self.room_bytes {
            let growth = (end as u64).saturating_sub(self.length(inode));
            if growth > 0 && self.used_bytes() + growth > room {
                return Err(ffi::SQLITE_FULL);
            }
        }
        self.inode(inode, ffi::SQLITE_IOERR_WRITE)?.write(offset, bytes);
        if matches!(begin, Begin::Cut) { Err(ffi::SQLITE_IOERR_WRITE) } else { Ok(()) }
    }

    pub(super) fn truncate(&mut self, inode: InodeId, length: usize) -> Result<(), Code> {
        let begin = self.begin(Operation::Truncate);
        if matches!(begin, Begin::Dead | Begin::Fail) || length > FILE_BYTES_MAX {
            return Err(ffi::SQLITE_IOERR_TRUNCATE);
        }
        let inode = self.inode(inode, ffi::SQLITE_IOERR_TRUNCATE)?;
        inode.cached.resize(length, 0);
        inode.unsynced.push(Change { what: What::Truncate { length }, abandoned: false });
        if matches!(begin, Begin::Cut) { Err(ffi::SQLITE_IOERR_TRUNCATE) } else { Ok(()) }
    }

    pub(super) fn sync(&mut self, id: InodeId) -> Result<(), Code> {
        match self.begin(Operation::Sync) {
            Begin::Dead | Begin::Cut => return Err(ffi::SQLITE_IOERR_FSYNC),
            Begin::Fail => {
                self.inode(id, ffi::SQLITE_IOERR_FSYNC)?.abandon();
                return Err(ffi::SQLITE_IOERR_FSYNC);
            }
            Begin::Go if self.lying => return Ok(()),
            Begin::Go => {}
        }
        self.inode(id, ffi::SQLITE_IOERR_FSYNC)?.write_back();
        // The file's own name, and everybody's deletions: see the head of this module.
        let directory = &self.directory;
        let names_before = self.durable_directory.len();
        self.durable_directory.retain(|name, inode| directory.get(name) == Some(inode));
        let deletions_settled = self.durable_directory.len() < names_before;
        if !self.durable_directory.values().any(|inode| *inode == id)
            && let Some((name, inode)) = directory.iter().find(|(_, inode)| **inode == id)
        {
            self.durable_directory.insert(name.clone(), *inode);
        }
        if deletions_settled {
            self.sweep();
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, name: &str, durably: bool) -> Result<(), Code> {
        let begin = self.begin(Operation::Delete);
        if matches!(begin, Begin::Dead | Begin::Fail) {
            return Err(ffi::SQLITE_IOERR_DELETE);
        }
        if self.directory.remove(name).is_none() {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        }
        if matches!(begin, Begin::Cut) {
            return Err(ffi::SQLITE_IOERR_DELETE);
        }
        if durably && !self.lying {
            self.durable_directory.remove(name);
        }
        self.sweep();
        Ok(())
    }

    /// Whether `name` exists; an empty file does not count for `nonempty`, as in SQLite's own Unix VFS.
    pub(super) fn exists(&self, name: &str, nonempty: bool) -> Result<bool, Code> {
        if self.dead {
            return Err(ffi::SQLITE_IOERR_ACCESS);
        }
        Ok(self.directory.get(name).is_some_and(|inode| !nonempty || self.length(*inode) > 0))
    }

    /// Forgets files that no name and no handle leads to.
    pub(super) fn sweep(&mut self) {
        let (directory, durable) = (&self.directory, &self.durable_directory);
        self.inodes.retain(|id, inode| {
            inode.handles > 0 || directory.values().chain(durable.values()).any(|named| named == id)
        });
    }

    pub(super) fn flip_bit(&mut self, file: &str, offset_bytes: u64) -> Option<()> {
        let inode = self.inodes.get_mut(self.directory.get(file)?)?;
        let offset = usize::try_from(offset_bytes).ok()?;
        *inode.cached.get_mut(offset)? ^= 1;
        // What waits for write-back comes from the cache, so it carries the flipped bit too.
        for Change { what, .. } in &inode.unsynced {
            if let What::Write { start, image, .. } = what
                && (*start..start + image.len()).contains(&offset)
            {
                inode.images[image.start + offset - start] ^= 1;
            }
        }
        if let Some(byte) = inode.durable.get_mut(offset) {
            *byte ^= 1;
        }
        Some(())
    }

    pub(super) fn restart(&mut self, rng: &mut impl Rng) -> RestartReport {
        let survival = SURVIVAL_PER_MILLE[rng.next_u32() as usize % SURVIVAL_PER_MILLE.len()];
        let mut report = RestartReport { survival_per_mille: survival, ..RestartReport::default() };
        for inode in self.inodes.values_mut() {
            inode.settle(survival, rng, &mut report);
        }
        let mut settled = BTreeMap::new();
        let names = self.directory.keys().chain(self.durable_directory.keys());
        let names: BTreeSet<_> = names.cloned().collect();
        for name in names {
            let (seen, durable) = (self.directory.get(&name), self.durable_directory.get(&name));
            let after = match (seen, durable) {
                _ if seen == durable => seen,
                // Deleted without a later sync, perhaps made anew: first the deletion counts, then the new
                // file.
                (_, Some(_)) if !chance(rng, survival) => durable,
                (Some(_), _) if chance(rng, survival) => seen,
                _ => None,
            };
            report.files_vanished += u64::from(seen.is_some() && after != seen);
            report.files_returned += u64::from(after.is_some() && after != seen);
            settled.extend(after.map(|inode| (name, *inode)));
        }
        self.directory.clone_from(&settled);
        self.durable_directory = settled;
        self.sweep();
        self.life += 1;
        self.cut_at = None;
        self.fail_at = [None; OPERATION_KINDS];
        self.dead = false;
        report
    }
}
