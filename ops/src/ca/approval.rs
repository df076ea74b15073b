//! Others agree (*phê duyệt*) before an authority does what cannot be undone.
//!
//! | whose | to what | how many |
//! |---|---|---|
//! | root | authorities, who approves, revocations except of lost keys | two different persons |
//! | delegated, if it has approvers | offices, officers, renewals, who approves, the same revocations, releases | one |
//! | either | the founding: who approves from the first day on | every one of them |
//!
//! What an approver signs is the hash of a whole [`Proposal`], with a key that only that person holds. The signature
//! covers `tram/ca-approval/v1`, a line break, and the statement.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use schema::id::hex;
use schema::text::{fold, require_plain};
use schema::time::Millis;
use schema::trust::algorithm::ed25519_key;
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::files;
use super::proposal::Proposal;
use super::secret::Key;
use super::subject::TEXT_CHARS_MAX;

/// How many different persons must agree at a root.
pub const APPROVALS_OF_A_ROOT: usize = 2;
/// How many must agree at a delegated authority that has approvers: the second one besides whoever holds its key.
pub const APPROVALS_OF_A_DELEGATED: usize = 1;
/// Most approvers of an authority.
pub const APPROVERS_MAX: usize = 16;

const DOMAIN: &[u8] = b"tram/ca-approval/v1\n";

/// A person who may approve (*người phê duyệt*).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// Who.
    pub name: String,
    /// Their Ed25519 public key, hexadecimal.
    pub key: String,
}

impl Approver {
    /// Of this key.
    ///
    /// # Errors
    /// When the name cannot be one, or the key is not Ed25519.
    pub fn new(name: &str, key: &Key) -> Result<Self> {
        let key = key.ed25519().ok_or_else(|| anyhow!("an approver's key is an Ed25519 key"))?;
        let approver = Self { name: name.to_owned(), key: hex(key.verifying_key().as_bytes()) };
        approver.check()?;
        Ok(approver)
    }

    /// Reads the public half from the file that `tram ca approver-key` wrote.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path, files::SMALL_FILE_BYTES_MAX)?;
        let approver: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("`{}` does not hold an approver's public key", path.display()))?;
        approver.check()?;
        Ok(approver)
    }

    fn check(&self) -> Result<VerifyingKey> {
        require_plain(&self.name, TEXT_CHARS_MAX).context("the approver's name is not accepted")?;
        ensure!(!self.name.trim().is_empty(), "the approver has no name");
        let bytes = HEXLOWER.decode(self.key.as_bytes()).ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
        let key = bytes.and_then(|bytes| ed25519_key(&bytes).ok());
        key.ok_or_else(|| anyhow!("the key of approver `{}` is not a sound Ed25519 key", self.name))
    }
}

/// Whether these can approve together, where so many must agree.
///
/// # Errors
/// [`Refusal::Approvers`].
pub fn check_approvers(approvers: &[Approver], needed: usize) -> Result<()> {
    let refused = |why: &str| Refusal::Approvers { needed, why: why.to_owned() };
    if approvers.len() < needed {
        return Err(refused("too few were named (--approver FILE.pub, once for each)").into());
    }
    if approvers.len() > APPROVERS_MAX {
        return Err(refused("more than 16 were named").into());
    }
    for approver in approvers {
        approver.check()?;
    }
    let names: BTreeSet<String> = approvers.iter().map(|approver| fold(approver.name.trim())).collect();
    let keys: BTreeSet<&str> = approvers.iter().map(|approver| approver.key.as_str()).collect();
    if names.len() < approvers.len() {
        return Err(refused("two have the same name: tell two persons of one name apart").into());
    }
    if keys.len() < approvers.len() {
        return Err(refused("two have the same key: each person makes a key of their own").into());
    }
    Ok(())
}

/// What an approver says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement<'a> {
    proposal: &'a str,
    hash: &'a str,
    approver: &'a str,
    approved_at: Millis,
}

