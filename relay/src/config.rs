//! The configuration file: parsed once; a key that is not known is an error, because it is a setting somebody
//! believes in.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use schema::id::RegionId;
use schema::registry::Roots;
use schema::trust::CertificateHash;
use serde::Deserialize;

use crate::admission::Quota;
use crate::content::ContentLimits;
use crate::step::Limits;

/// Most root certificates that are pinned: one, its successor, and room for a mistake.
const ANCHORS_MAX: usize = 4;
/// Largest configuration file, in bytes.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration `{path}` cannot be read")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is far too large to be one.
    #[error("the configuration `{path}` has {found} bytes, at most {CONFIG_BYTES_MAX} are read")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
    },
    /// It is not what is expected.
    #[error("the configuration `{path}` is not accepted")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Two settings contradict each other.
    #[error("the configuration `{path}` is not accepted: {what}")]
    Contradiction {
        /// Which file.
        path: PathBuf,
        /// What to change.
        what: &'static str,
    },
}

/// The settings of one relay.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The region served. Prevents a copied configuration from answering for somebody else's offices: the
    /// login in the directory belongs to one region.
    pub region: RegionId,
    /// Where everything is kept; relative to the configuration file. Prevents two relays from writing into
    /// one store: each has a folder of its own.
    pub data_dir: PathBuf,
    /// Directory, certificates and revocation lists from the registrar; `registry.cbor` beside this file when not given.
    /// Read again when it changes, so that an enrolment does not need a restart. What comes from offices and other relays
    /// is kept in `data_dir`, under another name: the two must not overwrite each other.
    pub registry: Option<PathBuf>,
    /// The public key that signs the directory, 64 hexadecimal digits. Prevents a directory that somebody else
    /// made from giving offices' mailboxes away.
    #[serde(deserialize_with = "root_key")]
    pub root_key: [u8; 32],
    /// SHA-256 of each root certificate that is believed, 64 hexadecimal digits. Prevents a forged authority from
    /// certifying keys of offices.
    #[serde(deserialize_with = "trust_anchors")]
    pub trust_anchors: Vec<CertificateHash>,
    /// Where the supervised NATS server listens for offices and peers.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Port of the NATS server's own monitoring, on loopback only: it shows every login, so it is never
    /// opened further.
    #[serde(default = "default_monitor_port")]
    pub monitor_port: u16,
    /// Where this relay answers `/status` and takes courier files; must be on loopback, because whoever
    /// reaches it may see the queues.
    #[serde(default = "default_status")]
    pub status: SocketAddr,
    /// Use this server instead of supervising one. Prevents two servers over one store where an operator runs
    /// a cluster.
    pub server_url: Option<String>,
    /// Monitoring of the server at `server_url`, `http://127.0.0.1:8222`. Without it nobody can prove that
    /// the server syncs before it acknowledges.
    pub monitor_url: Option<String>,
    /// The `nats-server` program; searched for when not given. Prevents an old one on `PATH` from being
    /// taken.
    pub nats_server: Option<PathBuf>,
    /// Other addresses of peers than the directory's, for a private line between two regions.
    #[serde(default)]
    pub peer_urls: BTreeMap<RegionId, String>,
    /// Bounds.
    #[serde(default)]
    pub limits: LimitSettings,
}

