//! How many pieces may be on their way at once.

use std::time::Duration;

/// A piece that takes longer than this was queued behind others: send fewer at once. On a 64 kbit/s line a
/// chunk alone takes eight seconds, so there the window falls to one, and an express document waits behind
/// one chunk at most.
pub(super) const SLOW: Duration = Duration::from_secs(2);

/// An additive-increase, halving-decrease window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pace {
    window: usize,
    most: usize,
}

impl Pace {
    /// Starts with `start` pieces, never more than `most`.
    pub(super) const fn new(start: usize, most: usize) -> Self {
        Self { window: start, most }
    }

    /// How many pieces may be on their way now; at least one.
    pub(super) const fn window(&self) -> usize {
        self.window
    }

    /// A piece arrived after this time.
    pub(super) fn arrived(&mut self, took: Duration) {
        self.window = if took > SLOW { self.window.div_ceil(2) } else { (self.window + 1).min(self.most) };
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

    #[test]
    fn slow_line_carries_one_piece_at_a_time() {
        let mut pace = Pace::new(4, 16);
        (0..5).for_each(|_| pace.arrived(Duration::from_secs(8)));
        assert_eq!(pace.window(), 1);
    }

    #[test]
    fn fast_line_fills_the_window() {
        let mut pace = Pace::new(1, 16);
        (0..40).for_each(|_| pace.arrived(Duration::from_millis(3)));
        assert_eq!(pace.window(), 16);
    }

    proptest! {
        #[test]
        fn window_stays_within_its_bounds(took in proptest::collection::vec(0u64..5_000, 0..200)) {
            let mut pace = Pace::new(2, 8);
            for ms in took {
                if ms > 4_500 { pace.missed() } else { pace.arrived(Duration::from_millis(ms)) }
                prop_assert!((1..=8).contains(&pace.window()));
            }
        }
    }
}
