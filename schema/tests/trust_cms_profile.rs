//! The closed profile of a document's signature: each rule is broken once, everything else is kept and signed anew.

mod signed_document;
mod trust_country;

use schema::trust::DetachedSignature;
use schema::trust::algorithm::SignatureAlgorithm;
use schema::trust::cms::{CmsError, DigestAlgorithm, SIGNATURE_BYTES_MAX};
use schema::trust::reason::Language;
use signed_document::{
    CONTENT, CONTENT_TYPE, MESSAGE_DIGEST, Officer, Parts, SIGNED_ON, SIGNING_CERTIFICATE, SIGNING_TIME, at,
    attribute, kinds, oid, plan, read,
};
use trust_country::{Authority, Country, HERE, Key, Node, Plan, day};

const SHA1: &[u8] = b"\x2b\x0e\x03\x02\x1a";
const SHA224: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x04";
const SHA256: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA384: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02\x02";
const RSA_SHA256: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b";
const RSA_SHA1: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05";
const RSA_PSS: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a";
const ECDSA_SHA256: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03\x02";
const ED25519: &[u8] = b"\x2b\x65\x70";

fn algorithm(kind: &[u8], null: bool) -> Node {
    let mut members = vec![oid(kind)];
    members.extend(null.then(|| Node::Leaf(0x05, Vec::new())));
    Node::Branch(0x30, members)
}

/// A country, an officer with an RSA key, and a good signature.
struct Good {
    country: Country,
    officer: Officer,
    der: Vec<u8>,
}

impl Good {
    fn new() -> Self {
        let country = Country::new();
        let officer = Officer::new(&country, Key::rsa_2048(&rcgen::PKCS_RSA_SHA256));
        let der = officer.sign(CONTENT);
        Self { country, officer, der }
    }

    /// The refusal after a change; the attributes are signed anew.
    fn refusal(&self, change: impl FnOnce(&mut Parts)) -> Option<CmsError> {
        let mut parts = Parts::of(&self.der);
        change(&mut parts);
        DetachedSignature::parse(&parts.sign(&self.officer.key)).err()
    }

    #[track_caller]
    fn check(&self, words: &str, change: impl FnOnce(&mut Parts)) {
        let error = self.refusal(change).unwrap_or_else(|| panic!("passed, expected `{words}`"));
        let text = error.to_string();
        assert!(text.contains(words), "`{text}` does not say `{words}`");
        let vietnamese = error.text(Language::Vietnamese);
        assert!(vietnamese != text && !vietnamese.is_empty(), "no Vietnamese for `{text}`");
        assert!(unicode_nfc(&vietnamese), "`{vietnamese}` is not in NFC");
    }
}

fn unicode_nfc(text: &str) -> bool {
    schema::text::require_nfc(text, 1000).is_ok()
}

#[test]
fn every_kind_of_key_signs_in_the_way_of_its_standard() {
    use SignatureAlgorithm as A;
    let country = Country::new();
    let expected = [A::Ed25519, A::EcdsaSha256, A::EcdsaSha384, A::RsaSha256];
    for ((kind, key), expected) in kinds().into_iter().zip(expected) {
        let officer = Officer::new(&country, key);
        let signature = read(&officer.sign(CONTENT));
        assert_eq!(signature.algorithm(), expected, "{kind}");
        assert_eq!(signature.claimed_at(), day(SIGNED_ON));
        assert_eq!(signature.signer_certificate(), officer.der);
        assert_eq!(signature.content_digest(), expected.digest().of(CONTENT));
        assert!(signature.covers(CONTENT) && !signature.covers(b"another document"));
        assert_eq!(signature.authorities().count(), 0);
    }
}

#[test]
fn the_second_writer_writes_what_is_accepted() {
    let good = Good::new();
    assert_eq!(Parts::of(&good.der).encode(), good.der);
    assert_eq!(good.refusal(|_| {}), None);
    // With RSA, which pads in one way, it is even the same.
    assert_eq!(Parts::of(&good.der).sign(&good.officer.key), good.der);
    assert_eq!(Parts::of(&good.der).with_certificate(&good.officer.der).sign(&good.officer.key), good.der);
}

