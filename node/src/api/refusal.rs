//! What the rules refuse: codes for programs, particulars for people.

use axum::http::StatusCode;
use schema::body::BodyError;
use schema::exchange::{DOCUMENT_RECIPIENTS_MAX, Refusal, WorkRefusal};
use schema::handling::BookId;
use schema::id::{DocumentId, OfficeId};
use schema::text::TextError;
use schema::trust::Language;

use super::problem::{Problem, Told};
use crate::words::{self, Lang, with_causes};

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        let (status, code) = match &refusal {
            Refusal::NoRecipients => (UNPROCESSABLE, "no-recipients"),
            Refusal::TooManyRecipients { .. } => (UNPROCESSABLE, "too-many-recipients"),
            Refusal::ToItself => (UNPROCESSABLE, "to-itself"),
            Refusal::UnknownRecipient { .. } => (UNPROCESSABLE, "unknown-recipient"),
            Refusal::NotEnrolled { .. } => (UNPROCESSABLE, "not-enrolled"),
            Refusal::NoSealingKey { .. } => (StatusCode::CONFLICT, "no-sealing-key"),
            Refusal::AttachmentTooLarge { .. } => (UNPROCESSABLE, "attachment-too-large"),
            Refusal::NotSuccessor { .. } => (StatusCode::CONFLICT, "not-successor"),
            Refusal::AlreadyDispatched { .. } => (StatusCode::CONFLICT, "already-dispatched"),
            Refusal::Unsigned => (UNPROCESSABLE, "unsigned"),
            Refusal::SameNumber { .. } => (StatusCode::CONFLICT, "number-sent"),
            Refusal::RecipientNotAllowed { .. } => (StatusCode::FORBIDDEN, "recipient-not-allowed"),
            Refusal::Document(_) => (UNPROCESSABLE, "document"),
            Refusal::AttachmentMissing { .. } => (StatusCode::CONFLICT, "attachment-missing"),
            Refusal::SignatureInvalid { .. } => (UNPROCESSABLE, "signature-invalid"),
            Refusal::TooLarge => (UNPROCESSABLE, "text-too-large"),
            Refusal::Work(refusal) => return refusal.into(),
        };
        let problem = Self::new(status, code);
        match told_of(&refusal) {
            Some(told) => problem.told(told),
            None => problem,
        }
    }
}

