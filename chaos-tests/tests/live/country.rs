//! Two regions, each a `tram-relay` with its own `nats-server`; four offices, each a `tram-node`; and the ledger of
//! everything that a station answered for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ed25519_dalek::SigningKey;
use node::config::DataFolder;
use node::keyring::Unlock;
use ops::audit::{self, Audit};
use ops::ca::book::{Reason, SerialNo};
use ops::ca::build::{self, Kind};
use ops::ca::rehearsal::{self, Rehearsal};
use ops::ca::request::Request;
use ops::ca::{Authority, Cost, LeafTerms, Passphrase};
use ops::deployment::{Deployment, NewRegion, install_relay_keys, office_key};
use schema::directory::Directory;
use schema::id::{DocumentId, OfficeId, hex};
use schema::time::Millis;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Process, wait_for};

/// The regions; the third one has no offices, and is there only when a test wants it.
const REGIONS: [&str; 3] = ["lao-cai", "da-nang", "ha-noi"];
/// Codes of the offices, and the region that keeps each one's mailbox.
const OFFICES: [(&str, usize); 4] = [("02875", 0), ("085", 0), ("20296", 1), ("497", 1)];
/// A day on which all of them exist.
const DAY: jiff::civil::Date = jiff::civil::date(2025, 6, 27);
/// Longest wait for one answer of a station; a file may take a second longer for each of these many bytes.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
const FILE_BYTES_PER_SECOND_MIN: u64 = 2 * 1024 * 1024;
/// Longest wait for a program to be ready.
const READY_SECONDS_MAX: u64 = 40;
/// What every abstract says, and every attachment again and again: it is looked for where nobody may read it.
pub(crate) const SUBJECT: &str = "V/v phòng, chống mưa lũ";
/// Longest wait until mail has settled. Above the minute after which a sender without a receipt sends again.
const SETTLE_SECONDS_MAX: u64 = 150;
/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Largest attachment read, in bytes.
const ATTACHMENT_BYTES_MAX: u64 = 600 * 1024 * 1024;
/// Rows of a page of the outgoing list.
const PAGE_ROWS: usize = 200;
/// Where tests look for ports, and how far apart: several may run at once.
const PORTS_FROM: u16 = 20_000;
const PORTS_UNTIL: u16 = 32_000;
const PORTS_PER_TEST: u16 = 12;
/// Offices and peers, monitoring, status.
const PORTS_PER_RELAY: usize = 3;
/// Every third document has an attachment of this size: two chunks.
const ATTACHMENT_BYTES: usize = 70_000;

