//! What is told about a verdict, in Vietnamese and in English: what was found, then what to do.
//!
//! English comes from the errors themselves where there is one; the Vietnamese for every one of them is in
//! `errors`, so that a new error does not compile without its words.

mod errors;
mod words;

use super::algorithm::SignatureAlgorithm;
use super::certificate::CertificateError;
use super::cms::{CmsError, DigestAlgorithm};
use super::crl::RevocationReason;
use super::path::PathError;
use super::profile::{Purpose, RoleError};
use crate::time::Millis;
pub(super) use errors::{algorithm, role};
pub(crate) use errors::{certificate, chain, whole};
pub(super) use words::{local_time, utc_time};
use words::{purpose_en, purpose_vi, reason_en, reason_vi};

/// In which language to tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// *Tiếng Việt*.
    Vietnamese,
    /// English.
    English,
}

/// Why an item came out as it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The document is the one that was signed.
    ContentIntact {
        /// By which digest.
        digest: DigestAlgorithm,
    },
    /// The document is another one than what was signed.
    ContentChanged,
    /// The certificate's key made the signature.
    SignatureMade {
        /// How.
        algorithm: SignatureAlgorithm,
    },
    /// It did not, or what was signed was changed afterwards.
    SignatureFalse,
    /// Such a signature does not belong to such a key.
    SignatureUnfit {
        /// How it says that it was made.
        algorithm: SignatureAlgorithm,
        /// The kind of key.
        key: String,
    },
    /// The bytes are not a signature that is accepted.
    SignatureRefused(CmsError),
    /// The certificate is sound.
    CertificateSound {
        /// Its kind of key.
        key: String,
    },
    /// The certificate cannot be accepted by anybody.
    CertificateRefused(CertificateError),
    /// The certificate has no role in this profile.
    RoleRefused(RoleError),
    /// A chain leads to a root.
    ChainComplete {
        /// Which root.
        root: String,
    },
    /// None does.
    NoPath(PathError),
    /// The key is for this.
    UsageFits {
        /// What it was looked at for.
        purpose: Purpose,
    },
    /// The key is for something else.
    WrongUsage {
        /// What it was looked at for.
        purpose: Purpose,
    },
    /// Signed within the validity, which goes on.
    WithinPeriod {
        /// First second.
        not_before: Millis,
        /// Last second.
        not_after: Millis,
    },
    /// Signed within the validity, which has ended since.
    ExpiredSince {
        /// Last second.
        not_after: Millis,
    },
    /// Signed before it began.
    NotYetValid {
        /// First second.
        not_before: Millis,
    },
    /// Signed after it ended.
    ExpiredAtSigning {
        /// Last second.
        not_after: Millis,
    },
    /// Claimed within the validity, but proven only after it ended.
    ExpiredBeforeProof {
        /// Last second.
        not_after: Millis,
    },
    /// Nobody can tell yet.
    PeriodNotProven {
        /// First second.
        not_before: Millis,
        /// Last second.
        not_after: Millis,
    },
    /// Not on a list that was made at the moment of proof or after it.
    NotRevoked {
        /// When the list was made.
        list_at: Millis,
    },
    /// Not on the newest list, which is older than the proof but still counts.
    NotRevokedSoFar {
        /// When the list was made.
        list_at: Millis,
    },
    /// Revoked, but only after the proof.
    RevokedLater {
        /// From when on.
        since: Millis,
        /// Why.
        why: RevocationReason,
    },
    /// Suspended, but only after the proof.
    OnHoldLater {
        /// From when on.
        since: Millis,
    },
    /// Revoked before it was signed.
    Revoked {
        /// From when on.
        since: Millis,
        /// Why.
        why: RevocationReason,
    },
    /// Claimed before the revocation, proven after it.
    RevokedBeforeProof {
        /// From when on.
        since: Millis,
        /// Why.
        why: RevocationReason,
    },
    /// Revoked, and no proof yet of when it was signed.
    RevokedWithoutProof {
        /// From when on.
        since: Millis,
        /// Why.
        why: RevocationReason,
    },
    /// Suspended.
    OnHold {
        /// From when on.
        since: Millis,
    },
    /// An authority above lost its key before the proof.
    AuthorityCompromised {
        /// From when on.
        since: Millis,
    },
    /// No list of that authority is held.
    NoList {
        /// Which authority.
        issuer: String,
    },
    /// The newest list ended before the proof.
    StaleList {
        /// Which authority.
        issuer: String,
        /// When the next one was due.
        next_update: Millis,
    },
    /// There is trusted time.
    ProvenAt {
        /// By when it existed.
        proven_at: Millis,
    },
    /// There is trusted time, and the signer's clock was ahead of it.
    ClaimedAfterProof {
        /// What the signer says.
        claimed_at: Millis,
        /// By when it existed.
        proven_at: Millis,
    },
    /// There is trusted time, and this station's clock is behind it.
    ClockBehind {
        /// What this station's clock says.
        now: Millis,
        /// By when it existed.
        proven_at: Millis,
    },
    /// No relay's log has proven it yet.
    NoTrustedTimeYet,
    /// Something else failed before.
    NotChecked,
}

