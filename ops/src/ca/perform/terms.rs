//! What a certificate is to say, from the arguments, the request and the directory.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use node::config::parse_root_key;
use schema::id::OfficeId;
use schema::time::Millis;

use super::super::authority::{Authority, LeafTerms, Opening};
use super::super::book::SerialNo;
use super::super::build::{self, Kind};
use super::super::command::{OfficeArguments, OfficerArguments, RenewArguments, TermsArgument};
use super::super::request::Request;
use super::super::subject::{Place, Subject, citizen_number};
use super::super::{Refusal, files};
use crate::deployment::office_key;
use crate::{audit, calendar, lookup};

/// Terms of an office's certificate, and the request that proves possession, if there is one.
pub(super) fn of_office(
    opening: &Opening,
    OfficeArguments { office, key, name, terms, .. }: OfficeArguments,
    now: Millis,
) -> Result<(LeafTerms, Option<Request>)> {
    let TermsArgument { days, device } = terms;
    let place = opening.book().place.clone();
    let place = place.context("a root certifies authorities only; this is for a delegated authority")?;
    let (id, name, listed) = match &key.deployment {
        Some(folder) => {
            let (id, name, listed) = from_directory(folder, &office, &place, now)?;
            (id, name, Some(listed))
        }
        None => {
            let id: OfficeId = office.parse().context("without --deployment an office is named by its id")?;
            (id, name.context("name the office with --name, or let --deployment tell it")?, None)
        }
    };
    let subject = Subject::office(&place, &name, &id);
    let request = key.csr.as_deref().map(Request::read).transpose()?;
    let asked = match (&request, &key.public_key) {
        (Some(request), _) => Some(Authority::key_of(request, &subject)?),
        (None, Some(public)) => Some(public_key(public)?),
        (None, None) => None,
    };
    let spki = match (asked, listed) {
        (Some(asked), Some(listed)) if asked != listed => {
            bail!(
                "the request is for another key than the one that was made for `{name}` when it was enrolled; \
                 without --deployment the key of the request is taken"
            )
        }
        (Some(spki), _) | (None, Some(spki)) => spki,
        (None, None) => bail!("name the key: --csr, --public-key or --deployment"),
    };
    Ok((LeafTerms { kind: Kind::Office(id), subject, spki, days, device }, request))
}

/// Terms of a person's certificate, and the request that proves possession.
pub(super) fn of_officer(opening: &Opening, officer: OfficerArguments) -> Result<(LeafTerms, Request)> {
    let OfficerArguments { csr, name, citizen_id, citizen_id_file, unit, title, terms, .. } = officer;
    let place = opening.book().place.clone();
    let place = place.context("a root certifies authorities only; this is for a delegated authority")?;
    let citizen_id = citizen_id
        .map_or_else(|| citizen_id_file.as_deref().map(citizen_in).transpose(), |id| Ok(Some(id)))?;
    let (citizen, unit, title) = (citizen_id.as_deref(), unit.as_deref(), title.as_deref());
    let subject = Subject::officer(&place, &name, citizen, unit, title);
    let request = Request::read(&csr)?;
    let spki = Authority::key_of(&request, &subject)?;
    let TermsArgument { days, device } = terms;
    Ok((LeafTerms { kind: Kind::Officer, subject, spki, days, device }, request))
}

/// The request for a new key, or the key that lies in the deployment today; neither when the same key goes on.
pub(super) fn of_renewal(
    opening: &Opening,
    renewal: &RenewArguments,
    now: Millis,
) -> Result<(Option<Request>, Option<Vec<u8>>)> {
    let request = renewal.csr.as_deref().map(Request::read).transpose()?;
    let deployment = renewal.deployment.as_deref();
    let listed = deployment.map(|folder| key_of_today(opening, renewal.serial, folder, now)).transpose()?;
    Ok((request, listed))
}

fn from_directory(
    folder: &Path,
    office: &str,
    place: &Place,
    now: Millis,
) -> Result<(OfficeId, String, Vec<u8>)> {
    let directory = lookup::load(Some(folder))?;
    let at = calendar::date_of(now);
    let office = lookup::find(&directory, office, at)?;
    let name = audit::newest_name(&directory, &office.id);
    if !place.holds(&directory, &office.id, at) {
        let above = directory.ancestors_at(&office.id, at).filter_map(|above| above.name_at(at));
        let stated = std::iter::once(name.as_str()).chain(above).collect::<Vec<_>>().join(", ");
        return Err(Refusal::OutsideJurisdiction { stated, own: place.to_string() }.into());
    }
    let key = office_key(folder, &office.id, &name)?;
    Ok((office.id, name, build::ed25519_spki(&key)?))
}

/// The key that lies in the deployment for the office of a certificate.
fn key_of_today(opening: &Opening, serial: SerialNo, deployment: &Path, now: Millis) -> Result<Vec<u8>> {
    let record = opening.book().certificates.get(&serial).ok_or(Refusal::UnknownSerial { serial })?;
    let (Kind::Office(office), Some(place)) = (&record.words.kind, &opening.book().place) else {
        bail!("certificate {serial} is not that of an office: only offices are in a directory");
    };
    Ok(from_directory(deployment, &office.to_string(), place, now)?.2)
}

fn public_key(text: &str) -> Result<Vec<u8>> {
    let from_file = match parse_root_key(text) {
        Ok(key) => return build::ed25519_spki(&key),
        Err(_) => files::read(Path::new(text), files::SMALL_FILE_BYTES_MAX)
            .context("a public key is 64 hexadecimal digits, or the name of a file with them")?,
    };
    let key = parse_root_key(String::from_utf8_lossy(&from_file).trim())
        .map_err(|found| anyhow!("`{text}` does not hold a public key: {found}"))?;
    build::ed25519_spki(&key)
}

fn citizen_in(path: &Path) -> Result<String> {
    let bytes = files::read(path, files::SMALL_FILE_BYTES_MAX)?;
    let number = citizen_number(String::from_utf8_lossy(&bytes).trim());
    number.map_err(|found| anyhow!("`{}` does not hold a citizen number: {found}", path.display()))
}
