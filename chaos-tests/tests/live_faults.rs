//! Real `tram-node`, `tram-relay` and `nats-server` processes under real faults. Every test sends through the clerk's
//! door, breaks something, lets the country settle and judges the stores of all stations.
//!
//! Runs alone: `cargo nextest run --package chaos-tests --profile live`, after the programs were built with
//! `cargo build --package node --package relay --bins`. Clocks and lines are real, so a line is cut for a minute here;
//! days of it are for the simulation.
//!
//! Longer runs by hand: `TRAM_CUTS=50` (breaks of a line during an attachment that is as long as they take, 17 minutes), `TRAM_BACKLOG_MIB=2048` (what an
//! express document overtakes, five minutes), `TRAM_LARGE_MIB=256` (attachments between relays that fail), `TRAM_KILLS=8` (every place at
//! which a station is killed while it writes an attachment).

mod live;

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use live::{Country, Doubler, Landscape, Sending, alone, run, small_disk, wait_for};

/// Longest wait until mail is where it should be, in seconds.
const MAIL_SECONDS_MAX: u64 = 60;

#[test]
fn relay_killed_in_the_middle_loses_and_doubles_nothing() {
    let mut country = Country::start();
    for round in 0..3 {
        country.send_all_around();
        country.kill_relay(round % 2);
        country.send_all_around();
        country.start_relay(round % 2);
        country.send_all_around();
    }
    country.settle();
    country.judge();
}

#[test]
fn relay_whose_disk_was_wiped_is_refilled_by_the_nodes() {
    let mut country = Country::start();
    let (sleeper, writers) = (3, [0, 1, 2]);
    country.send_all_around();
    country.settle();
    country.stop_station(sleeper);
    for from in writers {
        country.send(from, &[sleeper]);
        country.send(from, &[sleeper]);
    }
    wait_for("the sleeper's mail in its mailbox", MAIL_SECONDS_MAX, || {
        (country.mailbox(sleeper) >= 6).then_some(())
    });
    country.kill_relay(1);
    country.wipe_relay(1);
    country.send(2, &[0, 1]);
    country.start_relay(1);
    assert_eq!(country.mailbox(sleeper), 0, "the disk was not wiped");
    country.start_station(sleeper);
    country.send_all_around();
    country.settle();
    country.judge();
}

#[test]
fn relay_whose_streams_were_rolled_back_skips_and_doubles_nothing() {
    let mut country = Country::start();
    let sleeper = 3;
    country.send_all_around();
    country.settle();
    country.stop_station(sleeper);
    for from in [0, 1, 2] {
        country.send(from, &[sleeper]);
    }
    wait_for("the first half in the mailbox", MAIL_SECONDS_MAX, || {
        (country.mailbox(sleeper) >= 3).then_some(())
    });
    country.kill_relay(1);
    let (streams, copy) = (country.streams(1), country.streams(1).with_extension("half"));
    copy_folder(&streams, &copy);
    country.start_relay(1);
    for from in [0, 1, 2] {
        country.send(from, &[sleeper]);
        country.send(from, &[sleeper]);
    }
    wait_for("the second half in the mailbox", MAIL_SECONDS_MAX, || {
        (country.mailbox(sleeper) >= 9).then_some(())
    });
    country.start_station(sleeper);
    country.settle();
    country.send_all_around();

    country.kill_relay(1);
    fs::remove_dir_all(&streams).expect("removed");
    fs::rename(&copy, &streams).expect("rolled back");
    country.start_relay(1);
    country.send_all_around();
    country.settle();
    country.judge();
}

#[test]
fn flipped_bit_in_a_stream_file_loses_nothing() {
    let mut country = Country::start();
    let sleeper = 3;
    country.send_all_around();
    country.settle();
    country.stop_station(sleeper);
    let sends = 8;
    for _ in 0..sends {
        for from in [0, 1, 2] {
            country.send(from, &[sleeper]);
        }
    }
    let before = wait_for("the sleeper's mail in its mailbox", MAIL_SECONDS_MAX, || {
        Some(country.mailbox(sleeper)).filter(|events| *events >= 3 * sends)
    });
    country.kill_relay(1);
    flip_a_bit_in_the_middle(&largest_block(&country.streams(1).join("jetstream/CORE/streams/DN")));
    country.start_relay(1);
    let after = country.mailbox(sleeper);
    assert!(after < before, "the server noticed nothing: {before} events before, {after} after");
    println!("one bit took {} of {before} events out of a mailbox", before - after);
    country.start_station(sleeper);
    country.send_all_around();
    country.settle();
    country.judge();
}

