//! The gate of planted bugs: every mutant is caught, and it is printed in how many seeds.
//!
//! Run with `cargo test -p chaos-tests --release --features mutants --test mutants -- --nocapture`.

use chaos_tests::sim::{self, Fault, Options};
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
        Mutant::ReceiptByNumber => &[Fault::NodeRestored, Fault::NodeRestoredByTool],
        Mutant::NoAskingBack => &[Fault::NodeRestoredByTool],
        Mutant::DropOnRelayAck | Mutant::NoRepeatReceipt => &[Fault::RelayWipe, Fault::Partition],
        Mutant::AckBeforeSync => &[Fault::NodePowerCut],
        Mutant::NoOrder => &[Fault::RelayForges, Fault::RelayWithholds],
        Mutant::ReceiptBeforeAttachments => &[Fault::Partition],
    }
}

#[test]
fn every_planted_bug_is_caught() {
    let mut survivors = Vec::new();
    println!("{:<26} {:>7} {:>7}  first seed and what was found", "mutant", "seeds", "caught");
    for mutant in Mutant::ALL {
        mutant::plant(Some(mutant));
        let (mut seeds, mut caught, mut first) = (0, 0, None);
        while seeds < SEEDS_MAX && caught < CATCHES {
            let mut options = Options::from_seed(seeds);
            options.all_given_back = mutant == Mutant::NoAskingBack;
            for fault in faults_against(mutant) {
                if !options.faults.contains(fault) {
                    options.faults.push(*fault);
                }
            }
            seeds += 1;
            if let Err(violated) = sim::run(&options) {
                caught += 1;
                first.get_or_insert(violated);
            }
        }
        mutant::plant(None);
        let found = first.map_or_else(|| "-".to_owned(), |violated| violated.to_string());
        println!("{:<26} {seeds:>7} {caught:>7}  {found:.90}", format!("{mutant:?}"));
        if caught == 0 {
            survivors.push(mutant);
        }
    }
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
