//! Text as people write it: one normal form on the wire, one folded form for searching.
//!
//! *hoà* can be typed as two different byte sequences that look the same. What is signed must have one form,
//! so every text that enters is refused unless it is in NFC; nothing is silently rewritten, because rewriting
//! signed text breaks its signature.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark, is_nfc};

/// The longest text quoted in an error, in characters.
pub(crate) const QUOTED_CHARS_MAX: usize = 80;

/// A text that cannot be carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// More characters than the field holds.
    #[error("text `{text}…` is too long: more than {chars_max} characters; shorten it")]
    TooLong {
        /// Its beginning.
        text: String,
        /// How many characters (Unicode scalar values) the field holds.
        chars_max: usize,
    },
    /// Not in Unicode Normalization Form C.
    #[error("text `{text}` is not in Unicode NFC; normalise it before it is signed")]
    NotNfc {
        /// Its beginning.
        text: String,
    },
    /// A character that is not seen but changes how the text is read or printed.
    #[error("text `{text}` holds the control character U+{code:04X}; remove it")]
    Control {
        /// Its beginning, escaped.
        text: String,
        /// The character.
        code: u32,
    },
}

/// The beginning of a text, short enough to quote in an error.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(QUOTED_CHARS_MAX).collect()
}

/// Checks that a text is in NFC and has at most `chars_max` characters (Unicode scalar values). The empty
/// text passes.
///
/// # Errors
///
/// [`TextError`] says which of the two it is not.
pub fn require_nfc(text: &str, chars_max: usize) -> Result<(), TextError> {
    require_length(text, chars_max)?;
    // Only what is not plainly composed is looked up in the tables.
    if text.chars().all(is_composed) { Ok(()) } else { require_nfc_by_the_tables(text) }
}

/// The length comes first, so that a hostile text of megabytes costs nothing.
fn require_length(text: &str, chars_max: usize) -> Result<(), TextError> {
    /// UTF-8 (RFC 3629) needs one to four bytes for a character.
    const BYTES_OF_A_CHAR_MAX: usize = 4;
    let fits = text.len() <= chars_max
        || text.len() <= chars_max.saturating_mul(BYTES_OF_A_CHAR_MAX) && text.chars().count() <= chars_max;
    if fits { Ok(()) } else { Err(TextError::TooLong { text: quoted(text), chars_max }) }
}

fn require_nfc_by_the_tables(text: &str) -> Result<(), TextError> {
    if is_nfc(text) { Ok(()) } else { Err(TextError::NotNfc { text: quoted(text) }) }
}

/// Whether a character never combines with its neighbours and is its own composed form, by its block alone: Latin as
/// far as the combining marks, the Latin letters that Vietnamese needs, dashes and quotation marks. A text of nothing
/// else is in NFC (Unicode Standard Annex 15, section 9). `false` says nothing.
const fn is_composed(c: char) -> bool {
    matches!(c, '\0'..='\u{2ff}' | '\u{1e00}'..='\u{1eff}' | '\u{2010}'..='\u{2027}')
}

/// Control characters, and those that turn the direction of writing.
fn is_unseen(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control()
}

/// Whether a name becomes one file on whatever system a clerk has, in the folder that he chose: no path, no character that Windows
/// reserves, no name of a device there (Microsoft, "Naming Files, Paths, and Namespaces"), nothing that it drops at the end.
pub fn is_file_name(name: &str) -> bool {
    const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
    let reserved = |c: char| matches!(c, '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|');
    if name.trim().is_empty() || name.ends_with(['.', ' ']) || name.contains(reserved) {
        return false;
    }
    // `NUL.tar.gz` is the device too.
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let numbered = |prefix: &str| {
        let number = stem.get(..3).filter(|start| start.eq_ignore_ascii_case(prefix)).and(stem.get(3..));
        let mut digits = number.unwrap_or_default().chars();
        matches!(digits.next(), Some('0'..='9' | '¹' | '²' | '³')) && digits.next().is_none()
    };
    let device = DEVICES.iter().any(|device| stem.eq_ignore_ascii_case(device));
    !(device || numbered("COM") || numbered("LPT"))
}

