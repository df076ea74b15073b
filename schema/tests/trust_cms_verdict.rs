//! What an officer's signature on a document is worth: eight findings, each with its words, and what a page shows.

mod signed_document;
mod trust_country;

use schema::time::Millis;
use schema::trust::cms::CmsError;
use schema::trust::{
    Anchors, DetachedSignature, Item, Language, Outcome, SignerView, SigningTime, TrustStore, Verdict,
};
use signed_document::{CONTENT, Officer, Parts, SIGNED_ON, kinds, plan, read};
use trust_country::{
    Authority, COMMON, COUNTRY, Country, HERE, Key, PROVINCE, Plan, Revoked, Why, day, dn, uid,
};

const PROVEN_ON: u64 = SIGNED_ON + 1;
const OFFICERS_SERIAL: u64 = 40;

fn proven(on: u64) -> SigningTime {
    SigningTime::proven(day(on))
}

fn judge(store: &TrustStore, signature: &[u8], time: &SigningTime) -> Verdict {
    store.judge_signature(CONTENT, &read(signature), time, day(110))
}

/// The outcome as a whole, that of one item, and the beginning of its words in both languages.
#[track_caller]
fn check(verdict: &Verdict, item: Item, outcome: Outcome, vietnamese: &str, english: &str) {
    let items: Vec<Item> = verdict.findings().iter().map(|finding| finding.item).collect();
    assert_eq!(items, Item::OF_DOCUMENT, "all eight, in their order");
    let finding = verdict.of(item).expect("every item is reported");
    assert_eq!((verdict.outcome(), finding.outcome), (outcome, outcome), "{verdict:#?}");
    let texts = [Language::Vietnamese, Language::English].map(|language| finding.reason.text(language));
    assert!(texts[0].contains(vietnamese), "`{}` does not say `{vietnamese}`", texts[0]);
    assert!(texts[1].contains(english), "`{}` does not say `{english}`", texts[1]);
}

/// Everything but this item is valid.
#[track_caller]
fn only_trouble(verdict: &Verdict, item: Item) {
    let troubles: Vec<Item> = verdict.troubles().map(|finding| finding.item).collect();
    assert_eq!(troubles, [item], "{verdict:#?}");
}

fn country_and_signature() -> (Country, Vec<u8>) {
    let country = Country::new();
    let signature = Officer::new(&country, Key::ed25519(9)).sign(CONTENT);
    (country, signature)
}

#[test]
fn good_signature_of_every_kind_is_valid_and_says_so_item_by_item() {
    let country = Country::new();
    let store = country.store(&[]);
    let made = ["Ed25519", "ECDSA SHA-256", "ECDSA SHA-384", "RSA SHA-256"];
    let digests = ["SHA-512", "SHA-256", "SHA-384", "SHA-256"];
    for (((kind, key), made), digest) in kinds().into_iter().zip(made).zip(digests) {
        let verdict = judge(&store, &Officer::new(&country, key).sign(CONTENT), &proven(PROVEN_ON));
        assert_eq!(verdict.outcome(), Outcome::Valid, "{kind}: {verdict:#?}");
        let vietnamese = format!("Văn bản toàn vẹn: giá trị băm {digest} trùng khớp.");
        let english = format!("The document is intact: the {digest} digests are equal.");
        check(&verdict, Item::Content, Outcome::Valid, &vietnamese, &english);
        let vietnamese = format!("được tạo bởi khoá tương ứng với chứng thư số ({made})");
        let english = format!("The key of the certificate made the signature ({made}).");
        check(&verdict, Item::Signature, Outcome::Valid, &vietnamese, &english);
        assert!(!verdict.may_change());
        for item in Item::OF_DOCUMENT {
            let texts = [Language::Vietnamese, Language::English].map(|language| item.text(language));
            assert!(texts[0] != texts[1] && !texts[0].is_empty());
        }
    }
}

#[test]
fn changed_document_is_invalid_and_only_its_content_is_blamed() {
    let (country, signature) = country_and_signature();
    let store = country.store(&[]);
    for at in 0..CONTENT.len() {
        let mut content = CONTENT.to_vec();
        content[at] ^= 1;
        let verdict = store.judge_signature(&content, &read(&signature), &proven(PROVEN_ON), day(110));
        check(&verdict, Item::Content, Outcome::Invalid, "đã bị thay đổi sau khi ký", "was changed after");
        only_trouble(&verdict, Item::Content);
    }
    let verdict = store.judge_signature(&[], &read(&signature), &proven(PROVEN_ON), day(110));
    only_trouble(&verdict, Item::Content);
}

