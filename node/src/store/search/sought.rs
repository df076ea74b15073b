//! What somebody looks for, as an expression of SQLite's full-text search (FTS5).

use std::fmt::Write as _;
use std::str::FromStr;

use jiff::civil::Date;
use schema::document::DocumentType;
use schema::event::Urgency;
use schema::handling::{Stage, Standing};
use schema::id::OfficeId;
use schema::text;
use schema::time::Day;
use schema::trust::Outcome;

use super::mark::Mark;

/// Longest text that is looked for, in characters.
pub const SOUGHT_CHARS_MAX: usize = 200;
/// Most words in it.
pub const SOUGHT_WORDS_MAX: usize = 24;
/// Shortest beginning of a word that is looked for: `*` after less would find nearly everything, slowly.
pub const BEGINNING_CHARS_MIN: usize = 3;

/// The first day of an open range: no document of this state is older.
const EARLIEST: Date = Date::constant(1945, 1, 1);
/// The last day of an open range.
const LATEST: Date = Date::constant(2144, 12, 31);

/// Words in a row.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Phrase {
    words: Vec<String>,
    /// Whether the last word may go on.
    open: bool,
}

/// Words that somebody looks for. All of them must be there, wherever they stand; what is between quotation marks, and a
/// number and symbol, must stand in a row. `*` after a word leaves its end open. Case, tones and marks do not matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SoughtText(Vec<Phrase>);

/// A text that cannot be looked for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SoughtRefused {
    /// More than a person types.
    #[error("more than {SOUGHT_CHARS_MAX} characters or {SOUGHT_WORDS_MAX} words to look for; use fewer")]
    TooLong,
    /// Neither letter nor digit.
    #[error("no word to look for in the text; type a word, or leave the text out")]
    NoWord,
    /// Too few letters before a `*`.
    #[error(
        "`{beginning}*` would find nearly everything; type at least {BEGINNING_CHARS_MIN} letters before `*`"
    )]
    ShortBeginning {
        /// The letters.
        beginning: String,
    },
}

impl FromStr for SoughtText {
    type Err = SoughtRefused;

    fn from_str(text: &str) -> Result<Self, SoughtRefused> {
        if text.len() > SOUGHT_CHARS_MAX * 4 || text.chars().count() > SOUGHT_CHARS_MAX {
            return Err(SoughtRefused::TooLong);
        }
        let mut phrases = Vec::new();
        let is_quotation = |c| matches!(c, '"' | '“' | '”' | '„' | '«' | '»');
        for (number, part) in text.split(is_quotation).enumerate() {
            // Every other part is quoted; a mark that is never closed closes at the end.
            let quoted = number % 2 == 1;
            let chunks = if quoted { vec![part] } else { part.split_whitespace().collect() };
            for chunk in chunks {
                let words = text::words(chunk);
                let open = chunk.ends_with('*');
                let Some(last) = words.last() else { continue };
                if open && last.chars().count() < BEGINNING_CHARS_MIN {
                    return Err(SoughtRefused::ShortBeginning { beginning: last.clone() });
                }
                phrases.push(Phrase { words, open });
            }
        }
        match phrases.iter().map(|phrase| phrase.words.len()).sum() {
            0 => Err(SoughtRefused::NoWord),
            1..=SOUGHT_WORDS_MAX => Ok(Self(phrases)),
            _ => Err(SoughtRefused::TooLong),
        }
    }
}

/// Days from one to another, both included; open at an end that is not said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Days {
    /// The first.
    pub since: Option<Day>,
    /// The last.
    pub until: Option<Day>,
}

impl Days {
    /// Whole years, whole months and single days that are these days; nothing when all days are meant.
    fn covered(self) -> Option<Vec<Span>> {
        if self == Self::default() {
            return None;
        }
        let mut from = self.since.map_or(EARLIEST, |day| day.0).max(EARLIEST);
        let until = self.until.map_or(LATEST, |day| day.0).min(LATEST);
        let mut spans = Vec::new();
        while from <= until {
            let (year_ends, month_ends) = (from.last_of_year(), from.last_of_month());
            let (span, last) = if from == from.first_of_year() && year_ends <= until {
                (Span::Year(from), year_ends)
            } else if from.day() == 1 && month_ends <= until {
                (Span::Month(from), month_ends)
            } else {
                (Span::Day(from), from)
            };
            spans.push(span);
            let Ok(next) = last.tomorrow() else { break };
            from = next;
        }
        Some(spans)
    }
}

/// A part of the calendar, by its first day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Span {
    Year(Date),
    Month(Date),
    Day(Date),
}

impl Span {
    /// Everything a day belongs to.
    pub(super) const fn around(day: Day) -> [Self; 3] {
        [Self::Year(day.0), Self::Month(day.0), Self::Day(day.0)]
    }
}

/// To what a list is narrowed; all of it must be so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sought {
    /// Words.
    pub text: Option<SoughtText>,
    /// The type of the document.
    pub document_type: Option<DocumentType>,
    /// How urgent it is.
    pub urgency: Option<Urgency>,
    /// Its sender; for what went out, one of its recipients.
    pub office: Option<OfficeId>,
    /// How far it is; for what went out, at one of its recipients.
    pub stage: Option<Stage>,
    /// What it is worth for work; for what went out, at one of its recipients.
    pub standing: Option<Standing>,
    /// What its signatures are worth, as of the newest judgement.
    pub outcome: Option<Outcome>,
    /// When it came here or went out; in a register, when it was registered or issued.
    pub days: Days,
    /// The date that it bears.
    pub issued: Days,
    /// Only what lacks a receipt.
    pub unreceipted: bool,
}

