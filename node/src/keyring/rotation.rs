//! The station's next signing key: made beside the present one, certified, announced, then put in its place.
//!
//! ```text
//! node.key            signs
//! node.next.key       waits for its certificate, under the passphrase of the present one
//! node.next.csr.pem   asks for that certificate: what the authority is given
//! node.lost.key       a key that nobody can open any more, or that was stolen: set aside, never deleted
//! ```
//!
//! The running station changes to the next key by itself as soon as its certificate is in the registry and the
//! announcement of it, signed with the present key, as well (`crate::node`). Its journal is what counts: a crash between the
//! first event under the new key and the exchange of the files is settled at the next start.

use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer as _, SigningKey};
use pkcs8::{Document, LineEnding};
use rcgen::{CertificateParams, DistinguishedName, DnType, PublicKeyData, SignatureAlgorithm};
use schema::id::OfficeId;
use schema::trust::profile::OFFICE_UID_PREFIX;

use super::change::{OldBytes, succeed};
use super::{
    KeyringError, Passphrase, Source, generate_signing_key, open_given, replace_private, write_protected_key,
    write_signing_key,
};

/// `UID` (RFC 4519 section 2.39).
const UID: &[u64] = &[0, 9, 2342, 19_200_300, 100, 1, 1];

/// Where the key that follows the one in `path` waits.
pub fn next_path(path: &Path) -> PathBuf {
    path.with_extension("next.key")
}

/// Where the request for the certificate of the key in `path` lies.
pub fn request_path(path: &Path) -> PathBuf {
    path.with_extension("csr.pem")
}

/// Makes the key that is to follow the one in `path`, under the same passphrase, and the request for its certificate.
///
/// # Errors
/// When one waits already, or it cannot be written.
pub fn prepare(
    path: &Path,
    office: &OfficeId,
    passphrase: Option<&Passphrase>,
) -> Result<SigningKey, KeyringError> {
    make(&next_path(path), office, passphrase)
}

fn make(
    place: &Path,
    office: &OfficeId,
    passphrase: Option<&Passphrase>,
) -> Result<SigningKey, KeyringError> {
    let key = generate_signing_key()?;
    let request = request(&key, office)?;
    match passphrase {
        Some(passphrase) => write_protected_key(place, &key, passphrase)?,
        None => write_signing_key(place, &key)?,
    }
    replace_private(&request_path(place), request.as_bytes())?;
    Ok(key)
}

/// A key in the place of one that is lost.
pub struct Replaced {
    /// The new key.
    pub key: SigningKey,
    /// Where the lost one was set aside; none when its file is gone.
    pub aside: Option<PathBuf>,
}

/// Makes a key in the place of the one in `path`, which is gone or cannot be opened any more, and the request for its
/// certificate. The lost one is set aside, and with it one that waited.
///
/// # Errors
/// When something cannot be moved or written. The next try goes on from there.
pub fn replace(
    path: &Path,
    office: &OfficeId,
    passphrase: Option<&Passphrase>,
) -> Result<Replaced, KeyringError> {
    let aside = set_aside(path)?;
    set_aside(&next_path(path))?;
    Ok(Replaced { key: make(path, office, passphrase)?, aside })
}

/// Gives a file that must not be used any more a name that nothing uses.
fn set_aside(path: &Path) -> Result<Option<PathBuf>, KeyringError> {
    if !path.exists() {
        return Ok(None);
    }
    let names = (1_u32..).map(|number| match number {
        1 => path.with_extension("lost.key"),
        _ => path.with_extension(format!("lost.{number}.key")),
    });
    let unused = names.into_iter().find(|name| !name.exists());
    let aside = unused.unwrap_or_else(|| path.with_extension("lost.key"));
    std::fs::rename(path, &aside).map_err(|source| KeyringError::Write { path: aside.clone(), source })?;
    Ok(Some(aside))
}

/// A request for a certificate (PKCS#10, RFC 2986, in PEM), signed by the key itself. It names the office; everything else
/// the authority takes from its own books.
fn request(key: &SigningKey, office: &OfficeId) -> Result<String, KeyringError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "VN");
    params
        .distinguished_name
        .push(DnType::CustomDnType(UID.to_vec()), format!("{OFFICE_UID_PREFIX}{office}"));
    let unbuilt = |found: String| KeyringError::Request { found };
    let requester = Requester { key, public: key.verifying_key().to_bytes() };
    let request = params.serialize_request(&requester).map_err(|error| unbuilt(error.to_string()))?;
    let document = Document::try_from(request.der().as_ref()).map_err(|error| unbuilt(error.to_string()))?;
    document.to_pem("CERTIFICATE REQUEST", LineEnding::LF).map_err(|error| unbuilt(error.to_string()))
}

