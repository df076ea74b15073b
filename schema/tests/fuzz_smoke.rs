//! A short run of the fuzzers with every test: seeded changes of the golden bytes, the same every time.

mod fixture;
mod signed_document;
#[allow(unreachable_pub, reason = "the fuzzers include the same file")]
#[path = "../fuzz/targets.rs"]
mod targets;
mod trust_country;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use fixture::unhex;
use schema::id::hex;

/// Changes per parser.
const CHANGES: usize = 20_000;
/// Longest input, in bytes; the limits themselves have tests of their own.
const INPUT_BYTES_MAX: usize = 8 * 1024;

/// SplitMix64: small, seeded, the same on every machine.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, sides: usize) -> usize {
        usize::try_from(self.throw() % sides.max(1) as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        self.throw().to_le_bytes()[0]
    }
}

/// Heads that a hostile writer would try: long numbers, endless and enormous lists, tags, breaks.
const HEADS: [&[u8]; 14] = [
    &[0x18, 0x00],
    &[0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x3b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x5f],
    &[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x7f],
    &[0x9a, 0xff, 0xff, 0xff, 0xff],
    &[0x9f],
    &[0xba, 0xff, 0xff, 0xff, 0xff],
    &[0xbf],
    &[0xc2, 0x41, 0x01],
    &[0xf6],
    &[0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0],
    &[0xff],
];

fn change(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() + 1).min(bytes.len().saturating_sub(1));
        match dice.below(8) {
            _ if bytes.is_empty() => bytes.push(dice.byte()),
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.byte(),
            2 => bytes.truncate(at),
            3 => bytes.insert(at, dice.byte()),
            4 => drop(bytes.remove(at)),
            5 => {
                let head = HEADS[dice.below(HEADS.len())];
                let end = (at + dice.below(head.len() + 1)).min(bytes.len());
                bytes.splice(at..end, head.iter().copied());
            }
            6 => {
                let end = at + dice.below(bytes.len() - at + 1);
                let part = bytes[at..end].to_vec();
                let to = dice.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            _ => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
    bytes.truncate(INPUT_BYTES_MAX);
    bytes
}

/// The goldens that a parser reads, by the beginning of their names.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let prefix = match target {
        "blob_message" => "blob-",
        "signed_directory" => "directory-signed",
        "body" => return bodies(),
        "certificate" => return certificates(),
        "revocation_list" => return revocation_lists(),
        "registry" => return registries(),
        "document_signature" => return document_signatures(),
        "preparation" => return preparations(),
        other => other,
    };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("the goldens").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files.retain(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
    files.iter().map(|file| unhex(&fs::read_to_string(file).expect("a golden"))).collect()
}

fn bodies() -> Vec<Vec<u8>> {
    let body = |body: schema::body::Body| {
        let kind = body.kind().expect("a known kind").number().to_le_bytes()[0];
        let mut bytes = vec![kind];
        bytes.extend(body.encode().expect("a known kind"));
        bytes
    };
    fixture::bodies().into_iter().map(body).collect()
}

/// One of each role, all with keys that are the same in every run.
fn certificates() -> Vec<Vec<u8>> {
    use trust_country::{Country, HERE, Key, Plan};
    let country = Country::new();
    let keys = [Key::ed25519(9), Key::rsa_2048(&rcgen::PKCS_RSA_SHA256)];
    let officers = keys.iter().map(|key| country.here.issue(&Plan::officer(HERE, 8), key));
    let others = [&country.root.der, &country.here.der, &country.office];
    others.into_iter().cloned().chain(officers).collect()
}

fn revocation_lists() -> Vec<Vec<u8>> {
    use trust_country::{Country, Revoked, Why, day};
    let here = Country::new().here;
    let stolen = Revoked { invalid_from: Some(day(30)), ..Revoked::new(7, day(40), Why::KeyCompromise) };
    let held = Revoked::new(8, day(41), Why::CertificateHold);
    let all = [&[][..], &[stolen], &[stolen, held]];
    all.into_iter().map(|revoked| here.list(300, day(100), day(130), revoked)).collect()
}

/// Of somebody whom the judge does not know: whatever is taken in from it is a bug.
fn registries() -> Vec<Vec<u8>> {
    let impostor = fixture::certified::Registrar::impostor();
    let items = impostor.items(&fixture::directory(), &fixture::keys());
    vec![schema::registry::encode_items(&items), schema::registry::encode_items(&items[2..4])]
}

fn officers() -> (trust_country::Country, Vec<signed_document::Officer>) {
    use trust_country::{Country, Key};
    let country = Country::new();
    let keys = [Key::ed25519(9), Key::rsa_2048(&rcgen::PKCS_RSA_SHA256)];
    let officers = keys.map(|key| signed_document::Officer::new(&country, key));
    (country, officers.into())
}

fn document_signatures() -> Vec<Vec<u8>> {
    use signed_document::{CONTENT, SIGNED_ON};
    let (country, officers) = officers();
    let chain = [country.here.der.as_slice(), &country.root.der];
    let signed = |officer: &signed_document::Officer| {
        let with_chain = officer.sign_with_chain(CONTENT, trust_country::day(SIGNED_ON), &chain);
        [officer.sign(CONTENT), with_chain]
    };
    officers.iter().flat_map(signed).collect()
}

fn preparations() -> Vec<Vec<u8>> {
    officers().1.iter().map(|officer| officer.prepare(signed_document::CONTENT).encode()).collect()
}

fn run(name: &str, target: fn(&[u8])) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "no goldens for `{name}`");
    seeds.iter().for_each(|seed| target(seed));
    let mut dice = Dice(0x7472_616d);
    for n in 0..CHANGES {
        let bytes = change(&mut dice, &seeds);
        if catch_unwind(AssertUnwindSafe(|| target(&bytes))).is_err() {
            panic!("`{name}` fell over change {n}: {}", hex(&bytes));
        }
    }
}

macro_rules! smoke {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), targets::$name);
        })*

        #[test]
        fn no_parser_is_forgotten() {
            assert_eq!(targets::TARGETS.map(|(name, _)| name), [$(stringify!($name)),*]);
        }
    };
}

smoke!(
    event,
    body,
    message,
    courier,
    blob_message,
    signed_directory,
    directory,
    certificate,
    revocation_list,
    registry,
    document_signature,
    preparation
);

/// Changes must leave some inputs readable, or only the first check of each parser is looked at.
#[test]
fn some_changes_are_still_read() {
    let seeds = seeds("event");
    let mut dice = Dice(1);
    let read = (0..CHANGES)
        .filter(|_| schema::event::UnverifiedEvent::parse(&change(&mut dice, &seeds)).is_ok())
        .count();
    assert!((50..CHANGES / 2).contains(&read), "{read} of {CHANGES} were read");

    let seeds = certificates();
    let parsed = |_: &usize| schema::trust::Certificate::parse(&change(&mut dice, &seeds)).is_ok();
    let read = (0..CHANGES).filter(parsed).count();
    assert!((50..CHANGES / 2).contains(&read), "{read} of {CHANGES} certificates were read");

    let seeds = document_signatures();
    let parsed = |_: &usize| schema::trust::DetachedSignature::parse(&change(&mut dice, &seeds)).is_ok();
    let read = (0..CHANGES).filter(parsed).count();
    assert!((50..CHANGES / 2).contains(&read), "{read} of {CHANGES} signatures were read");
}