/// As [`require_nfc`], and without control characters or characters that turn the direction of writing: those make
/// `exe.pdf` of `fdp.exe` and break lines in lists and logs.
///
/// # Errors
///
/// [`TextError`] says what is not accepted.
pub fn require_plain(text: &str, chars_max: usize) -> Result<(), TextError> {
    require_length(text, chars_max)?;
    // A replay reads every text of a journal again: one pass is enough for what is plainly Vietnamese.
    if text.chars().all(|c| matches!(c, ' '..='~' | '\u{a0}'..) && is_composed(c)) {
        return Ok(());
    }
    require_nfc_by_the_tables(text)?;
    match text.chars().find(|c| is_unseen(*c)) {
        None => Ok(()),
        Some(c) => {
            Err(TextError::Control { text: quoted(text).escape_default().to_string(), code: u32::from(c) })
        }
    }
}

/// Folds a text for searching: case, Vietnamese tone marks and vowel marks disappear, *đ* becomes *d*.
///
/// Both the index and the query must pass through here. `Ủy ban`, `Uỷ ban` and `uy ban` all become `uy ban`.
/// Not for comparing identities: *Lưỡng Minh* and *Lượng Minh* fold to the same text.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    // NFC first, so that lower-casing sees whole letters; `đ` has no decomposition and is mapped by hand.
    text.nfc()
        .flat_map(char::to_lowercase)
        .nfd()
        .filter(|c| !is_combining_mark(*c))
        .map(|c| if c == 'đ' { 'd' } else { c })
        .collect()
}

/// The words of a text, folded: what stands between two characters that are neither letters nor digits. Numbers lose the
/// zeros in front, so that `05/QĐ-UBND` and `5/qđ-ubnd` are the same three words.
///
/// Both the index and the query must pass through here.
pub fn words(text: &str) -> Vec<String> {
    let folded = fold(text);
    let words = folded.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(|word| without_zeros(word).to_owned()).collect()
}

