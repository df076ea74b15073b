//! Numbers, times, extensions, algorithms and keys.

use super::*;

pub fn numbers_and_times() -> Vec<Case> {
    let numbered = |serial: &[u8]| Draft { serial: serial.to_vec(), ..office() };
    let bounds = Some("positive number of at most 20 bytes");
    let raw_time = |tag, text: &str| leaf(tag, text.as_bytes());
    let until = |node| Draft { until: node, ..office() };
    let span = |from: u64, until: u64| Draft { from: time(day(from)), until: time(day(until)), ..office() };
    let at = |rule, leaf: Draft, at: Millis, expected| Case { at, ..of_office(rule, &leaf, expected) };
    let end = day(AT);
    let unreadable = Some("validity of the certificate cannot be read");
    vec![
        of_office("number: twenty bytes", &numbered(&[0x7f; 20]), VALID),
        of_office("number: twenty-one bytes", &numbered(&[0x7f; 21]), bounds),
        of_office("number: twenty bytes and a sign", &numbered(&[&[0][..], &[0xff; 20]].concat()), bounds),
        of_office("number: zero", &numbered(&[0]), bounds),
        of_office("number: negative", &numbered(&[0xff, 0x01]), bounds),
        of_office("number: with zeros before", &numbered(&[0, 0, 5]), Some("not minimal")),
        of_office("number: empty", &numbered(&[]), Some("empty integer")),
        of_root("time: the root had ended", &Draft { until: time(day(50)), ..root() }, Some("had expired")),
        of_authority(
            "time: the authority had ended",
            &Draft { until: time(day(50)), ..here() },
            Some("had expired"),
        ),
        of_office("time: the leaf had ended", &span(0, 50), Some("had expired")),
        of_root(
            "time: the root had not begun",
            &Draft { from: time(day(200)), ..root() },
            Some("before the certificate became valid"),
        ),
        of_authority(
            "time: the authority had not begun",
            &Draft { from: time(day(200)), ..here() },
            Some("before the certificate became valid"),
        ),
        at("time: the first moment", span(AT, 300), end, VALID),
        at(
            "time: a millisecond before the first",
            span(AT, 300),
            Millis(end.0 - 1),
            Some("before the certificate became valid"),
        ),
        at(
            "time: a second before the first",
            span(AT, 300),
            Millis(end.0 - 1000),
            Some("before the certificate became valid"),
        ),
        at("time: the last second", span(0, AT), end, VALID),
        at("time: the end of the last second", span(0, AT), Millis(end.0 + 999), VALID),
        at("time: a second after the last", span(0, AT), Millis(end.0 + 1000), Some("had expired")),
        of_office("time: ends before it begins", &span(300, 100), Some("ends before it begins")),
        of_office(
            "time: the last century",
            &Draft { from: raw_time(0x17, "700101000000Z"), ..office() },
            unreadable,
        ),
        of_office("time: four-digit year before 2050", &until(raw_time(0x18, "20400101000000Z")), unreadable),
        of_office("time: four-digit year from 2050 on", &until(raw_time(0x18, "20500101000000Z")), VALID),
        of_office("time: without seconds", &until(raw_time(0x17, "4001010000Z")), unreadable),
        of_office("time: with fractions", &until(raw_time(0x18, "20500101000000.5Z")), unreadable),
        of_office("time: of another zone", &until(raw_time(0x17, "400101000000+0700")), unreadable),
        of_office("time: a day that is none", &until(raw_time(0x17, "400230000000Z")), Some("InvalidDate")),
    ]
}

