//! What an officer is asked to sign, and what becomes of the answer.

mod signed_document;
mod trust_country;

use schema::time::Millis;
use schema::trust::algorithm::SignatureAlgorithm;
use schema::trust::cms::preparation::PREPARATION_BYTES_MAX;
use schema::trust::cms::{CmsError, FinishError, PreparationError};
use schema::trust::reason::Language;
use schema::trust::{CertificateError, Preparation};
use signed_document::{CONTENT, Officer, SIGNED_ON, kinds, plan, read};
use trust_country::{Authority, COMMON, COUNTRY, Country, HERE, Key, PROVINCE, Plan, THERE, Use, day, dn};

fn officer() -> (Country, Officer) {
    let country = Country::new();
    let officer = Officer::new(&country, Key::ed25519(9));
    (country, officer)
}

#[track_caller]
fn check_refused(certificate: &[u8], at: Millis, vietnamese: &str, english: &str) -> PreparationError {
    let error = Preparation::new(CONTENT, certificate, at).expect_err("it must be refused");
    let texts = [Language::Vietnamese, Language::English].map(|language| error.text(language));
    assert!(texts[0].contains(vietnamese), "`{}` does not say `{vietnamese}`", texts[0]);
    assert!(texts[1].contains(english), "`{}` does not say `{english}`", texts[1]);
    error
}

#[test]
fn only_an_officers_certificate_signs_documents() {
    let country = Country::new();
    let at = day(SIGNED_ON);
    for certificate in [&country.office, &country.here.der, &country.root.der] {
        let error = check_refused(certificate, at, "chỉ cá nhân được ký văn bản", "only an officer signs");
        assert!(matches!(error, PreparationError::NotAnOfficer { .. }));
    }
    let unusable = Plan { usages: vec![Use::KeyAgreement], ..plan() };
    let unusable = country.here.issue(&unusable, &Key::ed25519(9));
    check_refused(&unusable, at, "mục đích sử dụng khoá", "the key usage is not the one of an officer");
}

#[test]
fn keys_and_certificates_outside_the_profile_are_refused() {
    let country = Country::new();
    let at = day(SIGNED_ON);
    let small = country.here.issue(&plan(), &Key::rsa_1024());
    let error = check_refused(&small, at, "khoá RSA 1024 bit", "the RSA key has 1024 bits");
    assert!(matches!(error, PreparationError::Certificate(CertificateError::Key(_))));
    let (_, officer) = officer();
    let cut = &officer.der[..officer.der.len() - 1];
    check_refused(cut, at, "không theo mã hoá DER", "not in the one encoding");
    check_refused(&[], at, "không theo mã hoá DER", "not in the one encoding");
}

#[test]
fn certificate_must_count_at_the_claimed_time() {
    let (_, officer) = officer();
    let (from, until) = (day(10), day(2 * 365));
    for at in [Millis(from.0 - 1), until.plus(Millis::SECOND)] {
        let error = check_refused(&officer.der, at, "có hiệu lực từ 11/01/2026", "counts from 2026-01-11");
        assert!(matches!(error, PreparationError::OutsidePeriod { .. }));
    }
    for at in [from, until] {
        assert!(Preparation::new(CONTENT, &officer.der, at).is_ok());
    }
    for at in [Millis(0), Millis(u64::MAX)] {
        let error = check_refused(&officer.der, at, "chỉnh lại đồng hồ", "set the clock");
        assert_eq!(error, PreparationError::SigningTime { at });
    }
}

#[test]
fn same_document_certificate_and_time_give_the_same_bytes() {
    let (_, officer) = officer();
    let at = day(SIGNED_ON);
    let first = officer.prepare_at(CONTENT, at);
    assert_eq!(first, officer.prepare_at(CONTENT, at));
    // Parts of a second are not written.
    let later = officer.prepare_at(CONTENT, at.plus(999));
    assert_eq!((first.to_be_signed(), at), (later.to_be_signed(), later.claimed_at()));
    assert_ne!(first.to_be_signed(), officer.prepare_at(CONTENT, at.plus(1000)).to_be_signed());
    assert_ne!(first.to_be_signed(), officer.prepare(b"another document").to_be_signed());
    assert!(first.covers(CONTENT) && !first.covers(b"another document"));
}

