-- A thread is shown whole, however long ago it began. What came in one has its index already.
CREATE INDEX outbox_thread ON outbox (thread) WHERE thread IS NOT NULL;
CREATE INDEX outbox_archive_thread ON outbox_archive (thread) WHERE thread IS NOT NULL;
CREATE INDEX inbox_archive_thread ON inbox_archive (thread) WHERE thread IS NOT NULL;
