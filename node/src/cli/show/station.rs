//! The station: its links and its clock, alarms, what was refused, whom it knows.

use std::fmt::Write as _;

use serde_json::Value;

use super::store::outcome;
use super::{field, line, rows, say, time};
use crate::words::Lang;

pub(super) fn links(text: &mut String, value: &Value, lang: Lang) {
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
        let takes = &link["takes"];
        if let (Some(largest), Some(used), Some(all)) = (
            takes["blob_bytes_max"].as_u64(),
            takes["office_bytes_used"].as_u64(),
            takes["office_bytes_max"].as_u64(),
        ) {
            let (largest, used, all) = (mebibytes(largest), mebibytes(used), mebibytes(all));
            match lang {
                Lang::Vi => {
                    line!(
                        text,
                        "    tệp đính kèm: nhận tệp tối đa {largest} MiB; đang giữ cho đơn vị này {used} trong {all} MiB"
                    );
                }
                Lang::En => {
                    line!(
                        text,
                        "    attachments: at most {largest} MiB each; {used} of {all} MiB are kept for this office"
                    );
                }
            }
        }
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes / (1024 * 1024)
}

/// Says when the clock of this machine is wrong, and by how much.
pub(super) fn clock(text: &mut String, clock: &Value, lang: Lang) {
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

pub(in crate::cli) fn status(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{} ({})", field(value, "office_name"), field(value, "office"));
    links(&mut text, value, lang);
    clock(&mut text, &value["clock"], lang);
    let counts = [
        ("incoming", "văn bản đến", "incoming documents"),
        ("outgoing", "văn bản đi", "outgoing documents"),
        ("late", "việc quá hạn (xem `due`)", "late (see `due`)"),
        ("due", "việc đến hạn", "due"),
        ("queued", "chờ gửi", "queued"),
        ("open", "chưa có biên nhận", "without a receipt"),
        ("overdue", "quá hạn biên nhận", "overdue"),
        ("awaited_attachments", "tệp đang chờ", "awaited attachments"),
        (
            "unreadable_attachments",
            "tệp không đúng tệp văn bản nêu",
            "attachments that are not what their documents name",
        ),
        ("alarms", "cảnh báo", "alarms"),
        ("quarantined", "bị từ chối ở cửa", "refused at the door"),
    ];
    for (key, vi, en) in counts {
        line!(text, "{:>8}  {}", field(value, key), say(lang, vi, en));
    }
    attachment_room(&mut text, &value["attachment_room_bytes"], lang);
    let last = say(lang, "kiểm tra toàn bộ kho gần nhất:", "last full check of the store:");
    if value["full_check"].is_null() {
        let never = say(lang, "chưa có (trạm tự kiểm tra mỗi ngày)", "none yet (the station does it daily)");
        line!(text, "{last} {never}");
    } else {
        let check = &value["full_check"];
        line!(text, "{last} {}, {}", time(check, "at"), outcome(check, lang));
    }
    if value["swept"]["files"].as_u64().is_some_and(|files| files > 0) {
        let (files, bytes) = (field(&value["swept"], "files"), field(&value["swept"], "bytes"));
        let swept = say(
            lang,
            "tệp không thuộc văn bản nào, đã dọn từ lúc trạm chạy:",
            "files of no document, removed since the station started:",
        );
        line!(text, "{swept} {files} ({bytes} B)");
    }
    line!(text, "{}", field(value, "key_protection_text"));
    sealing_key(&mut text, &value["sealing"], lang);
    handed_over(&mut text, value, lang);
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

/// How much more of the disk attachments may use, and what follows when it is little.
fn attachment_room(text: &mut String, bytes: &Value, lang: Lang) {
    /// With less than this an attachment of usual size may not fit.
    const LITTLE_MIB: u64 = 200;
    let Some(mib) = bytes.as_u64().map(|bytes| bytes / (1024 * 1024)) else { return };
    let what = say(lang, "MiB đĩa còn cho tệp đính kèm", "MiB of disk left for attachments");
    let follows = match mib < LITTLE_MIB {
        true => say(
            lang,
            "; đĩa sắp đầy: hãy dọn đĩa, tệp đến sau đó tự nhận tiếp",
            "; the disk is nearly full: make room, what waits is then taken by itself",
        ),
        false => "",
    };
    line!(text, "{mib:>8}  {what}{follows}");
}

/// Since when others seal for this office under its present key.
fn sealing_key(text: &mut String, sealing: &Value, lang: Lang) {
    let name = say(lang, "khóa niêm phong:", "sealing key:");
    let state = field(sealing, "sealing_key_text");
    let since = match sealing["since"].is_null() {
        true => String::new(),
        false => format!("{} {}, ", say(lang, "từ", "since"), time(sealing, "since")),
    };
    line!(text, "{name} {since}{state}");
}

/// Whose sealing keys are here, and to whom this office has given its own.
fn handed_over(text: &mut String, value: &Value, lang: Lang) {
    for office in rows(&value["sealing"], "taken_over") {
        line!(
            text,
            "{} {}: {}",
            say(lang, "giữ khóa niêm phong nhận bàn giao của", "keeps the sealing keys handed over by"),
            field(office, "office_name"),
            field(office, "keys")
        );
    }
    for offered in rows(value, "keys_offered").iter().filter(|offered| offered["kept"] == false) {
        line!(
            text,
            "{} {}, {}",
            say(lang, "CHƯA nhận khóa niêm phong bàn giao của", "NOT taken: sealing keys handed over by"),
            field(offered, "office_name"),
            time(offered, "at")
        );
    }
    for handed in rows(value, "keys_handed_over") {
        let kept = match handed["kept"] == true {
            true => say(lang, "đã nhận", "received"),
            false => say(lang, "chưa có biên nhận", "no receipt yet"),
        };
        line!(
            text,
            "{} {}, {}: {kept}",
            say(lang, "đã bàn giao khóa niêm phong cho", "handed the sealing keys over to"),
            field(handed, "office_name"),
            time(handed, "at")
        );
    }
}

/// What it means that the keys are on their way.
pub(in crate::cli) fn sealing_keys_handed_over(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let to = say(lang, "Đã lưu việc bàn giao khóa niêm phong cho", "Saved: the sealing keys go to");
    line!(text, "{to} {}", field(value, "office_name"));
    line!(text, "  {} {}", say(lang, "số khóa:", "keys:"), field(value, "keys"));
    let next = say(
        lang,
        "Khóa đi trong phong bì chỉ nơi nhận mở được. Xong khi `status` ghi là đã nhận; khóa vẫn còn ở đây. Khóa làm ra sau này phải bàn giao lại.",
        "They travel under a seal that only the successor opens. It is done when `status` says that they were received; they stay here too. \
         Keys that are made later have to be handed over again.",
    );
    line!(text, "{next}");
    text
}

/// What a new sealing key means.
pub(in crate::cli) fn sealing_key_renewed(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let done = match value["made"] == Value::Bool(true) {
        true => say(lang, "Đã thay khóa niêm phong:", "Renewed the sealing key:"),
        false => say(
            lang,
            "Khóa niêm phong mới đã có sẵn và đang chờ công bố, không tạo thêm:",
            "A new sealing key was there and waited to be announced; none was made:",
        ),
    };
    line!(text, "{done} {}", field(value, "recipient"));
    sealing_key(&mut text, value, lang);
    line!(
        text,
        "  {} {}",
        say(lang, "số khóa trong tệp, kể cả khóa cũ:", "keys in the file, earlier ones too:"),
        field(value, "keys")
    );
    let next = match value["announced"] == Value::Bool(true) {
        true => say(
            lang,
            "Đã công bố trong chuỗi của đơn vị; nơi gửi dùng khóa mới khi nhận được tin. Khóa cũ vẫn mở những gì đã niêm phong trước đó. Hãy sao lưu lại: bản sao lưu cũ \
             không mở được những gì niêm phong bằng khóa mới.",
            "It is announced in the office's chain; senders use it as soon as they hear of it. Earlier keys still open what was sealed under them. Make a \
             backup now: an earlier one does not open what is sealed under the new key.",
        ),
        false => say(
            lang,
            "CHƯA công bố được: chưa có khóa ký nào của đơn vị được công nhận. Trạm tự công bố khi chứng thư về tới; khóa cũ vẫn dùng.",
            "It is NOT announced yet: no signing key of the office counts. The station announces it once the certificate has come; the earlier key stays in use.",
        ),
    };
    line!(text, "{next}");
    text
}

pub(in crate::cli) fn alarms(value: &Value, lang: Lang) -> String {
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

pub(in crate::cli) fn quarantine(value: &Value, lang: Lang) -> String {
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

pub(in crate::cli) fn offices(value: &Value, lang: Lang) -> String {
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
        let largest = row["largest_attachment"].as_u64().map_or_else(String::new, |bytes| match lang {
            Lang::Vi => format!(", nhận tệp tối đa {} MiB", mebibytes(bytes)),
            Lang::En => format!(", takes attachments of at most {} MiB", mebibytes(bytes)),
        });
        line!(
            text,
            "{}  {}{parent}  [{}]  {station}{largest}",
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
