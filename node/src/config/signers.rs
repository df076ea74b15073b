//! The officers of the settings: who can sign documents here, and with what.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use schema::id::hex;
use schema::text::require_plain;
use serde::Deserialize;

use super::toml_string;

/// Most officers' signers.
pub const SIGNERS_MAX: usize = 32;
/// Longest name of a signer, in characters.
pub const SIGNER_NAME_CHARS_MAX: usize = 32;
/// Most certificates above an officer's that go along with a signature.
pub const SIGNER_CHAIN_MAX: usize = 4;
/// Longest text among a signer's settings (serial number of a token, address or credential of a provider), in
/// characters.
pub const SIGNER_TEXT_CHARS_MAX: usize = 256;
/// Longest id of a key on a token, in bytes.
pub const KEY_ID_BYTES_MAX: usize = 64;

/// An officer who can sign documents here, and with what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignerConfig {
    /// What to call it on the command line; `a-z`, `0-9`, `-`.
    pub name: String,
    /// The officer's certificate, PEM or DER. Prevents whatever signs from choosing another person: a signature counts
    /// only when it holds under this certificate.
    pub certificate: PathBuf,
    /// The certificates above it, for readers that do not hold them.
    pub chain: Vec<PathBuf>,
    /// What signs.
    pub kind: SignerKind,
}

/// What signs for an officer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignerKind {
    /// A key in an encrypted file.
    File {
        /// PKCS#8 in PEM under a passphrase. Prevents whoever copies the disk from signing as the officer.
        key: PathBuf,
    },
    /// A key on a PKCS#11 token.
    Token {
        /// The library of the token's maker. It runs inside the station: take it from nobody else.
        module: PathBuf,
        /// The token's serial number. Prevents a PIN from being tried on another token that happens to be plugged in.
        serial: String,
        /// The key's CKA_ID.
        key_id: Vec<u8>,
    },
    /// A provider that asks the officer on the telephone.
    Remote {
        /// Where it answers; `https`, or `http` on this machine.
        url: String,
        /// What the provider calls the certificate.
        credential: String,
        /// A file with what the provider knows this station by; readable by its owner only.
        token_file: Option<PathBuf>,
        /// Certificates (PEM) of those who certify the provider's server; needed for `https`. Prevents any of the
        /// hundreds of authorities of the web from standing in for the provider.
        roots: Option<PathBuf>,
    },
}

