//! The relays: each with its server, and the lines between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use relay::{Effect as RelayEffect, Input as RelayInput, Limits, Relay, Token};
use schema::event::Verifier;
use schema::id::{OfficeId, RegionId};
use schema::inbound;
use schema::invariant::Violation;
use schema::pack::Message;
use schema::time::Millis;
use sha2::{Digest, Sha256};

use super::broker::{Content, Stream};
use super::faults::forge;
use super::options::{below, chance};
use super::registry::stamp_key;
use super::world::{Event, World};

/// Relays notice a dead link to a peer within this time.
pub(super) const LINK_CHECK_MS: u64 = 15 * Millis::SECOND;

pub(super) struct RelayHost {
    pub(super) region: RegionId,
    pub(super) relay: Option<Relay>,
    /// Judges by what it holds about everybody.
    pub(super) verifier: Arc<Verifier>,
    pub(super) up: Stream,
    pub(super) peers: Stream,
    pub(super) mailboxes: BTreeMap<OfficeId, Stream>,
    pub(super) out: BTreeMap<RegionId, Stream>,
    pub(super) content: Content,
    pub(super) withholds: Option<OfficeId>,
    pub(super) forges: bool,
    pub(super) pumping: bool,
    pub(super) links: BTreeSet<RegionId>,
    pub(super) seeds: u64,
}

impl RelayHost {
    pub(super) fn new(region: RegionId, verifier: Arc<Verifier>) -> Self {
        Self {
            region,
            relay: None,
            verifier,
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

    pub(super) fn sync(&mut self) {
        self.streams().for_each(Stream::sync);
    }

    pub(super) fn lose_power(&mut self) {
        self.streams().for_each(Stream::lose_power);
    }

    /// Whoever sets it up anew has what everybody had from the beginning.
    pub(super) fn wipe(&mut self, verifier: Arc<Verifier>) {
        self.verifier = verifier;
        self.up = Stream::default();
        self.peers = Stream::default();
        self.mailboxes.clear();
        self.out.clear();
        self.content = Content::default();
    }

    pub(super) fn roll_back(&mut self, thousandths: u64) {
        self.streams().for_each(|stream| stream.roll_back_to(stream.last() * thousandths / 1_000));
    }
}

impl World<'_> {
    pub(super) fn start_relay(&mut self, number: usize) -> Result<(), Violation> {
        let host = &mut self.relays[number];
        if host.relay.is_some() {
            return Ok(());
        }
        host.seeds += 1;
        let seed: [u8; 32] = Sha256::digest(format!("{} {number} {}", self.options.seed, host.seeds)).into();
        let (registry, stamp_key) = (Arc::clone(host.verifier.registry()), stamp_key(&host.region));
        host.relay = Some(Relay::new(host.region.clone(), registry, Limits::default(), stamp_key, seed));
        host.up.guard();
        host.peers.guard();
        host.mailboxes.values_mut().chain(host.out.values_mut()).for_each(Stream::guard);
        self.check_links(number);
        self.talk_to_peers(number);
        for station in 0..self.stations.len() {
            if self.stations[station].homes.contains(&number) {
                self.connect(station, number);
            }
        }
        self.pump_soon(number);
        self.push_in(Millis::SECOND, number);
        Ok(())
    }

    pub(super) fn stop_relay(&mut self, number: usize) {
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

    pub(super) fn check_links(&mut self, number: usize) {
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
            self.talk_to_peers(number);
        }
    }

    pub(super) fn pump_soon(&mut self, relay: usize) {
        if self.relays[relay].relay.is_some() && !self.relays[relay].pumping {
            self.relays[relay].pumping = true;
            self.at(20, Event::Pump(relay));
        }
    }

    pub(super) fn pump(&mut self, number: usize) {
        const BATCH: usize = 32;
        let now = self.now;
        let host = &mut self.relays[number];
        let verifier = Arc::clone(&host.verifier);
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
                RelayEffect::Quarantine { .. } | RelayEffect::Alarm(_) | RelayEffect::Erase { .. } => {}
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

    pub(super) fn push(&mut self, number: usize) {
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

    /// Pushes what waits for peers after this time, unless that is going to happen sooner.
    fn push_in(&mut self, delay_ms: u64, relay: usize) {
        let at = self.now.plus(delay_ms);
        if self.pushes.get(&relay).is_none_or(|planned| at < *planned) {
            self.pushes.insert(relay, at);
            self.at(delay_ms, Event::Push(relay));
        }
    }

    pub(super) fn peer(
        &mut self,
        from: &RegionId,
        to: usize,
        id: &str,
        message: Bytes,
        ack: (usize, RegionId, u64),
    ) {
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
}