/// An approval (*phê duyệt*), signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Which proposal.
    pub proposal: String,
    /// SHA-256 of it.
    pub hash: String,
    /// The approver's key, hexadecimal.
    pub approver: String,
    /// When, by the approver's clock.
    pub approved_at: Millis,
    /// Over all of that, hexadecimal.
    pub signature: String,
}

impl Signed {
    fn message(&self) -> Result<Vec<u8>> {
        let statement = Statement {
            proposal: &self.proposal,
            hash: &self.hash,
            approver: &self.approver,
            approved_at: self.approved_at,
        };
        let statement = serde_json::to_vec(&statement).context("failed to write an approval")?;
        Ok([DOMAIN, &statement].concat())
    }

    /// Signs a proposal.
    ///
    /// # Errors
    /// When the key is not Ed25519.
    pub fn sign(proposal: &Proposal, key: &Key, at: Millis) -> Result<Self> {
        let key = key.ed25519().ok_or_else(|| anyhow!("an approver's key is an Ed25519 key"))?;
        let mut approval = Self {
            proposal: proposal.id.clone(),
            hash: proposal.hash()?,
            approver: hex(key.verifying_key().as_bytes()),
            approved_at: at,
            signature: String::new(),
        };
        approval.signature = HEXLOWER.encode(&key.sign(&approval.message()?).to_bytes());
        Ok(approval)
    }

    /// Reads one from a file.
    ///
    /// # Errors
    /// When it holds something else.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path, files::SMALL_FILE_BYTES_MAX)?;
        serde_json::from_slice(&bytes)
            .with_context(|| format!("`{}` does not hold an approval", path.display()))
    }

    /// Whether one of the approvers signed exactly this proposal; says who.
    fn check<'a>(&self, proposal: &Proposal, approvers: &'a [Approver]) -> Result<&'a Approver> {
        let approver = approvers
            .iter()
            .find(|approver| approver.key == self.approver)
            .ok_or_else(|| Refusal::UnknownApprover { key: self.approver.chars().take(64).collect() })?;
        let name = || approver.name.clone();
        if self.proposal != proposal.id || self.hash != proposal.hash()? {
            return Err(Refusal::OtherTerms { name: name(), id: proposal.id.clone() }.into());
        }
        let bytes = HEXLOWER.decode(self.signature.as_bytes()).unwrap_or_default();
        let signature =
            Signature::from_slice(&bytes).map_err(|_| Refusal::ForgedApproval { name: name() })?;
        let key = approver.check()?;
        let message = self.message()?;
        key.verify_strict(&message, &signature).map_err(|_| Refusal::ForgedApproval { name: name() })?;
        Ok(approver)
    }
}

/// The persons who signed exactly this proposal, by their folded names.
///
/// # Errors
/// With the first approval that is none: for other terms, of a stranger, forged.
fn persons(proposal: &Proposal, approvals: &[Signed], approvers: &[Approver]) -> Result<BTreeSet<String>> {
    let person = |approval: &Signed| Ok(fold(approval.check(proposal, approvers)?.name.trim()));
    approvals.iter().map(person).collect()
}

/// Whether enough different persons signed exactly this proposal.
///
/// # Errors
/// With the first thing that is missing: too few, the same one twice, other terms, a stranger, a forgery.
pub fn check_approvals(
    proposal: &Proposal,
    approvals: &[Signed],
    approvers: &[Approver],
    needed: usize,
) -> Result<()> {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for approval in approvals {
        let approver = approval.check(proposal, approvers)?;
        if !seen.insert(fold(approver.name.trim())) {
            return Err(Refusal::SamePerson { name: approver.name.clone() }.into());
        }
    }
    check_recorded(proposal, approvals, approvers, needed)
}

/// As [`check_approvals`], of what the journal recorded: a crash may have left the same person there twice.
///
/// # Errors
/// As [`check_approvals`].
pub fn check_recorded(
    proposal: &Proposal,
    approvals: &[Signed],
    approvers: &[Approver],
    needed: usize,
) -> Result<()> {
    let found = persons(proposal, approvals, approvers)?.len();
    if found < needed {
        return Err(Refusal::TooFewApprovals { id: proposal.id.clone(), found, needed }.into());
    }
    Ok(())
}
