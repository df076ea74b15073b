//! The directory with as many offices as the national exchange lists.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ed25519_dalek::SigningKey;
use schema::directory::{DirectoryBuilder, open_directory, sign_directory};
use schema::text::fold;
use schema::time::Millis;
use sha2::{Digest, Sha256};

use super::{Figure, Ground};

/// Offices that the national exchange listed.
const OFFICES: usize = 111_339;
/// What people type: rare, frequent, several words, the sort alone, nothing that exists.
const QUERIES: [&str; 6] =
    ["ba dinh", "tran", "uy ban nhan dan xa ta cu ty", "tram y te", "phong van hoa hoa binh", "qqq"];
/// The slowest of so many tries of each query counts.
const TRIES: usize = 5;
/// Hits per page.
const HITS: usize = 20;

pub(super) fn bench(_: &Ground) -> Result<Vec<Figure>> {
    let mut builder = DirectoryBuilder::country()?;
    builder.invented_up_to(OFFICES);
    let root = SigningKey::from_bytes(&[9; 32]);
    let bytes = sign_directory(&builder.build(1, Millis(0))?.snapshot(), &root)?;

    let start = Instant::now();
    std::hint::black_box(Sha256::digest(&bytes));
    let hash = start.elapsed();
    let start = Instant::now();
    let directory = open_directory(&bytes, root.verifying_key().as_bytes())?;
    let load = start.elapsed();
    let offices = directory.office_count();
    ensure!(offices == OFFICES, "the bench's directory has {offices} offices");

    let mut slowest = Duration::ZERO;
    let mut found = 0;
    for query in QUERIES {
        for _ in 0..TRIES {
            let start = Instant::now();
            found += directory.search(query, None, HITS).len();
            slowest = slowest.max(start.elapsed());
        }
    }
    ensure!(found > 0, "no query found anything");
    let word = QUERIES.first().context("there are queries")?;
    let start = Instant::now();
    let scanned = directory.offices().flat_map(|office| &office.names);
    std::hint::black_box(scanned.filter(|name| fold(&name.text).contains(word)).count());
    let scan = start.elapsed();
    Ok(vec![
        Figure::new(
            format!("load of {OFFICES} signed offices, {} MiB", bytes.len() >> 20),
            millis(load),
            "ms",
        )
        .at_most(2_000.0)
        .beside("SHA-256 of the same bytes, ms", millis(hash)),
        Figure::new("slowest search by name", millis(slowest), "ms")
            .at_most(50.0)
            .beside("folding and scanning all names, ms", millis(scan)),
    ])
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
