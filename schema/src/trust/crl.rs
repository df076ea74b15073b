//! Revocation lists (*danh sách thu hồi*), and what an authority has revoked so far.
//!
//! One full list per authority, signed by the key that signs its certificates: no delta, partitioned or
//! indirect lists. Lists are read by the strict reader alone: x509-parser would hold a big number and a
//! vector for every entry, hundreds of megabytes for the largest list that is accepted. It is the yardstick
//! in the tests.
//!
//! A list says what is revoked *now*; whether that matters for a signature depends on when the signature
//! provably existed, so entries keep their dates and reasons, and [`Revocations`] forgets none: an authority
//! that silently drops an entry from its next list changes nothing here, except that a hold is lifted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Bound, Range};

use sha2::{Digest, Sha256};

use super::algorithm::{AlgorithmError, SignatureAlgorithm};
use super::certificate::{
    Certificate, CertificateError, SERIAL_BYTES_MAX, Serial, range_in, read_generalized, read_time,
    whole_bytes,
};
use super::der::{self, DerError, Reader, Tlv};
use super::extension::{
    AUTHORITY_KEY_IDENTIFIER, ExtensionId, KeyUsage, RawExtension, RawExtensions, authority_key_of,
};
use super::name::Name;
use crate::id::write_hex;
use crate::time::Millis;

/// Largest list, in bytes.
pub const LIST_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Most entries of one list, and most that are remembered of one authority.
pub const ENTRIES_MAX: usize = 250_000;
/// Most lists of one authority whose dates are remembered: daily ones for eleven years. Older dates are
/// forgotten first, which can only make a verdict undetermined.
pub const WINDOWS_MAX: usize = 4096;

const CRL_NUMBER: &[u8] = b"\x55\x1d\x14";
const REASON_CODE: &[u8] = b"\x55\x1d\x15";
const INVALIDITY_DATE: &[u8] = b"\x55\x1d\x18";
const DELTA_INDICATOR: &[u8] = b"\x55\x1d\x1b";
const DISTRIBUTION_POINT: &[u8] = b"\x55\x1d\x1c";
const CERTIFICATE_ISSUER: &[u8] = b"\x55\x1d\x1d";
const FRESHEST_CRL: &[u8] = b"\x55\x1d\x2e";

/// Why a revocation list is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// Too large; not parsed.
    #[error("the revocation list has {found} bytes, at most {LIST_BYTES_MAX} are accepted")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// A second encoding, or not a list.
    #[error("the revocation list is not in the one encoding that is accepted: {0}")]
    Encoding(#[from] DerError),
    /// Not version 2.
    #[error("the revocation list is not of version 2")]
    Version,
    /// What was signed names another algorithm than the signature.
    #[error("the algorithm inside the signed part differs from the one of the signature")]
    AlgorithmMismatch,
    /// Signed in a way that is not accepted.
    #[error("the signature of the revocation list is not acceptable: {0}")]
    Signature(AlgorithmError),
    /// A time that is missing, cannot be read, or the wrong way round.
    #[error("the revocation list does not say from when until when it counts")]
    Time,
    /// No AKI or no list number.
    #[error("the revocation list has no {extension}")]
    Missing {
        /// Which extension it should have.
        extension: ExtensionId,
    },
    /// An extension that is malformed, twice, critical and unknown, or of a list that is not a full one.
    #[error("an extension of the revocation list is not acceptable: {0}")]
    Extension(CertificateError),
    /// Too many entries.
    #[error("the revocation list has more than {ENTRIES_MAX} entries")]
    TooManyEntries,
    /// An entry that cannot be read.
    #[error("an entry of the revocation list is malformed: {what}")]
    Entry {
        /// What is wrong with it.
        what: &'static str,
    },
    /// The same certificate twice.
    #[error("the revocation list names the certificate {serial} twice")]
    DuplicateEntry {
        /// Its serial number.
        serial: Serial,
    },
    /// No authority with that name and key is held.
    #[error("no trusted authority `{issuer}` with the key that signed this list is known")]
    UnknownIssuer {
        /// Who says to have issued it, masked.
        issuer: String,
    },
    /// The authority's key may not sign lists.
    #[error("the authority `{issuer}` may not sign revocation lists (cRLSign is missing)")]
    NotAListSigner {
        /// Which authority.
        issuer: String,
    },
    /// Forged or changed.
    #[error("the revocation list was not signed by `{issuer}`, or was changed afterwards")]
    Forged {
        /// Who says to have issued it.
        issuer: String,
    },
    /// Older than what was seen before: somebody may want to hide a revocation.
    #[error("the revocation list of `{issuer}` went back: number {found} after {last}")]
    NumberWentBack {
        /// Which authority.
        issuer: String,
        /// The highest number seen.
        last: ListNumber,
        /// The number of this one.
        found: ListNumber,
    },
    /// Two lists under one number: evidence against the authority.
    #[error("the authority `{issuer}` issued two different revocation lists with number {number}")]
    TwoListsOneNumber {
        /// Which authority.
        issuer: String,
        /// The number.
        number: ListNumber,
    },
    /// A higher number, but an earlier date.
    #[error("the revocation list {number} of `{issuer}` is dated before the one it follows")]
    DateWentBack {
        /// Which authority.
        issuer: String,
        /// The number.
        number: ListNumber,
    },
}

