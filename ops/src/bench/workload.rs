//! Offices and documents for the benches: no network, keys from numbers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ed25519_dalek::SigningKey;
use node::Node;
use node::step::{Answer, Effect, Input, Ticket};
use node::store::Store;
use schema::body::Dispatch;
use schema::directory::{
    Directory, DirectoryBuilder, KeyValidity, Name, Office, OfficeKey, Region, Validity,
};
use schema::event::Urgency;
use schema::exchange::Command;
use schema::id::{DocumentId, OfficeId, RegionId};
use schema::time::Millis;

/// Offices of the country without a network.
pub(super) const OFFICES: u8 = 31;
/// The region all of them live in.
pub(super) const REGION: &str = "p01";

/// An abstract as long as real ones; with it an event of one recipient has about 600 bytes.
const SUBJECT: &str = "V/v rà soát, báo cáo kết quả thực hiện nhiệm vụ chuyển đổi số, gửi nhận văn bản điện tử \
                       giữa các cơ quan hành chính nhà nước trên địa bàn quý III và phương hướng quý IV";

pub(super) fn office(n: u8) -> OfficeId {
    OfficeId::new([n; 16])
}

pub(super) fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

pub(super) fn region() -> Result<RegionId> {
    Ok(REGION.parse()?)
}

/// All offices in one region that nobody connects to.
pub(super) fn directory() -> Result<Arc<Directory>> {
    let mut builder = DirectoryBuilder::new();
    let url = "nats://127.0.0.1:1".to_owned();
    builder.region(Region { id: region()?, name: "Khu vực một".to_owned(), url, login: None });
    for n in 1..=OFFICES {
        let mut entry = Office::new(office(n));
        entry.names.push(Name { text: format!("Xã số {n}"), validity: Validity::ALWAYS });
        let public = key(n).verifying_key().to_bytes();
        entry.keys.push(OfficeKey { key: public, validity: KeyValidity::ALWAYS });
        entry.relays.push(region()?);
        builder.office(entry);
    }
    Ok(Arc::new(builder.build(1, Millis(0))?))
}

/// The `n`-th document of `sender`.
pub(super) fn document(sender: u8, n: u64) -> DocumentId {
    let mut id = [sender; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    // Documents are numbered by chance in real life: ids that only grow would flatter the index.
    id[..8].copy_from_slice(
        &n.wrapping_add(u64::from(sender)).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(),
    );
    DocumentId::new(id)
}

/// A letter without attachments.
pub(super) fn letter(sender: u8, n: u64, to: Vec<OfficeId>) -> Command {
    Command::Dispatch {
        to,
        urgency: Urgency::Normal,
        blobs: Vec::new(),
        dispatch: Dispatch {
            document: document(sender, n),
            subject: SUBJECT.to_owned(),
            number: Some(format!("{n}/UBND-VP")),
            document_type: Some("CV".to_owned()),
            attachments: Vec::new(),
        },
    }
}

/// A station without a network that writes letters to thirty correspondents in turn.
pub(super) struct Writer {
    pub(super) node: Node,
    pub(super) written: u64,
}

impl Writer {
    pub(super) const OFFICE: u8 = 1;

    pub(super) fn open(folder: &std::path::Path) -> Result<Self> {
        let store = Store::open(&folder.join("writer.db"))?;
        let now = node::runtime::now();
        let me = office(Self::OFFICE);
        let node = Node::open(store, key(Self::OFFICE), directory()?, me, [1; 32], now)?;
        Ok(Self { node, written: 0 })
    }

    /// Writes `letters` letters, `batch` in one transaction; says how long it took until the last one was
    /// durable.
    pub(super) fn write(&mut self, letters: u64, batch: u64) -> Result<Span> {
        let stopwatch = Stopwatch::start();
        let until = self.written + letters;
        while self.written < until {
            let last = until.min(self.written + batch);
            let inputs: Vec<Input> = (self.written..last)
                .map(|n| {
                    let to = office(2 + u8::try_from(n % u64::from(OFFICES - 1)).unwrap_or(0));
                    Input::Command { ticket: Ticket(n), command: letter(Self::OFFICE, n, vec![to]) }
                })
                .collect();
            let expected = inputs.len();
            let effects = self.node.step(inputs, node::runtime::now())?;
            let done = effects
                .iter()
                .filter(|effect| matches!(effect, Effect::Answer { answer: Answer::Dispatched { .. }, .. }))
                .count();
            ensure!(done == expected, "{done} of {expected} letters were taken: {effects:?}");
            self.written = last;
        }
        Ok(stopwatch.stop())
    }
}

/// What something took: by the clock on the wall, and of the processors.
#[derive(Clone, Copy, Default)]
pub(super) struct Span {
    pub(super) wall: Duration,
    /// Of all threads of this process; it hardly changes when others use the machine too.
    pub(super) cpu: Duration,
}

/// A clock that runs.
pub(super) struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub(super) fn start() -> Self {
        Self { wall: Instant::now(), cpu: cpu_used() }
    }

    pub(super) fn stop(&self) -> Span {
        Span { wall: self.wall.elapsed(), cpu: cpu_used().saturating_sub(self.cpu) }
    }
}

/// Processor time of this process, to a hundredth of a second: fields 14 and 15 of `/proc/self/stat`.
fn cpu_used() -> Duration {
    /// `USER_HZ` is 100 on every Linux this runs on.
    const TICK_MS: u64 = 10;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * TICK_MS)
}

/// Microseconds of processor time for one of `count`.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
pub(super) fn cpu_us(count: u64, span: Span) -> f64 {
    span.cpu.as_secs_f64() * 1e6 / count.max(1) as f64
}

/// How many a second.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
pub(super) fn rate(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}
