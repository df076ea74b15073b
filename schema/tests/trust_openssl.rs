//! The same chains before us and before `openssl verify`: whatever we take, openssl takes too, and where we
//! are stricter the reason is written down here.
//!
//! openssl never compares a revocation date with the time it is asked about, so every case is asked at a
//! moment at which its lists count; dates of revocation have tests of their own.

mod trust_country;

use std::fs;
use std::path::Path;
use std::process::Command;

use rcgen::CustomExtension;
use schema::trust::profile::PURPOSE_OFFICER;
use schema::trust::{Anchors, Outcome, Purpose, SigningTime, TrustStore};
use trust_country::{
    Authority, COMMON, COUNTRY, Country, HERE, Key, OFFICE_SERIAL, PROVINCE, Plan, Revoked, THERE, Use, Why,
    day, dn, extension, field, find, forge, openssl_is_here, pem, with_extensions,
};

/// At which every list of a case counts.
const ASKED_ON: u64 = 110;

/// One question to both.
struct Case {
    name: &'static str,
    leaf: Vec<u8>,
    purpose: Purpose,
    authorities: Vec<Vec<u8>>,
    lists: Vec<Vec<u8>>,
    asked_on: u64,
}

fn openssl_takes(folder: &Path, root: &[u8], case: &Case) -> (bool, String) {
    let write = |name: &str, label: &str, ders: &[Vec<u8>]| {
        let file = folder.join(name);
        fs::write(&file, ders.iter().map(|der| pem(label, der)).collect::<String>()).expect("a file");
        file
    };
    let root = write("root.pem", "CERTIFICATE", &[root.to_vec()]);
    let untrusted = write("authorities.pem", "CERTIFICATE", &case.authorities);
    let leaf = write("leaf.pem", "CERTIFICATE", std::slice::from_ref(&case.leaf));
    let mut command = Command::new("openssl");
    command.args(["verify", "-x509_strict", "-crl_check_all", "-auth_level", "2", "-attime"]);
    command.arg((day(case.asked_on).0 / 1000).to_string());
    command.arg("-CAfile").arg(root).arg("-untrusted").arg(untrusted);
    if !case.lists.is_empty() {
        command.arg("-CRLfile").arg(write("lists.pem", "X509 CRL", &case.lists));
    }
    let output = command.arg(leaf).output().expect("openssl runs");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), told)
}

fn we_take(root: &[u8], case: &Case) -> Outcome {
    let mut store = TrustStore::new(Anchors::new([root]).expect("a root"));
    for authority in &case.authorities {
        let _ = store.add_authority(authority);
    }
    for list in &case.lists {
        let _ = store.add_list(list);
    }
    let time = SigningTime::proven(day(case.asked_on));
    store.judge(&case.leaf, case.purpose, &time, day(case.asked_on)).outcome()
}

/// Cases that we refuse and openssl takes, each with what it lets pass.
const ONLY_OPENSSL_TAKES: [(&str, &str); 15] = [
    ("empty extended key usage", "openssl takes no purpose for any purpose"),
    ("office key that is not Ed25519", "which key a node has is ours to say"),
    ("officer key asked to sign an event", "openssl was not asked about our purposes"),
    ("office with a key for key agreement too", "openssl was not asked about usages"),
    ("office without a purpose", "openssl was not asked about our purposes"),
    ("office without its id", "a name of ours"),
    ("office with two purposes", "openssl was not asked about our purposes"),
    ("office below the root itself", "who issues what is ours to say"),
    ("authority with room for authorities", "path length 0 is ours to say"),
    ("authority without a constraint", "a jurisdiction is ours to demand"),
    ("authority named in another province", "constraints do not bind the authority's own name"),
    ("authority for documents asked about an event", "openssl was not asked about our purposes"),
    ("key usage that is not critical", "RFC 5280 only recommends it"),
    ("province in another case", "openssl folds case; two spellings of one province are two names to us"),
    ("country as UTF8String", "openssl folds string types"),
];

