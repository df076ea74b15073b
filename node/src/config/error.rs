//! Why settings cannot be used.

use std::io;
use std::path::PathBuf;

use schema::id::{OfficeId, hex};
use schema::registry::{ItemFormatError, RegistryError};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read `{}`; is this a station's folder? `tram-node init` makes one", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is too large.
    #[error("`{}` has {found} bytes, at most {max} are accepted", path.display())]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// How large it may be.
        max: u64,
    },
    /// Not the expected settings.
    #[error("the settings in `{}` cannot be used: {found}", path.display())]
    Settings {
        /// Which file.
        path: PathBuf,
        /// What is wrong and where.
        found: String,
    },
    /// A setting contradicts another.
    #[error("setting `{setting}` in `{}`: {found}", path.display())]
    Rule {
        /// Which file.
        path: PathBuf,
        /// Which setting.
        setting: &'static str,
        /// What is wrong.
        found: String,
    },
    /// The registry file cannot be read as one.
    #[error("registry file `{}` is not accepted; nothing of it is used", path.display())]
    RegistryFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ItemFormatError,
    },
    /// The registry lacks what everything rests on.
    #[error(
        "registry file `{}` does not hold what the settings pin (`root_key`, `trust_anchors`); take the newest one from \
        the registrar", path.display()
    )]
    Registry {
        /// Which file.
        path: PathBuf,
        /// What is missing.
        source: Box<RegistryError>,
    },
    /// The directory does not know this office.
    #[error("office `{office}` is not in directory version {version}; ask the registrar to enrol it")]
    OfficeUnknown {
        /// This office.
        office: OfficeId,
        /// The directory.
        version: u64,
    },
    /// The directory names another login for this office.
    #[error(
        "the login of this folder is not the one that directory version {version} lists for office `{office}`: no \
        relay would let this station in; use the right file or have the login enrolled"
    )]
    LoginNotListed {
        /// This office.
        office: OfficeId,
        /// The directory.
        version: u64,
    },
    /// No certificate of the signing key is held.
    #[error(
        "no certificate of signing key `{}` of office `{office}` is held: nobody would accept what this station \
        sends; use the right key file, or take the newest registry once the authority has certified the key",
        hex(.key.as_slice())
    )]
    KeyNotCertified {
        /// This office.
        office: OfficeId,
        /// The public key.
        key: Box<[u8; 32]>,
    },
    /// Another station runs on this folder.
    #[error("another `tram-node run` (or `restore`) holds `{}`: two stations with one key would fork the \
        office's history; stop it first", path.display())]
    Running {
        /// The lock file.
        path: PathBuf,
    },
    /// The lock cannot be taken.
    #[error("failed to lock `{}`", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
