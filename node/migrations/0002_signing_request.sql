-- Requests for officers' signatures: written before anybody is asked, so that an answer which comes after a restart still
-- finds what it belongs to. Not part of the exchange: nothing here follows from the journal, and nothing there from here.

CREATE TABLE signing_request (
    no             INTEGER PRIMARY KEY,                    -- order on this station
    id             BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    signer         TEXT    NOT NULL CHECK (signer <> ''),  -- its name in the settings
    preparation    BLOB    NOT NULL,                       -- certificate and exactly what is to be signed
    content        BLOB    NOT NULL CHECK (length(content) BETWEEN 1 AND 65536), -- the frozen bytes
    digest         BLOB    NOT NULL CHECK (length(digest) = 32), -- SHA-256 of the content
    description    TEXT    NOT NULL,                       -- what the officer reads on the telephone
    asked_by       TEXT,                                   -- who asked; none for a program
    created_at     INTEGER NOT NULL,                       -- ms since epoch, UTC
    expires_at     INTEGER NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('recorded', 'asked', 'signed', 'declined', 'expired', 'failed')),
    transaction_id TEXT,                                   -- the provider's name for it
    refused        INTEGER NOT NULL DEFAULT 0,             -- answers that did not hold
    reason         TEXT,                                   -- code of the last trouble
    signature      BLOB,                                   -- CMS, DER
    ended_at       INTEGER,
    UNIQUE (signer, transaction_id),                       -- one transaction never answers for two requests
    CHECK ((state = 'signed') = (signature IS NOT NULL)),
    CHECK ((state IN ('recorded', 'asked')) = (ended_at IS NULL)),
    CHECK (state <> 'asked' OR transaction_id IS NOT NULL)
) STRICT;

-- The same officer is asked for the same document once at a time.
CREATE UNIQUE INDEX signing_request_open ON signing_request (signer, digest) WHERE ended_at IS NULL;
CREATE TRIGGER signing_request_ended_never_changes BEFORE UPDATE ON signing_request WHEN OLD.ended_at IS NOT NULL
BEGIN SELECT raise(ABORT, 'a signing request that has ended never changes'); END;
CREATE TRIGGER signing_request_is_frozen
BEFORE UPDATE OF no, id, signer, preparation, content, digest, description, asked_by, created_at, expires_at ON signing_request
BEGIN SELECT raise(ABORT, 'what is to be signed never changes'); END;
CREATE TRIGGER signing_request_open_is_kept BEFORE DELETE ON signing_request WHEN OLD.ended_at IS NULL
BEGIN SELECT raise(ABORT, 'a signing request is kept until it has ended'); END;
