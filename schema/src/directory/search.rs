//! Finding an office by a few letters of its name, typed without diacritics.

use std::collections::BinaryHeap;

use jiff::civil::Date;

use super::index::Directory;
use super::office::{Name, Office};
use crate::text::fold;

/// The most hits one search gives.
pub const SEARCH_HITS_MAX: usize = 200;
/// How much of a query is read, in characters.
pub const SEARCH_CHARS_MAX: usize = 200;

/// An office that a search found, and the name by which it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchHit<'a> {
    /// The office.
    pub office: &'a Office,
    /// The name that matched; an earlier one may have been meant.
    pub name: &'a Name,
}

/// All names, folded, one per line: ` phuong ba dinh\n`. Every word follows a blank, so a word is looked for
/// as blank + word. One long text, because scanning three megabytes is faster, and smaller, than any tree
/// over them.
#[derive(Clone, Default)]
pub(super) struct NameIndex {
    text: String,
    lines: Vec<Line>,
}

#[derive(Clone, Copy)]
struct Line {
    start: u32,
    office: u32,
    name: u16,
}

/// How well a name matches, best first: the smallest wins.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    sort: u8,
    length: u32,
    // Ties are broken by position, so that the same directory always answers in the same order.
    line: usize,
}

const WHOLE_NAME: u8 = 0;
const WHOLE_WORDS_AT_END: u8 = 1;
const PHRASE: u8 = 2;
const WORDS: u8 = 3;

fn push_words(text: &str, into: &mut String) {
    for word in fold(text).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        into.push(' ');
        into.push_str(word);
    }
}

impl NameIndex {
    /// `None` when the names together are longer than 4 GiB; the directory's bounds keep them far below.
    pub(super) fn push(&mut self, office: u32, name: u16, text: &str) -> Option<()> {
        let start = u32::try_from(self.text.len()).ok()?;
        push_words(text, &mut self.text);
        self.text.push('\n');
        self.lines.push(Line { start, office, name });
        Some(())
    }

    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.lines.shrink_to_fit();
    }

    fn line_text(&self, line: usize) -> &str {
        let end = self.lines.get(line + 1).map_or(self.text.len(), |next| next.start as usize);
        self.text[self.lines[line].start as usize..end].trim_end_matches('\n')
    }

    fn line_at(&self, byte: usize) -> usize {
        self.lines.partition_point(|line| line.start as usize <= byte) - 1
    }
}

impl Directory {
    /// Finds offices by the beginnings of words in their names; case and diacritics do not matter: `ba din`
    /// finds *Phường Ba Đình*. The best hits come first, an office once for each of its names that matches.
    ///
    /// With a date, only offices that bear the matching name on that day are found; without one, all of
    /// history is. At most `limit` and [`SEARCH_HITS_MAX`] hits; of the query the first [`SEARCH_CHARS_MAX`]
    /// characters count. A query without letters or digits finds nothing.
    pub fn search(&self, query: &str, at: Option<Date>, limit: usize) -> Vec<SearchHit<'_>> {
        let limit = limit.min(SEARCH_HITS_MAX);
        let mut phrase = String::new();
        push_words(&query.chars().take(SEARCH_CHARS_MAX).collect::<String>(), &mut phrase);
        let words: Vec<&str> = word_starts(&phrase);
        // The longest word is the rarest, as a rule: scan for it and test the others on the lines it hits.
        let Some(rarest) = words.iter().copied().max_by_key(|word| word.len()) else {
            return Vec::new();
        };
        let index = self.name_index();
        let mut best = BinaryHeap::with_capacity(limit + 1);
        let mut from = 0;
        while let Some(offset) = index.text[from..].find(rarest) {
            let line = index.line_at(from + offset);
            let text = index.line_text(line);
            from = index.lines[line].start as usize + text.len();
            if !words.iter().all(|word| text.contains(word)) {
                continue;
            }
            let rank = rank(text, &phrase, line);
            // Looking up the office is the dear part: only for a name that would be among the best.
            let is_better = best.len() < limit || best.peek().is_some_and(|worst| rank < *worst);
            if is_better && self.bears(line, at) {
                best.push(rank);
                if best.len() > limit {
                    best.pop();
                }
            }
        }
        best.into_sorted_vec().into_iter().filter_map(|rank| self.hit(rank.line)).collect()
    }

    /// Whether the name on this line is borne on this day.
    fn bears(&self, line: usize, at: Option<Date>) -> bool {
        let Some(at) = at else { return true };
        let Line { office, name, .. } = self.name_index().lines[line];
        self.shelf().name_validity(office, name).is_some_and(|validity| validity.contains(at))
    }

    fn hit(&self, line: usize) -> Option<SearchHit<'_>> {
        let line = self.name_index().lines.get(line)?;
        let office = self.office_number(line.office);
        Some(SearchHit { office, name: office.names.get(usize::from(line.name))? })
    }
}

/// ` ba dinh` → ` ba`, ` dinh`.
fn word_starts(phrase: &str) -> Vec<&str> {
    let starts: Vec<usize> = phrase.match_indices(' ').map(|(start, _)| start).collect();
    let ends = starts.iter().copied().skip(1).chain([phrase.len()]);
    starts.iter().zip(ends).map(|(start, end)| &phrase[*start..end]).collect()
}

fn rank(text: &str, phrase: &str, line: usize) -> Rank {
    let sort = if text == phrase {
        WHOLE_NAME
    } else if text.ends_with(phrase) {
        // The unit's sort stands first: `ba dinh` is Phường Ba Đình rather than Phường Ba Đình Đông.
        WHOLE_WORDS_AT_END
    } else if text.contains(phrase) {
        PHRASE
    } else {
        WORDS
    };
    Rank { sort, length: u32::try_from(text.len()).unwrap_or(u32::MAX), line }
}
