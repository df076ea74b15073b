//! Sending a document: attachments first, then the document that names them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use schema::id::{DocumentId, hex};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::client::{CliError, Client};

#[derive(Args)]
pub(super) struct SendArgs {
    /// Recipients: office ids, codes valid today (`G12.18`, `000.00.18.G12`), or `commune:00004` for a
    /// statistics code.
    #[arg(long, required_unless_present = "to_all", value_delimiter = ',')]
    to: Vec<String>,
    /// To every other office that has a station.
    #[arg(long)]
    to_all: bool,
    /// The abstract (*trích yếu*).
    #[arg(long)]
    subject: String,
    /// Number and symbol (*số, ký hiệu*).
    #[arg(long)]
    number: Option<String>,
    /// Abbreviation of the document's type (`CV`, `QĐ`).
    #[arg(long = "type")]
    document_type: Option<String>,
    /// How urgent it is (*độ khẩn*).
    #[arg(long, value_enum, default_value_t = UrgencyArg::Normal)]
    urgency: UrgencyArg,
    /// The document's id, so that a repeated command is the same document.
    #[arg(long)]
    document: Option<DocumentId>,
    /// Attachments, the main one first.
    files: Vec<PathBuf>,
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
    let mut attachments = Vec::new();
    for path in &args.files {
        let (hash, length) = hash_of(path)?;
        client.send_file(true, &format!("/blobs/{hash}?length={length}"), path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        attachments
            .push(json!({ "blob": hash, "length": length, "name": name, "media_type": media_type(path) }));
    }
    let request = json!({
        "document": args.document,
        "to": args.to,
        "to_all": args.to_all,
        "urgency": args.urgency.code(),
        "subject": args.subject,
        "number": args.number,
        "document_type": args.document_type,
        "attachments": attachments,
    });
    client.post("/documents", &request)
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
