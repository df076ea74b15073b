//! What people did with documents, what waits for them, registers, and the people themselves.

use std::fmt::Write as _;

use schema::document::DocumentType;
use serde_json::Value;

use super::documents::{behind, day, timeline};
use super::station::clock;
use super::{field, line, rows, say, time};
use crate::words::{self, Lang};

pub(in crate::cli) fn worked(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{}", say(lang, "Đã ghi.", "Recorded."));
    let number = &value["line"];
    if !number.is_null() {
        let (of, year) = (say(lang, "số", "number"), say(lang, "năm", "of"));
        line!(
            text,
            "  {of} {} {year} {} ({})",
            field(number, "written"),
            field(number, "year"),
            field(number, "book")
        );
    }
    for (key, vi, en) in [("document", "văn bản:", "document:"), ("number", "số, ký hiệu:", "number:")]
    {
        if !value[key].is_null() {
            line!(text, "  {} {}", say(lang, vi, en), field(value, key));
        }
    }
    if value["told"].as_u64().is_some_and(|told| told > 0) {
        let told = say(lang, "đơn vị sẽ được báo (chờ gửi)", "offices will be told (queued)");
        line!(text, "  {} {told}", field(value, "told"));
    }
    text
}

/// A person's signature was put to a document: that it went well is said as plainly as a refusal says the other.
pub(in crate::cli) fn signed(value: &Value, lang: Lang) -> String {
    let words = say(
        lang,
        "Ký số thành công: trạm đã kiểm tra, chữ ký khớp với văn bản. Khi đã gửi, xem giá trị từng chữ ký bằng `tram-node print signatures`.",
        "Signed: the station has checked that the signature is on this document. Once it is sent, `tram-node print signatures` \
         says what each signature is worth.",
    );
    format!("{words}\n{}", worked(value, lang))
}

/// How far a document is, in a line or two.
pub(super) fn progress(text: &mut String, value: &Value, lang: Lang) {
    let number = &value["line"];
    let number = match number.is_null() {
        true => String::new(),
        false => format!(", {} {}", say(lang, "số đến", "arrival number"), field(number, "written")),
    };
    line!(text, "    {} {}{number}", say(lang, "tình trạng:", "status:"), field(value, "stage_text"));
    if !value["refused_for"].is_null() {
        let words = match value["refusal_words"].is_null() {
            true => String::new(),
            false => format!(": {}", field(value, "refusal_words")),
        };
        line!(text, "    {} {}{words}", say(lang, "lý do:", "reason:"), field(value, "refused_for_text"));
    }
    if value["standing"] != "current" {
        line!(text, "    ! {}", field(value, "standing_text"));
    }
    for asked in rows(value, "asked").iter().filter(|asked| asked["agreed"].is_null()) {
        if asked["what"] == "update" {
            line!(
                text,
                "    ! {} {}",
                field(asked, "what_text"),
                say(lang, "(chờ trả lời)", "(no answer yet)")
            );
        }
    }
}

/// What a document changes of an earlier one: the fields in short, or each with what stood there and what stands there now.
pub(super) fn amends(text: &mut String, value: &Value, full: bool, lang: Lang) {
    if value.is_null() {
        return;
    }
    line!(text, "    ! {}: {}", field(value, "how_text"), field(value, "document"));
    line!(text, "      {} {}", say(lang, "lý do:", "reason:"), field(value, "why"));
    let differences = rows(value, "differences");
    let unknown = value["differences"].is_null();
    if unknown || differences.is_empty() {
        let words = match unknown {
            true => say(
                lang,
                "không so sánh được: văn bản trước chưa có tại đây",
                "not compared: the earlier one is not here",
            ),
            false => say(lang, "không có gì khác", "nothing is different"),
        };
        line!(text, "      {words}");
        return;
    }
    if !full {
        let fields: Vec<String> =
            differences.iter().map(|difference| field(difference, "field_text")).collect();
        line!(text, "      {} {}", say(lang, "khác:", "different:"), fields.join(", "));
        return;
    }
    for difference in differences {
        line!(text, "      {}:", field(difference, "field_text"));
        for (side, sign) in [("before", '-'), ("after", '+')] {
            for value in rows(difference, side) {
                line!(text, "        {sign} {}", said(value, &field(difference, "field")));
            }
        }
    }
}

