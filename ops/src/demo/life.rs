//! The life of two documents, as the people of two offices live it: drafted, approved, signed, numbered, sent, accepted with an
//! arrival number, assigned, finished; and one that is recalled while it is being accepted.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use ed25519_dalek::{Signer as _, SigningKey};
use node::config::DataFolder;
use node::people::{Limits, People};
use ops::ca::authority::CERTIFICATES;
use ops::ca::build::Kind;
use ops::ca::rehearsal::{Rehearsal, place_of};
use ops::ca::{LeafTerms, Subject, build, files};
use ops::calendar;
use schema::directory::Directory;
use schema::handling::Role;
use schema::id::DocumentId;
use schema::time::Millis;
use schema::trust::Preparation;
use serde_json::{Value, json};

use super::cast::{BAC_HA, DAY, LAO_CAI_RELAY, NA_HOI, Part};
use super::papers::{self, Paper};
use super::world::{Look, Sent, World};

/// How long a document may take from one office to the other, in seconds.
const MAIL_SECONDS_MAX: u64 = 60;
/// How long the leader's certificate counts, in days.
const OFFICER_DAYS: u64 = 365;

/// The people of an office, by their tokens.
pub(super) struct Staff {
    clerk: String,
    leader: String,
    officer: String,
}

/// The leader who signs, and the certificate of the key.
pub(super) struct Leader {
    key: SigningKey,
    certificate: Vec<u8>,
}

impl Leader {
    /// Makes a key for the leader of the commune and has it certified by the authority of the province.
    pub(super) fn certified(
        authorities: &mut Rehearsal,
        country: &Directory,
        world: &World,
        now: Millis,
    ) -> Result<Self> {
        let key = SigningKey::from_bytes(&node::keyring::random_bytes()?);
        let place = place_of(country, &world.office(NA_HOI), DAY)?;
        let signer = papers::express_letter().signer;
        let name = world.name(NA_HOI).to_owned();
        let terms = LeafTerms {
            kind: Kind::Officer,
            subject: Subject::officer(&place, &signer.name, None, Some(&name), Some(&signer.position)),
            spki: build::ed25519_spki(key.verifying_key().as_bytes())?,
            days: OFFICER_DAYS,
            device: None,
        };
        let authority = authorities.authority(&place, now)?;
        let serial = authority.issue(terms, now)?;
        let file = authority.folder().join(CERTIFICATES).join(format!("{serial}.der"));
        Ok(Self { key, certificate: files::read(&file, files::SMALL_FILE_BYTES_MAX)? })
    }

    fn sign(&self, manifest: &[u8], now: Millis) -> Result<Vec<u8>> {
        let preparation = Preparation::new(manifest, &self.certificate, now)?;
        let signature = self.key.sign(preparation.to_be_signed()).to_bytes();
        Ok(preparation.finish(&signature, &[])?)
    }
}

/// Lets three people work in an office.
fn hire(world: &World, part: Part, names: [&str; 3]) -> Result<Staff> {
    let folder = DataFolder::new(&world.station(part).data);
    let mut people = People::read(&folder)?;
    let mut token = |name: &str, role| -> Result<String> {
        let (_, file) = people.add(name, &[role], Limits::default(), "tram demo")?;
        Ok(std::fs::read_to_string(file)?.trim().to_owned())
    };
    let [clerk, leader, officer] = names;
    Ok(Staff {
        clerk: token(clerk, Role::Clerk)?,
        leader: token(leader, Role::Leader)?,
        officer: token(officer, Role::Officer)?,
    })
}

pub(super) fn play(world: &mut World, leader: &Leader) -> Result<()> {
    let commune = hire(world, NA_HOI, ["Lò Thị Mai", "Lò Văn Mẫu", "Giàng A Páo"])?;
    let district = hire(world, BAC_HA, ["Hoàng Thị Ví Dụ", "Vàng Văn Mẫu", "Lý A Mẫu"])?;
    let paper = papers::express_letter();
    let document = goes_out(world, &commune, leader, &paper)?;
    comes_in(world, &district, document)?;
    recalled(world, &commune, &district, leader)
}

/// The code of a refusal.
fn refused(answer: Result<Value, String>) -> Result<String> {
    match answer {
        Ok(done) => anyhow::bail!("it was done: {done}"),
        Err(code) => Ok(code),
    }
}

/// Drafts, approves, signs, numbers and sends; tries one step too early.
fn goes_out(world: &mut World, staff: &Staff, leader: &Leader, paper: &Paper) -> Result<DocumentId> {
    let to = world.office(BAC_HA);
    let station = world.station(NA_HOI);
    let content = station.content(paper)?;
    let draft = json!({ "work": "draft", "to": [to], "content": content });
    let drafted = station.work(&staff.officer, &draft)?;
    let document: DocumentId = drafted["document"].as_str().context("a draft without an id")?.parse()?;
    station.work(&staff.leader, &json!({ "work": "approve", "document": document }))?;
    let number = json!({ "work": "issue", "document": document, "unit": "VP" });
    let early = refused(station.try_work(&staff.clerk, &number)?)?;
    ensure!(early == "not-signed", "numbering an unsigned document was refused for `{early}`");
    let frozen = station.get(&format!("/drafts/{document}"))?;
    let manifest = BASE64.decode(frozen["manifest"].as_str().context("a draft without bytes")?.as_bytes())?;
    let signature = BASE64.encode(&leader.sign(&manifest, calendar::now())?);
    let sign = json!({ "work": "sign", "document": document, "signature": signature });
    station.work(&staff.leader, &sign)?;
    let numbered = station.work(&staff.clerk, &number)?;
    let code = numbered["number"].as_str().context("a document without a number")?.to_owned();
    station.work(&staff.clerk, &json!({ "work": "send", "document": document }))?;
    let name = world.name(NA_HOI).to_owned();
    world.ledger.push(Sent { document, from: NA_HOI, to: vec![BAC_HA] });
    world.stage.fact(&format!(
        "{name}: an officer drafts, the leader approves; the clerk asks for a number before anybody has signed: refused"
    ));
    world.stage.fact(&format!("the leader signs, the clerk numbers it {code}, seals and sends it"));
    Ok(document)
}

