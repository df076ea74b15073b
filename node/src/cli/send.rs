//! Sending a document: attachments first, then the document that names them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use data_encoding::BASE64;
use schema::document::{Code, CodeError, DocumentType, MANIFEST_BYTES_MAX};
use schema::handling::BookId;
use schema::id::{DocumentId, hex};
use schema::time::Day;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::{CliError, Client};
use super::{Output, PageArgs, page_path, percent, show};
use crate::words::{PROBLEM, word};

/// Largest file that goes into a request, in bytes: a manifest; a signature is smaller.
const FILE_IN_JSON_BYTES_MAX: u64 = MANIFEST_BYTES_MAX as u64;

#[derive(Args)]
pub(super) struct SendArgs {
    /// Recipients: office ids, codes valid today (`G12.18`, `000.00.18.G12`), or `commune:00004` for a
    /// statistics code.
    #[arg(long, required_unless_present = "to_all", value_delimiter = ',')]
    to: Vec<String>,
    /// To every other office that has a station.
    #[arg(long)]
    to_all: bool,
    /// Number and symbol (*số, ký hiệu*), such as `47/UBND-VP`.
    #[arg(long, requires = "issued_on")]
    number: Option<Code>,
    /// The date that the document bears (*ngày ban hành*), as `2025-06-05`.
    #[arg(long, requires = "number")]
    issued_on: Option<Day>,
    /// What `tram-node freeze` wrote, in the place of everything that follows: what persons have signed.
    #[arg(long, conflicts_with = "ContentArgs", required_unless_present = "ContentArgs")]
    manifest: Option<PathBuf>,
    /// A person's signature on the manifest (detached CMS in DER, `.p7s`); repeat it for a second one.
    #[arg(long = "signature", requires = "manifest")]
    signatures: Vec<PathBuf>,
    /// Send it although no person has signed it: it is worth nothing but to know (*chỉ để biết, tham khảo*).
    #[arg(long, conflicts_with = "signatures")]
    reference_only: bool,
    #[command(flatten)]
    content: Option<ContentArgs>,
}

#[derive(Subcommand)]
pub(super) enum DraftCommand {
    /// Write a document, or change its draft: it waits for approval.
    New(Box<NewDraftArgs>),
    /// List documents that are neither sent nor given up.
    List(PageArgs),
    /// Show a draft; write its frozen bytes, which persons sign.
    Show {
        /// The document's id.
        document: DocumentId,
        /// Where to write the frozen bytes; never overwritten.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Approve a draft.
    Approve {
        /// The document's id.
        document: DocumentId,
    },
    /// Put a person's signature to it (detached CMS in DER, `.p7s`): nothing of it changes after that.
    Sign {
        /// The document's id.
        document: DocumentId,
        /// The signature, as `tram-node sign` or another program made it.
        #[arg(long)]
        signature: PathBuf,
    },
    /// Give a signed document number and date, and enter it in the register.
    Number {
        /// The document's id.
        document: DocumentId,
        /// In which register; the one for its type when left out.
        #[arg(long)]
        book: Option<BookId>,
        /// The drafting unit, for symbols that name it, such as `VP`.
        #[arg(long)]
        unit: Option<String>,
    },
    /// Seal a numbered document and send it.
    Send {
        /// The document's id.
        document: DocumentId,
    },
    /// Give a document up before it is sent. A number that it had stays cancelled in the register.
    Discard {
        /// The document's id.
        document: DocumentId,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Args)]
pub(super) struct NewDraftArgs {
    /// Recipients: office ids, or codes valid today.
    #[arg(long, required_unless_present = "to_all", value_delimiter = ',')]
    to: Vec<String>,
    /// To every other office that has a station.
    #[arg(long, conflicts_with = "to")]
    to_all: bool,
    #[command(flatten)]
    content: ContentArgs,
}

#[derive(Args)]
pub(super) struct FreezeArgs {
    #[command(flatten)]
    content: ContentArgs,
    /// Where to write the frozen bytes; never overwritten.
    #[arg(long)]
    out: PathBuf,
}

/// What a document says.
#[derive(Args)]
struct ContentArgs {
    /// The abstract (*trích yếu*).
    #[arg(long)]
    subject: String,
    /// One of the 29 types of Decree 30/2020 (*tên loại*): abbreviation (`QĐ`) or name (`"công văn"`, `bao-cao`).
    #[arg(long = "type")]
    document_type: DocumentType,
    /// Full name of the person who signs (*người ký*).
    #[arg(long)]
    signer: String,
    /// The signer's title (*chức vụ*), such as `"Chủ tịch"`.
    #[arg(long)]
    position: String,
    /// In what capacity (*quyền hạn*): in one's own right, TM., Q., KT., TL. or TUQ.
    #[arg(long, default_value = "own",
          value_parser = ["own", "on-behalf", "acting", "for-head", "by-order", "by-delegation"])]
    capacity: String,
    /// Degree of secrecy (*độ mật*): anything but `normal` (*Thường*) is refused before a file is read.
    #[arg(long, value_parser = ["normal", "confidential", "secret", "top-secret"])]
    secrecy: String,
    /// How urgent it is (*độ khẩn*).
    #[arg(long, value_enum, default_value_t = UrgencyArg::Normal)]
    urgency: UrgencyArg,
    /// How many pages it has (*số trang*).
    #[arg(long)]
    pages: u16,
    /// Where it is issued (*địa danh*).
    #[arg(long)]
    place: Option<String>,
    /// A line under *Nơi nhận*, as it is printed; may be repeated.
    #[arg(long = "recipient-line")]
    recipient_lines: Vec<String>,
    /// By when an answer is wanted (*hạn trả lời*), as `2025-06-05`.
    #[arg(long)]
    due: Option<Day>,
    /// A document that this one answers: office, number and date, as `H02.18,47/UBND-VP,2025-06-05`; may be repeated.
    #[arg(long, value_parser = reference)]
    responds_to: Vec<Value>,
    /// Why paper follows (*lý do gửi kèm bản giấy*).
    #[arg(long, value_parser = ["recipient-has-no-system", "to-the-government", "on-the-list"])]
    paper: Option<String>,
    /// It certifies a copy (*bản sao*), which needs no person's signature: SY, SL or TrS.
    #[arg(long, value_parser = ["SY", "SL", "TrS"])]
    copy: Option<String>,
    /// It replaces this earlier document (*thay thế*).
    #[arg(long, conflicts_with = "updates", requires = "because")]
    replaces: Option<DocumentId>,
    /// It updates this earlier document (*cập nhật*): the recipients agree or decline.
    #[arg(long, requires = "because")]
    updates: Option<DocumentId>,
    /// Why the earlier one is updated or replaced.
    #[arg(long)]
    because: Option<String>,
    /// The document's id, so that a repeated command is the same document.
    #[arg(long)]
    document: Option<DocumentId>,
    /// Attachments, the main one first.
    files: Vec<PathBuf>,
}

