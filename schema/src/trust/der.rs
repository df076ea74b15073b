//! Strict DER (X.690 section 10): one value has one encoding, or it is refused.
//!
//! x509-parser reads several forms that DER forbids and skips what it does not know. Everything that is
//! signed goes through [`check`] first, so that no second encoding of the same certificate exists.

/// Deepest nesting of a certificate or a revocation list; ours need 10.
pub(super) const DEPTH_MAX: usize = 16;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
const NULL: u8 = 0x05;
pub(super) const OID: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const UTF8_STRING: u8 = 0x0c;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;

const CONSTRUCTED: u8 = 0x20;
const CLASS: u8 = 0xc0;

/// Bytes that are not the one encoding DER allows, or not what was expected at that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not strict DER: {what}")]
pub struct DerError {
    /// What was found.
    pub what: &'static str,
}

const fn broken<T>(what: &'static str) -> Result<T, DerError> {
    Err(DerError { what })
}

/// One tag, length and value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tlv<'a> {
    pub(super) tag: u8,
    /// Tag, length and value together.
    pub(super) full: &'a [u8],
    pub(super) value: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// What is inside.
    pub(super) const fn reader(self) -> Reader<'a> {
        Reader { rest: self.value }
    }
}

/// Reads values one after the other. Copying it is a bookmark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next value, whatever it is.
    pub(super) fn any(&mut self) -> Result<Tlv<'a>, DerError> {
        let Some((&tag, after_tag)) = self.rest.split_first() else {
            return broken("the end comes too early");
        };
        if tag & 0x1f == 0x1f {
            return broken("a tag number above 30");
        }
        let Some((&first, mut after)) = after_tag.split_first() else { return broken("a length is missing") };
        let length = if first < 0x80 {
            usize::from(first)
        } else {
            let count = usize::from(first & 0x7f);
            // Four bytes reach 4 GiB, far beyond any input that is looked at.
            if count == 0 || count > 4 || after.len() < count {
                return broken("a length that is indefinite, too long or cut off");
            }
            let (digits, rest) = after.split_at(count);
            after = rest;
            let length = digits.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
            if digits[0] == 0 || length < 0x80 {
                return broken("a length that is not minimal");
            }
            length
        };
        if length > after.len() {
            return broken("a value is cut off");
        }
        let (value, rest) = after.split_at(length);
        let full = &self.rest[..self.rest.len() - rest.len()];
        self.rest = rest;
        Ok(Tlv { tag, full, value })
    }

    /// The next value, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8, what: &'static str) -> Result<Tlv<'a>, DerError> {
        let tlv = self.any()?;
        if tlv.tag == tag { Ok(tlv) } else { broken(what) }
    }

    /// The next value, if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Tlv<'a>>, DerError> {
        if self.rest.first() == Some(&tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// Nothing may be left.
    pub(super) const fn end(self) -> Result<(), DerError> {
        if self.rest.is_empty() { Ok(()) } else { broken("something follows that does not belong there") }
    }
}

/// One value and nothing after it.
pub(super) fn single<'a>(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<Tlv<'a>, DerError> {
    let mut reader = Reader::new(bytes);
    let tlv = reader.expect(tag, what)?;
    reader.end()?;
    Ok(tlv)
}

/// Checks that `bytes` are one value in strict DER, all the way down. OCTET STRINGs are not looked into:
/// whoever knows what they hold checks that again.
pub(super) fn check(bytes: &[u8]) -> Result<(), DerError> {
    check_to(bytes, DEPTH_MAX)
}

/// As [`check`], for what nests deeper than a certificate.
pub(super) fn check_to(bytes: &[u8], depth_max: usize) -> Result<(), DerError> {
    let mut reader = Reader::new(bytes);
    value(reader.any()?, depth_max)?;
    reader.end()
}

fn value(tlv: Tlv<'_>, levels_left: usize) -> Result<(), DerError> {
    let Some(levels_left) = levels_left.checked_sub(1) else { return broken("nested too deep") };
    let constructed = tlv.tag & CONSTRUCTED != 0;
    if tlv.tag & CLASS == 0 {
        if constructed != matches!(tlv.tag | CONSTRUCTED, SEQUENCE | SET) {
            return broken("a type that is neither primitive nor constructed as DER wants it");
        }
        primitive(tlv)?;
    }
    if !constructed {
        return Ok(());
    }
    let mut inside = tlv.reader();
    let mut before: &[u8] = &[];
    while !inside.is_empty() {
        let member = inside.any()?;
        value(member, levels_left)?;
        // X.690 section 11.6: the members of a SET OF are sorted.
        if tlv.tag == SET && member.full < before {
            return broken("a set that is not sorted");
        }
        before = member.full;
    }
    Ok(())
}

