//! What people read: one table, Vietnamese for clerks, English for operators.
//!
//! The words are the field's, one per thing. *Queued* is never called sent, and *left* never arrived: a
//! relay's word proves nothing about the recipient. No text repeats a document's content.

use schema::trust::Language;

macro_rules! table {
    ($(#[$doc:meta])* $name:ident { $($key:literal => $vi:literal, $en:literal;)* }) => {
        $(#[$doc])*
        pub const $name: &[(&str, Text)] = &[$(($key, text($vi, $en))),*];
    };
}

mod handling;
mod order;
mod paper;
mod pdf;
mod rules;

pub use handling::{
    AMENDS, BUSINESS, DRAFT_STAGE, FIELD, REFUSAL_REASON, ROLE, STAGE, STANDING, TASK, TIMELINESS,
    WORK_REFUSED,
};
pub use order::VietnameseOrder;
pub use paper::{CHECKED, COPY_FORM, PLACEMENT, SLIP_PART, TIME_WORD};
pub use pdf::{FILE_WARNING, PDF_OUTCOME, PDF_UNJUDGED};
pub use rules::rule;

/// The language of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Lang {
    /// Vietnamese.
    #[default]
    Vi,
    /// English.
    En,
}

impl Lang {
    /// The language of an `Accept-Language` header: English when it comes first, else Vietnamese.
    pub fn of_header(header: Option<&str>) -> Self {
        let first = header.unwrap_or_default().split([',', ';', '-']).next().unwrap_or_default();
        if first.trim().eq_ignore_ascii_case("en") { Self::En } else { Self::Vi }
    }

    /// Its tag (BCP 47).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Vi => "vi",
            Self::En => "en",
        }
    }
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Vi => Self::Vietnamese,
            Lang::En => Self::English,
        }
    }
}

/// A text in both languages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Text {
    /// Vietnamese.
    pub vi: &'static str,
    /// English.
    pub en: &'static str,
}

impl Text {
    /// The text in one language.
    pub const fn of(self, lang: Lang) -> &'static str {
        match lang {
            Lang::Vi => self.vi,
            Lang::En => self.en,
        }
    }
}

const fn text(vi: &'static str, en: &'static str) -> Text {
    Text { vi, en }
}

/// An error with its causes, in one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(": ");
        words.push_str(&cause.to_string());
        source = cause.source();
    }
    words
}

/// The words of a table's key; the key itself for one that a newer version wrote.
pub fn word<'a>(table: &[(&str, Text)], key: &'a str, lang: Lang) -> &'a str {
    table.iter().find(|(found, _)| *found == key).map_or(key, |(_, text)| text.of(lang))
}

/// The sentence of a refusal.
pub fn problem(code: &str, lang: Lang) -> &str {
    match word(PROBLEM, code, lang) {
        missing if missing == code => word(WORK_REFUSED, code, lang),
        found => found,
    }
}

table! {
    /// The status ladder (design section 6).
    STATUS {
        "queued" => "chờ gửi", "queued";
        "left" => "đã rời đơn vị (trạm chuyển tiếp đã giữ)", "left (a relay has it)";
        "arrived" => "đã đến (có biên nhận)", "arrived (receipt)";
        "overdue" => "chưa có biên nhận", "no receipt yet";
    }
}

table! {
    /// What happened to a document.
    STEP {
        "queued" => "đã lưu, chờ gửi", "saved, queued";
        "left" => "đã rời đơn vị (trạm chuyển tiếp đã giữ)", "left (a relay has it)";
        "refused-by-relay" => "trạm chuyển tiếp từ chối", "refused by a relay";
        "arrived" => "đã đến (có biên nhận)", "arrived (receipt)";
        "superseded" => "được gửi lại bằng sự kiện mới sau khi khôi phục dữ liệu",
            "sent again in a new event after the station was restored";
        "received" => "đã nhận, đã cấp biên nhận", "received, receipt given";
        "refused" => "nơi nhận từ chối, trả lại", "refused by its recipient";
        "registered" => "đã tiếp nhận, vào sổ", "accepted and registered";
        "assigned" => "đã phân công xử lý", "assigned";
        "started" => "bắt đầu xử lý", "work has begun";
        "finished" => "đã hoàn thành", "finished";
        "asked-back" => "bên gửi xin lấy lại", "its sender asks for it back";
        "recall" => "bên gửi thu hồi", "recalled by its sender";
        "update" => "bên gửi cập nhật bằng văn bản khác", "updated by another document of its sender";
        "replace" => "bên gửi thay thế bằng văn bản khác", "replaced by another document of its sender";
        "drafted" => "soạn dự thảo", "drafted";
        "approved" => "lãnh đạo duyệt", "approved";
        "signed" => "người có thẩm quyền ký", "signed by a person";
        "issued" => "cấp số, ngày; vào sổ", "numbered and registered";
        "sealed" => "đã đóng dấu cơ quan và cho gửi", "sealed by the office and queued";
        "discarded" => "hủy trước khi gửi", "given up before it was sent";
        "agreed" => "nơi nhận đồng ý với đề nghị của bên gửi", "its recipient agrees to what its sender asks";
        "declined" => "nơi nhận không đồng ý với đề nghị của bên gửi", "its recipient declines what its sender asks";
        "recall-confirmed" => "nơi nhận xác nhận đã hủy", "its recipient has cancelled it";
        "accepted-undetermined" => "tiếp nhận khi chưa xác định được chữ ký", "accepted although its signatures could not be judged";
        "instruction" => "lãnh đạo phân công", "assigned by the leader";
        "set-aside" => "bỏ qua thông tin về văn bản chưa có tại đây", "set aside what was said while the document is not here";
        "opinion" => "cho ý kiến", "an opinion on it";
        "erased" => "đã tiêu hủy nội dung tại đơn vị này", "its content was erased at this office";
    }
}

