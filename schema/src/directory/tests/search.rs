//! Names are found without diacritics, on the day they were borne.

use super::*;

fn found(query: &str, at: Option<Date>, limit: usize) -> Vec<&'static str> {
    COUNTRY.search(query, at, limit).iter().map(|hit| hit.name.text.as_str()).collect()
}

#[test]
fn finds_without_diacritics_the_whole_name_first() {
    assert_eq!(found("phuong ba dinh", Some(AFTER), 1), ["Phường Ba Đình"]);
    // The sort of the unit may be left out; then the shortest name comes first.
    assert_eq!(found("BA ĐÌNH", Some(AFTER), 3), ["Xã Ba Đình", "Xã Ba Dinh", "Phường Ba Đình"]);
    assert_eq!(found("tong cuc thue", None, 5), ["Tổng cục Thuế"]);
    assert!(found("dinh ba", Some(AFTER), 50).contains(&"Phường Ba Đình"), "in any order");
    assert!(found("ba din", Some(AFTER), 50).contains(&"Phường Ba Đình"), "an unfinished word");
    assert!(!found("a dinh", Some(AFTER), 200).contains(&"Phường Ba Đình"), "not inside a word");
}

#[test]
fn finds_only_who_exists_on_the_day() {
    assert_eq!(found("truc bach", Some(BEFORE), 10), ["Phường Trúc Bạch"]);
    assert_eq!(found("truc bach", Some(AFTER), 10), [""; 0]);
    assert_eq!(found("truc bach", None, 10), ["Phường Trúc Bạch"]);
    // Both spellings of one office match; on one day only one of them is borne.
    assert_eq!(found("tinh thanh hoa", Some(AFTER), 10), ["Tỉnh Thanh Hoá"]);
    assert_eq!(found("tinh thanh hoa", None, 10).len(), 2);
}

#[test]
fn is_bounded_and_finds_nothing_for_nothing() {
    assert_eq!(found("xa", None, usize::MAX).len(), SEARCH_HITS_MAX);
    assert_eq!(found("xa", None, 0), [""; 0]);
    for nothing in ["", "  ", ".,-", "\n"] {
        assert_eq!(found(nothing, None, 10), [""; 0], "{nothing:?}");
    }
    found(&"a b ".repeat(100_000), None, 10);
}

/// Every name with the words of its folded form.
static WORDS: LazyLock<Vec<(&Name, Vec<String>)>> = LazyLock::new(|| {
    let words = |name: &Name| {
        let folded = crate::text::fold(&name.text);
        folded.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect()
    };
    COUNTRY.offices().flat_map(|office| &office.names).map(|name| (name, words(name))).collect()
});

proptest! {
    #[test]
    fn agrees_with_looking_at_every_name(query in "[a-zđ]{1,3}( [a-z]{1,2})?", after: bool) {
        let at = if after { AFTER } else { BEFORE };
        let sought: Vec<String> = query.split(' ').map(crate::text::fold).collect();
        let matches = |(name, words): &&(&Name, Vec<String>)| {
            let begins = |word: &String| words.iter().any(|other| other.starts_with(word.as_str()));
            name.validity.contains(at) && sought.iter().all(begins)
        };
        let expected: Vec<&Name> = WORDS.iter().filter(matches).map(|(name, _)| *name).collect();
        let hits = COUNTRY.search(&query, Some(at), SEARCH_HITS_MAX);
        prop_assert_eq!(hits.len(), expected.len().min(SEARCH_HITS_MAX));
        prop_assert!(hits.iter().all(|hit| expected.iter().any(|name| std::ptr::eq(*name, hit.name))));
    }
}
