//! The journal is the truth: crashes lose nothing, changes are found, counts reconcile whatever is done.

mod ca_support;

use std::fs;
use std::path::Path;

use ca_support::{Country, certificate, complaints, day, here, office_terms, refusal, words};
use ops::ca::book::{Reason, SerialNo, Status};
use ops::ca::{Authority, KeyKind, Opening, Refusal};
use proptest::prelude::*;
use schema::time::Millis;
use schema::trust::Purpose;

fn reopened(folder: &Path) -> anyhow::Result<Authority> {
    Opening::read(folder).and_then(|opening| opening.unlock(&words()))
}

/// Cuts the last acts off the journal: what a crash leaves that came before they were written.
fn forget(folder: &Path, acts: usize) {
    let path = folder.join("journal.jsonl");
    let text = fs::read_to_string(&path).expect("a journal");
    let lines: Vec<&str> = text.lines().collect();
    let kept: String = lines[..lines.len() - acts].iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, kept).expect("written");
}

fn unlocked(country: Country) -> (tempfile::TempDir, std::path::PathBuf, ops::ca::Authority) {
    let folder = country.province.folder().to_owned();
    let Country { folder: kept, root, province, .. } = country;
    drop(province);
    (kept, folder, root)
}

#[test]
fn a_crash_between_intent_and_certificate_loses_nothing_and_issues_nothing_twice() {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        for written in [false, true] {
            let mut country = Country::new(kind);
            let serial = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
            let path = certificate(&country.province, serial);
            let before = fs::read(&path).expect("a file");
            let (_kept, folder, _root) = unlocked(country);
            forget(&folder, 1);
            if !written {
                fs::remove_file(&path).expect("removed");
                fs::remove_file(path.with_extension("der")).expect("removed");
            }
            assert!(complaints(&folder, day(6)).iter().any(|line| line.contains("unfinished")));
            let opening = Opening::read(&folder).expect("a folder");
            assert_eq!(opening.book().unfinished().expect("unfinished").words.serial, serial);

            // Whatever comes next finishes it first.
            let mut province = reopened(&folder).expect("opened");
            let next = province.issue(office_terms(&here(), 2), day(6)).expect("issued");
            assert_ne!(next, serial);
            let again = fs::read(&path).expect("the certificate is there");
            if written || kind == KeyKind::Ed25519 {
                assert_eq!(again, before, "another certificate under the same number");
            }
            assert_eq!(province.book().issued().count(), 2);
            assert_eq!(complaints(&folder, day(6)), Vec::<String>::new());
        }
    }
}

#[test]
fn a_crash_before_the_list_is_finished_by_recover() {
    let mut country = Country::new(KeyKind::P256);
    let serial = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let number = country.province.revoke(serial, Reason::KeyCompromise, None, day(6)).expect("revoked");
    let (_kept, folder, _root) = unlocked(country);
    let list = folder.join("lists").join(format!("{number}.der"));
    let before = fs::read(&list).expect("a list");
    for (cut, kept) in [(1, true), (1, false), (2, false)] {
        forget(&folder, cut);
        if !kept {
            fs::remove_file(&list).expect("removed");
        }
        // The newest list is still the one before, or already this one.
        let complaints_before = complaints(&folder, day(6));
        assert!(complaints_before.iter().any(|line| line.contains("recover")), "{complaints_before:?}");
        let done = reopened(&folder).expect("opened").recover(day(7)).expect("recovered");
        assert_eq!(done.len(), 1, "{done:?}");
        assert_eq!(complaints(&folder, day(7)), Vec::<String>::new());
        if kept {
            assert_eq!(fs::read(&list).expect("a list"), before, "two lists under one number");
        }
    }
}

#[test]
fn a_line_that_was_cut_off_never_happened() {
    let (_kept, folder, _root) = unlocked(Country::new(KeyKind::Ed25519));
    let path = folder.join("journal.jsonl");
    let whole = fs::read(&path).expect("a journal");
    fs::write(&path, [whole.as_slice(), b"{\"seq\":99,\"prev"].concat()).expect("written");
    assert!(complaints(&folder, day(5)).iter().any(|line| line.contains("cut off")));
    let mut province = reopened(&folder).expect("opened");
    province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    assert_eq!(complaints(&folder, day(5)), Vec::<String>::new());
}

