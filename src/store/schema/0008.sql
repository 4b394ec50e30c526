-- Sign-ins of operators to the pages. What a browser shows is not kept, only its SHA-256.
CREATE TABLE sign_ins (
  n          INTEGER PRIMARY KEY,
  id         BLOB    NOT NULL UNIQUE,            -- SHA-256 of the browser's secret
  operator   TEXT    NOT NULL,
  strength   INTEGER NOT NULL,                   -- how they were known, see Strength in call::model
  credential BLOB    NOT NULL,                   -- SHA-256 of the token they showed: valid while it is
  began      INTEGER NOT NULL,
  used       INTEGER NOT NULL                    -- last use, to within a minute
) STRICT;
CREATE INDEX sign_ins_by_operator ON sign_ins (operator, n);
CREATE INDEX sign_ins_by_use      ON sign_ins (used);

-- How long what was decided had been on the operator's screen, in milliseconds.
ALTER TABLE decisions ADD COLUMN on_screen INTEGER;
