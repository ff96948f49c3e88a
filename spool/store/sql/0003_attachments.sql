-- Files that travel beside messages; they lie in the home's folder attachments/, each under its SHA-256.

-- What an outgoing message needs at its next hop before it may go there. there says that hop has the
-- file whole, got how much of it; wrong counts how often it came there damaged.
CREATE TABLE attached (
  outbox INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  bytes  INTEGER NOT NULL,
  peer   TEXT NOT NULL,
  there  INTEGER NOT NULL DEFAULT 0,
  got    INTEGER NOT NULL DEFAULT 0,
  wrong  INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (outbox, sha256)
) STRICT, WITHOUT ROWID;
-- Leasing asks for each message whether one is missing: where nothing is, this is empty.
CREATE INDEX attached_missing ON attached (outbox) WHERE there = 0;
CREATE INDEX attached_peer ON attached (peer, sha256) WHERE there = 0;
CREATE INDEX attached_sha256 ON attached (sha256);

-- What a message of the inbox brought with it.
CREATE TABLE enclosed (
  inbox  INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (inbox, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX enclosed_sha256 ON enclosed (sha256);

-- What is in the folder, by name: a SHA-256 for a file that is whole, else one that is on its way and
-- counts with its whole size from the start. peer brought it, "" for this host; at is when it was
-- last wanted.
CREATE TABLE attachments (
  name  TEXT PRIMARY KEY,
  peer  TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  at    REAL NOT NULL
) STRICT, WITHOUT ROWID;
