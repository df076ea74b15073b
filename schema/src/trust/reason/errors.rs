//! The Vietnamese for every error of certificates, roles, chains, lists and stores. Those that a person meets by
//! themselves, because a file was not taken in, are told whole: what was found, then what to do.

use super::super::algorithm::AlgorithmError;
use super::super::certificate::CertificateError;
use super::super::crl::{ENTRIES_MAX, LIST_BYTES_MAX, ListError};
use super::super::path::PathError;
use super::super::profile::RoleError;
use super::super::store::{ANCHORS_MAX, AUTHORITIES_MAX, AnchorError, AuthorityError};
use super::Language;

pub(crate) fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::TooLarge { found } => format!("quá lớn ({found} byte)"),
        CertificateError::Encoding(_) => "không theo mã hoá DER chặt chẽ".to_owned(),
        CertificateError::Malformed(_) => "không đọc được theo chuẩn X.509".to_owned(),
        CertificateError::Version => "không phải phiên bản 3".to_owned(),
        CertificateError::Serial => "số sê-ri không đúng".to_owned(),
        CertificateError::AlgorithmMismatch => "thuật toán bên trong và bên ngoài khác nhau".to_owned(),
        CertificateError::Signature(error) | CertificateError::Key(error) => algorithm(error),
        CertificateError::Time => "thời hạn không đọc được".to_owned(),
        CertificateError::ValidityReversed => "thời hạn kết thúc trước khi bắt đầu".to_owned(),
        CertificateError::EmptyName => "thiếu tên cơ quan cấp hoặc chủ thể".to_owned(),
        CertificateError::UniqueIdentifier => "có mã định danh kiểu cũ không còn dùng".to_owned(),
        CertificateError::ExtensionCount => "số phần mở rộng không hợp lệ".to_owned(),
        CertificateError::DuplicateExtension { extension } => format!("phần mở rộng {extension} bị lặp"),
        CertificateError::UnknownCritical { extension } => {
            format!("phần mở rộng bắt buộc {extension} không được hỗ trợ")
        }
        CertificateError::MalformedExtension { extension, .. } => format!("phần mở rộng {extension} bị hỏng"),
        CertificateError::ForbiddenExtension { extension } => {
            format!("phần mở rộng {extension} không được phép")
        }
        CertificateError::Criticality { extension } => {
            format!("phần mở rộng {extension} đặt sai tính bắt buộc")
        }
        CertificateError::KeyIdentifierMissing => "thiếu mã nhận dạng khoá (SKI, AKI)".to_owned(),
        CertificateError::AuthorityMismatch => "quyền cấp chứng thư và mục đích khoá mâu thuẫn".to_owned(),
        CertificateError::NameConstraints { .. } => "giới hạn tên không được chấp nhận".to_owned(),
    }
}

pub(in super::super) fn algorithm(error: &AlgorithmError) -> String {
    match error {
        AlgorithmError::BrokenDigest { name } => {
            format!("thuật toán cũ không còn an toàn ({name}), phải dùng SHA-256 trở lên")
        }
        AlgorithmError::Signature { .. } => "thuật toán ký không được phép".to_owned(),
        AlgorithmError::Key { .. } => "loại khoá không được phép".to_owned(),
        AlgorithmError::RsaBits { bits } => {
            format!("khoá RSA {bits} bit, phải từ 2048 đến 8192 bit và chia hết cho 8")
        }
        AlgorithmError::UnsoundKey { .. } => "khoá công khai không đúng".to_owned(),
        AlgorithmError::Der(_) => "thuật toán hoặc khoá không đọc được".to_owned(),
    }
}

pub(in super::super) fn role(error: &RoleError) -> String {
    match error {
        RoleError::KeyUsage { .. } => "mục đích sử dụng khoá (keyUsage) không đúng".to_owned(),
        RoleError::Purpose => "mục đích mở rộng (extendedKeyUsage) không đúng".to_owned(),
        RoleError::Jurisdiction => "cơ quan cấp không bị giới hạn trong một địa bàn".to_owned(),
        RoleError::NamedOutside { subject, jurisdiction } => {
            format!("cơ quan cấp {subject} mang tên ngoài địa bàn {jurisdiction}")
        }
        RoleError::PathLength => "cơ quan cấp uỷ quyền không được lập cấp dưới".to_owned(),
        RoleError::AlternativeName => "có tên thay thế không được phép".to_owned(),
        RoleError::OfficeId => "thiếu hoặc sai mã đơn vị trong UID".to_owned(),
        RoleError::OfficeKey { found } => format!("khoá của đơn vị là {found}, phải là Ed25519"),
        RoleError::SubjectText => "tên chủ thể không theo UTF-8 dạng NFC".to_owned(),
    }
}

