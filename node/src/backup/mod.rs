//! Backup and restore of a station.
//!
//! ```text
//! <out>/tram-backup-<office>-<UTC time>/
//!     tram.db          the store as it was at one moment, one file
//!     config.toml      the settings
//!     registry.cbor    directory, certificates and revocation lists
//!     sealing.age      what opens the contents that others have sealed; itself sealed for the signing key
//!     content/         the attachments that the store says are complete, sealed, each named by its hash
//!     seal.cbor        what all this is, signed by the office (schema::backup)
//! ```
//!
//! Attachments never change, so a backup beside an earlier one shares its files where the disk can do that. The seal covers them too:
//! the store names each by its hash.
//!
//! Not the signing key: a backup lies in drawers and travels on sticks, and whoever has that key *is* the
//! office. It is kept apart, where it was put at enrolment; without it nobody opens the sealing keys.
//!
//! A backup is written under a name that begins with a dot and ends in `.part`, and gets its own name only
//! when every byte of it is on the disk. Putting one back is [`restore`].

pub mod restore;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::Offset;
use schema::backup::{BackupSeal, FileDigest, SEAL_BYTES_MAX, SealError, open_backup_seal, seal_backup};
use schema::directory::Directory;
use schema::event::Verifier;
use schema::id::{BlobHash, OfficeId, hex};
use schema::registry::{REGISTRY_BYTES_MAX, Registry, Roots};
use schema::time::Millis;
use sha2::{Digest, Sha256};

use crate::api::day_in_vietnam;
use crate::config::{CONFIG_BYTES_MAX, Config, ConfigError, DataFolder, read_bounded};
use crate::content::{self, ContentError, bring, make_folder, whole_folder};
use crate::keyring::{KeyringError, Unlock};
use crate::runtime::SELF_CHECK_EVENTS;
use crate::sealing::{SealingKeys, SealingKeysError};
use crate::store::{Inspection, Outline, StoreError};
use crate::verify::{self, Counted, full_check};

/// How the name of every backup begins.
pub const NAME_PREFIX: &str = "tram-backup-";
/// The copy of the store.
pub const STORE_FILE: &str = "tram.db";
/// The settings.
pub const CONFIG_FILE: &str = "config.toml";
/// Directory, certificates and revocation lists.
pub const REGISTRY_FILE: &str = "registry.cbor";
/// The keys under which others seal for the office.
pub const SEALING_FILE: &str = "sealing.age";
/// The folder of attachments.
pub const CONTENT_FOLDER: &str = "content";
/// The seal.
pub const SEAL_FILE: &str = "seal.cbor";
/// The seal goes first when one is removed: half a backup must not look like one.
const FILES: [&str; 5] = [SEAL_FILE, STORE_FILE, CONFIG_FILE, REGISTRY_FILE, SEALING_FILE];

/// Bytes read at a time when files are copied or hashed.
const PIECE_BYTES: usize = 1024 * 1024;
/// Attachments listed at a time.
const ATTACHMENTS_LISTED: u32 = 256;
/// Entries of the target folder that are looked at for earlier backups.
const ENTRIES_MAX: usize = 10_000;
/// Longest office code in a name, in bytes.
const CODE_BYTES_MAX: usize = 32;

