/**
 * Rows per second through the commit log, beside the same rows through better-sqlite3 and `@effect/sql`.
 *
 * All of them write the same table with the same indexes, `synchronous=FULL`, one durable acknowledgement per unit.
 */
import * as SqliteClient from "@effect/sql-sqlite-node/SqliteClient"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as SqliteConnection from "@holdfast/persistence/SqliteConnection"
import * as StoreAdmin from "@holdfast/persistence/StoreAdmin"
import * as Effect from "effect/Effect"
import type { Contestant } from "./Measure.ts"

const insert =
  "INSERT INTO tasks (queue, id, status, priority, not_before, attempt, attempts_max, activation, enqueued_at, " +
  "payload) VALUES "
const row = "(?, ?, 'ready', 0, 0, 0, 4, 0, 0, ?)"
const payload = JSON.stringify({ file: "images/0001.png", size: 100 })

let next = 0
const params = (count: number): Array<string> =>
  Array.from({ length: count }, () => ["bench", String(next++), payload]).flat()

/** The contestants; each opens a store of its own in the directory. */
export const contestants = (directory: string): ReadonlyArray<Contestant> => [
  bare(`${directory}/bare-1.db`, 2_000, 1),
  bare(`${directory}/bare-100.db`, 20_000, 100),
  effectSql(`${directory}/effect-sql.db`, 2_000),
  group(`${directory}/group-64.db`, 20_000, 64, 1),
  group(`${directory}/group-1024.db`, 20_000, 1_024, 1),
  group(`${directory}/group-100.db`, 50_000, 16, 100)
]

const bare = (file: string, count: number, perCommit: number): Contestant => ({
  name: `better-sqlite3, ${perCommit} row${perCommit === 1 ? "" : "s"} per commit`,
  run: async () => {
    await Effect.runPromise(StoreAdmin.migrate(file))
    const connection = SqliteConnection.open(file)
    const execute = (sql: string, values: ReadonlyArray<string> = []) =>
      connection.execute({ sql, params: values })
    const text = insert + Array.from({ length: perCommit }, () => row).join(",")
    for (let at = 0; at < count; at += perCommit) {
      execute("BEGIN IMMEDIATE")
      execute(text, params(perCommit))
      execute("COMMIT")
    }
    connection.close()
    return count
  }
})

const effectSql = (file: string, count: number): Contestant => ({
  name: "@effect/sql, statement by statement",
  run: () =>
    Effect.runPromise(
      Effect.gen(function*() {
        yield* StoreAdmin.migrate(file)
        const sql = yield* SqliteClient.SqliteClient
        yield* sql.unsafe("PRAGMA synchronous = FULL")
        yield* Effect.forEach(
          Array.from({ length: count }),
          () => sql.unsafe(insert + row, params(1)),
          { concurrency: 64, discard: true }
        )
        return count
      }).pipe(Effect.provide(SqliteClient.layer({ filename: file })))
    )
})

const group = (file: string, count: number, producers: number, rows: number): Contestant => ({
  name: `commit log, ${producers} producers, ${rows} row${rows === 1 ? "" : "s"} per unit`,
  run: () =>
    Effect.runPromise(
      Effect.gen(function*() {
        const log = yield* CommitLog
        const unit = () => TaskOperation.enqueueTasks({ queue: "bench", tasks: tasks(rows), nowMillis: 0 })
        yield* Effect.forEach(
          Array.from({ length: count / rows }),
          () => log.commit([unit()]),
          { concurrency: producers, discard: true }
        )
        return count
      }).pipe(Effect.provide(Sqlite.layer({ filename: file })))
    )
})

const tasks = (count: number) =>
  Array.from({ length: count }, () => ({
    id: String(next++),
    priority: 0,
    notBeforeMillis: 0,
    attemptsMax: 4,
    payload
  }))
