//! The store: checks, damage, backups.

use std::fmt::Write as _;

use serde_json::Value;

use super::{field, line, rows, say, time};
use crate::config::DataFolder;
use crate::words::Lang;

/// What a full check found, in one line.
pub(super) fn outcome(check: &Value, lang: Lang) -> String {
    if !check["broken"].is_null() {
        return format!("{}: {}", say(lang, "HỎNG", "DAMAGED"), field(check, "broken"));
    }
    let unjudged = match check["unjudged"].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!(
            ", {count} {}",
            say(
                lang,
                "chữ ký không xét được (danh bạ không còn khóa)",
                "signatures could not be judged (the directory does not know the key)"
            )
        ),
    };
    format!(
        "{} {}, {} {}: {}{unjudged}",
        field(check, "events"),
        say(lang, "sự kiện", "events"),
        field(check, "attachments"),
        say(lang, "tệp đính kèm", "attachments"),
        say(lang, "nguyên vẹn", "sound"),
    )
}

pub(in crate::cli) fn verified(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{}", field(value, "store"));
    let ms = say(lang, "mất", "took");
    line!(text, "  {} ({ms} {} ms)", outcome(value, lang), field(value, "took_ms"));
    text
}

/// What to do about a damaged store.
pub(in crate::cli) fn damaged_store(folder: &DataFolder, lang: Lang) -> String {
    let data = folder.path().display();
    let database = folder.database();
    let database = database.display();
    match lang {
        Lang::Vi => format!(
            "Kho dữ liệu của trạm bị hỏng: trạm không chạy. Chưa có gì bị ghi đè hay xóa.\n\
             Việc cần làm:\n  \
             1. Giữ nguyên `{database}` và các tệp bên cạnh; đừng xóa, đừng sửa.\n  \
             2. Xem hỏng ở đâu: `tram-node --data {data} verify`.\n  \
             3. Khôi phục từ bản sao lưu: `tram-node --data {data} restore --from <thư mục sao lưu>` \
             (thêm `--replace` nếu được yêu cầu; kho hỏng được chuyển sang bên, không bị xóa).\n  \
             4. Kiểm tra ổ đĩa của máy trước khi dùng tiếp."
        ),
        Lang::En => format!(
            "The station's store is damaged: the station does not run. Nothing was overwritten or deleted.\n\
             What to do:\n  \
             1. Keep `{database}` and the files beside it as they are.\n  \
             2. See where it is damaged: `tram-node --data {data} verify`.\n  \
             3. Restore a backup: `tram-node --data {data} restore --from <backup folder>` (with `--replace` \
             when asked for; the damaged store is moved aside, not deleted).\n  \
             4. Check this machine's disk before you go on."
        ),
    }
}

/// A full check found damage.
pub(in crate::cli) fn broken(found: &str, folder: &DataFolder, lang: Lang) -> String {
    let found: String = found.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{found}\n{}", damaged_store(folder, lang))
}

fn what_backup(text: &mut String, value: &Value, lang: Lang) {
    let name = if value["office_name"].is_null() {
        String::new()
    } else {
        format!(" {}", field(value, "office_name"))
    };
    line!(text, "  {}{name} ({})", say(lang, "đơn vị:", "office:"), field(value, "office"));
    line!(text, "  {} {}", say(lang, "thời điểm sao lưu:", "taken:"), time(value, "sealed_at"));
    let incarnation =
        if value["backup_incarnation"].is_null() { "incarnation" } else { "backup_incarnation" };
    line!(
        text,
        "  {} {} #{}, {}",
        say(lang, "sự kiện cuối: lần", "last event: incarnation"),
        field(value, incarnation),
        field(value, "seq"),
        field(value, "head")
    );
    line!(
        text,
        "  {} {}, {} {}, {} {}, {} B",
        say(lang, "văn bản đến", "incoming documents"),
        field(value, "incoming"),
        say(lang, "văn bản đi", "outgoing documents"),
        field(value, "outgoing"),
        say(lang, "mục nhật ký", "journal entries"),
        field(value, "journal"),
        field(value, "bytes"),
    );
}

pub(in crate::cli) fn backed_up(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{} {}", say(lang, "Đã sao lưu vào", "Made backup"), field(value, "backup"));
    what_backup(&mut text, value, lang);
    for path in rows(value, "removed") {
        let removed = say(lang, "đã xóa bản sao lưu cũ", "removed older backup");
        line!(text, "  {removed} {}", path.as_str().unwrap_or_default());
    }
    for path in rows(value, "unfinished") {
        let unfinished = say(
            lang,
            "bản sao lưu dở dang của lần bị ngắt, có thể xóa bằng tay:",
            "left behind by a backup that was broken off, may be removed by hand:",
        );
        line!(text, "  {unfinished} {}", path.as_str().unwrap_or_default());
    }
    line!(
        text,
        "{}",
        say(
            lang,
            "KHÔNG gồm khóa bí mật và cụm mật khẩu; thiếu chúng thì không khôi phục được. Hãy cất chúng ở nơi \
            khác (ví dụ phong bì niêm phong lúc đăng ký). Khóa hiện ở:",
            "The private keys and the passphrase are NOT in it, and without them it cannot be restored. Keep \
            them in another place (for instance the sealed envelope of the enrolment). The keys are in:"
        )
    );
    for path in rows(value, "keys_not_included") {
        line!(text, "  {}", path.as_str().unwrap_or_default());
    }
    text
}