/// Why there is no backup, or why one is not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be handled.
    #[error("failed to {attempted} `{}`", path.display())]
    File {
        /// What was attempted.
        attempted: &'static str,
        /// On what.
        path: PathBuf,
        /// What was found.
        source: io::Error,
    },
    /// There is no room.
    #[error(
        "the disk of `{}` is full: {needed} bytes are needed there; what was begun was removed, make room or \
        choose another disk", path.display()
    )]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// How much the copy of the store alone needs, in bytes.
        needed: u64,
    },
    /// The store cannot be read, or is damaged.
    #[error("the store `{}` cannot be used: it was left as it is", path.display())]
    Store {
        /// Which file.
        path: PathBuf,
        /// What was found.
        source: StoreError,
    },
    /// The settings, the registry or the lock of the station cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An attachment cannot be copied, or is damaged.
    #[error("an attachment of the store cannot be used: nothing was changed")]
    Content(#[source] ContentError),
    /// The signing key cannot be used.
    #[error(
        "the office's signing key cannot be used; it is never part of a backup: bring it from where it was \
        kept at enrolment"
    )]
    Key(#[from] KeyringError),
    /// The sealing keys cannot be used.
    #[error("the keys under which others seal for the office cannot be used")]
    Sealing(#[source] SealingKeysError),
    /// The seal does not hold.
    #[error("the seal `{}` does not hold: this is no backup of a station that can be trusted", path.display())]
    Seal {
        /// Which file.
        path: PathBuf,
        /// What was found.
        source: SealError,
    },
    /// A file is not the one that was sealed.
    #[error(
        "`{}` is not what was sealed: it has {found_bytes} bytes with SHA-256 {found}, expected \
        {expected_bytes} bytes with {expected}; take another backup", path.display()
    )]
    Changed {
        /// Which file.
        path: PathBuf,
        /// Its length.
        found_bytes: u64,
        /// Its hash.
        found: String,
        /// The sealed length.
        expected_bytes: u64,
        /// The sealed hash.
        expected: String,
    },
    /// The copy is sound as a file, and is not what the seal says, or is damaged inside.
    #[error("the copy `{}` cannot be used: {found}; take another backup", path.display())]
    Copy {
        /// Which file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// Another office's.
    #[error("`{}` is a backup of office `{found}`, this is the station of `{expected}`", path.display())]
    OtherOffice {
        /// The backup.
        path: PathBuf,
        /// Whose it is.
        found: OfficeId,
        /// Whose station this is.
        expected: OfficeId,
    },
    /// A backup of this moment is there, or is being made.
    #[error("`{}` exists already; a backup never overwrites anything: try again in a second", path.display())]
    Exists {
        /// Which folder.
        path: PathBuf,
    },
    /// The store in place knows things that the backup does not.
    #[error(
        "the store in `{}` holds {what} that the backup does not: restoring would put this station behind \
        itself. `--replace` does it all the same, and moves the present store aside", path.display()
    )]
    Newer {
        /// The present store.
        path: PathBuf,
        /// What it holds.
        what: String,
    },
    /// The store in place cannot be compared.
    #[error(
        "the store in `{}` cannot be compared with the backup: it may hold more than the backup does. \
        `--replace` restores all the same, and moves the present store aside, unchanged", path.display()
    )]
    CannotCompare {
        /// The present store.
        path: PathBuf,
        /// What was found.
        source: StoreError,
    },
    /// The rules of the exchange do not allow another incarnation now.
    #[error(
        "no new incarnation was started: the backup says that this station started several within a day \
        because correspondents knew more than it did; its key may be in use twice. Nothing was changed; find \
        the other station, or try again in a day"
    )]
    NoIncarnation,
    /// The store could not be stepped.
    #[error("the restored store could not start a new incarnation; nothing was changed")]
    Step(#[from] crate::node::StepError),
    /// What an earlier restore left behind is not understood.
    #[error("`{}` is not what a restore leaves behind: {found}; look at it by hand, nothing was changed",
        path.display())]
    Marker {
        /// The marker.
        path: PathBuf,
        /// What was found.
        found: String,
    },
}

impl BackupError {
    fn file<'a>(attempted: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path: path.to_owned(), needed: 0 }
            }
            _ => Self::File { attempted, path: path.to_owned(), source },
        }
    }
}

/// What is believed when a seal is looked at.
#[derive(Clone)]
pub struct Trust {
    /// Knows the keys of offices.
    pub registry: Arc<Registry>,
    /// What it was checked against.
    pub roots: Roots,
    /// Whether it is this machine's own; else it came with the backup, and proves only that the backup agrees
    /// with itself.
    pub own: bool,
}