fn without_zeros(word: &str) -> &str {
    match word.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Some(word.trim_start_matches('0')).filter(|digits| !digits.is_empty()).unwrap_or("0"),
        false => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn file_name_is_one_file_on_every_system() {
        for good in [
            "Công văn 47.pdf",
            ".htaccess",
            "a",
            "CONG.pdf",
            "COM10.txt",
            "LPT.txt",
            "com.pdf",
            "Phụ lục (1).xlsx",
        ] {
            assert!(is_file_name(good), "{good}");
        }
        for bad in [
            "",
            " ",
            ".",
            "..",
            "a/b",
            "a\\b",
            "a:b",
            "a*",
            "a?",
            "\"a",
            "a<b",
            "a|b",
            "a.",
            "a ",
            "CON",
            "nul.pdf",
            "NUL.tar.gz",
            "com1",
            "LPT9.txt",
            "COM¹.txt",
            "Aux .txt",
            "conin$",
        ] {
            assert!(!is_file_name(bad), "{bad}");
        }
    }

    #[test]
    fn every_vietnamese_letter_folds_to_its_plain_one() {
        for (plain, marked) in [
            ("a", "àáảãạăằắẳẵặâầấẩẫậ"),
            ("e", "èéẻẽẹêềếểễệ"),
            ("i", "ìíỉĩị"),
            ("o", "òóỏõọôồốổỗộơờớởỡợ"),
            ("u", "ùúủũụưừứửữự"),
            ("y", "ỳýỷỹỵ"),
            ("d", "đ"),
        ] {
            for letter in marked.chars().chain(marked.to_uppercase().chars()) {
                assert_eq!(fold(&letter.to_string()), plain, "{letter}");
                assert_eq!(fold(&letter.nfd().to_string()), plain, "{letter}, decomposed");
            }
        }
    }

    #[test]
    fn both_ways_of_placing_the_tone_are_found() {
        assert_eq!(fold("UỶ BAN NHÂN DÂN Tỉnh Thanh Hoá"), fold("Ủy ban nhân dân tỉnh Thanh Hóa"));
        assert_eq!(fold("Phường Ba Đình"), "phuong ba dinh");
        assert_eq!(fold("Xã Ea H'Leo"), "xa ea h'leo");
    }

    #[test]
    fn words_are_the_same_however_a_number_or_symbol_is_written() {
        assert_eq!(words("05/QĐ-UBND"), words(" 5 / qđ – ubnd"));
        assert_eq!(words("V/v “tuyển quân” năm 2026;"), ["v", "v", "tuyen", "quan", "nam", "2026"]);
        assert_eq!(words("000, 00a"), ["0", "00a"]);
        assert!(words(" …/-").is_empty());
    }

    #[test]
    fn decomposed_text_is_refused_not_rewritten() {
        let composed = "Hoà Bình";
        let decomposed: String = composed.nfd().collect();
        assert_eq!(require_nfc(composed, 8), Ok(()));
        assert_eq!(require_nfc(&decomposed, 20), Err(TextError::NotNfc { text: decomposed.clone() }));
        assert_eq!(require_nfc("", 0), Ok(()));
    }

    #[test]
    fn composed_blocks_hold_no_character_that_could_break_the_form() {
        use unicode_normalization::IsNormalized;
        use unicode_normalization::char::canonical_combining_class;
        let composed: Vec<char> = ('\0'..=char::MAX).filter(|c| is_composed(*c)).collect();
        assert_eq!(composed.len(), 0x300 + 0x100 + 0x18);
        for c in composed {
            let quick = unicode_normalization::is_nfc_quick([c].into_iter());
            assert!(matches!(quick, IsNormalized::Yes), "U+{:04X} is not plainly composed", u32::from(c));
            assert_eq!(canonical_combining_class(c), 0, "U+{:04X} moves among others", u32::from(c));
        }
        assert!(!is_composed('\u{300}') && !is_composed('\u{340}'), "marks must be looked up");
    }

    #[test]
    fn what_passes_at_the_first_look_hides_nothing() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            let expected = !is_unseen(c) && is_nfc(&text);
            assert_eq!(require_plain(&text, 1).is_ok(), expected, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn length_is_counted_in_characters_not_bytes() {
        assert_eq!(require_nfc("đường", 5), Ok(()));
        assert!(matches!(require_nfc("đường", 4), Err(TextError::TooLong { chars_max: 4, .. })));
        let huge = "đ".repeat(1_000_000);
        let error = require_nfc(&huge, 100).expect_err("too long");
        assert!(error.to_string().chars().count() < 200, "the error quotes the whole text");
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing_more(text in "[a-zA-Z0-9 .'À-ỹĐđ\u{300}-\u{323}]{0,60}") {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn composed_and_decomposed_fold_alike(text in "[a-zÀ-ỹĐđ ]{0,60}") {
            let composed: String = text.nfc().collect();
            let decomposed: String = text.nfd().collect();
            prop_assert_eq!(fold(&composed), fold(&decomposed));
        }

        #[test]
        fn exactly_what_the_tables_call_composed_passes(text in "[a-zA-ZÀ-ỹĐđ\u{2010}-\u{2030}\u{300}-\u{345} ]{0,40}") {
            prop_assert_eq!(require_nfc(&text, 40).is_ok(), is_nfc(&text));
        }

        #[test]
        fn what_passes_is_its_own_normal_form(text in "\\PC{0,40}") {
            if require_nfc(&text, 40).is_ok() {
                prop_assert_eq!(text.nfc().collect::<String>(), text);
            }
        }
    }
}
