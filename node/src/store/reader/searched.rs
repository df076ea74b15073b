//! What the search index reads of the store.

use rusqlite::{OptionalExtension, Row, params};
use schema::body::{Act, Body, Deed, DocumentFact, Place, Status};
use schema::event::RecordedEvent;
use schema::exchange::Class;
use schema::handling::{CaseRow, Direction, Entry, Fact, Side};
use schema::id::{DocumentId, OfficeId, Position};
use sha2::{Digest, Sha256};

use super::{Reader, dispatch_of};
use crate::store::handled::{case_row, direction_number, drafted_row, line};
use crate::store::{Attempted, StoreError};

/// Something whose row in a list an event may have changed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::store) enum Concern {
    /// A document that came from an office.
    Incoming(OfficeId, DocumentId),
    /// A document of this office, sent or on its way out.
    Outgoing(DocumentId),
    /// A line of a register.
    Line(Direction, Entry),
}

/// How large the store is, as far as lists follow from it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) struct Extent {
    /// The newest journal entry.
    pub(in crate::store) journal: u64,
    /// Documents that were presented.
    pub(in crate::store) incoming: u64,
    /// Where the newest outgoing document stands.
    pub(in crate::store) outgoing: u64,
}

impl Reader {
    /// Runs `read` on one state of the store, whatever is written meanwhile.
    pub(in crate::store) fn at_one_moment<T>(
        &self,
        read: impl FnOnce(&Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let moment = self.db.unchecked_transaction().attempted("begin to read")?;
        let found = read(self)?;
        moment.finish().attempted("end reading")?;
        Ok(found)
    }

    pub(in crate::store) fn extent(&self) -> Result<Extent, StoreError> {
        Ok(Extent {
            journal: self.count("SELECT coalesce(max(position), 0) FROM journal")?,
            incoming: self.count("SELECT coalesce(max(presented), 0) FROM station")?,
            outgoing: self.count("SELECT coalesce(max(position), 0) FROM outgoing")?,
        })
    }

    /// The hash of a journal entry's bytes: whether this is still the journal that somebody has read before.
    pub(in crate::store) fn entry_hash(&self, position: u64) -> Result<Option<[u8; 32]>, StoreError> {
        self.db
            .prepare_cached("SELECT bytes FROM journal WHERE position = ?1")
            .and_then(|mut s| {
                s.query_row([position as i64], |row| Ok(Sha256::digest(row.get_ref(0)?.as_blob()?).into()))
                    .optional()
            })
            .attempted("read a journal entry")
    }

    /// What the journal entries after `after`, at most `rows`, concern, and the position of the last of them.
    pub(in crate::store) fn concerns_after(
        &self,
        after: u64,
        rows: u32,
    ) -> Result<(Vec<Concern>, Option<u64>), StoreError> {
        let mut concerns = Vec::new();
        let entries = self.journal(Position(after + 1), rows)?;
        for entry in &entries {
            let damaged = |source| StoreError::Damaged { position: entry.position.0 as i64, source };
            let event = entry.recorded().map_err(damaged)?;
            self.concerned_by(entry.class, &event, &mut concerns)?;
        }
        concerns.sort_unstable();
        concerns.dedup();
        Ok((concerns, entries.last().map(|last| last.position.0)))
    }

    fn concerned_by(
        &self,
        class: Class,
        event: &RecordedEvent,
        concerns: &mut Vec<Concern>,
    ) -> Result<(), StoreError> {
        let own = match class {
            Class::Own | Class::Regained => true,
            Class::Received | Class::Opened => false,
            Class::Evidence | Class::Unreadable => return Ok(()),
        };
        let Ok(body) = Body::read(event.version, &event.event) else { return Ok(()) };
        let (office, to) = (event.event.office, event.event.to.iter().map(|to| to.office));
        match body {
            // A document that is new is found by its place in the list.
            Body::Dispatch(dispatch) => {
                let document = dispatch.manifest.document;
                let amended = dispatch.manifest.amends.map(|amends| amends.document);
                if own {
                    concerns.extend(
                        dispatch
                            .issued
                            .and_then(|issue| issue.line)
                            .map(|line| Concern::Line(Direction::Outgoing, line)),
                    );
                    concerns.extend([document].into_iter().chain(amended).map(Concern::Outgoing));
                } else {
                    // What was told about it may have come before it.
                    let both = [document].into_iter().chain(amended);
                    concerns.extend(both.map(|document| Concern::Incoming(office, document)));
                }
            }
            Body::Status(Status::Document(DocumentFact { document, fact, .. })) => {
                if own {
                    concerns.extend(to.map(|from| Concern::Incoming(from, document)));
                    if let Fact::Registered { entry, .. } = fact {
                        concerns.push(Concern::Line(Direction::Incoming, entry));
                    }
                } else {
                    concerns.push(Concern::Outgoing(document));
                }
            }
            Body::BusinessRequest(DocumentFact { document, .. }) => concerns.push(match own {
                true => Concern::Outgoing(document),
                false => Concern::Incoming(office, document),
            }),
            Body::Receipt(receipt) if !own => {
                for place in &receipt.entries {
                    concerns.extend(self.sent_at(&office, place)?.map(Concern::Outgoing));
                }
            }
            Body::Verdict(verdicts) if own => {
                for judgement in &verdicts.entries {
                    let document = self.held_at(&judgement.from, &judgement.place)?;
                    concerns.extend(document.map(|document| Concern::Incoming(judgement.from, document)));
                }
            }
            Body::Act(Act { deed, .. }) if own => concerns.extend(concern_of(deed)),
            Body::Act(_)
            | Body::Receipt(_)
            | Body::Verdict(_)
            | Body::Status(Status::Transport(_) | Status::Erased(_))
            | Body::Head(_)
            | Body::Restored(_)
            | Body::Returned(_)
            | Body::RegistryChange(_)
            | Body::KeyAnnouncement(_)
            | Body::Unsupported => {}
        }
        Ok(())
    }

    fn sent_at(&self, to: &OfficeId, place: &Place) -> Result<Option<DocumentId>, StoreError> {
        let sql = "SELECT sent.document FROM sent JOIN peer ON peer.no = sent.peer
                   WHERE peer.office = ?1 AND sent.incarnation = ?2 AND sent.counter = ?3";
        self.document_at(sql, to, place)
    }

    fn held_at(&self, from: &OfficeId, place: &Place) -> Result<Option<DocumentId>, StoreError> {
        let sql = "SELECT held.document FROM held JOIN peer ON peer.no = held.peer
                   WHERE peer.office = ?1 AND held.incarnation = ?2 AND held.counter = ?3";
        self.document_at(sql, from, place)
    }

    fn document_at(
        &self,
        sql: &str,
        office: &OfficeId,
        place: &Place,
    ) -> Result<Option<DocumentId>, StoreError> {
        let key = params![office.as_bytes(), place.incarnation.number() as i64, place.counter.0 as i64];
        let found = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(key, |row| row.get::<_, Option<[u8; 16]>>(0)).optional());
        Ok(found.attempted("look up whose event it was")?.flatten().map(DocumentId::new))
    }

