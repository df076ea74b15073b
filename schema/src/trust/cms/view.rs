//! What a page shows about a signature: the points that the technical norm on checking signatures wants
//! displayed (2.3.4: verdict, issuer, signer, managing unit, signing time, integrity, validity at signing, period of the
//! certificate), and the serial number.

use super::detached::DetachedSignature;
use crate::time::Millis;
use crate::trust::certificate::CertificateValidity;
use crate::trust::name::{self, Name};
use crate::trust::reason::{Language, local_time, utc_time};
use crate::trust::verdict::{Item, Outcome, SigningTime, Verdict};

/// What to show about a signature. Citizen numbers are masked in every text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerView {
    /// The verdict as a whole.
    pub outcome: Outcome,
    /// Whether the names below are proven: the key of a trusted certificate signed. Otherwise they are what
    /// somebody wrote into a certificate, and must be shown as such.
    pub identified: bool,
    /// The name of the authority that issued the certificate (*tổ chức cấp*), with where it belongs.
    pub issuer: String,
    /// The name of the person (*người ký*).
    pub signer: String,
    /// The person's position (*chức vụ*), where the certificate says it.
    pub title: Option<String>,
    /// Where the person works (*cơ quan, đơn vị quản lý*), the nearest unit first.
    pub unit: Option<String>,
    /// When the signer says that it was signed.
    pub claimed_at: Millis,
    /// By when it provably existed, where that is known.
    pub proven_at: Option<Millis>,
    /// Whether the document is what was signed: its digest is equal, and the signature over the digest holds.
    pub integrity: Outcome,
    /// Whether the certificate counted when it was signed: its period and its revocation.
    pub at_signing: Outcome,
    /// From when until when the certificate counts; `None` when that cannot be read.
    pub period: Option<CertificateValidity>,
    /// The certificate's number, hexadecimal.
    pub serial: String,
}

impl SignerView {
    /// Of a signature, the verdict on it, and what is known about its time.
    pub fn new(signature: &DetachedSignature, verdict: &Verdict, time: &SigningTime) -> Self {
        let worst = |items: &[Item]| {
            let outcome = |item: &Item| verdict.of(*item).map_or(Outcome::Undetermined, |f| f.outcome);
            items.iter().map(outcome).max().unwrap_or(Outcome::Undetermined)
        };
        let subject = signature.subject();
        Self {
            outcome: verdict.outcome(),
            identified: worst(&[Item::Signature, Item::Certificate, Item::Chain]) == Outcome::Valid,
            issuer: issuer(signature.issuer()),
            signer: joined(subject, &[name::COMMON_NAME]).unwrap_or_else(|| subject.to_string()),
            title: joined(subject, &[name::TITLE]),
            unit: joined(subject, &[name::UNIT, name::ORGANISATION, name::PROVINCE]),
            claimed_at: signature.claimed_at(),
            proven_at: time.proven_at,
            integrity: worst(&[Item::Content, Item::Signature]),
            at_signing: worst(&[Item::Period, Item::Revocation]),
            period: signature.validity(),
            serial: signature.serial().to_string(),
        }
    }

    /// One line per point, label and text, in the order in which they are shown.
    pub fn lines(&self, language: Language) -> Vec<(&'static str, String)> {
        let words = Words::of(language);
        let at = words.time;
        let mut signed_at = format!("{} ({})", at(self.claimed_at), words.claimed);
        if let Some(proven_at) = self.proven_at {
            signed_at = format!("{signed_at}; {} {}", words.proven, at(proven_at));
        }
        let period = self.period.map_or_else(
            || words.unknown.to_owned(),
            |CertificateValidity { not_before, not_after }| format!("{} – {}", at(not_before), at(not_after)),
        );
        let signer = match &self.title {
            Some(title) => format!("{}, {title}", self.signer),
            None => self.signer.clone(),
        };
        let [outcome, issuer, who, unit, time, integrity, at_signing, certificate, serial] = words.labels;
        let integrity_text = words.integrity[place(self.integrity)];
        vec![
            (outcome, self.outcome.text(language).to_owned()),
            (issuer, self.issuer.clone()),
            (if self.identified { who } else { words.unproven_signer }, signer),
            (unit, self.unit.clone().unwrap_or_else(|| words.unknown.to_owned())),
            (time, signed_at),
            (integrity, integrity_text.to_owned()),
            (at_signing, self.at_signing.text(language).to_owned()),
            (certificate, period),
            (serial, self.serial.clone()),
        ]
    }
}

const fn place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Valid => 0,
        Outcome::Undetermined => 1,
        Outcome::Invalid => 2,
    }
}

fn joined(name: &Name, oids: &[&[u8]]) -> Option<String> {
    let texts = name.texts(oids);
    if texts.is_empty() { None } else { Some(texts.join(", ")) }
}

fn issuer(name: &Name) -> String {
    joined(name, &[name::COMMON_NAME, name::ORGANISATION, name::PROVINCE]).unwrap_or_else(|| name.to_string())
}

struct Words {
    labels: [&'static str; 9],
    unproven_signer: &'static str,
    claimed: &'static str,
    proven: &'static str,
    unknown: &'static str,
    /// Valid, undetermined, invalid.
    integrity: [&'static str; 3],
    time: fn(Millis) -> String,
}

impl Words {
    const fn of(language: Language) -> Self {
        match language {
            Language::Vietnamese => Self {
                labels: [
                    "Kết quả kiểm tra",
                    "Tổ chức cấp chứng thư số",
                    "Người ký",
                    "Cơ quan, đơn vị quản lý",
                    "Thời gian ký",
                    "Tính toàn vẹn của văn bản",
                    "Hiệu lực của chứng thư số khi ký",
                    "Thời hạn của chứng thư số",
                    "Số sê-ri của chứng thư số",
                ],
                unproven_signer: "Người ký (tự khai, chưa được xác thực)",
                claimed: "theo người ký khai",
                proven: "có bằng chứng tồn tại lúc",
                unknown: "không ghi trong chứng thư số",
                integrity: ["toàn vẹn", "chưa xác định", "đã bị thay đổi hoặc không phải văn bản được ký"],
                time: local_time,
            },
            Language::English => Self {
                labels: [
                    "Verdict",
                    "Issuer of the certificate",
                    "Signer",
                    "Managing unit",
                    "Time of signing",
                    "Integrity of the document",
                    "Certificate when it was signed",
                    "Period of the certificate",
                    "Serial number of the certificate",
                ],
                unproven_signer: "Signer (as claimed, not proven)",
                claimed: "as the signer says",
                proven: "proven to have existed at",
                unknown: "not in the certificate",
                integrity: ["intact", "undetermined", "changed, or not the document that was signed"],
                time: utc_time,
            },
        }
    }
}