fn arrived(world: &mut World, document: DocumentId) -> Result<()> {
    world.wait("the document at the district", MAIL_SECONDS_MAX, |world| {
        Ok(match world.station(BAC_HA).get(&format!("/documents/{document}")) {
            Ok(view) if view["steps"].as_array().is_some_and(|steps| steps.len() > 1) => Look::Seen(()),
            _ => Look::NotYet("not yet there".to_owned()),
        })
    })
}

/// Accepts, assigns, works, finishes; the sender sees each.
fn comes_in(world: &mut World, staff: &Staff, document: DocumentId) -> Result<()> {
    arrived(world, document)?;
    let started = Instant::now();
    let station = world.station(BAC_HA);
    let verdict = station.get(&format!("/documents/{document}"))?["signatures"][0]["outcome"].clone();
    let accept = json!({
        "work": "register",
        "document": document,
        "undetermined_because": "Đã gọi điện xác nhận với văn thư xã.",
    });
    let accepted = station.work(&staff.clerk, &accept)?;
    let number = accepted["line"]["written"].as_str().context("no arrival number")?.to_owned();
    let assignment = json!({
        "lead": "Phòng Nông nghiệp và Môi trường",
        "with": ["Ban Chỉ huy Quân sự huyện"],
        "due": "2025-06-20",
        "instruction": "Kiểm tra, đề xuất mức hỗ trợ; báo cáo trước ngày 20/6.",
    });
    let assign = json!({ "work": "assign", "document": document, "assignment": assignment });
    station.work(&staff.leader, &assign)?;
    station.work(&staff.officer, &json!({ "work": "start", "document": document }))?;
    station.work(&staff.officer, &json!({ "work": "finish", "document": document }))?;
    world.wait("the sender to see that it is finished", MAIL_SECONDS_MAX, |world| {
        let stage = progress(world, document)?["stage"].clone();
        Ok(if stage == "finished" { Look::Seen(()) } else { Look::NotYet(stage.to_string()) })
    })?;
    let view = world.station(NA_HOI).get(&format!("/documents/{document}"))?.to_string();
    ensure!(!view.contains("mức hỗ trợ"), "the leader's instruction was told to the sender");
    let name = world.name(BAC_HA).to_owned();
    world.stage.fact(&format!(
        "{name}: the leader's signature is {}; accepted, which is registered: arrival number {number}; assigned, begun, \
         finished; the sender sees 03, 04, 05, 06 {:.1} s later, and nothing of the instruction",
        verdict.as_str().unwrap_or("not judged"),
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// How far a document is at the district, as the commune knows it.
fn progress(world: &World, document: DocumentId) -> Result<Value> {
    let view = world.station(NA_HOI).get(&format!("/documents/{document}"))?;
    Ok(view["recipients"][0]["progress"].clone())
}

/// Recalled and accepted while the line is down: both ends agree afterwards.
fn recalled(world: &mut World, commune: &Staff, district: &Staff, leader: &Leader) -> Result<()> {
    let paper = Paper {
        subject: "V/v đề nghị hỗ trợ khắc phục thiệt hại do mưa lũ (bổ sung)".to_owned(),
        ..papers::express_letter()
    };
    let document = goes_out(world, commune, leader, &paper)?;
    arrived(world, document)?;
    let relay = world.relays[LAO_CAI_RELAY].process();
    world.household.kill(&relay)?;
    let recall =
        json!({ "work": "recall", "document": document, "of_all": true, "reason": "Sai số liệu thiệt hại" });
    world.station(NA_HOI).work(&commune.leader, &recall)?;
    let why = "Đã gọi điện xác nhận với văn thư xã.";
    let accept = json!({ "work": "register", "document": document, "undetermined_because": why });
    let accepted = world.station(BAC_HA).work(&district.clerk, &accept)?;
    let number = accepted["line"]["written"].as_str().context("no arrival number")?.to_owned();
    world.start_relays(&[LAO_CAI_RELAY])?;
    world.relays_ready(&[LAO_CAI_RELAY])?;
    world.wait("both ends to agree", MAIL_SECONDS_MAX, |world| {
        let there = progress(world, document)?;
        let here = world.station(BAC_HA).get(&format!("/documents/{document}"))?["progress"].clone();
        let settled = there == here && there["asked"][0]["agreed"] == Value::Bool(true);
        Ok(if settled {
            Look::Seen(there)
        } else {
            Look::NotYet(format!("{} and {}", there["stage"], here["standing"]))
        })
    })?;
    let assign = json!({ "work": "assign", "document": document, "assignment": { "lead": "Văn phòng" } });
    let late = refused(world.station(BAC_HA).try_work(&district.leader, &assign)?)?;
    ensure!(late == "counts-no-more", "work on a recalled document was refused for `{late}`");
    world.stage.fact(&format!(
        "a second one is recalled by {} while {} accepts it as number {number}, the relay between them being down; once it is \
         back both say: accepted, recalled, cancelled. Number {number} stays in the register, marked",
        world.name(NA_HOI),
        world.name(BAC_HA)
    ));
    Ok(())
}
