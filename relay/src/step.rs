//! Messages in, effects out. Start reading here.
//!
//! [`Relay::step`] takes a batch of messages whose signatures were checked by [`schema::inbound::open`], and
//! says what is to be stored where. It is synchronous and deterministic and holds nothing that must survive:
//! a relay is a cache, and what it forgets the senders' outboxes repeat.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use schema::directory::Directory;
use schema::id::{EventId, Incarnation, KeyId, OfficeId, RegionId, Seq, hex};
use schema::inbound::{Arrival, Opened};
use schema::pack::{MESSAGE_BYTES_MAX, Message, MessageError, Notice, PACK_EVENTS_MAX, PackItem, packs};
use schema::registry::{ItemId, Registry};
use schema::stamp::{STAMPS_MAX, Stamp, stamp};
use schema::time::Millis;
use sha2::{Digest, Sha256};

use crate::admission::{Admitted, Meters, Quota, Reason, Uploader, admit};
use crate::positions::{Positions, Standing};
use crate::route;

/// Names one message between its input and its acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Token(pub u64);

/// What reaches the relay.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message that an office published as itself.
    FromOffice {
        /// The office, by its NATS login.
        office: OfficeId,
        /// Names the message.
        token: Token,
        /// What it held.
        opened: Result<Opened, MessageError>,
        /// The message as received.
        bytes: Bytes,
    },
    /// A message that a peer relay pushed.
    FromPeer {
        /// The peer's region, by its NATS login.
        region: RegionId,
        /// Names the message.
        token: Token,
        /// What it held.
        opened: Result<Opened, MessageError>,
        /// The message as received.
        bytes: Bytes,
    },
    /// A pack from a courier file. Anybody's events: the signatures say whose they are.
    FromCourier {
        /// Names the message.
        token: Token,
        /// What it held.
        opened: Result<Opened, MessageError>,
        /// The message as received.
        bytes: Bytes,
    },
    /// The peer regions whose servers answer now.
    Links(BTreeSet<RegionId>),
    /// Something newer about everybody was accepted.
    Registry(Arc<Registry>),
}

/// What is to be done, in this order. An [`Effect::Ack`] only after everything before it succeeded: at the
/// first failure the edge stops, acknowledges nothing, and the messages come again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Store in an office's mailbox.
    Deliver {
        /// Whose.
        office: OfficeId,
        /// An encoded [`Message::Pack`].
        message: Bytes,
        /// For the `Nats-Msg-Id` header.
        message_id: String,
    },
    /// Store among what waits for a peer region.
    Forward {
        /// The region it is for, not the next hop.
        region: RegionId,
        /// An encoded [`Message::Forward`].
        message: Bytes,
        /// For the `Nats-Msg-Id` header.
        message_id: String,
    },
    /// Keep what is not accepted, with the reason.
    Quarantine {
        /// Who brought it.
        uploader: Uploader,
        /// Why, as a token.
        reason: Reason,
        /// Why, in words.
        detail: String,
        /// The bytes as received.
        bytes: Bytes,
    },
    /// Tell an office what was not taken: store in its mailbox. Unsigned, shown only; its loss loses nothing.
    Notify {
        /// Whom.
        office: OfficeId,
        /// An encoded [`Message::Notices`].
        message: Bytes,
        /// For the `Nats-Msg-Id` header.
        message_id: String,
    },
    /// Tell an operator.
    Alarm(Alarm),
    /// Something in the message is a state secret: overwrite it where it lies.
    Erase {
        /// Which.
        token: Token,
    },
    /// The message is taken over, or refused for good: do not hand it out again.
    Ack {
        /// Which.
        token: Token,
    },
}