/// A key that signs a request for its own certificate.
struct Requester<'a> {
    key: &'a SigningKey,
    public: [u8; 32],
}

impl PublicKeyData for Requester<'_> {
    fn der_bytes(&self) -> &[u8] {
        &self.public
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for Requester<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(self.key.sign(message).to_vec())
    }
}

/// Opens the key that waits; `None` when none does. `passphrase` is the one that opened the present key.
///
/// # Errors
/// When it cannot be read, or is under another passphrase.
pub fn open_next(path: &Path, passphrase: Option<&Passphrase>) -> Result<Option<SigningKey>, KeyringError> {
    let place = next_path(path);
    if !place.exists() {
        return Ok(None);
    }
    open_given(&place, passphrase, &Source::File(path.to_owned())).map(Some)
}

/// Puts the key that waits in the place of the one before, whose bytes are overwritten as well as that goes; `None` when none
/// waits.
///
/// # Errors
/// When the files cannot be exchanged: the one before is in place then.
pub fn put_in_place(path: &Path) -> Result<Option<OldBytes>, KeyringError> {
    let place = next_path(path);
    if place.exists() { succeed(path, &place).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyring::{Unlock, open_signing_key};

    const OFFICE: OfficeId = OfficeId::new([7; 16]);

    #[test]
    fn next_key_waits_beside_the_present_one_and_takes_its_place() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("node.key");
        let present = generate_signing_key().expect("randomness");
        write_signing_key(&path, &present).expect("a new file");
        assert!(open_next(&path, None).expect("none waits").is_none());
        assert_eq!(put_in_place(&path).expect("none waits"), None);

        let next = prepare(&path, &OFFICE, None).expect("a new file");
        assert!(matches!(prepare(&path, &OFFICE, None), Err(KeyringError::Exists { .. })), "one at a time");
        let waiting = open_next(&path, None).expect("readable").expect("it waits");
        assert_eq!(waiting.to_bytes(), next.to_bytes());
        let opened = open_signing_key(&path, &[], &Unlock::default()).expect("the present one");
        assert_eq!(opened.key.to_bytes(), present.to_bytes());

        assert_eq!(put_in_place(&path).expect("exchanged"), Some(OldBytes::Overwritten));
        let opened = open_signing_key(&path, &[], &Unlock::default()).expect("the next one");
        assert_eq!(opened.key.to_bytes(), next.to_bytes());
        assert!(!next_path(&path).exists());
    }

    #[test]
    fn lost_key_is_set_aside_and_another_takes_its_place() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("node.key");
        std::fs::write(&path, "damaged").expect("written");
        prepare(&path, &OFFICE, None).expect("one waits");
        let replaced = replace(&path, &OFFICE, None).expect("replaced");
        let opened = open_signing_key(&path, &[], &Unlock::default()).expect("the new one");
        assert_eq!(opened.key.to_bytes(), replaced.key.to_bytes());
        let aside = replaced.aside.expect("there was one");
        assert_eq!(std::fs::read(&aside).expect("kept"), b"damaged");
        assert!(!next_path(&path).exists(), "one that was never announced waits still");
        assert!(request_path(&path).exists());

        let again = replace(&path, &OFFICE, None).expect("replaced").aside.expect("there was one");
        assert_ne!(again, aside, "a file was written over");
        std::fs::remove_file(&path).expect("gone");
        assert!(replace(&path, &OFFICE, None).expect("replaced").aside.is_none());
    }

    #[test]
    fn next_key_lies_under_the_passphrase_of_the_present_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("node.key");
        let passphrase = Passphrase::parse("một cụm mật khẩu đủ dài".as_bytes()).expect("a passphrase");
        let next = prepare(&path, &OFFICE, Some(&passphrase)).expect("a new file");
        let waiting = open_next(&path, Some(&passphrase)).expect("readable").expect("it waits");
        assert_eq!(waiting.to_bytes(), next.to_bytes());
        assert!(matches!(open_next(&path, None), Err(KeyringError::Locked { .. })));
        let other = Passphrase::parse("một cụm mật khẩu khác hẳn".as_bytes()).expect("a passphrase");
        assert!(matches!(open_next(&path, Some(&other)), Err(KeyringError::WrongPassphrase { .. })));
    }
}
