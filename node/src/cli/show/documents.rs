//! Documents: saved, listed, shown, carried by courier.

use std::fmt::Write as _;

use schema::time::Day;
use serde_json::Value;

use super::station::links;
use super::work::{amends, progress};
use super::{field, line, rows, say, time};
use crate::words::Lang;

pub(in crate::cli) fn saved(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let saved = say(lang, "Đã lưu văn bản", "Saved document");
    line!(text, "{saved} {}", field(value, "document"));
    let recipients = say(lang, "nơi nhận", "recipients");
    line!(text, "  {} {recipients}: {}", field(value, "recipients"), field(value, "status_text"));
    text
}

pub(in crate::cli) fn frozen(value: &Value, lang: Lang) -> String {
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

pub(in crate::cli) fn incoming(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let rows = rows(value, "rows");
    if rows.is_empty() {
        let none = ("Không có văn bản đến nào như vậy. Trạm tự nhận khi có.", "No such incoming documents.");
        line!(text, "{}", say(lang, none.0, none.1));
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
        amends(&mut text, &row["amends"], false, lang);
        progress(&mut text, row, lang);
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

pub(in crate::cli) fn outgoing(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let rows = rows(value, "rows");
    if rows.is_empty() {
        line!(text, "{}", say(lang, "Không có văn bản đi nào như vậy.", "No such outgoing documents."));
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
    behind(text, value, lang);
    if let Some(next) = value["next"].as_u64() {
        line!(text, "{} --before {next}", say(lang, "Còn nữa:", "More:"));
    }
}

/// Whether something may be missing because the search index is not up to date.
pub(super) fn behind(text: &mut String, value: &Value, lang: Lang) {
    if value["complete"] == Value::Bool(false) {
        let behind = say(
            lang,
            "Chỉ mục tìm kiếm chưa cập nhật xong: có thể còn văn bản chưa hiện. Hãy tìm lại sau ít phút.",
            "The search index is still being made: there may be more. Search again in a few minutes.",
        );
        line!(text, "{behind}");
    }
}

/// A day as people write it; empty when there is none.
pub(in crate::cli) fn day(value: &Value) -> String {
    let day = value.as_str().and_then(|text| text.parse::<Day>().ok());
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// The archive that can read a document, by its name, or by its id when the directory does not know it.
pub(in crate::cli) fn archive(value: &Value) -> String {
    let name = if value["archive_name"].is_null() { "archive" } else { "archive_name" };
    field(value, name)
}

pub(in crate::cli) fn document(value: &Value, lang: Lang) -> String {
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
        let (number, on) = (field(reference, "number"), day(&reference["issued_on"]));
        line!(text, "  {answers} {number} ({on}), {}", field(reference, "issuer_name"));
    }
    for line in value["recipient_lines"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        line!(text, "  {} {line}", say(lang, "nơi nhận:", "recipients:"));
    }
    if !value["archive"].is_null() {
        line!(text, "  {} {}", say(lang, "lưu trữ đọc được:", "archive that can read it:"), archive(value));
    }
    amends(&mut text, &value["amends"], true, lang);
    line!(text, "  {} {}", say(lang, "sự kiện:", "event:"), field(value, "event"));
    erasure(&mut text, &value["erased"], lang);
    for (index, attachment) in rows(value, "attachments").iter().enumerate() {
        let awaited = match attachment["state"].as_str() {
            Some("here") => "",
            Some("unreadable") => say(
                lang,
                " (KHÔNG đúng tệp mà văn bản nêu; hãy đề nghị đơn vị gửi gửi lại)",
                " (NOT the file that the document names; ask its sender to send it anew)",
            ),
            Some("gone") => {
                say(lang, " (đã mất; bên kia đã tiêu hủy)", " (lost; the other office has erased it)")
            }
            Some("erased") => say(lang, " (đã tiêu hủy nội dung)", " (content erased)"),
            _ => say(lang, " (đang về)", " (arriving)"),
        };
        let (name, length) = (field(attachment, "name"), field(attachment, "length"));
        line!(text, "  {} {}: {name}, {length} B{awaited}", say(lang, "tệp", "attachment"), index + 1);
        line!(text, "      sha256 {}", field(attachment, "sha256"));
        let found = &attachment["found"];
        if !found["media_type"].is_null() {
            let of_bytes = say(lang, "loại tệp theo nội dung:", "type by its content:");
            line!(text, "      {of_bytes} {}", field(found, "media_type"));
        }
        for warning in rows(found, "warnings") {
            line!(text, "      {} {}", say(lang, "CẢNH BÁO:", "WARNING:"), field(warning, "text"));
        }
    }
    verdict(&mut text, &value["verdict"], lang);
    for signature in rows(value, "signatures") {
        person(&mut text, signature, lang);
    }
    if !value["progress"].is_null() {
        progress(&mut text, &value["progress"], lang);
    }
    timeline(&mut text, rows(value, "steps"), lang);
    for recipient in rows(value, "recipients") {
        line!(text, "→ {}: {}", field(recipient, "office_name"), field(recipient, "status_text"));
        if !recipient["progress"].is_null() {
            progress(&mut text, &recipient["progress"], lang);
        }
        timeline(&mut text, rows(recipient, "steps"), lang);
    }
    text
}

/// That the content of a document is erased here, and on what ground.
fn erasure(text: &mut String, value: &Value, lang: Lang) {
    if value.is_null() {
        return;
    }
    let (at, by) = (time(value, "at"), field(value, "by"));
    line!(text, "  {} {at}, {by}", say(lang, "ĐÃ TIÊU HỦY NỘI DUNG:", "CONTENT ERASED:"));
    let ground = match value["kept_until"].is_null() {
        true => say(
            lang,
            "theo quyết định, trước khi hết thời hạn bảo quản",
            "ordered before its time of keeping had ended",
        )
        .to_owned(),
        false => {
            let kept = say(lang, "hết thời hạn bảo quản ngày", "was to be kept until");
            format!("{kept} {}", day(&value["kept_until"]))
        }
    };
    line!(text, "    {} {ground}", say(lang, "căn cứ:", "ground:"));
    line!(text, "    {} {}", say(lang, "quyết định:", "decision:"), field(value, "decision"));
    line!(text, "    {} {}", say(lang, "lý do:", "reason:"), field(value, "reason"));
}

pub(in crate::cli) fn erased(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    for row in rows(value, "documents") {
        let done = match (row["erased"] == Value::Bool(true), row["allowed"] == Value::Bool(true)) {
            (true, _) => say(lang, "đã tiêu hủy nội dung", "content erased"),
            (false, true) => say(lang, "tiêu hủy được (chưa làm gì)", "may be erased (nothing was done)"),
            (false, false) => say(lang, "KHÔNG tiêu hủy", "NOT erased"),
        };
        line!(text, "{}  {done}", field(row, "document"));
        if !row["message"].is_null() {
            line!(text, "    {}", field(row, "message"));
        }
    }
    let stays = say(
        lang,
        "Mã băm, chữ ký, số và dòng trong sổ vẫn giữ. Bản sao lưu làm trước đó vẫn còn nội dung cho tới khi chính bản sao lưu bị hủy.",
        "Hashes, signatures, number and line of the register stay. Backups that were made before hold the content until they are destroyed \
         themselves.",
    );
    line!(text, "{stays}");
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
    line!(text, "  {} {}", say(lang, "giá trị:", "worth:"), field(value, "legal_value_text"));
    let seal = &value["seal"];
    let (of, outcome) =
        (say(lang, "chữ ký của cơ quan:", "the office's signature:"), field(seal, "outcome_text"));
    line!(text, "  {of} {outcome}{open}");
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

pub(super) fn timeline(text: &mut String, steps: &[Value], lang: Lang) {
    for step in steps {
        let note = if step["note"].is_null() { String::new() } else { format!(" [{}]", field(step, "note")) };
        line!(text, "    {}  {}{note}", time(step, "at"), field(step, "text"));
        let by = if step["by"].is_null() { String::new() } else { format!(", {}", field(step, "by")) };
        line!(text, "        {} {}{by}", say(lang, "ai:", "who:"), field(step, "who_name"));
        if !step["event"].is_null() {
            line!(text, "        {} {}", say(lang, "sự kiện:", "event:"), field(step, "event"));
        }
        line!(text, "        {} {}", say(lang, "chứng minh:", "proven:"), field(step, "proves"));
    }
}

pub(in crate::cli) fn signatures(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let attachments = rows(value, "attachments");
    if attachments.is_empty() {
        line!(text, "{}", say(lang, "Văn bản không có tệp đính kèm.", "The document has no attachments."));
    }
    for attachment in attachments {
        line!(text, "{}. {}", field(attachment, "attachment"), field(attachment, "name"));
        if attachment["judged"] == Value::Bool(false) {
            line!(text, "   {}", field(&attachment["unjudged"], "text"));
            continue;
        }
        let signatures = rows(attachment, "signatures");
        if signatures.is_empty() {
            line!(
                text,
                "   {}",
                say(lang, "Tệp không có chữ ký bên trong.", "There is no signature inside the file.")
            );
        }
        for signature in signatures {
            let who = match signature["identified"] == Value::Bool(true) {
                true => say(lang, "người ký:", "signer:"),
                false => {
                    say(lang, "người ký (tự khai, chưa được xác thực):", "signer (as claimed, not proven):")
                }
            };
            line!(text, "   {}", field(signature, "outcome_text"));
            line!(text, "     {who} {}", field(signature, "signer"));
            let claimed =
                say(lang, "thời gian ký (theo người ký khai):", "time of signing (as the signer says):");
            line!(text, "     {claimed} {}", time(signature, "claimed_at"));
            for reason in rows(signature, "reasons") {
                line!(text, "     - {}", field(reason, "text"));
            }
            for warning in rows(signature, "warnings") {
                line!(text, "     {} {}", say(lang, "lưu ý:", "note:"), field(warning, "text"));
            }
        }
        for warning in rows(attachment, "warnings") {
            line!(text, "   {} {}", say(lang, "lưu ý:", "note:"), field(warning, "text"));
        }
    }
    text
}

pub(in crate::cli) fn why(value: &Value, lang: Lang) -> String {
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

pub(in crate::cli) fn fetched(value: &Value, lang: Lang) -> String {
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

pub(in crate::cli) fn exported(value: &Value, lang: Lang) -> String {
    let written = say(lang, "Đã ghi tệp chuyển tay", "Wrote courier file");
    let still = say(
        lang,
        "Văn bản trong tệp vẫn là chờ gửi cho tới khi có biên nhận.",
        "What is in it stays without a receipt until the receipts come back.",
    );
    format!("{written} {} ({} B)\n{still}\n", field(value, "file"), field(value, "bytes"))
}

/// What was read of a courier file without taking it in.
pub(in crate::cli) fn courier_read(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    for document in rows(value, "documents") {
        line!(text, "{}", field(document, "subject"));
        let number = [field(document, "number"), day(&document["issued_on"])].join("  ");
        line!(text, "  {} {}", say(lang, "số, ký hiệu:", "number:"), number.trim());
        line!(text, "  {} {}", say(lang, "nơi gửi:", "sender:"), field(&document["from"], "office_name"));
        for to in rows(document, "to") {
            line!(text, "  {} {}", say(lang, "gửi tới:", "sent to:"), field(to, "office_name"));
        }
        if !document["archive"].is_null() {
            let named = say(lang, "lưu trữ đọc được:", "archive that can read it:");
            line!(text, "  {named} {}", field(&document["archive"], "office_name"));
        }
        line!(text, "  {} {}", say(lang, "sự kiện:", "event:"), field(document, "event"));
        for attachment in rows(document, "attachments") {
            let state = match attachment["state"].as_str() {
                Some("here") => field(attachment, "file"),
                Some("unreadable") => {
                    say(lang, "KHÔNG đúng tệp mà văn bản nêu", "NOT the file that the document names")
                        .to_owned()
                }
                _ => say(lang, "chưa lấy ra", "not put anywhere").to_owned(),
            };
            line!(text, "  {} {}: {state}", say(lang, "tệp", "attachment"), field(attachment, "name"));
        }
    }
    let counts = [
        ("closed", "văn bản không khóa nào ở đây mở được", "documents that no key here opens"),
        ("refused", "mục bị từ chối", "items refused"),
    ];
    line!(text, "{:>8}  {}", rows(value, "documents").len(), say(lang, "văn bản đọc được", "documents read"));
    for (key, vi, en) in counts {
        line!(text, "{:>8}  {}", field(value, key), say(lang, vi, en));
    }
    line!(
        text,
        "{}",
        say(lang, "Không có gì được đưa vào kho của trạm.", "Nothing was taken into the store.")
    );
    text
}

pub(in crate::cli) fn imported(value: &Value, lang: Lang) -> String {
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

pub(in crate::cli) fn damaged(value: &Value, lang: Lang) -> String {
    let words = say(
        lang,
        "tệp chuyển tay hỏng hoặc thiếu phần cuối; phần trước đó đã được nhận",
        "the courier file is damaged or cut; what came before that was taken",
    );
    format!("{words}: {}", field(value, "damage"))
}
