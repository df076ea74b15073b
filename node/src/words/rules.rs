//! Rules that what people write must keep, in Vietnamese; the rules themselves say them in English.

/// A rule of what people write, by its English text.
const RULES: &[(&str, &str)] = &[
    ("a text that is required says something", "một mục bắt buộc còn để trống"),
    ("at most 16 people or units help", "nhiều nhất 16 người hoặc đơn vị phối hợp"),
    ("a draft lists 1 to 1,024 recipients", "dự thảo có 1 đến 1.024 nơi nhận; nhiều hơn thì chọn gửi tất cả"),
    ("a document on paper has at least one copy", "văn bản giấy có ít nhất một bản"),
    ("at most 64 lines of recipients", "nhiều nhất 64 dòng dưới mục Nơi nhận"),
    (
        "whoever erases content names the decision and the reason",
        "phải nêu quyết định cho phép tiêu hủy và lý do",
    ),
    ("a signature has 1 byte to 16 KiB", "một chữ ký có 1 byte đến 16 KiB"),
    ("a person has at least one role", "mỗi người có ít nhất một vai trò"),
    (
        "a person is limited to at most 1,024 recipients",
        "một người được giới hạn ở nhiều nhất 1.024 nơi nhận",
    ),
    ("a line of a register has a number from 1 to 9,999,999", "số trong sổ là từ 1 đến 9.999.999"),
    ("the issuing authority is the office that sends", "cơ quan ban hành phải là đơn vị gửi"),
    ("at most 8 signatures", "nhiều nhất 8 chữ ký"),
    (
        "a manifest has at most 48 KiB",
        "thông tin văn bản nhiều nhất 48 KiB; hãy đưa phần dài vào tệp đính kèm",
    ),
    ("an abstract is required", "thiếu trích yếu"),
    ("a document names its signer and the signer's title", "thiếu họ tên hoặc chức vụ của người ký"),
    ("a document has 1 to 9,999 pages", "văn bản có 1 đến 9.999 trang"),
    (
        "at most 64 lines of recipients and 32 references",
        "nhiều nhất 64 dòng dưới mục Nơi nhận và 32 văn bản được trả lời",
    ),
    (
        "a place or a line of recipients says something",
        "nơi ban hành hoặc một dòng dưới mục Nơi nhận còn để trống",
    ),
    (
        "an update or replacement is of another document, and says why",
        "văn bản cập nhật hoặc thay thế phải nêu một văn bản khác và lý do",
    ),
    (
        "a file name that every system takes, without a path",
        "tên tệp không được có đường dẫn, các ký tự / \\ : * ? \" < > |, dấu chấm hoặc dấu cách ở cuối, hay là tên riêng của máy như CON, NUL, COM1",
    ),
    ("at most 50 attachments", "nhiều nhất 50 tệp đính kèm"),
    ("attachments have 1 byte to 2 GiB", "mỗi tệp đính kèm có 1 byte đến 2 GiB"),
    ("each attachment is named once", "một tệp đính kèm có mặt hai lần"),
    ("a number, a slash and a symbol", "số, ký hiệu phải có dạng số/ký hiệu, ví dụ 12/BC-UBND"),
];

/// A rule in Vietnamese; in English while nobody has put it into words.
pub fn rule(english: &'static str) -> &'static str {
    let known = RULES.iter().find(|(rule, _)| *rule == english);
    known.map_or(english, |(_, vietnamese)| vietnamese)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::body::{BodyError, Dispatch};
    use schema::document::{AmendKind, Amends, Attachment, DocumentType, Manifest, Signer};
    use schema::id::{DocumentId, FileHash, OfficeId};

    const OFFICE: OfficeId = OfficeId::new([1; 16]);

    fn letter() -> Manifest {
        let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
        let document = DocumentId::new([1; 16]);
        Manifest::new(document, OFFICE, DocumentType::Report, "Về việc thống kê", signer)
    }

    fn file(n: u8, name: &str, length: u64) -> Attachment {
        let file = schema::blob::FileRef { hash: FileHash::new([n; 32]), length };
        Attachment { name: name.to_owned(), media_type: "application/pdf".to_owned(), file }
    }

    /// Every rule that a form can break is told in Vietnamese.
    #[test]
    fn rule_that_a_form_can_break_has_vietnamese_words() {
        let itself = Amends { document: letter().document, how: AmendKind::Update, reason: "Sai".to_owned() };
        let many = (0..51).map(|n| file(n, "a.pdf", 1)).collect();
        let manifests = [
            Manifest { subject: " ".to_owned(), ..letter() },
            Manifest { signer: Signer::head("", "Vàng A Sáng"), ..letter() },
            Manifest { pages: 0, ..letter() },
            Manifest { recipient_lines: vec!["Lưu: VT".to_owned(); 65], ..letter() },
            Manifest { recipient_lines: vec![" ".to_owned()], ..letter() },
            Manifest { amends: Some(itself), ..letter() },
            Manifest { attachments: vec![file(1, "../a.pdf", 1)], ..letter() },
            Manifest { attachments: vec![file(1, "a.pdf", 0)], ..letter() },
            Manifest { attachments: vec![file(1, "a.pdf", 1), file(1, "b.pdf", 1)], ..letter() },
            Manifest { attachments: many, ..letter() },
            Manifest { issuer: OfficeId::new([2; 16]), ..letter() },
        ];
        let unsigned = manifests.into_iter().map(Dispatch::unsigned);
        let signatures = [vec![vec![1].into(); 9], vec![Vec::new().into()]];
        let signed = signatures.map(|signatures| Dispatch { signatures, ..Dispatch::unsigned(letter()) });
        for dispatch in unsigned.chain(signed) {
            let broken = match dispatch.check_by(&OFFICE) {
                Err(BodyError::Rule { rule, .. }) => Some(rule),
                _ => None,
            };
            let english = broken.expect("each of them breaks a rule");
            assert_ne!(rule(english), english, "nobody has put it into words");
        }
    }
}