/// What an operator must know.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Alarm {
    /// Two histories under one key: a cloned station, a restored backup, or a stolen key.
    #[error(
        "office `{office}` signed two histories: at incarnation {incarnation}, position {seq} \
         came event `{other}` against `{known}`; both were delivered; \
         ask the office whether its station was copied or restored"
    )]
    Fork {
        /// Whose key.
        office: OfficeId,
        /// In which incarnation.
        incarnation: Incarnation,
        /// At which position.
        seq: Seq,
        /// The event that was there.
        known: EventId,
        /// The one that contradicts it.
        other: EventId,
    },
    /// A second key of an office that nobody announced: nothing is admitted under it.
    #[error(
        "a second key `{key}` is certified for office `{office}`; the key before it neither announced it nor is revoked: \
         nothing is admitted under it; ask the office and its certificate authority"
    )]
    ContestedKey {
        /// Whose.
        office: OfficeId,
        /// Which.
        key: KeyId,
    },
    /// An authority has issued a revocation list that contradicts what it had issued before.
    #[error(
        "the authority `{authority}` has issued a revocation list (item {list}) that contradicts another one of its own: \
         what any of them revokes is revoked; they are kept as evidence; tell the keeper of the root at once"
    )]
    ContradictingList {
        /// Which authority.
        authority: String,
        /// The list.
        list: ItemId,
    },
    /// A stream refuses: it is full, or the disk is.
    #[error(
        "no room for {events} events for {place}: {why}; they stay in their senders' outboxes; make room"
    )]
    NoRoom {
        /// Mailbox or region.
        place: String,
        /// How many events.
        events: usize,
        /// The server's words.
        why: String,
    },
}

/// Bounds of the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// What one office may bring.
    pub office: Quota,
    /// What one peer region may bring.
    pub peer: Quota,
}

impl Default for Limits {
    fn default() -> Self {
        // Ten times the busiest hour that the benches produce; a broken station stays below a disk's size.
        const GIB: u64 = 1024 * 1024 * 1024;
        Self {
            office: Quota { events_per_hour: 2_000_000, bytes_per_hour: 4 * GIB },
            peer: Quota { events_per_hour: 20_000_000, bytes_per_hour: 40 * GIB },
        }
    }
}

/// What the relay did since it started.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Events admitted, repetitions included.
    pub admitted: u64,
    /// Of them, those seen here before.
    pub repeated: u64,
    /// Copies put into mailboxes.
    pub delivered: u64,
    /// Copies put on the way to other regions.
    pub forwarded: u64,
    /// Events sent back because the uploader's hour was used up.
    pub over_quota: u64,
    /// Recipients that the directory does not know or that have no relay.
    pub unreachable: u64,
    /// What went into quarantine, by reason.
    pub quarantined: BTreeMap<Reason, u64>,
}

/// One region's decisions.
pub struct Relay {
    region: RegionId,
    registry: Arc<Registry>,
    stamp_key: SigningKey,
    links: BTreeSet<RegionId>,
    limits: Limits,
    /// Contested keys that were told; at most as many as offices have certificates.
    contested: BTreeSet<(OfficeId, KeyId)>,
    contradictions_told: usize,
    positions: Positions,
    meters: Meters,
    nonces: Nonces,
    tally: Tally,
}

impl Relay {
    /// A relay that remembers nothing yet. With `stamp_key` it signs when events were here; the directory names its
    /// public half. `seed` makes message ids unguessable: random in production, because whoever guesses an id can make
    /// the server drop the message as a duplicate; fixed in a simulation.
    pub fn new(
        region: RegionId,
        registry: Arc<Registry>,
        limits: Limits,
        stamp_key: SigningKey,
        seed: [u8; 32],
    ) -> Self {
        Self {
            region,
            registry,
            stamp_key,
            links: BTreeSet::new(),
            limits,
            contested: BTreeSet::new(),
            contradictions_told: 0,
            positions: Positions::default(),
            meters: Meters::default(),
            nonces: Nonces { seed, drawn: 0 },
            tally: Tally::default(),
        }
    }

    /// Its region.
    pub fn region(&self) -> &RegionId {
        &self.region
    }

    /// The directory it judges by.
    pub fn directory(&self) -> &Arc<Directory> {
        self.registry.directory()
    }

    /// The registry it judges by.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The memory of the chains.
    pub fn positions(&self) -> &Positions {
        &self.positions
    }

    /// What it did since it started.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Where to push a message that waits for region `to` and has passed `path`; `None`: wait.
    pub fn next_hop(&self, to: &RegionId, path: &[RegionId]) -> Option<RegionId> {
        route::next_hop(to, path, &self.links)
    }