/// Reads `office,number,date`.
fn reference(text: &str) -> Result<Value, String> {
    let parts: Vec<&str> = text.split(',').collect();
    let [issuer, number, issued_on] = parts[..] else {
        return Err(
            "give office, number and date, parted by commas: `H02.18,47/UBND-VP,2025-06-05`".to_owned()
        );
    };
    let number: Code = number.trim().parse().map_err(|error: CodeError| error.to_string())?;
    let issued_on: Day =
        issued_on.trim().parse().map_err(|_| format!("`{issued_on}` is no date such as 2025-06-05"))?;
    Ok(json!({ "issuer": issuer.trim(), "number": number, "issued_on": issued_on }))
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum UrgencyArg {
    Normal,
    Urgent,
    VeryUrgent,
    Express,
    ExpressTimed,
}

impl UrgencyArg {
    const fn code(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Urgent => "urgent",
            Self::VeryUrgent => "very-urgent",
            Self::Express => "express",
            Self::ExpressTimed => "express-timed",
        }
    }
}

pub(super) fn send(client: &Client, args: &SendArgs) -> Result<Value, CliError> {
    let signatures: Result<Vec<String>, CliError> =
        args.signatures.iter().map(|path| file_in_json(path)).collect();
    let mut request = json!({
        "to": args.to,
        "to_all": args.to_all,
        "number": args.number,
        "issued_on": args.issued_on,
        "signatures": signatures?,
        "reference_only": args.reference_only,
    });
    let Value::Object(fields) = &mut request else { unreachable!("an object was made") };
    if let Some(manifest) = &args.manifest {
        fields.insert("manifest".to_owned(), file_in_json(manifest)?.into());
    }
    if let Some(said) = &args.content {
        fields.insert("content".to_owned(), content(client, said)?);
    }
    client.post("/documents", &request)
}

/// Has the station freeze a document, and writes the bytes that persons sign.
pub(super) fn freeze(client: &Client, args: &FreezeArgs) -> Result<Value, CliError> {
    if args.out.exists() {
        return Err(CliError::Words(format!("`{}` exists already; nothing was written", args.out.display())));
    }
    let request = content(client, &args.content)?;
    let mut answer = client.post("/manifests", &request)?;
    let bytes = answer["manifest"].as_str().and_then(|text| BASE64.decode(text.as_bytes()).ok());
    let Some(bytes) = bytes else {
        let (attempted, found) = ("freeze a document".to_owned(), "no manifest in the answer".to_owned());
        return Err(CliError::Exchange { attempted, found });
    };
    write_new(&args.out, &bytes)?;
    if let Value::Object(answer) = &mut answer {
        answer.remove("manifest");
        answer.insert("file".to_owned(), args.out.to_string_lossy().into());
    }
    Ok(answer)
}

