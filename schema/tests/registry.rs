//! Whose key counts: certificates, announcements and revocation lists, taken in whatever order they come.

mod fixture;

use std::sync::Arc;

use ed25519_dalek::SigningKey;
use fixture::certified::{BEGAN, ENDS, Registrar, Revoked, Why};
use fixture::*;
use proptest::prelude::*;
use schema::body::{Body, KEYRING_BYTES_MAX, KeyAnnouncement, KeyPurpose};
use schema::event::{Addressee, Event, Kind, UnverifiedEvent, Verifier, VerifyError, key_id, seal};
use schema::id::{Counter, Seq};
use schema::registry::talk::{Bringing, RegistryReply, RegistryRequest};
use schema::registry::{
    EVIDENCE_MAX, Item, ItemError, ItemKind, KeyStanding, Registry, RegistryError, Taken, decode_items,
    encode_items,
};
use schema::sealing::SealingKey;
use schema::stamp::{Stamp, stamp};
use schema::time::Millis;
use schema::trust::{Item as Mandatory, Outcome};

/// 2026-01-01T00:00:00Z.
const NEW_YEAR: Millis = Millis(1_767_225_600_000);

fn day(n: u64) -> Millis {
    NEW_YEAR.plus(n * Millis::DAY)
}

fn public(key: &SigningKey) -> [u8; 32] {
    key.verifying_key().to_bytes()
}

fn next_key() -> SigningKey {
    SigningKey::from_bytes(&[0x46; 32])
}

fn sent_by(key: &SigningKey, claimed_at: Millis) -> Vec<u8> {
    let fields = Event { claimed_at, ..event(Kind::Dispatch) };
    seal(fields, key).expect("sound").bytes().to_vec()
}

fn judge(registry: &Registry, bytes: &[u8], stamps: Vec<Stamp>) -> Result<(), VerifyError> {
    let verifier = Verifier::new(Arc::new(registry.clone()));
    let event = UnverifiedEvent::parse(bytes).expect("an event");
    let proof = verifier.proof(&event.id(), stamps);
    verifier.verify(event, &proof).map(drop)
}

fn stamped(bytes: &[u8], at: Millis) -> Vec<Stamp> {
    let id = UnverifiedEvent::parse(bytes).expect("an event").id();
    stamp(&region("p01"), at, &[id], &stamp_key())
}

fn announcement(of: &SigningKey, by: &SigningKey) -> Item {
    statement(KeyPurpose::Signing, of, by)
}

/// A key says that another one counted before it.
fn confirmation(of: &SigningKey, by: &SigningKey) -> Item {
    statement(KeyPurpose::SignedBefore, of, by)
}

fn statement(purpose: KeyPurpose, of: &SigningKey, by: &SigningKey) -> Item {
    let body = Body::KeyAnnouncement(KeyAnnouncement::of(purpose, public(of)));
    let body = body.encode().expect("a body");
    let fields = Event { body, to: Vec::new(), claimed_at: day(1), ..event(Kind::KeyAnnouncement) };
    let sealed = seal(fields, by).expect("sound");
    Item::new(ItemKind::Announcement, sealed.bytes()).expect("small")
}

/// Others are to seal under this key, says this one at that place of the chain.
fn sealing(sealed: u8, seq: u64, by: &SigningKey) -> Item {
    let body = KeyAnnouncement::of(KeyPurpose::Sealing, [sealed; 32]);
    let body = Body::KeyAnnouncement(body).encode().expect("a body");
    let fields = Event { body, to: Vec::new(), seq: Seq(seq), ..event(Kind::KeyAnnouncement) };
    Item::new(ItemKind::Announcement, seal(fields, by).expect("sound").bytes()).expect("small")
}

fn base() -> (Registrar, Registry) {
    let registrar = Registrar::new();
    let registry = registrar.registry(&directory(), &keys());
    (registrar, Arc::unwrap_or_clone(registry))
}

fn with(registry: &Registry, items: Vec<Item>) -> Registry {
    let (next, outcomes) = registry.with(items);
    for (id, outcome) in outcomes {
        assert!(matches!(outcome, Ok(Taken::New)), "{id}: {outcome:?}");
    }
    next
}

fn standing(registry: &Registry, key: &SigningKey) -> Option<KeyStanding> {
    let id = key_id(&public(key));
    registry.keys(&SENDER).iter().find(|known| known.id() == id).map(|known| known.standing())
}

/// Whoever seals takes the newest key in the chain of the recipient, in whatever order the announcements came; two at one place,
/// because a life of the station was lost, are the same one everywhere.
#[test]
fn sealing_key_is_the_newest_that_was_said_in_any_order() {
    let (_, registry) = base();
    assert_eq!(registry.sealing_key(&SENDER), None);
    let said =
        [sealing(5, 18, &key()), sealing(9, 19, &key()), sealing(7, 19, &key()), sealing(8, 3, &key())];
    for first in 0..said.len() {
        let mut one_by_one = registry.clone();
        for n in 0..said.len() {
            one_by_one = with(&one_by_one, vec![said[(first + n) % said.len()].clone()]);
        }
        let mut backwards = said.to_vec();
        backwards.rotate_left(first);
        backwards.reverse();
        for registry in [one_by_one, with(&registry, backwards)] {
            assert_eq!(registry.sealing_key(&SENDER), Some(SealingKey([9; 32])), "from {first} on");
        }
    }
}

