//! The whole life of a certificate, judged by `schema::trust` and by openssl.

mod ca_support;

use std::fs;
use std::process::Command;

use ca_support::{
    Country, certificate, complaints, day, here, office_terms, officer, officer_terms, openssl_request,
    refusal,
};
use ops::ca::book::Reason;
use ops::ca::build;
use ops::ca::minutes::{HandOver, Party};
use ops::ca::request::Request;
use ops::ca::secret::Key;
use ops::ca::{Authority, KeyKind, Opening, Place, Refusal};
use schema::time::Millis;
use schema::trust::{Certificate, Outcome, Purpose, Role};

#[test]
fn from_the_root_to_the_list_with_every_kind_of_key() {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let mut country = Country::new(kind);
        let office = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
        country.assert_valid(office, Purpose::Event, day(6));
        assert_eq!(
            country.judged(office, Purpose::Document, day(6)),
            Outcome::Invalid,
            "an office signs a document"
        );

        let folder = tempfile::tempdir().expect("a folder");
        let mut officers = Vec::new();
        for (name, newkey) in [
            ("Lê Văn Rồng", &["-newkey", "rsa:2048"][..]),
            ("Phạm Thị Phượng", &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
            ("Đỗ Văn Em", &["-newkey", "ed25519"]),
        ] {
            let request = openssl_request(folder.path(), newkey, &format!("/C=VN/CN={name}"));
            let request = Request::parse(&request).expect("a sound request");
            let serial = country.province.issue(officer_terms(name, &request), day(5)).expect("issued");
            country.assert_valid(serial, Purpose::Document, day(6));
            let der = fs::read(certificate(&country.province, serial).with_extension("der")).expect("a file");
            let parsed = Certificate::parse(&der).expect("a certificate");
            assert_eq!(
                schema::trust::profile::role_of(&parsed),
                Ok(Role::Officer),
                "it became what it asked for"
            );
            officers.push(serial);
        }

        let renewed = country.province.renew(office, None, 900, None, day(7)).expect("renewed");
        assert_ne!(renewed, office);
        country.assert_valid(renewed, Purpose::Event, day(8));
        let key = Key::generate(KeyKind::Ed25519).expect("a key");
        let request = build::request(&officer("Đỗ Văn Em"), &key).expect("a request");
        let request = Request::parse(&request).expect("a request");
        let rekeyed =
            country.province.renew(officers[2], Some(&request), 900, None, day(7)).expect("renewed");
        country.assert_valid(rekeyed, Purpose::Document, day(8));

        let before = country.province.book().newest_list().expect("a list").number;
        let number = country
            .province
            .revoke(officers[0], Reason::KeyCompromise, Some(day(6)), day(9))
            .expect("revoked");
        assert_eq!(number, before + 1, "the number of the list rises");
        assert_eq!(country.judged(officers[0], Purpose::Document, day(9)), Outcome::Invalid);
        assert_eq!(
            country.judged(officers[0], Purpose::Document, day(5)),
            Outcome::Valid,
            "before the theft"
        );
        let (taken, told) = country.openssl(officers[0], day(10));
        assert!(!taken && told.contains("revoked"), "openssl: {told}");
        country.assert_valid(officers[1], Purpose::Document, day(10));

        country.province.revoke(officers[1], Reason::CertificateHold, None, day(11)).expect("on hold");
        assert_eq!(country.judged(officers[1], Purpose::Document, day(12)), Outcome::Undetermined);
        country.province.release(officers[1], day(12)).expect("released");
        country.assert_valid(officers[1], Purpose::Document, day(13));

        for authority in [&country.root, &country.province] {
            assert_eq!(complaints(authority.folder(), day(13)), Vec::<String>::new());
        }
        let opening = Opening::read(country.province.folder()).expect("a folder");
        let counts = opening.counts(day(13)).expect("counts");
        assert_eq!((counts.issued, counts.revoked, counts.expired, counts.in_use), (6, 1, 0, 5));
        assert!(counts.reconcile);
        let counts = opening.counts(day(2000)).expect("counts");
        assert_eq!((counts.issued, counts.revoked, counts.expired, counts.in_use), (6, 1, 5, 0));
        assert!(counts.reconcile);
    }
}

