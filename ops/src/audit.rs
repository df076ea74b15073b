//! Replays a station's store from zero and says which promises hold.
//!
//! The station's folder is never written to. The journal is read through [`node::store::Reader`]; the live tables
//! are opened in a private copy of the file, because a store that is opened for replay belongs to whoever opens it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use node::config::{Config, DataFolder};
use node::content::{check_whole, open_whole, whole_folder};
use node::sealing::holds_file;
use node::store::{Reader, ReplayedState, Store};
use schema::blob::{BlobRef, Enclosure};
use schema::body::{Body, Dispatch, Judgement};
use schema::directory::Directory;
use schema::event::{Kind, RecordedEvent, UnverifiedEvent, Verifier};
use schema::exchange::{Alarm, Class, HeldRow, SentRow};
use schema::handling::{Direction, Entry};
use schema::id::{DocumentId, EventId, Incarnation, KeyId, OfficeId, Position, Seq, StateHash};
use schema::invariant::{self, Violation};
use schema::registry::{Item, Registry};
use schema::time::Millis;
use schema::trust::{Language, Outcome};
use serde::Serialize;

/// Journal entries read at a time.
const BATCH: u32 = 1_024;

/// One thing that was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Check {
    /// The promise, `P1` to `P13`.
    pub promise: &'static str,
    /// What was looked at.
    pub what: String,
    /// `None` when it holds; else what was found.
    pub broken: Option<String>,
}

impl Check {
    fn new(promise: &'static str, what: String, outcome: Result<(), Violation>) -> Self {
        Self { promise, what, broken: outcome.err().map(|violation| violation.found) }
    }
}

/// What a store holds, replayed, and what was found about it.
#[derive(Debug, Serialize)]
pub struct Audit {
    /// The station's folder.
    pub folder: PathBuf,
    /// Whose store it is.
    pub office: OfficeId,
    /// Its name, the newest one known.
    pub name: String,
    /// Journal entries: its own events, received ones, evidence, and what it was given back.
    pub entries: u64,
    /// How many are its own.
    pub own: u64,
    /// How many were received.
    pub received: u64,
    /// How many contradict held ones.
    pub evidence: u64,
    /// Events of its own that it had lost and was given back.
    pub regained: u64,
    /// Signatures checked; `None` when that was left out.
    pub signatures: Option<u64>,
    /// Attachments whose bytes were hashed anew, and that were opened.
    pub attachments: u64,
    /// The last event of its chain.
    pub head: (Incarnation, Seq, EventId),
    /// The hash of the replayed state.
    pub state: StateHash,
    /// Alarms raised so far.
    pub alarms: u64,
    /// Second keys of offices that nobody announced: nothing is accepted under them, and somebody must find out where they
    /// come from.
    pub contested: Vec<Contested>,
    /// Authorities that have issued lists which contradict each other, once for each such list.
    pub contradicting: Vec<String>,
    /// What was checked.
    pub checks: Vec<Check>,
    /// Rows of the outbox.
    #[serde(skip)]
    pub sent: Vec<SentRow>,
    /// Rows of the inbox.
    #[serde(skip)]
    pub held: Vec<HeldRow>,
    /// Every event of its own chain, and when it was recorded.
    #[serde(skip)]
    pub own_events: BTreeMap<EventId, Millis>,
    /// How the documents it holds were judged.
    pub judged: Judged,
    /// The documents it knows, sent or received, by their event.
    #[serde(skip)]
    pub documents: BTreeMap<EventId, Dispatch>,
}

impl Audit {
    /// Whether everything that was checked holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.broken.is_none())
    }
}

/// Audits the store in a station's folder. The station must not run: its tables would move under the audit.
///
/// # Errors
/// When the folder, its directory or its store cannot be read. A broken promise is in the result.
pub fn audit(folder: &Path, check_signatures: bool) -> Result<Audit> {
    let data = DataFolder::new(folder);
    let config = Config::read(&data)?;
    let mut items = config.read_items()?;
    let _held = data.lock().context("stop the station first, or audit a copy of its folder")?;
    let reader = Reader::open(&data.database())?;
    let mut live = live_state(&data, config.office)?;
    // What the station went by is in its store; the file beside it may be an older one.
    items.append(&mut live.items);
    let registry = config.open_registry(items)?;
    let verifier = check_signatures.then(|| Verifier::new(Arc::clone(&registry)));
    let mut walk = Walk::new(config.office, verifier);
    walk.journal(&reader)?;
    walk.finish(folder, &registry, &reader, &live)
}

