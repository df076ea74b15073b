//! A station's journal, entry by entry, as it was recorded.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use node::config::{Config, DataFolder};
use node::store::{Reader, ReplayedState};
use schema::body::{Body, Deed, DocumentFact, Judgement, KeyPurpose, Status};
use schema::directory::Directory;
use schema::event::{Kind, RecordedEvent, Urgency};
use schema::exchange::Class;
use schema::handling::{BusinessKind, Fact, PersonRow};
use schema::id::{EventId, Incarnation, OfficeId, Position, Seq, StateHash};
use schema::time::Millis;
use schema::trust::Language;
use serde::Serialize;

use crate::audit::newest_name;
use crate::calendar;
use crate::table::{Align, Table};

/// Journal entries read at a time.
const BATCH: u32 = 1_024;
/// Names of recipients shown in one line of the table; the others are counted.
const NAMES_SHOWN: usize = 3;

/// One entry of a journal.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Its place in the journal.
    pub position: Position,
    /// When it was recorded here.
    pub recorded_at: Millis,
    /// `own`, `received`, `evidence` or `regained`.
    pub class: &'static str,
    /// Who made it.
    pub office: OfficeId,
    /// In which of its incarnations.
    pub incarnation: Incarnation,
    /// Where in its chain.
    pub seq: Seq,
    /// The event.
    pub event: EventId,
    /// What it is about.
    pub kind: Kind,
    /// How urgent it is.
    pub urgency: Urgency,
    /// Whom it is for; empty for one that never leaves.
    pub to: Vec<OfficeId>,
    /// When its maker says it was made.
    pub claimed_at: Millis,
    /// What it says, in a few words.
    pub says: String,
}

/// A journal up to some position, and the state it gives.
#[derive(Debug, Serialize)]
pub struct History {
    /// Whose.
    pub office: OfficeId,
    /// Its name.
    pub name: String,
    /// The entries.
    pub entries: Vec<Line>,
    /// The hash of the state after the last one.
    pub state: StateHash,
}

/// Reads a journal up to and including `until`, all of it when `None`, also while the station runs.
///
/// # Errors
/// When the folder or its store cannot be read.
pub fn history(folder: &Path, until: Option<Position>) -> Result<(History, Arc<Directory>)> {
    let data = DataFolder::new(folder);
    let config = Config::read(&data)?;
    let directory = Arc::clone(config.load_registry()?.directory());
    let reader = Reader::open(&data.database())?;
    let mut state = ReplayedState::new(config.office);
    let mut entries = Vec::new();
    let mut from = Position(1);
    'journal: loop {
        let batch = reader.journal(from, BATCH)?;
        let Some(last) = batch.last() else { break };
        from = last.position.next();
        for entry in &batch {
            if until.is_some_and(|until| entry.position > until) {
                break 'journal;
            }
            state.add(entry)?;
            let recorded = entry.recorded()?;
            let says = says(&recorded);
            let event = recorded.event;
            entries.push(Line {
                position: entry.position,
                recorded_at: entry.recorded_at,
                class: match entry.class {
                    Class::Own => "own",
                    Class::Received => "received",
                    Class::Unreadable => "unreadable",
                    Class::Opened => "opened",
                    Class::Evidence => "evidence",
                    Class::Regained => "regained",
                },
                office: event.office,
                incarnation: event.incarnation,
                seq: event.seq,
                event: recorded.id,
                kind: event.kind,
                urgency: event.urgency,
                to: event.to.iter().map(|to| to.office).collect(),
                claimed_at: event.claimed_at,
                says,
            });
        }
    }
    let name = newest_name(&directory, &config.office);
    Ok((History { office: config.office, name, entries, state: state.hash() }, directory))
}

/// What was said about a document, by its code in the national exchange; nothing of its words.
fn fact(told: &DocumentFact) -> String {
    let what = match &told.fact {
        Fact::Refused { .. } => "refused".to_owned(),
        Fact::Registered { entry, .. } => {
            format!("registered as {entry} of `{}` in {}", entry.book, entry.year)
        }
        Fact::Assigned => "assigned".to_owned(),
        Fact::Started => "work has begun".to_owned(),
        Fact::Finished => "finished".to_owned(),
        Fact::Asked { kind: BusinessKind::TakeBack, .. } => "asked back".to_owned(),
        Fact::Asked { kind: BusinessKind::Recall, .. } => "recalled".to_owned(),
        Fact::Asked { kind: BusinessKind::Update, .. } => "updated".to_owned(),
        Fact::Asked { kind: BusinessKind::Replace, .. } => "replaced".to_owned(),
        Fact::Answered { kind: BusinessKind::Recall, .. } => "cancelled at its recipient".to_owned(),
        Fact::Answered { agreed: true, .. } => "agreed to".to_owned(),
        Fact::Answered { agreed: false, .. } => "declined".to_owned(),
    };
    let code = told.fact.code().map(|code| format!("{code:02} ")).unwrap_or_default();
    format!("{code}{what}: document {}", told.document)
}

/// What somebody may do and send.
fn allowed(person: &PersonRow) -> String {
    let roles: Vec<&str> = person.roles.iter().map(|role| role.slug()).collect();
    let types: Vec<&str> = person.types.iter().map(|one| one.slug()).collect();
    let mut text = roles.join(", ");
    if !types.is_empty() {
        text.push_str(&format!("; documents of the types {} only", types.join(", ")));
    }
    if !person.recipients.is_empty() {
        text.push_str(&format!("; to {} offices only", person.recipients.len()));
    }
    text
}