#[test]
fn an_authority_is_renewed_by_two_persons_and_goes_on_with_its_key() {
    let mut country = Country::new(KeyKind::Ed25519);
    let office = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let first = country.province.book().own_not_after_s();
    country.certify(&here(), day(400));
    assert!(country.province.book().own_not_after_s() > first, "it does not count longer");
    country.root.list(None, day(410)).expect("a list");
    country.province.list(None, day(410)).expect("a list");
    country.assert_valid(office, Purpose::Event, day(411));
    let next = country.province.issue(office_terms(&here(), 2), day(411)).expect("issued");
    country.assert_valid(next, Purpose::Event, day(412));
    for authority in [&country.root, &country.province] {
        assert_eq!(complaints(authority.folder(), day(412)), Vec::<String>::new());
    }
}

#[test]
fn the_centre_certifies_its_own_and_no_province() {
    let centre = Place::Centre("Văn phòng Chính phủ".to_owned());
    let mut country = Country::of(&centre, KeyKind::Ed25519);
    let office = country.province.issue(office_terms(&centre, 1), day(5)).expect("issued");
    country.assert_valid(office, Purpose::Event, day(6));
    let refused = refusal(country.province.issue(office_terms(&here(), 2), day(6)));
    assert!(matches!(refused, Refusal::OutsideJurisdiction { .. }), "{refused}");
}

#[test]
fn an_authority_that_the_root_revokes_takes_everything_below_it_along() {
    let mut country = Country::new(KeyKind::Ed25519);
    let office = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let serial = country.root.book().issued().next().expect("the province").words.serial;
    country.root.revoke(serial, Reason::CaCompromise, None, day(9)).expect("revoked");
    assert_ne!(country.judged(office, Purpose::Event, day(10)), Outcome::Valid);
    let (taken, told) = country.openssl(office, day(10));
    assert!(!taken && told.contains("revoked"), "openssl: {told}");
    assert_eq!(country.judged(office, Purpose::Event, day(8)), Outcome::Valid, "before the theft");
}

#[test]
fn openssl_reads_every_file_and_opens_every_key() {
    let country = Country::new(KeyKind::P256);
    let folder = country.province.folder();
    let words = country.folder.path().join("words");
    fs::write(&words, "một hai ba bốn năm\n").expect("a file");
    let pass = format!("file:{}", words.display());
    let runs = |arguments: &[&str], file: &str| {
        let output =
            Command::new("openssl").args(arguments).arg(folder.join(file)).output().expect("openssl");
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    };
    runs(&["req", "-verify", "-noout", "-in"], "request.csr.pem");
    runs(&["x509", "-noout", "-in"], "ca.pem");
    runs(&["x509", "-noout", "-in"], "root.pem");
    runs(&["crl", "-noout", "-in"], "lists/list.pem");
    runs(&["crl", "-inform", "DER", "-noout", "-in"], "lists/1.der");
    runs(&["pkey", "-noout", "-passin", &pass, "-in"], "ca.key");
}

#[test]
fn ends_are_warned_about_60_30_and_7_days_before_and_offices_that_lack_something_are_named() {
    let mut country = Country::new(KeyKind::Ed25519);
    let mut terms = office_terms(&here(), 1);
    terms.days = 100;
    let serial = country.province.issue(terms, day(10)).expect("issued");
    let threshold = |now| {
        let opening = Opening::read(country.province.folder()).expect("a folder");
        let warnings = opening.warnings(now);
        warnings.into_iter().find(|warning| warning.serial == Some(serial)).map(|w| w.threshold_days)
    };
    assert_eq!(threshold(day(49)), None);
    assert_eq!(threshold(day(51)), Some(60));
    assert_eq!(threshold(day(79)), Some(60));
    assert_eq!(threshold(day(81)), Some(30));
    assert_eq!(threshold(day(104)), Some(7));
    assert_eq!(threshold(day(111)), None, "it is over: counted as expired");

    let needs = |country: &Country, now| {
        let opening = Opening::read(country.province.folder()).expect("a folder");
        let needs = opening.needs(None, now).into_iter().filter(|need| need.office.is_some());
        needs.map(|need| need.what).collect::<Vec<_>>()
    };
    assert_eq!(needs(&country, day(20)), Vec::<String>::new());
    assert!(needs(&country, day(90))[0].contains("expires in"), "{:?}", needs(&country, day(90)));
    assert!(needs(&country, day(120))[0].contains("expired"), "{:?}", needs(&country, day(120)));
    country.province.renew(serial, None, 365, None, day(90)).expect("renewed");
    assert_eq!(needs(&country, day(90)), Vec::<String>::new());
    let opening = Opening::read(country.province.folder()).expect("a folder");
    assert!(opening.warnings(day(90)).iter().all(|warning| warning.serial.is_none()), "it was renewed");
}

