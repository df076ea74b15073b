//! The relay's own NATS server: its configuration, generated from the directory, and the child process.
//!
//! Offices and peers never get JetStream powers. The streams live in account CORE; offices sit in UNITS,
//! peers in PEERS, and both reach it by service imports only: in one account an office could make the server
//! write into another's mailbox by pointing a reply subject there. No leaf nodes, gateways, websocket or
//! MQTT.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use schema::directory::Directory;
use schema::id::{OfficeId, RegionId};
use schema::wire;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::config::Config;
use crate::monitor;
use crate::runtime::stopped;
use crate::status::Book;

/// The oldest server whose `sync_interval: always` and consumer reset are known to hold.
pub const VERSION_MIN: (u32, u32) = (2, 15);

/// Room for the streams of this many peer regions; only a number in the configuration, nothing is set aside.
const PEERS_MAX: u64 = 256;
/// Longest wait before a server that died is started again.
const RESTART_MS_MAX: u64 = 5_000;
/// How long a server may take to stop before it is killed.
const STOP_SECONDS_MAX: u64 = 20;
/// How often the child's health is asked for.
const HEALTH_SECONDS: u64 = 10;
/// Bad answers in a row before the server is started anew: an I/O error freezes a stream until then.
const UNHEALTHY_MAX: u32 = 6;

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No program.
    #[error(
        "no `nats-server` was found in the configuration, in TRAM_NATS_SERVER, in .tram/bin or on PATH; \
         run ops/install.sh"
    )]
    NotFound,
    /// It does not say its version.
    #[error("`{program}` could not be asked for its version")]
    Version {
        /// Which program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Too old.
    #[error("`{program}` is `{found}`, at least 2.15 is needed; run ops/install.sh")]
    TooOld {
        /// Which program.
        program: PathBuf,
        /// What it says.
        found: String,
    },
    /// Its configuration cannot be written.
    #[error("the server configuration `{path}` cannot be written")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The program to run: from the configuration, `TRAM_NATS_SERVER`, `.tram/bin` below the working folder, or
/// `PATH`.
///
/// # Errors
/// When there is none.
pub fn find_program(configured: Option<&Path>) -> Result<PathBuf, ServerError> {
    let from_environment = std::env::var_os("TRAM_NATS_SERVER").map(PathBuf::from);
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    configured
        .map(Path::to_owned)
        .into_iter()
        .chain(from_environment)
        .chain(std::env::current_dir().ok().map(|folder| folder.join(".tram/bin/nats-server")))
        .chain(std::env::split_paths(&on_path).map(|folder| folder.join("nats-server")))
        .find(|path| path.is_file())
        .ok_or(ServerError::NotFound)
}

/// Refuses a server that is too old.
///
/// # Errors
/// When it cannot be asked or is older than [`VERSION_MIN`].
pub async fn check_version(program: &Path) -> Result<String, ServerError> {
    let output = Command::new(program)
        .arg("--version")
        .output()
        .await
        .map_err(|source| ServerError::Version { program: program.to_owned(), source })?;
    let found: String = String::from_utf8_lossy(&output.stdout).trim().chars().take(80).collect();
    match version_in(&found) {
        Some(version) if version >= VERSION_MIN => Ok(found),
        _ => Err(ServerError::TooOld { program: program.to_owned(), found }),
    }
}

fn version_in(text: &str) -> Option<(u32, u32)> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut parts = digits.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The server's configuration. The same inputs give the same text, so an unchanged one needs no reload.
pub fn configuration(config: &Config, directory: &Directory, relay_login: &str) -> String {
    let limits = &config.limits;
    let region = &config.region;
    let log = config.data_dir.join("nats.log");
    let store = config.data_dir.join("jetstream");
    let store_max = limits.up_bytes_max
        + limits.peers_bytes_max
        + limits.mailboxes_bytes_max
        + limits.quarantine_bytes_max
        + limits.out_bytes_max * PEERS_MAX;
    let mut units = String::new();
    for office in directory.offices_in(region) {
        if let Some(login) = &office.login {
            let _ = writeln!(units, "      {}", office_user(&office.id, login));
        }
    }
    let mut peers = String::new();
    for peer in directory.regions().filter(|peer| peer.id != *region) {
        if let Some(login) = &peer.login {
            let _ = writeln!(peers, "      {}", peer_user(&peer.id, login));
        }
    }
    format!(
        r#"# Written by tram-relay from the directory, version {version}; changes here are overwritten.
server_name: "tram-{region}"
listen: "{listen}"
http: "127.0.0.1:{monitor}"
log_file: {log:?}
logfile_size_limit: 64MB
logfile_max_num: 4
max_payload: 1MB
max_connections: {connections}
max_control_line: 4KB
max_pending: 16MB
write_deadline: "10s"
# The default of two minutes notices a silent line after five.
ping_interval: "20s"
ping_max: 2
lame_duck_duration: "30s"
lame_duck_grace_period: "5s"
jetstream {{
  store_dir: {store:?}
  max_mem: 64MB
  max_file: {store_max}
  # Synced before acknowledged; the default is two minutes after.
  sync_interval: always
}}
accounts {{
  SYS {{}}
  CORE {{
    jetstream: enabled
    users: [ {{ nkey: {relay_login} }} ]
    exports: [
      {{ service: "t.up.*.ev", accounts: [UNITS] }}
      {{ service: "t.rq.*.blob", accounts: [UNITS] }}
      {{ service: "t.rq.*.reg", accounts: [UNITS] }}
      {{ service: "$JS.API.CONSUMER.MSG.NEXT.DN.*", response_type: stream, accounts: [UNITS] }}
      {{ service: "$JS.API.CONSUMER.INFO.DN.*", accounts: [UNITS] }}
      {{ service: "$JS.ACK.DN.>", accounts: [UNITS] }}
      {{ service: "$JS.ACK.*.*.DN.>", accounts: [UNITS] }}
      {{ service: "t.px.*.ev", accounts: [PEERS] }}
      {{ service: "t.pr.*.blob", accounts: [PEERS] }}
      {{ service: "t.pr.*.reg", accounts: [PEERS] }}
    ]
  }}
  UNITS {{
    users: [
{units}    ]
    imports: [
      {{ service: {{ account: CORE, subject: "t.up.*.ev" }} }}
      {{ service: {{ account: CORE, subject: "t.rq.*.blob" }} }}
      {{ service: {{ account: CORE, subject: "t.rq.*.reg" }} }}
      {{ service: {{ account: CORE, subject: "$JS.API.{next}" }}, to: "{api}.{next}" }}
      {{ service: {{ account: CORE, subject: "$JS.API.{info}" }}, to: "{api}.{info}" }}
      {{ service: {{ account: CORE, subject: "$JS.ACK.DN.>" }} }}
      {{ service: {{ account: CORE, subject: "$JS.ACK.*.*.DN.>" }} }}
    ]
  }}
  PEERS {{
    users: [
{peers}    ]
    imports: [
      {{ service: {{ account: CORE, subject: "t.px.*.ev" }} }}
      {{ service: {{ account: CORE, subject: "t.pr.*.blob" }} }}
      {{ service: {{ account: CORE, subject: "t.pr.*.reg" }} }}
    ]
  }}
}}
system_account: SYS
"#,
        version = directory.version(),
        listen = config.listen,
        monitor = config.monitor_port,
        connections = limits.connections_max,
        api = wire::OFFICE_API_PREFIX,
        next = "CONSUMER.MSG.NEXT.DN.*",
        info = "CONSUMER.INFO.DN.*",
    )
}

/// An office publishes as itself and pulls its own mailbox; nothing else.
fn office_user(office: &OfficeId, login: &str) -> String {
    let (up, requests) = (wire::up(office), wire::blob_request(office));
    let (api, consumer) = (wire::OFFICE_API_PREFIX, wire::mailbox_consumer(office));
    let inbox = wire::inbox_prefix(office);
    let publish = [
        up,
        requests,
        wire::registry_request(office),
        format!("{api}.CONSUMER.MSG.NEXT.DN.{consumer}"),
        format!("{api}.CONSUMER.INFO.DN.{consumer}"),
        format!("$JS.ACK.DN.{consumer}.>"),
        // The form that servers from 2.16 on use.
        format!("$JS.ACK.*.*.DN.{consumer}.>"),
    ];
    user(login, &publish, &inbox)
}

/// A peer publishes into its own subject and asks for attachments; it reads nothing.
fn peer_user(region: &RegionId, login: &str) -> String {
    let (events, requests) = (wire::peer(region), wire::peer_blob_request(region));
    let inbox = peer_inbox_prefix(region);
    user(login, &[events, requests, wire::peer_registry_request(region)], &inbox)
}

fn user(login: &str, publish: &[String], inbox: &str) -> String {
    let publish: Vec<_> = publish.iter().map(|subject| format!("\"{subject}\"")).collect();
    let (publish, subscribe) = (publish.join(", "), format!("\"{inbox}.>\""));
    format!("{{ nkey: {login}, permissions: {{ publish: [{publish}], subscribe: [{subscribe}] }} }}")
}

/// Prefix of a peer relay's reply subjects.
pub fn peer_inbox_prefix(region: &RegionId) -> String {
    format!("_INBOX_{region}")
}

fn configuration_path(config: &Config) -> PathBuf {
    let path = config.data_dir.join("nats.conf");
    // Told apart from other relays' children by its full path.
    std::path::absolute(&path).unwrap_or(path)
}

/// Writes the configuration if it changed; says whether it did.
pub(crate) fn write_configuration(config: &Config, text: &str) -> Result<bool, ServerError> {
    let path = configuration_path(config);
    let write = |source| ServerError::Write { path: path.clone(), source };
    if fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return Ok(false);
    }
    fs::create_dir_all(&config.data_dir).map_err(write)?;
    let draft = path.with_extension("new");
    fs::write(&draft, text).and_then(|()| fs::rename(&draft, &path)).map_err(write)?;
    Ok(true)
}

