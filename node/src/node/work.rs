//! What people ask the station to do: decided, recorded, answered.

use schema::blob::{BLOBS_MAX, Enclosures};
use schema::body::{Act, Body, Deed, Dispatch, DocumentFact, Status};
use schema::document::{Code, Manifest};
use schema::event::{Event, EventError, Kind, VerifiedEvent};
use schema::exchange::{self, Command, Context, Draft, Records as _, Refusal, WorkRefusal};
use schema::handling::{self, Fact};
use schema::id::{FileHash, Position};
use schema::time::Millis;
use schema::trust::Outcome;

use super::{Node, StepError, Work};
use crate::step::{Answer, Done};

impl Node {
    pub(super) fn command(
        &mut self,
        command: &Command,
        now: Millis,
        work: &mut Work,
    ) -> Result<Answer, StepError> {
        match command {
            Command::Dispatch { dispatch, .. } => self.dispatch(command, dispatch, now, work),
            Command::HandOver { .. } => self.hand_over(command, now, work),
            Command::Work { work: asked, .. } => self.work(command, asked, now, work),
        }
    }

    /// What would become of a command, as far as the rules go.
    pub(super) fn rehearse(&self, command: &Command, now: Millis) -> Result<Answer, StepError> {
        Ok(match self.decide(command, now)? {
            Ok(drafts) => {
                let recipients = drafts.iter().map(|draft| draft.to.len()).sum();
                Answer::Done(Done { recipients, ..Done::default() })
            }
            Err(refusal) => Answer::Refused(refusal),
        })
    }

    fn decide(&self, command: &Command, now: Millis) -> Result<Result<Vec<Draft>, Refusal>, StepError> {
        let enclosures = &self.enclosures(command)?;
        let context = Context { directory: self.registry.directory(), rules: &self.rules, enclosures, now };
        Ok(exchange::decide(&self.exchange, &self.store, context, command)?)
    }

    /// The attachments of the document that the command is about, as they were sealed here.
    fn enclosures(&self, command: &Command) -> Result<Enclosures, StepError> {
        let named = |manifest: &Manifest| manifest.attachments.iter().map(|a| a.file.hash).collect();
        let files: Vec<FileHash> = match command {
            Command::Dispatch { dispatch, .. } => named(&dispatch.manifest),
            Command::Work { work: exchange::Work::Draft { manifest, .. }, .. } => named(manifest),
            Command::Work {
                work: exchange::Work::Issue { document, .. } | exchange::Work::Send { document },
                ..
            } => {
                let manifest = self.store.drafted(document)?.and_then(|row| row.manifest);
                manifest.as_ref().map(named).unwrap_or_default()
            }
            Command::HandOver { .. } | Command::Work { .. } => Vec::new(),
        };
        let mut enclosures = Enclosures::new();
        for file in files.into_iter().take(BLOBS_MAX) {
            enclosures.extend(self.store.enclosure(&file)?.map(|enclosure| (file, enclosure)));
        }
        Ok(enclosures)
    }

