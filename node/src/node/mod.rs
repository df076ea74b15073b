//! The station itself: [`Node::step`].

mod attachments;
mod erasing;
mod heads;
mod judging;
mod lives;
mod opening;
mod receive;
mod send;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use schema::body::{Judgement, Place, RETURNED_BYTES_MAX, RestoreReason};
use schema::event::{Event, EventError, Kind, UnverifiedEvent, VerifiedEvent, seal};
use schema::exchange::{Change, Class, Draft, Entry, Exchange, SentRow};
use schema::handling::Rules;
use schema::id::{EventId, Incarnation, KeyId, OfficeId, Position, StateHash, hex};
use schema::registry::{Item, Registry};
use schema::sealing::{Content, SealingKey};
use schema::stamp::Stamp;
use schema::time::Millis;
use sha2::{Digest, Sha256};

use self::attachments::Transfers;
use self::heads::{Greetings, HeadDue};
use self::send::Sending;
use crate::sealing::{SealError, Sealing};
use crate::step::{Answer, Effect, Input, Ticket};
use crate::store::{Store, StoreError};

pub use self::attachments::{
    CHUNKS_PER_RUN, DOWNLOADS_MAX, FETCHES_MAX, SMALL_BYTES_MAX, SMALL_UPLOADS_MAX, UPLOADS_MAX,
};
pub use self::heads::{GREETING_AFTER_MS, GREETINGS_MAX};
pub use self::send::PUBLICATIONS_MAX;

/// How long the station rests after the disk was full, in milliseconds.
const REST_MS: u64 = Millis::MINUTE;

