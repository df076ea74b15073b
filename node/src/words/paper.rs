//! Words for what is printed around a document.

use super::{Text, text};

table! {
    /// Whose opinion stands in a part of the slip for handling a document (Decree 30/2020 appendix IV).
    SLIP_PART {
        "agency-leader" => "Ý kiến của lãnh đạo cơ quan, tổ chức", "Opinion of the leader of the agency";
        "unit-leader" => "Ý kiến của lãnh đạo đơn vị", "Opinion of the leader of the unit";
        "handler" => "Ý kiến đề xuất của người giải quyết", "Proposal of whoever handles it";
    }
}

table! {
    /// What checking a signature came to; said always, whatever it is.
    CHECKED {
        "valid" => "Kiểm tra thành công: chữ ký số hợp lệ.", "Checked: the signature is valid.";
        "undetermined" => "Chưa kiểm tra được hết: chưa xác định chữ ký số có hợp lệ hay không.",
            "Not checked in full: whether the signature is valid cannot be told yet.";
        "invalid" => "Kiểm tra không thành công: chữ ký số KHÔNG hợp lệ.", "The check FAILED: the signature is not valid.";
        "unread" => "Kiểm tra không thành công: không đọc được chữ ký số.", "The check FAILED: the signature cannot be read.";
        "missing" => "Không có chữ ký số của người có thẩm quyền.", "The person who is to sign has not signed it.";
        "copy-needs-none" => "Bản sao do cơ quan xác nhận, không cần chữ ký của cá nhân.",
            "A copy that the agency certifies; it needs no person's signature.";
        "file-gone" => "Tệp này không còn ở đây và nơi gửi đã tiêu hủy; chỉ còn mã băm.", "This file is not here any more, and its sender has erased it; its hash is kept.";
        "file-erased" => "Nội dung tệp này đã được tiêu hủy tại đây; chỉ còn mã băm.", "The content of this file was erased here; its hash is kept.";
        "file-awaited" => "Chưa nhận đủ tệp này; chưa đối chiếu được mã băm.", "The file has not come in full yet; its hash was not compared.";
        "other-name" => "Tên trong chứng thư số khác tên người ký ghi trong văn bản; hãy đối chiếu.",
            "The name in the certificate is not the signer's name in the document; compare them.";
        "not-identified" => "Tên do chứng thư số tự ghi, chưa được xác thực.", "The name is what the certificate says; it is not proven.";
    }
}

table! {
    /// Where the law has a signature stand on the document (Decree 30/2020 appendix I).
    PLACEMENT {
        "person" => "Giữa chức vụ và họ tên của người ký; hình ảnh chữ ký màu xanh, .png nền trong suốt.",
            "Between title and name of the signer; picture of the written signature in blue, .png, transparent.";
        "agency" => "Trùm lên khoảng 1/3 chữ ký của người có thẩm quyền, về bên trái; hình ảnh dấu màu đỏ, kích thước thực tế, .png nền trong suốt.",
            "Over about a third of the person's signature, from the left; picture of the seal in red, real size, .png, transparent.";
        "attachment" => "Góc trên, bên phải, trang đầu của tệp kèm theo; không hiển thị hình ảnh; Times New Roman, chữ in thường, đứng, cỡ 10, màu đen.",
            "Top right of the attachment's first page; no picture; Times New Roman, lower case, upright, size 10, black.";
        "copy" => "Góc trên, bên phải, trang đầu của bản sao; không hiển thị hình ảnh; Times New Roman, chữ in thường, đứng, cỡ 10, màu đen.",
            "Top right of the copy's first page; no picture; Times New Roman, lower case, upright, size 10, black.";
    }
}

table! {
    /// What a certified copy is.
    COPY_FORM {
        "SY" => "Sao y", "Certified copy (sao y)";
        "SL" => "Sao lục", "Copy of a copy (sao lục)";
        "TrS" => "Trích sao", "Extract (trích sao)";
    }
}

table! {
    /// Whose word a time is.
    TIME_WORD {
        "person" => "theo người ký khai", "as the signer says";
        "agency" => "theo đồng hồ của cơ quan ký", "by the clock of the agency that signed";
        "proven" => "trạm chuyển tiếp xác nhận chữ ký đã có trước lúc", "a relay confirms that the signature existed by";
        "unproven" => "chưa có xác nhận nào về thời gian ký", "nobody has confirmed the time of signing yet";
    }
}