table! {
    /// What a step proves.
    PROVES {
        "queued" => "Sự kiện đã ký và lưu bền vững tại đơn vị lập; chưa chứng minh điều gì về nơi nhận.",
            "The event is signed and durably stored at its sender; nothing is proven about the recipient.";
        "left" => "Chỉ theo lời trạm chuyển tiếp; không chứng minh nơi nhận đã có văn bản.",
            "The relay's word only; it does not prove that the recipient has the document.";
        "refused-by-relay" => "Theo lời trạm chuyển tiếp; không có chữ ký.",
            "The relay's own words, unsigned.";
        "arrived" => "Biên nhận do nơi nhận ký: khi ký, nơi nhận đã lưu bền vững văn bản.",
            "The recipient's signed receipt: it held the document durably when it signed.";
        "superseded" => "Nhật ký của đơn vị này.", "This station's own journal.";
        "received" => "Chữ ký của nơi gửi đã được kiểm tra; biên nhận do đơn vị này ký.",
            "The sender's signature was verified; the receipt is signed by this office.";
        "refused" => "Do nơi nhận ký.", "Signed by the recipient.";
        "registered" => "Do nơi nhận ký; số đến trong sổ của nơi nhận.", "Signed by the recipient; the number is of its register.";
        "assigned" => "Do nơi nhận ký.", "Signed by the recipient.";
        "started" => "Do nơi nhận ký.", "Signed by the recipient.";
        "finished" => "Do nơi nhận ký.", "Signed by the recipient.";
        "asked-back" => "Do bên gửi ký.", "Signed by the sender.";
        "recall" => "Do bên gửi ký.", "Signed by the sender.";
        "update" => "Do bên gửi ký.", "Signed by the sender.";
        "replace" => "Do bên gửi ký.", "Signed by the sender.";
        "drafted" => "Nhật ký của đơn vị này.", "This station's own journal.";
        "approved" => "Nhật ký của đơn vị này.", "This station's own journal.";
        "signed" => "Chữ ký của cá nhân; khi ghi và khi gửi, trạm không thấy lỗi.", "The person's signature; nothing wrong was found when it was recorded and when it was sent.";
        "issued" => "Nhật ký của đơn vị này.", "This station's own journal.";
        "sealed" => "Nhật ký của đơn vị này.", "This station's own journal.";
        "discarded" => "Nhật ký của đơn vị này.", "This station's own journal.";
        "agreed" => "Do nơi nhận ký.", "Signed by the recipient.";
        "declined" => "Do nơi nhận ký.", "Signed by the recipient.";
        "recall-confirmed" => "Do nơi nhận ký; trạm nơi nhận tự xác nhận theo luật.", "Signed by the recipient, whose station confirms by itself as the law has it.";
        "accepted-undetermined" => "Nhật ký của đơn vị này.", "This station's own journal.";
        "instruction" => "Nhật ký của đơn vị này.", "This station's own journal.";
        "opinion" => "Nhật ký của đơn vị này.", "This station's own journal.";
        "erased" => "Nhật ký của đơn vị này; mã băm, chữ ký và dòng trong sổ vẫn giữ.",
            "This station's own journal; hashes, signatures and the line in the register stay.";
    }
}

table! {
    /// Why something has not arrived.
    CAUSE {
        "waiting-for-line" => "chưa rời đơn vị: đang chờ đường truyền tới trạm chuyển tiếp",
            "it has not left: waiting for the line to a relay";
        "refused-by-relay" => "trạm chuyển tiếp từ chối", "a relay refused it";
        "content-erased" => "nội dung đã được tiêu hủy tại đây sau khi nơi nhận đã có biên nhận; nơi nhận nay mất dữ liệu",
            "its content was erased here after the recipient had given its receipt; the recipient has lost its data since";
        "waiting-for-recipient" => "đã rời đơn vị, nơi nhận chưa gửi biên nhận",
            "it has left, the recipient has given no receipt yet";
    }
}

table! {
    /// Who must act.
    WHO {
        "nobody" => "không ai phải làm gì, trạm tự gửi lại", "nobody: the station tries again by itself";
        "this-office" => "đơn vị này: kiểm tra mạng; văn bản vẫn an toàn, trạm tự gửi khi có mạng",
            "this office: look at the line; the document is safe and leaves by itself once it is up";
        "relay-operator" => "người vận hành trạm chuyển tiếp", "the operator of the relay";
        "recipient" => "nơi nhận: bật máy trạm hoặc nối mạng", "the recipient: start or connect its station";
    }
}

table! {
    /// What the code words of a relay's refusal mean, and what to do.
    RELAY_REASON {
        "malformed" => "Trạm chuyển tiếp không đọc được văn bản. Báo cán bộ kỹ thuật: phần mềm hai bên có thể khác phiên bản.",
            "The relay cannot read the document. Tell the engineers: the programs may be of different versions.";
        "unproven" => "Trạm chuyển tiếp chưa xác minh được chữ ký của đơn vị này (chưa có chứng thư, hoặc chứng thư đã bị thu hồi). \
                       Xem `tram-node key show`; văn bản vẫn an toàn và được gửi lại.",
            "The relay cannot prove this office's signature (no certificate yet, or a revoked one). See `tram-node key show`; \
             the document is safe and is sent again.";
        "not-own" => "Văn bản này của đơn vị khác. Báo cán bộ kỹ thuật.",
            "The document is another office's. Tell the engineers.";
        "local-only" => "Văn bản không có nơi nhận. Báo cán bộ kỹ thuật.",
            "The document has no recipient. Tell the engineers.";
        "secret" => "Văn bản ghi độ mật: trạm chuyển tiếp không nhận và đã xóa. Chuyển bằng hệ thống văn bản bí mật nhà nước.",
            "The document says that it is secret: the relay refused and erased it. Use the system for state secrets.";
        "no-recipient" => "Không nơi nhận nào có trạm chuyển tiếp trong danh bạ. Hỏi cơ quan quản lý danh bạ; văn bản vẫn an toàn.",
            "No recipient has a relay in the directory. Ask whoever keeps the directory; the document is safe.";
        "unreachable" => "Một nơi nhận chưa có trạm chuyển tiếp trong danh bạ; các nơi khác vẫn nhận. Hỏi cơ quan quản lý danh bạ; \
                          văn bản được gửi lại khi danh bạ có trạm.",
            "One recipient has no relay in the directory yet; the others get it. Ask whoever keeps the directory; it is sent \
             again once there is one.";
        "attachment-too-large" => "Tệp đính kèm lớn hơn mức trạm chuyển tiếp nhận. Thu hồi và gửi lại bằng các tệp nhỏ hơn, hoặc đề nghị người vận hành nâng mức.",
            "An attachment is larger than what the relay takes. Recall it and send smaller files, or ask its operator for more.";
        "attachment-quota" => "Các tệp đơn vị này đã gửi mà nơi nhận chưa có biên nhận đã dùng hết phần chỗ tại trạm chuyển tiếp. Văn bản vẫn an toàn, \
                               được gửi lại khi có biên nhận; văn bản hỏa tốc vẫn đi được.",
            "What this office has sent and has no receipts yet has used up its share at the relay. The document is safe and is sent again \
             when receipts come; express documents still go.";
        "attachments-full" => "Trạm chuyển tiếp hết chỗ cho tệp đính kèm: các tệp đang chờ nơi nhận. Biên nhận và văn bản hỏa tốc vẫn đi được; văn bản này \
                               vẫn an toàn và được gửi lại. Báo người vận hành nếu kéo dài.",
            "The relay has no room for attachments: those it has wait for their recipients. Receipts and express documents still go; this one is \
             safe and is sent again. Tell its operator if that lasts.";
        "no-room" => "Trạm chuyển tiếp hết chỗ. Báo người vận hành trạm chuyển tiếp; văn bản vẫn an toàn và được gửi lại.",
            "The relay is full. Tell its operator; the document is safe and is sent again.";
    }
}

