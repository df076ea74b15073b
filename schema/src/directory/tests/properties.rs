//! What holds for any offices whatever.

use super::*;

fn any_day() -> impl Strategy<Value = Option<Date>> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Date::MIN)),
        1 => Just(Some(Date::MAX)),
        6 => (2020_i16..2030, 1_i8..=12, 1_i8..=28).prop_map(|(y, m, d)| Some(date(y, m, d))),
    ]
}

fn any_validity() -> impl Strategy<Value = Validity> {
    (any_day(), any_day()).prop_map(|(a, b)| match (a, b) {
        (Some(a), Some(b)) => Validity { from: Some(a.min(b)), until: Some(a.max(b)) },
        (from, until) => Validity { from, until },
    })
}

fn any_code() -> impl Strategy<Value = Code> {
    // Few texts, so that re-use and clashes happen.
    (prop::sample::select(&CodeSystem::ALL[..]), "[12]{1,2}", any_validity())
        .prop_map(|(system, text, validity)| Code { system, text, validity })
}

fn any_office() -> impl Strategy<Value = Office> {
    // Letters by name: the range from à to ỹ also holds a blank (U+1680), which no name may end in.
    let name = ("[a-zàáảãạăâđêôơưừữỹ]{1,8}( [a-z]{1,5})?", any_validity());
    let relays = prop::sample::subsequence(vec!["p01", "p02"], 0..=2);
    (any::<[u8; 16]>(), name, prop::collection::vec(any_code(), 0..3), relays).prop_map(
        |(id, (name, validity), codes, relays)| {
            let mut office = Office::new(OfficeId::new(id));
            office.names.push(Name {
                text: unicode_normalization::UnicodeNormalization::nfc(name.as_str()).collect(),
                validity,
            });
            office.places.push(Place { tier: Tier::Province, parent: None, validity });
            office.codes = codes;
            office.relays = relays.iter().map(|token| token.parse().unwrap()).collect();
            office
        },
    )
}

proptest! {
    #[test]
    fn a_code_belongs_to_at_most_one_office_on_any_day(
        offices in prop::collection::vec(any_office(), 0..6),
        days in prop::collection::vec(any_day(), 1..20),
    ) {
        let holders = |system: CodeSystem, text: &str, at: Date| -> Vec<OfficeId> {
            let held = |c: &&Code| c.system == system && c.text == text && c.validity.contains(at);
            offices.iter().flat_map(|office| office.codes.iter().filter(held).map(|_| office.id)).collect()
        };
        // A clash shows on the first or last day of some period.
        let codes = offices.iter().flat_map(|office| &office.codes);
        let ends = codes.flat_map(|code| [code.validity.from, code.validity.until]);
        let days: Vec<Date> = ends.chain(days).flatten().chain([Date::MIN, Date::MAX]).collect();
        let texts: Vec<&Code> = offices.iter().flat_map(|office| &office.codes).collect();
        match directory(offices.iter().cloned()) {
            Ok(directory) => for at in days {
                for code in &texts {
                    let expected = holders(code.system, &code.text, at);
                    prop_assert!(expected.len() <= 1);
                    let found = directory.resolve_in(code.system, &code.text, at).ok().map(|found| found.id);
                    prop_assert_eq!(found, expected.first().copied());
                }
            },
            Err(DirectoryError::CodeTwice { system, code, .. }) => {
                prop_assert!(days.iter().any(|at| holders(system, &code, *at).len() > 1));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn what_is_written_is_read_back(
        offices in prop::collection::btree_map(any::<[u8; 16]>(), any_office(), 0..8),
        version: u64,
        issued_at: u64,
    ) {
        let renamed = |(id, office)| Office { id: OfficeId::new(id), ..office };
        let offices: Vec<Office> = offices.into_iter().map(renamed).collect();
        let heir = |pair: &[Office]| Successor { old: pair[0].id, new: pair[1].id, date: BEFORE };
        let successors: Vec<Successor> = offices.windows(2).map(heir).collect();
        let regions = vec![region("p01"), region("p02")];
        let snapshot = DirectorySnapshot {
            version,
            issued_at: Millis(issued_at),
            regions: regions.clone(),
            offices: offices.clone(),
            successors: successors.clone(),
        };
        prop_assert_eq!(&DirectorySnapshot::decode(&snapshot.encode().unwrap()).unwrap(), &snapshot);
        let issued_at = Millis(issued_at);
        let upserts = offices;
        let delta = DirectoryDelta { base_version: version, version, issued_at, regions, successors, upserts };
        prop_assert_eq!(&DirectoryDelta::decode(&delta.encode().unwrap()).unwrap(), &delta);
    }

    #[test]
    fn periods_overlap_exactly_when_they_share_a_day(a in any_validity(), b in any_validity()) {
        let ends = [a.from, a.until, b.from, b.until, Some(Date::MIN), Some(Date::MAX)];
        let shared = ends.into_iter().flatten().any(|day| a.contains(day) && b.contains(day));
        prop_assert_eq!(a.overlaps(&b), shared);
    }
}
