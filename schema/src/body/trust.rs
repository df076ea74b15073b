//! Bodies about trust: what came into the registry, which key follows, what signatures on documents are worth.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use serde::Serialize;

use crate::event::{Event, key_id};
use crate::id::{KeyId, OfficeId};
use crate::registry::{ItemId, ItemKind};
use crate::sealing::SealingKey;
use crate::stamp::{STAMPS_MAX, Stamp};
use crate::text::QUOTED_CHARS_MAX;
use crate::trust::{Item, Outcome};

use super::{BodyError, Place, SIGNATURES_MAX};

/// Largest file of keys that is handed over, in bytes.
pub const KEYRING_BYTES_MAX: usize = 40 * 1024;
/// Most items that one event records.
pub const CHANGED_ITEMS_MAX: usize = 512;
/// Most contested keys that one event records.
pub const CONTESTED_KEYS_MAX: usize = 64;
/// Most lists that contradict others which one event records.
pub const CONTRADICTING_LISTS_MAX: usize = 64;
/// Most judgements in one event.
pub const JUDGEMENTS_MAX: usize = 32;
/// Most signatures of one document that are judged: the office's, and those of persons.
pub const LAYERS_MAX: usize = 1 + SIGNATURES_MAX;
/// Most findings about one signature.
const FINDINGS_MAX: usize = 16;
/// Most lists that one judgement rests on.
const LISTS_MAX: usize = 4;

/// New items in the registry of this station (*cập nhật danh bạ, chứng thư, danh sách thu hồi*). Never leaves it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct RegistryChange {
    /// What came, in the order it was taken in.
    #[n(1)]
    pub items: Vec<ChangedItem>,
    /// Second keys of offices that nobody announced, new since the last change.
    #[n(2)]
    pub contested: Vec<ContestedKey>,
    /// Lists that contradict what their authorities had issued before, new since the last change.
    #[n(3)]
    pub contradicting: Vec<ContradictingList>,
}

/// A revocation list that shares its number with another one of the same authority, or has a higher number and an earlier
/// date: evidence that somebody else has the authority's key, or that it has lost its books.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ContradictingList {
    /// The authority, as its certificate names it; shortened.
    #[n(0)]
    pub authority: String,
    /// The list.
    #[n(1)]
    pub list: ItemId,
}

/// An item that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct ChangedItem {
    /// What it is.
    #[n(0)]
    pub kind: ItemKind,
    /// Which one.
    #[n(1)]
    pub id: ItemId,
}

/// A key that is certified for an office, but does not count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct ContestedKey {
    /// Whose.
    #[n(0)]
    pub office: OfficeId,
    /// Which.
    #[n(1)]
    pub key: KeyId,
}

/// What a key is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum KeyPurpose {
    /// Signs events: the next key of the office's node (*thay khóa ký*).
    #[n(1)]
    Signing,
    /// Signed events: a key of the office's node that signed before the present one (*khóa ký trước đó*). Whoever hears of the
    /// present one first learns so that the earlier one is genuine as well.
    #[n(2)]
    SignedBefore,
    /// Others seal for the office under it (*khóa niêm phong*, [`crate::sealing`]): an X25519 key. The newest one in the chain counts.
    #[n(3)]
    Sealing,
    /// The office gives all of its sealing keys to the one that takes over its tasks (*bàn giao khóa niêm phong*); the newest is named.
    /// Goes to that office, and is no part of the registry.
    #[n(4)]
    HandedOver,
}

/// An office says with the key it has which one follows, or which one it follows. Public: it travels with the registry.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct KeyAnnouncement {
    /// What it is for.
    #[n(1)]
    pub purpose: KeyPurpose,
    /// The public key.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub key: [u8; 32],
    /// The private halves that are handed over: a file that only the successor's sealing key opens, so that neither relays nor the
    /// journal of either office holds a key in the clear.
    #[n(3)]
    pub keyring: Option<ByteVec>,
    /// The largest sealed attachment that the office takes, in bytes; none where it takes every one. With sealing keys only: who seals for
    /// it knows this too.
    #[n(4)]
    pub takes: Option<u64>,
}

impl KeyAnnouncement {
    /// What the office says about a key, without giving any away.
    pub const fn of(purpose: KeyPurpose, key: [u8; 32]) -> Self {
        Self { purpose, key, keyring: None, takes: None }
    }

    /// The keys go to the successor, sealed for it.
    pub fn handing_over(newest: SealingKey, keyring: Vec<u8>) -> Self {
        Self { keyring: Some(keyring.into()), ..Self::of(KeyPurpose::HandedOver, newest.0) }
    }

    pub(super) fn check(&self, event: &Event) -> Result<(), BodyError> {
        let rule = |rule| Err(BodyError::Rule { kind: event.kind, rule });
        if self.takes.is_some() && self.purpose != KeyPurpose::Sealing {
            return rule("only with a sealing key it is said what attachments are taken");
        }
        match (self.purpose, &self.keyring, event.to.len()) {
            (KeyPurpose::HandedOver, Some(keyring), 1)
                if (1..=KEYRING_BYTES_MAX).contains(&keyring.len()) =>
            {
                Ok(())
            }
            (KeyPurpose::HandedOver, _, _) => rule("keys are handed over to one office, in at most 40 KiB"),
            (_, None, 0) => Ok(()),
            (_, _, _) => rule("no recipients: it travels with the registry"),
        }
    }

