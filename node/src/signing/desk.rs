//! The desk: requests for signatures that outlive the process that made them.
//!
//! A request is in the store before anybody is asked. An answer becomes a signature only when it holds under the
//! officer's certificate, over exactly what was written down; and a request that has ended never changes. So answers
//! may come late, twice, in another order, for another request, or be made up.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use schema::id::{RequestId, hex};
use schema::text::require_plain;
use schema::time::Millis;
use schema::trust::Preparation;
use schema::trust::cms::PreparationError;
use sha2::{Digest, Sha256};

use super::{Begun, Handle, Progress, Seat, SeatError, Signer, SignerError, SigningRequest};
use crate::config::{SignerConfig, SignerKind};
use crate::keyring::{KeyringError, Passphrase, random_bytes};
use crate::store::{
    Ending, LISTED_REQUESTS_MAX, NewRequest, OPEN_REQUESTS_MAX, OpenRequest, Recorded, RequestRow,
    RequestState, SigningStore, StoreError,
};
use crate::words::{Lang, SIGNING, with_causes, word};

/// Largest frozen bytes that are signed, in bytes.
pub const CONTENT_BYTES_MAX: usize = 64 * 1024;
/// Longest description that an officer reads, in bytes: a telephone shows no more.
pub const DESCRIPTION_BYTES_MAX: usize = 256;
/// How long an officer may take, in milliseconds: providers give up after about five minutes.
pub const REQUEST_MS: u64 = 15 * Millis::MINUTE;
/// How long a request that is over is still asked about while its provider is out of reach, in milliseconds: the
/// officer may have signed in time, and the line was down.
pub const GRACE_MS: u64 = Millis::DAY;
/// How long a provider is left alone between two questions about one request, in milliseconds.
pub const POLL_MS: u64 = 5_000;
/// The same when it does not answer, after some attempts.
pub const POLL_MS_MAX: u64 = 60_000;
/// Answers that do not hold before a request ends: a provider may mix two up once.
pub const ANSWERS_REFUSED_MAX: u32 = 3;

/// Why a request for a signature is not taken, or not answered.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The settings name no such signer.
    #[error("no signer `{name}` is in the settings")]
    UnknownSigner {
        /// The name that was given.
        name: String,
    },
    /// The signer's settings cannot be used.
    #[error("signer `{name}` cannot be used: {found}")]
    Unusable {
        /// Its name.
        name: String,
        /// Why.
        found: String,
    },
    /// Nothing, or more than is signed.
    #[error("{found} bytes were given to be signed, 1 to {CONTENT_BYTES_MAX} are accepted")]
    ContentLength {
        /// How many, in bytes.
        found: usize,
    },
    /// A description that a telephone cannot show.
    #[error("the description is empty, longer than {DESCRIPTION_BYTES_MAX} bytes, or not plain text in NFC")]
    Description,
    /// Nobody would accept a signature with this certificate now.
    #[error("the signature cannot be prepared")]
    Preparation(#[source] PreparationError),
    /// Too many wait.
    #[error("{OPEN_REQUESTS_MAX} requests wait for their signatures; no more are taken")]
    TooMany,
    /// The store failed.
    #[error("the requests for signatures cannot be kept")]
    Store(#[source] StoreError),
    /// The system gave no randomness.
    #[error("no id for a request")]
    Randomness(#[source] KeyringError),
}

impl DeskError {
    /// Its code.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::UnknownSigner { .. } => "unknown-signer",
            Self::Unusable { .. } => "signer-unusable",
            Self::ContentLength { .. } => "content-length",
            Self::Description => "description",
            Self::Preparation(_) => "preparation",
            Self::TooMany => "too-many-requests",
            Self::Store(_) | Self::Randomness(_) => "store",
        }
    }
}

/// What is to be signed, and by whom.
#[derive(Debug)]
pub struct Ask {
    /// The signer's name in the settings.
    pub signer: String,
    /// The frozen bytes.
    pub content: Vec<u8>,
    /// What the officer reads before agreeing.
    pub description: String,
    /// Who asks, by full name; none for a program.
    pub asked_by: Option<String>,
    /// Passphrase or PIN. Tried once and forgotten.
    pub secret: Option<Passphrase>,
}

