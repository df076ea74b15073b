//! How far a document is at one recipient: the same at both ends.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Entry, Fact, RefusalReason};
use crate::id::BusinessId;

/// Most take-backs and recalls of one document at one recipient.
pub const REQUESTS_MAX: usize = 8;
/// Most lines of registers that one document has at one recipient: more than one only when two lives of a station
/// registered it.
pub const ENTRIES_MAX: usize = 4;

/// The rungs that the recipient climbs; never backwards.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// 01 *đã đến*: the station has it; nobody has accepted it.
    #[n(1)]
    #[default]
    Arrived,
    /// 02 *từ chối*. Below *registered*: where two lives of a station did both, the line in the register counts.
    #[n(2)]
    Refused,
    /// 03 *tiếp nhận*.
    #[n(3)]
    Registered,
    /// 04 *phân công*.
    #[n(4)]
    Assigned,
    /// 05 *đang xử lý*.
    #[n(5)]
    InProgress,
    /// 06 *hoàn thành*.
    #[n(6)]
    Finished,
}

/// What a sender asks its recipients to do with a document.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Encode, Decode, Serialize, Deserialize,
)]
#[cbor(index_only)]
#[serde(rename_all = "kebab-case")]
pub enum BusinessKind {
    /// *Lấy lại* (13): the recipient may agree or decline.
    #[n(0)]
    TakeBack,
    /// *Cập nhật* (2): another document, whose id this one's is, takes its place if the recipient agrees.
    #[n(1)]
    Update,
    /// *Thay thế* (3): another document, whose id this one's is, has taken its place.
    #[n(2)]
    Replace,
    /// *Thu hồi* (Decree 30/2020 article 18.4b): the recipient cancels its copy and says so.
    #[n(3)]
    Recall,
}

/// A take-back or recall, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, Serialize, Deserialize)]
pub struct Business {
    /// What is asked.
    #[n(0)]
    pub kind: BusinessKind,
    /// Why; none while only the answer is known here.
    #[n(1)]
    pub reason: Option<String>,
    /// The answer; none while there is none.
    #[n(2)]
    pub agreed: Option<bool>,
}

/// Why a recipient refused a document.
type Refusal = (RefusalReason, Option<String>);

/// How far a document is at one recipient. [`Progress::take`] is commutative, idempotent and never goes back: a join of
/// everything that is known.
#[derive(Clone, PartialEq, Eq, Debug, Default, Encode, Decode)]
#[cbor(map)]
pub struct Progress {
    /// How far.
    #[n(1)]
    stage: Stage,
    /// Why it was refused.
    #[n(2)]
    refusal: Option<Refusal>,
    /// Its lines in registers of incoming documents; one, unless two lives of a station registered it.
    #[n(3)]
    entries: Vec<Entry>,
    /// What its sender asked for.
    #[n(4)]
    asked: BTreeMap<BusinessId, Business>,
}

/// What a document is worth for work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It counts.
    Current,
    /// Its sender asks for it back and has no answer.
    AskedBack,
    /// Taken back (*đã lấy lại*): the recipient agreed.
    TakenBack,
    /// Another document has taken its place (*đã bị thay thế*).
    Replaced,
    /// Recalled (*đã thu hồi*).
    Recalled,
}

impl Progress {
    /// How far it is.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// Why it was refused, when nothing came after that.
    pub fn refusal(&self) -> Option<&(RefusalReason, Option<String>)> {
        self.refusal.as_ref().filter(|_| self.stage == Stage::Refused)
    }

    /// Its line in the register of incoming documents: the first one.
    pub fn entry(&self) -> Option<&Entry> {
        self.entries.first()
    }

    /// All of its lines.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What its sender asked for.
    pub const fn asked(&self) -> &BTreeMap<BusinessId, Business> {
        &self.asked
    }

    /// What it is worth for work.
    pub fn standing(&self) -> Standing {
        // An answer to a question that is not known here proves nothing.
        let any = |kind, agreed: &[Option<bool>]| {
            let known = self.asked.values().filter(|asked| asked.reason.is_some());
            known.into_iter().any(|asked| asked.kind == kind && agreed.contains(&asked.agreed))
        };
        const WHATEVER: &[Option<bool>] = &[None, Some(true), Some(false)];
        if any(BusinessKind::Recall, WHATEVER) {
            Standing::Recalled
        } else if any(BusinessKind::Replace, WHATEVER) || any(BusinessKind::Update, &[Some(true)]) {
            Standing::Replaced
        } else if any(BusinessKind::TakeBack, &[Some(true)]) {
            Standing::TakenBack
        } else if any(BusinessKind::TakeBack, &[None]) {
            Standing::AskedBack
        } else {
            Standing::Current
        }
    }

