//! What everybody holds about everybody else: the authority that certifies, and how what is newer spreads.
//!
//! Stations and relays each have a registry of their own, and bring each other up to date over the lines that mail takes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use node::step::Input;
use node::store::{Store, StoreError};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use relay::{Effect as RelayEffect, Input as RelayInput};
use schema::directory::Directory;
use schema::event::{Verifier, VerifyMemory, key_id};
use schema::id::{KeyId, OfficeId, RegionId};
use schema::registry::talk::{Bringing, Catching, RegistryReply, RegistryRequest};
use schema::registry::{Item, ItemId, ItemKind, Registry, Taken};
use schema::time::Millis;
use sha2::{Digest, Sha256};

use super::certified::{ENDS, Registrar, Revoked, Why};
use super::options::{below, chance, index};
use super::world::{Event, World};

/// Somebody asks a relay whether it holds anything newer at least this often.
const ASK_MS: u64 = Millis::MINUTE;
/// Pause after a question that was lost.
const RETRY_MS: u64 = 15 * Millis::SECOND;
/// Longest time for which a list can be the newest one that is expected.
const LIST_MS_MAX: u64 = 30 * Millis::DAY;

thread_local! {
    /// Who certifies; the same in every run, and its keys and own certificates take time to make.
    static REGISTRAR: Registrar = Registrar::new();
}

/// The key with which the relay of a region says when events were there.
pub(super) fn stamp_key(region: &RegionId) -> SigningKey {
    SigningKey::from_bytes(&Sha256::digest(format!("stamps of {region}")).into())
}

/// Who holds a registry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Holder {
    Station(usize),
    Relay(usize),
}

/// The authority's desk: what it has certified and revoked.
pub(super) struct Authority {
    /// Draws when registries are compared, so that mail has its own chances.
    rng: ChaCha8Rng,
    memory: Arc<VerifyMemory>,
    /// Roots and directory, and nothing else.
    bare: Registry,
    /// What everybody has from the beginning.
    first: Arc<Verifier>,
    serials: u64,
    lists: u64,
    revoked: Vec<Revoked>,
    /// Every certificate after the first ones.
    issued: Vec<Item>,
    /// Serial number and key of every certificate.
    certified: BTreeMap<OfficeId, Vec<(u64, KeyId)>>,
    /// Conversations that are going to take place.
    planned: BTreeSet<(Holder, Holder)>,
    /// What becomes of a registry and some items, and what is new in it: many take in the same, and come to the same.
    merged: HashMap<Merge, (Arc<Registry>, Vec<Item>)>,
    /// The registries in `merged`: none of them is dropped, so that an address stands for one registry only.
    kept: Vec<Arc<Registry>>,
}

/// A registry, by its address, and the items that it takes in, in order.
type Merge = (usize, Vec<ItemId>);

