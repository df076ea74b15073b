//! The offices in little room: as they are signed, one behind the other, and taken apart when they are asked for.
//!
//! A station talks to some hundred offices of more than a hundred thousand, and has 64 MB for everything. As values
//! with their own texts and lists the offices take four times the room of their signed form.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use minicbor::decode::Error as DecodeError;
use minicbor::{Decode, Decoder};

use super::office::{CodeSystem, Office, Validity};
use crate::id::{OfficeId, RegionId};

/// The labels of an office's fields that are read without taking the whole office apart.
const NAMES: u32 = 1;
const CODES: u32 = 3;

/// Sound offices, sorted by id, each named by its number in here.
#[derive(Clone, Default)]
pub(super) struct Shelf {
    bytes: Vec<u8>,
    ids: Vec<OfficeId>,
    /// Where each ends in `bytes`.
    ends: Vec<u32>,
    /// What was asked for stays: whoever asked holds a reference, and will ask again.
    read: Vec<OnceLock<Box<Office>>>,
    /// For each office, which of `homes` are its relays.
    home_of: Vec<u32>,
    /// The distinct lists of relays.
    homes: Vec<Vec<RegionId>>,
    /// Which list has which number; empty once nothing more is added.
    numbers_of_homes: BTreeMap<Vec<RegionId>, u32>,
}

/// Where a code of an office stands.
#[derive(Clone, Copy)]
pub(super) struct CodePlace {
    pub(super) office: u32,
    /// Its first byte in the shelf.
    at: u32,
}

/// A code as it lies on the shelf.
#[derive(Clone, Copy, Decode)]
#[cbor(map)]
pub(super) struct CodeText<'a> {
    #[n(0)]
    pub(super) system: CodeSystem,
    #[b(1)]
    pub(super) text: &'a str,
    #[n(2)]
    pub(super) validity: Validity,
}

#[derive(Decode)]
#[cbor(map)]
struct NameValidity {
    #[n(1)]
    validity: Validity,
}

/// What was checked before it was put here can be read.
fn sound<T>(read: Result<T, DecodeError>) -> T {
    read.expect("an office on the shelf was encoded or compared with its encoding before it was put there")
}

impl Shelf {
    pub(super) fn with_room_for(offices: usize) -> Self {
        Self {
            ids: Vec::with_capacity(offices),
            ends: Vec::with_capacity(offices),
            home_of: Vec::with_capacity(offices),
            ..Self::default()
        }
    }

    /// Adds an office behind the last one; the caller keeps the order. `None` when all together have more than 4 GiB.
    pub(super) fn push(&mut self, office: &Office, encoded: &[u8]) -> Option<()> {
        let end = u32::try_from(self.bytes.len() + encoded.len()).ok()?;
        let home = self.home(&office.relays)?;
        self.bytes.extend_from_slice(encoded);
        self.ids.push(office.id);
        self.ends.push(end);
        self.home_of.push(home);
        Some(())
    }

    fn home(&mut self, relays: &[RegionId]) -> Option<u32> {
        if let Some(known) = self.numbers_of_homes.get(relays) {
            return Some(*known);
        }
        let number = u32::try_from(self.homes.len()).ok()?;
        self.homes.push(relays.to_vec());
        self.numbers_of_homes.insert(relays.to_vec(), number);
        Some(number)
    }

    /// Gives back what was set aside for more.
    pub(super) fn close(&mut self) {
        self.bytes.shrink_to_fit();
        self.ids.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.home_of.shrink_to_fit();
        self.numbers_of_homes = BTreeMap::new();
        self.read = (0..self.ids.len()).map(|_| OnceLock::new()).collect();
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn last(&self) -> Option<&OfficeId> {
        self.ids.last()
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        (0_u32..).take(self.ids.len())
    }

    pub(super) fn number(&self, office: &OfficeId) -> Option<u32> {
        u32::try_from(self.ids.binary_search(office).ok()?).ok()
    }

    pub(super) fn id(&self, number: u32) -> OfficeId {
        self.ids[number as usize]
    }

    fn start(&self, number: u32) -> usize {
        number.checked_sub(1).map_or(0, |before| self.ends[before as usize] as usize)
    }

    pub(super) fn encoded(&self, number: u32) -> &[u8] {
        &self.bytes[self.start(number)..self.ends[number as usize] as usize]
    }

    /// The office, taken apart for this once.
    pub(super) fn read(&self, number: u32) -> Office {
        sound(minicbor::decode(self.encoded(number)))
    }

    /// The office, taken apart for good.
    pub(super) fn office(&self, number: u32) -> &Office {
        self.read[number as usize].get_or_init(|| Box::new(self.read(number)))
    }

    pub(super) fn relays(&self, number: u32) -> &[RegionId] {
        &self.homes[self.home_of[number as usize] as usize]
    }

    pub(super) fn code(&self, place: CodePlace) -> CodeText<'_> {
        sound(minicbor::decode(&self.bytes[place.at as usize..]))
    }

    /// All codes, by office.
    pub(super) fn codes(&self) -> Vec<(CodeText<'_>, CodePlace)> {
        let mut codes = Vec::with_capacity(self.len());
        for office in self.numbers() {
            let start = self.start(office);
            sound(self.each(office, CODES, |at, d| {
                let at = u32::try_from(start + at).expect("it lies before the office's end, which fits");
                codes.push((d.decode()?, CodePlace { office, at }));
                Ok(())
            }));
        }
        codes
    }

    /// When an office bears the name at this position among its names.
    pub(super) fn name_validity(&self, office: u32, position: u16) -> Option<Validity> {
        let (mut seen, mut found) = (0, None);
        sound(self.each(office, NAMES, |_, d| {
            let name: NameValidity = d.decode()?;
            found = found.or_else(|| (seen == position).then_some(name.validity));
            seen += 1;
            Ok(())
        }));
        found
    }

    /// Goes through the list with this label; `at` counts from the office's first byte.
    fn each<'a>(
        &'a self,
        office: u32,
        label: u32,
        mut one: impl FnMut(usize, &mut Decoder<'a>) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut d = Decoder::new(self.encoded(office));
        for _ in 0..d.map()?.unwrap_or(0) {
            if d.u32()? != label {
                d.skip()?;
                continue;
            }
            for _ in 0..d.array()?.unwrap_or(0) {
                one(d.position(), &mut d)?;
            }
            return Ok(());
        }
        Ok(())
    }
}

/// The signed form decides; the rest follows from it.
impl PartialEq for Shelf {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.ends == other.ends
    }
}
