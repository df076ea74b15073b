//! Lists and searches at an office with many documents: what somebody waits for who looks for one.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::civil::date;
use node::runtime::STEP_INPUTS_MAX;
use node::store::{Days, Reader, Search, Sought};
use schema::body::{Dispatch, Issue};
use schema::document::{Code, DocumentType, Manifest, Signer};
use schema::event::Urgency;
use schema::id::OfficeId;
use schema::text;
use schema::time::Day;

use super::verify::Reception;
use super::workload::{Stopwatch, Writer, document, office, rate, registry};
use super::{Figure, Ground};

/// Documents when the caller does not say.
pub(super) const DOCUMENTS_DEFAULT: u64 = 100_000;
/// Fewer have no page in the middle.
pub(super) const DOCUMENTS_MIN: u64 = 1_000;
/// Documents that come in between two reports of progress.
const SECTION: u64 = 100_000;
/// Documents up to which a list may take 50 ms (design section 11); beyond, 200 ms (requirement M1).
const SMALL_OFFICE: u64 = 100_000;
/// Searches of one kind.
const ROUNDS: usize = 25;
/// Rows of a page.
const PAGE: u32 = 50;
/// Beginning of the ten years in which the letters were issued.
const FIRST_DAY: Day = Day(date(2016, 1, 1));
const DAYS: u64 = 3_650;

/// Phrases of real abstracts, from the commonest on.
const PHRASES: [&str; 24] = [
    "báo cáo kết quả thực hiện nhiệm vụ",
    "kế hoạch triển khai",
    "tăng cường công tác quản lý",
    "rà soát, tổng hợp số liệu",
    "chuyển đổi số",
    "cải cách hành chính",
    "phòng cháy, chữa cháy",
    "phòng, chống thiên tai và tìm kiếm cứu nạn",
    "cấp giấy chứng nhận quyền sử dụng đất",
    "giải quyết kiến nghị của cử tri",
    "tuyển chọn, gọi công dân nhập ngũ",
    "phòng, chống dịch tả lợn châu Phi",
    "hỗ trợ hộ nghèo, hộ cận nghèo",
    "kiểm kê tài sản công",
    "quyết toán ngân sách",
    "bồi thường, giải phóng mặt bằng",
    "xây dựng nông thôn mới",
    "bảo vệ và phát triển rừng",
    "khai thác khoáng sản trái phép",
    "tiếp công dân, giải quyết khiếu nại, tố cáo",
    "bầu cử đại biểu Quốc hội",
    "kỷ niệm ngày thương binh, liệt sĩ",
    "điều động, luân chuyển cán bộ",
    "vận hành hồ chứa thủy điện Nậm Pô",
];
const TYPES: [DocumentType; 8] = [
    DocumentType::OfficialLetter,
    DocumentType::OfficialLetter,
    DocumentType::OfficialLetter,
    DocumentType::Report,
    DocumentType::Decision,
    DocumentType::Notice,
    DocumentType::Plan,
    DocumentType::Invitation,
];

/// A number that follows from others, evenly spread.
fn drawn(n: u64, what: u64, of: u64) -> u64 {
    let mixed = (n ^ what << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33) % of.max(1)
}

/// One of `of`, the first ones far more often.
fn skewed(n: u64, what: u64, of: usize) -> usize {
    let once = drawn(n, what, of as u64).min(drawn(n, what + 16, of as u64));
    usize::try_from(once.min(drawn(n, what + 32, of as u64))).unwrap_or(0)
}

/// The day on which a letter was issued.
fn issued_on(n: u64) -> Day {
    Day::from_days(FIRST_DAY.days() + i32::try_from(drawn(n, 5, DAYS)).unwrap_or(0)).unwrap_or(FIRST_DAY)
}

/// The `n`-th letter of an office: no two are alike.
fn letter(issuer: OfficeId, n: u64) -> Dispatch {
    let (first, second) = (PHRASES[skewed(n, 1, PHRASES.len())], PHRASES[skewed(n, 2, PHRASES.len())]);
    let subject = format!("V/v {first}, {second} trên địa bàn thôn {}", drawn(n, 3, 20_000));
    let one = TYPES[usize::try_from(drawn(n, 4, TYPES.len() as u64)).unwrap_or(0)];
    let mut manifest =
        Manifest::new(document(&issuer, n), issuer, one, subject, Signer::head("Chủ tịch", "Vàng A Sáng"));
    if drawn(n, 6, 50) == 0 {
        manifest.urgency = Urgency::Express;
    }
    let code = Code::new((1 + n % 9_000).to_string(), "UBND-VP").expect("a few digits and a symbol");
    let issued = Some(Issue::given(code, issued_on(n)));
    Dispatch { issued, ..Dispatch::unsigned(manifest) }
}

