//! The story, act by act. Each fact that is told was looked at first.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use node::config::DataFolder;
use node::keyring::{self, Protection, Unlock};
use ops::ca::rehearsal::Rehearsal;
use ops::ca::{Cost, Passphrase, files};
use ops::calendar;
use ops::deployment::{Deployment, NewRegion, office_key};
use ops::lookup::OfficeAt;
use schema::id::{DocumentId, EventId, OfficeId, RegionId, hex};
use schema::registry::ItemKind;
use serde_json::Value;

use super::cast::{
    ASLEEP, BAC_HA, BAN_PHO, BY_COURIER, CENTRE_RELAY, DA_NANG, DA_NANG_RELAY, DAY, DAY_AFTER, HOA_BAC,
    HOA_LIEN, HOA_SON, HOA_VANG, LAO_CAI, LAO_CAI_RELAY, MINISTRY, NA_HOI, NAM_MON, OFFICES, Part, REGIONS,
    TA_CU_TY, parts,
};
use super::life::{self, Leader};
use super::papers;
use super::relay::{Manifest, RelayHouse, free_ports};
use super::station::Station;
use super::world::{Look, World, everybody, on_line};

/// Longest wait for mail to get through, in seconds. Generous: a loaded machine is not a broken promise.
const MAIL_SECONDS_MAX: u64 = 120;
/// Ports per relay: offices and peers, monitoring, status.
const PORTS_PER_RELAY: usize = 3;
/// Nobody but the administrator can listen here: a line that is never there.
const DEAD_LINE: &str = "nats://127.0.0.1:1";
/// Letters that each office sends when the lines are up.
const LETTERS_EACH: usize = 20;
/// Letters that go astray with the relay's disk, from each of the sleeping office's correspondents.
const LETTERS_TO_ASLEEP: usize = 3;

pub(super) fn play(world: &mut World) -> Result<()> {
    world.stage.act("Set-up: authorities, signed directory, three relays, twelve stations");
    let leader = set_up(world)?;
    world.stage.act("Cut off: no relay runs; communes sign and queue");
    cut_off(world)?;
    world.stage.act("The lines come up");
    lines_come_up(world)?;
    world.stage.act("The life of a document: signed, numbered, accepted, finished; and one recalled");
    life::play(world, &leader)?;
    world.stage.act("Thành phố Đà Nẵng: the relay is killed and its disk wiped");
    relay_dies(world)?;
    world.stage.act("Xã Tả Củ Tỷ: no line at all, a courier with a USB stick");
    courier(world)?;
    world.stage.act("A circular from the centre to all");
    circular(world)
}

