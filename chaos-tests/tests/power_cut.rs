//! SQLite under power cuts: the settings that the stations use lose nothing, and weaker ones are caught.
//!
//! `TRAM_POWER_CUT_RUNS` sets the number of runs of the main gate (default 2,000, three cuts or more in
//! each); the other tests take a fixed share. A failure names the seed; [`torture`] with that seed repeats
//! it.

use std::collections::BTreeMap;
use std::num::NonZero;

use chaos_tests::power_cut::{Disk, Moment, Outcome, Plan, Verdict, Workload, torture};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

const FILE: &str = "station.db";
const RUNS_DEFAULT: u64 = 2_000;
const BODY_BYTES_MAX: u32 = 3_000;

/// A small station: a hash chain of events, and an outbox row per event written in the same transaction.
#[derive(Debug, Clone, Copy)]
struct EventsAndOutbox {
    journal_mode: &'static str,
    synchronous: &'static str,
    locking_mode: &'static str,
}

const WAL_FULL: EventsAndOutbox =
    EventsAndOutbox { journal_mode: "WAL", synchronous: "FULL", locking_mode: "EXCLUSIVE" };

impl EventsAndOutbox {
    fn connect(&self, disk: &Disk) -> rusqlite::Result<Connection> {
        let connection = disk.open(FILE)?;
        let locking_mode = self.locking_mode;
        connection.execute_batch(&format!("PRAGMA locking_mode = {locking_mode}"))?;
        Ok(connection)
    }
}

impl Workload for EventsAndOutbox {
    type Session = Connection;
    type Error = rusqlite::Error;

    fn open(&self, disk: &Disk) -> rusqlite::Result<Connection> {
        let Self { journal_mode, synchronous, .. } = self;
        let connection = self.connect(disk)?;
        // Six pages between checkpoints: every run cuts some of them.
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = {journal_mode};
            PRAGMA synchronous = {synchronous};
            PRAGMA wal_autocheckpoint = 6;
            CREATE TABLE IF NOT EXISTS event (
                number INTEGER PRIMARY KEY, previous BLOB NOT NULL, id BLOB NOT NULL, body BLOB NOT NULL
            ) STRICT;
            CREATE TABLE IF NOT EXISTS outbox (number INTEGER PRIMARY KEY, sent INTEGER NOT NULL) STRICT;"
        ))?;
        Ok(connection)
    }

    fn acknowledge(
        &self,
        session: &mut Connection,
        number: u64,
        rng: &mut ChaCha8Rng,
    ) -> rusqlite::Result<()> {
        let transaction = session.transaction()?;
        let previous = last_id(&transaction)?;
        let mut body = vec![0; 10 + (rng.next_u32() % BODY_BYTES_MAX) as usize];
        rng.fill_bytes(&mut body);
        let id = event_id(&previous, &body);
        let number = number.cast_signed();
        let mut insert = transaction.prepare_cached("INSERT INTO event VALUES (?1, ?2, ?3, ?4)")?;
        insert.execute(params![number, previous, id, body])?;
        transaction.prepare_cached("INSERT INTO outbox VALUES (?1, 0)")?.execute([number])?;
        if number % 3 == 0 {
            let mut update = transaction.prepare_cached("UPDATE outbox SET sent = 1 WHERE number < ?1")?;
            update.execute([number - 1])?;
        }
        drop(insert);
        transaction.commit()
    }

    fn inspect(&self, disk: &Disk) -> Result<u64, String> {
        let connection = self.connect(disk).map_err(|error| format!("cannot be opened: {error}"))?;
        check(&connection).unwrap_or_else(|error| Err(format!("cannot be read: {error}")))
    }
}

fn last_id(transaction: &Transaction<'_>) -> rusqlite::Result<Vec<u8>> {
    let mut last = transaction.prepare_cached("SELECT id FROM event ORDER BY number DESC LIMIT 1")?;
    Ok(last.query_row([], |row| row.get(0)).optional()?.unwrap_or_default())
}