#[test]
fn keys_change_are_stolen_and_lost_while_mail_goes_on_and_a_strange_one_is_an_alarm() {
    let mut country = Country::start();
    let station = 0;
    country.send_all_around();

    // The present key announces the next one; the certificate comes later, with the registry of a relay.
    let second = country.make_next_key(station);
    country.stop_station(station);
    country.start_station(station);
    country.send_all_around();
    country.renew(station, &second);
    country.hand_out();
    country.carry_registry(station);
    wait_for("the station to sign with its second key", MAIL_SECONDS_MAX, || {
        country.send(station, &[1]);
        country.signs_with(station, &second).then_some(())
    });
    country.send_all_around();
    country.settle();

    // It is stolen: revoked first, replaced afterwards.
    let third = country.make_next_key(station);
    country.replace_key(station, &third);
    country.stop_station(station);
    country.hand_out();
    country.start_station(station);
    wait_for("the station to sign with its third key", MAIL_SECONDS_MAX, || {
        country.signs_with(station, &third).then_some(())
    });
    country.send_all_around();
    country.settle();
    let before: Vec<u64> = (0..4).map(|station| country.contested_keys(station)).collect();
    assert_eq!(before, [0; 4], "somebody mistrusts a key that was announced, or followed a stolen one");

    // Another station's disk lost its key file, with documents that nobody has receipted yet.
    country.kill_relay(1);
    country.send(2, &[0, 1, 3]);
    country.stop_station(2);
    let found = country.lose_key(2);
    country.replace_key(2, &found);
    country.start_relay(1);
    country.hand_out();
    country.carry_registry(2);
    country.start_station(2);
    country.send_all_around();
    country.settle();

    // A key that nobody announced, beside one that counts.
    country.certify_strange_key(1);
    country.hand_out();
    (0..4).for_each(|station| country.carry_registry(station));
    wait_for("everybody to be warned", MAIL_SECONDS_MAX, || {
        let stations = (0..4).all(|station| country.contested_keys(station) == 1);
        (stations && (0..2).all(|relay| country.relay_alarms_of_contested_key(relay))).then_some(())
    });
    country.send_all_around();
    country.settle();
    country.judge();
}

#[test]
fn frozen_relay_leaves_unknown_outcomes_and_no_doubles() {
    let mut country = Country::start();
    country.send_all_around();
    country.relay_process(1).freeze();
    let thaw_at = Instant::now() + Duration::from_secs(10);
    let before = country.incoming(3);
    for _ in 0..8 {
        country.send_all_around();
    }
    // How long it is frozen is the fault, not a way to wait for something.
    wait_for("the end of the frost", 11, || (Instant::now() >= thaw_at).then_some(()));
    assert!(country.incoming(3) <= before + 4, "the relay went on while it was frozen");
    country.relay_process(1).thaw();
    country.settle();
    country.judge();
}

#[test]
fn station_killed_at_any_write_keeps_what_it_answered_for() {
    let mut country = Country::start();
    let (station, others) = (0, [1, 2, 3]);
    let mut killed_while_open = 0;
    country.stop_station(station);
    // A start takes some twenty writes: half of these kill it before its door is open.
    for write in [1, 2, 4, 7, 11, 16, 23, 31, 42, 57, 76, 101] {
        if !start_to_be_killed_at(&mut country, station, write) {
            country.bury_station(station);
            continue;
        }
        killed_while_open += 1;
        // Mail comes in while its clerk sends: whichever writes, the N-th write is the last.
        let mut pressed = Vec::new();
        while !country.station_ended(station) {
            country.send(1, &[station]);
            let document = country.next_document();
            pressed.push((document, country.press_send(station, &others, document)));
        }
        country.bury_station(station);
        country.start_station(station);
        for (document, sending) in pressed {
            assert!(!matches!(sending, Sending::Refused(_)), "{sending:?}");
            if sending == Sending::Unknown {
                // The clerk does not know, and presses again.
                assert_eq!(country.press_send(station, &others, document), Sending::Saved);
            }
        }
        country.stop_station(station);
    }
    assert!(killed_while_open >= 5, "only {killed_while_open} stations died after their doors were open");
    country.start_station(station);
    country.settle();
    country.judge();
}

#[test]
fn every_message_published_twice_is_taken_once() {
    let mut country = Country::start();
    let doublers: Vec<Doubler> = (0..2)
        .map(|relay| {
            let (url, seed) = country.stolen_login(relay);
            Doubler::start(&url, seed)
        })
        .collect();
    for _ in 0..5 {
        country.send_all_around();
    }
    country.settle();
    let copies: u64 = doublers.iter().map(Doubler::copies).sum();
    assert!(copies >= 20, "only {copies} copies were made");
    println!("{copies} copies were published");
    drop(doublers);
    country.judge();
}

#[test]
fn courier_who_brings_everything_again_and_again_changes_nothing() {
    let mut country = Country::start();
    country.send_all_around();
    country.settle();
    for relay in 0..2 {
        country.kill_relay(relay);
    }
    for _ in 0..4 {
        country.send_all_around();
    }
    let files: Vec<Vec<u8>> = (0..4).map(|station| country.courier_file(station)).collect();
    let recipients = [3, 2, 1];
    for (round, to) in recipients.into_iter().enumerate() {
        let new = country.carry_to_station(to, &files[0]);
        assert_eq!(new, 4, "round {round}: all four documents are new to station {to}");
        assert_eq!(country.carry_to_station(to, &files[0]), 0, "the second time nothing is new");
    }
    for relay in 0..2 {
        country.start_relay(relay);
        for file in files.iter().chain(&files) {
            country.carry_to_relay(relay, file).expect("taken over");
        }
    }
    country.settle();
    for to in recipients {
        assert_eq!(country.carry_to_station(to, &files[0]), 0);
    }
    country.judge();
}

