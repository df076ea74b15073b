//! Answers as people read them: names beside ids, words beside codes. Adds to what the store says; changes
//! nothing of it.

use jiff::civil::Date;
use jiff::tz::Offset;
use schema::directory::{Directory, Office};
use schema::document::DocumentType;
use schema::id::OfficeId;
use schema::time::{Day, Millis};
use schema::trust::Outcome;
use serde::{Deserialize as _, Serialize};
use serde_json::{Map, Value, json};

use crate::words::{self, Lang, Text, word};

/// Vietnam has one clock, seven hours ahead of UTC, without summer time.
const VIETNAM_HOURS: i8 = 7;

/// The day in Vietnam.
pub fn day_in_vietnam(now: Millis) -> Date {
    Day::in_vietnam(now).0
}

/// A time for people: day, month, year and time of day in Vietnam.
pub fn time_in_vietnam(at: Millis) -> String {
    let ms = i64::try_from(at.0).unwrap_or(i64::MAX);
    let timestamp = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    let local = Offset::constant(VIETNAM_HOURS).to_datetime(timestamp);
    format!(
        "{:02}/{:02}/{:04} {:02}:{:02}:{:02}",
        local.day(),
        local.month(),
        local.year(),
        local.hour(),
        local.minute(),
        local.second()
    )
}

/// A time of signing as it is shown on a document: with the time zone of Vietnam as in ISO 8601.
pub fn signing_time(at: Millis) -> String {
    format!("{} +0{VIETNAM_HOURS}:00", time_in_vietnam(at))
}

/// The same for programs: ISO 8601 with the offset of Vietnam.
pub fn signing_time_iso(at: Millis) -> String {
    let text = time_in_vietnam(at);
    let (day, clock) = text.split_once(' ').unwrap_or_default();
    let parts: Vec<&str> = day.split('/').rev().collect();
    format!("{}T{clock}+0{VIETNAM_HOURS}:00", parts.join("-"))
}

pub(super) struct Presenter<'a> {
    pub(super) directory: &'a Directory,
    pub(super) today: Date,
    pub(super) lang: Lang,
}

impl Presenter<'_> {
    /// The JSON of an answer, with names and words added.
    pub(super) fn present<T: Serialize>(&self, answer: &T) -> Value {
        let mut value = serde_json::to_value(answer).expect("the views have text keys only");
        self.add(&mut value);
        value
    }

    fn add(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.add(item)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|field| self.add(field));
                self.add_names(fields);
                self.add_words(fields);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn add_names(&self, fields: &mut Map<String, Value>) {
        for key in ["office", "from", "who", "issuer", "archive"] {
            let id: Option<OfficeId> =
                fields.get(key).and_then(Value::as_str).and_then(|text| text.parse().ok());
            if let Some(office) = id.and_then(|id| self.directory.office(&id)) {
                fields.insert(format!("{key}_name"), self.name(office).into());
            }
        }
    }

    /// The office's name today, or its last one when it has ended.
    pub(super) fn name(&self, office: &Office) -> String {
        let last = || office.names.last().map(|name| name.text.as_str());
        office.name_at(self.today).or_else(last).unwrap_or_default().to_owned()
    }

    fn add_words(&self, fields: &mut Map<String, Value>) {
        type Table = &'static [(&'static str, Text)];
        let tables: [(&str, &str, Table); 24] = [
            ("kind", "text", words::STEP),
            ("kind", "text", words::ALARM),
            ("kind", "proves", words::PROVES),
            ("cause", "cause_text", words::CAUSE),
            ("who", "who_text", words::WHO),
            ("state", "state_text", words::LINK),
            ("urgency", "urgency_text", words::URGENCY),
            ("status", "status_text", words::STATUS),
            ("key_protection", "key_protection_text", words::KEY),
            ("sealing_key", "sealing_key_text", words::SEALING_KEY),
            ("capacity", "capacity_text", words::CAPACITY),
            ("paper", "paper_text", words::PAPER),
            ("legal_value", "legal_value_text", words::LEGAL_VALUE),
            ("stage", "stage_text", words::STAGE),
            ("draft_stage", "draft_stage_text", words::DRAFT_STAGE),
            ("standing", "standing_text", words::STANDING),
            ("refused_for", "refused_for_text", words::REFUSAL_REASON),
            ("what", "what_text", words::BUSINESS),
            ("how", "how_text", words::AMENDS),
            ("field", "field_text", words::FIELD),
            ("task", "task_text", words::TASK),
            ("timeliness", "timeliness_text", words::TIMELINESS),
            ("part", "part_text", words::SLIP_PART),
            ("copy", "copy_text", words::COPY_FORM),
        ];
        if let Some(status) = status_of(fields) {
            fields.insert("status".to_owned(), status.into());
        }
        if let Some(outcome) = fields.get("outcome").and_then(|outcome| Outcome::deserialize(outcome).ok())
            && !fields.contains_key("outcome_text")
        {
            let words = outcome.text(self.lang.into());
            fields.insert("outcome_text".to_owned(), words.into());
        }
        let reason = fields.get("reason").and_then(Value::as_str).and_then(|reason| reason.split_once(": "));
        if let Some((code, _)) = reason
            && words::RELAY_REASON.iter().any(|(known, _)| *known == code)
        {
            let words = word(words::RELAY_REASON, code, self.lang).to_owned();
            fields.insert("reason_text".to_owned(), words.into());
        }
        let document_type = fields.get("document_type").and_then(Value::as_str);
        if let Some(document_type) = document_type.and_then(|text| text.parse::<DocumentType>().ok()) {
            let words = document_type.name(self.lang.into());
            fields.insert("document_type_text".to_owned(), words.into());
        }
        for (key, words_key, table) in tables {
            let Some(code) = fields.get(key).and_then(Value::as_str) else { continue };
            if table.iter().any(|(known, _)| *known == code) && !fields.contains_key(words_key) {
                let words = word(table, code, self.lang).to_owned();
                fields.insert(words_key.to_owned(), json!(words));
            }
        }
    }
}

