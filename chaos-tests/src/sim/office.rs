//! The offices: machines that start, stop and fail, clerks that send, and what a step of a station sets off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use node::Node;
use node::step::{Answer, Delivery, Effect, Input, Opening, Ticket};
use node::store::Store;
use rand_chacha::rand_core::Rng;
use schema::blob::CHUNK_BYTES;
use schema::body::{Dispatch, Place};
use schema::document::{Attachment, Code, DocumentType, Manifest, Reference, Signer};
use schema::event::{Urgency, VerifiedEvent, Verifier, key_id};
use schema::exchange::Command;
use schema::id::{DocumentId, OfficeId, Position};
use schema::invariant::Violation;
use schema::time::{Day, Millis};

use super::clones::CloneOf;
use super::contents::SimContents;
use super::options::{Fault, below, chance, index};
use super::people;
use super::registry::{Holder, as_recorded};
use super::sealing::SimSealing;
use super::world::{EPOCH, Event, Sent, World, id16};
use crate::power_cut::{Disk, Snapshot, VFS_NAME};

/// Whoever waits for no answer.
pub(super) const NOBODY: Ticket = Ticket(u64::MAX);

/// A copy of a disk and its attachments, and what its clerk had seen as saved.
type Backup = (Snapshot, SimContents, BTreeSet<Sent>);

pub(super) struct Station {
    pub(super) office: OfficeId,
    pub(super) key: SigningKey,
    /// Waits for its certificate.
    pub(super) next_key: Option<SigningKey>,
    /// Judges by what it holds about everybody.
    pub(super) verifier: Arc<Verifier>,
    pub(super) homes: Vec<usize>,
    pub(super) disk: Disk,
    pub(super) contents: SimContents,
    pub(super) node: Option<Node>,
    /// Rises at every start: what was on its way to an earlier process is dropped.
    pub(super) epoch: u64,
    /// Offset of its clock, in milliseconds.
    pub(super) clock_ms: i64,
    pub(super) woken_at: Option<Millis>,
    pub(super) backups: Vec<Backup>,
    pub(super) restores: usize,
    /// Its disk is full: nothing is handed over before this time.
    pub(super) resting_until: Millis,
    pub(super) deliveries: BTreeMap<Delivery, (usize, u64)>,
    pub(super) last_delivery: u64,
    pub(super) linked: BTreeSet<usize>,
    /// How far its journal was looked at.
    pub(super) noted: Position,
    pub(super) cloned: bool,
    /// Its file was replaced by hand at least once: it did not know that it had gone back until somebody told it.
    pub(super) restored_by_hand: bool,
    /// Its file was replaced by hand, and nobody has told it yet.
    pub(super) unaware: bool,
    /// Set for a clone: a second machine with the same disk and the same key.
    pub(super) clone: Option<CloneOf>,
}

impl Station {
    pub(super) fn new(office: OfficeId, key: SigningKey, homes: Vec<usize>, verifier: Arc<Verifier>) -> Self {
        Self {
            office,
            key,
            next_key: None,
            verifier,
            homes,
            disk: Disk::new(),
            contents: SimContents::default(),
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
            restored_by_hand: false,
            unaware: false,
            clone: None,
        }
    }

    /// Whether the machine is gone for good.
    pub(super) fn is_retired(&self) -> bool {
        self.clone.as_ref().is_some_and(|clone| clone.retired)
    }
}

