//! What an authority refuses: each rule once.

mod ca_support;

use std::fs;

use ca_support::{
    Country, complaints, day, here, key_options, office, office_terms, officer, officer_terms,
    openssl_request, person, refusal, words,
};
use ops::ca::approval::Signed;
use ops::ca::book::{Reason, SerialNo};
use ops::ca::build;
use ops::ca::proposal::{Proposal, Terms};
use ops::ca::propose::CarriedOut;
use ops::ca::request::Request;
use ops::ca::secret::Key;
use ops::ca::{Authority, KeyKind, Opening, Passphrase, Place, Refusal, Subject};
use schema::time::Millis;

fn there() -> Place {
    Place::Province("Tỉnh Lào Cai".to_owned())
}

/// A second authority's request at the root, not approved yet.
fn proposed(country: &mut Country, at: Millis) -> Proposal {
    let key = Key::generate(KeyKind::Ed25519).expect("a key");
    let request = build::request(&Subject::authority(&there(), "CA tỉnh Lào Cai"), &key).expect("a request");
    let request = Request::parse(&request).expect("a request");
    let made = country.root.propose_authority(&there(), "CA tỉnh Lào Cai", &request, 3000, at);
    made.expect("a proposal").0
}

#[test]
fn one_person_is_not_two() {
    let mut country = Country::new(KeyKind::Ed25519);
    let proposal = proposed(&mut country, day(5));
    let sign = |key: &Key, proposal: &Proposal| Signed::sign(proposal, key, day(6)).expect("signed");
    let an = sign(&country.an.key, &proposal);
    let binh = sign(&country.binh.key, &proposal);
    let mut carry = |approvals: &[Signed]| country.root.carry_out(&proposal.id, approvals, day(7));

    assert!(matches!(refusal(carry(&[])), Refusal::TooFewApprovals { found: 0, .. }));
    assert!(matches!(refusal(carry(std::slice::from_ref(&an))), Refusal::TooFewApprovals { found: 1, .. }));
    assert!(matches!(refusal(carry(&[an.clone(), an.clone()])), Refusal::SamePerson { .. }));
    let later = Signed { approved_at: day(7), ..an.clone() };
    assert!(matches!(refusal(carry(&[later, binh.clone()])), Refusal::ForgedApproval { .. }));
    let stranger = sign(&person("Kẻ Lạ").key, &proposal);
    assert!(matches!(refusal(carry(&[an.clone(), stranger])), Refusal::UnknownApprover { .. }));

    let mut other = proposal.clone();
    if let Terms::Authority { days, .. } = &mut other.terms {
        *days += 1;
    }
    let other = sign(&country.binh.key, &other);
    assert!(matches!(
        refusal(country.root.carry_out(&proposal.id, &[an.clone(), other], day(7))),
        Refusal::OtherTerms { .. }
    ));
    let unknown = country.root.carry_out("00", &[an.clone(), binh.clone()], day(7));
    assert!(matches!(refusal(unknown), Refusal::UnknownRequest { .. }));

    let approvals = [an, binh];
    let done = country.root.carry_out(&proposal.id, &approvals, day(7)).expect("two persons");
    assert!(done.certificate().is_some(), "{done:?}");
    let again = country.root.carry_out(&proposal.id, &approvals, day(8));
    assert!(matches!(refusal(again), Refusal::RequestDone { .. }));
}

#[test]
fn who_approves_is_changed_by_two_who_approve() {
    let mut country = Country::new(KeyKind::Ed25519);
    let chi = person("Lê Thị Chi");
    let next = [country.an.approver.clone(), chi.approver.clone()];
    let (proposal, _) = country.root.propose_approvers(&next, day(5)).expect("a proposal");
    let sign = |key: &Key| Signed::sign(&proposal, key, day(6)).expect("signed");
    let with_chi = [sign(&country.an.key), sign(&chi.key)];
    let refused = refusal(country.root.carry_out(&proposal.id, &with_chi, day(7)));
    assert!(matches!(refused, Refusal::UnknownApprover { .. }), "{refused}");
    let with_binh = [sign(&country.an.key), sign(&country.binh.key)];
    assert_eq!(
        country.root.carry_out(&proposal.id, &with_binh, day(7)).expect("two persons"),
        CarriedOut::Approvers
    );

    let proposal = proposed(&mut country, day(8));
    let sign = |key: &Key| Signed::sign(&proposal, key, day(8)).expect("signed");
    let approvals = [sign(&country.an.key), sign(&country.binh.key)];
    let refused = refusal(country.root.carry_out(&proposal.id, &approvals, day(8)));
    assert!(matches!(refused, Refusal::UnknownApprover { .. }), "Bình does not approve any more: {refused}");
}