fn certificates(country: &Country) -> Vec<(&'static str, Vec<u8>, Purpose)> {
    let here = &country.here;
    let issue = |plan: &Plan, key: &Key| here.issue(plan, key);
    let office = || Plan::office(HERE, OFFICE_SERIAL);
    let key = Key::ed25519(4);
    let good = &country.office;
    let mut cases = vec![
        ("good office", good.clone(), Purpose::Event),
        ("good officer, P-256", country.officer.clone(), Purpose::Document),
        ("good officer, Ed25519", issue(&Plan::officer(HERE, 30), &Key::ed25519(9)), Purpose::Document),
        ("good officer, P-384", issue(&Plan::officer(HERE, 31), &Key::p384()), Purpose::Document),
        (
            "good officer, RSA-2048",
            issue(&Plan::officer(HERE, 32), &Key::rsa_2048(&rcgen::PKCS_RSA_SHA256)),
            Purpose::Document,
        ),
        ("RSA-1024", issue(&Plan::officer(HERE, 33), &Key::rsa_1024()), Purpose::Document),
        ("office key that is not Ed25519", issue(&office(), &Key::p256()), Purpose::Event),
        ("officer key asked to sign an event", country.officer.clone(), Purpose::Event),
        ("expired", issue(&Plan { until: day(50), ..office() }, &key), Purpose::Event),
        ("not yet valid", issue(&Plan { from: day(200), ..office() }, &key), Purpose::Event),
        ("out of province", country.there.issue(&office(), &key), Purpose::Event),
        (
            "good office of the other province",
            country.there.issue(&Plan::office(THERE, 1), &key),
            Purpose::Event,
        ),
        (
            "province in another case",
            issue(&Plan::office(&HERE.replacen('T', "t", 1), 1), &key),
            Purpose::Event,
        ),
        ("office without a purpose", issue(&Plan { purposes: vec![], ..office() }, &key), Purpose::Event),
        ("office below the root itself", country.root.issue(&office(), &key), Purpose::Event),
        (
            "office with two purposes",
            issue(
                &Plan { purposes: vec![schema::trust::profile::PURPOSE_OFFICE, PURPOSE_OFFICER], ..office() },
                &key,
            ),
            Purpose::Event,
        ),
        (
            "office with a key for key agreement too",
            issue(&Plan { usages: vec![Use::DigitalSignature, Use::KeyAgreement], ..office() }, &key),
            Purpose::Event,
        ),
        (
            "office without its id",
            issue(
                &Plan { subject: dn(&[(COUNTRY, "VN"), (PROVINCE, HERE), (COMMON, "UBND xã")]), ..office() },
                &key,
            ),
            Purpose::Event,
        ),
        (
            "no authority key identifier",
            issue(&Plan { names_its_issuer: false, ..office() }, &key),
            Purpose::Event,
        ),
        ("signed by another key", forge(good, &Key::ed25519(66), |_| {}), Purpose::Event),
    ];
    let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![0x05, 0x00]);
    cases.push((
        "unknown extension",
        issue(&Plan { extra: vec![unknown.clone()], ..office() }, &key),
        Purpose::Event,
    ));
    unknown.set_criticality(true);
    cases.push((
        "unknown critical extension",
        issue(&Plan { extra: vec![unknown], ..office() }, &key),
        Purpose::Event,
    ));
    let signer = &here.key;
    cases.push((
        "key usage that is not critical",
        with_extensions(good, signer, |list| {
            find(list, b"\x55\x1d\x0f").members().remove(1);
        }),
        Purpose::Event,
    ));
    cases.push((
        "duplicate extension",
        with_extensions(good, signer, |list| {
            let copy = find(list, b"\x55\x1d\x0f").clone();
            list.push(copy);
        }),
        Purpose::Event,
    ));
    cases.push((
        "empty extended key usage",
        with_extensions(good, signer, |list| {
            *find(list, b"\x55\x1d\x25") = extension(b"\x55\x1d\x25", false, vec![0x30, 0x00]);
        }),
        Purpose::Event,
    ));
    cases.push((
        "country as UTF8String",
        forge(good, signer, |members| {
            let subject = members[0].members()[field::SUBJECT].members();
            let country = &mut subject[0].members()[0].members()[1];
            *country = trust_country::Node::Leaf(0x0c, b"VN".to_vec());
        }),
        Purpose::Event,
    ));
    cases
}

