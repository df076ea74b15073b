//! Whose name is certified, in the one spelling that everybody compares byte for byte: `C` as PrintableString `VN`,
//! all else as UTF8String in NFC, the jurisdiction first.

use std::fmt;

use rcgen::string::PrintableString;
use rcgen::{DistinguishedName, DnType, DnValue};
use schema::id::OfficeId;
use schema::text::require_plain;
use schema::trust::name::masked;
use schema::trust::profile::OFFICE_UID_PREFIX;
use serde::{Deserialize, Serialize};

use super::Refusal;

/// Longest text of one attribute, in characters: names of offices are longer than X.520 ever thought.
pub const TEXT_CHARS_MAX: usize = 300;
/// What stands before a person's citizen number (*số căn cước công dân*) in `UID`.
pub const CITIZEN_UID_PREFIX: &str = "CCCD:";

/// An attribute that certificates of ours may have besides the country.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Attribute {
    /// Province (*tỉnh, thành phố trực thuộc trung ương*).
    #[serde(rename = "ST")]
    Province,
    /// Of certificates of the centre: the organisation whose jurisdiction it is.
    #[serde(rename = "O")]
    Organisation,
    /// The office a person works in (*cơ quan, đơn vị*).
    #[serde(rename = "OU")]
    Unit,
    /// A person's position (*chức vụ*).
    #[serde(rename = "title")]
    Title,
    /// The name of the authority, the office or the person.
    #[serde(rename = "CN")]
    Common,
    /// Office id or citizen number.
    #[serde(rename = "UID")]
    Uid,
}

impl Attribute {
    /// Every one, in the order in which a name has them.
    pub const ALL: [Self; 6] =
        [Self::Province, Self::Organisation, Self::Unit, Self::Title, Self::Common, Self::Uid];

    /// Its short name (RFC 4514 section 3).
    pub const fn label(self) -> &'static str {
        match self {
            Self::Province => "ST",
            Self::Organisation => "O",
            Self::Unit => "OU",
            Self::Title => "title",
            Self::Common => "CN",
            Self::Uid => "UID",
        }
    }

    /// Its object identifier, as components.
    pub const fn oid(self) -> &'static [u64] {
        match self {
            Self::Province => &[2, 5, 4, 8],
            Self::Organisation => &[2, 5, 4, 10],
            Self::Unit => &[2, 5, 4, 11],
            Self::Title => &[2, 5, 4, 12],
            Self::Common => &[2, 5, 4, 3],
            Self::Uid => &[0, 9, 2342, 19_200_300, 100, 1, 1],
        }
    }
}

/// Whose part of the country: what a delegated authority may certify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Place {
    /// A province.
    Province(String),
    /// The centre.
    Centre(String),
}

impl Place {
    /// The attribute that names it.
    pub const fn attribute(&self) -> Attribute {
        match self {
            Self::Province(_) => Attribute::Province,
            Self::Centre(_) => Attribute::Organisation,
        }
    }

    /// Its name.
    pub fn text(&self) -> &str {
        match self {
            Self::Province(text) | Self::Centre(text) => text,
        }
    }

    /// The name everything certified below it begins with.
    ///
    /// # Errors
    /// When the text is not acceptable.
    pub fn base(&self) -> Result<DistinguishedName, Refusal> {
        Subject { attributes: vec![(self.attribute(), self.text().to_owned())] }.distinguished()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "C=VN, {}={}", self.attribute().label(), self.text())
    }
}

/// A subject below `C=VN`. Printing it masks citizen numbers.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject {
    attributes: Vec<(Attribute, String)>,
}

impl Subject {
    /// The root.
    pub fn root(name: &str) -> Self {
        Self { attributes: vec![(Attribute::Common, name.to_owned())] }
    }

    /// An authority of a place.
    pub fn authority(place: &Place, name: &str) -> Self {
        Self::below(place, vec![(Attribute::Common, name.to_owned())])
    }

    /// An office: its name and its id.
    pub fn office(place: &Place, name: &str, office: &OfficeId) -> Self {
        let uid = format!("{OFFICE_UID_PREFIX}{office}");
        Self::below(place, vec![(Attribute::Common, name.to_owned()), (Attribute::Uid, uid)])
    }

