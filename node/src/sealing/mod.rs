//! Sealing: encrypts what only the recipients may read, and opens what others have sealed for this office (age,
//! C2SP age v1, X25519). The only room that knows age.
//!
//! The keys lie in a file of their own, as the `age` command line reads it (`age -d -i sealing.keys`), that only its owner can read:
//! beside the store, which holds the contents in the clear, a passphrase would protect little, and a lost passphrase would lose what
//! others have sent meanwhile. Where they leave the machine, in a backup or with a bundle, they are sealed for the signing key, by a key
//! that follows from it by HKDF (RFC 5869); the signing key itself never does anything but sign. Earlier keys stay in the file for what
//! was sealed under them, and so do those that an office hands over whose tasks this one has taken over.

mod file;
mod kept;
mod keys;
mod readers;

use std::fmt;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use bech32::{Bech32, Hrp};
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use schema::blob::BlobIdentity;
use schema::body::{Body, KeyAnnouncement, KeyPurpose};
use schema::event::{Event, EventError, Kind, Urgency, VerifiedEvent, seal};
use schema::id::{EventId, Incarnation, OfficeId, Seq};
use schema::inbound::Opened;
use schema::registry::{Item, ItemFormatError, ItemKind};
use schema::sealing::SealingKey;
use schema::time::Millis;
use sha2::Sha256;
use zeroize::Zeroizing;

pub(crate) use self::file::hash_of;
pub use self::file::{PIECE_BYTES, SealFileError, holds_file, open_file, seal_file};
pub use self::kept::KeptKeys;
pub use self::keys::SealingKeys;
use self::readers::Counted;
use crate::keyring::KeyringError;

/// Most keys of the office itself in a file: one a year, and what was replaced early. As many may have been handed over by others.
const KEYS_MAX: usize = 128;
/// Largest file of keys, in bytes; a key has 75, and the line that says whose it was 45.
pub const SEALING_KEYS_BYTES_MAX: u64 = 32 * 1024;
/// Days after which a sealing key is to be renewed: once a year, and some weeks to get to it. The longer it is in use, the more whoever
/// steals it reads.
pub const SEALING_KEY_DAYS_MAX: u64 = 400;
/// Keeps the key that opens the file from being used for anything else.
const FILE_KEY_CONTEXT: &[u8] = b"tram/sealing-keys/v1";

/// How an office seals and opens. The simulation has one of its own, because age draws its own randomness.
pub trait Sealing: Send + Sync {
    /// The key under which others seal for this office.
    fn key(&self) -> SealingKey;

    /// Encrypts for these keys, in this order: whoever stands first opens it fastest.
    ///
    /// # Errors
    /// When there is no key, or one that is none.
    fn seal(&self, content: &[u8], keys: &[SealingKey]) -> Result<Vec<u8>, SealError>;

    /// Decrypts what was sealed for this office and has this many readers, of at most
    /// [`CONTENT_BYTES_MAX`](schema::sealing::CONTENT_BYTES_MAX) bytes.
    ///
    /// # Errors
    /// When no key of this office opens it, it was changed, or others can read it than are named.
    fn open(&self, sealed: &[u8], readers: usize) -> Result<Vec<u8>, SealError>;

    /// Keeps the keys that the office `from` hands over, of which `newest` is the newest: safely, when this returns. Taking the same once
    /// more changes nothing.
    ///
    /// # Errors
    /// When no key of this office opens what it sends, it is something else, or they cannot be kept.
    fn take_over(&self, from: OfficeId, newest: SealingKey, keyring: &[u8]) -> Result<(), SealingKeysError> {
        let _ = (from, newest, keyring);
        Err(SealError::Decrypt("keys are not kept here".to_owned()).into())
    }
}

/// Why something is not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A key that others announced is none.
    #[error("a sealing key is no X25519 key")]
    Key,
    /// Encryption fails.
    #[error("it cannot be encrypted: {0}")]
    Encrypt(String),
    /// Decryption fails.
    #[error("it cannot be decrypted: {0}")]
    Decrypt(String),
    /// It is sealed for another number of readers than are named.
    #[error(
        "it is sealed for {found} readers, and {named} are named: somebody would read it unseen, or nobody could"
    )]
    Readers {
        /// How many it is sealed for.
        found: usize,
        /// How many are named.
        named: usize,
    },
}

