//! What `tram ca` prints: text and JSON of the same thing. Subjects are printed masked, here and everywhere.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use schema::time::Millis;
use schema::trust::CertificateHash;
use serde_json::{Value, json};

use super::approval::{APPROVALS_NEEDED, Proposal, Terms};
use super::authority::{CERTIFICATES, REQUEST_FILE};
use super::book::{Book, Record, SerialNo, Status};
use super::build::{self, Kind};
use super::inventory::{Check, Need, Warning};
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
    if book.is_root() {
        let hash = fingerprint(folder, "ca.der")?;
        let text = format!(
            "root `{}`: {}\nSHA-256 of its certificate: {hash}\n\
             Tell this number to every province by another way than the certificate. Keep the folder off line;\n\
             keep a copy of it and of the passphrase in another safe.\n",
            book.subject,
            folder.join("ca.pem").display()
        );
        let json = json!({"kind": "root", "subject": book.subject.to_string(), "folder": folder,
            "certificate_sha256": hash, "approvers": book.approvers});
        return Ok((text, json));
    }
    let request = folder.join(REQUEST_FILE);
    let text = format!(
        "authority `{}`, not certified yet\ncarry this to the root's keeper: {}\n",
        book.subject,
        request.display()
    );
    let json = json!({"kind": "authority", "subject": book.subject.to_string(), "folder": folder,
        "request": request});
    Ok((text, json))
}

pub(super) fn terms(proposal: &Proposal) -> Result<String> {
    let mut text = format!("request {}, made {}\n", proposal.id, calendar::shown(proposal.proposed_at));
    match &proposal.terms {
        Terms::Authority { subject, place, request, days, .. } => {
            write!(
                text,
                "to certify the authority `{subject}`\n  for everything below `{place}`, for {days} days\n  \
                 SHA-256 of its request: {request}\n"
            )?;
        }
        Terms::Approvers { approvers } => {
            text += "to have these approve from then on\n";
            for approver in approvers {
                writeln!(text, "  {} (key {})", approver.name, approver.key)?;
            }
        }
    }
    Ok(text)
}

pub(super) fn proposed(proposal: &Proposal, path: &Path) -> Result<(String, Value)> {
    let text = format!(
        "{}give this to {APPROVALS_NEEDED} different approvers: {}\n",
        terms(proposal)?,
        path.display()
    );
    Ok((text, json!({ "id": proposal.id, "file": path, "proposal": proposal })))
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
    if matches!(record.words.kind, Kind::Delegated(_)) {
        let root = folder.join("ca.pem");
        text += &format!(
            "carry it there together with `{}`, for `tram ca install`; also take along the root's newest\n\
            list, `{}`: stations need it\n",
            root.display(),
            folder.join("lists/list.pem").display()
        );
    }
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
        write!(text, "waiting for approvals: {}", terms(proposal)?)?;
    }
    let records: Vec<Value> = records.iter().map(|record| record_json(record, now)).collect();
    let json = json!({"subject": book.subject.to_string(), "counts": counts, "warnings": warnings,
        "certificates": records, "waiting": waiting,
        "list": book.newest_list().map(|list| json!({"number": list.number, "until": day(list.next_update_s)}))});
    Ok((text, json, counts.reconcile))
}

fn warning_text(warning: &Warning) -> String {
    let serial = warning.serial.map_or_else(String::new, |serial| format!(" {serial}"));
    let Warning { subject, days_left, threshold_days, .. } = warning;
    match threshold_days {
        0 => format!("OVER:{serial} {subject}"),
        7 => format!("URGENT, {days_left} days left:{serial} {subject}"),
        _ => format!("{days_left} days left (within {threshold_days}):{serial} {subject}"),
    }
}

pub(super) fn needs(needs: &[Need]) -> String {
    if needs.is_empty() {
        return "every office has what it needs\n".to_owned();
    }
    let mut table = Table::new(&[("office", Align::Left), ("needs", Align::Left), ("id", Align::Left)]);
    for need in needs {
        table.row([need.name.clone(), need.what.clone(), need.office.to_string()]);
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