    /// A person: name, citizen number, and where they work as what.
    pub fn officer(
        place: &Place,
        name: &str,
        citizen: Option<&str>,
        unit: Option<&str>,
        title: Option<&str>,
    ) -> Self {
        let mut attributes = Vec::new();
        attributes.extend(unit.map(|unit| (Attribute::Unit, unit.to_owned())));
        attributes.extend(title.map(|title| (Attribute::Title, title.to_owned())));
        attributes.push((Attribute::Common, name.to_owned()));
        attributes.extend(citizen.map(|digits| (Attribute::Uid, format!("{CITIZEN_UID_PREFIX}{digits}"))));
        Self::below(place, attributes)
    }

    fn below(place: &Place, mut rest: Vec<(Attribute, String)>) -> Self {
        rest.insert(0, (place.attribute(), place.text().to_owned()));
        Self { attributes: rest }
    }

    /// What it says for an attribute.
    pub fn get(&self, attribute: Attribute) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| *found == attribute).map(|(_, text)| text.as_str())
    }

    /// The name of whom it is about.
    pub fn name(&self) -> &str {
        self.get(Attribute::Common).unwrap_or_default()
    }

    /// As the name of a certificate.
    ///
    /// # Errors
    /// When a text is empty, too long, not in NFC, or has characters that do not belong into a name.
    pub fn distinguished(&self) -> Result<DistinguishedName, Refusal> {
        let mut name = DistinguishedName::new();
        let country = PrintableString::try_from("VN").map_err(|error| Refusal::Text {
            what: "C",
            text: "VN".to_owned(),
            why: error.to_string(),
        })?;
        name.push(DnType::CountryName, DnValue::PrintableString(country));
        for (attribute, text) in &self.attributes {
            let refused = |why: String| Refusal::Text {
                what: attribute.label(),
                text: masked(text),
                why: masked(&why),
            };
            if text.trim() != text || text.is_empty() {
                return Err(refused("it is empty, or has blanks around it".to_owned()));
            }
            require_plain(text, TEXT_CHARS_MAX).map_err(|error| refused(error.to_string()))?;
            let kind = DnType::from_oid(attribute.oid());
            if name.get(&kind).is_some() {
                return Err(refused("the name would have it twice".to_owned()));
            }
            name.push(kind, DnValue::Utf8String(text.clone()));
        }
        Ok(name)
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("C=VN")?;
        for (attribute, text) in &self.attributes {
            write!(f, ", {}={}", attribute.label(), masked(text))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({self})")
    }
}

/// Reads a citizen number: twelve digits, or nine of an old identity card.
///
/// # Errors
/// When it is something else.
pub fn citizen_number(text: &str) -> Result<String, String> {
    if matches!(text.len(), 9 | 12) && text.bytes().all(|b| b.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("a citizen number has 12 digits, that of an old identity card 9".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> Place {
        Place::Province("Tỉnh Phú Thọ".to_owned())
    }

    #[test]
    fn a_citizen_number_is_in_the_name_and_never_in_what_is_shown() {
        let officer = Subject::officer(
            &here(),
            "Nguyễn Văn A",
            Some("001099012345"),
            Some("UBND xã"),
            Some("Chủ tịch"),
        );
        assert_eq!(
            officer.to_string(),
            "C=VN, ST=Tỉnh Phú Thọ, OU=UBND xã, title=Chủ tịch, CN=Nguyễn Văn A, UID=CCCD:*********345"
        );
        assert!(!format!("{officer:?}").contains("001099012345"));
        assert_eq!(officer.get(Attribute::Uid), Some("CCCD:001099012345"));
    }

    #[test]
    fn names_have_one_spelling() {
        assert!(Subject::root("Trạm gốc").distinguished().is_ok());
        for name in ["", " Trạm", "Tra\u{323}m", "Trạm\ngốc", "gốc\u{202e}"] {
            assert!(Subject::root(name).distinguished().is_err(), "{name:?} passed");
        }
    }
}
