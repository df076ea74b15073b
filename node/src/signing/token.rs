//! A key on a PKCS#11 token (*USB token*), through the library of its maker.
//!
//! Such a library is blocking, knows one state for a whole process, and may hang. So each has one thread of its own,
//! which does one request at a time from beginning to end: initialise, find the token by its serial number, log in,
//! sign, log out, finalise. Nothing is kept in between; a token that was taken out and put back is simply found again.
//!
//! **A PIN is tried once.** A token locks itself after a few wrong ones, so nothing here tries one again, and a
//! request that had to wait too long is thrown away with its PIN untried.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use schema::trust::Preparation;
use schema::trust::algorithm::SignatureAlgorithm;

use super::{Begun, Handle, Progress, Signer, SignerError, SigningRequest};

/// How long a token may take to sign, in seconds: a slow one needs two, and a person may have to press a button.
pub const TOKEN_SECONDS_MAX: u64 = 25;

/// The start of a DigestInfo with SHA-256 (RFC 8017 section 9.2, note 1).
const DIGEST_INFO_SHA256: &[u8] =
    b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";

/// The threads of the libraries that are in use. One for the whole process, because a library's state is.
static MODULES: Mutex<BTreeMap<PathBuf, SyncSender<Job>>> = Mutex::new(BTreeMap::new());

/// How many tries of its PIN a token has left, in the few words that it has for that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TriesLeft {
    /// As many as ever.
    Enough,
    /// A wrong PIN was tried since the last right one.
    Few,
    /// One more wrong PIN locks the token.
    One,
    /// The token is locked.
    None,
}

impl TriesLeft {
    fn of(info: &TokenInfo) -> Self {
        if info.user_pin_locked() {
            Self::None
        } else if info.user_pin_final_try() {
            Self::One
        } else if info.user_pin_count_low() {
            Self::Few
        } else {
            Self::Enough
        }
    }
}

/// Signs with a key on a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenSigner {
    module: PathBuf,
    serial: String,
    key_id: Vec<u8>,
}

/// One signature, for the thread of a library.
struct Job {
    serial: String,
    key_id: Vec<u8>,
    algorithm: SignatureAlgorithm,
    message: Vec<u8>,
    digest: Option<Vec<u8>>,
    /// Wiped when it is dropped.
    pin: AuthPin,
    deadline: Instant,
    reply: SyncSender<Result<Vec<u8>, SignerError>>,
}

impl TokenSigner {
    /// Signs with the key that has this CKA_ID on the token with this serial number.
    pub fn new(module: impl Into<PathBuf>, serial: &str, key_id: &[u8]) -> Self {
        Self { module: module.into(), serial: serial.to_owned(), key_id: key_id.to_vec() }
    }

    fn job(&self, preparation: &Preparation, pin: &str) -> (Job, Receiver<Result<Vec<u8>, SignerError>>) {
        let (reply, answer) = sync_channel(1);
        let job = Job {
            serial: self.serial.clone(),
            key_id: self.key_id.clone(),
            algorithm: preparation.algorithm(),
            message: preparation.to_be_signed().to_vec(),
            digest: preparation.digest(),
            pin: AuthPin::new(pin.into()),
            deadline: Instant::now() + Duration::from_secs(TOKEN_SECONDS_MAX),
            reply,
        };
        (job, answer)
    }
}

impl Signer for TokenSigner {
    fn begin(&mut self, request: &SigningRequest<'_>) -> Result<Begun, SignerError> {
        let pin = request.secret.ok_or(SignerError::SecretMissing)?;
        let preparation = request.preparation;
        let (job, answer) = self.job(preparation, pin.as_str());
        match thread_of(&self.module)?.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => return Err(SignerError::TokenBusy),
            Err(TrySendError::Disconnected(_)) => {
                return Err(SignerError::Module {
                    path: self.module.clone(),
                    found: "its thread ended".to_owned(),
                });
            }
        }
        let signature = answer.recv_timeout(Duration::from_secs(TOKEN_SECONDS_MAX));
        let signature = signature.map_err(|_| SignerError::TokenSilent { seconds: TOKEN_SECONDS_MAX })??;
        let key = preparation.certificate().key();
        if key.verifies(preparation.algorithm(), preparation.to_be_signed(), &signature) {
            Ok(Begun::Signed(signature))
        } else {
            Err(SignerError::OtherKey)
        }
    }

    fn poll(&mut self, _handle: &Handle) -> Result<Progress, SignerError> {
        Err(SignerError::NoRequests)
    }
}

