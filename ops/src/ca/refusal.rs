//! What an authority refuses to do, and what to do instead.

use std::path::PathBuf;

use super::book::SerialNo;

/// Why an authority did not do what it was asked for. Nothing was changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A text of a name.
    #[error("{what} `{text}` is not accepted: {why}")]
    Text {
        /// Which one.
        what: &'static str,
        /// It, masked.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Out of province.
    #[error(
        "`{stated}` is not within `{own}`, the jurisdiction of this authority; ask the authority of `{stated}`"
    )]
    OutsideJurisdiction {
        /// Where the subject is said to be.
        stated: String,
        /// What this authority may certify.
        own: String,
    },
    /// A request that cannot be read.
    #[error("the certificate request is not accepted: {why}")]
    Request {
        /// What is wrong with it.
        why: String,
    },
    /// Nobody has shown to hold the key.
    #[error("the request is not signed by the key it asks a certificate for, or was changed afterwards")]
    NoPossession,
    /// The request names somebody else than the operator.
    #[error(
        "the request names {attribute}=`{requested}`, the certificate would say {issued}: \
         correct the command, or have the request made anew for the right name"
    )]
    SubjectDiffers {
        /// Which attribute.
        attribute: String,
        /// What the request says, masked.
        requested: String,
        /// What would be issued, masked.
        issued: String,
    },
    /// The judge would not accept it.
    #[error("the certificate would not be accepted by any station: {why}")]
    NotAcceptable {
        /// What `schema::trust` said.
        why: String,
    },
    /// A validity that cannot be.
    #[error("validity of {days} days is not accepted: {why}")]
    Validity {
        /// How many days were asked for.
        days: u64,
        /// Why not.
        why: String,
    },
    /// The subject has one already.
    #[error(
        "`{subject}` has certificate {serial} in use: renew it (`tram ca renew`), or revoke it first (`tram ca revoke`)"
    )]
    HasCertificate {
        /// Whose, masked.
        subject: String,
        /// Which one.
        serial: SerialNo,
    },
    /// The key is certified for somebody else.
    #[error(
        "the key is that of certificate {serial} of `{subject}`: every office and person has a key of their own"
    )]
    KeyOfAnother {
        /// Whose, masked.
        subject: String,
        /// Which one.
        serial: SerialNo,
    },
    /// A revoked key.
    #[error("the key was certified by {serial}, which is revoked as compromised: a new key is needed")]
    CompromisedKey {
        /// Which certificate.
        serial: SerialNo,
    },
    /// No such certificate.
    #[error("this authority did not issue a certificate {serial}; `tram ca list` shows what it issued")]
    UnknownSerial {
        /// Which one.
        serial: SerialNo,
    },
    /// Revoked already.
    #[error("certificate {serial} is revoked already ({reason})")]
    AlreadyRevoked {
        /// Which one.
        serial: SerialNo,
        /// Why it was.
        reason: String,
    },
    /// Not on hold.
    #[error("certificate {serial} is not on hold; only a hold (tạm dừng) can be lifted")]
    NotOnHold {
        /// Which one.
        serial: SerialNo,
    },
    /// A reason that does not fit.
    #[error("reason `{reason}` does not fit certificate {serial}: {why}")]
    Reason {
        /// Which reason.
        reason: String,
        /// Which certificate.
        serial: SerialNo,
        /// Why not.
        why: &'static str,
    },
    /// An invalidity date in the future.
    #[error("the key cannot have been lost after today: `{given}`")]
    InvalidityDate {
        /// Which date.
        given: String,
    },
    /// Something only a root does.
    #[error("`{what}` is for {needed}; `{folder}` is {found}", folder = folder.display())]
    WrongKind {
        /// What was attempted.
        what: &'static str,
        /// Who can.
        needed: &'static str,
        /// What this is.
        found: &'static str,
        /// Where.
        folder: PathBuf,
    },
    /// No request of that id.
    #[error("no request `{id}` is waiting here; `tram ca list` shows what is waiting")]
    UnknownRequest {
        /// Which id.
        id: String,
    },
    /// Issued already.
    #[error("request `{id}` was carried out already")]
    RequestDone {
        /// Which id.
        id: String,
    },
    /// Too few persons.
    #[error(
        "request `{id}` has the approval of {found} of {needed} different persons: \
         have another approver run `tram ca approve` with the same request file"
    )]
    TooFewApprovals {
        /// Which request.
        id: String,
        /// How many agreed.
        found: usize,
        /// How many must.
        needed: usize,
    },
    /// The same person twice.
    #[error("`{name}` approved twice: two different persons must approve")]
    SamePerson {
        /// Who.
        name: String,
    },
    /// Not an approver.
    #[error("the approval was made with key {key}, which is not that of an approver of this authority")]
    UnknownApprover {
        /// Which key.
        key: String,
    },
    /// Something else was approved.
    #[error("the approval of `{name}` is for other terms than those of request `{id}`")]
    OtherTerms {
        /// Who.
        name: String,
        /// Which request.
        id: String,
    },
    /// Forged.
    #[error("the approval of `{name}` is not signed by the key of `{name}`, or was changed afterwards")]
    ForgedApproval {
        /// Who.
        name: String,
    },
    /// Too few approvers, or two of one name or key.
    #[error("at least {needed} approvers with different names and keys are needed here: {why}")]
    Approvers {
        /// How many there must be.
        needed: usize,
        /// What is wrong.
        why: String,
    },
    /// One person is not enough.
    #[error(
        "this authority has approvers, so one person alone may not do this: use `tram ca {instead}`, have an approver \
         sign it with `tram ca approve`, and carry it out with `tram ca issue` (only for a lost key one person revokes at \
         once: `tram ca revoke … --reason key-compromise`)"
    )]
    NeedsApproval {
        /// Which command to use.
        instead: &'static str,
    },
    /// Nobody approves here.
    #[error(
        "this authority has no approvers, so there is nobody to ask: use `tram ca {instead}`, or name approvers first \
         (`tram ca request-approvers`)"
    )]
    NobodyApproves {
        /// Which command to use.
        instead: &'static str,
    },
    /// Not everybody has seen who approves.
    #[error(
        "the founding is not signed yet by all {approvers} approvers: have each of them run `tram ca approve {path} --key \
         THEIR.key`, then run `tram ca issue FOLDER founding --approval …` with all of their files",
        path = path.display()
    )]
    FoundingNotSigned {
        /// Where it is.
        path: PathBuf,
        /// How many must sign.
        approvers: usize,
    },
    /// Whoever signs the founding is not in it.
    #[error(
        "your key is not among the approvers named there, so your signature would say nothing: tell whoever keeps the \
         authority's key, and do not hand over any approval before your name is there with your key"
    )]
    NotAFounder,
    /// An older copy of the folder, as others show.
    #[error(
        "{what}: this folder is an older copy. Do not issue anything from it: list numbers would repeat, and what was \
         revoked since would count again. Put the newest copy back; if there is none, make a new authority (`tram ca \
         init-delegated`, for a root `tram ca init-root`) and have this one's certificate revoked"
    )]
    OlderThanSeen {
        /// What shows it.
        what: String,
    },
    /// What others hold was made by this key, but not in this history.
    #[error(
        "{what}: two copies of this folder were worked with. Keep both and what was seen as evidence, issue nothing from \
         either, and tell the keeper of the root"
    )]
    TwoHistories {
        /// What shows it.
        what: String,
    },
    /// What was named with --seen is not this authority's.
    #[error("`{path}` shows nothing about this authority: {why}", path = path.display())]
    SeenOfAnother {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A passphrase that does not open the key.
    #[error("the passphrase does not open `{path}`: check it and run the command again", path = path.display())]
    WrongPassphrase {
        /// Which key file.
        path: PathBuf,
    },
    /// A key that others can read.
    #[error("`{path}` has mode {mode:03o}, expected 600: run `chmod 600`, and consider it known to others",
        path = path.display())]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another key than the journal's.
    #[error("`{path}` holds another key than the one this authority was founded with", path = path.display())]
    OtherKey {
        /// Which file.
        path: PathBuf,
    },
    /// Somebody is at work.
    #[error("another `tram ca` command is at work in `{folder}`; wait for it to end", folder = folder.display())]
    Locked {
        /// Which folder.
        folder: PathBuf,
    },
    /// The clock went back.
    #[error(
        "this machine's clock shows {now}, before the authority's last act at {last}: set the clock first"
    )]
    ClockWentBack {
        /// What it shows.
        now: String,
        /// When the last act was.
        last: String,
    },
    /// An old copy of the journal.
    #[error(
        "{what}: an older journal was put back, or files were; run `tram ca check` and do not issue anything"
    )]
    JournalWentBack {
        /// What shows it.
        what: String,
    },
    /// The journal was changed.
    #[error("the journal is damaged at line {line}: {why}")]
    Journal {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// Not certified yet.
    #[error(
        "this authority has no certificate yet: send `request.csr.pem` to the root's keeper, \
         and take in the answer with `tram ca install`"
    )]
    NotInstalled,
}
