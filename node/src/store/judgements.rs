//! What judgements rest on, and which of them are to be made again.

use rusqlite::{OptionalExtension, params};
use schema::body::Place;
use schema::event::RecordedEvent;
use schema::id::{Counter, EventId, KeyId, OfficeId};
use schema::registry::{Item, ItemKind};
use schema::trust::Certificate;

use super::inspect::recorded;
use super::{Attempted, Store, StoreError, inspect, records};

impl Store {
    /// Keeps items of the registry that judgements may rest on: all but directories, of which the registry file holds
    /// the newest.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn keep_items(&self, items: &[Item]) -> Result<(), StoreError> {
        let sql = "INSERT INTO registry (id, kind, bytes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        let keep = || -> rusqlite::Result<()> {
            let mut insert = self.db.prepare_cached(sql)?;
            for item in items.iter().filter(|item| item.kind() != ItemKind::Directory) {
                insert.execute(params![item.id().0, item.kind().number(), item.bytes()])?;
            }
            Ok(())
        };
        keep().attempted("keep what came into the registry")
    }

    /// The items that were kept, in the order they came.
    ///
    /// # Errors
    /// When SQLite fails, or an item is larger than any.
    pub fn kept_items(&self) -> Result<Vec<Item>, StoreError> {
        let read = "read the kept items of the registry";
        let mut statement =
            self.db.prepare_cached("SELECT kind, bytes FROM registry ORDER BY no").attempted(read)?;
        let rows = statement.query_map([], |row| Ok((row.get::<_, u8>(0)?, row.get::<_, Vec<u8>>(1)?)));
        let mut items = Vec::new();
        for row in rows.attempted(read)? {
            let (kind, bytes) = row.attempted(read)?;
            let item = ItemKind::from_number(kind).and_then(|kind| Item::new(kind, bytes).ok());
            items.push(item.ok_or(StoreError::Value { what: "an item of the registry" })?);
        }
        Ok(items)
    }

    /// Notes that this certificate signed the document at this place.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn note_signer(
        &self,
        certificate: &Certificate,
        from: &OfficeId,
        place: &Place,
    ) -> Result<(), StoreError> {
        let note = || -> rusqlite::Result<i64> {
            let hash = certificate.hash().0;
            let known = self
                .db
                .prepare_cached("SELECT no FROM signer WHERE certificate = ?1")?
                .query_row([&hash], |row| row.get(0))
                .optional()?;
            match known {
                Some(no) => Ok(no),
                None => self
                    .db
                    .prepare_cached("INSERT INTO signer (certificate, bytes) VALUES (?1, ?2)")?
                    .insert(params![hash, certificate.as_der()]),
            }
        };
        let signer = note().attempted("note a signer")?;
        let peer = self.number_of(from)?;
        self.db
            .prepare_cached("INSERT INTO signed VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")
            .and_then(|mut s| {
                s.execute(params![signer, peer, place.incarnation.number() as i64, place.counter.0 as i64])
            })
            .attempted("note what was signed")?;
        Ok(())
    }

    /// Every certificate that signed a held document (DER), with its number here.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn signers(&self) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        self.db
            .prepare_cached("SELECT no, bytes FROM signer ORDER BY no")
            .and_then(|mut s| s.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
            .attempted("read the signers")
    }

    /// Marks every document whose judgement may still change.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn mark_open_judgements(&self) -> Result<(), StoreError> {
        let sql = "INSERT INTO to_judge SELECT peer, incarnation, counter FROM held WHERE judged_open = 1
                   ON CONFLICT DO NOTHING";
        self.db.prepare_cached(sql).and_then(|mut s| s.execute([])).attempted("mark documents")?;
        Ok(())
    }

    /// Marks every document that this signer signed.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn mark_judged_by(&self, signer: i64) -> Result<(), StoreError> {
        let sql = "INSERT INTO to_judge SELECT peer, incarnation, counter FROM signed WHERE signer = ?1
                   ON CONFLICT DO NOTHING";
        self.db.prepare_cached(sql).and_then(|mut s| s.execute([signer])).attempted("mark documents")?;
        Ok(())
    }

    /// Documents that are marked, at most `limit`.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn marked_for_judging(&self, limit: usize) -> Result<Vec<(OfficeId, Place)>, StoreError> {
        let sql = "SELECT to_judge.incarnation, to_judge.counter, held.id, peer.office
                   FROM to_judge JOIN held USING (peer, incarnation, counter) JOIN peer ON peer.no = to_judge.peer
                   ORDER BY to_judge.peer, to_judge.incarnation, to_judge.counter LIMIT ?1";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_map([limit as i64], |row| {
                    let incarnation = records::incarnation(row, 0)?;
                    let counter = Counter(row.get::<_, i64>(1)?.unsigned_abs());
                    let place = Place { incarnation, counter, id: EventId::new(row.get(2)?) };
                    Ok((OfficeId::new(row.get(3)?), place))
                })?
                .collect()
            })
            .attempted("read which documents are to be judged again")
    }

    /// Takes the mark off.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn unmark_for_judging(&self, from: &OfficeId, place: &Place) -> Result<(), StoreError> {
        let sql = "DELETE FROM to_judge WHERE peer = ?1 AND incarnation = ?2 AND counter = ?3";
        let peer = self.number_of(from)?;
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.execute(params![peer, place.incarnation.number() as i64, place.counter.0 as i64])
            })
            .attempted("take a mark off a document")?;
        Ok(())
    }

    /// Whether this key signed an event of this station, one that was lost and given back included. Looks from the newest
    /// backwards: the key before the present one is found soon, one that never was this station's only at the beginning.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn own_key(&self, key: KeyId) -> Result<bool, StoreError> {
        let sql = "SELECT position, bytes FROM journal WHERE class IN (0, 3) AND instr(bytes, ?1) > 0
                   ORDER BY position DESC";
        let mut statement = self.db.prepare_cached(sql).attempted("look for a key in the journal")?;
        let mut rows = statement.query([&key.as_bytes()[..]]).attempted("look for a key in the journal")?;
        while let Some(row) = rows.next().attempted("look for a key in the journal")? {
            let (position, bytes): (i64, Vec<u8>) =
                (row.get(0).attempted("read an event")?, row.get(1).attempted("read an event")?);
            if recorded(position, &bytes)?.key == key {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The newest event of this station's own chain.
    ///
    /// # Errors
    /// When SQLite fails, or the event cannot be read.
    pub fn newest_own(&self) -> Result<Option<RecordedEvent>, StoreError> {
        inspect::newest_own(&self.db, "read the newest event")
    }
}