fn set_up(world: &mut World) -> Result<Leader> {
    let now = calendar::now();
    let ports = free_ports(REGIONS.len() * PORTS_PER_RELAY, &mut world.typist)?;
    let unlock_root = Unlock { passphrase_file: Some(passphrase_file(world, "root")?), ..Unlock::default() };
    let authorities = world.folder.join("authorities");
    let words = files::read(&passphrase_file(world, "authorities")?, files::SMALL_FILE_BYTES_MAX)?;
    let words = Passphrase::new(String::from_utf8_lossy(&words).trim())?;
    let mut authorities = Rehearsal::found(&authorities, words, Cost::STANDARD, now)?;
    let root_certificate = authorities.root_certificate()?;
    let mut deployment =
        Deployment::open_or_create(&world.folder.join("deployment"), &unlock_root, &[root_certificate])?;
    for (role, ports) in REGIONS.iter().zip(ports.chunks_exact(PORTS_PER_RELAY)) {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let region = NewRegion {
            id: role.id.parse()?,
            name: role.name.to_owned(),
            url: format!("nats://{}", at(ports[0])),
            listen: at(ports[0]),
            monitor_port: ports[1],
            status: at(ports[2]),
        };
        let folder = deployment.add_region(&region)?;
        if let Some(program) = super::nats_server() {
            let mut config = fs::File::options().append(true).open(folder.join("relay.toml"))?;
            writeln!(config, "nats_server = {:?}", program.display().to_string())?;
        }
        let status = region.status.to_string();
        world.relays.push(RelayHouse { name: role.name, region: role.id, folder, status });
    }
    let country = ops::lookup::load(None)?;
    for part in parts() {
        let role = part.role();
        let office =
            country.resolve(role.code, DAY).with_context(|| format!("code {} on {DAY}", role.code))?;
        let name = office.name_at(DAY).context("an office that holds a code has a name")?.to_owned();
        let relays: Vec<RegionId> =
            role.relays.iter().map(|relay| REGIONS[*relay].id.parse()).collect::<Result<_, _>>()?;
        let passphrase_file = Some(passphrase_file(world, role.folder)?);
        deployment.unlock_offices(Unlock { passphrase_file, ..Unlock::default() });
        deployment.enrol(&office.id, &name, &relays)?;
        let key = office_key(deployment.folder(), &office.id, &name)?;
        authorities.certify(&country, &office.id, DAY, &key, now)?;
        let data = world.folder.join("stations").join(role.folder);
        world.stations.push(Station::new(office.id, name, data));
    }
    let leader = Leader::certified(&mut authorities, &country, world, now)?;
    let version = deployment.publish(now)?.directory().version();
    let papers = authorities.papers()?;
    let count = |kind| papers.iter().filter(|paper| paper.kind() == kind).count();
    let (certificates, lists) = (count(ItemKind::Certificate), count(ItemKind::RevocationList));
    let added = deployment.add(papers)?;
    ensure!(added.refused.is_empty(), "papers of the authorities are not accepted: {:?}", added.refused);
    let bytes = fs::metadata(deployment.folder().join("registry.cbor"))?.len();
    world.stage.fact(&format!(
        "directory version {version}: {} offices of the country on both sides of {DAY_AFTER}, {} enrolled, signed",
        country.office_count(),
        OFFICES.len()
    ));
    world.stage.fact(&format!(
        "certified: a root that two persons approved, {lists} revocation lists, {certificates} certificates of authorities \
         and offices; the registry has {} KiB",
        bytes / 1024
    ));
    for (code, day) in [(HOA_SON.role().code, DAY), (TA_CU_TY.role().code, DAY)] {
        let office = country.resolve(code, day)?;
        let at = OfficeAt::new(&country, office, day);
        let successors: Vec<&str> = at.successors.iter().map(|successor| successor.name.as_str()).collect();
        world.stage.fact(&format!(
            "code {code} on {day}: {} › {}; from {DAY_AFTER} on: {}",
            at.name.as_deref().unwrap_or_default(),
            at.above.join(" › "),
            if successors.is_empty() { "the same".to_owned() } else { successors.join(", ") }
        ));
    }
    for part in parts() {
        let (name, data) = (world.name(part).to_owned(), world.station(part).data.clone());
        let bundle = deployment.office_folder(&world.office(part), &name);
        let (data, bundle) = (data.display().to_string(), bundle.display().to_string());
        let passphrase = passphrase_path(world, part.role().folder).display().to_string();
        let arguments = ["--data", &data, "init", "--bundle", &bundle, "--listen", "127.0.0.1:0"];
        let unlocking = ["--unattended", "--passphrase-file", &passphrase];
        world.call(&world.programs.node, &[&arguments[..], &unlocking[..]].concat())?;
    }
    cut_the_line_for_good(world, BY_COURIER)?;
    let all = everybody();
    world.start_stations(&all)?;
    for part in parts() {
        let key = world.station(part).data.join("node.key");
        let protection = Protection::of_file(&key)?;
        ensure!(protection.is_protected(), "`{}` lies unencrypted", key.display());
    }
    world.stage.fact(&format!(
        "12 stations run, each with its own store, door and key, encrypted with a passphrase of its own: {}",
        world.names(&all)
    ));
    Ok(leader)
}

/// Where the demo keeps a passphrase. Beside the keys it protects them from nobody; it shows how a station starts.
fn passphrase_path(world: &World, whose: &str) -> PathBuf {
    world.folder.join("passphrases").join(whose)
}

fn passphrase_file(world: &World, whose: &str) -> Result<PathBuf> {
    let path = passphrase_path(world, whose);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("failed to make `{}`", folder.display()))?;
    }
    keyring::replace_private(&path, format!("{}\n", hex(&keyring::random_bytes::<16>()?)).as_bytes())?;
    Ok(path)
}

/// The station is told an address of its relay where nobody ever answers.
fn cut_the_line_for_good(world: &World, part: Part) -> Result<()> {
    let path = DataFolder::new(&world.station(part).data).config();
    let mut config = fs::File::options().append(true).open(&path)?;
    // `[relays]` is the last table of the file that `init` wrote.
    let region = REGIONS[part.role().relays[0]].id;
    Ok(writeln!(config, "{region} = \"{DEAD_LINE}\"")?)
}

