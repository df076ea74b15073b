//! The command line: for clerks and operators on this machine.
//!
//! Data goes to standard output (JSON with `--json`), talk to standard error. Exit status: 0 done, 1 refused
//! or failed, 2 wrong usage, 3 a station whose signing key was not opened.

mod backup;
mod client;
mod erase;
mod init;
mod key;
mod narrow;
mod person;
mod print;
mod read;
mod register_file;
mod registry;
mod send;
mod show;
mod sign;
mod unlock;
mod work;

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use percent_encoding::{NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use schema::id::{DocumentId, OfficeId, hex};
use schema::time::{Day, Millis};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, DataFolder};
use crate::keyring::{Unlock, replace_private};
use crate::node::StepError;
use crate::pdf::child;
use crate::people;
use crate::store::StoreError;
use crate::words::{Lang, with_causes};
use client::{CliError, Client};
use key::KeyCommand;
use narrow::NarrowArgs;
use unlock::UnlockArgs;

/// Exit status of `run` when the signing key was not opened: starting again does not help, so that a service manager
/// need not try (`RestartPreventExitStatus=3`).
const EXIT_KEY_SHUT: u8 = 3;

/// One office's station: sends, receives and keeps signed documents, with or without a network.
#[derive(Parser)]
#[command(name = "tram-node", version, about, max_term_width = 110)]
struct Cli {
    /// The station's data folder.
    #[arg(long, global = true, env = "TRAM_DATA", default_value = "tram-data")]
    data: PathBuf,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Language of texts.
    #[arg(long, global = true, env = "TRAM_LANG", value_enum, default_value_t = LangArg::Vi)]
    lang: LangArg,
    /// Act as this person: the key that `person list` shows.
    #[arg(long = "as", global = true, env = "TRAM_AS", value_name = "KEY")]
    acting: Option<String>,
    /// Act as the person whose token is in this file.
    #[arg(long, global = true, env = "TRAM_AS_FILE", value_name = "FILE", conflicts_with = "acting")]
    as_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LangArg {
    Vi,
    En,
}

#[derive(Subcommand)]
enum Command {
    /// Make the data folder of a station.
    Init(InitArgs),
    /// Run the station until it is told to stop.
    Run(UnlockArgs),
    /// Send a document: saved when this returns, queued for its recipients.
    Send(send::SendArgs),
    /// A document on its way out, in the order of the law: drafted, approved, signed, numbered, sent.
    #[command(subcommand)]
    Draft(send::DraftCommand),
    /// Freeze a document: write the bytes that persons sign. Attachments are brought to the station; nothing is sent.
    ///
    /// Sign the file (`tram-node sign` does, or `openssl cms -sign -binary -cades -nosmimecap -outform DER` with an RSA or
    /// P-256 key), then `tram-node send --manifest FILE --signature FILE.p7s`.
    Freeze(send::FreezeArgs),
    /// List documents that have arrived here, newest first; or only those that somebody looks for.
    Incoming {
        #[command(flatten)]
        narrow: NarrowArgs,
        #[command(flatten)]
        page: PageArgs,
        /// Also what was recalled or taken back.
        #[arg(long)]
        all: bool,
    },
    /// List documents sent from here, newest first; or only those that somebody looks for.
    Outgoing {
        #[command(flatten)]
        narrow: NarrowArgs,
        #[command(flatten)]
        page: PageArgs,
    },
    /// Show one document: who did what when, and what is proven.
    Show {
        /// The document's id.
        document: DocumentId,
    },
    /// Say why a document has not arrived: where it is, the cause, the next attempt, who must act.
    Why {
        /// The document's id.
        document: DocumentId,
    },
    /// Accept a document, which is to register it (03): it gets its arrival number.
    Accept(work::AcceptArgs),
    /// Refuse or return a document (02).
    Refuse(work::RefuseArgs),
    /// Say who works on a document, until when, how (04).
    Assign(work::AssignArgs),
    /// Work on a document has begun (05).
    Start(work::Which),
    /// A document is finished (06).
    Finish(work::Which),
    /// Give an opinion on a registered document, or propose what to do; the slip for handling it shows it.
    Opinion(work::OpinionArgs),
    /// Ask recipients for a document back (13).
    TakeBack(work::AskArgs),
    /// Recall a document: every recipient cancels its copy.
    Recall(work::AskArgs),
    /// Answer a sender that asks for a document back (15, 16).
    Answer(work::AnswerArgs),
    /// Show what waits for a person.
    Waiting(work::WaitingArgs),
    /// Set aside what was said about a document that is not here, and say why: it waits no more, until more is said or the
    /// document comes.
    SetAside(work::SetAsideArgs),
    /// Erase the content of documents that nobody has to keep any more: their attachments, here. What their events say, the hashes,
    /// signatures and lines of registers stay, and so does who erased them, when and on what ground.
    ///
    /// Nobody brings them back here. Backups that were made before hold them until they are deleted themselves; the other offices
    /// decide about their own copies.
    Erase(erase::EraseArgs),
    /// Show what is due and what is late: to send, to accept, to finish, and what has not arrived.
    Due,
    /// The registers and their numbers.
    #[command(subcommand)]
    Register(work::RegisterCommand),
    /// Print what belongs to a document: stamp and slip, or its signatures.
    #[command(subcommand)]
    Print(print::PrintCommand),
    /// The people of the office.
    #[command(subcommand)]
    Person(person::PersonCommand),
    /// Show the station at a glance.
    Status,
    /// List alarms, newest first.
    Alarms,
    /// List what was refused at the door, newest first.
    Quarantine,
    /// Find offices by the beginnings of words of their names, without diacritics if you like.
    Offices {
        /// What to look for; all enrolled offices when left out.
        search: Option<String>,
        /// Most rows.
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Save a document's attachments; each is checked against its hash.
    Fetch {
        /// The document's id.
        document: DocumentId,
        /// Where to; made if it is not there.
        #[arg(long)]
        out: PathBuf,
        /// As relays carry them, and what opens each of them: `age -d -i NAME.key NAME.age`.
        #[arg(long)]
        sealed: bool,
    },
    /// Say what the signatures inside a document's PDF attachments are worth: a verdict beside that of Trạm itself.
    Signatures {
        /// The document's id.
        document: DocumentId,
        /// Which attachment, from 1; all of them when left out.
        attachment: Option<usize>,
    },
    /// Make a backup of the station, running or not, in a new folder; or check one.
    ///
    /// It holds the store, the settings and the registry, sealed with the office's key. It does NOT
    /// hold the private keys (`node.key`, `login.nk`, or wherever the settings say), nor the passphrase of the
    /// signing key: whoever has them is the office, so keep them apart, for instance in the sealed envelope of the
    /// enrolment. Without them a backup cannot be restored.
    Backup(backup::BackupArgs),
    /// Put a backup back, with the station stopped. Deletes nothing: the present store is moved aside.
    ///
    /// The station then starts a new incarnation: correspondents are told, and send again what arrived after
    /// the backup; order is promised within an incarnation.
    Restore(backup::RestoreArgs),
    /// Check the whole store, running or not: every page, event, signature and attachment.
    ///
    /// A running station does so once a day by itself; `status` shows the last outcome.
    Verify,
    /// Show the signing key's public half and how its file is protected; put the file under a passphrase.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Who is certified, and how old the revocation lists are; take a registry file in, or write one for others.
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// Have an officer sign frozen bytes with a key file, a token or on the telephone; look after such requests.
    ///
    /// Ends with 0 also when the officer has not answered yet: the answer tells the state, and `--resume` looks again.
    Sign(sign::SignArgs),
    /// Who can sign documents here, as officers.
    #[command(subcommand)]
    Signer(sign::SignerCommand),
    /// Carry the same bytes in a file, on a USB stick.
    #[command(subcommand)]
    Courier(CourierCommand),
    /// Judge the signatures inside the PDF on standard input, within limits; the station starts this for itself.
    #[command(hide = true)]
    JudgePdf {
        /// Folder with the root certificates that are believed.
        #[arg(long)]
        trust: Option<PathBuf>,
        /// By when the file exists, in milliseconds since 1970.
        #[arg(long)]
        at: u64,
    },
}

#[derive(Args)]
struct InitArgs {
    /// Folder that the registrar made for this office.
    #[arg(long, conflicts_with_all = ["office", "root_key", "trust_anchors"])]
    bundle: Option<PathBuf>,
    /// The office's id, 32 hexadecimal digits.
    #[arg(long, requires = "root_key")]
    office: Option<OfficeId>,
    /// Public key that signs the directory, 64 hexadecimal digits.
    #[arg(long)]
    root_key: Option<String>,
    /// SHA-256 of a root certificate that is believed, 64 hexadecimal digits; repeat it for a second one.
    #[arg(long = "trust-anchor", value_name = "SHA256", requires = "root_key")]
    trust_anchors: Vec<String>,
    /// Directory, certificates and revocation lists: `registry.cbor` from the registrar.
    #[arg(long)]
    registry: Option<PathBuf>,
    /// What the machine's own token may do; several are possible. Without `clerk` it sends nothing; with `administrator`
    /// alone it reads nothing of documents, and everybody uses `--as`. Left out: what programs need, `clerk` and `administrator`.
    #[arg(long = "machine-role")]
    machine_roles: Vec<person::RoleArg>,
    /// Where the API listens, on this machine only; port 0 takes a free one.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// Note the passphrase file in the settings, so that the station starts when nobody is there to type.
    #[arg(long, requires = "passphrase_file")]
    unattended: bool,
    /// Ask at the terminal for a passphrase to protect the signing key with.
    #[arg(long)]
    ask_passphrase: bool,
    /// Let the station run with an unencrypted signing key: for disks that are encrypted themselves, and for tests.
    #[arg(long, conflicts_with_all = ["passphrase_file", "ask_passphrase"])]
    allow_unencrypted: bool,
    #[command(flatten)]
    unlock: UnlockArgs,
}

#[derive(Args)]
struct PageArgs {
    /// Most rows.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Start before this row: `next` of the page before.
    #[arg(long)]
    before: Option<u64>,
}

#[derive(Subcommand)]
enum CourierCommand {
    /// Write everything that has no receipt into a file.
    Export {
        /// Only what is for this office (id or code).
        #[arg(long)]
        to: Option<String>,
        /// In place of that: every document that was sent and names an archive, receipted or not, for that archive to read.
        #[arg(long, conflicts_with = "to")]
        archive: bool,
        /// Of those, what was sent on this day or later (YYYY-MM-DD).
        #[arg(long, requires = "archive")]
        since: Option<Day>,
        /// The file; never overwritten.
        #[arg(long)]
        out: PathBuf,
    },
    /// Take a file in.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Read a file with the sealing keys of this office, and take nothing in: for the archive that its documents name, and for an office
    /// that has taken over from one of their recipients.
    Read {
        /// The file.
        file: PathBuf,
        /// Put the documents here, each into a folder of its own: the event as it was received, what persons have signed, the attachments.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are data, wrong usage is talk; clap knows where each belongs.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let lang = match cli.lang {
        LangArg::Vi => Lang::Vi,
        LangArg::En => Lang::En,
    };
    let folder = DataFolder::new(&cli.data);
    if let Command::Run(unlock) = cli.command {
        return match run(&folder, &unlock.places(lang)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "station stopped");
                eprintln!("tram-node: {error:#}");
                if is_damage(&error) {
                    eprintln!("{}", show::damaged_store(&folder, lang));
                }
                match error.chain().find_map(|cause| unlock::words_for(cause, lang)) {
                    Some(words) => {
                        eprintln!("{words}");
                        ExitCode::from(EXIT_KEY_SHUT)
                    }
                    None => ExitCode::FAILURE,
                }
            }
        };
    }
    if let Command::JudgePdf { trust, at } = cli.command {
        return match child::serve(trust.as_deref(), Millis(at)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("tram-node: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let output = Output { json: cli.json, lang };
    let token = cli
        .as_file
        .or_else(|| cli.acting.map(|key| people::token_file(folder.path(), &people::key_of(&key))));
    match ask(cli.command, &folder, token.as_deref(), &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.failure(&error);
            ExitCode::FAILURE
        }
    }
}

/// Whether a station does not run because its store is damaged.
fn is_damage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let store = cause.downcast_ref::<StoreError>();
        let step = cause.downcast_ref::<StepError>().and_then(|step| match step {
            StepError::Store(error) => Some(error),
            StepError::Seal(_) | StepError::Sealing(_) => None,
        });
        store.or(step).is_some_and(StoreError::is_damage)
    })
}

