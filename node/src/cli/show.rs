//! Answers as text.

use std::fmt::Write as _;

use schema::time::{Day, Millis};
use serde_json::Value;

use crate::api::time_in_vietnam;
use crate::config::DataFolder;
use crate::words::Lang;

/// The Vietnamese or the English of a text that only the command line uses.
pub(super) fn say(lang: Lang, vi: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Vi => vi,
        Lang::En => en,
    }
}

/// A field as text; a dash when there is none. Control characters from outside never reach the terminal.
pub(super) fn field(value: &Value, name: &str) -> String {
    let text = match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn time(value: &Value, name: &str) -> String {
    value[name].as_u64().map_or_else(|| "–".to_owned(), |at| time_in_vietnam(Millis(at)))
}

pub(super) fn rows<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

macro_rules! line {
    ($text:ident, $($format:tt)*) => {
        // Writing to a String cannot fail.
        let _ = writeln!($text, $($format)*);
    };
}
pub(super) use line;

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
    line!(text, "  {}", field(value, "state_text"));
    if !value["unencrypted_copy"].is_null() {
        let copy = say(
            lang,
            "khóa chưa mã hóa vẫn còn trong gói đăng ký, hãy hủy sau khi đã cất bản dự phòng:",
            "the bundle still holds the key unencrypted; destroy it once a copy is kept in a safe place:",
        );
        line!(text, "  {copy} {}", field(value, "unencrypted_copy"));
    }
    line!(text, "  {} {}", say(lang, "tài khoản trạm chuyển tiếp:", "relay login:"), field(value, "login"));
    let next = if value["enrolled"] == Value::Bool(true) {
        say(lang, "Bước tiếp: `tram-node run`.", "Next: `tram-node run`.")
    } else {
        say(
            lang,
            "Bước tiếp: gửi hai khóa công khai trên cho nơi quản lý danh bạ và cơ quan cấp chứng thư, rồi nhập tệp \
             họ trả lại: `tram-node registry import registry.cbor`.",
            "Next: give both public keys to the registrar and to the certificate authority, then take in what they \
             give back: `tram-node registry import registry.cbor`.",
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

pub(super) fn frozen(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{} {}", say(lang, "Đã chốt nội dung vào tệp:", "Frozen in:"), field(value, "file"));
    line!(text, "  {} {}", say(lang, "văn bản:", "document:"), field(value, "document"));
    line!(text, "  {} {}", say(lang, "trích yếu:", "abstract:"), field(value, "subject"));
    line!(text, "  sha256: {}", field(value, "sha256"));
    let next = say(
        lang,
        "Chưa gửi gì. Hãy để người có thẩm quyền ký tệp này, rồi gửi bằng: tram-node send --manifest",
        "Nothing was sent. Have this file signed, then: tram-node send --manifest",
    );
    line!(text, "{next} {} --signature …", field(value, "file"));
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
        if row["outcome"] != "valid" && !row["outcome"].is_null() {
            line!(text, "        {} {}", say(lang, "chữ ký:", "signatures:"), field(row, "outcome_text"));
        }
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

/// A day as people write it; empty when there is none.
fn day(value: &Value) -> String {
    let day = value.as_str().and_then(|text| text.parse::<Day>().ok());
    day.map(|day| day.to_string()).unwrap_or_default()
}

pub(super) fn document(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{}", field(value, "subject"));
    line!(text, "  {} {}", say(lang, "văn bản:", "document:"), field(value, "document"));
    line!(text, "  {} {}", say(lang, "nơi gửi:", "sender:"), field(value, "from_name"));
    line!(text, "  {} {}", say(lang, "loại:", "type:"), field(value, "document_type_text"));
    let issued_on = day(&value["issued_on"]);
    line!(text, "  {} {}  {issued_on}", say(lang, "số, ký hiệu:", "number:"), field(value, "number"));
    let signer = &value["signer"];
    line!(
        text,
        "  {} {}, {} ({})",
        say(lang, "người ký:", "signer:"),
        field(signer, "name"),
        field(signer, "position"),
        field(signer, "capacity_text")
    );
    line!(text, "  {} {}", say(lang, "độ khẩn:", "urgency:"), field(value, "urgency_text"));
    line!(text, "  {} {}", say(lang, "số trang:", "pages:"), field(value, "pages"));
    for (key, vi, en) in [("place", "địa danh:", "place:"), ("paper_text", "kèm bản giấy:", "paper follows:")]
    {
        if !value[key].is_null() {
            line!(text, "  {} {}", say(lang, vi, en), field(value, key));
        }
    }
    if !value["due"].is_null() {
        line!(text, "  {} {}", say(lang, "hạn trả lời:", "answer by:"), day(&value["due"]));
    }
    for reference in rows(value, "responds_to") {
        let answers = say(lang, "trả lời văn bản:", "answers:");
        line!(text, "  {answers} {} ({})", field(reference, "number"), day(&reference["issued_on"]));
    }
    for line in value["places"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        line!(text, "  {} {line}", say(lang, "nơi nhận:", "recipients:"));
    }
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
    verdict(&mut text, &value["verdict"], lang);
    for signature in rows(value, "signatures") {
        person(&mut text, signature, lang);
    }
    timeline(&mut text, rows(value, "steps"), lang);
    for recipient in rows(value, "recipients") {
        line!(text, "→ {}: {}", field(recipient, "office_name"), field(recipient, "status_text"));
        timeline(&mut text, rows(recipient, "steps"), lang);
    }
    text
}

/// What the signatures are worth: each item by itself, with its reason.
fn verdict(text: &mut String, value: &Value, lang: Lang) {
    if value.is_null() {
        return;
    }
    let open = if value["may_change"] == Value::Bool(true) {
        say(lang, " (sẽ tự kiểm tra lại khi có dữ liệu mới)", " (judged again when something newer comes)")
    } else {
        ""
    };
    line!(text, "  {} {}{open}", say(lang, "giá trị:", "worth:"), field(value, "legal_value_text"));
    let seal = &value["seal"];
    let (of, outcome) =
        (say(lang, "chữ ký của cơ quan:", "the office's signature:"), field(seal, "outcome_text"));
    line!(text, "  {of} {outcome}");
    line!(text, "    {} {}", say(lang, "người ký:", "signer:"), field(seal, "signer"));
    line!(text, "    {} {}", say(lang, "nơi cấp chứng thư:", "issuer:"), field(seal, "issuer"));
    findings(text, seal);
}

/// The signature of a person on the document.
fn person(text: &mut String, signature: &Value, lang: Lang) {
    let outcome = field(signature, "outcome_text");
    line!(text, "  {} {outcome}", say(lang, "chữ ký của cá nhân:", "a person's signature:"));
    if !signature["signer"].is_null() {
        let claimed = if signature["identified"] == Value::Bool(true) {
            ""
        } else {
            say(lang, " (theo chứng thư số, chưa được chứng minh)", " (says the certificate; not proven)")
        };
        let title = if signature["title"].is_null() {
            String::new()
        } else {
            format!(", {}", field(signature, "title"))
        };
        line!(
            text,
            "    {} {}{title}{claimed}",
            say(lang, "người ký:", "signer:"),
            field(signature, "signer")
        );
        line!(text, "    {} {}", say(lang, "đơn vị:", "unit:"), field(signature, "unit"));
        line!(text, "    {} {}", say(lang, "nơi cấp chứng thư:", "issuer:"), field(signature, "issuer"));
        let at = time(signature, "claimed_at");
        line!(
            text,
            "    {} {at}",
            say(lang, "thời gian ký (theo người ký):", "signed at (the signer says):")
        );
    }
    findings(text, signature);
}

fn findings(text: &mut String, signature: &Value) {
    for finding in rows(signature, "findings") {
        let (item, outcome) = (field(finding, "item_text"), field(finding, "outcome_text"));
        line!(text, "    {item}: {outcome}. {}", field(finding, "reason"));
    }
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
            if !recipient["reason_text"].is_null() {
                line!(text, "    {}", field(recipient, "reason_text"));
            }
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

/// Says when the clock of this machine is wrong, and by how much.
fn clock(text: &mut String, clock: &Value, lang: Lang) {
    let Some(ahead) = clock["ahead_ms"].as_i64().filter(|_| clock["wrong"] == Value::Bool(true)) else {
        return;
    };
    let off = time_span(ahead.unsigned_abs(), lang);
    let slow = ahead > 0;
    match lang {
        Lang::Vi => {
            let how = if slow { "chậm" } else { "nhanh" };
            line!(
                text,
                "ĐỒNG HỒ MÁY NÀY {how} {off} so với trạm chuyển tiếp: hãy chỉnh lại đồng hồ. Giờ ghi ở đây và các thời \
                 hạn bị lệch; hiệu lực chữ ký và thứ tự văn bản không phụ thuộc đồng hồ này."
            );
        }
        Lang::En => {
            let how = if slow { "behind" } else { "ahead of" };
            line!(
                text,
                "THIS MACHINE'S CLOCK is {off} {how} the relay's: set it. Times and deadlines shown here are off; what \
                 signatures are worth and the order of documents do not depend on it."
            );
        }
    }
}

/// A span for people: the two largest units at most.
fn time_span(ms: u64, lang: Lang) -> String {
    let minutes = ms / 60_000;
    let (days, hours, minutes) = (minutes / 1_440, minutes / 60 % 24, minutes % 60);
    let units = [(days, "ngày", "d"), (hours, "giờ", "h"), (minutes, "phút", "min")];
    let shown = units.iter().skip_while(|(count, ..)| *count == 0).take(2).filter(|(count, ..)| *count > 0);
    shown.map(|(count, vi, en)| format!("{count} {}", say(lang, vi, en))).collect::<Vec<_>>().join(" ")
}

pub(super) fn status(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{} ({})", field(value, "office_name"), field(value, "office"));
    links(&mut text, value, lang);
    clock(&mut text, &value["clock"], lang);
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
    let last = say(lang, "kiểm tra toàn bộ kho gần nhất:", "last full check of the store:");
    if value["full_check"].is_null() {
        let never = say(lang, "chưa có (trạm tự kiểm tra mỗi ngày)", "none yet (the station does it daily)");
        line!(text, "{last} {never}");
    } else {
        let check = &value["full_check"];
        line!(text, "{last} {}, {}", time(check, "at"), outcome(check, lang));
    }
    line!(text, "{}", field(value, "key_protection_text"));
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
        if !row["subject"].is_null() {
            line!(text, "    {} {}", field(row, "number"), field(row, "subject"));
        }
        if !row["outcome_text"].is_null() {
            line!(text, "    {} {}", say(lang, "khi đó:", "then:"), field(row, "outcome_text"));
        }
        if row["settled"] == Value::Bool(true) {
            let settled =
                say(lang, "đã giải quyết: khóa này nay được công nhận", "settled: this key counts now");
            line!(text, "    {settled}");
        }
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
        let reason = match lang {
            Lang::Vi => "reason_vi",
            Lang::En => "reason",
        };
        line!(text, "        {}", field(row, reason));
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

/// What a full check found, in one line.
fn outcome(check: &Value, lang: Lang) -> String {
    if !check["broken"].is_null() {
        return format!("{}: {}", say(lang, "HỎNG", "DAMAGED"), field(check, "broken"));
    }
    let unjudged = match check["unjudged"].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!(
            ", {count} {}",
            say(
                lang,
                "chữ ký không xét được (danh bạ không còn khóa)",
                "signatures could not be judged (the directory does not know the key)"
            )
        ),
    };
    format!(
        "{} {}, {} {}: {}{unjudged}",
        field(check, "events"),
        say(lang, "sự kiện", "events"),
        field(check, "attachments"),
        say(lang, "tệp đính kèm", "attachments"),
        say(lang, "nguyên vẹn", "sound"),
    )
}

pub(super) fn verified(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{}", field(value, "store"));
    let ms = say(lang, "mất", "took");
    line!(text, "  {} ({ms} {} ms)", outcome(value, lang), field(value, "took_ms"));
    text
}

/// What to do about a damaged store.
pub(super) fn damaged_store(folder: &DataFolder, lang: Lang) -> String {
    let data = folder.path().display();
    let database = folder.database();
    let database = database.display();
    match lang {
        Lang::Vi => format!(
            "Kho dữ liệu của trạm bị hỏng: trạm không chạy. Chưa có gì bị ghi đè hay xóa.\n\
             Việc cần làm:\n  \
             1. Giữ nguyên `{database}` và các tệp bên cạnh; đừng xóa, đừng sửa.\n  \
             2. Xem hỏng ở đâu: `tram-node --data {data} verify`.\n  \
             3. Khôi phục từ bản sao lưu: `tram-node --data {data} restore --from <thư mục sao lưu>` \
             (thêm `--replace` nếu được yêu cầu; kho hỏng được chuyển sang bên, không bị xóa).\n  \
             4. Kiểm tra ổ đĩa của máy trước khi dùng tiếp."
        ),
        Lang::En => format!(
            "The station's store is damaged: the station does not run. Nothing was overwritten or deleted.\n\
             What to do:\n  \
             1. Keep `{database}` and the files beside it as they are.\n  \
             2. See where it is damaged: `tram-node --data {data} verify`.\n  \
             3. Restore a backup: `tram-node --data {data} restore --from <backup folder>` (with `--replace` \
             when asked for; the damaged store is moved aside, not deleted).\n  \
             4. Check this machine's disk before you go on."
        ),
    }
}

/// A full check found damage.
pub(super) fn broken(found: &str, folder: &DataFolder, lang: Lang) -> String {
    let found: String = found.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{found}\n{}", damaged_store(folder, lang))
}

fn what_backup(text: &mut String, value: &Value, lang: Lang) {
    let name = if value["office_name"].is_null() {
        String::new()
    } else {
        format!(" {}", field(value, "office_name"))
    };
    line!(text, "  {}{name} ({})", say(lang, "đơn vị:", "office:"), field(value, "office"));
    line!(text, "  {} {}", say(lang, "thời điểm sao lưu:", "taken:"), time(value, "sealed_at"));
    let incarnation =
        if value["backup_incarnation"].is_null() { "incarnation" } else { "backup_incarnation" };
    line!(
        text,
        "  {} {} #{}, {}",
        say(lang, "sự kiện cuối: lần", "last event: incarnation"),
        field(value, incarnation),
        field(value, "seq"),
        field(value, "head")
    );
    line!(
        text,
        "  {} {}, {} {}, {} {}, {} B",
        say(lang, "văn bản đến", "incoming documents"),
        field(value, "incoming"),
        say(lang, "văn bản đi", "outgoing documents"),
        field(value, "outgoing"),
        say(lang, "mục nhật ký", "journal entries"),
        field(value, "journal"),
        field(value, "bytes"),
    );
}

pub(super) fn backed_up(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{} {}", say(lang, "Đã sao lưu vào", "Made backup"), field(value, "backup"));
    what_backup(&mut text, value, lang);
    for path in rows(value, "removed") {
        let removed = say(lang, "đã xóa bản sao lưu cũ", "removed older backup");
        line!(text, "  {removed} {}", path.as_str().unwrap_or_default());
    }
    for path in rows(value, "unfinished") {
        let unfinished = say(
            lang,
            "bản sao lưu dở dang của lần bị ngắt, có thể xóa bằng tay:",
            "left behind by a backup that was broken off, may be removed by hand:",
        );
        line!(text, "  {unfinished} {}", path.as_str().unwrap_or_default());
    }
    line!(
        text,
        "{}",
        say(
            lang,
            "KHÔNG gồm khóa bí mật và cụm mật khẩu; thiếu chúng thì không khôi phục được. Hãy cất chúng ở nơi \
            khác (ví dụ phong bì niêm phong lúc đăng ký). Khóa hiện ở:",
            "The private keys and the passphrase are NOT in it, and without them it cannot be restored. Keep \
            them in another place (for instance the sealed envelope of the enrolment). The keys are in:"
        )
    );
    for path in rows(value, "keys_not_included") {
        line!(text, "  {}", path.as_str().unwrap_or_default());
    }
    text
}

pub(super) fn backup_checked(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let sound = say(lang, "Bản sao lưu nguyên vẹn:", "The backup is sound:");
    line!(text, "{sound} {}", field(value, "backup"));
    what_backup(&mut text, value, lang);
    line!(text, "  {} {}", say(lang, "đã kiểm tra:", "checked:"), outcome(value, lang));
    if value["trust"] == "backup" {
        let own = say(
            lang,
            "Máy này không có trạm: chỉ so được với danh bạ nằm trong chính bản sao lưu. Hãy đối chiếu khóa gốc:",
            "There is no station here: it was compared with the directory inside the backup itself. Compare \
            the root key with the one you know:",
        );
        line!(text, "{own} {}", field(value, "root_key"));
    }
    text
}

pub(super) fn restored(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{} {}", say(lang, "Đã khôi phục vào", "Restored into"), field(value, "data"));
    what_backup(&mut text, value, lang);
    if !value["moved_aside"].is_null() {
        let aside = say(lang, "kho trước đó được giữ tại", "the store that was there is kept in");
        line!(text, "  {aside} {}", field(value, "moved_aside"));
    }
    if value["settings_brought"] == Value::Bool(true) {
        let brought = say(
            lang,
            "thiết lập và danh bạ lấy từ bản sao lưu; hãy kiểm tra địa chỉ trong `config.toml` và tệp đăng nhập",
            "settings and directory came from the backup; check the addresses in `config.toml` and the login file",
        );
        line!(text, "  {brought}");
    }
    match value["settled"].as_str() {
        Some("undone") => {
            let undone = say(
                lang,
                "một lần khôi phục bị ngắt trước đó đã được hoàn lại",
                "an earlier restore that was broken off was undone first",
            );
            line!(text, "  {undone}");
        }
        Some(_) => {
            let finished = say(
                lang,
                "một lần khôi phục bị ngắt trước đó đã được hoàn tất",
                "an earlier restore that was broken off was finished first",
            );
            line!(text, "  {finished}");
        }
        None => {}
    }
    let life = say(lang, "Trạm bắt đầu lần", "The station starts incarnation");
    line!(text, "{life} {}.", field(value, "incarnation"));
    let next = match lang {
        Lang::Vi => {
            "Điều gì xảy ra bây giờ:\n  \
             - Khi chạy lại (`tram-node run`), trạm báo cho mọi đơn vị đã trao đổi rằng dữ liệu được khôi \
             phục, rồi gửi lại văn bản chưa có biên nhận.\n  \
             - Thứ tự được bảo đảm trong cùng một lần; giữa hai lần thì không.\n  \
             - Văn bản gửi đi sau thời điểm sao lưu chỉ còn ở nơi nhận; văn bản đến sau thời điểm đó được \
             nơi gửi gửi lại.\n\
             Cần kiểm tra:\n  \
             - `tram-node alarms`: mục «nơi khác giữ sự kiện mà tại đây đã mất» là văn bản đi không còn ở \
             đây.\n  \
             - `tram-node outgoing`, `tram-node incoming`: đối chiếu với sổ từ thời điểm sao lưu.\n  \
             - Bảo đảm không còn máy nào khác chạy với cùng khóa."
        }
        Lang::En => {
            "What happens now:\n  \
             - When it runs again (`tram-node run`), the station tells every correspondent that its data was \
             restored, and sends again what has no receipt.\n  \
             - Order is promised within an incarnation, not across two.\n  \
             - What was sent after the backup exists only at its recipients; what arrived after it is asked \
             back, and its senders send it again.\n\
             What to check:\n  \
             - `tram-node alarms`: «elsewhere an event is held that is lost here» is a document sent that is \
             not here any more.\n  \
             - `tram-node outgoing`, `tram-node incoming`: compare with the registers since the backup.\n  \
             - That no other machine runs with the same key."
        }
    };
    line!(text, "{next}");
    text
}
