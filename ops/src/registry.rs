//! `tram registry`: certificates and lists into a deployment, and what it holds.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use node::keyring::Unlock;
use node::words::Lang;
use schema::registry::{KeyStanding, Registry};
use serde::Serialize;

use crate::audit::newest_name;
use crate::calendar;
use crate::deployment::{self, Deployment, papers};
use crate::table::{Align, Table};

/// What is done with the registry of a deployment.
#[derive(Subcommand)]
pub enum RegistryCommand {
    /// Take certificates and revocation lists in, and hand the registry out to the folders of relays and offices.
    Add {
        /// The deployment's folder.
        deployment: PathBuf,
        /// Folders of authorities (everything public in them), certificates, lists (PEM or DER), registry files.
        #[arg(required = true)]
        sources: Vec<PathBuf>,
        /// File with the passphrase of the root key; without it a protected one asks at the terminal.
        #[arg(long, value_name = "PATH")]
        root_passphrase_file: Option<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Authorities, the age of their lists, and whose keys count.
    Show {
        /// The deployment's folder.
        deployment: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What a registry holds, for people and programs.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The directory's version.
    pub directory: u64,
    /// The authorities, and their lists.
    pub authorities: Vec<AuthorityShown>,
    /// The keys of offices.
    pub keys: Vec<KeyShown>,
}

/// An authority.
#[derive(Debug, Serialize)]
pub struct AuthorityShown {
    /// Its name.
    pub name: String,
    /// The number of its newest list, when one is held.
    pub list: Option<String>,
    /// When that was made, and until when it counts.
    pub made: Option<String>,
    /// See above.
    pub next: Option<String>,
    /// How many certificates are on it.
    pub revoked: usize,
}

/// A key of an office.
#[derive(Debug, Serialize)]
pub struct KeyShown {
    /// Whose.
    pub office: String,
    /// Its name.
    pub name: String,
    /// Which.
    pub key: String,
    /// Why it counts, or that it does not.
    pub standing: &'static str,
    /// Until when the newest certificate of it counts.
    pub not_after: String,
}

impl Shown {
    /// Looks at a registry.
    pub fn new(registry: &Registry) -> Self {
        let directory = registry.directory();
        let authorities = registry.list_ages().into_iter().map(|age| AuthorityShown {
            name: age.authority.to_string(),
            list: age.newest.as_ref().map(|(number, _)| number.to_string()),
            made: age.newest.as_ref().map(|(_, window)| calendar::shown(window.this_update)),
            next: age.newest.as_ref().map(|(_, window)| calendar::shown(window.next_update)),
            revoked: age.revoked,
        });
        let keys = directory.offices().flat_map(|office| {
            registry.keys(&office.id).iter().map(|key| KeyShown {
                office: office.id.to_string(),
                name: newest_name(directory, &office.id),
                key: key.id().to_string(),
                standing: match key.standing() {
                    KeyStanding::First => "first",
                    KeyStanding::Announced { .. } => "announced",
                    KeyStanding::Confirmed { .. } => "confirmed by a later one",
                    KeyStanding::Recovered => "after a lost one",
                    KeyStanding::Late { .. } => "revoked, came late",
                    KeyStanding::Contested => "CONTESTED",
                },
                not_after: calendar::shown(key.not_after()),
            })
        });
        Self { directory: directory.version(), authorities: authorities.collect(), keys: keys.collect() }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = format!("directory version {}\n\n", self.directory);
        let mut table = Table::new(&[
            ("authority", Align::Left),
            ("list", Align::Right),
            ("made", Align::Left),
            ("next", Align::Left),
            ("revoked", Align::Right),
        ]);
        for authority in &self.authorities {
            let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
            table.row([
                authority.name.clone(),
                or(&authority.list),
                or(&authority.made),
                or(&authority.next),
                authority.revoked.to_string(),
            ]);
        }
        let mut keys = Table::new(&[
            ("office", Align::Left),
            ("key", Align::Left),
            ("standing", Align::Left),
            ("counts until", Align::Left),
            ("id", Align::Left),
        ]);
        for key in &self.keys {
            let KeyShown { office, name, key, standing, not_after } = key;
            keys.row([name.clone(), key.clone(), (*standing).to_owned(), not_after.clone(), office.clone()]);
        }
        let _ = writeln!(text, "{table}\n\n{keys}");
        text
    }
}

/// Carries it out; `print` takes what goes to standard output.
///
/// # Errors
/// When the deployment or a source cannot be used.
pub fn run(command: RegistryCommand, print: impl Fn(&str) -> Result<()>) -> Result<ExitCode> {
    match command {
        RegistryCommand::Add { deployment, sources, root_passphrase_file, json } => {
            let mut items = Vec::new();
            for source in &sources {
                items.extend(papers::read(source)?);
            }
            let unlock =
                Unlock { passphrase_file: root_passphrase_file, credentials: None, terminal: Some(Lang::En) };
            let mut deployment = Deployment::open_or_create(&deployment, &unlock, &[])?;
            let added = deployment.add(items)?;
            let directory = deployment.directory().context("the deployment is published")?;
            if json {
                let refused: Vec<_> =
                    added.refused.iter().map(|(item, why)| (item.to_string(), why)).collect();
                print(&format!(
                    "{}\n",
                    serde_json::to_string_pretty(&serde_json::json!({
                        "new": added.new, "known": added.known, "older": added.older, "refused": refused, "contested": added.contested,
                        "contradicting": added.contradicting,
                    }))?
                ))?;
            } else {
                let mut text = format!(
                    "{} new, {} known, {} older than what is held; handed out to the folders of relays and offices\n",
                    added.new, added.known, added.older
                );
                for (item, why) in &added.refused {
                    let _ = writeln!(text, "NOT TAKEN IN  {item}: {why}");
                }
                for office in &added.contested {
                    let name = newest_name(directory, office);
                    let _ = writeln!(
                        text,
                        "CONTESTED     {name} ({office}) has a second key, and no announcement of it is here: take in what the \
                         office or its relay holds (`tram-node registry export`); if it is contested still, have one revoked"
                    );
                }
                for authority in &added.contradicting {
                    let _ = writeln!(
                        text,
                        "CONTRADICTION {authority} has issued revocation lists that contradict each other: what \
                         any of them revokes is revoked, they are kept as evidence; tell the keeper of the root at once"
                    );
                }
                print(&text)?;
            }
            let is_well =
                added.refused.is_empty() && added.contested.is_empty() && added.contradicting.is_empty();
            Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        RegistryCommand::Show { deployment, json } => {
            let shown = Shown::new(&deployment::read_registry(&deployment)?);
            if json {
                print(&format!("{}\n", serde_json::to_string_pretty(&shown)?))?;
            } else {
                print(&shown.text())?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}
