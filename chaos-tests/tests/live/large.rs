//! Large attachments on their way when something between the stations breaks: a relay loses its disk, the regions cannot reach each other,
//! the relay that helps out is killed. Lines are slowed down, so that the fault comes in the middle.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Instant;

use super::country::attachment;
use super::slow_line::{commune_behind, setting};
use super::{Country, Landscape, Sending, run, wait_for};

/// At the first relay, behind the slow line.
const COMMUNE: usize = 0;
/// At the same relay, without a line between.
const OTHER: usize = 1;
/// At the second relay.
const FAR: usize = 2;
const MIB: usize = 1024 * 1024;
/// Bytes of a chunk.
const CHUNK_BYTES: u64 = 64 * 1024;
/// Longest wait for an attachment that has to be sent anew: a minute without a receipt, and the line once more.
const ANEW_SECONDS_MAX: u64 = 240;

fn large_bytes() -> usize {
    setting("TRAM_LARGE_MIB", 24) * MIB
}

/// Chunks that are here of the attachment that is on its way into a folder, at a station or a relay; and how many it has.
fn chunks_in(folder: &Path) -> Option<(u64, u64)> {
    let maps = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let map = maps.into_iter().find(|path| path.extension().is_some_and(|extension| extension == "map"))?;
    let length: u64 = map.file_stem()?.to_str()?.split_once('-')?.1.parse().ok()?;
    let here = fs::read(&map).ok()?.iter().filter(|byte| **byte == 1).count() as u64;
    Some((here, length.div_ceil(CHUNK_BYTES)))
}

/// Waits until a fifth is there, and says how much it is then.
fn in_the_middle(folder: &Path) -> (u64, u64) {
    wait_for("a fifth of the attachment", 120, || chunks_in(folder).filter(|(here, all)| here * 5 > *all))
}

fn send_large(country: &mut Country, from: usize, to: usize) -> (u64, Vec<u8>) {
    let number = country.next_document();
    let file = attachment(5_000 + number, large_bytes());
    let sent = country.press_send_with(from, &[to], number, "normal", std::slice::from_ref(&file));
    assert_eq!(sent, Sending::Saved);
    (number, file)
}

fn arrives(country: &Country, from: usize, to: usize, number: u64, file: &[u8]) {
    wait_for("the attachment and its receipt", ANEW_SECONDS_MAX, || {
        country.is_receipted(from, number).then_some(())
    });
    let (status, found) = country.attached(to, number);
    assert!(status == 200 && found == file, "status {status}, {} bytes of {}", found.len(), file.len());
}

/// The disk of the relay is empty in the middle: on the way up, and on the way down from a sender at the same relay and from one at another.
#[test]
fn attachment_arrives_although_the_relay_was_wiped_in_the_middle() {
    super::alone("live::large::attachment_arrives_although_the_relay_was_wiped_in_the_middle", || {
        let mut country = commune_behind("40mbit");
        wait_for("the line", 60, || country.is_connected(COMMUNE).then_some(()));
        for (from, to) in [(COMMUNE, FAR), (OTHER, COMMUNE), (FAR, COMMUNE)] {
            let (number, file) = send_large(&mut country, from, to);
            let contents = country.relay_folder(0).join("data/content");
            let (here, all) = match from {
                COMMUNE => {
                    let uploads = wait_for("an upload", 60, || {
                        let uploads = fs::read_dir(contents.join("part")).ok()?.flatten();
                        uploads.map(|entry| entry.path()).find(|path| chunks_in(path).is_some())
                    });
                    in_the_middle(&uploads)
                }
                _ => in_the_middle(&country.station_folder(COMMUNE).join("content/part")),
            };
            country.kill_relay(0);
            let began = Instant::now();
            assert!(!country.is_receipted(from, number), "it was there before the relay was wiped");
            country.wipe_relay(0);
            assert_eq!(chunks_in(&contents.join("part/peers")), None);
            country.start_relay(0);
            arrives(&country, from, to, number, &file);
            println!(
                "from {from} to {to}: wiped with {here} of {all} chunks over the line, there {:.1} s later",
                began.elapsed().as_secs_f64()
            );
            assert!(here < all, "the relay was wiped too late: {here} of {all}");
        }
        country.judge();
    });
}

/// Three relays in namespaces of their own on one bridge; the line of the third one has this rate in each direction.
fn three_regions(rate: &str) -> Country {
    run("ip link add hub type bridge");
    run("ip addr add 10.77.0.254/24 dev hub");
    run("ip link set hub up");
    for (n, name) in (1..).zip(["first", "second", "third"]) {
        run(&format!("ip netns add {name}"));
        run(&format!("ip link add to-{name} type veth peer name line netns {name}"));
        run(&format!("ip link set to-{name} master hub"));
        run(&format!("ip link set to-{name} up"));
        run(&format!("ip -n {name} addr add 10.77.0.{n}/24 dev line"));
        run(&format!("ip -n {name} link set line up"));
        run(&format!("ip -n {name} link set lo up"));
    }
    run(&format!("tc qdisc add dev to-third root tbf rate {rate} burst 4kb latency 500ms"));
    run(&format!("ip netns exec third tc qdisc add dev line root tbf rate {rate} burst 4kb latency 500ms"));
    let address = |n| Ipv4Addr::new(10, 77, 0, n).into();
    Country::start_in(&Landscape {
        relays: [address(1), address(2)],
        namespaces: [Some("first"), Some("second")],
        third_relay: Some((address(3), "third")),
        ..Landscape::default()
    })
}

/// Nothing passes between the first two regions any more, in either direction.
fn cut_between_the_first_two() {
    for (name, other) in [("first", "10.77.0.2"), ("second", "10.77.0.1")] {
        run(&format!("ip netns exec {name} nft add table inet cut"));
        run(&format!(
            "ip netns exec {name} nft add chain inet cut out {{ type filter hook output priority 0 ; }}"
        ));
        run(&format!("ip netns exec {name} nft add rule inet cut out ip daddr {other} drop"));
    }
}

#[test]
fn attachment_takes_the_way_over_a_third_relay_which_is_killed_in_the_middle() {
    let name = "live::large::attachment_takes_the_way_over_a_third_relay_which_is_killed_in_the_middle";
    super::alone(name, || {
        let mut country = three_regions("24mbit");
        country.send_all_around();
        country.settle();
        cut_between_the_first_two();
        wait_for("both relays to notice", 90, || {
            (!country.are_linked(0, 1) && !country.are_linked(1, 0)).then_some(())
        });
        let third = country.relay_folder(2).join("data/content");
        let attachments = |folder: &Path| fs::read_dir(folder).map_or(0, Iterator::count);
        for killed in [false, true] {
            let before = attachments(&third.join("whole"));
            let (number, file) = send_large(&mut country, COMMUNE, FAR);
            let began = Instant::now();
            if killed {
                in_the_middle(&third.join("part/peers"));
                country.kill_relay(2);
                let (here, all) = chunks_in(&third.join("part/peers")).expect("an attachment on its way");
                assert!(here > 0 && here < all, "the third relay was killed too late: {here} of {all}");
                assert!(!country.is_receipted(COMMUNE, number));
                println!("the third relay is killed with {here} of {all} chunks");
                country.start_relay(2);
            }
            arrives(&country, COMMUNE, FAR, number, &file);
            println!("over the third relay after {:.1} s", began.elapsed().as_secs_f64());
            assert_eq!(attachments(&third.join("whole")), before + 1, "it took another way");
            assert!(!country.are_linked(0, 1) && !country.are_linked(1, 0), "the line was not cut");
        }
        country.send_all_around();
        country.settle();
        country.judge();
    });
}
