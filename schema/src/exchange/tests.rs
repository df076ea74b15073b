//! Given what a station has recorded, when something happens, then these are the changes: written as one line each.

use ed25519_dalek::SigningKey;

use super::*;
use crate::blob::BlobRef;
use crate::body::{
    Ask, AttachmentName, Body, Dispatch, ENTRIES_MAX, Receipt, RestoreReason, Restored, Returned, SentPlace,
    StatusCode,
};
use crate::directory::{
    Directory, DirectoryBuilder, Enrolment, KeyValidity, Name, Office, OfficeKey, Region, Validity,
};
use crate::event::{Kind, Urgency, VerifiedEvent, seal};
use crate::id::{BlobHash, DocumentId, Position, RegionId};

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

pub(super) fn dispatch(n: u64) -> Dispatch {
    Dispatch {
        document: document(n),
        subject: format!("Công văn số {n}"),
        number: None,
        document_type: None,
        attachments: Vec::new(),
    }
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
            let class = match reception {
                Reception::New => Class::Received,
                Reception::Fork { .. } => Class::Evidence,
                other => return vec![format!("{other:?}")],
            };
            let mut lines: Vec<String> = station.take(class, event).iter().map(line).collect();
            let body = Body::read(event.version(), event.event()).unwrap_or(Body::Unsupported);
            let told = station.exchange.went_backwards(&station.records, &event.event().office, &body);
            lines.extend(sure(told).map(|incarnation| format!("told of {}", life(incarnation))));
            lines
        }
        Asked(command) => match sure(decide(&station.exchange, &station.records, &directory(), command)) {
            Err(refusal) => match std::error::Error::source(&refusal) {
                Some(cause) => vec![format!("refused: {refusal}: {cause}")],
                None => vec![format!("refused: {refusal}")],
            },
            Ok(drafts) => drafts.iter().map(|d| format!("{:?} to {}", d.kind, d.to.len())).collect(),
        },
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
        Change::Regained { document, .. } => format!("regained {}", document.as_bytes()[15]),
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
    let body = Body::Dispatch(dispatch(counter)).encode().expect("a known kind");
    sealed(event(ME, A, 0, counter, Kind::Dispatch, body))
}

fn doc(incarnation: u32, counter: u64) -> VerifiedEvent {
    from_a(incarnation, counter, &Body::Dispatch(dispatch(u64::from(incarnation) * 1_000 + counter)))
}

fn express(incarnation: u32, counter: u64) -> VerifiedEvent {
    let mut event = doc(incarnation, counter).event().clone();
    event.urgency = Urgency::Express;
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
    from_a(incarnation, counter, &Body::Receipt(Receipt { entries: entries.to_vec(), heads }))
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
    Own(draft(&[A], &Body::Dispatch(dispatch(n))))
}

/// Answers A's events.
fn answers(events: &[&VerifiedEvent]) -> Fact {
    let entries = events.iter().map(|event| place_of(event, ME)).collect();
    Own(draft(&[A], &Body::Receipt(Receipt { entries, heads: Heads::default() })))
}

/// Tells A a head, which wants no receipt.
fn greets() -> Fact {
    Own(draft(&[A], &Body::Head(Heads::default())))
}

fn left(counter: u64) -> Fact {
    let entries = vec![SentPlace { to: A, incarnation: Incarnation::FIRST, counter: Counter(counter) }];
    let status = crate::body::Status { code: StatusCode::Left, entries, region: None, reason: None };
    Own(draft(&[], &Body::Status(status)))
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
    });
    for office in [ME, A, B, OfficeId::new([8; 16])] {
        let mut listed = Office::new(office);
        listed.names.push(Name { text: format!("Cơ quan {office}"), validity: Validity::ALWAYS });
        builder.office(listed);
    }
    for office in [ME, A, B] {
        let keys =
            vec![OfficeKey { key: key_of(office).verifying_key().to_bytes(), validity: KeyValidity::ALWAYS }];
        let enrolment = Enrolment { keys, login: None, relays: vec![region.clone()] };
        builder.enrol(&office, enrolment).expect("the office is there");
    }
    builder.build(1, Millis(0)).expect("a sound directory")
}

fn asks(to: &[OfficeId]) -> Fact {
    asks_with(to, Vec::new(), dispatch(1))
}

fn asks_with(to: &[OfficeId], blobs: Vec<BlobRef>, dispatch: Dispatch) -> Fact {
    Asked(Command::Dispatch { to: to.to_vec(), urgency: Urgency::Normal, blobs, dispatch })
}

mod deciding {
    use super::*;

    #[test]
    fn document_goes_to_each_recipient_once() {
        check([], asks(&[B, A, B]), &["Dispatch to 2"]);
    }

    #[test]
    fn document_is_sent_once_ever() {
        let refused = format!("refused: document `{}` was sent before", document(1));
        check([sends(1)], asks(&[B]), &[refused.as_str()]);
    }

    #[test]
    fn recipients_are_checked_before_anything_is_recorded() {
        check([], asks(&[]), &["refused: the document has no recipients"]);
        check([], asks(&[ME]), &["refused: the document is addressed to the sending office itself"]);
        let unknown = format!("refused: recipient `{STRANGER}` is not in directory version 1");
        check([], asks(&[A, STRANGER]), &[unknown.as_str()]);
        let idle = OfficeId::new([8; 16]);
        let not_enrolled = format!(
            "refused: recipient `{idle}` has no station yet: it has no key or no relay in directory version 1"
        );
        check([], asks(&[idle]), &[not_enrolled.as_str()]);
        let many: Vec<OfficeId> =
            (0..=DOCUMENT_RECIPIENTS_MAX as u128).map(|n| OfficeId::new(n.to_be_bytes())).collect();
        let too_many = "refused: the document has 16385 recipients, at most 16384 are possible";
        check([], asks(&many), &[too_many]);
    }