impl SignerKind {
    /// Its word in the settings.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::Token { .. } => "token",
            Self::Remote { .. } => "remote",
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum RawSigner {
    File {
        name: String,
        certificate: PathBuf,
        #[serde(default)]
        chain: Vec<PathBuf>,
        key: PathBuf,
    },
    Token {
        name: String,
        certificate: PathBuf,
        #[serde(default)]
        chain: Vec<PathBuf>,
        module: PathBuf,
        serial: String,
        key_id: String,
    },
    Remote {
        name: String,
        certificate: PathBuf,
        #[serde(default)]
        chain: Vec<PathBuf>,
        url: String,
        credential: String,
        token_file: Option<PathBuf>,
        roots: Option<PathBuf>,
    },
}

impl RawSigner {
    /// The same with paths that start at the folder, or what is wrong with it.
    fn checked(self, folder: &Path) -> Result<SignerConfig, String> {
        let at = |path: PathBuf| folder.join(path);
        let (name, certificate, chain, kind) = match self {
            Self::File { name, certificate, chain, key } => {
                (name, certificate, chain, SignerKind::File { key: at(key) })
            }
            Self::Token { name, certificate, chain, module, serial, key_id } => {
                require_short(&serial)?;
                let digits = key_id.to_ascii_lowercase();
                let key_id = HEXLOWER.decode(digits.as_bytes()).ok();
                let key_id = key_id.filter(|id| (1..=KEY_ID_BYTES_MAX).contains(&id.len()));
                let key_id = key_id.ok_or(format!(
                    "the key's id of signer `{name}` is not 1 to {KEY_ID_BYTES_MAX} bytes in hexadecimal digits"
                ))?;
                (name, certificate, chain, SignerKind::Token { module: at(module), serial, key_id })
            }
            Self::Remote { name, certificate, chain, url, credential, token_file, roots } => {
                require_short(&url)?;
                require_short(&credential)?;
                let (token_file, roots) = (token_file.map(at), roots.map(at));
                require_provider(&url, roots.is_some())?;
                (name, certificate, chain, SignerKind::Remote { url, credential, token_file, roots })
            }
        };
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if name.is_empty() || name.len() > SIGNER_NAME_CHARS_MAX || !name.bytes().all(plain) {
            return Err(format!(
                "`{}` is not a signer's name: 1 to {SIGNER_NAME_CHARS_MAX} of a-z, 0-9 and `-`",
                name.escape_debug()
            ));
        }
        if chain.len() > SIGNER_CHAIN_MAX {
            return Err(format!(
                "signer `{name}` has {} certificates above its own, at most {SIGNER_CHAIN_MAX} are possible",
                chain.len()
            ));
        }
        Ok(SignerConfig {
            name,
            certificate: at(certificate),
            chain: chain.into_iter().map(at).collect(),
            kind,
        })
    }
}

fn require_short(text: &str) -> Result<(), String> {
    if text.is_empty() || require_plain(text, SIGNER_TEXT_CHARS_MAX).is_err() {
        return Err(format!(
            "expected 1 to {SIGNER_TEXT_CHARS_MAX} plain characters, found `{}`",
            text.escape_debug()
        ));
    }
    Ok(())
}

/// Hashes of documents and answers about signatures go over this line, and so does what the provider knows us by.
fn require_provider(url: &str, pinned: bool) -> Result<(), String> {
    let host_of = |rest: &str| rest.split('/').next().unwrap_or_default().to_owned();
    let plain = |host: &str| {
        !host.is_empty() && host.bytes().all(|c| c.is_ascii_alphanumeric() || b".-:[]".contains(&c))
    };
    if let Some(host) = url.strip_prefix("https://").map(host_of) {
        return match (plain(&host), pinned) {
            (true, true) => Ok(()),
            (true, false) => {
                Err(format!("`{url}` needs `roots`: the certificates of those who certify its server"))
            }
            (false, _) => Err(format!("`{url}` has no plain host")),
        };
    }
    let host = url.strip_prefix("http://").map(host_of).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
    if matches!(name, "127.0.0.1" | "[::1]" | "localhost") {
        Ok(())
    } else {
        Err(format!("`{url}` is neither `https://host…` nor `http://` on this machine"))
    }
}

/// Signers as the settings are used, or what is wrong with the first that cannot be.
pub(super) fn parse_signers(raw: Vec<RawSigner>, folder: &Path) -> Result<Vec<SignerConfig>, String> {
    if raw.len() > SIGNERS_MAX {
        return Err(format!("found {} signers, at most {SIGNERS_MAX} are possible", raw.len()));
    }
    let signers: Result<Vec<SignerConfig>, String> =
        raw.into_iter().map(|signer| signer.checked(folder)).collect();
    let signers = signers?;
    let names: BTreeSet<&str> = signers.iter().map(|signer| signer.name.as_str()).collect();
    if names.len() < signers.len() {
        return Err("two signers have the same name".to_owned());
    }
    Ok(signers)
}

impl SignerConfig {
    pub(super) fn render(&self, text: &mut String, path: impl Fn(&Path) -> String) {
        let chain: Vec<String> = self.chain.iter().map(|file| path(file)).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "\n[[signers]]\nname = {}\nkind = \"{}\"\ncertificate = {}\nchain = [{}]\n",
            toml_string(&self.name),
            self.kind.word(),
            path(&self.certificate),
            chain.join(", "),
        );
        let _ = match &self.kind {
            SignerKind::File { key } => writeln!(text, "key = {}", path(key)),
            SignerKind::Token { module, serial, key_id } => writeln!(
                text,
                "module = {}\nserial = {}\nkey_id = \"{}\"",
                path(module),
                toml_string(serial),
                hex(key_id)
            ),
            SignerKind::Remote { url, credential, token_file, roots } => {
                let line = |key, file: &Option<PathBuf>| {
                    file.as_deref().map(|file| format!("{key} = {}\n", path(file))).unwrap_or_default()
                };
                write!(
                    text,
                    "url = {}\ncredential = {}\n{}{}",
                    toml_string(url),
                    toml_string(credential),
                    line("token_file", token_file),
                    line("roots", roots)
                )
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::tests::{folder, minimal};

    #[test]
    fn signer_without_what_it_needs_or_over_an_open_line_is_refused() {
        let with = |lines: &str| Config::parse(&folder(), &format!("{}[[signers]]\n{lines}", minimal()));
        let base = "name = \"lan\"\ncertificate = \"lan.pem\"\n";
        with(&format!("{base}kind = \"file\"\nkey = \"lan.key\"\n")).expect("a key file");
        let remote = format!("{base}kind = \"remote\"\ncredential = \"c\"\n");
        with(&format!("{remote}url = \"http://127.0.0.1:9/x\"\n")).expect("on this machine");
        with(&format!("{remote}url = \"https://ca.example/v1\"\nroots = \"r.pem\"\n")).expect("pinned");
        for lines in [
            format!("{base}kind = \"file\"\n"),
            format!("{base}kind = \"file\"\nkey = \"k\"\nurl = \"x\"\n"),
            format!("{base}kind = \"hand\"\n"),
            format!("{remote}url = \"https://ca.example/v1\"\n"),
            format!("{remote}url = \"http://ca.example/v1\"\n"),
            format!("{remote}url = \"http://127.0.0.1@ca.example/v1\"\n"),
            format!("{remote}url = \"https://user:pw@ca.example/v1\"\nroots = \"r.pem\"\n"),
            format!("{base}kind = \"token\"\nmodule = \"m\"\nserial = \"1\"\nkey_id = \"xyz\"\n"),
            "name = \"Lan\"\ncertificate = \"c\"\nkind = \"file\"\nkey = \"k\"\n".to_owned(),
        ] {
            with(&lines).expect_err(&lines);
        }
        let twice =
            format!("{base}kind = \"file\"\nkey = \"k\"\n[[signers]]\n{base}kind = \"file\"\nkey = \"k\"\n");
        with(&twice).expect_err("one name twice");
    }
}