/// Bounds of what a relay keeps. A full relay refuses with words; it never drops silently.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Most bytes of events from offices that wait for admission. Prevents a flood from filling the disk.
    pub up_bytes_max: u64,
    /// The same for events from peers.
    pub peers_bytes_max: u64,
    /// Most bytes that wait for one peer region. Prevents a region that is down for weeks from filling the
    /// disk.
    pub out_bytes_max: u64,
    /// Most bytes in all mailboxes together.
    pub mailboxes_bytes_max: u64,
    /// Most messages in one mailbox. Prevents one office that never comes back from taking everybody's room.
    pub mailbox_messages_max: u32,
    /// Most bytes in quarantine; the oldest give way, because their senders still have them.
    pub quarantine_bytes_max: u64,
    /// Most bytes of attachments, complete or not. Copies give way, the one that was used the longest ago first; what offices here have sent
    /// and has no receipt yet does not: then further ones are refused, and the last tenth is for express documents.
    pub content_bytes_max: u64,
    /// Of them, most bytes kept for one office. Prevents one office that sends to stations which are off from taking everybody's room.
    pub content_office_bytes_max: u64,
    /// Most connections to the supervised server at once.
    pub connections_max: u32,
    /// Most mailboxes; the server refuses the 1,001st consumer of a stream unless told otherwise.
    pub mailboxes_max: u32,
    /// Events that one office may bring in an hour.
    pub office_events_per_hour: u64,
    /// Bytes of events that one office may bring in an hour.
    pub office_bytes_per_hour: u64,
    /// Events that one peer region may bring in an hour.
    pub peer_events_per_hour: u64,
    /// Bytes of events that one peer region may bring in an hour.
    pub peer_bytes_per_hour: u64,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let core = Limits::default();
        Self {
            up_bytes_max: 4 * GIB,
            peers_bytes_max: 4 * GIB,
            out_bytes_max: 2 * GIB,
            mailboxes_bytes_max: 16 * GIB,
            mailbox_messages_max: 100_000,
            quarantine_bytes_max: 256 * MIB,
            content_bytes_max: 20 * GIB,
            // Three of the largest.
            content_office_bytes_max: 7 * GIB,
            connections_max: 2_500,
            mailboxes_max: 2_000,
            office_events_per_hour: core.office.events_per_hour,
            office_bytes_per_hour: core.office.bytes_per_hour,
            peer_events_per_hour: core.peer.events_per_hour,
            peer_bytes_per_hour: core.peer.bytes_per_hour,
        }
    }
}

impl LimitSettings {
    /// The bounds of the content store.
    pub fn content(&self) -> ContentLimits {
        ContentLimits { bytes_max: self.content_bytes_max, office_bytes_max: self.content_office_bytes_max }
    }

    /// The bounds of the core.
    pub fn core(&self) -> Limits {
        Limits {
            office: Quota {
                events_per_hour: self.office_events_per_hour,
                bytes_per_hour: self.office_bytes_per_hour,
            },
            peer: Quota {
                events_per_hour: self.peer_events_per_hour,
                bytes_per_hour: self.peer_bytes_per_hour,
            },
        }
    }
}

impl Config {
    /// Reads a configuration file. Relative paths in it start at its folder.
    ///
    /// # Errors
    /// When it cannot be read, has unknown keys, or contradicts itself.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        let found = fs::metadata(path).map_err(read)?.len();
        if found > CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_owned(), found });
        }
        let text = fs::read_to_string(path).map_err(read)?;
        Self::parse(&text, path)
    }

    /// Reads the text of a configuration file that lies at `path`.
    ///
    /// # Errors
    /// When it has unknown keys or contradicts itself.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text)
            .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })?;
        let contradiction = |what| Err(ConfigError::Contradiction { path: path.to_owned(), what });
        if !config.status.ip().is_loopback() {
            return contradiction("`status` must be a loopback address");
        }
        if config.server_url.is_none() && config.monitor_url.is_some() {
            return contradiction("`monitor_url` belongs to a server given by `server_url`");
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        config.data_dir = folder.join(&config.data_dir);
        config.registry = Some(folder.join(config.registry.as_deref().unwrap_or(Path::new("registry.cbor"))));
        config.nats_server = config.nats_server.map(|program| folder.join(program));
        Ok(config)
    }

    /// Where the registrar's registry file lies.
    pub fn registry_path(&self) -> PathBuf {
        self.registry.clone().unwrap_or_else(|| self.data_dir.join("registry.cbor"))
    }

    /// Where the registry is kept as it is held now: the registrar's file and what came from offices and peers.
    pub fn held_registry_path(&self) -> PathBuf {
        self.data_dir.join("registry-held.cbor")
    }

    /// Where the key lies with which the relay says when events were there.
    pub fn stamp_key_path(&self) -> PathBuf {
        self.data_dir.join("stamp.key")
    }

    /// What is pinned.
    pub fn roots(&self) -> Roots {
        Roots { directory_key: self.root_key, anchors: self.trust_anchors.clone() }
    }

    /// Where the seed of the relay's NATS login lies.
    pub fn key_path(&self) -> PathBuf {
        self.data_dir.join("relay.nk")
    }

    /// Where the token lies that whoever hands a courier file to the running relay must know.
    pub fn token_path(&self) -> PathBuf {
        self.data_dir.join("status.token")
    }

    /// Where the server is reached by the relay itself.
    pub fn own_url(&self) -> String {
        self.server_url.clone().unwrap_or_else(|| {
            let ip =
                if self.listen.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { self.listen.ip() };
            format!("nats://{}", SocketAddr::new(ip, self.listen.port()))
        })
    }

    /// The monitoring of the server, when there is one.
    pub fn own_monitor_url(&self) -> Option<String> {
        match &self.server_url {
            Some(_) => self.monitor_url.clone(),
            None => Some(format!("http://127.0.0.1:{}", self.monitor_port)),
        }
    }
}

