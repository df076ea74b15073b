//! Times as the events carry them.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan as _;
use jiff::civil::{Date, Time, date};
use jiff::tz::Offset;
use minicbor::decode::Error as DecodeError;
use minicbor::encode::{Error as EncodeError, Write};
use minicbor::{Decode, Decoder, Encode, Encoder};
use serde::{Deserialize, Serialize};

/// Dates travel as whole days since this one, as in RFC 8943, so that one date has one form.
const EPOCH: Date = date(1970, 1, 1);
/// One clock for the whole country, seven hours ahead of UTC, without summer time.
const VIETNAM: Offset = jiff::tz::offset(7);

/// A day of the calendar in Vietnam (*ngày, tháng, năm*). In JSON as ISO 8601.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(pub Date);

impl Day {
    /// The day so many days after 1970-01-01; `None` outside the years -9999 to 9999.
    pub fn from_days(days: i32) -> Option<Self> {
        let span = 0.days().try_days(days).ok()?;
        EPOCH.checked_add(span).ok().map(Self)
    }

    /// The day in Vietnam at this time.
    pub fn in_vietnam(at: Millis) -> Self {
        let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
        let timestamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
        Self(VIETNAM.to_datetime(timestamp).date())
    }

    /// This time of the day in Vietnam; the beginning of time for what lies before it.
    pub fn at(self, time: Time) -> Millis {
        let seconds =
            i64::from(time.hour()) * 3_600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        let day = i64::from(self.days()) * 86_400 - i64::from(VIETNAM.seconds());
        Millis(u64::try_from(day + seconds).unwrap_or(0) * Millis::SECOND)
    }

    /// How many days it is after 1970-01-01.
    pub fn days(self) -> i32 {
        // Both ends lie in jiff's years -9999 to 9999: fewer than five million days apart.
        self.0.since(EPOCH).map_or(0, |span| span.get_days())
    }
}

impl fmt::Display for Day {
    /// As people write it: `05/06/2025`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}/{:02}/{:04}", self.0.day(), self.0.month(), self.0.year())
    }
}

impl FromStr for Day {
    type Err = jiff::Error;

    /// ISO 8601: `2025-06-05`.
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Day {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.0.to_string()
    }
}

impl<C> Encode<C> for Day {
    fn encode<W: Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.i32(self.days()).map(|_| ())
    }
}

impl<C> Decode<'_, C> for Day {
    fn decode(d: &mut Decoder<'_>, _: &mut C) -> Result<Self, DecodeError> {
        let position = d.position();
        Self::from_days(d.i32()?)
            .ok_or_else(|| DecodeError::message("date outside the calendar").at(position))
    }
}

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
