import { SqlClient } from "@effect/sql/SqlClient"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import type { StorageError } from "@holdfast/core/StorageError"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import type { SqliteConnection } from "@holdfast/persistence/SqliteConnection"
import Database from "better-sqlite3"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { temporaryStore } from "../support/store-processes.ts"

/** A store with a table of the user's, and what runs on it. */
export interface LedgerStore {
  readonly filename: string
  /** A node of the store, opened another way where that is given. */
  readonly node: (
    open?: (filename: string) => SqliteConnection,
    deadline?: Duration.DurationInput
  ) => Effect.Effect<Layer.Layer<Sqlite.Ports>, StorageError, Scope.Scope>
  /** What another connection sees. */
  readonly stored: Effect.Effect<
    { readonly names: ReadonlyArray<string>; readonly tasks: ReadonlyArray<string> }
  >
  /** Executes statements on another connection, which must not have to wait for the file. */
  readonly execute: (sql: string) => Effect.Effect<void>
}

/** Makes it. */
export const make: Effect.Effect<LedgerStore, StorageError, Scope.Scope> = Effect.gen(function*() {
  const filename = yield* temporaryStore
  yield* Effect.scoped(Layer.build(Sqlite.layer({ filename })))
  const execute = (sql: string) => Effect.sync(() => onDatabase(filename, (database) => database.exec(sql)))
  yield* execute("CREATE TABLE ledger (name TEXT PRIMARY KEY)")
  return {
    filename,
    node: (open, deadline = Sqlite.deadlineDefault) => {
      const options = { filename, deadline }
      const layer = open === undefined ? Sqlite.layer(options) : Sqlite.layerWith(options, open)
      return Effect.map(Layer.build(layer), Layer.succeedContext)
    },
    stored: Effect.sync(() =>
      onDatabase(filename, (database) => {
        const texts = (sql: string) => database.prepare(sql).pluck().all() as Array<string>
        return {
          names: texts("SELECT name FROM ledger ORDER BY rowid"),
          tasks: texts("SELECT id FROM tasks ORDER BY sequence")
        }
      })
    ),
    execute
  }
})

const onDatabase = <A>(filename: string, use: (database: Database.Database) => A): A => {
  const database = new Database(filename, { timeout: 0 })
  try {
    return use(database)
  } finally {
    database.close()
  }
}

/** Writes a name of the user's. */
export const insert = (name: string) =>
  Effect.flatMap(SqlClient, (sql) => sql`INSERT INTO ledger (name) VALUES (${name})`)

/** Reads all names, as the fiber that asks sees them. */
export const names = Effect.map(
  Effect.flatMap(SqlClient, (sql) => sql<{ readonly name: string }>`SELECT name FROM ledger ORDER BY rowid`),
  (rows) => rows.map(({ name }) => name)
)

/** Adds a task. */
export const enqueue = (id: string, queue = "q") =>
  TaskOperation.enqueueTasks({
    queue,
    tasks: [{ id, priority: 0, notBeforeMillis: 0, attemptsMax: 1, payload: "null" }],
    nowMillis: 0
  })

/** Commits a task alone. */
export const commit = (id: string, queue = "q") =>
  Effect.flatMap(CommitLog, (log) => log.commit([enqueue(id, queue)]))

/** Commits a task with what a user does. */
export const within = <A, E, R>(user: Effect.Effect<A, E, R>, id: string, queue = "q") =>
  Effect.flatMap(CommitLog, (log) => log.within(user, () => [enqueue(id, queue)], { deadline: "1 hour" }))