fn cut_off(world: &mut World) -> Result<()> {
    let express = world.send(NA_HOI, &[BAC_HA], &papers::express_letter())?;
    world.stage.fact(&told(world, NA_HOI, &[BAC_HA], "47/UBND-VP, hỏa tốc, 2 attachments"));
    world.send(BAC_HA, &[LAO_CAI], &papers::district_report())?;
    world.stage.fact(&told(world, BAC_HA, &[LAO_CAI], "163/BC-UBND, 2 attachments"));
    let letters: [(Part, &[Part]); 12] = [
        (NA_HOI, &[LAO_CAI]),
        (NA_HOI, &[HOA_SON, HOA_LIEN]),
        (BAN_PHO, &[BAC_HA]),
        (BAN_PHO, &[NAM_MON, NA_HOI]),
        (NAM_MON, &[BAC_HA, LAO_CAI]),
        (TA_CU_TY, &[BAC_HA]),
        (TA_CU_TY, &[LAO_CAI, NA_HOI]),
        (HOA_SON, &[HOA_VANG]),
        (HOA_SON, &[BAN_PHO]),
        (HOA_BAC, &[HOA_VANG]),
        (HOA_BAC, &[NA_HOI, HOA_SON]),
        (HOA_LIEN, &[DA_NANG, MINISTRY]),
    ];
    for (from, to) in letters {
        world.send_letter(from, to)?;
        world.stage.fact(&told(world, from, to, "a letter"));
    }
    let mut queued = 0;
    for part in everybody() {
        let glance = world.station(part).glance()?;
        ensure!(glance.connected.is_empty(), "{} has a line although no relay runs", world.name(part));
        ensure!(glance.queued == glance.open, "{} says that something has left", world.name(part));
        queued += glance.queued;
    }
    let why = world.station(NA_HOI).get(&format!("/documents/{express}/why"))?;
    let why = why["recipients"][0]["cause_text"].as_str().unwrap_or("no cause given").to_owned();
    world.stage.fact(&format!(
        "{queued} sends are chờ gửi (queued), none has left; why 47/UBND-VP has not arrived: {why}"
    ));
    world.stop_station(ASLEEP)?;
    world.stage.fact(&format!("{} closes for the night, its letters unsent", world.name(ASLEEP)));
    Ok(())
}

fn told(world: &World, from: Part, to: &[Part], what: &str) -> String {
    format!("{} → {}: {what}: signed, saved, chờ gửi", world.name(from), world.names(to))
}

