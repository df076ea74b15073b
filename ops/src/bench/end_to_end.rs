//! From a clerk's letter through two relays to the recipient's store, and its receipt back. Everything runs
//! on this machine: three stations' worth of disk writes, two relays and two NATS servers share its cores.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_nats::jetstream;
use futures_util::StreamExt as _;
use futures_util::stream;
use schema::pack::PACK_EVENTS_MAX;
use tokio::runtime::Runtime;

use super::town::{Station, Town, free_port, nats_server, wait_for};
use super::workload::{Span, Stopwatch, cpu_us, office, rate};
use super::{Figure, Ground};

const SENDER: u8 = 1;
/// Recipients in the other region.
const RECIPIENTS: std::ops::RangeInclusive<u8> = 2..=9;
/// Letters to one recipient each.
const LETTERS: u64 = 12_000;
/// Circulars to all recipients.
const CIRCULARS: u64 = 1_500;
/// Letters before the measurement.
const WARM_UP: u64 = 500;
/// Messages of the baseline.
const RAW_MESSAGES: usize = 2_000;
/// Publishes of the baseline on their way at once, as a station's link has them.
const RAW_WINDOW: usize = 16;
/// Size of an event in the baseline's packs, in bytes.
const EVENT_BYTES: usize = 600;

pub(super) fn bench(ground: &Ground) -> Result<Vec<Figure>> {
    let folder = ground.folder()?;
    let took = raw_jetstream(folder.path(), RAW_MESSAGES, PACK_EVENTS_MAX * EVENT_BYTES)?;
    let raw = rate((RAW_MESSAGES * PACK_EVENTS_MAX) as u64, took);
    let recipients: Vec<u8> = RECIPIENTS.collect();
    let mut homes: Vec<(u8, &str)> = recipients.iter().map(|n| (*n, "b")).collect();
    homes.push((SENDER, "a"));
    let town = Town::start(folder.path(), &homes)?;
    let stations: Vec<Station> =
        recipients.iter().map(|n| town.station(folder.path(), *n, None)).collect::<Result<_>>()?;
    let mut sender = town.station(folder.path(), SENDER, None)?;
    let one = |n: u64| vec![office(recipients[usize::try_from(n).unwrap_or(0) % recipients.len()])];
    let all = |_| recipients.iter().map(|n| office(*n)).collect::<Vec<_>>();
    town.write(&mut sender, WARM_UP, one)?;
    sender.all_receipted()?;

    let stopwatch = Stopwatch::start();
    town.write(&mut sender, LETTERS, one)?;
    sender.all_receipted()?;
    let letters = stopwatch.stop();
    let copies = recipients.len() as u64;
    let stopwatch = Stopwatch::start();
    town.write(&mut sender, CIRCULARS, all)?;
    sender.all_receipted()?;
    let circulars = stopwatch.stop();

    let mut presented = 0;
    for station in &stations {
        presented += station.status()?.incoming;
    }
    let expected = WARM_UP + LETTERS + CIRCULARS * copies;
    ensure!(presented == expected, "{presented} of {expected} documents are in the recipients' registers");
    for station in stations.into_iter().chain([sender]) {
        town.stop_station(station)?;
    }
    town.stop()?;
    let figure = |name: &str, count, span: Span| {
        Figure::new(name, rate(count, span.wall), "deliveries/s")
            .at_least(2_000.0)
            .beside("CPU µs each without the servers", cpu_us(count, span))
            .beside(format!("raw JetStream, events/s in packs of {PACK_EVENTS_MAX}"), raw)
    };
    Ok(vec![
        figure("end to end with receipt, one to one of 8", LETTERS, letters),
        figure("end to end with receipt, one to all of 8", CIRCULARS * copies, circulars),
    ])
}

/// A server that is ended with the bench.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It is gone when it cannot be killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Publishes messages of so many bytes into one stream of a bare server that syncs before it acknowledges, and says how long
/// that took.
pub(super) fn raw_jetstream(folder: &std::path::Path, messages: usize, bytes: usize) -> Result<Duration> {
    let port = free_port()?;
    let config = folder.join("raw.conf");
    let store = folder.join("raw");
    let text = format!(
        "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: {store:?}, sync_interval: always }}\nmax_payload: 8MB\n"
    );
    std::fs::write(&config, text).context("failed to configure the baseline's server")?;
    let child = Command::new(nats_server()?)
        .arg("-c")
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start the baseline's server")?;
    let _server = Server(child);
    wait_for("the baseline's server", || Ok(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()))?;
    let runtime = Runtime::new().context("failed to start the baseline's threads")?;
    runtime.block_on(publish_raw(port, messages, bytes))
}

async fn publish_raw(port: u16, messages: usize, bytes: usize) -> Result<Duration> {
    let client = async_nats::connect(format!("nats://127.0.0.1:{port}")).await;
    let client = client.context("failed to reach the baseline's server")?;
    let context = jetstream::new(client);
    let stream = jetstream::stream::Config {
        name: "RAW".to_owned(),
        subjects: vec!["raw".to_owned()],
        ..jetstream::stream::Config::default()
    };
    context.create_stream(stream).await.context("failed to make the baseline's stream")?;
    let payload = vec![0x5a_u8; bytes];
    let start = Instant::now();
    let mut acks = stream::iter(0..messages)
        .map(|_| async { context.publish("raw", payload.clone().into()).await?.await })
        .buffer_unordered(RAW_WINDOW);
    while let Some(ack) = acks.next().await {
        ack.context("the baseline's server refused a message")?;
    }
    Ok(start.elapsed())
}