    /// Recalls that the recipient has not confirmed.
    pub fn unconfirmed_recalls(&self) -> impl Iterator<Item = BusinessId> {
        let open = |asked: &Business| asked.kind == BusinessKind::Recall && asked.agreed.is_none();
        self.asked.iter().filter(move |(_, asked)| open(asked)).map(|(id, _)| *id)
    }

    /// What waits for an answer of the recipient's clerk: take-backs first, then updates.
    pub fn open_question(&self) -> Option<(BusinessId, BusinessKind)> {
        let waits = |asked: &Business| {
            asked.agreed.is_none() && matches!(asked.kind, BusinessKind::TakeBack | BusinessKind::Update)
        };
        let open = self.asked.iter().filter(|(_, asked)| waits(asked));
        open.map(|(id, asked)| (*id, asked.kind)).min_by_key(|(_, kind)| *kind)
    }

    /// How often its sender has asked for something, as far as it is known.
    pub fn known_requests(&self) -> usize {
        self.asked.values().filter(|asked| asked.reason.is_some()).count()
    }

    /// Whether nothing is known but that another document updates or replaces it.
    pub fn is_only_amended(&self) -> bool {
        let amends = |kind| matches!(kind, BusinessKind::Update | BusinessKind::Replace);
        self.stage == Stage::Arrived && self.asked.values().all(|asked| amends(asked.kind))
    }

    /// Whether a take-back waits for an answer.
    pub fn is_asked_back(&self) -> bool {
        matches!(self.open_question(), Some((_, BusinessKind::TakeBack)))
    }

    /// Whether this one knows everything that the other one knows.
    pub fn covers(&self, other: &Self) -> bool {
        let refusal = other.stage != Stage::Refused || self.refusal >= other.refusal;
        let entries = other.entries.iter().all(|entry| self.entries.contains(entry));
        let asked = other.asked.iter().all(|(id, theirs)| {
            self.asked.get(id).is_some_and(|ours| {
                ours.kind >= theirs.kind && ours.reason >= theirs.reason && ours.agreed >= theirs.agreed
            })
        });
        self.stage >= other.stage && refusal && entries && asked
    }

    /// Takes a fact in. `false` when there is no room for it; it is kept in the journal, and somebody must look.
    #[must_use]
    pub fn take(&mut self, fact: &Fact) -> bool {
        match fact {
            Fact::Refused { reason, words } => {
                self.climb(Stage::Refused);
                self.refusal = self.refusal.take().max(Some((*reason, words.clone())));
            }
            Fact::Registered { entry, .. } => {
                self.climb(Stage::Registered);
                if let Err(at) = self.entries.binary_search(entry) {
                    self.entries.insert(at, entry.clone());
                }
                let room = self.entries.len() <= ENTRIES_MAX;
                self.entries.truncate(ENTRIES_MAX);
                return room;
            }
            Fact::Assigned => self.climb(Stage::Assigned),
            Fact::Started => self.climb(Stage::InProgress),
            Fact::Finished => self.climb(Stage::Finished),
            Fact::Asked { business, kind, reason } => {
                let asked = Business { kind: *kind, reason: Some(reason.clone()), agreed: None };
                return self.join(*business, asked);
            }
            Fact::Answered { business, kind, agreed, .. } => {
                let asked = Business { kind: *kind, reason: None, agreed: Some(*agreed) };
                return self.join(*business, asked);
            }
        }
        true
    }

    fn climb(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }

    fn join(&mut self, id: BusinessId, asked: Business) -> bool {
        let known = self.asked.entry(id).or_insert_with(|| asked.clone());
        // The same request under two kinds is nothing that an honest sender makes; the stronger one counts.
        known.kind = known.kind.max(asked.kind);
        known.reason = known.reason.take().max(asked.reason);
        known.agreed = known.agreed.max(asked.agreed);
        if self.asked.len() <= REQUESTS_MAX {
            return true;
        }
        self.asked.pop_last();
        false
    }
}
