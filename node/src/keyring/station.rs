//! The signing key of a station: which one its settings and its registry expect.

use schema::registry::Registry;

use super::{KeyringError, OpenedKey, Unlock, open_signing_key};
use crate::config::Config;

impl Config {
    /// The public keys of which the signing key must be one: the one in the settings, and those that are certified for
    /// the office. None when neither knows any.
    pub fn expected_keys(&self, registry: Option<&Registry>) -> Vec<[u8; 32]> {
        let keys = registry.map(|registry| registry.keys(&self.office)).unwrap_or_default();
        let certified = keys.iter().map(|known| known.key().to_bytes());
        let mut expected: Vec<[u8; 32]> = self.public_key.into_iter().chain(certified).collect();
        expected.dedup();
        expected
    }

    /// Opens the signing key of the station; the passphrase is looked for where `unlock` says, then where the
    /// settings say.
    ///
    /// # Errors
    /// Those of [`open_signing_key`].
    pub fn open_key(&self, registry: Option<&Registry>, unlock: &Unlock) -> Result<OpenedKey, KeyringError> {
        let unlock = unlock.clone().or_file(self.passphrase_file.as_deref());
        open_signing_key(&self.signing_key, &self.expected_keys(registry), &unlock)
    }
}