    #[test]
    fn what_sealing_would_refuse_is_refused_as_an_answer() {
        let refused = |rule| format!("refused: the document is refused: the Dispatch breaks a rule: {rule}");
        let blob = |n, length| BlobRef { hash: BlobHash::new([n; 32]), length };
        let with = |blobs: Vec<BlobRef>| {
            let mut dispatch = dispatch(1);
            let name = AttachmentName { name: "a.pdf".into(), media_type: "application/pdf".into() };
            dispatch.attachments = vec![name; blobs.len()];
            asks_with(&[A], blobs, dispatch)
        };
        check([], with(vec![blob(1, 5), blob(2, 5)]), &["Dispatch to 1"]);
        let many = (0..=32).map(|n| blob(n, 1)).collect();
        for (blobs, rule) in [
            (vec![blob(1, 5), blob(1, 5)], "each attachment is named once"),
            (vec![blob(1, 0)], "attachments have 1 byte to 512 MiB"),
            (vec![blob(1, u64::MAX)], "attachments have 1 byte to 512 MiB"),
            (many, "at most 32 attachments"),
        ] {
            check([], with(blobs), &[&refused(rule)]);
        }
        let nameless = asks_with(&[A], vec![blob(1, 5)], dispatch(1));
        check([], nameless, &[&refused("one name for each attachment")]);
    }
}

mod receiving {
    use super::*;

    #[test]
    fn repeat_changes_nothing() {
        check([From(doc(0, 1))], From(doc(0, 1)), &["Repeat"]);
        check([From(doc(0, 1)), From(doc(0, 2)), From(doc(0, 4))], From(doc(0, 1)), &["Repeat"]);
        check([From(doc(0, 4))], From(doc(0, 4)), &["Repeat"]);
    }

    #[test]
    fn document_is_shown_when_it_is_answered() {
        let first = doc(0, 1);
        check([], From(first.clone()), &["held 0/1 document"]);
        check(
            [From(first.clone())],
            answers(&[&first]),
            &["sent A 0/1", "answered 0/1", "presented 0/1 as 1"],
        );
    }

    #[test]
    fn later_document_waits_for_the_missing_one() {
        let (first, second) = (doc(0, 1), doc(0, 2));
        let given = [From(second.clone()), answers(&[&second]), From(first.clone())];
        let station = check(
            given,
            answers(&[&first]),
            &["sent A 0/2", "answered 0/1", "presented 0/1 as 1", "presented 0/2 as 2"],
        );
        assert!(!station.exchange.channel(&A, Incarnation::FIRST).expect("a channel").has_gap());
    }

    #[test]
    fn gap_is_known_and_named() {
        let station = check([From(doc(0, 1))], From(doc(0, 5)), &["held 0/5 document"]);
        let channel = station.exchange.channel(&A, Incarnation::FIRST).expect("a channel");
        assert!(channel.has_gap());
        assert_eq!(channel.first_gap(), Some((Counter(2), Counter(4))));
    }

    #[test]
    fn answering_a_batch_shows_all_of_it_whatever_the_order_of_the_entries() {
        let (first, second, third) = (doc(0, 1), doc(0, 2), doc(0, 3));
        let given = [From(third.clone()), From(second.clone()), From(first.clone())];
        check(
            given,
            answers(&[&third, &first, &second, &second]),
            &[
                "sent A 0/1",
                "answered 0/1",
                "presented 0/1 as 1",
                "answered 0/2",
                "presented 0/2 as 2",
                "answered 0/3",
                "presented 0/3 as 3",
            ],
        );
    }

    #[test]
    fn express_document_overtakes_and_is_not_shown_again() {
        let (first, second) = (doc(0, 1), express(0, 2));
        check(
            [From(second.clone())],
            answers(&[&second]),
            &["sent A 0/1", "answered 0/2", "presented 0/2 as 1 out of order"],
        );
        check(
            [From(second.clone()), answers(&[&second]), From(first.clone())],
            answers(&[&first]),
            &["sent A 0/2", "answered 0/1", "presented 0/1 as 2"],
        );
    }

    #[test]
    fn second_answer_shows_nothing_again() {
        let first = doc(0, 1);
        check([From(first.clone()), answers(&[&first])], answers(&[&first]), &["sent A 0/2", "answered 0/1"]);
    }

    #[test]
    fn another_event_at_a_held_place_is_evidence_and_alarmed() {
        let other = from_a(0, 1, &Body::Dispatch(dispatch(77)));
        let station = check([From(doc(0, 1))], From(other.clone()), &["alarm: fork at 1"]);
        let alarm = Alarm::Fork {
            office: A,
            incarnation: Incarnation::FIRST,
            counter: Counter(1),
            held: doc(0, 1).id(),
            other: other.id(),
        };
        assert_eq!(station.alarms, [alarm]);
        assert_eq!(station.records.held_rows().count(), 1, "the held one stays");
    }

    #[test]
    fn event_for_another_office_is_not_for_us() {
        let mut fields = doc(0, 1).event().clone();
        fields.to[0].office = B;
        check([], From(sealed(fields)), &["NotForUs"]);
    }

