//! What the signatures on documents are worth, and what becomes of that when something newer comes.
//!
//! A document is judged when it comes in. What may still change is judged again, in small portions, whenever the registry
//! changes or a relay's word on the time comes late; what came out differently is recorded, and when it is worse, told to
//! the sender as well.

use std::sync::Arc;

use schema::body::{
    Body, CHANGED_ITEMS_MAX, CONTESTED_KEYS_MAX, CONTRADICTING_LISTS_MAX, ChangedItem, ContestedKey,
    ContradictingList, JUDGEMENTS_MAX, Judgement, KeyAnnouncement, KeyPurpose, Place, RegistryChange,
    Verdicts,
};
use schema::event::{Kind, Proof, RecordedEvent, Urgency, key_id};
use schema::exchange::{Draft, Records};
use schema::id::{OfficeId, Position};
use schema::registry::{Item, ItemKind, Judged, Registry};
use schema::stamp::Stamp;
use schema::time::Millis;
use schema::trust::{Certificate, SigningTime, TrustStore};

use super::{Node, StepError, Work};
use crate::step::Effect;

/// Most documents of one sender whose stamps are looked up for one step's receipts: a courier brings thousands at once,
/// without any.
const STAMPS_LOOKED_UP_MAX: usize = 64;
/// Documents that are judged again in one step.
pub(super) const REJUDGED_MAX: usize = 128;

impl Node {
    /// Judges by a newer registry from now on; `items` are new in it. What that may change is judged again in the steps
    /// that follow.
    pub(super) fn use_registry(
        &mut self,
        registry: Arc<Registry>,
        items: &[Item],
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let earlier = std::mem::replace(&mut self.registry, registry);
        self.store.keep_items(items)?;
        let known: Vec<_> = earlier.contested().collect();
        let contested = self.registry.contested().filter(|key| !known.contains(key));
        let contested: Vec<ContestedKey> =
            contested.map(|(office, key)| ContestedKey { office, key }).collect();
        let items: Vec<ChangedItem> =
            items.iter().map(|item| ChangedItem { kind: item.kind(), id: item.id() }).collect();
        let contradicting = self.registry.contradictions();
        let contradicting: Vec<ContradictingList> =
            contradicting.iter().filter(|lists| !earlier.contradictions().contains(lists)).cloned().collect();
        let parts = items.len().div_ceil(CHANGED_ITEMS_MAX).max(contested.len().div_ceil(CONTESTED_KEYS_MAX));
        let parts = parts.max(contradicting.len().div_ceil(CONTRADICTING_LISTS_MAX));
        for part in 0..parts {
            let piece =
                |most: usize, length: usize| (part * most).min(length)..((part + 1) * most).min(length);
            let change = RegistryChange {
                items: items[piece(CHANGED_ITEMS_MAX, items.len())].to_vec(),
                contested: contested[piece(CONTESTED_KEYS_MAX, contested.len())].to_vec(),
                contradicting: contradicting[piece(CONTRADICTING_LISTS_MAX, contradicting.len())].to_vec(),
            };
            let draft = self.local(Kind::RegistryChange, &Body::RegistryChange(change));
            self.record(&draft, now, work)?;
        }
        self.look_at_sealing_keys(&earlier, now)?;
        self.mark_for_judging(&earlier)?;
        self.follow_key(now, work)?;
        self.announce_sealing_key(now, work)?;
        self.confirm_earlier_keys(now, work)
    }

    /// Marks the documents whose judgement a change of the registry may have changed: those that were open, and those
    /// signed with a certificate of which something else is known now.
    fn mark_for_judging(&mut self, earlier: &Registry) -> Result<(), StepError> {
        let (before, after) = (earlier.trust(), self.registry.trust());
        if before.generation() == after.generation() && earlier.fingerprint() == self.registry.fingerprint() {
            return Ok(());
        }
        self.store.mark_open_judgements()?;
        for (number, der) in self.store.signers()? {
            let Ok(certificate) = Certificate::parse(&der) else { continue };
            if is_judged_otherwise(&certificate, before, after) {
                self.store.mark_judged_by(number)?;
            }
        }
        self.judging = true;
        Ok(())
    }