/// Most numbers of one authority that are remembered as disputed.
const DISPUTED_MAX: usize = 64;

impl From<CertificateError> for ListError {
    fn from(error: CertificateError) -> Self {
        Self::Extension(error)
    }
}

/// The number of a list: at most 20 bytes, ordered as numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListNumber([u8; SERIAL_BYTES_MAX]);

impl ListNumber {
    fn from_integer(value: &[u8]) -> Option<Self> {
        if value.first().is_none_or(|first| first & 0x80 != 0) {
            return None;
        }
        let digits = value.strip_prefix(&[0]).unwrap_or(value);
        let mut number = [0; SERIAL_BYTES_MAX];
        number.get_mut(SERIAL_BYTES_MAX.checked_sub(digits.len())?..)?.copy_from_slice(digits);
        Some(Self(number))
    }
}

impl From<u64> for ListNumber {
    fn from(number: u64) -> Self {
        let mut bytes = [0; SERIAL_BYTES_MAX];
        bytes[SERIAL_BYTES_MAX - 8..].copy_from_slice(&number.to_be_bytes());
        Self(bytes)
    }
}

impl fmt::Display for ListNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (high, low) = self.0.split_at(SERIAL_BYTES_MAX - 16);
        match <[u8; 16]>::try_from(low) {
            Ok(low) if high.iter().all(|byte| *byte == 0) => write!(f, "{}", u128::from_be_bytes(low)),
            _ => f.write_str("0x").and_then(|()| write_hex(&self.0, f)),
        }
    }
}

impl fmt::Debug for ListNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a certificate was revoked (RFC 5280 section 5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RevocationReason {
    /// No reason given, or `unspecified`: taken as seriously as a stolen key.
    Unspecified,
    /// The key was lost to somebody else.
    KeyCompromise,
    /// The key of an authority was lost to somebody else.
    CaCompromise,
    /// The office was merged or renamed.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// The office or the officer stopped working.
    CessationOfOperation,
    /// Suspended (*tạm dừng*) until it is looked into; can be lifted.
    CertificateHold,
    /// A right was withdrawn: taken as seriously as a stolen key.
    PrivilegeWithdrawn,
    /// The key of an attribute authority was lost.
    AaCompromise,
}

impl RevocationReason {
    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Unspecified),
            1 => Some(Self::KeyCompromise),
            2 => Some(Self::CaCompromise),
            3 => Some(Self::AffiliationChanged),
            4 => Some(Self::Superseded),
            5 => Some(Self::CessationOfOperation),
            6 => Some(Self::CertificateHold),
            9 => Some(Self::PrivilegeWithdrawn),
            10 => Some(Self::AaCompromise),
            // 7 is not assigned; 8, removeFromCRL, belongs to delta lists.
            _ => None,
        }
    }

    /// Whether somebody else may have used the key. Whatever is not said to be harmless counts as that.
    pub const fn is_compromise(self) -> bool {
        match self {
            Self::Unspecified
            | Self::KeyCompromise
            | Self::CaCompromise
            | Self::PrivilegeWithdrawn
            | Self::AaCompromise => true,
            Self::AffiliationChanged
            | Self::Superseded
            | Self::CessationOfOperation
            | Self::CertificateHold => false,
        }
    }
}

/// One revoked certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// When the authority recorded it.
    pub revoked_at: Millis,
    /// From when on the key must not be believed, when the authority says so.
    pub invalid_from: Option<Millis>,
    /// Why.
    pub reason: RevocationReason,
}

