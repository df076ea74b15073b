//! The station itself: [`Node::step`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use schema::blob::{BLOB_BYTES_MAX, BlobRef};
use schema::body::{
    ASKS_MAX, Ask, Body, Heads, Place, RETURNED_BYTES_MAX, RestoreReason, Returned, SentPlace, StatusCode,
};
use schema::directory::Directory;
use schema::event::{
    Event, EventError, Kind, RecordedEvent, UnverifiedEvent, Urgency, VerifiedEvent, Verifier, seal,
};
use schema::exchange::{
    self, Change, Class, Command, Draft, Entry, Exchange, Reception, Records, Refusal, SentRow,
};
use schema::id::{BlobHash, EventId, Incarnation, OfficeId, Position, RegionId, StateHash};
use schema::inbound::Opened;
use schema::mutant::{self, Mutant};
use schema::pack::{self, Message, PACK_EVENTS_MAX, PackItem};
use schema::time::Millis;
use sha2::{Digest, Sha256};

use crate::step::{Answer, Delivery, Effect, ImportSummary, Input, Publication, PublishOutcome, Ticket};
use crate::store::{DueRow, Store, StoreError};

/// Publishes per relay that wait for their outcome.
pub const PUBLICATIONS_MAX: usize = 16;
/// Attachments being uploaded to one relay at a time; an express document may start one more.
pub const UPLOADS_MAX: usize = 2;
/// Chunks uploaded between two offers.
pub const CHUNKS_PER_RUN: usize = 8;
/// Attachments being fetched at a time.
pub const DOWNLOADS_MAX: usize = 8;
/// Chunks of one attachment asked for at a time.
pub const FETCHES_MAX: usize = 8;
/// Correspondents that are told both heads after a start or a long time off line.
pub const GREETINGS_MAX: usize = 32;
/// Time off line after which correspondents are greeted, in milliseconds.
pub const GREETING_AFTER_MS: u64 = 6 * Millis::HOUR;
/// A correspondent is asked once in this time for the same of what was lost, in milliseconds.
const ASK_AGAIN_MS: u64 = Millis::DAY;
/// Most questions of the last day that are remembered; what finds no room is asked on another day.
const ASKED_MAX: usize = 4_096;
/// Answers to asks for what was lost that are on their way to one correspondent at a time.
const ASKS_UNDER_WAY_MAX: usize = 32;
/// Published events whose refusal by a relay can still be matched to a row.
const RECENT_MAX: usize = 4_096;

/// A publish without an outcome is tried again after this, in milliseconds.
const OUTCOME_WAIT_MS: u64 = 5 * Millis::MINUTE;
/// An event whose attachments wait for their turn is looked at again after this, in milliseconds.
const QUEUE_WAIT_MS: u64 = 5 * Millis::SECOND;
/// First wait for a receipt; doubles with every attempt.
const RECEIPT_WAIT_MS: u64 = Millis::MINUTE;
/// Longest wait for a receipt.
const RECEIPT_WAIT_MAX_MS: u64 = Millis::DAY;
/// First wait after a publish that failed; doubles with every attempt.
const RETRY_WAIT_MS: u64 = 2 * Millis::SECOND;
/// Longest wait after a publish that failed.
const RETRY_WAIT_MAX_MS: u64 = 5 * Millis::MINUTE;
/// How long the station rests after the disk was full.
const REST_MS: u64 = Millis::MINUTE;
/// A gap is reported when it has lasted this long; the wait grows tenfold up to a day.
const GAP_WAIT_MS: u64 = Millis::MINUTE;
/// First wait before an attachment that no relay had is asked for again; doubles up to ten minutes.
const FETCH_WAIT_MS: u64 = Millis::SECOND;
const FETCH_WAIT_MAX_MS: u64 = 10 * Millis::MINUTE;

/// Why a step failed. Nothing of it was recorded, or that is unknown: open the station again to find out.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event this station made is not acceptable: a bug, stopped before it was recorded.
    #[error("an event of this station breaks the rules of events")]
    Seal(#[from] EventError),
}

/// One office's station.
pub struct Node {
    store: Store,
    key: SigningKey,
    directory: Arc<Directory>,
    exchange: Exchange,
    nonces: Nonces,
    links: BTreeMap<RegionId, Link>,
    publications: BTreeMap<Publication, InFlight>,
    last_publication: u64,
    recent: VecDeque<(EventId, Vec<SentPlace>)>,
    uploads: BTreeMap<(RegionId, BlobHash), Upload>,
    /// Rows whose attachments found no room among the uploads: they are looked at again when one ends.
    crowded_out: BTreeMap<SentPlace, u32>,
    downloads: BTreeMap<BlobHash, Download>,
    /// Receipts to be sent once more because their event came again.
    repeats: BTreeSet<(Position, OfficeId)>,
    heads_due: BTreeMap<OfficeId, HeadDue>,
    /// What the next head to a correspondent asks it for: lost here, held there.
    asks: BTreeMap<OfficeId, Vec<Ask>>,
    /// When it was asked for what.
    asked: BTreeMap<(OfficeId, Ask), Millis>,
    daily_heads_at: Millis,
    next_due: Option<Millis>,
    /// The disk was full; see [`Node::rest`].
    resting_until: Millis,
    last_now: Millis,
}