impl Reason {
    /// Its number in events; stable for ever.
    pub const fn number(&self) -> u16 {
        match self {
            Self::CertificateSound { .. } => 1,
            Self::CertificateRefused(_) => 2,
            Self::RoleRefused(_) => 3,
            Self::ChainComplete { .. } => 4,
            Self::NoPath(_) => 5,
            Self::UsageFits { .. } => 6,
            Self::WrongUsage { .. } => 7,
            Self::WithinPeriod { .. } => 8,
            Self::ExpiredSince { .. } => 9,
            Self::NotYetValid { .. } => 10,
            Self::ExpiredAtSigning { .. } => 11,
            Self::ExpiredBeforeProof { .. } => 12,
            Self::PeriodNotProven { .. } => 13,
            Self::NotRevoked { .. } => 14,
            Self::NotRevokedSoFar { .. } => 15,
            Self::RevokedLater { .. } => 16,
            Self::OnHoldLater { .. } => 17,
            Self::Revoked { .. } => 18,
            Self::RevokedBeforeProof { .. } => 19,
            Self::RevokedWithoutProof { .. } => 20,
            Self::OnHold { .. } => 21,
            Self::AuthorityCompromised { .. } => 22,
            Self::NoList { .. } => 23,
            Self::StaleList { .. } => 24,
            Self::ProvenAt { .. } => 25,
            Self::ClaimedAfterProof { .. } => 26,
            Self::ClockBehind { .. } => 27,
            Self::NoTrustedTimeYet => 28,
            Self::NotChecked => 29,
            Self::ContentIntact { .. } => 30,
            Self::ContentChanged => 31,
            Self::SignatureMade { .. } => 32,
            Self::SignatureFalse => 33,
            Self::SignatureUnfit { .. } => 34,
            Self::SignatureRefused(_) => 35,
        }
    }

    /// Whether a later list, authority or certificate could change it although it does not say
    /// *undetermined*.
    pub const fn is_open(&self) -> bool {
        matches!(
            self,
            Self::NotRevokedSoFar { .. }
                | Self::OnHoldLater { .. }
                | Self::RevokedLater { .. }
                | Self::NoPath(PathError::UnknownIssuer { .. } | PathError::KeyIdentifier { .. })
        )
    }

    /// Whether it was revoked for good, and nothing proves that it was signed before.
    pub const fn is_revoked_without_proof(&self) -> bool {
        matches!(self, Self::RevokedBeforeProof { .. } | Self::RevokedWithoutProof { .. })
    }

    /// The words for it.
    pub fn text(&self, language: Language) -> String {
        match language {
            Language::Vietnamese => self.vietnamese(),
            Language::English => self.english(),
        }
    }

