-- Why a call's category and risk are what they are, and that its tool is not what it was.
ALTER TABLE requests ADD COLUMN evidence           TEXT NOT NULL DEFAULT '[]';
ALTER TABLE requests ADD COLUMN definition_changed TEXT NOT NULL DEFAULT '';

-- Changes of tools' definitions, as callers reported them.
CREATE TABLE definitions (
  n                 INTEGER PRIMARY KEY,
  caller            TEXT    NOT NULL,
  server            TEXT    NOT NULL,
  tool              TEXT    NOT NULL,
  hash_before       BLOB    NOT NULL,
  hash_now          BLOB    NOT NULL,
  definition_before TEXT    NOT NULL,            -- masked; empty: not known, or not kept
  definition_now    TEXT    NOT NULL,
  before_cut        INTEGER NOT NULL,
  now_cut           INTEGER NOT NULL,
  changed           TEXT    NOT NULL,            -- JSON: where they differ
  status            INTEGER NOT NULL,            -- see DefinitionStatus in call::model
  reported          INTEGER NOT NULL,
  written           INTEGER NOT NULL,            -- 1: there is an entry in the history
  not_written       INTEGER NOT NULL DEFAULT 0,  -- changes of this server after this one that have none
  accepted          INTEGER,
  accepted_by       TEXT    NOT NULL DEFAULT '',
  reason            TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX definitions_by_change ON definitions (caller, server, tool, hash_before, hash_now);
CREATE INDEX definitions_waiting          ON definitions (n)                WHERE status = 1;
-- The rate of one server's, and what can be forgotten of a caller.
CREATE INDEX definitions_written          ON definitions (caller, server, reported) WHERE written = 1;
CREATE INDEX definitions_settled          ON definitions (caller, n)        WHERE status <> 1;
