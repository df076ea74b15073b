//! Who has how much room in the content store, and what gives way. No disk.
//!
//! An attachment that an office has brought is *held* for it until its station says that every recipient has given a receipt:
//! that is what the receipts in its outbox say, whichever way they came. Held ones never give way, whatever their age. Everything else is a copy
//! that can be had again, and the one that was used the longest ago goes first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use schema::blob::{BLOB_BYTES_MAX, BlobRef, CHUNK_BYTES, fingerprint};
use schema::event::Urgency;
use schema::id::{BlobHash, OfficeId};

/// An upload that nothing was added to for so long may give way to another one; its sender still has everything.
pub(super) const IDLE: Duration = Duration::from_secs(3_600);

/// Most bytes, as the operator has set them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContentLimits {
    /// Of everything, complete or not.
    pub bytes_max: u64,
    /// Of what is kept for one office's sends.
    pub office_bytes_max: u64,
}

impl ContentLimits {
    /// The largest attachment that is taken, in bytes, whatever its urgency.
    pub fn blob_bytes_max(&self) -> u64 {
        self.share(self.bytes_max.min(self.office_bytes_max), Urgency::Normal).min(BLOB_BYTES_MAX)
    }

    /// A tenth is for express documents: a store that is full of other things still takes them.
    fn share(self, bytes: u64, urgency: Urgency) -> u64 {
        if urgency.overtakes() { bytes } else { bytes / 10 * 9 }
    }
}

/// Where chunks come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// From an office of this region, for what it sends: held for it.
    Office(OfficeId),
    /// From peer relays, on request of an addressee here: a copy.
    Peers,
    /// From a courier file: a copy.
    Courier,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Office(office) => office.fmt(f),
            Self::Peers => f.write_str("peers"),
            Self::Courier => f.write_str("courier"),
        }
    }
}

impl FromStr for Source {
    type Err = <OfficeId as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "peers" => Ok(Self::Peers),
            "courier" => Ok(Self::Courier),
            office => office.parse().map(Self::Office),
        }
    }
}

/// An attachment that comes from somewhere.
pub(super) type Part = (Source, BlobRef);

/// Why there is no room. The words begin with a code word that stations translate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoRoom {
    /// It will never fit.
    #[error(
        "attachment-too-large: the sealed attachment `{blob}` has {length} bytes, this relay takes at most {max}; \
         send it in parts, or have the operator raise `content_office_bytes_max` or `content_bytes_max`"
    )]
    TooLarge {
        /// The attachment.
        blob: BlobHash,
        /// Its length in bytes.
        length: u64,
        /// The bound in bytes.
        max: u64,
    },
    /// The office has too much under way.
    #[error(
        "attachment-quota: {used} bytes of attachments are kept here for office `{office}` until their recipients give receipts; \
         {length} more are above its {max} bytes (`content_office_bytes_max`); express documents have a tenth more"
    )]
    Quota {
        /// The office.
        office: OfficeId,
        /// How many bytes are kept for it.
        used: u64,
        /// How many more are wanted.
        length: u64,
        /// The bound in bytes.
        max: u64,
    },
    /// The disk is nearly full, whatever the bounds say.
    #[error(
        "no-room: attachment `{blob}` of {length} bytes: the relay's disk has {free} bytes left for attachments, and what is \
         here waits for receipts; its operator must make room"
    )]
    Disk {
        /// The attachment.
        blob: BlobHash,
        /// Its length in bytes.
        length: u64,
        /// What may be used, in bytes.
        free: u64,
    },
    /// Everything here is waited for.
    #[error(
        "attachments-full: {used} bytes of attachments wait here for receipts; {length} more are above {max} bytes \
         (nine tenths of `content_bytes_max`); receipts and express documents are still taken"
    )]
    Full {
        /// How many bytes are kept.
        used: u64,
        /// How many more are wanted.
        length: u64,
        /// The bound in bytes.
        max: u64,
    },
}

/// What gives way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum GivesWay {
    Whole(BlobHash),
    Part(Part),
}

/// How much there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ContentSize {
    /// Complete attachments.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that are held until receipts have come, and so do not give way.
    pub held_bytes: u64,
    /// Bytes set aside for attachments that are not complete yet.
    pub partial_bytes: u64,
}

