//! The keys of an office: its own, and those of offices whose tasks it has taken over.
//!
//! In their file the office's own keys come first, the newest at the top; then those that were handed over, each office's behind a
//! comment that names it. The `age` command line reads the same file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519::{Identity, Recipient};
use ed25519_dalek::SigningKey;
use schema::id::OfficeId;
use schema::sealing::{CONTENT_BYTES_MAX, SealingKey};
use zeroize::Zeroizing;

use super::{
    KEYS_MAX, SEALING_KEYS_BYTES_MAX, SealError, Sealing, SealingKeysError, decrypted, encrypted, opener,
    public, recipient,
};
use crate::keyring;

/// Begins the comment that says whose keys follow.
const OF_OFFICE: &str = "# of office ";

/// A key in the file.
#[derive(Clone)]
struct Kept {
    identity: Identity,
    /// Whose it was, when this office has taken over from another one.
    of: Option<OfficeId>,
}

/// The sealing keys of an office: the newest one is announced, the others open what came before, or what was sealed for an office whose
/// tasks this one has taken over.
#[derive(Clone)]
pub struct SealingKeys {
    /// Its own, newest first; then those that were handed over.
    kept: Vec<Kept>,
    key: SealingKey,
}

/// The newest public half only.
impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sealing keys, the newest {}", self.kept.len(), self.recipient())
    }
}

impl SealingKeys {
    /// A new key.
    ///
    /// # Errors
    /// Never for a key that age made.
    pub fn generate() -> Result<Self, SealError> {
        Self::of(vec![Kept { identity: Identity::generate(), of: None }])
    }

    fn of(kept: Vec<Kept>) -> Result<Self, SealError> {
        let newest = kept.first().filter(|newest| newest.of.is_none()).ok_or(SealError::Key)?;
        let key = public(&newest.identity.to_public())?;
        Ok(Self { kept, key })
    }

    /// Reads the keys in a file, or makes them when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, others can read it, or it holds something else.
    pub fn open_or_make(path: &Path) -> Result<Self, SealingKeysError> {
        if path.try_exists().unwrap_or(true) {
            return Self::open(path);
        }
        let keys = Self::generate()?;
        keys.write(path)?;
        Ok(keys)
    }

    /// Reads the keys in a file.
    ///
    /// # Errors
    /// When it cannot be read, others can read it, or it holds something else.
    pub fn open(path: &Path) -> Result<Self, SealingKeysError> {
        let text = keyring::read_private_of(path, SEALING_KEYS_BYTES_MAX)?;
        Self::parse(&text, path)
    }

    /// These keys, and a new one before them.
    ///
    /// # Errors
    /// When they are as many as a file may hold.
    pub fn renewed(&self) -> Result<Self, SealingKeysError> {
        Self::generate()?.joined_with(self)
    }

    /// These keys, and after them those of the others that are not among them.
    ///
    /// # Errors
    /// When they are more than a file may hold.
    pub fn joined_with(&self, others: &Self) -> Result<Self, SealingKeysError> {
        let mut kept = self.kept.clone();
        kept.extend(others.kept.iter().filter(|other| !self.holds(other)).cloned());
        // Each office's keys stay in their order.
        kept.sort_by_key(|kept| kept.of);
        let own = kept.iter().filter(|kept| kept.of.is_none()).count();
        // Neither takes room from the other: keys that were handed over keep nobody from renewing its own.
        match own.max(kept.len() - own) > KEYS_MAX {
            true => Err(SealingKeysError::Full),
            false => Ok(Self { kept, key: self.key }),
        }
    }

    /// Whether all of these keys are among them.
    pub fn hold_all_of(&self, others: &Self) -> bool {
        others.kept.iter().all(|other| self.holds(other))
    }

    fn holds(&self, other: &Kept) -> bool {
        let public = other.identity.to_public();
        self.kept.iter().any(|kept| kept.identity.to_public() == public)
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.kept.len()
    }

    /// How many of them were handed over, by office.
    pub fn taken_over(&self) -> BTreeMap<OfficeId, usize> {
        let mut counts = BTreeMap::new();
        for office in self.kept.iter().filter_map(|kept| kept.of) {
            *counts.entry(office).or_default() += 1;
        }
        counts
    }

