//! What people do with documents, and that both ends agree about it whatever crosses on its way.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::body::{Assignment, Deed, DocumentFact, Issue, PaperDocument, SlipPart};
use crate::document::{AmendKind, Amends, CopyForm};
use crate::handling::{
    Actor, BusinessKind, Direction, Fact as Told, Progress, Recipients, RefusalReason, Role, Side, Stage,
    Standing,
};
use crate::id::BusinessId;
use crate::time::Day;

const CLERK: Role = Role::Clerk;
const LEADER: Role = Role::Leader;
const OFFICER: Role = Role::Officer;

fn by(role: Role) -> Actor {
    Actor { name: "Lò Thị Mai".to_owned(), role }
}

fn arrival() -> Arrival {
    Arrival { from: ME, document: document(1) }
}

fn register() -> Work {
    Work::Register {
        arrival: arrival(), book: None, undetermined: Some("Đã hỏi qua điện thoại.".to_owned())
    }
}

/// The station says that it was restored and begins a new life.
fn restored(station: &mut Station) {
    let raised = sure(station.exchange.raise(&station.records, Incarnation::FIRST, 0, RestoreReason::Tool));
    for draft in &raised {
        station.record(draft, Millis(9));
    }
}

fn refuse() -> Work {
    Work::Refuse { arrival: arrival(), reason: RefusalReason::WrongAddressee, words: None }
}

fn assign() -> Work {
    assign_by(None)
}

fn assign_by(due: Option<Day>) -> Work {
    let assignment =
        Assignment {
            lead: "Công chức địa chính".to_owned(), with: Vec::new(), due, instruction: None
        };
    Work::Assign { arrival: arrival(), assignment }
}

fn asked(kind: BusinessKind, n: u8) -> Work {
    let (business, reason) = (BusinessId::new([n; 16]), "Sai số liệu".to_owned());
    Work::Ask { document: document(1), of: Vec::new(), kind, business, reason }
}

fn answer(agreed: bool) -> Work {
    Work::Answer { arrival: arrival(), agreed, words: None }
}

/// What a station answers to somebody, and the events that follow.
fn works(station: &mut Station, role: Role, work: Work) -> Result<Vec<VerifiedEvent>, WorkRefusal> {
    let command = Command::Work { by: by(role), work };
    match sure(decide(&station.exchange, &station.records, context(&directory()), &command)) {
        Ok(drafts) => Ok(drafts.iter().map(|draft| station.record(draft, Millis(5)).0).collect()),
        Err(Refusal::Work(refusal)) => Err(refusal),
        Err(other) => unreachable!("{other}"),
    }
}

/// Takes an event as a node takes it: gives its receipt, which says nothing about the document and is left out here, and
/// confirms a recall.
fn takes(station: &mut Station, event: &VerifiedEvent) -> Vec<VerifiedEvent> {
    let Reception::New = station.receive(event) else { return Vec::new() };
    let (me, from) = (station.exchange.me(), event.event().office);
    let (class, body) = Class::of_arrival(event.version(), event.event());
    station.take(class, event);
    let (places, stamps) = ([place_of(event, me)], std::collections::BTreeMap::new());
    for draft in sure(station.exchange.receipts(&station.records, from, &places, &stamps)) {
        station.record(&draft, Millis(5));
    }
    let mut answers = Vec::new();
    let about = match &body {
        Body::Dispatch(dispatch) => Some(dispatch.manifest.document),
        Body::BusinessRequest(asked) => Some(asked.document),
        _ => None,
    };
    let shown =
        |document| sure(station.records.incoming(&from, &document)).is_some_and(|row| row.ordinal.is_some());
    if let Some(document) = about.filter(|document| shown(*document)) {
        let drafts = sure(station.exchange.confirm_recalls(&station.records, from, document));
        answers.extend(drafts.iter().map(|draft| station.record(draft, Millis(5)).0));
    }
    answers
}

fn progress(station: &Station, with: OfficeId, side: Side) -> Progress {
    sure(station.records.case(&with, &document(1), side)).map(|case| case.progress).unwrap_or_default()
}

/// Two offices, and what is on its way between them.
#[derive(Clone)]
struct Pair {
    sender: Station,
    recipient: Station,
    there: Vec<VerifiedEvent>,
    back: Vec<VerifiedEvent>,
}

impl Pair {
    /// The document is on its way.
    fn new() -> Self {
        let mut sender = Station::new(ME);
        let (event, _) = sender.record(&draft(&[A], &Body::Dispatch(dispatch(ME, 1))), Millis(1));
        Self { sender, recipient: Station::new(A), there: vec![event], back: Vec::new() }
    }

    /// The document has arrived, and everything else too.
    fn arrived() -> Self {
        let mut pair = Self::new();
        pair.settle();
        pair
    }

    fn send(&mut self, role: Role, work: Work) -> Result<(), WorkRefusal> {
        self.there.extend(works(&mut self.sender, role, work)?);
        Ok(())
    }

    fn receive(&mut self, role: Role, work: Work) -> Result<(), WorkRefusal> {
        let events = works(&mut self.recipient, role, work)?;
        self.back.extend(events.into_iter().filter(|event| !event.event().to.is_empty()));
        Ok(())
    }

