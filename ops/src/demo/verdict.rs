//! The statement at the end: computed from the stores, after every process was stopped.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use ops::audit::{self, Audit, Check};
use ops::table::{Align, Table};
use schema::exchange::HeldRow;
use schema::id::{DocumentId, OfficeId};
use schema::invariant;

use super::cast::{NA_HOI, TA_CU_TY, parts};
use super::world::World;

/// What became of everything that was sent.
#[derive(Default)]
struct Tally {
    documents: usize,
    sends: usize,
    receipts: usize,
    lost: usize,
    doubled: usize,
}

/// Stops the country, audits every store and says what is so. `false` when a promise is broken.
pub(super) fn check(world: &mut World) -> Result<bool> {
    world.stage.act("The statement: every station stopped, every store replayed from zero");
    let stopped = world.household.stop_all("station ")? + world.household.stop_all("relay ")?;
    world.stage.fact(&format!("{stopped} programs ended cleanly"));
    let mut audits = Vec::new();
    for part in parts() {
        audits.push(audit::audit(&world.station(part).data, true)?);
    }
    let saved: BTreeSet<(OfficeId, OfficeId, DocumentId)> = world
        .ledger
        .iter()
        .flat_map(|sent| sent.to.iter().map(|to| (world.office(sent.from), world.office(*to), sent.document)))
        .collect();
    let mut together = audit::cross_check(&audits);
    together.push(audit::saved_is_kept(&audits, &saved));
    let tally = tally(&audits, &saved, world.ledger.len());
    let table = table(world, &audits, &saved);
    world.stage.text(&format!("\n{table}"));

    let sum = |count: fn(&Audit) -> u64| audits.iter().map(count).sum::<u64>();
    let signatures = sum(|audit| audit.signatures.unwrap_or(0));
    let attachments = sum(|audit| audit.attachments);
    let (entries, alarms, forks) = (sum(|a| a.entries), sum(|a| a.alarms), sum(|a| a.evidence));
    let all: Vec<&Check> = audits.iter().flat_map(|audit| &audit.checks).chain(&together).collect();
    let broken: Vec<&&Check> = all.iter().filter(|check| check.broken.is_some()).collect();
    let in_order = audits.iter().all(|audit| invariant::order_is_kept(&audit.held).is_ok());
    let word = |fine: bool| if fine { "ok     " } else { "BROKEN " };
    let complete = tally.receipts == tally.sends;
    let quiet = alarms == 0 && forks == 0;
    let Tally { documents, sends, receipts, lost, doubled } = tally;
    let lines = [
        (complete, format!("sent {documents} documents to {sends} recipients; signed receipts {receipts}")),
        (lost == 0, format!("lost {lost}")),
        (doubled == 0, format!("doubled {doubled}")),
        (in_order, "order of every sender kept".to_owned()),
        (
            broken.is_empty(),
            format!(
                "12 chains verified: {entries} journal entries, {signatures} signatures, {attachments} attachments"
            ),
        ),
        (
            all.iter().filter(|check| check.promise == "P7").all(|check| check.broken.is_none()),
            "replay from zero gives the live state of all 12 stations".to_owned(),
        ),
        (quiet, format!("forks {forks}, alarms {alarms}")),
    ];
    for (fine, text) in &lines {
        world.stage.text(&format!("   {}{text}", word(*fine)));
    }
    for check in &broken {
        let found = check.broken.as_deref().unwrap_or_default();
        world.stage.text(&format!("   BROKEN {} ({}): {found}", check.promise, check.what));
    }
    let fine = lines.iter().all(|(fine, _)| *fine);
    let seconds = world.stage.elapsed().as_secs_f64();
    world.stage.text(&format!(
        "\n{} in {seconds:.0} s.",
        if fine { "Every promise held" } else { "Not every promise held," }
    ));
    look_yourself(world);
    Ok(fine)
}

fn tally(audits: &[Audit], saved: &BTreeSet<(OfficeId, OfficeId, DocumentId)>, documents: usize) -> Tally {
    let by_office: BTreeMap<OfficeId, &Audit> = audits.iter().map(|audit| (audit.office, audit)).collect();
    let mut tally = Tally { documents, sends: saved.len(), ..Tally::default() };
    for (from, to, document) in saved {
        let presented =
            |row: &&HeldRow| row.from == *from && row.document == Some(*document) && row.ordinal.is_some();
        let times = by_office.get(to).map_or(0, |audit| audit.held.iter().filter(presented).count());
        tally.lost += usize::from(times == 0);
        tally.doubled += times.saturating_sub(1);
        let receipted = by_office.get(from).is_some_and(|audit| {
            audit
                .sent
                .iter()
                .any(|row| row.to == *to && row.document == Some(*document) && row.receipt.is_some())
        });
        tally.receipts += usize::from(receipted);
    }
    tally
}

fn table(world: &World, audits: &[Audit], saved: &BTreeSet<(OfficeId, OfficeId, DocumentId)>) -> Table {
    let mut table = Table::new(&[
        ("office", Align::Left),
        ("documents sent", Align::Right),
        ("to", Align::Right),
        ("receipts", Align::Right),
        ("open", Align::Right),
        ("arrived", Align::Right),
        ("own events", Align::Right),
        ("received", Align::Right),
        ("alarms", Align::Right),
    ]);
    for audit in audits {
        let documents = world.ledger.iter().filter(|sent| world.office(sent.from) == audit.office).count();
        let sends = saved.iter().filter(|(from, ..)| *from == audit.office).count();
        let dispatched = || audit.sent.iter().filter(|row| row.document.is_some());
        let receipts = dispatched().filter(|row| row.receipt.is_some()).count();
        let open = dispatched().filter(|row| row.open).count();
        let arrived = audit.held.iter().filter(|row| row.ordinal.is_some()).count();
        table.row([
            audit.name.clone(),
            documents.to_string(),
            sends.to_string(),
            receipts.to_string(),
            open.to_string(),
            arrived.to_string(),
            audit.own.to_string(),
            audit.received.to_string(),
            audit.alarms.to_string(),
        ]);
    }
    table
}

fn look_yourself(world: &mut World) {
    let me = std::env::current_exe().map_or_else(|_| "tram".to_owned(), |path| path.display().to_string());
    let stations = world.folder.join("stations");
    let (commune, courier) = (world.station(NA_HOI).data.clone(), world.station(TA_CU_TY).data.clone());
    let express = world.ledger.first().map_or_else(String::new, |sent| sent.document.to_string());
    let node = world.programs.node.display().to_string();
    let text = format!(
        "\nLook at it yourself (everything is in {}):\n\
         \x20  {me} verify {}/*\n\
         \x20  {me} replay {} --until 20\n\
         \x20  {me} directory resolve 02854 --at 2025-06-27\n\
         \x20  {node} --data {} run &        # opens the station again; then, in another terminal:\n\
         \x20  {node} --data {} outgoing\n\
         \x20  {node} --data {} show {express}\n\
         \x20  ls {}",
        world.folder.display(),
        stations.display(),
        courier.display(),
        commune.display(),
        commune.display(),
        commune.display(),
        world.folder.join("logs").display(),
    );
    world.stage.text(&text);
}
