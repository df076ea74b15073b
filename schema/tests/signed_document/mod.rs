//! Officers with every kind of key, what they sign, and a second writer of CMS: it takes a signature apart, changes
//! what our own would never write, and signs it anew.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]

use rcgen::{CustomExtension, SigningKey};
use schema::time::Millis;
use schema::trust::profile::officer_extension;
use schema::trust::{DetachedSignature, Preparation};
use sha2::{Digest, Sha256};

use crate::trust_country::{Country, HERE, Key, Node, Plan, day, field};

pub const CONTENT: &[u8] = "Công văn số 12/UBND-VP ngày 20/02/2026: về việc ký số".as_bytes();
/// When the documents of the tests are signed: day 50.
pub const SIGNED_ON: u64 = 50;

/// A person with a key.
pub struct Officer {
    pub key: Key,
    pub der: Vec<u8>,
}

impl Officer {
    pub fn new(country: &Country, key: Key) -> Self {
        Self::with(country, &plan(), key)
    }

    pub fn with(country: &Country, plan: &Plan, key: Key) -> Self {
        Self { der: country.here.issue(plan, &key), key }
    }

    pub fn prepare(&self, content: &[u8]) -> Preparation {
        self.prepare_at(content, day(SIGNED_ON))
    }

    pub fn prepare_at(&self, content: &[u8], at: Millis) -> Preparation {
        Preparation::new(content, &self.der, at).expect("an officer's certificate")
    }

    pub fn answer(&self, preparation: &Preparation) -> Vec<u8> {
        self.key.sign(preparation.to_be_signed()).expect("a signature")
    }

    pub fn sign(&self, content: &[u8]) -> Vec<u8> {
        self.sign_at(content, day(SIGNED_ON))
    }

    pub fn sign_at(&self, content: &[u8], at: Millis) -> Vec<u8> {
        self.sign_with_chain(content, at, &[])
    }

    pub fn sign_with_chain(&self, content: &[u8], at: Millis, chain: &[&[u8]]) -> Vec<u8> {
        let preparation = self.prepare_at(content, at);
        preparation.finish(&self.answer(&preparation), chain).expect("a signature of ours")
    }
}

/// An officer with a certificate as `tram ca` issues it.
pub fn plan() -> Plan {
    let value = officer_extension();
    let extra = vec![CustomExtension::from_oid_content(&[2, 5, 29, 37], value)];
    Plan { purposes: Vec::new(), extra, ..Plan::officer(HERE, 40) }
}

/// Keys that need no tool: every kind but the larger RSA ones.
pub fn kinds() -> Vec<(&'static str, Key)> {
    vec![
        ("Ed25519", Key::ed25519(9)),
        ("P-256", Key::p256()),
        ("P-384", Key::p384()),
        ("RSA-2048", Key::rsa_2048(&rcgen::PKCS_RSA_SHA256)),
    ]
}

pub fn read(der: &[u8]) -> DetachedSignature {
    DetachedSignature::parse(der).expect("a signature that keeps every rule")
}

// Object identifiers, whole.
pub const SIGNING_TIME: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05";
pub const MESSAGE_DIGEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
pub const CONTENT_TYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
pub const SIGNING_CERTIFICATE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x2f";

/// A SignedData taken apart.
pub struct Parts {
    /// The ContentInfo: type, explicit content.
    pub info: Vec<Node>,
    /// Version, digests, content, certificates, signers.
    pub data: Vec<Node>,
    /// Of the one signer: version, name, digest, attributes, algorithm, signature.
    pub signer: Vec<Node>,
}

pub mod at {
    pub const VERSION: usize = 0;
    pub const DIGESTS: usize = 1;
    pub const CONTENT: usize = 2;
    pub const CERTIFICATES: usize = 3;
    pub const SIGNERS: usize = 4;
    pub const NAME: usize = 1;
    pub const DIGEST: usize = 2;
    pub const ATTRIBUTES: usize = 3;
    pub const ALGORITHM: usize = 4;
    pub const SIGNATURE: usize = 5;
}

impl Parts {
    pub fn of(der: &[u8]) -> Self {
        let mut whole = Node::parse(der);
        let mut info = std::mem::take(whole.members());
        let mut data = std::mem::take(info[1].members()[0].members());
        let signer = std::mem::take(data[at::SIGNERS].members()[0].members());
        Self { info, data, signer }
    }

    pub fn encode(mut self) -> Vec<u8> {
        // A test may have put something before or behind it.
        let mut sets = self.data.iter_mut().rev().filter(|node| matches!(node, Node::Branch(0x31, _)));
        *sets.next().expect("the signers").members() = vec![Node::Branch(0x30, self.signer)];
        drop(sets);
        *self.info[1].members() = vec![Node::Branch(0x30, self.data)];
        Node::Branch(0x30, self.info).encode()
    }

    pub fn attributes(&mut self) -> &mut Vec<Node> {
        self.signer[at::ATTRIBUTES].members()
    }

    /// The values of an attribute.
    pub fn values(&mut self, oid: &[u8]) -> &mut Vec<Node> {
        let kind = Node::Leaf(0x06, oid.to_vec());
        let found = self.attributes().iter_mut().find_map(|node| {
            let members = node.members();
            if members[0] == kind { Some(&mut members[1]) } else { None }
        });
        found.expect("the attribute").members()
    }

    /// Puts the attributes in order and signs them.
    pub fn sign(mut self, key: &Key) -> Vec<u8> {
        self.attributes().sort_by_key(Node::encode);
        self.sign_in_this_order(key)
    }

    pub fn sign_in_this_order(mut self, key: &Key) -> Vec<u8> {
        let signed = Node::Branch(0x31, self.attributes().clone()).encode();
        *self.signer[at::SIGNATURE].value() = key.sign(&signed).expect("a signature");
        self.encode()
    }

    /// Everything that names a certificate names this one.
    pub fn with_certificate(mut self, der: &[u8]) -> Self {
        let mut certificate = Node::parse(der);
        let fields = certificate.members()[0].members();
        let (issuer, serial) = (fields[field::ISSUER].clone(), fields[field::SERIAL].clone());
        self.data[at::CERTIFICATES] = Node::Branch(0xa0, vec![Node::parse(der)]);
        self.signer[at::NAME] = Node::Branch(0x30, vec![issuer.clone(), serial.clone()]);
        let names = Node::Branch(0x30, vec![Node::Branch(0xa4, vec![issuer])]);
        let reference =
            vec![Node::Leaf(0x04, Sha256::digest(der).to_vec()), Node::Branch(0x30, vec![names, serial])];
        let references = Node::Branch(0x30, vec![Node::Branch(0x30, reference)]);
        *self.values(SIGNING_CERTIFICATE) = vec![Node::Branch(0x30, vec![references])];
        self
    }

    /// Claims to have been signed then: `YYMMDDhhmmssZ`.
    pub fn with_time(mut self, time: &str) -> Self {
        *self.values(SIGNING_TIME) = vec![Node::Leaf(0x17, time.as_bytes().to_vec())];
        self
    }
}

/// A Node for an object identifier.
pub fn oid(value: &[u8]) -> Node {
    Node::Leaf(0x06, value.to_vec())
}

/// An attribute with these values.
pub fn attribute(kind: &[u8], values: Vec<Node>) -> Node {
    Node::Branch(0x30, vec![oid(kind), Node::Branch(0x31, values)])
}
