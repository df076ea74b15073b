use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use pkcs8::der::asn1::OctetStringRef;
use pkcs8::der::pem::{LineEnding, PemLabel};
use pkcs8::der::{Document, SecretDocument};
use pkcs8::pkcs5::pbes2::{self, Kdf, Pbkdf2Params, Pbkdf2Prf, ScryptParams};
use pkcs8::{EncryptedPrivateKeyInfo, EncryptedPrivateKeyInfoRef};
use proptest::prelude::*;
use tempfile::TempDir;

use super::change::{ChangeStep, OldBytes, change_passphrase, protect, sweep, unprotect};
use super::passphrase::{PASSPHRASE_BYTES_MAX, PassphraseDefect};
use super::sealed::{Derivation, KeyFile, SCRYPT_N, SCRYPT_P, SCRYPT_R};
use super::*;

const WORDS: &str = "Sông Hồng mùa nước lên 1971";

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn public() -> [u8; 32] {
    key().verifying_key().to_bytes()
}

fn passphrase(words: &str) -> Passphrase {
    Passphrase::parse(words.as_bytes()).expect("a passphrase")
}

/// A private file with these bytes.
fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    replace_private(&path, bytes).expect("written");
    path
}

fn by_file(path: &Path) -> Unlock {
    Unlock { passphrase_file: Some(path.to_owned()), ..Unlock::default() }
}

/// A protected key and the file that opens it.
fn protected(folder: &TempDir) -> (PathBuf, Unlock) {
    let path = folder.path().join("node.key");
    write_protected_key(&path, &key(), &passphrase(WORDS)).expect("written");
    (path, by_file(&file(folder, "passphrase", format!("{WORDS}\n").as_bytes())))
}

fn openssl(arguments: &[&str], path: &Path) -> String {
    let run = Command::new("openssl").args(arguments).arg(path).output();
    let run = run.expect("openssl is installed wherever the tests run");
    assert!(run.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&run.stderr));
    fs::set_permissions(path, Permissions::from_mode(0o600)).expect("chmod");
    String::from_utf8_lossy(&run.stdout).into_owned()
}

/// The public key that `openssl pkey -text` shows: it breaks lines, and puts a colon between bytes.
fn shown_by_openssl(more: &[&str], path: &Path) -> String {
    let arguments = [&["pkey", "-text", "-noout"], more, &["-in"]].concat();
    openssl(&arguments, path).replace([' ', '\n', ':'], "")
}

#[test]
fn unencrypted_key_is_read_back_and_openssl_reads_it_too() {
    let folder = folder();
    let path = folder.path().join("node.key");
    write_signing_key(&path, &key()).expect("written");
    assert_eq!(read_signing_key(&path).expect("read").to_bytes(), key().to_bytes());
    assert!(shown_by_openssl(&[], &path).contains(&hex(&public())));

    let made = folder.path().join("openssl.key");
    openssl(&["genpkey", "-algorithm", "ed25519", "-out"], &made);
    read_signing_key(&made).expect("read");
}

#[test]
fn protected_key_is_read_back_and_openssl_opens_it_too() {
    let folder = folder();
    let (path, unlock) = protected(&folder);
    let opened = open_signing_key(&path, &[public()], &unlock).expect("opened");
    assert_eq!(opened.key.to_bytes(), key().to_bytes());
    let derivation = Derivation::Scrypt { n: SCRYPT_N, r: SCRYPT_R, p: SCRYPT_P };
    assert_eq!(opened.protection, Protection::Passphrase { cipher: "AES-256-CBC", derivation });
    assert!(!opened.protection.is_weak());
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);

    let passin = format!("file:{}", folder.path().join("passphrase").display());
    assert!(shown_by_openssl(&["-passin", &passin], &path).contains(&hex(&public())));
}

