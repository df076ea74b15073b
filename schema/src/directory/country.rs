//! The country as offices: two tables of units and the links between them become lives with dates.
//!
//! **One office is one administrative unit over one continuous life.** A unit that passed through 2025-07-01
//! untouched stays one office: it keeps its seal, its chain of events and its keys, and only what stands
//! above it changes. A unit that was merged or divided ends, even where the new one took over its name and
//! code, because the new one is another legal person with other registers. *Untouched* means: same tier, same
//! code, same name (up to where the tone mark is put: Thanh Hóa, Thanh Hoá), and no link says that another
//! unit went into it or that it went into another.
//!
//! Successions of communes are carried facts. Those of provinces follow from their communes (a province
//! passed into every province that its communes passed into), and so do those of districts, whose tasks went
//! to the communes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, date};
use sha2::{Digest, Sha256};

use super::index::DirectoryError;
use super::office::{Code, CodeSystem, Name, Office, Place, Successor, Tier, Validity};
use super::tables::{self, AgencyRow, UnitRow};
use crate::id::OfficeId;
use crate::text::fold;

/// The last day of the four-tier country.
const LAST_DAY: Date = date(2025, 6, 30);
/// The first day of the three-tier country.
const FIRST_DAY: Date = date(2025, 7, 1);

/// The id of an administrative unit's office: the first 16 bytes of SHA-256 over domain, tier, code and first
/// day (empty when not known), one per line. The same for everybody who derives it.
pub fn unit_office_id(tier: Tier, code: &str, from: Option<Date>) -> OfficeId {
    let from = from.map(|from| from.to_string()).unwrap_or_default();
    derived(&["tram/unit/v1", tier.as_str(), code, &from])
}

/// The id of an agency's office that is no administrative unit, from its QĐ 20 code.
pub fn agency_office_id(qd20: &str) -> OfficeId {
    derived(&["tram/agency/v1", qd20])
}

fn derived(lines: &[&str]) -> OfficeId {
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(lines.join("\n"))[..16]);
    OfficeId::new(id)
}

type Unit<'a> = (Tier, &'a str);
type Links<'a> = BTreeMap<Unit<'a>, BTreeSet<Unit<'a>>>;

/// All offices of the carried tables, none of them enrolled, and their successions.
pub(super) fn offices() -> Result<(Vec<Office>, Vec<Successor>), DirectoryError> {
    let (until, from) = (tables::units_until_2025_06_30()?, tables::units_from_2025_07_01()?);
    let (moves, agencies) = (tables::communes_succeeded_2025_07_01()?, tables::agencies()?);
    Country::new(&until, &from, &moves).offices(&agencies)
}

struct Country<'a> {
    old: BTreeMap<Unit<'a>, &'a UnitRow>,
    new: BTreeMap<Unit<'a>, &'a UnitRow>,
    successors: Links<'a>,
    predecessors: Links<'a>,
}

impl<'a> Country<'a> {
    fn new(until: &'a [UnitRow], from: &'a [UnitRow], moves: &'a [(String, String)]) -> Self {
        let by_code =
            |rows: &'a [UnitRow]| rows.iter().map(|row| ((row.tier, row.code.as_str()), row)).collect();
        let mut country = Self {
            old: by_code(until),
            new: by_code(from),
            successors: Links::new(),
            predecessors: Links::new(),
        };
        for (old, new) in moves {
            let (old, new) = ((Tier::Commune, old.as_str()), (Tier::Commune, new.as_str()));
            country.link(old, new);
            let district = above(&country.old, old);
            if let Some(district) = district {
                country.link(district, new);
            }
            let provinces =
                (district.and_then(|district| above(&country.old, district)), above(&country.new, new));
            if let (Some(old), Some(new)) = provinces {
                country.link(old, new);
            }
        }
        country
    }

    fn link(&mut self, old: Unit<'a>, new: Unit<'a>) {
        self.successors.entry(old).or_default().insert(new);
        // A district does not go into a commune, it only leaves its tasks there: that alone does not make the
        // commune new.
        if old.0 == new.0 {
            self.predecessors.entry(new).or_default().insert(old);
        }
    }

