//! What an office has settled for itself: its registers, and what it is entitled to send.

use std::collections::BTreeSet;

use super::{BookId, Direction};
use crate::document::{CopyForm, DocumentType};
use crate::id::OfficeId;

/// A register (*sổ*).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Book {
    /// How programs name it.
    pub id: BookId,
    /// Which way its documents go.
    pub direction: Direction,
    /// What stands on its cover.
    pub name: String,
    /// The types that are entered in it; all when there are none.
    pub types: BTreeSet<DocumentType>,
    /// The abbreviation of the office in symbols, such as `UBND`; without one it makes no symbols.
    pub issuer: Option<String>,
}

impl Book {
    /// The symbol (*ký hiệu*) of a document of this type: `BC-UBND`, and `UBND-VP` for a letter of the unit `VP`, since letters
    /// have no abbreviation (Decree 30/2020 appendix III). `None` when something for it is missing.
    pub fn notation(
        &self,
        document_type: DocumentType,
        copy: Option<CopyForm>,
        unit: Option<&str>,
    ) -> Option<String> {
        let issuer = self.issuer.as_deref()?;
        let abbreviation = copy.map(CopyForm::abbreviation).or_else(|| document_type.abbreviation());
        Some(match (abbreviation, unit) {
            (Some(abbreviation), _) => format!("{abbreviation}-{issuer}"),
            (None, Some(unit)) => format!("{issuer}-{unit}"),
            (None, None) => issuer.to_owned(),
        })
    }
}

/// What an office has settled for itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Its registers; the first of a direction is the one that is meant when none is named.
    pub books: Vec<Book>,
    /// The types that it issues (*thẩm quyền ban hành*); all when there are none.
    pub types: BTreeSet<DocumentType>,
    /// The offices that it sends to; all when there are none.
    pub recipients: BTreeSet<OfficeId>,
    /// The archive (*lưu trữ lịch sử*) that can read whatever documents it sends sealed: named in each, never a hidden one.
    pub archive: Option<OfficeId>,
}

impl Default for Rules {
    /// One register for each direction, and no limits.
    fn default() -> Self {
        let book = |id: &str, direction, name: &str| Book {
            id: id.parse().expect("a name of a register"),
            direction,
            name: name.to_owned(),
            types: BTreeSet::new(),
            issuer: None,
        };
        let incoming = book("den", Direction::Incoming, "Sổ đăng ký văn bản đến");
        let outgoing = book("di", Direction::Outgoing, "Sổ đăng ký văn bản đi");
        let books = vec![incoming, outgoing];
        Self { books, types: BTreeSet::new(), recipients: BTreeSet::new(), archive: None }
    }
}

impl Rules {
    /// The register of this name, or the first one of the direction.
    pub fn book(&self, direction: Direction, named: Option<&BookId>) -> Option<&Book> {
        let mut books = self.books.iter().filter(|book| book.direction == direction);
        match named {
            Some(named) => books.find(|book| book.id == *named),
            None => books.next(),
        }
    }

    /// The register in which documents of this type go out: one that names the type before one that takes all others. A
    /// register that is named must take the type, or one symbol would be counted in two series.
    pub fn outgoing_book(&self, document_type: DocumentType, named: Option<&BookId>) -> Option<&Book> {
        let outgoing = || self.books.iter().filter(|book| book.direction == Direction::Outgoing);
        let of_type = outgoing().find(|book| book.types.contains(&document_type));
        let takes = of_type.or_else(|| outgoing().find(|book| book.types.is_empty()));
        takes.filter(|book| named.is_none_or(|named| book.id == *named))
    }

    /// Whether the office issues documents of this type.
    pub fn may_issue(&self, document_type: DocumentType) -> bool {
        self.types.is_empty() || self.types.contains(&document_type)
    }

    /// Whether it sends to that office.
    pub fn may_send_to(&self, office: &OfficeId) -> bool {
        self.recipients.is_empty() || self.recipients.contains(office)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B3: an abbreviation for 27 types and three forms of copies, and none for letters.
    #[test]
    fn b3_symbol_follows_the_type() {
        let rules = Rules::default();
        let silent = rules.book(Direction::Outgoing, None).expect("a register");
        assert_eq!(silent.notation(DocumentType::Report, None, None), None);
        let book = Book { issuer: Some("UBND".to_owned()), ..silent.clone() };
        let of = |document_type, copy, unit| book.notation(document_type, copy, unit).expect("a symbol");
        assert_eq!(of(DocumentType::Report, None, Some("VP")), "BC-UBND");
        assert_eq!(of(DocumentType::Decision, None, None), "QĐ-UBND");
        assert_eq!(of(DocumentType::OfficialLetter, None, Some("VP")), "UBND-VP");
        assert_eq!(of(DocumentType::OfficialLetter, None, None), "UBND");
        assert_eq!(of(DocumentType::Decision, Some(CopyForm::Extract), None), "TrS-UBND");
    }

    #[test]
    fn register_that_names_a_type_comes_before_one_that_takes_all() {
        let mut rules = Rules::default();
        let all = rules.books[1].clone();
        let decisions = Book {
            id: "quyet-dinh".parse().expect("a name"),
            types: BTreeSet::from([DocumentType::Decision]),
            ..all
        };
        rules.books.push(decisions);
        let book = |document_type| rules.outgoing_book(document_type, None).map(|book| book.id.to_string());
        assert_eq!(book(DocumentType::Decision).as_deref(), Some("quyet-dinh"));
        assert_eq!(book(DocumentType::Report).as_deref(), Some("di"));
        rules.books.remove(1);
        assert!(rules.outgoing_book(DocumentType::Report, None).is_none());
        let other = "di".parse().expect("a name");
        assert!(rules.outgoing_book(DocumentType::Decision, Some(&other)).is_none());
    }
}
