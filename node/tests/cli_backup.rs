//! Backup, restore and the full check with real processes: what an administrator does on a bad day.

mod office;
mod station;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use node::backup::restore::restore;
use node::config::DataFolder;
use node::keyring::Unlock;
use node::store::Reader;
use office::{LETTER, Office, PROGRAM};
use schema::id::{Incarnation, Position};
use schema::time::Millis;
use serde_json::{Value, json};
use station::{RECIPIENT, SENDER};

const PATIENCE: Duration = Duration::from_secs(20);

fn send(office: &Office, subject: &str) -> String {
    let file = office.folder.path().join("Công văn.pdf");
    fs::write(&file, format!("%PDF-1.7 {subject}")).expect("written");
    let file = file.display().to_string();
    let saved = office.json(
        &[&["send", "--reference-only", "--to", "H02.18", "--subject", subject][..], LETTER, &[&file]]
            .concat(),
    );
    saved["document"].as_str().expect("an id").to_owned()
}

/// Backups are named by the second: asks again while the name is taken.
fn backup(office: &Office, more: &[&str]) -> PathBuf {
    let out = office.path("disk");
    let mut arguments = vec!["--json", "backup", "--out", &out];
    arguments.extend(more);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let made = office.ask(&arguments);
        if made.status.success() {
            let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
            return PathBuf::from(made["backup"].as_str().expect("a path"));
        }
        let said = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(said.contains("exists already") && Instant::now() < deadline, "{said}");
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn refused(office: &Office, arguments: &[&str]) -> String {
    let output = office.ask(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// What a station says that does not start. One that starts all the same is stopped, and is a failure.
fn does_not_start(office: &Office, more: &[&str]) -> String {
    let mut command = Command::new(PROGRAM);
    command.env_remove("TRAM_LANG").arg("--data").arg(office.data()).args(more).arg("run");
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("our child") {
            break status;
        }
        if Instant::now() > deadline || office.data().join("api.json").exists() {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the station runs on a damaged store");
        }
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(1));
    let mut words = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut words).expect("UTF-8");
    words
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn subjects(office: &Office) -> BTreeSet<String> {
    let list = office.json(&["outgoing", "--limit", "200"]);
    let rows = list["rows"].as_array().expect("rows");
    rows.iter().map(|row| row["subject"].as_str().expect("text").to_owned()).collect()
}

fn incarnation(office: &Office) -> u64 {
    office.json(&["status"])["incarnation"].as_u64().expect("a number")
}

/// Names and bytes of everything that belongs to a store.
fn store_files(data: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(data)
        .expect("listed")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("tram.db"))
        // The index of the log is rebuilt by whoever reads.
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with("-shm"))
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).expect("read"))
        })
        .collect();
    files.sort();
    files
}

/// A station that has sent one document and is stopped, and a backup of just that.
fn stopped_with_a_backup() -> (Office, PathBuf) {
    let mut office = Office::enrolled(SENDER);
    office.start();
    send(&office, "V/v một");
    assert_eq!(office.stop("-TERM"), Some(0));
    let made = backup(&office, &[]);
    (office, made)
}

/// Flips one bit of the `nth` journal entry, `from_end` bytes before its end.
fn damage(database: &Path, nth: u64, from_end: usize) {
    let entries = Reader::open(database).expect("a store").journal(Position(nth), 1).expect("read");
    let event = entries[0].bytes.clone();
    let mut bytes = fs::read(database).expect("read");
    // A copy may lie in a page that is not used any more.
    let copies = bytes.windows(event.len()).enumerate().filter(|(_, window)| *window == event);
    let places: Vec<usize> = copies.map(|(at, _)| at + event.len() - from_end).collect();
    assert!(!places.is_empty(), "not in one page");
    places.into_iter().for_each(|at| bytes[at] ^= 1);
    fs::write(database, bytes).expect("written");
}

