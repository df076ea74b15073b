//! The rules that C2SP's x509-limbo tries, tried on our own certificates: each case is named after its rule,
//! and the verdict on each is frozen with the words that tell why. A new acceptance fails, and so does a
//! refusal for another reason, behind which the rule would no longer be tried at all.
//!
//! x509-limbo itself is in no package registry. Its generator (C2SP/x509-limbo at 8a2e6f4; the certificates
//! begun in 2020 instead of 1970, which the profile refuses in itself and which would hide everything else) makes
//! 208 cases. 157 apply. The layers below the roles took 24 of them rightly, refused 107 rightly, and refused 19
//! that RFC 5280 takes, all by design; 7 are about purposes and about authorities in the place of a leaf, which
//! roles decide. No case of all 208 passed a whole [`TrustStore`].
//!
//! | family | applies | why not |
//! |---|---|---|
//! | `crl`, `invalid`, `pathlen`, `pathological`, `rfc5280` except what follows | yes | |
//! | `rfc5280::nc` on hosts, addresses and mail | as constraints on directory names | other kinds are refused when read |
//! | `webpki`: `aki`, `eku`, `nc`, keys, versions, authorities as leaves | yes | |
//! | `webpki::cn`, `webpki::san`, `rfc5280::san` on host names, `cve-2025-61727` | no | no role has a host name, so none is compared |
//! | `pathlen::max-chain-depth-*` | no | no caller chooses a depth: it is [`CHAIN_MAX`] |
//! | `online` | no | certificates of web servers |
//!
//! Valid by RFC 5280 and refused by design: constraints on other kinds of names, or that exclude; a subject
//! without a name; an authority without key usage; more than four certificates; a leaf without key usage or
//! purpose; an authority in the place of a leaf.

#[path = "trust_limbo/cases/mod.rs"]
mod cases;
mod trust_country;

use std::collections::BTreeSet;

use cases::{Case, Judge};
use schema::trust::path::{Authorities, CHAIN_MAX, Links, find_paths};
use schema::trust::profile::role_of;
use schema::trust::verdict::Standing;
use schema::trust::{
    Anchors, Certificate, Language, Outcome, RevocationList, Revocations, SigningTime, TrustStore, Verdict,
};

/// What came out, and everything that was said about it.
struct Answer {
    outcome: Outcome,
    told: String,
}

impl Answer {
    fn of(verdict: &Verdict, mut notes: Vec<String>) -> Self {
        notes.extend(verdict.troubles().map(|finding| finding.reason.text(Language::English)));
        Self { outcome: verdict.outcome(), told: notes.join(" | ") }
    }
}

fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    text
}

/// As a station does.
fn by_the_store(case: &Case) -> Answer {
    let anchors = match Anchors::new(case.roots.iter().map(Vec::as_slice)) {
        Ok(anchors) => anchors,
        Err(error) => return Answer { outcome: Outcome::Invalid, told: format!("root: {}", told(&error)) },
    };
    let mut store = TrustStore::new(anchors);
    let mut notes = Vec::new();
    for der in &case.authorities {
        notes.extend(store.add_authority(der).err().map(|error| format!("authority: {}", told(&error))));
    }
    for der in &case.lists {
        notes.extend(store.add_list(der).err().map(|error| format!("list: {}", told(&error))));
    }
    let verdict = store.judge(&case.leaf, case.purpose, &SigningTime::proven(case.at), case.at);
    Answer::of(&verdict, notes)
}

/// Chains of a shape that no station holds: the same layers without the store, which keeps such authorities out.
fn by_the_layers(case: &Case) -> Answer {
    let (mut anchors, mut authorities) = (Authorities::default(), Authorities::default());
    let mut notes = Vec::new();
    for der in &case.roots {
        match Certificate::parse(der) {
            Ok(root) => drop(anchors.insert(root.into())),
            Err(error) => notes.push(format!("root: {}", told(&error))),
        }
    }
    for der in &case.authorities {
        match Certificate::parse(der) {
            Ok(authority) => drop(authorities.insert(authority.into())),
            Err(error) => notes.push(format!("authority: {}", told(&error))),
        }
    }
    let standing = match Certificate::parse(&case.leaf) {
        Ok(leaf) => {
            let paths = find_paths(&leaf, &authorities, &anchors, &mut Links::default());
            let lists: Vec<_> = case.lists.iter().flat_map(|der| RevocationList::parse(der)).collect();
            Standing::new(&leaf, Some(role_of(&leaf)), paths, &|issuer| {
                let mut held = Revocations::default();
                for list in &lists {
                    let _ = held.admit(list, issuer);
                }
                Some(held.into())
            })
        }
        Err(error) => Standing::refused(error),
    };
    Answer::of(&standing.judge(case.purpose, &SigningTime::proven(case.at), case.at), notes)
}

#[test]
fn every_rule_has_its_frozen_verdict() {
    assert_eq!(CHAIN_MAX, 4, "chains of another length are tried below");
    let cases = cases::all();
    let rules: BTreeSet<&str> = cases.iter().map(|case| case.rule).collect();
    assert_eq!(rules.len(), cases.len(), "two cases try one rule");
    let mut wrong = Vec::new();
    for case in &cases {
        let answer = match case.judge {
            Judge::Store => by_the_store(case),
            Judge::Layers => by_the_layers(case),
        };
        let as_frozen = match case.expected {
            None => answer.outcome == Outcome::Valid,
            Some(words) => answer.outcome != Outcome::Valid && answer.told.contains(words),
        };
        if !as_frozen {
            let expected = case.expected.map_or("valid".to_owned(), |words| format!("refused: …{words}…"));
            wrong.push(format!(
                "{}: {:?}: {}\n    expected {expected}",
                case.rule, answer.outcome, answer.told
            ));
        }
        // What the layers refuse, no store takes.
        if by_the_layers(case).outcome != Outcome::Valid && by_the_store(case).outcome == Outcome::Valid {
            wrong.push(format!("{}: only the store takes it", case.rule));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let valid = cases.iter().filter(|case| case.expected.is_none()).count();
    assert_eq!((valid, cases.len() - valid), VALID_AND_REFUSED, "a case was added or lost");
}

const VALID_AND_REFUSED: (usize, usize) = (36, 149);
