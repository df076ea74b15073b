//! What each `tram ca` command does, and what it answers.

mod approve;
mod terms;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, ensure};
use schema::time::Millis;
use serde_json::{Value, json};

use super::approval::{APPROVALS_OF_A_DELEGATED, APPROVALS_OF_A_ROOT, Approver, Signed, check_approvers};
use super::authority::{self, Authority, Opening, YEAR_DAYS};
use super::book::{Reason, SerialNo};
use super::command::{Command, MinutesArguments, Options, RenewArguments, RevokeArguments};
use super::inventory::Check;
use super::minutes::{HandOver, Party};
use super::proposal::Proposal;
use super::propose::CarriedOut;
use super::request::Request;
use super::secret::{Cost, Key, KeyKind, Passphrase};
use super::{files, show};
use crate::{calendar, deployment};

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

/// What every command is given besides its own arguments.
struct Desk<'a, P> {
    passphrase: Option<&'a Path>,
    seen: &'a [PathBuf],
    now: Millis,
    print: &'a P,
    json: bool,
}

/// Carries out a command; `print` takes what goes to standard output.
///
/// # Errors
/// Says what was refused or failed, and what to do.
pub fn run(options: Options, print: impl Fn(&str) -> Result<()>) -> Result<ExitCode> {
    let Options { json, passphrase_file, seen, command } = options;
    let desk = Desk {
        passphrase: passphrase_file.as_deref(),
        seen: &seen,
        now: calendar::now(),
        print: &print,
        json,
    };
    let answer = desk.carry_out(command)?;
    if json {
        print(&format!("{}\n", serde_json::to_string_pretty(&answer.json)?))?;
    } else {
        print(&answer.text)?;
    }
    Ok(if answer.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl<P: Fn(&str) -> Result<()>> Desk<'_, P> {
    /// An authority to look at; not an older copy, as far as was shown.
    fn open(&self, folder: &Path) -> Result<Opening> {
        let opening = Opening::read(folder)?;
        opening.compare_with_seen(self.seen)?;
        Ok(opening)
    }

    /// An authority to change.
    fn unlock(&self, folder: &Path) -> Result<Authority> {
        self.unlock_opened(self.open(folder)?)
    }

    fn unlock_opened(&self, opening: Opening) -> Result<Authority> {
        let what = format!("`{}`", opening.folder().display());
        opening.unlock(&Passphrase::obtain(self.passphrase, &what)?)
    }

    fn nothing_to_compare(&self) -> Result<()> {
        ensure!(self.seen.is_empty(), "--seen is compared with an authority's folder; this command has none");
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each command, each a few lines")]
    fn carry_out(&self, command: Command) -> Result<Answer> {
        let now = self.now;
        match command {
            Command::ApproverKey { file, name } => {
                self.nothing_to_compare()?;
                approver_key(&file, &name, self.passphrase)
            }
            Command::InitRoot { folder, name, approvers, key, years } => {
                self.nothing_to_compare()?;
                let approvers = read_approvers(&approvers)?;
                check_approvers(&approvers, APPROVALS_OF_A_ROOT)?;
                let passphrase = Passphrase::obtain_new(self.passphrase, "the root")?;
                let key = (key, &passphrase, Cost::STANDARD);
                let root = Authority::init_root(&folder, &name, &approvers, years, key, now)?;
                show::founded(root.folder(), root.book()).map(|(text, json)| Answer::well(text, json))
            }
            Command::InitDelegated { folder, place, name, approvers, key } => {
                self.nothing_to_compare()?;
                let place = place.place()?;
                let approvers = read_approvers(&approvers)?;
                if !approvers.is_empty() {
                    check_approvers(&approvers, APPROVALS_OF_A_DELEGATED)?;
                }
                let passphrase = Passphrase::obtain_new(self.passphrase, "the authority")?;
                let key = (key, &passphrase, Cost::STANDARD);
                let made = Authority::init_delegated(&folder, &place, &name, &approvers, key, now)?;
                show::founded(made.folder(), made.book()).map(|(text, json)| Answer::well(text, json))
            }
            Command::Request { folder, csr, place, name, years } => {
                let request = Request::read(&csr)?;
                let mut root = self.unlock(&folder)?;
                let made =
                    root.propose_authority(&place.place()?, &name, &request, years * YEAR_DAYS, now)?;
                proposed(&root, &made)
            }
            Command::RequestApprovers { folder, approvers } => {
                let approvers = read_approvers(&approvers)?;
                let mut authority = self.unlock(&folder)?;
                let made = authority.propose_approvers(&approvers, now)?;
                proposed(&authority, &made)
            }
            Command::Approve { file, key, out, yes } => self.approve(&file, &key, out, yes),
            Command::Issue { folder, id, approvals } => {
                let approvals =
                    approvals.iter().map(|path| Signed::read(path)).collect::<Result<Vec<_>>>()?;
                let mut authority = self.unlock(&folder)?;
                let done = authority.carry_out(&id, &approvals, now)?;
                Ok(carried_out(&authority, &done))
            }
            Command::Install { folder, certificate, root } => {
                let certificate = files::read(&certificate, files::SMALL_FILE_BYTES_MAX)?;
                let root = files::read(&root, files::SMALL_FILE_BYTES_MAX)?;
                let mut authority = self.unlock(&folder)?;
                authority.install(&certificate, &root, now)?;
                let (text, json) = show::installed(&folder, authority.book());
                Ok(Answer::well(text, json))
            }
            Command::IssueOffice(office) => {
                let opening = self.open(&office.folder)?;
                let (terms, _) = terms::of_office(&opening, *office, now)?;
                let mut authority = self.unlock_opened(opening)?;
                let serial = authority.issue(terms, now)?;
                Ok(issued(&authority, serial))
            }
            Command::RequestOffice(office) => {
                let opening = self.open(&office.folder)?;
                let (terms, request) = terms::of_office(&opening, *office, now)?;
                let mut authority = self.unlock_opened(opening)?;
                let made = authority.propose_leaf(terms, request.as_ref(), now)?;
                proposed(&authority, &made)
            }
            Command::IssueOfficer(officer) => {
                let opening = self.open(&officer.folder)?;
                let (terms, _) = terms::of_officer(&opening, *officer)?;
                let mut authority = self.unlock_opened(opening)?;
                let serial = authority.issue(terms, now)?;
                Ok(issued(&authority, serial))
            }
            Command::RequestOfficer(officer) => {
                let opening = self.open(&officer.folder)?;
                let (terms, request) = terms::of_officer(&opening, *officer)?;
                let mut authority = self.unlock_opened(opening)?;
                let made = authority.propose_leaf(terms, Some(&request), now)?;
                proposed(&authority, &made)
            }
            Command::Renew(renewal) => {
                let opening = self.open(&renewal.folder)?;
                let (request, listed) = terms::of_renewal(&opening, &renewal, now)?;
                let RenewArguments { serial, terms, .. } = renewal;
                let mut authority = self.unlock_opened(opening)?;
                let renewed = match listed {
                    Some(spki) => authority.renew_for_key(serial, spki, terms.days, terms.device, now)?,
                    None => authority.renew(serial, request.as_ref(), terms.days, terms.device, now)?,
                };
                Ok(issued(&authority, renewed))
            }
            Command::RequestRenew(renewal) => {
                let opening = self.open(&renewal.folder)?;
                let (request, listed) = terms::of_renewal(&opening, &renewal, now)?;
                let RenewArguments { serial, terms, .. } = renewal;
                let mut authority = self.unlock_opened(opening)?;
                let key = (request.as_ref(), listed);
                let made = authority.propose_renewal(serial, key, terms.days, terms.device, now)?;
                proposed(&authority, &made)
            }
            Command::Revoke(RevokeArguments { folder, serial, reason, invalid_from }) => {
                let mut authority = self.unlock(&folder)?;
                let number = authority.revoke(serial, reason, invalid_from, now)?;
                Ok(revoked(&authority, serial, number))
            }
            Command::RequestRevoke(RevokeArguments { folder, serial, reason, invalid_from }) => {
                let mut authority = self.unlock(&folder)?;
                let made = authority.propose_revocation(serial, reason, invalid_from, now)?;
                proposed(&authority, &made)
            }
            Command::Release(release) => {
                let number = self.unlock(&release.folder)?.release(release.serial, now)?;
                Ok(listed(&release.folder, number, &format!("{} counts again", release.serial)))
            }
            Command::RequestRelease(release) => {
                let mut authority = self.unlock(&release.folder)?;
                let made = authority.propose_release(release.serial, now)?;
                proposed(&authority, &made)
            }
            Command::Crl { folder, days } => {
                let number = self.unlock(&folder)?.list(days, now)?;
                Ok(listed(&folder, number, "done"))
            }
            Command::Minutes(minutes) => {
                let MinutesArguments { folder, serial, .. } = &*minutes;
                let mut authority = self.unlock(folder)?;
                let path = authority.hand_over(*serial, &hand_over(&minutes), now)?;
                let text = format!("minutes to print and sign, in two copies: {}\n", path.display());
                Ok(Answer::well(text, json!({ "minutes": path })))
            }
            Command::List { folder, in_use } => {
                let (text, json, is_well) = show::list(&self.open(&folder)?, in_use, now)?;
                Ok(Answer { text, json, is_well })
            }
            Command::Needs { folder, deployment } => {
                let registry = deployment.map(|folder| deployment::read_registry(&folder)).transpose()?;
                let needs = self.open(&folder)?.needs(registry.as_ref(), now);
                Ok(Answer::well(show::needs(&needs), json!(needs)))
            }
            Command::Show { folder, serial } => {
                let (text, json) = show::one(&self.open(&folder)?, serial, now)?;
                Ok(Answer::well(text, json))
            }
            Command::Check { folder } => self.check(&folder),
            Command::Recover { folder } => {
                let done = self.unlock(&folder)?.recover(now)?;
                let text = if done.is_empty() {
                    "nothing was unfinished\n".to_owned()
                } else {
                    done.join("\n") + "\n"
                };
                Ok(Answer::well(text, json!({ "finished": done })))
            }
        }
    }

    /// All that is wrong is told, so an older copy is one complaint among others here.
    fn check(&self, folder: &Path) -> Result<Answer> {
        let opening = Opening::read(folder)?;
        let mut checks = opening.check(self.now)?;
        if !self.seen.is_empty() {
            let compared = self.seen.iter().map(|path| opening.compare_with_seen(std::slice::from_ref(path)));
            let broken = compared.filter_map(Result::err).map(|error| format!("{error:#}")).collect();
            let what = "not older than what others hold".to_owned();
            checks.push(Check { what, looked_at: self.seen.len(), broken });
        }
        let is_well = checks.iter().all(|check| check.broken.is_empty());
        Ok(Answer { text: show::checks(&checks), json: json!(checks), is_well })
    }

    fn approve(&self, file: &Path, key: &Path, out: Option<PathBuf>, yes: bool) -> Result<Answer> {
        self.nothing_to_compare()?;
        approve::sign(file, key, out, yes, (self.passphrase, self.now), (!self.json).then_some(self.print))
    }
}

fn proposed(authority: &Authority, (proposal, path): &(Proposal, PathBuf)) -> Result<Answer> {
    let (text, json) = show::proposed(authority.folder(), authority.book(), proposal, path)?;
    Ok(Answer::well(text, json))
}

fn carried_out(authority: &Authority, done: &CarriedOut) -> Answer {
    match done {
        CarriedOut::Certificate(serial) => issued(authority, *serial),
        CarriedOut::Revocation(serial, number) => revoked(authority, *serial, *number),
        CarriedOut::Release(serial, number) => {
            listed(authority.folder(), *number, &format!("{serial} counts again"))
        }
        CarriedOut::Approvers | CarriedOut::Founding => {
            let text = match done {
                CarriedOut::Founding => "everybody who approves has signed the founding\n",
                _ => "the approvers were changed as approved\n",
            };
            Answer::well(text.to_owned(), json!({ "approvers": authority.book().approvers }))
        }
    }
}

fn revoked(authority: &Authority, serial: SerialNo, number: u64) -> Answer {
    let certificates = &authority.book().certificates;
    let Some((record, entry)) = certificates.get(&serial).and_then(|record| Some((record, record.revoked?)))
    else {
        return listed(authority.folder(), number, "done");
    };
    let with_it = certificates.values().filter(|other| {
        other.words.serial != serial
            && other.words.spki == record.words.spki
            && other.revoked.is_some_and(|other| other.revoked_at == entry.revoked_at)
    });
    let with_it: Vec<SerialNo> = with_it.map(|other| other.words.serial).collect();
    let mut what = match entry.reason {
        Reason::CertificateHold => format!("{serial} is on hold"),
        reason => format!("{serial} is revoked ({})", reason.as_str()),
    };
    if let Some(from) = entry.invalid_from {
        what += &format!(", and not believed from {}", calendar::shown(from));
    }
    for other in &with_it {
        what += &format!(", and with it {other}, which has the same key");
    }
    let mut answer = listed(authority.folder(), number, &what);
    answer.json["with_it"] = json!(with_it);
    answer
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
        "key of {name}: {} (keep it; nobody else may have it)\n\
         public half: {} (give it to whoever keeps the authority's key)\n\
         your key, as it must stand beside your name in `founding.json`: {}\n",
        file.display(),
        public.display(),
        approver.key
    );
    Ok(Answer::well(text, json!({ "key": file, "public": public, "approver": approver })))
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
