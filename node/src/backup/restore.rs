//! Putting a backup back in place.
//!
//! The copy is made ready beside the present store: copied, checked from end to end, and moved into a new
//! incarnation, while nobody can open it under its later name. Only then two renames exchange the stores. A
//! marker stands in the folder while they do, and whoever opens the folder next settles what a crash has left
//! ([`settle`]): before the last rename the old store goes back, after it the new one stays. So there is
//! never a store in place that could send without a new incarnation, and without the marker never none.
//!
//! A store file that is copied by hand over the old one is a case that correspondents notice; nothing here
//! tries to.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use schema::backup::{BackupSeal, open_backup_seal, seal_backup};
use schema::body::Act;
use schema::handling::ErasedRow;
use schema::id::{Incarnation, Position};
use schema::registry::REGISTRY_BYTES_MAX;
use schema::time::Millis;
use serde::{Deserialize, Serialize};

use super::{
    BackupError, CONFIG_FILE, CONTENT_FOLDER, Progress, REGISTRY_FILE, SEALING_FILE, STORE_FILE, Trust,
    bring_attachments, check_copy, digest_of, pump, read_seal, same, sync, sync_folder, utc,
};
use crate::config::{CONFIG_BYTES_MAX, Config, DataFolder, read_bounded};
use crate::content::{make_folder, whole_folder};
use crate::keyring::{Unlock, replace_private};
use crate::node::Node;
use crate::sealing::{SEALING_KEYS_BYTES_MAX, SealingKeys};
use crate::store::{Inspection, Outline, Store};
use crate::verify::FullCheck;
use crate::words::with_causes;

/// How the name of a folder with a store that was replaced begins.
pub const ASIDE_PREFIX: &str = "store-before-restore-";
/// The copy, until it takes its place.
const READY_FILE: &str = "tram.db.restoring";
/// Largest marker, in bytes.
const MARKER_BYTES_MAX: u64 = 4 * 1024;
/// What belongs to a store beside its file, in the order in which it is moved aside: the file first.
const SUFFIXES: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// What was done; told after each thing that a crash could come after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Seal and office are right, and the present store holds nothing more.
    Accepted,
    /// Copying or checking goes on.
    Working(Progress),
    /// The copy is here, whole.
    Copied,
    /// The copy is sound from end to end.
    Checked,
    /// It has a new incarnation, and is on the disk.
    Raised,
    /// From now on whoever opens the folder settles what is unfinished.
    Marked,
    /// Another file of the present store is aside.
    MovedAside,
    /// The new store is in place.
    Placed,
    /// Nothing is unfinished.
    Unmarked,
}

/// What was restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// The backup.
    pub seal: BackupSeal,
    /// What it holds.
    pub outline: Outline,
    /// The incarnation that the station has now.
    pub incarnation: Incarnation,
    /// Where the store is that was in place; `None` when there was none.
    pub aside: Option<PathBuf>,
    /// Whether the settings came with the backup, because the folder had none.
    pub settings_brought: bool,
    /// Documents whose content the store that was in place had erased since the backup: it is erased in this one too.
    pub erased_again: usize,
    /// What became of an earlier restore that was broken off.
    pub settled: Option<Settled>,
}

/// How a restore that was broken off was settled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    /// The store that was in place before is in place again.
    Undone,
    /// The restored store was in place already.
    Finished,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Marker {
    /// The folder, below the data folder, that the old store goes to.
    aside: String,
}

