//! Looks at one machine and says in words what is wrong with it, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use node::config::{Config, DataFolder};
use node::keyring::{KeyringError, Login, Protection, Unlock};
use node::sealing::{SEALING_KEY_DAYS_MAX, Sealing, SealingKeys};
use node::store::Reader;
use node::words::with_causes;
use schema::event::key_id;
use schema::id::{OfficeId, Position};
use schema::registry::{NodeKey, Registry};
use schema::time::Millis;
use schema::trust::SigningTime;
use serde::Serialize;
use serde_json::Value;

use crate::calendar;

/// Longest wait for an answer of a server on this machine.
const WAIT: Duration = Duration::from_secs(3);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The oldest NATS server that the measurements hold for.
const NATS_VERSION_MIN: (u32, u32) = (2, 15);
/// Free space below which a disk is called full soon, in bytes.
const FREE_BYTES_WARN: u64 = 2 * 1024 * 1024 * 1024;
/// Free space below which work stops soon, in bytes.
const FREE_BYTES_MIN: u64 = 200 * 1024 * 1024;
/// How far the newest journal entry may lie in the future before the clock is called wrong, in milliseconds.
const CLOCK_MS_MAX: u64 = 60_000;

/// Days before the end of the station's certificate from which on it is said.
const CERTIFICATE_DAYS_WARN: u64 = 60;
const RENEW: &str = "have it renewed: `tram ca renew`, then `tram registry add`";

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Light {
    /// In order.
    Green,
    /// Look at it tomorrow, or it cannot be told from here.
    Yellow,
    /// A promise is in danger now.
    Red,
}

