//! The checked, indexed, immutable directory.

mod assembly;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::civil::Date;

use super::office::{CodeSystem, Office, OfficeFault, Place, Region, Successor, Tier, Validity};
use super::search::NameIndex;
use super::shelf::{CodePlace, Shelf};
use super::snapshot::DirectorySnapshot;
use crate::id::{OfficeId, RegionId};
use crate::text::quoted;
use crate::time::Millis;

pub(super) use assembly::Assembly;

/// How far up [`Directory::ancestors_at`] walks: a registrar's mistake may have made a circle.
pub const ANCESTORS_MAX: usize = 16;

/// Who is who at a date. Immutable: a change makes a new one.
///
/// It holds the offices as they are signed, in a quarter of the room they take apart: 111,339 take less than 30 MB.
/// An office that is asked for is taken apart then, and stays so; questions about relays leave it as it is.
///
/// Invariants: ids are unique; every parent, relay and successor exists; in one system a code belongs to at
/// most one office on any day; no login belongs to two.
#[derive(Clone)]
pub struct Directory {
    version: u64,
    issued_at: Millis,
    regions: BTreeMap<RegionId, Region>,
    /// Everything below names an office by its number in here.
    offices: Shelf,
    /// Sorted.
    successors: Vec<Successor>,
    /// Sorted by system, text, beginning.
    codes: Vec<CodePlace>,
    /// (parent, child), sorted, without repetition; the dates are at the child.
    children: Vec<(u32, u32)>,
    names: NameIndex,
}

/// Why a set of offices and regions is no directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// An office that is not sound on its own.
    #[error("office `{office}` cannot stand in the directory")]
    Office {
        /// Which.
        office: OfficeId,
        /// Why.
        source: OfficeFault,
    },
    /// A region that is not sound on its own.
    #[error("region `{region}` cannot stand in the directory")]
    Region {
        /// Which.
        region: RegionId,
        /// Why.
        source: OfficeFault,
    },
    /// Too many of something.
    #[error("the directory has {found} {what}, at most {max} are allowed")]
    TooMany {
        /// What.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        max: usize,
    },
    /// One office id twice.
    #[error("office `{office}` stands in the directory twice; merge the two entries")]
    OfficeTwice {
        /// Which.
        office: OfficeId,
    },
    /// One region twice.
    #[error("region `{region}` stands in the directory twice; merge the two entries")]
    RegionTwice {
        /// Which.
        region: RegionId,
    },
    /// A code held by two offices on the same day.
    #[error(
        "{system} code `{code}` is held by `{first}` and `{second}` on one day; end one before the other"
    )]
    CodeTwice {
        /// The list.
        system: CodeSystem,
        /// The code.
        code: String,
        /// One holder.
        first: OfficeId,
        /// The other; the same office when it lists the code twice.
        second: OfficeId,
    },
    /// A NATS login in two places: either could read the other's mailbox.
    #[error(
        "NATS login `{login}` belongs to `{first}` and `{second}`; every station needs a login of its own"
    )]
    LoginTwice {
        /// The login.
        login: String,
        /// One holder, an office or a region.
        first: String,
        /// The other.
        second: String,
    },
    /// An entry that names an office nobody described.
    #[error("{what} of office `{office}` is `{missing}`, which is not in the directory; add it first")]
    OfficeMissing {
        /// In which role.
        what: &'static str,
        /// Whose entry.
        office: OfficeId,
        /// Who is missing.
        missing: OfficeId,
    },
    /// An office whose mailbox would be in a region nobody described.
    #[error(
        "office `{office}` has its mailbox in region `{missing}`, which is not in the directory; add it first"
    )]
    RegionMissing {
        /// Whose entry.
        office: OfficeId,
        /// Which region is missing.
        missing: RegionId,
    },
    /// An office that succeeds itself.
    #[error("office `{office}` is named as its own successor; an office that continues needs no link")]
    OwnSuccessor {
        /// Which.
        office: OfficeId,
    },
    /// The same link twice.
    #[error("the succession of `{old}` by `{new}` is named twice")]
    SuccessorTwice {
        /// The old office.
        old: OfficeId,
        /// The new one.
        new: OfficeId,
    },
    /// A delta for another version.
    #[error("the delta changes version {base}, but the directory is at version {found}; fetch those between")]
    WrongBase {
        /// What the delta changes.
        base: u64,
        /// What there is.
        found: u64,
    },
    /// A delta that does not lead forward.
    #[error("the delta leads from version {found} to version {version}: a directory never goes back")]
    NotNewer {
        /// Where it leads.
        version: u64,
        /// What there is.
        found: u64,
    },
    /// A delta older than the directory it changes.
    #[error(
        "the delta was issued at {issued_at:?}, before the directory it changes ({found:?}); issue it anew"
    )]
    IssuedEarlier {
        /// When the delta was issued.
        issued_at: Millis,
        /// When the directory was.
        found: Millis,
    },
    /// The carried tables contradict themselves or cannot be read.
    #[error("the carried table `{table}` cannot be used: {what}")]
    Table {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        what: String,
    },
}

