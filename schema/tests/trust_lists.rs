//! Revocation lists: what is read, what is refused, and that they only ever go forward.

mod trust_country;

use schema::time::Millis;
use schema::trust::crl::{Admitted, ENTRIES_MAX, LIST_BYTES_MAX, ListError, ListNumber};
use schema::trust::{Certificate, Outcome, RevocationList, RevocationReason, Revocations};
use trust_country::{
    Authority, Country, Key, Node, OFFICE_SERIAL, Plan, Revoked, Use, Why, day, extension, forge, judge,
    serial_bytes,
};
use x509_parser::prelude::{CertificateRevocationList, FromDer};

const NUMBER: &[u8] = b"\x55\x1d\x14";
const AKI: &[u8] = b"\x55\x1d\x23";

fn two() -> [Revoked; 2] {
    [
        Revoked { invalid_from: Some(day(30)), ..Revoked::new(OFFICE_SERIAL, day(40), Why::KeyCompromise) },
        Revoked { why: None, ..Revoked::new(9, day(41), Why::Unspecified) },
    ]
}

fn list(number: u64, from: u64, revoked: &[Revoked]) -> Vec<u8> {
    Country::new().here.list(number, day(from), day(from + 30), revoked)
}

/// A list of one entry, changed and signed anew by the authority.
fn changed(change: impl FnOnce(&mut Vec<Node>)) -> Vec<u8> {
    forge(&list(1, 100, &two()), &Key::ed25519(2), change)
}

/// Where things are in the signed part.
mod part {
    pub(crate) const VERSION: usize = 0;
    pub(crate) const ALGORITHM: usize = 1;
    pub(crate) const NEXT_UPDATE: usize = 4;
    pub(crate) const ENTRIES: usize = 5;
    pub(crate) const EXTENSIONS: usize = 6;
}

fn extensions(change: impl FnOnce(&mut Vec<Node>)) -> Vec<u8> {
    changed(|members| change(members[0].members()[part::EXTENSIONS].members()[0].members()))
}

fn entry(change: impl FnOnce(&mut Vec<Node>)) -> Vec<u8> {
    changed(|members| change(members[0].members()[part::ENTRIES].members()[0].members()))
}

#[track_caller]
fn refused(der: &[u8], words: &str) {
    let error = RevocationList::parse(der).expect_err("a broken rule");
    let text = error.to_string();
    assert!(text.contains(words), "`{text}` does not say `{words}`");
    assert!(Country::new().store_without_lists().add_list(der).is_err());
}

#[test]
fn list_is_read_as_another_parser_reads_it() {
    let der = list(7, 100, &two());
    let ours = RevocationList::parse(&der).expect("a list");
    let (_, theirs) = CertificateRevocationList::from_der(&der).expect("a list");
    assert_eq!(ours.issuer().as_der(), theirs.issuer().as_raw());
    let seconds = |at: Millis| i64::try_from(at.0 / 1000).expect("seconds");
    assert_eq!(seconds(ours.window().this_update), theirs.last_update().timestamp());
    assert_eq!(Some(seconds(ours.window().next_update)), theirs.next_update().map(|time| time.timestamp()));
    assert_eq!(ours.number(), ListNumber::from(7));
    assert_eq!(ours.entries().len(), theirs.iter_revoked_certificates().count());
    for revoked in theirs.iter_revoked_certificates() {
        let (_, entry) =
            ours.entries().iter().find(|(s, _)| s.as_bytes() == revoked.raw_serial()).expect("the same");
        assert_eq!(seconds(entry.revoked_at), revoked.revocation_date.timestamp());
        let invalid_from = revoked.invalidity_date().map(|(_, time)| time.timestamp());
        assert_eq!(entry.invalid_from.map(seconds), invalid_from);
        let expected = if revoked.raw_serial() == serial_bytes(9) {
            RevocationReason::Unspecified
        } else {
            RevocationReason::KeyCompromise
        };
        assert_eq!(entry.reason, expected);
    }
    assert_eq!(changed(|_| {}), list(1, 100, &two()), "taking apart and signing anew changes nothing");
}