impl Authority {
    /// Certifies the first key of every office.
    pub(super) fn new(seed: u64, directory: &Directory, keys: &[(OfficeId, [u8; 32])]) -> Self {
        const FIRST_SERIAL: u64 = 10;
        let open = |items| {
            let (registry, _) =
                Registry::open(REGISTRAR.with(Registrar::roots), items).expect("roots and directory");
            registry
        };
        let items = REGISTRAR.with(|registrar| registrar.items(directory, keys));
        let is_base = |item: &&Item| matches!(item.kind(), ItemKind::Anchor | ItemKind::Directory);
        let bare = open(items.iter().filter(is_base).cloned().collect());
        let (first, _) = bare.with(items);
        let memory = Arc::new(VerifyMemory::default());
        let numbered = keys.iter().zip(FIRST_SERIAL..);
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x7265_6769_7374_7279),
            bare,
            first: Arc::new(Verifier::new(Arc::new(first)).with_memory(Arc::clone(&memory))),
            memory,
            serials: FIRST_SERIAL + keys.len() as u64,
            lists: 1,
            revoked: Vec::new(),
            issued: Vec::new(),
            certified: numbered
                .map(|((office, key), serial)| (*office, vec![(serial, key_id(key))]))
                .collect(),
            planned: BTreeSet::new(),
            merged: HashMap::new(),
            kept: Vec::new(),
        }
    }

    /// Judges by what everybody has from the beginning.
    pub(super) fn first(&self) -> Arc<Verifier> {
        Arc::clone(&self.first)
    }

    /// The registry after these items as well, and which of them are new in it.
    fn merge(&mut self, registry: Arc<Registry>, items: Vec<Item>) -> (Arc<Registry>, Vec<Item>) {
        let merge = (Arc::as_ptr(&registry).addr(), items.iter().map(Item::id).collect());
        if let Some(merged) = self.merged.get(&merge) {
            return merged.clone();
        }
        let (next, outcomes) = registry.with(items.clone());
        let taken = items.into_iter().zip(outcomes);
        let new = taken.filter_map(|(item, (_, outcome))| matches!(outcome, Ok(Taken::New)).then_some(item));
        let merged = (Arc::new(next), new.collect());
        self.merged.insert(merge, merged.clone());
        self.kept.push(registry);
        merged
    }

    /// A certificate for another key of this office.
    fn certify(&mut self, office: OfficeId, key: &SigningKey, now: Millis) -> Item {
        let (serial, public) = (self.serials, key.verifying_key().to_bytes());
        self.serials += 1;
        self.certified.entry(office).or_default().push((serial, key_id(&public)));
        let certify = |registrar: &Registrar| registrar.certificate_for(office, public, serial, (now, ENDS));
        let certificate = REGISTRAR.with(certify);
        self.issued.push(certificate.clone());
        certificate
    }

    /// The newest lists of root and authority.
    fn lists(&mut self, now: Millis) -> Vec<Item> {
        self.lists += 1;
        let window = (now, now.plus(LIST_MS_MAX));
        REGISTRAR.with(|registrar| {
            vec![
                registrar.root_list(self.lists, window, &[]),
                registrar.list(self.lists, window, &self.revoked),
            ]
        })
    }

    /// Since when everything that this key signs is not believed; `None` for a key that counts, or is on hold.
    pub(super) fn lost_at(&self, office: &OfficeId, key: KeyId) -> Option<Millis> {
        let certificates = self.certified.get(office)?.iter().filter(|(_, known)| *known == key);
        let serials: Vec<u64> = certificates.map(|(serial, _)| *serial).collect();
        let revoked = self.revoked.iter().filter(|entry| serials.contains(&entry.serial));
        revoked.filter(|entry| !is_hold(entry)).map(|entry| entry.at).min()
    }
}

fn is_hold(entry: &Revoked) -> bool {
    matches!(entry.why, Why::CertificateHold)
}

/// What a station that starts judges by, and what has come since that it must take in: its store recorded less than its
/// file holds when the power went in between, or when it is an older copy.
pub(super) fn as_recorded(
    authority: &Authority,
    held: &Arc<Registry>,
    store: &Store,
) -> Result<(Arc<Registry>, Vec<Item>), StoreError> {
    let kept = store.kept_items()?;
    let known: BTreeSet<ItemId> = kept.iter().map(Item::id).collect();
    let recorded = |item: &&Item| match item.kind() {
        ItemKind::Directory => !kept.is_empty(),
        _ => known.contains(&item.id()),
    };
    let unrecorded: Vec<Item> = held.items().filter(|item| !recorded(item)).cloned().collect();
    if unrecorded.is_empty() {
        return Ok((Arc::clone(held), unrecorded));
    }
    let (recorded, _) = authority.bare.with(kept);
    Ok((Arc::new(recorded), unrecorded))
}

