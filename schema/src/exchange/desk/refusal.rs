//! Why work is not done, as programs are told; people read it in the words of their language.

use crate::body::{BodyError, SIGNATURES_MAX};
use crate::document::DocumentType;
use crate::handling::{BookId, Entry, Role, Standing};
use crate::id::{DocumentId, OfficeId, Position};
use crate::time::Day;

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
        /// The entry of the journal that says so.
        position: Position,
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
    /// Its content was erased before.
    #[error("the content of document `{document}` is erased already")]
    AlreadyErased {
        /// The document.
        document: DocumentId,
    },
    /// Somebody has not got it yet.
    #[error(
        "document `{document}` is still on its way to a recipient: its content is erased once all have it"
    )]
    StillOnItsWay {
        /// The document.
        document: DocumentId,
    },
    /// Somebody has something left to do with it.
    #[error(
        "document `{document}` is not settled: accept or refuse it, finish the work, or wait for the answer, then erase its content"
    )]
    StillAtWork {
        /// The document.
        document: DocumentId,
    },
    /// The time for which it is kept has not ended.
    #[error(
        "the document is kept until {kept_until}: before that its content is erased only when that is ordered"
    )]
    StillKept {
        /// The last day of it.
        kept_until: Day,
    },
    /// A text is not acceptable.
    #[error("what was written is refused")]
    Text(#[from] BodyError),
}

fn slugs(roles: &[Role]) -> String {
    let slugs: Vec<&str> = roles.iter().map(|role| role.slug()).collect();
    slugs.join(" or ")
}
