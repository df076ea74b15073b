//! One document: what is proven about it, and why it has not arrived.

use rusqlite::{OptionalExtension, params};
use schema::body::{Act, Body, Deed, Dispatch, Judgement, Place, Status, Transport, TransportCode};
use schema::document::{Attachment, DocumentType, PaperReason, Reference, Signer};
use schema::event::{RecordedEvent, Urgency};
use schema::exchange::Alarm;
use schema::handling::{CaseRow, Erasure, ErasureGround, Side};
use schema::id::{Counter, DocumentId, EventId, KeyId, OfficeId, Position, RegionId};
use schema::invariant::OVERDUE_MS;
use schema::stamp::Stamp;
use schema::time::Day;
use schema::time::Millis;
use serde::Serialize;

use super::{AmendsView, ProgressView, Reader, dispatch_of, millis};
use crate::step::Opening;
use crate::store::{Attempted, StoreError, erased, openings, records};

/// What a status rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Saved in this station's journal; proven by its own chain.
    Queued,
    /// A relay's server said it stored it; proves nothing about the recipient.
    Left,
    /// A relay refused it; the relay's own words.
    RefusedByRelay,
    /// The recipient's signed receipt: it held the document durably at that moment.
    Arrived,
    /// Sent again in a new event after this station was restored.
    Superseded,
    /// This station received it and gave its receipt.
    Received,
    /// 02: its recipient refused it.
    Refused,
    /// 03: its recipient registered it.
    Registered,
    /// 04: its recipient assigned it.
    Assigned,
    /// 05: work has begun.
    Started,
    /// 06: it is finished.
    Finished,
    /// 13: its sender asks for it back.
    AskedBack,
    /// Its sender recalled it.
    Recall,
    /// Another document updates it, if its recipient agrees.
    Update,
    /// Another document replaces it.
    Replace,
    /// It was drafted, or its draft changed.
    Drafted,
    /// Its draft was approved.
    Approved,
    /// A person signed it.
    Signed,
    /// It got number and date.
    Issued,
    /// The office's seal was put to it, and it was queued.
    Sealed,
    /// It was given up before it was sent.
    Discarded,
    /// 15: its recipient agrees to give it back.
    Agreed,
    /// 16: its recipient declines.
    Declined,
    /// Its recipient has cancelled it.
    RecallConfirmed,
    /// It was accepted although nobody could judge its signatures yet.
    AcceptedUndetermined,
    /// The leader said who works on it.
    Instruction,
    /// What was said about it before it was here was set aside.
    SetAside,
    /// Somebody gave an opinion on it.
    Opinion,
    /// Its attachments were erased here.
    Erased,
}

/// One line of a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What happened.
    pub kind: StepKind,
    /// When this station recorded it.
    pub at: Millis,
    /// Which office did it.
    pub who: OfficeId,
    /// Who in it, as it says.
    pub by: Option<String>,
    /// The event that proves it.
    pub event: Option<EventId>,
    /// What the actor says about when, for a receipt: its claimed time.
    pub claimed_at: Option<Millis>,
    /// The relay, or its words.
    pub note: Option<String>,
}

/// One recipient of a document.
#[derive(Clone, Debug, Serialize)]
pub struct RecipientView {
    /// The recipient.
    pub office: OfficeId,
    /// Its place in the channel to that recipient.
    pub place: Place,
    /// What happened, oldest first.
    pub steps: Vec<Step>,
    /// Whether the receipt is there.
    pub arrived: bool,
    /// Whether it has left: a relay has it.
    pub left: bool,
    /// Whether it is late.
    pub overdue: bool,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent next; none when it is settled.
    pub next_attempt_at: Option<Millis>,
    /// How far it is there, as its office says.
    pub progress: Option<ProgressView>,
}