impl Revocation {
    /// From when on it counts: the invalidity date, or the revocation date when there is none. An invalidity
    /// date after the revocation would soften it, so the earlier one counts.
    pub fn effective_at(&self) -> Millis {
        self.invalid_from.map_or(self.revoked_at, |from| from.min(self.revoked_at))
    }
}

/// A list that was read; its signature is not checked yet. [`Revocations::admit`] does that.
#[derive(Clone, PartialEq, Eq)]
pub struct RevocationList {
    der: Vec<u8>,
    hash: [u8; 32],
    signed: Range<usize>,
    signature: Range<usize>,
    algorithm: SignatureAlgorithm,
    issuer: Name,
    authority_key: Vec<u8>,
    number: ListNumber,
    window: Window,
    entries: BTreeMap<Serial, Revocation>,
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationList({}, number {}, {} entries)", self.issuer, self.number, self.entries.len())
    }
}

/// From when until when a list is the newest one that can be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// `thisUpdate`.
    pub this_update: Millis,
    /// `nextUpdate`.
    pub next_update: Millis,
}

impl RevocationList {
    /// SHA-256 of what the authority signed.
    fn content(&self) -> [u8; 32] {
        Sha256::digest(&self.der[self.signed.clone()]).into()
    }

    /// Reads one list in DER.
    ///
    /// # Errors
    /// When it is too large, not in strict DER, not a full list of version 2, or breaks another rule of the
    /// profile.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListError> {
        if bytes.len() > LIST_BYTES_MAX {
            return Err(ListError::TooLarge { found: bytes.len() });
        }
        der::check(bytes)?;
        let mut outer = der::single(bytes, der::SEQUENCE, "a list that is not a sequence")?.reader();
        let signed = outer.expect(der::SEQUENCE, "a list without a signed part")?;
        let outer_algorithm = outer.expect(der::SEQUENCE, "a list without an algorithm")?.full;
        let signature = whole_bytes(outer.expect(der::BIT_STRING, "a list without a signature")?)?;
        outer.end()?;

        const EXTENSIONS: u8 = 0xa0;
        let mut fields = signed.reader();
        match fields.optional(der::INTEGER)? {
            Some(version) if version.value == [1] => {}
            _ => return Err(ListError::Version),
        }
        if fields.expect(der::SEQUENCE, "a list without an inner algorithm")?.full != outer_algorithm {
            return Err(ListError::AlgorithmMismatch);
        }
        let algorithm = SignatureAlgorithm::from_der(outer_algorithm).map_err(ListError::Signature)?;
        let issuer = Name::from_der(fields.expect(der::SEQUENCE, "a list without an issuer")?.full)?;
        if issuer.is_empty() {
            return Err(DerError { what: "a list without an issuer" }.into());
        }
        let window = read_window(&mut fields)?;
        let entries = match fields.optional(der::SEQUENCE)? {
            Some(entries) => read_entries(entries.reader())?,
            None => BTreeMap::new(),
        };
        let extensions = match fields.optional(EXTENSIONS)? {
            Some(explicit) => RawExtensions::read(explicit.value)?,
            None => RawExtensions::default(),
        };
        fields.end()?;
        let (authority_key, number) = read_extensions(&extensions)?;
        Ok(Self {
            hash: Sha256::digest(bytes).into(),
            signed: range_in(bytes, signed.full),
            signature: range_in(bytes, signature),
            algorithm,
            issuer,
            authority_key,
            number,
            window,
            entries,
            der: bytes.to_vec(),
        })
    }

    /// Who says to have issued it.
    pub const fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// The identifier of the key that says to have signed it.
    pub fn authority_key(&self) -> &[u8] {
        &self.authority_key
    }

    /// Its number.
    pub const fn number(&self) -> ListNumber {
        self.number
    }

    /// From when until when it counts.
    pub const fn window(&self) -> Window {
        self.window
    }

    /// What it says to be revoked, by serial number.
    pub const fn entries(&self) -> &BTreeMap<Serial, Revocation> {
        &self.entries
    }

    /// Whether this certificate is its issuer, may sign lists, and signed exactly this one.
    ///
    /// # Errors
    /// With what does not fit.
    pub fn check_issuer(&self, issuer: &Certificate) -> Result<(), ListError> {
        let name = || self.issuer.to_string();
        if !issuer.is_authority()
            || *issuer.subject() != self.issuer
            || issuer.subject_key() != Some(&self.authority_key)
        {
            return Err(ListError::UnknownIssuer { issuer: name() });
        }
        if !issuer.key_usage().is_some_and(|usage| usage.has(KeyUsage::CRL_SIGN)) {
            return Err(ListError::NotAListSigner { issuer: name() });
        }
        let (signed, signature) = (&self.der[self.signed.clone()], &self.der[self.signature.clone()]);
        if issuer.key().verifies(self.algorithm, signed, signature) {
            Ok(())
        } else {
            Err(ListError::Forged { issuer: name() })
        }
    }
}