#[test]
fn keys_that_openssl_protects_are_opened() {
    let folder = folder();
    let words = file(&folder, "passphrase", WORDS.as_bytes());
    let plain = folder.path().join("plain.key");
    write_signing_key(&plain, &key()).expect("written");
    let (plain, passout) = (plain.display().to_string(), format!("file:{}", words.display()));
    let ways: [(&[&str], bool, &str); 5] = [
        (&["-scrypt"], true, "AES-256-CBC, scrypt N=16384 r=8 p=1"),
        (&["-scrypt", "-scrypt_N", "16384", "-scrypt_p", "5"], false, "AES-256-CBC, scrypt N=16384 r=8 p=5"),
        (&["-v2", "aes-256-cbc", "-iter", "600000"], false, "AES-256-CBC, PBKDF2-SHA-256, 600000 rounds"),
        (
            &["-v2", "aes-128-cbc", "-iter", "210000", "-v2prf", "hmacWithSHA512"],
            false,
            "AES-128-CBC, PBKDF2-SHA-512, 210000 rounds",
        ),
        (&["-v2", "aes-192-cbc"], true, "AES-192-CBC, PBKDF2-SHA-256, 2048 rounds"),
    ];
    for (n, (way, weak, shown)) in ways.into_iter().enumerate() {
        let path = folder.path().join(format!("{n}.key"));
        let arguments = [&["pkcs8", "-topk8", "-in", &plain, "-passout", &passout], way, &["-out"]].concat();
        openssl(&arguments, &path);
        let opened = open_signing_key(&path, &[public()], &by_file(&words)).expect(shown);
        assert_eq!(opened.key.to_bytes(), key().to_bytes());
        assert_eq!((opened.protection.to_string().as_str(), opened.protection.is_weak()), (shown, weak));
    }
}

#[test]
fn what_protects_nothing_or_is_no_ed25519_key_is_refused_by_name() {
    let folder = folder();
    let words = file(&folder, "passphrase", WORDS.as_bytes());
    let passout = format!("file:{}", words.display());
    let (plain, elliptic) = (folder.path().join("plain.key"), folder.path().join("p256.key"));
    write_signing_key(&plain, &key()).expect("written");
    let curve = "ec_paramgen_curve:P-256";
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out"], &elliptic);
    let seal = |from: &Path, way: &[&str], name: &str| {
        let (path, from) = (folder.path().join(name), from.display().to_string());
        let arguments = [&["pkcs8", "-topk8", "-in", &from, "-passout", &passout], way, &["-out"]].concat();
        openssl(&arguments, &path);
        open_signing_key(&path, &[], &by_file(&words)).expect_err(name)
    };
    let old = seal(&plain, &["-v1", "PBE-SHA1-3DES"], "pbes1.key");
    assert!(matches!(&old, KeyringError::Derivation { .. } | KeyringError::SigningKey { .. }), "{old}");
    let sha1 = seal(&plain, &["-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"], "sha1.key");
    assert!(matches!(&sha1, KeyringError::Derivation { .. }), "{sha1}");
    let foreign = seal(&elliptic, &["-scrypt"], "other.key");
    assert!(matches!(&foreign, KeyringError::SigningKey { .. }), "{foreign}");

    let certificate =
        file(&folder, "node.crt", b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    let refused = read_signing_key(&certificate).expect_err("no key").to_string();
    assert!(refused.contains("CERTIFICATE"), "{refused}");
}

#[test]
fn wrong_passphrase_is_said_as_such_and_not_repeated() {
    let folder = folder();
    let (path, _) = protected(&folder);
    let words = file(&folder, "other", b"S\xc3\xb4ng H\xe1\xbb\x93ng c\xe1\xba\xa1n kh\xc3\xb4");
    let error = open_signing_key(&path, &[], &by_file(&words)).expect_err("refused");
    assert!(matches!(&error, KeyringError::WrongPassphrase { .. }), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("Hồng"), "{shown}");
    assert_eq!(error.word(), Some("wrong-passphrase"));
}

#[test]
fn flipped_bit_never_gives_another_key_that_is_taken() {
    let folder = folder();
    let (path, unlock) = protected(&folder);
    let text = fs::read_to_string(&path).expect("text");
    let (label, document) = SecretDocument::from_pem(&text).expect("PEM");
    assert_eq!(label, EncryptedPrivateKeyInfoRef::PEM_LABEL);
    let der = document.to_bytes();
    let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).expect("DER");
    let cipher = info.encrypted_data.as_bytes();
    assert_eq!(cipher.len(), 64, "48 bytes of PKCS#8 version 1 and their padding");
    let first = der.len() - cipher.len();

    let mut taken_without_comparison = 0;
    for at in [first, first + 17, first + 33, first + 48, first + 63] {
        let mut der = der.clone();
        der[at] ^= 1;
        let pem = Document::try_from(der.as_slice()).expect("DER");
        let pem = pem.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF).expect("PEM");
        replace_private(&path, pem.as_bytes()).expect("written");
        taken_without_comparison += u32::from(open_signing_key(&path, &[], &unlock).is_ok());
        let error = open_signing_key(&path, &[public()], &unlock).expect_err("another key");
        assert!(
            matches!(
                error,
                KeyringError::OtherKey { .. }
                    | KeyringError::WrongPassphrase { .. }
                    | KeyringError::SigningKey { .. }
            ),
            "{error}"
        );
    }
    assert!(taken_without_comparison > 0, "CBC alone noticed: then the comparison proves nothing here");
}

