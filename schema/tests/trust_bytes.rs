//! One changed bit of any certificate or list in a good chain never gives *valid*.

mod trust_country;

use proptest::prelude::*;
use schema::trust::{Anchors, Certificate, Outcome, Purpose, RevocationList, SigningTime, TrustStore};
use trust_country::{Authority, Country, HERE, Key, OFFICE_SERIAL, Plan, THERE, day};

/// A chain in pieces.
struct Chain {
    root: Vec<u8>,
    authority: Vec<u8>,
    leaf: Vec<u8>,
    root_list: Vec<u8>,
    list: Vec<u8>,
}

impl Chain {
    fn below(country: &Country) -> Self {
        Self {
            root: country.root.der.clone(),
            authority: country.here.der.clone(),
            leaf: country.office.clone(),
            root_list: country.root.list(1, day(100), day(130), &[]),
            // With an entry, so that there is more to change.
            list: country.here.list(
                1,
                day(100),
                day(130),
                &[trust_country::Revoked::new(5, day(40), trust_country::Why::KeyCompromise)],
            ),
        }
    }

    fn pieces(&self) -> [&Vec<u8>; 5] {
        [&self.root, &self.authority, &self.leaf, &self.root_list, &self.list]
    }

    fn outcome(&self, store: Option<TrustStore>) -> Option<Outcome> {
        let time = SigningTime::proven(day(50));
        Some(store?.judge(&self.leaf, Purpose::Event, &time, day(110)).outcome())
    }

    /// Everything is put together, as far as it is taken.
    fn store(&self) -> Option<TrustStore> {
        let mut store = TrustStore::new(Anchors::new([self.root.as_slice()]).ok()?);
        let _ = store.add_authority(&self.authority);
        let _ = store.add_list(&self.root_list);
        let _ = store.add_list(&self.list);
        Some(store)
    }

    fn with(&self, piece: usize, changed: Vec<u8>) -> Self {
        let mut pieces = self.pieces().map(Clone::clone);
        pieces[piece] = changed;
        let [root, authority, leaf, root_list, list] = pieces;
        Self { root, authority, leaf, root_list, list }
    }
}

type MakeKey = fn(u8) -> Key;

/// With authorities of every kind of key, whose signatures all have other encodings.
fn countries() -> Vec<(&'static str, Country)> {
    let kinds: [(&str, MakeKey); 4] = [
        ("Ed25519", Key::ed25519),
        ("P-256", |_| Key::p256()),
        ("P-384", |_| Key::p384()),
        ("RSA", |_| Key::rsa_2048(&rcgen::PKCS_RSA_SHA256)),
    ];
    let build = |(name, key): (&'static str, MakeKey)| {
        let root = Authority::root(Plan::root("Trạm gốc"), key(1));
        let here = root.below(Plan::province(HERE), key(2));
        let there = root.below(Plan { serial: 101, ..Plan::province(THERE) }, key(3));
        let office = here.issue(&Plan::office(HERE, OFFICE_SERIAL), &Key::ed25519(4));
        (name, Country { root, here, there, office, officer: Vec::new() })
    };
    kinds.into_iter().map(build).collect()
}

#[test]
fn every_single_bit_counts() {
    for (kind, country) in countries() {
        // With slower keys one bit of every byte, a different one each time.
        let bits = |at: usize| if kind == "Ed25519" { 0..8 } else { at % 8..at % 8 + 1 };
        let chain = Chain::below(&country);
        assert_eq!(chain.outcome(chain.store()), Some(Outcome::Valid), "{kind}");
        for (piece, bytes) in chain.pieces().into_iter().enumerate() {
            for at in 0..bytes.len() {
                for bit in bits(at) {
                    let mut changed = bytes.clone();
                    changed[at] ^= 1 << bit;
                    let broken = chain.with(piece, changed);
                    let outcome = broken.outcome(broken.store());
                    assert_ne!(outcome, Some(Outcome::Valid), "{kind}: piece {piece}, byte {at}, bit {bit}");
                }
            }
        }
    }
}

#[test]
fn changed_list_does_not_replace_a_good_one() {
    let country = Country::new();
    let stolen = [trust_country::Revoked::new(OFFICE_SERIAL, day(40), trust_country::Why::KeyCompromise)];
    let newer = country.here.list(2, day(101), day(131), &stolen);
    for at in 0..newer.len() {
        let mut store = country.store(&[]);
        let mut changed = newer.clone();
        changed[at] ^= 1;
        assert!(store.add_list(&changed).is_err(), "byte {at}");
        assert_eq!(trust_country::judge(&store, &country.office, day(50)).outcome(), Outcome::Valid);
    }
}

thread_local! {
    static CHAIN: Chain = Chain::below(&Country::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_other_byte_is_valid(piece in 0_usize..5, at: prop::sample::Index, byte: u8) {
        CHAIN.with(|chain| {
            let mut changed = chain.pieces()[piece].clone();
            let at = at.index(changed.len());
            prop_assume!(changed[at] != byte);
            changed[at] = byte;
            let broken = chain.with(piece, changed);
            prop_assert_ne!(broken.outcome(broken.store()), Some(Outcome::Valid));
            Ok(())
        })?;
    }

    #[test]
    fn removed_and_added_bytes_are_not_valid(piece in 0_usize..5, at: prop::sample::Index, byte: Option<u8>) {
        CHAIN.with(|chain| {
            let mut changed = chain.pieces()[piece].clone();
            let at = at.index(changed.len());
            match byte {
                Some(byte) => changed.insert(at, byte),
                None => drop(changed.remove(at)),
            }
            let broken = chain.with(piece, changed);
            prop_assert_ne!(broken.outcome(broken.store()), Some(Outcome::Valid));
            Ok(())
        })?;
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Certificate::parse(&bytes).is_err());
        prop_assert!(RevocationList::parse(&bytes).is_err());
    }
}
