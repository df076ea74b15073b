//! What people do with documents, on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use schema::body::SlipPart;
use schema::document::DocumentType;
use schema::handling::{BookId, RefusalReason};
use schema::id::{DocumentId, WorkId};
use schema::time::Day;
use serde_json::{Map, Value, json};

use super::client::{CliError, Client};
use super::register_file::{Cover, FormatArg, Sheet};
use super::send::write_new;
use super::{NarrowArgs, Output, percent, show};
use crate::keyring::random_bytes;
use crate::store::PAGE_ROWS_MAX;
use crate::words::{Lang, with_causes};

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
pub(super) struct OpinionArgs {
    #[command(flatten)]
    which: Which,
    /// What is said.
    #[arg(long)]
    opinion: String,
    /// As whom: it stands in that part of the slip.
    #[arg(long = "as-part", value_enum, default_value_t = PartArg::Handler)]
    part: PartArg,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PartArg {
    /// Lãnh đạo cơ quan, tổ chức.
    AgencyLeader,
    /// Lãnh đạo đơn vị.
    UnitLeader,
    /// Người giải quyết.
    Handler,
}

impl From<PartArg> for SlipPart {
    fn from(part: PartArg) -> Self {
        match part {
            PartArg::AgencyLeader => Self::AgencyLeader,
            PartArg::UnitLeader => Self::UnitLeader,
            PartArg::Handler => Self::Handler,
        }
    }
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

#[derive(Args)]
pub(super) struct WaitingArgs {
    /// Most rows of each list.
    #[arg(long, default_value_t = 50)]
    limit: u32,
    /// Also what was set aside.
    #[arg(long)]
    all: bool,
    /// Senders' questions after this place: what the page before ends with.
    #[arg(long, value_name = "PLACE")]
    asked_after: Option<String>,
    /// What has no document, after this place.
    #[arg(long, value_name = "PLACE")]
    without_document_after: Option<String>,
}

impl WaitingArgs {
    pub(super) fn path(&self) -> String {
        let places =
            [("asked_after", &self.asked_after), ("without_document_after", &self.without_document_after)];
        let mut path = format!("/waiting?limit={}&all={}", self.limit, self.all);
        for (name, place) in places {
            if let Some(place) = place {
                path.push_str(&format!("&{name}={}", percent(place)));
            }
        }
        path
    }
}

#[derive(Args)]
pub(super) struct SetAsideArgs {
    /// The document's id.
    document: DocumentId,
    /// The other office, id or code.
    #[arg(long)]
    with: String,
    /// Why nothing is to be done.
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
pub(super) struct IssuePaperArgs {
    /// Its type: name or abbreviation.
    #[arg(long = "type")]
    document_type: DocumentType,
    /// The abstract.
    #[arg(long)]
    subject: String,
    /// Who signed it: name and title.
    #[arg(long)]
    signer: String,
    /// A line under *Nơi nhận*; may be repeated.
    #[arg(long = "recipient-line")]
    recipient_lines: Vec<String>,
    /// How many copies are made.
    #[arg(long, default_value_t = 1)]
    copies: u16,
    /// Who keeps the copy that stays; the clerk when left out.
    #[arg(long)]
    kept_by: Option<String>,
    /// The drafting unit, for symbols that name it.
    #[arg(long)]
    unit: Option<String>,
    /// In which register; the one for its type when left out.
    #[arg(long)]
    book: Option<BookId>,
    /// Names the work: the same command with the same id gets the same number. Drawn at random when left out.
    #[arg(long)]
    id: Option<WorkId>,
}

#[derive(Subcommand)]
pub(super) enum RegisterCommand {
    /// List the registers in which numbers were used, and the highest.
    List,
    /// Show the lines of a register; or only those that somebody looks for.
    Show {
        #[command(flatten)]
        which: WhichRegister,
        #[command(flatten)]
        narrow: NarrowArgs,
        /// Start after this number.
        #[arg(long)]
        after: Option<u32>,
        /// Most lines.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Write a register into a file, with its cover and the columns of the law: for a spreadsheet, or to be printed and bound.
    Export {
        #[command(flatten)]
        which: WhichRegister,
        /// Only this volume (quyển số); the settings of the register say which numbers stand in it.
        #[arg(long)]
        volume: Option<u32>,
        /// What kind of file.
        #[arg(long, value_enum, default_value_t = FormatArg::Xlsx)]
        format: FormatArg,
        /// The file; never overwritten.
        #[arg(long)]
        out: PathBuf,
    },
    /// Register a document on paper that came in: it takes the next number of the same series.
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
        /// Names the work: the same command with the same id gets the same number. Drawn at random when left out.
        #[arg(long)]
        id: Option<WorkId>,
    },
    /// Give a document that this office issues on paper its number and date: the next of the same series, with the symbol for
    /// its type. A person has signed it by hand.
    IssuePaper(Box<IssuePaperArgs>),
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
        /// Names the work: the same command with the same id gets the same number. Drawn at random when left out.
        #[arg(long)]
        id: Option<WorkId>,
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

/// A register and year.
#[derive(Args)]
pub(super) struct WhichRegister {
    /// The register; `den` or `di` when left out.
    book: Option<BookId>,
    /// Of which registers.
    #[arg(long, value_enum, default_value_t = DirectionArg::Incoming)]
    direction: DirectionArg,
    /// The year; this one when left out.
    #[arg(long)]
    year: Option<i16>,
}

impl WhichRegister {
    fn year(&self) -> i16 {
        self.year.unwrap_or_else(|| Day::in_vietnam(crate::runtime::now()).0.year())
    }

