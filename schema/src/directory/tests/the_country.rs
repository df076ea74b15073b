//! What the carried tables say about the country, before and after 2025-07-01.

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
    let taken_over: Vec<OfficeId> = COUNTRY.successors_of(&before.id).iter().map(|link| link.new).collect();
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
        COUNTRY.ancestors_at(&commune.id, at).filter_map(move |office| office.name_at(at)).collect::<Vec<_>>()
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
        assert!(matches!(error, ResolveError::Unknown { .. }) && error.to_string().len() < 400, "{error}");
    }
}

#[test]
fn ids_are_the_same_for_everybody() {
    // Written once; whoever changes the derivation breaks every enrolled office.
    assert_eq!(
        unit_office_id(Tier::Commune, "00004", Some(AFTER)).to_string(),
        "4ecdd15b0eb1f59210adeda0e4cdd4b3"
    );
    assert_eq!(unit_office_id(Tier::Province, "01", None).to_string(), "8c5705610e297e01cbc1762cbfcc0b19");
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
