-- Whether people know of a request: who looked at it, whole, while it was pending,
CREATE TABLE looks (
  request  BLOB    NOT NULL,
  operator TEXT    NOT NULL,
  at       INTEGER NOT NULL,                     -- the first time
  PRIMARY KEY (request, operator)
) STRICT, WITHOUT ROWID;
-- how many did, so that those of a request nobody looked at need not be sought,
ALTER TABLE requests ADD COLUMN looks         INTEGER NOT NULL DEFAULT 0;
-- by when somebody should have been reached (NULL: that is not in question),
ALTER TABLE requests ADD COLUMN reach_by      INTEGER;
-- and since when it is known that nobody was, and why.
ALTER TABLE requests ADD COLUMN unreached     INTEGER;
ALTER TABLE requests ADD COLUMN unreached_why TEXT    NOT NULL DEFAULT '';

-- Mails that are given up, for whoever looks after the mail.
CREATE INDEX outbox_failed     ON outbox (at)         WHERE state = 2 AND summary IS NULL;
CREATE INDEX requests_to_reach ON requests (reach_by) WHERE reach_by IS NOT NULL;
