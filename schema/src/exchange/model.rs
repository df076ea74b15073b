//! A few stations in memory, a network that loses, repeats and reorders, and disks that go back in time: after every
//! action the promises hold, and once the faults stop everything arrives and the network falls silent.
//!
//! The stations follow the node's rules in the simplest form: no clock, no attachments, one message per event.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::tests::{A, B, ME, Station, dispatch, document, sure};
use super::*;
use crate::body::{Body, Place, RestoreReason, SentPlace, TransportCode};
use crate::event::{Event, Kind, Urgency, VerifiedEvent};
use crate::id::DocumentId;
use crate::invariant;

const OFFICES: [OfficeId; 3] = [ME, A, B];

#[derive(Clone, Debug)]
enum Action {
    /// A clerk sends a document to one office or to both.
    Send { from: usize, to: Option<usize>, express: bool },
    /// The station gives what is open to its relay; `left` when the acknowledgement comes back.
    Publish { from: usize, left: bool },
    /// One message arrives; the index picks which.
    Deliver { which: usize, again: bool },
    /// One message is lost.
    Lose { which: usize },
    /// The receipts that are owed are recorded, newest first when `reversed`.
    Answer { at: usize, reversed: bool },
    /// The station tells its correspondents both heads.
    Greet { from: usize },
    /// A copy of the disk is put aside.
    Backup { at: usize },
    /// The copy is put back: by the tool, or behind the station's back.
    Restore { at: usize, by_tool: bool },
}

fn action() -> impl Strategy<Value = Action> {
    let office = 0..OFFICES.len();
    prop_oneof![
        4 => (office.clone(), prop::option::of(0..OFFICES.len()), prop::bool::weighted(0.2))
            .prop_map(|(from, to, express)| Action::Send { from, to, express }),
        6 => (office.clone(), any::<bool>()).prop_map(|(from, left)| Action::Publish { from, left }),
        12 => (any::<usize>(), prop::bool::weighted(0.2))
            .prop_map(|(which, again)| Action::Deliver { which, again }),
        3 => any::<usize>().prop_map(|which| Action::Lose { which }),
        5 => (office.clone(), any::<bool>()).prop_map(|(at, reversed)| Action::Answer { at, reversed }),
        2 => office.clone().prop_map(|from| Action::Greet { from }),
        1 => office.clone().prop_map(|at| Action::Backup { at }),
        1 => (office, any::<bool>()).prop_map(|(at, by_tool)| Action::Restore { at, by_tool }),
    ]
}

#[derive(Clone)]
struct Model {
    station: Station,
    owed: Vec<(OfficeId, Place)>,
    evidence: BTreeSet<EventId>,
}

struct World {
    models: Vec<Model>,
    backups: Vec<Option<Model>>,
    network: Vec<(usize, VerifiedEvent)>,
    documents: u64,
    now: Millis,
    reopened: usize,
}

impl World {
    fn new(offices: usize) -> Self {
        let model = |office: &OfficeId| Model {
            station: Station::new(*office),
            owed: Vec::new(),
            evidence: BTreeSet::new(),
        };
        Self {
            models: OFFICES[..offices].iter().map(model).collect(),
            backups: vec![None; offices],
            network: Vec::new(),
            documents: 0,
            now: Millis(0),
            reopened: 0,
        }
    }

    fn record(&mut self, at: usize, draft: &Draft) {
        let (_, changes) = self.models[at].station.record(draft, self.now);
        self.count(&changes);
    }

    fn count(&mut self, changes: &[Change]) {
        self.reopened += changes.iter().filter(|change| matches!(change, Change::Reopened { .. })).count();
    }

