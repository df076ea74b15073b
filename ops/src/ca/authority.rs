//! A folder with a key: how an authority is founded, opened, certified, and how it finishes what a crash cut off.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, ensure};
use node::keyring::random_bytes;
use schema::id::hex;
use schema::time::Millis;
use schema::trust::profile::role_of;
use schema::trust::{Anchors, Certificate, CertificateHash, Role, TrustStore};

use super::approval::{self, Approver};
use super::book::{Act, Book, SerialNo};
use super::build::{self, Kind, Words};
use super::files::{self, Lock};
use super::journal::Journal;
use super::secret::{Cost, Key, KeyKind, Passphrase};
use super::subject::{Place, Subject};
use super::{Refusal, request::Request};
use crate::calendar;

/// How long a root counts unless told otherwise.
pub const ROOT_YEARS: u64 = 20;
/// How long a delegated authority counts unless told otherwise.
pub const AUTHORITY_YEARS: u64 = 10;
/// Days of a year, for validities: leap days are not worth arguing about.
pub const YEAR_DAYS: u64 = 365;
/// A certificate counts from this long before it was issued: clocks of offices may be behind.
pub const BACKDATED_MS: u64 = Millis::HOUR;
/// Folder of the certificates.
pub const CERTIFICATES: &str = "certificates";
/// Folder of the lists.
pub const LISTS: &str = "lists";
/// Folder of the proposals that wait for approvals.
pub const REQUESTS: &str = "requests";
/// Folder of the hand-over minutes.
pub const MINUTES: &str = "minutes";
/// The key file.
pub const KEY_FILE: &str = "ca.key";
/// The founding, which everybody who approves signs.
pub const FOUNDING_FILE: &str = "founding.json";
/// The request of a delegated authority.
pub const REQUEST_FILE: &str = "request.csr.pem";

/// An authority, opened for reading.
#[derive(Debug)]
pub struct Opening {
    folder: PathBuf,
    journal: Journal,
}

impl Opening {
    /// Opens the folder of an authority to look at it; no passphrase is needed.
    ///
    /// # Errors
    /// When it is none, or its journal is damaged.
    pub fn read(folder: &Path) -> Result<Self> {
        Ok(Self { folder: folder.to_owned(), journal: Journal::open(folder)? })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it ever did.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What follows from that.
    pub const fn book(&self) -> &Book {
        self.journal.book()
    }

    /// Opens it for change.
    ///
    /// # Errors
    /// When another command is at work, the passphrase is wrong, or files contradict the journal.
    pub fn unlock(self, passphrase: &Passphrase) -> Result<Authority> {
        let lock = Lock::take(&self.folder)?;
        // Somebody may have written between the look and the lock.
        let journal = if self.journal.is_untouched()? { self.journal } else { Journal::open(&self.folder)? };
        let path = self.folder.join(KEY_FILE);
        let key = Key::read(&path, passphrase)?;
        if key.spki() != journal.book().spki {
            return Err(Refusal::OtherKey { path }.into());
        }
        let authority = Authority { folder: self.folder, journal, key, _lock: lock };
        authority.refuse_older_journal()?;
        Ok(authority)
    }
}

/// An authority, opened for change; nobody else changes it while this lives.
#[derive(Debug)]
pub struct Authority {
    pub(super) folder: PathBuf,
    pub(super) journal: Journal,
    pub(super) key: Key,
    _lock: Lock,
}

/// What a certificate for an office or a person is to say.
#[derive(Clone, Debug)]
pub struct LeafTerms {
    /// Office or officer.
    pub kind: Kind,
    /// Whose.
    pub subject: Subject,
    /// The key.
    pub spki: Vec<u8>,
    /// For how long.
    pub days: u64,
    /// What the key lies in.
    pub device: Option<String>,
}

impl Authority {
    /// Makes an offline root (*gốc tin cậy*) with its own certificate and an empty list.
    ///
    /// # Errors
    /// When the folder is in use, the approvers are not two different persons, or something cannot be written.
    pub fn init_root(
        folder: &Path,
        name: &str,
        approvers: &[Approver],
        years: u64,
        key: (KeyKind, &Passphrase, Cost),
        now: Millis,
    ) -> Result<Self> {
        approval::check_approvers(approvers, approval::APPROVALS_OF_A_ROOT)?;
        let subject = Subject::root(name);
        subject.distinguished()?;
        ensure!((1..=30).contains(&years), "a root counts for 1 to 30 years, not {years}");
        let mut root = Self::found(folder, subject, None, approvers, key, now)?;
        let words = root.words(
            Kind::Root,
            root.book().subject.clone(),
            root.key.spki().to_vec(),
            years * YEAR_DAYS,
            now,
        )?;
        root.sign_and_record(words, None, None, None, now)?;
        root.issue_list(now, None)?;
        root.start(now)?;
        Ok(root)
    }

