//! What a station trusts: pinned roots, the authorities below them, and the revocation lists it last saw.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::certificate::{Certificate, CertificateError, CertificateHash};
use super::crl::{Admitted, ListError, ListNumber, Revocation, RevocationList, Revocations, Window};
use super::name::Name;
use super::path::{Authorities, Links, PathError, find_paths};
use super::profile::{Purpose, Role, RoleError, role_of};
use super::verdict::{SigningTime, Standing, Verdict};
use crate::time::Millis;

/// Most pinned roots: one, and its successor, and room for a mistake.
pub const ANCHORS_MAX: usize = 16;
/// Most authorities that are held: 34 provinces and the centre, renewed for decades.
pub const AUTHORITIES_MAX: usize = 1024;
/// Most certificates whose standing is remembered; all are forgotten when there are more.
pub const STANDINGS_MAX: usize = 65_536;

/// Why a root is not pinned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// None was given.
    #[error("no root certificate was given: nothing could be trusted")]
    None,
    /// Too many.
    #[error("{found} root certificates were given, at most {ANCHORS_MAX} are accepted")]
    TooMany {
        /// How many.
        found: usize,
    },
    /// Not an acceptable certificate.
    #[error("a root certificate is not acceptable")]
    Certificate(#[from] CertificateError),
    /// Not a root.
    #[error("the certificate of `{subject}` is not that of a root")]
    NotARoot {
        /// Whose.
        subject: String,
        /// What is missing, when it has no role at all.
        #[source]
        source: Option<RoleError>,
    },
    /// Not signed by its own key.
    #[error("the root certificate of `{subject}` is not signed by its own key, or was changed")]
    NotSelfSigned {
        /// Whose.
        subject: String,
    },
}

/// The pinned roots (*gốc tin cậy*): every chain must end in one of exactly these certificates.
#[derive(Clone, Debug)]
pub struct Anchors(Authorities);

impl Anchors {
    /// Pins these root certificates (DER). Whoever calls this has compared their hashes with what was handed
    /// over.
    ///
    /// # Errors
    /// When one is not a sound root that signed itself, or when there is none.
    pub fn new<'a>(roots: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, AnchorError> {
        let roots: Vec<&[u8]> = roots.into_iter().take(ANCHORS_MAX + 1).collect();
        if roots.is_empty() {
            return Err(AnchorError::None);
        }
        if roots.len() > ANCHORS_MAX {
            return Err(AnchorError::TooMany { found: roots.len() });
        }
        let mut anchors = Authorities::default();
        for der in roots {
            let root = Certificate::parse(der)?;
            let subject = || root.subject().to_string();
            match role_of(&root) {
                Ok(Role::Root) => {}
                Ok(_) => return Err(AnchorError::NotARoot { subject: subject(), source: None }),
                Err(error) => {
                    return Err(AnchorError::NotARoot { subject: subject(), source: Some(error) });
                }
            }
            if !root.is_signed_by(&root)
                || root.authority_key().is_some_and(|k| root.subject_key() != Some(k))
            {
                return Err(AnchorError::NotSelfSigned { subject: subject() });
            }
            anchors.insert(Arc::new(root));
        }
        Ok(Self(anchors))
    }

    /// The roots, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.0.iter().map(Arc::as_ref)
    }
}

/// Why an authority is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Not an acceptable certificate.
    #[error("the certificate of the authority is not acceptable")]
    Certificate(#[from] CertificateError),
    /// Not a delegated CA.
    #[error("the certificate of `{subject}` is not that of a delegated authority")]
    NotDelegated {
        /// Whose.
        subject: String,
        /// What is missing, when it has no role at all.
        #[source]
        source: Option<RoleError>,
    },
    /// Nobody trusted stands above it.
    #[error("the authority `{subject}` is not below a trusted root")]
    Path {
        /// Which authority.
        subject: String,
        /// What is missing.
        source: PathError,
    },
    /// Too many are held.
    #[error("{AUTHORITIES_MAX} authorities are held already")]
    TooMany,
}

/// An authority's name and key: who signs a list. A renewed certificate of the same key is the same
/// authority.
type AuthorityKey = (Name, [u8; 32]);

fn key_of(authority: &Certificate) -> AuthorityKey {
    (authority.subject().clone(), *authority.key_hash())
}

/// How old the revocation data of one authority is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListAge {
    /// Which authority.
    pub authority: Name,
    /// The newest list's number and dates; `None` when none was seen.
    pub newest: Option<(ListNumber, Window)>,
    /// How many certificates it has revoked or suspended.
    pub revoked: usize,
}

impl ListAge {
    /// How long ago the newest list was made, in milliseconds.
    pub fn age_ms(&self, now: Millis) -> Option<u64> {
        self.newest.map(|(_, window)| now.since(window.this_update))
    }