fn read_window(fields: &mut Reader<'_>) -> Result<Window, ListError> {
    let this_update = read_time(fields.any()?).ok_or(ListError::Time)?;
    // Without it nobody can tell a withheld list from a quiet month.
    let next_update = read_time(fields.any()?).ok_or(ListError::Time)?;
    if next_update <= this_update {
        return Err(ListError::Time);
    }
    Ok(Window { this_update, next_update })
}

fn read_extensions(extensions: &RawExtensions<'_>) -> Result<(Vec<u8>, ListNumber), ListError> {
    let (mut authority_key, mut number) = (None, None);
    for extension in &extensions.list {
        let refused = |error: fn(ExtensionId) -> CertificateError| Err(error(extension.id()).into());
        match extension.oid {
            AUTHORITY_KEY_IDENTIFIER | CRL_NUMBER if extension.critical => {
                return refused(|extension| CertificateError::Criticality { extension });
            }
            AUTHORITY_KEY_IDENTIFIER => authority_key = Some(authority_key_of(extension)?),
            CRL_NUMBER => {
                let value = der::single(extension.value, der::INTEGER, "a list number that is none")?.value;
                number = Some(ListNumber::from_integer(value).ok_or_else(|| malformed(extension))?);
            }
            DELTA_INDICATOR | DISTRIBUTION_POINT | FRESHEST_CRL => {
                return refused(|extension| CertificateError::ForbiddenExtension { extension });
            }
            _ if extension.critical => {
                return refused(|extension| CertificateError::UnknownCritical { extension });
            }
            _ => {}
        }
    }
    let missing = |oid: &[u8]| ListError::Missing { extension: ExtensionId(oid.to_vec()) };
    Ok((
        authority_key.ok_or_else(|| missing(AUTHORITY_KEY_IDENTIFIER))?,
        number.ok_or_else(|| missing(CRL_NUMBER))?,
    ))
}

fn malformed(extension: &RawExtension<'_>) -> ListError {
    CertificateError::MalformedExtension { extension: extension.id(), what: "a value that is not allowed" }
        .into()
}

fn read_entries(mut list: Reader<'_>) -> Result<BTreeMap<Serial, Revocation>, ListError> {
    // Counted before anything is kept.
    let mut count = list;
    for n in 0.. {
        if count.is_empty() {
            break;
        }
        if n == ENTRIES_MAX {
            return Err(ListError::TooManyEntries);
        }
        count.any()?;
    }
    if list.is_empty() {
        // RFC 5280 section 5.1.2.6: no entries, no list of them.
        return Err(ListError::Entry { what: "an empty list of entries is written out" });
    }
    let mut entries = BTreeMap::new();
    while !list.is_empty() {
        let (serial, revocation) =
            read_entry(list.expect(der::SEQUENCE, "an entry that is not a sequence")?)?;
        if entries.insert(serial.clone(), revocation).is_some() {
            return Err(ListError::DuplicateEntry { serial });
        }
    }
    Ok(entries)
}

