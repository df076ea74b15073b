//! Certificate requests (PKCS#10, RFC 2986; *yêu cầu cấp chứng thư*): proof that whoever asks holds the key.
//!
//! Of a request nothing gets into a certificate but the key. The name in it is compared with what the operator says;
//! extensions that it asks for are not even read.

use std::fmt;

use anyhow::{Context as _, Result};
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier};
use pkcs8::der::{self, Decode as _, Reader as _, SliceReader, Tag, Tagged as _};
use schema::trust::algorithm::SignatureAlgorithm;
use schema::trust::name::masked;
use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;

use super::subject::{Attribute, Subject};
use super::{Refusal, build, files};

/// Most attributes of the name in a request.
const ATTRIBUTES_MAX: usize = 32;

/// A request whose signature was made by the key in it. There is no other way to one than [`Request::parse`].
#[derive(Clone)]
pub struct Request {
    der: Vec<u8>,
    spki: Vec<u8>,
    /// Country included; attributes we do not know by their object identifiers.
    names: Vec<(String, String)>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} bytes)", self.der.len())
    }
}

/// The fields of a request.
struct Fields<'a> {
    info: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    subject: &'a [u8],
    spki: &'a [u8],
}

impl Request {
    /// Reads a request, in PEM or DER, and checks that its own key signed it.
    ///
    /// # Errors
    /// [`Refusal::Request`] or [`Refusal::NoPossession`]; [`Refusal::NotAcceptable`] when the key is none that may be
    /// certified.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let refused = |why: String| Refusal::Request { why };
        let der = files::der_of(bytes, files::REQUEST).map_err(|error| refused(error.to_string()))?;
        let fields = Fields::read(&der).map_err(|error| refused(error.to_string()))?;
        let algorithm =
            SignatureAlgorithm::from_der(fields.algorithm).map_err(|error| refused(error.to_string()))?;
        let key = build::certified_key(fields.spki)?;
        if !key.key().verifies(algorithm, fields.info, fields.signature) {
            return Err(Refusal::NoPossession.into());
        }
        let names = read_names(fields.subject).map_err(|error| refused(error.to_string()))?;
        let spki = fields.spki.to_vec();
        Ok(Self { der, spki, names })
    }

    /// Reads one from a file.
    ///
    /// # Errors
    /// As [`Request::parse`], or when the file cannot be read.
    pub fn read(path: &std::path::Path) -> Result<Self> {
        let bytes = files::read(path, files::SMALL_FILE_BYTES_MAX)?;
        Self::parse(&bytes).with_context(|| format!("failed to use the request in `{}`", path.display()))
    }

    /// The key that is to be certified (SubjectPublicKeyInfo, DER).
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Its bytes.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// What it is known by.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Whether everything that the request says about its subject is what would be certified. It may say less.
    ///
    /// # Errors
    /// With the first difference.
    pub fn agrees_with(&self, subject: &Subject) -> Result<(), Refusal> {
        for (label, requested) in &self.names {
            let known = Attribute::ALL.into_iter().find(|attribute| attribute.label() == label);
            let issued = match known {
                None if label == "C" => Some("VN"),
                None => None,
                Some(attribute) => subject.get(attribute),
            };
            if issued != Some(requested.as_str()) {
                return Err(Refusal::SubjectDiffers {
                    attribute: label.clone(),
                    requested: masked(requested),
                    issued: issued.map_or("nothing there".to_owned(), |text| format!("`{}`", masked(text))),
                });
            }
        }
        Ok(())
    }
}

impl<'a> Fields<'a> {
    fn read(der: &'a [u8]) -> der::Result<Self> {
        let whole = AnyRef::from_der(der)?;
        whole.tag().assert_eq(Tag::Sequence)?;
        let mut outer = SliceReader::new(whole.value())?;
        let info = outer.tlv_bytes()?;
        let algorithm = outer.tlv_bytes()?;
        let bits = AnyRef::decode(&mut outer)?;
        outer.finish()?;
        let signature = bits.decode_as::<der::asn1::BitStringRef<'a>>()?;
        let signature = signature.as_bytes().ok_or_else(|| Tag::BitString.value_error())?;

        let inside = AnyRef::from_der(info)?;
        inside.tag().assert_eq(Tag::Sequence)?;
        let mut inside = SliceReader::new(inside.value())?;
        if u8::decode(&mut inside)? != 0 {
            return Err(Tag::Integer.value_error().into());
        }
        let subject = inside.tlv_bytes()?;
        let spki = inside.tlv_bytes()?;
        // The attributes, `[0]`: what a request asks for beyond a key is not looked at.
        if !inside.is_finished() {
            AnyRef::decode(&mut inside)?;
        }
        inside.finish()?;
        Ok(Self { info, algorithm, signature, subject, spki })
    }
}