impl fmt::Display for Light {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Green => "green ",
            Self::Yellow => "yellow",
            Self::Red => "RED   ",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub light: Light,
    /// What was looked at, and what was found.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

fn green(found: String) -> Finding {
    Finding { light: Light::Green, found, remedy: None }
}

fn yellow(found: String, remedy: &str) -> Finding {
    Finding { light: Light::Yellow, found, remedy: Some(remedy.to_owned()) }
}

fn red(found: String, remedy: &str) -> Finding {
    Finding { light: Light::Red, found, remedy: Some(remedy.to_owned()) }
}

/// Examines a relay by its configuration file.
///
/// # Errors
/// When the configuration cannot be read.
pub fn relay(config: &Path) -> Result<Vec<Finding>> {
    let config = relay::config::Config::load(config)?;
    let mut findings = Vec::new();
    match relay::registry::load(&config) {
        Ok(registry) => {
            let directory = registry.directory();
            let served = directory.offices_in(&config.region).count();
            let (version, region) = (directory.version(), &config.region);
            findings.push(green(format!(
                "directory version {version} is signed; `{region}` serves {served} offices"
            )));
            findings.extend(trust(&registry));
        }
        Err(error) => findings.push(red(with_causes(&error), "copy the registrar's `registry.cbor` there")),
    }
    match config.own_monitor_url() {
        Some(url) => findings.extend(nats(&url)),
        None => findings.push(red(
            "the NATS server at `server_url` has no monitoring address: nobody can prove that it syncs"
                .to_owned(),
            "set `monitor_url`",
        )),
    }
    match fetch(&format!("http://{}/status", config.status)) {
        Ok(status) => findings.extend(relay_status(&status)),
        Err(found) => {
            findings.push(red(
                format!("the relay does not answer: {found}"),
                "start `tram-relay run` and see its log",
            ));
        }
    }
    findings.push(disk(&config.data_dir));
    findings.push(clock_service());
    Ok(findings)
}

fn nats(url: &str) -> Vec<Finding> {
    let page = match fetch(&format!("{url}/varz")) {
        Ok(page) => page,
        Err(found) => {
            return vec![red(
                format!("the NATS server does not answer: {found}"),
                "start the relay and see nats.log",
            )];
        }
    };
    let version = page["version"].as_str().unwrap_or("unknown");
    let mut findings = vec![if version_in(version).is_some_and(|version| version >= NATS_VERSION_MIN) {
        green(format!("NATS server {version}"))
    } else {
        red(
            format!("NATS server {version}, at least 2.15 is needed"),
            "run ops/install.sh, then restart the relay",
        )
    }];
    let synced =
        fetch(&format!("{url}/jsz")).ok().map(|page| page["config"]["sync_always"] == Value::Bool(true));
    findings.push(match synced {
        Some(true) => green("it syncs to disk before it acknowledges (sync_always)".to_owned()),
        Some(false) => red(
            "it acknowledges before it has synced: one power cut loses what it acknowledged".to_owned(),
            "set `sync_interval: always` in its `jetstream` block and restart it",
        ),
        None => red("whether it syncs cannot be told: /jsz gave no answer".to_owned(), "see nats.log"),
    });
    findings.push(match fetch(&format!("{url}/healthz")) {
        Ok(_) => green("its streams are healthy (/healthz)".to_owned()),
        Err(found) => {
            red(format!("it says it is not healthy: {found}"), "see nats.log; a restart re-reads the streams")
        }
    });
    findings
}

fn relay_status(status: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let version = status["version"].as_str().unwrap_or("unknown");
    findings.push(if status["ready"] == Value::Bool(true) {
        green(format!("tram-relay {version} takes messages"))
    } else {
        red(
            format!("tram-relay {version} runs but takes no messages yet"),
            "see its log: streams or connection",
        )
    });
    for (region, link) in status["links"].as_object().into_iter().flatten() {
        findings.push(if link["up"] == Value::Bool(true) {
            green(format!("line to region `{region}` is up"))
        } else {
            yellow(format!("line to region `{region}` is down"), "its mail goes over a third relay or waits")
        });
    }
    for (what, count, remedy) in [
        ("events in quarantine", sum(&status["quarantined"]), "see `tram-relay quarantine list`"),
        (
            "consumers set back by the sequence guard",
            status["guard_resets"].as_u64(),
            "check the disk for errors",
        ),
        ("restarts of the NATS server", status["server_restarts"].as_u64(), "see nats.log"),
        ("alarms", status["alarms_total"].as_u64(), "see `tram-relay status`"),
    ] {
        findings.push(match count.unwrap_or(0) {
            0 => green(format!("no {what}")),
            count => yellow(format!("{count} {what}"), remedy),
        });
    }
    findings
}

fn sum(counts: &Value) -> Option<u64> {
    Some(counts.as_object()?.values().filter_map(Value::as_u64).sum())
}

/// Examines a station by its folder, running or not.
///
/// # Errors
/// When its settings cannot be read.
pub fn node(folder: &Path) -> Result<Vec<Finding>> {
    let data = DataFolder::new(folder);
    let config = Config::read(&data)?;
    let mut findings = Vec::new();
    match config.load_registry() {
        Ok(registry) => {
            findings.extend(keys(&config, &registry));
            findings.push(sealing_key(&config, &registry, calendar::now()));
            findings.extend(trust(&registry));
        }
        Err(error) => findings.push(red(with_causes(&error), "copy the registrar's `registry.cbor` there")),
    }
    findings.extend(store(&data));
    findings.push(disk(folder));
    findings.push(clock_service());
    Ok(findings)
}

fn keys(config: &Config, registry: &Registry) -> Vec<Finding> {
    let missing = "without this key nothing can be sent";
    let protection = match Protection::of_file(&config.signing_key) {
        Ok(protection) => protection,
        Err(error) => return vec![red(with_causes(&error), missing)],
    };
    let mut findings = vec![match protection {
        Protection::None => yellow(
            "the signing key lies unencrypted: whoever reads this disk can sign as the office".to_owned(),
            "`tram-node key protect`",
        ),
        weak if weak.is_weak() => yellow(
            format!("the signing key is encrypted, but weakly ({weak})"),
            "`tram-node key change-passphrase` encrypts it anew",
        ),
        strong => green(format!("the signing key is encrypted ({strong})")),
    }];
    // Nobody is asked for a passphrase here: what the settings know is enough, or the key stays shut.
    let public = match config.open_key(Some(registry), &Unlock::default()) {
        Ok(opened) => Some(opened.public()),
        Err(KeyringError::Locked { .. }) => presumed(config, registry),
        Err(error) => {
            findings.push(red(with_causes(&error), missing));
            return findings;
        }
    };
    let login = match Login::read(&config.login) {
        Ok(login) => login,
        Err(error) => {
            findings.push(red(with_causes(&error), missing));
            return findings;
        }
    };
    findings.push(match public.map(|public| (public, config.check_keys(registry, &public, &login))) {
        Some((public, Ok(()))) => certified(registry, &config.office, &public),
        Some((_, Err(error))) => red(
            with_causes(&error),
            "have the key certified and the login listed, or put the right ones there",
        ),
        None => yellow(
            "whether the signing key is certified cannot be told while it is shut".to_owned(),
            "`tram-node key show --check`",
        ),
    });
    findings
}

/// The key that is taken to be in a file that stays shut: the newest of the office that is accepted now. The settings name the
/// first one, also after it was followed by another.
fn presumed(config: &Config, registry: &Registry) -> Option<[u8; 32]> {
    let keys = registry.keys(&config.office).iter();
    let accepted =
        |key: &NodeKey| registry.usable_key(&config.office, key.id(), &SigningTime::default()).is_ok();
    let newest = keys.filter(|key| accepted(key)).max_by_key(|key| key.not_after());
    newest.map(|key| key.key().to_bytes()).or(config.public_key)
}

/// Whether the station's key counts, and for how long its certificate does.
fn certified(registry: &Registry, office: &OfficeId, public: &[u8; 32]) -> Finding {
    let now = calendar::now();
    let Ok(key) = registry.known_key(office, key_id(public)) else {
        return red("the signing key is not certified".to_owned(), "have it certified");
    };
    if !key.standing().counts() {
        return red(
            "the signing key is certified, but contested: nobody accepts what it signs".to_owned(),
            "ask the certificate authority which key is the office's, and have the other one revoked",
        );
    }
    let time = SigningTime { claimed_at: Some(now), after: None, proven_at: None };
    if let Err(error) = registry.usable_key(office, key.id(), &time) {
        return red(error.to_string(), "see the reason; a revoked key is replaced by a new one");
    }
    let days = key.not_after().since(now) / Millis::DAY;
    let found =
        format!("both keys are listed; the certificate of the signing key counts for {days} days more");
    match days {
        0 => red("the certificate of the signing key is over, or ends today".to_owned(), RENEW),
        1..CERTIFICATE_DAYS_WARN => yellow(found, RENEW),
        _ => green(found),
    }
}

/// Under which key others seal for the office, and for how long they have.
fn sealing_key(config: &Config, registry: &Registry, now: Millis) -> Finding {
    let path = config.sealing_keys();
    if !path.exists() {
        return yellow(
            "there are no sealing keys yet: the station makes one when it starts".to_owned(),
            "`tram-node run`; when there were some, bring `sealing.keys` back from a backup first (`tram-node restore`)",
        );
    }
    let keys = match SealingKeys::open(&path) {
        Ok(keys) => keys,
        Err(error) => {
            return red(with_causes(&error), "without these keys nobody can read what is sent here");
        }
    };
    let said_at = registry.sealing_key_said_at(&config.office, keys.key());
    let in_use = registry.sealing_key(&config.office) == Some(keys.key());
    let Some(said_at) = said_at.filter(|_| in_use) else {
        return yellow(
            "the newest sealing key is not announced: nobody seals under it yet".to_owned(),
            "start the station; it announces the key once its signing key counts",
        );
    };
    let days = now.since(said_at) / Millis::DAY;
    let found =
        format!("others seal for this office under a key that is {days} days old, of {} kept", keys.count());
    match days {
        0..=SEALING_KEY_DAYS_MAX => green(found),
        _ => yellow(found, "`tram-node key renew-sealing`, then make a backup"),
    }
}

/// How old the authorities' lists are, and whose second keys nobody announced.
fn trust(registry: &Registry) -> Vec<Finding> {
    let now = calendar::now();
    let mut findings = Vec::new();
    for age in registry.list_ages() {
        let authority = &age.authority;
        findings.push(match age.newest {
            None => yellow(
                format!("no revocation list of {authority} is held: its certificates cannot be told good or bad"),
                "get the newest registry",
            ),
            Some((_, window)) if window.next_update < now => yellow(
                format!(
                    "the revocation list of {authority} is {} days old and over: what comes now stays undetermined",
                    now.since(window.this_update) / Millis::DAY
                ),
                "get the newest registry, or have the authority sign a new list (`tram ca crl`)",
            ),
            Some((_, window)) => green(format!(
                "the revocation list of {authority} is {} days old, {} certificates on it",
                now.since(window.this_update) / Millis::DAY,
                age.revoked
            )),
        });
    }
    let contradicting: Vec<&str> =
        registry.contradictions().iter().map(|found| found.authority.as_str()).collect();
    if !contradicting.is_empty() {
        findings.push(red(
            format!(
                "authorities with revocation lists that no honest one issues both: {}",
                contradicting.join(", ")
            ),
            "tell the authority above: somebody else has the key, or the books are lost (`tram ca revoke` at the root)",
        ));
    }
    let contested: Vec<String> = registry.contested().map(|(office, _)| office.to_string()).collect();
    if !contested.is_empty() {
        findings.push(red(
            format!("offices with a second key that nobody announced: {}", contested.join(", ")),
            "ask the office and its certificate authority which key is the office's, and have the other one revoked",
        ));
    }
    findings
}

fn store(data: &DataFolder) -> Vec<Finding> {
    let database = data.database();
    if !database.exists() {
        return vec![yellow(
            "the station has never run: there is no store yet".to_owned(),
            "`tram-node run`",
        )];
    }
    let now = calendar::now();
    let examined = || -> Result<Vec<Finding>> {
        let reader = Reader::open(&database)?;
        let status = reader.status(now)?;
        let newest = reader.journal(Position(status.journal), 1)?;
        let mut findings = vec![match newest.first().map(|entry| entry.recorded_at) {
            Some(at) if at.since(now) > CLOCK_MS_MAX => red(
                format!("the clock is behind: the newest entry was recorded at {}", calendar::shown(at)),
                "set this machine's clock; order does not depend on it, but every time shown does",
            ),
            _ => green(format!("the clock is not behind the journal ({})", calendar::shown(now))),
        }];
        for (what, count, remedy) in [
            (
                "sends without a receipt for too long",
                status.overdue,
                "`tram-node outgoing`, then `tram-node why`",
            ),
            ("alarms", status.alarms, "`tram-node alarms`"),
            ("refused items in quarantine", status.quarantined, "`tram-node status`"),
        ] {
            findings.push(match count {
                0 => green(format!("no {what}")),
                count => yellow(format!("{count} {what}"), remedy),
            });
        }
        Ok(findings)
    };
    let damaged = "stop the station, keep the file, restore from a backup with the tool";
    let mut findings = examined().unwrap_or_else(|error| vec![red(format!("{error:#}"), damaged)]);
    // The check of the file needs it for itself; a running station makes the same check at its start.
    match data.lock() {
        Ok(_held) => findings.push(match quick_check(&database) {
            Ok(()) => green("the structure of the store and its newest 1,000 events are sound".to_owned()),
            Err(error) => red(format!("{error:#}"), damaged),
        }),
        Err(_) => {
            findings
                .push(green("the station runs; it checked the store's structure at its start".to_owned()));
        }
    }
    findings
}

/// Checks a private copy: opening a store for writing belongs to the station.
fn quick_check(database: &Path) -> Result<()> {
    let copy = crate::audit::private_copy(database)?;
    Ok(node::store::Store::open(&copy.path)?.self_check(1_000)?)
}

fn disk(folder: &Path) -> Finding {
    let existing = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let shown = existing.display();
    match free_bytes(existing) {
        None => {
            yellow(format!("free space below {shown} cannot be told: `df` gave no answer"), "look by hand")
        }
        Some(free) => {
            let found = format!("{} MiB free below {shown}", free / (1024 * 1024));
            match free {
                FREE_BYTES_WARN.. => green(found),
                FREE_BYTES_MIN.. => yellow(found, "make room soon; a full disk refuses with words"),
                _ => red(found, "make room now: sending and receiving stop, nothing is lost"),
            }
        }
    }
}

fn free_bytes(folder: &Path) -> Option<u64> {
    let output = Command::new("df").args(["--output=avail", "-B1"]).arg(folder).output().ok()?;
    String::from_utf8_lossy(&output.stdout).lines().nth(1)?.trim().parse().ok()
}

fn clock_service() -> Finding {
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    let answer =
        asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    match answer.as_str() {
        "yes" => green("the clock is synchronised".to_owned()),
        "no" => yellow(
            "the clock is not synchronised".to_owned(),
            "`timedatectl set-ntp true`, or set it by hand weekly",
        ),
        _ => yellow(
            "whether the clock is synchronised cannot be told here".to_owned(),
            "compare it with a phone",
        ),
    }
}

fn fetch(url: &str) -> Result<Value, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(WAIT)).build().into();
    let mut answer = agent.get(url).call().map_err(|error| format!("`{url}`: {error}"))?;
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = body.map_err(|error| format!("`{url}`: {error}"))?;
    serde_json::from_slice(&body).map_err(|error| format!("`{url}`: {error}"))
}