table! {
    /// In what capacity somebody signs.
    CAPACITY {
        "own" => "ký theo thẩm quyền", "in his or her own right";
        "on-behalf" => "TM. (thay mặt)", "TM. (on behalf of)";
        "acting" => "Q. (quyền)", "Q. (acting)";
        "for-head" => "KT. (ký thay)", "KT. (for the head)";
        "by-order" => "TL. (thừa lệnh)", "TL. (by order)";
        "by-delegation" => "TUQ. (thừa ủy quyền)", "TUQ. (by delegation)";
    }
}

table! {
    /// What a document is worth by its signatures.
    LEGAL_VALUE {
        "as-original" => "giá trị như bản gốc nếu người ký đúng thẩm quyền: chữ ký của cá nhân và của cơ quan đều hợp lệ",
            "as an original, if the signer had the authority: the signatures of the person and of the agency are valid";
        "undetermined" => "chưa xác định: đủ hai chữ ký, có chữ ký chưa kiểm tra được hết",
            "undetermined: both signatures are there, and one cannot be judged in full yet";
        "for-reference" => "chỉ để biết, tham khảo: thiếu chữ ký, hoặc có chữ ký không hợp lệ",
            "only to know, for reference: a signature is missing or invalid";
    }
}

table! {
    /// Why paper follows.
    PAPER {
        "recipient-has-no-system" => "bên nhận chưa có hệ thống", "a recipient has no system yet";
        "to-the-government" => "gửi Chính phủ, Thủ tướng Chính phủ", "it goes to the Government or the Prime Minister";
        "on-the-list" => "thuộc danh mục gửi kèm bản giấy", "it is on the list of what goes on paper as well";
    }
}

table! {
    /// How a link stands.
    LINK {
        "offline" => "chưa có mạng", "no line";
        "connecting" => "đang kết nối", "connecting";
        "connected" => "đã kết nối", "connected";
        "login-refused" => "trạm chuyển tiếp không chấp nhận tài khoản của đơn vị",
            "the relay refuses the login";
        "no-mailbox" => "trạm chuyển tiếp chưa có hộp thư của đơn vị",
            "the relay has no mailbox for this office";
    }
}

table! {
    /// How a key of an office came to count.
    KEY_STANDING {
        "first" => "khóa đầu tiên của đơn vị", "the office's first key";
        "announced" => "do khóa trước công bố", "announced by the key before it";
        "confirmed" => "do khóa sau xác nhận", "confirmed by a key after it";
        "recovered" => "thay khóa trước đã bị thu hồi hoặc hết hạn", "in place of one that was revoked or has expired";
        "late" => "đã bị thu hồi; chỉ nhận những gì chắc chắn có trước khóa kế tiếp", "revoked; only what was there before its successor is taken";
        "contested" => "chưa được công nhận: khóa trước chưa công bố và chưa bị thu hồi",
            "contested: the key before it neither announced it nor is revoked";
    }
}