impl Sought {
    /// Whether it narrows nothing.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// The expression; what is hidden from work is left out unless `all` is wanted, or the standing is what is asked for.
    /// None when nothing is asked for: the expression language has no word for everything.
    pub(super) fn expression(&self, all: bool) -> Option<String> {
        let mut terms: Vec<String> = Vec::new();
        for phrase in self.text.iter().flat_map(|text| &text.0) {
            let open = if phrase.open { " *" } else { "" };
            // Words are letters and digits: no quotation mark can be among them.
            terms.push(format!("\"{}\"{open}", phrase.words.join(" ")));
        }
        let marks = [
            self.document_type.map(Mark::Type),
            self.urgency.map(Mark::Urgency),
            self.office.map(Mark::Office),
            self.stage.map(Mark::Stage),
            self.standing.map(Mark::Standing),
            self.outcome.map(Mark::Outcome),
            self.unreceipted.then_some(Mark::Unreceipted),
        ];
        terms.extend(marks.into_iter().flatten().map(|mark| quoted(&mark)));
        for (days, mark) in
            [(self.days, Mark::Listed as fn(Span) -> Mark), (self.issued, Mark::Issued as fn(Span) -> Mark)]
        {
            let Some(spans) = days.covered() else { continue };
            let any: Vec<String> = spans.into_iter().map(|span| quoted(&mark(span))).collect();
            // An empty range finds nothing: a mark that no document has says so.
            terms.push(match any.is_empty() {
                true => quoted(&Mark::Never),
                false => format!("({})", any.join(" OR ")),
            });
        }
        if terms.is_empty() {
            return None;
        }
        let mut expression = terms.join(" AND ");
        if !all && self.standing.is_none() {
            expression = format!("({expression})");
            // Writing into a text cannot fail.
            let _ = write!(expression, " NOT {}", quoted(&Mark::Hidden));
        }
        Some(expression)
    }
}

fn quoted(mark: &Mark) -> String {
    format!("\"{mark}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Result<SoughtText, SoughtRefused> {
        text.parse()
    }

    fn expression(text: &str) -> String {
        let text = Some(text.parse().expect("a text"));
        Sought { text, ..Sought::default() }.expression(true).expect("an expression")
    }

    #[test]
    fn words_are_looked_for_folded_and_a_symbol_in_a_row() {
        assert_eq!(expression("Báo cáo 05/QĐ-UBND"), "\"bao\" AND \"cao\" AND \"5 qd ubnd\"");
        assert_eq!(expression("“tuyển quân” năm"), "\"tuyen quan\" AND \"nam\"");
        assert_eq!(expression("never \"closed at all"), "\"never\" AND \"closed at all\"");
        assert_eq!(expression("nghị* \"hội đồng*\""), "\"nghi\" * AND \"hoi dong\" *");
    }

    #[test]
    fn nothing_that_is_typed_is_syntax() {
        assert_eq!(expression("NOT (a OR b) t=18"), "\"not\" AND \"a\" AND \"or\" AND \"b\" AND \"t 18\"");
        assert_eq!(text("* \" … \" -"), Err(SoughtRefused::NoWord));
        assert_eq!(text("xã n*"), Err(SoughtRefused::ShortBeginning { beginning: "n".to_owned() }));
        assert_eq!(text(&"a ".repeat(25)), Err(SoughtRefused::TooLong));
        assert_eq!(text(&"đ".repeat(201)), Err(SoughtRefused::TooLong));
    }

    #[test]
    fn hidden_documents_are_left_out_unless_they_are_asked_for() {
        let sought = Sought { document_type: Some(DocumentType::Decision), ..Sought::default() };
        assert_eq!(sought.expression(false).as_deref(), Some("(\"t=2\") NOT \"h=1\""));
        assert_eq!(sought.expression(true).as_deref(), Some("\"t=2\""));
        let recalled = Sought { standing: Some(Standing::Recalled), ..Sought::default() };
        assert_eq!(recalled.expression(false).as_deref(), Some("\"n=3\""));
        assert_eq!(Sought::default().expression(false), None);
    }

    #[test]
    fn range_that_ends_before_it_begins_finds_nothing() {
        let days = Days { since: "2026-02-01".parse().ok(), until: "2026-01-31".parse().ok() };
        assert_eq!(Sought { days, ..Sought::default() }.expression(true).as_deref(), Some("\"never=1\""));
    }

    fn day(days: i32) -> Day {
        Day::from_days(days).expect("a day")
    }

    proptest! {
        #[test]
        fn range_covers_each_of_its_days_once_and_no_other(since in 0i32..30_000, length in 0i32..1_500, probe in 0i32..32_000) {
            let days = Days { since: Some(day(since)), until: Some(day(since + length)) };
            let spans = days.covered().expect("a range");
            prop_assert!(spans.len() <= 30 + 11 + 5 + 11 + 30);
            let probe = day(probe);
            let around = Span::around(probe).map(|span| Mark::Listed(span).to_string());
            let hits = spans.iter().filter(|span| around.contains(&Mark::Listed(**span).to_string())).count();
            let within = (since..=since + length).contains(&probe.days());
            prop_assert_eq!(hits, usize::from(within));
        }
    }
}
