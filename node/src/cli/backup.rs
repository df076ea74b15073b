//! Backup, restore and the full check, on this machine's files: none of them needs a running station.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use schema::event::Verifier;
use schema::id::hex;
use serde_json::{Value, json};

use crate::backup::restore::{Settled, Step, restore};
use crate::backup::{self, BackupError, Progress, Trust};
use crate::cli::client::CliError;
use crate::cli::unlock::{UnlockArgs, refused};
use crate::config::{Config, ConfigError, DataFolder};
use crate::content::whole_folder;
use crate::keyring::random_bytes;
use crate::runtime::now;
use crate::store::{Inspection, Outline, StoreError};
use crate::verify::{self, FullCheck, full_check};
use crate::words::{Lang, with_causes};

/// A terminal is told this often how far a long piece of work is; a file or a pipe less often.
const TERMINAL_EVERY: Duration = Duration::from_millis(500);
const PIPE_EVERY: Duration = Duration::from_secs(10);

/// `tram-node backup`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct BackupArgs {
    #[command(subcommand)]
    command: Option<BackupCommand>,
    /// Folder that the backup is made in, on another disk; made if it is not there.
    #[arg(long, required = true)]
    out: Option<PathBuf>,
    /// Keep the newest so many backups of this office there, this one included, and remove older ones.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    keep: Option<u16>,
    #[command(flatten)]
    unlock: UnlockArgs,
}

#[derive(Subcommand)]
enum BackupCommand {
    /// Check a backup from end to end: seal, files, every event and attachment of the copy.
    Check {
        /// The backup's folder.
        backup: PathBuf,
    },
}

/// `tram-node restore`.
#[derive(Args)]
pub(super) struct RestoreArgs {
    /// The backup's folder.
    #[arg(long)]
    from: PathBuf,
    /// Restore although the present store holds more than the backup; it is moved aside, never deleted.
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    unlock: UnlockArgs,
}

/// What a command of this module answers, and how it is shown.
pub(super) type Answer = (Value, fn(&Value, Lang) -> String);

pub(super) fn backup(folder: &DataFolder, args: BackupArgs, lang: Lang) -> Result<Answer, CliError> {
    if let Some(BackupCommand::Check { backup }) = args.command {
        return check(folder, &backup);
    }
    let out = args.out.ok_or_else(|| CliError::Words("`backup` needs `--out`".to_owned()))?;
    let config = Config::read(folder).map_err(|error| failed(&error))?;
    let mut progress = Shown::default();
    let keep = args.keep.map(usize::from);
    let unlock = args.unlock.places(lang);
    let made = backup::create(folder, &config, &out, keep, now(), &unlock, &mut |step| progress.tell(step));
    let made = made.map_err(|error| refused(&error, lang))?;
    let mut answer = described(&made.seal, &made.outline);
    answer["backup"] = json!(made.path);
    answer["removed"] = json!(made.removed);
    answer["unfinished"] = json!(made.unfinished);
    answer["keys_not_included"] = json!([config.signing_key, config.login]);
    Ok((answer, super::show::backed_up))
}

fn check(folder: &DataFolder, path: &Path) -> Result<Answer, CliError> {
    // On a machine without a station the backup can only be compared with itself.
    let trust = match Config::read(folder) {
        Ok(config) => Trust::of_station(&config),
        Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Trust::of_backup(path)
        }
        Err(error) => Err(error),
    };
    let trust = trust.map_err(|error| failed(&error))?;
    let mut progress = Shown::default();
    let checked = backup::check(path, &trust, &mut |step| progress.tell(step));
    let checked = checked.map_err(|error| failed(&error))?;
    let mut answer = described(&checked.seal, &checked.outline);
    let office = trust.registry.directory().office(&checked.seal.office);
    answer["backup"] = json!(path);
    answer["office_name"] = json!(office.and_then(|office| office.names.last()).map(|name| &name.text));
    answer["events"] = json!(checked.counted.events);
    answer["unjudged"] = json!(checked.counted.unjudged);
    answer["attachments"] = json!(checked.counted.attachments);
    answer["trust"] = json!(if trust.own { "own" } else { "backup" });
    answer["root_key"] = json!(hex(&trust.roots.directory_key));
    let anchors: Vec<String> = trust.roots.anchors.iter().map(ToString::to_string).collect();
    answer["trust_anchors"] = json!(anchors);
    Ok((answer, super::show::backup_checked))
}

