-- Operators who turned summaries off, each for the address that they had then.
CREATE TABLE summaries_off (
  operator TEXT    PRIMARY KEY,
  address  BLOB    NOT NULL,                     -- SHA-256: somebody else of that name gets summaries
  at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