#[test]
fn larger_digests_with_rsa_are_accepted() {
    let country = Country::new();
    let sha384: fn(&mut Parts) = |parts| {
        parts.data[at::DIGESTS] = Node::Branch(0x31, vec![algorithm(SHA384, false)]);
        parts.signer[at::DIGEST] = algorithm(SHA384, false);
        *parts.values(MESSAGE_DIGEST) = vec![Node::Leaf(0x04, DigestAlgorithm::Sha384.of(CONTENT))];
    };
    let officer = Officer::new(&country, Key::rsa_2048(&rcgen::PKCS_RSA_SHA256));
    let mut parts = Parts::of(&officer.sign(CONTENT));
    sha384(&mut parts);
    let signature = read(&parts.sign(&Key::rsa_2048(&rcgen::PKCS_RSA_SHA384)));
    assert_eq!(signature.algorithm(), SignatureAlgorithm::RsaSha384);
    assert!(signature.covers(CONTENT));
    let certificate = schema::trust::Certificate::parse(&officer.der).expect("an officer");
    assert!(signature.is_made_by(certificate.key()));
}

#[test]
fn size_and_encoding_are_bounded() {
    let good = Good::new();
    let found = SIGNATURE_BYTES_MAX + 1;
    assert_eq!(DetachedSignature::parse(&vec![0x30; found]), Err(CmsError::TooLarge { found }));
    for cut in 0..good.der.len() {
        let error = DetachedSignature::parse(&good.der[..cut]).err();
        assert!(matches!(error, Some(CmsError::Encoding(_))), "{cut} bytes: {error:?}");
    }
    let trailing = [&good.der[..], &[0]].concat();
    assert!(matches!(DetachedSignature::parse(&trailing), Err(CmsError::Encoding(_))));
    assert!(matches!(DetachedSignature::parse(b"not a signature"), Err(CmsError::Encoding(_))));
    let indefinite = [&[0x30, 0x80], &good.der[4..], &[0, 0]].concat();
    assert!(matches!(DetachedSignature::parse(&indefinite), Err(CmsError::Encoding(_))));
    good.check("not in the one encoding", |parts| parts.data.push(Node::Leaf(0x05, Vec::new())));
    good.check("not in the one encoding", |parts| parts.signer.push(Node::Leaf(0x05, Vec::new())));
    good.check("not in the one encoding", |parts| parts.info.push(Node::Leaf(0x05, Vec::new())));
}

/// Parts that nobody signed have one encoding too: else one signature had many forms.
#[test]
fn second_encoding_of_what_is_not_signed_is_refused() {
    let good = Good::new();
    let strict = "not in the one encoding";
    good.check(strict, |parts| parts.signer[at::NAME].members()[1].value().insert(0, 0));
    good.check(strict, |parts| parts.signer[at::NAME].members().push(Node::Leaf(0x05, Vec::new())));
    good.check(strict, |parts| {
        let null = Node::Leaf(0x05, vec![1]);
        parts.signer[at::ALGORITHM] = Node::Branch(0x30, vec![oid(RSA_SHA256), null]);
    });
    // In a certificate that is only carried along.
    good.check(strict, |parts| {
        let mut here = Node::parse(&good.country.here.der);
        here.members()[0].members()[trust_country::field::SERIAL].value().insert(0, 0);
        let mut both = vec![Node::parse(&good.officer.der), here];
        both.sort_by_key(Node::encode);
        parts.data[at::CERTIFICATES] = Node::Branch(0xa0, both);
    });
    good.check(strict, |parts| {
        let deep = (0..20).fold(Node::Leaf(0x05, Vec::new()), |node, _| Node::Branch(0x30, vec![node]));
        parts.signer[at::ALGORITHM] = deep;
    });
    good.check(strict, |parts| parts.attributes()[0].members().push(Node::Leaf(0x05, Vec::new())));
}

