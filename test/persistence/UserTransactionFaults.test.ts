import { SqlClient } from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import { CommitLog } from "@holdfast/agents/CommitLog"
import * as Sqlite from "@holdfast/persistence/Sqlite"
import type { SqliteConnection } from "@holdfast/persistence/SqliteConnection"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as FaultySqlite from "../support/faulty-connection.ts"
import * as ScriptedSqlite from "../support/scripted-connection.ts"
import * as Ledger from "./Ledger.ts"

/** Sends users' statements where ours go, so that they meet the same faults. */
const alike = (open: (filename: string) => SqliteConnection) => (filename: string): SqliteConnection => {
  const connection = open(filename)
  return {
    ...connection,
    query: ({ params, sql }) => connection.execute({ sql, params: params as ReadonlyArray<string> })
  }
}

/** A store whose storage fails on demand, and a user that counts its runs. */
const faulty = (deadline?: Duration.DurationInput) =>
  Effect.gen(function*() {
    const store = yield* Ledger.make
    const faults = FaultySqlite.make()
    const on = Effect.provide(yield* store.node(alike(faults.open), deadline))
    yield* on(Ledger.commit("first"))
    let runs = 0
    const user = (before: Effect.Effect<void> = Effect.void) =>
      Effect.zipRight(
        Effect.suspend(() => {
          runs += 1
          return before
        }),
        Ledger.insert("one")
      )
    return { ...store, faults, on, user, runs: () => runs }
  })

describe("a user transaction whose COMMIT loses its answer", () => {
  it.scopedLive("is acknowledged when it was written, and its user does not run again", () =>
    Effect.gen(function*() {
      const { faults, on, runs, stored, user } = yield* faulty()
      faults.lose = { done: true, code: "SQLITE_IOERR_FSYNC" }
      yield* on(Ledger.within(user(), "1"))
      faults.lose = null
      yield* on(Ledger.commit("2"))
      expect([runs(), yield* stored]).toEqual([1, { names: ["one"], tasks: ["first", "1", "2"] }])
    }))

  it.scopedLive("runs again when it was not written, and is written once", () =>
    Effect.gen(function*() {
      const { faults, on, runs, stored, user } = yield* faulty()
      faults.lose = { done: false, code: "SQLITE_FULL" }
      const mended = Effect.sync(() => {
        if (runs() === 3) faults.lose = null
      })
      yield* on(Ledger.within(user(mended), "1"))
      expect([runs(), yield* stored]).toEqual([3, { names: ["one"], tasks: ["first", "1"] }])
    }))

  it.scopedLive("is unknown where that cannot be learnt before the log's deadline, and the log goes on", () =>
    Effect.gen(function*() {
      const { faults, on, stored, user } = yield* faulty("100 millis")
      faults.lose = { done: true, code: "SQLITE_IOERR_FSYNC" }
      faults.goneAfter = true
      const error = yield* Effect.flip(on(Ledger.within(user(), "1")))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Io", outcome: "unknown" })
      faults.lose = null
      faults.gone = false
      yield* on(Ledger.within(Ledger.insert("two"), "2"))
      expect(yield* stored).toEqual({ names: ["one", "two"], tasks: ["first", "1", "2"] })
    }))
})

describe("a user transaction whose storage fails under a statement", () => {
  /** A store whose file is full for users as long as it says so. */
  const full = (deadline?: Duration.DurationInput) =>
    Effect.gen(function*() {
      const store = yield* Ledger.make
      const state = { isFull: true, runs: 0 }
      const base = FaultySqlite.make()
      const open = (filename: string): SqliteConnection => {
        const connection = base.open(filename)
        const query: SqliteConnection["query"] = (query) => {
          if (state.isFull) throw FaultySqlite.sqliteError("SQLITE_FULL", "no space")
          return connection.query(query)
        }
        return { ...connection, query }
      }
      return { ...store, state, on: Effect.provide(yield* store.node(open, deadline)) }
    })

  it.scopedLive("runs again when that passes, also where the user made light of it", () =>
    Effect.gen(function*() {
      const { on, state, stored } = yield* full()
      const user = Effect.zipRight(
        Effect.sync(() => {
          state.runs += 1
          state.isFull = state.runs < 3
        }),
        Effect.either(Ledger.insert("one"))
      )
      expect(yield* on(Ledger.within(user, "1"))).toMatchObject({ value: { _tag: "Right" } })
      expect([state.runs, yield* stored]).toEqual([3, { names: ["one"], tasks: ["1"] }])
    }))

  it.scopedLive("blames the storage when that does not pass, and nothing is written", () =>
    Effect.gen(function*() {
      const { on, state, stored } = yield* full("100 millis")
      const error = yield* Effect.flip(on(Ledger.within(Effect.orDie(Ledger.insert("one")), "1")))
      expect(error).toMatchObject({ _tag: "StorageError", reason: "Full", outcome: "none" })
      state.isFull = false
      yield* on(Ledger.within(Ledger.insert("two"), "2"))
      expect(yield* stored).toEqual({ names: ["two"], tasks: ["2"] })
    }))
})