/// Keeps a server running until `stop`; starts it again when it dies, reloads it on every change of `reload`.
pub(crate) async fn supervise(
    config: Arc<Config>,
    program: PathBuf,
    mut reload: watch::Receiver<u64>,
    mut stop: watch::Receiver<bool>,
    book: Arc<Book>,
) {
    let path = configuration_path(&config);
    let mut wait_ms = 100;
    while !*stop.borrow() {
        stop_leftovers(&program, &path).await;
        let started = tokio::time::Instant::now();
        let child = Command::new(&program)
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                tracing::error!(program = %program.display(), %error, "cannot start the NATS server");
                tokio::time::sleep(Duration::from_millis(RESTART_MS_MAX)).await;
                continue;
            }
        };
        let pid = child.id().unwrap_or_default();
        tracing::info!(pid, "NATS server started");
        match watch_child(&config, &program, &mut child, &mut reload, &mut stop).await {
            Ended::Stopped => {
                end(&program, &mut child).await;
                tracing::info!(pid, "NATS server stopped");
                return;
            }
            Ended::Unhealthy => {
                book.server_restarted("the NATS server stayed unhealthy and was started anew");
                end(&program, &mut child).await;
            }
            Ended::Died(how) => {
                book.server_restarted(&format!(
                    "the NATS server died ({how}); see nats.log; it is started again"
                ));
            }
        }
        if started.elapsed() > Duration::from_secs(60) {
            wait_ms = 100;
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            () = stopped(&mut stop) => {}
        }
        wait_ms = (wait_ms * 2).min(RESTART_MS_MAX);
    }
}

