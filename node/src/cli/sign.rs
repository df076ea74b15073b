//! Having an officer sign frozen bytes, through the station that keeps the requests.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use data_encoding::BASE64;
use schema::id::RequestId;
use serde_json::{Value, json};

use super::client::{CliError, Client};
use super::show::{field, line, rows, say, time};
use super::{Output, unlock, write_whole};
use crate::config::read_bounded;
use crate::keyring::Passphrase;
use crate::signing::CONTENT_BYTES_MAX;
use crate::words::{Lang, with_causes};

/// How often the station is asked whether the officer has answered.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["file", "resume", "list"]))]
pub(super) struct SignArgs {
    /// The frozen bytes to sign, such as the manifest of a document; at most 64 KiB.
    #[arg(requires = "signer")]
    file: Option<PathBuf>,
    /// Who signs: a name from `tram-node signer list`.
    #[arg(long)]
    signer: Option<String>,
    /// What the officer reads on the telephone; the file's name when left out.
    #[arg(long, value_name = "TEXT", requires = "file")]
    description: Option<String>,
    /// File with the passphrase of the officer's key: one line, mode 600. Asked for at the terminal when left out.
    #[arg(long, value_name = "PATH", requires = "file", conflicts_with = "pin_file")]
    passphrase_file: Option<PathBuf>,
    /// File with the PIN of the officer's token: one line, mode 600. Asked for at the terminal when left out.
    #[arg(long, value_name = "PATH", requires = "file")]
    pin_file: Option<PathBuf>,
    /// Where the signature goes (CMS, DER); never overwritten. `FILE.p7s` when left out.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// How long to wait for an officer who is asked on the telephone, in seconds. The request goes on without you.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// Look at a request again, and take its signature.
    #[arg(long, value_name = "ID")]
    resume: Option<RequestId>,
    /// List the newest requests.
    #[arg(long)]
    list: bool,
}

#[derive(Subcommand)]
pub(super) enum SignerCommand {
    /// List the officers of the settings: certificate, kind of signer, and what is wrong with those that cannot be
    /// used.
    List,
}

pub(super) fn signer(client: &Client, command: &SignerCommand, output: &Output) -> Result<(), CliError> {
    match command {
        SignerCommand::List => output.show(&client.get("/signers")?, signers),
    }
}

/// Signs, or looks after requests. An officer who has not answered yet is no failure: the answer tells the state.
pub(super) fn sign(client: &Client, args: &SignArgs, output: &Output) -> Result<(), CliError> {
    if args.list {
        return output.show(&client.get("/signatures")?, requests);
    }
    let out = args.out.clone().or_else(|| {
        let file = args.file.as_ref()?;
        let mut name = file.file_name()?.to_owned();
        name.push(".p7s");
        Some(file.with_file_name(name))
    });
    // Before an officer is bothered.
    if let Some(path) = out.as_deref().filter(|path| path.exists()) {
        let source = std::io::ErrorKind::AlreadyExists.into();
        return Err(CliError::File { attempted: "write", path: path.to_owned(), source });
    }
    let mut view = match (&args.file, &args.resume) {
        (Some(file), _) => ask(client, args, file, output.lang)?,
        (None, Some(id)) => client.get(&format!("/signatures/{id}"))?,
        (None, None) => return Ok(()),
    };
    let deadline = Instant::now().checked_add(Duration::from_secs(args.wait));
    if is_open(&view) && args.wait > 0 && !output.json {
        eprint!("{}", request(&view, output.lang));
    }
    while is_open(&view) && deadline.is_none_or(|deadline| Instant::now() < deadline) {
        thread::sleep(LOOK);
        view = client.get(&format!("/signatures/{}", field(&view, "request")))?;
    }
    if let (Some(signature), Some(path)) = (view["signature"].as_str(), &out) {
        let signature = BASE64.decode(signature.as_bytes()).map_err(|error| CliError::Exchange {
            attempted: "take the signature".to_owned(),
            found: error.to_string(),
        })?;
        write_whole(path, |file| {
            file.write_all(&signature).map_err(|source| CliError::File {
                attempted: "write",
                path: path.clone(),
                source,
            })?;
            Ok(signature.len() as u64)
        })?;
        view["file"] = json!(path);
    }
    if is_open(&view) || view["state"] == json!("signed") {
        return output.show(&view, request);
    }
    let text = |name: &str| view[name].as_str().unwrap_or_default().to_owned();
    Err(CliError::Refused {
        code: text("reason"),
        message: text("reason_text"),
        detail: Some(format!("request {}: {}", text("request"), text("state_text"))),
    })
}

