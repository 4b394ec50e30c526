-- What the charts ask, answered from indexes alone: a request costs one entry when it
-- ends (none while it is pending, none for its use and outcome), and a decision one
-- where it is known how long it was on a screen.
CREATE INDEX requests_ended  ON requests (created, status, ended) WHERE status <> 1;
CREATE INDEX decisions_shown ON decisions (at, on_screen, request, operator, verdict)
  WHERE on_screen IS NOT NULL;
