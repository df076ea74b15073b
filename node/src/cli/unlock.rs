//! Where a command finds the passphrase of the signing key, and what a person is told when it does not.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;

use crate::cli::client::CliError;
use crate::keyring::{KeyringError, Unlock};
use crate::words::{Lang, UNLOCK, with_causes, word};

/// Where the passphrase is.
#[derive(Args)]
pub(super) struct UnlockArgs {
    /// File with the passphrase of the signing key: one line, mode 600.
    ///
    /// When it is left out, the passphrase is looked for in the file that `passphrase_file` under `[unlock]` in the
    /// settings names, then in the systemd credential `tram-node-passphrase`, then asked for at the terminal. It is
    /// never taken from the command line or the environment, where others could see it.
    #[arg(long, value_name = "PATH")]
    passphrase_file: Option<PathBuf>,
}

impl UnlockArgs {
    /// The places that this process has.
    pub(super) fn places(self, lang: Lang) -> Unlock {
        Unlock::of_process(self.passphrase_file, lang)
    }

    /// The file that was named.
    pub(super) fn named(&self) -> Option<&PathBuf> {
        self.passphrase_file.as_ref()
    }
}

/// What a person is told, when this one error is about a signing key.
pub(super) fn words_for(error: &(dyn Error + 'static), lang: Lang) -> Option<&'static str> {
    let key = error.downcast_ref::<KeyringError>()?.word()?;
    Some(word(UNLOCK, key, lang))
}

/// A failure as it is shown: in the reader's words first when it is about a signing key, then as it happened.
pub(super) fn refused(error: &(dyn Error + 'static), lang: Lang) -> CliError {
    let mut cause = Some(error);
    while let Some(found) = cause {
        if let Some(code) = found.downcast_ref::<KeyringError>().and_then(KeyringError::word) {
            let (code, message) = (code.to_owned(), word(UNLOCK, code, lang).to_owned());
            return CliError::Refused { code, message, detail: Some(with_causes(error)) };
        }
        cause = found.source();
    }
    CliError::Words(with_causes(error))
}