impl From<&WorkRefusal> for Problem {
    fn from(refusal: &WorkRefusal) -> Self {
        let code = match refusal {
            WorkRefusal::Role { .. } => "role",
            WorkRefusal::NotInRole { .. } => "not-in-role",
            WorkRefusal::TypeNotYours { .. } => "type-not-yours",
            WorkRefusal::RecipientNotYours { .. } => "recipient-not-yours",
            WorkRefusal::NotHere { .. } => "not-here",
            WorkRefusal::NotSentTo { .. } => "not-sent-to",
            WorkRefusal::NotSent { .. } => "not-sent-here",
            WorkRefusal::AlreadyRegistered { .. } => "already-registered",
            WorkRefusal::DoneBefore { .. } => "done-before",
            WorkRefusal::OtherWork { .. } => "other-work",
            WorkRefusal::AlreadyRefused => "already-refused",
            WorkRefusal::NotRegistered => "not-registered",
            WorkRefusal::AlreadyFinished => "already-finished",
            WorkRefusal::AlreadyStarted => "already-started",
            WorkRefusal::AskedBack => "asked-back",
            WorkRefusal::CountsNoMore { .. } => "counts-no-more",
            WorkRefusal::NothingAsked => "nothing-asked",
            WorkRefusal::AlreadyAsked { .. } => "already-asked",
            WorkRefusal::AskedTooOften { .. } => "asked-too-often",
            WorkRefusal::NobodyLeft => "nobody-left",
            WorkRefusal::NothingSaid { .. } => "nothing-said",
            WorkRefusal::IsDrafted { .. } => "is-drafted",
            WorkRefusal::AlreadySetAside => "already-set-aside",
            WorkRefusal::SignatureInvalid => "signature-not-valid",
            WorkRefusal::Undetermined => "undetermined",
            WorkRefusal::SameNumber { .. } => "same-number",
            WorkRefusal::UnknownBook => "unknown-book",
            WorkRefusal::BookDoubtful { .. } => "book-doubtful",
            WorkRefusal::BookInUse { .. } => "book-in-use",
            WorkRefusal::BelowKnown { .. } => "below-known",
            WorkRefusal::BookFull { .. } => "book-full",
            WorkRefusal::NoDraft { .. } => "no-draft",
            WorkRefusal::OtherIssuer => "other-issuer",
            WorkRefusal::TypeNotAllowed { .. } => "type-not-allowed",
            WorkRefusal::ContentFixed => "content-fixed",
            WorkRefusal::NotApproved => "not-approved",
            WorkRefusal::AlreadyApproved => "already-approved",
            WorkRefusal::NotSigned => "not-signed",
            WorkRefusal::AlreadySigned => "already-signed",
            WorkRefusal::TooManySignatures => "too-many-signatures",
            WorkRefusal::NotIssued => "not-issued",
            WorkRefusal::AlreadyIssued => "already-issued",
            WorkRefusal::AlreadySent => "already-sent",
            WorkRefusal::AlreadyDiscarded => "already-discarded",
            WorkRefusal::NoMainFile => "no-main-file",
            WorkRefusal::NoSymbol { .. } => "no-symbol",
            WorkRefusal::AlreadyErased { .. } => "already-erased",
            WorkRefusal::StillOnItsWay { .. } => "still-on-its-way",
            WorkRefusal::StillAtWork { .. } => "still-at-work",
            WorkRefusal::StillKept { .. } => "still-kept",
            WorkRefusal::Text(_) => "work-text",
        };
        let status = match refusal {
            WorkRefusal::Role { .. }
            | WorkRefusal::NotInRole { .. }
            | WorkRefusal::TypeNotYours { .. }
            | WorkRefusal::RecipientNotYours { .. }
            | WorkRefusal::TypeNotAllowed { .. } => StatusCode::FORBIDDEN,
            WorkRefusal::NoDraft { .. }
            | WorkRefusal::NotHere { .. }
            | WorkRefusal::NotSent { .. }
            | WorkRefusal::NothingSaid { .. }
            | WorkRefusal::NotSentTo { .. } => StatusCode::NOT_FOUND,
            WorkRefusal::Undetermined | WorkRefusal::UnknownBook | WorkRefusal::Text(_) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            _ => StatusCode::CONFLICT,
        };
        let problem = Self::new(status, code);
        match told_of_work(refusal) {
            Some(told) => problem.told(told),
            None => problem,
        }
    }
}

/// Who may, by name.
fn may(who: &[String], lang: Lang) -> String {
    match (who.is_empty(), lang) {
        (true, Lang::Vi) => "Chưa ai trong đơn vị được giao việc này.".to_owned(),
        (true, Lang::En) => "Nobody of this office is entrusted with that.".to_owned(),
        (false, Lang::Vi) => format!("Người được giao: {}.", who.join(", ")),
        (false, Lang::En) => format!("Entrusted with that: {}.", who.join(", ")),
    }
}