fn run(folder: &DataFolder, unlock: &Unlock) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_env("TRAM_LOG")
        // async-nats logs every attempt of its own; the link says what matters.
        .unwrap_or_else(|_| EnvFilter::new("info,async_nats=off"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if std::env::var_os("TRAM_LOG_JSON").is_some() {
        log.json().init();
    } else {
        log.init();
    }
    let config = Config::read(folder)?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(24)
        .enable_all()
        .build()?
        .block_on(crate::runtime::run(folder, &config, unlock))
}

/// How answers are shown.
struct Output {
    json: bool,
    lang: Lang,
}

impl Output {
    fn show(&self, value: &Value, text: impl FnOnce(&Value, Lang) -> String) -> Result<(), CliError> {
        let shown = if self.json { format!("{value:#}\n") } else { text(value, self.lang) };
        match io::stdout().write_all(shown.as_bytes()) {
            // The reader of a pipe has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => {
                done.map_err(|error| CliError::Words(format!("failed to write to standard output: {error}")))
            }
        }
    }

    fn failure(&self, error: &CliError) {
        if self.json {
            let code = match error {
                CliError::Refused { code, .. } => code.as_str(),
                CliError::NotRunning { .. } => "not-running",
                CliError::Exchange { .. } => "exchange",
                CliError::File { .. } => "file",
                CliError::Words(_) => "failed",
            };
            println!("{:#}", json!({ "error": code, "message": with_causes(error) }));
        } else {
            eprintln!("tram-node: {}", with_causes(error));
        }
    }
}

