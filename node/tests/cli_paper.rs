//! What is printed around a document, on the command line: the stamp *ĐẾN* and the slip for handling it, its signatures as they are
//! shown, and the volumes of a register.

mod office;
mod station;

use std::fs;

use ed25519_dalek::{Signer as _, SigningKey};
use office::pair::{CLERK, LEADER, OFFICER, opened, paper, refused};
use office::{LETTER, Office, sign};
use schema::body::{Body, Dispatch, Issue};
use schema::courier::{CourierWriter, Record};
use schema::document::{DocumentType, Manifest, Signer};
use schema::event::{Addressee, Event, Urgency, VerifiedEvent, seal};
use schema::id::{Counter, DocumentId, EventId, Incarnation, Seq};
use schema::pack::PackItem;
use schema::registry::encode_items;
use schema::stamp::stamp;
use schema::time::{Day, Millis};
use schema::trust::Preparation;
use serde_json::{Value, json};
use station::certified::{BEGAN, ENDS, Registrar, Revoked, Why};
use station::{RECIPIENT, SENDER, key, office_id, stamp_key};

/// 2025-06-10T01:00:00Z.
const SIGNED: Millis = Millis(1_749_517_200_000);

/// Everything that one office has for the other goes there by courier file.
fn carry(from: &Office, to: &Office) {
    let file = from.path(&format!("{}.courier", fs::read_dir(from.folder.path()).expect("a folder").count()));
    from.text(&["courier", "export", "--out", &file]);
    to.text(&["courier", "import", &file]);
}

/// A document that no person has signed; returns its id.
fn sent(office: &Office, more: &[&str]) -> String {
    let sent = office.json(&[&["send", "--to", "H02.18"][..], LETTER, more].concat());
    sent["document"].as_str().expect("an id").to_owned()
}

fn holds(page: &str, words: &[&str]) {
    for words in words {
        assert!(page.contains(words), "`{words}` is not in\n{page}");
    }
}

/// Nothing of a page comes from elsewhere, and nothing in it runs.
fn stands_alone(page: &str) {
    holds(page, &["<meta charset=\"utf-8\">", "default-src 'none'", "size: A4"]);
    for foreign in ["http:", "https:", "<script", "<img", "<link", "<a ", "url(", "@import", "src="] {
        assert!(!page.to_lowercase().contains(foreign), "`{foreign}` is in\n{page}");
    }
}

