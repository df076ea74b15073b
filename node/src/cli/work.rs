//! What people do with documents, on the command line.

use clap::{Args, Subcommand, ValueEnum};
use schema::document::DocumentType;
use schema::handling::{BookId, RefusalReason};
use schema::id::DocumentId;
use schema::time::Day;
use serde_json::{Map, Value, json};

use super::client::{CliError, Client};
use super::{Output, show};

/// A document that came in.
#[derive(Args)]
pub(super) struct Which {
    /// The document's id.
    document: DocumentId,
    /// Its sender, id or code; needed only where two offices have chosen one id.
    #[arg(long)]
    from: Option<String>,
}

#[derive(Args)]
pub(super) struct AcceptArgs {
    #[command(flatten)]
    which: Which,
    /// In which register; the first one when left out.
    #[arg(long)]
    book: Option<BookId>,
    /// Why it is accepted although its signatures cannot be judged yet.
    #[arg(long)]
    undetermined_because: Option<String>,
}

#[derive(Args)]
pub(super) struct RefuseArgs {
    #[command(flatten)]
    which: Which,
    /// Why.
    #[arg(long, value_enum)]
    reason: ReasonArg,
    /// What the reason leaves open; needed for `other`.
    #[arg(long)]
    words: Option<String>,
}

/// A listed reason.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReasonArg {
    /// Gửi nhầm nơi nhận.
    WrongAddressee,
    /// Không đầy đủ.
    Incomplete,
    /// Không toàn vẹn.
    NotIntact,
    /// Không xác thực.
    NotAuthentic,
    /// Không có chữ ký số hợp lệ.
    NoValidSignature,
    /// Không thuộc thẩm quyền.
    OutsideAuthority,
    /// Trùng.
    Duplicate,
    /// Tệp hỏng.
    DamagedFile,
    /// Lý do khác.
    Other,
}

impl From<ReasonArg> for RefusalReason {
    fn from(reason: ReasonArg) -> Self {
        match reason {
            ReasonArg::WrongAddressee => Self::WrongAddressee,
            ReasonArg::Incomplete => Self::Incomplete,
            ReasonArg::NotIntact => Self::NotIntact,
            ReasonArg::NotAuthentic => Self::NotAuthentic,
            ReasonArg::NoValidSignature => Self::NoValidSignature,
            ReasonArg::OutsideAuthority => Self::OutsideAuthority,
            ReasonArg::Duplicate => Self::Duplicate,
            ReasonArg::DamagedFile => Self::DamagedFile,
            ReasonArg::Other => Self::Other,
        }
    }
}

#[derive(Args)]
pub(super) struct AssignArgs {
    #[command(flatten)]
    which: Which,
    /// The unit or person in charge (chủ trì).
    #[arg(long)]
    lead: String,
    /// Who helps (phối hợp); repeat it for several.
    #[arg(long = "with")]
    with: Vec<String>,
    /// The deadline, as 2025-06-30.
    #[arg(long)]
    due: Option<Day>,
    /// The leader's instruction (ý kiến chỉ đạo).
    #[arg(long)]
    instruction: Option<String>,
}

#[derive(Args)]
pub(super) struct AskArgs {
    /// The document's id.
    document: DocumentId,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Only this recipient (id or code); repeat it for several. Everybody when left out.
    #[arg(long = "of")]
    of: Vec<String>,
}

