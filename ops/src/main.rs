//! `tram`: what administrators run.

mod bench;
mod demo;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use clap::{Parser, Subcommand};
use jiff::civil::Date;
use node::keyring::{Protection, Unlock};
use node::words::Lang;
use ops::deployment::{Deployment, NewRegion};
use ops::doctor::{Light, Patient};
use ops::lookup::{self, OfficeAt};
use ops::registry::{self, RegistryCommand};
use ops::table::{Align, Table};
use ops::{audit, ca, calendar, doctor, history};
use schema::directory::Directory;
use schema::id::{Position, RegionId};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(name = "tram", version, about = "Trạm for administrators: enrol, look, verify, demonstrate")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a deployment: root key and a signed directory of the whole country, nobody enrolled yet.
    Country {
        /// The deployment's folder; keep it off line.
        deployment: PathBuf,
        /// The certificate of a root that is believed (`root/ca.pem` of `tram ca init-root`), PEM or DER. At least one is
        /// needed at first; another one later is believed besides.
        #[arg(long = "root-certificate", value_name = "PATH")]
        root_certificates: Vec<PathBuf>,
        #[command(flatten)]
        root: RootPassphrase,
    },
    /// Add a region with its relay to a deployment, or change it.
    Region {
        /// The deployment's folder.
        deployment: PathBuf,
        /// Its token: a-z, 0-9 and `-`.
        region: RegionId,
        /// Its name for people.
        #[arg(long)]
        name: String,
        /// How offices and peers reach its NATS server: `tls://relay.example.vn:4222`.
        #[arg(long)]
        url: String,
        /// Where that server listens.
        #[arg(long, default_value = "127.0.0.1:4222")]
        listen: SocketAddr,
        /// The loopback port of that server's monitoring.
        #[arg(long, default_value_t = 8222)]
        monitor_port: u16,
        /// Where the relay answers `/status`; loopback.
        #[arg(long, default_value = "127.0.0.1:8322")]
        status: SocketAddr,
        #[command(flatten)]
        root: RootPassphrase,
    },
    /// Enrol offices: keys and settings for each, and the next version of the directory.
    Enrol {
        /// The deployment's folder.
        deployment: PathBuf,
        /// Codes held on the date, or office ids.
        #[arg(required = true)]
        offices: Vec<String>,
        /// A region that keeps their mailboxes; repeat it for a second one, the preferred first.
        #[arg(long = "relay", required = true)]
        relays: Vec<RegionId>,
        /// The day on which the codes are held; today when left out.
        #[arg(long)]
        at: Option<Date>,
        /// File with a passphrase (one line, mode 600) that the offices' signing keys are put under. It is handed over
        /// apart from the bundle, so take another one than for the root key, and another one for every office.
        #[arg(long, value_name = "PATH")]
        passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        root: RootPassphrase,
    },
    /// Certificates and revocation lists of a deployment, as relays and stations hold them.
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// The certificate authority (cơ quan cấp chứng thư): root, provinces, offices, officers.
    Ca(Box<ops::ca::command::Options>),
    /// Ask the directory who is who at a date.
    #[command(subcommand)]
    Directory(DirectoryCommand),
    /// Replay stores from zero and say which promises hold. The stations must be stopped.
    Verify {
        /// Data folders of stations; with several, what only several can show is checked too.
        #[arg(required = true)]
        data: Vec<PathBuf>,
        /// Leave out the signatures (about ten times faster).
        #[arg(long)]
        no_signatures: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// A key was stolen, an office's or a person's: list everything it signed, what of it is safe because a relay saw it
    /// before the theft, and what must be confirmed again.
    Exposed(ops::exposed::Options),
    /// Print what a station recorded, in order.
    Replay {
        /// The station's data folder.
        data: PathBuf,
        /// Stop after this position of the journal.
        #[arg(long)]
        until: Option<u64>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say in words what is wrong with this machine's relay or station.
    Doctor {
        /// A relay's configuration file.
        #[arg(long)]
        relay: Vec<PathBuf>,
        /// A station's data folder.
        #[arg(long)]
        node: Vec<PathBuf>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show Trạm at work: a small country of real processes on this machine.
    Demo(demo::Options),
    /// Measure this machine with Trạm, next to what it gives without, and next to the budgets.
    Bench(bench::Options),
}

#[derive(clap::Args)]
struct RootPassphrase {
    /// File with the passphrase of the root key: one line, mode 600. A root key that is new, or that lies unencrypted,
    /// is put under it. Without it a protected root key asks at the terminal.
    #[arg(long, value_name = "PATH")]
    root_passphrase_file: Option<PathBuf>,
}

impl RootPassphrase {
    fn open(self, deployment: &Path) -> Result<Deployment> {
        self.open_believing(deployment, &[])
    }

    fn open_believing(self, deployment: &Path, root_certificates: &[Vec<u8>]) -> Result<Deployment> {
        let unlock = unlock_with(self.root_passphrase_file);
        let opened = Deployment::open_or_create(deployment, &unlock, root_certificates)?;
        if !Protection::of_file(&deployment.join("root.key"))?.is_protected() {
            tracing::warn!("the root key lies unencrypted; `--root-passphrase-file` encrypts it");
        }
        Ok(opened)
    }
}

/// The credential of a station's service is not meant for the registrar's keys.
fn unlock_with(passphrase_file: Option<PathBuf>) -> Unlock {
    Unlock { passphrase_file, credentials: None, terminal: Some(Lang::En) }
}

#[derive(Subcommand)]
enum DirectoryCommand {
    /// What the directory holds, and who is enrolled.
    Show {
        #[command(flatten)]
        source: Source,
    },
    /// Find offices by a few letters of their names, without diacritics.
    Search {
        /// `ba dinh` finds Phường Ba Đình.
        words: String,
        /// At most this many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        source: Source,
    },
    /// Whom a code, or an office id, means on a day.
    Resolve {
        /// The code as it is written: `G12.18`, `000.00.18.G12`, `00004`.
        code: String,
        #[command(flatten)]
        source: Source,
    },
}

#[derive(clap::Args)]
struct Source {
    /// A deployment's folder; the carried country when left out.
    #[arg(long)]
    deployment: Option<PathBuf>,
    /// The day asked about; today when left out.
    #[arg(long)]
    at: Option<Date>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Source {
    fn open(&self) -> Result<(Arc<Directory>, Date)> {
        let directory = lookup::load(self.deployment.as_deref())?;
        Ok((directory, self.at.unwrap_or_else(calendar::today)))
    }
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("TRAM_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tram: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Country { deployment, root_certificates, root } => {
            let read = |path: &PathBuf| -> Result<Vec<u8>> {
                let bytes = ca::files::read(path, ca::files::SMALL_FILE_BYTES_MAX)?;
                ca::files::der_of(&bytes, ca::files::CERTIFICATE)
            };
            let certificates = root_certificates.iter().map(read).collect::<Result<Vec<_>>>()?;
            let mut deployment = root.open_believing(&deployment, &certificates)?;
            if deployment.directory().is_none() || !certificates.is_empty() {
                deployment.publish(calendar::now())?;
            }
            print(&summary(&deployment))?;
        }
        Command::Region { deployment, region, name, url, listen, monitor_port, status, root } => {
            let mut deployment = root.open(&deployment)?;
            let region = NewRegion { id: region, name, url, listen, monitor_port, status };
            let folder = deployment.add_region(&region)?;
            deployment.publish(calendar::now())?;
            print(&format!(
                "{}relay of `{}`: tram-relay run --config {}\n",
                summary(&deployment),
                region.id,
                folder.join("relay.toml").display()
            ))?;
        }
        Command::Enrol { deployment, offices, relays, at, passphrase_file, root } => {
            let mut deployment = root.open(&deployment)?;
            deployment.unlock_offices(unlock_with(passphrase_file));
            enrol(deployment, &offices, &relays, at)?;
        }
        Command::Ca(options) => return ops::ca::command::run(*options, print),
        Command::Directory(command) => directory(command)?,
        Command::Registry(command) => return registry::run(command, print),
        Command::Verify { data, no_signatures, json } => {
            let mut audits = Vec::new();
            for folder in &data {
                audits.push(audit::audit(folder, !no_signatures)?);
            }
            let together = audit::cross_check(&audits);
            if json {
                print_json(&serde_json::json!({ "stores": audits, "together": together }))?;
            } else {
                print(&audit::report(&audits, &together)?)?;
            }
            let holds =
                audits.iter().all(audit::Audit::holds) && together.iter().all(|check| check.broken.is_none());
            return Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Exposed(options) => print(&ops::exposed::run(&options)?)?,
        Command::Replay { data, until, json } => {
            let (history, directory) = history::history(&data, until.map(Position))?;
            if json {
                print_json(&history)?;
            } else {
                let table = history.table(&directory);
                print(&format!("{}\n\n{table}\nstate {}\n", history.name, history.state))?;
            }
        }
        Command::Doctor { relay, node, json } => return examine(relay, node, json),
        Command::Demo(options) => return demo::run(&options),
        Command::Bench(options) => return bench::run(&options),
    }
    Ok(ExitCode::SUCCESS)
}

fn enrol(
    mut deployment: Deployment,
    offices: &[String],
    relays: &[RegionId],
    at: Option<Date>,
) -> Result<()> {
    let at = at.unwrap_or_else(calendar::today);
    let Some(directory) = deployment.directory().map(Arc::clone) else {
        bail!("`{}` has no directory yet; run `tram country` first", deployment.folder().display());
    };
    let mut bundles = String::new();
    for text in offices {
        let office = lookup::find(&directory, text, at)?;
        let name = audit::newest_name(&directory, &office.id);
        let bundle = deployment.enrol(&office.id, &name, relays)?;
        let protection = Protection::of_file(&bundle.join("node.key"))?;
        bundles += &format!("{name} ({}): {} (signing key: {protection})\n", office.id, bundle.display());
    }
    deployment.publish(calendar::now())?;
    let lacking =
        "their keys count once they are certified: `tram ca issue-office`, then `tram registry add`\n";
    print(&format!("{}{bundles}{lacking}", summary(&deployment)))
}

fn summary(deployment: &Deployment) -> String {
    let Some(directory) = deployment.directory() else { return String::new() };
    format!(
        "{}: directory version {}, {} offices, {} enrolled, {} regions\n",
        deployment.folder().display(),
        directory.version(),
        directory.office_count(),
        directory.offices().filter(|office| !office.relays.is_empty()).count(),
        directory.regions().count(),
    )
}

fn directory(command: DirectoryCommand) -> Result<()> {
    match command {
        DirectoryCommand::Show { source } => {
            let (directory, at) = source.open()?;
            let enrolled = directory.offices().filter(|office| !office.relays.is_empty());
            let offices: Vec<OfficeAt> =
                enrolled.map(|office| OfficeAt::new(&directory, office, at)).collect();
            if source.json {
                let regions: Vec<_> = directory
                    .regions()
                    .map(
                        |region| serde_json::json!({"id": region.id, "name": region.name, "url": region.url}),
                    )
                    .collect();
                return print_json(&serde_json::json!({
                    "version": directory.version(), "issued_at": directory.issued_at(),
                    "offices": directory.office_count(), "regions": regions, "enrolled": offices,
                }));
            }
            let mut text = format!(
                "directory version {}, {} offices, {} regions, {} enrolled\n",
                directory.version(),
                directory.office_count(),
                directory.regions().count(),
                offices.len()
            );
            for region in directory.regions() {
                text += &format!("region {}  {}  {}\n", region.id, region.name, region.url);
            }
            let mut table = Table::new(&[
                ("office", Align::Left),
                ("tier", Align::Left),
                ("above", Align::Left),
                ("mailbox at", Align::Left),
                ("id", Align::Left),
            ]);
            for office in offices {
                table.row([
                    office.name.unwrap_or_else(|| format!("(not on {at})")),
                    office.tier.unwrap_or_default().to_owned(),
                    office.above.join(" › "),
                    office.relays.join(", "),
                    office.id.to_string(),
                ]);
            }
            print(&format!("{text}{table}"))
        }
        DirectoryCommand::Search { words, limit, source } => {
            let (directory, _) = source.open()?;
            let hits = directory.search(&words, source.at, limit);
            if source.json {
                let hits: Vec<_> = hits
                    .iter()
                    .map(|hit| {
                        serde_json::json!({"id": hit.office.id, "name": hit.name.text,
                            "when": hit.name.validity.to_string()})
                    })
                    .collect();
                return print_json(&hits);
            }
            let mut table = Table::new(&[
                ("name", Align::Left),
                ("when", Align::Left),
                ("above", Align::Left),
                ("codes", Align::Left),
                ("id", Align::Left),
            ]);
            for hit in hits {
                let at = hit.name.validity.until.or(source.at).unwrap_or_else(calendar::today);
                let office = OfficeAt::new(&directory, hit.office, at);
                let codes: Vec<String> = office.codes.into_iter().map(|code| code.code).collect();
                table.row([
                    hit.name.text.clone(),
                    hit.name.validity.to_string(),
                    office.above.join(" › "),
                    codes.join(", "),
                    hit.office.id.to_string(),
                ]);
            }
            print(&table.to_string())
        }
        DirectoryCommand::Resolve { code, source } => {
            let (directory, at) = source.open()?;
            let office = OfficeAt::new(&directory, lookup::find(&directory, &code, at)?, at);
            if source.json { print_json(&office) } else { print(&format!("{}\n", office.text(at))) }
        }
    }
}

fn examine(relays: Vec<PathBuf>, nodes: Vec<PathBuf>, json: bool) -> Result<ExitCode> {
    let patients: Vec<Patient> =
        relays.into_iter().map(Patient::Relay).chain(nodes.into_iter().map(Patient::Node)).collect();
    if patients.is_empty() {
        bail!("nothing to examine: name a relay (--relay relay.toml) or a station (--node DATA)");
    }
    let mut worst = Light::Green;
    let mut all = Vec::new();
    for patient in &patients {
        let findings = patient.examine()?;
        worst = findings.iter().map(|finding| finding.light).fold(worst, Light::max);
        let (Patient::Relay(path) | Patient::Node(path)) = patient;
        if json {
            all.push(serde_json::json!({ "subject": path, "findings": findings }));
        } else {
            print(&doctor::report(&path.display().to_string(), &findings))?;
        }
    }
    if json {
        print_json(&all)?;
    }
    Ok(if worst == Light::Red { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Stdout may be a pipe that was closed: an error then, never a panic.
fn print(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn print_json<T: serde::Serialize>(value: &T) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value)?))
}