#[test]
fn backup_of_a_busy_station_is_one_moment_and_comes_back_as_a_new_incarnation() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    send(&office, "V/v trước");

    // Given a clerk who does not stop sending, when a backup is made meanwhile.
    let stop = AtomicBool::new(false);
    let (made, sent_meanwhile) = std::thread::scope(|scope| {
        let clerk = scope.spawn(|| {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                send(&office, &format!("V/v trong khi {sent}"));
                sent += 1;
            }
            sent
        });
        let made = backup(&office, &[]);
        stop.store(true, Ordering::Relaxed);
        (made, clerk.join().expect("sent"))
    });
    send(&office, "V/v sau");
    let all = subjects(&office);
    assert_eq!(all.len(), sent_meanwhile + 2, "the writer was disturbed");

    // Then it is whole, and says what it is.
    let name = made.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.starts_with("tram-backup-H01.18-2") && name.ends_with('Z'), "{name}");
    let checked = office.json(&["backup", "check", text(&made)]);
    assert_eq!((&checked["trust"], &checked["unjudged"]), (&json!("own"), &json!(0)), "{checked}");
    let words = office.text(&["--lang", "en", "backup", "check", text(&made)]);
    assert!(words.contains("The backup is sound") && words.contains("Ủy ban nhân dân xã số 1"), "{words}");
    for key in ["node.key", "login.nk"] {
        assert!(!made.join(key).exists(), "a private key is in the backup");
    }

    // When it is restored, only over a stopped station, and only when asked for although it knows less.
    let running = refused(&office, &["restore", "--from", text(&made), "--replace"]);
    assert!(running.contains("stop it first"), "{running}");
    assert_eq!(office.stop("-TERM"), Some(0));
    let newer = refused(&office, &["restore", "--from", text(&made)]);
    assert!(newer.contains("behind itself") && newer.contains("--replace"), "{newer}");
    let restored = office.text(&["restore", "--from", text(&made), "--replace"]);
    assert!(restored.contains("Điều gì xảy ra bây giờ") && restored.contains("kho trước đó"), "{restored}");

    // Then it runs in a new incarnation, knows what the backup knew, and the old store is still there.
    office.start();
    let now = subjects(&office);
    assert!(now.contains("V/v trước") && !now.contains("V/v sau") && now.is_subset(&all), "{now:?}");
    assert_eq!(now.len() as u64, checked["outgoing"].as_u64().expect("a count"));
    assert!(incarnation(&office) >= Incarnation::new(1, 0).number());
    assert!(office.text(&["alarms"]).contains("đã khôi phục dữ liệu tại đây"));
    let aside = fs::read_dir(office.data()).expect("listed").map(|entry| entry.expect("an entry").path());
    let aside: Vec<_> = aside.filter(|path| text(path).contains("store-before-restore-2")).collect();
    assert_eq!(aside.len(), 1);
    let outline = node::store::Inspection::open(&aside[0].join("tram.db")).expect("kept").outline();
    assert_eq!(outline.expect("sound").outgoing, all.len() as u64, "the old store is not what it was");
}

#[test]
fn restore_of_a_whole_backup_needs_no_second_word_and_a_new_machine_needs_only_the_keys() {
    let (office, made) = stopped_with_a_backup();
    office.text(&["restore", "--from", text(&made)]);

    // Given a new machine, when the backup comes without the keys, then they are asked for and nothing is
    // there.
    let new = tempfile::tempdir().expect("a folder");
    let data = new.path().join("data");
    let ask = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.env_remove("TRAM_DATA").env_remove("TRAM_LANG").arg("--data").arg(&data);
        command.args(arguments).output().expect("starts")
    };
    let checked = ask(&["--json", "backup", "check", text(&made)]);
    let checked: Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(checked["trust"], "backup", "a stranger's word passes for our own");
    let without = ask(&["restore", "--from", text(&made)]);
    assert_eq!(without.status.code(), Some(1));
    assert!(said(&without).contains("never part of a backup"), "{}", said(&without));
    assert!(!data.join("tram.db").exists() && !data.join("config.toml").exists());

    // When the key is brought, then everything else comes from the backup.
    fs::copy(office.data().join("node.key"), data.join("node.key")).expect("copied");
    let restored = ask(&["--json", "restore", "--from", text(&made)]);
    assert!(restored.status.success(), "{}", said(&restored));
    let restored: Value = serde_json::from_slice(&restored.stdout).expect("JSON");
    assert_eq!((&restored["settings_brought"], &restored["moved_aside"]), (&json!(true), &json!(null)));
    assert!(data.join("registry.cbor").exists() && data.join("config.toml").exists());

    // What others seal for the office meanwhile is opened by the same keys as before, which lay in the backup sealed.
    let keys = fs::read(data.join("sealing.keys")).expect("keys");
    assert!(keys.starts_with(b"AGE-SECRET-KEY-1"));
    assert_eq!(keys, fs::read(office.data().join("sealing.keys")).expect("keys"));
    let carried = fs::read(made.join("sealing.age")).expect("sealed");
    assert!(!carried.windows(16).any(|part| part == &keys[..16]), "a key lies open in a backup");
}

