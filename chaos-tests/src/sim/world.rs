//! The event loop of the simulated country.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use node::Node;
use node::step::{Answer, Delivery, Effect, Input, PublishOutcome, Ticket};
use node::store::Store;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use relay::{Effect as RelayEffect, Input as RelayInput, Limits, Relay, Token};
use schema::blob::{BlobRef, CHUNK_BYTES};
use schema::body::{AttachmentName, Dispatch};
use schema::directory::{
    Directory, DirectoryBuilder, Enrolment, KeyValidity, Name, Office, OfficeKey, Region, Validity,
};
use schema::event::{Urgency, Verifier, VerifyMemory};
use schema::exchange::Command;
use schema::id::{BlobHash, DocumentId, EventId, Incarnation, OfficeId, Position, RegionId};
use schema::inbound;
use schema::invariant::Violation;
use schema::pack::{Message, PackItem};
use schema::time::Millis;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::broker::{ACK_WAIT_MS, Content, Stream};
use super::options::{Fault, Options, below, chance, index};
use crate::power_cut::{Disk, Snapshot, VFS_NAME};

/// Simulated time begins on 2025-06-27, 00:00 UTC.
const EPOCH: Millis = Millis(1_750_982_400_000);
/// How long the country may take to become quiet after healing.
const QUIET_WITHIN_MS: u64 = 4 * Millis::DAY;
/// A run with more steps than this has a storm in it.
const STEPS_MAX: u64 = 200_000;
/// How often one station is restored from a backup in one run; more than a station raises by itself in a day is a
/// matter for a person.
const RESTORES_MAX: usize = 2;
/// A clone is found and switched off at most this long after its first hour.
const CLONED_MS_MAX: u64 = 12 * Millis::HOUR;
/// How often, after healing, it is looked whether everything is done.
const LOOK_EVERY_MS: u64 = 2 * Millis::HOUR;
/// An answer that has not come after this is a time-out.
const TIME_OUT_MS: u64 = 5 * Millis::SECOND;
/// Relays notice a dead link to a peer within this time.
const LINK_CHECK_MS: u64 = 15 * Millis::SECOND;

/// What a run was, and what it did.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario.
    pub options: Options,
    /// Documents saved by clerks, counted per recipient.
    pub sends: usize,
    /// Sends refused: full disk, or a command that met a crash.
    pub refused: usize,
    /// Faults that happened.
    pub faults: u64,
    /// Node steps.
    pub steps: u64,
    /// Simulated milliseconds.
    pub simulated_ms: u64,
    /// Hash of the trace: the same seed gives the same one.
    pub trace: String,
}

/// A broken promise, with the run it happened in.
#[derive(Clone, Debug, thiserror::Error)]
#[error("seed {seed}: at {at_ms} ms simulated: {violation}")]
pub struct Violated {
    /// The seed.
    pub seed: u64,
    /// Simulated milliseconds since the start.
    pub at_ms: u64,
    /// What is broken.
    pub violation: String,
}

/// Sender, recipient, document.
pub(super) type Sent = (OfficeId, OfficeId, DocumentId);
/// A copy of a disk, and what its clerk had seen as saved.
type Backup = (Snapshot, BTreeSet<Sent>);

pub(super) struct Station {
    pub(super) office: OfficeId,
    key: SigningKey,
    homes: Vec<usize>,
    disk: Disk,
    pub(super) node: Option<Node>,
    /// Rises at every start: what was on its way to an earlier process is dropped.
    epoch: u64,
    /// Offset of its clock, in milliseconds.
    clock_ms: i64,
    woken_at: Option<Millis>,
    backups: Vec<Backup>,
    restores: usize,
    /// Its disk is full: nothing is handed over before this time.
    resting_until: Millis,
    deliveries: BTreeMap<Delivery, (usize, u64)>,
    last_delivery: u64,
    linked: BTreeSet<usize>,
    /// How far its journal was looked at.
    pub(super) noted: Position,
    cloned: bool,
    /// Set for a clone: a second machine with the same disk and the same key.
    pub(super) clone: Option<CloneOf>,
}

/// What makes a station a clone, and what its end has to answer for.
pub(super) struct CloneOf {
    original: usize,
    /// The incarnation in which the disk was copied.
    pub(super) copied_in: Incarnation,
    /// Events that only this machine has made.
    pub(super) made: BTreeSet<EventId>,
    /// What its clerks saw as saved on this machine.
    saved: BTreeSet<Sent>,
    /// It told its own clerks that it is not alone.
    pub(super) alarmed: bool,
    /// Shut down for good.
    pub(super) retired: bool,
}

impl Station {
    fn new(office: OfficeId, key: SigningKey, homes: Vec<usize>) -> Self {
        Self {
            office,
            key,
            homes,
            disk: Disk::new(),
            node: None,
            epoch: 0,
            clock_ms: 0,
            woken_at: None,
            backups: Vec::new(),
            restores: 0,
            resting_until: EPOCH,
            deliveries: BTreeMap::new(),
            last_delivery: 0,
            linked: BTreeSet::new(),
            noted: Position(0),
            cloned: false,
            clone: None,
        }
    }

    /// Whether the machine is gone for good.
    pub(super) fn is_retired(&self) -> bool {
        self.clone.as_ref().is_some_and(|clone| clone.retired)
    }
}

struct RelayHost {
    region: RegionId,
    relay: Option<Relay>,
    up: Stream,
    peers: Stream,
    mailboxes: BTreeMap<OfficeId, Stream>,
    out: BTreeMap<RegionId, Stream>,
    content: Content,
    withholds: Option<OfficeId>,
    forges: bool,
    pumping: bool,
    links: BTreeSet<RegionId>,
    seeds: u64,
}

enum Event {
    Clerk(usize),
    Wake(usize, u64),
    Inputs(usize, u64, Vec<Input>),
    Start(usize),
    StartRelay(usize),
    Publish {
        relay: usize,
        office: OfficeId,
        id: String,
        message: Bytes,
        answer: Option<(usize, u64, node::step::Publication)>,
    },
    Pump(usize),
    Push(usize),
    Peer {
        from: RegionId,
        to: usize,
        id: String,
        message: Bytes,
        ack: (usize, RegionId, u64),
    },
    Acked(usize, RegionId, u64),
    Poll {
        relay: usize,
        station: usize,
    },
    NodeAck {
        relay: usize,
        office: OfficeId,
        sequence: u64,
    },
    Blob {
        relay: usize,
        station: usize,
        epoch: u64,
        effect: Effect,
    },
    Fault,
    SyncRelays,
    Links(usize),
    FreeDisk(usize),
    EndTrick(usize),
    Retire(usize),
    Heal,
    Look,
}

