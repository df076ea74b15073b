//! The people of the office: added, limited, listed, removed. Works on the folder, and has a running station record it at once.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use schema::directory::Directory;
use schema::document::DocumentType;
use schema::handling::Role;
use schema::time::Day;
use serde_json::{Value, json};

use super::client::{CliError, Client};
use super::show;
use crate::api::resolve_office;
use crate::config::{Config, DataFolder, read_bounded};
use crate::people::{Limits, People, Person};
use crate::words::{Lang, with_causes};

#[derive(Subcommand)]
pub(super) enum PersonCommand {
    /// Let somebody work here, and write the token of that person into a file.
    Add {
        /// The full name, as it is to stand in registers and timelines.
        name: String,
        /// What this person does; several are possible where an office is small.
        #[arg(long = "role", required = true)]
        roles: Vec<RoleArg>,
        #[command(flatten)]
        limits: LimitsArgs,
    },
    /// Limit what somebody may approve, sign, number and send. What is not named here is not limited any more.
    #[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["types", "recipients", "lift"]))]
    Limit {
        /// The key, as the list shows it.
        key: String,
        #[command(flatten)]
        limits: LimitsArgs,
        /// Lift every limit.
        #[arg(long, conflicts_with_all = ["types", "recipients"])]
        lift: bool,
    },
    /// List the people, their roles and their limits.
    List,
    /// Remove somebody. What was done stays recorded under the name.
    Remove {
        /// The key, as the list shows it.
        key: String,
    },
}

/// What somebody may approve, sign, number and send.
#[derive(Args)]
pub(super) struct LimitsArgs {
    /// Only documents of these types: names or abbreviations, with commas between them.
    #[arg(long, value_delimiter = ',')]
    types: Vec<DocumentType>,
    /// Only documents to these offices: ids or codes, with commas between them.
    #[arg(long, value_delimiter = ',')]
    recipients: Vec<String>,
}

/// A role on the command line.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RoleArg {
    /// Văn thư.
    Clerk,
    /// Lãnh đạo.
    Leader,
    /// Chuyên viên.
    Officer,
    /// Quản trị đơn vị.
    Administrator,
    /// Kiểm tra.
    Auditor,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Clerk => Self::Clerk,
            RoleArg::Leader => Self::Leader,
            RoleArg::Officer => Self::Officer,
            RoleArg::Administrator => Self::Administrator,
            RoleArg::Auditor => Self::Auditor,
        }
    }
}

type Shown = fn(&Value, Lang) -> String;

/// `token` is the file of whoever changes the list; without it, it is the account of this machine.
pub(super) fn person(
    folder: &DataFolder,
    command: PersonCommand,
    token: Option<&Path>,
    lang: Lang,
) -> Result<(Value, Shown), CliError> {
    let failed = |error| CliError::Words(with_causes(&error));
    let _lock = match command {
        PersonCommand::List => None,
        PersonCommand::Add { .. } | PersonCommand::Limit { .. } | PersonCommand::Remove { .. } => {
            Some(People::lock(folder).map_err(failed)?)
        }
    };
    let mut people = People::read(folder).map_err(failed)?;
    let by = match token {
        Some(file) => {
            let token = read_bounded(file, 4096).map_err(|error| CliError::Words(with_causes(&error)))?;
            people.administrator(String::from_utf8_lossy(&token).trim()).map_err(failed)?
        }
        None => account(),
    };
    let changed = |person: &Person| {
        let mut answer = view(person);
        // A station that does not run records it when it starts, any other one before the next work.
        let recorded = Client::of(folder, lang, token).and_then(|client| client.post("/people", &json!({})));
        answer["recorded"] = recorded.is_ok().into();
        match recorded {
            Ok(_) | Err(CliError::NotRunning { .. }) => {}
            Err(error) => answer["not_recorded_because"] = with_causes(&error).into(),
        }
        answer
    };
    Ok(match command {
        PersonCommand::Add { name, roles, limits } => {
            let roles: Vec<Role> = roles.into_iter().map(Role::from).collect();
            let limits = limits.resolved(folder)?;
            let (person, token) = people.add(&name, &roles, limits, &by).map_err(failed)?;
            let mut answer = changed(&person);
            answer["token_file"] = json!(token);
            (answer, show::person_added)
        }
        PersonCommand::Limit { key, limits, lift: _ } => {
            let limits = limits.resolved(folder)?;
            (changed(&people.limit(&key, limits, &by).map_err(failed)?), show::person_limited)
        }
        PersonCommand::List => {
            (json!({ "people": people.all().map(view).collect::<Vec<_>>() }), show::people)
        }
        PersonCommand::Remove { key } => {
            (changed(&people.remove(&key, &by).map_err(failed)?), show::person_removed)
        }
    })
}

impl LimitsArgs {
    fn resolved(self, folder: &DataFolder) -> Result<Limits, CliError> {
        let mut limits = Limits { types: self.types.into_iter().collect(), ..Limits::default() };
        if !self.recipients.is_empty() {
            let directory = directory(folder)?;
            let today = Day::in_vietnam(crate::runtime::now()).0;
            for text in &self.recipients {
                let office = resolve_office(&directory, text, today);
                limits.recipients.insert(office.map_err(|error| CliError::Words(with_causes(&error)))?);
            }
        }
        Ok(limits)
    }
}

fn directory(folder: &DataFolder) -> Result<std::sync::Arc<Directory>, CliError> {
    let registry = Config::read(folder).and_then(|config| config.load_registry());
    let registry = registry.map_err(|error| CliError::Words(with_causes(&error)))?;
    Ok(std::sync::Arc::clone(registry.directory()))
}

/// Who changes the list without a token: whoever runs this program.
fn account() -> String {
    let uid = std::fs::metadata("/proc/self").map(|process| process.uid().to_string());
    format!("tài khoản máy, uid {}", uid.unwrap_or_else(|_| "?".to_owned()))
}

fn view(person: &Person) -> Value {
    let Person { key, name, roles, types, recipients, .. } = person;
    json!({ "key": key, "name": name, "roles": roles, "types": types, "recipients": recipients })
}