/// H3: stamp and slip say who was told what by whom, until when, and what was done; from events, printed again the same.
#[test]
fn h3_stamp_and_slip_say_what_the_events_say() {
    let (sender, recipient) = (opened(SENDER), opened(RECIPIENT));
    let hostile = "V/v <script>alert('x')</script> & \"hồ chứa\"";
    let numbered =
        ["--reference-only", "--subject", hostile, "--number", "47/UBND-VP", "--issued-on", "2025-06-05"];
    let document = sent(&sender, &numbered);
    carry(&sender, &recipient);
    let document = document.as_str();
    let slip = ["print", "slip", document];
    assert_eq!(refused(&recipient, &slip), "not-registered", "it obliges nobody before that");
    assert_eq!(refused(&sender, &slip), "no-document", "it did not come in there");
    assert_eq!(
        refused(&recipient, &["opinion", document, "--opinion", "Đề xuất.", "--as", OFFICER]),
        "not-registered"
    );
    let why = "Nhận qua USB, đã gọi điện xác nhận.";
    recipient.text(&["accept", document, "--undetermined-because", why, "--as", CLERK]);
    let blank = recipient.json(&slip);
    assert_eq!(blank["stamp"]["handed_to"], Value::Null);
    let assign =
        ["assign", document, "--lead", "Công chức địa chính", "--with", "Công an xã", "--due", "2025-12-31"];
    let instruction = ["--instruction", "Tham mưu <b>trả lời</b> trong tuần.", "--as", LEADER];
    recipient.text(&[&assign[..], &instruction[..]].concat());
    recipient.text(&["start", document, "--as", OFFICER]);
    let arguments = |part: &'static str, said: &'static str, who: &'static str| {
        ["opinion", document, "--as-part", part, "--opinion", said, "--as", who]
    };
    let opinion = |part, said, who| recipient.ask(&arguments(part, said, who)).status.success();
    let refusal = |part, said, who| refused(&recipient, &arguments(part, said, who));
    assert!(opinion("unit-leader", "Giao đồng chí Páo.", OFFICER));
    assert!(opinion("handler", "Đề xuất mời họp ngày 12.", OFFICER));
    assert_eq!(refusal("agency-leader", "Đồng ý.", OFFICER), "role", "that part is for a leader");
    assert_eq!(refusal("handler", "Đồng ý.", CLERK), "role", "a clerk handles nothing");
    assert!(opinion("agency-leader", "Đồng ý.", LEADER));
    recipient.text(&["finish", document, "--as", OFFICER]);
    assert_eq!(refusal("handler", "Thêm.", OFFICER), "already-finished", "it is finished");

    let data = recipient.json(&slip);
    let stamp = &data["stamp"];
    assert_eq!(
        (&stamp["office_name"], &stamp["number"], &stamp["handed_to"], &stamp["file_code"]),
        (&"Ủy ban nhân dân xã số 2".into(), &"01".into(), &"Công chức địa chính".into(), &Value::Null)
    );
    let today = Day::in_vietnam(node::runtime::now());
    assert_eq!(stamp["arrived_on"], json!(today));
    let parts = &data["slip"]["parts"];
    let said = |part: usize| {
        let notes = parts[part]["notes"].as_array().expect("notes");
        notes.iter().map(|note| (note["said"].clone(), note["by"]["name"].clone())).collect::<Vec<_>>()
    };
    let by = |what: &str, who: &str| (json!(what), json!(who));
    assert_eq!(said(0), [by("assignment", "Vàng A Sáng"), by("opinion", "Vàng A Sáng")]);
    assert_eq!(said(1), [by("opinion", "Giàng A Páo")]);
    assert_eq!(
        said(2),
        [by("started", "Giàng A Páo"), by("opinion", "Giàng A Páo"), by("finished", "Giàng A Páo")]
    );
    let assigned = &parts[0]["notes"][0];
    assert_eq!((&assigned["due"], &assigned["with"]), (&"2025-12-31".into(), &json!(["Công an xã"])));
    assert_eq!(
        (&data["slip"]["due"], &data["slip"]["remarks"][0]["opinion"]),
        (&"2025-12-31".into(), &why.into())
    );

    let page = recipient.text(&slip);
    stands_alone(&page);
    let escaped = "V/v &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;hồ chứa&quot;";
    let law = [
        "PHIẾU GIẢI QUYẾT VĂN BẢN ĐẾN",
        "ĐẾN</div>",
        "Số và ký hiệu HS: ",
        "Chuyển: ",
        "Công văn số 47/UBND-VP ngày 05/06/2025 của Ủy ban nhân dân xã số 1",
    ];
    holds(&page, &law);
    holds(
        &page,
        &[
            escaped,
            "Tham mưu &lt;b&gt;trả lời&lt;/b&gt; trong tuần.",
            "Giao đồng chí Páo.",
            "Thời hạn: 31/12/2025",
            why,
        ],
    );
    holds(
        &page,
        &[
            "Ý kiến của lãnh đạo cơ quan, tổ chức",
            "Ý kiến của lãnh đạo đơn vị",
            "Ý kiến đề xuất của người giải quyết",
        ],
    );
    holds(
        &recipient.text(&[&["--lang", "en"][..], &slip].concat()),
        &["SLIP FOR HANDLING", "Deadline: 31/12/2025"],
    );
    let out = recipient.path("phieu.html");
    recipient.text(&[&slip[..], &["--out", &out]].concat());
    assert_eq!(fs::read_to_string(&out).expect("written"), page, "printed again, it is the same");
    assert_eq!(
        refused(&recipient, &[&slip[..], &["--out", &out]].concat()),
        "file",
        "nothing is written over"
    );
    assert_eq!(recipient.text(&["print", "slip", "--number", "1"]), page, "by its number as well");

    // What stays inside does not leave with the next courier file.
    let bytes = recipient.path("back.courier");
    recipient.text(&["courier", "export", "--out", &bytes]);
    let bytes = fs::read(&bytes).expect("written");
    let inside = "Đề xuất mời họp ngày 12.".as_bytes();
    assert!(!bytes.windows(inside.len()).any(|window| window == inside), "an opinion left the office");

    sender.text(&["recall", document, "--reason", "Sai số liệu", "--as", LEADER]);
    carry(&sender, &recipient);
    holds(&recipient.text(&slip), &["class=\"warning\">đã thu hồi, không xử lý nữa"]);
    recipient.text(&["person", "add", "Quản trị", "--role", "administrator"]);
    assert_eq!(refused(&recipient, &["print", "slip", document, "--as", "quan-tri"]), "content-role");
    assert_eq!(refused(&recipient, &["print", "signatures", document, "--as", "quan-tri"]), "content-role");
}