#[test]
fn attributes_out_of_order_are_refused() {
    let good = Good::new();
    let mut parts = Parts::of(&good.der);
    parts.attributes().reverse();
    let error = DetachedSignature::parse(&parts.sign_in_this_order(&good.officer.key)).err();
    assert!(error.is_some_and(|error| error.to_string().contains("a set that is not sorted")));
}

#[test]
fn other_messages_and_versions_are_refused() {
    let good = Good::new();
    let enveloped = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
    good.check("not SignedData", |parts| parts.info[0] = oid(enveloped));
    good.check("not of version 1", |parts| parts.data[at::VERSION] = Node::Leaf(0x02, vec![3]));
    good.check("not of version 1", |parts| parts.signer[at::VERSION] = Node::Leaf(0x02, vec![3]));
    let other = || oid(b"\x2a\x86\x48\x86\xf7\x0d\x01\x07\x05");
    good.check("not id-data", |parts| parts.data[at::CONTENT].members()[0] = other());
    good.check("not id-data", |parts| *parts.values(CONTENT_TYPE) = vec![other()]);
    good.check("not id-data", |parts| *parts.values(CONTENT_TYPE) = vec![Node::Leaf(0x04, vec![1])]);
    good.check("the document stands beside it", |parts| {
        let content = Node::Branch(0xa0, vec![Node::Leaf(0x04, CONTENT.to_vec())]);
        parts.data[at::CONTENT].members().push(content);
    });
}

#[test]
fn digests_and_signatures_must_be_allowed_and_go_together() {
    let good = Good::new();
    let both = |parts: &mut Parts, identifier: Node| {
        parts.data[at::DIGESTS] = Node::Branch(0x31, vec![identifier.clone()]);
        parts.signer[at::DIGEST] = identifier;
    };
    good.check("SHA-1, which can be forged", |parts| both(parts, algorithm(SHA1, false)));
    good.check("SHA-1, which can be forged", |parts| both(parts, algorithm(SHA1, true)));
    good.check("is not allowed, or has parameters", |parts| both(parts, algorithm(SHA224, false)));
    good.check("is not allowed, or has parameters", |parts| both(parts, algorithm(SHA256, true)));

    let list = "not exactly the one of the signer";
    good.check(list, |parts| parts.data[at::DIGESTS] = Node::Branch(0x31, vec![]));
    good.check(list, |parts| parts.data[at::DIGESTS] = Node::Branch(0x31, vec![algorithm(SHA384, false)]));
    good.check(list, |parts| {
        let two = vec![algorithm(SHA256, false), algorithm(SHA384, false)];
        parts.data[at::DIGESTS] = Node::Branch(0x31, two);
    });

    let signature = |kind: &'static [u8], null| {
        move |parts: &mut Parts| parts.signer[at::ALGORITHM] = algorithm(kind, null)
    };
    good.check("SHA-1 with RSA, which can be forged", signature(RSA_SHA1, true));
    good.check("is not allowed", signature(RSA_PSS, false));
    // The digest stands beside it already: RSA has one way to be written.
    good.check("do not go together", signature(RSA_SHA256, true));
    good.check("names Ed25519 beside the digest SHA-256", signature(ED25519, false));
    good.check("do not go together", |parts| {
        both(parts, algorithm(SHA384, false));
        parts.signer[at::ALGORITHM] = algorithm(ECDSA_SHA256, false);
    });
}