/// An office that holds or held a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeHolder {
    /// In which list.
    pub system: CodeSystem,
    /// Who.
    pub office: OfficeId,
    /// When.
    pub validity: Validity,
}

/// Why a code leads to no office.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Never heard of.
    #[error("code `{code}` is in no entry of the directory; check its spelling or fetch a newer directory")]
    Unknown {
        /// The code, shortened.
        code: String,
    },
    /// Known, but held by nobody on that day.
    #[error("code `{code}` is held by no office on {at}, {}; look for its successor", all(.holders))]
    NotAt {
        /// The code.
        code: String,
        /// The day asked for.
        at: Date,
        /// Who held or will hold it, oldest first.
        holders: Vec<CodeHolder>,
    },
    /// The same text in two lists for two offices.
    #[error("code `{code}` means several offices on {at}, {}; say which list it is from", all(.holders))]
    Ambiguous {
        /// The code.
        code: String,
        /// The day asked for.
        at: Date,
        /// Who holds it.
        holders: Vec<CodeHolder>,
    },
}

fn all(holders: &[CodeHolder]) -> String {
    let one = |holder: &CodeHolder| format!("`{}` {} in {}", holder.office, holder.validity, holder.system);
    holders.iter().map(one).collect::<Vec<_>>().join(", ")
}

impl Directory {
    /// Checks and indexes a snapshot; its lists may be in any order.
    ///
    /// # Errors
    ///
    /// The first [`DirectoryError`] found.
    pub fn new(snapshot: DirectorySnapshot) -> Result<Self, DirectoryError> {
        let DirectorySnapshot { version, issued_at, regions, offices, successors } = snapshot;
        let mut by_id = BTreeMap::new();
        for region in regions {
            if let Some(twice) = by_id.insert(region.id.clone(), region) {
                return Err(DirectoryError::RegionTwice { region: twice.id });
            }
        }
        Self::assemble(version, issued_at, by_id, offices, successors)
    }

    pub(super) fn assemble<O: Borrow<Office>>(
        version: u64,
        issued_at: Millis,
        regions: BTreeMap<RegionId, Region>,
        mut offices: Vec<O>,
        successors: Vec<Successor>,
    ) -> Result<Self, DirectoryError> {
        offices.sort_unstable_by_key(|office| office.borrow().id);
        let mut assembly = Assembly::start(version, issued_at, regions, offices.len())?;
        for office in &offices {
            assembly.add(office.borrow())?;
        }
        assembly.finish(successors)
    }

    fn number(&self, office: &OfficeId) -> Option<u32> {
        self.offices.number(office)
    }

    pub(super) fn office_number(&self, number: u32) -> &Office {
        self.offices.office(number)
    }

