//! Paths: mazes cost a bounded amount of work, circles end, and nearly fitting names do not fit.

mod trust_country;

use std::sync::Arc;

use curve25519_dalek::Scalar;
use rcgen::DnType;
use schema::trust::certificate::CertificateError;
use schema::trust::crl::WINDOWS_MAX;
use schema::trust::name::ATTRIBUTES_MAX;
use schema::trust::path::{
    Authorities, CANDIDATES_MAX, Links, PATHS_MAX, PathError, SIGNATURES_MAX, find_paths,
};
use schema::trust::{
    Anchors, Certificate, Item, Outcome, Purpose, RevocationList, Revocations, SigningTime, TrustStore,
};
use sha2::{Digest, Sha512};
use trust_country::{
    Authority, COUNTRY, Country, HERE, Key, Node, OFFICE_SERIAL, Plan, Revoked, Why, day, dn, field, forge,
    judge,
};

fn parsed(der: &[u8]) -> Arc<Certificate> {
    Arc::new(Certificate::parse(der).expect("sound by itself"))
}

fn held(certificates: impl IntoIterator<Item = Vec<u8>>) -> Authorities {
    let mut authorities = Authorities::default();
    for der in certificates {
        assert!(authorities.insert(parsed(&der)));
    }
    authorities
}

/// Certificates of the province's key, each with another serial number.
fn renewals(country: &Country, signer: &Key, count: u64) -> Vec<Vec<u8>> {
    let renew = |n: u64| {
        forge(&country.here.der, signer, |members| {
            members[0].members()[field::SERIAL] = Node::Leaf(0x02, trust_country::serial_bytes(n + 1000));
        })
    };
    (0..count).map(renew).collect()
}

#[test]
fn signatures_that_are_checked_for_one_leaf_are_bounded() {
    let country = Country::new();
    let anchors = held([country.root.der.clone()]);
    let search = |count: usize| {
        // Each is forged: the leaf's signature is good, the one above it is not.
        let maze = held(renewals(&country, &Key::ed25519(66), count as u64));
        find_paths(&parsed(&country.office), &maze, &anchors, &mut Links::default())
    };
    assert!(matches!(search(SIGNATURES_MAX / 2), Err(PathError::Forged { .. })));
    assert_eq!(search(SIGNATURES_MAX / 2 + 1), Err(PathError::Budget));
}

#[test]
fn authorities_that_are_looked_at_for_one_leaf_are_bounded() {
    let country = Country::new();
    let anchors = held([country.root.der.clone()]);
    let search = |count: usize| {
        // The name fits, the key identifier does not: no signature is checked.
        let elsewhere = |n: u64| {
            let plan = Plan { serial: n, ..Plan::province(HERE) };
            country.root.issue(&plan, &Key::ed25519(99))
        };
        let maze = held((0..count as u64).map(|n| elsewhere(n + 1)));
        find_paths(&parsed(&country.office), &maze, &anchors, &mut Links::default())
    };
    assert!(matches!(search(CANDIDATES_MAX), Err(PathError::KeyIdentifier { .. })));
    assert_eq!(search(CANDIDATES_MAX + 1), Err(PathError::Budget));
}

#[test]
fn paths_of_one_leaf_are_bounded() {
    let country = Country::new();
    let anchors = held([country.root.der.clone()]);
    let renewed = held(renewals(&country, &country.root.key, 20));
    let found = find_paths(&parsed(&country.office), &renewed, &anchors, &mut Links::default());
    assert_eq!(found.map(|paths| paths.len()), Ok(PATHS_MAX));
}

#[test]
fn circle_of_authorities_ends() {
    // Two that certify each other, and no root: a path would go round until it is too long.
    let one = Authority::root(Plan::root("Một"), Key::ed25519(1));
    let two = Authority::root(Plan::root("Hai"), Key::ed25519(2));
    let crossed = [
        one.issue(&Plan { serial: 11, ..two.plan.clone() }, &two.key),
        two.issue(&Plan { serial: 12, ..one.plan.clone() }, &one.key),
    ];
    let leaf = parsed(&one.issue(&Plan::office(HERE, 1), &Key::ed25519(4)));
    let found = find_paths(&leaf, &held(crossed), &Authorities::default(), &mut Links::default());
    // Not `TooLong`: it is seen before.
    assert!(matches!(found, Err(PathError::UnknownIssuer { .. })), "{found:?}");
}

#[test]
fn name_that_only_begins_the_jurisdiction_is_outside() {
    let country = Country::new();
    let plan = Plan { subject: dn(&[(COUNTRY, "VN")]), ..Plan::officer(HERE, 1) };
    let officer = country.here.issue(&plan, &Key::ed25519(9));
    let verdict =
        country.store(&[]).judge(&officer, Purpose::Document, &SigningTime::proven(day(50)), day(110));
    assert_eq!(verdict.of(Item::Chain).map(|finding| finding.outcome), Some(Outcome::Invalid));
}

