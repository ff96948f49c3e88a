-- Who reads here at this moment, and what each of them was told of.

-- One row per session: a client (Claude Code, an MCP server) that reads as one agent. pid and born name
-- its process, which may be gone. wake says how it can be woken, as JSON; wake_text is what it was woken
-- with last. Times are seconds since the epoch.
CREATE TABLE sessions (
  id          TEXT PRIMARY KEY,
  agent       TEXT NOT NULL,
  client      TEXT,
  pid         INTEGER,
  born        TEXT,
  cwd         TEXT NOT NULL DEFAULT '',
  since       REAL NOT NULL,
  seen_at     REAL NOT NULL,
  busy        INTEGER NOT NULL DEFAULT 0 CHECK (busy IN (0, 1)),
  prompted_at REAL,
  told_at     REAL,
  wake        TEXT,
  woken_at    REAL,
  wake_text   TEXT,
  ended_at    REAL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_agent ON sessions (agent) WHERE ended_at IS NULL;
CREATE INDEX sessions_pid ON sessions (pid) WHERE ended_at IS NULL;

-- Which message a session was told of, and by which way. It says nothing of the message being read.
CREATE TABLE announced (
  session TEXT NOT NULL,
  inbox   INTEGER NOT NULL,
  how     TEXT NOT NULL CHECK (how IN ('told', 'continued', 'woken')),
  at      REAL NOT NULL,
  PRIMARY KEY (session, inbox, how)
) STRICT, WITHOUT ROWID;