#[test]
fn changed_backup_is_refused_by_the_name_of_what_changed_and_the_store_stays() {
    let (office, made) = stopped_with_a_backup();
    let before = store_files(&office.data());
    let places = [
        ("tram.db", 5_000),
        ("config.toml", 3),
        ("registry.cbor", 40),
        ("sealing.age", 300),
        ("seal.cbor", 100),
    ];
    for (file, at) in places {
        let path = made.join(file);
        let whole = fs::read(&path).expect("read");
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).expect("written");
        let checked = refused(&office, &["backup", "check", text(&made)]);
        let what = if file == "seal.cbor" { "does not hold" } else { "is not what was sealed" };
        assert!(checked.contains(file) && checked.contains(what), "{file}: {checked}");
        if matches!(file, "tram.db" | "seal.cbor") {
            let restored = refused(&office, &["restore", "--from", text(&made), "--replace"]);
            assert!(restored.contains(file), "{file}: {restored}");
        }
        fs::write(&path, whole).expect("written");
    }
    fs::rename(made.join("seal.cbor"), made.join("seal")).expect("moved");
    refused(&office, &["restore", "--from", text(&made)]);
    fs::rename(made.join("seal"), made.join("seal.cbor")).expect("moved");

    let mut other = Office::enrolled(RECIPIENT);
    let foreign = refused(&other, &["restore", "--from", text(&made)]);
    assert!(foreign.contains("is a backup of office"), "{foreign}");
    other.start();
    assert_eq!(store_files(&office.data()), before, "a refused restore touched the store");
    office.text(&["backup", "check", text(&made)]);
}

#[test]
fn only_sealed_backups_of_this_office_make_room() {
    let mut office = Office::enrolled(SENDER);
    let mut other = Office::enrolled(RECIPIENT);
    for office in [&mut office, &mut other] {
        office.start();
        assert_eq!(office.stop("-TERM"), Some(0));
    }
    let first = backup(&office, &[]);
    let disk = first.parent().expect("a folder").to_owned();
    // Given neighbours on the same disk: another office's, one with a foreign file, one damaged, one of no
    // seal.
    let copy_to = |from: &Path, name: &str| {
        let to = disk.join(name);
        copy(from, &to);
        to
    };
    let foreign = copy_to(&backup(&other, &[]), "tram-backup-H02.18-20200101T000000Z");
    let used = copy_to(&first, "tram-backup-H01.18-20200101T000001Z");
    fs::write(used.join("notes.txt"), "mine").expect("written");
    let cut = copy_to(&first, "tram-backup-H01.18-20200101T000002Z");
    fs::write(cut.join("tram.db"), "cut").expect("written");
    let bare = disk.join("tram-backup-of-my-photos");
    fs::create_dir(&bare).expect("made");

    let second = backup(&office, &["--keep", "2"]);
    assert!(first.exists() && second.exists(), "two are kept");
    let third = backup(&office, &["--keep", "2"]);
    assert!(!first.exists() && second.exists() && third.exists(), "the oldest one makes room");
    for kept in [&foreign, &used, &cut, &bare] {
        assert!(kept.exists(), "{} was not ours to remove", kept.display());
    }
    assert_eq!(office.ask(&["backup", "--out", text(&disk), "--keep", "0"]).status.code(), Some(2));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}

