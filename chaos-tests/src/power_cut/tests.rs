//! The model keeps its word.

use std::collections::BTreeSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::disk::{Disk, Operation, RestartReport, locked};
use super::state::{DiskState, InodeId, SURVIVAL_PER_MILLE};
use super::{SECTOR_BYTES, VFS_NAME};

const FILE: &str = "tram.db";

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A database with one table, in WAL with full syncs.
fn database(disk: &Disk) -> Connection {
    let connection = disk.open(FILE).unwrap();
    let set_up = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
        CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;";
    connection.execute_batch(set_up).unwrap();
    connection
}

fn add(connection: &Connection, bytes: usize) -> rusqlite::Result<usize> {
    connection.execute("INSERT INTO note (body) VALUES (?1)", [vec![7_u8; bytes]])
}

fn count(connection: &Connection) -> i64 {
    connection.query_row("SELECT count(*) FROM note", [], |row| row.get(0)).unwrap()
}

fn code<T>(result: rusqlite::Result<T>) -> Option<ErrorCode> {
    result.err().and_then(|error| error.sqlite_error_code())
}

/// A file on a bare model, without SQLite.
fn file(state: &mut DiskState, name: &str) -> InodeId {
    state.open(name, true, false).unwrap().0
}

fn contents(state: &mut DiskState, inode: InodeId, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    state.read(inode, 0, &mut bytes).unwrap();
    bytes
}

/// Restarts until the wanted survival rate is drawn.
fn restart_with(state: &mut DiskState, survival_per_mille: u64) -> RestartReport {
    let wanted = |seed: &u64| {
        let drawn = rng(*seed).next_u32() as usize % SURVIVAL_PER_MILLE.len();
        SURVIVAL_PER_MILLE[drawn] == survival_per_mille
    };
    state.restart(&mut rng((0..).find(wanted).unwrap()))
}

#[test]
fn write_ahead_logging_works_on_the_disk() {
    let disk = Disk::new();
    let connection = database(&disk);
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    add(&connection, 5_000).unwrap();
    assert_eq!(disk.files().keys().collect::<Vec<_>>(), [FILE, "tram.db-wal"]);
    drop(connection);
    assert_eq!(count(&database(&disk)), 1);
}

#[test]
fn synced_bytes_survive_and_unsynced_ones_vanish_by_sector() {
    let mut state = DiskState::default();
    let inode = file(&mut state, "a");
    state.write(inode, 0, &[1; 2_048]).unwrap();
    state.sync(inode).unwrap();
    state.write(inode, 100, &[2; 1_000]).unwrap();
    let report = restart_with(&mut state, 0);
    assert_eq!((report.sectors_kept, report.sectors_lost), (0, 3));
    assert_eq!(contents(&mut state, inode, 2_048), vec![1; 2_048]);
}

#[test]
fn a_partial_loss_is_a_mixture_of_whole_sectors() {
    let mut mixtures = 0;
    for seed in 0..200 {
        let mut state = DiskState::default();
        let inode = file(&mut state, "a");
        state.write(inode, 0, &[1; 8 * SECTOR_BYTES]).unwrap();
        state.sync(inode).unwrap();
        state.write(inode, 0, &[2; 8 * SECTOR_BYTES]).unwrap();
        let report = state.restart(&mut rng(seed));
        let bytes = contents(&mut state, inode, 8 * SECTOR_BYTES);
        let of =
            |value: u8| bytes.chunks(SECTOR_BYTES).filter(|s| s.iter().all(|b| *b == value)).count() as u64;
        assert_eq!((of(1), of(2)), (report.sectors_lost, report.sectors_kept), "seed {seed}");
        assert_eq!(8 - of(1) - of(2), report.sectors_garbled, "seed {seed}");
        mixtures += u64::from(of(1) > 0 && of(2) > 0);
    }
    assert!(mixtures > 50, "only {mixtures} of 200 restarts mixed old and new sectors");
}

