//! Certificates and lists built byte by byte, for whatever rcgen would never write. Nothing here is checked:
//! a draft says what it says.

use rcgen::{PublicKeyData, SigningKey};
use schema::time::Millis;
use schema::trust::profile::purpose_extension;
use sha2::{Digest, Sha256};

use super::{Key, Node, OFFICE_UID, extension};

pub mod oid {
    pub const COUNTRY: &[u8] = b"\x55\x04\x06";
    pub const PROVINCE: &[u8] = b"\x55\x04\x08";
    pub const ORGANISATION: &[u8] = b"\x55\x04\x0a";
    pub const COMMON: &[u8] = b"\x55\x04\x03";
    pub const UID: &[u8] = b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01";

    pub const BASIC: &[u8] = b"\x55\x1d\x13";
    pub const USAGE: &[u8] = b"\x55\x1d\x0f";
    pub const PURPOSES: &[u8] = b"\x55\x1d\x25";
    pub const CONSTRAINTS: &[u8] = b"\x55\x1d\x1e";
    pub const AUTHORITY_KEY: &[u8] = b"\x55\x1d\x23";
    pub const SUBJECT_KEY: &[u8] = b"\x55\x1d\x0e";
    pub const ALTERNATIVE: &[u8] = b"\x55\x1d\x11";
    pub const CRL_NUMBER: &[u8] = b"\x55\x1d\x14";
}

pub const UTF8: u8 = 0x0c;
pub const PRINTABLE: u8 = 0x13;

pub fn leaf(tag: u8, value: &[u8]) -> Node {
    Node::Leaf(tag, value.to_vec())
}

pub fn sequence(members: Vec<Node>) -> Node {
    Node::Branch(0x30, members)
}

/// An AttributeTypeAndValue.
pub fn attribute(oid: &[u8], tag: u8, text: &str) -> Node {
    sequence(vec![leaf(0x06, oid), leaf(tag, text.as_bytes())])
}

/// A part of a name with these attributes.
pub fn part(attributes: Vec<Node>) -> Node {
    Node::Branch(0x31, attributes)
}

/// A name with one attribute in each part.
pub fn name(attributes: Vec<Node>) -> Node {
    sequence(attributes.into_iter().map(|attribute| part(vec![attribute])).collect())
}

pub fn country() -> Node {
    attribute(oid::COUNTRY, PRINTABLE, "VN")
}

pub fn province(text: &str) -> Node {
    attribute(oid::PROVINCE, UTF8, text)
}

pub fn common(text: &str) -> Node {
    attribute(oid::COMMON, UTF8, text)
}

pub fn uid() -> Node {
    attribute(oid::UID, UTF8, OFFICE_UID)
}

/// `C=VN, ST=…`.
pub fn base(text: &str) -> Node {
    name(vec![country(), province(text)])
}

pub fn basic(authority: bool, path_length: Option<u8>) -> Node {
    let mut inside = Vec::new();
    if authority {
        inside.push(leaf(0x01, &[0xff]));
    }
    inside.extend(path_length.map(|length| leaf(0x02, &[length])));
    extension(oid::BASIC, true, sequence(inside).encode())
}

/// A key usage with these two bytes as named bits; `unused` as DER wants it.
pub fn usage(unused: u8, bits: u8) -> Node {
    extension(oid::USAGE, true, leaf(0x03, &[unused, bits]).encode())
}

/// `keyCertSign` and `cRLSign`.
pub fn usage_of_an_authority() -> Node {
    usage(1, 0b0000_0110)
}

/// `digitalSignature`.
pub fn usage_of_a_leaf() -> Node {
    usage(7, 0b1000_0000)
}

pub fn purposes(purposes: &[[u8; 21]]) -> Node {
    extension(oid::PURPOSES, false, purpose_extension(purposes))
}

pub fn key_identifier(spki: &[u8]) -> Vec<u8> {
    Sha256::digest(spki)[..20].to_vec()
}

pub fn subject_key(identifier: &[u8]) -> Node {
    extension(oid::SUBJECT_KEY, false, leaf(0x04, identifier).encode())
}