/// A request as people see it. Citizen numbers in the officer's name are masked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestView {
    /// Its id.
    pub id: RequestId,
    /// The signer's name in the settings.
    pub signer: String,
    /// Who signs, masked.
    pub officer: String,
    /// What the officer reads.
    pub description: String,
    /// Who asked, by full name; none for a program.
    pub asked_by: Option<String>,
    /// SHA-256 of the frozen bytes.
    pub digest: [u8; 32],
    /// The beginning of the hash that a provider was given, as the officer sees it.
    pub check: String,
    /// How far it is.
    pub state: RequestState,
    /// Code of the last trouble; a key of [`SIGNING`].
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: Millis,
    /// When nobody need answer any more.
    pub expires_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// CMS in DER, once it is signed.
    pub signature: Option<Vec<u8>>,
}

impl RequestView {
    fn of(row: RequestRow) -> Self {
        let preparation = Preparation::decode(&row.preparation).ok();
        let officer = preparation.as_ref().map(|preparation| preparation.certificate().subject().to_string());
        Self {
            id: row.id,
            signer: row.signer,
            officer: officer.unwrap_or_default(),
            description: row.description,
            asked_by: row.asked_by,
            digest: row.digest,
            check: preparation.as_ref().map(check_of).unwrap_or_default(),
            state: row.state,
            reason: row.reason,
            created_at: row.created_at,
            expires_at: row.expires_at,
            ended_at: row.ended_at,
            signature: row.signature,
        }
    }

    /// The words for the last trouble.
    pub fn reason_text(&self, lang: Lang) -> Option<String> {
        self.reason.as_deref().map(|reason| word(SIGNING, reason, lang).to_owned())
    }
}

/// Eight digits of the hash that is signed: the same on the screen and on the telephone, or somebody changed it.
pub(super) fn check_of(preparation: &Preparation) -> String {
    let digest = preparation.digest().unwrap_or_else(|| Sha256::digest(preparation.to_be_signed()).to_vec());
    let digits = hex(&digest[..4]).to_uppercase();
    format!("{} {}", &digits[..4], &digits[4..])
}

/// When a request is asked about again.
#[derive(Clone, Copy)]
struct Pace {
    next_at: Millis,
    failures: u32,
}

/// The officers' places, and the requests that wait for them.
pub struct Desk {
    seats: BTreeMap<String, Result<Seat, String>>,
    store: Mutex<SigningStore>,
    paces: Mutex<BTreeMap<RequestId, Pace>>,
}

/// How a question to a signer came out.
enum Outcome {
    Settled,
    Waiting,
    /// The provider is out of reach: it is not asked about anything else for now.
    Unreachable,
}