#[test]
fn signature_of_another_key_is_invalid() {
    let country = Country::new();
    for (kind, key) in kinds() {
        let signature = Officer::new(&country, key).sign(CONTENT);
        // A stranger's signature of the same kind, or any bytes.
        let mut parts = Parts::of(&signature);
        parts.signer[signed_document::at::SIGNATURE].value()[20] ^= 1;
        let verdict = judge(&country.store(&[]), &parts.encode(), &proven(PROVEN_ON));
        check(
            &verdict,
            Item::Signature,
            Outcome::Invalid,
            "không phải do khoá của chứng thư số",
            "did not make",
        );
        only_trouble(&verdict, Item::Signature);
        assert!(verdict.of(Item::Content).is_some_and(|f| f.outcome == Outcome::Valid), "{kind}");
    }
    let signature = Officer::new(&country, Key::ed25519(9)).sign(CONTENT);
    let forged = Parts::of(&signature).sign(&Key::ed25519(66));
    let verdict = judge(&country.store(&[]), &forged, &proven(PROVEN_ON));
    check(&verdict, Item::Signature, Outcome::Invalid, "hoặc đã bị sửa", "or it was changed");
}

/// P-384 with SHA-256 is what openssl writes unless told otherwise.
#[test]
fn signature_that_does_not_belong_to_the_kind_of_key_is_invalid_and_says_so() {
    let country = Country::new();
    let signature = Officer::new(&country, Key::p256()).sign(CONTENT);
    let other = Officer::new(&country, Key::p384());
    let exchanged = Parts::of(&signature).with_certificate(&other.der).sign(&other.key);
    let verdict = judge(&country.store(&[]), &exchanged, &proven(PROVEN_ON));
    let english = "kind ECDSA SHA-256 does not belong to a key of kind P-384";
    check(&verdict, Item::Signature, Outcome::Invalid, "không dùng được với khoá P-384", english);
    only_trouble(&verdict, Item::Signature);
}

#[test]
fn sha_1_is_invalid_and_called_an_old_algorithm() {
    const SHA1: &[u8] = b"\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a";
    let country = Country::new();
    let officer = Officer::new(&country, Key::rsa_2048(&rcgen::PKCS_RSA_SHA256));
    let mut parts = Parts::of(&officer.sign(CONTENT));
    let identifier = trust_country::Node::parse(SHA1);
    *parts.data[signed_document::at::DIGESTS].members() = vec![identifier.clone()];
    parts.signer[signed_document::at::DIGEST] = identifier;
    let error = DetachedSignature::parse(&parts.sign(&officer.key)).expect_err("SHA-1");
    let verdict = Verdict::on_refused(&error, &proven(PROVEN_ON), day(110));
    let vietnamese = "thuật toán cũ không còn an toàn (SHA-1), phải dùng SHA-256 trở lên";
    check(&verdict, Item::Signature, Outcome::Invalid, vietnamese, "SHA-1, which can be forged");
    check_all_others(&verdict, Outcome::Undetermined);
}

#[track_caller]
fn check_all_others(verdict: &Verdict, outcome: Outcome) {
    let others = verdict.findings().iter().filter(|f| !matches!(f.item, Item::Signature | Item::ProvenTime));
    assert!(others.clone().all(|finding| finding.outcome == outcome), "{verdict:#?}");
    assert_eq!(others.count(), 6);
}

#[test]
fn bytes_that_are_no_signature_have_a_verdict_too() {
    let error = DetachedSignature::parse(b"%PDF-1.7").expect_err("not CMS");
    assert!(matches!(error, CmsError::Encoding(_)));
    let verdict = Verdict::on_refused(&error, &SigningTime::default(), day(110));
    check(&verdict, Item::Signature, Outcome::Invalid, "không theo mã hoá DER", "not in the one encoding");
    assert!(verdict.of(Item::ProvenTime).is_some_and(|f| f.outcome == Outcome::Undetermined));
}