fn read_entry(entry: Tlv<'_>) -> Result<(Serial, Revocation), ListError> {
    let broken = |what| ListError::Entry { what };
    let mut fields = entry.reader();
    let serial = fields.expect(der::INTEGER, "an entry without a serial number")?.value;
    let serial = Serial::from_integer(serial).ok_or(broken("a serial number out of bounds"))?;
    let revoked_at = read_time(fields.any()?).ok_or(broken("a revocation date that cannot be read"))?;
    let extensions = if fields.is_empty() {
        RawExtensions::default()
    } else {
        RawExtensions::read(fields.expect(der::SEQUENCE, "extensions that are not a sequence")?.full)?
    };
    fields.end()?;
    let mut revocation = Revocation { revoked_at, invalid_from: None, reason: RevocationReason::Unspecified };
    for extension in &extensions.list {
        match extension.oid {
            REASON_CODE | INVALIDITY_DATE if extension.critical => {
                return Err(CertificateError::Criticality { extension: extension.id() }.into());
            }
            REASON_CODE => {
                let code = der::single(extension.value, der::ENUMERATED, "a reason that is no code")?.value;
                let [code] = code else { return Err(broken("a reason that is not known")) };
                revocation.reason =
                    RevocationReason::from_code(*code).ok_or(broken("a reason that is not known"))?;
            }
            INVALIDITY_DATE => {
                let time = der::single(
                    extension.value,
                    der::GENERALIZED_TIME,
                    "an invalidity date that is no time",
                )?;
                revocation.invalid_from =
                    Some(read_generalized(time).ok_or(broken("an invalidity date that cannot be read"))?);
            }
            // An indirect list: the entry would belong to another authority.
            CERTIFICATE_ISSUER => {
                return Err(CertificateError::ForbiddenExtension { extension: extension.id() }.into());
            }
            _ if extension.critical => {
                return Err(CertificateError::UnknownCritical { extension: extension.id() }.into());
            }
            _ => {}
        }
    }
    Ok((serial, revocation))
}

/// The list that was admitted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    number: ListNumber,
    hash: [u8; 32],
    content: [u8; 32],
    window: Window,
}

/// What is remembered of a list that was taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    date: Millis,
    content: [u8; 32],
}

/// What one authority has revoked, from all of its lists that were admitted, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revocations {
    last: Option<Last>,
    /// The dates of the lists, oldest first.
    windows: Vec<Window>,
    entries: BTreeMap<Serial, Revocation>,
    /// Of every list, by number: the newest [`WINDOWS_MAX`].
    seen: BTreeMap<ListNumber, Seen>,
    /// Numbers of lists that contradict others.
    disputed: BTreeSet<ListNumber>,
}

/// Whether a list said something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It follows the last one.
    New,
    /// It is the last one again.
    Repeat,
}

/// How far lists reach towards a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// No list at all.
    NoList,
    /// The newest ended before it.
    Stale(Window),
    /// It lies within the newest one: a later list may still name an earlier date.
    Within(Window),
    /// The newest was made at that moment or after it.
    After(Window),
}

impl Revocations {
    /// Checks that `issuer` signed the list and that it follows what was seen, and takes it in.
    ///
    /// # Errors
    /// When it is forged, or goes back in number or date; nothing changes then.
    pub fn admit(&mut self, list: &RevocationList, issuer: &Certificate) -> Result<Admitted, ListError> {
        list.check_issuer(issuer)?;
        if self.follows(list)? == Admitted::Repeat {
            return Ok(Admitted::Repeat);
        }
        let stays = |serial: &Serial, old: &Revocation| {
            old.reason != RevocationReason::CertificateHold && !list.entries.contains_key(serial)
        };
        let kept = self.entries.iter().filter(|(serial, old)| stays(serial, old)).count();
        if kept + list.entries.len() > ENTRIES_MAX {
            return Err(ListError::TooManyEntries);
        }
        self.entries.retain(|serial, old| stays(serial, old));
        self.entries.extend(list.entries.iter().map(|(serial, new)| (serial.clone(), *new)));
        self.note(list);
        Ok(Admitted::New)
    }

    /// Whether an honest authority cannot have issued this list and those that were taken in: one has its number and other
    /// content, or the next lower one has a later date, or the next higher one an earlier date. A list with a number that
    /// is disputed already is part of the evidence.
    pub fn contradicts(&self, list: &RevocationList) -> bool {
        match self.seen.get(&list.number) {
            Some(seen) => seen.content != list.content() || self.disputed.contains(&list.number),
            None => self.disordered(list).next().is_some(),
        }
    }

    /// Which of the two lists next to this one in number have the wrong order of dates.
    fn disordered(&self, list: &RevocationList) -> impl Iterator<Item = ListNumber> {
        let (number, date) = (list.number, list.window.this_update);
        let lower = self.seen.range(..number).next_back().filter(|(_, seen)| seen.date > date);
        let higher = self.seen.range((Bound::Excluded(number), Bound::Unbounded)).next();
        let higher = higher.filter(|(_, seen)| seen.date < date);
        lower.into_iter().chain(higher).map(|(number, _)| *number)
    }