    pub(super) fn shelf(&self) -> &Shelf {
        &self.offices
    }

    pub(super) fn name_index(&self) -> &NameIndex {
        &self.names
    }

    /// Its version; rises with every change.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// When the registrar issued it.
    pub const fn issued_at(&self) -> Millis {
        self.issued_at
    }

    /// How many offices it describes, those that ended included.
    pub fn office_count(&self) -> usize {
        self.offices.len()
    }

    /// All offices, ordered by id. Takes each one apart for good: for tools, and for lists that are cut short.
    pub fn offices(&self) -> impl Iterator<Item = &Office> {
        self.offices.numbers().map(|number| self.offices.office(number))
    }

    /// All offices, ordered by id, taken apart one at a time.
    pub(super) fn each_office(&self) -> impl Iterator<Item = Office> {
        self.offices.numbers().map(|number| self.offices.read(number))
    }

    /// All regions, ordered by id.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.values()
    }

    pub(super) fn regions_by_id(&self) -> &BTreeMap<RegionId, Region> {
        &self.regions
    }

    /// All successions, ordered by the old office.
    pub fn successors(&self) -> &[Successor] {
        &self.successors
    }

    /// The office with this id.
    pub fn office(&self, id: &OfficeId) -> Option<&Office> {
        self.number(id).map(|number| self.office_number(number))
    }

    /// The region with this id.
    pub fn region(&self, id: &RegionId) -> Option<&Region> {
        self.regions.get(id)
    }

    /// The office that holds this code on this day, in whichever list: `000.00.18.G12`, `G12.18`, `00004`,
    /// `28.22.H17`. Blanks around it are ignored; otherwise it is looked up as written, never rejected or
    /// rewritten for its shape.
    ///
    /// # Errors
    ///
    /// [`ResolveError`]: unknown, held only at other times, or meaning several offices.
    pub fn resolve(&self, code: &str, at: Date) -> Result<&Office, ResolveError> {
        self.resolve_among(&CodeSystem::ALL, code, at)
    }

    /// The office that holds this code of this list on this day.
    ///
    /// # Errors
    ///
    /// [`ResolveError`], never `Ambiguous`.
    pub fn resolve_in(&self, system: CodeSystem, code: &str, at: Date) -> Result<&Office, ResolveError> {
        self.resolve_among(&[system], code, at)
    }

    fn resolve_among(&self, systems: &[CodeSystem], code: &str, at: Date) -> Result<&Office, ResolveError> {
        let code = code.trim();
        let entries = || systems.iter().flat_map(|system| self.entries_of(*system, code));
        let held = |entry: &&CodePlace| self.offices.code(**entry).validity.contains(at);
        let mut holders = entries().filter(held);
        let shown = |entry: &CodePlace| {
            let code = self.offices.code(*entry);
            let office = self.offices.id(entry.office);
            CodeHolder { system: code.system, office, validity: code.validity }
        };
        match holders.next() {
            Some(entry) if holders.all(|other| other.office == entry.office) => {
                Ok(self.office_number(entry.office))
            }
            Some(_) => {
                let holders = entries().filter(held).map(shown).collect();
                Err(ResolveError::Ambiguous { code: quoted(code), at, holders })
            }
            None => {
                let mut holders: Vec<CodeHolder> = entries().map(shown).collect();
                holders.sort_by_key(|holder| holder.validity);
                let code = quoted(code);
                Err(if holders.is_empty() {
                    ResolveError::Unknown { code }
                } else {
                    ResolveError::NotAt { code, at, holders }
                })
            }
        }
    }

    fn entries_of(&self, system: CodeSystem, text: &str) -> &[CodePlace] {
        let place = |entry: &CodePlace| {
            let code = self.offices.code(*entry);
            (code.system, code.text).cmp(&(system, text))
        };
        let start = self.codes.partition_point(|entry| place(entry).is_lt());
        let length = self.codes[start..].partition_point(|entry| place(entry).is_eq());
        &self.codes[start..start + length]
    }

    /// The office's name on this day.
    pub fn name_at(&self, id: &OfficeId, at: Date) -> Option<&str> {
        self.office(id)?.name_at(at)
    }

    /// The office's tier on this day.
    pub fn tier_at(&self, id: &OfficeId, at: Date) -> Option<Tier> {
        self.office(id)?.place_at(at).map(|place| place.tier)
    }

    /// The office above this one on this day.
    pub fn parent_at(&self, id: &OfficeId, at: Date) -> Option<&Office> {
        self.office(id)?.place_at(at)?.parent.and_then(|parent| self.office(&parent))
    }

    /// The offices above this one on this day, nearest first; at most [`ANCESTORS_MAX`].
    pub fn ancestors_at(&self, id: &OfficeId, at: Date) -> impl Iterator<Item = &Office> {
        std::iter::successors(self.parent_at(id, at), move |office| self.parent_at(&office.id, at))
            .take(ANCESTORS_MAX)
    }

    /// The offices directly below this one on this day, ordered by id.
    pub fn children_at(&self, id: &OfficeId, at: Date) -> impl Iterator<Item = &Office> {
        let number = self.number(id);
        let start =
            number.map_or(self.children.len(), |n| self.children.partition_point(|(parent, _)| *parent < n));
        let below = self.children[start..].iter().take_while(move |(parent, _)| Some(*parent) == number);
        let id = *id;
        let stands_here = move |place: &Place| place.parent == Some(id);
        below
            .map(|(_, child)| self.office_number(*child))
            .filter(move |child| child.place_at(at).is_some_and(stands_here))
    }

    /// Who took over from this office.
    pub fn successors_of(&self, id: &OfficeId) -> &[Successor] {
        let start = self.successors.partition_point(|successor| successor.old < *id);
        let length = self.successors[start..].partition_point(|successor| successor.old == *id);
        &self.successors[start..start + length]
    }

    /// Whether one office has taken over from another by this day.
    pub fn has_succeeded(&self, new: &OfficeId, old: &OfficeId, by: Date) -> bool {
        self.successors_of(old).iter().any(|successor| successor.new == *new && successor.date <= by)
    }

    /// Whom this office took over from. Walks all successions.
    pub fn predecessors_of(&self, id: &OfficeId) -> impl Iterator<Item = &Successor> {
        let id = *id;
        self.successors.iter().filter(move |successor| successor.new == id)
    }

    /// The regions that keep the office's mailbox, the preferred one first; none for an office that is
    /// unknown or not enrolled.
    pub fn home_regions(&self, id: &OfficeId) -> &[RegionId] {
        self.number(id).map_or(&[], |number| self.offices.relays(number))
    }

    /// The offices that have a mailbox in this region, ordered by id. Walks all offices.
    pub fn offices_in(&self, region: &RegionId) -> impl Iterator<Item = &Office> {
        let here = self.offices.numbers().filter(move |number| self.offices.relays(*number).contains(region));
        here.map(|number| self.office_number(number))
    }

    /// All of it, as it is signed.
    pub fn snapshot(&self) -> DirectorySnapshot {
        DirectorySnapshot {
            version: self.version,
            issued_at: self.issued_at,
            regions: self.regions().cloned().collect(),
            offices: self.each_office().collect(),
            successors: self.successors.clone(),
        }
    }
}

/// What was put in decides; the indexes follow from it.
impl PartialEq for Directory {
    fn eq(&self, other: &Self) -> bool {
        (self.version, self.issued_at) == (other.version, other.issued_at)
            && self.regions == other.regions
            && self.offices == other.offices
            && self.successors == other.successors
    }
}

impl Eq for Directory {}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory")
            .field("version", &self.version)
            .field("issued_at", &self.issued_at)
            .field("regions", &self.regions.len())
            .field("offices", &self.offices.len())
            .field("successors", &self.successors.len())
            .finish()
    }
}
