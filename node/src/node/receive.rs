//! Receiving: what an event from a correspondent makes this station record, answer and ask.

use schema::blob::BlobRef;
use schema::body::{Body, KeyAnnouncement, Place};
use schema::event::{Event, Kind, Proof, VerifiedEvent};
use schema::exchange::{Channel, Class, Reception, Records};
use schema::id::{OfficeId, RegionId};
use schema::inbound::Opened;
use schema::mutant::{self, Mutant};
use schema::sealing::SealingKey;
use schema::time::{Day, Millis};

use super::heads::GAP_WAIT_MS;
use super::{Node, StepError, Work};
use crate::step::{Delivery, Effect, ImportSummary};
use crate::store::AwaitedBlob;
use crate::words::with_causes;

/// Notes that this correspondent gets a receipt for this event at the end of the step.
pub(super) fn owe(work: &mut Work, to: OfficeId, place: Place) {
    let owed = work.owed.entry(to).or_default();
    if !owed.contains(&place) {
        owed.push(place);
    }
}

/// Whether what could not be taken from this event may be taken one day: with another key, or when the directory says more.
fn is_awaited(event: &Event) -> bool {
    event.is_unopened() || event.kind == Kind::KeyAnnouncement
}

/// Where the event stands in its author's channel to this office.
pub(super) fn place_of(event: &VerifiedEvent, me: &OfficeId) -> Option<Place> {
    let fields = event.event();
    let counter = fields.counter_for(me)?;
    Some(Place { incarnation: fields.incarnation, counter, id: event.id() })
}

impl Node {
    pub(super) fn deliver(
        &mut self,
        relay: RegionId,
        delivery: Delivery,
        opened: Opened,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        for notice in &opened.notices {
            self.refused_by_relay(&relay, notice.id, &notice.reason, now, work)?;
        }
        self.accept(opened, relay.as_str(), now, work)?;
        work.effects.push(Effect::Ack { relay, delivery });
        Ok(())
    }

    pub(super) fn accept(
        &mut self,
        opened: Opened,
        source: &str,
        now: Millis,
        work: &mut Work,
    ) -> Result<ImportSummary, StepError> {
        let mut summary = ImportSummary::default();
        for refused in &opened.refused {
            tracing::warn!(source, reason = refused.reason.english, "item refused");
            self.store.quarantine(source, &refused.reason, &refused.bytes, now)?;
            summary.refused += 1;
        }
        for arrival in opened.events {
            let (event, proof) = (arrival.event, arrival.proof);
            match self.exchange.receive(&self.store, event.event(), event.id())? {
                Reception::New => {
                    self.receive_new(&event, &proof, now, work)?;
                    summary.new += 1;
                }
                Reception::Repeat if self.open_repeat(&event, &proof, now, work)? => summary.repeated += 1,
                Reception::Repeat => {
                    if let Some(place) = place_of(&event, &self.exchange.me()) {
                        self.note_proof(&event.event().office, place, &proof, work)?;
                    }
                    if event.event().kind.wants_receipt() {
                        self.answer_again(event.event(), &event.event().blobs, now, work)?;
                    }
                    summary.repeated += 1;
                }
                Reception::Fork { .. } => {
                    if let Some(position) = self.store.append_evidence(&event, now)? {
                        self.apply(Class::Evidence, position, &event, now, work)?;
                        self.contradict(event.event(), now, work)?;
                    } else {
                        // What the contradicting event names is not wanted.
                        self.answer_again(event.event(), &[], now, work)?;
                    }
                    self.head_due(event.event().office, now, GAP_WAIT_MS);
                    summary.refused += 1;
                }
                Reception::TooFarAhead => summary.refused += 1,
                Reception::NotForUs => summary.not_for_us += 1,
            }
        }
        Ok(summary)
    }

    fn receive_new(
        &mut self,
        event: &VerifiedEvent,
        proof: &Proof,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let (class, body) = self.taken_in(event.version(), event.event(), now);
        self.receive_as(class, &body, event, proof, now, work)
    }

