//! The verdict on a certificate: every cell of the table in `schema::trust::verdict`, with its words.

mod trust_country;

use proptest::prelude::*;
use schema::time::Millis;
use schema::trust::{Item, Language, Outcome, Purpose, SigningTime, TrustStore, Verdict};
use trust_country::{
    Authority, Country, HERE, Key, OFFICE_SERIAL, Plan, Revoked, THERE, Use, Why, day, judge,
};

/// The outcome as a whole, that of one item, and the beginning of its words in both languages.
#[track_caller]
fn check(verdict: &Verdict, item: Item, outcome: Outcome, vietnamese: &str, english: &str) {
    let finding = verdict.of(item).expect("every item is reported");
    assert_eq!((verdict.outcome(), finding.outcome), (outcome, outcome), "{verdict:#?}");
    let texts = [Language::Vietnamese, Language::English].map(|language| finding.reason.text(language));
    assert!(texts[0].contains(vietnamese), "`{}` does not say `{vietnamese}`", texts[0]);
    assert!(texts[1].contains(english), "`{}` does not say `{english}`", texts[1]);
}

#[track_caller]
fn check_revocation(
    revoked: &[Revoked],
    time: &SigningTime,
    outcome: Outcome,
    vietnamese: &str,
    english: &str,
) {
    let country = Country::new();
    let verdict = country.store(revoked).judge(&country.office, Purpose::Event, time, day(110));
    check(&verdict, Item::Revocation, outcome, vietnamese, english);
}

/// What is said about the revocation of the office's certificate, used on this day.
#[track_caller]
fn check_office(
    store: &TrustStore,
    country: &Country,
    on: u64,
    outcome: Outcome,
    vietnamese: &str,
    english: &str,
) {
    check(&judge(store, &country.office, day(on)), Item::Revocation, outcome, vietnamese, english);
}

const EVERY_REASON: [Why; 9] = [
    Why::Unspecified,
    Why::KeyCompromise,
    Why::CaCompromise,
    Why::AffiliationChanged,
    Why::Superseded,
    Why::CessationOfOperation,
    Why::CertificateHold,
    Why::PrivilegeWithdrawn,
    Why::AaCompromise,
];

#[test]
fn good_chain_is_valid_and_says_so_item_by_item() {
    let country = Country::new();
    let store = country.store(&[]);
    let verdict = judge(&store, &country.office, day(50));
    assert_eq!(verdict.outcome(), Outcome::Valid, "{verdict:#?}");
    assert_eq!(
        verdict.findings().iter().map(|finding| finding.item).collect::<Vec<_>>(),
        Item::OF_CERTIFICATE
    );
    assert!(!verdict.may_change());
    check(
        &verdict,
        Item::Revocation,
        Outcome::Valid,
        "Không bị thu hồi, theo danh sách thu hồi lập lúc 11/04/2026 07:00:00 +07:00.",
        "Not revoked, by the revocation list of 2026-04-11T00:00:00Z.",
    );

    let time = SigningTime::proven(day(50));
    let document = store.judge(&country.officer, Purpose::Document, &time, day(110));
    assert_eq!(document.outcome(), Outcome::Valid, "{document:#?}");
}

#[test]
fn officers_may_have_any_allowed_key_and_offices_only_ed25519() {
    let country = Country::new();
    let store = country.store(&[]);
    let time = SigningTime::proven(day(50));
    let keys = [
        Key::ed25519(9),
        Key::p256(),
        Key::p384(),
        Key::rsa_2048(&rcgen::PKCS_RSA_SHA256),
        Key::rsa_2048(&rcgen::PKCS_RSA_SHA512),
    ];
    for (n, key) in keys.iter().enumerate() {
        let officer = country.here.issue(&Plan::officer(HERE, 20), key);
        let verdict = store.judge(&officer, Purpose::Document, &time, day(110));
        assert_eq!(verdict.outcome(), Outcome::Valid, "key {n}: {verdict:#?}");
        let office = country.here.issue(&Plan::office(HERE, 21), key);
        let expected = if n == 0 { Outcome::Valid } else { Outcome::Invalid };
        assert_eq!(judge(&store, &office, day(50)).outcome(), expected, "key {n}");
    }
}

