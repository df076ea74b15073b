//! To what a list is narrowed: words, and what documents are.

use std::fmt::Write as _;

use clap::Args;
use schema::document::DocumentType;
use schema::time::Day;

use super::percent;

/// What somebody looks for. Everything that is named must be so.
#[derive(Args)]
pub(super) struct NarrowArgs {
    /// Words that must be there, with or without marks and tones; words in quotation marks stand in a row (`'"tuyển quân"'`),
    /// and `*` leaves the end of a word open.
    words: Vec<String>,
    /// The type of the document: `QĐ`, `bao-cao`, `"Công văn"`.
    #[arg(long = "type", value_name = "TYPE")]
    document_type: Option<DocumentType>,
    /// normal, urgent, very-urgent, express, express-timed.
    #[arg(long)]
    urgency: Option<String>,
    /// Its sender, or one of its recipients: id or code.
    #[arg(long)]
    office: Option<String>,
    /// How far it is, here or at one recipient: arrived, refused, registered, assigned, in-progress, finished.
    #[arg(long)]
    stage: Option<String>,
    /// What it is worth for work: current, asked-back, taken-back, replaced, recalled.
    #[arg(long)]
    standing: Option<String>,
    /// What its signatures are worth: valid, undetermined, invalid.
    #[arg(long)]
    outcome: Option<String>,
    /// The first day on which it came here, went out or was registered: `05/06/2025` or `2025-06-05`.
    #[arg(long, value_parser = day)]
    since: Option<Day>,
    /// The last such day.
    #[arg(long, value_parser = day)]
    until: Option<Day>,
    /// The first date that it bears.
    #[arg(long, value_parser = day)]
    issued_since: Option<Day>,
    /// The last date that it bears.
    #[arg(long, value_parser = day)]
    issued_until: Option<Day>,
    /// Only what lacks a receipt.
    #[arg(long)]
    unreceipted: bool,
}

/// A day as people write it, or as programs do.
fn day(text: &str) -> Result<Day, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let iso = match parts[..] {
        [day, month, year] => format!("{year:0>4}-{month:0>2}-{day:0>2}"),
        _ => text.to_owned(),
    };
    iso.parse().map_err(|_| format!("`{text}` is no day; write it as 05/06/2025"))
}

impl NarrowArgs {
    /// What follows the question mark, each with `&` in front.
    pub(super) fn query(&self) -> String {
        let mut query = String::new();
        let mut add = |key: &str, value: &str| {
            // Writing into a text cannot fail.
            let _ = write!(query, "&{key}={}", percent(value));
        };
        if !self.words.is_empty() {
            add("text", &self.words.join(" "));
        }
        if let Some(one) = self.document_type {
            add("type", one.slug());
        }
        let texts = [
            ("urgency", &self.urgency),
            ("office", &self.office),
            ("stage", &self.stage),
            ("standing", &self.standing),
            ("outcome", &self.outcome),
        ];
        texts
            .iter()
            .filter_map(|(key, text)| Some((key, text.as_ref()?)))
            .for_each(|(key, text)| add(key, text));
        let days = [
            ("since", self.since),
            ("until", self.until),
            ("issued_since", self.issued_since),
            ("issued_until", self.issued_until),
        ];
        days.iter()
            .filter_map(|(key, day)| Some((key, (*day)?)))
            .for_each(|(key, day)| add(key, &String::from(day)));
        if self.unreceipted {
            add("unreceipted", "true");
        }
        query
    }
}
