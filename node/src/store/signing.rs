//! Requests for officers' signatures, as they are written down.
//!
//! A second connection writes this one table: its transactions are single rows, the exchange never reads them, and
//! SQLite lets one writer wait for the other.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};
use schema::id::RequestId;
use schema::time::Millis;
use serde::Serialize;

use super::{Attempted, SCHEMA_VERSION, StoreError};

/// Most requests that wait for their signatures at the same time.
pub const OPEN_REQUESTS_MAX: u32 = 64;
/// Most requests that have ended and are kept; the oldest make room.
pub const ENDED_REQUESTS_MAX: u32 = 1_000;
/// Most requests in one list.
pub const LISTED_REQUESTS_MAX: u32 = 200;

/// How far a request is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestState {
    /// Written down; whether the signer knows of it is not.
    Recorded,
    /// The provider has it, and will answer.
    Asked,
    /// Signed, and the signature was verified.
    Signed,
    /// The officer said no.
    Declined,
    /// Nobody answered in time.
    Expired,
    /// It cannot be signed this way.
    Failed,
}

impl RequestState {
    const ALL: [Self; 6] =
        [Self::Recorded, Self::Asked, Self::Signed, Self::Declined, Self::Expired, Self::Failed];

    /// Its name in the store, in JSON and in [`crate::words::SIGNING_STATE`].
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Asked => "asked",
            Self::Signed => "signed",
            Self::Declined => "declined",
            Self::Expired => "expired",
            Self::Failed => "failed",
        }
    }

    /// Whether an answer may still come.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Recorded | Self::Asked)
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// What is written down before anybody is asked.
#[derive(Clone, Debug)]
pub struct NewRequest<'a> {
    /// Its id.
    pub id: RequestId,
    /// The signer's name in the settings.
    pub signer: &'a str,
    /// The encoded preparation.
    pub preparation: &'a [u8],
    /// The frozen bytes.
    pub content: &'a [u8],
    /// Their SHA-256.
    pub digest: [u8; 32],
    /// What the officer reads.
    pub description: &'a str,
    /// Who asks; none for a program.
    pub asked_by: Option<&'a str>,
    /// When it was made.
    pub created_at: Millis,
    /// When nobody need answer any more.
    pub expires_at: Millis,
}

/// What became of writing it down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recorded {
    /// It is written down.
    New,
    /// The same officer is being asked for the same document already.
    Open(RequestId),
    /// Too many wait.
    TooMany,
}

/// A request that waits for its signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenRequest {
    /// Its id.
    pub id: RequestId,
    /// The signer's name in the settings.
    pub signer: String,
    /// The encoded preparation.
    pub preparation: Vec<u8>,
    /// The frozen bytes.
    pub content: Vec<u8>,
    /// What the officer reads.
    pub description: String,
    /// When nobody need answer any more.
    pub expires_at: Millis,
    /// The provider's name for it, once it was asked.
    pub transaction: Option<String>,
}

/// A request as it is shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestRow {
    /// Its id.
    pub id: RequestId,
    /// The signer's name in the settings.
    pub signer: String,
    /// The encoded preparation.
    pub preparation: Vec<u8>,
    /// SHA-256 of the frozen bytes.
    pub digest: [u8; 32],
    /// What the officer reads.
    pub description: String,
    /// Who asked; none for a program.
    pub asked_by: Option<String>,
    /// How far it is.
    pub state: RequestState,
    /// Code of the last trouble.
    pub reason: Option<String>,
    /// When it was made.
    pub created_at: Millis,
    /// When nobody need answer any more.
    pub expires_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// CMS in DER, once it is signed.
    pub signature: Option<Vec<u8>>,
}

