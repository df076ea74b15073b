//! Numbers of registers: given, and used up by what is no document of the exchange.

use super::{Decided, Desk, WorkRefusal};
use crate::body::{Deed, Issue, IssuedPaper, PaperDocument, cancelling_key};
use crate::document::{Code, CopyForm, DocumentType};
use crate::exchange::Records;
use crate::handling::{Book, BookId, Direction, Entry};
use crate::id::WorkId;

impl<R: Records> Desk<'_, R> {
    pub(super) fn next_entry(
        &self,
        direction: Direction,
        named: Option<&BookId>,
    ) -> Result<Entry, WorkRefusal> {
        let book = &self.context.rules.book(direction, named).ok_or(WorkRefusal::UnknownBook)?.id;
        let (books, year) = (self.exchange.books(), self.today.0.year());
        if books.is_doubtful(direction, book, year) {
            let highest = books.highest(direction, book, year);
            return Err(WorkRefusal::BookDoubtful { book: book.clone(), highest });
        }
        books.next(direction, book, year).ok_or_else(|| WorkRefusal::BookFull { book: book.clone() })
    }

    /// The next line for work that is about no document, unless it has one already. That is looked up before anything else: the
    /// answer to whoever asks again is the same, whatever became of the register in between.
    fn entry_for(
        &self,
        (id, said): (WorkId, u64),
        direction: Direction,
        named: Option<&BookId>,
        next: impl FnOnce() -> Result<Entry, WorkRefusal>,
    ) -> Result<Result<Entry, WorkRefusal>, R::Error> {
        let Some((known, line, used)) = self.records.line_of_work(&id)? else { return Ok(next()) };
        let book = named.is_none_or(|named| *named == line.book);
        let same = book && known == direction && used.work == Some((id, said));
        Ok(Err(match same {
            true => WorkRefusal::DoneBefore { line, position: used.position },
            false => WorkRefusal::OtherWork { line },
        }))
    }

    pub(super) fn register_paper(
        &self,
        id: WorkId,
        book: Option<&BookId>,
        paper: &PaperDocument,
    ) -> Result<Decided, R::Error> {
        let next = || self.next_entry(Direction::Incoming, book);
        let entry = self.entry_for((id, paper.key()), Direction::Incoming, book, next)?;
        let deed = |entry| Deed::PaperRegistered { entry, on: self.today, paper: paper.clone(), work: id };
        Ok(entry.map(|entry| vec![self.kept(deed(entry))]))
    }

    pub(super) fn issue_paper(
        &self,
        id: WorkId,
        named: Option<&BookId>,
        paper: &IssuedPaper,
    ) -> Result<Decided, R::Error> {
        let (rules, document_type) = (self.context.rules, paper.document_type);
        let book = rules.outgoing_book(document_type, named).ok_or(WorkRefusal::UnknownBook);
        let next = || {
            if !rules.may_issue(document_type) {
                return Err(WorkRefusal::TypeNotAllowed { document_type });
            }
            self.next_entry(Direction::Outgoing, Some(&book.clone()?.id))
        };
        let line = self.entry_for((id, paper.key()), Direction::Outgoing, named, next)?;
        let issue =
            line.and_then(|line| self.numbered(book?, line, document_type, None, paper.unit.as_deref()));
        let deed = |issue| Deed::PaperIssued { issue, paper: paper.clone(), work: id };
        Ok(issue.map(|issue| vec![self.kept(deed(issue))]))
    }

    /// Number, symbol and today's date for the next line of a register.
    pub(super) fn numbered(
        &self,
        book: &Book,
        line: Entry,
        document_type: DocumentType,
        copy: Option<CopyForm>,
        unit: Option<&str>,
    ) -> Result<Issue, WorkRefusal> {
        let notation = book.notation(document_type, copy, unit);
        let code = notation.and_then(|notation| Code::new(line.to_string(), notation).ok());
        let code = code.ok_or_else(|| WorkRefusal::NoSymbol { book: book.id.clone() })?;
        Ok(Issue { code, on: self.today, line: Some(line) })
    }

    pub(super) fn cancel_number(
        &self,
        id: WorkId,
        direction: Direction,
        book: Option<&BookId>,
        reason: &str,
    ) -> Result<Decided, R::Error> {
        let next = || self.next_entry(direction, book);
        let entry = self.entry_for((id, cancelling_key(direction, reason)), direction, book, next)?;
        let deed = |entry| Deed::NumberCancelled { direction, entry, reason: reason.to_owned(), work: id };
        Ok(entry.map(|entry| vec![self.kept(deed(entry))]))
    }

    pub(super) fn state_highest(&self, direction: Direction, named: Option<&BookId>, number: u32) -> Decided {
        let book = self.context.rules.book(direction, named).ok_or(WorkRefusal::UnknownBook)?.id.clone();
        let (books, year) = (self.exchange.books(), self.today.0.year());
        let highest = books.highest(direction, &book, year);
        if number < highest {
            return Err(WorkRefusal::BelowKnown { book, highest });
        }
        if highest > 0 && !books.is_doubtful(direction, &book, year) {
            return Err(WorkRefusal::BookInUse { book, highest });
        }
        Ok(vec![self.kept(Deed::HighestStated { direction, entry: Entry { book, year, number } })])
    }
}