/// The status of one recipient, or of a document with all its recipients: the lowest that holds for all.
fn status_of(fields: &Map<String, Value>) -> Option<&'static str> {
    let (left, arrived) = (fields.get("left")?, fields.get("arrived")?);
    let all = match (left, arrived, fields.get("recipients")) {
        (Value::Bool(left), Value::Bool(arrived), _) => [*arrived, *left],
        (left, arrived, Some(recipients)) => [arrived == recipients, left == recipients],
        _ => return None,
    };
    let overdue =
        !matches!(fields.get("overdue"), None | Some(Value::Bool(false))) && fields["overdue"] != json!(0);
    Some(match all {
        [true, _] => "arrived",
        _ if overdue => "overdue",
        [_, true] => "left",
        [false, false] => "queued",
    })
}

#[cfg(test)]
mod tests {
    use schema::directory::{Name, Validity};
    use schema::handling::Entry;

    use super::*;
    use crate::store::RegisterRow;

    fn status(value: &Value) -> &'static str {
        status_of(value.as_object().expect("an object")).expect("a status")
    }

    #[test]
    fn relays_code_word_becomes_a_sentence_in_the_readers_language() {
        let directory = schema::directory::DirectoryBuilder::new().build(1, Millis(0)).expect("empty");
        let shown = |lang, reason: &str| {
            let presenter = Presenter { directory: &directory, today: Date::MAX, lang };
            presenter.present(&json!({ "reason": reason }))["reason_text"].clone()
        };
        let told = "no-room: no room for mailbox `x` at relay `p01`";
        assert!(shown(Lang::Vi, told).as_str().is_some_and(|text| text.contains("hết chỗ")));
        assert!(shown(Lang::En, told).as_str().is_some_and(|text| text.contains("full")));
        assert_eq!(shown(Lang::Vi, "said: by a newer relay"), Value::Null);
    }

    #[test]
    fn status_is_the_lowest_that_holds_for_all_recipients() {
        assert_eq!(status(&json!({"recipients": 3, "left": 2, "arrived": 0, "overdue": 0})), "queued");
        assert_eq!(status(&json!({"recipients": 3, "left": 3, "arrived": 2, "overdue": 0})), "left");
        assert_eq!(status(&json!({"recipients": 3, "left": 3, "arrived": 2, "overdue": 1})), "overdue");
        assert_eq!(status(&json!({"recipients": 3, "left": 3, "arrived": 3, "overdue": 0})), "arrived");
        assert_eq!(status(&json!({"left": true, "arrived": false, "overdue": false})), "left");
        assert_eq!(status(&json!({"left": false, "arrived": false, "overdue": false})), "queued");
    }

    #[test]
    fn day_changes_at_midnight_in_vietnam() {
        // 2025-06-30T16:59:59Z and a second later.
        assert_eq!(day_in_vietnam(Millis(1_751_302_799_000)).to_string(), "2025-06-30");
        assert_eq!(day_in_vietnam(Millis(1_751_302_800_000)).to_string(), "2025-07-01");
        assert_eq!(time_in_vietnam(Millis(1_751_302_800_000)), "01/07/2025 00:00:00");
    }

    /// H2: an office that has another name since is printed with the one it had on the day of the line.
    #[test]
    fn h2_line_names_an_office_as_it_was_called_on_its_day() {
        let (old, new) = (Date::constant(2025, 6, 30), Date::constant(2025, 7, 1));
        let mut office = Office::new(OfficeId::new([7; 16]));
        let validity = |from, until| Validity { from, until };
        office
            .names
            .push(Name { text: "Phường Trúc Bạch".to_owned(), validity: validity(None, Some(old)) });
        office
            .names
            .push(Name { text: "Phường Ba Đình".to_owned(), validity: validity(Some(new), None) });
        let mut builder = schema::directory::DirectoryBuilder::new();
        builder.office(office);
        let directory = builder.build(1, Millis(0)).expect("sound");
        let entry = Entry { book: "den".parse().expect("a register"), year: 2025, number: 1 };
        for (day, name) in [(old, "Phường Trúc Bạch"), (new, "Phường Ba Đình")] {
            let mut row = RegisterRow::new(&entry, Millis(1_767_196_800_000));
            (row.from, row.arrived_on) = (Some(OfficeId::new([7; 16])), Some(Day(day)));
            let presenter = Presenter { directory: &directory, today: row.day().0, lang: Lang::Vi };
            assert_eq!(presenter.present(&row)["from_name"], name);
        }
    }

    /// B5: day, time and the offset of Vietnam, at midnight too.
    #[test]
    fn b5_time_of_signing_names_its_zone() {
        let midnight = Millis(1_751_302_800_000);
        assert_eq!(signing_time(midnight), "01/07/2025 00:00:00 +07:00");
        assert_eq!(signing_time_iso(midnight), "2025-07-01T00:00:00+07:00");
    }
}