/// A file that asks for this derivation.
fn asks_for(derivation: impl Into<Kdf>) -> String {
    let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
    let parameters = pbes2::Parameters { kdf: derivation.into(), encryption };
    let info = EncryptedPrivateKeyInfo {
        encryption_algorithm: parameters.into(),
        encrypted_data: OctetStringRef::new(&[0; 64]).expect("short"),
    };
    let document = SecretDocument::try_from(&info).expect("DER");
    let pem = document.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF).expect("PEM");
    pem.to_string()
}

#[test]
fn demands_that_would_exhaust_the_machine_are_refused_before_a_passphrase_is_asked_for() {
    let folder = folder();
    let salt = [0_u8; 16].as_slice().try_into().expect("a salt");
    let scrypt = |cost_parameter, block_size, parallelization| {
        asks_for(ScryptParams { salt, cost_parameter, block_size, parallelization, key_length: None })
    };
    let pbkdf2 = |iteration_count| {
        asks_for(Pbkdf2Params { salt, iteration_count, key_length: None, prf: Pbkdf2Prf::HmacWithSha256 })
    };
    let refused = [
        scrypt(0, 8, 1),
        scrypt(1, 8, 1),
        scrypt(3, 8, 1),
        scrypt(1 << 18, 8, 1),
        scrypt(1 << 17, 16, 1),
        scrypt(1 << 17, 8, 8),
        scrypt(1 << 63, 8, 1),
        scrypt(2, u16::MAX, u16::MAX),
        scrypt(1 << 14, 0, 1),
        scrypt(1 << 14, 8, 0),
        pbkdf2(0),
        pbkdf2(10_000_001),
        pbkdf2(u32::MAX),
    ];
    for pem in refused {
        let path = file(&folder, "node.key", pem.as_bytes());
        let error = open_signing_key(&path, &[], &Unlock::default()).expect_err("refused");
        assert!(matches!(error, KeyringError::Derivation { .. }), "{error}");
    }
    for pem in [scrypt(1 << 17, 8, 1), pbkdf2(10_000_000)] {
        let path = file(&folder, "node.key", pem.as_bytes());
        let error = open_signing_key(&path, &[], &Unlock::default()).expect_err("nobody gave a passphrase");
        assert!(matches!(error, KeyringError::Locked { .. }), "{error}");
    }
}

#[test]
fn cut_and_oversized_files_are_refused() {
    let folder = folder();
    let (path, unlock) = protected(&folder);
    let whole = fs::read(&path).expect("read");
    for length in 0..whole.len() - 1 {
        let cut = KeyFile::parse(&path, &whole[..length]);
        assert!(matches!(cut, Err(KeyringError::SigningKey { .. })), "cut after {length} bytes");
    }
    let bytes_max = usize::try_from(KEY_FILE_BYTES_MAX).expect("small");
    replace_private(&path, &[whole, vec![b'\n'; bytes_max]].concat()).expect("written");
    let error = open_signing_key(&path, &[], &unlock).expect_err("too large");
    assert!(matches!(error, KeyringError::TooLarge { .. }), "{error}");
    replace_private(&path, b"not a key").expect("written");
    assert!(matches!(read_signing_key(&path), Err(KeyringError::SigningKey { .. })));
    assert!(matches!(Login::read(&path), Err(KeyringError::Login { .. })));
}

