-- Files in the folders of files peers that were taken and could not be removed: as long as one of the
-- same size and time stands under the name, it is the same.
CREATE TABLE kept_files (
  peer   TEXT NOT NULL,
  name   BLOB NOT NULL,
  size   INTEGER NOT NULL,
  mtime  REAL NOT NULL,
  digest BLOB NOT NULL,
  at     REAL NOT NULL,
  PRIMARY KEY (peer, name)
) STRICT, WITHOUT ROWID;
