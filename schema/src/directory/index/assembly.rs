//! From offices and regions to a directory: checked each by itself and all together, then indexed.

use std::collections::BTreeMap;

use super::{Directory, DirectoryError};
use crate::cose::infallible;
use crate::directory::office::{Office, Region, Successor};
use crate::directory::search::NameIndex;
use crate::directory::shelf::{CodePlace, Shelf};
use crate::directory::snapshot::{OFFICES_MAX, REGIONS_MAX, SUCCESSORS_MAX};
use crate::id::{OfficeId, RegionId};
use crate::time::Millis;

/// A directory in the making, that takes the offices one by one, in the order of their ids, and keeps none of them apart.
pub(in crate::directory) struct Assembly {
    version: u64,
    issued_at: Millis,
    regions: BTreeMap<RegionId, Region>,
    offices: Shelf,
    names: NameIndex,
    /// (parent, child).
    parents: Vec<(OfficeId, u32)>,
    /// (login, who).
    logins: Vec<(String, String)>,
    encoded: Vec<u8>,
}

impl Assembly {
    /// Starts with what is known before the first office.
    pub(in crate::directory) fn start(
        version: u64,
        issued_at: Millis,
        regions: BTreeMap<RegionId, Region>,
        offices: usize,
    ) -> Result<Self, DirectoryError> {
        at_most("regions", regions.len(), REGIONS_MAX)?;
        at_most("offices", offices, OFFICES_MAX)?;
        for region in regions.values() {
            region.check().map_err(|source| DirectoryError::Region { region: region.id.clone(), source })?;
        }
        let logins =
            regions.values().filter_map(|region| Some((region.login.clone()?, region.id.to_string())));
        Ok(Self {
            version,
            issued_at,
            logins: logins.collect(),
            regions,
            offices: Shelf::with_room_for(offices),
            names: NameIndex::default(),
            parents: Vec::with_capacity(offices),
            encoded: Vec::new(),
        })
    }

    /// Adds an office.
    pub(in crate::directory) fn add(&mut self, office: &Office) -> Result<(), DirectoryError> {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        infallible(minicbor::encode(office, &mut encoded));
        let added = self.add_encoded(office, &encoded);
        self.encoded = encoded;
        added
    }

    /// Adds an office whose encoding is at hand.
    pub(in crate::directory) fn add_encoded(
        &mut self,
        office: &Office,
        encoded: &[u8],
    ) -> Result<(), DirectoryError> {
        if self.offices.last() == Some(&office.id) {
            return Err(DirectoryError::OfficeTwice { office: office.id });
        }
        debug_assert!(self.offices.last().is_none_or(|last| *last < office.id), "offices come in order");
        office.check().map_err(|source| DirectoryError::Office { office: office.id, source })?;
        if let Some(missing) = office.relays.iter().find(|region| !self.regions.contains_key(*region)) {
            return Err(DirectoryError::RegionMissing { office: office.id, missing: missing.clone() });
        }
        let too_long = |what| DirectoryError::TooMany { what, found: usize::MAX, max: u32::MAX as usize };
        let number = u32::try_from(self.offices.len()).map_err(|_| too_long("offices"))?;
        for (position, name) in (0_u16..).zip(&office.names) {
            self.names.push(number, position, &name.text).ok_or_else(|| too_long("bytes of names"))?;
        }
        self.parents.extend(office.places.iter().filter_map(|place| Some((place.parent?, number))));
        self.logins.extend(office.login.clone().map(|login| (login, office.id.to_string())));
        self.offices.push(office, encoded).ok_or_else(|| too_long("bytes of offices"))
    }

    /// Checks and indexes what only all together can show.
    pub(in crate::directory) fn finish(
        mut self,
        mut successors: Vec<Successor>,
    ) -> Result<Directory, DirectoryError> {
        at_most("successions", successors.len(), SUCCESSORS_MAX)?;
        successors.sort_unstable();
        self.check_unshared()?;
        self.check_successors(&successors)?;
        let codes = self.index_codes()?;
        let children = self.index_children()?;
        self.offices.close();
        self.names.shrink();
        let Self { version, issued_at, regions, offices, names, .. } = self;
        Ok(Directory { version, issued_at, regions, offices, successors, codes, children, names })
    }

    fn check_unshared(&mut self) -> Result<(), DirectoryError> {
        self.logins.sort_unstable();
        if let Some(pair) = self.logins.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let (login, first, second) = (pair[0].0.clone(), pair[0].1.clone(), pair[1].1.clone());
            return Err(DirectoryError::LoginTwice { login, first, second });
        }
        Ok(())
    }

    fn check_successors(&self, successors: &[Successor]) -> Result<(), DirectoryError> {
        for successor in successors {
            if successor.old == successor.new {
                return Err(DirectoryError::OwnSuccessor { office: successor.old });
            }
            for (what, office, missing) in [
                ("the predecessor", successor.new, successor.old),
                ("the successor", successor.old, successor.new),
            ] {
                if self.offices.number(&missing).is_none() {
                    return Err(DirectoryError::OfficeMissing { what, office, missing });
                }
            }
        }
        match successors.windows(2).find(|pair| (pair[0].old, pair[0].new) == (pair[1].old, pair[1].new)) {
            Some(pair) => Err(DirectoryError::SuccessorTwice { old: pair[0].old, new: pair[0].new }),
            None => Ok(()),
        }
    }

    fn index_codes(&self) -> Result<Vec<CodePlace>, DirectoryError> {
        let mut codes = self.offices.codes();
        codes.sort_by_key(|(code, _)| (code.system, code.text, code.validity.from));
        // Sorted by beginning, two periods of one code overlap only if two neighbours do.
        for pair in codes.windows(2) {
            let ((a, first), (b, second)) = (&pair[0], &pair[1]);
            if a.system == b.system && a.text == b.text && a.validity.overlaps(&b.validity) {
                return Err(DirectoryError::CodeTwice {
                    system: a.system,
                    code: a.text.to_owned(),
                    first: self.offices.id(first.office),
                    second: self.offices.id(second.office),
                });
            }
        }
        Ok(codes.into_iter().map(|(_, place)| place).collect())
    }

    fn index_children(&self) -> Result<Vec<(u32, u32)>, DirectoryError> {
        let mut children = Vec::with_capacity(self.parents.len());
        for (parent, child) in &self.parents {
            let Some(number) = self.offices.number(parent) else {
                return Err(DirectoryError::OfficeMissing {
                    what: "the parent",
                    office: self.offices.id(*child),
                    missing: *parent,
                });
            };
            children.push((number, *child));
        }
        children.sort_unstable();
        children.dedup();
        children.shrink_to_fit();
        Ok(children)
    }
}

fn at_most(what: &'static str, found: usize, max: usize) -> Result<(), DirectoryError> {
    if found > max { Err(DirectoryError::TooMany { what, found, max }) } else { Ok(()) }
}
