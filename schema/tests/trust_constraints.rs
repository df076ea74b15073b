//! Name constraints on directory names before us and before `openssl verify`: every constraint with every
//! spelling of a subject at every place of a chain. Whatever we take, openssl takes too.
//!
//! openssl folds case, blanks and string types before it compares, we compare bytes. For what is *permitted*
//! that makes us the stricter one. For what is *excluded* it would make us the laxer one: another spelling of
//! an excluded name would pass. So excluded names are refused as a whole, wherever they stand.

mod trust_country;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use schema::trust::Certificate;
use schema::trust::path::{Authorities, Links, find_paths};
use trust_country::raw::{
    Draft, Holder, PRINTABLE, UTF8, alternative, attribute, base, common, constraints, country, name, oid,
    part, province, sequence, uid,
};
use trust_country::{HERE, Key, Node, THERE, day, openssl_is_here, pem};

/// Another name to whoever compares bytes. Only ASCII letters differ: openssl folds no others.
const HERE_IN_SMALL: &str = "tỉnh phú thọ";
const HERE_DECOMPOSED: &str = "Ti\u{309}nh Phu\u{301} Tho\u{323}";

fn forbidden() -> Node {
    attribute(oid::ORGANISATION, UTF8, "Cấm")
}

fn ascii(tag: u8) -> Node {
    attribute(oid::PROVINCE, tag, "Phu Tho")
}

/// Constraints by what they say: permitted, excluded.
fn all_constraints() -> Vec<(&'static str, Vec<Node>, Vec<Node>)> {
    let deeper = || name(vec![country(), province(HERE), forbidden()]);
    vec![
        ("permits here", vec![base(HERE)], vec![]),
        ("permits there", vec![base(THERE)], vec![]),
        ("permits here and there", vec![base(HERE), base(THERE)], vec![]),
        ("permits the country", vec![name(vec![country()])], vec![]),
        ("permits here in small letters", vec![base(HERE_IN_SMALL)], vec![]),
        ("permits here decomposed", vec![base(HERE_DECOMPOSED)], vec![]),
        ("permits one organisation here", vec![deeper()], vec![]),
        ("permits ASCII as UTF8String", vec![name(vec![country(), ascii(UTF8)])], vec![]),
        ("permits ASCII as PrintableString", vec![name(vec![country(), ascii(PRINTABLE)])], vec![]),
        ("permits both parts in one", vec![sequence(vec![part(vec![country(), province(HERE)])])], vec![]),
        ("excludes here", vec![], vec![base(HERE)]),
        ("excludes there", vec![], vec![base(THERE)]),
        ("excludes here in small letters", vec![], vec![base(HERE_IN_SMALL)]),
        ("excludes ASCII as UTF8String", vec![], vec![name(vec![country(), ascii(UTF8)])]),
        ("excludes the country", vec![], vec![name(vec![country()])]),
        ("permits here, excludes one organisation", vec![base(HERE)], vec![deeper()]),
        ("permits here, excludes here", vec![base(HERE)], vec![base(HERE)]),
    ]
}

/// Subjects by what is odd about them, some with an alternative name.
fn all_subjects() -> Vec<(&'static str, Node, Option<Node>)> {
    let below = |attributes: Vec<Node>| {
        let mut attributes = attributes;
        attributes.extend([common("UBND xã"), uid()]);
        name(attributes)
    };
    let here = || below(vec![country(), province(HERE)]);
    let there = || below(vec![country(), province(THERE)]);
    let named = |text: &str| below(vec![country(), province(text)]);
    vec![
        ("here", here(), None),
        ("there", there(), None),
        ("here in small letters", named(HERE_IN_SMALL), None),
        ("here decomposed", named(HERE_DECOMPOSED), None),
        ("here with two blanks", named("Tỉnh  Phú Thọ"), None),
        ("here with a blank behind", named("Tỉnh Phú Thọ "), None),
        ("a longer name", named("Tỉnh Phú Thọ 2"), None),
        ("a shorter name", named("Tỉnh Phú"), None),
        ("no province", below(vec![country()]), None),
        ("province before country", below(vec![province(HERE), country()]), None),
        (
            "country and province in one part",
            {
                let mut whole = sequence(vec![part(vec![country(), province(HERE)])]);
                whole.members().push(part(vec![common("UBND xã")]));
                whole
            },
            None,
        ),
        ("here, then there", below(vec![country(), province(HERE), province(THERE)]), None),
        ("there, then here", below(vec![country(), province(THERE), province(HERE)]), None),
        ("only the province", below(vec![province(HERE)]), None),
        ("exactly the base", base(HERE), None),
        ("an organisation that is excluded", below(vec![country(), province(HERE), forbidden()]), None),
        ("country as UTF8String", below(vec![attribute(oid::COUNTRY, UTF8, "VN"), province(HERE)]), None),
        (
            "country code in small letters",
            { below(vec![attribute(oid::COUNTRY, PRINTABLE, "vn"), province(HERE)]) },
            None,
        ),
        ("ASCII as UTF8String", below(vec![country(), ascii(UTF8)]), None),
        ("ASCII as PrintableString", below(vec![country(), ascii(PRINTABLE)]), None),
        ("here, also there", here(), Some(there())),
        ("there, also here", there(), Some(here())),
        ("here, also here", here(), Some(here())),
        ("here, also in small letters", here(), Some(named(HERE_IN_SMALL))),
    ]
}

/// Where the constraint stands, and what lies between it and the leaf. All authorities are named here.
const PLACES: [&str; 5] = [
    "root > constrained > leaf",
    "root > constrained > authority > leaf",
    "root > authority > constrained > leaf",
    "constrained root > authority > leaf",
    "root > constrained > constrained to here > leaf",
];

