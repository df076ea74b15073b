//! What a recorded entry changes. Total: history is never refused.

use std::cmp::Ordering;

use minicbor::{Decode, Encode};

use super::{AHEAD_MAX, CHANNELS_MAX, Channel, Exchange, HeldRow, Records, SentRow};
use crate::body::{Body, Heads, Place, RestoreReason, Restored, Returned, StatusCode};
use crate::event::{Event, Kind};
use crate::id::{Counter, DocumentId, EventId, Incarnation, OfficeId, Position};
use crate::mutant::{self, Mutant};

/// What a journal entry is to the station that keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// An event of its own chain.
    Own,
    /// An event it received.
    Received,
    /// A received event that contradicts one it holds: kept, never applied.
    Evidence,
    /// An event of its own that it had lost and was given back.
    Regained,
}

/// One entry of a journal.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its place in the journal.
    pub position: Position,
    /// What it is to this station.
    pub class: Class,
    /// The event's id.
    pub id: EventId,
    /// The version it was written in.
    pub version: u8,
    /// The event.
    pub event: &'a Event,
}

/// What an entry changes in the records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// An event goes to a recipient.
    Sent(SentRow),
    /// A relay stored it; `closes` when it wants no receipt.
    Left {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
        /// The entry that says so.
        position: Position,
        /// Whether that is all that was awaited.
        closes: bool,
    },
    /// The recipient's receipt came.
    Receipted {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
        /// The entry that holds the receipt.
        position: Position,
    },
    /// The recipient's head shows that it holds an event that wants no receipt.
    Confirmed {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
    },
    /// The recipient's head shows that it does not hold what was settled before: it went backwards, or a relay lost
    /// an event that wants no receipt. Send it again.
    Reopened {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
    },
    /// A new incarnation: what is still open of earlier ones is sent again in new events.
    Superseded {
        /// The new incarnation.
        before: Incarnation,
    },
    /// The document of this event is sent again in a new one.
    SentAnew {
        /// The recipient.
        to: OfficeId,
        /// This station's incarnation at the time.
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        counter: Counter,
    },
    /// A receipt for an event that this station does not know: it may have lost it, and another may stand at its place. Settles it when it is given back.
    EarlyReceipt {
        /// The recipient.
        from: OfficeId,
        /// What the receipt is for.
        place: Place,
        /// The entry that holds the receipt.
        position: Position,
    },
    /// A document that this station had lost is known again; receipts for its event are early no more.
    Regained {
        /// The document.
        document: DocumentId,
        /// The event that carries it.
        id: EventId,
        /// The entry that brought its event back.
        position: Position,
    },
    /// An event from a correspondent is held.
    Held(HeldRow),
    /// This station gave a receipt for a held event.
    Answered {
        /// The sender.
        from: OfficeId,
        /// The sender's incarnation.
        incarnation: Incarnation,
        /// The number among its events to this station.
        counter: Counter,
        /// The entry that holds the receipt.
        position: Position,
        /// This station's incarnation.
        mine: Incarnation,
    },
    /// A document is shown to the clerk.
    Presented {
        /// The sender.
        from: OfficeId,
        /// The sender's incarnation.
        incarnation: Incarnation,
        /// The number among its events to this station.
        counter: Counter,
        /// The how-manieth document this is.
        ordinal: u64,
        /// In the sender's order.
        in_order: bool,
    },
    /// Someone must look at this.
    Alarm(Alarm),
}