enum Ended {
    Stopped,
    Unhealthy,
    Died(String),
}

async fn watch_child(
    config: &Config,
    program: &Path,
    child: &mut Child,
    reload: &mut watch::Receiver<u64>,
    stop: &mut watch::Receiver<bool>,
) -> Ended {
    let mut health = tokio::time::interval(Duration::from_secs(HEALTH_SECONDS));
    let mut unhealthy = 0;
    let monitor_url = config.own_monitor_url().unwrap_or_default();
    loop {
        tokio::select! {
            status = child.wait() => {
                let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                return Ended::Died(how);
            }
            () = stopped(stop) => return Ended::Stopped,
            changed = reload.changed() => {
                if changed.is_ok() && let Some(pid) = child.id() {
                    signal(program, "reload", pid).await;
                }
            }
            _ = health.tick() => {
                match monitor::fetch(&monitor_url, "/healthz").await {
                    Ok(_) => unhealthy = 0,
                    // It may still be opening its streams, which takes as long as it takes.
                    Err(error) if error.is_answer() => {
                        unhealthy += 1;
                        tracing::warn!(%error, unhealthy, "the NATS server says it is unhealthy");
                    }
                    Err(_) => {}
                }
                if unhealthy >= UNHEALTHY_MAX {
                    return Ended::Unhealthy;
                }
            }
        }
    }
}