impl World<'_> {
    fn verifier_of(&mut self, holder: Holder) -> &mut Arc<Verifier> {
        match holder {
            Holder::Station(number) => &mut self.stations[number].verifier,
            Holder::Relay(number) => &mut self.relays[number].verifier,
        }
    }

    fn registry_of(&mut self, holder: Holder) -> Arc<Registry> {
        Arc::clone(self.verifier_of(holder).registry())
    }

    /// Takes in what came from anywhere; what is new is used from now on, and others are going to hear of it.
    pub(super) fn take_in(&mut self, holder: Holder, items: Vec<Item>) {
        if items.is_empty() {
            return;
        }
        let held = self.registry_of(holder);
        let (registry, new) = self.authority.merge(held, items);
        if new.is_empty() {
            return;
        }
        let kinds: Vec<&str> = new.iter().map(|item| item.kind().word()).collect();
        self.tell(format_args!("{holder:?} takes in {}", kinds.join(", ")));
        let memory = Arc::clone(&self.authority.memory);
        *self.verifier_of(holder) = Arc::new(Verifier::new(Arc::clone(&registry)).with_memory(memory));
        match holder {
            Holder::Station(number) => {
                let epoch = self.stations[number].epoch;
                let input = Input::Registry { registry, items: new };
                self.at(1, Event::Inputs(number, epoch, vec![input]));
                for relay in self.stations[number].linked.clone() {
                    self.talk_in(1, holder, Holder::Relay(relay));
                }
            }
            Holder::Relay(number) => {
                let now = self.now;
                let relay = self.relays[number].relay.as_mut();
                let effects = relay
                    .map(|relay| relay.step(vec![RelayInput::Registry(registry)], now))
                    .unwrap_or_default();
                for effect in effects {
                    if let RelayEffect::Alarm(alarm) = effect {
                        self.tell(format_args!("relay {number}: {alarm}"));
                    }
                }
                for station in 0..self.stations.len() {
                    if self.stations[station].linked.contains(&number) {
                        let delay = below(&mut self.authority.rng, ASK_MS);
                        self.talk_in(delay, Holder::Station(station), holder);
                    }
                }
                self.talk_to_peers(number);
            }
        }
    }

    pub(super) fn talk_to_peers(&mut self, number: usize) {
        for region in self.relays[number].links.clone() {
            let peer = self.relay_of(&region);
            self.talk_in(1, Holder::Relay(number), Holder::Relay(peer));
        }
    }

    /// Has one bring itself and another up to date after this time.
    pub(super) fn talk_in(&mut self, delay_ms: u64, asker: Holder, asked: Holder) {
        if self.authority.planned.insert((asker, asked)) {
            let delay = delay_ms + below(&mut self.authority.rng, self.options.delay_ms_max);
            self.at(delay, Event::Talk(asker, asked));
        }
    }

    /// One conversation: whoever asks fetches what it lacks, then brings what the other one lacks.
    pub(super) fn talk(&mut self, asker: Holder, asked: Holder) {
        self.authority.planned.remove(&(asker, asked));
        if !self.is_in_reach(asker, asked) {
            return;
        }
        if self.faulty && chance(&mut self.authority.rng, self.options.loss) {
            return self.talk_in(RETRY_MS, asker, asked);
        }
        let (before, other) = (self.registry_of(asker), self.registry_of(asked));
        let mut catching = Catching::new(&before);
        while let Some(question) = catching.next() {
            let answer = other.answer(&question).expect("whoever catches up brings nothing");
            catching.heard(answer, &before).expect("an honest answer");
        }
        let (items, theirs) = catching.finish();
        self.take_in(asker, items);
        let brought = theirs.map(|theirs| theirs.to_bring(&self.registry_of(asker))).unwrap_or_default();
        let mut bringing = Bringing::new(brought);
        while let Some(RegistryRequest::Bring { kind, bytes }) = bringing.next() {
            let item = Item::new(kind, bytes.to_vec()).expect("it was held");
            let id = item.id();
            self.take_in(asked, vec![item]);
            let reply = match self.registry_of(asked).item(&id) {
                Some(_) => RegistryReply::Taken,
                None => RegistryReply::Refused { reason: String::new() },
            };
            bringing.heard(reply).expect("an answer that fits");
        }
    }

    fn is_in_reach(&self, asker: Holder, asked: Holder) -> bool {
        match (asker, asked) {
            (Holder::Station(station), Holder::Relay(relay)) => {
                self.stations[station].linked.contains(&relay)
                    && self.relays[relay].relay.is_some()
                    && !self.cut.contains(&(station, relay))
            }
            (Holder::Relay(one), Holder::Relay(other)) => {
                let up = |number: usize| self.relays[number].relay.is_some();
                up(one) && up(other) && !self.cut_peers.contains(&(one.min(other), one.max(other)))
            }
            // Stations never meet.
            (_, Holder::Station(_)) => false,
        }
    }

    /// A station announces its next key: every relay in reach hears of it before the station's own core does.
    pub(super) fn announce(&mut self, number: usize, item: &Item) {
        self.take_in(Holder::Station(number), vec![item.clone()]);
        for relay in self.stations[number].linked.clone() {
            let (asker, asked) = (Holder::Station(number), Holder::Relay(relay));
            let lost = self.faulty && chance(&mut self.authority.rng, self.options.loss);
            if self.is_in_reach(asker, asked) && !lost {
                self.take_in(asked, vec![item.clone()]);
            }
        }
    }

    /// The next key takes the place of the present one.
    pub(super) fn key_changed(&mut self, number: usize) {
        let station = &mut self.stations[number];
        if let Some(next) = station.next_key.take() {
            station.key = next;
        }
    }

    /// After healing nothing stays on hold. All that was certified is published with the newest lists, because what only a
    /// relay held that was wiped is nowhere else.
    pub(super) fn settle_certificates(&mut self) {
        self.authority.revoked.retain(|entry| !is_hold(entry));
        self.make_known(self.authority.issued.clone());
    }

    /// The authority publishes its newest lists: at one place, from where they go round.
    pub(super) fn publish_lists(&mut self) {
        self.make_known(Vec::new());
    }

    fn make_known(&mut self, mut items: Vec<Item>) {
        items.extend(self.authority.lists(self.now));
        let rng = &mut self.authority.rng;
        let holder = match chance(rng, 300) {
            true => Holder::Station(index(rng, self.stations.len())),
            false => Holder::Relay(index(rng, self.relays.len())),
        };
        self.take_in(holder, items);
    }

    /// Suspends every certificate of an office for some hours.
    pub(super) fn hold(&mut self, number: usize) {
        let (office, at) = (self.stations[number].office, self.now);
        let certified = self.authority.certified.get(&office).cloned().unwrap_or_default();
        for (serial, _) in certified {
            if self.authority.revoked.iter().all(|entry| entry.serial != serial) {
                self.authority.revoked.push(Revoked { serial, at, why: Why::CertificateHold });
            }
        }
        self.publish_lists();
        let later = below(&mut self.authority.rng, 12 * Millis::HOUR);
        self.at(later, Event::Release(office));
    }

    /// Ends what is suspended of this office.
    pub(super) fn release(&mut self, office: &OfficeId) {
        let certified = self.authority.certified.get(office).cloned().unwrap_or_default();
        let of_office = |entry: &Revoked| certified.iter().any(|(serial, _)| *serial == entry.serial);
        let before = self.authority.revoked.len();
        self.authority.revoked.retain(|entry| !(is_hold(entry) && of_office(entry)));
        if self.authority.revoked.len() < before {
            self.publish_lists();
        }
    }

    /// A station gets its next key, and the certificate for it some time later.
    pub(super) fn renew_key(&mut self, number: usize) {
        if self.stations[number].next_key.is_some() {
            return;
        }
        let key = self.another_key(number);
        let certificate = self.authority.certify(self.stations[number].office, &key, self.now);
        self.stations[number].next_key = Some(key);
        self.tell(format_args!("station {number} is to change its key"));
        // It learns at its start that a key waits.
        self.stop(number);
        let holder = match chance(&mut self.authority.rng, 800) {
            true => Holder::Station(number),
            false => Holder::Relay(index(&mut self.authority.rng, self.relays.len())),
        };
        let later = below(&mut self.authority.rng, 4 * Millis::HOUR);
        self.at(later, Event::Given(holder, vec![certificate]));
    }

    /// A station's key is lost or stolen: everything certified so far is revoked, another key takes its place.
    pub(super) fn lose_key(&mut self, number: usize) {
        let (office, at) = (self.stations[number].office, self.now);
        let certified = self.authority.certified.get(&office).cloned().unwrap_or_default();
        self.authority
            .revoked
            .retain(|entry| !(is_hold(entry) && certified.iter().any(|(serial, _)| *serial == entry.serial)));
        for (serial, _) in certified {
            if self.authority.revoked.iter().all(|entry| entry.serial != serial) {
                self.authority.revoked.push(Revoked { serial, at, why: Why::KeyCompromise });
            }
        }
        let key = self.another_key(number);
        let mut items = vec![self.authority.certify(office, &key, at)];
        items.extend(self.authority.lists(at));
        let stolen = chance(&mut self.authority.rng, 500);
        self.tell(format_args!("station {number}: its key is {}", if stolen { "stolen" } else { "lost" }));
        let station = &mut self.stations[number];
        if stolen {
            // It is still there, and the next one is made beside it.
            station.next_key = Some(key);
        } else {
            (station.key, station.next_key) = (key, None);
        }
        self.stop(number);
        self.take_in(Holder::Station(number), items);
    }

    fn another_key(&mut self, number: usize) -> SigningKey {
        let (seed, serial) = (self.options.seed, self.authority.serials);
        SigningKey::from_bytes(&Sha256::digest(format!("{seed} key {number} {serial}")).into())
    }
}
