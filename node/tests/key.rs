//! The signing key under a passphrase, as a clerk and an administrator meet it: real processes, files, words.

mod office;
mod station;

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use node::keyring::{Protection, write_signing_key};
use office::{Office, PROGRAM};
use schema::id::hex;
use station::{RECIPIENT, SENDER, key};

const WORDS: &str = "Sông Hồng mùa nước lên 1971";
const OTHER_WORDS: &str = "Núi Ba Vì chiều mưa 1968";
const PATIENCE: Duration = Duration::from_secs(20);

fn words_file(office: &Office, name: &str, words: &str) -> String {
    let path = office.folder.path().join(name);
    fs::write(&path, format!("{words}\n")).expect("written");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("chmod");
    path.display().to_string()
}

fn said(output: &Output) -> String {
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_no_secret(&said);
    said
}

fn assert_no_secret(said: &str) {
    assert!(!said.contains("mùa nước lên") && !said.contains("chiều mưa"), "a passphrase is shown: {said}");
    let key = hex(&key(SENDER).to_bytes());
    assert!(!said.contains(&key), "the key is shown: {said}");
}

fn key_file(office: &Office) -> PathBuf {
    office.data().join("node.key")
}

/// A station whose key is under [`WORDS`], and the file with them.
fn protected() -> (Office, String) {
    let office = Office::enrolled(SENDER);
    let words = words_file(&office, "passphrase", WORDS);
    office.text(&["key", "protect", "--passphrase-file", &words]);
    (office, words)
}

/// Runs the station until it ends by itself or its door opens; says what it said, and its exit status.
fn run(office: &Office, more: &[&str], credentials: Option<&Path>) -> (String, Option<i32>) {
    let _ = fs::remove_file(office.data().join("api.json"));
    let mut command = Command::new(PROGRAM);
    command.env_remove("TRAM_LANG").arg("--data").arg(office.data()).arg("run").args(more);
    if let Some(folder) = credentials {
        command.env("CREDENTIALS_DIRECTORY", folder);
    }
    command.env("TRAM_LOG", "trace").env("NO_COLOR", "1");
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let mut stderr = child.stderr.take().expect("a pipe");
    let listening = std::thread::spawn(move || {
        let mut words = String::new();
        stderr.read_to_string(&mut words).expect("UTF-8");
        words
    });
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("our child") {
            break status.code();
        }
        if office.data().join("api.json").exists() {
            assert!(office.ask(&["status"]).status.success(), "the door is shut");
            let ended = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            assert!(ended.expect("kill is there").success());
            assert!(child.wait().expect("reaped").success());
            break None;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the station neither runs nor ends: {}", listening.join().expect("read"));
        }
        std::thread::yield_now();
    };
    let words = listening.join().expect("read");
    assert_no_secret(&words);
    (words, status)
}

#[test]
fn station_starts_with_its_passphrase_and_says_what_to_do_without() {
    let (office, words) = protected();
    let left = office.data().join("node.key.new");
    write_signing_key(&left, &key(SENDER)).expect("written");
    let (log, status) = run(&office, &["--passphrase-file", &words], None);
    assert_eq!(status, None, "it did not run: {log}");
    assert!(!left.exists() && log.contains("was broken off"), "an open key is left beside: {log}");
    assert!(log.contains("signing key opened") && log.contains("scrypt N=16384"), "{log}");

    let (log, status) = run(&office, &[], None);
    assert_eq!(status, Some(3), "a service manager must see that a person is needed");
    assert!(log.contains("--passphrase-file") && log.contains("Khóa ký được bảo vệ"), "{log}");
    let (log, _) = run(&office, &["--lang", "en"], None);
    assert!(log.contains("nobody gave one"), "{log}");

    let wrong = words_file(&office, "wrong", OTHER_WORDS);
    let (log, status) = run(&office, &["--passphrase-file", &wrong], None);
    assert_eq!(status, Some(3));
    assert!(log.contains("không mở được khóa ký") && log.contains("tried once"), "{log}");

    fs::set_permissions(&words, Permissions::from_mode(0o644)).expect("chmod");
    let (log, _) = run(&office, &["--passphrase-file", &words], None);
    assert!(log.contains("mode 644, expected 600"), "{log}");
}