#[test]
fn authorities_may_have_any_allowed_key() {
    let make: [fn() -> Key; 5] = [
        Key::p256,
        Key::p384,
        || Key::rsa_2048(&rcgen::PKCS_RSA_SHA256),
        || Key::rsa_2048(&rcgen::PKCS_RSA_SHA384),
        || Key::rsa_2048(&rcgen::PKCS_RSA_SHA512),
    ];
    for (n, key) in make.into_iter().enumerate() {
        let mut country = Country::new();
        country.root = Authority::root(Plan::root("Gốc khác"), key());
        country.here = country.root.below(Plan::province(HERE), key());
        country.there = country.root.below(Plan { serial: 101, ..Plan::province(THERE) }, Key::ed25519(3));
        country.office = country.here.issue(&Plan::office(HERE, OFFICE_SERIAL), &Key::ed25519(4));
        let verdict = judge(&country.store(&[]), &country.office, day(50));
        assert_eq!(verdict.outcome(), Outcome::Valid, "key {n}: {verdict:#?}");
    }
}

#[test]
fn expired_when_signed_is_invalid() {
    let country = Country::new();
    let plan = Plan { until: day(40), ..Plan::office(HERE, OFFICE_SERIAL) };
    let office = country.here.issue(&plan, &Key::ed25519(4));
    let verdict = judge(&country.store(&[]), &office, day(50));
    check(
        &verdict,
        Item::Period,
        Outcome::Invalid,
        "đã hết hạn khi ký (hết hạn 10/02/2026",
        "had expired when",
    );
}

#[test]
fn expired_now_but_valid_then_is_valid() {
    let country = Country::new();
    let plan = Plan { until: day(60), ..Plan::office(HERE, OFFICE_SERIAL) };
    let office = country.here.issue(&plan, &Key::ed25519(4));
    let verdict = judge(&country.store(&[]), &office, day(50));
    check(&verdict, Item::Period, Outcome::Valid, "nay đã hết hạn từ 02/03/2026", "it has expired since");
}

#[test]
fn authority_that_had_expired_when_it_was_signed_makes_it_invalid() {
    let mut country = Country::new();
    country.here = country.root.below(Plan { until: day(40), ..Plan::province(HERE) }, Key::ed25519(2));
    let verdict = judge(&country.store(&[]), &country.office, day(50));
    check(&verdict, Item::Period, Outcome::Invalid, "đã hết hạn khi ký", "had expired when");
}

#[test]
fn signed_before_the_certificate_began_is_invalid() {
    let country = Country::new();
    let verdict = judge(&country.store(&[]), &country.office, day(5));
    check(&verdict, Item::Period, Outcome::Invalid, "Ký trước khi chứng thư số có hiệu lực", "before");
}

#[test]
fn claimed_in_time_but_proven_after_the_end_is_undetermined() {
    let country = Country::new();
    let plan = Plan { until: day(60), ..Plan::office(HERE, OFFICE_SERIAL) };
    let office = country.here.issue(&plan, &Key::ed25519(4));
    let store = country.store(&[]);
    let time = SigningTime { claimed_at: Some(day(59)), after: None, proven_at: Some(day(70)) };
    let verdict = store.judge(&office, Purpose::Event, &time, day(110));
    check(
        &verdict,
        Item::Period,
        Outcome::Undetermined,
        "đề nghị đơn vị gửi xác nhận lại",
        "should confirm it",
    );

    // A checkpoint seen after the end shows that the claim is false.
    let time = SigningTime { after: Some(day(65)), ..time };
    let verdict = store.judge(&office, Purpose::Event, &time, day(110));
    check(&verdict, Item::Period, Outcome::Invalid, "đã hết hạn khi ký", "had expired when");
}

#[test]
fn revoked_before_it_was_signed_is_invalid_for_every_reason_but_a_hold() {
    for why in EVERY_REASON {
        if why == Why::CertificateHold {
            continue;
        }
        let revoked = [Revoked::new(OFFICE_SERIAL, day(40), why)];
        let time = SigningTime::proven(day(50));
        check_revocation(&revoked, &time, Outcome::Invalid, "đã bị thu hồi khi ký", "had been revoked when");
        // Nor does a claim after the revocation help.
        let time = SigningTime { claimed_at: Some(day(45)), ..time };
        check_revocation(&revoked, &time, Outcome::Invalid, "đã bị thu hồi khi ký", "had been revoked when");
    }
}

