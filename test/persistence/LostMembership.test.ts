import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import type { SqliteConnection } from "@holdfast/persistence/SqliteConnection"
import * as Connection from "@holdfast/persistence/SqliteConnection"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { sqliteError } from "../support/faulty-connection.ts"
import { temporaryStore } from "../support/store-processes.ts"
import { enqueue } from "../support/store-tasks.ts"

/** Loses the answer to one COMMIT, and lets others change the nodes before anybody can ask what became of it. */
const losing = (fault: { armed: boolean }, written: boolean, meanwhile: string) =>
(
  filename: string
): SqliteConnection => {
  const connection = Connection.open(filename)
  return {
    ...connection,
    execute: (statement) => {
      if (!fault.armed || statement.sql !== "COMMIT") return connection.execute(statement)
      fault.armed = false
      connection.execute(written ? statement : { sql: "ROLLBACK", params: [] })
      const others = new Database(filename)
      others.exec(meanwhile)
      others.close()
      throw sqliteError("SQLITE_IOERR_FSYNC", "the answer was lost")
    }
  }
}

const markDead = "UPDATE nodes SET status = 'dead'"

const removeDead = "DELETE FROM nodes"

describe("a COMMIT whose answer was lost with the node's membership", () => {
  const cases = [
    {
      said: "is acknowledged when it was written",
      written: true,
      meanwhile: markDead,
      answer: 1,
      there: ["a"]
    },
    {
      said: "is refused by the fence when it was not",
      written: false,
      meanwhile: markDead,
      answer: { _tag: "NodeFenced" },
      there: []
    },
    {
      said: "is unknown when nothing of the node is left to tell, though it was written",
      written: true,
      meanwhile: removeDead,
      answer: { _tag: "StorageError", outcome: "unknown" },
      there: ["a"]
    }
  ]

  it.live.each(cases)(
    "$said",
    ({ answer, meanwhile, there, written }) =>
      Effect.scoped(Effect.gen(function*() {
        const filename = yield* temporaryStore
        const fault = { armed: false }
        const node = yield* Layer.build(Sqlite.layerWith({ filename }, losing(fault, written, meanwhile)))
        yield* Effect.gen(function*() {
          const fenced = yield* Effect.fork(Effect.flatMap(CommitLog, (log) => log.fenced))
          yield* Effect.yieldNow()
          fault.armed = true
          const result = yield* Effect.merge(enqueue("q", ["a"]))
          if (typeof answer === "number") expect(result).toBe(answer)
          else expect(result).toMatchObject(answer)
          const tasks = yield* Effect.flatMap(TaskStore, (store) => store.tasks({ limit: 9 }))
          expect(tasks.map(({ id }) => id)).toEqual(there)
          // It hears of the fence, at the latest with its next batch, and goes on as another node.
          yield* Effect.eventually(enqueue("q", ["b"]))
          yield* fenced.await
        }).pipe(Effect.provide(node))
      }))
  )
})
