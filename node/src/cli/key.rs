//! The signing key's file: what is in it, and putting it under a passphrase. The key itself is never shown.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Subcommand;
use schema::event::key_id;
use schema::id::hex;
use schema::registry::{KeyStanding, NodeKey, Registry};
use serde_json::{Value, json};

use crate::cli::backup::Answer;
use crate::cli::client::{CliError, Client};
use crate::cli::show::{field, line, say, sealing_key_renewed, sealing_keys_handed_over};
use crate::cli::unlock::{UnlockArgs, refused};
use crate::config::{Config, DataFolder};
use crate::keyring::change::{self, Changed};
use crate::keyring::{KeyringError, Protection, Unlock, rotation};
use crate::words::{KEY, Lang, UNLOCK, word};

/// `tram-node key`.
#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Show the public half, and whether and how the file is protected.
    Show {
        /// Open the key too, and say whether the passphrase is right.
        #[arg(long)]
        check: bool,
        #[command(flatten)]
        unlock: UnlockArgs,
    },
    /// Put the unencrypted key file under a passphrase: PKCS#8 with scrypt and AES-256, which `openssl pkey` opens.
    ///
    /// The station may run meanwhile. The old file's bytes are overwritten as well as this machine can; a flash
    /// disk, a snapshot or a backup may keep them all the same. Keep the passphrase apart from this machine:
    /// without it nobody can open the key.
    Protect {
        #[command(flatten)]
        unlock: UnlockArgs,
    },
    /// Put the key file under another passphrase, derived anew.
    ChangePassphrase {
        /// File with the new passphrase: one line, mode 600; asked for at the terminal when left out.
        #[arg(long, value_name = "PATH")]
        new_passphrase_file: Option<PathBuf>,
        #[command(flatten)]
        unlock: UnlockArgs,
    },
    /// Make the key that is to follow, beside the present one and under its passphrase (thay khóa ký).
    ///
    /// Start the station again once, so that it knows that a key waits: it announces it with the present one. Carry the
    /// request that lies beside it to the authority, which answers with `tram ca renew FOLDER SERIAL --csr FILE`; when the
    /// present key was stolen, with `tram ca revoke FOLDER SERIAL --reason key-compromise` and `tram ca issue-office … --csr
    /// FILE`. The station changes to the key by itself once the certificate has come.
    Next {
        #[command(flatten)]
        unlock: UnlockArgs,
    },
    /// Make a key in the place of one that is lost: its file is gone or damaged, or nobody knows its passphrase (mất khóa ký).
    ///
    /// The station must be stopped. The lost file is set aside. Carry the request to the authority, which revokes the
    /// certificates of the lost key and certifies this one (`tram ca revoke`, `tram ca issue-office … --csr FILE`), take the
    /// registry that you get in (`tram-node registry import FILE`) and start the station: it sends again what nobody had
    /// receipted. A key that can still be opened is followed by another one with `tram-node key next` instead.
    Replace {
        /// Yes, the key is lost.
        #[arg(long)]
        lost: bool,
        /// File with the passphrase for the new key: one line, mode 600. Without it the new key lies unencrypted.
        #[arg(long, value_name = "PATH")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Make a new key under which others seal what they send here, and announce it (thay khóa niêm phong); once a year.
    ///
    /// The station must run: the key is announced in its chain in the same step, and senders use it as soon as they hear of it. Earlier
    /// keys stay in `sealing.keys`, for what was sealed under them. Make a backup afterwards: an earlier one does not open
    /// what is sealed under the new key. An administrator of the office may do so with `--as`.
    RenewSealing,
    /// Hand all sealing keys over to the office that takes over this one's tasks (bàn giao khóa niêm phong khi sáp nhập).
    ///
    /// The station must run. The directory must say that OFFICE succeeds this one, and since which day. The keys leave sealed for OFFICE,
    /// whose station keeps them before it answers; `status` shows at both ends when it has. They stay here too. An administrator
    /// of the office may do so with `--as`.
    HandOver {
        /// The successor: its id, or a code that is valid today.
        office: String,
    },
    /// Take the passphrase off: whoever reads the file can then sign as the office.
    Unprotect {
        /// Yes, leave the key unencrypted.
        #[arg(long)]
        leave_unencrypted: bool,
        #[command(flatten)]
        unlock: UnlockArgs,
    },
}

