//! The verdict on a signature's certificate, as of the moment the signature provably existed. What comes on
//! top for a document, content and signature, is in [`super::cms::judgement`].
//!
//! A claimed time proves nothing once a key may be stolen, so revocation and expiry are judged at the proof
//! of existence: the earliest trusted time by which the event was in a relay's log. The claimed time only
//! ever turns *invalid* into *undetermined*: an honest office that was off line must be able to confirm what
//! it signed.
//!
//! | the list says | proof before the date that counts | otherwise |
//! |---|---|---|
//! | compromised, or no reason | valid, "revoked later" | invalid |
//! | superseded, affiliation changed, cessation | valid, "revoked later" | invalid, with the reason |
//! | on hold | valid, "on hold later" | undetermined |
//! | any, claimed before the date but proven after it | – | undetermined: the office must confirm |
//! | an authority above is compromised | valid | undetermined: the office must confirm |
//! | not listed, list of that moment or newer | valid | – |
//! | not listed, no such list | undetermined | – |
//! | no proof of existence yet | undetermined | – |
//!
//! The date that counts is the invalidity date, or the revocation date where there is none. An authority's key
//! that is lost is lost under every certificate of it.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::algorithm::PublicKey;
use super::certificate::{Certificate, CertificateError, CertificateValidity, Serial};
use super::crl::{Coverage, Revocation, RevocationReason, Revocations};
use super::path::{Above, PathError};
use super::profile::{Purpose, Role, RoleError};
use super::reason::{Language, Reason};
use crate::time::Millis;

/// One of three answers; there is no fourth. Numbers are stable for ever.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// *Hợp lệ*.
    #[n(0)]
    Valid,
    /// *Chưa xác định*: something is missing that may still come.
    #[n(1)]
    Undetermined,
    /// *Không hợp lệ*.
    #[n(2)]
    Invalid,
}

impl Outcome {
    /// Its number in stores and events.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The outcome with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Valid),
            1 => Some(Self::Undetermined),
            2 => Some(Self::Invalid),
            _ => None,
        }
    }
}

/// What must be checked; the technical norm on checking signatures wants each mandatory item reported by
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// The document is the one that was signed: the digests are equal.
    Content,
    /// The key of the certificate made the signature.
    Signature,
    /// The certificate is sound and uses allowed algorithms.
    Certificate,
    /// A chain leads to a trusted root.
    Chain,
    /// The key may be used for this.
    Usage,
    /// Signed within the validity.
    Period,
    /// Not revoked and not suspended when it was signed.
    Revocation,
    /// There is trusted time.
    ProvenTime,
}

impl Item {
    /// Those of a verdict on a certificate, in the order they are shown; an event is taken apart and its
    /// signature checked before anybody asks for a verdict.
    pub const OF_CERTIFICATE: [Self; 6] =
        [Self::Certificate, Self::Chain, Self::Usage, Self::Period, Self::Revocation, Self::ProvenTime];

    /// Its number in events; stable for ever.
    pub const fn number(self) -> u8 {
        match self {
            Self::Certificate => 1,
            Self::Chain => 2,
            Self::Usage => 3,
            Self::Period => 4,
            Self::Revocation => 5,
            Self::ProvenTime => 6,
            Self::Content => 7,
            Self::Signature => 8,
        }
    }

    /// Those of a verdict on a document's signature, in the order they are shown: the mandatory items of the
    /// norm (1.1 period and revocation, 1.2 revocation, 1.3 certificate, 1.4 usage, 2.1 certificate and chain,
    /// 2.2 signature, 2.3 certificate and period, 2.4 content), and trusted time.
    pub const OF_DOCUMENT: [Self; 8] = [
        Self::Content,
        Self::Signature,
        Self::Certificate,
        Self::Chain,
        Self::Usage,
        Self::Period,
        Self::Revocation,
        Self::ProvenTime,
    ];
}

/// What came out for one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which item.
    pub item: Item,
    /// What came out.
    pub outcome: Outcome,
    /// Why, in words for a clerk.
    pub reason: Reason,
}

/// The verdict: one finding per item, always all of [`Item::OF_CERTIFICATE`] or of [`Item::OF_DOCUMENT`], and the
/// worst of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    findings: Vec<Finding>,
}

