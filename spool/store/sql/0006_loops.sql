-- How often agents answered in a thread, and who is held there until a person has looked.

-- One row for each message of an agent in a thread that followed mail which had come for it there since
-- its last one: its turn. came is the seq of the newest of that mail; at is 0 once a person has released
-- the thread, since such a turn counts no more.
CREATE TABLE turns (
  agent  TEXT NOT NULL,
  thread TEXT NOT NULL,
  came   INTEGER NOT NULL,
  at     REAL NOT NULL,
  PRIMARY KEY (agent, thread, came)
) STRICT, WITHOUT ROWID;

-- Agents whose further messages in a thread wait for a person. other is whom the first of them was for.
CREATE TABLE holds (
  agent  TEXT NOT NULL,
  thread TEXT NOT NULL,
  other  TEXT NOT NULL,
  turns  INTEGER NOT NULL,
  since  REAL NOT NULL,
  PRIMARY KEY (agent, thread)
) STRICT, WITHOUT ROWID;

-- A message that is queued and due at no time is held: nothing else leaves one so.
CREATE INDEX outbox_held ON outbox (sender, thread) WHERE state = 'queued' AND due IS NULL;
-- What came in a thread. Mail without one pays nothing for it.
CREATE INDEX inbox_thread ON inbox (thread, agent) WHERE thread IS NOT NULL;
