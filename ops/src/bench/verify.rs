//! Verify, store and receipt what other offices sent, as a station with a line does it: signatures are
//! checked on other threads, the core takes what is there in one transaction, and the receipts leave.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, ensure};
use node::Node;
use node::step::{Delivery, Effect, Input, PublishOutcome};
use node::store::Store;
use schema::body::Body;
use schema::event::{Addressee, Event, Kind, Verifier, VerifyMemory, seal};
use schema::id::{Counter, EventId, Incarnation, OfficeId, RegionId, Seq};
use schema::inbound::{self, Opened};
use schema::pack::{Message, PACK_EVENTS_MAX, PackItem};

use super::workload::{self, Letters, Span, Stopwatch, cpu_us, key, letter, office, rate, registry};
use super::{Figure, Ground, raw};

/// The office that receives.
pub(super) const RECEIVER: u8 = 31;
/// The offices that send to it.
const SENDERS: u8 = 8;
/// Packs that the core takes in one step when it is behind.
const PACKS_PER_STEP_MAX: usize = 8;
/// Opened packs that wait for the core.
const OPENED_MAX: usize = 16;
/// Threads that check signatures beside the core.
const THREADS: usize = 2;
/// Packs per measured section.
const SECTION_PACKS: usize = 200;
/// Events per measured section.
const SECTION: u64 = (PACK_EVENTS_MAX * SECTION_PACKS) as u64;
/// Events before the second section.
const LARGE: u64 = 100_000;

/// Packs from several offices to the receiver, in the order in which they were sent.
struct Senders {
    chains: Vec<(u8, u64, EventId)>,
    next: usize,
    letters: Letters,
}

impl Senders {
    fn new(letters: Letters) -> Self {
        Self { chains: (1..=SENDERS).map(|n| (n, 0, EventId::NONE)).collect(), next: 0, letters }
    }

    fn pack(&mut self) -> Result<Vec<u8>> {
        let next = self.next % self.chains.len();
        let (sender, seq, head) = &mut self.chains[next];
        self.next += 1;
        let key = key(*sender);
        let mut items = Vec::with_capacity(PACK_EVENTS_MAX);
        for _ in 0..PACK_EVENTS_MAX {
            *seq += 1;
            let dispatch = (self.letters)(office(*sender), *seq);
            let event = Event {
                office: office(*sender),
                incarnation: Incarnation::FIRST,
                seq: Seq(*seq),
                prev: *head,
                claimed_at: node::runtime::now(),
                kind: Kind::Dispatch,
                urgency: dispatch.manifest.urgency,
                to: vec![Addressee { office: office(RECEIVER), counter: Counter(*seq) }],
                seen: Vec::new(),
                blobs: Vec::new(),
                body: Body::Dispatch(dispatch).encode().unwrap_or_default(),
                sealed: None,
                archive: None,
                content: None,
            };
            let event = seal(event, &key)?;
            *head = event.id();
            items.push(PackItem::new(0, event.bytes()));
        }
        Ok(Message::Pack(items).encode())
    }

    fn packs(&mut self, events: u64) -> Result<Vec<Vec<u8>>> {
        (0..events.div_ceil(PACK_EVENTS_MAX as u64)).map(|_| self.pack()).collect()
    }
}

/// A station whose relay stores whatever it publishes.
pub(super) struct Reception {
    pub(super) node: Node,
    verifier: Arc<Verifier>,
    senders: Senders,
    relay: RegionId,
    delivered: u64,
    receipts_left: u64,
}

impl Reception {
    pub(super) fn open(folder: &std::path::Path) -> Result<Self> {
        Self::of(folder, letter)
    }

    /// One to which these letters are sent.
    pub(super) fn of(folder: &std::path::Path, letters: Letters) -> Result<Self> {
        let store = Store::open(&Self::database(folder))?;
        let registry = registry()?;
        let me = office(RECEIVER);
        let now = node::runtime::now();
        let mut node = Node::open(store, key(RECEIVER), Arc::clone(&registry), me, [2; 32], now)?;
        let relay = workload::region()?;
        node.step(vec![Input::Connected(relay.clone())], now)?;
        let verifier = Verifier::new(registry).with_memory(Arc::new(VerifyMemory::default()));
        let (senders, verifier) = (Senders::new(letters), Arc::new(verifier));
        Ok(Self { node, verifier, senders, relay, delivered: 0, receipts_left: 0 })
    }

    /// Its store.
    pub(super) fn database(folder: &std::path::Path) -> std::path::PathBuf {
        folder.join("receiver.db")
    }