#[test]
fn revoked_after_it_was_signed_is_valid_and_shown_for_every_reason() {
    for why in EVERY_REASON {
        let revoked = [Revoked::new(OFFICE_SERIAL, day(60), why)];
        let time = SigningTime::proven(day(50));
        let (vietnamese, english) = match why {
            Why::CertificateHold => {
                ("Ký trước khi chứng thư số bị tạm dừng", "before the certificate was suspended")
            }
            _ => {
                ("Ký trước khi chứng thư số bị thu hồi (từ 02/03/2026", "before the certificate was revoked")
            }
        };
        check_revocation(&revoked, &time, Outcome::Valid, vietnamese, english);
    }
}

#[test]
fn reason_of_the_revocation_is_told() {
    let time = SigningTime::proven(day(50));
    let merged = [Revoked::new(OFFICE_SERIAL, day(40), Why::CessationOfOperation)];
    check_revocation(&merged, &time, Outcome::Invalid, "lý do: ngừng hoạt động", "cessation of operation");
    let stolen = [Revoked::new(OFFICE_SERIAL, day(40), Why::KeyCompromise)];
    check_revocation(&stolen, &time, Outcome::Invalid, "lý do: lộ khoá", "key compromised");
    let silent = [Revoked { why: None, ..stolen[0] }];
    check_revocation(&silent, &time, Outcome::Invalid, "lý do: không nêu", "none given");
}

#[test]
fn invalidity_date_counts_instead_of_the_revocation_date() {
    let stolen = Revoked::new(OFFICE_SERIAL, day(60), Why::KeyCompromise);
    let since = |from| [Revoked { invalid_from: Some(from), ..stolen }];
    let time = SigningTime::proven(day(50));
    check_revocation(&since(day(45)), &time, Outcome::Invalid, "từ 15/02/2026", "from 2026-02-15");
    check_revocation(&since(day(55)), &time, Outcome::Valid, "từ 25/02/2026", "from 2026-02-25");
    // A later invalidity date cannot soften a revocation.
    let time = SigningTime::proven(day(70));
    check_revocation(&since(day(80)), &time, Outcome::Invalid, "từ 02/03/2026", "from 2026-03-02");
}

#[test]
fn proof_at_the_very_moment_of_revocation_is_too_late() {
    let revoked = [Revoked::new(OFFICE_SERIAL, day(50), Why::KeyCompromise)];
    let before = SigningTime::proven(Millis(day(50).0 - 1));
    check_revocation(&revoked, &before, Outcome::Valid, "Ký trước khi", "before the certificate was revoked");
    let at = SigningTime::proven(day(50));
    check_revocation(&revoked, &at, Outcome::Invalid, "đã bị thu hồi khi ký", "had been revoked when");
}

#[test]
fn on_hold_is_undetermined_until_it_is_lifted() {
    let country = Country::new();
    let mut store = country.store(&[Revoked::new(OFFICE_SERIAL, day(40), Why::CertificateHold)]);
    let verdict = judge(&store, &country.office, day(50));
    check(
        &verdict,
        Item::Revocation,
        Outcome::Undetermined,
        "đang bị tạm dừng (từ 10/02/2026",
        "is suspended",
    );
    assert!(verdict.may_change());

    store.add_list(&country.here.list(2, day(101), day(131), &[])).expect("a newer list");
    check_office(&store, &country, 50, Outcome::Valid, "Không bị thu hồi", "Not revoked");
}

#[test]
fn revocation_that_a_later_list_drops_stays() {
    let country = Country::new();
    let mut store = country.store(&[Revoked::new(OFFICE_SERIAL, day(40), Why::KeyCompromise)]);
    store.add_list(&country.here.list(2, day(101), day(131), &[])).expect("a newer list");
    check_office(&store, &country, 50, Outcome::Invalid, "đã bị thu hồi khi ký", "had been revoked when");
}