    /// All of these keys as they go to the office that takes over: a file that only its key opens.
    ///
    /// # Errors
    /// When that key is none.
    pub fn handed_to(&self, successor: SealingKey) -> Result<Vec<u8>, SealError> {
        encrypted(self.text().as_bytes(), &[recipient(&successor)?])
    }

    /// These keys, and those that the office `from` hands over, of which `newest` is the newest.
    ///
    /// # Errors
    /// When no key here opens what it sends, it is something else, or there is no room.
    pub fn with_those_of(
        &self,
        from: OfficeId,
        newest: SealingKey,
        keyring: &[u8],
    ) -> Result<Self, SealingKeysError> {
        let text = Zeroizing::new(decrypted(keyring, self.identities(), 1, SEALING_KEYS_BYTES_MAX)?);
        let path = Path::new("(handed over)");
        let mut theirs = Self::parse(&text, path)?;
        if theirs.key != newest {
            let (path, found) = (path.to_owned(), "the newest key is not the one that is named".to_owned());
            return Err(SealingKeysError::Format { path, found });
        }
        theirs.kept.iter_mut().for_each(|kept| kept.of = kept.of.or(Some(from)));
        self.joined_with(&theirs)
    }

    /// Puts the keys into a file, in place of an earlier one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), SealingKeysError> {
        Ok(keyring::replace_private(path, self.text().as_bytes())?)
    }

    /// The keys as they are carried away from their station: sealed for its signing key.
    ///
    /// # Errors
    /// Never for keys that age made.
    pub fn sealed_for(&self, key: &SigningKey) -> Result<Vec<u8>, SealError> {
        encrypted(self.text().as_bytes(), &[opener(key).to_public()])
    }

    /// Keys that were carried here in the file at `path`, opened with the signing key.
    ///
    /// # Errors
    /// When that key does not open them, or they are none.
    pub fn unsealed(sealed: &[u8], key: &SigningKey, path: &Path) -> Result<Self, SealingKeysError> {
        let opener = opener(key);
        let text = Zeroizing::new(decrypted(sealed, vec![&opener], 1, SEALING_KEYS_BYTES_MAX)?);
        Self::parse(&text, path)
    }

    fn parse(text: &[u8], path: &Path) -> Result<Self, SealingKeysError> {
        let format = |found: String| SealingKeysError::Format { path: path.to_owned(), found };
        let text = std::str::from_utf8(text).map_err(|error| format(error.to_string()))?;
        let (mut kept, mut of) = (Vec::new(), None);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(office) = line.strip_prefix(OF_OFFICE) {
                let office: OfficeId =
                    office.parse().map_err(|_| format(format!("`{line}` names no office")))?;
                of = Some(office);
            } else if !line.starts_with('#') {
                let identity = Identity::from_str(line).map_err(|found| format(found.to_owned()))?;
                kept.push(Kept { identity, of });
            }
            if kept.len() > 2 * KEYS_MAX {
                return Err(format(format!("more than {KEYS_MAX} keys of its own, or handed over")));
            }
        }
        Self::of(kept).map_err(|error| format(error.to_string()))
    }

    /// The keys as the `age` command line reads them.
    pub(super) fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::new());
        let mut of = None;
        for kept in &self.kept {
            if let Some(office) = kept.of.filter(|_| kept.of != of) {
                text.push_str(&format!("{OF_OFFICE}{office}\n"));
            }
            of = kept.of;
            text.push_str(kept.identity.to_string().expose_secret());
            text.push('\n');
        }
        text
    }

    pub(super) fn identities(&self) -> Vec<&Identity> {
        self.kept.iter().map(|kept| &kept.identity).collect()
    }

    /// The public half of the newest key, as `age` writes it.
    pub fn recipient(&self) -> String {
        self.kept.first().map(|newest| newest.identity.to_public().to_string()).unwrap_or_default()
    }
}

impl Sealing for SealingKeys {
    fn key(&self) -> SealingKey {
        self.key
    }