impl Trust {
    /// What this station believes.
    ///
    /// # Errors
    /// When its registry cannot be used.
    pub fn of_station(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { registry: config.load_registry()?, roots: config.roots(), own: true })
    }

    /// What a backup brought itself.
    ///
    /// # Errors
    /// When its settings or its registry cannot be used.
    pub fn of_backup(backup: &Path) -> Result<Self, ConfigError> {
        // In a backup everything has its usual place, whatever the settings say about the station's.
        let folder = DataFolder::new(backup);
        let config = Config { registry: backup.join(REGISTRY_FILE), ..Config::read(&folder)? };
        Ok(Self { own: false, ..Self::of_station(&config)? })
    }
}

/// How far a long piece of work is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// So many bytes of so many were copied.
    Copied(u64, u64),
    /// So many bytes of so many were hashed.
    Hashed(u64, u64),
    /// So many attachments are there.
    Brought(u64),
    /// The store is being checked.
    Checked(verify::Progress),
}

/// A backup that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub seal: BackupSeal,
    /// What the copy holds.
    pub outline: Outline,
    /// Earlier backups that made room.
    pub removed: Vec<PathBuf>,
    /// Folders that a backup which was broken off left behind; nobody removes them but a person.
    pub unfinished: Vec<PathBuf>,
}

/// What a backup is, after everything about it was checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checked {
    /// What it is.
    pub seal: BackupSeal,
    /// What the copy holds.
    pub outline: Outline,
    /// What was looked at inside.
    pub counted: Counted,
}

/// Makes a backup of a station, running or not, in a new folder below `out`, and returns when every byte of
/// it is on the disk. With `keep`, the oldest sealed backups of this office beyond so many are removed
/// afterwards. `unlock` gives the passphrase of the signing key, which seals the backup and is never part of it.
///
/// # Errors
/// Says what was found; nothing that looks like a backup is left behind then.
pub fn create(
    folder: &DataFolder,
    config: &Config,
    out: &Path,
    keep: Option<usize>,
    now: Millis,
    unlock: &Unlock,
    progress: &mut dyn FnMut(Progress),
) -> Result<Made, BackupError> {
    let trust = Trust::of_station(config)?;
    let key = config.open_key(Some(&trust.registry), unlock)?.key;
    let database = folder.database();
    let of_store = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::Store { path, source }
    };
    let source = Inspection::open(&database).map_err(of_store(&database))?;
    fs::create_dir_all(out).map_err(BackupError::file("create", out))?;
    let name = name_of(trust.registry.directory(), config.office, now);
    let path = out.join(&name);
    let part = out.join(format!(".{name}.part"));
    if path.exists() {
        return Err(BackupError::Exists { path });
    }
    let unfinished = unfinished(out)?;
    match DirBuilder::new().mode(0o700).create(&part) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(BackupError::Exists { path: part });
        }
        done => done.map_err(BackupError::file("create", &part))?,
    }
    let mut write = || -> Result<(BackupSeal, Outline), BackupError> {
        let copy = part.join(STORE_FILE);
        // Documents are inside: nobody else on a shared machine may read them.
        write_new(&copy, &[])?;
        let outline = source.copy_to(&copy, &mut |done, total| progress(Progress::Copied(done, total)));
        let outline = outline.map_err(|source| match source.is_disk_full() {
            true => BackupError::DiskFull { path: out.to_owned(), needed: 0 },
            false => BackupError::Store { path: database.clone(), source },
        })?;
        // A damaged store is not worth a seal, and must not push out a good backup.
        let looked = Inspection::open(&copy).and_then(|copy| {
            copy.check_structure()?;
            copy.self_check(SELF_CHECK_EVENTS, &Verifier::new(Arc::clone(&trust.registry)))
        });
        looked.map_err(of_store(&database))?;
        sync(&copy)?;
        copy_attachments(folder, out, &part, progress)?;
        let settings = read_bounded(&folder.config(), CONFIG_BYTES_MAX)?;
        let registry = read_bounded(&config.registry, REGISTRY_BYTES_MAX as u64)?;
        write_new(&part.join(CONFIG_FILE), &settings)?;
        write_new(&part.join(REGISTRY_FILE), &registry)?;
        let sealing = match config.sealing_keys() {
            path if path.exists() => {
                let keys = SealingKeys::open_or_make(&path).map_err(BackupError::Sealing)?;
                Some(keys.sealed_for(&key).map_err(|error| BackupError::Sealing(error.into()))?)
            }
            _ => None,
        };
        if let Some(sealing) = &sealing {
            write_new(&part.join(SEALING_FILE), sealing)?;
        }
        let seal = BackupSeal {
            office: config.office,
            incarnation: outline.incarnation,
            seq: outline.seq,
            head: outline.head,
            position: outline.position,
            sealed_at: now,
            store: digest(&copy, &mut |done, total| progress(Progress::Hashed(done, total)))?,
            config: digest_of(&settings),
            registry: digest_of(&registry),
            sealing: sealing.as_deref().map(digest_of),
        };
        let sealed = seal_backup(&seal, &key);
        let seal_path = part.join(SEAL_FILE);
        // With a key that is not certified, nobody could ever put this back: better said now.
        open_backup_seal(&sealed, &trust.registry)
            .map_err(|source| BackupError::Seal { path: config.signing_key.clone(), source })?;
        write_new(&seal_path, &sealed)?;
        sync_folder(&part)?;
        fs::rename(&part, &path).map_err(BackupError::file("name", &path))?;
        sync_folder(out)?;
        Ok((seal, outline))
    };
    match write() {
        Ok((seal, outline)) => {
            let removed = match keep {
                Some(keep) => remove_oldest(out, &path, &trust, config.office, keep)?,
                None => Vec::new(),
            };
            Ok(Made { path, seal, outline, removed, unfinished })
        }
        Err(error) => {
            // Before the rename it has this name; best effort, the name alone says that it is no backup.
            let _ = fs::remove_dir_all(&part);
            Err(match error {
                BackupError::DiskFull { path, .. } => BackupError::DiskFull {
                    path,
                    needed: fs::metadata(&database).map_or(0, |file| file.len()),
                },
                error => error,
            })
        }
    }
}

