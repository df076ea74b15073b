use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::civil::{Date, date};
use proptest::prelude::*;

use super::*;
use crate::id::{KeyId, OfficeId, RegionId};
use crate::time::Millis;

const BEFORE: Date = date(2025, 6, 30);
const AFTER: Date = date(2025, 7, 1);
/// A public user nkey whose checksum is right.
const LOGIN: &str = "UAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCLL5";

static COUNTRY: LazyLock<Directory> = LazyLock::new(|| {
    DirectoryBuilder::country()
        .and_then(|builder| builder.build(1, Millis(1_000)))
        .expect("the carried tables hold together")
});

fn id(n: u8) -> OfficeId {
    OfficeId::new([n; 16])
}

fn office(n: u8, name: &str) -> Office {
    let mut office = Office::new(id(n));
    office.names.push(Name { text: name.to_owned(), validity: Validity::ALWAYS });
    office
}

fn region(token: &str) -> Region {
    Region {
        id: token.parse().unwrap(),
        name: token.to_owned(),
        url: "nats://relay.example:4222".to_owned(),
        login: None,
    }
}

fn directory(offices: impl IntoIterator<Item = Office>) -> Result<Directory, DirectoryError> {
    let offices = offices.into_iter().collect();
    Directory::new(DirectorySnapshot {
        version: 7,
        issued_at: Millis(700),
        regions: vec![region("p01"), region("p02")],
        offices,
        successors: vec![],
    })
}

fn code(system: CodeSystem, text: &str, validity: Validity) -> Code {
    Code { system, text: text.to_owned(), validity }
}

fn unit(tier: Tier, code: &str, at: Date) -> &'static Office {
    COUNTRY.resolve_in(CodeSystem::StatisticsUnit(tier), code, at).unwrap()
}

mod the_country {
    use super::*;

    fn counts_at(at: Date) -> BTreeMap<Tier, usize> {
        let mut counts = BTreeMap::new();
        for office in COUNTRY.offices().filter(|office| office.exists_at(at)) {
            *counts.entry(office.place_at(at).expect("who exists stands somewhere").tier).or_default() += 1;
        }
        counts
    }

    #[test]
    fn has_four_tiers_until_30_june_2025_and_three_after() {
        let four = [(Tier::Central, 5), (Tier::Province, 63), (Tier::District, 696), (Tier::Commune, 10_035)];
        assert_eq!(counts_at(BEFORE), BTreeMap::from(four));
        assert_eq!(
            counts_at(AFTER),
            BTreeMap::from([(Tier::Central, 5), (Tier::Province, 34), (Tier::Commune, 3_321)])
        );
    }

    #[test]
    fn one_code_means_two_offices_over_time() {
        let (before, after) =
            (COUNTRY.resolve("00004", BEFORE).unwrap(), COUNTRY.resolve("00004", AFTER).unwrap());
        assert_eq!(before.name_at(BEFORE), Some("Phường Trúc Bạch"));
        assert_eq!(after.name_at(AFTER), Some("Phường Ba Đình"));
        assert_ne!(before.id, after.id);
        assert!(!before.exists_at(AFTER) && !after.exists_at(BEFORE));
        let taken_over: Vec<OfficeId> =
            COUNTRY.successors_of(&before.id).iter().map(|link| link.new).collect();
        assert_eq!(taken_over, [after.id]);
        assert!(COUNTRY.predecessors_of(&after.id).any(|link| link.old == before.id && link.date == AFTER));
    }

    #[test]
    fn an_untouched_commune_stays_one_office_below_another_parent() {
        let commune = unit(Tier::Commune, "00091", BEFORE);
        assert_eq!(commune.name_at(BEFORE), Some("Phường Phú Thượng"));
        assert_eq!(unit(Tier::Commune, "00091", AFTER).id, commune.id);
        let above = |at| COUNTRY.parent_at(&commune.id, at).and_then(|parent| parent.name_at(at));
        assert_eq!((above(BEFORE), above(AFTER)), (Some("Quận Tây Hồ"), Some("Thành phố Hà Nội")));
        let names = |at| {
            COUNTRY
                .ancestors_at(&commune.id, at)
                .filter_map(move |office| office.name_at(at))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(BEFORE), ["Quận Tây Hồ", "Thành phố Hà Nội"]);
        assert_eq!(COUNTRY.successors_of(&commune.id), []);
    }

