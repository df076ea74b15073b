//! What a registrar signs: the whole directory, or what changed since a version.

use std::collections::BTreeMap;

use minicbor::{Decode, Decoder, Encode, Encoder};

use super::index::{Assembly, Directory, DirectoryError};
use super::office::{Office, OfficeFault, Region, Successor, bounded};
use super::signed::SignedDirectoryError;
use crate::cose::{encodes_to, infallible};
use crate::id::{OfficeId, RegionId};
use crate::time::Millis;

/// The largest snapshot, in bytes.
pub const SNAPSHOT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The largest delta, in bytes: every unit of the country changed at once is about 3 MB.
pub const DELTA_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most offices, those that ended included; the national exchange listed 111,339 in October 2025.
pub const OFFICES_MAX: usize = 400_000;
/// The most regions.
pub const REGIONS_MAX: usize = 1_024;
/// The most successions.
pub const SUCCESSORS_MAX: usize = 400_000;

/// The only form of snapshots and deltas so far; another one gets another number.
const FORMAT: u16 = 1;

/// The whole directory at one version. Plain data: [`Directory::new`] decides whether it holds together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectorySnapshot {
    /// Rises with every change.
    pub version: u64,
    /// When the registrar issued it.
    pub issued_at: Millis,
    /// The regions.
    pub regions: Vec<Region>,
    /// The offices.
    pub offices: Vec<Office>,
    /// Who took over from whom.
    pub successors: Vec<Successor>,
}

/// What changed from one version to a later one. Nothing is ever removed: what ends gets an end date.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryDelta {
    /// The version it changes.
    pub base_version: u64,
    /// The version it leads to.
    pub version: u64,
    /// When the registrar issued it.
    pub issued_at: Millis,
    /// Regions that are new or replace the entry with the same id.
    pub regions: Vec<Region>,
    /// Offices that are new or replace the entry with the same id, in full.
    pub upserts: Vec<Office>,
    /// Successions that are new; one that is there already adds nothing.
    pub successors: Vec<Successor>,
}

/// Why bytes are no snapshot or delta, or why one cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Too large.
    #[error("the {what} has {found} bytes, at most {max} are allowed")]
    TooLarge {
        /// Snapshot or delta.
        what: &'static str,
        /// How many it has.
        found: usize,
        /// How many it may have.
        max: usize,
    },
    /// Too many entries of one sort.
    #[error("the {what} has {found} {entries}, at most {max} are allowed")]
    TooMany {
        /// Snapshot or delta.
        what: &'static str,
        /// Which sort.
        entries: &'static str,
        /// How many it has.
        found: usize,
        /// How many it may have.
        max: usize,
    },
    /// Not the expected CBOR.
    #[error("the bytes are no directory {what}; fetch it again")]
    Cbor {
        /// Snapshot or delta.
        what: &'static str,
        /// Where and why.
        source: minicbor::decode::Error,
    },
    /// A form this program does not know.
    #[error("the {what} has format {found}, this program reads format {FORMAT}; update the program")]
    Format {
        /// Snapshot or delta.
        what: &'static str,
        /// Its format.
        found: u16,
    },
    /// The same content could be written otherwise: the signature would not be over one form.
    #[error(
        "the {what} is not in its one deterministic form (order, lengths, unknown fields or trailing bytes)"
    )]
    NotDeterministic {
        /// Snapshot or delta.
        what: &'static str,
    },
    /// An entry twice, or the entries not in order.
    #[error("the {entries} of the {what} are not in ascending order without repetition")]
    Order {
        /// Snapshot or delta.
        what: &'static str,
        /// Which list.
        entries: &'static str,
    },
    /// An office that is not sound on its own.
    #[error("office `{office}` in the {what} is not sound")]
    Office {
        /// Snapshot or delta.
        what: &'static str,
        /// Which.
        office: OfficeId,
        /// Why.
        source: OfficeFault,
    },
    /// A region that is not sound on its own.
    #[error("region `{region}` in the {what} is not sound")]
    Region {
        /// Snapshot or delta.
        what: &'static str,
        /// Which.
        region: RegionId,
        /// Why.
        source: OfficeFault,
    },
}