pub(super) fn put_back(folder: &DataFolder, args: RestoreArgs, lang: Lang) -> Result<Answer, CliError> {
    let seed = random_bytes().map_err(|error| failed(&error))?;
    let mut progress = Shown::default();
    let unlock = args.unlock.places(lang);
    let done = restore(folder, &args.from, args.replace, now(), seed, &unlock, &mut |step| {
        if let Step::Working(step) = step {
            progress.tell(step);
        }
    });
    let done = done.map_err(|error| refused(&error, lang))?;
    let mut answer = described(&done.seal, &done.outline);
    answer["data"] = json!(folder.path());
    answer["backup"] = json!(args.from);
    answer["backup_incarnation"] = answer["incarnation"].take();
    answer["incarnation"] = json!(done.incarnation);
    answer["moved_aside"] = json!(done.aside);
    answer["erased_again"] = json!(done.erased_again);
    answer["settings_brought"] = json!(done.settings_brought);
    answer["settled"] = json!(done.settled.map(|settled| match settled {
        Settled::Undone => "undone",
        Settled::Finished => "finished",
    }));
    Ok((answer, super::show::restored))
}

/// Checks the whole store and keeps the outcome for the status.
pub(super) fn verify(folder: &DataFolder) -> Result<Answer, CliError> {
    let config = Config::read(folder).map_err(|error| failed(&error))?;
    let registry = config.load_registry().map_err(|error| failed(&error))?;
    let path = folder.database();
    let store = |source: StoreError| failed(&BackupError::Store { path: path.clone(), source });
    let started = Instant::now();
    let mut progress = Shown::default();
    let contents = whole_folder(&folder.content());
    let looked = Inspection::open(&path).map(|store| {
        let verifier = Verifier::new(Arc::clone(&registry));
        full_check(&store, &contents, config.office, &verifier, &mut |step| {
            progress.tell(Progress::Checked(step));
            ControlFlow::Continue(())
        })
        .unwrap_or_default()
    });
    let (counted, broken) = match looked {
        Ok(found) => found,
        Err(error) if error.is_damage() => (Default::default(), Some(with_causes(&error))),
        Err(error) => return Err(store(error)),
    };
    let outcome = FullCheck {
        at: now(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        events: counted.events,
        unjudged: counted.unjudged,
        attachments: counted.attachments,
        broken,
    };
    outcome.keep(&folder.full_check()).map_err(|error| failed(&error))?;
    let mut answer = serde_json::to_value(&outcome).map_err(|error| failed(&error))?;
    answer["store"] = json!(path);
    Ok((answer, super::show::verified))
}

fn described(seal: &schema::backup::BackupSeal, outline: &Outline) -> Value {
    json!({
        "office": seal.office,
        "incarnation": seal.incarnation,
        "seq": seal.seq,
        "head": seal.head,
        "journal": seal.position,
        "sealed_at": seal.sealed_at,
        "bytes": seal.store.length,
        "incoming": outline.incoming,
        "outgoing": outline.outgoing,
    })
}

fn failed(error: &dyn std::error::Error) -> CliError {
    CliError::Words(with_causes(error))
}

/// Tells on standard error how far it is, when it takes long.
struct Shown {
    next: Instant,
    every: Duration,
}

impl Default for Shown {
    fn default() -> Self {
        let every = if io::stderr().is_terminal() { TERMINAL_EVERY } else { PIPE_EVERY };
        Self { next: Instant::now() + every, every }
    }
}

impl Shown {
    fn tell(&mut self, progress: Progress) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + self.every;
        let mib = |bytes: u64| bytes / (1024 * 1024);
        let words = match progress {
            Progress::Copied(done, total) => format!("{} / {} MiB copied", mib(done), mib(total)),
            Progress::Hashed(done, total) => format!("{} / {} MiB hashed", mib(done), mib(total)),
            Progress::Brought(attachments) => format!("{attachments} attachments copied"),
            Progress::Checked(verify::Progress::Structure) => "checking the file's structure".to_owned(),
            Progress::Checked(verify::Progress::Events(done, total)) => {
                format!("{done} / {total} events checked")
            }
            Progress::Checked(verify::Progress::Attachments(done)) => format!("{done} attachments checked"),
        };
        // Nobody may be reading; the work goes on.
        let _ = writeln!(io::stderr(), "… {words}");
    }
}
