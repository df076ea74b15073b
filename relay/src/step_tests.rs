//! Given a country of three regions, when these messages come, then these effects follow.

#[path = "../../schema/tests/certified/mod.rs"]
mod certified;
#[path = "../../schema/tests/secret/mod.rs"]
mod secret;

use super::*;
use certified::{BEGAN, ENDS, Registrar, Revoked, Why};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use schema::directory::{Directory, DirectoryBuilder, Name, Office, Region, Validity};
use schema::event::{Addressee, Event, Kind, RecordedEvent, Urgency, VerifiedEvent, Verifier, seal};
use schema::id::Counter;
use schema::inbound::open;

const NOW: Millis = Millis(1_700_000_000_000);

fn region(name: &str) -> RegionId {
    name.parse().expect("a region")
}

fn office(n: u8) -> OfficeId {
    OfficeId::new([n; 16])
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

/// Offices 1 to 3 live in `a`, 4 to 6 in `b`, 7 in `b` and `c`, 8 in `a` and `c`; 9 has no relay.
fn directory() -> Arc<Directory> {
    let mut builder = DirectoryBuilder::new();
    for name in ["a", "b", "c"] {
        let url = format!("nats://{name}.example:4222");
        let stamp_key = Some(stamp_key(name).verifying_key().to_bytes());
        builder.region(Region { id: region(name), name: name.to_owned(), url, login: None, stamp_key });
    }
    let homes: [&[&str]; 9] = [&["a"], &["a"], &["a"], &["b"], &["b"], &["b"], &["b", "c"], &["a", "c"], &[]];
    for (n, homes) in (1..).zip(homes) {
        let mut entry = Office::new(office(n));
        entry.names.push(Name { text: format!("Xã {n}"), validity: Validity::ALWAYS });
        if !homes.is_empty() {
            entry.relays = homes.iter().map(|name| region(name)).collect();
        }
        builder.office(entry);
    }
    Arc::new(builder.build(1, Millis(0)).expect("a sound directory"))
}

fn stamp_key(name: &str) -> SigningKey {
    SigningKey::from_bytes(&[name.as_bytes()[0]; 32])
}

fn keys(offices: impl IntoIterator<Item = u8>) -> Vec<(OfficeId, [u8; 32])> {
    offices.into_iter().map(|n| (office(n), key(n).verifying_key().to_bytes())).collect()
}

/// Everybody's key but that of office 9 is certified.
fn registry() -> Arc<Registry> {
    thread_local! {
        static REGISTRY: Arc<Registry> = Registrar::new().registry(&directory(), &keys(1..9));
    }
    REGISTRY.with(Arc::clone)
}

fn relay_by(name: &str, registry: Arc<Registry>) -> Relay {
    Relay::new(region(name), registry, Limits::default(), stamp_key(name), [7; 32])
}

fn relay(name: &str) -> Relay {
    relay_by(name, registry())
}

fn sealed(from: u8, seq: u64, to: &[u8], body: u8) -> VerifiedEvent {
    sealed_as(Kind::Dispatch, from, seq, to, body)
}

fn sealed_as(kind: Kind, from: u8, seq: u64, to: &[u8], body: u8) -> VerifiedEvent {
    let prev =
        if seq == 1 { EventId::NONE } else { EventId::new([u8::try_from(seq).unwrap_or(u8::MAX); 32]) };
    let event = Event {
        office: office(from),
        incarnation: Incarnation::FIRST,
        seq: Seq(seq * 2 - 1),
        prev,
        claimed_at: NOW,
        kind,
        urgency: Urgency::Normal,
        to: to.iter().map(|to| Addressee { office: office(*to), counter: Counter(seq) }).collect(),
        seen: Vec::new(),
        blobs: Vec::new(),
        body: vec![body],
        sealed: None,
        archive: None,
        content: None,
    };
    seal(event, &key(from)).expect("a sound event")
}

fn opened(message: &Message) -> (Result<Opened, MessageError>, Bytes) {
    opened_by(registry(), message)
}

fn opened_by(registry: Arc<Registry>, message: &Message) -> (Result<Opened, MessageError>, Bytes) {
    let bytes = message.encode();
    (open(&Verifier::new(registry), &bytes), bytes.into())
}

fn pack(attempt: u32, events: &[&VerifiedEvent]) -> Message {
    Message::Pack(events.iter().map(|event| PackItem::new(attempt, event.bytes())).collect())
}

fn from_office(n: u8, message: &Message) -> Input {
    let (opened, bytes) = opened(message);
    Input::FromOffice { office: office(n), token: Token(u64::from(n)), opened, bytes }
}

fn from_peer(name: &str, message: &Message) -> Input {
    let (opened, bytes) = opened(message);
    Input::FromPeer { region: region(name), token: Token(99), opened, bytes }
}

/// One line per effect: what a person would ask about it.
fn told(effects: &[Effect]) -> Vec<String> {
    let items = |message: &Bytes| match Message::parse(message).expect("our own message") {
        Message::Pack(items) => format!("{} events", items.len()),
        Message::Forward { path, items, .. } => {
            let path: Vec<_> = path.iter().map(RegionId::as_str).collect();
            format!("{} events for {} via {}", items.len(), items[0].only.len(), path.join(">"))
        }
        Message::Notices(notices) => notices[0].reason.chars().take(12).collect(),
    };
    let short = |office: &OfficeId| office.as_bytes()[0];
    let tell = |effect: &Effect| match effect {
        Effect::Deliver { office, message, .. } => format!("deliver {}: {}", short(office), items(message)),
        Effect::Forward { region, message, .. } => format!("forward {region}: {}", items(message)),
        Effect::Quarantine { reason, .. } => format!("quarantine {reason}"),
        Effect::Notify { office, message, .. } => format!("notify {}: {}", short(office), items(message)),
        Effect::Alarm(Alarm::Fork { .. }) => "alarm fork".to_owned(),
        Effect::Alarm(Alarm::NoRoom { .. }) => "alarm no room".to_owned(),
        Effect::Alarm(Alarm::ContestedKey { .. }) => "alarm contested key".to_owned(),
        Effect::Alarm(Alarm::ContradictingList { .. }) => "alarm contradicting list".to_owned(),
        Effect::Erase { token } => format!("erase {}", token.0),
        Effect::Ack { token } => format!("ack {}", token.0),
    };
    effects.iter().map(tell).collect()
}

fn check(mut relay: Relay, inputs: Vec<Input>, then: &[&str]) {
    assert_eq!(told(&relay.step(inputs, NOW)), then);
}

#[test]
fn event_goes_to_mailboxes_here_and_once_to_each_other_region() {
    let event = sealed(1, 1, &[2, 3, 4, 5, 7], 0);
    check(
        relay("a"),
        vec![from_office(1, &pack(0, &[&event]))],
        &["deliver 2: 1 events", "deliver 3: 1 events", "forward b: 1 events for 3 via a", "ack 1"],
    );
}

#[test]
fn batch_is_packed_anew_for_each_mailbox_and_keeps_the_senders_order() {
    let events: Vec<_> = (1..=100).map(|seq| sealed(1, seq, &[2], 0)).collect();
    let halves: Vec<Vec<&VerifiedEvent>> = vec![events[..50].iter().collect(), events[50..].iter().collect()];
    let mut relay = relay("a");
    let effects = relay.step(halves.iter().map(|half| from_office(1, &pack(0, half))).collect(), NOW);
    assert_eq!(told(&effects), ["deliver 2: 64 events", "deliver 2: 36 events", "ack 1", "ack 1"]);
    let mut seqs = Vec::new();
    for effect in &effects {
        if let Effect::Deliver { message, .. } = effect
            && let Ok(Message::Pack(items)) = Message::parse(message)
        {
            seqs.extend(
                items.iter().map(|item| RecordedEvent::read(&item.event).expect("an event").event.seq.0),
            );
        }
    }
    assert!(seqs.is_sorted() && seqs.len() == 100);
}

#[test]
fn repetition_tries_the_recipients_other_region() {
    let event = sealed(1, 1, &[7], 0);
    check(
        relay("a"),
        vec![from_office(1, &pack(0, &[&event]))],
        &["forward b: 1 events for 0 via a", "ack 1"],
    );
    check(
        relay("a"),
        vec![from_office(1, &pack(1, &[&event]))],
        &["forward c: 1 events for 0 via a", "ack 1"],
    );
}

#[test]
fn repetition_leaves_the_mailbox_here_and_also_tries_the_other_region() {
    let event = sealed(1, 1, &[8], 0);
    check(relay("a"), vec![from_office(1, &pack(0, &[&event]))], &["deliver 8: 1 events", "ack 1"]);
    check(
        relay("a"),
        vec![from_office(1, &pack(1, &[&event]))],
        &["deliver 8: 1 events", "forward c: 1 events for 0 via a", "ack 1"],
    );
}

#[test]
fn recipients_that_answered_are_left_alone() {
    let event = sealed(1, 1, &[2, 3, 4], 0);
    let item = PackItem { only: vec![office(3)], ..PackItem::new(2, event.bytes()) };
    check(relay("a"), vec![from_office(1, &Message::Pack(vec![item]))], &["deliver 3: 1 events", "ack 1"]);
}

#[test]
fn office_uploads_only_its_own_events() {
    let event = sealed(1, 1, &[2], 0);
    check(
        relay("a"),
        vec![from_office(3, &pack(0, &[&event]))],
        &["quarantine not-own", "notify 3: not-own: off", "ack 3"],
    );
}

#[test]
fn broken_items_are_kept_with_reasons_and_do_not_block_the_good_ones() {
    let (good, local) = (sealed(1, 1, &[2], 0), sealed(1, 2, &[], 0));
    let mut forged = sealed(1, 3, &[2], 0).bytes().to_vec();
    *forged.last_mut().expect("bytes") ^= 1;
    let mut message = pack(0, &[&good, &local]);
    if let Message::Pack(items) = &mut message {
        items.insert(0, PackItem::new(0, &forged));
        items.insert(0, PackItem::new(0, b"garbage"));
    }
    check(
        relay("a"),
        vec![from_office(1, &message)],
        &[
            "deliver 2: 1 events",
            "quarantine malformed",
            "quarantine unproven",
            "quarantine local-only",
            "notify 1: malformed: N",
            "ack 1",
        ],
    );
}

/// I1: what says that it is secret is told and kept nowhere, and what came with it goes its way.
#[test]
fn i1_secret_event_is_refused_and_its_message_is_erased() {
    let (good, marked) = (sealed(1, 1, &[2], 0), sealed(1, 2, &[2], 0));
    let mut message = pack(0, &[&good]);
    if let Message::Pack(items) = &mut message {
        items.push(PackItem::new(0, &secret::marked_secret(marked.bytes())));
    }
    let mut relay = relay("a");
    let effects = relay.step(vec![from_office(1, &message)], NOW);
    let expected = ["deliver 2: 1 events", "quarantine secret", "notify 1: secret: The ", "erase 1", "ack 1"];
    assert_eq!(told(&effects), expected);
    let kept =
        effects.iter().any(|effect| matches!(effect, Effect::Quarantine { bytes, .. } if !bytes.is_empty()));
    assert!(!kept, "its bytes are in quarantine");
    // Also when the whole message is refused for another reason.
    let told_too = Message::Forward {
        to: region("b"),
        path: vec![region("c")],
        items: match message {
            Message::Pack(items) => items,
            _ => Vec::new(),
        },
    };
    let effects = relay.step(vec![from_office(1, &told_too)], NOW);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Erase { .. })));
    let kept =
        effects.iter().any(|effect| matches!(effect, Effect::Quarantine { bytes, .. } if !bytes.is_empty()));
    assert!(!kept, "its bytes are in quarantine");
}