pub fn authority_key(identifier: &[u8]) -> Node {
    extension(oid::AUTHORITY_KEY, false, sequence(vec![leaf(0x80, identifier)]).encode())
}

fn subtrees(tag: u8, bases: Vec<Node>) -> Option<Node> {
    let subtree = |base| sequence(vec![Node::Branch(0xa4, vec![base])]);
    (!bases.is_empty()).then(|| Node::Branch(tag, bases.into_iter().map(subtree).collect()))
}

/// Name constraints on directory names.
pub fn constraints(permitted: Vec<Node>, excluded: Vec<Node>) -> Node {
    let lists = [subtrees(0xa0, permitted), subtrees(0xa1, excluded)];
    extension(oid::CONSTRAINTS, true, sequence(lists.into_iter().flatten().collect()).encode())
}

/// Alternative names that are directory names.
pub fn alternative(names: Vec<Node>) -> Node {
    let names = names.into_iter().map(|name| Node::Branch(0xa4, vec![name])).collect();
    extension(oid::ALTERNATIVE, false, sequence(names).encode())
}

/// A time as RFC 5280 section 4.1.2.5 wants it, within this century.
pub fn time(at: Millis) -> Node {
    let seconds = i64::try_from(at.0 / 1000).expect("in range");
    let at = jiff::Timestamp::from_second(seconds).expect("in range").strftime("%y%m%d%H%M%SZ").to_string();
    leaf(0x17, at.as_bytes())
}