/// The way to the thread of a library; starts it on first use.
fn thread_of(module: &Path) -> Result<SyncSender<Job>, SignerError> {
    let mut modules = MODULES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(jobs) = modules.get(module) {
        return Ok(jobs.clone());
    }
    let failed = |found: String| SignerError::Module { path: module.to_owned(), found };
    let library = Pkcs11::new(module).map_err(|error| failed(error.to_string()))?;
    // One job at work and one that waits for it.
    let (jobs, waiting) = sync_channel::<Job>(1);
    let path = module.to_owned();
    let work = move || {
        while let Ok(job) = waiting.recv() {
            if job.deadline > Instant::now() {
                let signed = sign(&library, &path, &job);
                // Whoever asked may have given up; the signature is then nobody's.
                let _ = job.reply.send(signed);
            }
        }
    };
    thread::Builder::new()
        .name("tram-token".to_owned())
        .spawn(work)
        .map_err(|error| failed(format!("no thread for it: {error}")))?;
    modules.insert(module.to_owned(), jobs.clone());
    Ok(jobs)
}

/// One request from beginning to end.
fn sign(library: &Pkcs11, module: &Path, job: &Job) -> Result<Vec<u8>, SignerError> {
    let failed =
        |error: Pkcs11Error| SignerError::Module { path: module.to_owned(), found: error.to_string() };
    library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(failed)?;
    let signed = sign_initialised(library, job);
    // Every session has ended by now.
    if let Err(error) = library.clone().finalize() {
        tracing::warn!(module = %module.display(), %error, "the token's library does not finalise");
    }
    signed
}

fn sign_initialised(library: &Pkcs11, job: &Job) -> Result<Vec<u8>, SignerError> {
    let fault = |error| fault(job, error);
    let (slot, info) = find(library, &job.serial).map_err(fault)?.ok_or_else(|| absent(job))?;
    match TriesLeft::of(&info) {
        TriesLeft::None => return Err(SignerError::PinLocked),
        TriesLeft::Enough => {}
        TriesLeft::Few | TriesLeft::One => {
            tracing::warn!(
                serial = job.serial,
                "a wrong PIN was given to the token before; few tries are left"
            );
        }
    }
    let session = library.open_ro_session(slot).map_err(fault)?;
    // The only place where a PIN is tried.
    if let Err(error) = session.login(UserType::User, Some(&job.pin)) {
        let tries = library.get_token_info(slot).map_or(TriesLeft::Few, |info| TriesLeft::of(&info));
        return Err(match (&error, tries) {
            (Pkcs11Error::Pkcs11(RvError::PinLocked, _), _) => SignerError::PinLocked,
            (
                Pkcs11Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _),
                tries,
            ) => SignerError::WrongPin { tries },
            _ => fault(error),
        });
    }
    let signed = sign_logged_in(library, slot, &session, job);
    if let Err(error) = session.logout() {
        tracing::debug!(%error, "the token does not log out; its session ends now");
    }
    signed
}

fn sign_logged_in(
    library: &Pkcs11,
    slot: Slot,
    session: &Session,
    job: &Job,
) -> Result<Vec<u8>, SignerError> {
    let fault = |error| fault(job, error);
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Id(job.key_id.clone())];
    let key = session.find_objects(&template).map_err(fault)?;
    let key = *key.first().ok_or(SignerError::KeyAbsent)?;
    let algorithm = job.algorithm;
    let digest = || job.digest.as_deref().ok_or(SignerError::Algorithm { algorithm });
    match algorithm {
        SignatureAlgorithm::RsaSha256 => {
            let hashes =
                library.get_mechanism_list(slot).map_err(fault)?.contains(&MechanismType::SHA256_RSA_PKCS);
            if hashes {
                session.sign(&Mechanism::Sha256RsaPkcs, key, &job.message).map_err(fault)
            } else {
                let info = [DIGEST_INFO_SHA256, digest()?].concat();
                session.sign(&Mechanism::RsaPkcs, key, &info).map_err(fault)
            }
        }
        SignatureAlgorithm::EcdsaSha256 | SignatureAlgorithm::EcdsaSha384 => {
            let raw = session.sign(&Mechanism::Ecdsa, key, digest()?).map_err(fault)?;
            ecdsa_sig_value(&raw).ok_or(SignerError::OtherKey)
        }
        SignatureAlgorithm::Ed25519 => {
            let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Pure));
            session.sign(&pure, key, &job.message).map_err(fault)
        }
        SignatureAlgorithm::RsaSha384 | SignatureAlgorithm::RsaSha512 => {
            Err(SignerError::Algorithm { algorithm })
        }
    }
}

