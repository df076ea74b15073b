//! Lives of a station: a new incarnation after a restore, and what the correspondents of the earlier one give back.

use std::sync::Arc;

use schema::body::{Ask, Body, Heads, Place, RestoreReason, Returned, SentPlace, TransportCode};
use schema::event::{EventError, Kind, RecordedEvent, UnverifiedEvent, VerifiedEvent, Verifier, key_id};
use schema::exchange::{Class, Draft, Records, SentRow};
use schema::id::{Incarnation, KeyId, OfficeId, Position};
use schema::mutant::{self, Mutant};
use schema::time::Millis;
use schema::trust::SigningTime;
use schema::words::Bilingual;

use super::{Node, StepError, Work};
use crate::sealing::open_content;
use crate::store::{Claim, StoreError};

/// Answers to asks for what was lost that are on their way to one correspondent at a time.
const ASKS_UNDER_WAY_MAX: usize = 32;

impl Node {
    /// Starts a new incarnation because the restore tool put an older copy of the data back.
    ///
    /// # Errors
    /// When the store fails.
    pub fn restored_by_tool(&mut self, now: Millis) -> Result<(), StepError> {
        self.store.begin()?;
        let mut work = Work::default();
        let told = self.exchange.incarnation();
        self.raise(told, RestoreReason::Tool, now, &mut work)?;
        self.store.save_exchange(&self.exchange, &work.touched)?;
        self.store.commit()?;
        self.sending.next_due = self.store.next_due()?;
        Ok(())
    }

    /// Starts a new incarnation: tells every correspondent, and sends again what has no receipt.
    pub(super) fn raise(
        &mut self,
        told: Incarnation,
        reason: RestoreReason,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        if told < self.exchange.incarnation() {
            return Ok(());
        }
        // The tool, and a new key, are the person who must decide.
        if reason == RestoreReason::Correspondent && !self.exchange.may_raise(now) {
            tracing::error!(%told, "a correspondent knows more of this station again: is its key in use twice?");
            return Ok(());
        }
        let open = self.store.open_dispatches()?;
        let branch = self.nonces.branch();
        for draft in self.exchange.raise(&self.store, told, branch, reason)? {
            self.record(&draft, now, work)?;
        }
        for dispatch in open.into_iter().filter(|_| !mutant::is(Mutant::NoReissue)) {
            self.dispatch_again(dispatch.position, dispatch.to, now, work)?;
        }
        tracing::warn!(incarnation = %self.exchange.incarnation(), "new incarnation: this station went backwards");
        Ok(())
    }

    /// Starts a new incarnation when the newest event was signed with a key that is over: it was lost, and another one
    /// was certified in its place. Nobody takes what it signed and nobody has receipted yet; it is signed again.
    pub(super) fn replace_lost_key(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        if std::mem::replace(&mut self.key_looked_at, true) {
            return Ok(());
        }
        let Some(newest) = self.store.newest_own()? else { return Ok(()) };
        if !self.is_lost(newest.key) {
            return Ok(());
        }
        let present = key_id(self.key.verifying_key().as_bytes());
        tracing::warn!(lost = %newest.key, key = %present, "the signing key was lost and replaced");
        self.raise(self.exchange.incarnation(), RestoreReason::KeyReplaced, now, work)
    }

    /// Whether nobody takes in what this earlier key of the station has signed.
    pub(super) fn is_lost(&self, key: KeyId) -> bool {
        let (me, present) = (self.exchange.me(), key_id(self.key.verifying_key().as_bytes()));
        key != present && self.registry.usable_key(&me, key, &SigningTime::default()).is_err()
    }

    /// Signs again what is to be sent and was signed with a key that is over. It was receipted when the key was lost, and
    /// its recipient has gone back to before it since: as it stands, no relay would take it.
    pub(super) fn sign_again(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let present = self.exchange.incarnation();
        if work.anew.iter().any(|row| row.place.incarnation == present) {
            // What stands behind it must not wait for it.
            work.anew.clear();
            return self.raise(present, RestoreReason::KeyReplaced, now, work);
        }
        self.send_anew(now, work)
    }

    /// Records an event's content again, as a new event of the current incarnation.
    pub(super) fn dispatch_again(
        &mut self,
        position: Position,
        to: Vec<OfficeId>,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let recorded = self.store.recorded_at(position)?;
        // It was found out again since, perhaps otherwise: what is recorded last is what counts.
        let present = match recorded.event.kind {
            Kind::Verdict => self.present_judgements(&recorded)?,
            _ => None,
        };
        let event = recorded.event;
        let Some(body) = event.clear_body().map(<[u8]>::to_vec) else {
            // It came back from a correspondent, and the key that opens it is lost: nobody here knows what it says.
            tracing::error!(position = position.0, "an event that cannot be opened is not said again");
            return Ok(());
        };
        let draft = Draft {
            incarnation: self.exchange.incarnation(),
            kind: event.kind,
            urgency: event.urgency,
            to,
            blobs: event.blobs,
            body: present.unwrap_or(body),
        };
        self.record(&draft, now, work).map(drop)
    }