    fn deliver_there(&mut self, which: usize) {
        let event = self.there.remove(which);
        self.back.extend(takes(&mut self.recipient, &event));
    }

    fn deliver_back(&mut self, which: usize) {
        let event = self.back.remove(which);
        self.there.extend(takes(&mut self.sender, &event));
    }

    fn settle(&mut self) {
        while !self.there.is_empty() || !self.back.is_empty() {
            if self.there.is_empty() { self.deliver_back(0) } else { self.deliver_there(0) }
        }
    }

    fn at_sender(&self) -> Progress {
        progress(&self.sender, A, Side::Sender)
    }

    fn at_recipient(&self) -> Progress {
        progress(&self.recipient, ME, Side::Recipient)
    }

    /// What decides what may happen next, without ids and times.
    fn key(&self) -> String {
        let on_its_way = |events: &[VerifiedEvent]| -> Vec<(Vec<u8>, Counter)> {
            events.iter().map(|event| (event.event().body.clone(), event.event().to[0].counter)).collect()
        };
        format!(
            "{:?}{:?}{:?}{:?}",
            self.at_sender(),
            self.at_recipient(),
            on_its_way(&self.there),
            on_its_way(&self.back)
        )
    }
}

/// F1, F3, F4: accepted is registered with an arrival number, then assigned, begun, finished; each told to the sender once.
#[test]
fn f4_life_of_a_document_at_its_recipient() {
    let mut pair = Pair::arrived();
    for (role, work, stage) in [
        (CLERK, register(), Stage::Registered),
        (LEADER, assign(), Stage::Assigned),
        (OFFICER, Work::Start { arrival: arrival() }, Stage::InProgress),
        (OFFICER, Work::Finish { arrival: arrival() }, Stage::Finished),
    ] {
        pair.receive(role, work).expect("in order");
        pair.settle();
        assert_eq!(pair.at_sender().stage(), stage);
        assert_eq!(pair.at_sender(), pair.at_recipient());
    }
    assert_eq!(pair.at_sender().entry().map(ToString::to_string), Some("01".to_owned()));
    // Resending is safe: what is done is said, with its number, and nothing is recorded.
    let before = pair.recipient.hash();
    let again = pair.receive(CLERK, register());
    assert!(
        matches!(&again, Err(WorkRefusal::AlreadyRegistered { entry }) if entry.number == 1),
        "{again:?}"
    );
    for (role, work) in [(LEADER, assign()), (OFFICER, Work::Finish { arrival: arrival() })] {
        assert_eq!(pair.receive(role, work), Err(WorkRefusal::AlreadyFinished));
    }
    assert_eq!(pair.recipient.hash(), before);
    assert_eq!(pair.recipient.replayed().hash(), before);
}

#[test]
fn f4_second_assignment_stays_inside_and_second_start_is_refused() {
    let mut pair = Pair::arrived();
    pair.receive(CLERK, register()).expect("registered");
    pair.receive(LEADER, assign()).expect("assigned");
    let told = pair.back.len();
    pair.receive(LEADER, assign()).expect("assigned to somebody else");
    assert_eq!(pair.back.len(), told, "the sender knows that somebody works on it");
    pair.receive(OFFICER, Work::Start { arrival: arrival() }).expect("begun");
    assert_eq!(pair.receive(OFFICER, Work::Start { arrival: arrival() }), Err(WorkRefusal::AlreadyStarted));
}

/// F3, H3: an opinion is an event of its own that stays inside; whoever leads the office speaks as its leader, and nobody speaks
/// about what is not worked on.
#[test]
fn f3_opinion_stays_inside_and_is_for_the_role_whose_part_it_is() {
    let opine = |part, opinion: &str| Work::Opine { arrival: arrival(), part, opinion: opinion.to_owned() };
    let mut pair = Pair::arrived();
    let proposal = opine(SlipPart::Handler, "Đề xuất mời họp ngày 12.");
    assert_eq!(pair.receive(OFFICER, proposal.clone()), Err(WorkRefusal::NotRegistered));
    pair.receive(CLERK, register()).expect("registered");
    let (told, stage) = (pair.back.len(), progress(&pair.recipient, ME, Side::Recipient).stage());
    pair.receive(OFFICER, proposal.clone()).expect("recorded");
    pair.receive(LEADER, opine(SlipPart::AgencyLeader, "Đồng ý.")).expect("recorded");
    assert_eq!(pair.back.len(), told, "its sender learns nothing of it");
    assert_eq!(progress(&pair.recipient, ME, Side::Recipient).stage(), stage);
    for (role, part) in [(OFFICER, SlipPart::AgencyLeader), (CLERK, SlipPart::Handler)] {
        assert!(matches!(pair.receive(role, opine(part, "Đồng ý.")), Err(WorkRefusal::Role { .. })));
    }
    assert!(matches!(pair.receive(LEADER, opine(SlipPart::UnitLeader, " ")), Err(WorkRefusal::Text(_))));
    pair.receive(OFFICER, Work::Finish { arrival: arrival() }).expect("finished");
    assert_eq!(pair.receive(OFFICER, proposal), Err(WorkRefusal::AlreadyFinished));
    let replayed = pair.recipient.replayed();
    assert_eq!(pair.recipient.hash(), replayed.hash());
}

