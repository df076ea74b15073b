//! Finding out that the line is back, cheaply and at once.
//!
//! A station may be offline for days. A back-off that has grown to minutes would then add minutes to every
//! return, and a connection attempt that hangs on a dead line keeps the next one waiting (TCP repeats its
//! first packet after 1, 3, 7 and 15 seconds). So a bare TCP connect is tried about every second, each with a
//! packet of its own, overlapping the earlier ones; only when one succeeds is the real connection made. It
//! costs 60 bytes a second, and only while the line is down.

use std::net::IpAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Longest pause between two attempts; the shortest is 60 % of it, so that stations that lost the same line
/// together do not return together.
pub(super) const PROBE_EVERY: Duration = Duration::from_millis(900);
/// How long one attempt may take: longer than any round trip that is still usable.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Most attempts at the same time.
const PROBES_MAX: usize = 6;

/// Waits until a TCP connection to `host:port` can be made.
pub(super) async fn wait_for_line(host: &str, port: u16) {
    // A look-up of a name blocks a thread until the resolver gives up: one at a time then.
    let most = if host.parse::<IpAddr>().is_ok() { PROBES_MAX } else { 1 };
    let mut probes = FuturesUnordered::new();
    loop {
        if probes.len() < most {
            probes.push(timeout(PROBE_TIMEOUT, TcpStream::connect((host, port))));
        }
        let pause = sleep(jittered(PROBE_EVERY));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                Some(probe) = probes.next(), if !probes.is_empty() => {
                    if let Ok(Ok(_)) = probe {
                        return;
                    }
                }
                () = &mut pause => break,
            }
        }
    }
}

/// Between 60 % and 100 % of a duration. Without randomness from the system it is the whole: later, never
/// wrong.
pub(super) fn jittered(whole: Duration) -> Duration {
    let mut random = [u8::MAX; 1];
    // A failure leaves the initial value.
    let _ = getrandom::fill(&mut random);
    whole.mul_f64(0.6 + 0.4 * f64::from(random[0]) / 255.0)
}

/// Back-off after a refusal by the server itself (wrong login, no mailbox): doubles from one second to a
/// minute. Unlike a dead line, nothing is gained by asking every second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Refusals(u32);

impl Refusals {
    pub(super) fn next_pause(&mut self) -> Duration {
        self.0 = (self.0 + 1).min(7);
        jittered(Duration::from_secs((1 << (self.0 - 1)).min(60)))
    }

    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn line_that_comes_back_is_noticed_within_a_second() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let waiting = tokio::spawn(async move { wait_for_line("127.0.0.1", address.port()).await });
        let refused = TcpStream::connect(address).await;
        assert!(refused.is_err(), "the line is not down");
        let _back = TcpListener::bind(address).await.expect("the same port");
        timeout(PROBE_EVERY + Duration::from_millis(100), waiting).await.expect("in time").expect("no panic");
    }

    #[test]
    fn refusals_slow_down_to_a_minute_and_no_further() {
        let mut refusals = Refusals::default();
        let pauses: Vec<Duration> = (0..20).map(|_| refusals.next_pause()).collect();
        assert!(pauses[0] <= Duration::from_secs(1));
        assert!(pauses[19] > Duration::from_secs(30) && pauses[19] <= Duration::from_secs(60));
    }
}
