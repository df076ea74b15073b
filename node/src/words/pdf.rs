//! Words for signatures inside PDF files; the reasons have theirs beside them ([`crate::pdf::reason`]).

use super::{Text, text};

table! {
    /// What a signature inside a PDF came to.
    PDF_OUTCOME {
        "valid" => "hợp lệ", "valid";
        "undetermined" => "chưa xác định", "undetermined";
        "changed-after-signing" => "ĐÃ THAY ĐỔI SAU KHI KÝ", "CHANGED AFTER SIGNING";
        "invalid" => "KHÔNG HỢP LỆ", "NOT VALID";
    }
}

table! {
    /// Why a file is not judged, and what to do; no word against it.
    PDF_UNJUDGED {
        "not-pdf" => "Tệp này không phải PDF nên không có chữ ký PDF để kiểm tra.", "The file is not a PDF; there are no PDF signatures to check.";
        "too-large" => "Tệp PDF quá lớn để kiểm tra ở đây (tối đa 64 MiB); hãy kiểm tra bằng phần mềm khác.",
            "The PDF is too large to be checked here (at most 64 MiB); use another program.";
        "unreadable" => "Không đọc được cấu trúc tệp PDF; chưa kiểm tra được chữ ký.",
            "The structure of the PDF cannot be read; no signature was checked.";
        "encrypted" => "Tệp PDF đã mã hóa; chưa kiểm tra được chữ ký bên trong.", "The PDF is encrypted; the signatures inside were not checked.";
        "too-many-signatures" => "Tệp PDF có quá nhiều chữ ký (trên 32); chưa kiểm tra.",
            "The PDF has too many signatures (more than 32); none was checked.";
        "too-costly" => "Kiểm tra tệp PDF này tốn quá nhiều bộ nhớ hoặc thời gian nên đã dừng; tệp có thể được tạo ra để gây hại. Hãy thận trọng khi mở.",
            "Checking this PDF takes more memory or time than it is given, and was stopped; it may have been made to do harm. Open it with care.";
        "no-reader" => "Không chạy được chương trình con đọc tệp PDF; hãy báo người quản trị.",
            "The child process that reads PDF files cannot be started; tell the administrator.";
    }
}