#[derive(Default)]
struct Link {
    up: bool,
    /// When it went down; `None` before the first connection.
    down_at: Option<Millis>,
}

struct InFlight {
    relay: RegionId,
    rows: Vec<DueRow>,
}

struct Upload {
    blob: BlobRef,
    complete_at: Option<Millis>,
    waiting: Vec<(SentPlace, u32)>,
}

/// Where the attachments of an event are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum BlobsAt {
    /// All at the relay: the event may go.
    Relay,
    /// Not here: the event was given back, and its attachments are still on their way.
    Elsewhere,
    /// Being uploaded; the end of the upload calls.
    UnderWay,
    /// Waiting until another upload has ended.
    Queue,
}

struct Download {
    blob: BlobRef,
    sender: OfficeId,
    in_flight: BTreeSet<u32>,
    not_before: Millis,
    tries: u32,
}

struct HeadDue {
    at: Millis,
    wait_ms: u64,
}

fn owe(work: &mut Work, to: OfficeId, place: Place) {
    let owed = work.owed.entry(to).or_default();
    if !owed.contains(&place) {
        owed.push(place);
    }
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
        self.next()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// For an incarnation.
    fn branch(&mut self) -> u32 {
        let [a, b, c, d, ..] = self.next();
        u32::from_be_bytes([a, b, c, d])
    }
}

