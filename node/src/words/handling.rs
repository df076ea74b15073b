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
        "recalled" => "đã thu hồi, không xử lý nữa", "recalled, no more work on it";
    }
}

table! {
    /// What a sender asks for.
    BUSINESS {
        "take-back" => "xin lấy lại", "take-back";
        "recall" => "thu hồi", "recall";
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
        "content-role" => "Vai trò quản trị đơn vị không xem nội dung văn bản.", "An administrator does not read what documents say.";
        "not-here" => "Văn bản này chưa đến, hoặc chưa tới lượt hiển thị; chưa có gì được ghi.",
            "This document is not here, or not shown yet; nothing was recorded.";
        "not-sent-to" => "Văn bản không gửi cho đơn vị đó; chưa có gì được ghi.",
            "The document did not go to that office; nothing was recorded.";
        "already-registered" => "Văn bản đã được tiếp nhận và vào sổ; không vào sổ lần thứ hai.",
            "The document is registered already; it was not registered a second time.";
        "already-refused" => "Văn bản đã bị từ chối và bên gửi đã được báo. Nếu nhầm, hãy đề nghị bên gửi gửi lại.",
            "The document was refused and its sender was told. If that was a mistake, ask for it to be sent again.";
        "not-registered" => "Văn bản chưa vào sổ nên chưa ai phải xử lý (Nghị định 30/2020, Điều 22). Hãy tiếp nhận trước.",
            "The document is not registered, so it obliges nobody (Decree 30/2020 article 22). Accept it first.";
        "already-finished" => "Văn bản đã xử lý xong; không ghi thêm.", "The document is finished; nothing was added.";
        "already-started" => "Việc xử lý đã được ghi nhận từ trước.", "That work has begun was recorded already.";
        "asked-back" => "Bên gửi đang xin lấy lại văn bản này. Hãy trả lời đồng ý hoặc từ chối trước; chưa có gì được ghi.",
            "Its sender asks for this document back. Answer first, yes or no; nothing was recorded.";
        "counts-no-more" => "Văn bản đã được lấy lại hoặc thu hồi, không xử lý nữa. Dòng trong sổ vẫn giữ nguyên.",
            "The document was taken back or recalled: no more work on it. Its line in the register stays.";
        "nothing-asked" => "Bên gửi không có đề nghị nào đang chờ trả lời.", "No question of its sender waits for an answer.";
        "already-asked" => "Đã đề nghị nơi nhận này và đang chờ trả lời; không gửi lần thứ hai.",
            "This recipient was asked and has not answered yet; it was not asked a second time.";
        "asked-too-often" => "Đã đề nghị nơi nhận này quá nhiều lần; hãy liên hệ trực tiếp.",
            "This recipient was asked too often; call it instead.";
        "signature-not-valid" => "Chữ ký số trên văn bản không hợp lệ nên không tiếp nhận được. Hãy từ chối với lý do “không có chữ ký số hợp lệ”.",
            "A signature on the document is not valid, so it cannot be accepted. Refuse it for that reason.";
        "undetermined" => "Chưa xác định được giá trị chữ ký trên văn bản. Muốn tiếp nhận, hãy ghi lý do; hoặc chờ trạm tự kiểm tra lại khi có mạng.",
            "What the signatures are worth cannot be told yet. To accept it all the same, give a reason; or wait until the station \
             has judged it again.";
        "same-number" => "Đơn vị này đã gửi một văn bản khác cùng số, ký hiệu và năm. Hãy xem văn bản đó; nếu trùng, từ chối với lý do “trùng”.",
            "The same office sent another document with this number, symbol and year. Look at that one; if it is the same, refuse \
             this one as a duplicate.";
        "unknown-book" => "Không có sổ này trong cấu hình của trạm; xem `tram-node register list`.",
            "The settings name no such register; see `tram-node register list`.";
        "book-doubtful" => "Trạm vừa được khôi phục từ bản sao lưu: có thể có số đã cấp mà trạm không biết, nên chưa cấp số mới. Hãy đối chiếu sổ \
                            in, rồi khai số lớn nhất đã dùng bằng `tram-node register state`.",
            "The station was restored: numbers may have been given that it does not know, so it gives none. Compare the printed \
             register, then state the highest number used with `tram-node register state`.";
        "book-in-use" => "Sổ đang được dùng và trạm biết số lớn nhất; không khai lại.",
            "The register is in use and the station knows its highest number; nobody states another one.";
        "below-known" => "Số khai nhỏ hơn số mà trạm biết là đã dùng; chưa có gì được ghi.",
            "The number is below one that the station knows to be used; nothing was recorded.";
        "book-full" => "Sổ đã hết số trong năm nay; hãy mở sổ khác.", "The register has no number left this year; open another one.";
        "work-text" => "Nội dung ghi không được chấp nhận; chưa có gì được ghi.", "What was written is not acceptable; nothing was recorded.";
    }
}
