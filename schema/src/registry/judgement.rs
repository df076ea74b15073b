//! What the signature on an event is worth by one state of the registry: the same wherever and whenever it is asked.

use std::sync::Arc;

use super::Registry;
use crate::body::{FindingCode, Judgement, Layer, ListHash, Place};
use crate::event::RecordedEvent;
use crate::stamp::Stamp;
use crate::trust::{Certificate, CertificateHash, Finding, Item, Outcome, Reason, SigningTime, Verdict};

impl Registry {
    /// Judges the signatures of an event as of the earliest of these stamps, which must have been checked and be sorted.
    /// Beside it the certificate that the judgement rests on; none when no certificate of the key is held.
    ///
    /// Nobody's clock is asked.
    pub fn judge_event(
        &self,
        recorded: &RecordedEvent,
        place: Place,
        stamps: Vec<Stamp>,
    ) -> (Judgement, Option<Arc<Certificate>>) {
        let event = &recorded.event;
        let proven_at = self.sound_proof(&event.office, recorded.key, &stamps);
        let time = SigningTime { claimed_at: Some(event.claimed_at), after: None, proven_at };
        let judged = self.judge_key(&event.office, recorded.key, &time, proven_at.unwrap_or_default());
        let (layer, open, certificate) = match judged {
            Some((certificate, verdict)) => {
                let lists = self.trust().standing_of(certificate).lists();
                (
                    layer(certificate.hash(), &verdict, lists),
                    verdict.may_change(),
                    Some(Arc::clone(certificate)),
                )
            }
            // Its certificate is not held any more: only possible when the registry was put back by hand.
            None => {
                let (item, reason) = (Item::Certificate.number(), Reason::NotChecked.number());
                let finding = FindingCode { item, outcome: Outcome::Undetermined, reason };
                (Layer { certificate: [0; 32], findings: vec![finding], lists: Vec::new() }, true, None)
            }
        };
        (Judgement { from: event.office, place, layers: vec![layer], stamps, open }, certificate)
    }
}

fn layer(certificate: CertificateHash, verdict: &Verdict, lists: Vec<[u8; 32]>) -> Layer {
    let code = |finding: &Finding| FindingCode {
        item: finding.item.number(),
        outcome: finding.outcome,
        reason: finding.reason.number(),
    };
    Layer {
        certificate: certificate.0,
        findings: verdict.findings().iter().map(code).collect(),
        lists: lists.into_iter().map(ListHash).collect(),
    }
}