/// Why a step failed. Nothing of it was recorded, or that is unknown: open the station again to find out.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event this station made is not acceptable: a bug, stopped before it was recorded.
    #[error("an event of this station breaks the rules of events")]
    Seal(#[from] EventError),
    /// A body could not be encrypted.
    #[error("what the station sends cannot be sealed")]
    Sealing(#[from] SealError),
}

/// One office's station.
pub struct Node {
    store: Store,
    key: SigningKey,
    /// Takes the place of `key` once it is certified.
    next_key: Option<SigningKey>,
    /// The next key that was announced already.
    announced: Option<[u8; 32]>,
    /// Keys that confirmed an earlier one in this run, and which.
    confirmed: BTreeSet<(KeyId, KeyId)>,
    /// Keys of this office that signed nothing that is in the journal, as far as it was looked through.
    not_ours: BTreeSet<KeyId>,
    registry: Arc<Registry>,
    /// What came while the disk was full; taken in with the next step, because whoever brought it has forgotten it.
    unrecorded: Option<(Arc<Registry>, Vec<Item>)>,
    exchange: Exchange,
    nonces: Nonces,
    sending: Sending,
    transfers: Transfers,
    greetings: Greetings,
    /// What could not be read before is tried again, from behind this entry of the journal on; none when all of it was.
    opening: Option<Position>,
    /// Documents are marked to be judged again.
    judging: bool,
    /// Whether it was looked at if the key of the newest event is over; once after each start and change.
    key_looked_at: bool,
    /// How it seals for others and opens what is sealed for it; none seals nothing.
    sealing: Option<Arc<dyn Sealing>>,
    /// Nothing that people say goes out in the clear.
    sealing_required: bool,
    /// The sealing key that was announced already, and the signing key that has said so.
    sealing_announced: Option<SealingTerms>,
    /// The largest sealed attachment that the office takes, in bytes; told to everybody with its sealing key.
    takes: Option<u64>,
    /// What the office has settled for itself.
    rules: Rules,
    /// The disk was full; see [`Node::rest`].
    resting_until: Millis,
    last_now: Millis,
}

/// Fresh numbers: unguessable for others, reproducible for the simulation.
struct Nonces {
    seed: [u8; 32],
    used: u64,
}

impl Nonces {
    fn next(&mut self) -> [u8; 32] {
        self.used += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.used.to_be_bytes());
        hash.finalize().into()
    }

    /// For a message.
    fn message_id(&mut self) -> String {
        hex(&self.next()[..16])
    }

    /// For an incarnation.
    fn branch(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.next();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// A sealing key, the largest sealed attachment that is taken, and the signing key that has said so.
type SealingTerms = (SealingKey, Option<u64>, KeyId);

/// What a step changes in memory and not in the tables: as it was when nothing of the step was recorded.
struct Trusted {
    key: SigningKey,
    next_key: Option<SigningKey>,
    announced: Option<[u8; 32]>,
    sealing_announced: Option<SealingTerms>,
    confirmed: BTreeSet<(KeyId, KeyId)>,
    registry: Arc<Registry>,
}

/// What one step gathers while it runs.
#[derive(Default)]
struct Work {
    effects: Vec<Effect>,
    touched: BTreeSet<OfficeId>,
    owed: BTreeMap<OfficeId, Vec<Place>>,
    told: Option<Incarnation>,
    anew: Vec<SentRow>,
    told_heads: Vec<(OfficeId, HeadDue)>,
    /// Relays' word on when documents that came in this step were there, as far as there is one.
    stamps: BTreeMap<EventId, Option<Stamp>>,
    /// Documents were shown, or recalled: some may be to be cancelled.
    recalls: bool,
    /// What was found out about documents, and whether it is worse than before.
    judgements: Vec<(Judgement, bool)>,
}

impl Node {
    /// Opens a station on its store.
    ///
    /// `seed` makes message ids unguessable; it must be fresh randomness at every start.
    ///
    /// # Errors
    /// When the store cannot be read, is damaged, or belongs to another office.
    pub fn open(
        store: Store,
        key: SigningKey,
        registry: Arc<Registry>,
        me: OfficeId,
        seed: [u8; 32],
        now: Millis,
    ) -> Result<Self, StoreError> {
        store.claim(me)?;
        let exchange = store.load_exchange(me)?;
        let mut node = Self {
            store,
            key,
            next_key: None,
            announced: None,
            confirmed: BTreeSet::new(),
            not_ours: BTreeSet::new(),
            registry,
            unrecorded: None,
            exchange,
            nonces: Nonces { seed, used: 0 },
            sending: Sending::default(),
            transfers: Transfers::default(),
            greetings: Greetings::default(),
            opening: None,
            judging: false,
            key_looked_at: false,
            sealing: None,
            sealing_required: false,
            sealing_announced: None,
            takes: None,
            rules: Rules::default(),
            resting_until: Millis(0),
            last_now: now,
        };
        node.load_volatile(now)?;
        Ok(node)
    }

    /// Has the station follow what its office has settled for itself.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Has the station change to this key once it is certified: announced by the present one, or after that one was
    /// revoked.
    #[must_use]
    pub fn with_next_key(mut self, next: Option<SigningKey>) -> Self {
        self.next_key = next;
        self
    }

    /// Has the station seal what it sends, and announce its key. `required`: what people send and cannot be sealed, because a
    /// recipient has announced no key yet, is refused; otherwise it goes in the clear. What the station says by itself (recalls
    /// confirmed, signatures judged) goes in any case: it holds no word of a person.
    #[must_use]
    pub fn with_sealing(mut self, sealing: Arc<dyn Sealing>, required: bool) -> Self {
        (self.sealing, self.sealing_required) = (Some(sealing), required);
        self
    }

    /// Has the station tell others that it takes no sealed attachment larger than this, in bytes. They refuse to send one; what comes all the
    /// same is taken, because whoever sent it may not have heard of it yet.
    #[must_use]
    pub fn with_largest_attachment(mut self, bytes_max: Option<u64>) -> Self {
        self.takes = bytes_max;
        self
    }

    /// Begins the journal of a new station with the event that was signed when its office was enrolled
    /// ([`crate::sealing::founding_announcement`]); `false` when the journal has begun already, or that event is not its own. The
    /// same key signs the same fields as the same bytes (RFC 8032), so nothing of another key gets in.
    ///
    /// # Errors
    /// When the store fails.
    pub fn found(&mut self, bytes: &[u8], now: Millis) -> Result<bool, StepError> {
        let begun = self.exchange.seq().0 > 0 || self.exchange.incarnation() != Incarnation::FIRST;
        let Some(fields) = UnverifiedEvent::parse(bytes).ok().map(|event| event.claims().clone()) else {
            return Ok(false);
        };
        let first = (fields.office, fields.kind, fields.seq.0) == (self.me(), Kind::KeyAnnouncement, 1);
        if begun || !first {
            return Ok(false);
        }
        let event = seal(fields, &self.key)?;
        if event.bytes() != bytes {
            return Ok(false);
        }
        self.store.begin()?;
        let mut work = Work::default();
        let position = self.store.append(Class::Own, &event, now)?;
        self.apply(Class::Own, position, &event, now, &mut work)?;
        self.store.save_exchange(&self.exchange, &work.touched)?;
        self.store.commit()?;
        Ok(true)
    }

    /// The registry it judges by.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    fn load_volatile(&mut self, now: Millis) -> Result<(), StoreError> {
        self.judging = !self.store.marked_for_judging(1)?.is_empty();
        self.open_from_the_start()?;
        self.heads_due_for_gaps(now);
        self.mend_schedule(now)?;
        self.sending.next_due = self.store.next_due()?;
        self.transfers.refill();
        Ok(())
    }

    /// This office.
    pub fn me(&self) -> OfficeId {
        self.exchange.me()
    }

    /// The hot state.
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// The store, for reading.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The hash of the live state (P7).
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn state_hash(&self) -> Result<StateHash, StoreError> {
        self.store.state_hash(&self.exchange)
    }

    /// When the station wants to be called again although nothing happens; `None` when only an input matters.
    pub fn wakeup(&self) -> Option<Millis> {
        if self.judging || self.opening.is_some() || self.unrecorded.is_some() {
            return Some(self.last_now.max(self.resting_until));
        }
        if !self.sending.is_linked() {
            return None;
        }
        let daily = (!self.exchange.peers().is_empty()).then_some(self.greetings.daily_at());
        let wishes = [self.sending.wakeup(), self.greetings.wakeup(), self.transfers.wakeup(), daily];
        wishes.into_iter().flatten().min().map(|at| at.max(self.resting_until))
    }

    /// Takes what happened, decides and records it in one transaction, and returns what may leave now.
    ///
    /// # Errors
    /// When the store fails. A full disk is not a failure: whoever asked is told, and nothing is lost.
    pub fn step(&mut self, inputs: Vec<Input>, now: Millis) -> Result<Vec<Effect>, StepError> {
        let tickets: Vec<Ticket> = inputs.iter().filter_map(ticket_of).collect();
        if now.plus(Millis::MINUTE) < self.last_now {
            tracing::warn!(from = self.last_now.0, to = now.0, "the clock went back: waits are counted anew");
            self.clock_went_back(now)?;
        }
        self.last_now = now;
        self.store.begin()?;
        let mut work = Work::default();
        let newer = self.newer_registry(&inputs);
        let before = self.trusted();
        let done = self.run(inputs, now, &mut work).and_then(|()| Ok(self.store.commit()?));
        match done {
            Ok(()) => Ok(work.effects),
            Err(error) => {
                self.store.rollback();
                // Memory may be ahead of the tables now; the tables are the truth.
                self.exchange = self.store.load_exchange(self.exchange.me())?;
                self.trust_again(before);
                self.unrecorded = newer;
                self.sending.undo();
                let waiting = self.transfers.start_anew();
                self.greetings.undo(work.told_heads);
                self.key_looked_at = false;
                self.load_volatile(now)?;
                match error {
                    StepError::Store(error) if error.is_disk_full() => {
                        tracing::error!(%error, "the disk is full: nothing was recorded, reading goes on");
                        let until = now.plus(REST_MS);
                        self.rest(until);
                        let refuse = |ticket| Effect::Answer { ticket, answer: Answer::DiskFull };
                        let refused = tickets.into_iter().chain(waiting).map(refuse);
                        Ok(refused.chain([Effect::Rest { until }]).collect())
                    }
                    error => Err(error),
                }
            }
        }
    }

    /// Times in the future were set by a clock that was wrong: nothing may wait for them.
    fn clock_went_back(&mut self, now: Millis) -> Result<(), StepError> {
        self.mend_schedule(now)?;
        self.greetings.clock_went_back(now);
        self.transfers.not_before(now);
        self.resting_until = now;
        self.sending.next_due = Some(now);
        Ok(())
    }

    /// Nothing can be recorded before `until`: there is no use in trying at the speed of the line.
    fn rest(&mut self, until: Millis) {
        self.resting_until = until;
        self.transfers.not_before(until);
    }

    /// What of the registry a step takes in, together with what an earlier one could not record.
    fn newer_registry(&self, inputs: &[Input]) -> Option<(Arc<Registry>, Vec<Item>)> {
        let mut newer = self.unrecorded.clone();
        for input in inputs {
            let Input::Registry { registry, items } = input else { continue };
            let mut known = newer.take().map(|(_, items)| items).unwrap_or_default();
            known.extend(items.iter().cloned());
            newer = Some((Arc::clone(registry), known));
        }
        newer
    }

    fn trusted(&self) -> Trusted {
        let registry = Arc::clone(&self.registry);
        let Self { key, next_key, confirmed, .. } = self;
        let (key, next_key, confirmed) = (key.clone(), next_key.clone(), confirmed.clone());
        let (announced, sealing_announced) = (self.announced, self.sealing_announced);
        Trusted { key, next_key, announced, sealing_announced, confirmed, registry }
    }

    fn trust_again(&mut self, before: Trusted) {
        let Trusted { key, next_key, announced, sealing_announced, confirmed, registry } = before;
        (self.key, self.next_key, self.announced) = (key, next_key, announced);
        self.sealing_announced = sealing_announced;
        (self.confirmed, self.registry) = (confirmed, registry);
    }

    fn run(&mut self, inputs: Vec<Input>, now: Millis, work: &mut Work) -> Result<(), StepError> {
        if let Some((registry, items)) = self.unrecorded.take() {
            self.use_registry(registry, &items, now, work)?;
        }
        self.replace_lost_key(now, work)?;
        for input in inputs {
            self.take(input, now, work)?;
        }
        self.open_again(now, work)?;
        self.judge_again(work)?;
        self.record_judgements(now, work)?;
        for (office, places) in std::mem::take(&mut work.owed) {
            self.look_up_stamps(office, &places, work)?;
            for draft in self.exchange.receipts(&self.store, office, &places, &work.stamps)? {
                self.record(&draft, now, work)?;
            }
        }
        self.confirm_recalls(now, work)?;
        self.send_anew(now, work)?;
        if let Some(told) = work.told {
            self.raise(told, RestoreReason::Correspondent, now, work)?;
        }
        self.send_heads(now, work)?;
        self.publish(now, work)?;
        if !work.anew.is_empty() {
            self.sign_again(now, work)?;
            self.publish(now, work)?;
        }
        self.fetch(now, work)?;
        self.release(work);
        self.store.save_exchange(&self.exchange, &work.touched)?;
        self.look_at_outbox(now)
    }

    fn take(&mut self, input: Input, now: Millis, work: &mut Work) -> Result<(), StepError> {
        match input {
            Input::Command { ticket, command } => {
                let answer = self.command(&command, now, work)?;
                work.effects.push(Effect::Answer { ticket, answer });
            }
            Input::Rehearse { ticket, command } => {
                let answer = self.rehearse(&command, now)?;
                work.effects.push(Effect::Answer { ticket, answer });
            }
            Input::Connected(relay) => self.connected(&relay, now)?,
            Input::Disconnected(relay) => self.disconnected(&relay, now)?,
            Input::Published { publication, outcome } => self.published(publication, &outcome, now, work)?,
            Input::Delivered { relay, delivery, opened } => {
                self.deliver(relay, delivery, opened, now, work)?;
            }
            Input::Imported { ticket, opened } => {
                let summary = self.accept(opened, "courier", now, work)?;
                work.effects.push(Effect::Answer { ticket, answer: Answer::Imported(summary) });
            }
            Input::Chunk { blob, index, came } => self.chunk(blob, index, came, now),
            Input::Brought { ticket, blob } => self.examine(blob, vec![ticket], work)?,
            Input::Enclosed { ticket, opening } => {
                let answer = self.enclosed(&opening)?;
                work.effects.push(Effect::Answer { ticket, answer });
            }
            Input::Leftovers { ticket, blobs } => {
                let discarded = self.discard_leftovers(&blobs, work)?;
                let answer = Answer::Discarded(discarded);
                work.effects.push(Effect::Answer { ticket, answer });
            }
            Input::Examined { blob, found } => self.examined(blob, found, now, work)?,
            Input::Offered { relay, blob, offered } => self.upload(&relay, blob, offered, now, work)?,
            Input::Takes { relay, limits } => self.takes(relay, limits, work)?,
            Input::Keeps { relay, blobs } => self.keeps(&relay, &blobs, work)?,
            Input::Released { relay, blobs } => self.released(&relay, &blobs)?,
            Input::SealingKeyRenewed { ticket } => {
                let announced = self.announce_sealing_key(now, work)?;
                work.effects.push(Effect::Answer { ticket, answer: Answer::SealingKey { announced } });
            }
            Input::Registry { registry, items } => self.use_registry(registry, &items, now, work)?,
            Input::Tick => {}
        }
        Ok(())
    }

    /// Signs a draft as the next event of the chain, its body sealed if others get it, and applies it.
    fn record(&mut self, draft: &Draft, now: Millis, work: &mut Work) -> Result<VerifiedEvent, StepError> {
        let event = self.exchange.next_event(draft, now);
        let event = seal(self.with_sealed_body(event)?, &self.key)?;
        let found = event.bytes().len();
        // A correspondent must be able to give it back one day, inside an event of its own.
        if draft.kind == Kind::Dispatch && found > RETURNED_BYTES_MAX {
            return Err(EventError::TooLarge { found }.into());
        }
        let position = self.store.append(Class::Own, &event, now)?;
        work.touched.extend(&draft.to);
        self.apply(Class::Own, position, &event, now, work)?;
        Ok(event)
    }

    /// Seals the body for all recipients, for the archive if the office has one, and for this office itself: what it has lost with its
    /// disk comes back to it sealed.
    fn with_sealed_body(&mut self, mut event: Event) -> Result<Event, StepError> {
        let Some(sealing) = self.sealing.as_ref().filter(|_| event.kind.is_sealed()) else {
            return Ok(event);
        };
        let keys: Option<Vec<SealingKey>> =
            event.to.iter().map(|to| self.registry.sealing_key(&to.office)).collect();
        let Some(mut keys) = keys.filter(|keys| !keys.is_empty()) else { return Ok(event) };
        let archive = self.archive_of(event.kind, event.to.iter().map(|to| to.office));
        if let Some((office, Some(key))) = archive {
            event.archive = Some(office);
            keys.push(key);
        }
        keys.push(sealing.key());
        let content = Content::new(&event, self.nonces.next(), &keys[..event.to.len()]);
        let body = sealing.seal(content.bytes(), &keys)?;
        Ok(event.with_sealed_body(content, body))
    }

    /// The archive that is to read what goes to these recipients, and the key under which it does; none when it is the office itself,
    /// or one of them.
    fn archive_of(
        &self,
        kind: Kind,
        mut to: impl Iterator<Item = OfficeId>,
    ) -> Option<(OfficeId, Option<SealingKey>)> {
        let archive = self.rules.archive.filter(|archive| kind == Kind::Dispatch && *archive != self.me())?;
        match to.any(|office| office == archive) {
            true => None,
            false => Some((archive, self.registry.sealing_key(&archive))),
        }
    }

    /// An office for which nothing can be sealed yet: a recipient, or the archive, which must be able to read whatever is sealed.
    fn without_sealing_key(&self, drafts: &[Draft]) -> Option<OfficeId> {
        let sealed = || drafts.iter().filter(|draft| self.sealing.is_some() && draft.kind.is_sealed());
        let required = sealed().filter(|_| self.sealing_required).flat_map(|draft| &draft.to);
        let unknown = required.copied().find(|to| self.registry.sealing_key(to).is_none());
        unknown.or_else(|| {
            let archives = sealed().filter_map(|draft| self.archive_of(draft.kind, draft.to.iter().copied()));
            archives.into_iter().find(|(_, key)| key.is_none()).map(|(archive, _)| archive)
        })
    }

    fn apply(
        &mut self,
        class: Class,
        position: Position,
        event: &VerifiedEvent,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let (id, version) = (event.id(), event.version());
        let entry = Entry { position, class, id, version, event: event.event() };
        let new_incarnation = event.event().incarnation > self.exchange.incarnation() && class == Class::Own;
        for change in self.exchange.evolve(&self.store, entry)? {
            self.store.apply(&change, position, now)?;
            match &change {
                Change::Alarm(alarm) => tracing::warn!(?alarm, "alarm recorded"),
                Change::Presented { from, .. } => {
                    work.touched.insert(*from);
                    work.recalls = true;
                }
                Change::Answered { from, .. } => {
                    work.touched.insert(*from);
                }
                Change::Receipted { to, incarnation, counter, .. } => {
                    self.receipted(to, *incarnation, *counter)?;
                }
                Change::Erased(row) => self.erase_content(row, work)?,
                Change::Forgone { .. } => self.drop_downloads()?,
                Change::Case(case) => {
                    work.recalls |= case.progress.unconfirmed_recalls().next().is_some();
                }
                _ => {}
            }
        }
        if new_incarnation {
            work.touched.extend(self.exchange.peers().keys());
        }
        Ok(())
    }
}

fn ticket_of(input: &Input) -> Option<Ticket> {
    match input {
        Input::Command { ticket, .. }
        | Input::Rehearse { ticket, .. }
        | Input::Imported { ticket, .. }
        | Input::Brought { ticket, .. }
        | Input::Enclosed { ticket, .. }
        | Input::Leftovers { ticket, .. }
        | Input::SealingKeyRenewed { ticket } => Some(*ticket),
        _ => None,
    }
}
