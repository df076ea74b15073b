//! Sending a document: attachments first, then the document that names them.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use data_encoding::BASE64;
use schema::body::MANIFEST_BYTES_MAX;
use schema::id::{DocumentId, hex};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::client::{CliError, Client};

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
    /// Number and symbol (*số, ký hiệu*).
    #[arg(long)]
    number: Option<String>,
    /// How urgent it is (*độ khẩn*).
    #[arg(long, value_enum, default_value_t = UrgencyArg::Normal)]
    urgency: UrgencyArg,
    /// What `tram-node freeze` wrote, in the place of abstract, type and attachments: what persons have signed.
    #[arg(long, conflicts_with_all = ["subject", "document_type", "document", "files"])]
    manifest: Option<PathBuf>,
    /// A person's signature on the manifest (detached CMS in DER, `.p7s`); repeat it for a second one.
    #[arg(long = "signature", requires = "manifest")]
    signatures: Vec<PathBuf>,
    /// The abstract (*trích yếu*).
    #[arg(long, required_unless_present = "manifest")]
    subject: Option<String>,
    #[command(flatten)]
    content: ContentArgs,
}

#[derive(Args)]
pub(super) struct FreezeArgs {
    /// The abstract (*trích yếu*).
    #[arg(long)]
    subject: String,
    #[command(flatten)]
    content: ContentArgs,
    /// Where to write the frozen bytes; never overwritten.
    #[arg(long)]
    out: PathBuf,
}

/// What a document says beside its abstract.
#[derive(Args)]
struct ContentArgs {
    /// Abbreviation of the document's type (`CV`, `QĐ`).
    #[arg(long = "type")]
    document_type: Option<String>,
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
    let signatures: Result<Vec<String>, CliError> =
        args.signatures.iter().map(|path| file_in_json(path)).collect();
    let mut request = json!({
        "to": args.to,
        "to_all": args.to_all,
        "urgency": args.urgency.code(),
        "number": args.number,
        "signatures": signatures?,
    });
    let Value::Object(fields) = &mut request else { unreachable!("an object was made") };
    if let Some(manifest) = &args.manifest {
        fields.insert("manifest".to_owned(), file_in_json(manifest)?.into());
    } else {
        fields.extend(content(client, args.subject.as_deref().unwrap_or_default(), &args.content)?);
    }
    client.post("/documents", &request)
}

/// Has the station freeze a document, and writes the bytes that persons sign.
pub(super) fn freeze(client: &Client, args: &FreezeArgs) -> Result<Value, CliError> {
    let file = |attempted, source| CliError::File { attempted, path: args.out.clone(), source };
    if args.out.exists() {
        return Err(CliError::Words(format!("`{}` exists already; nothing was written", args.out.display())));
    }
    let request = content(client, &args.subject, &args.content)?;
    let mut answer = client.post("/manifests", &Value::Object(request))?;
    let bytes = answer["manifest"].as_str().and_then(|text| BASE64.decode(text.as_bytes()).ok());
    let Some(bytes) = bytes else {
        let (attempted, found) = ("freeze a document".to_owned(), "no manifest in the answer".to_owned());
        return Err(CliError::Exchange { attempted, found });
    };
    let mut new =
        File::options().write(true).create_new(true).open(&args.out).map_err(|e| file("create", e))?;
    new.write_all(&bytes).and_then(|()| new.sync_all()).map_err(|e| file("write", e))?;
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

/// Brings the attachments to the station; the fields of the document.
fn content(client: &Client, subject: &str, args: &ContentArgs) -> Result<Map<String, Value>, CliError> {
    let mut attachments = Vec::new();
    for path in &args.files {
        let (hash, length) = hash_of(path)?;
        client.send_file(true, &format!("/blobs/{hash}?length={length}"), path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        attachments
            .push(json!({ "blob": hash, "length": length, "name": name, "media_type": media_type(path) }));
    }
    let fields = [
        ("document", json!(args.document)),
        ("subject", json!(subject)),
        ("document_type", json!(args.document_type)),
        ("attachments", json!(attachments)),
    ];
    Ok(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
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