#[test]
fn a_root_needs_two_persons_from_the_first_day() {
    let folder = tempfile::tempdir().expect("a folder");
    let (an, words) = (person("Nguyễn Văn An"), words());
    let twin = person("nguyen van an");
    let mut same_key = person("Trần Thị Bình").approver;
    same_key.key.clone_from(&an.approver.key);
    for approvers in [
        vec![an.approver.clone()],
        vec![an.approver.clone(), twin.approver],
        vec![an.approver.clone(), same_key],
    ] {
        let root = folder.path().join("root");
        let options = key_options(&words, KeyKind::Ed25519);
        let made = Authority::init_root(&root, "Trạm gốc", &approvers, 20, options, day(0));
        assert!(matches!(refusal(made), Refusal::Approvers { .. }));
        assert!(!root.exists(), "something was made");
    }
}

#[test]
fn out_of_province_is_refused_when_it_is_issued() {
    let mut country = Country::new(KeyKind::Ed25519);
    for place in [there(), Place::Centre("Bộ Nội vụ".to_owned())] {
        let refused = refusal(country.province.issue(office_terms(&place, 1), day(5)));
        assert!(matches!(refused, Refusal::OutsideJurisdiction { .. }), "{refused}");
        assert!(refused.to_string().contains(ca_support::PROVINCE), "{refused}");
    }
    // A name that only begins like ours.
    let longer = Place::Province(format!("{} ", ca_support::PROVINCE).trim().to_uppercase());
    let refused = refusal(country.province.issue(office_terms(&longer, 1), day(5)));
    assert!(matches!(refused, Refusal::OutsideJurisdiction { .. }), "{refused}");
    assert_eq!(country.province.book().issued().count(), 0);
}

#[test]
fn a_request_gives_its_key_and_nothing_else() {
    let mut country = Country::new(KeyKind::Ed25519);
    let folder = tempfile::tempdir().expect("a folder");
    let request =
        openssl_request(folder.path(), &["-newkey", "ed25519"], "/C=VN/ST=Tỉnh Lào Cai/CN=Đỗ Văn Em");
    let request = Request::parse(&request).expect("a request");
    let refused = Authority::key_of(&request, &officer("Đỗ Văn Em")).expect_err("another province");
    assert!(refused.to_string().contains("ST"), "{refused:#}");

    let der = openssl_request(folder.path(), &["-newkey", "ed25519"], "/CN=Đỗ Văn Em");
    let request = Request::parse(&der).expect("a request");
    country.province.issue(officer_terms("Đỗ Văn Em", &request), day(5)).expect("issued");
    // The same key for somebody else.
    let mut theirs = officer_terms("Đỗ Văn Em", &request);
    theirs.subject = officer("Ngô Văn Khác");
    assert!(matches!(refusal(country.province.issue(theirs, day(6))), Refusal::KeyOfAnother { .. }));
    // A weak key.
    let weak = openssl_request(folder.path(), &["-newkey", "rsa:1024"], "/CN=Đỗ Văn Em");
    let refused = refusal(Request::parse(&weak));
    assert!(refused.to_string().contains("1024"), "{refused}");
}

#[test]
fn an_office_has_one_certificate_and_a_stolen_key_none() {
    let mut country = Country::new(KeyKind::Ed25519);
    let serial = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let mut second = office_terms(&here(), 1);
    second.spki = office_terms(&here(), 2).spki;
    let refused = refusal(country.province.issue(second, day(6)));
    assert!(matches!(refused, Refusal::HasCertificate { .. }), "{refused}");

    let number =
        country.province.revoke(serial, Reason::KeyCompromise, Some(day(5)), day(6)).expect("revoked");
    assert_eq!(number, 2);
    let again = country.province.revoke(serial, Reason::Superseded, None, day(7));
    assert!(matches!(refusal(again), Refusal::AlreadyRevoked { .. }));
    assert!(matches!(
        refusal(country.province.renew(serial, None, 9, None, day(7))),
        Refusal::AlreadyRevoked { .. }
    ));
    let same_key = country.province.issue(office_terms(&here(), 1), day(7));
    assert!(matches!(refusal(same_key), Refusal::CompromisedKey { .. }));
    assert!(matches!(refusal(country.province.release(serial, day(7))), Refusal::NotOnHold { .. }));
}