proptest! {
    #[test]
    fn garbled_file_is_an_error_and_never_a_panic(
        at in 0_usize..280, byte: u8, noise in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let path = Path::new("node.key");
        let _ = KeyFile::parse(path, &noise);
        let mut pem = asks_for(ScryptParams {
            salt: [1_u8; 16].as_slice().try_into().expect("a salt"),
            cost_parameter: SCRYPT_N, block_size: SCRYPT_R, parallelization: SCRYPT_P, key_length: None,
        }).into_bytes();
        let at = at % pem.len();
        pem[at] = byte;
        let _ = KeyFile::parse(path, &pem);
        // The same inside the DER, which the text's checks would hide.
        let text = asks_for(Pbkdf2Params::hmac_sha256(600_000, &[1; 16]).expect("parameters"));
        let (_, document) = SecretDocument::from_pem(&text).expect("PEM");
        let mut der = document.to_bytes();
        let at = 4 + at % (der.len() - 4);
        der[at] = byte;
        if let Ok(document) = Document::try_from(der.as_slice()) {
            let pem = document.to_pem(EncryptedPrivateKeyInfoRef::PEM_LABEL, LineEnding::LF).expect("PEM");
            let _ = KeyFile::parse(path, pem.as_bytes());
        }
    }
}

#[test]
fn exposed_files_are_refused_and_keys_never_overwritten() {
    let folder = folder();
    let (path, unlock) = protected(&folder);
    let again = write_protected_key(&path, &key(), &passphrase(WORDS));
    assert!(matches!(again, Err(KeyringError::Exists { .. })), "{again:?}");
    let again = write_signing_key(&path, &key());
    assert!(matches!(again, Err(KeyringError::Exists { .. })), "{again:?}");
    let words = folder.path().join("passphrase");
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(&words, Permissions::from_mode(mode)).expect("chmod");
        let error = open_signing_key(&path, &[], &unlock).expect_err("exposed");
        assert!(
            matches!(error, KeyringError::PassphraseExposed { mode: found, .. } if found == mode),
            "{error}"
        );
    }
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("chmod");
    let error = open_signing_key(&path, &[], &unlock).expect_err("exposed");
    assert!(matches!(error, KeyringError::Exposed { mode: 0o640, .. }), "{error}");
}

#[test]
fn file_comes_before_credential_and_what_is_named_must_work() {
    let folder = folder();
    let (path, by_file) = protected(&folder);
    let credentials = folder.path().join("credentials");
    fs::create_dir(&credentials).expect("made");
    // systemd sets an access list for the service's user, whose mask shows as the group's bits.
    let credential = credentials.join(CREDENTIAL);
    fs::write(&credential, WORDS).expect("written");
    fs::set_permissions(&credential, Permissions::from_mode(0o440)).expect("chmod");
    let by_credential = Unlock { credentials: Some(credentials), ..Unlock::default() };
    open_signing_key(&path, &[public()], &by_credential).expect("opened by the credential");

    let wrong = file(&folder, "wrong", b"another passphrase");
    let both = Unlock { passphrase_file: Some(wrong.clone()), ..by_credential.clone() };
    let error = open_signing_key(&path, &[], &both).expect_err("the file comes first");
    assert!(
        matches!(&error, KeyringError::WrongPassphrase { from: Source::File(from), .. } if *from == wrong),
        "{error}"
    );
    fs::remove_file(&wrong).expect("removed");
    let error = open_signing_key(&path, &[], &both).expect_err("a named file must be there");
    assert!(matches!(error, KeyringError::PassphraseRead { .. }), "{error}");
    let settings = both.clone().or_file(Some(Path::new("/from/settings")));
    assert_eq!(settings, both, "the settings replaced what was named");
    assert_eq!(Unlock::default().or_file(by_file.passphrase_file.as_deref()), by_file);

    fs::set_permissions(&credential, Permissions::from_mode(0o444)).expect("chmod");
    let error = open_signing_key(&path, &[], &by_credential).expect_err("exposed");
    assert!(matches!(error, KeyringError::PassphraseExposed { mode: 0o444, .. }), "{error}");
    fs::remove_file(&credential).expect("removed");
    let error = open_signing_key(&path, &[], &by_credential).expect_err("nothing there");
    assert!(matches!(error, KeyringError::Locked { .. }), "{error}");
}

