//! A stolen key: everything it signed, what of that is safe, and what must be confirmed again.
//!
//! Safe is what provably existed before the theft: a relay stamped it, or a later event of the same chain, which names every
//! event before it by hash. Nothing else tells what the office signed from what the thief did; the times that events
//! claim say nothing, because the thief writes them too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use node::config::{Config, DataFolder};
use node::store::Reader;
use schema::body::{Body, Dispatch};
use schema::event::{Kind, RecordedEvent, Verifier, key_id};
use schema::exchange::Class;
use schema::id::{DocumentId, EventId, Incarnation, KeyId, OfficeId, Position, RegionId, Seq};
use schema::registry::Registry;
use schema::stamp::Stamp;
use schema::time::Millis;
use schema::trust::{Certificate, DetachedSignature};
use serde::Serialize;

use crate::audit::newest_name;
use crate::ca::files;
use crate::calendar;
use crate::history::says;
use crate::table::{Align, Table};

/// Journal entries read at a time.
const BATCH: u32 = 1_024;

/// Which key was stolen, and since when.
#[derive(clap::Args)]
pub struct Options {
    /// A certificate of the stolen key, an office's or a person's (PEM or DER). Every other certificate of the same key
    /// counts with it.
    #[arg(long, required_unless_present = "key", conflicts_with = "key")]
    certificate: Option<PathBuf>,
    /// An office's stolen key by its id, 32 hexadecimal digits, as `tram-node key show` and alarms print it.
    #[arg(long)]
    key: Option<KeyId>,
    /// Since when it may have been in other hands: `2026-11-20T08:00:00+07:00`, or a day (from midnight in Vietnam). When left
    /// out, what the newest revocation list says.
    #[arg(long, value_name = "TIME", value_parser = calendar::moment)]
    since: Option<Millis>,
    /// Data folders of stations, running or stopped: the office's own and those of its correspondents. The more are
    /// there, the more can be shown to be safe.
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// The stolen key.
#[derive(Clone, Debug)]
pub enum Stolen {
    /// An office's, by its id.
    Office(KeyId),
    /// A person's: SHA-256 of the public key in its certificates.
    Person([u8; 32]),
}

/// Whether something is safe, and why.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// A relay saw it before the theft.
    SeenBefore,
    /// A relay saw a later event of the same chain before the theft.
    ChainedBefore,
    /// A relay saw it, after the theft: who signed it is open.
    SeenAfter,
    /// Nobody can say when it was signed.
    Unproven,
}

impl Standing {
    /// Whether it needs no confirmation.
    pub const fn is_safe(self) -> bool {
        matches!(self, Self::SeenBefore | Self::ChainedBefore)
    }

    const fn text(self) -> &'static str {
        match self {
            Self::SeenBefore => "safe: a relay saw it before",
            Self::ChainedBefore => "safe: a later event was seen before",
            Self::SeenAfter => "CONFIRM: seen after the theft",
            Self::Unproven => "CONFIRM: no proof of time",
        }
    }
}

/// Something that the stolen key signed.
#[derive(Clone, Debug, Serialize)]
pub struct Signed {
    /// The event, or for a person's key the one that carries the document.
    pub event: EventId,
    /// Whose event.
    pub office: OfficeId,
    /// In which of its incarnations.
    pub incarnation: Incarnation,
    /// Where in its chain.
    pub seq: Seq,
    /// What it is.
    pub kind: Kind,
    /// The document, when it is one.
    pub document: Option<DocumentId>,
    /// Its number and symbol.
    pub number: Option<String>,
    /// What it says, in a few words.
    pub says: String,
    /// When its maker says it was made.
    pub claimed_at: Millis,
    /// When a relay saw it first.
    pub proven_at: Option<Millis>,
    /// Which relay.
    pub proven_by: Option<RegionId>,
    /// Whether it is safe.
    pub standing: Standing,
    /// Whose stores hold it.
    pub held_by: Vec<OfficeId>,
}

/// Everything that a stolen key signed, as far as these stores know.
#[derive(Debug, Serialize)]
pub struct Exposure {
    /// Since when the key is not believed.
    pub since: Millis,
    /// Serial numbers of its certificates, as far as they are known.
    pub certificates: Vec<String>,
    /// Whose it is: an office, or a person as the certificate names it, masked.
    pub owner: String,
    /// How many stores were read.
    pub stores: usize,
    /// What it signed, in the order of its chains.
    pub signed: Vec<Signed>,
}

