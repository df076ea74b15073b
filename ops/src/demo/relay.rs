//! A relay as its operator sees it: its folder, its status page and its command line.

use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ops::deployment::install_relay_keys;
use schema::body::Body;
use schema::courier::{CourierReader, Record};
use schema::event::{Kind, RecordedEvent};
use schema::id::{EventId, OfficeId};
use serde_json::Value;

/// Longest wait for one answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Ports are looked for from here on, below the range from which the system gives ports to outgoing connections.
const PORTS_FROM: u16 = 20_000;
const PORTS_UNTIL: u16 = 32_000;

/// One relay.
pub(super) struct RelayHouse {
    pub(super) name: &'static str,
    pub(super) region: &'static str,
    pub(super) folder: PathBuf,
    pub(super) status: String,
}

/// What a relay says about itself.
pub(super) struct RelayGlance {
    pub(super) ready: bool,
    pub(super) sync_always: bool,
}

impl RelayHouse {
    /// Its name among the processes.
    pub(super) fn process(&self) -> String {
        format!("relay {}", self.region)
    }

    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("relay.toml")
    }

    /// `None` while it does not answer.
    pub(super) fn glance(&self) -> Option<RelayGlance> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(ANSWER_WAIT)).build().into();
        let mut answer = agent.get(format!("http://{}/status", self.status)).call().ok()?;
        let status: Value = serde_json::from_slice(&answer.body_mut().read_to_vec().ok()?).ok()?;
        Some(RelayGlance {
            ready: status["ready"] == Value::Bool(true),
            sync_always: status["sync_always"] == Value::Bool(true),
        })
    }

    /// Takes its disk away; says how many bytes were on it. What its operator keeps elsewhere (settings, login, signed
    /// directory) is put back.
    pub(super) fn wipe(&self) -> Result<u64> {
        let data = self.folder.join("data");
        let bytes = size_of(&data);
        fs::remove_dir_all(&data).with_context(|| format!("failed to wipe `{}`", data.display()))?;
        install_relay_keys(&self.folder)?;
        Ok(bytes)
    }

    /// Writes what waits in an office's mailbox to a file.
    pub(super) fn courier_export(&self, program: &Path, office: &OfficeId, out: &Path) -> Result<Value> {
        self.courier(
            program,
            &["export", "--office", &office.to_string(), "--out", &out.display().to_string()],
        )
    }

    /// Hands a file to the relay.
    pub(super) fn courier_import(&self, program: &Path, file: &Path) -> Result<Value> {
        self.courier(program, &["import", &file.display().to_string()])
    }

    fn courier(&self, program: &Path, arguments: &[&str]) -> Result<Value> {
        let output = Command::new(program)
            .arg("courier")
            .args(arguments)
            .arg("--json")
            .arg("--config")
            .arg(self.config())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("failed to start `{}`", program.display()))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("`tram-relay courier {}` at {}: {words}", arguments.join(" "), self.name);
        }
        serde_json::from_slice(&output.stdout).context("`tram-relay courier` did not answer with JSON")
    }
}

/// What a courier file says about its events. Nothing of it is proven: it is looked at, not trusted.
#[derive(Default)]
pub(super) struct Manifest {
    /// The events that carry documents.
    pub(super) dispatches: BTreeSet<EventId>,
    /// Whose receipts for which events are in the file.
    pub(super) receipted: BTreeSet<(OfficeId, EventId)>,
}

impl Manifest {
    pub(super) fn read(file: &Path) -> Result<Self> {
        let attempted = || format!("failed to read the courier file `{}`", file.display());
        let open = fs::File::open(file).with_context(attempted)?;
        let mut manifest = Self::default();
        for record in CourierReader::new(BufReader::new(open)).with_context(attempted)? {
            let Record::Pack(items) = record.with_context(attempted)? else { continue };
            for item in items {
                let recorded = RecordedEvent::read(&item.event).with_context(attempted)?;
                // What documents say is sealed; receipts are for whoever carries them to see.
                if recorded.event.kind == Kind::Dispatch {
                    manifest.dispatches.insert(recorded.id);
                } else if recorded.event.kind == Kind::Receipt
                    && let Body::Receipt(receipt) =
                        Body::read(recorded.version, &recorded.event).with_context(attempted)?
                {
                    let entries = receipt.entries.iter();
                    manifest.receipted.extend(entries.map(|place| (recorded.event.office, place.id)));
                }
            }
        }
        Ok(manifest)
    }
}

fn size_of(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Loopback ports that nobody listens on now.
pub(super) fn free_ports(count: usize, draw: &mut super::papers::Typist) -> Result<Vec<u16>> {
    let span = usize::from(PORTS_UNTIL - PORTS_FROM);
    let first = draw.draw(span);
    let mut held = Vec::new();
    let candidates = (0..span).filter_map(|n| u16::try_from((first + n) % span).ok()).map(|n| PORTS_FROM + n);
    for port in candidates {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            held.push((port, listener));
        }
        if held.len() == count {
            return Ok(held.into_iter().map(|(port, _)| port).collect());
        }
    }
    bail!("no {count} free ports between {PORTS_FROM} and {PORTS_UNTIL} on this machine")
}
