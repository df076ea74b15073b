//! How the registers are bound: which numbers stand in which volume (*quyển số*; Decree 30/2020 appendix IV, cover).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use schema::handling::{BookId, Direction, NUMBER_MAX};

/// Most volumes of one register and year.
pub const VOLUMES_MAX: usize = 999;
/// Most years whose volumes are listed, for one register.
const YEARS_MAX: usize = 50;
/// Fewest numbers of a volume: a mistyped one would make a volume of every line.
const NUMBERS_PER_VOLUME_MIN: u32 = 10;

/// A volume: a range of numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Volume {
    /// *Quyển số*, from 1.
    pub volume: u32,
    /// Its first number.
    pub first: u32,
    /// Its last number; none while it is the last volume and nobody has said where it ends.
    pub last: Option<u32>,
}

/// How one register is bound.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Binding {
    numbers_per_volume: Option<u32>,
    /// The first number of each volume, by year.
    years: BTreeMap<i16, Vec<u32>>,
}

/// How the registers of an office are bound. A register that is not mentioned is one volume a year.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Volumes(BTreeMap<(Direction, BookId), Binding>);

impl Volumes {
    /// How many volumes this register has in this year, when `highest` is its highest number; at least one.
    pub fn count(&self, direction: Direction, book: &BookId, year: i16, highest: u32) -> u32 {
        let Some(binding) = self.0.get(&(direction, book.clone())) else { return 1 };
        let begun = match (binding.years.get(&year), binding.numbers_per_volume) {
            (Some(firsts), _) => {
                (0..).zip(firsts).take_while(|(_, first)| **first <= highest).last().map_or(0, |(n, _)| n + 1)
            }
            (None, Some(numbers)) => highest.div_ceil(numbers),
            (None, None) => 1,
        };
        begun.max(1)
    }

    /// The volume with this number; `None` when it has not begun.
    pub fn volume(
        &self,
        direction: Direction,
        book: &BookId,
        year: i16,
        highest: u32,
        volume: u32,
    ) -> Option<Volume> {
        if !(1..=self.count(direction, book, year, highest)).contains(&volume) {
            return None;
        }
        let whole = Volume { volume, first: 1, last: None };
        let Some(binding) = self.0.get(&(direction, book.clone())) else { return Some(whole) };
        Some(match (binding.years.get(&year), binding.numbers_per_volume) {
            (Some(firsts), _) => {
                let first = |volume: u32| firsts.get(volume as usize - 1).copied();
                Volume {
                    first: first(volume).unwrap_or(1),
                    last: first(volume + 1).map(|next| next - 1),
                    ..whole
                }
            }
            (None, Some(numbers)) => {
                Volume { first: (volume - 1) * numbers + 1, last: Some(volume * numbers), ..whole }
            }
            (None, None) => whole,
        })
    }

    /// Takes what the settings say about one register, or says what is wrong with it.
    pub(super) fn bind(
        &mut self,
        direction: Direction,
        book: &BookId,
        numbers_per_volume: Option<u32>,
        volumes: BTreeMap<String, Vec<u32>>,
    ) -> Result<(), String> {
        if numbers_per_volume.is_some_and(|numbers| !(NUMBERS_PER_VOLUME_MIN..=NUMBER_MAX).contains(&numbers))
        {
            return Err(format!(
                "a volume of register `{book}` has at least {NUMBERS_PER_VOLUME_MIN} numbers"
            ));
        }
        if volumes.len() > YEARS_MAX {
            return Err(format!(
                "the volumes of at most {YEARS_MAX} years can be listed for register `{book}`"
            ));
        }
        let mut years = BTreeMap::new();
        for (year, firsts) in volumes {
            let year: i16 = year.parse().ok().filter(|year| (1..=9_999).contains(year)).ok_or_else(|| {
                format!("`{year}` in `volumes` of register `{book}` is no year, such as 2025")
            })?;
            let rising = firsts.windows(2).all(|pair| pair[0] < pair[1]);
            let bounded = firsts.len() <= VOLUMES_MAX && firsts.last().is_none_or(|last| *last <= NUMBER_MAX);
            if firsts.first() != Some(&1) || !rising || !bounded {
                return Err(format!(
                    "`volumes` of register `{book}` in {year} lists the first number of each volume, rising from 1, at \
                     most {VOLUMES_MAX} of them, such as [1, 201, 415]"
                ));
            }
            years.insert(year, firsts);
        }
        if numbers_per_volume.is_some() || !years.is_empty() {
            self.0.insert((direction, book.clone()), Binding { numbers_per_volume, years });
        }
        Ok(())
    }

