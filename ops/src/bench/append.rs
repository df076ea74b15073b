//! Sign and append: a clerk's letters, each signed and durable before the answer.

use anyhow::Result;
use schema::id::Position;

use super::workload::{Span, Writer, cpu_us, rate};
use super::{Figure, Ground, raw};

/// Letters in one transaction.
const BATCH: usize = 64;
/// The largest transaction of a running station.
const FILL_BATCH: u64 = node::runtime::STEP_INPUTS_MAX as u64;
/// Events of the small store.
const SMALL: u64 = 1_000;
/// Events of the large store.
const LARGE: u64 = 100_000;
/// Letters of one measurement.
const MEASURED: usize = 64 * 100;
/// Letters of one measurement with a transaction each.
const MEASURED_ALONE: usize = 400;

pub(super) fn bench(ground: &Ground) -> Result<Vec<Figure>> {
    let folder = ground.folder()?;
    let mut writer = Writer::open(folder.path())?;
    let mut measured = Vec::new();
    for size in [SMALL, LARGE] {
        writer.write(size.saturating_sub(writer.written), FILL_BATCH)?;
        let alone = writer.write(MEASURED_ALONE as u64, 1)?;
        let batched = writer.write(MEASURED as u64, BATCH as u64)?;
        measured.push((alone, batched));
    }
    let rows: Vec<Vec<u8>> =
        writer.node.store().journal(Position(1), 1_024)?.into_iter().map(|entry| entry.bytes).collect();
    let bytes = rows.iter().map(Vec::len).sum::<usize>() / rows.len().max(1);
    let many: Vec<Vec<u8>> = rows.iter().cycle().take(MEASURED).cloned().collect();
    let insert = raw::insert(folder.path(), &many, BATCH)?;
    let insert_alone = raw::insert(folder.path(), &many[..MEASURED_ALONE], 1)?;
    let sign = raw::sign(bytes);
    let [(small_alone, small), (large_alone, large)] = measured[..] else { unreachable!("two sizes") };
    let unit = "events/s";
    let budget = 5_000.0;
    let row = format!("SQLite insert of {bytes} B/s");
    let figure = |name: &str, count: usize, span: Span, insert| {
        let count = count as u64;
        Figure::new(name, rate(count, span.wall), unit)
            .beside("CPU µs each", cpu_us(count, span))
            .beside(row.clone(), insert)
            .beside("Ed25519 sign/s, one thread", sign)
    };
    let times = |name: &str, count: usize, small, large| {
        let count = count as u64;
        Figure::new(name, cpu_us(count, large) / cpu_us(count, small), "times the CPU").at_most(2.0)
    };
    Ok(vec![
        figure("append+sign, 64 per step, at 1,000", MEASURED, small, insert).at_least(budget),
        figure("append+sign, 64 per step, at 100,000", MEASURED, large, insert).at_least(budget),
        figure("append+sign, 1 per step, at 1,000", MEASURED_ALONE, small_alone, insert_alone),
        figure("append+sign, 1 per step, at 100,000", MEASURED_ALONE, large_alone, insert_alone),
        times("append at 100,000 to at 1,000, 64 per step", MEASURED, small, large),
        times("append at 100,000 to at 1,000, 1 per step", MEASURED_ALONE, small_alone, large_alone),
    ])
}