#[test]
fn unreadable_message_is_kept_and_acknowledged() {
    let bytes = Bytes::from_static(b"no message");
    let opened = open(&Verifier::new(registry()), &bytes);
    let input = Input::FromOffice { office: office(1), token: Token(5), opened, bytes };
    check(relay("a"), vec![input], &["quarantine malformed", "notify 1: malformed: n", "ack 5"]);
}

#[test]
fn unknown_recipient_does_not_block_the_known_one() {
    let event = sealed(1, 1, &[2, 9], 0);
    check(
        relay("a"),
        vec![from_office(1, &pack(0, &[&event]))],
        &["deliver 2: 1 events", "notify 1: unreachable:", "ack 1"],
    );
    let nobody = sealed(1, 2, &[9], 0);
    check(
        relay("a"),
        vec![from_office(1, &pack(0, &[&nobody]))],
        &["quarantine no-recipient", "notify 1: no-recipient", "ack 1"],
    );
}

#[test]
fn two_histories_are_both_delivered_and_alarmed_once() {
    let (one, other) = (sealed(1, 1, &[2], 0), sealed(1, 1, &[2], 1));
    let mut relay = relay("a");
    let effects = relay.step(vec![from_office(1, &pack(0, &[&one, &other]))], NOW);
    assert_eq!(told(&effects), ["deliver 2: 2 events", "quarantine fork", "alarm fork", "ack 1"]);
    let effects = relay.step(vec![from_office(1, &pack(1, &[&one, &other]))], NOW);
    assert_eq!(told(&effects), ["deliver 2: 2 events", "ack 1"]);
}

