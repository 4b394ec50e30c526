-- The outbox learns more kinds of mail, and to gather many into one.
ALTER TABLE outbox RENAME TO outbox_before;
DROP INDEX outbox_due;
DROP INDEX outbox_by_request;

-- One mail to one operator: about one request, or a summary of several.
CREATE TABLE outbox (
  n            INTEGER PRIMARY KEY,
  kind         INTEGER NOT NULL,                 -- see MailKind in call::model
  request      BLOB,                             -- NULL for a summary
  operator     TEXT    NOT NULL,
  state        INTEGER NOT NULL,                 -- 0 queued, 1 sent, 2 failed, 3 pointless
  attempts     INTEGER NOT NULL DEFAULT 0,
  begun        INTEGER NOT NULL DEFAULT 0,       -- 1 from the start of an attempt until its end is recorded
  unknown_ends INTEGER NOT NULL DEFAULT 0,       -- attempts after which the server may have it
  due          INTEGER NOT NULL,                 -- not before this
  go_by        INTEGER NOT NULL,                 -- it should not wait for others longer than this
  at           INTEGER,                          -- the newest attempt, or when it was sent
  detail       TEXT    NOT NULL DEFAULT '',      -- the server's answer or the last error
  wants        INTEGER NOT NULL DEFAULT 0,       -- what else this operator wants: see Wants in call::wants
  summary      INTEGER,                          -- row of the summary that it goes in
  letter       INTEGER,                          -- of a summary: random, for its Message-ID
  remind_at    INTEGER
) STRICT;
INSERT INTO outbox (n, kind, request, operator, state, attempts, due, go_by, at, detail, wants)
  SELECT n, 1, request, operator, state, attempts, due, due, at, detail, 63 FROM outbox_before;
DROP TABLE outbox_before;

-- What one operator still has to be sent, most urgent first. What waits out a
-- back-off is in between, and never much: attempts at one operator are limited.
CREATE INDEX outbox_queued     ON outbox (operator, go_by) WHERE state = 0 AND summary IS NULL;
-- What one operator was sent, or was tried to be, for the limit in a minute.
CREATE INDEX outbox_tried      ON outbox (operator, at)    WHERE at IS NOT NULL AND summary IS NULL;
CREATE INDEX outbox_by_request ON outbox (request)         WHERE request   IS NOT NULL;
CREATE INDEX outbox_by_summary ON outbox (summary)         WHERE summary   IS NOT NULL;
CREATE INDEX outbox_reminders  ON outbox (remind_at)       WHERE remind_at IS NOT NULL;
CREATE INDEX outbox_summaries  ON outbox (operator, at)    WHERE kind = 8 AND at IS NOT NULL;
