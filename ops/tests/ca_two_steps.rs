//! What needs a second person: who approves is signed by all on the first day; an authority with approvers issues,
//! renews, revokes and releases only what one of them signed; the journal shows it.

mod ca_support;

use std::fs;

use ca_support::{
    Country, Person, certificate, complaints, day, here, key_options, office_terms, officer, openssl_request,
    person, refusal, sign_founding, words,
};
use ops::ca::approval::Signed;
use ops::ca::book::{Act, Reason, SerialNo};
use ops::ca::journal::Journal;
use ops::ca::proposal::{FOUNDING, Proposal, ProposalFile, Terms};
use ops::ca::propose::CarriedOut;
use ops::ca::request::Request;
use ops::ca::secret::Key;
use ops::ca::{Authority, KeyKind, LeafTerms, Opening, Refusal};
use schema::time::Millis;
use schema::trust::{Outcome, Purpose};

fn sign(proposal: &Proposal, person: &Person, at: Millis) -> Signed {
    Signed::sign(proposal, &person.key, at).expect("signed")
}

/// A country whose province has an approver, named later than it began.
fn with_an_approver(kind: KeyKind) -> (Country, Person) {
    let mut country = Country::new(kind);
    let dung = person("Phạm Thị Dung");
    let approvers = std::slice::from_ref(&dung.approver);
    let (proposal, _) = country.province.propose_approvers(approvers, day(4)).expect("a proposal");
    let approvals = [sign(&proposal, &dung, day(4))];
    let done = country.province.carry_out(&proposal.id, &approvals, day(4)).expect("she agrees");
    assert_eq!(done, CarriedOut::Approvers);
    (country, dung)
}

fn issued(country: &mut Country, dung: &Person, terms: LeafTerms, at: Millis) -> SerialNo {
    let (proposal, _) = country.province.propose_leaf(terms, None, at).expect("a proposal");
    let done = country.province.carry_out(&proposal.id, &[sign(&proposal, dung, at)], at).expect("approved");
    done.certificate().expect("a certificate")
}

#[test]
fn nothing_is_certified_before_everybody_has_signed_who_approves() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("root");
    let words = words();
    let [an, binh, ghost] = ["Nguyễn Văn An", "Trần Thị Bình", "Người Không Ai Biết"].map(person);
    let approvers = [an.approver.clone(), binh.approver.clone(), ghost.approver.clone()];
    let options = key_options(&words, KeyKind::Ed25519);
    let mut root = Authority::init_root(&path, "Trạm gốc", &approvers, 20, options, day(0)).expect("a root");

    // What each of them reads names them all.
    let file = ProposalFile::read(&path.join("founding.json")).expect("the founding");
    assert_eq!(file.proposal.id, FOUNDING);
    assert_eq!(file.proposal.founders().expect("founders"), approvers);

    let province = folder.path().join("phu-tho");
    Authority::init_delegated(&province, &here(), "CA của tỉnh", &[], options, day(0)).expect("an authority");
    let request = Request::read(&province.join("request.csr.pem")).expect("a request");
    let (proposal, _) =
        root.propose_authority(&here(), "CA của tỉnh", &request, 3000, day(1)).expect("a proposal");
    let approvals = [sign(&proposal, &an, day(1)), sign(&proposal, &binh, day(1))];
    let refused = refusal(root.carry_out(&proposal.id, &approvals, day(1)));
    assert!(matches!(refused, Refusal::FoundingNotSigned { approvers: 3, .. }), "{refused}");
    // Nor are others put in their place.
    let (change, _) = root.propose_approvers(&approvers[..2], day(1)).expect("a proposal");
    let both = [sign(&change, &an, day(1)), sign(&change, &binh, day(1))];
    assert!(matches!(refusal(root.carry_out(&change.id, &both, day(1))), Refusal::FoundingNotSigned { .. }));

    let founding = file.proposal;
    let two = [sign(&founding, &an, day(1)), sign(&founding, &binh, day(1))];
    let refused = refusal(root.carry_out(FOUNDING, &two, day(1)));
    assert!(matches!(refused, Refusal::TooFewApprovals { found: 2, needed: 3, .. }), "{refused}");
    let mut others = founding.clone();
    if let Terms::Founding { approvers, .. } = &mut others.terms {
        approvers.pop();
    }
    let of_others = [two[0].clone(), two[1].clone(), sign(&others, &ghost, day(1))];
    assert!(matches!(refusal(root.carry_out(FOUNDING, &of_others, day(1))), Refusal::OtherTerms { .. }));
    let stranger = [two[0].clone(), two[1].clone(), sign(&founding, &person("Kẻ Lạ"), day(1))];
    assert!(matches!(refusal(root.carry_out(FOUNDING, &stranger, day(1))), Refusal::UnknownApprover { .. }));

    sign_founding(&mut root, &[&an, &binh, &ghost], day(2));
    assert!(root.carry_out(&proposal.id, &approvals, day(2)).expect("two persons").certificate().is_some());
    drop(root);
    assert_eq!(complaints(&path, day(2)), Vec::<String>::new());
}