    /// Where a document that came in stands in the list; none before it was presented.
    pub(in crate::store) fn ordinal_of(
        &self,
        from: &OfficeId,
        document: &DocumentId,
    ) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT held.ordinal FROM held JOIN peer ON peer.no = held.peer
                   WHERE held.document = ?1 AND peer.office = ?2";
        let found = self.db.prepare_cached(sql).and_then(|mut s| {
            let key = params![document.as_bytes(), from.as_bytes()];
            s.query_row(key, |row| row.get::<_, Option<i64>>(0)).optional()
        });
        Ok(found.attempted("look up an incoming document")?.flatten().map(i64::unsigned_abs))
    }

    /// Where a document that went out stands in the list; none before it was sent.
    pub(in crate::store) fn outgoing_position(
        &self,
        document: &DocumentId,
    ) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT position FROM outgoing WHERE document = ?1";
        let found = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row([document.as_bytes()], |row| row.get::<_, i64>(0)).optional());
        Ok(found.attempted("look up an outgoing document")?.map(i64::unsigned_abs))
    }

    /// The lines of registers in which a document that came in stands.
    pub(in crate::store) fn lines_of_incoming(
        &self,
        from: &OfficeId,
        document: &DocumentId,
    ) -> Result<Vec<Entry>, StoreError> {
        let case = self.case(from, document, Side::Recipient)?;
        Ok(case.map(|case| case.progress.entries().to_vec()).unwrap_or_default())
    }

    /// The line of a document of this office, sent or not.
    pub(in crate::store) fn line_of_outgoing(
        &self,
        document: &DocumentId,
    ) -> Result<Option<Entry>, StoreError> {
        let sql = "SELECT bytes FROM drafted WHERE document = ?1";
        let drafted = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row([document.as_bytes()], |row| drafted_row(row, 0)).optional());
        if let Some(issued) = drafted.attempted("look up a draft")?.and_then(|row| row.issued) {
            return Ok(issued.line);
        }
        let Some(position) = self.outgoing_position(document)? else { return Ok(None) };
        let dispatch = dispatch_of(&self.event_at(position as i64)?.0);
        Ok(dispatch.and_then(|dispatch| dispatch.issued).and_then(|issue| issue.line))
    }

    /// The recipients of a document, and what became of it there.
    pub(in crate::store) fn recipients_of(
        &self,
        document: &DocumentId,
    ) -> Result<Vec<(OfficeId, Option<CaseRow>)>, StoreError> {
        let sql = "SELECT peer.office, handled.bytes
                   FROM (SELECT DISTINCT peer FROM sent WHERE document = ?1) AS one JOIN peer ON peer.no = one.peer
                   LEFT JOIN handled ON handled.peer = one.peer AND handled.document = ?1 AND handled.side = 1
                   ORDER BY peer.office";
        let recipient = |row: &Row<'_>| {
            let case = match row.get_ref(1)? {
                rusqlite::types::ValueRef::Null => None,
                _ => Some(case_row(row, 1)?),
            };
            Ok((OfficeId::new(row.get(0)?), case))
        };
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map([document.as_bytes()], recipient)?.collect())
            .attempted("look up the recipients of a document")
    }

    /// Lines of all registers after `after`, in the order of direction, register, year and number.
    pub(in crate::store) fn lines_after(
        &self,
        after: Option<&(Direction, Entry)>,
        rows: u32,
    ) -> Result<Vec<(Direction, Entry)>, StoreError> {
        let sql = "SELECT direction, book, year, number FROM line
                   WHERE (direction, book, year, number) > (?1, ?2, ?3, ?4)
                   ORDER BY direction, book, year, number LIMIT ?5";
        let place = |row: &Row<'_>| {
            let direction = match row.get(0)? {
                0 => Direction::Incoming,
                _ => Direction::Outgoing,
            };
            Ok((direction, line(row, 1)?))
        };
        let key = after.map(|(direction, entry)| {
            (direction_number(*direction), entry.book.to_string(), entry.year, entry.number)
        });
        let (direction, book, year, number) = key.unwrap_or((-1, String::new(), 0, 0));
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map(params![direction, book, year, number, rows], place)?.collect())
            .attempted("list the lines of all registers")
    }
}

