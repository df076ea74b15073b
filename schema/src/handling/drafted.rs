//! A document on its way out, before it is sent: drafted, approved, signed, numbered. The order is law (Decree 30/2020 articles
//! 14 and 32).

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::body::Issue;
use crate::document::Manifest;
use crate::id::{DocumentId, OfficeId, Position};

/// Most recipients that a draft lists; wider ones go to all.
pub const LISTED_MAX: usize = 1_024;

/// How far a document is before it leaves.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum DraftStage {
    /// *Dự thảo*.
    #[n(1)]
    Drafted,
    /// *Đã duyệt*.
    #[n(2)]
    Approved,
    /// *Đã ký*: by a person who may; nothing of the content changes any more.
    #[n(3)]
    Signed,
    /// *Đã cấp số, vào sổ*.
    #[n(4)]
    Issued,
    /// Sealed by the office and queued.
    #[n(5)]
    Sent,
    /// Given up before it was sent. A number that it had stays in the register, cancelled.
    #[n(6)]
    Discarded,
}

/// To whom a draft is to go.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Recipients {
    /// Every office that has a station on the day it is sent.
    #[n(0)]
    All,
    /// These.
    #[n(1)]
    Listed(#[n(0)] Vec<OfficeId>),
}

/// A document on its way out.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct DraftedRow {
    /// The document.
    #[n(1)]
    pub document: DocumentId,
    /// How far it is.
    #[n(2)]
    pub stage: DraftStage,
    /// What it says; none once it was sent, because the event that sends it says it.
    #[n(3)]
    pub manifest: Option<Manifest>,
    /// To whom it is to go.
    #[n(4)]
    pub to: Recipients,
    /// Signatures of persons, in the order they were made; none once it was sent.
    #[n(5)]
    pub signatures: Vec<ByteVec>,
    /// Its line in the register of outgoing documents, and what it is called by it.
    #[n(6)]
    pub issued: Option<Issue>,
    /// The entries of the journal that say so, oldest first.
    #[n(7)]
    pub steps: Vec<Position>,
    /// The entry that holds the first signature of a person: the law has the document sent that day.
    #[n(8)]
    pub signed: Option<Position>,
}