#[test]
fn without_approvers_one_person_issues_and_nobody_is_asked() {
    let mut country = Country::new(KeyKind::Ed25519);
    let serial = country.province.issue(office_terms(&here(), 1), day(5)).expect("one person");
    let province = &mut country.province;
    for asked in [
        province.propose_leaf(office_terms(&here(), 2), None, day(5)),
        province.propose_renewal(serial, (None, None), 9, None, day(5)),
        province.propose_revocation(serial, Reason::Superseded, None, day(5)),
    ] {
        assert!(matches!(refusal(asked), Refusal::NobodyApproves { .. }));
    }
    province.revoke(serial, Reason::CertificateHold, None, day(6)).expect("one person");
    province.release(serial, day(7)).expect("one person");
}

#[test]
fn an_authority_that_begins_with_approvers_has_its_founding_signed_too() {
    let country = Country::new(KeyKind::Ed25519);
    let (words, dung) = (words(), person("Phạm Thị Dung"));
    let folder = country.folder.path().join("hai-nguoi");
    let options = key_options(&words, KeyKind::Ed25519);
    let approvers = std::slice::from_ref(&dung.approver);
    let mut made =
        Authority::init_delegated(&folder, &here(), "CA", approvers, options, day(5)).expect("made");
    assert!(folder.join("founding.json").exists());
    let change = made.propose_approvers(&[person("Kẻ Lạ").approver], day(5)).expect("a proposal").0;
    let early = made.carry_out(&change.id, &[sign(&change, &dung, day(5))], day(5));
    assert!(matches!(refusal(early), Refusal::FoundingNotSigned { approvers: 1, .. }));
    sign_founding(&mut made, &[&dung], day(6));
    assert!(matches!(refusal(made.issue(office_terms(&here(), 1), day(6))), Refusal::NotInstalled));
}

