//! A line that breaks and comes back while nothing is new: what that costs, with few documents and with many.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::proxy::Line;
use super::town::{Station, Town, wait_for};
use super::workload::office;
use super::{Figure, Ground};

/// Documents in the small and in the large store.
const SIZES: [u64; 2] = [100, 10_000];
/// The line is quiet when nothing has gone over it for so long.
const QUIET: Duration = Duration::from_millis(1_500);
/// How long each direction takes while round trips are counted.
const DELAY: Duration = Duration::from_millis(100);
/// What NATS itself takes before the first request: the server's greeting (half a round trip), then login and
/// its answer.
const HANDSHAKE_ROUND_TRIPS: f64 = 1.5;

struct Cost {
    up: u64,
    down: u64,
    round_trips: f64,
}

pub(super) fn bench(ground: &Ground) -> Result<Vec<Figure>> {
    let folder = ground.folder()?;
    let town = Town::start(folder.path(), &[(1, "a"), (2, "a")])?;
    let line = Line::open(town.runtime(), town.address_of(1)?)?;
    let other = town.station(folder.path(), 2, None)?;
    let mut station = town.station(folder.path(), 1, Some(line.url.clone()))?;
    let mut costs = Vec::new();
    let mut written = 0;
    for size in SIZES {
        town.write(&mut station, size - written, |_| vec![office(2)])?;
        written = size;
        station.all_receipted()?;
        costs.push(reconnect(&line, &station)?);
    }
    for station in [station, other] {
        town.stop_station(station)?;
    }
    town.stop()?;
    let mut figures = Vec::new();
    for (size, cost) in SIZES.iter().zip(&costs) {
        #[expect(clippy::cast_precision_loss, reason = "some kilobytes")]
        let (up, down) = (cost.up as f64, cost.down as f64);
        figures.push(
            Figure::new(format!("reconnect, nothing new, {size} documents"), up + down, "bytes")
                .at_most(4_096.0)
                .beside("of them to the relay", up)
                .beside("from it", down),
        );
        let name = format!("reconnect until the mailbox is served, {size} documents");
        figures.push(
            Figure::new(name, (cost.round_trips - HANDSHAKE_ROUND_TRIPS).max(0.0), "round trips after login")
                // A tenth for the machine itself, out of 200 ms.
                .at_most(1.25)
                .beside("login itself", HANDSHAKE_ROUND_TRIPS),
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "some kilobytes")]
    let times = (costs[1].up + costs[1].down) as f64 / (costs[0].up + costs[0].down) as f64;
    figures.push(Figure::new("reconnect bytes with 10,000 documents to 100", times, "times").at_most(2.0));
    Ok(figures)
}

fn reconnect(line: &Line, station: &Station) -> Result<Cost> {
    let quiet = || wait_for("a quiet line", || Ok(line.silence() > QUIET));
    // What is told of the connection that was cut says nothing about the next one.
    let cut = || {
        let before = station.connected_since();
        line.cut();
        wait_until_connected(line, station, before)
    };
    quiet()?;
    cut()?;
    quiet()?;
    let (up, down) = line.bytes();
    ensure!(up > 0 && down > 0, "the station has not connected through the line");
    line.delay(DELAY);
    let took = cut()?;
    line.delay(Duration::ZERO);
    let round_trips = took.as_secs_f64() / (2.0 * DELAY.as_secs_f64());
    // Leave no connection behind that was slow.
    quiet()?;
    Ok(Cost { up, down, round_trips })
}

/// From the TCP connection on; looked at often, because some milliseconds count here.
fn wait_until_connected(line: &Line, station: &Station, before: Option<u64>) -> Result<Duration> {
    const LOOK_EVERY: Duration = Duration::from_millis(1);
    let deadline = Instant::now() + Duration::from_secs(30);
    while line.connections() == 0 {
        ensure!(Instant::now() < deadline, "the station does not connect again");
        std::thread::sleep(LOOK_EVERY);
    }
    let start = Instant::now();
    while station.connected_since().is_none_or(|since| before.is_some_and(|before| since <= before)) {
        ensure!(Instant::now() < deadline, "the station does not reach its mailbox");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(start.elapsed())
}