    #[test]
    fn unknown_kind_is_held_and_answered_and_never_shown() {
        let unknown = sealed(event(A, ME, 0, 1, Kind::Unknown(99), b"anything".to_vec()));
        check([], From(unknown.clone()), &["held 0/1"]);
        check([From(unknown.clone())], answers(&[&unknown]), &["sent A 0/1", "answered 0/1"]);
        let next = doc(0, 2);
        check(
            [From(unknown.clone()), From(next.clone())],
            answers(&[&unknown, &next]),
            &["sent A 0/1", "answered 0/1", "answered 0/2", "presented 0/2 as 1"],
        );
    }

    #[test]
    fn body_that_cannot_be_read_is_held_and_alarmed_and_blocks_nothing() {
        let broken = sealed(event(A, ME, 0, 1, Kind::Dispatch, b"\xff".to_vec()));
        let mut station = Station::new(ME);
        let lines = happen(&mut station, &From(broken.clone()), Millis(0));
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("alarm: the body is not a Dispatch"), "{}", lines[0]);
        assert_eq!(lines[1], "held 0/1");
        let next = doc(0, 2);
        check(
            [From(broken.clone()), From(next.clone())],
            answers(&[&broken, &next]),
            &["sent A 0/1", "answered 0/1", "answered 0/2", "presented 0/2 as 1"],
        );
    }

    #[test]
    fn document_that_comes_again_in_a_new_incarnation_is_held_and_not_shown_twice() {
        let first = doc(0, 1);
        let again = from_a(1, 2, &Body::Dispatch(dispatch(1)));
        let given = [
            From(first.clone()),
            answers(&[&first]),
            From(restored(1, 0, Some(place_of(&first, ME)), vec![])),
        ];
        check(given.clone(), From(again.clone()), &["held 1/2"]);
        let given = given.into_iter().chain([From(again.clone())]);
        check(given, answers(&[&again]), &["sent A 0/2", "answered 1/2"]);
    }

    /// Whoever sends far ahead cannot make the hot state grow, and the missing one is always taken.
    #[test]
    fn too_far_ahead_is_not_taken_but_the_next_one_always_is() {
        let mut station = Station::new(ME);
        for counter in 0..AHEAD_MAX as u64 {
            station.take(Class::Received, &doc(0, counter + 3));
        }
        assert_eq!(station.receive(&doc(0, 1_000_000)), Reception::TooFarAhead);
        assert_eq!(station.receive(&doc(0, 2)), Reception::TooFarAhead);
        assert_eq!(station.receive(&doc(0, 5)), Reception::Repeat);
        assert_eq!(station.receive(&doc(0, 1)), Reception::New);
        station.take(Class::Received, &doc(0, 1));
        assert_eq!(station.receive(&doc(0, 2)), Reception::New);
        station.take(Class::Received, &doc(0, 2));
        assert_eq!(station.receive(&doc(0, 1_000_000)), Reception::New);
        let held = station.exchange.channel(&A, Incarnation::FIRST).expect("a channel").held;
        assert_eq!(held, Counter(AHEAD_MAX as u64 + 2));
    }
}

mod settling {
    use super::*;

    #[test]
    fn only_the_receipt_closes_a_document() {
        let given = [sends(1)];
        let place = sent_place(&given, 0, 1);
        let station = check([sends(1)], left(1), &["left 0/1"]);
        assert!(station.records.sent_rows().all(|row| row.open && row.left.is_some()));
        let station =
            check([sends(1), left(1)], From(receipt(0, 1, &[place], &[])), &["held 0/1", "receipted 0/1"]);
        assert!(station.records.sent_rows().all(|row| !row.open && row.receipt.is_some()));
    }

    #[test]
    fn what_wants_no_receipt_is_closed_by_leaving() {
        check([greets()], left(1), &["left 0/1, closed"]);
    }

    #[test]
    fn receipt_of_an_id_never_sent_settles_nothing_and_tells_of_going_back() {
        let wrong = receipt(0, 1, &[invented(0, 1)], &[]);
        let station = check([sends(1)], From(wrong), &["held 0/1", "early receipt for 0/1", "told of 0"]);
        assert!(station.records.sent_rows().all(|row| row.open && row.receipt.is_none()));
        let beyond = receipt(0, 1, &[invented(0, 7)], &[]);
        check([sends(1)], From(beyond), &["held 0/1", "early receipt for 0/7", "told of 0"]);
    }

    #[test]
    fn head_confirms_what_wants_no_receipt_behind_documents_and_closed_rows() {
        let given = [greets(), left(1), sends(1), greets(), sends(2)];
        let top = sent_place(&given, 0, 4);
        check(given, From(head(0, 1, &[top])), &["held 0/1", "confirmed 0/3"]);
        let given = [greets(), sends(1), greets(), sends(2)];
        let top = sent_place(&given, 0, 4);
        check(
            given,
            From(receipt(0, 1, &[top], &[top])),
            &["held 0/1", "receipted 0/4", "confirmed 0/1", "confirmed 0/3"],
        );
    }

    #[test]
    fn head_that_names_an_event_never_sent_confirms_nothing() {
        let given = [greets(), greets()];
        check(given.clone(), From(head(0, 1, &[invented(0, 2)])), &["held 0/1", "told of 0"]);
        check(
            given,
            From(receipt(0, 1, &[invented(0, 2)], &[invented(0, 2)])),
            &["held 0/1", "early receipt for 0/2", "told of 0"],
        );
    }

