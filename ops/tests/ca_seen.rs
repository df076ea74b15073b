//! A whole older copy of an authority's folder is sound in itself: lists and certificates that others hold show its age.

mod ca_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ca_support::{Country, certificate, complaints, day, here, office_terms, refusal, words};
use ops::ca::book::Reason;
use ops::ca::{KeyKind, Opening, Refusal};

fn copied(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copied(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

fn compare(folder: &Path, seen: &[&Path]) -> anyhow::Result<()> {
    let seen: Vec<PathBuf> = seen.iter().map(|path| path.to_path_buf()).collect();
    Opening::read(folder).expect("a folder").compare_with_seen(&seen)
}

#[test]
fn an_older_copy_is_told_by_a_newer_list_or_certificate_and_by_nothing_in_itself() {
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let mut country = Country::new(kind);
        let first = country.province.issue(office_terms(&here(), 1), day(5)).expect("issued");
        let folder = country.province.folder().to_owned();
        let old = country.folder.path().join("old");
        copied(&folder, &old);
        let seen_before = certificate(&country.province, first);

        let unlisted = country.province.issue(office_terms(&here(), 2), day(6)).expect("issued");
        let issued_since = certificate(&country.province, unlisted);
        let same_list = folder.join("lists/list.pem");
        compare(&old, &[&same_list, &seen_before]).expect("nothing that is shown is newer");
        assert!(matches!(
            refusal(compare(&old, &[&same_list, &issued_since])),
            Refusal::OlderThanSeen { .. }
        ));

        country.province.revoke(first, Reason::KeyCompromise, None, day(7)).expect("revoked");
        for newest in ["lists/list.pem", "lists/list.der", "lists/2.der"] {
            let newest = folder.join(newest);
            let refused = refusal(compare(&old, &[&newest]));
            assert!(matches!(refused, Refusal::OlderThanSeen { .. }), "{refused}");
            assert!(refused.to_string().contains("the newest one here is 1"), "{refused}");
            compare(&folder, &[&newest, &issued_since, &seen_before]).expect("the newest folder");
        }
        assert_eq!(complaints(&old, day(7)), Vec::<String>::new(), "the copy is sound in itself");

        // Both go on: two histories under one key.
        let mut forked = Opening::read(&old).and_then(|opening| opening.unlock(&words())).expect("opened");
        forked.list(None, day(8)).expect("a list");
        let refused = refusal(compare(&old, &[&folder.join("lists/2.pem")]));
        assert!(matches!(refused, Refusal::TwoHistories { .. }), "{refused}");
    }
}

#[test]
fn what_shows_nothing_about_this_authority_is_refused() {
    let country = Country::new(KeyKind::Ed25519);
    let other = Country::new(KeyKind::Ed25519);
    let folder = country.province.folder();
    let nonsense = country.folder.path().join("nonsense.pem");
    fs::write(&nonsense, "một").expect("a file");
    for path in [
        country.root.folder().join("lists/list.pem"),
        other.province.folder().join("lists/list.pem"),
        other.province.folder().join("ca.pem"),
        folder.join("request.csr.pem"),
        nonsense,
    ] {
        let refused = refusal(compare(folder, &[&path]));
        assert!(matches!(refused, Refusal::SeenOfAnother { .. }), "{}: {refused}", path.display());
    }
    assert!(compare(folder, &[Path::new("/nowhere")]).is_err());
}

/// A list that was signed and handed on, and a journal that was cut off before it said so: the same bytes are the same
/// list, others are another one.
#[test]
fn a_list_that_a_crash_left_unfinished_is_the_one_on_the_disk() {
    let mut country = Country::new(KeyKind::P256);
    country.province.list(None, day(6)).expect("a list");
    let folder = country.province.folder().to_owned();
    let handed_on = country.folder.path().join("handed-on.pem");
    fs::copy(folder.join("lists/2.pem"), &handed_on).expect("copied");
    let path = folder.join("journal.jsonl");
    let text = fs::read_to_string(&path).expect("a journal");
    let lines: Vec<&str> = text.lines().collect();
    let kept: String = lines[..lines.len() - 1].iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, kept).expect("written");
    compare(&folder, &[&handed_on]).expect("the same bytes");
    fs::remove_file(folder.join("lists/2.der")).expect("removed");
    let error = compare(&folder, &[&handed_on]).expect_err("it would be signed anew");
    assert!(format!("{error:#}").contains("handed on"), "{error:#}");
}

#[test]
fn every_command_stops_at_an_older_copy() {
    let mut country = Country::new(KeyKind::Ed25519);
    let old = country.folder.path().join("old");
    copied(country.province.folder(), &old);
    country.province.list(None, day(6)).expect("a list");
    let newest = country.province.folder().join("lists/list.pem");
    let passphrase = country.folder.path().join("words");
    ops::ca::files::create(&passphrase, "một hai ba bốn năm".as_bytes()).expect("a file");
    let before = fs::read(old.join("journal.jsonl")).expect("a journal");
    let run = |arguments: &[&str], folder: &Path| {
        let output = Command::new(env!("CARGO_BIN_EXE_tram"))
            .arg("ca")
            .args(arguments)
            .arg(folder)
            .arg("--seen")
            .arg(&newest)
            .arg("--passphrase-file")
            .arg(&passphrase)
            .output()
            .expect("tram runs");
        let told = [output.stdout.as_slice(), &output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&told).into_owned())
    };
    for command in ["crl", "recover", "list", "needs", "check"] {
        let (went_on, told) = run(&[command], &old);
        assert!(!went_on && told.contains("older copy"), "{command}: {told}");
    }
    assert_eq!(fs::read(old.join("journal.jsonl")).expect("a journal"), before, "something was done");
    let folder = country.province.folder().to_owned();
    drop(country.province);
    for command in ["check", "crl"] {
        let (went_on, told) = run(&[command], &folder);
        assert!(went_on, "{command}: {told}");
    }
    // After that list the one that was seen is still this authority's own.
    assert!(run(&["check"], &folder).0);
    let (went_on, told) = run(&["approver-key", "--name", "An"], &folder.join("an.key"));
    assert!(!went_on && told.contains("this command has none"), "{told}");
}
