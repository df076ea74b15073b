//! The cases: a root, a province, an office, and one thing about them that is tried.

#![allow(unreachable_pub, reason = "a module of one test binary")]

mod fields;
mod identity;
mod names;
mod ways;

use rcgen::PublicKeyData;
use schema::time::Millis;
use schema::trust::Purpose;
use schema::trust::name::ATTRIBUTES_MAX;
use schema::trust::profile::{PURPOSE_OFFICE, PURPOSE_OFFICER};

use crate::trust_country::raw::{
    Draft, Holder, PRINTABLE, UTF8, alternative, attribute, authority_key, base, basic, common, constraints,
    country, key_identifier, leaf, list_number, name, oid, province, purposes, sequence, subject_key, time,
    uid, usage, usage_of_a_leaf, usage_of_an_authority,
};
use crate::trust_country::{HERE, Key, Node, THERE, day, extension, unhex};

/// Who judges.
pub enum Judge {
    /// As a station does.
    Store,
    /// Without the store, for chains that no station holds.
    Layers,
}

/// One rule, tried once.
pub struct Case {
    pub rule: &'static str,
    pub judge: Judge,
    pub roots: Vec<Vec<u8>>,
    pub authorities: Vec<Vec<u8>>,
    pub lists: Vec<Vec<u8>>,
    pub leaf: Vec<u8>,
    pub purpose: Purpose,
    pub at: Millis,
    /// Words of the refusal; none when it is valid.
    pub expected: Option<&'static str>,
}

/// At which every list counts.
const AT: u64 = 110;
const VALID: Option<&str> = None;
/// A purpose of others: serverAuth.
const SERVER: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x03\x01";
const ANY_PURPOSE: &[u8] = b"\x55\x1d\x25\x00";
const ACCESS: &[u8] = b"\x2b\x06\x01\x05\x05\x07\x01\x01";
const UNKNOWN: &[u8] = b"\x2b\x06\x01\x04\x01\x86\x8d\x1f\x01";

fn root() -> Draft {
    Draft::authority(name(vec![country(), common("Trạm gốc")]), None)
}

/// An authority below `C=VN, ST=…` of ours, without limits.
fn authority(called: &str) -> Draft {
    Draft::authority(name(vec![country(), province(HERE), common(called)]), None)
}

fn permits(text: &str) -> Node {
    constraints(vec![base(text)], vec![])
}

/// As stations hold it.
fn here() -> Draft {
    authority("CA của tỉnh").instead(basic(true, Some(0))).with(permits(HERE))
}

fn subject(text: &str) -> Node {
    name(vec![country(), province(text), common("UBND xã"), uid()])
}

fn office() -> Draft {
    Draft::leaf(subject(HERE))
}

fn officer() -> Draft {
    let person = name(vec![country(), province(HERE), common("Nguyễn Văn A")]);
    Draft::leaf(person).instead(purposes(&[PURPOSE_OFFICER]))
}

/// An extendedKeyUsage of any identifiers.
fn any_purposes(oids: &[&[u8]], critical: bool) -> Node {
    let oids = oids.iter().map(|oid| leaf(0x06, oid)).collect();
    extension(oid::PURPOSES, critical, sequence(oids).encode())
}

/// One alternative name of that tag.
fn other_name(tag: u8, text: &[u8]) -> Node {
    extension(oid::ALTERNATIVE, false, sequence(vec![leaf(tag, text)]).encode())
}

fn access(critical: bool, value: Vec<u8>) -> Node {
    extension(ACCESS, critical, value)
}

/// A well-formed one: where the issuer's certificate is.
fn sound_access() -> Vec<u8> {
    let issuers = leaf(0x06, b"\x2b\x06\x01\x05\x05\x07\x30\x02");
    sequence(vec![sequence(vec![issuers, leaf(0x86, b"http://x.vn/ca")])]).encode()
}

fn spki_of(key: &Key) -> Vec<u8> {
    key.subject_public_key_info()
}

/// A chain from the root down; the leaf last.
struct Chain {
    root: Holder,
    between: Vec<Holder>,
    leaf: Vec<u8>,
}

impl Chain {
    fn new(root: &Draft, between: &[Draft], leaf: &Draft) -> Self {
        Self::with_leaf_key(root, between, leaf, &Key::ed25519(9))
    }

    fn with_leaf_key(root: &Draft, between: &[Draft], leaf: &Draft, key: &Key) -> Self {
        let root = Holder::root(root, Key::ed25519(1));
        let mut made: Vec<Holder> = Vec::new();
        for (n, draft) in (2..).zip(between) {
            let next = made.last().unwrap_or(&root).below(draft, Key::ed25519(n));
            made.push(next);
        }
        let leaf = made.last().unwrap_or(&root).issue(leaf, key);
        Self { root, between: made, leaf }
    }

    fn clean_lists(&self) -> Vec<Vec<u8>> {
        let holders = [&self.root].into_iter().chain(&self.between);
        holders.map(|holder| holder.list(&[], Some(list_number(1, false)))).collect()
    }

    fn case(self, rule: &'static str, judge: Judge, expected: Option<&'static str>) -> Case {
        Case {
            rule,
            judge,
            lists: self.clean_lists(),
            roots: vec![self.root.der],
            authorities: self.between.into_iter().map(|holder| holder.der).collect(),
            leaf: self.leaf,
            purpose: Purpose::Event,
            at: day(AT),
            expected,
        }
    }
}

/// Root, province and office, before the store.
fn store(
    rule: &'static str,
    root: &Draft,
    here: &Draft,
    leaf: &Draft,
    expected: Option<&'static str>,
) -> Case {
    Chain::new(root, std::slice::from_ref(here), leaf).case(rule, Judge::Store, expected)
}

fn of_office(rule: &'static str, office: &Draft, expected: Option<&'static str>) -> Case {
    store(rule, &root(), &here(), office, expected)
}

fn of_officer(rule: &'static str, officer: &Draft, expected: Option<&'static str>) -> Case {
    Case { purpose: Purpose::Document, ..store(rule, &root(), &here(), officer, expected) }
}

fn of_authority(rule: &'static str, here: &Draft, expected: Option<&'static str>) -> Case {
    store(rule, &root(), here, &office(), expected)
}

fn of_root(rule: &'static str, root: &Draft, expected: Option<&'static str>) -> Case {
    store(rule, root, &here(), &office(), expected)
}

/// A ladder of authorities without the store.
fn ladder(rule: &'static str, root: &Draft, between: &[Draft], expected: Option<&'static str>) -> Case {
    Chain::new(root, between, &office()).case(rule, Judge::Layers, expected)
}

pub fn all() -> Vec<Case> {
    let families = [
        ways::lists(),
        ways::path_lengths(),
        ways::mazes(),
        identity::key_identifiers(),
        identity::purposes_and_usages(),
        names::name_constraints(),
        names::alternative_names(),
        fields::numbers_and_times(),
        fields::extensions(),
        fields::keys(),
    ];
    families.into_iter().flatten().collect()
}