/// The slot with that token. Slots whose tokens cannot be read are passed over.
fn find(library: &Pkcs11, serial: &str) -> Result<Option<(Slot, TokenInfo)>, Pkcs11Error> {
    let slots = library.get_slots_with_token()?;
    let mut readable = slots.into_iter().filter_map(|slot| Some((slot, library.get_token_info(slot).ok()?)));
    Ok(readable.find(|(_, info)| info.serial_number().trim() == serial))
}

fn absent(job: &Job) -> SignerError {
    SignerError::TokenAbsent { serial: job.serial.clone() }
}

fn fault(job: &Job, error: Pkcs11Error) -> SignerError {
    match error {
        Pkcs11Error::Pkcs11(
            RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed,
            _,
        ) => absent(job),
        error => SignerError::TokenFailed { found: error.to_string() },
    }
}

/// `r ‖ s`, as PKCS#11 has it, as an ECDSA-Sig-Value (RFC 3279 section 2.2.3); `None` for what is no such pair.
fn ecdsa_sig_value(raw: &[u8]) -> Option<Vec<u8>> {
    let half = raw.len() / 2;
    // Up to P-384 every length fits into one byte.
    if !raw.len().is_multiple_of(2) || !(1..=48).contains(&half) {
        return None;
    }
    let mut inside = Vec::with_capacity(raw.len() + 6);
    for number in raw.chunks_exact(half) {
        let first = number.iter().position(|byte| *byte != 0)?;
        let digits = &number[first..];
        let sign = usize::from(digits[0] & 0x80 != 0);
        inside.extend([0x02, u8::try_from(digits.len() + sign).ok()?]);
        inside.extend(std::iter::repeat_n(0, sign));
        inside.extend_from_slice(digits);
    }
    let mut der = vec![0x30, u8::try_from(inside.len()).ok()?];
    der.extend(inside);
    Some(der)
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn token_that_is_pulled_out_while_it_works_is_missed_and_no_failure_of_the_token() {
        let (reply, _) = sync_channel(1);
        let job = Job {
            serial: "0123".to_owned(),
            key_id: vec![1],
            algorithm: SignatureAlgorithm::Ed25519,
            message: Vec::new(),
            digest: None,
            pin: AuthPin::new("135790".into()),
            deadline: Instant::now(),
            reply,
        };
        for gone in [
            RvError::DeviceRemoved,
            RvError::TokenNotPresent,
            RvError::TokenNotRecognized,
            RvError::SlotIdInvalid,
            RvError::SessionHandleInvalid,
            RvError::SessionClosed,
        ] {
            let found = fault(&job, Pkcs11Error::Pkcs11(gone, Function::Sign));
            assert!(
                matches!(&found, SignerError::TokenAbsent { serial } if serial == "0123"),
                "{gone:?}: {found}"
            );
        }
        let found = fault(&job, Pkcs11Error::Pkcs11(RvError::DeviceError, Function::Sign));
        assert!(matches!(found, SignerError::TokenFailed { .. }), "{found}");
    }

    #[test]
    fn pair_of_numbers_becomes_der_without_leading_zeros_and_stays_positive() {
        let mut raw = [0; 64];
        raw[31] = 0x7f;
        raw[32] = 0x80;
        let der = ecdsa_sig_value(&raw).expect("a pair");
        assert_eq!(der[..5], [0x30, 38, 0x02, 1, 0x7f]);
        assert_eq!(der[5..9], [0x02, 33, 0, 0x80]);
        for wrong in [&raw[..63], &[], &[0; 64], &[1; 98]] {
            assert_eq!(ecdsa_sig_value(wrong), None);
        }
    }
}
