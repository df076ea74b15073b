//! A register as a file: its cover and the ten columns of Decree 30/2020 appendix IV. The same lines give the same bytes.

use clap::ValueEnum;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, XlsxError};
use schema::time::Day;
use serde_json::Value;

use super::print::{Page, Paper};
use super::show::field;
use crate::words::Lang;

/// What kind of file.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FormatArg {
    /// A spreadsheet (Office Open XML).
    Xlsx,
    /// Values parted by commas (RFC 4180), in UTF-8 with a byte order mark.
    Csv,
    /// A page to print: A4, lying.
    Html,
}

const INCOMING: [&str; 10] = [
    "Ngày đến",
    "Số đến",
    "Tác giả",
    "Số, ký hiệu văn bản",
    "Ngày tháng văn bản",
    "Tên loại và trích yếu nội dung văn bản",
    "Đơn vị hoặc người nhận",
    "Ngày chuyển",
    "Ký nhận",
    "Ghi chú",
];

const OUTGOING: [&str; 10] = [
    "Số, ký hiệu văn bản",
    "Ngày tháng văn bản",
    "Tên loại và trích yếu nội dung văn bản",
    "Người ký",
    "Nơi nhận văn bản",
    "Đơn vị, người nhận bản lưu",
    "Số lượng bản",
    "Ngày chuyển",
    "Ký nhận",
    "Ghi chú",
];

const STYLE: &str = "\
    .cover { text-align: center; page-break-after: always; padding-top: 50mm }\n\
    table { border-collapse: collapse; width: 100%; table-layout: fixed }\n\
    th, td { border: 1px solid #000; padding: 1.5mm; vertical-align: top; text-align: left; overflow-wrap: anywhere }\n\
    thead { display: table-header-group }\n";

/// Widths of columns on paper; a date has room in one line.
const INCOMING_COLUMNS: &str = "<colgroup><col style=\"width:9%\"><col style=\"width:5%\"><col style=\"width:14%\">\
    <col style=\"width:11%\"><col style=\"width:9%\"><col style=\"width:22%\"><col style=\"width:10%\"><col style=\"width:9%\">\
    <col style=\"width:5%\"><col style=\"width:6%\"></colgroup>\n";
const OUTGOING_COLUMNS: &str = "<colgroup><col style=\"width:11%\"><col style=\"width:9%\"><col style=\"width:21%\">\
    <col style=\"width:11%\"><col style=\"width:13%\"><col style=\"width:9%\"><col style=\"width:6%\"><col style=\"width:9%\">\
    <col style=\"width:5%\"><col style=\"width:6%\"></colgroup>\n";

/// Widths of columns in a spreadsheet, in characters.
const WIDTHS: [f64; 10] = [12.0, 12.0, 28.0, 18.0, 14.0, 48.0, 24.0, 12.0, 14.0, 24.0];

/// What a cover says beside what follows from the lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Cover {
    /// Whose register.
    pub(super) office: String,
    /// Of which year.
    pub(super) year: i16,
    /// The first and the last volume (*quyển số*) that are printed.
    pub(super) volumes: (u32, u32),
}

