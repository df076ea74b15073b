//! Constraints on names, and alternative names.

use super::*;

pub fn name_constraints() -> Vec<Case> {
    let limited = |called: &str, node: Node| authority(called).with(node);
    let alternative_of = |text: &str| alternative(vec![subject(text)]);
    let there = || Draft::leaf(subject(THERE));
    let chain = |rule, root: Draft, between: &[Draft], leaf: Draft, expected| {
        Chain::new(&root, between, &leaf).case(rule, Judge::Layers, expected)
    };
    let country_only = || constraints(vec![name(vec![country()])], vec![]);
    let value = |bytes: &[u8]| extension(oid::CONSTRAINTS, true, bytes.to_vec());
    let of_kind = |tag: u8, bytes: &[u8]| {
        let subtree = sequence(vec![leaf(tag, bytes)]);
        value(&sequence(vec![Node::Branch(0xa0, vec![subtree])]).encode())
    };
    let outside = Some("lies outside what");
    let many = |count: usize| constraints(vec![base(HERE); count], vec![]);
    let two_ways = {
        let chain = Chain::new(&root(), &[limited("A", permits(THERE))], &office());
        let other = chain.root.issue(&limited("A", permits(HERE)).numbered(3), &chain.between[0].key);
        let mut case = chain.case(
            "constraint: forbids, and another certificate of the authority permits",
            Judge::Layers,
            VALID,
        );
        case.authorities.push(other);
        case
    };
    let mut cases = vec![
        of_office("constraint: permits the leaf", &office(), VALID),
        of_office("constraint: does not permit the leaf", &there(), outside),
        chain(
            "constraint: of the root does not permit the leaf",
            limited("Gốc", permits(HERE)),
            &[authority("A")],
            there(),
            outside,
        ),
        chain(
            "constraint: permits the subject, not the alternative name",
            root(),
            &[limited("A", permits(HERE))],
            officer().with(alternative_of(THERE)),
            outside,
        ),
        chain(
            "constraint: permits the alternative name, not the subject",
            root(),
            &[limited("A", permits(HERE))],
            there().with(alternative_of(HERE)),
            outside,
        ),
        chain(
            "constraint: does not permit the authority below",
            limited("Gốc", permits(THERE)),
            &[authority("A")],
            there(),
            outside,
        ),
        chain(
            "constraint: does not permit an authority's alternative name",
            limited("Gốc", permits(HERE)),
            &[limited("A", alternative_of(THERE))],
            office(),
            outside,
        ),
        chain(
            "constraint: passes over a self-issued authority",
            root().with(permits(HERE)),
            &[root()],
            office(),
            VALID,
        ),
        chain(
            "constraint: holds for a self-issued leaf",
            root().with(permits(HERE)),
            &[],
            Draft::leaf(root().subject),
            outside,
        ),
        chain(
            "constraint: narrowed below, inside",
            root(),
            &[limited("A", country_only()), limited("B", permits(HERE))],
            office(),
            VALID,
        ),
        chain(
            "constraint: narrowed below, outside",
            root(),
            &[limited("A", country_only()), limited("B", permits(HERE))],
            there(),
            outside,
        ),
        chain(
            "constraint: widened below, inside",
            root(),
            &[limited("A", permits(HERE)), limited("B", country_only())],
            office(),
            VALID,
        ),
        chain(
            "constraint: widened below, outside",
            root(),
            &[limited("A", permits(HERE)), limited("B", country_only())],
            there(),
            outside,
        ),
        chain(
            "constraint: two that exclude each other",
            root(),
            &[limited("A", permits(HERE)), limited("B", permits(THERE))],
            office(),
            outside,
        ),
        two_ways,
        chain("constraint: as many as are read", root(), &[limited("A", many(64))], office(), VALID),
        chain(
            "constraint: more than are read",
            root(),
            &[limited("A", many(65))],
            office(),
            Some("more than 64"),
        ),
        of_authority(
            "constraint: excludes",
            &here().instead(constraints(vec![], vec![base(THERE)])),
            Some("excluded names"),
        ),
        of_authority(
            "constraint: permits and excludes",
            &here().instead(constraints(vec![base(HERE)], vec![base(THERE)])),
            Some("excluded names"),
        ),
        of_authority(
            "constraint: not critical",
            &here().instead({
                let Node::Branch(_, mut members) = permits(HERE) else { panic!("a sequence") };
                members.remove(1);
                sequence(members)
            }),
            Some("nameConstraints is critical where it must not be, or not"),
        ),
        of_office("constraint: in a leaf", &office().with(permits(HERE)), Some("only an authority")),
        of_authority(
            "constraint: an empty sequence",
            &here().instead(value(&[0x30, 0])),
            Some("an empty list"),
        ),
        of_authority(
            "constraint: two empty lists",
            &here().instead(value(&[0x30, 4, 0xa0, 0, 0xa1, 0])),
            Some("excluded names"),
        ),
        of_authority(
            "constraint: an empty list",
            &here().instead(value(&[0x30, 2, 0xa0, 0])),
            Some("an empty list"),
        ),
        of_authority(
            "constraint: two nulls",
            &here().instead(value(&[0x30, 4, 5, 0, 5, 0])),
            Some("does not belong there"),
        ),
        of_authority(
            "constraint: none in a province",
            &here().without(oid::CONSTRAINTS),
            Some("not constrained to one jurisdiction"),
        ),
        of_authority(
            "constraint: two provinces",
            &here().instead(constraints(vec![base(HERE), base(THERE)], vec![])),
            Some("not constrained to one jurisdiction"),
        ),
    ];
    for (rule, tag, bytes) in [
        ("constraint: on host names", 0x82, &b"example.vn"[..]),
        ("constraint: on addresses", 0x87, b"\x0a\x00\x00\x00\xff\x00\x00\x00"),
        ("constraint: on mail", 0x81, b"example.vn"),
        ("constraint: on resources", 0x86, b"example.vn"),
        ("constraint: on other names", 0xa0, b""),
    ] {
        cases.push(of_authority(rule, &here().instead(of_kind(tag, bytes)), Some("only directory names")));
    }
    cases
}

