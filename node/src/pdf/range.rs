//! Which bytes a signature covers: `/ByteRange`, checked on the raw bytes of the file (ISO 32000-1 section 12.8.1).

use std::ops::Range;

/// What is wrong with a byte range. All of them are ways to make a signature seem to cover what it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeFault {
    /// Not four numbers, or no `/Contents`.
    #[error("ByteRange is not four numbers, or there is no Contents")]
    Shape,
    /// It leaves out the beginning.
    #[error("the signed bytes do not begin at the beginning of the file")]
    Start,
    /// Out of order, empty, overlapping, or beyond the end of the file.
    #[error("the two signed parts overlap, are empty or reach beyond the end of the file")]
    Bounds,
    /// Between the two parts lies something else than one string in hexadecimal digits.
    #[error("what is left out between the signed parts is not exactly one hexadecimal string")]
    Gap,
    /// The signature that the file names is another one than the one in the gap.
    #[error("what is left out between the signed parts is not the signature itself")]
    OtherContents,
}

/// The bytes of a file that a signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    first: Range<usize>,
    second: Range<usize>,
}

impl Covered {
    /// Checks the four numbers against the file; `contents` is what the signature's dictionary holds.
    ///
    /// # Errors
    /// [`RangeFault`] says which rule is broken.
    pub fn new(numbers: &[i64], file: &[u8], contents: &[u8]) -> Result<Self, RangeFault> {
        let numbers: Vec<usize> = numbers.iter().filter_map(|number| usize::try_from(*number).ok()).collect();
        let [start, first_length, second_start, second_length] = numbers[..] else {
            return Err(RangeFault::Shape);
        };
        if start != 0 {
            return Err(RangeFault::Start);
        }
        let end = second_start.checked_add(second_length).filter(|end| *end <= file.len());
        let Some(end) = end else { return Err(RangeFault::Bounds) };
        if first_length == 0 || second_length == 0 || second_start <= first_length {
            return Err(RangeFault::Bounds);
        }
        let digits = match &file[first_length..second_start] {
            [b'<', digits @ .., b'>'] => digits,
            _ => return Err(RangeFault::Gap),
        };
        let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(digits).map_err(|_| RangeFault::Gap)?;
        if decoded != contents {
            return Err(RangeFault::OtherContents);
        }
        Ok(Self { first: 0..first_length, second: second_start..end })
    }

    /// The two parts.
    pub fn pieces<'a>(&self, file: &'a [u8]) -> [&'a [u8]; 2] {
        [&file[self.first.clone()], &file[self.second.clone()]]
    }

    /// Where the signed revision ends.
    pub const fn end(&self) -> usize {
        self.second.end
    }

    /// Where the gap begins.
    pub const fn gap(&self) -> usize {
        self.first.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_signature_itself_may_be_left_out() {
        let file = b"%PDF-1.7 /Contents <0aFF> /More <00> trailer";
        let contents = [0x0a, 0xff];
        let gap = 19_i64;
        let after = gap + 6;
        let rest = i64::try_from(file.len()).expect("short") - after;
        let check = |numbers: [i64; 4]| Covered::new(&numbers, file, &contents);
        let covered = check([0, gap, after, rest]).expect("sound");
        assert_eq!(covered.pieces(file).concat(), b"%PDF-1.7 /Contents  /More <00> trailer");
        assert_eq!((covered.gap(), covered.end()), (19, file.len()));
        for (numbers, fault) in [
            ([1, gap - 1, after, rest], RangeFault::Start),
            ([0, gap, after, rest + 1], RangeFault::Bounds),
            ([0, gap, after, i64::MAX], RangeFault::Bounds),
            ([0, after, gap, rest], RangeFault::Bounds),
            ([0, 0, after, rest], RangeFault::Bounds),
            ([0, gap, after, 0], RangeFault::Bounds),
            ([0, gap, gap, rest], RangeFault::Bounds),
            ([0, gap - 1, after, rest], RangeFault::Gap),
            ([0, gap + 1, after, rest], RangeFault::Gap),
            ([0, gap, after + 11, rest - 11], RangeFault::Gap),
            ([0, gap, after - 1, rest + 1], RangeFault::Gap),
            ([0, gap + 13, after + 11, rest - 11], RangeFault::OtherContents),
            ([0, -1, after, rest], RangeFault::Shape),
        ] {
            assert_eq!(check(numbers), Err(fault), "{numbers:?}");
        }
        assert_eq!(Covered::new(&[0, gap, after], file, &contents), Err(RangeFault::Shape));
        assert_eq!(Covered::new(&[0, gap, after, rest, 0], file, &contents), Err(RangeFault::Shape));
    }
}
