//! The country while it runs: processes, stations, relays, and the ledger of everything that was sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use schema::id::{DocumentId, OfficeId};

use super::cast::{ASLEEP, BY_COURIER, OFFICES, Part, parts};
use super::papers::{Paper, Typist};
use super::process::Household;
use super::relay::RelayHouse;
use super::stage::Stage;
use super::station::Station;

/// Pause between two looks at something that is being waited for.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Set by Ctrl-C or SIGTERM.
pub(super) static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// One look at something that is being waited for.
pub(super) enum Look<T> {
    /// It is so.
    Seen(T),
    /// It is not so yet; how far it is, in words.
    NotYet(String),
}

/// A document that a station answered for.
pub(super) struct Sent {
    pub(super) document: DocumentId,
    pub(super) from: Part,
    pub(super) to: Vec<Part>,
}

/// The programs of the country.
pub(super) struct Programs {
    pub(super) node: PathBuf,
    pub(super) relay: PathBuf,
}

/// The country.
pub(super) struct World {
    // First, so that an error on any way out ends the processes before anything else goes away.
    pub(super) household: Household,
    pub(super) stage: Stage,
    pub(super) folder: PathBuf,
    pub(super) programs: Programs,
    pub(super) relays: Vec<RelayHouse>,
    pub(super) stations: Vec<Station>,
    pub(super) ledger: Vec<Sent>,
    pub(super) typist: Typist,
    /// Offices whose station runs.
    pub(super) running: BTreeSet<Part>,
}

impl World {
    pub(super) fn station(&self, part: Part) -> &Station {
        &self.stations[part.0]
    }

    pub(super) fn name(&self, part: Part) -> &str {
        &self.station(part).name
    }