pub fn alternative_names() -> Vec<Case> {
    let mail = || other_name(0x81, b"a@x.vn");
    let critical = {
        let Node::Branch(_, mut members) = mail() else { panic!("a sequence") };
        members.insert(1, leaf(0x01, &[0xff]));
        sequence(members)
    };
    let malformed = extension(oid::ALTERNATIVE, false, vec![0x30, 5, 0x82, 9, b'x', b'.', b'v']);
    let nobody = sequence(vec![]);
    let attributes = |count: usize| {
        let more = (0..count - 4).map(|_| attribute(oid::ORGANISATION, UTF8, "x"));
        name([country(), province(HERE), common("UBND xã"), uid()].into_iter().chain(more).collect())
    };
    vec![
        of_officer("name: an officer's mail", &officer().with(mail()), VALID),
        of_officer("name: critical", &officer().with(critical), Some("subjectAltName is critical")),
        of_officer("name: a host", &officer().with(other_name(0x82, b"x.vn")), Some("alternative names")),
        of_officer(
            "name: an address",
            &officer().with(other_name(0x87, &[10, 0, 0, 1])),
            Some("alternative names"),
        ),
        of_officer(
            "name: an address of five bytes",
            &officer().with(other_name(0x87, &[10, 0, 0, 1, 1])),
            Some("alternative names"),
        ),
        of_officer(
            "name: an empty list",
            &officer().with(alternative(vec![])),
            Some("subjectAltName is malformed"),
        ),
        of_officer("name: malformed", &officer().with(malformed), Some("subjectAltName is malformed")),
        of_office("name: an office's mail", &office().with(mail()), Some("alternative names")),
        of_office(
            "name: an empty subject with an alternative",
            &Draft { subject: nobody.clone(), ..office().with(mail()) },
            Some("has no name"),
        ),
        of_office(
            "name: an empty issuer",
            &Draft { issuer: Some(nobody.clone()), ..office() },
            Some("has no name"),
        ),
        of_root("name: a root without one", &Draft { subject: nobody, ..root() }, Some("has no name")),
        of_office(
            "name: as many attributes as are read",
            &Draft { subject: attributes(ATTRIBUTES_MAX), ..office() },
            VALID,
        ),
        of_office(
            "name: more attributes than are read",
            &Draft { subject: attributes(ATTRIBUTES_MAX + 1), ..office() },
            Some("more than 32 attributes"),
        ),
        of_office(
            "name: two office ids",
            &Draft { subject: name(vec![country(), province(HERE), uid(), uid()]), ..office() },
            Some("exactly one UID"),
        ),
        of_office(
            "name: a PrintableString",
            &Draft {
                subject: name(vec![
                    country(),
                    province(HERE),
                    attribute(oid::COMMON, PRINTABLE, "UBND"),
                    uid(),
                ]),
                ..office()
            },
            Some("not UTF-8 in NFC"),
        ),
        of_office(
            "name: more bytes than are read",
            &Draft {
                subject: name(vec![country(), province(HERE), common(&"x".repeat(17_000)), uid()]),
                ..office()
            },
            Some("at most 16384"),
        ),
    ]
}
