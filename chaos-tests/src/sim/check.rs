//! The promises, checked against the whole country.

use std::collections::{BTreeMap, BTreeSet};

use node::Node;
use node::store::{KeptFor, openings};
use schema::blob::BlobRef;
use schema::body::{Ask, Body, Judgement, Place, Status};
use schema::event::RecordedEvent;
use schema::exchange::{Alarm, Class, HeldRow, Records, SentRow};
use schema::id::{EventId, Incarnation, KeyId, OfficeId, Position, hex};
use schema::invariant::{self, Violation};
use schema::registry::{ItemKind, NodeKey, Registry};
use schema::trust::Outcome;

use super::office::Station;
use super::registry::Holder;
use super::world::{Sent, World};

pub(super) fn unreadable(error: impl std::fmt::Display) -> Violation {
    Violation { promise: "P1", found: format!("a store cannot be read: {error}") }
}

fn sent_rows(node: &Node) -> Result<Vec<SentRow>, Violation> {
    let mut rows = Vec::new();
    node.store().each_sent(|row| rows.push(row)).map_err(unreadable)?;
    Ok(rows)
}

pub(super) fn held_rows(node: &Node) -> Result<Vec<HeldRow>, Violation> {
    let mut rows = Vec::new();
    node.store().each_held(|row| rows.push(row)).map_err(unreadable)?;
    Ok(rows)
}

fn recorded_at(node: &Node, position: Position) -> Result<RecordedEvent, Violation> {
    node.store().recorded_at(position).map_err(unreadable)
}

/// What the station found out about the signatures on a held document, in full.
fn judgement_of(node: &Node, row: &HeldRow) -> Result<Option<Judgement>, Violation> {
    let Some(judged) = row.judged else { return Ok(None) };
    let recorded = recorded_at(node, judged.position)?;
    let Ok(Body::Verdict(verdicts)) = Body::read(recorded.version, &recorded.event) else { return Ok(None) };
    let mut entries = verdicts.entries.into_iter();
    Ok(entries.find(|entry| entry.from == row.from && entry.place == row.place))
}

fn blobs_of(node: &Node, position: Position) -> Result<Vec<BlobRef>, Violation> {
    Ok(recorded_at(node, position)?.event.blobs)
}

/// The keys of this office that count.
fn counting(registry: &Registry, office: &OfficeId) -> BTreeSet<KeyId> {
    registry.keys(office).iter().filter(|key| key.standing().counts()).map(NodeKey::id).collect()
}

/// The keys of an office as one registry has them, in the order they came, with their beginnings and ends.
fn keys_of(registry: &Registry, office: &OfficeId) -> String {
    let keys = registry.keys(office).iter().map(|key| {
        let spans = key.certificates().iter().map(|certificate| {
            let revoked = registry.trust().revocation_of(certificate);
            let revoked = revoked.map_or_else(String::new, |entry| format!(" {:?}", entry.reason));
            let period = certificate.validity();
            format!(" {}..{}{revoked}", period.not_before.0, period.not_after.0)
        });
        format!("{} {:?}{}", key.id(), key.standing(), spans.collect::<String>())
    });
    keys.collect::<Vec<_>>().join(", ")
}