/// Puts a backup in the place of a station's store. Nothing is deleted: the store that was there is moved
/// aside.
///
/// `now` is this machine's time, `seed` fresh randomness, `unlock` gives the passphrase of the signing key. `step` is told how far it is.
///
/// # Errors
/// Says what was found; the store that was in place is still there then.
pub fn restore(
    folder: &DataFolder,
    from: &Path,
    replace: bool,
    now: Millis,
    seed: [u8; 32],
    unlock: &Unlock,
    step: &mut dyn FnMut(Step),
) -> Result<Restored, BackupError> {
    fs::create_dir_all(folder.path()).map_err(BackupError::file("create", folder.path()))?;
    let _held = folder.lock()?;
    let settled = settle(folder)?;
    let (config, brought) = settings(folder, from)?;
    let trust = match &brought {
        None => Trust::of_station(&config)?,
        Some(_) => Trust::of_backup(from)?,
    };
    let seal = read_seal(from, &trust)?;
    if seal.office != config.office {
        let (path, found, expected) = (from.to_owned(), seal.office, config.office);
        return Err(BackupError::OtherOffice { path, found, expected });
    }
    let key = config.open_key(Some(&trust.registry), unlock)?.key;
    let opener = key.clone();
    // What is signed next must be accepted by others. A seal of our own shows whether the key is
    // certified.
    open_backup_seal(&seal_backup(&seal, &key), &trust.registry)
        .map_err(|source| BackupError::Seal { path: config.signing_key.clone(), source })?;
    if !replace {
        holds_nothing_more(folder, from, &seal)?;
    }
    let erased = erased_before(&folder.database());
    step(Step::Accepted);

    let ready = folder.path().join(READY_FILE);
    let made = make_ready(folder, &ready, from, &seal, &trust, step).and_then(|outline| {
        let registry = Arc::clone(&trust.registry);
        let opened =
            Store::open(&ready).and_then(|store| Node::open(store, key, registry, config.office, seed, now));
        let mut node = opened.map_err(|source| BackupError::Store { path: ready.clone(), source })?;
        let before = node.exchange().incarnation();
        node.restored_by_tool(now)?;
        let incarnation = node.exchange().incarnation();
        // The station refuses in silence to start one incarnation after the other.
        if incarnation == before {
            return Err(BackupError::NoIncarnation);
        }
        let erased_again = node.erase_again(&erased, now)?;
        // The last connection moves its log into the file.
        drop(node);
        let log = beside(&ready, "-wal");
        if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            let found = "its log was not moved into the file".to_owned();
            return Err(BackupError::Copy { path: log, found });
        }
        sync(&ready)?;
        Ok((outline, incarnation, erased_again))
    });
    let (outline, incarnation, erased_again) = match made {
        Ok(made) => made,
        Err(error) => {
            // A refused copy is of no use to anybody; the backup is still where it was.
            remove_ready(&ready)?;
            return Err(error);
        }
    };
    step(Step::Raised);
    bring_sealing_keys(&config, from, &seal, &opener)?;
    if let Some((settings, registry)) = &brought {
        // The settings go last: a folder with settings counts as made.
        if !config.registry.exists() {
            replace_private(&config.registry, registry)?;
        }
        replace_private(&folder.config(), settings)?;
    }
    let aside = exchange(folder, &ready, now, step)?;
    let settings_brought = brought.is_some();
    Ok(Restored { seal, outline, incarnation, aside, settings_brought, erased_again, settled })
}

/// What the present store has erased. One that is damaged is no reason not to restore: then nobody knows.
fn erased_before(database: &Path) -> Vec<(ErasedRow, Act)> {
    if !database.exists() {
        return Vec::new();
    }
    match Inspection::open(database).and_then(|present| present.erasures()) {
        Ok(erased) => erased,
        Err(error) => {
            let error = with_causes(&error);
            tracing::warn!(
                error,
                "the present store does not say whose content it has erased: erase it again"
            );
            Vec::new()
        }
    }
}

/// The settings of the folder or, in a folder that has none yet, those of the backup, with the registry.
type Brought = Option<(Vec<u8>, Vec<u8>)>;

fn settings(folder: &DataFolder, from: &Path) -> Result<(Config, Brought), BackupError> {
    if folder.config().exists() {
        return Ok((Config::read(folder)?, None));
    }
    let trust = Trust::of_backup(from)?;
    let seal = read_seal(from, &trust)?;
    let settings = read_bounded(&from.join(CONFIG_FILE), CONFIG_BYTES_MAX)?;
    same(&from.join(CONFIG_FILE), digest_of(&settings), seal.config)?;
    let registry = read_bounded(&from.join(REGISTRY_FILE), REGISTRY_BYTES_MAX as u64)?;
    same(&from.join(REGISTRY_FILE), digest_of(&registry), seal.registry)?;
    // Others have no business in a folder with keys.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700))
        .map_err(BackupError::file("protect", folder.path()))?;
    let config = Config::read_as(folder, &settings)?;
    Ok((config, Some((settings, registry))))
}