impl Verdict {
    /// The worst of the findings.
    pub fn outcome(&self) -> Outcome {
        self.findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::Undetermined)
    }

    /// One finding per item, in the order they are shown.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// The finding about this item.
    pub fn of(&self, item: Item) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.item == item)
    }

    /// With these findings before its own.
    pub(super) fn behind<const N: usize>(mut self, first: [(Item, Found); N]) -> Self {
        self.findings.splice(0..0, first.map(|(item, found)| finding(item, found)));
        self
    }

    /// With what `find` says about each of these items.
    pub(super) fn of_each<const N: usize>(items: [Item; N], find: impl Fn(Item) -> Found) -> Self {
        Self { findings: items.map(|item| finding(item, find(item))).into() }
    }

    /// The findings that keep it from being valid.
    pub fn troubles(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.outcome != Outcome::Valid)
    }

    /// The worst finding in words: why it is not valid, or that it is.
    pub fn told(&self, language: Language) -> String {
        let worst = self.findings.iter().rev().max_by_key(|finding| finding.outcome);
        worst.map_or_else(String::new, |finding| finding.reason.text(language))
    }

    /// Whether fresher lists, authorities or proofs could change it, so that it must be judged again when
    /// they come.
    pub fn may_change(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.outcome == Outcome::Undetermined || finding.reason.is_open())
    }
}

/// What is known about when something was signed. Only `proven_at` and `after` come from others' clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SigningTime {
    /// What the signer says.
    pub claimed_at: Option<Millis>,
    /// Not before this: the time of the newest checkpoint that the signed event has seen.
    pub after: Option<Millis>,
    /// It existed by then: the earliest trusted time, of the first checkpoint with enough witnesses or of a
    /// time stamp.
    pub proven_at: Option<Millis>,
}

impl SigningTime {
    /// Signed when it was proven, as far as anybody says.
    pub const fn proven(at: Millis) -> Self {
        Self { claimed_at: None, after: None, proven_at: Some(at) }
    }

    /// Whether it is out of the question that this was signed before `date`. Without a claim there is nobody
    /// to give the benefit of the doubt to.
    fn is_surely_from(&self, date: Millis) -> bool {
        if self.after.is_some_and(|after| after >= date) {
            return true;
        }
        self.proven_at.is_some() && self.claimed_at.is_none_or(|claimed| claimed >= date)
    }
}

/// One certificate of a path and what its issuer has revoked.
#[derive(Clone, Debug)]
struct Link {
    validity: CertificateValidity,
    serial: Serial,
    key_hash: [u8; 32],
    issuer: Arc<Certificate>,
    revocations: Option<Arc<Revocations>>,
    /// Of an authority: its key was lost, says the revocation of *another* certificate of the same key.
    lost: Option<Revocation>,
}

impl Link {
    fn entries(&self) -> impl Iterator<Item = Revocation> {
        let own = self.revocations.as_ref().and_then(|held| held.entry(&self.serial)).copied();
        [own, self.lost].into_iter().flatten()
    }

    /// How it was revoked, as it counts earliest.
    fn entry(&self) -> Option<Revocation> {
        self.entries().min_by_key(Revocation::effective_at)
    }

    /// How its key was lost, if it was.
    fn compromise(&self) -> Option<Revocation> {
        self.entries().filter(|entry| entry.reason.is_compromise()).min_by_key(Revocation::effective_at)
    }
}

/// A path with everything that does not depend on time.
#[derive(Clone, Debug)]
pub(super) struct ResolvedPath {
    /// The leaf first, the certificate below the anchor last.
    links: Vec<Link>,
    anchor: Arc<Certificate>,
    /// What every authority on it allows its certificates to be used for.
    allowed: Vec<Purpose>,
}

impl ResolvedPath {
    fn new(
        leaf: &Certificate,
        above: &Above,
        revocations: &dyn Fn(&Certificate) -> Option<Arc<Revocations>>,
    ) -> Option<Self> {
        let below = [leaf].into_iter().chain(above.iter().map(Arc::as_ref));
        let links = below.zip(above).map(|(certificate, issuer)| Link {
            validity: *certificate.validity(),
            serial: certificate.serial().clone(),
            key_hash: *certificate.key_hash(),
            issuer: Arc::clone(issuer),
            revocations: revocations(issuer),
            lost: None,
        });
        let allowed = [Purpose::Event, Purpose::Document]
            .into_iter()
            .filter(|purpose| above.iter().all(|authority| allows(authority, *purpose)));
        Some(Self { links: links.collect(), anchor: Arc::clone(above.last()?), allowed: allowed.collect() })
    }
}

