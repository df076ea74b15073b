//! Two machines with one key: a copy of a station's disk is started elsewhere, and found after some hours.

use std::collections::BTreeSet;
use std::sync::Arc;

use schema::id::{EventId, Incarnation};
use schema::invariant::Violation;
use schema::time::Millis;

use super::broker::ACK_WAIT_MS;
use super::office::Station;
use super::options::below;
use super::world::{Event, Sent, World};
use crate::power_cut::Disk;

/// A clone is found and switched off at most this long after its first hour.
const CLONED_MS_MAX: u64 = 12 * Millis::HOUR;

/// What makes a station a clone, and what its end has to answer for.
pub(super) struct CloneOf {
    pub(super) original: usize,
    /// The incarnation in which the disk was copied.
    pub(super) copied_in: Incarnation,
    /// Events that only this machine has made.
    pub(super) made: BTreeSet<EventId>,
    /// What its clerks saw as saved on this machine.
    pub(super) saved: BTreeSet<Sent>,
    /// It told its own clerks that it is not alone.
    pub(super) alarmed: bool,
    /// Shut down for good.
    pub(super) retired: bool,
}

impl World<'_> {
    /// A second machine starts on a copy of this one's disk, with its key, and clerks use both.
    pub(super) fn clone_machine(&mut self, number: usize) {
        // Two offices cloned at once are two faults, and more than is promised.
        if self.stations.iter().any(|station| station.clone.is_some() && !station.is_retired()) {
            return;
        }
        let station = &mut self.stations[number];
        let Some(node) = station.node.as_ref().filter(|_| !station.disk.is_dead()) else { return };
        if station.cloned || station.clone.is_some() {
            return;
        }
        station.cloned = true;
        let (key, verifier) = (station.key.clone(), Arc::clone(&station.verifier));
        let mut twin = Station::new(station.office, key, station.homes.clone(), verifier);
        twin.next_key.clone_from(&station.next_key);
        twin.disk = Disk::from_snapshot(&station.disk.snapshot());
        twin.contents = station.contents.clone();
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
    pub(super) fn retire(&mut self, number: usize) -> Result<(), Violation> {
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
}
