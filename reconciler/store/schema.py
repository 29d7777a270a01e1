"""The tables, and how an older file becomes a newer one: MIGRATIONS[n] leads from user_version n to n + 1.

Four orders make the store quick, each written by appending or in proportion to changes:

    tasks    by (sweep, task): what a diff merges with; slim, because it is what changes
    points   by (sweep, added, place), in declared order: what never changes; `place` is a task's first ordinal
    heads    by (sweep, wake, ordinal): exactly the tasks that may start, wake 0.0 = now, else the end of a backoff
    counters instead of COUNT: moved by every transition, in its own transaction

`tasks.added` is the generation that brought the row: one beyond `sweeps.generation` is invisible until that flips.
`changes` is a redo log: tasks whose standing must be decided again once the generation being prepared is in force;
`moves` is the like for tasks of which only the ordinal changes.
`endings` counts the ends of attempts, and `usage` adds up what they used; both only ever grow.
`names`: attempts that a later state than this one had made, and where: this one had been put back from a copy.
`collections`: ended attempts whose files are to lie here, too, with the instant from which they do; the newest end has
the highest id. Sources of which nothing is collected have none.
`lives`: who served this state, each since when, and how far its story had come then; '' for one that merely opened it.
`switched_off`: sources on which a person wants nothing new to start.
`repins`: sweeps whose commit a person wants resolved anew, until a pass has done so; who asks again gets a higher id.
`attempts.open`: has not ended, and is tracked. Attempts and their numbers are kept for ever.
No STRICT and no RETURNING: the SQLite 3.34 of long-lived clusters is enough.
"""

from __future__ import annotations

