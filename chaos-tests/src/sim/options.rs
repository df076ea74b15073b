//! One seed → one scenario: which country, which work, which faults, how often.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use schema::time::Millis;
use serde::Serialize;

/// Kinds of fault. Each seed enables a random subset, so that combinations are tried that a uniform mix never
/// reaches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A relay process dies and comes back; its server keeps the streams.
    RelayCrash,
    /// A relay's machine loses power; with `sync_interval: always` nothing stored is lost.
    RelayPowerCut,
    /// A relay's disk is wiped.
    RelayWipe,
    /// A relay's streams go back to an earlier moment; its consumers do not.
    RelayRollback,
    /// A relay keeps some office's mail for itself.
    RelayWithholds,
    /// A relay alters events, invents some, and repeats old ones.
    RelayForges,
    /// A node loses power at some write.
    NodePowerCut,
    /// A node's process dies right after a commit, before anything has left.
    NodeCrash,
    /// A node's file is replaced by an old copy, by hand.
    NodeRestored,
    /// The same, with the tool.
    NodeRestoredByTool,
    /// A node's disk is full for some hours.
    DiskFull,
    /// Lines between offices and relays, and between relays, go down.
    Partition,
    /// A node's clock jumps by up to years.
    Clock,
    /// A second machine with a copy of a node's disk and its key is alive for some hours.
    NodeCloned,
    /// The authority publishes newer revocation lists; who learns of them when depends on the lines.
    ListPublished,
    /// The certificates of an office are on hold for some hours.
    CertificateHeld,
    /// A node changes its signing key: the present one announces the next.
    KeyRenewed,
    /// A node's signing key is lost or stolen: revoked, and another one certified in its place.
    KeyLost,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::RelayCrash,
        Self::RelayPowerCut,
        Self::RelayWipe,
        Self::RelayRollback,
        Self::RelayWithholds,
        Self::RelayForges,
        Self::NodePowerCut,
        Self::NodeCrash,
        Self::NodeRestored,
        Self::NodeRestoredByTool,
        Self::DiskFull,
        Self::Partition,
        Self::Clock,
        Self::NodeCloned,
        Self::ListPublished,
        Self::CertificateHeld,
        Self::KeyRenewed,
        Self::KeyLost,
    ];

    /// Kinds that came later are drawn after everything else: what earlier seeds mean stays as it was.
    fn is_drawn_last(self) -> bool {
        self >= Self::NodeCloned
    }
}

/// A scenario, expanded from its seed.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Regions, each with one relay.
    pub regions: usize,
    /// Offices.
    pub offices: usize,
    /// Documents the clerks send while faults happen.
    pub documents: usize,
    /// What people do with documents while faults happen.
    pub work: usize,
    /// How long faults happen, in milliseconds of simulated time.
    pub faulty_ms: u64,
    /// Chance that a message between two machines is lost, in thousandths.
    pub loss: u32,
    /// Chance that it comes a second time, in thousandths.
    pub duplication: u32,
    /// Longest normal delay of a message, in milliseconds.
    pub delay_ms_max: u64,
    /// Faults that happen.
    pub faults: Vec<Fault>,
    /// Mean time between two faults, in milliseconds.
    pub fault_every_ms: u64,
    /// Whether relays sync every write, or, misconfigured, every two minutes.
    pub relays_sync_always: bool,
    /// Chance that an office has a second home region, in thousandths.
    pub second_home: u32,
    /// Also require that every document a clerk anywhere has is known to its sender again, however often the sender's
    /// disk was replaced: given back by whoever holds it.
    pub all_given_back: bool,
}

/// A number below `end`.
pub(crate) fn below(rng: &mut ChaCha8Rng, end: u64) -> u64 {
    rng.next_u64() % end.max(1)
}

/// A number below `end`, for an index.
pub(crate) fn index(rng: &mut ChaCha8Rng, end: usize) -> usize {
    usize::try_from(below(rng, end as u64)).expect("below a usize")
}

/// Whether an event with this chance, in thousandths, happens.
pub(crate) fn chance(rng: &mut ChaCha8Rng, thousandths: u32) -> bool {
    below(rng, 1_000) < u64::from(thousandths)
}

impl Options {
    /// The scenario of this seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x7261_6d2d_6f70_7473);
        let rng = &mut rng;
        let calm = chance(rng, 100);
        let faulty_ms = [6, 24, 48, 240][index(rng, 4)] * Millis::HOUR;
        let faults = Fault::ALL
            .into_iter()
            .filter(|fault| !fault.is_drawn_last() && !calm && chance(rng, 400))
            .collect();
        let mut options = Self {
            seed,
            regions: 1 + index(rng, 3),
            offices: 2 + index(rng, 4),
            documents: 4 + index(rng, 20),
            work: 0,
            faulty_ms,
            loss: if calm { 0 } else { [0, 20, 80, 200][index(rng, 4)] },
            duplication: if calm { 0 } else { [0, 50, 200][index(rng, 3)] },
            delay_ms_max: [50, 2_000, 20_000][index(rng, 3)],
            faults,
            fault_every_ms: faulty_ms / [10, 25, 50][index(rng, 3)],
            relays_sync_always: chance(rng, 700),
            second_home: [0, 500][index(rng, 2)],
            all_given_back: false,
        };
        options.work = 2 * options.documents;
        let later = Fault::ALL.into_iter().filter(|fault| fault.is_drawn_last());
        options.faults.extend(later.filter(|_| !calm && chance(rng, 250)));
        options
    }

    /// The same country with less to do: few documents, few faults. Says sooner whether a change broke something plain;
    /// what needs a long history is left to the full scenarios.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        self.documents = self.documents.min(Self::SHORT_DOCUMENTS_MAX);
        self.work = self.work.min(Self::SHORT_DOCUMENTS_MAX);
        self.fault_every_ms = self.fault_every_ms.max(self.faulty_ms / Self::SHORT_FAULTS_MAX);
        self
    }

    /// How many documents, and acts of people, a shortened scenario has at most.
    const SHORT_DOCUMENTS_MAX: usize = 6;

    /// About how many faults happen in a shortened scenario at most.
    const SHORT_FAULTS_MAX: u64 = 10;
}
