//! Every rule of the closed profile, broken once: the certificate is otherwise good and properly signed.

mod trust_country;

use rcgen::{CustomExtension, DnType};
use schema::trust::certificate::{CERTIFICATE_BYTES_MAX, CertificateError};
use schema::trust::extension::{CONSTRAINTS_MAX, EXTENSIONS_MAX};
use schema::trust::profile::{RoleError, role_of};
use schema::trust::store::{ANCHORS_MAX, AnchorError, AuthorityError};
use schema::trust::{Anchors, Certificate, Item, Language, Outcome, Role, TrustStore};
use trust_country::{
    Authority, COMMON, COUNTRY, Country, HERE, Key, Node, OFFICE_UID, PROVINCE, Plan, THERE, Use, day, dn,
    extension, field, find, forge, judge, uid, with_extensions,
};

const BASIC: &[u8] = b"\x55\x1d\x13";
const USAGE: &[u8] = b"\x55\x1d\x0f";
const PURPOSES: &[u8] = b"\x55\x1d\x25";
const CONSTRAINTS: &[u8] = b"\x55\x1d\x1e";
const AKI: &[u8] = b"\x55\x1d\x23";
const SKI: &[u8] = b"\x55\x1d\x0e";
const SAN: &[u8] = b"\x55\x1d\x11";

/// Refused when read, for that reason, in both languages, and never valid.
#[track_caller]
fn refused(der: &[u8], english: &str, vietnamese: &str) {
    let error = Certificate::parse(der).expect_err("a broken rule");
    assert!(error.to_string().contains(english), "`{error}` does not say `{english}`");
    let verdict = judge(&Country::new().store(&[]), der, day(50));
    let finding = verdict.of(Item::Certificate).expect("reported");
    assert_eq!((verdict.outcome(), finding.outcome), (Outcome::Invalid, Outcome::Invalid));
    assert!(finding.reason.text(Language::English).contains(english));
    let told = finding.reason.text(Language::Vietnamese);
    assert!(told.contains(vietnamese), "`{told}` does not say `{vietnamese}`");
}

fn office() -> Vec<u8> {
    Country::new().office
}

/// The office's certificate, changed and signed anew by its authority.
fn changed(change: impl FnOnce(&mut Vec<Node>)) -> Vec<u8> {
    forge(&office(), &Key::ed25519(2), change)
}

fn fields(change: impl FnOnce(&mut Vec<Node>)) -> Vec<u8> {
    changed(|members| change(members[0].members()))
}

fn extensions(change: impl FnOnce(&mut Vec<Node>)) -> Vec<u8> {
    with_extensions(&office(), &Key::ed25519(2), change)
}

/// The authority's certificate, changed and signed anew by the root.
fn authority(change: impl FnOnce(&mut Vec<Node>)) -> Vec<u8> {
    with_extensions(&Country::new().here.der, &Key::ed25519(1), change)
}

#[test]
fn taking_apart_and_signing_anew_changes_nothing() {
    let country = Country::new();
    assert_eq!(changed(|_| {}), country.office);
    assert_eq!(extensions(|_| {}), country.office);
    assert_eq!(authority(|_| {}), country.here.der);
    assert!(matches!(role_of(&Certificate::parse(&country.root.der).expect("a root")), Ok(Role::Root)));
}

#[test]
fn size_is_bounded_before_anything_is_read() {
    let error = Certificate::parse(&vec![0x30; CERTIFICATE_BYTES_MAX + 1]).expect_err("too large");
    assert_eq!(error, CertificateError::TooLarge { found: CERTIFICATE_BYTES_MAX + 1 });
    let filler = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![4; 15_000]);
    let plan = Plan { extra: vec![filler], ..Plan::office(HERE, 1) };
    let large = Country::new().here.issue(&plan, &Key::ed25519(4));
    assert!(large.len() <= CERTIFICATE_BYTES_MAX && Certificate::parse(&large).is_ok());
}

#[test]
fn trailing_bytes_are_refused() {
    let mut der = office();
    der.push(0);
    refused(&der, "something follows", "mã hoá DER");
    refused(&changed(|members| members.push(Node::Leaf(0x05, vec![]))), "something follows", "DER");
    refused(&fields(|members| members.push(Node::Leaf(0x05, vec![]))), "", "không đọc được");
}