    fn vietnamese(&self) -> String {
        let at = |time: &Millis| local_time(*time);
        match self {
            Self::ContentIntact { digest } => {
                format!("Văn bản toàn vẹn: giá trị băm {digest} trùng khớp.")
            }
            Self::ContentChanged => {
                "Văn bản đã bị thay đổi sau khi ký, hoặc chữ ký thuộc về văn bản khác; đề nghị bên gửi gửi lại."
                    .to_owned()
            }
            Self::SignatureMade { algorithm } => {
                format!("Chữ ký được tạo bởi khoá tương ứng với chứng thư số ({algorithm}).")
            }
            Self::SignatureFalse => "Chữ ký không phải do khoá của chứng thư số tạo ra, hoặc đã bị sửa; đề \
                                     nghị bên gửi ký lại."
                .to_owned(),
            Self::SignatureUnfit { algorithm, key } => {
                format!("Kiểu chữ ký {algorithm} không dùng được với khoá {key}; đề nghị bên gửi ký lại.")
            }
            Self::SignatureRefused(error) => {
                format!(
                    "Chữ ký không được chấp nhận: {}; đề nghị bên gửi ký lại.",
                    error.text(Language::Vietnamese)
                )
            }
            Self::CertificateSound { key } => format!("Chứng thư số đúng quy cách, khoá {key}."),
            Self::CertificateRefused(error) => {
                format!("Chứng thư số không được chấp nhận: {}.", errors::certificate(error))
            }
            Self::RoleRefused(error) => format!("Chứng thư số không đúng vai trò: {}.", errors::role(error)),
            Self::ChainComplete { root } => format!("Chuỗi chứng thực dẫn tới gốc tin cậy {root}."),
            Self::NoPath(error) => format!("Không xác lập được chuỗi chứng thực: {}.", errors::chain(error)),
            Self::UsageFits { purpose } => format!("Khoá dùng đúng mục đích ({}).", purpose_vi(*purpose)),
            Self::WrongUsage { purpose } => {
                format!("Khoá không được cấp để dùng cho mục đích này ({}).", purpose_vi(*purpose))
            }
            Self::WithinPeriod { not_before, not_after } => {
                format!("Ký trong thời hạn của chứng thư số (từ {} đến {}).", at(not_before), at(not_after))
            }
            Self::ExpiredSince { not_after } => {
                format!("Ký khi chứng thư số còn hiệu lực; chứng thư số nay đã hết hạn từ {}.", at(not_after))
            }
            Self::NotYetValid { not_before } => {
                format!("Ký trước khi chứng thư số có hiệu lực ({}).", at(not_before))
            }
            Self::ExpiredAtSigning { not_after } => {
                format!("Chứng thư số đã hết hạn khi ký (hết hạn {}).", at(not_after))
            }
            Self::ExpiredBeforeProof { not_after } => format!(
                "Người ký khai ký khi chứng thư số còn hạn, nhưng chỉ có bằng chứng sau khi hết hạn ({}); \
                 đề nghị đơn vị gửi xác nhận lại.",
                at(not_after)
            ),
            Self::PeriodNotProven { not_before, not_after } => format!(
                "Chưa có thời gian tin cậy để đối chiếu thời hạn của chứng thư số (từ {} đến {}).",
                at(not_before),
                at(not_after)
            ),
            Self::NotRevoked { list_at } => {
                format!("Không bị thu hồi, theo danh sách thu hồi lập lúc {}.", at(list_at))
            }
            Self::NotRevokedSoFar { list_at } => format!(
                "Chưa thấy bị thu hồi, theo danh sách lập lúc {}; sẽ tự kiểm tra lại khi có danh sách mới.",
                at(list_at)
            ),
            Self::RevokedLater { since, why } => format!(
                "Ký trước khi chứng thư số bị thu hồi (từ {}, lý do: {}); chữ ký vẫn hợp lệ.",
                at(since),
                reason_vi(*why)
            ),
            Self::OnHoldLater { since } => {
                format!("Ký trước khi chứng thư số bị tạm dừng (từ {}); chữ ký vẫn hợp lệ.", at(since))
            }
            Self::Revoked { since, why } => {
                format!("Chứng thư số đã bị thu hồi khi ký (từ {}, lý do: {}).", at(since), reason_vi(*why))
            }
            Self::RevokedBeforeProof { since, why } => format!(
                "Người ký khai ký trước khi chứng thư số bị thu hồi (từ {}, lý do: {}), nhưng chỉ có bằng \
                 chứng sau thời điểm đó; đề nghị đơn vị gửi xác nhận lại.",
                at(since),
                reason_vi(*why)
            ),
            Self::RevokedWithoutProof { since, why } => format!(
                "Chứng thư số đã bị thu hồi (từ {}, lý do: {}) và chưa có bằng chứng thời điểm ký.",
                at(since),
                reason_vi(*why)
            ),
            Self::OnHold { since } => format!(
                "Chứng thư số đang bị tạm dừng (từ {}); sẽ tự kiểm tra lại khi có quyết định.",
                at(since)
            ),
            Self::AuthorityCompromised { since } => format!(
                "Cơ quan cấp chứng thư số bị lộ khoá từ {}, chưa có bằng chứng ký trước đó; đề nghị đơn vị \
                 gửi xác nhận lại.",
                at(since)
            ),
            Self::NoList { issuer } => {
                format!("Chưa kiểm tra được thu hồi: chưa có danh sách thu hồi của {issuer}.")
            }
            Self::StaleList { issuer, next_update } => format!(
                "Chưa kiểm tra được thu hồi: danh sách thu hồi của {issuer} đã quá hạn từ {}.",
                at(next_update)
            ),
            Self::ProvenAt { proven_at } => format!("Có bằng chứng tồn tại lúc {}.", at(proven_at)),
            Self::ClaimedAfterProof { claimed_at, proven_at } => format!(
                "Có bằng chứng tồn tại lúc {}; giờ người ký khai ({}) muộn hơn, đồng hồ bên gửi sai.",
                at(proven_at),
                at(claimed_at)
            ),
            Self::ClockBehind { now, proven_at } => format!(
                "Có bằng chứng tồn tại lúc {}; đồng hồ máy này chậm ({}), cần chỉnh lại.",
                at(proven_at),
                at(now)
            ),
            Self::NoTrustedTimeYet => {
                "Chưa có thời gian tin cậy: chưa trạm chuyển tiếp nào xác nhận; sẽ tự kiểm tra lại."
                    .to_owned()
            }
            Self::NotChecked => "Chưa kiểm tra được vì mục khác không đạt.".to_owned(),
        }
    }