    /// Judges a document that has just come in.
    pub(super) fn judge_new(
        &mut self,
        from: OfficeId,
        place: Place,
        proof: &Proof,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let Some(row) = self.store.held(&from, place.incarnation, place.counter)? else { return Ok(()) };
        let recorded = self.store.recorded_at(row.position)?;
        let judgement = self.judge(&recorded, place, proof.stamps.clone())?;
        self.note_stamp(&recorded, &judgement, work);
        work.judgements.push((judgement, false));
        Ok(())
    }

    /// Remembers for the receipt which stamp proves when the document was there.
    fn note_stamp(&self, recorded: &RecordedEvent, judgement: &Judgement, work: &mut Work) {
        let proven_at = self.registry.sound_proof(&judgement.from, recorded.key, &judgement.stamps);
        let stamp = judgement.stamps.iter().find(|stamp| Some(stamp.at) == proven_at);
        work.stamps.insert(judgement.place.id, stamp.cloned());
    }

    /// The stamps of documents that came in earlier steps: they waited for attachments, or are receipted once more.
    pub(super) fn look_up_stamps(
        &self,
        from: OfficeId,
        places: &[Place],
        work: &mut Work,
    ) -> Result<(), StepError> {
        for place in places.iter().take(STAMPS_LOOKED_UP_MAX) {
            if work.stamps.contains_key(&place.id) {
                continue;
            }
            let row = self.store.held(&from, place.incarnation, place.counter)?;
            let Some(row) = row.filter(|row| row.place.id == place.id) else { continue };
            let Some(judged) = row.judged else { continue };
            if let Some(judgement) = self.judgement_at(judged.position, &from, place)? {
                self.note_stamp(&self.store.recorded_at(row.position)?, &judgement, work);
            }
        }
        Ok(())
    }

    /// A repeat of a held event brings a relay's word on the time that was missing (by courier it came without), or an
    /// earlier one. A relay whose clock is so far behind that its word proves nothing keeps out nobody else's.
    pub(super) fn note_proof(
        &mut self,
        from: &OfficeId,
        place: Place,
        proof: &Proof,
        work: &mut Work,
    ) -> Result<(), StepError> {
        if proof.stamps.is_empty() {
            return Ok(());
        }
        let row = self.store.held(from, place.incarnation, place.counter)?;
        let Some(row) = row.filter(|row| row.place.id == place.id) else { return Ok(()) };
        let Some(judged) = row.judged.filter(|judged| judged.open) else { return Ok(()) };
        let Some(known) = self.judgement_at(judged.position, from, &place)? else { return Ok(()) };
        let recorded = self.store.recorded_at(row.position)?;
        let sound = |stamps: &[Stamp]| self.registry.sound_proof(from, recorded.key, stamps);
        let better = match (sound(&known.stamps), sound(&proof.stamps)) {
            (Some(known), Some(new)) => new < known,
            (known, _) => known.is_none(),
        };
        if known.is_proven() && !better {
            return Ok(());
        }
        let all = known.stamps.iter().chain(&proof.stamps).cloned().collect();
        let stamps = self.registry.useful_stamps(&recorded, all);
        if stamps == known.stamps {
            return Ok(());
        }
        let judgement = self.judge(&recorded, place, stamps)?;
        work.judgements.push((judgement, false));
        Ok(())
    }

    /// Judges a portion of what is marked. The marks are in the store, so a crash forgets none.
    pub(super) fn judge_again(&mut self, work: &mut Work) -> Result<(), StepError> {
        if !self.judging {
            return Ok(());
        }
        let marked = self.store.marked_for_judging(REJUDGED_MAX)?;
        self.judging = marked.len() == REJUDGED_MAX;
        for (from, place) in marked {
            self.store.unmark_for_judging(&from, &place)?;
            let Some(row) = self.store.held(&from, place.incarnation, place.counter)? else { continue };
            let Some(judged) = row.judged else { continue };
            let Some(known) = self.judgement_at(judged.position, &from, &place)? else { continue };
            let recorded = self.store.recorded_at(row.position)?;
            let judgement = self.judge(&recorded, place, known.stamps.clone())?;
            // Most lists are silent about most documents: a journal that grew by every document with every list would be
            // full of nothing.
            if !judgement.agrees_with(&known) || judgement.open != known.open {
                let worse = judgement.outcome() > known.outcome();
                work.judgements.push((judgement, worse));
            }
        }
        Ok(())
    }

