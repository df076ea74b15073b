//! One changed bit of a signature on a document never makes it valid for anything else, and a second reader reads what
//! we read.

mod signed_document;
mod trust_country;

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier};
use der::asn1::Any;
use der::{Decode as _, Encode as _};
use proptest::prelude::*;
use schema::trust::{DetachedSignature, Outcome, Preparation, SigningTime, TrustStore};
use signed_document::{CONTENT, Officer, SIGNED_ON, kinds, read};
use trust_country::{Country, Key, day};

/// A good signature and everything that judges it.
struct Signed {
    store: TrustStore,
    officer: Vec<u8>,
    der: Vec<u8>,
}

impl Signed {
    fn alone(key: Key) -> Self {
        Self::with_chain(key, |_| Vec::new())
    }

    fn with_chain(key: Key, chain: impl FnOnce(&Country) -> Vec<&[u8]>) -> Self {
        let country = Country::new();
        let officer = Officer::new(&country, key);
        let der = officer.sign_with_chain(CONTENT, day(SIGNED_ON), &chain(&country));
        Self { store: country.store(&[]), officer: officer.der, der }
    }

    fn outcome(&self, content: &[u8], signature: &DetachedSignature) -> Outcome {
        let time = SigningTime::proven(day(SIGNED_ON));
        self.store.judge_signature(content, signature, &time, day(110)).outcome()
    }

    /// Whether changed bytes are valid. If so, only for the same document, certificate, time and key.
    fn is_valid(&self, changed: &[u8]) -> bool {
        let Ok(signature) = DetachedSignature::parse(changed) else { return false };
        if self.outcome(CONTENT, &signature) != Outcome::Valid {
            // Nor for the document that a changed digest may stand for.
            assert_ne!(self.outcome(b"another document", &signature), Outcome::Valid);
            return false;
        }
        let good = read(&self.der);
        assert_eq!(signature.signer_certificate(), self.officer);
        assert_eq!(signature.signed_bytes(), good.signed_bytes());
        assert_eq!((signature.claimed_at(), signature.algorithm()), (good.claimed_at(), good.algorithm()));
        true
    }
}

#[test]
fn every_single_bit_counts() {
    for (kind, key) in kinds() {
        let signed = Signed::alone(key);
        assert!(signed.is_valid(&signed.der), "{kind}");
        // With slower keys one bit of every byte, a different one each time.
        let bits = |at: usize| if kind == "Ed25519" { 0..8 } else { at % 8..at % 8 + 1 };
        for at in 0..signed.der.len() {
            for bit in bits(at) {
                let mut changed = signed.der.clone();
                changed[at] ^= 1 << bit;
                assert!(!signed.is_valid(&changed), "{kind}: byte {at}, bit {bit}");
            }
        }
    }
}

/// The chain is not signed, nor is it believed: what is changed in it changes nothing.
#[test]
fn only_bits_of_the_chain_do_not_count() {
    let signed = Signed::with_chain(Key::ed25519(9), |country| vec![&country.here.der, &country.root.der]);
    assert!(signed.is_valid(&signed.der));
    let parsed = read(&signed.der);
    let ranges: Vec<_> = parsed
        .authorities()
        .map(|der| {
            let mut windows = signed.der.windows(der.len());
            let start = windows.position(|window| window == der).expect("it is in there");
            start..start + der.len()
        })
        .collect();
    let mut harmless = 0;
    for at in 0..signed.der.len() {
        let in_chain = ranges.iter().any(|range| range.contains(&at));
        for bit in 0..8 {
            let mut changed = signed.der.clone();
            changed[at] ^= 1 << bit;
            let valid = signed.is_valid(&changed);
            assert!(in_chain || !valid, "byte {at}, bit {bit}");
            harmless += usize::from(valid);
        }
    }
    assert!(harmless > 0, "the chain was looked at after all");
}

/// What another reader finds in the same bytes, and how it writes that; `None` when it cannot read them.
fn second_reading(der: &[u8]) -> Option<(SignedData, Vec<u8>)> {
    let info = ContentInfo::from_der(der).ok()?;
    let data = info.content.decode_as::<SignedData>().ok()?;
    // The outer message would give back the bytes that it was read from.
    let again = ContentInfo { content: Any::encode_from(&data).ok()?, ..info }.to_der().ok()?;
    Some((data, again))
}

#[track_caller]
fn check_second_reading(signature: &DetachedSignature) {
    let (data, again) = second_reading(signature.as_der()).expect("the second reader reads it too");
    assert_eq!(again, signature.as_der(), "there is one encoding");
    let [signer] = data.signer_infos.0.as_slice() else { panic!("one signer") };
    assert_eq!(signer.signature.as_bytes(), signature.signature());
    let attributes = signer.signed_attrs.as_ref().expect("signed attributes");
    assert_eq!(attributes.to_der().expect("DER"), signature.signed_bytes());
    assert_eq!(attributes.len(), 4);
    assert!(signer.unsigned_attrs.is_none() && data.crls.is_none());
    assert!(data.encap_content_info.econtent.is_none());
    let SignerIdentifier::IssuerAndSerialNumber(name) = &signer.sid else { panic!("another identifier") };
    let certificates = data.certificates.expect("certificates");
    let mut ours = None;
    for certificate in certificates.0.iter() {
        let CertificateChoices::Certificate(certificate) = certificate else { panic!("another kind") };
        let fields = &certificate.tbs_certificate;
        if (&fields.issuer, &fields.serial_number) == (&name.issuer, &name.serial_number) {
            assert_eq!(ours.replace(certificate.to_der().expect("DER")), None, "the signer is clear");
        }
    }
    assert_eq!(ours.as_deref(), Some(signature.signer_certificate()));
    let digest = &signer.digest_alg;
    assert_eq!(data.digest_algorithms.as_slice(), std::slice::from_ref(digest));
}

#[test]
fn second_reader_reads_what_we_read() {
    for (_, key) in kinds() {
        check_second_reading(&read(&Signed::alone(key).der));
    }
    let signed = Signed::with_chain(Key::ed25519(9), |country| vec![&country.here.der, &country.root.der]);
    check_second_reading(&read(&signed.der));
}

thread_local! {
    static SIGNED: Signed =
        Signed::with_chain(Key::ed25519(9), |country| vec![&country.here.der, &country.root.der]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn other_bytes_are_valid_for_nothing_else(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<Option<u8>>(), 0_u8..3), 1..4),
    ) {
        SIGNED.with(|signed| {
            let mut changed = signed.der.clone();
            for (at, byte, how) in &changes {
                let at = at.index(changed.len());
                match (how, byte) {
                    (0, Some(byte)) => changed.insert(at, *byte),
                    (_, Some(byte)) => changed[at] = *byte,
                    (_, None) => drop(changed.remove(at)),
                }
            }
            // Looks itself that it is about the same document and signer.
            let valid = signed.is_valid(&changed);
            if let Ok(signature) = DetachedSignature::parse(&changed) {
                prop_assert_eq!(signature.as_der(), &changed);
            }
            // The second reader looks into authorities too, which we leave to whoever takes them in.
            if valid && let Some((_, again)) = second_reading(&changed) {
                prop_assert_eq!(again, changed);
            }
            Ok(())
        })?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(DetachedSignature::parse(&bytes).is_err());
        prop_assert!(Preparation::decode(&bytes).is_err());
    }
}