/// What an office gives to its successor goes to that one only, and nothing else that it says of a key has recipients.
#[test]
fn keys_that_are_handed_over_are_no_part_of_the_registry() {
    let (_, registry) = base();
    let announced = |said: KeyAnnouncement, to: Vec<Addressee>| {
        let body = Body::KeyAnnouncement(said).encode().expect("a body");
        seal(Event { body, to, ..event(Kind::KeyAnnouncement) }, &key()).expect("sound")
    };
    let to = || vec![Addressee { office: RECIPIENT, counter: Counter(9) }];
    let handed = || KeyAnnouncement::handing_over(SealingKey([5; 32]), b"age-encryption.org/v1".to_vec());
    let sound = announced(handed(), to());
    assert!(Body::read(sound.version(), sound.event()).is_ok());
    let item = Item::new(ItemKind::Announcement, sound.bytes()).expect("small");
    let (registry, outcomes) = registry.with(vec![item]);
    assert!(matches!(outcomes[0].1, Err(ItemError::NotAnAnnouncement)), "{outcomes:?}");
    assert_eq!(registry.sealing_key(&SENDER), None);
    let nobody = KeyAnnouncement { keyring: None, ..handed() };
    let large = KeyAnnouncement { keyring: Some(vec![7; KEYRING_BYTES_MAX + 1].into()), ..handed() };
    let said = KeyAnnouncement::of(KeyPurpose::Sealing, [5; 32]);
    let beside = KeyAnnouncement { keyring: handed().keyring, ..said };
    for (said, to) in
        [(handed(), Vec::new()), (nobody, to()), (large, to()), (said, to()), (beside, Vec::new())]
    {
        let event = announced(said, to);
        assert!(Body::read(event.version(), event.event()).is_err(), "{:?}", event.event());
    }
}

/// How old a sealing key is goes by the first word about it, whatever came after and in whatever order.
#[test]
fn sealing_key_is_as_old_as_the_first_word_about_it() {
    let (_, registry) = base();
    let said = |sealed: u8, seq: u64, at: Millis| {
        let body = KeyAnnouncement::of(KeyPurpose::Sealing, [sealed; 32]);
        let body = Body::KeyAnnouncement(body).encode().expect("a body");
        let (seq, to, claimed_at) = (Seq(seq), Vec::new(), at);
        let fields = Event { body, to, seq, claimed_at, ..event(Kind::KeyAnnouncement) };
        Item::new(ItemKind::Announcement, seal(fields, &key()).expect("sound").bytes()).expect("small")
    };
    let items = [said(5, 3, day(1)), said(6, 9, day(4)), said(5, 12, day(6)), said(5, 12, day(7))];
    for first in 0..items.len() {
        let mut turned = items.to_vec();
        turned.rotate_left(first);
        let registry = with(&registry, turned);
        let at = |sealed: u8| registry.sealing_key_said_at(&SENDER, SealingKey([sealed; 32]));
        assert_eq!(registry.sealing_key(&SENDER), Some(SealingKey([5; 32])));
        assert_eq!((at(5), at(6), at(7)), (Some(day(1)), Some(day(4)), None), "from {first} on");
    }
}

/// A thief announces a key of his own with the key that he has stolen: until that is revoked.
#[test]
fn sealing_key_that_a_revoked_key_has_said_counts_no_more() {
    let (registrar, registry) = base();
    let certificate = registrar.certificate(SENDER, public(&next_key()), 60);
    let registry = with(&registry, vec![announcement(&next_key(), &key()), certificate]);
    let registry = with(&registry, vec![sealing(5, 18, &key()), sealing(6, 19, &next_key())]);
    assert_eq!(registry.sealing_key(&SENDER), Some(SealingKey([6; 32])));
    let stolen = [Revoked { serial: 60, at: day(2), why: Why::KeyCompromise }];
    let registry = with(&registry, vec![registrar.list(2, (day(3), day(36)), &stolen)]);
    assert_eq!(registry.sealing_key(&SENDER), Some(SealingKey([5; 32])));
    let impostor = SigningKey::from_bytes(&[0x55; 32]);
    let (_, outcomes) = registry.with(vec![sealing(7, 20, &impostor)]);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_err()), "an uncertified key says something");
}

#[test]
fn only_certified_keys_are_accepted() {
    let (_, registry) = base();
    assert_eq!(judge(&registry, &sent_by(&key(), day(1)), Vec::new()), Ok(()));
    let stranger = sent_by(&next_key(), day(1));
    assert!(matches!(judge(&registry, &stranger, Vec::new()), Err(VerifyError::UnknownKey { .. })));
}

