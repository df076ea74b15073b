//! A large attachment: sealed, through a relay, to a recipient that opens it before it gives its receipt. Two stations, the relay and the
//! server share this machine; stations and relay are one process here, so its memory is that of all three.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use node::sealing::{holds_file, seal_file};
use schema::blob::{BlobRef, CHUNK_BYTES, FileRef};
use schema::id::FileHash;
use sha2::{Digest, Sha256};

use super::end_to_end::raw_jetstream;
use super::town::Town;
use super::workload::{office, rate};
use super::{Figure, Ground};

const SENDER: u8 = 1;
const RECIPIENT: u8 = 2;
/// Bytes of the attachment.
const LENGTH: u64 = 1 << 30;
/// Messages of the baseline, of the size of a chunk.
const RAW_MESSAGES: usize = 4_096;
const MIB: f64 = 1024.0 * 1024.0;

pub(super) fn bench(ground: &Ground) -> Result<Vec<Figure>> {
    let folder = ground.folder()?;
    let path = folder.path().join("attachment");
    let file = make_file(&path)?;
    let raw = raw_jetstream(folder.path(), RAW_MESSAGES, CHUNK_BYTES as usize)?;
    let raw = rate((RAW_MESSAGES * CHUNK_BYTES as usize) as u64, raw) / MIB;
    let copied = copied(&path, folder.path())?;
    let (sealed, opened) = sealed_and_opened(&path, folder.path())?;
    let (age_seals, age_opens) = by_age(&path, folder.path())?;

    let town = Town::start(folder.path(), &[(SENDER, "a"), (RECIPIENT, "a")])?;
    let recipient = town.station(folder.path(), RECIPIENT, None)?;
    let mut sender = town.station(folder.path(), SENDER, None)?;
    let server = children()?;
    let before = memory(&[std::process::id()])?;
    peaks_begin_anew(&server)?;
    let started = Instant::now();
    town.enclose(&sender, &mut open(&path)?, file)?;
    let kept = rate(LENGTH, started.elapsed()) / MIB;
    let started = Instant::now();
    town.attach(&mut sender, vec![office(RECIPIENT)], file)?;
    sender.all_receipted()?;
    let moved = rate(LENGTH, started.elapsed()) / MIB;
    let (peak, server) = (memory(&[std::process::id()])?, memory(&server)?);
    ensure!(recipient.status()?.awaited_attachments == 0, "a receipt came before the attachment");
    for station in [recipient, sender] {
        town.stop_station(station)?;
    }
    town.stop()?;
    Ok(vec![
        Figure::new("a file of 1 GiB sealed and safely on the disk", kept, "MiB/s")
            .beside("copied and synced", copied)
            .beside("sealed alone, from file to file", sealed)
            .beside("the age command line", age_seals),
        Figure::new("attachment of 1 GiB through a relay, opened, receipt back", moved, "MiB/s")
            .at_least(40.0)
            .beside("raw JetStream, one way, in messages of a chunk", raw)
            .beside("opened and hashed alone", opened)
            .beside("opened by the age command line", age_opens),
        Figure::new("memory of two stations and a relay in one process, at most", peak, "MiB")
            .at_most(100.0)
            .beside("before", before)
            .beside("the NATS server", server),
    ])
}

/// Bytes that no compression shares.
fn make_file(path: &Path) -> Result<FileRef> {
    let attempted = "failed to write the attachment";
    let mut to = io::BufWriter::new(File::create(path).context(attempted)?);
    let (mut hash, mut block) = (Sha256::new(), vec![0_u8; 1 << 20]);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..LENGTH / block.len() as u64 {
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        hash.update(&block);
        to.write_all(&block).context(attempted)?;
    }
    to.into_inner().context(attempted)?.sync_all().context(attempted)?;
    Ok(FileRef { hash: FileHash::new(hash.finalize().into()), length: LENGTH })
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("failed to open `{}`", path.display()))
}

/// What the disk gives.
fn copied(path: &Path, folder: &Path) -> Result<f64> {
    let copy = folder.join("copy");
    let started = Instant::now();
    let mut to = File::create(&copy).context("failed to copy")?;
    io::copy(&mut open(path)?.take(LENGTH), &mut to).context("failed to copy")?;
    to.sync_all().context("failed to copy")?;
    let took = started.elapsed();
    fs::remove_file(copy).context("failed to remove the copy")?;
    Ok(rate(LENGTH, took) / MIB)
}

/// What sealing and opening cost without a station.
fn sealed_and_opened(path: &Path, folder: &Path) -> Result<(f64, f64)> {
    let sealed = folder.join("sealed");
    let started = Instant::now();
    let to = File::create(&sealed).context("failed to seal")?;
    let (file, enclosure) = seal_file(&mut open(path)?, &to)?;
    to.sync_all().context("failed to seal")?;
    let seals = started.elapsed();
    let started = Instant::now();
    ensure!(holds_file(&enclosure.identity, open(&sealed)?, &file)?, "the file did not come out again");
    let opens = started.elapsed();
    let BlobRef { length, .. } = enclosure.blob;
    ensure!(length > LENGTH, "sealing adds something");
    fs::remove_file(sealed).context("failed to remove the sealed file")?;
    Ok((rate(LENGTH, seals) / MIB, rate(LENGTH, opens) / MIB))
}

/// What the command line of age takes for the same file.
fn by_age(path: &Path, folder: &Path) -> Result<(f64, f64)> {
    let [key, sealed, opened] = ["age.key", "age.sealed", "age.opened"].map(|name| folder.join(name));
    run(Command::new("age-keygen").arg("-o").arg(&key))?;
    let text = fs::read_to_string(&key).context("failed to read age's key")?;
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: "));
    let recipient = recipient.context("age's key names no recipient")?.to_owned();
    let started = Instant::now();
    run(Command::new("age").args(["-r", &recipient, "-o"]).arg(&sealed).arg(path))?;
    let seals = started.elapsed();
    let started = Instant::now();
    run(Command::new("age").arg("-d").arg("-i").arg(&key).arg("-o").arg(&opened).arg(&sealed))?;
    let opens = started.elapsed();
    for file in [sealed, opened] {
        fs::remove_file(file).context("failed to remove what age made")?;
    }
    Ok((rate(LENGTH, seals) / MIB, rate(LENGTH, opens) / MIB))
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.context("the bench needs `age`: ops/install.sh test")?;
    ensure!(output.status.success(), "age failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The processes that this one has started.
fn children() -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for thread in fs::read_dir("/proc/self/task").context("failed to list the threads")? {
        let path: PathBuf = thread.context("failed to list the threads")?.path().join("children");
        let listed = fs::read_to_string(path).unwrap_or_default();
        found.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}

/// Forgets how much memory this process and these have had at most.
fn peaks_begin_anew(pids: &[u32]) -> Result<()> {
    for pid in pids.iter().copied().chain([std::process::id()]) {
        fs::write(format!("/proc/{pid}/clear_refs"), "5").context("failed to forget the peak of memory")?;
    }
    Ok(())
}

/// The most memory that these processes have had, together, in MiB.
fn memory(pids: &[u32]) -> Result<f64> {
    let mut kib = 0.0;
    for pid in pids {
        let text =
            fs::read_to_string(format!("/proc/{pid}/status")).context("failed to read a peak of memory")?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let words = line.and_then(|line| line.split_whitespace().next()).context("a peak of memory")?;
        kib += words.parse::<f64>().context("a peak of memory")?;
    }
    Ok(kib / 1024.0)
}
