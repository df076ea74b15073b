//! Why a signature in a PDF came out as it did: what was found, in Vietnamese and in English.

use schema::time::Millis;
use schema::trust::pades::{PadesError, Scheme};
use schema::trust::{Language, Reason as TrustReason};
use serde::{Deserialize, Serialize};

use super::PdfOutcome;
use super::range::RangeFault;
use super::revision::Change;
use crate::api::time_in_vietnam;
use crate::words::Lang;

/// One sentence in both languages, with a code for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// Stable.
    pub code: String,
    /// *Tiếng Việt.*
    pub vi: String,
    /// English.
    pub en: String,
}

impl Remark {
    /// The sentence in one language.
    pub fn of(&self, lang: Lang) -> &str {
        match lang {
            Lang::Vi => &self.vi,
            Lang::En => &self.en,
        }
    }
}

/// A reason or a warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Said by whoever judges certificates; with what it comes to and its code here.
    Trust(PdfOutcome, &'static str, TrustReason),
    /// `/ByteRange` does not leave out the signature alone.
    Range(RangeFault),
    /// The file names a signature that its signed revision does not have.
    NotInItsRevision,
    /// Another kind of signature.
    SubFilter(String),
    /// The signature is not read here.
    Unread(PadesError),
    /// The certificate's key made the signature.
    Made(Scheme),
    /// It did not.
    False,
    /// Such signatures of such keys are not verified.
    Unfit {
        /// How it says that it was made.
        scheme: Scheme,
        /// The kind of key.
        key: String,
    },
    /// The certificate was exchanged for another one.
    CertificateExchanged,
    /// The certificate is not for signing documents.
    WrongUsage,
    /// No root is in the folder, or no folder is named.
    NoRoots,
    /// The chain leads to nobody who is believed here.
    IssuerNotTrusted {
        /// Who issued the certificate.
        issuer: String,
    },
    /// An authority of the chain was not within its period.
    AuthorityPeriod,
    /// Covers all of the file.
    WholeFile,
    /// What follows is nothing but further signatures, and a valid one covers all.
    OnlySignaturesFollow,
    /// What follows seems to be harmless, but no valid signature covers it.
    UncoveredEnd,
    /// What follows changes what was signed, or may.
    Changed(Change),
    /// What follows cannot be compared.
    NotCompared,
    /// The signer allowed no change at all.
    ChangesForbidden,
    /// The table of objects had to be guessed.
    Repaired,

    /// Never looked up.
    RevocationNotChecked,
    /// This signer has not seen what came later.
    LaterSignature,
    /// A later signature is shown on a page.
    LaterSignatureVisible,
    /// Other signatures stand in the file.
    SeveralSignatures,
    /// Bytes follow the signed revision.
    BytesFollow {
        /// How many.
        bytes: usize,
    },
    /// The certificate was not signed along.
    CertificateNotBound,
    /// A time stamp came with it.
    TimeStampNotChecked,
    /// Nobody says when it was signed.
    NoClaimedTime,
    /// It says that it was signed later than now.
    ClaimedLater {
        /// When.
        claimed_at: Millis,
    },
    /// Certificates that came with it cannot be read.
    UnreadCertificates {
        /// How many.
        count: usize,
    },
    /// Files of the folder with root certificates were passed over.
    RootsPassedOver {
        /// The first of them, and why.
        first: String,
        /// How many.
        count: usize,
    },
    /// The bytes of the file speak of more signatures than its objects.
    HiddenSignatures {
        /// How many more.
        count: usize,
    },
}

impl Reason {
    /// What it comes to; a warning comes to nothing.
    pub const fn outcome(&self) -> PdfOutcome {
        use PdfOutcome as O;
        match self {
            Self::Trust(outcome, ..) => *outcome,
            Self::Range(_)
            | Self::NotInItsRevision
            | Self::False
            | Self::CertificateExchanged
            | Self::WrongUsage => O::Invalid,
            Self::Changed(_) | Self::NotCompared | Self::ChangesForbidden => O::ChangedAfterSigning,
            Self::SubFilter(_)
            | Self::Unread(_)
            | Self::Unfit { .. }
            | Self::NoRoots
            | Self::IssuerNotTrusted { .. }
            | Self::AuthorityPeriod
            | Self::UncoveredEnd
            | Self::Repaired => O::Undetermined,
            Self::Made(_)
            | Self::WholeFile
            | Self::OnlySignaturesFollow
            | Self::RevocationNotChecked
            | Self::LaterSignature
            | Self::LaterSignatureVisible
            | Self::SeveralSignatures
            | Self::BytesFollow { .. }
            | Self::CertificateNotBound
            | Self::TimeStampNotChecked
            | Self::NoClaimedTime
            | Self::ClaimedLater { .. }
            | Self::UnreadCertificates { .. }
            | Self::RootsPassedOver { .. }
            | Self::HiddenSignatures { .. } => O::Valid,
        }
    }