    /// Decides about a batch. Events of one sender keep their order within a mailbox and within a path.
    pub fn step(&mut self, inputs: Vec<Input>, now: Millis) -> Vec<Effect> {
        let mut batch = Batch::default();
        for input in inputs {
            match input {
                Input::FromOffice { office, token, opened, bytes } => {
                    self.take(&Uploader::Office(office), token, opened, bytes, now, &mut batch);
                }
                Input::FromPeer { region, token, opened, bytes } => {
                    self.take(&Uploader::Region(region), token, opened, bytes, now, &mut batch);
                }
                Input::FromCourier { token, opened, bytes } => {
                    self.take(&Uploader::Courier, token, opened, bytes, now, &mut batch);
                }
                Input::Links(up) => {
                    self.links = up.into_iter().filter(|region| *region != self.region).collect();
                }
                Input::Registry(registry) => self.use_registry(registry, &mut batch),
            }
        }
        self.stamp(&mut batch, now);
        self.effects(batch)
    }

    fn use_registry(&mut self, registry: Arc<Registry>, batch: &mut Batch) {
        for (office, key) in registry.contested() {
            if self.contested.insert((office, key)) {
                batch.alarms.push(Alarm::ContestedKey { office, key });
            }
        }
        // They are never taken back: what was told of is at the front.
        let told = std::mem::replace(&mut self.contradictions_told, registry.contradictions().len());
        batch.alarms.extend(
            registry.contradictions().iter().skip(told).map(|found| Alarm::ContradictingList {
                authority: found.authority.clone(),
                list: found.list,
            }),
        );
        self.registry = registry;
    }

    /// Signs that the events which nobody has stamped yet were here by now.
    fn stamp(&self, batch: &mut Batch, now: Millis) {
        // The same event may have come twice at once, and once with a stamp.
        let ids = batch.unstamped.iter().filter(|id| !batch.stamps.contains_key(*id));
        let ids: Vec<EventId> = ids.copied().collect();
        let stamps = stamp(&self.region, now, &ids, &self.stamp_key);
        batch.stamps.extend(ids.into_iter().zip(stamps.into_iter().map(|stamp| vec![stamp])));
    }

    /// What follows when the server refused to store an effect for good (it answered, and the answer was no).
    /// A full mailbox or a peer that is down for weeks must not stop everybody else, so the senders are told
    /// and the rest goes on: the events stay in their outboxes. Not for time-outs: those may have been
    /// stored.
    pub fn refused(&mut self, effect: &Effect, why: &str) -> Vec<Effect> {
        let (message, place) = match effect {
            Effect::Deliver { office, message, .. } => (message, format!("the mailbox of office `{office}`")),
            Effect::Forward { region, message, .. } => (message, format!("region `{region}`")),
            Effect::Quarantine { .. }
            | Effect::Notify { .. }
            | Effect::Alarm(_)
            | Effect::Erase { .. }
            | Effect::Ack { .. } => return Vec::new(),
        };
        let (Ok(Message::Pack(items)) | Ok(Message::Forward { items, .. })) = Message::parse(message) else {
            return Vec::new();
        };
        let mut batch = Batch::default();
        for item in &items {
            if let Ok(event) = schema::event::RecordedEvent::read(&item.event) {
                let reason =
                    format!("no-room: no room for {place} at relay `{}`; kept by the sender", self.region);
                batch.notice(event.event.office, Some(event.id), reason);
            }
        }
        batch.alarms.push(Alarm::NoRoom { place, events: items.len(), why: why.to_owned() });
        self.effects(batch)
    }

