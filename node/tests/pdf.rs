//! Signatures inside PDF files: pyHanko's samples (`pdf/README.md`), good ones and bad ones.

use std::path::{Path, PathBuf};

use node::pdf::{Checker, PdfError, PdfOutcome, PdfReport, PdfSignature, PdfTrust, verdicts};
use proptest::prelude::*;
use schema::time::Millis;

use PdfOutcome::{ChangedAfterSigning, Invalid, Undetermined, Valid};

/// 2027-01-15, a short time after the samples were made.
const AT: Millis = Millis(1_800_000_000_000);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pdf")
}

fn sample(name: &str) -> Vec<u8> {
    let path = folder().join(name).with_extension("pdf");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn trust() -> PdfTrust {
    let trust = PdfTrust::read(&folder().join("trust")).expect("the folder is there");
    assert!(trust.refused.is_empty(), "{:?}", trust.refused);
    trust
}

fn judge(bytes: &[u8]) -> Result<PdfReport, PdfError> {
    verdicts(bytes, &trust(), AT)
}

fn signatures(name: &str) -> Vec<PdfSignature> {
    judge(&sample(name)).unwrap_or_else(|error| panic!("{name}: {error}")).signatures
}

fn codes(signature: &PdfSignature) -> Vec<&str> {
    signature.reasons.iter().chain(&signature.warnings).map(|remark| remark.code.as_str()).collect()
}

/// Outcome of each signature, and a code that must be among what is said about it.
#[track_caller]
fn check(name: &str, expected: &[(PdfOutcome, &str)]) {
    let found = signatures(name);
    assert_eq!(found.len(), expected.len(), "{name}: {found:#?}");
    for (signature, (outcome, code)) in found.iter().zip(expected) {
        let said = codes(signature);
        assert_eq!(signature.outcome, *outcome, "{name}: {said:?}");
        assert!(said.contains(code), "{name}: {said:?}");
    }
}

#[test]
fn sound_signatures_are_valid_and_say_that_revocation_was_not_checked() {
    for name in ["rsa-pades", "rsa-adbe", "rsa-pss", "p256", "p384", "visible", "certified"] {
        check(name, &[(Valid, "revocation-not-checked")]);
        let [signature] = &signatures(name)[..] else { panic!("{name}") };
        assert!(signature.identified && signature.covers_whole_file, "{name}");
        assert!(signature.claimed_at.is_some_and(|at| AT.since(at) > 0), "{name}");
        assert_eq!(signature.signed_bytes, sample(name).len() as u64, "{name}");
    }
    let [an] = &signatures("rsa-pades")[..] else { panic!("one signature") };
    assert_eq!(an.signer.as_deref(), Some("Nguyễn Văn An"));
    assert_eq!(an.issuer.as_deref(), Some("Cơ quan cấp kiểm thử, Kiểm thử Trạm"));
    assert_eq!(judge(&sample("plain")).expect("a PDF"), PdfReport { signatures: vec![], warnings: vec![] });
}

#[test]
fn signers_whom_nobody_here_knows_are_undetermined_and_not_identified() {
    for name in ["untrusted", "imposter"] {
        check(name, &[(Undetermined, "issuer-not-trusted")]);
        assert!(!signatures(name)[0].identified, "{name}");
    }
    let report = verdicts(&sample("p256"), &PdfTrust::none(), AT).expect("a PDF");
    assert_eq!(report.signatures[0].outcome, Undetermined);
    assert!(codes(&report.signatures[0]).contains(&"no-roots"));
}

#[test]
fn what_is_not_verified_here_is_undetermined_and_says_so() {
    check("sha1", &[(Undetermined, "signature-unread")]);
    check("p256-sha512", &[(Undetermined, "signature-unread")]);
    check("rsa-pss-long-salt", &[(Undetermined, "signature-unread")]);
    assert_eq!(judge(&sample("encrypted")), Err(PdfError::Encrypted));
    assert_eq!(judge(b"PK\x03\x04"), Err(PdfError::NotPdf));
    assert_eq!(judge(b"%PDF-1.7\nnothing"), Err(PdfError::Unreadable));
}

#[test]
fn certificates_count_in_their_period_and_for_what_they_are() {
    check("expired", &[(Invalid, "expired-at-signing")]);
    check("other-usage", &[(Invalid, "wrong-usage")]);
    let later = Millis(4_000_000_000_000);
    let report = verdicts(&sample("p256"), &trust(), later).expect("a PDF");
    assert_eq!(report.signatures[0].outcome, Undetermined);
    assert!(codes(&report.signatures[0]).contains(&"expired-before-proof"));
}

#[test]
fn certificate_that_was_exchanged_for_another_one_of_the_same_key_is_found() {
    check("exchanged", &[(Invalid, "certificate-exchanged")]);
    let [signature] = &signatures("exchanged")[..] else { panic!("one signature") };
    assert!(codes(signature).contains(&"signature-made"), "the key is the same");
    assert!(!signature.identified);
}

/// A later revision with these objects, as any program would write it.
fn updated(bytes: &[u8], objects: &[(u32, String)]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    let number_after = |what: &str| -> usize {
        let after = &text[text.rfind(what).expect("it is there") + what.len()..];
        after.split_whitespace().next().expect("a number").parse().expect("a number")
    };
    let (previous, size) = (number_after("startxref"), number_after("/Size"));
    let (mut bytes, mut table, mut size) =
        (bytes.to_vec(), String::new(), u32::try_from(size).expect("small"));
    for (number, object) in objects {
        table.push_str(&format!("{number} 1\n{:010} 00000 n \n", bytes.len()));
        bytes.extend_from_slice(format!("{number} 0 obj\n{object}\nendobj\n").as_bytes());
        size = size.max(number + 1);
    }
    let xref = bytes.len();
    let trailer = format!("<</Size {size}/Root 1 0 R/Info 6 0 R/Prev {previous}>>");
    bytes
        .extend_from_slice(format!("xref\n{table}trailer\n{trailer}\nstartxref\n{xref}\n%%EOF\n").as_bytes());
    bytes
}

/// The signature of one revision, named once more by a later one.
#[test]
fn signature_that_its_own_revision_does_not_have_is_invalid() {
    let sound = sample("rsa-pades");
    let untouched = updated(&sound, &[(30, "<</Any 1>>".to_owned())]);
    let [signature] = &judge(&untouched).expect("a PDF").signatures[..] else { panic!("one signature") };
    assert_eq!((signature.outcome, codes(signature)[0]), (Undetermined, "end-not-covered"));

    let gap = position(&sound, b"/Contents <");
    let begin = gap - sound[..gap].iter().rev().position(|byte| *byte == b'<').expect("a dictionary") - 2;
    let end = gap + position(&sound[gap..], b"endobj");
    let copy = String::from_utf8(sound[begin..end].to_vec()).expect("ASCII").trim().to_owned();
    let report = judge(&updated(&sound, &[(30, copy)])).expect("a PDF");
    let outcomes: Vec<_> = report.signatures.iter().map(|one| (one.outcome, codes(one)[0])).collect();
    assert_eq!(outcomes, [(Undetermined, "end-not-covered"), (Invalid, "not-in-its-revision")]);
}

#[test]
fn further_signatures_leave_the_first_one_valid_and_warn() {
    check("two", &[(Valid, "later-signature-visible"), (Valid, "whole-file")]);
    check("prepared-fields", &[(Valid, "only-signatures-follow"), (Valid, "whole-file")]);
    let first = &signatures("two")[0];
    assert!(!first.covers_whole_file);
    assert_eq!(first.signed_bytes, sample("rsa-pades").len() as u64);
    let report = judge(&sample("two")).expect("a PDF");
    assert_eq!(report.warnings[0].code, "several-signatures");
}

#[test]
fn additions_that_nobody_trusted_has_signed_leave_nothing_valid() {
    check("two-second-untrusted", &[(Undetermined, "end-not-covered"), (Undetermined, "issuer-not-trusted")]);
    check("dss", &[(Undetermined, "end-not-covered")]);
    check("stray", &[(Undetermined, "end-not-covered")]);
}

#[test]
fn shadow_attacks_and_changes_after_signing_are_called_so() {
    check("changed", &[(ChangedAfterSigning, "object-overridden")]);
    check("shadow-hidden", &[(ChangedAfterSigning, "object-supplied")]);
    check("shadow-replaced", &[(ChangedAfterSigning, "object-overridden")]);
    check("certified-then-signed", &[(ChangedAfterSigning, "changes-forbidden"), (Valid, "whole-file")]);
    // Somebody else's sound signature over a change does not make the first one whole.
    check("changed-then-signed", &[(ChangedAfterSigning, "object-overridden"), (Valid, "whole-file")]);
}

#[test]
fn signature_that_was_taken_out_of_the_objects_leaves_a_warning() {
    let mut bytes = sample("p256");
    bytes.extend_from_slice(b"% /ByteRange\n");
    let report = judge(&bytes).expect("a PDF");
    assert!(report.warnings.iter().any(|warning| warning.code == "signatures-hidden"), "{report:#?}");
    assert_ne!(report.signatures[0].outcome, Valid);
}

fn position(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).expect("it is there")
}

