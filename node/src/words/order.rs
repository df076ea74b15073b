//! The order of the Vietnamese alphabet, for lists of names.

use std::cmp::Ordering;

use icu_collator::CollatorBorrowed;
use icu_collator::options::{AlternateHandling, CollatorOptions};
use icu_locale_core::locale;

/// Compares names as a Vietnamese dictionary does (CLDR): *a ă â b c d đ e ê …*; tones count only where the letters are the
/// same. One for each list: making it costs a look-up in compiled tables.
pub struct VietnameseOrder(Option<CollatorBorrowed<'static>>);

impl VietnameseOrder {
    /// Ready to compare.
    pub fn new() -> Self {
        let mut options = CollatorOptions::default();
        // A blank comes before every letter: *Xã An Bình* before *Xã Anh*.
        options.alternate_handling = Some(AlternateHandling::NonIgnorable);
        Self(CollatorBorrowed::try_new(locale!("vi").into(), options).ok())
    }

    /// Which of two names comes first.
    pub fn compare(&self, one: &str, other: &str) -> Ordering {
        // The tables are compiled in. Without them names would be in the order of their bytes, and still all there.
        self.0.as_ref().map_or_else(|| one.cmp(other), |order| order.compare(one, other))
    }
}

impl Default for VietnameseOrder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_the_dictionary() {
        let sorted = [
            "Xã An Bình",
            "Xã Ảng Cang",
            "Xã Anh Sơn",
            "Xã Ăn",
            "Xã Âu Cơ",
            "Xã Ba",
            "Xã Dân Chủ",
            "Xã Đa Kia",
            "Xã Ea H'Leo",
            "Xã Ê",
            "Xã Hoa",
            "Xã Hoà",
            "Xã Hỏa",
            "Xã Lưỡng Minh",
            "Xã Lượng Minh",
            "Xã Oanh",
            "Xã Ô Lâm",
            "Xã Ơn",
            "Xã số 9",
            "Xã Ua",
            "Xã Ưa",
        ];
        let mut names = sorted;
        names.reverse();
        let order = VietnameseOrder::new();
        names.sort_by(|one, other| order.compare(one, other));
        assert_eq!(names, sorted);
    }
}