/// What somebody did; nothing of its words.
fn deed(deed: &Deed) -> String {
    match deed {
        Deed::AcceptedUndetermined { document, .. } => {
            format!("accepted although its signatures were undetermined: document {document}")
        }
        Deed::Assigned { document, .. } => format!("said who works on document {document}"),
        Deed::Opined { document, .. } => format!("gave an opinion on document {document}"),
        Deed::PaperRegistered { entry, .. } => {
            format!("paper registered as {entry} of `{}` in {}", entry.book, entry.year)
        }
        Deed::NumberCancelled { entry, .. } => {
            format!("number {entry} of `{}` in {} cancelled", entry.book, entry.year)
        }
        Deed::Drafted { manifest, .. } => format!("drafted document {}", manifest.document),
        Deed::Approved { document } => format!("approved document {document}"),
        Deed::Signed { document, .. } => format!("a person signed document {document}"),
        Deed::Issued { document, issue } => format!("numbered {}: document {document}", issue.code),
        Deed::PaperIssued { issue, .. } => format!("numbered {}: on paper", issue.code),
        Deed::Sealed { document } => format!("sealed and sent document {document}"),
        Deed::Discarded { document, .. } => format!("gave up document {document}"),
        Deed::PersonSet { person } => format!("{} may do and send: {}", person.name, allowed(person)),
        Deed::KeysHandedOver { to } => {
            format!("had the sealing keys go to office {to}, which succeeds this one")
        }
        Deed::PersonRemoved { name } => format!("{name} works here no more"),
        Deed::SetAside { document, .. } => format!("set aside what was said about document {document}"),
        Deed::Erased { issuer, document, erasure } => {
            format!("erased the content of document {document} of office {issuer}: {}", erasure.decision)
        }
        Deed::HighestStated { entry, .. } => {
            format!("highest number of `{}` in {} stated: {entry}", entry.book, entry.year)
        }
    }
}

pub(crate) fn says(recorded: &RecordedEvent) -> String {
    match Body::read(recorded.version, &recorded.event) {
        Ok(Body::Dispatch(dispatch)) => {
            let number = dispatch.number().map(|number| format!("{number} ")).unwrap_or_default();
            let attachments = match dispatch.manifest.attachments.len() {
                0 => String::new(),
                count => format!(" [+{count}]"),
            };
            format!("{number}{}{attachments}", dispatch.manifest.subject)
        }
        Ok(Body::Status(Status::Document(told)) | Body::BusinessRequest(told)) => fact(&told),
        Ok(Body::Act(act)) => format!("{} ({})", deed(&act.deed), act.by.role.slug()),
        Ok(Body::Status(Status::Transport(status))) => {
            let region = status.region.map_or_else(|| "courier".to_owned(), |region| region.to_string());
            format!("code {}: {} events at {region}", status.code.number(), status.entries.len())
        }
        Ok(Body::Status(Status::Erased(erased))) => {
            format!("the content of {} events was erased at their sender", erased.entries.len())
        }
        Ok(Body::Receipt(receipt)) => format!("for {} events", receipt.entries.len()),
        Ok(Body::Head(heads)) => {
            let sent = heads.sent.map_or(0, |place| place.counter.0);
            let held = heads.held.last().map_or(0, |place| place.counter.0);
            format!("sent {sent}, held {held}")
        }
        Ok(Body::Restored(restored)) => format!("after incarnation {}", restored.previous),
        Ok(Body::Returned(returned)) => {
            let (count, incarnation) = (returned.events.len(), returned.ask.incarnation);
            format!("{count} events of incarnation {incarnation} up to {} given back", returned.through)
        }
        Ok(Body::RegistryChange(change)) => {
            let contested = match change.contested.len() {
                0 => String::new(),
                count => format!(", {count} CONTESTED keys"),
            };
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for item in &change.items {
                *counts.entry(item.kind.word()).or_default() += 1;
            }
            let items: Vec<String> = counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            format!("new in the registry: {}{contested}", items.join(", "))
        }
        Ok(Body::KeyAnnouncement(announcement)) => match announcement.purpose {
            KeyPurpose::Signing => format!("next signing key {}", announcement.key_id()),
            KeyPurpose::Sealing => format!("sealing key {}", announcement.key_id()),
            KeyPurpose::HandedOver => format!("sealing keys up to {} handed over", announcement.key_id()),
            KeyPurpose::SignedBefore => format!("earlier signing key {} confirmed", announcement.key_id()),
        },
        Ok(Body::Verdict(verdicts)) => {
            let outcome = |judgement: &Judgement| judgement.outcome().text(Language::English);
            let judged = verdicts.entries.iter();
            let judged = judged.map(|entry| format!("{} {}", entry.place.counter.0, outcome(entry)));
            format!("signatures judged: {}", judged.collect::<Vec<_>>().join(", "))
        }
        Ok(Body::Unsupported) => "of a newer version: kept, not applied".to_owned(),
        Err(error) => format!("body refused: {error}"),
    }
}

impl History {
    /// The journal as a table.
    pub fn table(&self, directory: &Directory) -> Table {
        let mut table = Table::new(&[
            ("position", Align::Right),
            ("recorded", Align::Left),
            ("class", Align::Left),
            ("kind", Align::Left),
            ("from", Align::Left),
            ("seq", Align::Right),
            ("to", Align::Left),
            ("says", Align::Left),
        ]);
        for line in &self.entries {
            let mut to: Vec<String> =
                line.to.iter().take(NAMES_SHOWN).map(|office| newest_name(directory, office)).collect();
            if line.to.len() > NAMES_SHOWN {
                to.push(format!("… {} in all", line.to.len()));
            }
            table.row([
                line.position.to_string(),
                calendar::shown(line.recorded_at),
                line.class.to_owned(),
                format!("{:?}", line.kind),
                newest_name(directory, &line.office),
                line.seq.to_string(),
                to.join(", "),
                line.says.clone(),
            ]);
        }
        table
    }
}