    fn act(&mut self, action: &Action) {
        // Far apart, so that the bound on raises is not what is tested here.
        self.now = self.now.plus(RAISE_WINDOW_MS);
        let offices = self.models.len();
        match *action {
            Action::Send { from, to, express } => {
                let from = from % offices;
                let others = (0..offices).filter(|n| *n != from);
                let to: Vec<OfficeId> =
                    others.filter(|n| to.is_none_or(|to| to % offices == *n)).map(|n| OFFICES[n]).collect();
                if to.is_empty() {
                    return;
                }
                self.documents += 1;
                let exchange = &self.models[from].station.exchange;
                let urgency = if express { Urgency::Express } else { Urgency::Normal };
                let mut dispatch = dispatch(OFFICES[from], self.documents);
                dispatch.manifest.urgency = urgency;
                let draft = Draft {
                    incarnation: exchange.incarnation(),
                    kind: Kind::Dispatch,
                    urgency,
                    to,
                    blobs: Vec::new(),
                    body: Body::Dispatch(dispatch).encode().expect("a dispatch"),
                };
                self.record(from, &draft);
            }
            Action::Publish { from, left } => self.publish(from % offices, left),
            Action::Deliver { which, again } => {
                if !self.network.is_empty() {
                    let which = which % self.network.len();
                    let (to, event) = self.network[which].clone();
                    if !again {
                        self.network.remove(which);
                    }
                    self.deliver(to, &event);
                }
            }
            Action::Lose { which } => {
                if !self.network.is_empty() {
                    self.network.remove(which % self.network.len());
                }
            }
            Action::Answer { at, reversed } => self.answer(at % offices, reversed),
            Action::Greet { from } => self.greet(from % offices),
            Action::Backup { at } => self.backups[at % offices] = Some(self.models[at % offices].clone()),
            Action::Restore { at, by_tool } => {
                let at = at % offices;
                if let Some(backup) = self.backups[at].clone() {
                    // Also the tool does not know in which incarnation the lost disk was.
                    let known = backup.station.exchange.incarnation();
                    self.models[at] = backup;
                    if by_tool {
                        self.raise(at, known, RestoreReason::Tool);
                    }
                }
            }
        }
    }

    fn publish(&mut self, from: usize, left: bool) {
        let station = &self.models[from].station;
        let open: Vec<SentRow> = station.records.sent_rows().filter(|row| row.open).cloned().collect();
        for row in &open {
            let event = station.at(row.position).clone();
            let to = OFFICES.iter().position(|office| *office == row.to).expect("one of them");
            self.network.push((to, event));
        }
        let entries: Vec<SentPlace> = open
            .iter()
            .filter(|row| left && row.left.is_none())
            .map(|row| SentPlace {
                to: row.to,
                incarnation: row.place.incarnation,
                counter: row.place.counter,
            })
            .collect();
        for draft in station.exchange.status_drafts(TransportCode::Left, &entries, None, None) {
            self.record(from, &draft);
        }
    }

    fn deliver(&mut self, at: usize, event: &VerifiedEvent) {
        let fields = event.event();
        let from = fields.office;
        let station = &mut self.models[at].station;
        let place = |counter| Place { incarnation: fields.incarnation, counter, id: event.id() };
        match station.receive(event) {
            Reception::New => {
                let changes = station.take(Class::Received, event);
                self.count(&changes);
                let station = &self.models[at].station;
                let body = Body::read(event.version(), fields).expect("honest stations");
                let told = sure(station.exchange.went_backwards(&station.records, &from, &body));
                let beyond = station.exchange.beyond(&from, fields.incarnation);
                let contradicted = sure(station.exchange.contradicted(&station.records, &from, &body));
                let answered = wants_receipt(fields, station.exchange.me()).map(place);
                let owed = beyond.into_iter().chain(contradicted).chain(answered);
                self.models[at].owed.extend(owed.map(|place| (from, place)));
                if let Some(told) = told
                    && told >= self.models[at].station.exchange.incarnation()
                {
                    self.raise(at, told, RestoreReason::Correspondent);
                }
                match &body {
                    Body::Head(heads) => self.send_anew(at, from, fields.incarnation, heads),
                    Body::Restored(restored) => {
                        self.send_anew(at, from, fields.incarnation, &restored.heads);
                        self.tell_heads(at, from);
                    }
                    _ => {}
                }
            }
            Reception::Repeat if wants_receipt(fields, station.exchange.me()).is_none() => {}
            Reception::Repeat => self.answer_again(at, fields),
            Reception::Fork { .. } => {
                if self.models[at].evidence.insert(event.id()) {
                    self.models[at].station.take(Class::Evidence, event);
                }
                self.answer_again(at, fields);
            }
            Reception::TooFarAhead | Reception::NotForUs => {}
        }
    }

