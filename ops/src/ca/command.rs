//! `tram ca …`: arguments in, text or JSON out. What happens is in the other modules.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::{Args, Subcommand};
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use node::config::parse_root_key;
use schema::id::OfficeId;
use schema::time::Millis;
use serde_json::{Value, json};

use super::approval::{Approver, ProposalFile, Signed};
use super::authority::{self, Authority, LeafTerms, Opening, YEAR_DAYS};
use super::book::{Reason, SerialNo};
use super::build::{self, Kind};
use super::minutes::{HandOver, Party};
use super::request::Request;
use super::secret::{Cost, Key, KeyKind, Passphrase};
use super::subject::{Place, Subject, citizen_number};
use super::{files, show};
use crate::{audit, calendar, lookup};

/// How long a certificate of an office or a person counts unless told otherwise, in days.
pub const LEAF_DAYS: u64 = 3 * YEAR_DAYS;

/// The certificate authority.
#[derive(Args)]
#[command(after_long_help = "\
THE FIRST DAY, in this order (each command has --help):
  1  two or more approvers, each on their own machine:
       tram ca approver-key an.key --name \"Nguyễn Văn An\"     (give an.key.pub to the root's keeper)
  2  the root's keeper, on a machine without network:
       tram ca init-root /safe/root --name \"Trạm gốc\" --approver an.key.pub --approver binh.key.pub
  3  each province (or the centre), on its own machine:
       tram ca init-delegated /srv/ca --province \"Tỉnh Phú Thọ\" --name \"Cơ quan cấp chứng thư tỉnh Phú Thọ\"
       (carry /srv/ca/request.csr.pem to the root's keeper)
  4  the root's keeper:
       tram ca request /safe/root --csr request.csr.pem --province \"Tỉnh Phú Thọ\" --name \"Cơ quan cấp …\"
  5  two different approvers, each:
       tram ca approve ID.json --key an.key
  6  the root's keeper:
       tram ca issue-authority /safe/root ID --approval ID-an.approval.json --approval ID-binh.approval.json
  7  the province:
       tram ca install /srv/ca --certificate SERIAL.pem --root ca.pem
  8  the province, from then on:
       tram ca issue-office /srv/ca --deployment /srv/deployment --office G12.18
       tram ca issue-officer /srv/ca --csr officer.csr.pem --name \"Trần Thị B\" --citizen-id 001099012345

EVERY MONTH: tram ca list (counts, warnings), tram ca crl (a new revocation list before the old one ends).
A KEY IS LOST: tram ca revoke FOLDER SERIAL --reason key-compromise --invalid-from 2026-11-20, at once.
AFTER A CRASH, or for the inspector: tram ca check.")]
pub struct Options {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    json: bool,
    /// File with the passphrase (mật khẩu khóa) on its first line, mode 600; asked at the terminal when left out.
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct PlaceArgument {
    /// The province (tỉnh, thành phố) as it is officially written: "Tỉnh Phú Thọ".
    #[arg(long)]
    province: Option<String>,
    /// For the centre (trung ương): the name of the organisation whose offices it certifies.
    #[arg(long, value_name = "ORGANISATION")]
    centre: Option<String>,
}

impl PlaceArgument {
    fn place(self) -> Result<Place> {
        match (self.province, self.centre) {
            (Some(province), None) => Ok(Place::Province(province)),
            (None, Some(centre)) => Ok(Place::Centre(centre)),
            _ => bail!("name either --province or --centre"),
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Make a key for a person who approves (người phê duyệt); the key stays with that person.
    ApproverKey {
        /// The new key file; its public half is written beside it as FILE.pub.
        file: PathBuf,
        /// The person's name.
        #[arg(long)]
        name: String,
    },
    /// Make the offline root (gốc tin cậy): key, certificate, empty revocation list.
    InitRoot {
        /// A new folder, on a machine or medium that is kept off line.
        folder: PathBuf,
        /// The root's name.
        #[arg(long)]
        name: String,
        /// Public half of an approver's key (FILE.pub); at least two, better three, persons.
        #[arg(long = "approver", required = true, value_name = "FILE.pub")]
        approvers: Vec<PathBuf>,
        /// Kind of key.
        #[arg(long, value_enum, default_value_t = KeyKind::Ed25519)]
        key: KeyKind,
        /// For how many years it counts.
        #[arg(long, default_value_t = authority::ROOT_YEARS)]
        years: u64,
    },
    /// Make the authority of a province or of the centre: key, and a request to carry to the root.
    InitDelegated {
        /// A new folder.
        folder: PathBuf,
        #[command(flatten)]
        place: PlaceArgument,
        /// The authority's name (tên cơ quan cấp chứng thư).
        #[arg(long)]
        name: String,
        /// Kind of key.
        #[arg(long, value_enum, default_value_t = KeyKind::Ed25519)]
        key: KeyKind,
    },
    /// At the root: take in the request of a province or the centre, for two persons to approve (đề nghị cấp).
    Request {
        /// The root's folder.
        folder: PathBuf,
        /// The request, `request.csr.pem` of the other folder.
        #[arg(long, value_name = "FILE")]
        csr: PathBuf,
        #[command(flatten)]
        place: PlaceArgument,
        /// The authority's name, as in the request.
        #[arg(long)]
        name: String,
        /// For how many years it counts.
        #[arg(long, default_value_t = authority::AUTHORITY_YEARS)]
        years: u64,
    },
    /// At the root: propose who approves from now on; needs two approvals of the present approvers.
    RequestApprovers {
        /// The root's folder.
        folder: PathBuf,
        /// Public half of every approver's key from then on.
        #[arg(long = "approver", required = true, value_name = "FILE.pub")]
        approvers: Vec<PathBuf>,
    },
    /// An approver: read what is proposed, and sign it (phê duyệt). The passphrase is that of the approver's key.
    Approve {
        /// What `tram ca request` wrote: `requests/ID.json`.
        file: PathBuf,
        /// The approver's key.
        #[arg(long)]
        key: PathBuf,
        /// Where to write the approval; beside the key as ID.approval.json when left out.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Sign without asking; what is proposed is printed all the same.
        #[arg(long)]
        yes: bool,
    },
    /// At the root: carry out what two different persons approved (cấp).
    IssueAuthority {
        /// The root's folder.
        folder: PathBuf,
        /// The request's id.
        id: String,
        /// An approval; once for each person.
        #[arg(long = "approval", required = true, value_name = "FILE")]
        approvals: Vec<PathBuf>,
    },
    /// At the province or the centre: take in the certificate that the root issued.
    Install {
        /// The authority's folder.
        folder: PathBuf,
        /// Its certificate, from the root's `certificates/`.
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// The root's own certificate, `ca.pem`. Compare its fingerprint with what you were told.
        #[arg(long, value_name = "FILE")]
        root: PathBuf,
    },
    /// Certify the key of an office's node (chứng thư của cơ quan).
    IssueOffice {
        /// The authority's folder.
        folder: PathBuf,
        /// The office: its id (32 digits), or with --deployment any code it holds.
        #[arg(long)]
        office: String,
        #[command(flatten)]
        key: OfficeKeyArgument,
        /// The office's name; from the directory with --deployment.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        terms: TermsArgument,
    },
    /// Certify the key of a person (chứng thư cá nhân), from a request that a file or a token made.
    IssueOfficer {
        /// The authority's folder.
        folder: PathBuf,
        /// The request (PKCS#10). Only its key is used; a name in it must be the one given here.
        #[arg(long, value_name = "FILE")]
        csr: PathBuf,
        /// The person's name.
        #[arg(long)]
        name: String,
        /// Citizen number (số căn cước công dân); masked wherever it is shown.
        #[arg(long, value_parser = citizen_number)]
        citizen_id: Option<String>,
        /// The office they work in (cơ quan, đơn vị).
        #[arg(long)]
        unit: Option<String>,
        /// Their position (chức vụ).
        #[arg(long)]
        title: Option<String>,
        #[command(flatten)]
        terms: TermsArgument,
    },
    /// Issue the successor of a certificate (gia hạn): new serial number, same subject, same or new key.
    Renew {
        /// The authority's folder.
        folder: PathBuf,
        /// Which certificate.
        serial: SerialNo,
        /// A request for a new key; the same key goes on when left out.
        #[arg(long, value_name = "FILE")]
        csr: Option<PathBuf>,
        /// The deployment's folder: an office's key of today comes from its signed directory.
        #[arg(long, conflicts_with = "csr")]
        deployment: Option<PathBuf>,
        #[command(flatten)]
        terms: TermsArgument,
    },
    /// Revoke a certificate (thu hồi) or suspend it (tạm dừng), and issue the list that says so.
    Revoke {
        /// The authority's folder.
        folder: PathBuf,
        /// Which certificate.
        serial: SerialNo,
        /// Why (lý do thu hồi).
        #[arg(long, value_enum)]
        reason: Reason,
        /// The day from which the key must not be believed: when it was lost, not when that was noticed.
        #[arg(long, value_name = "DATE")]
        invalid_from: Option<Date>,
    },
    /// Lift a suspension (bỏ tạm dừng), and issue the list that says so.
    Release {
        /// The authority's folder.
        folder: PathBuf,
        /// Which certificate.
        serial: SerialNo,
    },
    /// Issue the next revocation list (danh sách thu hồi), also when nothing was revoked.
    Crl {
        /// The authority's folder.
        folder: PathBuf,
        /// For how many days it counts; 35, for a root 180.
        #[arg(long)]
        days: Option<u64>,
    },
    /// Write the minutes of handing over an agency's key (biên bản bàn giao), in Vietnamese.
    Minutes(Box<MinutesArguments>),
    /// What was issued (danh mục chứng thư), counts that reconcile, warnings 60, 30 and 7 days before an end. The exit
    /// status says whether the counts reconcile.
    List {
        /// The authority's folder.
        folder: PathBuf,
        /// Only certificates in use.
        #[arg(long)]
        in_use: bool,
    },
    /// Which offices lack a certificate, or will soon (nhu cầu cấp, gia hạn).
    Needs {
        /// The authority's folder.
        folder: PathBuf,
        /// The deployment's folder: then also offices that never had one.
        #[arg(long)]
        deployment: Option<PathBuf>,
    },
    /// Everything known about one certificate.
    Show {
        /// The authority's folder.
        folder: PathBuf,
        /// Which certificate.
        serial: SerialNo,
    },
    /// Compare every file with the journal. The exit status says whether all is well.
    Check {
        /// The authority's folder.
        folder: PathBuf,
    },
    /// Finish what a crash left unfinished; the other commands do it too.
    Recover {
        /// The authority's folder.
        folder: PathBuf,
    },
}

#[derive(Args)]
#[group(required = true, multiple = true)]
struct OfficeKeyArgument {
    /// The request (PKCS#10) made with the node's key.
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// The node's public key: 64 hexadecimal digits, or a file with them. Nobody has proven to hold it: be sure.
    #[arg(long, conflicts_with = "csr")]
    public_key: Option<String>,
    /// The deployment's folder: key, name and province come from its signed directory.
    #[arg(long, conflicts_with = "public_key")]
    deployment: Option<PathBuf>,
}

#[derive(Args)]
struct TermsArgument {
    /// For how many days the certificate counts.
    #[arg(long, default_value_t = LEAF_DAYS)]
    days: u64,
    /// What the key lies in (thiết bị lưu khóa): token and its number, SIM, HSM, file.
    #[arg(long)]
    device: Option<String>,
}

#[derive(Args)]
struct MinutesArguments {
    /// The authority's folder.
    folder: PathBuf,
    /// Which certificate.
    serial: SerialNo,
    /// Who hands over (bên giao): name.
    #[arg(long)]
    from: String,
    /// Position (chức vụ) of who hands over.
    #[arg(long)]
    from_position: String,
    /// Office (đơn vị) of who hands over.
    #[arg(long)]
    from_office: String,
    /// Who receives (bên nhận): name.
    #[arg(long)]
    to: String,
    /// Position (chức vụ) of who receives.
    #[arg(long)]
    to_position: String,
    /// Office (đơn vị) of who receives.
    #[arg(long)]
    to_office: String,
    /// Where it is done (địa điểm).
    #[arg(long)]
    place: String,
    /// The device (thiết bị lưu khóa): kind, maker, number.
    #[arg(long)]
    device: String,
    /// State of the device, and what comes with it (tình trạng, tài liệu kèm theo).
    #[arg(long, default_value = "hoạt động bình thường")]
    state: String,
}

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
        Command::IssueOfficer { folder, csr, name, citizen_id, unit, title, terms } => {
            let place = Opening::read(&folder)?.book().place.clone();
            let place =
                place.context("a root certifies authorities only; this is for a delegated authority")?;
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
