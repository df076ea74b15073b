//! Times as the events carry them.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z. What a station *claims*: no rule of order depends on it.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Millis(#[n(0)] pub u64);

impl Millis {
    /// One second.
    pub const SECOND: u64 = 1_000;
    /// One minute, in milliseconds.
    pub const MINUTE: u64 = 60 * Self::SECOND;
    /// One hour, in milliseconds.
    pub const HOUR: u64 = 60 * Self::MINUTE;
    /// One day, in milliseconds.
    pub const DAY: u64 = 24 * Self::HOUR;

    /// This much later; stays at the end of time instead of wrapping.
    #[must_use]
    pub const fn plus(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }

    /// How long after `earlier` this is, in milliseconds; 0 when it is not after it.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