/// H3: a paper document has stamp and slip too; its parts are empty lines to write on.
#[test]
fn h3_paper_document_has_a_slip_to_write_on() {
    let office = opened(SENDER);
    office.text(&paper("V/v cắt điện"));
    office.text(&["register", "cancel", "--reason", "Ghi nhầm", "--as", CLERK]);
    let page = office.text(&["print", "slip", "--number", "1"]);
    stands_alone(&page);
    holds(&page, &["Công văn số 12/ĐL ngày 05/06/2025 của Điện lực Bắc Hà", "V/v cắt điện", "Số: <b>01</b>"]);
    assert_eq!(page.matches("<div class=\"line\">").count(), 9, "three lines in each part");
    for number in ["2", "3", "0"] {
        assert_eq!(refused(&office, &["print", "slip", "--number", number]), "no-line", "{number}");
    }
    assert_eq!(office.ask(&["print", "slip"]).status.code(), Some(2), "of which document?");
}

/// H2: a volume is a range of numbers. What was printed and bound is printed again byte for byte: after later numbers, after a
/// power cut, and after a restore.
#[test]
fn h2_volume_is_printed_again_byte_for_byte() {
    let mut office = opened(SENDER);
    let year = Day::in_vietnam(node::runtime::now()).0.year();
    let config = office.data().join("config.toml");
    let text = fs::read_to_string(&config).expect("settings");
    let with = format!("id = \"den\"\nvolumes = {{ {year} = [1, 4, 6] }}\n");
    fs::write(&config, text.replace("id = \"den\"\n", &with)).expect("written");
    office.stop("-TERM");
    office.start();
    (1..=3).for_each(|n| drop(office.text(&paper(&format!("V/v số {n}")))));
    let export = |office: &Office, name: &str, more: &[&str]| {
        let out = office.path(name);
        office.text(&[&["register", "export", "--out", &out][..], more].concat());
        fs::read(&out).expect("written")
    };
    let formats = ["html", "csv", "xlsx"];
    let bound = |office: &Office, when: &str| {
        formats
            .map(|format| export(office, &format!("{when}.{format}"), &["--volume", "1", "--format", format]))
    };
    assert_eq!(refused(&office, &["register", "export", "--volume", "2", "--out", "x"]), "no-volume");
    assert_eq!(refused(&office, &["register", "export", "--volume", "0", "--out", "x"]), "no-volume");
    let first = bound(&office, "first");
    (4..=7).for_each(|n| drop(office.text(&paper(&format!("V/v số {n}")))));
    assert_eq!(bound(&office, "later"), first);
    office.stop("-KILL");
    office.start();
    assert_eq!(bound(&office, "cut"), first);
    let english = export(&office, "en.html", &["--lang", "en", "--volume", "1", "--format", "html"]);
    assert_eq!(english, first[0], "a register has one language");
    let page = |name: &str, more: &[&str]| {
        String::from_utf8(export(&office, name, &[&["--format", "html"][..], more].concat())).expect("UTF-8")
    };
    let today = Day::in_vietnam(node::runtime::now());
    let (one, three, all) =
        (page("1.html", &["--volume", "1"]), page("3.html", &["--volume", "3"]), page("all.html", &[]));
    stands_alone(&one);
    holds(&one, &["Quyển số: <b>01</b>", "Từ số – đến số: <b>01 – 03</b>", "Ủy ban nhân dân xã số 1"]);
    holds(&one, &[&format!("Năm: <b>{year}</b>")]);
    holds(&three, &["Quyển số: <b>03</b>", "Từ số – đến số: <b>06 – 07</b>", "V/v số 6", "V/v số 7"]);
    assert!(!three.contains("V/v số 5") && !one.contains("V/v số 4"), "a line of another volume");
    holds(&all, &["Quyển số: <b>01 – 03</b>", "Từ số – đến số: <b>01 – 07</b>"]);
    holds(&all, &[&format!("Từ ngày – đến ngày: <b>{today} – {today}</b>")]);

    let made = office.json(&["backup", "--out", &office.path("backups")]);
    let backup = made["backup"].as_str().expect("a path").to_owned();
    office.text(&paper("V/v mất"));
    office.stop("-TERM");
    office.text(&["restore", "--from", &backup, "--replace"]);
    office.start();
    assert_eq!(bound(&office, "restored"), first);
}

