//! Answers as text: here what all of them use; [`documents`], [`station`] and [`store`] have one each.

mod documents;
mod station;
mod store;
mod work;

use std::fmt::Write as _;

use schema::time::Millis;
use serde_json::Value;

use crate::api::time_in_vietnam;
use crate::words::Lang;

pub(super) use documents::{
    archive, courier_read, damaged, day, document, erased, exported, fetched, frozen, imported, incoming,
    outgoing, saved, signatures, why,
};
pub(super) use station::{
    alarms, offices, quarantine, sealing_key_renewed, sealing_keys_handed_over, status,
};
pub(super) use store::{backed_up, backup_checked, broken, damaged_store, restored, verified};
pub(super) use work::{
    draft, drafts, due, page_written, people, person_added, person_limited, person_removed, register,
    register_written, registers, signed, waiting, worked,
};

/// The Vietnamese or the English of a text that only the command line uses.
pub(super) fn say(lang: Lang, vi: &'static str, en: &'static str) -> &'static str {
    match lang {
        Lang::Vi => vi,
        Lang::En => en,
    }
}

/// A field as text; a dash when there is none. Control characters from outside never reach the terminal.
pub(super) fn field(value: &Value, name: &str) -> String {
    let text = match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

pub(super) fn time(value: &Value, name: &str) -> String {
    value[name].as_u64().map_or_else(|| "–".to_owned(), |at| time_in_vietnam(Millis(at)))
}

pub(super) fn rows<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

macro_rules! line {
    ($text:ident, $($format:tt)*) => {
        // Writing to a String cannot fail.
        let _ = writeln!($text, $($format)*);
    };
}
pub(super) use line;

pub(super) fn made(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(
        text,
        "{} {}",
        say(lang, "Đã lập thư mục dữ liệu của trạm:", "Made the station's data folder:"),
        field(value, "data")
    );
    line!(text, "  {} {}", say(lang, "đơn vị:", "office:"), field(value, "office"));
    line!(
        text,
        "  {} {}",
        say(lang, "khóa ký (công khai):", "signing key (public):"),
        field(value, "signing_key")
    );
    line!(text, "  {}", field(value, "state_text"));
    if !value["unencrypted_copy"].is_null() {
        let copy = say(
            lang,
            "khóa chưa mã hóa vẫn còn trong gói đăng ký, hãy hủy sau khi đã cất bản dự phòng:",
            "the bundle still holds the key unencrypted; destroy it once a copy is kept in a safe place:",
        );
        line!(text, "  {copy} {}", field(value, "unencrypted_copy"));
    }
    line!(text, "  {} {}", say(lang, "tài khoản trạm chuyển tiếp:", "relay login:"), field(value, "login"));
    let next = if value["enrolled"] == Value::Bool(true) {
        say(lang, "Bước tiếp: `tram-node run`.", "Next: `tram-node run`.")
    } else {
        say(
            lang,
            "Bước tiếp: gửi hai khóa công khai trên cho nơi quản lý danh bạ và cơ quan cấp chứng thư, rồi nhập tệp \
             họ trả lại: `tram-node registry import registry.cbor`.",
            "Next: give both public keys to the registrar and to the certificate authority, then take in what they \
             give back: `tram-node registry import registry.cbor`.",
        )
    };
    line!(text, "{next}");
    text
}