    /// Records what was found out in this step; what is worse than before is told to the sender too.
    pub(super) fn record_judgements(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let (told, kept): (Vec<_>, Vec<_>) =
            std::mem::take(&mut work.judgements).into_iter().partition(|(_, worse)| *worse);
        let kept: Vec<Judgement> = kept.into_iter().map(|(judgement, _)| judgement).collect();
        for entries in kept.chunks(JUDGEMENTS_MAX) {
            let draft = self.local(Kind::Verdict, &Body::Verdict(Verdicts { entries: entries.to_vec() }));
            self.record(&draft, now, work)?;
        }
        for (judgement, _) in told {
            tracing::warn!(
                from = %judgement.from, event = %judgement.place.id, outcome = ?judgement.outcome(),
                "the signatures on a document are worth less than before"
            );
            let to = vec![judgement.from];
            let body = Body::Verdict(Verdicts { entries: vec![judgement] });
            let draft = Draft { to, ..self.local(Kind::Verdict, &body) };
            self.record(&draft, now, work)?;
        }
        Ok(())
    }

    /// What the signatures on this document are worth, as of the proof.
    fn judge(
        &mut self,
        recorded: &RecordedEvent,
        place: Place,
        stamps: Vec<Stamp>,
    ) -> Result<Judgement, StepError> {
        let Judged { judgement, signers } = self.registry.judge_event(recorded, place, stamps);
        for certificate in signers {
            self.store.note_signer(&certificate, &judgement.from, &place)?;
        }
        Ok(judgement)
    }

    /// What an earlier event said about signatures, as they are judged now; `None` when it cannot be read.
    pub(super) fn present_judgements(&self, told: &RecordedEvent) -> Result<Option<Vec<u8>>, StepError> {
        let Ok(Body::Verdict(verdicts)) = Body::read(told.version, &told.event) else { return Ok(None) };
        let mut entries = Vec::new();
        for known in verdicts.entries {
            let row = self.store.held(&known.from, known.place.incarnation, known.place.counter)?;
            let judged = row.filter(|row| row.place.id == known.place.id).and_then(|row| row.judged);
            let present = match judged {
                Some(judged) => self.judgement_at(judged.position, &known.from, &known.place)?,
                None => None,
            };
            entries.push(present.unwrap_or(known));
        }
        Ok(Body::Verdict(Verdicts { entries }).encode())
    }

    fn judgement_at(
        &self,
        position: Position,
        from: &OfficeId,
        place: &Place,
    ) -> Result<Option<Judgement>, StepError> {
        let recorded = self.store.recorded_at(position)?;
        let Ok(Body::Verdict(verdicts)) = Body::read(recorded.version, &recorded.event) else {
            return Ok(None);
        };
        let mut found = verdicts.entries.into_iter();
        Ok(found.find(|entry| entry.from == *from && entry.place == *place))
    }

    /// An event for this station's own journal.
    fn local(&self, kind: Kind, body: &Body) -> Draft {
        Draft {
            incarnation: self.exchange.incarnation(),
            kind,
            urgency: Urgency::Normal,
            to: Vec::new(),
            blobs: Vec::new(),
            body: body.encode().unwrap_or_default(),
        }
    }

    /// Announces the next signing key while the present one counts, and changes to it once it is certified. It is
    /// announced *before* it is certified, so that nobody ever sees a certificate of a second key without knowing
    /// whose it is; the change waits for the registry, so that relays hear of the key before they see an event signed with
    /// it. When the present key is over (it was lost, and revoked), nothing is announced: nobody would believe it.
    pub(super) fn follow_key(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let Some(next) = &self.next_key else { return Ok(()) };
        let public = next.verifying_key().to_bytes();
        let (me, id) = (self.exchange.me(), key_id(&public));
        if self.registry.known_key(&me, id).is_ok_and(|known| known.standing().counts()) {
            return self.change_key(now, work);
        }
        let present = key_id(self.key.verifying_key().as_bytes());
        let counts = self.registry.usable_key(&me, present, &SigningTime::default()).is_ok();
        if !counts || self.announced == Some(public) || self.registry.is_announced(&me, id) {
            return Ok(());
        }
        self.announced = Some(public);
        self.say_of_key(KeyPurpose::Signing, public, now, work)
    }