fn event_id(previous: &[u8], body: &[u8]) -> Vec<u8> {
    Sha256::new().chain_update(previous).chain_update(body).finalize().to_vec()
}

/// Walks the whole chain; the inner error says what is broken.
fn check(connection: &Connection) -> rusqlite::Result<Result<u64, String>> {
    let integrity: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if integrity != "ok" {
        return Ok(Err(format!("integrity check: {}", integrity.lines().next().unwrap_or_default())));
    }
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('event', 'outbox')";
    if connection.query_row(tables, [], |row| row.get::<_, i64>(0))? < 2 {
        return Ok(Ok(0));
    }
    let mut previous = Vec::new();
    let mut present = 0;
    let mut events = connection.prepare("SELECT number, previous, id, body FROM event ORDER BY number")?;
    let mut rows = events.query([])?;
    while let Some(row) = rows.next()? {
        let (number, before, id): (i64, Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
        present += 1;
        if number != present || before != previous || id != event_id(&before, row.get_ref(3)?.as_blob()?) {
            return Ok(Err(format!("the chain is broken at event {present}")));
        }
        previous = id;
    }
    let outbox: i64 = connection.query_row("SELECT count(*) FROM outbox", [], |row| row.get(0))?;
    if outbox != present {
        return Ok(Err(format!("{present} events, but {outbox} outbox rows")));
    }
    Ok(Ok(present.cast_unsigned()))
}

/// Runs the seeds `0..runs` on all processors; the order of the result is that of the seeds.
fn torture_all<W: Workload + Sync>(workload: &W, plan: &Plan, runs: u64) -> BTreeMap<u64, Outcome> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let share = |first: u64| {
            let seeds = (first..runs).step_by(threads);
            seeds.map(|seed| (seed, torture(workload, plan, seed))).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..threads as u64).map(|first| scope.spawn(move || share(first))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no run panics")).collect()
    })
}

fn findings(outcomes: &BTreeMap<u64, Outcome>) -> Vec<(u64, &Verdict)> {
    let bad = outcomes.iter().filter(|(_, outcome)| outcome.verdict != Verdict::Intact);
    bad.map(|(seed, outcome)| (*seed, &outcome.verdict)).collect()
}

