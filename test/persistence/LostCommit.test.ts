import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as FaultySqlite from "../support/faulty-connection.ts"
import { first, temporaryStore } from "../support/store-processes.ts"
import { claim, claimAll, enqueue } from "../support/store-tasks.ts"
import { openWatched } from "../support/watched-connection.ts"

const queue = "work"

const deadline = "200 millis"

/** A node with one task in hand, on a storage that can fail. */
const holder = Effect.gen(function*() {
  const filename = yield* temporaryStore
  const faults = FaultySqlite.make()
  const node = yield* Layer.build(Sqlite.layerWith({ filename, deadline }, faults.open))
  yield* Effect.provide(enqueue(queue, ["one", "two"]), node)
  const held = first(yield* Effect.provide(claim(queue, 1), node))
  return { filename, faults, node, held }
})

/** What another process would read. */
const taskIds = (filename: string) =>
  Effect.flatMap(TaskStore, (store) => store.tasks({ limit: 100 })).pipe(
    Effect.map((tasks) => tasks.map((task) => task.id)),
    Effect.provide(Sqlite.layer({ filename }))
  )

describe("a COMMIT whose answer is lost for longer than the deadline", () => {
  it.scopedLive("is unknown to its caller; the node joins under a new id, and what it held comes back", () =>
    Effect.gen(function*() {
      const { faults, held, node } = yield* holder
      const fenced = yield* Effect.fork(Effect.flatMap(Effect.provide(CommitLog, node), (log) => log.fenced))
      yield* Effect.yieldNow()
      faults.lose = { done: true, code: "SQLITE_IOERR_FSYNC" }
      faults.goneAfter = true
      const error = yield* Effect.flip(Effect.provide(claim(queue, 1), node))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Io", outcome: "unknown" })
      expect(error.message).toContain("not known")
      expect(yield* Fiber.join(fenced)).toMatchObject({ _tag: "NodeFenced", node: held.node })
      faults.lose = null
      faults.gone = false
      const again = yield* Effect.provide(claimAll(queue, 2), node)
      expect(again.map(({ attempt, id }) => ({ attempt, id }))).toEqual([
        { id: "one", attempt: 2 },
        { id: "two", attempt: 2 }
      ])
      expect(again.map((task) => task.node)).not.toContain(held.node)
    }))

  it.scopedLive("is known not to be written where the file can be read at the deadline", () =>
    Effect.gen(function*() {
      const { faults, filename, held, node } = yield* holder
      faults.lose = { done: false, code: "SQLITE_FULL" }
      const error = yield* Effect.flip(Effect.provide(enqueue(queue, ["three"]), node))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Full", outcome: "none" })
      faults.lose = null
      expect(yield* taskIds(filename)).toEqual(["one", "two"])
      expect(yield* Effect.provide(claim(queue, 1), node)).toMatchObject([{ id: "two", node: held.node }])
    }))
})

describe("a COMMIT whose answer is lost for a while", () => {
  it.scopedLive("is acknowledged when it was written, and not written twice", () =>
    Effect.gen(function*() {
      const { faults, filename, held, node } = yield* holder
      faults.lose = { done: true, code: "SQLITE_IOERR_FSYNC" }
      expect(yield* Effect.provide(enqueue(queue, ["three"]), node)).toBe(1)
      faults.lose = null
      expect(yield* taskIds(filename)).toEqual(["one", "two", "three"])
      expect(yield* Effect.provide(claim(queue, 1), node)).toMatchObject([{ node: held.node }])
    }))

  it.scopedLive("is not mistaken for written while its transaction is still open", () =>
    Effect.gen(function*() {
      const { faults, filename, node } = yield* holder
      faults.lose = { done: false, code: "SQLITE_BUSY" }
      const error = yield* Effect.flip(Effect.provide(enqueue(queue, ["three"]), node))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Busy", outcome: "none" })
      expect(yield* taskIds(filename)).toEqual(["one", "two"])
    }))
})

describe("a bug in the storage", () => {
  it.scopedLive("ends the log, and every caller hears of it", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      let broken = false
      const open = openWatched(() => {
        if (!broken) return
        broken = false
        throw new Error("a bug")
      })
      const node = yield* Layer.build(Sqlite.layerWith({ filename }, open))
      broken = true
      const errors = yield* Effect.all([
        Effect.flip(Effect.provide(enqueue(queue, ["one"]), node)),
        Effect.flip(Effect.provide(enqueue(queue, ["two"]), node))
      ], { concurrency: "unbounded" })
      expect(errors).toMatchObject([
        { _tag: "StorageError", reason: "Closed", outcome: "unknown" },
        { _tag: "StorageError", reason: "Closed", outcome: "unknown" }
      ])
      expect(yield* Effect.flip(Effect.provide(enqueue(queue, ["three"]), node))).toMatchObject({
        _tag: "StorageError",
        reason: "Closed",
        outcome: "none"
      })
    }))
})