#[test]
fn with_approvers_one_person_alone_does_only_what_cannot_wait() {
    let (mut country, dung) = with_an_approver(KeyKind::Ed25519);
    let alone = |refused: Refusal| assert!(matches!(refused, Refusal::NeedsApproval { .. }), "{refused}");
    alone(refusal(country.province.issue(office_terms(&here(), 1), day(5))));
    let serial = issued(&mut country, &dung, office_terms(&here(), 1), day(5));
    country.assert_valid(serial, Purpose::Event, day(6));

    let province = &mut country.province;
    alone(refusal(province.renew(serial, None, 900, None, day(6))));
    let spki = office_terms(&here(), 2).spki;
    alone(refusal(province.renew_for_key(serial, spki, 900, None, day(6))));
    alone(refusal(province.revoke(serial, Reason::Superseded, None, day(6))));
    alone(refusal(province.revoke(serial, Reason::PrivilegeWithdrawn, None, day(6))));
    alone(refusal(province.revoke(serial, Reason::CertificateHold, None, day(6))));

    // Suspended and let go again, renewed, revoked: each with her signature.
    let steps = |province: &mut Authority, proposal: &Proposal| {
        let approvals = [sign(proposal, &dung, day(7))];
        province.carry_out(&proposal.id, &approvals, day(7)).expect("approved")
    };
    let (hold, _) =
        province.propose_revocation(serial, Reason::CertificateHold, None, day(6)).expect("a proposal");
    assert!(matches!(steps(province, &hold), CarriedOut::Revocation(s, _) if s == serial));
    alone(refusal(province.release(serial, day(7))));
    let (release, _) = province.propose_release(serial, day(7)).expect("a proposal");
    assert!(matches!(steps(province, &release), CarriedOut::Release(s, _) if s == serial));
    let (renewal, _) = province.propose_renewal(serial, (None, None), 900, None, day(7)).expect("a proposal");
    let renewed = steps(province, &renewal).certificate().expect("a certificate");
    let (revocation, _) =
        province.propose_revocation(serial, Reason::Superseded, None, day(7)).expect("a proposal");
    assert!(matches!(steps(province, &revocation), CarriedOut::Revocation(s, _) if s == serial));
    country.assert_valid(renewed, Purpose::Event, day(8));
    assert_eq!(country.judged(serial, Purpose::Event, day(8)), Outcome::Invalid);

    country.province.revoke(renewed, Reason::KeyCompromise, None, day(9)).expect("at once, alone");
    assert_eq!(country.judged(renewed, Purpose::Event, day(9)), Outcome::Invalid);
    assert_eq!(complaints(country.province.folder(), day(9)), Vec::<String>::new());
}

#[test]
fn what_is_carried_out_is_what_she_read() {
    let (mut country, dung) = with_an_approver(KeyKind::Ed25519);
    let (proposal, _) =
        country.province.propose_leaf(office_terms(&here(), 1), None, day(5)).expect("a proposal");
    let province = &mut country.province;
    assert!(matches!(
        refusal(province.carry_out(&proposal.id, &[], day(5))),
        Refusal::TooFewApprovals { .. }
    ));
    let an = sign(&proposal, &country.an, day(5));
    let of_the_root = province.carry_out(&proposal.id, &[an], day(5));
    assert!(matches!(refusal(of_the_root), Refusal::UnknownApprover { .. }), "an approver of the root");
    let mut longer = proposal.clone();
    if let Terms::Leaf { days, .. } = &mut longer.terms {
        *days += 1;
    }
    let of_another = province.carry_out(&proposal.id, &[sign(&longer, &dung, day(5))], day(5));
    assert!(matches!(refusal(of_another), Refusal::OtherTerms { .. }));

    // Approved, and not possible any more: the office has got one meanwhile.
    let approval = sign(&proposal, &dung, day(5));
    issued(&mut country, &dung, office_terms(&here(), 1), day(6));
    let lines = Opening::read(country.province.folder()).expect("a folder").journal().lines().len();
    let late = country.province.carry_out(&proposal.id, &[approval], day(7));
    assert!(matches!(refusal(late), Refusal::HasCertificate { .. }));
    let after = Opening::read(country.province.folder()).expect("a folder").journal().lines().len();
    assert_eq!(lines, after, "a refusal left a trace");
}

