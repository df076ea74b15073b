//! A change leads from one version to a later one.

use super::*;

fn base() -> Directory {
    let mut named = office(1, "Sở Nội vụ");
    named.login = Some(LOGIN.to_owned());
    directory([named, office(2, "Sở Tài chính")]).unwrap()
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
fn that_breaks_the_directory_is_refused() {
    let mut taken = office(2, "Sở Tài chính");
    taken.login = Some(LOGIN.to_owned());
    let delta = DirectoryDelta { upserts: vec![taken], ..empty() };
    assert!(matches!(delta.apply(&base()), Err(DirectoryError::LoginTwice { .. })));
    let twice = DirectoryDelta { upserts: vec![office(3, "a"), office(3, "b")], ..empty() };
    assert_eq!(twice.apply(&base()), Err(DirectoryError::OfficeTwice { office: id(3) }));
}

#[test]
fn and_snapshot_are_not_taken_for_each_other() {
    assert!(matches!(DirectorySnapshot::decode(&empty().encode().unwrap()), Err(SnapshotError::Cbor { .. })));
    assert!(matches!(
        DirectoryDelta::decode(&base().snapshot().encode().unwrap()),
        Err(SnapshotError::Cbor { .. })
    ));
}