table! {
    /// Alarms.
    ALARM {
        "fork" => "hai sự kiện khác nhau ở cùng một vị trí (khóa bị nhân bản hoặc dữ liệu bị khôi phục)",
            "two different events at one place (cloned key, or restored data)";
        "office-restored" => "đơn vị này đã khôi phục dữ liệu", "this office has restored its data";
        "restored" => "đã khôi phục dữ liệu tại đây", "data was restored here";
        "lost-here" => "nơi khác giữ sự kiện mà tại đây đã mất",
            "elsewhere an event is held that is lost here";
        "given-back" => "nơi khác đã trả lại văn bản mà tại đây đã mất",
            "documents lost here were given back by a correspondent";
        "refused-by-relay" => "trạm chuyển tiếp từ chối", "refused by a relay";
        "contested-key" => "có chứng thư cho một khóa thứ hai của đơn vị này mà khóa trước chưa công bố và chưa bị thu hồi; \
            không nhận gì ký bằng khóa đó, hãy hỏi cơ quan cấp chứng thư",
            "a second key of this office is certified that the key before it neither announced nor was revoked for; \
                nothing signed with it is taken: ask the certificate authority";
        "contradicting-list" => "một cơ quan cấp chứng thư đã phát hành danh sách thu hồi mâu thuẫn với danh sách khác của chính mình; \
            chứng thư có trong bất kỳ danh sách nào đều coi là bị thu hồi; đã giữ làm chứng cứ, hãy báo ngay cơ quan giữ gốc tin cậy",
            "a certificate authority has issued a revocation list that contradicts another one of its own; what any of them \
                revokes counts as revoked; they are kept as evidence, tell the keeper of the root at once";
        "judged-worse" => "chữ ký trên văn bản đến nay kém tin cậy hơn trước; hãy xem lại văn bản và hỏi nơi gửi",
            "the signatures on a document that came in are worth less than before; look at it again and ask its sender";
        "judged-elsewhere" => "nơi nhận báo: chữ ký trên văn bản của đơn vị nay kém tin cậy hơn trước; hãy xác nhận lại",
            "a recipient tells that the signatures on a document of this office are worth less than before; confirm it";
        "number-twice" => "một số trong sổ đã được cấp hai lần, vì trạm từng bị khôi phục; hãy đối chiếu sổ in và ghi chú vào cả hai dòng",
            "a number of a register was given twice, because the station was restored in between; compare the printed register";
        "two-numbers" => "một văn bản của đơn vị đã được gửi với số khác, hoặc đã gửi rồi mới bị hủy tại đây, vì trạm từng bị khôi phục; nơi nhận giữ bản gửi trước",
            "a document of this office was sent under another number, or was given up here after it was sent, because the station was restored; the recipients hold what was sent first";
        "too-much-said" => "về một văn bản có quá nhiều đề nghị hoặc số vào sổ; phần dư vẫn nằm trong nhật ký, hãy báo cán bộ kỹ thuật",
            "too much was said about a document; the rest is in the journal, tell the engineers";
        "body-refused" => "nội dung sự kiện không hợp lệ, chỉ lưu lại",
            "the body of an event was refused; it is kept";
    }
}

table! {
    /// How urgent a document is (*độ khẩn*).
    URGENCY {
        "normal" => "Thường", "normal";
        "urgent" => "Khẩn", "urgent";
        "very-urgent" => "Thượng khẩn", "very urgent";
        "express" => "Hỏa tốc", "express";
        "express-timed" => "Hỏa tốc hẹn giờ", "express, timed";
    }
}

