//! Two different persons (*hai người khác nhau*) agree before a root certifies an authority, or changes who agrees.
//!
//! A proposal is everything that will be certified; its hash is what an approver signs, with a key that only that
//! person holds. The signature covers `tram/ca-approval/v1`, a line break, and the statement.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use schema::id::hex;
use schema::text::{fold, require_plain};
use schema::time::Millis;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Refusal;
use super::files;
use super::request::Request;
use super::secret::Key;
use super::subject::{Place, Subject, TEXT_CHARS_MAX};

/// How many different persons must agree.
pub const APPROVALS_NEEDED: usize = 2;
/// Most approvers of a root.
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
        let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).filter(|key| !key.is_weak());
        key.ok_or_else(|| anyhow!("the key of approver `{}` is not a sound Ed25519 key", self.name))
    }
}

/// Whether these can approve together.
///
/// # Errors
/// [`Refusal::Approvers`].
pub fn check_approvers(approvers: &[Approver]) -> Result<()> {
    let refused = |why: &str| Refusal::Approvers { why: why.to_owned() };
    if approvers.len() < APPROVALS_NEEDED {
        return Err(refused("fewer than two were named (--approver FILE, once for each)").into());
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

/// What is proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Terms {
    /// To certify a delegated authority.
    Authority {
        /// Its name.
        subject: Subject,
        /// What it may certify.
        place: Place,
        /// Its key (SubjectPublicKeyInfo, DER, hexadecimal).
        spki: String,
        /// SHA-256 of the request that proves it holds the key.
        request: String,
        /// For how long.
        days: u64,
    },
    /// To change who approves.
    Approvers {
        /// All of them from then on.
        approvers: Vec<Approver>,
    },
}

/// A proposal (*đề nghị*).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// Random, 32 hexadecimal digits.
    pub id: String,
    /// SHA-256 of the root's key: it is for this root and no other.
    pub root: String,
    /// When it was made.
    pub proposed_at: Millis,
    /// What.
    pub terms: Terms,
}

impl Proposal {
    /// What approvers sign: SHA-256 of the whole proposal.
    ///
    /// # Errors
    /// Never in practice.
    pub fn hash(&self) -> Result<String> {
        Ok(hex(&Sha256::digest(serde_json::to_vec(self).context("failed to write a proposal")?)))
    }

    /// Who approves after it, when it is about that.
    pub fn new_approvers(&self) -> Option<&[Approver]> {
        match &self.terms {
            Terms::Approvers { approvers } => Some(approvers),
            Terms::Authority { .. } => None,
        }
    }
}

/// What travels to the approvers: the proposal, and the request it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposalFile {
    /// What is proposed.
    pub proposal: Proposal,
    /// The request (PKCS#10, PEM) of an authority.
    pub request: Option<String>,
}

impl ProposalFile {
    /// Reads one, and checks that the request in it is the one of the proposal.
    ///
    /// # Errors
    /// When it holds something else, or the two do not belong together.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read(path, files::SMALL_FILE_BYTES_MAX)?;
        let file: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("`{}` does not hold a proposal of a root", path.display()))?;
        if let Terms::Authority { subject, spki, request: hash, .. } = &file.proposal.terms {
            let pem = file.request.as_deref().context("the proposal comes without its request")?;
            let request = Request::parse(pem.as_bytes())?;
            ensure!(
                hex(&request.hash()) == *hash && hex(request.spki()) == *spki,
                "the request in `{}` is not the one that is proposed: do not approve it",
                path.display()
            );
            request.agrees_with(subject)?;
        }
        Ok(file)
    }
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

/// Whether enough different persons signed exactly this proposal.
///
/// # Errors
/// With the first thing that is missing: one alone, the same one twice, other terms, a stranger, a forgery.
pub fn check_approvals(proposal: &Proposal, approvals: &[Signed], approvers: &[Approver]) -> Result<()> {
    let mut persons: BTreeSet<String> = BTreeSet::new();
    for approval in approvals {
        let approver = approval.check(proposal, approvers)?;
        if !persons.insert(fold(approver.name.trim())) {
            return Err(Refusal::SamePerson { name: approver.name.clone() }.into());
        }
    }
    if persons.len() < APPROVALS_NEEDED {
        let (id, found) = (proposal.id.clone(), persons.len());
        return Err(Refusal::TooFewApprovals { id, found, needed: APPROVALS_NEEDED }.into());
    }
    Ok(())
}