fn block<'a>(value: &'a Value, of: &str) -> &'a Value {
    let mut blocks = value["blocks"].as_array().expect("blocks").iter();
    blocks.find(|block| block["of"] == of).unwrap_or_else(|| panic!("no block of {of}: {value}"))
}

/// B5: who signed, in what capacity, when and by whose word, where it stands, and what it is worth; success or failure always.
#[test]
fn b5_signatures_are_shown_with_time_place_and_verdict() {
    let (sender, recipient) = (opened(SENDER), opened(RECIPIENT));
    let (main, annex) = (sender.path("quyết định.pdf"), sender.path("phụ lục & 1.pdf"));
    fs::write(&main, "%PDF-1.7 nội dung").expect("written");
    fs::write(&annex, "%PDF-1.7 phụ lục").expect("written");
    let manifest = sender.path("quyet-dinh.manifest");
    let content = [
        "--subject",
        "V/v <nâng lương>",
        "--type",
        "QĐ",
        "--signer",
        "Nguyễn  Văn AN",
        "--position",
        "Phó Chủ tịch",
    ];
    let more =
        ["--capacity", "for-head", "--secrecy", "normal", "--pages", "4", "--out", &manifest, &main, &annex];
    sender.text(&[&["freeze"][..], &content, &more].concat());
    let signature = sign(&sender, &manifest);
    let number = ["--number", "12/QĐ-UBND", "--issued-on", "2025-06-10", "--signature", &signature];
    let sent = sender.json(&[&["send", "--to", "H02.18", "--manifest", &manifest][..], &number].concat());
    let document = sent["document"].as_str().expect("an id");
    carry(&sender, &recipient);
    let print = ["print", "signatures", document];
    for office in [&sender, &recipient] {
        let shown = office.json(&print);
        let (person, agency) = (block(&shown, "person"), block(&shown, "agency"));
        assert_eq!(
            (&person["capacity"], &person["position"], &person["name"], &person["remarks"]),
            (&"for-head".into(), &"Phó Chủ tịch".into(), &"Nguyễn Văn An".into(), &json!([]))
        );
        for signed in [person, agency] {
            let time = &signed["time"];
            let (text, iso) =
                (time["shown"].as_str().expect("a time"), time["iso"].as_str().expect("a time"));
            assert!(text.ends_with(" +07:00") && text.len() == "10/06/2025 07:00:00 +07:00".len(), "{text}");
            assert!(iso.ends_with("+07:00") && iso.as_bytes()[10] == b'T', "{iso}");
            // By courier no relay saw it: the time is somebody's word, and the page says whose.
            assert_eq!((&time["proven"], &signed["outcome"]), (&Value::Null, &"undetermined".into()));
            assert_eq!(time["proven_word"], "chưa có xác nhận nào về thời gian ký");
            assert!(
                signed["message"].as_str().is_some_and(|words| words.contains("chưa xác định")),
                "{signed}"
            );
            assert!(!signed["findings"].as_array().expect("findings").is_empty());
        }
        assert_eq!(
            (&person["time"]["word"], &agency["time"]["word"]),
            (&"theo người ký khai".into(), &"theo đồng hồ của cơ quan ký".into())
        );
        assert_eq!(agency["lines"], json!(["Ủy ban nhân dân xã số 1", agency["time"]["shown"]]));
        let annexed = block(&shown, "attachment");
        assert_eq!(annexed["lines"], json!(["12/QĐ-UBND", agency["time"]["shown"]]), "number, then time");
        assert_eq!((&annexed["attachment"]["n"], &annexed["remarks"]), (&2.into(), &json!([])));
        let page = office.text(&print);
        stands_alone(&page);
        holds(
            &page,
            &["V/v &lt;nâng lương&gt;", "phụ lục &amp; 1.pdf", "KT. (ký thay)", "Phó Chủ tịch", "12/QĐ-UBND"],
        );
        holds(
            &page,
            &["khoảng 1/3", "Giữa chức vụ và họ tên", "Góc trên, bên phải, trang đầu", "theo người ký khai"],
        );
        assert!(!page.contains("001099012345"), "the citizen number is shown: {page}");
    }
    holds(
        &recipient.text(&[&["--lang", "en"][..], &print].concat()),
        &["as the signer says", "about a third"],
    );
}

