//! Officers' signatures (*chữ ký số của cá nhân có thẩm quyền*): who signs, and how the answer comes back.
//!
//! ```text
//! frozen bytes ─► Desk ─► written down ─► Signer::begin ─┬─► signature at once (key file, token)
//!                                                        └─► Signer::poll … minutes, a restart later
//!                  CMS ◄─ verified here, against the certificate ◄─ whatever came back
//! ```
//!
//! Start with [`Desk`]. A [`Signer`] is not believed: it gives bytes, and only [`Preparation::finish`] makes a
//! document's signature of them. A secret (passphrase, PIN) is given with one request, tried once, and forgotten.

mod desk;
mod file;
mod remote;
mod seat;
mod token;

use std::path::PathBuf;

use schema::id::RequestId;
use schema::trust::Preparation;
use schema::trust::algorithm::SignatureAlgorithm;

pub use desk::{
    ANSWERS_REFUSED_MAX, Ask, CONTENT_BYTES_MAX, DESCRIPTION_BYTES_MAX, Desk, DeskError, GRACE_MS, POLL_MS,
    POLL_MS_MAX, REQUEST_MS, RequestView, keep_polling,
};
pub use file::FileSigner;
pub use remote::{ANSWER_BYTES_MAX, ANSWER_SECONDS_MAX, Provider, RemoteSigner, TRANSACTION_CHARS_MAX};
pub use seat::{Seat, SeatError};
pub use token::{TOKEN_SECONDS_MAX, TokenSigner, TriesLeft};

use crate::keyring::{KeyringError, Passphrase};
use crate::words::{Lang, SIGNING, with_causes, word};

/// What a signer is asked for.
pub struct SigningRequest<'a> {
    /// The same for every repetition: a provider that knows it does not ask the officer a second time.
    pub id: RequestId,
    /// Certificate, algorithm, and exactly the bytes.
    pub preparation: &'a Preparation,
    /// What the officer reads before agreeing.
    pub description: &'a str,
    /// Passphrase or PIN, for this request only.
    pub secret: Option<&'a Passphrase>,
}

/// What a provider calls a request that it has taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handle {
    /// Our name for it.
    pub request: RequestId,
    /// The provider's name for it.
    pub transaction: String,
}

/// What became of asking.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Begun {
    /// Signed at once.
    Signed(Vec<u8>),
    /// The answer comes later.
    Asked(Handle),
}

/// What a provider says when it is asked again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// Nothing yet.
    Pending,
    /// Bytes that are said to be the signature: RSA and Ed25519 as they are, ECDSA as an ECDSA-Sig-Value.
    Signed(Vec<u8>),
    /// The officer said no.
    Declined,
    /// The officer did not answer in time.
    Expired,
    /// The provider gave up.
    Failed,
    /// The provider does not know of it.
    Lost,
}

