-- The first schema: what goes out, what came in, what was seen, and Huey's own tables.

-- One row per message this host has to deliver or has delivered: its agents' own, and relayed ones
-- (origin names the peer such a one came from). due says when to offer it to the next hop; NULL is
-- nothing to carry. place orders a class: the sequence, or behind all others after a retry.
-- seq is never given twice: a late answer about a row that is gone must not find a newer one.
CREATE TABLE outbox (
  seq            INTEGER PRIMARY KEY AUTOINCREMENT,
  id             TEXT NOT NULL,
  sender         TEXT NOT NULL,
  recipient      TEXT NOT NULL,
  peer           TEXT NOT NULL,
  origin         TEXT,
  type           TEXT NOT NULL,
  priority       INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
  class          INTEGER NOT NULL CHECK (class BETWEEN 0 AND 3),
  place          INTEGER NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('queued','sent','received','read','done','dead')),
  due            REAL,
  lease          INTEGER NOT NULL DEFAULT 0,
  lease_until    REAL NOT NULL DEFAULT 0,
  attempts       INTEGER NOT NULL DEFAULT 0,
  reason         TEXT,
  queued_at      REAL NOT NULL,
  sent_at        REAL,
  received_at    REAL,
  received_there REAL,
  read_at        REAL,
  read_there     REAL,
  done_at        REAL,
  done_there     REAL,
  dead_at        REAL,
  ended_at       REAL,
  far_host       TEXT,
  outcome        TEXT,
  note           TEXT,
  expires_at     REAL NOT NULL,
  deadline_at    REAL,
  overdue        INTEGER NOT NULL DEFAULT 0,
  answered       INTEGER NOT NULL DEFAULT 0,
  asked_at       REAL,
  hops           TEXT NOT NULL DEFAULT '[]',
  re             TEXT,
  thread         TEXT,
  filled         TEXT NOT NULL,
  digest         BLOB NOT NULL,
  raw            BLOB NOT NULL,
  UNIQUE (id, sender),
  CHECK (state NOT IN ('done', 'dead') OR due IS NULL),
  CHECK (state <> 'dead' OR reason IS NOT NULL)
) STRICT;
CREATE INDEX outbox_due ON outbox (peer, class, place) WHERE due IS NOT NULL;
CREATE INDEX outbox_expires ON outbox (expires_at) WHERE due IS NOT NULL;
CREATE INDEX outbox_deadline ON outbox (deadline_at) WHERE deadline_at IS NOT NULL AND overdue = 0 AND answered = 0;
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX outbox_open ON outbox (peer, sent_at) WHERE state = 'sent';

-- One row per message for an agent of this host.
CREATE TABLE inbox (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  id          TEXT NOT NULL,
  sender      TEXT NOT NULL,
  recipient   TEXT NOT NULL,
  agent       TEXT NOT NULL,
  peer        TEXT,
  type        TEXT NOT NULL,
  priority    INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 3),
  state       TEXT NOT NULL CHECK (state IN ('unread','read','done','dead')),
  lease       INTEGER NOT NULL DEFAULT 0,
  lease_until REAL NOT NULL DEFAULT 0,
  attempts    INTEGER NOT NULL DEFAULT 0,
  received_at REAL NOT NULL,
  read_at     REAL,
  done_at     REAL,
  outcome     TEXT,
  note        TEXT,
  deadline_at REAL,
  overdue     INTEGER NOT NULL DEFAULT 0,
  answered    INTEGER NOT NULL DEFAULT 0,
  hops        TEXT NOT NULL DEFAULT '[]',
  re          TEXT,
  thread      TEXT,
  filled      TEXT NOT NULL,
  digest      BLOB NOT NULL,
  raw         BLOB NOT NULL,
  UNIQUE (id, sender)
) STRICT;
CREATE INDEX inbox_open ON inbox (agent, priority, seq) WHERE state IN ('unread', 'read');
CREATE INDEX inbox_re ON inbox (re) WHERE re IS NOT NULL;
CREATE INDEX inbox_done ON inbox (done_at) WHERE state IN ('done', 'dead');
CREATE INDEX inbox_deadline ON inbox (deadline_at) WHERE deadline_at IS NOT NULL AND overdue = 0 AND answered = 0;

-- What is past, with the columns it had. Moved here, never copied.
CREATE TABLE outbox_archive AS SELECT * FROM outbox WHERE 0;
CREATE TABLE inbox_archive AS SELECT * FROM inbox WHERE 0;
CREATE INDEX outbox_archive_id ON outbox_archive (id);
CREATE INDEX inbox_archive_id ON inbox_archive (id);
CREATE INDEX inbox_archive_re ON inbox_archive (re) WHERE re IS NOT NULL;