#[test]
fn the_authority_itself_and_its_list_are_warned_about_and_needed_too() {
    let mut country = Country::new(KeyKind::Ed25519);
    // Installed on day 4 with a first list for 35 days; certified on day 3 for 3650.
    let (listed, certified) = (4 + 35, 3 + 3650);
    let about = |authority: &Authority, words: &str, now| {
        let opening = Opening::read(authority.folder()).expect("a folder");
        let warning = opening.warnings(now).into_iter().find(|warning| warning.subject.contains(words));
        let needs = opening.needs(None, now);
        let needed = needs.iter().any(|need| need.name.contains(words) && need.office.is_none());
        assert_eq!(warning.is_some(), needed, "{words}: warned about, or needed, and not the other");
        warning.map(|warning| (warning.threshold_days, warning.urgent))
    };
    for (before, expected) in [
        (15, None),
        (14, Some((14, false))),
        (8, Some((14, false))),
        (7, Some((7, false))),
        (3, Some((7, false))),
        (2, Some((2, true))),
        (1, Some((2, true))),
    ] {
        let now = day(listed - before).plus(Millis::SECOND);
        assert_eq!(about(&country.province, "revocation list", now), expected, "{before} days before");
    }
    assert_eq!(about(&country.province, "revocation list", day(listed + 1)), Some((0, true)));
    country.province.list(None, day(30)).expect("a list");
    assert_eq!(about(&country.province, "revocation list", day(listed)), None, "a newer list is there");

    for (before, expected) in
        [(62, None), (59, Some((60, false))), (29, Some((30, false))), (6, Some((7, true)))]
    {
        let now = day(certified - before);
        assert_eq!(about(&country.province, "this authority itself", now), expected, "{before} days before");
        // The root needs to renew it.
        let serial = country.root.book().issued().next().expect("the province").words.serial;
        let opening = Opening::read(country.root.folder()).expect("a folder");
        let warning = opening.warnings(now).into_iter().find(|warning| warning.serial == Some(serial));
        assert_eq!(warning.map(|w| (w.threshold_days, w.urgent)), expected, "at the root");
        let needed = opening.needs(None, now).iter().any(|need| need.name.contains("CA của địa phương"));
        assert_eq!(needed, expected.is_some(), "at the root");
    }
    assert_eq!(about(&country.province, "this authority itself", day(certified + 1)), Some((0, true)));
    let ends = day(1 + 20 * 365 - 30);
    assert_eq!(about(&country.root, "this authority itself", ends), Some((30, false)));
}

#[test]
fn an_authority_without_a_certificate_says_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, words) = (folder.path().join("ca"), ca_support::words());
    let options = ca_support::key_options(&words, KeyKind::Ed25519);
    Authority::init_delegated(&path, &here(), "CA của tỉnh", &[], options, day(0)).expect("made");
    let needs = Opening::read(&path).expect("a folder").needs(None, day(1));
    assert!(needs.len() == 1 && needs[0].what.contains("tram ca install"), "{needs:?}");
}

#[test]
fn minutes_say_who_hands_over_what_and_hide_the_citizen_number() {
    let mut country = Country::new(KeyKind::Ed25519);
    let folder = tempfile::tempdir().expect("a folder");
    let request = openssl_request(folder.path(), &["-newkey", "ed25519"], "/CN=Đỗ Văn Em");
    let request = Request::parse(&request).expect("a request");
    let serial = country.province.issue(officer_terms("Đỗ Văn Em", &request), day(5)).expect("issued");
    let party = |name: &str| Party {
        name: name.to_owned(),
        position: "Văn thư".to_owned(),
        office: "UBND xã Cẩm Khê".to_owned(),
    };
    let what = HandOver {
        from: party("Hoàng Thị Giao"),
        to: party("Vũ Thị Nhận"),
        place: "trụ sở UBND xã Cẩm Khê".to_owned(),
        device: "USB token số 0123".to_owned(),
        state: "hoạt động bình thường".to_owned(),
    };
    let path = country.province.hand_over(serial, &what, day(6)).expect("minutes");
    let text = fs::read_to_string(&path).expect("a file");
    for wanted in [
        "BIÊN BẢN BÀN GIAO",
        "Hoàng Thị Giao",
        "Vũ Thị Nhận",
        "USB token số 0123",
        &serial.to_string(),
        "07 tháng 01",
    ] {
        assert!(text.contains(wanted), "`{wanted}` is missing:\n{text}");
    }
    assert!(!text.contains("001099012345"), "the citizen number is shown");
    assert_eq!(complaints(country.province.folder(), day(6)), Vec::<String>::new());
    fs::write(&path, text.replace("0123", "9999")).expect("changed");
    assert_eq!(complaints(country.province.folder(), day(6)).len(), 1, "changed minutes pass");
}
