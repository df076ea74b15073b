//! What an office has settled for itself: its registers.

use super::{BookId, Direction};

/// A register (*sổ*).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Book {
    /// How programs name it.
    pub id: BookId,
    /// Which way its documents go.
    pub direction: Direction,
    /// What stands on its cover.
    pub name: String,
}

/// What an office has settled for itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Its registers; the first of a direction is the one that is meant when none is named.
    pub books: Vec<Book>,
}

impl Default for Rules {
    /// One register for each direction.
    fn default() -> Self {
        let book = |id: &str, direction, name: &str| {
            let id = id.parse().expect("a name of a register");
            Book { id, direction, name: name.to_owned() }
        };
        let incoming = book("den", Direction::Incoming, "Sổ đăng ký văn bản đến");
        Self { books: vec![incoming, book("di", Direction::Outgoing, "Sổ đăng ký văn bản đi")] }
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
}