#[test]
fn other_versions_are_refused() {
    refused(
        &fields(|f| f[field::VERSION].members()[0] = Node::Leaf(0x02, vec![1])),
        "version 3",
        "phiên bản 3",
    );
    refused(&fields(|f| drop(f.remove(field::VERSION))), "version 3", "phiên bản 3");
}

#[test]
fn serial_must_be_positive_and_short() {
    for serial in [vec![0], vec![0x81], vec![0x01; 21], [vec![0], vec![0xff; 20]].concat()] {
        refused(&fields(|f| f[field::SERIAL] = Node::Leaf(0x02, serial)), "serial number", "số sê-ri");
    }
    let longest = fields(|f| f[field::SERIAL] = Node::Leaf(0x02, vec![0x01; 20]));
    assert!(Certificate::parse(&longest).is_ok());
}

#[test]
fn sha_1_and_md5_are_refused_by_name() {
    let with = |tail: &'static [u8]| {
        let algorithm = Node::Branch(0x30, vec![Node::Leaf(0x06, tail.to_vec()), Node::Leaf(0x05, vec![])]);
        changed(|members| {
            members[1] = algorithm.clone();
            members[0].members()[field::ALGORITHM] = algorithm;
        })
    };
    refused(&with(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"), "SHA-1 with RSA", "SHA-1 with RSA");
    refused(&with(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04"), "MD5 with RSA", "thuật toán cũ");
    refused(&with(b"\x2a\x86\x48\xce\x3d\x04\x01"), "SHA-1 with ECDSA", "thuật toán cũ");
    // RSASSA-PSS, whose parameters are a language of their own.
    refused(&with(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"), "is not allowed", "không được phép");
    // An allowed algorithm with parameters that it does not have.
    refused(&with(b"\x2b\x65\x70"), "is not allowed", "không được phép");
}

#[test]
fn inner_and_outer_algorithm_must_be_one() {
    let other = Node::Branch(0x30, vec![Node::Leaf(0x06, b"\x2a\x86\x48\xce\x3d\x04\x03\x02".to_vec())]);
    refused(&changed(|members| members[1] = other.clone()), "differs", "khác nhau");
    refused(&fields(|f| f[field::ALGORITHM] = other.clone()), "differs", "khác nhau");
}

#[test]
fn unsound_keys_are_refused() {
    let key = |algorithm: Vec<Node>, bytes: Vec<u8>| {
        let bits = [vec![0], bytes].concat();
        let key = Node::Branch(0x30, vec![Node::Branch(0x30, algorithm), Node::Leaf(0x03, bits)]);
        fields(|f| f[field::KEY] = key)
    };
    let oid = |oid: &[u8]| Node::Leaf(0x06, oid.to_vec());
    let ed25519 = || vec![oid(b"\x2b\x65\x70")];
    // The neutral element: every signature by it verifies somewhere.
    let mut neutral = vec![0; 32];
    neutral[0] = 1;
    refused(&key(ed25519(), neutral), "a weak point", "khoá công khai không đúng");
    refused(&key(ed25519(), vec![2; 31]), "32 bytes", "khoá công khai không đúng");
    let p256 = || vec![oid(b"\x2a\x86\x48\xce\x3d\x02\x01"), oid(b"\x2a\x86\x48\xce\x3d\x03\x01\x07")];
    refused(&key(p256(), [vec![2], vec![7; 32]].concat()), "uncompressed point", "khoá công khai không đúng");
    let secp256k1 = vec![oid(b"\x2a\x86\x48\xce\x3d\x02\x01"), oid(b"\x2b\x81\x04\x00\x0a")];
    refused(&key(secp256k1, [vec![4], vec![7; 64]].concat()), "key algorithm", "loại khoá");
    let rsa = |modulus: Vec<u8>, exponent: Vec<u8>| {
        let algorithm = vec![oid(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"), Node::Leaf(0x05, vec![])];
        let numbers = vec![Node::Leaf(0x02, modulus), Node::Leaf(0x02, exponent)];
        key(algorithm, Node::Branch(0x30, numbers).encode())
    };
    let modulus = |bytes: usize, last: u8| [vec![0], vec![0xff; bytes - 1], vec![last]].concat();
    refused(&rsa(modulus(128, 0xff), vec![1, 0, 1]), "1024 bits", "1024 bit");
    refused(&rsa([vec![0x7f], vec![0xff; 255]].concat(), vec![1, 0, 1]), "2047 bits", "2047 bit");
    refused(&rsa(modulus(1025, 0xff), vec![1, 0, 1]), "8200 bits", "8200 bit");
    refused(&rsa(modulus(256, 0xfe), vec![1, 0, 1]), "even modulus", "khoá công khai");
    refused(&rsa(modulus(256, 0xff), vec![3]), "exponent", "khoá công khai");
    refused(&rsa(modulus(256, 0xff), vec![1, 0, 0]), "exponent", "khoá công khai");
    assert!(Certificate::parse(&rsa(modulus(256, 0xff), vec![1, 0, 1])).is_ok());
}

#[test]
fn validity_has_one_form() {
    let with =
        |from: Node, until: Node| fields(|f| f[field::VALIDITY] = Node::Branch(0x30, vec![from, until]));
    let utc = |text: &str| Node::Leaf(0x17, text.into());
    let long = |text: &str| Node::Leaf(0x18, text.into());
    refused(&with(utc("270101000000Z"), utc("260101000000Z")), "ends before it begins", "trước khi bắt đầu");
    refused(&with(long("20260101000000Z"), utc("270101000000Z")), "cannot be read", "thời hạn");
    refused(&with(utc("2601010000Z"), utc("270101000000Z")), "", "");
    refused(&with(utc("700101000000Z"), utc("270101000000Z")), "before 1970", "thời hạn");
    assert!(Certificate::parse(&with(utc("260101000000Z"), long("20500101000000Z"))).is_ok());
}

#[test]
fn names_must_say_something() {
    refused(&fields(|f| f[field::SUBJECT] = Node::Branch(0x30, vec![])), "has no name", "thiếu tên");
    refused(&fields(|f| f[field::ISSUER] = Node::Branch(0x30, vec![])), "has no name", "thiếu tên");
}

#[test]
fn unique_identifiers_are_refused() {
    for tag in [0x81, 0x82] {
        let der = fields(|f| f.insert(field::EXTENSIONS, Node::Leaf(tag, vec![0, 1])));
        refused(&der, "unique identifiers", "mã định danh kiểu cũ");
    }
}

#[test]
fn duplicate_extensions_are_refused() {
    for oid in [BASIC, USAGE, PURPOSES, AKI, SKI] {
        let der = extensions(|list| {
            let copy = find(list, oid).clone();
            list.push(copy);
        });
        refused(&der, "occurs twice", "bị lặp");
    }
}

#[test]
fn number_of_extensions_is_bounded() {
    let more = |count: usize| {
        extensions(|list| {
            for n in 0..count {
                list.push(extension(&[0x2a, 0x03, u8::try_from(n).expect("few")], false, vec![0x05, 0x00]));
            }
        })
    };
    assert!(Certificate::parse(&more(EXTENSIONS_MAX - 5)).is_ok());
    refused(&more(EXTENSIONS_MAX - 4), "more than 32 extensions", "số phần mở rộng");
}

#[test]
fn critical_extensions_that_are_not_processed_are_refused_everywhere() {
    let unknown = || extension(b"\x2a\x03\x04", true, vec![0x05, 0x00]);
    refused(&extensions(|list| list.push(unknown())), "is not known", "không được hỗ trợ");
    // In a root, too, where a careless validator never looks.
    let root = with_extensions(&Country::new().root.der, &Key::ed25519(1), |list| list.push(unknown()));
    let error = Anchors::new([root.as_slice()]).expect_err("refused");
    assert!(matches!(error, AnchorError::Certificate(CertificateError::UnknownCritical { .. })), "{error:?}");
    // certificatePolicies is fine while nobody has to understand it.
    let policies =
        |critical| extension(b"\x55\x1d\x20", critical, b"\x30\x06\x30\x04\x06\x02\x2a\x03".to_vec());
    assert!(Certificate::parse(&extensions(|list| list.push(policies(false)))).is_ok());
    refused(&extensions(|list| list.push(policies(true))), "is not known", "không được hỗ trợ");
}

#[test]
fn policy_machinery_and_delta_lists_are_refused_even_if_not_critical() {
    for (oid, value) in [
        (b"\x55\x1d\x24", &b"\x30\x03\x80\x01\x00"[..]),
        (b"\x55\x1d\x36", b"\x02\x01\x00"),
        (b"\x55\x1d\x21", b"\x30\x0a\x30\x08\x06\x02\x2a\x03\x06\x02\x2a\x04"),
        (b"\x55\x1d\x2e", b"\x30\x00"),
    ] {
        for critical in [false, true] {
            let der = extensions(|list| list.push(extension(oid, critical, value.to_vec())));
            let error = Certificate::parse(&der).expect_err("refused");
            let expected = matches!(
                error,
                CertificateError::ForbiddenExtension { .. } | CertificateError::MalformedExtension { .. }
            );
            assert!(expected, "{error:?}");
        }
    }
}

#[test]
fn criticality_is_as_the_standard_has_it() {
    let critical = |oid: &'static [u8]| {
        extensions(|list| {
            let Node::Branch(_, members) = find(list, oid) else { panic!("an extension") };
            members.insert(1, Node::Leaf(0x01, vec![0xff]));
        })
    };
    refused(&critical(SKI), "is critical where it must not be", "tính bắt buộc");
    refused(&critical(AKI), "is critical where it must not be", "tính bắt buộc");
    let relaxed = |oid: &'static [u8]| authority(|list| drop(find(list, oid).members().remove(1)));
    refused(&relaxed(BASIC), "or not where it must be", "tính bắt buộc");
    refused(&relaxed(CONSTRAINTS), "or not where it must be", "tính bắt buộc");
    let written_out = extensions(|list| find(list, AKI).members().insert(1, Node::Leaf(0x01, vec![0])));
    refused(&written_out, "default that is written out", "DER");
}

#[test]
fn malformed_extensions_are_refused() {
    let broken = |oid: &'static [u8], value: &[u8]| {
        let value = value.to_vec();
        extensions(|list| *find(list, oid).members().last_mut().expect("a value") = Node::Leaf(0x04, value))
    };
    for (oid, value) in [
        (PURPOSES, &b"\x30\x00"[..]),
        (PURPOSES, b"\x30\x08\x06\x02\x2a\x03\x06\x02\x2a\x03"),
        (PURPOSES, b"\x30\x03\x02\x01\x05"),
        (USAGE, b"\x03\x02\x07\x00"),
        (USAGE, b"\x03\x02\x06\x80"),
        (USAGE, b"\x03\x04\x04\x80\x80\x10"),
        (BASIC, b"\x30\x03\x01\x01\x00"),
        (BASIC, b"\x30\x03\x02\x01\x00"),
        (BASIC, b"\x30\x06\x01\x01\xff\x02\x01\x80"),
        (SKI, b"\x04\x00"),
        (AKI, b"\x30\x00"),
        (AKI, b"\x30\x06\x80\x01\x01\x82\x01\x01"),
        (AKI, b"\x30\x02\x80\x00"),
    ] {
        let error = Certificate::parse(&broken(oid, value)).expect_err("malformed");
        let expected = matches!(
            error,
            CertificateError::MalformedExtension { .. } | CertificateError::Criticality { .. }
        );
        assert!(expected, "{value:02x?}: {error:?}");
    }
    let names = |value: &[u8]| {
        let value = value.to_vec();
        extensions(|list| list.push(extension(SAN, false, value)))
    };
    refused(&names(b"\x30\x00"), "subjectAltName", "bị hỏng");
    refused(&names(b"\x30\x03\x82\x01\xff"), "subjectAltName", "bị hỏng");
}

#[test]
fn key_identifiers_are_demanded() {
    refused(&extensions(|list| list.retain(|e| !is(e, AKI))), "SKI, AKI", "SKI, AKI");
    refused(&authority(|list| list.retain(|e| !is(e, SKI))), "SKI, AKI", "SKI, AKI");
}

fn is(node: &Node, oid: &[u8]) -> bool {
    matches!(node, Node::Branch(_, members) if members[0] == Node::Leaf(0x06, oid.to_vec()))
}

#[test]
fn authority_and_key_usage_must_agree() {
    let here = Country::new().here;
    let plan = Plan { usages: vec![Use::DigitalSignature, Use::KeyCertSign], ..Plan::office(HERE, 1) };
    refused(&here.issue(&plan, &Key::ed25519(4)), "contradict each other", "mâu thuẫn");
    let plan = Plan { usages: vec![Use::DigitalSignature, Use::CrlSign], ..Plan::office(HERE, 1) };
    refused(&here.issue(&plan, &Key::ed25519(4)), "contradict each other", "mâu thuẫn");
    refused(&authority(|list| list.retain(|e| !is(e, USAGE))), "contradict each other", "mâu thuẫn");
}

#[test]
fn name_constraints_are_understood_whole_or_refused() {
    let name = dn_der(HERE);
    let subtree = |inside: &[u8]| Node::Branch(0x30, vec![Node::parse(inside)]).encode();
    let directory = [&[0xa4, u8::try_from(name.len()).expect("short")][..], &name].concat();
    let permitted = |subtrees: &[u8]| {
        let list =
            [&[0xa0, 0x82][..], &u16::try_from(subtrees.len()).expect("short").to_be_bytes(), subtrees];
        let mut list = list.concat();
        if subtrees.len() < 0x80 {
            list.splice(1..4, [u8::try_from(subtrees.len()).expect("short")]);
        }
        let value = Node::parse(&wrap(&list)).encode();
        authority(|extensions| {
            *find(extensions, CONSTRAINTS).members().last_mut().expect("a value") = Node::Leaf(0x04, value);
        })
    };
    assert!(Certificate::parse(&permitted(&subtree(&directory))).is_ok());
    // x509-parser passes over a minimum, a maximum, and all that follows.
    let with_minimum = wrap(&[&directory[..], &[0x80, 0x01, 0x01]].concat());
    refused(&permitted(&with_minimum), "minimum or a maximum", "giới hạn tên");
    for other in [&b"\x82\x01a"[..], b"\x81\x01a", b"\x86\x01a", b"\x87\x08\x0a\x00\x00\x00\xff\x00\x00\x00"]
    {
        refused(&permitted(&subtree(other)), "only directory names", "giới hạn tên");
    }
    refused(&permitted(&subtree(b"\xa4\x02\x30\x00")), "says nothing", "giới hạn tên");
    refused(&permitted(&subtree(&directory).repeat(CONSTRAINTS_MAX + 1)), "more than 64", "giới hạn tên");
    assert!(Certificate::parse(&permitted(&subtree(&directory).repeat(CONSTRAINTS_MAX))).is_ok());
    // In an end entity they mean nothing.
    let country = Country::new();
    let constraint = find_in(&country.here.der, CONSTRAINTS);
    refused(&extensions(|list| list.push(constraint)), "only an authority", "giới hạn tên");
}

fn wrap(inside: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x30];
    match u8::try_from(inside.len()) {
        Ok(length) if length < 0x80 => bytes.push(length),
        _ => bytes.extend([&[0x82][..], &u16::try_from(inside.len()).expect("short").to_be_bytes()].concat()),
    }
    bytes.extend(inside);
    bytes
}

/// `C=VN, ST=<province>`.
fn dn_der(province: &str) -> Vec<u8> {
    let part = |oid: &[u8], tag: u8, text: &str| {
        let pair = vec![Node::Leaf(0x06, oid.to_vec()), Node::Leaf(tag, text.into())];
        Node::Branch(0x31, vec![Node::Branch(0x30, pair)])
    };
    Node::Branch(0x30, vec![part(b"\x55\x04\x06", 0x13, "VN"), part(b"\x55\x04\x08", 0x0c, province)])
        .encode()
}

fn find_in(der: &[u8], oid: &[u8]) -> Node {
    let mut whole = Node::parse(der);
    find(whole.members()[0].members()[field::EXTENSIONS].members()[0].members(), oid).clone()
}

#[track_caller]
fn role(der: &[u8]) -> Result<Role, RoleError> {
    role_of(&Certificate::parse(der).expect("sound by itself"))
}

#[test]
fn roles_are_told_apart() {
    let country = Country::new();
    let Ok(Role::DelegatedCa { jurisdiction }) = role(&country.here.der) else { panic!("an authority") };
    assert_eq!(jurisdiction.to_string(), format!("C=VN, ST={HERE}"));
    let Ok(Role::Office { office }) = role(&country.office) else { panic!("an office") };
    assert_eq!(format!("TRAM:{office}"), OFFICE_UID);
    assert_eq!(role(&country.officer), Ok(Role::Officer));
    let centre = [(COUNTRY, "VN"), (DnType::OrganizationName, "Trung ương")];
    let subject = dn(&[centre[0].clone(), centre[1].clone(), (COMMON, "CA trung ương")]);
    let plan = Plan { subject, jurisdiction: Some(dn(&centre)), ..Plan::province("") };
    let Ok(Role::DelegatedCa { jurisdiction }) = role(&country.root.issue(&plan, &Key::ed25519(5))) else {
        panic!("the centre")
    };
    assert_eq!(jurisdiction.to_string(), "C=VN, O=Trung ương");
}

#[test]
fn jurisdiction_is_one_province_or_the_centre() {
    let root = Country::new().root;
    let constrained = |base| {
        let plan = Plan { jurisdiction: Some(base), ..Plan::province(HERE) };
        role(&root.issue(&plan, &Key::ed25519(5)))
    };
    for base in [
        dn(&[(COUNTRY, "VN")]),
        dn(&[(COUNTRY, "LA"), (PROVINCE, HERE)]),
        dn(&[(PROVINCE, HERE), (COUNTRY, "VN")]),
        dn(&[(COUNTRY, "VN"), (COMMON, HERE)]),
        dn(&[(COUNTRY, "VN"), (PROVINCE, HERE), (COMMON, "x")]),
        dn(&[(COUNTRY, "VN"), (PROVINCE, "")]),
        // NFD: looks the same, is another name.
        dn(&[(COUNTRY, "VN"), (PROVINCE, "Ti\u{309}nh")]),
    ] {
        assert_eq!(constrained(base), Err(RoleError::Jurisdiction));
    }
    let elsewhere = constrained(dn(&[(COUNTRY, "VN"), (PROVINCE, THERE)]));
    assert!(matches!(elsewhere, Err(RoleError::NamedOutside { .. })), "{elsewhere:?}");
    let free = Plan { jurisdiction: None, ..Plan::province(HERE) };
    assert_eq!(role(&root.issue(&free, &Key::ed25519(5))), Err(RoleError::Jurisdiction));
}

#[test]
fn authorities_have_path_length_0_and_exactly_their_usages() {
    let root = Country::new().root;
    let plan = |change: fn(&mut Plan)| {
        let mut plan = Plan::province(HERE);
        change(&mut plan);
        role(&root.issue(&plan, &Key::ed25519(5)))
    };
    assert_eq!(plan(|plan| plan.ca = Some(None)), Err(RoleError::PathLength));
    assert_eq!(plan(|plan| plan.ca = Some(Some(1))), Err(RoleError::PathLength));
    for change in [(|plan| plan.usages = vec![Use::KeyCertSign]) as fn(&mut Plan), |plan| {
        plan.usages.push(Use::DigitalSignature);
    }] {
        assert!(matches!(plan(change), Err(RoleError::KeyUsage { .. })));
    }
    let any = |list: &mut Vec<Node>| {
        list.push(extension(PURPOSES, false, b"\x30\x06\x06\x04\x55\x1d\x25\x00".into()));
    };
    assert_eq!(role(&authority(any)), Err(RoleError::Purpose));
    let names = |list: &mut Vec<Node>| list.push(extension(SAN, false, b"\x30\x03\x82\x01a".into()));
    assert_eq!(role(&authority(names)), Err(RoleError::AlternativeName));
}

#[test]
fn offices_are_named_by_exactly_one_id() {
    let here = Country::new().here;
    let named = |uids: &[&str]| {
        let mut office = Node::parse(&here.issue(&Plan::office(HERE, 1), &Key::ed25519(4)));
        let subject = office.members()[0].members()[field::SUBJECT].members();
        let last = subject.pop().expect("the id");
        for uid in uids {
            let mut part = last.clone();
            *part.members()[0].members()[1].value() = (*uid).into();
            subject.push(part);
        }
        role(&office.encode())
    };
    assert!(named(&[OFFICE_UID]).is_ok());
    for uids in [
        &[][..],
        &[OFFICE_UID, OFFICE_UID],
        &["0102030405060708090a0b0c0d0e0f10"],
        &["TRAM:0102030405060708090A0B0C0D0E0F10"],
        &["TRAM:01"],
        &["TRAM:"],
    ] {
        assert_eq!(named(uids), Err(RoleError::OfficeId), "{uids:?}");
    }
}

#[test]
fn leaves_have_exactly_their_usages_names_and_purposes() {
    let here = Country::new().here;
    let with = |plan: Plan| role(&here.issue(&plan, &Key::ed25519(4)));
    let unusable = |usages| with(Plan { usages, ..Plan::officer(HERE, 1) });
    for usages in [vec![Use::ContentCommitment], vec![Use::DigitalSignature, Use::KeyEncipherment]] {
        assert!(matches!(unusable(usages), Err(RoleError::KeyUsage { .. })));
    }
    let seal = Plan { usages: vec![Use::DigitalSignature, Use::ContentCommitment], ..Plan::office(HERE, 1) };
    assert!(matches!(with(seal), Err(RoleError::KeyUsage { .. })));
    assert_eq!(with(Plan { purposes: vec![], ..Plan::officer(HERE, 1) }), Err(RoleError::Purpose));
    let names = |value: &[u8]| {
        let extra = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], value.to_vec())];
        [Plan::office(HERE, 1), Plan::officer(HERE, 1)]
            .map(|plan| with(Plan { extra: extra.clone(), ..plan }))
    };
    assert_eq!(names(b"\x30\x05\x81\x03a@b"), [Err(RoleError::AlternativeName), Ok(Role::Officer)]);
    let [office, officer] = names(b"\x30\x03\x82\x01a");
    assert_eq!((office, officer), (Err(RoleError::AlternativeName), Err(RoleError::AlternativeName)));
    let latin = dn(&[(COUNTRY, "VN"), (PROVINCE, HERE), (COMMON, "Ti\u{309}nh"), (uid(), OFFICE_UID)]);
    assert_eq!(with(Plan { subject: latin, ..Plan::office(HERE, 1) }), Err(RoleError::SubjectText));
}

#[test]
fn alternative_directory_name_is_bound_by_the_constraint_too() {
    // An officer at home by subject, and elsewhere by its alternative name.
    let name = dn_der(THERE);
    let directory = [&[0xa4, u8::try_from(name.len()).expect("short")][..], &name].concat();
    let extra = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], wrap(&directory))];
    let country = Country::new();
    let officer = country.here.issue(&Plan { extra, ..Plan::officer(HERE, 1) }, &Key::ed25519(9));
    let verdict = judge(&country.store(&[]), &officer, day(50));
    let chain = verdict.of(Item::Chain).expect("reported");
    assert!(chain.reason.text(Language::English).contains("lies outside"), "{chain:?}");
}

