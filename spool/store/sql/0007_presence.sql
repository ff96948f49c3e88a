-- When agents were last heard of, and what the hosts of others told of them.

-- Who wrote, read or ended a message, and when this host came to know of it. peer is the one that
-- brought the word, "" for this host's own agents.
CREATE TABLE heard (
  peer  TEXT NOT NULL,
  agent TEXT NOT NULL,
  at    REAL NOT NULL,
  what  TEXT NOT NULL CHECK (what IN ('message', 'read', 'done')),
  PRIMARY KEY (peer, agent)
) STRICT, WITHOUT ROWID;

-- What a peer told of its agents the last time: all of it stands here, and nothing older.
-- sessions is NULL where it did not say.
CREATE TABLE told (
  peer     TEXT NOT NULL,
  agent    TEXT NOT NULL,
  unread   INTEGER NOT NULL,
  oldest_s REAL,
  sessions INTEGER,
  at       REAL NOT NULL,
  PRIMARY KEY (peer, agent)
) STRICT, WITHOUT ROWID;

-- Asked for with pings and for each recipient: counting must not read mail.
CREATE INDEX inbox_unread ON inbox (agent, received_at) WHERE state = 'unread';

-- Whoever wrote before this was kept was heard of all the same.
INSERT INTO heard SELECT peer, sender, max(received_at), 'message' FROM (
  SELECT peer, sender, received_at FROM inbox UNION ALL
  SELECT peer, sender, received_at FROM inbox_archive
) WHERE peer IS NOT NULL GROUP BY peer, sender;
INSERT INTO heard SELECT '', sender, max(queued_at), 'message' FROM (
  SELECT sender, queued_at, origin FROM outbox UNION ALL
  SELECT sender, queued_at, origin FROM outbox_archive
) WHERE origin IS NULL GROUP BY sender;