#[test]
fn signers_of_hashes_get_the_digest_of_their_algorithm() {
    use schema::trust::cms::DigestAlgorithm as D;
    let country = Country::new();
    for (kind, key) in kinds() {
        let officer = Officer::new(&country, key);
        let preparation = officer.prepare(CONTENT);
        let digest = match preparation.algorithm() {
            SignatureAlgorithm::Ed25519 => None,
            SignatureAlgorithm::EcdsaSha384 => Some(D::Sha384.of(preparation.to_be_signed())),
            _ => Some(D::Sha256.of(preparation.to_be_signed())),
        };
        assert_eq!(preparation.digest(), digest, "{kind}");
    }
}

/// A token may be broken, a remote signer may lie: whatever comes back, only the right thing is used.
#[test]
fn answer_of_another_key_or_over_other_bytes_is_not_used() {
    let country = Country::new();
    for (kind, key) in kinds() {
        let officer = Officer::new(&country, key);
        let preparation = officer.prepare(CONTENT);
        let good = officer.answer(&preparation);
        let other = officer.answer(&officer.prepare(b"another document"));
        let stranger = Officer::new(&country, Key::ed25519(66)).answer(&preparation);
        let mut changed = good.clone();
        *changed.last_mut().expect("a signature") ^= 1;
        let longer = [&good[..], &[0]].concat();
        for (lie, name) in [
            (&[][..], "nothing"),
            (&good[1..], "cut off"),
            (&other, "other bytes"),
            (&stranger, "another key"),
            (&changed, "a changed bit"),
            (&longer, "a byte more"),
            (&[0; 256], "zeros"),
        ] {
            let error = preparation.finish(lie, &[]).expect_err(name);
            assert_eq!(error, FinishError::NotMade, "{kind}: {name}");
            assert!(error.text(Language::Vietnamese).contains("hãy ký lại"));
            assert!(error.text(Language::English).starts_with("Not signed: the signature that came back"));
        }
        // It stays good for the right answer.
        assert!(read(&preparation.finish(&good, &[]).expect("the right answer")).covers(CONTENT), "{kind}");
    }
}

#[test]
fn chain_comes_in_any_order_and_must_belong_to_the_certificate() {
    let (country, officer) = officer();
    let preparation = officer.prepare(CONTENT);
    let answer = officer.answer(&preparation);
    let (here, root, there) = (&country.here.der[..], &country.root.der[..], &country.there.der[..]);
    let whole = preparation.finish(&answer, &[here, root]).expect("a chain");
    for chain in [&[root, here][..], &[officer.der.as_slice(), here, root], &[root, here, root]] {
        assert_eq!(preparation.finish(&answer, chain).as_ref(), Ok(&whole));
    }
    assert_eq!(read(&whole).authorities().count(), 2);

    let refused = |chain: &[&[u8]]| preparation.finish(&answer, chain).expect_err("not a chain");
    let not_in_chain = |chain: &[&[u8]]| matches!(refused(chain), FinishError::NotInChain { .. });
    assert!(not_in_chain(&[there]), "an authority of another province");
    assert!(not_in_chain(&[root]), "a root without what is between");
    assert!(not_in_chain(&[here, root, there]), "more than the chain");
    let imposter = Authority::root(Plan::root("Trạm gốc"), Key::ed25519(66));
    let imposter = imposter.below(Plan::province(HERE), Key::ed25519(67));
    assert!(not_in_chain(&[&imposter.der]), "the right name with another key");
    assert!(not_in_chain(&[&country.officer]), "a colleague");
    // A colleague who signs certificates is no authority.
    let colleague = Authority { plan: plan(), key: Key::ed25519(5), der: Vec::new() };
    let colleague = Authority { der: country.here.issue(&colleague.plan, &colleague.key), ..colleague };
    let own = Officer { der: colleague.issue(&Plan { serial: 41, ..plan() }, &Key::ed25519(9)), ..officer };
    let own_preparation = own.prepare(CONTENT);
    let error = own_preparation.finish(&own.answer(&own_preparation), &[&colleague.der]);
    assert!(matches!(error, Err(FinishError::NotInChain { .. })), "{error:?}");
    assert!(matches!(refused(&[&here[1..]]), FinishError::Chain(_)));
    assert_eq!(refused(&[here, root, there, there]), FinishError::Refused(CmsError::CertificateCount));
    for error in [refused(&[there]), refused(&[&here[1..]]), refused(&[here; 4])] {
        assert_ne!(error.text(Language::Vietnamese), error.text(Language::English));
    }
}