    /// The receipt of what is held at the place of this event: the same again, or a new one where there is none of
    /// this incarnation.
    fn answer_again(&mut self, at: usize, event: &Event) {
        let (from, station) = (event.office, &self.models[at].station);
        let counter = event.counter_for(&station.exchange.me()).expect("a recipient");
        let row = sure(station.records.held(&from, event.incarnation, counter)).expect("held");
        match row.receipt {
            Some(receipt) if row.receipt_incarnation == Some(station.exchange.incarnation()) => {
                let receipt = station.at(receipt).clone();
                let to = OFFICES.iter().position(|office| *office == from).expect("one of them");
                self.network.push((to, receipt));
            }
            Some(_) => self.models[at].owed.push((from, row.place)),
            // Owed already, or never given: heads and receipts want none.
            None if row.kind.wants_receipt() => {}
            None => self.models[at].owed.push((from, row.place)),
        }
    }

    fn answer(&mut self, at: usize, reversed: bool) {
        let mut owed = std::mem::take(&mut self.models[at].owed);
        if reversed {
            owed.reverse();
        }
        for office in OFFICES {
            let mut places: Vec<Place> = Vec::new();
            for (_, place) in owed.iter().filter(|(to, _)| *to == office) {
                if !places.contains(place) {
                    places.push(*place);
                }
            }
            let station = &self.models[at].station;
            for draft in sure(station.exchange.receipts(&station.records, office, &places, &BTreeMap::new()))
            {
                self.record(at, &draft);
            }
        }
    }

    fn greet(&mut self, from: usize) {
        let peers: Vec<OfficeId> = self.models[from].station.exchange.peers().keys().copied().collect();
        for peer in peers {
            self.tell_heads(from, peer);
        }
    }

    fn tell_heads(&mut self, from: usize, to: OfficeId) {
        let station = &self.models[from].station;
        let draft = sure(station.exchange.head_draft(&station.records, to, Vec::new()));
        self.record(from, &draft);
    }

    fn raise(&mut self, at: usize, told: Incarnation, reason: RestoreReason) {
        let station = &self.models[at].station;
        let mut again: Vec<Event> = Vec::new();
        for row in station.records.sent_rows().filter(|row| row.open && row.kind == Kind::Dispatch) {
            let mut event = station.at(row.position).event().clone();
            event.to.retain(|to| to.office == row.to);
            again.push(event);
        }
        // In the order of the journal, as the node does.
        again.sort_by_key(|event| (event.incarnation, event.seq, event.to[0].office));
        // What the journal holds tells two lives apart here: a model never records the same twice.
        let branch = u32::from_be_bytes(std::array::from_fn(|n| station.exchange.head().as_bytes()[n]));
        for draft in sure(station.exchange.raise(&station.records, told, branch, reason)) {
            self.record(at, &draft);
        }
        for event in again {
            self.dispatch_again(at, event);
        }
    }

    fn dispatch_again(&mut self, at: usize, event: Event) {
        let draft = Draft {
            incarnation: self.models[at].station.exchange.incarnation(),
            kind: event.kind,
            urgency: event.urgency,
            to: event.to.iter().map(|to| to.office).collect(),
            blobs: event.blobs,
            body: event.body,
        };
        self.record(at, &draft);
    }

    /// Documents that a correspondent does not hold any more under the events that it once receipted.
    fn send_anew(&mut self, at: usize, to: OfficeId, theirs: Incarnation, heads: &Heads) {
        let station = &self.models[at].station;
        let rows = sure(station.exchange.to_send_anew(&station.records, &to, theirs, heads));
        let place = |row: &SentRow| SentPlace {
            to: row.to,
            incarnation: row.place.incarnation,
            counter: row.place.counter,
        };
        let places: Vec<SentPlace> = rows.iter().map(place).collect();
        for draft in station.exchange.status_drafts(TransportCode::SentAnew, &places, None, None) {
            self.record(at, &draft);
        }
        for row in rows.into_iter().filter(SentRow::is_said_again) {
            let mut event = self.models[at].station.at(row.position).event().clone();
            event.to.retain(|to| to.office == row.to);
            self.dispatch_again(at, event);
        }
    }

