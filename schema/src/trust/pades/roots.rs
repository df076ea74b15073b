//! Whom an office believes about documents of others (*kho chứng thư gốc cho tệp PDF*): apart from Trạm's own roots.

use std::sync::Arc;

use super::ROOTS_MAX;
use crate::trust::certificate::{Certificate, CertificateError};
use crate::trust::extension::KeyUsage;
use crate::trust::path::{Above, Authorities, Links, PathError, find_paths};

/// Why a certificate is not taken as a root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// Not an acceptable certificate.
    #[error("the certificate is not acceptable")]
    Certificate(#[from] CertificateError),
    /// It may not certify anybody.
    #[error("`{subject}` may not sign certificates (basicConstraints, keyCertSign)")]
    NotAnAuthority {
        /// Whose it is.
        subject: String,
    },
    /// There are enough.
    #[error("{ROOTS_MAX} roots are held already")]
    TooMany,
}

/// Certificates of authorities that are believed without anything above them. An authority below a national root may be one:
/// where the root itself is signed with SHA-1, the authority below it is pinned instead.
#[derive(Clone, Debug, Default)]
pub struct DocumentRoots(Authorities);

impl DocumentRoots {
    /// Believes this certificate (DER); false when it was there already.
    ///
    /// # Errors
    /// When it is not an acceptable certificate of an authority, or there are [`ROOTS_MAX`].
    pub fn add(&mut self, der: &[u8]) -> Result<bool, RootError> {
        let root = Certificate::parse(der)?;
        let signs = root.key_usage().is_some_and(|usage| usage.has(KeyUsage::CERTIFICATE_SIGN));
        if !root.is_authority() || !signs {
            return Err(RootError::NotAnAuthority { subject: root.subject().to_string() });
        }
        if self.0.count() >= ROOTS_MAX {
            return Err(RootError::TooMany);
        }
        Ok(self.0.insert(Arc::new(root)))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.count()
    }

    /// Every path from a certificate up to one of these roots, by way of the certificates that came with it, at most
    /// [`PATHS_MAX`](crate::trust::path::PATHS_MAX).
    ///
    /// # Errors
    /// When there is none.
    pub fn paths(
        &self,
        leaf: &Certificate,
        came_with_it: impl IntoIterator<Item = Certificate>,
    ) -> Result<Vec<Above>, PathError> {
        let mut between = Authorities::default();
        for certificate in came_with_it {
            between.insert(Arc::new(certificate));
        }
        find_paths(leaf, &between, &self.0, &mut Links::default())
    }
}
