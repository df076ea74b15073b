//! The working days of an office, and when something is due or late.
//!
//! What is signed is sent the same day, at the latest in the morning of the next working day (Decision 28/2018/QĐ-TTg
//! article 6); what comes in is registered and submitted the same day, at the latest on the next working day, and at once when
//! it is urgent (Decree 30/2020/NĐ-CP articles 4, 18.1 and 23.1). Nothing here decides what becomes of a document: it says
//! what people should look at.

use std::collections::BTreeSet;

use jiff::ToSpan as _;
use jiff::civil::{Date, Time, Weekday, date, time};
use serde::Serialize;

use crate::event::Urgency;
use crate::time::{Day, Millis};

/// How long what is urgent may lie. The law says *at once* and names no span; this one is ours.
pub const URGENT_MS: u64 = Millis::HOUR;
/// Longest run of days off that a calendar is searched through for the next working day.
const DAYS_OFF_MAX: usize = 400;

/// Days off by the Labour Code 2019 articles 111.3 and 112 beside Saturdays and Sundays. Tết is announced year by year, and so
/// are days that are moved: what is not listed here comes from the office's settings.
const PUBLIC_HOLIDAYS: [Date; 16] = [
    date(2026, 1, 1),
    date(2026, 2, 16), // Tết Bính Ngọ
    date(2026, 2, 17),
    date(2026, 2, 18),
    date(2026, 2, 19),
    date(2026, 2, 20),
    date(2026, 4, 27), // Giỗ Tổ Hùng Vương fell on a Sunday
    date(2026, 4, 30),
    date(2026, 5, 1),
    date(2026, 9, 1),
    date(2026, 9, 2),
    date(2027, 1, 1),
    date(2027, 4, 16), // Giỗ Tổ Hùng Vương
    date(2027, 4, 30),
    date(2027, 5, 3), // 1 May is a Saturday
    date(2027, 9, 2),
];

/// Until when what was to be done the same day may be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtTheLatest {
    /// In the morning of the next working day: to send what was signed.
    NextMorning,
    /// On the next working day: to register and submit what came in.
    NextDay,
}

/// How the time stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Timeliness {
    /// There is time.
    InTime,
    /// It is to be done now.
    Due,
    /// It is late.
    Late,
}

/// When something is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Term {
    /// From when on people are told.
    pub due_at: Millis,
    /// After this it is late.
    pub late_after: Millis,
}

impl Term {
    /// By the end of this day.
    pub fn by(day: Day) -> Self {
        let begins = day.at(Time::midnight());
        Self { due_at: begins, late_after: begins.plus(Millis::DAY - 1) }
    }

    /// How the time stands.
    pub fn at(self, now: Millis) -> Timeliness {
        if now > self.late_after {
            Timeliness::Late
        } else if now >= self.due_at {
            Timeliness::Due
        } else {
            Timeliness::InTime
        }
    }
}

/// The working days and hours of an office.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calendar {
    /// Days off beside Saturdays and Sundays.
    pub holidays: BTreeSet<Day>,
    /// Saturdays and Sundays that are worked on (*làm bù*).
    pub worked: BTreeSet<Day>,
    /// When the morning ends.
    pub morning_ends: Time,
    /// When the working day ends.
    pub day_ends: Time,
}

impl Default for Calendar {
    /// The public holidays that are known here; mornings until 11:30, days until 17:00.
    fn default() -> Self {
        Self {
            holidays: PUBLIC_HOLIDAYS.into_iter().map(Day).collect(),
            worked: BTreeSet::new(),
            morning_ends: time(11, 30, 0, 0),
            day_ends: time(17, 0, 0, 0),
        }
    }
}

impl Calendar {
    /// Whether the office works on this day.
    pub fn is_worked(&self, day: Day) -> bool {
        let weekend = matches!(day.0.weekday(), Weekday::Saturday | Weekday::Sunday);
        self.worked.contains(&day) || !weekend && !self.holidays.contains(&day)
    }

    /// The first working day after this one; the next day when no day of more than a year is worked on.
    pub fn next_worked(&self, day: Day) -> Day {
        let after = || day.0.series(1.day()).skip(1).map(Day);
        let worked = after().take(DAYS_OFF_MAX).find(|day| self.is_worked(*day));
        worked.or_else(|| after().next()).unwrap_or(day)
    }

    /// Whether the days off of Tết are known for this year; where they are not, documents are called late too early. The first
    /// day of the lunar year lies between 21 January and 21 February.
    pub fn knows_tet(&self, year: i16) -> bool {
        let days = |month, from, to| (from..=to).map(move |day| Day(date(year, month, day)));
        days(1, 16, 31).chain(days(2, 1, 28)).any(|day| self.holidays.contains(&day))
    }

    /// The year whose Tết is not known although it is near: this one's, or in the last weeks of it the next one's.
    pub fn unknown_tet(&self, now: Millis) -> Option<i16> {
        let near = |ahead_ms| Day::in_vietnam(now.plus(ahead_ms)).0.year();
        [near(0), near(60 * Millis::DAY)].into_iter().find(|year| !self.knows_tet(*year))
    }