/// Whatever is prepared can be finished: nobody is asked for a signature that has no room.
#[test]
fn certificate_without_room_for_a_signature_is_refused_before_anybody_is_asked() {
    let (country, _) = officer();
    let mut refused = 0;
    for length in (1_000..15_900).step_by(500) {
        let name = "x".repeat(length);
        let subject = dn(&[(COUNTRY, "VN"), (PROVINCE, HERE), (COMMON, name.as_str())]);
        let key = Key::rsa_2048(&rcgen::PKCS_RSA_SHA256);
        let certificate = country.here.issue(&Plan { subject, ..plan() }, &key);
        match Preparation::new(CONTENT, &certificate, day(SIGNED_ON)) {
            Ok(preparation) => {
                let officer = Officer { key, der: certificate };
                preparation.finish(&officer.answer(&preparation), &[]).expect("room for a signature");
                assert_eq!(Preparation::decode(&preparation.encode()), Ok(preparation));
            }
            Err(error) => {
                assert!(matches!(error, PreparationError::TooLarge { .. }), "{length}: {error}");
                refused += 1;
            }
        }
    }
    assert!((1..6).contains(&refused), "{refused} were refused");
}

#[test]
fn chain_without_room_is_refused() {
    let country = Country::new();
    // The issuer's name stands in the signature three times, and a fourth time in its own certificate.
    let name = "x".repeat(4_400);
    let subject = dn(&[(COUNTRY, "VN"), (PROVINCE, HERE), (COMMON, name.as_str())]);
    let large = country.root.below(Plan { subject, ..Plan::province(HERE) }, Key::ed25519(2));
    let officer = Officer { der: large.issue(&plan(), &Key::ed25519(9)), key: Key::ed25519(9) };
    let preparation = officer.prepare(CONTENT);
    let answer = officer.answer(&preparation);
    assert!(preparation.finish(&answer, &[]).is_ok());
    let error = preparation.finish(&answer, &[&large.der]).expect_err("too large");
    assert!(matches!(error, FinishError::Refused(CmsError::TooLarge { .. })), "{error}");
}

/// Half of all serial numbers begin with a bit that would make them negative.
#[test]
fn serial_number_with_its_first_bit_set_is_written_and_read() {
    let (country, officer) = officer();
    let renumbered = trust_country::forge(&officer.der, &country.here.key, |members| {
        let serial = &mut members[0].members()[trust_country::field::SERIAL];
        *serial.value() = vec![0, 0x80, 1, 2, 3];
    });
    let officer = Officer { der: renumbered, ..officer };
    let signature = officer.sign(CONTENT);
    let time = schema::trust::SigningTime::proven(day(SIGNED_ON));
    let verdict = country.store(&[]).judge_signature(CONTENT, &read(&signature), &time, day(110));
    assert_eq!(verdict.outcome(), schema::trust::Outcome::Valid, "{verdict:#?}");
    assert!(signature.windows(7).any(|window| window == [0x02, 0x05, 0, 0x80, 1, 2, 3]));
}