/// `token` is the file of whoever asks a running station; without it, it is the machine.
pub(super) fn key(
    folder: &DataFolder,
    command: KeyCommand,
    token: Option<&Path>,
    lang: Lang,
) -> Result<Answer, CliError> {
    let config = Config::read(folder).map_err(|error| refused(&error, lang))?;
    // A station that is not enrolled yet has none.
    let registry = match config.registry.exists() {
        true => Some(config.load_registry().map_err(|error| refused(&error, lang))?),
        false => None,
    };
    let station = Station { config, registry, lang };
    match command {
        KeyCommand::Show { check, unlock } => station.show(check, unlock),
        KeyCommand::Next { unlock } => station.next(unlock),
        KeyCommand::RenewSealing => {
            let renewed = Client::of(folder, lang, token)?.post("/sealing-key", &json!({}))?;
            Ok((renewed, sealing_key_renewed))
        }
        KeyCommand::HandOver { office } => {
            let handed =
                Client::of(folder, lang, token)?.post("/sealing-key/hand-over", &json!({ "to": office }))?;
            Ok((handed, sealing_keys_handed_over))
        }
        KeyCommand::Replace { lost: false, .. } => Err(CliError::Refused {
            code: "not-lost".to_owned(),
            message: word(UNLOCK, "not-lost", lang).to_owned(),
            detail: None,
        }),
        KeyCommand::Replace { lost: true, new_passphrase_file } => {
            // Held while the key changes under whoever would start meanwhile.
            let _held = folder.lock().map_err(|error| refused(&error, lang))?;
            station.replace(new_passphrase_file)
        }
        KeyCommand::Protect { unlock } => {
            let unlock = station.places(unlock.places(lang));
            station.changed(|path, expected| {
                if Protection::of_file(path)?.is_protected() {
                    return Err(KeyringError::AlreadyProtected { path: path.to_owned() });
                }
                let (passphrase, _) = unlock.new_passphrase(path)?;
                change::protect(path, &passphrase, expected, &mut |_| {})
            })
        }
        KeyCommand::ChangePassphrase { new_passphrase_file, unlock } => {
            let unlock = station.places(unlock.places(lang));
            // The settings and the credential hold the old one.
            let renewed =
                Unlock { passphrase_file: new_passphrase_file, credentials: None, terminal: Some(lang) };
            station.changed(|path, expected| {
                require_protected(path)?;
                let (old, from) = unlock.passphrase(path)?;
                let (new, _) = renewed.new_passphrase(path)?;
                change::change_passphrase(path, (&old, &from), &new, expected, &mut |_| {})
            })
        }
        KeyCommand::Unprotect { leave_unencrypted: false, .. } => Err(CliError::Refused {
            code: "unprotect".to_owned(),
            message: word(UNLOCK, "unprotect", lang).to_owned(),
            detail: None,
        }),
        KeyCommand::Unprotect { leave_unencrypted: true, unlock } => {
            let unlock = station.places(unlock.places(lang));
            station.changed(|path, expected| {
                require_protected(path)?;
                let (passphrase, from) = unlock.passphrase(path)?;
                change::unprotect(path, (&passphrase, &from), expected, &mut |_| {})
            })
        }
    }
}

/// Asking for a passphrase that nothing needs would mislead.
fn require_protected(path: &Path) -> Result<(), KeyringError> {
    match Protection::of_file(path)?.is_protected() {
        true => Ok(()),
        false => Err(KeyringError::NotProtected { path: path.to_owned() }),
    }
}