#[test]
fn used_up_allowance_sends_the_event_back_and_blocks_nobody() {
    let quota = Quota { events_per_hour: 1, bytes_per_hour: 1 << 20 };
    let limits = Limits { office: quota, peer: quota };
    let relay = Relay::new(region("a"), registry(), limits, stamp_key("a"), [7; 32]);
    let (one, two) = (sealed(1, 1, &[2], 0), sealed(1, 2, &[2], 0));
    let other = sealed(3, 1, &[2], 0);
    check(
        relay,
        vec![from_office(1, &pack(0, &[&one, &two])), from_office(3, &pack(0, &[&other]))],
        &["deliver 2: 2 events", "notify 1: over quota: ", "ack 1", "ack 3"],
    );
}

#[test]
fn forwarded_event_reaches_exactly_those_it_was_sent_for() {
    let event = sealed(1, 1, &[2, 4, 7], 0);
    let item = PackItem { only: vec![office(4)], ..PackItem::new(0, event.bytes()) };
    let message = Message::Forward { to: region("b"), path: vec![region("a")], items: vec![item] };
    check(relay("b"), vec![from_peer("a", &message)], &["deliver 4: 1 events", "ack 99"]);
}

#[test]
fn third_relay_passes_on_and_is_in_the_path() {
    let event = sealed(1, 1, &[4], 0);
    let items = vec![PackItem::new(0, event.bytes())];
    let message = Message::Forward { to: region("b"), path: vec![region("a")], items };
    check(relay("c"), vec![from_peer("a", &message)], &["forward b: 1 events for 0 via a>c", "ack 99"]);
}

