//! What `tram ca` prints: text and JSON of the same thing. Subjects are printed masked, here and everywhere.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use schema::id::hex;
use schema::time::Millis;
use schema::trust::CertificateHash;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::approval::Approver;
use super::authority::{CERTIFICATES, FOUNDING_FILE, REQUEST_FILE};
use super::book::{Book, Reason, Record, SerialNo, Status};
use super::build::{self, Kind};
use super::ending::{Need, Warning};
use super::inventory::Check;
use super::proposal::{Proposal, Terms};
use super::request::Request;
use super::{Opening, Refusal, files};
use crate::calendar;
use crate::table::{Align, Table};

fn day(seconds: u64) -> String {
    calendar::date_of(Millis(seconds.saturating_mul(Millis::SECOND))).to_string()
}

fn fingerprint(folder: &Path, name: &str) -> Result<String> {
    let der = files::read(&folder.join(name), files::SMALL_FILE_BYTES_MAX)?;
    Ok(CertificateHash::of(&der).to_string())
}

pub(super) fn founded(folder: &Path, book: &Book) -> Result<(String, Value)> {
    let (mut text, mut json) = if book.is_root() {
        let hash = fingerprint(folder, "ca.der")?;
        let text = format!(
            "root `{}`: {}\nSHA-256 of its certificate: {hash}\n\
             Tell this number to every province by another way than the certificate. Keep the folder off line;\n\
             keep a copy of it and of the passphrase in another safe.\n",
            book.subject,
            folder.join("ca.pem").display()
        );
        let json = json!({"kind": "root", "subject": book.subject.to_string(), "folder": folder,
            "certificate_sha256": hash});
        (text, json)
    } else {
        let request = folder.join(REQUEST_FILE);
        let hash = hex(&Request::read(&request)?.hash());
        let text = format!(
            "authority `{}`, not certified yet\ncarry this to the root's keeper: {}\nSHA-256 of the request: {hash}\n\
             Tell this number to those who approve at the root: it is what they compare before they sign.\n",
            book.subject,
            request.display()
        );
        let json = json!({"kind": "authority", "subject": book.subject.to_string(), "folder": folder,
            "request": request, "request_sha256": hash});
        (text, json)
    };
    json["approvers"] = json!(book.approvers);
    if book.founding().is_some() {
        let founding = folder.join(FOUNDING_FILE);
        if !book.is_root() {
            writeln!(text, "SHA-256 of its key: {}", key_shown(&hex(&book.spki)))?;
        }
        text += &format!(
            "Have every approver sign who approves (`tram ca approve`): {}\n\
             Then take in all of their files: tram ca issue {} founding --approval FILE --approval FILE …\n\
             Nothing is certified before that.\n",
            founding.display(),
            folder.display()
        );
        json["founding"] = json!(founding);
    } else if !book.is_root() {
        text += "One person issues here. For a second one: `tram ca request-approvers`.\n";
    }
    Ok((text, json))
}

fn approver_lines(approvers: &[Approver]) -> String {
    let line = |approver: &Approver| format!("  {} (khóa/key {})\n", approver.name, approver.key);
    approvers.iter().map(line).collect()
}

/// SHA-256 of a key, as far as anybody compares it.
fn key_shown(spki: &str) -> String {
    let bytes = data_encoding::HEXLOWER.decode(spki.as_bytes()).unwrap_or_default();
    hex(&Sha256::digest(bytes))
}