/// The forgeries of 2019 (universal signature forgery, signature wrapping), made from a sound file.
#[test]
fn forged_byte_ranges_are_invalid() {
    let sound = sample("rsa-pades");
    let range = position(&sound, b"/ByteRange [") + b"/ByteRange [".len();
    let length = position(&sound[range..], b"]");
    let field = sound[range..range + length].to_vec();
    let numbers = String::from_utf8(field).expect("digits");
    let numbers: Vec<usize> =
        numbers.split_whitespace().map(|number| number.parse().expect("a number")).collect();
    let with = |numbers: &[usize]| {
        let mut bytes = sound.clone();
        let text: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        // What follows the list in the samples is blank, so a longer one fits.
        let text = format!("{}]", text.join(" "));
        bytes[range..=range + length].fill(b' ');
        bytes[range..range + text.len()].copy_from_slice(text.as_bytes());
        judge(&bytes).expect("a PDF").signatures.remove(0)
    };
    let [_, first, second, rest] = numbers[..] else { panic!("four numbers") };
    assert_eq!(with(&numbers).outcome, Valid);
    for forged in [
        vec![0, first, second],
        vec![0, first, second, rest, 0],
        vec![1, first - 1, second, rest],
        vec![0, first, second, rest + 1],
        vec![0, first - 1, second, rest],
        vec![0, first + 1, second, rest],
        vec![0, first, second + 1, rest - 1],
        vec![0, first, first, rest],
        vec![0, second, first, rest],
        vec![],
    ] {
        let judged = with(&forged);
        assert_eq!(judged.outcome, Invalid, "{forged:?}: {:?}", codes(&judged));
    }
    assert_ne!(with(&[0, first, second, rest - 1]).outcome, Valid);
}

