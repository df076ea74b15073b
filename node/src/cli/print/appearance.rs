//! The signatures on a document as they are shown (*bản thể hiện*): the texts, where Decree 30/2020 appendix I has them stand,
//! and what each is worth. A picture of a written signature or seal is not made here.

use serde_json::Value;

use super::{Page, Paper};
use crate::cli::show::{archive, day, field, rows, say, time};
use crate::words::{CAPACITY, Lang, word};

const STYLE: &str = "\
    h1 { font-size: 14pt; text-align: center; margin: 0 0 1mm }\n\
    .about { text-align: center; margin: 0 0 4mm }\n\
    .facts td { padding: 0.6mm 4mm 0.6mm 0; vertical-align: top }\n\
    .facts td:first-child { white-space: nowrap }\n\
    .warning { border: 0.6mm solid #000; padding: 2mm; text-align: center; font-weight: bold; text-transform: uppercase }\n\
    h2 { font-size: 12pt; margin: 6mm 0 2mm; page-break-after: avoid }\n\
    .sheet { border: 1px solid #777; padding: 4mm; margin: 0 0 4mm; page-break-inside: avoid }\n\
    .sheet .caption { font-size: 8.5pt; font-style: italic; margin: 0 0 2mm }\n\
    .corner { margin-left: auto; width: 70mm; font-size: 10pt; text-align: left }\n\
    .corner p { margin: 0 }\n\
    .signers { display: flex; flex-wrap: wrap; justify-content: flex-end; gap: 8mm }\n\
    .signer { width: 80mm; text-align: center }\n\
    .signer p { margin: 0 }\n\
    .signer .title { font-weight: bold; text-transform: uppercase }\n\
    .signer .name { font-weight: bold; margin-top: 2mm }\n\
    .mark { position: relative; height: 34mm; margin-top: 2mm }\n\
    .written { position: absolute; left: 20mm; top: 4mm; width: 60mm; height: 26mm; box-sizing: border-box; padding: 3mm 1mm 1mm 21mm;\n\
               border: 1px dashed #03c; color: #03c; font-size: 8.5pt; text-align: left }\n\
    .seal { position: absolute; left: 0; top: 0; width: 40mm; height: 34mm; box-sizing: border-box; padding: 1mm; border: 0.4mm solid #c00;\n\
            border-radius: 3mm; color: #c00; background: #fffd; font-size: 8.5pt; display: flex; flex-direction: column; justify-content: center }\n\
    .none { font-style: italic }\n\
    .verdict { margin: 0 0 4mm; border-left: 1mm solid #000; padding: 0 0 0 3mm }\n\
    .verdict p { margin: 0.5mm 0 }\n\
    .unneeded { border-color: #999 } .valid { border-color: #070 } .undetermined { border-color: #b80 } .invalid { border-color: #c00 }\n\
    .message { font-weight: bold }\n\
    .verdict table { border-collapse: collapse; font-size: 9.5pt; width: 100%; margin-top: 1mm }\n\
    .verdict td { border: 1px solid #bbb; padding: 0.6mm 1.5mm; vertical-align: top }\n\
    .verdict td:nth-child(2) { white-space: nowrap }\n\
    .small { font-size: 8.5pt; margin-top: 6mm; border-top: 1px solid #999; padding-top: 1mm }\n";

pub(super) fn page(value: &Value, lang: Lang) -> String {
    let title = say(lang, "BẢN THỂ HIỆN CHỮ KÝ SỐ CỦA VĂN BẢN", "THE SIGNATURES ON A DOCUMENT");
    let mut page = Page::new(lang, title, Paper::Portrait, STYLE);
    page.element("<h1>", title, "</h1>\n");
    page.element("<p class=\"about\">", &field(value, "from_name"), "</p>\n");
    let standing = &value["progress"]["standing"];
    if standing.as_str().is_some_and(|standing| standing != "current") {
        page.element("<p class=\"warning\">", &field(&value["progress"], "standing_text"), "</p>\n");
    }
    facts(&mut page, value, lang);
    let blocks = rows(value, "blocks");
    page.element("<h2>", say(lang, "Vị trí và nội dung thể hiện", "What is shown, and where"), "</h2>\n");
    first_page(&mut page, blocks, lang);
    signature_place(&mut page, blocks, lang);
    attachments(&mut page, blocks, lang);
    page.element(
        "<h2>",
        say(lang, "Kết quả kiểm tra từng chữ ký số", "What each signature is worth"),
        "</h2>\n",
    );
    for block in blocks.iter().filter(|block| block["of"] != "attachment") {
        verdict(&mut page, block, lang);
    }
    let (checked, rest) = (
        say(lang, "Kiểm tra lúc", "Checked at"),
        say(
            lang,
            "theo đồng hồ của trạm và danh bạ, chứng thư, danh sách thu hồi mà trạm đang có; kết quả có thể đổi khi có dữ liệu mới. Trang \
             này thể hiện chữ ký, không thay văn bản; hình ảnh chữ ký, con dấu không được tạo ở đây.",
            "by the station's clock, and by the directory, certificates and revocation lists that it holds; something newer may change \
             it. This page shows signatures and takes the place of no document; no picture of a signature or seal is made here.",
        ),
    );
    page.markup("<p class=\"small\">");
    page.text(&format!("{checked} {} +07:00, {rest} ", time(value, "checked_at")));
    page.text(&format!("{} {}", say(lang, "Mã văn bản:", "Document:"), field(value, "document")));
    page.markup("</p>\n");
    page.finish()
}