    #[test]
    fn a_merged_unit_ends_even_if_name_and_code_live_on() {
        let (old, new) = (unit(Tier::Province, "79", BEFORE), unit(Tier::Province, "79", AFTER));
        assert_eq!(old.name_at(BEFORE), new.name_at(AFTER));
        assert_ne!(old.id, new.id);
        let merged: Vec<_> =
            COUNTRY.predecessors_of(&new.id).filter_map(|link| COUNTRY.name_at(&link.old, BEFORE)).collect();
        assert_eq!(merged.len(), 3, "{merged:?}");
        assert_ne!(
            unit(Tier::Province, "24", BEFORE).id,
            unit(Tier::Province, "24", AFTER).id,
            "Bắc Giang, Bắc Ninh"
        );
    }

    #[test]
    fn eleven_provinces_pass_through_untouched_whatever_the_tone_mark() {
        let untouched = COUNTRY.offices().filter(|office| {
            COUNTRY.tier_at(&office.id, BEFORE) == Some(Tier::Province) && office.exists_at(AFTER)
        });
        assert_eq!(untouched.count(), 11);
        let province = unit(Tier::Province, "38", BEFORE);
        assert_eq!(province.name_at(BEFORE), Some("Tỉnh Thanh Hóa"));
        assert_eq!(province.name_at(AFTER), Some("Tỉnh Thanh Hoá"));
    }

    #[test]
    fn children_are_those_of_the_day() {
        let hanoi = unit(Tier::Province, "01", BEFORE);
        let tiers = |at| {
            COUNTRY
                .children_at(&hanoi.id, at)
                .filter_map(|child| COUNTRY.tier_at(&child.id, at))
                .collect::<Vec<_>>()
        };
        assert_eq!(tiers(BEFORE), [Tier::District; 30]);
        assert_eq!(tiers(AFTER), [Tier::Commune; 126]);
        assert_eq!(COUNTRY.children_at(&id(0), AFTER).count(), 0, "of an unknown office");
    }

    #[test]
    fn every_unit_but_the_highest_stands_below_one_that_exists() {
        for at in [BEFORE, AFTER] {
            for office in COUNTRY.offices().filter(|office| office.exists_at(at)) {
                let place = office.place_at(at).unwrap();
                let parent = COUNTRY.parent_at(&office.id, at);
                assert_eq!(parent.is_some(), place.parent.is_some());
                assert!(parent.is_none_or(|parent| parent.exists_at(at)), "{office:?} at {at}");
                assert!(
                    parent.is_some() || matches!(place.tier, Tier::Central | Tier::Province),
                    "{office:?} at {at}"
                );
            }
        }
    }

    #[test]
    fn whoever_ended_has_a_successor_except_where_the_table_is_silent() {
        let mut without: Vec<&str> = COUNTRY
            .offices()
            .filter(|office| office.exists_at(BEFORE) && !office.exists_at(AFTER))
            .filter(|office| COUNTRY.successors_of(&office.id).is_empty())
            .map(|office| office.codes[0].text.as_str())
            .collect();
        without.sort_unstable();
        // Five island districts without communes, and the communes of Ba Chẽ, which the table does not link.
        assert_eq!(without, ["06970", "06973", "06982", "06988", "318", "471", "498", "536", "755"]);
    }

    #[test]
    fn both_code_forms_and_irregular_ones_resolve() {
        let tax = COUNTRY.resolve("G12.18", AFTER).unwrap();
        assert_eq!(tax.name_at(AFTER), Some("Tổng cục Thuế"));
        assert_eq!(COUNTRY.resolve(" 000.00.18.G12 ", AFTER).unwrap().id, tax.id);
        assert_eq!(COUNTRY.parent_at(&tax.id, AFTER).map(|parent| parent.id), Some(agency_office_id("G12")));
        assert_eq!(COUNTRY.resolve("H49", AFTER).unwrap().id, unit(Tier::Province, "22", BEFORE).id);
        let irregular = COUNTRY.resolve("28.22.H17", BEFORE).unwrap();
        assert_eq!(irregular.name_at(BEFORE), Some("Xã Hòa Sơn"));
        assert_eq!(
            COUNTRY.parent_at(&irregular.id, BEFORE).and_then(|parent| parent.name_at(BEFORE)),
            Some("Huyện Hòa Vang")
        );
    }

