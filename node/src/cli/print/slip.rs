//! The stamp *ĐẾN* and the slip for handling an incoming document, as Decree 30/2020 appendix IV has them.

use serde_json::Value;

use super::{Page, Paper};
use crate::cli::show::{day, field, rows, say, time};
use crate::words::{Lang, ROLE, word};

const STYLE: &str = "\
    .head { display: flex; justify-content: space-between; align-items: flex-start }\n\
    .office { text-align: center; max-width: 80mm; text-transform: uppercase }\n\
    .office p { margin: 0 }\n\
    .office .own { font-weight: bold }\n\
    .office .rule { border-top: 1px solid #000; width: 25mm; margin: 1mm auto }\n\
    .stamp { width: 50mm; height: 35mm; box-sizing: border-box; border: 0.5mm solid #b00; color: #b00; font-size: 9pt;\n\
             display: flex; flex-direction: column }\n\
    .stamp .of { text-align: center; font-weight: bold; padding: 0.5mm 1mm; border-bottom: 0.3mm solid #b00; overflow: hidden;\n\
                 max-height: 8mm; text-transform: uppercase }\n\
    .stamp .row { display: flex; flex: 1; border-bottom: 0.3mm solid #b00; min-height: 0 }\n\
    .stamp .word { width: 14mm; font-size: 14pt; font-weight: bold; align-self: center; text-align: center }\n\
    .stamp .data { flex: 1; border-left: 0.3mm solid #b00; padding: 0 1mm; overflow: hidden }\n\
    .stamp p { margin: 0.3mm 0; line-height: 1.15 }\n\
    .stamp b { color: #000 }\n\
    .stamp .file { padding: 0.3mm 1mm }\n\
    h1 { font-size: 14pt; text-align: center; margin: 8mm 0 3mm }\n\
    .about { text-align: center; margin: 0 8mm 4mm }\n\
    .facts { margin: 0 0 4mm }\n\
    .facts td { padding: 0.5mm 4mm 0.5mm 0; vertical-align: top }\n\
    .warning { border: 0.6mm solid #000; padding: 2mm; text-align: center; font-weight: bold; text-transform: uppercase }\n\
    h2 { font-size: 12pt; margin: 5mm 0 2mm; page-break-after: avoid }\n\
    .note { margin: 0 0 3mm; page-break-inside: avoid }\n\
    .note p { margin: 0.5mm 0 }\n\
    .note .when { font-style: italic }\n\
    .said { white-space: pre-wrap; overflow-wrap: anywhere }\n\
    .line { border-bottom: 1px dotted #000; height: 8mm }\n\
    .small { font-size: 8.5pt; margin-top: 8mm; border-top: 1px solid #999; padding-top: 1mm }\n";

/// How many empty lines a part has in which nobody has said anything: it is filled in by hand.
const EMPTY_LINES: usize = 3;

pub(super) fn page(value: &Value, lang: Lang) -> String {
    let (stamp, slip) = (&value["stamp"], &value["slip"]);
    let title = say(lang, "PHIẾU GIẢI QUYẾT VĂN BẢN ĐẾN", "SLIP FOR HANDLING AN INCOMING DOCUMENT");
    let mut page = Page::new(lang, title, Paper::Portrait, STYLE);
    page.markup("<div class=\"head\">\n<div class=\"office\">");
    if !value["superior_name"].is_null() {
        page.element("<p>", &field(value, "superior_name"), "</p>");
    }
    page.element("<p class=\"own\">", &field(stamp, "office_name"), "</p>");
    page.markup("<div class=\"rule\"></div></div>\n");
    draw_stamp(&mut page, stamp, lang);
    page.markup("</div>\n");
    page.element("<h1>", title, "</h1>\n");
    page.element("<p class=\"about\">", &about(slip, lang), "</p>\n");
    if slip["standing"].as_str().is_some_and(|standing| standing != "current") {
        page.element("<p class=\"warning\">", &field(slip, "standing_text"), "</p>\n");
    }
    facts(&mut page, slip, lang);
    for (part, number) in rows(slip, "parts").iter().zip(["1. ", "2. ", "3. "]) {
        page.markup("<section>\n");
        page.markup("<h2>");
        page.markup(number);
        page.element("", &field(part, "part_text"), "</h2>\n");
        let notes = rows(part, "notes");
        notes.iter().for_each(|one| note(&mut page, one, lang));
        if notes.is_empty() {
            (0..EMPTY_LINES).for_each(|_| page.markup("<div class=\"line\"></div>\n"));
        }
        page.markup("</section>\n");
    }
    let remarks = rows(slip, "remarks");
    if !remarks.is_empty() {
        page.element("<h2>", say(lang, "Ghi chú", "Remarks"), "</h2>\n");
        remarks.iter().for_each(|one| note(&mut page, one, lang));
    }
    page.markup("<p class=\"small\">");
    if slip["left_out"] == true {
        let left_out = say(
            lang,
            "Có nhiều ghi chép hơn số phiếu này giữ được: phần giữa không in ở đây, vẫn còn trong nhật ký của trạm. ",
            "More was recorded than this slip holds: what lies in the middle is not printed here and stays in the journal. ",
        );
        page.text(left_out);
    }
    let source = say(
        lang,
        "Lập từ sổ đăng ký và nhật ký công việc của trạm; giờ ghi theo đồng hồ của trạm.",
        "Made from the register and the journal of the station; times are by the station's clock.",
    );
    page.text(source);
    if !slip["document"].is_null() {
        page.element(" ", say(lang, "Mã văn bản:", "Document:"), " ");
        page.text(&field(slip, "document"));
    }
    page.markup("</p>\n");
    page.finish()
}

