//! Words for what people do with documents.

use super::{Text, text};

table! {
    /// How far a document is at its recipient.
    STAGE {
        "arrived" => "đã đến, chưa tiếp nhận", "arrived, not accepted yet";
        "refused" => "từ chối tiếp nhận", "refused";
        "registered" => "đã tiếp nhận, đã vào sổ", "accepted, registered";
        "assigned" => "đã phân công", "assigned";
        "in-progress" => "đang xử lý", "in progress";
        "finished" => "đã hoàn thành", "finished";
    }
}

table! {
    /// What a document is worth for work.
    STANDING {
        "current" => "còn hiệu lực xử lý", "it counts";
        "asked-back" => "bên gửi xin lấy lại, chờ trả lời", "its sender asks for it back, no answer yet";
        "taken-back" => "đã lấy lại, không xử lý nữa", "taken back, no more work on it";
        "replaced" => "đã bị thay thế bằng văn bản khác", "replaced by another document";
        "recalled" => "đã thu hồi, không xử lý nữa", "recalled, no more work on it";
    }
}

table! {
    /// What is to be done by a time.
    TASK {
        "to-send" => "đã ký, chưa gửi", "signed, not sent";
        "to-accept" => "đã đến, chờ tiếp nhận", "came in, to be accepted";
        "to-finish" => "phải xử lý xong", "to be finished";
        "to-arrive" => "chưa có biên nhận", "no receipt yet";
        "to-answer" => "bên gửi chờ trả lời", "its sender waits for an answer";
        "to-be-replied" => "đến hạn trả lời, nơi nhận chưa trả lời", "an answer was wanted by this date";
        "to-be-answered" => "nơi nhận chưa trả lời", "a recipient has not answered";
    }
}

table! {
    /// How the time stands.
    TIMELINESS {
        "in-time" => "còn hạn", "in time";
        "due" => "đến hạn", "due";
        "late" => "quá hạn", "late";
    }
}

table! {
    /// How far a document is before it leaves.
    DRAFT_STAGE {
        "drafted" => "dự thảo, chờ duyệt", "drafted, not approved yet";
        "approved" => "đã duyệt, chờ ký", "approved, not signed yet";
        "signed" => "đã ký, chờ cấp số", "signed, not numbered yet";
        "issued" => "đã cấp số, chưa gửi", "numbered, not sent yet";
        "sent" => "đã chuyển sang chờ gửi", "queued";
        "discarded" => "đã hủy trước khi gửi", "given up before it was sent";
    }
}

table! {
    /// What a sender asks for.
    BUSINESS {
        "take-back" => "xin lấy lại", "take-back";
        "update" => "cập nhật bằng văn bản khác", "update by another document";
        "replace" => "thay thế bằng văn bản khác", "replacement by another document";
        "recall" => "thu hồi", "recall";
    }
}

table! {
    /// What becomes of an earlier document.
    AMENDS {
        "update" => "cập nhật văn bản trước (chờ nơi nhận đồng ý)", "updates an earlier document, if its recipient agrees";
        "replace" => "thay thế văn bản trước", "replaces an earlier document";
    }
}

table! {
    /// What a document says, field by field.
    FIELD {
        "subject" => "trích yếu", "abstract";
        "document_type" => "tên loại", "type";
        "attachments" => "tệp đính kèm", "attachments";
        "signer" => "người ký", "signer";
        "urgency" => "độ khẩn", "urgency";
        "pages" => "số trang", "pages";
        "place" => "địa danh", "place";
        "recipient_lines" => "nơi nhận", "recipients";
        "due" => "hạn trả lời", "answer by";
        "responds_to" => "trả lời văn bản", "answers";
        "paper" => "kèm bản giấy", "paper follows";
        "copy" => "hình thức sao", "form of copy";
        "number" => "số, ký hiệu", "number and symbol";
        "issued_on" => "ngày ban hành", "date";
    }
}

table! {
    /// Why a document is refused or returned.
    REFUSAL_REASON {
        "wrong-addressee" => "gửi nhầm nơi nhận", "sent to the wrong office";
        "incomplete" => "văn bản không đầy đủ", "the document is not complete";
        "not-intact" => "văn bản không toàn vẹn", "the document was changed";
        "not-authentic" => "văn bản không xác thực được", "it is not shown who made the document";
        "no-valid-signature" => "không có chữ ký số hợp lệ", "there is no valid signature";
        "outside-authority" => "không thuộc thẩm quyền", "outside the authority of the sender or of this office";
        "duplicate" => "trùng văn bản đã nhận", "a document with this number and symbol was received already";
        "damaged-file" => "tệp bị hỏng, không mở được", "an attachment is damaged";
        "other" => "lý do khác", "another reason";
    }
}

