//! Paths from a certificate to an anchor: who signed whom, under which limits. No time in here: whether a
//! path counted at a moment is for [`super::verdict`] to say.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::certificate::{Certificate, CertificateHash};
use super::extension::KeyUsage;
use super::name::Name;

/// Most certificates of one path, leaf and anchor included.
pub const CHAIN_MAX: usize = 4;
/// Most signatures that are checked for one leaf.
pub const SIGNATURES_MAX: usize = 50;
/// Most authorities that are looked at for one leaf, before any signature is checked.
pub const CANDIDATES_MAX: usize = 256;
/// Most paths of one leaf that are judged: a renewed authority gives a second one.
pub const PATHS_MAX: usize = 8;
/// Most links whose signature is remembered; all are forgotten when there are more.
pub const LINKS_MAX: usize = 131_072;

/// Why no path was found. Of several reasons, the one that came closest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum PathError {
    /// Nobody of that name is held, up to a pinned root.
    #[error("no chain leads from the certificate to a trusted root: no authority `{issuer}` is held")]
    UnknownIssuer {
        /// Who should have signed, masked.
        issuer: String,
    },
    /// The name fits, the key does not.
    #[error("the authority `{issuer}` is held, but with another key than the one that should have signed")]
    KeyIdentifier {
        /// Which authority.
        issuer: String,
    },
    /// It would have to be longer.
    #[error("the chain has more than {CHAIN_MAX} certificates")]
    TooLong,
    /// Not an authority, or one that may not sign certificates.
    #[error("`{issuer}` may not sign certificates (basicConstraints, keyCertSign)")]
    NotAnAuthority {
        /// Which one.
        issuer: String,
    },
    /// Forged or changed.
    #[error("`{issuer}` did not sign the certificate of `{subject}`, or it was changed afterwards")]
    Forged {
        /// Who should have signed.
        issuer: String,
        /// Whose certificate.
        subject: String,
    },
    /// An authority below one that may have fewer below it.
    #[error("`{authority}` may not have that many authorities below it (pathLenConstraint)")]
    PathLength {
        /// Which one.
        authority: String,
    },
    /// Out of province.
    #[error("`{subject}` lies outside what `{authority}` may certify")]
    OutsideJurisdiction {
        /// Who is certified, masked.
        subject: String,
        /// Which authority must not certify it.
        authority: String,
    },
    /// A root signed an office's or an officer's certificate itself.
    #[error("the certificate comes from the root itself; only a delegated authority may issue it")]
    NotDelegated,
    /// Somebody built a maze.
    #[error("more than {SIGNATURES_MAX} signatures or {CANDIDATES_MAX} authorities would have to be checked")]
    Budget,
}

/// Certificates by their subject.
#[derive(Clone, Debug, Default)]
pub struct Authorities {
    by_subject: BTreeMap<Name, Vec<Arc<Certificate>>>,
}

impl Authorities {
    /// Adds one; false when it is there already.
    pub fn insert(&mut self, certificate: Arc<Certificate>) -> bool {
        let same = self.by_subject.entry(certificate.subject().clone()).or_default();
        if same.iter().any(|held| held.hash() == certificate.hash()) {
            return false;
        }
        same.push(certificate);
        true
    }

    /// Those of that name, in the order they came.
    pub fn named(&self, subject: &Name) -> impl Iterator<Item = &Arc<Certificate>> {
        self.by_subject.get(subject).into_iter().flatten()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.by_subject.values().flatten()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.by_subject.values().map(Vec::len).sum()
    }
}

/// Which certificate was signed by which: facts that no time and no new data change, so each is checked once.
#[derive(Clone, Debug, Default)]
pub struct Links {
    checked: BTreeMap<(CertificateHash, CertificateHash), bool>,
}

impl Links {
    fn is_signed(&mut self, subject: &Certificate, issuer: &Certificate, spent: &mut usize) -> Option<bool> {
        let link = (subject.hash(), issuer.hash());
        if let Some(known) = self.checked.get(&link) {
            return Some(*known);
        }
        if *spent == SIGNATURES_MAX {
            return None;
        }
        *spent += 1;
        let signed = subject.is_signed_by(issuer);
        if self.checked.len() == LINKS_MAX {
            self.checked.clear();
        }
        self.checked.insert(link, signed);
        Some(signed)
    }
}

/// What is above a leaf, nearest first, the anchor last. Never empty.
pub type Above = Vec<Arc<Certificate>>;

struct Search<'a> {
    leaf: &'a Certificate,
    authorities: &'a Authorities,
    anchors: &'a Authorities,
    links: &'a mut Links,
    spent: usize,
    candidates: usize,
    found: Vec<Above>,
    closest: Option<PathError>,
}