/// A key that is certified for an office beside one that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Contested {
    /// Whose.
    pub office: OfficeId,
    /// Which.
    pub key: KeyId,
}

/// How the documents were judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Judged {
    /// *Hợp lệ*.
    pub valid: u64,
    /// *Chưa xác định*.
    pub undetermined: u64,
    /// *Không hợp lệ*.
    pub invalid: u64,
    /// Of all of them, those that were about to be judged again when the station stopped.
    pub pending: u64,
}

impl std::fmt::Display for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { valid, undetermined, invalid, pending } = self;
        write!(f, "documents judged anew: {valid} valid, {undetermined} undetermined, {invalid} invalid")?;
        if *pending > 0 { write!(f, "; {pending} wait to be judged again") } else { Ok(()) }
    }
}

struct Live {
    state: StateHash,
    alarms: Vec<Alarm>,
    items: Vec<Item>,
    /// Documents that are still to be judged again.
    to_judge: BTreeSet<EventId>,
}

/// A copy of a store that goes away with this value.
pub(crate) struct PrivateCopy {
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

/// Copies a store with its write-ahead log. Nobody may write to it meanwhile: hold the folder's lock.
pub(crate) fn private_copy(database: &Path) -> Result<PrivateCopy> {
    let folder = tempfile::tempdir().context("failed to make a folder for a copy of the store")?;
    let path = folder.path().join("tram.db");
    for suffix in ["", "-wal"] {
        let with_suffix = |path: &Path| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let from = with_suffix(database);
        if from.exists() {
            fs::copy(&from, with_suffix(&path))
                .with_context(|| format!("failed to copy `{}`", from.display()))?;
        }
    }
    Ok(PrivateCopy { path, _folder: folder })
}

fn live_state(data: &DataFolder, office: OfficeId) -> Result<Live> {
    let copy = private_copy(&data.database())?;
    let store = Store::open(&copy.path)?;
    let exchange = store.load_exchange(office)?;
    let to_judge = store.marked_for_judging(usize::MAX)?.into_iter().map(|(_, place)| place.id).collect();
    let (state, alarms, items) = (store.state_hash(&exchange)?, store.alarms()?, store.kept_items()?);
    Ok(Live { state, alarms, items, to_judge })
}

struct Walk {
    office: OfficeId,
    state: ReplayedState,
    verifier: Option<Verifier>,
    signatures: u64,
    forged: Option<Violation>,
    counts: [u64; 4],
    /// An event that the journal says was readable, and is not.
    misread: Option<EventId>,
    head: (Incarnation, Seq, EventId),
    own_events: BTreeMap<EventId, Millis>,
    evidence: BTreeSet<EventId>,
    documents: BTreeMap<EventId, Dispatch>,
    judgements: BTreeMap<EventId, Judgement>,
    blobs: BTreeMap<EventId, Vec<BlobRef>>,
}

impl Walk {
    fn new(office: OfficeId, verifier: Option<Verifier>) -> Self {
        Self {
            office,
            state: ReplayedState::new(office),
            verifier,
            signatures: 0,
            forged: None,
            counts: [0; 4],
            misread: None,
            head: (Incarnation::FIRST, Seq(0), EventId::NONE),
            own_events: BTreeMap::new(),
            evidence: BTreeSet::new(),
            documents: BTreeMap::new(),
            judgements: BTreeMap::new(),
            blobs: BTreeMap::new(),
        }
    }

    fn journal(&mut self, reader: &Reader) -> Result<()> {
        let mut from = Position(1);
        loop {
            let entries = reader.journal(from, BATCH)?;
            let Some(last) = entries.last() else { return Ok(()) };
            from = last.position.next();
            for entry in &entries {
                self.check_signature(&entry.bytes);
                let recorded = entry
                    .recorded()
                    .with_context(|| format!("journal entry {} cannot be read", entry.position))?;
                match entry.class {
                    Class::Own => {
                        self.counts[0] += 1;
                        self.head = (recorded.event.incarnation, recorded.event.seq, recorded.id);
                        self.own_events.insert(recorded.id, entry.recorded_at);
                    }
                    Class::Received | Class::Unreadable => self.counts[1] += 1,
                    Class::Opened => {}
                    Class::Evidence => {
                        self.counts[2] += 1;
                        self.evidence.insert(recorded.id);
                    }
                    Class::Regained => self.counts[3] += 1,
                }
                let body = Body::read(recorded.version, &recorded.event);
                if body.is_err() && matches!(entry.class, Class::Received | Class::Opened) {
                    self.misread.get_or_insert(recorded.id);
                }
                match body {
                    Ok(Body::Dispatch(dispatch)) => {
                        self.documents.insert(recorded.id, dispatch);
                    }
                    Ok(Body::Verdict(verdicts)) if entry.class == Class::Own => {
                        let judged = verdicts.entries.into_iter().map(|entry| (entry.place.id, entry));
                        self.judgements.extend(judged);
                    }
                    _ => {}
                }
                if !recorded.event.blobs.is_empty() {
                    self.blobs.insert(recorded.id, recorded.event.blobs.clone());
                }
                self.state.add_recorded(entry.position, entry.class, &recorded);
            }
        }
    }

