//! Lists, path lengths and mazes: whether a way leads to the root, and what is revoked on it.

use super::*;

pub fn lists() -> Vec<Case> {
    let chain = || Chain::new(&root(), &[here()], &office().numbered(7));
    let number = || Some(list_number(1, false));
    let serial: &[u8] = &[0x35, 0xa9, 0x44, 7];
    let with = |rule, list: &dyn Fn(&Chain) -> Vec<u8>, expected| {
        let chain = chain();
        let list = list(&chain);
        let mut case = chain.case(rule, Judge::Store, expected);
        case.lists[1] = list;
        case
    };
    let without_list_right = Chain::new(&root(), &[here().instead(usage(2, 0b0000_0100))], &office());
    let without_usage = Chain::new(&root(), &[here().without(oid::USAGE)], &office());
    vec![
        of_office("the whole as it should be", &office(), VALID),
        with(
            "list: names the certificate",
            &|c| c.between[0].list(&[serial], number()),
            Some("had been revoked"),
        ),
        with("list: without a number", &|c| c.between[0].list(&[], None), Some("no cRLNumber")),
        with(
            "list: with a critical number",
            &|c| c.between[0].list(&[], Some(list_number(1, true))),
            Some("cRLNumber is critical"),
        ),
        with("list: names another certificate", &|c| c.between[0].list(&[&[5]], number()), VALID),
        {
            let chain = chain();
            let list = chain.root.list(&[serial], number());
            let mut case = chain.case("list: another issuer's names the number", Judge::Store, VALID);
            case.lists[0] = list;
            case
        },
        with(
            "list: of the same name by another key",
            &|_| {
                let other = Holder::root(&Draft { subject: here().subject, ..root() }, Key::ed25519(66));
                other.list(&[], number())
            },
            Some("no trusted authority"),
        ),
        with(
            "list: of the same name and key identifier by another key",
            &|c| {
                let forger =
                    Holder { name: c.between[0].name.clone(), key: Key::ed25519(66), der: Vec::new() };
                let identifier = key_identifier(&spki_of(&c.between[0].key));
                forger.list_naming(&identifier)
            },
            Some("was not signed by"),
        ),
        without_list_right.case(
            "list: issuer may sign certificates only",
            Judge::Layers,
            Some("no revocation list"),
        ),
        without_usage.case("list: issuer without key usage", Judge::Layers, Some("contradict each other")),
    ]
}

pub fn path_lengths() -> Vec<Case> {
    let of = |length: Option<u8>| authority("A").instead(basic(true, length));
    let next = |called: &str, length| authority(called).instead(basic(true, length));
    let again = |length| authority("A").instead(basic(true, length));
    vec![
        ladder("path length: 0 above a leaf", &root(), &[of(Some(0))], VALID),
        ladder("path length: 1 above a leaf", &root(), &[of(Some(1))], VALID),
        ladder("path length: 2 above a leaf", &root(), &[of(Some(2))], VALID),
        ladder(
            "path length: 0 above an authority",
            &root(),
            &[of(Some(0)), next("B", None)],
            Some("pathLenConstraint"),
        ),
        ladder("path length: 1 above one of 2", &root(), &[of(Some(1)), next("B", Some(2))], VALID),
        ladder(
            "path length: 0 of the root",
            &root().instead(basic(true, Some(0))),
            &[of(None), next("B", None)],
            Some("pathLenConstraint"),
        ),
        ladder(
            "path length: a self-issued one does not count",
            &root(),
            &[of(Some(0)), again(Some(0))],
            VALID,
        ),
        ladder(
            "path length: three between are too many",
            &root(),
            &[of(None), next("B", None), next("C", None)],
            Some("more than 4"),
        ),
        Chain::new(&root(), &[of(Some(0))], &next("B", Some(0)).with(permits(HERE))).case(
            "path length: an authority in the place of the leaf",
            Judge::Layers,
            Some("not issued for this"),
        ),
        of_authority(
            "path length: a province with room for authorities",
            &here().instead(basic(true, Some(1))),
            Some("must be 0"),
        ),
        ladder(
            "path length: of an authority that is none",
            &root(),
            &[of(None).instead(basic(false, Some(0)))],
            Some("without an authority"),
        ),
    ]
}