    /// Whether a newer one should have come by now, or none was ever seen.
    pub fn is_stale(&self, now: Millis) -> bool {
        self.newest.is_none_or(|(_, window)| now > window.next_update)
    }
}

/// Remembered judgements; correct for one generation of the store only.
#[derive(Default)]
struct Memory {
    standings: BTreeMap<CertificateHash, Arc<Standing>>,
    links: Links,
}

/// Anchors, authorities and revocation lists, and what follows from them for any certificate.
///
/// Offices' and officers' certificates are not kept: they come with what they signed. A standing is
/// remembered by the certificate's hash until authorities or lists change, so judging the same key again is
/// one look-up.
pub struct TrustStore {
    anchors: Anchors,
    authorities: Authorities,
    revocations: BTreeMap<AuthorityKey, Arc<Revocations>>,
    generation: u64,
    memory: Mutex<Memory>,
}

impl fmt::Debug for TrustStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustStore")
            .field("anchors", &self.anchors.0.count())
            .field("authorities", &self.authorities.count())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// A copy to be changed; signatures of certificates that were checked are not checked again.
impl Clone for TrustStore {
    fn clone(&self) -> Self {
        let links = self.memory.lock().unwrap_or_else(PoisonError::into_inner).links.clone();
        Self {
            anchors: self.anchors.clone(),
            authorities: self.authorities.clone(),
            revocations: self.revocations.clone(),
            generation: self.generation,
            memory: Mutex::new(Memory { standings: BTreeMap::new(), links }),
        }
    }
}

impl TrustStore {
    /// Trusts these roots and nothing else yet.
    pub fn new(anchors: Anchors) -> Self {
        Self {
            anchors,
            authorities: Authorities::default(),
            revocations: BTreeMap::new(),
            generation: 0,
            memory: Mutex::default(),
        }
    }

    /// Rises whenever an authority or a list came that changes what certificates are worth.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The pinned roots.
    pub const fn anchors(&self) -> &Anchors {
        &self.anchors
    }

    /// The delegated authorities, by name.
    pub fn authorities(&self) -> impl Iterator<Item = &Certificate> {
        self.authorities.iter().map(Arc::as_ref)
    }

    /// Takes in the certificate of a delegated authority (DER); false when it was there already.
    ///
    /// # Errors
    /// When it is not one, or no pinned root signed it.
    pub fn add_authority(&mut self, der: &[u8]) -> Result<bool, AuthorityError> {
        let authority = Certificate::parse(der)?;
        let subject = || authority.subject().to_string();
        match role_of(&authority) {
            Ok(Role::DelegatedCa { .. }) => {}
            Ok(_) => return Err(AuthorityError::NotDelegated { subject: subject(), source: None }),
            Err(error) => {
                return Err(AuthorityError::NotDelegated { subject: subject(), source: Some(error) });
            }
        }
        let memory = self.memory.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Directly below a root: a delegated authority's path length of 0 leaves no room in between.
        find_paths(&authority, &Authorities::default(), &self.anchors.0, &mut memory.links)
            .map_err(|source| AuthorityError::Path { subject: subject(), source })?;
        let known = self.authorities.named(authority.subject()).any(|held| held.hash() == authority.hash());
        if !known && self.authorities.count() >= AUTHORITIES_MAX {
            return Err(AuthorityError::TooMany);
        }
        let added = self.authorities.insert(Arc::new(authority));
        if added {
            self.changed();
        }
        Ok(added)
    }

    /// Takes in a revocation list (DER) of a root or of a delegated authority.
    ///
    /// # Errors
    /// When it is not acceptable, forged, or goes back; the store is unchanged then.
    pub fn add_list(&mut self, der: &[u8]) -> Result<Admitted, ListError> {
        self.admit(&RevocationList::parse(der)?, Revocations::admit)
    }

    /// Takes in a list that contradicts what the same authority had issued: what any of its lists revokes is revoked.
    ///
    /// # Errors
    /// When it is forged; the store is unchanged then.
    pub fn add_contradicting_list(&mut self, list: &RevocationList) -> Result<(), ListError> {
        self.admit(list, Revocations::admit_contradicting).map(drop)
    }

    /// Whether this list contradicts what its authority had issued; nothing about it is checked.
    pub fn is_contradicted_by(&self, list: &RevocationList) -> bool {
        self.revocations_like(list).any(|held| held.contradicts(list))
    }

    /// Whether this is the newest list of its authority.
    pub fn is_newest(&self, list: &RevocationList) -> bool {
        self.revocations_like(list).any(|held| held.is_newest(list))
    }

    fn revocations_like(&self, list: &RevocationList) -> impl Iterator<Item = &Revocations> {
        let named = self.anchors.0.named(list.issuer()).chain(self.authorities.named(list.issuer()));
        let issuers = named.filter(|issuer| issuer.subject_key() == Some(list.authority_key()));
        issuers.filter_map(|issuer| self.revocations.get(&key_of(issuer)).map(Arc::as_ref))
    }