    #[test]
    fn head_reopens_exactly_the_settled_run_after_what_is_held() {
        // 1 held; 2 and 3 left and lost on the way; 4 open; 5 settled.
        let given = [sends(1), greets(), left(2), greets(), left(3), sends(2), greets(), left(5)];
        let first = sent_place(&given, 0, 1);
        check(given, From(head(0, 1, &[first])), &["held 0/1", "reopened 0/2", "reopened 0/3"]);
    }

    /// Two greetings cross: each was written before the other arrived.
    #[test]
    fn crossing_heads_do_not_have_each_other_sent_again() {
        check([sends(1), greets(), left(2)], From(head(0, 1, &[])), &["held 0/1"]);
    }

    #[test]
    fn reopened_row_leaves_again() {
        let given = [sends(1), greets(), left(2), sends(2)];
        let first = sent_place(&given, 0, 1);
        let given = given.into_iter().chain([From(head(0, 1, &[first]))]);
        let station = check(given, left(2), &["left 0/2, closed"]);
        let row = sure(station.records.sent(&A, Incarnation::FIRST, Counter(2))).expect("it was sent");
        assert!(!row.open && row.left == Some(Position(6)));
    }

    #[test]
    fn receipt_never_reopens() {
        let given = [sends(1), greets(), left(2)];
        let first = sent_place(&given, 0, 1);
        check(given, From(receipt(0, 1, &[first], &[first])), &["held 0/1", "receipted 0/1"]);
    }

    /// A head that was overtaken by receipts would have what they settled sent again; the answer to that is the same
    /// receipt, which is here already: the row would stay open for ever.
    #[test]
    fn delayed_head_reopens_nothing_that_was_receipted_since() {
        let given = [sends(1), sends(2)];
        let (first, second) = (sent_place(&given, 0, 1), sent_place(&given, 0, 2));
        let given = given.into_iter().chain([From(receipt(0, 2, &[first, second], &[second]))]);
        check(given.clone(), From(head(0, 1, &[])), &["held 0/1"]);
        check(given, From(head(0, 3, &[first])), &["held 0/3"]);
    }

    #[test]
    fn delayed_head_reopens_nothing_that_was_confirmed_since() {
        let given = [greets(), left(1), sends(1), greets(), left(3)];
        let top = sent_place(&given, 0, 3);
        let given = given.into_iter().chain([From(head(0, 2, &[top]))]);
        check(given, From(head(0, 1, &[])), &["held 0/1"]);
    }

    /// Held beyond a gap and receipted: only the gap is filled.
    #[test]
    fn head_with_a_gap_reopens_the_gap_only() {
        let given = [greets(), left(1), sends(1)];
        let document = sent_place(&given, 0, 2);
        let given = given.into_iter().chain([From(receipt(0, 1, &[document], &[]))]);
        check(given, From(head(0, 2, &[])), &["held 0/2", "reopened 0/1"]);
    }

    #[test]
    fn restored_correspondent_is_refilled_and_its_new_receipt_settles_again() {
        let given = [sends(1), sends(2)];
        let (first, second) = (sent_place(&given, 0, 1), sent_place(&given, 0, 2));
        let given: Vec<Fact> =
            given.into_iter().chain([From(receipt(0, 1, &[first, second], &[second]))]).collect();
        let back = From(restored(1, 0, None, vec![first]));
        let station = check(
            given.clone(),
            back.clone(),
            &["held 1/1", "alarm: office restored to 1, lost 1", "reopened 0/2"],
        );
        assert!(station.records.sent_rows().all(|row| row.receipt.is_some()), "what was proven stays proven");
        let given: Vec<Fact> = given.into_iter().chain([back]).collect();
        let new = receipt(1, 2, &[second], &[second]);
        check(given.clone(), From(new.clone()), &["held 1/2", "receipted 0/2"]);
        // From now on the document is proven to be there in this incarnation.
        let given = given.into_iter().chain([From(new)]);
        check(given, From(head(1, 3, &[first])), &["held 1/3"]);
    }

    /// It was restored to a moment between the event and its attachments; the relays may have lost them since.
    #[test]
    fn restored_correspondent_that_lacks_attachments_is_offered_them_again() {
        let given = [sends(1)];
        let first = sent_place(&given, 0, 1);
        let given = [sends(1), From(receipt(0, 1, &[first], &[first]))];
        let lacking = |incarnation, counter| {
            let heads = Heads { held: vec![first], incomplete: vec![first], ..Heads::default() };
            From(from_a(incarnation, counter, &Body::Head(heads)))
        };
        check(
            given.clone(),
            lacking(1, 1),
            &["held 1/1", "alarm: office restored to 1, lost 1", "reopened 0/1"],
        );
        // A head that left before the receipt did says nothing new.
        check(given, lacking(0, 2), &["held 0/2"]);
    }

    #[test]
    fn head_names_what_is_held_without_its_attachments() {
        let mut station = Station::new(ME);
        let (first, second) = (doc(0, 1), doc(0, 2));
        station.take(Class::Received, &first);
        station.take(Class::Received, &second);
        happen(&mut station, &answers(&[&second]), Millis(1));
        let draft = sure(station.exchange.head_draft(&station.records, A, Vec::new()));
        let (event, _) = station.record(&draft, Millis(2));
        let Ok(Body::Head(heads)) = Body::read(event.version(), event.event()) else {
            panic!("a head");
        };
        assert_eq!(heads.incomplete, [place_of(&first, ME)]);
    }

    // ---- what was lost with the disk, and comes back

