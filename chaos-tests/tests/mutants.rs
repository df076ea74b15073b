//! The gate of planted bugs: every mutant is caught, and it is printed in how many seeds.
//!
//! Run with `cargo test -p chaos-tests --release --features mutants --test mutants -- --nocapture`.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use chaos_tests::sim::{self, Fault, Options, Violated};
use schema::mutant::{self, Mutant};

/// Seeds per mutant; a mutant that survives them is a fault of the simulation.
const SEEDS_MAX: u64 = 1_000;
/// Catches that are enough to stop looking.
const CATCHES: u64 = 1;

/// The faults against which the removed defence stands. Random ones come on top.
fn faults_against(mutant: Mutant) -> &'static [Fault] {
    match mutant {
        Mutant::NoSignatureCheck => &[Fault::RelayForges],
        Mutant::NoDocumentDedup | Mutant::NoReissue | Mutant::NoBackwardsCheck | Mutant::NoForkCheck => {
            &[Fault::NodeRestored, Fault::Partition]
        }
        Mutant::NoRefill | Mutant::NoHeads => &[Fault::NodeRestored, Fault::RelayWipe],
        Mutant::CursorBySequence => &[Fault::RelayRollback],
        Mutant::ReceiptByNumber => &[Fault::NodeRestored, Fault::NodeRestoredByTool, Fault::Partition],
        Mutant::NoAskingBack => &[Fault::NodeRestoredByTool],
        Mutant::DropOnRelayAck | Mutant::NoRepeatReceipt => &[Fault::RelayWipe, Fault::Partition],
        Mutant::AckBeforeSync => &[Fault::NodePowerCut],
        Mutant::NoOrder => &[Fault::RelayForges, Fault::RelayWithholds],
        Mutant::ReceiptBeforeAttachments => &[Fault::Partition],
    }
}

/// What was found out about one mutant.
struct Hunt {
    seeds: u64,
    caught: u64,
    first: Option<Violated>,
}

/// Plants a mutant in this thread and looks for seeds that notice.
fn hunt(mutant: Mutant) -> Hunt {
    mutant::plant(Some(mutant));
    let mut hunt = Hunt { seeds: 0, caught: 0, first: None };
    while hunt.seeds < SEEDS_MAX && hunt.caught < CATCHES {
        let mut options = Options::from_seed(hunt.seeds);
        options.all_given_back = mutant == Mutant::NoAskingBack;
        for fault in faults_against(mutant) {
            if !options.faults.contains(fault) {
                options.faults.push(*fault);
            }
        }
        hunt.seeds += 1;
        if let Err(violated) = sim::run(&options) {
            hunt.caught += 1;
            hunt.first.get_or_insert(violated);
        }
    }
    mutant::plant(None);
    hunt
}

#[test]
fn every_planted_bug_is_caught() {
    let hunts: Mutex<BTreeMap<Mutant, Hunt>> = Mutex::default();
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(mutant) = Mutant::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = hunt(*mutant);
                    hunts.lock().expect("no hunt panics here").insert(*mutant, found);
                }
            });
        }
    });
    println!("{:<26} {:>7} {:>7}  first seed and what was found", "mutant", "seeds", "caught");
    let hunts = hunts.into_inner().expect("no hunt panics here");
    for (mutant, Hunt { seeds, caught, first }) in &hunts {
        let found = first.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        println!("{:<26} {seeds:>7} {caught:>7}  {found:.90}", format!("{mutant:?}"));
    }
    assert_eq!(hunts.len(), Mutant::ALL.len(), "a hunt was broken off");
    let survivors = hunts.iter().filter(|(_, hunt)| hunt.caught == 0);
    let survivors: Vec<&Mutant> = survivors.map(|(mutant, _)| mutant).collect();
    assert!(survivors.is_empty(), "mutants that nobody noticed: {survivors:?}");
}

#[test]
fn without_a_mutant_the_same_scenarios_are_clean() {
    for mutant in Mutant::ALL {
        for seed in 0..4 {
            let mut options = Options::from_seed(seed);
            options.faults.extend(faults_against(mutant));
            if let Err(violated) = sim::run(&options) {
                panic!("{violated} with the faults against {mutant:?}");
            }
        }
    }
}
