//! Settings: one file, parsed once; an unknown key is an error, because a misspelt one would silently not
//! protect.
//!
//! ```text
//! <data>/config.toml      what this module reads
//! <data>/tram.db          the store
//! <data>/node.key         the office's signing key (PKCS#8 PEM, owner only; encrypted once it is protected)
//! <data>/node.next.key    the key that follows it, while it waits for its certificate
//! <data>/sealing.keys     what opens the contents that others have sealed (age identities, owner only)
//! <data>/announcement.cbor the first event of the office's chain, from its bundle
//! <data>/login.nk         the station's login at its relays (nkey seed, owner only)
//! <data>/registry.cbor    directory, certificates and revocation lists, as they were last seen
//! <data>/api.json         address and token of the running station's API (owner only)
//! <data>/tram.lock        held while a station runs on this folder
//! <data>/verify.json      what the last full check of the store found
//! <data>/restore.json     there only while a restore puts another store in place
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schema::blob::BLOB_BYTES_MAX;
use schema::directory::{Directory, URL_BYTES_MAX};
use schema::event::key_id;
use schema::handling::{Calendar, Role, Rules};
use schema::id::{OfficeId, RegionId, hex};
use schema::registry::{Item, REGISTRY_BYTES_MAX, Registry, Roots, decode_items};
use schema::trust::CertificateHash;
use serde::Deserialize;

use crate::keyring::Login;

mod bundle;
mod calendar;
mod error;
mod folder;
mod rules;
mod signers;
mod volumes;

use calendar::{RawCalendar, parse_calendar, render_calendar};
use rules::{RawAuthority, RawBook, parse_rules, render_rules};
use signers::{RawSigner, parse_signers};

pub use bundle::Bundle;
pub use calendar::CALENDAR_DAYS_MAX;
pub use error::ConfigError;
pub use folder::DataFolder;
pub use rules::{BOOKS_MAX, ENTITLED_MAX, guess_issuer};
pub use signers::{
    KEY_ID_BYTES_MAX, SIGNER_CHAIN_MAX, SIGNER_NAME_CHARS_MAX, SIGNER_TEXT_CHARS_MAX, SIGNERS_MAX,
    SignerConfig, SignerKind,
};

pub use volumes::{VOLUMES_MAX, Volume, Volumes};

/// Smallest bound on attachments, in bytes: a bound below that is a mistyped one.
pub const ATTACHMENT_BYTES_MIN: u64 = 1024 * 1024;
/// Largest settings file, in bytes.
pub const CONFIG_BYTES_MAX: u64 = 64 * 1024;
/// Where the API listens unless told otherwise.
pub const LISTEN_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7080);
/// Most extra host names of the API.
pub const HOST_NAMES_MAX: usize = 16;
/// Most root certificates that are pinned: one, its successor, and room for a mistake.
pub const ANCHORS_MAX: usize = 4;

