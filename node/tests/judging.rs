//! What signatures are worth at a station: judged when a document comes, again when something newer does, told to whom
//! it concerns; and how a station changes its own key.

mod station;

use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use node::Node;
use node::sealing::{Sealing as _, SealingKeys};
use node::step::{Answer, Effect, ImportSummary, Input, Ticket};
use node::store::{Reader, Store};
use schema::body::{
    Assignment, Body, Dispatch, FindingCode, Heads, Judgement, KeyPurpose, LegalValue, PaperDocument, Place,
    Receipt, SlipPart,
};
use schema::document::{DocumentType, Manifest, Signer};
use schema::event::{
    Addressee, Event, Kind, RecordedEvent, UnverifiedEvent, Urgency, VerifiedEvent, Verifier, key_id, seal,
};
use schema::exchange::{Arrival, Command, Entry, Exchange, Refusal, Work};
use schema::handling::{Actor, BookId, Direction, Role};
use schema::id::{
    Counter, DocumentId, EventId, Incarnation, KeyId, OfficeId, Position, RegionId, Seq, WorkId,
};
use schema::inbound;
use schema::pack::{Message, PackItem};
use schema::registry::{Item, Registry, Taken};
use schema::stamp::{Stamp, stamp};
use schema::time::{Day, Millis};
use schema::trust::{Item as Checked, Language, Outcome, Preparation};
use station::certified::{BEGAN, ENDS, Registrar, Revoked, Why};
use station::{RECIPIENT, SENDER, directory, key, keys, office_id, registry, stamp_key};

/// 2025-06-10T00:00:00Z.
const DAY: Millis = Millis(1_749_513_600_000);
const SENDERS_SERIAL: u64 = 10;
const OFFICERS_SERIAL: u64 = 50;

fn p01() -> RegionId {
    "p01".parse().expect("a region")
}

fn hours(n: u64) -> Millis {
    DAY.plus(n * Millis::HOUR)
}

/// What the authority's second list says.
fn list(revoked: &[(u64, Millis, Why)]) -> Item {
    let entry = |&(serial, at, why): &(u64, Millis, Why)| Revoked { serial, at, why };
    let revoked: Vec<Revoked> = revoked.iter().map(entry).collect();
    Registrar::new().list(2, (hours(20), ENDS), &revoked)
}

/// The office that writes, without a station of its own.
struct Writer {
    key: SigningKey,
    seq: u64,
    head: EventId,
}

impl Writer {
    fn new() -> Self {
        Self { key: key(SENDER), seq: 0, head: EventId::NONE }
    }

    fn write(&mut self, dispatch: Dispatch, claimed_at: Millis) -> VerifiedEvent {
        self.write_body(&Body::Dispatch(dispatch), claimed_at)
    }

    fn write_body(&mut self, body: &Body, claimed_at: Millis) -> VerifiedEvent {
        self.seq += 1;
        let event = Event {
            office: office_id(SENDER),
            incarnation: Incarnation::FIRST,
            seq: Seq(self.seq),
            prev: self.head,
            claimed_at,
            kind: body.kind().expect("a known kind"),
            urgency: Urgency::Normal,
            to: vec![Addressee { office: office_id(RECIPIENT), counter: Counter(self.seq) }],
            seen: Vec::new(),
            blobs: Vec::new(),
            body: body.encode().expect("a known kind"),
            sealed: None,
            archive: None,
            content: None,
        };
        let event = seal(event, &self.key).expect("a sound event");
        self.head = event.id();
        event
    }

    /// A letter that nobody but the office signed.
    fn letter(&mut self, claimed_at: Millis) -> VerifiedEvent {
        self.write(Dispatch::unsigned(manifest(SENDER, self.seq)), claimed_at)
    }
}

fn manifest(issuer: u8, n: u64) -> Manifest {
    let document = DocumentId::new((u128::from(issuer) << 64 | u128::from(n)).to_be_bytes());
    let (subject, signer) = (format!("V/v kiểm tra hồ chứa số {n}"), Signer::head("Chủ tịch", "Vàng A Sáng"));
    Manifest::new(document, office_id(issuer), DocumentType::OfficialLetter, subject, signer)
}

/// A person with a certificate.
struct Officer {
    key: SigningKey,
    certificate: Vec<u8>,
}

impl Officer {
    fn of(registrar: &Registrar) -> Self {
        let key = SigningKey::from_bytes(&[0x5a; 32]);
        let certificate = registrar.officer(key.verifying_key().to_bytes(), OFFICERS_SERIAL, (BEGAN, ENDS));
        Self { key, certificate }
    }

    fn sign(&self, content: &[u8], at: Millis) -> Vec<u8> {
        let preparation = Preparation::new(content, &self.certificate, at).expect("an officer");
        let signature = self.key.sign(preparation.to_be_signed()).to_bytes();
        preparation.finish(&signature, &[]).expect("a signature")
    }
}

/// A station that receives, on a real store.
struct Receiver {
    node: Node,
    folder: tempfile::TempDir,
}

impl Receiver {
    fn new() -> Self {
        Self::of(RECIPIENT)
    }

