//! A whole hierarchy of authorities in one folder, played by one person: for the demo, the benches, and tests with real
//! processes. Every step is the real one, keys are encrypted, two approvers sign; only that all of them are the same
//! person is play, and that nobody carries files.
//!
//! ```text
//! FOLDER/root/            the root
//! FOLDER/approvers/       keys of the two who approve
//! FOLDER/<authority>/     one for each province and for the centre, once it is needed
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use jiff::civil::Date;
use schema::directory::{Directory, Tier};
use schema::id::OfficeId;
use schema::registry::Item;
use schema::time::Millis;

use super::approval::{Approver, Signed};
use super::authority::{AUTHORITY_YEARS, REQUEST_FILE, ROOT_YEARS, YEAR_DAYS};
use super::book::SerialNo;
use super::build::{self, Kind};
use super::proposal::Proposal;
use super::request::Request;
use super::secret::Key;
use super::{Authority, Cost, KeyKind, LeafTerms, Passphrase, Place, Subject, files};
use crate::deployment::papers;

/// What the root of a rehearsal is called: nobody is to take it for a real one.
pub const ROOT_NAME: &str = "Trạm gốc (diễn tập)";
const APPROVERS: [&str; 2] = ["Nguyễn Văn An", "Trần Thị Bình"];
/// How long an office's certificate counts.
const OFFICE_DAYS: u64 = 3 * YEAR_DAYS;

/// The root, who approves, and the authorities below it so far.
pub struct Rehearsal {
    folder: PathBuf,
    passphrase: Passphrase,
    cost: Cost,
    root: Authority,
    approvers: Vec<Key>,
    authorities: BTreeMap<String, Authority>,
}

impl Rehearsal {
    /// Founds the root, with every key under this passphrase.
    ///
    /// # Errors
    /// When the folder is in use or cannot be written.
    pub fn found(folder: &Path, passphrase: Passphrase, cost: Cost, now: Millis) -> Result<Self> {
        let keys = folder.join("approvers");
        files::make_folder(&keys)?;
        let mut approvers = Vec::new();
        let mut named = Vec::new();
        for (name, file) in APPROVERS.iter().zip(["an.key", "binh.key"]) {
            let key = Key::generate(KeyKind::Ed25519)?;
            key.write(&keys.join(file), &passphrase, cost)?;
            named.push(Approver::new(name, &key)?);
            approvers.push(key);
        }
        let options = (KeyKind::P256, &passphrase, cost);
        let root = Authority::init_root(&folder.join("root"), ROOT_NAME, &named, ROOT_YEARS, options, now)?;
        let (folder, authorities) = (folder.to_owned(), BTreeMap::new());
        let mut rehearsal = Self { folder, passphrase, cost, root, approvers, authorities };
        let founding = rehearsal.root.book().founding().context("a root with approvers has a founding")?;
        rehearsal.approved(&founding.proposal.clone(), now)?;
        Ok(rehearsal)
    }

    /// The root's own certificate (DER): what stations and relays pin.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn root_certificate(&self) -> Result<Vec<u8>> {
        files::read(&self.root.folder().join("ca.der"), files::SMALL_FILE_BYTES_MAX)
    }

    /// Certifies the key of an office's node, by the authority of its province or of the centre, as the directory had it
    /// on that day.
    ///
    /// # Errors
    /// When the office does not exist then, or the authority refuses.
    pub fn certify(
        &mut self,
        directory: &Directory,
        office: &OfficeId,
        day: Date,
        key: &[u8; 32],
        now: Millis,
    ) -> Result<SerialNo> {
        let place = place_of(directory, office, day)?;
        let name = directory.name_at(office, day).context("an office that exists has a name")?;
        self.certify_at(&place, name, office, key, now)
    }

    /// As [`Rehearsal::certify`], by the authority of that place.
    ///
    /// # Errors
    /// When the authority refuses.
    pub fn certify_at(
        &mut self,
        place: &Place,
        name: &str,
        office: &OfficeId,
        key: &[u8; 32],
        now: Millis,
    ) -> Result<SerialNo> {
        let terms = LeafTerms {
            kind: Kind::Office(*office),
            subject: Subject::office(place, name, office),
            spki: build::ed25519_spki(key)?,
            days: OFFICE_DAYS,
            device: None,
        };
        self.authority(place, now)?.issue(terms, now)
    }

    /// The authority of a place; founded and certified by the root when there is none yet.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn authority(&mut self, place: &Place, now: Millis) -> Result<&mut Authority> {
        if !self.authorities.contains_key(place.text()) {
            let authority = self.found_authority(place, now)?;
            self.authorities.insert(place.text().to_owned(), authority);
        }
        self.authorities.get_mut(place.text()).context("the authority was just made")
    }

    fn found_authority(&mut self, place: &Place, now: Millis) -> Result<Authority> {
        let folder = self.folder.join(format!("authority-{}", self.authorities.len() + 1));
        let name = format!("Cơ quan cấp chứng thư {} (diễn tập)", place.text());
        let options = (KeyKind::P256, &self.passphrase, self.cost);
        let mut authority = Authority::init_delegated(&folder, place, &name, &[], options, now)?;
        let request = Request::read(&folder.join(REQUEST_FILE))?;
        let days = AUTHORITY_YEARS * YEAR_DAYS;
        let (proposal, _) = self.root.propose_authority(place, &name, &request, days, now)?;
        let serial = self.approved(&proposal, now)?.context("an approved authority has a certificate")?;
        let certificate =
            self.root.folder().join(super::authority::CERTIFICATES).join(format!("{serial}.der"));
        let certificate = files::read(&certificate, files::SMALL_FILE_BYTES_MAX)?;
        authority.install(&certificate, &self.root_certificate()?, now)?;
        Ok(authority)
    }

    fn approved(&mut self, proposal: &Proposal, now: Millis) -> Result<Option<SerialNo>> {
        let approvals = self.approvers.iter().map(|key| Signed::sign(proposal, key, now));
        let approvals = approvals.collect::<Result<Vec<_>>>()?;
        Ok(self.root.carry_out(&proposal.id, &approvals, now)?.certificate())
    }

    /// What everybody must hold of all of them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn papers(&self) -> Result<Vec<Item>> {
        let mut items = papers::of_open_authority(&self.root)?;
        for authority in self.authorities.values() {
            items.extend(papers::of_open_authority(authority)?);
        }
        Ok(items)
    }
}

/// Whose authority certifies an office: that of its province, or of the centre.
///
/// # Errors
/// When the office lies in no province on that day.
pub fn place_of(directory: &Directory, office: &OfficeId, day: Date) -> Result<Place> {
    if directory.tier_at(office, day) == Some(Tier::Central) {
        return Ok(Place::Centre("Văn phòng Chính phủ".to_owned()));
    }
    let here = directory.office(office).into_iter();
    let above = here.chain(directory.ancestors_at(office, day));
    let province = above.into_iter().find(|above| directory.tier_at(&above.id, day) == Some(Tier::Province));
    let name = province.and_then(|province| province.name_at(day));
    ensure!(name.is_some(), "office `{office}` lies in no province on {day}");
    Ok(Place::Province(name.unwrap_or_default().to_owned()))
}