table! {
    /// Why a request is refused or failed: what happened, what is safe, what to do next.
    PROBLEM {
        "token" => "Yêu cầu không có mã truy cập của trạm này; hãy dùng lệnh `tram-node` trên đúng thư mục \
            dữ liệu.",
            "The request does not carry this station's token; use `tram-node` with the right data folder.";
        "host" => "Yêu cầu gửi tới một tên máy mà trạm này không nhận.",
            "The request names a host that this station does not answer to.";
        "origin" => "Yêu cầu đến từ một trang web khác; trạm không nhận.",
            "The request comes from another web page; refused.";
        "not-found" => "Không có địa chỉ này.", "There is nothing at this address.";
        "method" => "Địa chỉ này không nhận phương thức đó.", "This address does not take that method.";
        "too-large" => "Dữ liệu quá lớn; chưa có gì được lưu.", "The data is too large; nothing was saved.";
        "slow" => "Dữ liệu đến quá chậm; chưa có gì được lưu, hãy gửi lại.",
            "The data came too slowly; nothing was saved, send it again.";
        "cut" => "Dữ liệu bị đứt giữa chừng; chưa có gì được lưu, hãy gửi lại.",
            "The data was cut off; nothing was saved, send it again.";
        "search-too-long" => "Nội dung tìm quá dài: tối đa 200 ký tự và 24 từ. Hãy tìm bằng ít từ hơn.",
            "Too much to look for: at most 200 characters and 24 words. Use fewer.";
        "search-no-word" => "Nội dung tìm không có chữ hay số nào. Hãy gõ một từ, hoặc bỏ trống.",
            "There is no word to look for. Type one, or leave it out.";
        "search-short-beginning" => "Trước dấu `*` cần ít nhất 3 chữ. Hãy gõ thêm.", "At least 3 letters are needed before `*`. Type more.";
        "asked-of-whom" => "Hãy chọn nơi nhận cần hỏi, hoặc tất cả nơi nhận.", "Name the recipients that are asked, or say all of them.";
        "two-senders" => "Có hai đơn vị gửi văn bản mang cùng mã này; hãy nói rõ đơn vị gửi.", "Two offices sent a document with this id: say which of them is meant.";
        "empty-file" => "Tệp không có nội dung; hãy kiểm tra lại tệp.", "The file is empty; look at it again.";
        "parameter" => "Tham số không dùng được.", "A parameter cannot be used.";
        "body" => "Nội dung yêu cầu không đúng mẫu; chưa có gì được lưu.",
            "The request's body is not as expected; nothing was saved.";
        "unknown-code" => "Không có đơn vị nào mang mã này.", "No office has this code.";
        "code-not-valid-today" => "Mã này hôm nay không còn (hoặc chưa) có hiệu lực.",
            "This code is not valid today.";
        "code-ambiguous" => "Mã này chỉ nhiều đơn vị; hãy dùng định danh 32 chữ số.",
            "This code means several offices; use the 32-digit id.";
        "no-recipients" => "Văn bản chưa có nơi nhận; chưa có gì được lưu.",
            "The document has no recipients; nothing was saved.";
        "too-many-recipients" => "Văn bản có quá nhiều nơi nhận; chưa có gì được lưu.",
            "The document has too many recipients; nothing was saved.";
        "to-itself" => "Văn bản được gửi cho chính đơn vị gửi; chưa có gì được lưu.",
            "The document is addressed to the sending office itself; nothing was saved.";
        "unknown-recipient" => "Danh bạ không có nơi nhận này; chưa có gì được lưu.",
            "The directory does not know this recipient; nothing was saved.";
        "no-sealing-key" => "Trạm của nơi nhận (hoặc của đơn vị lưu trữ trong thiết đặt) chưa công bố khóa niêm phong, nên chưa thể gửi kín; chưa có gì được lưu. Khi có mạng, trạm tự lấy khóa về; \
            hãy làm lại sau.",
            "The station of the recipient (or of the archive in the settings) has not announced yet under which key to seal for it, so nothing can be sent sealed; nothing was saved. The station \
             fetches the key when it has a network: try again later.";
        "not-successor" => "Danh bạ chưa ghi đơn vị này kế tục đơn vị mình (hoặc chưa đến ngày): khóa niêm phong không được bàn giao; chưa có gì được lưu. Hãy đề \
            nghị nơi quản lý danh bạ ghi việc sáp nhập, nhận danh bạ mới rồi làm lại.",
            "The directory does not say that this office has taken over from yours, or not before a later day: the sealing keys are not handed over; nothing was \
             saved. Have the registrar enter the merger, take the new directory in, then try again.";
        "sealing-keys-full" => "Tệp khóa niêm phong đã có 128 khóa, không nhận thêm; chưa có gì thay đổi. Hãy cất một bản sao của tệp `sealing.keys`, bỏ các \
            khóa cũ nhất (dòng cuối) trong tệp, khởi động lại trạm rồi làm lại.",
            "The file of sealing keys holds 128 keys and takes no further one; nothing was changed. Put a copy of `sealing.keys` in a safe place, \
             take the oldest keys (the last lines) out of it, start the station again, then try again.";
        "sealing-keys" => "Không đọc hoặc không ghi được tệp khóa niêm phong: khóa hiện tại vẫn dùng, chưa có gì thay đổi. Hãy xem chi tiết, sửa rồi làm lại.",
            "The file of sealing keys cannot be read or written: the present key stays in use, nothing was changed. See the detail, mend it, then try again.";
        "not-enrolled" => "Nơi nhận chưa có trạm; chưa có gì được lưu. Hãy gửi bằng đường khác hoặc chờ \
            đơn vị đó tham gia.",
            "The recipient has no station yet; nothing was saved. Send it another way or wait until it is \
                enrolled.";
        "already-dispatched" => "Văn bản này đã được chuyển sang chờ gửi trước đó; không lập lần thứ hai.",
            "This document was queued before; it was not queued a second time.";
        "document" => "Nội dung văn bản không được chấp nhận; chưa có gì được lưu.",
            "The document is not acceptable; nothing was saved.";
        "attachment-missing" => "Tệp đính kèm chưa có đủ tại trạm; hãy tải lên rồi gửi lại.",
            "An attachment is not here completely; upload it, then try again.";
        "attachment-too-large" => "Tệp đính kèm lớn hơn mức cho phép, sẽ không tới được nơi nhận; chưa có gì được lưu. Hãy chia nhỏ tệp hoặc giảm dung lượng.",
            "An attachment is larger than what is taken, and would never arrive; nothing was saved. Split it or make it smaller.";
        "signature-invalid" => "Một chữ ký số của cá nhân trên văn bản không hợp lệ, nơi nhận sẽ không chấp nhận; chưa có \
            gì được lưu. Hãy ký lại.",
            "A person's signature on the document is not valid, and no recipient would accept it; nothing was saved. \
                Have it signed again.";
        "text-too-large" => "Phần chữ của văn bản quá dài; hãy đưa vào tệp đính kèm.",
            "The document's own text is too long; put it in an attachment.";
        "file-mismatch" => "Tệp không khớp mã băm đã báo; tệp đã bị bỏ, hãy tải lên lại.",
            "The file does not have the hash it was announced with; it was dropped, upload it again.";
        "disk-full" => "Đĩa của máy trạm đã đầy: chưa có gì được lưu. Đọc và tra cứu vẫn dùng được; hãy \
            giải phóng chỗ rồi gửi lại.",
            "The station's disk is full: nothing was saved. Reading still works; free some space, then try \
                again.";
        "busy" => "Máy trạm đang bận: chưa có gì được lưu. Hãy thử lại sau vài giây.",
            "The station is busy: nothing was saved. Try again in a few seconds.";
        "stopped" => "Máy trạm đã dừng nhận việc: chưa có gì được lưu. Hãy xem nhật ký của trạm.",
            "The station has stopped taking work: nothing was saved. Look at its log.";
        "unknown" => "Không rõ kết quả: hãy xem danh sách văn bản và sổ trước khi làm lại.",
            "The outcome is unknown: look at the documents and the register before you try again.";
        "store" => "Không đọc được kho dữ liệu của trạm; hãy xem nhật ký của trạm.",
            "The station's store cannot be read; look at its log.";
        "people" => "Không đọc được danh sách người dùng của trạm (people.json); hãy báo quản trị đơn vị.",
            "The station's list of people (people.json) cannot be read; tell the administrator.";
        "no-document" => "Trạm này không gửi và không nhận văn bản đó.",
            "This station neither sent nor received that document.";
        "no-line" => "Sổ văn bản đến không có dòng nào với số này, hoặc số này đã bị hủy.",
            "The register of incoming documents has no line with this number, or the number was cancelled.";
        "no-volume" => "Sổ của năm này chưa có quyển đó. Các quyển do `numbers_per_volume` hoặc `volumes` ở mục `[[registers]]` trong `config.toml` quy định.",
            "The register of this year has no such volume yet. Volumes are what `numbers_per_volume` or `volumes` under `[[registers]]` in \
             `config.toml` say.";
        "not-sent-here" => "Văn bản đó không do đơn vị này gửi.",
            "That document was not sent by this office.";
        "no-attachment" => "Văn bản không có tệp đính kèm với số này.",
            "The document has no attachment with this number.";
        "attachment-awaited" => "Tệp đính kèm chưa về đủ; trạm đang chờ.",
            "The attachment is not here completely yet; the station is waiting for it.";
        "attachment-unreadable" => "Tệp đính kèm đã về nhưng không phải tệp mà văn bản nêu, nên không mở và văn bản chưa được coi là đã nhận; hãy đề nghị đơn vị gửi gửi lại.",
            "The attachment is here and is not the file that the document names: it is not opened, and the document does not count as received; ask \
             its sender to send it anew.";
        "courier" => "Tệp chuyển tay không đọc được đến hết; phần đọc được trước chỗ hỏng đã được nhận.",
            "The courier file could not be read to its end; what was intact before that was taken.";
        "registry" => "Tệp này không phải tệp danh bạ và chứng thư (registry.cbor); chưa có gì thay đổi.",
            "This file is no registry file (registry.cbor); nothing was changed.";
        "unknown-signer" => "Cấu hình của trạm không có người ký này; xem `tram-node signer list`.",
            "The settings name no such signer; see `tram-node signer list`.";
        "signer-unusable" => "Chưa dùng được người ký này; xem lý do bằng `tram-node signer list`.",
            "This signer cannot be used; `tram-node signer list` says why.";
        "content-length" => "Nội dung cần ký rỗng hoặc quá lớn; chưa gửi yêu cầu ký.",
            "What is to be signed is empty or too large; nobody was asked.";
        "description" => "Mô tả cho người ký rỗng, quá dài hoặc có ký tự lạ; chưa gửi yêu cầu ký.",
            "The description for the officer is empty, too long, or not plain text; nobody was asked.";
        "preparation" => "Không ký được bằng chứng thư số này lúc này; chưa gửi yêu cầu ký.",
            "Nothing can be signed with this certificate now; nobody was asked.";
        "too-many-requests" => "Quá nhiều yêu cầu đang chờ ký; hãy chờ bớt rồi gửi lại.",
            "Too many requests wait for signatures; wait until some have ended.";
        "no-request" => "Không có yêu cầu ký này.", "There is no such signing request.";
        "secrecy" => "Không nhận văn bản có độ mật: Trạm chỉ dành cho văn bản độ mật Thường. Không có gì được lưu trên máy này. Văn \
                      bản mật phải soạn, gửi qua hệ thống văn bản bí mật nhà nước, trên máy không nối mạng (Nghị định 63/2026).",
            "Documents with a degree of secrecy are refused: this system is for unclassified ones only. Nothing was kept on this \
             machine. Use the system for state secrets, on a machine without a network (Decree 63/2026).";
    }
}