fn authority(called: &str) -> Draft {
    Draft::authority(name(vec![country(), province(HERE), common(called)]), None)
}

/// Root, authorities between, and who issues the leaf (the last of them).
fn chain(place: &str, constraint: &Node) -> (Holder, Vec<Holder>) {
    let constrained = |called: &str| authority(called).with(constraint.clone());
    let root_draft = match place {
        "constrained root > authority > leaf" => constrained("Gốc"),
        _ => authority("Gốc"),
    };
    let root = Holder::root(&root_draft, Key::ed25519(1));
    let between = match place {
        "root > constrained > leaf" => vec![constrained("A")],
        "root > constrained > authority > leaf" => vec![constrained("A"), authority("B")],
        "root > authority > constrained > leaf" => vec![authority("A"), constrained("B")],
        "constrained root > authority > leaf" => vec![authority("A")],
        "root > constrained > constrained to here > leaf" => {
            vec![constrained("A"), authority("B").with(constraints(vec![base(HERE)], vec![]))]
        }
        other => panic!("{other}"),
    };
    let mut made: Vec<Holder> = Vec::new();
    for (n, draft) in (2..).zip(&between) {
        let above = made.last().unwrap_or(&root);
        let next = above.below(draft, Key::ed25519(n));
        made.push(next);
    }
    (root, made)
}

fn we_take(root: &Holder, between: &[Holder], leaf: &[u8]) -> bool {
    let mut held = [Authorities::default(), Authorities::default()];
    for (which, der) in [(0, &root.der)].into_iter().chain(between.iter().map(|holder| (1, &holder.der))) {
        let Ok(certificate) = Certificate::parse(der) else { return false };
        held[which].insert(certificate.into());
    }
    let Ok(leaf) = Certificate::parse(leaf) else { return false };
    find_paths(&leaf, &held[1], &held[0], &mut Links::default()).is_ok()
}

/// One answer for each leaf.
fn openssl_takes(folder: &Path, root: &Holder, between: &[Holder], leaves: &[Vec<u8>]) -> Vec<bool> {
    let write = |name: &str, ders: &[&[u8]]| {
        let file = folder.join(name);
        let text: String = ders.iter().map(|der| pem("CERTIFICATE", der)).collect();
        fs::write(&file, text).expect("a file");
        file
    };
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-attime"]).arg((day(50).0 / 1000).to_string());
    command.arg("-CAfile").arg(write("root.pem", &[&root.der]));
    let between: Vec<&[u8]> = between.iter().map(|holder| holder.der.as_slice()).collect();
    command.arg("-untrusted").arg(write("between.pem", &between));
    let files: Vec<_> =
        leaves.iter().enumerate().map(|(n, der)| write(&format!("{n}.leaf.pem"), &[der])).collect();
    let output = command.args(&files).output().expect("openssl runs");
    let told = String::from_utf8_lossy(&output.stdout);
    let taken = |file: &std::path::PathBuf| told.contains(&format!("{}: OK", file.display()));
    files.iter().map(taken).collect()
}

#[test]
fn constraints_let_pass_nothing_that_openssl_refuses() {
    if !openssl_is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (mut both, mut neither, mut only_us) = (0, 0, Vec::new());
    let (mut refused_for_excluding, mut only_openssl) = (0, BTreeMap::<&str, usize>::new());
    for place in PLACES {
        for (said, permitted, excluded) in all_constraints() {
            let excludes = !excluded.is_empty();
            let (root, between) = chain(place, &constraints(permitted, excluded));
            let issuer = between.last().expect("an authority");
            let subjects = all_subjects();
            let leaves: Vec<Vec<u8>> = subjects
                .iter()
                .map(|(_, subject, other)| {
                    let mut draft = Draft::leaf(subject.clone());
                    draft.extensions.extend(other.clone().map(|other| alternative(vec![other])));
                    issuer.issue(&draft, &Key::ed25519(9))
                })
                .collect();
            let answers = openssl_takes(folder.path(), &root, &between, &leaves);
            for (((odd, ..), leaf), openssl) in subjects.iter().zip(&leaves).zip(answers) {
                match (we_take(&root, &between, leaf), openssl) {
                    (true, true) => both += 1,
                    (false, false) => neither += 1,
                    (true, false) => only_us.push(format!("{place}: {said}, subject: {odd}")),
                    (false, true) if excludes => refused_for_excluding += 1,
                    (false, true) => *only_openssl.entry(odd).or_default() += 1,
                }
            }
        }
    }
    assert!(only_us.is_empty(), "{} pass only here: {only_us:#?}", only_us.len());
    let only_openssl: Vec<(&str, usize)> = only_openssl.into_iter().collect();
    assert_eq!(only_openssl, ONLY_OPENSSL_TAKES);
    assert_eq!((both, neither, refused_for_excluding), BOTH_NEITHER_AND_REFUSED_FOR_EXCLUDING);
}

const BOTH_NEITHER_AND_REFUSED_FOR_EXCLUDING: (usize, usize, usize) = (163, 1456, 290);

/// Where we are stricter about what is permitted, by what is odd about the subject: openssl folds the case of
/// ASCII letters, blanks and string types; we compare bytes. Subjects that are not odd come from the
/// constraint that is written in small letters.
const ONLY_OPENSSL_TAKES: [(&str, usize); 13] = [
    ("ASCII as PrintableString", 2),
    ("ASCII as UTF8String", 2),
    ("an organisation that is excluded", 5),
    ("country as UTF8String", 20),
    ("country code in small letters", 20),
    ("exactly the base", 5),
    ("here", 5),
    ("here in small letters", 14),
    ("here with a blank behind", 16),
    ("here with two blanks", 16),
    ("here, also here", 5),
    ("here, also in small letters", 16),
    ("here, then there", 5),
];