    /// Makes a delegated authority: a key, and a request for the root. Without approvers one person issues.
    ///
    /// # Errors
    /// When the folder is in use, a text cannot be in a name, two approvers have one name or key, or something cannot
    /// be written.
    pub fn init_delegated(
        folder: &Path,
        place: &Place,
        name: &str,
        approvers: &[Approver],
        key: (KeyKind, &Passphrase, Cost),
        now: Millis,
    ) -> Result<Self> {
        if !approvers.is_empty() {
            approval::check_approvers(approvers, approval::APPROVALS_OF_A_DELEGATED)?;
        }
        let subject = Subject::authority(place, name);
        subject.distinguished()?;
        let mut authority = Self::found(folder, subject, Some(place.clone()), approvers, key, now)?;
        authority.start(now)?;
        Ok(authority)
    }

    fn found(
        folder: &Path,
        subject: Subject,
        place: Option<Place>,
        approvers: &[Approver],
        (kind, passphrase, cost): (KeyKind, &Passphrase, Cost),
        now: Millis,
    ) -> Result<Self> {
        files::make_folder(folder)?;
        let lock = Lock::take(folder)?;
        let others =
            std::fs::read_dir(folder).with_context(|| format!("failed to list `{}`", folder.display()))?;
        for other in others {
            let name = other.with_context(|| format!("failed to list `{}`", folder.display()))?.file_name();
            ensure!(
                name == "lock",
                "`{}` is not empty (`{}`): an authority gets a new folder of its own",
                folder.display(),
                name.display()
            );
        }
        for part in [CERTIFICATES, LISTS, REQUESTS, MINUTES] {
            files::make_folder(&folder.join(part))?;
        }
        let key = Key::generate(kind)?;
        key.write(&folder.join(KEY_FILE), passphrase, cost)?;
        let spki = key.spki().to_vec();
        let founded = Act::Founded { subject, place, spki, approvers: approvers.to_vec() };
        let journal = Journal::begin(folder, &founded, &key, now)?;
        Ok(Self { folder: folder.to_owned(), journal, key, _lock: lock })
    }

