//! The documents of the demo. The three PDFs and two annexes are the samples of `ops/samples`; abstracts and numbers
//! of the others are invented.

use schema::document::{Capacity, DocumentType, Signer};

use super::cast::Part;

/// An attachment.
#[derive(Clone)]
pub(super) struct Attachment {
    pub(super) name: String,
    pub(super) media_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// A document before it is sent.
#[derive(Clone)]
pub(super) struct Paper {
    pub(super) subject: String,
    pub(super) number: String,
    /// The date that it bears, as in its PDF.
    pub(super) issued_on: &'static str,
    pub(super) pages: u16,
    pub(super) document_type: DocumentType,
    /// Who signs it, as in its PDF; invented.
    pub(super) signer: Signer,
    pub(super) urgency: &'static str,
    pub(super) attachments: Vec<Attachment>,
}

const PDF: &str = "application/pdf";
const CSV: &str = "text/csv";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const TEXT: &str = "text/plain";

fn signer(capacity: Capacity, position: &str, name: &str) -> Signer {
    Signer { capacity, position: position.to_owned(), name: name.to_owned() }
}

fn attachment(name: &str, media_type: &'static str, bytes: &[u8]) -> Attachment {
    Attachment { name: name.to_owned(), media_type, bytes: bytes.to_vec() }
}

/// The express letter of Na Hối about the flood, with its annex.
pub(super) fn express_letter() -> Paper {
    Paper {
        subject: "V/v đề nghị hỗ trợ khắc phục thiệt hại do mưa lũ ngày 07/6/2025".to_owned(),
        number: "47/UBND-VP".to_owned(),
        issued_on: "2025-06-09",
        pages: 1,
        document_type: DocumentType::OfficialLetter,
        signer: signer(Capacity::OnBehalf, "Chủ tịch", "Lò Văn Mẫu"),
        urgency: "express",
        attachments: vec![
            attachment("Công văn 47.pdf", PDF, include_bytes!("../../samples/cong-van-xa.pdf")),
            attachment("Phụ lục.csv", CSV, include_bytes!("../../samples/cong-van-xa-phu-luc.csv")),
        ],
    }
}

/// The report of Bắc Hà, with its annex.
pub(super) fn district_report() -> Paper {
    Paper {
        subject: "Kết quả gửi, nhận văn bản điện tử của các xã, thị trấn trong đợt mưa lũ từ ngày 07 đến \
                  ngày 14 tháng 6 năm 2025"
            .to_owned(),
        number: "163/BC-UBND".to_owned(),
        issued_on: "2025-06-16",
        pages: 2,
        document_type: DocumentType::Report,
        signer: signer(Capacity::ForHead, "Phó Chủ tịch", "Vàng Thị Minh Họa"),
        urgency: "normal",
        attachments: vec![
            attachment("Báo cáo 163.pdf", PDF, include_bytes!("../../samples/bao-cao-huyen.pdf")),
            attachment("Phụ lục.xlsx", XLSX, include_bytes!("../../samples/bao-cao-huyen-phu-luc.xlsx")),
        ],
    }
}

/// The guidance of the ministry to all.
pub(super) fn circular() -> Paper {
    Paper {
        subject: "Gửi, nhận văn bản điện tử tại địa bàn có đường truyền gián đoạn".to_owned(),
        number: "09/HD-BNV".to_owned(),
        issued_on: "2025-06-12",
        pages: 2,
        document_type: DocumentType::Guidance,
        signer: signer(Capacity::ForHead, "Thứ trưởng", "Nguyễn Thị Ví Dụ"),
        urgency: "urgent",
        attachments: vec![
            attachment("Hướng dẫn 09.pdf", PDF, include_bytes!("../../samples/huong-dan-trung-uong.pdf")),
            attachment(
                "Danh sách nơi nhận.txt",
                TEXT,
                "Các bộ; UBND các tỉnh, thành phố; UBND các huyện; UBND các xã.\n".as_bytes(),
            ),
        ],
    }
}

const SUBJECTS: [&str; 12] = [
    "V/v rà soát hộ nghèo, hộ cận nghèo năm 2025",
    "V/v cấp phát thóc giống, ngô giống vụ mùa",
    "V/v xác minh lý lịch công dân chuyển nơi thường trú",
    "V/v kiểm tra hồ chứa nước trước mùa mưa bão",
    "V/v mời họp giao ban tháng 6 năm 2025",
    "V/v bàn giao hồ sơ, tài liệu khi sắp xếp đơn vị hành chính",
    "V/v thống kê cơ sở vật chất trường học",
    "V/v phối hợp tìm kiếm người mất tích",
    "V/v đăng ký nhu cầu vắc xin cho đàn gia súc",
    "V/v trả lời kiến nghị của cử tri",
    "V/v thông báo lịch tiếp công dân quý III năm 2025",
    "V/v cung cấp số liệu dân cư phục vụ chi trả an sinh xã hội",
];

/// Writes ordinary letters: every one different, the same again for the same seed.
pub(super) struct Typist {
    state: u64,
    written: u64,
}

impl Typist {
    pub(super) fn new(seed: u64) -> Self {
        Self { state: seed, written: 0 }
    }

    /// SplitMix64 (Steele, Lea and Flood 2014): enough to vary a demo.
    pub(super) fn draw(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        usize::try_from(z % below.max(1) as u64).unwrap_or(0)
    }

    /// The next letter of this office, with a page of text attached.
    pub(super) fn letter(&mut self, from: Part) -> Paper {
        self.written += 1;
        let subject = SUBJECTS[self.draw(SUBJECTS.len())].to_owned();
        let number = format!("{}/UBND-VP", 100 + self.written);
        let lines = 20 + self.draw(60);
        let mut page =
            format!("{number}\n{subject}\n\nVăn bản mẫu, nội dung hư cấu (số thứ tự {}).\n", from.0);
        for line in 1..=lines {
            page += &format!(
                "{line}. Nội dung thứ {line}: {} đơn vị, {} hồ sơ.\n",
                self.draw(40),
                self.draw(900)
            );
        }
        Paper {
            subject,
            number,
            issued_on: "2025-06-10",
            pages: 1,
            document_type: DocumentType::OfficialLetter,
            signer: signer(Capacity::OnBehalf, "Chủ tịch", "Giàng Seo Phử"),
            urgency: if self.draw(6) == 0 { "urgent" } else { "normal" },
            attachments: vec![attachment("Nội dung.txt", TEXT, page.as_bytes())],
        }
    }
}
