//! Offices and documents for the benches: no network, keys from numbers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ed25519_dalek::SigningKey;
use jiff::civil::date;
use node::Node;
use node::sealing::{Sealing, SealingKeys, founding_announcement};
use node::step::{Answer, Effect, Input, Ticket};
use node::store::Store;
use ops::ca::rehearsal::Rehearsal;
use ops::ca::{Cost, Passphrase, Place};
use schema::blob::FileRef;
use schema::body::{Dispatch, Issue};
use schema::directory::{Directory, DirectoryBuilder, Name, Office, Region, Validity, sign_directory};
use schema::document::{Attachment, Code, DocumentType, Manifest, Signer};
use schema::exchange::Command;
use schema::id::{DocumentId, OfficeId, RegionId};
use schema::registry::{Item, ItemKind, Registry, Roots};
use schema::time::Day;
use schema::time::Millis;
use schema::trust::CertificateHash;

/// Offices of the country without a network.
pub(super) const OFFICES: u8 = 31;
/// The region all of them live in.
pub(super) const REGION: &str = "p01";

/// The date that letters bear.
const ISSUED_ON: Day = Day(date(2025, 6, 5));
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

/// All offices in one region that nobody connects to; the same for every station of a bench.
pub(super) fn registry() -> Result<Arc<Registry>> {
    static ONE: Mutex<Option<Arc<Registry>>> = Mutex::new(None);
    let mut one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(registry) = &*one {
        return Ok(Arc::clone(registry));
    }
    let mut builder = DirectoryBuilder::new();
    let url = "nats://127.0.0.1:1".to_owned();
    let name = "Khu vực một".to_owned();
    builder.region(Region { id: region()?, name, url, login: None, stamp_key: None });
    for n in 1..=OFFICES {
        let mut entry = Office::new(office(n));
        entry.names.push(Name { text: format!("Xã số {n}"), validity: Validity::ALWAYS });
        entry.relays.push(region()?);
        builder.office(entry);
    }
    let numbers: Vec<u8> = (1..=OFFICES).collect();
    let (roots, mut items) = certified(&builder.build(1, Millis(0))?, &numbers)?;
    for n in numbers {
        let sealing = SealingKeys::generate()?;
        items.push(founding_announcement(&key(n), office(n), sealing.key(), node::runtime::now())?);
    }
    let (registry, outcomes) = Registry::open(roots, items)?;
    for (_, outcome) in outcomes {
        outcome?;
    }
    Ok(Arc::clone(one.insert(Arc::new(registry))))
}

/// The directory, signed, and certificates for the keys of these offices from a hierarchy of its own.
pub(super) fn certified(directory: &Directory, offices: &[u8]) -> Result<(Roots, Vec<Item>)> {
    let folder = tempfile::tempdir().context("failed to make a folder for the authorities")?;
    let now = node::runtime::now();
    let passphrase = Passphrase::new("những khoá này không dùng cho việc gì")?;
    let mut authorities =
        Rehearsal::found(&folder.path().join("authorities"), passphrase, Cost::FOR_TESTS, now)?;
    let place = Place::Province("Tỉnh Phú Thọ".to_owned());
    for n in offices {
        let key = key(*n).verifying_key().to_bytes();
        authorities.certify_at(&place, &format!("Xã số {n}"), &office(*n), &key, now)?;
    }
    let root = SigningKey::from_bytes(&[200; 32]);
    let root_certificate = authorities.root_certificate()?;
    let roots = Roots {
        directory_key: root.verifying_key().to_bytes(),
        anchors: vec![CertificateHash::of(&root_certificate)],
    };
    let mut items = vec![
        Item::new(ItemKind::Anchor, root_certificate)?,
        Item::new(ItemKind::Directory, sign_directory(&directory.snapshot(), &root)?)?,
    ];
    items.extend(authorities.papers()?);
    Ok((roots, items))
}

/// The `n`-th document of an office.
pub(super) fn document(issuer: &OfficeId, n: u64) -> DocumentId {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&n.to_be_bytes());
    // Documents are numbered by chance in real life: ids that only grow would flatter the index.
    let first = u64::from(issuer.as_bytes()[0]);
    id[..8].copy_from_slice(&n.wrapping_add(first).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    DocumentId::new(id)
}

/// The `n`-th letter of an office, without attachments.
pub(super) fn letter(issuer: OfficeId, n: u64) -> Dispatch {
    let (document, signer) = (document(&issuer, n), Signer::head("Chủ tịch", "Vàng A Sáng"));
    let manifest = Manifest::new(document, issuer, DocumentType::OfficialLetter, SUBJECT, signer);
    let code = Code::new(n.to_string(), "UBND-VP").expect("a few digits and a symbol");
    let issued = Some(Issue::given(code, ISSUED_ON));
    Dispatch { issued, ..Dispatch::unsigned(manifest) }
}

/// Sends the `n`-th letter of an office with an attachment.
pub(super) fn attached(issuer: OfficeId, n: u64, to: Vec<OfficeId>, file: FileRef) -> Command {
    let mut dispatch = letter(issuer, n);
    let (name, media_type) = ("Hồ sơ.pdf".to_owned(), "application/pdf".to_owned());
    dispatch.manifest.attachments.push(Attachment { name, media_type, file });
    sent(dispatch, to)
}

/// Sends it.
pub(super) fn send(issuer: OfficeId, n: u64, to: Vec<OfficeId>) -> Command {
    sent(letter(issuer, n), to)
}

fn sent(letter: Dispatch, to: Vec<OfficeId>) -> Command {
    Command::Dispatch { by: None, to, dispatch: Box::new(letter), reference_only: true }
}

/// The `n`-th letter of an office.
pub(super) type Letters = fn(OfficeId, u64) -> Dispatch;

/// A station without a network that writes letters to thirty correspondents in turn.
pub(super) struct Writer {
    pub(super) node: Node,
    pub(super) written: u64,
    letters: Letters,
}

impl Writer {
    pub(super) const OFFICE: u8 = 1;

    pub(super) fn open(folder: &std::path::Path) -> Result<Self> {
        Self::of(folder, letter)
    }

    /// One that writes these letters.
    pub(super) fn of(folder: &std::path::Path, letters: Letters) -> Result<Self> {
        let store = Store::open(&Self::database(folder))?;
        let now = node::runtime::now();
        let me = office(Self::OFFICE);
        let node = Node::open(store, key(Self::OFFICE), registry()?, me, [1; 32], now)?;
        // As every station does, it seals what it sends: for the recipient and for itself.
        let node = node.with_sealing(Arc::new(SealingKeys::generate()?), true);
        Ok(Self { node, written: 0, letters })
    }

    /// Its store.
    pub(super) fn database(folder: &std::path::Path) -> std::path::PathBuf {
        folder.join("writer.db")
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
                    let letter = (self.letters)(office(Self::OFFICE), n);
                    Input::Command { ticket: Ticket(n), command: sent(letter, vec![to]) }
                })
                .collect();
            let expected = inputs.len();
            let effects = self.node.step(inputs, node::runtime::now())?;
            let done = effects
                .iter()
                .filter(|effect| matches!(effect, Effect::Answer { answer: Answer::Dispatched { .. }, .. }))
                .count();
            let refused = effects
                .iter()
                .find(|effect| matches!(effect, Effect::Answer { answer: Answer::Refused(_), .. }));
            ensure!(done == expected, "{done} of {expected} letters were taken: {refused:?}");
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
