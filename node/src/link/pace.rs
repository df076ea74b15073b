//! How many pieces may be on their way at once.

use std::time::Duration;

/// A piece that takes longer than this was queued behind others, or the line is so slow that nothing should be: send fewer at once.
const SLOW: Duration = Duration::from_secs(2);
/// A chunk may wait this long behind others of its line; more is queued when it waits less than a third of that. Little is so on its way when
/// the line breaks, and has to be sent again; and on a 64 kbit/s line, where a chunk alone takes eight seconds, an express document
/// waits behind one chunk at most.
const QUEUED: Duration = Duration::from_millis(300);

/// Chunks after which it is measured anew how long one takes alone.
const MEASURED_MAX: u32 = 1_024;

/// An additive-increase, halving-decrease window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pace {
    window: usize,
    most: usize,
    pieces: Pieces,
}

/// What is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pieces {
    /// Of any size: how long one takes says little about the line.
    Packs,
    /// All of one size: the fastest one shows what the line takes without a queue. It is looked for anew now and then, because
    /// lines become slower too.
    Chunks {
        alone: Option<Duration>,
        measured: u32,
        /// So many are on their way with others, and say nothing.
        queued: usize,
    },
}

impl Pace {
    /// Starts with `start` packs of events, never more than `most`.
    pub(super) const fn of_packs(start: usize, most: usize) -> Self {
        Self { window: start, most, pieces: Pieces::Packs }
    }

    /// Starts with one chunk, never more than `most`.
    pub(super) const fn of_chunks(most: usize) -> Self {
        Self { window: 1, most, pieces: Pieces::Chunks { alone: None, measured: 0, queued: 0 } }
    }

    /// How many pieces may be on their way now; at least one.
    pub(super) const fn window(&self) -> usize {
        self.window
    }

    /// A piece arrived after this time.
    pub(super) fn arrived(&mut self, took: Duration) {
        let (more, fewer) = match &mut self.pieces {
            Pieces::Packs => (took <= SLOW, took > SLOW),
            Pieces::Chunks { queued, .. } if *queued > 0 => {
                *queued -= 1;
                return;
            }
            Pieces::Chunks { alone, measured, queued } => {
                *measured += 1;
                if *measured >= MEASURED_MAX {
                    (*alone, *measured, *queued) = (None, 0, self.window - 1);
                    self.window = 1;
                    return;
                }
                let fastest = alone.map_or(took, |alone| took.min(alone));
                *alone = Some(fastest);
                let queued = took.saturating_sub(fastest);
                (queued < QUEUED / 3 && took <= SLOW, queued > QUEUED || took > SLOW)
            }
        };
        if fewer {
            self.window = self.window.div_ceil(2);
        } else if more {
            self.window = (self.window + 1).min(self.most);
        }
    }

    /// A piece did not arrive in time.
    pub(super) fn missed(&mut self) {
        self.window = 1;
    }
}

/// How long an answer may take when this many bytes are on their way before it: ten seconds, and the bytes at
/// 4 KiB/s, half of a 64 kbit/s line. A shorter patience would send the same bytes again into a line that is
/// still busy with them.
pub(super) fn patience(bytes_in_flight: usize) -> Duration {
    const BASE: Duration = Duration::from_secs(10);
    const BYTES_PER_SECOND: u64 = 4 * 1024;
    BASE + Duration::from_secs(bytes_in_flight as u64 / BYTES_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How the window stands when a line of so many bytes a second has carried chunks for a while, each behind those before it.
    fn window_on(bytes_per_second: u64, round_trip_ms: u64) -> usize {
        let mut pace = Pace::of_chunks(16);
        for _ in 0..3_000 {
            let bytes = pace.window() as u64 * u64::from(schema::blob::CHUNK_BYTES);
            let sent = Duration::from_micros(bytes * 1_000_000 / bytes_per_second);
            pace.arrived(sent + Duration::from_millis(round_trip_ms));
        }
        pace.window()
    }

    #[test]
    fn chunks_on_their_way_follow_the_line() {
        assert_eq!(window_on(8_000, 40), 1, "64 kbit/s");
        assert!(window_on(250_000, 40) <= 2, "2 Mbit/s");
        assert!((2..=6).contains(&window_on(1_250_000, 40)), "10 Mbit/s");
        assert_eq!(window_on(100_000_000, 1), 16, "a local network");
        assert_eq!(window_on(100_000_000, 600), 16, "a fast line to far away");
    }

    #[test]
    fn slow_line_carries_one_pack_at_a_time() {
        let mut pace = Pace::of_packs(4, 16);
        (0..5).for_each(|_| pace.arrived(Duration::from_secs(8)));
        assert_eq!(pace.window(), 1);
    }

    #[test]
    fn fast_line_fills_the_window() {
        let mut pace = Pace::of_packs(1, 16);
        (0..40).for_each(|_| pace.arrived(Duration::from_millis(3)));
        assert_eq!(pace.window(), 16);
    }

    proptest! {
        #[test]
        fn window_stays_within_its_bounds(took in proptest::collection::vec(0u64..5_000, 0..200)) {
            for mut pace in [Pace::of_packs(2, 8), Pace::of_chunks(8)] {
                for ms in &took {
                    if *ms > 4_500 { pace.missed() } else { pace.arrived(Duration::from_millis(*ms)) }
                    prop_assert!((1..=8).contains(&pace.window()));
                }
            }
        }
    }
}
