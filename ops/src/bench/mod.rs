//! `tram bench`: figures next to a baseline from the same run, and next to the budgets that were promised.
//!
//! A bench informs: a budget that is missed is said, and the exit status stays 0. Rates are wall-clock on a
//! machine that may do other things as well, so the load is printed, and the baseline of each figure is
//! measured beside it: read the two together.

mod append;
mod attachments;
mod directory;
mod end_to_end;
mod idle;
mod proxy;
mod raw;
mod reconnect;
mod replay;
mod search;
mod town;
mod verify;
mod workload;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::ValueEnum;
use ops::table::{Align, Table};
use serde::Serialize;

#[derive(clap::Args)]
pub(super) struct Options {
    /// What to measure.
    #[arg(value_enum, default_value_t = What::All)]
    what: What,
    /// Events in the store whose start and idle memory are measured.
    #[arg(long, default_value_t = idle::EVENTS_DEFAULT)]
    events: usize,
    /// Documents in the store whose lists are read and searched; 3,600,000 are ten years of a ministry.
    #[arg(long, default_value_t = search::DOCUMENTS_DEFAULT)]
    documents: u64,
    /// Where the stores are made and removed again: a folder on the disk that is to be measured. The system's
    /// folder for temporary files when left out.
    #[arg(long)]
    disk: Option<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Sign and append, durable.
    Append,
    /// Verify, store and receipt what came in, durable.
    Verify,
    /// Replay from zero.
    Replay,
    /// Through two relays and back.
    EndToEnd,
    /// A large attachment through a relay, and what memory it takes.
    Attachments,
    /// Bytes and round trips of a reconnect.
    Reconnect,
    /// The directory of the whole country.
    Directory,
    /// Lists and searches among many documents.
    Search,
    /// Start and memory of an idle station.
    Idle,
    /// Everything.
    All,
    /// Opens the directory in the file named as the disk and says how much memory that takes: the bench of the
    /// directory asks this of a process of its own.
    #[value(hide = true)]
    HoldsDirectory,
}

/// What was promised (design section 11).
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Budget {
    AtLeast(f64),
    AtMost(f64),
}

impl Budget {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// One line of the table.
#[derive(Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<Budget>,
    /// What the machine gives without Trạm, in the same run and unit.
    baselines: Vec<Baseline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    met: Option<bool>,
}

#[derive(Clone, Serialize)]
struct Baseline {
    name: String,
    value: f64,
}

impl Figure {
    fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, budget: None, baselines: Vec::new(), met: None }
    }

    fn at_least(self, least: f64) -> Self {
        self.promised(Budget::AtLeast(least))
    }

    fn at_most(self, most: f64) -> Self {
        self.promised(Budget::AtMost(most))
    }

    fn promised(mut self, budget: Budget) -> Self {
        self.met = Some(budget.is_met(self.value));
        self.budget = Some(budget);
        self
    }

    fn beside(mut self, name: impl Into<String>, value: f64) -> Self {
        self.baselines.push(Baseline { name: name.into(), value });
        self
    }
}

/// Where the benches put their stores, and how large the slow one is.
struct Ground {
    disk: PathBuf,
    events: usize,
    documents: u64,
}

impl Ground {
    fn folder(&self) -> Result<tempfile::TempDir> {
        let made = tempfile::Builder::new().prefix("tram-bench-").tempdir_in(&self.disk);
        made.with_context(|| format!("failed to make a folder in `{}`", self.disk.display()))
    }
}

pub(super) fn run(options: &Options) -> Result<ExitCode> {
    if options.what == What::HoldsDirectory {
        let file = options.disk.as_deref().context("no file of a directory was named")?;
        return directory::hold(file).map(|()| ExitCode::SUCCESS);
    }
    let ground = Ground {
        disk: options.disk.clone().unwrap_or_else(std::env::temp_dir),
        events: options.events.max(1),
        documents: options.documents.max(search::DOCUMENTS_MIN),
    };
    type Bench = fn(&Ground) -> Result<Vec<Figure>>;
    let benches: [(What, &str, Bench); 9] = [
        (What::Directory, "directory", directory::bench),
        (What::Append, "append", append::bench),
        (What::Verify, "verify", verify::bench),
        (What::Replay, "replay", replay::bench),
        (What::EndToEnd, "end-to-end", end_to_end::bench),
        (What::Attachments, "attachments", attachments::bench),
        (What::Reconnect, "reconnect", reconnect::bench),
        (What::Search, "search", search::bench),
        (What::Idle, "idle", idle::bench),
    ];
    let wanted = benches.iter().filter(|(what, ..)| options.what == What::All || options.what == *what);
    let load_before = load();
    let mut figures = Vec::new();
    for (_, name, bench) in wanted {
        eprintln!("tram bench: {name} …");
        figures.extend(bench(&ground).with_context(|| format!("bench `{name}`"))?);
    }
    let load_after = load();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if options.json {
        super::print_json(&serde_json::json!({
            "cores": cores, "load_before": load_before, "load_after": load_after, "figures": figures,
        }))?;
    } else {
        let shown = format!(
            "{cores} cores; load over one minute {load_before} before, {load_after} after (an idle machine has 0)\n\n{}",
            table(&figures)
        );
        super::print(&shown)?;
    }
    let missed = figures.iter().filter(|figure| figure.met == Some(false)).count();
    if missed > 0 {
        eprintln!("tram bench: {missed} figures miss their budget");
    }
    Ok(ExitCode::SUCCESS)
}

/// The load over the last minute, as the kernel says it.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

fn table(figures: &[Figure]) -> String {
    let mut table = Table::new(&[
        ("figure", Align::Left),
        ("measured", Align::Right),
        ("unit", Align::Left),
        ("budget", Align::Right),
        ("verdict", Align::Left),
        ("beside it, in the same run", Align::Left),
    ]);
    for figure in figures {
        let budget = match figure.budget {
            Some(Budget::AtLeast(least)) => format!("≥ {}", number(least)),
            Some(Budget::AtMost(most)) => format!("≤ {}", number(most)),
            None => String::new(),
        };
        let verdict = match figure.met {
            Some(true) => "met",
            Some(false) => "NOT MET",
            None => "",
        };
        let beside: Vec<String> =
            figure.baselines.iter().map(|base| format!("{} {}", base.name, number(base.value))).collect();
        table.row([
            figure.name.clone(),
            number(figure.value),
            figure.unit.to_owned(),
            budget,
            verdict.to_owned(),
            beside.join("; "),
        ]);
    }
    table.to_string()
}

/// A number for people: thousands grouped, and decimals only where they say something.
fn number(value: f64) -> String {
    if value < 100.0 && value.fract() != 0.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_short() {
        let shown = [0.0, 7.0, 1.54, 999.6, 12_345.6, 1_234_567.0].map(number);
        assert_eq!(shown, ["0", "7", "1.5", "1,000", "12,346", "1,234,567"]);
    }

    #[test]
    fn missed_budget_is_said() {
        let met = Figure::new("a", 5_000.0, "events/s").at_least(5_000.0).beside("raw", 9_000.0);
        let missed = Figure::new("b", 4_097.0, "B").at_most(4_096.0);
        let text = table(&[met, missed]);
        assert!(text.contains("≥ 5,000  met      raw 9,000"), "{text}");
        assert!(text.contains("≤ 4,096  NOT MET"), "{text}");
    }
}