    fn seal(&self, content: &[u8], keys: &[SealingKey]) -> Result<Vec<u8>, SealError> {
        let recipients: Vec<Recipient> = keys.iter().map(recipient).collect::<Result<_, _>>()?;
        encrypted(content, &recipients)
    }

    fn open(&self, sealed: &[u8], readers: usize) -> Result<Vec<u8>, SealError> {
        decrypted(sealed, self.identities(), readers, CONTENT_BYTES_MAX as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: OfficeId = OfficeId::new([1; 16]);
    const OLDER: OfficeId = OfficeId::new([2; 16]);

    fn made() -> SealingKeys {
        SealingKeys::generate().expect("a key")
    }

    fn sealed_for(keys: &SealingKeys) -> Vec<u8> {
        keys.seal(b"V/v", &[keys.key()]).expect("sealed")
    }

    /// A commune that was merged twice: the last successor opens what was sealed for all of them, and says whose key each is.
    #[test]
    fn keys_go_from_successor_to_successor_and_keep_whose_they_were() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sealing.keys");
        let (older, old, last) = (made().renewed().expect("room"), made(), made());
        let sealed: Vec<Vec<u8>> = [&older, &old, &last].map(sealed_for).into();
        let old = old.with_those_of(OLDER, older.key(), &older.handed_to(old.key()).expect("sealed"));
        let old = old.expect("taken");
        let keyring = old.handed_to(last.key()).expect("sealed");
        let taken = last.with_those_of(OLD, old.key(), &keyring).expect("taken");
        assert_eq!(taken.key(), last.key(), "others go on sealing under its own key");
        taken.write(&path).expect("written");
        let read = SealingKeys::open(&path).expect("read");
        assert_eq!(read.taken_over(), BTreeMap::from([(OLD, 1), (OLDER, 2)]));
        assert!(sealed.iter().all(|sealed| read.open(sealed, 1).is_ok()));
        // Handed over again, with what is new: nothing is there twice, and nothing is lost.
        let renewed = old.renewed().expect("room");
        let again = read.with_those_of(OLD, renewed.key(), &renewed.handed_to(last.key()).expect("sealed"));
        let again = again.expect("taken").renewed().expect("room");
        again.write(&path).expect("written");
        let again = SealingKeys::open(&path).expect("read");
        assert_eq!((again.taken_over()[&OLD], again.taken_over()[&OLDER], again.count()), (2, 2, 6));
        assert!(again.hold_all_of(&read) && again.hold_all_of(&renewed));
        assert_eq!(again.key(), SealingKeys::open(&path).expect("read").key());
    }

    #[test]
    fn keyring_that_is_for_somebody_else_or_not_what_it_says_is_refused() {
        let (old, new, other) = (made(), made(), made());
        let keyring = old.handed_to(new.key()).expect("sealed");
        assert!(other.with_those_of(OLD, old.key(), &keyring).is_err(), "not for this one");
        assert!(new.with_those_of(OLD, other.key(), &keyring).is_err(), "another key is named");
        let mut changed = keyring.clone();
        *changed.last_mut().expect("bytes") ^= 1;
        assert!(new.with_those_of(OLD, old.key(), &changed).is_err(), "changed");
        for secret in old.text().lines().map(str::as_bytes) {
            assert!(!keyring.windows(secret.len()).any(|part| part == secret), "a key lies open");
        }
        assert!(new.with_those_of(OLD, old.key(), &keyring).is_ok());
    }

    /// However many keys come from others, the office's own can be renewed; and more than that are not taken.
    #[test]
    fn keys_of_others_take_no_room_from_ones_own() {
        let mut old = made();
        for _ in 1..KEYS_MAX {
            old = old.renewed().expect("room");
        }
        let new = made();
        let taken = new.with_those_of(OLD, old.key(), &old.handed_to(new.key()).expect("sealed"));
        let taken = taken.expect("as many as fit");
        assert_eq!(taken.count(), KEYS_MAX + 1);
        taken.renewed().expect("room for one's own");
        let more = made();
        let keyring = more.handed_to(new.key()).expect("sealed");
        assert!(matches!(taken.with_those_of(OLDER, more.key(), &keyring), Err(SealingKeysError::Full)));
    }
}
