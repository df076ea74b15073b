//! The directory under its root key: what a station trusts until certificates take that place.

use ed25519_dalek::{Signature, Signer, SigningKey};

use super::snapshot::read_directory;
use super::{Directory, DirectoryError, DirectorySnapshot, SNAPSHOT_BYTES_MAX, SnapshotError};
use crate::cose::{self, Frame, FrameError};
use crate::event::key_id;
use crate::trust::algorithm::ed25519_key;

const CONTENT_TYPE: &str = "tram/directory/v1";

/// Room for the frame around a snapshot, in bytes.
const FRAME_BYTES: usize = 256;

/// Why a signed directory is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignedDirectoryError {
    /// Too large; not parsed.
    #[error("the directory file has {found} bytes, at most {SNAPSHOT_BYTES_MAX} are accepted")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// The frame is broken.
    #[error("the directory file is not a signed directory")]
    Frame(#[from] FrameError),
    /// Something else was signed.
    #[error("the content type is `{found}`, expected `{CONTENT_TYPE}`")]
    ContentType {
        /// What the frame says.
        found: String,
    },
    /// The root key is not usable.
    #[error("the root public key is not an Ed25519 key that can verify anything")]
    RootKey,
    /// Somebody else signed it, or it was changed.
    #[error("the directory was not signed by the root key this installation trusts")]
    Signature,
    /// The snapshot inside is broken.
    #[error("the signed directory cannot be read")]
    Snapshot(#[from] SnapshotError),
    /// The entries contradict each other.
    #[error("the signed directory is not sound")]
    Directory(#[from] DirectoryError),
}

/// Signs a snapshot with the root key.
///
/// # Errors
/// When the snapshot is outside its bounds.
pub fn sign_directory(
    snapshot: &DirectorySnapshot,
    root: &SigningKey,
) -> Result<Vec<u8>, SignedDirectoryError> {
    let payload = snapshot.encode()?;
    let protected = cose::protected_header(CONTENT_TYPE, key_id(root.verifying_key().as_bytes()));
    let signed = cose::sig_structure(CONTENT_TYPE, &protected, &payload);
    Ok(cose::frame(&protected, &payload, &root.sign(&signed).to_bytes()))
}

/// Opens a signed directory: bounds, signature, then the entries.
///
/// # Errors
/// When it was not signed by `root` or is not sound; nothing of it may be used then.
pub fn open_directory(bytes: &[u8], root: &[u8; 32]) -> Result<Directory, SignedDirectoryError> {
    if bytes.len() > SNAPSHOT_BYTES_MAX + FRAME_BYTES {
        return Err(SignedDirectoryError::TooLarge { found: bytes.len() });
    }
    let frame = Frame::parse(bytes)?;
    if frame.content_type != CONTENT_TYPE {
        return Err(SignedDirectoryError::ContentType { found: frame.content_type.to_owned() });
    }
    let key = ed25519_key(root).map_err(|_| SignedDirectoryError::RootKey)?;
    let signed = cose::sig_structure(CONTENT_TYPE, frame.protected, frame.payload);
    if frame.key != key_id(root)
        || key.verify_strict(&signed, &Signature::from_bytes(frame.signature)).is_err()
    {
        return Err(SignedDirectoryError::Signature);
    }
    read_directory(frame.payload)
}
