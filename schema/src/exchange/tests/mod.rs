//! Given what a station has recorded, when something happens, then these are the changes: written as one line each.

mod deciding;
mod erasing;
mod receiving;
mod restoring;
mod returning;
mod settling;
mod working;

use std::sync::LazyLock;

use ed25519_dalek::SigningKey;

use super::*;
use crate::blob::{BlobIdentity, BlobRef, Enclosure, Enclosures, FileRef};
use crate::body::{
    Ask, Body, Dispatch, ENTRIES_MAX, Receipt, RestoreReason, Restored, Returned, SentPlace, Status,
    Transport, TransportCode,
};
use crate::directory::{Directory, DirectoryBuilder, Enrolment, Name, Office, Region, Validity};
use crate::document::{Attachment, DocumentType, Manifest, Signer};
use crate::event::{Kind, Urgency, VerifiedEvent, seal};
use crate::handling::Rules;
use crate::id::{BlobHash, DocumentId, FileHash, Position, RegionId};

pub(super) const ME: OfficeId = OfficeId::new([1; 16]);
pub(super) const A: OfficeId = OfficeId::new([2; 16]);
pub(super) const B: OfficeId = OfficeId::new([3; 16]);
const STRANGER: OfficeId = OfficeId::new([9; 16]);

pub(super) fn key_of(office: OfficeId) -> SigningKey {
    SigningKey::from_bytes(&[office.as_bytes()[0]; 32])
}

pub(super) fn document(n: u64) -> DocumentId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    DocumentId::new(bytes)
}

pub(super) fn dispatch(issuer: OfficeId, n: u64) -> Dispatch {
    let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
    let subject = format!("Công văn số {n}");
    Dispatch::unsigned(Manifest::new(document(n), issuer, DocumentType::OfficialLetter, subject, signer))
}

/// A station in memory: its journal and what follows from it.
#[derive(Clone)]
pub(super) struct Station {
    pub(super) exchange: Exchange,
    pub(super) records: MemoryRecords,
    pub(super) journal: Vec<(Class, VerifiedEvent)>,
    pub(super) alarms: Vec<Alarm>,
}

pub(super) fn sure<T>(result: Result<T, std::convert::Infallible>) -> T {
    let Ok(value) = result;
    value
}

impl Station {
    pub(super) fn new(me: OfficeId) -> Self {
        Self {
            exchange: Exchange::new(me),
            records: MemoryRecords::default(),
            journal: Vec::new(),
            alarms: Vec::new(),
        }
    }

    pub(super) fn take(&mut self, class: Class, event: &VerifiedEvent) -> Vec<Change> {
        self.journal.push((class, event.clone()));
        let position = Position(self.journal.len() as u64);
        let entry = Entry { position, class, id: event.id(), version: event.version(), event: event.event() };
        let changes = sure(self.exchange.evolve(&self.records, entry));
        for change in &changes {
            self.records.apply(change);
            if let Change::Alarm(alarm) = change {
                self.alarms.push(alarm.clone());
            }
        }
        changes
    }

    pub(super) fn record(&mut self, draft: &Draft, now: Millis) -> (VerifiedEvent, Vec<Change>) {
        let event = self.exchange.next_event(draft, now);
        let event = seal(event, &key_of(self.exchange.me())).expect("a sound draft");
        let changes = self.take(Class::Own, &event);
        (event, changes)
    }

    pub(super) fn receive(&self, event: &VerifiedEvent) -> Reception {
        sure(self.exchange.receive(&self.records, event.event(), event.id()))
    }

    pub(super) fn at(&self, position: Position) -> &VerifiedEvent {
        &self.journal[usize::try_from(position.0).expect("a short journal") - 1].1
    }

    /// The same journal, from zero.
    pub(super) fn replayed(&self) -> Self {
        let mut again = Self::new(self.exchange.me());
        for (class, event) in &self.journal {
            again.take(*class, event);
        }
        again
    }

    pub(super) fn hash(&self) -> crate::id::StateHash {
        self.records.state_hash(&self.exchange)
    }
}

/// What happens to the station `ME`.
#[derive(Clone)]
enum Fact {
    /// It records this.
    Own(Draft),
    /// This comes from outside; a repeat or a fork is treated as a node treats it.
    From(VerifiedEvent),
    /// Somebody asks for this.
    Asked(Command),
    /// It starts an incarnation after this one.
    Raised(u32, RestoreReason),
}

use Fact::{Asked, From, Own, Raised};