struct Station {
    config: Config,
    registry: Option<Arc<Registry>>,
    lang: Lang,
}

impl Station {
    fn places(&self, unlock: Unlock) -> Unlock {
        unlock.or_file(self.config.passphrase_file.as_deref())
    }

    fn expected(&self) -> Vec<[u8; 32]> {
        self.config.expected_keys(self.registry.as_deref())
    }

    fn show(&self, check: bool, unlock: UnlockArgs) -> Result<Answer, CliError> {
        let failed = |error: KeyringError| refused(&error, self.lang);
        let protection = Protection::of_file(&self.config.signing_key).map_err(failed)?;
        // What lies open needs no passphrase; a file that was named is meant to be tried.
        let opened = if check || unlock.named().is_some() || !protection.is_protected() {
            let opened = self.config.open_key(self.registry.as_deref(), &unlock.places(self.lang));
            Some(opened.map_err(failed)?.public())
        } else {
            None
        };
        let expected = self.expected();
        let public = match (&opened, expected.as_slice()) {
            (Some(public), _) => Some(*public),
            (None, [only]) => Some(*only),
            (None, _) => None,
        };
        let mut answer = self.described(public, protection);
        answer["opened"] = json!(opened.is_some());
        Ok((answer, shown))
    }

    /// Makes the next key; the passphrase is proven on the present one.
    fn next(&self, unlock: UnlockArgs) -> Result<Answer, CliError> {
        let failed = |error: KeyringError| refused(&error, self.lang);
        let path = &self.config.signing_key;
        let opened =
            self.config.open_key(self.registry.as_deref(), &unlock.places(self.lang)).map_err(failed)?;
        let office = self.config.office;
        let next = rotation::prepare(path, &office, opened.passphrase.as_ref()).map_err(failed)?;
        let place = rotation::next_path(path);
        let present = self.certificates(|key| key.id() == key_id(&opened.public()));
        let answer = json!({
            "file": place,
            "request": rotation::request_path(&place),
            "certificate": present.last(),
            "office": self.config.office,
            "public_key": hex(&next.verifying_key().to_bytes()),
            "present_key": hex(&opened.public()),
            "protected": opened.protection.is_protected(),
        });
        Ok((answer, shown_next))
    }

    /// Makes a key in the place of the lost one.
    fn replace(&self, new_passphrase_file: Option<PathBuf>) -> Result<Answer, CliError> {
        let failed = |error: KeyringError| refused(&error, self.lang);
        let path = &self.config.signing_key;
        let unlock = Unlock { passphrase_file: new_passphrase_file, credentials: None, terminal: None };
        let passphrase = match unlock.passphrase_file {
            Some(_) => Some(unlock.new_passphrase(path).map_err(failed)?.0),
            None => None,
        };
        let office = self.config.office;
        let replaced = rotation::replace(path, &office, passphrase.as_ref()).map_err(failed)?;
        let answer = json!({
            "file": path,
            "request": rotation::request_path(path),
            "office": office,
            "public_key": hex(&replaced.key.verifying_key().to_bytes()),
            "set_aside": replaced.aside,
            "certificates": self.certificates(|_| true),
            "protected": passphrase.is_some(),
        });
        Ok((answer, shown_replaced))
    }

    /// Serial numbers of what certifies these keys of the office, as far as this station knows.
    fn certificates(&self, of: impl Fn(&NodeKey) -> bool) -> Vec<String> {
        let keys = self.registry.iter().flat_map(|registry| registry.keys(&self.config.office));
        let certificates = keys.filter(|key| of(key)).flat_map(NodeKey::certificates);
        certificates.map(|certificate| certificate.serial().to_string()).collect()
    }