/// Not a promise of its own: the process that the next test kills.
#[test]
fn restores_until_it_is_killed() {
    let Ok(task) = std::env::var("TRAM_TEST_RESTORE") else { return };
    let task: Value = serde_json::from_str(&task).expect("JSON");
    let path = |name: &str| PathBuf::from(task[name].as_str().expect("a path"));
    let mut left = task["steps"].as_u64().expect("a count");
    let now = Millis(task["now"].as_u64().expect("a time"));
    let folder = DataFolder::new(path("data"));
    restore(&folder, &path("from"), true, now, [9; 32], &Unlock::default(), &mut |_| {
        if left == 0 {
            // As a power cut does it: nothing is closed, nothing tidied up.
            std::process::abort();
        }
        left -= 1;
    })
    .expect("restored");
}

#[test]
fn restore_killed_after_any_step_leaves_the_old_store_or_the_new_one() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    send(&office, "V/v một");
    let made = backup(&office, &[]);
    send(&office, "V/v hai");
    // What was saved last is in the log beside the store only.
    assert_eq!(office.stop("-KILL"), None);
    assert!(fs::metadata(office.data().join("tram.db-wal")).is_ok_and(|log| log.len() > 0));
    let template = office.folder.path().join("template");
    copy(&office.data(), &template);

    let (mut old, mut new) = (0, 0);
    let mut steps = 0;
    loop {
        fs::remove_dir_all(office.data()).expect("removed");
        copy(&template, &office.data());
        let task = json!({"data": office.data(), "from": made, "steps": steps, "now": 1_763_000_000_000_u64});
        let child = Command::new(std::env::current_exe().expect("a program"))
            .args(["--exact", "restores_until_it_is_killed"])
            .env("TRAM_TEST_RESTORE", task.to_string())
            .output()
            .expect("starts");
        let survived = child.status.success();
        assert!(survived || child.status.code().is_none(), "not killed: {}", said(&child));

        office.start();
        let found = (incarnation(&office) >= Incarnation::new(1, 0).number(), subjects(&office).len());
        match found {
            (false, 2) => old += 1,
            (true, 1) => new += 1,
            found => panic!("killed after step {steps}: restored and documents are {found:?}"),
        }
        assert!(!office.data().join("restore.json").exists(), "something is still unfinished");
        assert_eq!(office.stop("-TERM"), Some(0));
        office.text(&["restore", "--from", text(&made), "--replace"]);
        if survived {
            assert!(found.0, "a whole restore changed nothing");
            break;
        }
        steps += 1;
    }
    assert!(
        old >= 5 && new >= 2,
        "killed {old} times before and {new} times after the new store was in place"
    );
}

#[test]
fn damaged_store_is_refused_with_words_and_not_touched() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    for n in 0..3 {
        send(&office, &format!("V/v {n}"));
    }
    assert_eq!(office.stop("-TERM"), Some(0));
    let database = office.data().join("tram.db");
    let whole = fs::read(&database).expect("read");
    // A flipped bit in a signature, which no hash of the chain covers; one in a body; a torn page; garbage.
    type Harm = fn(&Path);
    let harms: [(Harm, &str); 4] = [
        (|database| damage(database, 2, 1), "signature of journal entry 2"),
        (|database| damage(database, 2, 100), "chain of this station's own events"),
        (
            |database| {
                let mut bytes = fs::read(database).expect("read");
                let page = 4_096 * 2;
                bytes[page..page + 4_096].fill(0xa5);
                fs::write(database, bytes).expect("written");
            },
            "",
        ),
        (|database| fs::write(database, [7; 8_192]).expect("written"), ""),
    ];
    for (number, (harm, found)) in harms.into_iter().enumerate() {
        fs::write(&database, &whole).expect("written");
        harm(&database);
        let before = store_files(&office.data());
        let vi = does_not_start(&office, &[]);
        assert!(
            vi.contains("Kho dữ liệu của trạm bị hỏng") && vi.contains("restore --from"),
            "{number}: {vi}"
        );
        assert!(vi.contains(found), "{number}: {vi}");
        let en = does_not_start(&office, &["--lang", "en"]);
        assert!(
            en.contains("The station's store is damaged") && en.contains("Nothing was overwritten"),
            "{en}"
        );
        refused(&office, &["backup", "--out", &office.path("disk")]);
        assert_eq!(
            fs::read_dir(office.path("disk")).map_or(0, Iterator::count),
            0,
            "a damaged store was sealed"
        );
        assert_eq!(store_files(&office.data()), before, "{number}: the damaged store was touched");
    }
    // It is put out of the way only when asked for, and kept.
    fs::write(&database, &whole).expect("written");
    let made = backup(&office, &[]);
    fs::write(&database, [7; 8_192]).expect("written");
    let unknown = refused(&office, &["restore", "--from", text(&made)]);
    assert!(unknown.contains("cannot be compared"), "{unknown}");
    let restored = office.json(&["restore", "--from", text(&made), "--replace"]);
    let aside = Path::new(restored["moved_aside"].as_str().expect("a path")).join("tram.db");
    assert_eq!(fs::read(aside).expect("kept"), [7; 8_192]);
    office.start();
    assert_eq!(subjects(&office).len(), 3);
}