#[test]
fn size_and_entries_are_bounded() {
    let error = RevocationList::parse(&vec![0x30; LIST_BYTES_MAX + 1]).expect_err("too large");
    assert_eq!(error, ListError::TooLarge { found: LIST_BYTES_MAX + 1 });
    let crowd = |count: u32| {
        changed(|members| {
            let entries = members[0].members()[part::ENTRIES].members();
            let time = entries[0].members()[1].clone();
            let one = |n: u32| {
                let serial = [&[1][..], &n.to_be_bytes()].concat();
                Node::Branch(0x30, vec![Node::Leaf(0x02, serial), time.clone()])
            };
            *entries = (0..count).map(one).collect();
        })
    };
    let most = u32::try_from(ENTRIES_MAX).expect("fits");
    let full = RevocationList::parse(&crowd(most)).expect("as many as are allowed");
    assert_eq!(full.entries().len(), ENTRIES_MAX);
    refused(&crowd(most + 1), "more than 250000 entries");
}

#[test]
fn what_is_remembered_of_one_authority_is_bounded() {
    let country = Country::new();
    let issuer = Certificate::parse(&country.here.der).expect("an authority");
    let half = u32::try_from(ENTRIES_MAX / 2 + 1).expect("fits");
    let crowd = |number: u64, mark: u8| {
        let der = forge(&list(number, 100, &two()), &Key::ed25519(2), |members| {
            let entries = members[0].members()[part::ENTRIES].members();
            let time = entries[0].members()[1].clone();
            let one = |n: u32| {
                let serial = [&[mark][..], &n.to_be_bytes()].concat();
                Node::Branch(0x30, vec![Node::Leaf(0x02, serial), time.clone()])
            };
            *entries = (0..half).map(one).collect();
        });
        RevocationList::parse(&der).expect("a list")
    };
    let mut seen = Revocations::default();
    assert_eq!(seen.admit(&crowd(1, 1), &issuer), Ok(Admitted::New));
    let before = seen.clone();
    assert_eq!(seen.admit(&crowd(2, 2), &issuer), Err(ListError::TooManyEntries));
    assert_eq!(seen, before, "nothing was half taken in");
    assert_eq!(seen.admit(&crowd(2, 1), &issuer), Ok(Admitted::New), "the same entries again are no more");
}

#[test]
fn only_full_lists_of_version_2_are_read() {
    refused(&changed(|members| drop(members[0].members().remove(part::VERSION))), "version 2");
    refused(&changed(|m| m[0].members()[part::VERSION] = Node::Leaf(0x02, vec![0])), "version 2");
    for (oid, name) in [
        (b"\x55\x1d\x1b", "deltaCRLIndicator"),
        (b"\x55\x1d\x1c", "issuingDistributionPoint"),
        (b"\x55\x1d\x2e", "freshestCRL"),
    ] {
        for critical in [false, true] {
            refused(&extensions(|list| list.push(extension(oid, critical, vec![0x30, 0x00]))), name);
        }
    }
    refused(
        &extensions(|list| list.push(extension(b"\x2a\x03\x04", true, vec![0x05, 0x00]))),
        "is not known",
    );
    let harmless = extensions(|list| list.push(extension(b"\x2a\x03\x04", false, vec![0x05, 0x00])));
    assert!(RevocationList::parse(&harmless).is_ok());
}

