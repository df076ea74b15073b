//! Reading for people: a connection of its own, so that a long list never holds up the writer.

use std::io::Write;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use schema::blob::BlobRef;
use schema::body::{AttachmentName, Body, Dispatch, Place, Status, StatusCode};
use schema::courier::{CourierError, CourierWriter, Record};
use schema::event::{RecordedEvent, Urgency};
use schema::exchange::Alarm;
use schema::id::{BlobHash, Counter, DocumentId, EventId, Incarnation, OfficeId, Position, RegionId, Seq};
use schema::invariant::OVERDUE_MS;
use schema::pack::{PackItem, packs};
use schema::time::Millis;
use serde::Serialize;

use super::{Attempted, StoreError, records};

/// Most rows of one page.
pub const PAGE_ROWS_MAX: u32 = 200;
/// Most alarms or refused items of one answer.
const RECENT_ROWS_MAX: u32 = 1_000;

/// One page of a list; `next` is the cursor of the page after it.
#[derive(Clone, Debug, Serialize)]
pub struct Page<T> {
    /// Rows, newest first.
    pub rows: Vec<T>,
    /// Where the next page starts; `None` on the last one.
    pub next: Option<u64>,
}

/// An incoming document as the list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct IncomingView {
    /// The how-manieth document presented to this office.
    pub ordinal: u64,
    /// The document.
    pub document: DocumentId,
    /// Its sender.
    pub from: OfficeId,
    /// The abstract.
    pub subject: String,
    /// Number and symbol.
    pub number: Option<String>,
    /// How urgent.
    pub urgency: Urgency,
    /// When the sender says it was sent.
    pub claimed_at: Millis,
    /// When this station recorded its receipt.
    pub arrived_at: Millis,
    /// Attachments.
    pub attachments: usize,
    /// `false` when it was shown before earlier ones of the same sender.
    pub in_order: bool,
    /// Its event.
    pub event: EventId,
}

/// An outgoing document as the list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct OutgoingView {
    /// Its place in this station's journal; the cursor.
    pub position: u64,
    /// The document.
    pub document: DocumentId,
    /// The abstract.
    pub subject: String,
    /// Number and symbol.
    pub number: Option<String>,
    /// How urgent.
    pub urgency: Urgency,
    /// When it was saved here.
    pub queued_at: Millis,
    /// Recipients.
    pub recipients: u64,
    /// To how many it has left: a relay has it. Not proof of delivery.
    pub left: u64,
    /// From how many there is a receipt.
    pub arrived: u64,
    /// From how many there is none although it is late.
    pub overdue: u64,
}

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
}

/// One line of a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// What happened.
    pub kind: StepKind,
    /// When this station recorded it.
    pub at: Millis,
    /// Who did it.
    pub who: OfficeId,
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
}

/// A document with everything that is proven about it.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentView {
    /// The document.
    pub document: DocumentId,
    /// Its sender.
    pub from: OfficeId,
    /// The abstract.
    pub subject: String,
    /// Number and symbol.
    pub number: Option<String>,
    /// Type.
    pub document_type: Option<String>,
    /// How urgent.
    pub urgency: Urgency,
    /// When the sender says it was sent.
    pub claimed_at: Millis,
    /// Attachments: names and blobs.
    pub attachments: Vec<AttachmentView>,
    /// The event that carries it.
    pub event: EventId,
    /// Recipients, for an outgoing one.
    pub recipients: Vec<RecipientView>,
    /// What happened to it here, for an incoming one.
    pub steps: Vec<Step>,
}

/// An attachment of a document.
#[derive(Clone, Debug, Serialize)]
pub struct AttachmentView {
    /// Its name.
    #[serde(flatten)]
    pub name: AttachmentName,
    /// Its bytes.
    #[serde(flatten)]
    pub blob: BlobRef,
    /// Whether they are here.
    pub complete: bool,
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

/// The station at a glance.
#[derive(Clone, Debug, Serialize)]
pub struct StatusView {
    /// This office.
    pub office: OfficeId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The last position of its chain.
    pub seq: Seq,
    /// The event there.
    pub head: Option<EventId>,
    /// Journal entries.
    pub journal: u64,
    /// Correspondents.
    pub correspondents: u64,
    /// Documents presented.
    pub incoming: u64,
    /// Documents sent.
    pub outgoing: u64,
    /// Sends without a receipt.
    pub open: u64,
    /// Of those, how many no relay has stored yet.
    pub queued: u64,
    /// When the oldest of them was saved.
    pub oldest_open_at: Option<Millis>,
    /// Sends that are late.
    pub overdue: u64,
    /// Attachments that are awaited.
    pub awaited_attachments: u64,
    /// Refused items kept.
    pub quarantined: u64,
    /// Alarms.
    pub alarms: u64,
    /// Size of the store, in bytes.
    pub store_bytes: u64,
}

/// An alarm as the list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AlarmView {
    /// When it was recorded.
    pub at: Millis,
    /// `fork`, `office-restored`, `restored`, `lost-here`, `refused-by-relay`, `body-refused`.
    pub kind: &'static str,
    /// The office it is about.
    pub office: Option<OfficeId>,
    /// Details, in the field's words.
    pub detail: String,
}

