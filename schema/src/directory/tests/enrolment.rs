//! An office gets its keys and its home.

use super::*;

#[test]
fn gives_an_office_keys_for_a_time_and_a_home() {
    let mut builder = DirectoryBuilder::from(&*COUNTRY);
    let commune = unit_office_id(Tier::Commune, "00004", Some(AFTER));
    let key =
        OfficeKey { key: [3; 32], validity: KeyValidity { from: Some(Millis(10)), until: Some(Millis(20)) } };
    let relays: Vec<RegionId> = ["p02", "p01"].map(|token| token.parse().unwrap()).into();
    let enrolment = Enrolment { keys: vec![key.clone()], login: Some(LOGIN.into()), relays: relays.clone() };
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
    assert!(matches!(directory.key_of(&id(0), key.id(), Millis(10)), Err(KeyError::OfficeUnknown { .. })));
    assert_eq!(COUNTRY.home_regions(&commune), [], "the earlier directory stays as it is");
}

#[test]
fn of_nobody_is_refused() {
    let refused = DirectoryBuilder::new().enrol(&id(1), Enrolment::default()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, DirectoryError::OfficeMissing { .. }));
}