    fn take(
        &mut self,
        uploader: &Uploader,
        token: Token,
        opened: Result<Opened, MessageError>,
        bytes: Bytes,
        now: Millis,
        batch: &mut Batch,
    ) {
        batch.acks.push(token);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => return batch.refuse(uploader, None, Reason::Malformed, error.to_string(), bytes),
        };
        // Where something in a message is secret, nothing of the message is kept; what else is in it goes its way.
        let bytes = if opened.has_secret() { batch.erase(token) } else { bytes };
        let journey = match self.journey(uploader, &opened) {
            Ok(journey) => journey,
            Err((reason, detail)) => return batch.refuse(uploader, None, reason, detail, bytes),
        };
        for refused in opened.refused {
            let reason = match (refused.is_secret, refused.id) {
                (true, _) => Reason::Secret,
                (false, Some(_)) => Reason::Unproven,
                (false, None) => Reason::Malformed,
            };
            batch.refuse(uploader, refused.id, reason, refused.reason.english, refused.bytes.into());
        }
        for arrival in &opened.events {
            self.take_event(uploader, &journey, arrival, now, batch);
        }
    }

    /// Where a message is in its travel, or why it does not belong here.
    fn journey(&self, uploader: &Uploader, opened: &Opened) -> Result<Journey, (Reason, String)> {
        if !opened.notices.is_empty() {
            return Err((Reason::WrongDoor, "notices go from relays to offices only".to_owned()));
        }
        match (uploader, &opened.forward) {
            (Uploader::Office(_) | Uploader::Courier, None) => {
                Ok(Journey { to: self.region.clone(), path: Vec::new(), first_leg: true })
            }
            (Uploader::Office(_) | Uploader::Courier, Some(_)) => {
                Err((Reason::WrongDoor, "only relays forward".to_owned()))
            }
            (Uploader::Region(region), None) => Err((
                Reason::WrongDoor,
                format!("relay `{region}` sent a message without destination and path"),
            )),
            (Uploader::Region(region), Some((to, path))) => {
                if path.last() != Some(region) {
                    let last = path.last().map_or("nobody", RegionId::as_str);
                    let detail = format!("relay `{region}` sent a message whose path ends at `{last}`");
                    return Err((Reason::WrongDoor, detail));
                }
                if *to != self.region && route::path_through(path, &self.region).is_none() {
                    let path: Vec<_> = path.iter().map(RegionId::as_str).collect();
                    let detail = format!("on its way to `{to}` it has passed {}", path.join(", "));
                    return Err((Reason::Loop, detail));
                }
                if *to != self.region && self.directory().region(to).is_none() {
                    let version = self.directory().version();
                    let detail = format!("region `{to}` is not in directory version {version}");
                    return Err((Reason::NoRecipient, detail));
                }
                Ok(Journey { to: to.clone(), path: path.clone(), first_leg: false })
            }
        }
    }

    fn take_event(
        &mut self,
        uploader: &Uploader,
        journey: &Journey,
        arrival: &Arrival,
        now: Millis,
        batch: &mut Batch,
    ) {
        let (id, event, bytes) = (arrival.event.id(), arrival.event.event(), arrival.event.bytes());
        let directory = Arc::clone(self.registry.directory());
        let admitted = match admit(uploader, event, &arrival.only, &directory) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                let bytes = Bytes::copy_from_slice(bytes);
                return batch.refuse(uploader, Some(id), refusal.reason(), refusal.to_string(), bytes);
            }
        };
        let quota = match uploader {
            Uploader::Office(_) => Some(self.limits.office),
            Uploader::Region(_) => Some(self.limits.peer),
            // An operator stands beside it.
            Uploader::Courier => None,
        };
        if let Some(quota) = quota
            && !self.meters.take(uploader, quota, bytes.len(), now)
        {
            // Handing it out again later would fill the window of unacknowledged messages and stop everybody
            // else, so the event goes back where it is safe: into its sender's outbox, which retries.
            self.tally.over_quota += 1;
            if let Uploader::Office(office) = uploader {
                batch.notice(
                    *office,
                    Some(id),
                    "over quota: the hour's allowance is used up; retry later".to_owned(),
                );
            }
            return;
        }
        self.tally.admitted += 1;
        match self.positions.note(id, event) {
            Standing::New => {}
            Standing::Repeated => self.tally.repeated += 1,
            Standing::Forked { known } => {
                let alarm = Alarm::Fork {
                    office: event.office,
                    incarnation: event.incarnation,
                    seq: event.seq,
                    known,
                    other: id,
                };
                let (detail, bytes) = (alarm.to_string(), Bytes::copy_from_slice(bytes));
                // A copy for the file; it is not refused, so nobody is told that it was.
                batch.keep(uploader, Reason::Fork, detail, bytes);
                batch.alarms.push(alarm);
            }
        }
        for office in &admitted.unreachable {
            self.tally.unreachable += 1;
            if let Uploader::Office(uploader) = uploader {
                let version = directory.version();
                let reason =
                    format!("unreachable: office `{office}` has no relay in directory version {version}");
                batch.notice(*uploader, Some(id), reason);
            }
        }
        if !arrival.proof.stamps.is_empty() {
            batch.stamped(id, &arrival.proof.stamps);
        } else if event.kind.wants_receipt() {
            batch.unstamped.insert(id);
        }
        let places = self.places(&admitted, journey, arrival.attempt);
        for (region, offices) in places.regions {
            let Some(path) = route::path_through(&journey.path, &self.region) else {
                let detail = format!("on its way to `{region}` it has passed too many relays");
                batch.refuse(uploader, Some(id), Reason::Loop, detail, Bytes::copy_from_slice(bytes));
                continue;
            };
            self.tally.forwarded += 1;
            // All is said by saying nothing, and most events go one way.
            let only = if offices.len() == event.to.len() { Vec::new() } else { offices };
            let item = PackItem { only, ..PackItem::new(arrival.attempt, bytes) };
            batch.forwards.entry((region, path)).or_default().push((id, item));
        }
        for office in places.offices {
            self.tally.delivered += 1;
            let item = PackItem::new(arrival.attempt, bytes);
            batch.mailboxes.entry(office).or_default().push((id, item));
        }
    }

    fn places(&self, admitted: &Admitted<'_>, journey: &Journey, attempt: u32) -> Places {
        let mut places = Places::default();
        for (office, homes) in &admitted.recipients {
            if journey.first_leg {
                for region in route::targets(homes, &self.region, attempt) {
                    places.add(*office, region, &self.region);
                }
            } else if homes.contains(&self.region) {
                // Also on the way to elsewhere: the office has its mailbox here as well.
                places.add(*office, &self.region, &self.region);
            } else if journey.to == self.region {
                // It moved away since the other relay's directory was made; its new region takes over.
                for region in route::targets(homes, &self.region, attempt) {
                    places.add(*office, region, &self.region);
                }
            } else {
                places.add(*office, &journey.to, &self.region);
            }
        }
        places
    }

    fn effects(&mut self, batch: Batch) -> Vec<Effect> {
        let Batch { mailboxes, forwards, stamps, quarantine, notices, alarms, acks, erased, .. } = batch;
        let stamped = |(id, item): (EventId, PackItem)| {
            let stamps = stamps.get(&id).cloned().unwrap_or_default();
            PackItem { stamps, ..item }
        };
        let mut effects = Vec::new();
        for (office, items) in mailboxes {
            let items = items.into_iter().map(stamped).collect();
            for (message, message_id) in self.messages(items, &Message::Pack) {
                effects.push(Effect::Deliver { office, message, message_id });
            }
        }
        for ((to, path), items) in forwards {
            let forward = |items| Message::Forward { to: to.clone(), path: path.clone(), items };
            let items = items.into_iter().map(stamped).collect();
            for (message, message_id) in self.messages(items, &forward) {
                effects.push(Effect::Forward { region: to.clone(), message, message_id });
            }
        }
        for (uploader, reason, detail, bytes) in quarantine {
            *self.tally.quarantined.entry(reason).or_default() += 1;
            effects.push(Effect::Quarantine { uploader, reason, detail, bytes });
        }
        for (office, notices) in notices {
            // Only an office with a mailbox here can be told; the others learn it from their own relay's
            // silence.
            if !self.registry.directory().home_regions(&office).contains(&self.region) {
                continue;
            }
            let message = Bytes::from(Message::Notices(notices).encode());
            let message_id = self.nonces.message_id(&message);
            effects.push(Effect::Notify { office, message, message_id });
        }
        effects.extend(alarms.into_iter().map(Effect::Alarm));
        effects.extend(erased.into_iter().map(|token| Effect::Erase { token }));
        effects.extend(acks.into_iter().map(|token| Effect::Ack { token }));
        effects
    }

    /// Packs items into messages that the next reader accepts, each with an id.
    fn messages(
        &mut self,
        items: Vec<PackItem>,
        wrap: &dyn Fn(Vec<PackItem>) -> Message,
    ) -> Vec<(Bytes, String)> {
        let mut waiting = packs(items);
        waiting.reverse();
        let mut messages = Vec::new();
        while let Some(mut pack) = waiting.pop() {
            let message = wrap(pack.clone()).encode();
            // The names of recipients in a pack of broadcasts can outgrow the room left for them.
            if message.len() > MESSAGE_BYTES_MAX && pack.len() > 1 {
                let rest = pack.split_off(pack.len() / 2);
                waiting.push(rest);
                waiting.push(pack);
                continue;
            }
            let message = Bytes::from(message);
            let message_id = self.nonces.message_id(&message);
            messages.push((message, message_id));
        }
        messages
    }
}