    /// The lines of the registers that must have no gap: those of a register whose highest number somebody stated, after a
    /// restore or when the office began in the middle of a year, have one by right.
    fn numbered(&self, direction: Direction) -> Vec<(OfficeId, Entry)> {
        let books = self.state.exchange.books();
        let lines = self.state.records.lines().filter(|(of, entry, _)| {
            *of == direction && !books.is_stated(direction, &entry.book, entry.year)
        });
        lines.map(|(_, entry, _)| (self.office, entry.clone())).collect()
    }

    /// Keeps the first signature that does not hold, when signatures are checked.
    fn check_signature(&mut self, bytes: &[u8]) {
        let Some(verifier) = &self.verifier else { return };
        self.signatures += 1;
        let checked = UnverifiedEvent::parse(bytes).map_err(|error| error.to_string());
        let checked =
            checked.and_then(|event| verifier.check_recorded(&event).map_err(|error| error.to_string()));
        if let (Err(reason), None) = (checked, &self.forged) {
            let id = RecordedEvent::read(bytes)
                .map_or_else(|_| "unreadable".to_owned(), |read| read.id.to_string());
            self.forged =
                Some(Violation { promise: "P4", found: format!("event {id} is not accepted: {reason}") });
        }
    }

    /// Every document has a judgement, and the registry still gives the same one.
    fn check_judgements(
        &self,
        held: &[HeldRow],
        reader: &Reader,
        registry: &Registry,
        to_judge: &BTreeSet<EventId>,
    ) -> Result<(Judged, Option<Violation>)> {
        let mut judged = Judged::default();
        let mut broken = None;
        for row in held.iter().filter(|row| row.kind == Kind::Dispatch && row.ordinal.is_some()) {
            let id = row.place.id;
            let Some(known) = self.judgements.get(&id).filter(|_| row.judged.is_some()) else {
                broken.get_or_insert_with(|| format!("no judgement of document event {id} is recorded"));
                continue;
            };
            match known.outcome() {
                Outcome::Valid => judged.valid += 1,
                Outcome::Undetermined => judged.undetermined += 1,
                Outcome::Invalid => judged.invalid += 1,
            }
            if to_judge.contains(&id) {
                judged.pending += 1;
                continue;
            }
            let entry = reader.journal(row.position, 1)?.pop().context("a held event has a journal entry")?;
            let recorded = entry.recorded()?;
            let again = registry.judge_event(&recorded, known.place, known.stamps.clone()).judgement;
            if !again.agrees_with(known) {
                broken.get_or_insert_with(|| {
                    let now = again.outcome().text(Language::English);
                    format!("document event {id} is judged {now} now, and otherwise in the journal")
                });
            }
        }
        Ok((judged, broken.map(|found| Violation { promise: "P4", found })))
    }