    pub(super) fn names(&self, parts: &[Part]) -> String {
        parts.iter().map(|part| self.name(*part)).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn office(&self, part: Part) -> OfficeId {
        self.station(part).office
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{}.log", name.replace(' ', "-")))
    }

    /// Runs a program to its end.
    pub(super) fn call(&self, program: &Path, arguments: &[&str]) -> Result<String> {
        let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("failed to start `{}`", program.display()))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("`{} {}` failed: {words}", program.display(), arguments.join(" "));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until `look` has seen what it looks for. Fails when that takes too long, when a process ends meanwhile, and
    /// when somebody interrupts.
    pub(super) fn wait<T>(
        &mut self,
        what: &str,
        seconds_max: u64,
        mut look: impl FnMut(&mut Self) -> Result<Look<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + Duration::from_secs(seconds_max);
        loop {
            if INTERRUPTED.load(Ordering::Relaxed) {
                bail!("interrupted while waiting for {what}");
            }
            self.household.check()?;
            match look(self)? {
                Look::Seen(seen) => return Ok(seen),
                Look::NotYet(state) if Instant::now() > deadline => {
                    bail!("waited {seconds_max} s for {what}: {state}\n{}", self.household.last_words());
                }
                Look::NotYet(state) => self.stage.waiting(&format!("{what}: {state}")),
            }
            sleep(LOOK_EVERY);
        }
    }

    /// Starts stations and waits until their doors are open.
    pub(super) fn start_stations(&mut self, which: &[Part]) -> Result<()> {
        for part in which {
            let (name, data) = (self.station(*part).process(), self.station(*part).data.clone());
            let log = self.log(part.role().folder);
            let program = self.programs.node.clone();
            self.household.start(&name, &program, &["--data", &data.display().to_string(), "run"], &log)?;
        }
        let mut closed: BTreeSet<Part> = which.iter().copied().collect();
        self.wait("the stations' doors to open", 30, |world| {
            for part in closed.clone() {
                if world.stations[part.0].find_door()?.is_some() {
                    closed.remove(&part);
                }
            }
            Ok(if closed.is_empty() {
                Look::Seen(())
            } else {
                Look::NotYet(format!("{} are closed", closed.len()))
            })
        })?;
        self.running.extend(which);
        Ok(())
    }

    /// Stops a station as its clerk does at the end of the day.
    pub(super) fn stop_station(&mut self, part: Part) -> Result<()> {
        self.stations[part.0].close();
        self.running.remove(&part);
        let name = self.station(part).process();
        self.household.stop(&name)
    }

    /// Starts relays; does not wait.
    pub(super) fn start_relays(&mut self, which: &[usize]) -> Result<()> {
        for relay in which {
            let (name, config) = (self.relays[*relay].process(), self.relays[*relay].config());
            let log = self.log(&name);
            let program = self.programs.relay.clone();
            self.household.start(
                &name,
                &program,
                &["run", "--config", &config.display().to_string()],
                &log,
            )?;
        }
        Ok(())
    }

    /// Waits until relays take messages.
    pub(super) fn relays_ready(&mut self, which: &[usize]) -> Result<()> {
        self.wait("relays to take messages", 30, |world| {
            let waiting: Vec<&str> = which
                .iter()
                .filter(|relay| !world.relays[**relay].glance().is_some_and(|glance| glance.ready))
                .map(|relay| world.relays[*relay].region)
                .collect();
            Ok(if waiting.is_empty() { Look::Seen(()) } else { Look::NotYet(waiting.join(", ")) })
        })
    }

    /// Sends a document and notes that the station answered for it.
    pub(super) fn send(&mut self, from: Part, to: &[Part], paper: &Paper) -> Result<DocumentId> {
        let offices: Vec<OfficeId> = to.iter().map(|part| self.office(*part)).collect();
        let document = self.station(from).send(&offices, paper)?;
        self.ledger.push(Sent { document, from, to: to.to_vec() });
        Ok(document)
    }

    /// Sends an ordinary letter.
    pub(super) fn send_letter(&mut self, from: Part, to: &[Part]) -> Result<DocumentId> {
        let paper = self.typist.letter(from);
        self.send(from, to, &paper)
    }

    /// How many receipts are awaited, of all sends from somebody to somebody, and how many there are.
    pub(super) fn receipts(&self, awaited: &dyn Fn(Part, Part) -> bool) -> Result<(u64, u64)> {
        let mut arrived: BTreeMap<(Part, DocumentId), u64> = BTreeMap::new();
        for part in self.running.iter().copied() {
            for (document, _, receipts) in self.station(part).outgoing()? {
                arrived.insert((part, document), receipts);
            }
        }
        let (mut expected, mut found) = (0, 0);
        for sent in self.ledger.iter().filter(|sent| self.running.contains(&sent.from)) {
            let due = sent.to.iter().filter(|to| awaited(sent.from, **to)).count() as u64;
            expected += due;
            let receipts = arrived.get(&(sent.from, sent.document));
            let receipts = *receipts
                .with_context(|| format!("{} has forgotten {}", self.name(sent.from), sent.document))?;
            found += receipts.min(due);
        }
        Ok((expected, found))
    }

    /// Waits until every receipt that is awaited is there.
    pub(super) fn all_receipts(
        &mut self,
        what: &str,
        seconds_max: u64,
        awaited: &dyn Fn(Part, Part) -> bool,
    ) -> Result<u64> {
        self.wait(what, seconds_max, |world| {
            let (expected, found) = world.receipts(awaited)?;
            Ok(if found == expected {
                Look::Seen(found)
            } else {
                Look::NotYet(format!("{found} of {expected} receipts"))
            })
        })
    }

    /// Where a courier puts a file.
    pub(super) fn stick(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join("usb-stick");
        fs::create_dir_all(&folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
        Ok(folder.join(format!("{name}.tram")))
    }
}

/// Everybody who has a line and is awake.
pub(super) fn on_line() -> Vec<Part> {
    parts().filter(|part| *part != BY_COURIER && *part != ASLEEP).collect()
}

/// Everybody.
pub(super) fn everybody() -> Vec<Part> {
    (0..OFFICES.len()).map(Part).collect()
}
