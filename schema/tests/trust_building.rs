//! Several ways up: beside a good certificate of an authority lies a bad one of the same name, as after a
//! renewal, a cross-certification or an attack. The good way must be found in whatever order they came, and
//! the bad one must not be taken.
//!
//! `openssl verify` takes the first fitting issuer and does not look back, so it is asked about each of the
//! two certificates alone: what we take with both, it must take with one.

mod trust_country;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::PublicKeyData;
use schema::trust::path::{Authorities, Links, find_paths};
use schema::trust::profile::{PURPOSE_OFFICER, role_of};
use schema::trust::verdict::Standing;
use schema::trust::{Certificate, Outcome, Purpose, RevocationList, Revocations, SigningTime};
use trust_country::raw::{
    Draft, Holder, authority_key, base, basic, common, constraints, country, key_identifier, list_number,
    name, oid, province, purposes, time, uid, usage,
};
use trust_country::{HERE, Key, THERE, day, extension, openssl_is_here, pem};

const GOOD_SERIAL: u8 = 1;
const BAD_SERIAL: u8 = 2;
const ASKED_ON: u64 = 110;

fn serial(last: u8) -> Vec<u8> {
    vec![0x35, 0xa9, 0x44, last]
}

/// What may be wrong with the other certificate of the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    Expired,
    NotYetValid,
    Superseded,
    Lost,
    OfAnotherPlace,
    PathLength,
    NoAuthority,
    MayNotSign,
    UnknownCritical,
    Excludes,
    OtherKey,
    OtherRoot,
    NamesAnotherIssuer,
    OtherPurpose,
}

const ALL: [Bad; 14] = [
    Bad::Expired,
    Bad::NotYetValid,
    Bad::Superseded,
    Bad::Lost,
    Bad::OfAnotherPlace,
    Bad::PathLength,
    Bad::NoAuthority,
    Bad::MayNotSign,
    Bad::UnknownCritical,
    Bad::Excludes,
    Bad::OtherKey,
    Bad::OtherRoot,
    Bad::NamesAnotherIssuer,
    Bad::OtherPurpose,
];

/// Where the authority with two certificates stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// root > doubled > leaf
    Short,
    /// root > doubled > authority > leaf
    Upper,
    /// root > authority > doubled > leaf
    Lower,
}

fn subject(called: &str) -> trust_country::Node {
    name(vec![country(), province(HERE), common(called)])
}

/// Everything a judge is given.
struct Scene {
    root: Vec<u8>,
    /// The doubled authority's certificates.
    good: Vec<u8>,
    bad: Vec<u8>,
    /// The other authority, if there is one.
    other: Option<Vec<u8>>,
    leaf: Vec<u8>,
    lists: Vec<Vec<u8>>,
}

impl Scene {
    fn new(shape: Shape, bad: Bad) -> Self {
        let root = Holder::root(&Draft::authority(subject("Gốc"), None), Key::ed25519(1));
        let between = Draft::authority(subject("Ở giữa"), None).numbered(9);
        let above = (shape == Shape::Lower).then(|| root.below(&between, Key::ed25519(3)));
        let issuer = above.as_ref().unwrap_or(&root);

        let draft = Draft::authority(subject("Hai giấy"), None);
        let doubled = issuer.below(&draft.clone().numbered(GOOD_SERIAL), Key::ed25519(2));
        let bad_draft = draft.numbered(BAD_SERIAL);
        let (wrong_root, wrong_key) =
            (Holder::root(&Draft::authority(subject("Gốc"), None), Key::ed25519(77)), Key::ed25519(78));
        let key = &doubled.key;
        let bad_der = match bad {
            Bad::Expired => issuer.issue(&Draft { until: time(day(50)), ..bad_draft }, key),
            Bad::NotYetValid => issuer.issue(&Draft { from: time(day(200)), ..bad_draft }, key),
            Bad::Superseded | Bad::Lost => issuer.issue(&bad_draft, key),
            Bad::OfAnotherPlace => issuer.issue(&bad_draft.with(constraints(vec![base(THERE)], vec![])), key),
            // Only an authority between makes it too long.
            Bad::PathLength => issuer.issue(&bad_draft.instead(basic(true, Some(0))), key),
            Bad::NoAuthority => issuer.issue(&bad_draft.without(oid::BASIC), key),
            Bad::MayNotSign => issuer.issue(&bad_draft.instead(usage(1, 0b0000_0010)), key),
            Bad::UnknownCritical => issuer.issue(
                &bad_draft.with(extension(b"\x2b\x06\x01\x04\x01\x86\x8d\x1f\x01", true, vec![5, 0])),
                key,
            ),
            Bad::Excludes => issuer.issue(&bad_draft.with(constraints(vec![], vec![base(HERE)])), key),
            Bad::OtherKey => issuer.issue(&bad_draft, &wrong_key),
            Bad::OtherRoot => wrong_root.issue(&bad_draft, key),
            Bad::NamesAnotherIssuer => {
                let spki = trust_country::Node::parse(&wrong_key.subject_public_key_info()).encode();
                let mut draft = bad_draft.with(authority_key(&key_identifier(&spki)));
                draft.names_its_issuer = false;
                issuer.issue(&draft, key)
            }
            Bad::OtherPurpose => issuer.issue(&bad_draft.with(purposes(&[PURPOSE_OFFICER])), key),
        };
        let below = (shape == Shape::Upper).then(|| doubled.below(&between, Key::ed25519(3)));
        let draft = Draft::leaf(name(vec![country(), province(HERE), common("UBND xã"), uid()]));
        let leaf = below.as_ref().unwrap_or(&doubled).issue(&draft, &Key::ed25519(4));

        let revoked = serial(BAD_SERIAL);
        let revoked: &[&[u8]] = &[&revoked];
        let named = |holder: &Holder| {
            let names_it = matches!(bad, Bad::Superseded | Bad::Lost) && holder.name == issuer.name;
            // A list that gives no reason means the worst one.
            let why = if bad == Bad::Superseded { Some(4) } else { None };
            holder.list_with_reason(if names_it { revoked } else { &[] }, why, Some(list_number(1, false)))
        };
        let holders = [Some(&root), Some(&doubled), above.as_ref(), below.as_ref()];
        let lists = holders.into_iter().flatten().map(named).collect();
        let other = above.or(below).map(|holder| holder.der);
        Self { root: root.der, good: doubled.der.clone(), bad: bad_der, other, leaf, lists }
    }