table! {
    /// How far a request for an officer's signature is.
    SIGNING_STATE {
        "recorded" => "đã ghi, chưa rõ bên ký đã nhận chưa", "written down; it is not known whether the signer has it";
        "asked" => "đang chờ người ký xác nhận", "waiting for the officer";
        "signed" => "đã ký, chữ ký đã được kiểm tra", "signed, and the signature was verified";
        "declined" => "người ký từ chối", "declined by the officer";
        "expired" => "quá hạn", "expired";
        "failed" => "không ký được", "failed";
    }
}

table! {
    /// Why an officer's signature is missing, and what to do.
    SIGNING {
        "secret-missing" => "Chưa nhập mật khẩu hoặc mã PIN của người ký; hãy chạy lại lệnh và nhập.",
            "No passphrase or PIN was given; run the command again and type it.";
        "wrong-passphrase" => "Cụm mật khẩu không mở được khóa của người ký (hoặc tệp khóa bị hỏng). Chỉ thử một lần; \
            hãy kiểm tra bộ gõ và phím Caps Lock rồi ký lại.",
            "The passphrase does not open the officer's key (or its file is damaged). It was tried once; check the \
                keyboard and Caps Lock, then sign again.";
        "key-exposed" => "Người khác trên máy này đọc được tệp khóa của người ký. Hãy báo cơ quan cấp chứng thư số; \
            không ký bằng khóa đó.",
            "Others on this machine can read the officer's key file. Tell the certificate authority; it was not used.";
        "key-unencrypted" => "Tệp khóa của người ký chưa mã hóa nên không được dùng; hãy mã hóa bằng cụm mật khẩu.",
            "The officer's key file is not encrypted and was not used; put it under a passphrase.";
        "key-unusable" => "Không dùng được tệp khóa của người ký; hãy kiểm tra tệp và cấu hình.",
            "The officer's key file cannot be used; check the file and the settings.";
        "other-key" => "Khóa không khớp với chứng thư số của người ký; không dùng chữ ký đó. Hãy kiểm tra cấu hình.",
            "The key is not that of the officer's certificate; nothing was signed with it. Check the settings.";
        "algorithm" => "Thiết bị hoặc dịch vụ ký không ký được bằng loại khóa của chứng thư số này.",
            "This signer cannot sign with the kind of key that the certificate has.";
        "token-module" => "Không nạp được thư viện của thiết bị ký; hãy báo người quản trị kiểm tra cấu hình.",
            "The token's library cannot be loaded; have the administrator check the settings.";
        "token-absent" => "Chưa cắm thiết bị ký, hoặc thiết bị đã bị rút. Hãy cắm đúng thiết bị rồi ký lại.",
            "The token is not plugged in, or was taken out. Plug in the right one, then sign again.";
        "token-busy" => "Thiết bị ký đang bận yêu cầu khác; chưa thử mã PIN. Hãy ký lại sau ít giây.",
            "The token is busy with another request; the PIN was not tried. Sign again in some seconds.";
        "token-silent" => "Thiết bị ký không trả lời; hãy rút ra cắm lại rồi ký lại.",
            "The token does not answer; take it out, put it back, then sign again.";
        "token-failed" => "Thiết bị ký báo lỗi; chưa có chữ ký. Hãy báo người quản trị.",
            "The token failed; there is no signature. Tell the administrator.";
        "token-key" => "Thiết bị ký không có khóa nêu trong cấu hình; hãy báo người quản trị.",
            "The token does not hold the key that the settings name; tell the administrator.";
        "wrong-pin" => "Sai mã PIN. Chỉ thử một lần; còn ít lần thử trước khi thiết bị bị khóa, hãy nhập lại cẩn thận.",
            "The PIN is wrong. It was tried once; few tries are left before the token locks itself: type it with care.";
        "wrong-pin-one-left" => "Sai mã PIN. CẢNH BÁO: sai thêm một lần nữa thiết bị sẽ bị khóa. Hãy hỏi \
            người cấp thiết bị nếu không chắc.",
            "The PIN is wrong. WARNING: one more wrong PIN locks the token. If in doubt, ask whoever issued it.";
        "pin-locked" => "Thiết bị ký đã bị khóa vì sai mã PIN nhiều lần; không thử nữa. Hãy nhờ \
            người cấp thiết bị mở khóa.",
            "The token has locked itself after wrong PINs; no PIN was tried. Whoever issued it can unlock it.";
        "provider-account" => "Không đọc được tệp tài khoản của trạm tại dịch vụ ký số; hãy báo người quản trị.",
            "The file with this station's account at the provider cannot be read; tell the administrator.";
        "unreachable" => "Chưa liên lạc được với dịch vụ ký số; trạm sẽ tự hỏi lại.",
            "The provider cannot be reached; the station asks again by itself.";
        "garbled" => "Dịch vụ ký số trả lời không đúng mẫu; trạm sẽ tự hỏi lại.",
            "The provider's answer makes no sense; the station asks again by itself.";
        "provider-refused" => "Dịch vụ ký số không nhận yêu cầu; hãy hỏi nhà cung cấp.",
            "The provider does not take the request; ask it why.";
        "other-certificate" => "Dịch vụ ký số không giữ đúng chứng thư số nêu trong cấu hình; chưa hỏi người ký.",
            "The provider does not hold the certificate of the settings; the officer was not asked.";
        "interrupted" => "Trạm đã dừng trong lúc đang ký; chưa có chữ ký. Hãy ký lại.",
            "The station stopped while it was signing; there is no signature. Sign again.";
        "damaged" => "Yêu cầu ký trong kho dữ liệu bị hỏng; hãy ký lại và báo người quản trị.",
            "The request in the store is damaged; sign again and tell the administrator.";
        "declined" => "Người ký đã từ chối trên điện thoại.", "The officer declined on the telephone.";
        "expired" => "Hết thời gian mà chưa được xác nhận; hãy gửi lại yêu cầu ký.",
            "Nobody confirmed in time; ask again.";
        "provider-failed" => "Dịch vụ ký số báo lỗi; hãy thử lại hoặc hỏi nhà cung cấp.",
            "The provider failed; try again or ask it.";
        "lost" => "Dịch vụ ký số không còn giữ yêu cầu này; hãy gửi lại yêu cầu ký.",
            "The provider no longer knows of this request; ask again.";
        "not-made" => "Chữ ký trả về KHÔNG khớp với văn bản và chứng thư số; đã loại bỏ. Nếu lặp lại, hãy báo nhà cung \
            cấp và người quản trị.",
            "What came back is NOT a signature of this document under the certificate; it was thrown away. If it \
                happens again, tell the provider and the administrator.";
        "mixed-up" => "Dịch vụ ký số trả lời nhầm yêu cầu khác; đã loại bỏ.",
            "The provider answered for another request; the answer was thrown away.";
    }
}

