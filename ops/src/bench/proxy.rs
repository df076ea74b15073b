//! A line that can be cut, slowed and metered: a TCP proxy on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

/// What went over the line.
#[derive(Default)]
struct Meter {
    bytes_up: AtomicU64,
    bytes_down: AtomicU64,
    connections: AtomicU64,
    delay_ms: AtomicU64,
}

/// The line.
pub(super) struct Line {
    pub(super) url: String,
    meter: Arc<Meter>,
    cuts: watch::Sender<u64>,
    started: Instant,
    last_ms: Arc<AtomicU64>,
}

impl Line {
    /// Opens a line to `target`.
    pub(super) fn open(runtime: &Runtime, target: String) -> Result<Self> {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).context("failed to open a line")?;
        let address = listener.local_addr().context("failed to open a line")?;
        let meter = Arc::new(Meter::default());
        let (cuts, _) = watch::channel(0);
        let (started, last_ms) = (Instant::now(), Arc::new(AtomicU64::new(0)));
        let (counted, cutting, last) = (Arc::clone(&meter), cuts.clone(), Arc::clone(&last_ms));
        runtime.spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::Relaxed);
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                // The delay is the line's own, not that of collecting small packets.
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                for (from, to, is_up) in [(near_in, far_out, true), (far_in, near_out, false)] {
                    let (meter, cut, last) = (Arc::clone(&counted), cutting.subscribe(), Arc::clone(&last));
                    tokio::spawn(carry(from, to, is_up, meter, cut, started, last));
                }
            }
        });
        Ok(Self { url: format!("nats://{address}"), meter, cuts, started, last_ms })
    }

    /// Breaks the connections that stand, and starts counting anew.
    pub(super) fn cut(&self) {
        for count in [&self.meter.bytes_up, &self.meter.bytes_down, &self.meter.connections] {
            count.store(0, Ordering::Relaxed);
        }
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Sets how long each direction takes.
    pub(super) fn delay(&self, each_way: Duration) {
        let ms = u64::try_from(each_way.as_millis()).unwrap_or(u64::MAX);
        self.meter.delay_ms.store(ms, Ordering::Relaxed);
    }

    /// Bytes to the relay and from it since the last cut.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.meter.bytes_up.load(Ordering::Relaxed), self.meter.bytes_down.load(Ordering::Relaxed))
    }

    /// Connections since the last cut.
    pub(super) fn connections(&self) -> u64 {
        self.meter.connections.load(Ordering::Relaxed)
    }

    /// How long nothing has gone over it.
    pub(super) fn silence(&self) -> Duration {
        let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(last)
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_up: bool,
    meter: Arc<Meter>,
    mut cut: watch::Receiver<u64>,
    started: Instant,
    last_ms: Arc<AtomicU64>,
) {
    const CHUNKS_WAITING_MAX: usize = 1_024;
    let (sender, mut waiting) = mpsc::channel::<(tokio::time::Instant, Vec<u8>)>(CHUNKS_WAITING_MAX);
    let count = Arc::clone(&meter);
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let counter = if is_up { &count.bytes_up } else { &count.bytes_down };
            counter.fetch_add(length as u64, Ordering::Relaxed);
            last_ms.store(u64::try_from(started.elapsed().as_millis()).unwrap_or(0), Ordering::Relaxed);
            let delay = Duration::from_millis(count.delay_ms.load(Ordering::Relaxed));
            if sender.send((tokio::time::Instant::now() + delay, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let writing = async move {
        while let Some((at, bytes)) = waiting.recv().await {
            tokio::time::sleep_until(at).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = cut.changed() => {}
        ((), ()) = async { tokio::join!(reading, writing) } => {}
    }
}