const SNAPSHOT: &str = "snapshot";
const DELTA: &str = "delta";

/// The bytes of both: a delta is a snapshot of what changed, with a base. Borrowed for writing, owned for
/// reading.
#[derive(Encode)]
#[cbor(map)]
struct Outgoing<'a> {
    #[n(0)]
    format: u16,
    #[n(1)]
    version: u64,
    #[n(2)]
    issued_at: Millis,
    #[n(3)]
    regions: Vec<&'a Region>,
    #[n(4)]
    offices: Vec<&'a Office>,
    #[n(5)]
    successors: Vec<Successor>,
    #[n(6)]
    base_version: Option<u64>,
}

#[derive(Decode)]
#[cbor(map)]
struct Incoming {
    #[n(0)]
    format: u16,
    #[n(1)]
    version: u64,
    #[n(2)]
    issued_at: Millis,
    #[cbor(n(3), decode_with = "bounded::<_, _, REGIONS_MAX>")]
    regions: Vec<Region>,
    #[cbor(n(4), decode_with = "bounded::<_, _, OFFICES_MAX>")]
    offices: Vec<Office>,
    #[cbor(n(5), decode_with = "bounded::<_, _, SUCCESSORS_MAX>")]
    successors: Vec<Successor>,
    #[n(6)]
    base_version: Option<u64>,
}

/// The format number stands first, so that a later form is named as such instead of as broken CBOR.
#[derive(Decode)]
#[cbor(map)]
struct FormatOnly {
    #[n(0)]
    format: u16,
}

impl Outgoing<'_> {
    fn write(mut self, what: &'static str, bytes_max: usize) -> Result<Vec<u8>, SnapshotError> {
        self.regions.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        self.offices.sort_unstable_by_key(|office| office.id);
        self.successors.sort_unstable();
        self.check(what)?;
        let bytes = minicbor::to_vec(&self).expect("writing CBOR into a vector cannot fail");
        if bytes.len() > bytes_max {
            return Err(SnapshotError::TooLarge { what, found: bytes.len(), max: bytes_max });
        }
        Ok(bytes)
    }

    /// What holds for every snapshot and delta that is written or read, so that whatever is written can be
    /// read.
    fn check(&self, what: &'static str) -> Result<(), SnapshotError> {
        for (entries, found, max) in [
            ("regions", self.regions.len(), REGIONS_MAX),
            ("offices", self.offices.len(), OFFICES_MAX),
            ("successions", self.successors.len(), SUCCESSORS_MAX),
        ] {
            if found > max {
                return Err(SnapshotError::TooMany { what, entries, found, max });
            }
        }
        for (entries, ascending) in [
            ("regions", self.regions.is_sorted_by(|a, b| a.id < b.id)),
            ("offices", self.offices.is_sorted_by(|a, b| a.id < b.id)),
            ("successions", self.successors.is_sorted_by(|a, b| a < b)),
        ] {
            if !ascending {
                return Err(SnapshotError::Order { what, entries });
            }
        }
        for region in &self.regions {
            let named = |source| SnapshotError::Region { what, region: region.id.clone(), source };
            region.check().map_err(named)?;
        }
        for office in &self.offices {
            office.check().map_err(|source| SnapshotError::Office { what, office: office.id, source })?;
        }
        Ok(())
    }
}