/// The same, with a number that no other has: one office sends no number twice to one recipient.
fn sent_letter(issuer: OfficeId, n: u64) -> Dispatch {
    let code = Code::new((1 + n).to_string(), "UBND-VP").expect("a few digits and a symbol");
    Dispatch { issued: Some(Issue::given(code, issued_on(n))), ..letter(issuer, n) }
}

/// What somebody looks for, in the `n`-th round.
type Ask = fn(u64) -> Result<Sought>;

fn words(text: &str) -> Result<Sought> {
    Ok(Sought { text: Some(text.parse()?), ..Sought::default() })
}

fn asks() -> [(&'static str, Ask); 10] {
    [
        ("common words", |_| words("bao cao ket qua")),
        ("common words in a row", |_| words("\"chuyen doi so\"")),
        ("words of two phrases", |n| {
            let phrase = PHRASES[usize::try_from(n).unwrap_or(0) % PHRASES.len()];
            words(&format!("{phrase} nam po"))
        }),
        ("a rare number among common words", |n| words(&format!("ke hoach thon {}", drawn(n, 3, 20_000)))),
        ("a number and symbol", |n| words(&format!("{}/ubnd-vp", 1 + n % 9_000))),
        ("the beginning of a word", |_| words("nghi* quyet*")),
        ("nothing that is there", |_| words("bao cao khongcogi")),
        ("a type and a sender", |n| {
            let (document_type, sender) = (Some(DocumentType::Decision), u8::try_from(1 + n % 8)?);
            Ok(Sought { document_type, office: Some(office(sender)), ..Sought::default() })
        }),
        ("express letters of a week", |n| {
            let first = issued_on(n).days();
            let issued = Days { since: Day::from_days(first), until: Day::from_days(first + 6) };
            Ok(Sought { urgency: Some(Urgency::Express), issued, ..Sought::default() })
        }),
        ("words in a long range of days", |n| {
            let first = FIRST_DAY.days() + i32::try_from(n)?;
            let issued = Days { since: Day::from_days(first), until: Day::from_days(first + 3_000) };
            Ok(Sought { issued, ..words("dich ta lon")? })
        }),
    ]
}

/// The time that 95 of 100 do not take longer than, in milliseconds.
fn p95(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    let at = (times.len() * 95).div_ceil(100).saturating_sub(1);
    times.get(at).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
}

/// How the offices of an index are called.
type Names<'a> = &'a dyn Fn(&OfficeId, Day) -> Option<String>;

pub(super) fn bench(ground: &Ground) -> Result<Vec<Figure>> {
    let directory = registry()?;
    let names = |office: &OfficeId, day: Day| directory.directory().name_at(office, day.0).map(str::to_owned);
    let folder = ground.folder()?;
    let most = if ground.documents <= SMALL_OFFICE { 50.0 } else { 200.0 };
    let mut figures = incoming(ground, folder.path(), &names, most)?;
    figures.extend(outgoing(ground, folder.path(), &names, most)?);
    Ok(figures)
}

fn incoming(ground: &Ground, folder: &Path, names: Names<'_>, most: f64) -> Result<Vec<Figure>> {
    let documents = ground.documents;
    let mut reception = Reception::of(folder, letter)?;
    let mut there = 0;
    while there < documents {
        // Whole packs come: a few more than were asked for may be there.
        reception.take(SECTION.min(documents - there))?;
        there = reception.node.exchange().presented();
        if documents > SECTION {
            eprintln!("tram bench: {there} of {documents} documents have come in");
        }
    }
    drop(reception);

    let reader = Reader::open(&Reception::database(folder))?;
    let file = folder.join("search.db");
    let search = Search::new(file.clone());
    let stopwatch = Stopwatch::start();
    while search.advance(&reader, names)? {}
    let made = stopwatch.stop();
    let bytes = std::fs::metadata(&file).context("failed to measure the index")?.len();
    #[expect(clippy::cast_precision_loss, reason = "bytes for one document")]
    let each = bytes as f64 / there as f64;

    let mut figures = vec![
        Figure::new(format!("index of {there} documents made anew"), rate(there, made.wall), "documents/s")
            .beside("s in all", made.wall.as_secs_f64())
            .beside("bytes for each", each),
    ];
    let page = timed(|round| {
        let before = drawn(round, 7, there);
        let rows = reader.incoming(Some(before), PAGE, false)?.rows.len();
        ensure!(rows == (PAGE as usize).min(usize::try_from(before)?.saturating_sub(1)), "a page");
        Ok(rows)
    })?;
    figures.push(page.figure(format!("a page anywhere among {there} that came in, p95"), most));
    let scanned = scan(&reader, "khongcogi")?;
    for (name, ask) in asks() {
        let found = timed(|round| {
            let sought = ask(round)?;
            let deadline = Instant::now() + Duration::from_secs(1);
            ensure!(search.refresh(&reader, names, deadline)?, "the index is behind");
            Ok(search.incoming(&reader, &sought, None, PAGE, false)?.rows.len())
        })?;
        let figure = found.figure(format!("search for {name}, p95"), most);
        figures.push(figure.beside("reading and folding every document, ms", scanned));
    }
    Ok(figures)
}

/// An office sends fewer documents than it receives: a third, as in the first months of the national exchange.
fn outgoing(ground: &Ground, folder: &Path, names: Names<'_>, most: f64) -> Result<Vec<Figure>> {
    let documents = ground.documents / 3;
    let mut writer = Writer::of(folder, sent_letter)?;
    while writer.written < documents {
        writer.write(SECTION.min(documents - writer.written), STEP_INPUTS_MAX as u64)?;
        if documents > SECTION {
            eprintln!("tram bench: {} of {documents} documents were sent", writer.written);
        }
    }
    drop(writer);
    let reader = Reader::open(&Writer::database(folder))?;
    let search = Search::new(folder.join("sent-search.db"));
    while search.advance(&reader, names)? {}
    let last = reader.outgoing(None, 1, node::runtime::now())?.rows.first().map_or(0, |row| row.position);
    let page = timed(|round| {
        let before = drawn(round, 7, last);
        Ok(reader.outgoing(Some(before), PAGE, node::runtime::now())?.rows.len())
    })?;
    let mut figures =
        vec![page.figure(format!("a page anywhere among {documents} that were sent, p95"), most)];
    for (name, ask) in asks() {
        let found = timed(|round| {
            let sought = ask(round)?;
            Ok(search.outgoing(&reader, &sought, None, PAGE, node::runtime::now())?.rows.len())
        })?;
        figures.push(found.figure(format!("search what was sent for {name}, p95"), most));
    }
    Ok(figures)
}

/// How long something took, again and again, and how many rows it found.
struct Timed {
    times: Vec<Duration>,
    rows: usize,
}

impl Timed {
    fn figure(mut self, name: String, most: f64) -> Figure {
        #[expect(clippy::cast_precision_loss, reason = "rows of a few pages")]
        let rows = self.rows as f64 / ROUNDS as f64;
        Figure::new(name, p95(&mut self.times), "ms").at_most(most).beside("rows on a page", rows)
    }
}

fn timed(mut once: impl FnMut(u64) -> Result<usize>) -> Result<Timed> {
    let mut timed = Timed { times: Vec::with_capacity(ROUNDS), rows: 0 };
    for round in 0..ROUNDS as u64 {
        let start = Instant::now();
        timed.rows += once(round)?;
        timed.times.push(start.elapsed());
    }
    Ok(timed)
}

/// How long it takes to look into a part of the documents one by one, counted up to all of them: what a search without an
/// index costs.
fn scan(reader: &Reader, word: &str) -> Result<f64> {
    const PAGES: u32 = 20;
    let start = Instant::now();
    let (mut seen, mut before) = (0_u64, None);
    for _ in 0..PAGES {
        let page = reader.incoming(before, 200, true)?;
        seen += page.rows.iter().filter(|row| !text::fold(&row.subject).contains(word)).count() as u64;
        before = page.next;
    }
    let all = reader.status(node::runtime::now())?.incoming;
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench are far below 2^52")]
    Ok(start.elapsed().as_secs_f64() * 1_000.0 * all as f64 / seen.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spread_and_bounded() {
        let hits: std::collections::BTreeSet<u64> = (0..200).map(|n| drawn(n, 1, 10)).collect();
        assert_eq!(hits, (0..10).collect());
        let first = (0..1_000).filter(|n| skewed(*n, 1, 10) == 0).count();
        let last = (0..1_000).filter(|n| skewed(*n, 1, 10) == 9).count();
        assert!(first > 200 && last < 50, "{first} {last}");
    }
}