    /// Sends documents again that a correspondent once receipted and does not hold any more under that event.
    pub(super) fn send_anew(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let mut rows = std::mem::take(&mut work.anew);
        rows.sort_unstable_by_key(|row| (row.to, row.place));
        rows.dedup_by_key(|row| (row.to, row.place));
        let places: Vec<SentPlace> = rows
            .iter()
            .map(|row| SentPlace {
                to: row.to,
                incarnation: row.place.incarnation,
                counter: row.place.counter,
            })
            .collect();
        for draft in self.exchange.status_drafts(TransportCode::SentAnew, &places, None, None) {
            self.record(&draft, now, work)?;
        }
        for row in rows.into_iter().filter(SentRow::is_said_again) {
            self.dispatch_again(row.position, vec![row.to], now, work)?;
        }
        Ok(())
    }

    /// Gives a correspondent back what it asks for of its own earlier lives.
    pub(super) fn give_back(
        &mut self,
        to: OfficeId,
        life: Incarnation,
        heads: &Heads,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        if heads.asks.is_empty() {
            return Ok(());
        }
        // What is on its way is not given twice, and not much is on its way at a time: nobody makes this station write
        // at the speed of the line.
        let under_way = self.asks_under_way(&to)?;
        let room = ASKS_UNDER_WAY_MAX.saturating_sub(under_way.len());
        let earlier = heads.asks.iter().filter(|ask| ask.incarnation < life);
        for ask in earlier.filter(|ask| !under_way.contains(ask)).take(room) {
            let drafts = self.exchange.give_back(&self.store, to, ask, |position| {
                let bytes = self.store.bytes_at(position)?;
                let read = RecordedEvent::read(&bytes);
                let damaged = |source| StoreError::Damaged { position: position.0 as i64, source };
                let mut blobs = Vec::new();
                for blob in read.map_err(damaged)?.event.blobs {
                    // What was erased here cannot be given back: its event comes alone.
                    if self.store.claim_on(&blob)? != Claim::Released {
                        blobs.push(blob);
                    }
                }
                Ok((bytes, blobs))
            })?;
            for draft in drafts {
                self.record(&draft, now, work)?;
            }
        }
        Ok(())
    }

    /// What was asked for and is being given back: no receipt has come for it yet.
    fn asks_under_way(&self, to: &OfficeId) -> Result<Vec<Ask>, StepError> {
        let mut asks = Vec::new();
        for position in self.store.being_given_back(to, ASKS_UNDER_WAY_MAX)? {
            let recorded = RecordedEvent::read(&self.store.bytes_at(position)?)?;
            if let Ok(Body::Returned(returned)) = Body::read(recorded.version, &recorded.event) {
                asks.push(returned.ask);
            }
        }
        Ok(asks)
    }

    /// An event of this station with its content, if a key here opens it.
    pub(super) fn opened(&self, mut event: VerifiedEvent) -> VerifiedEvent {
        if let Some(sealing) = &self.sealing {
            open_content(&**sealing, &mut event);
        }
        event
    }

    /// Takes back what this station had lost. Each event carries the station's own signature; the word of whoever
    /// brings it is not needed.
    pub(super) fn regain(
        &mut self,
        from: OfficeId,
        returned: &Returned,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        if returned.through < returned.ask.to {
            let rest = Ask { from: returned.through.next(), ..returned.ask };
            self.ask_back(from, vec![rest], now);
        }
        let verifier = Verifier::new(Arc::clone(&self.registry));
        let (me, mut ours_again) = (self.exchange.me(), false);
        for bytes in &returned.events {
            let parsed = UnverifiedEvent::parse(bytes);
            let kept = if matches!(parsed, Err(EventError::Secret)) { &[] } else { bytes.as_slice() };
            let parsed = parsed.map_err(|error| Bilingual::new(|language| error.text(language)));
            let verified = parsed
                .and_then(|event| {
                    let verified = verifier.verify_regained(event);
                    verified.map_err(|error| Bilingual::new(|language| error.text(language)))
                })
                .and_then(|event| match event.event().office == me {
                    true => Ok(event),
                    false => Err(Bilingual {
                        vietnamese: "Sự kiện được trả lại là của đơn vị khác. Không dùng; báo cán bộ kỹ thuật.".to_owned(),
                        english: "What was given back is another office's event. It is not used; tell the engineers."
                            .to_owned(),
                    }),
                });
            let event = match verified {
                Ok(event) => self.opened(event),
                Err(reason) => {
                    tracing::warn!(%from, reason = reason.english, "what was given back is not an event of this station");
                    self.store.quarantine(&from.to_string(), &reason, kept, now)?;
                    continue;
                }
            };
            if event.event().incarnation < self.exchange.incarnation() && !self.store.knows_own(&event)? {
                let position = self.store.append(Class::Regained, &event, now)?;
                work.touched.extend(event.event().to.iter().map(|to| to.office));
                ours_again |= self.not_ours.remove(&event.key());
                self.apply(Class::Regained, position, &event, now, work)?;
                for to in &event.event().to {
                    let place = (event.event().incarnation, to.counter);
                    // What this station sent there itself stands at its place: it can never be taken there.
                    let taken = self.store.sent(&to.office, place.0, place.1)?;
                    if taken.is_some_and(|row| row.place.id != event.id()) {
                        self.dispatch_again(position, vec![to.office], now, work)?;
                    }
                    let early = self.store.early_receipts(&to.office, place.0, place.1)?;
                    let held: Vec<Place> = early.into_iter().map(|(place, _)| place).collect();
                    work.anew.extend(self.exchange.displaced(&self.store, &to.office, &held)?);
                }
            }
        }
        if ours_again { self.confirm_earlier_keys(now, work) } else { Ok(()) }
    }
}