impl Incoming {
    fn read(bytes: &[u8], what: &'static str, bytes_max: usize) -> Result<Self, SnapshotError> {
        if bytes.len() > bytes_max {
            return Err(SnapshotError::TooLarge { what, found: bytes.len(), max: bytes_max });
        }
        let FormatOnly { format } =
            minicbor::decode(bytes).map_err(|source| SnapshotError::Cbor { what, source })?;
        if format != FORMAT {
            return Err(SnapshotError::Format { what, found: format });
        }
        let read: Self = minicbor::decode(bytes).map_err(|source| SnapshotError::Cbor { what, source })?;
        let again = read.outgoing();
        again.check(what)?;
        if minicbor::to_vec(&again).expect("writing CBOR into a vector cannot fail") != bytes {
            return Err(SnapshotError::NotDeterministic { what });
        }
        Ok(read)
    }

    fn outgoing(&self) -> Outgoing<'_> {
        Outgoing {
            format: self.format,
            version: self.version,
            issued_at: self.issued_at,
            regions: self.regions.iter().collect(),
            offices: self.offices.iter().collect(),
            successors: self.successors.clone(),
            base_version: self.base_version,
        }
    }
}

impl DirectorySnapshot {
    /// Its bytes, the same for the same content in whatever order.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] when it would not be readable: too large, an entry twice, an entry unsound.
    pub fn encode(&self) -> Result<Vec<u8>, SnapshotError> {
        let outgoing = Outgoing {
            format: FORMAT,
            version: self.version,
            issued_at: self.issued_at,
            regions: self.regions.iter().collect(),
            offices: self.offices.iter().collect(),
            successors: self.successors.clone(),
            base_version: None,
        };
        outgoing.write(SNAPSHOT, SNAPSHOT_BYTES_MAX)
    }

    /// Reads bytes whose signature was verified. Bounded before parsing; only the one deterministic form is
    /// taken.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`], also for a delta.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let read = Incoming::read(bytes, SNAPSHOT, SNAPSHOT_BYTES_MAX)?;
        if read.base_version.is_some() {
            let source = minicbor::decode::Error::message("it has a base version: this is a delta");
            return Err(SnapshotError::Cbor { what: SNAPSHOT, source });
        }
        let Incoming { version, issued_at, regions, offices, successors, .. } = read;
        Ok(Self { version, issued_at, regions, offices, successors })
    }
}

impl DirectoryDelta {
    /// Its bytes, the same for the same content in whatever order.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`] when it would not be readable: too large, an entry twice, an entry unsound.
    pub fn encode(&self) -> Result<Vec<u8>, SnapshotError> {
        let outgoing = Outgoing {
            format: FORMAT,
            version: self.version,
            issued_at: self.issued_at,
            regions: self.regions.iter().collect(),
            offices: self.upserts.iter().collect(),
            successors: self.successors.clone(),
            base_version: Some(self.base_version),
        };
        outgoing.write(DELTA, DELTA_BYTES_MAX)
    }

    /// Reads bytes whose signature was verified. Bounded before parsing; only the one deterministic form is
    /// taken.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`], also for a snapshot.
    pub fn decode(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let read = Incoming::read(bytes, DELTA, DELTA_BYTES_MAX)?;
        let Incoming { version, issued_at, regions, offices: upserts, successors, base_version, .. } = read;
        let Some(base_version) = base_version else {
            let source = minicbor::decode::Error::message("it has no base version: this is a snapshot");
            return Err(SnapshotError::Cbor { what: DELTA, source });
        };
        Ok(Self { base_version, version, issued_at, regions, upserts, successors })
    }