/// What is true of a certificate whenever it is looked at, until authorities or lists change.
#[derive(Clone, Debug)]
pub struct Standing {
    certificate: Result<PublicKey, CertificateError>,
    role: Option<Result<Role, RoleError>>,
    paths: Result<Vec<ResolvedPath>, PathError>,
}

impl Standing {
    /// Of bytes that are not an acceptable certificate.
    pub const fn refused(error: CertificateError) -> Self {
        Self {
            certificate: Err(error),
            role: None,
            paths: Err(PathError::UnknownIssuer { issuer: String::new() }),
        }
    }

    /// Of a certificate with the paths that were found for it. `role` is `None` where no role is asked for:
    /// public test suites know nothing of ours.
    pub fn new(
        leaf: &Certificate,
        role: Option<Result<Role, RoleError>>,
        paths: Result<Vec<Above>, PathError>,
        revocations: &dyn Fn(&Certificate) -> Option<Arc<Revocations>>,
    ) -> Self {
        Self {
            certificate: Ok(leaf.key().clone()),
            role,
            paths: paths.map(|paths| {
                let paths = paths.iter().filter_map(|above| ResolvedPath::new(leaf, above, revocations));
                with_lost_keys(paths.collect())
            }),
        }
    }

    /// Whether a chain to a root was found: only those are worth remembering.
    pub const fn has_path(&self) -> bool {
        self.paths.is_ok()
    }

    /// Why no chain leads to a root; `None` when one does.
    pub const fn no_path(&self) -> Option<&PathError> {
        match &self.paths {
            Ok(_) => None,
            Err(error) => Some(error),
        }
    }

    /// SHA-256 of the newest list of each authority on the way to the root, the nearest first.
    pub fn lists(&self) -> Vec<[u8; 32]> {
        let path = self.paths.iter().flatten().next();
        let links = path.into_iter().flat_map(|path| &path.links);
        links.filter_map(|link| link.revocations.as_ref()?.newest_hash()).collect()
    }

    /// Its key, when it is an acceptable certificate at all.
    pub(super) fn key(&self) -> Option<&PublicKey> {
        self.certificate.as_ref().ok()
    }

    /// Its role, when it has one.
    pub fn role(&self) -> Option<&Role> {
        self.role.as_ref()?.as_ref().ok()
    }

    /// Judges it for a purpose, at the time something provably existed. `now` decides nothing; it is only
    /// told about.
    pub fn judge(&self, purpose: Purpose, time: &SigningTime, now: Millis) -> Verdict {
        let key = match &self.certificate {
            Ok(key) => key,
            Err(error) => return unreadable(error, time, now),
        };
        let judged =
            self.paths.iter().flatten().map(|path| {
                [self.usage(purpose, Some(path)), period(path, time, now), revocation(path, time)]
            });
        // Of several paths the best one counts, and of equally good ones the first.
        let worst = |found: &[Found; 3]| found.iter().map(|(outcome, _)| *outcome).max();
        let best = judged.min_by_key(worst);
        let open = || (Outcome::Undetermined, Reason::NotChecked);
        let [usage, period, revocation] = best.unwrap_or_else(|| [self.usage(purpose, None), open(), open()]);
        let findings = vec![
            self.certificate_finding(key),
            self.chain_finding(),
            finding(Item::Usage, usage),
            finding(Item::Period, period),
            finding(Item::Revocation, revocation),
            finding(Item::ProvenTime, proven_time(time, now)),
        ];
        Verdict { findings }
    }

    /// What keeps something signed with this certificate from being taken in, as opposed to what makes its verdict
    /// open: invalid for whatever reason, or revoked without proof that it was signed before. Whoever really signed it
    /// then signs it again with the key that took the place of this one.
    ///
    /// # Errors
    /// With the findings.
    pub fn may_enter(&self, purpose: Purpose, time: &SigningTime) -> Result<(), Box<Verdict>> {
        let sound = self.certificate.is_ok() && !matches!(&self.role, Some(Err(_)));
        let path = self.paths.as_ref().ok().filter(|_| sound).is_some_and(|paths| {
            paths.iter().any(|path| {
                let (usage, _) = self.usage(purpose, Some(path));
                let (period, _) = period(path, time, Millis(0));
                let (revocation, reason) = revocation(path, time);
                [usage, period, revocation].iter().all(|outcome| *outcome != Outcome::Invalid)
                    && !reason.is_revoked_without_proof()
            })
        });
        if path { Ok(()) } else { Err(Box::new(self.judge(purpose, time, Millis(0)))) }
    }

