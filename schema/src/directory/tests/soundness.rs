//! What may stand in a directory, and what is refused with which fault.

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
    for url in ["", "nats://", "http://x", "nats://user:secret@x", "nats://x\"}", "nats://x y", "nats://x\n"]
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
        builder.office(office(1, "a")).office(office(2, "b")).successor(Successor { old, new, date: AFTER });
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
