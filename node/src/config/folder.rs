//! Where everything of a station lies.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::ConfigError;

/// A station's data folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// The folder at this path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The settings.
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// The store.
    pub fn database(&self) -> PathBuf {
        self.0.join("tram.db")
    }

    /// The attachments ([`crate::content`]).
    pub fn content(&self) -> PathBuf {
        self.0.join("content")
    }

    /// The search index: follows from the store and may be removed while the station stands still.
    pub fn search(&self) -> PathBuf {
        self.0.join("search.db")
    }

    /// Where the running station tells the command line how to reach it.
    pub fn api(&self) -> PathBuf {
        self.0.join("api.json")
    }

    /// What the last full check of the store found.
    pub fn full_check(&self) -> PathBuf {
        self.0.join("verify.json")
    }

    /// The first event of the office's chain, from the bundle ([`crate::sealing::founding_announcement`]).
    pub fn founding(&self) -> PathBuf {
        self.0.join("announcement.cbor")
    }

    /// There while a restore puts another store in place.
    pub fn restore_marker(&self) -> PathBuf {
        self.0.join("restore.json")
    }

    /// Takes the folder for one station; held until the file is dropped, even by a crash.
    ///
    /// # Errors
    /// When another station holds it.
    pub fn lock(&self) -> Result<File, ConfigError> {
        let path = self.0.join("tram.lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|source| ConfigError::Lock { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(ConfigError::Running { path }),
            Err(TryLockError::Error(source)) => Err(ConfigError::Lock { path, source }),
        }
    }
}