/// A store to look into.
pub struct Held {
    /// Whose.
    pub office: OfficeId,
    /// Its journal.
    pub reader: Reader,
}

/// An event that some store holds.
struct Event {
    recorded: RecordedEvent,
    stamps: Vec<Stamp>,
    held_by: BTreeSet<OfficeId>,
}

impl Exposure {
    /// Looks for what the key signed. `since` overrides what the registry says about the revocation.
    ///
    /// # Errors
    /// When a store cannot be read, or nobody says since when the key is stolen.
    pub fn of(
        stolen: &Stolen,
        given: Option<&Certificate>,
        since: Option<Millis>,
        stores: &[Held],
        registry: &Arc<Registry>,
    ) -> Result<Self> {
        let events = collect(stores)?;
        let certificates = certificates(stolen, given, &events, registry);
        let since = match since {
            Some(since) => since,
            None => {
                let revoked = certificates.iter().filter_map(|c| registry.trust().revocation_of(c));
                let earliest = revoked.map(|entry| entry.effective_at()).min();
                earliest
                    .context("no revocation list revokes this key; say since when it is stolen: --since")?
            }
        };
        let begun = certificates.iter().map(|c| c.validity().not_before).min().unwrap_or_default();
        let verifier = Verifier::new(Arc::clone(registry));
        let proofs: BTreeMap<EventId, Stamp> = events
            .iter()
            .filter_map(|(id, event)| {
                // Each by itself: anybody may have put anything into a receipt.
                let held =
                    event.stamps.iter().flat_map(|stamp| verifier.proof(id, vec![stamp.clone()]).stamps);
                // A relay whose clock stands before the certificate began proves nothing.
                let earliest = held.filter(|stamp| stamp.at >= begun).min_by_key(|stamp| stamp.at)?;
                Some((*id, earliest))
            })
            .collect();
        let anchored = anchored(&events, &proofs, since);
        let mut signed = Vec::new();
        for (id, event) in events.iter().filter(|(_, event)| is_signed_by(stolen, &event.recorded)) {
            let proof = proofs.get(id);
            let standing = match proof {
                Some(stamp) if stamp.at < since => Standing::SeenBefore,
                _ if anchored.contains(id) => Standing::ChainedBefore,
                Some(_) => Standing::SeenAfter,
                None => Standing::Unproven,
            };
            let recorded = &event.recorded;
            let dispatch = dispatch_of(recorded);
            signed.push(Signed {
                event: *id,
                office: recorded.event.office,
                incarnation: recorded.event.incarnation,
                seq: recorded.event.seq,
                kind: recorded.event.kind,
                document: dispatch.as_ref().map(|dispatch| dispatch.manifest.document),
                number: dispatch.and_then(|dispatch| dispatch.number()),
                says: says(recorded),
                claimed_at: recorded.event.claimed_at,
                proven_at: proof.map(|stamp| stamp.at),
                proven_by: proof.map(|stamp| stamp.region.clone()),
                standing,
                held_by: event.held_by.iter().copied().collect(),
            });
        }
        signed.sort_by_key(|signed| (signed.office, signed.incarnation, signed.seq));
        let owner = match (certificates.first(), signed.first()) {
            (Some(certificate), _) => certificate.subject().to_string(),
            (None, Some(signed)) => newest_name(registry.directory(), &signed.office),
            (None, None) => String::new(),
        };
        let certificates = certificates.iter().map(|certificate| certificate.serial().to_string()).collect();
        Ok(Self { since, certificates, owner, stores: stores.len(), signed })
    }

