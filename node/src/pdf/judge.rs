//! Each signature by itself, then all together.

use std::sync::Arc;

use schema::time::Millis;
use schema::trust::certificate::CertificateValidity;
use schema::trust::pades::signature::{Made, signs_documents};
use schema::trust::pades::{Binding, OpenSignature};
use schema::trust::path::{Above, PathError};
use schema::trust::{Certificate, Reason as TrustReason};

use super::file::{PdfFile, SignatureEntry, byte_ranges_named};
use super::range::Covered;
use super::reason::Reason;
use super::revision::{Change, additions};
use super::trust::PdfTrust;
use super::{COMPARED_BYTES_MAX, PdfError, PdfOutcome, PdfReport, PdfSignature};

/// CMS detached, as Acrobat and as PAdES name it (ISO 32000-2 table 260).
const SUB_FILTERS: [&str; 2] = ["adbe.pkcs7.detached", "ETSI.CAdES.detached"];
/// How far ahead a signer's clock may be before it is told.
const CLOCKS_APART_MS_MAX: u64 = 10 * 60 * Millis::SECOND;

/// Judges every signature of a PDF file. `at` is when the file provably existed, or now: by then a certificate that has
/// expired counts for nothing, whatever the signer says about the time.
///
/// Takes memory without a bound that this function could keep; a station calls it in a [`super::child`] process.
///
/// # Errors
/// When the file is not judged at all.
pub fn verdicts(bytes: &[u8], trust: &PdfTrust, at: Millis) -> Result<PdfReport, PdfError> {
    let file = PdfFile::read(bytes)?;
    let entries = file.signatures()?;
    let mut scene = Scene { bytes, file: &file, trust, at, comparable: COMPARED_BYTES_MAX };
    let mut all: Vec<Judged> = entries.iter().map(|entry| scene.judge(entry)).collect();
    let is_vouched_for = all.iter().any(|one| one.covers_whole_file && one.outcome() == PdfOutcome::Valid);
    for one in &mut all {
        if one.is_followed_by_signatures_only {
            one.reasons.push(if is_vouched_for {
                Reason::OnlySignaturesFollow
            } else {
                Reason::UncoveredEnd
            });
        }
    }
    let mut warnings = Vec::new();
    if all.len() > 1 {
        warnings.push(Reason::SeveralSignatures);
    }
    let count = byte_ranges_named(bytes).saturating_sub(all.len());
    if count > 0 {
        warnings.push(Reason::HiddenSignatures { count });
    }
    if let Some(first) = trust.refused.first() {
        warnings.push(Reason::RootsPassedOver { first: first.clone(), count: trust.refused.len() });
    }
    Ok(PdfReport {
        signatures: all.into_iter().map(Judged::told).collect(),
        warnings: warnings.iter().map(Reason::remark).collect(),
    })
}

struct Scene<'a> {
    bytes: &'a [u8],
    file: &'a PdfFile,
    trust: &'a PdfTrust,
    at: Millis,
    /// How many bytes of earlier revisions may still be parsed.
    comparable: usize,
}

#[derive(Default)]
struct Judged {
    signature: Option<OpenSignature>,
    identified: bool,
    claimed_at: Option<Millis>,
    covers_whole_file: bool,
    is_followed_by_signatures_only: bool,
    signed_bytes: usize,
    reasons: Vec<Reason>,
    warnings: Vec<Reason>,
}

impl Judged {
    fn outcome(&self) -> PdfOutcome {
        // Without any reason nothing was checked.
        self.reasons.iter().map(Reason::outcome).max().unwrap_or(PdfOutcome::Undetermined)
    }

    fn told(mut self) -> PdfSignature {
        self.reasons.sort_by_key(|reason| std::cmp::Reverse(reason.outcome()));
        let signature = self.signature.as_ref();
        PdfSignature {
            outcome: self.outcome(),
            signer: signature.map(OpenSignature::signer),
            unit: signature.and_then(OpenSignature::unit),
            issuer: signature.map(OpenSignature::issuer),
            identified: self.identified,
            claimed_at: self.claimed_at,
            covers_whole_file: self.covers_whole_file,
            signed_bytes: self.signed_bytes as u64,
            reasons: self.reasons.iter().map(Reason::remark).collect(),
            warnings: self.warnings.iter().map(Reason::remark).collect(),
        }
    }
}

