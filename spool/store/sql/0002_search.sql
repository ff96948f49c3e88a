-- The words of what is past, and what may not become past yet.

-- Ended, but the answer it asked for has not come: the archive has looked at it and leaves it where
-- it is, until the answer takes the mark away.
ALTER TABLE outbox ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inbox ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE outbox_archive ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE inbox_archive ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
DROP INDEX outbox_ended;
DROP INDEX inbox_done;
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE ended_at IS NOT NULL AND kept = 0;
CREATE INDEX inbox_done ON inbox (done_at) WHERE state IN ('done', 'dead') AND kept = 0;

-- A seq is the order in which messages were queued or came, and is never given twice: it is what the
-- words point at, so that the newest are found first without a sort.
CREATE UNIQUE INDEX outbox_archive_seq ON outbox_archive (seq);
CREATE UNIQUE INDEX inbox_archive_seq ON inbox_archive (seq);

-- What a person may search for, of any message here. Fields that spool does not know, and what stands
-- within a context, count with their texts. What is not JSON has none: it cannot break an archive run.
CREATE VIEW letters (place, seq, sender, recipient, type, text) AS
  SELECT 'outbox', seq, sender, recipient, type,
    iif(json_valid(CAST(raw AS TEXT)), CAST(raw AS TEXT), '{}') FROM outbox
  UNION ALL SELECT 'inbox', seq, sender, recipient, type,
    iif(json_valid(CAST(raw AS TEXT)), CAST(raw AS TEXT), '{}') FROM inbox
  UNION ALL SELECT 'outbox_archive', seq, sender, recipient, type,
    iif(json_valid(CAST(raw AS TEXT)), CAST(raw AS TEXT), '{}') FROM outbox_archive
  UNION ALL SELECT 'inbox_archive', seq, sender, recipient, type,
    iif(json_valid(CAST(raw AS TEXT)), CAST(raw AS TEXT), '{}') FROM inbox_archive;

CREATE VIEW searchable (place, seq, subject, body, sender, recipient, type, more) AS
  SELECT place, seq, json_extract(text, '$.subject'), json_extract(text, '$.body'), sender, recipient, type,
    (SELECT group_concat(
        CASE part.type
          WHEN 'text' THEN part.atom
          WHEN 'object' THEN (SELECT group_concat(atom, ' ') FROM json_tree(part.value) WHERE type = 'text')
          WHEN 'array' THEN (SELECT group_concat(atom, ' ') FROM json_tree(part.value) WHERE type = 'text')
        END, ' ')
      FROM json_each(text) AS part
      WHERE part.key NOT IN ('id', 'timestamp', 'from', 'to', 'priority', 'type', 'subject', 'body',
        'citation', 're', 'thread', 'deadline', 'expires'))
  FROM letters;

-- The text itself is not stored again, nothing is ranked, and nothing leaves the archive.
CREATE VIRTUAL TABLE outbox_words USING fts5(subject, body, sender, recipient, type, more,
  content='', columnsize=0, tokenize='unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE inbox_words USING fts5(subject, body, sender, recipient, type, more,
  content='', columnsize=0, tokenize='unicode61 remove_diacritics 2');

-- What is archived already is found from the start. It is done here and once, while nobody else has
-- the file: a search that must ask which rows have their words yet would have to ask so for ever.
INSERT INTO outbox_words (rowid, subject, body, sender, recipient, type, more)
  SELECT seq, subject, body, sender, recipient, type, more FROM searchable
  WHERE place = 'outbox_archive' ORDER BY seq;
INSERT INTO inbox_words (rowid, subject, body, sender, recipient, type, more)
  SELECT seq, subject, body, sender, recipient, type, more FROM searchable
  WHERE place = 'inbox_archive' ORDER BY seq;

-- From here on the index is put in order by the archive run, in transactions of its own: left to FTS5,
-- now and then one that moves a few rows would rewrite megabytes, and everybody else would wait.
INSERT INTO outbox_words (outbox_words, rank) VALUES ('automerge', 0), ('crisismerge', 64);
INSERT INTO inbox_words (inbox_words, rank) VALUES ('automerge', 0), ('crisismerge', 64);
