//! Hand-over minutes for an agency's key (*biên bản bàn giao*): the agency's key device is kept by one clerk, at the
//! office, and changes hands by minutes only (Decree 30/2020/NĐ-CP, article 32; *quản lý, sử dụng thiết bị lưu khóa bí mật*).

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use schema::id::hex;
use schema::text::require_plain;
use schema::time::Millis;
use sha2::{Digest as _, Sha256};

use super::book::{Book, Record};
use super::build::Kind;
use super::subject::TEXT_CHARS_MAX;
use crate::calendar;

/// A person at the hand-over.
#[derive(Clone, Debug)]
pub struct Party {
    /// Who.
    pub name: String,
    /// As what (*chức vụ*).
    pub position: String,
    /// From which office.
    pub office: String,
}

/// What the minutes say.
#[derive(Clone, Debug)]
pub struct HandOver {
    /// Who hands over (*bên giao*).
    pub from: Party,
    /// Who receives (*bên nhận*); keeps the device from then on.
    pub to: Party,
    /// Where.
    pub place: String,
    /// The device: kind, maker, number.
    pub device: String,
    /// In what state it is, and what comes with it.
    pub state: String,
}

fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = text.write_fmt(words);
    text.push('\n');
}

impl HandOver {
    /// The minutes, in Vietnamese, two copies' worth of one text: to print, sign by hand and keep.
    ///
    /// # Errors
    /// When a text has characters that do not belong into minutes.
    pub fn text(&self, record: &Record, book: &Book, now: Millis) -> Result<String> {
        let texts = [
            &self.from.name,
            &self.from.position,
            &self.from.office,
            &self.to.name,
            &self.to.position,
            &self.to.office,
            &self.place,
            &self.device,
            &self.state,
        ];
        for text in texts {
            require_plain(text, TEXT_CHARS_MAX).context("a text of the minutes is not accepted")?;
        }
        let words = &record.words;
        let kind = match words.kind {
            Kind::Office(_) => "khóa của cơ quan, đơn vị (khóa của trạm)",
            Kind::Officer => "khóa cá nhân",
            Kind::Delegated(_) | Kind::Root => "khóa của cơ quan cấp chứng thư",
        };
        let day = |seconds: u64| {
            let date = calendar::date_of(Millis(seconds.saturating_mul(Millis::SECOND)));
            format!("{:02}/{:02}/{}", date.day(), date.month(), date.year())
        };
        let today = calendar::date_of(now);
        let key = hex(&Sha256::digest(&words.spki));
        let mut text = String::new();
        let out = &mut text;
        line(out, format_args!("CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM"));
        line(out, format_args!("Độc lập - Tự do - Hạnh phúc\n"));
        line(out, format_args!("BIÊN BẢN BÀN GIAO"));
        line(out, format_args!("Thiết bị lưu khóa bí mật và chứng thư chữ ký số của cơ quan, tổ chức\n"));
        line(
            out,
            format_args!(
                "Hôm nay, ngày {:02} tháng {:02} năm {}, tại {}, chúng tôi gồm:\n",
                today.day(),
                today.month(),
                today.year(),
                self.place
            ),
        );
        for (which, party) in [("I. BÊN GIAO", &self.from), ("II. BÊN NHẬN", &self.to)] {
            line(out, format_args!("{which}"));
            line(out, format_args!("   Họ và tên: {}", party.name));
            line(out, format_args!("   Chức vụ:   {}", party.position));
            line(out, format_args!("   Đơn vị:    {}\n", party.office));
        }
        line(out, format_args!("III. NỘI DUNG BÀN GIAO"));
        line(out, format_args!("   1. Thiết bị lưu khóa bí mật: {}", self.device));
        line(out, format_args!("   2. Loại khóa: {kind}"));
        line(out, format_args!("   3. Thuê bao: {}", words.subject));
        if let Kind::Office(office) = &words.kind {
            line(out, format_args!("      Mã định danh trong Trạm: {office}"));
        }
        line(out, format_args!("   4. Số sê-ri chứng thư: {}", words.serial));
        line(out, format_args!("   5. Cơ quan cấp: {}", book.subject));
        let (from, until) = (day(words.not_before_s), day(words.not_after_s));
        line(out, format_args!("   6. Hiệu lực: từ ngày {from} đến hết ngày {until}"));
        line(out, format_args!("   7. Dấu vân tay khóa công khai (SHA-256): {key}"));
        line(out, format_args!("   8. Tình trạng khi bàn giao, tài liệu kèm theo: {}\n", self.state));
        line(out, format_args!("IV. TRÁCH NHIỆM CỦA BÊN NHẬN (Điều 32 Nghị định số 30/2020/NĐ-CP)"));
        for duty in [
            "Bảo quản an toàn thiết bị lưu khóa bí mật tại trụ sở cơ quan, tổ chức.",
            "Chỉ giao thiết bị cho người khác khi được người có thẩm quyền cho phép bằng văn bản; \
             mỗi lần bàn giao phải lập biên bản.",
            "Phải trực tiếp ký số vào văn bản do cơ quan, tổ chức ban hành và bản sao văn bản.",
            "Chỉ ký số của cơ quan vào văn bản đã có chữ ký của người có thẩm quyền \
             và bản sao do cơ quan, tổ chức trực tiếp thực hiện.",
        ] {
            line(out, format_args!("   - {duty}"));
        }
        line(out, format_args!("   Ngoài ra:"));
        for duty in [
            "Đổi mật khẩu (PIN) ngay khi nhận; không tiết lộ, không lưu mật khẩu cùng thiết bị.",
            "Khi mất, hỏng thiết bị hoặc nghi lộ khóa: báo ngay cho cơ quan cấp chứng thư để thu hồi.",
        ] {
            line(out, format_args!("   - {duty}"));
        }
        line(out, format_args!("\nBiên bản lập thành 02 bản có giá trị như nhau, mỗi bên giữ 01 bản.\n"));
        line(out, format_args!("        BÊN GIAO                                BÊN NHẬN"));
        line(out, format_args!("   (Ký, ghi rõ họ tên)                     (Ký, ghi rõ họ tên)\n\n\n"));
        let gap = " ".repeat(40_usize.saturating_sub(self.from.name.chars().count()).max(2));
        line(out, format_args!("   {}{gap}{}", self.from.name, self.to.name));
        Ok(text)
    }
}