#[test]
fn station_starts_unattended_from_the_settings_and_from_systemd() {
    let (office, words) = protected();
    let credentials = office.folder.path().join("credentials");
    fs::create_dir(&credentials).expect("made");
    let credential = credentials.join("tram-node-passphrase");
    fs::write(&credential, WORDS).expect("written");
    fs::set_permissions(&credential, Permissions::from_mode(0o400)).expect("chmod");
    let (log, status) = run(&office, &[], Some(&credentials));
    assert_eq!(status, None, "not opened by the credential: {log}");

    // The settings come first, and must work.
    let settings = office.data().join("config.toml");
    let text = fs::read_to_string(&settings).expect("read");
    let with = |path: &str| text.replace("[unlock]\n", &format!("[unlock]\npassphrase_file = \"{path}\"\n"));
    assert_ne!(with("x"), text, "the settings have no place for it");
    fs::write(&settings, with("no/such/file")).expect("written");
    let (log, status) = run(&office, &[], Some(&credentials));
    assert_eq!(status, Some(3));
    assert!(log.contains("no/such/file") && log.contains("Không đọc được tệp cụm mật khẩu"), "{log}");
    fs::write(&settings, with(&words)).expect("written");
    let (log, status) = run(&office, &[], None);
    assert_eq!(status, None, "not opened by the settings' file: {log}");
    // What needs the key besides: the seal of a backup.
    let backup = office.json(&["backup", "--out", &office.path("disk")]);
    assert!(backup["backup"].is_string(), "{backup}");
}

#[test]
fn unprotected_key_warns_until_it_is_protected() {
    let mut office = Office::enrolled(SENDER);
    let (log, status) = run(&office, &[], None);
    assert!(status.is_none() && log.contains("the signing key lies unencrypted"), "{log}");
    office.start();
    assert_eq!(office.json(&["status"])["key_protection"], "unprotected");
    assert!(office.text(&["status"]).contains("khóa ký chưa mã hóa"));

    let words = words_file(&office, "passphrase", WORDS);
    let done = office.json(&["key", "protect", "--passphrase-file", &words]);
    assert_eq!((&done["state"], &done["old_bytes"]), (&"protected".into(), &"overwritten".into()), "{done}");
    assert_eq!(office.json(&["status"])["key_protection"], "protected", "seen only after a new start");
    assert!(office.text(&["--lang", "en", "status"]).contains("signing key: encrypted with a passphrase"));
    // What runs has its key; what starts needs the passphrase.
    assert_eq!(office.stop("-TERM"), Some(0));
    assert_eq!(run(&office, &[], None).1, Some(3));
}

#[test]
fn station_does_not_run_with_an_unencrypted_key_unless_that_was_meant() {
    let office = Office::enrolled(SENDER);
    let settings = office.data().join("config.toml");
    let text = fs::read_to_string(&settings).expect("read");
    fs::write(&settings, text.replace("allow_unencrypted = true", "")).expect("written");
    let (log, status) = run(&office, &[], None);
    assert_eq!(status, Some(3), "{log}");
    assert!(log.contains("Khóa ký chưa mã hóa") && log.contains("tram-node key protect"), "{log}");
    assert!(!office.data().join("tram.db").exists(), "a store was begun");

    let words = words_file(&office, "passphrase", WORDS);
    office.text(&["key", "protect", "--passphrase-file", &words]);
    let (log, status) = run(&office, &["--passphrase-file", &words], None);
    assert_eq!(status, None, "{log}");
}

#[test]
fn key_of_another_office_is_refused_whether_protected_or_not() {
    let (office, words) = protected();
    let path = key_file(&office);
    fs::remove_file(&path).expect("removed");
    write_signing_key(&path, &key(RECIPIENT)).expect("written");
    let (log, status) = run(&office, &[], None);
    assert_eq!(status, Some(3));
    assert!(log.contains("chưa phải khóa ký của đơn vị này"), "{log}");
    let refused = office.ask(&["--json", "key", "protect", "--passphrase-file", &words]);
    assert!(said(&refused).contains("\"other-key\""), "{}", said(&refused));
    assert!(!Protection::of_file(&path).expect("a key").is_protected(), "a foreign key was taken over");

    // Without a key in the settings a certified one is expected.
    let settings = office.data().join("config.toml");
    let text = fs::read_to_string(&settings).expect("read");
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("public ="))
        .fold(String::new(), |text, line| text + line + "\n");
    assert_ne!(without, text, "the settings do not name the public key");
    fs::write(&settings, without).expect("written");
    let (log, status) = run(&office, &[], None);
    assert!(status == Some(3) && log.contains("chưa phải khóa ký của đơn vị này"), "{log}");
}

