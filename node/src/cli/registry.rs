//! `tram-node registry`: what this station holds about everybody, with the station running or not.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use schema::registry::{ItemError, Registry, encode_items};
use serde_json::{Value, json};

use super::client::{CliError, Client};
use super::show::{field, line, rows, say, time};
use crate::api::registry_described;
use crate::config::{Config, ConfigError, DataFolder, read_items};
use crate::keyring::replace_private;
use crate::runtime::now;
use crate::words::{Lang, with_causes};

#[derive(Subcommand)]
pub(super) enum RegistryCommand {
    /// Show the directory's version, authorities, ages of revocation lists, this office's keys, contested keys.
    Show,
    /// Take in a registry file (`registry.cbor`) from the registrar, a relay or another office. Every item proves itself.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Write the registry into a file, for an office without a line.
    Export {
        /// The file; never overwritten.
        #[arg(long)]
        out: PathBuf,
    },
}

type Answer = (Value, fn(&Value, Lang) -> String);

pub(super) fn registry(
    folder: &DataFolder,
    command: RegistryCommand,
    lang: Lang,
) -> Result<Answer, CliError> {
    let failed = |error: &ConfigError| CliError::Words(with_causes(error));
    let config = Config::read(folder).map_err(|error| failed(&error))?;
    match command {
        RegistryCommand::Show => {
            let registry = config.load_registry().map_err(|error| failed(&error))?;
            Ok((registry_described(&registry, config.office, now(), lang), shown))
        }
        RegistryCommand::Import { file } => {
            // While the station runs, it is the one that writes the file.
            let running = match folder.lock() {
                Ok(held) => Err(held),
                Err(ConfigError::Running { .. }) => Ok(Client::of(folder, lang, None)?),
                Err(error) => return Err(failed(&error)),
            };
            let answer = match running {
                Ok(client) => client.send_file(false, "/registry", &file)?,
                Err(_held) => import(&config, &file, lang)?,
            };
            Ok((answer, imported))
        }
        RegistryCommand::Export { out } => {
            let registry = config.load_registry().map_err(|error| failed(&error))?;
            if out.exists() {
                return Err(CliError::Words(format!(
                    "`{}` exists already; nothing was written",
                    out.display()
                )));
            }
            let bytes = encode_items(registry.all_items());
            std::fs::write(&out, &bytes).map_err(|source| CliError::File {
                attempted: "write",
                path: out.clone(),
                source,
            })?;
            let answer = json!({ "file": out, "bytes": bytes.len(), "items": registry.all_items().count() });
            Ok((answer, exported))
        }
    }
}

/// Merges the file into that of a station that does not run.
fn import(config: &Config, file: &std::path::Path, lang: Lang) -> Result<Value, CliError> {
    let failed = |error: &ConfigError| CliError::Words(with_causes(error));
    let brought = read_items(file).map_err(|error| failed(&error))?;
    let present = if config.registry.exists() {
        config.read_items().map_err(|error| failed(&error))?
    } else {
        Vec::new()
    };
    let unusable =
        |source| failed(&ConfigError::Registry { path: file.to_owned(), source: Box::new(source) });
    let (registry, outcomes) = if present.is_empty() {
        Registry::open(config.roots(), brought).map_err(unusable)?
    } else {
        Registry::open(config.roots(), present).map_err(unusable)?.0.with(brought)
    };
    let refused: Vec<String> = outcomes
        .into_iter()
        .filter(|(_, outcome)| !matches!(outcome, Err(ItemError::Anchor)))
        .filter_map(|(id, outcome)| outcome.err().map(|error| format!("{id}: {}", error.text(lang.into()))))
        .collect();
    replace_private(&config.registry, &encode_items(registry.all_items()))
        .map_err(|error| CliError::Words(with_causes(&error)))?;
    Ok(json!({ "items": registry.all_items().count(), "refused": refused }))
}

fn shown(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let directory = &value["directory"];
    line!(
        text,
        "{} {} ({}), {} {}",
        say(lang, "Danh bạ phiên bản", "Directory version"),
        field(directory, "version"),
        time(directory, "issued_at"),
        field(directory, "offices"),
        say(lang, "đơn vị", "offices")
    );
    line!(text, "{}", say(lang, "Danh sách thu hồi:", "Revocation lists:"));
    for list in rows(value, "lists") {
        let state = match (list["number"].is_null(), list["stale"].as_bool()) {
            (true, _) => say(lang, "CHƯA CÓ", "NONE"),
            (false, Some(true)) => say(lang, "QUÁ HẠN", "STALE"),
            (false, _) => "",
        };
        line!(text, "  {}", field(list, "authority"));
        line!(
            text,
            "      {} {}, {} {}, {} {}, {} {} {state}",
            say(lang, "số", "number"),
            field(list, "number"),
            say(lang, "lập", "made"),
            time(list, "made_at"),
            say(lang, "kỳ sau", "next"),
            time(list, "next_at"),
            field(list, "revoked"),
            say(lang, "chứng thư bị thu hồi hoặc tạm dừng", "revoked or on hold"),
        );
    }
    line!(text, "{}", say(lang, "Khóa của đơn vị này:", "Keys of this office:"));
    for key in rows(value, "keys") {
        line!(text, "  {}  {}", field(key, "key"), field(key, "standing_text"));
        for certificate in rows(key, "certificates") {
            let revoked = if certificate["revoked_from"].is_null() {
                String::new()
            } else {
                format!("  {} {}", say(lang, "THU HỒI từ", "REVOKED from"), time(certificate, "revoked_from"))
            };
            line!(
                text,
                "      {} {}  {} – {}{revoked}",
                say(lang, "chứng thư", "certificate"),
                field(certificate, "serial"),
                time(certificate, "not_before"),
                time(certificate, "not_after")
            );
        }
    }
    for key in rows(value, "contested") {
        line!(
            text,
            "{} {} {}",
            say(lang, "KHÓA CHƯA ĐƯỢC CÔNG NHẬN:", "CONTESTED KEY:"),
            field(key, "office_name"),
            field(key, "key")
        );
    }
    text
}

fn imported(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    if value["new"].is_null() {
        line!(
            text,
            "{} {}",
            say(lang, "Đã nhập; số mục đang giữ:", "Taken in; items held:"),
            field(value, "items")
        );
    } else {
        line!(
            text,
            "{} {}, {} {}",
            say(lang, "Mục mới:", "New items:"),
            field(value, "new"),
            say(lang, "đã biết:", "known:"),
            field(value, "known")
        );
        if value["older"].as_u64() > Some(0) {
            line!(
                text,
                "  {} {}",
                field(value, "older"),
                say(
                    lang,
                    "danh bạ hoặc danh sách thu hồi cũ hơn bản đang giữ: không dùng, không thay đổi gì",
                    "directories or revocation lists that go back behind what is held: not used, nothing changed"
                )
            );
        }
    }
    for refused in rows(value, "refused") {
        line!(text, "  {} {}", say(lang, "không nhận:", "refused:"), refused.as_str().unwrap_or_default());
    }
    text
}

fn exported(value: &Value, lang: Lang) -> String {
    format!(
        "{} {}: {} {}, {} B\n",
        say(lang, "Đã ghi", "Wrote"),
        field(value, "file"),
        field(value, "items"),
        say(lang, "mục", "items"),
        field(value, "bytes")
    )
}