fn ask(command: Command, folder: &DataFolder, token: Option<&Path>, output: &Output) -> Result<(), CliError> {
    let client = || Client::of(folder, output.lang, token);
    match command {
        Command::Run(_) | Command::JudgePdf { .. } => Ok(()),
        Command::Init(args) => output.show(&init::init(folder, args, output.lang)?, show::made),
        Command::Key(command) => {
            let (answer, text) = key::key(folder, command, token, output.lang)?;
            output.show(&answer, text)
        }
        Command::Registry(command) => {
            let (answer, text) = registry::registry(folder, command, output.lang)?;
            output.show(&answer, text)
        }
        Command::Sign(args) => sign::sign(&client()?, &args, output),
        Command::Signer(command) => sign::signer(&client()?, &command, output),
        Command::Draft(command) => send::draft(&client()?, command, output),
        Command::Send(args) => output.show(&send::send(&client()?, &args)?, show::saved),
        Command::Freeze(args) => output.show(&send::freeze(&client()?, &args)?, show::frozen),
        Command::Incoming { narrow, page, all } => {
            let path = format!("{}{}&all={all}", page_path("/incoming", &page), narrow.query());
            output.show(&client()?.get(&path)?, show::incoming)
        }
        Command::Outgoing { narrow, page } => {
            let path = format!("{}{}", page_path("/outgoing", &page), narrow.query());
            output.show(&client()?.get(&path)?, show::outgoing)
        }
        Command::Show { document } => {
            output.show(&client()?.get(&format!("/documents/{document}"))?, show::document)
        }
        Command::Why { document } => {
            output.show(&client()?.get(&format!("/documents/{document}/why"))?, show::why)
        }
        Command::Accept(args) => output.show(&work::accept(&client()?, args)?, show::worked),
        Command::Refuse(args) => output.show(&work::refuse(&client()?, args)?, show::worked),
        Command::Assign(args) => output.show(&work::assign(&client()?, args)?, show::worked),
        Command::Start(which) => output.show(&work::climb(&client()?, "start", which)?, show::worked),
        Command::Finish(which) => output.show(&work::climb(&client()?, "finish", which)?, show::worked),
        Command::Opinion(args) => output.show(&work::opinion(&client()?, args)?, show::worked),
        Command::TakeBack(args) => output.show(&work::ask(&client()?, "take-back", args)?, show::worked),
        Command::Recall(args) => output.show(&work::ask(&client()?, "recall", args)?, show::worked),
        Command::Answer(args) => output.show(&work::answer(&client()?, args)?, show::worked),
        Command::Waiting(args) => output.show(&client()?.get(&args.path())?, show::waiting),
        Command::Erase(args) => output.show(&erase::erase(&client()?, &args)?, show::erased),
        Command::SetAside(args) => output.show(&work::set_aside(&client()?, args)?, show::worked),
        Command::Due => output.show(&client()?.get("/due")?, show::due),
        Command::Print(command) => print::print(&client()?, command, output),
        Command::Register(command) => work::register(&client()?, command, output),
        Command::Person(command) => {
            let (answer, text) = person::person(folder, command, token, output.lang)?;
            output.show(&answer, text)
        }
        Command::Status => output.show(&client()?.get("/status")?, show::status),
        Command::Alarms => output.show(&client()?.get("/alarms")?, show::alarms),
        Command::Quarantine => output.show(&client()?.get("/quarantine")?, show::quarantine),
        Command::Offices { search, limit } => {
            let path = match search {
                Some(search) => format!("/offices?search={}&limit={limit}", percent(&search)),
                None => format!("/offices?enrolled=true&limit={limit}"),
            };
            output.show(&client()?.get(&path)?, show::offices)
        }
        Command::Fetch { document, out, sealed } => {
            output.show(&fetch(&client()?, &document, &out, sealed)?, show::fetched)
        }
        Command::Signatures { document, attachment } => {
            output.show(&signatures(&client()?, &document, attachment)?, show::signatures)
        }
        Command::Backup(args) => {
            let (answer, text) = backup::backup(folder, args, output.lang)?;
            output.show(&answer, text)
        }
        Command::Restore(args) => {
            let (answer, text) = backup::put_back(folder, args, output.lang)?;
            output.show(&answer, text)
        }
        Command::Verify => {
            let (answer, text) = backup::verify(folder)?;
            output.show(&answer, text)?;
            match answer["broken"].as_str() {
                None => Ok(()),
                Some(broken) => Err(CliError::Words(show::broken(broken, folder, output.lang))),
            }
        }
        Command::Courier(CourierCommand::Read { file, out }) => {
            let found = read::read(folder, &file, out.as_deref(), output.lang)?;
            let complete = found["complete"] == json!(true);
            output.show(&found, show::courier_read)?;
            if complete { Ok(()) } else { Err(CliError::Words(show::damaged(&found, output.lang))) }
        }
        Command::Courier(CourierCommand::Export { to, archive, since, out }) => {
            let since = since.map(|since| format!("&since={}", since.0)).unwrap_or_default();
            let path = match (archive, to) {
                (true, _) => format!("/courier/export?archive=true{since}"),
                (false, Some(to)) => format!("/courier/export?to={}", percent(&to)),
                (false, None) => "/courier/export".to_owned(),
            };
            let bytes = write_whole(&out, |file| client()?.receive(true, &path, file))?;
            output.show(&json!({ "file": out, "bytes": bytes }), show::exported)
        }
        Command::Courier(CourierCommand::Import { file }) => {
            let taken = client()?.send_file(false, "/courier/import", &file)?;
            let complete = taken["complete"] == json!(true);
            output.show(&taken, show::imported)?;
            if complete { Ok(()) } else { Err(CliError::Words(show::damaged(&taken, output.lang))) }
        }
    }
}