/// Something that is never silent (P8).
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub enum Alarm {
    /// Two different events of one office at one place. Both are kept.
    #[n(0)]
    Fork {
        /// The office that signed both.
        #[n(0)]
        office: OfficeId,
        /// Its incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// The number among its events to this station.
        #[n(2)]
        counter: Counter,
        /// The event that is held.
        #[n(3)]
        held: EventId,
        /// The other one.
        #[n(4)]
        other: EventId,
    },
    /// An office was restored (*đã khôi phục dữ liệu*): order is promised within its incarnations, not across.
    #[n(1)]
    OfficeRestored {
        /// The office.
        #[n(0)]
        office: OfficeId,
        /// Its new incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// How many of its events this station holds that the office itself has lost.
        #[n(2)]
        lost_there: u64,
    },
    /// This station went backwards and started a new incarnation.
    #[n(2)]
    Restored {
        /// Its new incarnation.
        #[n(0)]
        incarnation: Incarnation,
    },
    /// A correspondent holds events of an earlier incarnation that this station has lost.
    #[n(3)]
    LostHere {
        /// The correspondent.
        #[n(0)]
        office: OfficeId,
        /// The earlier incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// It holds everything up to this counter.
        #[n(2)]
        counter: Counter,
    },
    /// A correspondent gave back events that this station had lost.
    #[n(6)]
    GivenBack {
        /// The correspondent.
        #[n(0)]
        office: OfficeId,
        /// The incarnation they are of.
        #[n(1)]
        incarnation: Incarnation,
        /// How many.
        #[n(2)]
        events: u64,
    },
    /// A relay refused an event.
    #[n(4)]
    RefusedByRelay {
        /// The recipient.
        #[n(0)]
        to: OfficeId,
        /// This station's incarnation.
        #[n(1)]
        incarnation: Incarnation,
        /// The number among the events to that recipient.
        #[n(2)]
        counter: Counter,
        /// The relay's words; unsigned.
        #[n(3)]
        reason: String,
    },
    /// An event is held whose body cannot be read.
    #[n(5)]
    BodyRefused {
        /// The sender.
        #[n(0)]
        from: OfficeId,
        /// The event.
        #[n(1)]
        id: EventId,
        /// Why.
        #[n(2)]
        reason: String,
    },
}

