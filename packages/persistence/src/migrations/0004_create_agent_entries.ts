/**
 * Creates the collections of agents and their entries, and finds messages that wait to be claimed by indexes of their own.
 */
export const statements: ReadonlyArray<string> = [
  // Clustered by key: a page is one range of the table.
  `CREATE TABLE agent_entries (
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    collection TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (type, id, collection, key)
  ) WITHOUT ROWID`,
  // How many entries a collection has, kept up by every batch: counting them would read them all.
  `CREATE TABLE agent_collections (
    type TEXT NOT NULL,
    id TEXT NOT NULL,
    collection TEXT NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (type, id, collection)
  ) WITHOUT ROWID`,
  // From now on only the activation that owns an agent has claimed messages. Older nodes are fenced: theirs are void.
  `UPDATE agent_messages SET activation = 0 WHERE activation <> 0`,
  // Nodes look for agents to claim messages for, over and over: what is claimed, or due later, must cost them nothing.
  `CREATE INDEX agent_messages_open ON agent_messages (type, id) WHERE activation = 0 AND not_before = 0`,
  `CREATE INDEX agent_messages_later ON agent_messages (type, not_before, id) ` +
  `WHERE activation = 0 AND not_before <> 0`
]