#[test]
fn nothing_of_another_root_or_registrar_is_taken_in() {
    let (_, registry) = base();
    let impostor = Registrar::impostor();
    let forged = impostor.items(&directory(), &[(SENDER, public(&next_key()))]);
    let (next, outcomes) = registry.with(forged);
    for (_, outcome) in &outcomes {
        assert!(outcome.is_err(), "{outcome:?}");
    }
    assert_eq!(next.fingerprint(), registry.fingerprint());
    let opened = Registry::open(Registrar::new().roots(), impostor.items(&directory(), &keys()));
    assert!(matches!(opened, Err(RegistryError::NoAnchor { .. })));
    let mut mixed = impostor.items(&directory(), &keys());
    mixed[0] = Registrar::new().anchor();
    let opened = Registry::open(Registrar::new().roots(), mixed);
    assert!(matches!(opened, Err(RegistryError::NoDirectory { source: Some(_), .. })));
}

#[test]
fn persons_and_roots_do_not_get_in_through_the_registry() {
    let (registrar, registry) = base();
    let (_, outcomes) = registry.with(vec![registrar.anchor(), Registrar::impostor().anchor()]);
    assert!(matches!(outcomes[0].1, Ok(Taken::Known)), "it is pinned here: {:?}", outcomes[0]);
    assert!(matches!(outcomes[1].1, Err(ItemError::Anchor)), "{:?}", outcomes[1]);
}

#[test]
fn second_key_counts_for_nothing_until_the_first_one_announces_it() {
    let (registrar, registry) = base();
    let certificate = registrar.certificate_for(SENDER, public(&next_key()), 30, (day(0), ENDS));
    let contested = with(&registry, vec![certificate]);
    assert_eq!(standing(&contested, &next_key()), Some(KeyStanding::Contested));
    assert_eq!(contested.contested().collect::<Vec<_>>(), [(SENDER, key_id(&public(&next_key())))]);
    let bytes = sent_by(&next_key(), day(2));
    assert!(matches!(judge(&contested, &bytes, Vec::new()), Err(VerifyError::ContestedKey { .. })));
    assert_eq!(judge(&contested, &sent_by(&key(), day(2)), Vec::new()), Ok(()), "the first one goes on");

    let announced = with(&contested, vec![announcement(&next_key(), &key())]);
    let by = key_id(&public(&key()));
    assert_eq!(standing(&announced, &next_key()), Some(KeyStanding::Announced { by }));
    assert_eq!(judge(&announced, &bytes, Vec::new()), Ok(()));
    assert_eq!(announced.contested().count(), 0);
}

#[test]
fn announcement_may_come_before_the_certificate() {
    let (registrar, registry) = base();
    let announced = with(&registry, vec![announcement(&next_key(), &key())]);
    let certificate = registrar.certificate_for(SENDER, public(&next_key()), 30, (day(0), ENDS));
    let certified = with(&announced, vec![certificate]);
    assert_eq!(judge(&certified, &sent_by(&next_key(), day(2)), Vec::new()), Ok(()));
}

#[test]
fn key_announces_itself_to_nobody() {
    let (registrar, registry) = base();
    let certificate = registrar.certificate_for(SENDER, public(&next_key()), 30, (day(0), ENDS));
    let contested = with(&registry, vec![certificate]);
    for by in [next_key(), other_key(), SigningKey::from_bytes(&[0x47; 32])] {
        let (next, outcomes) = contested.with(vec![announcement(&next_key(), &by)]);
        assert!(matches!(outcomes[0].1, Err(ItemError::Unproven(_))), "{:?}", outcomes[0].1);
        assert_eq!(standing(&next, &next_key()), Some(KeyStanding::Contested));
    }
}

#[test]
fn lost_key_is_replaced_once_the_authority_has_revoked_it() {
    let (registrar, registry) = base();
    let certificate = registrar.certificate_for(SENDER, public(&next_key()), 30, (day(0), ENDS));
    let lost = [Revoked { serial: 10, at: day(1), why: Why::KeyCompromise }];
    let list = registrar.list(2, (day(1), day(36)), &lost);
    for order in [[&certificate, &list], [&list, &certificate]] {
        let mut recovered = registry.clone();
        for item in order {
            recovered = with(&recovered, vec![item.clone()]);
        }
        assert_eq!(standing(&recovered, &next_key()), Some(KeyStanding::Recovered));
        assert_eq!(judge(&recovered, &sent_by(&next_key(), day(2)), Vec::new()), Ok(()));
    }
    // A hold is no end.
    let held = [Revoked { serial: 10, at: day(1), why: Why::CertificateHold }];
    let on_hold = with(&registry, vec![certificate, registrar.list(2, (day(1), day(36)), &held)]);
    assert_eq!(standing(&on_hold, &next_key()), Some(KeyStanding::Contested));
}

fn bare() -> (Registrar, Registry) {
    let registrar = Registrar::new();
    let items = vec![registrar.anchor(), registrar.directory(&directory()), registrar.authority()];
    let (registry, _) = Registry::open(registrar.roots(), items).expect("a registry");
    (registrar, registry)
}