    fn of(n: u8) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let node = Self::open(&folder, n, registry("nats://127.0.0.1:1"));
        Self { node, folder }
    }

    fn open(folder: &tempfile::TempDir, n: u8, registry: Arc<Registry>) -> Node {
        let store = Store::open(&folder.path().join("tram.db")).expect("a store");
        Node::open(store, key(n), registry, office_id(n), [n; 32], DAY).expect("a node")
    }

    /// After a crash: nothing that was only in memory is left.
    fn reopened(self) -> Self {
        let Self { node, folder } = self;
        let (me, registry) = (node.me(), Arc::clone(node.registry()));
        drop(node);
        let node = Self::open(&folder, me.as_bytes()[0], registry);
        Self { node, folder }
    }

    /// What a screen reads beside the running station.
    fn reader(&self) -> Reader {
        Reader::open(&self.folder.path().join("tram.db")).expect("a reader")
    }

    /// An event comes, with these stamps.
    fn take(&mut self, event: &VerifiedEvent, stamps: Vec<Stamp>, now: Millis) -> ImportSummary {
        let item = PackItem { stamps, ..PackItem::new(0, event.bytes()) };
        let verifier = Verifier::new(Arc::clone(self.node.registry()));
        let opened = inbound::open(&verifier, &Message::Pack(vec![item]).encode()).expect("a pack");
        let effects = self.step(Input::Imported { ticket: Ticket(1), opened }, now);
        let answers = effects.into_iter().filter_map(|effect| match effect {
            Effect::Answer { answer: Answer::Imported(summary), .. } => Some(summary),
            _ => None,
        });
        answers.last().expect("an answer")
    }

    /// Something newer comes into the registry.
    fn learn(&mut self, items: Vec<Item>, now: Millis) -> Vec<Effect> {
        let (registry, outcomes) = self.node.registry().with(items.clone());
        for (_, outcome) in outcomes {
            assert!(matches!(outcome, Ok(Taken::New)), "{outcome:?}");
        }
        self.step(Input::Registry { registry: Arc::new(registry), items }, now)
    }

    fn step(&mut self, input: Input, now: Millis) -> Vec<Effect> {
        let mut effects = self.node.step(vec![input], now).expect("a step");
        while self.node.wakeup().is_some_and(|at| at <= now) {
            effects.extend(self.node.step(vec![Input::Tick], now).expect("a step"));
        }
        effects
    }

    fn journal(&self) -> Vec<RecordedEvent> {
        let entries = self.node.store().journal(Position(1), 10_000).expect("a journal");
        entries.iter().map(|entry| RecordedEvent::read(&entry.bytes).expect("an event")).collect()
    }

    fn own_bodies(&self) -> Vec<(Vec<OfficeId>, Body)> {
        let own = self.journal().into_iter().filter(|recorded| recorded.event.office == self.node.me());
        let read = |recorded: RecordedEvent| {
            let to = recorded.event.to.iter().map(|to| to.office).collect();
            (to, Body::read(recorded.version, &recorded.event).expect("a body"))
        };
        own.map(read).collect()
    }

    /// Every judgement in the journal: about which event, and to whom it was told.
    fn judgements(&self) -> Vec<(Judgement, Vec<OfficeId>)> {
        let bodies = self.own_bodies().into_iter().filter_map(|(to, body)| match body {
            Body::Verdict(verdicts) => Some((to, verdicts.entries)),
            _ => None,
        });
        bodies.flat_map(|(to, entries)| entries.into_iter().map(move |entry| (entry, to.clone()))).collect()
    }

    fn outcomes(&self) -> Vec<Outcome> {
        self.judgements().iter().map(|(judgement, _)| judgement.outcome()).collect()
    }
}

fn stamped(event: &VerifiedEvent, at: Millis) -> Vec<Stamp> {
    stamp(&p01(), at, &[event.id()], &stamp_key())
}

fn finding(judgement: &Judgement, layer: usize, item: Checked) -> Outcome {
    let found = judgement.layers[layer].findings.iter().find(|f: &&FindingCode| f.item == item.number());
    found.expect("a finding").outcome
}

#[test]
fn document_is_judged_when_it_comes_as_of_the_time_a_relay_saw_it() {
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let (seen, unseen) = (writer.letter(hours(1)), writer.letter(hours(1)));
    receiver.take(&seen, stamped(&seen, hours(2)), hours(3));
    receiver.take(&unseen, Vec::new(), hours(3));
    assert_eq!(receiver.outcomes(), [Outcome::Valid, Outcome::Undetermined]);
    let (judgement, told) = receiver.judgements().swap_remove(0);
    assert_eq!(judgement.stamps[0].at, hours(2));
    assert!(judgement.open && told.is_empty());
}

/// No clock of the station decides: years off at both ends, the verdict is the same.
#[test]
fn clock_years_off_changes_no_verdict() {
    for now in [Millis(0), DAY, Millis(ENDS.0 + 40 * 365 * Millis::DAY)] {
        let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
        let letter = writer.letter(hours(1));
        receiver.take(&letter, stamped(&letter, hours(2)), now);
        assert_eq!(receiver.outcomes(), [Outcome::Valid], "{}", now.0);
    }
}

