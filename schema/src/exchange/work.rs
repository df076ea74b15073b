//! What people in an office may do with documents, and the facts that follow.

use super::{Draft, Exchange, Records};
use crate::body::{Act, Assignment, Body, BodyError, Deed, DocumentFact, PaperDocument, Status};
use crate::event::{Event, Kind, RECIPIENTS_MAX};
use crate::handling::{
    Actor, BookId, BusinessKind, CaseRow, Direction, Entry, Fact, REQUESTS_MAX, RefusalReason, Role, Rules,
    Side, Stage, Standing,
};
use crate::id::{BusinessId, DocumentId, OfficeId};
use crate::time::{Day, Millis};
use crate::trust::Outcome;

/// A document that came in: two offices could choose one id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Its sender.
    pub from: OfficeId,
    /// The document.
    pub document: DocumentId,
}

/// What somebody in an office asks the station to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Work {
    /// Accept a document, which is to register it (03).
    Register {
        /// Which.
        arrival: Arrival,
        /// In which register; the first one when none is named.
        book: Option<BookId>,
        /// Why it is accepted although nobody can judge its signatures yet.
        undetermined: Option<String>,
    },
    /// Refuse or return it (02).
    Refuse {
        /// Which.
        arrival: Arrival,
        /// Why.
        reason: RefusalReason,
        /// What the reason leaves open.
        words: Option<String>,
    },
    /// Say who works on it (04). The first time, its sender is told; what is said stays inside.
    Assign {
        /// Which.
        arrival: Arrival,
        /// Who, until when, how.
        assignment: Assignment,
    },
    /// The first work on it was done (05).
    Start {
        /// Which.
        arrival: Arrival,
    },
    /// It is finished (06).
    Finish {
        /// Which.
        arrival: Arrival,
    },
    /// Ask recipients for a document back (13), or recall it.
    Ask {
        /// Which.
        document: DocumentId,
        /// Whom; everybody it went to when empty.
        of: Vec<OfficeId>,
        /// What is asked.
        kind: BusinessKind,
        /// Names it.
        business: BusinessId,
        /// Why.
        reason: String,
    },
    /// Answer a sender that asks for a document back (15, 16).
    Answer {
        /// Which.
        arrival: Arrival,
        /// Whether it may have it back.
        agreed: bool,
        /// What is said to it.
        words: Option<String>,
    },
    /// Register a document on paper.
    RegisterPaper {
        /// In which register; the first one when none is named.
        book: Option<BookId>,
        /// What it is.
        paper: PaperDocument,
    },
    /// Give the next number of a register to nothing, and say why.
    CancelNumber {
        /// Of which registers.
        direction: Direction,
        /// In which register; the first one when none is named.
        book: Option<BookId>,
        /// Why.
        reason: String,
    },
    /// State the highest number of this year that a register has on paper: after a restore, or before its first number
    /// here.
    StateHighest {
        /// Of which registers.
        direction: Direction,
        /// In which register; the first one when none is named.
        book: Option<BookId>,
        /// The number; 0 when there is none.
        number: u32,
    },
}

impl Work {
    /// In which roles it may be done.
    pub const fn roles(&self) -> &'static [Role] {
        match self {
            Self::Register { .. }
            | Self::Refuse { .. }
            | Self::RegisterPaper { .. }
            | Self::CancelNumber { .. } => &[Role::Clerk],
            Self::Ask { .. } | Self::Answer { .. } => &[Role::Clerk, Role::Leader],
            Self::Assign { .. } => &[Role::Leader],
            Self::Start { .. } | Self::Finish { .. } => &[Role::Officer, Role::Leader],
            Self::StateHighest { .. } => &[Role::Clerk, Role::Administrator],
        }
    }
}

