-- Retention: what old entries say is erased, and requests that ended long ago.

-- Up to which entry that holds. It is recorded in the history first, and carried
-- out after that; only what is recorded may go.
CREATE TABLE erased (
  one   INTEGER PRIMARY KEY CHECK (one = 1),
  up_to INTEGER NOT NULL
) STRICT;
INSERT INTO erased (one, up_to) VALUES (1, 0);

-- What an entry "erased" says stays: it tells an erased payload from a stolen one.
DROP TRIGGER audit_body_only_appends_delete;
CREATE TRIGGER audit_body_only_appends_delete BEFORE DELETE ON audit_body
  WHEN OLD.seq > coalesce((SELECT up_to FROM erased), 0)
    OR (SELECT kind FROM audit WHERE seq = OLD.seq) = 'erased'
  BEGIN SELECT RAISE(ABORT, 'the audit history only appends'); END;

CREATE INDEX former_call_ids_by_request ON former_call_ids (request);

-- Words are taken out of the index where they stand, not only marked as gone.
INSERT INTO audit_text (audit_text, rank) VALUES ('secure-delete', 1);