    #[test]
    fn a_code_that_leads_nowhere_says_why() {
        let ended = COUNTRY.resolve("28.22.H17", AFTER).unwrap_err();
        assert!(ended.to_string().contains("until 2025-06-30"), "{ended}");
        assert!(matches!(ended, ResolveError::NotAt { holders, .. } if holders.len() == 1));
        for unknown in ["H37.DN.001", "vxp.saas.03", "", "\0", &"9".repeat(100_000)] {
            let error = COUNTRY.resolve(unknown, AFTER).unwrap_err();
            assert!(
                matches!(error, ResolveError::Unknown { .. }) && error.to_string().len() < 400,
                "{error}"
            );
        }
    }

    #[test]
    fn ids_are_the_same_for_everybody() {
        // Written once; whoever changes the derivation breaks every enrolled office.
        assert_eq!(
            unit_office_id(Tier::Commune, "00004", Some(AFTER)).to_string(),
            "4ecdd15b0eb1f59210adeda0e4cdd4b3"
        );
        assert_eq!(
            unit_office_id(Tier::Province, "01", None).to_string(),
            "8c5705610e297e01cbc1762cbfcc0b19"
        );
        assert_eq!(agency_office_id("G12.18").to_string(), "e2d117c1400df0594da6268758966ce0");
        assert_eq!(
            COUNTRY.resolve("00004", AFTER).unwrap().id,
            unit_office_id(Tier::Commune, "00004", Some(AFTER))
        );
    }

    #[test]
    fn round_trips_through_its_snapshot() {
        let bytes = COUNTRY.snapshot().encode().unwrap();
        let again = DirectorySnapshot::decode(&bytes).unwrap();
        assert_eq!(again.encode().unwrap(), bytes);
        assert_eq!(Directory::new(again).unwrap(), *COUNTRY);
    }

    #[test]
    fn grows_to_the_size_of_the_national_exchange_deterministically() {
        let grown = || {
            let mut builder = DirectoryBuilder::country().unwrap();
            builder.invented_up_to(20_000);
            builder.build(1, Millis(0)).unwrap()
        };
        let first = grown();
        assert_eq!(first.office_count(), 20_000);
        assert_eq!(first, grown());
    }
}

mod search {
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
}

mod soundness {
    use super::*;

    fn fault_of(change: impl FnOnce(&mut Office)) -> OfficeFault {
        let mut office = office(1, "Sở Nội vụ");
        change(&mut office);
        let fault = office.check().unwrap_err();
        assert_eq!(directory([office]), Err(DirectoryError::Office { office: id(1), source: fault.clone() }));
        fault
    }

    #[test]
    fn an_unsound_office_is_refused_with_its_fault() {
        assert_eq!(fault_of(|o| o.names.clear()), OfficeFault::Nameless);
        for text in ["", " a", "a\n", "a\u{7}b"] {
            assert!(
                matches!(fault_of(|o| o.names[0].text = text.into()), OfficeFault::Unclean { .. }),
                "{text:?}"
            );
        }
        assert!(matches!(
            fault_of(|o| o.names[0].text = "Hoa\u{300}".into()),
            OfficeFault::Text { what: "name", .. }
        ));
        assert!(matches!(
            fault_of(|o| o.names[0].text = "a".repeat(NAME_CHARS_MAX + 1)),
            OfficeFault::Text { .. }
        ));
        let long = code(CodeSystem::Qd20, &"9".repeat(CODE_CHARS_MAX + 1), Validity::ALWAYS);
        assert!(matches!(fault_of(|o| o.codes.push(long)), OfficeFault::Text { what: "code", .. }));
        let backwards = Validity { from: Some(AFTER), until: Some(BEFORE) };
        assert_eq!(fault_of(|o| o.names[0].validity = backwards), OfficeFault::Backwards { what: "name" });
        assert_eq!(fault_of(|o| o.names.push(o.names[0].clone())), OfficeFault::Overlap { what: "name" });
        let own = Place { tier: Tier::Commune, parent: Some(id(1)), validity: Validity::ALWAYS };
        assert_eq!(fault_of(|o| o.places.push(own)), OfficeFault::OwnParent);
        let twice = || vec!["p01".parse::<RegionId>().unwrap(); 2];
        assert!(matches!(fault_of(|o| o.relays = twice()), OfficeFault::RelayTwice { .. }));
        let keys =
            |n: u8| (0..n).map(|n| OfficeKey { key: [n; 32], validity: KeyValidity::ALWAYS }).collect();
        assert!(matches!(
            fault_of(|o| o.keys = keys(65)),
            OfficeFault::TooMany { what: "keys", found: 65, max: 64 }
        ));
    }