/// One value of a field, as people write it.
fn said(value: &Value, name: &str) -> String {
    let text = format!("{name}_text");
    if !value[&text].is_null() {
        return field(value, &text);
    }
    let said = &value[name];
    match name {
        "signer" => {
            format!("{}, {} ({})", field(said, "name"), field(said, "position"), field(said, "capacity_text"))
        }
        "attachments" => {
            format!("{}, {} B, sha256 {}", field(said, "name"), field(said, "length"), field(said, "sha256"))
        }
        "responds_to" => {
            format!("{} ({}), {}", field(said, "number"), day(&said["issued_on"]), field(said, "issuer_name"))
        }
        "due" | "issued_on" => day(said),
        _ => field(value, name),
    }
}

pub(in crate::cli) fn waiting(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let to_register = say(lang, "văn bản chờ tiếp nhận", "documents wait to be accepted");
    line!(text, "{} {to_register}", field(value, "to_register"));
    for (key, option, vi, en) in [
        ("asked", "--asked-after", "Bên gửi chờ trả lời:", "Senders wait for an answer:"),
        (
            "without_document",
            "--without-document-after",
            "Có thông tin về văn bản chưa có tại đây:",
            "Said about documents that are not here:",
        ),
    ] {
        let found = rows(value, key);
        if found.is_empty() {
            continue;
        }
        line!(text, "{}", say(lang, vi, en));
        for row in found {
            line!(text, "  {}  {}", field(row, "document"), field(row, "office_name"));
            progress(&mut text, row, lang);
            for asked in rows(row, "asked") {
                line!(text, "    {}: {}", field(asked, "what_text"), field(asked, "why"));
            }
            let aside = &row["set_aside"];
            if !aside.is_null() {
                let (by, at) = (field(aside, "by"), time(aside, "at"));
                line!(
                    text,
                    "    {} {by}, {at}: {}",
                    say(lang, "đã bỏ qua:", "set aside:"),
                    field(aside, "note")
                );
            }
        }
        if let Some(next) = value[format!("{key}_next")].as_str() {
            line!(text, "{} {option} {next}", say(lang, "Còn nữa:", "More:"));
        }
    }
    text
}

pub(in crate::cli) fn due(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let (late, due) = (say(lang, "quá hạn", "late"), say(lang, "đến hạn", "due"));
    line!(text, "{} {late}, {} {due}", field(value, "late"), field(value, "due"));
    for row in rows(value, "rows") {
        let number =
            if row["number"].is_null() { String::new() } else { format!("{}  ", field(row, "number")) };
        line!(
            text,
            "{}: {}; {} {}",
            field(row, "timeliness_text").to_uppercase(),
            field(row, "task_text"),
            say(lang, "hạn cuối", "at the latest"),
            time(row, "late_after")
        );
        line!(text, "    {number}{}", field(row, "subject"));
        let from = if row["from_name"].is_null() { String::new() } else { field(row, "from_name") };
        line!(text, "    {}  {from}", field(row, "document"));
        if !row["what"].is_null() {
            let office = if row["office_name"].is_null() {
                String::new()
            } else {
                format!(": {}", field(row, "office_name"))
            };
            line!(text, "    {}{office}", field(row, "what_text"));
        }
        if row["urgency"].as_str().is_some_and(|urgency| urgency != "normal") {
            line!(text, "    ! {}", field(row, "urgency_text"));
        }
        if !row["recipients"].is_null() {
            let recipients = match row["task"] == "to-be-replied" {
                true => say(lang, "nơi nhận chưa trả lời", "recipients have not answered"),
                false => say(lang, "nơi nhận chưa có", "recipients do not have it"),
            };
            let one = if row["office"].is_null() {
                String::new()
            } else {
                format!(": {}", field(row, "office_name"))
            };
            line!(text, "    {} {recipients}{one}", field(row, "recipients"));
        }
    }
    if value["more"] == true {
        line!(
            text,
            "{}",
            say(
                lang,
                "Có thể còn nữa: chỉ xét các việc cũ nhất.",
                "There may be more: only the oldest were looked at."
            )
        );
    }
    clock(&mut text, &value["clock"], lang);
    let (at, word) = (
        time(value, "now"),
        match value["clock"].is_null() {
            true => say(
                lang,
                "theo đồng hồ máy này, chưa đối chiếu với trạm chuyển tiếp",
                "by this machine's clock, which no relay has confirmed",
            ),
            false => say(
                lang,
                "theo đồng hồ đã đối chiếu với trạm chuyển tiếp",
                "by the clock as the relays corrected it",
            ),
        },
    );
    line!(text, "{} {at}, {word}", say(lang, "Tính đến", "As of"));
    if !value["tet_unknown"].is_null() {
        let unknown = say(
            lang,
            "Chưa biết lịch nghỉ Tết của năm: hãy thêm vào `[calendar]` trong `config.toml`; nếu không, hạn quanh Tết bị tính sớm:",
            "The days off of Tết are not known for the year: add them to `[calendar]` in `config.toml`, or deadlines around it come \
             too early:",
        );
        line!(text, "{unknown} {}", field(value, "tet_unknown"));
    }
    text
}

