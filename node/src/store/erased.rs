//! Which attachments are kept, for which documents, and which documents' content is erased.
//!
//! An attachment is kept as long as one document that names it is not erased, something waits for it, or a draft is about to name it.
//! What becomes of the files is decided here, in the transaction of a step; they go after it ([`crate::content`]).

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, params};
use schema::blob::BlobRef;
use schema::body::Body;
use schema::event::{Event, Kind};
use schema::exchange::Class;
use schema::handling::ErasedRow;
use schema::id::{BlobHash, DocumentId, FileHash, OfficeId, Position};

use super::handled::drafted_row;
use super::records::each_row;
use super::{Attempted, Store, StoreError};

/// For what an attachment is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// A document that is kept names it, or something waits for it.
    Needed,
    /// Only documents whose content is erased name it.
    Released,
    /// No document names it: it was sealed here and never sent, or nobody knows it.
    Unclaimed,
}

impl Store {
    /// Notes which attachments an entry of the journal names. What gives an event back names none of its own: that event does.
    pub(super) fn note_named(
        &self,
        (class, position): (Class, Position),
        version: u8,
        event: &Event,
    ) -> Result<(), StoreError> {
        if event.blobs.is_empty() || class == Class::Evidence || event.kind == Kind::Returned {
            return Ok(());
        }
        let document = match Body::read(version, event) {
            Ok(Body::Dispatch(dispatch)) => Some(*dispatch.manifest.document.as_bytes()),
            _ => None,
        };
        for blob in &event.blobs {
            let no = self.blob_number(blob)?;
            if class == Class::Opened {
                // The entry that could not be read knows its document now: otherwise it would keep the attachment for ever.
                let sql =
                    "UPDATE named SET document = ?3 WHERE blob = ?1 AND issuer = ?2 AND document IS NULL";
                self.db
                    .prepare_cached(sql)
                    .and_then(|mut s| s.execute(params![no, event.office.as_bytes(), document]))
                    .attempted("note which attachments a document has")?;
            }
            self.db
                .prepare_cached("INSERT INTO named VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")
                .and_then(|mut s| {
                    s.execute(params![no, position.0 as i64, event.office.as_bytes(), document])
                })
                .attempted("note which attachments a document has")?;
        }
        Ok(())
    }

    pub(super) fn save_erased(&self, row: &ErasedRow) -> Result<(), StoreError> {
        self.db
            .prepare_cached("INSERT INTO erased VALUES (?1, ?2, ?3)")
            .and_then(|mut s| {
                s.execute(params![row.issuer.as_bytes(), row.document.as_bytes(), row.position.0 as i64])
            })
            .attempted("note that the content of a document is erased")?;
        Ok(())
    }

    /// For what an attachment is kept.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn claim_on(&self, blob: &BlobRef) -> Result<Claim, StoreError> {
        claim_on(&self.db, blob)
    }

    /// Journal entries with this document of this office, oldest first: those that were sent, or the one that came in first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn entries_with(
        &self,
        issuer: &OfficeId,
        document: &DocumentId,
    ) -> Result<Vec<Position>, StoreError> {
        let sql = "SELECT position FROM held JOIN peer ON peer.no = held.peer
                   WHERE document = ?2 AND peer.office = ?1
                   UNION SELECT position FROM sent WHERE document = ?2
                     AND ?1 = (SELECT office FROM station WHERE one = 1)
                   ORDER BY 1";
        self.db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_map(params![issuer.as_bytes(), document.as_bytes()], |row| {
                    row.get::<_, i64>(0).map(|position| Position(position.unsigned_abs()))
                })?
                .collect()
            })
            .attempted("find the events of a document")
    }

    /// The files that drafts name which are not sent yet.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn files_of_drafts(&self) -> Result<BTreeSet<FileHash>, StoreError> {
        let mut files = BTreeSet::new();
        each_row(&self.db, "SELECT bytes FROM drafted INDEXED BY drafted_open WHERE stage < 5", |row| {
            let manifest = drafted_row(row, 0)?.manifest;
            let attachments = manifest.into_iter().flat_map(|manifest| manifest.attachments);
            files.extend(attachments.map(|attachment| attachment.file.hash));
            Ok(())
        })?;
        Ok(files)
    }

    /// Whether an attachment, sealed here, holds one of these files.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn holds_one_of(&self, blob: &BlobRef, files: &BTreeSet<FileHash>) -> Result<bool, StoreError> {
        let sql = "SELECT opening.file FROM blob JOIN opening ON opening.blob = blob.no
                   WHERE blob.hash = ?1 AND blob.length = ?2 AND opening.own = 1";
        let held: Vec<FileHash> = self
            .db
            .prepare_cached(sql)
            .and_then(|mut s| {
                s.query_map(params![blob.hash.as_bytes(), blob.length as i64], |row| {
                    row.get(0).map(FileHash::new)
                })?
                .collect()
            })
            .attempted("look up what an attachment holds")?;
        Ok(held.iter().any(|file| files.contains(file)))
    }

    /// An attachment is here no more, nor what opens it, as far as that is not in the journal.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn forget_blob(&self, blob: &BlobRef) -> Result<(), StoreError> {
        let attempted = "forget an attachment";
        let key = params![blob.hash.as_bytes(), blob.length as i64];
        let sql = "DELETE FROM opening WHERE blob IN (SELECT no FROM blob WHERE hash = ?1 AND length = ?2)";
        self.db.prepare_cached(sql).and_then(|mut s| s.execute(key)).attempted(attempted)?;
        let sql = "UPDATE blob SET complete = 0 WHERE hash = ?1 AND length = ?2";
        self.db.prepare_cached(sql).and_then(|mut s| s.execute(key)).attempted(attempted)?;
        Ok(())
    }
}