/// 35 mm by 50 mm; what is not known is written by hand.
fn draw_stamp(page: &mut Page, stamp: &Value, lang: Lang) {
    page.markup("<div class=\"stamp\">");
    page.element("<div class=\"of\">", &field(stamp, "office_name"), "</div>");
    page.markup("<div class=\"row\"><div class=\"word\">ĐẾN</div><div class=\"data\">");
    let known =
        |name: &str, text: String| if stamp[name].is_null() { ".............".to_owned() } else { text };
    for (label, text) in [
        (say(lang, "Số: ", "No.: "), known("number", field(stamp, "number"))),
        (say(lang, "Ngày: ", "Date: "), known("arrived_on", day(&stamp["arrived_on"]))),
        (say(lang, "Chuyển: ", "To: "), known("handed_to", field(stamp, "handed_to"))),
    ] {
        page.element("<p>", label, "<b>");
        page.element("", &text, "</b></p>");
    }
    page.markup("</div></div>");
    page.element("<div class=\"file\">", say(lang, "Số và ký hiệu HS: ", "File: "), "");
    page.element("", &known("file_code", field(stamp, "file_code")), "</div></div>\n");
}

/// Type, number, date, issuer and abstract, in one sentence.
fn about(slip: &Value, lang: Lang) -> String {
    let author = if slip["author"].is_null() { "from_name" } else { "author" };
    let mut text = field(slip, "document_type_text");
    if slip["code"].as_str().is_some_and(|code| !code.is_empty()) {
        text.push_str(&format!(" {} {}", say(lang, "số", "no."), field(slip, "code")));
    }
    if !slip["issued_on"].is_null() {
        text.push_str(&format!(" {} {}", say(lang, "ngày", "of"), day(&slip["issued_on"])));
    }
    let (of, what) = (say(lang, "của", "by"), say(lang, "trích yếu:", "about:"));
    format!("{text} {of} {}; {what} {}", field(slip, author), field(slip, "subject"))
}

fn facts(page: &mut Page, slip: &Value, lang: Lang) {
    let (book, year) = (say(lang, "sổ", "register"), say(lang, "năm", "of"));
    let number = format!(
        "{} ({book} {}, {year} {})",
        field(slip, "written"),
        field(slip, "book"),
        field(slip, "year")
    );
    let due = if slip["due"].is_null() { String::new() } else { day(&slip["due"]) };
    let urgency = match slip["urgency"].as_str() {
        None | Some("normal") => String::new(),
        Some(_) => field(slip, "urgency_text"),
    };
    let stage = if slip["stage"].is_null() { String::new() } else { field(slip, "stage_text") };
    page.markup("<table class=\"facts\">\n");
    for (label, text) in [
        (say(lang, "Số đến", "Arrival number"), number),
        (say(lang, "Ngày đến", "Arrived on"), day(&slip["arrived_on"])),
        (say(lang, "Độ khẩn", "Urgency"), urgency),
        (say(lang, "Thời hạn giải quyết", "Deadline"), due),
        (say(lang, "Tình trạng", "Status"), stage),
    ] {
        if !text.is_empty() {
            page.element("<tr><td>", label, "</td>");
            page.element("<td><b>", &text, "</b></td></tr>\n");
        }
    }
    page.markup("</table>\n");
}

fn note(page: &mut Page, note: &Value, lang: Lang) {
    page.markup("<div class=\"note\">");
    let by = &note["by"];
    let role = by["role"].as_str().map(|role| word(ROLE, role, lang));
    let who = match role {
        Some(role) => format!("{} ({role})", field(by, "name")),
        None => field(note, "by"),
    };
    page.element("<p class=\"when\">", &format!("{}, {who}:", time(note, "at")), "</p>");
    let mut lines = Vec::new();
    match note["said"].as_str() {
        Some("assignment") => {
            let with = rows(note, "with").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
            lines.push(format!("{} {}", say(lang, "Chủ trì:", "Lead:"), field(note, "lead")));
            if !with.is_empty() {
                lines.push(format!("{} {with}", say(lang, "Phối hợp:", "Helped by:")));
            }
            if !note["due"].is_null() {
                lines.push(format!("{} {}", say(lang, "Thời hạn:", "Deadline:"), day(&note["due"])));
            }
            if !note["instruction"].is_null() {
                lines.push(field(note, "instruction"));
            }
        }
        Some("started") => lines.push(say(lang, "Bắt đầu xử lý.", "Work has begun.").to_owned()),
        Some("finished") => lines.push(say(lang, "Đã hoàn thành.", "Finished.").to_owned()),
        Some("accepted-undetermined") => {
            let accepted = say(
                lang,
                "Tiếp nhận khi chưa xác định được giá trị chữ ký; lý do:",
                "Accepted although its signatures could not be judged; why:",
            );
            lines.push(format!("{accepted} {}", field(note, "opinion")));
        }
        _ => lines.push(field(note, "opinion")),
    }
    for line in lines {
        page.element("<p class=\"said\">", &line, "</p>");
    }
    page.markup("</div>\n");
}