    /// Writes the settings of one register that [`Volumes::bind`] reads back as these.
    pub(super) fn render(&self, direction: Direction, book: &BookId, text: &mut String) {
        let Some(binding) = self.0.get(&(direction, book.clone())) else { return };
        // Writing to a String cannot fail.
        if let Some(numbers) = binding.numbers_per_volume {
            let _ = writeln!(text, "numbers_per_volume = {numbers}");
        }
        let years = binding.years.iter().map(|(year, firsts)| format!("{year} = {firsts:?}"));
        let years = years.collect::<Vec<_>>().join(", ");
        if !years.is_empty() {
            let _ = writeln!(text, "volumes = {{ {years} }}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Raw {
        numbers_per_volume: Option<u32>,
        #[serde(default)]
        volumes: BTreeMap<String, Vec<u32>>,
    }

    fn bound(settings: &str) -> Result<Volumes, String> {
        let raw: Raw = toml::from_str(settings).expect("TOML");
        let mut volumes = Volumes::default();
        volumes.bind(Direction::Incoming, &den(), raw.numbers_per_volume, raw.volumes).map(|()| volumes)
    }

    fn den() -> BookId {
        "den".parse().expect("a register")
    }

    fn range(volumes: &Volumes, year: i16, highest: u32, volume: u32) -> Option<(u32, Option<u32>)> {
        let found = volumes.volume(Direction::Incoming, &den(), year, highest, volume);
        found.map(|volume| (volume.first, volume.last))
    }

    /// H2: every number stands in exactly one volume, whichever way the office binds.
    #[test]
    fn h2_every_number_stands_in_one_volume() {
        let settings = ["", "numbers_per_volume = 10", "volumes = { 2025 = [1, 7, 19] }"];
        for (settings, count) in settings.iter().zip([1, 3, 3]) {
            let volumes = bound(settings).expect("sound");
            assert_eq!(volumes.count(Direction::Incoming, &den(), 2025, 25), count);
            for number in 1..=25 {
                let holds = |volume: &u32| {
                    let (first, last) = range(&volumes, 2025, 25, *volume).expect("begun");
                    first <= number && last.is_none_or(|last| number <= last)
                };
                assert_eq!((1..=count).filter(holds).count(), 1, "{number} with `{settings}`");
            }
            assert_eq!(range(&volumes, 2025, 25, count + 1), None, "it has not begun");
            assert_eq!(range(&volumes, 2025, 25, 0), None);
        }
    }

    #[test]
    fn year_that_is_listed_keeps_its_volumes_when_the_usual_size_changes() {
        let volumes = bound("numbers_per_volume = 50\nvolumes = { 2025 = [1, 201] }").expect("sound");
        assert_eq!(range(&volumes, 2025, 300, 1), Some((1, Some(200))));
        assert_eq!(range(&volumes, 2025, 300, 2), Some((201, None)));
        assert_eq!(range(&volumes, 2025, 200, 2), None, "nobody has written in it");
        assert_eq!(range(&volumes, 2026, 51, 2), Some((51, Some(100))));
        assert_eq!(range(&volumes, 2026, 0, 1), Some((1, Some(50))));
        let mut text = String::new();
        volumes.render(Direction::Incoming, &den(), &mut text);
        assert_eq!(bound(&text), Ok(volumes));
    }

    #[test]
    fn volumes_that_leave_numbers_out_are_refused() {
        for settings in [
            "numbers_per_volume = 0",
            "numbers_per_volume = 9",
            "volumes = { 2025 = [] }",
            "volumes = { 2025 = [2, 201] }",
            "volumes = { 2025 = [1, 201, 201] }",
            "volumes = { 2025 = [1, 300, 201] }",
            "volumes = { next = [1, 201] }",
            "volumes = { 2025 = [1, 10000000] }",
        ] {
            assert!(bound(settings).is_err(), "{settings}");
        }
    }
}