#[test]
fn line_that_was_cut_is_used_again_within_seconds() {
    alone("line_that_was_cut_is_used_again_within_seconds", || {
        run("ip netns add far");
        run("ip link add near0 type veth peer name far0 netns far");
        run("ip addr add 10.77.0.1/24 dev near0");
        run("ip link set near0 up");
        run("ip -n far addr add 10.77.0.2/24 dev far0");
        run("ip -n far link set far0 up");
        run("ip -n far link set lo up");
        let mut country = Country::start_in(&Landscape {
            relays: [Ipv4Addr::new(10, 77, 0, 1).into(), Ipv4Addr::new(10, 77, 0, 2).into()],
            namespaces: [None, Some("far")],
            ..Landscape::default()
        });
        country.send_all_around();
        country.settle();

        let far = [2, 3];
        run("ip netns exec far nft add table inet cut");
        run("ip netns exec far nft add chain inet cut in { type filter hook input priority 0 ; }");
        run("ip netns exec far nft add rule inet cut in iifname far0 drop");
        let cut = Instant::now();
        for _ in 0..3 {
            country.send_all_around();
        }
        // A black hole answers nothing, so it takes unanswered pings to notice.
        wait_for("the stations to notice", 90, || {
            far.iter().all(|station| !country.is_connected(*station)).then_some(())
        });
        println!("the cut was noticed after {:.1} s", cut.elapsed().as_secs_f64());
        country.send_all_around();
        let (found, expected) = country.receipts();
        assert!(found < expected, "the line was not cut: {found} of {expected} receipts");

        run("ip netns exec far nft delete table inet cut");
        let healed = Instant::now();
        wait_for("the stations to be back", 30, || {
            far.iter().all(|station| country.is_connected(*station)).then_some(())
        });
        let back = healed.elapsed();
        country.settle();
        println!(
            "after {:.0} s without a line: connected {:.2} s after it was back, last receipt after {:.1} s",
            (healed - cut).as_secs_f64(),
            back.as_secs_f64(),
            healed.elapsed().as_secs_f64()
        );
        assert!(back < Duration::from_secs(5), "{back:?}");
        country.judge();
    });
}

#[test]
fn station_with_a_full_disk_refuses_with_words_and_loses_nothing() {
    alone("station_with_a_full_disk_refuses_with_words_and_loses_nothing", || {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = small_disk(folder.path(), 32 * 1024 * 1024);
        let station = 0;
        let mut country = Country::start_in(&Landscape {
            first_station: Some(mount.join("station")),
            ..Landscape::default()
        });
        country.send_all_around();
        country.settle();

        let ballast = mount.join("ballast");
        fill(&ballast);
        let mut pressed = Vec::new();
        // The write-ahead log has room that it took earlier; a full disk shows when that is used up.
        let refused = loop {
            let document = country.next_document();
            let sending = country.press_send(station, &[1, 2, 3], document);
            pressed.push(document);
            if sending != Sending::Saved {
                break sending;
            }
            assert!(pressed.len() < 500, "the disk never became full");
        };
        assert_eq!(refused, Sending::Refused(507));
        country.send(1, &[station]);
        country.receipts(); // reading goes on

        fs::remove_file(&ballast).expect("space is freed");
        let last = *pressed.last().expect("one was refused");
        wait_for("the station to take documents again", 90, || {
            (country.press_send(station, &[1, 2, 3], last) == Sending::Saved).then_some(())
        });
        country.send_all_around();
        country.settle();
        println!("{} documents were saved before the disk was full", pressed.len() - 1);
        country.judge();
        run(&format!("umount {}", mount.display()));
    });
}

/// Starts a station that is killed at its N-th write to the log of its store; `false` when that came before its door
/// was open.
fn start_to_be_killed_at(country: &mut Country, station: usize, write: u32) -> bool {
    let log = country.station_folder(station).join("tram.db-wal").display().to_string();
    let inject = format!("inject=write,pwrite64:signal=SIGKILL:when={write}");
    let strace =
        ["strace", "-f", "-qq", "-o", "/dev/null", "-P", &log, "-e", "trace=write,pwrite64", "-e", &inject];
    country.start_station_under(station, &strace)
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status().expect("`cp` of coreutils");
    assert!(copied.success());
}

/// The largest file of messages below a stream's folder.
fn largest_block(stream: &Path) -> PathBuf {
    let entries = fs::read_dir(stream.join("msgs")).expect("a stream on disk").flatten();
    let blocks =
        entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "blk"));
    blocks.max_by_key(|path| fs::metadata(path).map_or(0, |file| file.len())).expect("a block")
}

fn flip_a_bit_in_the_middle(path: &Path) {
    let mut bytes = fs::read(path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("written");
}

/// Writes until nothing fits any more.
fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("made");
    for size in [1 << 20, 1 << 12] {
        let zeroes = vec![0_u8; size];
        while file.write_all(&zeroes).and_then(|()| file.sync_data()).is_ok() {}
    }
}
