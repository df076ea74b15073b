//! Who is named, by which key, for what: key identifiers, purposes, usages.

use super::*;

pub fn key_identifiers() -> Vec<Case> {
    let critical = |oid: &[u8], value: &[u8]| extension(oid, true, value.to_vec());
    let nameless = |draft: Draft| Draft { names_its_issuer: false, ..draft };
    let selfless = |draft: Draft| Draft { names_itself: false, ..draft };
    let some_key = key_identifier(b"some key");
    let critical_aki = critical(oid::AUTHORITY_KEY, &sequence(vec![leaf(0x80, &some_key)]).encode());
    let critical_ski = critical(oid::SUBJECT_KEY, &leaf(0x04, &some_key).encode());
    let aki = |members: Vec<Node>| extension(oid::AUTHORITY_KEY, false, sequence(members).encode());
    let issuer = || Node::Branch(0xa1, vec![Node::Branch(0xa4, vec![root().subject])]);
    let number = || leaf(0x82, &[0x35, 0xa9, 0x44, 0x70]);
    let own = key_identifier(&spki_of(&Key::ed25519(1)));
    vec![
        of_root(
            "AKI: critical in the root",
            &nameless(root()).with(critical_aki.clone()),
            Some("authorityKeyIdentifier is critical"),
        ),
        of_office(
            "AKI: critical in the leaf",
            &nameless(office()).with(critical_aki),
            Some("authorityKeyIdentifier is critical"),
        ),
        of_office("AKI: missing in the leaf", &nameless(office()), Some("SKI, AKI")),
        of_authority("AKI: missing in the authority", &nameless(here()), Some("SKI, AKI")),
        of_root("AKI: missing in a root that signed itself", &nameless(root()), VALID),
        {
            let mut case =
                of_root("AKI: missing in a root that another one signed", &root(), Some("SKI, AKI"));
            let other = Holder::root(&authority("Gốc khác"), Key::ed25519(66));
            case.roots = vec![other.issue(&nameless(root()), &Key::ed25519(1))];
            case
        },
        of_root(
            "AKI: without a key identifier",
            &nameless(root()).with(aki(vec![])),
            Some("authorityKeyIdentifier is malformed"),
        ),
        of_root(
            "AKI: an issuer and a number instead",
            &nameless(root()).with(aki(vec![issuer(), number()])),
            Some("authorityKeyIdentifier is malformed"),
        ),
        of_root(
            "AKI: an issuer and a number too",
            &nameless(root()).with(aki(vec![leaf(0x80, &own), issuer(), number()])),
            Some("names a certificate instead"),
        ),
        of_root(
            "AKI: a number too",
            &nameless(root()).with(aki(vec![leaf(0x80, &own), number()])),
            Some("authorityKeyIdentifier"),
        ),
        of_root(
            "AKI: of another key in the root",
            &nameless(root()).with(authority_key(&some_key)),
            Some("not signed by its own key"),
        ),
        of_office(
            "AKI: of another key in the leaf",
            &nameless(office()).with(authority_key(&some_key)),
            Some("held, but with another key"),
        ),
        of_office("AKI: empty", &nameless(office()).with(authority_key(b"")), Some("no key identifier")),
        of_root(
            "SKI: critical",
            &selfless(root()).with(critical_ski),
            Some("subjectKeyIdentifier is critical"),
        ),
        of_root("SKI: missing in the root", &selfless(root()), Some("SKI, AKI")),
        of_authority("SKI: missing in the authority", &selfless(here()), Some("SKI, AKI")),
        of_office("SKI: missing in the leaf", &selfless(office()), VALID),
        of_authority(
            "SKI: of another key in the authority",
            &selfless(here()).with(subject_key(&some_key)),
            Some("held, but with another key"),
        ),
    ]
}