#[test]
fn expired_key_is_followed_by_the_next_certified_one() {
    let (registrar, bare) = bare();
    // Whichever comes first in one delivery: the one that began first was the first.
    let registry = with(
        &bare,
        vec![
            registrar.certificate_for(SENDER, public(&next_key()), 31, (day(11), ENDS)),
            registrar.certificate_for(SENDER, public(&key()), 30, (BEGAN, day(10))),
        ],
    );
    assert_eq!(standing(&registry, &key()), Some(KeyStanding::First));
    assert_eq!(standing(&registry, &next_key()), Some(KeyStanding::Recovered));
}

#[test]
fn key_that_claims_an_earlier_beginning_than_the_first_one_is_contested_also_after_a_new_start() {
    let (registrar, bare) = bare();
    let first = registrar.certificate_for(SENDER, public(&key()), 30, (day(5), ENDS));
    let back_dated = registrar.certificate_for(SENDER, public(&next_key()), 31, (day(0), ENDS));
    let lived = with(&with(&bare, vec![first]), vec![back_dated]);
    let file = decode_items(&encode_items(lived.all_items())).expect("its own file");
    let (again, _) = Registry::open(registrar.roots(), file).expect("complete");
    for registry in [lived, again] {
        assert_eq!(standing(&registry, &key()), Some(KeyStanding::First));
        assert_eq!(standing(&registry, &next_key()), Some(KeyStanding::Contested));
        let bytes = UnverifiedEvent::parse(&sent_by(&next_key(), day(6))).expect("an event");
        let verifier = Verifier::new(Arc::new(registry));
        assert!(matches!(verifier.verify_regained(bytes), Err(VerifyError::ContestedKey { .. })));
    }
}

#[test]
fn key_that_comes_after_its_successor_counts_only_when_it_is_over() {
    let (registrar, registry) = base();
    let third = SigningKey::from_bytes(&[0x49; 32]);
    let lost = |serial, at| Revoked { serial, at, why: Why::KeyCompromise };
    let second = registrar.certificate_for(SENDER, public(&next_key()), 30, (day(2), ENDS));
    let late = with(
        &registry,
        vec![
            registrar.list(2, (day(1), day(36)), &[lost(10, day(1))]),
            registrar.certificate_for(SENDER, public(&third), 31, (day(4), ENDS)),
        ],
    );
    assert_eq!(standing(&late, &third), Some(KeyStanding::Recovered), "it knows of none in between");
    let late = with(&late, vec![second]);
    assert_eq!(standing(&late, &next_key()), Some(KeyStanding::Contested));

    let late = with(&late, vec![registrar.list(3, (day(5), day(40)), &[lost(10, day(1)), lost(30, day(3))])]);
    assert_eq!(standing(&late, &next_key()), Some(KeyStanding::Late { until: day(4) }));
    let bytes = sent_by(&next_key(), day(2));
    assert_eq!(judge(&late, &bytes, stamped(&bytes, day(2))), Ok(()), "proven before its successor");
    for stamps in [Vec::new(), stamped(&bytes, day(4)), stamped(&bytes, day(6))] {
        assert!(judge(&late, &bytes, stamps).is_err(), "something new enters under it");
    }
}

/// Three keys follow each other; somebody hears of the last one first.
#[test]
fn keys_heard_of_after_their_successor_count_when_it_confirms_them() {
    let (registrar, bare) = bare();
    let [first, second, third] = [0x45, 0x46, 0x47].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let certificate =
        |key, serial, began| registrar.certificate_for(SENDER, public(key), serial, (day(began), ENDS));
    let late = with(
        &with(&bare, vec![certificate(&third, 32, 8)]),
        vec![certificate(&first, 30, 0), certificate(&second, 31, 4)],
    );
    assert_eq!(standing(&late, &third), Some(KeyStanding::First));
    for key in [&first, &second] {
        assert_eq!(standing(&late, key), Some(KeyStanding::Contested));
    }
    let unconfirmed = late.unconfirmed_keys(&SENDER, key_id(&public(&third)));
    assert!(unconfirmed.is_empty(), "nobody confirms what it does not believe itself");

    // In one delivery, whichever way round.
    for news in [[(&second, &third), (&first, &second)], [(&first, &second), (&second, &third)]] {
        let told = with(&late, news.map(|(of, by)| confirmation(of, by)).to_vec());
        for (key, by) in [(&first, &second), (&second, &third)] {
            let by = key_id(&public(by));
            assert_eq!(standing(&told, key), Some(KeyStanding::Confirmed { by }));
            assert_eq!(judge(&told, &sent_by(key, day(9)), Vec::new()), Ok(()));
        }
        assert_eq!(told.contested().count(), 0);
        let file = decode_items(&encode_items(told.all_items())).expect("its own file");
        let (again, _) = Registry::open(registrar.roots(), file).expect("complete");
        assert_eq!(again.fingerprint(), told.fingerprint());
        assert_eq!(again.contested().count(), 0);
    }
}