#[test]
fn message_that_comes_back_is_a_loop() {
    let event = sealed(1, 1, &[4], 0);
    let items = vec![PackItem::new(0, event.bytes())];
    let path = vec![region("a"), region("c"), region("x")];
    let message = Message::Forward { to: region("b"), path, items };
    check(relay("c"), vec![from_peer("x", &message)], &["quarantine loop", "ack 99"]);
}

#[test]
fn peer_cannot_hide_itself_in_the_path_nor_use_the_offices_door() {
    let event = sealed(1, 1, &[4], 0);
    let items = vec![PackItem::new(0, event.bytes())];
    let message = Message::Forward { to: region("b"), path: vec![region("a")], items };
    check(relay("b"), vec![from_peer("c", &message)], &["quarantine wrong-door", "ack 99"]);
    check(relay("b"), vec![from_peer("a", &pack(0, &[&event]))], &["quarantine wrong-door", "ack 99"]);
    check(
        relay("a"),
        vec![from_office(1, &message)],
        &["quarantine wrong-door", "notify 1: wrong-door: ", "ack 1"],
    );
}

#[test]
fn courier_file_carries_anybodys_events() {
    let (opened, bytes) = opened(&pack(0, &[&sealed(4, 1, &[2], 0), &sealed(1, 1, &[4], 0)]));
    check(
        relay("a"),
        vec![Input::FromCourier { token: Token(1), opened, bytes }],
        &["deliver 2: 1 events", "forward b: 1 events for 0 via a", "ack 1"],
    );
}

#[test]
fn full_stream_tells_the_senders_and_lets_the_rest_go_on() {
    let mut relay = relay("a");
    let event = sealed(1, 1, &[4], 0);
    let effects = relay.step(vec![from_office(1, &pack(0, &[&event]))], NOW);
    let after = relay.refused(&effects[0], "maximum bytes exceeded");
    assert_eq!(told(&after), ["notify 1: no-room: no ", "alarm no room"]);
}

