//! A real `tram-node` on a large store and the directory of the whole country: how soon its door opens, and
//! how much memory it holds while nothing happens.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use node::Node;
use node::config::{Config, DataFolder};
use node::keyring::Unlock;
use node::runtime::{ApiAddress, STEP_INPUTS_MAX, now};
use node::step::{Input, Ticket};
use node::store::Store;
use ops::ca::rehearsal::Rehearsal;
use ops::ca::{Cost, Passphrase, Place};
use ops::deployment::{Deployment, NewRegion};
use schema::id::{OfficeId, RegionId};

use super::town::{free_port, wait_for};
use super::workload::{Span, Stopwatch, send};
use super::{Figure, Ground, raw};

/// Events of the store when the caller does not say.
pub(super) const EVENTS_DEFAULT: usize = 1_000_000;
/// How long nothing happens before the memory is looked at.
const IDLE: Duration = Duration::from_secs(3);
const MIB: f64 = 1_048_576.0;

/// A station that is ended with the bench.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It is gone when it cannot be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn bench(ground: &Ground) -> Result<Vec<Figure>> {
    let folder = ground.folder()?;
    let me = std::env::current_exe().context("failed to find the running program")?;
    let program = me.with_file_name("tram-node");
    let missing =
        || format!("`{}` is missing; build it: cargo build --release --workspace", program.display());
    let size = std::fs::metadata(&program).with_context(missing)?.len();
    let data = folder.path().join("station");
    set_up(folder.path(), &data, &program, ground.events)?;

    let database = DataFolder::new(&data).database();
    let cold = forget(&database);
    let opened = open_station(&data)?;
    forget(&database);
    let raw = raw::open(&database)?;
    forget(&database);
    let start = Instant::now();
    let child = Command::new(&program)
        .args(["--data", &data.display().to_string(), "run"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(missing)?;
    let running = Running(child);
    let api = DataFolder::new(&data).api();
    wait_for("the station's door to open", || Ok(ask(&api, "alarms").is_some()))?;
    let started = start.elapsed();
    let start = Instant::now();
    ask(&api, "status").context("the station does not say how it is")?;
    let status = start.elapsed();
    std::thread::sleep(IDLE);
    let memory = resident_bytes(running.0.id())?;
    drop(running);
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let (size, memory) = (size as f64 / MIB, memory as f64 / MIB);
    let events = ground.events;
    let temperature = if cold { "cold" } else { "warm" };
    let millis = |span: Duration| span.as_secs_f64() * 1_000.0;
    Ok(vec![
        Figure::new(
            format!("{temperature} store of {events} events to a working node"),
            millis(opened.wall),
            "ms",
        )
        .at_most(1_000.0)
        .beside("CPU ms", millis(opened.cpu))
        .beside("SQLite alone: open, read the newest row, ms", millis(raw)),
        Figure::new(format!("start with {events} events until the door opens"), started.as_secs_f64(), "s")
            .at_most(1.0),
        Figure::new(format!("its first status, with {events} open sends"), millis(status), "ms"),
        Figure::new(format!("idle memory with {events} events, offline"), memory, "MiB").at_most(64.0),
        Figure::new("tram-node itself", size, "MiB").at_most(25.0),
    ])
}

/// Has the kernel forget what it holds of this file, so that reading it is reading the disk; `false` when it cannot be
/// asked.
fn forget(file: &Path) -> bool {
    let argument = format!("if={}", file.display());
    let asked = Command::new("dd").args([&argument, "iflag=nocache", "count=0", "status=none"]).status();
    asked.is_ok_and(|status| status.success())
}

/// Opens the store as a starting station does: check it, and be ready for the first step.
fn open_station(data: &Path) -> Result<Span> {
    let folder = DataFolder::new(data);
    let config = Config::read(&folder)?;
    let registry = config.load_registry()?;
    let key = node::keyring::read_signing_key(&config.signing_key)?;
    let stopwatch = Stopwatch::start();
    let store = Store::open(&folder.database())?;
    store.self_check(node::runtime::SELF_CHECK_EVENTS)?;
    let mut node = Node::open(store, key, registry, config.office, [4; 32], now())?;
    node.step(Vec::new(), now())?;
    Ok(stopwatch.stop())
}

/// The station of a real deployment, with this many events in its store.
fn set_up(folder: &Path, data: &Path, program: &Path, events: usize) -> Result<()> {
    let passphrase = Passphrase::new("những khoá này không dùng cho việc gì")?;
    let authorities = folder.join("authorities");
    let mut authorities = Rehearsal::found(&authorities, passphrase, Cost::FOR_TESTS, now())?;
    let (unlock, root) = (Unlock::default(), authorities.root_certificate()?);
    let mut deployment = Deployment::open_or_create(&folder.join("deployment"), &unlock, &[root])?;
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
    let region: RegionId = super::workload::REGION.parse()?;
    let port = free_port()?;
    deployment.add_region(&NewRegion {
        id: region.clone(),
        name: "Khu vực một".to_owned(),
        url: format!("nats://{}", at(port)),
        listen: at(port),
        monitor_port: free_port()?,
        status: at(free_port()?),
    })?;
    let country = ops::lookup::load(None)?;
    let offices: Vec<OfficeId> = country.offices().take(3).map(|office| office.id).collect();
    let place = Place::Province("Tỉnh Phú Thọ".to_owned());
    let mut bundles = Vec::new();
    for office in &offices {
        let name = office.to_string();
        bundles.push(deployment.enrol(office, &name, std::slice::from_ref(&region))?);
        let key = ops::deployment::office_key(deployment.folder(), office, &name)?;
        authorities.certify_at(&place, &name, office, &key, now())?;
    }
    deployment.publish(now())?;
    deployment.add(authorities.papers()?)?;
    let (bundle, data_text) = (bundles[0].display().to_string(), data.display().to_string());
    let listen = ["--listen", "127.0.0.1:0", "--allow-unencrypted"];
    let arguments = [&["--data", &data_text, "init", "--bundle", &bundle][..], &listen].concat();
    let made = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let made = made.with_context(|| format!("failed to start `{}`", program.display()))?;
    ensure!(made.status.success(), "`tram-node init` failed: {}", String::from_utf8_lossy(&made.stderr));

    let registry = Config::read(&DataFolder::new(data))?.load_registry()?;
    let key = node::keyring::read_signing_key(&bundles[0].join("node.key"))?;
    let store = Store::open(&DataFolder::new(data).database())?;
    let mut node = Node::open(store, key, registry, offices[0], [3; 32], now())?;
    let mut written = 0;
    while written < events {
        let last = events.min(written + STEP_INPUTS_MAX);
        let inputs = (written..last).map(|n| {
            let command = send(offices[0], n as u64, vec![offices[1 + n % 2]]);
            Input::Command { ticket: Ticket(n as u64), command }
        });
        node.step(inputs.collect(), now())?;
        written = last;
    }
    let found = node.exchange().seq().0;
    ensure!(found == events as u64, "the store has {found} of {events} events");
    Ok(())
}

/// Asks a running station; `None` while its door is shut.
fn ask(api: &Path, what: &str) -> Option<()> {
    let known: ApiAddress = serde_json::from_slice(&std::fs::read(api).ok()?).ok()?;
    let url = format!("http://{}/api/v1/{what}", known.address);
    let answer = ureq::get(&url).header("Authorization", format!("Bearer {}", known.token)).call();
    answer.ok().map(|_| ())
}

/// Memory that a process of this machine holds right now, in bytes.
pub(super) fn resident_bytes(process: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).context("the process has ended")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    Ok(kib.context("the kernel does not say how much memory the process holds")? * 1024)
}