#[test]
fn hold_that_becomes_a_revocation_counts_as_one() {
    let country = Country::new();
    let mut store = country.store(&[Revoked::new(OFFICE_SERIAL, day(40), Why::CertificateHold)]);
    let revoked = [Revoked::new(OFFICE_SERIAL, day(40), Why::KeyCompromise)];
    store.add_list(&country.here.list(2, day(101), day(131), &revoked)).expect("a newer list");
    check_office(&store, &country, 50, Outcome::Invalid, "lộ khoá", "key compromised");
}

#[test]
fn claimed_before_the_revocation_but_proven_after_it_is_undetermined() {
    let revoked = [Revoked::new(OFFICE_SERIAL, day(45), Why::KeyCompromise)];
    let time = SigningTime { claimed_at: Some(day(44)), after: None, proven_at: Some(day(50)) };
    let (vietnamese, english) = ("đề nghị đơn vị gửi xác nhận lại", "the sending office should confirm it");
    check_revocation(&revoked, &time, Outcome::Undetermined, vietnamese, english);
    // A thief dates back, but the event has seen a later checkpoint.
    let time = SigningTime { after: Some(day(46)), ..time };
    check_revocation(&revoked, &time, Outcome::Invalid, "đã bị thu hồi khi ký", "had been revoked when");
}

#[test]
fn without_trusted_time_nothing_is_valid() {
    let country = Country::new();
    let store = country.store(&[]);
    let time = SigningTime { claimed_at: Some(day(50)), after: Some(day(49)), proven_at: None };
    let verdict = store.judge(&country.office, Purpose::Event, &time, day(110));
    check(
        &verdict,
        Item::ProvenTime,
        Outcome::Undetermined,
        "Chưa có thời gian tin cậy",
        "no trusted time yet",
    );
    assert!(verdict.may_change());

    let revoked = [Revoked::new(OFFICE_SERIAL, day(60), Why::KeyCompromise)];
    check_revocation(
        &revoked,
        &time,
        Outcome::Undetermined,
        "chưa có bằng chứng thời điểm ký",
        "when it was used is not proven yet",
    );
    // What was surely signed afterwards needs no proof to be refused.
    let time = SigningTime { after: Some(day(61)), ..time };
    check_revocation(&revoked, &time, Outcome::Invalid, "đã bị thu hồi khi ký", "had been revoked when");
}

#[test]
fn without_a_list_it_is_undetermined() {
    let country = Country::new();
    let mut store = country.store_without_lists();
    check_office(
        &store,
        &country,
        50,
        Outcome::Undetermined,
        "Chưa kiểm tra được thu hồi: chưa có",
        "is held",
    );

    // The province's list alone is not enough: the province itself may be revoked.
    store.add_list(&country.here.list(1, day(100), day(130), &[])).expect("a list");
    check_office(&store, &country, 50, Outcome::Undetermined, "CN=Trạm gốc", "CN=Trạm gốc");

    store.add_list(&country.root.list(1, day(100), day(130), &[])).expect("a list");
    assert_eq!(judge(&store, &country.office, day(50)).outcome(), Outcome::Valid);
}

#[test]
fn stale_list_is_undetermined_until_a_fresher_one_comes() {
    let country = Country::new();
    let mut store = country.store(&[]);
    // Within its window it counts, and may still be corrected.
    let verdict = judge(&store, &country.office, day(120));
    check(&verdict, Item::Revocation, Outcome::Valid, "Chưa thấy bị thu hồi", "Not revoked so far");
    assert!(verdict.may_change());

    check_office(
        &store,
        &country,
        131,
        Outcome::Undetermined,
        "đã quá hạn từ 11/05/2026",
        "to be replaced by 2026-05-11",
    );

    let stolen = [Revoked::new(OFFICE_SERIAL, day(125), Why::KeyCompromise)];
    store.add_list(&country.here.list(2, day(140), day(170), &stolen)).expect("a list");
    store.add_list(&country.root.list(2, day(140), day(170), &[])).expect("a list");
    check_office(&store, &country, 131, Outcome::Invalid, "đã bị thu hồi khi ký", "had been revoked when");
    check_office(&store, &country, 120, Outcome::Valid, "Ký trước khi chứng thư số bị thu hồi", "before");
}