    fn certificate_finding(&self, key: &PublicKey) -> Finding {
        match &self.role {
            Some(Err(error)) if !error.is_about_usage() => {
                finding(Item::Certificate, (Outcome::Invalid, Reason::RoleRefused(error.clone())))
            }
            _ => {
                let reason = Reason::CertificateSound { key: key.describe() };
                finding(Item::Certificate, (Outcome::Valid, reason))
            }
        }
    }

    fn chain_finding(&self) -> Finding {
        finding(
            Item::Chain,
            match self.paths.as_ref().map(|paths| paths.first()) {
                Ok(Some(path)) => {
                    (Outcome::Valid, Reason::ChainComplete { root: path.anchor.subject().to_string() })
                }
                Ok(None) => (Outcome::Undetermined, Reason::NotChecked),
                Err(error) => (Outcome::Invalid, Reason::NoPath(error.clone())),
            },
        )
    }

    fn usage(&self, purpose: Purpose, path: Option<&ResolvedPath>) -> Found {
        let allowed = || path.is_none_or(|path| path.allowed.contains(&purpose));
        match &self.role {
            None => (Outcome::Valid, Reason::UsageFits { purpose }),
            Some(Ok(role)) if role.serves(purpose) && allowed() => {
                (Outcome::Valid, Reason::UsageFits { purpose })
            }
            Some(Ok(_)) => (Outcome::Invalid, Reason::WrongUsage { purpose }),
            Some(Err(error)) if error.is_about_usage() => {
                (Outcome::Invalid, Reason::RoleRefused(error.clone()))
            }
            Some(Err(_)) => (Outcome::Undetermined, Reason::NotChecked),
        }
    }
}

/// A renewed authority has two certificates for one key. When one of them is revoked because the key was lost,
/// the other one does not save what the key signed.
fn with_lost_keys(mut paths: Vec<ResolvedPath>) -> Vec<ResolvedPath> {
    let authorities = paths.iter().flat_map(|path| path.links.iter().skip(1));
    let lost: Vec<([u8; 32], Revocation)> =
        authorities.filter_map(|link| Some((link.key_hash, link.compromise()?))).collect();
    for link in paths.iter_mut().flat_map(|path| path.links.iter_mut().skip(1)) {
        let same = lost.iter().filter(|(key_hash, _)| *key_hash == link.key_hash);
        link.lost = same.map(|(_, entry)| *entry).min_by_key(Revocation::effective_at);
    }
    paths
}

fn allows(authority: &Certificate, purpose: Purpose) -> bool {
    let wanted = match purpose {
        Purpose::Event => super::profile::PURPOSE_OFFICE,
        Purpose::Document => super::profile::PURPOSE_OFFICER,
    };
    authority.extensions.purposes.as_ref().is_none_or(|list| list.iter().any(|oid| *oid == wanted))
}

/// What came out, and why.
pub(super) type Found = (Outcome, Reason);

fn finding(item: Item, (outcome, reason): Found) -> Finding {
    Finding { item, outcome, reason }
}

fn unreadable(error: &CertificateError, time: &SigningTime, now: Millis) -> Verdict {
    Verdict::of_each(Item::OF_CERTIFICATE, |item| match item {
        Item::Certificate => (Outcome::Invalid, Reason::CertificateRefused(error.clone())),
        Item::ProvenTime => proven_time(time, now),
        Item::Content | Item::Signature | Item::Chain | Item::Usage | Item::Period | Item::Revocation => {
            (Outcome::Undetermined, Reason::NotChecked)
        }
    })
}

/// The worse of two, the first one when they are equal: the leaf's own reason is the nearest.
fn worse(first: Found, second: Found) -> Found {
    if second.0 > first.0 { second } else { first }
}

/// Every certificate of the path must count at the moment of proof.
fn period(path: &ResolvedPath, time: &SigningTime, now: Millis) -> Found {
    let links = path.links.iter().map(|link| &link.validity).chain([path.anchor.validity()]);
    let links = links.map(|validity| period_of(validity, time, now));
    links.reduce(worse).unwrap_or((Outcome::Undetermined, Reason::NotChecked))
}