    /// Takes in a list that contradicts others. Nobody can tell which of them the authority meant, so what any of them
    /// revokes is revoked, from the earliest date.
    ///
    /// # Errors
    /// When `issuer` did not sign it, or they are too long together; nothing changes then.
    pub fn admit_contradicting(
        &mut self,
        list: &RevocationList,
        issuer: &Certificate,
    ) -> Result<Admitted, ListError> {
        list.check_issuer(issuer)?;
        let added = list.entries.keys().filter(|serial| !self.entries.contains_key(serial)).count();
        if self.entries.len() + added > ENTRIES_MAX {
            return Err(ListError::TooManyEntries);
        }
        let severity = |entry: &Revocation| {
            (
                entry.reason == RevocationReason::CertificateHold,
                entry.effective_at(),
                entry.revoked_at,
                entry.reason,
            )
        };
        for (serial, new) in &list.entries {
            let held = self.entries.entry(serial.clone()).or_insert(*new);
            if severity(new) < severity(held) {
                *held = *new;
            }
        }
        let disputed: Vec<ListNumber> = self.disordered(list).chain([list.number]).collect();
        self.disputed.extend(disputed);
        while self.disputed.len() > DISPUTED_MAX {
            self.disputed.pop_first();
        }
        self.note(list);
        Ok(Admitted::New)
    }

    /// Remembers a list that was taken in.
    fn note(&mut self, list: &RevocationList) {
        let seen = Seen { date: list.window.this_update, content: list.content() };
        self.seen.entry(list.number).or_insert(seen);
        if self.seen.len() > WINDOWS_MAX {
            self.seen.pop_first();
        }
        let at = self.windows.partition_point(|window| window.this_update <= list.window.this_update);
        self.windows.insert(at, list.window);
        if self.windows.len() > WINDOWS_MAX {
            self.windows.remove(0);
        }
        let found = Last { number: list.number, hash: list.hash, content: seen.content, window: list.window };
        let order = |last: &Last| (last.number, last.window.this_update, last.content);
        if self.last.is_none_or(|last| order(&last) < order(&found)) {
            self.last = Some(found);
        }
    }

    /// Whether a list may come after the last one seen: numbers rise, dates do not go back.
    ///
    /// # Errors
    /// When it does not follow.
    pub fn follows(&self, list: &RevocationList) -> Result<Admitted, ListError> {
        let Some(last) = self.last else { return Ok(Admitted::New) };
        let issuer = || list.issuer.to_string();
        if list.number == last.number {
            // The same list may come with another signature: ECDSA has two for everything.
            return if list.content() == last.content {
                Ok(Admitted::Repeat)
            } else {
                Err(ListError::TwoListsOneNumber { issuer: issuer(), number: list.number })
            };
        }
        if list.number < last.number {
            return Err(ListError::NumberWentBack {
                issuer: issuer(),
                last: last.number,
                found: list.number,
            });
        }
        if list.window.this_update < last.window.this_update {
            return Err(ListError::DateWentBack { issuer: issuer(), number: list.number });
        }
        Ok(Admitted::New)
    }

    /// What is known about a certificate of this authority.
    pub fn entry(&self, serial: &Serial) -> Option<&Revocation> {
        self.entries.get(serial)
    }

    /// The newest list's dates and number.
    pub fn newest(&self) -> Option<(ListNumber, Window)> {
        self.last.map(|last| (last.number, last.window))
    }

    /// Whether this is the newest list.
    pub fn is_newest(&self, list: &RevocationList) -> bool {
        self.last.is_some_and(|last| last.hash == list.hash)
    }

    /// SHA-256 of the newest list.
    pub fn newest_hash(&self) -> Option<[u8; 32]> {
        self.last.map(|last| last.hash)
    }

    /// How many certificates it has revoked or suspended.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// How far its lists reach towards `at`, counting only lists made before `trusted_before`: one that a
    /// thief of the authority's key may have signed says nothing.
    pub fn coverage(&self, at: Millis, trusted_before: Option<Millis>) -> Coverage {
        let trusted = |window: &&Window| trusted_before.is_none_or(|before| window.this_update < before);
        let Some(newest) = self.windows.iter().rev().find(trusted) else { return Coverage::NoList };
        if at <= newest.this_update {
            Coverage::After(*newest)
        } else if at <= newest.next_update {
            Coverage::Within(*newest)
        } else {
            Coverage::Stale(*newest)
        }
    }
}
