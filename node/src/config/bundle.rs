//! What the registrar hands to an office.

use std::path::Path;

use schema::id::{OfficeId, hex};
use schema::trust::CertificateHash;
use serde::Deserialize;

use super::{CONFIG_BYTES_MAX, ConfigError, parse_anchors, parse_root_key, read_bounded, render_anchors};

/// What an enrolled office is handed, as a folder: `bundle.toml`, `registry.cbor` and, when the registrar
/// made the keys, `node.key` and `login.nk`. `tram-node init --bundle` takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bundle {
    /// The office.
    pub office: OfficeId,
    /// The public key that signs the directory.
    pub root_key: [u8; 32],
    /// SHA-256 of each root certificate that is believed.
    pub trust_anchors: Vec<CertificateHash>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBundle {
    office: OfficeId,
    root_key: String,
    trust_anchors: Vec<String>,
}

impl Bundle {
    /// The name of the sealing keys in a bundle, sealed for the signing key.
    pub const SEALING: &str = "sealing.age";
    /// The name of the first event of the office's chain in a bundle.
    pub const ANNOUNCEMENT: &str = "announcement.cbor";
    /// The file's name in the folder.
    pub const FILE: &str = "bundle.toml";

    /// Reads it from the folder.
    ///
    /// # Errors
    /// Names the file and what cannot be used.
    pub fn read(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join(Self::FILE);
        let bytes = read_bounded(&path, CONFIG_BYTES_MAX)?;
        let wrong = |found: String| ConfigError::Settings { path: path.clone(), found };
        let text = String::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        let raw: RawBundle = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let root_key = parse_root_key(&raw.root_key).map_err(|found| wrong(format!("root_key: {found}")))?;
        let anchors = parse_anchors(&raw.trust_anchors);
        let trust_anchors = anchors.map_err(|found| wrong(format!("trust_anchors: {found}")))?;
        Ok(Self { office: raw.office, root_key, trust_anchors })
    }

    /// The file that [`Bundle::read`] reads back.
    pub fn render(&self) -> String {
        let (root, anchors) = (hex(&self.root_key), render_anchors(&self.trust_anchors));
        format!("office = \"{}\"\nroot_key = \"{root}\"\ntrust_anchors = {anchors}\n", self.office)
    }
}