fn primitive(tlv: Tlv<'_>) -> Result<(), DerError> {
    let value = tlv.value;
    match tlv.tag {
        BOOLEAN if value != [0x00] && value != [0xff] => broken("a boolean that is neither 00 nor FF"),
        INTEGER | ENUMERATED => match value {
            [] => broken("an empty integer"),
            [0x00, second, ..] if second & 0x80 == 0 => broken("an integer that is not minimal"),
            [0xff, second, ..] if second & 0x80 != 0 => broken("an integer that is not minimal"),
            _ => Ok(()),
        },
        BIT_STRING => match value {
            [] => broken("an empty bit string"),
            [unused, ..] if *unused > 7 => broken("a bit string with more than seven unused bits"),
            [unused] if *unused != 0 => broken("an empty bit string with unused bits"),
            [unused, .., last] if last.trailing_zeros() < u32::from(*unused) => {
                broken("a bit string whose unused bits are not zero")
            }
            _ => Ok(()),
        },
        NULL if !value.is_empty() => broken("a null with a value"),
        OID => object_identifier(value),
        UTF8_STRING if std::str::from_utf8(value).is_err() => broken("a UTF-8 string that is not UTF-8"),
        0 => broken("an end-of-contents mark"),
        _ => Ok(()),
    }
}

fn object_identifier(value: &[u8]) -> Result<(), DerError> {
    let mut starts = true;
    for byte in value {
        if starts && *byte == 0x80 {
            return broken("an object identifier that is not minimal");
        }
        starts = byte & 0x80 == 0;
    }
    if value.is_empty() || !starts { broken("an object identifier that is cut off") } else { Ok(()) }
}

/// One value, whose parts are already in DER.
pub(super) fn write(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let digits = length.to_be_bytes();
    let digits = &digits[digits.iter().take_while(|digit| **digit == 0).count()..];
    let mut bytes = vec![tag];
    match digits {
        [] => bytes.push(0),
        [short @ ..0x80] => bytes.push(*short),
        long => {
            // At most eight digits.
            bytes.extend(u8::try_from(long.len()).map(|count| 0x80 | count));
            bytes.extend(long);
        }
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// A SET OF, in the order of X.690 section 11.6; `tag` is another one where the set is implicit.
pub(super) fn write_set(tag: u8, mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort_unstable();
    let parts: Vec<&[u8]> = members.iter().map(Vec::as_slice).collect();
    write(tag, &parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_second_encoding_of_the_same_value_is_refused() {
        for (bytes, why) in [
            (&[0x02, 0x81, 0x01, 0x05][..], "long form of a short length"),
            (&[0x02, 0x02, 0x00, 0x05], "padded integer"),
            (&[0x02, 0x02, 0xff, 0x85], "padded negative integer"),
            (&[0x02, 0x00], "empty integer"),
            (&[0x30, 0x80, 0x00, 0x00], "indefinite length"),
            (&[0x01, 0x01, 0x01], "a truth that is not FF"),
            (&[0x03, 0x02, 0x01, 0x01], "unused bit that is set"),
            (&[0x03, 0x01, 0x01], "unused bits of nothing"),
            (&[0x03, 0x02, 0x08, 0x00], "eight unused bits"),
            (&[0x23, 0x03, 0x03, 0x01, 0x00], "constructed bit string"),
            (&[0x10, 0x00], "primitive sequence"),
            (&[0x06, 0x03, 0x55, 0x80, 0x01], "padded object identifier"),
            (&[0x06, 0x02, 0x55, 0x81], "cut object identifier"),
            (&[0x31, 0x06, 0x02, 0x01, 0x02, 0x02, 0x01, 0x01], "unsorted set"),
            (&[0x0c, 0x01, 0xff], "not UTF-8"),
            (&[0x05, 0x01, 0x00], "null with a value"),
            (&[0x02, 0x01, 0x05, 0x00], "trailing byte"),
            (&[0x1f, 0x20, 0x00], "high tag number"),
            (&[0x30, 0x03, 0x02, 0x02, 0x05], "cut inside"),
        ] {
            assert!(check(bytes).is_err(), "{why} passed");
        }
    }

    #[test]
    fn the_one_encoding_passes() {
        for bytes in [
            &[0x02, 0x01, 0x05][..],
            &[0x02, 0x02, 0x00, 0x85],
            &[0x03, 0x02, 0x01, 0x02],
            &[0x03, 0x01, 0x00],
            &[0x31, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x02],
            &[0x30, 0x00],
            &[0x06, 0x03, 0x55, 0x1d, 0x0f],
        ] {
            assert_eq!(check(bytes), Ok(()), "{bytes:02x?}");
        }
    }

    #[test]
    fn nesting_stops_at_its_limit() {
        let nested = |depth: usize| {
            (0..depth).fold(Vec::new(), |inner, _| {
                let mut outer = vec![SEQUENCE, u8::try_from(inner.len()).expect("short")];
                outer.extend(inner);
                outer
            })
        };
        assert_eq!(check(&nested(DEPTH_MAX)), Ok(()));
        assert!(check(&nested(DEPTH_MAX + 1)).is_err());
    }

    #[test]
    fn what_is_written_is_read_again() {
        for length in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000] {
            let bytes = write(OCTET_STRING, &[&vec![7; length]]);
            assert_eq!(check(&bytes), Ok(()), "{length} bytes");
            let value = single(&bytes, OCTET_STRING, "not written").expect("one value").value;
            assert_eq!(value.len(), length);
        }
        let set = write_set(SET, vec![vec![0x04, 0x01, 0x02], vec![0x04, 0x00], vec![0x02, 0x01, 0x09]]);
        assert_eq!(set, [0x31, 0x08, 0x02, 0x01, 0x09, 0x04, 0x00, 0x04, 0x01, 0x02]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = check(&bytes);
        }
    }
}