/// A chain of a hundred authorities that ends at nobody.
fn tower(rule: &'static str, one_name: bool, one_key: bool, expected: &'static str) -> Case {
    let draft = |n: u8| authority(&if one_name { "A".to_owned() } else { format!("A{n}") }).numbered(n);
    let key = |n: u8| Key::ed25519(if one_key { 50 } else { 50 + n });
    let mut made = vec![Holder::root(&draft(0), key(0))];
    for n in 1..100 {
        let next = made.last().expect("the one before").below(&draft(n), key(n));
        made.push(next);
    }
    let leaf = made.last().expect("the last").issue(&office(), &Key::ed25519(9));
    let mut case = Chain::new(&root(), &[], &office()).case(rule, Judge::Layers, Some(expected));
    case.authorities = made.into_iter().map(|holder| holder.der).collect();
    case.leaf = leaf;
    case
}

pub fn mazes() -> Vec<Case> {
    // Two that certify each other, the first of them below nobody.
    let circle = |rule, called: [&str; 2], expected| {
        let [one, other] = called.map(|called| Holder::root(&authority(called), Key::ed25519(20)));
        let other = Holder { key: Key::ed25519(21), ..other };
        let first = other.issue(&authority(called[0]), &one.key);
        let second = one.issue(&authority(called[1]), &other.key);
        let mut case = Chain::new(&root(), &[], &office()).case(rule, Judge::Layers, Some(expected));
        case.leaf = one.issue(&office(), &Key::ed25519(9));
        case.authorities = vec![first, second];
        case
    };
    // A root that two others have certified too, and they each other.
    let mutual = {
        let roots = [("A", 30), ("B", 31), ("C", 32)]
            .map(|(called, key)| Holder::root(&authority(called), Key::ed25519(key)));
        let below = roots[0].below(&authority("A1"), Key::ed25519(33));
        let mut case = Chain::new(&root(), &[], &office()).case(
            "maze: three that certify each other below a root",
            Judge::Layers,
            VALID,
        );
        for issuer in &roots {
            for (other, called) in roots.iter().zip(["A", "B", "C"]) {
                case.authorities.push(issuer.issue(&authority(called), &other.key));
            }
        }
        case.lists.push(below.list(&[], Some(list_number(1, false))));
        case.lists.push(roots[0].list(&[], Some(list_number(1, false))));
        case.roots = vec![roots[0].der.clone()];
        case.leaf = below.issue(&office(), &Key::ed25519(9));
        case.authorities.push(below.der);
        case
    };
    // The old root certified the new one, and that has ended.
    let ended_cross_certificate = {
        let old = Holder::root(&authority("Gốc cũ"), Key::ed25519(40));
        let chain = Chain::new(&root(), &[here()], &office());
        let cross = old.issue(&Draft { until: time(day(50)), ..root() }, &chain.root.key);
        let mut case =
            chain.case("maze: a cross-certificate that has ended beside the root", Judge::Layers, VALID);
        case.roots.push(old.der);
        case.authorities.insert(0, cross);
        case
    };
    let root_among_authorities = {
        let mut case = of_office("maze: the root among the authorities", &office(), VALID);
        case.judge = Judge::Layers;
        case.authorities.insert(0, case.roots[0].clone());
        case
    };
    let unknown_root = {
        let mut case = of_office(
            "maze: another root than the pinned one",
            &office(),
            Some("held, but with another key"),
        );
        case.roots = vec![Holder::root(&root(), Key::ed25519(66)).der];
        case
    };
    let pinned_province = {
        let mut case = of_office("maze: a province pinned as a root", &office(), Some("not that of a root"));
        case.roots = case.authorities.clone();
        case
    };
    let beside = |rule, of_a_root: bool| {
        let critical = extension(UNKNOWN, true, vec![0x05, 0x00]);
        let other = Holder::root(&authority("Gốc khác").with(critical.clone()), Key::ed25519(66));
        let mut case = of_office(rule, &office(), VALID);
        case.judge = Judge::Layers;
        if of_a_root {
            case.roots.push(other.der);
        } else {
            case.authorities.push(other.issue(&here().with(critical), &Key::ed25519(67)));
        }
        case
    };
    vec![
        circle("maze: two names in a circle", ["A", "B"], "no chain leads"),
        circle("maze: one name, two keys in a circle", ["A", "A"], "held, but with another key"),
        mutual,
        ended_cross_certificate,
        root_among_authorities,
        unknown_root,
        pinned_province,
        beside("maze: an unknown critical extension in a root beside", true),
        beside("maze: an unknown critical extension in an authority beside", false),
        tower("maze: a hundred names, a hundred keys", false, false, "more than 4"),
        tower("maze: one name, a hundred keys", true, false, "256 authorities"),
        tower("maze: a hundred names, one key", false, true, "more than 4"),
        tower("maze: one name, one key", true, true, "256 authorities"),
    ]
}
