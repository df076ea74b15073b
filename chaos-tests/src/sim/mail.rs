//! What travels between a station and its home relays: messages, acknowledgements, attachments.

use std::sync::Arc;

use bytes::Bytes;
use node::sealing::open_contents;
use node::step::{Came, Delivery, Effect, Found, Input, Offered, PublishOutcome};
use schema::blob::{BlobLimits, fingerprint};
use schema::id::{BlobHash, OfficeId};
use schema::inbound;
use schema::time::Millis;

use super::options::{below, chance};
use super::sealing::SimSealing;
use super::world::{Event, World};

/// An answer that has not come after this is a time-out.
const TIME_OUT_MS: u64 = 5 * Millis::SECOND;

impl World<'_> {
    pub(super) fn effect(&mut self, number: usize, effect: Effect) {
        let office = self.stations[number].office;
        let epoch = self.stations[number].epoch;
        match effect {
            Effect::Answer { .. } => {}
            Effect::Announce { item } => self.announce(number, &item),
            Effect::KeyChanged { .. } => self.key_changed(number),
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
            Effect::Examine { blob, openings } => {
                // A disk that cannot be read for once.
                let fails = self.faulty && chance(&mut self.rng, 20);
                let found = match fails {
                    true => Found::Unknown,
                    false => self.stations[number].contents.examine(&blob, &openings),
                };
                let delay = self.delay();
                self.at(delay, Event::Inputs(number, epoch, vec![Input::Examined { blob, found }]));
            }
            // Nobody erases here, and nobody sweeps.
            Effect::Discard { .. } => {}
            Effect::OfferBlob { ref relay, .. }
            | Effect::Release { ref relay, .. }
            | Effect::AskKept { ref relay, .. }
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

    pub(super) fn publish(
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

    /// Looks into a mailbox after this time, unless that is going to happen sooner.
    pub(super) fn poll_in(&mut self, delay_ms: u64, relay: usize, station: usize) {
        let at = self.now.plus(delay_ms);
        let planned = self.polls.get(&(relay, station));
        if planned.is_none_or(|planned| at < *planned) {
            self.polls.insert((relay, station), at);
            self.at(delay_ms, Event::Poll { relay, station });
        }
    }

    pub(super) fn poll(&mut self, relay: usize, number: usize) {
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
            let verifier = Arc::clone(&self.stations[number].verifier);
            let station = &mut self.stations[number];
            station.last_delivery += 1;
            let delivery = Delivery(station.last_delivery);
            station.deliveries.insert(delivery, (relay, sequence));
            let epoch = station.epoch;
            let delay = self.delay();
            let Ok(mut opened) = inbound::open(&verifier, &message) else {
                // Not a message: the edge acknowledges it and says so.
                if let Some(mailbox) = self.relays[relay].mailboxes.get_mut(&office) {
                    mailbox.ack(sequence);
                }
                continue;
            };
            open_contents(&SimSealing::of(office), &mut opened);
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

    pub(super) fn blob(&mut self, relay: usize, number: usize, epoch: u64, effect: &Effect) {
        let region = self.relays[relay].region.clone();
        let answered = self.relays[relay].relay.is_some() && self.passes(number, relay);
        let input = match *effect {
            Effect::OfferBlob { blob, .. } => {
                let offered = match answered {
                    false => Offered::Unknown,
                    true if self.faulty && chance(&mut self.rng, 30) => {
                        Offered::Refused("attachments-full: everything here waits for receipts".to_owned())
                    }
                    true => {
                        let content = &mut self.relays[relay].content;
                        let office = self.stations[number].office;
                        content.held.entry(blob).or_default().insert(office);
                        let here = content.chunks.get(&blob.hash);
                        let lacks = |index: &u32| here.is_none_or(|here| !here.contains_key(index));
                        Offered::Lacks((0..blob.chunks()).filter(lacks).collect())
                    }
                };
                Input::Offered { relay: region, blob, offered }
            }
            Effect::AskKept { .. } => {
                if !answered {
                    return;
                }
                let office = self.stations[number].office;
                Input::Keeps { relay: region, blobs: self.relays[relay].content.held_for(&office) }
            }
            Effect::Release { ref blobs, .. } => {
                if !answered {
                    return;
                }
                let office = self.stations[number].office;
                for blob in blobs {
                    self.relays[relay].content.release(&office, blob);
                }
                // The relay has done it, and nobody may ever hear of it.
                if !self.passes(number, relay) {
                    return;
                }
                Input::Released { relay: region, blobs: blobs.clone() }
            }
            Effect::StoreChunk { blob, index, urgency, .. } => {
                if answered && let Some(bytes) = self.stations[number].contents.chunk(&blob.hash, index) {
                    self.relays[relay].content.chunks.entry(blob.hash).or_default().insert(index, bytes);
                }
                // The edge offers again after each run.
                let delay = if answered { 1 } else { TIME_OUT_MS };
                let station = number;
                let effect = Effect::OfferBlob { relay: region, blob, urgency };
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
                let same = self.stations[number].epoch == epoch && self.stations[number].node.is_some();
                let came = match bytes.filter(|_| same) {
                    None => Came::Absent,
                    Some(_) if self.faulty && chance(&mut self.rng, 20) => Came::NoRoom,
                    Some(bytes) => {
                        let synced = chance(&mut self.rng, 300);
                        self.stations[number].contents.keep_chunk(&blob, index, bytes, synced);
                        Came::Kept
                    }
                };
                Input::Chunk { blob, index, came }
            }
            _ => return,
        };
        let delay = if answered { self.delay() } else { TIME_OUT_MS };
        self.at(delay, Event::Inputs(number, epoch, vec![input]));
    }

    /// The link asks what the relay takes, at each connection and once a day.
    pub(super) fn ask_limits(&mut self, relay: usize, number: usize) {
        if self.relays[relay].relay.is_none() || !self.passes(number, relay) {
            return;
        }
        let station = &self.stations[number];
        let held = self.relays[relay].content.held_for(&station.office);
        let limits = BlobLimits {
            blob_bytes_max: u64::MAX,
            office_bytes_max: u64::MAX,
            office_bytes_used: held.iter().map(|blob| blob.length).sum(),
            office_fingerprint: held.iter().fold(0, |all, blob| all ^ fingerprint(blob)),
        };
        let (epoch, region) = (station.epoch, self.relays[relay].region.clone());
        let delay = self.delay();
        self.at(delay, Event::Inputs(number, epoch, vec![Input::Takes { relay: region, limits }]));
    }

    pub(super) fn ask_all_limits(&mut self) {
        for station in 0..self.stations.len() {
            for relay in self.stations[station].linked.clone() {
                self.ask_limits(relay, station);
            }
        }
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
}
