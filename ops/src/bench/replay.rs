//! Replay from zero: a journal of own letters, and one of what came in with its receipts. One thread.

use std::path::Path;

use anyhow::{Result, ensure};
use node::Node;
use node::store::ReplayedState;
use schema::event::{Proof, UnverifiedEvent, Verifier};
use schema::id::{OfficeId, Position};

use super::verify::Reception;
use super::workload::{self, Span, Stopwatch, Writer, cpu_us, rate};
use super::{Figure, Ground, raw};

/// Events of each journal.
const EVENTS: u64 = 100_000;
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

    let verifier = Verifier::new(workload::registry()?);
    let mut state = ReplayedState::new(me);
    let mut from = Position(1);
    let stopwatch = Stopwatch::start();
    while state.entries < CHECKED {
        let entries = node.store().journal(from, BATCH)?;
        let Some(last) = entries.last() else { break };
        from = last.position.next();
        for entry in &entries {
            let event = verifier.verify(UnverifiedEvent::parse(&entry.bytes)?, &Proof::default())?;
            state.add_recorded(entry.position, entry.class, &event.into());
        }
    }
    let checked = (state.entries, stopwatch.stop());
    let verify = raw::verify(600)?;
    // The budget is for a core: on a machine that others use too, the clock on the wall also counts their work.
    let figures = |how: &str, (count, span): (u64, Span), budget: f64, alone: &str, baseline: f64| {
        let name = format!("replay of {what}, {how}");
        let unit = "events/s, one thread";
        [
            Figure::new(format!("{name}: wall"), rate(count, span.wall), unit).beside(alone, baseline),
            Figure::new(format!("{name}: per core"), rate(count, span.cpu), unit)
                .at_least(budget)
                .beside("CPU µs each", cpu_us(count, span)),
        ]
    };
    let plain = figures("no signatures", plain, 300_000.0, "read row + SHA-256/s", baseline);
    let checked = figures("with signatures", checked, 15_000.0, "verify_strict/s", verify);
    Ok(plain.into_iter().chain(checked).collect())
}