#[test]
fn certificates_must_be_the_signers_and_a_chain_above_it() {
    let good = Good::new();
    let certificates = |ders: Vec<&[u8]>| {
        let mut ders = ders;
        ders.sort_unstable();
        let members = ders.into_iter().map(Node::parse).collect();
        move |parts: &mut Parts| parts.data[at::CERTIFICATES] = Node::Branch(0xa0, members)
    };
    let (mine, here, root) = (&good.officer.der[..], &good.country.here.der[..], &good.country.root.der[..]);
    let chain = Parts::of(&good.der);
    let mut parts = chain;
    certificates(vec![mine, here, root])(&mut parts);
    let signature = read(&parts.sign(&good.officer.key));
    assert_eq!(signature.authorities().count(), 2);
    assert!(signature.authorities().all(|der| der == here || der == root));

    good.check("no certificate, or more than 4", |parts| drop(parts.data.remove(at::CERTIFICATES)));
    good.check("no certificate, or more than 4", certificates(vec![]));
    let more: Vec<Vec<u8>> = (0..3)
        .map(|n| good.country.root.issue(&Plan { serial: 200 + n, ..Plan::province(HERE) }, &Key::ed25519(2)))
        .collect();
    let five = [mine, here, &more[0], &more[1], &more[2]];
    good.check("no certificate, or more than 4", certificates(five.to_vec()));
    // A renewed authority has a second certificate.
    assert_eq!(good.refusal(certificates(five[..4].to_vec())), None);

    good.check("not sorted, or one occurs twice", certificates(vec![mine, mine]));
    good.check("not sorted, or one occurs twice", |parts| {
        certificates(vec![mine, here])(parts);
        parts.data[at::CERTIFICATES].members().reverse();
    });
    good.check("of a kind other than X.509", |parts| {
        parts.data[at::CERTIFICATES].members().push(Node::Branch(0xa1, vec![]));
    });
    good.check("an embedded certificate cannot be read", |parts| {
        let two = vec![Node::Branch(0x30, vec![]), Node::parse(mine)];
        parts.data[at::CERTIFICATES] = Node::Branch(0xa0, two);
    });
    good.check("does not belong to the signer's chain", certificates(vec![mine, root]));
    let there = &good.country.there.der[..];
    good.check("does not belong to the signer's chain", certificates(vec![mine, here, there]));
    let colleague = good.country.here.issue(&Plan { serial: 41, ..plan() }, &Key::ed25519(5));
    good.check("does not belong to the signer's chain", certificates(vec![mine, &colleague]));
    good.check("carries revocation lists", |parts| {
        let list = good.country.here.list(1, day(100), day(130), &[]);
        parts.data.insert(at::SIGNERS, Node::Branch(0xa1, vec![Node::parse(&list)]));
    });
}

#[test]
fn signer_is_one_and_named_in_one_way() {
    let good = Good::new();
    let signers = |count: usize| {
        let mut parts = Parts::of(&good.der);
        parts.data[at::SIGNERS] = Node::Branch(0x31, vec![Node::Branch(0x30, parts.signer.clone()); count]);
        parts.info[1] = Node::Branch(0xa0, vec![Node::Branch(0x30, parts.data)]);
        DetachedSignature::parse(&Node::Branch(0x30, parts.info).encode()).err()
    };
    assert_eq!(signers(1), None);
    assert_eq!(signers(0), Some(CmsError::SignerCount { found: 0 }));
    assert_eq!(signers(2), Some(CmsError::SignerCount { found: 2 }));

    good.check("not named by issuer and serial", |parts| {
        parts.signer[at::NAME] = Node::Leaf(0x80, vec![1; 20]);
        parts.signer[at::VERSION] = Node::Leaf(0x02, vec![3]);
    });
    good.check("not named by issuer and serial", |parts| {
        parts.signer[at::NAME].members()[1] = Node::Leaf(0x02, vec![0]);
    });
    good.check("the certificate of the signer is not among", |parts| {
        parts.signer[at::NAME].members()[1] = Node::Leaf(0x02, vec![7]);
    });
    good.check("the certificate of the signer is not among", |parts| {
        parts.signer[at::NAME].members()[0] = Node::Branch(0x30, vec![]);
    });
    // Two with one number: an issuer that has gone wrong, or an attempt to leave open which one it was.
    let twin = good.country.here.issue(&Plan { until: day(500), ..plan() }, &good.officer.key);
    good.check("or two have its issuer and number", |parts| {
        let mut both = [twin.clone(), good.officer.der.clone()];
        both.sort();
        let both = both.iter().map(|der| Node::parse(der)).collect();
        parts.data[at::CERTIFICATES] = Node::Branch(0xa0, both);
    });
}

