//! One hash of a whole state (P7).

use minicbor::Encode;
use sha2::{Digest, Sha256};

use super::{HeldRow, LineUse, SentRow};
use crate::cose::infallible;
use crate::exchange::Exchange;
use crate::handling::{self, CaseRow, Direction, DraftedRow, ErasedRow, PersonRow};
use crate::id::StateHash;

/// Hashes a state row by row: first the sent rows, then the held rows, each by office, incarnation and counter; then what is
/// known of documents, by office, document and side; then the lines of the registers, the documents on their way out, the people of the
/// office, and the documents whose content is erased, by issuer and document.
pub struct StateDigest {
    hash: Sha256,
    buffer: Vec<u8>,
}

impl StateDigest {
    /// Starts with the hot state.
    pub fn new(exchange: &Exchange) -> Self {
        let mut digest = Self { hash: Sha256::new(), buffer: Vec::new() };
        digest.add(exchange);
        digest
    }

    fn add<T: Encode<()>>(&mut self, value: &T) {
        self.buffer.clear();
        infallible(minicbor::encode(value, &mut self.buffer));
        self.hash.update(&self.buffer);
    }

    /// Adds a sent row.
    pub fn sent(&mut self, row: &SentRow) {
        self.add(row);
    }

    /// Adds a held row.
    pub fn held(&mut self, row: &HeldRow) {
        self.add(row);
    }

    /// Adds what is known of a document after it arrived.
    pub fn case(&mut self, case: &CaseRow) {
        self.add(case);
    }

    /// Adds a number that was used.
    pub fn line(&mut self, direction: Direction, line: &handling::Entry, used: LineUse) {
        self.add(&(direction, line, used));
    }

    /// Adds a document on its way out.
    pub fn drafted(&mut self, row: &DraftedRow) {
        self.add(row);
    }

    /// Adds somebody of the office.
    pub fn person(&mut self, row: &PersonRow) {
        self.add(row);
    }

    /// Adds a document whose content is erased.
    pub fn erased(&mut self, row: &ErasedRow) {
        self.add(row);
    }

    /// The hash.
    pub fn finish(self) -> StateHash {
        StateHash::new(self.hash.finalize().into())
    }
}