#[test]
fn what_is_written_down_is_read_again_after_a_restart() {
    let country = Country::new();
    for (kind, key) in kinds() {
        let officer = Officer::new(&country, key);
        let preparation = officer.prepare(CONTENT);
        let written = preparation.encode();
        assert!(written.len() < PREPARATION_BYTES_MAX);
        // The answer comes when the process that asked is long gone.
        let answer = officer.answer(&preparation);
        let again = Preparation::decode(&written).expect("what was written down");
        assert_eq!(again, preparation, "{kind}");
        assert_eq!(again.encode(), written);
        assert!(again.finish(&answer, &[&country.here.der]).is_ok(), "{kind}");
    }
}

#[test]
fn what_was_written_down_and_changed_is_not_used() {
    let (country, officer) = officer();
    let written = officer.prepare(CONTENT).encode();
    for cut in 0..written.len() {
        assert!(Preparation::decode(&written[..cut]).is_err(), "{cut} bytes");
    }
    let refused = |bytes: &[u8]| Preparation::decode(bytes).expect_err("it must be refused");
    assert!(matches!(refused(&[&written[..], &[0]].concat()), PreparationError::Malformed(_)));
    let mut form = written.clone();
    form[1] = 2;
    let another = |error| matches!(error, PreparationError::Malformed(why) if why.contains("another form"));
    assert!(another(refused(&form)));
    // The same number in two bytes.
    let padded = [&written[..1], &[0x18, 0x01], &written[2..]].concat();
    assert!(matches!(refused(&padded), PreparationError::Malformed(_)));
    let found = PREPARATION_BYTES_MAX + 1;
    assert_eq!(refused(&vec![0; found]), PreparationError::TooLarge { found });

    let with = |certificate: &[u8], signed: &[u8]| {
        let mut bytes = Vec::new();
        let mut e = minicbor::Encoder::new(&mut bytes);
        e.array(3).and_then(|e| e.u8(1)).and_then(|e| e.bytes(certificate)).expect("memory");
        e.bytes(signed).expect("memory");
        bytes
    };
    let preparation = officer.prepare(CONTENT);
    assert_eq!(with(&officer.der, preparation.to_be_signed()), written);
    // Of another certificate, of another algorithm, not attributes at all.
    let renewed = Officer::with(&country, &Plan { serial: 41, ..plan() }, Key::ed25519(9));
    let error = refused(&with(&renewed.der, preparation.to_be_signed()));
    assert_eq!(error, PreparationError::Attributes(CmsError::OtherCertificate));
    assert!(error.text(Language::Vietnamese).contains("hãy tạo lại yêu cầu ký"));
    assert!(matches!(refused(&with(&country.office, &[])), PreparationError::NotAnOfficer { .. }));
    assert!(matches!(refused(&with(&officer.der, &[])), PreparationError::Attributes(_)));
    let short = signed_document::Parts::of(&officer.sign(CONTENT));
    let mut short = short;
    *short.values(signed_document::MESSAGE_DIGEST)[0].value() = vec![7; 32];
    let signed = trust_country::Node::Branch(0x31, short.attributes().clone()).encode();
    let error = refused(&with(&officer.der, &signed));
    assert_eq!(error, PreparationError::Attributes(CmsError::DigestAlgorithms));
}

/// Each bit of what was written down matters, or what comes of it would be signed by another name.
#[test]
fn every_single_bit_of_what_was_written_down_counts() {
    let (_, officer) = officer();
    let preparation = officer.prepare(CONTENT);
    let (written, answer) = (preparation.encode(), officer.answer(&preparation));
    for at in 0..written.len() {
        for bit in 0..8 {
            let mut changed = written.clone();
            changed[at] ^= 1 << bit;
            let finished = Preparation::decode(&changed).ok().map(|read| read.finish(&answer, &[]));
            // Digest and time may be other ones, but then the answer does not fit.
            assert!(!matches!(finished, Some(Ok(_))), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn officers_of_other_provinces_sign_too() {
    let country = Country::new();
    let key = Key::ed25519(9);
    let plan = Plan { subject: Plan::officer(THERE, 1).subject, ..plan() };
    let officer = Officer { der: country.there.issue(&plan, &key), key };
    assert!(read(&officer.sign(CONTENT)).covers(CONTENT));
}