impl Exchange {
    /// Applies one journal entry, in journal order, and says what it changes in the records.
    ///
    /// `records` must already hold what earlier entries changed.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn evolve<R: Records>(&mut self, records: &R, entry: Entry<'_>) -> Result<Vec<Change>, R::Error> {
        let body = Body::read(entry.version, entry.event);
        let mut changes = Vec::new();
        match entry.class {
            Class::Own => self.evolve_own(records, entry, body.unwrap_or(Body::Unsupported), &mut changes)?,
            Class::Received => {
                let body = body.unwrap_or_else(|error| {
                    let (from, id) = (entry.event.office, entry.id);
                    changes.push(Change::Alarm(Alarm::BodyRefused { from, id, reason: error.to_string() }));
                    Body::Unsupported
                });
                self.evolve_received(records, entry, &body, &mut changes)?;
            }
            Class::Evidence => self.evolve_evidence(records, entry, &mut changes)?,
            Class::Regained => {
                self.evolve_regained(records, entry, &body.unwrap_or(Body::Unsupported), &mut changes)?;
            }
        }
        Ok(changes)
    }

    fn evolve_own<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        body: Body,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let event = entry.event;
        if event.incarnation > self.chain.incarnation {
            self.start_incarnation(event, &body, changes);
        }
        self.chain.seq = event.seq;
        self.chain.head = entry.id;
        let document = document_of(&body);
        for to in &event.to {
            let place = Place { incarnation: event.incarnation, counter: to.counter, id: entry.id };
            let peer = self.peers.entry(to.office).or_default();
            peer.sent = Some(place);
            if matches!(body, Body::Receipt(_) | Body::Head(_) | Body::Restored(_)) {
                peer.told_at = Some(event.claimed_at);
            }
            changes.push(Change::Sent(SentRow::open(to.office, place, &entry, document)));
        }
        match (body, event.to.first()) {
            (Body::Receipt(mut receipt), Some(to)) => {
                // In the sender's order, whatever order they came in: each may complete what waits behind it.
                receipt.entries.sort_unstable();
                receipt.entries.dedup();
                for place in receipt.entries {
                    self.answer(records, to.office, place, entry, changes)?;
                }
            }
            (Body::Status(status), None) if status.code == StatusCode::Left => {
                for sent in status.entries {
                    let row = records.sent(&sent.to, sent.incarnation, sent.counter)?;
                    changes.push(Change::Left {
                        to: sent.to,
                        incarnation: sent.incarnation,
                        counter: sent.counter,
                        position: entry.position,
                        closes: row.is_some_and(|row| !row.kind.wants_receipt())
                            || mutant::is(Mutant::DropOnRelayAck),
                    });
                }
            }
            (Body::Status(status), None) if status.code == StatusCode::SentAnew => {
                changes.extend(status.entries.into_iter().map(|sent| {
                    let (to, incarnation, counter) = (sent.to, sent.incarnation, sent.counter);
                    Change::SentAnew { to, incarnation, counter }
                }));
            }
            (Body::Status(status), None) if status.code == StatusCode::RefusedByRelay => {
                let reason = status.reason.unwrap_or_default();
                changes.extend(status.entries.into_iter().map(|sent| {
                    let (to, incarnation, counter) = (sent.to, sent.incarnation, sent.counter);
                    Change::Alarm(Alarm::RefusedByRelay { to, incarnation, counter, reason: reason.clone() })
                }));
            }
            _ => {}
        }
        Ok(())
    }

    fn start_incarnation(&mut self, event: &Event, body: &Body, changes: &mut Vec<Change>) {
        self.chain.start_incarnation(event.incarnation);
        for peer in self.peers.values_mut() {
            peer.sent = None;
            peer.confirmed = Counter(0);
        }
        if let Body::Restored(Restored { reason: RestoreReason::Correspondent, .. }) = body {
            self.raised_at.push(event.claimed_at);
            if self.raised_at.len() > super::RAISES_MAX {
                self.raised_at.remove(0);
            }
        }
        changes.push(Change::Superseded { before: event.incarnation });
        changes.push(Change::Alarm(Alarm::Restored { incarnation: event.incarnation }));
    }

    /// This station gives a receipt: the document is complete and may be presented.
    fn answer<R: Records>(
        &mut self,
        records: &R,
        from: OfficeId,
        place: Place,
        entry: Entry<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let Place { incarnation, counter, id } = place;
        let Some(row) = records.held(&from, incarnation, counter)?.filter(|row| row.place.id == id) else {
            return Ok(());
        };
        let mine = entry.event.incarnation;
        changes.push(Change::Answered { from, incarnation, counter, position: entry.position, mine });
        if row.receipt.is_none() {
            self.present(records, from, &row, changes)?;
        }
        Ok(())
    }

    /// Presents a document that has just become complete, and those that waited behind it.
    fn present<R: Records>(
        &mut self,
        records: &R,
        from: OfficeId,
        row: &HeldRow,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let Place { incarnation, counter, .. } = row.place;
        let waits = match self.channel(&from, incarnation) {
            // `in_order` of a row that is held and not presented says whether it has to wait for its turn.
            Some(channel) if !channel.ended && !mutant::is(Mutant::NoOrder) => {
                let next = channel.presented.next();
                counter == next || counter > next && row.in_order
            }
            // The incarnation is over, or so old that it left the hot state: nothing more comes before this one,
            // and later ones may have been presented already.
            Some(_) | None => false,
        };
        if waits {
            return self.present_from(records, from, incarnation, Some(row), changes);
        }
        if row.ordinal.is_none() && row.document.is_some() {
            self.present_alone(from, row.place, mutant::is(Mutant::NoOrder), changes);
        }
        Ok(())
    }

    fn present_alone(&mut self, from: OfficeId, place: Place, in_order: bool, changes: &mut Vec<Change>) {
        self.presented += 1;
        changes.push(Change::Presented {
            from,
            incarnation: place.incarnation,
            counter: place.counter,
            ordinal: self.presented,
            in_order,
        });
    }

    fn channel_mut(&mut self, office: &OfficeId, incarnation: Incarnation) -> Option<&mut Channel> {
        let peer = self.peers.get_mut(office)?;
        peer.channels.get_mut(&incarnation)
    }

    /// Moves the presented mark over everything that is held and complete. `complete` is a row that this entry
    /// completes, which the records do not show yet.
    fn present_from<R: Records>(
        &mut self,
        records: &R,
        from: OfficeId,
        incarnation: Incarnation,
        complete: Option<&HeldRow>,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        // An ended channel has no turns left to wait for.
        while let Some(channel) = self.channel_mut(&from, incarnation).filter(|channel| !channel.ended) {
            let next = channel.presented.next();
            let row = match complete.filter(|row| row.place.counter == next) {
                Some(row) => Some((row.clone(), true)),
                None if channel.holds(next) => {
                    let row = records.held(&from, incarnation, next)?;
                    row.map(|row| {
                        let complete = row.receipt.is_some() || !row.kind.wants_receipt();
                        (row, complete)
                    })
                }
                None => None,
            };
            let Some((row, true)) = row else { return Ok(()) };
            channel.presented = next;
            if row.document.is_some() && row.ordinal.is_none() {
                self.present_alone(from, row.place, true, changes);
            }
        }
        Ok(())
    }

    fn evolve_received<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        body: &Body,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let event = entry.event;
        let from = event.office;
        let Some(counter) = event.counter_for(&self.me) else {
            return Ok(());
        };
        let place = Place { incarnation: event.incarnation, counter, id: entry.id };
        // The register takes a document once (P2): a repeat in a later incarnation is held, not presented.
        let document = match document_of(body) {
            Some(document)
                if mutant::is(Mutant::NoDocumentDedup) || !records.knows_incoming(&from, &document)? =>
            {
                Some(document)
            }
            _ => None,
        };
        let row = HeldRow {
            from,
            place,
            position: entry.position,
            kind: event.kind,
            document,
            receipt: None,
            receipt_incarnation: None,
            ordinal: None,
            in_order: !event.urgency.overtakes(),
        };
        changes.push(Change::Held(row.clone()));
        self.hold(records, from, place, entry.position, changes)?;
        if !event.kind.wants_receipt() {
            self.present_from(records, from, event.incarnation, Some(&row), changes)?;
        }
        if let Body::Restored(restored) = body {
            self.office_restored(event, Some(restored), changes);
        } else if counter == Counter(1) && event.kind != Kind::Restored {
            self.office_restored(event, None, changes);
        }
        // What an incarnation that is over said is no longer so: a receipt of it may be for an event that was lost
        // since. The row stays open, and the next try is answered anew.
        let newest = self.peer(&from).and_then(|peer| peer.channels.last_key_value());
        if newest.is_none_or(|(newest, _)| *newest > event.incarnation) {
            return Ok(());
        }
        match body {
            Body::Receipt(receipt) => {
                for entry_place in &receipt.entries {
                    self.receipted(records, entry, *entry_place, changes)?;
                }
                for held in &receipt.heads.held {
                    if agrees(records, from, *held)? {
                        self.confirm_up_to(records, from, *held, changes)?;
                    }
                }
            }
            Body::Head(heads) => self.compare(records, from, event.incarnation, heads, changes)?,
            Body::Restored(restored) => {
                self.compare(records, from, event.incarnation, &restored.heads, changes)?;
            }
            Body::Returned(returned) => self.note_returned(from, returned, changes),
            Body::Dispatch(_) | Body::Status(_) | Body::Unsupported => {}
        }
        Ok(())
    }

    fn note_returned(&mut self, from: OfficeId, returned: &Returned, changes: &mut Vec<Change>) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        let incarnation = returned.ask.incarnation;
        if returned.ask.whole {
            let through = peer.returned.entry(incarnation).or_default();
            *through = returned.through.max(*through);
        }
        if peer.returned.len() > CHANNELS_MAX {
            peer.returned.pop_first();
        }
        if !returned.events.is_empty() {
            let events = returned.events.len() as u64;
            changes.push(Change::Alarm(Alarm::GivenBack { office: from, incarnation, events }));
        }
    }

    /// Its document is in the outgoing register again. It is offered once more to every recipient: who holds it
    /// answers with a receipt, who never got it gets it now.
    fn evolve_regained<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        body: &Body,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let event = entry.event;
        let (Body::Dispatch(dispatch), Ordering::Less) =
            (body, event.incarnation.cmp(&self.chain.incarnation))
        else {
            return Ok(());
        };
        self.chain.remember(event.incarnation);
        let document = dispatch.document;
        changes.push(Change::Regained { document, id: entry.id, position: entry.position });
        for to in &event.to {
            self.peers.entry(to.office).or_default();
            let place = Place { incarnation: event.incarnation, counter: to.counter, id: entry.id };
            // Its place may be taken by what this station sent there itself, before it knew that it had gone back.
            if records.sent(&to.office, place.incarnation, place.counter)?.is_none() {
                changes.push(Change::Sent(SentRow::open(to.office, place, &entry, Some(document))));
                let Place { incarnation, counter, .. } = place;
                let early = records.early_receipts(&to.office, incarnation, counter)?;
                let receipt = early.into_iter().find(|(receipted, _)| *receipted == place);
                changes.extend(receipt.map(|(_, position)| Change::Receipted {
                    to: to.office,
                    incarnation,
                    counter,
                    position,
                }));
            }
        }
        Ok(())
    }

    fn hold<R: Records>(
        &mut self,
        records: &R,
        from: OfficeId,
        place: Place,
        position: Position,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let peer = self.peers.entry(from).or_default();
        peer.heard = position.0;
        if !peer.channels.contains_key(&place.incarnation) {
            let mut later = peer.channels.range(place.incarnation..);
            let channel = Channel {
                // It comes after its incarnation ended: what is missing before it may never come.
                ended: later.any(|(_, later)| later.held >= Counter(1)),
                ..Channel::default()
            };
            if peer.channels.range(place.incarnation..).next().is_none() {
                // What it confirmed before it was restored says nothing about what it holds now.
                peer.confirmed = Counter(0);
            }
            peer.channels.insert(place.incarnation, channel);
        }
        while let Some((oldest, _)) = self
            .peer(&from)
            .filter(|peer| peer.channels.len() > CHANNELS_MAX)
            .and_then(|peer| peer.channels.first_key_value())
        {
            let oldest = *oldest;
            self.end_channel(records, from, oldest, changes)?;
            if let Some(peer) = self.peers.get_mut(&from) {
                peer.channels.remove(&oldest);
            }
        }
        let Some(channel) = self.channel_mut(&from, place.incarnation) else {
            return Ok(());
        };
        if place.counter == channel.held.next() {
            channel.held = place.counter;
            channel.held_id = Some(place.id);
            while let Some(id) = channel.ahead.remove(&channel.held.next()) {
                channel.held = channel.held.next();
                channel.held_id = Some(id);
            }
        } else if place.counter > channel.held {
            channel.ahead.insert(place.counter, place.id);
        }
        // The first event of an incarnation ends the earlier ones.
        if channel.held >= Counter(1) {
            let peer = self.peer(&from).map(|peer| &peer.channels);
            let earlier: Vec<Incarnation> = peer
                .into_iter()
                .flat_map(|channels| channels.range(..place.incarnation))
                .filter(|(_, channel)| !channel.ended)
                .map(|(incarnation, _)| *incarnation)
                .collect();
            for incarnation in earlier {
                self.end_channel(records, from, incarnation, changes)?;
            }
        }
        Ok(())
    }

    fn receipted<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        place: Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let (to, position) = (entry.event.office, entry.position);
        let Place { incarnation, counter, id } = place;
        let row = records.sent(&to, incarnation, counter)?;
        if row.as_ref().is_none_or(|row| row.place.id != id) {
            changes.push(Change::EarlyReceipt { from: to, place, position });
        }
        let Some(row) = row.filter(|row| row.place.id == id || mutant::is(Mutant::ReceiptByNumber)) else {
            return Ok(());
        };
        // A receipt of a later incarnation says more than the one that is here: it outlived the restore.
        let news = match row.receipt {
            Some(receipt) if !row.open => {
                records.incarnation_at(receipt)?.is_none_or(|earlier| earlier < entry.event.incarnation)
            }
            Some(_) | None => true,
        };
        if news {
            changes.push(Change::Receipted { to, incarnation, counter, position });
        }
        Ok(())
    }

    /// Compares what a correspondent holds, by its head, with what was sent to it. A receipt's heads are not
    /// compared: they are answered again with each repeat, and would cause repeats themselves.
    fn compare<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        theirs: Incarnation,
        heads: &Heads,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let mine: Vec<Incarnation> = self.earlier().iter().copied().chain([self.incarnation()]).collect();
        for incarnation in mine {
            // A correspondent that does not mention an incarnation holds nothing of it from the start.
            let none = Place { incarnation, counter: Counter(0), id: EventId::NONE };
            let held =
                heads.held.iter().copied().find(|held| held.incarnation == incarnation).unwrap_or(none);
            if !agrees(records, to, held)? {
                let given_back = self.peer(&to).and_then(|peer| peer.returned.get(&incarnation));
                if incarnation < self.chain.incarnation && given_back.is_none_or(|back| *back < held.counter)
                {
                    let alarm = Alarm::LostHere { office: to, incarnation, counter: held.counter };
                    changes.push(Change::Alarm(alarm));
                }
                continue;
            }
            self.confirm_up_to(records, to, held, changes)?;
            self.refill_after(records, to, theirs, held, changes)?;
        }
        for place in &heads.incomplete {
            let row = records.sent(&to, place.incarnation, place.counter)?;
            let Some(row) = row.filter(|row| row.place.id == place.id && !row.open && !row.superseded) else {
                continue;
            };
            // It had the attachments when it gave its receipt, and was restored since. A receipt of this same
            // incarnation is newer than the head, and the attachments are there.
            let answered = row.receipt.map(|receipt| records.incarnation_at(receipt)).transpose()?.flatten();
            if answered.is_none_or(|answered| answered < theirs) {
                let (incarnation, counter) = (place.incarnation, place.counter);
                changes.push(Change::Reopened { to, incarnation, counter });
            }
        }
        Ok(())
    }

    /// Events that want no receipt are settled once the correspondent's head passes them. Those of an earlier
    /// incarnation were settled when it ended.
    fn confirm_up_to<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        held: Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let Some(peer) = self.peers.get_mut(&to) else {
            return Ok(());
        };
        if held.incarnation != self.chain.incarnation {
            return Ok(());
        }
        // Each row is looked at once: what was confirmed stays so until the correspondent is restored.
        for counter in (peer.confirmed.next().0..=held.counter.0).map(Counter) {
            let row = records.sent(&to, held.incarnation, counter)?;
            if row.is_some_and(|row| row.open && !row.kind.wants_receipt()) {
                changes.push(Change::Confirmed { to, incarnation: held.incarnation, counter });
            }
        }
        peer.confirmed = peer.confirmed.max(held.counter);
        Ok(())
    }

    /// The run of settled events right after what the correspondent holds, as far as it cannot have them. The run
    /// ends at the first one that is open anyway.
    ///
    /// What it gave a receipt for in this same incarnation it holds, beyond a gap or since: sending that again
    /// would be answered by the receipt that is here already, which settles nothing, for ever. The newest event of
    /// all, when it wants no receipt, is left alone: nothing waits behind it, and heads that cross on their way would
    /// have each other sent again.
    fn refill_after<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        theirs: Incarnation,
        held: Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        if mutant::is(Mutant::NoRefill) {
            return Ok(());
        }
        let current = held.incarnation == self.chain.incarnation;
        let mut counter = held.counter;
        if current {
            // A head that was overtaken by a later one says less than is known.
            counter = counter.max(self.peer(&to).map_or(Counter(0), |peer| peer.confirmed));
        }
        let newest = self.peer(&to).and_then(|peer| peer.sent).map(|sent| (sent.incarnation, sent.counter));
        let mut passed = 0;
        while passed < AHEAD_MAX {
            let row = records.next_sent(&to, held.incarnation, counter)?;
            let Some(row) = row.filter(|row| !row.open) else { break };
            counter = row.place.counter;
            let lost = match row.receipt {
                Some(receipt) => records.incarnation_at(receipt)?.is_none_or(|answered| answered < theirs),
                // Receipts and heads of an incarnation that is over say nothing that later ones do not.
                None if row.kind.wants_receipt() => true,
                None => current && newest != Some((held.incarnation, counter)),
            };
            if lost && !row.superseded {
                changes.push(Change::Reopened { to, incarnation: held.incarnation, counter });
            } else {
                passed += 1;
            }
        }
        Ok(())
    }

    /// Tells that an office was restored: by its own word, or because a new incarnation starts without one, as when
    /// it has forgotten this station.
    fn office_restored(&mut self, event: &Event, restored: Option<&Restored>, changes: &mut Vec<Change>) {
        let (office, incarnation) = (event.office, event.incarnation);
        let previous = restored.map_or(Incarnation::FIRST, |restored| restored.previous);
        let last = restored
            .and_then(|restored| restored.last_sent)
            .filter(|place| place.incarnation == previous)
            .map_or(Counter(0), |place| place.counter);
        let Some(peer) = self.peer(&office) else { return };
        let mut earlier = peer.channels.range(..incarnation).peekable();
        if restored.is_none() && earlier.peek().is_none() {
            return;
        }
        let lost_in = |(of, channel): (&Incarnation, &Channel)| {
            let last = match (*of).cmp(&previous) {
                Ordering::Less => return 0,
                Ordering::Equal => last,
                // It does not know that it ever had this one.
                Ordering::Greater => Counter(0),
            };
            let ahead = channel.ahead.keys().filter(|counter| **counter > last);
            channel.held.0.saturating_sub(last.0) + ahead.count() as u64
        };
        let lost_there = earlier.map(lost_in).sum();
        changes.push(Change::Alarm(Alarm::OfficeRestored { office, incarnation, lost_there }));
    }

    /// No gap of an ended incarnation will be filled by new sends: what is held is presented in order.
    fn end_channel<R: Records>(
        &mut self,
        records: &R,
        from: OfficeId,
        incarnation: Incarnation,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let Some(channel) = self.channel_mut(&from, incarnation) else {
            return Ok(());
        };
        if channel.ended {
            return Ok(());
        }
        channel.ended = true;
        for counter in channel.waiting() {
            let Some(row) = records.held(&from, incarnation, counter)? else {
                continue;
            };
            if row.document.is_some() && row.ordinal.is_none() && row.receipt.is_some() {
                self.present_alone(from, row.place, true, changes);
            }
        }
        Ok(())
    }

    fn evolve_evidence<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let event = entry.event;
        let Some(counter) = event.counter_for(&self.me) else {
            return Ok(());
        };
        if let Some(row) = records.held(&event.office, event.incarnation, counter)? {
            changes.push(Change::Alarm(Alarm::Fork {
                office: event.office,
                incarnation: event.incarnation,
                counter,
                held: row.place.id,
                other: entry.id,
            }));
        }
        Ok(())
    }

    /// The channel from `office` in `incarnation`, as far as it is in the hot state.
    pub fn channel(&self, office: &OfficeId, incarnation: Incarnation) -> Option<&Channel> {
        self.peer(office).and_then(|peer| peer.channels.get(&incarnation))
    }
}

/// Whether this station sent the event that a correspondent says it holds last; holding nothing agrees.
pub(super) fn agrees<R: Records>(records: &R, with: OfficeId, held: Place) -> Result<bool, R::Error> {
    if held.counter == Counter(0) {
        return Ok(true);
    }
    let row = records.sent(&with, held.incarnation, held.counter)?;
    Ok(row.is_some_and(|row| row.place.id == held.id))
}

fn document_of(body: &Body) -> Option<DocumentId> {
    match body {
        Body::Dispatch(dispatch) => Some(dispatch.document),
        _ => None,
    }
}
