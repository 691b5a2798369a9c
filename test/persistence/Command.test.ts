import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as TaskQueue from "@holdfast/agents/TaskQueue"
import * as Command from "@holdfast/persistence/Command"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as SqliteReader from "@holdfast/persistence/SqliteReader"
import type { SqlPlan } from "@holdfast/persistence/SqlPlan"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FileSystem from "node:fs"
import { temporaryStore } from "../support/store-processes.ts"
import { claim, enqueue, ids } from "../support/store-tasks.ts"

const queue = "work"

const retryAll = { _tag: "RetryTasks", queue, id: null } as const

/** A closed store in which that many tasks were skipped. */
const storeOf = (count: number) =>
  Effect.gen(function*() {
    const filename = yield* temporaryStore
    yield* Effect.gen(function*() {
      yield* Effect.forEach(ids("chunk", count / 500), (name) => enqueue(queue, ids(name, 500)))
      expect(yield* TaskQueue.skipReady(queue)).toBe(count)
    }).pipe(Effect.provide(Sqlite.layer({ filename })))
    return filename
  })

const read = <A>(filename: string, plan: () => SqlPlan<A>) =>
  Effect.scoped(Effect.flatMap(SqliteReader.open(filename), (reader) => reader.read("test", plan)))

const outcomeOf = (filename: string, id: string) => read(filename, () => Command.outcomeOf(id))

/** The outcome of a command, once a node has carried it out. */
const settled = (filename: string, id: string) =>
  Effect.repeat(Effect.delay(outcomeOf(filename, id), "10 millis"), { until: (outcome) => outcome !== null })

/** Writes rows that a later version may have submitted. */
const submitUnknown = (filename: string, count: number) => {
  const database = new Database(filename)
  const insert = database.prepare("INSERT INTO commands (id, command, created_at) VALUES (?, ?, 0)")
  database.transaction(() => {
    for (const id of ids("unknown", count)) insert.run(id, `{"_tag":"FromTheFuture"}`)
  })()
  database.close()
}

describe("a command", () => {
  it.scopedLive("given while no node runs waits, and is carried out once when one starts", () =>
    Effect.gen(function*() {
      const filename = yield* storeOf(500)
      const id = yield* Command.submit(filename, retryAll)
      expect(yield* outcomeOf(filename, id)).toBeNull()
      yield* Effect.gen(function*() {
        expect(yield* outcomeOf(filename, id)).toBe(`{"changed":500}`)
        expect((yield* claim(queue, 1_000)).length).toBe(500)
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
      yield* Effect.provide(Effect.void, Sqlite.layer({ filename }))
      expect(yield* outcomeOf(filename, id)).toBe(`{"changed":500}`)
      expect(yield* read(filename, () => Command.pending(0, 10))).toEqual([])
    }))

  it.scopedLive("that was carried out changes nothing for a node that comes late", () =>
    Effect.gen(function*() {
      const filename = yield* storeOf(500)
      const id = yield* Command.submit(filename, retryAll)
      yield* Effect.gen(function*() {
        yield* TaskQueue.skipReady(queue)
        const log = yield* CommitLog
        expect(yield* log.commit([Command.carryOut({ id, command: retryAll, nowMillis: 0 })])).toEqual([null])
        expect(yield* TaskQueue.stats(queue)).toMatchObject({ counts: { ready: 0, skipped: 500 } })
      }).pipe(Effect.provide(Sqlite.layer({ filename })))
      expect(yield* outcomeOf(filename, id)).toBe(`{"changed":500}`)
    }))

  it.scopedLive("given beside a running node is carried out by it", () =>
    Effect.gen(function*() {
      const filename = yield* storeOf(500)
      const node = yield* Layer.build(Sqlite.layer({ filename }))
      const one = yield* Command.submit(filename, { ...retryAll, id: "chunk-0-7" })
      expect(yield* settled(filename, one)).toBe(`{"changed":1}`)
      expect(yield* Effect.provide(claim(queue, 10), node)).toMatchObject([{ id: "chunk-0-7", attempt: 1 }])
      const none = yield* Command.submit(filename, { ...retryAll, id: "chunk-0-7" })
      expect(yield* settled(filename, none)).toBe(`{"changed":0}`)
    }))

  it.scopedLive("that takes several transactions is carried out once by two nodes together", () =>
    Effect.gen(function*() {
      const filename = yield* storeOf(3_500)
      const id = yield* Command.submit(filename, retryAll)
      const layers = Array.from({ length: 2 }, () => Layer.build(Sqlite.layer({ filename })))
      const [node] = yield* Effect.all(layers, { concurrency: "unbounded" })
      expect(yield* settled(filename, id)).toBe(`{"changed":3500}`)
      if (node === undefined) return
      expect(yield* Effect.provide(TaskQueue.stats(queue), node)).toMatchObject({
        counts: { ready: 3_500, skipped: 0 }
      })
    }))

  it.scopedLive("that no node knows yet waits, and holds up none behind it", () =>
    Effect.gen(function*() {
      const filename = yield* storeOf(500)
      submitUnknown(filename, 250)
      const id = yield* Command.submit(filename, retryAll)
      yield* Layer.build(Sqlite.layer({ filename }))
      expect(yield* settled(filename, id)).toBe(`{"changed":500}`)
      const pending = yield* read(filename, () => Command.pending(0, 1_000))
      expect(pending.map((command) => command.id)).toEqual(ids("unknown", 250))
    }))

  it.scopedLive("for what is no store is refused typed, and leaves it as it was", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      expect(yield* Effect.flip(Command.submit(filename, retryAll))).toMatchObject({
        _tag: "StorageError",
        reason: "NotFound"
      })
      FileSystem.writeFileSync(filename, "")
      expect(yield* Effect.flip(Command.submit(filename, retryAll))).toMatchObject({
        _tag: "StorageError",
        reason: "NotFound"
      })
      const database = new Database(filename)
      database.exec("CREATE TABLE notes (text)")
      database.close()
      const before = FileSystem.readFileSync(filename)
      expect(yield* Effect.flip(Command.submit(filename, retryAll))).toMatchObject({
        _tag: "StorageError",
        reason: "Unsupported"
      })
      expect(FileSystem.readFileSync(filename)).toEqual(before)
    }))
})
