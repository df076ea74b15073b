//! The certificate authorities (*cơ quan cấp chứng thư*): one offline root, and below it one for each province
//! and one for the centre.
//!
//! | module | answers |
//! |---|---|
//! | [`subject`] | whose name is certified, in the one spelling that everybody compares |
//! | [`request`] | does whoever asks hold the key (PKCS#10)? |
//! | [`build`] | the bytes of certificates and lists, each looked at by `schema::trust` before the key is used |
//! | [`proposal`] | what exactly are others asked to approve? |
//! | [`approval`] | did enough different persons agree to exactly this? |
//! | [`act`], [`journal`] | what this authority ever did, chained and signed |
//! | [`book`] | what follows from that: who has what, what is revoked, what is unfinished |
//! | [`authority`] | a folder with a key: found it, open it, finish what a crash left |
//! | [`life`] | issue, renew, revoke, list, hand over |
//! | [`propose`] | the same, and who approves, in two steps: proposed, then carried out with approvals |
//! | [`oversight`] | was everything approved that had to be, says the journal? |
//! | [`seen`] | is this folder an older copy, say lists and certificates that others hold? |
//! | [`inventory`] | counts that reconcile, and the check of every file |
//! | [`ending`] | what ends soon, and who lacks what? |
//! | [`minutes`] | what is signed by hand when an agency's key changes hands |
//! | [`secret`], [`files`] | passphrases, encrypted keys, files that are whole or not there |
//!
//! ```text
//! FOLDER/journal.jsonl             the acts; everything else follows from it and from the key
//! FOLDER/ca.key                    PKCS#8, encrypted (PBES2, scrypt); `openssl pkey` opens it
//! FOLDER/ca.pem, ca.der            its own certificate
//! FOLDER/root.pem, root.der        of a delegated authority: the root above it
//! FOLDER/request.csr.pem           of a delegated authority: what it asks the root for
//! FOLDER/founding.json             where there are approvers: who they all are, signed by every one of them
//! FOLDER/requests/ID.json          what approvers sign
//! FOLDER/certificates/SERIAL.*     what it issued, PEM and DER
//! FOLDER/lists/NUMBER.*, list.*    its revocation lists, and the newest one
//! FOLDER/minutes/SERIAL-N.txt      hand-over minutes
//! ```
//!
//! A certificate is never lost and never issued twice: the journal first says, synced to disk, which serial number
//! and which words are about to be signed. After a crash the next changing command signs exactly that.

pub mod act;
pub mod approval;
pub mod authority;
pub mod book;
pub mod build;
pub mod command;
pub mod ending;
pub mod files;
pub mod inventory;
pub mod journal;
pub mod life;
pub mod minutes;
pub mod oversight;
mod perform;
pub mod proposal;
pub mod propose;
mod refusal;
pub mod rehearsal;
pub mod request;
pub mod secret;
pub mod seen;
mod show;
pub mod subject;

pub use authority::{Authority, LeafTerms, Opening};
pub use refusal::Refusal;
pub use secret::{Cost, KeyKind, Passphrase};
pub use subject::{Place, Subject};
