//! The directory file: read, checked against the root key, and read again when it changes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schema::directory::{Directory, SNAPSHOT_BYTES_MAX, SignedDirectoryError, open_directory};
use schema::event::{Verifier, VerifyMemory};

/// Why there is no directory.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("the directory file `{path}` cannot be read; copy the signed directory there")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The root key did not sign it, or it is broken.
    #[error("the directory file `{path}` is not accepted")]
    Signed {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<SignedDirectoryError>,
    },
}

/// A directory and the keys made ready from it.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) directory: Arc<Directory>,
    pub(crate) verifier: Arc<Verifier>,
}

impl Known {
    pub(crate) fn new(directory: Directory, memory: &Arc<VerifyMemory>) -> Self {
        let directory = Arc::new(directory);
        let verifier = Verifier::new(Arc::clone(&directory)).with_memory(Arc::clone(memory));
        Self { directory, verifier: Arc::new(verifier) }
    }
}

/// Reads the signed directory; bounds it first.
///
/// # Errors
/// When it cannot be read or is not accepted; nothing of it is used then.
pub fn load_directory(path: &Path, root_key: &[u8; 32]) -> Result<Directory, LoadError> {
    let read = |source| LoadError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than the largest file, so that a larger one is refused for its size and not for its
    // missing end.
    let most = SNAPSHOT_BYTES_MAX as u64 + 1024;
    File::open(path).map_err(read)?.take(most).read_to_end(&mut bytes).map_err(read)?;
    open_directory(&bytes, root_key)
        .map_err(|source| LoadError::Signed { path: path.to_owned(), source: Box::new(source) })
}