#[test]
fn an_officers_request_travels_with_the_proposal_and_cannot_be_exchanged() {
    let (mut country, dung) = with_an_approver(KeyKind::Ed25519);
    let folder = tempfile::tempdir().expect("a folder");
    let request = |name: &str| {
        let der = openssl_request(folder.path(), &["-newkey", "ed25519"], &format!("/CN={name}"));
        Request::parse(&der).expect("a request")
    };
    let (mine, other) = (request("Đỗ Văn Em"), request("Đỗ Văn Em"));
    let terms = ca_support::officer_terms("Đỗ Văn Em", &mine);
    let (proposal, path) = country.province.propose_leaf(terms, Some(&mine), day(5)).expect("a proposal");
    let mut file = ProposalFile::read(&path).expect("whole");
    file.request = Some(ops::ca::files::pem_of(ops::ca::files::REQUEST, other.as_der()).expect("PEM"));
    let exchanged = folder.path().join("exchanged.json");
    fs::write(&exchanged, serde_json::to_string(&file).expect("JSON")).expect("a file");
    let error = ProposalFile::read(&exchanged).expect_err("another request");
    assert!(error.to_string().contains("do not approve"), "{error:#}");
    let approvals = [sign(&proposal, &dung, day(5))];
    let done = country.province.carry_out(&proposal.id, &approvals, day(5)).expect("approved");
    let serial = done.certificate().expect("a certificate");
    country.assert_valid(serial, Purpose::Document, day(6));
    assert_eq!(country.province.book().certificates[&serial].words.subject, officer("Đỗ Văn Em"));
}

#[test]
fn who_approves_is_changed_by_who_approves() {
    let (mut country, dung) = with_an_approver(KeyKind::Ed25519);
    let em = person("Đỗ Văn Em");
    let (change, _) =
        country.province.propose_approvers(std::slice::from_ref(&em.approver), day(5)).expect("a proposal");
    let by_himself = country.province.carry_out(&change.id, &[sign(&change, &em, day(5))], day(5));
    assert!(matches!(refusal(by_himself), Refusal::UnknownApprover { .. }));
    let none = refusal(country.province.propose_approvers(&[], day(5)));
    assert!(matches!(none, Refusal::Approvers { needed: 1, .. }), "{none}");
    country.province.carry_out(&change.id, &[sign(&change, &dung, day(5))], day(5)).expect("she agrees");
    let (proposal, _) =
        country.province.propose_leaf(office_terms(&here(), 1), None, day(6)).expect("a proposal");
    let hers = country.province.carry_out(&proposal.id, &[sign(&proposal, &dung, day(6))], day(6));
    assert!(matches!(refusal(hers), Refusal::UnknownApprover { .. }));
    country.province.carry_out(&proposal.id, &[sign(&proposal, &em, day(6))], day(6)).expect("he agrees");
    assert_eq!(complaints(country.province.folder(), day(6)), Vec::<String>::new());
}

#[test]
fn a_lost_key_takes_every_certificate_of_it_along() {
    let mut country = Country::new(KeyKind::Ed25519);
    let first = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let second = country.province.renew(first, None, 900, None, day(6)).expect("renewed");
    let third = country.province.renew(second, None, 800, None, day(7)).expect("renewed");
    let before = country.province.book().newest_list().expect("a list").number;
    let number =
        country.province.revoke(second, Reason::KeyCompromise, Some(day(6)), day(8)).expect("revoked");
    assert_eq!(number, before + 1, "one list says it all");
    for serial in [first, second, third] {
        assert_eq!(country.judged(serial, Purpose::Event, day(8)), Outcome::Invalid, "{serial} goes on");
        assert!(!country.openssl(serial, day(9)).0, "openssl takes {serial}");
    }
    // One that had expired is over anyway, suspended or not.
    let mut short = office_terms(&here(), 3);
    short.days = 10;
    let expired = country.province.issue(short, day(9)).expect("issued");
    let later = country.province.renew(expired, None, 900, None, day(15)).expect("renewed");
    country.province.revoke(later, Reason::KeyCompromise, None, day(20)).expect("revoked");
    country.province.revoke(expired, Reason::CertificateHold, None, day(20)).expect("on hold");
    assert_eq!(complaints(country.province.folder(), day(20)), Vec::<String>::new());
    // A certificate that was only replaced says nothing about its successor.
    let office = country.province.issue(office_terms(&here(), 2), day(20)).expect("issued");
    let renewed = country.province.renew(office, None, 900, None, day(20)).expect("renewed");
    country.province.revoke(office, Reason::Superseded, None, day(20)).expect("revoked");
    country.assert_valid(renewed, Purpose::Event, day(21));
    assert_eq!(complaints(country.province.folder(), day(21)), Vec::<String>::new());
}