pub(super) struct World<'a> {
    pub(super) options: Options,
    pub(super) now: Millis,
    rng: ChaCha8Rng,
    queue: BinaryHeap<Reverse<(Millis, u64)>>,
    events: BTreeMap<u64, Event>,
    scheduled: u64,
    pub(super) stations: Vec<Station>,
    relays: Vec<RelayHost>,
    directory: Arc<Directory>,
    verifier: Arc<Verifier>,
    /// Lines that are down: (station, relay).
    cut: BTreeSet<(usize, usize)>,
    /// Lines between relays that are down.
    cut_peers: BTreeSet<(usize, usize)>,
    polls: BTreeMap<(usize, usize), Millis>,
    pushes: BTreeMap<usize, Millis>,
    faulty: bool,
    quiet: bool,
    /// What clerks saw as saved: (sender, recipient, document).
    pub(super) saved: BTreeSet<(OfficeId, OfficeId, DocumentId)>,
    asked: BTreeMap<Ticket, (usize, DocumentId, Vec<OfficeId>)>,
    pub(super) authentic: BTreeSet<EventId>,
    documents_left: usize,
    tickets: u64,
    refused: usize,
    faults: u64,
    pub(super) steps: u64,
    trace: Sha256,
    listener: Option<Listener<'a>>,
    template: Snapshot,
}

thread_local! {
    /// An empty store with its tables: making one takes longer than many a run.
    static TEMPLATE: RefCell<Option<Snapshot>> = const { RefCell::new(None) };
}

fn template() -> Snapshot {
    TEMPLATE.with_borrow_mut(|template| {
        template
            .get_or_insert_with(|| {
                let disk = Disk::new();
                let store =
                    Store::open_on(&disk.path("tram.db"), VFS_NAME).expect("an empty disk takes a store");
                drop(store);
                disk.snapshot()
            })
            .clone()
    })
}