fn default_listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4222)
}

fn default_monitor_port() -> u16 {
    8222
}

fn default_status() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8322)
}

fn root_key<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
    use serde::de::Error as _;
    let text = String::deserialize(deserializer)?;
    digits(&text).ok_or_else(|| D::Error::custom("`root_key` must be 64 lower-case hexadecimal digits"))
}

fn trust_anchors<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<CertificateHash>, D::Error> {
    use serde::de::Error as _;
    let texts = Vec::<String>::deserialize(deserializer)?;
    let anchors: Option<Vec<_>> = texts.iter().map(|text| digits(text).map(CertificateHash)).collect();
    let anchors = anchors.filter(|anchors| (1..=ANCHORS_MAX).contains(&anchors.len()));
    anchors.ok_or_else(|| {
        D::Error::custom("`trust_anchors` must be 1 to 4 times 64 lower-case hexadecimal digits")
    })
}

/// 32 bytes in the notation of all ids.
fn digits(text: &str) -> Option<[u8; 32]> {
    text.parse::<schema::id::BlobHash>().ok().map(|bytes| *bytes.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "region = 'p01'\ndata_dir = 'data'\n\
        root_key = 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'\n\
        trust_anchors = ['bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb']\n";

    #[test]
    fn minimal_file_is_enough_and_paths_start_at_it() {
        let config = Config::parse(MINIMAL, Path::new("/etc/tram/relay.toml")).expect("accepted");
        assert_eq!(config.data_dir, Path::new("/etc/tram/data"));
        assert_eq!(config.registry_path(), Path::new("/etc/tram/registry.cbor"));
        assert_eq!(config.held_registry_path(), Path::new("/etc/tram/data/registry-held.cbor"));
        assert_eq!(config.own_url(), "nats://127.0.0.1:4222");
        assert_eq!(config.root_key, [0xaa; 32]);
        assert_eq!(config.trust_anchors, [CertificateHash([0xbb; 32])]);
    }

    #[test]
    fn registrars_file_is_never_the_one_that_the_relay_writes() {
        // As `tram-relay init` writes it: everything in one folder.
        let text = MINIMAL.replace("data_dir = 'data'", "data_dir = '.'");
        let config = Config::parse(&text, Path::new("/etc/tram/relay.toml")).expect("accepted");
        let same = |a: PathBuf, b: PathBuf| a.components().eq(b.components());
        assert!(!same(config.registry_path(), config.held_registry_path()), "{config:?}");
    }

    #[test]
    fn pins_are_one_to_four_hashes_of_64_digits() {
        let good = format!("'{}'", "b".repeat(64));
        let with = |anchors: &[&str]| {
            let text = MINIMAL.replace(&format!("[{good}]"), &format!("[{}]", anchors.join(", ")));
            Config::parse(&text, Path::new("relay.toml")).map(|config| config.trust_anchors.len())
        };
        let (short, long) = (format!("'{}'", "b".repeat(63)), format!("'{}'", "b".repeat(65)));
        let capital = format!("'{}'", "B".repeat(64));
        let good = good.as_str();
        assert_eq!(with(&[good; 4]).expect("accepted"), 4);
        for anchors in [&[] as &[&str], &[good; 5], &[&short], &[&long], &[&capital], &[good, "''"]] {
            let error = with(anchors).expect_err("not a pin");
            let cause = std::error::Error::source(&error).expect("a cause").to_string();
            assert!(cause.contains("`trust_anchors` must be"), "{anchors:?}: {cause}");
        }
    }

    #[test]
    fn misspelt_setting_is_an_error_that_names_it() {
        for text in [format!("{MINIMAL}listne = '127.0.0.1:1'"), format!("{MINIMAL}[limits]\nup_bytes = 1")] {
            let error = Config::parse(&text, Path::new("relay.toml")).expect_err("a misspelt key");
            let cause = std::error::Error::source(&error).expect("a cause").to_string();
            assert!(cause.contains("unknown field"), "{cause}");
        }
    }

    #[test]
    fn status_is_never_open_to_the_network() {
        let text = format!("{MINIMAL}status = '0.0.0.0:8322'");
        assert!(matches!(
            Config::parse(&text, Path::new("relay.toml")),
            Err(ConfigError::Contradiction { .. })
        ));
    }
}