#[test]
fn key_that_nobody_certified_and_one_that_is_contested_bring_nothing_in() {
    let mut receiver = Receiver::new();
    let mut stranger = Writer { key: key(9), ..Writer::new() };
    let letter = stranger.letter(hours(1));
    let summary = receiver.take(&letter, stamped(&letter, hours(2)), hours(3));
    assert_eq!((summary.new, summary.refused), (0, 1));

    let public = key(9).verifying_key().to_bytes();
    let second = Registrar::new().certificate_for(office_id(SENDER), public, 60, (hours(4), ENDS));
    receiver.learn(vec![second], hours(5));
    let summary = receiver.take(&letter, stamped(&letter, hours(6)), hours(6));
    assert_eq!((summary.new, summary.refused), (0, 1), "certified, but nobody announced it");
    assert!(receiver.judgements().is_empty());
    let quarantined = receiver.reader().quarantine().expect("refused items");
    let [later, earlier] = &quarantined[..] else { panic!("{quarantined:?}") };
    assert!(
        later.reason.contains("nothing is accepted") && later.reason_vi.contains("Gọi điện"),
        "{later:?}"
    );
    assert!(earlier.reason_vi.contains("Chưa có chứng thư số cho khóa"), "{earlier:?}");
    let alarms = receiver.reader().alarms().expect("alarms");
    assert_eq!(alarms.iter().map(|alarm| alarm.key).collect::<Vec<_>>(), [Some(key_id(&public))]);
    let contested: Vec<_> = receiver
        .own_bodies()
        .into_iter()
        .filter_map(|(_, body)| match body {
            Body::RegistryChange(change) => Some(change.contested),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(contested.len(), 1);
    assert_eq!((contested[0].office, contested[0].key), (office_id(SENDER), key_id(&public)));
}

#[test]
fn newer_list_has_what_it_concerns_judged_again_and_the_sender_told() {
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let (before, after) = (writer.letter(hours(1)), writer.letter(hours(9)));
    receiver.take(&before, stamped(&before, hours(2)), hours(3));
    receiver.take(&after, stamped(&after, hours(10)), hours(11));
    assert_eq!(receiver.outcomes(), [Outcome::Valid, Outcome::Valid]);

    // The key was stolen between the two.
    receiver.learn(vec![list(&[(SENDERS_SERIAL, hours(5), Why::KeyCompromise)])], hours(21));
    let judged = receiver.judgements();
    let again: Vec<_> = judged[2..].iter().map(|(j, told)| (j.place.id, j.outcome(), told.clone())).collect();
    assert!(again.contains(&(after.id(), Outcome::Invalid, vec![office_id(SENDER)])), "{again:?}");
    let first = again.iter().find(|(id, ..)| *id == before.id()).expect("something else is known of it");
    assert_eq!((first.1, first.2.len()), (Outcome::Valid, 0), "a relay saw it before the theft");
    assert_eq!(again.len(), 2);
    let alarms = receiver.reader().alarms().expect("alarms");
    let worse = alarms.iter().find(|alarm| alarm.kind == "judged-worse").expect("somebody must look");
    let document = worse.document.as_ref().expect("it names the document");
    let carried = receiver.journal().into_iter().find(|recorded| recorded.id == after.id());
    let carried = carried.and_then(|recorded| match Body::read(recorded.version, &recorded.event) {
        Ok(Body::Dispatch(dispatch)) => Some(dispatch.manifest),
        _ => None,
    });
    let carried = carried.expect("the second letter");
    assert_eq!((document.document, &document.subject), (carried.document, &carried.subject));
    assert_eq!(worse.outcome, Some(Outcome::Invalid));
    // And nothing comes in under it any more without proof from before.
    let late = writer.letter(hours(22));
    assert_eq!(receiver.take(&late, stamped(&late, hours(23)), hours(23)).refused, 1);
    let early = writer.letter(hours(4));
    assert_eq!(receiver.take(&early, stamped(&early, hours(4)), hours(24)).new, 1);
}

#[test]
fn lists_that_contradict_each_other_are_told_once_and_kept() {
    let mut receiver = Receiver::new();
    let registrar = Registrar::new();
    // A number that the list of these tests has, too, and another content.
    let other = registrar.list(2, (hours(19), hours(900)), &[]);
    receiver.learn(vec![list(&[])], hours(21));
    receiver.learn(vec![other.clone()], hours(22));
    let told = |receiver: &Receiver| {
        let alarms = receiver.reader().alarms().expect("alarms");
        alarms.iter().filter(|alarm| alarm.kind == "contradicting-list").count()
    };
    assert_eq!(told(&receiver), 1);
    let kept = receiver.node.store().kept_items().expect("kept");
    assert!([list(&[]).id(), other.id()].iter().all(|id| kept.iter().any(|item| item.id() == *id)));
    let mut receiver = receiver.reopened();
    receiver.learn(Vec::new(), hours(23));
    assert_eq!(told(&receiver), 1);
}

#[test]
fn list_that_is_silent_about_a_signer_changes_nothing() {
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let letter = writer.letter(hours(1));
    receiver.take(&letter, stamped(&letter, hours(2)), hours(3));
    receiver.learn(vec![list(&[(99, hours(5), Why::KeyCompromise)])], hours(21));
    for (judgement, told) in &receiver.judgements() {
        assert_eq!((judgement.outcome(), told.len()), (Outcome::Valid, 0));
    }
    // Nothing is recorded about it either, and an auditor who has the newest list finds the same.
    assert_eq!(receiver.judgements().len(), 1);
    receiver.learn(vec![Registrar::new().list(3, (hours(30), ENDS), &[])], hours(31));
    let judgements = receiver.judgements();
    let [(known, _)] = &judgements[..] else { panic!("judged again for nothing: {judgements:?}") };
    let recorded = receiver.journal().into_iter().find(|recorded| recorded.id == letter.id()).expect("held");
    let again = receiver.node.registry().judge_event(&recorded, known.place, known.stamps.clone()).judgement;
    assert!(again.agrees_with(known), "{again:?} against {known:?}");
    assert_ne!(again.layers, known.layers, "the newest list is another one");
}

#[test]
fn authority_that_lost_its_key_leaves_only_what_was_proven_before() {
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let [early, late] = [1, 9].map(|hour| {
        let letter = writer.letter(hours(hour));
        receiver.take(&letter, stamped(&letter, hours(hour + 1)), hours(hour + 2));
        letter.id()
    });
    assert_eq!(receiver.outcomes(), [Outcome::Valid; 2]);
    let lost = Revoked { serial: Registrar::AUTHORITY_SERIAL, at: hours(5), why: Why::CaCompromise };
    receiver.learn(vec![Registrar::new().root_list(2, (hours(20), ENDS), &[lost])], hours(21));
    let judgements = receiver.judgements();
    let last = |id| {
        let mut of_it = judgements.iter().filter(|(judgement, _)| judgement.place.id == id);
        let (judgement, told) = of_it.next_back().expect("judged");
        (judgement.outcome(), told.len())
    };
    assert_eq!(last(late), (Outcome::Undetermined, 1), "the sender is asked to confirm it again");
    assert_eq!(last(early).0, last(early).0);
    assert!(last(early).0 != Outcome::Invalid, "{:?}", last(early));
}

#[test]
fn suspended_key_makes_documents_undetermined_and_its_release_valid_again() {
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    receiver.learn(vec![list(&[(SENDERS_SERIAL, hours(1), Why::CertificateHold)])], hours(21));
    let letter = writer.letter(hours(22));
    receiver.take(&letter, stamped(&letter, hours(23)), hours(24));
    assert_eq!(receiver.outcomes(), [Outcome::Undetermined], "it comes in all the same");
    receiver.learn(vec![Registrar::new().list(3, (hours(30), ENDS), &[])], hours(31));
    assert_eq!(receiver.outcomes().last(), Some(&Outcome::Valid));
    assert!(receiver.judgements().iter().all(|(_, told)| told.is_empty()), "better news is no alarm");
}

/// The sender was told of bad news that is over. Then both stations go back, and what was told is lost.
#[test]
fn what_is_told_again_is_what_is_known_now() {
    const RECIPIENTS_SERIAL: u64 = 11;
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let letter = writer.letter(hours(1));
    receiver.take(&letter, stamped(&letter, hours(2)), hours(3));
    receiver.learn(vec![list(&[(SENDERS_SERIAL, hours(1), Why::CertificateHold)])], hours(21));
    receiver.learn(vec![Registrar::new().list(3, (hours(30), ENDS), &[])], hours(31));
    assert_eq!(receiver.outcomes(), [Outcome::Valid, Outcome::Undetermined, Outcome::Valid]);

    let told = receiver.journal().into_iter().find_map(|recorded| {
        let place = Place {
            incarnation: recorded.event.incarnation,
            counter: recorded.event.counter_for(&office_id(SENDER))?,
            id: recorded.id,
        };
        (recorded.event.kind == Kind::Verdict).then_some(place)
    });
    let told = told.expect("it was told");
    let receipt = Receipt { entries: vec![told], heads: Heads::default(), stamps: Vec::new() };
    let receipt = writer.write_body(&Body::Receipt(receipt), hours(32));
    assert_eq!(receiver.take(&receipt, Vec::new(), hours(32)).new, 1);

    let next = SigningKey::from_bytes(&[0x78; 32]);
    let public = next.verifying_key().to_bytes();
    receiver.node = receiver.node.with_next_key(Some(next));
    let lost = [Revoked { serial: RECIPIENTS_SERIAL, at: hours(33), why: Why::KeyCompromise }];
    let lost = Registrar::new().list(4, (hours(33), ENDS), &lost);
    let certificate = Registrar::new().certificate_for(office_id(RECIPIENT), public, 60, (hours(33), ENDS));
    receiver.learn(vec![lost, certificate], hours(34));
    assert_eq!(receiver.node.exchange().incarnation().ordinal(), 1);
    let elsewhere = Place { id: EventId::new([0x55; 32]), ..told };
    let head = Body::Head(Heads { held: vec![elsewhere], ..Heads::default() });
    let head = writer.write_body(&head, hours(35));
    assert_eq!(receiver.take(&head, Vec::new(), hours(35)).new, 1);
    let (judgement, told) = receiver.judgements().pop().expect("a judgement");
    assert_eq!((judgement.outcome(), told), (Outcome::Valid, vec![office_id(SENDER)]));
}

#[test]
fn crash_between_a_list_and_its_judgements_forgets_none() {
    const LETTERS: usize = 300; // more than one portion
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    for _ in 0..LETTERS {
        let letter = writer.letter(hours(9));
        receiver.take(&letter, stamped(&letter, hours(10)), hours(11));
    }
    let items = vec![list(&[(SENDERS_SERIAL, hours(5), Why::KeyCompromise)])];
    let (registry, _) = receiver.node.registry().with(items.clone());
    let input = Input::Registry { registry: Arc::new(registry), items };
    receiver.node.step(vec![input], hours(21)).expect("one step, and then the power goes");
    let invalid = |r: &Receiver| r.outcomes().iter().filter(|outcome| **outcome == Outcome::Invalid).count();
    let first = invalid(&receiver);
    assert!(first > 0 && first < LETTERS, "{first}");
    let mut receiver = receiver.reopened();
    receiver.step(Input::Tick, hours(22));
    assert_eq!(invalid(&receiver), LETTERS);
}

#[test]
fn proof_that_comes_late_counts() {
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let letter = writer.letter(hours(1));
    receiver.take(&letter, Vec::new(), hours(3));
    assert_eq!(receiver.outcomes(), [Outcome::Undetermined], "by courier");
    receiver.take(&letter, stamped(&letter, hours(2)), hours(4));
    assert_eq!(receiver.outcomes(), [Outcome::Undetermined, Outcome::Valid]);
    // The same again, and a later one, say nothing new.
    receiver.take(&letter, stamped(&letter, hours(2)), hours(5));
    receiver.take(&letter, stamped(&letter, hours(4)), hours(5));
    assert_eq!(receiver.outcomes().len(), 2);
}

/// A relay whose clock stands before the certificate began proves nothing, and keeps out nobody's better word.
#[test]
fn relay_with_a_wrong_clock_keeps_out_no_better_stamp() {
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let letter = writer.letter(hours(1));
    receiver.take(&letter, stamped(&letter, Millis(BEGAN.0 - Millis::DAY)), hours(3));
    assert_eq!(receiver.outcomes(), [Outcome::Undetermined]);
    receiver.take(&letter, stamped(&letter, Millis(BEGAN.0 - Millis::HOUR)), hours(4));
    assert_eq!(receiver.outcomes().last(), Some(&Outcome::Undetermined));
    // The directory of these tests names one region; the same relay, with its clock mended.
    let found = receiver.take(&letter, stamped(&letter, hours(2)), hours(5));
    assert_eq!(found.repeated, 1);
    assert_eq!(receiver.outcomes().last(), Some(&Outcome::Valid));
}

#[test]
fn stamp_of_an_unknown_key_proves_nothing() {
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let letter = writer.letter(hours(1));
    let forged = stamp(&p01(), hours(2), &[letter.id()], &key(9));
    receiver.take(&letter, forged, hours(3));
    assert_eq!(receiver.outcomes(), [Outcome::Undetermined]);
    assert!(receiver.judgements()[0].0.stamps.is_empty());
}

#[test]
fn signature_of_a_person_is_judged_beside_the_offices() {
    let officer = Officer::of(&Registrar::new());
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let frozen = manifest(SENDER, 1);
    let sound = officer.sign(&frozen.encode(), hours(1));
    let of_another = officer.sign(&manifest(SENDER, 2).encode(), hours(1));
    let mut expected = Vec::new();
    let another = |n| Manifest { document: DocumentId::new([n; 16]), ..frozen.clone() };
    for (manifest, signature, outcome) in [
        (frozen.clone(), sound, Outcome::Valid),
        (another(1), of_another, Outcome::Invalid),
        (another(2), b"no signature".to_vec(), Outcome::Invalid),
    ] {
        let dispatch = Dispatch { signatures: vec![signature.into()], ..Dispatch::unsigned(manifest) };
        let letter = writer.write(dispatch, hours(1));
        receiver.take(&letter, stamped(&letter, hours(2)), hours(3));
        expected.push(outcome);
    }
    let judged = receiver.judgements();
    assert_eq!(receiver.outcomes(), expected);
    for (judgement, _) in &judged {
        assert_eq!(judgement.layers[0].outcome(), Outcome::Valid, "the office's own");
    }
    assert_eq!(finding(&judged[1].0, 1, Checked::Content), Outcome::Invalid);
    assert_eq!(finding(&judged[1].0, 1, Checked::Signature), Outcome::Valid);
    assert_eq!(finding(&judged[2].0, 1, Checked::Signature), Outcome::Invalid);
    // The person's card is stolen, and it is said since when: what a relay saw before stays good.
    receiver.learn(vec![list(&[(OFFICERS_SERIAL, Millis(hours(1).0 + 1), Why::KeyCompromise)])], hours(21));
    let (last, told) =
        receiver.judgements().into_iter().rfind(|(j, _)| j.place.counter == Counter(1)).expect("it");
    assert_eq!((last.outcome(), told), (Outcome::Invalid, vec![office_id(SENDER)]));
    assert_eq!(last.layers[0].outcome(), Outcome::Valid);
}

/// As an original only with both signatures, each of them valid (Decree 30/2020 article 5).
#[test]
fn c4_document_without_both_signatures_is_only_for_reference() {
    let officer = Officer::of(&Registrar::new());
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let frozen = manifest(SENDER, 7);
    let signed = |manifest: Manifest| {
        let signatures = vec![officer.sign(&manifest.encode(), hours(1)).into()];
        Dispatch { signatures, ..Dispatch::unsigned(manifest) }
    };
    let unsigned = writer.letter(hours(1));
    let both = writer.write(signed(frozen.clone()), hours(1));
    let unproven = writer.write(signed(Manifest { document: DocumentId::new([8; 16]), ..frozen }), hours(1));
    receiver.take(&unsigned, stamped(&unsigned, hours(2)), hours(3));
    receiver.take(&both, stamped(&both, hours(2)), hours(3));
    receiver.take(&unproven, Vec::new(), hours(3));
    let values = |receiver: &Receiver| -> Vec<LegalValue> {
        receiver.judgements().iter().map(|(judgement, _)| judgement.legal_value()).collect()
    };
    let expected = [LegalValue::ForReference, LegalValue::AsOriginal, LegalValue::Undetermined];
    assert_eq!(values(&receiver), expected);
    receiver.learn(vec![list(&[(OFFICERS_SERIAL, hours(1), Why::KeyCompromise)])], hours(21));
    assert_eq!(values(&receiver).last(), Some(&LegalValue::ForReference), "{:?}", values(&receiver));
}

#[test]
fn persons_card_revoked_after_the_proof_changes_nothing() {
    let officer = Officer::of(&Registrar::new());
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let frozen = manifest(SENDER, 1);
    let signatures = vec![officer.sign(&frozen.encode(), hours(1)).into()];
    let letter = writer.write(Dispatch { signatures, ..Dispatch::unsigned(frozen) }, hours(1));
    receiver.take(&letter, stamped(&letter, hours(2)), hours(3));
    receiver.learn(vec![list(&[(OFFICERS_SERIAL, hours(5), Why::KeyCompromise)])], hours(21));
    let (last, told) = receiver.judgements().pop().expect("judged");
    assert_eq!((last.outcome(), told.len()), (Outcome::Valid, 0));
}

#[test]
fn station_sends_no_signature_that_would_be_invalid_everywhere() {
    let officer = Officer::of(&Registrar::new());
    let mut station = Receiver::of(SENDER);
    let command = |station: &mut Receiver, signatures: Vec<Vec<u8>>| {
        let signatures = signatures.into_iter().map(Into::into).collect();
        let dispatch = Dispatch { signatures, ..Dispatch::unsigned(manifest(SENDER, 1)) };
        let command = Command::Dispatch {
            by: None,
            to: vec![office_id(RECIPIENT)],
            dispatch: Box::new(dispatch),
            reference_only: true,
        };
        let mut effects = station.step(Input::Command { ticket: Ticket(1), command }, hours(3));
        let Some(Effect::Answer { answer, .. }) = effects.pop() else { panic!("no answer") };
        answer
    };
    let sound = officer.sign(&manifest(SENDER, 1).encode(), hours(1));
    let other = officer.sign(&manifest(SENDER, 2).encode(), hours(1));
    let refused = command(&mut station, vec![sound.clone(), other]);
    let Answer::Refused(Refusal::SignatureInvalid { number: 2, why }) = refused else {
        panic!("{refused:?}")
    };
    assert!(why.told(Language::Vietnamese).contains("văn bản"), "{}", why.told(Language::Vietnamese));
    // A stranger's: nobody trusted certified the key.
    let stranger = Officer::of(&Registrar::impostor()).sign(&manifest(SENDER, 1).encode(), hours(1));
    let refused = command(&mut station, vec![stranger]);
    assert!(matches!(refused, Answer::Refused(Refusal::SignatureInvalid { number: 1, .. })), "{refused:?}");
    assert!(station.journal().is_empty(), "nothing was recorded");
    let sent = command(&mut station, vec![sound]);
    assert!(
        matches!(sent, Answer::Dispatched { recipients: 1, .. }),
        "no proof of time yet, and it leaves: {sent:?}"
    );
}

/// The sealing key is said again by the key that follows, when the one that had said it counts no more: in one run of the station.
#[test]
fn sealing_key_is_announced_anew_when_the_key_that_announced_it_is_revoked() {
    let mut station = Receiver::of(SENDER);
    let next = SigningKey::from_bytes(&[0x77; 32]);
    let public = next.verifying_key().to_bytes();
    let sealing = Arc::new(SealingKeys::generate().expect("a key"));
    let sealed = sealing.key();
    station.node = station.node.with_next_key(Some(next)).with_sealing(sealing, true);
    let announced = |effects: Vec<Effect>| -> Vec<Item> {
        let items = effects.into_iter().filter_map(|effect| match effect {
            Effect::Announce { item } => Some(item),
            _ => None,
        });
        items.collect()
    };
    let same = Arc::clone(station.node.registry());
    let items = announced(station.step(Input::Registry { registry: same, items: Vec::new() }, hours(1)));
    assert_eq!(items.len(), 2, "the next signing key, and the sealing key");
    assert_eq!(announced(station.learn(items, hours(1))).len(), 0, "said twice");
    assert_eq!(station.node.registry().sealing_key(&office_id(SENDER)), Some(sealed));
    let certificate = Registrar::new().certificate_for(office_id(SENDER), public, 60, (hours(2), ENDS));
    station.learn(vec![certificate], hours(3));
    let revoked = list(&[(SENDERS_SERIAL, hours(4), Why::KeyCompromise)]);
    let items = announced(station.learn(vec![revoked], hours(21)));
    assert_eq!(station.node.registry().sealing_key(&office_id(SENDER)), None, "a revoked key has said it");
    station.learn(items, hours(21));
    assert_eq!(station.node.registry().sealing_key(&office_id(SENDER)), Some(sealed));
}

#[test]
fn next_key_is_announced_before_it_is_certified_and_used_afterwards() {
    let mut station = Receiver::of(SENDER);
    let next = SigningKey::from_bytes(&[0x77; 32]);
    let public = next.verifying_key().to_bytes();
    station.node = station.node.with_next_key(Some(next));
    let same = Arc::clone(station.node.registry());
    let effects = station.step(Input::Registry { registry: same, items: Vec::new() }, hours(1));
    let announced: Vec<Item> = effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Announce { item } => Some(item),
            _ => None,
        })
        .collect();
    assert_eq!(announced.len(), 1);
    // What the keeper gives back does not have it announced once more, nor does a start.
    station.learn(announced.clone(), hours(1));
    assert_eq!(announcements(&station), 1);

    // Whoever hears both never sees a key that is contested.
    let certificate = Registrar::new().certificate_for(office_id(SENDER), public, 60, (hours(2), ENDS));
    let mut receiver = Receiver::new();
    receiver.learn([announced, vec![certificate.clone()]].concat(), hours(3));
    assert_eq!(receiver.node.registry().contested().count(), 0);
    let effects = station.learn(vec![certificate], hours(3));
    assert!(effects.iter().any(|e| matches!(e, Effect::KeyChanged { public: new } if *new == public)));
    let said = said_of_keys(&station);
    let [old, new] = [key(SENDER).verifying_key().to_bytes(), public].map(|key| key_id(&key));
    assert_eq!(
        said,
        [(KeyPurpose::Signing, new, old), (KeyPurpose::SignedBefore, old, new)],
        "each says so of the other"
    );

    let mut writer = Writer { key: SigningKey::from_bytes(&[0x77; 32]), ..Writer::new() };
    let letter = writer.letter(hours(4));
    assert_eq!(receiver.take(&letter, stamped(&letter, hours(5)), hours(5)).new, 1);
    assert_eq!(receiver.outcomes(), [Outcome::Valid]);
}