    /// The directory after this change. The old one stays as it is.
    ///
    /// # Errors
    ///
    /// [`DirectoryError`]: made for another version, not newer, or leading to no sound directory.
    pub fn apply(&self, directory: &Directory) -> Result<Directory, DirectoryError> {
        if self.base_version != directory.version() {
            return Err(DirectoryError::WrongBase { base: self.base_version, found: directory.version() });
        }
        if self.version <= directory.version() {
            return Err(DirectoryError::NotNewer { version: self.version, found: directory.version() });
        }
        if self.issued_at < directory.issued_at() {
            return Err(DirectoryError::IssuedEarlier {
                issued_at: self.issued_at,
                found: directory.issued_at(),
            });
        }
        let mut regions = directory.regions_by_id().clone();
        for (n, region) in self.regions.iter().enumerate() {
            if self.regions[..n].iter().any(|earlier| earlier.id == region.id) {
                return Err(DirectoryError::RegionTwice { region: region.id.clone() });
            }
            regions.insert(region.id.clone(), region.clone());
        }
        let mut changed = BTreeMap::new();
        for office in &self.upserts {
            if changed.insert(office.id, office).is_some() {
                return Err(DirectoryError::OfficeTwice { office: office.id });
            }
        }
        let shelf = directory.shelf();
        let added = changed.keys().filter(|office| shelf.number(office).is_none()).count();
        let offices = shelf.len() + added;
        let mut assembly = Assembly::start(self.version, self.issued_at, regions, offices)?;
        let mut changed = changed.into_values().peekable();
        for number in shelf.numbers() {
            let id = shelf.id(number);
            while let Some(new) = changed.next_if(|new| new.id < id) {
                assembly.add(new)?;
            }
            match changed.next_if(|new| new.id == id) {
                Some(new) => assembly.add(new)?,
                None => assembly.add_encoded(&shelf.read(number), shelf.encoded(number))?,
            }
        }
        for new in changed {
            assembly.add(new)?;
        }
        let mut successors = directory.successors().to_vec();
        successors
            .extend(self.successors.iter().filter(|new| directory.successors().binary_search(new).is_err()));
        assembly.finish(successors)
    }
}

/// Reads a snapshot into a directory, one office at a time: at no time are all of them taken apart, which would be
/// most of the memory a station has.
///
/// # Errors
///
/// As [`DirectorySnapshot::decode`] and [`Directory::new`] one after the other.
pub(super) fn read_directory(bytes: &[u8]) -> Result<Directory, SignedDirectoryError> {
    match read_in_order(bytes) {
        Some(directory) => Ok(directory),
        // Something is wrong, and the long way says what.
        None => Ok(Directory::new(DirectorySnapshot::decode(bytes)?)?),
    }
}