/// What others have sealed for this office meanwhile is opened by the keys of the backup, beside those that the machine has; the newest
/// of the two comes first. Those that this signing key does not open are of no use: the machine's own are used, or new ones made and
/// announced.
fn bring_sealing_keys(
    config: &Config,
    from: &Path,
    seal: &BackupSeal,
    opener: &SigningKey,
) -> Result<(), BackupError> {
    let (place, brought) = (config.sealing_keys(), from.join(SEALING_FILE));
    let Some(expected) = seal.sealing else { return Ok(()) };
    let bytes = read_bounded(&brought, SEALING_KEYS_BYTES_MAX)?;
    same(&brought, digest_of(&bytes), expected)?;
    let carried = match SealingKeys::unsealed(&bytes, opener, &brought) {
        Ok(carried) => carried,
        Err(error) => {
            tracing::warn!(error = with_causes(&error), "the sealing keys of the backup are not used");
            return Ok(());
        }
    };
    let joined = || {
        if !place.exists() {
            return carried.write(&place);
        }
        let present = SealingKeys::open(&place)?;
        match (present.hold_all_of(&carried), carried.hold_all_of(&present)) {
            (true, _) => Ok(()),
            // What the enrolment brought here is older than what the station made of it since.
            (false, true) => carried.write(&place),
            (false, false) => present.joined_with(&carried)?.write(&place),
        }
    };
    joined().map_err(BackupError::Sealing)
}

/// Refuses when the present store may know things that the backup does not.
fn holds_nothing_more(folder: &DataFolder, from: &Path, seal: &BackupSeal) -> Result<(), BackupError> {
    let path = folder.database();
    if !path.exists() {
        return Ok(());
    }
    let compare = || {
        let present = Inspection::open(&path)?;
        let outline = present.outline()?;
        let newest = present.journal(outline.position, 1)?;
        Ok((outline, newest))
    };
    let (outline, newest) =
        compare().map_err(|source| BackupError::CannotCompare { path: path.clone(), source })?;
    let newer = |what| Err(BackupError::Newer { path: path.clone(), what });
    let Position(more) = Position(outline.position.0.saturating_sub(seal.position.0));
    if more > 0 {
        return newer(format!("{more} later journal entries, {} in all,", outline.position));
    }
    let copy = from.join(STORE_FILE);
    let of_copy = |source| BackupError::Store { path: copy.clone(), source };
    let same = Inspection::open(&copy).map_err(of_copy)?.journal(outline.position, 1).map_err(of_copy)?;
    // A journal only grows: with the same entry at the same place, all before is the same.
    let is_part = newest.first().map(|entry| &entry.bytes) == same.first().map(|entry| &entry.bytes);
    if outline.position.0 > 0 && !is_part {
        return newer(format!("another history: its journal entry {} is a different one,", outline.position));
    }
    Ok(())
}

fn make_ready(
    folder: &DataFolder,
    ready: &Path,
    from: &Path,
    seal: &BackupSeal,
    trust: &Trust,
    step: &mut dyn FnMut(Step),
) -> Result<Outline, BackupError> {
    remove_ready(ready)?;
    let source = from.join(STORE_FILE);
    let mut read = File::open(&source).map_err(BackupError::file("open", &source))?;
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(ready);
    let mut written = written.map_err(BackupError::file("create", ready))?;
    let found = pump(&mut read, &source, Some((&mut written, ready)), &mut |done, total| {
        step(Step::Working(Progress::Copied(done, total)));
    });
    let found = found.map_err(|error| match error {
        BackupError::DiskFull { path, .. } => BackupError::DiskFull { path, needed: seal.store.length },
        error => error,
    })?;
    same(&source, found, seal.store)?;
    written.sync_all().map_err(BackupError::file("sync", ready))?;
    step(Step::Copied);
    let mut working = |progress| step(Step::Working(progress));
    let contents = from.join(CONTENT_FOLDER);
    let (outline, _) = check_copy(ready, &contents, seal, trust, &mut working)?;
    step(Step::Checked);
    // They are named by what they hold: beside those of the present store they are in nobody's way.
    let content = folder.content();
    make_folder(&content).map_err(BackupError::Content)?;
    bring_attachments(ready, &contents, &whole_folder(&content), None, &mut |progress| {
        step(Step::Working(progress));
    })?;
    sync_folder(&content)?;
    Ok(outline)
}