#[test]
fn full_check_finds_what_a_start_does_not_look_at_and_the_status_shows_it() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    let document = send(&office, "V/v một");
    let status = office.text(&["--lang", "en", "status"]);
    assert!(status.contains("last full check of the store: none yet"), "{status}");
    let checked = office.json(&["verify"]);
    // The sealing key, what came into the registry when the station started, and the document.
    assert_eq!((&checked["events"], &checked["attachments"]), (&json!(3), &json!(1)), "{checked}");
    assert_eq!(office.json(&["status"])["full_check"]["broken"], json!(null));
    assert!(office.text(&["status"]).contains("3 sự kiện, 1 tệp đính kèm: nguyên vẹn"));
    assert_eq!(office.stop("-TERM"), Some(0));
    office.text(&["verify"]);

    // Given one changed letter in an attachment, which neither the pages nor the events tell.
    let mut attachments = fs::read_dir(office.data().join("content/whole")).expect("listed");
    let attachment = attachments.next().expect("one").expect("an entry").path();
    let mut bytes = fs::read(&attachment).expect("read");
    assert!(!bytes.windows(8).any(|window| window == b"%PDF-1.7"), "it lies open");
    *bytes.last_mut().expect("some") ^= 1;
    fs::write(&attachment, bytes).expect("written");
    office.start();
    let found = refused(&office, &["verify"]);
    assert!(found.contains("attachment `") && found.contains("is damaged"), "{found}");
    let status = office.text(&["status"]);
    assert!(status.contains("HỎNG"), "{status}");
    assert!(office.ask(&["show", &document]).status.success(), "reading stopped");
}

#[test]
fn full_disk_is_a_clear_refusal_and_leaves_nothing_that_looks_like_a_backup() {
    let mut office = Office::enrolled(SENDER);
    office.start();
    send(&office, "V/v một");
    let disk = office.path("small disk");
    fs::create_dir(&disk).expect("made");
    let script = "mount -t tmpfs -o size=40k tmpfs \"$1\" || exit 77
                  \"$2\" --data \"$3\" --json backup --out \"$1\"; status=$?
                  ls -A \"$1\"; exit $status";
    let output = Command::new("unshare")
        .args(["--mount", "--user", "--map-root-user", "sh", "-c", script, "sh", &disk, PROGRAM])
        .arg(office.data())
        .output();
    let output = match output {
        Ok(output) if output.status.code() != Some(77) && !said(&output).starts_with("unshare:") => output,
        other => {
            assert!(std::env::var_os("CI").is_none(), "no small disk can be made: {other:?}");
            eprintln!("left out: no small disk can be made here");
            return;
        }
    };
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let said = said(&output);
    assert!(said.contains("is full") && said.contains("bytes are needed"), "{said}");
    let listed = said.rsplit('}').next().expect("what `ls` says");
    assert_eq!(listed.trim(), "", "something was left behind");
    assert!(subjects(&office).contains("V/v một"));
}