#[test]
fn only_a_key_that_counts_confirms_another() {
    let (registrar, registry) = base();
    let forged = SigningKey::from_bytes(&[0x4b; 32]);
    let inserted =
        with(&registry, vec![registrar.certificate_for(SENDER, public(&forged), 31, (day(2), ENDS))]);
    for (of, by) in [(&forged, &forged), (&key(), &forged), (&forged, &next_key())] {
        let (next, outcomes) = inserted.with(vec![confirmation(of, by)]);
        assert!(outcomes[0].1.is_err(), "{outcomes:?}");
        assert_eq!(standing(&next, &forged), Some(KeyStanding::Contested));
    }
}

/// Whoever confirmed is revoked since: newcomers do not believe it any more, so the present key says it again.
#[test]
fn what_a_revoked_key_confirmed_is_to_be_confirmed_anew() {
    let (registrar, registry) = base();
    let [second, third] = [0x46, 0x49].map(|seed| SigningKey::from_bytes(&[seed; 32]));
    let ids = |registry: &Registry, present: &SigningKey| -> Vec<_> {
        let found = registry.unconfirmed_keys(&SENDER, key_id(&public(present)));
        found.iter().map(|key| key.id()).collect()
    };
    let [first_id, second_id] = [&key(), &second].map(|key| key_id(&public(key)));
    let renewed = with(
        &registry,
        vec![
            announcement(&second, &key()),
            registrar.certificate_for(SENDER, public(&second), 30, (day(2), ENDS)),
        ],
    );
    assert_eq!(ids(&renewed, &key()), [], "what comes after it is announced, not confirmed");
    assert_eq!(ids(&renewed, &second), [first_id]);
    let confirmed = with(&renewed, vec![confirmation(&key(), &second)]);
    assert_eq!(ids(&confirmed, &second), []);
    let lost = [Revoked { serial: 30, at: day(3), why: Why::KeyCompromise }];
    let recovered = with(
        &confirmed,
        vec![
            registrar.list(2, (day(3), day(36)), &lost),
            registrar.certificate_for(SENDER, public(&third), 31, (day(4), ENDS)),
        ],
    );
    assert_eq!(standing(&recovered, &third), Some(KeyStanding::Recovered));
    assert_eq!(ids(&recovered, &third), [first_id, second_id]);
}

/// Of three items the second rests on the third, and one is never taken.
#[test]
fn what_is_refused_is_brought_again_once_something_else_was_taken() {
    let items: Vec<Item> =
        (0..3).map(|n| Item::new(ItemKind::Certificate, vec![n]).expect("small")).collect();
    let mut bringing = Bringing::new(items);
    let (mut asked, mut held) = (Vec::new(), false);
    while let Some(RegistryRequest::Bring { bytes, .. }) = bringing.next() {
        asked.push(bytes[0]);
        held |= bytes[0] == 2;
        let taken = bytes[0] == 2 || bytes[0] == 1 && held;
        let refused = RegistryReply::Refused { reason: "not yet".to_owned() };
        bringing.heard(if taken { RegistryReply::Taken } else { refused }).expect("it fits");
    }
    assert_eq!(asked, [0, 1, 2, 0, 1, 0], "each pass takes something, and the last one nothing");
    assert_eq!(bringing.refused().count(), 1);
    assert!(bringing.heard(RegistryReply::Taken).is_err(), "nothing was asked");
}

/// Otherwise two that hold the same would talk for ever about what one of them does not take.
#[test]
fn what_a_revoked_key_said_is_kept_and_told_to_nobody() {
    let (registrar, registry) = base();
    let second = next_key();
    let list =
        registrar.list(2, (day(3), day(36)), &[Revoked { serial: 30, at: day(3), why: Why::KeyCompromise }]);
    let certified = [
        announcement(&second, &key()),
        registrar.certificate_for(SENDER, public(&second), 30, (day(2), ENDS)),
    ];
    let said = confirmation(&key(), &second);
    let lived = with(&with(&registry, certified.to_vec()), vec![said.clone()]);
    let before = lived.fingerprint();
    let lived = with(&lived, vec![list.clone()]);
    let (newcomer, outcomes) = registry.with([&certified[..], &[said.clone(), list]].concat());
    assert!(outcomes[2].1.is_err(), "a newcomer takes it: {outcomes:?}");
    assert_ne!(before, lived.fingerprint());
    assert_eq!(lived.fingerprint(), newcomer.fingerprint());
    assert!(lived.item(&said.id()).is_some() && lived.items().any(|item| item.id() == said.id()));
    assert!(!lived.told_items().any(|item| item.id() == said.id()));
}

/// A revoked key that came after its successor counts in full once that one confirms it, as it does where it was seen in time.
#[test]
fn late_key_is_settled_by_a_confirmation() {
    let (registrar, registry) = base();
    let third = SigningKey::from_bytes(&[0x49; 32]);
    let lost = |serial, at| Revoked { serial, at, why: Why::KeyCompromise };
    let late = with(
        &registry,
        vec![
            registrar.list(2, (day(5), day(40)), &[lost(10, day(1)), lost(30, day(3))]),
            registrar.certificate_for(SENDER, public(&third), 31, (day(4), ENDS)),
        ],
    );
    let late = with(&late, vec![registrar.certificate_for(SENDER, public(&next_key()), 30, (day(2), ENDS))]);
    assert_eq!(standing(&late, &next_key()), Some(KeyStanding::Late { until: day(4) }));
    let told = with(&late, vec![confirmation(&next_key(), &third)]);
    let by = key_id(&public(&third));
    assert_eq!(standing(&told, &next_key()), Some(KeyStanding::Confirmed { by }));
    let bytes = sent_by(&next_key(), day(6));
    assert!(judge(&told, &bytes, stamped(&bytes, day(6))).is_err(), "it is revoked as it was");
}

