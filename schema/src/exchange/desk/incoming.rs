//! A document that came in: registered or refused, assigned, worked on, finished; and what was said about one that did not.

use super::{Arrival, Decided, Desk, WorkRefusal};
use crate::body::{Assignment, Deed, SlipPart};
use crate::exchange::Records;
use crate::handling::{BookId, CaseRow, Direction, Fact, RefusalReason, Side, Stage, Standing};
use crate::id::{DocumentId, OfficeId};
use crate::trust::Outcome;

impl<R: Records> Desk<'_, R> {
    /// What counts no more is not worked on; what is asked back is answered first.
    fn require_current(case: &CaseRow) -> Result<(), WorkRefusal> {
        match case.progress.standing() {
            Standing::Current => Ok(()),
            Standing::AskedBack => Err(WorkRefusal::AskedBack),
            standing @ (Standing::TakenBack | Standing::Replaced | Standing::Recalled) => {
                Err(WorkRefusal::CountsNoMore { standing })
            }
        }
    }

    fn require_new(case: &CaseRow) -> Result<(), WorkRefusal> {
        match (case.progress.entry(), case.progress.stage()) {
            (Some(entry), _) => Err(WorkRefusal::AlreadyRegistered { entry: entry.clone() }),
            (None, Stage::Refused) => Err(WorkRefusal::AlreadyRefused),
            (None, _) => Ok(()),
        }
    }

    pub(super) fn register(
        &self,
        arrival: &Arrival,
        book: Option<&BookId>,
        undetermined: Option<&String>,
    ) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        let held = self.records.incoming(&from, &document)?.filter(|held| held.ordinal.is_some());
        let Some(held) = held else { return Ok(Err(WorkRefusal::NotHere { from, document })) };
        let case = self.arrived(arrival)?;
        if let Err(refusal) = Self::require_new(&case).and_then(|()| Self::require_current(&case)) {
            return Ok(Err(refusal));
        }
        let kept = match (held.judged.map(|judged| judged.outcome), undetermined) {
            (Some(Outcome::Valid), _) => None,
            (Some(Outcome::Invalid), _) => return Ok(Err(WorkRefusal::SignatureInvalid)),
            (_, None) => return Ok(Err(WorkRefusal::Undetermined)),
            (_, Some(reason)) => {
                let reason = reason.clone();
                Some(self.kept(Deed::AcceptedUndetermined { from, document, reason }))
            }
        };
        if let Some(other) = self.same_number(from, document, held.code_key)? {
            return Ok(Err(WorkRefusal::SameNumber { other }));
        }
        let entry = match self.next_entry(Direction::Incoming, book) {
            Ok(entry) => entry,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let registered = self.told(arrival, Fact::Registered { entry, on: self.today });
        Ok(Ok(kept.into_iter().chain([registered]).collect()))
    }

    pub(super) fn refuse(
        &self,
        arrival: &Arrival,
        reason: RefusalReason,
        words: Option<&String>,
    ) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        let held = self.records.incoming(&from, &document)?.filter(|held| held.ordinal.is_some());
        if held.is_none() {
            return Ok(Err(WorkRefusal::NotHere { from, document }));
        }
        let case = self.arrived(arrival)?;
        if let Err(refusal) = Self::require_new(&case).and_then(|()| Self::require_current(&case)) {
            return Ok(Err(refusal));
        }
        Ok(Ok(vec![self.told(arrival, Fact::Refused { reason, words: words.cloned() })]))
    }

    /// Registered, current and not finished.
    fn at_work(&self, arrival: &Arrival) -> Result<Result<CaseRow, WorkRefusal>, R::Error> {
        let case = self.arrived(arrival)?;
        if case.progress.entry().is_none() {
            let refused = case.progress.stage() == Stage::Refused;
            return Ok(Err(if refused { WorkRefusal::AlreadyRefused } else { WorkRefusal::NotRegistered }));
        }
        if case.progress.stage() == Stage::Finished {
            return Ok(Err(WorkRefusal::AlreadyFinished));
        }
        Ok(Self::require_current(&case).map(|()| case))
    }

    pub(super) fn assign(&self, arrival: &Arrival, assignment: &Assignment) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        Ok(self.at_work(arrival)?.map(|case| {
            let assignment = assignment.clone();
            let kept = self.kept(Deed::Assigned { from, document, assignment });
            // Who works on it may change; that somebody does is said once.
            let first = case.progress.stage() < Stage::Assigned;
            let told = first.then(|| self.told(arrival, Fact::Assigned));
            [kept].into_iter().chain(told).collect()
        }))
    }

    pub(super) fn opine(
        &self,
        arrival: &Arrival,
        part: SlipPart,
        opinion: &str,
    ) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        let opinion = opinion.to_owned();
        Ok(self.at_work(arrival)?.map(|_| vec![self.kept(Deed::Opined { from, document, part, opinion })]))
    }

    pub(super) fn climb(&self, arrival: &Arrival, fact: Fact) -> Result<Decided, R::Error> {
        Ok(self.at_work(arrival)?.and_then(|case| {
            if fact == Fact::Started && case.progress.stage() >= Stage::InProgress {
                return Err(WorkRefusal::AlreadyStarted);
            }
            Ok(vec![self.told(arrival, fact)])
        }))
    }

    pub(super) fn answer(
        &self,
        arrival: &Arrival,
        agreed: bool,
        words: Option<&String>,
    ) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        let held = self.records.incoming(&from, &document)?.filter(|held| held.ordinal.is_some());
        if held.is_none() {
            return Ok(Err(WorkRefusal::NotHere { from, document }));
        }
        let Some((business, kind)) = self.arrived(arrival)?.progress.open_question() else {
            return Ok(Err(WorkRefusal::NothingAsked));
        };
        let words = words.cloned();
        Ok(Ok(vec![self.told(arrival, Fact::Answered { business, kind, agreed, words })]))
    }

    /// G5: nothing that was said is dropped, so somebody says that nothing is to be done about it, and why.
    pub(super) fn set_aside(
        &self,
        with: OfficeId,
        document: DocumentId,
        reason: &str,
    ) -> Result<Decided, R::Error> {
        let mut kept = Vec::new();
        let mut before = false;
        for side in [Side::Recipient, Side::Sender] {
            let is_here = match side {
                Side::Recipient => self.records.incoming(&with, &document)?.is_some(),
                Side::Sender => self.records.recipients(&document)?.contains(&with),
            };
            let said = self.records.case(&with, &document, side)?;
            match said.filter(|case| !is_here && !case.progress.is_only_amended()) {
                Some(case) if case.set_aside.is_some() => before = true,
                Some(_) => {
                    let reason = reason.to_owned();
                    kept.push(self.kept(Deed::SetAside { with, document, side, reason }));
                }
                None => {}
            }
        }
        Ok(match kept.is_empty() {
            false => Ok(kept),
            true if before => Err(WorkRefusal::AlreadySetAside),
            true => Err(WorkRefusal::NothingSaid { document }),
        })
    }
}