/// One journal entry in a line: who recorded what, and its numbers among the events to each recipient.
fn described(station: usize, class: Class, recorded: &RecordedEvent) -> String {
    let event = &recorded.event;
    let short = |bytes: &[u8]| hex(&bytes[..3]);
    let to = event.to.iter().map(|to| format!(" {}#{}", short(to.office.as_bytes()), to.counter));
    let (office, id) = (short(event.office.as_bytes()), short(recorded.id.as_bytes()));
    let mut line = format!(
        "station {station} records {class:?} {id}: {office} {:?} {}.{} to{}",
        event.kind,
        event.incarnation,
        event.seq,
        to.collect::<String>()
    );
    let place =
        |place: &Place| format!(" {}.{}={}", place.incarnation, place.counter, short(place.id.as_bytes()));
    match Body::read(recorded.version, event) {
        Ok(Body::Receipt(receipt)) => {
            line += &format!(" for{}", receipt.entries.iter().map(place).collect::<String>());
            line += &format!(" held{}", receipt.heads.held.iter().map(place).collect::<String>());
        }
        Ok(Body::Head(heads)) => {
            line += &format!(" held{}", heads.held.iter().map(place).collect::<String>());
            let ask = |ask: &Ask| format!(" {}.{}-{}", ask.incarnation, ask.from, ask.to);
            line += &format!(" asks{}", heads.asks.iter().map(ask).collect::<String>());
        }
        Ok(Body::Returned(returned)) => {
            let (ask, events) = (returned.ask, returned.events.len());
            line += &format!(" {events} of {}.{}-{}", ask.incarnation, ask.from, ask.to);
        }
        Ok(Body::Restored(restored)) => {
            line += &format!(" held{}", restored.heads.held.iter().map(place).collect::<String>());
        }
        Ok(Body::Dispatch(dispatch)) => {
            line += &format!(" document {}", short(dispatch.manifest.document.as_bytes()));
        }
        Ok(Body::Status(Status::Transport(status))) => {
            line += &format!(" {:?} {} events", status.code, status.entries.len());
        }
        Ok(Body::Status(Status::Document(told)) | Body::BusinessRequest(told)) => {
            line += &format!(" document {} {:?}", told.document, told.fact);
        }
        Ok(Body::Act(act)) => line += &format!(" {:?}", act.deed),
        _ => {}
    }
    line
}

/// Whether an alarm that `told` was given is a consequence of a second life of `of` that parted in this incarnation.
fn tells_of_clone(alarm: &Alarm, told: &OfficeId, of: &OfficeId, copied_in: Incarnation) -> bool {
    match alarm {
        Alarm::Fork { office, incarnation, .. } => office == of && *incarnation >= copied_in,
        Alarm::OfficeRestored { office, incarnation, .. } => office == of && *incarnation > copied_in,
        Alarm::Restored { incarnation } => told == of && *incarnation > copied_in,
        Alarm::LostHere { incarnation, .. } | Alarm::GivenBack { incarnation, .. } => {
            told == of && *incarnation >= copied_in
        }
        Alarm::RefusedByRelay { .. }
        | Alarm::BodyRefused { .. }
        | Alarm::NumberTwice { .. }
        | Alarm::TwoNumbers { .. }
        | Alarm::TooMuchSaid { .. }
        | Alarm::ContestedKey { .. }
        | Alarm::ContradictingList { .. }
        | Alarm::JudgedWorse { .. }
        | Alarm::JudgedElsewhere { .. } => false,
    }
}