pub fn purposes_and_usages() -> Vec<Case> {
    let odd = |oids: &[&[u8]]| any_purposes(oids, false);
    let signs_certificates = usage(2, 0b1000_0100);
    vec![
        of_office("purpose: that of a server", &office().instead(odd(&[SERVER])), Some("extended key usage")),
        of_office("purpose: none", &office().without(oid::PURPOSES), Some("extended key usage")),
        of_office("purpose: an empty list", &office().instead(odd(&[])), Some("no purpose")),
        of_office("purpose: any", &office().instead(odd(&[ANY_PURPOSE])), Some("extended key usage")),
        of_office(
            "purpose: ours and any",
            &office().instead(odd(&[&PURPOSE_OFFICE, ANY_PURPOSE])),
            Some("extended key usage"),
        ),
        of_office(
            "purpose: ours twice",
            &office().instead(odd(&[&PURPOSE_OFFICE, &PURPOSE_OFFICE])),
            Some("twice"),
        ),
        of_office("purpose: critical", &office().instead(any_purposes(&[&PURPOSE_OFFICE], true)), VALID),
        of_root("purpose: a server's in the root", &root().with(odd(&[SERVER])), Some("extended key usage")),
        of_root("purpose: ours in the root", &root().with(purposes(&[PURPOSE_OFFICE])), VALID),
        of_root(
            "purpose: the other one in the root",
            &root().with(purposes(&[PURPOSE_OFFICER])),
            Some("not issued for this"),
        ),
        of_authority(
            "purpose: any in the authority",
            &here().with(odd(&[ANY_PURPOSE])),
            Some("extended key usage"),
        ),
        of_office("usage: none in the leaf", &office().without(oid::USAGE), Some("key usage is not the one")),
        of_office(
            "usage: keyCertSign in the leaf",
            &office().instead(signs_certificates),
            Some("contradict each other"),
        ),
        of_office(
            "usage: cRLSign in the leaf",
            &office().instead(usage(1, 0b1000_0010)),
            Some("contradict each other"),
        ),
        of_authority(
            "usage: no keyCertSign in the authority",
            &here().instead(usage(1, 0b0000_0010)),
            Some("key usage is not the one"),
        ),
        ladder(
            "usage: no keyCertSign in an authority between",
            &root(),
            &[authority("A").instead(usage(1, 0b0000_0010))],
            Some("may not sign certificates"),
        ),
        of_root(
            "usage: no keyCertSign in the root",
            &root().instead(usage(1, 0b0000_0010)),
            Some("key usage is not the one"),
        ),
        of_root(
            "usage: bits that are all zero",
            &root().instead(extension(oid::USAGE, true, vec![3, 1, 0])),
            Some("keyUsage is malformed"),
        ),
        of_root(
            "usage: zero bits at the end",
            &root().instead(usage(0, 0b0000_0110)),
            Some("keyUsage is malformed"),
        ),
        of_office(
            "authority: the leaf is one",
            &office().with(basic(true, None)).instead(usage_of_a_leaf()),
            Some("key usage is not the one"),
        ),
        of_office(
            "authority: one in the place of the leaf",
            &Draft { subject: authority("CA khác").subject, ..here() },
            Some("not issued for this"),
        ),
        of_office("authority: the leaf says that it is none", &office().with(basic(false, None)), VALID),
        of_authority(
            "authority: between without the bit",
            &here().instead(basic(false, None)),
            Some("contradict each other"),
        ),
        of_authority(
            "authority: between without basic constraints",
            &here().without(oid::BASIC),
            Some("contradict each other"),
        ),
        ladder(
            "authority: between that is a leaf",
            &root(),
            &[authority("A").without(oid::BASIC).instead(usage_of_a_leaf())],
            Some("may not sign certificates"),
        ),
        of_root(
            "authority: a root without basic constraints",
            &root().without(oid::BASIC),
            Some("contradict each other"),
        ),
        of_root(
            "authority: a root whose basic constraints are not critical",
            &root().instead(extension(oid::BASIC, false, vec![0x30, 3, 1, 1, 0xff])),
            Some("basicConstraints is critical where it must not be, or not"),
        ),
    ]
}
