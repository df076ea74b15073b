//! Replay from zero: a journal of own letters, and one of what came in with its receipts. One thread.

use std::path::Path;

use anyhow::{Result, ensure};
use node::Node;
use node::store::ReplayedState;
use schema::event::{UnverifiedEvent, Verifier};
use schema::id::{OfficeId, Position};

use super::verify::Reception;
use super::workload::{self, Span, Stopwatch, Writer, cpu_us, rate};
use super::{Figure, Ground, raw};

/// Events of each journal.
const EVENTS: u64 = 40_000;
/// Journal entries read at a time.
const BATCH: u32 = 1_024;
/// Events whose signatures are checked.
const CHECKED: u64 = 15_000;

pub(super) fn bench(ground: &Ground) -> Result<Vec<Figure>> {
    let folder = ground.folder()?;
    let mut writer = Writer::open(folder.path())?;
    writer.write(EVENTS, node::runtime::STEP_INPUTS_MAX as u64)?;
    let own = measure(
        "own letters",
        &writer.node,
        workload::office(Writer::OFFICE),
        &folder.path().join("writer.db"),
    )?;
    let mut reception = Reception::open(folder.path())?;
    reception.take(EVENTS)?;
    let received =
        measure("what came in", &reception.node, Reception::me(), &folder.path().join("receiver.db"))?;
    Ok(own.into_iter().chain(received).collect())
}

fn measure(what: &str, node: &Node, me: OfficeId, database: &Path) -> Result<Vec<Figure>> {
    let baseline = raw::read_and_hash(database)?;
    let stopwatch = Stopwatch::start();
    let replayed = node.store().replay(me)?;
    let plain = (replayed.entries, stopwatch.stop());
    // A fast replay of something else would be no figure.
    ensure!(replayed.broken.is_none(), "the replayed chain is broken: {:?}", replayed.broken);
    ensure!(replayed.hash() == node.state_hash()?, "the replay gives another state than the live one");

    let verifier = Verifier::new(workload::directory()?);
    let mut state = ReplayedState::new(me);
    let mut from = Position(1);
    let stopwatch = Stopwatch::start();
    while state.entries < CHECKED {
        let entries = node.store().journal(from, BATCH)?;
        let Some(last) = entries.last() else { break };
        from = last.position.next();
        for entry in &entries {
            verifier.verify(UnverifiedEvent::parse(&entry.bytes)?)?;
            state.add(entry)?;
        }
    }
    let checked = (state.entries, stopwatch.stop());
    let verify = raw::verify(600)?;
    let figure = |name: String, (count, span): (u64, Span)| {
        Figure::new(name, rate(count, span.wall), "events/s, one thread")
            .beside("CPU µs each", cpu_us(count, span))
    };
    Ok(vec![
        figure(format!("replay of {what}, no signatures"), plain)
            .at_least(300_000.0)
            .beside("read row + SHA-256/s, one thread", baseline),
        figure(format!("replay of {what}, with signatures"), checked)
            .at_least(15_000.0)
            .beside("verify_strict/s, one thread", verify),
    ])
}