/// Whoever holds the key can write what they like into the journal, but not other people's signatures.
#[test]
fn the_check_names_what_was_done_without_approval() {
    let (mut country, dung) = with_an_approver(KeyKind::Ed25519);
    let serial = issued(&mut country, &dung, office_terms(&here(), 1), day(5));
    let (proposal, _) =
        country.province.propose_revocation(serial, Reason::Superseded, None, day(5)).expect("a proposal");
    let mut forged = sign(&proposal, &dung, day(5));
    forged.approved_at = day(6);
    let stranger = sign(&proposal, &person("Phạm Thị Dung"), day(5));
    let folder = country.province.folder().to_owned();
    let Country { folder: _kept, province, .. } = country;
    drop(province);
    let key = Key::read(&folder.join("ca.key"), &words()).expect("the key");
    let before = fs::read(folder.join("journal.jsonl")).expect("a journal");
    let revoked = |proposal: Option<&str>| Act::Revoked {
        serial,
        reason: Reason::Superseded,
        invalid_from: None,
        proposal: proposal.map(str::to_owned),
    };
    let id = proposal.id.as_str();
    for (acts, words) in [
        (vec![revoked(None)], "by one person"),
        (vec![revoked(Some(id))], "0 of 1"),
        (vec![Act::Approved { approval: forged }, revoked(Some(id))], "not signed by the key"),
        (vec![Act::Approved { approval: stranger }, revoked(Some(id))], "not that of an approver"),
        (vec![Act::Approved { approval: sign(&proposal, &dung, day(5)) }, revoked(Some(id))], ""),
        (
            vec![
                Act::Approved { approval: sign(&proposal, &dung, day(5)) },
                Act::Released { serial, proposal: Some(id.to_owned()) },
            ],
            "not on hold",
        ),
    ] {
        fs::write(folder.join("journal.jsonl"), &before).expect("written");
        let mut journal = Journal::open(&folder).expect("a journal");
        let written: Result<(), _> = acts.iter().try_for_each(|act| journal.append(act, &key, day(7)));
        let told = match written {
            Ok(()) => {
                let checks =
                    Opening::read(&folder).and_then(|opening| opening.check(day(7))).expect("checked");
                let check = checks.into_iter().find(|check| check.what.starts_with("approvals"));
                check.expect("a check").broken.join("\n")
            }
            Err(error) => format!("{error:#}"),
        };
        assert_eq!(told.is_empty(), words.is_empty(), "{told}");
        assert!(told.contains(words), "expected `{words}`: {told}");
    }
}

#[test]
fn a_crash_between_the_approvals_and_the_act_asks_nobody_again() {
    let (mut country, dung) = with_an_approver(KeyKind::P256);
    let (proposal, _) =
        country.province.propose_leaf(office_terms(&here(), 1), None, day(5)).expect("a proposal");
    let approvals = [sign(&proposal, &dung, day(5))];
    country.province.carry_out(&proposal.id, &approvals, day(6)).expect("approved");
    let folder = country.province.folder().to_owned();
    let Country { folder: _kept, province, .. } = country;
    let serial = province.book().issued().next().expect("issued").words.serial;
    let file = certificate(&province, serial);
    drop(province);
    // The intent and the certificate never got to the disk; the approval did.
    let path = folder.join("journal.jsonl");
    let text = fs::read_to_string(&path).expect("a journal");
    let lines: Vec<&str> = text.lines().collect();
    let kept: String = lines[..lines.len() - 2].iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, kept).expect("written");
    fs::remove_file(&file).expect("removed");
    fs::remove_file(file.with_extension("der")).expect("removed");
    let mut province = Opening::read(&folder).and_then(|opening| opening.unlock(&words())).expect("opened");
    province.carry_out(&proposal.id, &approvals, day(7)).expect("the same files serve again");
    assert_eq!(province.book().proposals[&proposal.id].approvals.len(), 1, "recorded twice");
    assert_eq!(complaints(&folder, day(7)), Vec::<String>::new());
}