    fn changed(
        &self,
        change: impl FnOnce(&Path, &[[u8; 32]]) -> Result<Changed, KeyringError>,
    ) -> Result<Answer, CliError> {
        let changed = change(&self.config.signing_key, &self.expected());
        let changed = changed.map_err(|error| refused(&error, self.lang))?;
        let mut answer = self.described(Some(changed.public), changed.protection);
        answer["old_bytes"] = json!(changed.old_bytes);
        answer["passphrase_file"] = json!(self.config.passphrase_file);
        Ok((answer, shown_changed))
    }

    fn described(&self, public: Option<[u8; 32]>, protection: Protection) -> Value {
        let known = self.registry.as_ref().zip(public).map(|(registry, public)| {
            let known = registry.keys(&self.config.office).iter().find(|key| key.id() == key_id(&public));
            known.map_or("uncertified", |key| match key.standing() {
                KeyStanding::Contested => "contested",
                _ => "certified",
            })
        });
        let state = protection.word();
        json!({
            "file": self.config.signing_key,
            "office": self.config.office,
            "public_key": public.map(|public| hex(&public)),
            "certified": known,
            "protection": protection,
            "protection_text": protection.to_string(),
            "state": state,
            "state_text": word(KEY, state, self.lang),
        })
    }
}

fn shown(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{}", field(value, "file"));
    let public = if value["public_key"].is_null() {
        say(
            lang,
            "chưa biết (khóa đang mã hóa; thêm `--check` để mở)",
            "not known (the key is encrypted; `--check` opens it)",
        )
        .to_owned()
    } else {
        field(value, "public_key")
    };
    line!(text, "  {} {public}", say(lang, "khóa công khai:", "public key:"));
    line!(text, "  {}", field(value, "state_text"));
    line!(text, "  {} {}", say(lang, "cách mã hóa:", "how:"), field(value, "protection_text"));
    let words = match value["certified"].as_str() {
        Some("certified") => say(lang, "đã có chứng thư", "certified"),
        Some("contested") => say(
            lang,
            "CÓ chứng thư nhưng CHƯA được công nhận: khóa trước chưa công bố khóa này và cũng chưa bị thu hồi",
            "certified but CONTESTED: the key before it has neither announced it nor been revoked",
        ),
        Some(_) => say(
            lang,
            "KHÔNG có chứng thư: nơi khác sẽ từ chối văn bản ký bằng khóa này",
            "NOT certified: others will refuse what it signs",
        ),
        None => "",
    };
    if !words.is_empty() {
        line!(text, "  {words}");
    }
    if value["opened"] == Value::Bool(true) && value["state"] != "unprotected" {
        line!(text, "  {}", say(lang, "cụm mật khẩu đúng", "the passphrase is right"));
    }
    text
}

fn shown_next(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(
        text,
        "{} {}",
        say(lang, "Đã tạo khóa ký kế tiếp:", "Made the next signing key:"),
        field(value, "file")
    );
    line!(text, "  {} {}", say(lang, "khóa công khai:", "public key:"), field(value, "public_key"));
    line!(text, "  {} {}", say(lang, "đề nghị cấp chứng thư:", "request:"), field(value, "request"));
    let number = say(lang, "chứng thư hiện tại, số:", "present certificate, number:");
    line!(text, "  {number} {}", field(value, "certificate"));
    let next = say(
        lang,
        "Bước tiếp: khởi động lại trạm một lần để trạm công bố khóa này; chuyển tệp đề nghị, số chứng thư hiện tại và \
         tệp của `tram-node registry export` (có công bố khóa) đến cơ quan cấp chứng thư (`tram ca renew`). Trạm tự chuyển sang khóa mới khi chứng thư về tới. Khóa hiện tại \
         bị lộ: báo ngay để thu hồi chứng thư của khóa đó.",
        "Next: start the station again once, so that it announces this key; carry the request, the number of the present \
         certificate and what `tram-node registry export` writes (it holds the announcement) to the authority \
         (`tram ca renew`). The station changes to the key by itself when the \
         certificate has come. If the present key was stolen, report it at once, so that its certificate is revoked.",
    );
    line!(text, "{next}");
    text
}

