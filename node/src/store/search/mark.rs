//! What a list can be narrowed by besides words: marks that stand among the words of a row. They hold a `=`, which no word
//! does, so neither is ever taken for the other.

use std::fmt;

use schema::document::DocumentType;
use schema::event::Urgency;
use schema::handling::{Stage, Standing};
use schema::id::OfficeId;
use schema::trust::Outcome;

use super::sought::Span;
use crate::store::handled::{stage_number, standing_number};

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mark {
    Type(DocumentType),
    Urgency(Urgency),
    /// Its sender, or one of its recipients.
    Office(OfficeId),
    Stage(Stage),
    Standing(Standing),
    Outcome(Outcome),
    /// The day by which it is listed.
    Listed(Span),
    /// The date that it bears.
    Issued(Span),
    /// Recalled or taken back: hidden from work.
    Hidden,
    /// A recipient has given no receipt.
    Unreceipted,
    /// No row has it.
    Never,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(one) => write!(f, "t={}", one.number()),
            Self::Urgency(one) => write!(f, "u={}", one.number()),
            Self::Office(one) => write!(f, "o={one}"),
            Self::Stage(one) => write!(f, "s={}", stage_number(*one)),
            Self::Standing(one) => write!(f, "n={}", standing_number(*one)),
            Self::Outcome(one) => write!(f, "v={}", one.number()),
            Self::Listed(span) => write!(f, "l={span}"),
            Self::Issued(span) => write!(f, "i={span}"),
            Self::Hidden => f.write_str("h=1"),
            Self::Unreceipted => f.write_str("w=1"),
            Self::Never => f.write_str("never=1"),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Year(day) => write!(f, "{:04}", day.year()),
            Self::Month(day) => write!(f, "{:04}{:02}", day.year(), day.month()),
            Self::Day(day) => write!(f, "{:04}{:02}{:02}", day.year(), day.month(), day.day()),
        }
    }
}