impl World<'_> {
    pub(super) fn clock(&self, station: usize) -> Millis {
        Millis(self.now.0.saturating_add_signed(self.stations[station].clock_ms))
    }

    pub(super) fn start(&mut self, number: usize) -> Result<(), Violation> {
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
            let newest = store.newest_own()?.map(|newest| newest.key);
            let signed = |key: &mut SigningKey| newest == Some(key_id(key.verifying_key().as_bytes()));
            if let Some(next) = station.next_key.take_if(signed) {
                // The change was broken off after its commit.
                station.key = next;
            }
            let (recorded, unrecorded) = as_recorded(&self.authority, station.verifier.registry(), &store)?;
            let node = Node::open(store, station.key.clone(), recorded, station.office, seed, now)?;
            let node = node.with_next_key(station.next_key.clone()).with_rules(people::rules());
            let node = node.with_sealing(Arc::new(SimSealing::of(station.office)), false);
            Ok((node, unrecorded))
        });
        let unrecorded = match opened {
            Ok((node, unrecorded)) => {
                station.node = Some(node);
                unrecorded
            }
            // The power went again while the store was opened, or the disk is full: try again later.
            Err(_) if station.disk.is_dead() || self.faulty => {
                station.disk.restart(&mut self.rng);
                station.contents.power_cut();
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
        };
        self.check_station(number)?;
        let station = &self.stations[number];
        // Also without anything new: the next key may be certified by now.
        let unannounced = station.verifier.registry().sealing_key(&station.office).is_none();
        if !unrecorded.is_empty() || station.next_key.is_some() || unannounced {
            let registry = Arc::clone(station.verifier.registry());
            let input = Input::Registry { registry, items: unrecorded };
            let epoch = station.epoch;
            self.at(0, Event::Inputs(number, epoch, vec![input]));
        }
        for relay in self.stations[number].homes.clone() {
            self.connect(number, relay);
        }
        Ok(())
    }

    /// A person's file, sealed on the station's disk.
    pub(super) fn seal(&mut self, number: usize, file: &[u8]) -> Opening {
        let mut identity = [0; 32];
        self.rng.fill_bytes(&mut identity);
        self.stations[number].contents.seal(file, identity)
    }

    pub(super) fn connect(&mut self, station: usize, relay: usize) {
        let possible = self.stations[station].node.is_some()
            && self.relays[relay].relay.is_some()
            && !self.cut.contains(&(station, relay));
        if possible && self.stations[station].linked.insert(relay) {
            let (epoch, region) = (self.stations[station].epoch, self.relays[relay].region.clone());
            let delay = self.delay();
            self.talk_in(1, Holder::Station(station), Holder::Relay(relay));
            self.at(delay, Event::Inputs(station, epoch, vec![Input::Connected(region)]));
            self.ask_limits(relay, station);
            self.poll_in(delay + 1, relay, station);
        }
    }

    pub(super) fn disconnect(&mut self, station: usize, relay: usize) {
        if self.stations[station].linked.remove(&relay) {
            let (epoch, region) = (self.stations[station].epoch, self.relays[relay].region.clone());
            self.at(1, Event::Inputs(station, epoch, vec![Input::Disconnected(region)]));
        }
    }

    pub(super) fn clerk(&mut self, number: usize) -> Result<(), Violation> {
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
        let mut attachments = Vec::new();
        if chance(&mut self.rng, 250) {
            let length = 1 + index(&mut self.rng, 3 * CHUNK_BYTES as usize);
            let bytes: Vec<u8> = (0..length as u64).map(|n| (n + self.tickets).to_le_bytes()[0]).collect();
            let (name, media_type) = ("phu-luc.pdf".into(), "application/pdf".into());
            let opening = self.seal(number, &bytes);
            inputs.push(Input::Enclosed { ticket: NOBODY, opening });
            attachments.push(Attachment { name, media_type, file: opening.file });
        }
        let (issuer, subject) = (self.stations[number].office, format!("Về việc số {}", self.tickets));
        let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
        let letter = Manifest::new(document, issuer, DocumentType::OfficialLetter, subject, signer);
        let due = if chance(&mut self.rng, 250) { Day::from_days(20_500) } else { None };
        let responds_to: Vec<Reference> = self.answered(number).into_iter().collect();
        for reference in &responds_to {
            if !to.contains(&reference.issuer) {
                to.push(reference.issuer);
            }
            self.answers.extend(reference.document.map(|answered| (document, (reference.issuer, answered))));
        }
        let manifest = Manifest { urgency, attachments, due, responds_to, ..letter };
        let dispatch = Dispatch::unsigned(manifest);
        let command = Command::Dispatch {
            by: None,
            to: to.clone(),
            dispatch: Box::new(dispatch),
            reference_only: true,
        };
        inputs.push(Input::Command { ticket, command });
        self.asked.insert(ticket, (number, document, to));
        self.step(number, inputs)
    }

    /// Now and then, a document of another office that this one answers.
    fn answered(&mut self, number: usize) -> Option<Reference> {
        if !chance(&mut self.rng, 200) {
            return None;
        }
        let me = self.stations[number].office;
        let sent: Vec<(OfficeId, DocumentId)> = self
            .saved
            .iter()
            .filter(|(_, to, _)| *to == me)
            .map(|(from, _, document)| (*from, *document))
            .collect();
        let (issuer, document) = *sent.get(index(&mut self.rng, sent.len().max(1)))?;
        let number = Code::new("1", "UBND-VP").ok()?;
        Some(Reference { issuer, number, issued_on: Day::from_days(20_000)?, document: Some(document) })
    }

    pub(super) fn step(&mut self, number: usize, inputs: Vec<Input>) -> Result<(), Violation> {
        let now = self.clock(number);
        self.steps += 1;
        let crash =
            self.faulty && self.options.faults.contains(&Fault::NodeCrash) && chance(&mut self.rng, 10);
        let station = &mut self.stations[number];
        let Some(node) = station.node.as_mut() else { return Ok(()) };
        let before = node.exchange().seq();
        let came = places_of(&inputs, &station.office);
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
                // When the disk was full, nothing of what came was taken.
                let rests = effects.iter().any(|effect| matches!(effect, Effect::Rest { .. }));
                self.check_step(number, if rests { &[] } else { &came })?;
                if crash {
                    self.faults += 1;
                    self.stop(number);
                    return Ok(());
                }
                let doubtful = people::is_in_doubt(&effects);
                for effect in effects {
                    self.effect(number, effect);
                }
                self.wake(number);
                if doubtful {
                    self.look_up_number(number)?;
                }
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
    pub(super) fn stop(&mut self, number: usize) {
        let station = &mut self.stations[number];
        station.node = None;
        station.epoch += 1;
        station.linked.clear();
        station.disk.restart(&mut self.rng);
        station.contents.power_cut();
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

    pub(super) fn wake(&mut self, number: usize) {
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

    /// The machines of an office that share its mailbox, in the order in which they happen to ask.
    pub(super) fn machines_of(&mut self, office: &OfficeId) -> Vec<usize> {
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
}

/// Where the events that come with these inputs say they stand in their authors' channels to `me`.
fn places_of(inputs: &[Input], me: &OfficeId) -> Vec<(OfficeId, Place)> {
    let opened = inputs.iter().filter_map(|input| match input {
        Input::Delivered { opened, .. } | Input::Imported { opened, .. } => Some(opened),
        _ => None,
    });
    let place = |event: &VerifiedEvent| {
        let (fields, id) = (event.event(), event.id());
        let counter = fields.counter_for(me)?;
        Some((fields.office, Place { incarnation: fields.incarnation, counter, id }))
    };
    opened.flat_map(|opened| &opened.events).filter_map(|arrival| place(&arrival.event)).collect()
}

fn kind_of(input: &Input) -> String {
    match input {
        Input::Command { .. } => "command".to_owned(),
        Input::Rehearse { .. } => "rehearsed".to_owned(),
        Input::Leftovers { .. } => "leftovers".to_owned(),
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
        Input::Chunk { index, came, .. } => format!("chunk {index} {came:?}"),
        Input::Brought { .. } => "brought".to_owned(),
        Input::Enclosed { .. } => "enclosed".to_owned(),
        Input::Examined { found, .. } => format!("examined {found:?}"),
        Input::Offered { offered, .. } => format!("offered: {offered:?}"),
        Input::Takes { limits, .. } => format!("takes {limits:?}"),
        Input::Keeps { blobs, .. } => format!("keeps {}", blobs.len()),
        Input::Released { blobs, .. } => format!("released {}", blobs.len()),
        Input::SealingKeyRenewed { .. } => "sealing key renewed".to_owned(),
        Input::Registry { items, .. } => format!("registry, {} new items", items.len()),
        Input::Tick => "tick".to_owned(),
    }
}