    /// Its address, and what follows the question mark.
    fn path(&self, volume: Option<u32>, after: Option<u64>, limit: u32) -> String {
        let usual = match self.direction {
            DirectionArg::Incoming => "den",
            DirectionArg::Outgoing => "di",
        };
        let book = self.book.as_ref().map_or(usual.to_owned(), BookId::to_string);
        let more = [("after", after), ("volume", volume.map(u64::from))];
        let more = more.iter().filter_map(|(name, value)| Some(format!("&{name}={}", (*value)?)));
        let more = more.collect::<String>();
        format!("/registers/{}/{book}/{}?limit={limit}{more}", self.direction.word(), self.year())
    }
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

/// Posts work that uses a number. Where the answer was lost, whoever asks again with the same id gets it.
fn post_once(client: &Client, work: &str, id: Option<WorkId>, more: Value) -> Result<Value, CliError> {
    let id = match id {
        Some(id) => id,
        None => WorkId::new(random_bytes().map_err(|error| CliError::Words(with_causes(&error)))?),
    };
    let fields = Map::from_iter([("id".to_owned(), json!(id))]);
    post(client, work, fields, more).map_err(|error| match &error {
        CliError::Exchange { .. } => again(client.lang, &error, &id),
        CliError::Refused { code, .. } if code == "unknown" => again(client.lang, &error, &id),
        _ => error,
    })
}

/// What to do where nobody knows whether it was done.
fn again(lang: Lang, error: &CliError, id: &WorkId) -> CliError {
    let words = match lang {
        Lang::Vi => {
            "Chưa rõ đã ghi hay chưa. Hãy chạy lại đúng lệnh này và thêm tùy chọn sau; nếu đã ghi, trạm trả lại số đã cấp:"
        }
        Lang::En => {
            "It is unknown whether that was recorded. Repeat this very command with the option below: if it was, you get its number:"
        }
    };
    CliError::Words(format!("{}\n{words}\n  --id {id}", with_causes(error)))
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

pub(super) fn opinion(client: &Client, args: OpinionArgs) -> Result<Value, CliError> {
    let OpinionArgs { which, opinion, part } = args;
    let part = SlipPart::from(part);
    post(client, "opine", which.fields(), json!({ "part": part, "opinion": opinion }))
}

pub(super) fn ask(client: &Client, work: &str, args: AskArgs) -> Result<Value, CliError> {
    let AskArgs { document, reason, of } = args;
    let of_all = of.is_empty();
    post(
        client,
        work,
        Map::new(),
        json!({ "document": document, "reason": reason, "of": of, "of_all": of_all }),
    )
}

pub(super) fn answer(client: &Client, args: AnswerArgs) -> Result<Value, CliError> {
    let AnswerArgs { which, answer, words } = args;
    let agreed = answer == AnswerArg::Agree;
    post(client, "answer", which.fields(), json!({ "agreed": agreed, "words": words }))
}

pub(super) fn set_aside(client: &Client, args: SetAsideArgs) -> Result<Value, CliError> {
    let SetAsideArgs { document, with, reason } = args;
    let fields = json!({ "document": document, "with": with, "reason": reason });
    post(client, "set-aside", Map::new(), fields)
}

pub(super) fn register(client: &Client, command: RegisterCommand, output: &Output) -> Result<(), CliError> {
    let done = |answer: Value| output.show(&answer, show::worked);
    match command {
        RegisterCommand::List => output.show(&client.get("/registers")?, show::registers),
        RegisterCommand::Show { which, narrow, after, limit } => {
            let path = which.path(None, after.map(u64::from), limit) + &narrow.query();
            output.show(&client.get(&path)?, show::register)
        }
        RegisterCommand::Export { which, volume, format, out } => {
            let mut lines = Vec::new();
            let mut cover = Cover { year: which.year(), ..Cover::default() };
            let mut after = None;
            loop {
                // A register has one language, whoever prints it.
                let page = client.get_in(Lang::Vi, &which.path(volume, after, PAGE_ROWS_MAX))?;
                lines.extend(page["rows"].as_array().cloned().unwrap_or_default());
                if let Some(office) = page["office_name"].as_str() {
                    office.clone_into(&mut cover.office);
                }
                cover.volumes = match volume {
                    Some(volume) => (volume, volume),
                    None => {
                        (1, page["volumes"].as_u64().and_then(|last| u32::try_from(last).ok()).unwrap_or(1))
                    }
                };
                after = page["next"].as_u64();
                if after.is_none() {
                    break;
                }
            }
            if cover.office.is_empty() {
                // Nothing was written in it yet: the cover bears today's name.
                client.get("/status")?["office_name"]
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut cover.office);
            }
            let outgoing = which.direction == DirectionArg::Outgoing;
            let sheet = Sheet::new(cover, outgoing, &lines);
            let bytes = sheet.render(format).map_err(CliError::Words)?;
            write_new(&out, &bytes)?;
            output.show(&json!({ "file": out, "lines": lines.len() }), show::register_written)
        }
        RegisterCommand::Paper { author, number, issued_on, document_type, subject, book, id } => {
            let paper = json!({
                "author": author,
                "code": number,
                "issued_on": issued_on,
                "document_type": document_type,
                "subject": subject,
            });
            let fields = json!({ "book": book, "paper": paper });
            done(post_once(client, "register-paper", id, fields)?)
        }
        RegisterCommand::IssuePaper(args) => {
            let IssuePaperArgs {
                document_type,
                subject,
                signer,
                recipient_lines,
                copies,
                kept_by,
                unit,
                book,
                id,
            } = *args;
            let paper = json!({
                "document_type": document_type,
                "subject": subject,
                "signer": signer,
                "recipient_lines": recipient_lines,
                "copies": copies,
                "kept_by": kept_by,
                "unit": unit,
            });
            done(post_once(client, "issue-paper", id, json!({ "book": book, "paper": paper }))?)
        }
        RegisterCommand::Cancel { reason, direction, book, id } => {
            let fields = json!({ "direction": direction.word(), "book": book, "reason": reason });
            done(post_once(client, "cancel-number", id, fields)?)
        }
        RegisterCommand::State { number, direction, book } => {
            let fields = json!({ "direction": direction.word(), "book": book, "number": number });
            done(post(client, "state-highest", Map::new(), fields)?)
        }
    }
}