/// The settings of a station.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Whose station this is. A wrong one would sign as somebody else: it must match key and directory.
    pub office: OfficeId,
    /// The Ed25519 key that signs the directory. Prevents a forged directory from giving codes and mailboxes of
    /// offices to others.
    pub root_key: [u8; 32],
    /// SHA-256 of each root certificate that is believed. Prevents a forged authority from certifying keys for every
    /// office: all chains must end in one of these.
    pub trust_anchors: Vec<CertificateHash>,
    /// The clerk's door.
    pub api: ApiConfig,
    /// The office's signing key. Configurable so that it can lie on a medium that backups do not copy (a
    /// copied key is a cloned office).
    pub signing_key: PathBuf,
    /// The public half of the signing key. Prevents a key file that was exchanged or damaged from signing: what
    /// decrypts a key cannot tell.
    pub public_key: Option<[u8; 32]>,
    /// A file with the passphrase of the signing key. Prevents a station from staying down after a power cut
    /// because nobody is there to type; whoever can read it and the key can sign as the office.
    pub passphrase_file: Option<PathBuf>,
    /// Whether the station runs although its signing key lies unencrypted. Prevents a station on a disk that is encrypted
    /// itself, or in a test, from being shut out; on any other machine whoever reads the disk can sign as the office.
    pub allow_unencrypted: bool,
    /// Whether nothing goes to an office that has announced no sealing key. Prevents a relay that withholds such an announcement from
    /// reading what should have been sealed.
    pub sealing_required: bool,
    /// The largest attachment that others may send here, sealed, in bytes. Prevents a station with a small disk or a slow line from being sent
    /// what it cannot take: whoever sends is told before.
    pub largest_attachment: Option<u64>,
    /// The login at the relays.
    pub login: PathBuf,
    /// Directory, certificates and revocation lists. Written anew whenever something newer comes; an older one put
    /// back here never takes anything away.
    pub registry: PathBuf,
    /// Addresses that replace those of the directory, by region. Prevents a station behind a port forwarding
    /// or with a broken name service from being cut off until the next directory. Trust does not depend on
    /// it: relays are not trusted.
    pub relays: BTreeMap<RegionId, String>,
    /// Who can sign documents here, as officers.
    pub signers: Vec<SignerConfig>,
    /// Registers, and what the office is entitled to send. Prevents one office from writing in the name of another tier, and
    /// two series of numbers from running side by side.
    pub rules: Rules,
    /// How the registers are bound. Prevents a volume that was printed and bound from being printed with other numbers.
    pub volumes: Volumes,
    /// The folder with the root certificates that are believed about signatures inside PDF files. Prevents them from being mixed with
    /// Trạm's own: without it, nobody who signed a PDF is identified.
    pub pdf_trust: Option<PathBuf>,
    /// Working days and hours. Prevents documents from being called late on a day off.
    pub calendar: Calendar,
}

/// Settings of the clerk's door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiConfig {
    /// Where it listens; port 0 takes a free one (`api.json` names it).
    pub listen: SocketAddr,
    /// Other names under which a browser may ask for it. Requests with any other `Host` are refused, which
    /// stops a foreign web page from reaching the station through a name it controls (DNS rebinding).
    pub host_names: Vec<String>,
    /// In which roles the machine's own token (`api.json`) may ask; it does nobody's work. Prevents whoever looks after the
    /// machine from reading and sending documents through the door.
    pub machine_roles: BTreeSet<Role>,
}

