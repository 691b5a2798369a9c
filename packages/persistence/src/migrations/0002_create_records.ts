/**
 * Creates the records of core's durable port.
 */
export const statements: ReadonlyArray<string> = [
  // AUTOINCREMENT: a revision is never given out twice, so an old one can never name a new record.
  // The index of the unique pair is what lists and counts go along.
  `CREATE TABLE records (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (collection, key)
  )`,
  // How many batches changed a collection: other processes look here for what they have missed, removals included.
  `CREATE TABLE record_collections (
    name TEXT PRIMARY KEY,
    changes INTEGER NOT NULL
  ) WITHOUT ROWID`
]