    /// As people read it. What must be confirmed comes first; events that no one outside waits for are counted.
    pub fn report(&self, registry: &Registry) -> String {
        let safe = self.signed.iter().filter(|signed| signed.standing.is_safe()).count();
        let mut text = format!(
            "Stolen key of {}\n  certificates: {}\n  not believed since {}\n  \
             {} events signed with it in {} stores: {safe} safe, {} to be confirmed again\n\n",
            self.owner,
            if self.certificates.is_empty() { "none known".to_owned() } else { self.certificates.join(", ") },
            calendar::shown(self.since),
            self.signed.len(),
            self.stores,
            self.signed.len() - safe,
        );
        let matters = |signed: &&Signed| signed.document.is_some() || signed.kind == Kind::Receipt;
        let mut shown: Vec<&Signed> = self.signed.iter().filter(matters).collect();
        shown.sort_by_key(|signed| signed.standing.is_safe());
        let mut table = Table::new(&[
            ("standing", Align::Left),
            ("relay saw it", Align::Left),
            ("says it was made", Align::Left),
            ("number", Align::Left),
            ("what", Align::Left),
            ("event", Align::Left),
            ("held by", Align::Left),
        ]);
        for signed in shown {
            let holders = signed.held_by.iter().map(|office| newest_name(registry.directory(), office));
            table.row([
                signed.standing.text().to_owned(),
                signed.proven_at.map_or_else(|| "–".to_owned(), calendar::shown),
                calendar::shown(signed.claimed_at),
                signed.number.clone().unwrap_or_default(),
                signed.says.clone(),
                signed.event.to_string()[..16].to_owned(),
                holders.collect::<Vec<_>>().join(", "),
            ]);
        }
        text += &table.to_string();
        let mut others: BTreeMap<(bool, String), usize> = BTreeMap::new();
        for signed in self.signed.iter().filter(|signed| !matters(signed)) {
            *others.entry((signed.standing.is_safe(), format!("{:?}", signed.kind))).or_default() += 1;
        }
        for ((safe, kind), count) in others {
            let standing = if safe { "safe" } else { "not proven" };
            // Writing to a string does not fail.
            let _ = writeln!(text, "  besides: {count} × {kind}, {standing}");
        }
        if safe < self.signed.len() {
            text += "\nWhat is to be confirmed: ask the office, on another way than this exchange, whether it made it; what \
                     it did make it sends again under its new key.\n";
        }
        text
    }
}

/// Every event of these stores, with every stamp that a store has recorded for it.
fn collect(stores: &[Held]) -> Result<BTreeMap<EventId, Event>> {
    let mut events: BTreeMap<EventId, Event> = BTreeMap::new();
    let mut stamps: BTreeMap<EventId, Vec<Stamp>> = BTreeMap::new();
    for Held { office, reader } in stores {
        let mut from = Position(1);
        loop {
            let entries = reader.journal(from, BATCH)?;
            let Some(last) = entries.last() else { break };
            from = last.position.next();
            for entry in &entries {
                let recorded = entry
                    .recorded()
                    .with_context(|| format!("journal entry {} cannot be read", entry.position))?;
                for (event, stamp) in stamps_in(&recorded, entry.class) {
                    let known = stamps.entry(event).or_default();
                    if !known.contains(&stamp) {
                        known.push(stamp);
                    }
                }
                let event = events.entry(recorded.id).or_insert_with(|| Event {
                    recorded,
                    stamps: Vec::new(),
                    held_by: BTreeSet::new(),
                });
                event.held_by.insert(*office);
            }
        }
    }
    for (id, stamps) in stamps {
        if let Some(event) = events.get_mut(&id) {
            event.stamps = stamps;
        }
    }
    Ok(events)
}

/// The stamps that an entry of a journal tells of: those of what came in, in the station's own judgements; those of what
/// it sent, in the receipts of others.
fn stamps_in(recorded: &RecordedEvent, class: Class) -> Vec<(EventId, Stamp)> {
    match Body::read(recorded.version, &recorded.event) {
        Ok(Body::Verdict(verdicts)) if class == Class::Own => {
            let entries = verdicts.entries.into_iter();
            entries
                .flat_map(|entry| entry.stamps.into_iter().map(move |stamp| (entry.place.id, stamp)))
                .collect()
        }
        Ok(Body::Receipt(receipt)) if class == Class::Received => {
            receipt.stamped().map(|(event, stamp)| (event, stamp.clone())).collect()
        }
        _ => Vec::new(),
    }
}

/// What stands in a chain before something that was seen before the theft: each event names the one before it.
fn anchored(
    events: &BTreeMap<EventId, Event>,
    proofs: &BTreeMap<EventId, Stamp>,
    since: Millis,
) -> BTreeSet<EventId> {
    let mut anchored = BTreeSet::new();
    for (id, _) in proofs.iter().filter(|(_, stamp)| stamp.at < since) {
        let mut next = events.get(id).map(|event| event.recorded.event.prev);
        while let Some(event) = next.and_then(|id| events.get(&id)) {
            if !anchored.insert(event.recorded.id) {
                break;
            }
            next = Some(event.recorded.event.prev);
        }
    }
    anchored
}