/// Where a message comes from and goes to.
#[derive(Debug)]
struct Journey {
    to: RegionId,
    /// The relays it passed before this one.
    path: Vec<RegionId>,
    /// It enters the network here.
    first_leg: bool,
}

/// Where one event goes from here.
#[derive(Debug, Default)]
struct Places {
    offices: BTreeSet<OfficeId>,
    /// For which of its recipients each region gets it.
    regions: BTreeMap<RegionId, Vec<OfficeId>>,
}

impl Places {
    fn add(&mut self, office: OfficeId, region: &RegionId, me: &RegionId) {
        if region == me {
            self.offices.insert(office);
        } else {
            self.regions.entry(region.clone()).or_default().push(office);
        }
    }
}

/// Events for one place, in order.
type Copies = Vec<(EventId, PackItem)>;

/// What one step collects before it is packed.
#[derive(Debug, Default)]
struct Batch {
    mailboxes: BTreeMap<OfficeId, Copies>,
    /// By the region they are for, and the path they came.
    forwards: BTreeMap<(RegionId, Vec<RegionId>), Copies>,
    /// Events that no relay has stamped, and the stamps of the others.
    unstamped: BTreeSet<EventId>,
    stamps: BTreeMap<EventId, Vec<Stamp>>,
    quarantine: Vec<(Uploader, Reason, String, Bytes)>,
    notices: BTreeMap<OfficeId, Vec<Notice>>,
    alarms: Vec<Alarm>,
    acks: Vec<Token>,
    erased: Vec<Token>,
}

