//! `tram-sim`: runs simulated countries from seeds, and replays one that failed.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chaos_tests::sim::{self, Fault, Options, Report, Violated};
use clap::{Parser, ValueEnum};

/// Runs simulated countries: real node and relay code, virtual clock, lossy lines, disks that lose power.
#[derive(Parser)]
#[command(name = "tram-sim", version)]
struct Args {
    /// Replay this one seed and print its scenario.
    #[arg(long)]
    seed: Option<u64>,
    /// With `--seed`: print every step.
    #[arg(long)]
    trace: bool,
    /// First seed of a series.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    runs: u64,
    /// Threads; each runs whole countries of its own.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Go on after a violation and report them all.
    #[arg(long)]
    keep_going: bool,
    /// Add this kind of fault to every scenario; may be given several times.
    #[arg(long)]
    also: Vec<Fault>,
    /// Take this kind of fault out of every scenario; may be given several times.
    #[arg(long)]
    without: Vec<Fault>,
    /// Also require that every document a clerk has is known to its sender again, given back after any restore.
    #[arg(long)]
    given_back: bool,
    /// Few documents and faults in every scenario: for a quick look after a change.
    #[arg(long)]
    fast: bool,
    /// Print the reports as JSON, one a line.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match args.seed {
        Some(seed) => replay(&args.scenario(seed), args.json, args.trace),
        None => series(&args),
    }
}

impl Args {
    fn scenario(&self, seed: u64) -> Options {
        let mut options = Options::from_seed(seed);
        if self.fast {
            options = options.shortened();
        }
        options.all_given_back = self.given_back;
        options.faults.retain(|fault| !self.without.contains(fault));
        for fault in &self.also {
            if !options.faults.contains(fault) {
                options.faults.push(*fault);
            }
        }
        options
    }

    /// What makes a replay the same scenario.
    fn changes(&self) -> String {
        let name = |fault: &Fault| Some(fault.to_possible_value()?.get_name().to_owned());
        let mut changes = String::new();
        for (option, faults) in [("also", &self.also), ("without", &self.without)] {
            changes.extend(faults.iter().filter_map(name).map(|name| format!(" --{option} {name}")));
        }
        for (option, given) in [(" --given-back", self.given_back), (" --fast", self.fast)] {
            changes += if given { option } else { "" };
        }
        changes
    }
}

fn replay(options: &Options, json: bool, trace: bool) -> ExitCode {
    if !json {
        println!("{options:#?}");
    }
    let mut print = |line: &str| println!("{line}");
    let listener: Option<sim::Listener<'_>> = if trace { Some(&mut print) } else { None };
    match sim::run_telling(options, listener) {
        Ok(report) => {
            println!("{}", serde_json::to_string(&report).expect("a report is plain data"));
            ExitCode::SUCCESS
        }
        Err(violated) => {
            eprintln!("{violated}");
            ExitCode::FAILURE
        }
    }
}

fn series(args: &Args) -> ExitCode {
    let started = Instant::now();
    let next = AtomicU64::new(args.from);
    let end = args.from + args.runs;
    let reports: Mutex<Vec<Report>> = Mutex::default();
    let violations: Mutex<Vec<Violated>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..args.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let stop = !args.keep_going && !violations.lock().expect("no panics hold it").is_empty();
                    if seed >= end || stop {
                        return;
                    }
                    match sim::run(&args.scenario(seed)) {
                        Ok(report) => {
                            if args.json {
                                println!(
                                    "{}",
                                    serde_json::to_string(&report).expect("a report is plain data")
                                );
                            }
                            reports.lock().expect("no panics hold it").push(report);
                        }
                        Err(violated) => violations.lock().expect("no panics hold it").push(violated),
                    }
                }
            });
        }
    });
    let reports = reports.into_inner().expect("all threads have ended");
    let mut violations = violations.into_inner().expect("all threads have ended");
    violations.sort_by_key(|violated| violated.seed);
    for violated in &violations {
        eprintln!(
            "{violated}\n  replay: cargo run --release -p chaos-tests --bin tram-sim -- --seed {}{}",
            violated.seed,
            args.changes()
        );
    }
    let runs = reports.len() + violations.len();
    let minutes = started.elapsed().as_secs_f64() / 60.0;
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    eprintln!(
        "{runs} runs, {} sends, {} faults, {} node steps, {:.0} simulated days; {} violations; {:.0} runs a minute",
        sum(|report| report.sends as u64),
        sum(|report| report.faults),
        sum(|report| report.steps),
        sum(|report| report.simulated_ms) as f64 / 86_400_000.0,
        violations.len(),
        runs as f64 / minutes,
    );
    if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