fn dispatch_of(recorded: &RecordedEvent) -> Option<Dispatch> {
    match Body::read(recorded.version, &recorded.event) {
        Ok(Body::Dispatch(dispatch)) => Some(dispatch),
        _ => None,
    }
}

fn signers(recorded: &RecordedEvent) -> Vec<Certificate> {
    let signatures = dispatch_of(recorded).map_or_else(Vec::new, |dispatch| dispatch.signatures);
    let signatures = signatures.iter().filter_map(|der| DetachedSignature::parse(der).ok());
    signatures.filter_map(|signature| Certificate::parse(signature.signer_certificate()).ok()).collect()
}

fn is_signed_by(stolen: &Stolen, recorded: &RecordedEvent) -> bool {
    match stolen {
        Stolen::Office(key) => recorded.key == *key,
        Stolen::Person(key) => signers(recorded).iter().any(|signer| signer.key_hash() == key),
    }
}

/// Every certificate of the key that anybody here has seen.
fn certificates(
    stolen: &Stolen,
    given: Option<&Certificate>,
    events: &BTreeMap<EventId, Event>,
    registry: &Registry,
) -> Vec<Certificate> {
    let signed =
        events.values().map(|event| &event.recorded).filter(|recorded| is_signed_by(stolen, recorded));
    let mut found: Vec<Certificate> = match stolen {
        Stolen::Office(key) => {
            let offices: BTreeSet<OfficeId> = signed.map(|recorded| recorded.event.office).collect();
            let keys = offices.iter().filter_map(|office| registry.known_key(office, *key).ok());
            keys.flat_map(|key| key.certificates().iter().map(|held| Certificate::clone(held))).collect()
        }
        Stolen::Person(key) => signed.flat_map(signers).filter(|signer| signer.key_hash() == key).collect(),
    };
    found.extend(given.cloned());
    found.sort_by_key(Certificate::hash);
    found.dedup_by_key(|certificate| certificate.hash());
    found
}

fn open(folders: &[PathBuf]) -> Result<(Vec<Held>, Arc<Registry>)> {
    let mut stores = Vec::new();
    let mut items = Vec::new();
    let mut first: Option<Config> = None;
    for folder in folders {
        let data = DataFolder::new(folder);
        let config = Config::read(&data)?;
        items.append(&mut config.read_items()?);
        stores.push(Held { office: config.office, reader: Reader::open(&data.database())? });
        if let Some(first) = &first {
            let same = first.roots() == config.roots();
            ensure!(same, "`{}` believes other roots than `{}`", folder.display(), folders[0].display());
        }
        first.get_or_insert(config);
    }
    let config = first.context("no store was named")?;
    Ok((stores, config.open_registry(items)?))
}

fn stolen(options: &Options) -> Result<(Stolen, Option<Certificate>)> {
    let Some(path) = &options.certificate else {
        let key = options.key.context("neither a certificate nor a key was named")?;
        return Ok((Stolen::Office(key), None));
    };
    let read = |path: &Path| -> Result<Certificate> {
        let bytes = files::read(path, files::SMALL_FILE_BYTES_MAX)?;
        Ok(Certificate::parse(&files::der_of(&bytes, files::CERTIFICATE)?)?)
    };
    let certificate =
        read(path).with_context(|| format!("failed to read the certificate `{}`", path.display()))?;
    ensure!(
        !certificate.is_authority(),
        "`{}` is the certificate of an authority: what it certified is in its own inventory, `tram ca list`",
        path.display()
    );
    let stolen = match schema::trust::profile::role_of(&certificate)? {
        schema::trust::Role::Office { .. } => {
            let public = certificate.key().ed25519().context("an office's key is Ed25519")?;
            Stolen::Office(key_id(public))
        }
        _ => Stolen::Person(*certificate.key_hash()),
    };
    Ok((stolen, Some(certificate)))
}

/// `tram exposed`: what to print.
///
/// # Errors
/// When a folder, a store or the certificate cannot be read, or nobody says since when the key is stolen.
pub fn run(options: &Options) -> Result<String> {
    let (stolen, given) = stolen(options)?;
    let (stores, registry) = open(&options.data)?;
    let exposure = Exposure::of(&stolen, given.as_ref(), options.since, &stores, &registry)?;
    Ok(if options.json {
        format!("{}\n", serde_json::to_string_pretty(&exposure)?)
    } else {
        exposure.report(&registry)
    })
}
