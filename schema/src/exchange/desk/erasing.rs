//! When the content of a document may be erased: nobody works with it any more, everybody it went to has it, and the time for which it
//! is kept has ended, or whoever may do so has ordered it before that.

use super::{Decided, Desk, WorkRefusal};
use crate::body::{Act, Body, Deed, ErasedContent, Place, Status};
use crate::event::Kind;
use crate::exchange::{Draft, Exchange, Records};
use crate::handling::{CaseRow, Erasure, ErasureGround, Side, Stage, Standing};
use crate::id::{DocumentId, OfficeId};

impl<R: Records> Desk<'_, R> {
    pub(super) fn erase(
        &self,
        issuer: OfficeId,
        document: DocumentId,
        erasure: &Erasure,
    ) -> Result<Decided, R::Error> {
        let open = match issuer == self.exchange.me() {
            true => self.is_sent_and_open(document)?,
            false => self.is_arrived_and_open(issuer, document)?,
        };
        if let Some(refusal) = open {
            return Ok(Err(refusal));
        }
        if self.records.erased(&issuer, &document)?.is_some() {
            return Ok(Err(WorkRefusal::AlreadyErased { document }));
        }
        match erasure.ground {
            ErasureGround::RetentionEnded { kept_until } if kept_until >= self.today => {
                return Ok(Err(WorkRefusal::StillKept { kept_until }));
            }
            ErasureGround::RetentionEnded { .. } | ErasureGround::Ordered => {}
        }
        let erasure = erasure.clone();
        Ok(Ok(vec![self.kept(Deed::Erased { issuer, document, erasure })]))
    }

    fn is_arrived_and_open(
        &self,
        from: OfficeId,
        document: DocumentId,
    ) -> Result<Option<WorkRefusal>, R::Error> {
        let held = self.records.incoming(&from, &document)?.filter(|held| held.ordinal.is_some());
        if held.is_none() {
            return Ok(Some(WorkRefusal::NotHere { from, document }));
        }
        let case = self.case(from, document, Side::Recipient)?;
        Ok(is_at_work(&case).then_some(WorkRefusal::StillAtWork { document }))
    }

    fn is_sent_and_open(&self, document: DocumentId) -> Result<Option<WorkRefusal>, R::Error> {
        let recipients = self.records.recipients(&document)?;
        if recipients.is_empty() {
            return Ok(Some(WorkRefusal::NotSent { document }));
        }
        if self.records.is_on_its_way(&document)? {
            return Ok(Some(WorkRefusal::StillOnItsWay { document }));
        }
        for to in recipients {
            let case = self.case(to, document, Side::Sender)?;
            if case.progress.awaited(Side::Sender).next().is_some() {
                return Ok(Some(WorkRefusal::StillAtWork { document }));
            }
        }
        Ok(None)
    }
}

impl Exchange {
    /// Tells a recipient that lacks attachments which of them do not come, because they are erased here.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn erased_since<R: Records>(
        &self,
        records: &R,
        to: OfficeId,
        lacking: &[Place],
    ) -> Result<Option<Draft>, R::Error> {
        let mut entries = Vec::new();
        for place in lacking {
            let row = records.sent(&to, place.incarnation, place.counter)?;
            let Some(document) = row.filter(|row| row.place.id == place.id).and_then(|row| row.document)
            else {
                continue;
            };
            if records.erased(&self.me(), &document)?.is_some() {
                entries.push(*place);
            }
        }
        let told = |entries| Body::Status(Status::Erased(ErasedContent { entries }));
        Ok((!entries.is_empty()).then(|| self.draft(vec![to], Kind::Status, &told(entries))))
    }

    /// Says again, in this life of the station, what somebody did in an earlier one.
    pub fn act_again(&self, act: Act) -> Draft {
        self.draft(Vec::new(), Kind::Act, &Body::Act(act))
    }
}

/// Whether somebody at its recipient has something left to do with a document. What was registered only to be known
/// (*để biết*) never gets further than that.
fn is_at_work(case: &CaseRow) -> bool {
    let progress = &case.progress;
    match (progress.standing(), progress.stage()) {
        (Standing::Recalled | Standing::Replaced | Standing::TakenBack, _) => false,
        (Standing::AskedBack, _) => true,
        (Standing::Current, Stage::Arrived | Stage::Assigned | Stage::InProgress) => true,
        (Standing::Current, _) if progress.open_question().is_some() => true,
        (Standing::Current, Stage::Registered) => case.open_due().is_some(),
        (Standing::Current, Stage::Refused | Stage::Finished) => false,
    }
}
