//! What people read about what was refused: first what was found, then what to do, in Vietnamese and in English.
//!
//! The English of an error is its own `Display` with its causes, so that logs and screens say the same. The Vietnamese is
//! written here for what has no text module of its own; [`crate::trust::reason`] has that of certificates and lists.

use crate::directory::SignedDirectoryError;
use crate::event::{EVENT_BYTES_MAX, EventError, VerifyError};
use crate::pack::{MESSAGE_BYTES_MAX, MessageError};
use crate::registry::{CERTIFICATES_MAX, ITEMS_MAX, ItemError, STATEMENTS_MAX};
use crate::trust::reason::{self, Language};

/// One text in both languages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bilingual {
    /// *Tiếng Việt*.
    pub vietnamese: String,
    /// English.
    pub english: String,
}

impl Bilingual {
    /// Asks for both.
    pub fn new(text: impl Fn(Language) -> String) -> Self {
        Self { vietnamese: text(Language::Vietnamese), english: text(Language::English) }
    }

    /// The text in one language.
    pub fn of(&self, language: Language) -> &str {
        match language {
            Language::Vietnamese => &self.vietnamese,
            Language::English => &self.english,
        }
    }
}

/// Both halves in one language.
fn sentences(
    error: &dyn std::error::Error,
    language: Language,
    found: &str,
    next: (&'static str, &'static str),
) -> String {
    match language {
        Language::Vietnamese => format!("{found}. {}", next.0),
        Language::English => {
            let mut words = reason::whole(error);
            if let Some(first) = words.get(..1).map(str::to_uppercase) {
                words.replace_range(..1, &first);
            }
            format!("{words}. {}", next.1)
        }
    }
}

const TELL_THE_ENGINEER: (&str, &str) = (
    "Không dùng dữ liệu này; báo cán bộ kỹ thuật và cho biết nhận từ đâu.",
    "Do not use it; tell the engineers, and from where it came.",
);
const USE_THE_SECRET_CHANNEL: (&str, &str) = (
    "Không có gì của nó được lưu trên máy này; báo nơi gửi chuyển bằng hệ thống văn bản mật.",
    "Nothing of it was kept on this machine; tell its sender to use the system for secret documents.",
);
const FETCH_THE_NEWEST: (&str, &str) = (
    "Cập nhật sổ đăng ký mới nhất rồi chờ nơi gửi gửi lại; nơi gửi chưa mất gì.",
    "Fetch the newest registry and wait for the sender's next try; it has lost nothing.",
);

impl EventError {
    /// Why bytes are no event, and what to do.
    pub fn text(&self, language: Language) -> String {
        let next = match self {
            Self::Secret => USE_THE_SECRET_CHANNEL,
            _ => TELL_THE_ENGINEER,
        };
        sentences(self, language, &format!("Dữ liệu nhận được {}", event(self)), next)
    }
}

fn event(error: &EventError) -> String {
    match error {
        EventError::TooLarge { found } => format!("quá lớn ({found} byte, tối đa {EVENT_BYTES_MAX})"),
        EventError::Frame(_) => "không có khung chữ ký đúng chuẩn COSE".to_owned(),
        EventError::ContentType { .. } => "không phải sự kiện của Trạm".to_owned(),
        EventError::Payload(_) => "không đọc được như một sự kiện".to_owned(),
        EventError::NotDeterministic => "không theo cách mã hoá duy nhất của sự kiện".to_owned(),
        EventError::Rule { .. } => "vi phạm quy tắc của sự kiện".to_owned(),
        EventError::Content(_) => "đi kèm một nội dung không phải của nó".to_owned(),
        EventError::Secret => "có độ mật, không được gửi qua hệ thống này".to_owned(),
    }
}

impl MessageError {
    /// Why a message cannot be read, and what to do.
    pub fn text(&self, language: Language) -> String {
        let (found, next) = match self {
            Self::TooLarge { found } => {
                (format!("Gói tin quá lớn ({found} byte, tối đa {MESSAGE_BYTES_MAX})"), TELL_THE_ENGINEER)
            }
            Self::Format { found } => (
                format!("Gói tin theo định dạng {found}, phiên bản này chưa đọc được"),
                ("Nâng cấp phần mềm của trạm.", "Update the station's program."),
            ),
            Self::Malformed(_) => ("Gói tin không đọc được".to_owned(), TELL_THE_ENGINEER),
        };
        sentences(self, language, &found, next)
    }
}