#[test]
fn key_is_shown_changed_and_unprotected_only_when_it_is_meant() {
    let (office, words) = protected();
    let public = hex(key(SENDER).verifying_key().as_bytes());
    let shown = office.json(&["key", "show"]);
    assert_eq!(shown["public_key"], public.as_str(), "known without the passphrase: {shown}");
    assert_eq!((&shown["opened"], &shown["certified"]), (&false.into(), &"certified".into()), "{shown}");
    assert_eq!(shown["protection"]["derivation"], "scrypt", "{shown}");
    let text = office.text(&["key", "show", "--passphrase-file", &words]);
    assert!(text.contains(&public) && text.contains("cụm mật khẩu đúng"), "{text}");
    assert_no_secret(&text);
    let shut = office.ask(&["--json", "key", "show", "--check"]);
    assert!(said(&shut).contains("\"key-locked\""), "{}", said(&shut));

    let new = words_file(&office, "new", OTHER_WORDS);
    let changed = office.text(&[
        "key",
        "change-passphrase",
        "--passphrase-file",
        &words,
        "--new-passphrase-file",
        &new,
    ]);
    assert_no_secret(&changed);
    let old = office.ask(&["--json", "key", "show", "--passphrase-file", &words]);
    assert!(said(&old).contains("\"wrong-passphrase\""), "{}", said(&old));
    let short = words_file(&office, "short", "ngắn");
    let refused = office.ask(&[
        "--json",
        "key",
        "change-passphrase",
        "--passphrase-file",
        &new,
        "--new-passphrase-file",
        &short,
    ]);
    assert!(said(&refused).contains("\"passphrase-unusable\""), "{}", said(&refused));

    let refused = office.ask(&["key", "unprotect", "--passphrase-file", &new]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("--leave-unencrypted"), "{}", said(&refused));
    assert!(Protection::of_file(&key_file(&office)).expect("a key").is_protected());
    let done = office.text(&["key", "unprotect", "--leave-unencrypted", "--passphrase-file", &new]);
    assert!(done.contains("CẢNH BÁO: khóa ký chưa mã hóa"), "{done}");
    assert_eq!(run(&office, &[], None).1, None);
}

#[test]
fn folder_is_made_with_a_protected_key_and_the_open_copy_is_named() {
    let office = Office::enrolled(SENDER);
    let words = words_file(&office, "passphrase", WORDS);
    let data = office.path("second");
    let init = |more: &[&str]| {
        let bundle = office.path("bundle");
        let arguments = [&["init", "--bundle", &bundle, "--listen", "127.0.0.1:0"], more].concat();
        let mut command = Command::new(PROGRAM);
        command.env_remove("TRAM_LANG").args(["--json", "--data", &data]).args(arguments);
        command.output().expect("the program starts")
    };
    let short = words_file(&office, "short", "ngắn");
    assert!(!init(&["--passphrase-file", &short]).status.success());
    assert!(!Path::new(&data).exists(), "a folder was begun for a passphrase that cannot be used");

    let made = init(&["--passphrase-file", &words, "--unattended"]);
    assert!(made.status.success(), "{}", said(&made));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    assert_eq!((&made["state"], &made["enrolled"]), (&"protected".into(), &true.into()), "{made}");
    assert_eq!(made["unencrypted_copy"], office.path("bundle/node.key"), "{made}");
    assert!(Protection::of_file(&Path::new(&data).join("node.key")).expect("a key").is_protected());

    // A bundle whose key is protected needs its passphrase, and leaves no open copy.
    fs::remove_dir_all(&data).expect("removed");
    fs::copy(key_file(&office), office.path("open.key")).expect("copied");
    office.text(&["key", "protect", "--passphrase-file", &words]);
    fs::copy(key_file(&office), office.path("bundle/node.key")).expect("copied");
    let shut = init(&[]);
    assert!(said(&shut).contains("\"key-locked\""), "{}", said(&shut));
    assert!(!Path::new(&data).join("config.toml").exists(), "a folder without a key counts as made");
    let made = init(&["--passphrase-file", &words]);
    assert!(made.status.success(), "{}", said(&made));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).expect("JSON");
    assert_eq!((&made["state"], &made["unencrypted_copy"]), (&"protected".into(), &().into()), "{made}");
}