/// The same signature with indefinite lengths, as some signing services write it: what was signed does not include it.
#[test]
fn signature_in_ber_is_the_same_signature() {
    let mut bytes = sample("p384");
    let gap = position(&bytes, b"/Contents <") + b"/Contents <".len();
    let end = gap + position(&bytes[gap..], b">");
    let digits = std::str::from_utf8(&bytes[gap..end]).expect("digits");
    let octet = |n: usize| u8::from_str_radix(&digits[n..n + 2], 16).expect("two digits");
    let der: Vec<u8> = (0..digits.len()).step_by(2).map(octet).collect();
    let value = |bytes: &[u8]| {
        assert_eq!(bytes[1], 0x82, "a length of two bytes");
        bytes[4..4 + usize::from(bytes[2]) * 256 + usize::from(bytes[3])].to_vec()
    };
    let message = value(&der);
    let (kind, rest) = message.split_at(11);
    let data = value(&value(rest));
    let ber = [&[0x30, 0x80], kind, &[0xa0, 0x80, 0x30, 0x80], &data, &[0; 6]].concat();
    let text = schema::id::hex(&ber);
    bytes[gap..end].fill(b'0');
    bytes[gap..gap + text.len()].copy_from_slice(text.as_bytes());
    assert_eq!(judge(&bytes).expect("a PDF").signatures[0].outcome, Valid);
    // Something else behind it in its own place is no padding.
    bytes[end - 1] = b'1';
    let judged = &judge(&bytes).expect("a PDF").signatures[0];
    assert_eq!((judged.outcome, codes(judged)[0]), (Undetermined, "signature-unread"));
}