/// The same person, the same key, another certificate: with another period, revoked at another time.
#[test]
fn certificate_exchanged_for_another_of_the_same_key_and_name_is_refused() {
    let good = Good::new();
    let renewed = good.country.here.issue(&Plan { serial: 41, ..plan() }, &good.officer.key);
    let same_number = good.country.here.issue(&Plan { until: day(500), ..plan() }, &good.officer.key);
    for other in [&renewed, &same_number] {
        // The signature still holds: nothing that is signed has changed.
        let mut parts = Parts::of(&good.der);
        let attributes = parts.attributes().clone();
        let mut parts = parts.with_certificate(other);
        *parts.attributes() = attributes;
        assert_eq!(DetachedSignature::parse(&parts.encode()), Err(CmsError::OtherCertificate));
    }
}

#[test]
fn attributes_are_exactly_the_four() {
    let good = Good::new();
    good.check("has no signed attributes", |parts| {
        // Whoever looks for them afterwards finds the algorithm in their place.
        let attributes = parts.signer.remove(at::ATTRIBUTES);
        parts.signer.insert(at::ATTRIBUTES, Node::Branch(0xa2, vec![]));
        drop(attributes);
    });
    let mut parts = Parts::of(&good.der);
    parts.signer.remove(at::ATTRIBUTES);
    assert_eq!(DetachedSignature::parse(&parts.encode()), Err(CmsError::NoSignedAttributes));

    let mail = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0f";
    let capabilities = || attribute(mail, vec![Node::Branch(0x30, vec![])]);
    good.check("unsigned attributes", |parts| {
        parts.signer.push(Node::Branch(0xa1, vec![capabilities()]));
    });
    good.check("unsigned attributes", |parts| parts.signer.push(Node::Branch(0xa1, vec![])));
    good.check("`2a864886f70d01090f` is not known", |parts| parts.attributes().push(capabilities()));

    for (kind, name) in [
        (CONTENT_TYPE, "contentType"),
        (MESSAGE_DIGEST, "messageDigest"),
        (SIGNING_TIME, "signingTime"),
        (SIGNING_CERTIFICATE, "signingCertificateV2"),
    ] {
        let is = |node: &Node| matches!(node, Node::Branch(_, members) if members[0] == oid(kind));
        good.check(&format!("{name} occurs twice"), |parts| {
            let again = parts.attributes().iter().find(|node| is(node)).cloned();
            parts.attributes().extend(again);
        });
        good.check(&format!("{name} occurs twice"), |parts| {
            parts.attributes().push(attribute(kind, vec![Node::Leaf(0x04, vec![1])]));
        });
        good.check(&format!("{name} is missing"), |parts| parts.attributes().retain(|node| !is(node)));
        good.check(&format!("{name} is malformed: not exactly one value"), |parts| {
            let again = parts.values(kind)[0].clone();
            parts.values(kind).push(again);
        });
        good.check(&format!("{name} is malformed: not exactly one value"), |parts| {
            parts.values(kind).clear();
        });
    }
}

