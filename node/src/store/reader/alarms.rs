//! What someone must look at: alarms, and refused items.

use rusqlite::{OptionalExtension as _, params};
use schema::exchange::Alarm;
use schema::id::{DocumentId, KeyId, OfficeId};
use schema::time::Millis;
use schema::trust::Outcome;
use serde::Serialize;

use super::{Reader, dispatch_of, entry_columns, millis, recorded_with};
use crate::store::{Attempted, StoreError};

/// Most alarms or refused items of one answer.
const RECENT_ROWS_MAX: u32 = 1_000;

/// An alarm as the list shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AlarmView {
    /// When it was recorded.
    pub at: Millis,
    /// One of [`crate::words::ALARM`].
    pub kind: &'static str,
    /// The office it is about.
    pub office: Option<OfficeId>,
    /// The document it is about.
    #[serde(flatten)]
    pub document: Option<NamedDocument>,
    /// What its signatures were found to be worth, when that is what it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The key it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// Details, in the field's words.
    pub detail: String,
}

/// A document as an alarm names it.
#[derive(Clone, Debug, Serialize)]
pub struct NamedDocument {
    /// Its id.
    pub document: DocumentId,
    /// Its abstract.
    pub subject: String,
    /// Its number and symbol.
    pub number: Option<String>,
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
    /// Why, in English.
    pub reason: String,
    /// Why, in Vietnamese.
    pub reason_vi: String,
    /// How large, in bytes.
    pub bytes: u64,
}

impl Reader {
    pub(super) fn recent_alarms(&self) -> Result<Vec<(Millis, Alarm)>, StoreError> {
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
        let view = |(at, alarm): (Millis, Alarm)| {
            let document = self.document_of(&alarm)?;
            Ok(AlarmView { document, ..alarm_view(at, &alarm) })
        };
        self.recent_alarms()?.into_iter().map(view).collect()
    }

    /// The document that an alarm is about, if it is about one.
    fn document_of(&self, alarm: &Alarm) -> Result<Option<NamedDocument>, StoreError> {
        let (table, peer, incarnation, counter) = match alarm {
            Alarm::JudgedWorse { from, incarnation, counter, .. } => ("held", from, incarnation, counter),
            Alarm::JudgedElsewhere { by, incarnation, counter, .. } => ("sent", by, incarnation, counter),
            Alarm::RefusedByRelay { to, incarnation, counter, .. } => ("sent", to, incarnation, counter),
            _ => return Ok(None),
        };
        let sql = format!(
            "SELECT position, journal.bytes, journal.content FROM {table} AS place JOIN peer ON peer.no = place.peer
             JOIN journal USING (position)
             WHERE peer.office = ?1 AND place.incarnation = ?2 AND place.counter = ?3"
        );
        let key = params![peer.as_bytes(), incarnation.number() as i64, counter.0 as i64];
        let found: Option<(i64, _)> = self
            .db
            .prepare_cached(&sql)
            .and_then(|mut s| s.query_row(key, |row| Ok((row.get(0)?, entry_columns(row, 1)?))).optional())
            .attempted("look up the document of an alarm")?;
        let Some((position, entry)) = found else { return Ok(None) };
        Ok(dispatch_of(&recorded_with(position, &entry)?).map(|dispatch| NamedDocument {
            document: dispatch.manifest.document,
            number: dispatch.number(),
            subject: dispatch.manifest.subject,
        }))
    }

    /// The newest refused items.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn quarantine(&self) -> Result<Vec<QuarantineView>, StoreError> {
        let sql = "SELECT no, at, source, reason, reason_vi, length(bytes) FROM quarantine ORDER BY no DESC LIMIT ?1";
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
                        reason_vi: row.get(4)?,
                        bytes: row.get::<_, i64>(5)?.unsigned_abs(),
                    });
                }
                Ok(())
            })
            .attempted("list refused items")?;
        Ok(items)
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
        Alarm::ContradictingList { authority, list } => {
            ("contradicting-list", None, format!("{authority}: item {list}"))
        }
        Alarm::ContestedKey { office, key } => ("contested-key", Some(*office), format!("key {key}")),
        Alarm::JudgedWorse { from, incarnation, counter, before, outcome } => {
            let detail =
                format!("incarnation {incarnation}, counter {counter}: was {before:?}, is {outcome:?}");
            ("judged-worse", Some(*from), detail)
        }
        Alarm::JudgedElsewhere { by, incarnation, counter, outcome } => {
            let detail = format!("incarnation {incarnation}, counter {counter}: is {outcome:?} there");
            ("judged-elsewhere", Some(*by), detail)
        }
        Alarm::NumberTwice { line, first, again, .. } => {
            let detail = format!(
                "number {line} of register `{}` in {}: journal entries {first} and {again}",
                line.book, line.year
            );
            ("number-twice", None, detail)
        }
        Alarm::TwoNumbers { document, position } => {
            ("two-numbers", None, format!("document {document}: journal entry {position}"))
        }
        Alarm::TooMuchSaid { office, document } => {
            ("too-much-said", Some(*office), format!("document {document}"))
        }
        Alarm::BodyRefused { from, id, reason } => {
            ("body-refused", Some(*from), format!("event {id}: {reason}"))
        }
    };
    let (outcome, key) = match alarm {
        Alarm::JudgedWorse { outcome, .. } | Alarm::JudgedElsewhere { outcome, .. } => (Some(*outcome), None),
        Alarm::ContestedKey { key, .. } => (None, Some(*key)),
        _ => (None, None),
    };
    AlarmView { at, kind, office, document: None, outcome, key, detail }
}