/// Copies the attachments that the copy of the store says are complete. Those of the newest earlier backup are shared with it.
fn copy_attachments(
    folder: &DataFolder,
    out: &Path,
    part: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), BackupError> {
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(NAME_PREFIX)
    };
    let mut earlier = entries(out)?.into_iter().filter(named).map(|path| path.join(CONTENT_FOLDER));
    let earlier = earlier.rfind(|content| content.is_dir());
    let to = part.join(CONTENT_FOLDER);
    bring_attachments(
        &part.join(STORE_FILE),
        &whole_folder(&folder.content()),
        &to,
        earlier.as_deref(),
        progress,
    )
}

/// Brings every attachment that a store says is complete from one folder into another.
fn bring_attachments(
    store: &Path,
    from: &Path,
    to: &Path,
    linked: Option<&Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), BackupError> {
    let of_store = |source| BackupError::Store { path: store.to_owned(), source };
    make_folder(to).map_err(BackupError::Content)?;
    let store = Inspection::open(store).map_err(of_store)?;
    let (mut after, mut brought) = (0, 0);
    loop {
        let attachments = store.attachments(after, ATTACHMENTS_LISTED).map_err(of_store)?;
        let Some((last, _)) = attachments.last() else { break };
        after = *last;
        for (_, blob) in attachments {
            bring(from, to, &blob, linked).map_err(|error| match error.is_disk_full() {
                true => BackupError::DiskFull { path: to.to_owned(), needed: blob.length },
                false => BackupError::Content(error),
            })?;
            brought += 1;
            progress(Progress::Brought(brought));
        }
    }
    sync_folder(to)
}

/// Checks everything about a backup: seal, files, and the copy from end to end.
///
/// # Errors
/// Says exactly what is wrong.
pub fn check(
    backup: &Path,
    trust: &Trust,
    progress: &mut dyn FnMut(Progress),
) -> Result<Checked, BackupError> {
    let seal = read_seal(backup, trust)?;
    let files = [(STORE_FILE, seal.store), (CONFIG_FILE, seal.config), (REGISTRY_FILE, seal.registry)];
    for (name, expected) in files.into_iter().chain(seal.sealing.map(|sealing| (SEALING_FILE, sealing))) {
        let path = backup.join(name);
        let found = digest(&path, &mut |done, total| progress(Progress::Hashed(done, total)))?;
        same(&path, found, expected)?;
    }
    let store = backup.join(STORE_FILE);
    let (outline, counted) = check_copy(&store, &backup.join(CONTENT_FOLDER), &seal, trust, progress)?;
    Ok(Checked { seal, outline, counted })
}