/// Why somebody's work is not done. An answer: nothing was recorded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WorkRefusal {
    /// Somebody else's work.
    #[error("this is not for the role `{}`; it is for {}", role.slug(), slugs(wanted))]
    Role {
        /// Whose it was tried as.
        role: Role,
        /// Whose it is.
        wanted: &'static [Role],
    },
    /// The document is not here, or not yet in its turn.
    #[error("document `{document}` of office `{from}` is not here, or not shown yet")]
    NotHere {
        /// Its sender.
        from: OfficeId,
        /// The document.
        document: DocumentId,
    },
    /// The document did not go to that office.
    #[error("document `{document}` did not go to office `{office}`")]
    NotSentTo {
        /// The office.
        office: OfficeId,
        /// The document.
        document: DocumentId,
    },
    /// The document did not leave this office.
    #[error("document `{document}` was not sent here")]
    NotSent {
        /// The document.
        document: DocumentId,
    },
    /// It has its number already.
    #[error("the document is registered already, with number {entry} of {}", entry.year)]
    AlreadyRegistered {
        /// Its line.
        entry: Entry,
    },
    /// It was refused.
    #[error("the document was refused, and its sender was told")]
    AlreadyRefused,
    /// It obliges nobody before it is registered (Decree 30/2020 article 22.1).
    #[error("the document is not registered yet: accept it first")]
    NotRegistered,
    /// All work on it is done.
    #[error("the document is finished already")]
    AlreadyFinished,
    /// Work on it has begun already.
    #[error("work on the document was recorded already")]
    AlreadyStarted,
    /// Its sender asks for it back.
    #[error("its sender asks for the document back: answer first")]
    AskedBack,
    /// It was given back, or recalled.
    #[error("the document counts no more: it was {}", if *recalled { "recalled" } else { "taken back" })]
    CountsNoMore {
        /// Recalled, or taken back.
        recalled: bool,
    },
    /// Nobody asked for it back, or that was answered.
    #[error("no question of its sender waits for an answer")]
    NothingAsked,
    /// The same was asked already.
    #[error("office `{office}` was asked already")]
    AlreadyAsked {
        /// Which office.
        office: OfficeId,
    },
    /// Too often.
    #[error("office `{office}` was asked {REQUESTS_MAX} times already")]
    AskedTooOften {
        /// Which office.
        office: OfficeId,
    },
    /// Its signatures are not worth anything.
    #[error("a signature on the document is not valid: it cannot be accepted, only refused")]
    SignatureInvalid,
    /// Nobody can judge its signatures yet, and no reason is given.
    #[error("the signatures on the document cannot be judged yet: accepting it needs a reason")]
    Undetermined,
    /// Another document of its sender with the same number, symbol and year is here.
    #[error("document `{other}` of the same office has the same number, symbol and year")]
    SameNumber {
        /// That one.
        other: DocumentId,
    },
    /// There is no such register.
    #[error("there is no such register")]
    UnknownBook,
    /// Numbers may have been given that are lost here.
    #[error(
        "the station was restored: numbers after {highest} of register `{book}` may be used already; state the highest one \
         of the printed register first"
    )]
    BookDoubtful {
        /// The register.
        book: BookId,
        /// The highest number that is known here.
        highest: u32,
    },
    /// The register knows its numbers itself.
    #[error("register `{book}` is in use: its highest number is {highest}, and nobody states another one")]
    BookInUse {
        /// The register.
        book: BookId,
        /// The highest number.
        highest: u32,
    },
    /// A number that is known here is higher.
    #[error("register `{book}` has number {highest} already: the highest one is not below that")]
    BelowKnown {
        /// The register.
        book: BookId,
        /// The highest number that is known here.
        highest: u32,
    },
    /// No number is left.
    #[error("register `{book}` has no number left this year")]
    BookFull {
        /// The register.
        book: BookId,
    },
    /// A text is not acceptable.
    #[error("what was written is refused")]
    Text(#[from] BodyError),
}

fn slugs(roles: &[Role]) -> String {
    let slugs: Vec<&str> = roles.iter().map(|role| role.slug()).collect();
    slugs.join(" or ")
}

/// What [`decide_work`] answers.
type Decided = Result<Vec<Draft>, WorkRefusal>;