-- Every message ever taken from a peer, longer than any copy of it can be on its way.
CREATE TABLE seen (
  sender TEXT NOT NULL,
  id     TEXT NOT NULL,
  digest BLOB NOT NULL,
  at     REAL NOT NULL,
  final  INTEGER NOT NULL,
  PRIMARY KEY (sender, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_at ON seen (at);

-- Acks on their way to the peer their message came from; gone when that peer has them on disk.
-- A seq is never used twice: the word that one has arrived may come late, over an older link.
CREATE TABLE acks (
  seq         INTEGER PRIMARY KEY AUTOINCREMENT,
  peer        TEXT NOT NULL,
  sender      TEXT NOT NULL,
  recipient   TEXT NOT NULL,
  re          TEXT NOT NULL,
  status      TEXT NOT NULL,
  at          REAL,
  host        TEXT,
  outcome     TEXT,
  note        TEXT,
  lease       INTEGER NOT NULL DEFAULT 0,
  lease_until REAL NOT NULL DEFAULT 0,
  UNIQUE (peer, recipient, re, status)
) STRICT;
CREATE INDEX acks_peer ON acks (peer, seq);

-- What happened to a message besides its milestones, which stand in its row: attempts that failed,
-- deaths and revivals, what other hosts told. state is the state it had then.
CREATE TABLE events (
  n       INTEGER PRIMARY KEY,
  id      TEXT NOT NULL,
  sender  TEXT NOT NULL,
  at      REAL NOT NULL,
  host    TEXT,
  peer    TEXT,
  state   TEXT NOT NULL,
  what    TEXT NOT NULL,
  attempt INTEGER,
  detail  TEXT
) STRICT;
CREATE INDEX events_id ON events (id);

-- Input that could not be read or trusted, its bytes kept.
CREATE TABLE quarantine (
  n      INTEGER PRIMARY KEY,
  at     REAL NOT NULL,
  peer   TEXT,
  name   TEXT,
  reason TEXT NOT NULL,
  digest BLOB NOT NULL,
  raw    BLOB NOT NULL
) STRICT;
-- Not a plain UNIQUE: no peer is NULL, and no NULL is like another.
CREATE UNIQUE INDEX quarantine_once ON quarantine (ifnull(peer, ''), digest, reason);

-- What is known of each peer between processes. holder owns its link until holder_until.
CREATE TABLE peers (
  name         TEXT PRIMARY KEY,
  generation   INTEGER NOT NULL DEFAULT 0,
  holder       TEXT,
  holder_until REAL NOT NULL DEFAULT 0,
  dialled      INTEGER NOT NULL DEFAULT 0,
  state        TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('linked','dialling','waiting','stopped')),
  last_contact REAL,
  linked_at    REAL,
  failures     INTEGER NOT NULL DEFAULT 0,
  retry_at     REAL,
  error_kind   TEXT,
  error        TEXT,
  far_host     TEXT,
  far_version  TEXT,
  far_agents   TEXT NOT NULL DEFAULT '[]',
  far_unread   INTEGER,
  far_queued   INTEGER,
  clock_offset REAL
) STRICT, WITHOUT ROWID;

-- Huey's tables, as its SQLite storage has them; a task row is unique by its bytes, so that a
-- backlog of one and the same task is one row.
CREATE TABLE kv (
  queue TEXT NOT NULL,
  key   TEXT NOT NULL,
  value BLOB NOT NULL,
  PRIMARY KEY (queue, key)
);
CREATE TABLE schedule (
  id        INTEGER NOT NULL PRIMARY KEY,
  queue     TEXT NOT NULL,
  data      BLOB NOT NULL,
  timestamp REAL NOT NULL
);
CREATE INDEX schedule_queue_timestamp ON schedule (queue, timestamp);
CREATE TABLE task (
  id       INTEGER NOT NULL PRIMARY KEY,
  queue    TEXT NOT NULL,
  data     BLOB NOT NULL,
  priority REAL NOT NULL DEFAULT 0.0,
  UNIQUE (queue, data)
);
CREATE INDEX task_queue_priority_id ON task (queue, priority DESC, id);
CREATE TABLE counter (
  queue TEXT NOT NULL,
  key   TEXT NOT NULL,
  value INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (queue, key)
);

-- The home's own facts, such as the sweep's heartbeat.
CREATE TABLE facts (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