    #[test]
    fn a_login_is_a_user_nkey_with_its_checksum() {
        let mut named = office(1, "Sở Nội vụ");
        named.login = Some(LOGIN.to_owned());
        assert_eq!(named.check(), Ok(()));
        let mut mistyped = LOGIN.to_owned();
        mistyped.replace_range(20..21, "Z");
        for login in [&mistyped, &LOGIN[..55], "", "ADMIN", &format!("A{}", &LOGIN[1..]), &"đ".repeat(28)] {
            assert!(
                matches!(fault_of(|o| o.login = Some(login.to_string())), OfficeFault::Login { .. }),
                "{login}"
            );
        }
    }

    #[test]
    fn a_region_address_cannot_carry_anything_else() {
        for url in ["nats://10.0.0.1:4222", "tls://[fd00::1]:4222", "nats://relay-1.example"] {
            assert_eq!(Region { url: url.into(), ..region("p01") }.check(), Ok(()), "{url}");
        }
        for url in
            ["", "nats://", "http://x", "nats://user:secret@x", "nats://x\"}", "nats://x y", "nats://x\n"]
        {
            let refused = Region { url: url.into(), ..region("p01") }.check();
            assert!(matches!(refused, Err(OfficeFault::Url { .. })), "{url}");
        }
    }

    #[test]
    fn what_belongs_to_one_office_is_not_shared() {
        let with = |change: fn(&mut Office)| {
            let offices = [1, 2].map(|n| {
                let mut office = office(n, "Sở Nội vụ");
                change(&mut office);
                office
            });
            directory(offices).unwrap_err()
        };
        let key = |office: &mut Office| {
            office.keys.push(OfficeKey { key: [9; 32], validity: KeyValidity::ALWAYS });
        };
        assert_eq!(with(key), DirectoryError::KeyTwice { first: id(1), second: id(2) });
        assert!(matches!(with(|o| o.login = Some(LOGIN.into())), DirectoryError::LoginTwice { .. }));
        let held = |office: &mut Office| office.codes.push(code(CodeSystem::Qd20, "G1", Validity::ALWAYS));
        assert!(matches!(with(held), DirectoryError::CodeTwice { first, .. } if first == id(1)));
        assert_eq!(
            directory([office(1, "a"), office(1, "b")]),
            Err(DirectoryError::OfficeTwice { office: id(1) })
        );
    }

    #[test]
    fn whoever_is_named_is_described() {
        let mut orphan = office(1, "Sở Nội vụ");
        orphan.places.push(Place { tier: Tier::Province, parent: Some(id(9)), validity: Validity::ALWAYS });
        assert!(
            matches!(directory([orphan]), Err(DirectoryError::OfficeMissing { missing: m, .. }) if m == id(9))
        );
        let mut homeless = office(1, "Sở Nội vụ");
        homeless.relays.push("p09".parse().unwrap());
        assert!(matches!(directory([homeless]), Err(DirectoryError::RegionMissing { .. })));
        let heir = |old, new| {
            let mut builder = DirectoryBuilder::new();
            builder.office(office(1, "a")).office(office(2, "b")).successor(Successor {
                old,
                new,
                date: AFTER,
            });
            builder.build(1, Millis(0))
        };
        assert!(heir(id(1), id(2)).is_ok());
        assert!(matches!(heir(id(1), id(9)), Err(DirectoryError::OfficeMissing { .. })));
        assert!(matches!(heir(id(9), id(1)), Err(DirectoryError::OfficeMissing { .. })));
        assert_eq!(heir(id(1), id(1)), Err(DirectoryError::OwnSuccessor { office: id(1) }));
    }

    #[test]
    fn one_text_in_two_lists_is_ambiguous_until_the_list_is_said() {
        let (mut one, mut other) = (office(1, "a"), office(2, "b"));
        one.codes.push(code(CodeSystem::Qd20, "01", Validity::ALWAYS));
        other.codes.push(code(CodeSystem::StatisticsUnit(Tier::Province), "01", Validity::since(AFTER)));
        let directory = directory([one, other]).unwrap();
        assert_eq!(directory.resolve("01", BEFORE).map(|office| office.id), Ok(id(1)));
        let unclear = directory.resolve("01", AFTER);
        assert!(matches!(unclear, Err(ResolveError::Ambiguous { holders, .. }) if holders.len() == 2));
        assert_eq!(directory.resolve_in(CodeSystem::Qd20, "01", AFTER).map(|office| office.id), Ok(id(1)));
    }

