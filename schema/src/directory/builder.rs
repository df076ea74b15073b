//! Assembling a directory: from nothing, from the country's tables, or from an earlier version.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::country;
use super::index::{Directory, DirectoryError};
use super::office::{Code, CodeSystem, Name, Office, Place, Region, Successor, Tier, Validity};
use crate::id::{OfficeId, RegionId};
use crate::time::Millis;

/// What an office gets when its station joins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Enrolment {
    /// The NATS login of its station; `None` leaves the present one.
    pub login: Option<String>,
    /// The regions that keep its mailbox, the preferred one first; empty leaves the present ones.
    pub relays: Vec<RegionId>,
}

/// A directory in the making. Nothing is checked before [`DirectoryBuilder::build`], except that what is
/// changed exists.
#[derive(Clone, Debug, Default)]
pub struct DirectoryBuilder {
    regions: BTreeMap<RegionId, Region>,
    offices: BTreeMap<OfficeId, Arc<Office>>,
    successors: Vec<Successor>,
}

impl DirectoryBuilder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The whole country from the carried tables, before and after 2025-07-01, with the central agencies
    /// whose codes are known; no office is enrolled yet.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::Table`] when a compiled-in table is damaged.
    pub fn country() -> Result<Self, DirectoryError> {
        let (offices, successors) = country::offices()?;
        let offices = offices.into_iter().map(|office| (office.id, Arc::new(office))).collect();
        Ok(Self { offices, successors, regions: BTreeMap::new() })
    }

    /// Adds a region or replaces the one with the same id.
    pub fn region(&mut self, region: Region) -> &mut Self {
        self.regions.insert(region.id.clone(), region);
        self
    }

    /// Adds an office or replaces the one with the same id.
    pub fn office(&mut self, office: Office) -> &mut Self {
        self.offices.insert(office.id, Arc::new(office));
        self
    }

    /// Adds a succession.
    pub fn successor(&mut self, successor: Successor) -> &mut Self {
        self.successors.push(successor);
        self
    }

    /// Gives an office its login and home regions.
    ///
    /// # Errors
    ///
    /// [`DirectoryError::OfficeMissing`] when there is no such office.
    pub fn enrol(&mut self, office: &OfficeId, enrolment: Enrolment) -> Result<&mut Self, DirectoryError> {
        let Some(entry) = self.offices.get_mut(office) else {
            let (office, missing) = (*office, *office);
            return Err(DirectoryError::OfficeMissing { what: "the enrolment", office, missing });
        };
        let entry = Arc::make_mut(entry);
        entry.login = enrolment.login.or(entry.login.take());
        if !enrolment.relays.is_empty() {
            entry.relays = enrolment.relays;
        }
        Ok(self)
    }

    /// Fills up to `total` offices with invented sub-units of the communes that exist, for benches and load
    /// tests: the national exchange lists 111,339. Deterministic; their codes begin with `X`, which no real
    /// one was seen to do.
    pub fn invented_up_to(&mut self, total: usize) -> &mut Self {
        const SORTS: [&str; 6] = [
            "Văn phòng Hội đồng nhân dân và Ủy ban nhân dân",
            "Phòng Kinh tế, Hạ tầng và Đô thị",
            "Phòng Văn hóa - Xã hội",
            "Trung tâm Phục vụ hành chính công",
            "Trạm Y tế",
            "Trường Tiểu học",
        ];
        let living = |office: &Office| office.names.last().is_some_and(|name| name.validity.until.is_none());
        let commune = |office: &Office| office.places.last().is_some_and(|place| place.tier == Tier::Commune);
        let above: Vec<Arc<Office>> =
            self.offices.values().filter(|office| living(office) && commune(office)).cloned().collect();
        if above.is_empty() {
            return self;
        }
        for n in 0..total.saturating_sub(self.offices.len()) {
            let (parent, round) = (&above[n % above.len()], n / above.len());
            let code = format!("X{:05}.{round:03}", n % above.len());
            let of = parent.names.last().map_or("", |name| name.text.as_str());
            let mut office = Office::new(country::agency_office_id(&code));
            let sort = SORTS[round % SORTS.len()];
            office.names.push(Name { text: format!("{sort} số {round} {of}"), validity: Validity::ALWAYS });
            office.places.push(Place {
                tier: Tier::Commune,
                parent: Some(parent.id),
                validity: Validity::ALWAYS,
            });
            office.codes.push(Code { system: CodeSystem::Qd20, text: code, validity: Validity::ALWAYS });
            self.office(office);
        }
        self
    }

    /// Checks and indexes what was assembled.
    ///
    /// # Errors
    ///
    /// The first [`DirectoryError`] found.
    pub fn build(self, version: u64, issued_at: Millis) -> Result<Directory, DirectoryError> {
        Directory::assemble(
            version,
            issued_at,
            self.regions,
            self.offices.into_values().collect(),
            self.successors,
        )
    }
}

/// Starts from an earlier version.
impl From<&Directory> for DirectoryBuilder {
    fn from(directory: &Directory) -> Self {
        Self {
            regions: directory.regions_by_id().clone(),
            offices: directory.each_office().map(|office| (office.id, Arc::new(office))).collect(),
            successors: directory.successors().to_vec(),
        }
    }
}