FIRST = """
CREATE TABLE meta (instance TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE lives (id INTEGER PRIMARY KEY AUTOINCREMENT, daemon TEXT NOT NULL, begun REAL NOT NULL);
CREATE TABLE repository (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    accepted TEXT, tree TEXT, fetched TEXT, checked_at REAL,
    error_reason TEXT NOT NULL, error_message TEXT NOT NULL, rewritten_from TEXT, blocked TEXT NOT NULL
);
CREATE TABLE invalid (path TEXT PRIMARY KEY, sweep TEXT, at REAL NOT NULL, errors TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (name TEXT PRIMARY KEY, at REAL NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE sweeps (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    generation INTEGER NOT NULL DEFAULT 0,
    path TEXT NOT NULL,
    head TEXT,
    document TEXT NOT NULL DEFAULT '',
    document_digest TEXT NOT NULL DEFAULT '',
    pin TEXT,
    policy TEXT,
    created_at REAL,
    accepted_at REAL,
    deleted INTEGER NOT NULL DEFAULT 0,
    frozen TEXT NOT NULL DEFAULT '',
    settling INTEGER NOT NULL DEFAULT 0,
    preparing INTEGER,
    draft TEXT,
    conditions TEXT NOT NULL DEFAULT '[]',
    holds TEXT NOT NULL DEFAULT 'null'
);
CREATE TABLE generations (
    sweep INTEGER NOT NULL REFERENCES sweeps, generation INTEGER NOT NULL,
    head TEXT NOT NULL, at REAL NOT NULL, document_digest TEXT NOT NULL, digest TEXT NOT NULL,
    counts TEXT NOT NULL, frozen INTEGER NOT NULL,
    PRIMARY KEY (sweep, generation)
) WITHOUT ROWID;

CREATE TABLE tasks (
    sweep INTEGER NOT NULL, task TEXT NOT NULL, added INTEGER NOT NULL, place INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    standing TEXT NOT NULL DEFAULT 'desired',
    phase TEXT NOT NULL DEFAULT 'waiting',
    digest TEXT,
    cancelling INTEGER NOT NULL DEFAULT 0,
    succeeded TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    uncounted INTEGER NOT NULL DEFAULT 0,
    not_before REAL,
    source TEXT,
    scale TEXT NOT NULL DEFAULT '{}',
    PRIMARY KEY (sweep, task)
) WITHOUT ROWID;
CREATE INDEX tasks_frozen ON tasks (sweep, task) WHERE standing = 'frozen';
CREATE TABLE points (
    sweep INTEGER NOT NULL, added INTEGER NOT NULL, place INTEGER NOT NULL,
    replicate INTEGER NOT NULL, parameters TEXT NOT NULL,
    PRIMARY KEY (sweep, added, place)
) WITHOUT ROWID;
CREATE TABLE heads (
    sweep INTEGER NOT NULL, wake REAL NOT NULL, ordinal INTEGER NOT NULL, task TEXT NOT NULL, added INTEGER NOT NULL,
    PRIMARY KEY (sweep, wake, ordinal, task)
) WITHOUT ROWID;
CREATE TABLE counters (
    sweep INTEGER NOT NULL, source TEXT NOT NULL, phase TEXT NOT NULL, standing TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (sweep, source, phase, standing)
) WITHOUT ROWID;
CREATE TABLE endings (
    sweep INTEGER NOT NULL, source TEXT NOT NULL, phase TEXT NOT NULL, n INTEGER NOT NULL,
    PRIMARY KEY (sweep, source, phase)
) WITHOUT ROWID;
CREATE TABLE changes (
    sweep INTEGER NOT NULL, task TEXT NOT NULL, wanted INTEGER NOT NULL, ordinal INTEGER,
    PRIMARY KEY (sweep, task)
) WITHOUT ROWID;

CREATE TABLE moves (
    sweep INTEGER NOT NULL, task TEXT NOT NULL, ordinal INTEGER NOT NULL,
    PRIMARY KEY (sweep, task)
) WITHOUT ROWID;

CREATE TABLE attempts (
    sweep INTEGER NOT NULL, task TEXT NOT NULL, number INTEGER NOT NULL,
    eid TEXT NOT NULL UNIQUE, open INTEGER NOT NULL,
    source TEXT NOT NULL, digest TEXT NOT NULL, phase TEXT NOT NULL, home TEXT NOT NULL, resources TEXT NOT NULL,
    intended_at REAL NOT NULL, sent_at REAL, accepted_at REAL, started_at REAL, ended_at REAL,
    nonce TEXT, gpus TEXT NOT NULL, reason TEXT NOT NULL, message TEXT NOT NULL, failure TEXT,
    exit_code INTEGER, signal INTEGER, cpu_s REAL, max_rss_mib REAL,
    cancel TEXT NOT NULL, cancel_at REAL, directory TEXT NOT NULL,
    PRIMARY KEY (sweep, task, number),
    FOREIGN KEY (sweep, task) REFERENCES tasks
) WITHOUT ROWID;
CREATE INDEX attempts_open ON attempts (source) WHERE open = 1;
CREATE INDEX attempts_open_of ON attempts (sweep, task) WHERE open = 1;
CREATE INDEX attempts_unaccepted ON attempts (source, intended_at)
    WHERE open = 1 AND accepted_at IS NULL AND sent_at IS NULL AND cancel = '';
CREATE INDEX attempts_cancelling ON attempts (source, cancel_at) WHERE open = 1 AND cancel <> '';

CREATE TABLE names (eid TEXT PRIMARY KEY, source TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL,
    sweep TEXT, task TEXT, attempt INTEGER, reason TEXT NOT NULL, message TEXT NOT NULL
);
CREATE INDEX events_of ON events (sweep, task);
"""

COLLECTIONS = """
CREATE TABLE collections (
    id INTEGER PRIMARY KEY AUTOINCREMENT, eid TEXT NOT NULL UNIQUE, source TEXT NOT NULL,
    collected_at REAL, bytes INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX collections_pending ON collections (source, id) WHERE collected_at IS NULL;
"""

SWITCHES = """
CREATE TABLE switched_off (source TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
"""

LIVES = """
ALTER TABLE lives ADD COLUMN moment INTEGER NOT NULL DEFAULT 0;
"""

REPINS = """
CREATE TABLE repins (id INTEGER PRIMARY KEY AUTOINCREMENT, sweep TEXT NOT NULL UNIQUE);
"""

USAGE = """
CREATE TABLE usage (
    sweep INTEGER NOT NULL, source TEXT NOT NULL,
    elapsed_s REAL NOT NULL, cpu_s REAL NOT NULL, reserved_cpu_s REAL NOT NULL,
    largest_mib REAL NOT NULL, memory REAL NOT NULL, walltime REAL NOT NULL,
    PRIMARY KEY (sweep, source)
) WITHOUT ROWID;
"""

UNLISTED = """
ALTER TABLE attempts ADD COLUMN unlisted_at REAL;
"""

MIGRATIONS: tuple[str, ...] = (FIRST, COLLECTIONS, SWITCHES, LIVES, REPINS, USAGE, UNLISTED)
"""Forward only; a published one is never edited."""
