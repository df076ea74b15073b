//! Registers (*sổ đăng ký văn bản*) as people read and print them: the columns of Decree 30/2020 appendix IV.

use rusqlite::{OptionalExtension, ToSql, params};
use schema::body::{Act, Body, Deed, Dispatch, DocumentFact, Issue, IssuedPaper, PaperDocument, Status};
use schema::document::{DocumentType, Manifest};
use schema::event::RecordedEvent;
use schema::handling::{BookId, Books, Direction, DraftStage, Entry, Fact, Side, Standing};
use schema::id::{DocumentId, OfficeId};
use schema::time::{Day, Millis};
use serde::Serialize;

use super::{PAGE_ROWS_MAX, Page, Reader, dispatch_of, entry_columns, millis, recorded_with};
use crate::store::handled::{direction_number, line};
use crate::store::{Attempted, StoreError};

/// A register and year in which a number was used.
#[derive(Clone, Debug, Serialize)]
pub struct BookView {
    /// Which way its documents go.
    pub direction: Direction,
    /// The register.
    pub book: BookId,
    /// The year.
    pub year: i16,
    /// The highest number that is known here.
    pub highest: u32,
}

/// A line of a register, as its columns want it; what a direction does not have is left out.
#[derive(Clone, Debug, Serialize)]
pub struct RegisterRow {
    /// *Số đến*.
    pub number: u32,
    /// The same as it is written.
    pub written: String,
    /// *Ngày đến*: the day it was registered.
    pub arrived_on: Option<Day>,
    /// *Tác giả*: the office that sent it.
    pub from: Option<OfficeId>,
    /// *Tác giả* of a paper document.
    pub author: Option<String>,
    /// *Số, ký hiệu*.
    pub code: Option<String>,
    /// *Ngày tháng văn bản*.
    pub issued_on: Option<Day>,
    /// *Tên loại*.
    pub document_type: Option<DocumentType>,
    /// *Trích yếu*.
    pub subject: Option<String>,
    /// *Đơn vị hoặc người nhận*.
    pub lead: Option<String>,
    /// *Ngày chuyển*: when it was assigned.
    pub handed_on: Option<Day>,
    /// *Người ký* of an outgoing document.
    pub signer: Option<String>,
    /// *Đơn vị, người nhận bản lưu* of an outgoing document on paper.
    pub kept_by: Option<String>,
    /// *Số lượng bản* of an outgoing document on paper.
    pub copies: Option<u16>,
    /// *Nơi nhận* of an outgoing document, as it is printed.
    pub recipient_lines: Vec<String>,
    /// To how many offices it was sent.
    pub recipients: Option<u64>,
    /// *Ngày chuyển* of an outgoing document: when it was sealed and queued.
    pub sent_on: Option<Day>,
    /// Who registered it.
    pub by: Option<String>,
    /// What became of it: recalled, taken back. The line stays.
    pub standing: Option<Standing>,
    /// Why the number was cancelled.
    pub cancelled: Option<String>,
    /// The document, for an electronic one.
    pub document: Option<DocumentId>,
    /// When this station recorded it.
    pub recorded_at: Millis,
}

impl RegisterRow {
    pub(crate) fn new(entry: &Entry, recorded_at: Millis) -> Self {
        Self {
            number: entry.number,
            written: entry.to_string(),
            arrived_on: None,
            from: None,
            author: None,
            code: None,
            issued_on: None,
            document_type: None,
            subject: None,
            lead: None,
            handed_on: None,
            signer: None,
            kept_by: None,
            copies: None,
            recipient_lines: Vec::new(),
            recipients: None,
            sent_on: None,
            by: None,
            standing: None,
            cancelled: None,
            document: None,
            recorded_at,
        }
    }

    /// The day on which it was written into the register, as far as the line says it.
    pub fn day(&self) -> Day {
        self.arrived_on.or(self.issued_on).unwrap_or_else(|| Day::in_vietnam(self.recorded_at))
    }

    fn with_paper(self, paper: PaperDocument) -> Self {
        let PaperDocument { author, code, issued_on, document_type, subject } = paper;
        Self {
            author: Some(author),
            code: Some(code),
            issued_on: Some(issued_on),
            document_type: Some(document_type),
            subject: Some(subject),
            ..self
        }
    }
}

impl RegisterRow {
    fn with_issued_paper(self, issue: &Issue, paper: IssuedPaper) -> Self {
        let IssuedPaper { document_type, subject, signer, recipient_lines, copies, kept_by, unit: _ } = paper;
        Self {
            code: Some(issue.code.to_string()),
            issued_on: Some(issue.on),
            document_type: Some(document_type),
            subject: Some(subject),
            signer: Some(signer),
            recipient_lines,
            copies: Some(copies),
            kept_by,
            ..self
        }
    }