    #[test]
    fn a_circle_of_parents_does_not_hang() {
        let circle = [(1, 2), (2, 1)].map(|(n, parent)| {
            let mut office = office(n, "a");
            office.places.push(Place {
                tier: Tier::Central,
                parent: Some(id(parent)),
                validity: Validity::ALWAYS,
            });
            office
        });
        assert_eq!(directory(circle).unwrap().ancestors_at(&id(1), AFTER).count(), ANCESTORS_MAX);
    }
}

mod enrolment {
    use super::*;

    #[test]
    fn gives_an_office_keys_for_a_time_and_a_home() {
        let mut builder = DirectoryBuilder::from(&*COUNTRY);
        let commune = unit_office_id(Tier::Commune, "00004", Some(AFTER));
        let key = OfficeKey {
            key: [3; 32],
            validity: KeyValidity { from: Some(Millis(10)), until: Some(Millis(20)) },
        };
        let relays: Vec<RegionId> = ["p02", "p01"].map(|token| token.parse().unwrap()).into();
        let enrolment =
            Enrolment { keys: vec![key.clone()], login: Some(LOGIN.into()), relays: relays.clone() };
        builder.region(region("p01")).region(region("p02")).enrol(&commune, enrolment).unwrap();
        let directory = builder.build(2, Millis(2_000)).unwrap();

        assert_eq!(directory.home_regions(&commune), relays, "in order of preference");
        assert_eq!(directory.offices_in(&relays[0]).map(|office| office.id).collect::<Vec<_>>(), [commune]);
        assert_eq!(directory.key_of(&commune, key.id(), Millis(10)), Ok(&key));
        assert_eq!(directory.key_of(&commune, key.id(), Millis(20)), Ok(&key));
        for at in [9, 21] {
            assert!(
                matches!(directory.key_of(&commune, key.id(), Millis(at)), Err(KeyError::NotAt { .. })),
                "{at}"
            );
        }
        let stranger = KeyId::new([0; 16]);
        assert!(matches!(directory.key_of(&commune, stranger, Millis(10)), Err(KeyError::KeyUnknown { .. })));
        assert!(matches!(
            directory.key_of(&id(0), key.id(), Millis(10)),
            Err(KeyError::OfficeUnknown { .. })
        ));
        assert_eq!(COUNTRY.home_regions(&commune), [], "the earlier directory stays as it is");
    }

    #[test]
    fn of_nobody_is_refused() {
        let refused = DirectoryBuilder::new().enrol(&id(1), Enrolment::default()).map(|_| ()).unwrap_err();
        assert!(matches!(refused, DirectoryError::OfficeMissing { .. }));
    }
}

mod delta {
    use super::*;

    fn base() -> Directory {
        let mut keyed = office(1, "Sở Nội vụ");
        keyed.keys.push(OfficeKey { key: [1; 32], validity: KeyValidity::ALWAYS });
        directory([keyed, office(2, "Sở Tài chính")]).unwrap()
    }

    fn empty() -> DirectoryDelta {
        DirectoryDelta {
            base_version: 7,
            version: 8,
            issued_at: Millis(800),
            regions: vec![],
            upserts: vec![],
            successors: vec![],
        }
    }

    #[test]
    fn leads_to_the_same_directory_as_its_snapshot() {
        let heir = Successor { old: id(2), new: id(3), date: AFTER };
        let mut renamed = office(2, "Sở Tài chính");
        renamed.names[0].validity = Validity::up_to(BEFORE);
        let mut new = office(3, "Sở Kinh tế");
        new.relays.push("p03".parse().unwrap());
        let delta = DirectoryDelta {
            regions: vec![region("p03")],
            upserts: vec![new, renamed],
            successors: vec![heir],
            ..empty()
        };
        let delta = DirectoryDelta::decode(&delta.encode().unwrap()).unwrap();
        let after = delta.apply(&base()).unwrap();
        assert_eq!((after.version(), after.issued_at(), after.office_count()), (8, Millis(800), 3));
        assert_eq!(after.name_at(&id(2), AFTER), None);
        assert_eq!(after.successors_of(&id(2)), [heir]);
        assert_eq!(after.office(&id(1)), base().office(&id(1)));
        assert_eq!(Directory::new(after.snapshot()).unwrap(), after);
    }