#[test]
fn rsa_of_1024_bits_is_invalid() {
    let country = Country::new();
    let good = Officer::new(&country, Key::rsa_2048(&rcgen::PKCS_RSA_SHA256));
    let small = country.here.issue(&plan(), &Key::rsa_1024());
    let signature = Parts::of(&good.sign(CONTENT)).with_certificate(&small).sign(&Key::rsa_1024());
    let verdict = judge(&country.store(&[]), &signature, &proven(PROVEN_ON));
    check(&verdict, Item::Certificate, Outcome::Invalid, "khoá RSA 1024 bit", "the RSA key has 1024 bits");
    // Nothing can be checked with such a key; the digest can be compared all the same.
    assert!(verdict.of(Item::Signature).is_some_and(|f| f.outcome == Outcome::Undetermined));
    assert!(verdict.of(Item::Content).is_some_and(|f| f.outcome == Outcome::Valid));
}

#[test]
fn unknown_root_is_invalid_and_the_signer_is_not_called_proven() {
    let (country, signature) = country_and_signature();
    let other = Authority::root(Plan::root("Gốc khác"), Key::ed25519(77));
    let mut store = TrustStore::new(Anchors::new([other.der.as_slice()]).expect("a root"));
    assert!(store.add_authority(&country.here.der).is_err());
    let verdict = judge(&store, &signature, &proven(PROVEN_ON));
    check(&verdict, Item::Chain, Outcome::Invalid, "không có gốc tin cậy nào", "no chain leads");
    let view = SignerView::new(&read(&signature), &verdict, &proven(PROVEN_ON));
    assert!(!view.identified && view.integrity == Outcome::Valid);
    let line = &view.lines(Language::Vietnamese)[2];
    assert_eq!(*line, ("Người ký (tự khai, chưa được xác thực)", "Nguyễn Văn A".to_owned()));
}

/// Authorities that come with the signature are offered, not believed.
#[test]
fn embedded_authorities_are_judged_before_they_help() {
    let country = Country::new();
    let officer = Officer::new(&country, Key::ed25519(9));
    let chain = [country.here.der.as_slice(), &country.root.der];
    let signature = read(&officer.sign_with_chain(CONTENT, day(SIGNED_ON), &chain));
    let mut store = TrustStore::new(Anchors::new([country.root.der.as_slice()]).expect("a root"));
    let verdict = store.judge_signature(CONTENT, &signature, &proven(PROVEN_ON), day(110));
    check(&verdict, Item::Chain, Outcome::Invalid, "không có gốc tin cậy nào", "no chain leads");
    assert!(verdict.may_change());
    let taken: Vec<bool> = signature.authorities().map(|der| store.add_authority(der).is_ok()).collect();
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "the province, not the root");
    for authority in [&country.root, &country.here] {
        store.add_list(&authority.list(1, day(100), day(130), &[])).expect("a list");
    }
    let verdict = store.judge_signature(CONTENT, &signature, &proven(PROVEN_ON), day(110));
    assert_eq!(verdict.outcome(), Outcome::Valid, "{verdict:#?}");
}

#[test]
fn office_key_that_signs_a_document_is_invalid() {
    let country = Country::new();
    let good = Officer::new(&country, Key::ed25519(9)).sign(CONTENT);
    let forged = Parts::of(&good).with_certificate(&country.office).sign(&Key::ed25519(4));
    let verdict = judge(&country.store(&[]), &forged, &proven(PROVEN_ON));
    check(
        &verdict,
        Item::Usage,
        Outcome::Invalid,
        "không được cấp để dùng",
        "not issued for this (signing doc",
    );
    only_trouble(&verdict, Item::Usage);
    let authority = Parts::of(&good).with_certificate(&country.here.der).sign(&Key::ed25519(2));
    let verdict = judge(&country.store(&[]), &authority, &proven(PROVEN_ON));
    assert_eq!(verdict.of(Item::Usage).map(|f| f.outcome), Some(Outcome::Invalid));
}

#[test]
fn expired_when_signed_is_invalid() {
    let country = Country::new();
    let key = Key::ed25519(9);
    let officer = Officer::with(&country, &Plan { until: day(40), ..plan() }, key);
    // Whoever signs with our own program cannot even begin.
    let good = officer.sign_at(CONTENT, day(39));
    let late = Parts::of(&good).with_time("260220000000Z").sign(&officer.key);
    let verdict = judge(&country.store(&[]), &late, &proven(PROVEN_ON));
    check(&verdict, Item::Period, Outcome::Invalid, "đã hết hạn khi ký", "had expired when");
    only_trouble(&verdict, Item::Period);

    // Dated back into the period, or honestly signed and sent late: the signer must confirm.
    let verdict = judge(&country.store(&[]), &good, &proven(PROVEN_ON));
    check(&verdict, Item::Period, Outcome::Undetermined, "gửi xác nhận lại", "should confirm it");
}

