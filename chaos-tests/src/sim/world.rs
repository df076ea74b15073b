//! The event loop of the simulated country.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use node::step::{Effect, Input, Ticket};
use node::store::Store;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use schema::directory::{DirectoryBuilder, Enrolment, Name, Office, Region, Validity};
use schema::id::{DocumentId, EventId, KeyId, OfficeId, RegionId};
use schema::invariant::Violation;
use schema::registry::Item;
use schema::time::Millis;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::office::Station;
use super::options::{Options, below, chance};
use super::people::PaperRegisters;
use super::registry::{Authority, Holder, stamp_key};
use super::relay_host::{LINK_CHECK_MS, RelayHost};
use crate::power_cut::{Disk, Snapshot, VFS_NAME};

/// Simulated time begins on 2025-06-27, 00:00 UTC.
pub(super) const EPOCH: Millis = Millis(1_750_982_400_000);
/// How long the country may take to become quiet after healing.
const QUIET_WITHIN_MS: u64 = 4 * Millis::DAY;
/// A run with more steps than this has a storm in it.
const STEPS_MAX: u64 = 200_000;
/// How often, after healing, it is looked whether everything is done.
pub(super) const LOOK_EVERY_MS: u64 = 2 * Millis::HOUR;

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

pub(super) enum Event {
    Clerk(usize),
    People(usize),
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
    /// One brings itself and another up to date.
    Talk(Holder, Holder),
    /// Somebody is handed newer items of the registry.
    Given(Holder, Vec<Item>),
    /// What is on hold of an office is released.
    Release(OfficeId),
    EndTrick(usize),
    Retire(usize),
    Heal,
    Look,
}

pub(super) struct World<'a> {
    pub(super) options: Options,
    pub(super) now: Millis,
    pub(super) rng: ChaCha8Rng,
    pub(super) queue: BinaryHeap<Reverse<(Millis, u64)>>,
    pub(super) events: BTreeMap<u64, Event>,
    pub(super) scheduled: u64,
    pub(super) stations: Vec<Station>,
    pub(super) relays: Vec<RelayHost>,
    pub(super) authority: Authority,
    /// Lines that are down: (station, relay).
    pub(super) cut: BTreeSet<(usize, usize)>,
    /// Lines between relays that are down.
    pub(super) cut_peers: BTreeSet<(usize, usize)>,
    pub(super) polls: BTreeMap<(usize, usize), Millis>,
    pub(super) pushes: BTreeMap<usize, Millis>,
    pub(super) faulty: bool,
    pub(super) quiet: bool,
    /// What clerks saw as saved: (sender, recipient, document).
    pub(super) saved: BTreeSet<(OfficeId, OfficeId, DocumentId)>,
    pub(super) asked: BTreeMap<Ticket, (usize, DocumentId, Vec<OfficeId>)>,
    pub(super) authentic: BTreeSet<EventId>,
    /// Keys that stations have signed events with.
    pub(super) signed_with: BTreeSet<KeyId>,
    pub(super) documents_left: usize,
    /// What people still do with documents.
    pub(super) work_left: usize,
    /// Which document an answer answers, and whose that is.
    pub(super) answers: BTreeMap<DocumentId, (OfficeId, DocumentId)>,
    pub(super) paper: PaperRegisters,
    pub(super) tickets: u64,
    pub(super) refused: usize,
    pub(super) faults: u64,
    pub(super) steps: u64,
    pub(super) trace: Sha256,
    pub(super) listener: Option<Listener<'a>>,
    pub(super) template: Snapshot,
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