    fn with_manifest(self, manifest: Manifest) -> Self {
        let Manifest { document_type, subject, signer, recipient_lines, .. } = manifest;
        let prefix = signer.capacity.prefix();
        let title = format!("{prefix} {}", signer.position);
        Self {
            document_type: Some(document_type),
            subject: Some(subject),
            signer: Some(format!("{}, {}", signer.name, title.trim())),
            recipient_lines,
            ..self
        }
    }
}

const LINE: &str = "SELECT line.book, line.year, line.number, line.position, journal.bytes, journal.content,
            journal.recorded_at
     FROM line JOIN journal USING (position)
     WHERE line.direction = ?1 AND line.book = ?2 AND line.year = ?3";

impl Reader {
    /// Every register and year in which a number was used.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn books(&self) -> Result<Vec<BookView>, StoreError> {
        let bytes: Vec<u8> = self
            .db
            .prepare_cached("SELECT books FROM station")
            .and_then(|mut s| s.query_row([], |row| row.get(0)))
            .attempted("list the registers")?;
        let books: Books =
            minicbor::decode(&bytes).map_err(|_| StoreError::Value { what: "the registers" })?;
        let view = |(direction, book, year, highest): (Direction, &BookId, i16, u32)| BookView {
            direction,
            book: book.clone(),
            year,
            highest,
        };
        Ok(books.used().map(view).collect())
    }

    /// Lines of a register, in their order, after the one with number `after`.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn register(
        &self,
        direction: Direction,
        book: &BookId,
        year: i16,
        after: Option<u32>,
        rows: u32,
    ) -> Result<Page<RegisterRow>, StoreError> {
        let limit = rows.clamp(1, PAGE_ROWS_MAX);
        let sql = format!("{LINE} AND line.number > ?4 ORDER BY line.number LIMIT ?5");
        let key = params![direction_number(direction), book.to_string(), year, after.unwrap_or(0), limit];
        let list = self.lines(&sql, key)?;
        let next = list.last().map(|last| u64::from(last.number)).filter(|_| list.len() == limit as usize);
        Ok(Page { rows: list, next })
    }

    /// One line of a register.
    pub(in crate::store) fn register_line(
        &self,
        direction: Direction,
        book: &BookId,
        year: i16,
        number: u32,
    ) -> Result<Option<RegisterRow>, StoreError> {
        let sql = format!("{LINE} AND line.number = ?4");
        let key = params![direction_number(direction), book.to_string(), year, number];
        Ok(self.lines(&sql, key)?.pop())
    }

    fn lines(&self, sql: &str, key: &[&dyn ToSql]) -> Result<Vec<RegisterRow>, StoreError> {
        let read = "list the lines of a register";
        let mut list = Vec::new();
        let mut statement = self.db.prepare_cached(sql).attempted(read)?;
        let mut found = statement.query(key).attempted(read)?;
        while let Some(row) = found.next().attempted(read)? {
            let entry = line(row, 0).attempted(read)?;
            let position: i64 = row.get(3).attempted(read)?;
            let at = millis(row.get(6).attempted(read)?);
            let event = recorded_with(position, &entry_columns(row, 4).attempted(read)?)?;
            list.push(self.register_row(&event, RegisterRow::new(&entry, at))?);
        }
        Ok(list)
    }

    fn register_row(&self, event: &RecordedEvent, row: RegisterRow) -> Result<RegisterRow, StoreError> {
        let body = Body::read(event.version, &event.event);
        let (told, from) = match body {
            Ok(Body::Dispatch(dispatch)) => return self.sent_row(&dispatch, row),
            Ok(Body::Act(Act { by, deed: Deed::Issued { document, issue } })) => {
                return self.issued_row(document, &issue, RegisterRow { by: Some(by.name), ..row });
            }
            Ok(Body::Status(Status::Document(told))) => match event.event.to.first() {
                Some(to) => (told, to.office),
                None => return Ok(row),
            },
            Ok(Body::Act(Act { by, deed })) => {
                let by = Some(by.name);
                return Ok(match deed {
                    Deed::PaperRegistered { on, paper, .. } => {
                        RegisterRow { arrived_on: Some(on), by, ..row }.with_paper(paper)
                    }
                    Deed::PaperIssued { issue, paper, .. } => {
                        RegisterRow { by, ..row }.with_issued_paper(&issue, paper)
                    }
                    Deed::NumberCancelled { reason, .. } => {
                        RegisterRow { cancelled: Some(reason), by, ..row }
                    }
                    _ => row,
                });
            }
            _ => return Ok(row),
        };
        let DocumentFact { document, fact: Fact::Registered { on, .. }, by } = told else { return Ok(row) };
        let mut row = RegisterRow {
            arrived_on: Some(on),
            from: Some(from),
            document: Some(document),
            by: by.map(|by| by.name),
            ..row
        };
        if let Some(dispatch) = self.incoming_dispatch(&from, &document)? {
            row.code = dispatch.number();
            row.issued_on = dispatch.issued.as_ref().map(|issued| issued.on);
            row.document_type = Some(dispatch.manifest.document_type);
            row.subject = Some(dispatch.manifest.subject);
        }
        if let Some(case) = self.case(&from, &document, Side::Recipient)? {
            row.standing = Some(case.progress.standing());
            if let Some(position) = case.assigned {
                let (event, at) = self.event_at(position.0 as i64)?;
                if let Ok(Body::Act(Act { deed: Deed::Assigned { assignment, .. }, .. })) =
                    Body::read(event.version, &event.event)
                {
                    row.lead = Some(assignment.lead);
                    row.handed_on = Some(Day::in_vietnam(at));
                }
            }
        }
        Ok(row)
    }

    /// The line of a document that was numbered here, and perhaps sent since or given up.
    fn issued_row(
        &self,
        document: DocumentId,
        issue: &Issue,
        row: RegisterRow,
    ) -> Result<RegisterRow, StoreError> {
        let row = RegisterRow {
            document: Some(document),
            code: Some(issue.code.to_string()),
            issued_on: Some(issue.on),
            ..row
        };
        if let Some(position) = self.sent_first_at(&document)? {
            let (event, at) = self.event_at(position)?;
            let row = RegisterRow { sent_on: Some(Day::in_vietnam(at)), ..row };
            return match dispatch_of(&event) {
                Some(dispatch) => self.sent_row(&dispatch, row),
                None => Ok(row),
            };
        }
        let Some(draft) = self.draft(&document)? else { return Ok(row) };
        let row = match draft.draft_stage {
            DraftStage::Discarded => RegisterRow {
                cancelled: draft.steps.iter().flatten().last().and_then(|s| s.note.clone()),
                ..row
            },
            _ => row,
        };
        Ok(match draft.manifest {
            Some(manifest) => row.with_manifest(manifest),
            None => row,
        })
    }

    /// The entry that first sends a document.
    pub(super) fn sent_first_at(&self, document: &DocumentId) -> Result<Option<i64>, StoreError> {
        self.db
            .prepare_cached("SELECT position FROM outgoing WHERE document = ?1")
            .and_then(|mut s| s.query_row([document.as_bytes()], |row| row.get(0)).optional())
            .attempted("look up an outgoing document")
    }

    /// Whether a document was sent from here.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn is_sent(&self, document: &DocumentId) -> Result<bool, StoreError> {
        Ok(self.sent_first_at(document)?.is_some())
    }

    /// The line of a document that was sent.
    fn sent_row(&self, dispatch: &Dispatch, row: RegisterRow) -> Result<RegisterRow, StoreError> {
        let document = dispatch.manifest.document;
        let sql = "SELECT count(DISTINCT peer) FROM sent WHERE document = ?1";
        let recipients = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row([document.as_bytes()], |row| row.get::<_, i64>(0)))
            .attempted("count the recipients of a document")?;
        let row = RegisterRow {
            document: Some(document),
            code: dispatch.number(),
            issued_on: dispatch.issued.as_ref().map(|issued| issued.on),
            recipients: Some(recipients.unsigned_abs()),
            ..row
        };
        Ok(row.with_manifest(dispatch.manifest.clone()))
    }

    pub(super) fn incoming_dispatch(
        &self,
        from: &OfficeId,
        document: &DocumentId,
    ) -> Result<Option<Dispatch>, StoreError> {
        let sql = "SELECT held.position FROM held JOIN peer ON peer.no = held.peer
                   WHERE held.document = ?1 AND peer.office = ?2";
        let position = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let mut rows = s.query(params![document.as_bytes(), from.as_bytes()])?;
                rows.next()?.map(|row| row.get::<_, i64>(0)).transpose()
            })
            .attempted("look up a document")?;
        let Some(position) = position else { return Ok(None) };
        Ok(dispatch_of(&self.event_at(position)?.0))
    }
}