#[test]
fn number_key_and_next_date_are_demanded() {
    let is = |node: &Node, oid: &[u8]| {
        let oid = Node::Leaf(0x06, oid.to_vec());
        matches!(node, Node::Branch(_, members) if members[0] == oid)
    };
    refused(&extensions(|list| list.retain(|e| !is(e, NUMBER))), "has no cRLNumber");
    refused(&extensions(|list| list.retain(|e| !is(e, AKI))), "has no authorityKeyIdentifier");
    refused(&changed(|m| drop(m[0].members().remove(part::NEXT_UPDATE))), "from when until when");
    let backwards =
        |members: &mut Vec<Node>| members[0].members().swap(part::NEXT_UPDATE, part::NEXT_UPDATE - 1);
    refused(&changed(backwards), "from when until when");
    for critical in [NUMBER, AKI] {
        let der = extensions(|list| {
            let Node::Branch(_, members) = trust_country::find(list, critical) else {
                panic!("an extension")
            };
            members.insert(1, Node::Leaf(0x01, vec![0xff]));
        });
        refused(&der, "critical where it must not be");
    }
    let numbered = |value: &[u8]| {
        let value = extension(NUMBER, false, value.to_vec());
        extensions(|list| *trust_country::find(list, NUMBER) = value)
    };
    refused(&numbered(b"\x02\x01\x80"), "cRLNumber is malformed");
    refused(&numbered(&[&[2, 21][..], &[1; 21]].concat()), "cRLNumber is malformed");
    assert!(RevocationList::parse(&numbered(&[&[2, 20][..], &[1; 20]].concat())).is_ok());
    refused(
        &extensions(|list| list.push(extension(AKI, false, b"\x30\x03\x80\x01\x01".into()))),
        "occurs twice",
    );
}

#[test]
fn malformed_entries_are_refused() {
    refused(&entry(|e| e[0] = Node::Leaf(0x02, vec![0])), "serial number out of bounds");
    refused(&entry(|e| e[1] = Node::Leaf(0x17, b"2601010000Z".to_vec())), "revocation date");
    let with = |oid: &[u8], critical, value: &[u8]| {
        let extension = extension(oid, critical, value.to_vec());
        entry(|e| *e.last_mut().expect("extensions") = Node::Branch(0x30, vec![extension]))
    };
    // removeFromCRL belongs to delta lists, 7 to nobody.
    for code in [7, 8, 11, 0x80] {
        refused(&with(b"\x55\x1d\x15", false, &[0x0a, 1, code]), "a reason that is not known");
    }
    refused(&with(b"\x55\x1d\x15", true, &[0x0a, 1, 1]), "critical where it must not be");
    refused(&with(b"\x55\x1d\x18", false, b"\x18\x0d202601010000Z"), "invalidity date");
    refused(&with(b"\x55\x1d\x1d", true, b"\x30\x00"), "certificateIssuer is not allowed");
    refused(&with(b"\x55\x1d\x1d", false, b"\x30\x00"), "certificateIssuer is not allowed");
    refused(&with(b"\x2a\x03\x04", true, b"\x05\x00"), "is not known");
    refused(&changed(|m| m[0].members()[part::ENTRIES].members().clear()), "empty list of entries");
    let twice = changed(|m| {
        let entries = m[0].members()[part::ENTRIES].members();
        let copy = entries[0].clone();
        entries.push(copy);
    });
    refused(&twice, "twice");
}