fn read_seal(backup: &Path, trust: &Trust) -> Result<BackupSeal, BackupError> {
    let path = backup.join(SEAL_FILE);
    let bytes = read_some(&path, SEAL_BYTES_MAX)?;
    open_backup_seal(&bytes, &trust.registry).map_err(|source| BackupError::Seal { path, source })
}

/// Reads at most one byte more than is accepted, so that the parser sees what is too large.
fn read_some(path: &Path, most: usize) -> Result<Vec<u8>, BackupError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(BackupError::file("open", path))?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(BackupError::file("read", path))?;
    Ok(bytes)
}

fn same(path: &Path, found: FileDigest, expected: FileDigest) -> Result<(), BackupError> {
    if found == expected {
        return Ok(());
    }
    Err(BackupError::Changed {
        path: path.to_owned(),
        found_bytes: found.length,
        found: hex(&found.sha256),
        expected_bytes: expected.length,
        expected: hex(&expected.sha256),
    })
}

/// Looks through a copy from end to end and compares it with its seal.
fn check_copy(
    path: &Path,
    contents: &Path,
    seal: &BackupSeal,
    trust: &Trust,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Outline, Counted), BackupError> {
    let of_store = |source| BackupError::Store { path: path.to_owned(), source };
    let broken = |found: String| BackupError::Copy { path: path.to_owned(), found };
    let copy = Inspection::open(path).map_err(of_store)?;
    let verifier = Verifier::new(Arc::clone(&trust.registry));
    let mut each = |step| {
        progress(Progress::Checked(step));
        ControlFlow::Continue(())
    };
    let looked = full_check(&copy, contents, seal.office, &verifier, &mut each);
    let (counted, found) = looked.unwrap_or_default();
    if let Some(found) = found {
        return Err(broken(found));
    }
    let outline = copy.outline().map_err(of_store)?;
    let found = (outline.incarnation, outline.seq, outline.head, outline.position);
    let expected = (seal.incarnation, seal.seq, seal.head, seal.position);
    if found != expected {
        return Err(broken(format!(
            "its chain ends at event `{}` (incarnation {}, seq {}, journal {}), the seal says `{}` \
            (incarnation {}, seq {}, journal {})",
            found.2, found.0, found.1, found.3, expected.2, expected.0, expected.1, expected.3
        )));
    }
    Ok((outline, counted))
}

/// `tram-backup-<office>-<UTC time>`: for people, and without anything that a foreign file system minds.
fn name_of(directory: &Directory, office: OfficeId, now: Millis) -> String {
    let today = day_in_vietnam(now);
    let listed = directory.office(&office).and_then(|office| {
        office.codes.iter().find(|code| code.validity.contains(today)).map(|code| code.text.clone())
    });
    let plain = |code: &String| {
        code.len() <= CODE_BYTES_MAX
            && code.starts_with(|c: char| c.is_ascii_alphanumeric())
            && code.bytes().all(|c| c.is_ascii_alphanumeric() || b".-".contains(&c))
    };
    let short = || office.to_string().chars().take(8).collect();
    let code: String = listed.filter(plain).unwrap_or_else(short);
    format!("{NAME_PREFIX}{code}-{}", utc(now))
}

/// `20250630T170000Z`.
fn utc(at: Millis) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    let timestamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    let at = Offset::UTC.to_datetime(timestamp);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn entries(out: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let listed = fs::read_dir(out).map_err(BackupError::file("list", out))?;
    let mut paths = Vec::new();
    for entry in listed.take(ENTRIES_MAX) {
        paths.push(entry.map_err(BackupError::file("list", out))?.path());
    }
    paths.sort();
    Ok(paths)
}

