//! The facts about the country that are compiled in; sources and licences in `schema/data/README.md`.
//!
//! Each function parses its table when called and keeps nothing.

use super::index::DirectoryError;
use super::office::Tier;

/// One administrative unit (*đơn vị hành chính*).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitRow {
    /// Its tier.
    pub tier: Tier,
    /// Its statistics code, unique within the tier and the table.
    pub code: String,
    /// Its name with its sort: `Phường Ba Đình`.
    pub name: String,
    /// The code of the unit above it; provinces have none.
    pub parent_code: Option<String>,
}

/// An organisation code (*mã định danh*) seen in real use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgencyRow {
    /// The code as QĐ 20/2020 writes it: `G12.18`.
    pub qd20: Option<String>,
    /// The code as QCVN 102:2016 writes it: `000.00.18.G12`.
    pub qcvn102: Option<String>,
    /// The tier of the agency.
    pub tier: Tier,
    /// The statistics code, until 2025-06-30, of the unit that held it; central agencies have none.
    pub unit_code: Option<String>,
    /// The QĐ 20 code of the agency above it.
    pub parent_qd20: Option<String>,
    /// Its name in the source.
    pub name: String,
}

const UNTIL: &str = "units-until-2025-06-30.csv";
const FROM: &str = "units-from-2025-07-01.csv";
const SUCCESSORS: &str = "successors-2025-07-01.csv";
const AGENCIES: &str = "agency-codes.csv";

/// The four-tier country, in force until 2025-06-30: 63 provinces, 696 districts, 10,035 communes.
///
/// # Errors
///
/// [`DirectoryError::Table`] when the compiled-in table is damaged.
pub fn units_until_2025_06_30() -> Result<Vec<UnitRow>, DirectoryError> {
    units(UNTIL, include_str!("../../data/units-until-2025-06-30.csv"))
}

/// The three-tier country, in force from 2025-07-01: 34 provinces, 3,321 communes.
///
/// # Errors
///
/// [`DirectoryError::Table`] when the compiled-in table is damaged.
pub fn units_from_2025_07_01() -> Result<Vec<UnitRow>, DirectoryError> {
    units(FROM, include_str!("../../data/units-from-2025-07-01.csv"))
}

/// Which commune passed into which on 2025-07-01: (old code, new code). Not authoritative.
///
/// # Errors
///
/// [`DirectoryError::Table`] when the compiled-in table is damaged.
pub fn communes_succeeded_2025_07_01() -> Result<Vec<(String, String)>, DirectoryError> {
    let text = include_str!("../../data/successors-2025-07-01.csv");
    rows(SUCCESSORS, ["old_commune_code", "new_commune_code"], text, |[old, new]| {
        Ok((old.to_owned(), new.to_owned()))
    })
}

/// Organisation codes seen in real use, with the unit or central agency that held them.
///
/// # Errors
///
/// [`DirectoryError::Table`] when the compiled-in table is damaged.
pub fn agencies() -> Result<Vec<AgencyRow>, DirectoryError> {
    let header = ["qd20", "qcvn102", "tier", "unit_code", "parent_qd20", "name"];
    let text = include_str!("../../data/agency-codes.csv");
    rows(AGENCIES, header, text, |[qd20, qcvn102, tier, unit_code, parent_qd20, name]| {
        Ok(AgencyRow {
            qd20: filled(qd20),
            qcvn102: filled(qcvn102),
            tier: tier_named(tier)?,
            unit_code: filled(unit_code),
            parent_qd20: filled(parent_qd20),
            name: name.to_owned(),
        })
    })
}

fn units(table: &'static str, text: &str) -> Result<Vec<UnitRow>, DirectoryError> {
    rows(table, ["tier", "code", "name", "parent_code"], text, |[tier, code, name, parent_code]| {
        Ok(UnitRow {
            tier: tier_named(tier)?,
            code: code.to_owned(),
            name: name.to_owned(),
            parent_code: filled(parent_code),
        })
    })
}

fn rows<T, const N: usize>(
    table: &'static str,
    header: [&str; N],
    text: &str,
    row: impl Fn([&str; N]) -> Result<T, String>,
) -> Result<Vec<T>, DirectoryError> {
    let error = |what: String| DirectoryError::Table { table, what };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let found = reader.headers().map_err(|cause| error(cause.to_string()))?;
    if *found != header[..] {
        return Err(error(format!("its header is {found:?}, expected {header:?}")));
    }
    let mut parsed = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|cause| error(cause.to_string()))?;
        let mut fields = [""; N];
        for (field, value) in fields.iter_mut().zip(&record) {
            *field = value;
        }
        parsed.push(row(fields).map_err(|what| error(format!("record {record:?}: {what}")))?);
    }
    Ok(parsed)
}

fn filled(field: &str) -> Option<String> {
    (!field.is_empty()).then(|| field.to_owned())
}

fn tier_named(text: &str) -> Result<Tier, String> {
    let all = [Tier::Central, Tier::Province, Tier::District, Tier::Commune];
    all.into_iter().find(|tier| tier.as_str() == text).ok_or_else(|| format!("`{text}` is no tier"))
}