#[test]
fn a_journal_changed_by_one_byte_is_found() {
    let mut country = Country::new(KeyKind::Ed25519);
    country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let (_kept, folder, _root) = unlocked(country);
    let path = folder.join("journal.jsonl");
    let whole = fs::read(&path).expect("a journal");
    // Every place would take minutes: each seventh, which meets every line and every field over the lines.
    for at in (0..whole.len()).step_by(7) {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).expect("written");
        assert!(!complaints(&folder, day(6)).is_empty(), "byte {at} does not matter");
        assert!(reopened(&folder).is_err() || changed.last() != Some(&b'\n'), "byte {at} is worked with");
    }
    // A line taken out, two exchanged.
    let text = String::from_utf8(whole.clone()).expect("JSON");
    let lines: Vec<&str> = text.lines().collect();
    for n in 0..lines.len() - 1 {
        let mut without = lines.clone();
        without.remove(n);
        let mut exchanged = lines.clone();
        exchanged.swap(n, n + 1);
        for changed in [without, exchanged] {
            fs::write(&path, changed.join("\n") + "\n").expect("written");
            let refused = refusal(Opening::read(&folder));
            assert!(matches!(refused, Refusal::Journal { .. }), "{refused}");
        }
    }
    fs::write(&path, &whole).expect("written");
    assert_eq!(complaints(&folder, day(6)), Vec::<String>::new());
}

#[test]
fn an_older_journal_put_back_is_noticed_and_not_worked_with() {
    let mut country = Country::new(KeyKind::Ed25519);
    let old = fs::read(country.province.folder().join("journal.jsonl")).expect("a journal");
    country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let (_kept, folder, _root) = unlocked(country);
    fs::write(folder.join("journal.jsonl"), old).expect("written");
    assert!(matches!(refusal(reopened(&folder)), Refusal::JournalWentBack { .. }));
    let complaints = complaints(&folder, day(6));
    assert!(complaints.iter().any(|line| line.contains("not in the journal")), "{complaints:?}");
    let counts = Opening::read(&folder).expect("a folder").counts(day(6)).expect("counts");
    assert!(!counts.reconcile, "{counts}");
}

#[test]
fn a_true_line_of_another_history_does_not_fit() {
    let mut country = Country::new(KeyKind::Ed25519);
    country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let (_kept, folder, _root) = unlocked(country);
    let path = folder.join("journal.jsonl");
    let common = fs::read_to_string(&path).expect("a journal");
    let mut histories = Vec::new();
    for n in [2, 3] {
        fs::write(&path, &common).expect("written");
        let mut province = reopened(&folder).expect("opened");
        let serial = province.issue(office_terms(&here(), n), day(6)).expect("issued");
        let stem = certificate(&province, serial);
        fs::remove_file(&stem).expect("removed");
        fs::remove_file(stem.with_extension("der")).expect("removed");
        province.revoke(serial, Reason::Superseded, None, day(6)).expect("revoked");
        let number = province.book().newest_list().expect("a list").number;
        for name in [format!("{number}.der"), format!("{number}.pem")] {
            fs::remove_file(folder.join("lists").join(name)).expect("removed");
        }
        let text = fs::read_to_string(&path).expect("a journal");
        histories.push(text.lines().map(str::to_owned).collect::<Vec<_>>());
    }
    // Numbers and signatures are right, and a list of the other history says the same: only the chain tells.
    let [one, other] = histories.as_slice() else { panic!("two histories") };
    let last = one.len() - 2;
    assert!(one[last].contains("list-intended") && other[last].contains("list-intended"));
    let spliced =
        one[..last].iter().chain(&other[last..=last]).map(|line| format!("{line}\n")).collect::<String>();
    fs::write(&path, spliced).expect("written");
    let refused = refusal(Opening::read(&folder));
    assert!(refused.to_string().contains("does not follow"), "{refused}");
}

#[test]
fn a_root_whose_founding_was_cut_off_is_finished() {
    let country = Country::new(KeyKind::P256);
    let folder = country.root.folder().to_owned();
    let Country { folder: _kept, root, .. } = country;
    drop(root);
    let acts = fs::read_to_string(folder.join("journal.jsonl")).expect("a journal").lines().count();
    forget(&folder, acts - 1);
    for part in ["certificates", "lists"] {
        fs::remove_dir_all(folder.join(part)).expect("removed");
        fs::create_dir(folder.join(part)).expect("made");
    }
    fs::remove_file(folder.join("ca.der")).expect("removed");
    let mut root = reopened(&folder).expect("opened");
    root.recover(day(9)).expect("recovered");
    assert!(root.book().root_record().is_some() && root.book().list_is_current());
    assert_eq!(complaints(&folder, day(9)), Vec::<String>::new());
}

#[test]
fn files_that_were_changed_removed_or_added_are_found() {
    let mut country = Country::new(KeyKind::Ed25519);
    let serial = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
    let folder = country.province.folder().to_owned();
    let stem = folder.join("certificates").join(serial.to_string());
    for path in [
        stem.with_extension("der"),
        stem.with_extension("pem"),
        folder.join("ca.der"),
        folder.join("root.pem"),
        folder.join("lists/1.der"),
        folder.join("lists/list.pem"),
    ] {
        let whole = fs::read(&path).expect("a file");
        let mut changed = whole.clone();
        let middle = changed.len() / 2;
        changed[middle] ^= 1;
        fs::write(&path, changed).expect("written");
        assert!(!complaints(&folder, day(6)).is_empty(), "{} was changed unnoticed", path.display());
        fs::remove_file(&path).expect("removed");
        assert!(!complaints(&folder, day(6)).is_empty(), "{} was removed unnoticed", path.display());
        fs::write(&path, whole).expect("written");
    }
    assert_eq!(complaints(&folder, day(6)), Vec::<String>::new());
    fs::copy(stem.with_extension("der"), folder.join("certificates/77.der")).expect("copied");
    assert!(!complaints(&folder, day(6)).is_empty(), "an unknown certificate passes");
}