    /// A correspondent that holds these events of station `author`, complete.
    fn holder(author: OfficeId, events: &[VerifiedEvent]) -> Station {
        let mut holder = Station::new(author);
        let places: Vec<Place> = events.iter().map(|event| place_of(event, author)).collect();
        for event in events {
            holder.take(Class::Received, event);
        }
        holder.record(
            &draft(&[A], &Body::Receipt(Receipt { entries: places, heads: Heads::default() })),
            Millis(5),
        );
        holder
    }

    fn gives_back(holder: &Station, ask: &Ask) -> Vec<Returned> {
        let read = |position| {
            let event = holder.at(position);
            Ok((event.bytes().to_vec(), event.event().blobs.clone()))
        };
        let drafts = sure(holder.exchange.give_back(&holder.records, A, ask, read));
        let body = |draft: &Draft| {
            let event = holder.exchange.next_event(draft, Millis(9));
            match Body::read(1, &event) {
                Ok(Body::Returned(returned)) => returned,
                other => panic!("{other:?}"),
            }
        };
        drafts.iter().map(body).collect()
    }

    #[test]
    fn what_a_correspondent_holds_and_the_author_lost_is_asked_for_and_given_back() {
        let lost: Vec<VerifiedEvent> = (1..=3).map(|counter| doc(0, counter)).collect();
        let holder = holder(ME, &lost);
        // The author was restored to its very beginning, and lives on in a new incarnation.
        let mut author = Station::new(A);
        let raised = sure(author.exchange.raise(&author.records, Incarnation::FIRST, 0, RestoreReason::Tool));
        author.record(&raised[0], Millis(1));
        let heads = sure(holder.exchange.heads(&holder.records, &A));
        let asks = sure(author.exchange.lost(&author.records, &ME, &heads));
        let (from, to) = (Counter(1), Counter(3));
        assert_eq!(asks, [Ask { incarnation: Incarnation::FIRST, from, to, whole: true }]);

        let given = gives_back(&holder, &asks[0]);
        assert_eq!(given.len(), 1);
        assert_eq!(given[0].through, Counter(3));
        let back: Vec<&[u8]> = given[0].events.iter().map(|event| event.as_slice()).collect();
        assert_eq!(back, lost.iter().map(VerifiedEvent::bytes).collect::<Vec<_>>());

        for event in &lost {
            author.take(Class::Regained, event);
        }
        assert_eq!(author.records.sent_rows().filter(|row| row.open && row.regained).count(), 3);
        let document = |n| match Body::read(1, doc(0, n).event()) {
            Ok(Body::Dispatch(dispatch)) => dispatch.document,
            other => panic!("{other:?}"),
        };
        assert!((1..=3).all(|n| sure(author.records.knows_outgoing(&document(n)))));
        assert_eq!(author.replayed().hash(), author.hash(), "P7");
    }

    #[test]
    fn document_without_its_attachments_is_not_given_back() {
        let mut holder = holder(ME, &[doc(0, 1)]);
        holder.take(Class::Received, &doc(0, 2));
        let ask = Ask { incarnation: Incarnation::FIRST, from: Counter(1), to: Counter(2), whole: true };
        let given = gives_back(&holder, &ask);
        assert_eq!((given[0].events.len(), given[0].through), (1, Counter(2)));
    }

    #[test]
    fn hostile_ask_costs_a_bounded_number_of_look_ups() {
        let holder = holder(ME, &[doc(0, 1)]);
        let ask =
            Ask { incarnation: Incarnation::FIRST, from: Counter(1), to: Counter(u64::MAX), whole: true };
        let given = gives_back(&holder, &ask);
        assert_eq!((given.len(), given[0].through), (1, Counter(4_097)), "the author asks on from there");
    }

    #[test]
    fn receipt_that_came_before_its_event_was_known_again_settles_it() {
        let lost = from_me_to_a(7);
        let place = place_of(&lost, A);
        let given = [Raised(0, RestoreReason::Tool), From(receipt(0, 1, &[place], &[]))];
        let mut station =
            check([Raised(0, RestoreReason::Tool)], given[1].clone(), &["held 0/1", "early receipt for 0/7"]);
        let changes: Vec<String> = station.take(Class::Regained, &lost).iter().map(line).collect();
        assert_eq!(changes, ["regained 7", "sent A 0/7", "receipted 0/7"]);
        assert_eq!(station.replayed().hash(), station.hash(), "P7");
    }

    #[test]
    fn place_that_was_taken_since_is_kept_and_the_document_listed_all_the_same() {
        let mut station = Station::new(ME);
        happen(&mut station, &sends(1), Millis(1));
        happen(&mut station, &Raised(0, RestoreReason::Correspondent), Millis(2));
        let other = from_me_to_a(1);
        let changes: Vec<String> = station.take(Class::Regained, &other).iter().map(line).collect();
        assert_eq!(changes, ["regained 1"], "what stands at its place stays");
    }

    #[test]
    fn what_stands_beyond_a_gap_that_stays_is_told() {
        let mut station = Station::new(ME);
        station.take(Class::Received, &doc(0, 3));
        station.take(Class::Received, &restored(1, 0, None, vec![]));
        let heads = sure(station.exchange.head_draft(&station.records, A, Vec::new()));
        let (event, _) = station.record(&heads, Millis(3));
        let Ok(Body::Head(heads)) = Body::read(event.version(), event.event()) else { panic!("a head") };
        assert_eq!(heads.strays, [place_of(&doc(0, 3), ME)]);
        // Its author, which knows nothing of it, asks for just that one.
        let mut author = Station::new(A);
        let raised = sure(author.exchange.raise(&author.records, Incarnation::FIRST, 0, RestoreReason::Tool));
        author.record(&raised[0], Millis(1));
        let asks = sure(author.exchange.lost(&author.records, &ME, &heads));
        let single = Ask { incarnation: Incarnation::FIRST, from: Counter(3), to: Counter(3), whole: false };
        assert!(asks.contains(&single), "{asks:?}");
    }