#[test]
fn broadcasts_in_one_pack_stay_below_the_message_limit() {
    // 64 events to 64 recipients each; half of them in another region, all named.
    let mut builder = DirectoryBuilder::from(&*directory());
    for n in 100..164 {
        let mut entry = Office::new(office(n));
        entry.names.push(Name { text: format!("Xã {n}"), validity: Validity::ALWAYS });
        entry.relays = vec![region(if n == 100 { "a" } else { "b" })];
        builder.office(entry);
    }
    let directory = Arc::new(builder.build(2, Millis(0)).expect("a sound directory"));
    let mut relay = relay_by("a", Registrar::new().registry(&directory, &keys(1..9)));
    let to: Vec<u8> = (100..164).collect();
    let events: Vec<_> = (1..=64).map(|seq| sealed(1, seq, &to, 0)).collect();
    let effects = relay.step(vec![from_office(1, &pack(0, &events.iter().collect::<Vec<_>>()))], NOW);
    let mut items = 0;
    for effect in &effects {
        if let Effect::Forward { message, .. } = effect {
            let Ok(Message::Forward { items: found, .. }) = Message::parse(message) else {
                panic!("the next relay refuses it")
            };
            items += found.len();
        }
    }
    assert_eq!(items, 64);
}

/// The stamps of every item that is delivered or forwarded, in order.
fn stamps_of(effects: &[Effect]) -> Vec<(EventId, Vec<Stamp>)> {
    let mut found = Vec::new();
    for effect in effects {
        let (Effect::Deliver { message, .. } | Effect::Forward { message, .. }) = effect else { continue };
        let (Ok(Message::Pack(items)) | Ok(Message::Forward { items, .. })) = Message::parse(message) else {
            panic!("our own message")
        };
        for item in items {
            found.push((RecordedEvent::read(&item.event).expect("an event").id, item.stamps));
        }
    }
    found
}

#[test]
fn what_wants_a_receipt_is_stamped_once_and_sixteen_share_a_signature() {
    let events: Vec<_> = (1..=20).map(|seq| sealed(1, seq, &[2], 0)).collect();
    let mut relay = relay("a");
    let effects = relay.step(vec![from_office(1, &pack(0, &events.iter().collect::<Vec<_>>()))], NOW);
    let stamped = stamps_of(&effects);
    assert_eq!(stamped.len(), 20);
    let verifier = Verifier::new(registry());
    let listed = directory().region(&region("a")).and_then(|region| region.stamp_key).expect("listed");
    let listed = ed25519_dalek::VerifyingKey::from_bytes(&listed).expect("a key");
    let mut signatures = BTreeMap::<_, usize>::new();
    for (id, stamps) in &stamped {
        assert_eq!(stamps.len(), 1, "one relay, one word");
        assert!(stamps[0].holds(id, &listed), "not by the key that the directory lists");
        let proof = verifier.proof(id, stamps.clone());
        assert_eq!((proof.at(), proof.by()), (Some(NOW), Some(&region("a"))));
        *signatures.entry(stamps[0].signature).or_default() += 1;
        let other = verifier.proof(&EventId::new([3; 32]), stamps.clone());
        assert_eq!(other.at(), None, "a stamp of one event counts for another");
    }
    let shares: BTreeSet<_> = signatures.into_values().collect();
    assert_eq!(shares, BTreeSet::from([4, 16]), "20 events in groups of at most 16");
}

fn forward_to(to: &str, event: &VerifiedEvent, stamps: Vec<Stamp>) -> Input {
    let item = PackItem { stamps, ..PackItem::new(0, event.bytes()) };
    from_peer("a", &Message::Forward { to: region(to), path: vec![region("a")], items: vec![item] })
}

fn stamped_by(name: &str, at: Millis, event: &VerifiedEvent) -> Stamp {
    stamp(&region(name), at, &[event.id()], &stamp_key(name)).remove(0)
}

#[test]
fn stamped_events_pass_as_they_are_and_what_wants_no_receipt_gets_no_stamp() {
    // Mailboxes here and on the way to elsewhere; nothing is added, nothing is lost.
    let event = sealed(1, 1, &[4], 0);
    let by_a = stamped_by("a", NOW, &event);
    for name in ["b", "c"] {
        let effects = relay(name).step(vec![forward_to("b", &event, vec![by_a.clone()])], Millis(NOW.0 + 5));
        assert_eq!(stamps_of(&effects), [(event.id(), vec![by_a.clone()])], "at `{name}`");
    }
    // What does not hold is nobody's word: left out, and a sound one put in its place.
    let forged = Stamp { at: Millis(5), ..by_a };
    let later = Millis(NOW.0 + 5);
    let effects = relay("b").step(vec![forward_to("b", &event, vec![forged])], later);
    assert_eq!(stamps_of(&effects), [(event.id(), vec![stamped_by("b", later, &event)])]);

    for kind in [Kind::Receipt, Kind::Head] {
        let event = sealed_as(kind, 1, 1, &[2, 4], 0);
        let effects = relay("a").step(vec![from_office(1, &pack(0, &[&event]))], NOW);
        assert_eq!(stamps_of(&effects), [(event.id(), vec![]), (event.id(), vec![])], "{kind:?}");
    }
}