/// How a request ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending<'a> {
    /// With a signature that was verified (CMS, DER).
    Signed(&'a [u8]),
    /// Without one, in this state and for this reason (a code).
    Without(RequestState, &'a str),
}

/// The table of signing requests.
pub struct SigningStore {
    db: Connection,
}

const ROW: &str =
    "SELECT id, signer, preparation, digest, description, state, reason, created_at, expires_at, ended_at,
                   signature, asked_by FROM signing_request";

impl SigningStore {
    /// Opens the table in a store that [`super::Store::open`] has brought to this version's form.
    ///
    /// # Errors
    /// When there is no such store, or SQLite fails.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(path, flags).attempted("open the file for signing requests")?;
        db.busy_timeout(Duration::from_secs(5)).attempted("set the busy time-out")?;
        // The core moves the log into the file.
        db.execute_batch(
            "PRAGMA synchronous = FULL; PRAGMA cache_size = -1024; PRAGMA wal_autocheckpoint = 0;",
        )
        .attempted("configure SQLite")?;
        let version = db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
        let version = version.attempted("read the schema version")?;
        if version == SCHEMA_VERSION {
            return Ok(Self { db });
        }
        let hint = "the station's store was not brought to this version's form; start the station anew";
        let path = path.display().to_string();
        Err(StoreError::Foreign { path, application_id: super::APPLICATION_ID, version, hint })
    }

    /// Writes a request down; once this returns it survives a power cut. The oldest that have ended make room.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn record(&mut self, new: &NewRequest<'_>) -> Result<Recorded, StoreError> {
        let mut record = || -> rusqlite::Result<Recorded> {
            let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let same =
                "SELECT id FROM signing_request WHERE signer = ?1 AND digest = ?2 AND ended_at IS NULL";
            let same =
                transaction.query_row(same, params![new.signer, new.digest], |row| row.get(0)).optional()?;
            if let Some(id) = same {
                return Ok(Recorded::Open(RequestId::new(id)));
            }
            let open = "SELECT count(*) FROM signing_request WHERE ended_at IS NULL";
            if transaction.query_row(open, [], |row| row.get::<_, u32>(0))? >= OPEN_REQUESTS_MAX {
                return Ok(Recorded::TooMany);
            }
            let insert = "INSERT INTO signing_request (id, signer, preparation, content, digest, description,
                          asked_by, created_at, expires_at, state)
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'recorded')";
            transaction.execute(
                insert,
                params![
                    new.id.as_bytes(),
                    new.signer,
                    new.preparation,
                    new.content,
                    new.digest,
                    new.description,
                    new.asked_by,
                    new.created_at.0 as i64,
                    new.expires_at.0 as i64
                ],
            )?;
            let oldest = "DELETE FROM signing_request WHERE no IN (SELECT no FROM signing_request
                          WHERE ended_at IS NOT NULL ORDER BY no DESC LIMIT -1 OFFSET ?1)";
            transaction.execute(oldest, [ENDED_REQUESTS_MAX])?;
            transaction.commit()?;
            Ok(Recorded::New)
        };
        record().attempted("write a signing request down")
    }

    /// Notes the provider's name for a request; `false` when the request has ended, or the provider has given the same
    /// name to another one.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn asked(&self, id: &RequestId, transaction: &str) -> Result<bool, StoreError> {
        let sql = "UPDATE OR IGNORE signing_request SET state = 'asked', transaction_id = ?2, reason = NULL
                   WHERE id = ?1 AND ended_at IS NULL";
        let changed = self.db.execute(sql, params![id.as_bytes(), transaction]);
        Ok(changed.attempted("note that a signature was asked for")? == 1)
    }

    /// Notes why a request waits longer; costs nothing when it is noted already.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn note(&self, id: &RequestId, reason: &str) -> Result<(), StoreError> {
        let sql =
            "UPDATE signing_request SET reason = ?2 WHERE id = ?1 AND ended_at IS NULL AND reason IS NOT ?2";
        self.db.execute(sql, params![id.as_bytes(), reason]).attempted("note why a signature is missing")?;
        Ok(())
    }

    /// Notes an answer that did not hold; returns how many there were.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn refuse_answer(&self, id: &RequestId, reason: &str) -> Result<u32, StoreError> {
        let sql =
            "UPDATE signing_request SET refused = refused + 1, reason = ?2 WHERE id = ?1 AND ended_at IS NULL
                   RETURNING refused";
        let refused = self.db.query_row(sql, params![id.as_bytes(), reason], |row| row.get(0)).optional();
        Ok(refused.attempted("note an answer that does not hold")?.unwrap_or_default())
    }

    /// Ends a request, once: `false` when it has ended before.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn end(&self, id: &RequestId, ending: Ending<'_>, now: Millis) -> Result<bool, StoreError> {
        let (state, reason, signature) = match ending {
            Ending::Signed(signature) => (RequestState::Signed, None, Some(signature)),
            Ending::Without(state, reason) => (state, Some(reason), None),
        };
        let sql = "UPDATE signing_request SET state = ?2, reason = ?3, signature = ?4, ended_at = ?5
                   WHERE id = ?1 AND ended_at IS NULL";
        let changed =
            self.db.execute(sql, params![id.as_bytes(), state.word(), reason, signature, now.0 as i64]);
        Ok(changed.attempted("end a signing request")? == 1)
    }

    /// Every request that waits, oldest first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn open_requests(&self) -> Result<Vec<OpenRequest>, StoreError> {
        let read = "read the signing requests that wait";
        let sql = "SELECT id, signer, preparation, content, description, expires_at, transaction_id FROM signing_request
                   WHERE ended_at IS NULL ORDER BY no";
        let mut statement = self.db.prepare_cached(sql).attempted(read)?;
        let rows = statement.query_map([], |row| {
            Ok(OpenRequest {
                id: RequestId::new(row.get(0)?),
                signer: row.get(1)?,
                preparation: row.get(2)?,
                content: row.get(3)?,
                description: row.get(4)?,
                expires_at: millis(row, 5)?,
                transaction: row.get(6)?,
            })
        });
        rows.attempted(read)?.collect::<rusqlite::Result<_>>().attempted(read)
    }

    /// One request.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn request(&self, id: &RequestId) -> Result<Option<RequestRow>, StoreError> {
        let sql = format!("{ROW} WHERE id = ?1");
        self.db.query_row(&sql, [id.as_bytes()], row_of).optional().attempted("read a signing request")
    }

    /// The newest requests, newest first.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn requests(&self, limit: u32) -> Result<Vec<RequestRow>, StoreError> {
        let read = "list the signing requests";
        let sql = format!("{ROW} ORDER BY no DESC LIMIT ?1");
        let mut statement = self.db.prepare_cached(&sql).attempted(read)?;
        let rows = statement.query_map([limit.min(LISTED_REQUESTS_MAX)], row_of).attempted(read)?;
        rows.collect::<rusqlite::Result<_>>().attempted(read)
    }
}

fn millis(row: &Row<'_>, index: usize) -> rusqlite::Result<Millis> {
    Ok(Millis(row.get::<_, i64>(index)?.unsigned_abs()))
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<RequestRow> {
    let state: String = row.get(5)?;
    let state = RequestState::of(&state).ok_or(rusqlite::Error::InvalidQuery)?;
    Ok(RequestRow {
        id: RequestId::new(row.get(0)?),
        signer: row.get(1)?,
        preparation: row.get(2)?,
        digest: row.get(3)?,
        description: row.get(4)?,
        state,
        reason: row.get(6)?,
        created_at: millis(row, 7)?,
        expires_at: millis(row, 8)?,
        ended_at: row.get::<_, Option<i64>>(9)?.map(|at| Millis(at.unsigned_abs())),
        signature: row.get(10)?,
        asked_by: row.get(11)?,
    })
}