    #[test]
    fn applies_once_and_only_to_its_base() {
        let after = empty().apply(&base()).unwrap();
        assert_eq!(empty().apply(&after), Err(DirectoryError::WrongBase { base: 7, found: 8 }));
        let skipped = DirectoryDelta { base_version: 6, ..empty() };
        assert_eq!(skipped.apply(&base()), Err(DirectoryError::WrongBase { base: 6, found: 7 }));
        for version in [0, 7] {
            let back = DirectoryDelta { version, ..empty() };
            assert_eq!(back.apply(&base()), Err(DirectoryError::NotNewer { version, found: 7 }));
        }
        let early = DirectoryDelta { issued_at: Millis(699), ..empty() };
        assert!(matches!(early.apply(&base()), Err(DirectoryError::IssuedEarlier { .. })));
    }

    #[test]
    fn closes_a_key_but_never_removes_it() {
        let removed = DirectoryDelta { upserts: vec![office(1, "Sở Nội vụ")], ..empty() };
        assert!(matches!(removed.apply(&base()), Err(DirectoryError::KeyRemoved { .. })));
        let mut closed = office(1, "Sở Nội vụ");
        closed.keys.push(OfficeKey { key: [1; 32], validity: KeyValidity::up_to(Millis(5)) });
        let closed = DirectoryDelta { upserts: vec![closed], ..empty() };
        assert!(closed.apply(&base()).is_ok());
    }

    #[test]
    fn that_breaks_the_directory_is_refused() {
        let mut taken = office(2, "Sở Tài chính");
        taken.keys.push(OfficeKey { key: [1; 32], validity: KeyValidity::ALWAYS });
        let delta = DirectoryDelta { upserts: vec![taken], ..empty() };
        assert!(matches!(delta.apply(&base()), Err(DirectoryError::KeyTwice { .. })));
        let twice = DirectoryDelta { upserts: vec![office(3, "a"), office(3, "b")], ..empty() };
        assert_eq!(twice.apply(&base()), Err(DirectoryError::OfficeTwice { office: id(3) }));
    }

    #[test]
    fn and_snapshot_are_not_taken_for_each_other() {
        assert!(matches!(
            DirectorySnapshot::decode(&empty().encode().unwrap()),
            Err(SnapshotError::Cbor { .. })
        ));
        assert!(matches!(
            DirectoryDelta::decode(&base().snapshot().encode().unwrap()),
            Err(SnapshotError::Cbor { .. })
        ));
    }
}

mod bytes {
    use super::*;

    fn snapshot() -> DirectorySnapshot {
        let mut first = office(1, "Sở Nội vụ");
        first.codes.push(code(
            CodeSystem::Qd20,
            "H49.1",
            Validity { from: Some(date(1960, 1, 1)), until: Some(BEFORE) },
        ));
        first.places.push(Place {
            tier: Tier::Province,
            parent: Some(id(2)),
            validity: Validity::since(AFTER),
        });
        first.keys.push(OfficeKey { key: [1; 32], validity: KeyValidity::since(Millis(u64::MAX)) });
        first.login = Some(LOGIN.to_owned());
        first.relays = vec!["p02".parse().unwrap(), "p01".parse().unwrap()];
        let mut snapshot = directory([first, office(2, "UBND tỉnh")]).unwrap().snapshot();
        snapshot.successors.push(Successor { old: id(1), new: id(2), date: AFTER });
        snapshot
    }

    #[test]
    fn are_the_same_whatever_the_order_of_the_lists() {
        let mut reversed = snapshot();
        reversed.offices.reverse();
        reversed.regions.reverse();
        assert_eq!(reversed.encode().unwrap(), snapshot().encode().unwrap());
    }