pub(crate) fn chain(error: &PathError) -> String {
    match error {
        PathError::UnknownIssuer { issuer } => {
            format!("không có gốc tin cậy nào cho cơ quan cấp {issuer}")
        }
        PathError::KeyIdentifier { issuer } => format!("khoá của cơ quan cấp {issuer} không khớp"),
        PathError::TooLong => "chuỗi quá dài".to_owned(),
        PathError::NotAnAuthority { issuer } => format!("{issuer} không có quyền cấp chứng thư số"),
        PathError::Forged { issuer, subject } => {
            format!("chữ ký của {issuer} trên chứng thư số của {subject} sai, hoặc chứng thư số đã bị sửa")
        }
        PathError::PathLength { authority } => format!("{authority} không được có thêm cấp dưới"),
        PathError::OutsideJurisdiction { subject, authority } => {
            format!("{subject} nằm ngoài địa bàn của {authority}")
        }
        PathError::NotDelegated => {
            "chứng thư số do gốc cấp thẳng, không qua cơ quan được uỷ quyền".to_owned()
        }
        PathError::Budget => "phải kiểm tra quá nhiều chữ ký".to_owned(),
    }
}

/// An error's words and those of what caused it.
pub(crate) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        // Some say their cause themselves.
        if !text.ends_with(&words) {
            text += ": ";
            text += &words;
        }
        source = error.source();
    }
    text
}

/// What to do about a list that was not taken in.
#[derive(Clone, Copy)]
enum Next {
    FetchAgain,
    TakeInTheAuthority,
    Report,
    KeepTheNewer,
    KeepBoth,
}

impl Next {
    const fn text(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::FetchAgain, Language::Vietnamese) => {
                "Đề nghị lấy lại danh sách từ cơ quan cấp chứng thư; danh sách đang giữ vẫn được dùng."
            }
            (Self::FetchAgain, Language::English) => {
                "Fetch the list again from the authority; the one that is held goes on counting."
            }
            (Self::TakeInTheAuthority, Language::Vietnamese) => {
                "Nạp chứng thư số của cơ quan cấp trước, rồi nạp lại danh sách."
            }
            (Self::TakeInTheAuthority, Language::English) => {
                "Take in the authority's certificate first, then the list again."
            }
            (Self::Report, Language::Vietnamese) => {
                "Không dùng danh sách này; báo cơ quan cấp chứng thư và cho biết nhận từ đâu."
            }
            (Self::Report, Language::English) => {
                "Do not use this list; tell the authority, and from where it came."
            }
            (Self::KeepTheNewer, Language::Vietnamese) => {
                "Danh sách mới hơn đang giữ vẫn được dùng; nếu lặp lại, hỏi nơi gửi vì sao gửi danh sách cũ."
            }
            (Self::KeepTheNewer, Language::English) => {
                "The newer one that is held goes on counting; if it happens again, ask the sender why it \
                 sends old ones."
            }
            (Self::KeepBoth, Language::Vietnamese) => {
                "Giữ cả hai danh sách làm chứng cứ và báo ngay cơ quan giữ gốc tin cậy."
            }
            (Self::KeepBoth, Language::English) => {
                "Keep both lists as evidence and tell the keeper of the root at once."
            }
        }
    }
}

impl ListError {
    /// Why a revocation list was not taken in, and what to do.
    pub fn text(&self, language: Language) -> String {
        let next = self.next().text(language);
        match language {
            Language::Vietnamese => {
                format!("Danh sách thu hồi không được nhận: {}. {next}", list(self))
            }
            Language::English => format!("The revocation list was not taken in: {}. {next}", whole(self)),
        }
    }

    const fn next(&self) -> Next {
        match self {
            Self::TooLarge { .. }
            | Self::Encoding(_)
            | Self::Version
            | Self::AlgorithmMismatch
            | Self::Signature(_)
            | Self::Time
            | Self::Missing { .. }
            | Self::Extension(_)
            | Self::TooManyEntries
            | Self::Entry { .. }
            | Self::DuplicateEntry { .. } => Next::FetchAgain,
            Self::UnknownIssuer { .. } => Next::TakeInTheAuthority,
            Self::NotAListSigner { .. } | Self::Forged { .. } => Next::Report,
            Self::NumberWentBack { .. } => Next::KeepTheNewer,
            Self::TwoListsOneNumber { .. } | Self::DateWentBack { .. } => Next::KeepBoth,
        }
    }
}

