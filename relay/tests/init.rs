//! `tram-relay init`: what an operator types first.

use std::path::Path;
use std::process::{Command, Output};

use relay::config::Config;
use relay::keyring;
use schema::id::hex;

const KEY: &str = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1";
const ANCHOR: &str = "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2";

fn init(data: &Path, root_key: &str, anchors: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tram-relay"));
    command.args(["init", "--region", "p01", "--root-key", root_key, "--data"]).arg(data);
    for anchor in anchors {
        command.args(["--trust-anchor", anchor]);
    }
    command.output().expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text").trim()
}

#[test]
fn init_writes_a_configuration_that_is_accepted_and_tells_the_public_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("relay");
    let other = ANCHOR.replace('b', "c");
    let done = init(&data, KEY, &[ANCHOR, &other]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let config = Config::load(&data.join("relay.toml")).expect("accepted");
    assert_eq!((config.region.as_str(), config.root_key), ("p01", [0xa1; 32]));
    assert_eq!(config.trust_anchors.iter().map(|anchor| anchor.0[0]).collect::<Vec<_>>(), [0xb2, 0xc2]);
    assert_eq!(config.roots().anchors, config.trust_anchors);
    let login = keyring::login(&config.key_path()).expect("made").public_key();
    let stamp_key = keyring::stamp_key(&config.stamp_key_path()).expect("made");
    let told = format!("login      {login}\nstamp key  {}", hex(stamp_key.verifying_key().as_bytes()));
    assert_eq!(text(&done.stdout), told);
    assert!(!text(&done.stdout).contains(&hex(&stamp_key.to_bytes())), "the secret half is told");
    // A second time nothing changes: the directory names these keys by now.
    assert_eq!(text(&init(&data, KEY, &[ANCHOR]).stdout), told);
    assert_eq!(Config::load(&data.join("relay.toml")).expect("accepted").trust_anchors.len(), 2);
}

#[test]
fn init_refuses_what_is_no_pin_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("relay");
    let (capital, long) = (ANCHOR.to_uppercase(), format!("{ANCHOR}b2"));
    let quoted = format!("{}\"]", &ANCHOR[2..]);
    for anchor in ["", &ANCHOR[1..], &ANCHOR[2..], &long, &capital, &quoted] {
        let refused = init(&data, KEY, &[ANCHOR, anchor]);
        assert!(!refused.status.success(), "`{anchor}`");
        assert!(text(&refused.stderr).contains("must be 64 lower-case"), "{}", text(&refused.stderr));
    }
    assert!(!init(&data, &KEY[1..], &[ANCHOR]).status.success());
    assert!(!init(&data, KEY, &[]).status.success());
    let many = init(&data, KEY, &[ANCHOR; 5]);
    assert!(text(&many.stderr).contains("1 to 4 times"), "{}", text(&many.stderr));
    assert!(!many.status.success() && !data.exists(), "something is left");
    assert!(init(&data, KEY, &[ANCHOR]).status.success(), "a mistake stands in the way");
}