/// A refused item as the list shows it; its bytes stay in the store.
#[derive(Clone, Debug, Serialize)]
pub struct QuarantineView {
    /// Its number.
    pub no: u64,
    /// When.
    pub at: Millis,
    /// Through which relay, or `courier`.
    pub source: String,
    /// Why.
    pub reason: String,
    /// How large, in bytes.
    pub bytes: u64,
}

/// Reads a station's store beside its writer.
pub struct Reader {
    db: Connection,
}

fn millis(value: i64) -> Millis {
    Millis(value.unsigned_abs())
}

/// A sum over no rows is null.
fn count_at(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, Option<i64>>(column)?.unwrap_or(0).unsigned_abs())
}

fn dispatch_of(recorded: &RecordedEvent) -> Option<Dispatch> {
    match Body::read(recorded.version, &recorded.event) {
        Ok(Body::Dispatch(dispatch)) => Some(dispatch),
        _ => None,
    }
}

fn recorded(position: i64, bytes: &[u8]) -> Result<RecordedEvent, StoreError> {
    RecordedEvent::read(bytes).map_err(|source| StoreError::Damaged { position, source })
}

impl Reader {
    /// Opens a store for reading.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).attempted("open the file for reading")?;
        db.busy_timeout(std::time::Duration::from_secs(5)).attempted("set the busy time-out")?;
        db.set_prepared_statement_cache_capacity(32);
        db.pragma_update(None, "cache_size", -4096).attempted("bound the page cache")?;
        Ok(Self { db })
    }

    fn count(&self, sql: &str) -> Result<u64, StoreError> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row([], |row| row.get::<_, i64>(0)))
            .map(i64::unsigned_abs)
            .attempted("count rows")
    }

    fn event_at(&self, position: i64) -> Result<(RecordedEvent, Millis), StoreError> {
        let (bytes, at) = self
            .db
            .prepare_cached("SELECT bytes, recorded_at FROM journal WHERE position = ?1")
            .and_then(|mut s| s.query_row([position], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?))))
            .attempted("read a journal entry")?;
        Ok((recorded(position, &bytes)?, millis(at)))
    }

    /// Incoming documents, newest first, before the one with ordinal `before`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn incoming(&self, before: Option<u64>, rows: u32) -> Result<Page<IncomingView>, StoreError> {
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let sql = "SELECT held.ordinal, held.in_order, held.position, journal.bytes, answer.recorded_at
                   FROM held JOIN journal USING (position) JOIN journal AS answer ON answer.position = held.receipt
                   WHERE held.ordinal < ?1 ORDER BY held.ordinal DESC LIMIT ?2";
        let mut list = Vec::new();
        let read = "list incoming documents";
        let mut statement = self.db.prepare_cached(sql).attempted(read)?;
        let before = before.map_or(i64::MAX, |before| before as i64);
        let mut found = statement.query(params![before, limit]).attempted(read)?;
        while let Some(row) = found.next().attempted(read)? {
            let (position, bytes): (i64, Vec<u8>) =
                (row.get(2).attempted(read)?, row.get(3).attempted(read)?);
            let event = recorded(position, &bytes)?;
            let Some(dispatch) = dispatch_of(&event) else {
                continue;
            };
            list.push(IncomingView {
                ordinal: row.get::<_, i64>(0).attempted(read)?.unsigned_abs(),
                document: dispatch.document,
                from: event.event.office,
                subject: dispatch.subject,
                number: dispatch.number,
                urgency: event.event.urgency,
                claimed_at: event.event.claimed_at,
                arrived_at: millis(row.get(4).attempted(read)?),
                attachments: dispatch.attachments.len(),
                in_order: row.get(1).attempted(read)?,
                event: event.id,
            });
        }
        let next = list.last().map(|last| last.ordinal).filter(|_| list.len() == limit as usize);
        Ok(Page { rows: list, next })
    }

    /// Outgoing documents, newest first, before journal position `before`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn outgoing(
        &self,
        before: Option<u64>,
        rows: u32,
        now: Millis,
    ) -> Result<Page<OutgoingView>, StoreError> {
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let sql = "SELECT outgoing.position, journal.bytes, journal.recorded_at, outgoing.document
                   FROM outgoing JOIN journal USING (position)
                   WHERE outgoing.position < ?1 ORDER BY outgoing.position DESC LIMIT ?2";
        let read = "list outgoing documents";
        let mut list = Vec::new();
        let mut statement = self.db.prepare_cached(sql).attempted(read)?;
        let before = before.map_or(i64::MAX, |before| before as i64);
        let mut found = statement.query(params![before, limit]).attempted(read)?;
        while let Some(row) = found.next().attempted(read)? {
            let position: i64 = row.get(0).attempted(read)?;
            let bytes: Vec<u8> = row.get(1).attempted(read)?;
            let event = recorded(position, &bytes)?;
            let Some(dispatch) = dispatch_of(&event) else {
                continue;
            };
            let queued_at = millis(row.get(2).attempted(read)?);
            let [recipients, left, arrived] = self.settled(&dispatch.document)?;
            let late = now.since(queued_at) > OVERDUE_MS;
            list.push(OutgoingView {
                position: position.unsigned_abs(),
                document: dispatch.document,
                subject: dispatch.subject,
                number: dispatch.number,
                urgency: event.event.urgency,
                queued_at,
                recipients,
                left,
                arrived,
                overdue: if late { recipients - arrived } else { 0 },
            });
        }
        let next = list.last().map(|last| last.position).filter(|_| list.len() == limit as usize);
        Ok(Page { rows: list, next })
    }

    /// Recipients of a document, to how many it has left, and how many have answered.
    fn settled(&self, document: &DocumentId) -> Result<[u64; 3], StoreError> {
        // A recipient may have several rows: one per incarnation that sent the document again.
        let sql = "SELECT count(*), sum(l), sum(a) FROM (
                       SELECT max(left_by IS NOT NULL OR receipt IS NOT NULL) AS l, max(receipt IS NOT NULL) AS a
                       FROM sent WHERE document = ?1 GROUP BY peer)";
        let counts = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_row([document.as_bytes()], |row| {
                    let count = |column| count_at(row, column);
                    Ok([count(0)?, count(1)?, count(2)?])
                })
            })
            .attempted("count the receipts of a document")?;
        Ok(counts)
    }

    /// A document with its timeline; `None` when it is neither sent nor received here. The same document may have
    /// come from several offices (two could choose one id); the outgoing one is preferred, then the first received.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn document(&self, document: &DocumentId, now: Millis) -> Result<Option<DocumentView>, StoreError> {
        let find = "find a document";
        let sent = "SELECT position FROM outgoing WHERE document = ?1";
        let held = "SELECT position FROM held WHERE document = ?1 ORDER BY position LIMIT 1";
        let position = |sql: &str| {
            self.db
                .prepare_cached(sql)
                .and_then(|mut s| s.query_row([document.as_bytes()], |row| row.get::<_, i64>(0)).optional())
                .attempted(find)
        };
        let (outgoing, position) = match position(sent)? {
            Some(position) => (true, position),
            None => match position(held)? {
                Some(position) => (false, position),
                None => return Ok(None),
            },
        };
        let (event, _) = self.event_at(position)?;
        let Some(dispatch) = dispatch_of(&event) else {
            return Ok(None);
        };
        let mut attachments = Vec::new();
        for (name, blob) in dispatch.attachments.into_iter().zip(&event.event.blobs) {
            attachments.push(AttachmentView { name, blob: *blob, complete: self.has_blob(&blob.hash)? });
        }
        Ok(Some(DocumentView {
            document: *document,
            from: event.event.office,
            subject: dispatch.subject,
            number: dispatch.number,
            document_type: dispatch.document_type,
            urgency: event.event.urgency,
            claimed_at: event.event.claimed_at,
            attachments,
            event: event.id,
            recipients: if outgoing { self.recipients(document, now)? } else { Vec::new() },
            steps: if outgoing { Vec::new() } else { self.received_steps(position)? },
        }))
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
                    event: Some(status.id),
                    claimed_at: None,
                    note,
                });
            }
            if let Some(receipt) = receipt {
                let (receipt, at) = self.event_at(receipt)?;
                let claimed_at = Some(receipt.event.claimed_at);
                let (who, event) = (receipt.event.office, Some(receipt.id));
                steps.push(Step { kind: StepKind::Arrived, at, who, event, claimed_at, note: None });
            }
            if superseded {
                let (who, event) = (event.event.office, None);
                let at = queued_at;
                steps.push(Step { kind: StepKind::Superseded, at, who, event, claimed_at: None, note: None });
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
            });
        }
        Ok(recipients)
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
            event: Some(event.id),
            claimed_at: Some(event.event.claimed_at),
            note: None,
        }];
        if let Some(receipt) = receipt {
            let (receipt, at) = self.event_at(receipt)?;
            let (who, event) = (receipt.event.office, Some(receipt.id));
            steps.push(Step { kind: StepKind::Received, at, who, event, claimed_at: None, note: None });
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

    fn recent_alarms(&self) -> Result<Vec<(Millis, Alarm)>, StoreError> {
        let sql = "SELECT alarm.bytes, journal.recorded_at FROM alarm JOIN journal USING (position)
                   ORDER BY alarm.no DESC LIMIT ?1";
        let mut alarms = Vec::new();
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let mut rows = statement.query([RECENT_ROWS_MAX])?;
                while let Some(row) = rows.next()? {
                    let (bytes, at): (Vec<u8>, i64) = (row.get(0)?, row.get(1)?);
                    alarms.extend(minicbor::decode(&bytes).ok().map(|alarm| (millis(at), alarm)));
                }
                Ok(())
            })
            .attempted("list alarms")?;
        Ok(alarms)
    }

    /// The newest alarms.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn alarms(&self) -> Result<Vec<AlarmView>, StoreError> {
        Ok(self.recent_alarms()?.into_iter().map(|(at, alarm)| alarm_view(at, &alarm)).collect())
    }

    /// The newest refused items.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn quarantine(&self) -> Result<Vec<QuarantineView>, StoreError> {
        let sql = "SELECT no, at, source, reason, length(bytes) FROM quarantine ORDER BY no DESC LIMIT ?1";
        let mut items = Vec::new();
        self.db
            .prepare_cached(sql)
            .and_then(|mut statement| {
                let mut rows = statement.query([RECENT_ROWS_MAX])?;
                while let Some(row) = rows.next()? {
                    items.push(QuarantineView {
                        no: row.get::<_, i64>(0)?.unsigned_abs(),
                        at: millis(row.get(1)?),
                        source: row.get(2)?,
                        reason: row.get(3)?,
                        bytes: row.get::<_, i64>(4)?.unsigned_abs(),
                    });
                }
                Ok(())
            })
            .attempted("list refused items")?;
        Ok(items)
    }

    /// The station at a glance.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn status(&self, now: Millis) -> Result<StatusView, StoreError> {
        let read = "read the status";
        let office: [u8; 16] =
            self.db.query_row("SELECT office FROM station", [], |row| row.get(0)).attempted(read)?;
        let newest =
            "SELECT position, bytes FROM journal WHERE class = 0 ORDER BY incarnation DESC, seq DESC LIMIT 1";
        let head = self
            .db
            .query_row(newest, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)))
            .optional()
            .attempted(read)?
            .map(|(position, bytes)| recorded(position, &bytes))
            .transpose()?;
        let open = "FROM sent JOIN journal USING (position) WHERE sent.open = 1 AND sent.receipt IS NULL
                    AND sent.kind NOT IN (6, 7)";
        let (open, queued, oldest, overdue) = self
            .db
            .query_row(
                &format!(
                    "SELECT count(*), sum(left_by IS NULL), min(recorded_at), sum(recorded_at < ?1) {open}"
                ),
                [now.0.saturating_sub(OVERDUE_MS) as i64],
                |row| {
                    let count = |column| count_at(row, column);
                    Ok((count(0)?, count(1)?, row.get::<_, Option<i64>>(2)?.map(millis), count(3)?))
                },
            )
            .attempted(read)?;
        Ok(StatusView {
            office: OfficeId::new(office),
            incarnation: head.as_ref().map_or(Incarnation::FIRST, |head| head.event.incarnation),
            seq: head.as_ref().map_or(Seq(0), |head| head.event.seq),
            head: head.map(|head| head.id),
            journal: self.count("SELECT coalesce(max(position), 0) FROM journal")?,
            correspondents: self.count("SELECT count(*) FROM peer")?,
            incoming: self.count("SELECT presented FROM station")?,
            outgoing: self.count("SELECT count(*) FROM outgoing")?,
            open,
            queued,
            oldest_open_at: oldest,
            overdue,
            awaited_attachments: self.count("SELECT count(DISTINCT blob) FROM awaited")?,
            quarantined: self.count("SELECT count(*) FROM quarantine")?,
            alarms: self.count("SELECT count(*) FROM alarm")?,
            store_bytes: self
                .count("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")?,
        })
    }

    /// Whether an attachment is here completely.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn has_blob(&self, hash: &BlobHash) -> Result<bool, StoreError> {
        self.db
            .prepare_cached("SELECT 1 FROM blob WHERE hash = ?1 AND complete = 1")
            .and_then(|mut s| s.exists([hash.as_bytes()]))
            .attempted("look up an attachment")
    }

    /// One chunk of a complete attachment.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn chunk(&self, hash: &BlobHash, index: u32) -> Result<Option<Vec<u8>>, StoreError> {
        super::blobs::chunk(&self.db, hash, index)
    }

    /// Writes everything without a receipt into a courier file: events, then the attachments they name. Returns how
    /// many events it holds.
    ///
    /// # Errors
    /// When the store cannot be read or the file cannot be written.
    pub fn export<W: Write>(&self, to: Option<&OfficeId>, file: W) -> Result<(u64, W), ExportError> {
        const BATCH: i64 = 256;
        let sql = "SELECT DISTINCT sent.position, journal.bytes FROM sent JOIN journal USING (position)
                   JOIN peer ON peer.no = sent.peer
                   WHERE sent.open = 1 AND sent.position > ?1 AND (?2 IS NULL OR peer.office = ?2)
                   ORDER BY sent.position LIMIT ?3";
        let mut writer = CourierWriter::new(file)?;
        let (mut events, mut after) = (0, 0);
        loop {
            let mut batch: Vec<(i64, Vec<u8>)> = Vec::new();
            self.db
                .prepare_cached(sql)
                .and_then(|mut statement| {
                    let to = to.map(|office| *office.as_bytes());
                    let mut rows = statement.query(params![after, to, BATCH])?;
                    while let Some(row) = rows.next()? {
                        batch.push((row.get(0)?, row.get(1)?));
                    }
                    Ok(())
                })
                .attempted("list what is open")?;
            let Some((last, _)) = batch.last() else { break };
            after = *last;
            events += batch.len() as u64;
            let mut blobs = Vec::new();
            for (position, bytes) in &batch {
                blobs.extend(recorded(*position, bytes)?.event.blobs);
            }
            for pack in packs(batch.iter().map(|(_, bytes)| PackItem::new(0, bytes))) {
                writer.add(&Record::Pack(pack))?;
            }
            blobs.sort_unstable();
            blobs.dedup();
            for blob in blobs {
                for index in 0..blob.chunks() {
                    let Some(bytes) = self.chunk(&blob.hash, index)? else {
                        break;
                    };
                    writer.add(&Record::Chunk { blob, index, bytes: bytes.into() })?;
                }
            }
        }
        Ok((events, writer.finish()?))
    }

    /// Bytes of an event, for whoever wants to check it elsewhere.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn journal(&self, from: Position, limit: u32) -> Result<Vec<super::JournalEntry>, StoreError> {
        super::records::journal(&self.db, from, limit)
    }
}

