-- What of each peer waits here: mail for agents of this host that is not done, and relayed mail still to
-- be carried. What comes is counted once for a batch, by who takes it, in the same transaction; what goes by
-- these triggers, whoever lets it go. So nothing is ever counted through. paid_until is how far what came
-- has used up the messages a minute; told_at is when the log was last told that a peer is over.
CREATE TABLE quotas (
  peer       TEXT PRIMARY KEY,
  messages   INTEGER NOT NULL DEFAULT 0,
  bytes      INTEGER NOT NULL DEFAULT 0,
  paid_until REAL NOT NULL DEFAULT 0,
  told_at    REAL
) STRICT, WITHOUT ROWID;

INSERT INTO quotas (peer, messages, bytes) SELECT peer, count(*), sum(size) FROM (
  SELECT peer, length(raw) AS size FROM inbox WHERE peer IS NOT NULL AND state IN ('unread', 'read') UNION ALL
  SELECT origin, length(raw) FROM outbox WHERE origin IS NOT NULL AND due IS NOT NULL
) GROUP BY peer;

-- The length is looked up and not taken from OLD: that would read all of each row that moves.
CREATE TRIGGER inbox_ends AFTER UPDATE OF state ON inbox
WHEN OLD.peer IS NOT NULL AND OLD.state IN ('unread', 'read') AND NEW.state NOT IN ('unread', 'read') BEGIN
  UPDATE quotas SET messages = messages - 1,
    bytes = bytes - (SELECT length(raw) FROM inbox WHERE seq = NEW.seq) WHERE peer = NEW.peer;
END;

CREATE TRIGGER inbox_goes BEFORE DELETE ON inbox
WHEN OLD.peer IS NOT NULL AND OLD.state IN ('unread', 'read') BEGIN
  UPDATE quotas SET messages = messages - 1,
    bytes = bytes - (SELECT length(raw) FROM inbox WHERE seq = OLD.seq) WHERE peer = OLD.peer;
END;

CREATE TRIGGER outbox_moves AFTER UPDATE OF due ON outbox
WHEN OLD.origin IS NOT NULL AND (OLD.due IS NULL) <> (NEW.due IS NULL) BEGIN
  UPDATE quotas SET messages = messages + iif(NEW.due IS NULL, -1, 1), bytes = bytes
    + iif(NEW.due IS NULL, -1, 1) * (SELECT length(raw) FROM outbox WHERE seq = NEW.seq) WHERE peer = NEW.origin;
END;

CREATE TRIGGER outbox_goes BEFORE DELETE ON outbox
WHEN OLD.origin IS NOT NULL AND OLD.due IS NOT NULL BEGIN
  UPDATE quotas SET messages = messages - 1,
    bytes = bytes - (SELECT length(raw) FROM outbox WHERE seq = OLD.seq) WHERE peer = OLD.origin;
END;