/// What somebody's deed changes in a list.
fn concern_of(deed: Deed) -> Option<Concern> {
    Some(match deed {
        Deed::AcceptedUndetermined { from, document, .. } | Deed::Assigned { from, document, .. } => {
            Concern::Incoming(from, document)
        }
        Deed::PaperRegistered { entry, .. } => Concern::Line(Direction::Incoming, entry),
        Deed::NumberCancelled { direction, entry, .. } => Concern::Line(direction, entry),
        Deed::PaperIssued { issue, .. } => Concern::Line(Direction::Outgoing, issue.line?),
        Deed::Issued { document, .. } | Deed::Discarded { document, .. } => Concern::Outgoing(document),
        // What is set aside is in no list, because its document is not here. An opinion takes the room of an earlier step.
        Deed::Opined { from, document, .. } => Concern::Incoming(from, document),
        Deed::Approved { .. }
        | Deed::Signed { .. }
        | Deed::Sealed { .. }
        | Deed::Drafted { .. }
        | Deed::HighestStated { .. }
        // Lists show what documents say, and that stays.
        | Deed::Erased { .. }
        | Deed::SetAside { .. }
        | Deed::PersonSet { .. }
        | Deed::PersonRemoved { .. }
        | Deed::KeysHandedOver { .. } => return None,
    })
}
