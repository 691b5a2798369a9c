import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as TaskOperation from "@holdfast/agents/TaskOperation"
import { TaskStore } from "@holdfast/agents/TaskStore"
import * as Batch from "@holdfast/persistence/Batch"
import * as CommitBuffer from "@holdfast/persistence/CommitBuffer"
import * as SqlCommitLog from "@holdfast/persistence/SqlCommitLog"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import * as SqliteConnection from "@holdfast/persistence/SqliteConnection"
import * as TaskHandlers from "@holdfast/persistence/TaskHandlers"
import Database from "better-sqlite3"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as ScriptedSqlite from "../support/scripted-connection.ts"
import { temporaryStore } from "../support/store-processes.ts"

/** A store whose file can be held busy, and what one needs to commit to it in any order. */
const heldStore = (deadlineMillis = 10_000) =>
  Effect.gen(function*() {
    const filename = yield* temporaryStore
    const sqlite = ScriptedSqlite.make([])
    const scope = yield* Scope.make()
    const { port: log } = yield* Scope.extend(
      SqlCommitLog.make(config(filename, deadlineMillis, sqlite), leave),
      scope
    )
    const hold = (busy: boolean) => Effect.sync(() => void (sqlite.held = () => busy))
    const commit = (id: string, bytes = 1) => log.commit([enqueue(id, bytes)])
    const close = Scope.close(scope, Exit.void)
    yield* Effect.addFinalizer(() => Effect.zipRight(hold(false), close))
    /** Starts to write a commit, which cannot get anywhere before the file is let go. */
    const begin = (id: string) => Effect.tap(Effect.fork(commit(id)), () => waitForBatch)
    return { filename, log, hold, commit, begin, close, ids: storedIds(filename) }
  })

const config = (filename: string, deadlineMillis: number, { open }: ScriptedSqlite.ScriptedSqlite) => ({
  filename,
  deadlineMillis,
  leaseMillis: 8_000,
  limits: CommitBuffer.defaultLimits,
  handlers: Batch.handlersByTag(TaskHandlers.handlers),
  weigh: TaskHandlers.weigh,
  open
})

const leave = () => Effect.succeed([])

/** By the next but one turn of the event loop the writer has taken what was submitted in this one. */
const waitForBatch = Effect.repeatN(
  Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void))),
  3
)

const mebi = 1024 * 1024

const enqueue = (id: string, bytes: number) =>
  TaskOperation.enqueueTasks({
    queue: `q${id}`,
    tasks: [{ id, priority: 0, notBeforeMillis: 0, attemptsMax: 1, payload: "x".repeat(bytes) }],
    nowMillis: 0
  })

/** What another connection sees. */
const storedIds = (filename: string) =>
  Effect.sync(() => {
    const database = new Database(filename, { readonly: true })
    const rows = database.prepare("SELECT id FROM tasks ORDER BY sequence").all() as Array<{ id: string }>
    database.close()
    return rows.map(({ id }) => id)
  })