pub(super) fn id16(seed: u64, what: &str, number: u64) -> [u8; 16] {
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
                stamp_key: Some(stamp_key(region).verifying_key().to_bytes()),
            });
        }
        let mut machines = Vec::new();
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
            let enrolment =
                Enrolment { login: None, relays: homes.iter().map(|home| regions[*home].clone()).collect() };
            builder.enrol(&office, enrolment).expect("the office was just added");
            machines.push((office, key, homes));
        }
        let directory = builder.build(1, EPOCH).expect("a sound directory");
        let keys = machines.iter().map(|(office, key, _)| (*office, key.verifying_key().to_bytes()));
        let authority = Authority::new(seed, &directory, &keys.collect::<Vec<_>>());
        let station = |(office, key, homes)| Station::new(office, key, homes, authority.first());
        let stations = machines.into_iter().map(station).collect();
        let relay = |region: &RegionId| RelayHost::new(region.clone(), authority.first());
        let relays = regions.iter().map(relay).collect();
        Self {
            now: EPOCH,
            rng,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            scheduled: 0,
            stations,
            relays,
            authority,
            cut: BTreeSet::new(),
            cut_peers: BTreeSet::new(),
            polls: BTreeMap::new(),
            pushes: BTreeMap::new(),
            faulty: true,
            quiet: false,
            saved: BTreeSet::new(),
            asked: BTreeMap::new(),
            authentic: BTreeSet::new(),
            signed_with: BTreeSet::new(),
            documents_left: options.documents,
            work_left: options.work,
            answers: BTreeMap::new(),
            paper: PaperRegisters::default(),
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

    pub(super) fn at(&mut self, delay_ms: u64, event: Event) {
        self.scheduled += 1;
        self.queue.push(Reverse((self.now.plus(delay_ms), self.scheduled)));
        self.events.insert(self.scheduled, event);
    }

    pub(super) fn tell(&mut self, what: std::fmt::Arguments<'_>) {
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

    pub(super) fn delay(&mut self) -> u64 {
        1 + below(&mut self.rng, self.options.delay_ms_max)
    }

    fn play(&mut self) -> Result<(), Violation> {
        for station in 0..self.stations.len() {
            self.stations[station].disk = Disk::from_snapshot(&self.template);
            self.at(station as u64, Event::Start(station));
            let first = below(&mut self.rng, self.options.faulty_ms / 4);
            self.at(first, Event::Clerk(station));
            let first = first + below(&mut self.rng, self.options.faulty_ms / 4);
            self.at(first, Event::People(station));
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

    pub(super) fn take(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Clerk(station) => self.clerk(station)?,
            Event::People(station) => self.people(station)?,
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
            Event::Blob { relay, station, epoch, effect } => self.blob(relay, station, epoch, &effect),
            Event::Fault => self.fault()?,
            Event::SyncRelays => {
                self.relays.iter_mut().for_each(RelayHost::sync);
                if self.faulty {
                    self.at(2 * Millis::MINUTE, Event::SyncRelays);
                }
            }
            Event::Links(relay) => self.check_links(relay),
            Event::FreeDisk(station) => self.stations[station].disk.free_space(),
            Event::Talk(asker, asked) => self.talk(asker, asked),
            Event::Given(holder, items) => self.take_in(holder, items),
            Event::Release(office) => self.release(&office),
            Event::EndTrick(relay) => {
                self.relays[relay].withholds = None;
                self.relays[relay].forges = false;
            }
            Event::Retire(station) => self.retire(station)?,
            Event::Heal => self.heal()?,
            Event::Look => {
                let quiet = self.is_quiet()?;
                self.quiet = quiet && self.relays_will_let_go().is_ok();
                if quiet && !self.quiet {
                    // The day on which every link asks what its relay keeps comes before the end.
                    self.ask_all_limits();
                }
                self.at(LOOK_EVERY_MS, Event::Look);
            }
        }
        Ok(())
    }

    pub(super) fn relay_of(&self, region: &RegionId) -> usize {
        self.relays.iter().position(|relay| relay.region == *region).expect("nodes know their regions only")
    }

    pub(super) fn station_of(&self, office: &OfficeId) -> Option<usize> {
        self.stations.iter().position(|station| station.office == *office)
    }
}