fn shown_replaced(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let made =
        say(lang, "Đã tạo khóa ký mới thay khóa đã mất:", "Made a signing key in the place of the lost one:");
    line!(text, "{made} {}", field(value, "file"));
    line!(text, "  {} {}", say(lang, "khóa công khai:", "public key:"), field(value, "public_key"));
    line!(text, "  {} {}", say(lang, "đề nghị cấp chứng thư:", "request:"), field(value, "request"));
    if !value["set_aside"].is_null() {
        line!(
            text,
            "  {} {}",
            say(lang, "tệp khóa cũ cất tại:", "the lost file:"),
            field(value, "set_aside")
        );
    }
    for number in value["certificates"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        line!(
            text,
            "  {} {number}",
            say(lang, "chứng thư phải thu hồi, số:", "certificate to be revoked, number:")
        );
    }
    if value["protected"] != Value::Bool(true) {
        let open = say(
            lang,
            "Khóa mới CHƯA được mã hóa; hãy chạy `tram-node key protect`.",
            "The new key lies UNENCRYPTED; `tram-node key protect` encrypts it.",
        );
        line!(text, "  {open}");
    }
    let next = say(
        lang,
        "Bước tiếp: báo mất khóa và chuyển tệp đề nghị đến cơ quan cấp chứng thư (`tram ca revoke`, \
         `tram ca issue-office`); nhận tệp `registry.cbor` mới, chạy `tram-node registry import`, rồi khởi động trạm. \
         Trạm tự gửi lại những gì chưa có biên nhận.",
        "Next: report the loss and carry the request to the authority (`tram ca revoke`, `tram ca issue-office`); take the \
         new `registry.cbor` in with `tram-node registry import`, then start the station. It sends again what nobody had \
         receipted.",
    );
    line!(text, "{next}");
    text
}

fn shown_changed(value: &Value, lang: Lang) -> String {
    let mut text = shown(value, lang);
    let old = match value["old_bytes"].as_str() {
        Some("overwritten") => say(
            lang,
            "Tệp cũ đã được ghi đè; ổ SSD, bản chụp hoặc bản sao lưu vẫn có thể còn giữ nội dung cũ.",
            "The old file was overwritten; a flash disk, a snapshot or a backup may hold its bytes all the same.",
        ),
        Some("still-linked") => say(
            lang,
            "Tệp cũ còn một tên khác nên KHÔNG bị ghi đè; hãy tìm và tự hủy.",
            "The old file has another name too, so it was NOT overwritten; find it and destroy it.",
        ),
        _ => say(
            lang,
            "KHÔNG ghi đè được tệp cũ; nội dung cũ vẫn có thể còn trên đĩa.",
            "The old file could NOT be overwritten; its bytes may still be on the disk.",
        ),
    };
    line!(text, "{old}");
    if value["state"] != "unprotected" {
        let keep = say(
            lang,
            "Hãy cất cụm mật khẩu ở nơi khác, tách khỏi máy này: quên cụm mật khẩu thì không ai mở được khóa.",
            "Keep the passphrase in another place, apart from this machine: without it nobody can open the key.",
        );
        line!(text, "{keep}");
    } else {
        let shut = say(
            lang,
            "Trạm chỉ chạy với khóa chưa mã hóa khi `allow_unencrypted = true` ở mục `[unlock]` trong `config.toml`.",
            "The station runs with an unencrypted key only with `allow_unencrypted = true` under `[unlock]` in `config.toml`.",
        );
        line!(text, "{shut}");
    }
    if !value["passphrase_file"].is_null() {
        let file = say(
            lang,
            "Thiết lập đang chỉ tệp cụm mật khẩu này; hãy bảo đảm nó đúng với cụm mật khẩu bây giờ:",
            "The settings name this passphrase file; see that it holds what is right now:",
        );
        line!(text, "{file} {}", field(value, "passphrase_file"));
    }
    text
}
