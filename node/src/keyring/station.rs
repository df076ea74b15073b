//! The signing key of a station: which one its settings and its directory expect.

use schema::directory::Directory;

use super::{KeyringError, OpenedKey, Unlock, open_signing_key};
use crate::config::Config;

impl Config {
    /// The public keys of which the signing key must be one: the one in the settings; without it, those that the
    /// directory lists for the office. None when neither knows any.
    pub fn expected_keys(&self, directory: Option<&Directory>) -> Vec<[u8; 32]> {
        if let Some(public) = self.public_key {
            return vec![public];
        }
        let office = directory.and_then(|directory| directory.office(&self.office));
        office.map(|office| office.keys.iter().map(|listed| listed.key).collect()).unwrap_or_default()
    }

    /// Opens the signing key of the station; the passphrase is looked for where `unlock` says, then where the
    /// settings say.
    ///
    /// # Errors
    /// Those of [`open_signing_key`].
    pub fn open_key(
        &self,
        directory: Option<&Directory>,
        unlock: &Unlock,
    ) -> Result<OpenedKey, KeyringError> {
        let unlock = unlock.clone().or_file(self.passphrase_file.as_deref());
        open_signing_key(&self.signing_key, &self.expected_keys(directory), &unlock)
    }
}