fn algorithm(key: &Key) -> Node {
    match key {
        Key::Ed25519(..) => Node::parse(b"\x30\x05\x06\x03\x2b\x65\x70"),
        Key::Other(_) | Key::Fake(..) => Node::parse(b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"),
    }
}

fn signed(part: &Node, algorithm: Node, key: &Key) -> Vec<u8> {
    let mut bits = vec![0];
    bits.extend(key.sign(&part.encode()).expect("a signature"));
    sequence(vec![part.clone(), algorithm, Node::Leaf(0x03, bits)]).encode()
}

/// What a certificate is to say. What is `None` is as the issuer and the key have it.
#[derive(Clone)]
pub struct Draft {
    pub version: Option<Node>,
    pub serial: Vec<u8>,
    pub inner_algorithm: Option<Node>,
    pub issuer: Option<Node>,
    pub from: Node,
    pub until: Node,
    pub subject: Node,
    pub spki: Option<Node>,
    /// Without those that name keys.
    pub extensions: Vec<Node>,
    /// The key's own identifier, when it is named.
    pub names_itself: bool,
    /// The issuer's key identifier, when it is named.
    pub names_its_issuer: bool,
}

impl Draft {
    fn new(subject: Node, extensions: Vec<Node>) -> Self {
        Self {
            version: Some(Node::Branch(0xa0, vec![leaf(0x02, &[2])])),
            serial: vec![0x35, 0xa9, 0x44, 0x70],
            inner_algorithm: None,
            issuer: None,
            from: time(super::day(0)),
            until: time(super::day(3650)),
            subject,
            spki: None,
            extensions,
            names_itself: true,
            names_its_issuer: true,
        }
    }

    pub fn authority(subject: Node, path_length: Option<u8>) -> Self {
        Self::new(subject, vec![basic(true, path_length), usage_of_an_authority()])
    }

    pub fn leaf(subject: Node) -> Self {
        let purpose = schema::trust::profile::PURPOSE_OFFICE;
        Self::new(subject, vec![usage_of_a_leaf(), purposes(&[purpose])])
    }

    pub fn with(mut self, extension: Node) -> Self {
        self.extensions.push(extension);
        self
    }

    /// Puts an extension in place of the one with its identifier.
    pub fn instead(mut self, mut extension: Node) -> Self {
        let oid = extension.members()[0].clone();
        self.extensions.retain(|held| !matches!(held, Node::Branch(_, members) if members[0] == oid));
        self.with(extension)
    }

    pub fn without(mut self, oid: &[u8]) -> Self {
        let oid = leaf(0x06, oid);
        self.extensions.retain(|held| !matches!(held, Node::Branch(_, members) if members[0] == oid));
        self
    }

    pub fn numbered(mut self, serial: u8) -> Self {
        self.serial = vec![0x35, 0xa9, 0x44, serial];
        self
    }

    fn certificate(&self, spki: &Node, issuer_name: &Node, issuer_spki: &Node, issuer: &Key) -> Vec<u8> {
        let mut extensions = self.extensions.clone();
        if self.names_itself {
            extensions.push(subject_key(&key_identifier(&spki.encode())));
        }
        if self.names_its_issuer {
            extensions.push(authority_key(&key_identifier(&issuer_spki.encode())));
        }
        let outer = algorithm(issuer);
        let mut fields = Vec::new();
        fields.extend(self.version.clone());
        fields.extend([
            leaf(0x02, &self.serial),
            self.inner_algorithm.clone().unwrap_or_else(|| outer.clone()),
            self.issuer.clone().unwrap_or_else(|| issuer_name.clone()),
            sequence(vec![self.from.clone(), self.until.clone()]),
            self.subject.clone(),
            self.spki.clone().unwrap_or_else(|| spki.clone()),
        ]);
        if !extensions.is_empty() {
            fields.push(Node::Branch(0xa3, vec![sequence(extensions)]));
        }
        signed(&sequence(fields), outer, issuer)
    }
}

fn spki(key: &Key) -> Node {
    Node::parse(&key.subject_public_key_info())
}

/// An authority with its key and its name.
pub struct Holder {
    pub name: Node,
    pub key: Key,
    pub der: Vec<u8>,
}

impl Holder {
    pub fn root(draft: &Draft, key: Key) -> Self {
        let der = draft.certificate(&spki(&key), &draft.subject, &spki(&key), &key);
        Self { name: draft.subject.clone(), key, der }
    }

    pub fn issue(&self, draft: &Draft, key: &Key) -> Vec<u8> {
        draft.certificate(&spki(key), &self.name, &spki(&self.key), &self.key)
    }

    pub fn below(&self, draft: &Draft, key: Key) -> Self {
        Self { name: draft.subject.clone(), der: self.issue(draft, &key), key }
    }

    /// A list of day 100 that counts until day 130 and names these serial numbers, as of day 20.
    pub fn list(&self, serials: &[&[u8]], number: Option<Node>) -> Vec<u8> {
        self.list_with_reason(serials, None, number)
    }

    /// An empty list that says to be signed by the key with this identifier.
    pub fn list_naming(&self, identifier: &[u8]) -> Vec<u8> {
        self.any_list(&[], None, identifier, Some(list_number(1, false)))
    }

    /// The same, with a reason code.
    pub fn list_with_reason(&self, serials: &[&[u8]], why: Option<u8>, number: Option<Node>) -> Vec<u8> {
        self.any_list(serials, why, &key_identifier(&spki(&self.key).encode()), number)
    }

    fn any_list(
        &self,
        serials: &[&[u8]],
        why: Option<u8>,
        identifier: &[u8],
        number: Option<Node>,
    ) -> Vec<u8> {
        let reason = why.map(|why| extension(b"\x55\x1d\x15", false, leaf(0x0a, &[why]).encode()));
        let entry = |serial: &&[u8]| {
            let mut entry = vec![leaf(0x02, serial), time(super::day(20))];
            entry.extend(reason.clone().map(|reason| sequence(vec![reason])));
            sequence(entry)
        };
        let mut fields = vec![
            leaf(0x02, &[1]),
            algorithm(&self.key),
            self.name.clone(),
            time(super::day(100)),
            time(super::day(130)),
        ];
        if !serials.is_empty() {
            fields.push(sequence(serials.iter().map(entry).collect()));
        }
        let mut extensions = vec![authority_key(identifier)];
        extensions.extend(number);
        fields.push(Node::Branch(0xa0, vec![sequence(extensions)]));
        signed(&sequence(fields), algorithm(&self.key), &self.key)
    }
}

/// The number of a list.
pub fn list_number(number: u8, critical: bool) -> Node {
    extension(oid::CRL_NUMBER, critical, leaf(0x02, &[number]).encode())
}
