//! The relay login.

use std::path::Path;

use nkeys::{KeyPair, KeyPairType};

use super::files::{read_private, write_new};
use super::{KeyringError, random_bytes};

/// The login of this station at its relays: an nkey of a NATS user. `Debug` shows the public half only.
#[derive(Clone)]
pub struct Login {
    seed: String,
    public: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Login {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, KeyringError> {
        let pair = KeyPair::new_from_raw(KeyPairType::User, random_bytes()?)
            .map_err(|_| KeyringError::Randomness)?;
        Self::from_pair(&pair).map_err(|_| KeyringError::Randomness)
    }

    /// The login with this seed.
    ///
    /// # Errors
    /// Says what is wrong with the text, without repeating it.
    pub fn from_seed(seed: &str) -> Result<Self, String> {
        let pair = KeyPair::from_seed(seed.trim()).map_err(|error| error.to_string())?;
        if !matches!(pair.key_pair_type(), KeyPairType::User) {
            return Err("it is an nkey, but not that of a user".to_owned());
        }
        Self::from_pair(&pair)
    }

    fn from_pair(pair: &KeyPair) -> Result<Self, String> {
        let seed = pair.seed().map_err(|error| error.to_string())?;
        Ok(Self { seed, public: pair.public_key() })
    }

    /// The public half, `U…`, as the directory lists it.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// The secret half.
    pub(crate) fn seed(&self) -> &str {
        &self.seed
    }

    /// Reads it from a file.
    ///
    /// # Errors
    /// When the file cannot be read, is exposed, or holds something else.
    pub fn read(path: &Path) -> Result<Self, KeyringError> {
        let wrong = |found| KeyringError::Login { path: path.to_owned(), found };
        let bytes = read_private(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| wrong("it is not text".to_owned()))?;
        Self::from_seed(text).map_err(wrong)
    }

    /// Keeps it in a new file.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), KeyringError> {
        write_new(path, format!("{}\n", self.seed).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_is_read_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("login.nk");
        let login = Login::generate().expect("randomness");
        login.write(&path).expect("written");
        assert_eq!(Login::read(&path).expect("read").public(), login.public());
        assert!(!format!("{login:?}").contains(login.seed()), "the seed is shown");
    }

    #[test]
    fn login_of_an_account_is_refused() {
        let account = KeyPair::new_from_raw(KeyPairType::Account, [1; 32]).expect("a pair");
        assert!(Login::from_seed(&account.seed().expect("a seed")).is_err());
    }
}
