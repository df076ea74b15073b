//! Answers as text.

use std::fmt::Write as _;

use schema::time::Millis;
use serde_json::Value;

use crate::api::time_in_vietnam;
use crate::words::Lang;

/// The Vietnamese or the English of a text that only the command line uses.
fn say(lang: Lang, vi: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Vi => vi,
        Lang::En => en,
    }
}

/// A field as text; a dash when there is none. Control characters from outside never reach the terminal.
fn field(value: &Value, name: &str) -> String {
    let text = match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn time(value: &Value, name: &str) -> String {
    value[name].as_u64().map_or_else(|| "–".to_owned(), |at| time_in_vietnam(Millis(at)))
}

fn rows<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

macro_rules! line {
    ($text:ident, $($format:tt)*) => {
        // Writing to a String cannot fail.
        let _ = writeln!($text, $($format)*);
    };
}

pub(super) fn made(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(
        text,
        "{} {}",
        say(lang, "Đã lập thư mục dữ liệu của trạm:", "Made the station's data folder:"),
        field(value, "data")
    );
    line!(text, "  {} {}", say(lang, "đơn vị:", "office:"), field(value, "office"));
    line!(
        text,
        "  {} {}",
        say(lang, "khóa ký (công khai):", "signing key (public):"),
        field(value, "signing_key")
    );
    line!(text, "  {} {}", say(lang, "tài khoản trạm chuyển tiếp:", "relay login:"), field(value, "login"));
    let next = if value["enrolled"] == Value::Bool(true) {
        say(lang, "Bước tiếp: `tram-node run`.", "Next: `tram-node run`.")
    } else {
        say(
            lang,
            "Bước tiếp: gửi hai khóa công khai trên cho nơi quản lý danh bạ, rồi đặt danh bạ \
             đã ký vào `directory.cbor`.",
            "Next: give both public keys to the registrar, then put the signed \
             directory into `directory.cbor`.",
        )
    };
    line!(text, "{next}");
    text
}

pub(super) fn saved(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let saved = say(lang, "Đã lưu văn bản", "Saved document");
    line!(text, "{saved} {}", field(value, "document"));
    let recipients = say(lang, "nơi nhận", "recipients");
    line!(text, "  {} {recipients}: {}", field(value, "recipients"), field(value, "status_text"));
    text
}

pub(super) fn incoming(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let rows = rows(value, "rows");
    if rows.is_empty() {
        line!(
            text,
            "{}",
            say(lang, "Chưa có văn bản đến. Trạm tự nhận khi có.", "No incoming documents yet.")
        );
    }
    for row in rows {
        line!(
            text,
            "{:>6}  {}  {}  {}",
            field(row, "ordinal"),
            time(row, "arrived_at"),
            urgency(row),
            field(row, "subject")
        );
        line!(text, "        {}  {}", field(row, "from_name"), field(row, "number"));
        let early = if row["in_order"] == Value::Bool(false) {
            say(lang, "  (đến trước văn bản gửi trước nó)", "  (shown before earlier ones of this sender)")
        } else {
            ""
        };
        line!(text, "        {}{early}", field(row, "document"));
    }
    more(&mut text, value, lang);
    text
}

pub(super) fn outgoing(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let rows = rows(value, "rows");
    if rows.is_empty() {
        line!(text, "{}", say(lang, "Chưa có văn bản đi.", "No outgoing documents yet."));
    }
    for row in rows {
        line!(
            text,
            "{:>6}  {}  {}  {}",
            field(row, "position"),
            time(row, "queued_at"),
            urgency(row),
            field(row, "subject")
        );
        let counts = [
            ("arrived", "biên nhận", "receipts"),
            ("left", "đã rời", "left"),
            ("recipients", "nơi nhận", "recipients"),
        ];
        let counts: Vec<String> =
            counts.iter().map(|(key, vi, en)| format!("{} {}", field(row, key), say(lang, vi, en))).collect();
        line!(text, "        {}: {}", field(row, "status_text"), counts.join(", "));
        line!(text, "        {}", field(row, "document"));
    }
    more(&mut text, value, lang);
    text
}

fn urgency(row: &Value) -> String {
    // Normal is blank, so that the others stand out.
    match row["urgency"].as_str() {
        Some("normal") | None => String::new(),
        Some(_) => format!("[{}]", field(row, "urgency_text")),
    }
}

fn more(text: &mut String, value: &Value, lang: Lang) {
    if let Some(next) = value["next"].as_u64() {
        line!(text, "{} --before {next}", say(lang, "Còn nữa:", "More:"));
    }
}

pub(super) fn document(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{}", field(value, "subject"));
    line!(text, "  {} {}", say(lang, "văn bản:", "document:"), field(value, "document"));
    line!(text, "  {} {}", say(lang, "nơi gửi:", "sender:"), field(value, "from_name"));
    line!(text, "  {} {}", say(lang, "số, ký hiệu:", "number:"), field(value, "number"));
    line!(text, "  {} {}", say(lang, "độ khẩn:", "urgency:"), field(value, "urgency_text"));
    line!(text, "  {} {}", say(lang, "sự kiện:", "event:"), field(value, "event"));
    for (index, attachment) in rows(value, "attachments").iter().enumerate() {
        let awaited = if attachment["complete"] == Value::Bool(true) {
            ""
        } else {
            say(lang, " (chưa về đủ)", " (awaited)")
        };
        let (name, length) = (field(attachment, "name"), field(attachment, "length"));
        line!(text, "  {} {}: {name}, {length} B{awaited}", say(lang, "tệp", "attachment"), index + 1);
        line!(text, "      sha256 {}", field(attachment, "hash"));
    }
    timeline(&mut text, rows(value, "steps"), lang);
    for recipient in rows(value, "recipients") {
        line!(text, "→ {}: {}", field(recipient, "office_name"), field(recipient, "status_text"));
        timeline(&mut text, rows(recipient, "steps"), lang);
    }
    text
}

fn timeline(text: &mut String, steps: &[Value], lang: Lang) {
    for step in steps {
        let note = if step["note"].is_null() { String::new() } else { format!(" [{}]", field(step, "note")) };
        line!(text, "    {}  {}{note}", time(step, "at"), field(step, "text"));
        line!(text, "        {} {}", say(lang, "ai:", "who:"), field(step, "who_name"));
        if !step["event"].is_null() {
            line!(text, "        {} {}", say(lang, "sự kiện:", "event:"), field(step, "event"));
        }
        line!(text, "        {} {}", say(lang, "chứng minh:", "proven:"), field(step, "proves"));
    }
}

pub(super) fn why(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let recipients = rows(value, "recipients");
    if recipients.is_empty() {
        line!(
            text,
            "{}",
            say(lang, "Đã có biên nhận của mọi nơi nhận.", "Every recipient has given its receipt.")
        );
    }
    for recipient in recipients {
        line!(text, "→ {}", field(recipient, "office_name"));
        line!(text, "    {} {}", say(lang, "vì sao:", "cause:"), field(recipient, "cause_text"));
        if !recipient["reason"].is_null() {
            line!(
                text,
                "    {} {}",
                say(lang, "lời trạm chuyển tiếp:", "the relay's words:"),
                field(recipient, "reason")
            );
        }
        let (attempts, next) = (field(recipient, "attempts"), time(recipient, "next_attempt_at"));
        line!(
            text,
            "    {} {attempts}, {} {next}",
            say(lang, "số lần gửi:", "attempts:"),
            say(lang, "lần tới:", "next:")
        );
        line!(text, "    {} {}", say(lang, "ai phải làm:", "who must act:"), field(recipient, "who_text"));
        if recipient["overdue"] == Value::Bool(true) {
            line!(text, "    {}", say(lang, "chưa có biên nhận (quá hạn)", "no receipt yet (overdue)"));
        }
    }
    links(&mut text, value, lang);
    text
}

fn links(text: &mut String, value: &Value, lang: Lang) {
    for link in rows(value, "links") {
        let since = time(link, "since");
        let name = say(lang, "trạm chuyển tiếp", "relay");
        line!(
            text,
            "{name} {}: {}, {} {since}",
            field(link, "relay"),
            field(link, "state_text"),
            say(lang, "từ", "since")
        );
        if !link["last_error"].is_null() {
            line!(text, "    {} {}", say(lang, "lần cuối:", "last:"), field(link, "last_error"));
        }
    }
}

pub(super) fn status(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{} ({})", field(value, "office_name"), field(value, "office"));
    links(&mut text, value, lang);
    let counts = [
        ("incoming", "văn bản đến", "incoming documents"),
        ("outgoing", "văn bản đi", "outgoing documents"),
        ("queued", "chờ gửi", "queued"),
        ("open", "chưa có biên nhận", "without a receipt"),
        ("overdue", "quá hạn biên nhận", "overdue"),
        ("awaited_attachments", "tệp đang chờ", "awaited attachments"),
        ("alarms", "cảnh báo", "alarms"),
        ("quarantined", "bị từ chối ở cửa", "refused at the door"),
    ];
    for (key, vi, en) in counts {
        line!(text, "{:>8}  {}", field(value, key), say(lang, vi, en));
    }
    let chain = say(lang, "chuỗi: lần", "chain: incarnation");
    line!(
        text,
        "{chain} {}, #{}, {}",
        field(value, "incarnation"),
        field(value, "seq"),
        field(value, "head")
    );
    text
}

pub(super) fn alarms(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    for row in rows(value, "rows") {
        line!(text, "{}  {}  {}", time(row, "at"), field(row, "office_name"), field(row, "text"));
        line!(text, "    {}", field(row, "detail"));
    }
    if text.is_empty() {
        line!(text, "{}", say(lang, "Không có cảnh báo.", "No alarms."));
    }
    text
}

pub(super) fn quarantine(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    for row in rows(value, "rows") {
        line!(
            text,
            "{:>6}  {}  {}  {} B",
            field(row, "no"),
            time(row, "at"),
            field(row, "source"),
            field(row, "bytes")
        );
        line!(text, "        {}", field(row, "reason"));
    }
    if text.is_empty() {
        line!(text, "{}", say(lang, "Chưa từ chối gì ở cửa.", "Nothing was refused at the door."));
    }
    text
}

pub(super) fn offices(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    for row in rows(value, "rows") {
        let codes: Vec<String> = rows(row, "codes").iter().map(|code| field(code, "code")).collect();
        let station =
            if row["enrolled"] == Value::Bool(true) { say(lang, "có trạm", "has a station") } else { "" };
        let parent = if row["parent_name"].is_null() {
            String::new()
        } else {
            format!(", {}", field(row, "parent_name"))
        };
        line!(
            text,
            "{}  {}{parent}  [{}]  {station}",
            field(row, "office"),
            field(row, "office_name"),
            codes.join(", ")
        );
    }
    if text.is_empty() {
        line!(text, "{}", say(lang, "Không tìm thấy đơn vị nào.", "No office found."));
    }
    text
}

pub(super) fn fetched(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    for row in rows(value, "files") {
        line!(
            text,
            "{}  {} B  {}",
            field(row, "file"),
            field(row, "bytes"),
            say(lang, "đúng mã băm", "hash is right")
        );
    }
    text
}

pub(super) fn exported(value: &Value, lang: Lang) -> String {
    let written = say(lang, "Đã ghi tệp chuyển tay", "Wrote courier file");
    let still = say(
        lang,
        "Văn bản trong tệp vẫn là chờ gửi cho tới khi có biên nhận.",
        "What is in it stays without a receipt until the receipts come back.",
    );
    format!("{written} {} ({} B)\n{still}\n", field(value, "file"), field(value, "bytes"))
}

pub(super) fn imported(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let counts = [
        ("new", "mới", "new"),
        ("repeated", "đã có từ trước", "held already"),
        ("not_for_us", "cho đơn vị khác", "for other offices"),
        ("refused", "bị từ chối", "refused"),
        ("attachments", "tệp đính kèm", "attachments"),
        ("attachments_awaited", "tệp đính kèm chưa đủ", "attachments not complete yet"),
    ];
    for (key, vi, en) in counts {
        line!(text, "{:>8}  {}", field(value, key), say(lang, vi, en));
    }
    text
}

pub(super) fn damaged(value: &Value, lang: Lang) -> String {
    let words = say(
        lang,
        "tệp chuyển tay hỏng hoặc thiếu phần cuối; phần trước đó đã được nhận",
        "the courier file is damaged or cut; what came before that was taken",
    );
    format!("{words}: {}", field(value, "damage"))
}