#[test]
fn expired_now_but_valid_then_is_valid() {
    let country = Country::new();
    let officer = Officer::with(&country, &Plan { until: day(60), ..plan() }, Key::ed25519(9));
    let verdict = judge(&country.store(&[]), &officer.sign(CONTENT), &proven(PROVEN_ON));
    check(&verdict, Item::Period, Outcome::Valid, "nay đã hết hạn từ 02/03/2026", "it has expired since");
}

#[track_caller]
fn check_revoked(revoked: Revoked, time: &SigningTime, outcome: Outcome, vietnamese: &str, english: &str) {
    let (country, signature) = country_and_signature();
    let verdict = judge(&country.store(&[revoked]), &signature, time);
    check(&verdict, Item::Revocation, outcome, vietnamese, english);
}

#[test]
fn revocation_counts_at_the_moment_of_proof() {
    let revoked = |on, why| Revoked::new(OFFICERS_SERIAL, day(on), why);
    let stolen = |on| revoked(on, Why::KeyCompromise);
    let time = proven(PROVEN_ON);
    let (valid, invalid, open) = (Outcome::Valid, Outcome::Invalid, Outcome::Undetermined);
    // Before it was claimed to be signed; between the claim and the proof; after the proof.
    check_revoked(stolen(45), &time, invalid, "đã bị thu hồi khi ký", "had been revoked when");
    check_revoked(
        Revoked { at: day(SIGNED_ON).plus(Millis::HOUR), ..stolen(45) },
        &time,
        open,
        "gửi xác nhận lại",
        "should confirm it",
    );
    check_revoked(stolen(60), &time, valid, "Ký trước khi chứng thư số bị thu hồi", "stays valid");
    check_revoked(revoked(45, Why::CertificateHold), &time, open, "đang bị tạm dừng", "is suspended");
    check_revoked(revoked(60, Why::CertificateHold), &time, valid, "bị tạm dừng", "was suspended");
    check_revoked(revoked(45, Why::AffiliationChanged), &time, invalid, "thay đổi đơn vị", "affiliation");
    // Another officer's.
    check_revoked(
        Revoked { serial: 39, ..stolen(45) },
        &time,
        valid,
        "Không bị thu hồi",
        "Not revoked, by the revocation list",
    );
}

#[test]
fn without_proof_or_without_a_list_nothing_is_valid() {
    let (country, signature) = country_and_signature();
    let verdict = judge(&country.store(&[]), &signature, &SigningTime::default());
    check(&verdict, Item::ProvenTime, Outcome::Undetermined, "Chưa có thời gian tin cậy", "no trusted time");
    assert!(verdict.may_change());
    // What must not wait for a proof is said at once.
    assert!(verdict.of(Item::Content).is_some_and(|f| f.outcome == Outcome::Valid));
    assert!(verdict.of(Item::Signature).is_some_and(|f| f.outcome == Outcome::Valid));

    let verdict = judge(&country.store_without_lists(), &signature, &proven(PROVEN_ON));
    check(&verdict, Item::Revocation, Outcome::Undetermined, "chưa có danh sách", "no revocation list");
    only_trouble(&verdict, Item::Revocation);
}

/// The event that brings a signature says when *it* was recorded; that is nothing about the signature.
#[test]
fn claimed_time_is_the_one_that_was_signed() {
    let (country, signature) = country_and_signature();
    let revoked = [Revoked::new(OFFICERS_SERIAL, day(45), Why::KeyCompromise)];
    for claimed_at in [None, Some(day(1)), Some(day(44)), Some(day(200))] {
        let time = SigningTime { claimed_at, ..proven(PROVEN_ON) };
        let verdict = judge(&country.store(&revoked), &signature, &time);
        check(&verdict, Item::Revocation, Outcome::Invalid, "đã bị thu hồi khi ký", "had been revoked when");
    }
    // A claim after the proof is told.
    let verdict = judge(&country.store(&[]), &signature, &proven(SIGNED_ON - 1));
    check(&verdict, Item::ProvenTime, Outcome::Valid, "đồng hồ bên gửi sai", "its clock is wrong");
}