/// Where the parts of the country are.
pub(crate) struct Landscape {
    /// Where each relay listens for offices and peers.
    pub(crate) relays: [IpAddr; 2],
    /// The network namespace that each relay runs in, when it is another one.
    pub(crate) namespaces: [Option<&'static str>; 2],
    /// A third relay without offices: where it listens, and the network namespace that it runs in.
    pub(crate) third_relay: Option<(IpAddr, &'static str)>,
    /// A folder for the first office's station, instead of one beside the others.
    pub(crate) first_station: Option<PathBuf>,
    /// The network namespace that the first office's station runs in, and where its clerk reaches it there.
    pub(crate) first_station_in: Option<(&'static str, IpAddr)>,
}

impl Default for Landscape {
    fn default() -> Self {
        Self {
            relays: [Ipv4Addr::LOCALHOST.into(); 2],
            namespaces: [None; 2],
            third_relay: None,
            first_station: None,
            first_station_in: None,
        }
    }
}

/// What became of one press of the send button.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Sending {
    /// The station answered that the document is saved; also when it was asked again and had it already.
    Saved,
    /// The station refused, with this status.
    Refused(u16),
    /// No answer: it may be saved.
    Unknown,
}

struct Relay {
    folder: PathBuf,
    namespace: Option<&'static str>,
    process: Option<Process>,
}

struct Station {
    office: OfficeId,
    data: PathBuf,
    namespace: Option<&'static str>,
    process: Option<Process>,
    /// Of the newest certificate of its key.
    certificate: SerialNo,
}

/// Who certifies keys, and hands out what everybody must know.
struct Registrar {
    directory: Arc<Directory>,
    authorities: Rehearsal,
    deployment: Deployment,
}

impl Registrar {
    fn hand_out(&mut self) {
        let papers = self.authorities.papers().expect("papers");
        let added = self.deployment.add(papers).expect("handed out");
        assert!(added.refused.is_empty(), "{added:?}");
    }
}

fn now() -> Millis {
    let since = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    Millis(u64::try_from(since.as_millis()).expect("a clock before the year 584,556,019"))
}

/// The country. Dropping it ends all its processes.
pub(crate) struct Country {
    registrar: Registrar,
    relays: Vec<Relay>,
    stations: Vec<Station>,
    /// What stations answered for: sender, recipient, document.
    saved: BTreeSet<(OfficeId, OfficeId, DocumentId)>,
    next_document: u64,
    agent: ureq::Agent,
    // Last: the folders go when nobody writes into them any more.
    folder: tempfile::TempDir,
}

impl Country {
    /// Sets a country up on loopback and starts everything.
    pub(crate) fn start() -> Self {
        Self::start_in(&Landscape::default())
    }

    /// Sets a country up and starts everything.
    pub(crate) fn start_in(landscape: &Landscape) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let now = now();
        let passphrase = Passphrase::new("những khoá này chỉ để thử").expect("a passphrase");
        let authorities = folder.path().join("authorities");
        let mut authorities = Rehearsal::found(&authorities, passphrase, Cost::FOR_TESTS, now)
            .expect("a root and who approves");
        let root = authorities.root_certificate().expect("a root");
        let deployment = folder.path().join("deployment");
        let mut deployment =
            Deployment::open_or_create(&deployment, &Unlock::default(), &[root]).expect("made");
        let nats_server = nats_server();
        let mut relays = Vec::new();
        // All at once: a port is free again until its relay listens.
        let ports: [u16; PORTS_PER_RELAY * REGIONS.len()] = free_ports();
        let mut ports = ports.into_iter();
        let mut port = || ports.next().expect("enough ports");
        let places = landscape.relays.into_iter().zip(landscape.namespaces);
        let third = landscape.third_relay.map(|(ip, namespace)| (ip, Some(namespace)));
        for (region, (ip, namespace)) in REGIONS.iter().zip(places.chain(third)) {
            let (listen, monitor, status) = (port(), port(), port());
            let listen = SocketAddr::new(ip, listen);
            let region = NewRegion {
                id: region.parse().expect("a region"),
                name: format!("Vùng {region}"),
                url: format!("nats://{listen}"),
                listen,
                monitor_port: monitor,
                status: SocketAddr::from((Ipv4Addr::LOCALHOST, status)),
            };
            let folder = deployment.add_region(&region).expect("added");
            let mut config =
                fs::File::options().append(true).open(folder.join("relay.toml")).expect("opened");
            writeln!(config, "nats_server = {:?}", nats_server.display().to_string()).expect("written");
            relays.push(Relay { folder, namespace, process: None });
        }
        let directory = ops::lookup::load(None).expect("tables");
        let mut bundles = Vec::new();
        for (code, region) in OFFICES {
            let office = directory.resolve(code, DAY).expect("an office").id;
            let home = [REGIONS[region].parse().expect("a region")];
            let bundle = deployment.enrol(&office, code, &home).expect("enrolled");
            let key = office_key(deployment.folder(), &office, code).expect("its key");
            let certificate = authorities.certify(&directory, &office, DAY, &key, now).expect("certified");
            bundles.push((office, bundle, certificate));
        }
        deployment.publish(now).expect("signed");
        let mut registrar = Registrar { directory, authorities, deployment };
        registrar.hand_out();
        let mut stations = Vec::new();
        for (index, (office, bundle, certificate)) in bundles.into_iter().enumerate() {
            let beside = folder.path().join(format!("station-{index}"));
            let data = landscape.first_station.clone().filter(|_| index == 0).unwrap_or(beside);
            let elsewhere = landscape.first_station_in.filter(|_| index == 0);
            let door = elsewhere.map_or(Ipv4Addr::LOCALHOST.into(), |(_, address)| address);
            let mut init = Command::new(program("tram-node"));
            init.arg("--data")
                .arg(&data)
                .args([
                    "init",
                    "--allow-unencrypted",
                    "--listen",
                    &format!("{}", SocketAddr::new(door, 0)),
                    "--bundle",
                ])
                .arg(bundle);
            let output = init.output().expect("a program");
            assert!(output.status.success(), "init: {}", String::from_utf8_lossy(&output.stderr));
            let namespace = elsewhere.map(|(namespace, _)| namespace);
            stations.push(Station { office, data, namespace, process: None, certificate });
        }
        let config =
            ureq::Agent::config_builder().timeout_global(Some(ANSWER_WAIT)).http_status_as_error(false);
        let agent = config.build().into();
        let saved = BTreeSet::new();
        let mut country = Self { registrar, relays, stations, saved, next_document: 0, agent, folder };
        for relay in 0..country.relays.len() {
            country.start_relay(relay);
        }
        for station in 0..OFFICES.len() {
            country.start_station(station);
        }
        country
    }

    /// Starts a relay and waits until it takes messages.
    pub(crate) fn start_relay(&mut self, relay: usize) {
        let mut run = self.relay_command(relay);
        let log = self.relay_log(relay);
        self.relays[relay].process = Some(Process::start(run.args(["run", "--config", "relay.toml"]), &log));
        wait_for("a relay to take messages", READY_SECONDS_MAX, || self.relay_is_ready(relay).then_some(()));
    }

    /// Whether the relay says that it takes messages.
    pub(crate) fn relay_is_ready(&self, relay: usize) -> bool {
        self.ask_relay(relay, &["status"]).is_some_and(|status| status["ready"] == Value::Bool(true))
    }

    /// Kills a relay with its server.
    pub(crate) fn kill_relay(&mut self, relay: usize) {
        self.relays[relay].process.take().expect("a running relay").kill();
    }

    /// The process of a running relay.
    pub(crate) fn relay_process(&self, relay: usize) -> &Process {
        self.relays[relay].process.as_ref().expect("a running relay")
    }

    /// Where the relay's server keeps its streams.
    pub(crate) fn streams(&self, relay: usize) -> PathBuf {
        self.relays[relay].folder.join("data/jetstream")
    }

    /// Takes away everything that a relay keeps, its keys excepted, which its operator has elsewhere.
    pub(crate) fn wipe_relay(&self, relay: usize) {
        let folder = &self.relays[relay].folder;
        fs::remove_dir_all(folder.join("data")).expect("wiped");
        install_relay_keys(folder).expect("the keys put back");
    }

    /// Where what a relay says is written down.
    pub(crate) fn relay_log(&self, relay: usize) -> PathBuf {
        self.folder.path().join(format!("relay-{relay}.log"))
    }

    /// Where what a station says is written down.
    pub(crate) fn station_log(&self, station: usize) -> PathBuf {
        self.folder.path().join(format!("station-{station}.log"))
    }

    /// Where a station says why document `number` has no receipt.
    pub(crate) fn why_of(&self, number: u64) -> String {
        format!("/documents/{}/why", document(number))
    }

    /// The folder of a relay.
    pub(crate) fn relay_folder(&self, relay: usize) -> &Path {
        &self.relays[relay].folder
    }

    /// Puts the keys that a relay's operator has elsewhere onto its disk, which is another one.
    pub(crate) fn put_relay_keys_back(&self, relay: usize) {
        install_relay_keys(&self.relays[relay].folder).expect("the keys put back");
    }

    /// Whether a relay says that its link to another one is up.
    pub(crate) fn are_linked(&self, relay: usize, other: usize) -> bool {
        let status = self.ask_relay(relay, &["status"]).expect("the relay runs");
        status["links"][REGIONS[other]]["up"] == Value::Bool(true)
    }

    /// The relay's own login and the address of its server: whoever has them may do everything there.
    pub(crate) fn stolen_login(&self, relay: usize) -> (String, String) {
        let config =
            relay::config::Config::load(&self.relays[relay].folder.join("relay.toml")).expect("settings");
        (config.own_url(), fs::read_to_string(config.key_path()).expect("a seed").trim().to_owned())
    }

    /// How many events wait in an office's mailbox at its relay.
    pub(crate) fn mailbox(&self, station: usize) -> u64 {
        let out = self.folder.path().join("mailbox.tram");
        let (office, relay) = (self.stations[station].office.to_string(), OFFICES[station].1);
        let path = out.display().to_string();
        let found = self.ask_relay(relay, &["courier", "export", "--office", &office, "--out", &path]);
        let found = found.expect("the relay runs");
        fs::remove_file(&out).expect("removed");
        found["events"].as_u64().expect("a number of events")
    }

    /// Hands a courier file to a relay.
    pub(crate) fn carry_to_relay(&self, relay: usize, file: &[u8]) -> Option<Value> {
        let path = self.folder.path().join("carried.tram");
        fs::write(&path, file).expect("written");
        self.ask_relay(relay, &["courier", "import", &path.display().to_string()])
    }

    fn ask_relay(&self, relay: usize, arguments: &[&str]) -> Option<Value> {
        let mut ask = self.relay_command(relay);
        let output =
            ask.args(arguments).args(["--config", "relay.toml", "--json"]).stdin(Stdio::null()).output();
        let output = output.expect("a program");
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    fn relay_command(&self, relay: usize) -> Command {
        let Relay { folder, namespace, .. } = &self.relays[relay];
        let mut command = match namespace {
            Some(name) => {
                let mut enter = Command::new("/sbin/ip");
                enter.args(["netns", "exec", name]).arg(program("tram-relay"));
                enter
            }
            None => Command::new(program("tram-relay")),
        };
        command.current_dir(folder);
        command
    }

    /// Starts a station and waits until its door is open.
    pub(crate) fn start_station(&mut self, station: usize) {
        assert!(self.start_station_under(station, &[]), "a station ended before its door was open");
    }

    /// Starts a station under another program, such as a tracer; `false` when it ended before its door was open.
    pub(crate) fn start_station_under(&mut self, station: usize, tracer: &[&str]) -> bool {
        let (program, data) = (program("tram-node"), self.stations[station].data.clone());
        let entered = self.stations[station].namespace.map(|name| ["ip", "netns", "exec", name]);
        let tracer = entered.as_ref().map_or(tracer, |entered| &entered[..]);
        let mut command = match tracer.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        // A file of an earlier run names a door that nobody opens.
        let _ = fs::remove_file(DataFolder::new(&data).api());
        let log = self.station_log(station);
        let process = Process::start(command.arg("--data").arg(&data).arg("run"), &log);
        self.stations[station].process = Some(process);
        wait_for("a station's door", READY_SECONDS_MAX, || {
            if self.station_ended(station) {
                return Some(false);
            }
            self.get(station, "/status").map(|_| true)
        })
    }

    /// Whether the station's process has ended by itself.
    pub(crate) fn station_ended(&mut self, station: usize) -> bool {
        self.stations[station].process.as_mut().is_none_or(|process| process.ended().is_some())
    }

    /// Stops a station as its clerk does at the end of the day.
    pub(crate) fn stop_station(&mut self, station: usize) {
        self.stations[station].process.take().expect("a running station").stop();
    }

    /// Forgets a process that has ended by itself.
    pub(crate) fn bury_station(&mut self, station: usize) {
        self.stations[station].process = None;
    }

    /// Makes the key that is to follow a station's, as its clerk does; gives the request for its certificate.
    pub(crate) fn make_next_key(&self, station: usize) -> Request {
        let answer = self.ask_station(station, &["key", "next"]).expect("made");
        let certificate = self.stations[station].certificate.to_string();
        assert_eq!(answer["certificate"], certificate, "the number that the authority asks for");
        let request = answer["request"].as_str().expect("a path");
        Request::read(Path::new(request)).expect("a request that the key itself signed")
    }

    /// A stopped station whose key file is gone makes another key; gives the request for its certificate.
    pub(crate) fn lose_key(&self, station: usize) -> Request {
        fs::remove_file(self.stations[station].data.join("node.key")).expect("there was one");
        let answer = self.ask_station(station, &["key", "replace", "--lost"]).expect("made");
        let certificate = self.stations[station].certificate.to_string();
        assert_eq!(answer["certificates"], json!([certificate]), "what the authority must revoke");
        Request::read(Path::new(answer["request"].as_str().expect("a path"))).expect("a request")
    }

    /// Certifies a key beside the present one of a station. Nobody knows yet.
    pub(crate) fn renew(&mut self, station: usize, request: &Request) {
        self.certify(station, |authority, certificate| {
            authority.renew(certificate, Some(request), 365, None, now())
        });
    }

    /// Certifies a key that nobody has proven to hold. Nobody knows yet.
    pub(crate) fn certify_strange_key(&mut self, station: usize) {
        let key = SigningKey::from_bytes(&[0x58; 32]).verifying_key().to_bytes();
        let key = build::ed25519_spki(&key).expect("a key");
        self.certify(station, |authority, certificate| {
            authority.renew_for_key(certificate, key, 365, None, now())
        });
    }

    /// Revokes everything that certifies a station's key, lost or stolen just now, and certifies another. Nobody knows yet.
    pub(crate) fn replace_key(&mut self, station: usize, request: &Request) {
        let office = self.stations[station].office;
        self.certify(station, |authority, certificate| {
            let subject = authority.book().certificates[&certificate].words.subject.clone();
            let all = authority.book().certificates.values();
            let of_the_office = all.filter(|record| record.words.kind == Kind::Office(office));
            let serials: Vec<SerialNo> = of_the_office.map(|record| record.words.serial).collect();
            for serial in serials {
                authority.revoke(serial, Reason::KeyCompromise, Some(now()), now())?;
            }
            let spki = request.spki().to_vec();
            let terms = LeafTerms { kind: Kind::Office(office), subject, spki, days: 365, device: None };
            authority.issue(terms, now())
        });
    }

    fn certify(
        &mut self,
        station: usize,
        act: impl FnOnce(&mut Authority, SerialNo) -> anyhow::Result<SerialNo>,
    ) {
        let Registrar { directory, authorities, .. } = &mut self.registrar;
        let Station { office, certificate, .. } = &mut self.stations[station];
        let place = rehearsal::place_of(directory, office, DAY).expect("a place");
        let authority = authorities.authority(&place, now()).expect("an authority");
        *certificate = act(authority, *certificate).expect("certified");
    }

    /// The registrar hands what is new to the relays.
    pub(crate) fn hand_out(&mut self) {
        self.registrar.hand_out();
    }

    /// Carries what a relay was handed to a station, which would hear of it within a minute.
    pub(crate) fn carry_registry(&self, station: usize) {
        let file = self.relays[OFFICES[station].1].folder.join("registry.cbor");
        let answer = self.ask_station(station, &["registry", "import", &file.display().to_string()]);
        let answer = answer.expect("taken in");
        // The announcement of a key that was stolen later is of no use to anybody.
        let refused: Vec<&str> =
            answer["refused"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(refused.iter().all(|reason| reason.contains("key announcement")), "{answer}");
    }

    /// Whether a station has put this key in the place of the one before.
    pub(crate) fn signs_with(&self, station: usize, request: &Request) -> bool {
        // No answer: the key has just changed, and was held against the registry that was read a moment before.
        let Some(answer) = self.ask_station(station, &["key", "show"]) else { return false };
        let public = answer["public_key"].as_str().expect("a public key");
        hex(request.spki()).ends_with(public) && answer["certified"] == "certified"
    }

    fn ask_station(&self, station: usize, arguments: &[&str]) -> Option<Value> {
        let mut ask = Command::new(program("tram-node"));
        ask.arg("--data").arg(&self.stations[station].data).arg("--json").args(arguments);
        let output = ask.stdin(Stdio::null()).output().expect("a program");
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// How many keys a station says are contested.
    pub(crate) fn contested_keys(&self, station: usize) -> u64 {
        let status = self.get(station, "/status").expect("the station runs");
        status["trust"]["contested_keys"].as_u64().expect("a number of keys")
    }

    /// Whether a relay has alarmed its operator about a contested key.
    pub(crate) fn relay_alarms_of_contested_key(&self, relay: usize) -> bool {
        let status = self.ask_relay(relay, &["status"]).expect("the relay runs");
        let alarms = status["alarms"].as_array().expect("alarms");
        alarms.iter().any(|alarm| alarm["sort"] == "contested-key")
    }

    /// The folder of a station.
    pub(crate) fn station_folder(&self, station: usize) -> &Path {
        &self.stations[station].data
    }

    /// Sends a document that must be saved.
    pub(crate) fn send(&mut self, from: usize, to: &[usize]) {
        let document = self.next_document();
        assert_eq!(self.press_send(from, to, document), Sending::Saved);
    }

    /// Everybody sends one document to everybody else.
    pub(crate) fn send_all_around(&mut self) {
        for from in 0..OFFICES.len() {
            let others: Vec<usize> = (0..OFFICES.len()).filter(|to| *to != from).collect();
            self.send(from, &others);
        }
    }

    /// A number for a document that no other has.
    pub(crate) fn next_document(&mut self) -> u64 {
        self.next_document += 1;
        self.next_document
    }

    /// Sends document `number`. The clerk may press again: it stays the same document.
    pub(crate) fn press_send(&mut self, from: usize, to: &[usize], number: u64) -> Sending {
        let attached = number.is_multiple_of(3).then(|| attachment(number, ATTACHMENT_BYTES));
        self.press_send_with(from, to, number, "normal", attached.as_slice())
    }

    /// Sends document `number`, as urgent as this, with these files.
    pub(crate) fn press_send_with(
        &mut self,
        from: usize,
        to: &[usize],
        number: u64,
        urgency: &str,
        files: &[Vec<u8>],
    ) -> Sending {
        let document = document(number);
        let mut attachments = Vec::new();
        for bytes in files {
            let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
            let path = format!("/files/{hash}?length={}&secrecy=normal", bytes.len());
            match self.call(from, "PUT", &path, bytes) {
                Some((200..=299, _)) => {}
                Some((status, _)) => return Sending::Refused(status),
                None => return Sending::Unknown,
            }
            attachments.push(json!({"sha256": hash, "length": bytes.len(), "name": "Phụ lục.bin",
                "media_type": "application/octet-stream"}));
        }
        let recipients: Vec<OfficeId> = to.iter().map(|to| self.stations[*to].office).collect();
        let content = json!({
            "document": document,
            "secrecy": "normal",
            "pages": 1,
            "subject": format!("{SUBJECT}, văn bản số {number}"),
            "urgency": urgency,
            "document_type": "cong-van",
            "signer": { "position": "Chủ tịch", "name": "Vàng A Sáng" },
            "attachments": attachments,
        });
        let request = json!({ "to": recipients, "content": content, "reference_only": true });
        match self.call(from, "POST", "/documents", request.to_string().as_bytes()) {
            // 409 to a second press: it was saved by the first.
            Some((201 | 409, _)) => {
                let sender = self.stations[from].office;
                self.saved.extend(recipients.into_iter().map(|to| (sender, to, document)));
                Sending::Saved
            }
            Some((status, _)) => Sending::Refused(status),
            None => Sending::Unknown,
        }
    }

    /// Everything at a station that has no receipt, as a courier carries it.
    pub(crate) fn courier_file(&self, station: usize) -> Vec<u8> {
        let (status, file) = self.call(station, "POST", "/courier/export", &[]).expect("an answer");
        assert_eq!(status, 200);
        file
    }

    /// Hands a courier file to a station; how many events were new to it.
    pub(crate) fn carry_to_station(&self, station: usize, file: &[u8]) -> u64 {
        let (status, answer) = self.call(station, "POST", "/courier/import", file).expect("an answer");
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!((status, &answer["refused"]), (200, &json!(0)), "{answer}");
        answer["new"].as_u64().expect("a number of events")
    }

    /// Whether a station's link to its relay is up.
    pub(crate) fn is_connected(&self, station: usize) -> bool {
        let status = self.get(station, "/status").expect("the station runs");
        status["links"].as_array().into_iter().flatten().any(|link| link["state"] == "connected")
    }

    /// How many documents a station presents as arrived.
    pub(crate) fn incoming(&self, station: usize) -> u64 {
        let status = self.get(station, "/status").expect("the station runs");
        status["incoming"].as_u64().expect("a number of documents")
    }

    /// What a station's door shows there; `None` when it does not.
    pub(crate) fn get(&self, station: usize, path: &str) -> Option<Value> {
        let (status, body) = self.call(station, "GET", path, &[])?;
        (status == 200).then(|| serde_json::from_slice(&body).expect("JSON"))
    }

    /// One request to a station's door; `None` without an answer.
    fn call(&self, station: usize, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let door = fs::read(DataFolder::new(&self.stations[station].data).api()).ok()?;
        let door: Value = serde_json::from_slice(&door).ok()?;
        let (address, token) = (door["address"].as_str()?, door["token"].as_str()?);
        let url = format!("http://{address}/api/v1{path}");
        let token = format!("Bearer {token}");
        let answer = match method {
            "GET" => self.agent.get(url).header("Authorization", token).call(),
            "PUT" => {
                let wait = ANSWER_WAIT + Duration::from_secs(body.len() as u64 / FILE_BYTES_PER_SECOND_MIN);
                let put = self.agent.put(url).header("Authorization", token);
                put.config().timeout_global(Some(wait)).build().send(body)
            }
            _ => {
                let post = self.agent.post(url).header("Authorization", token);
                post.header("Content-Type", "application/json").send(body)
            }
        };
        let mut answer = answer.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().ok()?))
    }

    /// The status, and the bytes of the only attachment of document `number` as a station gives them to its clerk.
    pub(crate) fn attached(&self, station: usize, number: u64) -> (u16, Vec<u8>) {
        let door = fs::read(DataFolder::new(&self.stations[station].data).api()).expect("the station runs");
        let door: Value = serde_json::from_slice(&door).expect("JSON");
        let (address, token) =
            (door["address"].as_str().expect("text"), door["token"].as_str().expect("text"));
        let url = format!("http://{address}/api/v1/documents/{}/attachments/1", document(number));
        let wait = ANSWER_WAIT + Duration::from_secs(ATTACHMENT_BYTES_MAX / FILE_BYTES_PER_SECOND_MIN);
        let ask = self.agent.get(url).header("Authorization", format!("Bearer {token}"));
        let mut answer = ask.config().timeout_global(Some(wait)).build().call().expect("an answer");
        let bytes = answer.body_mut().with_config().limit(ATTACHMENT_BYTES_MAX).read_to_vec();
        (answer.status().as_u16(), bytes.expect("all of it"))
    }

    /// Whether every recipient of document `number` has given its receipt.
    pub(crate) fn is_receipted(&self, from: usize, number: u64) -> bool {
        let view = self.get(from, &format!("/documents/{}", document(number))).expect("the station runs");
        let recipients = view["recipients"].as_array().expect("recipients");
        !recipients.is_empty() && recipients.iter().all(|recipient| recipient["arrived"] == Value::Bool(true))
    }

    /// How many attachments a station waits for.
    pub(crate) fn awaited(&self, station: usize) -> u64 {
        self.get(station, "/status")
            .and_then(|status| status["awaited_attachments"].as_u64())
            .expect("a status")
    }

    /// Receipts that are there, and sends that were answered for, of all stations that run.
    pub(crate) fn receipts(&self) -> (u64, u64) {
        let (mut found, mut expected) = (0, 0);
        for (index, station) in self.stations.iter().enumerate() {
            if station.process.is_none() {
                continue;
            }
            let receipts = self.outgoing(index);
            let mine = self.saved.iter().filter(|(from, ..)| *from == station.office);
            expected += mine.clone().count() as u64;
            let documents: BTreeSet<DocumentId> = mine.map(|(.., document)| *document).collect();
            found +=
                documents.iter().map(|document| receipts.get(document).copied().unwrap_or(0)).sum::<u64>();
        }
        (found, expected)
    }

    fn outgoing(&self, station: usize) -> BTreeMap<DocumentId, u64> {
        let mut receipts = BTreeMap::new();
        let mut path = format!("/outgoing?limit={PAGE_ROWS}");
        loop {
            let page = self.get(station, &path).expect("the station runs");
            for row in page["rows"].as_array().expect("rows") {
                let document = row["document"].as_str().expect("an id").parse().expect("an id");
                receipts.insert(document, row["arrived"].as_u64().expect("a number of receipts"));
            }
            match page["next"].as_u64() {
                Some(next) => path = format!("/outgoing?limit={PAGE_ROWS}&before={next}"),
                None => return receipts,
            }
        }
    }

    /// Documents that are presented at their recipients, and sends to them that were answered for, of all stations that
    /// run. A receipt comes before that when something that was sent earlier is still on its way.
    fn presented(&self) -> (u64, u64) {
        let (mut found, mut expected) = (0, 0);
        for (index, station) in
            self.stations.iter().enumerate().filter(|(_, station)| station.process.is_some())
        {
            found += self.incoming(index);
            expected += self.saved.iter().filter(|(_, to, _)| *to == station.office).count() as u64;
        }
        (found, expected)
    }

    /// Waits until every send has its receipt and is presented.
    pub(crate) fn settle(&self) -> Duration {
        let started = Instant::now();
        let mut last = ((0, 0), (0, 0));
        let deadline = Instant::now() + Duration::from_secs(SETTLE_SECONDS_MAX);
        wait_for("every receipt, and every document at its place", SETTLE_SECONDS_MAX + 1, || {
            let receipts = self.receipts();
            // Many questions: not before there is hope.
            last = (receipts, if receipts.0 == receipts.1 { self.presented() } else { last.1 });
            assert!(Instant::now() < deadline, "receipts, presented documents, of how many: {last:?}");
            (receipts.0 == receipts.1 && last.1.0 == last.1.1).then_some(())
        });
        started.elapsed()
    }

    /// Stops everything and judges the stores: everything saved arrived, once, in order, with a receipt; every chain
    /// and every signature is sound; replay from zero gives the live state; nobody was accused of a fork.
    pub(crate) fn judge(mut self) {
        for station in 0..OFFICES.len() {
            self.stop_station(station);
        }
        for relay in &mut self.relays {
            let process = relay.process.take().expect("a running relay");
            for pid in [process.id()].into_iter().chain(children_of(process.id())) {
                assert!(!memory_holds(pid, SUBJECT), "process {pid} of a relay has documents in its memory");
                assert!(memory_holds(pid, "PATH="), "the memory of process {pid} was not looked at");
            }
            process.stop();
        }
        // P11: relays carried everything, and what they keep says nothing of it. Nor do attachments on a station's disk.
        for relay in &self.relays {
            assert_eq!(
                files_with(&relay.folder, SUBJECT),
                Vec::<PathBuf>::new(),
                "a relay can read documents"
            );
        }
        for station in &self.stations {
            let attachments = station.data.join("content");
            assert_eq!(files_with(&attachments, SUBJECT), Vec::<PathBuf>::new(), "an attachment lies open");
        }
        assert!(
            self.stations.iter().any(|station| !files_with(&station.data, SUBJECT).is_empty()),
            "nobody has the documents: nothing was looked for"
        );
        let audits: Vec<Audit> =
            self.stations.iter().map(|station| audit::audit(&station.data, true).expect("audited")).collect();
        let mut checks: Vec<_> = audits.iter().flat_map(|audit| audit.checks.clone()).collect();
        checks.extend(audit::cross_check(&audits));
        checks.push(audit::saved_is_kept(&audits, &self.saved));
        for check in &checks {
            assert_eq!(check.broken, None, "{}: {}", check.promise, check.what);
        }
        let by_office: BTreeMap<OfficeId, &Audit> =
            audits.iter().map(|audit| (audit.office, audit)).collect();
        for (from, to, document) in &self.saved {
            let held = by_office[to].held.iter();
            let presented = held
                .filter(|row| row.from == *from && row.document == Some(*document) && row.ordinal.is_some());
            assert_eq!(presented.count(), 1, "document {document} from {from} is with {to} so many times");
            let mut sent = by_office[from].sent.iter();
            let receipted =
                sent.any(|row| row.to == *to && row.document == Some(*document) && row.receipt.is_some());
            assert!(receipted, "document {document} from {from} to {to} has no receipt in the store");
        }
        assert!(!self.saved.is_empty(), "nothing was sent, so nothing was judged");
        let forks: u64 = audits.iter().map(|audit| audit.evidence).sum();
        assert_eq!(forks, 0, "nobody forked, yet contradicting events are held");
        let (sends, events) = (self.saved.len(), audits.iter().map(|audit| audit.entries).sum::<u64>());
        println!(
            "judged {sends} sends, {events} journal entries: none lost, none doubled, in order, receipted"
        );
    }
}

impl Drop for Country {
    /// With `TRAM_LIVE_KEEP` set, the folders of a failed test stay to be looked at.
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("TRAM_LIVE_KEEP").is_some() {
            self.folder.disable_cleanup(true);
            eprintln!("the country's folders are kept in {}", self.folder.path().display());
        }
    }
}

/// Files under a folder that hold these words.
pub(crate) fn files_with(folder: &Path, words: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && file_holds(&entry.path(), words) {
                found.push(entry.path());
            }
        }
    }
    found
}