/// A proposal for people, in Vietnamese and in English: who approves need not be an operator. Citizen numbers are masked.
pub(super) fn terms(proposal: &Proposal) -> Result<String> {
    let at = calendar::shown(proposal.proposed_at);
    let mut text = format!("ĐỀ NGHỊ / REQUEST {}, lập lúc / made {at}\n", proposal.id);
    match &proposal.terms {
        Terms::Authority { subject, place, request, days, .. } => {
            write!(
                text,
                "Cấp chứng thư cho cơ quan cấp chứng thư / To certify the authority:\n  {subject}\n\
                 được cấp cho mọi đơn vị thuộc / for everything below: {place}\n\
                 trong / for {days} ngày / days\n\
                 SHA-256 của yêu cầu / of its request: {request}\n\
                 Chỉ ký sau khi cơ quan đó đã đọc số này qua điện thoại hoặc giấy.\n\
                 Sign only after that authority has told you this number by telephone or on paper.\n"
            )?;
        }
        Terms::Approvers { approvers } => {
            text += "Từ nay chỉ những người này phê duyệt / From now on exactly these approve:\n";
            text += &approver_lines(approvers);
        }
        Terms::Founding { subject, spki, certificate, approvers, .. } => {
            let number = match certificate {
                Some(hash) => format!("SHA-256 của chứng thư / of its certificate: {hash}"),
                None => format!("SHA-256 của khóa / of its key: {}", key_shown(spki)),
            };
            write!(
                text,
                "Lập cơ quan / To found the authority:\n  {subject}\n{number}\n\
                 Người phê duyệt, đúng {count} người / Who approves, exactly {count}:\n{}\
                 Chỉ ký nếu biết rõ từng người và đã hỏi khóa của họ, và số trên đúng với số được thông báo.\n\
                 Sign only if you know every one of them and have asked them for their key, and if the number above is\n\
                 the one that you were told.\n",
                approver_lines(approvers),
                count = approvers.len(),
            )?;
        }
        Terms::Leaf { kind, subject, spki, request, days, device, renews } => {
            let whom = if matches!(kind, Kind::Officer) {
                "cá nhân / To certify the person"
            } else {
                "đơn vị / To certify the office"
            };
            writeln!(text, "Cấp chứng thư cho {whom}:\n  {subject}\ntrong / for {days} ngày / days")?;
            if let Some(serial) = renews {
                writeln!(text, "thay chứng thư / in place of certificate {serial}")?;
            }
            writeln!(text, "SHA-256 của khóa / of the key: {}", key_shown(spki))?;
            if let Some(device) = device {
                writeln!(text, "khóa lưu trong / the key lies in: {device}")?;
            }
            if request.is_none() {
                text += "Khóa do cơ quan cấp nêu, chưa ai chứng minh đang giữ khóa này.\n\
                         The key was named by the authority: nobody has proven here to hold it.\n";
            }
        }
        Terms::Revocation { serial, subject, reason, invalid_from } => {
            let what = match reason {
                Reason::CertificateHold => "Tạm dừng chứng thư / To suspend certificate",
                _ => "Thu hồi chứng thư / To revoke certificate",
            };
            writeln!(text, "{what} {serial}:\n  {subject}\nlý do / reason: {}", reason.as_str())?;
            if let Some(from) = invalid_from {
                writeln!(text, "không tin cậy từ / not believed from: {}", calendar::shown(*from))?;
            }
        }
        Terms::Release { serial, subject } => {
            writeln!(
                text,
                "Bỏ tạm dừng chứng thư / To lift the suspension of certificate {serial}:\n  {subject}"
            )?;
        }
    }
    Ok(text)
}

/// A proposal for programs, citizen numbers masked: the proposal itself stays in its file.
pub(super) fn terms_json(proposal: &Proposal) -> Result<Value> {
    let mut json = serde_json::to_value(proposal)?;
    if let Some(terms) = json["terms"].as_object_mut() {
        for terms in terms.values_mut().filter(|terms| terms.get("subject").is_some()) {
            let subject = match &proposal.terms {
                Terms::Authority { subject, .. }
                | Terms::Founding { subject, .. }
                | Terms::Leaf { subject, .. }
                | Terms::Revocation { subject, .. }
                | Terms::Release { subject, .. } => subject.to_string(),
                Terms::Approvers { .. } => continue,
            };
            terms["subject"] = json!(subject);
        }
    }
    Ok(json)
}