/// What the station said about its keys: what, about which, with which.
fn said_of_keys(station: &Receiver) -> Vec<(KeyPurpose, KeyId, KeyId)> {
    let said = station.journal().into_iter().filter_map(|recorded| {
        match Body::read(recorded.version, &recorded.event) {
            Ok(Body::KeyAnnouncement(announcement)) => {
                Some((announcement.purpose, announcement.key_id(), recorded.key))
            }
            _ => None,
        }
    });
    said.collect()
}

/// Somebody who has the authority's key certifies a key of his own after the station's was lost. It counts until it is
/// revoked; the station does not vouch for it.
#[test]
fn station_confirms_no_key_that_it_never_had() {
    let [next, forged] = [0x78, 0x79].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let public = |key: &SigningKey| key.verifying_key().to_bytes();
    let registrar = Registrar::new();
    let certificate = |key: &SigningKey, serial, began| {
        registrar.certificate_for(office_id(SENDER), public(key), serial, (hours(began), ENDS))
    };
    let revoked = |serial, at| Revoked { serial, at: hours(at), why: Why::KeyCompromise };
    let mut station = Receiver::of(SENDER);
    let dispatch = Dispatch::unsigned(manifest(SENDER, 1));
    let command = Command::Dispatch {
        by: None,
        to: vec![office_id(RECIPIENT)],
        dispatch: Box::new(dispatch),
        reference_only: true,
    };
    station.step(Input::Command { ticket: Ticket(1), command }, hours(1));
    station.node = station.node.with_next_key(Some(next.clone()));
    let list = registrar.list(2, (hours(20), ENDS), &[revoked(SENDERS_SERIAL, 2)]);
    station.learn(vec![list, certificate(&forged, 61, 21)], hours(22));
    let list = registrar.list(3, (hours(23), ENDS), &[revoked(SENDERS_SERIAL, 2), revoked(61, 23)]);
    station.learn(vec![list, certificate(&next, 60, 24)], hours(25));
    let me = office_id(SENDER);
    let standing = |key| station.node.registry().counting_key(&me, key_id(&public(key))).is_ok();
    assert!(standing(&next) && standing(&forged), "the registry cannot tell them apart");
    let [old, new] = [public(&key(SENDER)), public(&next)].map(|key| key_id(&key));
    assert_eq!(said_of_keys(&station), [(KeyPurpose::SignedBefore, old, new)]);
}