/// That the content of a document is erased.
pub(in crate::store) fn erased(
    db: &Connection,
    issuer: &OfficeId,
    document: &DocumentId,
) -> Result<Option<ErasedRow>, StoreError> {
    db.prepare_cached("SELECT issuer, document, position FROM erased WHERE issuer = ?1 AND document = ?2")
        .and_then(|mut s| s.query_row([issuer.as_bytes(), document.as_bytes()], erased_row).optional())
        .attempted("look up whether the content of a document is erased")
}

/// All documents whose content is erased, by issuer and document.
pub(in crate::store) fn all_erased(db: &Connection) -> Result<Vec<ErasedRow>, StoreError> {
    let mut erased = Vec::new();
    each_row(db, "SELECT issuer, document, position FROM erased ORDER BY issuer, document", |row| {
        erased.push(erased_row(row)?);
        Ok(())
    })?;
    Ok(erased)
}

fn erased_row(row: &Row<'_>) -> rusqlite::Result<ErasedRow> {
    Ok(ErasedRow {
        issuer: OfficeId::new(row.get(0)?),
        document: DocumentId::new(row.get(1)?),
        position: Position(row.get::<_, i64>(2)?.unsigned_abs()),
    })
}

/// For what an attachment is kept.
pub(in crate::store) fn claim_on(db: &Connection, blob: &BlobRef) -> Result<Claim, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM awaited WHERE awaited.blob = blob.no)
                   OR EXISTS (SELECT 1 FROM named WHERE named.blob = blob.no AND NOT EXISTS (
                       SELECT 1 FROM erased
                       WHERE erased.issuer = named.issuer AND erased.document = named.document)),
                   EXISTS (SELECT 1 FROM named WHERE named.blob = blob.no)
               FROM blob WHERE hash = ?1 AND length = ?2";
    let found: Option<(bool, bool)> = db
        .prepare_cached(sql)
        .and_then(|mut s| {
            let key = params![blob.hash.as_bytes(), blob.length as i64];
            s.query_row(key, |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .attempted("look up for what an attachment is kept")?;
    Ok(match found {
        Some((true, _)) => Claim::Needed,
        Some((false, true)) => Claim::Released,
        Some((false, false)) | None => Claim::Unclaimed,
    })
}

/// With which lengths an attachment of this hash is known.
pub(in crate::store) fn lengths_of(db: &Connection, hash: &BlobHash) -> Result<Vec<u64>, StoreError> {
    db.prepare_cached("SELECT length FROM blob WHERE hash = ?1 ORDER BY length")
        .and_then(|mut s| {
            s.query_map([hash.as_bytes()], |row| row.get::<_, i64>(0).map(i64::unsigned_abs))?.collect()
        })
        .attempted("look up an attachment")
}
