//! Stations that seal, driven step by step, and what is on the wire between them.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part of this module")]

use std::collections::VecDeque;
use std::sync::Arc;

use node::Node;
use node::sealing::{KeptKeys, Sealing, open_contents};
use node::step::{Answer, Delivery, Effect, Input, PublishOutcome, Ticket};
use node::store::Store;
use schema::body::Dispatch;
use schema::directory::Successor;
use schema::document::{DocumentType, Manifest, Signer};
use schema::event::{Kind, UnverifiedEvent, Verifier};
use schema::exchange::{Class, Command, Work};
use schema::handling::{Actor, Role, Rules};
use schema::id::{DocumentId, Position, RegionId};
use schema::inbound;
use schema::pack::{Message, PackItem};
use schema::registry::{Item, Registry};
use schema::time::Millis;

use crate::station::certified::Registrar;
use crate::station::{OTHER, RECIPIENT, SENDER, directory_with, key, office_id};

pub const DAY: Millis = Millis(1_749_513_600_000);
pub const SUBJECT: &str = "V/v khẩn cấp di dời dân vùng sạt lở";
pub const WORDS: &str = "Gửi nhầm, đề nghị gọi cô Lan 0912 345 678";

pub fn relay() -> RegionId {
    "p01".parse().expect("a region")
}

/// The third office takes the tasks of the second over, on the day before that of these tests.
pub fn succession() -> Successor {
    let (old, new) = (office_id(RECIPIENT), office_id(OTHER));
    Successor { old, new, date: jiff::civil::date(2025, 6, 9) }
}

/// Three offices with certificates.
pub fn known_with(successors: &[Successor]) -> Arc<Registry> {
    let directory = directory_with("nats://127.0.0.1:1", successors);
    let keys = [SENDER, RECIPIENT, OTHER].map(|n| (office_id(n), key(n).verifying_key().to_bytes()));
    Registrar::new().registry(&directory, &keys)
}

/// A station that seals, and what it wants to leave.
pub struct Office {
    pub n: u8,
    pub node: Node,
    pub keys: Arc<KeptKeys>,
    pub registry: Arc<Registry>,
    pub leaving: VecDeque<Vec<u8>>,
    pub deliveries: u64,
    pub tickets: u64,
    pub folder: tempfile::TempDir,
    /// What its clock says.
    pub now: Millis,
}

impl Office {
    pub fn open(n: u8, required: bool) -> Self {
        Self::with_rules(n, required, Rules::default())
    }

    /// One that has settled this for itself.
    pub fn with_rules(n: u8, required: bool, rules: Rules) -> Self {
        Self::knowing(n, required, rules, known_with(&[succession()]))
    }

    /// One that knows this from the start.
    pub fn knowing(n: u8, required: bool, rules: Rules, registry: Arc<Registry>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let keys = KeptKeys::open_or_make(&folder.path().join("sealing.keys"));
        let keys = Arc::new(keys.expect("made"));
        let store = Store::open(&folder.path().join("tram.db")).expect("a store");
        let node = Node::open(store, key(n), Arc::clone(&registry), office_id(n), [n; 32], DAY);
        let sealing: Arc<dyn Sealing> = Arc::clone(&keys) as _;
        let node = node.expect("a node").with_sealing(sealing, required).with_rules(rules);
        let leaving = VecDeque::new();
        let mut office =
            Self { n, node, keys, registry, leaving, deliveries: 0, tickets: 0, folder, now: DAY };
        office.step(vec![Input::Connected(relay())]);
        office
    }

    /// The same store with other sealing keys, or with those that it had: what a new start of the station makes of it.
    pub fn restarted_with(self, keys: Arc<KeptKeys>) -> Self {
        let Self { n, node, registry, deliveries, tickets, folder, now, .. } = self;
        drop(node);
        let store = Store::open(&folder.path().join("tram.db")).expect("a store");
        let node = Node::open(store, key(n), Arc::clone(&registry), office_id(n), [n + 1; 32], now);
        let sealing: Arc<dyn Sealing> = Arc::clone(&keys) as _;
        let node = node.expect("a node").with_sealing(sealing, true);
        let leaving = VecDeque::new();
        let mut office = Self { n, node, keys, registry, leaving, deliveries, tickets, folder, now };
        office.step(vec![Input::Connected(relay())]);
        office
    }

    /// What it announces about its keys.
    pub fn announces(&mut self) -> Vec<Item> {
        let registry = Arc::clone(&self.registry);
        announced(self.step(vec![Input::Registry { registry, items: Vec::new() }]))
    }

    /// Makes a new key; says what is announced about it, and whether it counts as announced.
    pub fn renews(&mut self) -> (Vec<Item>, bool) {
        self.keys.renew().expect("room");
        self.says_so()
    }

