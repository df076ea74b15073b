//! Questions to the directory: who is this at that date, and which office does that code mean.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use jiff::civil::Date;
use schema::directory::{Directory, DirectoryBuilder, Office, Validity};
use schema::id::OfficeId;
use schema::time::Millis;
use serde::Serialize;

use crate::deployment;

/// The directory of a deployment, or the carried country when none is given.
///
/// # Errors
/// When the deployment's directory cannot be read or was not signed by its root key.
pub fn load(deployment: Option<&Path>) -> Result<Arc<Directory>> {
    let Some(folder) = deployment else {
        let country = DirectoryBuilder::country()?.build(0, Millis(0));
        return country.map(Arc::new).context("the carried country is not sound");
    };
    Ok(Arc::clone(deployment::read_registry(folder)?.directory()))
}

/// Finds an office by its id (32 hexadecimal digits) or by a code it holds on this day.
///
/// # Errors
/// When no office, or more than one, is meant.
pub fn find<'a>(directory: &'a Directory, text: &str, at: Date) -> Result<&'a Office> {
    if let Ok(id) = text.parse::<OfficeId>() {
        return directory
            .office(&id)
            .ok_or_else(|| anyhow!("office `{id}` is not in directory version {}", directory.version()));
    }
    Ok(directory.resolve(text, at)?)
}

/// An office at a date.
#[derive(Clone, Debug, Serialize)]
pub struct OfficeAt {
    /// Its id.
    pub id: OfficeId,
    /// Its name on that day; `None` when it does not exist then.
    pub name: Option<String>,
    /// Its tier on that day.
    pub tier: Option<&'static str>,
    /// The offices above it, nearest first.
    pub above: Vec<String>,
    /// The codes it holds on that day.
    pub codes: Vec<CodeAt>,
    /// When it exists.
    pub exists: Vec<String>,
    /// Who took over from it, and when.
    pub successors: Vec<SuccessorAt>,
    /// The regions that keep its mailbox; empty when it is not enrolled.
    pub relays: Vec<String>,
}

/// A code on a day.
#[derive(Clone, Debug, Serialize)]
pub struct CodeAt {
    /// The list it comes from.
    pub system: String,
    /// The code.
    pub code: String,
    /// When it is held.
    pub validity: String,
}

/// A succession.
#[derive(Clone, Debug, Serialize)]
pub struct SuccessorAt {
    /// The office that took over.
    pub office: OfficeId,
    /// Its name.
    pub name: String,
    /// From when on.
    pub date: String,
}

impl OfficeAt {
    /// What the directory says about an office on a day.
    pub fn new(directory: &Directory, office: &Office, at: Date) -> Self {
        let name_of = |office: &Office| office.name_at(at).map(str::to_owned);
        let codes = office.codes.iter().filter(|code| code.validity.contains(at));
        let exists = |validity: &Validity| validity.to_string();
        Self {
            id: office.id,
            name: name_of(office),
            tier: office.place_at(at).map(|place| place.tier.as_str()),
            above: directory.ancestors_at(&office.id, at).filter_map(name_of).collect(),
            codes: codes
                .map(|code| CodeAt {
                    system: code.system.to_string(),
                    code: code.text.clone(),
                    validity: code.validity.to_string(),
                })
                .collect(),
            exists: office
                .names
                .iter()
                .map(|name| format!("{} {}", name.text, exists(&name.validity)))
                .collect(),
            successors: directory
                .successors_of(&office.id)
                .iter()
                .map(|successor| SuccessorAt {
                    office: successor.new,
                    name: directory.name_at(&successor.new, successor.date).unwrap_or_default().to_owned(),
                    date: successor.date.to_string(),
                })
                .collect(),
            relays: office.relays.iter().map(ToString::to_string).collect(),
        }
    }

    /// For a terminal.
    pub fn text(&self, at: Date) -> String {
        let mut lines = vec![match &self.name {
            Some(name) => format!("{name} ({}) on {at}", self.tier.unwrap_or("no tier")),
            None => format!("does not exist on {at}"),
        }];
        lines.push(format!("  id          {}", self.id));
        if !self.above.is_empty() {
            lines.push(format!("  above       {}", self.above.join(" › ")));
        }
        for code in &self.codes {
            lines.push(format!("  code        {} ({}), {}", code.code, code.system, code.validity));
        }
        for exists in &self.exists {
            lines.push(format!("  name        {exists}"));
        }
        for successor in &self.successors {
            lines.push(format!(
                "  successor   {} since {} ({})",
                successor.name, successor.date, successor.office
            ));
        }
        lines.push(match self.relays.as_slice() {
            [] => "  enrolled    no".to_owned(),
            relays => format!("  enrolled    mailbox at {}", relays.join(", then ")),
        });
        lines.join("\n")
    }
}