#[test]
fn event_that_comes_twice_at_once_keeps_the_earliest_words_about_it() {
    let event = sealed(1, 1, &[4], 0);
    let plain = || from_office(1, &pack(0, &[&event]));
    let (early, late) = (Millis(NOW.0 - 9), Millis(NOW.0 - 1));
    let [by_a, by_c, late_by_c] =
        [stamped_by("a", late, &event), stamped_by("c", early, &event), stamped_by("c", late, &event)];
    let with = |stamps: &[&Stamp]| forward_to("b", &event, stamps.iter().copied().cloned().collect());
    for (inputs, wanted) in [
        (vec![with(&[&by_a]), plain()], vec![&by_a]),
        (vec![plain(), with(&[&by_a])], vec![&by_a]),
        (vec![with(&[&by_a]), with(&[&by_c])], vec![&by_c, &by_a]),
        (vec![with(&[&late_by_c]), with(&[&by_c, &by_a])], vec![&by_c, &by_a]),
        (vec![with(&[&by_c]), with(&[&late_by_c])], vec![&by_c]),
    ] {
        let effects = relay("b").step(inputs, NOW);
        let found = stamps_of(&effects);
        assert_eq!(found.len(), 2, "two copies");
        for (_, stamps) in found {
            assert_eq!(stamps.iter().collect::<Vec<_>>(), wanted);
        }
    }
}

#[test]
fn authority_that_contradicts_itself_is_alarmed_once() {
    let registrar = Registrar::new();
    let lists = [NOW, NOW.plus(1_000)].map(|made| registrar.list(2, (made, ENDS), &[]));
    let doubted = Arc::new(registry().with(lists.to_vec()).0);
    let mut relay = relay("a");
    let hear = |relay: &mut Relay| told(&relay.step(vec![Input::Registry(Arc::clone(&doubted))], NOW));
    assert_eq!(hear(&mut relay), ["alarm contradicting list"]);
    assert_eq!(hear(&mut relay), [""; 0], "told again");
}

#[test]
fn second_key_that_nobody_announced_is_alarmed_once_and_admits_nothing() {
    let registrar = Registrar::new();
    let twin = SigningKey::from_bytes(&[222; 32]);
    let second = registrar.certificate(office(1), twin.verifying_key().to_bytes(), 90);
    let contested = Arc::new(registry().with(vec![second]).0);
    let mut relay = relay("a");
    let hear = |relay: &mut Relay| told(&relay.step(vec![Input::Registry(Arc::clone(&contested))], NOW));
    assert_eq!(hear(&mut relay), ["alarm contested key"]);
    assert_eq!(hear(&mut relay), [""; 0], "told again");
    // Nor when something else is new; and a relay that starts with it tells it as well.
    let list = registrar.list(2, (NOW, ENDS), &[]);
    let newer = Arc::new(contested.with(vec![list]).0);
    assert_eq!(told(&relay.step(vec![Input::Registry(newer)], NOW)), [""; 0], "told again");
    assert_eq!(hear(&mut relay_by("a", Arc::clone(&contested))), ["alarm contested key"]);

    let mut event = RecordedEvent::read(sealed(1, 1, &[2], 0).bytes()).expect("an event").event;
    event.body = vec![9];
    let forged = seal(event, &twin).expect("sealed");
    let (opened, bytes) = opened_by(Arc::clone(&contested), &pack(0, &[&forged]));
    let input = Input::FromOffice { office: office(1), token: Token(1), opened, bytes };
    let effects = relay.step(vec![input], NOW);
    assert_eq!(told(&effects), ["quarantine unproven", "notify 1: unproven: Ke", "ack 1"]);
    let Effect::Quarantine { detail, bytes, .. } = &effects[0] else { panic!("{effects:?}") };
    assert!(detail.contains("neither announced") && **bytes == *forged.bytes(), "{detail}");
    // The key that was there first still counts.
    let (opened, bytes) = opened_by(contested, &pack(0, &[&sealed(1, 1, &[2], 0)]));
    let input = Input::FromOffice { office: office(1), token: Token(1), opened, bytes };
    assert_eq!(told(&relay.step(vec![input], NOW)), ["deliver 2: 1 events", "ack 1"]);
}