pub(in crate::cli) fn drafts(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let found = rows(value, "rows");
    if found.is_empty() {
        line!(text, "{}", say(lang, "Không có văn bản nào chờ gửi đi.", "Nothing is on its way out."));
    }
    for row in found {
        line!(text, "{}  {}", field(row, "document"), field(row, "subject"));
        let number =
            if row["number"].is_null() { String::new() } else { format!("  {}", field(row, "number")) };
        line!(text, "    {}{number}", field(row, "draft_stage_text"));
    }
    if let Some(next) = value["next"].as_u64() {
        line!(text, "{} --before {next}", say(lang, "Còn nữa:", "More:"));
    }
    text
}

pub(in crate::cli) fn draft(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{}", field(value, "subject"));
    line!(text, "  {} {}", say(lang, "văn bản:", "document:"), field(value, "document"));
    line!(text, "  {} {}", say(lang, "tình trạng:", "status:"), field(value, "draft_stage_text"));
    if !value["number"].is_null() {
        let (number, on) = (field(value, "number"), day(&value["issued_on"]));
        line!(text, "  {} {number}  {on}", say(lang, "số, ký hiệu:", "number:"));
    }
    line!(text, "  {} {}", say(lang, "chữ ký cá nhân:", "persons' signatures:"), field(value, "signatures"));
    line!(text, "  sha256: {}", field(value, "sha256"));
    timeline(&mut text, rows(value, "steps"), lang);
    text
}

pub(in crate::cli) fn registers(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let found = rows(value, "rows");
    if found.is_empty() {
        line!(text, "{}", say(lang, "Chưa có số nào được cấp.", "No number was used yet."));
    }
    for row in found {
        let direction = match row["direction"].as_str() {
            Some("outgoing") => say(lang, "đi", "outgoing"),
            _ => say(lang, "đến", "incoming"),
        };
        let highest = say(lang, "số lớn nhất", "highest number");
        line!(
            text,
            "{} ({direction})  {}  {highest} {}",
            field(row, "book"),
            field(row, "year"),
            field(row, "highest")
        );
    }
    text
}

pub(in crate::cli) fn register(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let found = rows(value, "rows");
    if found.is_empty() {
        line!(text, "{}", say(lang, "Sổ không có dòng nào như vậy.", "The register has no such lines."));
    }
    for row in found {
        let (number, arrived) = (field(row, "written"), day(&row["arrived_on"]));
        if !row["cancelled"].is_null() {
            let cancelled = say(lang, "số bị hủy:", "number cancelled:");
            line!(text, "{number:>6}  {cancelled} {}", field(row, "cancelled"));
            continue;
        }
        let author = if row["author"].is_null() { field(row, "from_name") } else { field(row, "author") };
        line!(text, "{number:>6}  {arrived}  {author}");
        let (code, on) = (field(row, "code"), day(&row["issued_on"]));
        line!(text, "        {code}  {on}  {}: {}", field(row, "document_type_text"), field(row, "subject"));
        if !row["lead"].is_null() {
            let to = say(lang, "đơn vị hoặc người nhận:", "handed to:");
            line!(text, "        {to} {} ({})", field(row, "lead"), day(&row["handed_on"]));
        }
        if row["standing"].as_str().is_some_and(|standing| standing != "current") {
            line!(text, "        {} {}", say(lang, "ghi chú:", "remarks:"), field(row, "standing_text"));
        }
    }
    behind(&mut text, value, lang);
    if let Some(next) = value["next"].as_u64() {
        line!(text, "{} --after {next}", say(lang, "Còn nữa:", "More:"));
    }
    text
}

pub(in crate::cli) fn register_written(value: &Value, lang: Lang) -> String {
    let (written, lines) =
        (say(lang, "Đã ghi sổ ra tệp", "Wrote the register to"), say(lang, "dòng", "lines"));
    format!("{written} {} ({} {lines})\n", field(value, "file"), field(value, "lines"))
}

