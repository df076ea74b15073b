//! What is due and what is late: to be seen without opening anything.

use rusqlite::{Row, params, params_from_iter};
use schema::body::Dispatch;
use schema::document::Manifest;
use schema::event::Urgency;
use schema::handling::{AtTheLatest, BusinessKind, Calendar, CaseRow, Side, Term, Timeliness};
use schema::id::{DocumentId, OfficeId};
use schema::invariant::OVERDUE_MS;
use schema::time::{Day, Millis};
use serde::Serialize;

use super::{PAGE_ROWS_MAX, Reader, dispatch_of, entry_columns, millis, recorded_with};
use crate::store::handled::case_row;
use crate::store::{Attempted, StoreError};

/// Most entries of each task that are looked at: the oldest.
const LOOKED_AT_MAX: u32 = PAGE_ROWS_MAX;
/// Most open sends that are looked at: a station that was cut off for weeks may have a million, and `overdue` of its status
/// counts them all.
const OPEN_SENDS_MAX: u32 = 10_000;

/// Most open questions of this office that are looked at: one about a circular has thousands of recipients, and some of them
/// never had the document.
const OPEN_QUESTIONS_MAX: u32 = 10_000;

/// The oldest questions of other offices about documents that are shown here.
const TO_ANSWER: &str = "SELECT handled.bytes, journal.recorded_at
    FROM handled INDEXED BY handled_question JOIN journal ON journal.position = handled.question
    WHERE handled.question IS NOT NULL AND handled.side = 0 AND handled.shown = 1
    ORDER BY handled.question LIMIT ?1";
/// The oldest questions of this office. Whoever was added by an update never had the earlier document, and is asked nothing.
const TO_BE_ANSWERED: &str = "SELECT asked.bytes, journal.recorded_at
    FROM (SELECT bytes, question, peer, document FROM handled INDEXED BY handled_asked
          WHERE question IS NOT NULL AND side = 1 ORDER BY question LIMIT ?2) AS asked
    JOIN journal ON journal.position = asked.question
    WHERE EXISTS (SELECT 1 FROM sent WHERE sent.document = asked.document AND sent.peer = asked.peer)
    ORDER BY asked.question LIMIT ?1";

/// The oldest dates by which this office wants answers, by document.
const TO_BE_REPLIED: &str = "SELECT wanted.document, wanted.due, count(*), min(peer.office)
    FROM (SELECT document, due, peer FROM handled INDEXED BY handled_wanted
          WHERE due IS NOT NULL AND due <= ?2 AND side = 1 ORDER BY due LIMIT ?3) AS wanted
    JOIN peer ON peer.no = wanted.peer
    GROUP BY wanted.document, wanted.due ORDER BY wanted.due LIMIT ?1";

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Signed, and not sent yet (*đã ký, chưa gửi*).
    ToSend,
    /// Came in, and neither accepted nor refused.
    ToAccept,
    /// Accepted, and not finished by its leader's deadline; where that one named none, not answered by its sender's.
    ToFinish,
    /// Sent, and without a receipt for too long.
    ToArrive,
    /// Its sender asks for it back or updates it, and waits for the answer of this office.
    ToAnswer,
    /// This office wants an answer by a date, and recipients have neither answered nor finished it.
    ToBeReplied,
    /// This office asks for it back, recalls or updates it, and a recipient has not answered.
    ToBeAnswered,
}

/// Something that is to be done by a time.
#[derive(Clone, Debug, Serialize)]
pub struct DueView {
    /// What is to be done.
    pub task: Task,
    /// How the time stands.
    pub timeliness: Timeliness,
    /// When it is to be done.
    #[serde(flatten)]
    pub term: Term,
    /// The document.
    pub document: DocumentId,
    /// Its sender, for one that came in.
    pub from: Option<OfficeId>,
    /// The abstract.
    pub subject: Option<String>,
    /// Number and symbol.
    pub number: Option<String>,
    /// How urgent.
    pub urgency: Urgency,
    /// For one that went out: recipients that have it not, or have not answered it.
    pub recipients: Option<u64>,
    /// What was asked about it.
    pub what: Option<BusinessKind>,
    /// The recipient that has not answered, when it is one.
    pub office: Option<OfficeId>,
}