impl Batch {
    /// Nothing may stay of this message; returns what is kept of it.
    fn erase(&mut self, token: Token) -> Bytes {
        self.erased.push(token);
        Bytes::new()
    }

    fn keep(&mut self, uploader: &Uploader, reason: Reason, detail: String, bytes: Bytes) {
        self.quarantine.push((uploader.clone(), reason, detail, bytes));
    }

    /// Notes what relays said about an event that may come twice at once: of two words of one relay the earlier one.
    fn stamped(&mut self, id: EventId, stamps: &[Stamp]) {
        let known = self.stamps.entry(id).or_default();
        for stamp in stamps {
            match known.iter_mut().find(|other| other.region == stamp.region) {
                Some(other) if other.at > stamp.at => *other = stamp.clone(),
                Some(_) => {}
                None => known.push(stamp.clone()),
            }
        }
        known.sort_by(|a, b| (a.at, &a.region).cmp(&(b.at, &b.region)));
        known.truncate(STAMPS_MAX);
    }

    fn refuse(
        &mut self,
        uploader: &Uploader,
        id: Option<EventId>,
        reason: Reason,
        detail: String,
        bytes: Bytes,
    ) {
        if let Uploader::Office(office) = uploader {
            self.notice(*office, id, format!("{reason}: {detail}"));
        }
        self.keep(uploader, reason, detail, bytes);
    }

    /// One message of notices for each office and step: a flood of bad events must not become a flood of
    /// answers.
    fn notice(&mut self, office: OfficeId, id: Option<EventId>, reason: String) {
        let notices = self.notices.entry(office).or_default();
        if notices.len() < PACK_EVENTS_MAX {
            notices.push(Notice { id, reason });
        }
    }
}

/// A source of unguessable numbers that gives the same ones for the same seed.
#[derive(Debug)]
struct Nonces {
    seed: [u8; 32],
    drawn: u64,
}

impl Nonces {
    /// The hash of the message and a nonce: new for each try, because a server that saw the id of a first try
    /// swallows the second one, although its copy may be gone.
    fn message_id(&mut self, message: &[u8]) -> String {
        self.drawn += 1;
        let nonce = Sha256::new().chain_update(self.seed).chain_update(self.drawn.to_be_bytes()).finalize();
        let hash = Sha256::digest(message);
        format!("{}:{}", hex(&hash[..16]), hex(&nonce[..16]))
    }
}

#[cfg(test)]
#[path = "step_tests.rs"]
mod tests;