/// A register, ready to be written.
pub(super) struct Sheet {
    title: &'static str,
    /// What stands on the cover, line by line.
    cover: Vec<(&'static str, String)>,
    columns: [&'static str; 10],
    rows: Vec<[String; 10]>,
}

impl Sheet {
    pub(super) fn new(cover: Cover, outgoing: bool, lines: &[Value]) -> Self {
        let Cover { office, year, volumes: (first, last) } = cover;
        let rows: Vec<[String; 10]> = match outgoing {
            true => lines.iter().map(outgoing_row).collect(),
            false => lines.iter().map(incoming_row).collect(),
        };
        let key = if outgoing { "issued_on" } else { "arrived_on" };
        let dates =
            || lines.iter().filter_map(|line| line[key].as_str()).filter_map(|day| day.parse::<Day>().ok());
        let span = |first: Option<String>, last: Option<String>| match (first, last) {
            (Some(first), Some(last)) => format!("{first} – {last}"),
            _ => String::new(),
        };
        let written = |line: Option<&Value>| line.map(|line| field(line, "written"));
        let volumes = match first == last {
            true => format!("{first:02}"),
            false => format!("{first:02} – {last:02}"),
        };
        let cover = vec![
            ("Cơ quan", office),
            ("Năm", year.to_string()),
            (
                "Từ ngày – đến ngày",
                span(dates().min().map(|d| d.to_string()), dates().max().map(|d| d.to_string())),
            ),
            ("Từ số – đến số", span(written(lines.first()), written(lines.last()))),
            ("Quyển số", volumes),
        ];
        let title =
            if outgoing { "SỔ ĐĂNG KÝ VĂN BẢN ĐI" } else { "SỔ ĐĂNG KÝ VĂN BẢN ĐẾN" };
        Self { title, cover, columns: if outgoing { OUTGOING } else { INCOMING }, rows }
    }

    /// The bytes of the file.
    pub(super) fn render(&self, format: FormatArg) -> Result<Vec<u8>, String> {
        match format {
            FormatArg::Xlsx => {
                self.xlsx().map_err(|error| format!("failed to make the spreadsheet: {error}"))
            }
            FormatArg::Csv => self.csv().map_err(|error| format!("failed to make the file: {error}")),
            FormatArg::Html => Ok(self.html().into_bytes()),
        }
    }

    fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        // Without the mark, spreadsheets read Vietnamese as something else.
        let mut bytes = "\u{feff}".as_bytes().to_vec();
        {
            let mut writer = csv::WriterBuilder::new()
                .terminator(csv::Terminator::CRLF)
                .flexible(true)
                .from_writer(&mut bytes);
            writer.write_record([self.title])?;
            for (key, value) in &self.cover {
                writer.write_record([*key, &harmless(value)])?;
            }
            writer.write_record(self.columns)?;
            for row in &self.rows {
                writer.write_record(row.iter().map(|cell| harmless(cell)))?;
            }
            writer.flush()?;
        }
        Ok(bytes)
    }

    fn xlsx(&self) -> Result<Vec<u8>, XlsxError> {
        let mut workbook = Workbook::new();
        // The same register gives the same file, whenever it is written.
        let epoch = ExcelDateTime::from_ymd(2020, 3, 5)?;
        workbook.set_properties(&DocProperties::new().set_title(self.title).set_creation_datetime(&epoch));
        let bold = Format::new().set_bold();
        let sheet = workbook.add_worksheet().set_name("Sổ")?;
        sheet.set_landscape().set_paper_size(9).set_print_fit_to_pages(1, 0);
        sheet.write_string_with_format(0, 0, self.title, &bold)?;
        let mut at = 1;
        for (key, value) in &self.cover {
            sheet.write_string(at, 0, *key)?;
            sheet.write_string(at, 2, value)?;
            at += 1;
        }
        let header = Format::new().set_bold().set_border(FormatBorder::Thin).set_text_wrap();
        let cell = Format::new().set_border(FormatBorder::Thin).set_text_wrap().set_align(FormatAlign::Top);
        for (column, (name, width)) in (0..).zip(self.columns.iter().zip(WIDTHS)) {
            sheet.set_column_width(column, width)?;
            sheet.write_string_with_format(at, column, *name, &header)?;
        }
        sheet.set_repeat_rows(at, at)?;
        for row in &self.rows {
            at += 1;
            for (column, text) in (0..).zip(row) {
                // Written as text: no spreadsheet takes it for a formula.
                sheet.write_string_with_format(at, column, text, &cell)?;
            }
        }
        workbook.save_to_buffer()
    }

    fn html(&self) -> String {
        // The forms of the law have one language.
        let mut page = Page::new(Lang::Vi, self.title, Paper::Landscape, STYLE);
        page.element("<div class=\"cover\">\n<h1>", self.title, "</h1>\n");
        for (key, value) in &self.cover {
            page.element("<p>", key, ": ");
            page.element("<b>", value, "</b></p>\n");
        }
        page.markup("</div>\n<table>\n");
        page.markup(if self.columns == OUTGOING { OUTGOING_COLUMNS } else { INCOMING_COLUMNS });
        page.markup("<thead><tr>");
        self.columns.iter().for_each(|column| page.element("<th>", column, "</th>"));
        page.markup("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            page.markup("<tr>");
            row.iter().for_each(|cell| page.element("<td>", cell, "</td>"));
            page.markup("</tr>\n");
        }
        page.markup("</tbody>\n</table>\n");
        page.finish()
    }
}

/// A text that no spreadsheet takes for a formula.
fn harmless(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// A field, empty when there is none.
fn text(line: &Value, name: &str) -> String {
    if line[name].is_null() { String::new() } else { field(line, name) }
}

fn day(line: &Value, name: &str) -> String {
    let day = line[name].as_str().and_then(|text| text.parse::<Day>().ok());
    day.map(|day| day.to_string()).unwrap_or_default()
}

/// Type and abstract in one cell.
fn what(line: &Value) -> String {
    match line["subject"].is_null() {
        true => String::new(),
        false => format!("{}: {}", text(line, "document_type_text"), text(line, "subject")),
    }
}

fn remarks(line: &Value) -> String {
    let cancelled = match line["cancelled"].is_null() {
        true => String::new(),
        false => format!("Số bị hủy: {}", text(line, "cancelled")),
    };
    let standing = match line["standing"].as_str() {
        None | Some("current") => String::new(),
        Some(_) => text(line, "standing_text"),
    };
    [cancelled, standing].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

fn incoming_row(line: &Value) -> [String; 10] {
    let author = if line["author"].is_null() { text(line, "from_name") } else { text(line, "author") };
    [
        day(line, "arrived_on"),
        text(line, "written"),
        author,
        text(line, "code"),
        day(line, "issued_on"),
        what(line),
        text(line, "lead"),
        day(line, "handed_on"),
        String::new(),
        remarks(line),
    ]
}

fn outgoing_row(line: &Value) -> [String; 10] {
    let printed = line["recipient_lines"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let printed = printed.collect::<Vec<_>>().join("; ");
    let to = match line["recipients"].as_u64() {
        Some(count) if printed.is_empty() => format!("{count} đơn vị (gửi điện tử)"),
        _ => printed,
    };
    let code = if line["code"].is_null() { text(line, "written") } else { text(line, "code") };
    [
        code,
        day(line, "issued_on"),
        what(line),
        text(line, "signer"),
        to,
        text(line, if line["kept_by"].is_null() { "by" } else { "kept_by" }),
        match (line["copies"].as_u64(), line["recipients"].is_null()) {
            (Some(copies), _) => format!("{copies:02}"),
            (None, false) => "01 (điện tử)".to_owned(),
            (None, true) => String::new(),
        },
        day(line, "sent_on"),
        String::new(),
        remarks(line),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sheet() -> Sheet {
        let line = json!({
            "number": 7, "written": "07", "arrived_on": "2025-06-09", "from_name": "Xã Na Hối",
            "code": "=cmd|' /C calc'!A0", "issued_on": "2025-06-08", "document_type_text": "Công văn",
            "subject": "V/v <mưa lũ>, \"khẩn\"", "lead": "+Phòng Nông nghiệp", "handed_on": "2025-06-10",
            "standing": "recalled", "standing_text": "đã thu hồi",
        });
        let cover = Cover { office: "UBND <huyện> Bắc Hà".to_owned(), year: 2025, volumes: (2, 2) };
        Sheet::new(cover, false, &[line])
    }

    /// H2: a text that begins like a formula is none, marks stay Vietnamese, and a reprint is the same.
    #[test]
    fn h2_export_is_safe_and_the_same_every_time() {
        let bytes = sheet().render(FormatArg::Csv).expect("a file");
        let csv = String::from_utf8(bytes).expect("UTF-8");
        assert!(csv.starts_with('\u{feff}') && csv.contains("\r\n"));
        assert!(csv.contains("\"'=cmd|") || csv.contains("'=cmd|"), "{csv}");
        assert!(csv.contains("'+Phòng"), "{csv}");
        for column in INCOMING {
            assert!(csv.contains(column), "{column}");
        }
        let html = String::from_utf8(sheet().render(FormatArg::Html).expect("a page")).expect("UTF-8");
        assert!(html.contains("V/v &lt;mưa lũ&gt;") && html.contains("09/06/2025 – 09/06/2025"), "{html}");
        assert!(html.contains("UBND &lt;huyện&gt; Bắc Hà") && html.contains("Quyển số: <b>02</b>"), "{html}");
        for format in [FormatArg::Xlsx, FormatArg::Csv, FormatArg::Html] {
            assert_eq!(sheet().render(format), sheet().render(format));
        }
        let xlsx = sheet().render(FormatArg::Xlsx).expect("a spreadsheet");
        assert_eq!(&xlsx[..4], b"PK\x03\x04");
    }
}