fn happen(station: &mut Station, fact: &Fact, now: Millis) -> Vec<String> {
    match fact {
        Own(draft) => station.record(draft, now).1.iter().map(line).collect(),
        From(event) => {
            let reception = station.receive(event);
            let (class, body) = Class::of_arrival(event.version(), event.event());
            let class = match reception {
                Reception::New => class,
                Reception::Fork { .. } => Class::Evidence,
                other => return vec![format!("{other:?}")],
            };
            let mut lines: Vec<String> = station.take(class, event).iter().map(line).collect();
            let told = station.exchange.went_backwards(&station.records, &event.event().office, &body);
            lines.extend(sure(told).map(|incarnation| format!("told of {}", life(incarnation))));
            lines
        }
        Asked(command) => {
            match sure(decide(&station.exchange, &station.records, context(&directory()), command)) {
                Err(refusal) => match std::error::Error::source(&refusal) {
                    Some(cause) => vec![format!("refused: {refusal}: {cause}")],
                    None => vec![format!("refused: {refusal}")],
                },
                Ok(drafts) => drafts.iter().map(|d| format!("{:?} to {}", d.kind, d.to.len())).collect(),
            }
        }
        Raised(told, reason) => {
            let drafts =
                sure(station.exchange.raise(&station.records, Incarnation::new(*told, 0), 0, *reason));
            drafts.iter().flat_map(|draft| station.record(draft, now).1).map(|c| line(&c)).collect()
        }
    }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "reads as a sentence at every call")]
fn check(given: impl IntoIterator<Item = Fact>, when: Fact, then: &[&str]) -> Station {
    let mut station = Station::new(ME);
    for (n, fact) in given.into_iter().enumerate() {
        happen(&mut station, &fact, Millis(n as u64));
    }
    let found = happen(&mut station, &when, Millis(1_000));
    assert_eq!(found, then);
    assert_eq!(station.replayed().hash(), station.hash(), "P7");
    station
}

fn name(office: OfficeId) -> char {
    match office {
        ME => 'M',
        A => 'A',
        B => 'B',
        _ => '?',
    }
}

fn line(change: &Change) -> String {
    match change {
        Change::Sent(row) => {
            format!("sent {} {}", name(row.to), at(row.place.incarnation, row.place.counter))
        }
        Change::Left { incarnation, counter, closes, .. } => {
            format!("left {}{}", at(*incarnation, *counter), if *closes { ", closed" } else { "" })
        }
        Change::Receipted { incarnation, counter, .. } => format!("receipted {}", at(*incarnation, *counter)),
        Change::Confirmed { incarnation, counter, .. } => format!("confirmed {}", at(*incarnation, *counter)),
        Change::SentAnew { incarnation, counter, .. } => format!("sent anew {}", at(*incarnation, *counter)),
        Change::Reopened { incarnation, counter, .. } => format!("reopened {}", at(*incarnation, *counter)),
        Change::Superseded { before } => format!("superseded before {}", life(*before)),
        Change::Held(row) => {
            let what = if row.document.is_some() { " document" } else { "" };
            format!("held {}{what}", at(row.place.incarnation, row.place.counter))
        }
        Change::Answered { incarnation, counter, .. } => format!("answered {}", at(*incarnation, *counter)),
        Change::Presented { incarnation, counter, ordinal, in_order, .. } => {
            let order = if *in_order { "" } else { " out of order" };
            format!("presented {} as {ordinal}{order}", at(*incarnation, *counter))
        }
        Change::EarlyReceipt { place, .. } => {
            format!("early receipt for {}", at(place.incarnation, place.counter))
        }
        Change::Judged { incarnation, counter, judged, .. } => {
            format!("judged {}: {:?}", at(*incarnation, *counter), judged.outcome)
        }
        Change::Regained { document, .. } => {
            format!("regained {}", document.map_or_else(String::new, |id| id.as_bytes()[15].to_string()))
        }
        Change::Forgone { from, counter, .. } => format!("forgone {counter} of {from}"),
        Change::Erased(row) => format!("erased {} of {}", row.document, row.issuer),
        Change::Person(person) => format!("person {}: {:?}", person.name, person.roles),
        Change::Case(case) => {
            format!("document {}: {:?}", case.document.as_bytes()[15], case.progress.stage())
        }
        Change::Line { line, .. } => format!("number {line} used"),
        Change::Drafted(row) => format!("draft {}: {:?}", row.document.as_bytes()[15], row.stage),
        Change::Alarm(alarm) => match alarm {
            Alarm::Fork { counter, .. } => format!("alarm: fork at {counter}"),
            Alarm::OfficeRestored { incarnation, lost_there, .. } => {
                format!("alarm: office restored to {}, lost {lost_there}", life(*incarnation))
            }
            Alarm::GivenBack { incarnation, events, .. } => {
                format!("alarm: {events} of {} given back", life(*incarnation))
            }
            Alarm::Restored { incarnation } => format!("alarm: restored to {}", life(*incarnation)),
            Alarm::LostHere { incarnation, counter, .. } => {
                format!("alarm: lost here {}", at(*incarnation, *counter))
            }
            Alarm::RefusedByRelay { counter, reason, .. } => format!("alarm: refused {counter}: {reason}"),
            Alarm::BodyRefused { reason, .. } => format!("alarm: {reason}"),
            Alarm::ContradictingList { authority, .. } => format!("alarm: lists of {authority}"),
            Alarm::ContestedKey { office, .. } => format!("alarm: contested key of {}", name(*office)),
            Alarm::JudgedWorse { counter, before, outcome, .. } => {
                format!("alarm: {counter} was {before:?}, is {outcome:?}")
            }
            Alarm::JudgedElsewhere { by, counter, outcome, .. } => {
                format!("alarm: {} finds {counter} {outcome:?}", name(*by))
            }
            Alarm::NumberTwice { line, .. } => format!("alarm: number {line} twice"),
            Alarm::TwoNumbers { document, .. } => {
                format!("alarm: two numbers of {}", document.as_bytes()[15])
            }
            Alarm::TooMuchSaid { office, .. } => format!("alarm: {} says too much", name(*office)),
        },
    }
}