/// A document with everything that is proven about it.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentView {
    /// The document.
    pub document: DocumentId,
    /// The earlier document that it updates or replaces, and what is different.
    pub amends: Option<AmendsView>,
    /// Its sender.
    pub from: OfficeId,
    /// The abstract.
    pub subject: String,
    /// Number and symbol.
    pub number: Option<String>,
    /// The date that it bears.
    pub issued_on: Option<Day>,
    /// What it is.
    pub document_type: DocumentType,
    /// Who signs it.
    pub signer: Signer,
    /// How many pages it has.
    pub pages: u16,
    /// Where it is issued.
    pub place: Option<String>,
    /// The lines under *Nơi nhận*.
    pub recipient_lines: Vec<String>,
    /// By when an answer is wanted.
    pub due: Option<Day>,
    /// The documents that it answers.
    pub responds_to: Vec<Reference>,
    /// Why paper follows.
    pub paper: Option<PaperReason>,
    /// How urgent.
    pub urgency: Urgency,
    /// When the sender says it was sent.
    pub claimed_at: Millis,
    /// Attachments: names and blobs.
    pub attachments: Vec<AttachmentView>,
    /// As it was sent: what persons signed, and their signatures.
    #[serde(skip)]
    pub dispatch: Dispatch,
    /// The event that carries it.
    pub event: EventId,
    /// The key that signed that event.
    #[serde(skip)]
    pub key: KeyId,
    /// The archive that can read it besides sender and recipients.
    pub archive: Option<OfficeId>,
    /// Recipients, for an outgoing one.
    pub recipients: Vec<RecipientView>,
    /// What happened to it here: up to the sending, for an outgoing one.
    pub steps: Vec<Step>,
    /// How far it is here, for an incoming one.
    pub progress: Option<ProgressView>,
    /// That its content is erased here.
    pub erased: Option<ErasedView>,
}

/// That the content of a document is erased here (*đã tiêu hủy nội dung*).
#[derive(Clone, Debug, Serialize)]
pub struct ErasedView {
    /// When.
    pub at: Millis,
    /// Who did it.
    pub by: String,
    /// The last day on which it had to be kept; none when it was ordered before that.
    pub kept_until: Option<Day>,
    /// The decision that says so.
    pub decision: String,
    /// Why.
    pub reason: String,
    /// The event that proves it.
    pub event: EventId,
}

/// An attachment of a document.
#[derive(Clone, Debug, Serialize)]
pub struct AttachmentView {
    /// Its name and its bytes.
    #[serde(flatten)]
    pub attachment: Attachment,
    /// Where they are.
    pub state: AttachmentState,
    /// How they are opened.
    #[serde(skip)]
    pub opening: Opening,
}

/// Where an attachment is. A document has arrived when all of its attachments are here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttachmentState {
    /// Here, and what the document says.
    Here,
    /// On its way.
    Arriving,
    /// Here, and not the file that the document names: it was not sealed as it should have been.
    Unreadable,
    /// Not here, and not on its way: it was lost, and whoever could bring it had erased it.
    Gone,
    /// The content of the document was erased here, whatever another document still needs of it.
    Erased,
}

/// Most receipts of one document that are looked into for stamps.
const SENT_STAMPS_MAX: u32 = 64;

/// A relay's word on when an event of this station was there, as its recipient passed it on.
#[derive(Clone, Debug)]
pub struct SentStamp {
    /// The event.
    pub event: RecordedEvent,
    /// The relay's word.
    pub stamp: Stamp,
    /// The receipt that brought it.
    pub receipt: EventId,
    /// When that came.
    pub received_at: Millis,
}

/// What the signatures on a document are worth, as recorded.
#[derive(Clone, Debug)]
pub struct JudgementView {
    /// What was found.
    pub judgement: Judgement,
    /// Which key signed the event.
    pub key: KeyId,
    /// When its sender says it was signed.
    pub claimed_at: Millis,
    /// When it was judged last.
    pub recorded_at: Millis,
    /// The event that records it.
    pub event: EventId,
}

/// Why something has not arrived at one recipient.
#[derive(Clone, Debug, Serialize)]
pub struct WhyView {
    /// The recipient.
    pub office: OfficeId,
    /// Its home relays are asked about by the operator; this is how far it provably got.
    pub hop: &'static str,
    /// Why it stays there, as far as this station knows: `waiting-for-line`, `refused-by-relay`,
    /// `waiting-for-recipient`.
    pub cause: &'static str,
    /// The relay's words, for a refusal.
    pub reason: Option<String>,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent next.
    pub next_attempt_at: Option<Millis>,
    /// Who must act: `nobody`, `this-office`, `relay-operator`, `recipient`.
    pub who: &'static str,
    /// Whether it is late.
    pub overdue: bool,
}

