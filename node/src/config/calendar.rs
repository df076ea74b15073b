//! The working days and hours of the office.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::civil::Time;
use schema::handling::Calendar;
use schema::time::Day;
use serde::Deserialize;

/// Most days that are added to the calendar: ten years of them.
pub const CALENDAR_DAYS_MAX: usize = 500;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCalendar {
    #[serde(default)]
    holidays: BTreeSet<Day>,
    #[serde(default)]
    worked: BTreeSet<Day>,
    morning_ends: Option<String>,
    day_ends: Option<String>,
}

/// The calendar that these settings make, or what is wrong with them. Days off are added to those that are built in.
pub(super) fn parse_calendar(raw: RawCalendar) -> Result<Calendar, String> {
    let RawCalendar { holidays, worked, morning_ends, day_ends } = raw;
    if holidays.len() + worked.len() > CALENDAR_DAYS_MAX {
        return Err(format!("at most {CALENDAR_DAYS_MAX} days are possible"));
    }
    if let Some(day) = holidays.intersection(&worked).next() {
        return Err(format!("{day} is a day off and a day that is worked on"));
    }
    let mut calendar = Calendar { worked, ..Calendar::default() };
    calendar.holidays.extend(holidays);
    for (text, setting) in [(morning_ends, &mut calendar.morning_ends), (day_ends, &mut calendar.day_ends)] {
        if let Some(text) = text {
            let time: Time =
                text.parse().map_err(|_| format!("`{text}` is no time of the day, such as 11:30"))?;
            *setting = time;
        }
    }
    if calendar.morning_ends >= calendar.day_ends {
        return Err("the morning ends before the day does".to_owned());
    }
    Ok(calendar)
}

/// The settings that [`parse_calendar`] reads back as this.
pub(super) fn render_calendar(calendar: &Calendar, text: &mut String) {
    let usual = Calendar::default();
    let days = |days: &mut dyn Iterator<Item = &Day>| {
        days.map(|day| format!("\"{}\"", day.0)).collect::<Vec<_>>().join(", ")
    };
    let time = |time: Time| format!("{:02}:{:02}", time.hour(), time.minute());
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\n[calendar]\n\
         # Days off beside weekends and the public holidays that are built in (Tết is announced year by year), such as\n\
         # \"2027-02-08\"; and Saturdays and Sundays that are worked on.\n\
         holidays = [{}]\n\
         worked = [{}]\n\
         morning_ends = \"{}\"\n\
         day_ends = \"{}\"\n",
        days(&mut calendar.holidays.difference(&usual.holidays)),
        days(&mut calendar.worked.iter()),
        time(calendar.morning_ends),
        time(calendar.day_ends),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Calendar, String> {
        parse_calendar(toml::from_str(text).expect("TOML"))
    }

    #[test]
    fn what_is_written_is_read_back() {
        let settings = "holidays = [\"2027-02-08\"]\nworked = [\"2027-02-20\"]\nmorning_ends = \"12:00\"\n";
        let calendar = read(settings).expect("a calendar");
        assert!(calendar.knows_tet(2027));
        let mut text = String::new();
        render_calendar(&calendar, &mut text);
        assert_eq!(read(&text.replace("[calendar]", "")), Ok(calendar));
    }

    #[test]
    fn contradictions_are_refused() {
        for settings in [
            "holidays = [\"2027-02-20\"]\nworked = [\"2027-02-20\"]",
            "morning_ends = \"17:30\"",
            "day_ends = \"five\"",
        ] {
            assert!(read(settings).is_err(), "{settings}");
        }
    }
}