/// A small file as text inside JSON.
fn file_in_json(path: &Path) -> Result<String, CliError> {
    let failed = |source| CliError::File { attempted: "read", path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_IN_JSON_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_IN_JSON_BYTES_MAX {
        let (path, most) = (path.display(), FILE_IN_JSON_BYTES_MAX);
        return Err(CliError::Words(format!(
            "`{path}` is neither a manifest nor a signature: over {most} bytes"
        )));
    }
    Ok(BASE64.encode(&bytes))
}

/// Brings the attachments to the station; what the document says.
fn content(client: &Client, args: &ContentArgs) -> Result<Value, CliError> {
    if args.secrecy != "normal" {
        let message = word(PROBLEM, "secrecy", client.lang).to_owned();
        return Err(CliError::Refused { code: "secrecy".to_owned(), message, detail: None });
    }
    let mut attachments = Vec::new();
    for path in &args.files {
        let (hash, length) = hash_of(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (secrecy, named) = (&args.secrecy, percent(&name));
        let to = format!("/files/{hash}?length={length}&secrecy={secrecy}&name={named}");
        let kept = client.send_file(true, &to, path)?;
        for warning in kept["found"]["warnings"].as_array().into_iter().flatten() {
            eprintln!("{name}: {}", warning["text"].as_str().unwrap_or_default());
        }
        attachments
            .push(json!({ "sha256": hash, "length": length, "name": name, "media_type": media_type(path) }));
    }
    Ok(json!({
        "document": args.document,
        "secrecy": args.secrecy,
        "subject": args.subject,
        "document_type": args.document_type,
        "signer": { "capacity": args.capacity, "position": args.position, "name": args.signer },
        "urgency": args.urgency.code(),
        "pages": args.pages,
        "place": args.place,
        "recipient_lines": args.recipient_lines,
        "due": args.due,
        "responds_to": args.responds_to,
        "paper": args.paper,
        "copy": args.copy,
        "amends": amends(args),
        "attachments": attachments,
    }))
}

fn amends(args: &ContentArgs) -> Value {
    let (document, how) = match (&args.replaces, &args.updates) {
        (Some(document), _) => (document, "replace"),
        (None, Some(document)) => (document, "update"),
        (None, None) => return Value::Null,
    };
    json!({ "document": document, "how": how, "reason": args.because })
}

/// A document on its way out, step by step.
pub(super) fn draft(client: &Client, command: DraftCommand, output: &Output) -> Result<(), CliError> {
    let work = |fields: Value| output.show(&client.post("/work", &fields)?, show::worked);
    match command {
        DraftCommand::New(args) => {
            let content = content(client, &args.content)?;
            work(json!({ "work": "draft", "to": args.to, "to_all": args.to_all, "content": content }))
        }
        DraftCommand::List(page) => output.show(&client.get(&page_path("/drafts", &page))?, show::drafts),
        DraftCommand::Show { document, out } => {
            let draft = client.get(&format!("/drafts/{document}"))?;
            if let Some(out) = out {
                let manifest = draft["manifest"].as_str();
                let bytes = manifest.and_then(|text| BASE64.decode(text.as_bytes()).ok());
                let gone = || CliError::Words("the document was sent: nothing is left to sign".to_owned());
                write_new(&out, &bytes.ok_or_else(gone)?)?;
            }
            output.show(&draft, show::draft)
        }
        DraftCommand::Approve { document } => work(json!({ "work": "approve", "document": document })),
        DraftCommand::Sign { document, signature } => {
            let signature = file_in_json(&signature)?;
            let fields = json!({ "work": "sign", "document": document, "signature": signature });
            output.show(&client.post("/work", &fields)?, show::signed)
        }
        DraftCommand::Number { document, book, unit } => {
            work(json!({ "work": "issue", "document": document, "book": book, "unit": unit }))
        }
        DraftCommand::Send { document } => work(json!({ "work": "send", "document": document })),
        DraftCommand::Discard { document, reason } => {
            work(json!({ "work": "discard", "document": document, "reason": reason }))
        }
    }
}

/// Writes a file that is not there yet.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    let failed = |attempted| move |source| CliError::File { attempted, path: path.to_owned(), source };
    let mut new = File::options().write(true).create_new(true).open(path).map_err(failed("create"))?;
    new.write_all(bytes).and_then(|()| new.sync_all()).map_err(failed("write"))
}

fn hash_of(path: &Path) -> Result<(String, u64), CliError> {
    let failed =
        |attempted| move |source: io::Error| CliError::File { attempted, path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed("read"))?.len();
    let mut file = File::open(path).map_err(failed("open"))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut buffer).map_err(failed("read"))?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    Ok((hex(&hash.finalize()), length))
}

/// The media type by the name's ending: for the recipient's reading only, nothing is decided on it.
fn media_type(path: &Path) -> &'static str {
    const TYPES: [(&str, &str); 12] = [
        ("pdf", "application/pdf"),
        ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("odt", "application/vnd.oasis.opendocument.text"),
        ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
        ("xml", "application/xml"),
        ("zip", "application/zip"),
        ("csv", "text/csv"),
        ("txt", "text/plain"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("png", "image/png"),
    ];
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let found = TYPES.iter().find(|(known, _)| *known == ending);
    found.map_or("application/octet-stream", |(_, media_type)| media_type)
}