fn announcements(station: &Receiver) -> usize {
    station.own_bodies().iter().filter(|(_, body)| matches!(body, Body::KeyAnnouncement(_))).count()
}

#[test]
fn station_whose_key_was_lost_announces_nothing_and_goes_on_in_a_new_life() {
    let mut station = Receiver::of(SENDER);
    let dispatch = Dispatch::unsigned(manifest(SENDER, 1));
    let command = Command::Dispatch {
        by: None,
        to: vec![office_id(RECIPIENT)],
        dispatch: Box::new(dispatch),
        reference_only: true,
    };
    station.step(Input::Command { ticket: Ticket(1), command }, hours(1));
    station.learn(vec![list(&[(SENDERS_SERIAL, hours(2), Why::KeyCompromise)])], hours(21));
    let next = SigningKey::from_bytes(&[0x78; 32]);
    let public = next.verifying_key().to_bytes();
    station.node = station.node.with_next_key(Some(next));
    let same = Arc::clone(station.node.registry());
    station.step(Input::Registry { registry: same, items: Vec::new() }, hours(22));
    assert_eq!(announcements(&station), 0, "nobody would believe it");

    let certificate = Registrar::new().certificate_for(office_id(SENDER), public, 60, (hours(22), ENDS));
    station.learn(vec![certificate], hours(23));
    assert_eq!(station.node.exchange().incarnation().ordinal(), 1);
    let new: Vec<Kind> = station
        .journal()
        .into_iter()
        .filter(|recorded| recorded.key == key_id(&public))
        .map(|recorded| recorded.event.kind)
        .collect();
    assert!(
        new.contains(&Kind::Restored) && new.contains(&Kind::Dispatch),
        "what nobody receipted goes again: {new:?}"
    );
}