/// The root has revoked the province's authority on day 60; the authority's own list is of the given days.
fn store_without_province(country: &Country, why: Why, (issued, next): (u64, u64)) -> TrustStore {
    let mut store = country.store_without_lists();
    let revoked = [Revoked::new(100, day(60), why)];
    store.add_list(&country.root.list(1, day(100), day(130), &revoked)).expect("a list");
    store.add_list(&country.here.list(1, day(issued), day(next), &[])).expect("a list");
    store
}

#[test]
fn compromised_authority_leaves_what_was_proven_before_and_asks_about_the_rest() {
    let country = Country::new();
    let store = store_without_province(&country, Why::CaCompromise, (55, 80));
    check_office(&store, &country, 50, Outcome::Valid, "lộ khoá cơ quan cấp", "authority's key compromised");

    check_office(
        &store,
        &country,
        70,
        Outcome::Undetermined,
        "Cơ quan cấp chứng thư số bị lộ khoá",
        "lost its key",
    );
    // The lists of that authority that would count are gone with its key; the key is the reason to tell.
    check_office(
        &store,
        &country,
        90,
        Outcome::Undetermined,
        "Cơ quan cấp chứng thư số bị lộ khoá",
        "lost its key",
    );
}

#[test]
fn authority_whose_key_is_compromised_by_either_name_is_judged_alike() {
    let country = Country::new();
    let store = store_without_province(&country, Why::KeyCompromise, (55, 80));
    check_office(&store, &country, 50, Outcome::Valid, "Ký trước khi chứng thư số bị thu hồi", "before");
    check_office(
        &store,
        &country,
        70,
        Outcome::Undetermined,
        "Cơ quan cấp chứng thư số bị lộ khoá",
        "lost its key",
    );
}

#[test]
fn compromised_authority_without_proof_of_time_leaves_nothing_valid() {
    let country = Country::new();
    let store = store_without_province(&country, Why::CaCompromise, (55, 80));
    let time = SigningTime { claimed_at: Some(day(50)), after: None, proven_at: None };
    let verdict = store.judge(&country.office, Purpose::Event, &time, day(110));
    assert_eq!(verdict.outcome(), Outcome::Undetermined, "{verdict:#?}");
    check(
        &verdict,
        Item::Revocation,
        Outcome::Undetermined,
        "Cơ quan cấp chứng thư số bị lộ khoá",
        "lost its key",
    );
}

#[test]
fn authority_on_hold_is_asked_about_and_what_was_proven_before_stays() {
    let country = Country::new();
    let store = store_without_province(&country, Why::CertificateHold, (100, 130));
    let before = judge(&store, &country.office, day(50));
    assert_eq!(before.outcome(), Outcome::Valid, "{before:#?}");
    assert!(before.may_change(), "the hold may become a revocation");
    check_office(&store, &country, 70, Outcome::Undetermined, "tạm dừng", "is suspended");
}

#[test]
fn list_that_a_thief_of_the_authority_may_have_signed_clears_nobody() {
    let country = Country::new();
    let store = store_without_province(&country, Why::CaCompromise, (65, 90));
    check_office(
        &store,
        &country,
        50,
        Outcome::Undetermined,
        "chưa có danh sách thu hồi",
        "no revocation list",
    );
}

#[test]
fn merged_province_ends_what_lies_below_it() {
    let country = Country::new();
    let store = store_without_province(&country, Why::CessationOfOperation, (100, 130));
    check_office(&store, &country, 70, Outcome::Invalid, "ngừng hoạt động", "cessation of operation");
    assert_eq!(judge(&store, &country.office, day(50)).outcome(), Outcome::Valid);
}

#[test]
fn unknown_root_is_invalid() {
    let country = Country::new();
    let other = Authority::root(Plan::root("Gốc lạ"), Key::ed25519(66));
    let elsewhere = other.below(Plan::province(HERE), Key::ed25519(67));
    let office = elsewhere.issue(&Plan::office(HERE, OFFICE_SERIAL), &Key::ed25519(4));
    let verdict = judge(&country.store(&[]), &office, day(50));
    // The authority there has the name of ours, but another key.
    check(&verdict, Item::Chain, Outcome::Invalid, "khoá của cơ quan cấp", "with another key");

    let office = other.below(Plan::province("Tỉnh Không Có"), Key::ed25519(68));
    let office = office.issue(&Plan::office("Tỉnh Không Có", 1), &Key::ed25519(4));
    let verdict = judge(&country.store(&[]), &office, day(50));
    check(
        &verdict,
        Item::Chain,
        Outcome::Invalid,
        "không có gốc tin cậy nào",
        "no chain leads from the certificate",
    );
    assert!(verdict.may_change());
}