async fn end(program: &Path, child: &mut Child) {
    if let Some(pid) = child.id() {
        signal(program, "quit", pid).await;
    }
    if tokio::time::timeout(Duration::from_secs(STOP_SECONDS_MAX), child.wait()).await.is_err() {
        // Everything acknowledged is synced, so a kill costs no more than a power cut.
        let _ = child.kill().await;
    }
}

/// The server's own program sends the signal, to one process by its number.
async fn signal(program: &Path, what: &str, pid: u32) {
    let sent = Command::new(program)
        .arg("--signal")
        .arg(format!("{what}={pid}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await;
    if let Err(error) = sent {
        tracing::warn!(what, pid, %error, "cannot signal the NATS server");
    }
}

/// A relay that was killed leaves its server behind, which still holds the port and perhaps a store that is
/// gone. It is known by the path of its configuration.
async fn stop_leftovers(program: &Path, configuration: &Path) {
    for what in ["quit", "stop"] {
        let pids = leftovers(configuration);
        if pids.is_empty() {
            return;
        }
        for pid in &pids {
            tracing::warn!(pid, what, "stopping the NATS server that an earlier relay left behind");
            signal(program, what, *pid).await;
        }
        for _ in 0..STOP_SECONDS_MAX * 20 {
            if leftovers(configuration).is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn leftovers(configuration: &Path) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let wanted = configuration.as_os_str().as_encoded_bytes();
    let runs_it = |process: &fs::DirEntry| {
        let Ok(line) = fs::read(process.path().join("cmdline")) else { return false };
        let mut arguments = line.split(|byte| *byte == 0);
        arguments.next().is_some_and(|name| name.ends_with(b"nats-server"))
            && arguments.next() == Some(b"-c")
            && arguments.next() == Some(wanted)
            && !is_zombie(&process.path())
    };
    processes
        .flatten()
        .filter(runs_it)
        .filter_map(|process| process.file_name().to_str()?.parse().ok())
        .collect()
}

/// A process that has ended and was not yet collected holds neither port nor store.
fn is_zombie(process: &Path) -> bool {
    let stat = fs::read_to_string(process.join("stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_what_the_server_says() {
        assert_eq!(version_in("nats-server: v2.15.1"), Some((2, 15)));
        assert!(version_in("nats-server: v2.9.25").expect("a version") < VERSION_MIN);
        assert_eq!(version_in("nothing"), None);
    }

    #[test]
    fn permissions_name_one_office_and_hold_no_wildcard_for_others() {
        let office = OfficeId::new([0xab; 16]);
        let user = office_user(&office, "ULOGIN");
        let subjects: Vec<_> = user.split('"').skip(1).step_by(2).collect();
        assert_eq!(subjects.len(), 8);
        assert!(subjects.iter().all(|subject| subject.contains(&office.to_string())), "{subjects:?}");
    }
}