/// A document of the sender's office with this signature of an officer, as a relay saw it an hour later.
fn letter(seq: u64, prev: EventId, frozen: Manifest, signature: Vec<u8>) -> (VerifiedEvent, PackItem) {
    let issued = Some(Issue::given("7/BC-UBND".parse().expect("a number"), Day::in_vietnam(SIGNED)));
    let body =
        Body::Dispatch(Dispatch { issued, signatures: vec![signature.into()], ..Dispatch::unsigned(frozen) });
    let event = Event {
        office: office_id(SENDER),
        incarnation: Incarnation::FIRST,
        seq: Seq(seq),
        prev,
        claimed_at: SIGNED,
        kind: body.kind().expect("a known kind"),
        urgency: Urgency::Normal,
        to: vec![Addressee { office: office_id(RECIPIENT), counter: Counter(seq) }],
        seen: Vec::new(),
        blobs: Vec::new(),
        body: body.encode().expect("a known kind"),
        sealed: None,
        archive: None,
        content: None,
    };
    let event = seal(event, &key(SENDER)).expect("a sound event");
    let region = "p01".parse().expect("a region");
    let stamps = stamp(&region, SIGNED.plus(Millis::HOUR), &[event.id()], &stamp_key());
    let item = PackItem { stamps, ..PackItem::new(0, event.bytes()) };
    (event, item)
}

/// B5: each of the three outcomes, and bytes that are no signature, has its message; what a relay has seen is called proven, by when,
/// and stays apart from what the signer says.
#[test]
fn b5_every_outcome_is_said_and_proven_time_is_told_from_claimed_time() {
    let recipient = opened(RECIPIENT);
    let officer = SigningKey::from_bytes(&[0x5a; 32]);
    let certificate = Registrar::new().officer(officer.verifying_key().to_bytes(), 50, (BEGAN, ENDS));
    let sign = |content: &[u8]| {
        let preparation = Preparation::new(content, &certificate, SIGNED).expect("an officer");
        let signature = officer.sign(preparation.to_be_signed()).to_bytes();
        preparation.finish(&signature, &[]).expect("a signature")
    };
    let frozen = |n: u8| {
        let signer = Signer::head("Chủ tịch", "Nguyễn Văn An");
        let (document, issuer) = (DocumentId::new([n; 16]), office_id(SENDER));
        Manifest::new(document, issuer, DocumentType::Report, format!("V/v số {n}"), signer)
    };
    let sound = sign(&frozen(1).encode());
    let (first, valid) = letter(1, EventId::NONE, frozen(1), sound.clone());
    let (second, invalid) = letter(2, first.id(), frozen(2), sound);
    let (_, garbled) = letter(3, second.id(), frozen(3), b"no signature".to_vec());
    let file = recipient.path("seen.courier");
    let mut courier = CourierWriter::new(fs::File::create(&file).expect("a file")).expect("begun");
    courier.add(&Record::Pack(vec![valid, invalid, garbled])).expect("written");
    courier.finish().expect("written");
    recipient.text(&["courier", "import", &file]);

    let (claimed, proven) = ("10/06/2025 08:00:00 +07:00", "10/06/2025 09:00:00 +07:00");
    let said = |n: u8| {
        let id = DocumentId::new([n; 16]).to_string();
        let print = ["print", "signatures", &id];
        (recipient.json(&print), recipient.text(&print))
    };
    for (n, outcome, message) in [
        (1, json!("valid"), "Kiểm tra thành công: chữ ký số hợp lệ."),
        (2, json!("invalid"), "Kiểm tra không thành công: chữ ký số KHÔNG hợp lệ."),
        (3, json!("invalid"), "Kiểm tra không thành công: không đọc được chữ ký số."),
    ] {
        let (shown, page) = said(n);
        let (person, agency) = (block(&shown, "person"), block(&shown, "agency"));
        assert_eq!((&person["outcome"], &person["message"]), (&outcome, &json!(message)));
        assert_eq!((&agency["outcome"], &agency["time"]["proven"]), (&json!("valid"), &json!(proven)));
        assert_eq!(
            (&agency["time"]["shown"], &agency["time"]["iso"]),
            (&json!(claimed), &json!("2025-06-10T08:00:00+07:00"))
        );
        holds(&page, &[message, "trạm chuyển tiếp xác nhận chữ ký đã có trước lúc"]);
        match n {
            3 => assert_eq!((&person["time"], &person["lines"]), (&Value::Null, &json!([]))),
            _ => assert_eq!(person["time"]["word"], "theo người ký khai"),
        }
        let worth = if n == 1 { "as-original" } else { "for-reference" };
        assert_eq!(shown["legal_value"], worth);
    }
    // It turns out that the officer's key was stolen before: the same page says so from then on.
    let stolen = Revoked { serial: 50, at: Millis(1_600_000_000_000), why: Why::KeyCompromise };
    let list = Registrar::new().list(2, (SIGNED.plus(Millis::DAY), ENDS), &[stolen]);
    let file = recipient.path("newer.cbor");
    fs::write(&file, encode_items(&[list])).expect("written");
    recipient.text(&["registry", "import", &file]);
    let (shown, _) = said(1);
    assert_eq!(
        (&block(&shown, "person")["outcome"], &block(&shown, "agency")["outcome"]),
        (&json!("invalid"), &json!("valid"))
    );
}

