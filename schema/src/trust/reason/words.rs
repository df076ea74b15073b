//! What outcomes, items, purposes, reasons of revocation and times are called.

use jiff::tz::{Offset, TimeZone};

use super::super::crl::RevocationReason;
use super::super::profile::Purpose;
use super::super::verdict::{Item, Outcome};
use super::Language;
use crate::time::Millis;

impl Outcome {
    /// The word for it.
    pub const fn text(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Valid, Language::Vietnamese) => "hợp lệ",
            (Self::Invalid, Language::Vietnamese) => "không hợp lệ",
            (Self::Undetermined, Language::Vietnamese) => "chưa xác định",
            (Self::Valid, Language::English) => "valid",
            (Self::Invalid, Language::English) => "invalid",
            (Self::Undetermined, Language::English) => "undetermined",
        }
    }
}

impl Item {
    /// What to call it.
    pub const fn text(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Content, Language::Vietnamese) => "Tính toàn vẹn của văn bản",
            (Self::Signature, Language::Vietnamese) => "Chữ ký do khoá của chứng thư số tạo ra",
            (Self::Certificate, Language::Vietnamese) => "Chứng thư số và thuật toán",
            (Self::Chain, Language::Vietnamese) => "Chuỗi chứng thực",
            (Self::Usage, Language::Vietnamese) => "Phạm vi sử dụng",
            (Self::Period, Language::Vietnamese) => "Hiệu lực tại thời điểm ký",
            (Self::Revocation, Language::Vietnamese) => "Tình trạng thu hồi",
            (Self::ProvenTime, Language::Vietnamese) => "Thời gian tin cậy",
            (Self::Content, Language::English) => "Integrity of the document",
            (Self::Signature, Language::English) => "Signature by the certificate's key",
            (Self::Certificate, Language::English) => "Certificate and algorithms",
            (Self::Chain, Language::English) => "Chain of certificates",
            (Self::Usage, Language::English) => "Scope of use",
            (Self::Period, Language::English) => "Validity when signed",
            (Self::Revocation, Language::English) => "Revocation",
            (Self::ProvenTime, Language::English) => "Trusted time",
        }
    }
}

pub(super) const fn purpose_vi(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Event => "ký sự kiện của trạm",
        Purpose::Document => "ký văn bản",
    }
}

pub(super) const fn purpose_en(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Event => "signing a station's events",
        Purpose::Document => "signing documents",
    }
}

pub(super) const fn reason_vi(why: RevocationReason) -> &'static str {
    match why {
        RevocationReason::Unspecified => "không nêu",
        RevocationReason::KeyCompromise => "lộ khoá",
        RevocationReason::CaCompromise => "lộ khoá cơ quan cấp",
        RevocationReason::AffiliationChanged => "thay đổi đơn vị",
        RevocationReason::Superseded => "đã được thay thế",
        RevocationReason::CessationOfOperation => "ngừng hoạt động",
        RevocationReason::CertificateHold => "tạm dừng",
        RevocationReason::PrivilegeWithdrawn => "thu hồi quyền",
        RevocationReason::AaCompromise => "lộ khoá cơ quan cấp thuộc tính",
    }
}

pub(super) const fn reason_en(why: RevocationReason) -> &'static str {
    match why {
        RevocationReason::Unspecified => "none given",
        RevocationReason::KeyCompromise => "key compromised",
        RevocationReason::CaCompromise => "authority's key compromised",
        RevocationReason::AffiliationChanged => "affiliation changed",
        RevocationReason::Superseded => "superseded",
        RevocationReason::CessationOfOperation => "cessation of operation",
        RevocationReason::CertificateHold => "on hold",
        RevocationReason::PrivilegeWithdrawn => "privilege withdrawn",
        RevocationReason::AaCompromise => "attribute authority's key compromised",
    }
}

/// As Vietnamese pages show it: dd/MM/yyyy HH:mm:ss +07:00.
pub(in super::super) fn local_time(time: Millis) -> String {
    formatted(time, "%d/%m/%Y %H:%M:%S +07:00", TimeZone::fixed(Offset::constant(7)))
}

pub(in super::super) fn utc_time(time: Millis) -> String {
    formatted(time, "%Y-%m-%dT%H:%M:%SZ", TimeZone::UTC)
}

fn formatted(time: Millis, format: &str, zone: TimeZone) -> String {
    let at = i64::try_from(time.0).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    // Beyond every calendar: the number is the honest answer.
    at.map_or_else(|| format!("{} ms", time.0), |at| at.to_zoned(zone).strftime(format).to_string())
}
