-- Where on GitHub each message stands that this host has posted or taken. `place` is the repository as its
-- API names it: a peer may be renamed. Without a number it is an intent: the post may have come through, and
-- is looked for before another is made. `comment` is 0 where the message is the issue itself.
CREATE TABLE issues (
  place    TEXT NOT NULL,
  sender   TEXT NOT NULL,
  id       TEXT NOT NULL,
  ours     INTEGER NOT NULL CHECK (ours IN (0, 1)),
  number   INTEGER,
  comment  INTEGER NOT NULL DEFAULT 0,
  tried_at REAL NOT NULL,
  PRIMARY KEY (place, sender, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX issues_by_id ON issues (place, id);
CREATE INDEX issues_by_number ON issues (place, number, comment);

-- What was read there last, by the hash of its text: what has not changed since says nothing new.
CREATE TABLE issue_texts (
  place  TEXT NOT NULL,
  spot   TEXT NOT NULL,
  digest BLOB NOT NULL,
  at     REAL NOT NULL,
  PRIMARY KEY (place, spot)
) STRICT, WITHOUT ROWID;

-- The one comment in which this host says how far the messages of an issue got; `told` is what stands there.
CREATE TABLE issue_acks (
  place    TEXT NOT NULL,
  number   INTEGER NOT NULL,
  comment  INTEGER,
  told     TEXT NOT NULL,
  tried_at REAL NOT NULL,
  PRIMARY KEY (place, number)
) STRICT, WITHOUT ROWID;
