//! How far this machine's clock is from a relay's.
//!
//! No clock decides anything about a document, but people read times and deadlines off it. Every answer about the registry
//! carries the relay's clock; half the way there and back is how uncertain that makes it (RFC 5905 section 8, without
//! its filters). A relay may lie or be wrong itself: the difference is shown, and changes nothing.

use std::time::Duration;

use schema::time::Millis;
use serde::Serialize;

/// Differences up to this many milliseconds are nothing to tell people of.
pub const CLOCK_MS_MAX: u64 = 60_000;
/// A reading that is older than this, by the clock it is about, says nothing any more: the line is down, or that clock was
/// set since.
const FRESH_MS: u64 = 5 * Millis::MINUTE;
/// Answers that took longer say too little about the time they were given at.
const TRIP_MAX: Duration = Duration::from_secs(20);

/// What an answer says about the clock of this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ClockReading {
    /// How far the relay's clock is ahead of this machine's, in milliseconds; below zero when this machine's is ahead.
    pub ahead_ms: i64,
    /// How much of that may be the way, in milliseconds.
    pub uncertain_ms: u64,
    /// When it was asked, by the clock of this machine.
    pub at: Millis,
}

impl ClockReading {
    /// From a question that was asked at `asked_at` and answered after `took`, at `answered_at` by the relay's clock.
    pub fn new(asked_at: Millis, took: Duration, answered_at: Millis) -> Option<Self> {
        if took > TRIP_MAX {
            return None;
        }
        let half = u64::try_from(took.as_millis()).ok()? / 2;
        let ahead = i128::from(answered_at.0) - i128::from(asked_at.0) - i128::from(half);
        Some(Self { ahead_ms: i64::try_from(ahead).ok()?, uncertain_ms: half, at: asked_at })
    }
}

/// What several relays say together: the middle one, so that one wrong clock of three is outvoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ClockView {
    /// How far they are ahead of this machine, in milliseconds.
    pub ahead_ms: i64,
    /// Relays that were asked.
    pub relays: usize,
    /// Whether people must be told.
    pub wrong: bool,
}

impl ClockView {
    /// The middle of those readings that are not over; `None` when there are none.
    pub fn of(readings: impl IntoIterator<Item = ClockReading>, now: Millis) -> Option<Self> {
        let is_fresh = |reading: &ClockReading| now.0.abs_diff(reading.at.0) <= FRESH_MS;
        let mut readings: Vec<ClockReading> = readings.into_iter().filter(is_fresh).collect();
        readings.sort_unstable_by_key(|reading| reading.ahead_ms);
        // Of two the one that is nearer to this clock: one of them is wrong, and nobody knows which.
        let middle = match readings.as_slice() {
            [] => return None,
            [one, two] if one.ahead_ms.unsigned_abs() > two.ahead_ms.unsigned_abs() => two,
            [one, _] => one,
            more => &more[more.len() / 2],
        };
        let wrong = middle.ahead_ms.unsigned_abs() > CLOCK_MS_MAX + middle.uncertain_ms;
        Some(Self { ahead_ms: middle.ahead_ms, relays: readings.len(), wrong })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reading(ahead_ms: i64) -> ClockReading {
        ClockReading { ahead_ms, uncertain_ms: 0, at: Millis(0) }
    }

    proptest! {
        /// However the way there and back is divided, the truth is within the uncertainty.
        #[test]
        fn true_difference_is_within_the_uncertainty(
            ahead in -400_000_000_000_i64..400_000_000_000,
            there in 0_u64..10_000,
            back in 0_u64..10_000,
        ) {
            let asked_at = Millis(1_764_000_000_000);
            let answered_at = Millis(asked_at.0.saturating_add(there).saturating_add_signed(ahead));
            let took = Duration::from_millis(there + back);
            let found = ClockReading::new(asked_at, took, answered_at).expect("a short way");
            prop_assert!(found.ahead_ms.abs_diff(ahead) <= found.uncertain_ms + 1, "{found:?}");
        }
    }

    #[test]
    fn answer_that_took_too_long_says_nothing() {
        assert_eq!(ClockReading::new(Millis(0), TRIP_MAX + Duration::from_millis(1), Millis(0)), None);
    }

    #[test]
    fn clock_that_was_set_since_is_not_called_wrong() {
        let at = |at: u64| ClockReading { at: Millis(at), ..reading(7_200_000) };
        let hour = 3_600_000;
        let seen = |now: u64| ClockView::of([at(10 * hour)], Millis(now)).is_some();
        assert!(seen(10 * hour) && seen(10 * hour + FRESH_MS));
        assert!(!seen(12 * hour), "set right, or hours without a line");
        assert!(!seen(8 * hour), "set back");
    }

    #[test]
    fn one_wrong_relay_of_three_is_outvoted_and_of_two_the_nearer_one_is_shown() {
        let hour = 3_600_000;
        let view = |all: &[i64]| ClockView::of(all.iter().copied().map(reading), Millis(0));
        assert_eq!(view(&[]), None);
        assert_eq!(view(&[0, hour, 5]), Some(ClockView { ahead_ms: 5, relays: 3, wrong: false }));
        assert_eq!(view(&[-hour, 10]), Some(ClockView { ahead_ms: 10, relays: 2, wrong: false }));
        assert_eq!(view(&[hour]), Some(ClockView { ahead_ms: hour, relays: 1, wrong: true }));
        assert_eq!(view(&[-hour, -hour]), Some(ClockView { ahead_ms: -hour, relays: 2, wrong: true }));
    }
}
