//! Documents and lines of registers are found by words and by what they are, as a clerk looks for them.

mod office;
mod station;

use std::fs;
use std::path::Path;

use node::store::{Reader, Search};
use office::Office;
use office::pair::{CLERK, LEADER, OFFICER, Pair, refused};
use schema::id::OfficeId;
use schema::time::Day;
use station::directory;

const WHY: &str = "Nhận qua USB, đã gọi điện xác nhận.";

/// The abstracts of what is found, in the order of the list.
fn found(office: &Office, arguments: &[&str]) -> Vec<String> {
    let page = office.json(arguments);
    assert_eq!(page["complete"], true, "{page}");
    let rows = page["rows"].as_array().into_iter().flatten();
    rows.map(|row| row["subject"].as_str().expect("an abstract").to_owned()).collect()
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn incoming_documents_are_found_by_words_and_by_what_became_of_them() {
    let mut pair = Pair::open();
    let (dam, army) = ("V/v kiểm tra hồ chứa nước Nậm Pô", "Báo cáo tuyển quân năm 2026");
    let (first, second) = (pair.send(dam), pair.send(army));
    pair.carry(true);
    let here = &pair.recipient;
    assert_eq!(found(here, &["incoming"]), [army, dam]);
    for words in
        [&["kiem tra ho chua"][..], &["Nậm", "pô"], &["chua", "ho"], &["\"hồ chứa nước\""], &["chua*"]]
    {
        assert_eq!(found(here, &[&["incoming"][..], words].concat()), [dam], "{words:?}");
    }
    assert_eq!(found(here, &["incoming", "\"chứa hồ\""]), nothing(), "words in a row are in a row");
    // The sender's name, the signer, the attachment.
    for words in ["uy ban nhan dan xa so 1", "sang chu tich", "cong van.pdf"] {
        assert_eq!(found(here, &["incoming", words]), [army, dam], "{words}");
    }
    assert_eq!(found(here, &["incoming", "--type", "công văn", "--office", "H01.18"]), [army, dam]);
    assert_eq!(found(here, &["incoming", "--type", "QĐ"]), nothing());
    assert_eq!(found(here, &["incoming", "--since", "01/01/2026", "--limit", "1"]), [army]);
    assert_eq!(found(here, &["incoming", "--until", "2025-12-31"]), nothing());

    // What becomes of a document is found as soon as it is recorded.
    assert_eq!(found(here, &["incoming", "--stage", "registered"]), nothing());
    here.text(&["accept", &first, "--undetermined-because", WHY, "--as", CLERK]);
    assert_eq!(found(here, &["incoming", "--stage", "registered"]), [dam]);
    assert_eq!(found(here, &["incoming", "--stage", "arrived"]), [army]);
    here.text(&["assign", &first, "--lead", "Công chức địa chính", "--as", LEADER]);
    here.text(&["start", &first, "--as", OFFICER]);
    assert_eq!(found(here, &["incoming", "dia chinh", "--stage", "in-progress"]), [dam]);

    // Recalled: hidden from work, also from searches.
    pair.sender.text(&["recall", &second, "--reason", "Sai thẩm quyền", "--as", LEADER]);
    pair.carry(true);
    let here = &pair.recipient;
    assert_eq!(found(here, &["incoming", "tuyen quan"]), nothing());
    assert_eq!(found(here, &["incoming", "tuyen quan", "--all"]), [army]);
    assert_eq!(found(here, &["incoming", "--standing", "recalled"]), [army]);

    let text = here.text(&["incoming", "không có gì như vậy"]);
    assert!(text.contains("Không có văn bản đến nào như vậy"), "{text}");
    assert_eq!(refused(here, &["incoming", "x*"]), "search-short-beginning");
    assert_eq!(refused(here, &["incoming", "…"]), "search-no-word");
    assert_eq!(refused(here, &["incoming", "--unreceipted"]), "parameter", "no such mark in this list");
}

#[test]
fn outgoing_documents_are_found_by_recipient_and_by_what_is_missing() {
    let mut pair = Pair::open();
    let sent = ["V/v phòng chống thiên tai", "V/v rà soát hộ nghèo"];
    let documents = sent.map(|subject| pair.send(subject));
    assert_eq!(found(&pair.sender, &["outgoing", "--unreceipted"]), [sent[1], sent[0]]);
    assert_eq!(found(&pair.sender, &["outgoing", "thien tai", "--office", "H02.18"]), [sent[0]]);
    assert_eq!(found(&pair.sender, &["outgoing", "uy ban nhan dan xa so 2"]), [sent[1], sent[0]]);
    pair.carry(true);
    pair.recipient.text(&["refuse", &documents[0], "--reason", "wrong-addressee", "--as", CLERK]);
    pair.carry(false);
    assert_eq!(found(&pair.sender, &["outgoing", "--unreceipted"]), nothing());
    assert_eq!(found(&pair.sender, &["outgoing", "--stage", "refused"]), [sent[0]]);
}

#[test]
fn h1_lines_on_paper_and_electronic_ones_are_found_in_their_register() {
    let mut pair = Pair::open();
    let document = pair.send("V/v kiểm tra hồ chứa nước");
    pair.carry(true);
    let here = &pair.recipient;
    let paper = |subject: &str| {
        let of = ["register", "paper", "--author", "Tòa án nhân dân khu vực 3", "--number", "05/TB-TA"];
        let rest = ["--issued-on", "2026-01-05", "--type", "thông báo", "--subject", subject, "--as", CLERK];
        here.text(&[&of[..], &rest[..]].concat());
    };
    paper("Thông báo thụ lý vụ án");
    here.text(&["accept", &document, "--undetermined-because", WHY, "--as", CLERK]);
    paper("Giấy triệu tập");
    let lines = |words: &[&str]| -> Vec<u64> {
        let page = here.json(&[&["register", "show", "den"][..], words].concat());
        let rows = page["rows"].as_array().into_iter().flatten();
        rows.map(|row| row["number"].as_u64().expect("a number")).collect()
    };
    assert_eq!(lines(&[]), [1, 2, 3]);
    assert_eq!(lines(&["toa an"]), [1, 3]);
    assert_eq!(lines(&["5/tb-ta", "--limit", "1"]), [1]);
    assert_eq!(lines(&["5/tb-ta", "--after", "1"]), [3]);
    assert_eq!(lines(&["hồ chứa"]), [2]);
    assert_eq!(lines(&["--type", "TB", "trieu tap"]), [3]);
    assert_eq!(lines(&["--issued-since", "05/01/2026", "--issued-until", "05/01/2026"]), [1, 3]);
    // A word of the number itself, and of who works on it.
    here.text(&["assign", &document, "--lead", "Công chức địa chính", "--as", LEADER]);
    assert_eq!(lines(&["dia chinh"]), [2]);
}

/// What an office is called in the directory of these tests.
fn name(office: &OfficeId, day: Day) -> Option<String> {
    directory("nats://127.0.0.1:1").name_at(office, day.0).map(str::to_owned)
}

/// An index of a store, up to date, in this file.
fn fingerprint(data: &Path, file: &Path) -> [u8; 32] {
    let (search, reader) =
        (Search::new(file.to_owned()), Reader::open(&data.join("tram.db")).expect("a reader"));
    while search.advance(&reader, &name).expect("advanced") {}
    search.fingerprint().expect("rows")
}

/// Projections follow from the journal: an index that grew with it is what one is that is made of it at once.
#[test]
fn index_that_grew_is_the_one_that_is_made_anew() {
    let mut pair = Pair::open();
    let documents: Vec<String> = ["Một", "Hai", "Ba", "Bốn"].map(|subject| pair.send(subject)).into();
    let look = |office: &Office| {
        office.json(&["incoming", "mot"]);
        office.json(&["outgoing", "mot"]);
    };
    look(&pair.sender);
    pair.carry(true);
    look(&pair.recipient);
    pair.recipient.text(&["accept", &documents[0], "--undetermined-because", WHY, "--as", CLERK]);
    look(&pair.recipient);
    pair.sender.text(&["recall", &documents[0], "--reason", "Sai", "--as", LEADER]);
    pair.sender.text(&["take-back", &documents[1], "--reason", "Nhầm", "--as", LEADER]);
    pair.carry(true);
    pair.recipient.text(&["refuse", &documents[2], "--reason", "outside-authority", "--as", CLERK]);
    look(&pair.recipient);
    pair.recipient.text(&["answer", &documents[1], "agree", "--as", CLERK]);
    pair.recipient.text(&[
        "register",
        "cancel",
        "--direction",
        "incoming",
        "--reason",
        "Ghi nhầm",
        "--as",
        CLERK,
    ]);
    pair.carry(false);
    look(&pair.sender);
    look(&pair.recipient);
    for office in [&mut pair.sender, &mut pair.recipient] {
        office.stop("-TERM");
        let grown = fingerprint(&office.data(), &office.data().join("search.db"));
        let anew = fingerprint(&office.data(), Path::new(&office.path("anew.db")));
        assert_eq!(grown, anew);
        fs::remove_file(office.path("anew.db")).expect("removed");
    }
}

#[test]
fn index_that_is_damaged_or_of_another_store_is_made_anew() {
    let mut pair = Pair::open();
    pair.send("V/v kiểm tra hồ chứa nước");
    pair.carry(true);
    let words = ["incoming", "ho chua"];
    assert_eq!(found(&pair.recipient, &words).len(), 1);
    assert_eq!(found(&pair.sender, &["outgoing", "ho chua"]).len(), 1);
    pair.recipient.stop("-TERM");
    pair.sender.stop("-TERM");
    // What was not moved into the file yet lies beside it.
    for name in ["search.db", "search.db-wal", "search.db-shm"] {
        let (from, to) = (pair.sender.data().join(name), pair.recipient.data().join(name));
        let _ = fs::remove_file(&to);
        if from.exists() {
            fs::copy(from, to).expect("copied");
        }
    }
    pair.recipient.start();
    assert_eq!(found(&pair.recipient, &words).len(), 1, "of another store");

    let index = pair.recipient.data().join("search.db");
    // Noise all over it, then only where the words are: that is noticed by whoever searches.
    for words_only in [false, true] {
        pair.recipient.stop("-TERM");
        let at = {
            let db = rusqlite::Connection::open(&index).expect("an index");
            db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("one file");
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'incoming_data'";
            db.query_row(sql, [], |row| row.get::<_, u32>(0)).expect("a table") as usize
        };
        let mut bytes = fs::read(&index).expect("an index");
        match words_only {
            true => bytes[(at - 1) * 4096..at * 4096].fill(0x5a),
            false => bytes.fill(0x5a),
        }
        fs::write(&index, bytes).expect("written");
        pair.recipient.start();
        assert_eq!(found(&pair.recipient, &words).len(), 1, "damaged; the words only: {words_only}");
    }
}

/// Where the store itself cannot be read, a new index would fail at the same place: the one that is there stays.
#[test]
fn damage_of_the_store_is_not_put_down_to_the_index() {
    let mut pair = Pair::open();
    pair.send("V/v kiểm tra hồ chứa nước");
    pair.carry(true);
    let office = &mut pair.recipient;
    assert_eq!(found(office, &["incoming", "ho chua"]).len(), 1);
    office.stop("-TERM");
    let store = office.data().join("tram.db");
    let db = rusqlite::Connection::open(&store).expect("a store");
    let damaged = "DROP TRIGGER journal_is_append_only;
                   UPDATE journal SET bytes = x'00' WHERE position = (SELECT max(position) FROM held)";
    db.execute_batch(damaged).expect("damaged");
    let reader = Reader::open(&store).expect("a reader");
    let search = Search::new(Path::new(&office.path("anew.db")).to_owned());
    for _ in 0..2 {
        let error = search.advance(&reader, &name).expect_err("a journal entry cannot be read");
        assert!(error.is_damage(), "{error}");
        assert!(!search.is_damaged(), "the index was blamed");
    }
}