table! {
    /// How the key stands under which others seal for this office (*khóa niêm phong*).
    SEALING_KEY {
        "in-use" => "đang dùng", "in use";
        "old" => "đã dùng quá 400 ngày: hãy thay bằng `tram-node key renew-sealing`",
            "in use for more than 400 days: renew it with `tram-node key renew-sealing`";
        "unannounced" => "chưa công bố: nơi gửi chưa niêm phong bằng khóa này; trạm tự công bố khi khóa ký được công nhận",
            "not announced: nobody seals under it yet; the station announces it once its signing key counts";
    }
}

table! {
    /// What a person is asked at the terminal.
    PROMPT {
        "open" => "Cụm mật khẩu của khóa ký", "Passphrase of the signing key";
        "new" => "Cụm mật khẩu mới cho khóa ký (ít nhất 12 ký tự)",
            "New passphrase for the signing key (at least 12 characters)";
        "again" => "Nhập lại cụm mật khẩu mới", "The new passphrase again";
        "officer" => "Cụm mật khẩu khóa của người ký", "Passphrase of the officer's key";
        "pin" => "Mã PIN của thiết bị ký", "PIN of the officer's token";
    }
}

table! {
    /// How the signing key lies on the disk.
    KEY {
        "protected" => "khóa ký: đã mã hóa bằng cụm mật khẩu", "signing key: encrypted with a passphrase";
        "weak" => "khóa ký: đã mã hóa, nhưng yếu; `tram-node key change-passphrase` mã hóa lại cho mạnh",
            "signing key: encrypted, but weakly; `tram-node key change-passphrase` encrypts it anew";
        "unprotected" => "CẢNH BÁO: khóa ký chưa mã hóa, ai đọc được đĩa này đều ký thay đơn vị được; \
            hãy chạy `tram-node key protect`",
            "WARNING: the signing key lies unencrypted, whoever reads this disk can sign as the office; run \
                `tram-node key protect`";
        "unknown" => "khóa ký: không đọc được tệp khóa", "signing key: its file cannot be read";
    }
}

