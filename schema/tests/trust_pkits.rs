//! NIST's Public Key Interoperability Test Suite: nothing that it calls invalid may pass.
//!
//! The files are not ours to carry. `TRAM_VECTORS` names the folder with the unpacked wheel of PyPI's
//! `cryptography_vectors` (measured with 45.0.7):
//!
//! ```sh
//! pip download --no-deps cryptography_vectors==45.0.7
//! python3 -m zipfile -e cryptography_vectors-*.whl vectors
//! TRAM_VECTORS=$PWD/vectors cargo nextest run -p schema --test trust_pkits
//! ```
//!
//! Roles and purposes are ours and unknown to the suite, so the certificate, path and verdict layers run
//! without them. What we refuse although it is valid is frozen as counts by reason: a new acceptance has to
//! be looked at.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schema::time::Millis;
use schema::trust::certificate::CertificateError;
use schema::trust::path::{Authorities, Links, PathError, find_paths};
use schema::trust::verdict::Standing;
use schema::trust::{Certificate, Item, Outcome, Purpose, Reason, RevocationList, Revocations, SigningTime};

/// 2022-01-01: within the validity of the suite's certificates and lists.
const AT: Millis = Millis(1_640_995_200_000);

fn folder() -> Option<PathBuf> {
    let Some(vectors) = std::env::var_os("TRAM_VECTORS") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "TRAM_VECTORS must name the vectors in CI");
        eprintln!("TRAM_VECTORS is not set: PKITS was not run");
        return None;
    };
    let folder = PathBuf::from(vectors).join("cryptography_vectors/x509/PKITS_data");
    assert!(folder.is_dir(), "`{}` is not the folder of PKITS", folder.display());
    Some(folder)
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let name = |file: &PathBuf| file.file_stem().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|file| (name(file), fs::read(file).expect("a file"))).collect()
}

struct Suite {
    anchors: Authorities,
    authorities: Authorities,
    lists: Vec<RevocationList>,
    leaves: Vec<(String, Vec<u8>)>,
}

impl Suite {
    fn read(folder: &Path) -> Self {
        let (mut anchors, mut authorities, mut leaves) =
            (Authorities::default(), Authorities::default(), Vec::new());
        for (name, der) in files(&folder.join("certs")) {
            let is_leaf = name.contains("Test") && (name.starts_with("Valid") || name.starts_with("Invalid"));
            match Certificate::parse(&der) {
                _ if is_leaf => leaves.push((name, der)),
                Ok(anchor) if name == "TrustAnchorRootCertificate" => drop(anchors.insert(Arc::new(anchor))),
                Ok(authority) => drop(authorities.insert(Arc::new(authority))),
                // A broken authority has nobody below it.
                Err(_) => {}
            }
        }
        let lists = files(&folder.join("crls"));
        let lists = lists.iter().filter_map(|(_, der)| RevocationList::parse(der).ok()).collect();
        Self { anchors, authorities, lists, leaves }
    }

    fn judge(&self, der: &[u8], links: &mut Links) -> (Outcome, String) {
        let leaf = match Certificate::parse(der) {
            Ok(leaf) => leaf,
            Err(error) => return (Outcome::Invalid, certificate_reason(&error)),
        };
        let paths = find_paths(&leaf, &self.authorities, &self.anchors, links);
        let standing = Standing::new(&leaf, None, paths, &|issuer| {
            let mut revocations = Revocations::default();
            for list in &self.lists {
                let _ = revocations.admit(list, issuer);
            }
            Some(Arc::new(revocations))
        });
        let verdict = standing.judge(Purpose::Event, &SigningTime::proven(AT), AT);
        let worst = verdict.troubles().max_by_key(|finding| finding.outcome);
        (verdict.outcome(), worst.map_or_else(String::new, |finding| reason(finding.item, &finding.reason)))
    }
}

fn certificate_reason(error: &CertificateError) -> String {
    match error {
        CertificateError::ForbiddenExtension { extension } => format!("certificate: {extension}"),
        CertificateError::UnknownCritical { extension } => format!("certificate: critical {extension}"),
        other => format!("certificate: {other}").chars().take(70).collect(),
    }
}

fn reason(item: Item, reason: &Reason) -> String {
    match reason {
        Reason::NoPath(PathError::UnknownIssuer { .. }) => "path: no acceptable authority".to_owned(),
        Reason::NoPath(PathError::TooLong) => "path: more than four certificates".to_owned(),
        Reason::NoPath(PathError::KeyIdentifier { .. }) => "path: key identifiers".to_owned(),
        Reason::NoList { .. } => "no acceptable list".to_owned(),
        other => format!("{item:?}: {other:?}").chars().take(60).collect(),
    }
}

#[test]
fn nothing_invalid_passes_and_what_else_is_refused_is_known() {
    let Some(folder) = folder() else { return };
    let suite = Suite::read(&folder);
    let mut links = Links::default();
    let (mut accepted, mut refused) = (0, 0);
    let mut refused_though_valid: BTreeMap<String, usize> = BTreeMap::new();
    let mut false_accepts = Vec::new();
    for (name, der) in &suite.leaves {
        let (outcome, why) = suite.judge(der, &mut links);
        match (name.starts_with("Valid"), outcome) {
            (true, Outcome::Valid) => accepted += 1,
            (true, _) => *refused_though_valid.entry(why).or_default() += 1,
            (false, Outcome::Valid) => false_accepts.push(name),
            (false, _) => refused += 1,
        }
    }
    assert!(false_accepts.is_empty(), "passed although invalid: {false_accepts:?}");
    let refused_though_valid: Vec<(&str, usize)> =
        refused_though_valid.iter().map(|(why, count)| (why.as_str(), *count)).collect();
    assert_eq!((accepted, refused), ACCEPTED_AND_REFUSED, "{refused_though_valid:#?}");
    assert_eq!(refused_though_valid, REFUSED_THOUGH_VALID);
}

/// Of the 203 certificates whose names say what they are.
const ACCEPTED_AND_REFUSED: (usize, usize) = (17, 115);

/// Valid by RFC 5280, refused by the closed profile.
const REFUSED_THOUGH_VALID: [(&str, usize); 9] = [
    // Delta lists are not processed.
    ("certificate: freshestCRL", 4),
    ("certificate: the certificate carries unique identifiers, which are obs", 1),
    // A name in subjectAltName only.
    ("certificate: the issuer or the subject has no name", 1),
    // DSA.
    ("certificate: the signature of the certificate is not acceptable: the s", 2),
    // The last century.
    ("certificate: the validity of the certificate cannot be read, or lies b", 2),
    // Indirect, partitioned and delta lists, lists by another key of the authority.
    ("no acceptable list", 22),
    ("path: key identifiers", 3),
    ("path: more than four certificates", 3),
    // Policy mapping and constraints, constraints on other names or excluding names, names that differ in case
    // or string type.
    ("path: no acceptable authority", 33),
];