/// All stories here stay on branch 0, which is left out.
fn life(incarnation: Incarnation) -> u64 {
    assert_eq!(incarnation, Incarnation::new(u32::try_from(incarnation.ordinal()).expect("few"), 0));
    incarnation.ordinal()
}

fn at(incarnation: Incarnation, counter: Counter) -> String {
    format!("{}/{counter}", life(incarnation))
}

// ---- what comes from outside

fn event(from: OfficeId, to: OfficeId, incarnation: u32, counter: u64, kind: Kind, body: Vec<u8>) -> Event {
    Event {
        office: from,
        incarnation: Incarnation::new(incarnation, 0),
        seq: Seq(counter),
        prev: if counter == 1 { EventId::NONE } else { EventId::new([7; 32]) },
        claimed_at: Millis(1),
        kind,
        urgency: Urgency::Normal,
        to: vec![crate::event::Addressee { office: to, counter: Counter(counter) }],
        seen: Vec::new(),
        blobs: Vec::new(),
        body,
        sealed: None,
        archive: None,
        content: None,
    }
}

fn sealed(event: Event) -> VerifiedEvent {
    let key = key_of(event.office);
    seal(event, &key).expect("a sound event")
}

fn from_a(incarnation: u32, counter: u64, body: &Body) -> VerifiedEvent {
    let kind = body.kind().expect("a known kind");
    sealed(event(A, ME, incarnation, counter, kind, body.encode().expect("a known kind")))
}

/// A document of this station that its store does not know.
fn from_me_to_a(counter: u64) -> VerifiedEvent {
    let body = Body::Dispatch(dispatch(ME, counter)).encode().expect("a known kind");
    sealed(event(ME, A, 0, counter, Kind::Dispatch, body))
}

fn doc(incarnation: u32, counter: u64) -> VerifiedEvent {
    from_a(incarnation, counter, &Body::Dispatch(dispatch(A, u64::from(incarnation) * 1_000 + counter)))
}

fn express(incarnation: u32, counter: u64) -> VerifiedEvent {
    let mut event = doc(incarnation, counter).event().clone();
    let mut dispatch = dispatch(A, u64::from(incarnation) * 1_000 + counter);
    dispatch.manifest.urgency = Urgency::Express;
    event.urgency = Urgency::Express;
    event.body = Body::Dispatch(dispatch).encode().expect("a known kind");
    sealed(event)
}

fn place_of(event: &VerifiedEvent, of: OfficeId) -> Place {
    let counter = event.event().counter_for(&of).expect("a recipient");
    Place { incarnation: event.event().incarnation, counter, id: event.id() }
}

fn restored(incarnation: u32, previous: u32, last_sent: Option<Place>, held: Vec<Place>) -> VerifiedEvent {
    let body = Restored {
        previous: Incarnation::new(previous, 0),
        last_seq: Seq(last_sent.map_or(0, |place| place.counter.0)),
        last_sent,
        reason: RestoreReason::Tool,
        heads: Heads { held, ..Heads::default() },
    };
    from_a(incarnation, 1, &Body::Restored(body))
}

fn head(incarnation: u32, counter: u64, held: &[Place]) -> VerifiedEvent {
    from_a(incarnation, counter, &Body::Head(Heads { held: held.to_vec(), ..Heads::default() }))
}