fn period_of(validity: &CertificateValidity, time: &SigningTime, now: Millis) -> Found {
    let CertificateValidity { not_before, not_after } = *validity;
    let ended = Millis(not_after.0 / Millis::SECOND * Millis::SECOND).plus(Millis::SECOND);
    let Some(proven_at) = time.proven_at else {
        return if time.after.is_some_and(|after| after >= ended) {
            (Outcome::Invalid, Reason::ExpiredAtSigning { not_after })
        } else {
            (Outcome::Undetermined, Reason::PeriodNotProven { not_before, not_after })
        };
    };
    if validity.begins_after(proven_at) {
        (Outcome::Invalid, Reason::NotYetValid { not_before })
    } else if validity.is_over(proven_at) {
        if time.is_surely_from(ended) {
            (Outcome::Invalid, Reason::ExpiredAtSigning { not_after })
        } else {
            (Outcome::Undetermined, Reason::ExpiredBeforeProof { not_after })
        }
    } else if validity.is_over(now) {
        (Outcome::Valid, Reason::ExpiredSince { not_after })
    } else {
        (Outcome::Valid, Reason::WithinPeriod { not_before, not_after })
    }
}

fn revocation(path: &ResolvedPath, time: &SigningTime) -> Found {
    let mut found: Option<Found> = None;
    for (n, link) in path.links.iter().enumerate() {
        // Lists that a thief of the issuer's key may have signed say nothing about what is *not* revoked.
        let issuer = path.links.get(n + 1).and_then(Link::compromise);
        let trusted_before = issuer.map(|entry| entry.effective_at());
        let next = revocation_of(link, n > 0, trusted_before, time);
        found = Some(match found {
            // Of two that are valid, "revoked later" and "may still change" are the ones to tell.
            Some(first) if first.0 == next.0 && !first.1.is_open() && next.1.is_open() => next,
            // Why no list of that authority counts.
            Some(first) if first.0 == next.0 && matches!(next.1, Reason::AuthorityCompromised { .. }) => next,
            Some(first) => worse(first, next),
            None => next,
        });
    }
    found.unwrap_or((Outcome::Undetermined, Reason::NotChecked))
}

fn revocation_of(
    link: &Link,
    is_authority: bool,
    trusted_before: Option<Millis>,
    time: &SigningTime,
) -> Found {
    let issuer = || link.issuer.subject().to_string();
    let Some(entry) = link.entry() else {
        let none = || (Outcome::Undetermined, Reason::NoList { issuer: issuer() });
        let Some(revocations) = &link.revocations else { return none() };
        // Without proof the newest list is as good as any; the missing proof is a finding of its own.
        let at = time.proven_at.unwrap_or(Millis(0));
        return match revocations.coverage(at, trusted_before) {
            Coverage::NoList => none(),
            Coverage::Stale(window) => {
                let reason = Reason::StaleList { issuer: issuer(), next_update: window.next_update };
                (Outcome::Undetermined, reason)
            }
            Coverage::After(window) if time.proven_at.is_some() => {
                (Outcome::Valid, Reason::NotRevoked { list_at: window.this_update })
            }
            Coverage::After(window) | Coverage::Within(window) => {
                (Outcome::Valid, Reason::NotRevokedSoFar { list_at: window.this_update })
            }
        };
    };
    let since = entry.effective_at();
    let why = entry.reason;
    let on_hold = why == RevocationReason::CertificateHold;
    match time.proven_at {
        Some(proven_at) if proven_at < since && on_hold => (Outcome::Valid, Reason::OnHoldLater { since }),
        Some(proven_at) if proven_at < since => (Outcome::Valid, Reason::RevokedLater { since, why }),
        _ if on_hold => (Outcome::Undetermined, Reason::OnHold { since }),
        _ if is_authority && why.is_compromise() => {
            (Outcome::Undetermined, Reason::AuthorityCompromised { since })
        }
        _ if time.is_surely_from(since) => (Outcome::Invalid, Reason::Revoked { since, why }),
        Some(_) => (Outcome::Undetermined, Reason::RevokedBeforeProof { since, why }),
        None => (Outcome::Undetermined, Reason::RevokedWithoutProof { since, why }),
    }
}

pub(super) fn proven_time(time: &SigningTime, now: Millis) -> Found {
    let Some(proven_at) = time.proven_at else { return (Outcome::Undetermined, Reason::NoTrustedTimeYet) };
    let reason = match time.claimed_at {
        _ if now < proven_at => Reason::ClockBehind { now, proven_at },
        Some(claimed_at) if claimed_at > proven_at => Reason::ClaimedAfterProof { claimed_at, proven_at },
        _ => Reason::ProvenAt { proven_at },
    };
    (Outcome::Valid, reason)
}