#[test]
fn passphrase_is_one_line_of_composed_text() {
    let defect = |bytes: &[u8]| Passphrase::parse(bytes).expect_err("refused");
    assert_eq!(passphrase("một hai ba\n").as_bytes(), "một hai ba".as_bytes());
    assert_eq!(defect(b""), PassphraseDefect::Empty);
    assert_eq!(defect(b"\n"), PassphraseDefect::Empty);
    assert_eq!(defect(b"one\ntwo\n"), PassphraseDefect::Lines);
    assert_eq!(defect(b"from Windows\r\n"), PassphraseDefect::Control);
    assert_eq!(defect(&[0xff; 20]), PassphraseDefect::NotText);
    assert_eq!(defect("mo\u{323}\u{302}t".as_bytes()), PassphraseDefect::NotComposed);
    assert_eq!(defect(&[b'x'; PASSPHRASE_BYTES_MAX + 1]), PassphraseDefect::TooLong);
    passphrase(&"x".repeat(PASSPHRASE_BYTES_MAX));

    let folder = folder();
    let short = file(&folder, "short", "mười một kt".as_bytes());
    let error = by_file(&short).new_passphrase(Path::new("node.key")).expect_err("too short");
    assert!(matches!(error, KeyringError::Passphrase { defect: PassphraseDefect::TooShort, .. }), "{error}");
    by_file(&short).passphrase(Path::new("node.key")).expect("good enough to open what others made");
    let long = file(&folder, "long", &[b'x'; 4096]);
    let error = by_file(&long).given().expect_err("too long");
    assert!(matches!(error, KeyringError::Passphrase { defect: PassphraseDefect::TooLong, .. }), "{error}");
}

#[test]
fn nothing_secret_is_shown() {
    let folder = folder();
    let (path, unlock) = protected(&folder);
    let opened = open_signing_key(&path, &[], &unlock).expect("opened");
    let shown = format!("{opened:?} {:?} {unlock:?}", passphrase(WORDS));
    assert!(!shown.contains("Hồng") && !shown.contains(&hex(&key().to_bytes())), "{shown}");
    assert!(!shown.contains("7, 7, 7"), "{shown}");
    assert!(shown.contains(&hex(&public())), "{shown}");
}