#[derive(Args)]
pub(super) struct AnswerArgs {
    #[command(flatten)]
    which: Which,
    /// Give it back, or keep it.
    #[arg(value_enum)]
    answer: AnswerArg,
    /// What is said to its sender.
    #[arg(long)]
    words: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AnswerArg {
    /// Đồng ý (15).
    Agree,
    /// Không đồng ý (16).
    Decline,
}

#[derive(Subcommand)]
pub(super) enum RegisterCommand {
    /// List the registers in which numbers were used, and the highest.
    List,
    /// Show the lines of a register of incoming documents.
    Show {
        /// The register.
        #[arg(default_value = "den")]
        book: BookId,
        /// The year; this one when left out.
        #[arg(long)]
        year: Option<i16>,
        /// Start after this number.
        #[arg(long)]
        after: Option<u32>,
        /// Most lines.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Register a document on paper: it takes the next number of the same series.
    Paper {
        /// Who issued it.
        #[arg(long)]
        author: String,
        /// Number and symbol, as printed.
        #[arg(long)]
        number: String,
        /// The date that it bears, as 2025-06-30.
        #[arg(long)]
        issued_on: Day,
        /// Its type: name or abbreviation.
        #[arg(long = "type")]
        document_type: DocumentType,
        /// The abstract.
        #[arg(long)]
        subject: String,
        /// In which register; the first one when left out.
        #[arg(long)]
        book: Option<BookId>,
    },
    /// Give the next number to nothing, and say why.
    Cancel {
        /// Why.
        #[arg(long)]
        reason: String,
        /// Of which registers.
        #[arg(long, value_enum, default_value_t = DirectionArg::Incoming)]
        direction: DirectionArg,
        /// In which register; the first one when left out.
        #[arg(long)]
        book: Option<BookId>,
    },
    /// State the highest number of this year that the printed register has: after a restore, or before the first number here.
    State {
        /// The number; 0 when there is none.
        number: u32,
        /// Of which registers.
        #[arg(long, value_enum, default_value_t = DirectionArg::Incoming)]
        direction: DirectionArg,
        /// In which register; the first one when left out.
        #[arg(long)]
        book: Option<BookId>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DirectionArg {
    /// Văn bản đến.
    Incoming,
    /// Văn bản đi.
    Outgoing,
}

impl DirectionArg {
    const fn word(self) -> &'static str {
        match self {
            Self::Incoming => "incoming",
            Self::Outgoing => "outgoing",
        }
    }
}

impl Which {
    fn fields(self) -> Map<String, Value> {
        let mut fields = Map::new();
        fields.insert("document".to_owned(), json!(self.document));
        if let Some(from) = self.from {
            fields.insert("from".to_owned(), json!(from));
        }
        fields
    }
}

/// Posts work; fields that are null are left out.
fn post(client: &Client, work: &str, mut fields: Map<String, Value>, more: Value) -> Result<Value, CliError> {
    fields.insert("work".to_owned(), work.into());
    if let Value::Object(more) = more {
        fields.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
    }
    client.post("/work", &fields.into())
}

pub(super) fn accept(client: &Client, args: AcceptArgs) -> Result<Value, CliError> {
    let AcceptArgs { which, book, undetermined_because } = args;
    let more = json!({ "book": book, "undetermined_because": undetermined_because });
    post(client, "register", which.fields(), more)
}

pub(super) fn refuse(client: &Client, args: RefuseArgs) -> Result<Value, CliError> {
    let RefuseArgs { which, reason, words } = args;
    let reason = RefusalReason::from(reason);
    post(client, "refuse", which.fields(), json!({ "reason": reason, "words": words }))
}

pub(super) fn assign(client: &Client, args: AssignArgs) -> Result<Value, CliError> {
    let AssignArgs { which, lead, with, due, instruction } = args;
    let assignment = json!({ "lead": lead, "with": with, "due": due, "instruction": instruction });
    post(client, "assign", which.fields(), json!({ "assignment": assignment }))
}

pub(super) fn climb(client: &Client, work: &str, which: Which) -> Result<Value, CliError> {
    post(client, work, which.fields(), Value::Null)
}

pub(super) fn ask(client: &Client, work: &str, args: AskArgs) -> Result<Value, CliError> {
    let AskArgs { document, reason, of } = args;
    post(client, work, Map::new(), json!({ "document": document, "reason": reason, "of": of }))
}

pub(super) fn answer(client: &Client, args: AnswerArgs) -> Result<Value, CliError> {
    let AnswerArgs { which, answer, words } = args;
    let agreed = answer == AnswerArg::Agree;
    post(client, "answer", which.fields(), json!({ "agreed": agreed, "words": words }))
}

pub(super) fn register(client: &Client, command: RegisterCommand, output: &Output) -> Result<(), CliError> {
    let done = |answer: Value| output.show(&answer, show::worked);
    match command {
        RegisterCommand::List => output.show(&client.get("/registers")?, show::registers),
        RegisterCommand::Show { book, year, after, limit } => {
            let year = year.unwrap_or_else(|| Day::in_vietnam(crate::runtime::now()).0.year());
            let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
            let path = format!("/registers/incoming/{book}/{year}?limit={limit}{after}");
            output.show(&client.get(&path)?, show::register)
        }
        RegisterCommand::Paper { author, number, issued_on, document_type, subject, book } => {
            let paper = json!({
                "author": author,
                "code": number,
                "issued_on": issued_on,
                "document_type": document_type,
                "subject": subject,
            });
            let fields = json!({ "book": book, "paper": paper });
            done(post(client, "register-paper", Map::new(), fields)?)
        }
        RegisterCommand::Cancel { reason, direction, book } => {
            let fields = json!({ "direction": direction.word(), "book": book, "reason": reason });
            done(post(client, "cancel-number", Map::new(), fields)?)
        }
        RegisterCommand::State { number, direction, book } => {
            let fields = json!({ "direction": direction.word(), "book": book, "number": number });
            done(post(client, "state-highest", Map::new(), fields)?)
        }
    }
}