/// Label and text of every attribute of a name, whatever string type it came in.
fn read_names(subject: &[u8]) -> der::Result<Vec<(String, String)>> {
    let mut names = Vec::new();
    let subject = AnyRef::from_der(subject)?;
    subject.tag().assert_eq(Tag::Sequence)?;
    let mut parts = SliceReader::new(subject.value())?;
    while !parts.is_finished() {
        let part = AnyRef::decode(&mut parts)?;
        part.tag().assert_eq(Tag::Set)?;
        let mut members = SliceReader::new(part.value())?;
        while !members.is_finished() {
            let pair = AnyRef::decode(&mut members)?;
            pair.tag().assert_eq(Tag::Sequence)?;
            let mut pair = SliceReader::new(pair.value())?;
            let oid = ObjectIdentifier::decode(&mut pair)?;
            let value = AnyRef::decode(&mut pair)?;
            pair.finish()?;
            if names.len() == ATTRIBUTES_MAX {
                return Err(Tag::Sequence.value_error().into());
            }
            names.push((label_of(&oid), text_of(value).ok_or_else(|| value.tag().value_error())?));
        }
    }
    Ok(names)
}

fn label_of(oid: &ObjectIdentifier) -> String {
    let dotted = oid.to_string();
    let same = |attribute: &Attribute| {
        let components: Vec<String> = attribute.oid().iter().map(ToString::to_string).collect();
        components.join(".") == dotted
    };
    match dotted.as_str() {
        "2.5.4.6" => "C".to_owned(),
        _ => Attribute::ALL.into_iter().find(same).map_or(dotted, |attribute| attribute.label().to_owned()),
    }
}

fn text_of(value: AnyRef<'_>) -> Option<String> {
    let text = match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => {
            std::str::from_utf8(value.value()).ok()?.to_owned()
        }
        Tag::BmpString => {
            let units = value.value().chunks(2);
            let units: Option<Vec<u16>> =
                units.map(|unit| <[u8; 2]>::try_from(unit).ok().map(u16::from_be_bytes)).collect();
            String::from_utf16(&units?).ok()?
        }
        _ => return None,
    };
    Some(text.nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::Place;
    use crate::ca::secret::{Key, KeyKind};

    fn requested(subject: &Subject, kind: KeyKind) -> Vec<u8> {
        let key = Key::generate(kind).expect("a key");
        build::request(subject, &key).expect("a request")
    }

    fn here() -> Place {
        Place::Province("Tỉnh Phú Thọ".to_owned())
    }

    #[test]
    fn a_request_proves_possession_and_any_changed_byte_disproves_it() {
        let subject = Subject::officer(&here(), "Nguyễn Văn A", Some("001099012345"), None, None);
        for kind in [KeyKind::Ed25519, KeyKind::P256] {
            let der = requested(&subject, kind);
            Request::parse(&der).expect("a sound request").agrees_with(&subject).expect("the same name");
            for at in 0..der.len() {
                let mut changed = der.clone();
                changed[at] ^= 1;
                assert!(Request::parse(&changed).is_err(), "byte {at} of {kind:?} does not matter");
            }
            assert!(Request::parse(&der[..der.len() - 1]).is_err());
            assert!(Request::parse(&[der.as_slice(), &[0]].concat()).is_err());
        }
    }

    #[test]
    fn a_request_for_another_name_is_refused_and_one_that_says_less_is_not() {
        let wanted = Subject::officer(&here(), "Nguyễn Văn A", Some("001099012345"), None, None);
        let there = Place::Province("Tỉnh Lào Cai".to_owned());
        let other = Request::parse(&requested(&Subject::authority(&there, "Nguyễn Văn A"), KeyKind::Ed25519));
        let error = other.expect("a request").agrees_with(&wanted).expect_err("another province");
        assert!(error.to_string().contains("Lào Cai"), "{error}");

        let less = Request::parse(&requested(&Subject::root("Nguyễn Văn A"), KeyKind::Ed25519));
        less.expect("a request").agrees_with(&wanted).expect("says less");

        let number = Subject::officer(&here(), "Nguyễn Văn A", Some("001099099999"), None, None);
        let error = Request::parse(&requested(&number, KeyKind::Ed25519)).expect("a request");
        let error = error.agrees_with(&wanted).expect_err("another number").to_string();
        assert!(error.contains("*999") && !error.contains("001099"), "{error}");
    }

    proptest::proptest! {
        /// Whatever comes in a file is refused or read, never a panic.
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), as_der: bool) {
            let mut bytes = bytes;
            if as_der {
                bytes.splice(0..0, [0x30, 0x82, 0x01, 0x00]);
            }
            proptest::prop_assert!(Request::parse(&bytes).is_err());
        }
    }
}
