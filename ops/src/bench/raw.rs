//! The baselines: what the machine gives without Trạm.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ed25519_dalek::{Signature, Signer, SigningKey};
use rusqlite::Connection;
use sha2::{Digest, Sha256};

use super::workload::rate;

/// Signatures of one baseline: about a third of a second on an idle machine.
const SIGNATURES: u64 = 8_000;

/// Inserts these rows into a bare table with the station's own pragmas, `batch` in one transaction; rows per
/// second.
pub(super) fn insert(folder: &Path, rows: &[Vec<u8>], batch: usize) -> Result<f64> {
    let path = folder.join("raw.db");
    let attempted = "failed to measure SQLite alone";
    let db = Connection::open(&path).context(attempted)?;
    db.execute_batch(
        "PRAGMA page_size = 4096;
         PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA cache_size = -8192;
         PRAGMA wal_autocheckpoint = 4000;
         CREATE TABLE row (position INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;",
    )
    .context(attempted)?;
    let start = Instant::now();
    for rows in rows.chunks(batch) {
        db.execute_batch("BEGIN IMMEDIATE").context(attempted)?;
        let mut insert = db.prepare_cached("INSERT INTO row (bytes) VALUES (?1)").context(attempted)?;
        for row in rows {
            insert.execute([row]).context(attempted)?;
        }
        db.execute_batch("COMMIT").context(attempted)?;
    }
    let took = start.elapsed();
    drop(db);
    for suffix in ["", "-wal", "-shm"] {
        // The folder is removed in the end anyway.
        let _ = std::fs::remove_file(folder.join(format!("raw.db{suffix}")));
    }
    Ok(rate(rows.len() as u64, took))
}

/// Opens a station's store and reads the newest row of its journal: what any start has to do at least.
pub(super) fn open(database: &Path) -> Result<Duration> {
    let attempted = "failed to measure opening alone";
    let start = Instant::now();
    let db = Connection::open(database).context(attempted)?;
    let newest = "SELECT bytes FROM journal ORDER BY position DESC LIMIT 1";
    let bytes: Vec<u8> = db.query_row(newest, [], |row| row.get(0)).context(attempted)?;
    std::hint::black_box(Sha256::digest(bytes));
    Ok(start.elapsed())
}

/// Ed25519 signatures over this many bytes, per second and core.
pub(super) fn sign(bytes: usize) -> f64 {
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut message = vec![0x5a_u8; bytes];
    let start = Instant::now();
    for n in 0..SIGNATURES {
        message[..8].copy_from_slice(&n.to_be_bytes());
        std::hint::black_box(key.sign(&message));
    }
    rate(SIGNATURES, start.elapsed())
}

/// Strict verifications of signatures over this many bytes, per second and core.
pub(super) fn verify(bytes: usize) -> Result<f64> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let message = vec![0x5a_u8; bytes];
    let (public, signature): (_, Signature) = (key.verifying_key(), key.sign(&message));
    let start = Instant::now();
    let mut held = 0;
    for _ in 0..SIGNATURES {
        let holds = std::hint::black_box(&public).verify_strict(&message, &signature).is_ok();
        held += u64::from(holds);
    }
    let took = start.elapsed();
    ensure!(held == SIGNATURES, "the baseline's own signature does not hold");
    Ok(rate(SIGNATURES, took))
}

/// Reads all journal rows of a station's store and hashes them; rows per second and core.
pub(super) fn read_and_hash(database: &Path) -> Result<f64> {
    let attempted = "failed to measure reading alone";
    let db = Connection::open(database).context(attempted)?;
    let start = Instant::now();
    let mut statement = db.prepare("SELECT bytes FROM journal ORDER BY position").context(attempted)?;
    let mut rows = statement.query([]).context(attempted)?;
    let mut count = 0;
    while let Some(row) = rows.next().context(attempted)? {
        let bytes = row.get_ref(0).and_then(|value| Ok(value.as_blob()?)).context(attempted)?;
        std::hint::black_box(Sha256::digest(bytes));
        count += 1;
    }
    Ok(rate(count, start.elapsed()))
}
