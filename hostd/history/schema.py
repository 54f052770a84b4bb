"""The layout of the history's file. To change it: one more script in `MIGRATIONS`; what is there is never edited.

An event of any source is one row: `id` grows and is never used again, so that a reader can go on after the last it has
seen. `at` is when this host took it, by its own clock; what a guest says of its age is a column of its own, for it is
only a claim. `data` is a JSON object of what only its kind has, `bytes` what the row takes, about. A guest's event is
known by `domain`, `journal` and `number`, and by its `token`: the host may have forgotten all else of a journal that a
guest is set back to again. For other sources these are NULL, and so is the token of a guest that says none.
"""

VERSION_PRAGMA = "PRAGMA user_version"

MIGRATIONS = (
    """
    CREATE TABLE event (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        age_seconds REAL,
        source TEXT NOT NULL,
        domain TEXT,
        domain_name TEXT,
        kind TEXT NOT NULL,
        severity TEXT NOT NULL,
        text TEXT NOT NULL,
        data TEXT NOT NULL,
        journal INTEGER,
        number INTEGER,
        bytes INTEGER NOT NULL
    );
    CREATE INDEX event_by_domain ON event (domain, id, bytes);
    CREATE UNIQUE INDEX event_once ON event (domain, journal, number) WHERE journal IS NOT NULL;
    CREATE TABLE journal (
        domain TEXT NOT NULL,
        journal INTEGER NOT NULL,
        highest INTEGER NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (domain, journal)
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE event ADD COLUMN token INTEGER;
    ALTER TABLE journal ADD COLUMN token INTEGER;
    DROP INDEX event_once;
    CREATE UNIQUE INDEX event_once ON event (domain, journal, number, ifnull(token, -1)) WHERE journal IS NOT NULL;
    """,
)

VERSION = len(MIGRATIONS)

PRAGMAS = (
    "PRAGMA auto_vacuum=INCREMENTAL",  # takes effect before the first table only
    "PRAGMA journal_mode=WAL",  # `hostd events` reads while hostd writes
    "PRAGMA synchronous=FULL",  # what is acknowledged is gone in the guest: it has to be on the disk here
    "PRAGMA journal_size_limit=4194304",
)