/// Decides what somebody's work means in this state. Changes nothing.
///
/// # Errors
/// The outer error is a failing look-up, the inner one the answer to whoever asked.
pub(super) fn decide_work<R: Records>(
    exchange: &Exchange,
    records: &R,
    rules: &Rules,
    by: &Actor,
    work: &Work,
    now: Millis,
) -> Result<Decided, R::Error> {
    if !work.roles().contains(&by.role) {
        return Ok(Err(WorkRefusal::Role { role: by.role, wanted: work.roles() }));
    }
    let desk = Desk { exchange, records, rules, by, today: Day::in_vietnam(now) };
    let decided = match work {
        Work::Register { arrival, book, undetermined } => {
            desk.register(arrival, book.as_ref(), undetermined.as_ref())?
        }
        Work::Refuse { arrival, reason, words } => desk.refuse(arrival, *reason, words.as_ref())?,
        Work::Assign { arrival, assignment } => desk.assign(arrival, assignment)?,
        Work::Start { arrival } => desk.climb(arrival, Fact::Started)?,
        Work::Finish { arrival } => desk.climb(arrival, Fact::Finished)?,
        Work::Ask { document, of, kind, business, reason } => {
            let fact = Fact::Asked { business: *business, kind: *kind, reason: reason.clone() };
            desk.ask(*document, of, *kind, *business, fact)?
        }
        Work::Answer { arrival, agreed, words } => desk.answer(arrival, *agreed, words.as_ref())?,
        Work::RegisterPaper { book, paper } => desk.register_paper(book.as_ref(), paper),
        Work::CancelNumber { direction, book, reason } => {
            desk.cancel_number(*direction, book.as_ref(), reason)
        }
        Work::StateHighest { direction, book, number } => {
            desk.state_highest(*direction, book.as_ref(), *number)
        }
    };
    // Sealing would find it too, but as a fault of this station instead of an answer to whoever wrote it.
    Ok(decided.and_then(|drafts| {
        for draft in &drafts {
            desk.read_again(draft)?;
        }
        Ok(drafts)
    }))
}

/// Where work is decided: what is known, and who works.
struct Desk<'a, R> {
    exchange: &'a Exchange,
    records: &'a R,
    rules: &'a Rules,
    by: &'a Actor,
    today: Day,
}

