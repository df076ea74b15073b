//! An office gets its home.

use super::*;

#[test]
fn gives_an_office_a_login_and_a_home() {
    let mut builder = DirectoryBuilder::from(&*COUNTRY);
    let commune = unit_office_id(Tier::Commune, "00004", Some(AFTER));
    let relays: Vec<RegionId> = ["p02", "p01"].map(|token| token.parse().unwrap()).into();
    let enrolment = Enrolment { login: Some(LOGIN.into()), relays: relays.clone() };
    builder.region(region("p01")).region(region("p02")).enrol(&commune, enrolment).unwrap();
    let directory = builder.build(2, Millis(2_000)).unwrap();

    assert_eq!(directory.home_regions(&commune), relays, "in order of preference");
    assert_eq!(directory.offices_in(&relays[0]).map(|office| office.id).collect::<Vec<_>>(), [commune]);
    assert!(directory.office(&commune).unwrap().is_enrolled());
    assert_eq!(COUNTRY.home_regions(&commune), [], "the earlier directory stays as it is");
    assert!(!COUNTRY.office(&commune).unwrap().is_enrolled());
}

#[test]
fn of_nobody_is_refused() {
    let refused = DirectoryBuilder::new().enrol(&id(1), Enrolment::default()).map(|_| ()).unwrap_err();
    assert!(matches!(refused, DirectoryError::OfficeMissing { .. }));
}