impl VerifyError {
    /// Why an event is not accepted as its office's, and what to do.
    pub fn text(&self, language: Language) -> String {
        sentences(self, language, &unverified(self), unverified_next(self))
    }
}

fn unverified(error: &VerifyError) -> String {
    match error {
        VerifyError::UnknownOffice { office, directory } => {
            format!("Danh bạ phiên bản {directory} chưa có đơn vị {office}")
        }
        VerifyError::UnknownKey { office, key } => {
            format!("Chưa có chứng thư số cho khóa {key} của đơn vị {office}")
        }
        VerifyError::ContestedKey { office, key } => format!(
            "Khóa {key} của đơn vị {office} có chứng thư số, nhưng khóa trước không công bố khóa này và cũng chưa bị \
             thu hồi"
        ),
        VerifyError::Certificate { office, key, verdict } => {
            let troubles = verdict.iter().flat_map(|verdict| verdict.troubles());
            let reasons: Vec<String> =
                troubles.map(|finding| finding.reason.text(Language::Vietnamese)).collect();
            let what = format!("Chứng thư số của khóa {key} của đơn vị {office} không có giá trị");
            if reasons.is_empty() { what } else { format!("{what}: {}", reasons.join("; ")) }
        }
        VerifyError::Signature { id, office, key } => {
            format!("Chữ ký trên sự kiện {id} không khớp với khóa {key} của đơn vị {office}")
        }
    }
}

const fn unverified_next(error: &VerifyError) -> (&'static str, &'static str) {
    match error {
        VerifyError::UnknownOffice { .. } | VerifyError::UnknownKey { .. } => FETCH_THE_NEWEST,
        VerifyError::ContestedKey { .. } => (
            "Gọi điện hỏi đơn vị đó có đổi khóa hay không; chưa rõ thì không nhận gì ký bằng khóa này.",
            "Ask that office by telephone whether it has changed its key; until that is known nothing is accepted.",
        ),
        VerifyError::Certificate { .. } => (
            "Nơi gửi phải ký lại bằng khóa đang có hiệu lực.",
            "The sender has to sign again with the key that counts now.",
        ),
        VerifyError::Signature { .. } => TELL_THE_ENGINEER,
    }
}

impl SignedDirectoryError {
    /// Why a directory was not taken in, and what to do.
    pub fn text(&self, language: Language) -> String {
        let next = (
            "Lấy lại tệp danh bạ từ cơ quan quản lý danh bạ; danh bạ đang giữ vẫn được dùng.",
            "Fetch the file again from the registrar; the directory that is held goes on counting.",
        );
        sentences(self, language, &format!("Danh bạ không được nhận: {}", directory(self)), next)
    }
}

fn directory(error: &SignedDirectoryError) -> String {
    match error {
        SignedDirectoryError::TooLarge { found } => format!("tệp quá lớn ({found} byte)"),
        SignedDirectoryError::Frame(_) | SignedDirectoryError::ContentType { .. } => {
            "tệp không phải danh bạ đã ký".to_owned()
        }
        SignedDirectoryError::RootKey => {
            "khóa công khai của cơ quan quản lý danh bạ không dùng được".to_owned()
        }
        SignedDirectoryError::Signature => {
            "chữ ký không phải của cơ quan quản lý danh bạ mà trạm này tin cậy, hoặc tệp đã bị sửa".to_owned()
        }
        SignedDirectoryError::Snapshot(_) => "nội dung không đọc được".to_owned(),
        SignedDirectoryError::Directory(_) => "nội dung có chỗ mâu thuẫn".to_owned(),
    }
}