/// The particulars of a refusal; none where its own words say everything.
fn told_of(refusal: &Refusal) -> Option<Told> {
    Some(match refusal {
        Refusal::NoRecipients
        | Refusal::ToItself
        | Refusal::Unsigned
        | Refusal::TooLarge
        | Refusal::Work(_) => return None,
        Refusal::TooManyRecipients { found } => Told {
            vi: format!("{found} nơi nhận; nhiều nhất {DOCUMENT_RECIPIENTS_MAX}"),
            en: format!("{found} recipients; at most {DOCUMENT_RECIPIENTS_MAX}"),
        },
        Refusal::UnknownRecipient { office, directory }
        | Refusal::NotEnrolled { office, directory }
        | Refusal::NotSuccessor { office, directory } => Told {
            vi: format!("Nơi nhận: {office}; danh mục số {directory}"),
            en: format!("Recipient: {office}; directory version {directory}"),
        },
        Refusal::RecipientNotAllowed { office } | Refusal::NoSealingKey { office } => recipient(office),
        Refusal::SameNumber { office, other } => Told {
            vi: format!("Nơi nhận: {office}; văn bản gửi trước: {other}"),
            en: format!("Recipient: {office}; the document that went before: {other}"),
        },
        Refusal::AlreadyDispatched { document } => document_told(document),
        Refusal::AttachmentMissing { hash } => {
            Told { vi: format!("Tệp có mã băm {hash}"), en: format!("The file with hash {hash}") }
        }
        Refusal::AttachmentTooLarge { office, found, max } => Told {
            vi: match office {
                Some(office) => {
                    format!("Nơi nhận {office} nhận tệp tối đa {max} byte; tệp đã mã hóa có {found} byte")
                }
                None => format!("Trạm chuyển tiếp nhận tệp tối đa {max} byte; tệp đã mã hóa có {found} byte"),
            },
            en: match office {
                Some(office) => format!(
                    "Recipient {office} takes files of at most {max} bytes; the sealed file has {found}"
                ),
                None => format!("The relay takes files of at most {max} bytes; the sealed file has {found}"),
            },
        },
        Refusal::SignatureInvalid { number, why } => Told {
            vi: format!("Chữ ký thứ {number}: {}", why.told(Language::Vietnamese)),
            en: format!("Signature {number}: {}", why.told(Language::English)),
        },
        Refusal::Document(error) => told_of_body(error),
    })
}

/// What is wrong with what somebody wrote.
fn told_of_body(error: &BodyError) -> Told {
    let en = with_causes(error);
    let vi = match error {
        BodyError::Rule { rule, .. } => words::rule(rule).to_owned(),
        BodyError::Text(TextError::TooLong { text, chars_max }) => {
            format!("\u{201c}{text}…\u{201d} quá dài: nhiều nhất {chars_max} ký tự; hãy rút gọn")
        }
        BodyError::Text(TextError::NotNfc { text }) => {
            format!(
                "\u{201c}{text}\u{201d} không ở dạng Unicode dựng sẵn (NFC); hãy gõ lại bằng bảng mã Unicode dựng sẵn"
            )
        }
        BodyError::Text(TextError::Control { text, code }) => {
            format!("\u{201c}{text}\u{201d} có ký tự điều khiển U+{code:04X} không nhìn thấy; hãy xóa đi")
        }
        BodyError::Sealed { .. } | BodyError::Malformed { .. } | BodyError::NotDeterministic { .. } => {
            "nội dung đã chốt không đọc được; hãy chốt lại từ đầu".to_owned()
        }
    };
    Told { vi, en }
}

fn document_told(document: &DocumentId) -> Told {
    Told { vi: format!("Văn bản: {document}"), en: format!("Document: {document}") }
}

fn office_told(office: &OfficeId) -> Told {
    Told { vi: format!("Đơn vị: {office}"), en: format!("Office: {office}") }
}

fn recipient(office: &OfficeId) -> Told {
    Told { vi: format!("Nơi nhận: {office}"), en: format!("Recipient: {office}") }
}

fn book_told(book: &BookId) -> Told {
    Told { vi: format!("Sổ `{book}`"), en: format!("Register `{book}`") }
}