impl ApiConfig {
    /// What programs need: to read and send, to take a registry in, to have the people of the office recorded.
    pub fn usual_machine_roles() -> BTreeSet<Role> {
        BTreeSet::from([Role::Clerk, Role::Administrator])
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawConfig {
    office: OfficeId,
    root_key: String,
    trust_anchors: Vec<String>,
    #[serde(default)]
    api: RawApi,
    #[serde(default)]
    keys: RawKeys,
    #[serde(default)]
    unlock: RawUnlock,
    #[serde(default)]
    sealing: RawSealing,
    registry: Option<PathBuf>,
    #[serde(default)]
    relays: BTreeMap<RegionId, String>,
    #[serde(default)]
    signers: Vec<RawSigner>,
    #[serde(default)]
    registers: Vec<RawBook>,
    #[serde(default)]
    authority: RawAuthority,
    #[serde(default)]
    calendar: RawCalendar,
    #[serde(default)]
    pdf: RawPdf,
    #[serde(default)]
    attachments: RawAttachments,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawAttachments {
    largest: Option<u64>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawPdf {
    trust: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawApi {
    listen: Option<SocketAddr>,
    /// Prevents the door from being opened to the office's network by a mistyped address: there is no TLS on
    /// it.
    #[serde(default)]
    allow_remote: bool,
    #[serde(default)]
    host_names: Vec<String>,
    machine_roles: Option<BTreeSet<Role>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawKeys {
    signing: Option<PathBuf>,
    public: Option<String>,
    login: Option<PathBuf>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawSealing {
    required: Option<bool>,
    archive: Option<OfficeId>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct RawUnlock {
    passphrase_file: Option<PathBuf>,
    #[serde(default)]
    allow_unencrypted: bool,
}

impl Config {
    /// The settings of a folder with everything in its usual place.
    pub fn usual(folder: &DataFolder, bundle: &Bundle) -> Self {
        Self {
            office: bundle.office,
            root_key: bundle.root_key,
            trust_anchors: bundle.trust_anchors.clone(),
            api: ApiConfig {
                listen: LISTEN_DEFAULT,
                host_names: Vec::new(),
                machine_roles: ApiConfig::usual_machine_roles(),
            },
            signing_key: folder.path().join("node.key"),
            public_key: None,
            passphrase_file: None,
            allow_unencrypted: false,
            sealing_required: true,
            largest_attachment: None,
            login: folder.path().join("login.nk"),
            registry: folder.path().join("registry.cbor"),
            relays: BTreeMap::new(),
            signers: Vec::new(),
            rules: Rules::default(),
            volumes: Volumes::default(),
            pdf_trust: None,
            calendar: Calendar::default(),
        }
    }

    /// Reads the settings of a folder. Relative paths in it start at the folder.
    ///
    /// # Errors
    /// Names the file and the setting that cannot be used.
    pub fn read(folder: &DataFolder) -> Result<Self, ConfigError> {
        Self::read_as(folder, &read_bounded(&folder.config(), CONFIG_BYTES_MAX)?)
    }

    /// Reads settings that are to become those of this folder.
    ///
    /// # Errors
    /// Names the setting that cannot be used.
    pub fn read_as(folder: &DataFolder, bytes: &[u8]) -> Result<Self, ConfigError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| ConfigError::Settings { path: folder.config(), found: error.to_string() })?;
        Self::parse(folder, text)
    }

    fn parse(folder: &DataFolder, text: &str) -> Result<Self, ConfigError> {
        let path = folder.config();
        let raw: RawConfig = toml::from_str(text)
            .map_err(|error| ConfigError::Settings { path: path.clone(), found: error.to_string() })?;
        let rule = |setting, found: String| ConfigError::Rule { path: path.clone(), setting, found };
        let root_key = parse_root_key(&raw.root_key).map_err(|found| rule("root_key", found))?;
        let trust_anchors =
            parse_anchors(&raw.trust_anchors).map_err(|found| rule("trust_anchors", found))?;
        let public_key = raw.keys.public.as_deref().map(parse_root_key).transpose();
        let public_key = public_key.map_err(|found| rule("keys.public", found))?;
        let listen = raw.api.listen.unwrap_or(LISTEN_DEFAULT);
        if !listen.ip().is_loopback() && !raw.api.allow_remote {
            let found = format!(
                "`{listen}` is reachable from other machines; set `api.allow_remote = true` if you mean it"
            );
            return Err(rule("api.listen", found));
        }
        let plain = |name: &String| {
            !name.is_empty()
                && name.len() <= 253
                && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.".contains(&c))
        };
        if raw.api.host_names.len() > HOST_NAMES_MAX || !raw.api.host_names.iter().all(plain) {
            let found =
                format!("expected at most {HOST_NAMES_MAX} host names of letters, digits, `-` and `.`");
            return Err(rule("api.host_names", found));
        }
        for (region, url) in &raw.relays {
            if !is_server_url(url) {
                let found =
                    format!("`{url}` for region `{region}` is not `nats://host:port` or `tls://host:port`");
                return Err(rule("relays", found));
            }
        }
        let signers = parse_signers(raw.signers, folder.path()).map_err(|found| rule("signers", found))?;
        let (mut rules, volumes) =
            parse_rules(raw.registers, raw.authority).map_err(|found| rule("registers", found))?;
        if raw.sealing.archive == Some(raw.office) {
            let found = "the office itself reads whatever it sends; leave it out";
            return Err(rule("sealing.archive", found.to_owned()));
        }
        rules.archive = raw.sealing.archive;
        let largest_attachment = raw.attachments.largest;
        if let Some(largest) = largest_attachment
            && !(ATTACHMENT_BYTES_MIN..=BLOB_BYTES_MAX).contains(&largest)
        {
            let found = format!("{largest} bytes; {ATTACHMENT_BYTES_MIN} to {BLOB_BYTES_MAX} are possible");
            return Err(rule("attachments.largest", found));
        }
        let calendar = parse_calendar(raw.calendar).map_err(|found| rule("calendar", found))?;
        let at = |path: Option<PathBuf>, usual: &Path| {
            path.map_or(usual.to_owned(), |path| folder.path().join(path))
        };
        let usual = Self::usual(folder, &Bundle { office: raw.office, root_key, trust_anchors });
        Ok(Self {
            api: ApiConfig {
                listen,
                host_names: raw.api.host_names,
                machine_roles: raw.api.machine_roles.unwrap_or_else(ApiConfig::usual_machine_roles),
            },
            signing_key: at(raw.keys.signing, &usual.signing_key),
            public_key,
            passphrase_file: raw.unlock.passphrase_file.map(|path| folder.path().join(path)),
            allow_unencrypted: raw.unlock.allow_unencrypted,
            sealing_required: raw.sealing.required.unwrap_or(usual.sealing_required),
            largest_attachment,
            login: at(raw.keys.login, &usual.login),
            registry: at(raw.registry, &usual.registry),
            relays: raw.relays,
            signers,
            rules,
            volumes,
            pdf_trust: raw.pdf.trust.map(|path| folder.path().join(path)),
            calendar,
            ..usual
        })
    }

    /// The keys under which others seal for the office: beside the signing key.
    pub fn sealing_keys(&self) -> PathBuf {
        self.signing_key.with_file_name("sealing.keys")
    }

    /// The file that [`Config::read`] reads back as these settings.
    pub fn render(&self, folder: &DataFolder) -> String {
        let mut text = String::new();
        let path = |path: &Path| {
            let shown = path.strip_prefix(folder.path()).unwrap_or(path);
            toml_string(&shown.to_string_lossy())
        };
        let hosts: Vec<String> = self.api.host_names.iter().map(|name| toml_string(name)).collect();
        let machine: Vec<String> =
            self.api.machine_roles.iter().map(|role| toml_string(role.slug())).collect();
        let (root, anchors) = (hex(&self.root_key), render_anchors(&self.trust_anchors));
        let public = self.public_key.map(|key| format!("public = \"{}\"\n", hex(&key))).unwrap_or_default();
        let unlock = self.passphrase_file.as_deref();
        let unlock = unlock.map(|file| format!("passphrase_file = {}\n", path(file))).unwrap_or_default();
        let archive =
            self.rules.archive.map(|archive| format!("archive = \"{archive}\"\n")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "# Settings of this station. An unknown key is an error.\n\
             office = \"{}\"\n\
             # Public key that signs the directory.\n\
             root_key = \"{root}\"\n\
             # SHA-256 of the root certificates that are believed.\n\
             trust_anchors = {anchors}\n\
             registry = {}\n\n\
             [api]\n\
             # Only this machine reaches it, unless `allow_remote` is true; there is no TLS on it.\n\
             listen = \"{}\"\n\
             allow_remote = {}\n\
             host_names = [{}]\n\
             # What the machine's own token (`api.json`) may do: without \"clerk\" it sends nothing, and with \"administrator\" alone it reads nothing of documents.\n\
             machine_roles = [{}]\n\n\
             [keys]\n\
             signing = {}\n\
             {public}\
             login = {}\n\n\
             [unlock]\n\
             # passphrase_file = \"path\" opens the signing key when nobody is there to type.\n\
             {unlock}\
             # With true the station runs although its signing key lies unencrypted: whoever reads the disk can sign as\n\
             # the office.\n\
             allow_unencrypted = {}\n\n\
             [sealing]\n\
             # With false, documents to an office that has announced no sealing key yet go in the clear: relays can read them.\n\
             required = {}\n\
             # archive = \"office\" names an archive that can read every document sent from here; each document names it too.\n\
             {archive}",
            self.office,
            path(&self.registry),
            self.api.listen,
            !self.api.listen.ip().is_loopback(),
            hosts.join(", "),
            machine.join(", "),
            path(&self.signing_key),
            path(&self.login),
            self.allow_unencrypted,
            self.sealing_required,
        );
        render_rules(&self.rules, &self.volumes, &mut text);
        render_calendar(&self.calendar, &mut text);
        text.push_str(
            "\n[attachments]\n# largest = bytes of the largest sealed attachment that others may send here; they are told before they send.\n",
        );
        if let Some(largest) = self.largest_attachment {
            let _ = writeln!(text, "largest = {largest}");
        }
        text.push_str("\n[pdf]\n# trust = \"folder\" with the root certificates (PEM, DER) believed about signatures inside PDF files.\n");
        if let Some(folder) = &self.pdf_trust {
            let _ = writeln!(text, "trust = {}", path(folder));
        }
        text.push_str("\n[relays]\n# region = \"nats://host:port\" replaces the address in the directory.\n");
        for (region, url) in &self.relays {
            let _ = writeln!(text, "{} = {}", toml_string(region.as_str()), toml_string(url));
        }
        for signer in &self.signers {
            signer.render(&mut text, path);
        }
        text
    }

    /// What is pinned.
    pub fn roots(&self) -> Roots {
        Roots { directory_key: self.root_key, anchors: self.trust_anchors.clone() }
    }

    /// Reads the registry file; nothing is proven about its items yet.
    ///
    /// # Errors
    /// When it cannot be read as one.
    pub fn read_items(&self) -> Result<Vec<Item>, ConfigError> {
        read_items(&self.registry)
    }

    /// Reads the registry and checks everything in it against what is pinned. Items that do not hold are left out, and
    /// logged.
    ///
    /// # Errors
    /// When it cannot be read, lacks a pinned root or the directory, or does not know this office.
    pub fn load_registry(&self) -> Result<Arc<Registry>, ConfigError> {
        self.open_registry(self.read_items()?)
    }

    /// As [`Config::load_registry`], from these items.
    ///
    /// # Errors
    /// As [`Config::load_registry`].
    pub fn open_registry(&self, items: Vec<Item>) -> Result<Arc<Registry>, ConfigError> {
        let (registry, outcomes) = Registry::open(self.roots(), items).map_err(|source| {
            ConfigError::Registry { path: self.registry.clone(), source: Box::new(source) }
        })?;
        for (item, outcome) in outcomes {
            if let Err(error) = outcome {
                let error = crate::words::with_causes(&error);
                tracing::warn!(%item, error, "an item of the registry is not accepted; it was left out");
            }
        }
        let directory = registry.directory();
        if directory.office(&self.office).is_none() {
            return Err(ConfigError::OfficeUnknown { office: self.office, version: directory.version() });
        }
        Ok(Arc::new(registry))
    }

    /// Checks that this public key is certified for this office and that the directory lists its login.
    ///
    /// # Errors
    /// When they are not: everybody else would refuse what this station sends.
    pub fn check_keys(
        &self,
        registry: &Registry,
        public_key: &[u8; 32],
        login: &Login,
    ) -> Result<(), ConfigError> {
        let directory = registry.directory();
        let version = directory.version();
        let office = directory
            .office(&self.office)
            .ok_or(ConfigError::OfficeUnknown { office: self.office, version })?;
        if office.login.as_deref().is_some_and(|listed| listed != login.public()) {
            return Err(ConfigError::LoginNotListed { office: self.office, version });
        }
        if registry.known_key(&self.office, key_id(public_key)).is_err() {
            return Err(ConfigError::KeyNotCertified { office: self.office, key: Box::new(*public_key) });
        }
        Ok(())
    }

    /// The relays of this office, the preferred one first, with their addresses.
    pub fn home_relays(&self, directory: &Directory) -> Vec<(RegionId, String)> {
        let url = |region: &RegionId| match self.relays.get(region) {
            Some(url) => Some(url.clone()),
            None => directory.region(region).map(|listed| listed.url.clone()),
        };
        let regions = directory.home_regions(&self.office).iter();
        regions.filter_map(|region| Some((region.clone(), url(region)?))).collect()
    }
}

/// Reads a registry file; nothing is proven about its items yet.
///
/// # Errors
/// When it cannot be read as one.
pub fn read_items(path: &Path) -> Result<Vec<Item>, ConfigError> {
    let bytes = read_bounded(path, REGISTRY_BYTES_MAX as u64)?;
    decode_items(&bytes).map_err(|source| ConfigError::RegistryFile { path: path.to_owned(), source })
}

/// Reads the hashes of root certificates, each 64 hexadecimal digits.
///
/// # Errors
/// Says what was found.
pub fn parse_anchors(texts: &[String]) -> Result<Vec<CertificateHash>, String> {
    if texts.is_empty() || texts.len() > ANCHORS_MAX {
        return Err(format!("expected 1 to {ANCHORS_MAX} root certificates, found {}", texts.len()));
    }
    texts.iter().map(|text| parse_root_key(text).map(CertificateHash)).collect()
}

/// As TOML.
fn render_anchors(anchors: &[CertificateHash]) -> String {
    let quoted: Vec<String> = anchors.iter().map(|anchor| format!("\"{anchor}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

/// Reads 64 hexadecimal digits.
///
/// # Errors
/// Says what was found.
pub fn parse_root_key(text: &str) -> Result<[u8; 32], String> {
    // The id of a blob has the same 64 digits; its parser is the one form accepted everywhere.
    let digits: Result<schema::id::BlobHash, _> = text.trim().parse();
    digits
        .map(|digits| *digits.as_bytes())
        .map_err(|_| "expected 64 lower-case hexadecimal digits".to_owned())
}

/// Whether a text is the address of a NATS server without a password inside.
pub fn is_server_url(url: &str) -> bool {
    let host = url.strip_prefix("nats://").or_else(|| url.strip_prefix("tls://")).unwrap_or_default();
    let plain = |c: u8| c.is_ascii_alphanumeric() || b".-_:[]".contains(&c);
    !host.is_empty() && url.len() <= URL_BYTES_MAX && host.bytes().all(plain)
}

/// Reads a file of at most `max` bytes.
///
/// # Errors
/// When it cannot be read or is larger.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, ConfigError> {
    let wrap = |source| ConfigError::Read { path: path.to_owned(), source };
    let found = fs::metadata(path).map_err(wrap)?.len();
    if found > max {
        return Err(ConfigError::TooLarge { path: path.to_owned(), found, max });
    }
    fs::read(path).map_err(wrap)
}

fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn folder() -> DataFolder {
        DataFolder::new("/var/lib/tram")
    }

    pub(super) fn minimal() -> String {
        let (root, anchor) = ("0b".repeat(32), "0c".repeat(32));
        format!("office = \"{}\"\nroot_key = \"{root}\"\ntrust_anchors = [\"{anchor}\"]\n", "0a".repeat(16))
    }

    fn bundle() -> Bundle {
        let (office, anchor) = (OfficeId::new([10; 16]), CertificateHash([12; 32]));
        Bundle { office, root_key: [11; 32], trust_anchors: vec![anchor] }
    }

    #[test]
    fn three_lines_are_enough() {
        let config = Config::parse(&folder(), &minimal()).expect("settings");
        assert_eq!(config, Config::usual(&folder(), &bundle()));
    }

    #[test]
    fn station_that_trusts_nobody_is_refused() {
        let none = minimal().replace(&format!("\"{}\"", "0c".repeat(32)), "");
        let error = Config::parse(&folder(), &none).expect_err("refused");
        assert!(matches!(error, ConfigError::Rule { setting: "trust_anchors", .. }), "{error}");
    }

    #[test]
    fn office_is_not_its_own_archive() {
        let text = format!("{}[sealing]\narchive = \"{}\"\n", minimal(), "0a".repeat(16));
        let error = Config::parse(&folder(), &text).expect_err("refused");
        assert!(matches!(error, ConfigError::Rule { setting: "sealing.archive", .. }), "{error}");
    }

    #[test]
    fn bound_on_attachments_is_not_mistyped() {
        for largest in [0, 200, u64::MAX / 2] {
            let text = format!("{}[attachments]\nlargest = {largest}\n", minimal());
            let error = Config::parse(&folder(), &text).expect_err("refused");
            assert!(matches!(error, ConfigError::Rule { setting: "attachments.largest", .. }), "{error}");
        }
    }

    #[test]
    fn misspelt_setting_is_an_error_that_names_it() {
        for line in ["ofice = 1", "[api]\nlisen = \"127.0.0.1:1\"", "[keys]\nsigner = \"k\""] {
            let error =
                Config::parse(&folder(), &format!("{}{line}\n", minimal())).expect_err("refused").to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }

    #[test]
    fn remote_address_needs_a_second_word() {
        let remote = format!("{}[api]\nlisten = \"0.0.0.0:7080\"\n", minimal());
        let error = Config::parse(&folder(), &remote).expect_err("refused");
        assert!(matches!(error, ConfigError::Rule { setting: "api.listen", .. }), "{error}");
        Config::parse(&folder(), &format!("{remote}allow_remote = true\n")).expect("meant");
    }

    #[test]
    fn relay_address_with_a_password_is_refused() {
        let text = format!("{}[relays]\np01 = \"nats://user:pw@host:4222\"\n", minimal());
        assert!(matches!(Config::parse(&folder(), &text), Err(ConfigError::Rule { setting: "relays", .. })));
    }

    #[test]
    fn second_station_on_one_folder_is_refused() {
        let temporary = tempfile::tempdir().expect("a temporary folder");
        let folder = DataFolder::new(temporary.path());
        let _held = folder.lock().expect("free");
        assert!(matches!(folder.lock(), Err(ConfigError::Running { .. })));
    }

    proptest! {
        #[test]
        fn written_settings_are_read_back(
            office: [u8; 16], root: [u8; 32], port: u16, remote: bool,
            key in "[a-zà-ỹ \"\\\\]{1,20}", hosts in proptest::collection::vec("[a-z]{1,9}", 0..3),
        ) {
            let folder = folder();
            let bundle = Bundle { office: OfficeId::new(office), root_key: root, ..bundle() };
            let mut config = Config::usual(&folder, &bundle);
            let ip = if remote { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
            let machine_roles = if remote { BTreeSet::new() } else { ApiConfig::usual_machine_roles() };
            config.api = ApiConfig { listen: (ip, port).into(), host_names: hosts, machine_roles };
            config.signing_key = folder.path().join(&key);
            config.public_key = remote.then_some(root);
            config.passphrase_file = remote.then(|| PathBuf::from("/mnt").join(&key));
            config.largest_attachment = remote.then_some(ATTACHMENT_BYTES_MIN);
            config.rules.archive = remote.then_some(OfficeId::new(root[..16].try_into().expect("half")));
            config.pdf_trust = remote.then(|| folder.path().join(&key));
            let (certificate, chain) = (folder.path().join(&key), vec![folder.path().join("ca.pem")]);
            let kinds = [
                SignerKind::File { key: folder.path().join("officer.key") },
                SignerKind::Token { module: "/usr/t.so".into(), serial: "01 \"23".to_owned(), key_id: vec![1, 0xaf] },
                SignerKind::Remote {
                    url: "https://ca.example:8443/v1".to_owned(),
                    credential: "CN=Lan \\ 1".to_owned(),
                    token_file: remote.then(|| folder.path().join("token")),
                    roots: Some(PathBuf::from("/etc/provider.pem")),
                },
            ];
            config.signers = kinds
                .into_iter()
                .map(|kind| SignerConfig {
                    name: kind.word().to_owned(), certificate: certificate.clone(), chain: chain.clone(), kind,
                })
                .collect();
            config.relays.insert("p01".parse().expect("a region"), "nats://127.0.0.1:4222".to_owned());
            prop_assert_eq!(Config::parse(&folder, &config.render(&folder)).expect("settings"), config);
        }
    }
}
