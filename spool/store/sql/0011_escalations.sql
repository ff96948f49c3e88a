-- Messages that a person is told of by another road, each once.

-- reasons holds why, as JSON; shown how the message stands. revision is what shall be told, since changed_at,
-- posted what was, and stands whether it was left open or closed then; offered says that the road was given
-- it once, so that an issue may be there although its number is not known here. travels says that the message
-- may be taken out of the issue. It stands here too: its own row may be dropped first.
CREATE TABLE escalations (
  sender      TEXT NOT NULL,
  id          TEXT NOT NULL,
  peer        TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('open', 'resolved')),
  reasons     TEXT NOT NULL,
  shown       TEXT NOT NULL,
  opened_at   REAL NOT NULL,
  changed_at  REAL NOT NULL,
  resolved_at REAL,
  revision    INTEGER NOT NULL DEFAULT 1,
  posted      INTEGER NOT NULL DEFAULT 0,
  offered     INTEGER NOT NULL DEFAULT 0,
  stands      TEXT CHECK (stands IN ('open', 'closed')),
  number      INTEGER,
  url         TEXT,
  error       TEXT,
  queued_at   REAL NOT NULL,
  expires_at  REAL NOT NULL,
  travels     INTEGER NOT NULL DEFAULT 1 CHECK (travels IN (0, 1)),
  filled      TEXT NOT NULL,
  digest      BLOB NOT NULL,
  raw         BLOB NOT NULL,
  PRIMARY KEY (sender, id),
  CHECK ((state = 'resolved') = (resolved_at IS NOT NULL))
) STRICT;
CREATE INDEX escalations_open ON escalations (opened_at) WHERE state = 'open';
CREATE INDEX escalations_due ON escalations (peer, changed_at) WHERE posted < revision;
CREATE INDEX escalations_resolved ON escalations (resolved_at) WHERE state = 'resolved';

-- What is overdue is found without a look at all that is alive. overdue is 2 once that was escalated.
CREATE INDEX outbox_late ON outbox (deadline_at)
  WHERE overdue = 1 AND origin IS NULL AND state NOT IN ('done', 'dead');
