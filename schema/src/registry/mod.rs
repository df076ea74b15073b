//! The registry: what every station and relay holds about everybody else, and how old it is.
//!
//! | item | says | proven by |
//! |---|---|---|
//! | directory | who is who at a date, which relay keeps whose mailbox | the registrar's key, pinned |
//! | root certificate | where every chain ends | its hash, pinned |
//! | certificate | which authority may certify whom; which key is an office's | a chain to a root |
//! | revocation list | which certificates do not count any more | the authority's key |
//! | announcement | which key comes after an office's present one, which came before it | the present key |
//!
//! Items prove themselves, so whoever carries them need not be trusted: they come from a file, from any relay or from
//! any office. A [`Registry`] is immutable; [`Registry::with`] makes the next one. It is deterministic: the same items
//! taken in the same order give the same one.
//!
//! What is missing is never silent: [`Registry::list_ages`] says how old the newest list of each authority is, and what
//! was signed since then is judged *undetermined*.

mod item;
mod judgement;
mod keys;
pub mod talk;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

pub use item::{
    ITEMS_MAX, Item, ItemFormatError, ItemId, ItemKind, REGISTRY_BYTES_MAX, decode_items, encode_items,
};
pub use judgement::{Judged, PersonSignature};
pub use keys::{CERTIFICATES_MAX, KeyStanding, NodeKey, STATEMENTS_MAX};

use crate::body::{Body, ContradictingList, KeyPurpose};
use crate::directory::{Directory, SignedDirectoryError, open_directory};
use crate::event::{EventError, UnverifiedEvent, VerifyError, check_signature};
use crate::id::{KeyId, OfficeId, RegionId};
use crate::sealing::SealingKey;
use crate::stamp::Stamp;
use crate::text::quoted;
use crate::time::Millis;
use crate::trust::algorithm::ed25519_key;
use crate::trust::certificate::CertificateHash;
use crate::trust::crl::{Admitted, ListError};
use crate::trust::path::PathError;
use crate::trust::profile::role_of;
use crate::trust::store::{AnchorError, AuthorityError, ListAge};
use crate::trust::{
    Anchors, Certificate, CertificateError, Purpose, RevocationList, Role, SigningTime, TrustStore, Verdict,
};
use keys::{OfficeKeys, Statement};

/// Most lists of one authority that are kept as evidence against it: two are reason enough for the root to revoke it. Any
/// more are refused.
pub const EVIDENCE_MAX: usize = 16;

/// What is pinned in the settings of a station or relay: everything else follows from these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Roots {
    /// The Ed25519 key of the registrar, who signs the directory.
    pub directory_key: [u8; 32],
    /// SHA-256 of each root certificate that is believed; at least one.
    pub anchors: Vec<CertificateHash>,
}

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No directory that the registrar signed.
    #[error("there is no directory among the {items} items that the pinned registrar's key has signed")]
    NoDirectory {
        /// How many items there were.
        items: usize,
        /// What is wrong with the one that came closest.
        #[source]
        source: Option<SignedDirectoryError>,
    },
    /// No root certificate that is pinned.
    #[error("none of the {pinned} pinned root certificates is among the {items} items")]
    NoAnchor {
        /// How many items there were.
        items: usize,
        /// How many are pinned.
        pinned: usize,
    },
    /// A pinned root is none.
    #[error("a pinned root certificate cannot be used")]
    Anchor(#[from] AnchorError),
}