/// F5: one action returns what went to the wrong office; Decree 30/2020 article 22.1: what is not registered obliges nobody.
#[test]
fn f5_wrong_addressee_is_returned_with_one_action() {
    let mut pair = Pair::arrived();
    assert_eq!(pair.receive(LEADER, assign()), Err(WorkRefusal::NotRegistered));
    pair.receive(CLERK, refuse()).expect("returned");
    pair.settle();
    assert_eq!(pair.at_sender().refusal(), Some(&(RefusalReason::WrongAddressee, None)));
    assert_eq!(pair.receive(CLERK, register()), Err(WorkRefusal::AlreadyRefused));
    assert_eq!(pair.receive(LEADER, assign()), Err(WorkRefusal::AlreadyRefused));
    let used: Vec<_> = pair.recipient.exchange.books().used().collect();
    assert!(used.is_empty(), "a refused document uses no number: {used:?}");
}

/// F1: another reason than those listed is written down, and nobody can judge the signatures without saying why.
#[test]
fn f1_reasons_are_asked_for() {
    let mut pair = Pair::arrived();
    let other = |words: Option<&str>| Work::Refuse {
        arrival: arrival(),
        reason: RefusalReason::Other,
        words: words.map(str::to_owned),
    };
    for words in [None, Some("  ")] {
        let refused = pair.receive(CLERK, other(words));
        assert!(matches!(refused, Err(WorkRefusal::Text(_))), "{refused:?}");
    }
    let without = Work::Register { arrival: arrival(), book: None, undetermined: None };
    assert_eq!(pair.receive(CLERK, without), Err(WorkRefusal::Undetermined));
    pair.receive(CLERK, register()).expect("with a reason");
    let kept = pair.recipient.journal.iter().any(|(_, event)| {
        let body = Body::read(event.version(), event.event());
        matches!(body, Ok(Body::Act(act)) if matches!(act.deed, Deed::AcceptedUndetermined { .. }))
    });
    assert!(kept, "the reason is in the journal");
    let told =
        pair.back.iter().any(|event| event.event().body.windows(10).any(|part| part == b"i qua \xc4\x91i"));
    assert!(!told, "and stays there");
}

/// L3: everybody does their own work.
#[test]
fn l3_roles_do_their_own_work_only() {
    let ask = || asked(BusinessKind::TakeBack, 1);
    let (document, reason) = (document(1), "Lãnh đạo đổi ý".to_owned());
    let all: [(Work, &[Role]); 15] = [
        (drafted(letter(1)), &[OFFICER, CLERK, LEADER]),
        (Work::Approve { document }, &[LEADER]),
        (signed(1, "a signature"), &[LEADER]),
        (issued(1), &[CLERK]),
        (Work::Send { document }, &[CLERK]),
        (Work::Discard { document, reason: reason.clone() }, &[OFFICER, CLERK, LEADER]),
        (Work::CancelNumber { direction: Direction::Outgoing, book: None, reason }, &[CLERK]),
        (register(), &[CLERK]),
        (refuse(), &[CLERK]),
        (assign(), &[LEADER]),
        (Work::Start { arrival: arrival() }, &[OFFICER, LEADER]),
        (Work::Finish { arrival: arrival() }, &[OFFICER, LEADER]),
        (ask(), &[CLERK, LEADER]),
        (answer(true), &[CLERK, LEADER]),
        (
            Work::StateHighest { direction: Direction::Incoming, book: None, number: 3 },
            &[CLERK, Role::Administrator],
        ),
    ];
    for (work, wanted) in all {
        for role in Role::ALL {
            let refused = works(&mut Pair::arrived().recipient, role, work.clone());
            let by_role = matches!(refused, Err(WorkRefusal::Role { .. }));
            assert_eq!(by_role, !wanted.contains(&role), "{work:?} as {role:?}");
        }
    }
}

/// G1: a take-back waits for its answer; work goes on only after that.
#[test]
fn g1_take_back_is_answered_before_work_goes_on() {
    for agreed in [true, false] {
        let mut pair = Pair::arrived();
        pair.receive(CLERK, register()).expect("registered");
        pair.settle();
        pair.send(CLERK, asked(BusinessKind::TakeBack, 1)).expect("asked");
        assert_eq!(pair.send(CLERK, asked(BusinessKind::TakeBack, 2)), Err(WorkRefusal::NobodyLeft));
        pair.settle();
        assert_eq!(pair.at_sender().standing(), Standing::AskedBack);
        assert_eq!(pair.receive(LEADER, assign()), Err(WorkRefusal::AskedBack));
        pair.receive(CLERK, answer(agreed)).expect("answered");
        assert_eq!(pair.receive(CLERK, answer(!agreed)), Err(WorkRefusal::NothingAsked));
        pair.settle();
        let after = pair.receive(LEADER, assign());
        if agreed {
            assert_eq!(pair.at_sender().standing(), Standing::TakenBack);
            assert_eq!(after, Err(WorkRefusal::CountsNoMore { standing: Standing::TakenBack }));
        } else {
            assert_eq!(pair.at_sender().standing(), Standing::Current);
            assert_eq!(after, Ok(()));
        }
    }
}

