//! Who is who at a date: offices, their codes, places, keys and home relays, and the regions that serve them.
//!
//! An office ([`Office`]) has an opaque id for ever; everything else about it is an attribute with dates,
//! because names, parents, tiers and codes change and real codes are re-used: commune `00004` is *Phường Trúc
//! Bạch* until 2025-06-30 and *Phường Ba Đình* from the day after. So every question here is asked *at a
//! date*. Which key an office signs with is not here: certificates say that ([`crate::registry`]).
//!
//! - [`Directory`] is the indexed, checked, immutable value that answers. There is no other way to one than
//!   through [`Directory::new`], so whoever holds it need not check again.
//! - [`DirectorySnapshot`] and [`DirectoryDelta`] are what a registrar signs and what travels; the bytes are
//!   deterministic CBOR. Their signature is not checked here: verify the bytes as received first, then
//!   decode.
//! - [`DirectoryBuilder`] assembles one, from nothing or from the carried [`tables`] of administrative units.

mod builder;
mod country;
mod index;
mod office;
mod search;
mod shelf;
mod signed;
mod snapshot;
pub mod tables;
#[cfg(test)]
mod tests;

pub use builder::{DirectoryBuilder, Enrolment};
pub use country::{agency_office_id, unit_office_id};
pub use index::{ANCESTORS_MAX, CodeHolder, Directory, DirectoryError, ResolveError};
pub use office::{CODE_CHARS_MAX, ENTRIES_MAX, NAME_CHARS_MAX, RELAYS_MAX, URL_BYTES_MAX};
pub use office::{
    Code, CodeSystem, Name, Office, OfficeFault, Period, Place, Region, Successor, Tier, Validity,
};
pub use search::{SEARCH_CHARS_MAX, SEARCH_HITS_MAX, SearchHit};
pub use signed::{SignedDirectoryError, open_directory, sign_directory};
pub use snapshot::{DELTA_BYTES_MAX, OFFICES_MAX, REGIONS_MAX, SNAPSHOT_BYTES_MAX, SUCCESSORS_MAX};
pub use snapshot::{DirectoryDelta, DirectorySnapshot, SnapshotError};