/// Why the keys of an office cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeysError {
    /// The file cannot be read or written.
    #[error(transparent)]
    File(#[from] KeyringError),
    /// The signing key does not open them, or they cannot be sealed for it.
    #[error("the sealing keys cannot be carried")]
    Carried(#[from] SealError),
    /// There is no room for another one.
    #[error(
        "the file of sealing keys holds {KEYS_MAX} keys of the office, or handed over, and takes no further one"
    )]
    Full,
    /// It holds something else.
    #[error("the sealing keys `{}` cannot be read: {found}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
}

/// The first event of an office's chain: the key under which others seal for it, signed when it is enrolled, so that they can
/// before its station has ever been on line. [`crate::Node::found`] takes it into the journal.
///
/// # Errors
/// Never for a key that [`SealingKeys`] made.
pub fn founding_announcement(
    key: &SigningKey,
    office: OfficeId,
    sealing: SealingKey,
    now: Millis,
) -> Result<Item, FoundingError> {
    let announcement = KeyAnnouncement::of(KeyPurpose::Sealing, sealing.0);
    let event = Event {
        office,
        incarnation: Incarnation::FIRST,
        seq: Seq(1),
        prev: EventId::NONE,
        claimed_at: now,
        kind: Kind::KeyAnnouncement,
        urgency: Urgency::Normal,
        to: Vec::new(),
        seen: Vec::new(),
        blobs: Vec::new(),
        body: Body::KeyAnnouncement(announcement).encode().unwrap_or_default(),
        sealed: None,
        archive: None,
        content: None,
    };
    Ok(Item::new(ItemKind::Announcement, seal(event, key)?.bytes())?)
}

/// Why an office has no first event.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// It is no event.
    #[error(transparent)]
    Event(#[from] EventError),
    /// It is too large for a registry.
    #[error(transparent)]
    Item(#[from] ItemFormatError),
}

/// Opens the sealed bodies among what came in, where it does not keep the core waiting. One that no key here opens, or whose content is
/// not the one that its event commits to, stays closed: the core takes it for what it is.
pub fn open_contents(sealing: &dyn Sealing, opened: &mut Opened) {
    opened.events.iter_mut().for_each(|arrival| open_content(sealing, &mut arrival.event));
}

/// As [`open_contents`], one event.
pub(crate) fn open_content(sealing: &dyn Sealing, event: &mut VerifiedEvent) {
    if !event.event().is_unopened() {
        return;
    }
    let content =
        sealing.open(&event.event().body, event.event().readers()).map_err(|error| error.to_string());
    let taken = content.and_then(|content| event.open(content).map_err(|error| error.to_string()));
    if let Err(error) = taken {
        tracing::warn!(?event, error, "the content of an event was not opened");
    }
}

fn encrypted(content: &[u8], recipients: &[Recipient]) -> Result<Vec<u8>, SealError> {
    let failed = |error: &dyn fmt::Display| SealError::Encrypt(error.to_string());
    let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = age::Encryptor::with_recipients(recipients).map_err(|error| failed(&error))?;
    let mut sealed = Vec::with_capacity(content.len() + 512);
    let mut writer = encryptor.wrap_output(&mut sealed).map_err(|error| failed(&error))?;
    writer.write_all(content).map_err(|error| failed(&error))?;
    writer.finish().map_err(|error| failed(&error))?;
    Ok(sealed)
}

/// All of it or nothing: age gives bytes out before it has seen that the end is there.
fn decrypted(
    sealed: &[u8],
    identities: Vec<&Identity>,
    readers: usize,
    bytes_max: u64,
) -> Result<Vec<u8>, SealError> {
    let failed = |error: &dyn fmt::Display| SealError::Decrypt(error.to_string());
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|error| failed(&error))?;
    let counted = Counted::new(identities, readers);
    let opened = decryptor.decrypt(std::iter::once(&counted as &dyn age::Identity));
    let reader = opened.map_err(|error| match counted.found.get() {
        Some(found) => SealError::Readers { found, named: readers },
        None => failed(&error),
    })?;
    let mut content = Vec::new();
    let read = reader.take(bytes_max + 1).read_to_end(&mut content).map_err(|error| failed(&error))?;
    match read as u64 > bytes_max {
        true => Err(SealError::Decrypt(format!("more than {bytes_max} bytes"))),
        false => Ok(content),
    }
}