/// What one step gathers while it runs.
#[derive(Default)]
struct Work {
    effects: Vec<Effect>,
    touched: BTreeSet<OfficeId>,
    owed: BTreeMap<OfficeId, Vec<Place>>,
    told: Option<Incarnation>,
    anew: Vec<SentRow>,
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
        directory: Arc<Directory>,
        me: OfficeId,
        seed: [u8; 32],
        now: Millis,
    ) -> Result<Self, StoreError> {
        store.claim(me)?;
        let exchange = store.load_exchange(me)?;
        let mut node = Self {
            store,
            key,
            directory,
            exchange,
            nonces: Nonces { seed, used: 0 },
            links: BTreeMap::new(),
            publications: BTreeMap::new(),
            last_publication: 0,
            recent: VecDeque::new(),
            uploads: BTreeMap::new(),
            crowded_out: BTreeMap::new(),
            downloads: BTreeMap::new(),
            repeats: BTreeSet::new(),
            heads_due: BTreeMap::new(),
            asks: BTreeMap::new(),
            asked: BTreeMap::new(),
            daily_heads_at: Millis(0),
            next_due: None,
            resting_until: Millis(0),
            last_now: now,
        };
        node.load_volatile(now)?;
        Ok(node)
    }

    fn load_volatile(&mut self, now: Millis) -> Result<(), StoreError> {
        for (office, peer) in self.exchange.peers() {
            if peer.channels.values().any(schema::exchange::Channel::has_gap) {
                let due = HeadDue { at: now.plus(GAP_WAIT_MS), wait_ms: GAP_WAIT_MS };
                self.heads_due.insert(*office, due);
            }
        }
        self.mend_schedule(now)?;
        self.next_due = self.store.next_due()?;
        self.fill_downloads(now)
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
        if !self.links.values().any(|link| link.up) {
            return None;
        }
        let window_open = self.publications.len() < PUBLICATIONS_MAX;
        let outbox = self.next_due.filter(|_| window_open);
        let heads = self.heads_due.values().map(|due| due.at).min();
        let downloads =
            self.downloads.values().filter(|d| d.in_flight.is_empty()).map(|d| d.not_before).min();
        let daily = (!self.exchange.peers().is_empty()).then_some(self.daily_heads_at);
        [outbox, heads, downloads, daily].into_iter().flatten().min().map(|at| at.max(self.resting_until))
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
        let done = self.run(inputs, now, &mut work).and_then(|()| Ok(self.store.commit()?));
        match done {
            Ok(()) => Ok(work.effects),
            Err(error) => {
                self.store.rollback();
                // Memory may be ahead of the tables now; the tables are the truth.
                self.exchange = self.store.load_exchange(self.exchange.me())?;
                self.publications.clear();
                // What this step asked for was not asked.
                self.asks.clear();
                self.asked.clear();
                self.uploads.clear();
                self.crowded_out.clear();
                self.downloads.clear();
                self.load_volatile(now)?;
                match error {
                    StepError::Store(error) if error.is_disk_full() => {
                        tracing::error!(%error, "the disk is full: nothing was recorded, reading goes on");
                        let until = now.plus(REST_MS);
                        self.rest(until);
                        let refuse = |ticket| Effect::Answer { ticket, answer: Answer::DiskFull };
                        Ok(tickets.into_iter().map(refuse).chain([Effect::Rest { until }]).collect())
                    }
                    error => Err(error),
                }
            }
        }
    }

    /// Times in the future were set by a clock that was wrong: nothing may wait for them.
    fn clock_went_back(&mut self, now: Millis) -> Result<(), StepError> {
        self.mend_schedule(now)?;
        for due in self.heads_due.values_mut() {
            due.at = due.at.min(now.plus(due.wait_ms));
        }
        for download in self.downloads.values_mut() {
            download.not_before = now;
        }
        self.daily_heads_at = now;
        self.resting_until = now;
        self.next_due = Some(now);
        Ok(())
    }

    /// Nothing is scheduled later than the longest wait, unless by a clock that was wrong.
    fn mend_schedule(&self, now: Millis) -> Result<(), StoreError> {
        match self.store.hasten_after(now.plus(2 * RECEIPT_WAIT_MAX_MS), now) {
            // It will be mended when there is room again.
            Err(error) if error.is_disk_full() => Ok(()),
            result => result,
        }
    }

    /// Nothing can be recorded before `until`: there is no use in trying at the speed of the line.
    fn rest(&mut self, until: Millis) {
        self.resting_until = until;
        for download in self.downloads.values_mut() {
            download.not_before = until;
        }
    }

    fn run(&mut self, inputs: Vec<Input>, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let changes = self.store.changes();
        for input in inputs {
            self.take(input, now, work)?;
        }
        for (office, places) in std::mem::take(&mut work.owed) {
            for draft in self.exchange.receipts(&self.store, office, &places)? {
                self.record(&draft, now, work)?;
            }
        }
        self.send_anew(now, work)?;
        if let Some(told) = work.told {
            self.raise(told, RestoreReason::Correspondent, now, work)?;
        }
        self.send_heads(now, work)?;
        self.publish(changes, now, work)?;
        self.fetch(now, work)?;
        self.store.save_exchange(&self.exchange, &work.touched)?;
        if self.store.changes() != changes || self.next_due.is_some_and(|due| due <= now) {
            self.next_due = self.store.next_due()?;
        }
        Ok(())
    }

    fn take(&mut self, input: Input, now: Millis, work: &mut Work) -> Result<(), StepError> {
        match input {
            Input::Command { ticket, command } => {
                let answer = self.command(&command, now, work)?;
                work.effects.push(Effect::Answer { ticket, answer });
            }
            Input::Connected(relay) => self.connected(relay, now)?,
            Input::Disconnected(relay) => self.disconnected(&relay, now)?,
            Input::Published { publication, outcome } => self.published(publication, &outcome, now, work)?,
            Input::Delivered { relay, delivery, opened } => {
                self.deliver(relay, delivery, opened, now, work)?;
            }
            Input::Imported { ticket, opened } => {
                let summary = self.accept(opened, "courier", now, work)?;
                work.effects.push(Effect::Answer { ticket, answer: Answer::Imported(summary) });
            }
            Input::Chunk { blob, index, bytes, relay } => {
                self.chunk(blob, index, bytes, relay.as_ref(), now, work)?;
            }
            Input::BlobComplete { ticket, blob } => {
                let kept = self.store.has_blob(&blob.hash)?;
                let answer = if kept { Answer::BlobKept(blob) } else { Answer::BlobMismatch(blob) };
                work.effects.push(Effect::Answer { ticket, answer });
            }
            Input::BlobMissing { relay, blob, chunks } => self.upload(&relay, blob, chunks, now, work)?,
            Input::Directory(directory) => self.directory = directory,
            Input::Tick => {}
        }
        Ok(())
    }

    fn command(&mut self, command: &Command, now: Millis, work: &mut Work) -> Result<Answer, StepError> {
        let Command::Dispatch { blobs, dispatch, .. } = command;
        for blob in blobs {
            if !self.store.has_blob(&blob.hash)? {
                return Ok(Answer::Refused(Refusal::AttachmentMissing { hash: blob.hash }));
            }
        }
        let drafts = match exchange::decide(&self.exchange, &self.store, &self.directory, command)? {
            Ok(drafts) => drafts,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        let mut recipients = 0;
        for draft in &drafts {
            match self.record(draft, now, work) {
                Ok(()) => recipients += draft.to.len(),
                // The first draft has the most recipients: when it fits, all do, and nothing was recorded.
                Err(StepError::Seal(EventError::TooLarge { .. })) if recipients == 0 => {
                    return Ok(Answer::Refused(Refusal::TooLarge));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Answer::Dispatched { document: dispatch.document, recipients })
    }

    /// Seals a draft as the next event of the chain, and applies it.
    fn record(&mut self, draft: &Draft, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let event = seal(self.exchange.next_event(draft, now), &self.key)?;
        let found = event.bytes().len();
        // A correspondent must be able to give it back one day, inside an event of its own.
        if draft.kind == Kind::Dispatch && found > RETURNED_BYTES_MAX {
            return Err(EventError::TooLarge { found }.into());
        }
        let position = self.store.append(Class::Own, &event, now)?;
        work.touched.extend(&draft.to);
        self.apply(Class::Own, position, &event, now, work)
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
                Change::Answered { from, .. } | Change::Presented { from, .. } => {
                    work.touched.insert(*from);
                }
                _ => {}
            }
        }
        if new_incarnation {
            work.touched.extend(self.exchange.peers().keys());
        }
        Ok(())
    }

    fn deliver(
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

    fn accept(
        &mut self,
        opened: Opened,
        source: &str,
        now: Millis,
        work: &mut Work,
    ) -> Result<ImportSummary, StepError> {
        let mut summary = ImportSummary::default();
        for refused in &opened.refused {
            tracing::warn!(source, reason = refused.reason, "item refused");
            self.store.quarantine(source, &refused.reason, &refused.bytes, now)?;
            summary.refused += 1;
        }
        for arrival in opened.events {
            let event = arrival.event;
            match self.exchange.receive(&self.store, event.event(), event.id())? {
                Reception::New => {
                    self.receive_new(&event, now, work)?;
                    summary.new += 1;
                }
                Reception::Repeat => {
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

    fn receive_new(&mut self, event: &VerifiedEvent, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let fields = event.event();
        let from = fields.office;
        let position = self.store.append(Class::Received, event, now)?;
        work.touched.insert(from);
        self.apply(Class::Received, position, event, now, work)?;
        let body = Body::read(event.version(), fields).unwrap_or(Body::Unsupported);
        let told = self.exchange.went_backwards(&self.store, &from, &body)?;
        work.told = work.told.max(told);
        match &body {
            Body::Head(heads) => {
                work.anew.extend(self.exchange.to_send_anew(&self.store, &from, heads)?);
                let asks = self.exchange.lost(&self.store, &from, heads)?;
                self.ask_back(from, asks, now);
                self.give_back(from, fields.incarnation, heads, now, work)?;
            }
            Body::Restored(restored) => {
                work.anew.extend(self.exchange.to_send_anew(&self.store, &from, &restored.heads)?);
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
        if fields.kind.wants_receipt()
            && let Some(counter) = fields.counter_for(&self.exchange.me())
        {
            let place = Place { incarnation: fields.incarnation, counter, id: event.id() };
            if self.await_blobs(&from, &place, &fields.blobs, now)? {
                work.owed.entry(from).or_default().push(place);
            }
        }
        let beyond = self.exchange.beyond(&from, fields.incarnation);
        let contradicted = self.exchange.contradicted(&self.store, &from, &body)?;
        for place in beyond.into_iter().chain(contradicted) {
            self.tell_what_is_held(from, place, now, work)?;
        }
        let channel = self.exchange.channel(&from, fields.incarnation);
        if channel.is_some_and(schema::exchange::Channel::has_gap) {
            self.head_due(from, now.plus(GAP_WAIT_MS), GAP_WAIT_MS);
        }
        Ok(())
    }

    /// Asks a correspondent for what it holds of this station's earlier lives and the station has lost.
    fn ask_back(&mut self, from: OfficeId, asks: Vec<Ask>, now: Millis) {
        let recent = |at: &Millis| now.0.abs_diff(at.0) < ASK_AGAIN_MS;
        self.asked.retain(|_, at| recent(at));
        let waiting = self.asks.entry(from).or_default();
        for ask in asks {
            // A question may get lost, and the answer may be that nothing is there: once a day is enough.
            let new = !waiting.contains(&ask) && !self.asked.contains_key(&(from, ask));
            let room = waiting.len() < ASKS_MAX && self.asked.len() < ASKED_MAX;
            if new && room && !mutant::is(Mutant::NoAskingBack) {
                self.asked.insert((from, ask), now);
                waiting.push(ask);
            }
        }
        if !waiting.is_empty() {
            self.head_due(from, now, GAP_WAIT_MS);
        }
    }

    /// Gives a correspondent back what it asks for of its own earlier lives.
    fn give_back(
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
                Ok((bytes, read.map_err(damaged)?.event.blobs))
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

    /// Takes back what this station had lost. Each event carries the station's own signature; the word of whoever
    /// brings it is not needed.
    fn regain(
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
        let verifier = Verifier::for_office(Arc::clone(&self.directory), &self.exchange.me());
        for bytes in &returned.events {
            // The verifier knows this office's keys and no others.
            let verified = UnverifiedEvent::parse(bytes).map_err(|error| error.to_string());
            let verified =
                verified.and_then(|event| verifier.verify(event).map_err(|error| error.to_string()));
            let event = match verified {
                Ok(event) => event,
                Err(reason) => {
                    tracing::warn!(%from, reason, "what was given back is not an event of this station");
                    self.store.quarantine(&from.to_string(), &reason, bytes, now)?;
                    continue;
                }
            };
            if event.event().incarnation < self.exchange.incarnation() && !self.store.knows_own(&event)? {
                let position = self.store.append(Class::Regained, &event, now)?;
                work.touched.extend(event.event().to.iter().map(|to| to.office));
                self.apply(Class::Regained, position, &event, now, work)?;
                for to in &event.event().to {
                    let place = (event.event().incarnation, to.counter);
                    let early = self.store.early_receipts(&to.office, place.0, place.1)?;
                    let held: Vec<Place> = early.into_iter().map(|(place, _)| place).collect();
                    work.anew.extend(self.exchange.displaced(&self.store, &to.office, &held)?);
                }
            }
        }
        Ok(())
    }

    /// Whether all attachments are here; otherwise the event waits for those that are not.
    fn await_blobs(
        &mut self,
        from: &OfficeId,
        place: &Place,
        blobs: &[BlobRef],
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut complete = true;
        if mutant::is(Mutant::ReceiptBeforeAttachments) {
            return Ok(complete);
        }
        for blob in blobs {
            if !self.store.has_blob(&blob.hash)? {
                self.store.await_blob(blob, from, place)?;
                self.start_download(*blob, *from, now);
                complete = false;
            }
        }
        Ok(complete)
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
                self.repeats.insert((receipt, fields.office));
            }
            Some(_) => owe(work, fields.office, row.place),
            // A head or a receipt wants none; to an event that contradicts it, its receipt is the answer.
            None if !row.kind.wants_receipt() => owe(work, fields.office, row.place),
            None => {
                for blob in blobs {
                    if !self.store.has_blob(&blob.hash)? {
                        self.start_download(*blob, fields.office, now);
                        if let Some(download) = self.downloads.get_mut(&blob.hash) {
                            download.not_before = download.not_before.min(now);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn refused_by_relay(
        &mut self,
        relay: &RegionId,
        id: Option<EventId>,
        reason: &str,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        const REASON_CHARS_MAX: usize = 500;
        tracing::warn!(%relay, event = ?id, reason, "relay refused an event");
        let found = self.recent.iter().position(|(recent, _)| Some(*recent) == id);
        let Some((_, rows)) = found.and_then(|index| self.recent.remove(index)) else {
            return Ok(());
        };
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect();
        let code = StatusCode::RefusedByRelay;
        for draft in self.exchange.status_drafts(code, &rows, Some(relay), Some(&reason)) {
            self.record(&draft, now, work)?;
        }
        Ok(())
    }

    /// Starts a new incarnation: tells every correspondent, and sends again what has no receipt.
    fn raise(
        &mut self,
        told: Incarnation,
        reason: RestoreReason,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        if told < self.exchange.incarnation() {
            return Ok(());
        }
        // The tool is the person who must decide.
        if reason != RestoreReason::Tool && !self.exchange.may_raise(now) {
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

    /// Records an event's content again, as a new event of the current incarnation.
    fn dispatch_again(
        &mut self,
        position: Position,
        to: Vec<OfficeId>,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let bytes = self.store.bytes_at(position)?;
        let event = RecordedEvent::read(&bytes)?.event;
        let draft = Draft {
            incarnation: self.exchange.incarnation(),
            kind: event.kind,
            urgency: event.urgency,
            to,
            blobs: event.blobs,
            body: event.body,
        };
        self.record(&draft, now, work)
    }

    /// Sends documents again that a correspondent once receipted and does not hold any more under that event.
    fn send_anew(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
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
        for draft in self.exchange.status_drafts(StatusCode::SentAnew, &places, None, None) {
            self.record(&draft, now, work)?;
        }
        for row in rows.into_iter().filter(SentRow::is_said_again) {
            self.dispatch_again(row.position, vec![row.to], now, work)?;
        }
        Ok(())
    }

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
        self.next_due = self.store.next_due()?;
        Ok(())
    }

    fn connected(&mut self, relay: RegionId, now: Millis) -> Result<(), StepError> {
        let link = self.links.entry(relay).or_default();
        let long_away = link.down_at.is_none_or(|at| now.since(at) >= GREETING_AFTER_MS);
        link.up = true;
        // Backing off was for a line that was down; it is up.
        self.store.hasten(None, now)?;
        for download in self.downloads.values_mut() {
            download.not_before = now;
            download.tries = 0;
        }
        if long_away {
            let mut recent: Vec<_> =
                self.exchange.peers().iter().map(|(office, peer)| (peer.heard, *office)).collect();
            recent.sort_unstable_by(|a, b| b.cmp(a));
            for (_, office) in recent.into_iter().take(GREETINGS_MAX) {
                self.head_due(office, now, GAP_WAIT_MS);
            }
        }
        Ok(())
    }

    fn disconnected(&mut self, relay: &RegionId, now: Millis) -> Result<(), StepError> {
        let link = self.links.entry(relay.clone()).or_default();
        if link.up {
            link.down_at = Some(now);
        }
        link.up = false;
        let lost: Vec<Publication> =
            self.publications.iter().filter(|(_, f)| f.relay == *relay).map(|(p, _)| *p).collect();
        for publication in lost {
            // Unknown: they may have been stored. The next connection sends them again.
            if let Some(in_flight) = self.publications.remove(&publication) {
                for row in &in_flight.rows {
                    let wait = backoff(row, RETRY_WAIT_MS, RETRY_WAIT_MAX_MS);
                    self.store.schedule(&row.key(), now.plus(wait), row.attempts + 1)?;
                }
            }
        }
        self.abandon_uploads(relay, None, now)?;
        for download in self.downloads.values_mut() {
            download.in_flight.clear();
        }
        Ok(())
    }

    fn published(
        &mut self,
        publication: Publication,
        outcome: &PublishOutcome,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let Some(InFlight { relay, rows }) = self.publications.remove(&publication) else {
            return Ok(());
        };
        if let PublishOutcome::Refused(reason) = outcome {
            tracing::warn!(%relay, reason, "the relay's server refused a publish");
        }
        let stored = *outcome == PublishOutcome::Stored;
        let (first_ms, longest_ms) =
            if stored { (RECEIPT_WAIT_MS, RECEIPT_WAIT_MAX_MS) } else { (RETRY_WAIT_MS, RETRY_WAIT_MAX_MS) };
        for row in &rows {
            let due_at = now.plus(backoff(row, first_ms, longest_ms));
            self.store.schedule(&row.key(), due_at, row.attempts + 1)?;
        }
        if stored {
            let left: Vec<SentPlace> = rows.iter().filter(|row| !row.left).map(DueRow::key).collect();
            for draft in self.exchange.status_drafts(StatusCode::Left, &left, Some(&relay), None) {
                self.record(&draft, now, work)?;
            }
        }
        Ok(())
    }

    fn head_due(&mut self, office: OfficeId, at: Millis, wait_ms: u64) {
        let due = self.heads_due.entry(office).or_insert(HeadDue { at, wait_ms });
        due.at = due.at.min(at);
    }

    fn send_heads(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        if !self.links.values().any(|link| link.up) || mutant::is(Mutant::NoHeads) {
            return Ok(());
        }
        if now >= self.daily_heads_at {
            let mut next = now.plus(Millis::DAY);
            let peers: Vec<_> = self.exchange.peers().iter().map(|(o, peer)| (*o, peer.told_at)).collect();
            for (office, told_at) in peers {
                let at = told_at.filter(|told| *told <= now).map_or(now, |told| told.plus(Millis::DAY));
                if at <= now {
                    self.head_due(office, now, GAP_WAIT_MS);
                } else {
                    next = next.min(at);
                }
            }
            self.daily_heads_at = next;
        }
        let due: Vec<OfficeId> =
            self.heads_due.iter().filter(|(_, due)| due.at <= now).map(|(office, _)| *office).collect();
        for office in due.into_iter().take(GREETINGS_MAX) {
            let Some(due) = self.heads_due.remove(&office) else {
                continue;
            };
            let told_at = self.exchange.peer(&office).and_then(|peer| peer.told_at);
            // Two stations that contradict each other must not do so at the speed of the line.
            if let Some(told) = told_at.filter(|told| now.0.abs_diff(told.0) < GAP_WAIT_MS) {
                self.head_due(office, told.plus(GAP_WAIT_MS), due.wait_ms);
                continue;
            }
            let asks = self.asks.remove(&office).unwrap_or_default();
            let draft = self.exchange.head_draft(&self.store, office, asks)?;
            self.record(&draft, now, work)?;
            let gap = self
                .exchange
                .peer(&office)
                .is_some_and(|peer| peer.channels.values().any(schema::exchange::Channel::has_gap));
            if gap {
                let wait_ms = (due.wait_ms * 10).min(Millis::DAY);
                self.head_due(office, now.plus(wait_ms), wait_ms);
            }
        }
        Ok(())
    }

    fn publish(&mut self, changes: u64, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let up: Vec<RegionId> = self.relays_up();
        if up.is_empty() {
            return Ok(());
        }
        self.publish_repeats(&up, work)?;
        let unchanged = self.store.changes() == changes;
        let nothing_due = unchanged && self.next_due.is_none_or(|due| due > now);
        if nothing_due {
            return Ok(());
        }
        for urgency in Urgency::MOST_URGENT_FIRST {
            loop {
                let free = (PUBLICATIONS_MAX * up.len()).saturating_sub(self.publications.len());
                if free == 0 {
                    return Ok(());
                }
                let limit = free.min(4) * PACK_EVENTS_MAX;
                let due = self.store.due(urgency, now, limit)?;
                let more = due.len() == limit;
                self.publish_due(due, &up, urgency, now, work)?;
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Home relays whose link is up, in the directory's order of preference.
    fn relays_up(&self) -> Vec<RegionId> {
        let home = self.directory.home_regions(&self.exchange.me());
        home.iter().filter(|region| self.links.get(region).is_some_and(|link| link.up)).cloned().collect()
    }

    fn publish_repeats(&mut self, up: &[RegionId], work: &mut Work) -> Result<(), StepError> {
        let mut items = Vec::new();
        for (position, to) in std::mem::take(&mut self.repeats) {
            let bytes = self.store.bytes_at(position)?;
            items.push(PackItem { attempt: 1, event: bytes.into(), only: vec![to] });
        }
        for pack in pack::packs(items) {
            self.emit(up[0].clone(), pack, Vec::new(), work);
        }
        Ok(())
    }

    fn publish_due(
        &mut self,
        due: Vec<DueRow>,
        up: &[RegionId],
        urgency: Urgency,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let mut events: Vec<(Position, Vec<DueRow>)> = Vec::new();
        for row in due {
            match events.last_mut().filter(|(position, _)| *position == row.position) {
                Some((_, rows)) => rows.push(row),
                None => events.push((row.position, vec![row])),
            }
        }
        let mut per_relay: BTreeMap<RegionId, Vec<(PackItem, Vec<DueRow>)>> = BTreeMap::new();
        for (position, rows) in events {
            let attempt = rows.iter().map(|row| row.attempts).max().unwrap_or(0);
            let relay = &up[attempt as usize % up.len()];
            let bytes = self.store.bytes_at(position)?;
            let event = RecordedEvent::read(&bytes)?.event;
            let wait_ms = match self.blobs_at(relay, &event.blobs, &rows, urgency, now, work)? {
                BlobsAt::Relay => 0,
                BlobsAt::Elsewhere => OUTCOME_WAIT_MS,
                BlobsAt::UnderWay => OUTCOME_WAIT_MS,
                BlobsAt::Queue => QUEUE_WAIT_MS,
            };
            if wait_ms > 0 {
                for row in &rows {
                    // Not an attempt yet: the attachments go first.
                    self.store.schedule(&row.key(), now.plus(wait_ms), row.attempts)?;
                }
                continue;
            }
            let all = rows.len() == event.to.len();
            let only = if all { Vec::new() } else { rows.iter().map(|row| row.to).collect() };
            let item = PackItem { attempt, event: bytes.into(), only };
            per_relay.entry(relay.clone()).or_default().push((item, rows));
        }
        for (relay, items) in per_relay {
            let (items, rows): (Vec<_>, Vec<_>) = items.into_iter().unzip();
            let mut rows = rows.into_iter();
            for pack in pack::packs(items) {
                let pack_rows: Vec<Vec<DueRow>> = rows.by_ref().take(pack.len()).collect();
                for row in pack_rows.iter().flatten() {
                    self.store.schedule(&row.key(), now.plus(OUTCOME_WAIT_MS), row.attempts)?;
                }
                self.emit(relay.clone(), pack, pack_rows, work);
            }
        }
        Ok(())
    }

    fn emit(&mut self, relay: RegionId, pack: Vec<PackItem>, rows: Vec<Vec<DueRow>>, work: &mut Work) {
        self.last_publication += 1;
        let publication = Publication(self.last_publication);
        for rows in &rows {
            if let Some(first) = rows.first() {
                self.recent.push_back((first.place.id, rows.iter().map(DueRow::key).collect()));
            }
        }
        while self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        let message = Bytes::from(Message::Pack(pack).encode());
        let message_id = self.nonces.message_id();
        work.effects.push(Effect::Publish { relay: relay.clone(), publication, message_id, message });
        let rows: Vec<DueRow> = rows.into_iter().flatten().collect();
        if !rows.is_empty() {
            self.publications.insert(publication, InFlight { relay, rows });
        }
    }

    /// Where the attachments are; starts the upload of those the relay may lack.
    fn blobs_at(
        &mut self,
        relay: &RegionId,
        blobs: &[BlobRef],
        rows: &[DueRow],
        urgency: Urgency,
        now: Millis,
        work: &mut Work,
    ) -> Result<BlobsAt, StoreError> {
        /// A relay that had an attachment this long ago is asked again before the event is sent again.
        const FRESH_MS: u64 = 30 * Millis::SECOND;
        let mut found = BlobsAt::Relay;
        for blob in blobs {
            if !self.store.has_blob(&blob.hash)? {
                return Ok(BlobsAt::Elsewhere);
            }
        }
        for blob in blobs {
            let key = (relay.clone(), blob.hash);
            let running =
                self.uploads.iter().filter(|((r, _), u)| r == relay && u.complete_at.is_none()).count();
            let room = running < UPLOADS_MAX + usize::from(urgency.overtakes());
            let waiting = rows.iter().map(|row| (row.key(), row.attempts));
            match self.uploads.get_mut(&key) {
                Some(upload) if upload.complete_at.is_some_and(|at| now.since(at) < FRESH_MS) => continue,
                Some(upload) if upload.complete_at.is_none() => {
                    upload.waiting.extend(waiting);
                    found = found.max(BlobsAt::UnderWay);
                }
                _ if room => {
                    let waiting = waiting.collect();
                    self.uploads.insert(key, Upload { blob: *blob, complete_at: None, waiting });
                    work.effects.push(Effect::OfferBlob { relay: relay.clone(), blob: *blob });
                    found = found.max(BlobsAt::UnderWay);
                }
                _ => {
                    // Too many to remember come back by themselves, later.
                    if self.crowded_out.len() < RECENT_MAX {
                        self.crowded_out.extend(waiting);
                    }
                    found = BlobsAt::Queue;
                }
            }
        }
        Ok(found)
    }

    /// Uploads that will not be answered any more: what waited for them is looked at again soon.
    fn abandon_uploads(
        &mut self,
        relay: &RegionId,
        blob: Option<&BlobHash>,
        now: Millis,
    ) -> Result<(), StepError> {
        let abandoned = self
            .uploads
            .extract_if(.., |(region, hash), _| region == relay && blob.is_none_or(|blob| blob == hash))
            .flat_map(|(_, upload)| upload.waiting);
        for (row, attempts) in abandoned.collect::<Vec<_>>() {
            self.store.schedule(&row, now.plus(QUEUE_WAIT_MS), attempts)?;
        }
        self.readmit(now)
    }

    /// An upload has ended: what found no room may try again.
    fn readmit(&mut self, now: Millis) -> Result<(), StepError> {
        for (row, attempts) in std::mem::take(&mut self.crowded_out) {
            self.store.schedule(&row, now, attempts)?;
        }
        self.next_due = Some(now);
        Ok(())
    }

    fn upload(
        &mut self,
        relay: &RegionId,
        blob: BlobRef,
        chunks: Option<Vec<u32>>,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        let key = (relay.clone(), blob.hash);
        let Some(upload) = self.uploads.get_mut(&key) else {
            return Ok(());
        };
        match chunks {
            Some(chunks) if chunks.is_empty() => {
                upload.complete_at = Some(now);
                for (row, attempts) in std::mem::take(&mut upload.waiting) {
                    self.store.schedule(&row, now, attempts)?;
                }
                self.readmit(now)?;
                // Finished ones are remembered only as long as they are fresh.
                let cutoff = Millis::MINUTE;
                self.uploads.retain(|_, upload| upload.complete_at.is_none_or(|at| now.since(at) < cutoff));
            }
            Some(chunks) => {
                let blob = upload.blob;
                for index in chunks.into_iter().take(CHUNKS_PER_RUN) {
                    let Some(bytes) = self.store.chunk(&blob.hash, index)? else {
                        continue;
                    };
                    let (relay, bytes) = (relay.clone(), Bytes::from(bytes));
                    work.effects.push(Effect::StoreChunk { relay, blob, index, bytes });
                }
            }
            None => self.abandon_uploads(relay, Some(&blob.hash), now)?,
        }
        Ok(())
    }

    fn start_download(&mut self, blob: BlobRef, sender: OfficeId, now: Millis) {
        if self.downloads.len() < DOWNLOADS_MAX && blob.length <= BLOB_BYTES_MAX {
            let fresh = Download { blob, sender, in_flight: BTreeSet::new(), not_before: now, tries: 0 };
            self.downloads.entry(blob.hash).or_insert(fresh);
        }
    }

    fn fill_downloads(&mut self, now: Millis) -> Result<(), StoreError> {
        if self.downloads.len() < DOWNLOADS_MAX {
            for (blob, sender) in self.store.awaited_blobs(DOWNLOADS_MAX)? {
                self.start_download(blob, sender, now);
            }
        }
        Ok(())
    }

    fn chunk(
        &mut self,
        blob: BlobRef,
        index: u32,
        bytes: Option<Bytes>,
        relay: Option<&RegionId>,
        now: Millis,
        work: &mut Work,
    ) -> Result<(), StepError> {
        use crate::store::BlobProgress;
        if let Some(download) = self.downloads.get_mut(&blob.hash) {
            download.in_flight.remove(&index);
            if bytes.is_none() {
                let wait = FETCH_WAIT_MS << download.tries.min(10);
                download.tries += 1;
                download.not_before = now.plus(wait.min(FETCH_WAIT_MAX_MS));
            }
        }
        let Some(bytes) = bytes else { return Ok(()) };
        if blob.chunk_length(index) != Some(bytes.len()) || blob.length > BLOB_BYTES_MAX {
            let source = relay.map_or("upload", RegionId::as_str);
            tracing::warn!(blob = %blob.hash, index, found = bytes.len(), source, "chunk of a wrong size refused");
            return Ok(());
        }
        match self.store.keep_chunk(&blob, index, &bytes)? {
            BlobProgress::Partial => {}
            BlobProgress::Complete => {
                self.downloads.remove(&blob.hash);
                for (from, place) in self.store.settle_awaited(&blob.hash)? {
                    let owed = work.owed.entry(from).or_default();
                    if !owed.contains(&place) {
                        owed.push(place);
                    }
                }
                self.fill_downloads(now)?;
            }
            BlobProgress::Mismatch => {
                tracing::warn!(blob = %blob.hash, "attachment does not have its hash: dropped, asked for again");
                if let Some(download) = self.downloads.get_mut(&blob.hash) {
                    download.tries += 1;
                    download.in_flight.clear();
                }
            }
        }
        Ok(())
    }

    fn fetch(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        let up = self.relays_up();
        if up.is_empty() {
            return Ok(());
        }
        for download in self.downloads.values_mut() {
            if download.not_before > now || download.in_flight.len() >= FETCHES_MAX {
                continue;
            }
            let relay = &up[download.tries as usize % up.len()];
            for index in self.store.missing_chunks(&download.blob, 2 * FETCHES_MAX)? {
                if download.in_flight.len() < FETCHES_MAX && download.in_flight.insert(index) {
                    let (relay, blob, sender) = (relay.clone(), download.blob, download.sender);
                    work.effects.push(Effect::FetchChunk { relay, blob, index, sender });
                }
            }
        }
        Ok(())
    }
}

/// The wait before the next attempt: doubles, bounded, spread by the event's own id so that a whole province does
/// not come back in the same second.
fn backoff(row: &DueRow, first_ms: u64, longest_ms: u64) -> u64 {
    let wait = (first_ms << row.attempts.min(20)).min(longest_ms);
    let spread = u64::from(row.place.id.as_bytes()[row.attempts as usize % 32]);
    wait - wait / 4 + wait * spread / 512
}

fn ticket_of(input: &Input) -> Option<Ticket> {
    match input {
        Input::Command { ticket, .. }
        | Input::Imported { ticket, .. }
        | Input::BlobComplete { ticket, .. } => Some(*ticket),
        _ => None,
    }
}