fn lines_come_up(world: &mut World) -> Result<()> {
    let all_relays = [CENTRE_RELAY, LAO_CAI_RELAY, DA_NANG_RELAY];
    let awake = |from: Part, to: Part| ![from, to].iter().any(|part| *part == BY_COURIER || *part == ASLEEP);
    world.start_relays(&all_relays)?;
    world.relays_ready(&all_relays)?;
    let ready = Instant::now();
    let receipts = world.all_receipts("the queue to empty", MAIL_SECONDS_MAX, &awake)?;
    let seconds = ready.elapsed().as_secs_f64();
    world.wait("proof that the servers sync", 30, |world| {
        let proven =
            all_relays.iter().filter(|relay| world.relays[**relay].glance().is_some_and(|g| g.sync_always));
        let proven = proven.count();
        Ok(if proven == all_relays.len() { Look::Seen(()) } else { Look::NotYet(format!("{proven} of 3")) })
    })?;
    world.stage.fact("3 relays run, each with its own nats-server that syncs before it acknowledges");
    world.stage.fact(&format!(
        "{receipts} signed receipts were back {seconds:.1} s after the relays were ready: đã đến (có biên nhận)"
    ));

    let routes: [(&str, Part, &[Part]); 9] = [
        ("commune → district", BAN_PHO, &[BAC_HA]),
        ("commune → province", HOA_LIEN, &[DA_NANG]),
        ("commune → commune of the other province", NAM_MON, &[HOA_LIEN]),
        ("district → district of the other province", BAC_HA, &[HOA_VANG]),
        ("district → centre", HOA_VANG, &[MINISTRY]),
        ("province → its communes", LAO_CAI, &[NA_HOI, BAN_PHO, NAM_MON, TA_CU_TY]),
        ("province → province", DA_NANG, &[LAO_CAI]),
        ("centre → provinces", MINISTRY, &[LAO_CAI, DA_NANG]),
        ("centre → commune", MINISTRY, &[HOA_SON]),
    ];
    let started = Instant::now();
    for (_, from, to) in routes {
        world.send_letter(from, to)?;
    }
    world.all_receipts("the four tiers", MAIL_SECONDS_MAX, &awake)?;
    let seconds = started.elapsed().as_secs_f64();
    for (tiers, from, to) in routes {
        world.stage.fact(&format!("{tiers}: {} → {}: đã đến", world.name(from), world.names(to)));
    }
    world
        .stage
        .fact(&format!("up, down and across: all signed receipts {seconds:.1} s after the first was sent"));

    let started = Instant::now();
    let before = world.ledger.len();
    for _ in 0..LETTERS_EACH {
        for from in on_line() {
            let others: Vec<Part> = on_line().into_iter().filter(|part| *part != from).collect();
            let first = world.typist.draw(others.len());
            let second = (first + 1 + world.typist.draw(others.len() - 1)) % others.len();
            world.send_letter(from, &[others[first], others[second]])?;
        }
    }
    world.all_receipts("a morning's mail", MAIL_SECONDS_MAX, &awake)?;
    world.stage.fact(&format!(
        "a morning's mail, {} letters with attachments criss-cross: {:.1} s until the last receipt",
        world.ledger.len() - before,
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn relay_dies(world: &mut World) -> Result<()> {
    // Its correspondents: the offices it wrote to before it closed. They are the ones that it greets when it opens.
    let writers = [NA_HOI, HOA_VANG, HOA_SON];
    for _ in 0..LETTERS_TO_ASLEEP {
        for from in writers {
            world.send_letter(from, &[ASLEEP])?;
        }
    }
    let expected = (writers.len() * LETTERS_TO_ASLEEP) as u64;
    let name = world.name(ASLEEP).to_owned();
    let office = world.office(ASLEEP);
    let mut looks = 0;
    let held = world.wait("letters in the mailbox of the office that sleeps", MAIL_SECONDS_MAX, |world| {
        looks += 1;
        let stick = world.stick(&format!("look-{looks}"))?;
        let found = world.relays[DA_NANG_RELAY].courier_export(&world.programs.relay, &office, &stick)?;
        fs::remove_file(&stick)?;
        let events = found["events"].as_u64().unwrap_or(0);
        Ok(if events >= expected {
            Look::Seen(events)
        } else {
            Look::NotYet(format!("{events} of {expected}"))
        })
    })?;
    world.stage.fact(&format!(
        "{name} sleeps; {held} events for it lie in its mailbox at the relay: đã rời đơn vị, not đã đến"
    ));

    let process = world.relays[DA_NANG_RELAY].process();
    world.household.kill(&process)?;
    let bytes = world.relays[DA_NANG_RELAY].wipe()?;
    world.stage.fact(&format!(
        "SIGKILL to the relay and its nats-server; its disk is wiped ({} KiB gone)",
        bytes / 1024
    ));

    for (from, to) in [(HOA_SON, BAC_HA), (HOA_LIEN, MINISTRY), (BAN_PHO, HOA_LIEN), (LAO_CAI, HOA_VANG)] {
        world.send_letter(from, &[to])?;
    }
    world.stage.fact("meanwhile four offices go on signing; what cannot leave is queued");
    let through = world.send_letter(DA_NANG, &[MINISTRY])?;
    let before = Instant::now();
    world.wait("the second relay of Thành phố Đà Nẵng", MAIL_SECONDS_MAX, |world| {
        let rows = world.station(MINISTRY).get("/incoming?limit=20")?;
        let here =
            rows["rows"].as_array().into_iter().flatten().any(|row| row["document"] == through.to_string());
        Ok(if here { Look::Seen(()) } else { Look::NotYet("not yet there".to_owned()) })
    })?;
    world.stage.fact(&format!(
        "{} has a second relay, the centre's: its letter is with {} in {:.1} s although its own relay is dead",
        world.name(DA_NANG),
        world.name(MINISTRY),
        before.elapsed().as_secs_f64()
    ));

    world.start_relays(&[DA_NANG_RELAY])?;
    world.relays_ready(&[DA_NANG_RELAY])?;
    let stick = world.stick("mailbox-after-the-wipe")?;
    let left = world.relays[DA_NANG_RELAY].courier_export(&world.programs.relay, &office, &stick)?;
    fs::remove_file(&stick)?;
    world.stage.fact(&format!(
        "the relay starts on an empty disk: {} events in the mailbox of {name}, {held} were acknowledged and are gone",
        left["events"]
    ));
    let opened = Instant::now();
    world.start_stations(&[ASLEEP])?;
    let awake = |from: Part, to: Part| from != BY_COURIER && to != BY_COURIER;
    world.all_receipts("the nodes to refill the relay", MAIL_SECONDS_MAX, &awake)?;
    let incoming = world.station(ASLEEP).glance()?.incoming;
    world.stage.fact(&format!(
        "{name} opens and tells its correspondents what it holds; they send again by themselves: {incoming} documents \
         there, every receipt back {:.1} s after it was started",
        opened.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn courier(world: &mut World) -> Result<()> {
    let name = world.name(BY_COURIER).to_owned();
    world.send(BAC_HA, &[BY_COURIER], &papers::district_report())?;
    world.send_letter(NA_HOI, &[BY_COURIER])?;
    let to_it: Vec<(Part, DocumentId)> = world
        .ledger
        .iter()
        .filter(|sent| sent.to.contains(&BY_COURIER))
        .map(|sent| (sent.from, sent.document))
        .collect();
    let by_it: Vec<(Part, DocumentId)> = world
        .ledger
        .iter()
        .filter(|sent| sent.from == BY_COURIER)
        .flat_map(|sent| sent.to.iter().map(|to| (*to, sent.document)))
        .collect();
    world.wait("what is for the courier to leave its senders", MAIL_SECONDS_MAX, |world| {
        let mut waiting = 0;
        for (from, document) in &to_it {
            let view = world.station(*from).get(&format!("/documents/{document}"))?;
            let recipients = view["recipients"].as_array().into_iter().flatten();
            waiting += recipients.filter(|recipient| recipient["left"] != Value::Bool(true)).count();
        }
        Ok(if waiting == 0 { Look::Seen(()) } else { Look::NotYet(format!("{waiting} have not left")) })
    })?;
    let glance = world.station(BY_COURIER).glance()?;
    ensure!(glance.connected.is_empty() && glance.incoming == 0, "{name} was to be cut off and is not");
    world.stage.fact(&format!(
        "{name} has {} sends queued since the beginning; {} documents wait for it at the relay",
        glance.open,
        to_it.len()
    ));
    ride_out(world, "ride-1-out", &[])?;
    ride_back(world, "ride-1-back")?;
    let receipts = world
        .all_receipts("what the courier brought back", MAIL_SECONDS_MAX, &|from, _| from != BY_COURIER)?;
    world.wait("the letters of the commune to be registered", MAIL_SECONDS_MAX, |world| {
        let registered = by_it
            .iter()
            .filter(|(to, document)| world.station(*to).get(&format!("/documents/{document}")).is_ok());
        let registered = registered.count();
        Ok(if registered == by_it.len() {
            Look::Seen(())
        } else {
            Look::NotYet(format!("{registered} of {}", by_it.len()))
        })
    })?;
    world.stage.fact(&format!(
        "its receipts are with the senders ({receipts} receipts in all), its {} sends with their recipients; \
         their receipts ride with the next courier",
        by_it.len()
    ));
    Ok(())
}

/// From the relay's mailbox over a stick into the station. The courier leaves when the mailbox holds every document for
/// the commune, and the receipts in `answered`: whose, and for which event.
fn ride_out(world: &mut World, ride: &str, answered: &[(OfficeId, EventId)]) -> Result<()> {
    let stick = world.stick(ride)?;
    let office = world.office(BY_COURIER);
    let name = world.name(BY_COURIER).to_owned();
    let for_it = world.ledger.iter().filter(|sent| sent.to.contains(&BY_COURIER));
    let dispatches = for_it.map(|sent| world.station(sent.from).event_to(&office, &sent.document));
    let dispatches: Vec<EventId> = dispatches.collect::<Result<_>>()?;
    let written = world.wait("the mailbox that the courier empties", MAIL_SECONDS_MAX, |world| {
        if stick.exists() {
            fs::remove_file(&stick)?;
        }
        let written = world.relays[LAO_CAI_RELAY].courier_export(&world.programs.relay, &office, &stick)?;
        let manifest = Manifest::read(&stick)?;
        let documents_missing = dispatches.iter().filter(|id| !manifest.dispatches.contains(id)).count();
        let receipts_missing = answered.iter().filter(|id| !manifest.receipted.contains(id)).count();
        Ok(if documents_missing + receipts_missing == 0 {
            Look::Seen(written)
        } else {
            Look::NotYet(format!(
                "{documents_missing} documents and {receipts_missing} receipts are not there"
            ))
        })
    })?;
    ensure!(
        written["missing_attachments"] == 0,
        "the courier would ride without {} attachments: the relay does not have them",
        written["missing_attachments"]
    );
    let file = fs::read(&stick).with_context(|| format!("failed to read `{}`", stick.display()))?;
    let new = world.station(BY_COURIER).courier_import(&file)?;
    let expected = dispatches.len() as u64;
    world.wait("the commune's register", MAIL_SECONDS_MAX, |world| {
        let glance = world.station(BY_COURIER).glance()?;
        Ok(if glance.incoming == expected && glance.awaited == 0 {
            Look::Seen(())
        } else {
            Look::NotYet(format!("{} of {expected}, {} attachments awaited", glance.incoming, glance.awaited))
        })
    })?;
    world.stage.fact(&format!(
        "ride out: {} KiB, {} events and {} attachments from the relay, {new} events new at {name}; {expected} documents \
         in its register",
        file.len() / 1024,
        written["events"],
        written["attachments"],
    ));
    Ok(())
}

/// From the station over a stick into the relay.
fn ride_back(world: &mut World, ride: &str) -> Result<()> {
    let stick = world.stick(ride)?;
    let file = world.station(BY_COURIER).courier_export()?;
    fs::write(&stick, &file).with_context(|| format!("failed to write `{}`", stick.display()))?;
    let taken = world.relays[LAO_CAI_RELAY].courier_import(&world.programs.relay, &stick)?;
    ensure!(
        taken["refused"] == 0 && taken["refused_chunks"] == 0,
        "the relay did not take everything from the stick: {taken}"
    );
    world.stage.fact(&format!(
        "ride back: {} KiB, {} events and {} chunks of attachments taken over by the relay",
        file.len() / 1024,
        taken["events"],
        taken["chunks"]
    ));
    Ok(())
}

fn circular(world: &mut World) -> Result<()> {
    let started = Instant::now();
    let all: Vec<Part> = parts().filter(|part| *part != MINISTRY).collect();
    world.send(MINISTRY, &all, &papers::circular())?;
    world.stage.fact(&format!(
        "{} → all {}: 09/HD-BNV, 2 attachments: signed, saved",
        world.name(MINISTRY),
        all.len()
    ));
    let online = |from: Part, to: Part| from != BY_COURIER && to != BY_COURIER;
    world.all_receipts("the circular", MAIL_SECONDS_MAX, &online)?;
    world.stage.fact(&format!(
        "{} of {} receipts {:.1} s after it was sent; {} gets it by the next ride",
        all.len() - 1,
        all.len(),
        started.elapsed().as_secs_f64(),
        world.name(BY_COURIER)
    ));
    let mut answered = Vec::new();
    for sent in world.ledger.iter().filter(|sent| sent.from == BY_COURIER) {
        let view = world.station(BY_COURIER).get(&format!("/documents/{}", sent.document))?;
        let event: EventId = view["event"].as_str().context("a document without an event")?.parse()?;
        answered.extend(sent.to.iter().map(|to| (world.office(*to), event)));
    }
    ride_out(world, "ride-2-out", &answered)?;
    ride_back(world, "ride-2-back")?;
    let receipts = world.all_receipts("the last receipts", MAIL_SECONDS_MAX, &|_, _| true)?;
    world
        .stage
        .fact(&format!("all {receipts} sends have their receipts, those of the courier's commune included"));
    world.wait(
        "every outbox to be settled and every document to be in its register",
        MAIL_SECONDS_MAX,
        |world| {
            let mut unsettled = Vec::new();
            for part in parts() {
                let glance = world.station(part).glance()?;
                let expected = world.ledger.iter().filter(|sent| sent.to.contains(&part)).count() as u64;
                if glance.open + glance.awaited > 0 || glance.incoming != expected {
                    let (name, incoming) = (world.name(part), glance.incoming);
                    unsettled
                        .push(format!("{name} ({incoming} of {expected} registered, {} open)", glance.open));
                }
            }
            Ok(if unsettled.is_empty() { Look::Seen(()) } else { Look::NotYet(unsettled.join(", ")) })
        },
    )
}
