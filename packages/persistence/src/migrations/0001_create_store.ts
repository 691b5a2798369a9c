/**
 * Creates the store, nodes, queues, tasks and commands.
 */
export const statements: ReadonlyArray<string> = [
  `CREATE TABLE store (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    instance TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    schema_minimum INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    home_path TEXT NOT NULL,
    home_inode INTEGER NOT NULL
  )`,
  `CREATE TABLE nodes (
    id TEXT PRIMARY KEY,
    epoch TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('alive', 'dead')),
    batch INTEGER NOT NULL,
    heartbeat INTEGER NOT NULL,
    heartbeat_at INTEGER NOT NULL,
    lease_millis INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    hostname TEXT NOT NULL,
    pid INTEGER NOT NULL,
    process_start TEXT
  ) WITHOUT ROWID`,
  `CREATE TABLE queues (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    paused INTEGER NOT NULL,
    sealed INTEGER NOT NULL,
    size_max INTEGER,
    error_threshold INTEGER,
    label TEXT,
    ready INTEGER NOT NULL,
    running INTEGER NOT NULL,
    completed INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    skipped INTEGER NOT NULL,
    dead_in_row INTEGER NOT NULL,
    finish_sequence INTEGER NOT NULL
  ) WITHOUT ROWID`,
  // AUTOINCREMENT: a sequence is never given out twice, so an old claim can never name a new task.
  `CREATE TABLE tasks (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('ready', 'running', 'completed', 'dead', 'skipped')),
    priority INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    attempts_max INTEGER NOT NULL,
    activation INTEGER NOT NULL,
    node TEXT,
    enqueued_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    finish_sequence INTEGER,
    payload TEXT NOT NULL,
    outcome TEXT
  )`,
  // A task's id is unique in its queue.
  `CREATE UNIQUE INDEX tasks_id ON tasks (queue, id)`,
  // Claims read the head of this index.
  `CREATE INDEX tasks_ready ON tasks (queue, priority, not_before, sequence) WHERE status = 'ready'`,
  // Takeover looks up what a node held.
  `CREATE INDEX tasks_running ON tasks (node, sequence) WHERE status = 'running'`,
  // Exporters follow the order in which tasks finished; retry and purge look up finished ones.
  `CREATE INDEX tasks_finished ON tasks (queue, finish_sequence) WHERE finish_sequence IS NOT NULL`,
  `CREATE TABLE commands (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    command TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    changed INTEGER NOT NULL DEFAULT 0,
    outcome TEXT,
    settled_at INTEGER,
    node TEXT
  )`,
  // Nodes look for what is to be done.
  `CREATE INDEX commands_pending ON commands (sequence) WHERE outcome IS NULL`
]