#[test]
fn key_goes_under_a_passphrase_under_another_and_out_again() {
    let folder = folder();
    let path = folder.path().join("node.key");
    write_signing_key(&path, &key()).expect("written");
    let mut old = fs::File::open(&path).expect("open");
    let (first, second) = (passphrase(WORDS), passphrase("another passphrase"));
    let source = Source::Terminal;

    let done = protect(&path, &first, &[public()], &mut |_| {}).expect("protected");
    assert_eq!((done.public, done.old_bytes), (public(), OldBytes::Overwritten));
    let mut left = Vec::new();
    std::io::Read::read_to_end(&mut old, &mut left).expect("read");
    assert!(!left.is_empty() && left.iter().all(|byte| *byte == 0), "the old bytes are still there");
    let again = protect(&path, &first, &[], &mut |_| {}).expect_err("protected already");
    assert!(matches!(again, KeyringError::AlreadyProtected { .. }), "{again}");

    change_passphrase(&path, (&first, &source), &second, &[public()], &mut |_| {}).expect("changed");
    let error =
        change_passphrase(&path, (&first, &source), &second, &[], &mut |_| {}).expect_err("the old one");
    assert!(matches!(error, KeyringError::WrongPassphrase { .. }), "{error}");
    let error = unprotect(&path, (&first, &source), &[], &mut |_| {}).expect_err("the old one");
    assert!(matches!(error, KeyringError::WrongPassphrase { .. }), "{error}");
    unprotect(&path, (&second, &source), &[public()], &mut |_| {}).expect("out again");
    assert_eq!(read_signing_key(&path).expect("read").to_bytes(), key().to_bytes());
    let error = unprotect(&path, (&second, &source), &[], &mut |_| {}).expect_err("nothing to take off");
    assert!(matches!(error, KeyringError::NotProtected { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1, "something was left behind");
}

#[test]
fn another_key_is_not_protected_and_a_file_with_two_names_is_not_overwritten() {
    let folder = folder();
    let path = folder.path().join("node.key");
    write_signing_key(&path, &key()).expect("written");
    let error = protect(&path, &passphrase(WORDS), &[[1; 32]], &mut |_| {}).expect_err("another key");
    assert!(matches!(error, KeyringError::OtherKey { .. }), "{error}");

    let copy = folder.path().join("copy.key");
    fs::hard_link(&path, &copy).expect("linked");
    let done = protect(&path, &passphrase(WORDS), &[public()], &mut |_| {}).expect("protected");
    assert_eq!(done.old_bytes, OldBytes::StillLinked);
    read_signing_key(&copy).expect("left alone");
}

#[test]
fn two_commands_do_not_change_one_key_at_once() {
    let folder = folder();
    let path = folder.path().join("node.key");
    write_signing_key(&path, &key()).expect("written");
    let mut second = None;
    let done = protect(&path, &passphrase(WORDS), &[], &mut |step| {
        if step == ChangeStep::Written {
            second = Some(protect(&path, &passphrase("another passphrase"), &[], &mut |_| {}));
        }
    });
    done.expect("protected");
    assert!(matches!(second, Some(Err(KeyringError::InUse { .. }))), "{second:?}");
}

#[test]
fn crash_at_any_step_leaves_the_old_file_or_the_new_one() {
    let words = passphrase(WORDS);
    let steps = [ChangeStep::Written, ChangeStep::Verified, ChangeStep::Replaced, ChangeStep::Overwritten];
    for crash_after in steps {
        let folder = folder();
        let path = folder.path().join("node.key");
        write_signing_key(&path, &key()).expect("written");
        let mut crash = |step| assert_ne!(step, crash_after, "the power fails here");
        let crashed = catch_unwind(AssertUnwindSafe(|| protect(&path, &words, &[public()], &mut crash)));
        assert!(crashed.is_err(), "{crash_after:?} was never reached");
        let is_new = matches!(crash_after, ChangeStep::Replaced | ChangeStep::Overwritten);
        if is_new {
            let opens = file(&folder, "passphrase", WORDS.as_bytes());
            open_signing_key(&path, &[public()], &by_file(&opens)).expect("opened");
        } else {
            assert_eq!(read_signing_key(&path).expect("read").to_bytes(), key().to_bytes());
        }
    }
}

#[test]
fn crash_while_the_passphrase_changes_leaves_the_old_one_or_the_new_one_and_stops_no_further_attempt() {
    let (first, second) = (passphrase(WORDS), passphrase("another passphrase"));
    let from = Source::Terminal;
    let folder = folder();
    let (path, by_first) = protected(&folder);
    let by_second = by_file(&file(&folder, "second", b"another passphrase"));
    for (crash_after, opens) in [(ChangeStep::Verified, by_first), (ChangeStep::Replaced, by_second)] {
        let mut crash = |step| assert_ne!(step, crash_after, "the power fails here");
        let crashed = catch_unwind(AssertUnwindSafe(|| {
            change_passphrase(&path, (&first, &from), &second, &[public()], &mut crash)
        }));
        assert!(crashed.is_err(), "{crash_after:?} was never reached");
        open_signing_key(&path, &[public()], &opens).expect("opened");
    }
}

#[test]
fn unprotecting_that_is_broken_off_leaves_no_open_key_behind() {
    let folder = folder();
    let (path, unlock) = protected(&folder);
    let (words, from) = unlock.given().expect("read").expect("named");
    let mut crash = |step| assert_ne!(step, ChangeStep::Verified, "the power fails here");
    let crashed = catch_unwind(AssertUnwindSafe(|| unprotect(&path, (&words, &from), &[], &mut crash)));
    assert!(crashed.is_err());
    let left = folder.path().join("node.key.new");
    read_signing_key(&left).expect("the key lies open: this is what the sweep is for");
    assert!(sweep(&path).expect("swept"));
    assert!(!left.exists());
    assert!(!sweep(&path).expect("nothing to sweep"));

    // What another command is just writing is left alone.
    let mut swept = None;
    let done = unprotect(&path, (&words, &from), &[], &mut |step| {
        if step == ChangeStep::Written {
            swept = Some(sweep(&path));
        }
    });
    done.expect("unprotected");
    assert!(matches!(swept, Some(Ok(false))), "{swept:?}");
}
