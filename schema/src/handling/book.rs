//! Document registers (*sổ đăng ký văn bản*) and the numbers they give.
//!
//! One series per register and year, consecutive from 1 (written 01), paper and electronic together; Decree 30/2020 articles
//! 15 and 22.2. The year is that of Vietnam (+07:00).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::id::Incarnation;
use crate::text::quoted;

/// Largest number of a register: more than ten years of what a ministry registers.
pub const NUMBER_MAX: u32 = 9_999_999;
/// Longest name of a register, in characters.
const BOOK_CHARS_MAX: usize = 24;

/// Which way the documents of a register go.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// *Văn bản đến*.
    #[n(0)]
    Incoming,
    /// *Văn bản đi*.
    #[n(1)]
    Outgoing,
}

/// How programs name a register (*sổ*): 1 to 24 of a-z, 0-9 and `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(try_from = "String", into = "String")]
pub struct BookId(#[n(0)] String);

/// A text that names no register.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` is no name of a register: expected 1 to 24 of a-z, 0-9 and `-`")]
pub struct BookRefused {
    /// The text, shortened.
    pub text: String,
}

impl FromStr for BookId {
    type Err = BookRefused;

    fn from_str(text: &str) -> Result<Self, BookRefused> {
        let plain = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if (1..=BOOK_CHARS_MAX).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BookRefused { text: quoted(text) })
        }
    }
}

impl TryFrom<String> for BookId {
    type Error = BookRefused;

    fn try_from(text: String) -> Result<Self, BookRefused> {
        text.parse()
    }
}

impl From<BookId> for String {
    fn from(book: BookId) -> Self {
        book.0
    }
}

impl fmt::Display for BookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'b, C> Decode<'b, C> for BookId {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let position = d.position();
        let refused = |_| minicbor::decode::Error::message("no name of a register").at(position);
        d.str()?.parse().map_err(refused)
    }
}

/// A line of a register: which register and year, and the number in it (*số đến*, *số đi*).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize)]
pub struct Entry {
    /// The register.
    #[n(0)]
    pub book: BookId,
    /// The year, in Vietnam.
    #[n(1)]
    pub year: i16,
    /// The number, from 1.
    #[n(2)]
    pub number: u32,
}

impl Entry {
    /// Whether the number can stand in a register.
    pub(crate) fn is_bounded(&self) -> bool {
        (1..=NUMBER_MAX).contains(&self.number) && (1..=9_999).contains(&self.year)
    }
}

impl fmt::Display for Entry {
    /// The number as it is written: with a leading zero below ten (appendix I).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}", self.number)
    }
}

/// The registers of an office: the highest number of each that was used.
///
/// After a restore nobody here knows which numbers were given in the lost time: no register gives one until somebody has
/// stated the highest (*đối chiếu sổ giấy*), or P9 would break.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Books {
    /// The highest number used, by direction, register and year.
    #[n(1)]
    used: BTreeMap<(Direction, BookId, i16), u32>,
    /// The incarnation in which somebody stated the highest number of a register and year.
    #[n(2)]
    stated: BTreeMap<(Direction, BookId, i16), Incarnation>,
    /// The incarnation since which numbers may be missing here.
    #[n(3)]
    doubtful_since: Option<Incarnation>,
}

impl Books {
    /// The highest number used in this register and year, as far as it is known here; 0 when none is.
    pub fn highest(&self, direction: Direction, book: &BookId, year: i16) -> u32 {
        self.used.get(&(direction, book.clone(), year)).copied().unwrap_or(0)
    }

    /// Whether numbers of this year may have been used that are not known here. A year that begins after a restore is no
    /// exception: which year it is, a wrong clock would say too.
    pub fn is_doubtful(&self, direction: Direction, book: &BookId, year: i16) -> bool {
        let stated = self.stated.get(&(direction, book.clone(), year));
        self.doubtful_since.is_some_and(|since| stated.is_none_or(|stated| *stated < since))
    }

    /// Whether somebody stated the highest number of this register and year.
    pub fn is_stated(&self, direction: Direction, book: &BookId, year: i16) -> bool {
        self.stated.contains_key(&(direction, book.clone(), year))
    }

    /// The next line of this register; `None` when the numbers are used up.
    pub fn next(&self, direction: Direction, book: &BookId, year: i16) -> Option<Entry> {
        let number = self.highest(direction, book, year) + 1;
        (number <= NUMBER_MAX).then(|| Entry { book: book.clone(), year, number })
    }

    /// Every register and year in which a number was used, and the highest.
    pub fn used(&self) -> impl Iterator<Item = (Direction, &BookId, i16, u32)> {
        self.used.iter().map(|((direction, book, year), number)| (*direction, book, *year, *number))
    }

    pub(crate) fn note(&mut self, direction: Direction, entry: &Entry) {
        let used = self.used.entry((direction, entry.book.clone(), entry.year)).or_default();
        *used = entry.number.max(*used);
    }

    pub(crate) fn doubt_since(&mut self, incarnation: Incarnation) {
        self.doubtful_since = Some(incarnation);
    }

    pub(crate) fn state(&mut self, direction: Direction, entry: &Entry, incarnation: Incarnation) {
        if entry.number > 0 {
            self.note(direction, entry);
        }
        self.stated.insert((direction, entry.book.clone(), entry.year), incarnation);
    }
}
