-- Names under which callers find their requests again. Whoever shows one may be
-- taken for who got it, so what is kept is its SHA-256.
CREATE TABLE handles (
  caller  TEXT    NOT NULL,
  handle  BLOB    NOT NULL,
  request BLOB    NOT NULL,
  n       INTEGER NOT NULL,                      -- in which order its request got them
  at      INTEGER NOT NULL,                      -- when
  PRIMARY KEY (caller, handle)
) STRICT, WITHOUT ROWID;
CREATE INDEX handles_by_request ON handles (request, n);
