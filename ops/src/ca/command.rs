//! `tram ca …`: the arguments and the help texts. What they do is in `perform`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use jiff::civil::Date;

use super::authority::{self, YEAR_DAYS};
use super::book::{Reason, SerialNo};
use super::secret::KeyKind;
use super::subject::{Place, citizen_number};

pub use super::perform::run;

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
    pub(super) json: bool,
    /// File with the passphrase (mật khẩu khóa) on its first line, mode 600; asked at the terminal when left out.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(super) struct PlaceArgument {
    /// The province (tỉnh, thành phố) as it is officially written: "Tỉnh Phú Thọ".
    #[arg(long)]
    province: Option<String>,
    /// For the centre (trung ương): the name of the organisation whose offices it certifies.
    #[arg(long, value_name = "ORGANISATION")]
    centre: Option<String>,
}

impl PlaceArgument {
    pub(super) fn place(self) -> Result<Place> {
        match (self.province, self.centre) {
            (Some(province), None) => Ok(Place::Province(province)),
            (None, Some(centre)) => Ok(Place::Centre(centre)),
            _ => bail!("name either --province or --centre"),
        }
    }
}

#[derive(Subcommand)]
pub(super) enum Command {
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
        /// A file with the citizen number, where others can see this machine's processes or the shell's history.
        #[arg(long, value_name = "FILE", conflicts_with = "citizen_id")]
        citizen_id_file: Option<PathBuf>,
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
pub(super) struct OfficeKeyArgument {
    /// The request (PKCS#10) made with the node's key.
    #[arg(long, value_name = "FILE")]
    pub(super) csr: Option<PathBuf>,
    /// The node's public key: 64 hexadecimal digits, or a file with them. Nobody has proven to hold it: be sure.
    #[arg(long, conflicts_with = "csr")]
    pub(super) public_key: Option<String>,
    /// The deployment's folder: key, name and province come from its signed directory.
    #[arg(long, conflicts_with = "public_key")]
    pub(super) deployment: Option<PathBuf>,
}

#[derive(Args)]
pub(super) struct TermsArgument {
    /// For how many days the certificate counts.
    #[arg(long, default_value_t = LEAF_DAYS)]
    pub(super) days: u64,
    /// What the key lies in (thiết bị lưu khóa): token and its number, SIM, HSM, file.
    #[arg(long)]
    pub(super) device: Option<String>,
}

#[derive(Args)]
pub(super) struct MinutesArguments {
    /// The authority's folder.
    pub(super) folder: PathBuf,
    /// Which certificate.
    pub(super) serial: SerialNo,
    /// Who hands over (bên giao): name.
    #[arg(long)]
    pub(super) from: String,
    /// Position (chức vụ) of who hands over.
    #[arg(long)]
    pub(super) from_position: String,
    /// Office (đơn vị) of who hands over.
    #[arg(long)]
    pub(super) from_office: String,
    /// Who receives (bên nhận): name.
    #[arg(long)]
    pub(super) to: String,
    /// Position (chức vụ) of who receives.
    #[arg(long)]
    pub(super) to_position: String,
    /// Office (đơn vị) of who receives.
    #[arg(long)]
    pub(super) to_office: String,
    /// Where it is done (địa điểm).
    #[arg(long)]
    pub(super) place: String,
    /// The device (thiết bị lưu khóa): kind, maker, number.
    #[arg(long)]
    pub(super) device: String,
    /// State of the device, and what comes with it (tình trạng, tài liệu kèm theo).
    #[arg(long, default_value = "hoạt động bình thường")]
    pub(super) state: String,
}