#[test]
fn backup_and_restore_never_hold_the_key_or_the_passphrase() {
    let (office, words) = protected();
    let (log, status) = run(&office, &["--passphrase-file", &words], None);
    assert_eq!(status, None, "{log}");
    let shut = office.ask(&["--json", "backup", "--out", &office.path("disk")]);
    assert!(said(&shut).contains("\"key-locked\""), "{}", said(&shut));
    let made = office.json(&["backup", "--out", &office.path("disk"), "--passphrase-file", &words]);
    let backup = PathBuf::from(made["backup"].as_str().expect("a path"));

    let pem = fs::read_to_string(key_file(&office)).expect("read");
    let body = pem.lines().nth(1).expect("a line of the key");
    let secret = key(SENDER).to_bytes();
    let mut files = 0;
    let listed =
        |folder: &Path| fs::read_dir(folder).expect("listed").map(|entry| entry.expect("an entry").path());
    let attachments = backup.join("content");
    for path in listed(&backup).chain(listed(&attachments)).filter(|path| path.is_file()) {
        let bytes = fs::read(&path).expect("read");
        for (what, needle) in [
            ("the key", secret.as_slice()),
            ("the key in hexadecimal digits", hex(&secret).as_bytes()),
            ("the key's file", body.as_bytes()),
            ("the passphrase", WORDS.as_bytes()),
        ] {
            let found = bytes.windows(needle.len()).any(|window| window == needle);
            assert!(!found, "{} holds {what}", path.display());
        }
        files += 1;
    }
    assert_eq!(files, 5, "store, settings, registry, sealing keys and seal");

    // Restored on a new machine: settings come with the backup, the key and the passphrase do not.
    let data = office.path("new-machine");
    fs::create_dir(&data).expect("made");
    let restore = |more: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.env_remove("TRAM_LANG").args(["--json", "--data", &data, "restore", "--from"]).arg(&backup);
        command.args(more).output().expect("the program starts")
    };
    let words_there = ["--passphrase-file", &words];
    let without = restore(&words_there);
    assert!(!without.status.success(), "restored without a key: {}", said(&without));
    fs::copy(key_file(&office), Path::new(&data).join("node.key")).expect("brought");
    let shut = restore(&[]);
    assert!(said(&shut).contains("\"key-locked\""), "{}", said(&shut));
    let done = restore(&words_there);
    assert!(done.status.success(), "{}", said(&done));
}

/// The program at a terminal of its own, which `script` makes; types each answer when its question is there.
fn at_a_terminal(office: &Office, arguments: &str, answers: &[(&str, &str)]) -> (String, Option<i32>) {
    let line = format!("{PROGRAM} --data {} {arguments}", office.data().display());
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_remove("TRAM_LANG");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script (bsdutils) is installed wherever the tests run");
    let (mut keys, mut screen) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let (mut seen, mut from) = (Vec::new(), 0);
    for (question, answer) in answers {
        let mut byte = [0];
        while !String::from_utf8_lossy(&seen[from..]).contains(question) {
            assert_eq!(
                screen.read(&mut byte).expect("read"),
                1,
                "`{question}` is not asked: {}",
                String::from_utf8_lossy(&seen)
            );
            seen.push(byte[0]);
        }
        from = seen.len();
        keys.write_all(answer.as_bytes()).expect("typed");
        keys.flush().expect("typed");
    }
    screen.read_to_end(&mut seen).expect("read");
    drop(keys);
    let status = child.wait().expect("reaped").code();
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert_no_secret(&seen);
    (seen, status)
}

#[test]
fn passphrase_is_typed_without_being_shown() {
    let office = Office::enrolled(SENDER);
    let (first, again) = ("Cụm mật khẩu mới", "Nhập lại");
    let (typed, wrong) = (format!("{WORDS}\n"), format!("{OTHER_WORDS}\n"));
    let (seen, status) = at_a_terminal(&office, "key protect", &[(first, &typed), (again, &wrong)]);
    assert_eq!(status, Some(1));
    assert!(seen.contains("không giống nhau"), "{seen}");
    let (seen, status) = at_a_terminal(&office, "key protect", &[(first, "\u{3}")]);
    assert!(status == Some(1) && seen.contains("Đã dừng"), "Ctrl-C: {seen}");
    assert!(!Protection::of_file(&key_file(&office)).expect("a key").is_protected());

    let (seen, status) = at_a_terminal(&office, "key protect", &[(first, &typed), (again, &typed)]);
    assert_eq!(status, Some(0), "{seen}");
    let opened = ("Passphrase of the signing key", typed.as_str());
    let (seen, status) = at_a_terminal(&office, "--lang en key show --check", &[opened]);
    assert!(status == Some(0) && seen.contains("the passphrase is right"), "{seen}");
    let (seen, status) = at_a_terminal(&office, "key show --check", &[("Cụm mật khẩu", &wrong)]);
    assert!(status == Some(1) && seen.contains("không mở được khóa ký"), "{seen}");
    // What protects here is what was typed, byte for byte.
    let words = words_file(&office, "passphrase", WORDS);
    office.text(&["key", "show", "--passphrase-file", &words]);
}
