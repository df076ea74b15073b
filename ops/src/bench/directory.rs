//! The directory with as many offices as the national exchange lists.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ed25519_dalek::SigningKey;
use schema::directory::{DirectoryBuilder, open_directory, sign_directory};
use schema::text::fold;
use schema::time::Millis;
use sha2::{Digest, Sha256};

use super::idle::resident_bytes;
use super::{Figure, Ground};

/// Offices that the national exchange listed.
const OFFICES: usize = 111_339;
/// What people type: rare, frequent, several words, the sort alone, nothing that exists.
const QUERIES: [&str; 6] =
    ["ba dinh", "tran", "uy ban nhan dan xa ta cu ty", "tram y te", "phong van hoa hoa binh", "qqq"];
/// The slowest of so many tries of each query counts.
const TRIES: usize = 5;
const MIB: f64 = 1_048_576.0;
/// Hits per page.
const HITS: usize = 20;

/// The key that signs the bench's directory.
fn root() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

pub(super) fn bench(ground: &Ground) -> Result<Vec<Figure>> {
    let mut builder = DirectoryBuilder::country()?;
    builder.invented_up_to(OFFICES);
    let root = root();
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
    let (before, after) = resident(ground, &bytes)?;
    #[expect(clippy::cast_precision_loss, reason = "megabytes")]
    let mib = |bytes: u64| bytes as f64 / MIB;
    Ok(vec![
        Figure::new(format!("memory that {OFFICES} offices hold"), mib(after.saturating_sub(before)), "MiB")
            .at_most(30.0)
            .beside("the process without them, MiB", mib(before))
            .beside("the signed file, MiB", mib(bytes.len() as u64)),
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

/// What a process of its own holds before and after it has opened a directory: memory that this one has used and
/// freed would hide it.
fn resident(ground: &Ground, signed: &[u8]) -> Result<(u64, u64)> {
    let folder = ground.folder()?;
    let file = folder.path().join("directory.cbor");
    std::fs::write(&file, signed).with_context(|| format!("failed to write `{}`", file.display()))?;
    let program = std::env::current_exe().context("failed to find the running program")?;
    let arguments = ["bench", "holds-directory", "--disk", &file.display().to_string()];
    let ended = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let ended = ended.context("failed to start another bench")?;
    let said = String::from_utf8_lossy(&ended.stdout);
    let numbers: Option<Vec<u64>> = said.split_whitespace().map(|number| number.parse().ok()).collect();
    match numbers.as_deref() {
        Some([before, after]) => Ok((*before, *after)),
        _ => bail!("the other bench failed: {}", String::from_utf8_lossy(&ended.stderr)),
    }
}

/// The other process of [`resident`]: opens the directory in `file`, searches it, and prints both numbers.
pub(super) fn hold(file: &Path) -> Result<()> {
    let before = resident_bytes(std::process::id())?;
    let bytes = std::fs::read(file).with_context(|| format!("failed to read `{}`", file.display()))?;
    let directory = open_directory(&bytes, root().verifying_key().as_bytes())?;
    drop(bytes);
    let mut found = 0;
    for query in QUERIES {
        found += directory.search(query, None, HITS).len();
    }
    ensure!(found > 0 && directory.office_count() == OFFICES, "another directory than the bench's");
    super::super::print(&format!("{before} {}\n", resident_bytes(std::process::id())?))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