/// Why an item is not taken in; nothing changes then.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// The directory is not acceptable.
    #[error("the directory is not accepted")]
    Directory(#[from] SignedDirectoryError),
    /// A root certificate came from outside.
    #[error("root certificates are pinned by hand, never taken in from outside")]
    Anchor,
    /// The certificate is not acceptable.
    #[error("the certificate is not accepted")]
    Certificate(#[from] CertificateError),
    /// It is not an authority's, although it is marked as one.
    #[error("the certificate of an authority is not accepted")]
    Authority(#[from] AuthorityError),
    /// A certificate that has no business here: a person's, or one without a role.
    #[error("the certificate of `{subject}` belongs neither to an authority nor to an office's node")]
    NotForRegistry {
        /// Whose, masked.
        subject: String,
    },
    /// Nobody trusted issued it.
    #[error("the certificate of `{subject}` does not lead to a trusted root")]
    Path {
        /// Whose.
        subject: String,
        /// What is missing.
        source: PathError,
    },
    /// The office has more certificates, or announcements, than any honest one.
    #[error(
        "office `{office}` has {CERTIFICATES_MAX} certificates, or {STATEMENTS_MAX} statements about its keys, already"
    )]
    TooMany {
        /// Which office.
        office: OfficeId,
    },
    /// The list is not acceptable.
    #[error("the revocation list is not accepted")]
    List(#[from] ListError),
    /// Not an event.
    #[error("the key announcement is not an event")]
    Event(#[from] EventError),
    /// An event, but it says nothing about another key of its office.
    #[error("the event announces no other key of its office")]
    NotAnAnnouncement,
    /// The key that announces does not count, or did not sign it.
    #[error("the key announcement is not proven")]
    Unproven(#[from] VerifyError),
    /// More items than a registry holds.
    #[error("the registry holds {ITEMS_MAX} items already")]
    Full,
}

/// What became of an item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It says something new.
    New,
    /// It is held.
    Known,
    /// A newer one is held: a directory, or a list that goes back in number. Nothing changes.
    Older,
}

/// What became of each item that [`Registry::with`] was given, in the order given.
pub type Outcomes = Vec<(ItemId, Result<Taken, ItemError>)>;

/// What is held about everybody. Immutable.
#[derive(Clone)]
pub struct Registry {
    roots: Roots,
    directory: Arc<Directory>,
    /// The keys with which relays say when events were there, ready for use.
    stamp_keys: Arc<BTreeMap<RegionId, VerifyingKey>>,
    trust: TrustStore,
    offices: BTreeMap<OfficeId, OfficeKeys>,
    /// The items that it follows from, in the order they were taken in; roots and what newer items replaced left out.
    items: BTreeMap<u64, Item>,
    numbers: BTreeMap<ItemId, u64>,
    /// The number of the item that holds the newest directory, or list of an authority.
    replaceable: BTreeMap<Replaceable, u64>,
    /// Lists that contradict what their authorities had issued before, in the order they were found.
    contradictions: Vec<ContradictingList>,
    /// Lists that are kept for ever, of authorities that contradict themselves.
    evidence: BTreeMap<Replaceable, BTreeSet<ItemId>>,
    anchors: Vec<Item>,
    taken: u64,
    /// Which key made the statement that an item is.
    stated: BTreeMap<ItemId, (OfficeId, KeyId)>,
    /// Statements of keys that are revoked for good. They count here, where they came in time; newcomers would not take
    /// them, so nobody is told of them.
    silent: BTreeSet<ItemId>,
}

/// What of several only the newest is needed to start anew.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Replaceable {
    Directory,
    List(Vec<u8>, Vec<u8>),
}

impl Replaceable {
    fn list(list: &RevocationList) -> Self {
        Self::List(list.issuer().as_der().to_vec(), list.authority_key().to_vec())
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("directory", &self.directory.version())
            .field("trust", &self.trust)
            .field("offices", &self.offices.len())
            .field("items", &self.items.len())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Starts from items: those of a file, or those that were kept. Says what became of each.
    ///
    /// Certificates are taken in the order given: a file is written, and a store is read, in the order in which its
    /// writer took them in, and the key that it saw first stays the first.
    ///
    /// # Errors
    /// When no pinned root or no directory is among them: nothing could be judged.
    pub fn open(roots: Roots, items: Vec<Item>) -> Result<(Self, Outcomes), RegistryError> {
        let count = items.len();
        let pinned = |item: &&Item| {
            item.kind() == ItemKind::Anchor && roots.anchors.contains(&CertificateHash::of(item.bytes()))
        };
        let mut anchors: Vec<Item> = items.iter().filter(pinned).cloned().collect();
        anchors.sort_by_key(Item::id);
        anchors.dedup();
        if anchors.is_empty() {
            return Err(RegistryError::NoAnchor { items: count, pinned: roots.anchors.len() });
        }
        let trust = TrustStore::new(Anchors::new(anchors.iter().map(Item::bytes))?);
        let mut newest: Option<Directory> = None;
        let mut refused = None;
        for item in items.iter().filter(|item| item.kind() == ItemKind::Directory) {
            match open_directory(item.bytes(), &roots.directory_key) {
                Ok(found) if newest.as_ref().is_none_or(|held| found.version() > held.version()) => {
                    newest = Some(found);
                }
                Ok(_) => {}
                Err(error) => refused = Some(error),
            }
        }
        let Some(directory) = newest else {
            return Err(RegistryError::NoDirectory { items: count, source: refused });
        };
        let mut registry = Self {
            roots,
            stamp_keys: stamp_keys(&directory),
            directory: Arc::new(directory),
            trust,
            offices: BTreeMap::new(),
            items: BTreeMap::new(),
            numbers: BTreeMap::new(),
            replaceable: BTreeMap::new(),
            contradictions: Vec::new(),
            evidence: BTreeMap::new(),
            anchors,
            taken: 0,
            stated: BTreeMap::new(),
            silent: BTreeSet::new(),
        };
        let rest = items.into_iter().filter(|item| item.kind() != ItemKind::Anchor);
        let outcomes = registry.take_all(rest.collect(), Sequence::Kept);
        Ok((registry, outcomes))
    }

    /// The registry after these items as well, and what became of each. This one stays as it is.
    pub fn with(&self, items: Vec<Item>) -> (Self, Outcomes) {
        let mut next = self.clone();
        let outcomes = next.take_all(items, Sequence::Arrived);
        (next, outcomes)
    }

    fn take_all(&mut self, items: Vec<Item>, sequence: Sequence) -> Outcomes {
        let mut outcomes: Vec<_> = items.iter().map(|item| (item.id(), Ok(Taken::Known))).collect();
        // What others rest on comes first. Lists come in the order in which they were made: what an earlier one revoked
        // stays known when a later one does not name it any more.
        let mut order: Vec<_> = items.into_iter().enumerate().collect();
        order.sort_by_cached_key(|(n, item)| (rank(item, sequence), *n));
        let mut touched = BTreeSet::new();
        let mut lists = false;
        let (mut waiting, mut changed) = (Vec::new(), false);
        for (n, item) in order {
            let kind = item.kind();
            let outcome = self.take(item.clone(), &mut touched);
            lists |= kind == ItemKind::RevocationList && matches!(outcome, Ok(Taken::New));
            changed |= matches!(kind, ItemKind::RevocationList | ItemKind::Certificate)
                && matches!(outcome, Ok(Taken::New));
            // An announcement rests on a key that must count by then.
            if kind != ItemKind::Directory {
                self.settle(&mut touched, &mut lists);
            }
            if let Err(ItemError::Unproven(VerifyError::ContestedKey { .. })) = &outcome {
                waiting.push((n, item));
            }
            outcomes[n].1 = outcome;
        }
        if changed {
            self.silence();
        }
        // One key confirms the one before it, and that one the one before: whichever comes first here.
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|(n, item)| {
                let outcome = self.take(item.clone(), &mut touched);
                self.settle(&mut touched, &mut lists);
                let waits = matches!(&outcome, Err(ItemError::Unproven(VerifyError::ContestedKey { .. })));
                outcomes[*n].1 = outcome;
                waits
            });
            if waiting.len() == before {
                break;
            }
        }
        outcomes
    }

    /// Finds the statements of keys that are revoked for good by now.
    fn silence(&mut self) {
        let is_silent = |(_, (office, key)): &(&ItemId, &(OfficeId, KeyId))| {
            self.known_key(office, *key).is_ok_and(|key| key.is_revoked(&self.trust))
        };
        self.silent = self.stated.iter().filter(is_silent).map(|(id, _)| *id).collect();
    }

    /// Decides anew about keys that do not count: a list can only matter to offices that have such a key.
    fn settle(&mut self, touched: &mut BTreeSet<OfficeId>, lists: &mut bool) {
        if std::mem::take(lists) {
            touched.extend(self.contested().map(|(office, _)| office).collect::<Vec<_>>());
        }
        for office in std::mem::take(touched) {
            if let Some(keys) = self.offices.get_mut(&office) {
                keys.settle(&self.trust);
            }
        }
    }

    fn take(&mut self, item: Item, touched: &mut BTreeSet<OfficeId>) -> Result<Taken, ItemError> {
        let id = item.id();
        if self.numbers.contains_key(&id) {
            return Ok(Taken::Known);
        }
        if self.items.len() >= ITEMS_MAX {
            return Err(ItemError::Full);
        }
        let replaces = match item.kind() {
            ItemKind::Anchor if self.anchors.iter().any(|anchor| anchor.id() == id) => {
                return Ok(Taken::Known);
            }
            ItemKind::Anchor => return Err(ItemError::Anchor),
            ItemKind::Directory => {
                let directory = open_directory(item.bytes(), &self.roots.directory_key)?;
                // At the start the newest one is open already.
                let first = !self.replaceable.contains_key(&Replaceable::Directory)
                    && directory.version() == self.directory.version();
                if !first && directory.version() <= self.directory.version() {
                    return Ok(Taken::Older);
                }
                self.stamp_keys = stamp_keys(&directory);
                self.directory = Arc::new(directory);
                Some(Replaceable::Directory)
            }
            ItemKind::Certificate => {
                if self.take_certificate(item.bytes(), touched)? == Taken::Known {
                    return Ok(Taken::Known);
                }
                None
            }
            ItemKind::RevocationList => {
                let list = RevocationList::parse(item.bytes())?;
                match self.trust.add_list(item.bytes()) {
                    Ok(Admitted::New) => {}
                    Ok(Admitted::Repeat) => return Ok(Taken::Known),
                    Err(error) => {
                        if self.take_contradicting(id, &list, error)? == Taken::Older {
                            return Ok(Taken::Older);
                        }
                    }
                }
                self.trust.is_newest(&list).then(|| Replaceable::list(&list))
            }
            ItemKind::Announcement => {
                let (office, statement) = self.statement(item.bytes())?;
                let keys = self.offices.entry(office).or_default();
                if keys.statements() >= STATEMENTS_MAX {
                    return Err(ItemError::TooMany { office });
                }
                keys.note(&statement);
                self.stated.insert(id, (office, statement.by));
                touched.insert(office);
                None
            }
        };
        self.taken += 1;
        if let Some(replaced) = replaces.and_then(|what| self.replaceable.insert(what, self.taken))
            && let Some(old) = self.items.get(&replaced).map(Item::id)
            && !self.evidence.values().any(|kept| kept.contains(&old))
        {
            self.items.remove(&replaced);
            self.numbers.remove(&old);
        }
        self.items.insert(self.taken, item);
        self.numbers.insert(id, self.taken);
        Ok(Taken::New)
    }

    /// A list that was not admitted after the newest one: an old one that comes round again, a forged one, or evidence
    /// that the authority has issued what no honest one issues. That is kept, with the newest one if it is about that.
    fn take_contradicting(
        &mut self,
        id: ItemId,
        list: &RevocationList,
        refused: ListError,
    ) -> Result<Taken, ItemError> {
        if !self.trust.is_contradicted_by(list) {
            return match refused {
                // Most often nothing to complain of.
                ListError::NumberWentBack { .. } => Ok(Taken::Older),
                error => Err(error.into()),
            };
        }
        let place = Replaceable::list(list);
        if self.evidence.get(&place).is_some_and(|kept| kept.len() >= EVIDENCE_MAX) {
            return Err(refused.into());
        }
        self.trust.add_contradicting_list(list)?;
        let evidence = self.evidence.entry(place.clone()).or_default();
        let newest = self.replaceable.get(&place).and_then(|number| self.items.get(number)).map(Item::id);
        evidence.extend(newest);
        evidence.insert(id);
        let authority = quoted(&list.issuer().to_string());
        self.contradictions.push(ContradictingList { authority, list: id });
        Ok(Taken::New)
    }

    fn take_certificate(&mut self, der: &[u8], touched: &mut BTreeSet<OfficeId>) -> Result<Taken, ItemError> {
        let certificate = Certificate::parse(der)?;
        let subject = || certificate.subject().to_string();
        if certificate.is_authority() {
            return Ok(if self.trust.add_authority(der)? { Taken::New } else { Taken::Known });
        }
        let Ok(Role::Office { office }) = role_of(&certificate) else {
            return Err(ItemError::NotForRegistry { subject: subject() });
        };
        if let Some(source) = self.trust.standing_of(&certificate).no_path() {
            return Err(ItemError::Path { subject: subject(), source: source.clone() });
        }
        let Some(public) = certificate.key().ed25519().copied() else {
            return Err(ItemError::NotForRegistry { subject: subject() });
        };
        let keys = self.offices.entry(office).or_default();
        if keys.certificates() >= CERTIFICATES_MAX {
            return Err(ItemError::TooMany { office });
        }
        touched.insert(office);
        Ok(if keys.add(Arc::new(certificate), &public) { Taken::New } else { Taken::Known })
    }

    /// What a key of an office says about another one. Whether the certificate of that key counts is asked without a proven
    /// time: a key that was revoked says nothing.
    fn statement(&self, bytes: &[u8]) -> Result<(OfficeId, Statement), ItemError> {
        let event = UnverifiedEvent::parse(bytes)?;
        let Ok(Body::KeyAnnouncement(announcement)) = event.body() else {
            return Err(ItemError::NotAnAnnouncement);
        };
        if announcement.purpose == KeyPurpose::HandedOver {
            return Err(ItemError::NotAnAnnouncement);
        }
        let (claims, public) = (event.claims(), announcement.key);
        let statement = Statement {
            key: announcement.key_id(),
            by: event.key(),
            purpose: announcement.purpose,
            place: (claims.incarnation, claims.seq),
            public,
            said_at: claims.claimed_at,
            takes: announcement.takes,
        };
        let office = event.claims().office;
        let key = self.usable_key(&office, statement.by, &SigningTime::default())?;
        check_signature(&event, key.key())?;
        // It would be its own successor.
        if statement.key == statement.by {
            return Err(ItemError::NotAnAnnouncement);
        }
        Ok((office, statement))
    }

    /// The key of this office with this id, if events under it may come in at that time.
    ///
    /// # Errors
    /// When there is none, it does not count, or its certificates do not.
    pub fn usable_key(
        &self,
        office: &OfficeId,
        key: KeyId,
        time: &SigningTime,
    ) -> Result<&NodeKey, VerifyError> {
        let found = self.counting_key(office, key)?;
        let office = *office;
        if let KeyStanding::Late { until } = found.standing()
            && time.proven_at.is_none_or(|at| at >= until)
        {
            return Err(VerifyError::ContestedKey { office, key });
        }
        let mut refused = None;
        for certificate in found.certificates() {
            match self.trust.standing_of(certificate).may_enter(Purpose::Event, time) {
                Ok(()) => return Ok(found),
                Err(verdict) => refused = Some(verdict),
            }
        }
        Err(VerifyError::Certificate { office, key, verdict: refused })
    }

    /// The key under which others seal for this office; none while its station has announced none.
    pub fn sealing_key(&self, office: &OfficeId) -> Option<SealingKey> {
        self.offices.get(office)?.sealing_key(&self.trust)
    }

    /// The key under which others seal for this office, and the largest sealed attachment that it takes, in bytes, where it has said one.
    pub fn sealing_terms(&self, office: &OfficeId) -> Option<(SealingKey, Option<u64>)> {
        self.offices.get(office)?.sealing_terms(&self.trust)
    }

    /// When this office first announced this key as one to seal for it under, by its own clock; none when it has not. The key may have
    /// been followed by another one since.
    pub fn sealing_key_said_at(&self, office: &OfficeId, key: SealingKey) -> Option<Millis> {
        self.offices.get(office)?.sealing_key_said_at(key)
    }

    /// The key of this office with this id, when it is no contested one. Its certificates may be over.
    ///
    /// # Errors
    /// When no certificate of such a key is held, or the key does not count.
    pub fn counting_key(&self, office: &OfficeId, key: KeyId) -> Result<&NodeKey, VerifyError> {
        let found = self.known_key(office, key)?;
        if found.standing().counts() {
            Ok(found)
        } else {
            Err(VerifyError::ContestedKey { office: *office, key })
        }
    }

    /// The key of this office with this id, whatever became of it since.
    ///
    /// # Errors
    /// When no certificate of such a key is held.
    pub fn known_key(&self, office: &OfficeId, key: KeyId) -> Result<&NodeKey, VerifyError> {
        let found = self.offices.get(office).and_then(|keys| keys.key(key));
        found.ok_or_else(|| {
            let directory = self.directory.version();
            match self.directory.office(office) {
                None => VerifyError::UnknownOffice { office: *office, directory },
                Some(_) => VerifyError::UnknownKey { office: *office, key },
            }
        })
    }

    /// The earliest of these times that is not before the key was certified: an earlier one comes from a clock that is
    /// behind, and proves nothing. The stamps must have been checked, the earliest first.
    pub fn sound_proof(&self, office: &OfficeId, key: KeyId, stamps: &[Stamp]) -> Option<Millis> {
        let begun = self.begun(office, key)?;
        stamps.iter().map(|stamp| stamp.at).find(|at| *at >= begun)
    }

    /// When the first certificate of this key began.
    fn begun(&self, office: &OfficeId, key: KeyId) -> Option<Millis> {
        let certificates = self.known_key(office, key).ok()?.certificates().iter();
        certificates.map(|certificate| certificate.validity().not_before).min()
    }

    /// What a signature of this key of an office is worth as of that time: the best verdict of its certificates, of
    /// equally good ones that of the newest. `None` when no certificate of the key is held. `now` decides nothing.
    pub fn judge_key(
        &self,
        office: &OfficeId,
        key: KeyId,
        time: &SigningTime,
        now: Millis,
    ) -> Option<(&Arc<Certificate>, Verdict)> {
        let certificates = self.known_key(office, key).ok()?.certificates().iter().rev();
        let judged = certificates.map(|certificate| {
            let standing = self.trust.standing_of(certificate);
            (certificate, standing.judge(Purpose::Event, time, now))
        });
        judged.min_by_key(|(_, verdict)| verdict.outcome())
    }

    /// The keys of this office, in the order they were seen.
    pub fn keys(&self, office: &OfficeId) -> &[NodeKey] {
        self.offices.get(office).map_or(&[], OfficeKeys::keys)
    }

    /// Whether a key of this office that counted announced this one, certified or not.
    pub fn is_announced(&self, office: &OfficeId, key: KeyId) -> bool {
        self.offices.get(office).is_some_and(|keys| keys.announcers(key).next().is_some())
    }

    /// Keys that an office once had, besides this one, and that whoever hears of this one first would take for somebody
    /// else's: none that everybody still believes has confirmed them. Keys whose place is uncertain here are left out.
    pub fn unconfirmed_keys(&self, office: &OfficeId, present: KeyId) -> Vec<&NodeKey> {
        let Some(keys) = self.offices.get(office) else { return Vec::new() };
        let Some(newest) = keys.key(present) else { return Vec::new() };
        let is_believed = |by| self.usable_key(office, by, &SigningTime::default()).is_ok();
        let earlier = keys.keys().iter().filter(|key| {
            key.id() != present && key.standing().is_settled() && key.not_before() < newest.not_before()
        });
        earlier.filter(|key| !keys.confirmers(key.id()).any(is_believed)).collect()
    }

    /// Whether the office has a station: a mailbox, and a key that counts.
    pub fn has_station(&self, office: &OfficeId) -> bool {
        !self.directory.home_regions(office).is_empty()
            && self.keys(office).iter().any(|key| key.standing().counts())
    }

    /// Second keys of offices that nobody announced: nothing is accepted under them.
    pub fn contested(&self) -> impl Iterator<Item = (OfficeId, KeyId)> {
        self.offices.iter().flat_map(|(office, keys)| {
            let contested = keys.keys().iter().filter(|key| !key.standing().counts());
            contested.map(|key| (*office, key.id()))
        })
    }

    /// Lists that contradict what their authorities had issued before, in the order in which they were found: somebody else
    /// has the key, or the books are lost. What any of them revokes is revoked.
    pub fn contradictions(&self) -> &[ContradictingList] {
        &self.contradictions
    }

    /// Who is who.
    pub const fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The key with which the relay of a region says when events were there.
    pub fn stamp_key(&self, region: &RegionId) -> Option<&VerifyingKey> {
        self.stamp_keys.get(region)
    }

    /// Which certificates are believed.
    pub const fn trust(&self) -> &TrustStore {
        &self.trust
    }

    /// What is pinned.
    pub const fn roots(&self) -> &Roots {
        &self.roots
    }

    /// How old the newest list of each authority is.
    pub fn list_ages(&self) -> Vec<ListAge> {
        self.trust.list_ages()
    }

    /// The items that others are told of, in the order they were taken in: all but the roots, and what keys said that are
    /// revoked for good by now, which nobody takes any more.
    pub fn told_items(&self) -> impl Iterator<Item = &Item> {
        self.items().filter(|item| !self.silent.contains(&item.id()))
    }

    /// The items that it follows from, in the order they were taken in. Roots are left out: they are pinned.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// Everything a new station needs: the roots, then [`Registry::items`].
    pub fn all_items(&self) -> impl Iterator<Item = &Item> {
        self.anchors.iter().chain(self.items.values())
    }

    /// The item with this id, when it is one of [`Registry::items`].
    pub fn item(&self, id: &ItemId) -> Option<&Item> {
        self.items.get(self.numbers.get(id)?)
    }

    /// Whether two hold the same: SHA-256 over the ids of the items that others are told of, sorted.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for id in self.numbers.keys().filter(|id| !self.silent.contains(id)) {
            hash.update(id.0);
        }
        hash.finalize().into()
    }
}