fn view_of_clerk() -> SignerView {
    let country = Country::new();
    let subject = [
        (COUNTRY, "VN"),
        (PROVINCE, HERE),
        (rcgen::DnType::OrganizationalUnitName, "UBND xã Hy Cương"),
        (rcgen::DnType::CustomDnType(vec![2, 5, 4, 12]), "Chủ tịch"),
        (COMMON, "Nguyễn Văn A 001099012345"),
        (uid(), "CCCD:001099012345"),
    ];
    let officer = Officer::with(&country, &Plan { subject: dn(&subject), ..plan() }, Key::ed25519(9));
    let signature = officer.sign(CONTENT);
    let time = proven(PROVEN_ON);
    SignerView::new(&read(&signature), &judge(&country.store(&[]), &signature, &time), &time)
}

#[test]
fn page_shows_the_points_of_the_norm_in_both_languages() {
    let view = view_of_clerk();
    let vietnamese = [
        ("Kết quả kiểm tra", "hợp lệ"),
        ("Tổ chức cấp chứng thư số", "CA của tỉnh, Tỉnh Phú Thọ"),
        ("Người ký", "Nguyễn Văn A *********345, Chủ tịch"),
        ("Cơ quan, đơn vị quản lý", "UBND xã Hy Cương, Tỉnh Phú Thọ"),
        (
            "Thời gian ký",
            "20/02/2026 07:00:00 +07:00 (theo người ký khai); có bằng chứng tồn tại lúc 21/02/2026 07:00:00 \
             +07:00",
        ),
        ("Tính toàn vẹn của văn bản", "toàn vẹn"),
        ("Hiệu lực của chứng thư số khi ký", "hợp lệ"),
        ("Thời hạn của chứng thư số", "11/01/2026 07:00:00 +07:00 – 01/01/2028 07:00:00 +07:00"),
        ("Số sê-ri của chứng thư số", "35a94402816ec3100000000000000028"),
    ];
    let english = [
        ("Verdict", "valid"),
        ("Issuer of the certificate", "CA của tỉnh, Tỉnh Phú Thọ"),
        ("Signer", "Nguyễn Văn A *********345, Chủ tịch"),
        ("Managing unit", "UBND xã Hy Cương, Tỉnh Phú Thọ"),
        (
            "Time of signing",
            "2026-02-20T00:00:00Z (as the signer says); proven to have existed at 2026-02-21T00:00:00Z",
        ),
        ("Integrity of the document", "intact"),
        ("Certificate when it was signed", "valid"),
        ("Period of the certificate", "2026-01-11T00:00:00Z – 2028-01-01T00:00:00Z"),
        ("Serial number of the certificate", "35a94402816ec3100000000000000028"),
    ];
    for (language, expected) in [(Language::Vietnamese, vietnamese), (Language::English, english)] {
        let lines = view.lines(language);
        let lines: Vec<(&str, &str)> = lines.iter().map(|(label, text)| (*label, text.as_str())).collect();
        assert_eq!(lines, expected);
        assert!(lines.iter().all(|(label, text)| schema::text::require_nfc(label, 200).is_ok()
            && schema::text::require_nfc(text, 2000).is_ok()));
    }
    assert!(view.identified);
    let debug = format!("{view:?}");
    assert!(!debug.contains("001099012345"), "{debug}");
}

#[test]
fn page_tells_a_changed_document_and_an_open_question() {
    let (country, signature) = country_and_signature();
    let store = country.store(&[]);
    let time = SigningTime::default();
    let parsed = read(&signature);
    let changed = store.judge_signature(b"another", &parsed, &time, day(110));
    let view = SignerView::new(&parsed, &changed, &time);
    assert_eq!((view.outcome, view.integrity), (Outcome::Invalid, Outcome::Invalid));
    assert!(view.identified, "who signed is known, only not what");
    assert!(view.lines(Language::Vietnamese)[5].1.contains("đã bị thay đổi"));

    let open = store.judge_signature(CONTENT, &parsed, &time, day(110));
    let view = SignerView::new(&parsed, &open, &time);
    assert_eq!((view.outcome, view.at_signing), (Outcome::Undetermined, Outcome::Undetermined));
    let lines = view.lines(Language::Vietnamese);
    assert_eq!(lines[0].1, "chưa xác định");
    assert!(!lines[4].1.contains("bằng chứng"));
    assert_eq!(lines[3].1, HERE, "where no unit is named, the province manages");

    // A signature over the right digest by another key says nothing about the document.
    let forged = read(&Parts::of(&signature).sign(&Key::ed25519(66)));
    let verdict = store.judge_signature(CONTENT, &forged, &time, day(110));
    let view = SignerView::new(&forged, &verdict, &time);
    assert_eq!((view.identified, view.integrity), (false, Outcome::Invalid));
}
