//! What a recorded entry changes. Total: history is never refused.

use minicbor::{Decode, Encode};

use super::{CHANNELS_MAX, Channel, Exchange, HeldRow, Records, SentRow};
use crate::body::{Body, Heads, Place, RestoreReason, Restored, StatusCode};
use crate::event::Event;
use crate::id::{Counter, DocumentId, EventId, Incarnation, OfficeId, Position, Seq};

/// What a journal entry is to the station that keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// An event of its own chain.
    Own,
    /// An event it received.
    Received,
    /// A received event that contradicts one it holds: kept, never applied.
    Evidence,
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
                    changes.push(Change::Alarm(Alarm::BodyRefused {
                        from,
                        id,
                        reason: error.to_string(),
                    }));
                    Body::Unsupported
                });
                self.evolve_received(records, entry, &body, &mut changes)?;
            }
            Class::Evidence => self.evolve_evidence(records, entry, &mut changes)?,
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
        if event.incarnation > self.incarnation {
            self.start_incarnation(event, &body, changes);
        }
        self.seq = event.seq;
        self.head = entry.id;
        let document = document_of(&body);
        for to in &event.to {
            let place = Place {
                incarnation: event.incarnation,
                counter: to.counter,
                id: entry.id,
            };
            let peer = self.peers.entry(to.office).or_default();
            peer.sent = Some(place);
            if matches!(body, Body::Receipt(_) | Body::Head(_) | Body::Restored(_)) {
                peer.told_at = Some(event.claimed_at);
            }
            changes.push(Change::Sent(SentRow {
                to: to.office,
                place,
                position: entry.position,
                kind: event.kind,
                urgency: event.urgency,
                document,
                open: true,
                left: None,
                receipt: None,
                superseded: false,
            }));
        }
        match (body, event.to.first()) {
            (Body::Receipt(receipt), Some(to)) => {
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
                        closes: row.is_some_and(|row| !row.kind.wants_receipt()),
                    });
                }
            }
            (Body::Status(status), None) if status.code == StatusCode::RefusedByRelay => {
                let reason = status.reason.unwrap_or_default();
                changes.extend(status.entries.into_iter().map(|sent| {
                    let (to, incarnation, counter) = (sent.to, sent.incarnation, sent.counter);
                    Change::Alarm(Alarm::RefusedByRelay {
                        to,
                        incarnation,
                        counter,
                        reason: reason.clone(),
                    })
                }));
            }
            _ => {}
        }
        Ok(())
    }

    fn start_incarnation(&mut self, event: &Event, body: &Body, changes: &mut Vec<Change>) {
        self.incarnation = event.incarnation;
        self.seq = Seq(0);
        for peer in self.peers.values_mut() {
            peer.sent = None;
        }
        if let Body::Restored(Restored {
            reason: RestoreReason::Correspondent,
            ..
        }) = body
        {
            self.raised_at.push(event.claimed_at);
            if self.raised_at.len() > super::RAISES_MAX {
                self.raised_at.remove(0);
            }
        }
        changes.push(Change::Superseded {
            before: event.incarnation,
        });
        changes.push(Change::Alarm(Alarm::Restored {
            incarnation: event.incarnation,
        }));
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
        let Place {
            incarnation,
            counter,
            id,
        } = place;
        let Some(row) = records
            .held(&from, incarnation, counter)?
            .filter(|row| row.place.id == id)
        else {
            return Ok(());
        };
        let mine = entry.event.incarnation;
        changes.push(Change::Answered {
            from,
            incarnation,
            counter,
            position: entry.position,
            mine,
        });
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
        let Place {
            incarnation, counter, ..
        } = row.place;
        let channel = self
            .peers
            .entry(from)
            .or_default()
            .channels
            .entry(incarnation)
            .or_default();
        // `in_order` of a row that is held and not presented says whether it has to wait for its turn.
        let overtakes = !row.in_order || channel.ended;
        if overtakes && counter > channel.presented.next() || counter <= channel.presented {
            if row.ordinal.is_none() && row.document.is_some() {
                self.presented += 1;
                let ordinal = self.presented;
                changes.push(Change::Presented {
                    from,
                    incarnation,
                    counter,
                    ordinal,
                    in_order: false,
                });
            }
            return Ok(());
        }
        self.present_from(records, from, incarnation, Some(row), changes)
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
        loop {
            let channel = self
                .peers
                .entry(from)
                .or_default()
                .channels
                .entry(incarnation)
                .or_default();
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
                self.presented += 1;
                changes.push(Change::Presented {
                    from,
                    incarnation,
                    counter: next,
                    ordinal: self.presented,
                    in_order: true,
                });
            }
        }
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
        let place = Place {
            incarnation: event.incarnation,
            counter,
            id: entry.id,
        };
        // The register takes a document once (P2): a repeat in a later incarnation is held, not presented.
        let document = match document_of(body) {
            Some(document) if !records.knows_incoming(&from, &document)? => Some(document),
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
        self.hold(from, place, entry.position);
        if !event.kind.wants_receipt() {
            self.present_from(records, from, event.incarnation, Some(&row), changes)?;
        }
        match body {
            Body::Receipt(receipt) => {
                for entry_place in &receipt.entries {
                    self.receipted(records, from, *entry_place, entry.position, changes)?;
                }
                for held in &receipt.heads.held {
                    self.confirm_up_to(records, from, *held, changes)?;
                }
            }
            Body::Head(heads) => self.compare(records, from, heads, changes)?,
            Body::Restored(restored) => {
                self.office_restored(records, event, restored, changes)?;
                self.compare(records, from, &restored.heads, changes)?;
            }
            Body::Dispatch(_) | Body::Status(_) | Body::Unsupported => {}
        }
        Ok(())
    }

    fn hold(&mut self, from: OfficeId, place: Place, position: Position) {
        let peer = self.peers.entry(from).or_default();
        peer.heard = position.0;
        let channel = peer.channels.entry(place.incarnation).or_default();
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
        while peer.channels.len() > CHANNELS_MAX {
            peer.channels.pop_first();
        }
    }

    fn receipted<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        place: Place,
        position: Position,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let Place {
            incarnation,
            counter,
            id,
        } = place;
        if let Some(row) = records.sent(&to, incarnation, counter)?
            && row.place.id == id
            && (row.open || row.receipt.is_none())
        {
            changes.push(Change::Receipted {
                to,
                incarnation,
                counter,
                position,
            });
        }
        Ok(())
    }

    /// Compares what a correspondent holds, by its head, with what was sent to it. A receipt's heads are not
    /// compared: they are answered again with each repeat, and would cause repeats themselves.
    fn compare<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        heads: &Heads,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let oldest = Incarnation(self.incarnation.0.saturating_sub(CHANNELS_MAX as u32 - 1));
        for incarnation in (oldest.0..=self.incarnation.0).map(Incarnation) {
            // A correspondent that does not mention an incarnation holds nothing of it from the start.
            let none = Place {
                incarnation,
                counter: Counter(0),
                id: EventId::NONE,
            };
            let held = heads
                .held
                .iter()
                .copied()
                .find(|held| held.incarnation == incarnation)
                .unwrap_or(none);
            let row = records.sent(&to, incarnation, held.counter)?;
            if held.counter.0 > 0 && row.is_none_or(|row| row.place.id != held.id) {
                if incarnation < self.incarnation {
                    let alarm = Alarm::LostHere {
                        office: to,
                        incarnation,
                        counter: held.counter,
                    };
                    changes.push(Change::Alarm(alarm));
                }
                continue;
            }
            self.confirm_up_to(records, to, held, changes)?;
            self.refill_after(records, to, held, changes)?;
        }
        Ok(())
    }

    /// Events that want no receipt are settled once the correspondent's head passes them.
    fn confirm_up_to<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        held: Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let mut counter = held.counter;
        while counter.0 > 0 {
            let row = records.sent(&to, held.incarnation, counter)?;
            if row.is_none_or(|row| row.kind.wants_receipt() || !row.open || row.place.id == EventId::NONE) {
                break;
            }
            changes.push(Change::Confirmed {
                to,
                incarnation: held.incarnation,
                counter,
            });
            counter = Counter(counter.0 - 1);
        }
        Ok(())
    }

    /// The run of settled events right after what the correspondent holds: it cannot have what it does not hold, so
    /// they are sent again. The run ends at the first one that is open anyway.
    fn refill_after<R: Records>(
        &mut self,
        records: &R,
        to: OfficeId,
        held: Place,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let mut counter = held.counter.next();
        while let Some(row) = records
            .sent(&to, held.incarnation, counter)?
            .filter(|row| !row.open)
        {
            if !row.superseded {
                changes.push(Change::Reopened {
                    to,
                    incarnation: held.incarnation,
                    counter,
                });
            }
            counter = counter.next();
        }
        Ok(())
    }

    fn office_restored<R: Records>(
        &mut self,
        records: &R,
        event: &Event,
        restored: &Restored,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let from = event.office;
        let last = restored
            .last_sent
            .filter(|place| place.incarnation == restored.previous);
        let last = last.map_or(Counter(0), |place| place.counter);
        let peer = self.peers.entry(from).or_default();
        let mut lost_there = 0;
        if let Some(channel) = peer.channels.get(&restored.previous) {
            lost_there = channel.held.0.saturating_sub(last.0)
                + channel.ahead.keys().filter(|counter| **counter > last).count() as u64;
        }
        let earlier: Vec<Incarnation> = peer
            .channels
            .range(..event.incarnation)
            .filter(|(_, c)| !c.ended)
            .map(|(i, _)| *i)
            .collect();
        for incarnation in earlier {
            self.end_channel(records, from, incarnation, changes)?;
        }
        changes.push(Change::Alarm(Alarm::OfficeRestored {
            office: from,
            incarnation: event.incarnation,
            lost_there,
        }));
        Ok(())
    }

    /// No gap of an ended incarnation will be filled by new sends: what is held is presented in order.
    fn end_channel<R: Records>(
        &mut self,
        records: &R,
        from: OfficeId,
        incarnation: Incarnation,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let Some(channel) = self
            .peers
            .get_mut(&from)
            .and_then(|peer| peer.channels.get_mut(&incarnation))
        else {
            return Ok(());
        };
        channel.ended = true;
        let newest = channel
            .ahead
            .last_key_value()
            .map_or(channel.held, |(counter, _)| *counter);
        let waiting = std::iter::successors(Some(channel.presented.next()), |counter| Some(counter.next()))
            .take_while(|counter| *counter <= newest);
        let waiting: Vec<Counter> = waiting.filter(|counter| channel.holds(*counter)).collect();
        for counter in waiting {
            let Some(row) = records.held(&from, incarnation, counter)? else {
                continue;
            };
            if row.document.is_some() && row.ordinal.is_none() && row.receipt.is_some() {
                self.presented += 1;
                let ordinal = self.presented;
                changes.push(Change::Presented {
                    from,
                    incarnation,
                    counter,
                    ordinal,
                    in_order: true,
                });
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

fn document_of(body: &Body) -> Option<DocumentId> {
    match body {
        Body::Dispatch(dispatch) => Some(dispatch.document),
        _ => None,
    }
}