fn is_open(view: &Value) -> bool {
    view["state"] == json!("recorded") || view["state"] == json!("asked")
}

fn ask(client: &Client, args: &SignArgs, file: &Path, lang: Lang) -> Result<Value, CliError> {
    let content = read_bounded(file, CONTENT_BYTES_MAX as u64);
    let content = content.map_err(|error| CliError::Words(with_causes(&error)))?;
    let name = args.signer.clone().unwrap_or_default();
    let signers = client.get("/signers")?;
    let found = rows(&signers, "rows").iter().find(|row| row["name"] == json!(name));
    let kind = found.and_then(|row| row["kind"].as_str()).unwrap_or_default();
    let secret = secret(args, kind, &name, lang)?;
    let named = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let body = json!({
        "signer": name,
        "content": BASE64.encode(&content),
        "description": args.description.clone().unwrap_or(named),
        "secret": secret.as_ref().map(Passphrase::as_str),
    });
    client.post("/signatures", &body)
}

/// The secret that this kind of signer needs.
fn secret(args: &SignArgs, kind: &str, name: &str, lang: Lang) -> Result<Option<Passphrase>, CliError> {
    let (prompt, path) = match kind {
        "file" => ("officer", args.passphrase_file.as_ref()),
        "token" => ("pin", args.pin_file.as_ref()),
        _ => return Ok(None),
    };
    let secret = match path {
        Some(path) => Passphrase::read(path).map(Some),
        None => Passphrase::ask(prompt, name, lang),
    };
    secret.map_err(|error| unlock::refused(&error, lang))
}

fn signers(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let rows = rows(value, "rows");
    if rows.is_empty() {
        let none = say(
            lang,
            "Chưa có người ký nào; thêm mục `[[signers]]` vào `config.toml`.",
            "No signers yet; add `[[signers]]` to `config.toml`.",
        );
        line!(text, "{none}");
    }
    for row in rows {
        if row["usable"] != json!(true) {
            let unusable = say(lang, "KHÔNG dùng được:", "CANNOT be used:");
            line!(text, "{}  {unusable} {}", field(row, "name"), field(row, "found"));
            continue;
        }
        line!(text, "{}  {}", field(row, "name"), field(row, "officer"));
        let until = say(lang, "hiệu lực đến", "valid until");
        line!(text, "  {}, {}, {until} {}", field(row, "kind"), field(row, "key"), time(row, "not_after"));
        let issuer = say(lang, "cấp bởi", "issued by");
        line!(text, "  {issuer} {}, {}", field(row, "issuer"), field(row, "serial"));
    }
    text
}

fn requests(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let rows = rows(value, "rows");
    if rows.is_empty() {
        line!(text, "{}", say(lang, "Chưa có yêu cầu ký nào.", "No signing requests yet."));
    }
    for row in rows {
        text.push_str(&request(row, lang));
    }
    text
}

fn request(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{}  {}", field(value, "request"), field(value, "state_text"));
    line!(text, "  {}: {}", field(value, "signer"), field(value, "officer"));
    line!(text, "  {}", field(value, "description"));
    if is_open(value) {
        let check = say(lang, "mã đối chiếu trên điện thoại:", "check code on the telephone:");
        line!(text, "  {check} {}", field(value, "check"));
        let resume = say(lang, "xem lại:", "look again:");
        let file = say(lang, "TỆP.p7s", "FILE.p7s");
        line!(text, "  {resume} tram-node sign --resume {} --out {file}", field(value, "request"));
    }
    if !value["reason_text"].is_null() {
        line!(text, "  {}", field(value, "reason_text"));
    }
    if !value["file"].is_null() {
        line!(text, "  {} {}", say(lang, "chữ ký:", "signature:"), field(value, "file"));
    }
    text
}