fn list(error: &ListError) -> String {
    match error {
        ListError::TooLarge { found } => format!("tệp quá lớn ({found} byte, tối đa {LIST_BYTES_MAX})"),
        ListError::Encoding(_) => "không theo mã hoá DER chặt chẽ".to_owned(),
        ListError::Version => "không phải phiên bản 2".to_owned(),
        ListError::AlgorithmMismatch => "thuật toán bên trong và bên ngoài khác nhau".to_owned(),
        ListError::Signature(error) => algorithm(error),
        ListError::Time => "không nêu rõ có hiệu lực từ khi nào đến khi nào".to_owned(),
        ListError::Missing { extension } => format!("thiếu phần mở rộng {extension}"),
        ListError::Extension(error) => certificate(error),
        ListError::TooManyEntries => format!("có quá nhiều mục (tối đa {ENTRIES_MAX})"),
        ListError::Entry { .. } => "có mục không đọc được".to_owned(),
        ListError::DuplicateEntry { serial } => format!("nêu chứng thư số {serial} hai lần"),
        ListError::UnknownIssuer { issuer } => {
            format!("chưa biết cơ quan cấp {issuer} có khoá đã ký danh sách này")
        }
        ListError::NotAListSigner { issuer } => {
            format!("{issuer} không có quyền ký danh sách thu hồi (thiếu cRLSign)")
        }
        ListError::Forged { issuer } => {
            format!("chữ ký của {issuer} trên danh sách sai, hoặc danh sách đã bị sửa")
        }
        ListError::NumberWentBack { issuer, last, found } => {
            format!("danh sách số {found} của {issuer} cũ hơn danh sách đang giữ (số {last})")
        }
        ListError::TwoListsOneNumber { issuer, number } => {
            format!("{issuer} đã phát hành hai danh sách khác nhau cùng số {number}")
        }
        ListError::DateWentBack { issuer, number } => {
            format!("danh sách số {number} của {issuer} ghi ngày trước danh sách liền trước")
        }
    }
}

impl AuthorityError {
    /// Why the certificate of an authority was not taken in, and what to do.
    pub fn text(&self, language: Language) -> String {
        match language {
            Language::Vietnamese => format!(
                "Chứng thư số của cơ quan cấp không được nhận: {}. Đề nghị hỏi cơ quan giữ gốc tin cậy.",
                authority(self)
            ),
            Language::English => {
                format!(
                    "The authority's certificate was not taken in: {}. Ask the keeper of the root.",
                    whole(self)
                )
            }
        }
    }
}

fn authority(error: &AuthorityError) -> String {
    match error {
        AuthorityError::Certificate(error) => certificate(error),
        AuthorityError::NotDelegated { subject, source } => {
            let what = format!("{subject} không phải cơ quan cấp được uỷ quyền");
            source.as_ref().map_or_else(|| what.clone(), |error| format!("{what}: {}", role(error)))
        }
        AuthorityError::Path { subject, source } => {
            format!("{subject} không nằm dưới gốc tin cậy nào: {}", chain(source))
        }
        AuthorityError::TooMany => format!("đã giữ {AUTHORITIES_MAX} cơ quan cấp, không nhận thêm"),
    }
}

impl AnchorError {
    /// Why a root was not pinned, and what to do.
    pub fn text(&self, language: Language) -> String {
        match language {
            Language::Vietnamese => format!(
                "Gốc tin cậy không được nhận: {}. Đề nghị lấy lại tệp gốc và đối chiếu dấu vân tay (SHA-256) \
                 với số đã được thông báo.",
                anchor(self)
            ),
            Language::English => format!(
                "The root was not pinned: {}. Fetch the root's file again, and compare its fingerprint \
                 (SHA-256) with the number that was told.",
                whole(self)
            ),
        }
    }
}

