/**
 * Creates agents, their states, their messages and their replies.
 */
export const statements: ReadonlyArray<string> = [
  `CREATE TABLE agents (
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('passive', 'live', 'parked')),
    version INTEGER NOT NULL,
    state_version INTEGER,
    node TEXT,
    activation INTEGER NOT NULL,
    cause TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (type, id)
  ) WITHOUT ROWID`,
  // Takeover looks up what a node owned.
  `CREATE INDEX agents_live ON agents (node, type, id) WHERE node IS NOT NULL`,
  // A table of their own: a row is written whole, and most commits leave the state as it is.
  `CREATE TABLE agent_states (
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (type, id)
  )`,
  // AUTOINCREMENT: a sequence is never given out twice, so an old claim can never name a new message.
  `CREATE TABLE agent_messages (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    message TEXT NOT NULL,
    payload TEXT NOT NULL,
    key TEXT,
    attempt INTEGER NOT NULL,
    activation INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    enqueued_at INTEGER NOT NULL,
    sender TEXT
  )`,
  // Claims read an inbox along this index, without its rows.
  `CREATE INDEX agent_messages_inbox ON agent_messages (type, id, sequence, not_before, activation)`,
  // A message's key is unique in its inbox.
  `CREATE UNIQUE INDEX agent_messages_key ON agent_messages (type, id, key) WHERE key IS NOT NULL`,
  `CREATE TABLE agent_replies (
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    message TEXT NOT NULL,
    outcome TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (type, id, key)
  )`
]