    fn we_say(&self, doubled: &[&Vec<u8>]) -> Outcome {
        let (mut anchors, mut authorities) = (Authorities::default(), Authorities::default());
        anchors.insert(Certificate::parse(&self.root).expect("a root").into());
        for der in doubled.iter().copied().chain(&self.other) {
            // What nobody may use is not held.
            if let Ok(certificate) = Certificate::parse(der) {
                authorities.insert(certificate.into());
            }
        }
        let leaf = Certificate::parse(&self.leaf).expect("a leaf");
        let paths = find_paths(&leaf, &authorities, &anchors, &mut Links::default());
        let standing = Standing::new(&leaf, Some(role_of(&leaf)), paths, &|issuer| {
            let mut held = Revocations::default();
            for list in self.lists.iter().map(|der| RevocationList::parse(der).expect("a list")) {
                let _ = held.admit(&list, issuer);
            }
            Some(Arc::new(held))
        });
        let time = SigningTime::proven(day(ASKED_ON));
        standing.judge(Purpose::Event, &time, day(ASKED_ON)).outcome()
    }

    fn openssl_takes(&self, folder: &Path, doubled: &[u8]) -> bool {
        let write = |name: &str, label: &str, ders: &[&[u8]]| {
            let file = folder.join(name);
            fs::write(&file, ders.iter().map(|der| pem(label, der)).collect::<String>()).expect("a file");
            file
        };
        let authorities: Vec<&[u8]> = [doubled].into_iter().chain(self.other.as_deref()).collect();
        let lists: Vec<&[u8]> = self.lists.iter().map(Vec::as_slice).collect();
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-crl_check_all", "-attime"]);
        command.arg((day(ASKED_ON).0 / 1000).to_string());
        command.arg("-CAfile").arg(write("root.pem", "CERTIFICATE", &[&self.root]));
        command.arg("-untrusted").arg(write("authorities.pem", "CERTIFICATE", &authorities));
        command.arg("-CRLfile").arg(write("lists.pem", "X509 CRL", &lists));
        command.arg(write("leaf.pem", "CERTIFICATE", &[&self.leaf]));
        command.output().expect("openssl runs").status.success()
    }
}

#[test]
fn the_good_way_is_found_and_the_bad_one_is_not_taken() {
    if !openssl_is_here() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut only_openssl = Vec::new();
    for shape in [Shape::Short, Shape::Upper, Shape::Lower] {
        for bad in ALL {
            let scene = Scene::new(shape, bad);
            let case = format!("{shape:?}, {bad:?}");
            assert_eq!(scene.we_say(&[&scene.good]), Outcome::Valid, "{case}: the good one alone");
            assert!(scene.openssl_takes(folder.path(), &scene.good), "{case}: openssl, the good one alone");
            // Path length 0 is no fault where no other authority lies below.
            let harmless = bad == Bad::PathLength && shape != Shape::Upper;
            let alone = scene.we_say(&[&scene.bad]);
            assert_eq!(alone == Outcome::Valid, harmless, "{case}: the bad one alone is {alone:?}");
            if scene.openssl_takes(folder.path(), &scene.bad) != harmless {
                only_openssl.push(case.clone());
            }
            // A lost key is lost: the other certificate of it does not help.
            let expected = if bad == Bad::Lost { Outcome::Undetermined } else { Outcome::Valid };
            for both in [[&scene.good, &scene.bad], [&scene.bad, &scene.good]] {
                assert_eq!(scene.we_say(&both), expected, "{case}: both");
            }
        }
    }
    assert_eq!(only_openssl, ONLY_OPENSSL_TAKES);
}

/// openssl was not asked about our purposes.
const ONLY_OPENSSL_TAKES: [&str; 3] = ["Short, OtherPurpose", "Upper, OtherPurpose", "Lower, OtherPurpose"];
