//! What an officer signs: four attributes, sorted, in DER (RFC 5652 section 5.4).

use std::fmt;

use jiff::tz::TimeZone;

use super::ID_DATA;
use super::digest::DigestAlgorithm;
use super::refusal::CmsError;
use crate::time::Millis;
use crate::trust::algorithm;
use crate::trust::certificate::{Certificate, Serial, read_time};
use crate::trust::der::{self, DerError, Tlv};

// RFC 5652 section 11, RFC 5035 section 3.
const CONTENT_TYPE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03";
const MESSAGE_DIGEST: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04";
const SIGNING_TIME: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05";
const SIGNING_CERTIFICATE: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x02\x2f";
/// RFC 5280 section 4.2.1.6: the GeneralName that holds a distinguished name.
const DIRECTORY_NAME: u8 = 0xa4;

/// One of the four attributes that are signed; each stands there once, and no other does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// What kind of thing was signed: always bytes (`id-data`).
    ContentType,
    /// The digest of the document.
    MessageDigest,
    /// When the signer says that it was signed.
    SigningTime,
    /// With which certificate (RFC 5035): nobody can put another one of the same key in its place.
    SigningCertificate,
}

impl Attribute {
    const ALL: [Self; 4] =
        [Self::ContentType, Self::MessageDigest, Self::SigningTime, Self::SigningCertificate];

    const fn oid(self) -> &'static [u8] {
        match self {
            Self::ContentType => CONTENT_TYPE,
            Self::MessageDigest => MESSAGE_DIGEST,
            Self::SigningTime => SIGNING_TIME,
            Self::SigningCertificate => SIGNING_CERTIFICATE,
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ContentType => "contentType",
            Self::MessageDigest => "messageDigest",
            Self::SigningTime => "signingTime",
            Self::SigningCertificate => "signingCertificateV2",
        })
    }
}

/// The signed attributes, as they were signed and as they were understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SignedAttributes {
    /// A SET OF: what the signature is over. In a SignerInfo its tag is another one.
    pub(super) bytes: Vec<u8>,
    pub(super) digest: Vec<u8>,
    pub(super) claimed_at: Millis,
    certificate: CertificateReference,
}

/// ESSCertIDv2 (RFC 5035 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
struct CertificateReference {
    algorithm: DigestAlgorithm,
    hash: Vec<u8>,
    /// A Name, in DER.
    issuer: Vec<u8>,
    serial: Serial,
}

impl SignedAttributes {
    /// The bytes that are signed for a document with this digest; `None` when the time cannot be written.
    pub(super) fn write(digest: &[u8], claimed_at: Millis, certificate: &Certificate) -> Option<Vec<u8>> {
        let directory_name = der::write(DIRECTORY_NAME, &[certificate.issuer().as_der()]);
        let general_names = der::write(der::SEQUENCE, &[&directory_name]);
        let issuer_serial = der::write(der::SEQUENCE, &[&general_names, &certificate.serial().to_der()]);
        // SHA-256 is the default of ESSCertIDv2, so DER leaves it out.
        let hash = der::write(der::OCTET_STRING, &[&certificate.hash().0]);
        let reference = der::write(der::SEQUENCE, &[&hash, &issuer_serial]);
        let references = der::write(der::SEQUENCE, &[&reference]);
        let values = [
            (Attribute::ContentType, der::write(der::OID, &[ID_DATA])),
            (Attribute::MessageDigest, der::write(der::OCTET_STRING, &[digest])),
            (Attribute::SigningTime, written_time(claimed_at)?),
            (Attribute::SigningCertificate, der::write(der::SEQUENCE, &[&references])),
        ];
        let attribute = |(attribute, value): (Attribute, Vec<u8>)| {
            let oid = der::write(der::OID, &[attribute.oid()]);
            der::write(der::SEQUENCE, &[&oid, &der::write_set(der::SET, vec![value])])
        };
        Some(der::write_set(der::SET, values.map(attribute).into()))
    }

