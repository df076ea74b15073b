//! What goes wrong, and the end of it.

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use schema::id::Position;
use schema::invariant::Violation;
use schema::pack::{Message, PackItem};
use schema::time::Millis;

use super::options::{Fault, below, chance, index};
use super::relay_host::LINK_CHECK_MS;
use super::world::{Event, LOOK_EVERY_MS, World};
use crate::power_cut::Disk;

/// How often one station is restored from a backup in one run; more than a station raises by itself in a day is a
/// matter for a person.
const RESTORES_MAX: usize = 2;

impl World<'_> {
    pub(super) fn fault(&mut self) -> Result<(), Violation> {
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
                let verifier = self.authority.first();
                self.relays[relay].wipe(verifier);
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
            Fault::ListPublished => self.publish_lists(),
            Fault::CertificateHeld => self.hold(number),
            Fault::KeyRenewed => self.renew_key(self.original_of(number)),
            Fault::KeyLost => self.lose_key(self.original_of(number)),
            Fault::Clock => {
                let years = [0, 0, 1, -1, 6, -6][index(&mut self.rng, 6)];
                self.stations[number].clock_ms = years * 365 * Millis::DAY as i64;
                self.wake(number);
            }
        }
        Ok(())
    }

    fn original_of(&self, number: usize) -> usize {
        self.stations[number].clone.as_ref().map_or(number, |clone| clone.original)
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
            station.backups.push((station.disk.snapshot(), station.contents.clone(), saved));
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
        let (snapshot, contents, saved) = self.stations[number].backups[chosen].clone();
        // What existed only on the lost disk is lost by definition; what has left may still arrive.
        self.saved.retain(|entry| entry.0 != office || saved.contains(entry));
        let station = &mut self.stations[number];
        station.restored_by_hand |= !with_tool && !station.cloned;
        station.node = None;
        station.epoch += 1;
        station.linked.clear();
        station.disk = Disk::from_snapshot(&snapshot);
        station.contents = contents;
        station.noted = Position(0);
        // A copy of a running store may need its log replayed; that is what opening does.
        self.start(number)?;
        // Not earlier: the copy is read from its beginning, and may tell of restores before it.
        self.stations[number].unaware = !with_tool;
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

    pub(super) fn heal(&mut self) -> Result<(), Violation> {
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
        self.settle_certificates();
        self.at(LOOK_EVERY_MS, Event::Look);
        Ok(())
    }
}

/// What a lying relay makes of a message: items altered, dropped, invented.
pub(super) fn forge(rng: &mut ChaCha8Rng, message: &Bytes) -> Bytes {
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