    pub fn says_so(&mut self) -> (Vec<Item>, bool) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let effects = self.step(vec![Input::SealingKeyRenewed { ticket }]);
        let said = effects.iter().any(|effect| {
            let answer = Answer::SealingKey { announced: true };
            *effect == Effect::Answer { ticket, answer }
        });
        (announced(effects), said)
    }

    pub fn hears(&mut self, items: &[Item]) {
        let (newer, outcomes) = self.registry.with(items.to_vec());
        assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
        self.registry = Arc::new(newer);
        let registry = Arc::clone(&self.registry);
        self.step(vec![Input::Registry { registry, items: items.to_vec() }]);
    }

    pub fn step(&mut self, inputs: Vec<Input>) -> Vec<Effect> {
        let mut effects = self.node.step(inputs, self.now).expect("a step");
        loop {
            let mut stored = Vec::new();
            for effect in &effects {
                if let Effect::Publish { publication, message, .. } = effect {
                    self.leaving.push_back(message.to_vec());
                    stored.push(Input::Published {
                        publication: *publication,
                        outcome: PublishOutcome::Stored,
                    });
                }
            }
            if stored.is_empty() {
                return effects;
            }
            let more = self.node.step(stored, self.now).expect("a step");
            effects.retain(|effect| !matches!(effect, Effect::Publish { .. }));
            effects.extend(more);
        }
    }

    pub fn asks(&mut self, command: Command) -> Answer {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let effects = self.step(vec![Input::Command { ticket, command }]);
        let answer = effects.into_iter().find_map(|effect| match effect {
            Effect::Answer { ticket: answered, answer } if answered == ticket => Some(answer),
            _ => None,
        });
        answer.expect("an answer")
    }

    pub fn sends(&mut self, document: DocumentId, to: &[u8]) -> Answer {
        let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
        let letter = DocumentType::OfficialLetter;
        let manifest = Manifest::new(document, office_id(self.n), letter, SUBJECT, signer);
        let dispatch = Box::new(Dispatch::unsigned(manifest));
        let to = to.iter().map(|n| office_id(*n)).collect();
        self.asks(Command::Dispatch { by: None, to, dispatch, reference_only: true })
    }

    pub fn works(&mut self, work: Work) -> Answer {
        let by = Actor { name: "Lò Thị Mai".to_owned(), role: Role::Clerk };
        self.asks(Command::Work { by, work })
    }

    pub fn takes(&mut self, message: &[u8]) {
        let verifier = Verifier::new(Arc::clone(&self.registry));
        let mut opened = inbound::open(&verifier, message).expect("a message");
        open_contents(&*self.keys, &mut opened);
        self.deliveries += 1;
        let delivery = Delivery(self.deliveries);
        self.step(vec![Input::Delivered { relay: relay(), delivery, opened }]);
    }

    /// What of its journal a replay makes is what it is.
    pub fn replays(&self) {
        let replayed = self.node.store().replay(office_id(self.n)).expect("readable");
        assert!(replayed.broken.is_none());
        assert_eq!(replayed.hash(), self.node.state_hash().expect("readable"));
    }
}

pub fn announced(effects: Vec<Effect>) -> Vec<Item> {
    let announced = effects.into_iter().filter_map(|effect| match effect {
        Effect::Announce { item } => Some(item),
        _ => None,
    });
    announced.collect()
}

/// Two offices that know each other's keys.
pub fn pair() -> (Office, Office) {
    let (mut sender, mut recipient) = (Office::open(SENDER, true), Office::open(RECIPIENT, true));
    let items: Vec<Item> = sender.announces().into_iter().chain(recipient.announces()).collect();
    assert_eq!(items.len(), 2, "each announces its key once");
    sender.hears(&items);
    recipient.hears(&items);
    assert_eq!(sender.registry.sealing_key(&office_id(RECIPIENT)), Some(recipient.keys.key()));
    (sender, recipient)
}

/// How many entries of its journal are of this class.
pub fn entries(office: &Office, class: Class) -> usize {
    let entries = office.node.store().journal(Position(1), 1_000).expect("readable");
    entries.iter().filter(|entry| entry.class == class).count()
}

/// Tells all of these what each announces about its keys.
pub fn introduce(offices: &mut [&mut Office]) {
    let items: Vec<Item> = offices.iter_mut().flat_map(|office| office.announces()).collect();
    offices.iter_mut().for_each(|office| office.hears(&items));
}

/// Everything that leaves one of them comes to the other, until nothing does. Says what was on the wire.
pub fn settle(one: &mut Office, other: &mut Office) -> Vec<Vec<u8>> {
    let mut wire = Vec::new();
    while !one.leaving.is_empty() || !other.leaving.is_empty() {
        while let Some(message) = one.leaving.pop_front() {
            other.takes(&message);
            wire.push(message);
        }
        while let Some(message) = other.leaving.pop_front() {
            one.takes(&message);
            wire.push(message);
        }
    }
    wire
}

pub fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The sealed bodies in a message.
pub fn bodies(message: &[u8]) -> Vec<Vec<u8>> {
    let Ok(Message::Pack(items)) = Message::parse(message) else { return Vec::new() };
    let events = items.iter().map(|item| UnverifiedEvent::parse(&item.event).expect("an event"));
    events.filter(|event| event.claims().is_unopened()).map(|event| event.claims().body.clone()).collect()
}

pub fn kinds(message: &[u8]) -> Vec<(Kind, bool)> {
    let Ok(Message::Pack(items)) = Message::parse(message) else { return Vec::new() };
    let kind = |item: &PackItem| {
        let event = UnverifiedEvent::parse(&item.event).expect("an event");
        (event.claims().kind, event.claims().is_unopened())
    };
    items.iter().map(kind).collect()
}