impl Scene<'_> {
    fn judge(&mut self, entry: &SignatureEntry) -> Judged {
        let mut judged = Judged { claimed_at: entry.claimed_at, ..Judged::default() };
        if self.file.is_repaired() {
            judged.reasons.push(Reason::Repaired);
        }
        let covered = match Covered::new(&entry.byte_range, self.bytes, &entry.contents) {
            Ok(covered) => Some(covered),
            Err(fault) => {
                judged.reasons.push(Reason::Range(fault));
                None
            }
        };
        if SUB_FILTERS.contains(&entry.sub_filter.as_str()) {
            match OpenSignature::parse(&entry.contents) {
                Ok(signature) => self.judge_signature(&signature, covered.as_ref(), &mut judged),
                Err(error) => judged.reasons.push(Reason::Unread(error)),
            }
        } else {
            judged.reasons.push(Reason::SubFilter(entry.sub_filter.clone()));
        }
        if let Some(covered) = covered {
            self.judge_rest(entry, &covered, &mut judged);
        }
        judged
    }

    /// What the signature itself is worth, and who made it.
    fn judge_signature(&self, signature: &OpenSignature, covered: Option<&Covered>, judged: &mut Judged) {
        judged.signature = Some(signature.clone());
        judged.claimed_at = signature.claimed_at().or(judged.claimed_at);
        if let Some(covered) = covered {
            judged.reasons.push(match signature.covers(&covered.pieces(self.bytes)) {
                true => {
                    let digest = signature.digest_algorithm();
                    let intact = TrustReason::ContentIntact { digest };
                    Reason::Trust(PdfOutcome::Valid, "content-intact", intact)
                }
                false => Reason::Trust(PdfOutcome::Invalid, "content-changed", TrustReason::ContentChanged),
            });
        }
        match judged.claimed_at {
            Some(claimed_at) if claimed_at.since(self.at) > CLOCKS_APART_MS_MAX => {
                judged.warnings.push(Reason::ClaimedLater { claimed_at });
            }
            Some(_) => {}
            None => judged.warnings.push(Reason::NoClaimedTime),
        }
        if signature.is_time_stamped() {
            judged.warnings.push(Reason::TimeStampNotChecked);
        }
        match signature.binding() {
            Binding::Bound => {}
            Binding::Other => judged.reasons.push(Reason::CertificateExchanged),
            Binding::NotCompared | Binding::Missing => judged.warnings.push(Reason::CertificateNotBound),
        }
        let certificate = match signature.signer_certificate() {
            Ok(certificate) => certificate,
            Err(error) => {
                let refused = TrustReason::CertificateRefused(error);
                judged.reasons.push(Reason::Trust(
                    PdfOutcome::Undetermined,
                    "certificate-not-accepted",
                    refused,
                ));
                return;
            }
        };
        let (scheme, key) = (signature.scheme(), certificate.key().describe());
        let made = signature.is_made_by(&certificate);
        judged.reasons.push(match made {
            Made::Yes => Reason::Made(scheme),
            Made::No => Reason::False,
            Made::Unfit => Reason::Unfit { scheme, key },
        });
        if !signs_documents(&certificate) {
            judged.reasons.push(Reason::WrongUsage);
        }
        judged.reasons.push(period(certificate.validity(), judged.claimed_at, self.at));
        let trusted = self.judge_chain(signature, &certificate, judged);
        judged.identified = trusted && made == Made::Yes && signature.binding() != Binding::Other;
    }

    /// Whether a chain leads to a root of the folder.
    fn judge_chain(&self, signature: &OpenSignature, certificate: &Certificate, judged: &mut Judged) -> bool {
        if self.trust.roots.count() == 0 {
            judged.reasons.push(Reason::NoRoots);
            return false;
        }
        let (others, unread) = signature.others();
        if unread > 0 {
            judged.warnings.push(Reason::UnreadCertificates { count: unread });
        }
        let signed_at = judged.claimed_at.unwrap_or(self.at);
        let chain = |outcome, code, error| Reason::Trust(outcome, code, TrustReason::NoPath(error));
        let reason = match self.trust.roots.paths(certificate, others) {
            Ok(paths) => {
                // What is pinned is believed as long as it is pinned. An authority that is over issues nothing any more, whatever
                // the claimed time: its key may have come into other hands.
                let covers = |authority: &Arc<Certificate>| {
                    [signed_at, self.at].iter().all(|at| authority.validity().covers(*at))
                };
                let counts = |path: &&Above| path.iter().rev().skip(1).all(covers);
                match paths.iter().find(counts).and_then(|path| path.last()) {
                    Some(root) => {
                        let root = root.subject().to_string();
                        judged.warnings.push(Reason::RevocationNotChecked);
                        let complete = TrustReason::ChainComplete { root };
                        judged.reasons.push(Reason::Trust(PdfOutcome::Valid, "chain-complete", complete));
                        return true;
                    }
                    None => Reason::AuthorityPeriod,
                }
            }
            Err(PathError::UnknownIssuer { issuer } | PathError::KeyIdentifier { issuer }) => {
                Reason::IssuerNotTrusted { issuer }
            }
            Err(error @ (PathError::TooLong | PathError::Budget)) => {
                chain(PdfOutcome::Undetermined, "chain-too-long", error)
            }
            Err(
                error @ (PathError::NotAnAuthority { .. }
                | PathError::Forged { .. }
                | PathError::PathLength { .. }
                | PathError::OutsideJurisdiction { .. }
                | PathError::NotDelegated),
            ) => chain(PdfOutcome::Invalid, "chain-broken", error),
        };
        judged.reasons.push(reason);
        false
    }

    /// What follows the signed revision.
    fn judge_rest(&mut self, entry: &SignatureEntry, covered: &Covered, judged: &mut Judged) {
        judged.signed_bytes = covered.end();
        let rest = &self.bytes[covered.end()..];
        if !rest.is_empty() {
            judged.warnings.push(Reason::BytesFollow { bytes: rest.len() });
        }
        // The line's end that some programs add to every file they pass on.
        if matches!(rest, [] | [b'\n'] | [b'\r', b'\n']) {
            judged.covers_whole_file = true;
            judged.reasons.push(Reason::WholeFile);
            return;
        }
        let Some(left) = self.comparable.checked_sub(covered.end()) else {
            judged.reasons.push(Reason::NotCompared);
            return;
        };
        self.comparable = left;
        let signed = match PdfFile::read(&self.bytes[..covered.end()]) {
            Ok(signed) if !signed.is_repaired() => signed,
            _ => {
                judged.reasons.push(Reason::NotCompared);
                return;
            }
        };
        let is_in_it = signed.signatures().is_ok_and(|entries| entries.contains(entry));
        if !is_in_it {
            judged.reasons.push(Reason::NotInItsRevision);
            return;
        }
        match additions(&signed.document, &self.file.document) {
            Err(change) => {
                if matches!(change, Change::Overridden(_) | Change::Supplied(_)) {
                    judged.warnings.push(Reason::LaterSignature);
                }
                judged.reasons.push(Reason::Changed(change));
            }
            Ok(added) => {
                if entry.forbids_changes && added.signatures {
                    judged.reasons.push(Reason::ChangesForbidden);
                }
                if added.signatures {
                    judged.warnings.push(Reason::LaterSignature);
                }
                if added.visible {
                    judged.warnings.push(Reason::LaterSignatureVisible);
                }
                judged.is_followed_by_signatures_only = true;
            }
        }
    }
}

/// Whether the certificate counted when it was signed, as far as that is known: the claimed time proves nothing, so a
/// certificate that has expired since needs more than that.
fn period(validity: &CertificateValidity, claimed_at: Option<Millis>, at: Millis) -> Reason {
    let CertificateValidity { not_before, not_after } = *validity;
    let (outcome, code, reason) = match claimed_at {
        Some(claimed) if validity.begins_after(claimed) => {
            (PdfOutcome::Invalid, "not-yet-valid", TrustReason::NotYetValid { not_before })
        }
        Some(claimed) if validity.is_over(claimed) => {
            (PdfOutcome::Invalid, "expired-at-signing", TrustReason::ExpiredAtSigning { not_after })
        }
        Some(_) if validity.is_over(at) => {
            (PdfOutcome::Undetermined, "expired-before-proof", TrustReason::ExpiredBeforeProof { not_after })
        }
        _ if validity.covers(at) => {
            (PdfOutcome::Valid, "within-period", TrustReason::WithinPeriod { not_before, not_after })
        }
        _ => {
            let unknown = TrustReason::PeriodNotProven { not_before, not_after };
            (PdfOutcome::Undetermined, "period-not-proven", unknown)
        }
    };
    Reason::Trust(outcome, code, reason)
}
