//! Tests that need namespaces or mounts run once more inside namespaces of their own: network, mounts and processes.
//! Nothing that happens there touches the machine, and everything ends with the test.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Set inside the namespaces.
const INSIDE: &str = "TRAM_LIVE_INSIDE";
/// Prepares the namespaces: loopback, and a place for the names of further ones that nobody else sees.
const PREPARE: &str =
    "ip link set lo up && mkdir -p /run/netns && mount -t tmpfs none /run/netns && exec \"$0\" \"$@\"";

/// Runs the body of the test `name` in namespaces of its own. Without root it is skipped, with a word; in CI it then
/// fails.
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        body();
        return;
    }
    if !is_root() && env::var("CI").as_deref() != Ok("true") {
        eprintln!("SKIPPED {name}: namespaces and mounts need root");
        return;
    }
    let me = env::current_exe().expect("a path");
    let status = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "/bin/sh",
            "-c",
            PREPARE,
        ])
        .arg(me)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .env("PATH", search_path())
        .status()
        .expect("`unshare` of util-linux");
    assert!(status.success(), "`{name}` failed inside its namespaces ({status}); its words are above");
}

/// Runs an administrator's command to its end; it must succeed.
pub(crate) fn run(line: &str) {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program).args(words).env("PATH", search_path()).output();
    let output = output.unwrap_or_else(|error| panic!("`{line}`: {error}"));
    assert!(output.status.success(), "`{line}`: {}", String::from_utf8_lossy(&output.stderr));
}

/// A disk of its own, of this size in bytes.
pub(crate) fn small_disk(folder: &Path, bytes: u64) -> PathBuf {
    let (image, mount) = (folder.join("disk.img"), folder.join("disk"));
    fs::create_dir(&mount).expect("made");
    fs::File::create(&image).and_then(|file| file.set_len(bytes)).expect("an image");
    run(&format!("mkfs.ext4 -q -F -m 0 {}", image.display()));
    run(&format!("mount -o loop {} {}", image.display(), mount.display()));
    mount
}

/// Debian keeps administrators' programs out of everybody else's path.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("`id` of coreutils");
    output.stdout == b"0\n"
}