    /// Two lives after the same backup: neither knows of the other, and no event of one stands for one of the other.
    #[test]
    fn station_restored_twice_from_one_backup_lives_two_incarnations() {
        let station = Station::new(ME);
        let lives: Vec<Incarnation> = [7, 8]
            .map(|branch| {
                let drafts =
                    station.exchange.raise(&station.records, Incarnation::FIRST, branch, RestoreReason::Tool);
                sure(drafts)[0].incarnation
            })
            .to_vec();
        assert_ne!(lives[0], lives[1]);
        assert!(lives.iter().all(|life| life.ordinal() == 1));
    }

    /// The receipt was on its way while its author's disk went back: it does not say what is held now.
    #[test]
    fn receipt_of_an_incarnation_that_is_over_settles_nothing() {
        let given = [sends(1), From(restored(1, 0, None, vec![]))];
        let first = sent_place(&given, 0, 1);
        let station = check(given, From(receipt(0, 1, &[first], &[first])), &["held 0/1"]);
        assert!(station.records.sent_rows().all(|row| row.open));
    }

    #[test]
    fn walk_over_settled_rows_is_bounded() {
        let mut station = Station::new(ME);
        let mut places = Vec::new();
        for n in 0..AHEAD_MAX as u64 + 600 {
            let (event, _) = station.record(&draft(&[A], &Body::Dispatch(dispatch(n))), Millis(n));
            places.push(place_of(&event, A));
        }
        for (n, entries) in places.chunks(ENTRIES_MAX).enumerate() {
            station.take(Class::Received, &receipt(0, n as u64 + 1, entries, &[]));
        }
        struct Counting<'a>(&'a MemoryRecords, std::cell::Cell<usize>);
        impl Records for Counting<'_> {
            type Error = std::convert::Infallible;
            fn sent(
                &self,
                to: &OfficeId,
                i: Incarnation,
                c: Counter,
            ) -> Result<Option<SentRow>, Self::Error> {
                self.1.set(self.1.get() + 1);
                self.0.sent(to, i, c)
            }
            fn next_sent(
                &self,
                to: &OfficeId,
                i: Incarnation,
                after: Counter,
            ) -> Result<Option<SentRow>, Self::Error> {
                self.1.set(self.1.get() + 1);
                self.0.next_sent(to, i, after)
            }
            fn held(&self, f: &OfficeId, i: Incarnation, c: Counter) -> Result<Option<HeldRow>, Self::Error> {
                self.0.held(f, i, c)
            }
            fn knows_incoming(&self, from: &OfficeId, d: &DocumentId) -> Result<bool, Self::Error> {
                self.0.knows_incoming(from, d)
            }
            fn incomplete(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error> {
                self.0.incomplete(from, limit)
            }
            fn unmatched_receipts(&self, from: &OfficeId, limit: usize) -> Result<Vec<Place>, Self::Error> {
                self.0.unmatched_receipts(from, limit)
            }
            fn early_receipts(
                &self,
                from: &OfficeId,
                incarnation: Incarnation,
                counter: Counter,
            ) -> Result<Vec<(Place, Position)>, Self::Error> {
                self.0.early_receipts(from, incarnation, counter)
            }
            fn incarnation_at(&self, position: Position) -> Result<Option<Incarnation>, Self::Error> {
                self.0.incarnation_at(position)
            }
            fn knows_outgoing(&self, d: &DocumentId) -> Result<bool, Self::Error> {
                self.0.knows_outgoing(d)
            }
        }
        let records = Counting(&station.records, std::cell::Cell::new(0));
        let empty = head(0, 100, &[]);
        let entry = Entry {
            position: Position(1_000_000),
            class: Class::Received,
            id: empty.id(),
            version: 1,
            event: empty.event(),
        };
        sure(station.exchange.clone().evolve(&records, entry));
        assert!(records.1.get() <= AHEAD_MAX + 2, "{} look-ups for one head", records.1.get());
    }
}

mod restoring {
    use super::*;

    #[test]
    fn new_incarnation_supersedes_what_is_open_and_tells_every_correspondent() {
        let given = [sends(1), Own(draft(&[B], &Body::Dispatch(dispatch(2))))];
        let station = check(
            given,
            Raised(0, RestoreReason::Correspondent),
            &["superseded before 1", "alarm: restored to 1", "sent A 1/1", "sent B 1/1"],
        );
        let superseded = station.records.sent_rows().filter(|row| row.superseded && !row.open);
        assert_eq!(superseded.count(), 2);
        assert_eq!(station.exchange.seq(), Seq(2));
        assert_eq!(station.exchange.raised_at(), [Millis(1_000)]);
    }

    #[test]
    fn new_incarnation_is_above_the_one_a_correspondent_knows() {
        let station = check(
            [sends(1)],
            Raised(4, RestoreReason::Tool),
            &["superseded before 5", "alarm: restored to 5", "sent A 5/1"],
        );
        assert_eq!(station.exchange.raised_at(), [], "a person's decision is not counted");
    }

