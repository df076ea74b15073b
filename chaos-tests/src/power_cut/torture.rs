//! Work, cut, restart, inspect.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::disk::Disk;
use super::inode::chance;

/// Something that stores numbered pieces of work on a disk and says when each is safe.
pub trait Workload {
    /// An open store.
    type Session;
    /// Why the store refused; it is expected once the power is off.
    type Error: fmt::Display;

    /// Opens the store, creating it on an empty disk.
    ///
    /// # Errors
    /// Whatever the store reports.
    fn open(&self, disk: &Disk) -> Result<Self::Session, Self::Error>;

    /// Stores the piece of work with this number (1, 2, 3, …). `Ok` is the acknowledgement that a user would
    /// see.
    ///
    /// # Errors
    /// Whatever the store reports: the piece is then not acknowledged, but may still be there after a
    /// restart.
    fn acknowledge(
        &self,
        session: &mut Self::Session,
        number: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), Self::Error>;

    /// After a restart: opens the store anew, checks everything it promises, and says how many pieces are
    /// there.
    ///
    /// # Errors
    /// What is broken, in words.
    fn inspect(&self, disk: &Disk) -> Result<u64, String>;
}

/// When the power fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// At an operation drawn evenly from the first so many after opening.
    RandomUpTo(u64),
    /// At this operation after opening, 1 being the first.
    Operation(u64),
}

/// How hard a store is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many times the power fails while work is done.
    pub cuts: u32,
    /// Pieces of work tried between two cuts. If the moment of the cut lies later, the power fails right
    /// after the last acknowledgement: the worst moment for a store that acknowledges too early.
    pub pieces_per_cut: u64,
    /// When it fails.
    pub moment: Moment,
    /// After how many of 1,000 restarts the power fails again while the store is being opened, recovered and
    /// closed.
    pub second_cut_per_mille: u64,
    /// Whether the disk lies about syncs.
    pub lying_disk: bool,
}

impl Default for Plan {
    /// Three cuts, each somewhere in the work on twelve pieces; every third recovery is cut as well.
    fn default() -> Self {
        Self {
            cuts: 3,
            pieces_per_cut: 12,
            moment: Moment::RandomUpTo(220),
            second_cut_per_mille: 333,
            lying_disk: false,
        }
    }
}

/// What a run showed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Everything acknowledged is there, nothing is broken.
    Intact,
    /// Acknowledged work is gone.
    Lost {
        /// The number of the last piece that was acknowledged.
        acknowledged: u64,
        /// How many pieces are there.
        present: u64,
    },
    /// More is there than was ever tried.
    Phantom {
        /// The number of the last piece that was acknowledged.
        acknowledged: u64,
        /// How many pieces are there.
        present: u64,
    },
    /// The store is broken, or refused work although it had power.
    Damaged(String),
}

/// The account of one run, the same for the same seed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// What it showed; the run ends at the first finding.
    pub verdict: Verdict,
    /// Pieces acknowledged in all.
    pub acknowledged: u64,
    /// Writes, truncations, syncs and deletions in all.
    pub operations: u64,
    /// Unsynced sectors that the cuts destroyed or garbled.
    pub sectors_destroyed: u64,
}

/// Lets a store work on a disk of its own, cuts its power as planned, and inspects it after every restart.
pub fn torture<W: Workload>(workload: &W, plan: &Plan, seed: u64) -> Outcome {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let disk = Disk::new();
    disk.lie_about_sync(plan.lying_disk);
    let mut outcome =
        Outcome { verdict: Verdict::Intact, acknowledged: 0, operations: 0, sectors_destroyed: 0 };
    let mut present = 0;
    for _ in 0..plan.cuts {
        match live_and_die(workload, plan, &disk, present, &mut rng, &mut outcome) {
            Ok(now_present) => present = now_present,
            Err(finding) => {
                outcome.verdict = finding;
                break;
            }
        }
    }
    outcome.operations = disk.operations();
    outcome
}

/// One life of a store that begins with `present` pieces; returns with how many the next one begins.
fn live_and_die<W: Workload>(
    workload: &W,
    plan: &Plan,
    disk: &Disk,
    present: u64,
    rng: &mut ChaCha8Rng,
    outcome: &mut Outcome,
) -> Result<u64, Verdict> {
    disk.cut_power_at(match plan.moment {
        Moment::RandomUpTo(operations) => 1 + rng.next_u64() % operations.max(1),
        Moment::Operation(number) => number,
    });
    let mut acknowledged = present;
    let mut work = || -> Result<(), W::Error> {
        let mut session = workload.open(disk)?;
        for number in present + 1..=present + plan.pieces_per_cut {
            let result = workload.acknowledge(&mut session, number, rng);
            if result.is_err() && disk.is_dead() {
                break;
            }
            result?;
            acknowledged = number;
        }
        // The session is dropped without power, as in life.
        disk.cut_now();
        Ok(())
    };
    let result = work();
    outcome.acknowledged += acknowledged - present;
    if let Err(error) = result
        && !disk.is_dead()
    {
        return Err(Verdict::Damaged(format!(
            "refused work after piece {acknowledged} with the power on: {error}"
        )));
    }
    let mut restart = |rng: &mut ChaCha8Rng| {
        let report = disk.restart(rng);
        outcome.sectors_destroyed += report.sectors_lost + report.sectors_garbled;
    };
    restart(rng);
    if chance(rng, plan.second_cut_per_mille) {
        disk.cut_power_at(1 + rng.next_u64() % 24);
        if let Err(error) = workload.open(disk)
            && !disk.is_dead()
        {
            return Err(Verdict::Damaged(format!("cannot be opened with {acknowledged} pieces: {error}")));
        }
        restart(rng);
    }
    let present = workload.inspect(disk).map_err(Verdict::Damaged)?;
    // At most one piece was under way: it may be there without its acknowledgement.
    match present {
        _ if present < acknowledged => Err(Verdict::Lost { acknowledged, present }),
        _ if present > acknowledged + 1 => Err(Verdict::Phantom { acknowledged, present }),
        _ => Ok(present),
    }
}
