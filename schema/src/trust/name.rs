//! Distinguished names, compared as bytes: no case folding, no second spelling of the same name.

use std::fmt;

use super::der::{self, DerError};
use crate::id::hex;

/// Most attributes of a name.
pub const ATTRIBUTES_MAX: usize = 32;

/// RFC 4519 section 2.39: `UID`; Vietnamese certificates carry the citizen number in it.
pub(super) const UID: &[u8] = b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01";
pub(super) const COUNTRY: &[u8] = b"\x55\x04\x06";
pub(super) const PROVINCE: &[u8] = b"\x55\x04\x08";
pub(super) const ORGANISATION: &[u8] = b"\x55\x04\x0a";
pub(super) const UNIT: &[u8] = b"\x55\x04\x0b";
pub(super) const TITLE: &[u8] = b"\x55\x04\x0c";
pub(super) const COMMON_NAME: &[u8] = b"\x55\x04\x03";

/// Shortest run of digits that may be a citizen number: the old ones have nine.
const CITIZEN_DIGITS_MIN: usize = 9;
/// How many of its digits stay readable.
const DIGITS_SHOWN: usize = 3;

/// A distinguished name (*tên phân biệt*), as its DER bytes.
///
/// Its `Display` masks citizen numbers, so that a log line cannot leak one; the bytes keep them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<u8>);

/// One attribute of a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) oid: &'a [u8],
    pub(super) string: u8,
    pub(super) value: &'a [u8],
}

impl Name {
    /// Takes a Name that has passed the strict DER check.
    pub(super) fn from_der(bytes: &[u8]) -> Result<Self, DerError> {
        let mut attributes = 0;
        let mut relative = der::single(bytes, der::SEQUENCE, "a name that is not a sequence")?.reader();
        while !relative.is_empty() {
            let mut members = relative.expect(der::SET, "a name whose part is not a set")?.reader();
            if members.is_empty() {
                return Err(DerError { what: "an empty part of a name" });
            }
            while !members.is_empty() {
                let mut pair = members.expect(der::SEQUENCE, "an attribute that is not a sequence")?.reader();
                pair.expect(der::OID, "an attribute without a type")?;
                pair.any()?;
                pair.end()?;
                attributes += 1;
            }
        }
        if attributes > ATTRIBUTES_MAX {
            return Err(DerError { what: "a name with more than 32 attributes" });
        }
        Ok(Self(bytes.to_vec()))
    }

    /// Its DER bytes.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.parts().next().is_none()
    }

    /// Whether this name is `base` or lies below it: every part of `base`, in order, byte for byte.
    pub fn is_within(&self, base: &Self) -> bool {
        let mut mine = self.parts();
        base.parts().all(|part| mine.next() == Some(part))
    }

    /// What it says for these attributes, in their order: for people, with citizen numbers masked.
    pub(super) fn texts(&self, oids: &[&[u8]]) -> Vec<String> {
        let with = |oid| self.attributes().filter(move |attribute| attribute.oid == oid);
        let texts = oids.iter().copied().flat_map(with).map(|attribute| shown(&attribute));
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// The relative names, whole.
    pub(super) fn parts(&self) -> impl Iterator<Item = &[u8]> {
        members(&self.0)
    }

    /// The attributes, in order.
    pub(super) fn attributes(&self) -> impl Iterator<Item = Attribute<'_>> {
        self.parts().flat_map(members).filter_map(|pair| {
            let mut pair = der::Reader::new(pair).any().ok()?.reader();
            let (oid, value) = (pair.any().ok()?, pair.any().ok()?);
            Some(Attribute { oid: oid.value, string: value.tag, value: value.value })
        })
    }
}

/// The members of a constructed value; bytes that were checked before have no broken ones.
fn members(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let inside = der::Reader::new(bytes).any().map(der::Tlv::reader);
    let mut inside = inside.unwrap_or(der::Reader::new(&[]));
    std::iter::from_fn(move || inside.any().ok().map(|member| member.full))
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, attribute) in self.attributes().enumerate() {
            let separator = if n == 0 { "" } else { ", " };
            write!(f, "{separator}{}={}", label(attribute.oid), shown(&attribute))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

fn label(oid: &[u8]) -> String {
    match oid {
        COUNTRY => "C".to_owned(),
        PROVINCE => "ST".to_owned(),
        ORGANISATION => "O".to_owned(),
        UID => "UID".to_owned(),
        COMMON_NAME => "CN".to_owned(),
        b"\x55\x04\x05" => "serialNumber".to_owned(),
        b"\x55\x04\x07" => "L".to_owned(),
        UNIT => "OU".to_owned(),
        TITLE => "title".to_owned(),
        other => hex(other),
    }
}

fn shown(attribute: &Attribute<'_>) -> String {
    let text = String::from_utf8_lossy(attribute.value);
    // A text must not break out of its log line, nor turn it around.
    let text: String = text.chars().filter(|c| !c.is_control() && !is_direction(*c)).collect();
    masked(&text)
}

const fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Hides all but the last three digits of every number long enough to be a citizen's (*số căn cước, CMND*).
///
/// Office ids are hexadecimal of 32 characters and opaque; a run of digits inside one is masked too.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut digits = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_numeric() {
            digits.push(c);
            continue;
        }
        let count = digits.chars().count();
        let hidden = if count >= CITIZEN_DIGITS_MIN { count - DIGITS_SHOWN } else { 0 };
        out.extend(std::iter::repeat_n('*', hidden));
        out.extend(digits.chars().skip(hidden));
        digits.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citizen_numbers_are_masked_and_other_numbers_are_not() {
        assert_eq!(masked("CCCD:001099012345"), "CCCD:*********345");
        assert_eq!(masked("CMND:012345678"), "CMND:******678");
        assert_eq!(masked("Phường 12, số 00004"), "Phường 12, số 00004");
        assert_eq!(masked(""), "");
    }
}