#[test]
fn root_that_names_itself_like_ours_is_invalid() {
    let country = Country::new();
    let imposter = Authority { plan: country.root.plan.clone(), key: Key::ed25519(66), der: Vec::new() };
    let mut store = country.store(&[]);
    let province = imposter.below(Plan { serial: 102, ..Plan::province(HERE) }, Key::ed25519(67));
    assert!(store.add_authority(&province.der).is_err());
    let self_signed = Authority::root(Plan::office(HERE, 1), Key::ed25519(67));
    assert_eq!(judge(&store, &self_signed.der, day(50)).outcome(), Outcome::Invalid);
}

#[test]
fn forged_key_identifier_does_not_help() {
    // Same name, and the identifier of our authority's key written in, but another key signs.
    let country = Country::new();
    let office = trust_country::forge(&country.office, &Key::ed25519(66), |_| {});
    let verdict = judge(&country.store(&[]), &office, day(50));
    check(&verdict, Item::Chain, Outcome::Invalid, "đã bị sửa", "did not sign the certificate");
}

#[test]
fn out_of_province_is_invalid() {
    let country = Country::new();
    let office = country.there.issue(&Plan::office(HERE, 1), &Key::ed25519(4));
    let verdict = judge(&country.store(&[]), &office, day(50));
    check(
        &verdict,
        Item::Chain,
        Outcome::Invalid,
        "nằm ngoài địa bàn của C=VN, ST=Tỉnh Lào Cai",
        "lies outside what `C=VN, ST=Tỉnh Lào Cai, CN=CA của tỉnh` may certify",
    );
}

#[test]
fn province_in_another_spelling_is_out_of_province() {
    let country = Country::new();
    for spelling in ["tỉnh Lào Cai", "Tỉnh Lào Cai ", "Tỉnh Lao Cai"] {
        let office = country.there.issue(&Plan::office(spelling, 1), &Key::ed25519(4));
        let verdict = judge(&country.store(&[]), &office, day(50));
        check(&verdict, Item::Chain, Outcome::Invalid, "nằm ngoài địa bàn", "lies outside");
    }
}

#[test]
fn wrong_key_usage_is_invalid() {
    let country = Country::new();
    let store = country.store(&[]);
    for usages in [
        vec![Use::KeyEncipherment],
        vec![Use::DigitalSignature, Use::KeyAgreement],
        vec![Use::ContentCommitment],
    ] {
        let plan = Plan { usages, ..Plan::office(HERE, 1) };
        let verdict = judge(&store, &country.here.issue(&plan, &Key::ed25519(4)), day(50));
        check(&verdict, Item::Usage, Outcome::Invalid, "mục đích sử dụng khoá (keyUsage)", "key usage");
    }
}

#[test]
fn key_of_an_office_signs_no_documents_and_that_of_an_officer_no_events() {
    let country = Country::new();
    let store = country.store(&[]);
    let time = SigningTime::proven(day(50));
    let verdict = store.judge(&country.officer, Purpose::Event, &time, day(110));
    check(&verdict, Item::Usage, Outcome::Invalid, "không được cấp để dùng", "was not issued for this");
    let verdict = store.judge(&country.office, Purpose::Document, &time, day(110));
    check(&verdict, Item::Usage, Outcome::Invalid, "không được cấp để dùng", "was not issued for this");
    for authority in [&country.here.der, &country.root.der] {
        for purpose in [Purpose::Event, Purpose::Document] {
            assert_eq!(store.judge(authority, purpose, &time, day(110)).outcome(), Outcome::Invalid);
        }
    }
}