    #[test]
    fn delayed_head_does_not_tell_of_going_back() {
        let given = [sends(1), sends(2)];
        let (first, second) = (sent_place(&given, 0, 1), sent_place(&given, 0, 2));
        check(given.clone(), From(head(0, 5, &[first])), &["held 0/5"]);
        // Also not when the station is in a new incarnation by now, and even if it never sent that.
        let given: Vec<Fact> = given.into_iter().chain([Raised(0, RestoreReason::Correspondent)]).collect();
        check(given.clone(), From(head(0, 6, &[second])), &["held 0/6"]);
        check(given, From(head(0, 6, &[invented(0, 3)])), &["held 0/6", "alarm: lost here 0/3"]);
    }

    #[test]
    fn head_that_knows_more_tells_of_going_back() {
        check([sends(1)], From(head(0, 1, &[invented(0, 2)])), &["held 0/1", "told of 0"]);
        check([sends(1)], From(head(0, 1, &[invented(3, 1)])), &["held 0/1", "told of 3"]);
    }

    #[test]
    fn what_is_held_without_its_attachments_tells_of_going_back_too() {
        let place = invented(0, 2);
        let says = |heads| From(from_a(0, 1, &Body::Head(heads)));
        let incomplete = Heads { incomplete: vec![place], ..Heads::default() };
        check([sends(1)], says(incomplete), &["held 0/1", "told of 0"]);
        let stray = Heads { strays: vec![place], ..Heads::default() };
        check([sends(1)], says(stray), &["held 0/1", "told of 0"]);
    }

    #[test]
    fn head_that_says_another_event_was_sent_than_is_held_is_contradicted() {
        let held = doc(0, 1);
        let station = check([From(held.clone())], From(doc(0, 2)), &["held 0/2 document"]);
        let says = |sent| {
            let body = Body::Head(Heads { sent, ..Heads::default() });
            sure(station.exchange.contradicted(&station.records, &A, &body))
        };
        assert_eq!(says(Some(invented(0, 1))), Some(place_of(&held, ME)));
        assert_eq!(says(Some(place_of(&held, ME))), None);
        assert_eq!(says(Some(invented(0, 3))), None);
        assert_eq!(says(None), None);
    }

    #[test]
    fn invented_incarnations_are_not_followed_to_the_end_of_the_numbers() {
        check([sends(1)], From(head(0, 1, &[invented(u32::MAX, 1)])), &["held 0/1"]);
        check(
            [sends(1)],
            From(head(0, 1, &[invented(INCARNATIONS_LOST_MAX, 1)])),
            &["held 0/1", "told of 1024"],
        );
    }

    #[test]
    fn station_starts_incarnations_by_itself_a_few_times_a_day_only() {
        let mut station = Station::new(ME);
        happen(&mut station, &sends(1), Millis(0));
        for n in (0..).take(RAISES_MAX) {
            let at = Millis(u64::from(n));
            assert!(station.exchange.may_raise(at));
            happen(&mut station, &Raised(n, RestoreReason::Correspondent), at);
        }
        assert!(!station.exchange.may_raise(Millis(RAISE_WINDOW_MS - 1)));
        assert!(station.exchange.may_raise(Millis(RAISE_WINDOW_MS)));
        happen(&mut station, &Raised(9, RestoreReason::Correspondent), Millis(RAISE_WINDOW_MS));
        assert_eq!(station.exchange.raised_at().len(), RAISES_MAX, "the list is bounded");
    }

    #[test]
    fn sender_restored_ends_its_channel_and_shows_what_waited() {
        let (first, third) = (doc(0, 1), doc(0, 3));
        let given = [From(first.clone()), From(third.clone()), answers(&[&first, &third])];
        let lost_two = restored(1, 0, Some(place_of(&first, ME)), vec![]);
        let station = check(
            given,
            From(lost_two),
            &["held 1/1", "presented 0/3 as 2", "alarm: office restored to 1, lost 1"],
        );
        let channel = station.exchange.channel(&A, Incarnation::FIRST).expect("a channel");
        assert!(channel.ended && !channel.has_gap());
    }

    /// P3: what comes after the end of its incarnation is marked, because later ones were shown already.
    #[test]
    fn late_document_of_an_ended_incarnation_is_shown_and_marked() {
        let (first, second, third) = (doc(0, 1), doc(0, 2), doc(0, 3));
        let given = [
            From(first.clone()),
            From(third.clone()),
            answers(&[&first, &third]),
            From(restored(1, 0, None, vec![])),
            From(second.clone()),
        ];
        let station = check(
            given,
            answers(&[&second]),
            &["sent A 0/2", "answered 0/2", "presented 0/2 as 3 out of order"],
        );
        assert_eq!(crate::invariant::order_is_kept(station.records.held_rows()), Ok(()));
    }

    /// A copy that a courier brings after the sender's new incarnation has begun: nothing before it will ever come,
    /// and the event that carries the document anew is known as a repeat. It must not wait.
    #[test]
    fn first_document_of_an_incarnation_that_is_over_does_not_wait_for_a_turn() {
        let second = doc(0, 2);
        let given = [From(restored(1, 0, None, vec![])), From(second.clone())];
        check(given, answers(&[&second]), &["sent A 0/1", "answered 0/2", "presented 0/2 as 1 out of order"]);
    }

    #[test]
    fn sender_that_forgot_this_station_is_flagged_by_its_new_incarnation() {
        let (first, third) = (doc(0, 1), doc(0, 3));
        let given = [From(first.clone()), From(third.clone()), answers(&[&first, &third])];
        check(
            given,
            From(doc(1, 1)),
            &["held 1/1 document", "presented 0/3 as 2", "alarm: office restored to 1, lost 2"],
        );
    }