#[test]
fn every_flipped_byte_of_what_is_signed_is_found() {
    let sound = sample("p256");
    let trust = trust();
    let outcome = |bytes: &[u8]| {
        verdicts(bytes, &trust, AT).map(|report| report.signatures.first().map(|one| one.outcome))
    };
    assert_eq!(outcome(&sound), Ok(Some(Valid)));
    let gap = position(&sound, b"/Contents <") + b"/Contents ".len();
    let end = gap + position(&sound[gap..], b">");
    for place in (0..sound.len()).filter(|place| !(gap..=end).contains(place)) {
        let mut bytes = sound.clone();
        bytes[place] ^= 1;
        assert_ne!(outcome(&bytes), Ok(Some(Valid)), "byte {place}");
    }
    for cut in (0..sound.len()).step_by(7) {
        assert_ne!(outcome(&sound[..cut]), Ok(Some(Valid)), "cut at {cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// In the signature itself some bits mean nothing (the case of a digit, what no attribute is read for): what comes out
    /// then is the same verdict about the same bytes.
    #[test]
    fn damaged_files_never_panic_and_are_never_valid_with_other_bytes(
        name in prop::sample::select(vec!["rsa-pades", "p256", "two", "shadow-hidden", "dss"]),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.3, any::<prop::sample::Index>()),
        more in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let sound = sample(name);
        let mut bytes = sound.clone();
        for (place, byte) in hits {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
            bytes.extend_from_slice(&more);
        }
        if let Ok(report) = judge(&bytes) {
            for signature in report.signatures.iter().filter(|signature| signature.outcome == Valid) {
                let covered = usize::try_from(signature.signed_bytes).expect("small");
                let differs = (0..covered).find(|place| bytes.get(*place) != sound.get(*place));
                let is_contents = |place: usize| bytes[place].is_ascii_hexdigit();
                prop_assert!(differs.is_none_or(is_contents), "{name}: {signature:#?}");
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = judge(&[b"%PDF-1.7\n".as_slice(), &bytes].concat());
        let _ = schema::trust::pades::OpenSignature::parse(&bytes);
    }
}

fn checker() -> Checker {
    Checker::new(env!("CARGO_BIN_EXE_tram-node").into(), Some(folder().join("trust")))
}

#[test]
fn child_process_says_the_same() {
    for name in ["rsa-pades", "two", "shadow-hidden", "encrypted", "plain"] {
        let bytes = sample(name);
        let said = checker().check(&mut &bytes[..], bytes.len() as u64, AT).expect("a child");
        assert_eq!(said, judge(&bytes), "{name}");
    }
    let too_large = node::pdf::FILE_BYTES_MAX as u64 + 1;
    let said = checker().check(&mut std::io::empty(), too_large, AT).expect("no child");
    assert_eq!(said, Err(PdfError::TooLarge));
    let nobody = Checker::new("/nowhere/tram-node".into(), None);
    assert_eq!(nobody.check(&mut std::io::empty(), 0, AT).expect("no child"), Err(PdfError::NoReader));
}

/// 40 MB of empty dictionaries in one object: lopdf would take gigabytes for them.
#[test]
fn file_that_takes_more_memory_than_it_is_given_is_undetermined() {
    let mut bytes =
        b"%PDF-1.7\n1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n2 0 obj\n<</Type/Pages/Kids[]/Count 0/X["
            .to_vec();
    bytes.extend(b"<<>>".repeat(10_000_000));
    bytes.extend_from_slice(b"]>>\nendobj\n");
    let xref = bytes.len();
    let second = position(&bytes, b"2 0 obj");
    let table = format!(
        "xref\n0 3\n0000000000 65535 f \n0000000009 00000 n \n{second:010} 00000 n \ntrailer\n<</Size 3/Root 1 0 R>>\nstartxref\n{xref}\n%%EOF"
    );
    bytes.extend_from_slice(table.as_bytes());
    let said = checker().check(&mut &bytes[..], bytes.len() as u64, AT).expect("a child");
    assert_eq!(said, Err(PdfError::TooCostly));
}