#[test]
fn serial_numbers_are_random_and_never_the_same() {
    let mut country = Country::new(KeyKind::Ed25519);
    let mut serials = std::collections::BTreeSet::new();
    for n in 1..=30 {
        assert!(serials.insert(country.province.issue(office_terms(&here(), n), day(5)).expect("issued")));
    }
    let first = *serials.first().expect("thirty");
    let renewed = country.province.renew(first, None, 900, None, day(6)).expect("renewed");
    assert!(serials.insert(renewed), "the same key got the same number");
    let spread =
        serials.iter().map(|serial| serial.as_bytes()[0] >> 6).collect::<std::collections::BTreeSet<_>>();
    assert!(spread.len() > 2, "thirty numbers begin alike: {serials:?}");
}

/// One random act.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Issue(u8),
    Renew(usize, u64),
    Revoke(usize, Reason),
    Release(usize),
    List,
    Wait(u64),
    Reopen,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let reason = prop_oneof![
        Just(Reason::KeyCompromise),
        Just(Reason::Superseded),
        Just(Reason::CertificateHold),
        Just(Reason::CessationOfOperation),
    ];
    let deed = prop_oneof![
        4 => (1_u8..20).prop_map(Deed::Issue),
        2 => (0_usize..10, 1_u64..900).prop_map(|(n, days)| Deed::Renew(n, days)),
        3 => (0_usize..10, reason).prop_map(|(n, reason)| Deed::Revoke(n, reason)),
        1 => (0_usize..10).prop_map(Deed::Release),
        1 => Just(Deed::List),
        3 => (0_u64..400).prop_map(Deed::Wait),
        1 => Just(Deed::Reopen),
    ];
    prop::collection::vec(deed, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The counts reconcile after every act, both judges agree with them, and no act that was refused changed anything.
    #[test]
    fn counts_reconcile_whatever_is_done(deeds in deeds()) {
        let mut country = Country::new(KeyKind::Ed25519);
        let folder = country.province.folder().to_owned();
        let mut now = day(5);
        for deed in deeds {
            let nth = |n: usize| -> Option<SerialNo> {
                let count = country.province.book().issued().count();
                let mut all = country.province.book().issued();
                (count > 0).then(|| all.nth(n % count).map(|record| record.words.serial)).flatten()
            };
            let lines = Opening::read(&folder).expect("a folder").journal().lines().len();
            let done = match deed {
                Deed::Issue(n) => country.province.issue(office_terms(&here(), n), now).map(drop),
                Deed::Renew(n, days) => match nth(n) {
                    Some(serial) => country.province.renew(serial, None, days, None, now).map(drop),
                    None => Ok(()),
                },
                Deed::Revoke(n, reason) => match nth(n) {
                    Some(serial) => country.province.revoke(serial, reason, None, now).map(drop),
                    None => Ok(()),
                },
                Deed::Release(n) => match nth(n) {
                    Some(serial) => country.province.release(serial, now).map(drop),
                    None => Ok(()),
                },
                Deed::List => country.province.list(None, now).map(drop),
                Deed::Wait(days) => {
                    now = now.plus(days * Millis::DAY);
                    Ok(())
                }
                Deed::Reopen => {
                    let Country { folder: kept, root, an, binh, province } = country;
                    drop(province);
                    let province = reopened(&folder).expect("opened again");
                    country = Country { folder: kept, root, an, binh, province };
                    Ok(())
                }
            };
            let opening = Opening::read(&folder).expect("a folder");
            if let Err(error) = done {
                prop_assert!(error.downcast_ref::<Refusal>().is_some(), "not a refusal: {error:#}");
                prop_assert_eq!(opening.journal().lines().len(), lines, "a refusal left a trace");
            }
            let counts = opening.counts(now).expect("counts");
            prop_assert!(counts.reconcile, "{}", counts);
            prop_assert_eq!(opening.book(), country.province.book(), "memory and disk differ");
            let in_use = opening.book().issued().filter(|record| record.status(now) == Status::InUse).count();
            prop_assert_eq!(counts.in_use, in_use);
        }
        prop_assert_eq!(complaints(&folder, now), Vec::<String>::new());
        // What is in use is valid to the judge as long as the lists are fresh, and what is not is not.
        country.province.list(None, now).expect("a list");
        country.root.list(None, now).expect("a list");
        for record in country.province.book().issued() {
            let valid = country.judged(record.words.serial, Purpose::Event, now) == schema::trust::Outcome::Valid;
            prop_assert_eq!(valid, record.status(now) == Status::InUse, "{}", record.words.serial);
        }
    }
}