#[test]
fn values_of_attributes_have_one_form() {
    let good = Good::new();
    good.check("messageDigest is malformed", |parts| {
        *parts.values(MESSAGE_DIGEST) = vec![Node::Leaf(0x0c, vec![b'x'; 32])];
    });
    for (tag, text) in [
        (0x17, "2602200000Z"),
        (0x17, "260220000000+0700"),
        (0x17, "990220000000Z"),
        (0x18, "20260220000000Z"),
        (0x18, "20500101000000.5Z"),
        (0x0c, "260220000000Z"),
    ] {
        good.check("signingTime is malformed", |parts| {
            *parts.values(SIGNING_TIME) = vec![Node::Leaf(tag, text.as_bytes().to_vec())];
        });
    }
    assert_eq!(
        good.refusal(|parts| {
            *parts.values(SIGNING_TIME) = vec![Node::Leaf(0x18, b"20500101000000Z".to_vec())];
        }),
        None
    );
}

/// The parts of signingCertificateV2.
fn reference(parts: &mut Parts) -> &mut Vec<Node> {
    parts.values(SIGNING_CERTIFICATE)[0].members()[0].members()[0].members()
}

#[test]
fn signing_certificate_names_exactly_the_signers() {
    let good = Good::new();
    let malformed = "signingCertificateV2 is malformed";
    good.check("policies", |parts| {
        parts.values(SIGNING_CERTIFICATE)[0].members().push(Node::Branch(0x30, vec![]));
    });
    good.check("more than one certificate", |parts| {
        let list = parts.values(SIGNING_CERTIFICATE)[0].members()[0].members();
        let again = list[0].clone();
        list.push(again);
    });
    good.check(malformed, |parts| parts.values(SIGNING_CERTIFICATE)[0].members()[0].members().clear());
    good.check(malformed, |parts| parts.values(SIGNING_CERTIFICATE)[0] = Node::Leaf(0x04, vec![]));
    good.check("a default that is written out", |parts| {
        reference(parts).insert(0, algorithm(SHA256, false));
    });
    good.check("SHA-1, which can be forged", |parts| reference(parts).insert(0, algorithm(SHA1, false)));
    good.check("no issuer and serial number", |parts| reference(parts).truncate(1));
    good.check(malformed, |parts| reference(parts).push(Node::Leaf(0x05, vec![])));
    good.check(malformed, |parts| reference(parts)[1].members().push(Node::Leaf(0x05, vec![])));
    good.check("not one directory name", |parts| {
        let names = reference(parts)[1].members()[0].members();
        let again = names[0].clone();
        names.push(again);
    });
    good.check("not one directory name", |parts| {
        reference(parts)[1].members()[0].members()[0] = Node::Leaf(0x82, b"vn".to_vec());
    });

    let other = "is not the one that was signed with";
    good.check(other, |parts| reference(parts)[0].value()[0] ^= 1);
    good.check(other, |parts| reference(parts)[0].value().truncate(31));
    good.check(other, |parts| *reference(parts)[1].members()[1].value() = vec![7]);
    good.check(other, |parts| {
        let mut there = Node::parse(&good.country.there.der);
        let name = there.members()[0].members()[trust_country::field::SUBJECT].clone();
        *reference(parts)[1].members()[0].members()[0].members() = vec![name];
    });
    // A longer hash is as good.
    let long = |parts: &mut Parts| {
        let reference = reference(parts);
        *reference[0].value() = DigestAlgorithm::Sha384.of(&good.officer.der);
        reference.insert(0, algorithm(SHA384, false));
    };
    assert_eq!(good.refusal(long), None);
}

/// RFC 5652 would take the attributes themselves for a document, when there are none in the signature.
#[test]
fn signed_attributes_do_not_pass_for_a_document() {
    let good = Good::new();
    let signature = read(&good.der);
    let mut parts = Parts::of(&good.der);
    parts.signer.remove(at::ATTRIBUTES);
    assert!(DetachedSignature::parse(&parts.encode()).is_err());
    assert!(!signature.covers(signature.signed_bytes()));
}

#[test]
fn debug_output_masks_the_citizen_number() {
    let good = Good::new();
    let text = format!("{:?} {:?}", read(&good.der), good.officer.prepare(CONTENT));
    assert!(text.contains("*********345") && !text.contains("001099012345"), "{text}");
    let _: &Authority = &good.country.here;
}
