//! What people in an office may do with documents, and the facts that follow.

mod asking;
mod authority;
mod erasing;
mod incoming;
mod outgoing;
mod refusal;
mod registers;

pub(super) use authority::beyond_role;
pub use authority::{SENDING_ROLES, beyond_authority};
pub use refusal::WorkRefusal;

use minicbor::bytes::ByteVec;

use super::{Context, Draft, Exchange, Records, Refusal};
use crate::body::{
    Act, Assignment, Body, Deed, Dispatch, DocumentFact, IssuedPaper, PaperDocument, SlipPart, Status,
};
use crate::document::Manifest;
use crate::event::{Event, Kind};
use crate::handling::{
    Actor, BookId, BusinessKind, CaseRow, Direction, Erasure, Fact, PersonRow, Recipients, RefusalReason,
    Role, Side,
};
use crate::id::{BusinessId, DocumentId, OfficeId, WorkId};
use crate::time::{Day, Millis};

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
    /// Register a document on paper that came in.
    RegisterPaper {
        /// Names the work: whoever asks again is told the same line.
        id: WorkId,
        /// In which register; the first one when none is named.
        book: Option<BookId>,
        /// What it is.
        paper: PaperDocument,
    },
    /// Give a document that this office issues on paper number and date, and enter it in the register.
    IssuePaper {
        /// Names the work: whoever asks again is told the same number.
        id: WorkId,
        /// In which register; the one for its type when none is named.
        book: Option<BookId>,
        /// What it is.
        paper: Box<IssuedPaper>,
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
    /// Erase the content of a document that nobody has to keep any more. What its events say, and what proves them, stays.
    Erase {
        /// Whose it is: this office's own, or one that came in.
        issuer: OfficeId,
        /// Which.
        document: DocumentId,
        /// On what ground.
        erasure: Erasure,
    },
}

impl Work {
    /// In which roles it may be done.
    pub const fn roles(&self) -> &'static [Role] {
        match self {
            Self::Register { .. }
            | Self::Refuse { .. }
            | Self::RegisterPaper { .. }
            | Self::IssuePaper { .. }
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
            // Whoever decides it may do it, and whoever is told to; neither has to read anything for it.
            Self::Erase { .. } => &[Role::Administrator, Role::Leader],
        }
    }
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
        Work::IssuePaper { id, book, paper } => desk.issue_paper(*id, book.as_ref(), paper)?,
        Work::CancelNumber { id, direction, book, reason } => {
            desk.cancel_number(*id, *direction, book.as_ref(), reason)?
        }
        Work::SetPerson { person } => desk.set_person(person)?,
        Work::RemovePerson { name } => desk.remove_person(name)?,
        Work::StateHighest { direction, book, number } => {
            desk.state_highest(*direction, book.as_ref(), *number)
        }
        Work::Erase { issuer, document, erasure } => desk.erase(*issuer, *document, erasure)?,
    };
    Ok(decided.map_err(Refusal::Work).and_then(|drafts| desk.sound(drafts)))
}

/// Why a document that was drafted elsewhere is not for whoever sends it here.
pub(super) fn beyond_sending<R: Records>(
    exchange: &Exchange,
    records: &R,
    context: Context<'_>,
    by: &Actor,
    (dispatch, to): (&Dispatch, &[OfficeId]),
) -> Result<Option<WorkRefusal>, R::Error> {
    let desk = Desk { exchange, records, context, by, today: Day::in_vietnam(context.now) };
    desk.beyond_sending(dispatch.manifest.document_type, to)
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
}
