//! Number and symbol of a document (*số, ký hiệu văn bản*).

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::text::{self, TextError, quoted};

/// Longest number, in characters (Decree 30/2020 appendix VI).
pub const NUMBER_CHARS_MAX: usize = 11;
/// Longest symbol, in characters (the same).
pub const NOTATION_CHARS_MAX: usize = 30;

/// Number and symbol, such as `47/UBND-VP` or `09/BC-UBND`; edXML `Code`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize)]
#[cbor(map)]
#[serde(try_from = "String", into = "String")]
pub struct Code {
    /// The number in its register and year (*số*), with a leading zero below ten; edXML `CodeNumber`. A text, because those
    /// of other systems have letters.
    #[n(1)]
    number: String,
    /// The symbol (*ký hiệu*): type, issuing authority, drafting unit; edXML `CodeNotation`.
    #[n(2)]
    notation: String,
}

/// Why a text is no number and symbol.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CodeError {
    /// A part is missing.
    #[error("`{text}` is not a number, a slash and a symbol, such as `47/UBND-VP`")]
    Form {
        /// The text, shortened.
        text: String,
    },
    /// A part is too long, or not plain.
    #[error("number and symbol are not accepted: {0}")]
    Text(#[from] TextError),
}

impl Code {
    /// From its two parts.
    ///
    /// # Errors
    /// When one is empty, too long, not plain or has spaces around it, or the number holds a slash or a space.
    pub fn new(number: impl Into<String>, notation: impl Into<String>) -> Result<Self, CodeError> {
        let code = Self { number: number.into(), notation: notation.into() };
        code.check()?;
        Ok(code)
    }

    /// The number (*số*).
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The symbol (*ký hiệu*).
    pub fn notation(&self) -> &str {
        &self.notation
    }

    /// Checks what was read from elsewhere.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub(crate) fn check(&self) -> Result<(), CodeError> {
        text::require_plain(&self.number, NUMBER_CHARS_MAX)?;
        text::require_plain(&self.notation, NOTATION_CHARS_MAX)?;
        let is_whole = !self.number.is_empty()
            && !self.number.contains(|c: char| c == '/' || c.is_whitespace())
            && !self.notation.is_empty()
            && self.notation.trim() == self.notation;
        if is_whole { Ok(()) } else { Err(CodeError::Form { text: quoted(&self.to_string()) }) }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.notation)
    }
}

impl FromStr for Code {
    type Err = CodeError;

    fn from_str(text: &str) -> Result<Self, CodeError> {
        let (number, notation) =
            text.split_once('/').ok_or_else(|| CodeError::Form { text: quoted(text) })?;
        Self::new(number, notation)
    }
}

impl TryFrom<String> for Code {
    type Error = CodeError;

    fn try_from(text: String) -> Result<Self, CodeError> {
        text.parse()
    }
}

impl From<Code> for String {
    fn from(code: Code) -> Self {
        code.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_symbol_are_parted_at_the_first_slash() {
        let code: Code = "15/2025/NQ-HĐND".parse().expect("a code");
        assert_eq!((code.number(), code.notation()), ("15", "2025/NQ-HĐND"));
        assert_eq!(code.to_string(), "15/2025/NQ-HĐND");
        for wrong in
            ["", "47", "/UBND", "47/", "47/ ", "47/UBND ", "4 7/UBND", "123456789012/UBND", "47/e\u{301}"]
        {
            assert!(wrong.parse::<Code>().is_err(), "{wrong}");
        }
    }
}
