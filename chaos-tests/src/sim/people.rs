//! The people of the offices: clerks register and refuse, leaders assign, officers finish; senders ask for documents back,
//! recall, update and replace them; paper is registered and numbers are cancelled. Their printed registers survive every disk.

use std::collections::{BTreeMap, BTreeSet};

use node::Node;
use node::step::{Answer, Effect, Input, Ticket};
use schema::body::{
    Act, Assignment, Body, Deed, Dispatch, DocumentFact, Issue, IssuedPaper, PaperDocument, RestoreReason,
    Restored, Status,
};
use schema::document::{AmendKind, Amends, Attachment, CopyForm, DocumentType, Manifest, Signer};
use schema::event::RecordedEvent;
use schema::exchange::{Arrival, Command, HeldRow, Records, Refusal, Work, WorkRefusal};
use schema::handling::{
    Actor, BookId, BusinessKind, CaseRow, Direction, DraftStage, Entry, Fact, Progress, Recipients,
    RefusalReason, Role, Rules, Side,
};
use schema::id::{BusinessId, DocumentId, EventId, OfficeId, WorkId};
use schema::invariant::{self, Violation};
use schema::time::Day;

use super::check::{held_rows, unreadable};
use super::office::{NOBODY, Station};
use super::options::{below, chance, index};
use super::world::{Event, World, id16};

/// A document of an office, or an event.
#[derive(PartialEq, Eq)]
enum Used {
    Document(OfficeId, DocumentId),
    Nothing(EventId),
}

/// What the printed registers of all offices say, and who stands behind each number.
#[derive(Default)]
pub(super) struct PaperRegisters {
    /// The highest number of each office's register and year.
    highest: BTreeMap<(OfficeId, BookId, i16), u32>,
    /// What used each number: a document, or the event that gave it to paper or to nothing.
    used: BTreeMap<(OfficeId, Entry), Used>,
    /// What else stands behind a number: given by a station that did not know that it had gone back.
    used_unaware: BTreeMap<(OfficeId, Entry), Vec<Used>>,
    /// What was printed: a station that goes back does it all again, and nobody prints it twice.
    printed: BTreeSet<EventId>,
    /// The line that each piece of work has used.
    works: BTreeMap<(OfficeId, WorkId), Entry>,
    /// What the clerk of a station has asked for last, in case that nobody has heard the answer.
    asked: BTreeMap<usize, (WorkId, PaperDocument)>,
}

/// What every office has settled for itself.
pub(super) fn rules() -> Rules {
    let mut rules = Rules::default();
    rules.books.iter_mut().for_each(|book| book.issuer = Some("UBND".to_owned()));
    rules
}

/// Whether somebody was told that numbers may be lost.
pub(super) fn is_in_doubt(effects: &[Effect]) -> bool {
    effects.iter().any(|effect| {
        let Effect::Answer { answer: Answer::Refused(Refusal::Work(refusal)), .. } = effect else {
            return false;
        };
        matches!(refusal, WorkRefusal::BookDoubtful { .. })
    })
}

/// An office's row about a document, by the two offices and the document.
type Cases = BTreeMap<(OfficeId, OfficeId, DocumentId), CaseRow>;