impl Reader {
    /// A document with its timeline; `None` when it is neither sent nor received here. The same document may have
    /// come from several offices (two could choose one id); the outgoing one is preferred, then the first received.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn document(&self, document: &DocumentId, now: Millis) -> Result<Option<DocumentView>, StoreError> {
        let held = "SELECT position FROM held WHERE document = ?1 ORDER BY position LIMIT 1";
        let came = || {
            self.db
                .prepare_cached(held)
                .and_then(|mut s| s.query_row([document.as_bytes()], |row| row.get::<_, i64>(0)).optional())
                .attempted("find a document")
        };
        let (outgoing, position) = match self.sent_first_at(document)? {
            Some(position) => (true, position),
            None => match came()? {
                Some(position) => (false, position),
                None => return Ok(None),
            },
        };
        let (event, _) = self.event_at(position)?;
        let Some(dispatch) = dispatch_of(&event) else {
            return Ok(None);
        };
        let erasure = self.erasure(&event.event.office, document)?;
        let (erased, erased_at): (Option<ErasedView>, Option<Position>) = erasure.unzip();
        let mut attachments = Vec::new();
        let openings = openings(event.version, &event.event);
        for (attachment, opening) in dispatch.manifest.attachments.iter().zip(openings) {
            let state = match &erased {
                Some(_) => AttachmentState::Erased,
                None => self.state_of(&opening, outgoing)?,
            };
            attachments.push(AttachmentView { attachment: attachment.clone(), state, opening });
        }
        let mut steps = match outgoing {
            true => self.steps_before_sending(document, position)?,
            false => self.received_steps(position)?,
        };
        let mut progress = None;
        if !outgoing {
            let case = self.case(&event.event.office, document, Side::Recipient)?;
            let case = case.unwrap_or_else(|| CaseRow::new(event.event.office, *document, Side::Recipient));
            steps.extend(self.steps_at(&case.steps)?);
            progress = Some((&case.progress).into());
        }
        steps.extend(self.steps_at(erased_at.as_slice())?);
        let amends = self.amended(&event.event.office, &dispatch)?;
        Ok(Some(DocumentView {
            amends,
            document: *document,
            from: event.event.office,
            subject: dispatch.manifest.subject.clone(),
            number: dispatch.number(),
            issued_on: dispatch.issued.as_ref().map(|issued| issued.on),
            document_type: dispatch.manifest.document_type,
            signer: dispatch.manifest.signer.clone(),
            pages: dispatch.manifest.pages,
            place: dispatch.manifest.place.clone(),
            recipient_lines: dispatch.manifest.recipient_lines.clone(),
            due: dispatch.manifest.due,
            responds_to: dispatch.manifest.responds_to.clone(),
            paper: dispatch.manifest.paper,
            urgency: event.event.urgency,
            claimed_at: event.event.claimed_at,
            attachments,
            dispatch,
            event: event.id,
            key: event.key,
            archive: event.event.archive,
            recipients: if outgoing { self.recipients(document, now)? } else { Vec::new() },
            steps,
            progress,
            erased,
        }))
    }

    /// That the content of a document is erased here, and the entry of the journal that says so.
    fn erasure(
        &self,
        issuer: &OfficeId,
        document: &DocumentId,
    ) -> Result<Option<(ErasedView, Position)>, StoreError> {
        let Some(row) = erased::erased(&self.db, issuer, document)? else { return Ok(None) };
        let (event, at) = self.event_at(row.position.0 as i64)?;
        let Ok(Body::Act(Act { by, deed: Deed::Erased { erasure, .. } })) =
            Body::read(event.version, &event.event)
        else {
            return Ok(None);
        };
        let Erasure { ground, decision, reason } = erasure;
        let kept_until = match ground {
            ErasureGround::RetentionEnded { kept_until } => Some(kept_until),
            ErasureGround::Ordered => None,
        };
        let view = ErasedView { at, by: by.name, kept_until, decision, reason, event: event.id };
        Ok(Some((view, row.position)))
    }

    /// What the signatures on a document that came in are worth, as it was judged last; `None` when it did not come in.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn judgement(&self, document: &DocumentId) -> Result<Option<JudgementView>, StoreError> {
        let sql = "SELECT position, judged, id FROM held WHERE document = ?1 AND judged IS NOT NULL
                   ORDER BY position LIMIT 1";
        let found = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_row([document.as_bytes()], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, EventId::new(row.get(2)?)))
                })
                .optional()
            })
            .attempted("find a judgement")?;
        let Some((position, judged, id)) = found else { return Ok(None) };
        let (held, _) = self.event_at(position)?;
        let (recorded, recorded_at) = self.event_at(judged)?;
        let Ok(Body::Verdict(verdicts)) = Body::read(recorded.version, &recorded.event) else {
            return Ok(None);
        };
        let mut entries = verdicts.entries.into_iter();
        Ok(entries.find(|entry| entry.place.id == id).map(|judgement| JudgementView {
            judgement,
            key: held.key,
            claimed_at: held.event.claimed_at,
            recorded_at,
            event: recorded.id,
        }))
    }

    /// What recipients of a document passed on with their receipts: relays' word on when an event that carries it was
    /// there, and when it came back. Nothing about it is checked.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stamps_of_sent(&self, document: &DocumentId) -> Result<Vec<SentStamp>, StoreError> {
        let read = "read the receipts of a document";
        let sql = "SELECT DISTINCT position, id, receipt FROM sent
                   WHERE document = ?1 AND receipt IS NOT NULL ORDER BY receipt LIMIT ?2";
        let receipts: Vec<(i64, EventId, i64)> = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let rows = s.query_map(params![document.as_bytes(), SENT_STAMPS_MAX], |row| {
                    Ok((row.get(0)?, EventId::new(row.get(1)?), row.get(2)?))
                })?;
                rows.collect()
            })
            .attempted(read)?;
        let mut stamps = Vec::new();
        for (sent, id, receipt) in receipts {
            let (receipt, received_at) = self.event_at(receipt)?;
            let Ok(Body::Receipt(body)) = Body::read(receipt.version, &receipt.event) else { continue };
            let stamp = body.stamped().find(|(stamped, _)| *stamped == id).map(|(_, stamp)| stamp.clone());
            let Some(stamp) = stamp else { continue };
            let (event, _) = self.event_at(sent)?;
            stamps.push(SentStamp { event, stamp, receipt: receipt.id, received_at });
        }
        Ok(stamps)
    }

    fn recipients(&self, document: &DocumentId, now: Millis) -> Result<Vec<RecipientView>, StoreError> {
        let read = "read the recipients of a document";
        let sql = "SELECT peer.office, sent.incarnation, sent.counter, sent.id, sent.position, sent.left_by,
                          sent.receipt, sent.superseded, sent.open, sent.attempts, sent.due_at
                   FROM sent JOIN peer ON peer.no = sent.peer WHERE sent.document = ?1
                   ORDER BY peer.no, sent.incarnation, sent.counter";
        let mut recipients: Vec<RecipientView> = Vec::new();
        let mut statement = self.db.prepare_cached(sql).attempted(read)?;
        let mut rows = statement.query([document.as_bytes()]).attempted(read)?;
        while let Some(row) = rows.next().attempted(read)? {
            let office = OfficeId::new(row.get(0).attempted(read)?);
            let place = Place {
                incarnation: records::incarnation(row, 1).attempted(read)?,
                counter: Counter(row.get::<_, i64>(2).attempted(read)?.unsigned_abs()),
                id: EventId::new(row.get(3).attempted(read)?),
            };
            let position: i64 = row.get(4).attempted(read)?;
            let left: Option<i64> = row.get(5).attempted(read)?;
            let receipt: Option<i64> = row.get(6).attempted(read)?;
            let superseded: bool = row.get(7).attempted(read)?;
            let open: bool = row.get(8).attempted(read)?;
            let (event, queued_at) = self.event_at(position)?;
            let mut steps = vec![Step {
                kind: StepKind::Queued,
                at: queued_at,
                who: event.event.office,
                by: None,
                event: Some(event.id),
                claimed_at: Some(event.event.claimed_at),
                note: None,
            }];
            if let Some(left) = left {
                let (status, at) = self.event_at(left)?;
                let note = status_of(&status).and_then(|status| status.region).map(RegionId::into);
                let who = status.event.office;
                steps.push(Step {
                    kind: StepKind::Left,
                    at,
                    who,
                    by: None,
                    event: Some(status.id),
                    claimed_at: None,
                    note,
                });
            }
            if let Some(receipt) = receipt {
                let (receipt, at) = self.event_at(receipt)?;
                let claimed_at = Some(receipt.event.claimed_at);
                let (who, event) = (receipt.event.office, Some(receipt.id));
                steps.push(Step {
                    kind: StepKind::Arrived,
                    at,
                    who,
                    by: None,
                    event,
                    claimed_at,
                    note: None,
                });
            }
            if superseded {
                let (who, event) = (event.event.office, None);
                let at = queued_at;
                let kind = StepKind::Superseded;
                steps.push(Step { kind, at, who, by: None, event, claimed_at: None, note: None });
            }
            let earlier = recipients.pop_if(|earlier| earlier.office == office);
            let mut all = earlier.as_ref().map_or_else(Vec::new, |earlier| earlier.steps.clone());
            all.append(&mut steps);
            let arrived = receipt.is_some() || earlier.as_ref().is_some_and(|earlier| earlier.arrived);
            let first_at = all.first().map_or(queued_at, |step| step.at);
            recipients.push(RecipientView {
                office,
                place,
                steps: all,
                arrived,
                left: left.is_some() || arrived || earlier.is_some_and(|earlier| earlier.left),
                overdue: !arrived && now.since(first_at) > OVERDUE_MS,
                attempts: row.get(9).attempted(read)?,
                next_attempt_at: open.then_some(millis(row.get(10).attempted(read)?)),
                progress: None,
            });
        }
        for recipient in &mut recipients {
            let Some(case) = self.case(&recipient.office, document, Side::Sender)? else { continue };
            recipient.steps.extend(self.steps_at(&case.steps)?);
            recipient.progress = Some((&case.progress).into());
        }
        Ok(recipients)
    }

    /// Who drafted, approved, signed, numbered and sealed a document that is sent first at `position`.
    fn steps_before_sending(&self, document: &DocumentId, position: i64) -> Result<Vec<Step>, StoreError> {
        let draft = self.draft(document)?.and_then(|draft| draft.steps);
        match draft {
            Some(steps) => Ok(steps),
            None => Ok(self.sealing(document, position)?.into_iter().collect()),
        }
    }

    /// Who put the office's seal to a document that is sent first at `position`: the entry behind it says so. None where a
    /// program sent it, or where it was given back after a loss.
    pub(super) fn sealing(&self, document: &DocumentId, position: i64) -> Result<Option<Step>, StoreError> {
        let Some((event, _)) = self.find_event_at(position + 1)? else { return Ok(None) };
        match Body::read(event.version, &event.event) {
            Ok(Body::Act(Act { deed: Deed::Sealed { document: sealed }, .. })) if sealed == *document => {
                let behind = Position((position + 1).unsigned_abs());
                Ok(self.steps_at(&[behind])?.pop())
            }
            _ => Ok(None),
        }
    }

    fn received_steps(&self, position: i64) -> Result<Vec<Step>, StoreError> {
        let receipt: Option<i64> = self
            .db
            .prepare_cached("SELECT receipt FROM held WHERE position = ?1")
            .and_then(|mut s| s.query_row([position], |row| row.get(0)))
            .attempted("read what was answered")?;
        let (event, at) = self.event_at(position)?;
        let mut steps = vec![Step {
            kind: StepKind::Queued,
            at,
            who: event.event.office,
            by: None,
            event: Some(event.id),
            claimed_at: Some(event.event.claimed_at),
            note: None,
        }];
        if let Some(receipt) = receipt {
            let (receipt, at) = self.event_at(receipt)?;
            let (who, event) = (receipt.event.office, Some(receipt.id));
            let kind = StepKind::Received;
            steps.push(Step { kind, at, who, by: None, event, claimed_at: None, note: None });
        }
        Ok(steps)
    }

    /// Why a document has not arrived, recipient by recipient; empty when it has arrived everywhere, `None` when it
    /// was not sent here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn why(&self, document: &DocumentId, now: Millis) -> Result<Option<Vec<WhyView>>, StoreError> {
        let Some(view) = self.document(document, now)?.filter(|view| !view.recipients.is_empty()) else {
            return Ok(None);
        };
        let mut answers = Vec::new();
        for recipient in view.recipients.iter().filter(|recipient| !recipient.arrived) {
            let reason = self.refusal_of(&recipient.office, &recipient.place)?;
            let (hop, cause, who) = match (&reason, recipient.left) {
                // It has a receipt from before it lost what it had.
                _ if view.erased.is_some() => ("recipient", "content-erased", "nobody"),
                (Some(_), _) => ("relay", "refused-by-relay", "relay-operator"),
                (None, false) => ("this-office", "waiting-for-line", "this-office"),
                (None, true) => ("relay", "waiting-for-recipient", "recipient"),
            };
            answers.push(WhyView {
                office: recipient.office,
                hop,
                cause,
                reason,
                attempts: recipient.attempts,
                next_attempt_at: recipient.next_attempt_at,
                who,
                overdue: recipient.overdue,
            });
        }
        Ok(Some(answers))
    }

    fn refusal_of(&self, office: &OfficeId, place: &Place) -> Result<Option<String>, StoreError> {
        for (_, alarm) in self.recent_alarms()? {
            if let Alarm::RefusedByRelay { to, incarnation, counter, reason } = alarm
                && (to, incarnation, counter) == (*office, place.incarnation, place.counter)
            {
                return Ok(Some(reason));
            }
        }
        Ok(None)
    }
}

fn status_of(recorded: &RecordedEvent) -> Option<Transport> {
    match Body::read(recorded.version, &recorded.event) {
        Ok(Body::Status(Status::Transport(status))) if status.code == TransportCode::Left => Some(status),
        _ => None,
    }
}