/// Whether a file of any size holds these words. What is between two places of their first byte is looked at as one piece.
fn file_holds(path: &Path, words: &str) -> bool {
    let (first, rest) = words.as_bytes().split_first().expect("some words");
    assert!(!rest.contains(first), "the first byte of what is looked for stands in it again");
    let mut file = BufReader::with_capacity(1 << 20, fs::File::open(path).expect("readable"));
    let (mut piece, mut follows) = (Vec::new(), false);
    loop {
        piece.clear();
        if file.read_until(*first, &mut piece).expect("readable") == 0 {
            return false;
        }
        if follows && piece.starts_with(rest) {
            return true;
        }
        follows = piece.last() == Some(first);
    }
}

/// The processes that a process has started.
fn children_of(pid: u32) -> Vec<u32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("a process");
    listed.split_whitespace().map(|child| child.parse().expect("a number")).collect()
}

/// Whether something stands in the memory of a process: a dump of it would show it.
fn memory_holds(pid: u32, words: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("a process of ours");
    let memory = fs::File::open(format!("/proc/{pid}/mem")).expect("its memory");
    let written = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|may| may.starts_with("rw")));
    let mut piece = vec![0; 1 << 20];
    for range in written.filter_map(|line| line.split(' ').next()?.split_once('-')) {
        let [mut at, end] = [range.0, range.1].map(|hex| u64::from_str_radix(hex, 16).expect("an address"));
        while at < end {
            let wanted = usize::try_from((end - at).min(piece.len() as u64)).expect("at most a MiB");
            // What cannot be read is not in a dump either.
            let Ok(read) = memory.read_at(&mut piece[..wanted], at) else { break };
            if piece[..read].windows(words.len()).any(|part| part == words.as_bytes()) {
                return true;
            }
            // The pieces overlap by what may be cut between them.
            at += if read > words.len() && at + (read as u64) < end {
                (read - words.len()) as u64
            } else {
                end - at
            };
        }
    }
    false
}

