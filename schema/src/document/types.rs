//! The types of administrative documents (*loại văn bản hành chính*): the 29 of Decree 30/2020 article 7, in its order.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::text::{fold, quoted};
use crate::trust::reason::Language;

macro_rules! types {
    ($($(#[$doc:meta])* $number:literal $variant:ident $slug:literal $vi:literal $en:literal $abbreviation:expr;)*) => {
        /// What a document is (*tên loại*). The number is its place in Decree 30/2020 article 7, stable for ever.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize)]
        #[cbor(index_only)]
        #[serde(try_from = "String", into = "String")]
        pub enum DocumentType {
            $(
                #[doc = concat!("*", $vi, "*.")]
                #[n($number)]
                $variant,
            )*
        }

        impl DocumentType {
            /// All of them, in the order of the decree.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its number in article 7.
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $number),* }
            }

            /// How programs name it: the Vietnamese name without marks.
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$variant => $slug),* }
            }

            /// Its abbreviation in a symbol (appendix III). An official letter and a courtesy letter have none: there is no `CV`.
            pub const fn abbreviation(self) -> Option<&'static str> {
                match self { $(Self::$variant => $abbreviation),* }
            }

            /// Its name.
            pub const fn name(self, language: Language) -> &'static str {
                match (self, language) {
                    $(
                        (Self::$variant, Language::Vietnamese) => $vi,
                        (Self::$variant, Language::English) => $en,
                    )*
                }
            }
        }
    };
}

types! {
    1 Resolution "nghi-quyet" "Nghị quyết" "Resolution" Some("NQ");
    2 Decision "quyet-dinh" "Quyết định" "Decision" Some("QĐ");
    3 Directive "chi-thi" "Chỉ thị" "Directive" Some("CT");
    4 Statute "quy-che" "Quy chế" "Internal statute" Some("QC");
    5 Provision "quy-dinh" "Quy định" "Provision" Some("QyĐ");
    6 Communique "thong-cao" "Thông cáo" "Communiqué" Some("TC");
    7 Notice "thong-bao" "Thông báo" "Notice" Some("TB");
    8 Guidance "huong-dan" "Hướng dẫn" "Guidance" Some("HD");
    9 Programme "chuong-trinh" "Chương trình" "Programme" Some("CTr");
    10 Plan "ke-hoach" "Kế hoạch" "Plan" Some("KH");
    11 Option "phuong-an" "Phương án" "Option" Some("PA");
    12 Scheme "de-an" "Đề án" "Scheme" Some("ĐA");
    13 Project "du-an" "Dự án" "Project" Some("DA");
    14 Report "bao-cao" "Báo cáo" "Report" Some("BC");
    15 Minutes "bien-ban" "Biên bản" "Minutes" Some("BB");
    16 Submission "to-trinh" "Tờ trình" "Submission" Some("TTr");
    17 Contract "hop-dong" "Hợp đồng" "Contract" Some("HĐ");
    18 OfficialLetter "cong-van" "Công văn" "Official letter" None;
    19 Telegram "cong-dien" "Công điện" "Official telegram" Some("CĐ");
    20 Memorandum "ban-ghi-nho" "Bản ghi nhớ" "Memorandum" Some("BGN");
    21 Agreement "ban-thoa-thuan" "Bản thỏa thuận" "Agreement" Some("BTT");
    22 PowerOfAttorney "giay-uy-quyen" "Giấy ủy quyền" "Power of attorney" Some("GUQ");
    23 Invitation "giay-moi" "Giấy mời" "Invitation" Some("GM");
    24 Introduction "giay-gioi-thieu" "Giấy giới thiệu" "Letter of introduction" Some("GGT");
    25 LeaveSlip "giay-nghi-phep" "Giấy nghỉ phép" "Leave slip" Some("GNP");
    26 DispatchSlip "phieu-gui" "Phiếu gửi" "Dispatch slip" Some("PG");
    27 TransferSlip "phieu-chuyen" "Phiếu chuyển" "Transfer slip" Some("PC");
    28 NotificationSlip "phieu-bao" "Phiếu báo" "Notification slip" Some("PB");
    29 CourtesyLetter "thu-cong" "Thư công" "Courtesy letter" None;
}

/// A text that names none of the types.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "`{text}` is none of the 29 types of Decree 30/2020 article 7; give an abbreviation (`QĐ`), or a name as `Báo cáo` or `bao-cao`"
)]
pub struct UnknownType {
    /// The text, shortened.
    pub text: String,
}

impl FromStr for DocumentType {
    type Err = UnknownType;

    /// Takes what programs write, the name with or without marks, or the exact abbreviation: `QĐ` is a decision, and
    /// without its mark it is nothing, because `ĐA` and `DA` are two types.
    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let by_abbreviation = Self::ALL.iter().find(|one| one.abbreviation() == Some(text));
        let folded = fold(text).replace(' ', "-");
        let found = by_abbreviation.or_else(|| Self::ALL.iter().find(|one| one.slug() == folded));
        found.copied().ok_or_else(|| UnknownType { text: quoted(text) })
    }
}

impl TryFrom<String> for DocumentType {
    type Error = UnknownType;

    fn try_from(text: String) -> Result<Self, UnknownType> {
        text.parse()
    }
}

impl From<DocumentType> for String {
    fn from(one: DocumentType) -> Self {
        one.slug().to_owned()
    }
}

impl fmt::Display for DocumentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name(Language::Vietnamese))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// B3: 29 types, 27 abbreviations, and none for the two kinds of letters.
    #[test]
    fn b3_types_are_those_of_the_decree() {
        assert_eq!(DocumentType::ALL.len(), 29);
        for (place, one) in DocumentType::ALL.iter().enumerate() {
            assert_eq!(usize::from(one.number()), place + 1, "{one:?}");
            assert_eq!(fold(one.name(Language::Vietnamese)).replace(' ', "-"), one.slug());
        }
        let abbreviations: BTreeSet<&str> =
            DocumentType::ALL.iter().filter_map(|one| one.abbreviation()).collect();
        assert_eq!(abbreviations.len(), 27, "no two share one");
        let without: Vec<_> = DocumentType::ALL.iter().filter(|one| one.abbreviation().is_none()).collect();
        assert_eq!(without, [&DocumentType::OfficialLetter, &DocumentType::CourtesyLetter]);
    }

    #[test]
    fn type_is_found_by_whatever_people_call_it() {
        for one in DocumentType::ALL {
            let names = [one.slug(), one.name(Language::Vietnamese)].into_iter().chain(one.abbreviation());
            for name in names {
                assert_eq!(name.parse(), Ok(*one), "{name}");
            }
        }
        assert_eq!("BÁO CÁO".parse(), Ok(DocumentType::Report));
        assert_eq!(("DA".parse(), "ĐA".parse()), (Ok(DocumentType::Project), Ok(DocumentType::Scheme)));
        for wrong in ["CV", "", "QD", "Thông tư"] {
            assert!(wrong.parse::<DocumentType>().is_err(), "{wrong}");
        }
    }
}