describe("a user transaction that waits for the file", () => {
  it.scopedLive("does not run any more when its caller was interrupted meanwhile", () =>
    Effect.gen(function*() {
      const { node, stored } = yield* Ledger.make
      const sqlite = ScriptedSqlite.make([])
      const on = Effect.provide(yield* node(alike(sqlite.open)))
      const tried = yield* Deferred.make<void>()
      sqlite.held = () => {
        Deferred.unsafeDone(tried, Effect.void)
        return true
      }
      let runs = 0
      const within = Ledger.within(Effect.sync(() => runs += 1), "1")
      const fiber = yield* Effect.fork(on(within))
      yield* Deferred.await(tried)
      const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* Effect.yieldNow()
      sqlite.held = () => false
      expect(Exit.isInterrupted(yield* Fiber.join(interrupting))).toBe(true)
      expect([runs, yield* stored]).toEqual([0, { names: [], tasks: [] }])
    }))
})

describe("a user transaction of a node that was declared dead", () => {
  it.scopedLive("does not run, is told that it was fenced, and runs under the node's next membership", () =>
    Effect.gen(function*() {
      const { execute, on, runs, stored, user } = yield* faulty()
      const fenced = yield* Effect.fork(on(Effect.flatMap(CommitLog, (log) => log.fenced)))
      yield* Effect.yieldNow()
      yield* execute("UPDATE nodes SET status = 'dead'")
      expect(yield* Effect.flip(on(Ledger.within(user(), "1")))).toMatchObject({ _tag: "NodeFenced" })
      yield* Fiber.join(fenced)
      expect([runs(), yield* stored]).toEqual([0, { names: [], tasks: ["first"] }])
      yield* on(Ledger.within(user(), "2"))
      expect([runs(), yield* stored]).toEqual([1, { names: ["one"], tasks: ["first", "2"] }])
    }))
})

const fault: FastCheck.Arbitrary<ScriptedSqlite.ScriptedFault> = FastCheck.record({
  after: FastCheck.nat(25),
  code: FastCheck.constantFrom("SQLITE_BUSY" as const, "SQLITE_FULL" as const, "SQLITE_IOERR_WRITE" as const),
  done: FastCheck.constantFrom("before" as const, "after" as const, "rolledBack" as const)
})

describe("user transactions among commits", () => {
  it.scopedLive.prop(
    "law: whatever faults pass, each is acknowledged, and written once with its operations",
    {
      calls: FastCheck.array(FastCheck.boolean(), { minLength: 1, maxLength: 10 }),
      faults: FastCheck.array(fault, { minLength: 1, maxLength: 5 })
    },
    ({ calls, faults }) =>
      Effect.gen(function*() {
        const store = yield* Ledger.make
        const layer = Sqlite.layerWith({ filename: store.filename }, alike(ScriptedSqlite.make(faults).open))
        yield* Effect.forEach(
          calls,
          (isUser, index) =>
            isUser
              ? Effect.asVoid(Ledger.within(Ledger.insert(`${index}`), `${index}`, `${index}`))
              : Effect.asVoid(Ledger.commit(`${index}`, `${index}`)),
          { concurrency: "unbounded" }
        ).pipe(Effect.provide(layer))
        const all = calls.map((isUser, index) => ({ isUser, id: `${index}` }))
        const { names, tasks } = yield* store.stored
        expect(new Set(tasks)).toEqual(new Set(all.map(({ id }) => id)))
        expect(names).toEqual(all.filter(({ isUser }) => isUser).map(({ id }) => id))
        // The shortest pauses between attempts.
      }).pipe(Effect.withRandom(Random.fixed([1]))),
    { fastCheck: { numRuns: 25 } }
  )
})

describe("a user's time", () => {
  it.scopedLive("is over at the deadline for its statements too, and the log goes on without it", () =>
    Effect.gen(function*() {
      const { on, stored } = yield* faulty()
      const release = yield* Effect.makeLatch(false)
      const late = yield* Effect.makeLatch(false)
      const answers: Array<string> = []
      const user = Effect.uninterruptible(
        Effect.gen(function*() {
          const sql = yield* SqlClient
          yield* Ledger.insert("one")
          yield* release.await
          answers.push((yield* Effect.either(sql`INSERT INTO ledger VALUES ('two')`))._tag)
          yield* late.open
        })
      )
      const within = Effect.flatMap(CommitLog, (log) => log.within(user, () => [], { deadline: "20 millis" }))
      expect(yield* Effect.flip(on(within))).toMatchObject({ _tag: "TransactionTimeout", limitMillis: 20 })
      yield* on(Ledger.commit("1"))
      yield* release.open
      yield* late.await
      expect([answers, yield* stored]).toEqual([["Left"], { names: [], tasks: ["first", "1"] }])
    }))
})
