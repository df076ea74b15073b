//! The people of the offices: clerks register and refuse, leaders assign, officers finish; senders ask for documents back and
//! recall them. Their printed registers survive every disk.

use std::collections::BTreeMap;

use node::Node;
use node::step::{Answer, Effect, Input, Ticket};
use schema::body::{Act, Assignment, Body, Deed, DocumentFact, Status};
use schema::event::RecordedEvent;
use schema::exchange::{Arrival, Command, HeldRow, Records, Refusal, Work, WorkRefusal};
use schema::handling::{Actor, BusinessKind, CaseRow, Direction, Entry, Fact, RefusalReason, Role, Side};
use schema::id::{BusinessId, DocumentId, EventId, OfficeId};
use schema::invariant::{self, Violation};
use schema::time::Day;

use super::check::{held_rows, unreadable};
use super::office::Station;
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
    highest: BTreeMap<(OfficeId, i16), u32>,
    /// What used each number: a document, or the event that cancelled it.
    used: BTreeMap<(OfficeId, Entry), Used>,
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
        let next = below(&mut self.rng, self.options.faulty_ms / self.options.documents as u64);
        self.at(next, Event::People(number));
        let Some(node) = self.stations[number].node.as_ref() else { return Ok(()) };
        let shown: Vec<HeldRow> = held_rows(node)?.into_iter().filter(|row| row.ordinal.is_some()).collect();
        let me = self.stations[number].office;
        let sent: Vec<DocumentId> =
            self.saved.iter().filter(|(from, ..)| *from == me).map(|(.., document)| *document).collect();
        let work = if chance(&mut self.rng, 250) { self.asks_back(&sent) } else { self.works_on(&shown) };
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

    fn works_on(&mut self, shown: &[HeldRow]) -> Option<Work> {
        let row = shown.get(index(&mut self.rng, shown.len().max(1)))?;
        let arrival = Arrival { from: row.from, document: row.document? };
        let undetermined = Some("Đã gọi điện xác nhận.".to_owned());
        Some(match below(&mut self.rng, 12) {
            0..=4 => Work::Register { arrival, book: None, undetermined },
            5 => Work::Refuse { arrival, reason: RefusalReason::WrongAddressee, words: None },
            6 => {
                let lead = "Công chức địa chính".to_owned();
                let assignment = Assignment { lead, with: Vec::new(), due: None, instruction: None };
                Work::Assign { arrival, assignment }
            }
            7 => Work::Start { arrival },
            8 => Work::Finish { arrival },
            9 => Work::CancelNumber {
                direction: Direction::Incoming,
                book: None,
                reason: "Ghi nhầm".to_owned(),
            },
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
        let highest = self.paper.highest.get(&(office, year)).copied().unwrap_or(0);
        self.does(number, Work::StateHighest { direction: Direction::Incoming, book: None, number: highest })
    }

    /// What a station has recorded is printed; no number stands for two events (P9).
    pub(super) fn print(&mut self, number: usize, recorded: &RecordedEvent) -> Result<(), Violation> {
        let office = self.stations[number].office;
        let from = recorded.event.to.first().map_or(office, |to| to.office);
        let (entry, used) = match Body::read(recorded.version, &recorded.event) {
            Ok(Body::Status(Status::Document(DocumentFact {
                document,
                fact: Fact::Registered { entry, .. },
                ..
            }))) => (entry, Used::Document(from, document)),
            Ok(Body::Act(Act { deed: Deed::NumberCancelled { entry, .. }, .. })) => {
                (entry, Used::Nothing(recorded.id))
            }
            _ => return Ok(()),
        };
        // Two machines alive with one key give numbers twice, and so does one that does not know that it went back: that is
        // what the alarms about them are for.
        let of_office = |station: &&Station| station.office == office;
        if self.stations.iter().filter(of_office).any(|station| station.cloned || station.restored_by_hand) {
            return Ok(());
        }
        let highest = self.paper.highest.entry((office, entry.year)).or_default();
        *highest = entry.number.max(*highest);
        let key = (office, entry);
        match self.paper.used.get(&key) {
            Some(known) if *known != used => {
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
        let keys = senders.keys().chain(recipients.keys());
        for key in keys.filter(|(from, to, _)| !cloned(from) && !cloned(to)) {
            let (there, here) = (senders.get(key), recipients.get(key));
            if there.map(|case| &case.progress) != here.map(|case| &case.progress) {
                let (from, to, document) = key;
                let found = format!(
                    "{from} and {to} know otherwise of document {document}: {:?} and {:?}",
                    there.map(|case| &case.progress),
                    here.map(|case| &case.progress)
                );
                return Err(Violation { promise: "P3", found });
            }
            if let Some(case) = here
                && case.progress.unconfirmed_recalls().next().is_some()
                && self.is_shown(case)?
            {
                let found = format!("a recall of document {} was never confirmed", case.document);
                return Err(Violation { promise: "P5", found });
            }
        }
        Ok(())
    }

    fn is_shown(&self, case: &CaseRow) -> Result<bool, Violation> {
        for station in &self.stations {
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
