/**
 * What an operator does with a store as a whole: migrate it, check it, adopt a copy.
 */
import type { StorageError } from "@holdfast/core/StorageError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as Migrations from "./Migrations.ts"
import * as NodeRows from "./NodeRows.ts"
import type { QueueRow } from "./QueueRows.ts"
import * as Sqlite from "./SqliteConnection.ts"
import * as SqliteReader from "./SqliteReader.ts"
import type { SqlPlan } from "./SqlPlan.ts"
import { query } from "./SqlPlan.ts"
import * as StoreHome from "./StoreHome.ts"

/** What a check found. */
export interface Report {
  readonly schemaVersion: number
  readonly sqliteVersion: string
  readonly queues: number
  readonly tasks: number
  readonly bytes: number
  readonly walBytes: number
  readonly nodes: number
  /** Each a sentence; none when all is well. */
  readonly problems: ReadonlyArray<string>
}

/** Creates the store, or brings its schema up to date. */
export const migrate = (filename: string): Effect.Effect<Migrations.Migrated, StorageError> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (nowMillis) =>
      writing("migrate", filename, Sqlite.open, () =>
        Migrations.migrate(globalThis.crypto.randomUUID(), nowMillis, StoreHome.of(filename)))
  )

/** Makes a copy of a store the store: it remembers this file as its home. */
export const adopt = (filename: string): Effect.Effect<void, StorageError> =>
  writing("adopt", filename, Sqlite.openExisting, () => StoreHome.adopt(StoreHome.of(filename)))

/** Reads the whole store and names what is wrong with it; changes nothing. */
export const check = (filename: string): Effect.Effect<Report, StorageError> =>
  Effect.scoped(
    Effect.flatMap(SqliteReader.open(filename), (reader) =>
      Effect.map(reader.read("check", inspect), (report) => ({
        ...report,
        bytes: sizeOf(filename),
        walBytes: sizeOf(`${filename}-wal`)
      })))
  )

const writing = <A>(
  operation: string,
  filename: string,
  open: (filename: string) => Sqlite.SqliteConnection,
  plan: () => SqlPlan<A>
): Effect.Effect<A, StorageError> =>
  Effect.acquireUseRelease(
    SqliteReader.whileBusy(operation, () => open(filename)),
    (connection) =>
      SqliteReader.whileBusy(operation, () => Sqlite.committed(Sqlite.transact(connection, plan))),
    (connection) => Effect.sync(() => connection.close())
  )

const sizeOf = (file: string): number => fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0

function* inspect(): SqlPlan<Omit<Report, "bytes" | "walBytes">> {
  const queues = yield* query<QueueRow>("SELECT * FROM queues")
  const nodes = yield* NodeRows.all()
  const problems = [
    ...(yield* integrity()),
    ...(yield* counters(queues)),
    ...(yield* entryCounters()),
    ...(yield* orphans())
  ]
  return {
    schemaVersion: yield* Migrations.currentVersion(),
    sqliteVersion: (yield* query<{ readonly v: string }>("SELECT sqlite_version() AS v"))[0]?.v ?? "",
    queues: queues.length,
    tasks: (yield* query<{ readonly n: number }>("SELECT COUNT(*) AS n FROM tasks"))[0]?.n ?? 0,
    nodes: nodes.length,
    problems
  }
}

function* integrity(): SqlPlan<ReadonlyArray<string>> {
  const found = yield* query<{ readonly integrity_check: string }>("PRAGMA integrity_check(20)")
  const mode = yield* query<{ readonly journal_mode: string }>("PRAGMA journal_mode")
  return [
    ...found.map((row) => row.integrity_check).filter((text) => text !== "ok").map((text) =>
      `integrity: ${text}`
    ),
    ...(mode[0]?.journal_mode === "wal"
      ? []
      : [`the journal mode is ${mode[0]?.journal_mode ?? "unknown"}, not WAL`])
  ]
}

const statuses = ["ready", "running", "completed", "dead", "skipped"] as const

function* counters(queues: ReadonlyArray<QueueRow>): SqlPlan<ReadonlyArray<string>> {
  const counted = yield* query<{ readonly queue: string; readonly status: string; readonly n: number }>(
    "SELECT queue, status, COUNT(*) AS n FROM tasks GROUP BY queue, status"
  )
  const found = new Map(counted.map((row) => [`${row.queue}\u0000${row.status}`, row.n]))
  const wrong = queues.flatMap((queue) =>
    statuses.flatMap((status) => {
      const actual = found.get(`${queue.name}\u0000${status}`) ?? 0
      return actual === queue[status]
        ? []
        : [`queue ${queue.name} counts ${queue[status]} ${status} tasks and has ${actual}`]
    })
  )
  const names = new Set(queues.map((queue) => queue.name))
  const unknown = new Set(counted.map((row) => row.queue).filter((name) => !names.has(name)))
  return [...wrong, ...Array.from(unknown, (name) => `there are tasks of queue ${name}, which has no row`)]
}

function* entryCounters(): SqlPlan<ReadonlyArray<string>> {
  const rows = yield* query<EntryCounter>(
    `SELECT type, id, collection, SUM(counted) AS counted, SUM(actual) AS actual FROM (` +
      `SELECT type, id, collection, entries AS counted, 0 AS actual FROM agent_collections UNION ALL ` +
      `SELECT type, id, collection, 0, 1 FROM agent_entries) ` +
      `GROUP BY type, id, collection HAVING SUM(counted) <> SUM(actual) LIMIT 20`
  )
  return rows.map(({ actual, collection, counted, id, type }) =>
    `collection ${collection} of agent ${type}/${id} counts ${counted} entries and has ${actual}`
  )
}

interface EntryCounter {
  readonly type: string
  readonly id: string
  readonly collection: string
  readonly counted: number
  readonly actual: number
}

function* orphans(): SqlPlan<ReadonlyArray<string>> {
  const rows = yield* query<{ readonly node: string; readonly n: number }>(
    "SELECT node, COUNT(*) AS n FROM tasks WHERE status = 'running' AND node NOT IN (SELECT id FROM nodes) GROUP BY node"
  )
  const agents = yield* query<{ readonly node: string; readonly n: number }>(
    "SELECT node, COUNT(*) AS n FROM agents WHERE node IS NOT NULL AND " +
      "node NOT IN (SELECT id FROM nodes) GROUP BY node"
  )
  return [
    ...rows.map((row) => `${row.n} tasks are running on node ${row.node}, which is not known`),
    ...agents.map((row) => `${row.n} agents are live on node ${row.node}, which is not known`)
  ]
}