table! {
    /// What somebody may do in an office.
    ROLE {
        "clerk" => "văn thư", "clerk";
        "leader" => "lãnh đạo", "leader";
        "officer" => "chuyên viên", "officer";
        "administrator" => "quản trị đơn vị", "administrator";
        "auditor" => "kiểm tra", "auditor";
    }
}

table! {
    /// Why somebody's work is not done: what happened, what is safe, what to do.
    WORK_REFUSED {
        "person-needed" => "Việc này phải ghi tên người làm; chưa có gì được ghi. Hãy dùng `--as` cùng tên của mình, hoặc nhờ quản trị đơn \
                            vị thêm bằng `tram-node person add`.",
            "This is recorded with the name of whoever does it; nothing was recorded. Use `--as` with your name, or have the \
             administrator add you with `tram-node person add`.";
        "role" => "Việc này không thuộc vai trò của bạn; chưa có gì được ghi. Hãy chuyển cho người có vai trò nêu dưới đây.",
            "This is not for your role; nothing was recorded. Leave it to somebody in the role named below.";
        "not-in-role" => "Bạn không còn vai trò này trong đơn vị; chưa có gì được ghi. Hãy hỏi quản trị đơn vị.",
            "You do not have that role in this office any more; nothing was recorded. Ask the administrator.";
        "type-not-yours" => "Bạn không được giao duyệt, ký, cấp số hay gửi loại văn bản này; chưa có gì được ghi. Hãy chuyển cho người được \
                             giao nêu dưới đây, hoặc đề nghị quản trị đơn vị giao thêm (`tram-node person limit`).",
            "Documents of this type are not yours to approve, sign, number or send; nothing was recorded. Leave it to whoever is \
             named below, or have the administrator entrust them to you (`tram-node person limit`).";
        "recipient-not-yours" => "Bạn không được giao gửi văn bản cho nơi nhận này; chưa có gì được ghi. Hãy chuyển cho người được giao \
                                  nêu dưới đây, hoặc đề nghị quản trị đơn vị giao thêm (`tram-node person limit`).",
            "Documents to this recipient are not yours to approve, sign, number or send; nothing was recorded. Leave it to whoever \
             is named below, or have the administrator entrust it to you (`tram-node person limit`).";
        "content-role" => "Vai trò quản trị đơn vị không xem nội dung văn bản.", "An administrator does not read what documents say.";
        "machine-role" => "Cấu hình của trạm (`[api]`, `machine_roles`) không cho mã truy cập của máy đọc hay gửi văn bản; chưa có gì được ghi. \
                           Hãy dùng `--as` cùng tên của mình.",
            "The station's settings (`[api]`, `machine_roles`) do not let the machine's own token read or send documents; nothing \
             was recorded. Use `--as` with your name.";
        "not-here" => "Văn bản này chưa đến, hoặc chưa tới lượt hiển thị; chưa có gì được ghi.",
            "This document is not here, or not shown yet; nothing was recorded.";
        "not-sent-to" => "Văn bản không gửi cho đơn vị đó; chưa có gì được ghi.",
            "The document did not go to that office; nothing was recorded.";
        "already-registered" => "Văn bản đã được tiếp nhận và vào sổ; không vào sổ lần thứ hai.",
            "The document is registered already; it was not registered a second time.";
        "done-before" => "Việc này đã được ghi từ trước; không dùng thêm số nào.", "This was recorded before; no further number was used.";
        "other-work" => "Mã định danh này đã dùng cho một việc khác (xem số dưới đây); chưa có gì được ghi. Hãy dùng mã mới cho việc mới.",
            "This id was used for other work (see the number below); nothing was recorded. Use a new id for new work.";
        "already-refused" => "Văn bản đã bị từ chối và bên gửi đã được báo. Nếu nhầm, hãy đề nghị bên gửi gửi lại.",
            "The document was refused and its sender was told. If that was a mistake, ask for it to be sent again.";
        "not-registered" => "Văn bản chưa vào sổ nên chưa ai phải xử lý (Nghị định 30/2020, Điều 22). Hãy tiếp nhận trước.",
            "The document is not registered, so it obliges nobody (Decree 30/2020 article 22). Accept it first.";
        "already-finished" => "Văn bản đã xử lý xong; không ghi thêm.", "The document is finished; nothing was added.";
        "already-started" => "Việc xử lý đã được ghi nhận từ trước.", "That work has begun was recorded already.";
        "asked-back" => "Bên gửi đang xin lấy lại văn bản này. Hãy trả lời đồng ý hoặc từ chối trước; chưa có gì được ghi.",
            "Its sender asks for this document back. Answer first, yes or no; nothing was recorded.";
        "counts-no-more" => "Văn bản không còn để xử lý (xem lý do dưới đây). Dòng trong sổ vẫn giữ nguyên.",
            "No more work is done on the document (see below why). Its line in the register stays.";
        "nobody-left" => "Không còn nơi nhận nào để đề nghị: nơi nào cũng đã được đề nghị, hoặc văn bản ở đó không còn hiệu lực.",
            "No recipient is left that could be asked: all were asked already, or it counts no more there.";
        "content-blocked" => "Văn bản đã thu hồi hoặc đã được lấy lại: không mở tệp đính kèm, trừ người có vai trò kiểm tra.",
            "The document was recalled or taken back: its attachments are not opened, except by an auditor.";
        "is-drafted" => "Văn bản này đang (hoặc đã) là dự thảo tại đây; hãy phát hành theo thứ tự bằng `tram-node draft`: duyệt, ký, cấp số, gửi. \
                         Chưa có gì được gửi.",
            "This document is, or was, a draft here: issue it in order with `tram-node draft` (approve, sign, number, send). Nothing was sent.";
        "nothing-said" => "Không có thông tin nào về văn bản chưa có tại đây mang mã này; nếu văn bản đã đến, hãy xử lý như bình thường. \
                           Chưa có gì được ghi.",
            "Nothing was said about a document of this id that is not here; if it has come, work on it as usual. Nothing was \
             recorded.";
        "already-set-aside" => "Thông tin này đã được bỏ qua từ trước và chưa có gì mới; không ghi lần thứ hai.",
            "This was set aside before and nothing more was said since; it was not recorded a second time.";
        "nothing-asked" => "Bên gửi không có đề nghị nào đang chờ trả lời.", "No question of its sender waits for an answer.";
        "already-asked" => "Đã đề nghị nơi nhận này và đang chờ trả lời; không gửi lần thứ hai.",
            "This recipient was asked and has not answered yet; it was not asked a second time.";
        "asked-too-often" => "Đã đề nghị nơi nhận này quá nhiều lần về văn bản đó; hãy liên hệ trực tiếp. Vẫn thu hồi được.",
            "This recipient was asked too often about that document; call it instead. A recall is still possible.";
        "signature-not-valid" => "Chữ ký số trên văn bản không hợp lệ nên không tiếp nhận được. Hãy từ chối với lý do “không có chữ ký số hợp lệ”.",
            "A signature on the document is not valid, so it cannot be accepted. Refuse it for that reason.";
        "undetermined" => "Chưa xác định được giá trị chữ ký trên văn bản. Muốn tiếp nhận, hãy ghi lý do; hoặc chờ trạm tự kiểm tra lại khi có mạng.",
            "What the signatures are worth cannot be told yet. To accept it all the same, give a reason; or wait until the station \
             has judged it again.";
        "same-number" => "Đơn vị này đã gửi một văn bản khác cùng số, ký hiệu và năm. Hãy xem văn bản đó; nếu trùng, từ chối với lý do “trùng”.",
            "The same office sent another document with this number, symbol and year. Look at that one; if it is the same, refuse \
             this one as a duplicate.";
        "unknown-book" => "Không có sổ này, hoặc sổ này không nhận loại văn bản đó; xem `[[registers]]` trong `config.toml`.",
            "There is no such register, or it does not take documents of this type; see `[[registers]]` in `config.toml`.";
        "book-doubtful" => "Trạm từng được khôi phục từ bản sao lưu: trong năm này có thể có số đã cấp mà trạm không biết, nên chưa cấp số \
                            mới. Đối chiếu sổ in, rồi khai số lớn nhất của năm (0 nếu chưa có) bằng `tram-node register state`.",
            "The station was restored once: numbers of this year may have been given that it does not know, so it gives none. \
             Compare the printed register, then state the year's highest number (0 if none) with `tram-node register state`.";
        "book-in-use" => "Sổ đang được dùng và trạm biết số lớn nhất; không khai lại.",
            "The register is in use and the station knows its highest number; nobody states another one.";
        "below-known" => "Số khai nhỏ hơn số mà trạm biết là đã dùng; chưa có gì được ghi.",
            "The number is below one that the station knows to be used; nothing was recorded.";
        "book-full" => "Sổ đã hết số trong năm nay; hãy mở sổ khác.", "The register has no number left this year; open another one.";
        "no-draft" => "Không có dự thảo này.", "There is no such draft.";
        "other-issuer" => "Cơ quan ban hành ghi trong văn bản không phải đơn vị này.", "The issuing authority of the document is not this office.";
        "type-not-allowed" => "Đơn vị không có thẩm quyền ban hành loại văn bản này (cấu hình `[authority]`); chưa có gì được ghi.",
            "This office is not entitled to issue documents of this type (settings, `[authority]`); nothing was recorded.";
        "content-fixed" => "Văn bản đã có chữ ký nên nội dung không sửa được nữa. Muốn sửa: hủy văn bản này rồi soạn văn bản khác.",
            "A person has signed the document, so nothing of it changes any more. Discard it and write another one.";
        "not-approved" => "Dự thảo chưa được lãnh đạo duyệt. Thứ tự: duyệt, ký, cấp số, gửi.",
            "Nobody has approved the draft yet. The order is: approve, sign, number, send.";
        "already-approved" => "Dự thảo đã được duyệt.", "The draft is approved already.";
        "not-signed" => "Văn bản chưa có chữ ký của người có thẩm quyền nên chưa được cấp số và chưa được ký số cơ quan (Nghị định 30/2020, Điều 32).",
            "No person has signed the document, so it gets neither number nor the office's seal (Decree 30/2020 article 32).";
        "already-signed" => "Văn bản đã có chữ ký này.", "The document bears this signature already.";
        "too-many-signatures" => "Văn bản đã có đủ số chữ ký tối đa.", "The document has as many signatures as it may have.";
        "not-issued" => "Văn bản chưa được cấp số, ngày. Hãy cấp số trước khi gửi.", "The document has no number yet. Number it, then send it.";
        "already-issued" => "Văn bản đã được cấp số; không cấp lần thứ hai.", "The document has its number already; it got no second one.";
        "already-sent" => "Văn bản đã được chuyển sang chờ gửi.", "The document was queued already.";
        "already-discarded" => "Văn bản đã bị hủy trước khi gửi; hãy soạn văn bản khác.", "The document was given up before it was sent; write another one.";
        "no-main-file" => "Văn bản chưa có tệp chính dạng PDF: tệp đính kèm đầu tiên phải là PDF.", "The document has no main file: its first attachment must be a PDF.";
        "no-symbol" => "Không lập được ký hiệu cho văn bản này; hãy xem mẫu ký hiệu của sổ trong cấu hình, hoặc ghi đơn vị soạn thảo.",
            "No symbol can be made for this document; look at the register's settings, or name the drafting unit.";
        "unsigned" => "Văn bản chưa có chữ ký của người có thẩm quyền nên cơ quan không ký số, không gửi (Nghị định 30/2020, Điều 32). Nếu chỉ gửi để biết, tham khảo: nêu rõ khi gửi.",
            "No person has signed the document, so the office neither seals nor sends it (Decree 30/2020 article 32). To send it for knowing only, say so.";
        "number-sent" => "Đơn vị này đã gửi cho nơi nhận đó một văn bản cùng số, ký hiệu và năm. Muốn sửa văn bản cũ: gửi dạng cập nhật hoặc thay thế.",
            "A document with this number, symbol and year went to that recipient before. To correct it, send an update or a replacement.";
        "recipient-not-allowed" => "Đơn vị không có thẩm quyền gửi cho nơi nhận này (cấu hình `[authority]`); chưa có gì được lưu.",
            "This office is not entitled to send to that recipient (settings, `[authority]`); nothing was saved.";
        "attachment-gone" => "Tệp này đã mất tại đây và bên kia đã tiêu hủy bản của họ; chỉ còn mã băm.",
            "This file was lost here, and the other office has erased its copy; only its hash is kept.";
        "content-erased" => "Nội dung văn bản đã được tiêu hủy tại đây theo quyết định (xem `tram-node show`); mã băm, chữ ký và dòng trong sổ vẫn giữ.",
            "The content of this document was erased here by decision (see `tram-node show`); hashes, signatures and its line in the register stay.";
        "already-erased" => "Nội dung văn bản đã được tiêu hủy từ trước; không ghi lần thứ hai.",
            "The content of the document was erased before; nothing was recorded.";
        "still-on-its-way" => "Văn bản chưa tới đủ nơi nhận nên chưa tiêu hủy được nội dung; xem `tram-node why`. Chưa có gì bị xóa.",
            "The document has not reached every recipient, so its content is not erased; see `tram-node why`. Nothing was erased.";
        "still-at-work" => "Văn bản chưa giải quyết xong (chưa tiếp nhận hoặc từ chối, đang xử lý, hay đang chờ trả lời) nên chưa tiêu hủy được nội dung. \
                            Chưa có gì bị xóa.",
            "The document is not settled (not accepted or refused, under work, or waiting for an answer), so its content is not erased. \
             Nothing was erased.";
        "still-kept" => "Chưa hết thời hạn bảo quản đã nêu (xem dưới đây). Chỉ tiêu hủy sớm khi có quyết định của cấp có thẩm quyền. Chưa có gì bị xóa.",
            "The time for which it is kept has not ended (see below). It is erased earlier only when that was ordered. Nothing was erased.";
        "work-text" => "Nội dung ghi không được chấp nhận; chưa có gì được ghi.", "What was written is not acceptable; nothing was recorded.";
    }
}