proptest! {
    /// The first key announces the second; that is lost, and so is the third.
    #[test]
    fn everybody_comes_to_the_same_keys_in_whatever_order_the_news_arrives(
        order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
        together in 1_usize..4,
    ) {
        let (registrar, registry) = base();
        let [second, third, fourth] = [0x46, 0x49, 0x4a].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let lost = |serial, at| Revoked { serial, at, why: Why::KeyCompromise };
        let certificate = |key, serial, began| registrar.certificate_for(SENDER, public(key), serial, (began, ENDS));
        let news = [
            certificate(&second, 30, day(1)),
            announcement(&second, &key()),
            certificate(&third, 31, day(3)),
            certificate(&fourth, 32, day(5)),
            registrar.list(2, (day(3), day(36)), &[lost(30, day(2))]),
            registrar.list(3, (day(5), day(40)), &[lost(30, day(2)), lost(31, day(4))]),
        ];
        let arrived = order.chunks(together).fold(registry, |registry, some| {
            registry.with(some.iter().map(|n| news[*n].clone()).collect()).0
        });
        let by = key_id(&public(&key()));
        prop_assert_eq!(standing(&arrived, &key()), Some(KeyStanding::First));
        // Revoked before it is announced here, it still has its place.
        let announced = standing(&arrived, &second);
        prop_assert!(
            matches!(announced, Some(KeyStanding::Announced { by: found }) if found == by),
            "{:?}", announced
        );
        for key in [&third, &fourth] {
            let found = standing(&arrived, key);
            prop_assert!(found.is_some_and(KeyStanding::counts), "{:?}", found);
        }
    }
}

/// Somebody who has the authority's key dates certificates back, between keys that follow each other, and lets them expire
/// or has the forged key announce the genuine one.
#[test]
fn forged_key_between_two_genuine_ones_lets_nothing_in() {
    let (registrar, registry) = base();
    let forged = SigningKey::from_bytes(&[0x4b; 32]);
    let genuine = with(
        &registry,
        vec![
            registrar.certificate_for(SENDER, public(&next_key()), 30, (day(10), ENDS)),
            announcement(&next_key(), &key()),
        ],
    );
    for end in [day(5), ENDS] {
        let inserted =
            with(&genuine, vec![registrar.certificate_for(SENDER, public(&forged), 31, (day(2), end))]);
        let (inserted, outcomes) = inserted.with(vec![announcement(&next_key(), &forged)]);
        assert!(matches!(outcomes[0].1, Err(ItemError::Unproven(_))), "{outcomes:?}");
        assert_eq!(standing(&inserted, &forged), Some(KeyStanding::Contested));
        let bytes = sent_by(&forged, day(3));
        assert!(judge(&inserted, &bytes, Vec::new()).is_err());
        assert!(judge(&inserted, &bytes, stamped(&bytes, day(12))).is_err());
        assert_eq!(judge(&inserted, &sent_by(&next_key(), day(11)), Vec::new()), Ok(()));
    }
}

/// A key was certified by mistake; the genuine one follows by announcement, and the old one is revoked afterwards.
#[test]
fn new_start_from_what_was_kept_changes_no_key() {
    let (registrar, registry) = base();
    let mistaken = SigningKey::from_bytes(&[0x4b; 32]);
    let superseded = [Revoked { serial: 10, at: day(9), why: Why::Superseded }];
    let lived = [
        registrar.certificate_for(SENDER, public(&mistaken), 31, (day(2), ENDS)),
        announcement(&next_key(), &key()),
        registrar.certificate_for(SENDER, public(&next_key()), 30, (day(4), ENDS)),
        registrar.list(2, (day(9), day(45)), &superseded),
    ];
    let lived = lived.into_iter().fold(registry, |held, item| with(&held, vec![item]));
    let file = decode_items(&encode_items(lived.all_items())).expect("its own file");
    let (again, _) = Registry::open(registrar.roots(), file).expect("complete");
    let by = key_id(&public(&key()));
    for registry in [&lived, &again] {
        assert_eq!(standing(registry, &next_key()), Some(KeyStanding::Announced { by }));
        assert_eq!(standing(registry, &mistaken), Some(KeyStanding::Contested));
    }
    assert_eq!(again.fingerprint(), lived.fingerprint());
}