fn unfinished(out: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let begun = format!(".{NAME_PREFIX}");
    let is_part = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with(&begun) && name.ends_with(".part")
    };
    Ok(entries(out)?.into_iter().filter(is_part).collect())
}

/// Removes the oldest backups beyond the newest `keep`, the new one among those kept. Only what carries this
/// office's seal, holds the files of a backup and nothing else, and has the sealed length is touched or
/// counted: a damaged one must not push out a good one.
fn remove_oldest(
    out: &Path,
    made: &Path,
    trust: &Trust,
    office: OfficeId,
    keep: usize,
) -> Result<Vec<PathBuf>, BackupError> {
    let mut earlier = Vec::new();
    for path in entries(out)? {
        let named = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(NAME_PREFIX));
        let plain = fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir());
        if !named || !plain || path == made {
            continue;
        }
        let Ok(seal) = read_seal(&path, trust) else { continue };
        let whole = fs::metadata(path.join(STORE_FILE)).is_ok_and(|file| file.len() == seal.store.length);
        let ours = entries(&path)?.iter().all(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            FILES.contains(&name.as_str()) || (name == CONTENT_FOLDER && holds_attachments_only(file))
        });
        if seal.office == office && whole && ours {
            earlier.push((seal.sealed_at, seal.position, path));
        }
    }
    earlier.sort();
    let surplus = earlier.len().saturating_sub(keep.saturating_sub(1));
    let mut removed = Vec::new();
    for (_, _, path) in earlier.into_iter().take(surplus) {
        for name in FILES {
            let file = path.join(name);
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(BackupError::file("remove", &file)(error));
                }
                _ => {}
            }
        }
        let content = path.join(CONTENT_FOLDER);
        if content.exists() {
            fs::remove_dir_all(&content).map_err(BackupError::file("remove", &content))?;
        }
        fs::remove_dir(&path).map_err(BackupError::file("remove", &path))?;
        removed.push(path);
    }
    Ok(removed)
}

/// Whether every entry of a folder is named like an attachment.
fn holds_attachments_only(folder: &Path) -> bool {
    let Ok(mut listed) = fs::read_dir(folder) else { return false };
    listed.all(|entry| {
        entry.is_ok_and(|entry| {
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            is_file && entry.file_name().to_str().is_some_and(|name| name.parse::<BlobHash>().is_ok())
        })
    })
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = file.map_err(BackupError::file("create", path))?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(BackupError::file("write", path))
}

fn sync(path: &Path) -> Result<(), BackupError> {
    let file = OpenOptions::new().write(true).open(path).map_err(BackupError::file("open", path))?;
    file.sync_all().map_err(BackupError::file("sync", path))
}

fn sync_folder(path: &Path) -> Result<(), BackupError> {
    content::sync_folder(path).map_err(BackupError::file("sync", path))
}

fn digest_of(bytes: &[u8]) -> FileDigest {
    FileDigest { length: bytes.len() as u64, sha256: Sha256::digest(bytes).into() }
}

fn digest(path: &Path, hashed: &mut dyn FnMut(u64, u64)) -> Result<FileDigest, BackupError> {
    let mut file = File::open(path).map_err(BackupError::file("open", path))?;
    pump(&mut file, path, None, hashed)
}

/// Reads a file to its end, writes it to another if there is one, and hashes what was read.
fn pump(
    from: &mut File,
    path: &Path,
    mut to: Option<(&mut File, &Path)>,
    done: &mut dyn FnMut(u64, u64),
) -> Result<FileDigest, BackupError> {
    let total = from.metadata().map_err(BackupError::file("measure", path))?.len();
    let (mut hash, mut length) = (Sha256::new(), 0_u64);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = match from.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(BackupError::file("read", path))?,
        };
        if read == 0 {
            return Ok(FileDigest { length, sha256: hash.finalize().into() });
        }
        hash.update(&piece[..read]);
        if let Some((file, target)) = &mut to {
            file.write_all(&piece[..read]).map_err(BackupError::file("write", target))?;
        }
        length += read as u64;
        done(length, total);
    }
}