pub(in crate::cli) fn page_written(value: &Value, lang: Lang) -> String {
    let words = say(
        lang,
        "Đã ghi trang in; mở bằng trình duyệt để in:",
        "Wrote the page; open it in a browser to print it:",
    );
    format!("{words} {}\n", field(value, "file"))
}

fn roles(value: &Value, lang: Lang) -> String {
    let roles = value["roles"].as_array().into_iter().flatten().filter_map(Value::as_str);
    roles.map(|role| words::word(words::ROLE, role, lang)).collect::<Vec<_>>().join(", ")
}

pub(in crate::cli) fn people(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let found = rows(value, "people");
    if found.is_empty() {
        let none = say(
            lang,
            "Chưa có ai. Thêm bằng: tram-node person add \"Họ và tên\" --role clerk",
            "Nobody yet. Add somebody: tram-node person add \"Full name\" --role clerk",
        );
        line!(text, "{none}");
    }
    for person in found {
        line!(text, "{}  {}: {}", field(person, "key"), field(person, "name"), roles(person, lang));
        limits(&mut text, person, lang);
    }
    text
}

/// What somebody is limited to; nothing where there is no limit.
fn limits(text: &mut String, person: &Value, lang: Lang) {
    let listed = |key: &str| person[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    let types: Vec<&str> = listed("types")
        .map(|slug| slug.parse::<DocumentType>().map_or(slug, |one| one.name(lang.into())))
        .collect();
    let recipients: Vec<&str> = listed("recipients").collect();
    for (key, vi, en) in [
        (types, "chỉ loại văn bản:", "documents of these types only:"),
        (recipients, "chỉ gửi đến:", "to these offices only:"),
    ] {
        if !key.is_empty() {
            line!(text, "    {} {}", say(lang, vi, en), key.join(", "));
        }
    }
}

/// Whether the chain knows it already.
fn recorded(text: &mut String, value: &Value, lang: Lang) {
    let words = match value["recorded"] == true {
        true => say(lang, "đã ghi vào nhật ký của trạm", "recorded in the station's chain"),
        false if value["not_recorded_because"].is_null() => say(
            lang,
            "trạm đang dừng: sẽ ghi vào nhật ký khi trạm chạy",
            "the station is not running: it is recorded when it starts",
        ),
        false => say(
            lang,
            "trạm chưa ghi được vào nhật ký, sẽ ghi trước việc tiếp theo; lý do:",
            "not recorded in the station's chain yet, it is before the next work; because:",
        ),
    };
    line!(text, "  {words} {}", field(value, "not_recorded_because"));
}

pub(in crate::cli) fn person_limited(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let none = value["types"].as_array().is_some_and(Vec::is_empty)
        && value["recipients"].as_array().is_some_and(Vec::is_empty);
    let said = match none {
        true => say(lang, "Không còn giới hạn:", "Not limited any more:"),
        false => say(lang, "Đã giới hạn:", "Limited:"),
    };
    line!(text, "{said} {}", field(value, "name"));
    limits(&mut text, value, lang);
    recorded(&mut text, value, lang);
    text
}

pub(in crate::cli) fn person_added(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{} {}: {}", say(lang, "Đã thêm", "Added"), field(value, "name"), roles(value, lang));
    limits(&mut text, value, lang);
    recorded(&mut text, value, lang);
    line!(text, "  {} {}", say(lang, "tệp mã truy cập:", "token file:"), field(value, "token_file"));
    let next = say(
        lang,
        "Người này dùng `--as` cùng khóa sau; chuyển tệp về tài khoản riêng của người đó rồi chỉ đường dẫn bằng `--as-file`:",
        "This person uses `--as` with the key below; move the file to that person's own account and name it with `--as-file`:",
    );
    line!(text, "{next}\n  {}", field(value, "key"));
    text
}

pub(in crate::cli) fn person_removed(value: &Value, lang: Lang) -> String {
    let removed = say(
        lang,
        "Đã bỏ; mã truy cập không dùng được nữa. Việc đã ghi vẫn giữ nguyên tên:",
        "Removed; the token opens nothing any more. What was recorded keeps the name:",
    );
    let mut text = format!("{removed} {}\n", field(value, "name"));
    recorded(&mut text, value, lang);
    text
}