#[test]
fn revoked_key_is_refused_unless_a_relay_saw_the_event_before() {
    let (registrar, registry) = base();
    let stolen = [Revoked { serial: 10, at: day(10), why: Why::KeyCompromise }];
    let revoked = with(&registry, vec![registrar.list(2, (day(10), day(45)), &stolen)]);
    let before = sent_by(&key(), day(9));
    assert_eq!(judge(&revoked, &before, stamped(&before, day(9))), Ok(()), "proven before");
    for (what, claimed, stamps) in [
        ("proven after", day(11), Some(day(11))),
        ("back-dated, proven after", day(9), Some(day(11))),
        ("back-dated, no proof", day(9), None),
        ("no proof", day(11), None),
    ] {
        let bytes = sent_by(&key(), claimed);
        let stamps = stamps.map_or_else(Vec::new, |at| stamped(&bytes, at));
        let refused = judge(&revoked, &bytes, stamps);
        let Err(VerifyError::Certificate { verdict: Some(verdict), .. }) = &refused else {
            panic!("{what}: {refused:?}")
        };
        let finding = verdict.of(Mandatory::Revocation).expect("always there");
        assert_ne!(finding.outcome, Outcome::Valid, "{what}");
        let words = refused.as_ref().map_err(ToString::to_string).expect_err("refused");
        assert!(words.contains("revoked"), "{what}: {words}");
    }
    let forged = stamp(
        &region("p01"),
        day(9),
        &[UnverifiedEvent::parse(&sent_by(&key(), day(9))).expect("an event").id()],
        &SigningKey::from_bytes(&[0x48; 32]),
    );
    assert!(judge(&revoked, &sent_by(&key(), day(9)), forged).is_err(), "somebody else's stamp");
}

#[test]
fn suspended_key_and_stale_lists_do_not_stop_the_exchange() {
    let (registrar, registry) = base();
    let held = [Revoked { serial: 10, at: day(10), why: Why::CertificateHold }];
    let on_hold = with(&registry, vec![registrar.list(2, (day(10), day(45)), &held)]);
    let bytes = sent_by(&key(), day(11));
    assert_eq!(judge(&on_hold, &bytes, stamped(&bytes, day(11))), Ok(()));
    let stale = with(&registry, vec![registrar.list(2, (day(0), day(1)), &[])]);
    assert_eq!(judge(&stale, &bytes, stamped(&bytes, day(300))), Ok(()));
}

#[test]
fn clocks_that_are_years_off_shut_nobody_out() {
    let registrar = Registrar::new();
    let items = vec![
        registrar.anchor(),
        registrar.directory(&directory()),
        registrar.authority(),
        registrar.certificate_for(SENDER, public(&key()), 30, (day(0), day(700))),
    ];
    let (registry, _) = Registry::open(registrar.roots(), items).expect("a registry");
    for claimed in [Millis(0), day(20_000)] {
        let bytes = sent_by(&key(), claimed);
        assert_eq!(judge(&registry, &bytes, Vec::new()), Ok(()), "no proof, claimed {claimed:?}");
        assert_eq!(judge(&registry, &bytes, stamped(&bytes, day(3))), Ok(()), "claimed {claimed:?}");
    }
    // The relay's clock stands at 1970: such a stamp says nothing.
    let bytes = sent_by(&key(), day(3));
    assert_eq!(judge(&registry, &bytes, stamped(&bytes, Millis(1_000))), Ok(()));
    // It runs ahead beyond the certificate's end: undetermined, not invalid.
    assert_eq!(judge(&registry, &bytes, stamped(&bytes, day(900))), Ok(()));
    // Claimed and proven after the end.
    let late = sent_by(&key(), day(800));
    assert!(matches!(
        judge(&registry, &late, stamped(&late, day(801))),
        Err(VerifyError::Certificate { .. })
    ));
}

#[test]
fn earliest_stamp_of_each_relay_counts_and_forged_ones_do_not() {
    let (_, registry) = base();
    let bytes = sent_by(&key(), day(1));
    let id = UnverifiedEvent::parse(&bytes).expect("an event").id();
    let verifier = Verifier::new(Arc::new(registry));
    let [late, early] = [day(5), day(2)].map(|at| stamp(&region("p01"), at, &[id], &stamp_key()).remove(0));
    let nowhere = stamp(&region("p09"), day(1), &[id], &stamp_key()).remove(0);
    let proof = verifier.proof(&id, vec![late, nowhere, early.clone()]);
    assert_eq!((proof.at(), proof.stamps), (Some(day(2)), vec![early]));
}

#[test]
fn newest_lists_and_directory_are_enough_to_start_anew() {
    let (registrar, registry) = base();
    let stolen = [Revoked { serial: 10, at: day(10), why: Why::KeyCompromise }];
    let lists = (2..6).map(|number| registrar.list(number, (day(number), day(45)), &stolen));
    let grown = lists.fold(registry.clone(), |registry, list| with(&registry, vec![list]));
    assert_eq!(
        grown.items().count(),
        registry.items().count(),
        "each list takes the place of the one before"
    );
    let file = encode_items(grown.all_items());
    let items = decode_items(&file).expect("its own file");
    let (again, outcomes) = Registry::open(registrar.roots(), items).expect("complete");
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    assert_eq!(again.fingerprint(), grown.fingerprint());
    let bytes = sent_by(&key(), day(11));
    assert!(judge(&again, &bytes, Vec::new()).is_err());
}