describe("SqlCommitLog", () => {
  it.scopedLive("answers a commit only when another connection can see it", () =>
    Effect.gen(function*() {
      const { commit, ids } = yield* heldStore()
      const names = Array.from({ length: 60 }, (_, index) => String(index))
      const seen = yield* Effect.forEach(
        names,
        (name) => Effect.zipRight(commit(name), Effect.map(ids, (stored) => stored.includes(name))),
        { concurrency: "unbounded" }
      )
      expect(seen).toEqual(names.map(() => true))
    }))

  it.scopedLive("withdraws a commit that waits when its caller is interrupted", () =>
    Effect.gen(function*() {
      const { begin, commit, hold, ids } = yield* heldStore()
      yield* hold(true)
      const first = yield* begin("first")
      const waiting = yield* Effect.fork(commit("waiting"))
      const next = yield* Effect.fork(commit("next"))
      yield* waitForBatch
      yield* Fiber.interrupt(waiting)
      yield* hold(false)
      yield* Fiber.joinAll([first, next])
      expect(yield* ids).toEqual(["first", "next"])
    }))

  it.scopedLive("lets the interruption of a commit that is being written wait until it is", () =>
    Effect.gen(function*() {
      const { begin, hold, ids } = yield* heldStore()
      yield* hold(true)
      const writing = yield* begin("writing")
      const interrupting = yield* Effect.fork(Fiber.interrupt(writing))
      yield* waitForBatch
      expect(interrupting.unsafePoll()).toBeNull()
      yield* hold(false)
      expect(Exit.isInterrupted(yield* Fiber.join(interrupting))).toBe(true)
      expect(yield* ids).toEqual(["writing"])
    }))

  it.scopedLive("ends a caller that is interrupted when its answer is already on the way", () =>
    Effect.gen(function*() {
      const { begin, commit, hold } = yield* heldStore()
      yield* hold(true)
      yield* begin("plug")
      const victim: { fiber?: Fiber.RuntimeFiber<unknown, unknown> } = {}
      // Both are answered in one turn, and this one is resumed before the other.
      const killer = yield* Effect.fork(
        Effect.flatMap(
          commit("killer"),
          () => victim.fiber === undefined ? Effect.die("too early") : Fiber.interrupt(victim.fiber)
        )
      )
      victim.fiber = yield* Effect.fork(commit("victim"))
      yield* waitForBatch
      yield* hold(false)
      yield* Fiber.join(killer)
    }))

  it.scopedLive("writes what waits when it closes, and refuses what comes later", () =>
    Effect.gen(function*() {
      const { begin, close, commit, hold, ids } = yield* heldStore()
      yield* hold(true)
      const writing = yield* begin("writing")
      const waiting = yield* Effect.fork(commit("waiting"))
      yield* waitForBatch
      const closing = yield* Effect.fork(close)
      yield* waitForBatch
      expect(yield* Effect.flip(commit("late"))).toMatchObject({
        _tag: "StorageError",
        reason: "Closed",
        outcome: "none"
      })
      yield* hold(false)
      yield* Fiber.joinAll([writing, waiting])
      yield* Fiber.join(closing)
      expect(yield* ids).toEqual(["writing", "waiting"])
    }))

  it.scopedLive("answers every waiter with the storage error when it closes over a storage that is out", () =>
    Effect.gen(function*() {
      const { begin, close, commit, hold, ids } = yield* heldStore(30)
      yield* hold(true)
      const writing = yield* begin("writing")
      const waiting = yield* Effect.fork(commit("waiting"))
      yield* waitForBatch
      yield* close
      const busy = { _tag: "StorageError", reason: "Busy", outcome: "none" }
      expect(yield* Effect.flip(Fiber.join(writing))).toMatchObject(busy)
      expect(yield* Effect.flip(Fiber.join(waiting))).toMatchObject(busy)
      expect(yield* ids).toEqual([])
    }))

  it.scopedLive("takes in 32 MiB and holds later callers back until there is room, in order", () =>
    Effect.gen(function*() {
      const { begin, close, commit, hold, ids } = yield* heldStore()
      yield* hold(true)
      const plug = yield* begin("plug")
      const names = Array.from({ length: 40 }, (_, index) => `w${index}`)
      const fibers = yield* Effect.forEach(names, (name) => Effect.fork(Effect.either(commit(name, mebi))))
      yield* waitForBatch
      const closing = yield* Effect.fork(close)
      yield* waitForBatch
      yield* hold(false)
      yield* Fiber.join(plug)
      const results = yield* Effect.forEach(fibers, Fiber.join)
      expect(results.map(({ _tag }) => _tag === "Right")).toEqual(names.map((_, index) => index < 32))
      expect(results[32]).toMatchObject({ left: { _tag: "StorageError", reason: "Closed", outcome: "none" } })
      yield* Fiber.join(closing)
      expect(yield* ids).toEqual(["plug", ...names.slice(0, 32)])
    }))

  it.scopedLive("lets those it held back in when what waited was written, and when it was withdrawn", () =>
    Effect.gen(function*() {
      const { commit, ids } = yield* heldStore()
      const many = Array.from({ length: 40 }, (_, index) => `w${index}`)
      yield* Effect.forEach(many, (name) => commit(name, mebi), { concurrency: "unbounded" })
      expect(yield* ids).toEqual(many)
      const fibers = yield* Effect.forEach(many.slice(0, 33), (name) => Effect.fork(commit(`x${name}`, mebi)))
      yield* Effect.yieldNow()
      yield* Fiber.interruptAll(fibers.slice(0, 32))
      yield* Effect.forEach(fibers.slice(32), Fiber.join)
      expect((yield* ids).slice(40)).toEqual(["xw32"])
    }))

  it.scopedLive("says when the file is full that nothing was written, and goes on when there is space", () =>
    Effect.gen(function*() {
      const filename = yield* temporaryStore
      let pagesMax = 1_000_000
      const open = (name: string) => {
        const connection = SqliteConnection.open(name)
        const execute: typeof connection.execute = (statement) => {
          if (statement.sql === "BEGIN IMMEDIATE") {
            connection.execute({ sql: `PRAGMA max_page_count = ${pagesMax}`, params: [] })
          }
          return connection.execute(statement)
        }
        return { ...connection, execute }
      }
      yield* Effect.gen(function*() {
        const log = yield* CommitLog
        yield* log.commit([enqueue("before", 10)])
        pagesMax = 1
        const full = { _tag: "StorageError", reason: "Full", outcome: "none" }
        const refused = yield* Effect.all(
          [
            Effect.flip(log.commit([enqueue("large", 500_000)])),
            Effect.flip(log.commit([enqueue("small", 1)]))
          ],
          { concurrency: "unbounded" }
        )
        expect(refused).toMatchObject([full, full])
        pagesMax = 1_000_000
        yield* log.commit([enqueue("after", 500_000)])
        const tasks = yield* (yield* TaskStore).tasks({ limit: 10 })
        expect(tasks.map(({ id }) => id)).toEqual(["before", "after"])
      }).pipe(Effect.provide(Sqlite.layerWith({ filename, deadline: "20 millis" }, open)))
    }))
})
