//! Which commands are taken, and what is said to the others.

use super::*;

#[test]
fn document_goes_to_each_recipient_once() {
    check([], asks(&[B, A, B]), &["Dispatch to 2"]);
}

#[test]
fn document_is_sent_once_ever() {
    let refused = format!("refused: document `{}` was sent before", document(1));
    check([sends(1)], asks(&[B]), &[refused.as_str()]);
}

#[test]
fn recipients_are_checked_before_anything_is_recorded() {
    check([], asks(&[]), &["refused: the document has no recipients"]);
    check([], asks(&[ME]), &["refused: the document is addressed to the sending office itself"]);
    let unknown = format!("refused: recipient `{STRANGER}` is not in directory version 1");
    check([], asks(&[A, STRANGER]), &[unknown.as_str()]);
    let idle = OfficeId::new([8; 16]);
    let not_enrolled =
        format!("refused: recipient `{idle}` has no station yet: it has no relay in directory version 1");
    check([], asks(&[idle]), &[not_enrolled.as_str()]);
    let many: Vec<OfficeId> =
        (0..=DOCUMENT_RECIPIENTS_MAX as u128).map(|n| OfficeId::new(n.to_be_bytes())).collect();
    let too_many = "refused: the document has 16385 recipients, at most 16384 are possible";
    check([], asks(&many), &[too_many]);
}

#[test]
fn what_sealing_would_refuse_is_refused_as_an_answer() {
    let refused = |rule| format!("refused: the document is refused: the Dispatch breaks a rule: {rule}");
    let file = |n, length| FileRef { hash: FileHash::new([n; 32]), length };
    let with = |files: Vec<FileRef>| {
        let mut dispatch = dispatch(ME, 1);
        let attachment =
            |file| Attachment { name: "a.pdf".into(), media_type: "application/pdf".into(), file };
        dispatch.manifest.attachments = files.into_iter().map(attachment).collect();
        asks_with(&[A], dispatch)
    };
    check([], with(vec![file(1, 5), file(2, 5)]), &["Dispatch to 1"]);
    let absent = FileHash::new([201; 32]);
    let absent = format!("refused: attachment `{absent}` is not here completely; upload it first");
    check([], with(vec![file(1, 5), file(201, 5)]), &[absent.as_str()]);
    let many = (0..=50).map(|n| file(n, 1)).collect();
    for (files, rule) in [
        (vec![file(1, 5), file(1, 5)], "each attachment is named once"),
        (vec![file(1, 0)], "attachments have 1 byte to 2 GiB"),
        (vec![file(1, u64::MAX)], "attachments have 1 byte to 2 GiB"),
        (many, "at most 50 attachments"),
    ] {
        check([], with(files), &[&refused(rule)]);
    }
    let foreign = asks_with(&[A], dispatch(B, 1));
    check([], foreign, &[&refused("the issuing authority is the office that sends")]);
}
