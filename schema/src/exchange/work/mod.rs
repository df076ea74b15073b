//! What people in an office may do with documents, and the facts that follow.

mod authority;
mod outgoing;

pub use authority::beyond_authority;

use minicbor::bytes::ByteVec;

use super::{Context, Draft, Exchange, Records, Refusal};
use crate::body::{
    Act, Assignment, Body, BodyError, Deed, DocumentFact, PaperDocument, SIGNATURES_MAX, SlipPart, Status,
    cancelling_key,
};
use crate::document::{DocumentType, Manifest};
use crate::event::{Event, Kind, RECIPIENTS_MAX};
use crate::handling::{
    Actor, BookId, BusinessKind, CaseRow, Direction, Entry, Fact, PersonRow, Progress, Recipients,
    RefusalReason, Role, Side, Stage, Standing,
};
use crate::id::{BusinessId, DocumentId, OfficeId, WorkId};
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
    /// Give an opinion on it, which the slip for handling it shows. It stays inside.
    Opine {
        /// Which.
        arrival: Arrival,
        /// As whom.
        part: SlipPart,
        /// The opinion.
        opinion: String,
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
    /// Write a document, or change its draft.
    Draft {
        /// What it says.
        manifest: Box<Manifest>,
        /// To whom it is to go.
        to: Recipients,
    },
    /// Approve a draft.
    Approve {
        /// Which.
        document: DocumentId,
    },
    /// Put a person's signature to it. From then on nothing of its content changes.
    Sign {
        /// Which.
        document: DocumentId,
        /// Detached CMS over its frozen bytes.
        signature: ByteVec,
    },
    /// Give a signed document number and date, and enter it in the register.
    Issue {
        /// Which.
        document: DocumentId,
        /// In which register; the one for its type when none is named.
        book: Option<BookId>,
        /// The drafting unit, for symbols that name it.
        unit: Option<String>,
    },
    /// Seal a numbered document and send it.
    Send {
        /// Which.
        document: DocumentId,
    },
    /// Give a document up before it is sent. A number that it had stays cancelled.
    Discard {
        /// Which.
        document: DocumentId,
        /// Why.
        reason: String,
    },
    /// Set aside what was said about a document that is not here: it waits for nobody any more, until more is said or the
    /// document comes.
    SetAside {
        /// The other office.
        with: OfficeId,
        /// The document.
        document: DocumentId,
        /// Why.
        reason: String,
    },
    /// Register a document on paper.
    RegisterPaper {
        /// Names the work: whoever asks again is told the same line.
        id: WorkId,
        /// In which register; the first one when none is named.
        book: Option<BookId>,
        /// What it is.
        paper: PaperDocument,
    },
    /// Give the next number of a register to nothing, and say why.
    CancelNumber {
        /// Names the work: whoever asks again is told the same line.
        id: WorkId,
        /// Of which registers.
        direction: Direction,
        /// In which register; the first one when none is named.
        book: Option<BookId>,
        /// Why.
        reason: String,
    },
    /// Let somebody work here, or change what somebody may do and send.
    SetPerson {
        /// Who, and what.
        person: PersonRow,
    },
    /// Let somebody work here no more.
    RemovePerson {
        /// The full name.
        name: String,
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
            Self::Ask { .. } | Self::Answer { .. } | Self::SetAside { .. } => &[Role::Clerk, Role::Leader],
            Self::Assign { .. }
            | Self::Approve { .. }
            | Self::Sign { .. }
            | Self::Opine { part: SlipPart::AgencyLeader, .. } => &[Role::Leader],
            Self::Draft { .. } | Self::Discard { .. } => &[Role::Officer, Role::Clerk, Role::Leader],
            Self::Issue { .. } | Self::Send { .. } => &[Role::Clerk],
            Self::Start { .. }
            | Self::Finish { .. }
            // Whoever leads a unit is no leader of the office.
            | Self::Opine { part: SlipPart::UnitLeader | SlipPart::Handler, .. } => &[Role::Officer, Role::Leader],
            Self::StateHighest { .. } => &[Role::Clerk, Role::Administrator],
            Self::SetPerson { .. } | Self::RemovePerson { .. } => &[Role::Administrator],
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
    /// Somebody has another role by now.
    #[error("`{name}` is not `{}` of this office", role.slug())]
    NotInRole {
        /// Who.
        name: String,
        /// The role in which it was tried.
        role: Role,
    },
    /// Documents of this type are not this person's to send.
    #[error("documents of the type `{document_type}` are not yours to approve, sign, number or send")]
    TypeNotYours {
        /// The type.
        document_type: DocumentType,
        /// Who may.
        who: Vec<String>,
    },
    /// Documents to this office are not this person's to send.
    #[error("documents to office `{office}` are not yours to approve, sign, number or send")]
    RecipientNotYours {
        /// The recipient.
        office: OfficeId,
        /// Who may.
        who: Vec<String>,
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
    /// This very work was done before: its line is the answer again.
    #[error("this was done before, with number {line} of {}", line.year)]
    DoneBefore {
        /// Its line.
        line: Entry,
    },
    /// Other work was done under its id.
    #[error("other work was done under this id, with number {line} of {}", line.year)]
    OtherWork {
        /// Its line.
        line: Entry,
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
    /// It was given back, replaced or recalled.
    #[error("the document counts no more: it is {standing:?}")]
    CountsNoMore {
        /// What became of it.
        standing: Standing,
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
    /// Everybody was asked, or has it no more.
    #[error(
        "no recipient is left that could be asked: all were asked already, or it counts no more for them"
    )]
    NobodyLeft,
    /// Too often.
    #[error("office `{office}` was asked too often about the document: it can only be recalled")]
    AskedTooOften {
        /// Which office.
        office: OfficeId,
    },
    /// Nothing was said about a document that is not here.
    #[error("nothing was said about a document `{document}` that is not here")]
    NothingSaid {
        /// The document.
        document: DocumentId,
    },
    /// It is on its way out in the order of the law, or was given up there: no other door sends it.
    #[error(
        "document `{document}` was drafted here: it leaves as a draft does, approved, signed and numbered in turn"
    )]
    IsDrafted {
        /// The document.
        document: DocumentId,
    },
    /// It was set aside before, and nothing more was said since.
    #[error("what was said about the document was set aside already")]
    AlreadySetAside,
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
    /// Nothing was drafted under this id.
    #[error("there is no draft of document `{document}`")]
    NoDraft {
        /// The document.
        document: DocumentId,
    },
    /// It bears the name of another office.
    #[error("the issuing authority of the document is not this office")]
    OtherIssuer,
    /// This office does not issue this type.
    #[error("this office does not issue documents of the type `{document_type}`")]
    TypeNotAllowed {
        /// The type.
        document_type: DocumentType,
    },
    /// It was signed.
    #[error(
        "a person has signed the document: nothing of it changes any more; discard it and write another one"
    )]
    ContentFixed,
    /// Nobody has approved it.
    #[error("nobody has approved the draft yet")]
    NotApproved,
    /// It was approved before.
    #[error("the draft is approved already")]
    AlreadyApproved,
    /// No person has signed it.
    #[error("no person has signed the document yet: it gets no number and no seal before that")]
    NotSigned,
    /// It bears this very signature.
    #[error("the document bears this signature already")]
    AlreadySigned,
    /// It has as many signatures as a document may have.
    #[error("the document has {SIGNATURES_MAX} signatures already")]
    TooManySignatures,
    /// It has no number.
    #[error("the document has no number yet")]
    NotIssued,
    /// It has its number.
    #[error("the document has its number already")]
    AlreadyIssued,
    /// It was sent.
    #[error("the document was sent already")]
    AlreadySent,
    /// It was given up.
    #[error("the document was given up: write another one")]
    AlreadyDiscarded,
    /// The document itself is missing.
    #[error("the document has no main file: the first attachment is its PDF")]
    NoMainFile,
    /// The register's template makes no symbol of it.
    #[error(
        "register `{book}` makes no symbol for this document: its settings, or the drafting unit, are missing"
    )]
    NoSymbol {
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
    context: Context<'_>,
    by: &Actor,
    work: &Work,
) -> Result<Result<Vec<Draft>, Refusal>, R::Error> {
    if !work.roles().contains(&by.role) {
        return Ok(Err(WorkRefusal::Role { role: by.role, wanted: work.roles() }.into()));
    }
    let desk = Desk { exchange, records, context, by, today: Day::in_vietnam(context.now) };
    if let Some(refusal) = desk.beyond_authority(work)? {
        return Ok(Err(refusal.into()));
    }
    let decided = match work {
        Work::Send { document } => return desk.send(*document),
        Work::Draft { manifest, to } => {
            return Ok(desk.draft(manifest, to)?.and_then(|drafts| desk.sound(drafts)));
        }
        Work::Issue { document, book, unit } => {
            let issued = desk.issue(*document, book.as_ref(), unit.as_deref())?;
            return Ok(issued.and_then(|drafts| desk.sound(drafts)));
        }
        Work::Register { arrival, book, undetermined } => {
            desk.register(arrival, book.as_ref(), undetermined.as_ref())?
        }
        Work::Refuse { arrival, reason, words } => desk.refuse(arrival, *reason, words.as_ref())?,
        Work::Assign { arrival, assignment } => desk.assign(arrival, assignment)?,
        Work::Start { arrival } => desk.climb(arrival, Fact::Started)?,
        Work::Finish { arrival } => desk.climb(arrival, Fact::Finished)?,
        Work::Opine { arrival, part, opinion } => desk.opine(arrival, *part, opinion)?,
        Work::Ask { document, of, kind, business, reason } => {
            let fact = Fact::Asked { business: *business, kind: *kind, reason: reason.clone() };
            desk.ask(*document, of, *kind, *business, fact)?
        }
        Work::Answer { arrival, agreed, words } => desk.answer(arrival, *agreed, words.as_ref())?,
        Work::Approve { document } => desk.approve(*document)?,
        Work::Sign { document, signature } => desk.sign(*document, signature)?,
        Work::Discard { document, reason } => desk.discard(*document, reason)?,
        Work::SetAside { with, document, reason } => desk.set_aside(*with, *document, reason)?,
        Work::RegisterPaper { id, book, paper } => desk.register_paper(*id, book.as_ref(), paper)?,
        Work::CancelNumber { id, direction, book, reason } => {
            desk.cancel_number(*id, *direction, book.as_ref(), reason)?
        }
        Work::SetPerson { person } => desk.set_person(person)?,
        Work::RemovePerson { name } => desk.remove_person(name)?,
        Work::StateHighest { direction, book, number } => {
            desk.state_highest(*direction, book.as_ref(), *number)
        }
    };
    Ok(decided.map_err(Refusal::Work).and_then(|drafts| desk.sound(drafts)))
}