    /// Says with the present key which ones signed this station's events before it, so that whoever hears of the present one first does not take
    /// them for somebody else's.
    pub(super) fn confirm_earlier_keys(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let (me, present) = (self.exchange.me(), key_id(self.key.verifying_key().as_bytes()));
        if self.registry.usable_key(&me, present, &SigningTime::default()).is_err() {
            return Ok(());
        }
        let unconfirmed = self.registry.unconfirmed_keys(&me, present);
        let unsaid = unconfirmed.iter().filter(|key| {
            !self.confirmed.contains(&(present, key.id())) && !self.not_ours.contains(&key.id())
        });
        let unsaid: Vec<_> = unsaid.map(|key| (key.id(), key.key().to_bytes())).collect();
        for (id, public) in unsaid {
            // What the registry believes may come from an authority that was broken into: only the journal knows.
            if self.store.own_key(id)? {
                self.confirmed.insert((present, id));
                self.say_of_key(KeyPurpose::SignedBefore, public, now, work)?;
            } else {
                self.not_ours.insert(id);
            }
        }
        Ok(())
    }

    /// Announces the key under which others seal for this office, and what attachments it takes, unless they know both. Says whether it is
    /// announced.
    pub(super) fn announce_sealing_key(&mut self, now: Millis, work: &mut Work) -> Result<bool, StepError> {
        let Some(key) = self.sealing.as_ref().map(|sealing| sealing.key()) else { return Ok(false) };
        let (me, present) = (self.exchange.me(), key_id(self.key.verifying_key().as_bytes()));
        let announced = self.sealing_announced == Some((key, self.takes, present));
        if self.registry.sealing_terms(&me) == Some((key, self.takes)) || announced {
            return Ok(true);
        }
        if self.registry.usable_key(&me, present, &SigningTime::default()).is_err() {
            return Ok(false);
        }
        self.sealing_announced = Some((key, self.takes, present));
        let announcement =
            KeyAnnouncement { takes: self.takes, ..KeyAnnouncement::of(KeyPurpose::Sealing, key.0) };
        self.announce(announcement, now, work)?;
        Ok(true)
    }

    fn say_of_key(
        &mut self,
        purpose: KeyPurpose,
        key: [u8; 32],
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        self.announce(KeyAnnouncement::of(purpose, key), now, work)
    }

    fn announce(
        &mut self,
        announcement: KeyAnnouncement,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let draft = self.local(Kind::KeyAnnouncement, &Body::KeyAnnouncement(announcement));
        let event = self.record(&draft, now, work)?;
        // An event is never larger than an item may be.
        if let Ok(item) = Item::new(ItemKind::Announcement, event.bytes()) {
            work.effects.push(Effect::Announce { item });
        }
        Ok(())
    }

    fn change_key(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let Some(next) = self.next_key.take() else { return Ok(()) };
        let public = next.verifying_key().to_bytes();
        let replaced = key_id(self.key.verifying_key().as_bytes());
        self.key = next;
        tracing::info!(key = %key_id(&public), %replaced, "the station signs with its next key");
        work.effects.push(Effect::KeyChanged { public });
        self.key_looked_at = false;
        self.replace_lost_key(now, work)
    }
}

/// Whether something else is known about this certificate now.
fn is_judged_otherwise(certificate: &Certificate, before: &TrustStore, after: &TrustStore) -> bool {
    before.revocation_of(certificate) != after.revocation_of(certificate)
        || before.standing_of(certificate).lists().is_empty()
            != after.standing_of(certificate).lists().is_empty()
        || authorities_differ(certificate, before, after)
}

/// Whether the list of a root names its authority now, or another time of it.
fn authorities_differ(certificate: &Certificate, before: &TrustStore, after: &TrustStore) -> bool {
    let above = after.authorities().filter(|authority| authority.subject() == certificate.issuer());
    above.into_iter().any(|authority| before.revocation_of(authority) != after.revocation_of(authority))
}