/// Why a courier file was not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file cannot be written.
    #[error(transparent)]
    Courier(#[from] CourierError),
}

fn status_of(recorded: &RecordedEvent) -> Option<Status> {
    match Body::read(recorded.version, &recorded.event) {
        Ok(Body::Status(status)) if status.code == StatusCode::Left => Some(status),
        _ => None,
    }
}

fn alarm_view(at: Millis, alarm: &Alarm) -> AlarmView {
    let (kind, office, detail) = match alarm {
        Alarm::Fork { office, incarnation, counter, held, other } => {
            let detail =
                format!("incarnation {incarnation}, counter {counter}: {held} is held, {other} came too");
            ("fork", Some(*office), detail)
        }
        Alarm::OfficeRestored { office, incarnation, lost_there } => {
            let detail = format!("incarnation {incarnation}; {lost_there} of its events are held here only");
            ("office-restored", Some(*office), detail)
        }
        Alarm::Restored { incarnation } => ("restored", None, format!("incarnation {incarnation}")),
        Alarm::LostHere { office, incarnation, counter } => {
            let detail =
                format!("it holds incarnation {incarnation} up to counter {counter}, which is lost here");
            ("lost-here", Some(*office), detail)
        }
        Alarm::GivenBack { office, incarnation, events } => {
            let detail = format!("{events} events of incarnation {incarnation} that were lost here");
            ("given-back", Some(*office), detail)
        }
        Alarm::RefusedByRelay { to, incarnation, counter, reason } => {
            let detail = format!("incarnation {incarnation}, counter {counter}: {reason}");
            ("refused-by-relay", Some(*to), detail)
        }
        Alarm::BodyRefused { from, id, reason } => {
            ("body-refused", Some(*from), format!("event {id}: {reason}"))
        }
    };
    AlarmView { at, kind, office, detail }
}
