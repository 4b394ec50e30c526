-- Times without a word are nanoseconds of the file's own time (clocks.rs); wall
-- times are milliseconds since 1970.

CREATE TABLE head (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    -- What the clocks said at the last write, and the file's own time then.
    boot_id BLOB,
    boot    INTEGER NOT NULL,
    wall    INTEGER NOT NULL,
    now     INTEGER NOT NULL,
    -- The number of the next place. None is given twice.
    next    INTEGER NOT NULL DEFAULT 1,
    -- How many rows there are, kept by the triggers below: to count them takes
    -- milliseconds where there are many.
    keys    INTEGER NOT NULL DEFAULT 0,
    places  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE limits (
    id      INTEGER PRIMARY KEY,
    key     TEXT NOT NULL UNIQUE,
    -- For how long places are kept, and when one was last taken for so long, or a
    -- little later: see Taking::renew.
    window  INTEGER NOT NULL,
    used    INTEGER NOT NULL,
    -- When the last of its places is free again, or a little later.
    free_at INTEGER NOT NULL
) STRICT;
CREATE INDEX limits_free ON limits (free_at);

CREATE TABLE places (
    limit_id INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (limit_id, at, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE counters (
    id     INTEGER PRIMARY KEY,
    server TEXT NOT NULL,
    scope  TEXT NOT NULL,
    name   TEXT NOT NULL,
    -- Minutes, hours or days: 1, 2, 3.
    window INTEGER NOT NULL,
    -- Which window of the calendar, counted from 1970, and when it was opened.
    number INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    value  INTEGER NOT NULL,
    UNIQUE (server, scope, name, window)
) STRICT;
CREATE INDEX counters_opened ON counters (window, opened);

CREATE TABLE pins (
    id       INTEGER PRIMARY KEY,
    server   TEXT NOT NULL,
    tool     TEXT NOT NULL,
    hash     TEXT NOT NULL,
    text     TEXT NOT NULL,
    at       INTEGER NOT NULL,
    -- What it is instead, as last seen, and since when; wall time.
    new_hash TEXT,
    new_text TEXT,
    new_at   INTEGER,
    UNIQUE (server, tool)
) STRICT;

CREATE TRIGGER limits_more AFTER INSERT ON limits BEGIN UPDATE head SET keys = keys + 1; END;
CREATE TRIGGER limits_less AFTER DELETE ON limits BEGIN UPDATE head SET keys = keys - 1; END;
CREATE TRIGGER counters_more AFTER INSERT ON counters BEGIN UPDATE head SET keys = keys + 1; END;
CREATE TRIGGER counters_less AFTER DELETE ON counters BEGIN UPDATE head SET keys = keys - 1; END;
CREATE TRIGGER places_more AFTER INSERT ON places BEGIN UPDATE head SET places = places + 1; END;
CREATE TRIGGER places_less AFTER DELETE ON places BEGIN UPDATE head SET places = places - 1; END;