#[test]
fn authority_for_one_purpose_issues_for_no_other() {
    let mut country = Country::new();
    let plan = Plan { purposes: vec![schema::trust::profile::PURPOSE_OFFICER], ..Plan::province(HERE) };
    country.here = country.root.below(plan, Key::ed25519(2));
    let store = country.store(&[]);
    let verdict = judge(&store, &country.office, day(50));
    check(&verdict, Item::Usage, Outcome::Invalid, "không được cấp để dùng", "was not issued for this");
    let time = SigningTime::proven(day(50));
    let verdict = store.judge(&country.officer, Purpose::Document, &time, day(110));
    assert_eq!(verdict.outcome(), Outcome::Valid);
}

#[test]
fn authority_renewed_with_wider_purposes_serves_them() {
    let mut country = Country::new();
    let plan = Plan { purposes: vec![schema::trust::profile::PURPOSE_OFFICER], ..Plan::province(HERE) };
    country.here = country.root.below(plan, Key::ed25519(2));
    let mut store = country.store(&[]);
    let wider = country.root.below(Plan { serial: 104, ..Plan::province(HERE) }, Key::ed25519(2));
    store.add_authority(&wider.der).expect("an authority");
    assert_eq!(judge(&store, &country.office, day(50)).outcome(), Outcome::Valid);
}

#[test]
fn office_below_the_root_itself_is_invalid() {
    let country = Country::new();
    let office = country.root.issue(&Plan::office(HERE, 1), &Key::ed25519(4));
    let verdict = judge(&country.store(&[]), &office, day(50));
    check(&verdict, Item::Chain, Outcome::Invalid, "gốc cấp thẳng", "comes from the root itself");
}

#[test]
fn rsa_of_1024_bits_is_invalid() {
    let country = Country::new();
    let officer = country.here.issue(&Plan::officer(HERE, 1), &Key::rsa_1024());
    let verdict =
        country.store(&[]).judge(&officer, Purpose::Document, &SigningTime::proven(day(50)), day(110));
    check(&verdict, Item::Certificate, Outcome::Invalid, "khoá RSA 1024 bit", "the RSA key has 1024 bits");
}

#[test]
fn renewed_authority_of_the_same_key_gives_a_second_path() {
    let country = Country::new();
    let mut store = country.store(&[]);
    let plan = Plan { serial: 103, from: day(0), until: day(40), ..Plan::province(HERE) };
    let older = country.root.below(plan, Key::ed25519(2));
    assert_eq!(store.add_authority(&older.der), Ok(true));
    assert_eq!(store.add_authority(&older.der), Ok(false));
    assert_eq!(
        judge(&store, &country.office, day(50)).outcome(),
        Outcome::Valid,
        "by the one that still counts"
    );
}

#[test]
fn clock_of_this_station_decides_nothing() {
    let country = Country::new();
    let store = country.store(&[Revoked::new(OFFICE_SERIAL, day(60), Why::KeyCompromise)]);
    let presents = [Millis(0), day(0), day(51), day(1000), day(40 * 365), Millis(u64::MAX)];
    for (proven_at, expected) in [(50, Outcome::Valid), (70, Outcome::Invalid), (5, Outcome::Invalid)] {
        for now in presents {
            let time = SigningTime::proven(day(proven_at));
            let verdict = store.judge(&country.office, Purpose::Event, &time, now);
            assert_eq!(verdict.outcome(), expected, "day {proven_at}, at {now:?}");
        }
    }
    let verdict = store.judge(&country.office, Purpose::Event, &SigningTime::proven(day(50)), day(0));
    check(&verdict, Item::ProvenTime, Outcome::Valid, "đồng hồ máy này chậm", "clock is behind");
}

#[test]
fn clock_of_the_sender_makes_nothing_valid() {
    let country = Country::new();
    let store = country.store(&[Revoked::new(OFFICE_SERIAL, day(60), Why::KeyCompromise)]);
    let judge = |claimed_at| {
        let time = SigningTime { claimed_at: Some(claimed_at), after: None, proven_at: Some(day(50)) };
        store.judge(&country.office, Purpose::Event, &time, day(110))
    };
    assert_eq!(judge(Millis(0)).outcome(), Outcome::Valid, "the proof counts, not the claim");
    check(&judge(day(9000)), Item::ProvenTime, Outcome::Valid, "đồng hồ bên gửi sai", "its clock is wrong");
}