#[test]
fn garbage_never_touches_synced_bytes_of_the_same_sector() {
    let mut garbled = 0;
    for seed in 0..2_000 {
        let mut state = DiskState::default();
        let inode = file(&mut state, "a");
        state.write(inode, 0, &[1; 300]).unwrap();
        state.sync(inode).unwrap();
        state.write(inode, 300, &[2; 100]).unwrap();
        garbled += state.restart(&mut rng(seed)).sectors_garbled;
        assert_eq!(contents(&mut state, inode, 300), vec![1; 300], "seed {seed}");
    }
    assert!(garbled > 5, "only {garbled} sectors were garbled");
}

#[test]
fn the_operation_at_the_cut_fails_but_may_have_happened() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..40 {
        let disk = Disk::new();
        let mut state = locked(&disk.state);
        let inode = file(&mut state, "a");
        state.sync(inode).unwrap();
        state.cut_at = Some(2);
        assert_eq!(state.write(inode, 0, b"late"), Err(ffi::SQLITE_IOERR_WRITE));
        assert_eq!(state.sync(inode), Err(ffi::SQLITE_IOERR_FSYNC));
        assert_eq!(state.operations, 2, "an operation without power is none");
        state.restart(&mut rng(seed));
        outcomes.insert(state.length(inode));
    }
    assert_eq!(outcomes, [0, 4].into());
}

#[test]
fn a_file_never_synced_may_be_missing_and_a_deletion_is_durable_after_any_sync() {
    let (mut missing, mut back) = (0, 0);
    for seed in 0..100 {
        let mut state = DiskState::default();
        let (old, other) = (file(&mut state, "old"), file(&mut state, "other"));
        state.sync(old).unwrap();
        state.sync(other).unwrap();
        state.delete("old", false).unwrap();
        file(&mut state, "new");
        let mut settled = state.inodes.keys().copied().collect::<Vec<_>>();
        settled.retain(|inode| *inode == old);
        assert_eq!(settled, [old], "an unsettled deletion keeps the file");
        if seed % 2 == 0 {
            state.sync(other).unwrap();
        }
        let report = state.restart(&mut rng(seed));
        let returned = state.directory.contains_key("old");
        assert!(!(returned && seed % 2 == 0), "seed {seed}: a deletion was undone after a sync");
        assert_eq!(report.files_returned, u64::from(returned));
        back += u64::from(returned);
        missing += u64::from(!state.directory.contains_key("new"));
        assert!(state.directory.contains_key("other"));
    }
    assert!(missing > 10 && back > 5, "{missing} missing, {back} came back");
}

#[test]
fn after_a_failed_sync_later_syncs_save_only_what_is_written_again() {
    let mut state = DiskState::default();
    let inode = file(&mut state, "a");
    state.write(inode, 0, &[1; 1_024]).unwrap();
    state.sync(inode).unwrap();
    state.write(inode, 0, &[2; 1_024]).unwrap();
    state.fail_at[Operation::Sync as usize] = Some(2);
    assert_eq!(state.sync(inode), Err(ffi::SQLITE_IOERR_FSYNC));
    state.write(inode, 512, &[3; 512]).unwrap();
    state.sync(inode).unwrap();
    assert_eq!(contents(&mut state, inode, 1_024), [[2; 512], [3; 512]].concat(), "the cache has both");
    restart_with(&mut state, 0);
    assert_eq!(contents(&mut state, inode, 1_024), [[1; 512], [3; 512]].concat());
}

#[test]
fn a_failed_sync_refuses_the_commit_and_the_store_recovers() {
    let disk = Disk::new();
    let connection = database(&disk);
    add(&connection, 100).unwrap();
    disk.fail_at(Operation::Sync, 1);
    assert_eq!(code(add(&connection, 100)), Some(ErrorCode::SystemIoFailure));
    disk.cut_now();
    drop(connection);
    disk.restart(&mut rng(5));
    let connection = database(&disk);
    assert!((1..=2).contains(&count(&connection)));
    add(&connection, 100).unwrap();
}