/// Every path from `leaf` to one of `anchors`, at most [`PATHS_MAX`].
///
/// Checks names byte for byte, key identifiers, the right to sign certificates, signatures, path lengths and
/// name constraints.
///
/// # Errors
/// When there is none; with the reason that came closest.
pub fn find_paths(
    leaf: &Certificate,
    authorities: &Authorities,
    anchors: &Authorities,
    links: &mut Links,
) -> Result<Vec<Above>, PathError> {
    let mut search = Search {
        leaf,
        authorities,
        anchors,
        links,
        spent: 0,
        candidates: 0,
        found: Vec::new(),
        closest: None,
    };
    let complete = search.climb(&mut Vec::new());
    if search.found.is_empty() {
        let unknown = || PathError::UnknownIssuer { issuer: leaf.issuer().to_string() };
        return Err(complete.err().or(search.closest).unwrap_or_else(unknown));
    }
    Ok(search.found)
}

impl Search<'_> {
    fn climb(&mut self, above: &mut Above) -> Result<(), PathError> {
        let current = above.last().cloned();
        let current = current.as_deref().unwrap_or(self.leaf);
        let (anchors, authorities) = (self.anchors, self.authorities);
        let anchored = anchors.named(current.issuer()).map(|certificate| (true, certificate));
        let others = authorities.named(current.issuer()).map(|certificate| (false, certificate));
        let mut nobody = true;
        for (is_anchor, issuer) in anchored.chain(others) {
            nobody = false;
            self.candidates += 1;
            if self.candidates > CANDIDATES_MAX {
                return Err(PathError::Budget);
            }
            if self.found.len() == PATHS_MAX {
                return Ok(());
            }
            if let Err(error) = self.may_follow(current, issuer, above) {
                self.note(error);
                continue;
            }
            match self.links.is_signed(current, issuer, &mut self.spent) {
                None => return Err(PathError::Budget),
                Some(false) => {
                    self.note(PathError::Forged {
                        issuer: issuer.subject().to_string(),
                        subject: current.subject().to_string(),
                    });
                    continue;
                }
                Some(true) => {}
            }
            above.push(Arc::clone(issuer));
            if is_anchor {
                match check_limits(self.leaf, above) {
                    Ok(()) => self.found.push(above.clone()),
                    Err(error) => self.note(error),
                }
            } else {
                self.climb(above)?;
            }
            above.pop();
        }
        if nobody {
            self.note(PathError::UnknownIssuer { issuer: current.issuer().to_string() });
        }
        Ok(())
    }

    fn may_follow(
        &self,
        current: &Certificate,
        issuer: &Certificate,
        above: &Above,
    ) -> Result<(), PathError> {
        let name = || issuer.subject().to_string();
        if current.authority_key().is_some_and(|key| issuer.subject_key() != Some(key)) {
            return Err(PathError::KeyIdentifier { issuer: name() });
        }
        let signs = issuer.key_usage().is_some_and(|usage| usage.has(KeyUsage::CERTIFICATE_SIGN));
        if !issuer.is_authority() || !signs {
            return Err(PathError::NotAnAuthority { issuer: name() });
        }
        // A circle: the same key under the same name again, or the leaf above itself.
        let same = |other: &Certificate| {
            other.subject() == issuer.subject() && other.key_hash() == issuer.key_hash()
        };
        if same(self.leaf) || above.iter().any(|other| same(other)) {
            return Err(PathError::UnknownIssuer { issuer: name() });
        }
        // The leaf, those above it, and this one.
        if above.len() + 2 > CHAIN_MAX {
            return Err(PathError::TooLong);
        }
        Ok(())
    }

    fn note(&mut self, error: PathError) {
        // Later variants come closer to a path.
        if self.closest.as_ref().is_none_or(|closest| rank(&error) > rank(closest)) {
            self.closest = Some(error);
        }
    }
}

const fn rank(error: &PathError) -> u8 {
    match error {
        PathError::UnknownIssuer { .. } => 0,
        PathError::KeyIdentifier { .. } => 1,
        PathError::TooLong => 2,
        PathError::NotAnAuthority { .. } => 3,
        PathError::Forged { .. } => 4,
        PathError::PathLength { .. } => 5,
        PathError::NotDelegated => 6,
        PathError::OutsideJurisdiction { .. } => 7,
        PathError::Budget => 8,
    }
}

/// Path lengths and name constraints of a whole path (RFC 5280 section 6.1.4).
fn check_limits(leaf: &Certificate, above: &[Arc<Certificate>]) -> Result<(), PathError> {
    for (n, authority) in above.iter().enumerate() {
        let below = &above[..n];
        if let Some(length) = authority.extensions.path_length {
            // A certificate for a new key of the same authority does not lengthen the path.
            let others = below.iter().filter(|certificate| !certificate.is_self_issued()).count();
            if u32::try_from(others).is_ok_and(|others| others > length) {
                return Err(PathError::PathLength { authority: authority.subject().to_string() });
            }
        }
        let Some(constraints) = authority.name_constraints() else { continue };
        let certified = below.iter().map(Arc::as_ref).filter(|certificate| !certificate.is_self_issued());
        for certificate in certified.chain([leaf]) {
            let alternative = &certificate.extensions.alternative.directory;
            for name in [certificate.subject()].into_iter().chain(alternative) {
                if !constraints.allow(name) {
                    return Err(PathError::OutsideJurisdiction {
                        subject: name.to_string(),
                        authority: authority.subject().to_string(),
                    });
                }
            }
        }
    }
    Ok(())
}