    fn write_request(&self, subject: &Subject) -> Result<()> {
        let request = build::request(subject, &self.key)?;
        let pem = files::pem_of(files::REQUEST, &request)?;
        files::replace(&self.folder.join(REQUEST_FILE), pem.as_bytes())
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it knows.
    pub const fn book(&self) -> &Book {
        self.journal.book()
    }

    /// Takes in the certificate that the root issued to this authority, and issues a first list.
    ///
    /// # Errors
    /// When the certificate is for another key or another jurisdiction, or the root did not sign it.
    pub fn install(&mut self, certificate: &[u8], root: &[u8], now: Millis) -> Result<()> {
        self.start(now)?;
        let Some(place) = self.book().place.clone() else {
            return Err(self.wrong_kind("install", "a delegated authority"));
        };
        let der = files::der_of(certificate, files::CERTIFICATE).context("failed to use the certificate")?;
        let root = files::der_of(root, files::CERTIFICATE).context("failed to use the root's certificate")?;
        let parsed = Certificate::parse(&der).context("the certificate is not acceptable")?;
        let own = build::certified_key(self.key.spki())?;
        ensure!(
            parsed.key_hash() == own.key_hash(),
            "the certificate is for another key than this authority's"
        );
        let anchors = Anchors::new([root.as_slice()]).context("the root's certificate is not acceptable")?;
        let mut store = TrustStore::new(anchors);
        store.add_authority(&der).context("the certificate is not accepted below this root")?;
        let role = role_of(&parsed).context("the certificate is not that of an authority")?;
        let expected = build::name_der(&place.base()?)?;
        ensure!(
            matches!(&role, Role::DelegatedCa { jurisdiction } if jurisdiction.base().as_der() == expected)
                && parsed.subject().as_der() == build::name_der(&self.book().subject.distinguished()?)?,
            "the certificate is for `{}`, this authority is `{}`",
            parsed.subject(),
            self.book().subject
        );
        files::write_both(&self.folder, "ca", files::CERTIFICATE, &der)?;
        files::write_both(&self.folder, "root", files::CERTIFICATE, &root)?;
        let act = Act::Installed {
            certificate: CertificateHash::of(&der).to_string(),
            root: CertificateHash::of(&root).to_string(),
            not_after_s: parsed.validity().not_after.0 / Millis::SECOND,
        };
        self.journal.append(&act, &self.key, now)?;
        self.issue_list(now, None)?;
        Ok(())
    }

    /// What every changing command begins with: a clock that did not go back, and nothing left unfinished.
    ///
    /// # Errors
    /// When the clock went back, or what was left cannot be finished.
    pub(super) fn start(&mut self, now: Millis) -> Result<()> {
        let last = self.book().last_at;
        if now < last {
            let (now, last) = (calendar::shown(now), calendar::shown(last));
            return Err(Refusal::ClockWentBack { now, last }.into());
        }
        if let Some(serial) = self.book().unfinished().map(|record| record.words.serial) {
            self.finish_certificate(serial, now)?;
        }
        if self.book().unfinished_list().is_some() {
            self.finish_list(now)?;
        }
        let founded_only = self.book().is_root() && self.book().root_record().is_none();
        if founded_only {
            // The crash came between the founding and the root's own certificate.
            let (subject, spki) = (self.book().subject.clone(), self.key.spki().to_vec());
            let words = self.words(Kind::Root, subject, spki, ROOT_YEARS * YEAR_DAYS, now)?;
            self.sign_and_record(words, None, None, None, now)?;
        }
        if !self.book().is_root() && !self.folder.join(REQUEST_FILE).exists() {
            let subject = self.book().subject.clone();
            self.write_request(&subject)?;
        }
        self.have_the_founding_signed(now)
    }

    /// Finishes what a crash left unfinished; says what that was.
    ///
    /// # Errors
    /// When it cannot be finished.
    pub fn recover(&mut self, now: Millis) -> Result<Vec<String>> {
        let mut done = Vec::new();
        done.extend(self.book().unfinished().map(|record| format!("certificate {}", record.words.serial)));
        done.extend(self.book().unfinished_list().map(|list| format!("revocation list {}", list.number)));
        if self.journal.is_torn() {
            done.push("a journal line that was cut off (nothing was done because of it)".to_owned());
        }
        self.start(now)?;
        let certified = self.book().is_root() || self.book().own.is_some();
        if certified && !self.book().list_is_current() {
            done.push("a revocation list that was due".to_owned());
            self.issue_list(now, None)?;
        }
        Ok(done)
    }

    /// The words of a certificate with a new serial number.
    pub(super) fn words(
        &self,
        kind: Kind,
        subject: Subject,
        spki: Vec<u8>,
        days: u64,
        now: Millis,
    ) -> Result<Words> {
        let refused = |why: String| Refusal::Validity { days, why };
        if days == 0 || days > 31 * YEAR_DAYS {
            return Err(refused("1 day to 31 years".to_owned()).into());
        }
        let not_before_s = now.0.saturating_sub(BACKDATED_MS) / Millis::SECOND;
        let not_after_s = now.0 / Millis::SECOND + days * 86_400;
        if let Some(own_s) = self.book().own_not_after_s()
            && not_after_s > own_s
        {
            let left = own_s.saturating_sub(now.0 / Millis::SECOND) / 86_400;
            let why = format!(
                "this authority's own certificate counts for {left} more days: give it {left} days or fewer, or have \
                 the authority renewed first"
            );
            return Err(refused(why).into());
        }
        let serial = self.fresh_serial()?;
        Ok(Words { serial, kind, subject, spki, not_before_s, not_after_s })
    }

    fn fresh_serial(&self) -> Result<SerialNo> {
        loop {
            let drawn = SerialNo::new(random_bytes()?);
            if let Some(serial) = drawn.filter(|serial| !self.book().certificates.contains_key(serial)) {
                return Ok(serial);
            }
        }
    }

    /// Looks at a certificate, records the intent, signs, writes, records the certificate.
    pub(super) fn sign_and_record(
        &mut self,
        words: Words,
        renews: Option<SerialNo>,
        proposal: Option<String>,
        device: Option<String>,
        now: Millis,
    ) -> Result<SerialNo> {
        let serial = words.serial;
        build::look_at(&words, &self.book().subject, self.book().place.as_ref())?;
        self.journal.append(&Act::Intended { words, renews, proposal, device }, &self.key, now)?;
        self.finish_certificate(serial, now)?;
        Ok(serial)
    }

    pub(super) fn finish_certificate(&mut self, serial: SerialNo, now: Millis) -> Result<()> {
        let record = self.book().certificates.get(&serial);
        let words = record.ok_or(Refusal::UnknownSerial { serial })?.words.clone();
        let folder = self.folder.join(CERTIFICATES);
        let der = match self.left_behind(&folder, &words)? {
            Some(der) => der,
            None => build::certificate(&words, &self.book().subject, self.book().place.as_ref(), &self.key)?,
        };
        files::write_both(&folder, &serial.to_string(), files::CERTIFICATE, &der)?;
        if words.kind == Kind::Root {
            files::write_both(&self.folder, "ca", files::CERTIFICATE, &der)?;
        }
        let hash = CertificateHash::of(&der).to_string();
        self.journal.append(&Act::Issued { serial, hash }, &self.key, now)
    }

    /// The certificate that was on the disk already when the crash came: an ECDSA signature is never the same twice,
    /// and somebody may have taken the first one away.
    fn left_behind(&self, folder: &Path, words: &Words) -> Result<Option<Vec<u8>>> {
        let path = folder.join(format!("{}.der", words.serial));
        if !path.try_exists().with_context(|| format!("failed to look for `{}`", path.display()))? {
            return Ok(None);
        }
        let der = files::read(&path, files::SMALL_FILE_BYTES_MAX)?;
        build::is_of(&der, words, self.key.spki())
            .with_context(|| format!("`{}` is not what this authority was about to issue", path.display()))?;
        Ok(Some(der))
    }

    /// Refuses to work on an older copy of the journal: serial numbers and list numbers would part.
    fn refuse_older_journal(&self) -> Result<()> {
        let (book, gone) = (self.book(), |what: String| Refusal::JournalWentBack { what });
        for (folder, what) in [(CERTIFICATES, "certificate"), (LISTS, "list")] {
            for stem in stems(&self.folder.join(folder))? {
                let known = match what {
                    "list" => {
                        stem.parse().is_ok_and(|number: u64| book.lists.iter().any(|l| l.number == number))
                    }
                    _ => stem.parse().is_ok_and(|serial: SerialNo| book.certificates.contains_key(&serial)),
                };
                if !known {
                    return Err(gone(format!("{what} `{stem}` is on the disk and not in the journal")).into());
                }
            }
        }
        Ok(())
    }

    pub(super) fn wrong_kind(&self, what: &'static str, needed: &'static str) -> anyhow::Error {
        let found = if self.book().is_root() { "a root" } else { "a delegated authority" };
        Refusal::WrongKind { what, needed, found, folder: self.folder.clone() }.into()
    }

    /// The hash of this authority's key, by which proposals name it.
    pub(super) fn key_hash(&self) -> Result<String> {
        Ok(hex(build::certified_key(self.key.spki())?.key_hash()))
    }

    /// Refuses unless this authority may issue to offices and persons.
    pub(super) fn issuing_place(&self, what: &'static str) -> Result<Place> {
        let place = self.book().place.clone();
        let place = place.ok_or_else(|| self.wrong_kind(what, "a delegated authority"))?;
        if self.book().own.is_none() {
            return Err(Refusal::NotInstalled.into());
        }
        Ok(place)
    }

    /// What a request asks to have certified, after its name was compared.
    ///
    /// # Errors
    /// [`Refusal::SubjectDiffers`].
    pub fn key_of(request: &Request, subject: &Subject) -> Result<Vec<u8>> {
        request.agrees_with(subject)?;
        Ok(request.spki().to_vec())
    }
}

/// Names of the `.der` files of a folder, without the ending.
pub(super) fn stems(folder: &Path) -> Result<Vec<String>> {
    let attempted = || format!("failed to list `{}`", folder.display());
    let mut stems = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(attempted)? {
        let path = entry.with_context(attempted)?.path();
        if path.extension().is_some_and(|extension| extension == "der") {
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            let stem =
                stem.ok_or_else(|| anyhow!("`{}` has a name that nobody here gave it", path.display()))?;
            if stem != "list" {
                stems.push(stem.to_owned());
            }
        }
    }
    stems.sort_unstable();
    Ok(stems)
}