/// `None` for whatever is not the one deterministic form of a sound directory.
fn read_in_order(bytes: &[u8]) -> Option<Directory> {
    if bytes.len() > SNAPSHOT_BYTES_MAX {
        return None;
    }
    let mut d = Decoder::new(bytes);
    let labelled = |d: &mut Decoder<'_>, label| (d.u8().ok()? == label).then_some(());
    (d.map().ok()? == Some(6)).then_some(())?;
    labelled(&mut d, 0)?;
    (d.u16().ok()? == FORMAT).then_some(())?;
    labelled(&mut d, 1)?;
    let version = d.u64().ok()?;
    labelled(&mut d, 2)?;
    let issued_at: Millis = d.decode().ok()?;
    labelled(&mut d, 3)?;
    let regions: Vec<Region> = bounded::<_, _, REGIONS_MAX>(&mut d, &mut ()).ok()?;
    labelled(&mut d, 4)?;
    let offices = d.array().ok()??;
    let offices = usize::try_from(offices).ok().filter(|offices| *offices <= OFFICES_MAX)?;

    let mut head = Vec::with_capacity(d.position());
    let mut e = Encoder::new(&mut head);
    infallible(e.map(6).and_then(|e| e.u8(0)?.u16(FORMAT)?.u8(1)?.u64(version)?.u8(2)?.encode(issued_at)));
    infallible(e.u8(3).and_then(|e| e.encode(&regions)?.u8(4)?.array(offices as u64)));
    (head == bytes[..d.position()]).then_some(())?;
    regions.is_sorted_by(|a, b| a.id < b.id).then_some(())?;

    let by_id = regions.into_iter().map(|region| (region.id.clone(), region)).collect();
    // What is set aside must be in proportion to what came.
    (offices <= bytes.len()).then_some(())?;
    let mut assembly = Assembly::start(version, issued_at, by_id, offices).ok()?;
    let mut last = None;
    for _ in 0..offices {
        let start = d.position();
        let office: Office = d.decode().ok()?;
        let encoded = &bytes[start..d.position()];
        let fits = last < Some(office.id) && encodes_to(&office, encoded);
        fits.then_some(())?;
        assembly.add_encoded(&office, encoded).ok()?;
        last = Some(office.id);
    }
    let end = d.position();
    labelled(&mut d, 5)?;
    let successors: Vec<Successor> = bounded::<_, _, SUCCESSORS_MAX>(&mut d, &mut ()).ok()?;
    let mut tail = Vec::with_capacity(bytes.len() - end);
    infallible(Encoder::new(&mut tail).u8(5).and_then(|e| e.encode(&successors)));
    let fits = tail == bytes[end..] && successors.is_sorted_by(|a, b| a < b);
    fits.then_some(())?;
    assembly.finish(successors).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::DirectoryBuilder;
    use proptest::prelude::*;

    fn both(bytes: &[u8]) -> (Option<Directory>, Option<Directory>) {
        let long = DirectorySnapshot::decode(bytes).ok().and_then(|snapshot| Directory::new(snapshot).ok());
        (read_in_order(bytes), long)
    }

    fn small() -> Vec<u8> {
        let mut builder = DirectoryBuilder::new();
        builder.region(Region {
            id: "p01".parse().expect("a region"),
            name: "Khu vực một".to_owned(),
            url: "nats://relay.example:4222".to_owned(),
            login: None,
            stamp_key: None,
        });
        for n in 1..4_u8 {
            let mut office = Office::new(OfficeId::new([n; 16]));
            let text = format!("Xã số {n}");
            office.names.push(crate::directory::Name { text, validity: crate::directory::Validity::ALWAYS });
            office.relays.push("p01".parse().expect("a region"));
            builder.office(office);
        }
        let (old, new) = (OfficeId::new([1; 16]), OfficeId::new([2; 16]));
        builder.successor(Successor { old, new, date: jiff::civil::date(2025, 7, 1) });
        let directory = builder.build(3, Millis(5)).expect("sound");
        directory.snapshot().encode().expect("small")
    }

    /// `bytes` with two neighbouring parts changed about.
    fn swapped(bytes: &[u8], first: &[u8], second: &[u8]) -> Vec<u8> {
        let both = [first, second].concat();
        let at = bytes.windows(both.len()).position(|window| window == both).expect("both are there");
        [&bytes[..at], second, first, &bytes[at + both.len()..]].concat()
    }

    #[test]
    fn lists_out_of_order_are_not_read_in_order() {
        let bytes = small();
        let offices = DirectorySnapshot::decode(&bytes).expect("sound").offices;
        let [first, second, _] = &offices[..] else { unreachable!("it has three offices") };
        let [first, second] = [first, second].map(|office| minicbor::to_vec(office).expect("in memory"));
        let (short, long) = both(&swapped(&bytes, &first, &second));
        assert!(short.is_none() && long.is_none(), "offices");
        let (short, long) = both(&[&bytes[..], &[0]].concat());
        assert!(short.is_none() && long.is_none(), "trailing bytes");
    }

    #[test]
    fn the_country_is_read_in_order() {
        let country =
            DirectoryBuilder::country().and_then(|builder| builder.build(1, Millis(0))).expect("sound");
        let (short, long) = both(&country.snapshot().encode().expect("within bounds"));
        assert!(short.as_ref() == Some(&country) && long == short);
    }

    proptest! {
        #[test]
        fn both_ways_of_reading_agree_on_whatever_comes(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        ) {
            let mut bytes = small();
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let (short, long) = both(&bytes);
            prop_assert_eq!(short, long);
        }
    }
}
