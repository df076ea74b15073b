//! The files of attachments at a station that is killed while it writes them, and on disks that are full or fail.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::country::{SUBJECT, attachment, files_with};
use super::slow_line::setting;
use super::{Country, Landscape, Sending, alone, run, small_disk, wait_for};

/// More chunks than a station writes before it has the disk keep them.
const BYTES: usize = 5 * 1024 * 1024;
const MIB: u64 = 1024 * 1024;
const WRITE: &str = "write,pwrite64";
const SYNC: &str = "fsync,fdatasync";
const RENAME: &str = "rename,renameat,renameat2";
const REMOVE: &str = "unlink,unlinkat";

/// A tracer that does this to the N-th of these calls on one of these paths, in whatever thread makes so many.
fn tracer(paths: &[PathBuf], calls: &str, what: &str, when: &str) -> Vec<String> {
    let mut words: Vec<String> = ["strace", "-f", "-qq", "-o", "/dev/null"].map(str::to_owned).into();
    for path in paths {
        words.extend(["-P".to_owned(), path.display().to_string()]);
    }
    words.extend(["-e".to_owned(), format!("trace={calls}")]);
    words.extend(["-e".to_owned(), format!("inject={calls}:{what}:when={when}")]);
    words
}

fn start_under(country: &mut Country, station: usize, tracer: &[String]) {
    let tracer: Vec<&str> = tracer.iter().map(String::as_str).collect();
    assert!(country.start_station_under(station, &tracer), "killed before its door was open");
}

fn content(country: &Country, station: usize) -> PathBuf {
    country.station_folder(station).join("content")
}

fn names(folder: &Path) -> Vec<String> {
    let listed = fs::read_dir(folder).expect("a folder").flatten();
    listed.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Whatever happened: what has its final name is what it says, and nothing lies there in the clear.
fn look_at(contents: &Path) {
    for name in names(&contents.join("whole")) {
        let bytes = fs::read(contents.join("whole").join(&name)).expect("readable");
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, name, "a file in place is not what its name says");
    }
    assert_eq!(files_with(contents, SUBJECT), Vec::<PathBuf>::new(), "something lies there in the clear");
}

#[test]
fn station_killed_while_it_seals_a_file_has_all_of_it_or_nothing() {
    let mut country = Country::start();
    let station = 0;
    let kills = [
        (WRITE, "40"),
        (SYNC, "1"),
        (RENAME, "1"),
        // The folder, after the name is there.
        (SYNC, "2"),
        (WRITE, "1"),
        (WRITE, "2"),
        (WRITE, "80"),
    ];
    let kills = kills.into_iter().take(setting("TRAM_KILLS", 4));
    let mut sent = Vec::new();
    for (calls, when) in kills {
        country.stop_station(station);
        let contents = content(&country, station);
        let before = names(&contents.join("whole")).len();
        let paths = [contents.join("new/0"), contents.join("whole")];
        start_under(&mut country, station, &tracer(&paths, calls, "signal=SIGKILL", when));
        let number = country.next_document();
        let file = attachment(7_000 + number, BYTES);
        let press = |country: &mut Country| {
            country.press_send_with(station, &[1, 2], number, "normal", std::slice::from_ref(&file))
        };
        assert_eq!(press(&mut country), Sending::Unknown, "not killed at {calls} number {when}");
        wait_for("the killed station to be gone", 10, || country.station_ended(station).then_some(()));
        country.bury_station(station);
        look_at(&contents);
        let in_place = names(&contents.join("whole")).len() - before;
        assert_eq!(in_place, usize::from((calls, when) == (SYNC, "2")), "at {calls} number {when}");
        country.start_station(station);
        assert_eq!(
            names(&contents.join("new")),
            Vec::<String>::new(),
            "what nobody waits for is still there"
        );
        // The clerk does not know, and presses again.
        assert_eq!(press(&mut country), Sending::Saved);
        sent.push((number, file));
    }
    country.settle();
    for (number, file) in sent {
        for to in [station, 1, 2] {
            assert!(country.attached(to, number) == (200, file.clone()), "document {number} at {to}");
        }
    }
    look_at(&content(&country, station));
    country.judge();
}