    /// Somebody works on documents.
    fn work(
        &mut self,
        command: &Command,
        asked: &exchange::Work,
        now: Millis,
        work: &mut Work,
    ) -> Result<Answer, StepError> {
        if let Some(refusal) = self.refused_signature(asked, now)? {
            return Ok(Answer::Refused(refusal));
        }
        let drafts = match self.decide(command, now)? {
            Ok(drafts) => drafts,
            // Whoever has had no answer and asks again gets the one that was meant for him.
            Err(Refusal::Work(WorkRefusal::DoneBefore { line, position })) => {
                let code = self.code_given_at(position)?;
                return Ok(Answer::Done(Done { line: Some(line), code, ..Done::default() }));
            }
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        if let Some(refusal) = self.cannot_leave(&drafts) {
            return Ok(Answer::Refused(refusal));
        }
        let mut done = Done::default();
        for draft in &drafts {
            let event = match self.record(draft, now, work) {
                Ok(event) => event,
                // The first draft is the largest: when it fits, all do, and nothing was recorded.
                Err(StepError::Seal(EventError::TooLarge { .. })) if done == Done::default() => {
                    return Ok(Answer::Refused(Refusal::TooLarge));
                }
                Err(error) => return Err(error),
            };
            done.recipients += draft.to.len();
            done.line = done.line.or_else(|| line_of(&event));
            done.code = done.code.or_else(|| code_of(event.version(), event.event()));
        }
        Ok(Answer::Done(done))
    }

    /// Sends the office's sealing keys to its successor, for which they were sealed already.
    fn hand_over(&mut self, command: &Command, now: Millis, work: &mut Work) -> Result<Answer, StepError> {
        let drafts = match self.decide(command, now)? {
            Ok(drafts) => drafts,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        for draft in &drafts {
            self.record(draft, now, work)?;
        }
        Ok(Answer::Done(Done { recipients: 1, ..Done::default() }))
    }

    /// Number and symbol that an earlier entry of the journal has given.
    fn code_given_at(&self, position: Position) -> Result<Option<Code>, StepError> {
        let recorded = self.store.recorded_at(position)?;
        Ok(code_of(recorded.version, &recorded.event))
    }

    fn dispatch(
        &mut self,
        command: &Command,
        dispatch: &Dispatch,
        now: Millis,
        work: &mut Work,
    ) -> Result<Answer, StepError> {
        if let Some(refusal) = self.invalid_signature(dispatch, now) {
            return Ok(Answer::Refused(refusal));
        }
        let drafts = match self.decide(command, now)? {
            Ok(drafts) => drafts,
            Err(refusal) => return Ok(Answer::Refused(refusal)),
        };
        if let Some(refusal) = self.cannot_leave(&drafts) {
            return Ok(Answer::Refused(refusal));
        }
        let mut recipients = 0;
        for draft in &drafts {
            match self.record(draft, now, work) {
                // Whoever is told to cancel an earlier document is no recipient of this one.
                Ok(_) if draft.kind != Kind::Dispatch => {}
                Ok(_) => recipients += draft.to.len(),
                // The first draft has the most recipients: when it fits, all do, and nothing was recorded.
                Err(StepError::Seal(EventError::TooLarge { .. })) if recipients == 0 => {
                    return Ok(Answer::Refused(Refusal::TooLarge));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Answer::Dispatched { document: dispatch.manifest.document, recipients })
    }

    /// A signature of a person that is invalid by now: when it is recorded, and again before the office numbers and seals.
    fn refused_signature(&self, asked: &exchange::Work, now: Millis) -> Result<Option<Refusal>, StepError> {
        let (document, added) = match asked {
            exchange::Work::Sign { document, signature } => (document, Some(signature)),
            exchange::Work::Issue { document, .. } | exchange::Work::Send { document } => (document, None),
            _ => return Ok(None),
        };
        let Some(row) = self.store.drafted(document)? else { return Ok(None) };
        let Some(manifest) = row.manifest else { return Ok(None) };
        let signatures = match added {
            Some(added) => vec![added.clone()],
            None => row.signatures,
        };
        Ok(self.invalid_signature(&Dispatch { signatures, ..Dispatch::unsigned(manifest) }, now))
    }

    /// Tells senders that what they recalled is cancelled here.
    pub(super) fn confirm_recalls(&mut self, now: Millis, work: &mut Work) -> Result<(), StepError> {
        if !std::mem::take(&mut work.recalls) {
            return Ok(());
        }
        // Each round confirms what it has found, and so finds other ones, or none.
        let mut confirmed = true;
        while std::mem::take(&mut confirmed) {
            for (from, document) in self.store.recalls_to_confirm()? {
                for draft in self.exchange.confirm_recalls(&self.store, from, document)? {
                    self.record(&draft, now, work)?;
                    confirmed = true;
                }
            }
        }
        work.recalls = false;
        Ok(())
    }

    /// Why drafts would never reach their recipients: that is said before they are recorded.
    fn cannot_leave(&self, drafts: &[Draft]) -> Option<Refusal> {
        if let Some(office) = self.without_sealing_key(drafts) {
            return Some(Refusal::NoSealingKey { office });
        }
        let too_large = |draft: &Draft, office, max| {
            let found = draft.blobs.iter().map(|blob| blob.length).find(|length| *length > max)?;
            Some(Refusal::AttachmentTooLarge { office, found, max })
        };
        let relays_max = self.blob_bytes_max();
        drafts.iter().filter(|draft| !draft.blobs.is_empty()).find_map(|draft| {
            let at_relays = relays_max.and_then(|max| too_large(draft, None, max));
            at_relays.or_else(|| {
                draft.to.iter().find_map(|office| {
                    let (_, takes) = self.registry.sealing_terms(office)?;
                    too_large(draft, Some(*office), takes?)
                })
            })
        })
    }

    /// The first signature of a person that would be invalid everywhere. One that nobody can tell about yet leaves.
    fn invalid_signature(&self, dispatch: &Dispatch, now: Millis) -> Option<Refusal> {
        let judged = self.registry.judge_persons(dispatch, &[], now);
        let mut judged = judged.into_iter().map(|person| person.verdict).enumerate();
        let (n, why) = judged.find(|(_, verdict)| verdict.outcome() == Outcome::Invalid)?;
        Some(Refusal::SignatureInvalid { number: n + 1, why: Box::new(why) })
    }
}

/// The line of a register that an event of this station has used.
fn line_of(event: &VerifiedEvent) -> Option<handling::Entry> {
    match Body::read(event.version(), event.event()) {
        Ok(Body::Status(Status::Document(DocumentFact { fact: Fact::Registered { entry, .. }, .. }))) => {
            Some(entry)
        }
        Ok(Body::Act(Act { deed, .. })) => match deed {
            Deed::PaperRegistered { entry, .. }
            | Deed::NumberCancelled { entry, .. }
            | Deed::HighestStated { entry, .. } => Some(entry),
            Deed::Issued { issue, .. } | Deed::PaperIssued { issue, .. } => issue.line,
            _ => None,
        },
        _ => None,
    }
}

/// Number and symbol that an event of this station has given.
fn code_of(version: u8, event: &Event) -> Option<Code> {
    match Body::read(version, event) {
        Ok(Body::Act(Act { deed: Deed::Issued { issue, .. } | Deed::PaperIssued { issue, .. }, .. })) => {
            Some(issue.code)
        }
        _ => None,
    }
}