/// B5: what is missing is said: no signature of the person, a signature of somebody else.
#[test]
fn b5_missing_signature_and_another_name_are_said() {
    let office = opened(SENDER);
    let unsigned = sent(&office, &["--reference-only", "--subject", "V/v thử"]);
    let shown = office.json(&["print", "signatures", &unsigned]);
    let person = block(&shown, "person");
    assert_eq!((&person["outcome"], &person["lines"]), (&Value::Null, &json!([])));
    holds(
        &office.text(&["print", "signatures", &unsigned]),
        &["Không có chữ ký số của người có thẩm quyền."],
    );

    let manifest = office.path("thu.manifest");
    office.text(&[&["freeze", "--subject", "V/v hai"][..], LETTER, &["--out", &manifest]].concat());
    let signature = sign(&office, &manifest);
    let send = ["send", "--to", "H02.18", "--manifest", &manifest, "--signature", &signature];
    let document = office.json(&send)["document"].as_str().expect("an id").to_owned();
    let shown = office.json(&["print", "signatures", &document]);
    let person = block(&shown, "person");
    assert_eq!((&person["name"], &person["capacity"]), (&"Nguyễn Văn An".into(), &Value::Null));
    holds(&person["remarks"].to_string(), &["khác tên người ký ghi trong văn bản"]);
    assert_eq!(refused(&office, &["print", "signatures", "00000000000000000000000000000001"]), "no-document");
}

/// B5: on a certified copy stand its form, the agency and the time, at the top of the first page; it needs no person's signature.
#[test]
fn b5_copy_shows_its_form_the_agency_and_the_time() {
    let office = opened(SENDER);
    let copy = sent(
        &office,
        &[
            "--copy",
            "TrS",
            "--subject",
            "V/v trích sao",
            "--number",
            "3/TrS-UBND",
            "--issued-on",
            "2025-06-10",
        ],
    );
    let shown = office.json(&["print", "signatures", &copy]);
    let block = block(&shown, "copy");
    assert_eq!(block["lines"], json!(["Trích sao", "Ủy ban nhân dân xã số 1", block["time"]["shown"]]));
    assert!(block["placement"].as_str().is_some_and(|words| words.contains("Times New Roman")), "{block}");
    let page = office.text(&["print", "signatures", &copy]);
    holds(&page, &["<p>Trích sao</p>", "không cần chữ ký của cá nhân"]);
    assert!(!page.contains("chỉ để biết, tham khảo"), "a copy is worth what its seal is worth: {page}");
}