    #[test]
    fn incarnations_lost_in_between_count_as_lost_there() {
        let given = [From(doc(0, 1)), From(restored(1, 0, None, vec![])), From(doc(1, 2))];
        let last = place_of(&doc(0, 1), ME);
        check(
            given,
            From(restored(2, 0, Some(last), vec![])),
            &["held 2/1", "alarm: office restored to 2, lost 2"],
        );
    }

    /// One hostile counter must not cost a walk over all the numbers below it.
    #[test]
    fn channel_with_an_absurd_counter_ends_at_once() {
        let far = doc(0, crate::event::NUMBER_MAX);
        check(
            [From(far.clone()), answers(&[&far])],
            From(restored(1, 0, None, vec![])),
            &[
                "held 1/1",
                &format!("presented 0/{} as 1", crate::event::NUMBER_MAX),
                "alarm: office restored to 1, lost 1",
            ],
        );
    }

    #[test]
    fn only_the_newest_incarnations_stay_in_the_hot_state_and_nothing_waits_in_the_others() {
        let mut given = vec![From(doc(0, 2)), answers(&[&doc(0, 2)])];
        // Their beginnings are missing, so nothing ends the first one but its age.
        let newest = u32::try_from(CHANNELS_MAX).expect("a few");
        given.extend((1..newest).map(|incarnation| From(doc(incarnation, 2))));
        let station = check(
            given.clone(),
            From(doc(newest, 2)),
            &[&format!("held {newest}/2 document"), "presented 0/2 as 1"],
        );
        assert_eq!(station.exchange.peer(&A).expect("a peer").channels.len(), CHANNELS_MAX);
        given.push(From(doc(newest, 2)));
        check(given.clone(), From(doc(0, 2)), &["Repeat"]);
        // A straggler of an incarnation that left the hot state.
        let late = doc(0, 1);
        given.push(From(late.clone()));
        let station = check(
            given,
            answers(&[&late]),
            &["sent A 0/2", "answered 0/1", "presented 0/1 as 2 out of order"],
        );
        assert_eq!(station.exchange.peer(&A).expect("a peer").channels.len(), CHANNELS_MAX);
        let heads = sure(station.exchange.heads(&station.records, &A));
        assert!(heads.held.len() <= crate::body::HELD_MAX);
    }

    /// Both sides went back: the correspondent holds another event where this station has its own.
    #[test]
    fn documents_after_the_place_where_histories_part_are_sent_anew_once() {
        let given = [sends(1), sends(2), greets(), sends(3)];
        let places: Vec<Place> = (1..=4).map(|counter| sent_place(&given, 0, counter)).collect();
        let mut station = Station::new(ME);
        let settled = From(receipt(0, 1, &[places[0], places[1], places[3]], &[]));
        let back = Raised(0, RestoreReason::Tool);
        for (n, fact) in given.into_iter().chain([settled, back]).enumerate() {
            happen(&mut station, &fact, Millis(n as u64));
        }
        let to_send = |station: &Station, held: &[Place]| -> Vec<u64> {
            let heads = Heads { held: held.to_vec(), ..Heads::default() };
            let rows = sure(station.exchange.to_send_anew(&station.records, &A, &heads));
            rows.iter().map(|row| row.place.counter.0).collect()
        };
        assert_eq!(to_send(&station, &[places[3], invented(0, 2)]), [0; 0], "the newest place is known");
        assert_eq!(to_send(&station, &[]), [0; 0], "what is not held at all is refilled as it is");
        assert_eq!(to_send(&station, &[invented(0, 4), places[0]]), [2, 4]);
        assert_eq!(to_send(&station, &[invented(0, 4)]), [1, 2, 4], "no common place is named");
        let entries = [2, 4].map(|counter| SentPlace {
            to: A,
            incarnation: Incarnation::FIRST,
            counter: Counter(counter),
        });
        let drafts = station.exchange.status_drafts(StatusCode::SentAnew, &entries, None, None);
        let lines = happen(&mut station, &Own(drafts[0].clone()), Millis(1));
        assert_eq!(lines, ["sent anew 0/2", "sent anew 0/4"]);
        assert_eq!(to_send(&station, &[invented(0, 4), places[0]]), [0; 0], "once");
        assert_eq!(station.replayed().hash(), station.hash(), "P7");
    }

    #[test]
    fn head_samples_an_ended_incarnation_ever_farther_back() {
        let mut station = Station::new(ME);
        for counter in 1..=100 {
            station.take(Class::Received, &doc(0, counter));
        }
        let counters = |station: &Station| -> Vec<(u64, u64)> {
            let heads = sure(station.exchange.heads(&station.records, &A));
            heads.held.iter().map(|place| (place.incarnation.ordinal(), place.counter.0)).collect()
        };
        assert_eq!(counters(&station), [(0, 100)]);
        station.take(Class::Received, &restored(1, 0, None, vec![]));
        assert_eq!(counters(&station), [(0, 100), (0, 99), (0, 96), (0, 84), (0, 36), (1, 1)]);
    }

    #[test]
    fn refused_by_a_relay_is_an_alarm_with_its_words() {
        let mut station = Station::new(ME);
        happen(&mut station, &sends(1), Millis(0));
        let entries = [SentPlace { to: A, incarnation: Incarnation::FIRST, counter: Counter(1) }];
        let drafts =
            station.exchange.status_drafts(StatusCode::RefusedByRelay, &entries, None, Some("quota"));
        assert_eq!(happen(&mut station, &Own(drafts[0].clone()), Millis(1)), ["alarm: refused 1: quota"]);
        assert!(station.records.sent_rows().all(|row| row.open));
    }
}
