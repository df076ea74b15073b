//! `tram ca …`: the arguments and the help texts. What they do is in `perform`.

mod arguments;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::authority::{self, YEAR_DAYS};
use super::book::SerialNo;
use super::secret::KeyKind;
pub(super) use arguments::{
    MinutesArguments, OfficeArguments, OfficerArguments, PlaceArgument, ReleaseArguments, RenewArguments,
    RevokeArguments, TermsArgument,
};

pub use super::perform::run;

/// How long a certificate of an office or a person counts unless told otherwise, in days.
pub const LEAF_DAYS: u64 = 3 * YEAR_DAYS;

/// What a beginner follows from the top. Tried as it stands by `ops/tests/ca_first_day.rs`.
pub const FIRST_DAY: &str = include_str!("first_day.txt");

/// The certificate authority.
#[derive(Args)]
#[command(after_help = "`tram ca --help` leads through the first day.", after_long_help = FIRST_DAY)]
pub struct Options {
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// File with the passphrase (mật khẩu khóa) on its first line, mode 600; asked at the terminal when left out.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// A list or a certificate of this authority that others hold: nothing is done in a folder that is an older copy.
    ///
    /// The newest list comes from a relay, the newest certificate from whoever got it. Once for each file.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) seen: Vec<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
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
        /// Public half of the key of a person who approves what is issued here (FILE.pub); once for each. Whoever keeps
        /// this folder should be none of them. Without any, one person issues; `request-approvers` adds them later.
        #[arg(long = "approver", value_name = "FILE.pub")]
        approvers: Vec<PathBuf>,
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
    /// Propose who approves from now on (thay người phê duyệt).
    ///
    /// Those who approve now must sign it: at a root two, else one. Where nobody approves yet, all of those who are named
    /// sign it.
    RequestApprovers {
        /// The authority's folder.
        folder: PathBuf,
        /// Public half of every approver's key from then on.
        #[arg(long = "approver", required = true, value_name = "FILE.pub")]
        approvers: Vec<PathBuf>,
    },
    /// An approver: read what is proposed, and sign it (phê duyệt).
    ///
    /// The passphrase is that of the approver's key.
    Approve {
        /// What is to be signed: `founding.json`, or a file of `requests/`.
        file: PathBuf,
        /// The approver's key.
        #[arg(long)]
        key: PathBuf,
        /// Where to write the approval; beside the key as ID-KEY.approval.json when left out.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Sign without asking; what is proposed is printed all the same.
        #[arg(long)]
        yes: bool,
    },
    /// Carry out what was approved (cấp).
    ///
    /// The founding, an authority, an office, an officer, a renewal, a revocation, a release, other approvers. At a root
    /// two different persons must have signed, else one; the founding, all.
    #[command(visible_alias = "issue-authority")]
    Issue {
        /// The authority's folder.
        folder: PathBuf,
        /// The request's id: the name of its file without `.json`.
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
    ///
    /// One person does it, where the authority has no approvers.
    IssueOffice(Box<OfficeArguments>),
    /// The same with approvers: write the request that one of them signs (đề nghị cấp cho cơ quan).
    RequestOffice(Box<OfficeArguments>),
    /// Certify the key of a person (chứng thư cá nhân), from a request that a file or a token made.
    ///
    /// One person does it, where the authority has no approvers.
    IssueOfficer(Box<OfficerArguments>),
    /// The same with approvers: write the request that one of them signs (đề nghị cấp cho cá nhân).
    ///
    /// The file holds the citizen number in full: carry it accordingly.
    RequestOfficer(Box<OfficerArguments>),
    /// Issue the successor of a certificate (gia hạn): new serial number, same subject, same or new key.
    Renew(RenewArguments),
    /// The same with approvers (đề nghị gia hạn).
    RequestRenew(RenewArguments),
    /// Revoke a certificate (thu hồi) or suspend it (tạm dừng), and issue the list that says so.
    ///
    /// For a lost key one person does it at once, everywhere; every other certificate of that key goes with it. For other
    /// reasons it is `request-revoke`, where the authority has approvers.
    Revoke(RevokeArguments),
    /// The same with approvers, for other reasons than a lost key (đề nghị thu hồi).
    RequestRevoke(RevokeArguments),
    /// Lift a suspension (bỏ tạm dừng), and issue the list that says so.
    Release(ReleaseArguments),
    /// The same with approvers (đề nghị bỏ tạm dừng).
    RequestRelease(ReleaseArguments),
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
    /// What was issued (danh mục chứng thư), counts that reconcile, warnings of what ends soon.
    ///
    /// Warns 60, 30 and 7 days before the end of a certificate, 14, 7 and 2 before that of the newest list. The exit
    /// status says whether the counts reconcile.
    List {
        /// The authority's folder.
        folder: PathBuf,
        /// Only certificates in use.
        #[arg(long)]
        in_use: bool,
    },
    /// Who lacks a certificate, or will soon (nhu cầu cấp, gia hạn).
    ///
    /// Offices, at a root the authorities, and this authority itself with its list.
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
    /// Compare every file with the journal, and every act with who approved it.
    ///
    /// With --seen also this folder with what others hold. The exit status says whether all is well.
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