fn anchor(error: &AnchorError) -> String {
    match error {
        AnchorError::None => "chưa có chứng thư số gốc nào".to_owned(),
        AnchorError::TooMany { found } => format!("có {found} chứng thư số gốc, tối đa {ANCHORS_MAX}"),
        AnchorError::Certificate(error) => certificate(error),
        AnchorError::NotARoot { subject, source } => {
            let what = format!("chứng thư số của {subject} không phải của gốc");
            source.as_ref().map_or_else(|| what.clone(), |error| format!("{what}: {}", role(error)))
        }
        AnchorError::NotSelfSigned { subject } => {
            format!("chứng thư số gốc của {subject} không do chính khoá đó ký, hoặc đã bị sửa")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::certificate::Serial;
    use super::super::super::crl::ListNumber;
    use super::super::super::der::DerError;
    use super::super::super::extension::ExtensionId;
    use super::*;

    fn checked(error: &dyn std::error::Error, vietnamese: &str, english: &str) {
        let own = error.to_string();
        assert!(english.contains(&own), "`{english}` does not say `{own}`");
        assert!(!vietnamese.contains(&own), "`{vietnamese}` says it in English");
        for text in [vietnamese, english] {
            assert!(unicode_normalization::is_nfc(text), "`{text}` is not in NFC");
            assert!(text.ends_with('.') && !text.contains(".."), "`{text}` is no sentence");
            assert_eq!(text.matches(". ").count(), 1, "`{text}` is not what was found, then what to do");
        }
    }

    #[test]
    fn every_error_about_a_list_is_told_in_both_languages_and_says_what_to_do() {
        let issuer = || "C=VN, CN=Trạm gốc".to_owned();
        let number = ListNumber::from(7);
        let serial = Serial::from_integer(&[7]).expect("a number");
        let extension = || ExtensionId(b"\x55\x1d\x14".to_vec());
        let der = DerError { what: "a value is cut off" };
        let algorithm = AlgorithmError::BrokenDigest { name: "SHA-1 with RSA" };
        for error in [
            ListError::TooLarge { found: 1 << 30 },
            ListError::Encoding(der),
            ListError::Version,
            ListError::AlgorithmMismatch,
            ListError::Signature(algorithm),
            ListError::Time,
            ListError::Missing { extension: extension() },
            ListError::Extension(CertificateError::Criticality { extension: extension() }),
            ListError::TooManyEntries,
            ListError::Entry { what: "a serial number out of bounds" },
            ListError::DuplicateEntry { serial },
            ListError::UnknownIssuer { issuer: issuer() },
            ListError::NotAListSigner { issuer: issuer() },
            ListError::Forged { issuer: issuer() },
            ListError::NumberWentBack { issuer: issuer(), last: number, found: 6.into() },
            ListError::TwoListsOneNumber { issuer: issuer(), number },
            ListError::DateWentBack { issuer: issuer(), number },
        ] {
            checked(&error, &error.text(Language::Vietnamese), &error.text(Language::English));
        }
        let back = ListError::NumberWentBack { issuer: issuer(), last: number, found: 6.into() };
        assert_eq!(
            back.text(Language::Vietnamese),
            "Danh sách thu hồi không được nhận: danh sách số 6 của C=VN, CN=Trạm gốc cũ hơn danh sách đang \
             giữ (số 7). Danh sách mới hơn đang giữ vẫn được dùng; nếu lặp lại, hỏi nơi gửi vì sao gửi danh \
             sách cũ."
        );
    }

    #[test]
    fn every_error_about_an_authority_or_a_root_is_told_in_both_languages() {
        let subject = || "C=VN, CN=Trạm gốc".to_owned();
        let path = PathError::UnknownIssuer { issuer: subject() };
        for error in [
            AuthorityError::Certificate(CertificateError::Version),
            AuthorityError::NotDelegated { subject: subject(), source: None },
            AuthorityError::NotDelegated { subject: subject(), source: Some(RoleError::PathLength) },
            AuthorityError::Path { subject: subject(), source: path },
            AuthorityError::TooMany,
        ] {
            checked(&error, &error.text(Language::Vietnamese), &error.text(Language::English));
        }
        for error in [
            AnchorError::None,
            AnchorError::TooMany { found: 17 },
            AnchorError::Certificate(CertificateError::Version),
            AnchorError::NotARoot { subject: subject(), source: None },
            AnchorError::NotARoot { subject: subject(), source: Some(RoleError::PathLength) },
            AnchorError::NotSelfSigned { subject: subject() },
        ] {
            checked(&error, &error.text(Language::Vietnamese), &error.text(Language::English));
        }
        let missing =
            AuthorityError::NotDelegated { subject: subject(), source: Some(RoleError::PathLength) };
        let english = missing.text(Language::English);
        assert!(english.contains("must be 0"), "the cause is missing: {english}");
    }
}
