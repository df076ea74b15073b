//! One encoding of a snapshot and of a delta; every other one is refused.

use super::*;

fn snapshot() -> DirectorySnapshot {
    let mut first = office(1, "Sở Nội vụ");
    first.codes.push(code(
        CodeSystem::Qd20,
        "H49.1",
        Validity { from: Some(date(1960, 1, 1)), until: Some(BEFORE) },
    ));
    first.places.push(Place { tier: Tier::Province, parent: Some(id(2)), validity: Validity::since(AFTER) });
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
    assert!(matches!(DirectorySnapshot::decode(&indefinite), Err(SnapshotError::NotDeterministic { .. })));
    let unknown_field = [&[0xa7], &bytes[1..], &[0x18, 0x63, 0x00]].concat();
    assert!(matches!(DirectorySnapshot::decode(&unknown_field), Err(SnapshotError::NotDeterministic { .. })));
    let long_number = [&[0xa6, 0x00, 0x18, 0x01], &bytes[3..]].concat();
    assert!(matches!(DirectorySnapshot::decode(&long_number), Err(SnapshotError::NotDeterministic { .. })));
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
