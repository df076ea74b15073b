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
    /// What is to be known before somebody opens a file.
    FILE_WARNING {
        "runs" => "Đây là chương trình, hoặc tệp mà máy có thể chạy. KHÔNG mở; hãy hỏi lại nơi gửi qua kênh khác.",
            "This is a program, or a file that machines run. Do NOT open it; ask its sender by another way.";
        "script" => "Đây là tệp lệnh, có thể chạy mã khi mở. KHÔNG mở; hãy hỏi lại nơi gửi qua kênh khác.",
            "This is a script: it may run code when it is opened. Do NOT open it; ask its sender by another way.";
        "macros" => "Tệp có chứa macro. Không bật macro; nên đề nghị nơi gửi gửi bản PDF.",
            "The file holds macros. Do not enable them; better ask its sender for a PDF.";
        "other-than-named" => "Nội dung tệp không đúng loại mà đuôi tên tệp cho biết. Hãy thận trọng; hỏi lại nơi gửi nếu không mở được.",
            "The file is of another type than its name says. Take care; ask its sender if it does not open.";
        "not-looked-through" => "Tệp quá lớn nên trạm chưa tìm macro đến hết tệp (tối đa 32 MiB).",
            "The file is too large to be looked through for macros (at most 32 MiB).";
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
