//! Whom this office believes about PDF files: the certificates in one folder (`[pdf] trust` in the settings).
//!
//! Apart from Trạm's own roots: neither makes the other believed. The folder is read for every file that is judged, so that a
//! root that somebody puts there or takes away counts at once.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use schema::trust::pades::DocumentRoots;
use ureq::tls::{PemItem, parse_pem};

/// Largest file that is read for certificates, in bytes.
pub const ROOT_FILE_BYTES_MAX: u64 = 256 * 1024;
/// Most files of the folder that are looked at.
pub const ROOT_FILES_MAX: usize = 256;
/// How the names of files with certificates end.
const ENDINGS: [&str; 4] = ["pem", "crt", "cer", "der"];

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It cannot be read.
    #[error("failed to read `{}`, where the root certificates for PDF files are", path.display())]
    Read {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The roots of the folder, and which files of it were passed over.
#[derive(Clone, Debug, Default)]
pub struct PdfTrust {
    pub(super) roots: DocumentRoots,
    /// Files that hold no acceptable certificate of an authority, with the reason.
    pub refused: Vec<String>,
}

impl PdfTrust {
    /// Believes nobody: every signature whose mathematics hold is undetermined.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the folder: PEM or DER, names ending in `.pem`, `.crt`, `.cer` or `.der`. A certificate that is not acceptable
    /// is passed over and named: one bad file must not take the others away.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn read(folder: &Path) -> Result<Self, TrustError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| TrustError::Read { path, source }
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed(folder))?.take(ROOT_FILES_MAX) {
            let path = entry.map_err(failed(folder))?.path();
            let ending =
                path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
            if ENDINGS.contains(&ending.as_str()) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut trust = Self::default();
        for path in paths {
            if fs::metadata(&path).map_err(failed(&path))?.len() > ROOT_FILE_BYTES_MAX {
                trust
                    .refused
                    .push(format!("`{}` is larger than {ROOT_FILE_BYTES_MAX} bytes", path.display()));
                continue;
            }
            trust.add(&fs::read(&path).map_err(failed(&path))?, &path.display().to_string());
        }
        Ok(trust)
    }

    /// Takes what one file holds.
    pub fn add(&mut self, bytes: &[u8], name: &str) {
        let mut certificates: Vec<Vec<u8>> = Vec::new();
        if bytes.starts_with(&[0x30]) {
            certificates.push(bytes.to_vec());
        } else {
            for item in parse_pem(bytes) {
                match item {
                    Ok(PemItem::Certificate(certificate)) => certificates.push(certificate.der().to_vec()),
                    Ok(_) => self.refused.push(format!("`{name}` holds something else than certificates")),
                    Err(error) => self.refused.push(format!("`{name}` is not PEM: {error}")),
                }
            }
        }
        if certificates.is_empty() {
            self.refused.push(format!("`{name}` holds no certificate"));
        }
        for certificate in certificates {
            if let Err(error) = self.roots.add(&certificate) {
                self.refused.push(format!("`{name}`: {}", crate::words::with_causes(&error)));
            }
        }
    }
}