const PUBLIC: Hrp = Hrp::parse_unchecked("age");
const SECRET: Hrp = Hrp::parse_unchecked("age-secret-key-");

fn recipient(key: &SealingKey) -> Result<Recipient, SealError> {
    let text = bech32::encode::<Bech32>(PUBLIC, &key.0).map_err(|_| SealError::Key)?;
    Recipient::from_str(&text).map_err(|_| SealError::Key)
}

fn public(recipient: &Recipient) -> Result<SealingKey, SealError> {
    let (_, bytes) = bech32::decode(&recipient.to_string()).map_err(|_| SealError::Key)?;
    Ok(SealingKey(bytes.try_into().map_err(|_| SealError::Key)?))
}

/// The secret half, as a document carries it.
fn secret_of(identity: &Identity) -> Result<BlobIdentity, SealError> {
    let (_, bytes) = bech32::decode(identity.to_string().expose_secret()).map_err(|_| SealError::Key)?;
    let bytes = Zeroizing::new(bytes);
    Ok(BlobIdentity(bytes[..].try_into().map_err(|_| SealError::Key)?))
}

/// What opens a blob, as the `age` command line reads it from a file.
pub fn identity_text(BlobIdentity(secret): &BlobIdentity) -> Zeroizing<String> {
    Zeroizing::new(bech32::encode_upper::<Bech32>(SECRET, secret).expect("a short text"))
}

fn identity_of(secret: &BlobIdentity) -> Identity {
    Identity::from_str(&identity_text(secret)).expect("32 bytes are an X25519 key")
}