impl World<'_> {
    /// After every step: what the station has just recorded is well-formed and authentic, and no event that came
    /// contradicts what is held without being kept as evidence (P8).
    pub(super) fn check_step(&mut self, number: usize, came: &[(OfficeId, Place)]) -> Result<(), Violation> {
        self.note_journal(number)?;
        let Some(node) = &self.stations[number].node else { return Ok(()) };
        for (from, place) in came {
            let held = node.store().held(from, place.incarnation, place.counter).map_err(unreadable)?;
            let Some(held) = held.map(|row| row.place.id).filter(|held| *held != place.id) else { continue };
            let kept = |alarm: &Alarm| matches!(alarm, Alarm::Fork { other, .. } if *other == place.id);
            if !node.store().alarms().map_err(unreadable)?.iter().any(kept) {
                let found = format!(
                    "event {} of {from} contradicts {held}, which is held, and nobody was told",
                    place.id
                );
                return Err(Violation { promise: "P8", found });
            }
        }
        Ok(())
    }

    /// Reads what a station has added to its journal since the last look.
    fn note_journal(&mut self, number: usize) -> Result<(), Violation> {
        const BATCH: u32 = 256;
        loop {
            let station = &mut self.stations[number];
            let Some(node) = &station.node else { return Ok(()) };
            let from = station.noted.next();
            let entries = node.store().journal(from, BATCH).map_err(unreadable)?;
            let Some(last) = entries.last() else { return Ok(()) };
            station.noted = last.position;
            for entry in &entries {
                let recorded = entry.recorded().map_err(unreadable)?;
                self.explain(|| described(number, entry.class, &recorded));
                if entry.class == Class::Own {
                    self.print(number, &recorded)?;
                    self.signed_with.insert(recorded.key);
                    let clone = self.stations[number].clone.as_mut();
                    if self.authentic.insert(recorded.id)
                        && let Some(clone) = clone
                    {
                        clone.made.insert(recorded.id);
                    }
                } else if !self.authentic.contains(&recorded.id) {
                    let found = format!("event {} of {} was never made", recorded.id, recorded.event.office);
                    return Err(Violation { promise: "P4", found });
                }
            }
        }
    }

    /// At every start, and at the end: replay gives the live state; order and uniqueness hold; forks are alarmed.
    pub(super) fn check_station(&mut self, number: usize) -> Result<(), Violation> {
        self.note_journal(number)?;
        let Some(node) = &self.stations[number].node else { return Ok(()) };
        let replayed = node.store().replay(node.me()).map_err(unreadable)?;
        if let Some(broken) = replayed.broken {
            return Err(broken);
        }
        invariant::replay_gives_live_state(node.state_hash().map_err(unreadable)?, replayed.hash())?;
        let held = held_rows(node)?;
        invariant::each_document_once(&held)?;
        invariant::order_is_kept(&held)?;
        let alarms = node.store().alarms().map_err(unreadable)?;
        invariant::forks_are_alarmed(&self.evidence(number)?, &alarms)
    }

    fn evidence(&self, number: usize) -> Result<BTreeSet<EventId>, Violation> {
        let mut evidence = BTreeSet::new();
        let Some(node) = &self.stations[number].node else { return Ok(evidence) };
        let mut from = Position(1);
        loop {
            let entries = node.store().journal(from, 1_024).map_err(unreadable)?;
            let Some(last) = entries.last() else { return Ok(evidence) };
            from = last.position.next();
            for entry in entries.iter().filter(|entry| entry.class == Class::Evidence) {
                evidence.insert(entry.recorded().map_err(unreadable)?.id);
            }
        }
    }

    /// Whether everything saved has arrived and is receipted, and nobody wants to send anything.
    pub(super) fn is_quiet(&self) -> Result<bool, Violation> {
        if self.stations.iter().any(|station| station.node.is_none() && !station.is_retired()) {
            return Ok(false);
        }
        for station in self.stations.iter().filter(|station| !station.is_retired()) {
            let Some(node) = &station.node else { return Ok(false) };
            if node.store().next_due().map_err(unreadable)?.is_some() {
                return Ok(false);
            }
            if station.next_key.is_some()
                || !node.store().marked_for_judging(1).map_err(unreadable)?.is_empty()
            {
                return Ok(false);
            }
            for small in [false, true] {
                if !node.store().awaited_blobs(small, 1).map_err(unreadable)?.is_empty() {
                    return Ok(false);
                }
            }
        }
        if self.registries_differ().is_some() {
            return Ok(false);
        }
        // A document that is held behind a gap waits for an event in front of it.
        let presented = self.presented()?;
        if self.saved.iter().any(|saved| !presented.contains(saved)) {
            return Ok(false);
        }
        let promises = [
            self.receipts_mean_held(),
            self.clones_are_alarmed(),
            self.senders_know_what_arrived(),
            self.check_work(),
        ];
        Ok(promises.iter().all(Result::is_ok))
    }

    /// Whether this station has told its own clerks that it went backwards or is not alone.
    pub(super) fn alarmed_itself(&self, number: usize) -> Result<bool, Violation> {
        let station = &self.stations[number];
        let (Some(node), Some(clone)) = (&station.node, &station.clone) else { return Ok(false) };
        let alarms = node.store().alarms().map_err(unreadable)?;
        Ok(alarms
            .iter()
            .any(|alarm| tells_of_clone(alarm, &station.office, &station.office, clone.copied_in)))
    }

    /// P8: once a correspondent holds an event that only a clone has made, somebody has been told.
    fn clones_are_alarmed(&self) -> Result<(), Violation> {
        for station in &self.stations {
            let Some(clone) = station.clone.as_ref().filter(|clone| !clone.alarmed) else { continue };
            let (mut held, mut told) = (None, false);
            for other in &self.stations {
                let Some(node) = &other.node else { continue };
                let of_clone =
                    |row: &HeldRow| row.from == station.office && clone.made.contains(&row.place.id);
                held = held.or(held_rows(node)?.into_iter().find(of_clone).map(|row| row.place.id));
                let alarms = node.store().alarms().map_err(unreadable)?;
                let (to, of) = (other.office, station.office);
                told |= alarms.iter().any(|alarm| tells_of_clone(alarm, &to, &of, clone.copied_in));
            }
            if let Some(id) = held.filter(|_| !told) {
                let found =
                    format!("event {id} was made by a clone of {}, and nobody was told", station.office);
                return Err(Violation { promise: "P8", found });
            }
        }
        Ok(())
    }

    /// P1 for a restored sender: what reached a clerk anywhere is in its sender's outgoing register, given back by
    /// whoever holds it.
    fn senders_know_what_arrived(&self) -> Result<(), Violation> {
        if !self.options.all_given_back {
            return Ok(());
        }
        for station in &self.stations {
            let Some(node) = &station.node else { continue };
            for row in held_rows(node)? {
                let (Some(document), Some(_)) = (row.document, row.ordinal) else { continue };
                let sender = self.stations.iter().find(|sender| sender.office == row.from);
                let Some(sender) = sender.and_then(|sender| sender.node.as_ref()) else { continue };
                if !sender.store().knows_outgoing(&document).map_err(unreadable)? {
                    let (to, from) = (station.office, row.from);
                    let found = format!("{from} has lost document {document}, which the clerk of {to} has");
                    return Err(Violation { promise: "P1", found });
                }
            }
        }
        Ok(())
    }

    /// P6 across the country. A station that was restored breaks it until its correspondents have refilled it.
    fn receipts_mean_held(&self) -> Result<(), Violation> {
        let mut held_at = BTreeMap::new();
        for station in &self.stations {
            let Some(node) = &station.node else { continue };
            for row in held_rows(node)? {
                let key = (station.office, row.from, row.place.incarnation, row.place.counter);
                held_at.insert(key, row.place.id);
            }
        }
        for station in &self.stations {
            let Some(node) = &station.node else { continue };
            invariant::receipt_means_held(station.office, &sent_rows(node)?, |to, incarnation, counter| {
                held_at.get(&(*to, station.office, incarnation, counter)).copied()
            })?;
        }
        Ok(())
    }

    /// Documents shown to the clerks of their recipients.
    fn presented(&self) -> Result<BTreeSet<Sent>, Violation> {
        let mut presented = BTreeSet::new();
        for station in &self.stations {
            let Some(node) = &station.node else { continue };
            let shown = held_rows(node)?.into_iter().filter(|row| row.ordinal.is_some());
            presented.extend(shown.filter_map(|row| Some((row.from, station.office, row.document?))));
        }
        Ok(presented)
    }

    /// At the end: liveness.
    pub(super) fn check_at_rest(&mut self) -> Result<(), Violation> {
        for number in 0..self.stations.len() {
            if self.stations[number].is_retired() {
                continue;
            }
            if self.stations[number].node.is_none() {
                let found = format!("station {number} is not running after healing");
                return Err(Violation { promise: "P10", found });
            }
            self.check_station(number)?;
            self.check_verdicts(number)?;
        }
        if let Some(lacking) = self.registries_differ() {
            let found = format!("not everybody holds the same registry: {lacking}");
            return Err(Violation { promise: "P10", found });
        }
        let presented = self.presented()?;
        for station in &self.stations {
            let Some(node) = &station.node else { continue };
            for row in held_rows(node)?.into_iter().filter(|row| row.ordinal.is_some()) {
                check_attachments(station, node, &row)?;
            }
        }
        if let Some((from, to, document)) = self.saved.iter().find(|saved| !presented.contains(saved)) {
            let found = format!("document {document} from {from} never reached the clerk of {to}");
            return Err(Violation { promise: "P1", found });
        }
        self.clones_are_alarmed()?;
        self.receipts_mean_held()?;
        self.senders_know_what_arrived()?;
        self.relays_will_let_go()?;
        self.check_work()?;
        for station in &self.stations {
            let Some(node) = &station.node else { continue };
            let sent = sent_rows(node)?;
            let open = sent.iter().filter(|row| row.kind.wants_receipt());
            let mut unsettled = None;
            for row in open.filter(|row| row.receipt.is_none() && !row.superseded) {
                if !(row.regained && self.has_lost_attachments(node, row.position)?) {
                    unsettled = unsettled.or(Some(row));
                }
            }
            if let Some(row) = unsettled {
                let found =
                    format!("{} has no receipt of {} for event {}", station.office, row.to, row.place.id);
                return Err(Violation { promise: "P5", found });
            }
        }
        Ok(())
    }

    /// Whatever a relay keeps for an office waits for a receipt, or the office's station knows that it has to tell the relay: otherwise it
    /// would be kept for ever.
    pub(super) fn relays_will_let_go(&self) -> Result<(), Violation> {
        for relay in &self.relays {
            for (blob, offices) in &relay.content.held {
                for office in offices {
                    let stations = self.stations.iter().filter(|station| station.office == *office);
                    let mut known = false;
                    for node in stations.filter_map(|station| station.node.as_ref()) {
                        let in_vain =
                            node.store().kept_in_vain(KeptFor::At(&relay.region)).map_err(unreadable)?;
                        known |= in_vain.iter().any(|(_, kept)| kept == blob);
                        for row in sent_rows(node)?.iter().filter(|row| row.open) {
                            known |= blobs_of(node, row.position)?.contains(blob);
                        }
                    }
                    if !known {
                        let (region, blob) = (&relay.region, blob.hash);
                        let found = format!(
                            "relay {region} keeps attachment {blob} for {office}, which does not know it"
                        );
                        return Err(Violation { promise: "P5", found });
                    }
                }
            }
        }
        Ok(())
    }

    /// What signatures are worth is known of every document that is held, is what the registry says now, and no honest
    /// document is called invalid but for a key that was lost.
    fn check_verdicts(&self, number: usize) -> Result<(), Violation> {
        let station = &self.stations[number];
        let Some(node) = &station.node else { return Ok(()) };
        let broken = |promise, found| Err(Violation { promise, found });
        if station.next_key.is_some() {
            return broken("P10", format!("station {number} never came to use its next key"));
        }
        if node.registry().fingerprint() != station.verifier.registry().fingerprint() {
            return broken("P10", format!("station {number} judges by an older registry than it holds"));
        }
        if let Some((from, place)) = node.store().marked_for_judging(1).map_err(unreadable)?.first() {
            return broken("P10", format!("event {} of {from} still waits to be judged again", place.id));
        }
        for row in held_rows(node)?.into_iter().filter(|row| row.document.is_some()) {
            let (id, from) = (row.place.id, row.from);
            let recorded = recorded_at(node, row.position)?;
            let (Some(judged), Some(known)) = (row.judged, judgement_of(node, &row)?) else {
                return broken("P4", format!("nobody has judged event {id} of {from}"));
            };
            let now = node.registry().judge_event(&recorded, row.place, known.stamps.clone()).judgement;
            let (found, should) = ((judged.outcome, judged.open), (now.outcome(), now.open));
            if found != should {
                let layers = (known.layers, now.layers);
                let words = format!(
                    "station {number}: event {id} of {from} is judged {found:?}, and would be {should:?}"
                );
                return broken("P4", format!("{words} now: {layers:?}"));
            }
            let lost_at = self.authority.lost_at(&from, recorded.key);
            let lost = lost_at.is_some_and(|at| known.stamps.iter().all(|stamp| stamp.at >= at));
            if judged.outcome == Outcome::Invalid && !lost {
                return broken(
                    "P4",
                    format!("event {id} of {from} is judged invalid, and its key counts: {known:?}"),
                );
            }
        }
        Ok(())
    }

    /// An item that one holds and another does not, or a key that counts for one only. Announcements are left out: whoever
    /// hears of one after the announcing key was revoked does not take it, and needs it no more. So are keys that nobody
    /// has signed with: one that is certified and lost before its station heard of it counts for nobody who hears of its
    /// successor first.
    fn registries_differ(&self) -> Option<String> {
        let stations = self.stations.iter().enumerate().filter(|(_, station)| !station.is_retired());
        let stations = stations.map(|(number, station)| (Holder::Station(number), &station.verifier));
        let relays = self.relays.iter().enumerate();
        let relays = relays.map(|(number, relay)| (Holder::Relay(number), &relay.verifier));
        let all: Vec<_> = stations.chain(relays).map(|(holder, held)| (holder, held.registry())).collect();
        let (first, reference) = all.first()?;
        all.iter().find_map(|(holder, registry)| {
            let lacks = |one: &Registry, other: &Registry| {
                let mut items = one.items().filter(|item| item.kind() != ItemKind::Announcement);
                let item = items.find(|item| other.item(&item.id()).is_none())?;
                Some(format!("{} {}", item.kind().word(), item.id()))
            };
            let here = lacks(reference, registry).map(|item| format!("{holder:?} lacks the {item}"));
            let there =
                || lacks(registry, reference).map(|item| format!("{first:?} lacks the {item} of {holder:?}"));
            let keys = || {
                let used = |registry: &Registry, office: &OfficeId| -> BTreeSet<KeyId> {
                    counting(registry, office).intersection(&self.signed_with).copied().collect()
                };
                let differs = |office: &OfficeId| used(reference, office) != used(registry, office);
                let office = self.stations.iter().map(|station| station.office).find(differs)?;
                let keys = [keys_of(reference, &office), keys_of(registry, &office)];
                Some(format!(
                    "{first:?} and {holder:?} take other keys for those of {office}: {} against {}",
                    keys[0], keys[1]
                ))
            };
            here.or_else(there).or_else(keys)
        })
    }

    /// Whether no station has an attachment of this event any more: its sender lost it with a disk, and whoever gave the
    /// event back was itself put back to before it came. Such an event can never leave; it stays open, for all to see.
    fn has_lost_attachments(&self, sender: &Node, position: Position) -> Result<bool, Violation> {
        for blob in blobs_of(sender, position)? {
            let mut somewhere = false;
            for node in self.stations.iter().filter_map(|station| station.node.as_ref()) {
                somewhere |= node.store().has_blob(&blob).map_err(unreadable)?;
            }
            if !somewhere {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Every attachment of a document that was receipted is here, on the disk, and is the file that the document names.
fn check_attachments(station: &Station, node: &Node, row: &HeldRow) -> Result<(), Violation> {
    let recorded = recorded_at(node, row.position)?;
    for opening in openings(recorded.version, &recorded.event) {
        let known = node.store().opens(&opening).map_err(unreadable)?;
        if !known || !station.contents.holds(&opening) {
            let blob = opening.enclosure.blob.hash;
            let found = format!("event {} was receipted without its attachment {blob}", row.place.id);
            return Err(Violation { promise: "P6", found });
        }
    }
    Ok(())
}