fn id16(seed: u64, what: &str, number: u64) -> [u8; 16] {
    let digest = Sha256::digest(format!("{seed} {what} {number}"));
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

/// Runs one scenario from start to quiet.
///
/// # Errors
/// The first promise that is broken.
pub fn run(options: &Options) -> Result<Report, Violated> {
    run_telling(options, None)
}

/// Hears every line of the trace of a run.
pub type Listener<'a> = &'a mut dyn FnMut(&str);

/// As [`run`], and tells every line of the trace.
///
/// # Errors
/// As [`run`].
pub fn run_telling(options: &Options, listener: Option<Listener<'_>>) -> Result<Report, Violated> {
    let mut world = World::new(options.clone(), listener);
    let result = world.play();
    let at_ms = world.now.since(EPOCH);
    match result {
        Ok(()) => Ok(Report {
            options: options.clone(),
            sends: world.saved.len(),
            refused: world.refused,
            faults: world.faults,
            steps: world.steps,
            simulated_ms: at_ms,
            trace: EventId::new(world.trace.clone().finalize().into()).to_string(),
        }),
        Err(violation) => Err(Violated { seed: options.seed, at_ms, violation: violation.to_string() }),
    }
}

impl<'a> World<'a> {
    fn new(options: Options, listener: Option<Listener<'a>>) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
        let seed = options.seed;
        let regions: Vec<RegionId> =
            (0..options.regions).map(|n| format!("r{n}").parse().expect("a region token")).collect();
        let mut builder = DirectoryBuilder::new();
        for region in &regions {
            builder.region(Region {
                id: region.clone(),
                name: format!("Vùng {region}"),
                url: "nats://127.0.0.1:4222".to_owned(),
                login: None,
            });
        }
        let mut stations = Vec::new();
        for number in 0..options.offices {
            let office = OfficeId::new(id16(seed, "office", number as u64));
            let digest: [u8; 32] = Sha256::digest(format!("{seed} key {number}")).into();
            let key = SigningKey::from_bytes(&digest);
            let mut homes = vec![number % options.regions];
            if options.regions > 1 && chance(&mut rng, options.second_home) {
                homes.push((number + 1) % options.regions);
            }
            let mut listed = Office::new(office);
            listed.names = vec![Name { text: format!("Cơ quan {number}"), validity: Validity::ALWAYS }];
            builder.office(listed);
            let enrolment = Enrolment {
                keys: vec![OfficeKey { key: key.verifying_key().to_bytes(), validity: KeyValidity::ALWAYS }],
                login: None,
                relays: homes.iter().map(|home| regions[*home].clone()).collect(),
            };
            builder.enrol(&office, enrolment).expect("the office was just added");
            stations.push(Station::new(office, key, homes));
        }
        let directory = Arc::new(builder.build(1, EPOCH).expect("a sound directory"));
        let memory = Arc::new(VerifyMemory::default());
        let verifier = Arc::new(Verifier::new(Arc::clone(&directory)).with_memory(memory));
        let relays = regions.iter().map(|region| RelayHost::new(region.clone())).collect();
        Self {
            now: EPOCH,
            rng,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            scheduled: 0,
            stations,
            relays,
            directory,
            verifier,
            cut: BTreeSet::new(),
            cut_peers: BTreeSet::new(),
            polls: BTreeMap::new(),
            pushes: BTreeMap::new(),
            faulty: true,
            quiet: false,
            saved: BTreeSet::new(),
            asked: BTreeMap::new(),
            authentic: BTreeSet::new(),
            documents_left: options.documents,
            tickets: 0,
            refused: 0,
            faults: 0,
            steps: 0,
            trace: Sha256::new(),
            listener,
            template: template(),
            options,
        }
    }

    fn at(&mut self, delay_ms: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse((self.now.plus(delay_ms), self.scheduled)));
        self.events.insert(self.scheduled, event);
    }

    fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        let line = format!("{:>12} {what}", self.now.since(EPOCH));
        self.trace.update(line.as_bytes());
        if let Some(listener) = self.listener.as_mut() {
            listener(&line);
        }
    }

    /// Tells the listener more than the trace holds.
    pub(super) fn explain(&mut self, what: impl FnOnce() -> String) {
        if let Some(listener) = self.listener.as_mut() {
            listener(&format!("{:>12}   {}", self.now.since(EPOCH), what()));
        }
    }

    fn delay(&mut self) -> u64 {
        1 + below(&mut self.rng, self.options.delay_ms_max)
    }

    fn play(&mut self) -> Result<(), Violation> {
        for station in 0..self.stations.len() {
            self.stations[station].disk = Disk::from_snapshot(&self.template);
            self.at(station as u64, Event::Start(station));
            let first = below(&mut self.rng, self.options.faulty_ms / 4);
            self.at(first, Event::Clerk(station));
        }
        for relay in 0..self.relays.len() {
            self.at(0, Event::StartRelay(relay));
            self.at(LINK_CHECK_MS, Event::Links(relay));
        }
        self.at(self.options.fault_every_ms, Event::Fault);
        self.at(2 * Millis::MINUTE, Event::SyncRelays);
        self.at(self.options.faulty_ms, Event::Heal);
        let end = EPOCH.plus(self.options.faulty_ms + QUIET_WITHIN_MS);
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > end || self.quiet {
                break;
            }
            self.now = at;
            let Some(event) = self.events.remove(&number) else { continue };
            self.take(event)?;
            if self.steps > STEPS_MAX {
                return Err(Violation { promise: "P5", found: format!("a storm: {} steps", self.steps) });
            }
        }
        self.check_at_rest()
    }

    fn take(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Clerk(station) => self.clerk(station)?,
            Event::Wake(station, epoch) => {
                // An earlier wake-up may have replaced this one.
                if self.stations[station].epoch == epoch && self.stations[station].woken_at == Some(self.now)
                {
                    self.stations[station].woken_at = None;
                    self.step(station, vec![Input::Tick])?;
                }
            }
            Event::Inputs(station, epoch, inputs) => {
                if self.stations[station].epoch == epoch {
                    self.step(station, inputs)?;
                }
            }
            Event::Start(station) => self.start(station)?,
            Event::StartRelay(relay) => self.start_relay(relay)?,
            Event::Publish { relay, office, id, message, answer } => {
                self.publish(relay, office, &id, message, answer);
            }
            Event::Pump(relay) => self.pump(relay),
            Event::Push(relay) => {
                if self.pushes.get(&relay) == Some(&self.now) {
                    self.pushes.remove(&relay);
                    self.push(relay);
                }
            }
            Event::Peer { from, to, id, message, ack } => self.peer(&from, to, &id, message, ack),
            Event::Acked(relay, region, sequence) => {
                if let Some(stream) = self.relays[relay].out.get_mut(&region) {
                    stream.ack(sequence);
                }
            }
            Event::Poll { relay, station } => {
                if self.polls.get(&(relay, station)) == Some(&self.now) {
                    self.polls.remove(&(relay, station));
                    self.poll(relay, station);
                }
            }
            Event::NodeAck { relay, office, sequence } => {
                if let Some(mailbox) = self.relays[relay].mailboxes.get_mut(&office) {
                    mailbox.ack(sequence);
                }
            }
            Event::Blob { relay, station, epoch, effect } => self.blob(relay, station, epoch, effect),
            Event::Fault => self.fault()?,
            Event::SyncRelays => {
                self.relays.iter_mut().for_each(RelayHost::sync);
                if self.faulty {
                    self.at(2 * Millis::MINUTE, Event::SyncRelays);
                }
            }
            Event::Links(relay) => self.check_links(relay),
            Event::FreeDisk(station) => self.stations[station].disk.free_space(),
            Event::EndTrick(relay) => {
                self.relays[relay].withholds = None;
                self.relays[relay].forges = false;
            }
            Event::Retire(station) => self.retire(station)?,
            Event::Heal => self.heal()?,
            Event::Look => {
                self.quiet = self.is_quiet()?;
                self.at(LOOK_EVERY_MS, Event::Look);
            }
        }
        Ok(())
    }

    // --- Offices ---------------------------------------------------------------------------------------------

    fn clock(&self, station: usize) -> Millis {
        Millis(self.now.0.saturating_add_signed(self.stations[station].clock_ms))
    }

    fn start(&mut self, number: usize) -> Result<(), Violation> {
        if self.stations[number].is_retired() {
            return Ok(());
        }
        let now = self.clock(number);
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let station = &mut self.stations[number];
        if station.node.is_some() {
            return Ok(());
        }
        station.epoch += 1;
        station.deliveries.clear();
        station.linked.clear();
        station.woken_at = None;
        let opened = Store::open_on(&station.disk.path("tram.db"), VFS_NAME).and_then(|store| {
            store.self_check(50)?;
            Node::open(store, station.key.clone(), Arc::clone(&self.directory), station.office, seed, now)
        });
        match opened {
            Ok(node) => station.node = Some(node),
            // The power went again while the store was opened, or the disk is full: try again later.
            Err(_) if station.disk.is_dead() || self.faulty => {
                station.disk.restart(&mut self.rng);
                self.at(Millis::MINUTE, Event::Start(number));
                return Ok(());
            }
            Err(error) => {
                let found = format!(
                    "station {number} does not open: {error}: {:?}",
                    std::error::Error::source(&error)
                );
                return Err(Violation { promise: "P1", found });
            }
        }
        self.check_station(number)?;
        for relay in self.stations[number].homes.clone() {
            self.connect(number, relay);
        }
        Ok(())
    }

    fn connect(&mut self, station: usize, relay: usize) {
        let possible = self.stations[station].node.is_some()
            && self.relays[relay].relay.is_some()
            && !self.cut.contains(&(station, relay));
        if possible && self.stations[station].linked.insert(relay) {
            let (epoch, region) = (self.stations[station].epoch, self.relays[relay].region.clone());
            let delay = self.delay();
            self.at(delay, Event::Inputs(station, epoch, vec![Input::Connected(region)]));
            self.poll_in(delay + 1, relay, station);
        }
    }

    fn disconnect(&mut self, station: usize, relay: usize) {
        if self.stations[station].linked.remove(&relay) {
            let (epoch, region) = (self.stations[station].epoch, self.relays[relay].region.clone());
            self.at(1, Event::Inputs(station, epoch, vec![Input::Disconnected(region)]));
        }
    }

    fn clerk(&mut self, number: usize) -> Result<(), Violation> {
        if !self.faulty || self.documents_left == 0 || self.stations[number].is_retired() {
            return Ok(());
        }
        let next = below(&mut self.rng, 2 * self.options.faulty_ms / self.options.documents as u64);
        self.at(next, Event::Clerk(number));
        if self.stations[number].node.is_none() {
            return Ok(());
        }
        self.documents_left -= 1;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let document = DocumentId::new(id16(self.options.seed, "document", self.tickets));
        let me = self.stations[number].office;
        let others = self.stations.iter().filter(|other| other.clone.is_none() && other.office != me);
        let others: Vec<OfficeId> = others.map(|other| other.office).collect();
        let mut to: Vec<OfficeId> = others.iter().filter(|_| chance(&mut self.rng, 400)).copied().collect();
        if to.is_empty() {
            to.push(others[index(&mut self.rng, others.len())]);
        }
        let urgency = if chance(&mut self.rng, 150) { Urgency::Express } else { Urgency::Normal };
        let mut inputs = Vec::new();
        let mut blobs = Vec::new();
        if chance(&mut self.rng, 250) {
            let length = 1 + index(&mut self.rng, 3 * CHUNK_BYTES as usize);
            let bytes: Vec<u8> = (0..length as u64).map(|n| (n + self.tickets).to_le_bytes()[0]).collect();
            let hash = BlobHash::new(Sha256::digest(&bytes).into());
            let blob = BlobRef { hash, length: length as u64 };
            for (index, chunk) in (0..).zip(bytes.chunks(CHUNK_BYTES as usize)) {
                let bytes = Some(Bytes::copy_from_slice(chunk));
                inputs.push(Input::Chunk { blob, index, bytes, relay: None });
            }
            blobs.push(blob);
        }
        let attachments = blobs
            .iter()
            .map(|_| AttachmentName { name: "phu-luc.pdf".into(), media_type: "application/pdf".into() });
        let dispatch = Dispatch {
            document,
            subject: format!("Về việc số {}", self.tickets),
            number: None,
            document_type: None,
            attachments: attachments.collect(),
        };
        let command = Command::Dispatch { to: to.clone(), urgency, blobs, dispatch };
        inputs.push(Input::Command { ticket, command });
        self.asked.insert(ticket, (number, document, to));
        self.step(number, inputs)
    }

    fn step(&mut self, number: usize, inputs: Vec<Input>) -> Result<(), Violation> {
        let now = self.clock(number);
        self.steps += 1;
        let crash =
            self.faulty && self.options.faults.contains(&Fault::NodeCrash) && chance(&mut self.rng, 10);
        let station = &mut self.stations[number];
        let Some(node) = station.node.as_mut() else { return Ok(()) };
        let before = node.exchange().seq();
        let given = inputs.iter().map(kind_of).collect::<Vec<_>>().join(", ");
        match node.step(inputs, now) {
            Ok(effects) => {
                let seq = node.exchange().seq();
                let effects_len = effects.len();
                self.tell(format_args!(
                    "station {number}: {given}; {before} -> {seq}, {effects_len} effects"
                ));
                // The answer to the clerk is given the moment the step returns; everything else may die on the way.
                self.answers(&effects);
                self.check_step(number)?;
                if crash {
                    self.faults += 1;
                    self.stop(number);
                    return Ok(());
                }
                for effect in effects {
                    self.effect(number, effect);
                }
                self.wake(number);
            }
            Err(error) => {
                if !station.disk.is_dead() {
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    let found = format!("station {number} failed on a disk that works: {error}: {source:?}");
                    return Err(Violation { promise: "P1", found });
                }
                self.stop(number);
            }
        }
        Ok(())
    }

    /// The station's process ends; its machine starts again later.
    fn stop(&mut self, number: usize) {
        let station = &mut self.stations[number];
        station.node = None;
        station.epoch += 1;
        station.linked.clear();
        station.disk.restart(&mut self.rng);
        // What was read from the cache may not have survived.
        station.noted = Position(0);
        let later = 1 + below(&mut self.rng, if self.faulty { Millis::HOUR } else { Millis::SECOND });
        self.at(later, Event::Start(number));
    }

    fn answers(&mut self, effects: &[Effect]) {
        for effect in effects {
            let Effect::Answer { ticket, answer } = effect else { continue };
            let Some((sender, document, to)) = self.asked.remove(ticket) else { continue };
            let station = &mut self.stations[sender];
            let sends = to.into_iter().map(|to| (station.office, to, document));
            match answer {
                Answer::Dispatched { .. } => {
                    if let Some(clone) = station.clone.as_mut() {
                        clone.saved.extend(sends.clone());
                    }
                    self.saved.extend(sends);
                }
                _ => self.refused += 1,
            }
        }
    }

    fn wake(&mut self, number: usize) {
        let clock = self.clock(number);
        let station = &mut self.stations[number];
        let Some(at) = station.node.as_ref().and_then(Node::wakeup) else { return };
        let at = self.now.plus(at.since(clock).max(1));
        if station.woken_at.is_none_or(|woken| at < woken || woken <= self.now) {
            station.woken_at = Some(at);
            let epoch = station.epoch;
            let delay = at.since(self.now);
            self.at(delay, Event::Wake(number, epoch));
        }
    }

    fn effect(&mut self, number: usize, effect: Effect) {
        let office = self.stations[number].office;
        let epoch = self.stations[number].epoch;
        match effect {
            Effect::Answer { .. } => {}
            Effect::Rest { until } => {
                let rest_ms = until.since(self.clock(number));
                self.stations[number].resting_until = self.now.plus(rest_ms);
            }
            Effect::Publish { relay, publication, message_id, message } => {
                let relay = self.relay_of(&relay);
                let arrives = self.passes(number, relay);
                let delay = self.delay();
                if arrives {
                    if self.faulty && chance(&mut self.rng, self.options.duplication) {
                        let later = delay + below(&mut self.rng, 10 * Millis::MINUTE);
                        let (id, message) = (message_id.clone(), message.clone());
                        self.at(later, Event::Publish { relay, office, id, message, answer: None });
                    }
                    let (id, answer) = (message_id, Some((number, epoch, publication)));
                    self.at(delay, Event::Publish { relay, office, id, message, answer });
                } else {
                    self.unknown(number, epoch, publication);
                }
            }
            Effect::Ack { relay, delivery } => {
                let relay = self.relay_of(&relay);
                if let Some((_, sequence)) = self.stations[number].deliveries.remove(&delivery)
                    && self.passes(number, relay)
                {
                    let delay = self.delay();
                    self.at(delay, Event::NodeAck { relay, office, sequence });
                }
            }
            Effect::OfferBlob { ref relay, .. }
            | Effect::StoreChunk { ref relay, .. }
            | Effect::FetchChunk { ref relay, .. } => {
                let relay = self.relay_of(relay);
                let delay = self.delay();
                self.at(delay, Event::Blob { relay, station: number, epoch, effect });
            }
        }
    }

    fn unknown(&mut self, station: usize, epoch: u64, publication: node::step::Publication) {
        let input = Input::Published { publication, outcome: PublishOutcome::Unknown };
        self.at(TIME_OUT_MS, Event::Inputs(station, epoch, vec![input]));
    }

    fn passes(&mut self, station: usize, relay: usize) -> bool {
        let line = !self.cut.contains(&(station, relay)) && self.stations[station].linked.contains(&relay);
        line && !(self.faulty && chance(&mut self.rng, self.options.loss))
    }

    fn relay_of(&self, region: &RegionId) -> usize {
        self.relays.iter().position(|relay| relay.region == *region).expect("nodes know their regions only")
    }

    fn station_of(&self, office: &OfficeId) -> Option<usize> {
        self.stations.iter().position(|station| station.office == *office)
    }

    /// The machines of an office that share its mailbox, in the order in which they happen to ask.
    fn machines_of(&mut self, office: &OfficeId) -> Vec<usize> {
        let stations = self.stations.iter().enumerate();
        let mut machines: Vec<usize> = stations
            .filter(|(_, station)| station.office == *office && !station.is_retired())
            .map(|(number, _)| number)
            .collect();
        if machines.len() > 1 && chance(&mut self.rng, 500) {
            machines.reverse();
        }
        machines
    }

    // --- Relays ----------------------------------------------------------------------------------------------

    fn start_relay(&mut self, number: usize) -> Result<(), Violation> {
        let host = &mut self.relays[number];
        if host.relay.is_some() {
            return Ok(());
        }
        host.seeds += 1;
        let seed: [u8; 32] = Sha256::digest(format!("{} {number} {}", self.options.seed, host.seeds)).into();
        let directory = Arc::clone(&self.directory);
        host.relay = Some(Relay::new(host.region.clone(), directory, Limits::default(), seed));
        host.up.guard();
        host.peers.guard();
        host.mailboxes.values_mut().chain(host.out.values_mut()).for_each(Stream::guard);
        self.check_links(number);
        for station in 0..self.stations.len() {
            if self.stations[station].homes.contains(&number) {
                self.connect(station, number);
            }
        }
        self.pump_soon(number);
        self.push_in(Millis::SECOND, number);
        Ok(())
    }

    fn stop_relay(&mut self, number: usize) {
        let host = &mut self.relays[number];
        host.relay = None;
        host.pumping = false;
        host.up.forget_guard();
        host.peers.forget_guard();
        host.mailboxes.values_mut().chain(host.out.values_mut()).for_each(Stream::forget_guard);
        for station in 0..self.stations.len() {
            self.disconnect(station, number);
        }
        let later = below(&mut self.rng, Millis::HOUR);
        self.at(later, Event::StartRelay(number));
    }

    fn check_links(&mut self, number: usize) {
        let up: BTreeSet<RegionId> = (0..self.relays.len())
            .filter(|peer| *peer != number && self.relays[*peer].relay.is_some())
            .filter(|peer| !self.cut_peers.contains(&(number.min(*peer), number.max(*peer))))
            .map(|peer| self.relays[peer].region.clone())
            .collect();
        let host = &mut self.relays[number];
        let news = up != host.links;
        host.links.clone_from(&up);
        if let Some(relay) = host.relay.as_mut() {
            relay.step(vec![RelayInput::Links(up)], self.now);
        }
        if news {
            self.push_in(1, number);
        }
    }

    fn publish(
        &mut self,
        relay: usize,
        office: OfficeId,
        id: &str,
        message: Bytes,
        answer: Option<(usize, u64, node::step::Publication)>,
    ) {
        let host = &mut self.relays[relay];
        if host.relay.is_none() {
            if let Some((station, epoch, publication)) = answer {
                self.unknown(station, epoch, publication);
            }
            return;
        }
        host.up.publish(&office.to_string(), id, message, self.now);
        if self.options.relays_sync_always {
            self.relays[relay].sync();
        }
        self.pump_soon(relay);
        if let Some((station, epoch, publication)) = answer {
            if self.passes(station, relay) {
                let delay = self.delay();
                let input = Input::Published { publication, outcome: PublishOutcome::Stored };
                self.at(delay, Event::Inputs(station, epoch, vec![input]));
            } else {
                // It was stored, and nobody will ever know from the server.
                self.unknown(station, epoch, publication);
            }
        }
    }

    fn pump_soon(&mut self, relay: usize) {
        if self.relays[relay].relay.is_some() && !self.relays[relay].pumping {
            self.relays[relay].pumping = true;
            self.at(20, Event::Pump(relay));
        }
    }

    fn pump(&mut self, number: usize) {
        const BATCH: usize = 32;
        let now = self.now;
        let verifier = Arc::clone(&self.verifier);
        let host = &mut self.relays[number];
        host.pumping = false;
        let Some(relay) = host.relay.as_mut() else { return };
        let mut inputs = Vec::new();
        for (sequence, source, bytes) in host.up.fetch(now, BATCH) {
            let office = source.parse().expect("published under an office's name");
            let opened = inbound::open(&verifier, &bytes);
            inputs.push(RelayInput::FromOffice { office, token: Token(2 * sequence), opened, bytes });
        }
        for (sequence, source, bytes) in host.peers.fetch(now, BATCH) {
            let region = source.parse().expect("published under a region's name");
            let opened = inbound::open(&verifier, &bytes);
            inputs.push(RelayInput::FromPeer { region, token: Token(2 * sequence + 1), opened, bytes });
        }
        if inputs.is_empty() {
            return;
        }
        let effects = relay.step(inputs, now);
        let mut mail = BTreeSet::new();
        for effect in effects {
            match effect {
                RelayEffect::Deliver { office, message, message_id }
                | RelayEffect::Notify { office, message, message_id } => {
                    if host.withholds == Some(office) {
                        continue;
                    }
                    let message = if host.forges { forge(&mut self.rng, &message) } else { message };
                    host.mailboxes.entry(office).or_default().publish("relay", &message_id, message, now);
                    mail.insert(office);
                }
                RelayEffect::Forward { region, message, message_id } => {
                    host.out.entry(region).or_default().publish("relay", &message_id, message, now);
                }
                RelayEffect::Ack { token } if token.0 % 2 == 0 => host.up.ack(token.0 / 2),
                RelayEffect::Ack { token } => host.peers.ack(token.0 / 2),
                RelayEffect::Quarantine { .. } | RelayEffect::Alarm(_) => {}
            }
        }
        if self.options.relays_sync_always {
            host.sync();
        }
        for office in mail {
            for station in self.machines_of(&office) {
                self.poll_in(1, number, station);
            }
        }
        self.push_in(1, number);
        self.pump_soon(number);
    }

    fn push(&mut self, number: usize) {
        const BATCH: usize = 16;
        let now = self.now;
        let host = &mut self.relays[number];
        let Some(relay) = host.relay.as_ref() else { return };
        let mut hops = Vec::new();
        let mut again = None;
        for (region, stream) in &mut host.out {
            if relay.next_hop(region, std::slice::from_ref(&host.region)).is_none() {
                continue;
            }
            for (sequence, _, message) in stream.fetch(now, BATCH) {
                let path = match Message::parse(&message) {
                    Ok(Message::Forward { path, .. }) => path,
                    _ => Vec::new(),
                };
                if let Some(hop) = relay.next_hop(region, &path) {
                    hops.push((region.clone(), hop, sequence, message));
                }
            }
            let next = stream.next_delivery(now);
            again = [again, next].into_iter().flatten().min();
        }
        let from = host.region.clone();
        for (region, hop, sequence, message) in hops {
            let to = self.relay_of(&hop);
            let cut = self.cut_peers.contains(&(number.min(to), number.max(to)));
            let lost = cut || self.faulty && chance(&mut self.rng, self.options.loss);
            if !lost {
                let delay = self.delay();
                let id = format!("{from} {sequence} {}", self.scheduled);
                self.at(
                    delay,
                    Event::Peer { from: from.clone(), to, id, message, ack: (number, region, sequence) },
                );
            }
        }
        if let Some(at) = again {
            let delay = at.since(now).max(Millis::SECOND);
            self.push_in(delay, number);
        }
    }

    fn peer(&mut self, from: &RegionId, to: usize, id: &str, message: Bytes, ack: (usize, RegionId, u64)) {
        if self.relays[to].relay.is_none() {
            return;
        }
        self.relays[to].peers.publish(from.as_str(), id, message, self.now);
        self.pump_soon(to);
        let delay = self.delay();
        if !(self.faulty && chance(&mut self.rng, self.options.loss)) {
            self.at(delay, Event::Acked(ack.0, ack.1, ack.2));
        }
    }

    /// Looks into a mailbox after this time, unless that is going to happen sooner.
    fn poll_in(&mut self, delay_ms: u64, relay: usize, station: usize) {
        let at = self.now.plus(delay_ms);
        let planned = self.polls.get(&(relay, station));
        if planned.is_none_or(|planned| at < *planned) {
            self.polls.insert((relay, station), at);
            self.at(delay_ms, Event::Poll { relay, station });
        }
    }

    /// Pushes what waits for peers after this time, unless that is going to happen sooner.
    fn push_in(&mut self, delay_ms: u64, relay: usize) {
        let at = self.now.plus(delay_ms);
        if self.pushes.get(&relay).is_none_or(|planned| at < *planned) {
            self.pushes.insert(relay, at);
            self.at(delay_ms, Event::Push(relay));
        }
    }

    fn poll(&mut self, relay: usize, number: usize) {
        const BATCH: usize = 8;
        if !self.stations[number].linked.contains(&relay) || self.cut.contains(&(number, relay)) {
            return;
        }
        let (office, now) = (self.stations[number].office, self.now);
        let resting_until = self.stations[number].resting_until;
        if resting_until > now {
            return self.poll_in(resting_until.since(now), relay, number);
        }
        let host = &mut self.relays[relay];
        if host.relay.is_none() {
            return;
        }
        let mailbox = host.mailboxes.entry(office).or_default();
        let fetched = mailbox.fetch(now, BATCH);
        let next = mailbox.next_delivery(now);
        let region = host.region.clone();
        for (sequence, _, message) in fetched {
            let station = &mut self.stations[number];
            station.last_delivery += 1;
            let delivery = Delivery(station.last_delivery);
            station.deliveries.insert(delivery, (relay, sequence));
            let epoch = station.epoch;
            let delay = self.delay();
            let Ok(opened) = inbound::open(&self.verifier, &message) else {
                // Not a message: the edge acknowledges it and says so.
                if let Some(mailbox) = self.relays[relay].mailboxes.get_mut(&office) {
                    mailbox.ack(sequence);
                }
                continue;
            };
            if self.passes(number, relay) {
                let input = Input::Delivered { relay: region.clone(), delivery, opened };
                self.at(delay, Event::Inputs(number, epoch, vec![input]));
            }
        }
        if let Some(at) = next {
            let delay = at.since(now).max(10);
            for machine in self.machines_of(&office) {
                self.poll_in(delay, relay, machine);
            }
        }
    }

    fn blob(&mut self, relay: usize, number: usize, epoch: u64, effect: Effect) {
        let region = self.relays[relay].region.clone();
        let answered = self.relays[relay].relay.is_some() && self.passes(number, relay);
        let input = match effect {
            Effect::OfferBlob { blob, .. } => {
                let content = &self.relays[relay].content;
                let here = content.chunks.get(&blob.hash);
                let missing: Vec<u32> = (0..blob.chunks())
                    .filter(|_| !content.whole.contains(&blob.hash))
                    .filter(|index| here.is_none_or(|here| !here.contains_key(index)))
                    .collect();
                Input::BlobMissing { relay: region, blob, chunks: answered.then_some(missing) }
            }
            Effect::StoreChunk { blob, index, bytes, .. } => {
                if answered {
                    self.relays[relay].content.chunks.entry(blob.hash).or_default().insert(index, bytes);
                }
                // The edge offers again after each run.
                let delay = if answered { 1 } else { TIME_OUT_MS };
                let station = number;
                let effect = Effect::OfferBlob { relay: region, blob };
                self.at(delay, Event::Blob { relay, station, epoch, effect });
                return;
            }
            Effect::FetchChunk { blob, index, sender, .. } => {
                let mut bytes = None;
                if answered {
                    bytes = self
                        .chunk_at(relay, &blob.hash, index)
                        .or_else(|| self.chunk_from_home(&sender, &blob.hash, index));
                }
                Input::Chunk { blob, index, bytes, relay: Some(region) }
            }
            _ => return,
        };
        let delay = if answered { self.delay() } else { TIME_OUT_MS };
        self.at(delay, Event::Inputs(number, epoch, vec![input]));
    }

    fn chunk_at(&mut self, relay: usize, hash: &BlobHash, index: u32) -> Option<Bytes> {
        let forges = self.relays[relay].forges;
        let bytes = self.relays[relay].content.chunks.get(hash)?.get(&index)?.clone();
        if forges && chance(&mut self.rng, 300) {
            let mut altered = bytes.to_vec();
            altered[0] ^= 1;
            return Some(altered.into());
        }
        Some(bytes)
    }

    fn chunk_from_home(&mut self, sender: &OfficeId, hash: &BlobHash, index: u32) -> Option<Bytes> {
        let homes = self.stations[self.station_of(sender)?].homes.clone();
        homes.into_iter().find_map(|home| {
            let up = self.relays[home].relay.is_some();
            if up { self.chunk_at(home, hash, index) } else { None }
        })
    }

    // --- Faults ----------------------------------------------------------------------------------------------

    fn fault(&mut self) -> Result<(), Violation> {
        if !self.faulty {
            return Ok(());
        }
        let next = 1 + below(&mut self.rng, 2 * self.options.fault_every_ms);
        self.at(next, Event::Fault);
        self.back_up();
        if self.options.faults.is_empty() {
            return Ok(());
        }
        let which = index(&mut self.rng, self.options.faults.len());
        let fault = self.options.faults[which];
        self.faults += 1;
        let relay = index(&mut self.rng, self.relays.len());
        let number = index(&mut self.rng, self.stations.len());
        let number = match &self.stations[number].clone {
            Some(clone) if clone.retired => clone.original,
            _ => number,
        };
        self.tell(format_args!("fault {fault:?}: relay {relay}, station {number}"));
        match fault {
            Fault::RelayCrash => self.stop_relay(relay),
            Fault::RelayPowerCut => {
                self.relays[relay].lose_power();
                self.stop_relay(relay);
            }
            Fault::RelayWipe => {
                self.relays[relay].wipe();
                self.stop_relay(relay);
            }
            Fault::RelayRollback => {
                let part = below(&mut self.rng, 1_000);
                self.relays[relay].roll_back(part);
                self.stop_relay(relay);
            }
            Fault::RelayWithholds => {
                self.relays[relay].withholds = Some(self.stations[number].office);
                let later = below(&mut self.rng, 8 * Millis::HOUR);
                self.at(later, Event::EndTrick(relay));
            }
            Fault::RelayForges => {
                self.relays[relay].forges = true;
                self.repeat_old_mail(relay);
                let later = below(&mut self.rng, 4 * Millis::HOUR);
                self.at(later, Event::EndTrick(relay));
            }
            Fault::NodePowerCut => {
                let operations = 1 + below(&mut self.rng, 40);
                self.stations[number].disk.cut_power_at(operations);
            }
            // Happens inside steps.
            Fault::NodeCrash => {}
            Fault::NodeRestored => self.restore(number, false)?,
            Fault::NodeRestoredByTool => self.restore(number, true)?,
            Fault::NodeCloned => self.clone_machine(number),
            Fault::DiskFull => {
                let room = below(&mut self.rng, 200_000);
                self.stations[number].disk.fill_up(room);
                let later = below(&mut self.rng, 6 * Millis::HOUR);
                self.at(later, Event::FreeDisk(number));
            }
            Fault::Partition => self.partition(number, relay),
            Fault::Clock => {
                let years = [0, 0, 1, -1, 6, -6][index(&mut self.rng, 6)];
                self.stations[number].clock_ms = years * 365 * Millis::DAY as i64;
                self.wake(number);
            }
        }
        Ok(())
    }

    fn back_up(&mut self) {
        let wanted = self.options.faults.contains(&Fault::NodeRestored)
            || self.options.faults.contains(&Fault::NodeRestoredByTool);
        let number = index(&mut self.rng, self.stations.len());
        let station = &mut self.stations[number];
        if wanted
            && station.clone.is_none()
            && station.node.is_some()
            && !station.disk.is_dead()
            && station.backups.len() < 4
        {
            let office = station.office;
            let saved = self.saved.iter().filter(|(from, _, _)| *from == office).copied().collect();
            station.backups.push((station.disk.snapshot(), saved));
        }
    }

    fn restore(&mut self, number: usize, with_tool: bool) -> Result<(), Violation> {
        let count = self.stations[number].backups.len();
        if count == 0 || self.stations[number].restores >= RESTORES_MAX {
            return Ok(());
        }
        self.stations[number].restores += 1;
        let chosen = index(&mut self.rng, count);
        let office = self.stations[number].office;
        let (snapshot, saved) = self.stations[number].backups[chosen].clone();
        // What existed only on the lost disk is lost by definition; what has left may still arrive.
        self.saved.retain(|entry| entry.0 != office || saved.contains(entry));
        let station = &mut self.stations[number];
        station.node = None;
        station.epoch += 1;
        station.linked.clear();
        station.disk = Disk::from_snapshot(&snapshot);
        station.noted = Position(0);
        // A copy of a running store may need its log replayed; that is what opening does.
        self.start(number)?;
        // A clone uses up what a station raises by itself: then a person must decide, and takes the tool.
        if with_tool || self.stations[number].cloned {
            let now = self.clock(number);
            if let Some(node) = self.stations[number].node.as_mut()
                && let Err(error) = node.restored_by_tool(now)
            {
                let found = format!("the restore tool failed at station {number}: {error}");
                return Err(Violation { promise: "P8", found });
            }
            self.wake(number);
        }
        Ok(())
    }

    /// A second machine starts on a copy of this one's disk, with its key, and clerks use both.
    fn clone_machine(&mut self, number: usize) {
        let station = &mut self.stations[number];
        let Some(node) = station.node.as_ref().filter(|_| !station.disk.is_dead()) else { return };
        if station.cloned || station.clone.is_some() {
            return;
        }
        station.cloned = true;
        let mut twin = Station::new(station.office, station.key.clone(), station.homes.clone());
        twin.disk = Disk::from_snapshot(&station.disk.snapshot());
        twin.clock_ms = station.clock_ms;
        twin.clone = Some(CloneOf {
            original: number,
            copied_in: node.exchange().incarnation(),
            made: BTreeSet::new(),
            saved: BTreeSet::new(),
            alarmed: false,
            retired: false,
        });
        self.stations.push(twin);
        let twin = self.stations.len() - 1;
        self.at(1, Event::Start(twin));
        let first = below(&mut self.rng, self.options.faulty_ms / 8);
        self.at(first, Event::Clerk(twin));
        let later = Millis::HOUR + below(&mut self.rng, CLONED_MS_MAX);
        self.at(later, Event::Retire(twin));
    }

    /// Somebody has found the second machine and switches it off for good.
    fn retire(&mut self, number: usize) -> Result<(), Violation> {
        let alarmed = self.alarmed_itself(number)?;
        let station = &mut self.stations[number];
        let Some(clone) = station.clone.as_mut().filter(|clone| !clone.retired) else { return Ok(()) };
        clone.retired = true;
        clone.alarmed = alarmed;
        // What existed on that machine only is lost with it; what has left may still arrive.
        self.saved.retain(|entry| !clone.saved.contains(entry));
        let original = clone.original;
        station.node = None;
        station.epoch += 1;
        station.linked.clear();
        self.tell(format_args!("station {number}, the clone of {original}, is switched off"));
        for relay in self.stations[original].homes.clone() {
            self.poll_in(ACK_WAIT_MS, relay, original);
        }
        Ok(())
    }

    fn partition(&mut self, number: usize, relay: usize) {
        if chance(&mut self.rng, 400) {
            self.cut.clear();
            self.cut_peers.clear();
        } else if chance(&mut self.rng, 500) {
            for home in self.stations[number].homes.clone() {
                self.cut.insert((number, home));
            }
        } else {
            let other = index(&mut self.rng, self.relays.len());
            self.cut_peers.insert((relay.min(other), relay.max(other)));
        }
        for station in 0..self.stations.len() {
            for relay in self.stations[station].homes.clone() {
                if self.cut.contains(&(station, relay)) {
                    self.disconnect(station, relay);
                } else {
                    self.connect(station, relay);
                }
            }
        }
        for relay in 0..self.relays.len() {
            self.at(LINK_CHECK_MS, Event::Links(relay));
        }
    }

    fn repeat_old_mail(&mut self, relay: usize) {
        let now = self.now;
        let scheduled = self.scheduled;
        for (number, mailbox) in self.relays[relay].mailboxes.values_mut().enumerate() {
            let old: Vec<Bytes> = mailbox.messages().take(4).cloned().collect();
            for (index, message) in old.into_iter().enumerate() {
                mailbox.publish("relay", &format!("again {scheduled} {number} {index}"), message, now);
            }
        }
    }

    fn heal(&mut self) -> Result<(), Violation> {
        self.faulty = false;
        self.cut.clear();
        self.cut_peers.clear();
        for station in 0..self.stations.len() {
            self.retire(station)?;
        }
        for station in 0..self.stations.len() {
            if self.stations[station].is_retired() {
                continue;
            }
            self.stations[station].disk.free_space();
            self.stations[station].clock_ms = 0;
            if self.stations[station].disk.is_dead() {
                self.stop(station);
            }
            self.at(Millis::SECOND, Event::Start(station));
        }
        for relay in 0..self.relays.len() {
            self.relays[relay].withholds = None;
            self.relays[relay].forges = false;
            self.at(Millis::SECOND, Event::StartRelay(relay));
            self.at(2 * Millis::SECOND, Event::Links(relay));
        }
        for station in 0..self.stations.len() {
            for relay in self.stations[station].homes.clone() {
                self.connect(station, relay);
            }
            self.wake(station);
        }
        self.at(LOOK_EVERY_MS, Event::Look);
        Ok(())
    }
}