/// The particulars of a refusal of work; none where its own words say everything.
fn told_of_work(refusal: &WorkRefusal) -> Option<Told> {
    Some(match refusal {
        WorkRefusal::Role { wanted, .. } => Told::by(|lang| {
            let roles = wanted.iter().map(|role| words::word(words::ROLE, role.slug(), lang));
            roles.collect::<Vec<_>>().join(", ")
        }),
        WorkRefusal::NotInRole { name, role } => {
            Told::by(|lang| format!("{name}: {}", words::word(words::ROLE, role.slug(), lang)))
        }
        WorkRefusal::TypeNotYours { document_type, who } => {
            let name = |language| document_type.name(language);
            Told {
                vi: format!("Loại văn bản: {}. {}", name(Language::Vietnamese), may(who, Lang::Vi)),
                en: format!("Type: {}. {}", name(Language::English), may(who, Lang::En)),
            }
        }
        WorkRefusal::TypeNotAllowed { document_type } => Told {
            vi: format!("Loại văn bản: {}", document_type.name(Language::Vietnamese)),
            en: format!("Type: {}", document_type.name(Language::English)),
        },
        WorkRefusal::RecipientNotYours { office, who } => Told {
            vi: format!("Nơi nhận: {office}. {}", may(who, Lang::Vi)),
            en: format!("Recipient: {office}. {}", may(who, Lang::En)),
        },
        WorkRefusal::AlreadyRegistered { entry } => Told {
            vi: format!("Số đến {entry} năm {}", entry.year),
            en: format!("Arrival number {entry} of {}", entry.year),
        },
        WorkRefusal::DoneBefore { line, .. } | WorkRefusal::OtherWork { line } => Told {
            vi: format!("Số {line} năm {}, sổ `{}`", line.year, line.book),
            en: format!("Number {line} of {}, register `{}`", line.year, line.book),
        },
        WorkRefusal::CountsNoMore { standing } => {
            let key = serde_json::to_value(standing).unwrap_or_default();
            Told::by(|lang| words::word(words::STANDING, key.as_str().unwrap_or_default(), lang).to_owned())
        }
        WorkRefusal::SameNumber { other } => {
            Told { vi: format!("Văn bản kia: {other}"), en: format!("The other document: {other}") }
        }
        WorkRefusal::BookDoubtful { book, highest }
        | WorkRefusal::BookInUse { book, highest }
        | WorkRefusal::BelowKnown { book, highest } => Told {
            vi: format!("Sổ `{book}`: số lớn nhất trạm biết là {highest}"),
            en: format!("Register `{book}`: the highest number known here is {highest}"),
        },
        WorkRefusal::NotHere { from, document } => Told {
            vi: format!("Văn bản: {document}, của đơn vị {from}"),
            en: format!("Document: {document} of office {from}"),
        },
        WorkRefusal::NotSentTo { office, document } => Told {
            vi: format!("Văn bản: {document}, nơi nhận {office}"),
            en: format!("Document: {document}, recipient {office}"),
        },
        WorkRefusal::NotSent { document }
        | WorkRefusal::NothingSaid { document }
        | WorkRefusal::IsDrafted { document }
        | WorkRefusal::AlreadyErased { document }
        | WorkRefusal::StillOnItsWay { document }
        | WorkRefusal::StillAtWork { document }
        | WorkRefusal::NoDraft { document } => document_told(document),
        WorkRefusal::StillKept { kept_until } => Told {
            vi: format!("Bảo quản đến hết ngày {kept_until}"),
            en: format!("Kept until {kept_until}"),
        },
        WorkRefusal::AlreadyAsked { office } | WorkRefusal::AskedTooOften { office } => office_told(office),
        WorkRefusal::BookFull { book } | WorkRefusal::NoSymbol { book } => book_told(book),
        WorkRefusal::Text(error) => told_of_body(error),
        WorkRefusal::AlreadyRefused
        | WorkRefusal::NotRegistered
        | WorkRefusal::AlreadyFinished
        | WorkRefusal::AlreadyStarted
        | WorkRefusal::AskedBack
        | WorkRefusal::NothingAsked
        | WorkRefusal::NobodyLeft
        | WorkRefusal::AlreadySetAside
        | WorkRefusal::SignatureInvalid
        | WorkRefusal::Undetermined
        | WorkRefusal::UnknownBook
        | WorkRefusal::OtherIssuer
        | WorkRefusal::ContentFixed
        | WorkRefusal::NotApproved
        | WorkRefusal::AlreadyApproved
        | WorkRefusal::NotSigned
        | WorkRefusal::AlreadySigned
        | WorkRefusal::TooManySignatures
        | WorkRefusal::NotIssued
        | WorkRefusal::AlreadyIssued
        | WorkRefusal::AlreadySent
        | WorkRefusal::AlreadyDiscarded
        | WorkRefusal::NoMainFile => return None,
    })
}
