//! The people of the office: added, listed, removed. Works on the folder; a running station sees it at once.

use clap::{Subcommand, ValueEnum};
use schema::handling::Role;
use serde_json::{Value, json};

use super::client::CliError;
use super::show;
use crate::config::DataFolder;
use crate::people::{People, Person};
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
    },
    /// List the people and their roles.
    List,
    /// Remove somebody. What was done stays recorded under the name.
    Remove {
        /// The key, as the list shows it.
        key: String,
    },
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

pub(super) fn person(folder: &DataFolder, command: PersonCommand) -> Result<(Value, Shown), CliError> {
    let failed = |error| CliError::Words(with_causes(&error));
    let mut people = People::read(folder).map_err(failed)?;
    Ok(match command {
        PersonCommand::Add { name, roles } => {
            let roles: Vec<Role> = roles.into_iter().map(Role::from).collect();
            let (person, token) = people.add(&name, &roles).map_err(failed)?;
            let mut answer = view(&person);
            answer["token_file"] = json!(token);
            (answer, show::person_added)
        }
        PersonCommand::List => {
            (json!({ "people": people.all().iter().map(view).collect::<Vec<_>>() }), show::people)
        }
        PersonCommand::Remove { key } => (view(&people.remove(&key).map_err(failed)?), show::person_removed),
    })
}

fn view(person: &Person) -> Value {
    json!({ "key": person.key, "name": person.name, "roles": person.roles })
}
