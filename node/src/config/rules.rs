//! What an office has settled for itself: its registers, and what it is entitled to send.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schema::document::DocumentType;
use schema::handling::{Book, BookId, Direction, Rules};
use schema::id::OfficeId;
use schema::text::require_plain;
use serde::Deserialize;

use super::toml_string;
use super::volumes::Volumes;

/// Most registers.
pub const BOOKS_MAX: usize = 64;
/// Most recipients that an office is limited to.
pub const ENTITLED_MAX: usize = 4_096;
/// Longest name of a register or abbreviation of an office, in characters.
const NAME_CHARS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBook {
    id: BookId,
    direction: Direction,
    name: String,
    #[serde(default)]
    types: BTreeSet<DocumentType>,
    issuer: Option<String>,
    /// Of years that are not listed in `volumes`.
    numbers_per_volume: Option<u32>,
    /// The first number of each volume, by year: `{ 2025 = [1, 201, 415] }`.
    #[serde(default)]
    volumes: BTreeMap<String, Vec<u32>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuthority {
    #[serde(default)]
    types: BTreeSet<DocumentType>,
    #[serde(default)]
    recipients: BTreeSet<OfficeId>,
}

/// The rules that these settings make and how the registers are bound, or what is wrong with them. Without registers there is one
/// for each direction.
pub(super) fn parse_rules(books: Vec<RawBook>, authority: RawAuthority) -> Result<(Rules, Volumes), String> {
    if books.len() > BOOKS_MAX || authority.recipients.len() > ENTITLED_MAX {
        return Err(format!("at most {BOOKS_MAX} registers and {ENTITLED_MAX} recipients are possible"));
    }
    let (mut seen, mut bound) = (BTreeSet::new(), Volumes::default());
    let mut rules = Rules { types: authority.types, recipients: authority.recipients, ..Rules::default() };
    if !books.is_empty() {
        rules.books.clear();
    }
    for RawBook { id, direction, name, types, issuer, numbers_per_volume, volumes } in books {
        for text in [&name].into_iter().chain(&issuer) {
            require_plain(text, NAME_CHARS_MAX).map_err(|error| error.to_string())?;
        }
        if !seen.insert((direction, id.clone())) {
            return Err(format!("register `{id}` is there twice"));
        }
        let outgoing = || rules.books.iter().filter(|book| book.direction == Direction::Outgoing);
        let twice = outgoing().any(|book| match types.is_empty() {
            true => book.types.is_empty(),
            false => book.types.intersection(&types).next().is_some(),
        });
        if direction == Direction::Outgoing && twice {
            return Err(format!(
                "register `{id}` takes documents that another one takes: one symbol, two series"
            ));
        }
        bound.bind(direction, &id, numbers_per_volume, volumes)?;
        rules.books.push(Book { id, direction, name, types, issuer });
    }
    Ok((rules, bound))
}

/// The settings that [`parse_rules`] reads back as these.
pub(super) fn render_rules(rules: &Rules, volumes: &Volumes, text: &mut String) {
    let types = |types: &BTreeSet<DocumentType>| {
        types.iter().map(|one| toml_string(one.slug())).collect::<Vec<_>>().join(", ")
    };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\n# A register is bound in volumes: numbers_per_volume = 200, or volumes = {{ 2025 = [1, 201, 415] }} with the first number\n\
         # of each. List a year that is over before you change numbers_per_volume, or it is printed with other volumes.\n\
         \n[authority]\n\
         # types = [\"bao-cao\"] limits what this office issues, recipients = [\"office id\"] to whom it sends.\n"
    );
    if !rules.types.is_empty() {
        let _ = writeln!(text, "types = [{}]", types(&rules.types));
    }
    if !rules.recipients.is_empty() {
        let recipients = rules.recipients.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>();
        let _ = writeln!(text, "recipients = [{}]", recipients.join(", "));
    }
    for book in &rules.books {
        let direction = match book.direction {
            Direction::Incoming => "incoming",
            Direction::Outgoing => "outgoing",
        };
        let _ = write!(
            text,
            "\n[[registers]]\nid = \"{}\"\ndirection = \"{direction}\"\nname = {}\n",
            book.id,
            toml_string(&book.name)
        );
        if !book.types.is_empty() {
            let _ = writeln!(text, "types = [{}]", types(&book.types));
        }
        match &book.issuer {
            Some(issuer) => {
                let _ = writeln!(text, "issuer = {}", toml_string(issuer));
            }
            None if book.direction == Direction::Outgoing => {
                let _ = writeln!(text, "# issuer = \"UBND\" is what stands for this office in symbols.");
            }
            None => {}
        }
        volumes.render(book.direction, &book.id, text);
    }
}

/// Beginnings of names of people's committees; the directory often lists them by their place alone.
const COMMITTEES: [&str; 11] = [
    "uy ban nhan dan",
    "ubnd",
    "xa ",
    "phuong ",
    "thi tran ",
    "dac khu ",
    "huyen ",
    "quan ",
    "thi xa ",
    "tinh ",
    "thanh pho ",
];

/// What stands for an office in symbols, where its name says so: `UBND` for a people's committee.
pub fn guess_issuer(name: &str) -> Option<&'static str> {
    let folded = schema::text::fold(name);
    let starts = |with: &str| folded.starts_with(with);
    match () {
        () if COMMITTEES.iter().any(|with| starts(with)) => Some("UBND"),
        () if starts("hoi dong nhan dan") || starts("hdnd") => Some("HĐND"),
        () if starts("van phong chinh phu") => Some("VPCP"),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbol_of_an_office_is_guessed_from_its_name_or_left_open() {
        for name in ["Xã Na Hối", "Ủy ban nhân dân xã số 1", "UBND tỉnh Lào Cai", "Thành phố Đà Nẵng"]
        {
            assert_eq!(guess_issuer(name), Some("UBND"), "{name}");
        }
        assert_eq!(guess_issuer("Văn phòng Chính phủ"), Some("VPCP"));
        assert_eq!(guess_issuer("Bộ Nội vụ"), None);
    }
}