fn page_path(path: &str, page: &PageArgs) -> String {
    let before = page.before.map(|before| format!("&before={before}")).unwrap_or_default();
    format!("{path}?limit={}{before}", page.limit)
}

/// What the signatures inside one attachment, or inside all of them, are worth.
fn signatures(client: &Client, document: &DocumentId, attachment: Option<usize>) -> Result<Value, CliError> {
    let of = |n: usize| -> Result<Value, CliError> {
        let mut judged = client.get(&format!("/documents/{document}/attachments/{n}/signatures"))?;
        judged["attachment"] = json!(n);
        Ok(judged)
    };
    let judged = match attachment {
        Some(n) => vec![of(n)?],
        None => {
            let view = client.get(&format!("/documents/{document}"))?;
            let count = view["attachments"].as_array().map_or(0, Vec::len);
            (1..=count).map(of).collect::<Result<_, _>>()?
        }
    };
    Ok(json!({ "document": document, "attachments": judged }))
}

fn fetch(client: &Client, document: &DocumentId, out: &Path, sealed: bool) -> Result<Value, CliError> {
    let view = client.get(&format!("/documents/{document}"))?;
    fs::create_dir_all(out).map_err(|source| CliError::File {
        attempted: "create",
        path: out.to_owned(),
        source,
    })?;
    let attachments = view["attachments"].as_array().cloned().unwrap_or_default();
    let mut files = Vec::new();
    for (index, attachment) in attachments.iter().enumerate() {
        let n = index + 1;
        let name = attachment["name"].as_str().unwrap_or_default();
        // Two attachments may have one name, and a name from outside chooses no folder.
        let name =
            Path::new(name).file_name().map_or(format!("{n}"), |name| name.to_string_lossy().into_owned());
        let kept = if sealed { format!("{name}.age") } else { name.clone() };
        let path = out.join(&kept);
        let path = if path.exists() { out.join(format!("{n}-{kept}")) } else { path };
        let from = format!("/documents/{document}/attachments/{n}");
        let opener = if sealed { Some(client.get(&format!("{from}/identity"))?) } else { None };
        let expected = opener.as_ref().map_or(&attachment["sha256"], |opener| &opener["blob"]["hash"]);
        let expected = expected.as_str().unwrap_or_default();
        let from = if sealed { format!("{from}/sealed") } else { from };
        let bytes = write_whole(&path, |file| {
            let mut hashing = Hashing { file, hash: Sha256::new() };
            let bytes = client.receive(false, &from, &mut hashing)?;
            let found = hex(&hashing.hash.finalize());
            if found == expected {
                Ok(bytes)
            } else {
                Err(CliError::Words(format!(
                    "attachment {n} of `{document}` has hash {found}, expected {expected}"
                )))
            }
        })?;
        let mut row = json!({ "file": path, "bytes": bytes, "sha256": expected });
        if let Some(opener) = &opener {
            let key = path.with_extension("key");
            let text = format!("{}\n", opener["identity"].as_str().unwrap_or_default());
            replace_private(&key, text.as_bytes()).map_err(|error| CliError::Words(with_causes(&error)))?;
            row["identity"] = json!(key);
        }
        files.push(row);
    }
    Ok(json!({ "document": document, "files": files }))
}