/// What opens the file of keys, for whoever has the signing key.
fn opener(key: &SigningKey) -> Identity {
    let seed = Zeroizing::new(key.to_bytes());
    let mut secret = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, &seed[..])
        .expand(FILE_KEY_CONTEXT, &mut secret[..])
        .expect("32 bytes are less than HKDF gives");
    identity_of(&BlobIdentity(*secret))
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::Identity as _;
    use age_core::format::Stanza;
    use schema::sealing::CONTENT_BYTES_MAX;
    use std::process::Command;

    fn signing(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }

    #[test]
    fn sealed_content_is_opened_by_whom_it_is_sealed_for_and_by_nobody_else() {
        let [sender, recipient, other] = [(); 3].map(|()| SealingKeys::generate().expect("a key"));
        let sealed = sender.seal(b"V/v canh bao", &[recipient.key(), sender.key()]).expect("sealed");
        assert!(!sealed.windows(4).any(|four| four == b"canh"));
        for keys in [&sender, &recipient] {
            assert_eq!(keys.open(&sealed, 2).expect("its own"), b"V/v canh bao");
        }
        assert!(matches!(other.open(&sealed, 2), Err(SealError::Decrypt(_))));
    }

    /// Nobody reads what does not name him: one stanza too many, also one that age does not know, closes the file to everybody; so does
    /// one too few, because somebody who is named could not read.
    #[test]
    fn content_with_a_reader_who_is_not_named_is_not_opened() {
        let [sender, recipient, hidden] = [(); 3].map(|()| SealingKeys::generate().expect("a key"));
        let keys = [recipient.key(), sender.key(), hidden.key()];
        let sealed = sender.seal(b"V/v canh bao", &keys).expect("sealed");
        for keys in [&sender, &recipient, &hidden] {
            let refused = keys.open(&sealed, 2).expect_err("a third one reads it");
            assert!(matches!(refused, SealError::Readers { found: 3, named: 2 }), "{refused}");
        }
        assert!(recipient.open(&sealed, 3).is_ok());
        let sealed = sender.seal(b"V/v canh bao", &keys[..2]).expect("sealed");
        let refused = recipient.open(&sealed, 3).expect_err("the third one cannot read it");
        assert!(matches!(refused, SealError::Readers { found: 2, named: 3 }), "{refused}");
        let added = |tag: &str| {
            let stanza = Stanza { tag: tag.to_owned(), args: Vec::new(), body: vec![7; 48] };
            Counted::new(recipient.identities(), 0).unwrap_stanzas(&[stanza])
        };
        for tag in ["scrypt", "p256tag", "X25519"] {
            assert!(matches!(added(tag), Some(Err(age::DecryptError::InvalidHeader))), "{tag}");
        }
        assert!(added("q-grease").is_none(), "what age puts in for nobody");
    }

    /// Flip, cut, lengthen: nothing comes out, not even the part before.
    #[test]
    fn sealed_content_that_was_changed_is_refused_whole() {
        let keys = SealingKeys::generate().expect("a key");
        let content: Vec<u8> = (0..2_000u32).map(|n| (n % 251) as u8).collect();
        let sealed = keys.seal(&content, &[keys.key()]).expect("sealed");
        for at in (0..sealed.len()).step_by(7).chain([sealed.len() - 1]) {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(keys.open(&changed, 1).is_err(), "byte {at} of {}", sealed.len());
            assert!(keys.open(&sealed[..at], 1).is_err(), "cut at {at}");
        }
        assert!(keys.open(&[&sealed[..], b"x"].concat(), 1).is_err());
        let large = keys.seal(&vec![0; CONTENT_BYTES_MAX + 1], &[keys.key()]).expect("sealed");
        assert!(keys.open(&large, 1).is_err(), "larger than any content");
    }

    #[test]
    fn keys_are_found_again_and_leave_the_machine_sealed_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sealing.keys");
        let made = SealingKeys::open_or_make(&path).expect("made");
        assert_eq!(made.key(), SealingKeys::open_or_make(&path).expect("read").key());
        let carried = made.sealed_for(&signing(1)).expect("sealed");
        let opened = SealingKeys::unsealed(&carried, &signing(1), &path).expect("opened");
        assert_eq!(made.key(), opened.key());
        assert!(matches!(
            SealingKeys::unsealed(&carried, &signing(3), &path),
            Err(SealingKeysError::Carried(SealError::Decrypt(_)))
        ));
        for secret in made.text().lines().map(str::as_bytes) {
            assert!(!carried.windows(secret.len()).any(|part| part == secret), "a key lies open");
        }
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .expect("changed");
        assert!(matches!(
            SealingKeys::open_or_make(&path),
            Err(SealingKeysError::File(KeyringError::Exposed { .. }))
        ));
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "no key").expect("written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("changed");
        assert!(matches!(SealingKeys::open_or_make(&path), Err(SealingKeysError::Format { .. })));
    }

    /// Both directions with the `age` of the system.
    #[test]
    fn age_of_the_command_line_opens_and_seals_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let keys = SealingKeys::generate().expect("a key");
        std::fs::write(path("identity"), keys.text().as_bytes()).expect("written");
        std::fs::write(path("sealed"), keys.seal("văn bản".as_bytes(), &[keys.key()]).expect("sealed"))
            .expect("written");
        let opened = Command::new("age").args(["-d", "-i", &path("identity"), &path("sealed")]).output();
        let opened = opened.expect("age is installed");
        assert_eq!(opened.stdout, "văn bản".as_bytes(), "{}", String::from_utf8_lossy(&opened.stderr));
        std::fs::write(path("clear"), "trả lời").expect("written");
        let sealed = Command::new("age").args(["-r", &keys.recipient(), &path("clear")]).output();
        let sealed = sealed.expect("age is installed").stdout;
        assert_eq!(keys.open(&sealed, 1).expect("sealed by age"), "trả lời".as_bytes());
    }
}