#[test]
fn only_roots_that_signed_themselves_are_pinned() {
    let country = Country::new();
    assert_eq!(Anchors::new([]).expect_err("none"), AnchorError::None);
    let many = vec![country.root.der.as_slice(); ANCHORS_MAX + 1];
    assert!(matches!(Anchors::new(many), Err(AnchorError::TooMany { .. })));
    for der in [&country.here.der, &country.office, &country.officer] {
        assert!(matches!(Anchors::new([der.as_slice()]), Err(AnchorError::NotARoot { .. })));
    }
    let forged = forge(&country.root.der, &Key::ed25519(66), |_| {});
    assert!(matches!(Anchors::new([forged.as_slice()]), Err(AnchorError::NotSelfSigned { .. })));
}

#[test]
fn only_authorities_below_a_pinned_root_are_taken_in() {
    let country = Country::new();
    let mut store = TrustStore::new(Anchors::new([country.root.der.as_slice()]).expect("a root"));
    for der in [&country.root.der, &country.office, &country.officer] {
        assert!(matches!(store.add_authority(der), Err(AuthorityError::NotDelegated { .. })));
    }
    let elsewhere = Authority::root(Plan::root("Gốc lạ"), Key::ed25519(66));
    let stranger = elsewhere.below(Plan::province(HERE), Key::ed25519(67)).der;
    assert!(matches!(store.add_authority(&stranger), Err(AuthorityError::Path { .. })));
    let subject = dn(&[(COUNTRY, "VN"), (PROVINCE, HERE), (COMMON, "CA của xã")]);
    let below = country.here.issue(&Plan { subject, ..Plan::province(HERE) }, &Key::ed25519(67));
    assert!(matches!(store.add_authority(&below), Err(AuthorityError::Path { .. })));
    let forged = forge(&country.here.der, &Key::ed25519(66), |_| {});
    assert!(matches!(store.add_authority(&forged), Err(AuthorityError::Path { .. })));
    assert_eq!((store.generation(), store.authorities().count()), (0, 0), "nothing was taken in");
}