#[test]
fn algorithms_are_those_of_certificates() {
    let sha1 = Node::Branch(
        0x30,
        vec![Node::Leaf(0x06, b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05".to_vec()), Node::Leaf(0x05, vec![])],
    );
    refused(&changed(|m| m[0].members()[part::ALGORITHM] = sha1.clone()), "differs");
    let both = changed(|members| {
        members[0].members()[part::ALGORITHM] = sha1.clone();
        members[1] = sha1;
    });
    refused(&both, "SHA-1 with RSA");
}

#[test]
fn list_must_be_signed_by_the_key_that_signs_the_certificates() {
    let country = Country::new();
    let mut store = country.store_without_lists();
    let forged = forge(&list(1, 100, &[]), &Key::ed25519(66), |_| {});
    assert!(matches!(store.add_list(&forged), Err(ListError::Forged { .. })));
    // The same name with a key of its own.
    let imposter = Authority { plan: country.here.plan, key: Key::ed25519(66), der: Vec::new() };
    let foreign = imposter.list(1, day(100), day(130), &[]);
    assert!(matches!(store.add_list(&foreign), Err(ListError::UnknownIssuer { .. })));
    let nobody =
        Authority { plan: Plan::province("Tỉnh Không Có"), key: Key::ed25519(66), der: Vec::new() };
    let unknown = nobody.list(1, day(100), day(130), &[]);
    assert!(matches!(store.add_list(&unknown), Err(ListError::UnknownIssuer { .. })));
    assert_eq!(store.generation(), 2, "only the two authorities counted");
}

#[test]
fn authority_without_the_right_signs_no_lists() {
    let country = Country::new();
    let plan = Plan { usages: vec![Use::KeyCertSign], ..Plan::province(trust_country::HERE) };
    let der = country.root.issue(&plan, &Key::ed25519(2));
    let list = RevocationList::parse(&list(1, 100, &[])).expect("a list");
    let issuer = Certificate::parse(&der).expect("sound by itself");
    assert!(matches!(list.check_issuer(&issuer), Err(ListError::NotAListSigner { .. })));
}

/// Anybody can turn a signature of ECDSA into a second one; here the authority does it, by signing once more.
#[test]
fn same_list_under_another_signature_is_a_repeat() {
    let mut country = Country::new();
    let plan = Plan::province(trust_country::HERE);
    country.here = country.root.below(plan, Key::p256());
    let mut store = country.store_without_lists();
    let [one, twin] = [(); 2].map(|()| country.here.list(5, day(100), day(130), &[]));
    assert_ne!(one, twin, "the signatures are the same");
    assert_eq!(store.add_list(&one), Ok(Admitted::New));
    assert_eq!(store.add_list(&twin), Ok(Admitted::Repeat));
    store.add_list(&country.here.list(6, day(101), day(131), &[])).expect("the next");
    let twin = RevocationList::parse(&twin).expect("a list");
    assert!(!store.is_contradicted_by(&twin));
}

#[test]
fn number_going_back_is_refused_and_changes_nothing() {
    let country = Country::new();
    let mut store = country.store_without_lists();
    store.add_list(&country.root.list(1, day(100), day(130), &[])).expect("a list");
    let stolen = [Revoked::new(OFFICE_SERIAL, day(40), Why::KeyCompromise)];
    let newer = country.here.list(5, day(100), day(130), &stolen);
    let older = country.here.list(4, day(99), day(129), &[]);
    assert_eq!(store.add_list(&newer), Ok(Admitted::New));
    let error = store.add_list(&older).expect_err("it goes back");
    assert!(error.to_string().contains("went back: number 4 after 5"), "{error}");
    assert_eq!(judge(&store, &country.office, day(50)).outcome(), Outcome::Invalid, "nothing is hidden");

    assert_eq!(store.add_list(&newer), Ok(Admitted::Repeat), "the same again is no harm");
    let other = country.here.list(5, day(101), day(131), &[]);
    assert!(matches!(store.add_list(&other), Err(ListError::TwoListsOneNumber { .. })));
    let earlier = country.here.list(6, day(98), day(131), &[]);
    assert!(matches!(store.add_list(&earlier), Err(ListError::DateWentBack { .. })));
    let next = country.here.list(6, day(100), day(131), &stolen);
    assert_eq!(store.add_list(&next), Ok(Admitted::New));
}

#[test]
fn numbers_are_compared_as_numbers() {
    assert!(ListNumber::from(255) < ListNumber::from(256));
    assert_eq!(ListNumber::from(u64::MAX).to_string(), "18446744073709551615");
    let mut seen = Revocations::default();
    let country = Country::new();
    let issuer = Certificate::parse(&country.here.der).expect("an authority");
    for (n, number) in [127, 128, 255, 256, 65_535, 65_536].into_iter().enumerate() {
        let der = country.here.list(number, day(100 + n as u64), day(200), &[]);
        let list = RevocationList::parse(&der).expect("a list");
        assert_eq!(seen.admit(&list, &issuer), Ok(Admitted::New), "{number}");
    }
}