impl World<'_> {
    /// Somebody does something with some document.
    pub(super) fn people(&mut self, number: usize) -> Result<(), Violation> {
        if !self.faulty || self.work_left == 0 || self.stations[number].is_retired() {
            return Ok(());
        }
        let next = below(&mut self.rng, 2 * self.options.faulty_ms / self.options.work.max(1) as u64);
        self.at(next, Event::People(number));
        let Some(node) = self.stations[number].node.as_ref() else { return Ok(()) };
        let shown: Vec<HeldRow> = held_rows(node)?.into_iter().filter(|row| row.ordinal.is_some()).collect();
        let me = self.stations[number].office;
        let sent: Vec<DocumentId> =
            self.saved.iter().filter(|(from, ..)| *from == me).map(|(.., document)| *document).collect();
        let work = match below(&mut self.rng, 10) {
            0 | 1 => self.asks_back(&sent),
            2 | 3 => self.copy_goes_out(number, &sent)?,
            4 => return self.amends(number, &sent),
            5 => Some(self.at_the_register(number)),
            _ => self.works_on(&shown),
        };
        if let Some(work) = work {
            self.work_left -= 1;
            self.does(number, work)?;
        }
        Ok(())
    }

    fn asks_back(&mut self, sent: &[DocumentId]) -> Option<Work> {
        let document = *sent.get(index(&mut self.rng, sent.len().max(1)))?;
        let kind = match chance(&mut self.rng, 500) {
            true => BusinessKind::Recall,
            false => BusinessKind::TakeBack,
        };
        let business = BusinessId::new(id16(self.options.seed, "business", self.tickets));
        Some(Work::Ask { document, of: Vec::new(), kind, business, reason: "Sai số liệu".to_owned() })
    }

    /// An earlier document that a new one updates or replaces.
    fn earlier(&mut self, sent: &[DocumentId]) -> Option<Amends> {
        let document = *sent.get(index(&mut self.rng, sent.len().max(1)))?;
        let how = match chance(&mut self.rng, 500) {
            true => AmendKind::Update,
            false => AmendKind::Replace,
        };
        Some(Amends { document, how, reason: "Sai phụ lục".to_owned() })
    }

    /// Updates or replaces a document: for most of those who had it, and now and then for somebody who had it not.
    fn amends(&mut self, number: usize, sent: &[DocumentId]) -> Result<(), Violation> {
        if self.documents_left == 0 {
            return Ok(());
        }
        let Some(amends) = self.earlier(sent) else { return Ok(()) };
        self.documents_left -= 1;
        let me = self.stations[number].office;
        let had = |to: &OfficeId| self.saved.contains(&(me, *to, amends.document));
        let others = self.stations.iter().filter(|other| other.clone.is_none() && other.office != me);
        let others: Vec<(OfficeId, bool)> = others.map(|other| (other.office, had(&other.office))).collect();
        let wanted = others.iter().filter(|(_, had)| chance(&mut self.rng, if *had { 700 } else { 200 }));
        let mut to: Vec<OfficeId> = wanted.map(|(office, _)| *office).collect();
        if to.is_empty() {
            to.push(others[index(&mut self.rng, others.len())].0);
        }
        self.work_left -= 1;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let document = DocumentId::new(id16(self.options.seed, "amendment", self.tickets));
        let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
        let letter = Manifest::new(document, me, DocumentType::OfficialLetter, "Về việc đính chính", signer);
        let dispatch = Box::new(Dispatch::unsigned(Manifest { amends: Some(amends), ..letter }));
        self.asked.insert(ticket, (number, document, to.clone()));
        let by = Some(Actor { name: "Lò Thị Mai".to_owned(), role: Role::Clerk });
        let command = Command::Dispatch { by, to, dispatch, reference_only: true };
        self.step(number, vec![Input::Command { ticket, command }])
    }

    /// A document on paper, a cancelled number; or once more what was asked for last.
    fn at_the_register(&mut self, number: usize) -> Work {
        let id = WorkId::new(id16(self.options.seed, "work", self.tickets));
        let direction = match below(&mut self.rng, 5) {
            0 => Direction::Incoming,
            1 => Direction::Outgoing,
            2 => {
                let paper = IssuedPaper {
                    document_type: DocumentType::Decision,
                    subject: "V/v phê duyệt dự toán".to_owned(),
                    signer: "Vàng A Sáng, Chủ tịch".to_owned(),
                    recipient_lines: Vec::new(),
                    copies: 3,
                    kept_by: None,
                    unit: None,
                };
                return Work::IssuePaper { id, book: None, paper: Box::new(paper) };
            }
            kind => {
                let new = PaperDocument {
                    author: "Điện lực Bắc Hà".to_owned(),
                    code: format!("{}/ĐL", self.tickets),
                    issued_on: Day::in_vietnam(self.now),
                    document_type: DocumentType::OfficialLetter,
                    subject: "V/v cắt điện".to_owned(),
                };
                let known = self.paper.asked.get(&number).filter(|_| kind == 4).cloned();
                let (id, paper) = known.unwrap_or((id, new));
                self.paper.asked.insert(number, (id, paper.clone()));
                return Work::RegisterPaper { id, book: None, paper };
            }
        };
        Work::CancelNumber { id, direction, book: None, reason: "Ghi nhầm".to_owned() }
    }

    /// The next step of a certified copy, which needs no person's signature; or a new one.
    fn copy_goes_out(&mut self, number: usize, sent: &[DocumentId]) -> Result<Option<Work>, Violation> {
        let Some(node) = self.stations[number].node.as_ref() else { return Ok(None) };
        let mut open = Vec::new();
        node.store()
            .each_draft(|row| {
                if row.stage < DraftStage::Sent {
                    open.push((row.document, row.stage));
                }
            })
            .map_err(unreadable)?;
        if let Some((document, stage)) = open.get(index(&mut self.rng, open.len() + 1)).copied() {
            return Ok(Some(match stage {
                DraftStage::Drafted => Work::Approve { document },
                DraftStage::Approved => Work::Issue { document, book: None, unit: None },
                _ if chance(&mut self.rng, 100) => {
                    Work::Discard { document, reason: "Lãnh đạo đổi ý".to_owned() }
                }
                _ => Work::Send { document },
            }));
        }
        let me = self.stations[number].office;
        let others = self.stations.iter().filter(|other| other.clone.is_none() && other.office != me);
        let others: Vec<OfficeId> = others.map(|other| other.office).collect();
        let to = others[index(&mut self.rng, others.len())];
        let document = DocumentId::new(id16(self.options.seed, "copy", self.tickets));
        let bytes = self.tickets.to_le_bytes().to_vec();
        let opening = self.seal(number, &bytes);
        let (name, media_type) = ("bản sao.pdf".to_owned(), "application/pdf".to_owned());
        let main = Attachment { name, media_type, file: opening.file };
        let signer = Signer::head("Chủ tịch", "Vàng A Sáng");
        let letter = Manifest::new(document, me, DocumentType::Report, "Sao y báo cáo", signer);
        let amends = if chance(&mut self.rng, 300) { self.earlier(sent) } else { None };
        let manifest = Manifest { attachments: vec![main], copy: Some(CopyForm::Full), amends, ..letter };
        self.step(number, vec![Input::Enclosed { ticket: NOBODY, opening }])?;
        Ok(Some(Work::Draft { manifest: Box::new(manifest), to: Recipients::Listed(vec![to]) }))
    }

    fn works_on(&mut self, shown: &[HeldRow]) -> Option<Work> {
        let row = shown.get(index(&mut self.rng, shown.len().max(1)))?;
        let arrival = Arrival { from: row.from, document: row.document? };
        let undetermined = Some("Đã gọi điện xác nhận.".to_owned());
        Some(match below(&mut self.rng, 11) {
            0..=4 => Work::Register { arrival, book: None, undetermined },
            5 => Work::Refuse { arrival, reason: RefusalReason::WrongAddressee, words: None },
            6 => {
                let lead = "Công chức địa chính".to_owned();
                let assignment = Assignment { lead, with: Vec::new(), due: None, instruction: None };
                Work::Assign { arrival, assignment }
            }
            7 => Work::Start { arrival },
            8 => Work::Finish { arrival },
            _ => Work::Answer { arrival, agreed: chance(&mut self.rng, 500), words: None },
        })
    }

    fn does(&mut self, number: usize, work: Work) -> Result<(), Violation> {
        let role = work.roles().first().copied().unwrap_or(Role::Clerk);
        let by = Actor { name: "Lò Thị Mai".to_owned(), role };
        self.tickets += 1;
        let input = Input::Command { ticket: Ticket(self.tickets), command: Command::Work { by, work } };
        self.step(number, vec![input])
    }

    /// A station that was restored asks for the highest number of the printed register: the clerk looks it up.
    pub(super) fn look_up_number(&mut self, number: usize) -> Result<(), Violation> {
        let year = Day::in_vietnam(self.clock(number)).0.year();
        let office = self.stations[number].office;
        for book in rules().books {
            let highest = self.paper.highest.get(&(office, book.id.clone(), year)).copied().unwrap_or(0);
            let (direction, book) = (book.direction, Some(book.id));
            self.does(number, Work::StateHighest { direction, book, number: highest })?;
        }
        Ok(())
    }

    /// What a station has recorded is printed; no number stands for two events (P9).
    pub(super) fn print(&mut self, number: usize, recorded: &RecordedEvent) -> Result<(), Violation> {
        let office = self.stations[number].office;
        let from = recorded.event.to.first().map_or(office, |to| to.office);
        let (entry, used) = match Body::read(recorded.version, &recorded.event) {
            // A new life because of a lost key says nothing about the disk.
            Ok(Body::Restored(Restored {
                reason: RestoreReason::Tool | RestoreReason::Correspondent,
                ..
            })) => {
                self.stations[number].unaware = false;
                return Ok(());
            }
            Ok(Body::Status(Status::Document(DocumentFact {
                document,
                fact: Fact::Registered { entry, .. },
                ..
            }))) => (entry, Used::Document(from, document)),
            Ok(Body::Act(Act {
                deed:
                    Deed::NumberCancelled { entry, work, .. }
                    | Deed::PaperRegistered { entry, work, .. }
                    | Deed::PaperIssued { issue: Issue { line: Some(entry), .. }, work, .. },
                ..
            })) => {
                self.done_once(number, work, &entry)?;
                (entry, Used::Nothing(recorded.id))
            }
            Ok(Body::Act(Act {
                deed: Deed::Issued { document, issue: Issue { line: Some(entry), .. } },
                ..
            })) => (entry, Used::Document(office, document)),
            Ok(Body::Dispatch(Dispatch {
                manifest, issued: Some(Issue { line: Some(entry), .. }), ..
            })) => (entry, Used::Document(office, manifest.document)),
            _ => return Ok(()),
        };
        // Two machines alive with one key give numbers twice, each from its own disk: that is what the alarms about them are
        // for.
        let of_office = |station: &&Station| station.office == office;
        if self.stations.iter().filter(of_office).any(|station| station.cloned) {
            return Ok(());
        }
        if !self.paper.printed.insert(recorded.id) {
            return Ok(());
        }
        let highest = self.paper.highest.entry((office, entry.book.clone(), entry.year)).or_default();
        *highest = entry.number.max(*highest);
        // So does one whose file was replaced by hand, until somebody has told it: nothing on its disk says so. From then on
        // it gives none that was ever printed; what it has given until then it may have to say again.
        let unaware = self.stations[number].unaware;
        let key = (office, entry);
        match self.paper.used.get(&key) {
            Some(known) if *known != used && unaware => {
                self.paper.used_unaware.entry(key).or_default().push(used);
            }
            Some(known)
                if *known != used
                    && !self.paper.used_unaware.get(&key).is_some_and(|others| others.contains(&used)) =>
            {
                let found = format!("{office} gave number {} of {} twice", key.1, key.1.year);
                return Err(Violation { promise: "P9", found });
            }
            Some(_) => {}
            None => {
                self.paper.used.insert(key, used);
            }
        }
        Ok(())
    }

    /// Work that was asked for again has used one number (P9), as far as its station has kept what it recorded.
    fn done_once(&mut self, number: usize, work: WorkId, entry: &Entry) -> Result<(), Violation> {
        let station = &self.stations[number];
        let office = station.office;
        let known = self.paper.works.entry((office, work)).or_insert_with(|| entry.clone());
        if known != entry && station.restores == 0 && !station.cloned {
            let found = format!("{office} gave numbers {known} and {entry} to work {work}");
            return Err(Violation { promise: "P9", found });
        }
        Ok(())
    }

    /// At rest: numbers have no gaps (P9), and whatever two offices know of a document is the same at both ends.
    pub(super) fn check_work(&self) -> Result<(), Violation> {
        invariant::numbers_have_no_gaps(self.paper.used.keys())?;
        let (mut senders, mut recipients) = (Cases::new(), Cases::new());
        for station in self.stations.iter().filter(|station| !station.is_retired()) {
            let Some(node) = &station.node else { continue };
            for case in cases(node)? {
                match case.side {
                    Side::Sender => senders.insert((station.office, case.with, case.document), case),
                    Side::Recipient => recipients.insert((case.with, station.office, case.document), case),
                };
            }
        }
        // What one machine of two has said is lost with it, as far as its twin has said otherwise.
        let cloned = |office: &OfficeId| {
            self.stations.iter().any(|station| station.office == *office && station.cloned)
        };
        let by_hand = |office: &OfficeId| {
            self.stations.iter().any(|station| station.office == *office && station.restored_by_hand)
        };
        for (from, to, answer) in self.saved.iter().filter(|(_, to, _)| !cloned(to)) {
            let Some((issuer, document)) = self.answers.get(answer).filter(|(issuer, _)| issuer == to) else {
                continue;
            };
            let case = senders.get(&(*issuer, *from, *document));
            if case.is_none_or(|case| case.replied.is_none()) && self.stands(issuer) {
                let found = format!("{issuer} holds the answer {answer} of {from} and still waits for one");
                return Err(Violation { promise: "P5", found });
            }
        }
        let keys = senders.keys().chain(recipients.keys());
        for key in keys.filter(|(from, to, _)| !cloned(from) && !cloned(to)) {
            let (there, here) = (senders.get(key), recipients.get(key));
            let [at_sender, at_recipient] =
                [there, here].map(|case| case.map(|case| case.progress.clone()).unwrap_or_default());
            // What an office has said itself may be missing where its file was replaced by hand: an event of the new life may
            // have taken the place of one that the lost life had sent, and where a relay has lost the newer one since, no head
            // shows the author that its correspondent holds the other. The correspondent has it all the same, and what the
            // correspondent says is known at both ends without an exception.
            let told = |author: &OfficeId, own: &Progress, other: &Progress, side| {
                let (own, other) = (own.said_by(side), other.said_by(side));
                own == other || by_hand(author) && other.covers(&own)
            };
            let known = told(&key.0, &at_sender, &at_recipient, Side::Sender)
                && told(&key.1, &at_recipient, &at_sender, Side::Recipient);
            if !known {
                let (from, to, document) = key;
                let found = format!(
                    "{from} and {to} know otherwise of document {document}: {at_sender:?} and {at_recipient:?}"
                );
                return Err(Violation { promise: "P3", found });
            }
            if let Some(case) = here
                && case.progress.unconfirmed_recalls().next().is_some()
                && self.is_shown(&key.1, case)?
            {
                let found =
                    format!("a recall of document {} by {} was never confirmed by {}", key.2, key.0, key.1);
                return Err(Violation { promise: "P5", found });
            }
        }
        Ok(())
    }

    /// Whether the office has a station that runs.
    fn stands(&self, office: &OfficeId) -> bool {
        self.stations.iter().any(|one| one.office == *office && !one.is_retired() && one.node.is_some())
    }

    /// Whether a station of this office has shown the document: another recipient's may have, where this one's came never.
    fn is_shown(&self, recipient: &OfficeId, case: &CaseRow) -> Result<bool, Violation> {
        for station in self.stations.iter().filter(|station| station.office == *recipient) {
            let Some(node) = &station.node else { continue };
            let row = node.store().incoming(&case.with, &case.document).map_err(unreadable)?;
            if row.is_some_and(|row| row.ordinal.is_some()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn cases(node: &Node) -> Result<Vec<CaseRow>, Violation> {
    let mut cases = Vec::new();
    node.store().each_handled(|case| cases.push(case)).map_err(unreadable)?;
    Ok(cases)
}