/// What is due and what is late, the most pressing first.
#[derive(Clone, Debug, Serialize)]
pub struct DueViews {
    /// How many are late.
    pub late: u64,
    /// How many are due and not late.
    pub due: u64,
    /// Whether there may be more: of one task, only the oldest were looked at.
    pub more: bool,
    /// Those that are late or due.
    pub rows: Vec<DueView>,
}

impl DueView {
    fn new(task: Task, document: DocumentId, term: Term, now: Millis) -> Self {
        Self {
            task,
            timeliness: term.at(now),
            term,
            document,
            from: None,
            subject: None,
            number: None,
            urgency: Urgency::Normal,
            recipients: None,
            what: None,
            office: None,
        }
    }

    fn about(self, manifest: Manifest, number: Option<String>) -> Self {
        Self { subject: Some(manifest.subject), number, urgency: manifest.urgency, ..self }
    }

    /// What a document says that may be lost: the task is there without it too.
    fn about_sent(self, dispatch: Option<Dispatch>) -> Self {
        let Some(dispatch) = dispatch else { return self };
        let number = dispatch.number();
        self.about(dispatch.manifest, number)
    }
}

impl Reader {
    /// What is due and what is late at `now`, by this calendar. Of each task the oldest are looked at, and of what came in
    /// the newest too, because urgent documents do not wait for their turn.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn due(&self, calendar: &Calendar, now: Millis) -> Result<DueViews, StoreError> {
        let tasks = [
            self.due_to_send(calendar, now)?,
            self.due_to_accept(calendar, now)?,
            self.due_to_finish(now)?,
            self.due_to_arrive(now)?,
            self.due_to_be_replied(now)?,
            self.questions((Task::ToAnswer, TO_ANSWER), &[LOOKED_AT_MAX], calendar, now)?,
            self.questions(
                (Task::ToBeAnswered, TO_BE_ANSWERED),
                &[LOOKED_AT_MAX, OPEN_QUESTIONS_MAX],
                calendar,
                now,
            )?,
        ];
        let open = "SELECT count(*) FROM (SELECT 1 FROM sent INDEXED BY sent_due WHERE open = 1 LIMIT ?1)";
        let open = self.due_rows(open, OPEN_SENDS_MAX, |row| row.get::<_, i64>(0))?;
        let asked = "SELECT count(*) FROM (SELECT 1 FROM handled INDEXED BY handled_asked
                         WHERE question IS NOT NULL AND side = 1 LIMIT ?1)";
        let asked = self.due_rows(asked, OPEN_QUESTIONS_MAX, |row| row.get::<_, i64>(0))?;
        let wanted = format!(
            "SELECT count(*) FROM (SELECT 1 FROM handled INDEXED BY handled_wanted
                 WHERE due IS NOT NULL AND due <= {} AND side = 1 LIMIT ?1)",
            Day::in_vietnam(now).days()
        );
        let wanted = self.due_rows(&wanted, OPEN_QUESTIONS_MAX, |row| row.get::<_, i64>(0))?;
        let more = open == [i64::from(OPEN_SENDS_MAX)]
            || wanted == [i64::from(OPEN_QUESTIONS_MAX)]
            || asked == [i64::from(OPEN_QUESTIONS_MAX)]
            || tasks.iter().any(|task| task.len() >= LOOKED_AT_MAX as usize);
        let pressing = |row: &DueView| row.timeliness != Timeliness::InTime;
        let mut rows: Vec<DueView> = tasks.into_iter().flatten().filter(pressing).collect();
        rows.sort_by_key(|row| (row.timeliness == Timeliness::Due, row.term.late_after, row.task));
        let late = rows.iter().filter(|row| row.timeliness == Timeliness::Late).count() as u64;
        Ok(DueViews { late, due: rows.len() as u64 - late, more, rows })
    }

    /// B6: signed and not sent.
    fn due_to_send(&self, calendar: &Calendar, now: Millis) -> Result<Vec<DueView>, StoreError> {
        let sql =
            "SELECT document FROM drafted WHERE stage < 5 AND stage IN (3, 4) ORDER BY changed LIMIT ?1";
        let documents = self.due_rows(sql, LOOKED_AT_MAX, |row| row.get(0).map(DocumentId::new))?;
        let mut rows = Vec::new();
        for document in documents {
            let Some(draft) = self.draft_in_short(&document)? else { continue };
            let (Some(signed_at), Some(manifest)) = (draft.signed_at, draft.manifest) else { continue };
            let term = calendar.same_day(signed_at, AtTheLatest::NextMorning, manifest.urgency);
            rows.push(DueView::new(Task::ToSend, document, term, now).about(manifest, draft.number));
        }
        Ok(rows)
    }

    /// F2: came in, and not registered.
    fn due_to_accept(&self, calendar: &Calendar, now: Millis) -> Result<Vec<DueView>, StoreError> {
        let sql = "WITH looked_at AS (
                       SELECT ordinal FROM (SELECT ordinal FROM held WHERE unsettled = 1 ORDER BY ordinal LIMIT ?1)
                       UNION
                       SELECT ordinal FROM (SELECT ordinal FROM held WHERE unsettled = 1 ORDER BY ordinal DESC LIMIT ?1))
                   SELECT held.position, journal.bytes, journal.content, answer.recorded_at
                   FROM looked_at JOIN held USING (ordinal) JOIN journal USING (position)
                   JOIN journal AS answer ON answer.position = held.receipt
                   ORDER BY ordinal";
        let found =
            self.due_rows(sql, LOOKED_AT_MAX, |row| Ok((row.get(0)?, entry_columns(row, 1)?, row.get(3)?)))?;
        let mut rows = Vec::new();
        for (position, entry, arrived_at) in found {
            let event = recorded_with(position, &entry)?;
            let Some(dispatch) = dispatch_of(&event) else { continue };
            let urgency = dispatch.manifest.urgency;
            let term = calendar.same_day(millis(arrived_at), AtTheLatest::NextDay, urgency);
            let row = DueView::new(Task::ToAccept, dispatch.manifest.document, term, now);
            let row = row.about_sent(Some(dispatch));
            rows.push(DueView { from: Some(event.event.office), ..row });
        }
        Ok(rows)
    }

    /// The deadlines that leaders have set, and those of senders that want an answer.
    fn due_to_finish(&self, now: Millis) -> Result<Vec<DueView>, StoreError> {
        let sql = "SELECT peer.office, handled.bytes
                   FROM handled INDEXED BY handled_due JOIN peer ON peer.no = handled.peer
                   WHERE handled.due <= ?2 AND handled.side = 0 AND handled.stage IN (3, 4, 5)
                     AND handled.standing IN (0, 1)
                   ORDER BY handled.due LIMIT ?1";
        let today = Day::in_vietnam(now).days();
        let found: Vec<_> = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let row = |row: &Row<'_>| Ok((OfficeId::new(row.get(0)?), case_row(row, 1)?));
                s.query_map(params![LOOKED_AT_MAX, today], row)?.collect()
            })
            .attempted("list what is due")?;
        let mut rows = Vec::new();
        for (from, case) in found {
            let Some(due) = case.open_due() else { continue };
            let row = DueView::new(Task::ToFinish, case.document, Term::by(due), now);
            let row = row.about_sent(self.incoming_dispatch(&from, &case.document)?);
            rows.push(DueView { from: Some(from), ..row });
        }
        Ok(rows)
    }

    /// Sent, and not arrived for too long.
    fn due_to_arrive(&self, now: Millis) -> Result<Vec<DueView>, StoreError> {
        let sql =
            "SELECT sent.document, min(sent.position), min(journal.recorded_at), count(DISTINCT sent.peer)
                   FROM (SELECT document, position, peer FROM sent INDEXED BY sent_due
                         WHERE open = 1 AND receipt IS NULL AND document IS NOT NULL LIMIT ?3) AS sent
                   JOIN journal USING (position)
                   WHERE journal.recorded_at < ?2
                   GROUP BY sent.document ORDER BY 2 LIMIT ?1";
        let late = now.0.saturating_sub(OVERDUE_MS) as i64;
        let found: Vec<(DocumentId, i64, i64, i64)> = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let row =
                    |row: &Row<'_>| Ok((DocumentId::new(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?));
                s.query_map(params![LOOKED_AT_MAX, late, OPEN_SENDS_MAX], row)?.collect()
            })
            .attempted("list what has not arrived")?;
        let mut rows = Vec::new();
        for (document, position, since, recipients) in found {
            let late_after = millis(since).plus(OVERDUE_MS);
            let term = Term { due_at: late_after, late_after };
            let row = DueView::new(Task::ToArrive, document, term, now);
            let row = row.about_sent(dispatch_of(&self.event_at(position)?.0));
            rows.push(DueView { recipients: Some(recipients.unsigned_abs()), ..row });
        }
        Ok(rows)
    }

    /// The answers that this office wants by a date (*hạn trả lời*; edXML `DueDate`).
    fn due_to_be_replied(&self, now: Millis) -> Result<Vec<DueView>, StoreError> {
        let today = Day::in_vietnam(now).days();
        let found: Vec<(DocumentId, i32, i64, [u8; 16])> = self
            .db
            .prepare_cached(TO_BE_REPLIED)
            .and_then(|mut s| {
                let row =
                    |row: &Row<'_>| Ok((DocumentId::new(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?));
                s.query_map(params![LOOKED_AT_MAX, today, OPEN_QUESTIONS_MAX], row)?.collect()
            })
            .attempted("list who is to answer")?;
        let mut rows = Vec::new();
        for (document, due, recipients, office) in found {
            let Some(due) = Day::from_days(due) else { continue };
            let row = DueView::new(Task::ToBeReplied, document, Term::by(due), now);
            let row = row.about_sent(self.outgoing_dispatch(&document)?);
            let office = (recipients == 1).then(|| OfficeId::new(office));
            rows.push(DueView { recipients: Some(recipients.unsigned_abs()), office, ..row });
        }
        Ok(rows)
    }

    /// G1: what senders wait for, and what recipients of this office's documents have not answered, each recipient by itself. A
    /// question comes in like a document, and is to be settled like one: the same day, at the latest on the next working day; the
    /// law names no other span for it. What this office asked is counted from when it asked: whether the question is still on
    /// its way or lies there, somebody has to see to it by then.
    fn questions(
        &self,
        (task, sql): (Task, &str),
        limits: &[u32],
        calendar: &Calendar,
        now: Millis,
    ) -> Result<Vec<DueView>, StoreError> {
        let found: Vec<(CaseRow, i64)> = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                let row = |row: &Row<'_>| Ok((case_row(row, 0)?, row.get(1)?));
                s.query_map(params_from_iter(limits), row)?.collect()
            })
            .attempted("list what waits for an answer")?;
        let mut rows = Vec::new();
        for (case, asked_at) in found {
            let Some((what, _)) = case.waits_since() else { continue };
            let dispatch = match case.side {
                Side::Recipient => self.incoming_dispatch(&case.with, &case.document)?,
                Side::Sender => self.outgoing_dispatch(&case.document)?,
            };
            let urgency = dispatch.as_ref().map_or(Urgency::Normal, |dispatch| dispatch.manifest.urgency);
            let term = calendar.same_day(millis(asked_at), AtTheLatest::NextDay, urgency);
            let row = DueView::new(task, case.document, term, now);
            let row = row.about_sent(dispatch);
            let (from, office) = match case.side {
                Side::Recipient => (Some(case.with), None),
                Side::Sender => (None, Some(case.with)),
            };
            rows.push(DueView { what: Some(what), from, office, ..row });
        }
        Ok(rows)
    }

    fn due_rows<T>(
        &self,
        sql: &str,
        most: u32,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map([most], row)?.collect())
            .attempted("list what is due")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many documents were handled: the oldest questions are read off an index, in its order.
    #[test]
    fn questions_are_read_in_the_order_of_an_index() {
        let db = rusqlite::Connection::open_in_memory().expect("memory");
        db.execute_batch(include_str!("../../../migrations/0001_station.sql")).expect("tables");
        for (sql, index, limits) in [
            (TO_ANSWER, "handled_question", &[1][..]),
            (TO_BE_ANSWERED, "handled_asked", &[1, 1]),
            (TO_BE_REPLIED, "handled_wanted", &[1, 1, 1]),
        ] {
            let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a query");
            let steps = plan
                .query_map(params_from_iter(limits), |row| row.get::<_, String>("detail"))
                .expect("a plan");
            let steps: Vec<String> = steps.collect::<rusqlite::Result<_>>().expect("a plan");
            assert!(steps.iter().any(|step| step.contains(&format!("INDEX {index}"))), "{steps:?}");
            let sorted = steps.iter().filter(|step| step.contains("ORDER BY")).count();
            // What is sorted once more are the rows that the first look has bounded.
            assert!(sorted <= usize::from(sql != TO_ANSWER), "{steps:?}");
            let scanned = |step: &&String| step.starts_with("SCAN") && !step.contains(index);
            assert!(steps.iter().filter(scanned).all(|step| step == "SCAN asked" || step == "SCAN wanted"));
        }
    }
}
