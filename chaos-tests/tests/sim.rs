//! The simulated country, a few hundred seeds on every push; `tram-sim` runs as many as you like.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use chaos_tests::sim::{self, Options, Violated};

/// Seeds of the default run; `TRAM_SIM_SEEDS` asks for more.
const SEEDS: u64 = 120;
/// Seeds that once failed stay in the corpus.
const CORPUS: [u64; 12] = [0, 3, 15, 18, 33, 70, 82, 107, 117, 137, 177, 234];

fn run_all(seeds: &[u64]) -> Vec<Violated> {
    let next = AtomicU64::new(0);
    let violations = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = usize::try_from(next.fetch_add(1, Ordering::Relaxed))
                    .ok()
                    .and_then(|index| seeds.get(index))
                {
                    if let Err(violated) = sim::run(&Options::from_seed(*seed)) {
                        violations.lock().expect("no panic holds it").push(violated);
                    }
                }
            });
        }
    });
    violations.into_inner().expect("all threads have ended")
}

#[test]
fn country_keeps_its_promises_under_faults_and_becomes_quiet_after_them() {
    let wanted = std::env::var("TRAM_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SEEDS);
    let seeds: Vec<u64> = CORPUS.into_iter().chain(1_000..1_000 + wanted).collect();
    let violations = run_all(&seeds);
    let lines: Vec<String> = violations
        .iter()
        .map(|violated| {
            let seed = violated.seed;
            format!("{violated}\n  replay: cargo run --release -p chaos-tests --bin tram-sim -- --seed {seed} --trace")
        })
        .collect();
    assert!(lines.is_empty(), "{} of {} seeds:\n{}", lines.len(), seeds.len(), lines.join("\n"));
}

#[test]
fn same_seed_gives_the_same_trace() {
    for seed in [1, 2, 5, 8] {
        let options = Options::from_seed(seed);
        let [first, second] = [(); 2].map(|()| sim::run(&options).map(|report| report.trace));
        assert_eq!(first.ok(), second.ok(), "seed {seed}");
    }
}