/// Where work is decided: what is known, and who works.
struct Desk<'a, R> {
    exchange: &'a Exchange,
    records: &'a R,
    context: Context<'a>,
    by: &'a Actor,
    today: Day,
}

impl<R: Records> Desk<'_, R> {
    /// Reads what was decided as everybody will read it: sealing would find what is wrong too, but as a fault of this
    /// station instead of an answer to whoever wrote it.
    fn sound(&self, drafts: Vec<Draft>) -> Result<Vec<Draft>, Refusal> {
        for draft in &drafts {
            let event: Event = self.exchange.next_event(draft, Millis(0));
            Body::read(crate::event::VERSION, &event).map_err(WorkRefusal::Text)?;
        }
        Ok(drafts)
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
            standing @ (Standing::TakenBack | Standing::Replaced | Standing::Recalled) => {
                Err(WorkRefusal::CountsNoMore { standing })
            }
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
        let book = &self.context.rules.book(direction, named).ok_or(WorkRefusal::UnknownBook)?.id;
        let (books, year) = (self.exchange.books(), self.today.0.year());
        if books.is_doubtful(direction, book, year) {
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
        if let Some(other) = self.same_number(from, document, held.code_key)? {
            return Ok(Err(WorkRefusal::SameNumber { other }));
        }
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

    fn opine(&self, arrival: &Arrival, part: SlipPart, opinion: &str) -> Result<Decided, R::Error> {
        let Arrival { from, document } = *arrival;
        let opinion = opinion.to_owned();
        Ok(self.at_work(arrival)?.map(|_| vec![self.kept(Deed::Opined { from, document, part, opinion })]))
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
        let Some((business, kind)) = self.arrived(arrival)?.progress.open_question() else {
            return Ok(Err(WorkRefusal::NothingAsked));
        };
        let words = words.cloned();
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
        let mut asked = Vec::new();
        for office in if of.is_empty() { &recipients[..] } else { of } {
            if !recipients.contains(office) {
                return Ok(Err(WorkRefusal::NotSentTo { office: *office, document }));
            }
            let progress = self.case(*office, document, Side::Sender)?.progress;
            match may_ask(&progress, *office, kind, business) {
                Ok(()) => asked.push(*office),
                // Whoever it counts no more for is not asked again.
                Err(WorkRefusal::CountsNoMore { .. } | WorkRefusal::AlreadyAsked { .. }) if of.is_empty() => {
                }
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
        asked.sort_unstable();
        asked.dedup();
        if asked.is_empty() {
            return Ok(Err(WorkRefusal::NobodyLeft));
        }
        let told = Body::BusinessRequest(DocumentFact { document, fact, by: Some(self.by.clone()) });
        let drafts = asked
            .chunks(RECIPIENTS_MAX)
            .map(|to| self.exchange.draft(to.to_vec(), Kind::BusinessRequest, &told));
        Ok(Ok(drafts.collect()))
    }

    /// G5: nothing that was said is dropped, so somebody says that nothing is to be done about it, and why.
    fn set_aside(&self, with: OfficeId, document: DocumentId, reason: &str) -> Result<Decided, R::Error> {
        let mut kept = Vec::new();
        let mut before = false;
        for side in [Side::Recipient, Side::Sender] {
            let is_here = match side {
                Side::Recipient => self.records.incoming(&with, &document)?.is_some(),
                Side::Sender => self.records.recipients(&document)?.contains(&with),
            };
            let said = self.records.case(&with, &document, side)?;
            match said.filter(|case| !is_here && !case.progress.is_only_amended()) {
                Some(case) if case.set_aside.is_some() => before = true,
                Some(_) => {
                    let reason = reason.to_owned();
                    kept.push(self.kept(Deed::SetAside { with, document, side, reason }));
                }
                None => {}
            }
        }
        Ok(match kept.is_empty() {
            false => Ok(kept),
            true if before => Err(WorkRefusal::AlreadySetAside),
            true => Err(WorkRefusal::NothingSaid { document }),
        })
    }

    /// The next line for work that is about no document, unless it has one already. That is looked up before anything else: the
    /// answer to whoever asks again is the same, whatever became of the register in between.
    fn entry_for(
        &self,
        (id, said): (WorkId, u64),
        direction: Direction,
        named: Option<&BookId>,
    ) -> Result<Result<Entry, WorkRefusal>, R::Error> {
        let Some((known, line, used)) = self.records.line_of_work(&id)? else {
            return Ok(self.next_entry(direction, named));
        };
        let book = named.is_none_or(|named| *named == line.book);
        let same = book && known == direction && used.work == Some((id, said));
        Ok(Err(if same { WorkRefusal::DoneBefore { line } } else { WorkRefusal::OtherWork { line } }))
    }

    fn register_paper(
        &self,
        id: WorkId,
        book: Option<&BookId>,
        paper: &PaperDocument,
    ) -> Result<Decided, R::Error> {
        let entry = self.entry_for((id, paper.key()), Direction::Incoming, book)?;
        let deed = |entry| Deed::PaperRegistered { entry, on: self.today, paper: paper.clone(), work: id };
        Ok(entry.map(|entry| vec![self.kept(deed(entry))]))
    }

    fn cancel_number(
        &self,
        id: WorkId,
        direction: Direction,
        book: Option<&BookId>,
        reason: &str,
    ) -> Result<Decided, R::Error> {
        let entry = self.entry_for((id, cancelling_key(direction, reason)), direction, book)?;
        let deed = |entry| Deed::NumberCancelled { direction, entry, reason: reason.to_owned(), work: id };
        Ok(entry.map(|entry| vec![self.kept(deed(entry))]))
    }

    fn state_highest(&self, direction: Direction, named: Option<&BookId>, number: u32) -> Decided {
        let book = self.context.rules.book(direction, named).ok_or(WorkRefusal::UnknownBook)?.id.clone();
        let (books, year) = (self.exchange.books(), self.today.0.year());
        let highest = books.highest(direction, &book, year);
        if number < highest {
            return Err(WorkRefusal::BelowKnown { book, highest });
        }
        if highest > 0 && !books.is_doubtful(direction, &book, year) {
            return Err(WorkRefusal::BookInUse { book, highest });
        }
        Ok(vec![self.kept(Deed::HighestStated { direction, entry: Entry { book, year, number } })])
    }
}

/// Whether a recipient can be asked for this.
fn may_ask(
    progress: &Progress,
    office: OfficeId,
    kind: BusinessKind,
    business: BusinessId,
) -> Result<(), WorkRefusal> {
    if progress.knows_question(business) || kind == BusinessKind::TakeBack && progress.is_asked_back() {
        return Err(WorkRefusal::AlreadyAsked { office });
    }
    match progress.standing() {
        Standing::Recalled => Err(WorkRefusal::CountsNoMore { standing: Standing::Recalled }),
        standing @ (Standing::TakenBack | Standing::Replaced) if kind == BusinessKind::TakeBack => {
            Err(WorkRefusal::CountsNoMore { standing })
        }
        _ if !progress.has_room_for(kind) => Err(WorkRefusal::AskedTooOften { office }),
        _ => Ok(()),
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