#[test]
fn a_full_disk_refuses_and_recovers_when_space_is_freed() {
    let disk = Disk::new();
    let connection = database(&disk);
    add(&connection, 100).unwrap();
    disk.fill_up(20_000);
    let before = disk.used_bytes();
    let full = (0..100).map(|_| add(&connection, 1_000)).find(Result::is_err).unwrap();
    assert_eq!(code(full), Some(ErrorCode::DiskFull));
    assert!(disk.used_bytes() <= before + 20_000);
    let (stored, used) = (count(&connection), disk.used_bytes());
    assert!(stored > 1 && used > before);
    disk.free_space();
    add(&connection, 100_000).unwrap();
    assert_eq!(count(&connection), stored + 1);
}

#[test]
fn a_flipped_bit_is_found_by_the_integrity_check_or_the_reader() {
    let disk = Disk::new();
    let connection = database(&disk);
    (0..50).for_each(|_| assert!(add(&connection, 500).is_ok()));
    drop(connection);
    // On the copy nothing is unsettled: a write-ahead log that came back would repair the page.
    let disk = Disk::from_snapshot(&disk.snapshot());
    // The cell count of the table's root page (the second page) tells how many children it has.
    disk.flip_bit(FILE, 4_096 + 4).unwrap();
    disk.restart(&mut rng(1));
    let connection = disk.open(FILE).unwrap();
    let verdict = connection.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0));
    assert_ne!(verdict.ok().as_deref(), Some("ok"));
    let error = disk.flip_bit("missing.db", 3).unwrap_err();
    assert!(error.to_string().contains("`missing.db`"));
    assert!(disk.flip_bit(FILE, 1 << 40).is_err());
}

#[test]
fn a_snapshot_is_an_old_backup_and_a_clone_goes_its_own_way() {
    let disk = Disk::new();
    let connection = database(&disk);
    add(&connection, 100).unwrap();
    let backup = disk.snapshot();
    add(&connection, 100).unwrap();
    let clone = Disk::from_snapshot(&backup);
    clone.cut_now();
    clone.restart(&mut rng(1));
    let other = database(&clone);
    assert_eq!((count(&connection), count(&other)), (2, 1));
    add(&other, 100).unwrap();
    add(&other, 100).unwrap();
    assert_eq!((count(&connection), count(&other)), (2, 3));
}

#[test]
fn a_connection_from_before_the_restart_can_do_nothing() {
    let disk = Disk::new();
    let old = database(&disk);
    add(&old, 100).unwrap();
    disk.restart(&mut rng(3));
    let new = database(&disk);
    add(&new, 100).unwrap();
    assert!(add(&old, 100).is_err());
    let operations = disk.operations();
    drop(old);
    assert_eq!(disk.operations(), operations, "closing the old connection touched the new life's files");
    assert_eq!(count(&new), 2);
}

#[test]
fn a_second_connection_is_kept_out_by_the_exclusive_lock() {
    let disk = Disk::new();
    let first = database(&disk);
    add(&first, 100).unwrap();
    let second = disk.open(FILE).unwrap();
    let result = second.query_row("SELECT count(*) FROM note", [], |row| row.get::<_, i64>(0));
    assert_eq!(code(result), Some(ErrorCode::DatabaseBusy));
    drop(first);
    assert_eq!(count(&second), 1);
}

#[test]
fn a_dropped_disk_leaves_no_path_behind() {
    let disk = Disk::new();
    let path = disk.path(FILE);
    drop(database(&disk));
    drop(disk);
    let opened = Connection::open_with_flags_and_vfs(path, OpenFlags::SQLITE_OPEN_READ_WRITE, VFS_NAME);
    assert_eq!(code(opened), Some(ErrorCode::CannotOpen));
}

#[test]
fn large_sorts_may_use_temporary_files() {
    let disk = Disk::new();
    let connection = database(&disk);
    let sorted: i64 = connection
        .query_row(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
            SELECT count(*) FROM (
                SELECT DISTINCT hex(i * 7919) || zeroblob(400) AS k FROM n ORDER BY k DESC)",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(sorted, 20_000);
    assert_eq!(disk.files().keys().filter(|name| !name.starts_with(FILE)).count(), 0);
}