    /// Records what an event from outside is, and does what follows.
    pub(super) fn receive_as(
        &mut self,
        class: Class,
        body: &Body,
        event: &VerifiedEvent,
        proof: &Proof,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let fields = event.event();
        let from = fields.office;
        let position = self.store.append(class, event, now)?;
        work.touched.insert(from);
        self.apply(class, position, event, now, work)?;
        let told = self.exchange.went_backwards(&self.store, &from, body)?;
        work.told = work.told.max(told);
        match body {
            Body::Head(heads) => {
                work.anew.extend(self.sealed_in_vain(&from, &heads.unopened)?);
                work.anew.extend(self.exchange.to_send_anew(
                    &self.store,
                    &from,
                    fields.incarnation,
                    heads,
                )?);
                let asks = self.exchange.lost(&self.store, &from, heads)?;
                self.tell_erased(from, &heads.incomplete, now, work)?;
                self.ask_back(from, asks, now);
                self.give_back(from, fields.incarnation, heads, now, work)?;
            }
            Body::Restored(restored) => {
                work.anew.extend(self.sealed_in_vain(&from, &restored.heads.unopened)?);
                work.anew.extend(self.exchange.to_send_anew(
                    &self.store,
                    &from,
                    fields.incarnation,
                    &restored.heads,
                )?);
                self.tell_erased(from, &restored.heads.incomplete, now, work)?;
                // It wants to know what is held of its earlier life.
                self.head_due(from, now, GAP_WAIT_MS);
            }
            Body::Receipt(receipt) => {
                let asks = self.exchange.unknown(&self.store, &from, &receipt.entries)?;
                self.ask_back(from, asks, now);
                work.anew.extend(self.exchange.displaced(&self.store, &from, &receipt.entries)?);
            }
            Body::Returned(returned) => self.regain(from, returned, now, work)?,
            _ => {}
        }
        if matches!(body, Body::Head(_) | Body::Restored(_)) {
            // A sign of life: what it has not answered is worth another try now.
            self.store.hasten(Some(&from), now)?;
        }
        let place = place_of(event, &self.exchange.me());
        if matches!(body, Body::Dispatch(_))
            && let Some(place) = place
        {
            self.judge_new(from, place, proof, work)?;
        }
        // P6: what nobody here can read, or keep, has not arrived.
        let kept = class != Class::Unreadable || !is_awaited(fields);
        if !kept {
            // Its sender can seal it anew, if that is of use.
            self.head_due(from, now, GAP_WAIT_MS);
        }
        if fields.kind.wants_receipt()
            && kept
            && let Some(place) = place
            && self.await_blobs(event.version(), fields, &place, now)?
        {
            owe(work, from, place);
        }
        let beyond = self.exchange.beyond(&from, fields.incarnation);
        let contradicted = self.exchange.contradicted(&self.store, &from, body)?;
        for place in beyond.into_iter().chain(contradicted) {
            self.tell_what_is_held(from, place, now, work)?;
        }
        let channel = self.exchange.channel(&from, fields.incarnation);
        if channel.is_some_and(Channel::has_gap) {
            self.head_due(from, now.plus(GAP_WAIT_MS), GAP_WAIT_MS);
        }
        Ok(())
    }

    /// What an event from outside is to this station, and what it says. Keys that are handed over lie safely in their file before anybody
    /// is told that they have come; what is not taken is kept as what it is, and told.
    pub(super) fn taken_in(&self, version: u8, event: &Event, now: Millis) -> (Class, Body) {
        let (class, body) = Class::of_arrival(version, event);
        let Body::KeyAnnouncement(said) = &body else { return (class, body) };
        match self.take_keys_over(event.office, said, now) {
            Ok(()) => (class, body),
            Err(reason) => {
                tracing::warn!(from = %event.office, reason, "the keys that an office hands over are not taken");
                (Class::Unreadable, Body::Unsupported)
            }
        }
    }

    /// Only the registrar's word makes this office the successor of another one: a stranger puts no keys into its file.
    fn take_keys_over(&self, from: OfficeId, said: &KeyAnnouncement, now: Millis) -> Result<(), String> {
        let (me, today) = (self.exchange.me(), Day::in_vietnam(now));
        if !self.registry.directory().has_succeeded(&me, &from, today.0) {
            return Err("the directory does not say that this office has taken over from it".to_owned());
        }
        let (Some(sealing), Some(keyring)) = (&self.sealing, &said.keyring) else {
            return Err("there are no keys in it, or none are kept here".to_owned());
        };
        sealing.take_over(from, SealingKey(said.key), keyring).map_err(|error| with_causes(&error))
    }

    /// Tells the author of a contradicting event what is held at its place.
    fn contradict(&mut self, fields: &Event, now: Millis, work: &mut Work) -> Result<(), StepError> {
        if let Some(counter) = fields.counter_for(&self.exchange.me())
            && let Some(row) = self.store.held(&fields.office, fields.incarnation, counter)?
        {
            self.tell_what_is_held(fields.office, row.place, now, work)?;
        }
        Ok(())
    }

    /// Tells an office that an event of it is held which it may not know, in a new receipt: an earlier one may have come
    /// when it knew no better, and a repeat of it would say nothing. What lacks its attachments gets no receipt (P6);
    /// the next head names it.
    fn tell_what_is_held(
        &mut self,
        from: OfficeId,
        place: Place,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let Some(row) = self.store.held(&from, place.incarnation, place.counter)? else {
            return Ok(());
        };
        if row.receipt.is_some() || !row.kind.wants_receipt() {
            owe(work, from, place);
        } else {
            self.head_due(from, now, GAP_WAIT_MS);
        }
        Ok(())
    }

    /// Answers what is held at the place of this event: a repeat of it, or another event that contradicts it.
    fn answer_again(
        &mut self,
        fields: &Event,
        blobs: &[BlobRef],
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let Some(counter) = fields.counter_for(&self.exchange.me()) else {
            return Ok(());
        };
        let Some(row) = self.store.held(&fields.office, fields.incarnation, counter)? else {
            return Ok(());
        };
        match row.receipt {
            // The same receipt, byte for byte; but a receipt of an earlier incarnation may be on a branch that the
            // sender refuses, so that one is given anew.
            Some(_) if mutant::is(Mutant::NoRepeatReceipt) => {}
            Some(receipt) if row.receipt_incarnation == Some(self.exchange.incarnation()) => {
                self.repeat(receipt, fields.office);
            }
            Some(_) => owe(work, fields.office, row.place),
            // A head or a receipt wants none; to an event that contradicts it, its receipt is the answer.
            None if !row.kind.wants_receipt() => owe(work, fields.office, row.place),
            // Nobody has its attachments any more.
            None if row.forgone => {}
            None => {
                for blob in blobs {
                    if !self.store.has_blob(blob)? {
                        let (sender, urgency) = (fields.office, fields.urgency);
                        self.start_download(AwaitedBlob { blob: *blob, sender, urgency }, now);
                        self.transfers.hasten(blob, now);
                    }
                }
            }
        }
        Ok(())
    }
}