    fn admit(
        &mut self,
        list: &RevocationList,
        admit: impl Fn(&mut Revocations, &RevocationList, &Certificate) -> Result<Admitted, ListError>,
    ) -> Result<Admitted, ListError> {
        let mut refused = ListError::UnknownIssuer { issuer: list.issuer().to_string() };
        let held = self.anchors.0.named(list.issuer()).chain(self.authorities.named(list.issuer()));
        let held: Vec<Arc<Certificate>> = held.cloned().collect();
        for issuer in held {
            if issuer.subject_key() != Some(list.authority_key()) {
                continue;
            }
            let key = key_of(&issuer);
            let mut revocations = self.revocations.get(&key).map(|held| (**held).clone()).unwrap_or_default();
            match admit(&mut revocations, list, &issuer) {
                Ok(Admitted::Repeat) => return Ok(Admitted::Repeat),
                Ok(Admitted::New) => {
                    self.revocations.insert(key, Arc::new(revocations));
                    self.changed();
                    return Ok(Admitted::New);
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// How old the revocation data is, of every root and authority.
    pub fn list_ages(&self) -> Vec<ListAge> {
        let mut ages: BTreeMap<AuthorityKey, ListAge> = BTreeMap::new();
        for authority in self.anchors.0.iter().chain(self.authorities.iter()) {
            let key = key_of(authority);
            let revocations = self.revocations.get(&key);
            let age = ListAge {
                authority: authority.subject().clone(),
                newest: revocations.and_then(|held| held.newest()),
                revoked: revocations.map_or(0, |held| held.count()),
            };
            ages.insert(key, age);
        }
        ages.into_values().collect()
    }

    /// Judges a certificate (DER) for a purpose, as of the time something signed with it provably existed.
    /// Whether the key signed it is for the caller to have checked; for documents
    /// [`TrustStore::judge_signature`] does both.
    /// `now` decides nothing: it is told about when it contradicts the proof, or when the certificate has
    /// expired since.
    pub fn judge(&self, certificate: &[u8], purpose: Purpose, time: &SigningTime, now: Millis) -> Verdict {
        self.standing(certificate).judge(purpose, time, now)
    }

    /// What is true of a certificate until this store changes.
    pub fn standing(&self, certificate: &[u8]) -> Arc<Standing> {
        self.standing_by(CertificateHash::of(certificate), |links| match Certificate::parse(certificate) {
            Ok(leaf) => self.look_into(&leaf, links),
            Err(error) => Standing::refused(error),
        })
    }

    /// As [`TrustStore::standing`], of a certificate that was read before.
    pub fn standing_of(&self, certificate: &Certificate) -> Arc<Standing> {
        self.standing_by(certificate.hash(), |links| self.look_into(certificate, links))
    }

    fn standing_by(&self, hash: CertificateHash, look: impl FnOnce(&mut Links) -> Standing) -> Arc<Standing> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = memory.standings.get(&hash) {
            return Arc::clone(known);
        }
        let standing = Arc::new(look(&mut memory.links));
        // Only what a trusted authority signed is remembered: strangers cannot push the others out.
        if standing.has_path() {
            if memory.standings.len() == STANDINGS_MAX {
                memory.standings.clear();
            }
            memory.standings.insert(hash, Arc::clone(&standing));
        }
        standing
    }

    /// What the authority that issued this certificate has revoked it for, if it has.
    pub fn revocation_of(&self, certificate: &Certificate) -> Option<Revocation> {
        let issuers =
            self.anchors.0.named(certificate.issuer()).chain(self.authorities.named(certificate.issuer()));
        let mut entries = issuers
            .filter(|issuer| certificate.authority_key().is_none_or(|key| issuer.subject_key() == Some(key)))
            .filter_map(|issuer| self.revocations.get(&key_of(issuer))?.entry(certificate.serial()).copied());
        entries.next()
    }

    fn look_into(&self, leaf: &Certificate, links: &mut Links) -> Standing {
        let role = role_of(leaf);
        let paths = find_paths(leaf, &self.authorities, &self.anchors.0, links).and_then(|mut paths| {
            if !leaf.is_authority() {
                // A root issues authorities; it is off line and issues nothing to offices or officers.
                paths.retain(|above| above.len() > 1);
            }
            if paths.is_empty() { Err(PathError::NotDelegated) } else { Ok(paths) }
        });
        Standing::new(leaf, Some(role), paths, &|issuer| self.revocations.get(&key_of(issuer)).cloned())
    }

    fn changed(&mut self) {
        self.generation += 1;
        self.memory.get_mut().unwrap_or_else(PoisonError::into_inner).standings.clear();
    }
}