    /// How frames name the key that it is about.
    pub fn key_id(&self) -> KeyId {
        key_id(&self.key)
    }
}

/// What signatures on documents are worth (*kết quả kiểm tra chữ ký*). Recorded when a document comes, and again whenever
/// a fresher list, a certificate or a proof changes it; then its sender is told too.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Verdicts {
    /// One for each document.
    #[n(1)]
    pub entries: Vec<Judgement>,
}

/// What the signatures on one document are worth.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct Judgement {
    /// Who sent the document.
    #[n(1)]
    pub from: OfficeId,
    /// The event that carries it.
    #[n(2)]
    pub place: Place,
    /// The office's signature on the event, then those of persons on the document.
    #[n(3)]
    pub layers: Vec<Layer>,
    /// Relays' word on when it was there.
    #[n(4)]
    pub stamps: Vec<Stamp>,
    /// A fresher list, a certificate or a proof may still change it.
    #[n(5)]
    pub open: bool,
}

/// What a document is worth by law (*giá trị pháp lý*).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LegalValue {
    /// Signed by a person and by the agency, both valid: as a paper original (*giá trị như bản gốc*), when that person had the
    /// authority to sign. Whether it was so is for the reader to judge: a certificate does not say.
    AsOriginal,
    /// Both signatures are there, and one of them cannot be judged yet.
    Undetermined,
    /// Only to know, for reference (*chỉ để biết, tham khảo*): a signature is missing or invalid.
    ForReference,
}

/// What one signature is worth, and what that rests on.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
pub struct Layer {
    /// SHA-256 of the signer's certificate; zero when none could be read.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub certificate: [u8; 32],
    /// One for each item that must be checked.
    #[n(1)]
    pub findings: Vec<FindingCode>,
    /// SHA-256 of the newest list of each authority on the way to the root.
    #[n(2)]
    pub lists: Vec<ListHash>,
}

/// SHA-256 of a revocation list.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(transparent)]
pub struct ListHash(#[cbor(n(0), with = "minicbor::bytes")] pub [u8; 32]);

/// What came out for one item.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Encode, Decode)]
pub struct FindingCode {
    /// The item's number ([`crate::trust::Item::number`]).
    #[n(0)]
    pub item: u8,
    /// What came out.
    #[n(1)]
    pub outcome: Outcome,
    /// The reason's number ([`crate::trust::Reason::number`]).
    #[n(2)]
    pub reason: u16,
}

impl Layer {
    /// The worst of its findings.
    pub fn outcome(&self) -> Outcome {
        self.findings.iter().map(|finding| finding.outcome).max().unwrap_or(Outcome::Undetermined)
    }
}

impl Judgement {
    /// The worst of its signatures.
    pub fn outcome(&self) -> Outcome {
        self.layers.iter().map(Layer::outcome).max().unwrap_or(Outcome::Undetermined)
    }

    /// What the document is worth by these signatures (Decree 30/2020 article 5; checklist C4).
    pub fn legal_value(&self) -> LegalValue {
        let persons = self.layers.len().saturating_sub(1);
        match self.outcome() {
            Outcome::Invalid => LegalValue::ForReference,
            _ if persons == 0 => LegalValue::ForReference,
            Outcome::Valid => LegalValue::AsOriginal,
            Outcome::Undetermined => LegalValue::Undetermined,
        }
    }

    /// Whether another one finds the same about the same certificates. A newer list that is silent about them is no
    /// difference.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let same = |(one, other): (&Layer, &Layer)| {
            one.certificate == other.certificate && one.findings == other.findings
        };
        self.layers.len() == other.layers.len() && self.layers.iter().zip(&other.layers).all(same)
    }

    /// Whether there is trusted time for every signature.
    pub fn is_proven(&self) -> bool {
        let proven = |finding: &FindingCode| {
            finding.item == Item::ProvenTime.number() && finding.outcome == Outcome::Valid
        };
        self.layers.iter().all(|layer| layer.findings.iter().any(proven))
    }

    fn is_bounded(&self) -> bool {
        (1..=LAYERS_MAX).contains(&self.layers.len())
            && self.stamps.len() <= STAMPS_MAX
            && self.layers.iter().all(|layer| {
                (1..=FINDINGS_MAX).contains(&layer.findings.len()) && layer.lists.len() <= LISTS_MAX
            })
    }
}

impl Verdicts {
    pub(super) fn is_bounded(&self) -> bool {
        (1..=JUDGEMENTS_MAX).contains(&self.entries.len()) && self.entries.iter().all(Judgement::is_bounded)
    }
}

impl RegistryChange {
    pub(super) fn is_bounded(&self) -> bool {
        self.items.len() <= CHANGED_ITEMS_MAX
            && self.contested.len() <= CONTESTED_KEYS_MAX
            && self.contradicting.len() <= CONTRADICTING_LISTS_MAX
            && self.contradicting.iter().all(|lists| lists.authority.chars().count() <= QUOTED_CHARS_MAX)
    }
}