fn version_in(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// For a terminal; the worst light is the verdict.
pub fn report(subject: &str, findings: &[Finding]) -> String {
    let mut text = format!("{subject}\n");
    for Finding { light, found, remedy } in findings {
        text += &format!("  {light}  {found}\n");
        if let Some(remedy) = remedy {
            text += &format!("          to do: {remedy}\n");
        }
    }
    text
}

/// What `tram doctor` was asked to examine.
#[derive(Clone, Debug)]
pub enum Patient {
    /// A relay, by its configuration.
    Relay(PathBuf),
    /// A station, by its folder.
    Node(PathBuf),
}

impl Patient {
    /// Examines it.
    ///
    /// # Errors
    /// When its settings cannot be read.
    pub fn examine(&self) -> Result<Vec<Finding>> {
        match self {
            Self::Relay(config) => relay(config),
            Self::Node(folder) => node(folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::rehearsal::Rehearsal;
    use crate::ca::{Cost, Place};
    use crate::deployment::Deployment;
    use node::config::Bundle;
    use node::keyring::{self, Passphrase, change};
    use node::sealing::founding_announcement;
    use schema::registry::Roots;
    use serde_json::json;

    #[test]
    fn silent_relay_is_red_and_says_what_to_do() {
        // Port 1 is never listened on by an ordinary user.
        let findings = nats("http://127.0.0.1:1");
        assert_eq!(findings[0].light, Light::Red);
        assert!(report("relay", &findings).contains("to do: "));
    }

    #[test]
    fn relay_that_is_not_ready_is_red_and_a_line_down_is_yellow() {
        let status = json!({"version": "0.1.0", "ready": false, "links": {"p02": {"up": false}},
            "quarantined": {"fork": 2}, "guard_resets": 0, "server_restarts": 0, "alarms_total": 0});
        let lights: Vec<Light> = relay_status(&status).iter().map(|finding| finding.light).collect();
        assert_eq!(
            lights,
            [Light::Red, Light::Yellow, Light::Yellow, Light::Green, Light::Green, Light::Green]
        );
    }

    #[test]
    fn unencrypted_key_is_yellow_and_a_shut_one_is_judged_by_what_the_settings_know() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = DataFolder::new(folder.path());
        let words = "bến nước ở cuối làng";
        let file = folder.path().join("words");
        keyring::replace_private(&file, words.as_bytes()).expect("written");
        let passphrase = crate::ca::Passphrase::new("một hai ba bốn năm").expect("a passphrase");
        let ca = folder.path().join("ca");
        let mut authorities =
            Rehearsal::found(&ca, passphrase, Cost::FOR_TESTS, calendar::now()).expect("authorities");
        let root = authorities.root_certificate().expect("a root");
        let deployment = folder.path().join("deployment");
        let mut deployment =
            Deployment::open_or_create(&deployment, &Unlock::default(), &[root]).expect("a deployment");
        let registry = deployment.publish(calendar::now()).expect("sound").clone();
        let office = registry.directory().offices().next().expect("an office").id;
        let Roots { directory_key, anchors } = registry.roots().clone();
        let bundle = Bundle { office, root_key: directory_key, trust_anchors: anchors };
        let mut config = Config::usual(&data, &bundle);
        Login::generate().expect("a key").write(&config.login).expect("written");
        let key = keyring::generate_signing_key().expect("a key");
        keyring::write_signing_key(&config.signing_key, &key).expect("written");
        config.public_key = Some(key.verifying_key().to_bytes());
        let lights = |config: &Config| {
            let findings = keys(config, &registry);
            let lights: Vec<Light> = findings.iter().map(|finding| finding.light).collect();
            (lights, report("station", &findings))
        };
        let (open, text) = lights(&config);
        // Nobody is certified in this registry: the second light is red in every case.
        assert_eq!(open, [Light::Yellow, Light::Red], "{text}");
        assert!(text.contains("tram-node key protect"), "{text}");

        let passphrase = Passphrase::parse(words.as_bytes()).expect("a passphrase");
        change::protect(&config.signing_key, &passphrase, &[], &mut |_| {}).expect("protected");
        let (shut, text) = lights(&config);
        assert_eq!(shut, [Light::Green, Light::Red], "{text}");
        config.passphrase_file = Some(file.clone());
        assert_eq!(lights(&config).0, [Light::Green, Light::Red]);
        keyring::replace_private(&file, b"another passphrase").expect("written");
        let (wrong, text) = lights(&config);
        assert!(wrong == [Light::Green, Light::Red] && text.contains("does not open"), "{text}");
        (config.passphrase_file, config.public_key) = (None, None);
        let (untold, text) = lights(&config);
        assert_eq!(untold, [Light::Green, Light::Yellow], "{text}");

        // The settings name the first key still; the newest one that counts is taken to be in the file.
        config.public_key = Some([9; 32]);
        let (centre, public) =
            (Place::Centre("Văn phòng Chính phủ".to_owned()), key.verifying_key().to_bytes());
        authorities.certify_at(&centre, "Cơ quan", &office, &public, calendar::now()).expect("certified");
        let (registry, _) = registry.with(authorities.papers().expect("papers"));
        let findings = keys(&config, &registry);
        assert_eq!(findings[1].light, Light::Green, "{}", report("station", &findings));
    }

    #[test]
    fn sealing_key_that_is_old_or_not_announced_is_yellow_and_says_what_to_do() {
        let folder = tempfile::tempdir().expect("a folder");
        let passphrase = crate::ca::Passphrase::new("một hai ba bốn năm").expect("a passphrase");
        let ca = folder.path().join("ca");
        let now = calendar::now();
        let mut authorities = Rehearsal::found(&ca, passphrase, Cost::FOR_TESTS, now).expect("authorities");
        let root = authorities.root_certificate().expect("a root");
        let deployment = folder.path().join("deployment");
        let mut deployment =
            Deployment::open_or_create(&deployment, &Unlock::default(), &[root]).expect("a deployment");
        let registry = deployment.publish(now).expect("sound").clone();
        let office = registry.directory().offices().next().expect("an office").id;
        let Roots { directory_key, anchors } = registry.roots().clone();
        let bundle = Bundle { office, root_key: directory_key, trust_anchors: anchors };
        let config = Config::usual(&DataFolder::new(folder.path()), &bundle);
        let key = keyring::generate_signing_key().expect("a key");
        let centre = Place::Centre("Văn phòng Chính phủ".to_owned());
        let public = key.verifying_key().to_bytes();
        authorities.certify_at(&centre, "Cơ quan", &office, &public, now).expect("certified");
        let (registry, _) = registry.with(authorities.papers().expect("papers"));

        assert_eq!(sealing_key(&config, &registry, now).light, Light::Yellow, "there is none");
        let keys = SealingKeys::open_or_make(&config.sealing_keys()).expect("made");
        assert!(sealing_key(&config, &registry, now).found.contains("not announced"));
        let said = founding_announcement(&key, office, keys.key(), now).expect("announced");
        let (registry, outcomes) = registry.with(vec![said]);
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
        let looked = |days: u64| sealing_key(&config, &registry, now.plus(days * Millis::DAY));
        assert_eq!((looked(0).light, looked(400).light), (Light::Green, Light::Green));
        let old = looked(401);
        assert_eq!(old.light, Light::Yellow);
        assert!(old.remedy.is_some_and(|remedy| remedy.contains("tram-node key renew-sealing")));
        keys.renewed().expect("room").write(&config.sealing_keys()).expect("written");
        assert!(sealing_key(&config, &registry, now).found.contains("not announced"));
        std::fs::write(config.sealing_keys(), "no key").expect("written");
        assert_eq!(sealing_key(&config, &registry, now).light, Light::Red);
    }

    #[test]
    fn disk_of_a_folder_that_does_not_exist_yet_is_that_of_its_nearest_ancestor() {
        assert!(!disk(Path::new("/no/such/folder")).found.contains("/no/such"));
    }
}