    /// Takes this many events in; says how long it took until the last receipt was durable and on its way.
    pub(super) fn take(&mut self, events: u64) -> Result<Span> {
        let packs = self.senders.packs(events)?;
        let count = packs.len();
        let packs = Arc::new(Mutex::new(packs.into_iter().enumerate()));
        let stopwatch = Stopwatch::start();
        thread::scope(|scope| -> Result<()> {
            let (sender, opened) = sync_channel::<Result<(usize, Opened)>>(OPENED_MAX);
            for _ in 0..THREADS {
                let (sender, packs, verifier) =
                    (sender.clone(), Arc::clone(&packs), Arc::clone(&self.verifier));
                scope.spawn(move || {
                    loop {
                        let next = packs.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some((index, pack)) = next else { return };
                        let opened = inbound::open(&verifier, &pack).context("a pack was refused");
                        // Nobody listens after a failure.
                        if sender.send(opened.map(|opened| (index, opened))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            self.drain(&opened, count)
        })?;
        Ok(stopwatch.stop())
    }

    fn drain(&mut self, opened: &Receiver<Result<(usize, Opened)>>, count: usize) -> Result<()> {
        let mut taken = 0;
        let mut published: Vec<Input> = Vec::new();
        while taken < count || !published.is_empty() {
            let mut inputs = std::mem::take(&mut published);
            let mut packs = Vec::new();
            if taken < count && inputs.is_empty() {
                packs.push(opened.recv().context("a thread that checks signatures ended")??);
            }
            while packs.len() < PACKS_PER_STEP_MAX
                && let Ok(pack) = opened.try_recv()
            {
                packs.push(pack?);
            }
            // Two threads may finish out of turn; the mailbox is in order.
            packs.sort_unstable_by_key(|(index, _)| *index);
            taken += packs.len();
            for (_, opened) in packs {
                ensure!(opened.refused.is_empty(), "an event was refused: {:?}", opened.refused[0].reason);
                self.delivered += opened.events.len() as u64;
                let delivery = Delivery(self.delivered);
                inputs.push(Input::Delivered { relay: self.relay.clone(), delivery, opened });
            }
            for effect in self.node.step(inputs, node::runtime::now())? {
                if let Effect::Publish { publication, .. } = effect {
                    self.receipts_left += 1;
                    published.push(Input::Published { publication, outcome: PublishOutcome::Stored });
                }
            }
        }
        ensure!(self.receipts_left > 0, "no receipt has left");
        let presented = self.node.exchange().presented();
        ensure!(presented == self.delivered, "{presented} of {} documents were presented", self.delivered);
        Ok(())
    }

    pub(super) fn me() -> OfficeId {
        office(RECEIVER)
    }
}

pub(super) fn bench(ground: &Ground) -> Result<Vec<Figure>> {
    let folder = ground.folder()?;
    let mut reception = Reception::open(folder.path())?;
    reception.take(1_024)?;
    let small = reception.take(SECTION)?;
    while reception.delivered < LARGE {
        reception.take(SECTION)?;
    }
    let large = reception.take(SECTION)?;
    let entries = reception.node.store().journal(schema::id::Position(1), 1_024)?;
    let received = entries.into_iter().filter(|entry| entry.class == schema::exchange::Class::Received);
    let rows: Vec<Vec<u8>> = received.map(|entry| entry.bytes).collect();
    let bytes = rows.iter().map(Vec::len).sum::<usize>() / rows.len().max(1);
    let many: Vec<Vec<u8>> = rows.iter().cycle().take(PACK_EVENTS_MAX * SECTION_PACKS).cloned().collect();
    let insert = raw::insert(folder.path(), &many, PACK_EVENTS_MAX * PACKS_PER_STEP_MAX)?;
    let verify = raw::verify(bytes)?;
    let figure = |name: &str, span: Span| {
        Figure::new(name, rate(SECTION, span.wall), "events/s")
            .at_least(10_000.0)
            .beside("CPU µs each", cpu_us(SECTION, span))
            .beside("verify_strict/s, one thread", verify)
            .beside(format!("SQLite insert of {bytes} B/s"), insert)
    };
    Ok(vec![
        figure("verify+store+receipt, at 1,000", small),
        figure("verify+store+receipt, at 100,000", large),
        Figure::new(
            "verify+store at 100,000 to at 1,000",
            cpu_us(SECTION, large) / cpu_us(SECTION, small),
            "times the CPU",
        )
        .at_most(2.0),
    ])
}
