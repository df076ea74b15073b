-- One station. The journal is the truth; every other table follows from it or can be asked for again.

CREATE TABLE station (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    office    BLOB    NOT NULL CHECK (length(office) = 16),
    presented INTEGER NOT NULL DEFAULT 0,
    raised_at BLOB    NOT NULL DEFAULT x'80',              -- CBOR array of claimed times
    books     BLOB    NOT NULL DEFAULT x'a201a002a0'               -- CBOR map: the highest numbers of the registers
) STRICT;

CREATE TABLE journal (
    position    INTEGER PRIMARY KEY,                       -- order on this station
    class       INTEGER NOT NULL CHECK (class IN (0, 1, 2, 3, 4, 5)), -- own, received, evidence, regained, unreadable, opened
    incarnation INTEGER NOT NULL,
    seq         INTEGER NOT NULL CHECK (seq > 0),
    recorded_at INTEGER NOT NULL,                          -- ms since epoch, UTC
    bytes       BLOB    NOT NULL,                          -- as sealed or as received
    content     BLOB                                       -- of a sealed body, for whoever could open it: the bytes commit to it
) STRICT;
-- Two writers cannot both extend the chain.
CREATE UNIQUE INDEX own_chain ON journal (incarnation, seq) WHERE class = 0;
CREATE INDEX regained ON journal (incarnation, seq) WHERE class = 3;
CREATE TRIGGER journal_is_append_only BEFORE UPDATE ON journal
BEGIN SELECT raise(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_is_kept BEFORE DELETE ON journal
BEGIN SELECT raise(ABORT, 'the journal is kept for ever'); END;

CREATE TABLE peer (
    no               INTEGER PRIMARY KEY,
    office           BLOB    NOT NULL UNIQUE CHECK (length(office) = 16),
    sent_incarnation INTEGER,
    sent_counter     INTEGER,
    sent_id          BLOB,
    told_at          INTEGER,
    heard            INTEGER NOT NULL DEFAULT 0,
    confirmed        INTEGER NOT NULL DEFAULT 0,
    returned         BLOB    NOT NULL DEFAULT x'a0'        -- CBOR map of incarnations to counters
) STRICT;

CREATE TABLE channel (
    peer        INTEGER NOT NULL REFERENCES peer,
    incarnation INTEGER NOT NULL,
    held        INTEGER NOT NULL,
    held_id     BLOB,
    presented   INTEGER NOT NULL,
    ended       INTEGER NOT NULL CHECK (ended IN (0, 1)),
    PRIMARY KEY (peer, incarnation)
) STRICT, WITHOUT ROWID;

CREATE TABLE sent (
    peer        INTEGER NOT NULL REFERENCES peer,
    incarnation INTEGER NOT NULL,
    counter     INTEGER NOT NULL CHECK (counter > 0),
    id          BLOB    NOT NULL CHECK (length(id) = 32),
    position    INTEGER NOT NULL REFERENCES journal,
    kind        INTEGER NOT NULL,
    urgency     INTEGER NOT NULL,
    document    BLOB    CHECK (length(document) = 16),
    open        INTEGER NOT NULL CHECK (open IN (0, 1)),
    left_by     INTEGER,                                   -- journal position
    receipt     INTEGER,                                   -- journal position
    superseded  INTEGER NOT NULL CHECK (superseded IN (0, 1)),
    regained    INTEGER NOT NULL CHECK (regained IN (0, 1)),
    code_key    INTEGER,                                   -- number, symbol and year of its document
    -- For the sender's clockwork only; not part of the replayed state.
    due_at      INTEGER NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (peer, incarnation, counter)
) STRICT, WITHOUT ROWID;
CREATE INDEX sent_due ON sent (urgency, due_at, position) WHERE open = 1;
CREATE INDEX sent_code ON sent (code_key, peer, document) WHERE code_key IS NOT NULL;
CREATE INDEX sent_document ON sent (document, peer) WHERE document IS NOT NULL;
-- Keys that were handed over: few, and shown with the status.
CREATE INDEX sent_keys ON sent (position) WHERE kind = 2;
CREATE INDEX sent_waiting ON sent (position) WHERE open = 1 AND kind NOT IN (6, 7);

-- How many sends wait for a receipt, by the stretch of 256 journal entries in which they were saved: a station that was cut off
-- for weeks has a million of them, and its status does not walk them all. The triggers keep it; the checks of a store count anew.
CREATE TABLE waiting_sends (
    stretch     INTEGER PRIMARY KEY,                       -- journal position / 256
    waiting     INTEGER NOT NULL,                          -- no check: a wrong count must never stop a receipt
    queued      INTEGER NOT NULL,                          -- those that no relay has stored
    saved_from  INTEGER NOT NULL,                          -- none of them was saved before that, ms since epoch, UTC
    saved_until INTEGER NOT NULL                           -- nor after that
) STRICT;
CREATE TRIGGER sent_waits AFTER INSERT ON sent
WHEN NEW.open = 1 AND NEW.receipt IS NULL AND NEW.kind NOT IN (6, 7)
BEGIN
    INSERT INTO waiting_sends
    SELECT position / 256, 1, NEW.left_by IS NULL, recorded_at, recorded_at FROM journal WHERE position = NEW.position
    ON CONFLICT DO UPDATE SET waiting = waiting + 1, queued = queued + excluded.queued,
        saved_from = min(saved_from, excluded.saved_from), saved_until = max(saved_until, excluded.saved_until);
END;
CREATE TRIGGER sent_waits_no_more AFTER UPDATE OF open, receipt, left_by ON sent
WHEN NEW.kind NOT IN (6, 7)
BEGIN
    UPDATE waiting_sends SET
        waiting = max(0, waiting + (NEW.open = 1 AND NEW.receipt IS NULL) - (OLD.open = 1 AND OLD.receipt IS NULL)),
        queued = max(0, queued + (NEW.open = 1 AND NEW.receipt IS NULL AND NEW.left_by IS NULL)
                               - (OLD.open = 1 AND OLD.receipt IS NULL AND OLD.left_by IS NULL))
    WHERE stretch = NEW.position / 256;
END;

-- Receipts for events that were not known when they came: lost with a disk, and perhaps given back one day.
CREATE TABLE early_receipt (
    peer        INTEGER NOT NULL REFERENCES peer,
    incarnation INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    id          BLOB    NOT NULL CHECK (length(id) = 32),
    position    INTEGER NOT NULL REFERENCES journal,
    PRIMARY KEY (peer, incarnation, counter, id)
) STRICT, WITHOUT ROWID;

-- One line per document sent, in the order they were first recorded.
CREATE TABLE outgoing (
    position INTEGER PRIMARY KEY REFERENCES journal,
    document BLOB    NOT NULL UNIQUE CHECK (length(document) = 16)
) STRICT;

CREATE TABLE held (
    peer                INTEGER NOT NULL REFERENCES peer,
    incarnation         INTEGER NOT NULL,
    counter             INTEGER NOT NULL CHECK (counter > 0),
    id                  BLOB    NOT NULL CHECK (length(id) = 32),
    position            INTEGER NOT NULL REFERENCES journal,
    kind                INTEGER NOT NULL,
    document            BLOB    CHECK (length(document) = 16),
    receipt             INTEGER,                           -- journal position
    receipt_incarnation INTEGER,
    ordinal             INTEGER,                           -- the how-manieth document shown to the clerk
    in_order            INTEGER NOT NULL CHECK (in_order IN (0, 1)),
    judged              INTEGER,                           -- journal position of the newest judgement
    outcome             INTEGER CHECK (outcome IN (0, 1, 2)), -- valid, undetermined, invalid
    judged_open         INTEGER CHECK (judged_open IN (0, 1)),
    code_key            INTEGER,                           -- number, symbol and year of its document
    forgone             INTEGER NOT NULL DEFAULT 0 CHECK (forgone IN (0, 1)), -- its sender has erased the attachments that are missing
    unreadable          INTEGER NOT NULL CHECK (unreadable IN (0, 1)), -- nobody here could read it so far
    unsettled           INTEGER NOT NULL DEFAULT 0,        -- shown, and neither accepted nor refused, recalled, taken back
    PRIMARY KEY (peer, incarnation, counter)
) STRICT, WITHOUT ROWID;
CREATE INDEX held_unreadable ON held (position) WHERE unreadable = 1 AND receipt IS NULL;
CREATE INDEX held_keys ON held (position) WHERE kind = 2;
CREATE INDEX held_judged_open ON held (peer, incarnation, counter) WHERE judged_open = 1;
CREATE UNIQUE INDEX held_document ON held (document, peer) WHERE document IS NOT NULL;
CREATE INDEX held_unsettled ON held (ordinal) WHERE unsettled = 1;
CREATE UNIQUE INDEX held_ordinal ON held (ordinal) WHERE ordinal IS NOT NULL;

-- What became of documents after they arrived, on either side; no row before the first fact.
CREATE TABLE handled (
    peer     INTEGER NOT NULL REFERENCES peer,
    document BLOB    NOT NULL CHECK (length(document) = 16),
    side     INTEGER NOT NULL CHECK (side IN (0, 1)),      -- recipient, sender
    stage    INTEGER NOT NULL,
    standing INTEGER NOT NULL,                             -- current, asked back, taken back, recalled, replaced
    question INTEGER REFERENCES journal,                   -- the entry that asks what waits longest for an answer
    recalls  INTEGER NOT NULL,                             -- recalls without a confirmation
    shown    INTEGER NOT NULL CHECK (shown IN (0, 1)),     -- the document was shown to the clerk
    code_key INTEGER,                                      -- number, symbol and year of a registered document
    due      INTEGER,                                      -- by when it is to be finished or answered, in days since 1970-01-01
    bytes    BLOB    NOT NULL,                             -- CBOR of the whole row
    PRIMARY KEY (peer, document, side)
) STRICT, WITHOUT ROWID;
CREATE INDEX handled_due ON handled (due) WHERE due IS NOT NULL AND side = 0 AND stage IN (3, 4, 5);
CREATE INDEX handled_wanted ON handled (due) WHERE due IS NOT NULL AND side = 1;
CREATE INDEX handled_question ON handled (question) WHERE question IS NOT NULL AND side = 0 AND shown = 1;
CREATE INDEX handled_asked ON handled (question) WHERE question IS NOT NULL AND side = 1;
CREATE INDEX handled_code ON handled (code_key, peer, document) WHERE code_key IS NOT NULL;
CREATE INDEX handled_recalls ON handled (peer, document) WHERE recalls > 0 AND side = 0 AND shown = 1;

-- Facts that came before their document, or whose document was lost: a person looks at those that never find one.
CREATE TABLE unmatched (
    peer      INTEGER NOT NULL REFERENCES peer,
    document  BLOB    NOT NULL,
    side      INTEGER NOT NULL,
    set_aside INTEGER REFERENCES journal,                  -- the entry in which somebody did
    PRIMARY KEY (peer, document, side)
) STRICT, WITHOUT ROWID;
CREATE INDEX unmatched_open ON unmatched (peer, document, side) WHERE set_aside IS NULL;

-- Numbers of registers that were used, and the entry that used each.
CREATE TABLE line (
    direction INTEGER NOT NULL CHECK (direction IN (0, 1)), -- incoming, outgoing
    book      TEXT    NOT NULL,
    year      INTEGER NOT NULL,
    number    INTEGER NOT NULL CHECK (number > 0),
    position  INTEGER NOT NULL REFERENCES journal,
    office    BLOB    CHECK (length(office) = 16),         -- whose document, for one
    document  BLOB    CHECK (length(document) = 16),
    work      BLOB    CHECK (length(work) = 16),           -- the work that used it for nothing, or for paper
    said      INTEGER,                                     -- what that work said, in short
    PRIMARY KEY (direction, book, year, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX line_work ON line (work) WHERE work IS NOT NULL;

-- Documents on their way out, until they are sent.
CREATE TABLE drafted (
    document BLOB    PRIMARY KEY CHECK (length(document) = 16),
    stage    INTEGER NOT NULL,
    changed  INTEGER NOT NULL REFERENCES journal,          -- the entry that changed it last
    bytes    BLOB    NOT NULL                              -- CBOR of the whole row
) STRICT, WITHOUT ROWID;
CREATE INDEX drafted_open ON drafted (changed) WHERE stage < 5;

-- The people of the office, as acts of this station say; who was removed has no role left.
CREATE TABLE person (
    name  TEXT PRIMARY KEY,
    bytes BLOB NOT NULL                                    -- CBOR of the whole row
) STRICT, WITHOUT ROWID;

-- Certificates, revocation lists and announcements that came: what judgements rest on. Kept for ever.
CREATE TABLE registry (
    no    INTEGER PRIMARY KEY,
    id    BLOB    NOT NULL UNIQUE CHECK (length(id) = 32),
    kind  INTEGER NOT NULL,
    bytes BLOB    NOT NULL
) STRICT;

-- Whose certificates signed held documents, and which documents they signed.
CREATE TABLE signer (
    no          INTEGER PRIMARY KEY,
    certificate BLOB    NOT NULL UNIQUE CHECK (length(certificate) = 32), -- SHA-256
    bytes       BLOB    NOT NULL
) STRICT;
CREATE TABLE signed (
    signer      INTEGER NOT NULL REFERENCES signer,
    peer        INTEGER NOT NULL REFERENCES peer,
    incarnation INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    PRIMARY KEY (signer, peer, incarnation, counter)
) STRICT, WITHOUT ROWID;

-- Documents that something newer may judge otherwise.
CREATE TABLE to_judge (
    peer        INTEGER NOT NULL REFERENCES peer,
    incarnation INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    PRIMARY KEY (peer, incarnation, counter)
) STRICT, WITHOUT ROWID;

CREATE TABLE alarm (
    no       INTEGER PRIMARY KEY,
    position INTEGER NOT NULL REFERENCES journal,
    bytes    BLOB    NOT NULL                              -- CBOR
) STRICT;

CREATE TABLE evidence (
    id       BLOB    PRIMARY KEY CHECK (length(id) = 32),
    position INTEGER NOT NULL REFERENCES journal
) STRICT, WITHOUT ROWID;

-- Where two lives of a correspondent contradict each other: heads tell it what is held there.
CREATE TABLE contested (
    peer        INTEGER NOT NULL REFERENCES peer,
    incarnation INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    PRIMARY KEY (peer, incarnation, counter)
) STRICT, WITHOUT ROWID;

CREATE TABLE quarantine (
    no        INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,                            -- ms since epoch, UTC
    source    TEXT    NOT NULL,
    reason    TEXT    NOT NULL,                            -- in English
    reason_vi TEXT    NOT NULL,                            -- in Vietnamese
    bytes     BLOB    NOT NULL
) STRICT;

-- Sealed attachments. The bytes are in files; complete says that they are on the disk and have their hash. Whoever names one may lie
-- about its length: what another event says of the same hash is another row.
CREATE TABLE blob (
    no       INTEGER PRIMARY KEY,
    hash     BLOB    NOT NULL CHECK (length(hash) = 32),
    length   INTEGER NOT NULL CHECK (length > 0),
    complete INTEGER NOT NULL CHECK (complete IN (0, 1)),
    UNIQUE (hash, length)
) STRICT;

-- Which file a complete blob holds when it is opened so: somebody has looked. Own ones were sealed here.
CREATE TABLE opening (
    file     BLOB    NOT NULL CHECK (length(file) = 32),
    blob     INTEGER NOT NULL REFERENCES blob,
    length   INTEGER NOT NULL CHECK (length > 0),
    identity BLOB    NOT NULL CHECK (length(identity) = 32),
    own      INTEGER NOT NULL CHECK (own IN (0, 1)),
    PRIMARY KEY (file, blob, length, identity)
) STRICT, WITHOUT ROWID;

-- Which relays keep which attachments for what this station has sent, until all receipts are there. For the sender's clockwork only.
CREATE TABLE kept (
    relay    TEXT    NOT NULL,
    blob     INTEGER NOT NULL REFERENCES blob,
    position INTEGER NOT NULL REFERENCES journal,          -- of the event that names it
    PRIMARY KEY (relay, blob, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_for ON kept (position);

-- Which journal entries name which attachments, and of which document; none where nobody here could read it. What no document names
-- that is kept here is not kept either.
CREATE TABLE named (
    blob     INTEGER NOT NULL REFERENCES blob,
    position INTEGER NOT NULL REFERENCES journal,
    issuer   BLOB    NOT NULL CHECK (length(issuer) = 16),
    document BLOB    CHECK (length(document) = 16),
    PRIMARY KEY (blob, position)
) STRICT, WITHOUT ROWID;

-- Documents whose content is erased here, and the entry that says so.
CREATE TABLE erased (
    issuer   BLOB    NOT NULL CHECK (length(issuer) = 16),
    document BLOB    NOT NULL CHECK (length(document) = 16),
    position INTEGER NOT NULL REFERENCES journal,
    PRIMARY KEY (issuer, document)
) STRICT, WITHOUT ROWID;

-- Which held events wait for which attachments. Unreadable: it is here, and is not the file that the document names.
CREATE TABLE awaited (
    blob        INTEGER NOT NULL REFERENCES blob,
    peer        INTEGER NOT NULL REFERENCES peer,
    incarnation INTEGER NOT NULL,
    counter     INTEGER NOT NULL,
    urgency     INTEGER NOT NULL,                          -- of the event: the most urgent ones are fetched first
    unreadable  INTEGER NOT NULL CHECK (unreadable IN (0, 1)),
    PRIMARY KEY (blob, peer, incarnation, counter)
) STRICT, WITHOUT ROWID;
CREATE INDEX awaited_by_event ON awaited (peer, incarnation, counter);