    /// No more faults: everybody greets, sends and answers until nobody has anything left to say.
    fn heal(&mut self) -> Result<(), TestCaseError> {
        for round in 0..60 {
            self.reopened = 0;
            for at in 0..self.models.len() {
                self.greet(at);
            }
            for _ in 0..6 {
                for at in 0..self.models.len() {
                    self.answer(at, false);
                    self.publish(at, true);
                }
                for (to, event) in std::mem::take(&mut self.network) {
                    self.deliver(to, &event);
                }
            }
            // Heads of this round are confirmed by those of the next; nothing else may be open.
            let waiting = self.models.iter().any(|model| {
                !model.owed.is_empty()
                    || model.station.records.sent_rows().any(|row| row.open && row.kind != Kind::Head)
            });
            if !waiting && self.reopened == 0 && self.network.is_empty() && round > 1 {
                return Ok(());
            }
        }
        let open: Vec<String> = self
            .models
            .iter()
            .flat_map(|model| {
                let me = model.station.exchange.me();
                let open = model.station.records.sent_rows().filter(|row| row.open);
                open.map(move |row| format!("{me} → {row:?}"))
            })
            .collect();
        Err(TestCaseError::fail(format!("{} reopened, still open: {open:#?}", self.reopened)))
    }

    fn check_safety(&self) -> Result<(), TestCaseError> {
        for model in &self.models {
            let held = || model.station.records.held_rows();
            invariant::each_document_once(held())?;
            invariant::order_is_kept(held())?;
            invariant::forks_are_alarmed(&model.evidence, &model.station.alarms)?;
            invariant::replay_gives_live_state(model.station.hash(), model.station.replayed().hash())?;
        }
        Ok(())
    }

    /// Every document that a station has in its outbox stands once in the recipient's list.
    fn check_arrival(&self) -> Result<(), TestCaseError> {
        for from in &self.models {
            for row in from.station.records.sent_rows() {
                let Some(document) = row.document else { continue };
                let to = OFFICES.iter().position(|office| *office == row.to).expect("one of them");
                let shown = self.shown(to, from.station.exchange.me(), document);
                prop_assert_eq!(shown, 1, "{} to {}", document, row.to);
            }
        }
        Ok(())
    }

    fn shown(&self, at: usize, from: OfficeId, document: DocumentId) -> usize {
        let rows = self.models[at].station.records.held_rows();
        rows.filter(|row| row.from == from && row.document == Some(document) && row.ordinal.is_some()).count()
    }
}

fn wants_receipt(event: &Event, me: OfficeId) -> Option<Counter> {
    event.counter_for(&me).filter(|_| event.kind.wants_receipt())
}

fn run(offices: usize, actions: &[Action]) -> Result<World, TestCaseError> {
    let mut world = World::new(offices);
    for action in actions {
        world.act(action);
    }
    world.check_safety()?;
    world.heal()?;
    world.check_safety()?;
    world.check_arrival()?;
    Ok(world)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn two_stations_agree_in_the_end(actions in prop::collection::vec(action(), 0..60)) {
        run(2, &actions)?;
    }

    #[test]
    fn three_stations_agree_in_the_end(actions in prop::collection::vec(action(), 0..80)) {
        run(3, &actions)?;
    }
}

/// The model can see: a world in which nothing was sent would satisfy every check above.
#[test]
fn documents_do_arrive_in_the_model() {
    let send = Action::Send { from: 0, to: None, express: false };
    let world = run(3, &[send.clone(), send, Action::Publish { from: 0, left: true }]).expect("all is well");
    for at in [1, 2] {
        for n in [1, 2] {
            assert_eq!(world.shown(at, ME, document(n)), 1);
        }
    }
}