#[test]
fn what_an_earlier_list_revoked_stays_known_after_a_new_start_from_everything_that_was_recorded() {
    let (registrar, registry) = base();
    let stolen = [Revoked { serial: 10, at: day(10), why: Why::KeyCompromise }];
    let lists = [registrar.list(2, (day(12), day(45)), &stolen), registrar.list(3, (day(14), day(47)), &[])];
    let lived = lists.iter().fold(registry, |registry, list| with(&registry, vec![list.clone()]));
    let bytes = sent_by(&key(), day(11));
    let refused = judge(&lived, &bytes, stamped(&bytes, day(11))).expect_err("the list before said so");

    // The file holds the newest list only; the store holds both, in whatever order they are read.
    let file = decode_items(&encode_items(lived.all_items())).expect("its own file");
    let [first, second] = lists;
    for recorded in [vec![first.clone(), second.clone()], vec![second, first]] {
        let together = file.iter().cloned().chain(recorded).collect();
        let (again, _) = Registry::open(registrar.roots(), together).expect("complete");
        assert_eq!(again.fingerprint(), lived.fingerprint());
        assert_eq!(judge(&again, &bytes, stamped(&bytes, day(11))).expect_err("forgotten"), refused);
    }
}

#[test]
fn older_lists_and_directories_change_nothing() {
    let (registrar, registry) = base();
    let newer = with(&registry, vec![registrar.list(3, (day(10), day(45)), &[])]);
    let (next, outcomes) =
        newer.with(vec![registrar.list(2, (day(9), day(45)), &[]), registrar.directory(&directory())]);
    assert!(matches!(outcomes[0].1, Ok(Taken::Older)), "{outcomes:?}");
    assert!(matches!(outcomes[1].1, Ok(Taken::Known)), "{outcomes:?}");
    assert_eq!(next.fingerprint(), newer.fingerprint());
    assert!(next.contradictions().is_empty());
}

#[test]
fn lists_that_contradict_each_other_are_kept_as_evidence_and_what_either_revokes_is_revoked() {
    let (registrar, registry) = base();
    let revoked = |serial, at| Revoked { serial, at, why: Why::KeyCompromise };
    let list = |number, made, entries: &[Revoked]| registrar.list(number, (day(made), day(45)), entries);
    // The sender's key has serial 10; number 77 is nobody's here.
    for (one, other) in [
        (list(3, 10, &[revoked(77, day(5))]), list(3, 11, &[revoked(10, day(5))])),
        (list(3, 10, &[revoked(10, day(5))]), list(4, 9, &[revoked(10, day(7))])),
    ] {
        let lists = [one.id(), other.id()];
        let orders = [[one.clone(), other.clone()], [other.clone(), one.clone()]];
        let seen: Vec<Registry> = orders
            .into_iter()
            .map(|order| order.into_iter().fold(registry.clone(), |held, list| with(&held, vec![list])))
            .collect();
        let file = decode_items(&encode_items(seen[0].all_items())).expect("its own file");
        let (again, _) = Registry::open(registrar.roots(), file).expect("complete");
        // Who had a later list already when the evidence came, and had thrown the first one away.
        let late = with(&with(&registry, vec![one.clone()]), vec![list(5, 12, &[])]);
        let late = with(&late, vec![other.clone()]);
        let bytes = sent_by(&key(), day(6));
        let refused = judge(&seen[0], &bytes, stamped(&bytes, day(6))).expect_err("one of them says so");
        for registry in seen.iter().chain([&again]) {
            let [found] = registry.contradictions() else { panic!("{:?}", registry.contradictions()) };
            assert!(lists.contains(&found.list));
            assert_eq!(registry.fingerprint(), seen[0].fingerprint());
            assert_eq!(judge(registry, &bytes, stamped(&bytes, day(6))).expect_err("revoked"), refused);
            assert_eq!(registry.list_ages(), seen[0].list_ages());
        }
        // A later list follows; the evidence stays, and whoever meets it takes all of it.
        let later = with(&again, vec![list(5, 12, &[])]);
        let late = late.with(later.items().cloned().collect()).0;
        for registry in [&later, &late] {
            assert!(lists.iter().all(|list| registry.item(list).is_some()), "evidence was thrown away");
            assert!(!registry.contradictions().is_empty());
            assert!(judge(registry, &bytes, stamped(&bytes, day(6))).is_err());
        }
        assert_eq!(late.fingerprint(), later.fingerprint());
    }
}

#[test]
fn authority_that_contradicts_itself_without_end_fills_nobodys_disk() {
    let (registrar, registry) = base();
    let list = |made| registrar.list(3, (day(made), day(45)), &[]);
    let held = (1..EVIDENCE_MAX as u64 + 1).fold(registry, |held, n| with(&held, vec![list(n)]));
    let (next, outcomes) = held.with(vec![list(30)]);
    assert!(matches!(outcomes[0].1, Err(ItemError::List(_))), "nobody is told: {outcomes:?}");
    assert_eq!(next.fingerprint(), held.fingerprint());
}