impl<R: Records> Desk<'_, R> {
    fn read_again(&self, draft: &Draft) -> Result<(), BodyError> {
        let event: Event = self.exchange.next_event(draft, Millis(0));
        Body::read(crate::event::VERSION, &event).map(drop)
    }

    fn told(&self, arrival: &Arrival, fact: Fact) -> Draft {
        let told = DocumentFact { document: arrival.document, fact, by: Some(self.by.clone()) };
        self.exchange.draft(vec![arrival.from], Kind::Status, &Body::Status(Status::Document(told)))
    }

    fn kept(&self, deed: Deed) -> Draft {
        let act = Act { by: self.by.clone(), deed };
        self.exchange.draft(Vec::new(), Kind::Act, &Body::Act(act))
    }

    fn case(&self, with: OfficeId, document: DocumentId, side: Side) -> Result<CaseRow, R::Error> {
        let known = self.records.case(&with, &document, side)?;
        Ok(known.unwrap_or_else(|| CaseRow::new(with, document, side)))
    }

    fn arrived(&self, arrival: &Arrival) -> Result<CaseRow, R::Error> {
        self.case(arrival.from, arrival.document, Side::Recipient)
    }

    /// What counts no more is not worked on; what is asked back is answered first.
    fn require_current(case: &CaseRow) -> Result<(), WorkRefusal> {
        match case.progress.standing() {
            Standing::Current => Ok(()),
            Standing::AskedBack => Err(WorkRefusal::AskedBack),
            Standing::TakenBack => Err(WorkRefusal::CountsNoMore { recalled: false }),
            Standing::Recalled => Err(WorkRefusal::CountsNoMore { recalled: true }),
        }
    }

    fn require_new(case: &CaseRow) -> Result<(), WorkRefusal> {
        match (case.progress.entry(), case.progress.stage()) {
            (Some(entry), _) => Err(WorkRefusal::AlreadyRegistered { entry: entry.clone() }),
            (None, Stage::Refused) => Err(WorkRefusal::AlreadyRefused),
            (None, _) => Ok(()),
        }
    }

    fn next_entry(&self, direction: Direction, named: Option<&BookId>) -> Result<Entry, WorkRefusal> {
        let book = &self.rules.book(direction, named).ok_or(WorkRefusal::UnknownBook)?.id;
        let (books, year) = (self.exchange.books(), self.today.0.year());
        if books.is_doubtful(direction, book) {
            let highest = books.highest(direction, book, year);
            return Err(WorkRefusal::BookDoubtful { book: book.clone(), highest });
        }
        books.next(direction, book, year).ok_or_else(|| WorkRefusal::BookFull { book: book.clone() })
    }

    fn register(
        &self,
        arrival: &Arrival,
        book: Option<&BookId>,
        undetermined: Option<&String>,
    ) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        let held = self.records.incoming(&from, &document)?.filter(|held| held.ordinal.is_some());
        let Some(held) = held else { return Ok(Err(WorkRefusal::NotHere { from, document })) };
        let case = self.arrived(arrival)?;
        if let Err(refusal) = Self::require_new(&case).and_then(|()| Self::require_current(&case)) {
            return Ok(Err(refusal));
        }
        let kept = match (held.judged.map(|judged| judged.outcome), undetermined) {
            (Some(Outcome::Valid), _) => None,
            (Some(Outcome::Invalid), _) => return Ok(Err(WorkRefusal::SignatureInvalid)),
            (_, None) => return Ok(Err(WorkRefusal::Undetermined)),
            (_, Some(reason)) => {
                let reason = reason.clone();
                Some(self.kept(Deed::AcceptedUndetermined { from, document, reason }))
            }
        };
        let entry = match self.next_entry(Direction::Incoming, book) {
            Ok(entry) => entry,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let registered = self.told(arrival, Fact::Registered { entry, on: self.today });
        Ok(Ok(kept.into_iter().chain([registered]).collect()))
    }

    fn refuse(
        &self,
        arrival: &Arrival,
        reason: RefusalReason,
        words: Option<&String>,
    ) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        let held = self.records.incoming(&from, &document)?.filter(|held| held.ordinal.is_some());
        if held.is_none() {
            return Ok(Err(WorkRefusal::NotHere { from, document }));
        }
        let case = self.arrived(arrival)?;
        if let Err(refusal) = Self::require_new(&case).and_then(|()| Self::require_current(&case)) {
            return Ok(Err(refusal));
        }
        Ok(Ok(vec![self.told(arrival, Fact::Refused { reason, words: words.cloned() })]))
    }

    /// Registered, current and not finished.
    fn at_work(&self, arrival: &Arrival) -> Result<Result<CaseRow, WorkRefusal>, R::Error> {
        let case = self.arrived(arrival)?;
        if case.progress.entry().is_none() {
            let refused = case.progress.stage() == Stage::Refused;
            return Ok(Err(if refused { WorkRefusal::AlreadyRefused } else { WorkRefusal::NotRegistered }));
        }
        if case.progress.stage() == Stage::Finished {
            return Ok(Err(WorkRefusal::AlreadyFinished));
        }
        Ok(Self::require_current(&case).map(|()| case))
    }

    fn assign(&self, arrival: &Arrival, assignment: &Assignment) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        Ok(self.at_work(arrival)?.map(|case| {
            let assignment = assignment.clone();
            let kept = self.kept(Deed::Assigned { from, document, assignment });
            // Who works on it may change; that somebody does is said once.
            let first = case.progress.stage() < Stage::Assigned;
            let told = first.then(|| self.told(arrival, Fact::Assigned));
            [kept].into_iter().chain(told).collect()
        }))
    }

    fn climb(&self, arrival: &Arrival, fact: Fact) -> Result<Decided, R::Error> {
        Ok(self.at_work(arrival)?.and_then(|case| {
            if fact == Fact::Started && case.progress.stage() >= Stage::InProgress {
                return Err(WorkRefusal::AlreadyStarted);
            }
            Ok(vec![self.told(arrival, fact)])
        }))
    }

    fn answer(&self, arrival: &Arrival, agreed: bool, words: Option<&String>) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        let held = self.records.incoming(&from, &document)?.filter(|held| held.ordinal.is_some());
        if held.is_none() {
            return Ok(Err(WorkRefusal::NotHere { from, document }));
        }
        let Some(business) = self.arrived(arrival)?.progress.open_take_back() else {
            return Ok(Err(WorkRefusal::NothingAsked));
        };
        let (kind, words) = (BusinessKind::TakeBack, words.cloned());
        Ok(Ok(vec![self.told(arrival, Fact::Answered { business, kind, agreed, words })]))
    }

    fn ask(
        &self,
        document: DocumentId,
        of: &[OfficeId],
        kind: BusinessKind,
        business: BusinessId,
        fact: Fact,
    ) -> Result<Decided, R::Error> {
        let recipients = self.records.recipients(&document)?;
        if recipients.is_empty() {
            return Ok(Err(WorkRefusal::NotSent { document }));
        }
        let mut asked = if of.is_empty() { recipients.clone() } else { of.to_vec() };
        asked.sort_unstable();
        asked.dedup();
        for office in &asked {
            if !recipients.contains(office) {
                return Ok(Err(WorkRefusal::NotSentTo { office: *office, document }));
            }
            let progress = self.case(*office, document, Side::Sender)?.progress;
            if progress.asked().contains_key(&business)
                || kind == BusinessKind::TakeBack && progress.open_take_back().is_some()
            {
                return Ok(Err(WorkRefusal::AlreadyAsked { office: *office }));
            }
            match progress.standing() {
                Standing::Recalled => return Ok(Err(WorkRefusal::CountsNoMore { recalled: true })),
                Standing::TakenBack if of.len() == 1 => {
                    return Ok(Err(WorkRefusal::CountsNoMore { recalled: false }));
                }
                _ if progress.asked().len() >= REQUESTS_MAX => {
                    return Ok(Err(WorkRefusal::AskedTooOften { office: *office }));
                }
                _ => {}
            }
        }
        let told = Body::BusinessRequest(DocumentFact { document, fact, by: Some(self.by.clone()) });
        let drafts = asked
            .chunks(RECIPIENTS_MAX)
            .map(|to| self.exchange.draft(to.to_vec(), Kind::BusinessRequest, &told));
        Ok(Ok(drafts.collect()))
    }

    fn register_paper(&self, book: Option<&BookId>, paper: &PaperDocument) -> Decided {
        let entry = self.next_entry(Direction::Incoming, book)?;
        Ok(vec![self.kept(Deed::PaperRegistered { entry, on: self.today, paper: paper.clone() })])
    }

    fn cancel_number(&self, direction: Direction, book: Option<&BookId>, reason: &str) -> Decided {
        let entry = self.next_entry(direction, book)?;
        Ok(vec![self.kept(Deed::NumberCancelled { direction, entry, reason: reason.to_owned() })])
    }

    fn state_highest(&self, direction: Direction, named: Option<&BookId>, number: u32) -> Decided {
        let book = self.rules.book(direction, named).ok_or(WorkRefusal::UnknownBook)?.id.clone();
        let (books, year) = (self.exchange.books(), self.today.0.year());
        let highest = books.highest(direction, &book, year);
        if number < highest {
            return Err(WorkRefusal::BelowKnown { book, highest });
        }
        if highest > 0 && !books.is_doubtful(direction, &book) {
            return Err(WorkRefusal::BookInUse { book, highest });
        }
        Ok(vec![self.kept(Deed::HighestStated { direction, entry: Entry { book, year, number } })])
    }
}

impl Exchange {
    /// Confirms recalls of a document that is here: the law leaves nothing to decide (Decree 30/2020 article 18.4b).
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn confirm_recalls<R: Records>(
        &self,
        records: &R,
        from: OfficeId,
        document: DocumentId,
    ) -> Result<Vec<Draft>, R::Error> {
        let Some(case) = records.case(&from, &document, Side::Recipient)? else { return Ok(Vec::new()) };
        let confirmed = case.progress.unconfirmed_recalls().map(|business| {
            let kind = BusinessKind::Recall;
            let fact = Fact::Answered { business, kind, agreed: true, words: None };
            let told = Status::Document(DocumentFact { document, fact, by: None });
            self.draft(vec![from], Kind::Status, &Body::Status(told))
        });
        Ok(confirmed.collect())
    }
}
