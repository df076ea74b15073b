//! What the signatures of a document are worth by one state of the registry: the same wherever and whenever it is asked.

use std::sync::Arc;

use super::Registry;
use crate::body::{Body, Dispatch, FindingCode, Judgement, Layer, ListHash, Place};
use crate::event::RecordedEvent;
use crate::stamp::{STAMPS_MAX, Stamp};
use crate::time::Millis;
use crate::trust::{
    Certificate, CmsError, DetachedSignature, Finding, Item, Outcome, Reason, SigningTime, Verdict,
};

/// A judgement, and the certificates that it rests on: when something new is heard of one of them, it is made again.
#[derive(Debug)]
pub struct Judged {
    /// What the signatures are worth.
    pub judgement: Judgement,
    /// The certificates that signed, as far as they can be read.
    pub signers: Vec<Arc<Certificate>>,
}

/// The signature of a person on a document, and what it is worth.
#[derive(Debug)]
pub struct PersonSignature {
    /// What was read, or which rule the bytes break.
    pub signature: Result<DetachedSignature, CmsError>,
    /// What is known about when it was made.
    pub time: SigningTime,
    /// What it is worth: eight findings.
    pub verdict: Verdict,
}

impl Registry {
    /// Judges the signatures of an event, the office's first and then those of persons on the document, as of the
    /// earliest of these stamps, which must have been checked and be sorted.
    ///
    /// Nobody's clock is asked.
    pub fn judge_event(&self, recorded: &RecordedEvent, place: Place, stamps: Vec<Stamp>) -> Judged {
        let event = &recorded.event;
        let proven_at = self.sound_proof(&event.office, recorded.key, &stamps);
        let time = SigningTime { claimed_at: Some(event.claimed_at), after: None, proven_at };
        let mut signers = Vec::new();
        let (seal, mut open) =
            match self.judge_key(&event.office, recorded.key, &time, proven_at.unwrap_or_default()) {
                Some((certificate, verdict)) => {
                    signers.push(Arc::clone(certificate));
                    (self.layer(Some(certificate), &verdict), verdict.may_change())
                }
                // Its certificate is not held any more: only possible when the registry was put back by hand.
                None => {
                    let (item, reason) = (Item::Certificate.number(), Reason::NotChecked.number());
                    let finding = FindingCode { item, outcome: Outcome::Undetermined, reason };
                    (Layer { certificate: [0; 32], findings: vec![finding], lists: Vec::new() }, true)
                }
            };
        let mut layers = vec![seal];
        if let Ok(Body::Dispatch(dispatch)) = Body::read(recorded.version, event) {
            for PersonSignature { signature, verdict, .. } in
                self.judge_persons(&dispatch, &stamps, proven_at.unwrap_or_default())
            {
                let der = signature.as_ref().ok().map(DetachedSignature::signer_certificate);
                let certificate = der.and_then(|der| Certificate::parse(der).ok()).map(Arc::new);
                layers.push(self.layer(certificate.as_deref(), &verdict));
                // Bytes that are no signature of this profile stay so.
                open |= signature.is_ok() && verdict.may_change();
                signers.extend(certificate);
            }
        }
        let judgement = Judgement { from: event.office, place, layers, stamps, open };
        Judged { judgement, signers }
    }

    /// Judges the signatures of persons on a document, in their order. The stamps are on the event that brings them, so
    /// they say by when a signature was there; one from before its certificate began proves nothing.
    ///
    /// `now` decides nothing; a verdict only tells of it.
    pub fn judge_persons(&self, dispatch: &Dispatch, stamps: &[Stamp], now: Millis) -> Vec<PersonSignature> {
        if dispatch.signatures.is_empty() {
            return Vec::new();
        }
        let content = dispatch.manifest.encode();
        let judged = dispatch.signatures.iter().map(|bytes| {
            let signature = DetachedSignature::parse(bytes);
            let begun = signature.as_ref().ok().and_then(|signature| Some(signature.validity()?.not_before));
            let proven_at =
                stamps.iter().map(|stamp| stamp.at).find(|at| begun.is_some_and(|from| *at >= from));
            let claimed_at = signature.as_ref().ok().map(DetachedSignature::claimed_at);
            let time = SigningTime { claimed_at, after: None, proven_at };
            let verdict = match &signature {
                Ok(signature) => self.trust().judge_signature(&content, signature, &time, now),
                Err(error) => Verdict::on_refused(error, &time, now),
            };
            PersonSignature { signature, time, verdict }
        });
        judged.collect()
    }

    /// Which of these stamps on an event are worth keeping, sorted: for each of its signatures the earliest that is not
    /// before the certificate began, then the earliest of other relays, as many as one event may have.
    pub fn useful_stamps(&self, recorded: &RecordedEvent, mut stamps: Vec<Stamp>) -> Vec<Stamp> {
        let order = |stamp: &Stamp| (stamp.at, stamp.region.clone());
        stamps.sort_by_key(order);
        let office = self.begun(&recorded.event.office, recorded.key);
        let persons = match Body::read(recorded.version, &recorded.event) {
            Ok(Body::Dispatch(dispatch)) => dispatch.signatures,
            _ => Vec::new(),
        };
        let persons = persons.iter().filter_map(|der| DetachedSignature::parse(der).ok()?.validity());
        let begun = office.into_iter().chain(persons.map(|validity| validity.not_before));
        let needed = begun.filter_map(|begun| stamps.iter().find(|stamp| stamp.at >= begun));
        let mut kept: Vec<Stamp> = Vec::new();
        for stamp in needed {
            if kept.len() < STAMPS_MAX && !kept.contains(stamp) {
                kept.push(stamp.clone());
            }
        }
        for stamp in stamps {
            if kept.len() < STAMPS_MAX && kept.iter().all(|other| other.region != stamp.region) {
                kept.push(stamp);
            }
        }
        kept.sort_by_key(order);
        kept
    }

    fn layer(&self, certificate: Option<&Certificate>, verdict: &Verdict) -> Layer {
        let code = |finding: &Finding| FindingCode {
            item: finding.item.number(),
            outcome: finding.outcome,
            reason: finding.reason.number(),
        };
        let lists =
            certificate.map_or_else(Vec::new, |certificate| self.trust().standing_of(certificate).lists());
        Layer {
            certificate: certificate.map_or([0; 32], |certificate| certificate.hash().0),
            findings: verdict.findings().iter().map(code).collect(),
            lists: lists.into_iter().map(ListHash).collect(),
        }
    }
}