/// G2: a recall needs nobody at the recipient; the line in the register stays.
#[test]
fn g2_recall_is_confirmed_by_the_station_and_the_line_stays() {
    let mut pair = Pair::arrived();
    pair.receive(CLERK, register()).expect("registered");
    pair.settle();
    pair.send(LEADER, asked(BusinessKind::Recall, 1)).expect("recalled");
    pair.settle();
    let progress = pair.at_sender();
    assert_eq!((progress.standing(), progress.stage()), (Standing::Recalled, Stage::Registered));
    assert_eq!(progress.unconfirmed_recalls().count(), 0, "the recipient said that it has cancelled it");
    assert_eq!(
        pair.receive(LEADER, assign()),
        Err(WorkRefusal::CountsNoMore { standing: Standing::Recalled })
    );
    assert_eq!(pair.recipient.records.lines().count(), 1);
}

/// H1, P9: one series, consecutive from 01, for paper and electronic documents; cancelled numbers are in it.
#[test]
fn h1_numbers_are_one_series() {
    let mut station = Station::new(A);
    let paper = || PaperDocument {
        author: "Điện lực Bắc Hà".to_owned(),
        code: "12/ĐL".to_owned(),
        issued_on: Day::from_days(20_240).expect("a day"),
        document_type: DocumentType::OfficialLetter,
        subject: "V/v cắt điện".to_owned(),
    };
    for _ in 0..3 {
        works(&mut station, CLERK, Work::RegisterPaper { book: None, paper: paper() }).expect("registered");
    }
    let cancel =
        Work::CancelNumber { direction: Direction::Incoming, book: None, reason: "Ghi nhầm".to_owned() };
    works(&mut station, CLERK, cancel).expect("cancelled");
    works(&mut station, CLERK, Work::RegisterPaper { book: None, paper: paper() }).expect("registered");
    let numbers: Vec<u32> = station.records.lines().map(|(_, line, _)| line.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let unknown = Work::RegisterPaper { book: Some("mat".parse().expect("a name")), paper: paper() };
    assert_eq!(works(&mut station, CLERK, unknown).err(), Some(WorkRefusal::UnknownBook));
    assert_eq!(station.replayed().hash(), station.hash());
}

/// F4: a deadline stays until a leader sets another one; that somebody else works on it now takes none away.
#[test]
fn f4_deadline_outlives_a_change_of_hands() {
    let mut pair = Pair::arrived();
    pair.receive(CLERK, register()).expect("registered");
    let due = |pair: &Pair| {
        let case = sure(pair.recipient.records.case(&arrival().from, &document(1), Side::Recipient));
        case.and_then(|case| case.due)
    };
    let [first, second] = ["2025-06-30", "2025-07-15"].map(|day| day.parse::<Day>().expect("a day"));
    pair.receive(LEADER, assign_by(Some(first))).expect("assigned");
    assert_eq!(due(&pair), Some(first));
    pair.receive(LEADER, assign()).expect("assigned");
    assert_eq!(due(&pair), Some(first));
    pair.receive(LEADER, assign_by(Some(second))).expect("assigned");
    assert_eq!(due(&pair), Some(second));
    assert_eq!(pair.recipient.replayed().hash(), pair.recipient.hash());
}

/// E7: after a restore no number is given until somebody has stated the highest of the printed register.
#[test]
fn e7_restored_station_gives_no_number_before_the_highest_is_stated() {
    let mut pair = Pair::arrived();
    restored(&mut pair.recipient);
    let doubtful = pair.receive(CLERK, register());
    assert!(matches!(doubtful, Err(WorkRefusal::BookDoubtful { highest: 0, .. })), "{doubtful:?}");
    let state = |number| Work::StateHighest { direction: Direction::Incoming, book: None, number };
    pair.receive(CLERK, state(14)).expect("stated");
    let again = pair.receive(CLERK, state(99));
    assert!(matches!(again, Err(WorkRefusal::BookInUse { highest: 14, .. })), "{again:?}");
    pair.receive(CLERK, register()).expect("registered");
    assert_eq!(pair.at_recipient().entry().map(|entry| entry.number), Some(15));
}

/// A number that a lost life gave and this one gave again is never silent.
#[test]
fn p9_number_given_by_two_lives_is_an_alarm() {
    let mut pair = Pair::arrived();
    let before = pair.recipient.clone();
    let lost = works(&mut pair.recipient, CLERK, register()).expect("registered");
    pair.recipient = before;
    restored(&mut pair.recipient);
    // Somebody states a highest number that is too low.
    let state = Work::StateHighest { direction: Direction::Incoming, book: None, number: 0 };
    pair.receive(CLERK, state).expect("stated");
    let cancel =
        Work::CancelNumber { direction: Direction::Incoming, book: None, reason: "Ghi nhầm".to_owned() };
    pair.receive(CLERK, cancel).expect("cancelled");
    let told = lost.iter().find(|event| event.event().kind == Kind::Status).expect("a status");
    pair.recipient.take(Class::Regained, told);
    let alarmed = pair.recipient.alarms.iter().any(|alarm| matches!(alarm, Alarm::NumberTwice { .. }));
    assert!(alarmed, "{:?}", pair.recipient.alarms);
    assert_eq!(pair.at_recipient().stage(), Stage::Registered, "its line is known again");
}

/// G3, G5: whatever the two offices do, in whatever order it is said and arrives, both know the same in the end, nothing went
/// backwards on the way, and every question is answered or waits for somebody.
///
/// Every state that can be reached is looked at.
#[test]
fn g3_every_interleaving_converges() {
    let sender = [asked(BusinessKind::TakeBack, 1), asked(BusinessKind::Recall, 2)];
    let recipient = [
        (CLERK, register()),
        (CLERK, refuse()),
        (LEADER, assign()),
        (CLERK, answer(true)),
        (CLERK, answer(false)),
        (OFFICER, Work::Finish { arrival: arrival() }),
    ];
    let mut seen = BTreeSet::new();
    let mut open = vec![Pair::new()];
    let mut ends = 0;
    while let Some(pair) = open.pop() {
        if !seen.insert(pair.key()) {
            continue;
        }
        let mut next = Vec::new();
        for work in &sender {
            let mut after = pair.clone();
            if after.send(CLERK, work.clone()).is_ok() {
                next.push(after);
            }
        }
        for (role, work) in &recipient {
            let mut after = pair.clone();
            if after.receive(*role, work.clone()).is_ok() {
                next.push(after);
            }
        }
        for which in 0..pair.there.len() {
            let mut after = pair.clone();
            after.deliver_there(which);
            next.push(after);
        }
        for which in 0..pair.back.len() {
            let mut after = pair.clone();
            after.deliver_back(which);
            next.push(after);
        }
        for after in &next {
            for (before, after) in
                [(pair.at_sender(), after.at_sender()), (pair.at_recipient(), after.at_recipient())]
            {
                assert!(before.stage() <= after.stage(), "{before:?} became {after:?}");
                assert!(before.asked().len() <= after.asked().len(), "{before:?} became {after:?}");
            }
        }
        if pair.there.is_empty() && pair.back.is_empty() {
            ends += 1;
            assert_eq!(pair.at_sender(), pair.at_recipient());
            assert_eq!(pair.at_recipient().unconfirmed_recalls().count(), 0, "a recall needs nobody");
        }
        open.extend(next);
    }
    assert!(seen.len() > 1_000 && ends > 20, "{} states, {ends} of them quiet", seen.len());
}

fn letter(n: u64) -> Manifest {
    let blob = BlobRef { hash: BlobHash::new([7; 32]), length: 9 };
    let main =
        Attachment { name: "công văn.pdf".to_owned(), media_type: "application/pdf".to_owned(), blob };
    Manifest { attachments: vec![main], ..dispatch(ME, n).manifest }
}

fn drafted(manifest: Manifest) -> Work {
    Work::Draft { manifest: Box::new(manifest), to: Recipients::Listed(vec![A]) }
}

fn signed(n: u64, signature: &str) -> Work {
    Work::Sign { document: document(n), signature: signature.as_bytes().to_vec().into() }
}

fn issued(n: u64) -> Work {
    Work::Issue { document: document(n), book: None, unit: Some("VP".to_owned()) }
}

/// The steps of the law, in their order.
fn steps(n: u64) -> [(Role, Work); 5] {
    [
        (OFFICER, drafted(letter(n))),
        (LEADER, Work::Approve { document: document(n) }),
        (LEADER, signed(n, "a signature")),
        (CLERK, issued(n)),
        (CLERK, Work::Send { document: document(n) }),
    ]
}

/// B1: drafted, approved, signed, numbered, sealed; each step out of turn is refused with the reason, and nothing is recorded.
#[test]
fn b1_order_of_signing_is_kept() {
    let mut station = Station::new(ME);
    for (done, (role, work)) in steps(1).into_iter().enumerate() {
        let before = station.hash();
        for (wrong, (role, work)) in steps(1).into_iter().enumerate() {
            // A draft may be changed, and its approval repeated by that, until somebody has signed; a second person may sign.
            let in_turn = wrong == done || done < 3 && wrong == 0 || done == 3 && wrong == 2;
            if !in_turn {
                let refused = works(&mut station, role, work);
                assert!(refused.is_err(), "step {wrong} after {done} steps was done");
            }
        }
        assert_eq!(station.hash(), before);
        works(&mut station, role, work).expect("in turn");
    }
    let row = station.records.sent_rows().next().expect("it was sent");
    assert_eq!((row.to, row.document), (A, Some(document(1))));
    assert_eq!(station.replayed().hash(), station.hash());
    let dispatch = station.journal.iter().find_map(|(_, event)| match Body::read(1, event.event()) {
        Ok(Body::Dispatch(dispatch)) => Some(dispatch),
        _ => None,
    });
    let dispatch = dispatch.expect("a document");
    assert_eq!(dispatch.number().as_deref(), Some("01/UBND-VP"));
    assert_eq!((dispatch.manifest, dispatch.signatures.len()), (letter(1), 1));
}

/// B2: after the first signature nothing of the content changes.
#[test]
fn b2_signed_content_is_fixed() {
    let mut station = Station::new(ME);
    for (role, work) in steps(1).into_iter().take(3) {
        works(&mut station, role, work).expect("in turn");
    }
    let other = Manifest { subject: "V/v khác".to_owned(), ..letter(1) };
    assert_eq!(works(&mut station, OFFICER, drafted(other)).err(), Some(WorkRefusal::ContentFixed));
    let again = works(&mut station, LEADER, signed(1, "a signature")).err();
    assert_eq!(again, Some(WorkRefusal::AlreadySigned));
    works(&mut station, LEADER, signed(1, "another one")).expect("a second person signs");
}

/// A changed draft is approved anew.
#[test]
fn changed_draft_loses_its_approval() {
    let mut station = Station::new(ME);
    for (role, work) in steps(1).into_iter().take(2) {
        works(&mut station, role, work).expect("in turn");
    }
    let other = Manifest { subject: "V/v khác".to_owned(), ..letter(1) };
    works(&mut station, OFFICER, drafted(other)).expect("nobody has signed it");
    assert_eq!(works(&mut station, LEADER, signed(1, "x")).err(), Some(WorkRefusal::NotApproved));
}

/// B4: without a main file there is no number. A certified copy needs no person's signature.
#[test]
fn b4_main_file_is_required_and_a_copy_needs_no_signature() {
    let mut station = Station::new(ME);
    let bare = Manifest { attachments: Vec::new(), ..letter(1) };
    works(&mut station, OFFICER, drafted(bare)).expect("drafted");
    for (role, work) in steps(1).into_iter().skip(1).take(2) {
        works(&mut station, role, work).expect("in turn");
    }
    assert_eq!(works(&mut station, CLERK, issued(1)).err(), Some(WorkRefusal::NoMainFile));
    let copy = Manifest { copy: Some(CopyForm::Full), ..letter(2) };
    works(&mut station, CLERK, drafted(copy)).expect("drafted");
    works(&mut station, LEADER, Work::Approve { document: document(2) }).expect("approved");
    works(&mut station, CLERK, issued(2)).expect("numbered without a person's signature");
    let numbered = sure(station.records.drafted(&document(2))).and_then(|row| row.issued);
    assert_eq!(numbered.map(|issue| issue.code.to_string()).as_deref(), Some("01/SY-UBND"));
}

/// H1: outgoing numbers are a series of their own, and a document that is given up keeps its number, cancelled.
#[test]
fn h1_outgoing_numbers_are_consecutive_and_stay() {
    let mut station = Station::new(ME);
    for n in 1..=3 {
        for (role, work) in steps(n).into_iter().take(4) {
            works(&mut station, role, work).expect("in turn");
        }
    }
    let give_up = Work::Discard { document: document(2), reason: "Lãnh đạo đổi ý".to_owned() };
    works(&mut station, CLERK, give_up).expect("given up");
    let send = |n| Work::Send { document: document(n) };
    assert_eq!(works(&mut station, CLERK, send(2)).err(), Some(WorkRefusal::AlreadyDiscarded));
    works(&mut station, CLERK, send(1)).expect("sent");
    let numbers: Vec<u32> = station.records.lines().map(|(_, line, _)| line.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert!(station.alarms.is_empty(), "{:?}", station.alarms);
    assert_eq!(station.replayed().hash(), station.hash());
}

/// B9: one number, symbol and year go to one recipient once, unless the later document updates or replaces the earlier one; the
/// recipient accepts it once.
#[test]
fn b9_same_number_is_blocked_at_both_ends() {
    let numbered = |n, code: &str, amends| {
        let issued =
            Some(Issue::given(code.parse().expect("a code"), Day::from_days(20_250).expect("a day")));
        let manifest = Manifest { amends, ..dispatch(ME, n).manifest };
        Dispatch { manifest, issued, signatures: Vec::new() }
    };
    let replaces =
        Amends { document: document(1), how: AmendKind::Replace, reason: "Sai số liệu".to_owned() };
    let mut pair = Pair::arrived();
    let send = |pair: &mut Pair, dispatch: Dispatch| {
        let command = Command::Dispatch { to: vec![A], dispatch: Box::new(dispatch), reference_only: true };
        let decided =
            sure(decide(&pair.sender.exchange, &pair.sender.records, context(&directory()), &command));
        decided.map(|drafts| {
            let sent = drafts.iter().map(|draft| pair.sender.record(draft, Millis(5)).0);
            pair.there.extend(sent);
        })
    };
    send(&mut pair, numbered(10, "15/BC-UBND", None)).expect("the first");
    let again = send(&mut pair, numbered(11, "15/Bc-uBND", None));
    assert!(matches!(again, Err(Refusal::SameNumber { other, .. }) if other == document(10)), "{again:?}");
    let amends = Some(Amends { document: document(10), ..replaces });
    send(&mut pair, numbered(12, "15/BC-UBND", amends)).expect("it replaces the first");
    // A sender that does not block it: its second one is not accepted beside the first.
    let body = Body::Dispatch(numbered(13, "15/BC-UBND", None));
    let (event, _) = pair.sender.record(&draft(&[A], &body), Millis(6));
    pair.there.push(event);
    pair.settle();
    let accept = |n| Work::Register {
        arrival: Arrival { from: ME, document: document(n) },
        book: None,
        undetermined: Some("Đã hỏi.".to_owned()),
    };
    let replaced = pair.receive(CLERK, accept(10));
    assert_eq!(replaced, Err(WorkRefusal::CountsNoMore { standing: Standing::Replaced }));
    pair.receive(CLERK, accept(12)).expect("what replaced it");
    assert_eq!(pair.receive(CLERK, accept(13)), Err(WorkRefusal::SameNumber { other: document(12) }));
}

/// G4: a replaced document counts no more at both ends; an update waits for the recipient's answer.
#[test]
fn g4_update_is_answered_and_replacement_is_not() {
    for (how, agreed) in
        [(AmendKind::Replace, None), (AmendKind::Update, Some(true)), (AmendKind::Update, Some(false))]
    {
        let mut pair = Pair::arrived();
        pair.receive(CLERK, register()).expect("registered");
        let amends = Some(Amends { document: document(1), how, reason: "Sai phụ lục".to_owned() });
        let manifest = Manifest { amends, ..dispatch(ME, 2).manifest };
        let (event, _) =
            pair.sender.record(&draft(&[A], &Body::Dispatch(Dispatch::unsigned(manifest))), Millis(5));
        pair.there.push(event);
        pair.settle();
        if let Some(agreed) = agreed {
            assert_eq!(pair.at_sender().standing(), Standing::Current, "nobody has answered");
            pair.receive(CLERK, answer(agreed)).expect("answered");
            pair.settle();
        }
        let standing = if agreed == Some(false) { Standing::Current } else { Standing::Replaced };
        assert_eq!((pair.at_sender().standing(), pair.at_recipient().standing()), (standing, standing));
        assert_eq!(pair.at_sender(), pair.at_recipient());
    }
}

/// B8: an office sends what it is entitled to, to whom it is entitled.
#[test]
fn b8_authority_is_asked_before_anything_is_recorded() {
    let station = Station::new(ME);
    let directory = directory();
    let decided = |rules: &Rules| {
        let context = Context { rules, ..context(&directory) };
        let command =
            Command::Dispatch { to: vec![A], dispatch: Box::new(dispatch(ME, 1)), reference_only: true };
        sure(decide(&station.exchange, &station.records, context, &command)).err()
    };
    let report = Rules { types: [DocumentType::Report].into(), ..Rules::default() };
    let letter = WorkRefusal::TypeNotAllowed { document_type: DocumentType::OfficialLetter };
    assert_eq!(decided(&report), Some(Refusal::Work(letter)));
    let only_b = Rules { recipients: [B].into(), ..Rules::default() };
    assert_eq!(decided(&only_b), Some(Refusal::RecipientNotAllowed { office: A }));
    let both =
        Rules { recipients: [A, B].into(), types: [DocumentType::OfficialLetter].into(), ..Rules::default() };
    assert_eq!(decided(&both), None);
}

/// B1: the office seals nothing that no person has signed, unless it is said to be for knowing only.
#[test]
fn b1_unsigned_document_is_not_sealed() {
    let station = Station::new(ME);
    let directory = directory();
    let decided = |reference_only| {
        let command = Command::Dispatch { to: vec![A], dispatch: Box::new(dispatch(ME, 1)), reference_only };
        sure(decide(&station.exchange, &station.records, context(&directory), &command)).err()
    };
    assert_eq!(decided(false), Some(Refusal::Unsigned));
    assert_eq!(decided(true), None);
}

/// What one recipient says, true or not, is in nobody else's way: whoever was recalled already is left out.
#[test]
fn g2_recall_of_everybody_leaves_out_those_who_have_it_no_more() {
    let mut station = Station::new(ME);
    station.record(&draft(&[A, B], &Body::Dispatch(dispatch(ME, 1))), Millis(1));
    let recall = |of: &[OfficeId], n| Work::Ask {
        document: document(1),
        of: of.to_vec(),
        kind: BusinessKind::Recall,
        business: BusinessId::new([n; 16]),
        reason: "Sai số liệu".to_owned(),
    };
    // A answers a recall that nobody has made.
    let (business, kind) = (BusinessId::new([9; 16]), BusinessKind::Recall);
    let fact = Told::Answered { business, kind, agreed: true, words: None };
    let told = DocumentFact { document: document(1), fact, by: None };
    station.take(Class::Received, &from_a(0, 1, &Body::Status(Status::Document(told))));
    assert_eq!(progress(&station, A, Side::Sender).standing(), Standing::Current);
    works(&mut station, CLERK, recall(&[A], 1)).expect("from A alone");
    let rest = works(&mut station, CLERK, recall(&[], 2)).expect("from everybody who has it");
    let to: Vec<OfficeId> = rest.iter().flat_map(|event| &event.event().to).map(|to| to.office).collect();
    assert_eq!(to, [B]);
    assert_eq!(works(&mut station, CLERK, recall(&[], 3)).err(), Some(WorkRefusal::NobodyLeft));
}

/// One document leaves through one door.
#[test]
fn b1_document_that_was_sent_gets_no_number() {
    let mut station = Station::new(ME);
    for (role, work) in steps(1).into_iter().take(3) {
        works(&mut station, role, work).expect("in turn");
    }
    let other_door = draft(&[A], &Body::Dispatch(Dispatch::unsigned(letter(1))));
    station.record(&other_door, Millis(7));
    assert_eq!(works(&mut station, CLERK, issued(1)).err(), Some(WorkRefusal::AlreadySent));
    let known = sure(station.records.drafted(&document(1))).map(|row| row.stage);
    assert_eq!(known, Some(crate::handling::DraftStage::Sent));
}

/// A lost life had sent a document under a number that this life does not know.
#[test]
fn document_with_two_numbers_is_an_alarm() {
    let mut station = Station::new(ME);
    for (role, work) in steps(1).into_iter().take(3) {
        works(&mut station, role, work).expect("in turn");
    }
    let mut lost = station.clone();
    for _ in 0..4 {
        let cancel =
            Work::CancelNumber {
                direction: Direction::Outgoing, book: None, reason: "Ghi nhầm".to_owned()
            };
        works(&mut lost, CLERK, cancel).expect("cancelled");
    }
    works(&mut lost, CLERK, issued(1)).expect("numbered 5");
    let sent = works(&mut lost, CLERK, Work::Send { document: document(1) }).expect("sent");
    restored(&mut station);
    let state = Work::StateHighest { direction: Direction::Outgoing, book: None, number: 5 };
    works(&mut station, CLERK, state).expect("stated");
    works(&mut station, CLERK, issued(1)).expect("numbered 6");
    station.take(Class::Regained, &sent[0]);
    let alarmed = station.alarms.iter().any(|alarm| matches!(alarm, Alarm::TwoNumbers { .. }));
    assert!(alarmed, "{:?}", station.alarms);
    assert_eq!(
        works(&mut station, CLERK, Work::Send { document: document(1) }).err(),
        Some(WorkRefusal::AlreadySent)
    );
}

/// What nobody could send uses no number.
#[test]
fn b1_impossible_recipient_is_refused_before_anybody_signs() {
    let mut station = Station::new(ME);
    let to = |office| Work::Draft { manifest: Box::new(letter(1)), to: Recipients::Listed(vec![office]) };
    for (office, expected) in
        [(ME, Refusal::ToItself), (STRANGER, Refusal::UnknownRecipient { office: STRANGER, directory: 1 })]
    {
        let command = Command::Work { by: by(OFFICER), work: to(office) };
        let refused = sure(decide(&station.exchange, &station.records, context(&directory()), &command));
        assert_eq!(refused, Err(expected));
    }
    let amends = Some(Amends { document: document(9), how: AmendKind::Replace, reason: "Sai".to_owned() });
    let of_nothing = drafted(Manifest { amends, ..letter(1) });
    let refused = works(&mut station, OFFICER, of_nothing).err();
    assert_eq!(refused, Some(WorkRefusal::NotSent { document: document(9) }));
}

fn fact() -> impl Strategy<Value = Told> {
    let entry =
        |number| crate::handling::Entry { book: "den".parse().expect("a register"), year: 2025, number };
    let day = Day::from_days(20_240).expect("a day");
    let kind = prop::sample::select(vec![
        BusinessKind::TakeBack,
        BusinessKind::Update,
        BusinessKind::Replace,
        BusinessKind::Recall,
    ]);
    let business = (0_u8..12).prop_map(|n| BusinessId::new([n; 16]));
    prop_oneof![
        Just(Told::Refused { reason: RefusalReason::Incomplete, words: None }),
        Just(Told::Refused { reason: RefusalReason::Other, words: Some("khác".to_owned()) }),
        (1_u32..8).prop_map(move |number| Told::Registered { entry: entry(number), on: day }),
        Just(Told::Assigned),
        Just(Told::Started),
        Just(Told::Finished),
        (business.clone(), kind.clone(), "[a-c]").prop_map(|(business, kind, reason)| Told::Asked {
            business,
            kind,
            reason
        }),
        (business, kind, any::<bool>()).prop_map(|(business, kind, agreed)| Told::Answered {
            business,
            kind,
            agreed,
            words: None
        }),
    ]
}

proptest! {
    /// Whatever is said, in any order and any number of times: the same is known, and on the way there nothing went back.
    #[test]
    fn progress_is_a_join_of_what_was_said(
        facts in prop::collection::vec(fact(), 0..24),
        (order, repeats) in (any::<prop::sample::Index>(), prop::collection::vec(any::<prop::sample::Index>(), 0..12)),
    ) {
        let known = |facts: &[&Told]| {
            let mut progress = Progress::default();
            for fact in facts {
                let before = progress.stage();
                let _ = progress.take(fact);
                assert!(before <= progress.stage());
            }
            progress
        };
        let straight: Vec<&Told> = facts.iter().collect();
        let mut shuffled: Vec<&Told> = facts.iter().rev().collect();
        if !shuffled.is_empty() {
            let at = order.index(shuffled.len());
            shuffled.rotate_left(at);
            let again: Vec<&Told> = repeats.iter().map(|index| shuffled[index.index(shuffled.len())]).collect();
            shuffled.extend(again);
        }
        prop_assert_eq!(known(&straight), known(&shuffled));
    }
}
