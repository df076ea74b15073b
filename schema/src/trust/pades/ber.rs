//! BER to DER, as far as signatures in the wild need it: indefinite lengths, lengths that are not minimal, octet strings in
//! pieces (X.690 section 8). What is in DER already comes out as it is.

use super::CONTENTS_BYTES_MAX;
use crate::trust::der;

/// Deepest nesting; a signature with an archived time stamp needs about 30.
pub const BER_DEPTH_MAX: usize = 48;

const CONSTRUCTED: u8 = 0x20;
const CONSTRUCTED_OCTETS: u8 = der::OCTET_STRING | CONSTRUCTED;
const INDEFINITE: u8 = 0x80;

/// Bytes that are not BER, or more of it than is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not BER: {what}")]
pub struct BerError {
    /// What was found.
    pub what: &'static str,
}

const fn broken<T>(what: &'static str) -> Result<T, BerError> {
    Err(BerError { what })
}

/// The first value of `bytes` in DER, and what follows it.
///
/// # Errors
/// When it is cut off, nested deeper than [`BER_DEPTH_MAX`], or larger than [`CONTENTS_BYTES_MAX`].
pub fn to_der(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), BerError> {
    if bytes.len() > CONTENTS_BYTES_MAX {
        return broken("more bytes than are looked at");
    }
    let mut rest = bytes;
    let (_, der) = value(&mut rest, BER_DEPTH_MAX)?;
    Ok((der, rest))
}

/// One value: its tag, and all of it in DER.
fn value(rest: &mut &[u8], levels_left: usize) -> Result<(u8, Vec<u8>), BerError> {
    let Some(levels_left) = levels_left.checked_sub(1) else { return broken("nested too deep") };
    let [tag, first, after @ ..] = *rest else { return broken("the end comes too early") };
    let (tag, first) = (*tag, *first);
    if tag & 0x1f == 0x1f {
        return broken("a tag number above 30");
    }
    *rest = after;
    if first == INDEFINITE {
        if tag & CONSTRUCTED == 0 {
            return broken("a primitive value of indefinite length");
        }
        return members(tag, rest, true, levels_left);
    }
    let length = length(first, rest)?;
    let Some((mut inside, after)) = rest.split_at_checked(length) else {
        return broken("a value is cut off");
    };
    *rest = after;
    if tag & CONSTRUCTED == 0 {
        Ok((tag, der::write(tag, &[inside])))
    } else {
        members(tag, &mut inside, false, levels_left)
    }
}

fn length(first: u8, rest: &mut &[u8]) -> Result<usize, BerError> {
    if first < 0x80 {
        return Ok(usize::from(first));
    }
    let Some((digits, after)) = rest.split_at_checked(usize::from(first & 0x7f)) else {
        return broken("a length is cut off");
    };
    let significant = digits.iter().skip_while(|digit| **digit == 0);
    let length = significant.clone().fold(0_usize, |length, digit| length << 8 | usize::from(*digit));
    if significant.count() > 4 {
        return broken("a length beyond 4 GiB");
    }
    *rest = after;
    Ok(length)
}

/// What is inside a constructed value, to its end or to the mark that ends it.
fn members(tag: u8, rest: &mut &[u8], marked: bool, levels_left: usize) -> Result<(u8, Vec<u8>), BerError> {
    let mut inside = Vec::new();
    loop {
        match *rest {
            [] if !marked => break,
            [0, 0, after @ ..] if marked => {
                *rest = after;
                break;
            }
            _ => {}
        }
        let (member, der) = value(rest, levels_left)?;
        if tag == CONSTRUCTED_OCTETS {
            let mut piece = der::Reader::new(&der);
            match piece.any() {
                Ok(piece) if member == der::OCTET_STRING => inside.extend_from_slice(piece.value),
                _ => return broken("an octet string whose pieces are something else"),
            }
        } else {
            inside.extend_from_slice(&der);
        }
    }
    let tag = if tag == CONSTRUCTED_OCTETS { der::OCTET_STRING } else { tag };
    Ok((tag, der::write(tag, &[&inside])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn converted(bytes: &[u8]) -> Option<Vec<u8>> {
        to_der(bytes).ok().filter(|(_, rest)| rest.is_empty()).map(|(der, _)| der)
    }

    #[test]
    fn indefinite_lengths_and_pieces_become_one_encoding() {
        let expected = [0x30, 0x05, 0x04, 0x03, 1, 2, 3];
        for ber in [
            &[0x30, 0x80, 0x24, 0x80, 0x04, 0x01, 1, 0x04, 0x02, 2, 3, 0, 0, 0, 0][..],
            &[0x30, 0x81, 0x05, 0x04, 0x03, 1, 2, 3],
            &[0x30, 0x09, 0x24, 0x07, 0x04, 0x01, 1, 0x04, 0x02, 2, 3],
            &[0x30, 0x82, 0x00, 0x05, 0x04, 0x03, 1, 2, 3],
        ] {
            assert_eq!(converted(ber).as_deref(), Some(&expected[..]), "{ber:02x?}");
        }
    }

    #[test]
    fn what_is_broken_or_too_deep_is_refused() {
        for ber in [
            &[][..],
            &[0x30],
            &[0x30, 0x80, 0x04, 0x01, 1],
            &[0x04, 0x80, 0, 0],
            &[0x30, 0x02, 0x04, 0x02],
            &[0x24, 0x03, 0x02, 0x01, 0x05],
            &[0x30, 0x85, 1, 0, 0, 0, 0],
            &[0x1f, 0x81, 0x01, 0x00],
        ] {
            assert_eq!(converted(ber), None, "{ber:02x?}");
        }
        let deep = |levels: usize| [vec![[0x30, 0x80]; levels].concat(), vec![0; 2 * levels]].concat();
        assert!(converted(&deep(BER_DEPTH_MAX)).is_some());
        assert_eq!(converted(&deep(BER_DEPTH_MAX + 1)), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_come_out_once(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok((der, _)) = to_der(&bytes) {
                prop_assert_eq!(converted(&der), Some(der));
            }
        }
    }
}