    /// Its code for programs; stable.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Trust(_, code, _) => code,
            Self::Range(RangeFault::Gap) => "gap-not-the-signature",
            Self::Range(_) => "byte-range",
            Self::NotInItsRevision => "not-in-its-revision",
            Self::SubFilter(_) => "kind-not-judged",
            Self::Unread(_) => "signature-unread",
            Self::Made(_) => "signature-made",
            Self::False => "signature-false",
            Self::Unfit { .. } => "algorithm-not-judged",
            Self::CertificateExchanged => "certificate-exchanged",
            Self::WrongUsage => "wrong-usage",
            Self::NoRoots => "no-roots",
            Self::IssuerNotTrusted { .. } => "issuer-not-trusted",
            Self::AuthorityPeriod => "authority-period",
            Self::WholeFile => "whole-file",
            Self::OnlySignaturesFollow => "only-signatures-follow",
            Self::UncoveredEnd => "end-not-covered",
            Self::Changed(Change::Overridden(_)) => "object-overridden",
            Self::Changed(Change::Removed(_)) => "object-removed",
            Self::Changed(Change::Supplied(_)) => "object-supplied",
            Self::Changed(Change::Structure) => "structure-changed",
            Self::NotCompared => "not-compared",
            Self::ChangesForbidden => "changes-forbidden",
            Self::Repaired => "structure-damaged",
            Self::RevocationNotChecked => "revocation-not-checked",
            Self::LaterSignature => "later-signature",
            Self::LaterSignatureVisible => "later-signature-visible",
            Self::SeveralSignatures => "several-signatures",
            Self::BytesFollow { .. } => "bytes-follow",
            Self::CertificateNotBound => "certificate-not-bound",
            Self::TimeStampNotChecked => "time-stamp-not-checked",
            Self::NoClaimedTime => "no-claimed-time",
            Self::ClaimedLater { .. } => "claimed-later",
            Self::UnreadCertificates { .. } => "certificates-unread",
            Self::RootsPassedOver { .. } => "roots-passed-over",
            Self::HiddenSignatures { .. } => "signatures-hidden",
        }
    }

    /// As it is told.
    pub fn remark(&self) -> Remark {
        let (vi, en) = self.words();
        Remark { code: self.code().to_owned(), vi, en }
    }

    fn words(&self) -> (String, String) {
        let fixed = match self {
            Self::Trust(_, _, reason) => {
                return (reason.text(Language::Vietnamese), reason.text(Language::English));
            }
            Self::Range(fault) => {
                let vi = match fault {
                    RangeFault::Shape => "không ghi rõ phần nào của tệp được ký",
                    RangeFault::Start => "không ký từ đầu tệp",
                    RangeFault::Bounds => "phần được ký chồng lên nhau hoặc vượt ra ngoài tệp",
                    RangeFault::Gap => "phần không được ký chứa nhiều hơn chính chữ ký",
                    RangeFault::OtherContents => {
                        "chữ ký nêu trong tệp không phải chữ ký ở phần được chừa lại"
                    }
                };
                return (
                    format!("Chữ ký không hợp lệ: {vi}. Đây là dấu hiệu giả mạo; không dùng tệp này."),
                    format!(
                        "The signature is not valid: {fault}. This is how forgeries look; do not use the file."
                    ),
                );
            }
            Self::SubFilter(name) => {
                return (
                    format!(
                        "Loại chữ ký `{name}` chưa được kiểm tra ở đây; hãy mở bằng phần mềm kiểm tra chữ ký số."
                    ),
                    format!("Signatures of the kind `{name}` are not judged here; use a program that does."),
                );
            }
            Self::Unread(error) => {
                return (
                    format!("Chưa kiểm tra được chữ ký: {}.", error.text(Language::Vietnamese)),
                    format!("The signature was not checked: {}.", error.text(Language::English)),
                );
            }
            Self::Made(scheme) => {
                return (
                    format!("Chữ ký được tạo bởi khoá tương ứng với chứng thư số ({scheme})."),
                    format!("The certificate's key made the signature ({scheme})."),
                );
            }
            Self::Unfit { scheme, key } => {
                return (
                    format!("Chưa kiểm tra được kiểu chữ ký {scheme} với khoá {key}."),
                    format!("Signatures of the kind {scheme} by a key {key} are not verified here."),
                );
            }
            Self::IssuerNotTrusted { issuer } => {
                return (
                    format!(
                        "Chưa tin cậy nơi cấp chứng thư số tại đây: {issuer}. Nếu cơ quan tin cậy nơi này, người quản trị \
                         đặt chứng thư gốc của họ vào kho tin cậy cho tệp PDF."
                    ),
                    format!(
                        "The issuer is not trusted here: {issuer}. Where the office trusts it, the administrator puts its \
                         root certificate into the folder for PDF files."
                    ),
                );
            }
            Self::Changed(change) => return changed(*change),
            Self::BytesFollow { bytes } => {
                return (
                    format!("Có {bytes} byte được thêm vào tệp sau chữ ký này."),
                    format!("{bytes} bytes were added to the file behind this signature."),
                );
            }
            Self::ClaimedLater { claimed_at } => {
                let at = time_in_vietnam(*claimed_at);
                return (
                    format!("Giờ ký mà người ký khai ({at}) muộn hơn hiện tại; có đồng hồ chạy sai."),
                    format!(
                        "The claimed time of signing ({at}, Vietnam) is later than now: some clock is wrong."
                    ),
                );
            }
            Self::UnreadCertificates { count } => {
                return (
                    format!("{count} chứng thư số kèm theo chữ ký không đọc được nên không dùng đến."),
                    format!(
                        "{count} certificates that came with the signature cannot be read and were not used."
                    ),
                );
            }
            Self::RootsPassedOver { first, count } => {
                return (
                    format!(
                        "Không dùng được {count} mục trong kho tin cậy cho tệp PDF; mục đầu tiên: {first}."
                    ),
                    format!(
                        "{count} items of the folder with roots for PDF files cannot be used; the first: {first}."
                    ),
                );
            }
            Self::HiddenSignatures { count } => {
                return (
                    format!(
                        "Tệp có dấu vết của {count} chữ ký nữa không còn hiển thị; có thể chúng đã bị gỡ hoặc thay thế."
                    ),
                    format!(
                        "The file has traces of {count} more signatures that it no longer shows: removed, or replaced."
                    ),
                );
            }
            Self::NotInItsRevision => (
                "Chữ ký không hợp lệ: phần tệp được ký không chứa chữ ký này. Không dùng tệp này.",
                "The signature is not valid: the signed part of the file does not hold it. Do not use the file.",
            ),
            Self::False => (
                "Chữ ký không phải do khoá của chứng thư số tạo ra, hoặc đã bị sửa.",
                "The key of the certificate did not make the signature, or it was changed.",
            ),
            Self::CertificateExchanged => (
                "Chứng thư số kèm theo không phải chứng thư đã dùng để ký: đã bị tráo.",
                "The certificate beside the signature is not the one that was signed with: it was exchanged.",
            ),
            Self::WrongUsage => (
                "Chứng thư số không được cấp để ký văn bản.",
                "The certificate was not issued for signing documents.",
            ),
            Self::NoRoots => (
                "Đơn vị chưa có chứng thư gốc tin cậy nào cho tệp PDF, nên chưa xác định được người ký. Người quản trị đặt \
                 chứng thư gốc vào thư mục nêu ở `[pdf] trust`.",
                "This station holds no root certificates for PDF files, so the signer cannot be identified. The administrator puts \
                 them into the folder that `[pdf] trust` names.",
            ),
            Self::AuthorityPeriod => (
                "Chứng thư số của nơi cấp không còn, hoặc chưa có, hiệu lực khi ký.",
                "The certificate of an authority above was not within its period when it was signed.",
            ),
            Self::WholeFile => ("Chữ ký bao trùm toàn bộ tệp.", "The signature covers the whole file."),
            Self::OnlySignaturesFollow => (
                "Sau chữ ký này chỉ có thêm chữ ký khác, và một chữ ký hợp lệ bao trùm toàn bộ tệp.",
                "Nothing but further signatures follows this one, and a valid one covers the whole file.",
            ),
            Self::UncoveredEnd => (
                "Phần thêm vào sau chữ ký dường như không đổi nội dung, nhưng không có chữ ký hợp lệ nào bao trùm phần đó.",
                "What was added later seems to change nothing that is shown, but no valid signature covers it.",
            ),
            Self::NotCompared => (
                "Tệp đã được thêm dữ liệu sau khi ký và không so sánh được với bản đã ký. Hãy xem bản đã ký, hoặc đề nghị gửi lại.",
                "Data was added after signing, and cannot be compared with what was signed. Look at the signed revision, or ask for \
                 the file again.",
            ),
            Self::ChangesForbidden => (
                "Người ký không cho phép thêm bất cứ gì sau khi ký, nhưng tệp đã được thêm dữ liệu.",
                "The signer allowed no change after signing, and something was added.",
            ),
            Self::Repaired => (
                "Cấu trúc tệp bị hỏng, phải đoán mới đọc được; phần mềm khác có thể hiển thị khác.",
                "The structure of the file is damaged and had to be guessed; another program may show something else.",
            ),
            Self::RevocationNotChecked => (
                "Chưa kiểm tra chứng thư số có bị thu hồi hay không: trạm không hỏi nơi cấp qua mạng.",
                "Revocation was not checked: a station does not ask the issuer over the network.",
            ),
            Self::LaterSignature => (
                "Người ký này chưa xem những gì được thêm vào sau khi họ ký.",
                "This signer has not seen what was added afterwards.",
            ),
            Self::LaterSignatureVisible => (
                "Chữ ký thêm sau có hình hiển thị trên trang, có thể che nội dung đã ký; hãy so với bản đã ký.",
                "A later signature is shown on a page and may lie over what was signed; compare it with the signed revision.",
            ),
            Self::SeveralSignatures => (
                "Tệp có nhiều chữ ký; mỗi chữ ký được kiểm tra riêng.",
                "The file has several signatures; each is judged by itself.",
            ),
            Self::CertificateNotBound => (
                "Chứng thư số không được ký kèm (signing-certificate-v2), nên không loại trừ được việc bị tráo.",
                "The certificate was not signed along (signing-certificate-v2): that it was exchanged cannot be ruled out.",
            ),
            Self::TimeStampNotChecked => (
                "Có dấu thời gian kèm theo, nhưng chưa được kiểm tra ở đây.",
                "A time stamp came with it, which is not judged here.",
            ),
            Self::NoClaimedTime => {
                ("Chữ ký không ghi thời gian ký.", "The signature does not say when it was made.")
            }
        };
        (fixed.0.to_owned(), fixed.1.to_owned())
    }
}

fn changed(change: Change) -> (String, String) {
    let (vi, en) = match change {
        Change::Overridden((id, _)) => (
            format!("đối tượng {id} đã ký bị thay bằng đối tượng khác"),
            format!("object {id}, which was signed, was replaced by another one"),
        ),
        Change::Removed((id, _)) => {
            (format!("đối tượng {id} đã ký bị gỡ bỏ"), format!("object {id}, which was signed, was removed"))
        }
        Change::Supplied((id, _)) => (
            format!("đối tượng {id} mà bản đã ký chỉ nhắc tên được đưa vào sau (tấn công che giấu)"),
            format!(
                "object {id}, which the signed revision only names, was supplied later (a shadow attack)"
            ),
        ),
        Change::Structure => {
            ("cấu trúc tệp bị thay đổi".to_owned(), "the structure of the file was changed".to_owned())
        }
    };
    (
        format!(
            "Tệp đã bị thay đổi sau khi ký: {vi}. Nội dung hiển thị có thể không phải nội dung đã ký; hãy đề nghị bên gửi gửi lại."
        ),
        format!(
            "The file was changed after signing: {en}. What is shown may not be what was signed; ask the sender for it again."
        ),
    )
}