    fn finish(mut self, folder: &Path, registry: &Registry, reader: &Reader, live: &Live) -> Result<Audit> {
        let directory = registry.directory();
        let sent: Vec<SentRow> = self.state.records.sent_rows().cloned().collect();
        let held: Vec<HeldRow> = self.state.records.held_rows().cloned().collect();
        let state = self.state.hash();
        let [own, received, evidence, regained] = self.counts;
        let answered = held.iter().filter(|row| row.receipt.is_some()).map(|row| row.place.id);
        let owed = answered.chain(sent.iter().map(|row| row.place.id)).collect();
        let contents = whole_folder(&DataFolder::new(folder).content());
        let (attachments, incomplete) =
            check_attachments(&contents, reader, &owed, &self.blobs, &self.documents)?;
        let mut checks = vec![
            Check::new("P2", format!("{} held events, each document once", held.len()), {
                invariant::each_document_once(&held)
            }),
            Check::new("P3", "documents presented in their senders' order".to_owned(), {
                invariant::order_is_kept(&held)
            }),
            Check::new("P3", format!("own chain of {own} events without gap or change"), {
                self.state.broken.clone().map_or(Ok(()), Err)
            }),
        ];
        if self.verifier.is_some() {
            let what = format!("{} signatures by directory version {}", self.signatures, directory.version());
            checks.push(Check::new("P4", what, self.forged.take().map_or(Ok(()), Err)));
        }
        let (judged, differs) = self.check_judgements(&held, reader, registry, &live.to_judge)?;
        checks.push(Check::new("P4", judged.to_string(), differs.map_or(Ok(()), Err)));
        checks.push(Check::new(
            "P6",
            format!("{attachments} attachments complete, hashed and opened anew"),
            incomplete.map_or(Ok(()), Err),
        ));
        let misread = self.misread.map_or(Ok(()), |id| {
            let found = format!("event {id} was applied, although its body breaks the rules");
            Err(Violation { promise: "P4", found })
        });
        checks.push(Check::new("P4", format!("{received} bodies that came in, read again"), misread));
        let (incoming, outgoing) = (self.numbered(Direction::Incoming), self.numbered(Direction::Outgoing));
        let numbers = incoming.len() + outgoing.len();
        checks.push(Check::new("P9", format!("{numbers} numbers of registers without a gap"), {
            invariant::numbers_have_no_gaps(&incoming)
                .and_then(|()| invariant::numbers_have_no_gaps(&outgoing))
        }));
        let replayed = format!("replay of {} entries gives the live state", self.state.entries);
        checks.push(Check::new("P7", replayed, invariant::replay_gives_live_state(live.state, state)));
        let forks = format!("{evidence} contradicting events, each in an alarm");
        checks.push(Check::new("P8", forks, invariant::forks_are_alarmed(&self.evidence, &live.alarms)));
        Ok(Audit {
            folder: folder.to_owned(),
            office: self.office,
            name: newest_name(directory, &self.office),
            entries: self.state.entries,
            own,
            received,
            evidence,
            regained,
            signatures: self.verifier.is_some().then_some(self.signatures),
            attachments,
            head: self.head,
            state,
            alarms: live.alarms.len() as u64,
            contested: registry.contested().map(|(office, key)| Contested { office, key }).collect(),
            contradicting: registry.contradictions().iter().map(|found| found.authority.clone()).collect(),
            checks,
            sent,
            held,
            own_events: self.own_events,
            judged,
            documents: self.documents,
        })
    }
}

/// Every attachment of an event this station sent or gave a receipt for is complete, has its hash, and opened is the file that its
/// document names.
fn check_attachments(
    folder: &Path,
    reader: &Reader,
    events: &BTreeSet<EventId>,
    blobs: &BTreeMap<EventId, Vec<BlobRef>>,
    documents: &BTreeMap<EventId, Dispatch>,
) -> Result<(u64, Option<Violation>)> {
    let owed: BTreeSet<BlobRef> = events.iter().filter_map(|id| blobs.get(id)).flatten().copied().collect();
    let broken = |found: String| Ok((owed.len() as u64, Some(Violation { promise: "P6", found })));
    for blob in &owed {
        if !reader.has_blob(blob)? {
            return broken(format!("attachment {} is not complete", blob.hash));
        }
        if let Err(error) = check_whole(folder, blob) {
            return broken(error.to_string());
        }
    }
    // A circular to all is many events with the same attachments.
    let mut opened = BTreeSet::new();
    for (Enclosure { blob, identity }, file) in
        events.iter().filter_map(|id| documents.get(id)).flat_map(Dispatch::files)
    {
        if opened.insert((blob, file)) && !holds_file(&identity, open_whole(folder, &blob)?, &file)? {
            return broken(format!("attachment {} is not the file {} of its document", blob.hash, file.hash));
        }
    }
    Ok((owed.len() as u64, None))
}

/// What only several stores together can show: nobody holds what its sender never made (P4), and no receipt is for
/// something its giver does not hold (P6). Only offices among `audits` can be judged.
pub fn cross_check(audits: &[Audit]) -> Vec<Check> {
    let by_office: BTreeMap<OfficeId, &Audit> = audits.iter().map(|audit| (audit.office, audit)).collect();
    let mut made = BTreeSet::new();
    for audit in audits {
        made.extend(audit.own_events.keys().copied());
    }
    let known = |office: &OfficeId| by_office.contains_key(office);
    let held: Vec<&HeldRow> =
        audits.iter().flat_map(|audit| &audit.held).filter(|row| known(&row.from)).collect();
    let authentic = invariant::only_authentic_is_held(held.iter().copied(), &made);
    let what = format!("{} held events, each in its sender's chain", held.len());
    let mut checks = vec![Check::new("P4", what, authentic)];

    let index: BTreeMap<_, EventId> = audits
        .iter()
        .flat_map(|audit| audit.held.iter().map(move |row| (audit.office, row)))
        .map(|(holder, row)| ((holder, row.from, row.place.incarnation, row.place.counter), row.place.id))
        .collect();
    let mut receipts = 0;
    let mut outcome = Ok(());
    for audit in audits {
        let judged: Vec<&SentRow> = audit.sent.iter().filter(|row| known(&row.to)).collect();
        receipts += judged.iter().filter(|row| row.receipt.is_some()).count();
        let held_by = |holder: &OfficeId, incarnation, counter| {
            index.get(&(*holder, audit.office, incarnation, counter)).copied()
        };
        outcome = outcome.and_then(|()| invariant::receipt_means_held(audit.office, judged, held_by));
    }
    checks.push(Check::new("P6", format!("{receipts} receipts, each for an event its giver holds"), outcome));
    checks
}

/// P1 over a list of what was saved as sent: (sender, recipient, document).
pub fn saved_is_kept(audits: &[Audit], saved: &BTreeSet<(OfficeId, OfficeId, DocumentId)>) -> Check {
    let mut outcome = Ok(());
    for audit in audits {
        let sent: BTreeSet<(OfficeId, DocumentId)> =
            audit.sent.iter().filter_map(|row| Some((row.to, row.document?))).collect();
        let mine: Vec<(OfficeId, DocumentId)> = saved
            .iter()
            .filter(|(sender, ..)| *sender == audit.office)
            .map(|(_, to, document)| (*to, *document))
            .collect();
        outcome = outcome.and_then(|()| invariant::nothing_saved_is_lost(&mine, &sent));
    }
    Check::new("P1", format!("{} sends the stations answered for, each in its outbox", saved.len()), outcome)
}

/// The newest name of an office, also when it has ended; its id when it has none.
pub fn newest_name(directory: &Directory, office: &OfficeId) -> String {
    let name = directory.office(office).and_then(|office| office.names.last());
    name.map_or_else(|| office.to_string(), |name| name.text.clone())
}

/// Says what was checked and found, for a terminal.
pub fn report(audits: &[Audit], together: &[Check]) -> Result<String> {
    use std::fmt::Write as _;
    ensure!(!audits.is_empty(), "nothing was audited");
    let mut text = String::new();
    let line = |text: &mut String, check: &Check| match &check.broken {
        None => writeln!(text, "  ok      {}  {}", check.promise, check.what),
        Some(found) => writeln!(text, "  BROKEN  {}  {}: {found}", check.promise, check.what),
    };
    for audit in audits {
        let (incarnation, seq, head) = audit.head;
        writeln!(text, "{} ({}) in {}", audit.name, audit.office, audit.folder.display())?;
        writeln!(text, "  head incarnation {incarnation}, position {seq}, event {head}")?;
        writeln!(text, "  state {}, {} alarms", audit.state, audit.alarms)?;
        for Contested { office, key } in &audit.contested {
            writeln!(text, "  ALARM: key {key} of office {office} is certified, but nobody announced it")?;
        }
        for authority in &audit.contradicting {
            writeln!(text, "  ALARM: {authority} has issued revocation lists that contradict each other")?;
        }
        for check in &audit.checks {
            line(&mut text, check)?;
        }
        if audit.signatures.is_none() {
            writeln!(text, "  left out: signatures (--no-signatures)")?;
        }
    }
    if audits.len() > 1 {
        writeln!(text, "together")?;
        for check in together {
            line(&mut text, check)?;
        }
    }
    let broken = audits.iter().flat_map(|audit| &audit.checks).chain(together).filter(|c| c.broken.is_some());
    match broken.count() {
        0 => writeln!(text, "verdict: every promise that was checked holds")?,
        found => writeln!(text, "verdict: {found} BROKEN")?,
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