/// What a sender has sealed last, by hash and length: as its recipients' files will be called.
fn sealed_last(country: &Country, station: usize, before: &[String]) -> (String, u64) {
    let whole = content(country, station).join("whole");
    let name = names(&whole).into_iter().find(|name| !before.contains(name)).expect("one that is new");
    let length = fs::metadata(whole.join(&name)).expect("a file").len();
    (name, length)
}

#[test]
fn station_killed_while_an_attachment_comes_in_shows_nothing_and_then_all_of_it() {
    let mut country = Country::start();
    let (station, sender) = (0, 1);
    // Chunks, the note of those that the disk keeps, the name in place, and what is left behind then.
    let kills = [
        ("part", WRITE, "5"),
        ("part", SYNC, "1"),
        ("map", WRITE, "30"),
        ("part", RENAME, "1"),
        ("whole", SYNC, "1"),
        ("part", WRITE, "1"),
        ("map", WRITE, "1"),
        ("map", REMOVE, "1"),
    ];
    let kills = kills.into_iter().take(setting("TRAM_KILLS", 5));
    for (what, calls, when) in kills {
        country.stop_station(station);
        let before = names(&content(&country, sender).join("whole"));
        let number = country.next_document();
        let file = attachment(8_000 + number, BYTES);
        let sent = country.press_send_with(sender, &[station], number, "normal", std::slice::from_ref(&file));
        assert_eq!(sent, Sending::Saved);
        let (hash, length) = sealed_last(&country, sender, &before);
        let contents = content(&country, station);
        let part = contents.join("part").join(format!("{hash}-{length}"));
        let path = match what {
            "part" => part.clone(),
            "map" => part.with_extension("map"),
            _ => contents.join("whole"),
        };
        start_under(&mut country, station, &tracer(&[path], calls, "signal=SIGKILL", when));
        wait_for("the station to be killed", 60, || {
            assert!(!country.is_receipted(sender, number), "not killed at {what}: {calls} number {when}");
            country.station_ended(station).then_some(())
        });
        country.bury_station(station);
        look_at(&contents);
        country.start_station(station);
        wait_for("the attachment and its receipt", 120, || {
            if country.get(station, "/status").is_some_and(|status| status["awaited_attachments"] == 1) {
                let (status, bytes) = country.attached(station, number);
                assert!(status != 200 || bytes == file, "a part is shown");
            }
            country.is_receipted(sender, number).then_some(())
        });
        assert!(country.attached(station, number) == (200, file), "after {what}: {calls} number {when}");
        assert_eq!(
            names(&contents.join("part")),
            Vec::<String>::new(),
            "after {what}: {calls} number {when}"
        );
        look_at(&contents);
    }
    country.settle();
    country.judge();
}

/// Fills a disk but for these bytes.
fn fill_but(ballast: &Path, free: u64) {
    let mut file = fs::File::create(ballast).expect("made");
    let zeroes = vec![0_u8; 1 << 18];
    while file.write_all(&zeroes).and_then(|()| file.sync_data()).is_ok() {}
    let length = file.metadata().expect("its length").len();
    file.set_len(length - free).and_then(|()| file.sync_all()).expect("cut");
}