/// Whatever signs for one officer.
pub trait Signer: Send {
    /// Asks for a signature. Asking again with the same request is asking once.
    ///
    /// # Errors
    /// Says why nobody signs, or that it is not known whether somebody will ([`SignerError::is_passing`]).
    fn begin(&mut self, request: &SigningRequest<'_>) -> Result<Begun, SignerError>;

    /// Asks how far it is. Whatever signs at once has no handles, and so is never asked.
    ///
    /// # Errors
    /// When there is no answer, or one that says nothing about this request.
    fn poll(&mut self, handle: &Handle) -> Result<Progress, SignerError>;
}

/// Why nobody signs.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// Nobody gave the passphrase or PIN.
    #[error("the signer needs a passphrase or PIN, and none was given with the request")]
    SecretMissing,
    /// The key file, or its passphrase.
    #[error("the officer's key file was not opened")]
    Keyring(#[source] KeyringError),
    /// A key that cannot be used.
    #[error("the key in `{}` cannot sign: {found}", path.display())]
    KeyUnusable {
        /// Which file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// What came back was made by another key, or by none.
    #[error("the key of the signer is not that of its certificate")]
    OtherKey,
    /// This signer does not sign like that.
    #[error("this signer does not sign with {algorithm}")]
    Algorithm {
        /// What the certificate's key would need.
        algorithm: SignatureAlgorithm,
    },
    /// The library of a token's maker cannot be used.
    #[error("the token's library `{}` cannot be used: {found}", path.display())]
    Module {
        /// Which file.
        path: PathBuf,
        /// What it said.
        found: String,
    },
    /// The token is not plugged in, or was taken out.
    #[error("no token with serial number `{serial}` is there")]
    TokenAbsent {
        /// Which one.
        serial: String,
    },
    /// The token does something else.
    #[error("the token is busy with another request; this one was not tried")]
    TokenBusy,
    /// The token does not answer.
    #[error("the token has not answered within {seconds} s")]
    TokenSilent {
        /// How long it was waited for, in seconds.
        seconds: u64,
    },
    /// The token failed.
    #[error("the token failed: {found}")]
    TokenFailed {
        /// What its library said.
        found: String,
    },
    /// The key is not on the token.
    #[error("the token does not hold the key that the settings name")]
    KeyAbsent,
    /// The PIN is wrong. It is not tried again.
    #[error("the PIN is wrong; it was tried once, tries left: {tries:?}")]
    WrongPin {
        /// How many more a person has.
        tries: TriesLeft,
    },
    /// Too many wrong PINs were tried.
    #[error("the token has locked its PIN; nothing was tried")]
    PinLocked,
    /// What the provider knows this station by cannot be read.
    #[error("what the provider knows this station by cannot be read")]
    Account(#[source] KeyringError),
    /// The provider cannot be reached, or has trouble of its own.
    #[error("the provider does not answer: {found}")]
    Unreachable {
        /// What was found.
        found: String,
    },
    /// The provider says something that cannot be understood.
    #[error("the provider's answer is not as expected: {found}")]
    Garbled {
        /// What was found.
        found: String,
    },
    /// The provider does not take the request.
    #[error("the provider refuses with status {status}")]
    ProviderRefused {
        /// Of HTTP.
        status: u16,
    },
    /// The provider would sign as somebody else, or as nobody.
    #[error("the provider does not list credential `{credential}` with the certificate of the settings")]
    OtherCertificate {
        /// Its name for it.
        credential: String,
    },
    /// It signs at once, and was asked about later.
    #[error("this signer keeps no requests")]
    NoRequests,
}

impl SignerError {
    /// Its code, and the key of the words for it in [`SIGNING`].
    pub const fn word(&self) -> &'static str {
        match self {
            Self::SecretMissing => "secret-missing",
            Self::Keyring(KeyringError::WrongPassphrase { .. }) => "wrong-passphrase",
            Self::Keyring(KeyringError::Exposed { .. }) => "key-exposed",
            Self::Keyring(KeyringError::NotProtected { .. }) => "key-unencrypted",
            Self::Keyring(_) | Self::KeyUnusable { .. } => "key-unusable",
            Self::OtherKey => "other-key",
            Self::Algorithm { .. } => "algorithm",
            Self::Module { .. } => "token-module",
            Self::TokenAbsent { .. } => "token-absent",
            Self::TokenBusy => "token-busy",
            Self::TokenSilent { .. } => "token-silent",
            Self::TokenFailed { .. } => "token-failed",
            Self::KeyAbsent => "token-key",
            Self::WrongPin { tries: TriesLeft::Enough | TriesLeft::Few } => "wrong-pin",
            Self::WrongPin { tries: TriesLeft::One } => "wrong-pin-one-left",
            Self::WrongPin { tries: TriesLeft::None } | Self::PinLocked => "pin-locked",
            Self::Account(_) => "provider-account",
            Self::Unreachable { .. } => "unreachable",
            Self::Garbled { .. } => "garbled",
            Self::ProviderRefused { .. } => "provider-refused",
            Self::OtherCertificate { .. } => "other-certificate",
            Self::NoRequests => "lost",
        }
    }

    /// Whether the request may still be signed although this went wrong: nobody is asked a second time for it.
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Garbled { .. })
    }

    /// The words for a clerk: what happened, then what to do.
    pub fn text(&self, lang: Lang) -> String {
        word(SIGNING, self.word(), lang).to_owned()
    }

    /// For the log: everything that was found. No error of a signer repeats a secret.
    pub(crate) fn found(&self) -> String {
        with_causes(self)
    }
}
