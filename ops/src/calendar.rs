//! Times for people: Vietnam's clock, fixed at +07:00 and without summer time, wherever the administrator sits.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use schema::time::Millis;

const VIETNAM: Offset = Offset::constant(7);

/// This machine's clock.
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Today in Vietnam.
pub fn today() -> Date {
    date_of(now())
}

/// The day in Vietnam on which this moment lies.
pub fn date_of(at: Millis) -> Date {
    local(at).date()
}

/// `2025-06-27 08:15:03.250 +07:00`.
pub fn shown(at: Millis) -> String {
    local(at).strftime("%F %T%.3f %:z").to_string()
}

fn local(at: Millis) -> jiff::Zoned {
    // Outside jiff's years -9999 to 9999 nothing can be shown; the end of time is as good as any.
    let at = i64::try_from(at.0).unwrap_or(i64::MAX);
    let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
    at.to_zoned(TimeZone::fixed(VIETNAM))
}

/// A moment with its offset, or a day from midnight in Vietnam.
///
/// # Errors
/// When it is neither, or before 1970. A time without an offset is refused: nobody can tell whose clock is meant.
pub fn moment(text: &str) -> Result<Millis> {
    let day = || if text.contains(['T', 't', ' ']) { None } else { text.parse::<Date>().ok() };
    let timestamp = match (text.parse::<Timestamp>(), day()) {
        (Ok(timestamp), _) => timestamp,
        (_, Some(date)) => date.to_zoned(TimeZone::fixed(VIETNAM))?.timestamp(),
        (Err(error), None) => bail!(
            "`{text}` is neither a moment like `2026-11-20T08:00:00+07:00` nor a day like `2026-11-20`: {error}"
        ),
    };
    let ms = u64::try_from(timestamp.as_millisecond());
    Ok(Millis(ms.with_context(|| format!("`{text}` is before 1970"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_shown_by_vietnams_clock() {
        assert_eq!(shown(Millis(1_750_986_903_250)), "2025-06-27 08:15:03.250 +07:00");
        assert_eq!(date_of(Millis(1_750_957_199_999)).to_string(), "2025-06-26");
        assert_eq!(date_of(Millis(1_750_957_200_000)).to_string(), "2025-06-27");
        assert_eq!(date_of(Millis(u64::MAX)).year(), 9999);
    }

    #[test]
    fn moment_is_a_timestamp_or_a_day_in_vietnam() {
        assert_eq!(moment("2025-06-27T08:15:03+07:00").expect("a moment"), Millis(1_750_986_903_000));
        assert_eq!(moment("2025-06-27").expect("a day"), Millis(1_750_957_200_000));
        for text in ["yesterday", "1960-01-01", "", "2025-06-27T08:15:03", "2025-06-27 08:15"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