#[test]
fn what_we_take_openssl_takes_and_where_we_are_stricter_is_known() {
    if !openssl_is_here() {
        return;
    }
    let country = Country::new();
    let folder = tempfile::tempdir().expect("a folder");
    let clean = |authority: &Authority| authority.list(1, day(100), day(130), &[]);
    let lists = || vec![clean(&country.root), clean(&country.here), clean(&country.there)];
    let authorities = || vec![country.here.der.clone(), country.there.der.clone()];
    let mut cases: Vec<Case> = Vec::new();
    for (name, leaf, purpose) in certificates(&country) {
        cases.push(Case {
            name,
            leaf,
            purpose,
            authorities: authorities(),
            lists: lists(),
            asked_on: ASKED_ON,
        });
    }
    let mut case = |name, authority: Option<Authority>, lists: Vec<Vec<u8>>, asked_on| {
        let leaf = match &authority {
            Some(authority) => authority.issue(&Plan::office(HERE, OFFICE_SERIAL), &Key::ed25519(4)),
            None => country.office.clone(),
        };
        let authorities = vec![authority.map_or_else(|| country.here.der.clone(), |authority| authority.der)];
        cases.push(Case { name, leaf, purpose: Purpose::Event, authorities, lists, asked_on });
    };
    let below = |plan| Some(country.root.below(plan, Key::ed25519(2)));
    let province = || Plan::province(HERE);
    case("authority expired", below(Plan { until: day(50), ..province() }), lists(), ASKED_ON);
    case(
        "authority without keyCertSign",
        below(Plan { usages: vec![Use::CrlSign], ..province() }),
        lists(),
        ASKED_ON,
    );
    case(
        "authority that is none",
        below(Plan { ca: None, jurisdiction: None, ..province() }),
        lists(),
        ASKED_ON,
    );
    case(
        "authority with room for authorities",
        below(Plan { ca: Some(Some(1)), ..province() }),
        lists(),
        ASKED_ON,
    );
    case(
        "authority without a constraint",
        below(Plan { jurisdiction: None, ..province() }),
        lists(),
        ASKED_ON,
    );
    let purposes = vec![PURPOSE_OFFICER];
    case(
        "authority for documents asked about an event",
        below(Plan { purposes, ..province() }),
        lists(),
        ASKED_ON,
    );
    let subject = dn(&[(COUNTRY, "VN"), (PROVINCE, THERE), (COMMON, "CA của tỉnh khác")]);
    let misnamed = country.root.below(Plan { subject, ..province() }, Key::ed25519(2));
    let misnamed_lists = vec![clean(&country.root), clean(&misnamed)];
    case("authority named in another province", Some(misnamed), misnamed_lists, ASKED_ON);

    let stolen = |serial, why| [Revoked::new(serial, day(90), why)];
    let with = |authority: &Authority, revoked: &[Revoked]| authority.list(1, day(100), day(130), revoked);
    for (name, why) in [
        ("revoked, key compromise", Why::KeyCompromise),
        ("revoked, superseded", Why::Superseded),
        ("revoked, on hold", Why::CertificateHold),
    ] {
        let list = with(&country.here, &stolen(OFFICE_SERIAL, why));
        case(name, None, vec![clean(&country.root), list], ASKED_ON);
    }
    let list = with(&country.root, &stolen(100, Why::CaCompromise));
    case("authority revoked", None, vec![list, clean(&country.here)], ASKED_ON);
    case(
        "another one revoked",
        None,
        vec![clean(&country.root), with(&country.here, &stolen(5, Why::KeyCompromise))],
        ASKED_ON,
    );
    case("no list", None, Vec::new(), ASKED_ON);
    case("no list of the root", None, vec![clean(&country.here)], ASKED_ON);
    case("stale lists", None, lists(), 131);
    let imposter = Authority { plan: province(), key: Key::ed25519(66), der: Vec::new() };
    case("list by another key", None, vec![clean(&country.root), clean(&imposter)], ASKED_ON);

    let (mut agreed, mut stricter) = ((0, 0), Vec::new());
    for case in &cases {
        let (openssl, told) = openssl_takes(folder.path(), &country.root.der, case);
        match (we_take(&country.root.der, case), openssl) {
            (Outcome::Valid, true) => agreed.0 += 1,
            (Outcome::Valid, false) => panic!("only we take `{}`; openssl says: {told}", case.name),
            (Outcome::Invalid | Outcome::Undetermined, false) => agreed.1 += 1,
            (Outcome::Invalid | Outcome::Undetermined, true) => stricter.push(case.name),
        }
    }
    let mut expected: Vec<&str> = ONLY_OPENSSL_TAKES.iter().map(|(name, _)| *name).collect();
    expected.sort_unstable();
    stricter.sort_unstable();
    assert_eq!(stricter, expected);
    assert_eq!(agreed, (8, 19), "a case was added or lost");
}

/// SHA-1 and RSA-1024 in earnest: certificates that openssl itself has made, below a root of its own.
#[test]
fn old_algorithms_made_by_openssl_are_refused() {
    if !openssl_is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, words) in [
        (["-newkey", "rsa:2048", "-sha1"], "SHA-1 with RSA"),
        (["-newkey", "rsa:2048", "-md5"], "MD5 with RSA"),
        (["-newkey", "rsa:1024", "-sha256"], "1024 bits"),
        (["-newkey", "rsa:2048", "-sha256"], ""),
    ] {
        let file = folder.path().join("certificate.der");
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "30", "-subj", "/C=VN/CN=thu", "-outform", "DER"]);
        command.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        command.args(arguments).arg("-keyout").arg(folder.path().join("key.pem")).arg("-out").arg(&file);
        let output = command.output().expect("openssl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let der = fs::read(&file).expect("a certificate");
        match schema::trust::Certificate::parse(&der) {
            Err(error) => assert!(!words.is_empty() && error.to_string().contains(words), "{error}"),
            // The last one shows that the others are refused for their algorithm and nothing else.
            Ok(_) => assert_eq!(words, "", "{arguments:?} passed"),
        }
    }
}