struct Hashing<'a> {
    file: &'a mut File,
    hash: Sha256,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a new file under another name, syncs it, and gives it its name only when it is whole. Never
/// overwrites.
fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> Result<u64, CliError>) -> Result<u64, CliError> {
    let failed = |attempted| move |source| CliError::File { attempted, path: path.to_owned(), source };
    if path.exists() {
        return Err(failed("write")(io::ErrorKind::AlreadyExists.into()));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let mut file = File::create(&part).map_err(failed("create"))?;
    let done = write(&mut file).and_then(|bytes| {
        file.sync_all().map_err(failed("sync"))?;
        fs::rename(&part, path).map_err(failed("name"))?;
        Ok(bytes)
    });
    if done.is_err() {
        // What is left of it is no use to anybody.
        let _ = fs::remove_file(&part);
    }
    done
}

/// A text inside of a question: everything but letters and digits as percent and two digits.
fn percent(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn file_that_was_not_written_whole_has_no_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.courier");
        let failed = write_whole(&path, |file| {
            file.write_all(b"half").expect("room");
            Err(CliError::Words("the line broke".to_owned()))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
        write_whole(&path, |_| Ok(0)).expect("written");
        assert!(write_whole(&path, |_| Ok(0)).is_err(), "an existing file was overwritten");
    }
}