/// A key that no sound program makes stamps nothing.
fn stamp_keys(directory: &Directory) -> Arc<BTreeMap<RegionId, VerifyingKey>> {
    let keys = directory.regions().filter_map(|region| {
        let key = ed25519_key(&region.stamp_key?).ok()?;
        Some((region.id.clone(), key))
    });
    Arc::new(keys.collect())
}

/// What the order of the items that are given means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sequence {
    /// In this order they were taken in before. Announcements were proven then; that a key was revoked since takes nothing
    /// back of what it announced, unless it counts only because of the list that revokes it.
    Kept,
    /// None: who meets two keys of one office at once sees first the one that began first, as everybody else did.
    Arrived,
}

/// In which order items are taken in; see [`Registry::take_all`].
fn rank(item: &Item, sequence: Sequence) -> (u8, u64) {
    let certificate = || Certificate::parse(item.bytes()).ok();
    match item.kind() {
        ItemKind::Anchor => (0, 0),
        ItemKind::Directory => (1, 0),
        ItemKind::RevocationList => {
            let made = RevocationList::parse(item.bytes()).map(|list| list.window().this_update.0);
            let rank = if sequence == Sequence::Kept { 6 } else { 3 };
            (rank, made.unwrap_or_default())
        }
        ItemKind::Certificate => {
            certificate().map_or((4, 0), |certificate| match (certificate.is_authority(), sequence) {
                (true, _) => (2, 0),
                (false, Sequence::Kept) => (4, 0),
                (false, Sequence::Arrived) => (4, certificate.validity().not_before.0),
            })
        }
        ItemKind::Announcement => (5, 0),
    }
}
