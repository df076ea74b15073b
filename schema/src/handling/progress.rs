//! How far a document is at one recipient: the same at both ends.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Entry, Fact, RefusalReason, Side};
use crate::id::BusinessId;

/// Most questions of its sender about one document at one recipient that are remembered, and most answers. The last place is
/// for a recall, which must always be possible.
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

/// What names a question: the same id under two kinds, which no honest sender uses, is two questions.
type Question = (BusinessKind, BusinessId);

/// Something that the sender of a document asks for, and what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Business<'a> {
    /// Names it.
    pub id: BusinessId,
    /// What is asked.
    pub kind: BusinessKind,
    /// Why; none while only the answer is known here.
    pub reason: Option<&'a str>,
    /// The answer; none while there is none.
    pub agreed: Option<bool>,
}

/// Why a recipient refused a document.
type Refusal = (RefusalReason, Option<String>);

/// How far a document is at one recipient. [`Progress::take`] is commutative, idempotent and never goes back: a join of
/// everything that is known.
///
/// What the sender asks and what the recipient answers are two joins, each bounded by itself: whatever one side names, it only
/// ever takes room from its own words. Both keep the strongest kinds, so the answer to a question that is remembered is
/// remembered too, unless its recipient answers what nobody has asked.
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
    /// What its sender asked for, and why: the strongest ones. Only its sender says any of it.
    #[n(4)]
    questions: BTreeMap<Question, String>,
    /// What the recipient answered: the strongest ones. Only the recipient says any of it.
    #[n(5)]
    answers: BTreeMap<Question, bool>,
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

    /// What its sender asked for, as far as it is known, and the answers; also answers to what is not known to be asked.
    pub fn asked(&self) -> impl Iterator<Item = Business<'_>> {
        let only_answered = self.answers.keys().filter(|key| !self.questions.contains_key(key));
        self.questions.keys().chain(only_answered).map(|key| Business {
            id: key.1,
            kind: key.0,
            reason: self.questions.get(key).map(String::as_str),
            agreed: self.answers.get(key).copied(),
        })
    }

    /// Whether its sender is known to have asked for this.
    pub fn knows_question(&self, id: BusinessId) -> bool {
        self.questions.keys().any(|(_, known)| *known == id)
    }

    /// The questions of this kind without an answer.
    fn unanswered(&self, kind: BusinessKind) -> impl Iterator<Item = BusinessId> {
        let open = self.questions.keys().filter(move |key| key.0 == kind && !self.answers.contains_key(key));
        open.map(|(_, id)| *id)
    }

    /// What it is worth for work.
    pub fn standing(&self) -> Standing {
        // An answer to a question that is not known here proves nothing.
        let asked = |kind| self.questions.keys().any(|(known, _)| *known == kind);
        let agreed =
            |kind| self.questions.keys().any(|key| key.0 == kind && self.answers.get(key) == Some(&true));
        if asked(BusinessKind::Recall) {
            Standing::Recalled
        } else if asked(BusinessKind::Replace) || agreed(BusinessKind::Update) {
            Standing::Replaced
        } else if agreed(BusinessKind::TakeBack) {
            Standing::TakenBack
        } else if self.unanswered(BusinessKind::TakeBack).next().is_some() {
            Standing::AskedBack
        } else {
            Standing::Current
        }
    }

    /// Recalls that the recipient has not confirmed, and can: where its answers leave no room, one more would not be
    /// remembered, and its station would confirm for ever.
    pub fn unconfirmed_recalls(&self) -> impl Iterator<Item = BusinessId> {
        let weakest = self.answers.keys().next().filter(|_| self.answers.len() >= REQUESTS_MAX);
        let kept =
            move |id: &BusinessId| weakest.is_none_or(|weakest| (BusinessKind::Recall, *id) > *weakest);
        self.unanswered(BusinessKind::Recall).filter(kept)
    }

    /// What waits for an answer of the recipient's clerk: take-backs first, then updates. About a document that counts no
    /// more there is nothing left to decide.
    pub fn open_question(&self) -> Option<(BusinessId, BusinessKind)> {
        self.awaited(Side::Recipient).next()
    }

    /// What an office on this side waits for: the recipient's clerk has to answer it, its sender hopes for an answer. That a
    /// recall is carried out is said by the recipient's station, so only its sender waits for that.
    pub fn awaited(&self, side: Side) -> impl Iterator<Item = (BusinessId, BusinessKind)> {
        let kinds: &[BusinessKind] = match (self.standing(), side) {
            (Standing::Current | Standing::AskedBack, _) => &[BusinessKind::TakeBack, BusinessKind::Update],
            (Standing::Recalled, Side::Sender) => &[BusinessKind::Recall],
            (Standing::Recalled | Standing::Replaced | Standing::TakenBack, _) => &[],
        };
        kinds.iter().flat_map(|kind| self.unanswered(*kind).map(|id| (id, *kind)))
    }

    /// Whether its sender may ask for one more thing of this kind.
    pub fn has_room_for(&self, kind: BusinessKind) -> bool {
        // The last place is for a recall, and one recall is enough.
        kind == BusinessKind::Recall || self.questions.len() < REQUESTS_MAX - 1
    }

    /// Whether nothing is known but that another document updates or replaces it.
    pub fn is_only_amended(&self) -> bool {
        let amends = |kind| matches!(kind, BusinessKind::Update | BusinessKind::Replace);
        self.stage == Stage::Arrived && self.asked().all(|asked| amends(asked.kind))
    }

    /// Whether a take-back waits for an answer.
    pub fn is_asked_back(&self) -> bool {
        matches!(self.open_question(), Some((_, BusinessKind::TakeBack)))
    }

    /// What the office on this side has said itself, and nothing of the other one's words.
    #[must_use]
    pub fn said_by(&self, side: Side) -> Self {
        match side {
            Side::Sender => Self { questions: self.questions.clone(), ..Self::default() },
            Side::Recipient => Self { questions: BTreeMap::new(), ..self.clone() },
        }
    }

    /// Whether this one knows everything that the other one knows.
    pub fn covers(&self, other: &Self) -> bool {
        let refusal = other.stage != Stage::Refused || self.refusal >= other.refusal;
        let entries = other.entries.iter().all(|entry| self.entries.contains(entry));
        let questions = other.questions.iter().all(|(key, reason)| self.questions.get(key) >= Some(reason));
        let answers = other.answers.iter().all(|(key, agreed)| self.answers.get(key) >= Some(agreed));
        self.stage >= other.stage && refusal && entries && questions && answers
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
                return join(&mut self.questions, (*kind, *business), reason);
            }
            Fact::Answered { business, kind, agreed, .. } => {
                return join(&mut self.answers, (*kind, *business), agreed);
            }
        }
        true
    }

    fn climb(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }
}

/// Joins what is said under this key. Which ones are kept depends on the keys alone, never on the order in which they came:
/// the largest, and those are the strongest kinds.
fn join<T: Ord + Clone>(known: &mut BTreeMap<Question, T>, key: Question, said: &T) -> bool {
    let value = known.entry(key).or_insert_with(|| said.clone());
    if *value < *said {
        *value = said.clone();
    }
    if known.len() <= REQUESTS_MAX {
        return true;
    }
    known.pop_first();
    false
}
