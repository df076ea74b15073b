//! Two regions, each a `tram-relay` with its own `nats-server`; four offices, each a `tram-node`; and the ledger of
//! everything that a station answered for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant, SystemTime};

use node::config::DataFolder;
use ops::audit::{self, Audit};
use ops::deployment::{Deployment, NewRegion, install_relay_login};
use schema::id::{DocumentId, OfficeId};
use schema::time::Millis;
use serde_json::{Value, json};

use super::{Process, wait_for};

/// The regions.
const REGIONS: [&str; 2] = ["lao-cai", "da-nang"];
/// Codes of the offices, and the region that keeps each one's mailbox.
const OFFICES: [(&str, usize); 4] = [("02875", 0), ("085", 0), ("20296", 1), ("497", 1)];
/// A day on which all of them exist.
const DAY: jiff::civil::Date = jiff::civil::date(2025, 6, 27);
/// Longest wait for one answer of a station.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// Longest wait until mail has settled. Above the minute after which a sender without a receipt sends again.
const SETTLE_SECONDS_MAX: u64 = 110;
/// Largest answer read, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where the parts of the country are.
pub(crate) struct Landscape {
    /// Where each relay listens for offices and peers.
    pub(crate) relays: [IpAddr; 2],
    /// The network namespace each relay runs in.
    pub(crate) namespaces: [Option<&'static str>; 2],
    /// A folder for the first office's station, instead of one beside the others.
    pub(crate) first_station: Option<PathBuf>,
}

impl Default for Landscape {
    fn default() -> Self {
        Self { relays: [Ipv4Addr::LOCALHOST.into(); 2], namespaces: [None; 2], first_station: None }
    }
}

/// What became of one press of the send button.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Sending {
    /// The station answered that it is saved; also when it was asked again and had it already.
    Saved,
    /// The station refused: status and words.
    Refused(u16, String),
    /// No answer: it may be saved.
    Unknown,
}

struct Relay {
    folder: PathBuf,
    namespace: Option<&'static str>,
    process: Option<Process>,
}

struct Station {
    office: OfficeId,
    data: PathBuf,
    process: Option<Process>,
}

/// What a station keeps of itself while the test looks elsewhere.
pub(crate) enum Keep {
    /// Its whole folder stays.
    Store,
}

/// The country. Dropping it ends all its processes.
pub(crate) struct Country {
    relays: Vec<Relay>,
    stations: Vec<Station>,
    /// What was saved: sender, recipient, document.
    saved: BTreeSet<(OfficeId, OfficeId, DocumentId)>,
    next_document: u64,
    agent: ureq::Agent,
    // Last: the folders go when nobody writes into them any more.
    folder: tempfile::TempDir,
}