    /// When what began then is to be done: the same day, or at once when it is urgent.
    pub fn same_day(&self, since: Millis, latest: AtTheLatest, urgency: Urgency) -> Term {
        if urgency != Urgency::Normal {
            return Term { due_at: since, late_after: since.plus(URGENT_MS) };
        }
        let day = Day::in_vietnam(since);
        let next = self.next_worked(day);
        let late_after = match latest {
            AtTheLatest::NextMorning => next.at(self.morning_ends),
            AtTheLatest::NextDay => next.at(self.day_ends),
        };
        // What comes in on a day off waits for the next working day; what comes in the evening is due at once.
        let due_at = if self.is_worked(day) { day.at(self.day_ends) } else { next.at(Time::midnight()) };
        Term { due_at: due_at.max(since), late_after }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(day: &str, hour: i8, minute: i8) -> Millis {
        day.parse::<Day>().expect("a day").at(time(hour, minute, 0, 0))
    }

    fn sending(since: Millis) -> Term {
        Calendar::default().same_day(since, AtTheLatest::NextMorning, Urgency::Normal)
    }

    /// B6: signed on a Friday, sent by the evening, at the latest on Monday morning.
    #[test]
    fn b6_signed_on_friday_is_late_after_monday_morning() {
        let term = sending(at("2026-11-27", 9, 0));
        assert_eq!(term.at(at("2026-11-27", 16, 59)), Timeliness::InTime);
        assert_eq!(term.at(at("2026-11-27", 17, 0)), Timeliness::Due);
        assert_eq!(term.at(at("2026-11-30", 11, 30)), Timeliness::Due);
        assert_eq!(term.at(at("2026-11-30", 11, 31)), Timeliness::Late);
    }

    /// B6: Tết is no working time.
    #[test]
    fn b6_signed_before_tet_is_late_after_it() {
        let term = sending(at("2026-02-13", 16, 0));
        assert_eq!(term.late_after, at("2026-02-23", 11, 30));
    }

    #[test]
    fn saturday_that_is_worked_on_counts() {
        let saturday = "2026-11-28".parse().expect("a day");
        let calendar = Calendar { worked: BTreeSet::from([saturday]), ..Calendar::default() };
        let friday = at("2026-11-27", 10, 0);
        let term = calendar.same_day(friday, AtTheLatest::NextMorning, Urgency::Normal);
        assert_eq!(term.late_after, at("2026-11-28", 11, 30));
    }

    /// F2: what comes in on a day off is due when work begins again, and there is that whole day for it.
    #[test]
    fn f2_what_comes_on_a_day_off_waits_for_the_next_working_day() {
        let term =
            Calendar::default().same_day(at("2026-11-28", 8, 0), AtTheLatest::NextDay, Urgency::Normal);
        assert_eq!(term.at(at("2026-11-29", 23, 59)), Timeliness::InTime);
        assert_eq!(term.at(at("2026-11-30", 8, 0)), Timeliness::Due);
        assert_eq!(term.late_after, at("2026-11-30", 17, 0));
    }

    /// F2: urgent documents do not wait for working hours.
    #[test]
    fn f2_urgent_is_due_at_once() {
        let since = at("2026-11-28", 22, 0);
        let term = Calendar::default().same_day(since, AtTheLatest::NextDay, Urgency::Express);
        assert_eq!(term.at(since), Timeliness::Due);
        assert_eq!(term.at(at("2026-11-28", 23, 1)), Timeliness::Late);
    }

    #[test]
    fn deadline_is_kept_until_the_day_is_over() {
        let term = Term::by("2026-11-30".parse().expect("a day"));
        assert_eq!(term.at(at("2026-11-29", 23, 59)), Timeliness::InTime);
        assert_eq!(term.at(at("2026-11-30", 0, 0)), Timeliness::Due);
        assert_eq!(term.at(at("2026-11-30", 23, 59)), Timeliness::Due);
        assert_eq!(term.at(at("2026-12-01", 0, 0)), Timeliness::Late);
    }

    #[test]
    fn year_whose_tet_is_not_known_is_said_to_be_unknown() {
        let mut calendar = Calendar::default();
        assert!(calendar.knows_tet(2026));
        assert!(!calendar.knows_tet(2027));
        calendar.holidays.insert("2027-02-08".parse().expect("a day"));
        assert!(calendar.knows_tet(2027));
    }

    proptest! {
        /// Later beginnings are never late earlier, and nothing is late before it is due.
        #[test]
        fn terms_are_ordered_like_their_beginnings(
            first in 1_735_660_800_000_u64..1_798_732_800_000,
            later in 0_u64..40 * 86_400_000,
        ) {
            let calendar = Calendar::default();
            let term = |since| calendar.same_day(Millis(since), AtTheLatest::NextMorning, Urgency::Normal);
            let (one, two) = (term(first), term(first + later));
            prop_assert!(one.late_after <= two.late_after);
            prop_assert!(one.due_at <= two.due_at);
            prop_assert!(one.due_at >= Millis(first) && one.due_at <= one.late_after);
        }
    }
}
