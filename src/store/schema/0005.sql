-- Whose the pending requests are stands in the index too: a start counts them, and
-- with a hundred thousand of them it would read as many rows, each with its
-- arguments, from all over the file.
DROP INDEX requests_pending;
CREATE INDEX requests_pending ON requests (deadline, n, caller, client) WHERE status = 1;