#[test]
fn a_key_that_is_none_for_an_office_and_times_that_cannot_be_are_refused() {
    let mut country = Country::new(KeyKind::Ed25519);
    let p256 = Key::generate(KeyKind::P256).expect("a key");
    let mut terms = office_terms(&here(), 1);
    terms.spki = p256.spki().to_vec();
    let refused = refusal(country.province.issue(terms, day(5)));
    assert!(
        matches!(refused, Refusal::NotAcceptable { .. }) && refused.to_string().contains("P-256"),
        "{refused}"
    );
    for days in [0, 3651, 99_999] {
        let mut terms = office_terms(&here(), 1);
        terms.days = days;
        assert!(matches!(refusal(country.province.issue(terms, day(5))), Refusal::Validity { .. }), "{days}");
    }
    let serial = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let future = country.province.revoke(serial, Reason::KeyCompromise, Some(day(7)), day(6));
    assert!(matches!(refusal(future), Refusal::InvalidityDate { .. }));
    let reason = country.province.revoke(serial, Reason::CaCompromise, None, day(6));
    assert!(matches!(refusal(reason), Refusal::Reason { .. }));
    let unknown: SerialNo = "35a94402816ec31035a94402816ec310".parse().expect("a number");
    let unknown = country.province.revoke(unknown, Reason::KeyCompromise, None, day(6));
    assert!(matches!(refusal(unknown), Refusal::UnknownSerial { .. }));
    let back = country.province.issue(office_terms(&here(), 2), day(4));
    assert!(matches!(refusal(back), Refusal::ClockWentBack { .. }));
}

#[test]
fn a_root_issues_to_no_office_and_nobody_issues_before_being_certified() {
    let mut country = Country::new(KeyKind::Ed25519);
    assert!(matches!(
        refusal(country.root.issue(office_terms(&here(), 1), day(5))),
        Refusal::WrongKind { .. }
    ));
    let request = fs::read(country.province.folder().join("request.csr.pem")).expect("a file");
    let request = Request::parse(&request).expect("a request");
    let wrong = country.province.propose_authority(&here(), "CA của địa phương", &request, 9, day(5));
    assert!(matches!(refusal(wrong), Refusal::WrongKind { .. }));

    let words = words();
    let folder = country.folder.path().join("lao-cai");
    let options = key_options(&words, KeyKind::Ed25519);
    let mut fresh =
        Authority::init_delegated(&folder, &there(), "CA tỉnh Lào Cai", &[], options, day(5)).expect("made");
    assert!(matches!(refusal(fresh.issue(office_terms(&there(), 1), day(5))), Refusal::NotInstalled));
    let certificate = fs::read(country.province.folder().join("ca.pem")).expect("a file");
    let root = fs::read(country.root.folder().join("ca.pem")).expect("a file");
    let error = fresh.install(&certificate, &root, day(5)).expect_err("another's certificate");
    assert!(error.to_string().contains("another key"), "{error:#}");
}

#[test]
fn a_folder_is_opened_by_one_at_a_time_with_the_right_passphrase() {
    let country = Country::new(KeyKind::Ed25519);
    let path = country.province.folder().to_owned();
    let open = |text: &str| {
        let words = Passphrase::new(text).expect("a passphrase");
        Opening::read(&path).and_then(|opening| opening.unlock(&words))
    };
    assert!(matches!(refusal(open("một hai ba bốn năm")), Refusal::Locked { .. }));
    let Country { root, province, folder, .. } = country;
    drop(province);
    assert!(matches!(refusal(open("sai mật khẩu rồi")), Refusal::WrongPassphrase { .. }));
    drop(open("một hai ba bốn năm").expect("opened"));
    // Somebody put another authority's key there.
    fs::copy(root.folder().join("ca.key"), path.join("ca.key")).expect("copied");
    assert!(matches!(refusal(open("một hai ba bốn năm")), Refusal::OtherKey { .. }));
    let used =
        Authority::init_delegated(&path, &here(), "x", &[], key_options(&words(), KeyKind::Ed25519), day(9));
    assert!(used.expect_err("a folder in use").to_string().contains("not empty"));
    drop(folder);
}

#[test]
fn nothing_that_was_refused_leaves_a_trace() {
    let mut country = Country::new(KeyKind::Ed25519);
    let lines = Opening::read(country.province.folder()).expect("a folder").journal().lines().len();
    let _ = refusal(country.province.issue(office_terms(&there(), 1), day(5)));
    let mut bad = office_terms(&here(), 1);
    bad.subject = Subject::office(&here(), "UBND\nxã", &office(1));
    assert!(matches!(refusal(country.province.issue(bad, day(5))), Refusal::Text { .. }));
    let after = Opening::read(country.province.folder()).expect("a folder").journal().lines().len();
    assert_eq!(lines, after);
    assert_eq!(complaints(country.province.folder(), day(5)), Vec::<String>::new());
}