#[test]
fn revoked_key_admits_only_what_a_relay_saw_before_and_a_suspended_one_everything() {
    let event = sealed(1, 1, &[2], 0);
    let revoked_at = Millis(NOW.0 + Millis::DAY);
    let by = |why| {
        let revoked = Revoked { serial: 10, at: revoked_at, why };
        let list = Registrar::new().list(2, (revoked_at, ENDS), &[revoked]);
        Arc::new(registry().with(vec![list]).0)
    };
    let words = std::cell::RefCell::new(String::new());
    let admitted = |registry: &Arc<Registry>, stamps: Vec<Stamp>| {
        let item = PackItem { stamps, ..PackItem::new(0, event.bytes()) };
        let (opened, bytes) = opened_by(Arc::clone(registry), &Message::Pack(vec![item]));
        let input = Input::FromOffice { office: office(1), token: Token(1), opened, bytes };
        let effects = relay_by("a", Arc::clone(registry)).step(vec![input], revoked_at);
        if let Some(Effect::Quarantine { detail, .. }) = effects.first() {
            detail.clone_into(&mut words.borrow_mut());
        }
        told(&effects).first().cloned().expect("effects")
    };
    let at = |at: Millis| stamp(&region("b"), at, &[event.id()], &stamp_key("b"));
    for why in [Why::KeyCompromise, Why::Superseded] {
        let lost = by(why);
        assert_eq!(admitted(&lost, Vec::new()), "quarantine unproven");
        assert!(words.take().contains("revoked"), "the reason is kept");
        assert_eq!(admitted(&lost, at(Millis(revoked_at.0 + 1))), "quarantine unproven", "seen too late");
        assert_eq!(admitted(&lost, at(NOW)), "deliver 2: 1 events", "seen before it was revoked");
        let forged = stamp(&region("b"), NOW, &[event.id()], &key(1));
        assert_eq!(admitted(&lost, forged), "quarantine unproven", "a stamp that the relay never gave");
    }
    assert_eq!(admitted(&by(Why::CertificateHold), Vec::new()), "deliver 2: 1 events");
}

#[test]
fn certificate_of_another_registrar_opens_no_door() {
    let impostor = Registrar::impostor();
    let twin = SigningKey::from_bytes(&[222; 32]);
    let items = vec![
        impostor.authority(),
        impostor.list(5, (BEGAN, ENDS), &[]),
        impostor.certificate(office(1), twin.verifying_key().to_bytes(), 90),
    ];
    let (after, outcomes) = registry().with(items);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()), "{outcomes:?}");
    let mut event = RecordedEvent::read(sealed(1, 1, &[2], 0).bytes()).expect("an event").event;
    event.body = vec![9];
    let forged = seal(event, &twin).expect("sealed");
    let (opened, bytes) = opened_by(Arc::new(after), &pack(0, &[&forged]));
    let input = Input::FromOffice { office: office(1), token: Token(1), opened, bytes };
    check(relay("a"), vec![input], &["quarantine unproven", "notify 1: unproven: No", "ack 1"]);
}

proptest! {
    /// Whatever comes, every message is answered exactly once, last, and the same inputs give the same
    /// effects.
    #[test]
    fn every_message_is_acknowledged_once_and_the_trace_repeats(
        batch in proptest::collection::vec((1_u8..10, 1_u64..6, 1_u8..10, 0_u32..4, any::<bool>()), 0..20),
    ) {
        let inputs: Vec<Input> = batch
            .iter()
            .filter(|(from, _, to, _, _)| from != to && *from != 9)
            .map(|(from, seq, to, attempt, lies)| {
                let message = pack(*attempt, &[&sealed(*from, *seq, &[*to], 0)]);
                from_office(if *lies { 1 } else { *from }, &message)
            })
            .collect();
        let (mut one, mut two) = (relay("a"), relay("a"));
        let effects = one.step(inputs.clone(), NOW);
        prop_assert_eq!(&effects, &two.step(inputs.clone(), NOW));
        let first_ack = effects.iter().position(|effect| matches!(effect, Effect::Ack { .. }));
        let acks = effects.iter().filter(|effect| matches!(effect, Effect::Ack { .. })).count();
        prop_assert_eq!(acks, inputs.len());
        prop_assert_eq!(first_ack.unwrap_or(0), effects.len() - acks);
    }
}