/// The program beside this test's own folder.
fn program(name: &str) -> PathBuf {
    let me = std::env::current_exe().expect("a path");
    let path = me.parent().and_then(Path::parent).expect("target/<profile>/deps").join(name);
    assert!(
        path.exists(),
        "no `{}`; run `cargo build --package node --package relay --bins`",
        path.display()
    );
    path
}

/// The pinned server that the set-up script installs.
fn nats_server() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    relay::server::find_program(Some(&root.join(".tram/bin/nats-server"))).expect("run ops/install.sh")
}

/// Loopback ports that nobody listens on now. They lie below the range from which the system gives ports to outgoing
/// connections: one of those could take the port of a relay that is down for a while.
fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let own = u16::try_from(std::process::id() % 900).expect("below 900") * PORTS_PER_TEST;
    let mut ports = (PORTS_FROM + own..PORTS_UNTIL)
        .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    std::array::from_fn(|_| ports.next().expect("a free port"))
}

fn document(number: u64) -> DocumentId {
    let mut id = [0x5a; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    DocumentId::new(id)
}

/// Bytes that no compression and no other document shares, and between them what is looked for.
pub(crate) fn attachment(number: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length + 64);
    for block in 0_u64.. {
        if bytes.len() >= length {
            break;
        }
        let mut hash = Sha256::new();
        hash.update(number.to_be_bytes());
        hash.update(block.to_be_bytes());
        bytes.extend_from_slice(&hash.finalize());
        bytes.extend_from_slice(SUBJECT.as_bytes());
    }
    bytes.truncate(length);
    bytes
}