#[test]
fn ages_of_lists_are_known_for_every_authority() {
    let country = Country::new();
    let mut store = country.store_without_lists();
    assert_eq!(store.list_ages().len(), 3);
    assert!(store.list_ages().iter().all(|age| age.newest.is_none() && age.is_stale(day(0))));
    let stolen = [Revoked::new(1, day(40), Why::KeyCompromise)];
    store.add_list(&country.here.list(9, day(100), day(130), &stolen)).expect("a list");
    let age = store.list_ages().into_iter().find(|age| age.newest.is_some()).expect("one");
    assert_eq!((age.age_ms(day(103)), age.revoked), (Some(3 * Millis::DAY), 1));
    assert!(!age.is_stale(day(130)) && age.is_stale(day(131)));
}

#[test]
fn citizen_number_is_in_no_text() {
    let country = Country::new();
    let mut store = country.store_without_lists();
    let texts = |verdict: &Verdict| {
        let both = [Language::Vietnamese, Language::English];
        let told = verdict.findings().iter().flat_map(|f| both.map(|language| f.reason.text(language)));
        told.collect::<String>() + &format!("{verdict:?}")
    };
    let out = country.there.issue(&Plan::officer(HERE, 1), &Key::p256());
    let time = SigningTime::proven(day(50));
    for certificate in [&country.officer, &out] {
        let verdict = store.judge(certificate, Purpose::Document, &time, day(110));
        assert!(!texts(&verdict).contains("001099012345"), "{}", texts(&verdict));
    }
    let refused = store.add_authority(&country.officer).expect_err("not an authority");
    assert!(!format!("{refused} {refused:?}").contains("001099012345"), "{refused:?}");
}

#[test]
fn judging_again_remembers_until_something_changes() {
    let country = Country::new();
    let mut store = country.store(&[]);
    let first = store.standing(&country.office);
    assert!(std::sync::Arc::ptr_eq(&first, &store.standing(&country.office)), "a look-up");
    let stranger = Authority::root(Plan::office(HERE, 1), Key::ed25519(67)).der;
    let refused = store.standing(&stranger);
    assert!(!std::sync::Arc::ptr_eq(&refused, &store.standing(&stranger)), "strangers are not remembered");

    let generation = store.generation();
    let stolen = [Revoked::new(OFFICE_SERIAL, day(40), Why::KeyCompromise)];
    store.add_list(&country.here.list(2, day(101), day(131), &stolen)).expect("a list");
    assert_eq!(store.generation(), generation + 1);
    assert_eq!(judge(&store, &country.office, day(50)).outcome(), Outcome::Invalid);
}

fn reference(revoked: Revoked, proven: u64, claimed: Option<u64>) -> Outcome {
    let since = revoked.invalid_from.map_or(revoked.at, |from| from.min(revoked.at));
    if day(proven) < since {
        Outcome::Valid
    } else if revoked.why == Some(Why::CertificateHold) || claimed.is_some_and(|claimed| day(claimed) < since)
    {
        Outcome::Undetermined
    } else {
        Outcome::Invalid
    }
}

thread_local! {
    static COUNTRY: Country = Country::new();
}

fn store_with(country: &Country, revoked: Revoked) -> TrustStore {
    country.store(&[revoked])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The table once more, written another way, for dates in any order.
    #[test]
    fn table_holds_for_dates_in_any_order(
        at in 20_u64..90,
        invalid_from in proptest::option::of(20_u64..90),
        proven in 20_u64..90,
        claimed in proptest::option::of(20_u64..90),
        why in proptest::sample::select(&EVERY_REASON[..]),
    ) {
        COUNTRY.with(|country| {
            let invalid_from = invalid_from.map(day);
            let revoked = Revoked { serial: OFFICE_SERIAL, at: day(at), why: Some(why), invalid_from };
            let claimed_at = claimed.map(day);
            let time = SigningTime { claimed_at, after: None, proven_at: Some(day(proven)) };
            let store = store_with(country, revoked);
            let verdict = store.judge(&country.office, Purpose::Event, &time, day(110));
            prop_assert_eq!(verdict.outcome(), reference(revoked, proven, claimed));
            Ok(())
        })?;
    }
}
