-- Words are checked here, so that a query by hand can rely on them. Times are UTC text, RFC 3339; durations and t_s are
-- seconds on the run's monotonic clock; powers are watts.

CREATE TABLE recipe (
    hash     TEXT PRIMARY KEY,
    product  TEXT NOT NULL,
    revision TEXT NOT NULL,
    text     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE unit (
    id            INTEGER PRIMARY KEY,
    part_number   TEXT NOT NULL,
    serial_number TEXT NOT NULL,
    lot           TEXT,
    first_seen_at TEXT NOT NULL,
    UNIQUE (part_number, serial_number)
) STRICT;

CREATE TABLE component (
    id      INTEGER PRIMARY KEY,
    unit_id INTEGER NOT NULL REFERENCES unit (id),
    kind    TEXT NOT NULL,
    serial  TEXT,
    lot     TEXT,
    CHECK (serial IS NOT NULL OR lot IS NOT NULL)
) STRICT;
CREATE INDEX component_of_unit ON component (unit_id);

CREATE TABLE run (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    unit_id          INTEGER NOT NULL REFERENCES unit (id),
    recipe_hash      TEXT NOT NULL REFERENCES recipe (hash),
    station          TEXT NOT NULL,
    operator         TEXT,
    software_version TEXT NOT NULL,
    seed             TEXT, -- decimal: 64 bits without a sign do not fit an INTEGER
    simulated        INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    started_at       TEXT NOT NULL,
    ended_at         TEXT,
    duration_s       REAL,
    outcome          TEXT CHECK (outcome IN ('pass', 'fail', 'error', 'aborted')),
    cause            TEXT CHECK (cause IN ('part', 'station', 'operator', 'recipe')),
    message          TEXT,
    phase            TEXT NOT NULL,
    safe             INTEGER CHECK (safe IN (0, 1)),
    CHECK ((outcome IS NULL) = (ended_at IS NULL)),
    CHECK (outcome IS NOT 'fail' OR cause IS 'part')
) STRICT;
CREATE INDEX run_of_unit ON run (unit_id);
CREATE INDEX run_open ON run (seq) WHERE outcome IS NULL;

CREATE TABLE phase (
    run_seq INTEGER NOT NULL REFERENCES run (seq),
    t_s     REAL NOT NULL,
    phase   TEXT NOT NULL
) STRICT;
CREATE INDEX phase_of_run ON phase (run_seq);

CREATE TABLE step (
    run_seq   INTEGER NOT NULL REFERENCES run (seq),
    position  INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    started_s REAL NOT NULL,
    ended_s   REAL,
    outcome   TEXT CHECK (outcome IN ('pass', 'fail', 'error', 'aborted')),
    message   TEXT,
    PRIMARY KEY (run_seq, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE measurement (
    id              INTEGER PRIMARY KEY,
    run_seq         INTEGER NOT NULL REFERENCES run (seq),
    step            INTEGER NOT NULL,
    t_s             REAL NOT NULL,
    name            TEXT NOT NULL,
    channel         TEXT,
    value           REAL NOT NULL,
    unit            TEXT NOT NULL,
    lower           REAL,
    upper           REAL,
    outcome         TEXT CHECK (outcome IN ('pass', 'fail')),
    launched_w      REAL,
    launched_origin TEXT CHECK (launched_origin IN ('tap', 'reference', 'unit')),
    launched_age_s  REAL,
    launched_uncertainty_db REAL, -- expanded, k = 2
    uncertainty     REAL, -- expanded, k = 2, in unit
    CHECK ((launched_w IS NULL) = (launched_origin IS NULL))
) STRICT;
CREATE INDEX measurement_of_run ON measurement (run_seq);

-- data is described in station/src/store/blob.rs and in docs/log.md
CREATE TABLE trace (
    id       INTEGER PRIMARY KEY,
    run_seq  INTEGER NOT NULL REFERENCES run (seq),
    step     INTEGER NOT NULL,
    t_s      REAL NOT NULL,
    search   TEXT NOT NULL,
    axes     TEXT NOT NULL, -- names, separated by blanks
    channels TEXT NOT NULL, -- names, separated by blanks
    samples  INTEGER NOT NULL,
    data     BLOB NOT NULL
) STRICT;
CREATE INDEX trace_of_run ON trace (run_seq);

CREATE TABLE note (
    id      INTEGER PRIMARY KEY,
    run_seq INTEGER NOT NULL REFERENCES run (seq),
    t_s     REAL NOT NULL,
    text    TEXT NOT NULL
) STRICT;
CREATE INDEX note_of_run ON note (run_seq);

CREATE TABLE transcript (
    id         INTEGER PRIMARY KEY,
    run_seq    INTEGER NOT NULL REFERENCES run (seq),
    t_s        REAL NOT NULL,
    instrument TEXT NOT NULL,
    text       TEXT NOT NULL
) STRICT;
CREATE INDEX transcript_of_run ON transcript (run_seq);
