//! What a signature is worth: the verdict on the certificate, and before it whether the document is the one
//! that was signed and whether the certificate's key signed it.

use super::detached::DetachedSignature;
use super::refusal::CmsError;
use crate::time::Millis;
use crate::trust::profile::Purpose;
use crate::trust::reason::Reason;
use crate::trust::store::TrustStore;
use crate::trust::verdict::{Item, Outcome, SigningTime, Standing, Verdict, proven_time};

impl TrustStore {
    /// Judges an officer's signature over `content`, as of the time it provably existed: eight findings, one
    /// for each of [`Item::OF_DOCUMENT`].
    ///
    /// What the signature itself claims takes the place of `time.claimed_at`. `time.after` must bound *the
    /// signature* from below: the newest checkpoint that an event has seen bounds the event that brings the
    /// signature, which may be days older; leave it out unless the manifest itself names a checkpoint.
    /// `now` decides nothing, as in [`TrustStore::judge`].
    pub fn judge_signature(
        &self,
        content: &[u8],
        signature: &DetachedSignature,
        time: &SigningTime,
        now: Millis,
    ) -> Verdict {
        let standing = self.standing(signature.signer_certificate());
        let time = SigningTime { claimed_at: Some(signature.claimed_at()), ..*time };
        let on_certificate = standing.judge(Purpose::Document, &time, now);
        let intact = if signature.covers(content) {
            (Outcome::Valid, Reason::ContentIntact { digest: signature.algorithm().digest() })
        } else {
            (Outcome::Invalid, Reason::ContentChanged)
        };
        on_certificate.behind([(Item::Content, intact), (Item::Signature, made(signature, &standing))])
    }
}

fn made(signature: &DetachedSignature, standing: &Standing) -> (Outcome, Reason) {
    let algorithm = signature.algorithm();
    match standing.key() {
        // The finding on the certificate says why it has no key to check with.
        None => (Outcome::Undetermined, Reason::NotChecked),
        Some(key) if !key.takes(algorithm) => {
            (Outcome::Invalid, Reason::SignatureUnfit { algorithm, key: key.describe() })
        }
        Some(key) if signature.is_made_by(key) => (Outcome::Valid, Reason::SignatureMade { algorithm }),
        Some(_) => (Outcome::Invalid, Reason::SignatureFalse),
    }
}

impl Verdict {
    /// On bytes that are not a signature of this profile: invalid, with the eight findings all the same.
    pub fn on_refused(error: &CmsError, time: &SigningTime, now: Millis) -> Self {
        Self::of_each(Item::OF_DOCUMENT, |item| match item {
            Item::Signature => (Outcome::Invalid, Reason::SignatureRefused(error.clone())),
            Item::ProvenTime => proven_time(time, now),
            Item::Content
            | Item::Certificate
            | Item::Chain
            | Item::Usage
            | Item::Period
            | Item::Revocation => (Outcome::Undetermined, Reason::NotChecked),
        })
    }
}