    /// Reads a SET OF Attribute.
    pub(super) fn read(bytes: Vec<u8>) -> Result<Self, CmsError> {
        der::check(&bytes)?;
        let mut attributes = der::single(&bytes, der::SET, "signed attributes that are not a set")?.reader();
        let mut values: [Option<Tlv<'_>>; 4] = [None; 4];
        while !attributes.is_empty() {
            let mut pair = attributes.expect(der::SEQUENCE, "an attribute that is not a sequence")?.reader();
            let oid = pair.expect(der::OID, "an attribute without a type")?.value;
            let set = pair.expect(der::SET, "an attribute without a set of values")?;
            pair.end()?;
            let Some(n) = Attribute::ALL.iter().position(|attribute| attribute.oid() == oid) else {
                return Err(CmsError::UnknownAttribute { oid: algorithm::shown(oid) });
            };
            let attribute = Attribute::ALL[n];
            if values[n].is_some() {
                return Err(CmsError::DuplicateAttribute { attribute });
            }
            let mut set = set.reader();
            let value = set.any().and_then(|value| set.end().map(|()| value));
            values[n] = Some(value.map_err(|_| malformed(attribute, "not exactly one value"))?);
        }
        let value =
            |attribute: Attribute| values[attribute as usize].ok_or(CmsError::MissingAttribute { attribute });
        let content_type = value(Attribute::ContentType)?;
        if (content_type.tag, content_type.value) != (der::OID, ID_DATA) {
            return Err(CmsError::ContentType);
        }
        let digest = value(Attribute::MessageDigest)?;
        if digest.tag != der::OCTET_STRING {
            return Err(malformed(Attribute::MessageDigest, "not an octet string"));
        }
        let claimed_at = read_time(value(Attribute::SigningTime)?).ok_or_else(|| {
            malformed(Attribute::SigningTime, "not a time in UTC with seconds, from 2000 on, in its one form")
        })?;
        let certificate = value(Attribute::SigningCertificate)?;
        let certificate = CertificateReference::read(certificate)?;
        Ok(Self { digest: digest.value.to_vec(), claimed_at, certificate, bytes })
    }

    /// Whether exactly this certificate was signed with.
    pub(super) fn names(&self, certificate: &[u8], issuer: &[u8], serial: &Serial) -> bool {
        let CertificateReference { algorithm, hash, issuer: named_issuer, serial: named_serial } =
            &self.certificate;
        *hash == algorithm.of(certificate) && named_issuer == issuer && named_serial == serial
    }
}

const fn malformed(attribute: Attribute, what: &'static str) -> CmsError {
    CmsError::MalformedAttribute { attribute, what }
}

impl CertificateReference {
    fn read(value: Tlv<'_>) -> Result<Self, CmsError> {
        let refused = |what| malformed(Attribute::SigningCertificate, what);
        let broken = |error: DerError| refused(error.what);
        let mut inside = der::single(value.full, der::SEQUENCE, "not a sequence").map_err(broken)?.reader();
        let references = inside.expect(der::SEQUENCE, "no list of certificates").map_err(broken)?;
        inside.end().map_err(|_| refused("policies, or something else behind the certificates"))?;
        let mut references = references.reader();
        let mut reference = references.expect(der::SEQUENCE, "no certificate").map_err(broken)?.reader();
        references.end().map_err(|_| refused("more than one certificate"))?;

        let algorithm = match reference.optional(der::SEQUENCE).map_err(broken)? {
            None => DigestAlgorithm::Sha256,
            Some(identifier) => match DigestAlgorithm::from_der(identifier.full)? {
                // X.690 section 11.5: a default is left out.
                DigestAlgorithm::Sha256 => return Err(refused("a default that is written out")),
                other => other,
            },
        };
        let hash = reference.expect(der::OCTET_STRING, "no hash").map_err(broken)?.value.to_vec();
        let Some(issuer_serial) = reference.optional(der::SEQUENCE).map_err(broken)? else {
            return Err(refused("no issuer and serial number"));
        };
        let mut issuer_serial = issuer_serial.reader();
        reference.end().map_err(broken)?;
        let names = issuer_serial.expect(der::SEQUENCE, "no issuer").map_err(broken)?;
        let serial = issuer_serial.expect(der::INTEGER, "no serial number").map_err(broken)?;
        issuer_serial.end().map_err(broken)?;
        let mut names = names.reader();
        let issuer = names.expect(DIRECTORY_NAME, "the issuer is not one directory name").map_err(broken)?;
        names.end().map_err(|_| refused("the issuer is not one directory name"))?;
        let issuer = issuer.value.to_vec();
        let serial =
            Serial::from_integer(serial.value).ok_or_else(|| refused("no acceptable serial number"))?;
        Ok(Self { algorithm, hash, issuer, serial })
    }
}

/// As RFC 5652 section 11.3 has it: two-digit years from 2000 to 2049, four-digit ones afterwards. Parts of a
/// second are dropped. `None` before 2000, which two digits cannot say to everybody, and after 9999.
fn written_time(at: Millis) -> Option<Vec<u8>> {
    let at = jiff::Timestamp::from_second(i64::try_from(at.0 / Millis::SECOND).ok()?).ok()?;
    let at = at.to_zoned(TimeZone::UTC);
    let (tag, format) = match at.year() {
        2000..2050 => (der::UTC_TIME, "%y%m%d%H%M%SZ"),
        2050..=9999 => (der::GENERALIZED_TIME, "%Y%m%d%H%M%SZ"),
        _ => return None,
    };
    Some(der::write(tag, &[at.strftime(format).to_string().as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_that_cannot_be_written_are_not() {
        const YEAR_2000: u64 = 946_684_800;
        let written = |second: u64| written_time(Millis(second * 1000));
        assert_eq!(written(YEAR_2000 - 1), None);
        assert_eq!(written(YEAR_2000), Some(der::write(der::UTC_TIME, &[b"000101000000Z"])));
        assert_eq!(written(2_524_607_999), Some(der::write(der::UTC_TIME, &[b"491231235959Z"])));
        assert_eq!(written(2_524_608_000), Some(der::write(der::GENERALIZED_TIME, &[b"20500101000000Z"])));
        assert_eq!(written(u64::MAX / 1000), None);
    }

    proptest! {
        #[test]
        fn a_time_that_is_written_is_read_again(ms in 946_684_800_000_u64..253_402_207_200_000) {
            let written = written_time(Millis(ms)).expect("between 2000 and 9999");
            let tlv = der::Reader::new(&written).any().expect("one value");
            prop_assert_eq!(read_time(tlv), Some(Millis(ms / 1000 * 1000)));
        }
    }
}