pub(super) fn proposed(
    folder: &Path,
    book: &Book,
    proposal: &Proposal,
    path: &Path,
) -> Result<(String, Value)> {
    let of_the_first = book.approvers.is_empty();
    let who = match (proposal.new_approvers(), book.approvals_needed()) {
        (Some(first), _) if of_the_first => format!("all {} who are named there", first.len()),
        (_, 1) => "an approver".to_owned(),
        (_, needed) => format!("{needed} different approvers"),
    };
    let text = format!(
        "{}\ngive this to {who}, for `tram ca approve`: {}\nthen: tram ca issue {} {} --approval FILE …\n",
        terms(proposal)?,
        path.display(),
        folder.display(),
        proposal.id
    );
    Ok((text, json!({ "id": proposal.id, "file": path, "proposal": terms_json(proposal)? })))
}

pub(super) fn installed(folder: &Path, book: &Book) -> (String, Value) {
    let Some(own) = &book.own else { return (String::new(), Value::Null) };
    let text = format!(
        "`{}` is certified until {}\nSHA-256 of the root's certificate: {}\n\
         Compare this number with what the root's keeper told you. First revocation list: {}\n",
        book.subject,
        day(own.not_after_s),
        own.root,
        folder.join("lists/list.pem").display()
    );
    let json = json!({"subject": book.subject.to_string(), "certificate_sha256": own.certificate,
        "root_sha256": own.root, "until": day(own.not_after_s)});
    (text, json)
}

fn record_json(record: &Record, now: Millis) -> Value {
    json!({
        "serial": record.words.serial,
        "kind": record.words.kind.label(),
        "subject": record.words.subject.to_string(),
        "office": match &record.words.kind {
            Kind::Office(office) => Some(office),
            Kind::Root | Kind::Delegated(_) | Kind::Officer => None,
        },
        "status": record.status(now),
        "from": day(record.words.not_before_s),
        "until": day(record.words.not_after_s),
        "days_left": (record.words.not_after_s + 1).saturating_sub(now.0 / Millis::SECOND) / 86_400,
        "sha256": record.hash,
        "device": record.device,
        "renews": record.renews,
        "revoked": record.revoked.map(|entry| json!({
            "at": calendar::shown(entry.revoked_at), "reason": entry.reason,
            "invalid_from": entry.invalid_from.map(calendar::shown),
        })),
        "minutes": record.minutes,
    })
}

pub(super) fn issued(folder: &Path, book: &Book, serial: SerialNo) -> (String, Value) {
    let path = folder.join(CERTIFICATES).join(format!("{serial}.pem"));
    let Some(record) = book.certificates.get(&serial) else { return (String::new(), Value::Null) };
    let text = format!(
        "certificate {serial} for `{}`, until {}\n{}\n",
        record.words.subject,
        day(record.words.not_after_s),
        path.display()
    );
    let mut text = text;
    let own = folder.join("ca.pem");
    text += &match record.words.kind {
        Kind::Delegated(_) => format!(
            "carry it there together with `{}`, for `tram ca install`; also take along the root's newest\n\
            list, `{}`: stations need it\n",
            own.display(),
            folder.join("lists/list.pem").display()
        ),
        Kind::Office(_) => format!("give it to the office, together with `{}`\n", own.display()),
        Kind::Officer => format!("give it to the person, together with `{}`\n", own.display()),
        Kind::Root => String::new(),
    };
    let mut json = record_json(record, record.issued_at);
    json["file"] = json!(path);
    (text, json)
}