    fn english(&self) -> String {
        let at = |time: &Millis| utc_time(*time);
        match self {
            Self::ContentIntact { digest } => {
                format!("The document is intact: the {digest} digests are equal.")
            }
            Self::ContentChanged => {
                "The document was changed after it was signed, or the signature belongs to \
                                     another one; ask the sender for it again."
                    .to_owned()
            }
            Self::SignatureMade { algorithm } => {
                format!("The key of the certificate made the signature ({algorithm}).")
            }
            Self::SignatureFalse => {
                "The key of the certificate did not make the signature, or it was changed; \
                                     ask the sender to sign again."
                    .to_owned()
            }
            Self::SignatureUnfit { algorithm, key } => format!(
                "A signature of kind {algorithm} does not belong to a key of kind {key}; ask the sender to \
                 sign again."
            ),
            Self::SignatureRefused(error) => {
                format!("The signature is refused: {error}; ask the sender to sign again.")
            }
            Self::CertificateSound { key } => format!("The certificate is sound, with a key of kind {key}."),
            Self::CertificateRefused(error) => format!("The certificate is refused: {error}."),
            Self::RoleRefused(error) => format!("The certificate does not fit its role: {error}."),
            Self::ChainComplete { root } => format!("The chain leads to the trusted root {root}."),
            Self::NoPath(error) => format!("No chain could be built: {error}."),
            Self::UsageFits { purpose } => format!("The key is for this ({}).", purpose_en(*purpose)),
            Self::WrongUsage { purpose } => {
                format!("The key was not issued for this ({}).", purpose_en(*purpose))
            }
            Self::WithinPeriod { not_before, not_after } => {
                format!("Signed within the certificate's validity ({} to {}).", at(not_before), at(not_after))
            }
            Self::ExpiredSince { not_after } => {
                format!("Signed while the certificate was valid; it has expired since ({}).", at(not_after))
            }
            Self::NotYetValid { not_before } => {
                format!("Signed before the certificate became valid ({}).", at(not_before))
            }
            Self::ExpiredAtSigning { not_after } => {
                format!("The certificate had expired when it was used ({}).", at(not_after))
            }
            Self::ExpiredBeforeProof { not_after } => format!(
                "Claimed to be signed while the certificate was valid, but proven only after it expired \
                 ({}); the sending office should confirm it.",
                at(not_after)
            ),
            Self::PeriodNotProven { not_before, not_after } => format!(
                "There is no trusted time yet to compare with the validity ({} to {}).",
                at(not_before),
                at(not_after)
            ),
            Self::NotRevoked { list_at } => {
                format!("Not revoked, by the revocation list of {}.", at(list_at))
            }
            Self::NotRevokedSoFar { list_at } => format!(
                "Not revoked so far, by the list of {}; checked again when a newer one comes.",
                at(list_at)
            ),
            Self::RevokedLater { since, why } => format!(
                "Signed before the certificate was revoked (from {}, reason: {}); the signature stays valid.",
                at(since),
                reason_en(*why)
            ),
            Self::OnHoldLater { since } => {
                format!("Signed before the certificate was suspended (from {}).", at(since))
            }
            Self::Revoked { since, why } => format!(
                "The certificate had been revoked when it was used (from {}, reason: {}).",
                at(since),
                reason_en(*why)
            ),
            Self::RevokedBeforeProof { since, why } => format!(
                "Claimed to be signed before the certificate was revoked (from {}, reason: {}), but proven \
                 only afterwards; the sending office should confirm it.",
                at(since),
                reason_en(*why)
            ),
            Self::RevokedWithoutProof { since, why } => format!(
                "The certificate is revoked (from {}, reason: {}), and when it was used is not proven yet.",
                at(since),
                reason_en(*why)
            ),
            Self::OnHold { since } => {
                format!(
                    "The certificate is suspended (from {}); checked again when that is decided.",
                    at(since)
                )
            }
            Self::AuthorityCompromised { since } => format!(
                "The issuing authority lost its key ({}), and there is no proof from before; the sending \
                 office should confirm it.",
                at(since)
            ),
            Self::NoList { issuer } => {
                format!("Revocation could not be checked: no revocation list of {issuer} is held.")
            }
            Self::StaleList { issuer, next_update } => format!(
                "Revocation could not be checked: the newest list of {issuer} was to be replaced by {}.",
                at(next_update)
            ),
            Self::ProvenAt { proven_at } => format!("Proven to have existed at {}.", at(proven_at)),
            Self::ClaimedAfterProof { claimed_at, proven_at } => format!(
                "Proven to have existed at {}; the signer claims a later time ({}): its clock is wrong.",
                at(proven_at),
                at(claimed_at)
            ),
            Self::ClockBehind { now, proven_at } => format!(
                "Proven to have existed at {}; this station's clock is behind ({}) and should be set.",
                at(proven_at),
                at(now)
            ),
            Self::NoTrustedTimeYet => {
                "There is no trusted time yet: no relay has confirmed it; checked again when one does."
                    .to_owned()
            }
            Self::NotChecked => "Not checked, because another item failed.".to_owned(),
        }
    }
}
