//! Attachments over slow lines that break: real processes, one station in a network namespace of its own behind a line that the kernel
//! slows down (token bucket) and cuts.

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::country::attachment;
use super::{Country, Landscape, Sending, alone, run, wait_for};

/// Behind the slow line.
const COMMUNE: usize = 0;
/// At the same relay, without a line between.
const OTHER: usize = 1;
const MIB: usize = 1024 * 1024;

/// A number from the environment, for longer runs by hand.
pub(super) fn setting(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().map_or(usual, |text| text.parse().expect("a number"))
}

/// The country with the first station behind a line of this rate in each direction; its clerk has a line of his own.
pub(super) fn commune_behind(rate: &str) -> Country {
    run("ip netns add commune");
    for (near, far, net) in [("slow0", "slow1", "10.77.0"), ("desk0", "desk1", "10.78.0")] {
        run(&format!("ip link add {near} type veth peer name {far} netns commune"));
        run(&format!("ip addr add {net}.1/24 dev {near}"));
        run(&format!("ip -n commune addr add {net}.2/24 dev {far}"));
        run(&format!("ip link set {near} up"));
        run(&format!("ip -n commune link set {far} up"));
    }
    run("ip -n commune link set lo up");
    run(&format!("tc qdisc add dev slow0 root tbf rate {rate} burst 4kb latency 500ms"));
    run(&format!(
        "ip netns exec commune tc qdisc add dev slow1 root tbf rate {rate} burst 4kb latency 500ms"
    ));
    Country::start_in(&Landscape {
        relays: [Ipv4Addr::new(10, 77, 0, 1).into(), Ipv4Addr::LOCALHOST.into()],
        first_station_in: Some(("commune", Ipv4Addr::new(10, 78, 0, 2).into())),
        ..Landscape::default()
    })
}

/// Bytes that have come over the line to the commune, and gone the other way.
fn line_bytes() -> (u64, u64) {
    let counters = fs::read_to_string("/proc/net/dev").expect("the counters of this namespace");
    let line = counters.lines().find_map(|line| line.trim().strip_prefix("slow0:")).expect("the line");
    let counter =
        |n: usize| line.split_whitespace().nth(n).and_then(|text| text.parse().ok()).expect("a number");
    // Received is what the commune has sent.
    (counter(8), counter(0))
}

fn send(country: &mut Country, from: usize, to: usize, urgency: &str, files: &[Vec<u8>]) -> u64 {
    let number = country.next_document();
    let sent = country.press_send_with(from, &[to], number, urgency, files);
    assert_eq!(sent, Sending::Saved);
    number
}

/// An express document with 200 kB overtakes hours of bulk in either direction: it is there and receipted within a minute.
#[test]
fn express_overtakes_a_backlog_on_a_line_of_64_kbit() {
    alone("live::slow_line::express_overtakes_a_backlog_on_a_line_of_64_kbit", || {
        let mut country = commune_behind("64kbit");
        wait_for("the line", 60, || country.is_connected(COMMUNE).then_some(()));
        let bulk = setting("TRAM_BACKLOG_MIB", 128) * MIB / 4;
        for (from, to) in [(OTHER, COMMUNE), (COMMUNE, OTHER)] {
            for n in 0..2 {
                send(&mut country, from, to, "normal", &[attachment(1_000 + n + from as u64 * 10, bulk)]);
            }
        }
        let (down, up) = line_bytes();
        wait_for("the backlog to flow both ways", 120, || {
            let (now_down, now_up) = line_bytes();
            (now_down > down + 300_000 && now_up > up + 300_000).then_some(())
        });
        for (from, to) in [(OTHER, COMMUNE), (COMMUNE, OTHER)] {
            let began = Instant::now();
            let express =
                send(&mut country, from, to, "express", &[attachment(2_000 + from as u64, 200_000)]);
            wait_for("an express document and its receipt", 120, || {
                country.is_receipted(from, express).then_some(())
            });
            let took = began.elapsed();
            println!(
                "express with 200 kB from {from} to {to} behind the backlog: {:.1} s",
                took.as_secs_f64()
            );
            assert!(took < Duration::from_secs(60), "{took:?} from {from} to {to}");
        }
        assert!(country.awaited(COMMUNE) > 0, "the backlog was gone before");
    });
}

/// What a line that breaks again and again makes the relay send twice.
#[test]
fn attachment_goes_on_where_the_line_broke() {
    alone("live::slow_line::attachment_goes_on_where_the_line_broke", || {
        let cuts = setting("TRAM_CUTS", 4);
        let each = Duration::from_secs(8);
        let mut country = commune_behind("10mbit");
        wait_for("the line", 60, || country.is_connected(COMMUNE).then_some(()));
        let mut carry = |length: usize, cuts: usize| {
            let before = line_bytes().0;
            let number = country.next_document();
            let file = [attachment(3_000 + number, length)];
            let sent = country.press_send_with(OTHER, &[COMMUNE], number, "normal", &file);
            assert_eq!(sent, Sending::Saved);
            let (mut done, mut cut_at) = (0, Instant::now() + each);
            wait_for("the attachment", 60 + (length / 800_000 + cuts * 4) as u64, || {
                if done < cuts && Instant::now() >= cut_at {
                    // Both ends are told that the connection is gone, as a router does that has forgotten it.
                    run("nft add table inet cut");
                    run("nft add chain inet cut in { type filter hook input priority 0 ; }");
                    run("nft add rule inet cut in iifname slow0 tcp dport 1-65535 reject with tcp reset");
                    std::thread::sleep(Duration::from_millis(500));
                    run("nft delete table inet cut");
                    (done, cut_at) = (done + 1, Instant::now() + each);
                }
                country.is_receipted(OTHER, number).then_some(())
            });
            assert_eq!(done, cuts, "the attachment was there before the line had broken often enough");
            line_bytes().0 - before
        };
        let length = (cuts + 1) * 9 * MIB;
        let (whole, broken) = (carry(length, 0), carry(length, cuts));
        let twice = (broken as f64 - whole as f64) / whole as f64 * 100.0;
        println!(
            "{length} bytes: {whole} over the line in one go, {broken} with {cuts} cuts: {twice:.2} % more"
        );
        assert!(twice < 2.0, "{twice:.2} % was sent twice");
        country.judge();
    });
}