impl Desk {
    /// Opens the desk of a station: `database` is its store, which is open already. A signer that cannot be used is
    /// named in the list of signers and does not keep the station from starting.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(database: &Path, signers: &[SignerConfig], now: Millis) -> Result<Self, StoreError> {
        let seats = signers.iter().map(|config| {
            let seat = Seat::open(config).map_err(|error: SeatError| {
                let found = with_causes(&error);
                tracing::warn!(signer = config.name, error = found, "nobody can sign with this signer");
                found
            });
            (config.name.clone(), seat)
        });
        Self::with_seats(database, seats.collect(), now)
    }

    /// Opens a desk with these places.
    ///
    /// # Errors
    /// When the store fails.
    pub fn with_seats(
        database: &Path,
        seats: BTreeMap<String, Result<Seat, String>>,
        now: Millis,
    ) -> Result<Self, StoreError> {
        let store = SigningStore::open(database)?;
        let desk = Self { seats, store: Mutex::new(store), paces: Mutex::default() };
        desk.end_interrupted(now)?;
        Ok(desk)
    }

    /// Whoever signs at once was about to when the process died, and the secret is gone.
    fn end_interrupted(&self, now: Millis) -> Result<(), StoreError> {
        let store = self.store();
        for request in store.open_requests()? {
            let local = match self.seats.get(&request.signer) {
                Some(Ok(seat)) => !matches!(seat.kind, SignerKind::Remote { .. }),
                // Its settings may be mended before it expires.
                Some(Err(_)) | None => request.transaction.is_none(),
            };
            if local {
                store.end(&request.id, Ending::Without(RequestState::Failed, "interrupted"), now)?;
            }
        }
        Ok(())
    }

    /// Every signer of the settings, with its place or why nobody can sign there.
    pub fn signers(&self) -> impl Iterator<Item = (&str, Result<&Seat, &str>)> {
        self.seats.iter().map(|(name, seat)| (name.as_str(), seat.as_ref().map_err(String::as_str)))
    }

    /// Asks an officer for a signature. Whoever signs at once has signed when this returns, or the request has failed;
    /// what a provider was asked for comes with [`Desk::poll`]. May take as long as the signer, up to half a minute.
    ///
    /// The same document before the same officer is one request as long as it waits.
    ///
    /// # Errors
    /// When nothing was written down and nobody was asked.
    pub fn ask(&self, ask: &Ask, now: Millis) -> Result<RequestView, DeskError> {
        let seat = self.seats.get(&ask.signer);
        let seat = seat.ok_or_else(|| DeskError::UnknownSigner { name: ask.signer.clone() })?;
        let seat = seat
            .as_ref()
            .map_err(|found| DeskError::Unusable { name: ask.signer.clone(), found: found.clone() })?;
        if ask.content.is_empty() || ask.content.len() > CONTENT_BYTES_MAX {
            return Err(DeskError::ContentLength { found: ask.content.len() });
        }
        let described = !ask.description.is_empty() && ask.description.len() <= DESCRIPTION_BYTES_MAX;
        if !described || require_plain(&ask.description, DESCRIPTION_BYTES_MAX).is_err() {
            return Err(DeskError::Description);
        }
        // Taken before anything is written: whoever asks later sees what became of this.
        let mut signer = seat.signer.lock().unwrap_or_else(PoisonError::into_inner);
        let preparation =
            Preparation::new(&ask.content, seat.certificate.as_der(), now).map_err(DeskError::Preparation)?;
        let id = RequestId::new(random_bytes().map_err(DeskError::Randomness)?);
        let encoded = preparation.encode();
        let new = NewRequest {
            id,
            signer: &seat.name,
            preparation: &encoded,
            content: &ask.content,
            digest: Sha256::digest(&ask.content).into(),
            description: &ask.description,
            asked_by: ask.asked_by.as_deref(),
            created_at: now,
            expires_at: Millis(now.0.saturating_add(REQUEST_MS)),
        };
        let recorded = self.store().record(&new).map_err(DeskError::Store)?;
        match recorded {
            Recorded::New => {}
            Recorded::Open(id) => return self.shown(&id),
            Recorded::TooMany => return Err(DeskError::TooMany),
        }
        tracing::info!(request = %id, signer = seat.name, "signature asked for");
        let request = SigningRequest {
            id,
            preparation: &preparation,
            description: &ask.description,
            secret: ask.secret.as_ref(),
        };
        self.begin(seat, &mut **signer, &request, now).map_err(DeskError::Store)?;
        drop(signer);
        self.shown(&id)
    }

    fn begin(
        &self,
        seat: &Seat,
        signer: &mut dyn Signer,
        request: &SigningRequest<'_>,
        now: Millis,
    ) -> Result<Outcome, StoreError> {
        match signer.begin(request) {
            Ok(Begun::Signed(signature)) => {
                self.accept(seat, &request.id, request.preparation, &signature, now)
            }
            Ok(Begun::Asked(handle)) => {
                if handle.request == request.id && self.store().asked(&request.id, &handle.transaction)? {
                    self.paced(&request.id, now, false);
                    Ok(Outcome::Waiting)
                } else {
                    // The provider's name of another request: answers to it could not be told apart.
                    self.refuse(seat, &request.id, "mixed-up", now)
                }
            }
            Err(error) => self.trouble(seat, &request.id, &error, now),
        }
    }

    /// Asks providers about every request that waits and is due. May take as long as they do.
    ///
    /// # Errors
    /// When the store fails: nothing more is promised until it works again.
    pub fn poll(&self, now: Millis) -> Result<(), StoreError> {
        let open = self.store().open_requests()?;
        self.paces().retain(|id, _| open.iter().any(|request| request.id == *id));
        let mut unreachable: Vec<&str> = Vec::new();
        for request in &open {
            let pace = self.paces().get(&request.id).copied();
            // A clock that was set back does not silence a request.
            let due = pace.is_none_or(|pace| pace.next_at <= now || pace.next_at.since(now) > POLL_MS_MAX);
            if !due || unreachable.contains(&request.signer.as_str()) {
                continue;
            }
            if let Outcome::Unreachable = self.poll_one(request, now)? {
                unreachable.push(&request.signer);
            }
        }
        Ok(())
    }

    fn poll_one(&self, request: &OpenRequest, now: Millis) -> Result<Outcome, StoreError> {
        let over = request.expires_at <= now;
        let Some(Ok(seat)) = self.seats.get(&request.signer) else {
            // Taken out of the settings: nobody can be asked any more.
            if over {
                self.end(&request.id, RequestState::Expired, "expired", now)?;
            }
            return Ok(Outcome::Waiting);
        };
        let mut signer = match seat.signer.try_lock() {
            Ok(signer) => signer,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(Outcome::Waiting),
        };
        let preparation = Preparation::decode(&request.preparation).ok();
        let Some(preparation) = preparation.filter(|preparation| preparation.covers(&request.content)) else {
            tracing::error!(request = %request.id, "a signing request in the store cannot be read");
            self.end(&request.id, RequestState::Failed, "damaged", now)?;
            return Ok(Outcome::Settled);
        };
        let outcome = match &request.transaction {
            // It is not known whether the provider has heard of it: the same id again is the same request.
            None if !over => {
                let request = SigningRequest {
                    id: request.id,
                    preparation: &preparation,
                    description: &request.description,
                    secret: None,
                };
                self.begin(seat, &mut **signer, &request, now)?
            }
            None => {
                self.end(&request.id, RequestState::Expired, "expired", now)?;
                Outcome::Settled
            }
            Some(transaction) => {
                let handle = Handle { request: request.id, transaction: transaction.clone() };
                let answer = signer.poll(&handle);
                self.answered(seat, request, &preparation, answer, now)?
            }
        };
        drop(signer);
        Ok(outcome)
    }

    fn answered(
        &self,
        seat: &Seat,
        request: &OpenRequest,
        preparation: &Preparation,
        answer: Result<Progress, SignerError>,
        now: Millis,
    ) -> Result<Outcome, StoreError> {
        let id = &request.id;
        let over = request.expires_at <= now;
        let (state, reason) = match answer {
            Ok(Progress::Signed(signature)) => return self.accept(seat, id, preparation, &signature, now),
            Ok(Progress::Pending) if !over => {
                self.paced(id, now, false);
                return Ok(Outcome::Waiting);
            }
            Ok(Progress::Pending | Progress::Expired) => (RequestState::Expired, "expired"),
            Ok(Progress::Declined) => (RequestState::Declined, "declined"),
            Ok(Progress::Failed) => (RequestState::Failed, "provider-failed"),
            Ok(Progress::Lost) => (RequestState::Failed, "lost"),
            Err(error) if over && now.since(request.expires_at) > GRACE_MS => {
                tracing::warn!(request = %id, error = error.found(), "no answer about a request that is over");
                (RequestState::Expired, "expired")
            }
            Err(error) => return self.trouble(seat, id, &error, now),
        };
        self.end(id, state, reason, now)?;
        Ok(Outcome::Settled)
    }

    /// Believes nobody: what came back is verified against the certificate first.
    fn accept(
        &self,
        seat: &Seat,
        id: &RequestId,
        preparation: &Preparation,
        signature: &[u8],
        now: Millis,
    ) -> Result<Outcome, StoreError> {
        let chain: Vec<&[u8]> = seat.chain.iter().map(Vec::as_slice).collect();
        match preparation.finish(signature, &chain) {
            Ok(cms) => {
                if self.store().end(id, Ending::Signed(&cms), now)? {
                    tracing::info!(request = %id, signer = seat.name, "signature verified and kept");
                }
                Ok(Outcome::Settled)
            }
            Err(error) => {
                tracing::warn!(request = %id, signer = seat.name, %error, "an answer does not hold; it was not used");
                self.refuse(seat, id, "not-made", now)
            }
        }
    }

    /// An answer that does not hold. Whoever signs at once gives no other.
    fn refuse(&self, seat: &Seat, id: &RequestId, reason: &str, now: Millis) -> Result<Outcome, StoreError> {
        let refused = self.store().refuse_answer(id, reason)?;
        if refused >= ANSWERS_REFUSED_MAX || !matches!(seat.kind, SignerKind::Remote { .. }) {
            self.end(id, RequestState::Failed, reason, now)?;
            return Ok(Outcome::Settled);
        }
        self.paced(id, now, false);
        Ok(Outcome::Waiting)
    }

    fn trouble(
        &self,
        seat: &Seat,
        id: &RequestId,
        error: &SignerError,
        now: Millis,
    ) -> Result<Outcome, StoreError> {
        let found = error.found();
        tracing::warn!(request = %id, signer = seat.name, error = found, "the signer did not sign");
        if error.is_passing() {
            self.store().note(id, error.word())?;
            self.paced(id, now, true);
            return Ok(match error {
                SignerError::Unreachable { .. } => Outcome::Unreachable,
                _ => Outcome::Waiting,
            });
        }
        self.end(id, RequestState::Failed, error.word(), now)?;
        Ok(Outcome::Settled)
    }

    fn end(&self, id: &RequestId, state: RequestState, reason: &str, now: Millis) -> Result<(), StoreError> {
        if self.store().end(id, Ending::Without(state, reason), now)? {
            tracing::info!(request = %id, state = state.word(), reason, "signing request ended without a signature");
        }
        Ok(())
    }

    fn paced(&self, id: &RequestId, now: Millis, failed: bool) {
        let mut paces = self.paces();
        let failures = match paces.get(id) {
            Some(pace) if failed => pace.failures.saturating_add(1),
            _ => u32::from(failed),
        };
        let wait = POLL_MS.checked_shl(failures).unwrap_or(POLL_MS_MAX).min(POLL_MS_MAX);
        paces.insert(*id, Pace { next_at: Millis(now.0.saturating_add(wait)), failures });
    }

    /// One request.
    ///
    /// # Errors
    /// When the store fails.
    pub fn request(&self, id: &RequestId) -> Result<Option<RequestView>, StoreError> {
        Ok(self.store().request(id)?.map(RequestView::of))
    }

    /// The newest requests, newest first, without their signatures.
    ///
    /// # Errors
    /// When the store fails.
    pub fn requests(&self, limit: u32) -> Result<Vec<RequestView>, StoreError> {
        let rows = self.store().requests(limit.min(LISTED_REQUESTS_MAX))?;
        Ok(rows.into_iter().map(|row| RequestView { signature: None, ..RequestView::of(row) }).collect())
    }

    fn shown(&self, id: &RequestId) -> Result<RequestView, DeskError> {
        let view = self.request(id).map_err(DeskError::Store)?;
        view.ok_or(DeskError::Store(StoreError::Value { what: "a signing request" }))
    }

    fn store(&self) -> MutexGuard<'_, SigningStore> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paces(&self) -> MutexGuard<'_, BTreeMap<RequestId, Pace>> {
        self.paces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often the desk looks for requests that are due.
const LOOK: std::time::Duration = std::time::Duration::from_millis(500);

/// Keeps asking providers about what waits, on a thread of its own, until the desk is dropped everywhere else.
///
/// # Errors
/// When the system gives no thread.
pub fn keep_polling(desk: &Arc<Desk>) -> std::io::Result<std::thread::JoinHandle<()>> {
    let desk = Arc::downgrade(desk);
    std::thread::Builder::new().name("tram-desk".to_owned()).spawn(move || {
        loop {
            std::thread::sleep(LOOK);
            let Some(desk) = desk.upgrade() else { return };
            if let Err(error) = desk.poll(crate::runtime::now()) {
                tracing::error!(error = with_causes(&error), "the signing requests cannot be looked after");
            }
        }
    })
}