#[test]
fn attachments_wait_for_room_on_a_full_disk_in_either_direction() {
    alone("live::content_files::attachments_wait_for_room_on_a_full_disk_in_either_direction", || {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = small_disk(folder.path(), 256 * MIB);
        let (station, sender) = (0, 1);
        let mut country = Country::start_in(&Landscape {
            first_station: Some(mount.join("station")),
            ..Landscape::default()
        });
        country.send_all_around();
        country.settle();
        let ballast = mount.join("ballast");
        fill_but(&ballast, 24 * MIB);
        let contents = content(&country, station);
        // What comes in has no room.
        let (number, file) = (country.next_document(), attachment(9_000, 24 * 1024 * 1024));
        let sent = country.press_send_with(sender, &[station], number, "normal", std::slice::from_ref(&file));
        assert_eq!(sent, Sending::Saved);
        let log = country.station_log(station);
        wait_for("the station to say so", 60, || {
            fs::read_to_string(&log).expect("a log").contains("is not kept").then_some(())
        });
        // Neither has what is to go out, and its clerk is told so.
        let (upload, uploaded) = (country.next_document(), attachment(9_001, 20 * 1024 * 1024));
        let press = |country: &mut Country| {
            country.press_send_with(station, &[1, 2], upload, "normal", std::slice::from_ref(&uploaded))
        };
        assert_eq!(press(&mut country), Sending::Refused(507));
        assert_eq!(names(&contents.join("new")), Vec::<String>::new(), "a part of it is left");
        let room = country.get(station, "/status").expect("it runs")["attachment_room_bytes"].as_u64();
        assert!(room.is_some_and(|room| room < MIB), "{room:?} bytes are said to be left");
        // Everything else goes on: attachments leave room for it.
        for (from, to) in [(station, 3), (2, station)] {
            let other = country.next_document();
            assert_eq!(country.press_send_with(from, &[to], other, "normal", &[]), Sending::Saved);
            wait_for("a document and its receipt", 60, || country.is_receipted(from, other).then_some(()));
        }
        assert_eq!(country.attached(station, number).0, 409, "it is shown before it is here");
        assert!(!country.is_receipted(sender, number));
        look_at(&contents);

        fs::remove_file(&ballast).expect("space is freed");
        wait_for("the station to take the file", 90, || {
            (press(&mut country) == Sending::Saved).then_some(())
        });
        wait_for("the attachment and its receipt", 180, || {
            country.is_receipted(sender, number).then_some(())
        });
        assert!(country.attached(station, number) == (200, file));
        country.send_all_around();
        country.settle();
        assert!(country.attached(2, upload) == (200, uploaded));
        look_at(&contents);
        country.judge();
        run(&format!("umount {}", mount.display()));
    });
}

#[test]
fn relay_without_room_for_attachments_still_carries_mail() {
    alone("live::content_files::relay_without_room_for_attachments_still_carries_mail", || {
        let mut country = Country::start();
        country.send_all_around();
        country.settle();
        // Its disk is another one, small and empty.
        country.kill_relay(0);
        let folder = tempfile::tempdir().expect("a folder");
        let mount = small_disk(folder.path(), 352 * MIB);
        let data = country.relay_folder(0).join("data");
        run(&format!("mount --bind {} {}", mount.display(), data.display()));
        country.put_relay_keys_back(0);
        country.start_relay(0);
        country.send_all_around();
        country.settle();

        let (number, file) = (country.next_document(), attachment(9_100, 96 * 1024 * 1024));
        let sent = country.press_send_with(0, &[2], number, "normal", std::slice::from_ref(&file));
        assert_eq!(sent, Sending::Saved);
        wait_for("the relay's operator to be told that there is no room", 120, || {
            let said = fs::read_to_string(country.relay_log(0)).expect("a log");
            said.contains("must make room").then_some(())
        });
        // Documents, their small attachments and their receipts pass all the same.
        let mut others = Vec::new();
        for (from, to) in [(1, 3), (3, 1), (2, 0), (1, 0)] {
            let other = country.next_document();
            assert_eq!(country.press_send_with(from, &[to], other, "normal", &[]), Sending::Saved);
            others.push((from, other));
        }
        for (from, other) in others {
            wait_for("a document and its receipt", 60, || country.is_receipted(from, other).then_some(()));
        }
        assert!(!country.is_receipted(0, number), "there was room");
        let why = country.get(0, &country.why_of(number)).expect("it is told");
        println!("told to the sender: {why}");

        // A larger disk.
        country.kill_relay(0);
        run(&format!("umount {}", data.display()));
        country.wipe_relay(0);
        country.start_relay(0);
        wait_for("the attachment and its receipt", 200, || country.is_receipted(0, number).then_some(()));
        assert!(country.attached(2, number) == (200, file));
        country.settle();
        country.judge();
        run(&format!("umount {}", mount.display()));
    });
}
