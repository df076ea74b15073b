//! What could not be read when it came is tried again: with keys that were found again or handed over, when it comes once more, and when
//! the directory says more. Who cannot open what others have sealed tells them so, and they seal it anew.

use std::sync::Arc;

use schema::body::Place;
use schema::event::{Proof, UnverifiedEvent, VerifiedEvent, Verifier, key_id};
use schema::exchange::{Class, Records as _, SentRow};
use schema::id::{OfficeId, Position};
use schema::registry::Registry;
use schema::time::Millis;

use super::heads::GAP_WAIT_MS;
use super::receive::place_of;
use super::{Node, StepError, Work};
use crate::store::StoreError;

/// Events that are tried again in one step: each costs one operation of the curve for every reader and key.
const OPENED_MAX: usize = 8;

impl Node {
    /// Everything that could not be read is tried again in the steps that follow.
    pub(super) fn open_from_the_start(&mut self) -> Result<(), StoreError> {
        let first = self.store.unreadable_after(Position(0), 1)?;
        self.opening = first.first().map(|_| Position(0));
        Ok(())
    }

    /// Tries a portion of what could not be read before. What is still closed stays as it is: nothing is recorded about it.
    pub(super) fn open_again(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let Some(after) = self.opening else { return Ok(()) };
        let positions = self.store.unreadable_after(after, OPENED_MAX)?;
        self.opening = positions.last().copied().filter(|_| positions.len() == OPENED_MAX);
        let verifier = Verifier::new(Arc::clone(&self.registry));
        for position in positions {
            let event = UnverifiedEvent::parse(&self.store.bytes_at(position)?)?;
            match verifier.verify_held(event) {
                Ok(event) => {
                    let event = self.opened(event);
                    self.open_held(&event, &Proof::default(), now, work)?;
                }
                // The registry that knew its key is not here any more: its sender brings the event again.
                Err(error) => tracing::warn!(%error, position = position.0, "an event is not tried again"),
            }
        }
        Ok(())
    }

    /// An event came again that could not be read when it came first. Whether it could be now; if not, its sender is told so.
    pub(super) fn open_repeat(
        &mut self,
        event: &VerifiedEvent,
        proof: &Proof,
        now: Millis,
        work: &mut Work,
    ) -> Result<bool, StepError> {
        let opened = self.open_held(event, proof, now, work)?;
        if opened == Some(false) {
            self.head_due(event.event().office, now, GAP_WAIT_MS);
        }
        Ok(opened.is_some())
    }

    /// `None`: it was read before, or has its receipt.
    fn open_held(
        &mut self,
        event: &VerifiedEvent,
        proof: &Proof,
        now: Millis,
        work: &mut Work,
    ) -> Result<Option<bool>, StepError> {
        let fields = event.event();
        let Some(place) = place_of(event, &self.exchange.me()) else { return Ok(None) };
        let held = self.store.held(&fields.office, place.incarnation, place.counter)?;
        if held.is_none_or(|held| held.place != place || !held.unreadable || held.receipt.is_some()) {
            return Ok(None);
        }
        let (class, body) = self.taken_in(event.version(), fields, now);
        if class != Class::Received {
            return Ok(Some(false));
        }
        tracing::info!(?event, "what could not be read before is read now");
        self.receive_as(Class::Opened, &body, event, proof, now, work)?;
        Ok(Some(true))
    }

    /// Correspondents that have another sealing key than before are offered again what they have not receipted: one that has lost the
    /// earlier key says so, and gets it sealed anew. What could not be taken here may be taken now.
    pub(super) fn look_at_sealing_keys(&mut self, earlier: &Registry, now: Millis) -> Result<(), StepError> {
        let differs = |office: &&OfficeId| {
            let before = earlier.sealing_key(office);
            before.is_some() && before != self.registry.sealing_key(office)
        };
        let renewed: Vec<OfficeId> = self.exchange.peers().keys().filter(differs).copied().collect();
        for office in renewed {
            self.store.hasten(Some(&office), now)?;
        }
        if earlier.directory().version() != self.registry.directory().version() {
            self.open_from_the_start()?;
        }
        Ok(())
    }

    /// Open sends that a correspondent cannot read, and that were sealed under another key than its newest one: that key is lost there.
    /// They go out in new events, with the same documents. Once sealed under the newest key nothing is sealed anew, whatever a
    /// correspondent says.
    pub(super) fn sealed_in_vain(
        &self,
        to: &OfficeId,
        unopened: &[Place],
    ) -> Result<Vec<SentRow>, StepError> {
        let Some(newest) = self.registry.sealing_key(to).map(|key| key_id(&key.0)) else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        for place in unopened {
            let row = self.store.sent(to, place.incarnation, place.counter)?;
            let Some(row) = row.filter(|row| row.place.id == place.id && row.open && row.is_said_again())
            else {
                continue;
            };
            let under = self.store.recorded_at(row.position)?.event.sealed_under(to);
            rows.extend(under.is_some_and(|under| under != newest).then_some(row));
        }
        Ok(rows)
    }
}
