//! What someone must look at: alarms, and refused items.

use schema::exchange::Alarm;
use schema::id::OfficeId;
use schema::time::Millis;
use serde::Serialize;

use super::{Reader, millis};
use crate::store::{Attempted, StoreError};

/// Most alarms or refused items of one answer.
const RECENT_ROWS_MAX: u32 = 1_000;

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
        Alarm::BodyRefused { from, id, reason } => {
            ("body-refused", Some(*from), format!("event {id}: {reason}"))
        }
    };
    AlarmView { at, kind, office, detail }
}