/// One digest over all outcomes in the order of their seeds.
fn fingerprint(outcomes: &BTreeMap<u64, Outcome>) -> String {
    let mut digest = Sha256::new();
    for entry in outcomes {
        digest.update(format!("{entry:?}\n"));
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn runs() -> u64 {
    match std::env::var("TRAM_POWER_CUT_RUNS") {
        Ok(text) => text.parse().expect("TRAM_POWER_CUT_RUNS is a whole number of runs"),
        Err(_) => RUNS_DEFAULT,
    }
}

fn assert_all_intact(name: &str, outcomes: &BTreeMap<u64, Outcome>) {
    let findings = findings(outcomes);
    let first = findings.iter().take(5).collect::<Vec<_>>();
    assert!(
        findings.is_empty(),
        "{name}: {} of {} runs are bad, first: {first:?}",
        findings.len(),
        outcomes.len()
    );
    // A gate in which nothing was at stake proves nothing.
    let sum = |of: fn(&Outcome) -> u64| outcomes.values().map(of).sum::<u64>();
    let (runs, acknowledged) = (outcomes.len() as u64, sum(|outcome| outcome.acknowledged));
    assert!(acknowledged > 5 * runs, "{name}: only {acknowledged} acknowledgements in {runs} runs");
    let destroyed = sum(|outcome| outcome.sectors_destroyed);
    assert!(destroyed > 5 * runs, "{name}: only {destroyed} sectors were destroyed in {runs} runs");
}

#[test]
fn write_ahead_log_with_full_syncs_loses_nothing_acknowledged() {
    let begun = std::time::Instant::now();
    let outcomes = torture_all(&WAL_FULL, &Plan::default(), runs());
    let seconds = begun.elapsed().as_secs_f64();
    let operations: u64 = outcomes.values().map(|outcome| outcome.operations).sum();
    let per_minute = outcomes.len() as f64 * 60.0 / seconds;
    println!("{} runs, {operations} operations, {seconds:.1} s, {per_minute:.0} runs/min", outcomes.len());
    println!("fingerprint {}", fingerprint(&outcomes));
    assert_all_intact("WAL and FULL", &outcomes);
}

#[test]
fn every_operation_is_a_survivable_moment_for_a_cut() {
    let mut cut_within_the_work = true;
    let mut operation = 0;
    while cut_within_the_work {
        operation += 1;
        cut_within_the_work = false;
        let plan =
            Plan { cuts: 2, pieces_per_cut: 4, moment: Moment::Operation(operation), ..Plan::default() };
        for seed in 0..8 {
            let outcome = torture(&WAL_FULL, &plan, seed);
            assert_eq!(outcome.verdict, Verdict::Intact, "cut at operation {operation}, seed {seed}");
            // Once all eight pieces are acknowledged, the cut comes after the work.
            cut_within_the_work |= outcome.acknowledged < 8;
        }
    }
    println!("cut at each of {operation} operations");
    assert!(operation > 40, "the walk ended after {operation} operations");
}

#[test]
fn syncing_only_at_checkpoints_is_caught_losing_acknowledged_work() {
    let normal = EventsAndOutbox { synchronous: "NORMAL", ..WAL_FULL };
    let outcomes = torture_all(&normal, &Plan::default(), 200);
    let lost = outcomes.values().filter(|outcome| matches!(outcome.verdict, Verdict::Lost { .. })).count();
    println!(
        "WAL and NORMAL: {lost} of 200 runs lost acknowledged work, {} bad in all",
        findings(&outcomes).len()
    );
    assert!(lost > 20, "only {lost} of 200 runs lost acknowledged work");
}

#[test]
fn a_disk_that_lies_about_syncs_is_caught() {
    let plan = Plan { lying_disk: true, ..Plan::default() };
    let outcomes = torture_all(&WAL_FULL, &plan, 200);
    let damaged = outcomes.values().filter(|outcome| matches!(outcome.verdict, Verdict::Damaged(_))).count();
    let caught = findings(&outcomes).len();
    println!("lying disk: {caught} of 200 runs caught, {damaged} of them damaged");
    assert!(caught > 100 && damaged > 20, "only {caught} of 200 runs caught, {damaged} of them damaged");
}

/// The directory has teeth too: with ordinary locking a rollback journal is deleted at every commit, and FULL
/// does not sync the directory afterwards, so the journal may come back and undo the commit. EXTRA does.
#[test]
fn a_rollback_journal_that_comes_back_undoes_a_commit_unless_its_deletion_is_synced() {
    let full = EventsAndOutbox { journal_mode: "DELETE", synchronous: "FULL", locking_mode: "NORMAL" };
    let outcomes = torture_all(&full, &Plan::default(), 200);
    let lost = outcomes.values().filter(|outcome| matches!(outcome.verdict, Verdict::Lost { .. })).count();
    println!("DELETE and FULL: {lost} of 200 runs lost acknowledged work");
    assert!(lost > 20, "only {lost} of 200 runs lost acknowledged work");
    assert_eq!(findings(&outcomes).len(), lost, "a lost commit is no damage: {:?}", findings(&outcomes));
    let extra = EventsAndOutbox { synchronous: "EXTRA", ..full };
    assert_all_intact("DELETE and EXTRA", &torture_all(&extra, &Plan::default(), 200));
}

#[test]
fn the_same_seeds_give_the_same_outcomes() {
    let lying = Plan { lying_disk: true, ..Plan::default() };
    for plan in [Plan::default(), lying] {
        let together = torture_all(&WAL_FULL, &plan, 60);
        let alone: BTreeMap<_, _> =
            (0..60).rev().map(|seed| (seed, torture(&WAL_FULL, &plan, seed))).collect();
        assert_eq!(fingerprint(&together), fingerprint(&alone), "{plan:?}");
        assert_eq!(together, alone);
        assert_ne!(together[&0], together[&1], "two seeds should differ");
    }
}
