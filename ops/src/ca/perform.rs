//! What each `tram ca` command does, and what it answers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use node::config::parse_root_key;
use schema::id::OfficeId;
use schema::time::Millis;
use serde_json::{Value, json};

use super::approval::{Approver, ProposalFile, Signed};
use super::authority::{self, Authority, LeafTerms, Opening, YEAR_DAYS};
use super::book::SerialNo;
use super::build::{self, Kind};
use super::command::{Command, MinutesArguments, OfficeKeyArgument, Options, TermsArgument};
use super::minutes::{HandOver, Party};
use super::request::Request;
use super::secret::{Cost, Key, KeyKind, Passphrase};
use super::subject::{Place, Subject, citizen_number};
use super::{files, show};
use crate::{audit, calendar, lookup};

/// What a command found: for people, for programs, and whether all is well.
struct Answer {
    text: String,
    json: Value,
    is_well: bool,
}

impl Answer {
    const fn well(text: String, json: Value) -> Self {
        Self { text, json, is_well: true }
    }
}

/// Carries out a command; `print` takes what goes to standard output.
///
/// # Errors
/// Says what was refused or failed, and what to do.
pub fn run(options: Options, print: impl Fn(&str) -> Result<()>) -> Result<ExitCode> {
    let Options { json, passphrase_file, command } = options;
    let answer = carry_out(command, passphrase_file.as_deref(), calendar::now(), &print, json)?;
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&answer.json)?))?;
    } else {
        print(&answer.text)?;
    }
    Ok(if answer.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn unlock(folder: &Path, passphrase: Option<&Path>) -> Result<Authority> {
    let opening = Opening::read(folder)?;
    let what = format!("`{}`", folder.display());
    opening.unlock(&Passphrase::obtain(passphrase, &what)?)
}

fn carry_out(
    command: Command,
    words: Option<&Path>,
    now: Millis,
    print: &impl Fn(&str) -> Result<()>,
    json: bool,
) -> Result<Answer> {
    match command {
        Command::ApproverKey { file, name } => approver_key(&file, &name, words),
        Command::InitRoot { folder, name, approvers, key, years } => {
            let approvers = read_approvers(&approvers)?;
            super::approval::check_approvers(&approvers)?;
            let passphrase = Passphrase::obtain_new(words, "the root")?;
            let root = Authority::init_root(
                &folder,
                &name,
                &approvers,
                years,
                (key, &passphrase, Cost::STANDARD),
                now,
            )?;
            show::founded(root.folder(), root.book()).map(|(text, json)| Answer::well(text, json))
        }
        Command::InitDelegated { folder, place, name, key } => {
            let place = place.place()?;
            let passphrase = Passphrase::obtain_new(words, "the authority")?;
            let made =
                Authority::init_delegated(&folder, &place, &name, (key, &passphrase, Cost::STANDARD), now)?;
            show::founded(made.folder(), made.book()).map(|(text, json)| Answer::well(text, json))
        }
        Command::Request { folder, csr, place, name, years } => {
            let request = Request::read(&csr)?;
            let mut root = unlock(&folder, words)?;
            let (proposal, path) =
                root.propose_authority(&place.place()?, &name, &request, years * YEAR_DAYS, now)?;
            let (text, json) = show::proposed(&proposal, &path)?;
            Ok(Answer::well(text, json))
        }
        Command::RequestApprovers { folder, approvers } => {
            let approvers = read_approvers(&approvers)?;
            let (proposal, path) = unlock(&folder, words)?.propose_approvers(&approvers, now)?;
            let (text, json) = show::proposed(&proposal, &path)?;
            Ok(Answer::well(text, json))
        }
        Command::Approve { file, key, out, yes } => approve(&file, &key, out, yes, words, now, print, json),
        Command::IssueAuthority { folder, id, approvals } => {
            let approvals = approvals.iter().map(|path| Signed::read(path)).collect::<Result<Vec<_>>>()?;
            let mut root = unlock(&folder, words)?;
            match root.carry_out(&id, &approvals, now)? {
                Some(serial) => Ok(issued(&root, serial)),
                None => Ok(Answer::well(
                    "the approvers were changed as approved\n".to_owned(),
                    json!({ "approvers": root.book().approvers }),
                )),
            }
        }
        Command::Install { folder, certificate, root } => {
            let certificate = files::read(&certificate, files::SMALL_FILE_BYTES_MAX)?;
            let root = files::read(&root, files::SMALL_FILE_BYTES_MAX)?;
            let mut authority = unlock(&folder, words)?;
            authority.install(&certificate, &root, now)?;
            let (text, json) = show::installed(&folder, authority.book());
            Ok(Answer::well(text, json))
        }
        Command::IssueOffice { folder, office, key, name, terms } => {
            let opening = Opening::read(&folder)?;
            let terms = office_terms(&opening, &office, &key, name, terms, now)?;
            let mut authority = unlock(&folder, words)?;
            let serial = authority.issue(terms, now)?;
            Ok(issued(&authority, serial))
        }
        Command::IssueOfficer { folder, csr, name, citizen_id, citizen_id_file, unit, title, terms } => {
            let place = Opening::read(&folder)?.book().place.clone();
            let place =
                place.context("a root certifies authorities only; this is for a delegated authority")?;
            let citizen_id = citizen_id
                .map_or_else(|| citizen_id_file.as_deref().map(citizen_in).transpose(), |id| Ok(Some(id)))?;
            let (citizen, unit, title) = (citizen_id.as_deref(), unit.as_deref(), title.as_deref());
            let subject = Subject::officer(&place, &name, citizen, unit, title);
            let spki = Authority::key_of(&Request::read(&csr)?, &subject)?;
            let mut authority = unlock(&folder, words)?;
            let TermsArgument { days, device } = terms;
            let serial =
                authority.issue(LeafTerms { kind: Kind::Officer, subject, spki, days, device }, now)?;
            Ok(issued(&authority, serial))
        }
        Command::Renew { folder, serial, csr, deployment, terms: TermsArgument { days, device } } => {
            let request = csr.as_deref().map(Request::read).transpose()?;
            let opening = Opening::read(&folder)?;
            let listed = match &deployment {
                Some(deployment) => Some(key_of_today(&opening, serial, deployment, now)?),
                None => None,
            };
            let what = format!("`{}`", folder.display());
            let mut authority = opening.unlock(&Passphrase::obtain(words, &what)?)?;
            let renewed = match listed {
                Some(spki) => authority.renew_for_key(serial, spki, days, device, now)?,
                None => authority.renew(serial, request.as_ref(), days, device, now)?,
            };
            Ok(issued(&authority, renewed))
        }
        Command::Revoke { folder, serial, reason, invalid_from } => {
            let invalid_from = invalid_from.map(midnight).transpose()?;
            let number = unlock(&folder, words)?.revoke(serial, reason, invalid_from, now)?;
            Ok(listed(&folder, number, &format!("{serial} is revoked ({})", reason.as_str())))
        }
        Command::Release { folder, serial } => {
            let number = unlock(&folder, words)?.release(serial, now)?;
            Ok(listed(&folder, number, &format!("{serial} counts again")))
        }
        Command::Crl { folder, days } => {
            let number = unlock(&folder, words)?.list(days, now)?;
            Ok(listed(&folder, number, "done"))
        }
        Command::Minutes(minutes) => {
            let MinutesArguments { folder, serial, .. } = &*minutes;
            let mut authority = unlock(folder, words)?;
            let path = authority.hand_over(*serial, &hand_over(&minutes), now)?;
            let text = format!("minutes to print and sign, in two copies: {}\n", path.display());
            Ok(Answer::well(text, json!({ "minutes": path })))
        }
        Command::List { folder, in_use } => {
            let (text, json, is_well) = show::list(&Opening::read(&folder)?, in_use, now)?;
            Ok(Answer { text, json, is_well })
        }
        Command::Needs { folder, deployment } => {
            let directory = deployment.map(|folder| lookup::load(Some(&folder))).transpose()?;
            let needs = Opening::read(&folder)?.needs(directory.as_ref(), now);
            Ok(Answer::well(show::needs(&needs), json!(needs)))
        }
        Command::Show { folder, serial } => {
            let (text, json) = show::one(&Opening::read(&folder)?, serial, now)?;
            Ok(Answer::well(text, json))
        }
        Command::Check { folder } => {
            let checks = Opening::read(&folder)?.check(now)?;
            let is_well = checks.iter().all(|check| check.broken.is_empty());
            Ok(Answer { text: show::checks(&checks), json: json!(checks), is_well })
        }
        Command::Recover { folder } => {
            let done = unlock(&folder, words)?.recover(now)?;
            let text =
                if done.is_empty() { "nothing was unfinished\n".to_owned() } else { done.join("\n") + "\n" };
            Ok(Answer::well(text, json!({ "finished": done })))
        }
    }
}

fn issued(authority: &Authority, serial: SerialNo) -> Answer {
    let (text, json) = show::issued(authority.folder(), authority.book(), serial);
    Answer::well(text, json)
}

fn listed(folder: &Path, number: u64, what: &str) -> Answer {
    let path = folder.join(authority::LISTS).join("list.pem");
    let text = format!(
        "{what}; revocation list {number}: {}\nhand it on to the relays and the root's keeper\n",
        path.display()
    );
    Answer::well(text, json!({ "list": number, "file": path }))
}

fn read_approvers(paths: &[PathBuf]) -> Result<Vec<Approver>> {
    paths.iter().map(|path| Approver::read(path)).collect()
}

fn approver_key(file: &Path, name: &str, words: Option<&Path>) -> Result<Answer> {
    let passphrase = Passphrase::obtain_new(words, "your approver key")?;
    let key = Key::generate(KeyKind::Ed25519)?;
    let approver = Approver::new(name, &key)?;
    let mut public = file.as_os_str().to_owned();
    public.push(".pub");
    let public = PathBuf::from(public);
    ensure!(!public.exists(), "`{}` exists already; choose another name for the key", public.display());
    key.write(file, &passphrase, Cost::STANDARD)?;
    files::create(&public, format!("{}\n", serde_json::to_string(&approver)?).as_bytes())?;
    let text = format!(
        "key of {name}: {} (keep it; nobody else may have it)\npublic half: {} (give it to the root's keeper)\n",
        file.display(),
        public.display()
    );
    Ok(Answer::well(text, json!({ "key": file, "public": public, "approver": approver })))
}

#[expect(clippy::too_many_arguments, reason = "the arguments of one command, taken apart once")]
fn approve(
    file: &Path,
    key: &Path,
    out: Option<PathBuf>,
    yes: bool,
    words: Option<&Path>,
    now: Millis,
    print: &impl Fn(&str) -> Result<()>,
    json: bool,
) -> Result<Answer> {
    let ProposalFile { proposal, .. } = ProposalFile::read(file)?;
    let terms = show::terms(&proposal)?;
    if !json {
        print(&terms)?;
    }
    if !yes {
        let mut answer = String::new();
        eprint!("Approve exactly this? Type `yes`: ");
        std::io::stdin()
            .read_line(&mut answer)
            .context("failed to read the answer; --yes signs without asking")?;
        ensure!(answer.trim() == "yes", "not approved; nothing was signed");
    }
    let key_file = key;
    let key = Key::read(key, &Passphrase::obtain(words, &format!("`{}`", key.display()))?)?;
    let approval = Signed::sign(&proposal, &key, now)?;
    let stem = key_file.file_stem().and_then(|stem| stem.to_str()).unwrap_or("approver");
    let out = out.unwrap_or_else(|| key_file.with_file_name(format!("{}-{stem}.approval.json", proposal.id)));
    files::create(&out, format!("{}\n", serde_json::to_string_pretty(&approval)?).as_bytes())?;
    let text = format!("approved; give this file to the root's keeper: {}\n", out.display());
    Ok(Answer::well(text, json!({ "approval": out, "proposal": proposal })))
}

fn office_terms(
    opening: &Opening,
    office: &str,
    key: &OfficeKeyArgument,
    name: Option<String>,
    TermsArgument { days, device }: TermsArgument,
    now: Millis,
) -> Result<LeafTerms> {
    let place = opening.book().place.clone();
    let place = place.context("a root certifies authorities only; this is for a delegated authority")?;
    let (id, name, listed) = match &key.deployment {
        Some(folder) => {
            let (id, name, listed) = from_directory(folder, office, &place, now)?;
            (id, name, Some(listed))
        }
        None => {
            let id: OfficeId = office.parse().context("without --deployment an office is named by its id")?;
            (id, name.context("name the office with --name, or let --deployment tell it")?, None)
        }
    };
    let subject = Subject::office(&place, &name, &id);
    let asked = match (&key.csr, &key.public_key) {
        (Some(csr), _) => Some(Authority::key_of(&Request::read(csr)?, &subject)?),
        (None, Some(public)) => Some(public_key(public)?),
        (None, None) => None,
    };
    let spki = match (asked, listed) {
        (Some(asked), Some(listed)) if asked != listed => {
            bail!("the request is for another key than the one the directory lists for `{name}`")
        }
        (Some(spki), _) | (None, Some(spki)) => spki,
        (None, None) => bail!("name the key: --csr, --public-key or --deployment"),
    };
    Ok(LeafTerms { kind: Kind::Office(id), subject, spki, days, device })
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
        return Err(super::Refusal::OutsideJurisdiction { stated, own: place.to_string() }.into());
    }
    let key = office.keys.iter().rev().find(|key| key.validity.contains(now));
    let key = key.ok_or_else(|| anyhow!("`{name}` is not enrolled: run `tram enrol` first"))?;
    Ok((office.id, name, build::ed25519_spki(&key.key)?))
}

/// The key that the directory lists now for the office of a certificate.
fn key_of_today(opening: &Opening, serial: SerialNo, deployment: &Path, now: Millis) -> Result<Vec<u8>> {
    let record = opening.book().certificates.get(&serial).ok_or(super::Refusal::UnknownSerial { serial })?;
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

fn midnight(day: Date) -> Result<Millis> {
    let vietnam = TimeZone::fixed(Offset::constant(7));
    let at = day.to_zoned(vietnam).with_context(|| format!("`{day}` is outside the calendar"))?;
    let at = u64::try_from(at.timestamp().as_millisecond());
    Ok(Millis(at.with_context(|| format!("`{day}` is before 1970"))?))
}

fn hand_over(minutes: &MinutesArguments) -> HandOver {
    let party = |name: &str, position: &str, office: &str| Party {
        name: name.to_owned(),
        position: position.to_owned(),
        office: office.to_owned(),
    };
    HandOver {
        from: party(&minutes.from, &minutes.from_position, &minutes.from_office),
        to: party(&minutes.to, &minutes.to_position, &minutes.to_office),
        place: minutes.place.clone(),
        device: minutes.device.clone(),
        state: minutes.state.clone(),
    }
}