fn facts(page: &mut Page, value: &Value, lang: Lang) {
    let signer = &value["signer"];
    let title = |signer: &Value| {
        let capacity = signer["capacity"].as_str().unwrap_or_default();
        format!(
            "{}, {} ({})",
            field(signer, "name"),
            field(signer, "position"),
            word(CAPACITY, capacity, lang)
        )
    };
    let lines =
        rows(value, "recipient_lines").iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; ");
    let urgency = if value["urgency"] == "normal" { String::new() } else { field(value, "urgency_text") };
    let optional =
        |name: &str, text: &str| if value[name].is_null() { String::new() } else { field(value, text) };
    let issued = if value["issued_on"].is_null() { String::new() } else { day(&value["issued_on"]) };
    let worth = match value["copy"].is_null() {
        true => optional("legal_value", "legal_value_text"),
        false => say(
            lang,
            "bản sao: có giá trị như bản chính nếu chữ ký số của cơ quan hợp lệ (Nghị định 30/2020, Điều 26)",
            "a copy: worth as much as the original if the agency's signature is valid (Decree 30/2020 article 26)",
        )
        .to_owned(),
    };
    let archived = if value["archive"].is_null() { String::new() } else { archive(value) };
    page.markup("<table class=\"facts\">\n");
    for (label, text) in [
        (say(lang, "Tên loại", "Type"), field(value, "document_type_text")),
        (say(lang, "Số, ký hiệu", "Number and symbol"), optional("number", "number")),
        (say(lang, "Ngày ban hành", "Date"), issued),
        (say(lang, "Trích yếu", "Abstract"), field(value, "subject")),
        (say(lang, "Người ký ghi trong văn bản", "Signer in the document"), title(signer)),
        (say(lang, "Hình thức sao", "Form of copy"), optional("copy", "copy_text")),
        (say(lang, "Độ khẩn", "Urgency"), urgency),
        (say(lang, "Số trang", "Pages"), field(value, "pages")),
        (say(lang, "Nơi nhận", "Recipients"), lines),
        (say(lang, "Lưu trữ đọc được", "Archive that can read it"), archived),
        (say(lang, "Giá trị", "Worth"), worth),
    ] {
        if !text.is_empty() {
            page.element("<tr><td>", label, "</td>");
            page.element("<td><b>", &text, "</b></td></tr>\n");
        }
    }
    page.markup("</table>\n");
}

fn caption(page: &mut Page, block: &Value, what: &str) {
    page.element("<p class=\"caption\">", &format!("{what}: {}", field(block, "placement")), "</p>");
}

fn lines(page: &mut Page, block: &Value) {
    for line in rows(block, "lines").iter().filter_map(Value::as_str).filter(|line| !line.is_empty()) {
        page.element("<p>", line, "</p>");
    }
}

/// The top right corner of the first page, for a copy.
fn first_page(page: &mut Page, blocks: &[Value], lang: Lang) {
    for block in blocks.iter().filter(|block| block["of"] == "copy") {
        page.markup("<div class=\"sheet\">");
        caption(page, block, say(lang, "Bản sao", "Copy"));
        page.markup("<div class=\"corner\">");
        lines(page, block);
        page.markup("</div></div>\n");
    }
}

