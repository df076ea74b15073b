//! What others are asked to approve (*đề nghị*), whole: an approver signs the hash of all of it.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use schema::id::hex;
use schema::time::Millis;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::act::{Reason, SerialNo};
use super::approval::Approver;
use super::build::Kind;
use super::files;
use super::request::Request;
use super::subject::{Place, Subject};

/// The id of the proposal that everybody who approves signs on the first day.
pub const FOUNDING: &str = "founding";

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
    /// That exactly these approve from the first day on.
    Founding {
        /// The authority's name.
        subject: Subject,
        /// What it may certify; none for a root.
        place: Option<Place>,
        /// Its key (SubjectPublicKeyInfo, DER, hexadecimal).
        spki: String,
        /// SHA-256 of its certificate: the number that every station is told. None of a delegated authority, which has
        /// none yet.
        certificate: Option<String>,
        /// All of them.
        approvers: Vec<Approver>,
    },
    /// To certify the key of an office or of a person.
    Leaf {
        /// Which of the two.
        kind: Kind,
        /// Whose.
        subject: Subject,
        /// The key (SubjectPublicKeyInfo, DER, hexadecimal).
        spki: String,
        /// SHA-256 of the request that proves possession of the key; none when the key was named otherwise.
        request: Option<String>,
        /// For how long.
        days: u64,
        /// What the key lies in.
        device: Option<String>,
        /// Which certificate it renews.
        renews: Option<SerialNo>,
    },
    /// To revoke or suspend a certificate.
    Revocation {
        /// Which one.
        serial: SerialNo,
        /// Whose.
        subject: Subject,
        /// Why.
        reason: Reason,
        /// From when on the key must not be believed.
        invalid_from: Option<Millis>,
    },
    /// To lift a suspension.
    Release {
        /// Which certificate's.
        serial: SerialNo,
        /// Whose.
        subject: Subject,
    },
}

/// A proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// Random, 32 hexadecimal digits; [`FOUNDING`] for the first.
    pub id: String,
    /// SHA-256 of the authority's key: it is for this authority and no other.
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
            Terms::Authority { .. }
            | Terms::Founding { .. }
            | Terms::Leaf { .. }
            | Terms::Revocation { .. }
            | Terms::Release { .. } => None,
        }
    }

    /// Who must have signed it all, when it is the founding.
    pub fn founders(&self) -> Option<&[Approver]> {
        match &self.terms {
            Terms::Founding { approvers, .. } => Some(approvers),
            _ => None,
        }
    }

    /// Subject, key and hash of the request that it must come with.
    fn requested(&self) -> Option<(&Subject, &str, &str)> {
        match &self.terms {
            Terms::Authority { subject, spki, request, .. }
            | Terms::Leaf { subject, spki, request: Some(request), .. } => Some((subject, spki, request)),
            _ => None,
        }
    }
}

/// What travels to the approvers: the proposal, and the request it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposalFile {
    /// What is proposed.
    pub proposal: Proposal,
    /// The request (PKCS#10, PEM), when it is about one.
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
            .with_context(|| format!("`{}` does not hold a proposal of an authority", path.display()))?;
        if let Some((subject, spki, hash)) = file.proposal.requested() {
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