#[test]
fn attributes_of_a_name_are_bounded() {
    let country = Country::new();
    let named = |count: usize| {
        let kinds = (0..count as u64).map(|n| (DnType::CustomDnType(vec![1, 3, 6, n]), "x"));
        let parts: Vec<_> = kinds.collect();
        Certificate::parse(
            &country.here.issue(&Plan { subject: dn(&parts), ..Plan::office(HERE, 1) }, &Key::p256()),
        )
    };
    assert!(named(ATTRIBUTES_MAX).is_ok());
    assert!(matches!(named(ATTRIBUTES_MAX + 1), Err(CertificateError::Encoding(_))));
}

#[test]
fn office_with_a_purpose_of_others_is_invalid() {
    let country = Country::new();
    let purposes = vec![
        schema::trust::profile::PURPOSE_OFFICE,
        *b"\x2b\x06\x01\x04\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01",
    ];
    let office = country.here.issue(&Plan { purposes, ..Plan::office(HERE, 1) }, &Key::ed25519(4));
    let verdict = judge(&country.store(&[]), &office, day(50));
    assert_eq!(verdict.of(Item::Usage).map(|finding| finding.outcome), Some(Outcome::Invalid));
}

#[test]
fn root_that_had_expired_makes_it_invalid() {
    let mut country = Country::new();
    country.root = Authority::root(Plan { until: day(40), ..Plan::root("Trạm gốc") }, Key::ed25519(1));
    let verdict = judge(&country.store(&[]), &country.office, day(50));
    assert_eq!(verdict.of(Item::Period).map(|finding| finding.outcome), Some(Outcome::Invalid));
    assert_eq!(judge(&country.store(&[]), &country.office, day(30)).outcome(), Outcome::Valid);
}

#[test]
fn claim_at_the_very_moment_of_revocation_does_not_help() {
    let country = Country::new();
    let store = country.store(&[Revoked::new(OFFICE_SERIAL, day(45), Why::KeyCompromise)]);
    let judge = |claimed_at| {
        let time = SigningTime { claimed_at: Some(claimed_at), after: None, proven_at: Some(day(50)) };
        store.judge(&country.office, Purpose::Event, &time, day(110)).outcome()
    };
    assert_eq!(judge(day(45)), Outcome::Invalid);
    assert_eq!(judge(schema::time::Millis(day(45).0 - 1)), Outcome::Undetermined);
}

/// A signature whose commitment is the neutral element passes the textbook equation; only the strict one
/// refuses it.
#[test]
fn lenient_ed25519_signature_is_refused() {
    let country = Country::new();
    let Key::Ed25519(key, public) = &country.here.key else { panic!("an Ed25519 key") };
    let lenient = forge(&country.office, &country.here.key, |_| {});
    let mut whole = Node::parse(&lenient);
    let signed = whole.members()[0].encode();
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let digest: [u8; 64] =
        Sha512::new().chain_update(neutral).chain_update(public).chain_update(&signed).finalize().into();
    let response = Scalar::from_bytes_mod_order_wide(&digest) * key.to_scalar();
    let signature = [&neutral[..], response.as_bytes()].concat();
    {
        use ed25519_dalek::Verifier;
        let signature = ed25519_dalek::Signature::from_slice(&signature).expect("64 bytes");
        assert!(key.verifying_key().verify(&signed, &signature).is_ok(), "the lenient rule takes it");
    }
    whole.members()[2] = Node::Leaf(0x03, [vec![0], signature].concat());
    let verdict = judge(&country.store(&[]), &whole.encode(), day(50));
    assert_eq!(verdict.of(Item::Chain).map(|finding| finding.outcome), Some(Outcome::Invalid));
}

#[test]
fn dates_of_lists_that_are_remembered_are_bounded() {
    let country = Country::new();
    let issuer = parsed(&country.here.der);
    let mut revocations = Revocations::default();
    let lists = WINDOWS_MAX as u64 + 2;
    for n in 1..=lists {
        let list = country.here.list(n, schema::time::Millis(day(1).0 + n * 1000), day(9000), &[]);
        revocations.admit(&RevocationList::parse(&list).expect("a list"), &issuer).expect("it follows");
    }
    // The oldest is forgotten: lists from before the third are no longer there to be trusted.
    let before = |n: u64| revocations.coverage(day(1), Some(schema::time::Millis(day(1).0 + n * 1000)));
    assert_eq!(before(3), schema::trust::crl::Coverage::NoList);
    assert_ne!(before(4), schema::trust::crl::Coverage::NoList);
}

#[test]
fn store_holds_nothing_it_was_not_given() {
    let country = Country::new();
    let store = TrustStore::new(Anchors::new([country.root.der.as_slice()]).expect("a root"));
    assert_eq!(judge(&store, &country.office, day(50)).outcome(), Outcome::Invalid);
}