/// Below the text: title, signature and name of each person, and over the first the agency's.
fn signature_place(page: &mut Page, blocks: &[Value], lang: Lang) {
    let of = |of: &'static str| blocks.iter().filter(move |block| block["of"] == of);
    let mut seal = of("agency").next();
    // Who is to sign as the document says stands first; the seal goes with that signature.
    let mut persons: Vec<&Value> = of("person").collect();
    persons.sort_by_key(|person| person["capacity"].is_null());
    if seal.is_none() && persons.iter().all(|person| person["outcome"].is_null()) {
        return;
    }
    page.markup("<div class=\"sheet\">");
    if let Some(person) = persons.first() {
        caption(page, person, say(lang, "Chữ ký của cá nhân", "A person's signature"));
    }
    if let Some(seal) = seal {
        caption(page, seal, say(lang, "Chữ ký của cơ quan", "The agency's signature"));
    }
    page.markup("<div class=\"signers\">");
    for person in persons {
        page.markup("<div class=\"signer\">");
        if let Some(capacity) = person["capacity"].as_str().filter(|capacity| *capacity != "own") {
            page.element("<p class=\"title\">", word(CAPACITY, capacity, lang), "</p>");
        }
        if !person["position"].is_null() {
            page.element("<p class=\"title\">", &field(person, "position"), "</p>");
        }
        page.markup("<div class=\"mark\"><div class=\"written\">");
        match person["time"].is_null() {
            true => page.element("<p class=\"none\">", &field(person, "message"), "</p>"),
            false => lines(page, person),
        }
        page.markup("</div>");
        if let Some(seal) = seal.take() {
            page.markup("<div class=\"seal\">");
            lines(page, seal);
            page.markup("</div>");
        }
        page.markup("</div>");
        let name = if person["name"].is_null() { String::new() } else { field(person, "name") };
        page.element("<p class=\"name\">", &name, "</p></div>");
    }
    page.markup("</div></div>\n");
}

fn attachments(page: &mut Page, blocks: &[Value], lang: Lang) {
    for block in blocks.iter().filter(|block| block["of"] == "attachment") {
        page.markup("<div class=\"sheet\">");
        let of = say(lang, "Tệp kèm theo", "Attachment");
        let attachment = &block["attachment"];
        caption(page, block, &format!("{of} {} ({})", field(attachment, "n"), field(attachment, "name")));
        page.markup("<div class=\"corner\">");
        lines(page, block);
        page.markup("</div>");
        for remark in rows(block, "remarks").iter().filter_map(Value::as_str) {
            page.element("<p class=\"none\">", remark, "</p>");
        }
        let found = &attachment["found"];
        if !found["media_type"].is_null() {
            let of_bytes = say(lang, "Loại tệp theo nội dung:", "Type by its content:");
            page.element("<p class=\"none\">", &format!("{of_bytes} {}", field(found, "media_type")), "</p>");
        }
        for warning in rows(found, "warnings") {
            page.element("<p class=\"none\">! ", &field(warning, "text"), "</p>");
        }
        page.markup("</div>\n");
    }
}

fn verdict(page: &mut Page, block: &Value, lang: Lang) {
    page.markup(match block["outcome"].as_str() {
        Some("valid") => "<div class=\"verdict valid\">",
        Some("undetermined") => "<div class=\"verdict undetermined\">",
        _ if block["needed"] == false => "<div class=\"verdict unneeded\">",
        _ => "<div class=\"verdict invalid\">",
    });
    let of = match block["of"].as_str() {
        Some("person") => say(lang, "Chữ ký của cá nhân", "A person's signature"),
        _ => say(lang, "Chữ ký của cơ quan", "The agency's signature"),
    };
    page.element("<p class=\"message\">", &format!("{of}. {}", field(block, "message")), "</p>");
    for remark in rows(block, "remarks").iter().filter_map(Value::as_str) {
        page.element("<p>! ", remark, "</p>");
    }
    // A person is named; of an office's certificate the subject is shown as it stands there.
    let signer = match block["of"].as_str() {
        Some("person") => say(lang, "Người ký", "Signer"),
        _ => say(lang, "Chủ thể của chứng thư số", "Subject of the certificate"),
    };
    for (label, name) in [
        (signer, "signer"),
        (say(lang, "Cơ quan, đơn vị quản lý", "Managing unit"), "unit"),
        (say(lang, "Tổ chức cấp chứng thư số", "Issuer of the certificate"), "issuer"),
        (say(lang, "Số sê-ri của chứng thư số", "Serial number of the certificate"), "serial"),
    ] {
        if !block[name].is_null() {
            page.element("<p>", &format!("{label}: {}", field(block, name)), "</p>");
        }
    }
    let time = &block["time"];
    if !time.is_null() {
        let signed = say(lang, "Thời gian ký", "Signed at");
        page.element("<p>", &format!("{signed}: {} ({})", field(time, "shown"), field(time, "word")), "</p>");
        let proven = match time["proven"].is_null() {
            true => field(time, "proven_word"),
            false => format!("{} {}", field(time, "proven_word"), field(time, "proven")),
        };
        let proof = say(lang, "Bằng chứng về thời gian", "Proof of the time");
        page.element("<p>", &format!("{proof}: {proven}"), "</p>");
    }
    let findings = rows(block, "findings");
    if !findings.is_empty() {
        page.markup("<table>\n");
        for finding in findings {
            page.element("<tr><td>", &field(finding, "item_text"), "</td>");
            page.element("<td>", &field(finding, "outcome_text"), "</td>");
            page.element("<td>", &field(finding, "reason"), "</td></tr>\n");
        }
        page.markup("</table>");
    }
    page.markup("</div>\n");
}
