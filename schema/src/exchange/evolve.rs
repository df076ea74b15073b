//! What a recorded entry changes. Total: history is never refused.

use std::cmp::Ordering;

use super::change::{Alarm, Change, Class, Entry};
use super::learn::amended;
use super::records::Carried;
use super::settle::agrees;
use super::{CHANNELS_MAX, Channel, Exchange, HeldRow, Judged, Records, SentRow};
use crate::body::{
    Body, ContestedKey, ContradictingList, Place, RestoreReason, Restored, Returned, Status, TransportCode,
    Verdicts,
};
use crate::document::Manifest;
use crate::event::{Event, Kind};
use crate::handling::Side;
use crate::id::{Counter, Incarnation, OfficeId, Position};
use crate::mutant::{self, Mutant};
use crate::trust::Outcome;

impl Exchange {
    /// Applies one journal entry, in journal order, and says what it changes in the records.
    ///
    /// `records` must already hold what earlier entries changed.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn evolve<R: Records>(&mut self, records: &R, entry: Entry<'_>) -> Result<Vec<Change>, R::Error> {
        let mut changes = Vec::new();
        let (version, event) = (entry.version, entry.event);
        match entry.class {
            Class::Own => self.evolve_own(records, entry, Body::read_known(version, event), &mut changes)?,
            Class::Received | Class::Opened => {
                let body = Body::read_known(version, event);
                self.evolve_received(records, entry, &body, &mut changes)?;
            }
            Class::Unreadable => {
                let reason = match Body::read(version, event) {
                    Ok(Body::KeyAnnouncement(_)) => {
                        "the keys that it hands over were not taken: the directory does not name this \
                        office as the successor, or they cannot be opened or kept"
                            .to_owned()
                    }
                    Ok(_) => "this version reads it, the one that recorded it did not".to_owned(),
                    Err(error) => error.to_string(),
                };
                let alarm = Alarm::BodyRefused { from: event.office, id: entry.id, reason };
                changes.push(Change::Alarm(alarm));
                self.evolve_received(records, entry, &Body::Unsupported, &mut changes)?;
            }
            Class::Evidence => self.evolve_evidence(records, entry, &mut changes)?,
            Class::Regained => {
                let body = Body::read(version, event).unwrap_or(Body::Unsupported);
                self.evolve_regained(records, entry, &body, &mut changes)?;
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
        let carried = Carried::by(&body);
        for to in &event.to {
            let place = Place { incarnation: event.incarnation, counter: to.counter, id: entry.id };
            let peer = self.peers.entry(to.office).or_default();
            peer.sent = Some(place);
            if matches!(body, Body::Receipt(_) | Body::Head(_) | Body::Restored(_)) {
                peer.told_at = Some(event.claimed_at);
            }
            changes.push(Change::Sent(SentRow::open(to.office, place, &entry, carried)));
        }
        match (body, event.to.first()) {
            (Body::Dispatch(dispatch), _) => self.left_the_desk(records, entry, &dispatch, changes)?,
            (Body::Receipt(mut receipt), Some(to)) => {
                // In the sender's order, whatever order they came in: each may complete what waits behind it.
                receipt.entries.sort_unstable();
                receipt.entries.dedup();
                for place in receipt.entries {
                    self.answer(records, to.office, place, entry, changes)?;
                }
            }
            (Body::Status(Status::Document(told)), Some(to)) => {
                self.learn(records, entry, (to.office, Side::Recipient), &told, changes)?;
            }
            (Body::BusinessRequest(asked), _) => {
                for to in &event.to {
                    self.learn(records, entry, (to.office, Side::Sender), &asked, changes)?;
                }
            }
            (Body::Act(act), _) => self.acted(records, entry, &act, changes)?,
            (Body::Status(Status::Transport(status)), None) if status.code == TransportCode::Left => {
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
            (Body::Status(Status::Transport(status)), None) if status.code == TransportCode::SentAnew => {
                changes.extend(status.entries.into_iter().map(|sent| {
                    let (to, incarnation, counter) = (sent.to, sent.incarnation, sent.counter);
                    Change::SentAnew { to, incarnation, counter }
                }));
            }
            (Body::Status(Status::Transport(status)), None)
                if status.code == TransportCode::RefusedByRelay =>
            {
                let reason = status.reason.unwrap_or_default();
                changes.extend(status.entries.into_iter().map(|sent| {
                    let (to, incarnation, counter) = (sent.to, sent.incarnation, sent.counter);
                    Change::Alarm(Alarm::RefusedByRelay { to, incarnation, counter, reason: reason.clone() })
                }));
            }
            (Body::Verdict(verdicts), _) => Self::judged(records, &verdicts, entry.position, changes)?,
            (Body::RegistryChange(change), _) => {
                let alarm = |ContestedKey { office, key }| Alarm::ContestedKey { office, key };
                changes.extend(change.contested.into_iter().map(alarm).map(Change::Alarm));
                let alarm =
                    |ContradictingList { authority, list }| Alarm::ContradictingList { authority, list };
                changes.extend(change.contradicting.into_iter().map(alarm).map(Change::Alarm));
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
        if let Body::Restored(Restored {
            reason: RestoreReason::Tool | RestoreReason::Correspondent, ..
        }) = body
        {
            self.books.doubt_since(event.incarnation);
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

    /// Nothing waits any more for what its own sender keeps no more. It gets no receipt for that: a sender that only says so would have
    /// one for attachments that never came.
    fn forgo<R: Records>(
        &mut self,
        records: &R,
        from: OfficeId,
        entries: &[Place],
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let mut entries = entries.to_vec();
        // Each lets the next one have its turn.
        entries.sort_unstable();
        for Place { incarnation, counter, id } in entries {
            let row = records.held(&from, incarnation, counter)?;
            let Some(row) = row.filter(|row| row.place.id == id && !row.is_settled()) else { continue };
            changes.push(Change::Forgone { from, incarnation, counter });
            let row = HeldRow { forgone: true, ..row };
            self.present_from(records, from, incarnation, Some(&row), changes)?;
        }
        Ok(())
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
                        let settled = row.is_settled();
                        (row, settled)
                    })
                }
                None => None,
            };
            let Some((row, true)) = row else { return Ok(()) };
            channel.presented = next;
            let is_forgone = row.forgone && row.receipt.is_none();
            if row.document.is_some() && row.ordinal.is_none() && !is_forgone {
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
        let carried = Carried::by(body);
        let document = match carried.document {
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
            judged: None,
            code_key: carried.code_key,
            forgone: false,
            unreadable: entry.class == Class::Unreadable,
        };
        changes.push(Change::Held(row.clone()));
        if let (Some(document), Some(code_key)) = (row.document, row.code_key)
            && let Some(mut case) = records.case(&from, &document, Side::Recipient)?
            && case.code_key.is_none()
            && case.progress.entry().is_some()
        {
            // Its registration was given back before the document itself.
            case.code_key = Some(code_key);
            changes.push(Change::Case(case));
        }
        if entry.class != Class::Opened {
            self.hold(records, from, place, entry.position, changes)?;
            // What cannot be read keeps nothing that came behind it from being shown.
            if !event.kind.wants_receipt() || row.unreadable {
                self.present_from(records, from, event.incarnation, Some(&row), changes)?;
            }
            if let Body::Restored(restored) = body {
                self.office_restored(event, Some(restored), changes);
            } else if counter == Counter(1) && event.kind != Kind::Restored {
                self.office_restored(event, None, changes);
            }
        }
        // What is known of a document is a join of everything that was ever said about it.
        match body {
            Body::Status(Status::Document(told)) => {
                self.learn(records, entry, (from, Side::Sender), told, changes)?;
            }
            Body::BusinessRequest(asked) => {
                self.learn(records, entry, (from, Side::Recipient), asked, changes)?;
            }
            Body::Status(Status::Erased(erased)) => self.forgo(records, from, &erased.entries, changes)?,
            Body::Dispatch(dispatch) => {
                if let Manifest { amends: Some(amends), document, .. } = &dispatch.manifest {
                    let told = amended(amends, *document);
                    self.learn(records, entry, (from, Side::Recipient), &told, changes)?;
                }
                self.hear_of_answers(records, entry, dispatch, changes)?;
            }
            _ => {}
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
            Body::Returned(returned) => self.note_returned(records, from, returned, changes)?,
            Body::Verdict(verdicts) => self.heard_verdicts(records, from, verdicts, changes)?,
            Body::Dispatch(_)
            | Body::Status(_)
            | Body::BusinessRequest(_)
            | Body::Act(_)
            | Body::RegistryChange(_)
            | Body::KeyAnnouncement(_)
            | Body::Unsupported => {}
        }
        Ok(())
    }

    /// What this station found out about the signatures on documents; a document whose signatures are worth less than
    /// before is an alarm.
    fn judged<R: Records>(
        records: &R,
        verdicts: &Verdicts,
        position: Position,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        for entry in &verdicts.entries {
            let Place { incarnation, counter, id } = entry.place;
            let (from, outcome, open) = (entry.from, entry.outcome(), entry.open);
            let Some(row) = records.held(&from, incarnation, counter)?.filter(|row| row.place.id == id)
            else {
                continue;
            };
            let judged = Judged { position, outcome, open };
            changes.push(Change::Judged { from, incarnation, counter, judged });
            if let Some(before) = row.judged.map(|before| before.outcome).filter(|before| *before < outcome) {
                let alarm = Alarm::JudgedWorse { from, incarnation, counter, before, outcome };
                changes.push(Change::Alarm(alarm));
            }
        }
        Ok(())
    }

    /// A recipient tells that signatures on documents of this station are worth less than before.
    fn heard_verdicts<R: Records>(
        &self,
        records: &R,
        by: OfficeId,
        verdicts: &Verdicts,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        for entry in verdicts.entries.iter().filter(|entry| entry.from == self.me) {
            let Place { incarnation, counter, id } = entry.place;
            if records.sent(&by, incarnation, counter)?.is_some_and(|row| row.place.id == id) {
                let outcome = entry.outcome();
                if outcome == Outcome::Valid {
                    // The end of bad news, told because those were lost.
                    continue;
                }
                changes.push(Change::Alarm(Alarm::JudgedElsewhere { by, incarnation, counter, outcome }));
            }
        }
        Ok(())
    }

    /// Remembers how far a correspondent has given back, so that it is asked for the rest only.
    ///
    /// The answer may be to a question of an earlier life that knew more than this one: it counts only when it
    /// continues what is known or was given back here, or what stands before it would never be asked for.
    fn note_returned<R: Records>(
        &mut self,
        records: &R,
        from: OfficeId,
        returned: &Returned,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let Some(peer) = self.peers.get_mut(&from) else { return Ok(()) };
        let incarnation = returned.ask.incarnation;
        let before = Counter(returned.ask.from.0.saturating_sub(1));
        let back = peer.returned.get(&incarnation).copied().unwrap_or_default();
        let continues =
            before <= back || records.sent(&from, incarnation, before)?.is_some_and(|row| !row.regained);
        if returned.ask.whole && continues {
            peer.returned.insert(incarnation, returned.through.max(back));
        }
        if peer.returned.len() > CHANNELS_MAX {
            peer.returned.pop_first();
        }
        if !returned.events.is_empty() {
            let events = returned.events.len() as u64;
            changes.push(Change::Alarm(Alarm::GivenBack { office: from, incarnation, events }));
        }
        Ok(())
    }

    /// What it said is known again. It is offered once more to every recipient: who holds it answers with a receipt, who
    /// never got it gets it now.
    fn evolve_regained<R: Records>(
        &mut self,
        records: &R,
        entry: Entry<'_>,
        body: &Body,
        changes: &mut Vec<Change>,
    ) -> Result<(), R::Error> {
        let event = entry.event;
        if !event.kind.is_given_back() || event.incarnation >= self.chain.incarnation {
            return Ok(());
        }
        match body {
            Body::Dispatch(dispatch) => self.left_the_desk(records, entry, dispatch, changes)?,
            Body::Status(Status::Document(told)) => {
                for to in &event.to {
                    self.learn(records, entry, (to.office, Side::Recipient), told, changes)?;
                }
            }
            Body::BusinessRequest(asked) => {
                for to in &event.to {
                    self.learn(records, entry, (to.office, Side::Sender), asked, changes)?;
                }
            }
            _ => return Ok(()),
        }
        self.chain.remember(event.incarnation);
        let carried = Carried::by(body);
        let (document, id, position) = (carried.document, entry.id, entry.position);
        changes.push(Change::Regained { document, id, position });
        for to in &event.to {
            self.peers.entry(to.office).or_default();
            let place = Place { incarnation: event.incarnation, counter: to.counter, id: entry.id };
            // Its place may be taken by what this station sent there itself, before it knew that it had gone back.
            if records.sent(&to.office, place.incarnation, place.counter)?.is_none() {
                changes.push(Change::Sent(SentRow::open(to.office, place, &entry, carried)));
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
                // What it confirmed or gave back before it was restored says nothing about what it holds now.
                peer.confirmed = Counter(0);
                peer.returned.clear();
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