/// What the judgement rests on is kept in the store: a registry file that was lost takes no verdict with it.
#[test]
fn keys_and_directory_of_these_tests_agree() {
    let registry = Registrar::new().registry(&directory("nats://127.0.0.1:1"), &keys());
    assert!(registry.has_station(&office_id(SENDER)) && registry.has_station(&office_id(RECIPIENT)));
}

/// H2: a register that is rebuilt from the journal alone has the same lines, byte for byte, and so has the slip of a document.
#[test]
fn h2_register_and_slip_are_the_same_after_a_rebuild_from_zero() {
    let (mut writer, mut receiver) = (Writer::new(), Receiver::new());
    let letter = writer.letter(hours(1));
    receiver.take(&letter, stamped(&letter, hours(2)), hours(3));
    let Ok(Body::Dispatch(Dispatch { manifest, .. })) = Body::read(letter.version(), letter.event()) else {
        panic!("a letter");
    };
    let document = manifest.document;
    let arrival = Arrival { from: office_id(SENDER), document };
    let paper = PaperDocument {
        author: "Điện lực Bắc Hà".to_owned(),
        code: "9/ĐL".to_owned(),
        issued_on: Day::in_vietnam(DAY),
        document_type: DocumentType::OfficialLetter,
        subject: "V/v cắt điện".to_owned(),
    };
    let assignment = Assignment {
        lead: "Công chức địa chính".to_owned(),
        with: vec!["Công an xã".to_owned()],
        due: Some(Day::in_vietnam(hours(72))),
        instruction: Some("Tham mưu trả lời.".to_owned()),
    };
    let opinion = "Đề xuất mời họp.".to_owned();
    let part = SlipPart::Handler;
    let direction = Direction::Incoming;
    for (n, (role, asked)) in (4..).zip([
        (Role::Clerk, Work::Register { arrival, book: None, undetermined: None }),
        (Role::Clerk, Work::RegisterPaper { id: WorkId::new([1; 16]), book: None, paper }),
        (
            Role::Clerk,
            Work::CancelNumber {
                id: WorkId::new([2; 16]),
                direction,
                book: None,
                reason: "Ghi nhầm".to_owned(),
            },
        ),
        (Role::Leader, Work::Assign { arrival, assignment }),
        (Role::Officer, Work::Start { arrival }),
        (Role::Officer, Work::Opine { arrival, part, opinion }),
    ]) {
        let by = Actor { name: "Lò Thị Mai".to_owned(), role };
        let command = Command::Work { by, work: asked };
        let effects = receiver.step(Input::Command { ticket: Ticket(n), command }, hours(n));
        let done = |effect: &Effect| matches!(effect, Effect::Answer { answer: Answer::Done(_), .. });
        assert!(effects.iter().any(done), "{effects:?}");
    }
    let shown = |reader: &Reader| {
        let book: BookId = "den".parse().expect("a register");
        let lines = reader.register(direction, &book, 2025, None, 200).expect("readable");
        let slip = reader.slip(&arrival.from, &document).expect("readable").expect("registered");
        assert_eq!((lines.rows.len(), slip.parts[2].notes.len()), (3, 2));
        serde_json::to_string(&(lines, slip)).expect("JSON")
    };
    let live = shown(&receiver.reader());
    assert!(live.contains("Tham mưu trả lời.") && live.contains("Đề xuất mời họp."), "{live}");

    let path = receiver.folder.path().join("again.db");
    let again = Store::open(&path).expect("a new store");
    let me = receiver.node.me();
    again.claim(me).expect("claimed");
    let mut exchange = Exchange::new(me);
    let verifier = Verifier::new(Arc::clone(receiver.node.registry()));
    for entry in receiver.node.store().journal(Position(1), 10_000).expect("a journal") {
        let event = UnverifiedEvent::parse(&entry.bytes).expect("an event");
        let event = verifier.verify_regained(event).expect("signed");
        again.begin().expect("begun");
        let position = again.append(entry.class, &event, entry.recorded_at).expect("appended");
        let (class, id, version) = (entry.class, event.id(), event.version());
        let row = Entry { position, class, id, version, event: event.event() };
        for change in exchange.evolve(&again, row).expect("readable") {
            again.apply(&change, position, entry.recorded_at).expect("applied");
        }
        let touched = exchange.peers().keys().copied().collect();
        again.save_exchange(&exchange, &touched).expect("saved");
        again.commit().expect("committed");
    }
    assert_eq!(again.state_hash(&exchange).expect("readable"), receiver.node.state_hash().expect("readable"));
    assert_eq!(shown(&Reader::open(&path).expect("a reader")), live);
}
