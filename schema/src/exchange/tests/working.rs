//! What people do with documents, and that both ends agree about it whatever crosses on its way.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::body::{Act, Assignment, Deed, DocumentFact, Issue, IssuedPaper, PaperDocument, SlipPart};
use crate::document::{AmendKind, Amends, CopyForm, Reference};
use crate::handling::{
    Actor, BusinessKind, Direction, Fact as Told, PersonRow, Progress, REQUESTS_MAX, Recipients,
    RefusalReason, Role, STEPS_MAX, Side, Stage, Standing,
};
use crate::id::{BusinessId, WorkId};
use crate::time::Day;

pub(super) const CLERK: Role = Role::Clerk;
pub(super) const LEADER: Role = Role::Leader;
const OFFICER: Role = Role::Officer;

fn by(role: Role) -> Actor {
    Actor { name: "Lò Thị Mai".to_owned(), role }
}

fn arrival() -> Arrival {
    Arrival { from: ME, document: document(1) }
}

pub(super) fn register() -> Work {
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

pub(super) fn assign() -> Work {
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
pub(super) fn works(
    station: &mut Station,
    role: Role,
    work: Work,
) -> Result<Vec<VerifiedEvent>, WorkRefusal> {
    commanded(station, &Command::Work { by: by(role), work })
}

fn commanded(station: &mut Station, command: &Command) -> Result<Vec<VerifiedEvent>, WorkRefusal> {
    match sure(decide(&station.exchange, &station.records, context(&directory()), command)) {
        Ok(drafts) => Ok(drafts.iter().map(|draft| station.record(draft, Millis(5)).0).collect()),
        Err(Refusal::Work(refusal)) => Err(refusal),
        Err(other) => unreachable!("{other}"),
    }
}

/// Document `n`, which amends document `earlier`, goes to these offices.
fn amending(n: u64, earlier: u64, how: AmendKind, to: &[OfficeId]) -> Command {
    let amends = Some(Amends { document: document(earlier), how, reason: "Sai phụ lục".to_owned() });
    let manifest = Manifest { amends, ..dispatch(ME, n).manifest };
    let dispatch = Box::new(Dispatch::unsigned(manifest));
    Command::Dispatch { by: None, to: to.to_vec(), dispatch, reference_only: true }
}

/// Takes an event as a node takes it: gives its receipt, which says nothing about the document and is left out here, and
/// confirms a recall.
fn takes(station: &mut Station, event: &VerifiedEvent) -> Vec<VerifiedEvent> {
    let Reception::New = station.receive(event) else { return Vec::new() };
    let (me, from) = (station.exchange.me(), event.event().office);
    let (class, body) = Class::of_arrival(event.version(), event.event());
    station.take(class, event);
    if !event.event().kind.wants_receipt() {
        return Vec::new();
    }
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
    progress_of(station, with, side, 1)
}

fn progress_of(station: &Station, with: OfficeId, side: Side, n: u64) -> Progress {
    sure(station.records.case(&with, &document(n), side)).map(|case| case.progress).unwrap_or_default()
}

/// Two offices, and what is on its way between them.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) sender: Station,
    pub(super) recipient: Station,
    there: Vec<VerifiedEvent>,
    back: Vec<VerifiedEvent>,
}

impl Pair {
    /// The document is on its way.
    pub(super) fn new() -> Self {
        let mut sender = Station::new(ME);
        let (event, _) = sender.record(&draft(&[A], &Body::Dispatch(dispatch(ME, 1))), Millis(1));
        Self { sender, recipient: Station::new(A), there: vec![event], back: Vec::new() }
    }

    /// The document has arrived, and everything else too.
    pub(super) fn arrived() -> Self {
        let mut pair = Self::new();
        pair.settle();
        pair
    }

    pub(super) fn send(&mut self, role: Role, work: Work) -> Result<(), WorkRefusal> {
        self.there.extend(works(&mut self.sender, role, work)?);
        Ok(())
    }

    pub(super) fn receive(&mut self, role: Role, work: Work) -> Result<(), WorkRefusal> {
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

    pub(super) fn settle(&mut self) {
        while !self.there.is_empty() || !self.back.is_empty() {
            if self.there.is_empty() { self.deliver_back(0) } else { self.deliver_there(0) }
        }
    }

    /// As [`Pair::settle`], with the receipts too: without them, later documents wait for their turn.
    pub(super) fn caught_up(&self) -> Self {
        let mut pair = self.clone();
        loop {
            let before = pair.sender.journal.len() + pair.recipient.journal.len();
            let own = |station: &Station, to: OfficeId| -> Vec<VerifiedEvent> {
                let own = station.journal.iter().filter(|(class, _)| *class == Class::Own);
                let told = own.filter(|(_, event)| event.event().counter_for(&to).is_some());
                told.map(|(_, event)| event.clone()).collect()
            };
            for event in own(&pair.sender, A) {
                takes(&mut pair.recipient, &event);
            }
            for event in own(&pair.recipient, ME) {
                takes(&mut pair.sender, &event);
            }
            if pair.sender.journal.len() + pair.recipient.journal.len() == before {
                return pair;
            }
        }
    }

    fn at_sender(&self) -> Progress {
        progress(&self.sender, A, Side::Sender)
    }

    fn at_recipient(&self) -> Progress {
        progress(&self.recipient, ME, Side::Recipient)
    }

    /// What both ends know of the documents that are in play here.
    fn known(&self) -> impl Iterator<Item = (Progress, Progress)> {
        (1..=3).map(|n| {
            let at_sender = progress_of(&self.sender, A, Side::Sender, n);
            (at_sender, progress_of(&self.recipient, ME, Side::Recipient, n))
        })
    }

    /// What decides what may happen next, without ids and times.
    fn key(&self) -> [u8; 32] {
        let on_its_way = |events: &[VerifiedEvent]| -> Vec<(Vec<u8>, Counter)> {
            events.iter().map(|event| (event.event().body.clone(), event.event().to[0].counter)).collect()
        };
        let here: Vec<(Progress, Progress)> = self.known().collect();
        let key = minicbor::to_vec((here, on_its_way(&self.there), on_its_way(&self.back)));
        Sha256::digest(key.expect("writing to memory")).into()
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
        (Work::Discard { document, reason }, &[OFFICER, CLERK, LEADER]),
        (cancelled(1, Direction::Outgoing), &[CLERK]),
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

fn letter_on_paper() -> PaperDocument {
    PaperDocument {
        author: "Điện lực Bắc Hà".to_owned(),
        code: "12/ĐL".to_owned(),
        issued_on: Day::from_days(20_240).expect("a day"),
        document_type: DocumentType::OfficialLetter,
        subject: "V/v cắt điện".to_owned(),
    }
}

fn on_paper(n: u8) -> Work {
    Work::RegisterPaper { id: WorkId::new([n; 16]), book: None, paper: letter_on_paper() }
}

fn cancelled(n: u8, direction: Direction) -> Work {
    Work::CancelNumber { id: WorkId::new([n; 16]), direction, book: None, reason: "Ghi nhầm".to_owned() }
}

/// H1, P9: one series, consecutive from 01, for paper and electronic documents; cancelled numbers are in it.
#[test]
fn h1_numbers_are_one_series() {
    let mut station = Station::new(A);
    for n in 1..=3 {
        works(&mut station, CLERK, on_paper(n)).expect("registered");
    }
    works(&mut station, CLERK, cancelled(4, Direction::Incoming)).expect("cancelled");
    works(&mut station, CLERK, on_paper(5)).expect("registered");
    let numbers: Vec<u32> = station.records.lines().map(|(_, line, _)| line.number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let unknown = Work::RegisterPaper {
        id: WorkId::new([6; 16]),
        book: Some("mat".parse().expect("a name")),
        paper: letter_on_paper(),
    };
    assert_eq!(works(&mut station, CLERK, unknown).err(), Some(WorkRefusal::UnknownBook));
    assert_eq!(station.replayed().hash(), station.hash());
}

fn issued_on_paper() -> IssuedPaper {
    IssuedPaper {
        document_type: DocumentType::Decision,
        subject: "V/v phê duyệt dự toán".to_owned(),
        signer: "Vàng A Sáng, Chủ tịch".to_owned(),
        recipient_lines: vec!["Như Điều 3".to_owned(), "Lưu: VT".to_owned()],
        copies: 5,
        kept_by: Some("Văn phòng".to_owned()),
        unit: None,
    }
}

fn issue_paper(n: u8, paper: IssuedPaper) -> Work {
    Work::IssuePaper { id: WorkId::new([n; 16]), book: None, paper: Box::new(paper) }
}

/// What numbers a station has given to its outgoing documents, in the order of its journal.
fn codes(station: &Station) -> Vec<String> {
    let issued = station.journal.iter().filter_map(|(_, event)| match Body::read(1, event.event()) {
        Ok(Body::Act(Act { deed: Deed::Issued { issue, .. } | Deed::PaperIssued { issue, .. }, .. })) => {
            Some(issue.code.to_string())
        }
        _ => None,
    });
    issued.collect()
}

/// H1, B2: what the office issues on paper takes the next number of the series in which electronic documents stand, with the symbol
/// of its type; asked for again it is the same number, after a restore too.
#[test]
fn h1_outgoing_paper_and_electronic_documents_are_one_series() {
    let mut station = Station::new(ME);
    works(&mut station, CLERK, issue_paper(1, issued_on_paper())).expect("numbered");
    for (role, work) in steps(1) {
        works(&mut station, role, work).expect("in order");
    }
    let letter = IssuedPaper { document_type: DocumentType::OfficialLetter, ..issued_on_paper() };
    let unit = IssuedPaper { unit: Some("VP".to_owned()), ..letter.clone() };
    works(&mut station, CLERK, issue_paper(3, unit.clone())).expect("numbered");
    let written = codes(&station);
    assert_eq!(
        written.iter().map(String::as_str).collect::<Vec<_>>(),
        ["01/QĐ-UBND", "02/UBND-VP", "03/UBND-VP"]
    );
    for restore in [false, true] {
        if restore {
            restored(&mut station);
        }
        let before = station.hash();
        let again = works(&mut station, CLERK, issue_paper(3, unit.clone())).err();
        assert!(
            matches!(&again, Some(WorkRefusal::DoneBefore { line, .. }) if line.number == 3),
            "{again:?}"
        );
        let other = works(&mut station, CLERK, issue_paper(3, letter.clone())).err();
        assert!(matches!(&other, Some(WorkRefusal::OtherWork { line }) if line.number == 3), "{other:?}");
        assert_eq!(station.hash(), before);
    }
    let doubtful = works(&mut station, CLERK, issue_paper(4, letter)).err();
    assert!(matches!(doubtful, Some(WorkRefusal::BookDoubtful { .. })), "{doubtful:?}");
    assert_eq!(station.replayed().hash(), station.hash());
}

/// What a register could not print is refused, and uses no number.
#[test]
fn h1_outgoing_paper_that_says_nothing_gets_no_number() {
    let mut station = Station::new(ME);
    let sound = issued_on_paper();
    for bad in [
        IssuedPaper { subject: " ".to_owned(), ..sound.clone() },
        IssuedPaper { signer: String::new(), ..sound.clone() },
        IssuedPaper { copies: 0, ..sound.clone() },
        IssuedPaper { kept_by: Some(String::new()), ..sound.clone() },
        IssuedPaper { unit: Some("a\u{202e}b".to_owned()), ..sound.clone() },
        IssuedPaper { recipient_lines: vec!["Lưu: VT".to_owned(); 65], ..sound.clone() },
    ] {
        let refused = works(&mut station, CLERK, issue_paper(1, bad.clone())).err();
        assert!(
            matches!(refused, Some(WorkRefusal::Text(_) | WorkRefusal::NoSymbol { .. })),
            "{bad:?}: {refused:?}"
        );
    }
    let no_clerk = works(&mut station, OFFICER, issue_paper(1, sound.clone())).err();
    assert!(matches!(no_clerk, Some(WorkRefusal::Role { .. })), "{no_clerk:?}");
    set(&mut station, person(&by(CLERK).name, &[CLERK], &[DocumentType::Report], &[]));
    let beyond = works(&mut station, CLERK, issue_paper(1, sound)).err();
    assert!(matches!(beyond, Some(WorkRefusal::TypeNotYours { .. })), "{beyond:?}");
    assert_eq!(station.records.lines().count(), 0);
}

/// H1: whoever has had no answer and asks again gets the same number, after a restore too; other work under the same id gets
/// none.
#[test]
fn h1_work_that_is_asked_for_again_uses_no_second_number() {
    let mut station = Station::new(A);
    works(&mut station, CLERK, on_paper(1)).expect("registered");
    works(&mut station, CLERK, cancelled(2, Direction::Outgoing)).expect("cancelled");
    let (paper, number) =
        (station.hash(), |refused: Result<Vec<VerifiedEvent>, WorkRefusal>| match refused {
            Err(WorkRefusal::DoneBefore { line, .. }) => Some((line.book.to_string(), line.number)),
            _ => None,
        });
    let again = |station: &mut Station, work| number(works(station, CLERK, work));
    for restore in [false, true] {
        if restore {
            restored(&mut station);
        }
        assert_eq!(again(&mut station, on_paper(1)), Some(("den".to_owned(), 1)));
        assert_eq!(again(&mut station, cancelled(2, Direction::Outgoing)), Some(("di".to_owned(), 1)));
        let named = |book: &str| Work::RegisterPaper {
            id: WorkId::new([1; 16]),
            book: Some(book.parse().expect("a name")),
            paper: letter_on_paper(),
        };
        assert_eq!(again(&mut station, named("den")), Some(("den".to_owned(), 1)));
        let other = PaperDocument { subject: "V/v khác".to_owned(), ..letter_on_paper() };
        for work in [
            Work::RegisterPaper { id: WorkId::new([1; 16]), book: None, paper: other },
            Work::RegisterPaper { id: WorkId::new([2; 16]), book: None, paper: letter_on_paper() },
            named("mat"),
            cancelled(1, Direction::Incoming),
            cancelled(2, Direction::Incoming),
        ] {
            let refused = works(&mut station, CLERK, work.clone());
            assert!(matches!(refused, Err(WorkRefusal::OtherWork { .. })), "{work:?}: {refused:?}");
        }
        if !restore {
            assert_eq!(station.hash(), paper, "nothing was recorded");
        }
        station = station.replayed();
    }
    assert_eq!(station.records.lines().count(), 2);
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

/// F2: that an answer has come is a join, however it names what it answers. Where the document was lost, the answer may be here
/// first.
#[test]
fn f2_answer_counts_whichever_of_the_two_is_known_first() {
    let wanted: Day = "2025-06-30".parse().expect("a day");
    let issue = Issue::given("47/UBND-VP".parse().expect("a code"), "2025-06-05".parse().expect("a day"));
    let mut asks = dispatch(ME, 1);
    (asks.manifest.due, asks.issued) = (Some(wanted), Some(issue.clone()));
    let asks = draft(&[A], &Body::Dispatch(asks));
    let answer = |document| {
        let mut answer = dispatch(A, 2);
        let Issue { code: number, on: issued_on, .. } = issue.clone();
        answer.manifest.responds_to = vec![Reference { issuer: ME, number, issued_on, document }];
        Station::new(A).record(&draft(&[ME], &Body::Dispatch(answer)), Millis(1)).0
    };
    let open = |station: &Station| {
        let case = sure(station.records.case(&A, &document(1), Side::Sender));
        case.and_then(|case| case.open_due())
    };
    for by_id in [Some(document(1)), None] {
        let mut station = Station::new(ME);
        station.record(&asks, Millis(1));
        assert_eq!(open(&station), Some(wanted));
        takes(&mut station, &answer(by_id));
        assert_eq!(open(&station), None, "by its id: {}", by_id.is_some());
        assert_eq!(station.replayed().hash(), station.hash());
    }
    let mut station = Station::new(ME);
    takes(&mut station, &answer(Some(document(1))));
    station.record(&asks, Millis(1));
    assert_eq!(open(&station), None, "the answer was here first");

    // Here it is due until it is answered, or until a leader names another day.
    let mut here = Station::new(A);
    let asked = Station::new(ME).record(&asks, Millis(1)).0;
    takes(&mut here, &asked);
    let due = |here: &Station| {
        sure(here.records.case(&ME, &document(1), Side::Recipient)).and_then(|case| case.open_due())
    };
    assert_eq!(due(&here), Some(wanted));
    let mut answer = dispatch(A, 2);
    let Issue { code: number, on: issued_on, .. } = issue;
    answer.manifest.responds_to =
        vec![Reference { issuer: ME, number, issued_on, document: Some(document(1)) }];
    here.record(&draft(&[ME], &Body::Dispatch(answer)), Millis(2));
    assert_eq!(due(&here), None);
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
    pair.receive(CLERK, cancelled(1, Direction::Incoming)).expect("cancelled");
    let told = lost.iter().find(|event| event.event().kind == Kind::Status).expect("a status");
    pair.recipient.take(Class::Regained, told);
    let alarmed = pair.recipient.alarms.iter().any(|alarm| matches!(alarm, Alarm::NumberTwice { .. }));
    assert!(alarmed, "{:?}", pair.recipient.alarms);
    assert_eq!(pair.at_recipient().stage(), Stage::Registered, "its line is known again");
}

/// What an office may do with document 1, and with document 2 that amends it.
fn acts() -> [(Role, Work); 8] {
    let second = Arrival { from: ME, document: document(2) };
    let undetermined = Some("Đã hỏi qua điện thoại.".to_owned());
    [
        (CLERK, register()),
        (CLERK, refuse()),
        (CLERK, answer(true)),
        (CLERK, answer(false)),
        (LEADER, assign()),
        (OFFICER, Work::Finish { arrival: arrival() }),
        (CLERK, Work::Register { arrival: second, book: None, undetermined }),
        (CLERK, Work::Refuse { arrival: second, reason: RefusalReason::Duplicate, words: None }),
    ]
}

/// Looks at every state that can be reached when the sender gives each of these orders at most once and the recipient acts
/// whenever it may, whatever is said or arrives first. How many there are, and in how many nothing is on its way.
fn explored(orders: &[Command], acts: &[(Role, Work)]) -> (usize, usize) {
    let mut seen = BTreeSet::new();
    let mut open = vec![Pair::new()];
    let mut ends = 0;
    while let Some(pair) = open.pop() {
        if !seen.insert(pair.key()) {
            continue;
        }
        let mut next = Vec::new();
        for order in orders {
            // An office that was sent a document under this id is not sent it again.
            let amended = matches!(order, Command::Dispatch { dispatch, .. }
                if sure(pair.sender.records.knows_outgoing(&dispatch.manifest.document)));
            let mut after = pair.clone();
            if let Some(events) = (!amended).then(|| commanded(&mut after.sender, order)).and_then(Result::ok)
            {
                after.there.extend(events);
                next.push(after);
            }
        }
        for (role, work) in acts {
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
            for (before, after) in pair.known().zip(after.known()) {
                assert!(
                    before.0.stage() <= after.0.stage() && after.0.covers(&before.0),
                    "{before:?} became {after:?}"
                );
                assert!(
                    before.1.stage() <= after.1.stage() && after.1.covers(&before.1),
                    "{before:?} became {after:?}"
                );
            }
        }
        if pair.there.is_empty() && pair.back.is_empty() {
            ends += 1;
            for (at_sender, at_recipient) in pair.known() {
                assert_eq!(at_sender, at_recipient);
                assert_eq!(at_recipient.unconfirmed_recalls().count(), 0, "a recall needs nobody");
            }
            nothing_is_dropped(&pair.caught_up(), orders);
        }
        open.extend(next);
    }
    (seen.len(), ends)
}

/// G5: at rest, everything that the sender has asked is applied, answered, or waits for the recipient's clerk.
fn nothing_is_dropped(pair: &Pair, orders: &[Command]) {
    assert!(pair.known().all(|(at_sender, at_recipient)| at_sender == at_recipient));
    let said = pair.sender.journal.iter().filter(|(class, _)| *class == Class::Own);
    for body in said.filter_map(|(_, event)| Body::read(event.version(), event.event()).ok()) {
        let (about, business, kind) = match &body {
            Body::BusinessRequest(DocumentFact {
                document,
                fact: Told::Asked { business, kind, .. },
                ..
            }) => (*document, *business, *kind),
            Body::Dispatch(Dispatch {
                manifest: Manifest { amends: Some(amends), document, .. }, ..
            }) => (amends.document, BusinessId::new(*document.as_bytes()), amends.business_kind()),
            _ => continue,
        };
        let case =
            sure(pair.recipient.records.case(&ME, &about, Side::Recipient)).expect("something was said");
        let known = case.progress.asked().find(|asked| (asked.id, asked.kind) == (business, kind));
        let known = known.unwrap_or_else(|| panic!("{kind:?} of {about} was dropped after {orders:?}"));
        let applied = match case.progress.standing() {
            Standing::Recalled | Standing::Replaced | Standing::TakenBack => true,
            Standing::Current | Standing::AskedBack => known.agreed.is_some(),
        };
        if !applied {
            assert!(case.progress.open_question().is_some(), "{known:?} waits for nobody");
            let (from, mut asked) = (ME, pair.recipient.clone());
            let arrival = Arrival { from, document: about };
            works(&mut asked, CLERK, Work::Answer { arrival, agreed: false, words: None })
                .expect("it can be answered");
        }
    }
    for station in [&pair.sender, &pair.recipient] {
        assert!(station.alarms.is_empty(), "{:?}", station.alarms);
        assert_eq!(station.replayed().hash(), station.hash(), "P7");
    }
}

fn ordered(work: Work) -> Command {
    Command::Work { by: by(CLERK), work }
}

/// G3, G5: whatever the two offices do, in whatever order it is said and arrives, both know the same in the end, nothing went
/// backwards on the way, and every question is applied, answered or waits for somebody.
///
/// Every state that can be reached is looked at: for a take-back and a recall, for an update or a replacement crossing each of the
/// others and one another, and for three of them at once. What the recipient may do is shortened where that says nothing new, or
/// there would be hundreds of thousands of states.
#[test]
fn g3_every_interleaving_converges() {
    let back = || ordered(asked(BusinessKind::TakeBack, 1));
    let recall = || ordered(asked(BusinessKind::Recall, 2));
    let amend = |how| amending(2, 1, how, &[A]);
    let (update, replace) = (|| amend(AmendKind::Update), || amend(AmendKind::Replace));
    let (replace_too, update_it) =
        (amending(3, 1, AmendKind::Replace, &[A]), amending(3, 2, AmendKind::Update, &[A]));
    let acts = acts();
    let some = |which: &[usize]| which.iter().map(|n| acts[*n].clone()).collect::<Vec<_>>();
    let [register, refuse, yes, no, assign, finish, register_new, refuse_new] = [0, 1, 2, 3, 4, 5, 6, 7];
    for (orders, acts) in [
        (vec![back(), recall()], some(&[register, refuse, yes, no, assign, finish])),
        (vec![update()], some(&[register, refuse, yes, no, assign, register_new, refuse_new])),
        (vec![replace()], some(&[register, refuse, assign, finish, register_new, refuse_new])),
        (vec![update(), back()], some(&[register, refuse, yes, no, assign])),
        (vec![update(), recall()], some(&[register, refuse, yes, no, register_new])),
        (vec![replace(), back()], some(&[register, refuse, yes, no, assign, register_new])),
        (vec![replace(), recall()], some(&[register, refuse, finish, register_new, refuse_new])),
        (vec![update(), replace_too], some(&[register, refuse, yes, no, register_new])),
        (vec![update(), update_it], some(&[register, yes, no, register_new])),
        (vec![update(), back(), recall()], some(&[register, yes, no])),
        (vec![replace(), back(), recall()], some(&[register, yes, no])),
    ] {
        let (states, ends) = explored(&orders, &acts);
        assert!(states > 50 && ends > 3, "{states} states, {ends} of them quiet");
    }
}

fn letter(n: u64) -> Manifest {
    let file = FileRef { hash: FileHash::new([7; 32]), length: 9 };
    let main =
        Attachment { name: "công văn.pdf".to_owned(), media_type: "application/pdf".to_owned(), file };
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

/// B6: when a person signed first is known however much happened to the draft: more than its row remembers step by step.
#[test]
fn b6_first_signature_is_remembered_whatever_else_happened() {
    let mut station = Station::new(ME);
    for _ in 0..STEPS_MAX {
        works(&mut station, OFFICER, drafted(letter(1))).expect("nobody has signed it");
    }
    works(&mut station, LEADER, Work::Approve { document: document(1) }).expect("approved");
    let signed_at =
        |station: &Station| sure(station.records.drafted(&document(1))).and_then(|row| row.signed);
    assert_eq!(signed_at(&station), None);
    works(&mut station, LEADER, signed(1, "a signature")).expect("signed");
    let first = station.journal.len() as u64;
    works(&mut station, LEADER, signed(1, "another one")).expect("a second person signs");
    assert_eq!(signed_at(&station), Some(Position(first)));
    works(&mut station, CLERK, issued(1)).expect("numbered");
    assert_eq!(signed_at(&station), Some(Position(first)));
    assert_eq!(station.replayed().hash(), station.hash());
}

fn set_aside(with: OfficeId, n: u64) -> Work {
    let reason = "Đã gọi điện: bên gửi gửi nhầm.".to_owned();
    Work::SetAside { with, document: document(n), reason }
}

fn is_set_aside(station: &Station, with: OfficeId, side: Side) -> bool {
    sure(station.records.case(&with, &document(1), side)).is_some_and(|case| case.set_aside.is_some())
}

/// G5: what was said about a document that is not here is set aside by somebody with a reason, and comes back when more is said;
/// its document is worked on as usual when it comes.
#[test]
fn g5_what_has_no_document_is_set_aside_until_more_is_said_or_it_comes() {
    let mut pair = Pair::new();
    pair.send(CLERK, asked(BusinessKind::TakeBack, 1)).expect("it was sent");
    pair.deliver_there(1);
    let here = Side::Recipient;
    let nothing = |n| Some(WorkRefusal::NothingSaid { document: document(n) });
    assert_eq!(works(&mut pair.recipient, CLERK, set_aside(ME, 2)).err(), nothing(2));
    let refused = works(&mut pair.recipient, OFFICER, set_aside(ME, 1)).err();
    assert!(matches!(refused, Some(WorkRefusal::Role { .. })), "{refused:?}");
    let silent = Work::SetAside { with: ME, document: document(1), reason: " ".to_owned() };
    assert!(matches!(works(&mut pair.recipient, CLERK, silent).err(), Some(WorkRefusal::Text(_))));
    let before = pair.at_recipient();
    let events = works(&mut pair.recipient, CLERK, set_aside(ME, 1)).expect("nothing is to be done");
    assert!(events.len() == 1 && events[0].event().to.is_empty(), "it is told to nobody");
    assert!(is_set_aside(&pair.recipient, ME, here));
    let again = works(&mut pair.recipient, CLERK, set_aside(ME, 1)).err();
    assert_eq!(again, Some(WorkRefusal::AlreadySetAside));
    assert_eq!(pair.at_recipient(), before, "what is known of the document is the same");

    pair.send(CLERK, asked(BusinessKind::Recall, 2)).expect("it was sent");
    pair.deliver_there(1);
    assert!(!is_set_aside(&pair.recipient, ME, here), "whoever set it aside has not seen this");
    works(&mut pair.recipient, LEADER, set_aside(ME, 1)).expect("nothing is to be done");

    pair.deliver_there(0);
    assert_eq!(works(&mut pair.recipient, CLERK, set_aside(ME, 1)).err(), nothing(1));
    pair.settle();
    assert_eq!(pair.at_recipient().standing(), Standing::Recalled);
    assert_eq!(pair.at_recipient(), pair.at_sender());
    assert_eq!(pair.recipient.replayed().hash(), pair.recipient.hash());
}

/// G5: a station that lost what it sent is told about it all the same.
#[test]
fn g5_what_a_recipient_says_about_a_lost_document_is_set_aside_too() {
    let mut pair = Pair::arrived();
    pair.receive(CLERK, refuse()).expect("refused");
    let mut lost = Station::new(ME);
    takes(&mut lost, &pair.back.remove(0));
    works(&mut lost, CLERK, set_aside(A, 1)).expect("nothing is to be done");
    assert!(is_set_aside(&lost, A, Side::Sender));
    assert_eq!(lost.replayed().hash(), lost.hash());
    // Whoever has the document does not set aside what is said about it.
    pair.settle();
    let refused = works(&mut pair.sender, CLERK, set_aside(A, 1)).err();
    assert_eq!(refused, Some(WorkRefusal::NothingSaid { document: document(1) }));
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

/// Whoever has had no answer to a draft and asks again takes its approval not away.
#[test]
fn same_draft_again_changes_nothing() {
    let mut station = Station::new(ME);
    for (role, work) in steps(1).into_iter().take(2) {
        works(&mut station, role, work).expect("in turn");
    }
    let before = station.hash();
    assert_eq!(works(&mut station, OFFICER, drafted(letter(1))).map(|events| events.len()), Ok(0));
    assert_eq!(station.hash(), before);
    works(&mut station, LEADER, signed(1, "a signature")).expect("it is approved still");
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
        Dispatch { issued, ..Dispatch::unsigned(manifest) }
    };
    let replaces =
        Amends { document: document(1), how: AmendKind::Replace, reason: "Sai số liệu".to_owned() };
    let mut pair = Pair::arrived();
    let send = |pair: &mut Pair, dispatch: Dispatch| {
        let command =
            Command::Dispatch { by: None, to: vec![A], dispatch: Box::new(dispatch), reference_only: true };
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

/// G4: whoever had the earlier document and is no recipient of the updated one gets a recall with the reason, in the same step;
/// whoever is added simply gets the new one. A replacement recalls nothing.
#[test]
fn g4_update_recalls_from_whoever_is_left_out() {
    for how in [AmendKind::Update, AmendKind::Replace] {
        let mut sender = Station::new(ME);
        let (mut removed, mut added) = (Station::new(A), Station::new(B));
        let (first, _) = sender.record(&draft(&[A], &Body::Dispatch(dispatch(ME, 1))), Millis(1));
        takes(&mut removed, &first);
        let events = commanded(&mut sender, &amending(2, 1, how, &[B])).expect("sent");
        let to = |event: &VerifiedEvent| {
            (event.event().kind, event.event().to.iter().map(|to| to.office).collect())
        };
        let told: Vec<(Kind, Vec<OfficeId>)> = events.iter().map(to).collect();
        let recalls = how == AmendKind::Update;
        let all = [(Kind::Dispatch, vec![B]), (Kind::BusinessRequest, vec![A])];
        assert_eq!(told, all[..=usize::from(recalls)]);
        for event in &events {
            for answer in takes(&mut removed, event) {
                takes(&mut sender, &answer);
            }
            takes(&mut added, event);
        }
        let here = progress(&removed, ME, Side::Recipient);
        assert_eq!(progress(&sender, A, Side::Sender), here);
        assert_eq!(here.standing(), if recalls { Standing::Recalled } else { Standing::Current });
        assert!(here.asked().all(|asked| asked.reason == Some("Sai phụ lục") && asked.agreed == Some(true)));
        // It never had the earlier one, and cannot know that: both ends say the same about it, and nobody is asked anything.
        assert_eq!(progress(&sender, B, Side::Sender), progress(&added, ME, Side::Recipient));
        let answered = works(&mut added, CLERK, answer(true));
        assert!(matches!(answered, Err(WorkRefusal::NotHere { .. })), "{answered:?}");
        if recalls {
            let again = commanded(&mut sender, &amending(3, 1, how, &[B])).expect("sent");
            assert_eq!(again.len(), 1, "nobody is told twice to cancel it");
        }
    }
}

/// What a recipient says takes no room from what the sender has asked; the sender's last question can always be a recall.
#[test]
fn g1_questions_of_the_sender_are_not_displaced() {
    let mut pair = Pair::arrived();
    pair.send(CLERK, asked(BusinessKind::TakeBack, 1)).expect("asked");
    pair.settle();
    for n in 20..60 {
        for kind in [BusinessKind::TakeBack, BusinessKind::Recall] {
            let (business, agreed) = (BusinessId::new([n; 16]), true);
            let fact = Told::Answered { business, kind, agreed, words: None };
            let told = DocumentFact { document: document(1), fact, by: None };
            let (event, _) =
                pair.recipient.record(&draft(&[ME], &Body::Status(Status::Document(told))), Millis(7));
            pair.back.push(event);
        }
    }
    pair.settle();
    assert_eq!(pair.at_sender(), pair.at_recipient());
    assert!(pair.at_sender().knows_question(BusinessId::new([1; 16])));
    assert_eq!(
        pair.at_sender().standing(),
        Standing::AskedBack,
        "answers to what nobody asked prove nothing"
    );
    let mut asked_too_often = None;
    for n in 2..=u64::try_from(REQUESTS_MAX).expect("few") {
        let sent = commanded(&mut pair.sender, &amending(n, 1, AmendKind::Update, &[A]));
        match sent {
            Ok(events) => pair.there.extend(events),
            Err(refusal) => asked_too_often = Some((n, refusal)),
        }
    }
    assert_eq!(asked_too_often, Some((REQUESTS_MAX as u64, WorkRefusal::AskedTooOften { office: A })));
    pair.send(LEADER, asked(BusinessKind::Recall, 99)).expect("a recall is always possible");
    pair.settle();
    assert_eq!(pair.at_sender(), pair.at_recipient());
    assert_eq!(
        (
            pair.at_sender().standing(),
            pair.at_sender().asked().filter(|asked| asked.reason.is_some()).count()
        ),
        (Standing::Recalled, REQUESTS_MAX)
    );
}

/// B8: an office sends what it is entitled to, to whom it is entitled.
#[test]
fn b8_authority_is_asked_before_anything_is_recorded() {
    let station = Station::new(ME);
    let directory = directory();
    let decided = |rules: &Rules| {
        let context = Context { rules, ..context(&directory) };
        let command = Command::Dispatch {
            by: None,
            to: vec![A],
            dispatch: Box::new(dispatch(ME, 1)),
            reference_only: true,
        };
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

/// Somebody of the office; `works` acts as one person in all roles.
fn person(name: &str, roles: &[Role], types: &[DocumentType], recipients: &[OfficeId]) -> PersonRow {
    PersonRow {
        name: name.to_owned(),
        roles: roles.iter().copied().collect(),
        types: types.iter().copied().collect(),
        recipients: recipients.iter().copied().collect(),
    }
}

fn set(station: &mut Station, person: PersonRow) -> usize {
    works(station, Role::Administrator, Work::SetPerson { person }).expect("recorded").len()
}

/// B8: *gửi đúng thẩm quyền*: whoever approves, signs, numbers or sends is entitled to the type and to every recipient; the
/// refusal names who is, and nothing is recorded.
#[test]
fn b8_person_sends_what_is_theirs_only() {
    let (me, other, clerk) = (by(LEADER).name, "Vàng A Sáng", "Giàng Thị Chu");
    let everything = [LEADER, CLERK, OFFICER];
    let letters = &[DocumentType::OfficialLetter][..];
    let reports = &[DocumentType::Report][..];
    for (types, recipients, expected) in [
        (
            reports,
            &[][..],
            WorkRefusal::TypeNotYours { document_type: DocumentType::OfficialLetter, who: Vec::new() },
        ),
        (letters, &[ME][..], WorkRefusal::RecipientNotYours { office: A, who: Vec::new() }),
        (
            reports,
            &[A][..],
            WorkRefusal::TypeNotYours { document_type: DocumentType::OfficialLetter, who: Vec::new() },
        ),
    ] {
        let mut station = Station::new(ME);
        assert_eq!(set(&mut station, person(other, &[LEADER], letters, &[A])), 1);
        assert_eq!(set(&mut station, person(clerk, &[CLERK], &[], &[])), 1);
        for (n, (role, work)) in steps(1).into_iter().enumerate() {
            set(&mut station, person(&me, &everything, types, recipients));
            let before = station.hash();
            let refused = works(&mut station, role, work.clone()).err();
            if n == 0 {
                assert_eq!(refused, None, "a draft binds nobody");
            } else {
                let who = match role {
                    CLERK => vec![clerk.to_owned()],
                    _ => vec![other.to_owned()],
                };
                let named = match expected.clone() {
                    WorkRefusal::TypeNotYours { document_type, .. } => {
                        WorkRefusal::TypeNotYours { document_type, who }
                    }
                    WorkRefusal::RecipientNotYours { office, .. } => {
                        WorkRefusal::RecipientNotYours { office, who }
                    }
                    refusal => refusal,
                };
                assert_eq!(refused, Some(named), "step {n}");
                assert_eq!(station.hash(), before);
                // What is entrusted counts at once.
                assert_eq!(set(&mut station, person(&me, &everything, letters, &[A, ME])), 1);
                works(&mut station, role, work).expect("entitled");
            }
        }
        assert_eq!(station.replayed().hash(), station.hash());
    }
}

/// B8: a document to all is for somebody without a limit of recipients.
#[test]
fn b8_document_to_all_is_beyond_whoever_is_limited_to_some() {
    let mut station = Station::new(ME);
    let work = Work::Draft { manifest: Box::new(letter(1)), to: Recipients::All };
    works(&mut station, OFFICER, work).expect("drafted");
    set(&mut station, person(&by(LEADER).name, &[LEADER], &[], &[A]));
    let refused = works(&mut station, LEADER, Work::Approve { document: document(1) }).err();
    assert!(
        matches!(&refused, Some(WorkRefusal::RecipientNotYours { who, .. }) if who.is_empty()),
        "{refused:?}"
    );
    set(&mut station, person(&by(LEADER).name, &[LEADER], &[], &[]));
    works(&mut station, LEADER, Work::Approve { document: document(1) }).expect("entitled");
}

/// L3: who works here, what they may do and who said so is in the chain, each change once; who has a role no more does
/// nothing in it.
#[test]
fn l3_rights_of_people_are_in_the_chain() {
    let mut station = Station::new(ME);
    let me = by(CLERK).name;
    let refused =
        works(&mut station, CLERK, Work::SetPerson { person: person(&me, &[CLERK], &[], &[]) }).err();
    assert!(matches!(refused, Some(WorkRefusal::Role { .. })), "{refused:?}");
    assert_eq!(set(&mut station, person(&me, &[CLERK, LEADER], &[], &[])), 1);
    assert_eq!(set(&mut station, person(&me, &[CLERK, LEADER], &[], &[])), 0, "the chain knows it");
    works(&mut station, OFFICER, drafted(letter(1))).expect_err("it is no officer");
    let paper = || Work::CancelNumber {
        id: WorkId::new([9; 16]),
        direction: Direction::Incoming,
        book: None,
        reason: "Nhầm".to_owned(),
    };
    works(&mut station, CLERK, paper()).expect("a clerk");
    let remove = || Work::RemovePerson { name: by(CLERK).name };
    assert_eq!(works(&mut station, Role::Administrator, remove()).map(|events| events.len()), Ok(1));
    assert_eq!(works(&mut station, Role::Administrator, remove()).map(|events| events.len()), Ok(0));
    let gone = works(&mut station, CLERK, paper()).err();
    assert_eq!(gone, Some(WorkRefusal::NotInRole { name: me, role: CLERK }));
    let nameless = person(" ", &[CLERK], &[], &[]);
    let refused = works(&mut station, Role::Administrator, Work::SetPerson { person: nameless }).err();
    assert!(matches!(refused, Some(WorkRefusal::Text(_))), "{refused:?}");
    let without = person("Giàng A Páo", &[], &[], &[]);
    let refused = works(&mut station, Role::Administrator, Work::SetPerson { person: without }).err();
    assert!(matches!(refused, Some(WorkRefusal::Text(_))), "{refused:?}");
    let acts = station.journal.iter().filter_map(|(_, event)| match Body::read(1, event.event()) {
        Ok(Body::Act(act)) => Some((event.event().to.is_empty(), act.by.role, act.deed)),
        _ => None,
    });
    let told: Vec<_> = acts
        .filter(|(_, _, deed)| matches!(deed, Deed::PersonSet { .. } | Deed::PersonRemoved { .. }))
        .map(|(local, role, _)| (local, role))
        .collect();
    assert_eq!(told, [(true, Role::Administrator); 2]);
    assert_eq!(station.replayed().hash(), station.hash());
}

/// B1: the office seals nothing that no person has signed, unless it is said to be for knowing only.
#[test]
fn b1_unsigned_document_is_not_sealed() {
    let station = Station::new(ME);
    let directory = directory();
    let decided = |reference_only| {
        let command =
            Command::Dispatch { by: None, to: vec![A], dispatch: Box::new(dispatch(ME, 1)), reference_only };
        sure(decide(&station.exchange, &station.records, context(&directory), &command)).err()
    };
    assert_eq!(decided(false), Some(Refusal::Unsigned));
    assert_eq!(decided(true), None);
}

/// The deeds by which documents were sealed, and which kind of event stands before each.
fn sealings(station: &Station) -> Vec<(Kind, String, DocumentId)> {
    let pairs = station.journal.iter().zip(station.journal.iter().skip(1));
    let sealed = pairs.filter_map(|((_, before), (_, event))| match Body::read(1, event.event()) {
        Ok(Body::Act(Act { by, deed: Deed::Sealed { document } })) => {
            Some((before.event().kind, by.name, document))
        }
        _ => None,
    });
    sealed.collect()
}

/// L3: whoever seals a document is in the chain right behind the event that sends it first, through either door; a program is
/// nobody.
#[test]
fn l3_whoever_seals_a_document_is_recorded() {
    let mut station = Station::new(ME);
    for (role, work) in steps(1) {
        works(&mut station, role, work).expect("in order");
    }
    let direct = |n, by| Command::Dispatch {
        by,
        to: vec![A, B],
        dispatch: Box::new(dispatch(ME, n)),
        reference_only: true,
    };
    let clerk = Actor { name: "Giàng Thị Chu".to_owned(), role: CLERK };
    commanded(&mut station, &direct(2, Some(clerk.clone()))).expect("sent");
    commanded(&mut station, &direct(3, None)).expect("sent by a program");
    let expected =
        [(Kind::Dispatch, by(CLERK).name, document(1)), (Kind::Dispatch, clerk.name.clone(), document(2))];
    assert_eq!(sealings(&station), expected);
    assert_eq!(station.replayed().hash(), station.hash());
    // B8: this door asks what the other one asks.
    let leader = Actor { role: LEADER, ..clerk.clone() };
    let refused = commanded(&mut station, &direct(4, Some(leader))).err();
    assert!(matches!(refused, Some(WorkRefusal::Role { .. })), "{refused:?}");
    set(&mut station, person(&clerk.name, &[CLERK], &[], &[A]));
    let refused = commanded(&mut station, &direct(4, Some(clerk.clone()))).err();
    assert!(matches!(refused, Some(WorkRefusal::RecipientNotYours { office: B, .. })), "{refused:?}");
    works(&mut station, Role::Administrator, Work::RemovePerson { name: clerk.name.clone() })
        .expect("removed");
    let refused = commanded(&mut station, &direct(4, Some(clerk))).err();
    assert!(matches!(refused, Some(WorkRefusal::NotInRole { .. })), "{refused:?}");
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
    for n in 1..=4 {
        works(&mut lost, CLERK, cancelled(n, Direction::Outgoing)).expect("cancelled");
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
        facts in prop::collection::vec(fact(), 0..48),
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
        // Neither side displaces what the other one says.
        let questions = |facts: &[&Told]| -> Vec<(BusinessId, BusinessKind, String)> {
            let progress = known(facts);
            let asked = progress.asked().filter_map(|asked| Some((asked.id, asked.kind, asked.reason?.to_owned())));
            asked.collect()
        };
        let answers = |facts: &[&Told]| -> Vec<(BusinessId, BusinessKind, bool)> {
            let progress = known(facts);
            let mut answered: Vec<_> =
                progress.asked().filter_map(|asked| Some((asked.id, asked.kind, asked.agreed?))).collect();
            answered.sort_unstable();
            answered
        };
        let (of_sender, of_recipient): (Vec<&Told>, Vec<&Told>) = facts.iter().partition(|fact| fact.is_of_sender());
        prop_assert_eq!(questions(&straight), questions(&of_sender));
        prop_assert_eq!(answers(&straight), answers(&of_recipient));
        prop_assert!(known(&straight).covers(&known(&of_sender)));
        prop_assert!(known(&straight).covers(&known(&of_recipient)));
    }

    /// A recipient that answers only what it was asked remembers its answer to every question that it remembers, so that its
    /// station never confirms one recall for ever.
    #[test]
    fn answers_to_known_questions_are_remembered(
        questions in prop::collection::vec((0_u8..40, 0_u8..4), 0..40),
    ) {
        let kinds = [BusinessKind::TakeBack, BusinessKind::Update, BusinessKind::Replace, BusinessKind::Recall];
        let mut progress = Progress::default();
        for (n, kind) in questions {
            let (business, kind) = (BusinessId::new([n; 16]), kinds[usize::from(kind)]);
            let _ = progress.take(&Told::Asked { business, kind, reason: "Sai".to_owned() });
            let open: Vec<_> = progress.asked().filter(|asked| asked.agreed.is_none()).map(|asked| (asked.id, asked.kind)).collect();
            for (business, kind) in open {
                let _ = progress.take(&Told::Answered { business, kind, agreed: true, words: None });
            }
            prop_assert!(progress.asked().all(|asked| asked.agreed.is_some()), "{progress:?}");
        }
    }
}