impl ItemError {
    /// Why an item was not taken into the registry, and what to do.
    pub fn text(&self, language: Language) -> String {
        match self {
            Self::Directory(error) => error.text(language),
            Self::Authority(error) => error.text(language),
            Self::List(error) => error.text(language),
            Self::Event(error) => error.text(language),
            Self::Unproven(error) => error.text(language),
            Self::Anchor => sentences(
                self,
                language,
                "Chứng thư số gốc chỉ được ghim bằng tay, không bao giờ nhận từ bên ngoài",
                TELL_THE_ENGINEER,
            ),
            Self::Certificate(error) => {
                let found = format!("Chứng thư số không được nhận: {}", reason::certificate(error));
                sentences(self, language, &found, ASK_THE_AUTHORITY)
            }
            Self::NotForRegistry { subject } => {
                let found = format!(
                    "Chứng thư số của {subject} không phải của cơ quan cấp, cũng không phải của khóa một đơn vị"
                );
                sentences(self, language, &found, ASK_THE_AUTHORITY)
            }
            Self::Path { subject, source } => {
                let chain = reason::chain(source);
                let found = format!("Chứng thư số của {subject} không dẫn đến gốc tin cậy nào: {chain}");
                sentences(self, language, &found, ASK_THE_AUTHORITY)
            }
            Self::TooMany { office } => {
                let found = format!(
                    "Đơn vị {office} đã có {CERTIFICATES_MAX} chứng thư số, hoặc {STATEMENTS_MAX} công bố khóa"
                );
                sentences(self, language, &found, ASK_THE_AUTHORITY)
            }
            Self::NotAnAnnouncement => {
                sentences(self, language, "Sự kiện không công bố khóa ký mới nào", TELL_THE_ENGINEER)
            }
            Self::Full => {
                let found = format!("Sổ đăng ký đã có {ITEMS_MAX} mục");
                sentences(self, language, &found, TELL_THE_ENGINEER)
            }
        }
    }
}

const ASK_THE_AUTHORITY: (&str, &str) = (
    "Đề nghị hỏi cơ quan cấp chứng thư số; những gì đang giữ vẫn được dùng.",
    "Ask the authority that issued it; what is held goes on counting.",
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{EventId, KeyId, OfficeId};
    use crate::trust::path::PathError;
    use crate::trust::{CertificateError, crl::ListError};

    #[test]
    fn every_refusal_says_what_was_found_and_what_to_do_in_both_languages() {
        let (office, key) = (OfficeId::new([7; 16]), KeyId::new([8; 16]));
        let subject = || "C=VN, CN=Trạm".to_owned();
        let verify = [
            VerifyError::UnknownOffice { office, directory: 3 },
            VerifyError::UnknownKey { office, key },
            VerifyError::ContestedKey { office, key },
            VerifyError::Certificate { office, key, verdict: None },
            VerifyError::Signature { id: EventId::new([9; 32]), office, key },
        ];
        let event = [
            EventError::TooLarge { found: 1 << 20 },
            EventError::ContentType { found: "text/plain".to_owned() },
            EventError::Payload("end of input".to_owned()),
            EventError::NotDeterministic,
            EventError::Rule { rule: "seq starts at 1" },
            EventError::Secret,
        ];
        let item = [
            ItemError::Directory(SignedDirectoryError::Signature),
            ItemError::Anchor,
            ItemError::Certificate(CertificateError::Version),
            ItemError::NotForRegistry { subject: subject() },
            ItemError::Path { subject: subject(), source: PathError::NotDelegated },
            ItemError::TooMany { office },
            ItemError::List(ListError::Version),
            ItemError::NotAnAnnouncement,
            ItemError::Full,
        ];
        let texts = verify.iter().map(|error| Bilingual::new(|language| error.text(language)));
        let texts = texts.chain(event.iter().map(|error| Bilingual::new(|language| error.text(language))));
        let message = [
            MessageError::TooLarge { found: 1 << 30 },
            MessageError::Format { found: 9 },
            MessageError::Malformed("end of input".to_owned()),
        ];
        let texts = texts.chain(message.iter().map(|error| Bilingual::new(|language| error.text(language))));
        let texts = texts.chain(item.iter().map(|error| Bilingual::new(|language| error.text(language))));
        for Bilingual { vietnamese, english } in texts {
            for text in [&vietnamese, &english] {
                assert!(unicode_normalization::is_nfc(text), "`{text}` is not in NFC");
                assert!(text.ends_with('.') && text.contains(". "), "`{text}` does not say what to do");
                assert!(text.starts_with(char::is_uppercase), "`{text}` is no sentence");
            }
            assert!(!vietnamese.is_ascii() && english != vietnamese, "`{vietnamese}` is not Vietnamese");
        }
    }
}