fn receipt(incarnation: u32, counter: u64, entries: &[Place], held: &[Place]) -> VerifiedEvent {
    let heads = Heads { held: held.to_vec(), ..Heads::default() };
    from_a(
        incarnation,
        counter,
        &Body::Receipt(Receipt { entries: entries.to_vec(), heads, stamps: Vec::new() }),
    )
}

// ---- what this station records

fn draft(to: &[OfficeId], body: &Body) -> Draft {
    Draft {
        incarnation: Incarnation::FIRST,
        kind: body.kind().expect("a known kind"),
        urgency: Urgency::Normal,
        to: to.to_vec(),
        blobs: Vec::new(),
        body: body.encode().expect("a known kind"),
    }
}

fn sends(n: u64) -> Fact {
    Own(draft(&[A], &Body::Dispatch(dispatch(ME, n))))
}

/// Answers A's events.
fn answers(events: &[&VerifiedEvent]) -> Fact {
    let entries = events.iter().map(|event| place_of(event, ME)).collect();
    Own(draft(&[A], &Body::Receipt(Receipt { entries, heads: Heads::default(), stamps: Vec::new() })))
}

/// Tells A a head, which wants no receipt.
fn greets() -> Fact {
    Own(draft(&[A], &Body::Head(Heads::default())))
}

/// Has the station tell A both heads, and reads what it said.
fn heads_told(station: &mut Station, now: Millis) -> Heads {
    let draft = sure(station.exchange.head_draft(&station.records, A, Vec::new()));
    let (event, _) = station.record(&draft, now);
    match Body::read(event.version(), event.event()) {
        Ok(Body::Head(heads)) => heads,
        other => unreachable!("a draft of a head holds {other:?}"),
    }
}

fn left(counter: u64) -> Fact {
    let entries = vec![SentPlace { to: A, incarnation: Incarnation::FIRST, counter: Counter(counter) }];
    let left = Transport { code: TransportCode::Left, entries, region: None, reason: None };
    Own(draft(&[], &Body::Status(Status::Transport(left))))
}

/// Where the `counter`-th event to A stands, after `given`.
fn sent_place(given: &[Fact], incarnation: u32, counter: u64) -> Place {
    let mut station = Station::new(ME);
    for (n, fact) in given.iter().enumerate() {
        happen(&mut station, fact, Millis(n as u64));
    }
    let row = sure(station.records.sent(&A, Incarnation::new(incarnation, 0), Counter(counter)));
    row.expect("it was sent").place
}

fn invented(incarnation: u32, counter: u64) -> Place {
    Place {
        incarnation: Incarnation::new(incarnation, 0),
        counter: Counter(counter),
        id: EventId::new([0xee; 32]),
    }
}

fn directory() -> Directory {
    let mut builder = DirectoryBuilder::new();
    let region: RegionId = "p01".parse().expect("a region");
    builder.region(Region {
        id: region.clone(),
        name: "Một tỉnh".to_owned(),
        url: "nats://relay.example:4222".to_owned(),
        login: None,
        stamp_key: None,
    });
    for office in [ME, A, B, OfficeId::new([8; 16])] {
        let mut listed = Office::new(office);
        listed.names.push(Name { text: format!("Cơ quan {office}"), validity: Validity::ALWAYS });
        builder.office(listed);
    }
    for office in [ME, A, B] {
        let enrolment = Enrolment { login: None, relays: vec![region.clone()] };
        builder.enrol(&office, enrolment).expect("the office is there");
    }
    builder.build(1, Millis(0)).expect("a sound directory")
}

pub(super) fn context(directory: &Directory) -> Context<'_> {
    static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(|| {
        let mut rules = Rules::default();
        rules.books.iter_mut().for_each(|book| book.issuer = Some("UBND".to_owned()));
        rules
    });
    static ENCLOSURES: LazyLock<Enclosures> = LazyLock::new(|| {
        let sealed = |n| {
            let blob = BlobRef { hash: BlobHash::new([n; 32]), length: 300 };
            (FileHash::new([n; 32]), Enclosure { blob, identity: BlobIdentity([n; 32]) })
        };
        (0..=200).map(sealed).collect()
    });
    let (rules, enclosures) = (&RULES, &ENCLOSURES);
    Context { directory, rules, enclosures, now: Millis(1_763_735_400_000) }
}

fn asks(to: &[OfficeId]) -> Fact {
    asks_with(to, dispatch(ME, 1))
}

fn asks_with(to: &[OfficeId], dispatch: Dispatch) -> Fact {
    Asked(Command::Dispatch { by: None, to: to.to_vec(), dispatch: Box::new(dispatch), reference_only: true })
}