    /// Whether this unit passed through the reform untouched.
    fn continues(&self, unit: Unit<'a>) -> bool {
        let (Some(old), Some(new)) = (self.old.get(&unit), self.new.get(&unit)) else {
            return false;
        };
        let only_itself = |links: &Links<'a>| {
            links.get(&unit).is_none_or(|others| others.iter().all(|other| *other == unit))
        };
        fold(&old.name) == fold(&new.name) && only_itself(&self.successors) && only_itself(&self.predecessors)
    }

    fn new_id(&self, unit: Unit<'a>) -> OfficeId {
        unit_office_id(unit.0, unit.1, (!self.continues(unit)).then_some(FIRST_DAY))
    }

    fn offices(&self, agencies: &[AgencyRow]) -> Result<(Vec<Office>, Vec<Successor>), DirectoryError> {
        let mut offices = BTreeMap::new();
        for (unit, row) in &self.old {
            let validity = if self.continues(*unit) { Validity::ALWAYS } else { Validity::up_to(LAST_DAY) };
            let mut office = described(old_id(*unit), row, validity);
            let parent = above(&self.old, *unit).map(old_id);
            office.places.push(Place { tier: unit.0, parent, validity: Validity::up_to(LAST_DAY) });
            offices.insert(office.id, office);
        }
        for (unit, row) in &self.new {
            let id = self.new_id(*unit);
            let office = offices.entry(id).or_insert_with(|| described(id, row, Validity::since(FIRST_DAY)));
            let parent = above(&self.new, *unit).map(|parent| self.new_id(parent));
            stands(office, unit.0, parent);
            spelt(office, &row.name);
        }
        for agency in agencies {
            bear_codes(&mut offices, agency)?;
        }
        let successors =
            self.successors.iter().flat_map(|(old, news)| news.iter().map(move |new| (*old, *new)));
        let successors = successors
            .map(|(old, new)| Successor { old: old_id(old), new: self.new_id(new), date: FIRST_DAY })
            .filter(|successor| successor.old != successor.new)
            .collect();
        Ok((offices.into_values().collect(), successors))
    }
}

fn above<'a>(rows: &BTreeMap<Unit<'a>, &'a UnitRow>, unit: Unit<'a>) -> Option<Unit<'a>> {
    let code = rows.get(&unit)?.parent_code.as_deref()?;
    // A commune stood below a district until 2025-06-30 and stands below a province since; codes are unique
    // within a tier only.
    [Tier::District, Tier::Province]
        .into_iter()
        .filter(|tier| *tier < unit.0)
        .map(|tier| (tier, code))
        .find(|above| rows.contains_key(above))
}

fn old_id(unit: Unit<'_>) -> OfficeId {
    unit_office_id(unit.0, unit.1, None)
}

fn described(id: OfficeId, row: &UnitRow, validity: Validity) -> Office {
    let mut office = Office::new(id);
    office.names.push(Name { text: row.name.clone(), validity });
    office.codes.push(Code {
        system: CodeSystem::StatisticsUnit(row.tier),
        text: row.code.clone(),
        validity,
    });
    office
}

/// Where a unit stands from the first day of the three-tier country.
fn stands(office: &mut Office, tier: Tier, parent: Option<OfficeId>) {
    match office.places.last_mut() {
        Some(place) if place.tier == tier && place.parent == parent => place.validity.until = None,
        _ => office.places.push(Place { tier, parent, validity: Validity::since(FIRST_DAY) }),
    }
}

/// How its name is written from the first day of the three-tier country.
fn spelt(office: &mut Office, text: &str) {
    if let Some(name) = office.names.last_mut().filter(|name| name.text != text) {
        name.validity.until = Some(LAST_DAY);
        office.names.push(Name { text: text.to_owned(), validity: Validity::since(FIRST_DAY) });
    }
}

/// Gives the agency's codes to the unit that held them, for as long as that unit lives, or to a central
/// office of their own.
fn bear_codes(offices: &mut BTreeMap<OfficeId, Office>, agency: &AgencyRow) -> Result<(), DirectoryError> {
    let damaged = |what: String| DirectoryError::Table { table: "agency-codes.csv", what };
    let id = match (&agency.unit_code, &agency.qd20) {
        (Some(unit), _) => unit_office_id(agency.tier, unit, None),
        (None, Some(qd20)) => agency_office_id(qd20),
        (None, None) => {
            return Err(damaged(format!("`{}` has neither a unit nor a QĐ 20 code", agency.name)));
        }
    };
    if agency.unit_code.is_none() {
        let mut office = Office::new(id);
        office.names.push(Name { text: agency.name.clone(), validity: Validity::ALWAYS });
        let parent = agency.parent_qd20.as_deref().map(agency_office_id);
        office.places.push(Place { tier: agency.tier, parent, validity: Validity::ALWAYS });
        offices.insert(id, office);
    }
    let Some(office) = offices.get_mut(&id) else {
        return Err(damaged(format!("`{}` names a unit that does not exist", agency.name)));
    };
    // A statistics code lasts exactly as long as its unit.
    let validity = office.codes.first().map_or(Validity::ALWAYS, |code| code.validity);
    for (system, text) in [(CodeSystem::Qd20, &agency.qd20), (CodeSystem::Qcvn102, &agency.qcvn102)] {
        if let Some(text) = text {
            office.codes.push(Code { system, text: text.clone(), validity });
        }
    }
    Ok(())
}