table! {
    /// Why a signing key is not opened, and what to do.
    UNLOCK {
        "key-locked" => "Khóa ký được bảo vệ bằng cụm mật khẩu mà chưa ai cung cấp. Hãy chạy lệnh tại cửa sổ \
            dòng lệnh để nhập, hoặc chỉ tệp chứa cụm mật khẩu: `--passphrase-file`, hay `passphrase_file` ở mục \
            `[unlock]` trong `config.toml`.",
            "The signing key is protected by a passphrase and nobody gave one. Run the command at a terminal to \
                type it, or name a file with it: `--passphrase-file`, or `passphrase_file` under `[unlock]` in \
                `config.toml`.";
        "key-unencrypted" => "Khóa ký chưa mã hóa: ai đọc được đĩa này đều ký thay đơn vị được, nên trạm không chạy. Hãy chạy \
            `tram-node key protect` để mã hóa bằng cụm mật khẩu. Nếu ổ đĩa đã được mã hóa và đơn vị chấp nhận, đặt \
            `allow_unencrypted = true` ở mục `[unlock]` trong `config.toml`.",
            "The signing key lies unencrypted: whoever reads this disk can sign as the office, so the station does not run. \
                Run `tram-node key protect`. Where the disk itself is encrypted and the office agrees, set \
                `allow_unencrypted = true` under `[unlock]` in `config.toml`.";
        "wrong-passphrase" => "Cụm mật khẩu không mở được khóa ký (hoặc tệp khóa bị hỏng). Chưa có gì bị thay \
            đổi; hãy kiểm tra bộ gõ và phím Caps Lock rồi thử lại.",
            "The passphrase does not open the signing key (or the file is damaged). Nothing was changed; check the \
                keyboard and Caps Lock, then try again.";
        "other-key" => "Khóa trong tệp chưa phải khóa ký của đơn vị này. Chưa ký gì bằng khóa đó. Nếu là khóa vừa tạo \
            mới: chờ chứng thư, rồi chạy `tram-node registry import`. Nếu không: hãy đặt đúng tệp khóa, hoặc báo nơi \
            quản lý danh bạ.",
            "The key in the file is not known as this office's signing key. Nothing was signed with it. If it was made \
                just now, wait for its certificate and run `tram-node registry import`; otherwise put the right file \
                there, or ask the registrar.";
        "key-exposed" => "Người khác trên máy này đọc được tệp khóa. Hãy coi như khóa đã lộ và báo nơi quản lý \
            danh bạ.",
            "Others on this machine can read the key file. Take the key for known and tell the registrar.";
        "passphrase-exposed" => "Người khác trên máy này đọc được tệp cụm mật khẩu. Hãy đổi cụm mật khẩu rồi đặt \
            quyền 600 cho tệp.",
            "Others on this machine can read the passphrase file. Change the passphrase, then give the file mode \
                600.";
        "passphrase-file" => "Không đọc được tệp cụm mật khẩu. Hãy kiểm tra đường dẫn, hoặc cắm thiết bị chứa tệp.",
            "The passphrase file cannot be read. Check its path, or plug in the device that holds it.";
        "passphrase-unusable" => "Không dùng được cụm mật khẩu này; chưa có gì bị thay đổi.",
            "This passphrase cannot be used; nothing was changed.";
        "passphrases-differ" => "Hai lần nhập không giống nhau; chưa có gì bị thay đổi.",
            "The two passphrases typed are not the same; nothing was changed.";
        "cancelled" => "Đã dừng vì chưa nhập cụm mật khẩu; chưa có gì bị thay đổi.",
            "Stopped because no passphrase was typed; nothing was changed.";
        "already-protected" => "Khóa ký đã được mã hóa từ trước. Muốn đổi cụm mật khẩu: `tram-node key \
            change-passphrase`.",
            "The signing key is encrypted already. For another passphrase: `tram-node key change-passphrase`.";
        "not-protected" => "Khóa ký chưa được mã hóa. Hãy chạy `tram-node key protect`.",
            "The signing key is not encrypted. Run `tram-node key protect`.";
        "key-demands" => "Tệp khóa được mã hóa theo cách mà trạm không nhận; trạm không mở tệp.",
            "The key file is encrypted in a way that is not accepted; it was not opened.";
        "key-garbled" => "Tệp khóa không phải là khóa ký hợp lệ, hoặc đã hỏng. Hãy lấy lại từ nơi cất khóa lúc \
            đăng ký.",
            "The key file is no signing key, or is damaged. Bring it again from where it was kept at enrolment.";
        "not-lost" => "Lệnh này bỏ khóa hiện tại: không văn bản nào ký bằng khóa đó sau này được chấp nhận nữa. Nếu khóa \
            thật sự đã mất, hãy thêm `--lost`; nếu còn mở được khóa, hãy dùng `tram-node key next`. Chưa có gì bị thay đổi.",
            "This gives the present key up. If it is really lost, add `--lost`; if it can still be opened, use \
                `tram-node key next`. Nothing was changed.";
        "unprotect" => "Sau lệnh này, ai đọc được đĩa của máy đều ký thay đơn vị được. Nếu thật sự muốn, hãy \
            thêm `--leave-unencrypted`; chưa có gì bị thay đổi.",
            "After this, whoever reads this machine's disk can sign as the office. If you mean it, add \
                `--leave-unencrypted`; nothing was changed.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queued_is_never_called_sent_and_left_never_arrived() {
        for table in [STATUS, STEP] {
            let (queued, left) = (word(table, "queued", Lang::Vi), word(table, "left", Lang::Vi));
            assert!(!queued.contains("đã gửi") && !queued.contains("đã đến"), "{queued}");
            assert!(!left.contains("đã đến") && !left.contains("nhận"), "{left}");
            assert!(!word(table, "left", Lang::En).contains("arrived"));
        }
    }

    #[test]
    fn every_text_is_there_in_both_languages() {
        for table in [
            STATUS,
            STEP,
            PROVES,
            CAUSE,
            WHO,
            RELAY_REASON,
            CAPACITY,
            LEGAL_VALUE,
            PAPER,
            LINK,
            KEY_STANDING,
            ALARM,
            URGENCY,
            PROBLEM,
            SIGNING_STATE,
            SIGNING,
            PROMPT,
            KEY,
            SEALING_KEY,
            UNLOCK,
            STAGE,
            STANDING,
            REFUSAL_REASON,
            BUSINESS,
            DRAFT_STAGE,
            ROLE,
            WORK_REFUSED,
            CHECKED,
            COPY_FORM,
            PLACEMENT,
            SLIP_PART,
            TIME_WORD,
            PDF_OUTCOME,
            PDF_UNJUDGED,
        ] {
            for (key, text) in table {
                assert!(!text.vi.is_empty() && !text.en.is_empty(), "{key}");
                schema::text::require_nfc(text.vi, 320).expect(key);
                let same = table.iter().filter(|(other, _)| other == key);
                assert_eq!(same.count(), 1, "`{key}` has two texts, and only the first is ever shown");
            }
        }
    }

    #[test]
    fn english_is_for_those_who_ask_first_for_it() {
        assert_eq!(Lang::of_header(Some("en-GB,vi;q=0.5")), Lang::En);
        assert_eq!(Lang::of_header(Some("vi,en;q=0.5")), Lang::Vi);
        assert_eq!(Lang::of_header(None), Lang::Vi);
    }
}