fn remove_ready(ready: &Path) -> Result<(), BackupError> {
    for suffix in SUFFIXES {
        let path = beside(ready, suffix);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(BackupError::file("remove", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Moves the present store aside and the ready one into its place.
fn exchange(
    folder: &DataFolder,
    ready: &Path,
    now: Millis,
    step: &mut dyn FnMut(Step),
) -> Result<Option<PathBuf>, BackupError> {
    let database = folder.database();
    let present: Vec<&str> =
        SUFFIXES.into_iter().filter(|suffix| beside(&database, suffix).exists()).collect();
    let name = free_name(folder, now);
    let aside = folder.path().join(&name);
    if !present.is_empty() {
        DirBuilder::new().mode(0o700).create(&aside).map_err(BackupError::file("create", &aside))?;
    }
    let marker = serde_json::to_vec(&Marker { aside: name }).unwrap_or_default();
    replace_private(&folder.restore_marker(), &marker)?;
    step(Step::Marked);
    for suffix in &present {
        let (from, to) = (beside(&database, suffix), aside.join(format!("{STORE_FILE}{suffix}")));
        fs::rename(&from, &to).map_err(BackupError::file("move aside", &from))?;
        step(Step::MovedAside);
    }
    if !present.is_empty() {
        sync_folder(&aside)?;
    }
    // What was found about the other store says nothing about this one.
    FullCheck::forget(&folder.full_check()).map_err(BackupError::file("remove", &folder.full_check()))?;
    sync_folder(folder.path())?;
    fs::rename(ready, &database).map_err(BackupError::file("put in place", &database))?;
    sync_folder(folder.path())?;
    step(Step::Placed);
    unmark(folder)?;
    step(Step::Unmarked);
    Ok((!present.is_empty()).then_some(aside))
}

fn free_name(folder: &DataFolder, now: Millis) -> String {
    let first = format!("{ASIDE_PREFIX}{}", utc(now));
    let names = (2_u32..).map(|n| format!("{first}-{n}"));
    let free = |name: &String| !folder.path().join(name).exists();
    std::iter::once(first.clone()).chain(names).find(free).unwrap_or(first)
}

fn unmark(folder: &DataFolder) -> Result<(), BackupError> {
    let marker = folder.restore_marker();
    fs::remove_file(&marker).map_err(BackupError::file("remove", &marker))?;
    sync_folder(folder.path())
}

/// Settles a restore that a crash has broken off between the renames; `None` when there was none. Whoever
/// opens the store for writing calls this first, holding the folder's lock.
///
/// # Errors
/// When the marker is not understood, or a file cannot be moved.
pub fn settle(folder: &DataFolder) -> Result<Option<Settled>, BackupError> {
    let path = folder.restore_marker();
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read_bounded(&path, MARKER_BYTES_MAX)?;
    let wrong = |found: String| BackupError::Marker { path: path.clone(), found };
    let marker: Marker = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    let plain = |name: &str| name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
    if !marker.aside.starts_with(ASIDE_PREFIX) || !plain(&marker.aside) {
        return Err(wrong(format!("it names the folder `{}`", marker.aside.escape_debug())));
    }
    let aside = folder.path().join(&marker.aside);
    let database = folder.database();
    let ready = folder.path().join(READY_FILE);
    // The ready file leaves its name only by taking its place.
    let settled = if database.exists() && !ready.exists() {
        Settled::Finished
    } else {
        // The file goes back last: as long as it is missing, this is to be done again.
        for suffix in SUFFIXES.into_iter().rev() {
            let (from, to) = (aside.join(format!("{STORE_FILE}{suffix}")), beside(&database, suffix));
            if from.exists() {
                fs::rename(&from, &to).map_err(BackupError::file("move back", &from))?;
            }
        }
        sync_folder(folder.path())?;
        // Empty now; when it is not, somebody else put something there.
        let _ = fs::remove_dir(&aside);
        Settled::Undone
    };
    unmark(folder)?;
    Ok(Some(settled))
}