/// Whatever act of the first day the crash came before: the founding is there afterwards, once.
#[test]
fn a_crash_on_the_first_day_leaves_a_founding_to_sign() {
    let folder = tempfile::tempdir().expect("a folder");
    let (an, binh, words) = (person("Nguyễn Văn An"), person("Trần Thị Bình"), words());
    let approvers = [an.approver.clone(), binh.approver.clone()];
    let mut acts = 0;
    for cut in 0_usize..6 {
        let path = folder.path().join(format!("root-{cut}"));
        let options = key_options(&words, KeyKind::P256);
        drop(Authority::init_root(&path, "Trạm gốc", &approvers, 20, options, day(0)).expect("a root"));
        let journal = path.join("journal.jsonl");
        let text = fs::read_to_string(&journal).expect("a journal");
        let lines: Vec<&str> = text.lines().collect();
        acts = lines.len();
        let kept: String = lines[..acts - cut].iter().map(|line| format!("{line}\n")).collect();
        // What was written because of an act goes with it, or the folder is an older copy.
        for (act, file) in [("list-intended", "lists"), ("\"act\":\"intended", "certificates")] {
            if !kept.contains(act) {
                for entry in fs::read_dir(path.join(file)).expect("a folder") {
                    fs::remove_file(entry.expect("an entry").path()).expect("removed");
                }
            }
        }
        fs::write(&journal, kept).expect("written");
        fs::remove_file(path.join("founding.json")).expect("removed");
        let mut root = Opening::read(&path).and_then(|opening| opening.unlock(&words)).expect("opened");
        root.recover(day(1)).expect("recovered");
        let file = ProposalFile::read(&path.join("founding.json")).expect("written again");
        assert_eq!(file.proposal, root.book().founding().expect("a founding").proposal);
        sign_founding(&mut root, &[&an, &binh], day(2));
        assert_eq!(complaints(&path, day(2)), Vec::<String>::new(), "{cut} acts before the end");
    }
    assert_eq!(acts, 6, "the first day has other acts now: try each");
}

/// A root whose journal was written before there were foundings: it goes on as it did.
#[test]
fn a_root_of_before_foundings_that_has_issued_goes_on_without_one() {
    let country = Country::new(KeyKind::Ed25519);
    let folder = country.root.folder().to_owned();
    let Country { folder: _kept, root, an, binh, .. } = country;
    drop(root);
    // Its journal, written anew without the founding and what was done because of it.
    let old = Journal::open(&folder).expect("a journal");
    let key = Key::read(&folder.join("ca.key"), &words()).expect("the key");
    let is_founding = |act: &Act| match act {
        Act::Proposed { proposal } => proposal.id == FOUNDING,
        Act::Approved { approval } => approval.proposal == FOUNDING,
        Act::Countersigned { .. } => true,
        _ => false,
    };
    let mut lines = old.lines().iter().filter(|(_, act)| !is_founding(act));
    fs::remove_file(folder.join("journal.jsonl")).expect("removed");
    let (at, first) = lines.next().expect("the first act");
    let mut journal = Journal::begin(&folder, first, &key, *at).expect("begun");
    for (at, act) in lines {
        journal.append(act, &key, *at).expect("it follows");
    }
    let mut root = Opening::read(&folder).and_then(|opening| opening.unlock(&words())).expect("opened");
    let serial = root.book().issued().next().expect("the province").words.serial;
    let (proposal, _) =
        root.propose_approvers(&[an.approver.clone(), binh.approver.clone()], day(5)).expect("a proposal");
    let approvals = [sign(&proposal, &an, day(5)), sign(&proposal, &binh, day(5))];
    root.carry_out(&proposal.id, &approvals, day(5)).expect("nobody asks for a founding");
    root.revoke(serial, Reason::Superseded, None, day(6)).expect("one person, as before");
    assert_eq!(complaints(&folder, day(6)), Vec::<String>::new());
}