pub(in crate::cli) fn backup_checked(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    let sound = say(lang, "Bản sao lưu nguyên vẹn:", "The backup is sound:");
    line!(text, "{sound} {}", field(value, "backup"));
    what_backup(&mut text, value, lang);
    line!(text, "  {} {}", say(lang, "đã kiểm tra:", "checked:"), outcome(value, lang));
    if value["trust"] == "backup" {
        let own = say(
            lang,
            "Máy này không có trạm: chỉ so được với danh bạ nằm trong chính bản sao lưu. Hãy đối chiếu khóa gốc:",
            "There is no station here: it was compared with the directory inside the backup itself. Compare \
            the root key with the one you know:",
        );
        line!(text, "{own} {}", field(value, "root_key"));
    }
    text
}

pub(in crate::cli) fn restored(value: &Value, lang: Lang) -> String {
    let mut text = String::new();
    line!(text, "{} {}", say(lang, "Đã khôi phục vào", "Restored into"), field(value, "data"));
    what_backup(&mut text, value, lang);
    if !value["moved_aside"].is_null() {
        let aside = say(lang, "kho trước đó được giữ tại", "the store that was there is kept in");
        line!(text, "  {aside} {}", field(value, "moved_aside"));
    }
    if value["erased_again"].as_u64().is_some_and(|documents| documents > 0) {
        let again = say(
            lang,
            "văn bản đã tiêu hủy nội dung sau bản sao lưu này, nay được tiêu hủy lại:",
            "documents whose content was erased since that backup, and is erased again:",
        );
        line!(text, "  {again} {}", field(value, "erased_again"));
    }
    if value["settings_brought"] == Value::Bool(true) {
        let brought = say(
            lang,
            "thiết lập và danh bạ lấy từ bản sao lưu; hãy kiểm tra địa chỉ trong `config.toml` và tệp đăng nhập",
            "settings and directory came from the backup; check the addresses in `config.toml` and the login file",
        );
        line!(text, "  {brought}");
    }
    match value["settled"].as_str() {
        Some("undone") => {
            let undone = say(
                lang,
                "một lần khôi phục bị ngắt trước đó đã được hoàn lại",
                "an earlier restore that was broken off was undone first",
            );
            line!(text, "  {undone}");
        }
        Some(_) => {
            let finished = say(
                lang,
                "một lần khôi phục bị ngắt trước đó đã được hoàn tất",
                "an earlier restore that was broken off was finished first",
            );
            line!(text, "  {finished}");
        }
        None => {}
    }
    let life = say(lang, "Trạm bắt đầu lần", "The station starts incarnation");
    line!(text, "{life} {}.", field(value, "incarnation"));
    let next = match lang {
        Lang::Vi => {
            "Điều gì xảy ra bây giờ:\n  \
             - Khi chạy lại (`tram-node run`), trạm báo cho mọi đơn vị đã trao đổi rằng dữ liệu được khôi \
             phục, rồi gửi lại văn bản chưa có biên nhận.\n  \
             - Thứ tự được bảo đảm trong cùng một lần; giữa hai lần thì không.\n  \
             - Văn bản gửi đi sau thời điểm sao lưu chỉ còn ở nơi nhận; văn bản đến sau thời điểm đó được \
             nơi gửi gửi lại.\n\
             Cần kiểm tra:\n  \
             - `tram-node alarms`: mục «nơi khác giữ sự kiện mà tại đây đã mất» là văn bản đi không còn ở \
             đây.\n  \
             - `tram-node outgoing`, `tram-node incoming`: đối chiếu với sổ từ thời điểm sao lưu.\n  \
             - Bảo đảm không còn máy nào khác chạy với cùng khóa."
        }
        Lang::En => {
            "What happens now:\n  \
             - When it runs again (`tram-node run`), the station tells every correspondent that its data was \
             restored, and sends again what has no receipt.\n  \
             - Order is promised within an incarnation, not across two.\n  \
             - What was sent after the backup exists only at its recipients; what arrived after it is asked \
             back, and its senders send it again.\n\
             What to check:\n  \
             - `tram-node alarms`: «elsewhere an event is held that is lost here» is a document sent that is \
             not here any more.\n  \
             - `tram-node outgoing`, `tram-node incoming`: compare with the registers since the backup.\n  \
             - That no other machine runs with the same key."
        }
    };
    line!(text, "{next}");
    text
}
