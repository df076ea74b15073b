//! A disk in memory that can lose its power: a SQLite VFS which forgets what was never synced.
//!
//! Every simulated station gets its own [`Disk`]. SQLite reaches it under the VFS name [`VFS_NAME`] through
//! the path that [`Disk::path`] gives, so the real store of a station runs unchanged over it. A disk can be
//! told to cut the power at any write, truncation, sync or deletion ([`Disk::cut_power_at`]);
//! [`Disk::restart`] then decides, from the caller's seeded randomness, what the platter still holds.
//!
//! What the model says about a power cut:
//!
//! - What a sync confirmed is there. Of everything later, each 512-byte sector of each write on its own
//!   survives, vanishes, or (2 in 100 of the survivors) becomes garbage. One survival rate out of 0, 50, 90
//!   and 100 % is drawn per restart, so that "nothing was written back" and "nearly everything was" both
//!   occur often.
//! - A surviving sector holds what the page cache held after that write. Garbage stays within the bytes being
//!   written, because the disk claims `SQLITE_IOCAP_POWERSAFE_OVERWRITE`, as SQLite's own Unix VFS does.
//! - A truncation survives as a whole or not at all, independently of the writes around it.
//! - Syncing a file makes its own directory entry durable. A file that was never synced may be missing
//!   afterwards.
//! - A deletion is durable at the next successful sync of *any* file, because ext4 commits one journal for
//!   all of them; until then the file may come back. (A disk on which an old rollback journal can come back
//!   later still would destroy any database; SQLite does not defend against that, nor do we claim it.)
//! - An operation that reported an error may still have happened: the operation at which the power fails
//!   counts as unsynced, not as undone. After a *failed* sync, later syncs do not write the affected sectors
//!   again unless somebody writes them again, as on Linux, where a failed fsync marks the pages clean.
//!
//! What it does not model: time (waiting makes nothing durable), other processes, shared memory (so WAL needs
//! `PRAGMA locking_mode = EXCLUSIVE`, which [`Disk::open`] sets), memory mapping, and damage to synced
//! sectors other than by [`Disk::flip_bit`].
//!
//! Same seed and same calls give the same decisions. The *bytes* of a write-ahead log differ between runs,
//! since SQLite draws its salts from the operating system; compare contents and outcomes, not raw files.
//!
//! [`torture`] is the loop "work, cut, restart, inspect" over anything that implements [`Workload`].

mod disk;
mod inode;
mod state;
#[cfg(test)]
mod tests;
mod torture;
#[expect(unsafe_code, reason = "a SQLite VFS is a table of C functions")]
mod vfs;

pub use disk::{Disk, NoSuchByte, Operation, RestartReport, Snapshot};
pub use torture::{Moment, Outcome, Plan, Verdict, Workload, torture};

/// The name under which SQLite knows this VFS; it is registered by the first [`Disk`] of the process.
pub const VFS_NAME: &str = "tram-power-cut";

/// The unit that survives or vanishes, in bytes: the sector of a disk that SQLite assumes for a power-safe
/// device.
pub const SECTOR_BYTES: usize = 512;