    #[test]
    fn of_any_other_form_are_refused() {
        let bytes = snapshot().encode().unwrap();
        assert_eq!(bytes[..3], [0xa6, 0x00, 0x01], "a map of six, the format first");
        let trailing = [&bytes[..], &[0]].concat();
        assert!(matches!(DirectorySnapshot::decode(&trailing), Err(SnapshotError::NotDeterministic { .. })));
        let indefinite = [&[0xbf], &bytes[1..], &[0xff]].concat();
        assert!(matches!(
            DirectorySnapshot::decode(&indefinite),
            Err(SnapshotError::NotDeterministic { .. })
        ));
        let unknown_field = [&[0xa7], &bytes[1..], &[0x18, 0x63, 0x00]].concat();
        assert!(matches!(
            DirectorySnapshot::decode(&unknown_field),
            Err(SnapshotError::NotDeterministic { .. })
        ));
        let long_number = [&[0xa6, 0x00, 0x18, 0x01], &bytes[3..]].concat();
        assert!(matches!(
            DirectorySnapshot::decode(&long_number),
            Err(SnapshotError::NotDeterministic { .. })
        ));
        let newer = [&[0xa6, 0x00, 0x02], &bytes[3..]].concat();
        assert!(matches!(DirectorySnapshot::decode(&newer), Err(SnapshotError::Format { found: 2, .. })));
    }

    #[test]
    fn with_unsound_entries_are_neither_written_nor_read() {
        let mut unsound = snapshot();
        // As many bytes as the decomposed letter below, so that only the content differs.
        unsound.offices[1].names[0].text = "Hoabc".to_owned();
        let bytes = unsound.encode().unwrap();
        unsound.offices[1].names[0].text = "Hoa\u{300}".to_owned();
        assert!(matches!(unsound.encode(), Err(SnapshotError::Office { .. })));
        let at = bytes.windows(5).position(|window| window == b"Hoabc").unwrap();
        let mut forged = bytes;
        forged[at..at + 5].copy_from_slice("Hoa\u{300}".as_bytes());
        assert!(matches!(DirectorySnapshot::decode(&forged), Err(SnapshotError::Office { .. })));
        let mut twice = snapshot();
        twice.offices.push(twice.offices[0].clone());
        assert!(matches!(twice.encode(), Err(SnapshotError::Order { entries: "offices", .. })));
    }

    #[test]
    fn that_are_too_many_are_refused_unread() {
        let huge = vec![0xff; SNAPSHOT_BYTES_MAX + 1];
        assert!(matches!(DirectorySnapshot::decode(&huge), Err(SnapshotError::TooLarge { .. })));
        // A claim of four billion regions, in a few bytes.
        let claim = [0xa6, 0x00, 0x01, 0x01, 0x01, 0x02, 0x01, 0x03, 0x9a, 0xff, 0xff, 0xff, 0xff];
        assert!(matches!(DirectorySnapshot::decode(&claim), Err(SnapshotError::Cbor { .. })));
    }

    proptest! {
        #[test]
        fn at_random_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = DirectorySnapshot::decode(&bytes);
            let _ = DirectoryDelta::decode(&bytes);
        }

        #[test]
        fn with_one_byte_changed_or_cut_never_read_the_same(at in 0_usize..10_000, flip in 1_u8..) {
            let bytes = snapshot().encode().unwrap();
            let at = at % bytes.len();
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            if let Ok(read) = DirectorySnapshot::decode(&changed) {
                prop_assert_eq!(read.encode().unwrap(), changed);
                let _ = Directory::new(read);
            }
            prop_assert!(DirectorySnapshot::decode(&bytes[..at]).is_err());
        }
    }
}

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
    let key = (any::<[u8; 32]>(), any::<Option<u64>>());
    let relays = prop::sample::subsequence(vec!["p01", "p02"], 0..=2);
    (
        any::<[u8; 16]>(),
        name,
        prop::collection::vec(any_code(), 0..3),
        prop::collection::vec(key, 0..3),
        relays,
    )
        .prop_map(|(id, (name, validity), codes, keys, relays)| {
            let mut office = Office::new(OfficeId::new(id));
            office.names.push(Name {
                text: unicode_normalization::UnicodeNormalization::nfc(name.as_str()).collect(),
                validity,
            });
            office.places.push(Place { tier: Tier::Province, parent: None, validity });
            office.codes = codes;
            let key = |(key, from): ([u8; 32], Option<u64>)| OfficeKey {
                key,
                validity: KeyValidity { from: from.map(Millis), until: None },
            };
            office.keys = keys.into_iter().map(key).collect();
            office.relays = relays.iter().map(|token| token.parse().unwrap()).collect();
            office
        })
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