fn kind_of(input: &Input) -> String {
    match input {
        Input::Command { .. } => "command".to_owned(),
        Input::Connected(relay) => format!("connected {relay}"),
        Input::Disconnected(relay) => format!("disconnected {relay}"),
        Input::Published { publication, outcome } => format!("published {} {outcome:?}", publication.0),
        Input::Delivered { opened, .. } => {
            let kinds = opened.events.iter().map(|arrival| {
                let event = arrival.event.event();
                let (office, kind, seq) = (event.office.as_bytes()[0], event.kind, event.seq);
                format!("{office:02x} {kind:?} {}.{seq}", event.incarnation)
            });
            format!("delivered [{}]", kinds.collect::<Vec<_>>().join(", "))
        }
        Input::Imported { .. } => "imported".to_owned(),
        Input::Chunk { index, bytes, .. } => format!("chunk {index} {}", bytes.is_some()),
        Input::BlobComplete { .. } => "upload complete".to_owned(),
        Input::BlobMissing { chunks, .. } => format!("missing {chunks:?}"),
        Input::Directory(_) => "directory".to_owned(),
        Input::Tick => "tick".to_owned(),
    }
}

/// What a lying relay makes of a message: items altered, dropped, invented.
fn forge(rng: &mut ChaCha8Rng, message: &Bytes) -> Bytes {
    let Ok(Message::Pack(items)) = Message::parse(message) else { return message.clone() };
    let mut forged = Vec::new();
    for item in items {
        match below(rng, 5) {
            0 => {
                let mut bytes = item.event.to_vec();
                let at = index(rng, bytes.len());
                bytes[at] ^= 1 << below(rng, 8);
                forged.push(PackItem { event: bytes.into(), ..item.clone() });
                forged.push(item);
            }
            1 => {}
            2 => {
                forged.push(PackItem::new(0, b"not an event"));
                forged.push(item);
            }
            _ => forged.push(item),
        }
    }
    Message::Pack(forged).encode().into()
}

impl RelayHost {
    fn new(region: RegionId) -> Self {
        Self {
            region,
            relay: None,
            up: Stream::default(),
            peers: Stream::default(),
            mailboxes: BTreeMap::new(),
            out: BTreeMap::new(),
            content: Content::default(),
            withholds: None,
            forges: false,
            pumping: false,
            links: BTreeSet::new(),
            seeds: 0,
        }
    }

    fn streams(&mut self) -> impl Iterator<Item = &mut Stream> {
        [&mut self.up, &mut self.peers]
            .into_iter()
            .chain(self.mailboxes.values_mut())
            .chain(self.out.values_mut())
    }

    fn sync(&mut self) {
        self.streams().for_each(Stream::sync);
    }

    fn lose_power(&mut self) {
        self.streams().for_each(Stream::lose_power);
    }

    fn wipe(&mut self) {
        self.up = Stream::default();
        self.peers = Stream::default();
        self.mailboxes.clear();
        self.out.clear();
        self.content = Content::default();
    }

    fn roll_back(&mut self, thousandths: u64) {
        self.streams().for_each(|stream| stream.roll_back_to(stream.last() * thousandths / 1_000));
    }
}