pub(super) fn list(opening: &Opening, only_in_use: bool, now: Millis) -> Result<(String, Value, bool)> {
    let book = opening.book();
    let counts = opening.counts(now)?;
    let warnings = opening.warnings(now);
    let mut table = Table::new(&[
        ("status", Align::Left),
        ("kind", Align::Left),
        ("subject", Align::Left),
        ("device", Align::Left),
        ("until", Align::Left),
        ("serial", Align::Left),
    ]);
    let shown = |record: &&Record| !only_in_use || record.status(now) == Status::InUse;
    let mut records: Vec<&Record> = book
        .certificates
        .values()
        .filter(|record| Some(*record) != book.root_record())
        .filter(shown)
        .collect();
    records.sort_by_key(|record| record.issued_at);
    for record in &records {
        let words = &record.words;
        table.row([
            record.status(now).label().to_owned(),
            words.kind.label().to_owned(),
            words.subject.to_string(),
            record.device.clone().unwrap_or_default(),
            day(words.not_after_s),
            words.serial.to_string(),
        ]);
    }
    let mut text = format!("`{}`\n{table}\n{counts}\n", book.subject);
    if !book.is_root() && book.own.is_none() {
        text += "NOT CERTIFIED YET: carry `request.csr.pem` to the root's keeper, take in the answer with `tram ca install`\n";
    }
    if !counts.reconcile {
        text += "THE COUNTS DO NOT RECONCILE: run `tram ca check`, it names the certificate\n";
    }
    for warning in &warnings {
        writeln!(text, "{}", warning_text(warning))?;
    }
    let waiting: Vec<&Proposal> =
        book.proposals.values().filter(|record| !record.done).map(|record| &record.proposal).collect();
    for proposal in &waiting {
        write!(text, "\nwaiting for approvals:\n{}", terms(proposal)?)?;
    }
    let waiting = waiting.into_iter().map(terms_json).collect::<Result<Vec<_>>>()?;
    let records: Vec<Value> = records.iter().map(|record| record_json(record, now)).collect();
    let json = json!({"subject": book.subject.to_string(), "counts": counts, "warnings": warnings,
        "certificates": records, "waiting": waiting,
        "list": book.newest_list().map(|list| json!({"number": list.number, "until": day(list.next_update_s)}))});
    Ok((text, json, counts.reconcile))
}

fn warning_text(warning: &Warning) -> String {
    let serial = warning.serial.map_or_else(String::new, |serial| format!(" {serial}"));
    let Warning { subject, days_left, threshold_days, urgent, what_to_do, .. } = warning;
    let how_near = match (threshold_days, urgent) {
        (0, _) => "OVER".to_owned(),
        (_, true) => format!("URGENT, {days_left} days left"),
        _ => format!("{days_left} days left (within {threshold_days})"),
    };
    format!("{how_near}:{serial} {subject}: {what_to_do}")
}

pub(super) fn needs(needs: &[Need]) -> String {
    if needs.is_empty() {
        return "every office has what it needs, and so has the authority itself\n".to_owned();
    }
    let mut table = Table::new(&[("who", Align::Left), ("needs", Align::Left), ("id", Align::Left)]);
    for need in needs {
        let id = need.office.map_or_else(String::new, |office| office.to_string());
        table.row([need.name.clone(), need.what.clone(), id]);
    }
    table.to_string()
}

pub(super) fn one(opening: &Opening, serial: SerialNo, now: Millis) -> Result<(String, Value)> {
    let record = opening.book().certificates.get(&serial).ok_or(Refusal::UnknownSerial { serial })?;
    let mut json = record_json(record, now);
    let key = build::certified_key(&record.words.spki)?.key().describe();
    json["key"] = json!(key);
    json["issued_at"] = json!(calendar::shown(record.issued_at));
    let mut text = String::new();
    for (name, value) in json.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
        match value {
            Value::String(value) => writeln!(text, "{name:<12}  {value}")?,
            other => writeln!(text, "{name:<12}  {other}")?,
        }
    }
    Ok((text, json))
}

pub(super) fn checks(checks: &[Check]) -> String {
    let mut text = String::new();
    for check in checks {
        let word = if check.broken.is_empty() { "ok    " } else { "BROKEN" };
        let _ = writeln!(text, "{word}  {} ({})", check.what, check.looked_at);
        for line in &check.broken {
            let _ = writeln!(text, "        {line}");
        }
    }
    text
}
