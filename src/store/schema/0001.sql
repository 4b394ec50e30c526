-- Times are milliseconds since 1970-01-01T00:00:00Z. Enumerations are the
-- numbers of the public contract (proto/holdpoint/v1/types.proto).

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
  n                    INTEGER PRIMARY KEY,      -- order of arrival
  id                   BLOB    NOT NULL UNIQUE,  -- UUIDv7
  status               INTEGER NOT NULL,
  digest               BLOB    NOT NULL,
  caller               TEXT    NOT NULL,
  client               TEXT    NOT NULL,
  session              TEXT    NOT NULL,
  on_behalf_of         TEXT    NOT NULL,
  call_id              TEXT    NOT NULL,         -- who holds it now
  server               TEXT    NOT NULL,
  tool                 TEXT    NOT NULL,
  category             INTEGER NOT NULL,
  risk                 INTEGER NOT NULL,
  agent_name           TEXT    NOT NULL,
  agent_version        TEXT    NOT NULL,
  arguments            TEXT    NOT NULL,         -- masked
  hidden_values        INTEGER NOT NULL,
  rule                 TEXT    NOT NULL,
  policy_revision      TEXT    NOT NULL,
  tool_definition_hash TEXT    NOT NULL,
  explanation          TEXT    NOT NULL,
  labels               TEXT    NOT NULL,         -- JSON object
  not_covered          TEXT    NOT NULL,         -- JSON array
  requirement          TEXT    NOT NULL,         -- JSON array of clauses
  created              INTEGER NOT NULL,
  deadline             INTEGER NOT NULL,
  ended                INTEGER,
  asked_again          INTEGER NOT NULL DEFAULT 0,
  denial_lifted        INTEGER NOT NULL DEFAULT 0,
  resumed              INTEGER NOT NULL DEFAULT 0,
  identical_to         BLOB,
  may_have_run         BLOB    NOT NULL,         -- ids, 16 bytes each
  use                  INTEGER NOT NULL DEFAULT 0,
  lapses               INTEGER,
  used                 INTEGER,
  outcome_expected     INTEGER NOT NULL DEFAULT 0,
  lease_until          INTEGER,
  outcome              INTEGER NOT NULL DEFAULT 0,
  outcome_detail       TEXT    NOT NULL DEFAULT '',
  outcome_at           INTEGER
) STRICT;

-- A call id stands for one call. The current holder is found here,
CREATE UNIQUE INDEX requests_by_call_id ON requests (caller, call_id);
-- and those whose place was taken, here.
CREATE TABLE former_call_ids (
  caller  TEXT NOT NULL,
  call_id TEXT NOT NULL,
  request BLOB NOT NULL,
  PRIMARY KEY (caller, call_id)
) STRICT, WITHOUT ROWID;

-- All of the scope: what others asked must not make a submit dearer.
CREATE INDEX requests_by_scope  ON requests (digest, caller, client, session, on_behalf_of);
CREATE INDEX requests_by_caller ON requests (caller, n);
CREATE INDEX requests_pending   ON requests (deadline, n) WHERE status = 1;
CREATE INDEX requests_unused    ON requests (lapses)      WHERE use = 1;
CREATE INDEX requests_leased    ON requests (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE decisions (
  request  BLOB    NOT NULL,
  n        INTEGER NOT NULL,
  operator TEXT    NOT NULL,
  verdict  INTEGER NOT NULL,
  reason   TEXT    NOT NULL,
  at       INTEGER NOT NULL,
  digest   BLOB    NOT NULL,
  strength INTEGER NOT NULL,
  own_call INTEGER NOT NULL,
  PRIMARY KEY (request, n)
) STRICT, WITHOUT ROWID;

-- One mail to one operator about one request.
CREATE TABLE outbox (
  n        INTEGER PRIMARY KEY,
  request  BLOB    NOT NULL,
  operator TEXT    NOT NULL,
  state    INTEGER NOT NULL,                     -- 0 queued, 1 sent, 2 failed, 3 pointless
  attempts INTEGER NOT NULL DEFAULT 0,
  due      INTEGER NOT NULL,
  at       INTEGER,
  detail   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX outbox_due        ON outbox (due) WHERE state = 0;
CREATE INDEX outbox_by_request ON outbox (request);

-- The chain. What an entry says lies beside it, in audit_body, so that it can be
-- erased by age without breaking the chain.
CREATE TABLE audit (
  seq      INTEGER PRIMARY KEY,
  at       INTEGER NOT NULL,
  high     INTEGER NOT NULL,                     -- latest time up to here: never falls
  kind     TEXT    NOT NULL,
  body     BLOB    NOT NULL,                     -- salted hash of the payload
  previous BLOB    NOT NULL,
  hash     BLOB    NOT NULL
) STRICT;
CREATE TRIGGER audit_only_appends_update BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit history only appends'); END;
CREATE TRIGGER audit_only_appends_delete BEFORE DELETE ON audit
  BEGIN SELECT RAISE(ABORT, 'the audit history only appends'); END;
-- Entries whose time is behind an earlier one's: only after a clock was put back.
CREATE INDEX audit_behind  ON audit (seq) WHERE at < high;
CREATE INDEX audit_by_kind ON audit (kind, seq);

CREATE TABLE audit_body (
  seq      INTEGER PRIMARY KEY,
  salt     BLOB    NOT NULL,
  payload  TEXT    NOT NULL,
  request  BLOB,
  caller   TEXT,
  client   TEXT,
  agent    TEXT,
  session  TEXT,
  server   TEXT,
  tool     TEXT,
  category INTEGER,
  status   INTEGER,
  operator TEXT
) STRICT;
CREATE TRIGGER audit_body_only_appends_update BEFORE UPDATE ON audit_body
  BEGIN SELECT RAISE(ABORT, 'the audit history only appends'); END;
CREATE TRIGGER audit_body_only_appends_delete BEFORE DELETE ON audit_body
  BEGIN SELECT RAISE(ABORT, 'the audit history only appends'); END;
CREATE INDEX audit_by_request  ON audit_body (request, seq)  WHERE request  IS NOT NULL;
CREATE INDEX audit_by_caller   ON audit_body (caller, seq)   WHERE caller   IS NOT NULL;
CREATE INDEX audit_by_client   ON audit_body (client, seq)   WHERE client   IS NOT NULL;
CREATE INDEX audit_by_agent    ON audit_body (agent, seq)    WHERE agent    IS NOT NULL;
CREATE INDEX audit_by_session  ON audit_body (session, seq)  WHERE session  IS NOT NULL;
CREATE INDEX audit_by_server   ON audit_body (server, seq)   WHERE server   IS NOT NULL;
CREATE INDEX audit_by_tool     ON audit_body (tool, seq)     WHERE tool     IS NOT NULL;
CREATE INDEX audit_by_category ON audit_body (category, seq) WHERE category IS NOT NULL;
CREATE INDEX audit_by_status   ON audit_body (status, seq)   WHERE status   IS NOT NULL;
CREATE INDEX audit_by_operator ON audit_body (operator, seq) WHERE operator IS NOT NULL;

-- Words of the payloads; filled when the writer has nothing better to do.
CREATE VIRTUAL TABLE audit_text USING fts5 (words, content = '', columnsize = 0, detail = none);