pub(super) struct Room {
    limits: ContentLimits,
    /// Rises with each use, so that what was used the longest ago is the smallest.
    clock: u64,
    whole: BTreeMap<BlobHash, Whole>,
    /// Those that nobody holds, by their last use.
    copies: BTreeMap<u64, BlobHash>,
    whole_bytes: u64,
    copies_bytes: u64,
    parts: BTreeMap<Part, Partial>,
    parts_by_age: BTreeMap<u64, Part>,
    parts_bytes: u64,
    /// Of them, what has not come yet and so takes no room on the disk.
    unwritten_bytes: u64,
    /// Complete and being checked. A chunk that comes once more meanwhile must not begin the attachment anew.
    checking: BTreeSet<Part>,
    /// What is held for each office or set aside for its uploads.
    used: BTreeMap<OfficeId, Used>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Used {
    pub(super) bytes: u64,
    /// [`fingerprint`]s, combined by exclusive or.
    pub(super) fingerprint: u64,
}

struct Whole {
    length: u64,
    last_use: u64,
    holders: BTreeSet<OfficeId>,
}

struct Partial {
    have: Vec<bool>,
    missing: usize,
    age: u64,
    touched: Instant,
}

impl Partial {
    /// Nearly: the last chunk may be shorter.
    fn unwritten_bytes(&self, part: &Part) -> u64 {
        (self.missing as u64 * u64::from(CHUNK_BYTES)).min(part.1.length)
    }
}

impl Room {
    pub(super) fn new(limits: ContentLimits) -> Self {
        Self {
            limits,
            clock: 0,
            whole: BTreeMap::new(),
            copies: BTreeMap::new(),
            whole_bytes: 0,
            copies_bytes: 0,
            parts: BTreeMap::new(),
            parts_by_age: BTreeMap::new(),
            parts_bytes: 0,
            unwritten_bytes: 0,
            checking: BTreeSet::new(),
            used: BTreeMap::new(),
        }
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    pub(super) fn size(&self) -> ContentSize {
        ContentSize {
            blobs: self.whole.len() as u64,
            bytes: self.whole_bytes,
            held_bytes: self.whole_bytes - self.copies_bytes,
            partial_bytes: self.parts_bytes,
        }
    }

    /// What is held for an office, or set aside for its uploads.
    pub(super) fn used_by(&self, office: &OfficeId) -> Used {
        self.used.get(office).copied().unwrap_or_default()
    }

    /// Whether it is here as a whole.
    pub(super) fn holds(&self, blob: &BlobRef) -> bool {
        self.whole.get(&blob.hash).is_some_and(|whole| whole.length == blob.length)
    }

    /// A complete attachment is used: it gives way later.
    pub(super) fn use_copy(&mut self, hash: &BlobHash) {
        let now = self.tick();
        if let Some(whole) = self.whole.get_mut(hash)
            && self.copies.remove(&whole.last_use).is_some()
        {
            whole.last_use = now;
            self.copies.insert(now, *hash);
        }
    }

    /// A complete attachment is here, as a copy.
    pub(super) fn keep(&mut self, blob: &BlobRef) {
        if self.holds(blob) {
            return;
        }
        self.drop_whole(&blob.hash);
        let last_use = self.tick();
        self.whole.insert(blob.hash, Whole { length: blob.length, last_use, holders: BTreeSet::new() });
        self.copies.insert(last_use, blob.hash);
        self.whole_bytes += blob.length;
        self.copies_bytes += blob.length;
    }

    /// Holds a complete attachment for an office; `false` when it is not here, or the office has no room for it.
    pub(super) fn hold(&mut self, office: OfficeId, blob: &BlobRef) -> bool {
        if !self.holds(blob) {
            return false;
        }
        let used = self.used_by(&office).bytes;
        let Some(whole) = self.whole.get_mut(&blob.hash) else { return false };
        if whole.holders.contains(&office) {
            return true;
        }
        if used + blob.length > self.limits.office_bytes_max {
            return false;
        }
        if whole.holders.is_empty() {
            self.copies.remove(&whole.last_use);
            self.copies_bytes -= blob.length;
        }
        whole.holders.insert(office);
        self.uses_more(office, blob);
        true
    }

    /// An office needs it no more: what nobody holds is a copy.
    pub(super) fn release(&mut self, office: OfficeId, blob: &BlobRef) {
        self.end(&(Source::Office(office), *blob));
        if !self.holds(blob) {
            return;
        }
        let now = self.tick();
        let Some(whole) = self.whole.get_mut(&blob.hash) else { return };
        if !whole.holders.remove(&office) {
            return;
        }
        if whole.holders.is_empty() {
            whole.last_use = now;
            self.copies.insert(now, blob.hash);
            self.copies_bytes += blob.length;
        }
        self.uses_less(office, blob);
    }

    /// Offices for which anything is held or set aside.
    pub(super) fn offices(&self) -> Vec<OfficeId> {
        self.used.keys().copied().collect()
    }

    /// What is held for an office, or on its way from it.
    pub(super) fn of_office(&self, office: OfficeId) -> Vec<BlobRef> {
        let whole = self.whole.iter().filter(|(_, whole)| whole.holders.contains(&office));
        let whole = whole.map(|(hash, whole)| BlobRef { hash: *hash, length: whole.length });
        let parts = self.parts.keys().filter(|(source, _)| *source == Source::Office(office));
        whole.chain(parts.map(|(_, blob)| *blob)).collect()
    }

    fn uses_more(&mut self, office: OfficeId, blob: &BlobRef) {
        let used = self.used.entry(office).or_default();
        used.bytes += blob.length;
        used.fingerprint ^= fingerprint(blob);
    }

    fn uses_less(&mut self, office: OfficeId, blob: &BlobRef) {
        let Some(used) = self.used.get_mut(&office) else { return };
        used.bytes -= blob.length;
        used.fingerprint ^= fingerprint(blob);
        if used.bytes == 0 {
            self.used.remove(&office);
        }
    }

    pub(super) fn drop_whole(&mut self, hash: &BlobHash) {
        let Some(whole) = self.whole.remove(hash) else { return };
        self.whole_bytes -= whole.length;
        if whole.holders.is_empty() {
            self.copies.remove(&whole.last_use);
            self.copies_bytes -= whole.length;
        }
        for office in whole.holders {
            self.uses_less(office, &BlobRef { hash: *hash, length: whole.length });
        }
    }

    /// Makes room for a new part and begins it; says what has to go from the disk for it, which has `free` bytes for attachments.
    pub(super) fn begin(
        &mut self,
        part: Part,
        urgency: Urgency,
        free: u64,
        now: Instant,
    ) -> Result<Vec<GivesWay>, NoRoom> {
        let (source, BlobRef { hash, length }) = part;
        let (limits, max) = (self.limits, self.limits.blob_bytes_max());
        if length == 0 || length > max {
            return Err(NoRoom::TooLarge { blob: hash, length, max });
        }
        // Nothing gives way before it is sure that it helps.
        let office_max = limits.share(limits.office_bytes_max, urgency);
        if let Source::Office(office) = source {
            let used = self.used_by(&office).bytes;
            if used - self.idle_bytes(Some(source), now) + length > office_max {
                return Err(NoRoom::Quota { office, used, length, max: office_max });
            }
        }
        let max = limits.share(limits.bytes_max, urgency);
        let used = self.whole_bytes + self.parts_bytes - self.copies_bytes - self.idle_bytes(None, now);
        if used + length > max {
            return Err(NoRoom::Full { used, length, max });
        }
        // What is set aside for other uploads is as good as written.
        let mut free_now = free.saturating_sub(self.unwritten_bytes);
        if length > free_now.saturating_add(self.copies_bytes) {
            return Err(NoRoom::Disk { blob: hash, length, free: free_now });
        }
        let mut gone = Vec::new();
        if let Source::Office(office) = source {
            while self.used_by(&office).bytes + length > office_max {
                let oldest = self.idle_parts(Some(source), now).next();
                let Some(oldest) = oldest else { break };
                self.give_way(GivesWay::Part(oldest), &mut gone);
            }
        }
        while self.whole_bytes + self.parts_bytes + length > max || length > free_now {
            let copies_before = self.copies_bytes;
            let copy = self.oldest_copy().map(GivesWay::Whole);
            let oldest = copy.or_else(|| self.idle_parts(None, now).next().map(GivesWay::Part));
            let Some(oldest) = oldest else { break };
            self.give_way(oldest, &mut gone);
            free_now = free_now.saturating_add(copies_before - self.copies_bytes);
        }
        self.put(part, vec![false; part.1.chunks() as usize], now);
        Ok(gone)
    }

    /// The copy that was used the longest ago.
    pub(super) fn oldest_copy(&self) -> Option<BlobHash> {
        self.copies.first_key_value().map(|(_, hash)| *hash)
    }

    fn give_way(&mut self, what: GivesWay, gone: &mut Vec<GivesWay>) {
        match &what {
            GivesWay::Whole(hash) => self.drop_whole(hash),
            GivesWay::Part(part) => self.end(part),
        }
        gone.push(what);
    }

    /// Parts that nothing was added to for long, the oldest first.
    fn idle_parts(&self, of: Option<Source>, now: Instant) -> impl Iterator<Item = Part> {
        let idle = move |part: &&Part| {
            let touched = self.parts.get(*part).map(|partial| partial.touched);
            touched.is_some_and(|touched| now.saturating_duration_since(touched) >= IDLE)
        };
        self.parts_by_age.values().filter(idle).filter(move |part| of.is_none_or(|of| of == part.0)).copied()
    }

    fn idle_bytes(&self, of: Option<Source>, now: Instant) -> u64 {
        self.idle_parts(of, now).map(|(_, blob)| blob.length).sum()
    }

    /// A part of which these chunks are here.
    pub(super) fn put(&mut self, part: Part, have: Vec<bool>, now: Instant) {
        let age = self.tick();
        let missing = have.iter().filter(|have| !**have).count();
        self.end(&part);
        self.parts_by_age.insert(age, part);
        let partial = Partial { have, missing, age, touched: now };
        self.unwritten_bytes += partial.unwritten_bytes(&part);
        self.parts.insert(part, partial);
        self.parts_bytes += part.1.length;
        if let (Source::Office(office), blob) = part {
            self.uses_more(office, &blob);
        }
    }

    pub(super) fn end(&mut self, part: &Part) {
        let Some(partial) = self.parts.remove(part) else { return };
        self.parts_by_age.remove(&partial.age);
        self.unwritten_bytes -= partial.unwritten_bytes(part);
        self.parts_bytes -= part.1.length;
        if let (Source::Office(office), blob) = part {
            self.uses_less(*office, blob);
        }
    }

    pub(super) fn has_part(&self, part: &Part) -> bool {
        self.parts.contains_key(part)
    }

    pub(super) fn has_chunk(&self, part: &Part, index: u32) -> bool {
        self.parts.get(part).is_some_and(|partial| partial.have[index as usize])
    }

    /// Notes a chunk; says whether the attachment is complete, and then it is being checked and no part any more.
    pub(super) fn arrived(&mut self, part: &Part, index: u32, now: Instant) -> bool {
        let Some(partial) = self.parts.get_mut(part) else { return false };
        partial.touched = now;
        let before = partial.unwritten_bytes(part);
        if !std::mem::replace(&mut partial.have[index as usize], true) {
            partial.missing -= 1;
        }
        self.unwritten_bytes -= before - partial.unwritten_bytes(part);
        let complete = partial.missing == 0;
        if complete {
            self.checking.insert(*part);
        }
        complete
    }

    pub(super) fn is_checking(&self, part: &Part) -> bool {
        self.checking.contains(part)
    }

    /// The check has ended; what was set aside for it is free.
    pub(super) fn checked(&mut self, part: &Part) {
        self.checking.remove(part);
        self.end(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: OfficeId = OfficeId::new([1; 16]);
    const B: OfficeId = OfficeId::new([2; 16]);
    const EMPTY_DISK: u64 = 1 << 40;

    fn blob(n: u8, length: u64) -> BlobRef {
        BlobRef { hash: BlobHash::new([n; 32]), length }
    }

    fn room(bytes_max: u64, office_bytes_max: u64) -> Room {
        Room::new(ContentLimits { bytes_max, office_bytes_max })
    }

    /// Brings a whole attachment.
    fn bring(
        room: &mut Room,
        from: Source,
        blob: BlobRef,
        urgency: Urgency,
    ) -> Result<Vec<GivesWay>, NoRoom> {
        let now = Instant::now();
        let part = (from, blob);
        let gone = room.begin(part, urgency, EMPTY_DISK, now)?;
        for index in 0..blob.chunks() {
            room.arrived(&part, index, now);
        }
        room.checked(&part);
        room.keep(&blob);
        if let Source::Office(office) = from {
            assert!(room.hold(office, &blob));
        }
        Ok(gone)
    }

    #[test]
    fn what_waits_for_receipts_never_gives_way_and_what_nobody_waits_for_does() {
        let mut room = room(1_000, 10_000);
        bring(&mut room, Source::Office(A), blob(1, 400), Urgency::Normal).expect("room");
        bring(&mut room, Source::Peers, blob(2, 400), Urgency::Normal).expect("room");
        let gone = bring(&mut room, Source::Office(B), blob(3, 400), Urgency::Normal).expect("room");
        assert_eq!(gone, [GivesWay::Whole(blob(2, 400).hash)], "the copy, not what is older and held");
        let refused = bring(&mut room, Source::Office(B), blob(4, 400), Urgency::Normal);
        assert_eq!(refused, Err(NoRoom::Full { used: 800, length: 400, max: 900 }));
        room.release(A, &blob(1, 400));
        let gone = bring(&mut room, Source::Office(B), blob(4, 400), Urgency::Normal).expect("room");
        assert_eq!(gone, [GivesWay::Whole(blob(1, 400).hash)]);
    }

    #[test]
    fn full_store_still_takes_express() {
        let mut room = room(1_000, 10_000);
        bring(&mut room, Source::Office(A), blob(1, 900), Urgency::Normal).expect("room");
        let refused = bring(&mut room, Source::Office(A), blob(2, 90), Urgency::Urgent);
        assert!(matches!(refused, Err(NoRoom::Full { .. })), "{refused:?}");
        bring(&mut room, Source::Office(A), blob(2, 90), Urgency::Express).expect("a tenth is for these");
        let refused = bring(&mut room, Source::Office(A), blob(3, 90), Urgency::Express);
        assert!(matches!(refused, Err(NoRoom::Full { .. })), "{refused:?}");
    }

    #[test]
    fn office_that_has_used_its_share_takes_no_room_from_others() {
        let mut room = room(10_000, 1_000);
        bring(&mut room, Source::Office(A), blob(1, 800), Urgency::Normal).expect("room");
        let refused = bring(&mut room, Source::Office(A), blob(2, 200), Urgency::Normal);
        assert_eq!(refused, Err(NoRoom::Quota { office: A, used: 800, length: 200, max: 900 }));
        bring(&mut room, Source::Office(B), blob(2, 200), Urgency::Normal).expect("room");
        // It is here already, for another office: there is no reason to refuse it, nor to hold it twice.
        assert!(!room.hold(A, &blob(2, 300)), "another length is another attachment");
        bring(&mut room, Source::Office(A), blob(3, 200), Urgency::Express).expect("a tenth is for these");
        assert!(!room.hold(A, &blob(2, 200)), "beyond its share it is a copy");
    }

    #[test]
    fn attachment_of_two_offices_is_held_until_both_have_their_receipts() {
        let mut room = room(1_000, 1_000);
        bring(&mut room, Source::Office(A), blob(1, 500), Urgency::Normal).expect("room");
        assert!(room.hold(B, &blob(1, 500)));
        room.release(A, &blob(1, 500));
        room.release(A, &blob(1, 500));
        assert_eq!(room.size().held_bytes, 500);
        room.release(B, &blob(1, 500));
        assert_eq!(room.size(), ContentSize { blobs: 1, bytes: 500, held_bytes: 0, partial_bytes: 0 });
        assert!(room.offices().is_empty());
    }

    #[test]
    fn upload_that_was_given_up_gives_way_and_one_that_goes_on_does_not() {
        let mut room = room(1_000, 1_000);
        let began = Instant::now();
        room.begin((Source::Office(A), blob(1, 600)), Urgency::Normal, EMPTY_DISK, began).expect("room");
        let part = (Source::Office(B), blob(2, 600));
        let refused = room.begin(part, Urgency::Normal, EMPTY_DISK, began);
        assert!(matches!(refused, Err(NoRoom::Full { .. })), "{refused:?}");
        let gone = room.begin(part, Urgency::Normal, EMPTY_DISK, began + IDLE).expect("room");
        assert_eq!(gone, [GivesWay::Part((Source::Office(A), blob(1, 600)))]);
        assert_eq!(room.used_by(&A), Used::default());
    }

    /// What the room forgot would stay on the disk, counted by nobody.
    #[test]
    fn upload_that_is_refused_takes_nothing_from_anybody() {
        let mut room = room(1_000, 1_000);
        let began = Instant::now();
        room.begin((Source::Office(A), blob(1, 600)), Urgency::Normal, EMPTY_DISK, began).expect("room");
        bring(&mut room, Source::Office(B), blob(2, 300), Urgency::Normal).expect("room");
        let (size, later) = (room.size(), began + IDLE);
        let full = room.begin((Source::Office(A), blob(3, 700)), Urgency::Normal, EMPTY_DISK, later);
        assert_eq!(full, Err(NoRoom::Full { used: 300, length: 700, max: 900 }));
        let disk = room.begin((Source::Office(A), blob(3, 500)), Urgency::Normal, 1_000, later);
        assert!(matches!(disk, Err(NoRoom::Disk { .. })), "{disk:?}");
        assert_eq!((room.size(), room.of_office(A)), (size, vec![blob(1, 600)]));
    }

    #[test]
    fn disk_that_is_nearly_full_is_left_to_mail() {
        let mut room = room(10_000, 10_000);
        bring(&mut room, Source::Peers, blob(1, 400), Urgency::Normal).expect("room");
        bring(&mut room, Source::Office(A), blob(2, 400), Urgency::Normal).expect("room");
        let part = |n| (Source::Office(A), blob(n, 500));
        let now = Instant::now();
        let refused = room.begin(part(3), Urgency::Express, 99, now);
        assert_eq!(refused, Err(NoRoom::Disk { blob: part(3).1.hash, length: 500, free: 99 }));
        assert!(room.holds(&blob(1, 400)), "something gave way for nothing");
        let gone = room.begin(part(3), Urgency::Normal, 100, now).expect("the copy gives way");
        assert_eq!(gone, [GivesWay::Whole(blob(1, 400).hash)]);
        // What the first one will need is not there for the second.
        let refused = room.begin(part(4), Urgency::Normal, 999, now);
        assert_eq!(refused, Err(NoRoom::Disk { blob: part(4).1.hash, length: 500, free: 499 }));
        room.arrived(&part(3), 0, now);
        room.begin(part(4), Urgency::Normal, 500, now).expect("room");
    }

    proptest! {
        /// Whatever comes in whatever order, the sums are those of what is there, and no bound is passed.
        #[test]
        fn sums_hold_and_bounds_are_kept(
            acts in proptest::collection::vec((0_u8..6, 0_u8..3, 1_u8..12, 1_u64..400, any::<bool>()), 0..200),
        ) {
            let mut room = room(2_000, 1_000);
            let mut now = Instant::now();
            for (act, office, n, length, express) in acts {
                let office = OfficeId::new([office; 16]);
                let urgency = if express { Urgency::Express } else { Urgency::Normal };
                let blob = blob(n, length);
                match act {
                    0 => { let _ = room.begin((Source::Office(office), blob), urgency, 3_000, now); }
                    1 => { let _ = bring(&mut room, Source::Peers, blob, urgency); }
                    2 => room.release(office, &blob),
                    3 => { room.hold(office, &blob); }
                    4 => now += IDLE / 2,
                    _ => {
                        let part = (Source::Office(office), blob);
                        if room.has_part(&part) {
                            room.checked(&part);
                            room.keep(&blob);
                            room.hold(office, &blob);
                        }
                    }
                }
                let whole: u64 = room.whole.values().map(|whole| whole.length).sum();
                let held: u64 = room.whole.values().filter(|w| !w.holders.is_empty()).map(|w| w.length).sum();
                let parts: u64 = room.parts.keys().map(|(_, blob)| blob.length).sum();
                prop_assert_eq!(room.size().bytes, whole);
                prop_assert_eq!(room.size().held_bytes, held);
                prop_assert_eq!(room.size().partial_bytes, parts);
                let unwritten: u64 = room.parts.iter().map(|(part, partial)| partial.unwritten_bytes(part)).sum();
                prop_assert_eq!(room.unwritten_bytes, unwritten);
                prop_assert_eq!(room.copies.len() + room.whole.values().filter(|w| !w.holders.is_empty()).count(), room.whole.len());
                prop_assert_eq!(room.parts.len(), room.parts_by_age.len());
                prop_assert!(whole + parts <= 2_000);
                for office in [0, 1, 2].map(|n| OfficeId::new([n; 16])) {
                    let of = room.of_office(office);
                    let bytes: u64 = of.iter().map(|blob| blob.length).sum();
                    let fingerprint = of.iter().fold(0, |all, blob| all ^ fingerprint(blob));
                    prop_assert_eq!(room.used_by(&office), Used { bytes, fingerprint });
                    prop_assert!(bytes <= 1_000);
                }
            }
        }
    }
}
