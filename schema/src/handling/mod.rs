//! What offices do with a document after it has travelled: register or refuse it, work on it, take it back, recall it.
//!
//! Sender and recipient keep the same [`Progress`] of a document, and both learn it as [`Fact`]s: what the recipient did, and
//! what the sender asked for. Facts are taken in any order, any number of times; the same facts give the same progress. So
//! whatever crosses on its way, both ends agree once everything has arrived, and nothing goes backwards.
//!
//! Sources: Decision 28/2018/QĐ-TTg articles 6 and 9, Decree 30/2020/NĐ-CP articles 15, 18, 20–24, and the status codes of the
//! national exchange (edXML `StatusCode`).

mod actor;
mod book;
mod calendar;
mod case;
mod drafted;
mod erasure;
mod fact;
mod person;
mod progress;
mod reason;
mod rules;

pub use actor::{ACTOR_CHARS_MAX, Actor, Role};
pub use book::{BookId, BookRefused, Books, Direction, Entry, NUMBER_MAX};
pub use calendar::{AtTheLatest, Calendar, Term, Timeliness, URGENT_MS};
pub use case::{CaseRow, STEPS_MAX, Side};
pub use drafted::{DraftStage, DraftedRow, LISTED_MAX, Recipients};
pub use erasure::{ErasedRow, Erasure, ErasureGround};
pub use fact::{Fact, WORDS_CHARS_MAX};
pub use person::{Beyond, PERSON_RECIPIENTS_MAX, PersonRow};
pub use progress::{Business, BusinessKind, ENTRIES_MAX, Progress, REQUESTS_MAX, Stage, Standing};
pub use reason::RefusalReason;
pub use rules::{Book, Rules};
