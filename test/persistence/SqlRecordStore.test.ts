import { describe, expect, it } from "@effect/vitest"
import { CommitLog, LaneFailed, NodeFenced } from "@holdfast/agents/CommitLog"
import { put, remove } from "@holdfast/core/RecordStore"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as SqliteReader from "@holdfast/persistence/SqliteReader"
import * as SqlRecordStore from "@holdfast/persistence/SqlRecordStore"
import Database from "better-sqlite3"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { recordStoreSuite, storeOf } from "../core/RecordStoreSuite.ts"
import { runFixture, temporaryStore } from "../support/store-processes.ts"

const storage = Effect.map(temporaryStore, (filename) => Sqlite.layer({ filename }))

recordStoreSuite("SQLite", storage, 20)

/** A store whose looks at other processes are the test's own, and the store of another node on the same file. */
const twoNodes = Effect.gen(function*() {
  const filename = yield* temporaryStore
  const layer = Sqlite.layer({ filename })
  const log = Context.get(yield* Layer.build(layer), CommitLog)
  const here = SqlRecordStore.make(log, yield* SqliteReader.open(filename))
  return { here, log, there: yield* storeOf(layer), filename }
})

describe("records on SQLite", () => {
  it.scopedLive("loses no increment of two processes on one file", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      yield* Effect.forEach(["100", "100"], (count) => runFixture("record-increments.ts", filename, count), {
        concurrency: "unbounded"
      })
      const store = yield* storeOf(Sqlite.layer({ filename }))
      expect(Option.map(yield* store.get("counters", "shared"), ({ value }) => value)).toEqual(
        Option.some("200")
      )
    }))

  it.scopedLive("wakes a subscriber once for what another node changed, removals too, and not for its own twice", () =>
    Effect.gen(function*() {
      const { here, there } = yield* twoNodes
      const changed = yield* here.port.subscribe("watched")
      const isWoken = Effect.gen(function*() {
        yield* here.look
        const waiting = yield* Effect.fork(changed)
        yield* Effect.repeatN(Effect.yieldNow(), 9)
        const woken = waiting.unsafePoll() !== null
        yield* Fiber.interrupt(waiting)
        return woken
      })
      expect(yield* isWoken).toBe(false)
      yield* there.commit([put("watched", "key", "1"), put("watched", "other", "1")])
      expect([yield* isWoken, yield* isWoken]).toEqual([true, false])
      yield* there.commit([remove("watched", "key")])
      expect([yield* isWoken, yield* isWoken]).toEqual([true, false])
      yield* there.commit([remove("watched", "key"), put("elsewhere", "key", "1")])
      expect(yield* isWoken).toBe(false)
      yield* here.port.commit([put("watched", "key", "2")])
      yield* changed
      expect(yield* isWoken).toBe(false)
    }))

  it.scopedLive("writes again what a fence or a neighbour's rejection kept from being written", () =>
    Effect.gen(function*() {
      const { filename, log } = yield* twoNodes
      const failures = [
        new NodeFenced({ node: "n" }),
        new LaneFailed({ lane: "records", detail: "" }),
        new NodeFenced({ node: "n" })
      ]
      const commit: CommitLog["Type"]["commit"] = (operations) =>
        Effect.suspend(() => {
          const failure = failures.pop()
          return failure === undefined ? log.commit(operations) : Effect.fail(failure)
        })
      const store = SqlRecordStore.make({ ...log, commit }, yield* SqliteReader.open(filename))
      expect(yield* store.port.commit([put("c", "k", "1", 0)])).toEqual([1])
      expect(failures).toEqual([])
    }))

  it.scopedLive("calls a store whose tables it cannot write corrupt, and goes on when they are mended", () =>
    Effect.gen(function*() {
      const { filename, there } = yield* twoNodes
      const database = yield* Effect.acquireRelease(
        Effect.sync(() => new Database(filename)),
        (database) => Effect.sync(() => database.close())
      )
      database.exec("ALTER TABLE records RENAME TO gone")
      const units = ["a", "b", "c"].map((key) => there.commit([put("c", key, "1")]))
      const errors = yield* Effect.forEach(units, Effect.flip, { concurrency: "unbounded" })
      for (const error of errors) {
        expect(error).toMatchObject({ _tag: "StorageError", reason: "Corrupt", outcome: "none" })
      }
      database.exec("ALTER TABLE gone RENAME TO records")
      expect(yield* there.commit([put("c", "k", "1", 0)])).toEqual([1])
    }))
})
