//! What a sender asks its recipients for, and the one answer that nobody has to give.

use super::{Decided, Desk, WorkRefusal};
use crate::body::{Body, DocumentFact, Status};
use crate::event::{Kind, RECIPIENTS_MAX};
use crate::exchange::{Draft, Exchange, Records};
use crate::handling::{BusinessKind, Fact, Progress, Side, Standing};
use crate::id::{BusinessId, DocumentId, OfficeId};

impl<R: Records> Desk<'_, R> {
    pub(super) fn ask(
        &self,
        document: DocumentId,
        of: &[OfficeId],
        kind: BusinessKind,
        business: BusinessId,
        fact: Fact,
    ) -> Result<Decided, R::Error> {
        let recipients = self.records.recipients(&document)?;
        if recipients.is_empty() {
            return Ok(Err(WorkRefusal::NotSent { document }));
        }
        let mut asked = Vec::new();
        for office in if of.is_empty() { &recipients[..] } else { of } {
            if !recipients.contains(office) {
                return Ok(Err(WorkRefusal::NotSentTo { office: *office, document }));
            }
            let progress = self.case(*office, document, Side::Sender)?.progress;
            match may_ask(&progress, *office, kind, business) {
                Ok(()) => asked.push(*office),
                // Whoever it counts no more for is not asked again.
                Err(WorkRefusal::CountsNoMore { .. } | WorkRefusal::AlreadyAsked { .. }) if of.is_empty() => {
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        asked.sort_unstable();
        asked.dedup();
        if asked.is_empty() {
            return Ok(Err(WorkRefusal::NobodyLeft));
        }
        let told = Body::BusinessRequest(DocumentFact { document, fact, by: Some(self.by.clone()) });
        let drafts = asked
            .chunks(RECIPIENTS_MAX)
            .map(|to| self.exchange.draft(to.to_vec(), Kind::BusinessRequest, &told));
        Ok(Ok(drafts.collect()))
    }
}

/// Whether a recipient can be asked for this.
fn may_ask(
    progress: &Progress,
    office: OfficeId,
    kind: BusinessKind,
    business: BusinessId,
) -> Result<(), WorkRefusal> {
    if progress.knows_question(business) || kind == BusinessKind::TakeBack && progress.is_asked_back() {
        return Err(WorkRefusal::AlreadyAsked { office });
    }
    match progress.standing() {
        Standing::Recalled => Err(WorkRefusal::CountsNoMore { standing: Standing::Recalled }),
        standing @ (Standing::TakenBack | Standing::Replaced) if kind == BusinessKind::TakeBack => {
            Err(WorkRefusal::CountsNoMore { standing })
        }
        _ if !progress.has_room_for(kind) => Err(WorkRefusal::AskedTooOften { office }),
        _ => Ok(()),
    }
}

impl Exchange {
    /// Confirms recalls of a document that is here: the law leaves nothing to decide (Decree 30/2020 article 18.4b).
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn confirm_recalls<R: Records>(
        &self,
        records: &R,
        from: OfficeId,
        document: DocumentId,
    ) -> Result<Vec<Draft>, R::Error> {
        let Some(case) = records.case(&from, &document, Side::Recipient)? else { return Ok(Vec::new()) };
        let confirmed = case.progress.unconfirmed_recalls().map(|business| {
            let kind = BusinessKind::Recall;
            let fact = Fact::Answered { business, kind, agreed: true, words: None };
            let told = Status::Document(DocumentFact { document, fact, by: None });
            self.draft(vec![from], Kind::Status, &Body::Status(told))
        });
        Ok(confirmed.collect())
    }
}