pub fn extensions() -> Vec<Case> {
    let critical = || extension(UNKNOWN, true, vec![0x05, 0x00]);
    let plain = || extension(UNKNOWN, false, vec![0x05, 0x00]);
    let policy =
        |last: u8, critical: bool, value: &[u8]| extension(&[0x55, 0x1d, last], critical, value.to_vec());
    let twice = office().with(usage_of_a_leaf());
    let another_algorithm = || Some(Node::parse(b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"));
    let version = |number: u8| Some(Node::Branch(0xa0, vec![leaf(0x02, &[number])]));
    let not_allowed = Some("is not allowed here");
    vec![
        of_office("extension: unknown", &office().with(plain()), VALID),
        of_office(
            "extension: unknown and critical in the leaf",
            &office().with(critical()),
            Some("critical extension"),
        ),
        of_authority(
            "extension: unknown and critical in the authority",
            &here().with(critical()),
            Some("critical extension"),
        ),
        of_root(
            "extension: unknown and critical in the root",
            &root().with(critical()),
            Some("critical extension"),
        ),
        of_office("extension: twice", &twice, Some("occurs twice")),
        of_office("extension: twice, unknown", &office().with(plain()).with(plain()), Some("occurs twice")),
        of_office(
            "extension: where the issuer's certificate is",
            &office().with(access(false, sound_access())),
            VALID,
        ),
        of_office(
            "extension: the same, critical",
            &office().with(access(true, sound_access())),
            Some("critical extension"),
        ),
        of_office(
            "extension: the same, malformed",
            &office().with(access(false, b"malformed".to_vec())),
            Some("is malformed"),
        ),
        of_authority(
            "extension: policy constraints",
            &here().with(policy(0x24, true, &[0x30, 3, 0x80, 1, 0])),
            not_allowed,
        ),
        of_authority(
            "extension: policy constraints, not critical",
            &here().with(policy(0x24, false, &[0x30, 3, 0x80, 1, 0])),
            not_allowed,
        ),
        of_authority(
            "extension: policy mappings",
            &here().with(policy(0x21, true, b"\x30\x0c\x30\x0a\x06\x03\x2a\x03\x04\x06\x03\x2a\x03\x05")),
            not_allowed,
        ),
        of_authority(
            "extension: no policy whatever",
            &here().with(policy(0x36, true, &[2, 1, 0])),
            not_allowed,
        ),
        of_office("extension: delta lists", &office().with(policy(0x2e, false, &[0x30, 0])), not_allowed),
        of_office("version: 1", &Draft { version: None, ..office() }, Some("not of version 3")),
        of_office("version: 2", &Draft { version: version(1), ..office() }, Some("not of version 3")),
        of_office("version: 4", &Draft { version: version(3), ..office() }, Some("not of version 3")),
        of_office(
            "algorithm: another one inside",
            &Draft { inner_algorithm: another_algorithm(), ..office() },
            Some("differs from the one of the signature"),
        ),
        of_root(
            "algorithm: another one inside the root",
            &Draft { inner_algorithm: another_algorithm(), ..root() },
            Some("differs from the one of the signature"),
        ),
    ]
}

pub fn keys() -> Vec<Case> {
    let bits = |bytes: &[u8]| leaf(0x03, &[&[0][..], bytes].concat());
    let rsa = |modulus: Vec<u8>| {
        let algorithm = Node::parse(b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00");
        let key = sequence(vec![leaf(0x02, &modulus), leaf(0x02, &[1, 0, 1])]).encode();
        sequence(vec![algorithm, bits(&key)])
    };
    let modulus = |first: &[u8], bytes: usize| [first, &vec![0xff; bytes]].concat();
    let curve = |parameters: Node, point: &[u8]| {
        sequence(vec![sequence(vec![leaf(0x06, b"\x2a\x86\x48\xce\x3d\x02\x01"), parameters]), bits(point)])
    };
    let p256 = || leaf(0x06, b"\x2a\x86\x48\xce\x3d\x03\x01\x07");
    let p192 = leaf(0x06, b"\x2a\x86\x48\xce\x3d\x03\x01\x01");
    // ECParameters written out, as far as anybody would read them.
    let explicit =
        sequence(vec![leaf(0x02, &[1]), sequence(vec![leaf(0x06, b"\x2a\x86\x48\xce\x3d\x01\x01")])]);
    let compressed = [&[2][..], &[7; 32]].concat();
    let uncompressed = [&[4][..], &[7; 64]].concat();
    let dsa = sequence(vec![sequence(vec![leaf(0x06, b"\x2a\x86\x48\xce\x38\x04\x01")]), bits(&[2, 1, 5])]);
    let weak = sequence(vec![Node::parse(b"\x30\x05\x06\x03\x2b\x65\x70"), bits(&[0; 32])]);
    let of =
        |rule, spki: Node, expected| of_officer(rule, &Draft { spki: Some(spki), ..officer() }, expected);
    let of_issuer =
        |rule, spki: Node, expected| of_authority(rule, &Draft { spki: Some(spki), ..here() }, expected);
    let garbage = || sequence(vec![Node::parse(b"\x30\x05\x06\x03\x2b\x65\x70"), bits(b"not a key")]);
    let rsa_1024 = Node::parse(&unhex_spki());
    vec![
        of("key: RSA of 2048 bits", rsa(modulus(&[0], 256)), VALID),
        of("key: RSA of 1024 bits", rsa(modulus(&[0], 128)), Some("1024 bits")),
        of("key: RSA of 1024 bits that somebody made", rsa_1024, Some("1024 bits")),
        of("key: RSA of 2052 bits", rsa(modulus(&[0x0f], 256)), Some("multiple of 8")),
        of("key: P-192", curve(p192, &[&[4][..], &[7; 48]].concat()), Some("key algorithm")),
        of("key: a curve written out", curve(explicit, &uncompressed), Some("key algorithm")),
        of("key: a compressed point", curve(p256(), &compressed), Some("uncompressed point")),
        of("key: DSA", dsa, Some("key algorithm")),
        of("key: a weak point", weak, Some("weak point")),
        of_issuer("key: of the issuer, none at all", garbage(), Some("32 bytes")),
        {
            let key = Key::p256();
            let chain = Chain::with_leaf_key(&root(), &[here()], &officer(), &key);
            Case { purpose: Purpose::Document, ..chain.case("key: P-256 of an officer", Judge::Store, VALID) }
        },
        {
            let key = Key::p256();
            let chain = Chain::with_leaf_key(&root(), &[here()], &office(), &key);
            chain.case("key: P-256 of an office", Judge::Store, Some("Ed25519 is required"))
        },
        of_authority(
            "key: usage of an authority written again",
            &here().instead(usage_of_an_authority()),
            VALID,
        ),
    ]
}

/// The RSA-1024 key that trust_country keeps, as a SubjectPublicKeyInfo.
fn unhex_spki() -> Vec<u8> {
    let key = unhex(include_str!("../../trust_country/rsa-1024-public.hex"));
    let algorithm = Node::parse(b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00");
    sequence(vec![algorithm, leaf(0x03, &[vec![0], key].concat())]).encode()
}
